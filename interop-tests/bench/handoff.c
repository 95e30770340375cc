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

enum { WARM_UP = 100, FRAMES = 400, COPIES = 30 };

static const struct {
	const char *name;
	uint32_t width, height;
} sizes[] = {
	{ "64x64", 64, 64 },
	{ "1920x1080", 1920, 1080 },
	{ "3840x2160", 3840, 2160 },
};

enum { SIZE_COUNT = 3 };

/* A frame of one size, as each side has it. */
struct frame {
	uint32_t width, height;
	struct stile_image *image;
	struct stile_vulkan_image *in_vulkan;
	struct stile_egl_image *in_egl;
	GLuint texture;
	VkCommandBuffer hand_over;

	/* For the copy. */
	VkCommandBuffer read_back;
	VkBuffer buffer;
	VkDeviceMemory memory;
	void *bytes;
	GLuint copy_texture;
};

struct handoff {
	struct vulkan_drawer vulkan;
	struct gles_drawer gles;
	struct stile_device *device;
	struct stile_vulkan *stile_vulkan; /* as the drawers', but counted */
	struct stile_egl *stile_egl;

	struct frame frames[SIZE_COUNT];
	bool traced;
	VkFence fence; /* for the copy */

	/* One pixel of GL output. */
	GLuint scratch;
	GLuint framebuffer;
};

/* ---- Both APIs ----------------------------------------------------------------------------- */

static int create_adapters(struct handoff *handoff) {
	struct stile_vulkan_info vulkan = vulkan_drawer_describe(&handoff->vulkan);
	vulkan.get_instance_proc_addr = count_instance_proc;
	struct stile_egl_info egl = {
		.size = sizeof(egl),
		.get_proc_address = count_egl_proc,
		.display = handoff->gles.display,
	};
	int ret = stile_vulkan_create(&vulkan, NULL, &handoff->stile_vulkan);
	return ret < 0 ? ret : stile_egl_create(&egl, NULL, &handoff->stile_egl);
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

static int import_images(struct handoff *handoff, struct frame *frame) {
	void (*target)(GLenum, EGLImage) =
		(void (*)(GLenum, EGLImage))eglGetProcAddress("glEGLImageTargetTexture2DOES");
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = frame->width,
		.height = frame->height,
		.fourcc = DRM_FORMAT_ABGR8888,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
	};
	int ret = stile_image_create(handoff->device, &info, &frame->image);
	if (ret == 0) {
		ret = stile_vulkan_import_image(handoff->stile_vulkan, frame->image,
			VK_IMAGE_USAGE_TRANSFER_SRC_BIT, NULL, &frame->in_vulkan);
	}
	if (ret == 0) {
		ret = stile_egl_import_image(
			handoff->stile_egl, frame->image, NULL, &frame->in_egl);
	}
	if (ret == 0) {
		frame->texture = create_texture();
		target(GL_TEXTURE_2D, stile_egl_image_get_handle(frame->in_egl));
		frame->copy_texture = create_texture();
		glTexStorage2D(
			GL_TEXTURE_2D, 1, GL_RGBA8, (GLsizei)frame->width, (GLsizei)frame->height);
	}
	return ret;
}

static int create_readback(struct handoff *handoff, struct frame *frame) {
	VkDevice device = handoff->vulkan.device;
	VkBufferCreateInfo buffer = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = (VkDeviceSize)frame->width * frame->height * 4,
		.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
	};
	VkMemoryRequirements needs;
	if (vkCreateBuffer(device, &buffer, NULL, &frame->buffer) != VK_SUCCESS) {
		return -ENOMEM;
	}
	vkGetBufferMemoryRequirements(device, frame->buffer, &needs);
	VkMemoryAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.allocationSize = needs.size,
	};
	if (vkAllocateMemory(device, &allocate, NULL, &frame->memory) != VK_SUCCESS ||
		vkBindBufferMemory(device, frame->buffer, frame->memory, 0) != VK_SUCCESS ||
		vkMapMemory(device, frame->memory, 0, VK_WHOLE_SIZE, 0, &frame->bytes) !=
			VK_SUCCESS) {
		return -ENOMEM;
	}
	return 0;
}

