/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_TRANSFORM_H
#define DEMOS_TRANSFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "demos/picture.h"

/**
 * What a hop does to the picture: mirrors it, and mixes its colours. Laid out as the shaders'
 * uniforms, so that drawing and reference use the same numbers.
 */
struct transform {
	float rows[3][4]; /* red, green, blue of: red, green, blue, 1 */
	int32_t flip[2];  /* across, down */
};

/** Mirror across; red to green to blue to red. Exact in 8 bits. */
extern const struct transform transform_vulkan;
/** Mirror down; mix the colours. */
extern const struct transform transform_gles;

/** The same drawing, plainly, on the CPU. `to` has the extent of `from`. */
void transform_apply(
	const struct transform *transform, const struct picture *from, struct picture *to);

#endif
