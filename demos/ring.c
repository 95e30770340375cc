/* SPDX-License-Identifier: MIT */
#include "demos/ring.h"

#include <stdio.h>
#include <string.h>

#include <stile/stile.h>

#include "demos/hop.h"
#include "demos/options.h"

static int init_images(struct ring *ring) {
	const uint32_t usage = STILE_USAGE_READ | STILE_USAGE_WRITE;
	struct hop hop = { .fence = "" };
	int ret = picture_draw_test_card(FRAME_WIDTH, FRAME_HEIGHT, &ring->picture);
	if (ret == 0) {
		ret = stile_device_open("swgpu", NULL, &ring->device);
	}
	if (ret == 0) {
		ret = frames_create_image(ring->device, "card", usage, &ring->card);
	}
	for (int i = 0; i < RING_IMAGES && ret == 0; i++) {
		ret = frames_create_image(ring->device, "ring", usage, &ring->images[i]);
	}
	for (int i = 0; i < FRAME_COUNT && ret == 0; i++) {
		ret = frames_create_image(ring->device, "seen", usage, &ring->seen[i]);
	}
	if (ret == 0) {
		ret = hop_upload(&hop, ring->device, &ring->picture, ring->card);
	}
	if (ret < 0) {
		fprintf(stderr, "no software GPU, or no images: %s\n", strerror(-ret));
	}
	return ret;
}

static int init(struct ring *ring) {
	*ring = (struct ring){ .device = NULL };
	int ret = init_images(ring);
	if (ret == 0) {
		ret = vulkan_drawer_init(&ring->vulkan, false);
	}
	if (ret == 0) {
		ret = gles_drawer_init(&ring->gles);
	}
	if (ret < 0 && ring->gles.refusal.error < 0) {
		fprintf(stderr, "EGL: %s\n", ring->gles.refusal.text);
	}
	return ret;
}

static void finish(struct ring *ring) {
	gles_drawer_finish(&ring->gles);
	vulkan_drawer_finish(&ring->vulkan);
	for (int i = 0; i < FRAME_COUNT; i++) {
		stile_image_unref(ring->seen[i]);
	}
	for (int i = 0; i < RING_IMAGES; i++) {
		stile_image_unref(ring->images[i]);
	}
	stile_image_unref(ring->card);
	stile_device_destroy(ring->device);
	picture_finish(&ring->picture);
}

/* Only now somebody waits for what was drawn. */
static int collect(struct ring *ring, struct picture *frame, struct picture *sheet) {
	int ret = 0;
	for (unsigned n = 0; n < FRAME_COUNT && ret == 0; n++) {
		struct hop hop = { .fence = "" };
		ret = hop_read(&hop, ring->seen[n], frame);
		frames_put(sheet, n, frame);
	}
	return ret;
}

static int run(struct ring *ring, const struct ring_way *way, struct picture *sheet) {
	struct picture frame = { 0 };
	int ret = picture_create(FRAME_WIDTH, FRAME_HEIGHT, &frame);
	if (ret == 0) {
		ret = frames_create_sheet(sheet);
	}
	for (unsigned n = 0; n < FRAME_COUNT && ret == 0; n++) {
		ret = way->draw(ring, n);
	}
	if (ret == 0) {
		ret = collect(ring, &frame, sheet);
	}
	picture_finish(&frame);
	return ret;
}

static void print_paths(const struct ring *ring, const struct ring_way *way) {
	char text[64];
	snprintf(text, sizeof(text), "%s to %s", way->from, way->to);
	frames_print_paths(text, &ring->there);
	snprintf(text, sizeof(text), "%s to %s", way->to, way->from);
	frames_print_paths(text, &ring->back);
}

int ring_main(int argc, char **argv, const struct ring_way *way) {
	char about[128];
	snprintf(about, sizeof(about), "Carries frames that %s draws to %s, by fences alone.",
		way->from, way->to);
	const char *output;
	int status = options_parse(argc, argv, about, &output);
	if (status >= 0) {
		return status;
	}
	struct ring ring;
	struct picture sheet = { 0 };
	int ret = init(&ring);
	if (ret == 0) {
		ret = run(&ring, way, &sheet);
	}
	if (ret == 0) {
		print_paths(&ring, way);
		status = options_save(output, way->png, &sheet);
	} else {
		fprintf(stderr, "from %s to %s: %s\n", way->from, way->to, strerror(-ret));
		status = EXIT_WRONG;
	}
	picture_finish(&sheet);
	finish(&ring);
	return status;
}
