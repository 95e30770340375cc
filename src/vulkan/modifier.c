/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "src/macros.h"
#include "src/modifier.h"
#include "src/report.h"
#include "src/vulkan/vulkan.h"

/* What the device says of a format in one layout. */
struct abilities {
	VkFormatFeatureFlags features;
	uint32_t plane_count; /* of the memory, of an explicit modifier */
};

/* -EOPNOTSUPP: it does not list the modifier. */
static int find_modifier(struct stile_vulkan *vulkan, VkFormat format, uint64_t modifier,
	struct abilities *abilities) {
	VkDrmFormatModifierPropertiesListEXT list = {
		.sType = VK_STRUCTURE_TYPE_DRM_FORMAT_MODIFIER_PROPERTIES_LIST_EXT,
	};
	VkFormatProperties2 answer = {
		.sType = VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_2,
		.pNext = &list,
	};
	VkPhysicalDevice device = vulkan->info.physical_device;
	vulkan->vk.GetPhysicalDeviceFormatProperties2(device, format, &answer);
	list.pDrmFormatModifierProperties =
		calloc(list.drmFormatModifierCount, sizeof(*list.pDrmFormatModifierProperties));
	if (list.pDrmFormatModifierProperties == NULL) {
		return list.drmFormatModifierCount == 0 ? -EOPNOTSUPP : -ENOMEM;
	}
	vulkan->vk.GetPhysicalDeviceFormatProperties2(device, format, &answer);
	int ret = -EOPNOTSUPP;
	for (uint32_t i = 0; i < list.drmFormatModifierCount; i++) {
		const VkDrmFormatModifierPropertiesEXT *one = &list.pDrmFormatModifierProperties[i];
		if (one->drmFormatModifier == modifier) {
			*abilities = (struct abilities){ one->drmFormatModifierTilingFeatures,
				one->drmFormatModifierPlaneCount };
			ret = 0;
		}
	}
	free(list.pDrmFormatModifierProperties);
	return ret;
}

static int find_abilities(struct stile_vulkan *vulkan, const struct stile_image_info *info,
	VkFormat format, const struct vulkan_way *way, struct abilities *abilities) {
	if (way->tiling != VK_IMAGE_TILING_LINEAR) {
		return find_modifier(vulkan, format, info->modifier, abilities);
	}
	VkFormatProperties2 answer = { .sType = VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_2 };
	vulkan->vk.GetPhysicalDeviceFormatProperties2(
		vulkan->info.physical_device, format, &answer);
	*abilities = (struct abilities){ answer.formatProperties.linearTilingFeatures,
		info->plane_count };
	return 0;
}

int vulkan_way_check(struct stile_vulkan *vulkan, const struct stile_image_info *info,
	VkFormat format, const struct vulkan_way *way, struct stile_report *why) {
	const char *name = stile_format_get(info->fourcc)->name;
	struct abilities abilities;
	int ret = find_abilities(vulkan, info, format, way, &abilities);
	if (ret == -ENOMEM) {
		return report_refuse(why, ret, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	if (ret < 0) {
		return report_refuse(why, ret, STILE_REASON_MODIFIER, 0, 0, info->modifier,
			"the device does not list modifier %s for %s",
			modifier_describe(info->modifier).text, name);
	}
	if (abilities.plane_count != info->plane_count) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_PLANE_COUNT, 0,
			abilities.plane_count, info->plane_count,
			"the device has %s with modifier %s in %u plane%s, the image has %u", name,
			modifier_describe(info->modifier).text, abilities.plane_count,
			PLURAL(abilities.plane_count), info->plane_count);
	}
	/* Of a format that the device has not got at all, this says too little. */
	if (way->is_disjoint && abilities.features != 0 &&
		(abilities.features & VK_FORMAT_FEATURE_DISJOINT_BIT) == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0,
			VK_FORMAT_FEATURE_DISJOINT_BIT, abilities.features,
			"the device takes no %s whose planes have memory of their own (features "
			"0x%x)",
			name, abilities.features);
	}
	return 0;
}
