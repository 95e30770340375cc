/* SPDX-License-Identifier: MIT */
/*
 * What it costs to hand a frame from Vulkan to EGL: the images are imported already, the frame is
 * not drawn (a command buffer with nothing but Stile's barriers stands for the work), GL samples
 * one pixel. Against it the same frame copied by the CPU: read back from Vulkan, uploaded to GL.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stile/stile.h>

#include "demos/gles_drawer.h"
#include "demos/job.h"
#include "demos/vulkan_drawer.h"
#include "interop-tests/bench/bench.h"

enum { WARM_UP = 20, FRAMES = 400, COPIES = 30 };

static const struct {
	const char *name;
	uint32_t width, height;
} sizes[] = {
	{ "64x64", 64, 64 },
	{ "1920x1080", 1920, 1080 },
	{ "3840x2160", 3840, 2160 },
};

enum { SIZE_COUNT = 3 };

struct handoff {
	struct vulkan_drawer vulkan;
	struct gles_drawer gles;
	struct stile_device *device;
	struct stile_vulkan *stile_vulkan; /* as the drawers', but counted */
	struct stile_egl *stile_egl;

	struct stile_image *image;
	struct stile_vulkan_image *in_vulkan;
	struct stile_egl_image *in_egl;
	GLuint texture;
	uint32_t width, height;
	bool traced;

	/* For the copy. */
	VkBuffer buffer;
	VkDeviceMemory memory;
	void *bytes;
	VkFence fence;
	GLuint copy_texture;

	/* One pixel of GL output. */
	GLuint scratch;
	GLuint framebuffer;
};

/* ---- Both APIs ----------------------------------------------------------------------------- */

static const char *const extensions[] = {
	VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
	VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
	VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME,
};

static int create_adapters(struct handoff *handoff) {
	struct stile_vulkan_info vulkan = {
		.size = sizeof(vulkan),
		.get_instance_proc_addr = count_instance_proc,
		.instance = handoff->vulkan.instance,
		.physical_device = handoff->vulkan.physical_device,
		.device = handoff->vulkan.device,
		.extensions = extensions,
		.extension_count = 3,
		.queue = handoff->vulkan.queue,
		.queue_family = handoff->vulkan.queue_family,
	};
	struct stile_egl_info egl = {
		.size = sizeof(egl),
		.get_proc_address = count_egl_proc,
		.display = handoff->gles.display,
	};
	int ret = stile_vulkan_create(&vulkan, NULL, &handoff->stile_vulkan);
	return ret < 0 ? ret : stile_egl_create(&egl, NULL, &handoff->stile_egl);
}

static int handoff_init(struct handoff *handoff) {
	memset(handoff, 0, sizeof(*handoff));
	int ret = vulkan_drawer_init(&handoff->vulkan, false);
	if (ret == 0) {
		ret = gles_drawer_init(&handoff->gles);
	}
	if (ret == 0) {
		ret = stile_device_open("swgpu", NULL, &handoff->device);
	}
	if (ret == 0) {
		ret = create_adapters(handoff);
	}
	if (ret < 0) {
		return ret;
	}
	glGenRenderbuffers(1, &handoff->scratch);
	glBindRenderbuffer(GL_RENDERBUFFER, handoff->scratch);
	glRenderbufferStorage(GL_RENDERBUFFER, GL_RGBA8, 1, 1);
	glGenFramebuffers(1, &handoff->framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, handoff->framebuffer);
	glFramebufferRenderbuffer(
		GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, handoff->scratch);
	return 0;
}

static void handoff_finish(struct handoff *handoff) {
	stile_egl_destroy(handoff->stile_egl);
	stile_vulkan_destroy(handoff->stile_vulkan);
	gles_drawer_finish(&handoff->gles);
	vulkan_drawer_finish(&handoff->vulkan);
	stile_device_destroy(handoff->device);
}

/* ---- One size ------------------------------------------------------------------------------ */

static GLuint create_texture(void) {
	GLuint texture;
	glGenTextures(1, &texture);
	glBindTexture(GL_TEXTURE_2D, texture);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
	return texture;
}

static int import_images(struct handoff *handoff) {
	void (*target)(GLenum, EGLImage) =
		(void (*)(GLenum, EGLImage))eglGetProcAddress("glEGLImageTargetTexture2DOES");
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = handoff->width,
		.height = handoff->height,
		.fourcc = DRM_FORMAT_ABGR8888,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
	};
	int ret = stile_image_create(handoff->device, &info, &handoff->image);
	if (ret == 0) {
		ret = stile_vulkan_import_image(handoff->stile_vulkan, handoff->image,
			VK_IMAGE_USAGE_TRANSFER_SRC_BIT, NULL, &handoff->in_vulkan);
	}
	if (ret == 0) {
		ret = stile_egl_import_image(
			handoff->stile_egl, handoff->image, NULL, &handoff->in_egl);
	}
	if (ret == 0) {
		handoff->texture = create_texture();
		target(GL_TEXTURE_2D, stile_egl_image_get_handle(handoff->in_egl));
		handoff->copy_texture = create_texture();
		glTexStorage2D(GL_TEXTURE_2D, 1, GL_RGBA8, (GLsizei)handoff->width,
			(GLsizei)handoff->height);
	}
	return ret;
}

