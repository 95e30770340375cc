/* SPDX-License-Identifier: MIT */
/* How each of them uses images: after whom, and what is said at the end. */
#include "demos/hop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <stile/swgpu.h>

#include "demos/gles_drawer.h"
#include "demos/gles_screen.h"
#include "demos/job.h"
#include "demos/vulkan_drawer.h"

/* What a hop does with one or two images, from begin() to end(). */
struct use {
	struct hop *hop;
	int64_t began;
	struct stile_access accesses[2];
	uint32_t count;
};

static int begin(struct use *use, struct stile_image *image, uint32_t usage, const char *who) {
	struct stile_access_info info = { .size = sizeof(info), .usage = usage, .name = who };
	struct stile_access *access = &use->accesses[use->count];
	int ret = stile_access_begin(image, &info, access);
	if (ret == 0 && access->count > 0) {
		snprintf(use->hop->fence, sizeof(use->hop->fence), "%s",
			stile_fence_get_driver_name(access->fences[access->count - 1]));
	}
	use->count += ret == 0;
	return ret;
}

/* With the fence of the work, which is consumed; if something failed, as if nothing had begun. */
static int end(struct use *use, int ret, struct stile_fence *done) {
	use->hop->duration_ns = job_now() - use->began;
	for (uint32_t i = 0; i < use->count; i++) {
		if (ret == 0) {
			ret = stile_access_end(&use->accesses[i], done);
			/* Of two the second one is written. */
			use->hop->told = use->accesses[i].path;
		} else {
			stile_access_cancel(&use->accesses[i]);
		}
	}
	stile_fence_unref(done);
	return ret;
}

int hop_upload(struct hop *hop, struct stile_device *swgpu, const struct picture *picture,
	struct stile_image *to) {
	struct use use = { .hop = hop, .began = job_now() };
	struct stile_fence *done = NULL;
	int ret = begin(&use, to, STILE_USAGE_WRITE, "swgpu");
	for (size_t i = 0; ret == 0 && i < use.accesses[0].count; i++) {
		ret = stile_swgpu_gate(swgpu, use.accesses[0].fences[i], NULL);
	}
	if (ret == 0) {
		ret = stile_swgpu_upload(
			swgpu, to, 0, picture->pixels, (size_t)picture->width * 4, &done);
	}
	return end(&use, ret, done);
}

/* The image that is read, and the one that is written. */
static int begin_drawing(
	struct use *use, struct stile_image *from, struct stile_image *to, const char *who) {
	use->began = job_now();
	int ret = begin(use, from, STILE_USAGE_READ, who);
	return ret < 0 ? ret : begin(use, to, STILE_USAGE_WRITE, who);
}

int hop_vulkan(struct hop *hop, struct vulkan_drawer *vulkan, const struct transform *transform,
	struct stile_image *from, struct stile_image *to) {
	struct use use = { .hop = hop };
	struct stile_fence *done = NULL;
	int ret = begin_drawing(&use, from, to, "Vulkan");
	hop->path.size = sizeof(hop->path);
	for (uint32_t i = 0; i < use.count; i++) {
		for (size_t j = 0; j < use.accesses[i].count && ret == 0; j++) {
			ret = vulkan_drawer_wait(vulkan, use.accesses[i].fences[j], &hop->path);
		}
	}
	if (ret == 0) {
		ret = vulkan_drawer_draw(vulkan, transform, &done);
	}
	hop->exported = vulkan->exported;
	return end(&use, ret, done);
}

/* Have GLES wait for all that the accesses wait for. */
static int wait_gles(struct use *use, struct gles_drawer *gles) {
	int ret = 0;
	use->hop->path.size = sizeof(use->hop->path);
	for (uint32_t i = 0; i < use->count; i++) {
		for (size_t j = 0; j < use->accesses[i].count && ret == 0; j++) {
			ret = stile_egl_wait_fence(gles->stile, use->accesses[i].fences[j],
				job_deadline(), &use->hop->path);
		}
	}
	return ret;
}

int hop_gles(struct hop *hop, struct gles_drawer *gles, const struct transform *transform,
	struct stile_image *from, struct stile_image *to) {
	struct use use = { .hop = hop };
	struct stile_fence *done = NULL;
	int ret = begin_drawing(&use, from, to, "GLES");
	if (ret == 0) {
		ret = wait_gles(&use, gles);
	}
	if (ret == 0) {
		ret = gles_drawer_draw(gles, transform, &done);
	}
	return end(&use, ret, done);
}

int hop_show(struct hop *hop, struct gles_drawer *gles, const struct gles_screen *screen,
	unsigned frame, struct stile_image *from, struct stile_fence **done) {
	struct use use = { .hop = hop, .began = job_now() };
	*done = NULL;
	int ret = begin(&use, from, STILE_USAGE_READ, "GLES");
	if (ret == 0) {
		ret = wait_gles(&use, gles);
	}
	if (ret == 0) {
		ret = stile_access_get_error(&use.accesses[0]);
	}
	if (ret == 0) {
		gles_screen_draw(screen, frame);
		ret = stile_egl_fence_create(gles->stile, done);
	}
	if (*done != NULL) {
		stile_fence_ref(*done);
	}
	return end(&use, ret, *done);
}

/* Row by row. */
static int copy_out(struct stile_image *image, struct picture *to) {
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	const struct stile_image_plane *plane = &stile_image_get_info(image)->planes[0];
	void *memory;
	int ret = stile_buffer_mmap(buffer, STILE_USAGE_READ, &memory);
	if (ret < 0) {
		return ret;
	}
	for (uint32_t y = 0; y < to->height; y++) {
		memcpy(picture_at(to, 0, y),
			(uint8_t *)memory + plane->offset + (size_t)y * plane->pitch,
			(size_t)to->width * 4);
	}
	stile_buffer_munmap(buffer, memory);
	return 0;
}

int hop_read(struct hop *hop, struct stile_image *from, struct picture *to) {
	struct use use = { .hop = hop, .began = job_now() };
	struct stile_access *read = &use.accesses[0];
	int ret = begin(&use, from, STILE_USAGE_READ, "CPU");
	if (ret == 0 && read->count > 0) {
		ret = stile_access_wait(read, job_deadline(), NULL);
		hop->path.kind = STILE_PATH_CPU_WAIT;
		hop->path.blocked_ns = job_now() - use.began;
	}
	if (ret == 0) {
		ret = stile_access_get_error(read);
	}
	if (ret < 0) {
		fprintf(stderr, "the drawing did not end well: %s\n", strerror(-ret));
		return end(&use, -EIO, NULL);
	}
	return end(&use, copy_out(from, to), NULL);
}

const char *hop_path_text(const struct hop *hop) {
	switch (hop->path.kind) {
	case STILE_PATH_HANDLE:
		return "handle passed on";
	case STILE_PATH_KERNEL:
		return "sync_file in a VkSemaphore";
	case STILE_PATH_BRIDGE:
		return "bridge to a VkSemaphore";
	case STILE_PATH_CPU_WAIT:
		return "CPU wait";
	case STILE_PATH_HELD:
	case STILE_PATH_NONE:
		break;
	}
	return hop->fence[0] == '\0' ? "nothing to wait for" : "was signalled already";
}
