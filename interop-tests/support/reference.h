/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_REFERENCE_H
#define SUPPORT_REFERENCE_H

/* What the software GPU's commands do, done to rasters by plain loops; pictures by pixman itself. */

#include <stile/swgpu_list.h>

#include "interop-tests/support/picture.h"

/** Samples of a part of a plane, in samples. */
void reference_fill(
	struct raster *to, uint32_t x, uint32_t y, uint32_t width, uint32_t height, uint32_t value);

void reference_copy(struct picture *to, const struct picture *from);

/** Of two pictures; the images of `composite` are not looked at. */
void reference_composite(struct picture *to, const struct picture *from,
	const struct stile_swgpu_composite *composite);

/** The exact values, rounded to the nearest, upwards from between two. */
void reference_rgb(enum stile_swgpu_matrix matrix, enum stile_swgpu_range range,
	const uint8_t yuv[3], uint8_t rgb[3]);

void reference_convert(struct picture *to, const struct picture *from,
	enum stile_swgpu_matrix matrix, enum stile_swgpu_range range);

#endif
