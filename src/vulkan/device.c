/* SPDX-License-Identifier: MIT */
/*
 * Lock order: a fence's lock, then vulkan->lock. No fence function and no Vulkan function that may
 * block is called under vulkan->lock. The queue's lock is the application's; nothing else is
 * taken under it but vulkan->lock.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/log.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/report.h"
#include "src/vulkan/vulkan.h"

void vulkan_log(
	const struct stile_vulkan *vulkan, enum stile_log_level level, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	log_print(vulkan->info.log, vulkan->info.log_user, level, fmt, args);
	va_end(args);
}

bool vulkan_has_extension(const struct stile_vulkan *vulkan, const char *name) {
	for (uint32_t i = 0; i < vulkan->info.extension_count; i++) {
		if (strcmp(vulkan->info.extensions[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static int vulkan_check_info(const struct stile_vulkan *vulkan, struct stile_report *why) {
	const struct stile_vulkan_info *info = &vulkan->info;
	if (info->get_instance_proc_addr == NULL || info->instance == VK_NULL_HANDLE ||
		info->physical_device == VK_NULL_HANDLE || info->device == VK_NULL_HANDLE ||
		info->queue == VK_NULL_HANDLE ||
		(info->extension_count > 0 && info->extensions == NULL) ||
		(info->lock_queue == NULL) != (info->unlock_queue == NULL)) {
		return report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0, 0, 0,
			"get_instance_proc_addr, instance, physical_device, device and queue are all "
			"needed, lock_queue and unlock_queue both or neither");
	}
	if ((info->features & ~(uint32_t)STILE_VULKAN_YCBCR_CONVERSION) != 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0,
			STILE_VULKAN_YCBCR_CONVERSION, info->features, "unknown features 0x%x",
			info->features);
	}
	return 0;
}

/* Timeline semaphores are of Vulkan 1.2, or of an extension to 1.1, whose names end otherwise. */
static PFN_vkVoidFunction get_device_proc(const struct stile_vulkan *vulkan, const char *name) {
	PFN_vkGetDeviceProcAddr get = vulkan->vk.GetDeviceProcAddr;
	PFN_vkVoidFunction proc = get(vulkan->info.device, name);
	if (proc == NULL &&
		vulkan_has_extension(vulkan, VK_KHR_TIMELINE_SEMAPHORE_EXTENSION_NAME)) {
		char khr[64];
		snprintf(khr, sizeof(khr), "%sKHR", name);
		proc = get(vulkan->info.device, khr);
	}
	return proc;
}

static int vulkan_load(struct stile_vulkan *vulkan, struct stile_report *why) {
	struct vulkan_procs *vk = &vulkan->vk;
	PFN_vkGetInstanceProcAddr get = vulkan->info.get_instance_proc_addr;
	VkInstance instance = vulkan->info.instance;
	const char *missing = NULL;
#define LOAD_INSTANCE(name) \
	vk->name = (PFN_vk##name)get(instance, "vk" #name); \
	missing = vk->name == NULL ? "vk" #name : missing
	LOAD_INSTANCE(GetDeviceProcAddr);
	LOAD_INSTANCE(GetPhysicalDeviceExternalBufferProperties);
	LOAD_INSTANCE(GetPhysicalDeviceFormatProperties2);
	LOAD_INSTANCE(GetPhysicalDeviceImageFormatProperties2);
	LOAD_INSTANCE(GetPhysicalDeviceMemoryProperties);
	LOAD_INSTANCE(GetPhysicalDeviceProperties);
	LOAD_INSTANCE(GetPhysicalDeviceProperties2);
#undef LOAD_INSTANCE
	if (missing == NULL) {
#define X(name) \
	vk->name = (PFN_vk##name)get_device_proc(vulkan, "vk" #name); \
	missing = vk->name == NULL ? "vk" #name : missing;
		VULKAN_DEVICE_PROCS(X)
#undef X
	}
	if (missing != NULL) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
			"the device has no %s: Vulkan 1.2 is needed, or 1.1 with "
			"VK_KHR_timeline_semaphore",
			missing);
	}
	return 0;
}

