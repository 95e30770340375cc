/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <stile/party.h>
#include <stile/vulkan_memory.h>

#include "src/report.h"
#include "src/vulkan/vulkan.h"

struct stile_vulkan_image {
	struct import_entry entry;   /* the first member */
	struct stile_vulkan *vulkan; /* outlives it */
	struct stile_image *image;   /* borrowed while it is being made */
	VkFormat format;
	VkImage handle;
	struct vulkan_memory memories[STILE_MAX_PLANES]; /* where the first plane in each is */
	uint32_t peer; /* the queue family that stands for the others */
};

static_assert(offsetof(struct stile_vulkan_image, entry) == 0, "as the cache has it");

static struct stile_vulkan_image *image_of_entry(struct import_entry *entry) {
	return (struct stile_vulkan_image *)(void *)entry;
}

/* ---- Would the device take it? ------------------------------------------------------------ */

/* Views of an image that is used in one of these ways cannot put components in another order. */
static const VkImageUsageFlags in_order_usage = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT |
	VK_IMAGE_USAGE_INPUT_ATTACHMENT_BIT | VK_IMAGE_USAGE_STORAGE_BIT;

int vulkan_check_meaning(const struct stile_vulkan *vulkan, const struct stile_image_info *info,
	VkFormat format, VkImageUsageFlags usage, struct stile_report *why) {
	const struct stile_format *known = stile_format_get(info->fourcc);
	if (format == VK_FORMAT_UNDEFINED) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, info->fourcc,
			"%s has no VkFormat", known->name);
	}
	if (known->is_yuv && (usage & VK_IMAGE_USAGE_SAMPLED_BIT) != 0 &&
		(vulkan->info.features & STILE_VULKAN_YCBCR_CONVERSION) == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0,
			STILE_VULKAN_YCBCR_CONVERSION, vulkan->info.features,
			"%s is luma and chroma: sampling it needs the feature "
			"samplerYcbcrConversion, and stile_vulkan_info does not say that the "
			"device was made with it",
			known->name);
	}
	VkImageUsageFlags unordered = usage & in_order_usage;
	if (unordered != 0 && (known->is_yuv || !vulkan_format_is_in_order(info->fourcc))) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0,
			usage & ~in_order_usage, usage,
			"Vulkan has %s %s, which only sampling and copying can take account of: "
			"not usage 0x%x",
			known->name, known->is_yuv ? "as luma and chroma" : "in another order",
			unordered);
	}
	return 0;
}

int vulkan_check_format(struct stile_vulkan *vulkan, const struct stile_image_info *info,
	VkFormat format, VkImageUsageFlags usage, struct vulkan_way *way,
	struct stile_report *why) {
	const char *name = stile_format_get(info->fourcc)->name;
	bool is_linear = way->tiling == VK_IMAGE_TILING_LINEAR;
	const struct vulkan_kind kind = {
		.format = format,
		.tiling = way->tiling,
		.modifier = info->modifier,
		.usage = usage,
		.flags = way->is_disjoint ? VK_IMAGE_CREATE_DISJOINT_BIT : 0,
		.handle_type = way->handle_type,
	};
	struct vulkan_support support = { .result = VK_SUCCESS };
	int ret = vulkan_way_check(vulkan, info, format, way, why);
	if (ret == 0) {
		ret = vulkan_get_support(vulkan, &kind, &support, why);
	}
	if (ret < 0) {
		return ret;
	}
	VkExternalMemoryFeatureFlags features = support.features;
	if ((features & VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT) == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, info->fourcc,
			"the device imports no %s %s image for usage 0x%x from a %s (%s, "
			"features 0x%x)",
			is_linear ? "linear" : "explicit", name, usage,
			vulkan_memory_name(way->handle_type), vulkan_result_name(support.result),
			features);
	}
	way->is_dedicated_only = (features & VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT) != 0;
	way->exports = (features & VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT) != 0;
	way->max_width = support.max_width;
	way->max_height = support.max_height;
	return vulkan_check_extent(&support, info->fourcc, info->width, info->height, why);
}

