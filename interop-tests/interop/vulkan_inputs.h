/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_VULKAN_INPUTS_H
#define INTEROP_VULKAN_INPUTS_H

#include <vulkan/vulkan.h>

enum { VULKAN_INPUTS_SETS = 4, VULKAN_INPUTS_IMAGES = 3 };

/**
 * What a shader of the tests is given: sets of an image, or several, and of a storage buffer in memory that the CPU sees.
 * What fails ends the program.
 */
struct vulkan_inputs {
	VkDevice device;
	VkDescriptorSetLayoutBinding image;
	VkDescriptorSetLayout set_layout;
	VkPipelineLayout layout;
	VkDescriptorPool pool;
	VkDescriptorSet sets[VULKAN_INPUTS_SETS];
	VkBuffer buffer;
	VkDeviceMemory memory;
	void *address; /* of the buffer: so many bytes for each set, one after the other */
};

void vulkan_inputs_init(struct vulkan_inputs *inputs, VkDevice device,
	const VkDescriptorSetLayoutBinding *image, const VkDescriptorSetLayoutBinding *buffer,
	uint32_t set_count, VkDeviceSize bytes);
void vulkan_inputs_finish(struct vulkan_inputs *inputs);

/** What the images of a set are, and will be in this layout. */
void vulkan_inputs_set_images(
	struct vulkan_inputs *inputs, uint32_t set, const VkImageView *views, VkImageLayout layout);

#endif
