/* SPDX-License-Identifier: MIT */
/* Images of the fake Vulkan device, and conversions. */
#include <stdlib.h>

#include "interop-tests/support/fake_gpu.h"
#include "interop-tests/support/fake_vulkan_device.h"

/* What the specification says of formats. */
static const struct shape {
	VkFormat format;
	uint32_t plane_count;
	uint32_t bytes[3];   /* of a block */
	uint32_t hsub, vsub; /* of all but the first plane; of one plane, the block's */
} shapes[] = {
	{ VK_FORMAT_R8_UNORM, 1, { 1 }, 1, 1 },
	{ VK_FORMAT_R16_UNORM, 1, { 2 }, 1, 1 },
	{ VK_FORMAT_R8G8_UNORM, 1, { 2 }, 1, 1 },
	{ VK_FORMAT_R16G16_UNORM, 1, { 4 }, 1, 1 },
	{ VK_FORMAT_A4R4G4B4_UNORM_PACK16, 1, { 2 }, 1, 1 },
	{ VK_FORMAT_A4B4G4R4_UNORM_PACK16, 1, { 2 }, 1, 1 },
	{ VK_FORMAT_R4G4B4A4_UNORM_PACK16, 1, { 2 }, 1, 1 },
	{ VK_FORMAT_B4G4R4A4_UNORM_PACK16, 1, { 2 }, 1, 1 },
	{ VK_FORMAT_A1R5G5B5_UNORM_PACK16, 1, { 2 }, 1, 1 },
	{ VK_FORMAT_R5G5B5A1_UNORM_PACK16, 1, { 2 }, 1, 1 },
	{ VK_FORMAT_B5G5R5A1_UNORM_PACK16, 1, { 2 }, 1, 1 },
	{ VK_FORMAT_R5G6B5_UNORM_PACK16, 1, { 2 }, 1, 1 },
	{ VK_FORMAT_B5G6R5_UNORM_PACK16, 1, { 2 }, 1, 1 },
	{ VK_FORMAT_R8G8B8_UNORM, 1, { 3 }, 1, 1 },
	{ VK_FORMAT_B8G8R8_UNORM, 1, { 3 }, 1, 1 },
	{ VK_FORMAT_R8G8B8A8_UNORM, 1, { 4 }, 1, 1 },
	{ VK_FORMAT_B8G8R8A8_UNORM, 1, { 4 }, 1, 1 },
	{ VK_FORMAT_A2R10G10B10_UNORM_PACK32, 1, { 4 }, 1, 1 },
	{ VK_FORMAT_A2B10G10R10_UNORM_PACK32, 1, { 4 }, 1, 1 },
	{ VK_FORMAT_R16G16B16A16_UNORM, 1, { 8 }, 1, 1 },
	{ VK_FORMAT_R16G16B16A16_SFLOAT, 1, { 8 }, 1, 1 },
	{ VK_FORMAT_R12X4G12X4B12X4A12X4_UNORM_4PACK16, 1, { 8 }, 1, 1 },
	{ VK_FORMAT_G8B8G8R8_422_UNORM, 1, { 4 }, 2, 1 },
	{ VK_FORMAT_B8G8R8G8_422_UNORM, 1, { 4 }, 2, 1 },
	{ VK_FORMAT_G10X6B10X6G10X6R10X6_422_UNORM_4PACK16, 1, { 8 }, 2, 1 },
	{ VK_FORMAT_G12X4B12X4G12X4R12X4_422_UNORM_4PACK16, 1, { 8 }, 2, 1 },
	{ VK_FORMAT_G16B16G16R16_422_UNORM, 1, { 8 }, 2, 1 },
	{ VK_FORMAT_G8_B8R8_2PLANE_420_UNORM, 2, { 1, 2 }, 2, 2 },
	{ VK_FORMAT_G8_B8R8_2PLANE_422_UNORM, 2, { 1, 2 }, 2, 1 },
	{ VK_FORMAT_G8_B8R8_2PLANE_444_UNORM, 2, { 1, 2 }, 1, 1 },
	{ VK_FORMAT_G10X6_B10X6R10X6_2PLANE_420_UNORM_3PACK16, 2, { 2, 4 }, 2, 2 },
	{ VK_FORMAT_G10X6_B10X6R10X6_2PLANE_422_UNORM_3PACK16, 2, { 2, 4 }, 2, 1 },
	{ VK_FORMAT_G12X4_B12X4R12X4_2PLANE_420_UNORM_3PACK16, 2, { 2, 4 }, 2, 2 },
	{ VK_FORMAT_G16_B16R16_2PLANE_420_UNORM, 2, { 2, 4 }, 2, 2 },
	{ VK_FORMAT_G8_B8_R8_3PLANE_420_UNORM, 3, { 1, 1, 1 }, 2, 2 },
	{ VK_FORMAT_G8_B8_R8_3PLANE_422_UNORM, 3, { 1, 1, 1 }, 2, 1 },
	{ VK_FORMAT_G8_B8_R8_3PLANE_444_UNORM, 3, { 1, 1, 1 }, 1, 1 },
};

