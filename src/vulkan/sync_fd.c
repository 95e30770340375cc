/* SPDX-License-Identifier: MIT */
/*
 * The kernel's sync_file as the payload of a binary semaphore (SYNC_FD), where the application has
 * enabled VK_KHR_external_semaphore_fd and the driver says that it can. In: into a semaphore of the
 * application, for one wait. Out: of a semaphore of our own that an empty submission signals; never of
 * one that something was imported into: lavapipe then forgets what is to be waited for.
 */
#include <errno.h>
#include <unistd.h>

#include "src/os.h"
#include "src/path.h"
#include "src/vulkan/vulkan.h"

static const VkExternalSemaphoreHandleTypeFlagBits kind =
	VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT;

/* By what the driver says of itself, not by its version. */
void vulkan_sync_fd_find(struct stile_vulkan *vulkan) {
	struct vulkan_procs *vk = &vulkan->vk;
	if (!vulkan_has_extension(vulkan, VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME)) {
		return;
	}
	PFN_vkGetPhysicalDeviceExternalSemaphoreProperties get_properties =
		(PFN_vkGetPhysicalDeviceExternalSemaphoreProperties)
			vulkan->info.get_instance_proc_addr(vulkan->info.instance,
				"vkGetPhysicalDeviceExternalSemaphoreProperties");
	if (get_properties == NULL) {
		return;
	}
	VkPhysicalDeviceExternalSemaphoreInfo ask = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_SEMAPHORE_INFO,
		.handleType = kind,
	};
	VkExternalSemaphoreProperties answer = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_SEMAPHORE_PROPERTIES,
	};
	get_properties(vulkan->info.physical_device, &ask, &answer);
	VkExternalSemaphoreFeatureFlags can = answer.externalSemaphoreFeatures;
	if ((can & VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT) != 0) {
		vk->ImportSemaphoreFdKHR = (PFN_vkImportSemaphoreFdKHR)vk->GetDeviceProcAddr(
			vulkan->info.device, "vkImportSemaphoreFdKHR");
	}
	if ((can & VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT) != 0) {
		vk->GetSemaphoreFdKHR = (PFN_vkGetSemaphoreFdKHR)vk->GetDeviceProcAddr(
			vulkan->info.device, "vkGetSemaphoreFdKHR");
	}
}

/* ---- In ----------------------------------------------------------------------------------- */

bool vulkan_sync_fd_import(
	struct stile_vulkan *vulkan, struct stile_fence *fence, struct stile_vulkan_wait *wait) {
	int fd;
	if (vulkan->vk.ImportSemaphoreFdKHR == NULL || wait->binary == VK_NULL_HANDLE ||
		stile_fence_export_fd(
			fence, STILE_FD_SYNC_FILE, STILE_FD_ALLOW_SIGNALED, NULL, &fd) < 0) {
		return false;
	}
	if (fd < 0) {
		/* It has been signalled in the meantime. */
		return true;
	}
	VkImportSemaphoreFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
		.semaphore = wait->binary,
		.flags = VK_SEMAPHORE_IMPORT_TEMPORARY_BIT,
		.handleType = kind,
		.fd = fd,
	};
	VkResult result = vulkan->vk.ImportSemaphoreFdKHR(vulkan->info.device, &info);
	if (result != VK_SUCCESS) {
		/* The driver takes the descriptor over only if it succeeds. */
		close(fd);
		vulkan_log(vulkan, STILE_LOG_WARN,
			"vkImportSemaphoreFdKHR: %s; a thread tells the device",
			vulkan_result_name(result));
		return false;
	}
	wait->semaphore = wait->binary;
	return true;
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