/* The frame's commands, recorded once: taken over, copied out if `copy`, given back. */
static int record(struct handoff *handoff, struct frame *frame, bool copy, VkCommandBuffer *out) {
	VkCommandBufferAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandPool = handoff->vulkan.command_pool,
		.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
		.commandBufferCount = 1,
	};
	VkCommandBufferBeginInfo begin = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };
	VkImageMemoryBarrier acquire = stile_vulkan_acquire(frame->in_vulkan,
		VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, VK_ACCESS_TRANSFER_READ_BIT);
	VkImageMemoryBarrier release = stile_vulkan_release(frame->in_vulkan,
		VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, VK_ACCESS_TRANSFER_READ_BIT);
	VkBufferImageCopy region = {
		.imageSubresource = { .aspectMask = VK_IMAGE_ASPECT_COLOR_BIT, .layerCount = 1 },
		.imageExtent = { frame->width, frame->height, 1 },
	};
	VkCommandBuffer commands;
	if (vkAllocateCommandBuffers(handoff->vulkan.device, &allocate, &commands) != VK_SUCCESS) {
		return -ENOMEM;
	}
	vkBeginCommandBuffer(commands, &begin);
	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT,
		VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, NULL, 0, NULL, 1, &acquire);
	if (copy) {
		vkCmdCopyImageToBuffer(commands, stile_vulkan_image_get_handle(frame->in_vulkan),
			VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, frame->buffer, 1, &region);
	}
	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
		VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, NULL, 0, NULL, 1, &release);
	*out = commands;
	return vkEndCommandBuffer(commands) == VK_SUCCESS ? 0 : -ENOMEM;
}

static int frame_init(struct handoff *handoff, struct frame *frame) {
	int ret = import_images(handoff, frame);
	if (ret == 0) {
		ret = create_readback(handoff, frame);
	}
	if (ret == 0) {
		ret = record(handoff, frame, false, &frame->hand_over);
	}
	return ret < 0 ? ret : record(handoff, frame, true, &frame->read_back);
}

static void frame_finish(struct handoff *handoff, struct frame *frame) {
	VkDevice device = handoff->vulkan.device;
	vkDestroyBuffer(device, frame->buffer, NULL);
	vkFreeMemory(device, frame->memory, NULL);
	glDeleteTextures(1, &frame->texture);
	glDeleteTextures(1, &frame->copy_texture);
	stile_egl_image_destroy(frame->in_egl);
	stile_vulkan_image_destroy(frame->in_vulkan);
	stile_image_unref(frame->image);
}

/* ---- All of it ------------------------------------------------------------------------------ */

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

	VkFenceCreateInfo fence = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
	if (vkCreateFence(handoff->vulkan.device, &fence, NULL, &handoff->fence) != VK_SUCCESS) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < SIZE_COUNT && ret == 0; i++) {
		handoff->frames[i].width = sizes[i].width;
		handoff->frames[i].height = sizes[i].height;
		ret = frame_init(handoff, &handoff->frames[i]);
	}
	return ret;
}

static void handoff_finish(struct handoff *handoff) {
	if (handoff->stile_egl != NULL) {
		vkDeviceWaitIdle(handoff->vulkan.device);
		glFinish();
		for (size_t i = 0; i < SIZE_COUNT; i++) {
			frame_finish(handoff, &handoff->frames[i]);
		}
		vkDestroyFence(handoff->vulkan.device, handoff->fence, NULL);
	}
	stile_egl_destroy(handoff->stile_egl);
	stile_vulkan_destroy(handoff->stile_vulkan);
	gles_drawer_finish(&handoff->gles);
	vulkan_drawer_finish(&handoff->vulkan);
	stile_device_destroy(handoff->device);
}

/* ---- Frames -------------------------------------------------------------------------------- */

static void submit(struct handoff *handoff, VkCommandBuffer commands, VkFence fence) {
	VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands,
	};
	vkQueueSubmit(handoff->vulkan.queue, 1, &info, fence);
}

static void sample_one_pixel(struct handoff *handoff, GLuint texture) {
	glBindFramebuffer(GL_FRAMEBUFFER, handoff->framebuffer);
	glViewport(0, 0, 1, 1);
	glUseProgram(handoff->gles.program);
	glBindTexture(GL_TEXTURE_2D, texture);
	glDrawArrays(GL_TRIANGLES, 0, 3);
	glFinish();
}

/* ns for one frame handed over by Stile. What GL does with it is not part of the hand-over. */
static double hand_over(struct handoff *handoff, struct frame *frame) {
	submit(handoff, frame->hand_over, VK_NULL_HANDLE);
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
	sample_one_pixel(handoff, frame->texture);
	return (double)(ended - began);
}