static struct fake_vulkan *fake_of(VkDevice device) {
	return (struct fake_vulkan *)device;
}

static const struct fake_vulkan_memory_traits *traits_of(VkPhysicalDevice physical_device) {
	return ((const struct fake_vulkan *)physical_device)->traits.memory;
}

/* ---- Structs of callers ---------------------------------------------------------------------- */

void *fake_chain_find(const void *chain, VkStructureType type) {
	const VkBaseInStructure *at = chain;
	while (at != NULL && at->sType != type) {
		at = at->pNext;
	}
	/* Queries write to what they find. */
	return (void *)(uintptr_t)at;
}

void fake_chain_check(const char *call, const void *first, const VkStructureType *types) {
	const VkBaseInStructure *at = first;
	if (at->sType != types[0]) {
		fake_gpu_complain("%s: its struct is of type %d (sType-sType)", call, at->sType);
	}
	for (at = at->pNext; at != NULL; at = at->pNext) {
		size_t i = 1;
		while (types[i] != 0 && types[i] != at->sType) {
			i++;
		}
		if (types[i] == 0 || fake_chain_find(at->pNext, at->sType) != NULL) {
			fake_gpu_complain("%s: a struct of type %d, or two", call, at->sType);
		}
	}
}

void fake_require_rule(bool kept, const char *call, const char *rule) {
	if (!kept) {
		fake_gpu_complain("%s breaks %s", call, rule);
	}
}

/* ---- Layouts --------------------------------------------------------------------------------- */

static const struct shape *find_shape(VkFormat format) {
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (shapes[i].format == format) {
			return &shapes[i];
		}
	}
	fake_gpu_complain("the fake does not know format %d", format);
	return &shapes[0];
}

uint32_t fake_vulkan_plane_count(VkFormat format) {
	return find_shape(format)->plane_count;
}

/* Are there fewer samples in it than pixels? Of what is in one plane, that is the block. */
static bool is_sampled_less(const struct shape *shape, uint32_t k) {
	return k > 0 || shape->plane_count == 1;
}

static const struct fake_vulkan_layout *find_layout(const struct fake_vulkan_memory_traits *traits,
	VkFormat format, VkImageTiling tiling, uint64_t modifier) {
	for (const struct fake_vulkan_layout *at = traits->layouts; at->format != 0; at++) {
		if (at->format == format && at->tiling == tiling &&
			(tiling != VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT ||
				at->modifier == modifier)) {
			return at;
		}
	}
	return NULL;
}

static uint64_t div_up(uint64_t a, uint64_t b) {
	return (a + b - 1) / b;
}

uint64_t fake_align_up(uint64_t a, uint64_t b) {
	return b == 0 ? a : div_up(a, b) * b;
}

/* The least pitch of a plane of memory. */
static uint64_t get_pitch(const struct fake_image *image, uint32_t i) {
	const struct fake_vulkan_layout *layout = image->layout;
	const struct shape *shape = find_shape(layout->format);
	uint32_t k = i % shape->plane_count;
	uint64_t row = div_up(image->extent.width, is_sampled_less(shape, k) ? shape->hsub : 1) *
		shape->bytes[k];
	uint64_t tiled = fake_align_up(row, layout->tile_bytes);
	return fake_align_up(i < shape->plane_count ? tiled : tiled / layout->tile_bytes * 8,
		layout->pitch_align);
}

