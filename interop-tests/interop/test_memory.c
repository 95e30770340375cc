/* SPDX-License-Identifier: MIT */
/*
 * Vulkan's memory in other ways than a picture that came as a dma-buf: buffers, host pointers, images that the
 * application itself has made; and Vulkan 1.1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stile/wait.h>

#include "demos/job.h"
#include "interop-tests/interop/gate.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/interop/own_vulkan.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/test_exporter.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define WRITABLE ((uint32_t)(STILE_USAGE_READ | STILE_USAGE_WRITE))

static struct own_vulkan own;
static struct stile_vulkan *vulkan;
static struct stile_device *device;
static uint32_t extensions; /* how many the driver has: of those before Mesa 25, no dma-bufs */

static void start(void) {
	own_vulkan_init(&own, VK_API_VERSION_1_2, extensions, true);
	const struct stile_vulkan_info info = own_vulkan_describe(&own);
	vulkan = own_vulkan_create_adapter(&info);
	device = images_open_device();
}

static void stop(void) {
	stile_device_destroy(device);
	stile_vulkan_destroy(vulkan);
	own_vulkan_finish(&own);
}

/* For what drivers keep. */
static void warm_up(void) {
	start();
	stop();
}

/* ---- Vulkan 1.1 ----------------------------------------------------------------------------- */

/* Wrong code: entry points of Vulkan 1.2 demanded where an extension to 1.1 has them. */
START_TEST(vulkan_1_1_with_timeline_semaphores_has_fences_and_images) {
	struct own_vulkan old;
	own_vulkan_init(&old, VK_API_VERSION_1_1, OWN_VULKAN_EXTENSIONS, true);
	/* The driver does not know of the core's names there. */
	ck_assert(vkGetDeviceProcAddr(old.device, "vkWaitSemaphores") == NULL);
	const struct stile_vulkan_info info = own_vulkan_describe(&old);
	struct stile_vulkan *adapter = own_vulkan_create_adapter(&info);
	struct stile_vulkan_wait wait = { .size = sizeof(wait) };
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *fence;
	struct gate gate;
	gate_init(&gate);
	ck_assert_int_eq(stile_vulkan_wait_fence(adapter, gate.fence, &path, &wait), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_BRIDGE);
	ck_assert_int_eq(stile_vulkan_fence_create(adapter, &fence), 0);
	gate_open(&gate);
	ck_assert_int_eq(stile_fence_wait(fence, job_deadline()), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	struct stile_vulkan_image *imported;
	ck_assert_int_eq(stile_vulkan_import_image(
				 adapter, image, VK_IMAGE_USAGE_SAMPLED_BIT, NULL, &imported),
		0);
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
	stile_fence_unref(fence);
	stile_fence_unref(gate.fence);
	stile_vulkan_destroy(adapter);
	own_vulkan_finish(&old);
}
END_TEST

/* Wrong code: a NULL entry point called; or a sentence that does not name what would help. */
START_TEST(vulkan_1_1_without_timeline_semaphores_is_refused) {
	struct own_vulkan old;
	own_vulkan_init(&old, VK_API_VERSION_1_1, 2, false);
	const struct stile_vulkan_info info = own_vulkan_describe(&old);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_vulkan *adapter;
	ck_assert_int_eq(stile_vulkan_create(&info, &why, &adapter), -EOPNOTSUPP);
	ck_assert_ptr_null(adapter);
	ck_assert_ptr_nonnull(strstr(why.text, "VK_KHR_timeline_semaphore"));
	own_vulkan_finish(&old);
}
END_TEST

/* Wrong code: an application that wants fences only sent away; or an entry point that is not there called. */
START_TEST(what_needs_an_extension_is_refused_by_its_name) {
	static const struct {
		uint32_t count;
		const char *image, *buffer, *opaque;
	} cases[] = {
		{ 0, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
			VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
			VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME },
		{ 1, VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
			VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME, NULL },
	};
	struct stile_vulkan_info info = own_vulkan_describe(&own);
	info.extension_count = cases[_i].count;
	struct stile_vulkan *adapter = own_vulkan_create_adapter(&info);
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	struct stile_vulkan_own_image made = own_vulkan_create_image(
		&own, DRM_FORMAT_ABGR8888, 64, 64, VK_IMAGE_TILING_LINEAR, OWN_OPAQUE_FD);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_vulkan_image *imported;
	struct stile_vulkan_buffer *buffer;
	struct stile_opaque_image opaque = { .size = sizeof(opaque) };
	struct stile_image *exported;
	ck_assert_int_eq(stile_vulkan_import_image(
				 adapter, image, VK_IMAGE_USAGE_SAMPLED_BIT, &why, &imported),
		-EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, cases[_i].image));
	ck_assert_ptr_null(strstr(why.text, "_host"));
	ck_assert_int_eq(stile_vulkan_import_buffer(adapter, stile_image_get_buffer(image, 0),
				 VK_BUFFER_USAGE_TRANSFER_SRC_BIT, 0, &why, &buffer),
		-EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, cases[_i].buffer));
	const struct stile_opaque_buffer bytes = {
		.size = sizeof(bytes), .fd = -1, .length = 4096, .usage = 1
	};
	ck_assert_int_lt(stile_vulkan_import_opaque_buffer(adapter, &bytes, &why, &buffer), 0);
	ck_assert(cases[_i].opaque == NULL || strstr(why.text, cases[_i].opaque) != NULL);
	ck_assert_int_eq(
		stile_vulkan_export_image(adapter, &made, device, &why, &exported), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, cases[_i].image));
	int ret = stile_vulkan_export_opaque(adapter, &made, &why, &opaque);
	ck_assert_int_eq(ret, cases[_i].opaque == NULL ? 0 : -EOPNOTSUPP);
	if (ret < 0) {
		ck_assert_ptr_nonnull(strstr(why.text, cases[_i].opaque));
		ck_assert_int_eq(opaque.fd, -1);
	} else {
		close(opaque.fd);
	}
	own_vulkan_destroy_image(&own, &made);
	stile_image_unref(image);
	stile_vulkan_destroy(adapter);
}
END_TEST

