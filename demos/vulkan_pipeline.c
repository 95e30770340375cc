/* SPDX-License-Identifier: MIT */
/* The pipeline that draws one image into another; nothing here knows of Stile. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "demos/vulkan_drawer.h"
#include "fullscreen.vert.h"
#include "transform.frag.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define TRY(call) \
	do { \
		VkResult result_ = (call); \
		if (result_ != VK_SUCCESS) { \
			fprintf(stderr, "Vulkan: %s gave %d\n", #call, result_); \
			return -EIO; \
		} \
	} while (0)

static int create_layouts(struct vulkan_drawer *drawer) {
	VkSamplerCreateInfo sampler = { .sType = VK_STRUCTURE_TYPE_SAMPLER_CREATE_INFO };
	TRY(vkCreateSampler(drawer->device, &sampler, NULL, &drawer->sampler));

	VkDescriptorSetLayoutBinding binding = {
		.descriptorType = VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
		.descriptorCount = 1,
		.stageFlags = VK_SHADER_STAGE_FRAGMENT_BIT,
		.pImmutableSamplers = &drawer->sampler,
	};
	VkDescriptorSetLayoutCreateInfo set_layout = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
		.bindingCount = 1,
		.pBindings = &binding,
	};
	TRY(vkCreateDescriptorSetLayout(drawer->device, &set_layout, NULL, &drawer->set_layout));

	VkDescriptorPoolSize pool_size = { VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, 1 };
	VkDescriptorPoolCreateInfo pool = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
		.maxSets = 1,
		.poolSizeCount = 1,
		.pPoolSizes = &pool_size,
	};
	TRY(vkCreateDescriptorPool(drawer->device, &pool, NULL, &drawer->set_pool));
	VkDescriptorSetAllocateInfo set = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
		.descriptorPool = drawer->set_pool,
		.descriptorSetCount = 1,
		.pSetLayouts = &drawer->set_layout,
	};
	TRY(vkAllocateDescriptorSets(drawer->device, &set, &drawer->set));

	VkPushConstantRange range = { VK_SHADER_STAGE_FRAGMENT_BIT, 0, sizeof(struct transform) };
	VkPipelineLayoutCreateInfo layout = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
		.setLayoutCount = 1,
		.pSetLayouts = &drawer->set_layout,
		.pushConstantRangeCount = 1,
		.pPushConstantRanges = &range,
	};
	TRY(vkCreatePipelineLayout(drawer->device, &layout, NULL, &drawer->layout));
	return 0;
}

static int create_shader(struct vulkan_drawer *drawer, VkShaderStageFlagBits stage,
	const uint32_t *code, size_t bytes, VkPipelineShaderStageCreateInfo *out) {
	VkShaderModuleCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
		.codeSize = bytes,
		.pCode = code,
	};
	*out = (VkPipelineShaderStageCreateInfo){
		.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
		.stage = stage,
		.pName = "main",
	};
	TRY(vkCreateShaderModule(drawer->device, &info, NULL, &out->module));
	return 0;
}

int vulkan_create_fullscreen_stage(
	struct vulkan_drawer *drawer, VkPipelineShaderStageCreateInfo *out) {
	return create_shader(
		drawer, VK_SHADER_STAGE_VERTEX_BIT, fullscreen_vert, sizeof(fullscreen_vert), out);
}

static VkResult create_pipeline(
	struct vulkan_drawer *drawer, const VkPipelineShaderStageCreateInfo stages[2]) {
	VkFormat format = VK_FORMAT_R8G8B8A8_UNORM;
	VkDynamicState dynamic[] = { VK_DYNAMIC_STATE_VIEWPORT, VK_DYNAMIC_STATE_SCISSOR };
	VkPipelineColorBlendAttachmentState blend = { .colorWriteMask = 0xf };
	VkGraphicsPipelineCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO,
		.pNext =
			&(VkPipelineRenderingCreateInfo){
				.sType = VK_STRUCTURE_TYPE_PIPELINE_RENDERING_CREATE_INFO,
				.colorAttachmentCount = 1,
				.pColorAttachmentFormats = &format,
			},
		.stageCount = 2,
		.pStages = stages,
		.pVertexInputState =
			&(VkPipelineVertexInputStateCreateInfo){
				.sType = VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO,
			},
		.pInputAssemblyState =
			&(VkPipelineInputAssemblyStateCreateInfo){
				.sType =
					VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO,
				.topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_LIST,
			},
		.pViewportState =
			&(VkPipelineViewportStateCreateInfo){
				.sType = VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO,
				.viewportCount = 1,
				.scissorCount = 1,
			},
		.pRasterizationState =
			&(VkPipelineRasterizationStateCreateInfo){
				.sType = VK_STRUCTURE_TYPE_PIPELINE_RASTERIZATION_STATE_CREATE_INFO,
				.lineWidth = 1,
			},
		.pMultisampleState =
			&(VkPipelineMultisampleStateCreateInfo){
				.sType = VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO,
				.rasterizationSamples = VK_SAMPLE_COUNT_1_BIT,
			},
		.pColorBlendState =
			&(VkPipelineColorBlendStateCreateInfo){
				.sType = VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO,
				.attachmentCount = 1,
				.pAttachments = &blend,
			},
		.pDynamicState =
			&(VkPipelineDynamicStateCreateInfo){
				.sType = VK_STRUCTURE_TYPE_PIPELINE_DYNAMIC_STATE_CREATE_INFO,
				.dynamicStateCount = LENGTH(dynamic),
				.pDynamicStates = dynamic,
			},
		.layout = drawer->layout,
	};
	return vkCreateGraphicsPipelines(
		drawer->device, VK_NULL_HANDLE, 1, &info, NULL, &drawer->pipeline);
}

int vulkan_setup_pipeline(struct vulkan_drawer *drawer) {
	int ret = create_layouts(drawer);
	if (ret < 0) {
		return ret;
	}
	VkPipelineShaderStageCreateInfo stages[2] = { 0 };
	ret = vulkan_create_fullscreen_stage(drawer, &stages[0]);
	if (ret == 0) {
		ret = create_shader(drawer, VK_SHADER_STAGE_FRAGMENT_BIT, transform_frag,
			sizeof(transform_frag), &stages[1]);
	}
	VkResult result = ret == 0 ? create_pipeline(drawer, stages) : VK_SUCCESS;
	vkDestroyShaderModule(drawer->device, stages[0].module, NULL);
	vkDestroyShaderModule(drawer->device, stages[1].module, NULL);
	if (ret < 0) {
		return ret;
	}
	TRY(result);

	VkCommandPoolCreateInfo pool = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
		.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
		.queueFamilyIndex = drawer->queue_family,
	};
	TRY(vkCreateCommandPool(drawer->device, &pool, NULL, &drawer->command_pool));
	VkCommandBufferAllocateInfo commands = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandPool = drawer->command_pool,
		.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
		.commandBufferCount = 1,
	};
	TRY(vkAllocateCommandBuffers(drawer->device, &commands, &drawer->commands));
	return 0;
}
