/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/vulkan_sampler.h"

#include <string.h>

#include "interop-tests/interop/require.h"
#include "sample.comp.h"
#include "sample_converted.comp.h"
#include "sample_planes.comp.h"

#define CALL(call) require((call) == VK_SUCCESS)

enum { ROWS = 3 }; /* before the colours, of planes */

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

static uint32_t get_rows(const struct vulkan_sampler *self) {
	return self->picture_count > 1 ? ROWS : 0;
}

static void create_inputs(struct vulkan_sampler *self) {
	const VkSampler samplers[] = { self->sampler, self->sampler, self->sampler };
	const VkDescriptorSetLayoutBinding image = {
		.descriptorType = VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
		.descriptorCount = self->picture_count,
		.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
		.pImmutableSamplers = samplers,
	};
	const VkDescriptorSetLayoutBinding colours = {
		.binding = 1,
		.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
		.descriptorCount = 1,
		.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
	};
	vulkan_inputs_init(&self->inputs, self->drawer->device, &image, &colours, 1,
		(get_rows(self) + self->pixels) * sizeof(float[4]));
}

static VkShaderModuleCreateInfo choose_code(const struct vulkan_sampler *self) {
	VkShaderModuleCreateInfo code = { .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO };
	if (self->picture_count > 1) {
		code.codeSize = sizeof(sample_planes_comp);
		code.pCode = sample_planes_comp;
	} else if (self->conversion != VK_NULL_HANDLE) {
		code.codeSize = sizeof(sample_converted_comp);
		code.pCode = sample_converted_comp;
	} else {
		code.codeSize = sizeof(sample_comp);
		code.pCode = sample_comp;
	}
	return code;
}

static void create_pipeline(struct vulkan_sampler *self) {
	VkDevice device = self->drawer->device;
	const VkShaderModuleCreateInfo code = choose_code(self);
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

static void create_all(struct vulkan_sampler *self, VkFilter filter) {
	create_sampler(self, filter);
	create_inputs(self);
	create_pipeline(self);
}

void vulkan_sampler_init_converted(struct vulkan_sampler *sampler, struct vulkan_drawer *drawer,
	uint32_t pixels, VkSamplerYcbcrConversion conversion, VkFilter filter) {
	*sampler = (struct vulkan_sampler){
		.drawer = drawer,
		.conversion = conversion,
		.picture_count = 1,
		.pixels = pixels,
	};
	create_all(sampler, filter);
}

void vulkan_sampler_init_planes(
	struct vulkan_sampler *sampler, struct vulkan_drawer *drawer, uint32_t pixels) {
	*sampler = (struct vulkan_sampler){
		.drawer = drawer,
		.picture_count = 3,
		.pixels = pixels,
	};
	create_all(sampler, VK_FILTER_NEAREST);
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

static const VkImageSubresourceRange all = {
	.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT,
	.levelCount = 1,
	.layerCount = 1,
};

/* What is done to images, from their owner's hands and back into them. */
struct turn {
	struct stile_vulkan_image *const *images;
	uint32_t count;
	VkImageLayout layout;
	VkAccessFlags access;
};

static void begin(const struct vulkan_sampler *self, const struct turn *turn) {
	const VkCommandBufferBeginInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
		.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
	};
	VkImageMemoryBarrier barriers[VULKAN_INPUTS_IMAGES];
	for (uint32_t i = 0; i < turn->count; i++) {
		barriers[i] = stile_vulkan_acquire(turn->images[i], turn->layout, turn->access);
	}
	CALL(vkBeginCommandBuffer(self->drawer->commands, &info));
	vkCmdPipelineBarrier(self->drawer->commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT,
		VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, turn->count, barriers);
}

static void end(const struct vulkan_sampler *self, const struct turn *turn) {
	VkImageMemoryBarrier barriers[VULKAN_INPUTS_IMAGES];
	for (uint32_t i = 0; i < turn->count; i++) {
		barriers[i] = stile_vulkan_release(turn->images[i], turn->layout, turn->access);
	}
	vkCmdPipelineBarrier(self->drawer->commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
		VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, NULL, 0, NULL, turn->count, barriers);
	CALL(vkEndCommandBuffer(self->drawer->commands));
	const VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &self->drawer->commands,
	};
	CALL(vkQueueSubmit(self->drawer->queue, 1, &submit, VK_NULL_HANDLE));
}

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

/* Of the views that there are. */
static void submit(struct vulkan_sampler *self, struct stile_vulkan_image *const *images,
	uint32_t count, VkExtent2D extent) {
	VkCommandBuffer commands = self->drawer->commands;
	const struct turn turn = { images, count, VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL,
		VK_ACCESS_SHADER_READ_BIT };
	require(extent.width * extent.height <= self->pixels);
	vulkan_inputs_set_images(&self->inputs, 0, self->views, turn.layout);
	begin(self, &turn);
	vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, self->pipeline);
	vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, self->inputs.layout, 0, 1,
		self->inputs.sets, 0, NULL);
	vkCmdDispatch(commands, extent.width, extent.height, 1);
	end(self, &turn);
}

void vulkan_sampler_submit(struct vulkan_sampler *sampler, struct stile_vulkan_image *image,
	VkComponentMapping components, VkExtent2D extent) {
	sampler->views[0] = create_view(sampler, image, components);
	submit(sampler, &image, 1, extent);
}

void vulkan_sampler_submit_planes(
	struct vulkan_sampler *sampler, const struct stile_vulkan_yuv *yuv, VkExtent2D extent) {
	/* Of two planes, the second has both samples of chroma. */
	const VkComponentMapping red = { 0 }, green = { .r = VK_COMPONENT_SWIZZLE_G };
	uint32_t last = yuv->image_count - 1;
	sampler->views[0] = create_view(sampler, yuv->images[0], red);
	sampler->views[1] = create_view(sampler, yuv->images[1], red);
	sampler->views[2] = create_view(sampler, yuv->images[last], last == 1 ? green : red);
	memcpy(sampler->inputs.address, yuv->rows, sizeof(yuv->rows));
	submit(sampler, yuv->images, yuv->image_count, extent);
}

void vulkan_sampler_take(struct vulkan_sampler *sampler, VkExtent2D extent, float (*rgba)[4]) {
	const float(*colours)[4] = sampler->inputs.address;
	CALL(vkQueueWaitIdle(sampler->drawer->queue));
	memcpy(rgba, colours + get_rows(sampler),
		(size_t)extent.width * extent.height * sizeof(*rgba));
	for (uint32_t i = 0; i < sampler->picture_count; i++) {
		vkDestroyImageView(sampler->drawer->device, sampler->views[i], NULL);
	}
}

void vulkan_sampler_read(struct vulkan_sampler *sampler, struct stile_vulkan_image *image,
	VkComponentMapping components, VkExtent2D extent, float (*rgba)[4]) {
	vulkan_sampler_submit(sampler, image, components, extent);
	vulkan_sampler_take(sampler, extent, rgba);
}

void vulkan_sampler_clear(
	struct vulkan_sampler *sampler, struct stile_vulkan_image *image, const float rgba[4]) {
	const struct turn turn = { &image, 1, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
		VK_ACCESS_TRANSFER_WRITE_BIT };
	VkClearColorValue colour;
	memcpy(colour.float32, rgba, sizeof(colour.float32));
	begin(sampler, &turn);
	vkCmdClearColorImage(sampler->drawer->commands, stile_vulkan_image_get_handle(image),
		turn.layout, &colour, 1, &all);
	end(sampler, &turn);
	CALL(vkQueueWaitIdle(sampler->drawer->queue));
}
