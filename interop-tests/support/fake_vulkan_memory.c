/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/fake_vulkan_memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interop-tests/support/fake_gpu.h"
#include "interop-tests/support/fake_vulkan_device.h"
#include "interop-tests/support/runner.h"

#define DMA_BUF VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT
#define OPAQUE_FD VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT
#define HOST_POINTER VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT

enum {
	PLANES = 4,
	OBJECT_TYPES = 6, /* memory types for images and buffers: 1 and 2 */
	HOST_TYPES = 2,   /* for host pointers: 1 */
	OPAQUE_MAGIC = 0x0fa3e000,
};

/* What the specification says of formats. */
static const struct shape {
	VkFormat format;
	uint32_t plane_count;
	struct {
		uint32_t bytes, hsub, vsub;
	} planes[2];
} shapes[] = {
	{ VK_FORMAT_R8G8B8A8_UNORM, 1, { { 4, 1, 1 } } },
	{ VK_FORMAT_B8G8R8A8_UNORM, 1, { { 4, 1, 1 } } },
	{ VK_FORMAT_R8_UNORM, 1, { { 1, 1, 1 } } },
	{ VK_FORMAT_G8_B8R8_2PLANE_420_UNORM, 2, { { 1, 1, 1 }, { 2, 2, 2 } } },
};

struct image {
	const struct fake_vulkan_layout *layout;
	VkExtent3D extent;
	bool is_disjoint;
	VkExternalMemoryHandleTypeFlags handle_types;
	VkSubresourceLayout planes[PLANES];
	struct binding {
		const struct memory *memory; /* NULL: not bound yet */
		VkDeviceSize offset;
		ino_t file;
		bool is_dedicated;
	} bindings[PLANES]; /* of one that is not disjoint, the first */
};

struct buffer {
	VkDeviceSize size;
	VkExternalMemoryHandleTypeFlags handle_types;
	const struct memory *memory;
};

struct memory {
	VkDeviceSize size;
	uint32_t type;
	VkExternalMemoryHandleTypeFlags imported, exportable;
	int fd; /* -1: a host pointer */
	const struct image *image;
	const struct buffer *buffer;
};

/* What the driver has to know of OPAQUE_FD memory; at the beginning of its file. */
struct opaque_head {
	uint32_t magic;
	uint32_t type;
	uint64_t size;
	bool is_dedicated;
};

static struct fake_vulkan *fake_of(VkDevice device) {
	return (struct fake_vulkan *)device;
}

static const struct fake_vulkan_memory_traits *traits_of(VkPhysicalDevice physical_device) {
	return ((const struct fake_vulkan *)physical_device)->traits.memory;
}

/* ---- Structs of callers ---------------------------------------------------------------------- */

/* The struct of this type; NULL: there is none. */
static void *find(const void *chain, VkStructureType type) {
	const VkBaseInStructure *at = chain;
	while (at != NULL && at->sType != type) {
		at = at->pNext;
	}
	/* Queries write to what they find. */
	return (void *)(uintptr_t)at;
}

/* A struct, and those of these types behind it (ended by 0), each once (pNext-pNext, sType-unique). */
static void check_chain(const char *call, const void *first, const VkStructureType *types) {
	const VkBaseInStructure *at = first;
	if (at->sType != types[0]) {
		fake_gpu_complain("%s: its struct is of type %d (sType-sType)", call, at->sType);
	}
	for (at = at->pNext; at != NULL; at = at->pNext) {
		size_t i = 1;
		while (types[i] != 0 && types[i] != at->sType) {
			i++;
		}
		if (types[i] == 0 || find(at->pNext, at->sType) != NULL) {
			fake_gpu_complain("%s: a struct of type %d, or two", call, at->sType);
		}
	}
}

#define CHECK_CHAIN(call, first, ...) \
	check_chain(call, first, (const VkStructureType[]){ __VA_ARGS__, 0 })

static void require_rule(bool kept, const char *call, const char *rule) {
	if (!kept) {
		fake_gpu_complain("%s breaks %s", call, rule);
	}
}

/* ---- Layouts --------------------------------------------------------------------------------- */