/* Where planes are in memory that the image is bound to. */
struct placement {
	VkDeviceSize offsets[STILE_MAX_PLANES]; /* of the binding, in the plane's buffer */
	VkDeviceSize bytes[STILE_MAX_PLANES];   /* of the plane, as the driver lays it out */
	VkDeviceSize all_bytes;                 /* of all planes together */
};

/* Has the driver the planes of a linear image where they are? */
static int check_plane(struct stile_vulkan_image *self, const struct stile_image_info *info,
	uint32_t i, struct placement *placement, struct stile_report *why) {
	struct stile_vulkan *vulkan = self->vulkan;
	const struct stile_image_plane *plane = &info->planes[i];
	VkImageSubresource ask = {
		.aspectMask = info->plane_count == 1
			? VK_IMAGE_ASPECT_COLOR_BIT
			: (VkImageAspectFlags)VK_IMAGE_ASPECT_PLANE_0_BIT << i,
	};
	VkSubresourceLayout layout;
	vulkan->vk.GetImageSubresourceLayout(vulkan->info.device, self->handle, &ask, &layout);
	if (layout.rowPitch != plane->pitch) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_PITCH, i, layout.rowPitch,
			plane->pitch,
			"plane %u: the driver's pitch for %u pixels is %" PRIu64
			" bytes, the image has %u",
			i, info->width, (uint64_t)layout.rowPitch, plane->pitch);
	}
	if (layout.offset > plane->offset) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_OFFSET, i, layout.offset,
			plane->offset,
			"plane %u: the driver has it at offset %" PRIu64 ", the image at %" PRIu64,
			i, (uint64_t)layout.offset, plane->offset);
	}
	placement->offsets[i] = plane->offset - layout.offset;
	placement->bytes[i] = layout.size;
	placement->all_bytes += layout.size;
	return 0;
}

/* ---- Making one --------------------------------------------------------------------------- */

static int image_create(struct stile_vulkan_image *self, const struct stile_image_info *info,
	VkImageUsageFlags usage, const struct vulkan_way *way, struct stile_report *why) {
	struct stile_vulkan *vulkan = self->vulkan;
	VkSubresourceLayout layouts[STILE_MAX_PLANES] = { 0 };
	for (uint32_t i = 0; i < info->plane_count; i++) {
		layouts[i].offset = info->planes[i].offset;
		layouts[i].rowPitch = info->planes[i].pitch;
	}
	VkImageDrmFormatModifierExplicitCreateInfoEXT explicit = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_EXPLICIT_CREATE_INFO_EXT,
		.drmFormatModifier = info->modifier,
		.drmFormatModifierPlaneCount = info->plane_count,
		.pPlaneLayouts = layouts,
	};
	VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		.pNext = way->tiling == VK_IMAGE_TILING_LINEAR ? NULL : &explicit,
		.handleTypes = way->handle_type,
	};
	VkImageCreateInfo create = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.pNext = &external,
		.flags = way->is_disjoint ? VK_IMAGE_CREATE_DISJOINT_BIT : 0,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = self->format,
		.extent = { info->width, info->height, 1 },
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = way->tiling,
		.usage = usage,
		.sharingMode = VK_SHARING_MODE_EXCLUSIVE,
		.initialLayout = VK_IMAGE_LAYOUT_UNDEFINED,
	};
	VkResult result = vulkan->vk.CreateImage(vulkan->info.device, &create, NULL, &self->handle);
	return result == VK_SUCCESS ? 0 : vulkan_refuse(why, "vkCreateImage", result);
}

