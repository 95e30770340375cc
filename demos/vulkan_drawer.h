/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_VULKAN_DRAWER_H
#define DEMOS_VULKAN_DRAWER_H

#include <stile/carrier.h>
#include <stile/vulkan.h>

#include "demos/transform.h"

enum { VULKAN_DRAWER_WAITS = 8 };

/** One of the two images that a drawer works with. */
struct vulkan_target {
	struct stile_vulkan_image *image;
	VkImageView view;
};

/**
 * A Vulkan application in small: draws one image into another with a graphics pipeline. What is
 * not Vulkan boilerplate is in vulkan_drawer_wait() and vulkan_drawer_draw().
 */
struct vulkan_drawer {
	VkInstance instance;
	VkDebugUtilsMessengerEXT messenger;
	unsigned messages; /* of the validation layer */
	VkPhysicalDevice physical_device;
	VkDevice device;
	VkQueue queue;
	uint32_t queue_family;
	uint32_t extension_count;
	bool has_conversions; /* samplerYcbcrConversion, for images of YUV */
	struct stile_vulkan *stile;

	/* Binary semaphores for fences that the kernel has, used in turn; NULL if the driver has no such. */
	VkSemaphore waits[VULKAN_DRAWER_WAITS];
	uint32_t wait_count;
	/*
	 * Set where the images are the kernel's memory: the kernel is then told of drawings, as far as it can
	 * be, and this device watches what it has. `exported` says of the last one whether it was.
	 */
	struct stile_device *kernel;
	struct stile_path exported;

	VkSampler sampler;
	VkDescriptorSetLayout set_layout;
	VkDescriptorPool set_pool;
	VkDescriptorSet set;
	VkPipelineLayout layout;
	VkPipeline pipeline;
	VkCommandPool command_pool;
	VkCommandBuffer commands;

	struct vulkan_target from;
	struct vulkan_target to;
	VkExtent2D extent;
};

/**
 * Everything but the images. Functions return 0 or -errno and say on stderr what went wrong; after
 * a failure, too, vulkan_drawer_finish() cleans up. With `validate`, the validation layer has to
 * be there, and counts its messages.
 */
int vulkan_drawer_init(struct vulkan_drawer *drawer, bool validate);
void vulkan_drawer_finish(struct vulkan_drawer *drawer);

/** vulkan_setup.c: instance and device; vulkan_pipeline.c: the rest. */
int vulkan_setup_device(struct vulkan_drawer *drawer, bool validate);
int vulkan_setup_pipeline(struct vulkan_drawer *drawer);
void vulkan_setup_finish(struct vulkan_drawer *drawer);

/** The stage of a vertex shader for one triangle that covers everything: three vertices, no buffer. */
int vulkan_create_fullscreen_stage(
	struct vulkan_drawer *drawer, VkPipelineShaderStageCreateInfo *out);

/** What Stile is told of the device. */
struct stile_vulkan_info vulkan_drawer_describe(const struct vulkan_drawer *drawer);

/** Import the two images; of the same extent, ABGR8888. */
int vulkan_drawer_set_images(
	struct vulkan_drawer *drawer, struct stile_image *from, struct stile_image *to);

/** Give them up; waits for what is being drawn. vulkan_drawer_finish() does this, too. */
void vulkan_drawer_drop_images(struct vulkan_drawer *drawer);

/** Have what is drawn next come after a fence; `path` tells how it crossed. Does not wait. */
int vulkan_drawer_wait(
	struct vulkan_drawer *drawer, struct stile_fence *fence, struct stile_path *path);

/** Draw `from` into `to`. Does not wait. `done` is a new reference. */
int vulkan_drawer_draw(
	struct vulkan_drawer *drawer, const struct transform *transform, struct stile_fence **done);

/** Read the first pixel of a target as the device sees it. Waits. */
int vulkan_drawer_read_pixel(
	struct vulkan_drawer *drawer, const struct vulkan_target *target, uint8_t rgba[4]);

#endif