/* The sync_file of a semaphore that is signalled with `value`; -1: there is nothing left to wait for. */
static VkResult semaphore_export(struct stile_vulkan *vulkan, VkSemaphore semaphore, uint64_t value,
	int64_t *blocked_ns, int *fd) {
	VkSemaphoreGetFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_GET_FD_INFO_KHR,
		.semaphore = semaphore,
		.handleType = kind,
	};
	int64_t began = os_clock_ns();
	VkResult result = vulkan->vk.GetSemaphoreFdKHR(vulkan->info.device, &info, fd);
	int64_t took = os_clock_ns() - began;
	uint64_t reached = 0;
	bool over = vulkan->vk.GetSemaphoreCounterValue(
			    vulkan->info.device, vulkan->work, &reached) == VK_SUCCESS &&
		reached >= value;
	*blocked_ns = over && took > EXPORT_NS ? took : 0;
	return result;
}

/* The kernel's fence of the work that `fence` is of. False: there is none. */
static bool fence_export(struct stile_vulkan *vulkan, VkSemaphore semaphore,
	struct stile_device *device, struct stile_fence *fence, struct stile_path *path,
	struct stile_fence **out) {
	int64_t blocked_ns;
	int fd = -1;
	VkResult result =
		semaphore_export(vulkan, semaphore, stile_fence_get_seqno(fence), &blocked_ns, &fd);
	if (result != VK_SUCCESS) {
		vulkan_log(vulkan, STILE_LOG_WARN,
			"vkGetSemaphoreFdKHR: %s; the kernel has no fence",
			vulkan_result_name(result));
		return false;
	}
	int ret =
		stile_fence_import_fd(device, STILE_FD_SYNC_FILE, STILE_FD_ALLOW_SIGNALED, fd, out);
	if (ret == 0) {
		path_give(path, fd < 0 ? STILE_PATH_NONE : STILE_PATH_KERNEL, blocked_ns);
	}
	if (fd >= 0) {
		close(fd);
	}
	return ret == 0;
}

/* How long a program's fences are waited for. */
enum { WAIT_S = 10 };

/* Whatever has to be waited for first. 0, -EINVAL or -ETIME. */
static int wait_for_programs(
	struct stile_vulkan *vulkan, enum stile_user_fences user_fences, int64_t *blocked_ns) {
	*blocked_ns = 0;
	if (user_fences == STILE_USER_FENCES_HOLD || user_fences == STILE_USER_FENCES_REFUSE) {
		return 0;
	}
	if (user_fences != STILE_USER_FENCES_WAIT) {
		return -EINVAL;
	}
	if (vulkan->vk.GetSemaphoreFdKHR == NULL || !vulkan_bridge_is_pending(vulkan)) {
		return 0;
	}
	int64_t began = os_clock_ns();
	int ret = vulkan_bridge_wait(vulkan, began + WAIT_S * (int64_t)1000000000);
	*blocked_ns = os_clock_ns() - began;
	return ret;
}

/* The kernel's fence of what the queue has, or *own, one that it cannot have. 0 or -errno. */
static int fence_create(struct stile_vulkan *vulkan, struct stile_device *device,
	struct stile_fence **own, struct stile_path *path, struct stile_fence **out) {
	VkSemaphore semaphore = semaphore_create(vulkan);
	bool signaled;
	int ret = vulkan_fence_create(vulkan, semaphore, &signaled, own);
	if (!signaled) {
		vulkan->vk.DestroySemaphore(vulkan->info.device, semaphore, NULL);
		return ret;
	}
	bool exported = fence_export(vulkan, semaphore, device, *own, path, out);
	vulkan_fence_keep(*own, semaphore);
	if (exported) {
		stile_fence_unref(*own);
		*own = NULL;
	}
	return 0;
}

int stile_vulkan_fence_create_sync_file(struct stile_vulkan *vulkan, struct stile_device *device,
	enum stile_user_fences user_fences, struct stile_path *path, struct stile_fence **out) {
	*out = NULL;
	if (path_check(path) < 0) {
		return -EINVAL;
	}
	struct stile_path found = { .size = sizeof(found), .kind = STILE_PATH_HANDLE };
	struct stile_fence *own = NULL;
	int64_t blocked_ns;
	int ret = wait_for_programs(vulkan, user_fences, &blocked_ns);
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
