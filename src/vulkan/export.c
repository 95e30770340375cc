/* SPDX-License-Identifier: MIT */
/* The application's own images and memory, for others, as dma-bufs. */
#include <errno.h>
#include <unistd.h>

#include <stile/vulkan_memory.h>

#include "src/driver_fd.h"
#include "src/report.h"
#include "src/vulkan/vulkan.h"

/* A descriptor of the memory, CLOEXEC. */
int vulkan_memory_get_fd(struct stile_vulkan *vulkan, VkDeviceMemory memory,
	VkExternalMemoryHandleTypeFlagBits handle_type, int *fd, struct stile_report *why) {
	VkMemoryGetFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.memory = memory,
		.handleType = handle_type,
	};
	*fd = -1;
	VkResult result = vulkan->vk.GetMemoryFdKHR(vulkan->info.device, &info, fd);
	if (result != VK_SUCCESS) {
		*fd = -1;
		return vulkan_refuse(why, "vkGetMemoryFdKHR", result);
	}
	return driver_fd_receive("vkGetMemoryFdKHR", fd, why);
}

/* ---- Images -------------------------------------------------------------------------------- */

int vulkan_check_fourcc(uint32_t fourcc, VkFormat *format, struct stile_report *why) {
	struct stile_vulkan_format known = { .size = sizeof(known) };
	if (stile_vulkan_format_get(fourcc, &known) < 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, fourcc,
			"there is no VkFormat for 0x%08x", fourcc);
	}
	*format = known.format;
	return 0;
}

int vulkan_check_own(
	const struct stile_vulkan_own_image *own, VkFormat *format, struct stile_report *why) {
	if (own->image == VK_NULL_HANDLE || own->memory == VK_NULL_HANDLE) {
		return report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0, 0, 0,
			"image and memory are both needed");
	}
	return vulkan_check_fourcc(own->fourcc, format, why);
}

int vulkan_check_external(struct stile_vulkan *vulkan, const struct stile_vulkan_own_image *own,
	VkFormat format, uint64_t modifier, VkExternalMemoryHandleTypeFlagBits handle_type,
	VkExternalMemoryFeatureFlagBits wanted, struct stile_report *why) {
	const struct vulkan_kind kind = {
		.format = format,
		.tiling = own->tiling,
		.modifier = modifier,
		.usage = own->usage,
		.handle_type = handle_type,
	};
	struct vulkan_support support = { .result = VK_SUCCESS };
	int ret = vulkan_get_support(vulkan, &kind, &support, why);
	if (ret < 0) {
		return ret;
	}
	if ((support.features & wanted) != 0) {
		/* Of what is exported there is an image already. */
		return wanted == VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT
			? 0
			: vulkan_check_extent(&support, own->fourcc, own->width, own->height, why);
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, own->fourcc,
		"the driver %s no %s image of tiling %d, usage 0x%x as %s (%s, features 0x%x)",
		wanted == VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT ? "exports" : "imports",
		stile_format_get(own->fourcc)->name, own->tiling, own->usage,
		handle_type == VULKAN_DMA_BUF ? "a dma-buf" : "OPAQUE_FD",
		vulkan_result_name(support.result), support.features);
}

static int get_modifier(struct stile_vulkan *vulkan, const struct stile_vulkan_own_image *own,
	uint64_t *modifier, struct stile_report *why) {
	*modifier = DRM_FORMAT_MOD_LINEAR;
	if (own->tiling == VK_IMAGE_TILING_LINEAR) {
		return 0;
	}
	if (own->tiling != VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0, 0,
			(uint64_t)own->tiling,
			"optimal tiling has no name by which others could read it: create the image "
			"linear or with a modifier, or share it with the same driver as OPAQUE_FD");
	}
	if (vulkan->vk.GetImageDrmFormatModifierPropertiesEXT == NULL) {
		return vulkan_memory_need(
			vulkan, VK_EXT_IMAGE_DRM_FORMAT_MODIFIER_EXTENSION_NAME, why);
	}
	VkImageDrmFormatModifierPropertiesEXT properties = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_PROPERTIES_EXT,
	};
	VkResult result = vulkan->vk.GetImageDrmFormatModifierPropertiesEXT(
		vulkan->info.device, own->image, &properties);
	if (result != VK_SUCCESS) {
		return vulkan_refuse(why, "vkGetImageDrmFormatModifierPropertiesEXT", result);
	}
	*modifier = properties.drmFormatModifier;
	return 0;
}

static VkImageAspectFlagBits get_aspect(
	const struct stile_vulkan_own_image *own, uint32_t plane_count, uint32_t plane) {
	static const VkImageAspectFlagBits memory_planes[STILE_MAX_PLANES] = {
		VK_IMAGE_ASPECT_MEMORY_PLANE_0_BIT_EXT,
		VK_IMAGE_ASPECT_MEMORY_PLANE_1_BIT_EXT,
		VK_IMAGE_ASPECT_MEMORY_PLANE_2_BIT_EXT,
		VK_IMAGE_ASPECT_MEMORY_PLANE_3_BIT_EXT,
	};
	static const VkImageAspectFlagBits planes[STILE_MAX_PLANES] = {
		VK_IMAGE_ASPECT_PLANE_0_BIT,
		VK_IMAGE_ASPECT_PLANE_1_BIT,
		VK_IMAGE_ASPECT_PLANE_2_BIT,
	};
	if (own->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT) {
		return memory_planes[plane];
	}
	return plane_count == 1 ? VK_IMAGE_ASPECT_COLOR_BIT : planes[plane];
}

