/* SPDX-License-Identifier: MIT */
/*
 * The kernel's sync_file as the payload of a binary semaphore or a VkFence (SYNC_FD), where the
 * application has enabled VK_KHR_external_semaphore_fd or VK_KHR_external_fence_fd and the driver says
 * that it can. In: into one of the application's, for one wait. Out: of a semaphore of our own that an empty
 * submission signals, or of one of the application's; never of one that something was imported into,
 * where the driver then forgets what is to be waited for.
 */
#include <errno.h>
#include <unistd.h>

#include "src/os.h"
#include "src/path.h"
#include "src/vulkan/vulkan.h"

static const VkExternalSemaphoreHandleTypeFlagBits kind =
	VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT;
static const VkExternalFenceHandleTypeFlagBits fence_kind =
	VK_EXTERNAL_FENCE_HANDLE_TYPE_SYNC_FD_BIT;

static PFN_vkVoidFunction find_device_proc(
	const struct stile_vulkan *vulkan, bool wanted, const char *name) {
	return wanted ? vulkan->vk.GetDeviceProcAddr(vulkan->info.device, name) : NULL;
}

static void find_semaphores(struct stile_vulkan *vulkan) {
	VkExternalSemaphoreFeatureFlags can =
		vulkan_get_semaphore_features(vulkan, VK_SEMAPHORE_TYPE_BINARY, kind);
	vulkan->vk.ImportSemaphoreFdKHR = (PFN_vkImportSemaphoreFdKHR)find_device_proc(vulkan,
		(can & VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT) != 0,
		"vkImportSemaphoreFdKHR");
	vulkan->vk.GetSemaphoreFdKHR = (PFN_vkGetSemaphoreFdKHR)find_device_proc(vulkan,
		(can & VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT) != 0, "vkGetSemaphoreFdKHR");
}

static void find_fences(struct stile_vulkan *vulkan) {
	PFN_vkGetPhysicalDeviceExternalFenceProperties get_properties =
		(PFN_vkGetPhysicalDeviceExternalFenceProperties)vulkan->info.get_instance_proc_addr(
			vulkan->info.instance, "vkGetPhysicalDeviceExternalFenceProperties");
	if (get_properties == NULL ||
		!vulkan_has_extension(vulkan, VK_KHR_EXTERNAL_FENCE_FD_EXTENSION_NAME)) {
		return;
	}
	VkPhysicalDeviceExternalFenceInfo ask = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_FENCE_INFO,
		.handleType = fence_kind,
	};
	VkExternalFenceProperties answer = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_FENCE_PROPERTIES,
	};
	get_properties(vulkan->info.physical_device, &ask, &answer);
	VkExternalFenceFeatureFlags can = answer.externalFenceFeatures;
	vulkan->vk.ImportFenceFdKHR = (PFN_vkImportFenceFdKHR)find_device_proc(vulkan,
		(can & VK_EXTERNAL_FENCE_FEATURE_IMPORTABLE_BIT) != 0, "vkImportFenceFdKHR");
	vulkan->vk.GetFenceFdKHR = (PFN_vkGetFenceFdKHR)find_device_proc(
		vulkan, (can & VK_EXTERNAL_FENCE_FEATURE_EXPORTABLE_BIT) != 0, "vkGetFenceFdKHR");
}

/* By what the driver says of itself, not by its version. */
void vulkan_sync_fd_find(struct stile_vulkan *vulkan) {
	find_semaphores(vulkan);
	find_fences(vulkan);
}

/* ---- In ----------------------------------------------------------------------------------- */

/* Its sync_file. False: it has none; *fd -1: it has been signalled in the meantime. */
static bool get_sync_file(struct stile_fence *fence, int *fd) {
	return stile_fence_export_fd(
		       fence, STILE_FD_SYNC_FILE, STILE_FD_ALLOW_SIGNALED, NULL, fd) == 0;
}

static VkResult import_semaphore(struct stile_vulkan *vulkan, VkSemaphore semaphore, int fd) {
	VkImportSemaphoreFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
		.semaphore = semaphore,
		.flags = VK_SEMAPHORE_IMPORT_TEMPORARY_BIT,
		.handleType = kind,
		.fd = fd,
	};
	return vulkan->vk.ImportSemaphoreFdKHR(vulkan->info.device, &info);
}

static VkResult import_fence(struct stile_vulkan *vulkan, VkFence fence, int fd) {
	VkImportFenceFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_FENCE_FD_INFO_KHR,
		.fence = fence,
		.flags = VK_FENCE_IMPORT_TEMPORARY_BIT,
		.handleType = fence_kind,
		.fd = fd,
	};
	return vulkan->vk.ImportFenceFdKHR(vulkan->info.device, &info);
}

/*
 * The driver takes the descriptor over only if it succeeds ("Importing Semaphore Payloads", "Importing Fence Payloads":
 * not to be touched "after a successful import"), and the drivers we know of keep to that: driver_fd.h is for those that
 * do not, of memory and OPAQUE_FD. It could not tell here either: all sync_files are the same inode.
 */
