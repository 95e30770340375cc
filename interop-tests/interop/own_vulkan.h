/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_OWN_VULKAN_H
#define INTEROP_OWN_VULKAN_H

#include <stdbool.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

#include <stile/vulkan_memory.h>

#define OWN_OPAQUE_FD VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT

/**
 * An application that has Vulkan objects of its own, of any version and with any extensions: what it
 * shares, Stile did not make.
 */
struct own_vulkan {
	VkInstance instance;
	VkPhysicalDevice physical_device;
	VkDevice device;
	VkQueue queue;
	VkCommandPool pool;
	VkCommandBuffer commands;
	const char *const *extensions;
	uint32_t extension_count;
};

/**
 * Memory by descriptor, host pointers, timeline semaphores, dma-bufs, FOREIGN, modifiers, in this order: what of
 * the first `count` the driver that draws on the CPU lacks; NULL: nothing. The first three it has for long.
 */
enum {
	OWN_VULKAN_OLD = 3,
	OWN_VULKAN_WITHOUT_FOREIGN,
	OWN_VULKAN_EXTENSIONS,
	OWN_VULKAN_WITH_MODIFIERS
};
const char *own_vulkan_find_missing(uint32_t count);

/** Is the validation layer installed? */
bool own_vulkan_has_layer(void);

/** On that driver, with so many of them. `timeline` asks for the feature timelineSemaphore. */
void own_vulkan_init(
	struct own_vulkan *own, uint32_t version, uint32_t extension_count, bool timeline);
void own_vulkan_finish(struct own_vulkan *own);
struct stile_vulkan_info own_vulkan_describe(const struct own_vulkan *own);
/** An adapter of what was described so. */
struct stile_vulkan *own_vulkan_create_adapter(const struct stile_vulkan_info *info);

/** Record between the two; the second one submits, and waits. */
void own_vulkan_begin(struct own_vulkan *own);
void own_vulkan_submit(struct own_vulkan *own);

/**
 * An image that can be sampled, drawn to and copied, exportable as this kind, unless it is 0. Tiling by modifier is by
 * LINEAR.
 */
struct stile_vulkan_own_image own_vulkan_create_image(struct own_vulkan *own, uint32_t fourcc,
	uint32_t width, uint32_t height, VkImageTiling tiling,
	VkExternalMemoryHandleTypeFlags handle_type);
void own_vulkan_destroy_image(struct own_vulkan *own, const struct stile_vulkan_own_image *image);

/** Memory that the CPU sees, as a VkBuffer for copies. */
struct own_buffer {
	VkBuffer handle;
	VkDeviceMemory memory;
	void *address;
	struct stile_vulkan_own_buffer shared; /* what there is to say of it */
};

struct own_buffer own_vulkan_create_buffer(struct own_vulkan *own, VkDeviceSize bytes);
/** One that is exportable as OPAQUE_FD, behind something in its memory. */
struct own_buffer own_vulkan_create_shared_buffer(struct own_vulkan *own, VkDeviceSize bytes);
void own_vulkan_destroy_buffer(struct own_vulkan *own, const struct own_buffer *buffer);

/** A picture to be known again, which has no two pixels alike nearby: its pixels, as ABGR8888; all, without gaps. */
uint32_t own_pixel_at(uint32_t x, uint32_t y);
void own_pixels_draw(uint32_t *pixels, uint32_t width, uint32_t height);

/** A barrier around all that is recorded: from this layout and family to that one. */
void own_vulkan_transfer(struct own_vulkan *own, VkImage image, VkImageLayout from,
	uint32_t from_family, VkImageLayout to, uint32_t to_family);

#endif