/* Where the driver has put the planes, in the memory behind the descriptor. */
static int describe_planes(struct stile_vulkan *vulkan, const struct stile_vulkan_own_image *own,
	int fd, struct stile_image_info *info, struct stile_report *why) {
	uint32_t count = stile_format_get(own->fourcc)->plane_count;
	bool tiled = own->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT;
	info->plane_count = tiled && own->plane_count != 0 ? own->plane_count : count;
	if (info->plane_count > STILE_MAX_PLANES) {
		return report_refuse(why, -EINVAL, STILE_REASON_PLANE_COUNT, 0, STILE_MAX_PLANES,
			info->plane_count, "an image has at most %d planes, not %u",
			STILE_MAX_PLANES, info->plane_count);
	}
	for (uint32_t i = 0; i < info->plane_count; i++) {
		VkImageSubresource plane = {
			.aspectMask = get_aspect(own, info->plane_count, i),
		};
		VkSubresourceLayout layout;
		vulkan->vk.GetImageSubresourceLayout(
			vulkan->info.device, own->image, &plane, &layout);
		if (layout.rowPitch > UINT32_MAX) {
			return report_refuse(why, -ERANGE, STILE_REASON_PITCH, i, UINT32_MAX,
				layout.rowPitch, "plane %u: the driver's pitch is too large", i);
		}
		info->planes[i] = (struct stile_image_plane){
			.fd = fd,
			.pitch = (uint32_t)layout.rowPitch,
			.offset = own->offset + layout.offset,
		};
		/* lavapipe 25 says so of NV12. */
		if (i > 0 && info->planes[i].offset == info->planes[i - 1].offset) {
			return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, i, 0,
				info->planes[i].offset,
				"plane %u: the driver says that it begins where plane %u does", i,
				i - 1);
		}
	}
	return 0;
}

static int export_image(struct stile_vulkan *vulkan, const struct stile_vulkan_own_image *own,
	struct stile_device *device, struct stile_report *why, struct stile_image **out) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = own->width,
		.height = own->height,
		.fourcc = own->fourcc,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.name = own->name,
	};
	VkFormat format = VK_FORMAT_UNDEFINED;
	int fd = -1;
	int ret = vulkan_memory_need_dma_buf(vulkan, why);
	if (ret == 0) {
		ret = vulkan_check_own(own, &format, why);
	}
	if (ret == 0) {
		ret = get_modifier(vulkan, own, &info.modifier, why);
	}
	if (ret == 0) {
		ret = vulkan_check_external(vulkan, own, format, info.modifier, VULKAN_DMA_BUF,
			VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT, why);
	}
	if (ret == 0) {
		ret = vulkan_memory_get_fd(vulkan, own->memory, VULKAN_DMA_BUF, &fd, why);
	}
	if (ret < 0) {
		return ret;
	}
	ret = describe_planes(vulkan, own, fd, &info, why);
	if (ret == 0) {
		why->size = sizeof(*why);
		ret = stile_image_import(device, &info, why, out);
	}
	close(fd);
	return ret;
}

int vulkan_refuse_export(struct stile_vulkan *vulkan, const char *what,
	const struct stile_report *why, struct stile_report *report) {
	report_give(report, why);
	vulkan_log(vulkan, STILE_LOG_ERROR, "Vulkan export of %s: %s", what, why->text);
	return why->error;
}

int stile_vulkan_export_image(struct stile_vulkan *vulkan, const struct stile_vulkan_own_image *own,
	struct stile_device *device, struct stile_report *report, struct stile_image **out) {
	*out = NULL;
	struct stile_vulkan_own_image known;
	int ret = report_copy_in(report, &known, sizeof(known), own);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	ret = export_image(vulkan, &known, device, &why, out);
	return ret < 0 ? vulkan_refuse_export(vulkan, "an image", &why, report) : 0;
}

/* ---- Memory -------------------------------------------------------------------------------- */

static int export_memory(struct stile_vulkan *vulkan, VkDeviceMemory memory,
	struct stile_device *device, struct stile_report *why, struct stile_buffer **out) {
	int fd;
	if (memory == VK_NULL_HANDLE) {
		return report_refuse(
			why, -EINVAL, STILE_REASON_USAGE, 0, 0, 0, "no memory was given");
	}
	int ret = vulkan_memory_need_dma_buf(vulkan, why);
	if (ret < 0) {
		return ret;
	}
	VkExternalMemoryFeatureFlags features = vulkan_get_buffer_features(
		vulkan, VULKAN_DMA_BUF, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
	if ((features & VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT) == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, features,
			"the driver exports no memory as a dma-buf (features 0x%x)", features);
	}
	ret = vulkan_memory_get_fd(vulkan, memory, VULKAN_DMA_BUF, &fd, why);
	if (ret < 0) {
		return ret;
	}
	why->size = sizeof(*why);
	ret = stile_buffer_import_fd(device, fd, STILE_USAGE_READ | STILE_USAGE_WRITE, why, out);
	close(fd);
	return ret;
}

int stile_vulkan_export_memory(struct stile_vulkan *vulkan, VkDeviceMemory memory,
	struct stile_device *device, struct stile_report *report, struct stile_buffer **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = export_memory(vulkan, memory, device, &why, out);
	return ret < 0 ? vulkan_refuse_export(vulkan, "memory", &why, report) : 0;
}
