/* SPDX-License-Identifier: MIT */
/* What the physical device says that it takes. */
#include "src/vulkan/vulkan.h"

struct vulkan_support vulkan_get_support(
	const struct stile_vulkan *vulkan, const struct vulkan_kind *kind) {
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
	/* Some drivers answer success with no features: the bits are what counts. */
	return (struct vulkan_support){
		.result = result,
		.features = result != VK_SUCCESS
			? 0
			: external_answer.externalMemoryProperties.externalMemoryFeatures,
		.max_width = answer.imageFormatProperties.maxExtent.width,
		.max_height = answer.imageFormatProperties.maxExtent.height,
	};
}
