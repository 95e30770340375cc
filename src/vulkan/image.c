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
	VkDeviceMemory memory;
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

static int check_meaning(const struct stile_image_info *info, VkFormat format,
	VkImageUsageFlags usage, struct stile_report *why) {
	const struct stile_format *known = stile_format_get(info->fourcc);
	if (known->is_yuv) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, info->fourcc,
			"%s is luma and chroma: Vulkan has to be told their matrix and range, "
			"which an image does not say",
			known->name);
	}
	if (format == VK_FORMAT_UNDEFINED) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, info->fourcc,
			"%s has no VkFormat", known->name);
	}
	if ((usage & in_order_usage) != 0 && !vulkan_format_is_in_order(info->fourcc)) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0,
			usage & ~in_order_usage, usage,
			"Vulkan has %s in another order, which only sampling and copying can take "
			"account of: not usage 0x%x",
			known->name, usage & in_order_usage);
	}
	return 0;
}

static int check_format(struct stile_vulkan *vulkan, const struct stile_image_info *info,
	VkFormat format, VkImageUsageFlags usage, struct stile_report *why) {
	const char *name = stile_format_get(info->fourcc)->name;
	int ret = check_meaning(info, format, usage, why);
	if (ret < 0) {
		return ret;
	}
	VkPhysicalDeviceExternalImageFormatInfo external = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO,
		.handleType = VULKAN_DMA_BUF,
	};
	VkPhysicalDeviceImageFormatInfo2 ask = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_FORMAT_INFO_2,
		.pNext = &external,
		.format = format,
		.type = VK_IMAGE_TYPE_2D,
		.tiling = VK_IMAGE_TILING_LINEAR,
		.usage = usage,
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
	VkExternalMemoryFeatureFlags features =
		external_answer.externalMemoryProperties.externalMemoryFeatures;
	if (result != VK_SUCCESS || (features & VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT) == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, info->fourcc,
			"the device imports no linear %s image for usage 0x%x from a dma-buf (%s, "
			"features 0x%x)",
			name, usage, vulkan_result_name(result), features);
	}
	const VkExtent3D *max = &answer.imageFormatProperties.maxExtent;
	if (info->width > max->width || info->height > max->height) {
		return report_refuse(why, -ERANGE, STILE_REASON_EXTENT, 0, max->width, info->width,
			"%u x %u pixels is too large: the device takes %s up to %u x %u",
			info->width, info->height, name, max->width, max->height);
	}
	return 0;
}

static int check_layout(struct stile_vulkan_image *self, const struct stile_image_info *info,
	struct stile_report *why) {
	struct stile_vulkan *vulkan = self->vulkan;
	VkImageSubresource plane = { .aspectMask = VK_IMAGE_ASPECT_COLOR_BIT };
	VkSubresourceLayout layout;
	vulkan->vk.GetImageSubresourceLayout(vulkan->info.device, self->handle, &plane, &layout);
	if (layout.rowPitch != info->planes[0].pitch) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_PITCH, 0, layout.rowPitch,
			info->planes[0].pitch,
			"the driver's pitch for %u pixels is %" PRIu64 " bytes, the image has %u",
			info->width, (uint64_t)layout.rowPitch, info->planes[0].pitch);
	}
	if (layout.offset != info->planes[0].offset) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_OFFSET, 0, layout.offset,
			info->planes[0].offset,
			"the driver has the plane at offset %" PRIu64 ", the image at %" PRIu64,
			(uint64_t)layout.offset, info->planes[0].offset);
	}
	return 0;
}

/* ---- Making one --------------------------------------------------------------------------- */

static int image_create(struct stile_vulkan_image *self, const struct stile_image_info *info,
	VkImageUsageFlags usage, struct stile_report *why) {
	struct stile_vulkan *vulkan = self->vulkan;
	VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		.handleTypes = VULKAN_DMA_BUF,
	};
	VkImageCreateInfo create = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.pNext = &external,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = self->format,
		.extent = { info->width, info->height, 1 },
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = VK_IMAGE_TILING_LINEAR,
		.usage = usage,
		.sharingMode = VK_SHARING_MODE_EXCLUSIVE,
		.initialLayout = VK_IMAGE_LAYOUT_UNDEFINED,
	};
	VkResult result = vulkan->vk.CreateImage(vulkan->info.device, &create, NULL, &self->handle);
	return result == VK_SUCCESS ? 0 : vulkan_refuse(why, "vkCreateImage", result);
}

static int image_bind(struct stile_vulkan_image *self, struct stile_report *why) {
	struct stile_vulkan *vulkan = self->vulkan;
	VkImageMemoryRequirementsInfo2 ask = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2,
		.image = self->handle,
	};
	VkMemoryRequirements2 needs = { .sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2 };
	vulkan->vk.GetImageMemoryRequirements2(vulkan->info.device, &ask, &needs);
	VkMemoryDedicatedAllocateInfo dedicated = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
		.image = self->handle,
	};
	int ret = vulkan_memory_import(vulkan, stile_image_get_buffer(self->image, 0),
		&needs.memoryRequirements, &dedicated, &self->memory, why);
	if (ret < 0) {
		return ret;
	}
	VkResult result =
		vulkan->vk.BindImageMemory(vulkan->info.device, self->handle, self->memory, 0);
	return result == VK_SUCCESS ? 0 : vulkan_refuse(why, "vkBindImageMemory", result);
}