static bool is_imported(struct stile_vulkan *vulkan, const char *call, VkResult result, int fd) {
	if (result != VK_SUCCESS) {
		if (fd >= 0) {
			close(fd);
		}
		vulkan_log(vulkan, STILE_LOG_WARN, "%s: %s; a thread tells the device", call,
			vulkan_result_name(result));
	}
	return result == VK_SUCCESS;
}

bool vulkan_sync_fd_import(
	struct stile_vulkan *vulkan, struct stile_fence *fence, struct stile_vulkan_wait *wait) {
	int fd;
	if (vulkan->vk.ImportSemaphoreFdKHR == NULL || wait->binary == VK_NULL_HANDLE ||
		!get_sync_file(fence, &fd)) {
		return false;
	}
	if (fd < 0) {
		return true;
	}
	if (!is_imported(vulkan, "vkImportSemaphoreFdKHR",
		    import_semaphore(vulkan, wait->binary, fd), fd)) {
		return false;
	}
	wait->semaphore = wait->binary;
	return true;
}

bool vulkan_sync_fd_import_fence(
	struct stile_vulkan *vulkan, struct stile_fence *fence, VkFence vk_fence) {
	int fd;
	/* -1 stands for a fence that is signalled: Vulkan has it so, too. */
	return vulkan->vk.ImportFenceFdKHR != NULL && get_sync_file(fence, &fd) &&
		is_imported(vulkan, "vkImportFenceFdKHR", import_fence(vulkan, vk_fence, fd), fd);
}

/* ---- Out ---------------------------------------------------------------------------------- */

/* A semaphore for one export; VK_NULL_HANDLE: the driver exports none, or memory is short. */
static VkSemaphore semaphore_create(struct stile_vulkan *vulkan) {
	VkExportSemaphoreCreateInfo export = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO,
		.handleTypes = kind,
	};
	VkSemaphoreCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
		.pNext = &export,
	};
	VkSemaphore semaphore;
	bool can = vulkan->vk.GetSemaphoreFdKHR != NULL &&
		vulkan->vk.CreateSemaphore(vulkan->info.device, &info, NULL, &semaphore) ==
			VK_SUCCESS;
	return can ? semaphore : VK_NULL_HANDLE;
}

/* An export that takes longer than this, and returns with the work over, waited for it. */
enum { EXPORT_NS = 200000 };

/* The sync_file of a semaphore, or of a VkFence; -1: there is nothing left to wait for. */
static VkResult get_fd(
	struct stile_vulkan *vulkan, VkSemaphore semaphore, VkFence vk_fence, int *fd) {
	VkSemaphoreGetFdInfoKHR semaphore_info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_GET_FD_INFO_KHR,
		.semaphore = semaphore,
		.handleType = kind,
	};
	VkFenceGetFdInfoKHR fence_info = {
		.sType = VK_STRUCTURE_TYPE_FENCE_GET_FD_INFO_KHR,
		.fence = vk_fence,
		.handleType = fence_kind,
	};
	*fd = -1;
	VkResult result = semaphore != VK_NULL_HANDLE
		? vulkan->vk.GetSemaphoreFdKHR(vulkan->info.device, &semaphore_info, fd)
		: vulkan->vk.GetFenceFdKHR(vulkan->info.device, &fence_info, fd);
	if (result != VK_SUCCESS) {
		vulkan_log(vulkan, STILE_LOG_WARN, "%s: %s; the kernel has no fence",
			semaphore != VK_NULL_HANDLE ? "vkGetSemaphoreFdKHR" : "vkGetFenceFdKHR",
			vulkan_result_name(result));
	}
	return result;
}

int vulkan_sync_fd_export(struct stile_vulkan *vulkan, VkSemaphore semaphore, VkFence vk_fence,
	struct stile_device *device, struct stile_path *path, bool *exported,
	struct stile_fence **out) {
	int fd;
	int64_t began = os_clock_ns();
	VkResult result = get_fd(vulkan, semaphore, vk_fence, &fd);
	int64_t took = os_clock_ns() - began;
	*exported = result == VK_SUCCESS;
	if (result != VK_SUCCESS) {
		return vulkan_errno(result);
	}
	/* Is it over? Then whoever made it has waited for it. */
	bool over = fd < 0 || os_is_readable(fd);
	int64_t blocked_ns = took > EXPORT_NS && over ? took : 0;
	int ret =
		stile_fence_import_fd(device, STILE_FD_SYNC_FILE, STILE_FD_ALLOW_SIGNALED, fd, out);
	if (ret == 0) {
		path_give(path, fd < 0 ? STILE_PATH_NONE : STILE_PATH_KERNEL, blocked_ns);
	}
	if (fd >= 0) {
		close(fd);
	}
	return ret;
}

/* ---- Drivers that lose what they export --------------------------------------------------- */

/*
 * What is imported for the trial is over by itself after this time, so that a driver which has its
 * export wait for it comes back.
 */
enum { TRIAL_NS = 10000000 };

/*
 * Import what is pending, and export it again at once. A driver that says it is over may have lost it, or
 * have waited: neither is wanted. An import that is refused tells nothing: most drivers take only what
 * another driver made. Want of memory tells nothing either, but that passes: it is tried again.
 */