int vulkan_create_semaphore(struct stile_vulkan *vulkan, VkSemaphore *semaphore) {
	VkSemaphoreTypeCreateInfo type = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
		.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
	};
	VkSemaphoreCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
		.pNext = &type,
	};
	return vulkan_errno(
		vulkan->vk.CreateSemaphore(vulkan->info.device, &info, NULL, semaphore));
}

static void vulkan_destroy_semaphore(struct stile_vulkan *vulkan, VkSemaphore semaphore) {
	vulkan->vk.DestroySemaphore(vulkan->info.device, semaphore, NULL);
}

static void vulkan_find_limits(struct stile_vulkan *vulkan) {
	static const uint64_t linear[] = { DRM_FORMAT_MOD_LINEAR };
	VkPhysicalDeviceProperties properties;
	vulkan->vk.GetPhysicalDeviceProperties(vulkan->info.physical_device, &properties);
	vulkan->limits = (struct stile_constraints){
		.size = sizeof(vulkan->limits),
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.max_width = properties.limits.maxImageDimension2D,
		.max_height = properties.limits.maxImageDimension2D,
		.modifiers = linear,
		.modifier_count = ARRAY_LENGTH(linear),
	};
	vulkan->has_modifiers =
		vulkan_has_extension(vulkan, VK_EXT_IMAGE_DRM_FORMAT_MODIFIER_EXTENSION_NAME);
	if (vulkan->has_modifiers) {
		/* Which, depends on the format; and on the memory, see image_import_host(). */
		vulkan->limits.modifier_count = 0;
	}
	vulkan->foreign = vulkan_has_extension(vulkan, VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME)
		? VK_QUEUE_FAMILY_FOREIGN_EXT
		: VK_QUEUE_FAMILY_EXTERNAL;
}

static void vulkan_stop(struct stile_vulkan *vulkan) {
	pthread_mutex_lock(&vulkan->lock);
	vulkan->stopping = true;
	pthread_cond_signal(&vulkan->bridge_changed);
	pthread_mutex_unlock(&vulkan->lock);
	vulkan_waiter_kick(vulkan);
}

/* All threads, or none. */
static int vulkan_start_threads(struct stile_vulkan *vulkan) {
	int ret = os_thread_start(&vulkan->ender, "stile-vk-end", vulkan_ender_run, vulkan);
	if (ret < 0) {
		return ret;
	}
	ret = os_thread_start(&vulkan->waiter, "stile-vk-wait", vulkan_waiter_run, vulkan);
	if (ret < 0) {
		goto err_ender;
	}
	ret = os_thread_start(&vulkan->bridge, "stile-vk-bridge", vulkan_bridge_run, vulkan);
	if (ret < 0) {
		goto err_waiter;
	}
	return 0;

err_waiter:
	vulkan_stop(vulkan);
	pthread_join(vulkan->waiter, NULL);
err_ender:
	vulkan_ender_stop(vulkan);
	return ret;
}

static int vulkan_init(struct stile_vulkan *vulkan, struct stile_report *why) {
	int ret = vulkan_check_info(vulkan, why);
	if (ret == 0) {
		ret = vulkan_load(vulkan, why);
	}
	if (ret < 0) {
		return ret;
	}
	vulkan_find_limits(vulkan);
	vulkan_sync_fd_find(vulkan);
	vulkan_memory_find(vulkan);

	ret = vulkan_create_semaphore(vulkan, &vulkan->work);
	if (ret < 0) {
		goto err;
	}
	ret = vulkan_create_semaphore(vulkan, &vulkan->kick);
	if (ret < 0) {
		goto err_work;
	}
	ret = vulkan_start_threads(vulkan);
	if (ret < 0) {
		goto err_kick;
	}
	return 0;

err_kick:
	vulkan_destroy_semaphore(vulkan, vulkan->kick);
err_work:
	vulkan_destroy_semaphore(vulkan, vulkan->work);
err:
	return report_refuse(why, ret, STILE_REASON_RESOURCES, 0, 0, 0,
		"no timeline semaphore or no thread: %s", strerror(-ret));
}

