/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/vulkan_sampler.h"

#include <string.h>

#include "interop-tests/interop/require.h"
#include "sample.comp.h"
#include "sample_converted.comp.h"

#define CALL(call) require((call) == VK_SUCCESS)

/* ---- Life --------------------------------------------------------------------------------- */

static VkSamplerYcbcrConversionInfo describe_conversion(const struct vulkan_sampler *self) {
	return (VkSamplerYcbcrConversionInfo){
		.sType = VK_STRUCTURE_TYPE_SAMPLER_YCBCR_CONVERSION_INFO,
		.conversion = self->conversion,
	};
}

static void create_sampler(struct vulkan_sampler *self, VkFilter filter) {
	const VkSamplerYcbcrConversionInfo conversion = describe_conversion(self);
	const VkSamplerCreateInfo sampler = {
		.sType = VK_STRUCTURE_TYPE_SAMPLER_CREATE_INFO,
		.pNext = self->conversion == VK_NULL_HANDLE ? NULL : &conversion,
		.magFilter = filter,
		.minFilter = filter,
		.addressModeU = VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_EDGE,
		.addressModeV = VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_EDGE,
		.addressModeW = VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_EDGE,
	};
	CALL(vkCreateSampler(self->drawer->device, &sampler, NULL, &self->sampler));
}

static void create_set(struct vulkan_sampler *self) {
	VkDevice device = self->drawer->device;
	const VkDescriptorSetLayoutBinding bindings[] = {
		{
			.descriptorType = VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
			.descriptorCount = 1,
			.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
			.pImmutableSamplers = &self->sampler,
		},
		{
			.binding = 1,
			.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
			.descriptorCount = 1,
			.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
		},
	};
	const VkDescriptorSetLayoutCreateInfo layout = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
		.bindingCount = 2,
		.pBindings = bindings,
	};
	CALL(vkCreateDescriptorSetLayout(device, &layout, NULL, &self->set_layout));
	const VkDescriptorPoolSize sizes[] = {
		/* One of several planes may count for as many. */
		{ VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, 4 },
		{ VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1 },
	};
	const VkDescriptorPoolCreateInfo pool = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
		.maxSets = 1,
		.poolSizeCount = 2,
		.pPoolSizes = sizes,
	};
	CALL(vkCreateDescriptorPool(device, &pool, NULL, &self->set_pool));
	const VkDescriptorSetAllocateInfo set = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
		.descriptorPool = self->set_pool,
		.descriptorSetCount = 1,
		.pSetLayouts = &self->set_layout,
	};
	CALL(vkAllocateDescriptorSets(device, &set, &self->set));
}

static void create_pipeline(struct vulkan_sampler *self) {
	bool is_converted = self->conversion != VK_NULL_HANDLE;
	VkDevice device = self->drawer->device;
	const VkPipelineLayoutCreateInfo layout = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
		.setLayoutCount = 1,
		.pSetLayouts = &self->set_layout,
	};
	CALL(vkCreatePipelineLayout(device, &layout, NULL, &self->layout));
	const VkShaderModuleCreateInfo code = {
		.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
		.codeSize = is_converted ? sizeof(sample_converted_comp) : sizeof(sample_comp),
		.pCode = is_converted ? sample_converted_comp : sample_comp,
	};
	VkShaderModule module;
	CALL(vkCreateShaderModule(device, &code, NULL, &module));
	const VkComputePipelineCreateInfo pipeline = {
		.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
		.stage = {
			.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
			.stage = VK_SHADER_STAGE_COMPUTE_BIT,
			.module = module,
			.pName = "main",
		},
		.layout = self->layout,
	};
	CALL(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &pipeline, NULL, &self->pipeline));
	vkDestroyShaderModule(device, module, NULL);
}

static void create_buffer(struct vulkan_sampler *self) {
	VkDevice device = self->drawer->device;
	const VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = self->pixels * sizeof(float[4]),
		.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
	};
	CALL(vkCreateBuffer(device, &info, NULL, &self->colours));
	VkMemoryRequirements needs;
	vkGetBufferMemoryRequirements(device, self->colours, &needs);
	/* A driver that draws on the CPU has one type of memory, which the CPU can map. */
	const VkMemoryAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.allocationSize = needs.size,
	};
	CALL(vkAllocateMemory(device, &allocate, NULL, &self->memory));
	CALL(vkBindBufferMemory(device, self->colours, self->memory, 0));
}

void vulkan_sampler_init(
	struct vulkan_sampler *sampler, struct vulkan_drawer *drawer, uint32_t pixels) {
	vulkan_sampler_init_converted(sampler, drawer, pixels, VK_NULL_HANDLE, VK_FILTER_NEAREST);
}

void vulkan_sampler_init_converted(struct vulkan_sampler *sampler, struct vulkan_drawer *drawer,
	uint32_t pixels, VkSamplerYcbcrConversion conversion, VkFilter filter) {
	*sampler = (struct vulkan_sampler){
		.drawer = drawer,
		.conversion = conversion,
		.pixels = pixels,
	};
	create_sampler(sampler, filter);
	create_set(sampler);
	create_pipeline(sampler);
	create_buffer(sampler);
}