/* What the driver needs for the image, or for one plane of a disjoint one. */
static VkMemoryRequirements get_needs(struct stile_vulkan_image *self, const struct vulkan_way *way,
	VkImageAspectFlagBits aspect, const struct placement *placement, uint32_t i) {
	struct stile_vulkan *vulkan = self->vulkan;
	VkImagePlaneMemoryRequirementsInfo plane = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_PLANE_MEMORY_REQUIREMENTS_INFO,
		.planeAspect = aspect,
	};
	VkImageMemoryRequirementsInfo2 ask = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2,
		.pNext = way->is_disjoint ? &plane : NULL,
		.image = self->handle,
	};
	VkMemoryRequirements2 needs = { .sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2 };
	vulkan->vk.GetImageMemoryRequirements2(vulkan->info.device, &ask, &needs);
	VkDeviceSize *bytes = &needs.memoryRequirements.size;
	uint64_t left = stile_buffer_get_bytes(stile_image_get_buffer(self->image, i)) -
		placement->offsets[i];
	/* Lavapipe (Mesa 25) says of each plane what all of them need together. */
	if (way->is_disjoint && *bytes > left && *bytes == placement->all_bytes) {
		*bytes = placement->bytes[i];
	}
	*bytes += placement->offsets[i];
	return needs.memoryRequirements;
}

static bool is_dedicated(const struct vulkan_way *way, uint64_t offset) {
	return !way->is_disjoint && offset == 0;
}

/* Would the driver take plane i there, in memory of this size? */
static int check_memory(const struct stile_vulkan_image *self, const struct vulkan_way *way,
	uint32_t i, uint64_t offset, const VkMemoryRequirements *needs, struct stile_report *why) {
	if (way->is_dedicated_only && way->is_disjoint) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, i, 0, 0,
			"plane %u: the driver takes memory for whole images only, and the planes are "
			"to be bound one by one",
			i);
	}
	if (offset % needs->alignment != 0 || (way->is_dedicated_only && offset != 0)) {
		uint64_t needed = way->is_dedicated_only ? 0 : needs->alignment;
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_OFFSET, i, needed, offset,
			"plane %u: the driver takes it at %s of %" PRIu64
			" bytes only, the image has it at offset %" PRIu64,
			i, way->is_dedicated_only ? "an offset" : "multiples", needed, offset);
	}
	int ret = vulkan_memory_check(stile_image_get_buffer(self->image, i), needs, why);
	why->plane = i;
	return ret;
}

/* Planes of an explicit modifier are of memory, with names of their own. */
static VkImageAspectFlagBits get_aspect(const struct vulkan_way *way, uint32_t i) {
	VkImageAspectFlagBits first = way->tiling == VK_IMAGE_TILING_LINEAR
		? VK_IMAGE_ASPECT_PLANE_0_BIT
		: VK_IMAGE_ASPECT_MEMORY_PLANE_0_BIT_EXT;
	return (VkImageAspectFlagBits)(first << i);
}

/* What has its own memory: the image, or each plane of it. */
static uint32_t count_bound(const struct stile_vulkan_image *self, const struct vulkan_way *way) {
	return way->is_disjoint ? stile_image_get_info(self->image)->plane_count : 1;
}

/* Import the memory of plane i, of which the driver wants what `needs` says, all before the offset included. */
static int import_dma_buf(struct stile_vulkan_image *self, const struct vulkan_way *way, uint32_t i,
	uint64_t offset, const VkMemoryRequirements *needs, struct stile_report *why) {
	VkMemoryDedicatedAllocateInfo dedicated = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
		.image = self->handle,
	};
	return vulkan_memory_import(self->vulkan, stile_image_get_buffer(self->image, i), needs,
		is_dedicated(way, offset) ? &dedicated : NULL, &self->memories[i], why);
}

/* The first plane in the buffer of plane i. */
static uint32_t find_first(const struct stile_vulkan_image *self, uint32_t i) {
	uint32_t first = 0;
	while (stile_image_get_buffer(self->image, first) !=
		stile_image_get_buffer(self->image, i)) {
		first++;
	}
	return first;
}

/* Of a mapping, all planes in it at once: a driver may take its pages once only. */
static int import_mapping(struct stile_vulkan_image *self, const struct vulkan_way *way, uint32_t i,
	const VkMemoryRequirements *needs, struct stile_report *why) {
	VkMemoryRequirements all = needs[i];
	for (uint32_t k = i + 1; k < count_bound(self, way); k++) {
		if (find_first(self, k) == i) {
			all.size = needs[k].size > all.size ? needs[k].size : all.size;
			all.memoryTypeBits &= needs[k].memoryTypeBits;
		}
	}
	return vulkan_memory_import_host(self->vulkan, stile_image_get_buffer(self->image, i), &all,
		&self->memories[i], why);
}

