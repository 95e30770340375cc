/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/vulkan_sync.h>

#include "demos/job.h"
#include "demos/vulkan_drawer.h"
#include "interop-tests/interop/gate.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

static struct vulkan_drawer drawer;
static struct stile_device *device;

static void start_vulkan(void) {
	ck_assert_int_eq(vulkan_drawer_init(&drawer, false), 0);
}

static void stop_vulkan(void) {
	vulkan_drawer_finish(&drawer);
}

static void open_device(void) {
	device = images_open_device();
}

static void destroy_device(void) {
	stile_device_destroy(device);
}

/* ---- Making an adapter -------------------------------------------------------------------- */

static void check_create(const struct stile_vulkan_info *info, int error) {
	struct stile_report why = { .size = sizeof(why) };
	struct stile_vulkan *vulkan = (struct stile_vulkan *)&why;
	ck_assert_int_eq(stile_vulkan_create(info, &why, &vulkan), error);
	ck_assert_ptr_null(vulkan);
	ck_assert_int_eq(why.error, error);
	ck_assert_uint_gt(strlen(why.text), 0);
}

START_TEST(create_says_what_is_missing) {
	struct stile_vulkan_info info = vulkan_drawer_describe(&drawer);
	info.get_instance_proc_addr = NULL;
	check_create(&info, -EINVAL);
	info = vulkan_drawer_describe(&drawer);
	info.queue = VK_NULL_HANDLE;
	check_create(&info, -EINVAL);
	info = vulkan_drawer_describe(&drawer);
	info.lock_queue = (void (*)(void *))abort;
	check_create(&info, -EINVAL);

	struct stile_vulkan *vulkan;
	info.size = 3;
	ck_assert_int_eq(stile_vulkan_create(&info, NULL, &vulkan), -EINVAL);
}
END_TEST

/* Wrong code: the report emptied only once the struct was understood. */
START_TEST(create_with_an_impossible_size_leaves_nothing_stale) {
	struct stile_vulkan_info info = vulkan_drawer_describe(&drawer);
	info.size = 3;
	struct stile_report why = {
		.size = sizeof(why), .reason = STILE_REASON_DRIVER, .error = -99, .text = "stale"
	};
	struct stile_vulkan *vulkan;
	ck_assert_int_eq(stile_vulkan_create(&info, &why, &vulkan), -EINVAL);
	ck_assert_ptr_null(vulkan);
	ck_assert_int_eq(why.error, -EINVAL);
	ck_assert_int_eq(why.reason, STILE_REASON_USAGE);
	ck_assert_uint_gt(strlen(why.text), 0);
	ck_assert_str_ne(why.text, "stale");
}
END_TEST

/* ---- Importing ---------------------------------------------------------------------------- */

static void check_refused(struct stile_image *image, VkImageUsageFlags usage, int error,
	enum stile_reason reason, uint64_t needed, uint64_t actual) {
	struct stile_report why = { .size = sizeof(why) };
	struct stile_vulkan_image *imported = (struct stile_vulkan_image *)&why;
	ck_assert_int_eq(
		stile_vulkan_import_image(drawer.stile, image, usage, &why, &imported), error);
	ck_assert_ptr_null(imported);
	ck_assert_int_eq(why.reason, reason);
	ck_assert_int_eq(why.error, error);
	ck_assert_uint_eq(why.needed, needed);
	ck_assert_uint_eq(why.actual, actual);
	ck_assert_uint_gt(strlen(why.text), 0);
	stile_image_unref(image);
}

START_TEST(import_refuses_with_the_numbers) {
	VkImageUsageFlags sampled = VK_IMAGE_USAGE_SAMPLED_BIT;
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	check_refused(
		images_reopen_read_only(image), sampled, -EACCES, STILE_REASON_FD_ACCESS, 3, 1);
	check_refused(image, 0, -EINVAL, STILE_REASON_USAGE, 1, 0);
	/* 67 pixels are 320 bytes for lavapipe. */
	check_refused(images_import_odd(device, 67, 13, 512, 0, 512 * 16), sampled, -EOPNOTSUPP,
		STILE_REASON_PITCH, 320, 512);
	/* Its memory begins at multiples of 64. */
	check_refused(images_import_odd(device, 67, 13, 320, 4112, 8192 + 320 * 16), sampled,
		-EOPNOTSUPP, STILE_REASON_OFFSET, 64, 4112);
	/* Enough for 13 rows, not for the 16 that lavapipe counts. */
	check_refused(images_import_odd(device, 67, 13, 320, 0, 320 * 13), sampled, -ERANGE,
		STILE_REASON_BOUNDS, 320 * 16, 320 * 13);
}
END_TEST

