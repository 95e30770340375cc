/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_YUV_PICTURE_H
#define INTEROP_YUV_PICTURE_H

#include <stile/stile.h>

#include "interop-tests/interop/card.h"
#include "interop-tests/support/yuv.h"

/** A picture of random luma and chroma, of the extent of a card, whose planes have no gaps. */
struct yuv_picture {
	uint8_t bytes[3][CARD_PIXELS * 8];
	const uint8_t *planes[3];
	size_t pitches[3];
};

/** Numbers in the highest bits; what is below them is nothing. */
void yuv_picture_fill(struct yuv_picture *picture, const struct stile_format *format);

/** Write it to a swgpu device's image; waits. */
void yuv_picture_upload(
	struct stile_device *device, struct stile_image *image, const struct yuv_picture *picture);

/** An image whose planes are in one file, or in one each, all but the first behind something else there. */
struct stile_image *yuv_picture_import(
	struct stile_device *device, uint32_t fourcc, uint32_t chroma_pitch, bool are_apart);

/** What the nearest sample of chroma is: of those between two pixels, the second, if it is co-sited. */
struct yuv_siting {
	bool horizontal, vertical; /* is it? */
};

/** Its colours, from 0 to 1, of the nearest samples. */
void yuv_picture_decode(const struct yuv_picture *picture, const struct stile_format *format,
	const struct yuv_meaning *meaning, struct yuv_siting siting, float (*rgba)[4]);

/** The first pixel that is not as expected, to so much of 255, once it is clamped; CARD_PIXELS: all are. */
size_t yuv_picture_find_wrong(float (*expected)[4], double most, float (*rgba)[4]);

/** Are these the picture's colours? Fails the test. */
void yuv_picture_check(const struct yuv_picture *picture, const struct stile_format *format,
	const struct yuv_meaning *meaning, struct yuv_siting siting, double most, float (*rgba)[4]);

#endif
