/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/fake_vulkan.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "interop-tests/support/fake_gpu.h"
#include "interop-tests/support/fake_vulkan_device.h"
#include "interop-tests/support/fake_vulkan_memory.h"
#include "interop-tests/support/runner.h"

/* A VkSemaphore, or a VkFence: that is one of value 1. */
struct object {
	struct fake_payload *payload;
	struct fake_payload *own; /* what comes back after one wait; NULL: `payload` is for good */
	bool timeline;
	VkFlags exportable;
	int fd; /* imported for once */
};

static const int64_t forever = INT64_MAX;

static struct object *object_of(VkSemaphore semaphore) {
	return (struct object *)semaphore;
}

static struct object *object_of_fence(VkFence fence) {
	return (struct object *)fence;
}

static struct fake_vulkan *fake_of(VkDevice device) {
	return (struct fake_vulkan *)device;
}

VkResult fake_vulkan_enter(struct fake_vulkan *fake, const char *call) {
	int code = VK_SUCCESS;
	fake_gpu_lock();
	if (fake_gpu_fails(call, &code)) {
		if (code == VK_ERROR_DEVICE_LOST) {
			fake->lost = true;
			fake_queue_abandon(fake->queue);
		}
		return (VkResult)code;
	}
	return fake->lost ? VK_ERROR_DEVICE_LOST : VK_SUCCESS;
}

VkResult fake_vulkan_leave(VkResult result) {
	fake_gpu_unlock();
	return result;
}

/* ---- Objects --------------------------------------------------------------------------------- */

static struct object *object_create(bool timeline, VkFlags exportable) {
	struct object *object = malloc(sizeof(*object));
	struct fake_payload *payload = fake_payload_create();
	if (object == NULL || payload == NULL) {
		free(object);
		free(payload);
		return NULL;
	}
	*object = (struct object){
		.payload = payload,
		.timeline = timeline,
		.exportable = exportable,
		.fd = FAKE_FD_NONE,
	};
	fake_gpu_count(1);
	return object;
}

/* What was imported for once, was waited for. */
static void object_restore(struct object *object) {
	if (object->own != NULL) {
		fake_payload_unref(object->payload);
		object->payload = object->own;
		object->own = NULL;
	}
}

static void object_drop_import(struct object *object) {
	if (object->fd >= 0) {
		close(object->fd);
	}
	object->fd = FAKE_FD_NONE;
}

