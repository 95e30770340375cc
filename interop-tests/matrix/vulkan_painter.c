/* SPDX-License-Identifier: MIT */
#include "interop-tests/matrix/vulkan_painter.h"

#include <string.h>

#include "interop-tests/interop/card.h"
#include "interop-tests/interop/require.h"
#include "paint.comp.h"
#include "paint.frag.h"

#define CALL(call) require((call) == VK_SUCCESS)

enum { IMAGES = VULKAN_PAINTER_IMAGES, COLOUR_BYTES = CARD_PIXELS * sizeof(float[4]) };

/* ---- Life --------------------------------------------------------------------------------- */

static VkPipelineShaderStageCreateInfo create_stage(
	VkDevice device, VkShaderStageFlagBits stage, const uint32_t *code, size_t bytes) {
	const VkShaderModuleCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
		.codeSize = bytes,
		.pCode = code,
	};
	VkPipelineShaderStageCreateInfo created = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
		.stage = stage,
		.pName = "main",
	};
	CALL(vkCreateShaderModule(device, &info, NULL, &created.module));
	return created;
}

static void create_inputs(struct vulkan_painter *self) {
	const VkDescriptorSetLayoutBinding colours = {
		.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
		.descriptorCount = 1,
		.stageFlags = VK_SHADER_STAGE_FRAGMENT_BIT | VK_SHADER_STAGE_COMPUTE_BIT,
	};
	const VkDescriptorSetLayoutBinding image = {
		.binding = 1,
		.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_IMAGE,
		.descriptorCount = 1,
		.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
	};
	vulkan_inputs_init(
		&self->inputs, self->drawer->device, &image, &colours, IMAGES, COLOUR_BYTES);
}

void vulkan_painter_init(struct vulkan_painter *painter, struct vulkan_drawer *drawer) {
	*painter = (struct vulkan_painter){
		.drawer = drawer,
		.drawing[1] = create_stage(drawer->device, VK_SHADER_STAGE_FRAGMENT_BIT, paint_frag,
			sizeof(paint_frag)),
		.computing = create_stage(drawer->device, VK_SHADER_STAGE_COMPUTE_BIT, paint_comp,
			sizeof(paint_comp)),
	};
	require(vulkan_create_fullscreen_stage(drawer, &painter->drawing[0]) == 0);
	create_inputs(painter);
}

void vulkan_painter_finish(struct vulkan_painter *painter) {
	VkDevice device = painter->drawer->device;
	vulkan_inputs_finish(&painter->inputs);
	vkDestroyShaderModule(device, painter->drawing[0].module, NULL);
	vkDestroyShaderModule(device, painter->drawing[1].module, NULL);
	vkDestroyShaderModule(device, painter->computing.module, NULL);
}

/* ---- Pipelines ---------------------------------------------------------------------------- */

static VkPipeline create_compute_pipeline(const struct vulkan_painter *self) {
	const VkComputePipelineCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
		.stage = self->computing,
		.layout = self->inputs.layout,
	};
	VkPipeline pipeline;
	CALL(vkCreateComputePipelines(
		self->drawer->device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline));
	return pipeline;
}

static VkPipeline create_drawing_pipeline(
	const struct vulkan_painter *self, const struct vulkan_canvas *canvas) {
	VkFormat format = stile_vulkan_image_get_format(canvas->image);
	const VkPipelineRenderingCreateInfo rendering = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_RENDERING_CREATE_INFO,
		.colorAttachmentCount = 1,
		.pColorAttachmentFormats = &format,
	};
	const VkPipelineVertexInputStateCreateInfo vertices = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO,
	};
	const VkPipelineInputAssemblyStateCreateInfo assembly = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO,
		.topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_LIST,
	};
	const VkRect2D all = { .extent = canvas->extent };
	const VkViewport viewport = {
		.width = (float)all.extent.width,
		.height = (float)all.extent.height,
		.maxDepth = 1,
	};
	const VkPipelineViewportStateCreateInfo viewports = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO,
		.viewportCount = 1,
		.pViewports = &viewport,
		.scissorCount = 1,
		.pScissors = &all,
	};
	const VkPipelineRasterizationStateCreateInfo raster = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_RASTERIZATION_STATE_CREATE_INFO,
		.lineWidth = 1,
	};
	const VkPipelineMultisampleStateCreateInfo samples = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO,
		.rasterizationSamples = VK_SAMPLE_COUNT_1_BIT,
	};
	const VkPipelineColorBlendAttachmentState attachment = { .colorWriteMask = 0xf };
	const VkPipelineColorBlendStateCreateInfo blend = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO,
		.attachmentCount = 1,
		.pAttachments = &attachment,
	};
	const VkGraphicsPipelineCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO,
		.pNext = &rendering,
		.stageCount = 2,
		.pStages = self->drawing,
		.pVertexInputState = &vertices,
		.pInputAssemblyState = &assembly,
		.pViewportState = &viewports,
		.pRasterizationState = &raster,
		.pMultisampleState = &samples,
		.pColorBlendState = &blend,
		.layout = self->inputs.layout,
	};
	VkPipeline pipeline;
	CALL(vkCreateGraphicsPipelines(
		self->drawer->device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline));
	return pipeline;
}

