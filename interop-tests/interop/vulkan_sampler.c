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

static void create_inputs(struct vulkan_sampler *self) {
	const VkDescriptorSetLayoutBinding image = {
		.descriptorType = VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
		.descriptorCount = 1,
		.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
		.pImmutableSamplers = &self->sampler,
	};
	const VkDescriptorSetLayoutBinding colours = {
		.binding = 1,
		.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
		.descriptorCount = 1,
		.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
	};
	vulkan_inputs_init(&self->inputs, self->drawer->device, &image, &colours, 1,
		self->pixels * sizeof(float[4]));
}

static void create_pipeline(struct vulkan_sampler *self) {
	bool is_converted = self->conversion != VK_NULL_HANDLE;
	VkDevice device = self->drawer->device;
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
		.layout = self->inputs.layout,
	};
	CALL(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &pipeline, NULL, &self->pipeline));
	vkDestroyShaderModule(device, module, NULL);
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
	create_inputs(sampler);
	create_pipeline(sampler);
}

void vulkan_sampler_finish(struct vulkan_sampler *sampler) {
	VkDevice device = sampler->drawer->device;
	vkDestroyPipeline(device, sampler->pipeline, NULL);
	vulkan_inputs_finish(&sampler->inputs);
	vkDestroySampler(device, sampler->sampler, NULL);
}

struct yuv_siting vulkan_sampler_find_siting(const struct vulkan_drawer *drawer, VkFormat format) {
	VkFormatProperties properties;
	vkGetPhysicalDeviceFormatProperties(drawer->physical_device, format, &properties);
	VkFormatFeatureFlags features = properties.linearTilingFeatures;
	return (struct yuv_siting){
		.horizontal = (features & VK_FORMAT_FEATURE_COSITED_CHROMA_SAMPLES_BIT) != 0,
		.vertical = (features & VK_FORMAT_FEATURE_MIDPOINT_CHROMA_SAMPLES_BIT) == 0,
	};
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

void vulkan_sampler_submit(struct vulkan_sampler *sampler, const struct stile_vulkan_image *image,
	VkComponentMapping components, VkExtent2D extent) {
	VkCommandBuffer commands = sampler->drawer->commands;
	VkImageLayout layout = VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL;
	require(extent.width * extent.height <= sampler->pixels);
	sampler->view = create_view(sampler, image, components);
	vulkan_inputs_set_image(&sampler->inputs, 0, sampler->view, layout);
	begin(sampler, image, layout, VK_ACCESS_SHADER_READ_BIT);
	vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, sampler->pipeline);
	vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, sampler->inputs.layout, 0,
		1, sampler->inputs.sets, 0, NULL);
	vkCmdDispatch(commands, extent.width, extent.height, 1);
	end(sampler, image, layout, VK_ACCESS_SHADER_READ_BIT);
}

void vulkan_sampler_take(struct vulkan_sampler *sampler, VkExtent2D extent, float (*rgba)[4]) {
	CALL(vkQueueWaitIdle(sampler->drawer->queue));
	memcpy(rgba, sampler->inputs.address, (size_t)extent.width * extent.height * sizeof(*rgba));
	vkDestroyImageView(sampler->drawer->device, sampler->view, NULL);
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
