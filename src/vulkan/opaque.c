/* SPDX-License-Identifier: MIT */
/* Images and buffers in memory that the driver shares with itself: OPAQUE_FD. */
#include <errno.h>
#include <inttypes.h>

#include <stile/vulkan_memory.h>

#include "src/abi.h"
#include "src/driver_fd.h"
#include "src/report.h"
#include "src/vulkan/vulkan.h"

/* ---- Out ------------------------------------------------------------------------------------ */

static int export_opaque(struct stile_vulkan *vulkan, const struct stile_vulkan_own_image *own,
	struct stile_report *why, struct stile_opaque_image *out) {
	VkFormat format = VK_FORMAT_UNDEFINED;
	int ret = vulkan_memory_need(vulkan, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME, why);
	if (ret == 0) {
		ret = vulkan_check_own(own, &format, why);
	}
	if (ret < 0) {
		return ret;
	}
	if (own->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0, 0,
			(uint64_t)own->tiling,
			"tiling by modifier is for dma-bufs: OPAQUE_FD is linear or optimal");
	}
	ret = vulkan_check_external(vulkan, own, format, 0, VULKAN_OPAQUE_FD,
		VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT, why);
	if (ret < 0) {
		return ret;
	}
	*out = (struct stile_opaque_image){
		.size = sizeof(*out),
		.flags = (own->tiling == VK_IMAGE_TILING_OPTIMAL ? STILE_OPAQUE_OPTIMAL : 0u) |
			(own->dedicated ? STILE_OPAQUE_DEDICATED : 0u),
		.bytes = own->bytes,
		.offset = own->offset,
		.width = own->width,
		.height = own->height,
		.fourcc = own->fourcc,
		.usage = own->usage,
		.memory_type = own->memory_type,
	};
	vulkan_get_uuids(vulkan, out->device_uuid, out->driver_uuid);
	return vulkan_memory_get_fd(vulkan, own->memory, VULKAN_OPAQUE_FD, &out->fd, why);
}

int stile_vulkan_export_opaque(struct stile_vulkan *vulkan,
	const struct stile_vulkan_own_image *own, struct stile_report *report,
	struct stile_opaque_image *out) {
	struct stile_opaque_image made = { .size = sizeof(made), .fd = -1 };
	struct stile_vulkan_own_image known;
	/* A descriptor that the caller has no room for would be lost. */
	if (abi_check_out(out) < 0 || out->size < sizeof(made)) {
		return -EINVAL;
	}
	out->fd = -1;
	int ret = report_copy_in(report, &known, sizeof(known), own);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	ret = export_opaque(vulkan, &known, &why, &made);
	if (ret < 0) {
		return vulkan_refuse_export(vulkan, "an image", &why, report);
	}
	abi_copy_out(out, &made, sizeof(made));
	return 0;
}

static int check_buffer(const struct stile_vulkan *vulkan, uint64_t length, uint32_t usage,
	VkExternalMemoryFeatureFlags wanted, struct stile_report *why) {
	int ret = vulkan_memory_need(vulkan, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME, why);
	if (ret < 0) {
		return ret;
	}
	if (length == 0 || usage == 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0, 1, 0,
			"a buffer has bytes and a usage, this one %" PRIu64 " and 0x%x", length,
			usage);
	}
	VkExternalMemoryFeatureFlags features =
		vulkan_get_buffer_features(vulkan, VULKAN_OPAQUE_FD, usage);
	if ((features & wanted) != 0) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, wanted, features,
		"the driver %s no VkBuffer of usage 0x%x as OPAQUE_FD (features 0x%x)",
		wanted == VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT ? "exports" : "imports", usage,
		features);
}

static int export_buffer(struct stile_vulkan *vulkan, const struct stile_vulkan_own_buffer *own,
	struct stile_report *why, struct stile_opaque_buffer *out) {
	if (own->memory == VK_NULL_HANDLE) {
		return report_refuse(
			why, -EINVAL, STILE_REASON_USAGE, 0, 0, 0, "no memory was given");
	}
	int ret = check_buffer(
		vulkan, own->length, own->usage, VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT, why);
	if (ret < 0) {
		return ret;
	}
	*out = (struct stile_opaque_buffer){
		.size = sizeof(*out),
		.flags = own->dedicated ? STILE_OPAQUE_DEDICATED : 0u,
		.bytes = own->bytes,
		.offset = own->offset,
		.length = own->length,
		.usage = own->usage,
		.memory_type = own->memory_type,
	};
	vulkan_get_uuids(vulkan, out->device_uuid, out->driver_uuid);
	return vulkan_memory_get_fd(vulkan, own->memory, VULKAN_OPAQUE_FD, &out->fd, why);
}

