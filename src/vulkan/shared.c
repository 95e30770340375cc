/* SPDX-License-Identifier: MIT */
/* Semaphores that others of the same device and driver use, too: OPAQUE_FD, by reference. */
#include <errno.h>

#include <stile/vulkan_sync.h>

#include "src/abi.h"
#include "src/driver_fd.h"
#include "src/report.h"
#include "src/vulkan/vulkan.h"

static const VkExternalSemaphoreHandleTypeFlagBits kind =
	VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT;

/* May semaphores of this type be exported, or imported? */
static int check_driver(struct stile_vulkan *vulkan, VkSemaphoreType type,
	VkExternalSemaphoreFeatureFlags needed, struct stile_report *why) {
	VkExternalSemaphoreFeatureFlags features =
		vulkan_get_semaphore_features(vulkan, type, kind);
	if ((features & needed) != 0) {
		return 0;
	}
	bool has_extension =
		vulkan_has_extension(vulkan, VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME);
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, needed, features,
		has_extension ? "the driver does not share %s semaphores by OPAQUE_FD%s"
			      : "the device was created without what shares %s semaphores, %s",
		type == VK_SEMAPHORE_TYPE_TIMELINE ? "timeline" : "binary",
		has_extension ? "" : VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME);
}

/* ---- Out ---------------------------------------------------------------------------------- */

static int export_semaphore(struct stile_vulkan *vulkan, VkSemaphore semaphore,
	struct stile_vulkan_shared *shared, struct stile_report *why) {
	int ret = check_driver(
		vulkan, shared->type, VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT, why);
	if (ret < 0) {
		return ret;
	}
	PFN_vkGetSemaphoreFdKHR get_fd = (PFN_vkGetSemaphoreFdKHR)vulkan->vk.GetDeviceProcAddr(
		vulkan->info.device, "vkGetSemaphoreFdKHR");
	VkSemaphoreGetFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_GET_FD_INFO_KHR,
		.semaphore = semaphore,
		.handleType = kind,
	};
	VkResult result = get_fd == NULL ? VK_ERROR_EXTENSION_NOT_PRESENT
					 : get_fd(vulkan->info.device, &info, &shared->fd);
	if (result != VK_SUCCESS) {
		shared->fd = -1;
		return vulkan_refuse(why, "vkGetSemaphoreFdKHR", result);
	}
	vulkan_get_uuids(vulkan, shared->device_uuid, shared->driver_uuid);
	return driver_fd_receive("vkGetSemaphoreFdKHR", &shared->fd, why);
}

int stile_vulkan_export_semaphore(struct stile_vulkan *vulkan, VkSemaphore semaphore,
	VkSemaphoreType type, struct stile_report *report, struct stile_vulkan_shared *out) {
	struct stile_vulkan_shared shared = { .fd = -1, .type = type };
	struct stile_report why;
	if (report_begin(report) < 0 || abi_check_out(out) < 0 || out->size < sizeof(*out) ||
		semaphore == VK_NULL_HANDLE) {
		return -EINVAL;
	}
	int ret = export_semaphore(vulkan, semaphore, &shared, &why);
	abi_copy_out(out, &shared, sizeof(shared));
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}

/* ---- In ----------------------------------------------------------------------------------- */

static int import_fd(struct stile_vulkan *vulkan, VkSemaphore semaphore, int borrowed,
	struct stile_report *why) {
	PFN_vkImportSemaphoreFdKHR import =
		(PFN_vkImportSemaphoreFdKHR)vulkan->vk.GetDeviceProcAddr(
			vulkan->info.device, "vkImportSemaphoreFdKHR");
	struct driver_fd fd;
	int ret = driver_fd_dup(borrowed, &fd, why);
	if (ret < 0) {
		return ret;
	}
	VkImportSemaphoreFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
		.semaphore = semaphore,
		.handleType = kind,
		.fd = fd.fd,
	};
	VkResult result = import == NULL ? VK_ERROR_EXTENSION_NOT_PRESENT
					 : import(vulkan->info.device, &info);
	if (result != VK_SUCCESS) {
		driver_fd_close_after_failure(&fd);
		return vulkan_refuse(why, "vkImportSemaphoreFdKHR", result);
	}
	return 0;
}

static int import_semaphore(struct stile_vulkan *vulkan, const struct stile_vulkan_shared *shared,
	struct stile_report *why, VkSemaphore *out) {
	int ret = check_driver(
		vulkan, shared->type, VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT, why);
	if (ret == 0) {
		ret = vulkan_check_uuids(
			vulkan, "the semaphore", shared->device_uuid, shared->driver_uuid, why);
	}
	if (ret < 0) {
		return ret;
	}
	VkSemaphoreTypeCreateInfo type = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
		.semaphoreType = shared->type,
	};
	VkSemaphoreCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
		.pNext = &type,
	};
	VkSemaphore semaphore;
	VkResult result = vulkan->vk.CreateSemaphore(vulkan->info.device, &info, NULL, &semaphore);
	if (result != VK_SUCCESS) {
		return vulkan_refuse(why, "vkCreateSemaphore", result);
	}
	ret = import_fd(vulkan, semaphore, shared->fd, why);
	if (ret < 0) {
		vulkan->vk.DestroySemaphore(vulkan->info.device, semaphore, NULL);
		return ret;
	}
	*out = semaphore;
	return 0;
}

int stile_vulkan_import_semaphore(struct stile_vulkan *vulkan,
	const struct stile_vulkan_shared *shared, struct stile_report *report, VkSemaphore *out) {
	struct stile_vulkan_shared known;
	struct stile_report why;
	*out = VK_NULL_HANDLE;
	int ret = report_copy_in(report, &known, sizeof(known), shared);
	if (ret < 0) {
		return ret;
	}
	ret = import_semaphore(vulkan, &known, &why, out);
	if (ret < 0) {
		report_give(report, &why);
		vulkan_log(vulkan, STILE_LOG_WARN, "import of a semaphore: %s", why.text);
	}
	return ret;
}