/* What the driver needs, and whether it is there. */
static int find_needs(struct stile_vulkan_image *self, const struct vulkan_way *way,
	const struct placement *placement, VkMemoryRequirements *needs, struct stile_report *why) {
	int ret = 0;
	for (uint32_t i = 0; i < count_bound(self, way) && ret == 0; i++) {
		needs[i] = get_needs(self, way, get_aspect(way, i), placement, i);
		ret = check_memory(self, way, i, placement->offsets[i], &needs[i], why);
	}
	return ret;
}

static int image_bind(struct stile_vulkan_image *self, const struct vulkan_way *way,
	const struct placement *placement, const VkMemoryRequirements *needs,
	struct stile_report *why) {
	struct stile_vulkan *vulkan = self->vulkan;
	bool is_mapped = way->handle_type == VULKAN_HOST_POINTER;
	uint32_t count = count_bound(self, way);
	VkBindImageMemoryInfo bindings[STILE_MAX_PLANES];
	VkBindImagePlaneMemoryInfo planes[STILE_MAX_PLANES];
	for (uint32_t i = 0; i < count; i++) {
		uint32_t from = is_mapped ? find_first(self, i) : i;
		int ret = 0;
		if (is_mapped && from == i) {
			ret = import_mapping(self, way, i, needs, why);
		} else if (!is_mapped) {
			ret = import_dma_buf(self, way, i, placement->offsets[i], &needs[i], why);
		}
		if (ret < 0) {
			why->plane = i;
			return ret;
		}
		planes[i] = (VkBindImagePlaneMemoryInfo){
			.sType = VK_STRUCTURE_TYPE_BIND_IMAGE_PLANE_MEMORY_INFO,
			.planeAspect = get_aspect(way, i),
		};
		bindings[i] = (VkBindImageMemoryInfo){
			.sType = VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_INFO,
			.pNext = way->is_disjoint ? &planes[i] : NULL,
			.image = self->handle,
			.memory = self->memories[from].handle,
			.memoryOffset = placement->offsets[i],
		};
	}
	VkResult result = vulkan->vk.BindImageMemory2(vulkan->info.device, count, bindings);
	return result == VK_SUCCESS ? 0 : vulkan_refuse(why, "vkBindImageMemory2", result);
}

/* `only_check`: nothing is imported. */
static int import_in(struct stile_vulkan_image *self, const struct stile_image_info *info,
	VkImageUsageFlags usage, struct vulkan_way *way, bool only_check,
	struct stile_report *why) {
	struct placement placement = { 0 };
	int ret = vulkan_check_format(self->vulkan, info, self->format, usage, way, why);
	if (ret == 0) {
		ret = image_create(self, info, usage, way, why);
	}
	/* Of an explicit one, the driver was told. */
	bool is_linear = way->tiling == VK_IMAGE_TILING_LINEAR;
	for (uint32_t i = 0; i < info->plane_count && ret == 0 && is_linear; i++) {
		ret = check_plane(self, info, i, &placement, why);
	}
	VkMemoryRequirements needs[STILE_MAX_PLANES];
	if (ret == 0) {
		ret = find_needs(self, way, &placement, needs, why);
	}
	return ret < 0 || only_check ? ret : image_bind(self, way, &placement, needs, why);
}

static void image_drop(struct stile_vulkan_image *self) {
	struct stile_vulkan *vulkan = self->vulkan;
	vulkan->vk.DestroyImage(vulkan->info.device, self->handle, NULL);
	self->handle = VK_NULL_HANDLE;
	for (uint32_t i = 0; i < STILE_MAX_PLANES; i++) {
		vulkan_memory_free(vulkan, &self->memories[i]);
	}
}