int stile_vulkan_export_opaque_buffer(struct stile_vulkan *vulkan,
	const struct stile_vulkan_own_buffer *own, struct stile_report *report,
	struct stile_opaque_buffer *out) {
	struct stile_opaque_buffer made = { .size = sizeof(made), .fd = -1 };
	struct stile_vulkan_own_buffer known;
	if (abi_check_out(out) < 0 || out->size < sizeof(made)) {
		return -EINVAL;
	}
	out->fd = -1;
	int ret = report_copy_in(report, &known, sizeof(known), own);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	ret = export_buffer(vulkan, &known, &why, &made);
	if (ret < 0) {
		return vulkan_refuse_export(vulkan, "a buffer", &why, report);
	}
	abi_copy_out(out, &made, sizeof(made));
	return 0;
}

/* ---- In ------------------------------------------------------------------------------------- */

/* An allocation of somebody's, as it was described. */
struct allocation {
	const char *of; /* what is in it */
	int fd;
	uint64_t bytes;
	uint64_t offset;
	uint32_t memory_type;
};

/* Of another driver, or another version of it, the bytes could mean anything. */
static int check_uuids(const struct stile_vulkan *vulkan, const uint8_t device[STILE_UUID_BYTES],
	const uint8_t driver[STILE_UUID_BYTES], struct stile_report *why) {
	int ret = vulkan_check_uuids(vulkan, "the memory", device, driver, why);
	if (ret < 0) {
		report_append(why, "; a dma-buf may do");
	}
	return ret;
}

static int create_image(struct stile_vulkan *vulkan, const struct stile_vulkan_own_image *own,
	VkFormat format, VkImage *image, struct stile_report *why) {
	VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		.handleTypes = VULKAN_OPAQUE_FD,
	};
	VkImageCreateInfo create = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.pNext = &external,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = format,
		.extent = { own->width, own->height, 1 },
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = own->tiling,
		.usage = own->usage,
	};
	VkResult result = vulkan->vk.CreateImage(vulkan->info.device, &create, NULL, image);
	return result == VK_SUCCESS ? 0 : vulkan_refuse(why, "vkCreateImage", result);
}

/* Who describes an image may be another process, and make mistakes. */
static int check_description(const struct stile_opaque_image *image, struct stile_report *why) {
	if (image->width == 0 || image->height == 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_EXTENT, 0, 1, 0,
			"%u x %u pixels is no picture", image->width, image->height);
	}
	/* As of any other image; Vulkan has no others either (VUID-VkImageCreateInfo-format-04712, 04713). */
	const struct stile_format *format = stile_format_get(image->fourcc);
	if (format != NULL &&
		(image->width % format->hsub != 0 || image->height % format->vsub != 0)) {
		return report_refuse(why, -EINVAL, STILE_REASON_EXTENT, 0, format->hsub,
			image->width, "%u x %u pixels: the sides of %s are multiples of %u and %u",
			image->width, image->height, format->name, format->hsub, format->vsub);
	}
	return image->usage != 0
		? 0
		: report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0, 1, 0, "no usage was given");
}

/* Does it fit where it is said to be? */
static int check_needs(const struct allocation *from, const VkMemoryRequirements *needs,
	struct stile_report *why) {
	if (from->offset > from->bytes || from->bytes - from->offset < needs->size) {
		return report_refuse(why, -ERANGE, STILE_REASON_BOUNDS, 0, needs->size, from->bytes,
			"the driver needs %" PRIu64 " bytes from %" PRIu64
			" on, the memory has %" PRIu64,
			(uint64_t)needs->size, from->offset, from->bytes);
	}
	if (from->offset % needs->alignment != 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_OFFSET, 0, needs->alignment,
			from->offset,
			"the driver takes the %s at multiples of %" PRIu64
			" bytes only, it is said to be at offset %" PRIu64,
			from->of, (uint64_t)needs->alignment, from->offset);
	}
	if (from->memory_type >= 32 || (needs->memoryTypeBits >> from->memory_type & 1) == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0,
			needs->memoryTypeBits, from->memory_type,
			"the %s cannot be in memory of type %u: it takes those in 0x%x", from->of,
			from->memory_type, needs->memoryTypeBits);
	}
	return 0;
}

