/* SPDX-License-Identifier: MIT */
#ifndef MATRIX_VULKAN_PAINTER_H
#define MATRIX_VULKAN_PAINTER_H

#include "demos/vulkan_drawer.h"
#include "interop-tests/interop/vulkan_inputs.h"

/** Writes the pixels of a card into images, on a drawer's device. What fails ends the program. */
struct vulkan_painter {
	struct vulkan_drawer *drawer; /* outlives it; its command buffer is used */
	struct vulkan_inputs inputs;
	VkPipelineShaderStageCreateInfo drawing[2], computing;
	/* Of what is being painted. */
	VkImageView view;
	VkPipeline pipeline;
};

void vulkan_painter_init(struct vulkan_painter *painter, struct vulkan_drawer *drawer);
void vulkan_painter_finish(struct vulkan_painter *painter);

/**
 * Submit what paints an image, imported with VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT or VK_IMAGE_USAGE_STORAGE_BIT: that
 * one says how. Does not wait. vulkan_painter_end(), once it is done, comes before the next one.
 */
void vulkan_painter_submit(struct vulkan_painter *painter, const struct stile_vulkan_image *image,
	VkImageUsageFlags usage, float (*rgba)[4]);
void vulkan_painter_end(struct vulkan_painter *painter);

#endif