static bool is_in_one_buffer(const struct stile_image *image) {
	uint32_t i = stile_image_get_info(image)->plane_count;
	while (i > 0 && stile_image_get_buffer(image, i - 1) == stile_image_get_buffer(image, 0)) {
		i--;
	}
	return i == 0;
}

static int check_usage(VkImageUsageFlags usage, struct stile_report *why) {
	return usage != 0
		? 0
		: report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0, 1, 0, "no usage was given");
}

/* What has to be so of any kind of memory. */
static int check_image(struct stile_vulkan_image *self, VkImageUsageFlags usage,
	const struct stile_constraints *limits, struct stile_report *why) {
	const struct stile_image_info *info = stile_image_get_info(self->image);
	struct stile_vulkan_format format = { .size = sizeof(format) };
	int ret = stile_vulkan_format_get(info->fourcc, &format);
	self->format = ret == 0 ? format.format : VK_FORMAT_UNDEFINED;
	*why = (struct stile_report){ .size = sizeof(*why) };
	ret = stile_image_check_constraints(self->image, limits, why);
	return ret < 0 ? ret : vulkan_check_meaning(self->vulkan, info, self->format, usage, why);
}

/* In the driver's own linear layout. */
static int import_linear(struct stile_vulkan_image *self, VkImageUsageFlags usage,
	VkExternalMemoryHandleTypeFlagBits handle_type, bool only_check, struct stile_report *why) {
	const struct stile_image_info *info = stile_image_get_info(self->image);
	struct vulkan_way way = {
		.tiling = VK_IMAGE_TILING_LINEAR,
		.is_disjoint = info->plane_count > 1,
		.handle_type = handle_type,
	};
	return import_in(self, info, usage, &way, only_check, why);
}

static void suggest_mapping(
	const struct stile_vulkan *vulkan, bool is_linear, struct stile_report *why) {
	if (is_linear && vulkan_has_extension(vulkan, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME)) {
		report_append(why,
			"; it has VK_EXT_external_memory_host, and may take the image's mapping: "
			"stile_vulkan_import_host_image()");
	}
}

/*
 * With its layout told to the driver, if the application has enabled that; or else in the driver's own linear
 * one. Where a driver has the second plane of that in the same memory, it may not say (lavapipe does not): each
 * is bound by itself. Linear planes in several buffers are in the second way only: lavapipe (Mesa 26.1) takes them
 * in the first, looks at the first memory for all, and crashes.
 */
static int image_import(struct stile_vulkan_image *self, VkImageUsageFlags usage, bool only_check,
	struct stile_report *why) {
	struct stile_vulkan *vulkan = self->vulkan;
	const struct stile_image_info *info = stile_image_get_info(self->image);
	bool is_linear = info->modifier == DRM_FORMAT_MOD_LINEAR;
	int ret = check_usage(usage, why);
	if (ret < 0) {
		return ret;
	}
	ret = vulkan_memory_need_dma_buf(vulkan, why);
	if (ret < 0) {
		suggest_mapping(vulkan, is_linear, why);
		return ret;
	}
	ret = check_image(self, usage, &vulkan->limits, why);
	if (ret < 0) {
		return ret;
	}
	bool is_in_one = is_in_one_buffer(self->image);
	if (vulkan->has_modifiers && (is_in_one || !is_linear)) {
		struct vulkan_way way = {
			.tiling = VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT,
			.is_disjoint = !is_in_one,
			.handle_type = VULKAN_DMA_BUF,
		};
		ret = import_in(self, info, usage, &way, only_check, why);
		/* Lavapipe says OUT_OF_DEVICE_MEMORY of what it cannot take. */
		if (ret == 0 || !is_linear) {
			return ret;
		}
		image_drop(self);
	}
	return import_linear(self, usage, VULKAN_DMA_BUF, only_check, why);
}