static int import_memory(struct stile_vulkan *vulkan, const struct allocation *from,
	const VkMemoryDedicatedAllocateInfo *dedicated, VkDeviceMemory *memory,
	struct stile_report *why) {
	struct driver_fd fd;
	int ret = driver_fd_dup(from->fd, &fd, why);
	if (ret < 0) {
		return ret;
	}
	VkImportMemoryFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.pNext = dedicated,
		.handleType = VULKAN_OPAQUE_FD,
		.fd = fd.fd,
	};
	/* Size and type have to be those of the allocation that it was. */
	VkMemoryAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &import,
		.allocationSize = from->bytes,
		.memoryTypeIndex = from->memory_type,
	};
	VkResult result = vulkan->vk.AllocateMemory(vulkan->info.device, &allocate, NULL, memory);
	if (result != VK_SUCCESS) {
		driver_fd_close_after_failure(&fd);
		return vulkan_refuse(why, "vkAllocateMemory", result);
	}
	return 0;
}

static int bind_image(struct stile_vulkan *vulkan, const struct stile_opaque_image *image,
	struct stile_vulkan_own_image *own, struct stile_report *why) {
	const struct allocation from = { "image", image->fd, image->bytes, image->offset,
		image->memory_type };
	const VkImageMemoryRequirementsInfo2 ask = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2,
		.image = own->image,
	};
	VkMemoryRequirements2 needs = { .sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2 };
	vulkan->vk.GetImageMemoryRequirements2(vulkan->info.device, &ask, &needs);
	const VkMemoryDedicatedAllocateInfo dedicated = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
		.image = own->image,
	};
	int ret = check_needs(&from, &needs.memoryRequirements, why);
	if (ret == 0) {
		ret = import_memory(
			vulkan, &from, own->dedicated ? &dedicated : NULL, &own->memory, why);
	}
	if (ret < 0) {
		return ret;
	}
	VkResult result = vulkan->vk.BindImageMemory(
		vulkan->info.device, own->image, own->memory, image->offset);
	return result == VK_SUCCESS ? 0 : vulkan_refuse(why, "vkBindImageMemory", result);
}

static int import_opaque(struct stile_vulkan *vulkan, const struct stile_opaque_image *image,
	struct stile_report *why, struct stile_vulkan_image **out) {
	struct stile_vulkan_own_image own = {
		.fourcc = image->fourcc,
		.width = image->width,
		.height = image->height,
		.tiling = (image->flags & STILE_OPAQUE_OPTIMAL) != 0 ? VK_IMAGE_TILING_OPTIMAL
								     : VK_IMAGE_TILING_LINEAR,
		.usage = image->usage,
		.dedicated = (image->flags & STILE_OPAQUE_DEDICATED) != 0,
	};
	VkFormat format = VK_FORMAT_UNDEFINED;
	int ret = vulkan_memory_need(vulkan, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME, why);
	if (ret == 0) {
		ret = check_description(image, why);
	}
	if (ret == 0) {
		ret = check_uuids(vulkan, image->device_uuid, image->driver_uuid, why);
	}
	if (ret == 0) {
		ret = vulkan_check_fourcc(image->fourcc, &format, why);
	}
	if (ret == 0) {
		ret = vulkan_check_external(vulkan, &own, format, 0, VULKAN_OPAQUE_FD,
			VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT, why);
	}
	if (ret == 0) {
		ret = create_image(vulkan, &own, format, &own.image, why);
	}
	if (ret == 0) {
		ret = bind_image(vulkan, image, &own, why);
	}
	if (ret == 0) {
		ret = vulkan_image_adopt(vulkan, &own, format, out, why);
	}
	if (ret < 0) {
		vulkan->vk.DestroyImage(vulkan->info.device, own.image, NULL);
		vulkan->vk.FreeMemory(vulkan->info.device, own.memory, NULL);
	}
	return ret;
}

