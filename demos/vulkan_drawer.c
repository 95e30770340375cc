/* SPDX-License-Identifier: MIT */
#include "demos/vulkan_drawer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TRY(call) \
	do { \
		VkResult result_ = (call); \
		if (result_ != VK_SUCCESS) { \
			fprintf(stderr, "Vulkan: %s gave %d\n", #call, result_); \
			return -EIO; \
		} \
	} while (0)

int vulkan_drawer_init(struct vulkan_drawer *drawer, bool validate) {
	memset(drawer, 0, sizeof(*drawer));
	int ret = vulkan_setup_device(drawer, validate);
	return ret < 0 ? ret : vulkan_setup_pipeline(drawer);
}

static void target_finish(struct vulkan_drawer *drawer, struct vulkan_target *target) {
	vkDestroyImageView(drawer->device, target->view, NULL);
	stile_vulkan_image_destroy(target->image);
	*target = (struct vulkan_target){ 0 };
}

void vulkan_drawer_drop_images(struct vulkan_drawer *drawer) {
	vkDeviceWaitIdle(drawer->device);
	target_finish(drawer, &drawer->from);
	target_finish(drawer, &drawer->to);
}

void vulkan_drawer_finish(struct vulkan_drawer *drawer) {
	if (drawer->device != VK_NULL_HANDLE) {
		vulkan_drawer_drop_images(drawer);
	}
	vulkan_setup_finish(drawer);
}

static int target_init(struct vulkan_drawer *drawer, struct vulkan_target *target,
	struct stile_image *image, VkImageUsageFlags usage) {
	target_finish(drawer, target);
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_vulkan_import_image(drawer->stile, image,
		usage | VK_IMAGE_USAGE_TRANSFER_SRC_BIT, &why, &target->image);
	if (ret < 0) {
		fprintf(stderr, "import into Vulkan: %s\n", why.text);
		return ret;
	}
	VkImageViewCreateInfo view = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
		.image = stile_vulkan_image_get_handle(target->image),
		.viewType = VK_IMAGE_VIEW_TYPE_2D,
		.format = stile_vulkan_image_get_format(target->image),
		.subresourceRange = {
			.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT,
			.levelCount = 1,
			.layerCount = 1,
		},
	};
	TRY(vkCreateImageView(drawer->device, &view, NULL, &target->view));
	return 0;
}

int vulkan_drawer_set_images(
	struct vulkan_drawer *drawer, struct stile_image *from, struct stile_image *to) {
	vkDeviceWaitIdle(drawer->device);
	int ret = target_init(drawer, &drawer->from, from, VK_IMAGE_USAGE_SAMPLED_BIT);
	if (ret == 0) {
		ret = target_init(drawer, &drawer->to, to, VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT);
	}
	if (ret < 0) {
		return ret;
	}
	const struct stile_image_info *info = stile_image_get_info(to);
	drawer->extent = (VkExtent2D){ info->width, info->height };

	VkDescriptorImageInfo image = {
		.imageView = drawer->from.view,
		.imageLayout = VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL,
	};
	VkWriteDescriptorSet write = {
		.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
		.dstSet = drawer->set,
		.descriptorCount = 1,
		.descriptorType = VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
		.pImageInfo = &image,
	};
	vkUpdateDescriptorSets(drawer->device, 1, &write, 0, NULL);
	return 0;
}

/* The pass itself, between the barriers. */
static void record_pass(struct vulkan_drawer *drawer, const struct transform *transform) {
	VkCommandBuffer commands = drawer->commands;
	VkRenderingAttachmentInfo attachment = {
		.sType = VK_STRUCTURE_TYPE_RENDERING_ATTACHMENT_INFO,
		.imageView = drawer->to.view,
		.imageLayout = VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL,
		.loadOp = VK_ATTACHMENT_LOAD_OP_DONT_CARE,
		.storeOp = VK_ATTACHMENT_STORE_OP_STORE,
	};
	VkRenderingInfo rendering = {
		.sType = VK_STRUCTURE_TYPE_RENDERING_INFO,
		.renderArea = { .extent = drawer->extent },
		.layerCount = 1,
		.colorAttachmentCount = 1,
		.pColorAttachments = &attachment,
	};
	VkViewport viewport = {
		.width = (float)drawer->extent.width,
		.height = (float)drawer->extent.height,
		.maxDepth = 1,
	};
	VkRect2D scissor = { .extent = drawer->extent };
	vkCmdBeginRendering(commands, &rendering);
	vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, drawer->pipeline);
	vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, drawer->layout, 0, 1,
		&drawer->set, 0, NULL);
	vkCmdPushConstants(commands, drawer->layout, VK_SHADER_STAGE_FRAGMENT_BIT, 0,
		sizeof(*transform), transform);
	vkCmdSetViewport(commands, 0, 1, &viewport);
	vkCmdSetScissor(commands, 0, 1, &scissor);
	vkCmdDraw(commands, 3, 1, 0, 0);
	vkCmdEndRendering(commands);
}