static uint64_t get_rows(const struct fake_image *image, uint32_t i) {
	const struct shape *shape = find_shape(image->layout->format);
	bool is_less = is_sampled_less(shape, i % shape->plane_count);
	uint64_t rows = div_up(image->extent.height, is_less ? shape->vsub : 1);
	uint64_t tile_rows = image->layout->tile_rows;
	return i < shape->plane_count ? fake_align_up(rows, tile_rows) : div_up(rows, tile_rows);
}

/* As the device itself likes it. */
static void lay_out(struct fake_image *image, uint32_t lead) {
	VkDeviceSize end = 0;
	for (uint32_t i = 0; i < image->layout->plane_count; i++) {
		VkSubresourceLayout *plane = &image->planes[i];
		plane->rowPitch = get_pitch(image, i);
		plane->size = plane->rowPitch * get_rows(image, i);
		plane->offset =
			image->is_disjoint ? 0 : fake_align_up(end, image->layout->offset_align);
		plane->offset += i == 0 ? lead : 0;
		end = plane->offset + plane->size;
	}
}

/* As it is told. False: it cannot have it so. */
static bool take_layout(
	struct fake_image *image, const VkImageDrmFormatModifierExplicitCreateInfoEXT *info) {
	bool taken = true;
	for (uint32_t i = 0; i < image->layout->plane_count; i++) {
		const VkSubresourceLayout *told = &info->pPlaneLayouts[i];
		fake_require_rule(told->size == 0, "vkCreateImage",
			"VUID-VkImageDrmFormatModifierExplicitCreateInfoEXT-size-02267");
		fake_require_rule(told->arrayPitch == 0, "vkCreateImage",
			"VUID-VkImageDrmFormatModifierExplicitCreateInfoEXT-arrayPitch-02268");
		fake_require_rule(told->depthPitch == 0, "vkCreateImage",
			"VUID-VkImageDrmFormatModifierExplicitCreateInfoEXT-depthPitch-02269");
		image->planes[i] = *told;
		image->planes[i].size = told->rowPitch * get_rows(image, i);
		taken = taken && told->rowPitch >= get_pitch(image, i) &&
			fake_align_up(told->rowPitch, image->layout->pitch_align) ==
				told->rowPitch &&
			fake_align_up(told->offset, image->layout->offset_align) == told->offset;
	}
	return taken;
}

/* ---- What it announces ----------------------------------------------------------------------- */

static VKAPI_ATTR void VKAPI_CALL get_format_properties(
	VkPhysicalDevice physical_device, VkFormat format, VkFormatProperties2 *answer) {
	const struct fake_vulkan_memory_traits *traits = traits_of(physical_device);
	FAKE_CHAIN_CHECK("vkGetPhysicalDeviceFormatProperties2", answer,
		VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_2,
		VK_STRUCTURE_TYPE_DRM_FORMAT_MODIFIER_PROPERTIES_LIST_EXT);
	VkDrmFormatModifierPropertiesListEXT *list = fake_chain_find(
		answer->pNext, VK_STRUCTURE_TYPE_DRM_FORMAT_MODIFIER_PROPERTIES_LIST_EXT);
	uint32_t count = 0;
	answer->formatProperties = (VkFormatProperties){ 0 };
	for (const struct fake_vulkan_layout *at = traits->layouts; at->format != 0; at++) {
		if (at->format != format) {
			continue;
		}
		if (at->tiling == VK_IMAGE_TILING_LINEAR) {
			answer->formatProperties.linearTilingFeatures = at->features;
		} else if (at->tiling == VK_IMAGE_TILING_OPTIMAL) {
			answer->formatProperties.optimalTilingFeatures = at->features;
		} else if (list != NULL && list->pDrmFormatModifierProperties != NULL &&
			count < list->drmFormatModifierCount) {
			list->pDrmFormatModifierProperties[count++] =
				(VkDrmFormatModifierPropertiesEXT){ at->modifier, at->plane_count,
					at->features };
		} else {
			count++;
		}
	}
	if (list != NULL) {
		list->drmFormatModifierCount = count;
	}
}

