/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_HOP_H
#define DEMOS_HOP_H

#include <stile/stile.h>

#include "demos/picture.h"
#include "demos/transform.h"

/** What was seen when the picture was handed over; of several fences, the last. */
struct hop {
	char fence[24];         /* its driver, as far as is known here; "": none was pending */
	struct stile_path path; /* how it crossed */
	/* Of memory of the kernel: was its work exported as a sync_file, and was the kernel told? */
	struct stile_path exported;
	struct stile_path told;
	int64_t duration_ns; /* until the work behind it was submitted, or done by the CPU */
};

struct gles_drawer;
struct gles_screen;
struct vulkan_drawer;

/*
 * The hops. Each comes after all that uses its images already, and whoever uses them next comes
 * after it: who that is no hop knows of another. 0 or -errno; after a failure it is as if nothing had begun.
 */

/** Have swgpu copy a picture, which stays as it is until then, into an image. Does not wait. */
int hop_upload(struct hop *hop, struct stile_device *swgpu, const struct picture *picture,
	struct stile_image *to);

/** Have Vulkan or GLES draw an image into another one; they know both. Does not wait. */
int hop_vulkan(struct hop *hop, struct vulkan_drawer *vulkan, const struct transform *transform,
	struct stile_image *from, struct stile_image *to);
int hop_gles(struct hop *hop, struct gles_drawer *gles, const struct transform *transform,
	struct stile_image *from, struct stile_image *to);

/**
 * Have GLES draw a frame from an image, of which it has textures bound, to the screen. `done`: a new reference on the
 * fence of that. Does not wait, but as stile_egl_wait_fence() does.
 */
int hop_show(struct hop *hop, struct gles_drawer *gles, const struct gles_screen *screen,
	unsigned frame, struct stile_image *from, struct stile_fence **done);

/** Wait until an image is drawn, and read it into `to`, of its extent. -EIO if that drawing failed. */
int hop_read(struct hop *hop, struct stile_image *from, struct picture *to);

/** How it crossed, in words. */
const char *hop_path_text(const struct hop *hop);

#endif
