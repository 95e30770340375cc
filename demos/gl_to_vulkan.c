/* SPDX-License-Identifier: MIT */
/*
 * stile-gl-to-vulkan [--output DIR] [--help]
 *
 * GLES draws, Vulkan samples what it drew, frame by frame, in three images of shared memory by turns. Each
 * is held up by fences alone: while Vulkan is at a frame, GLES is at the next one. What an API says of its use of an
 * image, before and after, is in hop.c.
 * Exit status: 0 all frames went through, 1 something failed, 2 wrong input. It writes gl_to_vulkan.png.
 */
#include "demos/hop.h"
#include "demos/ring.h"

static int draw_frame(struct ring *ring, unsigned n) {
	struct stile_image *image = ring->images[n % RING_IMAGES];
	struct transform transform = frames_transform(n);
	struct hop drawn = { .fence = "" }, sampled = { .fence = "" };
	/* Importing is cheap but for the first time. */
	int ret = gles_drawer_set_images(&ring->gles, ring->card, image);
	/* Comes after Vulkan's sampling of three frames ago. */
	if (ret == 0) {
		ret = hop_gles(&drawn, &ring->gles, &transform, ring->card, image);
	}
	/* Waits for Vulkan's own last frame, whose command buffer is needed again. */
	if (ret == 0) {
		ret = vulkan_drawer_set_images(&ring->vulkan, image, ring->seen[n]);
	}
	/* Does not wait for GLES's drawing: the device does. */
	if (ret == 0) {
		ret = hop_vulkan(&sampled, &ring->vulkan, &transform_vulkan, image, ring->seen[n]);
	}
	frames_count_path(&ring->back, &drawn.path);
	frames_count_path(&ring->there, &sampled.path);
	return ret;
}

int main(int argc, char **argv) {
	static const struct ring_way way = { "GLES", "Vulkan", "gl_to_vulkan.png", draw_frame };
	return ring_main(argc, argv, &way);
}
