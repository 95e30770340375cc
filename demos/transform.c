/* SPDX-License-Identifier: MIT */
#include "demos/transform.h"

#include <math.h>

const struct transform transform_vulkan = {
	.rows = { { 0, 0, 1, 0 }, { 1, 0, 0, 0 }, { 0, 1, 0, 0 } },
	.flip = { 1, 0 },
};

const struct transform transform_gles = {
	.rows = { { 0.75f, 0.25f, 0, 0 }, { 0, 0.5f, 0.375f, 0.125f },
		{ 0.25f, 0, -0.75f, 0.75f } },
	.flip = { 0, 1 },
};

static uint8_t mix(const float row[4], const uint8_t from[4]) {
	float sum = row[0] * from[0] + row[1] * from[1] + row[2] * from[2] + row[3] * 255;
	return (uint8_t)lrintf(fminf(fmaxf(sum, 0), 255));
}

void transform_apply(
	const struct transform *transform, const struct picture *from, struct picture *to) {
	for (uint32_t y = 0; y < to->height; y++) {
		uint32_t from_y = transform->flip[1] ? to->height - 1 - y : y;
		for (uint32_t x = 0; x < to->width; x++) {
			uint32_t from_x = transform->flip[0] ? to->width - 1 - x : x;
			const uint8_t *in = picture_at(from, from_x, from_y);
			uint8_t *out = picture_at(to, x, y);
			out[0] = mix(transform->rows[0], in);
			out[1] = mix(transform->rows[1], in);
			out[2] = mix(transform->rows[2], in);
			out[3] = in[3];
		}
	}
}