static const struct shape *find_shape(VkFormat format) {
	const struct shape *shape = shapes;
	while (shape->format != format) {
		shape++;
	}
	return shape;
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

static uint64_t align_up(uint64_t a, uint64_t b) {
	return b == 0 ? a : div_up(a, b) * b;
}

/* The least pitch of a plane of memory. */
static uint64_t get_pitch(const struct image *image, uint32_t i) {
	const struct fake_vulkan_layout *layout = image->layout;
	const struct shape *shape = find_shape(layout->format);
	uint32_t k = i % shape->plane_count;
	uint64_t row = div_up(image->extent.width, shape->planes[k].hsub) * shape->planes[k].bytes;
	uint64_t tiled = align_up(row, layout->tile_bytes);
	return align_up(i < shape->plane_count ? tiled : tiled / layout->tile_bytes * 8,
		layout->pitch_align);
}

static uint64_t get_rows(const struct image *image, uint32_t i) {
	const struct shape *shape = find_shape(image->layout->format);
	uint64_t rows = div_up(image->extent.height, shape->planes[i % shape->plane_count].vsub);
	uint64_t tile_rows = image->layout->tile_rows;
	return i < shape->plane_count ? align_up(rows, tile_rows) : div_up(rows, tile_rows);
}

/* As the device itself likes it. */
static void lay_out(struct image *image) {
	VkDeviceSize end = 0;
	for (uint32_t i = 0; i < image->layout->plane_count; i++) {
		VkSubresourceLayout *plane = &image->planes[i];
		plane->rowPitch = get_pitch(image, i);
		plane->size = plane->rowPitch * get_rows(image, i);
		plane->offset = image->is_disjoint ? 0 : align_up(end, image->layout->offset_align);
		end = plane->offset + plane->size;
	}
}

/* As it is told. False: it cannot have it so. */
static bool take_layout(
	struct image *image, const VkImageDrmFormatModifierExplicitCreateInfoEXT *info) {
	bool taken = true;
	for (uint32_t i = 0; i < image->layout->plane_count; i++) {
		const VkSubresourceLayout *told = &info->pPlaneLayouts[i];
		require_rule(told->size == 0, "vkCreateImage",
			"VUID-VkImageDrmFormatModifierExplicitCreateInfoEXT-size-02267");
		require_rule(told->arrayPitch == 0, "vkCreateImage",
			"VUID-VkImageDrmFormatModifierExplicitCreateInfoEXT-arrayPitch-02268");
		require_rule(told->depthPitch == 0, "vkCreateImage",
			"VUID-VkImageDrmFormatModifierExplicitCreateInfoEXT-depthPitch-02269");
		image->planes[i] = *told;
		image->planes[i].size = told->rowPitch * get_rows(image, i);
		taken = taken && told->rowPitch >= get_pitch(image, i) &&
			align_up(told->rowPitch, image->layout->pitch_align) == told->rowPitch &&
			align_up(told->offset, image->layout->offset_align) == told->offset;
	}
	return taken;
}

/* ---- What it announces ----------------------------------------------------------------------- */

static VKAPI_ATTR void VKAPI_CALL get_format_properties(
	VkPhysicalDevice physical_device, VkFormat format, VkFormatProperties2 *answer) {
	const struct fake_vulkan_memory_traits *traits = traits_of(physical_device);
	CHECK_CHAIN("vkGetPhysicalDeviceFormatProperties2", answer,
		VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_2,
		VK_STRUCTURE_TYPE_DRM_FORMAT_MODIFIER_PROPERTIES_LIST_EXT);
	VkDrmFormatModifierPropertiesListEXT *list =
		find(answer->pNext, VK_STRUCTURE_TYPE_DRM_FORMAT_MODIFIER_PROPERTIES_LIST_EXT);
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

static VkExternalMemoryFeatureFlags get_external(
	const struct fake_vulkan_layout *layout, VkExternalMemoryHandleTypeFlags type) {
	return type == DMA_BUF ? layout->dma_buf : type == OPAQUE_FD ? layout->opaque_fd : 0;
}

static VKAPI_ATTR VkResult VKAPI_CALL get_image_format_properties(VkPhysicalDevice physical_device,
	const VkPhysicalDeviceImageFormatInfo2 *info, VkImageFormatProperties2 *answer) {
	static const char call[] = "vkGetPhysicalDeviceImageFormatProperties2";
	CHECK_CHAIN(call, info, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_FORMAT_INFO_2,
		VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO,
		VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_DRM_FORMAT_MODIFIER_INFO_EXT);
	CHECK_CHAIN(call, answer, VK_STRUCTURE_TYPE_IMAGE_FORMAT_PROPERTIES_2,
		VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES);
	const VkPhysicalDeviceExternalImageFormatInfo *external =
		find(info->pNext, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO);
	const VkPhysicalDeviceImageDrmFormatModifierInfoEXT *explicit = find(
		info->pNext, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_DRM_FORMAT_MODIFIER_INFO_EXT);
	VkExternalImageFormatProperties *told =
		find(answer->pNext, VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES);
	VkResult result = fake_vulkan_enter((struct fake_vulkan *)physical_device, call);
	require_rule(
		(info->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT) == (explicit != NULL),
		call, "VUID-VkPhysicalDeviceImageFormatInfo2-tiling-02249");
	require_rule(info->usage != 0, call,
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
			.externalMemoryFeatures = get_external(layout, external->handleType),
		};
	}
	return fake_vulkan_leave(result);
}

static VKAPI_ATTR void VKAPI_CALL get_buffer_properties(VkPhysicalDevice physical_device,
	const VkPhysicalDeviceExternalBufferInfo *info, VkExternalBufferProperties *answer) {
	const struct fake_vulkan_memory_traits *traits = traits_of(physical_device);
	answer->externalMemoryProperties = (VkExternalMemoryProperties){
		.externalMemoryFeatures = info->handleType == DMA_BUF ? traits->buffers
			: info->handleType == HOST_POINTER            ? traits->host
								      : 0,
	};
}

/* ---- Images ---------------------------------------------------------------------------------- */

static void check_image(
	const struct fake_vulkan_layout *layout, const VkImageCreateInfo *info, VkFlags handles) {
	static const char call[] = "vkCreateImage";
	bool is_disjoint = (info->flags & VK_IMAGE_CREATE_DISJOINT_BIT) != 0;
	require_rule(info->usage != 0, call, "VUID-VkImageCreateInfo-usage-requiredbitmask");
	require_rule(info->extent.width <= layout->max_width, call,
		"VUID-VkImageCreateInfo-extent-02252");
	require_rule(info->extent.height <= layout->max_height, call,
		"VUID-VkImageCreateInfo-extent-02253");
	require_rule(!is_disjoint || find_shape(info->format)->plane_count > 1, call,
		"VUID-VkImageCreateInfo-format-01577");
	require_rule((get_needed_features(info->usage, info->flags) & ~layout->features) == 0, call,
		"VUID-VkImageCreateInfo-imageCreateFormatFeatures-02260");
	require_rule(handles == 0 || get_external(layout, handles) != 0, call,
		"VUID-VkImageCreateInfo-pNext-00990");
	require_rule(handles == 0 || info->initialLayout == VK_IMAGE_LAYOUT_UNDEFINED, call,
		"VUID-VkImageCreateInfo-pNext-01443");
	require_rule(info->mipLevels == 1 && info->arrayLayers == 1 && info->extent.depth == 1 &&
			info->imageType == VK_IMAGE_TYPE_2D &&
			info->samples == VK_SAMPLE_COUNT_1_BIT,
		call, "what the fake can do");
}

static VKAPI_ATTR VkResult VKAPI_CALL create_image(VkDevice device, const VkImageCreateInfo *info,
	const VkAllocationCallbacks *allocator, VkImage *out) {
	static const char call[] = "vkCreateImage";
	CHECK_CHAIN(call, info, VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_LIST_CREATE_INFO_EXT,
		VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_EXPLICIT_CREATE_INFO_EXT);
	const VkExternalMemoryImageCreateInfo *external =
		find(info->pNext, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO);
	const VkImageDrmFormatModifierListCreateInfoEXT *list =
		find(info->pNext, VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_LIST_CREATE_INFO_EXT);
	const VkImageDrmFormatModifierExplicitCreateInfoEXT *explicit = find(
		info->pNext, VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_EXPLICIT_CREATE_INFO_EXT);
	const struct fake_vulkan_memory_traits *traits = fake_of(device)->traits.memory;
	VkFlags handles = external == NULL ? 0 : external->handleTypes;
	(void)allocator;
	*out = VK_NULL_HANDLE;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	bool is_tiled = info->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT;
	require_rule(is_tiled == ((list != NULL) != (explicit != NULL)), call,
		"VUID-VkImageCreateInfo-tiling-02261");
	require_rule(
		!is_tiled || traits->modifiers, call, "VUID-VkImageCreateInfo-tiling-parameter");
	const struct fake_vulkan_layout *layout = find_layout(traits, info->format, info->tiling,
		explicit != NULL       ? explicit->drmFormatModifier
			: list != NULL ? list->pDrmFormatModifiers[0]
				       : 0);
	if (layout == NULL) {
		fake_gpu_complain("%s breaks %s", call,
			"VUID-VkImageCreateInfo-imageCreateMaxMipLevels-02251");
		return fake_vulkan_leave(VK_ERROR_FORMAT_NOT_SUPPORTED);
	}
	check_image(layout, info, handles);
	require_rule(
		explicit == NULL || explicit->drmFormatModifierPlaneCount == layout->plane_count,
		call,
		"VUID-VkImageDrmFormatModifierExplicitCreateInfoEXT-"
		"drmFormatModifierPlaneCount-02265");
	struct image *image = result == VK_SUCCESS ? calloc(1, sizeof(*image)) : NULL;
	if (image == NULL) {
		return fake_vulkan_leave(
			result == VK_SUCCESS ? VK_ERROR_OUT_OF_HOST_MEMORY : result);
	}
	*image = (struct image){
		.layout = layout,
		.extent = info->extent,
		.is_disjoint = (info->flags & VK_IMAGE_CREATE_DISJOINT_BIT) != 0,
		.handle_types = handles,
	};
	if (explicit == NULL) {
		lay_out(image);
	} else if (!take_layout(image, explicit)) {
		free(image);
		return fake_vulkan_leave(VK_ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT);
	}
	fake_gpu_count(1);
	*out = (VkImage)image;
	return fake_vulkan_leave(VK_SUCCESS);
}

/* An object that is not counted down twice is one that was there. */
static void destroy(void *object) {
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
	destroy((void *)image);
}

/* The plane of memory that an aspect names; PLANES: none of the image's. */
static uint32_t find_plane(const struct image *image, VkImageAspectFlags aspect) {
	const struct fake_vulkan_layout *layout = image->layout;
	VkImageAspectFlags first = layout->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT
		? VK_IMAGE_ASPECT_MEMORY_PLANE_0_BIT_EXT
		: layout->plane_count > 1 ? VK_IMAGE_ASPECT_PLANE_0_BIT
					  : VK_IMAGE_ASPECT_COLOR_BIT;
	uint32_t i = 0;
	while (i < layout->plane_count && aspect != first << i) {
		i++;
	}
	return i < layout->plane_count ? i : PLANES;
}

static VKAPI_ATTR void VKAPI_CALL get_subresource_layout(VkDevice device, VkImage handle,
	const VkImageSubresource *of, VkSubresourceLayout *layout) {
	const struct image *image = (const struct image *)handle;
	uint32_t i = find_plane(image, of->aspectMask);
	(void)device;
	require_rule(i < PLANES && of->mipLevel == 0 && of->arrayLayer == 0,
		"vkGetImageSubresourceLayout", "VUID-vkGetImageSubresourceLayout-tiling-02271");
	require_rule(image->layout->tiling != VK_IMAGE_TILING_OPTIMAL,
		"vkGetImageSubresourceLayout", "VUID-vkGetImageSubresourceLayout-image-02270");
	*layout = image->planes[i % PLANES];
}

static VKAPI_ATTR VkResult VKAPI_CALL get_modifier(
	VkDevice device, VkImage handle, VkImageDrmFormatModifierPropertiesEXT *properties) {
	static const char call[] = "vkGetImageDrmFormatModifierPropertiesEXT";
	const struct image *image = (const struct image *)handle;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	require_rule(image->layout->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT, call,
		"VUID-vkGetImageDrmFormatModifierPropertiesEXT-image-02272");
	properties->drmFormatModifier = image->layout->modifier;
	return fake_vulkan_leave(result);
}

/* Of one plane, or of all of them (PLANES). */
static VkMemoryRequirements get_needs(const struct image *image, uint32_t plane) {
	VkMemoryRequirements needs = {
		.alignment = image->layout->offset_align,
		.memoryTypeBits = OBJECT_TYPES,
	};
	for (uint32_t i = 0; i < image->layout->plane_count; i++) {
		VkDeviceSize end = image->planes[i].offset + image->planes[i].size;
		if ((plane == PLANES || plane == i) && end > needs.size) {
			needs.size = end;
		}
	}
	return needs;
}

static VKAPI_ATTR void VKAPI_CALL get_image_needs(VkDevice device,
	const VkImageMemoryRequirementsInfo2 *info, VkMemoryRequirements2 *answer) {
	static const char call[] = "vkGetImageMemoryRequirements2";
	const struct image *image = (const struct image *)info->image;
	uint32_t i = PLANES;
	(void)device;
	CHECK_CHAIN(call, info, VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2,
		VK_STRUCTURE_TYPE_IMAGE_PLANE_MEMORY_REQUIREMENTS_INFO);
	const VkImagePlaneMemoryRequirementsInfo *plane =
		find(info->pNext, VK_STRUCTURE_TYPE_IMAGE_PLANE_MEMORY_REQUIREMENTS_INFO);
	require_rule(image->is_disjoint == (plane != NULL), call,
		image->is_disjoint ? "VUID-VkImageMemoryRequirementsInfo2-image-01589 or 02279"
				   : "VUID-VkImageMemoryRequirementsInfo2-image-01590");
	if (plane != NULL) {
		i = find_plane(image, plane->planeAspect);
		require_rule(i < PLANES, call,
			"VUID-VkImagePlaneMemoryRequirementsInfo-planeAspect-02281 or 02282");
	}
	answer->memoryRequirements = get_needs(image, i);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static uint64_t get_file_size(int fd, ino_t *file) {
	struct stat at = { .st_size = 0 };
	*file = fstat(fd, &at) == 0 ? at.st_ino : 0;
	return (uint64_t)at.st_size;
}

static void check_fd(const struct fake_vulkan_memory_traits *traits,
	const VkMemoryAllocateInfo *info, int fd, const VkMemoryDedicatedAllocateInfo *dedicated,
	bool is_opaque) {
	static const char call[] = "vkAllocateMemory";
	struct opaque_head head = { 0 };
	ino_t file;
	uint64_t size = get_file_size(fd, &file);
	require_rule(file != 0, call, "VUID-VkImportMemoryFdInfoKHR-handleType-00670");
	if (!is_opaque) {
		require_rule((traits->fd_types >> info->memoryTypeIndex & 1) != 0, call,
			"VUID-VkMemoryAllocateInfo-memoryTypeIndex-00648");
		require_rule(info->allocationSize <= size, call, "what the file has");
		return;
	}
	require_rule(pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
			head.magic == OPAQUE_MAGIC,
		call, "VUID-VkImportMemoryFdInfoKHR-fd-01746");
	require_rule(head.size == info->allocationSize && head.type == info->memoryTypeIndex, call,
		"VUID-VkMemoryAllocateInfo-allocationSize-01742");
	require_rule(head.is_dedicated == (dedicated != NULL), call,
		"VUID-VkMemoryDedicatedAllocateInfo-image-01878");
}

static void check_host(
	const VkMemoryAllocateInfo *info, const VkImportMemoryHostPointerInfoEXT *host) {
	static const char call[] = "vkAllocateMemory";
	require_rule(host->handleType == HOST_POINTER, call,
		"VUID-VkImportMemoryHostPointerInfoEXT-handleType-01748");
	require_rule((uintptr_t)host->pHostPointer % FAKE_VULKAN_HOST_ALIGN == 0, call,
		"VUID-VkImportMemoryHostPointerInfoEXT-pHostPointer-01749");
	require_rule(info->allocationSize % FAKE_VULKAN_HOST_ALIGN == 0, call,
		"VUID-VkMemoryAllocateInfo-allocationSize-01745");
	require_rule((HOST_TYPES >> info->memoryTypeIndex & 1) != 0, call,
		"VUID-VkMemoryAllocateInfo-memoryTypeIndex-01744");
	/* msync() says whether all of it is mapped: VUID-VkImportMemoryHostPointerInfoEXT-handleType-01750. */
	require_rule(msync(host->pHostPointer, info->allocationSize, MS_ASYNC) == 0, call,
		"VUID-VkImportMemoryHostPointerInfoEXT-handleType-01750");
}

static void check_dedicated(
	const VkMemoryAllocateInfo *info, const VkMemoryDedicatedAllocateInfo *dedicated) {
	static const char call[] = "vkAllocateMemory";
	const struct image *image = (const struct image *)dedicated->image;
	const struct buffer *buffer = (const struct buffer *)dedicated->buffer;
	require_rule((image == NULL) != (buffer == NULL), call,
		"VUID-VkMemoryDedicatedAllocateInfo-image-01432");
	if (image != NULL) {
		require_rule(!image->is_disjoint, call,
			"VUID-VkMemoryDedicatedAllocateInfo-image-01797");
		require_rule(info->allocationSize == get_needs(image, PLANES).size, call,
			"VUID-VkMemoryDedicatedAllocateInfo-image-02964");
	} else if (buffer != NULL) {
		require_rule(info->allocationSize == buffer->size, call,
			"VUID-VkMemoryDedicatedAllocateInfo-buffer-02965");
	}
}

/* A file in memory, sealed as who imports it wants it, which says what it is. */
static int create_file(const struct memory *memory) {
	const struct opaque_head head = { OPAQUE_MAGIC, memory->type, memory->size,
		memory->image != NULL };
	int fd = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0 &&
		(ftruncate(fd, (off_t)memory->size) < 0 ||
			pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
			fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Before the caller could close it again, somebody else is given its number. */
static void close_behind(struct fake_vulkan *fake, int fd) {
	int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fake_vulkan_settle_fd(fake);
	fake->reused_fd = dup3(other, fd, O_CLOEXEC);
	close(other);
}

void fake_vulkan_settle_fd(struct fake_vulkan *fake) {
	struct stat at;
	if (fake->reused_fd > 0 && (fstat(fake->reused_fd, &at) < 0 || !S_ISCHR(at.st_mode))) {
		fake_gpu_complain("a descriptor that the driver had closed was closed again");
	} else if (fake->reused_fd > 0) {
		close(fake->reused_fd);
	}
	fake->reused_fd = 0;
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate_memory(VkDevice device,
	const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *allocator,
	VkDeviceMemory *out) {
	static const char call[] = "vkAllocateMemory";
	CHECK_CHAIN(call, info, VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
		VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO);
	const VkImportMemoryFdInfoKHR *import =
		find(info->pNext, VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR);
	const VkImportMemoryHostPointerInfoEXT *host =
		find(info->pNext, VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT);
	const VkExportMemoryAllocateInfo *exported =
		find(info->pNext, VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO);
	const VkMemoryDedicatedAllocateInfo *dedicated =
		find(info->pNext, VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO);
	const struct fake_vulkan_memory_traits *traits = fake_of(device)->traits.memory;
	(void)allocator;
	*out = VK_NULL_HANDLE;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	require_rule(
		info->allocationSize > 0, call, "VUID-VkMemoryAllocateInfo-allocationSize-00638");
	if (dedicated != NULL) {
		check_dedicated(info, dedicated);
	}
	if (import != NULL) {
		check_fd(traits, info, import->fd, dedicated, import->handleType == OPAQUE_FD);
	} else if (host != NULL) {
		check_host(info, host);
	}
	struct memory *memory = result == VK_SUCCESS ? malloc(sizeof(*memory)) : NULL;
	if (memory == NULL) {
		if (import != NULL && traits->closes_failed) {
			close_behind(fake_of(device), import->fd);
		}
		return fake_vulkan_leave(
			result == VK_SUCCESS ? VK_ERROR_OUT_OF_HOST_MEMORY : result);
	}
	*memory = (struct memory){
		.size = info->allocationSize,
		.type = info->memoryTypeIndex,
		.imported = import != NULL ? import->handleType
			: host != NULL     ? HOST_POINTER
					   : 0,
		.exportable = exported == NULL ? 0 : exported->handleTypes,
		.image = dedicated == NULL ? NULL : (const struct image *)dedicated->image,
		.buffer = dedicated == NULL ? NULL : (const struct buffer *)dedicated->buffer,
	};
	memory->fd = import != NULL ? import->fd : host != NULL ? -1 : create_file(memory);
	fake_gpu_count(1);
	*out = (VkDeviceMemory)memory;
	return fake_vulkan_leave(VK_SUCCESS);
}

static VKAPI_ATTR void VKAPI_CALL free_memory(
	VkDevice device, VkDeviceMemory handle, const VkAllocationCallbacks *allocator) {
	struct memory *memory = (struct memory *)handle;
	(void)device;
	(void)allocator;
	if (memory != NULL && memory->fd >= 0) {
		close(memory->fd);
	}
	destroy(memory);
}

static VKAPI_ATTR VkResult VKAPI_CALL get_memory_fd(
	VkDevice device, const VkMemoryGetFdInfoKHR *info, int *fd) {
	static const char call[] = "vkGetMemoryFdKHR";
	const struct memory *memory = (const struct memory *)info->memory;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	require_rule((memory->exportable & info->handleType) != 0, call,
		"VUID-VkMemoryGetFdInfoKHR-handleType-00671");
	if (result == VK_SUCCESS) {
		/* As lavapipe 25: not CLOEXEC. */
		*fd = dup(memory->fd);
	}
	return fake_vulkan_leave(result);
}

static VKAPI_ATTR VkResult VKAPI_CALL get_fd_properties(VkDevice device,
	VkExternalMemoryHandleTypeFlagBits type, int fd, VkMemoryFdPropertiesKHR *properties) {
	static const char call[] = "vkGetMemoryFdPropertiesKHR";
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	require_rule(type == DMA_BUF, call, "VUID-vkGetMemoryFdPropertiesKHR-handleType-00674");
	ino_t file;
	get_file_size(fd, &file);
	require_rule(file != 0, call, "VUID-vkGetMemoryFdPropertiesKHR-fd-00673");
	properties->memoryTypeBits = fake_of(device)->traits.memory->fd_types;
	return fake_vulkan_leave(result);
}

static VKAPI_ATTR VkResult VKAPI_CALL get_host_properties(VkDevice device,
	VkExternalMemoryHandleTypeFlagBits type, const void *address,
	VkMemoryHostPointerPropertiesEXT *properties) {
	static const char call[] = "vkGetMemoryHostPointerPropertiesEXT";
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	require_rule(type == HOST_POINTER, call,
		"VUID-vkGetMemoryHostPointerPropertiesEXT-handleType-01752");
	require_rule((uintptr_t)address % FAKE_VULKAN_HOST_ALIGN == 0, call,
		"VUID-vkGetMemoryHostPointerPropertiesEXT-pHostPointer-01753");
	properties->memoryTypeBits = HOST_TYPES;
	return fake_vulkan_leave(result);
}

/* ---- Binding --------------------------------------------------------------------------------- */

/* What is the same of images and buffers. */
static void check_binding(const char *call, const struct memory *memory, VkDeviceSize offset,
	const VkMemoryRequirements *needs, VkExternalMemoryHandleTypeFlags handle_types) {
	require_rule((needs->memoryTypeBits >> memory->type & 1) != 0, call,
		"VUID-VkBindImageMemoryInfo-pNext-01615, or vkBindBufferMemory-memory-01035");
	require_rule(align_up(offset, needs->alignment) == offset, call,
		"VUID-VkBindImageMemoryInfo-pNext-01616, or vkBindBufferMemory-memoryOffset-01036");
	require_rule(offset <= memory->size && memory->size - offset >= needs->size, call,
		"VUID-VkBindImageMemoryInfo-pNext-01617, or vkBindBufferMemory-size-01037");
	require_rule((memory->imported & ~handle_types) == 0, call,
		"VUID-VkBindImageMemoryInfo-memory-02989, or vkBindBufferMemory-memory-02985");
	require_rule(memory->exportable == 0 || (memory->exportable & handle_types) != 0, call,
		"VUID-VkBindImageMemoryInfo-memory-02728, or vkBindBufferMemory-memory-02726");
}

static void bind(const char *call, struct image *image, uint32_t plane, const struct memory *memory,
	VkDeviceSize offset) {
	const VkMemoryRequirements needs = get_needs(image, plane);
	struct binding *binding = &image->bindings[plane % PLANES];
	bool is_alone = (get_external(image->layout, image->handle_types) &
				VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT) != 0;
	check_binding(call, memory, offset, &needs, image->handle_types);
	require_rule(
		binding->memory == NULL, call, "VUID-VkBindImageMemoryInfo-image-07460 or 01619");
	require_rule(memory->image == NULL || (memory->image == image && offset == 0), call,
		"VUID-VkBindImageMemoryInfo-memory-02628");
	require_rule(!is_alone || memory->image == image, call,
		"VUID-VkBindImageMemoryInfo-image-01445");
	*binding = (struct binding){
		.memory = memory,
		.offset = offset,
		.is_dedicated = memory->image == image,
	};
	get_file_size(memory->fd, &binding->file);
}

static bool is_bound(const struct image *image) {
	bool all = true;
	for (uint32_t i = 0; i < (image->is_disjoint ? image->layout->plane_count : 1); i++) {
		all = all && image->bindings[i].memory != NULL;
	}
	return all;
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_images(
	VkDevice device, uint32_t count, const VkBindImageMemoryInfo *infos) {
	static const char call[] = "vkBindImageMemory2";
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	for (uint32_t i = 0; i < count && result == VK_SUCCESS; i++) {
		struct image *image = (struct image *)infos[i].image;
		CHECK_CHAIN(call, &infos[i], VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_INFO,
			VK_STRUCTURE_TYPE_BIND_IMAGE_PLANE_MEMORY_INFO);
		const VkBindImagePlaneMemoryInfo *plane =
			find(infos[i].pNext, VK_STRUCTURE_TYPE_BIND_IMAGE_PLANE_MEMORY_INFO);
		uint32_t k = plane == NULL ? PLANES : find_plane(image, plane->planeAspect);
		require_rule(image->is_disjoint == (k < PLANES), call,
			"VUID-VkBindImageMemoryInfo-image-07736, or -pNext-01618");
		bind(call, image, k, (const struct memory *)infos[i].memory, infos[i].memoryOffset);
	}
	for (uint32_t i = 0; i < count && result == VK_SUCCESS; i++) {
		require_rule(is_bound((const struct image *)infos[i].image), call,
			"VUID-vkBindImageMemory2-pBindInfos-02858");
	}
	return fake_vulkan_leave(result);
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_image(
	VkDevice device, VkImage handle, VkDeviceMemory memory, VkDeviceSize offset) {
	static const char call[] = "vkBindImageMemory";
	struct image *image = (struct image *)handle;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	require_rule(!image->is_disjoint, call, "VUID-vkBindImageMemory-image-01608");
	if (result == VK_SUCCESS) {
		bind(call, image, PLANES, (const struct memory *)memory, offset);
	}
	return fake_vulkan_leave(result);
}

/* ---- Buffers --------------------------------------------------------------------------------- */

static VKAPI_ATTR VkResult VKAPI_CALL create_buffer(VkDevice device, const VkBufferCreateInfo *info,
	const VkAllocationCallbacks *allocator, VkBuffer *out) {
	static const char call[] = "vkCreateBuffer";
	CHECK_CHAIN(call, info, VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO);
	const VkExternalMemoryBufferCreateInfo *external =
		find(info->pNext, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO);
	(void)allocator;
	*out = VK_NULL_HANDLE;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	require_rule(info->size > 0, call, "VUID-VkBufferCreateInfo-size-00912");
	require_rule(info->usage != 0, call, "VUID-VkBufferCreateInfo-usage-requiredbitmask");
	struct buffer *buffer = result == VK_SUCCESS ? malloc(sizeof(*buffer)) : NULL;
	if (buffer == NULL) {
		return fake_vulkan_leave(
			result == VK_SUCCESS ? VK_ERROR_OUT_OF_HOST_MEMORY : result);
	}
	*buffer = (struct buffer){
		.size = info->size,
		.handle_types = external == NULL ? 0 : external->handleTypes,
	};
	fake_gpu_count(1);
	*out = (VkBuffer)buffer;
	return fake_vulkan_leave(VK_SUCCESS);
}

static VKAPI_ATTR void VKAPI_CALL destroy_buffer(
	VkDevice device, VkBuffer buffer, const VkAllocationCallbacks *allocator) {
	(void)device;
	(void)allocator;
	destroy((void *)buffer);
}

static VkMemoryRequirements get_buffer_size(const struct buffer *buffer) {
	return (VkMemoryRequirements){
		.size = buffer->size,
		.alignment = 64,
		.memoryTypeBits = OBJECT_TYPES,
	};
}

static VKAPI_ATTR void VKAPI_CALL get_buffer_needs(VkDevice device,
	const VkBufferMemoryRequirementsInfo2 *info, VkMemoryRequirements2 *answer) {
	(void)device;
	CHECK_CHAIN("vkGetBufferMemoryRequirements2", info,
		VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2);
	answer->memoryRequirements = get_buffer_size((const struct buffer *)info->buffer);
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_buffer(
	VkDevice device, VkBuffer handle, VkDeviceMemory memory_handle, VkDeviceSize offset) {
	static const char call[] = "vkBindBufferMemory";
	struct buffer *buffer = (struct buffer *)handle;
	const struct memory *memory = (const struct memory *)memory_handle;
	const VkMemoryRequirements needs = get_buffer_size(buffer);
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	if (result == VK_SUCCESS) {
		check_binding(call, memory, offset, &needs, buffer->handle_types);
		require_rule(buffer->memory == NULL, call, "VUID-vkBindBufferMemory-buffer-07459");
		require_rule(memory->buffer == NULL || memory->buffer == buffer, call,
			"VUID-vkBindBufferMemory-memory-01508");
		buffer->memory = memory;
	}
	return fake_vulkan_leave(result);
}

/* ---- Conversions ----------------------------------------------------------------------------- */

static void check_offset(VkChromaLocation offset, VkFormatFeatureFlags features) {
	bool is_between = offset == VK_CHROMA_LOCATION_MIDPOINT;
	require_rule((features &
			     (is_between ? VK_FORMAT_FEATURE_MIDPOINT_CHROMA_SAMPLES_BIT
					 : VK_FORMAT_FEATURE_COSITED_CHROMA_SAMPLES_BIT)) != 0,
		"vkCreateSamplerYcbcrConversion",
		"VUID-VkSamplerYcbcrConversionCreateInfo-xChromaOffset-01651 or 01652");
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
	require_rule(info->components.g == VK_COMPONENT_SWIZZLE_IDENTITY ||
			info->components.g == VK_COMPONENT_SWIZZLE_G,
		call, "VUID-VkSamplerYcbcrConversionCreateInfo-components-02581");
	require_rule(info->chromaFilter == VK_FILTER_NEAREST ||
			(features &
				VK_FORMAT_FEATURE_SAMPLED_IMAGE_YCBCR_CONVERSION_LINEAR_FILTER_BIT) !=
				0,
		call, "VUID-VkSamplerYcbcrConversionCreateInfo-chromaFilter-01657");
	void *conversion = result == VK_SUCCESS ? malloc(1) : NULL;
	if (conversion == NULL) {
		return fake_vulkan_leave(
			result == VK_SUCCESS ? VK_ERROR_OUT_OF_HOST_MEMORY : result);
	}
	fake_gpu_count(1);
	*out = (VkSamplerYcbcrConversion)conversion;
	return fake_vulkan_leave(VK_SUCCESS);
}

static VKAPI_ATTR void VKAPI_CALL destroy_conversion(VkDevice device,
	VkSamplerYcbcrConversion conversion, const VkAllocationCallbacks *allocator) {
	(void)device;
	(void)allocator;
	destroy((void *)conversion);
}

PFN_vkVoidFunction fake_vulkan_memory_find(const char *name) {
	static const struct {
		const char *name;
		PFN_vkVoidFunction proc;
	} known[] = {
#define KNOWN(name, proc) { "vk" #name, (PFN_vkVoidFunction)(proc) }
		KNOWN(AllocateMemory, allocate_memory),
		KNOWN(BindBufferMemory, bind_buffer),
		KNOWN(BindImageMemory, bind_image),
		KNOWN(BindImageMemory2, bind_images),
		KNOWN(CreateBuffer, create_buffer),
		KNOWN(CreateImage, create_image),
		KNOWN(CreateSamplerYcbcrConversion, create_conversion),
		KNOWN(DestroyBuffer, destroy_buffer),
		KNOWN(DestroyImage, destroy_image),
		KNOWN(DestroySamplerYcbcrConversion, destroy_conversion),
		KNOWN(FreeMemory, free_memory),
		KNOWN(GetBufferMemoryRequirements2, get_buffer_needs),
		KNOWN(GetImageDrmFormatModifierPropertiesEXT, get_modifier),
		KNOWN(GetImageMemoryRequirements2, get_image_needs),
		KNOWN(GetImageSubresourceLayout, get_subresource_layout),
		KNOWN(GetMemoryFdKHR, get_memory_fd),
		KNOWN(GetMemoryFdPropertiesKHR, get_fd_properties),
		KNOWN(GetMemoryHostPointerPropertiesEXT, get_host_properties),
		KNOWN(GetPhysicalDeviceExternalBufferProperties, get_buffer_properties),
		KNOWN(GetPhysicalDeviceFormatProperties2, get_format_properties),
		KNOWN(GetPhysicalDeviceImageFormatProperties2, get_image_format_properties),
#undef KNOWN
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(name, known[i].name) == 0) {
			return known[i].proc;
		}
	}
	return NULL;
}

/* ---- What a test does ------------------------------------------------------------------------ */

struct fake_vulkan_seen fake_vulkan_look(VkImage handle) {
	const struct image *image = (const struct image *)handle;
	struct fake_vulkan_seen seen = {
		.tiling = image->layout->tiling,
		.modifier = image->layout->modifier,
		.is_disjoint = image->is_disjoint,
		.is_dedicated = image->bindings[0].is_dedicated,
		.plane_count = image->layout->plane_count,
	};
	for (uint32_t i = 0; i < seen.plane_count; i++) {
		const struct binding *binding = &image->bindings[image->is_disjoint ? i : 0];
		seen.planes[i].pitch = image->planes[i].rowPitch;
		seen.planes[i].offset = binding->offset + image->planes[i].offset;
		seen.planes[i].file = binding->file;
	}
	return seen;
}

struct stile_vulkan_own_image fake_vulkan_create_image(struct fake_vulkan *fake,
	const struct fake_vulkan_layout *layout, uint32_t fourcc, uint32_t width, uint32_t height,
	VkExternalMemoryHandleTypeFlags handle_type) {
	struct stile_vulkan_own_image own = {
		.size = sizeof(own),
		.fourcc = fourcc,
		.width = width,
		.height = height,
		.tiling = layout->tiling,
		.usage = VK_IMAGE_USAGE_SAMPLED_BIT,
		.plane_count = layout->plane_count,
		.memory_type = 1,
		.dedicated = VK_TRUE,
		.name = "own",
	};
	const VkImageDrmFormatModifierListCreateInfoEXT list = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_LIST_CREATE_INFO_EXT,
		.drmFormatModifierCount = 1,
		.pDrmFormatModifiers = &layout->modifier,
	};
	const VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		.pNext = layout->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT ? &list : NULL,
		.handleTypes = handle_type,
	};
	const VkImageCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.pNext = &external,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = layout->format,
		.extent = { width, height, 1 },
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = layout->tiling,
		.usage = own.usage,
	};
	fake_gpu_exempt(true);
	create_image((VkDevice)fake, &info, NULL, &own.image);
	own.bytes = get_needs((const struct image *)own.image, PLANES).size;
	const VkMemoryDedicatedAllocateInfo dedicated = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
		.image = own.image,
	};
	const VkExportMemoryAllocateInfo exported = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.pNext = &dedicated,
		.handleTypes = handle_type,
	};
	const VkMemoryAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &exported,
		.allocationSize = own.bytes,
		.memoryTypeIndex = own.memory_type,
	};
	allocate_memory((VkDevice)fake, &allocate, NULL, &own.memory);
	bind_image((VkDevice)fake, own.image, own.memory, 0);
	fake_gpu_exempt(false);
	return own;
}

void fake_vulkan_destroy_image(
	struct fake_vulkan *fake, const struct stile_vulkan_own_image *image) {
	destroy_image((VkDevice)fake, image->image, NULL);
	free_memory((VkDevice)fake, image->memory, NULL);
}