/* Wrong code: EXTERNAL for who is not the same driver, or a transfer of what has no owner. */
START_TEST(each_kind_of_memory_has_its_queue_family) {
	struct stile_vulkan_info info = own_vulkan_describe(&own);
	info.extension_count = OWN_VULKAN_WITHOUT_FOREIGN;
	struct stile_vulkan *adapter = own_vulkan_create_adapter(&info);
	ck_assert_uint_eq(stile_vulkan_get_peer_family(vulkan, STILE_MEMORY_DMA_BUF),
		VK_QUEUE_FAMILY_FOREIGN_EXT);
	ck_assert_uint_eq(stile_vulkan_get_peer_family(adapter, STILE_MEMORY_DMA_BUF),
		VK_QUEUE_FAMILY_EXTERNAL);
	ck_assert_uint_eq(stile_vulkan_get_peer_family(vulkan, STILE_MEMORY_OPAQUE_FD),
		VK_QUEUE_FAMILY_EXTERNAL);
	ck_assert_uint_eq(stile_vulkan_get_peer_family(vulkan, STILE_MEMORY_HOST_POINTER),
		VK_QUEUE_FAMILY_IGNORED);
	stile_vulkan_destroy(adapter);
}
END_TEST

/* Wrong code: an entry point called that is not there; a refusal that does not say what would help, or what is there. */
START_TEST(a_driver_without_dma_bufs_says_what_is_missing) {
	static const char missing[] = VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME;
	struct stile_vulkan_info info = own_vulkan_describe(&own);
	info.extension_count = OWN_VULKAN_OLD;
	struct stile_vulkan *adapter = own_vulkan_create_adapter(&info);
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_party party = { .size = sizeof(party) };
	struct stile_vulkan_image *imported;
	struct stile_vulkan_buffer *buffer;
	ck_assert_int_eq(stile_vulkan_import_image(
				 adapter, image, VK_IMAGE_USAGE_SAMPLED_BIT, &why, &imported),
		-EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, missing));
	ck_assert_ptr_nonnull(strstr(why.text,
		"; it has VK_EXT_external_memory_host, and may take the image's "
		"mapping: stile_vulkan_import_host_image()"));
	ck_assert_int_eq(stile_vulkan_check_image(adapter, image, VK_IMAGE_USAGE_SAMPLED_BIT, &why),
		-EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, missing));
	ck_assert_int_eq(stile_vulkan_get_party(adapter, VK_IMAGE_USAGE_SAMPLED_BIT, &why, &party),
		-EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, missing));
	ck_assert_int_eq(
		stile_vulkan_import_buffer(adapter, stile_image_get_buffer(image, 0),
			VK_BUFFER_USAGE_TRANSFER_SRC_BIT, STILE_MEMORY_DMA_BUF, &why, &buffer),
		-EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, missing));
	stile_image_unref(image);
	stile_vulkan_destroy(adapter);
}
END_TEST

/* ---- Buffers -------------------------------------------------------------------------------- */

enum { BUFFER_BYTES = 3 * 4096 };

static struct stile_buffer *create_buffer(void) {
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = BUFFER_BYTES };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	return buffer;
}

static void copy(VkBuffer from, VkBuffer to) {
	const VkBufferCopy region = { .size = BUFFER_BYTES };
	own_vulkan_begin(&own);
	vkCmdCopyBuffer(own.commands, from, to, 1, &region);
	own_vulkan_submit(&own);
}

/* What the CPU writes, Vulkan reads, and the reverse. Wrong code: a copy; or a hold on the memory that stays. */
static void check_shared(struct stile_buffer *buffer, uint32_t memory, uint32_t expected) {
	struct own_buffer other = own_vulkan_create_buffer(&own, BUFFER_BYTES);
	struct stile_vulkan_buffer *imported;
	struct stile_report why = { .size = sizeof(why) };
	void *address;
	int ret = stile_vulkan_import_buffer(vulkan, buffer,
		VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT, memory, &why,
		&imported);
	ck_assert_msg(ret == 0, "%s", why.text);
	ck_assert_uint_eq(stile_vulkan_buffer_get_memory(imported), expected);
	ck_assert_int_eq(stile_buffer_mmap(buffer, WRITABLE, &address), 0);
	memset(address, 0x35, BUFFER_BYTES);
	memset(other.address, 0, BUFFER_BYTES);
	copy(stile_vulkan_buffer_get_handle(imported), other.handle);
	ck_assert_int_eq(memcmp(other.address, address, BUFFER_BYTES), 0);
	memset(other.address, 0x7c, BUFFER_BYTES);
	copy(other.handle, stile_vulkan_buffer_get_handle(imported));
	ck_assert_int_eq(memcmp(other.address, address, BUFFER_BYTES), 0);
	stile_buffer_munmap(buffer, address);
	stile_vulkan_buffer_destroy(imported);
	own_vulkan_destroy_buffer(&own, &other);
}