/* Whatever dma-bufs may be, what the CPU has mapped is linear. */
static int image_import_host(
	struct stile_vulkan_image *self, VkImageUsageFlags usage, struct stile_report *why) {
	struct stile_constraints limits = self->vulkan->limits;
	limits.modifier_count = 1;
	int ret = check_usage(usage, why);
	if (ret == 0) {
		ret = vulkan_memory_need(
			self->vulkan, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME, why);
	}
	ret = ret == 0 ? check_image(self, usage, &limits, why) : ret;
	return ret < 0 ? ret : import_linear(self, usage, VULKAN_HOST_POINTER, false, why);
}

static void destroy(struct import_entry *entry) {
	image_drop(image_of_entry(entry));
}

static struct stile_vulkan_image *image_alloc(
	struct stile_vulkan *vulkan, uint32_t memory, struct stile_report *why) {
	struct stile_vulkan_image *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		report_refuse(why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
		return NULL;
	}
	self->entry.destroy = destroy;
	self->vulkan = vulkan;
	self->peer = stile_vulkan_get_peer_family(vulkan, memory);
	return self;
}

/* Make one that nobody knows yet, of this kind of memory. */
static int image_make(struct stile_vulkan *vulkan, struct stile_image *image,
	VkImageUsageFlags usage, uint32_t memory, struct stile_vulkan_image **out,
	struct stile_report *why) {
	struct stile_vulkan_image *self = image_alloc(vulkan, memory, why);
	if (self == NULL) {
		return -ENOMEM;
	}
	self->image = image;
	int ret = memory == STILE_MEMORY_DMA_BUF ? image_import(self, usage, false, why)
						 : image_import_host(self, usage, why);
	if (ret < 0) {
		image_drop(self);
		free(self);
		if (ret == -EIO) {
			import_cache_clear(&vulkan->imports);
		}
		return ret;
	}
	self->image = NULL;
	*out = self;
	return 0;
}

int vulkan_image_adopt(struct stile_vulkan *vulkan, const struct stile_vulkan_own_image *own,
	VkFormat format, struct stile_vulkan_image **out, struct stile_report *why) {
	struct stile_vulkan_image *self = image_alloc(vulkan, STILE_MEMORY_OPAQUE_FD, why);
	if (self == NULL) {
		return -ENOMEM;
	}
	self->format = format;
	self->handle = own->image;
	self->memories[0].handle = own->memory;
	import_cache_hold(&vulkan->imports, &self->entry);
	*out = self;
	return 0;
}

int vulkan_image_get(struct stile_vulkan *vulkan, struct stile_image *image,
	VkImageUsageFlags usage, struct stile_vulkan_image **out, struct stile_report *why) {
	*out = NULL;
	struct import_key key;
	import_key_of_image(&key, image, usage);
	/* What was found before was found for who may write: this image may be for less. */
	if ((vulkan->limits.usage & ~stile_image_get_usage(image)) == 0) {
		*out = image_of_entry(import_cache_get(&vulkan->imports, &key));
	}
	if (*out != NULL) {
		return 0;
	}
	struct stile_vulkan_image *made;
	int ret = image_make(vulkan, image, usage, STILE_MEMORY_DMA_BUF, &made, why);
	if (ret == 0) {
		*out = image_of_entry(import_cache_add(&vulkan->imports, &key, &made->entry));
	}
	return ret;
}

void vulkan_image_log(struct stile_vulkan *vulkan, const struct stile_image *image,
	const struct stile_report *why) {
	vulkan_log(vulkan, STILE_LOG_ERROR, "Vulkan import of image '%s': %s",
		stile_image_get_info(image)->name, why->text);
}

int stile_vulkan_import_image(struct stile_vulkan *vulkan, struct stile_image *image,
	VkImageUsageFlags usage, struct stile_report *report, struct stile_vulkan_image **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = vulkan_image_get(vulkan, image, usage, out, &why);
	if (ret < 0) {
		vulkan_image_log(vulkan, image, &why);
		report_give(report, &why);
	}
	return ret;
}