START_TEST(import_takes_all_single_plane_formats) {
	static const uint32_t fourccs[] = { DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888,
		DRM_FORMAT_XBGR8888, DRM_FORMAT_ABGR8888, DRM_FORMAT_R8 };
	struct stile_image *image = images_create(device, 67, 13, fourccs[_i]);
	struct stile_vulkan_image *imported;
	ck_assert_int_eq(stile_vulkan_import_image(
				 drawer.stile, image, VK_IMAGE_USAGE_SAMPLED_BIT, NULL, &imported),
		0);
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

/*
 * After a failed import the descriptor is the importer's by the specification, but some drivers
 * close it: neither may leak it or close it twice.
 */
static bool driver_closes;

static VKAPI_ATTR VkResult VKAPI_CALL fail_to_allocate(VkDevice vk_device,
	const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *allocator,
	VkDeviceMemory *memory) {
	(void)vk_device;
	(void)allocator;
	(void)memory;
	const VkImportMemoryFdInfoKHR *import = info->pNext;
	if (driver_closes) {
		close(import->fd);
	}
	return VK_ERROR_INVALID_EXTERNAL_HANDLE;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc(
	VkDevice vk_device, const char *name) {
	return strcmp(name, "vkAllocateMemory") == 0 ? (PFN_vkVoidFunction)fail_to_allocate
						     : vkGetDeviceProcAddr(vk_device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_proc(
	VkInstance instance, const char *name) {
	return strcmp(name, "vkGetDeviceProcAddr") == 0 ? (PFN_vkVoidFunction)get_device_proc
							: vkGetInstanceProcAddr(instance, name);
}

START_TEST(failed_import_neither_leaks_nor_closes_twice) {
	driver_closes = _i == 1;
	struct stile_vulkan_info info = vulkan_drawer_describe(&drawer);
	struct stile_vulkan *vulkan;
	struct stile_vulkan_image *imported;
	info.get_instance_proc_addr = get_instance_proc;
	ck_assert_int_eq(stile_vulkan_create(&info, NULL, &vulkan), 0);
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	for (int i = 0; i < 20; i++) {
		struct stile_report why = { .size = sizeof(why) };
		ck_assert_int_eq(stile_vulkan_import_image(vulkan, image,
					 VK_IMAGE_USAGE_SAMPLED_BIT, &why, &imported),
			-EOPNOTSUPP);
		ck_assert_int_eq(why.reason, STILE_REASON_DRIVER);
		ck_assert_ptr_nonnull(strstr(why.text, "VK_ERROR_INVALID_EXTERNAL_HANDLE"));
	}
	/* Its own descriptor was not closed in the driver's stead. */
	void *memory;
	ck_assert_int_eq(
		stile_buffer_mmap(stile_image_get_buffer(image, 0), STILE_USAGE_READ, &memory), 0);
	stile_buffer_munmap(stile_image_get_buffer(image, 0), memory);
	stile_image_unref(image);
	stile_vulkan_destroy(vulkan);
}
END_TEST

/* Wrong code: memory that cannot be mapped for writing given to a driver, which crashes on it. */
START_TEST(sealed_memory_never_reaches_the_driver) {
	int seal = _i == 0 ? F_SEAL_WRITE : F_SEAL_FUTURE_WRITE;
	struct stile_vulkan_info info = vulkan_drawer_describe(&drawer);
	struct stile_vulkan *vulkan;
	driver_closes = false;
	info.get_instance_proc_addr = get_instance_proc;
	ck_assert_int_eq(stile_vulkan_create(&info, NULL, &vulkan), 0);
	struct stile_image *before = images_import_odd(device, 64, 64, 256, 0, 256 * 64);
	struct stile_image *after = images_seal_and_reopen(device, before, seal);
	struct stile_image *images[] = { before, after };
	for (size_t i = 0; i < 2; i++) {
		struct stile_report why = { .size = sizeof(why) };
		struct stile_vulkan_image *imported;
		ck_assert_int_eq(stile_vulkan_import_image(vulkan, images[i],
					 VK_IMAGE_USAGE_SAMPLED_BIT, &why, &imported),
			-EACCES);
		ck_assert_ptr_null(imported);
		ck_assert_int_eq(why.error, -EACCES);
		ck_assert_uint_gt(strlen(why.text), 0);
		stile_image_unref(images[i]);
	}
	stile_vulkan_destroy(vulkan);
}
END_TEST

static atomic_uint images_made, images_destroyed;

static VKAPI_ATTR VkResult VKAPI_CALL count_image(VkDevice vk_device, const VkImageCreateInfo *info,
	const VkAllocationCallbacks *allocator, VkImage *image) {
	images_made++;
	return vkCreateImage(vk_device, info, allocator, image);
}

static VKAPI_ATTR void VKAPI_CALL count_destroyed(
	VkDevice vk_device, VkImage image, const VkAllocationCallbacks *allocator) {
	images_destroyed += image != VK_NULL_HANDLE;
	vkDestroyImage(vk_device, image, allocator);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL counting_images_device_proc(
	VkDevice vk_device, const char *name) {
	if (strcmp(name, "vkCreateImage") == 0) {
		return (PFN_vkVoidFunction)count_image;
	}
	return strcmp(name, "vkDestroyImage") == 0 ? (PFN_vkVoidFunction)count_destroyed
						   : vkGetDeviceProcAddr(vk_device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL counting_images_instance_proc(
	VkInstance instance, const char *name) {
	return strcmp(name, "vkGetDeviceProcAddr") == 0
		? (PFN_vkVoidFunction)counting_images_device_proc
		: vkGetInstanceProcAddr(instance, name);
}

static struct stile_vulkan_image *import_again(
	struct stile_vulkan *vulkan, struct stile_image *image, VkImageUsageFlags usage) {
	struct stile_vulkan_image *imported;
	struct stile_report why = { .size = sizeof(why) };
	ck_assert_int_eq(stile_vulkan_import_image(vulkan, image, usage, &why, &imported), 0);
	ck_assert_int_eq(why.error, 0);
	return imported;
}

/* Wrong code: the driver asked for each frame, its object kept without its memory, or for other uses. */
START_TEST(importing_again_asks_the_driver_once_as_long_as_the_memory_lives) {
	struct stile_vulkan_info info = vulkan_drawer_describe(&drawer);
	struct stile_vulkan *vulkan;
	VkImageUsageFlags sampled = VK_IMAGE_USAGE_SAMPLED_BIT;
	info.get_instance_proc_addr = counting_images_instance_proc;
	ck_assert_int_eq(stile_vulkan_create(&info, NULL, &vulkan), 0);
	images_made = images_destroyed = 0;
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	struct stile_vulkan_image *first = import_again(vulkan, image, sampled);
	ck_assert_ptr_eq(import_again(vulkan, image, sampled), first);
	stile_vulkan_image_destroy(first);
	stile_vulkan_image_destroy(first);
	stile_vulkan_image_destroy(import_again(vulkan, image, sampled));
	ck_assert_uint_eq(images_made, 1);
	stile_vulkan_image_destroy(
		import_again(vulkan, image, sampled | VK_IMAGE_USAGE_TRANSFER_SRC_BIT));
	ck_assert_uint_eq(images_made, 2);
	ck_assert_uint_eq(images_destroyed, 0);
	/* Rights are an image's, not its memory's. */
	struct stile_image *reopened = images_reopen_read_only(image);
	struct stile_vulkan_image *refused;
	ck_assert_int_eq(
		stile_vulkan_import_image(vulkan, reopened, sampled, NULL, &refused), -EACCES);
	stile_image_unref(reopened);
	stile_image_unref(image);
	ck_assert_uint_eq(images_destroyed, 2);
	stile_vulkan_destroy(vulkan);
}
END_TEST

enum { IMPORTERS = 4, IMPORTS = 300, SHARED_IMAGES = 3 };

static struct importers {
	struct stile_vulkan *vulkan;
	pthread_mutex_t lock;
	struct stile_image *images[SHARED_IMAGES];
} importers;

struct importer {
	pthread_t thread;
	uint64_t random;
};

static void *import_by_chance(void *arg) {
	struct importer *self = arg;
	for (int i = 0; i < IMPORTS; i++) {
		size_t slot = runner_random(&self->random) % SHARED_IMAGES;
		struct stile_image *fresh = runner_random(&self->random) % 8 == 0
			? images_create(device, 64, 64, DRM_FORMAT_ABGR8888)
			: NULL;
		pthread_mutex_lock(&importers.lock);
		struct stile_image *before = importers.images[slot];
		struct stile_image *image = stile_image_ref(before);
		importers.images[slot] = fresh != NULL ? fresh : before;
		pthread_mutex_unlock(&importers.lock);
		stile_image_unref(fresh != NULL ? before : NULL);

		struct stile_vulkan_image *imported;
		runner_require(stile_vulkan_import_image(importers.vulkan, image,
				       VK_IMAGE_USAGE_SAMPLED_BIT, NULL, &imported) == 0,
			"an import");
		stile_image_unref(image);
		stile_vulkan_image_destroy(imported);
	}
	return NULL;
}

/* Wrong code: an object of the driver destroyed twice or never, or used by two who think it theirs alone. */
START_TEST(threads_import_what_comes_and_goes) {
	struct stile_vulkan_info info = vulkan_drawer_describe(&drawer);
	struct importer threads[IMPORTERS];
	uint64_t seed = runner_seed();
	info.get_instance_proc_addr = counting_images_instance_proc;
	info.cached_images = 2;
	ck_assert_int_eq(stile_vulkan_create(&info, NULL, &importers.vulkan), 0);
	images_made = images_destroyed = 0;
	pthread_mutex_init(&importers.lock, NULL);
	for (size_t i = 0; i < SHARED_IMAGES; i++) {
		importers.images[i] = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	}
	for (size_t i = 0; i < IMPORTERS; i++) {
		threads[i].random = runner_random(&seed);
		ck_assert_int_eq(
			pthread_create(&threads[i].thread, NULL, import_by_chance, &threads[i]), 0);
	}
	for (size_t i = 0; i < IMPORTERS; i++) {
		pthread_join(threads[i].thread, NULL);
	}
	ck_assert_uint_le(images_made - images_destroyed, 2);
	for (size_t i = 0; i < SHARED_IMAGES; i++) {
		stile_image_unref(importers.images[i]);
	}
	ck_assert_uint_eq(images_made, images_destroyed);
	stile_vulkan_destroy(importers.vulkan);
	pthread_mutex_destroy(&importers.lock);
}
END_TEST

/* ---- Fences into Vulkan ------------------------------------------------------------------- */

static bool is_reached(const struct stile_vulkan_wait *wait, uint64_t timeout_ns) {
	VkSemaphoreWaitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
		.semaphoreCount = 1,
		.pSemaphores = &wait->semaphore,
		.pValues = &wait->value,
	};
	return vkWaitSemaphores(drawer.device, &info, timeout_ns) == VK_SUCCESS;
}

static const uint64_t soon = 10 * (uint64_t)1000000000;

static struct stile_vulkan_wait cross(struct stile_fence *fence, enum stile_path_kind kind) {
	struct stile_vulkan_wait wait = { .size = sizeof(wait) };
	struct stile_path path = { .size = sizeof(path) };
	ck_assert_int_eq(stile_vulkan_wait_fence(drawer.stile, fence, &path, &wait), 0);
	ck_assert_int_eq(path.kind, kind);
	ck_assert_int_eq(path.blocked_ns, 0);
	return wait;
}

START_TEST(a_signalled_fence_needs_no_semaphore) {
	struct gate gate;
	gate_init(&gate);
	gate_open(&gate);
	struct stile_vulkan_wait wait = cross(gate.fence, STILE_PATH_NONE);
	ck_assert_ptr_null((void *)wait.semaphore);
	stile_fence_unref(gate.fence);
}
END_TEST

START_TEST(an_errored_fence_still_lets_the_device_go_on) {
	struct gate gate;
	gate_init(&gate);
	struct stile_vulkan_wait wait = cross(gate.fence, STILE_PATH_BRIDGE);
	ck_assert(!is_reached(&wait, 0));
	ck_assert_int_eq(stile_fence_set_error(gate.fence, -ENODATA), 0);
	gate_open(&gate);
	ck_assert(is_reached(&wait, soon));
	ck_assert_int_eq(stile_fence_get_status(gate.fence), -ENODATA);
	stile_fence_unref(gate.fence);
}
END_TEST

/* Values that share a semaphore must not release each other: each is reached after its own fence. */
START_TEST(fences_of_many_contexts_cross_in_any_order) {
	enum { COUNT = 64 };
	static struct gate gates[COUNT];
	struct stile_vulkan_wait waits[COUNT];
	size_t order[COUNT];
	uint64_t random = runner_seed();
	for (size_t i = 0; i < COUNT; i++) {
		gate_init(&gates[i]);
		waits[i] = cross(gates[i].fence, STILE_PATH_BRIDGE);
		order[i] = i;
	}
	for (size_t i = COUNT - 1; i > 0; i--) {
		size_t k = runner_random(&random) % (i + 1), swap = order[i];
		order[i] = order[k];
		order[k] = swap;
	}
	for (size_t i = 0; i < COUNT; i++) {
		gate_open(&gates[order[i]]);
		ck_assert(is_reached(&waits[order[i]], soon));
		for (size_t k = i + 1; k < COUNT; k++) {
			ck_assert_msg(!is_reached(&waits[order[k]], 0),
				"fence %zu of 64 released the wait for another one", i);
		}
	}
	for (size_t i = 0; i < COUNT; i++) {
		stile_fence_unref(gates[i].fence);
	}
}
END_TEST

/* Crossing in the wrong order must not make an earlier fence wait for a later one. */
START_TEST(fences_of_one_context_do_not_wait_for_later_ones) {
	struct gate early, late;
	gate_init(&early);
	gate_init(&late);
	late.fence->context = early.fence->context;
	late.fence->seqno = early.fence->seqno + 1;
	struct stile_vulkan_wait late_wait = cross(late.fence, STILE_PATH_BRIDGE);
	struct stile_vulkan_wait early_wait = cross(early.fence, STILE_PATH_BRIDGE);
	gate_open(&early);
	ck_assert(is_reached(&early_wait, soon));
	ck_assert(!is_reached(&late_wait, 0));
	gate_open(&late);
	ck_assert(is_reached(&late_wait, soon));
	stile_fence_unref(early.fence);
	stile_fence_unref(late.fence);
}
END_TEST

/* Wrong code: the semaphore cut off, so that the caller waits for nothing. */
START_TEST(a_wait_without_room_for_the_semaphore_is_einval) {
	static const size_t sizes[] = { 0, sizeof(size_t), sizeof(struct stile_vulkan_wait) - 1 };
	struct gate gate;
	struct stile_vulkan_wait wait = { .size = sizes[_i] };
	gate_init(&gate);
	ck_assert_int_eq(stile_vulkan_wait_fence(drawer.stile, gate.fence, NULL, &wait), -EINVAL);
	gate_open(&gate);
	ck_assert_int_eq(stile_vulkan_wait_fence(drawer.stile, gate.fence, NULL, &wait), -EINVAL);
	stile_fence_unref(gate.fence);
}
END_TEST

/* ---- Vulkan's work into fences ------------------------------------------------------------ */

static void submit_behind(const struct stile_vulkan_wait *wait) {
	VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	VkTimelineSemaphoreSubmitInfo timeline = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = 1,
		.pWaitSemaphoreValues = &wait->value,
	};
	VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &timeline,
		.waitSemaphoreCount = 1,
		.pWaitSemaphores = &wait->semaphore,
		.pWaitDstStageMask = &stage,
	};
	ck_assert_int_eq(vkQueueSubmit(drawer.queue, 1, &submit, VK_NULL_HANDLE), VK_SUCCESS);
}

START_TEST(a_fence_of_the_queue_ends_after_what_was_submitted_before) {
	struct gate gate;
	struct stile_fence *fence, *second;
	gate_init(&gate);
	struct stile_vulkan_wait wait = cross(gate.fence, STILE_PATH_BRIDGE);
	submit_behind(&wait);
	ck_assert_int_eq(stile_vulkan_fence_create(drawer.stile, &fence), 0);
	ck_assert_int_eq(stile_vulkan_fence_create(drawer.stile, &second), 0);
	runner_sleep_ms(20);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	ck_assert_int_eq(stile_fence_get_status(second), 0);
	/* Behind its own fence Vulkan waits for its own semaphore: no bridge. */
	cross(fence, STILE_PATH_HANDLE);
	gate_open(&gate);
	ck_assert_int_eq(stile_fence_wait(second, job_deadline()), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	ck_assert_int_eq(stile_fence_get_status(second), 1);
	ck_assert_str_eq(stile_fence_get_driver_name(fence), "vulkan");
	cross(fence, STILE_PATH_NONE);
	stile_fence_unref(fence);
	stile_fence_unref(second);
	stile_fence_unref(gate.fence);
}
END_TEST

/* ---- Fences that the kernel has too: interop-tests/kernel has them in earnest --------------- */

/* Wrong code: a sync_file made up where the driver exports none; or an error, without being asked. */
START_TEST(without_the_extension_a_fence_is_the_queues_own_or_refused) {
	struct stile_vulkan_info info = vulkan_drawer_describe(&drawer);
	struct stile_vulkan *vulkan;
	struct stile_fence *fence;
	struct stile_path path = { .size = sizeof(path) };
	info.extension_count = 3;
	ck_assert_int_eq(stile_vulkan_create(&info, NULL, &vulkan), 0);
	static const enum stile_user_fences choices[] = { STILE_USER_FENCES_HOLD,
		STILE_USER_FENCES_WAIT };
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(stile_vulkan_fence_create_sync_file(
					 vulkan, device, choices[i], &path, &fence),
			0);
		ck_assert_int_eq(path.kind, STILE_PATH_HANDLE);
		ck_assert_int_eq(stile_fence_wait(fence, job_deadline()), 0);
		ck_assert_str_eq(stile_fence_get_driver_name(fence), "vulkan");
		stile_fence_unref(fence);
	}
	ck_assert_int_eq(stile_vulkan_fence_create_sync_file(
				 vulkan, device, STILE_USER_FENCES_REFUSE, &path, &fence),
		-EOPNOTSUPP);
	ck_assert_ptr_null(fence);
	stile_vulkan_destroy(vulkan);
}
END_TEST

/* Wrong code: an unknown choice taken for the first one, or a path written beyond its end. */
START_TEST(a_sync_file_with_an_impossible_size_or_choice_is_einval) {
	struct stile_path path = { .size = 1 };
	struct stile_fence *fence;
	ck_assert_int_eq(stile_vulkan_fence_create_sync_file(
				 drawer.stile, device, STILE_USER_FENCES_HOLD, &path, &fence),
		-EINVAL);
	ck_assert_ptr_null(fence);
	ck_assert_int_eq(stile_vulkan_fence_create_sync_file(
				 drawer.stile, device, (enum stile_user_fences)3, NULL, &fence),
		-EINVAL);
	ck_assert_ptr_null(fence);
}
END_TEST

/* ---- The application's own semaphores and VkFences; all that drivers may do: test_vulkan_sync.c ---- */

static VkSemaphore create_semaphore(VkSemaphoreType type) {
	VkSemaphoreTypeCreateInfo of = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
		.semaphoreType = type,
	};
	VkSemaphoreCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
		.pNext = &of,
	};
	VkSemaphore semaphore;
	ck_assert_int_eq(vkCreateSemaphore(drawer.device, &info, NULL, &semaphore), VK_SUCCESS);
	return semaphore;
}

/* Wrong code: what is right for the specification, and not for a driver. */
START_TEST(timeline_semaphore_waits_before_submit_and_is_signalled) {
	VkSemaphore semaphore = create_semaphore(VK_SEMAPHORE_TYPE_TIMELINE);
	struct stile_timeline *timeline;
	struct stile_fence *fence, *work;
	struct gate gate;
	gate_init(&gate);
	ck_assert_int_eq(
		stile_vulkan_timeline_create(drawer.stile, "theirs", semaphore, &timeline), 0);
	ck_assert_int_eq(stile_timeline_create_fence(timeline, 5, &fence), 0);
	struct stile_vulkan_wait wait = cross(fence, STILE_PATH_HANDLE);
	ck_assert(wait.semaphore == semaphore);
	submit_behind(&wait);
	ck_assert_int_eq(stile_vulkan_fence_create(drawer.stile, &work), 0);
	ck_assert_int_eq(stile_timeline_submit(timeline, 5, gate.fence), 0);
	runner_sleep_ms(20);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	ck_assert_int_eq(stile_fence_get_status(work), 0);
	gate_open(&gate);
	ck_assert_int_eq(stile_fence_wait(work, job_deadline()), 0);
	ck_assert_int_eq(stile_fence_wait(fence, job_deadline()), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 5);
	ck_assert_int_eq(stile_timeline_signal(timeline, 6), 0);
	stile_fence_unref(fence);
	ck_assert_int_eq(stile_timeline_create_fence(timeline, 9, &fence), 0);
	stile_timeline_unref(timeline);
	vkDestroySemaphore(drawer.device, semaphore, NULL);
	ck_assert_int_eq(stile_fence_get_status(fence), -ENOENT);
	stile_fence_unref(fence);
	stile_fence_unref(work);
	stile_fence_unref(gate.fence);
}
END_TEST

/* The same of a binary semaphore: twice there and back, by the queue. */
START_TEST(binary_semaphore_goes_there_and_back) {
	VkSemaphore semaphore = create_semaphore(VK_SEMAPHORE_TYPE_BINARY);
	struct stile_vulkan_form form = {
		.size = sizeof(form),
		.semaphore = semaphore,
		.user_fences = STILE_USER_FENCES_REFUSE,
	};
	for (int i = 0; i < 2; i++) {
		struct stile_path path = { .size = sizeof(path) };
		struct stile_fence *work, *back;
		ck_assert_int_eq(stile_vulkan_fence_create(drawer.stile, &work), 0);
		ck_assert_int_eq(
			stile_vulkan_export_fence(drawer.stile, work, &form, &path, NULL), 0);
		ck_assert(path.kind == STILE_PATH_HANDLE || path.kind == STILE_PATH_NONE);
		ck_assert_int_eq(
			stile_vulkan_import_fence(drawer.stile, &form, &path, NULL, &back), 0);
		ck_assert_int_eq(path.kind, STILE_PATH_HANDLE);
		ck_assert_int_eq(stile_fence_wait(back, job_deadline()), 0);
		ck_assert_int_eq(stile_fence_get_status(work), 1);
		stile_fence_unref(back);
		stile_fence_unref(work);
	}
	vkDestroySemaphore(drawer.device, semaphore, NULL);
}
END_TEST

/* The same of a VkFence, behind a program's fence. */
START_TEST(vk_fence_goes_there_and_back) {
	VkFenceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
	struct stile_vulkan_form form = { .size = sizeof(form) };
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *back;
	struct gate gate;
	gate_init(&gate);
	ck_assert_int_eq(vkCreateFence(drawer.device, &info, NULL, &form.fence), VK_SUCCESS);
	ck_assert_int_eq(
		stile_vulkan_export_fence(drawer.stile, gate.fence, &form, &path, NULL), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_BRIDGE);
	ck_assert_int_eq(stile_vulkan_import_fence(drawer.stile, &form, &path, NULL, &back), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_BRIDGE);
	ck_assert(stile_vulkan_is_held(drawer.stile));
	runner_sleep_ms(20);
	ck_assert_int_eq(stile_fence_get_status(back), 0);
	gate_open(&gate);
	ck_assert_int_eq(stile_fence_wait(back, job_deadline()), 0);
	ck_assert_int_eq(stile_fence_get_status(back), 1);
	vkDestroyFence(drawer.device, form.fence, NULL);
	stile_fence_unref(back);
	stile_fence_unref(gate.fence);
}
END_TEST

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned queue_locked;

static void lock_queue(void *user) {
	pthread_mutex_lock(user);
	queue_locked++;
}

static void unlock_queue(void *user) {
	pthread_mutex_unlock(user);
}

START_TEST(the_queue_is_used_under_its_lock) {
	struct stile_vulkan_info info = vulkan_drawer_describe(&drawer);
	struct stile_vulkan *vulkan;
	struct stile_fence *fence;
	info.lock_queue = lock_queue;
	info.unlock_queue = unlock_queue;
	info.queue_user = &queue_lock;
	queue_locked = 0;
	ck_assert_int_eq(stile_vulkan_create(&info, NULL, &vulkan), 0);
	ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &fence), 0);
	ck_assert_uint_eq(queue_locked, 1);
	ck_assert_int_eq(stile_fence_wait(fence, job_deadline()), 0);
	stile_fence_unref(fence);
	stile_vulkan_destroy(vulkan);
	ck_assert_uint_eq(queue_locked, 2);
	ck_assert_int_eq(pthread_mutex_trylock(&queue_lock), 0);
	pthread_mutex_unlock(&queue_lock);
}
END_TEST

