/* SPDX-License-Identifier: MIT */
/* What the physical device says: what it takes, and which one it is. */
#include <errno.h>
#include <string.h>

#include "src/report.h"
#include "src/uuid.h"
#include "src/vulkan/vulkan.h"

int vulkan_get_support(const struct stile_vulkan *vulkan, const struct vulkan_kind *kind,
	struct vulkan_support *support, struct stile_report *why) {
	const VkPhysicalDeviceImageDrmFormatModifierInfoEXT explicit = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_DRM_FORMAT_MODIFIER_INFO_EXT,
		.drmFormatModifier = kind->modifier,
		.sharingMode = VK_SHARING_MODE_EXCLUSIVE,
	};
	const VkPhysicalDeviceExternalImageFormatInfo external = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO,
		.pNext = kind->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT ? &explicit : NULL,
		.handleType = kind->handle_type,
	};
	const VkPhysicalDeviceImageFormatInfo2 ask = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_FORMAT_INFO_2,
		.pNext = &external,
		.format = kind->format,
		.type = VK_IMAGE_TYPE_2D,
		.tiling = kind->tiling,
		.usage = kind->usage,
		.flags = kind->flags,
	};
	VkExternalImageFormatProperties external_answer = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES,
	};
	VkImageFormatProperties2 answer = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_FORMAT_PROPERTIES_2,
		.pNext = &external_answer,
	};
	VkResult result = vulkan->vk.GetPhysicalDeviceImageFormatProperties2(
		vulkan->info.physical_device, &ask, &answer);
	/* Of anything else, what the device takes is not known. */
	if (result != VK_SUCCESS && result != VK_ERROR_FORMAT_NOT_SUPPORTED) {
		return vulkan_refuse(why, "vkGetPhysicalDeviceImageFormatProperties2", result);
	}
	/* Some drivers answer success with no features: the bits are what counts. */
	*support = (struct vulkan_support){
		.result = result,
		.features = result != VK_SUCCESS
			? 0
			: external_answer.externalMemoryProperties.externalMemoryFeatures,
		.max_width = answer.imageFormatProperties.maxExtent.width,
		.max_height = answer.imageFormatProperties.maxExtent.height,
	};
	return 0;
}

int vulkan_check_extent(const struct vulkan_support *support, uint32_t fourcc, uint32_t width,
	uint32_t height, struct stile_report *why) {
	bool is_wide = width > support->max_width;
	if (!is_wide && height <= support->max_height) {
		return 0;
	}
	return report_refuse(why, -ERANGE, STILE_REASON_EXTENT, 0,
		is_wide ? support->max_width : support->max_height, is_wide ? width : height,
		"%u x %u pixels is too large: the device takes %s up to %u x %u", width, height,
		stile_format_get(fourcc)->name, support->max_width, support->max_height);
}

VkExternalMemoryFeatureFlags vulkan_get_buffer_features(const struct stile_vulkan *vulkan,
	VkExternalMemoryHandleTypeFlagBits handle_type, VkBufferUsageFlags usage) {
	const VkPhysicalDeviceExternalBufferInfo ask = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
		.usage = usage,
		.handleType = handle_type,
	};
	VkExternalBufferProperties answer = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES,
	};
	vulkan->vk.GetPhysicalDeviceExternalBufferProperties(
		vulkan->info.physical_device, &ask, &answer);
	return answer.externalMemoryProperties.externalMemoryFeatures;
}

VkExternalSemaphoreFeatureFlags vulkan_get_semaphore_features(const struct stile_vulkan *vulkan,
	VkSemaphoreType type, VkExternalSemaphoreHandleTypeFlagBits handle_type) {
	PFN_vkGetPhysicalDeviceExternalSemaphoreProperties get_properties =
		(PFN_vkGetPhysicalDeviceExternalSemaphoreProperties)
			vulkan->info.get_instance_proc_addr(vulkan->info.instance,
				"vkGetPhysicalDeviceExternalSemaphoreProperties");
	const VkSemaphoreTypeCreateInfo of = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
		.semaphoreType = type,
	};
	const VkPhysicalDeviceExternalSemaphoreInfo ask = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_SEMAPHORE_INFO,
		.pNext = &of,
		.handleType = handle_type,
	};
	VkExternalSemaphoreProperties answer = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_SEMAPHORE_PROPERTIES,
	};
	if (get_properties != NULL &&
		vulkan_has_extension(vulkan, VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME)) {
		get_properties(vulkan->info.physical_device, &ask, &answer);
	}
	return answer.externalSemaphoreFeatures;
}

void vulkan_get_uuids(const struct stile_vulkan *vulkan, uint8_t device[STILE_UUID_BYTES],
	uint8_t driver[STILE_UUID_BYTES]) {
	VkPhysicalDeviceIDProperties id = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES,
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
		.pNext = &id,
	};
	vulkan->vk.GetPhysicalDeviceProperties2(vulkan->info.physical_device, &properties);
	memcpy(device, id.deviceUUID, STILE_UUID_BYTES);
	memcpy(driver, id.driverUUID, STILE_UUID_BYTES);
}

int vulkan_check_uuids(const struct stile_vulkan *vulkan, const char *what,
	const uint8_t device[STILE_UUID_BYTES], const uint8_t driver[STILE_UUID_BYTES],
	struct stile_report *why) {
	static const char adapter[] = "the adapter's";
	uint8_t our_device[STILE_UUID_BYTES], our_driver[STILE_UUID_BYTES];
	vulkan_get_uuids(vulkan, our_device, our_driver);
	if (memcmp(our_driver, driver, STILE_UUID_BYTES) != 0) {
		return uuid_refuse(why, "driver or version", what, driver, adapter, our_driver);
	}
	if (memcmp(our_device, device, STILE_UUID_BYTES) != 0) {
		return uuid_refuse(why, "device", what, device, adapter, our_device);
	}
	return 0;
}
