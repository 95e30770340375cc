/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_VULKAN_SAMPLER_H
#define INTEROP_VULKAN_SAMPLER_H

#include <stile/vulkan_yuv.h>

#include "demos/vulkan_drawer.h"
#include "interop-tests/interop/vulkan_inputs.h"
#include "interop-tests/interop/yuv_picture.h"

/** A compute shader that samples a picture, on a drawer's device. What fails ends the program. */
struct vulkan_sampler {
	struct vulkan_drawer *drawer;        /* outlives it; its command buffer is used */
	VkSamplerYcbcrConversion conversion; /* or VK_NULL_HANDLE */
	uint32_t picture_count;              /* 1, or 3 of planes */
	VkSampler sampler;
	struct vulkan_inputs inputs;
	VkPipeline pipeline;
	uint32_t pixels;                         /* that there is room for */
	VkImageView views[VULKAN_INPUTS_IMAGES]; /* of what is being sampled */
};

void vulkan_sampler_init(
	struct vulkan_sampler *sampler, struct vulkan_drawer *drawer, uint32_t pixels);
/** The same for images of luma and chroma, whose colours the device makes. */
void vulkan_sampler_init_converted(struct vulkan_sampler *sampler, struct vulkan_drawer *drawer,
	uint32_t pixels, VkSamplerYcbcrConversion conversion, VkFilter filter);
/** The same for their planes, whose colours the shader makes. */
void vulkan_sampler_init_planes(
	struct vulkan_sampler *sampler, struct vulkan_drawer *drawer, uint32_t pixels);
void vulkan_sampler_finish(struct vulkan_sampler *sampler);

/** Where conversions of this format have chroma if nothing is said: on the left, and between two rows, as far as they can. */
struct yuv_siting vulkan_sampler_find_siting(const struct vulkan_drawer *drawer, VkFormat format);

/**
 * Sample an image, imported with VK_IMAGE_USAGE_SAMPLED_BIT, through a view with these components. Does not wait:
 * the colours are for vulkan_sampler_take(), which does.
 */
void vulkan_sampler_submit(struct vulkan_sampler *sampler, struct stile_vulkan_image *image,
	VkComponentMapping components, VkExtent2D extent);
void vulkan_sampler_take(struct vulkan_sampler *sampler, VkExtent2D extent, float (*rgba)[4]);

/** The same of planes: STILE_VULKAN_YUV_PLANES. */
void vulkan_sampler_submit_planes(
	struct vulkan_sampler *sampler, const struct stile_vulkan_yuv *yuv, VkExtent2D extent);

/** Both. */
void vulkan_sampler_read(struct vulkan_sampler *sampler, struct stile_vulkan_image *image,
	VkComponentMapping components, VkExtent2D extent, float (*rgba)[4]);

/** Set all of an image, imported with VK_IMAGE_USAGE_TRANSFER_DST_BIT, to a colour. */
void vulkan_sampler_clear(
	struct vulkan_sampler *sampler, struct stile_vulkan_image *image, const float rgba[4]);

#endif