int stile_vulkan_create(const struct stile_vulkan_info *info, struct stile_report *report,
	struct stile_vulkan **out) {
	*out = NULL;
	struct stile_vulkan_info known;
	int ret = report_copy_in(report, &known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	struct stile_vulkan *vulkan = calloc(1, sizeof(*vulkan));
	struct stile_report why;
	if (vulkan == NULL) {
		ret = report_refuse(
			&why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
		report_give(report, &why);
		return ret;
	}
	vulkan->info = known;
	vulkan->context = stile_fence_context_alloc(1);
	vulkan->refs = 1;
	pthread_mutex_init(&vulkan->lock, NULL);
	pthread_mutex_init(&vulkan->host_lock, NULL);
	pthread_cond_init(&vulkan->waiter_changed, NULL);
	pthread_cond_init(&vulkan->waiter_woke, NULL);
	pthread_cond_init(&vulkan->bridge_changed, NULL);
	pthread_cond_init(&vulkan->bridge_told, NULL);
	import_cache_init(&vulkan->imports, known.cached_images);

	ret = vulkan_init(vulkan, &why);
	if (ret < 0) {
		report_give(report, &why);
		vulkan_log(vulkan, STILE_LOG_ERROR, "Vulkan adapter: %s", why.text);
		import_cache_finish(&vulkan->imports);
		vulkan_unref(vulkan);
		return ret;
	}
	*out = vulkan;
	return 0;
}

bool vulkan_wait_fails(struct stile_vulkan *vulkan, VkResult result) {
	if (vulkan_passes(result)) {
		return false;
	}
	vulkan_log(vulkan, STILE_LOG_ERROR, "wait for the device: %s", vulkan_result_name(result));
	import_cache_clear(&vulkan->imports);
	return true;
}

void vulkan_unref(struct stile_vulkan *vulkan) {
	if (__atomic_fetch_sub(&vulkan->refs, 1, __ATOMIC_ACQ_REL) != 1) {
		return;
	}
	vulkan_fences_free(vulkan);
	pthread_cond_destroy(&vulkan->bridge_told);
	pthread_cond_destroy(&vulkan->bridge_changed);
	pthread_cond_destroy(&vulkan->waiter_woke);
	pthread_cond_destroy(&vulkan->waiter_changed);
	pthread_mutex_destroy(&vulkan->host_lock);
	pthread_mutex_destroy(&vulkan->lock);
	free(vulkan);
}

void stile_vulkan_destroy(struct stile_vulkan *vulkan) {
	if (vulkan == NULL) {
		return;
	}
	vulkan_stop(vulkan);
	pthread_join(vulkan->waiter, NULL);
	pthread_join(vulkan->bridge, NULL);

	/* The bridges first: the queue's work may be waiting for them. */
	vulkan_bridge_cancel(vulkan);
	vulkan_queue_lock(vulkan);
	while (vulkan_passes(vulkan->vk.QueueWaitIdle(vulkan->info.queue))) {
	}
	vulkan_queue_unlock(vulkan);
	vulkan_ender_stop(vulkan);
	vulkan_waiter_cancel(vulkan);
	vulkan_bridge_free(vulkan);
	import_cache_finish(&vulkan->imports);
	vulkan_conversions_free(vulkan);
	vulkan_destroy_semaphore(vulkan, vulkan->kick);
	vulkan_destroy_semaphore(vulkan, vulkan->work);
	vulkan_unref(vulkan);
}
