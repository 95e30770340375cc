/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/vulkan_inputs.h"

#include "interop-tests/interop/require.h"

#define CALL(call) require((call) == VK_SUCCESS)

static void create_layouts(struct vulkan_inputs *self, const VkDescriptorSetLayoutBinding *buffer) {
	const VkDescriptorSetLayoutBinding bindings[] = { self->image, *buffer };
	const VkDescriptorSetLayoutCreateInfo set = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
		.bindingCount = 2,
		.pBindings = bindings,
	};
	CALL(vkCreateDescriptorSetLayout(self->device, &set, NULL, &self->set_layout));
	const VkPipelineLayoutCreateInfo layout = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
		.setLayoutCount = 1,
		.pSetLayouts = &self->set_layout,
	};
	CALL(vkCreatePipelineLayout(self->device, &layout, NULL, &self->layout));
}

static void create_sets(struct vulkan_inputs *self, uint32_t count) {
	const VkDescriptorPoolSize sizes[] = {
		/* One of several planes may count for as many. */
		{ self->image.descriptorType, 4 * count },
		{ VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, count },
	};
	const VkDescriptorPoolCreateInfo pool = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
		.maxSets = count,
		.poolSizeCount = 2,
		.pPoolSizes = sizes,
	};
	CALL(vkCreateDescriptorPool(self->device, &pool, NULL, &self->pool));
	const VkDescriptorSetAllocateInfo set = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
		.descriptorPool = self->pool,
		.descriptorSetCount = 1,
		.pSetLayouts = &self->set_layout,
	};
	for (uint32_t i = 0; i < count; i++) {
		CALL(vkAllocateDescriptorSets(self->device, &set, &self->sets[i]));
	}
}

static void create_buffer(struct vulkan_inputs *self, VkDeviceSize bytes) {
	const VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = bytes,
		.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
	};
	CALL(vkCreateBuffer(self->device, &info, NULL, &self->buffer));
	VkMemoryRequirements needs;
	vkGetBufferMemoryRequirements(self->device, self->buffer, &needs);
	/* A driver that draws on the CPU has one type of memory, which the CPU can map. */
	const VkMemoryAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.allocationSize = needs.size,
	};
	CALL(vkAllocateMemory(self->device, &allocate, NULL, &self->memory));
	CALL(vkBindBufferMemory(self->device, self->buffer, self->memory, 0));
	CALL(vkMapMemory(self->device, self->memory, 0, VK_WHOLE_SIZE, 0, &self->address));
}

static void set_buffer(
	struct vulkan_inputs *self, uint32_t set, uint32_t binding, VkDeviceSize bytes) {
	const VkDescriptorBufferInfo part = { self->buffer, set * bytes, bytes };
	const VkWriteDescriptorSet write = {
		.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
		.dstSet = self->sets[set],
		.dstBinding = binding,
		.descriptorCount = 1,
		.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
		.pBufferInfo = &part,
	};
	vkUpdateDescriptorSets(self->device, 1, &write, 0, NULL);
}

void vulkan_inputs_init(struct vulkan_inputs *inputs, VkDevice device,
	const VkDescriptorSetLayoutBinding *image, const VkDescriptorSetLayoutBinding *buffer,
	uint32_t set_count, VkDeviceSize bytes) {
	require(set_count <= VULKAN_INPUTS_SETS && image->descriptorCount <= VULKAN_INPUTS_IMAGES);
	*inputs = (struct vulkan_inputs){ .device = device, .image = *image };
	create_layouts(inputs, buffer);
	create_sets(inputs, set_count);
	create_buffer(inputs, set_count * bytes);
	for (uint32_t i = 0; i < set_count; i++) {
		set_buffer(inputs, i, buffer->binding, bytes);
	}
}

void vulkan_inputs_set_images(struct vulkan_inputs *inputs, uint32_t set, const VkImageView *views,
	VkImageLayout layout) {
	VkDescriptorImageInfo images[VULKAN_INPUTS_IMAGES];
	for (uint32_t i = 0; i < inputs->image.descriptorCount; i++) {
		images[i] = (VkDescriptorImageInfo){ .imageView = views[i], .imageLayout = layout };
	}
	const VkWriteDescriptorSet write = {
		.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
		.dstSet = inputs->sets[set],
		.dstBinding = inputs->image.binding,
		.descriptorCount = inputs->image.descriptorCount,
		.descriptorType = inputs->image.descriptorType,
		.pImageInfo = images,
	};
	vkUpdateDescriptorSets(inputs->device, 1, &write, 0, NULL);
}

void vulkan_inputs_finish(struct vulkan_inputs *inputs) {
	vkDestroyBuffer(inputs->device, inputs->buffer, NULL);
	vkFreeMemory(inputs->device, inputs->memory, NULL);
	vkDestroyDescriptorPool(inputs->device, inputs->pool, NULL);
	vkDestroyPipelineLayout(inputs->device, inputs->layout, NULL);
	vkDestroyDescriptorSetLayout(inputs->device, inputs->set_layout, NULL);
}