static VkFormatFeatureFlags get_needed_features(VkImageUsageFlags usage, VkImageCreateFlags flags) {
	static const struct {
		VkImageUsageFlagBits usage;
		VkFormatFeatureFlagBits feature;
	} pairs[] = {
		{ VK_IMAGE_USAGE_SAMPLED_BIT, VK_FORMAT_FEATURE_SAMPLED_IMAGE_BIT },
		{ VK_IMAGE_USAGE_STORAGE_BIT, VK_FORMAT_FEATURE_STORAGE_IMAGE_BIT },
		{ VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT, VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BIT },
	};
	VkFormatFeatureFlags needed = 0;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		needed |= (usage & pairs[i].usage) != 0 ? pairs[i].feature : 0u;
	}
	bool is_disjoint = (flags & VK_IMAGE_CREATE_DISJOINT_BIT) != 0;
	return needed | (is_disjoint ? VK_FORMAT_FEATURE_DISJOINT_BIT : 0u);
}

VkExternalMemoryFeatureFlags fake_layout_get_external(
	const struct fake_vulkan_layout *layout, VkExternalMemoryHandleTypeFlags type) {
	return type == FAKE_DMA_BUF         ? layout->dma_buf
		: type == FAKE_OPAQUE_FD    ? layout->opaque_fd
		: type == FAKE_HOST_POINTER ? layout->host_pointer
					    : 0;
}

static VKAPI_ATTR VkResult VKAPI_CALL get_image_format_properties(VkPhysicalDevice physical_device,
	const VkPhysicalDeviceImageFormatInfo2 *info, VkImageFormatProperties2 *answer) {
	static const char call[] = "vkGetPhysicalDeviceImageFormatProperties2";
	FAKE_CHAIN_CHECK(call, info, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_FORMAT_INFO_2,
		VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO,
		VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_DRM_FORMAT_MODIFIER_INFO_EXT);
	FAKE_CHAIN_CHECK(call, answer, VK_STRUCTURE_TYPE_IMAGE_FORMAT_PROPERTIES_2,
		VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES);
	const VkPhysicalDeviceExternalImageFormatInfo *external = fake_chain_find(
		info->pNext, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO);
	const VkPhysicalDeviceImageDrmFormatModifierInfoEXT *explicit = fake_chain_find(
		info->pNext, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_DRM_FORMAT_MODIFIER_INFO_EXT);
	VkExternalImageFormatProperties *told =
		fake_chain_find(answer->pNext, VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES);
	VkResult result = fake_vulkan_enter((struct fake_vulkan *)physical_device, call);
	fake_require_rule(
		(info->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT) == (explicit != NULL),
		call, "VUID-VkPhysicalDeviceImageFormatInfo2-tiling-02249");
	fake_require_rule(info->usage != 0, call,
		"VUID-VkPhysicalDeviceImageFormatInfo2-usage-requiredbitmask");
	const struct fake_vulkan_layout *layout = find_layout(traits_of(physical_device),
		info->format, info->tiling, explicit == NULL ? 0 : explicit->drmFormatModifier);
	if (layout == NULL ||
		(get_needed_features(info->usage, info->flags) & ~layout->features) != 0) {
		return fake_vulkan_leave(
			result == VK_SUCCESS ? VK_ERROR_FORMAT_NOT_SUPPORTED : result);
	}
	answer->imageFormatProperties = (VkImageFormatProperties){
		.maxExtent = { layout->max_width, layout->max_height, 1 },
		.maxMipLevels = 1,
		.maxArrayLayers = 1,
		.sampleCounts = VK_SAMPLE_COUNT_1_BIT,
	};
	/* Of a kind that it has not, it says that there are no features, as Mesa 22.3's lavapipe. */
	if (external != NULL && told != NULL) {
		told->externalMemoryProperties = (VkExternalMemoryProperties){
			.externalMemoryFeatures =
				fake_layout_get_external(layout, external->handleType),
		};
	}
	return fake_vulkan_leave(result);
}

