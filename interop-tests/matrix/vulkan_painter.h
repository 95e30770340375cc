/* SPDX-License-Identifier: MIT */
#ifndef MATRIX_VULKAN_PAINTER_H
#define MATRIX_VULKAN_PAINTER_H

#include "demos/vulkan_drawer.h"
#include "interop-tests/interop/vulkan_inputs.h"

enum { VULKAN_PAINTER_IMAGES = 3 };

/** An image to be painted, from its first corner on. */
struct vulkan_canvas {
	/** Imported with VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT or VK_IMAGE_USAGE_STORAGE_BIT. */
	const struct stile_vulkan_image *image;
	VkExtent2D extent; /* at most a card's */
	/** CARD_PIXELS, in rows of CARD_WIDTH. */
	const float (*colours)[4];
};

/** Writes pixels into images, on a drawer's device. What fails ends the program. */
struct vulkan_painter {
	struct vulkan_drawer *drawer; /* outlives it; its command buffer is used */
	struct vulkan_inputs inputs;  /* a set for each image */
	VkPipelineShaderStageCreateInfo drawing[2], computing;
	/* Of what is being painted. */
	VkImageView views[VULKAN_PAINTER_IMAGES];
	VkPipeline pipelines[VULKAN_PAINTER_IMAGES];
};

void vulkan_painter_init(struct vulkan_painter *painter, struct vulkan_drawer *drawer);
void vulkan_painter_finish(struct vulkan_painter *painter);

/**
 * Submit what paints images, all of this usage: it says how. Does not wait. vulkan_painter_end(), once it is done, comes
 * before the next one.
 */
void vulkan_painter_submit(struct vulkan_painter *painter, VkImageUsageFlags usage,
	const struct vulkan_canvas *canvases, uint32_t count);
void vulkan_painter_end(struct vulkan_painter *painter);

#endif
