/* SPDX-License-Identifier: MIT */
#ifndef STILE_OPAQUE_H
#define STILE_OPAQUE_H

#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

/*
 * Memory that a driver shares with itself: what Vulkan calls OPAQUE_FD
 * (STILE_MEMORY_OPAQUE_FD). What is in it, and where, only that driver knows, on
 * that device: it is no dma-buf, nothing else can be made of it, and it makes
 * optimal tiling go from Vulkan to GL. docs/sharing-memory.md tells when.
 */

/** Bytes of a UUID. */
enum { STILE_UUID_BYTES = 16 };

/** How an image or a buffer is in its memory. */
enum {
	/** Tiled as the driver likes it; else linear. */
	STILE_OPAQUE_OPTIMAL = 1u << 0,
	/** The memory was allocated for nothing else. */
	STILE_OPAQUE_DEDICATED = 1u << 1,
};

/** An image in such memory: all that another API of the driver has to know. */
struct stile_opaque_image {
	size_t size;     /**< sizeof(struct stile_opaque_image) */
	int fd;          /**< the memory */
	uint32_t flags;  /**< STILE_OPAQUE_* */
	uint64_t bytes;  /**< of the memory, as it was allocated */
	uint64_t offset; /**< of the image in it */
	uint32_t width;  /**< pixels */
	uint32_t height; /**< pixels */
	uint32_t fourcc; /**< DRM_FORMAT_* */
	uint32_t usage;  /**< VkImageUsageFlags that it was created with */
	/** The memoryTypeIndex that the memory was allocated with. */
	uint32_t memory_type;
	/** Whose memory it is: both have to be the importer's. */
	uint8_t device_uuid[STILE_UUID_BYTES];
	uint8_t driver_uuid[STILE_UUID_BYTES];
};

/** Bytes in such memory: what a VkBuffer has. */
struct stile_opaque_buffer {
	size_t size;     /**< sizeof(struct stile_opaque_buffer) */
	int fd;          /**< the memory */
	uint32_t flags;  /**< STILE_OPAQUE_DEDICATED or 0 */
	uint64_t bytes;  /**< of the memory, as it was allocated */
	uint64_t offset; /**< of the buffer in it */
	uint64_t length; /**< bytes of the buffer */
	uint32_t usage;  /**< VkBufferUsageFlags that it was created with */
	/** The memoryTypeIndex that the memory was allocated with. */
	uint32_t memory_type;
	/** Whose memory it is: both have to be the importer's. */
	uint8_t device_uuid[STILE_UUID_BYTES];
	uint8_t driver_uuid[STILE_UUID_BYTES];
};

STILE_END_DECLS

#endif