static int record(struct vulkan_drawer *drawer, const struct transform *transform) {
	VkCommandBuffer commands = drawer->commands;
	VkCommandBufferBeginInfo begin = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
		.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
	};
	/* Stile's two barriers an image: taken over from whoever had it, and given back. */
	VkImageMemoryBarrier acquire[] = {
		stile_vulkan_acquire(drawer->from.image, VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL,
			VK_ACCESS_SHADER_READ_BIT),
		stile_vulkan_acquire(drawer->to.image, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL,
			VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT),
	};
	VkImageMemoryBarrier release[] = {
		stile_vulkan_release(drawer->from.image, VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL,
			VK_ACCESS_SHADER_READ_BIT),
		stile_vulkan_release(drawer->to.image, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL,
			VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT),
	};
	VkPipelineStageFlags used = VK_PIPELINE_STAGE_FRAGMENT_SHADER_BIT |
		VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT;
	TRY(vkBeginCommandBuffer(commands, &begin));
	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, used, 0, 0, NULL, 0,
		NULL, 2, acquire);
	record_pass(drawer, transform);
	vkCmdPipelineBarrier(commands, used, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, NULL, 0,
		NULL, 2, release);
	TRY(vkEndCommandBuffer(commands));
	return 0;
}

int vulkan_drawer_wait(
	struct vulkan_drawer *drawer, struct stile_fence *fence, struct stile_path *path) {
	struct stile_vulkan_wait wait = {
		.size = sizeof(wait),
		/* Its last turn is some drawings ago, each of which the CPU has waited for. */
		.binary = drawer->waits[drawer->wait_count++ % VULKAN_DRAWER_WAITS],
	};
	int ret = stile_vulkan_wait_fence(drawer->stile, fence, path, &wait);
	if (ret < 0 || wait.semaphore == VK_NULL_HANDLE) {
		return ret;
	}
	VkPipelineStageFlags stages = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	/* Of a binary semaphore the value is not looked at. */
	VkTimelineSemaphoreSubmitInfo timeline = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = 1,
		.pWaitSemaphoreValues = &wait.value,
	};
	/* A wait holds up whatever is submitted later, too. */
	VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &timeline,
		.waitSemaphoreCount = 1,
		.pWaitSemaphores = &wait.semaphore,
		.pWaitDstStageMask = &stages,
	};
	TRY(vkQueueSubmit(drawer->queue, 1, &submit, VK_NULL_HANDLE));
	return 0;
}

int vulkan_drawer_draw(struct vulkan_drawer *drawer, const struct transform *transform,
	struct stile_fence **done) {
	*done = NULL;
	int ret = record(drawer, transform);
	if (ret < 0) {
		return ret;
	}
	VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &drawer->commands,
	};
	TRY(vkQueueSubmit(drawer->queue, 1, &submit, VK_NULL_HANDLE));
	if (drawer->kernel == NULL) {
		return stile_vulkan_fence_create(drawer->stile, done);
	}
	drawer->exported.size = sizeof(drawer->exported);
	return stile_vulkan_fence_create_sync_file(
		drawer->stile, drawer->kernel, STILE_USER_FENCES_WAIT, &drawer->exported, done);
}

/* ---- A look at one pixel ------------------------------------------------------------------ */

static int record_read(
	struct vulkan_drawer *drawer, const struct vulkan_target *target, VkBuffer buffer) {
	VkCommandBufferBeginInfo begin = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };
	VkImageMemoryBarrier acquire = stile_vulkan_acquire(
		target->image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, VK_ACCESS_TRANSFER_READ_BIT);
	VkImageMemoryBarrier release = stile_vulkan_release(
		target->image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, VK_ACCESS_TRANSFER_READ_BIT);
	VkBufferImageCopy copy = {
		.imageSubresource = { .aspectMask = VK_IMAGE_ASPECT_COLOR_BIT, .layerCount = 1 },
		.imageExtent = { 1, 1, 1 },
	};
	TRY(vkBeginCommandBuffer(drawer->commands, &begin));
	vkCmdPipelineBarrier(drawer->commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT,
		VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, NULL, 0, NULL, 1, &acquire);
	vkCmdCopyImageToBuffer(drawer->commands, stile_vulkan_image_get_handle(target->image),
		VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, buffer, 1, &copy);
	vkCmdPipelineBarrier(drawer->commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
		VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, NULL, 0, NULL, 1, &release);
	TRY(vkEndCommandBuffer(drawer->commands));
	VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &drawer->commands,
	};
	TRY(vkQueueSubmit(drawer->queue, 1, &submit, VK_NULL_HANDLE));
	TRY(vkQueueWaitIdle(drawer->queue));
	return 0;
}

int vulkan_drawer_read_pixel(
	struct vulkan_drawer *drawer, const struct vulkan_target *target, uint8_t rgba[4]) {
	VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = 4,
		.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
	};
	VkBuffer buffer;
	TRY(vkCreateBuffer(drawer->device, &info, NULL, &buffer));
	VkMemoryRequirements needs;
	vkGetBufferMemoryRequirements(drawer->device, buffer, &needs);
	/* A driver that draws on the CPU has one type of memory, which the CPU can map. */
	VkMemoryAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.allocationSize = needs.size,
	};
	VkDeviceMemory memory;
	VkResult result = vkAllocateMemory(drawer->device, &allocate, NULL, &memory);
	if (result == VK_SUCCESS) {
		vkBindBufferMemory(drawer->device, buffer, memory, 0);
		result = record_read(drawer, target, buffer) < 0 ? VK_ERROR_UNKNOWN : VK_SUCCESS;
		void *bytes;
		if (result == VK_SUCCESS &&
			(result = vkMapMemory(drawer->device, memory, 0, 4, 0, &bytes)) ==
				VK_SUCCESS) {
			memcpy(rgba, bytes, 4);
		}
		vkFreeMemory(drawer->device, memory, NULL);
	}
	vkDestroyBuffer(drawer->device, buffer, NULL);
	TRY(result);
	return 0;
}
