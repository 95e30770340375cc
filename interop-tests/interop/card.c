/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/card.h"

#include <check.h>

#include <stile/swgpu.h>

#include "demos/job.h"
#include "interop-tests/support/runner.h"

bool card_make(const struct stile_format *format, struct card *card) {
	if (!pixel_parse(format->name, &card->pixel)) {
		return false;
	}
	uint64_t random = runner_seed();
	for (size_t i = 0; i < CARD_PIXELS; i++) {
		uint8_t *bytes = card->bytes + i * card->pixel.bytes;
		double rgba[4];
		for (int k = 0; k < 4; k++) {
			rgba[k] = (double)(runner_random(&random) % 4097) / 4096;
		}
		pixel_encode(&card->pixel, rgba, bytes);
		pixel_decode(&card->pixel, bytes, card->colours[i]);
	}
	return true;
}

void card_upload(
	struct stile_device *device, struct stile_image *image, uint32_t plane, const void *bytes) {
	const struct stile_image_info *info = stile_image_get_info(image);
	const struct stile_format_plane *format = &stile_format_get(info->fourcc)->planes[plane];
	size_t across = (size_t)format->hsub * format->block;
	struct stile_fence *done;
	ck_assert_int_eq(stile_swgpu_upload(device, image, plane, bytes,
				 (info->width + across - 1) / across * format->bytes, &done),
		0);
	ck_assert_int_eq(stile_fence_wait(done, job_deadline()), 0);
	stile_fence_unref(done);
}

static bool is_near(const struct card *card, size_t at, int k, double is) {
	double step = pixel_step(&card->pixel, k), expected = card->colours[at][k];
	/* What a format does not have, is exactly 0 or 1. */
	double most = step == 0 ? 1e-6 : step / 2;
	return is >= expected - most && is <= expected + most;
}

size_t card_find_wrong(const struct card *card, float (*rgba)[4]) {
	for (size_t i = 0; i < CARD_PIXELS; i++) {
		for (int k = 0; k < 4; k++) {
			if (!is_near(card, i, k, (double)rgba[i][k])) {
				return i;
			}
		}
	}
	return CARD_PIXELS;
}

void card_check(const struct card *card, float (*rgba)[4], const char *what) {
	size_t i = card_find_wrong(card, rgba);
	if (i < CARD_PIXELS) {
		const float *is = rgba[i];
		const double *wanted = card->colours[i];
		ck_abort_msg("%s: pixel %zu is %f, %f, %f, %f, not %f, %f, %f, %f", what, i,
			(double)is[0], (double)is[1], (double)is[2], (double)is[3], wanted[0],
			wanted[1], wanted[2], wanted[3]);
	}
}
