/* SPDX-License-Identifier: MIT */
#include "demos/frames.h"

#include <stdio.h>
#include <string.h>

int frames_create_sheet(struct picture *sheet) {
	return picture_create(
		FRAME_ACROSS * FRAME_WIDTH, FRAME_COUNT / FRAME_ACROSS * FRAME_HEIGHT, sheet);
}

uint32_t frames_x(unsigned frame) {
	return frame % FRAME_ACROSS * FRAME_WIDTH;
}

uint32_t frames_y(unsigned frame) {
	return frame / FRAME_ACROSS * FRAME_HEIGHT;
}

void frames_put(struct picture *sheet, unsigned frame, const struct picture *picture) {
	for (uint32_t y = 0; y < picture->height; y++) {
		memcpy(picture_at(sheet, frames_x(frame), frames_y(frame) + y),
			picture_at(picture, 0, y), (size_t)picture->width * 4);
	}
}

void frames_draw(unsigned frame, const struct picture *card, struct picture *to) {
	uint32_t right = frame * card->width / FRAME_COUNT;
	size_t head = (size_t)right * 4, tail = (size_t)(card->width - right) * 4;
	for (uint32_t y = 0; y < card->height; y++) {
		memcpy(picture_at(to, right, y), picture_at(card, 0, y), tail);
		memcpy(picture_at(to, 0, y), picture_at(card, card->width - right, y), head);
	}
}

int frames_create(struct picture frames[FRAME_COUNT]) {
	struct picture card;
	memset(frames, 0, sizeof(*frames) * FRAME_COUNT);
	int ret = picture_draw_test_card(FRAME_WIDTH, FRAME_HEIGHT, &card);
	for (unsigned n = 0; n < FRAME_COUNT && ret == 0; n++) {
		ret = picture_create(FRAME_WIDTH, FRAME_HEIGHT, &frames[n]);
		if (ret == 0) {
			frames_draw(n, &card, &frames[n]);
		}
	}
	picture_finish(&card);
	return ret;
}

void frames_finish(struct picture frames[FRAME_COUNT]) {
	for (unsigned n = 0; n < FRAME_COUNT; n++) {
		picture_finish(&frames[n]);
	}
}

struct transform frames_transform(unsigned frame) {
	float bright = (float)(frame + 5) / 16;
	return (struct transform){
		.rows = { { bright, 0, 0, 0 }, { 0, bright, 0, 0 }, { 0, 0, bright, 0 } },
		.flip = { (int32_t)(frame & 1), (int32_t)(frame >> 1 & 1) },
	};
}

int frames_create_image(
	struct stile_device *device, const char *name, uint32_t usage, struct stile_image **out) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = FRAME_WIDTH,
		.height = FRAME_HEIGHT,
		.fourcc = DRM_FORMAT_ABGR8888, /* red in the first byte, as in a picture */
		.usage = usage,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.name = name,
	};
	return stile_image_create(device, &info, out);
}

void frames_count_path(struct frames_paths *paths, const struct stile_path *path) {
	paths->counts[path->kind]++;
	paths->blocked_ns += path->blocked_ns;
}

void frames_print_paths(const char *what, const struct frames_paths *paths) {
	static const char *const names[] = {
		[STILE_PATH_NONE] = "was signalled already",
		[STILE_PATH_HANDLE] = "handle passed on",
		[STILE_PATH_KERNEL] = "sync_file",
		[STILE_PATH_BRIDGE] = "bridge to a semaphore",
		[STILE_PATH_HELD] = "held by a thread",
		[STILE_PATH_CPU_WAIT] = "CPU wait",
	};
	printf("%-16s", what);
	for (int kind = STILE_PATH_NONE; kind <= STILE_PATH_CPU_WAIT; kind++) {
		if (paths->counts[kind] > 0) {
			printf(" %s: %u;", names[kind], paths->counts[kind]);
		}
	}
	printf(" blocked %.0f µs\n", (double)paths->blocked_ns / 1e3);
}
