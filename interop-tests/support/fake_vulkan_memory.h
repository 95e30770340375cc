/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_FAKE_VULKAN_MEMORY_H
#define SUPPORT_FAKE_VULKAN_MEMORY_H

#include <sys/types.h>

#include <stile/vulkan_memory.h>

#include "interop-tests/support/fake_vulkan.h"

/*
 * Images, buffers and memory of the fake Vulkan device. It draws nothing: it keeps books of what it is told, and
 * complains of what does not fit what it has announced. Formats: those that Stile knows.
 */

/** minImportedHostPointerAlignment */
enum { FAKE_VULKAN_HOST_ALIGN = 4096 };

/** How it has a format. */
struct fake_vulkan_layout {
	VkFormat format; /* UNDEFINED: the end of the list */
	VkImageTiling tiling;
	uint64_t modifier; /* of DRM_FORMAT_MODIFIER */
	uint32_t
		plane_count; /* of memory: those of the format, and perhaps as many again, of metadata */
	VkFormatFeatureFlags features;
	VkExternalMemoryFeatureFlags dma_buf;
	VkExternalMemoryFeatureFlags opaque_fd;
	uint32_t max_width, max_height;
	uint32_t pitch_align, offset_align; /* bytes */
	uint32_t tile_bytes, tile_rows;     /* 0: it is linear */
	VkExternalMemoryFeatureFlags host_pointer;
};

struct fake_vulkan_memory_traits {
	const struct fake_vulkan_layout *layouts;
	bool modifiers;         /* VK_EXT_image_drm_format_modifier */
	uint32_t fd_types;      /* memory types of dma-bufs; objects take 1 and 2 */
	uint32_t max_dimension; /* VkPhysicalDeviceLimits.maxImageDimension2D */
	dev_t node;             /* for rendering; 0: none */
	dev_t primary;          /* the other one; 0: none */
	bool drm;               /* VK_EXT_physical_device_drm, though there is neither */
	VkPhysicalDeviceType type;
	VkExternalMemoryFeatureFlags buffers; /* of dma-bufs */
	VkExternalMemoryFeatureFlags host;  /* of host pointers, for buffers; layouts have theirs */
	uint32_t host_types;                /* memory types of host pointers */
	uint32_t hidden_types, stale_types; /* which the CPU does not see, or not coherently */
	bool refuses_mappings;              /* as drivers of hardware a dma-buf's */
	uint32_t lead;                      /* bytes before the first plane, in its own layout */
	bool says_all; /* of each plane that is bound by itself, what all need, as lavapipe 25 */
	uint32_t buffer_align; /* of what a buffer needs; 0: any */
};

/** What an image is, by all that the device was told. */
struct fake_vulkan_seen {
	VkImageTiling tiling;
	uint64_t modifier;
	bool is_disjoint;
	bool is_dedicated; /* its memory is for nothing else */
	uint32_t memory_type;
	uint32_t plane_count;
	struct {
		uint64_t pitch, offset; /* offset in the file */
		uint64_t bytes;
		ino_t file;
		const char *address; /* of the plane; NULL: it is in a file */
	} planes[4];
};

struct fake_vulkan_seen fake_vulkan_look(VkImage image);

/** The same of a buffer. */
struct fake_vulkan_seen_buffer {
	uint64_t bytes;
	VkBufferUsageFlags usage;
	ino_t file;          /* 0: its memory is at an address */
	const void *address; /* NULL: it is in a file */
	uint64_t offset;
};

struct fake_vulkan_seen_buffer fake_vulkan_look_at_buffer(VkBuffer buffer);

/** What a conversion was made of. */
VkSamplerYcbcrConversionCreateInfo fake_vulkan_look_at_conversion(
	VkSamplerYcbcrConversion conversion);

/** How many planes the specification gives a format. */
uint32_t fake_vulkan_plane_count(VkFormat format);

/**
 * An image of the application's own, at an offset of memory which can be exported as this kind. At 0 it has that to
 * itself. `layout` is one of the traits'.
 */
struct stile_vulkan_own_image fake_vulkan_create_image(struct fake_vulkan *fake,
	const struct fake_vulkan_layout *layout, uint32_t fourcc, uint32_t width, uint32_t height,
	uint64_t offset, VkExternalMemoryHandleTypeFlags handle_type);
void fake_vulkan_destroy_image(
	struct fake_vulkan *fake, const struct stile_vulkan_own_image *image);

#endif