/* ---- Images ---------------------------------------------------------------------------------- */

static void check_image(
	const struct fake_vulkan_layout *layout, const VkImageCreateInfo *info, VkFlags handles) {
	static const char call[] = "vkCreateImage";
	const struct shape *shape = find_shape(info->format);
	bool is_disjoint = (info->flags & VK_IMAGE_CREATE_DISJOINT_BIT) != 0;
	fake_require_rule(info->usage != 0, call, "VUID-VkImageCreateInfo-usage-requiredbitmask");
	fake_require_rule(info->extent.width <= layout->max_width, call,
		"VUID-VkImageCreateInfo-extent-02252");
	fake_require_rule(info->extent.height <= layout->max_height, call,
		"VUID-VkImageCreateInfo-extent-02253");
	fake_require_rule(
		info->extent.width % shape->hsub == 0, call, "VUID-VkImageCreateInfo-format-04712");
	fake_require_rule(info->extent.height % shape->vsub == 0, call,
		"VUID-VkImageCreateInfo-format-04713");
	fake_require_rule(!is_disjoint || shape->plane_count > 1, call,
		"VUID-VkImageCreateInfo-format-01577");
	fake_require_rule((get_needed_features(info->usage, info->flags) & ~layout->features) == 0,
		call, "VUID-VkImageCreateInfo-imageCreateFormatFeatures-02260");
	fake_require_rule(handles == 0 || fake_layout_get_external(layout, handles) != 0, call,
		"VUID-VkImageCreateInfo-pNext-00990");
	fake_require_rule(handles == 0 || info->initialLayout == VK_IMAGE_LAYOUT_UNDEFINED, call,
		"VUID-VkImageCreateInfo-pNext-01443");
	fake_require_rule(info->mipLevels == 1 && info->arrayLayers == 1 &&
			info->extent.depth == 1 && info->imageType == VK_IMAGE_TYPE_2D &&
			info->samples == VK_SAMPLE_COUNT_1_BIT,
		call, "what the fake can do");
}