static int create_readback(struct handoff *handoff) {
	VkDevice device = handoff->vulkan.device;
	VkBufferCreateInfo buffer = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = (VkDeviceSize)handoff->width * handoff->height * 4,
		.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
	};
	VkFenceCreateInfo fence = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
	VkMemoryRequirements needs;
	if (vkCreateBuffer(device, &buffer, NULL, &handoff->buffer) != VK_SUCCESS ||
		vkCreateFence(device, &fence, NULL, &handoff->fence) != VK_SUCCESS) {
		return -ENOMEM;
	}
	vkGetBufferMemoryRequirements(device, handoff->buffer, &needs);
	VkMemoryAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.allocationSize = needs.size,
	};
	if (vkAllocateMemory(device, &allocate, NULL, &handoff->memory) != VK_SUCCESS ||
		vkBindBufferMemory(device, handoff->buffer, handoff->memory, 0) != VK_SUCCESS ||
		vkMapMemory(device, handoff->memory, 0, VK_WHOLE_SIZE, 0, &handoff->bytes) !=
			VK_SUCCESS) {
		return -ENOMEM;
	}
	return 0;
}

static void size_finish(struct handoff *handoff) {
	VkDevice device = handoff->vulkan.device;
	vkDeviceWaitIdle(device);
	glFinish();
	vkDestroyFence(device, handoff->fence, NULL);
	vkDestroyBuffer(device, handoff->buffer, NULL);
	vkFreeMemory(device, handoff->memory, NULL);
	glDeleteTextures(1, &handoff->texture);
	glDeleteTextures(1, &handoff->copy_texture);
	stile_egl_image_destroy(handoff->in_egl);
	stile_vulkan_image_destroy(handoff->in_vulkan);
	stile_image_unref(handoff->image);
}

static int size_init(struct handoff *handoff, uint32_t width, uint32_t height) {
	handoff->width = width;
	handoff->height = height;
	int ret = import_images(handoff);
	return ret < 0 ? ret : create_readback(handoff);
}

/* ---- Frames -------------------------------------------------------------------------------- */

/* The frame's commands: taken over, copied out if `copy`, given back. Recorded once a size. */
static void record(struct handoff *handoff, bool copy) {
	VkCommandBuffer commands = handoff->vulkan.commands;
	VkCommandBufferBeginInfo begin = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };
	VkImageMemoryBarrier acquire = stile_vulkan_acquire(handoff->in_vulkan,
		VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, VK_ACCESS_TRANSFER_READ_BIT);
	VkImageMemoryBarrier release = stile_vulkan_release(handoff->in_vulkan,
		VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, VK_ACCESS_TRANSFER_READ_BIT);
	VkBufferImageCopy region = {
		.imageSubresource = { .aspectMask = VK_IMAGE_ASPECT_COLOR_BIT, .layerCount = 1 },
		.imageExtent = { handoff->width, handoff->height, 1 },
	};
	vkBeginCommandBuffer(commands, &begin);
	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT,
		VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, NULL, 0, NULL, 1, &acquire);
	if (copy) {
		vkCmdCopyImageToBuffer(commands, stile_vulkan_image_get_handle(handoff->in_vulkan),
			VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, handoff->buffer, 1, &region);
	}
	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
		VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, NULL, 0, NULL, 1, &release);
	vkEndCommandBuffer(commands);
}

static void submit(struct handoff *handoff, VkFence fence) {
	VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &handoff->vulkan.commands,
	};
	vkQueueSubmit(handoff->vulkan.queue, 1, &info, fence);
}

static void sample_one_pixel(struct handoff *handoff, GLuint texture) {
	glBindFramebuffer(GL_FRAMEBUFFER, handoff->framebuffer);
	glViewport(0, 0, 1, 1);
	glUseProgram(handoff->gles.program);
	glBindTexture(GL_TEXTURE_2D, texture);
	glDrawArrays(GL_TRIANGLES, 0, 3);
}

/* ns for one frame handed over by Stile. What GL does with it is not part of the hand-over. */
static double frame_shared(struct handoff *handoff) {
	submit(handoff, VK_NULL_HANDLE);
	if (handoff->traced) {
		trace_begin();
	}
	int64_t began = bench_now();
	struct stile_fence *fence;
	if (stile_vulkan_fence_create(handoff->stile_vulkan, &fence) < 0 ||
		stile_egl_wait_fence(handoff->stile_egl, fence, INT64_MAX, NULL) < 0) {
		abort();
	}
	stile_fence_unref(fence);
	int64_t ended = bench_now();
	if (handoff->traced) {
		trace_end();
	}
	sample_one_pixel(handoff, handoff->texture);
	glFinish();
	return (double)(ended - began);
}