/* Nothing hangs, nothing is freed too early, whatever is still under way. */
START_TEST(destroy_ends_bridges_and_fences) {
	struct stile_vulkan_info info = vulkan_drawer_describe(&drawer);
	struct stile_vulkan *vulkan;
	struct stile_vulkan_wait wait = { .size = sizeof(wait) };
	struct stile_fence *fence;
	struct gate gate;
	gate_init(&gate);
	ck_assert_int_eq(stile_vulkan_create(&info, NULL, &vulkan), 0);
	ck_assert_int_eq(stile_vulkan_wait_fence(vulkan, gate.fence, NULL, &wait), 0);
	submit_behind(&wait);
	ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &fence), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	stile_vulkan_destroy(vulkan);
	/* The fence outlives the adapter; the gate is nobody's business any more. */
	ck_assert_int_ne(stile_fence_get_status(fence), 0);
	stile_fence_unref(fence);
	gate_open(&gate);
	stile_fence_unref(gate.fence);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("vulkan");
	TCase *tcase = tcase_create("adapter");
	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, start_vulkan, stop_vulkan);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_checked_fixture(tcase, open_device, destroy_device);
	tcase_add_test(tcase, create_says_what_is_missing);
	tcase_add_test(tcase, create_with_an_impossible_size_leaves_nothing_stale);
	tcase_add_test(tcase, import_refuses_with_the_numbers);
	tcase_add_loop_test(tcase, import_takes_all_single_plane_formats, 0, 5);
	tcase_add_loop_test(tcase, failed_import_neither_leaks_nor_closes_twice, 0, 2);
	tcase_add_loop_test(tcase, sealed_memory_never_reaches_the_driver, 0, 2);
	tcase_add_test(tcase, importing_again_asks_the_driver_once_as_long_as_the_memory_lives);
	tcase_add_test(tcase, threads_import_what_comes_and_goes);
	tcase_add_test(tcase, a_signalled_fence_needs_no_semaphore);
	tcase_add_test(tcase, an_errored_fence_still_lets_the_device_go_on);
	tcase_add_test(tcase, fences_of_many_contexts_cross_in_any_order);
	tcase_add_test(tcase, fences_of_one_context_do_not_wait_for_later_ones);
	tcase_add_loop_test(tcase, a_wait_without_room_for_the_semaphore_is_einval, 0, 3);
	tcase_add_test(tcase, a_fence_of_the_queue_ends_after_what_was_submitted_before);
	tcase_add_test(tcase, without_the_extension_a_fence_is_the_queues_own_or_refused);
	tcase_add_test(tcase, a_sync_file_with_an_impossible_size_or_choice_is_einval);
	tcase_add_test(tcase, timeline_semaphore_waits_before_submit_and_is_signalled);
	tcase_add_test(tcase, binary_semaphore_goes_there_and_back);
	tcase_add_test(tcase, vk_fence_goes_there_and_back);
	tcase_add_test(tcase, the_queue_is_used_under_its_lock);
	tcase_add_test(tcase, destroy_ends_bridges_and_fences);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
