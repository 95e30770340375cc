/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_RING_H
#define DEMOS_RING_H

#include "demos/frames.h"
#include "demos/gles_drawer.h"
#include "demos/vulkan_drawer.h"

enum { RING_IMAGES = 3 };

/**
 * Frames on their way from one API to another: one draws the card into the images of the ring by turns, the other one
 * draws from there what is seen of each. With three images the first is not held up while the second one works.
 */
struct ring {
	struct stile_device *device; /* swgpu */
	struct vulkan_drawer vulkan;
	struct gles_drawer gles;
	struct picture picture;
	struct stile_image *card;
	struct stile_image *images[RING_IMAGES];
	struct stile_image *seen[FRAME_COUNT];
	struct frames_paths there; /* how the first one's fences came to the second */
	struct frames_paths back;  /* and the other way round, when an image's turn comes again */
};

/** A way that they go. */
struct ring_way {
	const char *from;
	const char *to;
	const char *png;
	/** Have a frame drawn by both; 0 or -errno. */
	int (*draw)(struct ring *ring, unsigned frame);
};

/** The whole program: options, all frames, the sheet of what was seen of them. Gives the exit status. */
int ring_main(int argc, char **argv, const struct ring_way *way);

#endif
