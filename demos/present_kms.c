/* SPDX-License-Identifier: MIT */
/*
 * stile-present-kms [--output DIR] [--help]
 *
 * What a compositor without a GPU does: the software GPU draws into two images by turns, atomic commits show them. Each
 * commit comes after its drawing, each drawing after the commit that takes its image off the screen, and this program
 * waits for none of them but for the flip before. KMS cannot be given a fence of a program, so Stile holds the commit
 * back until that is done. What the screen shows in the end is written back.
 * Exit status: 0 all was shown, 1 something failed, 2 wrong input, or nothing to show it on. It writes present_kms.png.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <stile/drm.h>
#include <stile/drm_kms.h>
#include <stile/stile.h>

#include "demos/frames.h"
#include "demos/hop.h"
#include "demos/kms_screen.h"
#include "demos/options.h"

enum { BUFFERS = 2 };

struct buffer {
	struct stile_image *image;
	struct stile_drm_framebuffer *framebuffer;
	bool in_use; /* it is shown, or written back to */
	struct stile_access access;
};

struct presenter {
	struct kms_screen screen;
	struct stile_drm *drm;
	struct stile_drm_kms *kms;
	struct stile_device *memory; /* the driver's own, of which any KMS driver has some */
	struct stile_device *swgpu;
	struct picture frames[FRAME_COUNT];
	struct buffer buffers[BUFFERS];
	struct buffer seen;
	struct stile_fence *shown; /* of the last commit */
	struct stile_drm_held_commit *held;
	struct frames_paths paths;
};

static int refused(const char *what, const struct stile_report *why) {
	fprintf(stderr, "%s: %s\n", what, why->text);
	return why->error;
}

/* As KMS has it, blue is first, not red; both ways. */
static void swap_colours(struct picture *picture) {
	for (size_t i = 0; i < (size_t)picture->width * picture->height; i++) {
		uint8_t *pixel = picture->pixels + 4 * i, red = pixel[0];
		pixel[0] = pixel[2];
		pixel[2] = red;
		pixel[3] = 255;
	}
}

/* ---- What it needs -------------------------------------------------------------------------- */

static int open_devices(struct presenter *presenter) {
	struct stile_report why = { .size = sizeof(why) };
	struct stile_drm_info info = { .size = sizeof(info), .fd = presenter->screen.fd };
	if (stile_drm_create(&info, &why, &presenter->drm) < 0 ||
		stile_drm_kms_create(presenter->drm, &why, &presenter->kms) < 0 ||
		stile_drm_open_device(presenter->drm, NULL, &why, &presenter->memory) < 0) {
		return refused("the node", &why);
	}
	return stile_device_open("swgpu", NULL, &presenter->swgpu);
}

static int create_buffer(struct presenter *presenter, const char *name, struct buffer *buffer) {
	struct stile_report why = { .size = sizeof(why) };
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = FRAME_WIDTH,
		.height = FRAME_HEIGHT,
		.fourcc = DRM_FORMAT_XRGB8888, /* which all of KMS shows */
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.name = name,
	};
	int ret = stile_image_create(presenter->memory, &info, &buffer->image);
	if (ret == 0 &&
		stile_drm_framebuffer_create(
			presenter->kms, buffer->image, &why, &buffer->framebuffer) < 0) {
		ret = refused("a framebuffer", &why);
	}
	return ret;
}

static void finish_buffer(struct buffer *buffer) {
	if (buffer->in_use) {
		/* The screen is off. */
		stile_access_cancel(&buffer->access);
	}
	stile_drm_framebuffer_destroy(buffer->framebuffer);
	stile_image_unref(buffer->image);
}

static int init(struct presenter *presenter) {
	int ret = frames_create(presenter->frames);
	for (unsigned n = 0; n < FRAME_COUNT && ret == 0; n++) {
		swap_colours(&presenter->frames[n]);
	}
	if (ret == 0) {
		ret = kms_screen_open(&presenter->screen, FRAME_WIDTH, FRAME_HEIGHT);
	}
	if (ret == 0) {
		ret = open_devices(presenter);
	}
	for (int i = 0; i < BUFFERS && ret == 0; i++) {
		ret = create_buffer(presenter, "frame", &presenter->buffers[i]);
	}
	return ret < 0 ? ret : create_buffer(presenter, "seen", &presenter->seen);
}

static void finish(struct presenter *presenter) {
	stile_drm_held_commit_destroy(presenter->held);
	stile_fence_unref(presenter->shown);
	kms_screen_close(&presenter->screen);
	for (int i = 0; i < BUFFERS; i++) {
		finish_buffer(&presenter->buffers[i]);
	}
	finish_buffer(&presenter->seen);
	stile_device_destroy(presenter->swgpu);
	stile_device_destroy(presenter->memory);
	stile_drm_kms_destroy(presenter->kms);
	stile_drm_destroy(presenter->drm);
	frames_finish(presenter->frames);
}

/* ---- Frames --------------------------------------------------------------------------------- */

/* The last flip is over: the next one may come. */
static int await_flip(struct presenter *presenter) {
	int ret = 0;
	if (presenter->shown != NULL) {
		ret = stile_fence_wait(presenter->shown, INT64_MAX);
	}
	if (ret == 0 && presenter->shown != NULL && stile_fence_get_status(presenter->shown) < 0) {
		ret = stile_fence_get_status(presenter->shown);
	}
	stile_drm_held_commit_destroy(presenter->held);
	stile_fence_unref(presenter->shown);
	presenter->held = NULL;
	presenter->shown = NULL;
	return ret;
}