/* What an image is told to be. NULL: it has none such, and complains. */
static const struct fake_vulkan_layout *choose_layout(
	const struct fake_vulkan_memory_traits *traits, const VkImageCreateInfo *info) {
	static const char call[] = "vkCreateImage";
	const VkImageDrmFormatModifierListCreateInfoEXT *list = fake_chain_find(
		info->pNext, VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_LIST_CREATE_INFO_EXT);
	const VkImageDrmFormatModifierExplicitCreateInfoEXT *explicit = fake_chain_find(
		info->pNext, VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_EXPLICIT_CREATE_INFO_EXT);
	bool is_tiled = info->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT;
	fake_require_rule(is_tiled == ((list != NULL) != (explicit != NULL)), call,
		"VUID-VkImageCreateInfo-tiling-02261");
	fake_require_rule(
		!is_tiled || traits->modifiers, call, "VUID-VkImageCreateInfo-tiling-parameter");
	const struct fake_vulkan_layout *layout = find_layout(traits, info->format, info->tiling,
		explicit != NULL       ? explicit->drmFormatModifier
			: list != NULL ? list->pDrmFormatModifiers[0]
				       : 0);
	fake_require_rule(
		layout != NULL, call, "VUID-VkImageCreateInfo-imageCreateMaxMipLevels-02251");
	fake_require_rule(layout == NULL || explicit == NULL ||
			explicit->drmFormatModifierPlaneCount == layout->plane_count,
		call,
		"VUID-VkImageDrmFormatModifierExplicitCreateInfoEXT-"
		"drmFormatModifierPlaneCount-02265");
	return layout;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_image(VkDevice device, const VkImageCreateInfo *info,
	const VkAllocationCallbacks *allocator, VkImage *out) {
	static const char call[] = "vkCreateImage";
	FAKE_CHAIN_CHECK(call, info, VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_LIST_CREATE_INFO_EXT,
		VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_EXPLICIT_CREATE_INFO_EXT);
	const VkExternalMemoryImageCreateInfo *external =
		fake_chain_find(info->pNext, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO);
	const VkImageDrmFormatModifierExplicitCreateInfoEXT *explicit = fake_chain_find(
		info->pNext, VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_EXPLICIT_CREATE_INFO_EXT);
	VkFlags handles = external == NULL ? 0 : external->handleTypes;
	(void)allocator;
	*out = VK_NULL_HANDLE;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	const struct fake_vulkan_layout *layout =
		choose_layout(fake_of(device)->traits.memory, info);
	if (layout == NULL) {
		return fake_vulkan_leave(VK_ERROR_FORMAT_NOT_SUPPORTED);
	}
	check_image(layout, info, handles);
	struct fake_image *image = result == VK_SUCCESS ? calloc(1, sizeof(*image)) : NULL;
	if (image == NULL) {
		return fake_vulkan_leave(
			result == VK_SUCCESS ? VK_ERROR_OUT_OF_HOST_MEMORY : result);
	}
	*image = (struct fake_image){
		.layout = layout,
		.extent = info->extent,
		.is_disjoint = (info->flags & VK_IMAGE_CREATE_DISJOINT_BIT) != 0,
		.handle_types = handles,
	};
	if (explicit == NULL) {
		lay_out(image, fake_of(device)->traits.memory->lead);
	} else if (!take_layout(image, explicit)) {
		free(image);
		return fake_vulkan_leave(VK_ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT);
	}
	fake_gpu_count(1);
	*out = (VkImage)image;
	return fake_vulkan_leave(VK_SUCCESS);
}

void fake_object_destroy(void *object) {
	if (object != NULL) {
		fake_gpu_lock();
		fake_gpu_count(-1);
		fake_gpu_unlock();
		free(object);
	}
}

static VKAPI_ATTR void VKAPI_CALL destroy_image(
	VkDevice device, VkImage image, const VkAllocationCallbacks *allocator) {
	(void)device;
	(void)allocator;
	fake_object_destroy((void *)image);
}

uint32_t fake_image_find_plane(const struct fake_image *image, VkImageAspectFlags aspect) {
	const struct fake_vulkan_layout *layout = image->layout;
	VkImageAspectFlags first = layout->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT
		? VK_IMAGE_ASPECT_MEMORY_PLANE_0_BIT_EXT
		: layout->plane_count > 1 ? VK_IMAGE_ASPECT_PLANE_0_BIT
					  : VK_IMAGE_ASPECT_COLOR_BIT;
	uint32_t i = 0;
	while (i < layout->plane_count && aspect != first << i) {
		i++;
	}
	return i < layout->plane_count ? i : FAKE_PLANES;
}

static VKAPI_ATTR void VKAPI_CALL get_subresource_layout(VkDevice device, VkImage handle,
	const VkImageSubresource *of, VkSubresourceLayout *layout) {
	const struct fake_image *image = (const struct fake_image *)handle;
	uint32_t i = fake_image_find_plane(image, of->aspectMask);
	(void)device;
	fake_require_rule(i < FAKE_PLANES && of->mipLevel == 0 && of->arrayLayer == 0,
		"vkGetImageSubresourceLayout", "VUID-vkGetImageSubresourceLayout-tiling-02271");
	fake_require_rule(image->layout->tiling != VK_IMAGE_TILING_OPTIMAL,
		"vkGetImageSubresourceLayout", "VUID-vkGetImageSubresourceLayout-image-02270");
	*layout = image->planes[i % FAKE_PLANES];
}

static VKAPI_ATTR VkResult VKAPI_CALL get_modifier(
	VkDevice device, VkImage handle, VkImageDrmFormatModifierPropertiesEXT *properties) {
	static const char call[] = "vkGetImageDrmFormatModifierPropertiesEXT";
	const struct fake_image *image = (const struct fake_image *)handle;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	fake_require_rule(image->layout->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT, call,
		"VUID-vkGetImageDrmFormatModifierPropertiesEXT-image-02272");
	properties->drmFormatModifier = image->layout->modifier;
	return fake_vulkan_leave(result);
}

VkMemoryRequirements fake_image_get_needs(const struct fake_image *image, uint32_t plane) {
	VkMemoryRequirements needs = {
		.alignment = image->layout->offset_align,
		.memoryTypeBits = FAKE_OBJECT_TYPES,
	};
	for (uint32_t i = 0; i < image->layout->plane_count; i++) {
		VkDeviceSize end = image->planes[i].offset + image->planes[i].size;
		if ((plane == FAKE_PLANES || plane == i) && end > needs.size) {
			needs.size = end;
		}
	}
	return needs;
}

static VKAPI_ATTR void VKAPI_CALL get_image_needs(VkDevice device,
	const VkImageMemoryRequirementsInfo2 *info, VkMemoryRequirements2 *answer) {
	static const char call[] = "vkGetImageMemoryRequirements2";
	const struct fake_image *image = (const struct fake_image *)info->image;
	uint32_t i = FAKE_PLANES;
	FAKE_CHAIN_CHECK(call, info, VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2,
		VK_STRUCTURE_TYPE_IMAGE_PLANE_MEMORY_REQUIREMENTS_INFO);
	const VkImagePlaneMemoryRequirementsInfo *plane = fake_chain_find(
		info->pNext, VK_STRUCTURE_TYPE_IMAGE_PLANE_MEMORY_REQUIREMENTS_INFO);
	fake_require_rule(image->is_disjoint == (plane != NULL), call,
		image->is_disjoint ? "VUID-VkImageMemoryRequirementsInfo2-image-01589 or 02279"
				   : "VUID-VkImageMemoryRequirementsInfo2-image-01590");
	if (plane != NULL) {
		i = fake_image_find_plane(image, plane->planeAspect);
		fake_require_rule(i < FAKE_PLANES, call,
			"VUID-VkImagePlaneMemoryRequirementsInfo-planeAspect-02281 or 02282");
	}
	answer->memoryRequirements = fake_image_get_needs(image, i);
	for (uint32_t k = 0; fake_of(device)->traits.memory->says_all && i < FAKE_PLANES &&
		k < image->layout->plane_count;
		k++) {
		answer->memoryRequirements.size += k == i ? 0 : image->planes[k].size;
	}
}

/* ---- Conversions ----------------------------------------------------------------------------- */

static void check_offset(VkChromaLocation offset, VkFormatFeatureFlags features) {
	bool is_between = offset == VK_CHROMA_LOCATION_MIDPOINT;
	fake_require_rule((features &
				  (is_between ? VK_FORMAT_FEATURE_MIDPOINT_CHROMA_SAMPLES_BIT
					      : VK_FORMAT_FEATURE_COSITED_CHROMA_SAMPLES_BIT)) != 0,
		"vkCreateSamplerYcbcrConversion",
		"VUID-VkSamplerYcbcrConversionCreateInfo-xChromaOffset-01651 or 01652");
}

static bool is_identity(VkComponentSwizzle swizzle, VkComponentSwizzle same) {
	return swizzle == VK_COMPONENT_SWIZZLE_IDENTITY || swizzle == same;
}

/* Where chroma is sampled less, only red and blue may change places. */
static void check_components(const struct shape *shape, const VkComponentMapping *order) {
	static const char call[] = "vkCreateSamplerYcbcrConversion";
	bool r = is_identity(order->r, VK_COMPONENT_SWIZZLE_R),
	     b = is_identity(order->b, VK_COMPONENT_SWIZZLE_B);
	const VkComponentSwizzle colours[] = { order->r, order->g, order->b };
	for (size_t i = 0; i < 3; i++) {
		fake_require_rule(colours[i] != VK_COMPONENT_SWIZZLE_ZERO &&
				colours[i] != VK_COMPONENT_SWIZZLE_ONE,
			call, "VUID-VkSamplerYcbcrConversionCreateInfo-ycbcrModel-01655");
	}
	if (shape->hsub == 1) {
		return;
	}
	fake_require_rule(is_identity(order->g, VK_COMPONENT_SWIZZLE_G), call,
		"VUID-VkSamplerYcbcrConversionCreateInfo-components-02581");
	fake_require_rule(order->a == VK_COMPONENT_SWIZZLE_IDENTITY ||
			order->a == VK_COMPONENT_SWIZZLE_ONE ||
			order->a == VK_COMPONENT_SWIZZLE_ZERO,
		call, "VUID-VkSamplerYcbcrConversionCreateInfo-components-02582");
	fake_require_rule(r || order->r == VK_COMPONENT_SWIZZLE_B, call,
		"VUID-VkSamplerYcbcrConversionCreateInfo-components-02583");
	fake_require_rule(b || order->b == VK_COMPONENT_SWIZZLE_R, call,
		"VUID-VkSamplerYcbcrConversionCreateInfo-components-02584");
	fake_require_rule(r == b, call, "VUID-VkSamplerYcbcrConversionCreateInfo-components-02585");
}

static VKAPI_ATTR VkResult VKAPI_CALL create_conversion(VkDevice device,
	const VkSamplerYcbcrConversionCreateInfo *info, const VkAllocationCallbacks *allocator,
	VkSamplerYcbcrConversion *out) {
	static const char call[] = "vkCreateSamplerYcbcrConversion";
	VkFormatProperties2 properties = { .sType = VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_2 };
	get_format_properties((VkPhysicalDevice)device, info->format, &properties);
	VkFormatFeatureFlags features = properties.formatProperties.linearTilingFeatures |
		properties.formatProperties.optimalTilingFeatures;
	(void)allocator;
	*out = VK_NULL_HANDLE;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	check_offset(info->xChromaOffset, features);
	check_offset(info->yChromaOffset, features);
	check_components(find_shape(info->format), &info->components);
	fake_require_rule(info->chromaFilter == VK_FILTER_NEAREST ||
			(features &
				VK_FORMAT_FEATURE_SAMPLED_IMAGE_YCBCR_CONVERSION_LINEAR_FILTER_BIT) !=
				0,
		call, "VUID-VkSamplerYcbcrConversionCreateInfo-chromaFilter-01657");
	VkSamplerYcbcrConversionCreateInfo *conversion =
		result == VK_SUCCESS ? malloc(sizeof(*conversion)) : NULL;
	if (conversion == NULL) {
		return fake_vulkan_leave(
			result == VK_SUCCESS ? VK_ERROR_OUT_OF_HOST_MEMORY : result);
	}
	*conversion = *info;
	fake_gpu_count(1);
	*out = (VkSamplerYcbcrConversion)conversion;
	return fake_vulkan_leave(VK_SUCCESS);
}

static VKAPI_ATTR void VKAPI_CALL destroy_conversion(VkDevice device,
	VkSamplerYcbcrConversion conversion, const VkAllocationCallbacks *allocator) {
	(void)device;
	(void)allocator;
	fake_object_destroy((void *)conversion);
}

VkSamplerYcbcrConversionCreateInfo fake_vulkan_look_at_conversion(
	VkSamplerYcbcrConversion conversion) {
	return *(const VkSamplerYcbcrConversionCreateInfo *)conversion;
}

PFN_vkVoidFunction fake_vulkan_image_find(const char *name) {
	static const struct fake_proc known[] = {
#define KNOWN(name, proc) { "vk" #name, (PFN_vkVoidFunction)(proc) }
		KNOWN(CreateImage, create_image),
		KNOWN(CreateSamplerYcbcrConversion, create_conversion),
		KNOWN(DestroyImage, destroy_image),
		KNOWN(DestroySamplerYcbcrConversion, destroy_conversion),
		KNOWN(GetImageDrmFormatModifierPropertiesEXT, get_modifier),
		KNOWN(GetImageMemoryRequirements2, get_image_needs),
		KNOWN(GetImageSubresourceLayout, get_subresource_layout),
		KNOWN(GetPhysicalDeviceFormatProperties2, get_format_properties),
		KNOWN(GetPhysicalDeviceImageFormatProperties2, get_image_format_properties),
#undef KNOWN
	};
	return fake_proc_find(known, sizeof(known) / sizeof(known[0]), name);
}