START_TEST(a_buffer_is_shared_with_vulkan_in_both_ways) {
	static const uint32_t kinds[] = { 0, STILE_MEMORY_HOST_POINTER, STILE_MEMORY_DMA_BUF };
	uint32_t best =
		extensions == OWN_VULKAN_OLD ? STILE_MEMORY_HOST_POINTER : STILE_MEMORY_DMA_BUF;
	struct stile_buffer *buffer = create_buffer();
	check_shared(buffer, kinds[_i], kinds[_i] == 0 ? best : kinds[_i]);
	stile_buffer_unref(buffer);
}
END_TEST

/* An exporter without descriptors. Wrong code: the second way not tried, or its hold on the memory left. */
START_TEST(memory_without_descriptors_goes_by_host_pointer) {
	struct test_exporter exporter;
	test_exporter_init(&exporter, BUFFER_BYTES);
	exporter.ops.export_fd = NULL;
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	struct stile_vulkan_buffer *imported;
	struct stile_report why = { .size = sizeof(why) };
	ck_assert_int_eq(
		stile_vulkan_import_buffer(vulkan, buffer, VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
			STILE_MEMORY_DMA_BUF, &why, &imported),
		-EOPNOTSUPP);
	ck_assert_ptr_null(imported);
	check_shared(buffer, 0, STILE_MEMORY_HOST_POINTER);
	stile_buffer_unref(buffer);
	test_exporter_finish(&exporter);
}
END_TEST

/* Wrong code: a refusal called the caller's mistake; or one of the two reasons left out. */
START_TEST(memory_that_nobody_can_see_is_refused) {
	struct test_exporter exporter;
	test_exporter_init(&exporter, BUFFER_BYTES);
	exporter.ops.export_fd = NULL;
	exporter.ops.mmap = NULL;
	exporter.ops.munmap = NULL;
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	struct stile_vulkan_buffer *imported;
	struct stile_report why = { .size = sizeof(why) };
	ck_assert_int_eq(stile_vulkan_import_buffer(vulkan, buffer,
				 VK_BUFFER_USAGE_TRANSFER_SRC_BIT, 0, &why, &imported),
		-EOPNOTSUPP);
	ck_assert_ptr_null(imported);
	ck_assert_msg(strstr(why.text,
			      "; nor by its mapping: the buffer's exporter has no "
			      "mappings") != NULL,
		"%s", why.text);
	stile_buffer_unref(buffer);
	test_exporter_finish(&exporter);
}
END_TEST