/* Show a buffer, whose access has begun; `written`: and have written back what is seen. */
static int commit(struct presenter *presenter, struct buffer *buffer, drmModeAtomicReq *request,
	struct stile_fence **written) {
	struct buffer *seen = &presenter->seen;
	struct stile_drm_commit_plane plane = { presenter->screen.plane, buffer->framebuffer,
		buffer->access.fences, buffer->access.count };
	struct stile_drm_commit_crtc crtc = { presenter->screen.crtc, &presenter->shown };
	struct stile_drm_commit_writeback writeback = { presenter->screen.connector,
		seen->framebuffer, seen->access.fences, seen->access.count, written };
	struct stile_drm_commit_info info = {
		.size = sizeof(info),
		.request = request,
		.flags = DRM_MODE_ATOMIC_NONBLOCK |
			(request != NULL ? DRM_MODE_ATOMIC_ALLOW_MODESET : 0),
		.planes = &plane,
		.plane_count = 1,
		.crtcs = &crtc,
		.crtc_count = 1,
		.writeback = written != NULL ? &writeback : NULL,
		.user_fences = STILE_USER_FENCES_HOLD,
	};
	struct stile_path path = { .size = sizeof(path) };
	struct stile_report why = { .size = sizeof(why) };
	if (stile_drm_commit(presenter->kms, &info, &path, &why, &presenter->held) < 0) {
		return refused("a commit", &why);
	}
	frames_count_path(&presenter->paths, &path);
	return 0;
}

static int begin(struct buffer *buffer, uint32_t usage) {
	struct stile_access_info info = { .size = sizeof(info), .usage = usage, .name = "KMS" };
	int ret = stile_access_begin(buffer->image, &info, &buffer->access);
	buffer->in_use = ret == 0;
	return ret;
}

static int end(struct buffer *buffer, struct stile_fence *fence) {
	int ret = stile_access_end(&buffer->access, fence);
	buffer->in_use = ret < 0;
	return ret;
}

static int show(struct presenter *presenter, unsigned n, struct stile_fence **written) {
	struct buffer *next = &presenter->buffers[n % BUFFERS];
	struct buffer *before = &presenter->buffers[(n + 1) % BUFFERS];
	drmModeAtomicReq *request = NULL;
	struct hop hop = { .fence = "" };
	/* Is drawn when it is off the screen. */
	int ret = hop_upload(&hop, presenter->swgpu, &presenter->frames[n], next->image);
	if (ret == 0) {
		ret = await_flip(presenter);
	}
	if (ret == 0 && n == 0) {
		request = kms_screen_request(&presenter->screen, FRAME_WIDTH, FRAME_HEIGHT);
		ret = request == NULL ? -ENOMEM : 0;
	}
	if (ret == 0) {
		ret = begin(next, STILE_USAGE_READ);
	}
	if (ret == 0) {
		ret = commit(presenter, next, request, written);
	}
	if (ret == 0 && n > 0) {
		/* May be drawn on, from then on. */
		ret = end(before, presenter->shown);
	}
	drmModeAtomicFree(request);
	return ret;
}

/* All frames; what is written back of the last one is in `seen`. */
static int run(struct presenter *presenter, struct picture *seen) {
	struct stile_fence *written = NULL;
	struct hop hop = { .fence = "" };
	int ret = 0;
	for (unsigned n = 0; n + 1 < FRAME_COUNT && ret == 0; n++) {
		ret = show(presenter, n, NULL);
	}
	if (ret == 0) {
		ret = begin(&presenter->seen, STILE_USAGE_WRITE);
	}
	if (ret == 0) {
		ret = show(presenter, FRAME_COUNT - 1, &written);
	}
	if (ret == 0) {
		ret = end(&presenter->seen, written);
	}
	if (ret == 0) {
		ret = hop_read(&hop, presenter->seen.image, seen);
	}
	if (ret == 0) {
		ret = await_flip(presenter);
	}
	stile_fence_unref(written);
	return ret;
}

int main(int argc, char **argv) {
	const char *output, *about = "Shows frames by KMS, and what the screen shows in the end.";
	int status = options_parse(argc, argv, about, &output);
	if (status >= 0) {
		return status;
	}
	struct presenter presenter = { .screen.fd = -1 };
	struct picture seen = { 0 };
	int ret = init(&presenter);
	status = ret == -ENODEV ? EXIT_INPUT : EXIT_WRONG;
	if (ret == 0) {
		ret = picture_create(FRAME_WIDTH, FRAME_HEIGHT, &seen);
	}
	if (ret == 0) {
		ret = run(&presenter, &seen);
	}
	if (ret == 0) {
		frames_print_paths("swgpu to KMS", &presenter.paths);
		swap_colours(&seen);
		status = options_save(output, "present_kms.png", &seen);
	} else if (status == EXIT_WRONG) {
		fprintf(stderr, "stile-present-kms: %s\n", strerror(-ret));
	}
	finish(&presenter);
	picture_finish(&seen);
	return status;
}