void vulkan_sampler_finish(struct vulkan_sampler *sampler) {
	VkDevice device = sampler->drawer->device;
	vkDestroyBuffer(device, sampler->colours, NULL);
	vkFreeMemory(device, sampler->memory, NULL);
	vkDestroyPipeline(device, sampler->pipeline, NULL);
	vkDestroyPipelineLayout(device, sampler->layout, NULL);
	vkDestroyDescriptorPool(device, sampler->set_pool, NULL);
	vkDestroyDescriptorSetLayout(device, sampler->set_layout, NULL);
	vkDestroySampler(device, sampler->sampler, NULL);
}

/* ---- Commands ----------------------------------------------------------------------------- */

static void begin(const struct vulkan_sampler *self, const struct stile_vulkan_image *image,
	VkImageLayout layout, VkAccessFlags access) {
	const VkCommandBufferBeginInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
		.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
	};
	VkImageMemoryBarrier barrier = stile_vulkan_acquire(image, layout, access);
	CALL(vkBeginCommandBuffer(self->drawer->commands, &info));
	vkCmdPipelineBarrier(self->drawer->commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT,
		VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
}

static void end(const struct vulkan_sampler *self, const struct stile_vulkan_image *image,
	VkImageLayout layout, VkAccessFlags access) {
	VkImageMemoryBarrier barrier = stile_vulkan_release(image, layout, access);
	vkCmdPipelineBarrier(self->drawer->commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
		VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
	CALL(vkEndCommandBuffer(self->drawer->commands));
	const VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &self->drawer->commands,
	};
	CALL(vkQueueSubmit(self->drawer->queue, 1, &submit, VK_NULL_HANDLE));
}

static const VkImageSubresourceRange all = {
	.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT,
	.levelCount = 1,
	.layerCount = 1,
};

static VkImageView create_view(const struct vulkan_sampler *self,
	const struct stile_vulkan_image *image, VkComponentMapping components) {
	const VkSamplerYcbcrConversionInfo conversion = describe_conversion(self);
	const VkImageViewCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
		.pNext = self->conversion == VK_NULL_HANDLE ? NULL : &conversion,
		.image = stile_vulkan_image_get_handle(image),
		.viewType = VK_IMAGE_VIEW_TYPE_2D,
		.format = stile_vulkan_image_get_format(image),
		.components = components,
		.subresourceRange = all,
	};
	VkImageView view;
	CALL(vkCreateImageView(self->drawer->device, &info, NULL, &view));
	return view;
}

static void write_set(const struct vulkan_sampler *self, VkImageView view) {
	const VkDescriptorImageInfo image = {
		.imageView = view,
		.imageLayout = VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL,
	};
	const VkDescriptorBufferInfo buffer = { self->colours, 0, VK_WHOLE_SIZE };
	const VkWriteDescriptorSet writes[] = {
		{
			.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
			.dstSet = self->set,
			.descriptorCount = 1,
			.descriptorType = VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
			.pImageInfo = &image,
		},
		{
			.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
			.dstSet = self->set,
			.dstBinding = 1,
			.descriptorCount = 1,
			.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
			.pBufferInfo = &buffer,
		},
	};
	vkUpdateDescriptorSets(self->drawer->device, 2, writes, 0, NULL);
}

void vulkan_sampler_submit(struct vulkan_sampler *sampler, const struct stile_vulkan_image *image,
	VkComponentMapping components, VkExtent2D extent) {
	VkCommandBuffer commands = sampler->drawer->commands;
	VkImageLayout layout = VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL;
	require(extent.width * extent.height <= sampler->pixels);
	sampler->view = create_view(sampler, image, components);
	write_set(sampler, sampler->view);
	begin(sampler, image, layout, VK_ACCESS_SHADER_READ_BIT);
	vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, sampler->pipeline);
	vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, sampler->layout, 0, 1,
		&sampler->set, 0, NULL);
	vkCmdDispatch(commands, extent.width, extent.height, 1);
	end(sampler, image, layout, VK_ACCESS_SHADER_READ_BIT);
}

void vulkan_sampler_take(struct vulkan_sampler *sampler, VkExtent2D extent, float (*rgba)[4]) {
	VkDevice device = sampler->drawer->device;
	size_t bytes = (size_t)extent.width * extent.height * sizeof(*rgba);
	void *colours;
	CALL(vkQueueWaitIdle(sampler->drawer->queue));
	CALL(vkMapMemory(device, sampler->memory, 0, bytes, 0, &colours));
	memcpy(rgba, colours, bytes);
	vkUnmapMemory(device, sampler->memory);
	vkDestroyImageView(device, sampler->view, NULL);
}

void vulkan_sampler_read(struct vulkan_sampler *sampler, const struct stile_vulkan_image *image,
	VkComponentMapping components, VkExtent2D extent, float (*rgba)[4]) {
	vulkan_sampler_submit(sampler, image, components, extent);
	vulkan_sampler_take(sampler, extent, rgba);
}

void vulkan_sampler_clear(struct vulkan_sampler *sampler, const struct stile_vulkan_image *image,
	const float rgba[4]) {
	VkImageLayout layout = VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
	VkClearColorValue colour;
	memcpy(colour.float32, rgba, sizeof(colour.float32));
	begin(sampler, image, layout, VK_ACCESS_TRANSFER_WRITE_BIT);
	vkCmdClearColorImage(sampler->drawer->commands, stile_vulkan_image_get_handle(image),
		layout, &colour, 1, &all);
	end(sampler, image, layout, VK_ACCESS_TRANSFER_WRITE_BIT);
	CALL(vkQueueWaitIdle(sampler->drawer->queue));
}