static void object_destroy(struct object *object, const char *call) {
	if (object == NULL) {
		return;
	}
	if (object->payload->users > 0 && object->payload->refs == 1 + object->payload->users) {
		fake_gpu_complain("%s of what is in use", call);
	}
	object_drop_import(object);
	object_restore(object);
	fake_payload_unref(object->payload);
	free(object);
	fake_gpu_count(-1);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_semaphore(VkDevice device,
	const VkSemaphoreCreateInfo *info, const VkAllocationCallbacks *allocator,
	VkSemaphore *semaphore) {
	(void)allocator;
	VkFlags exportable = 0;
	bool timeline = false;
	for (const VkBaseInStructure *at = info->pNext; at != NULL; at = at->pNext) {
		const void *in = at;
		if (at->sType == VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO) {
			exportable = ((const VkExportSemaphoreCreateInfo *)in)->handleTypes;
		} else if (at->sType == VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO) {
			timeline = ((const VkSemaphoreTypeCreateInfo *)in)->semaphoreType ==
				VK_SEMAPHORE_TYPE_TIMELINE;
		}
	}
	VkResult result = fake_vulkan_enter(fake_of(device), "vkCreateSemaphore");
	struct object *object = result == VK_SUCCESS ? object_create(timeline, exportable) : NULL;
	*semaphore = (VkSemaphore)object;
	return fake_vulkan_leave(
		result == VK_SUCCESS && object == NULL ? VK_ERROR_OUT_OF_HOST_MEMORY : result);
}

static VKAPI_ATTR void VKAPI_CALL destroy_semaphore(
	VkDevice device, VkSemaphore semaphore, const VkAllocationCallbacks *allocator) {
	(void)device;
	(void)allocator;
	fake_gpu_lock();
	object_destroy(object_of(semaphore), "vkDestroySemaphore");
	fake_gpu_unlock();
}

/* ---- The host and timeline semaphores -------------------------------------------------------- */

static VKAPI_ATTR VkResult VKAPI_CALL get_counter(
	VkDevice device, VkSemaphore semaphore, uint64_t *value) {
	VkResult result = fake_vulkan_enter(fake_of(device), "vkGetSemaphoreCounterValue");
	if (result == VK_SUCCESS) {
		*value = object_of(semaphore)->payload->value;
	}
	return fake_vulkan_leave(result);
}

static VKAPI_ATTR VkResult VKAPI_CALL signal_semaphore(
	VkDevice device, const VkSemaphoreSignalInfo *info) {
	VkResult result = fake_vulkan_enter(fake_of(device), "vkSignalSemaphore");
	const struct object *object = object_of(info->semaphore);
	if (!object->timeline) {
		fake_gpu_complain("vkSignalSemaphore of a binary one");
	} else if (result == VK_SUCCESS) {
		fake_payload_set(object->payload, info->value);
	}
	return fake_vulkan_leave(result);
}

static bool wait_is_over(const VkSemaphoreWaitInfo *info) {
	bool any = false, all = true;
	for (uint32_t i = 0; i < info->semaphoreCount; i++) {
		bool over = object_of(info->pSemaphores[i])->payload->value >= info->pValues[i];
		any = any || over;
		all = all && over;
	}
	return (info->flags & VK_SEMAPHORE_WAIT_ANY_BIT) != 0 ? any : all;
}

static void wait_use(const VkSemaphoreWaitInfo *info, bool begin) {
	for (uint32_t i = 0; i < info->semaphoreCount; i++) {
		struct fake_payload *payload = object_of(info->pSemaphores[i])->payload;
		if (begin) {
			fake_payload_ref(payload)->users++;
		} else {
			payload->users--;
			fake_payload_unref(payload);
		}
	}
}

static int64_t deadline_after(uint64_t timeout_ns) {
	return timeout_ns > INT64_MAX / 2 ? forever : runner_clock_ns() + (int64_t)timeout_ns;
}

/* False: the time is over. */
static bool spin(int64_t deadline_ns) {
	fake_gpu_unlock();
	fake_gpu_lock();
	return runner_clock_ns() < deadline_ns;
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_semaphores(
	VkDevice device, const VkSemaphoreWaitInfo *info, uint64_t timeout_ns) {
	struct fake_vulkan *fake = fake_of(device);
	int64_t deadline_ns = deadline_after(timeout_ns);
	VkResult result = fake_vulkan_enter(fake, "vkWaitSemaphores");
	if (result != VK_SUCCESS) {
		return fake_vulkan_leave(result);
	}
	if ((info->flags & VK_SEMAPHORE_WAIT_ANY_BIT) != 0) {
		fake->any_count = info->semaphoreCount;
	}
	bool spins = fake->traits.spins && info->semaphoreCount > 1;
	wait_use(info, true);
	bool over;
	while (!(over = wait_is_over(info)) && !fake->lost &&
		(spins ? spin(deadline_ns) : fake_gpu_sleep(deadline_ns))) {
	}
	wait_use(info, false);
	result = over ? VK_SUCCESS : fake->lost ? VK_ERROR_DEVICE_LOST : VK_TIMEOUT;
	return fake_vulkan_leave(result);
}

/* ---- The queue ------------------------------------------------------------------------------- */

/* Behind what nobody has submitted, binary semaphores are of no use (VUID 03238, 03254). */
static void check_held(const struct fake_vulkan *fake, const char *what) {
	if (fake_queue_is_held(fake->queue)) {
		fake_gpu_complain("%s behind a value that nobody has submitted", what);
	}
}

static struct fake_op wait_op(struct fake_vulkan *fake, struct object *object, uint64_t value) {
	struct fake_op op = { .payload = object->payload, .value = value, .fd = FAKE_FD_NONE };
	if (object->timeline) {
		return op;
	}
	check_held(fake, "a wait for a binary semaphore");
	if (object->fd != FAKE_FD_NONE) {
		op = (struct fake_op){ .fd = object->fd };
		object->fd = FAKE_FD_NONE;
		return op;
	}
	if (object->payload->signals <= object->payload->waits) {
		fake_gpu_complain("a wait for a binary semaphore that nothing signals");
	}
	op.value = ++object->payload->waits;
	return op;
}

static struct fake_op signal_op(struct object *object, uint64_t value) {
	struct fake_payload *payload = object->payload;
	if (!object->timeline) {
		if (payload->signals > payload->waits || object->fd != FAKE_FD_NONE) {
			fake_gpu_complain("a binary semaphore is signalled twice");
		}
		value = ++payload->signals;
	} else if (value <= payload->submitted) {
		fake_gpu_complain("a value of %llu is submitted after %llu",
			(unsigned long long)value, (unsigned long long)payload->submitted);
	}
	payload->submitted = value > payload->submitted ? value : payload->submitted;
	return (struct fake_op){ .payload = payload, .value = value, .fd = FAKE_FD_NONE };
}

static struct fake_batch make_batch(struct fake_vulkan *fake, const VkSubmitInfo *info) {
	const VkTimelineSemaphoreSubmitInfo *timeline = info->pNext;
	struct fake_batch batch = {
		.wait_count = info->waitSemaphoreCount,
		.signal_count = info->signalSemaphoreCount,
	};
	/* A VkFence may come to what is signalled. */
	if (batch.wait_count > FAKE_OPS || batch.signal_count >= FAKE_OPS ||
		info->commandBufferCount > 0) {
		fake_gpu_complain("vkQueueSubmit of more than the fake can do");
		return (struct fake_batch){ .wait_count = 0 };
	}
	for (uint32_t i = 0; i < info->waitSemaphoreCount; i++) {
		batch.waits[i] = wait_op(fake, object_of(info->pWaitSemaphores[i]),
			timeline != NULL && i < timeline->waitSemaphoreValueCount
				? timeline->pWaitSemaphoreValues[i]
				: 0);
	}
	for (uint32_t i = 0; i < info->signalSemaphoreCount; i++) {
		batch.signals[i] = signal_op(object_of(info->pSignalSemaphores[i]),
			timeline != NULL && i < timeline->signalSemaphoreValueCount
				? timeline->pSignalSemaphoreValues[i]
				: 0);
	}
	return batch;
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit(
	VkQueue queue, uint32_t count, const VkSubmitInfo *infos, VkFence fence) {
	struct fake_vulkan *fake = (struct fake_vulkan *)queue;
	VkResult result = fake_vulkan_enter(fake, "vkQueueSubmit");
	if (result != VK_SUCCESS) {
		return fake_vulkan_leave(result);
	}
	if (count != 1) {
		fake_gpu_complain("vkQueueSubmit of %u: the fake takes one at a time", count);
	}
	struct fake_batch batch = make_batch(fake, infos);
	if (fence != VK_NULL_HANDLE) {
		struct object *object = object_of_fence(fence);
		if (object->payload->submitted > 0 || object->fd != FAKE_FD_NONE) {
			fake_gpu_complain("a VkFence is used twice");
		}
		object->payload->submitted = 1;
		batch.signals[batch.signal_count++] =
			(struct fake_op){ .payload = object->payload, .value = 1 };
	}
	fake_queue_submit(fake->queue, &batch);
	/* It has references of its own. */
	for (uint32_t i = 0; i < infos->waitSemaphoreCount; i++) {
		object_restore(object_of(infos->pWaitSemaphores[i]));
	}
	return fake_vulkan_leave(VK_SUCCESS);
}

enum { IDLE_S = 20 };

static VKAPI_ATTR VkResult VKAPI_CALL queue_wait_idle(VkQueue queue) {
	struct fake_vulkan *fake = (struct fake_vulkan *)queue;
	VkResult result = fake_vulkan_enter(fake, "vkQueueWaitIdle");
	int64_t deadline_ns = runner_clock_ns() + IDLE_S * (int64_t)1000000000;
	while (result == VK_SUCCESS && !fake->lost && !fake_queue_is_idle(fake->queue)) {
		/* Of a test that failed while it held the queue, nobody lets go: it has to end all the same. */
		if (!fake_gpu_sleep(deadline_ns)) {
			fake_gpu_complain("vkQueueWaitIdle: it is not idle after %d s", IDLE_S);
			fake->lost = true;
			fake_queue_abandon(fake->queue);
		}
	}
	return fake_vulkan_leave(result);
}

/* ---- VkFences -------------------------------------------------------------------------------- */

static bool fence_is_over(const struct object *object) {
	return object->fd != FAKE_FD_NONE ? fake_fd_is_over(object->fd)
					  : object->payload->value >= 1;
}

static VKAPI_ATTR VkResult VKAPI_CALL get_fence_status(VkDevice device, VkFence fence) {
	VkResult result = fake_vulkan_enter(fake_of(device), "vkGetFenceStatus");
	if (result == VK_SUCCESS && !fence_is_over(object_of_fence(fence))) {
		result = VK_NOT_READY;
	}
	return fake_vulkan_leave(result);
}

/* ---- Descriptors ----------------------------------------------------------------------------- */

/* A driver that takes what is no sync_file of its own would be too kind: but for timers, as lavapipe's. */
static VkResult import_sync_file(struct object *object, bool temporary, int fd) {
	if (!temporary || object->timeline) {
		fake_gpu_complain("SYNC_FD imported for good, or into a timeline");
	}
	object_drop_import(object);
	object->fd = fd < 0 ? FAKE_FD_OVER : fd;
	return VK_SUCCESS;
}

static VkResult import_opaque(struct object *object, bool temporary, int fd) {
	struct fake_payload *payload = fake_payload_import(fd);
	if (payload == NULL) {
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
	if (temporary && object->timeline) {
		fake_gpu_complain("a timeline imported for once (VUID 03323)");
	}
	object_restore(object);
	if (temporary) {
		object->own = object->payload;
	} else {
		fake_payload_unref(object->payload);
	}
	object->payload = payload;
	close(fd);
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL import_semaphore_fd(
	VkDevice device, const VkImportSemaphoreFdInfoKHR *info) {
	struct object *object = object_of(info->semaphore);
	bool temporary = (info->flags & VK_SEMAPHORE_IMPORT_TEMPORARY_BIT) != 0;
	VkResult result = fake_vulkan_enter(fake_of(device), "vkImportSemaphoreFdKHR");
	if (result == VK_SUCCESS &&
		info->handleType == VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT) {
		result = import_opaque(object, temporary, info->fd);
	} else if (result == VK_SUCCESS) {
		result = import_sync_file(object, temporary, info->fd);
	}
	if (result != VK_SUCCESS) {
		fake_gpu_import_failed(info->fd);
	}
	return fake_vulkan_leave(result);
}

static VKAPI_ATTR VkResult VKAPI_CALL import_fence_fd(
	VkDevice device, const VkImportFenceFdInfoKHR *info) {
	VkResult result = fake_vulkan_enter(fake_of(device), "vkImportFenceFdKHR");
	if (result == VK_SUCCESS) {
		result = import_sync_file(object_of_fence(info->fence),
			(info->flags & VK_FENCE_IMPORT_TEMPORARY_BIT) != 0, info->fd);
	}
	return fake_vulkan_leave(result);
}

/* Its sync_file, and nothing is left in it. */
static int export_sync_file(struct fake_vulkan *fake, struct object *object, uint64_t value) {
	if (object->fd != FAKE_FD_NONE) {
		int fd = object->fd;
		object->fd = FAKE_FD_NONE;
		bool lost = fake->traits.loses_exported && fd >= 0;
		if (lost) {
			close(fd);
		}
		return lost || fd == FAKE_FD_OVER ? -1 : fd;
	}
	struct fake_payload *payload = fake_payload_ref(object->payload);
	while (fake->traits.export_blocks && payload->value < value && !fake->lost) {
		fake_gpu_set_blocked(true);
		fake_gpu_sleep(forever);
	}
	fake_gpu_set_blocked(false);
	int fd = fake_payload_get_sync_file(payload, value);
	fake_payload_unref(payload);
	return fd;
}

static VKAPI_ATTR VkResult VKAPI_CALL get_semaphore_fd(
	VkDevice device, const VkSemaphoreGetFdInfoKHR *info, int *fd) {
	struct fake_vulkan *fake = fake_of(device);
	struct object *object = object_of(info->semaphore);
	struct fake_payload *payload = object->payload;
	VkResult result = fake_vulkan_enter(fake, "vkGetSemaphoreFdKHR");
	if ((object->exportable & info->handleType) == 0) {
		fake_gpu_complain("an export of a semaphore that was not made for it");
	}
	if (result != VK_SUCCESS) {
		return fake_vulkan_leave(result);
	}
	if (info->handleType == VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT) {
		*fd = fake_payload_export(payload);
		return fake_vulkan_leave(*fd < 0 ? VK_ERROR_TOO_MANY_OBJECTS : VK_SUCCESS);
	}
	if (object->fd == FAKE_FD_NONE) {
		check_held(fake, "an export of a binary semaphore");
		if (object->timeline || payload->signals <= payload->waits) {
			fake_gpu_complain("an export of a semaphore that nothing signals");
		}
		payload->waits++;
	}
	*fd = export_sync_file(fake, object, payload->waits);
	return fake_vulkan_leave(VK_SUCCESS);
}

static VKAPI_ATTR VkResult VKAPI_CALL get_fence_fd(
	VkDevice device, const VkFenceGetFdInfoKHR *info, int *fd) {
	struct fake_vulkan *fake = fake_of(device);
	struct object *object = object_of_fence(info->fence);
	VkResult result = fake_vulkan_enter(fake, "vkGetFenceFdKHR");
	if (object->exportable == 0 ||
		(object->payload->submitted == 0 && object->fd == FAKE_FD_NONE)) {
		fake_gpu_complain("an export of a VkFence not made for it, or never submitted");
	}
	struct fake_payload *fresh = result == VK_SUCCESS ? fake_payload_create() : NULL;
	if (fresh == NULL) {
		return fake_vulkan_leave(
			result != VK_SUCCESS ? result : VK_ERROR_OUT_OF_HOST_MEMORY);
	}
	*fd = export_sync_file(fake, object, 1);
	fake_payload_unref(object->payload);
	object->payload = fresh;
	return fake_vulkan_leave(VK_SUCCESS);
}

/* ---- What it says of itself ------------------------------------------------------------------ */

static VKAPI_ATTR void VKAPI_CALL get_properties(
	VkPhysicalDevice physical_device, VkPhysicalDeviceProperties *properties) {
	const struct fake_vulkan *fake = (const struct fake_vulkan *)physical_device;
	const struct fake_vulkan_memory_traits *memory = fake->traits.memory;
	*properties = (VkPhysicalDeviceProperties){
		.apiVersion = VK_API_VERSION_1_3,
		.deviceName = "fake (of a test)",
	};
	if (memory != NULL) {
		properties->deviceType = memory->type;
		properties->limits.maxImageDimension2D = memory->max_dimension;
	}
}

static bool has_drm(const struct fake_vulkan_memory_traits *memory) {
	return memory != NULL && (memory->drm || memory->node != 0 || memory->primary != 0);
}

static void get_nodes(
	const struct fake_vulkan_memory_traits *memory, VkPhysicalDeviceDrmPropertiesEXT *drm) {
	fake_require_rule(has_drm(memory), "vkGetPhysicalDeviceProperties2",
		"VUID-VkPhysicalDeviceProperties2-pNext-pNext");
	/* Of a node that it has not, the numbers mean nothing. */
	const dev_t nobodys = makedev(99, 99);
	dev_t render = memory->node != 0 ? memory->node : nobodys,
	      primary = memory->primary != 0 ? memory->primary : nobodys;
	*drm = (VkPhysicalDeviceDrmPropertiesEXT){
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRM_PROPERTIES_EXT,
		.pNext = drm->pNext,
		.hasRender = memory->node != 0,
		.renderMajor = major(render),
		.renderMinor = minor(render),
		.hasPrimary = memory->primary != 0,
		.primaryMajor = major(primary),
		.primaryMinor = minor(primary),
	};
}

static VKAPI_ATTR void VKAPI_CALL get_properties2(
	VkPhysicalDevice physical_device, VkPhysicalDeviceProperties2 *properties) {
	const struct fake_vulkan *fake = (const struct fake_vulkan *)physical_device;
	get_properties(physical_device, &properties->properties);
	for (VkBaseOutStructure *at = properties->pNext; at != NULL; at = at->pNext) {
		if (at->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES) {
			VkPhysicalDeviceIDProperties *id = (void *)at;
			memset(id->deviceUUID, fake->traits.uuid, VK_UUID_SIZE);
			memset(id->driverUUID, fake->traits.uuid ^ fake->traits.driver,
				VK_UUID_SIZE);
		} else if (at->sType ==
			VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT) {
			VkPhysicalDeviceExternalMemoryHostPropertiesEXT *host = (void *)at;
			host->minImportedHostPointerAlignment = FAKE_VULKAN_HOST_ALIGN;
		} else if (at->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRM_PROPERTIES_EXT) {
			get_nodes(fake->traits.memory, (void *)at);
		}
	}
}

static VKAPI_ATTR VkResult VKAPI_CALL enumerate_extensions(VkPhysicalDevice physical_device,
	const char *layer, uint32_t *count, VkExtensionProperties *extensions) {
	struct fake_vulkan *fake = (struct fake_vulkan *)physical_device;
	VkResult result = fake_vulkan_enter(fake, "vkEnumerateDeviceExtensionProperties");
	(void)layer;
	static const VkExtensionProperties all[] = {
		{ .extensionName = VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME },
		{ .extensionName = VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME },
		{ .extensionName = VK_EXT_PHYSICAL_DEVICE_DRM_EXTENSION_NAME },
		{ .extensionName = VK_KHR_SWAPCHAIN_EXTENSION_NAME },
	};
	*count = has_drm(fake->traits.memory) ? 4 : 2;
	if (extensions != NULL) {
		memcpy(extensions, all, *count * sizeof(all[0]));
	}
	return fake_vulkan_leave(result);
}

static VKAPI_ATTR void VKAPI_CALL get_semaphore_properties(VkPhysicalDevice physical_device,
	const VkPhysicalDeviceExternalSemaphoreInfo *info, VkExternalSemaphoreProperties *out) {
	const struct fake_vulkan *fake = (const struct fake_vulkan *)physical_device;
	const VkSemaphoreTypeCreateInfo *type =
		fake_chain_find(info->pNext, VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO);
	bool is_timeline = type != NULL && type->semaphoreType == VK_SEMAPHORE_TYPE_TIMELINE;
	bool can = info->handleType == VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT
		? fake->traits.opaque_fd && !(is_timeline && fake->traits.shares_no_timelines)
		: fake->traits.sync_fd;
	out->externalSemaphoreFeatures = can ? VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT |
			VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT
					     : 0;
	out->externalSemaphoreFeatures &= ~fake->traits.lacks;
}

static VKAPI_ATTR void VKAPI_CALL get_fence_properties(VkPhysicalDevice physical_device,
	const VkPhysicalDeviceExternalFenceInfo *info, VkExternalFenceProperties *out) {
	const struct fake_vulkan *fake = (const struct fake_vulkan *)physical_device;
	(void)info;
	out->externalFenceFeatures = fake->traits.fence_sync_fd
		? VK_EXTERNAL_FENCE_FEATURE_IMPORTABLE_BIT |
			VK_EXTERNAL_FENCE_FEATURE_EXPORTABLE_BIT
		: 0;
}

/* For all else that is asked for. */
static VKAPI_ATTR VkResult VKAPI_CALL have_nothing(void) {
	return VK_ERROR_FEATURE_NOT_PRESENT;
}

PFN_vkVoidFunction fake_proc_find(const struct fake_proc *known, size_t count, const char *name) {
	for (size_t i = 0; i < count; i++) {
		if (strcmp(name, known[i].name) == 0) {
			return known[i].proc;
		}
	}
	return NULL;
}

/* `own`: what is found for all devices. */
static PFN_vkVoidFunction find_or_nothing(
	PFN_vkVoidFunction own, const struct fake_vulkan *fake, const char *name) {
	PFN_vkVoidFunction proc = own;
	if (proc == NULL && fake->traits.memory != NULL) {
		proc = fake_vulkan_image_find(name);
		proc = proc == NULL ? fake_vulkan_memory_find(name) : proc;
	}
	return proc == NULL ? (PFN_vkVoidFunction)have_nothing : proc;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc(VkDevice device, const char *name) {
	static const struct fake_proc known[] = {
		{ "vkCreateSemaphore", (PFN_vkVoidFunction)create_semaphore },
		{ "vkDestroySemaphore", (PFN_vkVoidFunction)destroy_semaphore },
		{ "vkGetFenceFdKHR", (PFN_vkVoidFunction)get_fence_fd },
		{ "vkGetFenceStatus", (PFN_vkVoidFunction)get_fence_status },
		{ "vkGetSemaphoreCounterValue", (PFN_vkVoidFunction)get_counter },
		{ "vkGetSemaphoreFdKHR", (PFN_vkVoidFunction)get_semaphore_fd },
		{ "vkImportFenceFdKHR", (PFN_vkVoidFunction)import_fence_fd },
		{ "vkImportSemaphoreFdKHR", (PFN_vkVoidFunction)import_semaphore_fd },
		{ "vkQueueSubmit", (PFN_vkVoidFunction)queue_submit },
		{ "vkQueueWaitIdle", (PFN_vkVoidFunction)queue_wait_idle },
		{ "vkSignalSemaphore", (PFN_vkVoidFunction)signal_semaphore },
		{ "vkWaitSemaphores", (PFN_vkVoidFunction)wait_semaphores },
	};
	return find_or_nothing(fake_proc_find(known, sizeof(known) / sizeof(known[0]), name),
		fake_of(device), name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_proc(
	VkInstance instance, const char *name) {
	static const struct fake_proc known[] = {
		{ "vkEnumerateDeviceExtensionProperties",
			(PFN_vkVoidFunction)enumerate_extensions },
		{ "vkGetDeviceProcAddr", (PFN_vkVoidFunction)get_device_proc },
		{ "vkGetPhysicalDeviceExternalFenceProperties",
			(PFN_vkVoidFunction)get_fence_properties },
		{ "vkGetPhysicalDeviceExternalSemaphoreProperties",
			(PFN_vkVoidFunction)get_semaphore_properties },
		{ "vkGetPhysicalDeviceProperties", (PFN_vkVoidFunction)get_properties },
		{ "vkGetPhysicalDeviceProperties2", (PFN_vkVoidFunction)get_properties2 },
	};
	return find_or_nothing(fake_proc_find(known, sizeof(known) / sizeof(known[0]), name),
		(const struct fake_vulkan *)instance, name);
}

/* ---- The fake -------------------------------------------------------------------------------- */

struct fake_vulkan *fake_vulkan_create(const struct fake_vulkan_traits *traits) {
	struct fake_vulkan *fake = calloc(1, sizeof(*fake));
	runner_require(fake != NULL, "no memory");
	fake->traits = *traits;
	fake->queue = fake_queue_create();
	return fake;
}

void fake_vulkan_destroy(struct fake_vulkan *fake) {
	fake_queue_destroy(fake->queue);
	free(fake);
}

struct stile_vulkan_info fake_vulkan_describe(struct fake_vulkan *fake) {
	static const char *const extensions[] = {
		VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
		VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME,
		VK_KHR_EXTERNAL_FENCE_FD_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME,
		VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME,
		VK_EXT_IMAGE_DRM_FORMAT_MODIFIER_EXTENSION_NAME,
	};
	const struct fake_vulkan_memory_traits *memory = fake->traits.memory;
	const uint32_t all = memory == NULL ? 4 : memory->modifiers ? 7 : 6;
	const uint32_t enabled = fake->traits.extension_count;
	return (struct stile_vulkan_info){
		.size = sizeof(struct stile_vulkan_info),
		.get_instance_proc_addr = get_instance_proc,
		.instance = (VkInstance)fake,
		.physical_device = (VkPhysicalDevice)fake,
		.device = (VkDevice)fake,
		.extensions = extensions,
		.extension_count = enabled == 0 ? all : enabled,
		.queue = (VkQueue)fake,
		.queue_family = FAKE_VULKAN_FAMILY,
		.features = memory == NULL ? 0 : STILE_VULKAN_YCBCR_CONVERSION,
	};
}

/* ---- What an application does ---------------------------------------------------------------- */

static struct object *make(bool timeline, VkFlags exportable) {
	fake_gpu_lock();
	struct object *object = object_create(timeline, exportable);
	fake_gpu_unlock();
	runner_require(object != NULL, "no memory");
	return object;
}

VkSemaphore fake_vulkan_timeline(struct fake_vulkan *fake) {
	(void)fake;
	return (VkSemaphore)make(true, 0);
}

VkSemaphore fake_vulkan_opaque_timeline(struct fake_vulkan *fake) {
	(void)fake;
	return (VkSemaphore)make(true, VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT);
}

VkSemaphore fake_vulkan_binary(
	struct fake_vulkan *fake, VkExternalSemaphoreHandleTypeFlags exportable) {
	(void)fake;
	return (VkSemaphore)make(false, exportable);
}

void fake_vulkan_destroy_semaphore(struct fake_vulkan *fake, VkSemaphore semaphore) {
	destroy_semaphore((VkDevice)fake, semaphore, NULL);
}

VkFence fake_vulkan_fence(struct fake_vulkan *fake, bool exportable) {
	(void)fake;
	return (VkFence)make(false, exportable);
}

void fake_vulkan_destroy_fence(struct fake_vulkan *fake, VkFence fence) {
	(void)fake;
	fake_gpu_lock();
	object_destroy(object_of_fence(fence), "vkDestroyFence");
	fake_gpu_unlock();
}

void fake_vulkan_submit(struct fake_vulkan *fake, const struct fake_vulkan_submit *submit) {
	VkTimelineSemaphoreSubmitInfo values = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = 1,
		.pWaitSemaphoreValues = &submit->wait_value,
		.signalSemaphoreValueCount = 1,
		.pSignalSemaphoreValues = &submit->signal_value,
	};
	VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &values,
		.waitSemaphoreCount = submit->wait != VK_NULL_HANDLE,
		.pWaitSemaphores = &submit->wait,
		.signalSemaphoreCount = submit->signal != VK_NULL_HANDLE,
		.pSignalSemaphores = &submit->signal,
	};
	fake_gpu_exempt(true);
	queue_submit((VkQueue)fake, 1, &info, submit->fence);
	fake_gpu_exempt(false);
}

void fake_vulkan_promise(VkSemaphore semaphore, uint64_t value) {
	fake_gpu_lock();
	object_of(semaphore)->payload->submitted = value;
	fake_gpu_unlock();
}

void fake_vulkan_signal(struct fake_vulkan *fake, VkSemaphore semaphore, uint64_t value) {
	VkSemaphoreSignalInfo info = { .semaphore = semaphore, .value = value };
	fake_gpu_exempt(true);
	signal_semaphore((VkDevice)fake, &info);
	fake_gpu_exempt(false);
}

uint64_t fake_vulkan_get_value(struct fake_vulkan *fake, VkSemaphore semaphore) {
	(void)fake;
	fake_gpu_lock();
	uint64_t value = object_of(semaphore)->payload->value;
	fake_gpu_unlock();
	return value;
}

static const int64_t minute = 60 * (int64_t)1000000000;

bool fake_vulkan_becomes(struct fake_vulkan *fake, VkSemaphore semaphore, uint64_t value) {
	int64_t deadline_ns = runner_clock_ns() + minute;
	bool reached = fake_vulkan_get_value(fake, semaphore) >= value;
	while (!reached && runner_clock_ns() < deadline_ns) {
		runner_sleep_ms(1);
		reached = fake_vulkan_get_value(fake, semaphore) >= value;
	}
	return reached;
}

bool fake_vulkan_is_signaled(struct fake_vulkan *fake, VkFence fence) {
	(void)fake;
	fake_gpu_lock();
	bool over = fence_is_over(object_of_fence(fence));
	fake_gpu_unlock();
	return over;
}

bool fake_vulkan_becomes_signaled(struct fake_vulkan *fake, VkFence fence) {
	int64_t deadline_ns = runner_clock_ns() + minute;
	while (!fake_vulkan_is_signaled(fake, fence) && runner_clock_ns() < deadline_ns) {
		runner_sleep_ms(1);
	}
	return fake_vulkan_is_signaled(fake, fence);
}

void fake_vulkan_wait_idle(struct fake_vulkan *fake) {
	fake_gpu_exempt(true);
	queue_wait_idle((VkQueue)fake);
	fake_gpu_exempt(false);
}

uint32_t fake_vulkan_any_count(struct fake_vulkan *fake) {
	fake_gpu_lock();
	uint32_t count = fake->any_count;
	fake_gpu_unlock();
	return count;
}

void fake_vulkan_import(struct fake_vulkan *fake, VkSemaphore semaphore, int sync_file) {
	(void)fake;
	fake_gpu_lock();
	import_sync_file(object_of(semaphore), true, sync_file);
	fake_gpu_unlock();
}