static double frame_copied(struct handoff *handoff) {
	VkDevice device = handoff->vulkan.device;
	int64_t began = bench_now();
	submit(handoff, handoff->fence);
	vkWaitForFences(device, 1, &handoff->fence, VK_TRUE, UINT64_MAX);
	vkResetFences(device, 1, &handoff->fence);
	glBindTexture(GL_TEXTURE_2D, handoff->copy_texture);
	glTexSubImage2D(GL_TEXTURE_2D, 0, 0, 0, (GLsizei)handoff->width, (GLsizei)handoff->height,
		GL_RGBA, GL_UNSIGNED_BYTE, handoff->bytes);
	int64_t ended = bench_now();
	sample_one_pixel(handoff, handoff->copy_texture);
	glFinish();
	return (double)(ended - began);
}

static double median_of(struct handoff *handoff, double (*frame)(struct handoff *), size_t n) {
	static double samples[FRAMES];
	for (size_t i = 0; i < n; i++) {
		samples[i] = frame(handoff);
	}
	return bench_median(samples, n);
}

/* ---- Rows ---------------------------------------------------------------------------------- */

struct result {
	double shared;
	double copied;
	double allocations;
	double objects;
};

static int measure(
	struct handoff *handoff, uint32_t width, uint32_t height, struct result *result) {
	int ret = size_init(handoff, width, height);
	if (ret == 0) {
		record(handoff, false);
		median_of(handoff, frame_shared, WARM_UP);
		uint64_t allocations = count_allocations(), objects = count_objects();
		result->shared = median_of(handoff, frame_shared, FRAMES);
		result->allocations = (double)(count_allocations() - allocations) / FRAMES;
		result->objects = (double)(count_objects() - objects) / FRAMES;
		record(handoff, true);
		median_of(handoff, frame_copied, 3);
		result->copied = median_of(handoff, frame_copied, COPIES);
	}
	size_finish(handoff);
	return ret;
}

static void report_time(size_t i, const struct result *result) {
	struct bench_row row = {
		.group = "handoff",
		.value = result->shared / 1e3,
		.unit = "us",
		.baseline_name = "copy through the CPU",
		.baseline = result->copied / 1e3,
		.ratio = result->copied / result->shared,
		.goal = i == SIZE_COUNT - 1 ? "baseline >= 50 x value" : "",
		.met = i != SIZE_COUNT - 1 || result->copied >= 50 * result->shared,
	};
	snprintf(row.name, sizeof(row.name), "vulkan to egl %s", sizes[i].name);
	bench_report(&row);
}

static void report_count(const char *name, double value, const char *goal, bool met) {
	struct bench_row row = {
		.group = "handoff",
		.value = value,
		.unit = "a frame",
		.baseline_name = "",
		.goal = goal,
		.met = met,
	};
	snprintf(row.name, sizeof(row.name), "%s", name);
	bench_report(&row);
}

static void report_all(const struct result results[SIZE_COUNT]) {
	for (size_t i = 0; i < SIZE_COUNT; i++) {
		report_time(i, &results[i]);
	}
	const struct result *small = &results[0], *large = &results[SIZE_COUNT - 1];
	struct bench_row size = {
		.group = "handoff",
		.name = "vulkan to egl, 4K against 64x64",
		.value = large->shared / 1e3,
		.unit = "us",
		.baseline_name = "the same at 64x64",
		.baseline = small->shared / 1e3,
		.ratio = large->shared / small->shared,
		.goal = "value <= 1.3 x baseline",
		.met = large->shared <= 1.3 * small->shared,
	};
	bench_report(&size);
	report_count("driver objects created", large->objects, "0", large->objects <= 0);
	/* Making the adapters allocated; if that was not seen, none would be. */
	report_count("allocations by Stile", large->allocations, "0",
		large->allocations <= 0 && count_allocations() > 0);
}

int bench_handoff(void) {
	/* First, since it starts another process and waits for whatever ends. */
	int64_t calls = trace_count("--handoff-traced");
	struct handoff handoff;
	struct result results[SIZE_COUNT];
	int ret = handoff_init(&handoff);
	for (size_t i = 0; i < SIZE_COUNT && ret == 0; i++) {
		ret = measure(&handoff, sizes[i].width, sizes[i].height, &results[i]);
	}
	handoff_finish(&handoff);
	if (ret < 0) {
		fprintf(stderr, "handoff: cannot be measured here: %s\n", strerror(-ret));
		return ret;
	}
	report_all(results);
	if (calls >= 0) {
		report_count("system calls, drivers' included", (double)calls / FRAMES, "", true);
	} else {
		fprintf(stderr, "handoff: system calls cannot be counted here: %s\n",
			strerror((int)-calls));
	}
	return 0;
}

int bench_handoff_traced(void) {
	struct handoff handoff;
	int ret = handoff_init(&handoff);
	if (ret == 0) {
		ret = size_init(&handoff, 64, 64);
	}
	if (ret == 0) {
		record(&handoff, false);
		median_of(&handoff, frame_shared, WARM_UP);
		handoff.traced = true;
		median_of(&handoff, frame_shared, FRAMES);
		size_finish(&handoff);
	}
	handoff_finish(&handoff);
	return ret;
}