static int image_import(
	struct stile_vulkan_image *self, VkImageUsageFlags usage, struct stile_report *why) {
	struct stile_vulkan *vulkan = self->vulkan;
	const struct stile_image_info *info = stile_image_get_info(self->image);
	if (usage == 0) {
		return report_refuse(
			why, -EINVAL, STILE_REASON_USAGE, 0, 1, 0, "no usage was given");
	}
	*why = (struct stile_report){ .size = sizeof(*why) };
	int ret = vulkan_memory_need_dma_buf(vulkan, why);
	if (ret == 0) {
		ret = stile_image_check_constraints(self->image, &vulkan->limits, why);
	}
	if (ret == 0) {
		ret = check_format(vulkan, info, self->format, usage, why);
	}
	if (ret == 0) {
		ret = image_create(self, info, usage, why);
	}
	if (ret == 0) {
		ret = check_layout(self, info, why);
	}
	if (ret == 0) {
		ret = image_bind(self, why);
	}
	return ret;
}

static void image_finish(struct stile_vulkan_image *self) {
	struct stile_vulkan *vulkan = self->vulkan;
	vulkan->vk.DestroyImage(vulkan->info.device, self->handle, NULL);
	vulkan->vk.FreeMemory(vulkan->info.device, self->memory, NULL);
}

/* Make one that nobody knows yet. */
static int image_make(struct stile_vulkan *vulkan, struct stile_image *image,
	const struct import_key *key, VkImageUsageFlags usage, struct stile_report *why,
	struct stile_vulkan_image **out) {
	struct stile_vulkan_image *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		return report_refuse(
			why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	self->vulkan = vulkan;
	self->peer = stile_vulkan_get_peer_family(vulkan, STILE_MEMORY_DMA_BUF);
	self->image = image;
	struct stile_vulkan_format format = { .size = sizeof(format) };
	int ret = stile_vulkan_format_get(stile_image_get_info(image)->fourcc, &format);
	self->format = ret == 0 ? format.format : VK_FORMAT_UNDEFINED;

	ret = image_import(self, usage, why);
	if (ret < 0) {
		vulkan_log(vulkan, STILE_LOG_ERROR, "Vulkan import of image '%s': %s",
			stile_image_get_info(image)->name, why->text);
		image_finish(self);
		free(self);
		if (ret == -EIO) {
			import_cache_clear(&vulkan->imports);
		}
		return ret;
	}
	self->image = NULL;
	*out = image_of_entry(import_cache_add(&vulkan->imports, key, &self->entry));
	return 0;
}

int vulkan_image_adopt(struct stile_vulkan *vulkan, const struct stile_vulkan_own_image *own,
	VkFormat format, struct stile_vulkan_image **out, struct stile_report *why) {
	struct stile_vulkan_image *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		return report_refuse(
			why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	self->vulkan = vulkan;
	self->format = format;
	self->handle = own->image;
	self->memory = own->memory;
	self->peer = stile_vulkan_get_peer_family(vulkan, STILE_MEMORY_OPAQUE_FD);
	import_cache_hold(&vulkan->imports, &self->entry);
	*out = self;
	return 0;
}

int stile_vulkan_import_image(struct stile_vulkan *vulkan, struct stile_image *image,
	VkImageUsageFlags usage, struct stile_report *report, struct stile_vulkan_image **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct import_key key;
	import_key_of_image(&key, image, usage);
	/* What was found before was found for who may write: this image may be for less. */
	if ((vulkan->limits.usage & ~stile_image_get_usage(image)) == 0) {
		*out = image_of_entry(import_cache_get(&vulkan->imports, &key));
	}
	if (*out != NULL) {
		return 0;
	}
	struct stile_report why;
	int ret = image_make(vulkan, image, &key, usage, &why, out);
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

void vulkan_image_destroy(struct import_entry *entry) {
	image_finish(image_of_entry(entry));
}

VkImage stile_vulkan_image_get_handle(const struct stile_vulkan_image *image) {
	return image->handle;
}

VkFormat stile_vulkan_image_get_format(const struct stile_vulkan_image *image) {
	return image->format;
}

static VkImageMemoryBarrier image_barrier(const struct stile_vulkan_image *image) {
	return (VkImageMemoryBarrier){
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
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
	VkImageMemoryBarrier barrier = image_barrier(image);
	/* Never from UNDEFINED: that would allow the driver to drop what others have drawn. */
	barrier.oldLayout = VK_IMAGE_LAYOUT_GENERAL;
	barrier.newLayout = layout;
	barrier.dstAccessMask = access;
	barrier.srcQueueFamilyIndex = image->peer;
	barrier.dstQueueFamilyIndex = image->vulkan->info.queue_family;
	return barrier;
}

VkImageMemoryBarrier stile_vulkan_release(
	const struct stile_vulkan_image *image, VkImageLayout layout, VkAccessFlags access) {
	VkImageMemoryBarrier barrier = image_barrier(image);
	barrier.oldLayout = layout;
	barrier.newLayout = VK_IMAGE_LAYOUT_GENERAL;
	barrier.srcAccessMask = access;
	barrier.srcQueueFamilyIndex = image->vulkan->info.queue_family;
	barrier.dstQueueFamilyIndex = image->peer;
	return barrier;
}