static enum vulkan_exports try_exports(struct stile_vulkan *vulkan, VkSemaphore semaphore) {
	int fd = os_timerfd(TRIAL_NS);
	if (fd < 0) {
		return VULKAN_EXPORTS_UNTRIED;
	}
	VkResult result = import_semaphore(vulkan, semaphore, fd);
	if (result != VK_SUCCESS) {
		close(fd);
	} else {
		result = get_fd(vulkan, semaphore, VK_NULL_HANDLE, &fd);
		if (fd >= 0) {
			close(fd);
		}
	}
	if (vulkan_errno(result) == -ENOMEM) {
		return VULKAN_EXPORTS_UNTRIED;
	}
	return result == VK_SUCCESS && fd < 0 ? VULKAN_EXPORTS_LOSE : VULKAN_EXPORTS_TRUE;
}

bool vulkan_sync_fd_exports_others(struct stile_vulkan *vulkan) {
	if (vulkan->vk.ImportSemaphoreFdKHR == NULL || vulkan->vk.GetSemaphoreFdKHR == NULL) {
		return true;
	}
	pthread_mutex_lock(&vulkan->lock);
	enum vulkan_exports exports = vulkan->exports;
	pthread_mutex_unlock(&vulkan->lock);
	if (exports != VULKAN_EXPORTS_UNTRIED) {
		return exports == VULKAN_EXPORTS_TRUE;
	}
	VkSemaphore semaphore = semaphore_create(vulkan);
	if (semaphore == VK_NULL_HANDLE) {
		return false;
	}
	exports = try_exports(vulkan, semaphore);
	vulkan->vk.DestroySemaphore(vulkan->info.device, semaphore, NULL);
	if (exports == VULKAN_EXPORTS_LOSE) {
		vulkan_log(vulkan, STILE_LOG_INFO,
			"this driver loses, or waits for, a pending SYNC_FD that is exported again: "
			"the application's semaphores and fences are not exported");
	}
	pthread_mutex_lock(&vulkan->lock);
	vulkan->exports = exports;
	pthread_mutex_unlock(&vulkan->lock);
	return exports == VULKAN_EXPORTS_TRUE;
}

int vulkan_wait_unheld(
	struct stile_vulkan *vulkan, enum stile_user_fences user_fences, int64_t *blocked_ns) {
	*blocked_ns = 0;
	if (!vulkan_bridge_is_pending(vulkan)) {
		return 0;
	}
	if (user_fences != STILE_USER_FENCES_WAIT) {
		return -EOPNOTSUPP;
	}
	int64_t began = os_clock_ns();
	int ret = vulkan_bridge_wait(vulkan, began + VULKAN_WAIT_S * (int64_t)1000000000);
	*blocked_ns = os_clock_ns() - began;
	return ret;
}

/* The kernel's fence of what the queue has, or *own, one that it cannot have. 0 or -errno. */
static int fence_create(struct stile_vulkan *vulkan, struct stile_device *device,
	struct stile_fence **own, struct stile_path *path, struct stile_fence **out) {
	struct vulkan_work work = { .signal = semaphore_create(vulkan) };
	int ret = vulkan_fence_create(vulkan, &work, own);
	if (!work.signaled) {
		vulkan->vk.DestroySemaphore(vulkan->info.device, work.signal, NULL);
		return ret;
	}
	bool exported;
	uint64_t reached;
	ret = vulkan_sync_fd_export(
		vulkan, work.signal, VK_NULL_HANDLE, device, path, &exported, out);
	/* If it is over, a validation layer hears of that by this question only. */
	(void)vulkan->vk.GetSemaphoreCounterValue(vulkan->info.device, vulkan->work, &reached);
	vulkan_fence_keep(*own, work.signal);
	if (ret == 0) {
		stile_fence_unref(*own);
		*own = NULL;
	}
	return 0;
}

int stile_vulkan_fence_create_sync_file(struct stile_vulkan *vulkan, struct stile_device *device,
	enum stile_user_fences user_fences, struct stile_path *path, struct stile_fence **out) {
	*out = NULL;
	if (path_check(path) < 0 || !path_policy_is_valid(user_fences)) {
		return -EINVAL;
	}
	struct stile_path found = { .size = sizeof(found), .kind = STILE_PATH_HANDLE };
	struct stile_fence *own = NULL;
	int64_t blocked_ns = 0;
	int ret = 0;
	/* Without an export there is nothing to wait for; what else is held stays in this process. */
	if (user_fences == STILE_USER_FENCES_WAIT && vulkan->vk.GetSemaphoreFdKHR != NULL) {
		ret = vulkan_wait_unheld(vulkan, user_fences, &blocked_ns);
	}
	if (ret == 0) {
		ret = fence_create(vulkan, device, &own, &found, out);
	}
	if (ret < 0) {
		return ret;
	}
	if (own != NULL && user_fences == STILE_USER_FENCES_REFUSE) {
		stile_fence_unref(own);
		return -EOPNOTSUPP;
	}
	if (own != NULL) {
		*out = own;
	}
	path_give(path, found.kind, found.blocked_ns + blocked_ns);
	return 0;
}
