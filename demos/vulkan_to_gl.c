/* SPDX-License-Identifier: MIT */
/*
 * stile-vulkan-to-gl [--output DIR] [--help]
 *
 * Vulkan draws, GLES samples what it drew, frame by frame, in three images of shared memory by turns. Each
 * is held up by fences alone: while GLES is at a frame, Vulkan is at the next one. What an API says of its use of an
 * image, before and after, is in hop.c.
 * Exit status: 0 all frames went through, 1 something failed, 2 wrong input. It writes vulkan_to_gl.png.
 */
#include "demos/hop.h"
#include "demos/ring.h"

static int draw_frame(struct ring *ring, unsigned n) {
	struct stile_image *image = ring->images[n % RING_IMAGES];
	struct transform transform = frames_transform(n);
	struct hop drawn = { .fence = "" }, sampled = { .fence = "" };
	/* Importing is cheap but for the first time. */
	int ret = vulkan_drawer_set_images(&ring->vulkan, ring->card, image);
	if (ret == 0) {
		ret = gles_drawer_set_images(&ring->gles, image, ring->seen[n]);
	}
	/* Comes after GLES's sampling of three frames ago, and does not wait for it here. */
	if (ret == 0) {
		ret = hop_vulkan(&drawn, &ring->vulkan, &transform, ring->card, image);
	}
	if (ret == 0) {
		ret = hop_gles(&sampled, &ring->gles, &transform_gles, image, ring->seen[n]);
	}
	frames_count_path(&ring->back, &drawn.path);
	frames_count_path(&ring->there, &sampled.path);
	return ret;
}

int main(int argc, char **argv) {
	static const struct ring_way way = { "Vulkan", "GLES", "vulkan_to_gl.png", draw_frame };
	return ring_main(argc, argv, &way);
}