int stile_vulkan_import_opaque(struct stile_vulkan *vulkan, const struct stile_opaque_image *image,
	struct stile_report *report, struct stile_vulkan_image **out) {
	*out = NULL;
	struct stile_opaque_image known;
	int ret = report_copy_in(report, &known, sizeof(known), image);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	ret = import_opaque(vulkan, &known, &why, out);
	if (ret < 0) {
		report_give(report, &why);
		vulkan_log(vulkan, STILE_LOG_ERROR, "Vulkan import of OPAQUE_FD: %s", why.text);
	}
	return ret;
}

static int create_buffer(struct stile_vulkan *vulkan, const struct stile_opaque_buffer *buffer,
	VkBuffer *handle, struct stile_report *why) {
	VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = VULKAN_OPAQUE_FD,
	};
	VkBufferCreateInfo create = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = &external,
		.size = buffer->length,
		.usage = buffer->usage,
	};
	VkResult result = vulkan->vk.CreateBuffer(vulkan->info.device, &create, NULL, handle);
	return result == VK_SUCCESS ? 0 : vulkan_refuse(why, "vkCreateBuffer", result);
}

static int bind_buffer(struct stile_vulkan *vulkan, const struct stile_opaque_buffer *buffer,
	VkBuffer handle, VkDeviceMemory *memory, struct stile_report *why) {
	const struct allocation from = { "buffer", buffer->fd, buffer->bytes, buffer->offset,
		buffer->memory_type };
	const VkBufferMemoryRequirementsInfo2 ask = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2,
		.buffer = handle,
	};
	VkMemoryRequirements2 needs = { .sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2 };
	vulkan->vk.GetBufferMemoryRequirements2(vulkan->info.device, &ask, &needs);
	const VkMemoryDedicatedAllocateInfo dedicated = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
		.buffer = handle,
	};
	int ret = check_needs(&from, &needs.memoryRequirements, why);
	if (ret == 0) {
		bool is_dedicated = (buffer->flags & STILE_OPAQUE_DEDICATED) != 0;
		ret = import_memory(vulkan, &from, is_dedicated ? &dedicated : NULL, memory, why);
	}
	if (ret < 0) {
		return ret;
	}
	VkResult result =
		vulkan->vk.BindBufferMemory(vulkan->info.device, handle, *memory, buffer->offset);
	return result == VK_SUCCESS ? 0 : vulkan_refuse(why, "vkBindBufferMemory", result);
}

static int import_buffer(struct stile_vulkan *vulkan, const struct stile_opaque_buffer *buffer,
	struct stile_report *why, struct stile_vulkan_buffer **out) {
	VkBuffer handle = VK_NULL_HANDLE;
	VkDeviceMemory memory = VK_NULL_HANDLE;
	int ret = check_buffer(vulkan, buffer->length, buffer->usage,
		VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT, why);
	if (ret == 0) {
		ret = check_uuids(vulkan, buffer->device_uuid, buffer->driver_uuid, why);
	}
	if (ret == 0) {
		ret = create_buffer(vulkan, buffer, &handle, why);
	}
	if (ret == 0) {
		ret = bind_buffer(vulkan, buffer, handle, &memory, why);
	}
	if (ret == 0) {
		ret = vulkan_buffer_adopt(vulkan, handle, memory, out, why);
	}
	if (ret < 0) {
		vulkan->vk.DestroyBuffer(vulkan->info.device, handle, NULL);
		vulkan->vk.FreeMemory(vulkan->info.device, memory, NULL);
	}
	return ret;
}

int stile_vulkan_import_opaque_buffer(struct stile_vulkan *vulkan,
	const struct stile_opaque_buffer *buffer, struct stile_report *report,
	struct stile_vulkan_buffer **out) {
	*out = NULL;
	struct stile_opaque_buffer known;
	int ret = report_copy_in(report, &known, sizeof(known), buffer);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	ret = import_buffer(vulkan, &known, &why, out);
	if (ret < 0) {
		report_give(report, &why);
		vulkan_log(vulkan, STILE_LOG_ERROR, "Vulkan import of OPAQUE_FD: %s", why.text);
	}
	return ret;
}