/* ns for the same frame, copied. */
static double copy(struct handoff *handoff, struct frame *frame) {
	VkDevice device = handoff->vulkan.device;
	int64_t began = bench_now();
	submit(handoff, frame->read_back, handoff->fence);
	vkWaitForFences(device, 1, &handoff->fence, VK_TRUE, UINT64_MAX);
	vkResetFences(device, 1, &handoff->fence);
	glBindTexture(GL_TEXTURE_2D, frame->copy_texture);
	glTexSubImage2D(GL_TEXTURE_2D, 0, 0, 0, (GLsizei)frame->width, (GLsizei)frame->height,
		GL_RGBA, GL_UNSIGNED_BYTE, frame->bytes);
	int64_t ended = bench_now();
	sample_one_pixel(handoff, frame->copy_texture);
	return (double)(ended - began);
}

/*
 * The medians of n frames of each size. The sizes take turns, so that what else the machine does at a
 * time falls on all of them alike.
 */
static void measure(struct handoff *handoff, double (*one)(struct handoff *, struct frame *),
	size_t n, double medians[SIZE_COUNT]) {
	static double samples[SIZE_COUNT][FRAMES];
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < SIZE_COUNT; k++) {
			samples[k][i] = one(handoff, &handoff->frames[k]);
		}
	}
	for (size_t k = 0; k < SIZE_COUNT; k++) {
		medians[k] = bench_median(samples[k], n);
	}
}

/* ---- Rows ---------------------------------------------------------------------------------- */

struct result {
	double shared[SIZE_COUNT];
	double copied[SIZE_COUNT];
	double allocations; /* a frame */
	double objects;
};

static void measure_all(struct handoff *handoff, struct result *result) {
	measure(handoff, hand_over, WARM_UP, result->shared);
	uint64_t allocations = count_allocations(), objects = count_objects();
	measure(handoff, hand_over, FRAMES, result->shared);
	double frames = (double)FRAMES * SIZE_COUNT;
	result->allocations = (double)(count_allocations() - allocations) / frames;
	result->objects = (double)(count_objects() - objects) / frames;
	measure(handoff, copy, 3, result->copied);
	measure(handoff, copy, COPIES, result->copied);
}

static void report_time(size_t i, const struct result *result) {
	bool large = i == SIZE_COUNT - 1;
	struct bench_row row = {
		.group = "handoff",
		.value = result->shared[i] / 1e3,
		.unit = "us",
		.baseline_name = "copy through the CPU",
		.baseline = result->copied[i] / 1e3,
		.ratio = result->copied[i] / result->shared[i],
		.goal = large ? "baseline >= 50 x value" : "",
		.met = !large || result->copied[i] >= 50 * result->shared[i],
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

static void report_all(const struct result *result) {
	for (size_t i = 0; i < SIZE_COUNT; i++) {
		report_time(i, result);
	}
	double small = result->shared[0], large = result->shared[SIZE_COUNT - 1];
	struct bench_row size = {
		.group = "handoff",
		.name = "vulkan to egl, 4K against 64x64",
		.value = large / 1e3,
		.unit = "us",
		.baseline_name = "the same at 64x64",
		.baseline = small / 1e3,
		.ratio = large / small,
		.goal = "value <= 1.3 x baseline",
		.met = large <= 1.3 * small,
	};
	bench_report(&size);
	report_count("driver objects created", result->objects, "0", result->objects <= 0);
	/* Making the adapters allocated; if that was not seen, none would be. */
	report_count("allocations by Stile", result->allocations, "0",
		result->allocations <= 0 && count_allocations() > 0);
}

int bench_handoff(void) {
	/* First, since it starts another process and waits for whatever ends. */
	int64_t calls = trace_count("--handoff-traced");
	struct handoff handoff;
	struct result result;
	int ret = handoff_init(&handoff);
	if (ret == 0) {
		measure_all(&handoff, &result);
	}
	handoff_finish(&handoff);
	if (ret < 0) {
		fprintf(stderr, "handoff: cannot be measured here: %s\n", strerror(-ret));
		return ret;
	}
	report_all(&result);
	if (calls >= 0) {
		report_count("system calls, drivers' included",
			(double)calls / ((double)FRAMES * SIZE_COUNT), "", true);
	} else {
		fprintf(stderr, "handoff: system calls cannot be counted here: %s\n",
			strerror((int)-calls));
	}
	return 0;
}

int bench_handoff_traced(void) {
	struct handoff handoff;
	double medians[SIZE_COUNT];
	int ret = handoff_init(&handoff);
	if (ret == 0) {
		measure(&handoff, hand_over, WARM_UP, medians);
		handoff.traced = true;
		measure(&handoff, hand_over, FRAMES, medians);
	}
	handoff_finish(&handoff);
	return ret;
}
