/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <time.h>

#include "src/macros.h"
#include "src/report.h"
#include "src/vulkan/vulkan.h"

static const struct {
	VkResult result;
	int error;
	const char *name;
} results[] = {
	{ VK_SUCCESS, 0, "VK_SUCCESS" },
	{ VK_TIMEOUT, -ETIME, "VK_TIMEOUT" },
	{ VK_ERROR_OUT_OF_HOST_MEMORY, -ENOMEM, "VK_ERROR_OUT_OF_HOST_MEMORY" },
	{ VK_ERROR_OUT_OF_DEVICE_MEMORY, -ENOMEM, "VK_ERROR_OUT_OF_DEVICE_MEMORY" },
	{ VK_ERROR_TOO_MANY_OBJECTS, -ENOMEM, "VK_ERROR_TOO_MANY_OBJECTS" },
	{ VK_ERROR_DEVICE_LOST, -EIO, "VK_ERROR_DEVICE_LOST" },
	{ VK_ERROR_FORMAT_NOT_SUPPORTED, -EOPNOTSUPP, "VK_ERROR_FORMAT_NOT_SUPPORTED" },
	{ VK_ERROR_FEATURE_NOT_PRESENT, -EOPNOTSUPP, "VK_ERROR_FEATURE_NOT_PRESENT" },
	{ VK_ERROR_EXTENSION_NOT_PRESENT, -EOPNOTSUPP, "VK_ERROR_EXTENSION_NOT_PRESENT" },
	{ VK_ERROR_INVALID_EXTERNAL_HANDLE, -EOPNOTSUPP, "VK_ERROR_INVALID_EXTERNAL_HANDLE" },
	{ VK_ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT, -EOPNOTSUPP,
		"VK_ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT" },
};

int vulkan_errno(VkResult result) {
	for (size_t i = 0; i < ARRAY_LENGTH(results); i++) {
		if (results[i].result == result) {
			return results[i].error;
		}
	}
	return -EIO;
}

bool vulkan_passes(VkResult result) {
	const struct timespec pause = { .tv_nsec = 10000000 };
	return vulkan_errno(result) == -ENOMEM && nanosleep(&pause, NULL) <= 0;
}

const char *vulkan_result_name(VkResult result) {
	for (size_t i = 0; i < ARRAY_LENGTH(results); i++) {
		if (results[i].result == result) {
			return results[i].name;
		}
	}
	return "an unexpected VkResult";
}

int vulkan_refuse(struct stile_report *why, const char *call, VkResult result) {
	return report_refuse(why, vulkan_errno(result), STILE_REASON_DRIVER, 0, 0,
		(uint64_t)(uint32_t)result, "%s: %s (%d)", call, vulkan_result_name(result),
		result);
}