int stile_vulkan_import_host_image(struct stile_vulkan *vulkan, struct stile_image *image,
	VkImageUsageFlags usage, struct stile_report *report, struct stile_vulkan_image **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = image_make(vulkan, image, usage, STILE_MEMORY_HOST_POINTER, out, &why);
	if (ret < 0) {
		vulkan_image_log(vulkan, image, &why);
		report_give(report, &why);
		return ret;
	}
	/* Its mappings keep the buffers: it cannot wait for their end, and goes with its user. */
	import_cache_hold(&vulkan->imports, &(*out)->entry);
	return 0;
}

int stile_vulkan_check_image(struct stile_vulkan *vulkan, struct stile_image *image,
	VkImageUsageFlags usage, struct stile_report *report) {
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_vulkan_image self = { .vulkan = vulkan, .image = image };
	struct stile_report why;
	int ret = image_import(&self, usage, true, &why);
	image_drop(&self);
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}

void stile_vulkan_image_destroy(struct stile_vulkan_image *image) {
	if (image != NULL) {
		import_cache_put(&image->entry);
	}
}

VkImage stile_vulkan_image_get_handle(const struct stile_vulkan_image *image) {
	return image->handle;
}

VkFormat stile_vulkan_image_get_format(const struct stile_vulkan_image *image) {
	return image->format;
}

/* What the CPU does to a mapping, which has no owner to take it from, is for a barrier of its own. */
static VkAccessFlags cpu_access(const struct stile_vulkan_image *image, VkAccessFlags access) {
	return image->peer == VK_QUEUE_FAMILY_IGNORED ? access : 0;
}

static VkImageMemoryBarrier image_barrier(
	const struct stile_vulkan_image *image, uint32_t from, uint32_t to) {
	bool is_owned = from != VK_QUEUE_FAMILY_IGNORED && to != VK_QUEUE_FAMILY_IGNORED;
	/* Of a disjoint image, COLOR means all planes (7.7.4 Image Layout Transition). */
	return (VkImageMemoryBarrier){
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.srcQueueFamilyIndex = is_owned ? from : VK_QUEUE_FAMILY_IGNORED,
		.dstQueueFamilyIndex = is_owned ? to : VK_QUEUE_FAMILY_IGNORED,
		.image = image->handle,
		.subresourceRange = {
			.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT,
			.levelCount = 1,
			.layerCount = 1,
		},
	};
}

VkImageMemoryBarrier stile_vulkan_acquire(
	const struct stile_vulkan_image *image, VkImageLayout layout, VkAccessFlags access) {
	VkImageMemoryBarrier barrier =
		image_barrier(image, image->peer, image->vulkan->info.queue_family);
	/* Never from UNDEFINED: that would allow the driver to drop what others have drawn. */
	barrier.oldLayout = VK_IMAGE_LAYOUT_GENERAL;
	barrier.newLayout = layout;
	/* The CPU may write after the submission, so that does not make it visible (7.9 Host Write Ordering). */
	barrier.srcAccessMask = cpu_access(image, VK_ACCESS_HOST_WRITE_BIT);
	barrier.dstAccessMask = access;
	return barrier;
}

VkImageMemoryBarrier stile_vulkan_discard(
	const struct stile_vulkan_image *image, VkImageLayout layout, VkAccessFlags access) {
	VkImageMemoryBarrier barrier =
		image_barrier(image, VK_QUEUE_FAMILY_IGNORED, VK_QUEUE_FAMILY_IGNORED);
	barrier.oldLayout = VK_IMAGE_LAYOUT_UNDEFINED;
	barrier.newLayout = layout;
	barrier.srcAccessMask = cpu_access(image, VK_ACCESS_HOST_WRITE_BIT);
	barrier.dstAccessMask = access;
	return barrier;
}

VkImageMemoryBarrier stile_vulkan_release(
	const struct stile_vulkan_image *image, VkImageLayout layout, VkAccessFlags access) {
	VkImageMemoryBarrier barrier =
		image_barrier(image, image->vulkan->info.queue_family, image->peer);
	barrier.oldLayout = layout;
	barrier.newLayout = VK_IMAGE_LAYOUT_GENERAL;
	barrier.srcAccessMask = access;
	barrier.dstAccessMask =
		cpu_access(image, VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT);
	return barrier;
}