static int open_memory(uint64_t bytes) {
	int fd = memfd_create("export", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

static struct stile_buffer *open_read_only(void) {
	int fd = open_memory(BUFFER_BYTES);
	char path[64];
	struct stile_buffer *buffer;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int reopened = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(reopened, 0);
	ck_assert_int_eq(
		stile_buffer_import_fd(device, reopened, STILE_USAGE_READ, NULL, &buffer), 0);
	close(reopened);
	close(fd);
	return buffer;
}

/* Wrong code: memory given to a driver that it crashes on; or a hold on it left after a refusal. */
START_TEST(buffers_are_refused_with_the_numbers) {
	static const VkBufferUsageFlags source = VK_BUFFER_USAGE_TRANSFER_SRC_BIT;
	struct stile_buffer *buffer = create_buffer(), *read_only = open_read_only();
	const struct {
		struct stile_buffer *buffer;
		VkBufferUsageFlags usage;
		uint32_t memory;
		int error;
		enum stile_reason reason;
	} cases[] = {
		{ buffer, 0, 0, -EINVAL, STILE_REASON_USAGE },
		{ buffer, source, STILE_MEMORY_OPAQUE_FD, -EINVAL, STILE_REASON_USAGE },
		{ buffer, source, UINT32_C(1) << 31, -EINVAL, STILE_REASON_USAGE },
		{ read_only, source, 0, -EACCES, STILE_REASON_FD_ACCESS },
		{ read_only, source, STILE_MEMORY_HOST_POINTER, -EACCES, STILE_REASON_FD_ACCESS },
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct stile_report why = { .size = sizeof(why) };
		struct stile_vulkan_buffer *imported;
		ck_assert_int_eq(stile_vulkan_import_buffer(vulkan, cases[i].buffer, cases[i].usage,
					 cases[i].memory, &why, &imported),
			cases[i].error);
		ck_assert_ptr_null(imported);
		ck_assert_int_eq(why.reason, cases[i].reason);
		ck_assert_int_eq(why.error, cases[i].error);
	}
	stile_buffer_unref(read_only);
	stile_buffer_unref(buffer);
}
END_TEST

static unsigned buffers_made, buffers_destroyed, memories_freed;

static VKAPI_ATTR VkResult VKAPI_CALL count_buffer(VkDevice vk_device,
	const VkBufferCreateInfo *info, const VkAllocationCallbacks *allocator, VkBuffer *out) {
	buffers_made++;
	return vkCreateBuffer(vk_device, info, allocator, out);
}

static VKAPI_ATTR void VKAPI_CALL count_destroyed(
	VkDevice vk_device, VkBuffer buffer, const VkAllocationCallbacks *allocator) {
	buffers_destroyed += buffer != VK_NULL_HANDLE;
	vkDestroyBuffer(vk_device, buffer, allocator);
}

static VKAPI_ATTR void VKAPI_CALL count_freed(
	VkDevice vk_device, VkDeviceMemory memory, const VkAllocationCallbacks *allocator) {
	memories_freed += memory != VK_NULL_HANDLE;
	vkFreeMemory(vk_device, memory, allocator);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL counting_device_proc(
	VkDevice vk_device, const char *name) {
	static const struct {
		const char *name;
		PFN_vkVoidFunction proc;
	} own_procs[] = {
		{ "vkCreateBuffer", (PFN_vkVoidFunction)count_buffer },
		{ "vkDestroyBuffer", (PFN_vkVoidFunction)count_destroyed },
		{ "vkFreeMemory", (PFN_vkVoidFunction)count_freed },
	};
	for (size_t i = 0; i < LENGTH(own_procs); i++) {
		if (strcmp(name, own_procs[i].name) == 0) {
			return own_procs[i].proc;
		}
	}
	return vkGetDeviceProcAddr(vk_device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL counting_instance_proc(
	VkInstance instance, const char *name) {
	return strcmp(name, "vkGetDeviceProcAddr") == 0 ? (PFN_vkVoidFunction)counting_device_proc
							: vkGetInstanceProcAddr(instance, name);
}

static struct stile_vulkan *create_counting(void) {
	struct stile_vulkan_info info = own_vulkan_describe(&own);
	info.get_instance_proc_addr = counting_instance_proc;
	buffers_made = buffers_destroyed = memories_freed = 0;
	return own_vulkan_create_adapter(&info);
}

static struct stile_vulkan_buffer *import(struct stile_vulkan *adapter, struct stile_buffer *buffer,
	VkBufferUsageFlags usage, uint32_t memory) {
	struct stile_vulkan_buffer *imported;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_vulkan_import_buffer(adapter, buffer, usage, memory, &why, &imported);
	ck_assert_msg(ret == 0, "%s", why.text);
	return imported;
}

/*
 * Wrong code: the driver asked for each frame; one VkBuffer for two usages or buffers, or for an image of the same memory;
 * its memory kept after the buffer.
 */
START_TEST(importing_a_buffer_again_asks_the_driver_once_as_long_as_it_lives) {
	static const VkBufferUsageFlags from = VK_BUFFER_USAGE_TRANSFER_SRC_BIT;
	struct stile_vulkan *adapter = create_counting();
	struct stile_buffer *buffer = create_buffer(), *other = create_buffer();
	struct stile_vulkan_buffer *first = import(adapter, buffer, from, 0);
	ck_assert_ptr_eq(import(adapter, buffer, from, 0), first);
	stile_vulkan_buffer_destroy(first);
	stile_vulkan_buffer_destroy(first);
	ck_assert_ptr_eq(import(adapter, buffer, from, 0), first);
	stile_vulkan_buffer_destroy(first);
	ck_assert_uint_eq(buffers_made, 1);
	stile_vulkan_buffer_destroy(import(adapter, buffer, VK_BUFFER_USAGE_TRANSFER_DST_BIT, 0));
	stile_vulkan_buffer_destroy(import(adapter, other, from, 0));
	ck_assert_uint_eq(buffers_made, 3);
	ck_assert_uint_eq(buffers_destroyed, 0);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(buffers_destroyed, 2);
	stile_buffer_unref(other);
	ck_assert_uint_eq(buffers_destroyed, 3);
	ck_assert_uint_eq(memories_freed, 3);
	stile_vulkan_destroy(adapter);
}
END_TEST

static void note_gone(struct stile_buffer_listener *listener) {
	(void)listener;
	buffers_destroyed += 100;
}

/* Wrong code: a mapping that keeps a buffer which nobody has any more; or a buffer that goes before its mapping. */
START_TEST(a_mapping_goes_with_its_user) {
	static const VkBufferUsageFlags from = VK_BUFFER_USAGE_TRANSFER_SRC_BIT;
	struct stile_vulkan *adapter = create_counting();
	struct stile_buffer *buffer = create_buffer();
	struct stile_buffer_listener listener;
	struct stile_vulkan_buffer *first =
		import(adapter, buffer, from, STILE_MEMORY_HOST_POINTER);
	struct stile_vulkan_buffer *second =
		import(adapter, buffer, from, STILE_MEMORY_HOST_POINTER);
	ck_assert_ptr_ne(first, second);
	ck_assert_uint_eq(buffers_made, 2);
	stile_vulkan_buffer_destroy(first);
	ck_assert_uint_eq(buffers_destroyed, 1);
	stile_buffer_add_listener(buffer, &listener, note_gone, NULL);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(buffers_destroyed, 1);
	stile_vulkan_buffer_destroy(second);
	ck_assert_uint_eq(buffers_destroyed, 102);
	ck_assert_uint_eq(memories_freed, 2);
	stile_vulkan_destroy(adapter);
}
END_TEST

/* ---- The application's own, as dma-bufs ----------------------------------------------------- */

enum { WIDTH = 67, HEIGHT = 45 };

/* A driver that exports dma-bufs: files in memory stand for them. */
static int fake_fd;
static VkResult fake_result;
static VkExternalMemoryFeatureFlags fake_features;

static VKAPI_ATTR VkResult VKAPI_CALL fake_get_fd(
	VkDevice vk_device, const VkMemoryGetFdInfoKHR *info, int *fd) {
	(void)vk_device;
	ck_assert_int_eq(info->handleType, VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT);
	/* As lavapipe: not CLOEXEC. */
	*fd = fake_fd < 0 ? fake_fd : dup(fake_fd);
	return fake_result;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_image_properties(VkPhysicalDevice physical_device,
	const VkPhysicalDeviceImageFormatInfo2 *info, VkImageFormatProperties2 *answer) {
	(void)physical_device;
	(void)info;
	VkExternalImageFormatProperties *external = answer->pNext;
	external->externalMemoryProperties.externalMemoryFeatures = fake_features;
	return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL fake_buffer_properties(VkPhysicalDevice physical_device,
	const VkPhysicalDeviceExternalBufferInfo *info, VkExternalBufferProperties *answer) {
	(void)physical_device;
	(void)info;
	answer->externalMemoryProperties.externalMemoryFeatures = fake_features;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL exporting_device_proc(
	VkDevice vk_device, const char *name) {
	return strcmp(name, "vkGetMemoryFdKHR") == 0 ? (PFN_vkVoidFunction)fake_get_fd
						     : vkGetDeviceProcAddr(vk_device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL exporting_instance_proc(
	VkInstance instance, const char *name) {
	if (strcmp(name, "vkGetPhysicalDeviceImageFormatProperties2") == 0) {
		return (PFN_vkVoidFunction)fake_image_properties;
	}
	if (strcmp(name, "vkGetPhysicalDeviceExternalBufferProperties") == 0) {
		return (PFN_vkVoidFunction)fake_buffer_properties;
	}
	return strcmp(name, "vkGetDeviceProcAddr") == 0 ? (PFN_vkVoidFunction)exporting_device_proc
							: vkGetInstanceProcAddr(instance, name);
}

static struct stile_vulkan *create_exporting(void) {
	struct stile_vulkan_info info = own_vulkan_describe(&own);
	info.get_instance_proc_addr = exporting_instance_proc;
	fake_result = VK_SUCCESS;
	fake_features = VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT;
	return own_vulkan_create_adapter(&info);
}

/* Wrong code: the driver's pitch or the place where the image is bound left out. */
START_TEST(an_exported_image_is_where_the_driver_says) {
	struct stile_vulkan *adapter = create_exporting();
	struct stile_vulkan_own_image made = own_vulkan_create_image(
		&own, DRM_FORMAT_XRGB8888, WIDTH, HEIGHT, VK_IMAGE_TILING_LINEAR, OWN_OPAQUE_FD);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_image *image;
	const VkImageSubresource plane = { .aspectMask = VK_IMAGE_ASPECT_COLOR_BIT };
	VkSubresourceLayout layout;
	vkGetImageSubresourceLayout(own.device, made.image, &plane, &layout);
	made.offset = 4096;
	fake_fd = open_memory(4096 + made.bytes);
	int ret = stile_vulkan_export_image(adapter, &made, device, &why, &image);
	ck_assert_msg(ret == 0, "%s", why.text);
	const struct stile_image_info *info = stile_image_get_info(image);
	ck_assert_uint_eq(info->width, WIDTH);
	ck_assert_uint_eq(info->height, HEIGHT);
	ck_assert_uint_eq(info->fourcc, DRM_FORMAT_XRGB8888);
	ck_assert_uint_eq(info->modifier, DRM_FORMAT_MOD_LINEAR);
	ck_assert_uint_eq(info->planes[0].pitch, layout.rowPitch);
	ck_assert_uint_eq(info->planes[0].offset, 4096 + layout.offset);
	ck_assert_str_eq(info->name, "own");
	stile_image_unref(image);
	close(fake_fd);
	own_vulkan_destroy_image(&own, &made);
	stile_vulkan_destroy(adapter);
}
END_TEST

enum { NO_FEATURE, NO_FD, DRIVER_FAILS, OPTIMAL, TOO_SMALL, NO_IMAGE, EXPORT_CASES };

/* Wrong code: what the driver does not give taken for a descriptor; or one left open after a refusal. */
START_TEST(exports_that_cannot_be_are_refused_with_a_reason) {
	static const struct {
		int error;
		enum stile_reason reason;
		const char *text;
	} expected[EXPORT_CASES] = {
		[NO_FEATURE] = { -EOPNOTSUPP, STILE_REASON_DRIVER, "exports no XRGB8888" },
		[NO_FD] = { -EOPNOTSUPP, STILE_REASON_DRIVER, "no descriptor" },
		[DRIVER_FAILS] = { -ENOMEM, STILE_REASON_DRIVER, "OUT_OF_HOST_MEMORY" },
		[OPTIMAL] = { -EOPNOTSUPP, STILE_REASON_MODIFIER, "OPAQUE_FD" },
		[TOO_SMALL] = { -ERANGE, STILE_REASON_BOUNDS, "bytes" },
		[NO_IMAGE] = { -EINVAL, STILE_REASON_USAGE, "needed" },
	};
	struct stile_vulkan *adapter = create_exporting();
	struct stile_vulkan_own_image made = own_vulkan_create_image(
		&own, DRM_FORMAT_XRGB8888, WIDTH, HEIGHT, VK_IMAGE_TILING_LINEAR, OWN_OPAQUE_FD);
	struct stile_vulkan_own_image said = made;
	struct stile_report why = { .size = sizeof(why) };
	struct stile_image *image;
	int memory = open_memory(_i == TOO_SMALL ? 4096 : made.bytes);
	fake_fd = _i == NO_FD || _i == DRIVER_FAILS ? -1 : memory;
	fake_features =
		_i == NO_FEATURE ? VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT : fake_features;
	fake_result = _i == DRIVER_FAILS ? VK_ERROR_OUT_OF_HOST_MEMORY : VK_SUCCESS;
	said.tiling = _i == OPTIMAL ? VK_IMAGE_TILING_OPTIMAL : made.tiling;
	said.image = _i == NO_IMAGE ? VK_NULL_HANDLE : made.image;
	ck_assert_int_eq(stile_vulkan_export_image(adapter, &said, device, &why, &image),
		expected[_i].error);
	ck_assert_ptr_null(image);
	ck_assert_int_eq(why.error, expected[_i].error);
	ck_assert_int_eq(why.reason, expected[_i].reason);
	ck_assert_ptr_nonnull(strstr(why.text, expected[_i].text));
	close(memory);
	own_vulkan_destroy_image(&own, &made);
	stile_vulkan_destroy(adapter);
}
END_TEST

/* Wrong code: another file than the driver gave; or the wrong question asked. */
START_TEST(exported_memory_is_a_buffer) {
	struct stile_vulkan *adapter = create_exporting();
	struct own_buffer buffer = own_vulkan_create_buffer(&own, BUFFER_BYTES);
	struct stile_buffer *exported, *again;
	struct stile_report why = { .size = sizeof(why) };
	fake_fd = open_memory(BUFFER_BYTES);
	ck_assert_int_eq(
		stile_vulkan_export_memory(adapter, buffer.memory, device, &why, &exported), 0);
	ck_assert_int_eq(stile_buffer_import_fd(device, fake_fd, WRITABLE, NULL, &again), 0);
	ck_assert_ptr_eq(exported, again);
	ck_assert_uint_eq(stile_buffer_get_bytes(exported), BUFFER_BYTES);
	stile_buffer_unref(exported);
	stile_buffer_unref(again);
	fake_features = 0;
	ck_assert_int_eq(
		stile_vulkan_export_memory(adapter, buffer.memory, device, &why, &exported),
		-EOPNOTSUPP);
	ck_assert_ptr_null(exported);
	ck_assert_int_eq(why.reason, STILE_REASON_DRIVER);
	close(fake_fd);
	own_vulkan_destroy_buffer(&own, &buffer);
	stile_vulkan_destroy(adapter);
}
END_TEST

/* ---- The same driver twice ------------------------------------------------------------------ */

static struct stile_vulkan_own_image create_opaque(void) {
	return own_vulkan_create_image(
		&own, DRM_FORMAT_ARGB8888, WIDTH, HEIGHT, VK_IMAGE_TILING_OPTIMAL, OWN_OPAQUE_FD);
}

static struct stile_opaque_image export_opaque(const struct stile_vulkan_own_image *image) {
	struct stile_opaque_image opaque = { .size = sizeof(opaque) };
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_vulkan_export_opaque(vulkan, image, &why, &opaque);
	ck_assert_msg(ret == 0, "%s", why.text);
	ck_assert_int_eq(fcntl(opaque.fd, F_GETFD), FD_CLOEXEC);
	return opaque;
}

static void record_barrier(struct own_vulkan *with, const VkImageMemoryBarrier *barrier) {
	vkCmdPipelineBarrier(with->commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
		VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 1, barrier);
}

/* Wrong code: another tiling, a copy, or a transfer from those who are of another driver. */
START_TEST(one_device_s_image_of_any_tiling_is_another_one_s) {
	struct own_vulkan other;
	own_vulkan_init(&other, VK_API_VERSION_1_2, extensions, true);
	const struct stile_vulkan_info info = own_vulkan_describe(&other);
	struct stile_vulkan *adapter = own_vulkan_create_adapter(&info);
	struct stile_vulkan_own_image image = create_opaque();
	struct stile_opaque_image opaque = export_opaque(&image);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_vulkan_image *imported;
	int ret = stile_vulkan_import_opaque(adapter, &opaque, &why, &imported);
	ck_assert_msg(ret == 0, "%s", why.text);
	close(opaque.fd);

	uint32_t peer = stile_vulkan_get_peer_family(vulkan, STILE_MEMORY_OPAQUE_FD);
	const VkClearColorValue colour = { .float32 = { 0.2f, 0.4f, 0.6f, 0.8f } };
	const VkImageSubresourceRange range = {
		.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT, .levelCount = 1, .layerCount = 1
	};
	own_vulkan_begin(&own);
	own_vulkan_transfer(&own, image.image, VK_IMAGE_LAYOUT_UNDEFINED, VK_QUEUE_FAMILY_IGNORED,
		VK_IMAGE_LAYOUT_GENERAL, VK_QUEUE_FAMILY_IGNORED);
	vkCmdClearColorImage(
		own.commands, image.image, VK_IMAGE_LAYOUT_GENERAL, &colour, 1, &range);
	own_vulkan_transfer(
		&own, image.image, VK_IMAGE_LAYOUT_GENERAL, 0, VK_IMAGE_LAYOUT_GENERAL, peer);
	own_vulkan_submit(&own);

	VkImageMemoryBarrier acquire = stile_vulkan_acquire(
		imported, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, VK_ACCESS_TRANSFER_READ_BIT);
	ck_assert_uint_eq(acquire.srcQueueFamilyIndex, VK_QUEUE_FAMILY_EXTERNAL);
	VkImageMemoryBarrier release = stile_vulkan_release(
		imported, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, VK_ACCESS_TRANSFER_READ_BIT);
	ck_assert_uint_eq(release.dstQueueFamilyIndex, VK_QUEUE_FAMILY_EXTERNAL);
	struct own_buffer buffer =
		own_vulkan_create_buffer(&other, (VkDeviceSize)WIDTH * HEIGHT * 4);
	const VkBufferImageCopy region = {
		.imageSubresource = { .aspectMask = VK_IMAGE_ASPECT_COLOR_BIT, .layerCount = 1 },
		.imageExtent = { WIDTH, HEIGHT, 1 },
	};
	own_vulkan_begin(&other);
	record_barrier(&other, &acquire);
	vkCmdCopyImageToBuffer(other.commands, stile_vulkan_image_get_handle(imported),
		VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, buffer.handle, 1, &region);
	record_barrier(&other, &release);
	own_vulkan_submit(&other);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		ck_assert_uint_eq(((uint32_t *)buffer.address)[i], 0xcc336699);
	}
	own_vulkan_destroy_buffer(&other, &buffer);
	stile_vulkan_image_destroy(imported);
	own_vulkan_destroy_image(&own, &image);
	stile_vulkan_destroy(adapter);
	own_vulkan_finish(&other);
}
END_TEST

/* A copy on one device of what is there to a new buffer there, which is looked at. */
static void check_reads(struct own_vulkan *with, VkBuffer from, uint8_t expected) {
	struct own_buffer seen = own_vulkan_create_buffer(with, BUFFER_BYTES);
	const VkBufferCopy region = { .size = BUFFER_BYTES };
	own_vulkan_begin(with);
	vkCmdCopyBuffer(with->commands, from, seen.handle, 1, &region);
	own_vulkan_submit(with);
	for (size_t i = 0; i < BUFFER_BYTES; i++) {
		ck_assert_uint_eq(((uint8_t *)seen.address)[i], expected);
	}
	own_vulkan_destroy_buffer(with, &seen);
}

static struct stile_opaque_buffer export_buffer(const struct own_buffer *buffer) {
	struct stile_opaque_buffer opaque = { .size = sizeof(opaque) };
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_vulkan_export_opaque_buffer(vulkan, &buffer->shared, &why, &opaque);
	ck_assert_msg(ret == 0, "%s", why.text);
	ck_assert_int_eq(fcntl(opaque.fd, F_GETFD), FD_CLOEXEC);
	return opaque;
}

/* Wrong code: a copy, another place in the memory, or a length that is not the buffer's. */
START_TEST(one_device_s_buffer_is_another_one_s) {
	struct own_vulkan other;
	own_vulkan_init(&other, VK_API_VERSION_1_2, extensions, true);
	const struct stile_vulkan_info info = own_vulkan_describe(&other);
	struct stile_vulkan *adapter = own_vulkan_create_adapter(&info);
	struct own_buffer buffer = own_vulkan_create_shared_buffer(&own, BUFFER_BYTES);
	struct stile_opaque_buffer opaque = export_buffer(&buffer);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_vulkan_buffer *imported;
	int ret = stile_vulkan_import_opaque_buffer(adapter, &opaque, &why, &imported);
	ck_assert_msg(ret == 0, "%s", why.text);
	close(opaque.fd);
	ck_assert_uint_eq(stile_vulkan_buffer_get_memory(imported), STILE_MEMORY_OPAQUE_FD);
	memset(buffer.address, 0x35, BUFFER_BYTES);
	check_reads(&other, stile_vulkan_buffer_get_handle(imported), 0x35);
	own_vulkan_begin(&other);
	vkCmdFillBuffer(other.commands, stile_vulkan_buffer_get_handle(imported), 0, BUFFER_BYTES,
		0x7c7c7c7c);
	own_vulkan_submit(&other);
	check_reads(&own, buffer.handle, 0x7c);
	stile_vulkan_buffer_destroy(imported);
	own_vulkan_destroy_buffer(&own, &buffer);
	stile_vulkan_destroy(adapter);
	own_vulkan_finish(&other);
}
END_TEST

/* It may come from another process. Wrong code: what it says believed; a descriptor or a VkBuffer left. */
START_TEST(opaque_buffers_that_cannot_be_are_refused) {
	struct own_buffer buffer = own_vulkan_create_shared_buffer(&own, BUFFER_BYTES);
	const struct stile_opaque_buffer opaque = export_buffer(&buffer);
	struct {
		struct stile_opaque_buffer said;
		int error;
		enum stile_reason reason;
	} cases[] = {
		{ opaque, -EOPNOTSUPP, STILE_REASON_DEVICE },
		{ opaque, -EOPNOTSUPP, STILE_REASON_DEVICE },
		{ opaque, -EBADF, STILE_REASON_FD_CLOSED },
		{ opaque, -EINVAL, STILE_REASON_USAGE },
		{ opaque, -EINVAL, STILE_REASON_USAGE },
		{ opaque, -ERANGE, STILE_REASON_BOUNDS },
		{ opaque, -ERANGE, STILE_REASON_BOUNDS },
		{ opaque, -EOPNOTSUPP, STILE_REASON_DRIVER },
	};
	cases[0].said.driver_uuid[0] ^= 1;
	cases[1].said.device_uuid[15] ^= 1;
	cases[2].said.fd = -1;
	cases[3].said.length = 0;
	cases[4].said.usage = 0;
	cases[5].said.length = opaque.bytes;
	cases[6].said.offset = UINT64_MAX;
	cases[7].said.memory_type = 32;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct stile_report why = { .size = sizeof(why) };
		struct stile_vulkan_buffer *imported;
		ck_assert_int_eq(
			stile_vulkan_import_opaque_buffer(vulkan, &cases[i].said, &why, &imported),
			cases[i].error);
		ck_assert_ptr_null(imported);
		ck_assert_int_eq(why.reason, cases[i].reason);
		ck_assert_uint_gt(strlen(why.text), 0);
	}
	close(opaque.fd);
	struct stile_vulkan_own_buffer nothing = buffer.shared;
	struct stile_opaque_buffer out = { .size = sizeof(out) - 1, .fd = 7 };
	ck_assert_int_eq(
		stile_vulkan_export_opaque_buffer(vulkan, &buffer.shared, NULL, &out), -EINVAL);
	out.size = sizeof(out);
	nothing.memory = VK_NULL_HANDLE;
	ck_assert_int_eq(stile_vulkan_export_opaque_buffer(vulkan, &nothing, NULL, &out), -EINVAL);
	ck_assert_int_eq(out.fd, -1);
	own_vulkan_destroy_buffer(&own, &buffer);
}
END_TEST

/* Wrong code: memory of another driver believed; a descriptor or an image left after a refusal. */
START_TEST(opaque_memory_of_others_is_refused) {
	struct stile_vulkan_own_image image = create_opaque();
	const struct stile_opaque_image opaque = export_opaque(&image);
	struct stile_opaque_image other_driver = opaque, other_device = opaque, closed = opaque,
				  no_format = opaque;
	other_driver.driver_uuid[0] ^= 1;
	other_device.device_uuid[15] ^= 1;
	closed.fd = -1;
	no_format.fourcc = 0x3f3f3f3f;
	const struct {
		const struct stile_opaque_image *image;
		int error;
		enum stile_reason reason;
	} cases[] = {
		{ &other_driver, -EOPNOTSUPP, STILE_REASON_DEVICE },
		{ &other_device, -EOPNOTSUPP, STILE_REASON_DEVICE },
		{ &closed, -EBADF, STILE_REASON_FD_CLOSED },
		{ &no_format, -EOPNOTSUPP, STILE_REASON_FORMAT },
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct stile_report why = { .size = sizeof(why) };
		struct stile_vulkan_image *imported;
		ck_assert_int_eq(
			stile_vulkan_import_opaque(vulkan, cases[i].image, &why, &imported),
			cases[i].error);
		ck_assert_ptr_null(imported);
		ck_assert_int_eq(why.reason, cases[i].reason);
		ck_assert_uint_gt(strlen(why.text), 0);
	}
	close(opaque.fd);
	own_vulkan_destroy_image(&own, &image);
}
END_TEST

/* --------------------------------------------------------------------------------------------- */

static TCase *add_case(Suite *suite, const char *name) {
	TCase *tcase = tcase_create(name);
	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, warm_up, NULL);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_checked_fixture(tcase, start, stop);
	suite_add_tcase(suite, tcase);
	return tcase;
}

static Suite *make_suite(void) {
	Suite *suite = suite_create("memory");
	TCase *tcase = add_case(suite, "any driver");
	tcase_add_test(tcase, vulkan_1_1_without_timeline_semaphores_is_refused);
	tcase_add_loop_test(tcase, what_needs_an_extension_is_refused_by_its_name, 0, 2);
	tcase_add_test(tcase, a_driver_without_dma_bufs_says_what_is_missing);
	tcase_add_loop_test(tcase, a_buffer_is_shared_with_vulkan_in_both_ways, 0, 2);
	tcase_add_test(tcase, memory_without_descriptors_goes_by_host_pointer);
	tcase_add_test(tcase, memory_that_nobody_can_see_is_refused);
	tcase_add_test(tcase, one_device_s_image_of_any_tiling_is_another_one_s);
	tcase_add_test(tcase, opaque_memory_of_others_is_refused);
	tcase_add_test(tcase, one_device_s_buffer_is_another_one_s);
	tcase_add_test(tcase, opaque_buffers_that_cannot_be_are_refused);
	if (extensions == OWN_VULKAN_OLD) {
		return suite;
	}
	tcase = add_case(suite, "dma-bufs");
	tcase_add_test(tcase, vulkan_1_1_with_timeline_semaphores_has_fences_and_images);
	tcase_add_test(tcase, each_kind_of_memory_has_its_queue_family);
	tcase_add_loop_test(tcase, a_buffer_is_shared_with_vulkan_in_both_ways, 2, 3);
	tcase_add_test(tcase, buffers_are_refused_with_the_numbers);
	tcase_add_test(tcase, importing_a_buffer_again_asks_the_driver_once_as_long_as_it_lives);
	tcase_add_test(tcase, a_mapping_goes_with_its_user);
	tcase_add_test(tcase, an_exported_image_is_where_the_driver_says);
	tcase_add_loop_test(
		tcase, exports_that_cannot_be_are_refused_with_a_reason, 0, EXPORT_CASES);
	tcase_add_test(tcase, exported_memory_is_a_buffer);
	return suite;
}

int main(int argc, char **argv) {
	const char *missing = own_vulkan_find_missing(OWN_VULKAN_OLD);
	if (missing != NULL) {
		printf("skipped: Vulkan on the CPU has no %s\n", missing);
		return RUNNER_SKIP;
	}
	bool is_old = own_vulkan_find_missing(OWN_VULKAN_EXTENSIONS) != NULL;
	extensions = is_old ? OWN_VULKAN_OLD : OWN_VULKAN_EXTENSIONS;
	return runner_main(argc, argv, make_suite, NULL);
}
