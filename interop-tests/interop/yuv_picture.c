/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/yuv_picture.h"

#include <fcntl.h>
#include <math.h>
#include <unistd.h>

#include <check.h>

#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"

void yuv_picture_fill(struct yuv_picture *picture, const struct stile_format *format) {
	uint64_t random = runner_seed();
	for (uint32_t i = 0; i < format->plane_count; i++) {
		const struct stile_format_plane *plane = &format->planes[i];
		picture->planes[i] = picture->bytes[i];
		size_t across = (size_t)plane->hsub * plane->block;
		picture->pitches[i] = (CARD_WIDTH + across - 1) / across * plane->bytes;
		for (size_t k = 0; k < sizeof(picture->bytes[i]); k++) {
			picture->bytes[i][k] = (uint8_t)runner_random(&random);
			if (format->bits > 8 && k % 2 == 0) {
				picture->bytes[i][k] &= (uint8_t)(0xff << (16 - format->bits));
			}
		}
	}
}

void yuv_picture_upload(
	struct stile_device *device, struct stile_image *image, const struct yuv_picture *picture) {
	for (uint32_t i = 0; i < stile_image_get_info(image)->plane_count; i++) {
		card_upload(device, image, i, picture->bytes[i]);
	}
}

struct stile_image *yuv_picture_import(
	struct stile_device *device, uint32_t fourcc, uint32_t chroma_pitch, bool are_apart) {
	const struct stile_format *format = stile_format_get(fourcc);
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = CARD_WIDTH,
		.height = CARD_HEIGHT,
		.fourcc = fourcc,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.plane_count = format->plane_count,
	};
	struct stile_image *image;
	int fds[STILE_MAX_PLANES];
	for (uint32_t i = 0; i < format->plane_count; i++) {
		fds[i] = memory_create(16384, F_SEAL_SHRINK);
		info.planes[i] = (struct stile_image_plane){
			.fd = fds[are_apart ? i : 0],
			.pitch = i == 0 ? 64 : chroma_pitch,
			.offset = UINT64_C(4096) * i,
		};
	}
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &image), 0);
	for (uint32_t i = 0; i < format->plane_count; i++) {
		close(fds[i]);
	}
	return image;
}

static uint32_t find_nearest(uint32_t at, uint32_t count, uint32_t sub, bool is_cosited) {
	uint32_t nearest = (at + (is_cosited ? sub / 2 : 0)) / sub;
	return nearest < count / sub ? nearest : count / sub - 1;
}

void yuv_picture_decode(const struct yuv_picture *picture, const struct stile_format *format,
	const struct yuv_meaning *meaning, struct yuv_siting siting, float (*rgba)[4]) {
	const struct yuv *yuv = yuv_find(format->fourcc);
	for (uint32_t i = 0; i < CARD_PIXELS; i++) {
		uint32_t x = i % CARD_WIDTH, y = i / CARD_WIDTH;
		const struct yuv_position at = { x, y,
			find_nearest(x, CARD_WIDTH, format->hsub, siting.horizontal),
			find_nearest(y, CARD_HEIGHT, format->vsub, siting.vertical) };
		double numbers[3], rgb[3];
		yuv_get(yuv, picture->planes, picture->pitches, &at, numbers);
		yuv_to_rgb(meaning, yuv_bits(yuv), numbers, rgb);
		for (int k = 0; k < 3; k++) {
			rgba[i][k] = (float)(rgb[k] / 255);
		}
		rgba[i][3] = (float)yuv_get_alpha(yuv, picture->planes, picture->pitches, &at);
	}
}

static bool is_near(float is, float expected, double most) {
	double clamped = is < 0 ? 0 : is > 1 ? 1 : (double)is;
	return fabs(clamped - (double)expected) * 255 < most;
}

size_t yuv_picture_find_wrong(float (*expected)[4], double most, float (*rgba)[4]) {
	for (size_t i = 0; i < CARD_PIXELS; i++) {
		for (int k = 0; k < 4; k++) {
			if (!is_near(rgba[i][k], expected[i][k], most)) {
				return i;
			}
		}
	}
	return CARD_PIXELS;
}

void yuv_picture_check(const struct yuv_picture *picture, const struct stile_format *format,
	const struct yuv_meaning *meaning, struct yuv_siting siting, double most,
	float (*rgba)[4]) {
	float expected[CARD_PIXELS][4];
	yuv_picture_decode(picture, format, meaning, siting, expected);
	size_t i = yuv_picture_find_wrong(expected, most, rgba);
	if (i < CARD_PIXELS) {
		const float *is = rgba[i], *wanted = expected[i];
		ck_abort_msg("%s: pixel %zu is %f, %f, %f, %f, not %f, %f, %f, %f", format->name, i,
			(double)is[0], (double)is[1], (double)is[2], (double)is[3],
			(double)wanted[0], (double)wanted[1], (double)wanted[2], (double)wanted[3]);
	}
}