/* ---- Painting ----------------------------------------------------------------------------- */

static VkImageView create_view(VkDevice device, const struct stile_vulkan_image *image) {
	const VkImageViewCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
		.image = stile_vulkan_image_get_handle(image),
		.viewType = VK_IMAGE_VIEW_TYPE_2D,
		.format = stile_vulkan_image_get_format(image),
		.subresourceRange = {
			.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT,
			.levelCount = 1,
			.layerCount = 1,
		},
	};
	VkImageView view;
	CALL(vkCreateImageView(device, &info, NULL, &view));
	return view;
}

static void bind(const struct vulkan_painter *self, uint32_t nth, VkPipelineBindPoint point) {
	VkCommandBuffer commands = self->drawer->commands;
	vkCmdBindPipeline(commands, point, self->pipelines[nth]);
	vkCmdBindDescriptorSets(
		commands, point, self->inputs.layout, 0, 1, &self->inputs.sets[nth], 0, NULL);
}

static void record_dispatch(struct vulkan_painter *self, uint32_t nth, VkExtent2D extent) {
	vulkan_inputs_set_images(&self->inputs, nth, &self->views[nth], VK_IMAGE_LAYOUT_GENERAL);
	bind(self, nth, VK_PIPELINE_BIND_POINT_COMPUTE);
	vkCmdDispatch(self->drawer->commands, extent.width, extent.height, 1);
}

static void record_pass(const struct vulkan_painter *self, uint32_t nth, VkExtent2D extent) {
	const VkRenderingAttachmentInfo attachment = {
		.sType = VK_STRUCTURE_TYPE_RENDERING_ATTACHMENT_INFO,
		.imageView = self->views[nth],
		.imageLayout = VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL,
		.loadOp = VK_ATTACHMENT_LOAD_OP_DONT_CARE,
		.storeOp = VK_ATTACHMENT_STORE_OP_STORE,
	};
	const VkRenderingInfo rendering = {
		.sType = VK_STRUCTURE_TYPE_RENDERING_INFO,
		.renderArea = { .extent = extent },
		.layerCount = 1,
		.colorAttachmentCount = 1,
		.pColorAttachments = &attachment,
	};
	VkCommandBuffer commands = self->drawer->commands;
	vkCmdBeginRendering(commands, &rendering);
	bind(self, nth, VK_PIPELINE_BIND_POINT_GRAPHICS);
	vkCmdDraw(commands, 3, 1, 0, 0);
	vkCmdEndRendering(commands);
}

/* From its owner's hands, and back into them. */
static void record(struct vulkan_painter *self, uint32_t nth, const struct vulkan_canvas *canvas,
	bool computes) {
	VkCommandBuffer commands = self->drawer->commands;
	VkImageLayout layout =
		computes ? VK_IMAGE_LAYOUT_GENERAL : VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL;
	VkAccessFlags access =
		computes ? VK_ACCESS_SHADER_WRITE_BIT : VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT;
	VkImageMemoryBarrier acquire = stile_vulkan_acquire(canvas->image, layout, access);
	VkImageMemoryBarrier release = stile_vulkan_release(canvas->image, layout, access);
	self->views[nth] = create_view(self->drawer->device, canvas->image);
	self->pipelines[nth] =
		computes ? create_compute_pipeline(self) : create_drawing_pipeline(self, canvas);
	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
		VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 1, &acquire);
	if (computes) {
		record_dispatch(self, nth, canvas->extent);
	} else {
		record_pass(self, nth, canvas->extent);
	}
	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
		VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, NULL, 0, NULL, 1, &release);
}

void vulkan_painter_submit(struct vulkan_painter *painter, VkImageUsageFlags usage,
	const struct vulkan_canvas *canvases, uint32_t count) {
	bool computes = (usage & VK_IMAGE_USAGE_STORAGE_BIT) != 0;
	VkCommandBuffer commands = painter->drawer->commands;
	const VkCommandBufferBeginInfo begin = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
		.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
	};
	const VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands,
	};
	CALL(vkBeginCommandBuffer(commands, &begin));
	for (uint32_t i = 0; i < count; i++) {
		memcpy((uint8_t *)painter->inputs.address + (size_t)i * COLOUR_BYTES,
			canvases[i].colours, COLOUR_BYTES);
		record(painter, i, &canvases[i], computes);
	}
	CALL(vkEndCommandBuffer(commands));
	CALL(vkQueueSubmit(painter->drawer->queue, 1, &submit, VK_NULL_HANDLE));
}

void vulkan_painter_end(struct vulkan_painter *painter) {
	VkDevice device = painter->drawer->device;
	CALL(vkQueueWaitIdle(painter->drawer->queue));
	for (int i = 0; i < IMAGES; i++) {
		vkDestroyPipeline(device, painter->pipelines[i], NULL);
		vkDestroyImageView(device, painter->views[i], NULL);
		painter->pipelines[i] = VK_NULL_HANDLE;
		painter->views[i] = VK_NULL_HANDLE;
	}
}
