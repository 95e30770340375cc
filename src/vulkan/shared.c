/* SPDX-License-Identifier: MIT */
/* Semaphores that others of the same device and driver use, too: OPAQUE_FD, by reference. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <stile/vulkan_sync.h>

#include "src/abi.h"
#include "src/os.h"
#include "src/report.h"
#include "src/vulkan/vulkan.h"

static const VkExternalSemaphoreHandleTypeFlagBits kind =
	VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT;

/* May semaphores of this type be exported, or imported? */
static int check_driver(struct stile_vulkan *vulkan, VkSemaphoreType type,
	VkExternalSemaphoreFeatureFlags needed, struct stile_report *why) {
	PFN_vkGetPhysicalDeviceExternalSemaphoreProperties get_properties =
		(PFN_vkGetPhysicalDeviceExternalSemaphoreProperties)
			vulkan->info.get_instance_proc_addr(vulkan->info.instance,
				"vkGetPhysicalDeviceExternalSemaphoreProperties");
	VkSemaphoreTypeCreateInfo of = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
		.semaphoreType = type,
	};
	VkPhysicalDeviceExternalSemaphoreInfo ask = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_SEMAPHORE_INFO,
		.pNext = &of,
		.handleType = kind,
	};
	VkExternalSemaphoreProperties answer = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_SEMAPHORE_PROPERTIES,
	};
	bool has_extension =
		vulkan_has_extension(vulkan, VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME);
	if (get_properties != NULL && has_extension) {
		get_properties(vulkan->info.physical_device, &ask, &answer);
	}
	if ((answer.externalSemaphoreFeatures & needed) != 0) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, needed,
		answer.externalSemaphoreFeatures,
		has_extension ? "the driver does not share %s semaphores by OPAQUE_FD%s"
			      : "the device was created without what shares %s semaphores, %s",
		type == VK_SEMAPHORE_TYPE_TIMELINE ? "timeline" : "binary",
		has_extension ? "" : VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME);
}

static int get_ids(
	struct stile_vulkan *vulkan, VkPhysicalDeviceIDProperties *ids, struct stile_report *why) {
	PFN_vkGetPhysicalDeviceProperties2 get_properties =
		(PFN_vkGetPhysicalDeviceProperties2)vulkan->info.get_instance_proc_addr(
			vulkan->info.instance, "vkGetPhysicalDeviceProperties2");
	if (get_properties == NULL) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
			"the instance has no vkGetPhysicalDeviceProperties2");
	}
	*ids = (VkPhysicalDeviceIDProperties){
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES,
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
		.pNext = ids,
	};
	get_properties(vulkan->info.physical_device, &properties);
	return 0;
}

static int refuse_result(struct stile_report *why, const char *call, VkResult result) {
	return report_refuse(why, vulkan_errno(result), STILE_REASON_DRIVER, 0, 0, 0, "%s: %s",
		call, vulkan_result_name(result));
}

/* ---- Out ---------------------------------------------------------------------------------- */

static int export_semaphore(struct stile_vulkan *vulkan, VkSemaphore semaphore,
	struct stile_vulkan_shared *shared, struct stile_report *why) {
	VkPhysicalDeviceIDProperties ids;
	int ret = check_driver(
		vulkan, shared->type, VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT, why);
	if (ret == 0) {
		ret = get_ids(vulkan, &ids, why);
	}
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
		return refuse_result(why, "vkGetSemaphoreFdKHR", result);
	}
	/* Some drivers forget it. */
	(void)fcntl(shared->fd, F_SETFD, FD_CLOEXEC);
	memcpy(shared->device_uuid, ids.deviceUUID, VK_UUID_SIZE);
	memcpy(shared->driver_uuid, ids.driverUUID, VK_UUID_SIZE);
	return 0;
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

static int check_ids(struct stile_vulkan *vulkan, const struct stile_vulkan_shared *shared,
	struct stile_report *why) {
	VkPhysicalDeviceIDProperties ids;
	int ret = get_ids(vulkan, &ids, why);
	if (ret < 0) {
		return ret;
	}
	bool same_device = memcmp(ids.deviceUUID, shared->device_uuid, VK_UUID_SIZE) == 0;
	if (same_device && memcmp(ids.driverUUID, shared->driver_uuid, VK_UUID_SIZE) == 0) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DEVICE, 0, 0, 0,
		"the semaphore is of another %s, which alone understands its descriptor",
		same_device ? "driver, or another version of it" : "device");
}

static int import_fd(struct stile_vulkan *vulkan, VkSemaphore semaphore, int borrowed,
	struct stile_report *why) {
	PFN_vkImportSemaphoreFdKHR import =
		(PFN_vkImportSemaphoreFdKHR)vulkan->vk.GetDeviceProcAddr(
			vulkan->info.device, "vkImportSemaphoreFdKHR");
	int fd = os_dup(borrowed);
	if (fd < 0) {
		return report_refuse(why, fd,
			fd == -EBADF ? STILE_REASON_FD_CLOSED : STILE_REASON_RESOURCES, 0, 0, 0,
			"descriptor %d: %s", borrowed, strerror(-fd));
	}
	VkImportSemaphoreFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
		.semaphore = semaphore,
		.handleType = kind,
		.fd = fd,
	};
	VkResult result = import == NULL ? VK_ERROR_EXTENSION_NOT_PRESENT
					 : import(vulkan->info.device, &info);
	if (result != VK_SUCCESS) {
		close(fd);
		return refuse_result(why, "vkImportSemaphoreFdKHR", result);
	}
	return 0;
}

static int import_semaphore(struct stile_vulkan *vulkan, const struct stile_vulkan_shared *shared,
	struct stile_report *why, VkSemaphore *out) {
	int ret = check_driver(
		vulkan, shared->type, VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT, why);
	if (ret == 0) {
		ret = check_ids(vulkan, shared, why);
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
		return refuse_result(why, "vkCreateSemaphore", result);
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
