/* SPDX-License-Identifier: MIT */
#ifndef MATRIX_SHEET_H
#define MATRIX_SHEET_H

#include <stile/carrier.h>

#include "interop-tests/interop/card.h"
#include "interop-tests/interop/yuv_picture.h"
#include "interop-tests/matrix/table.h"

enum { SHEET_PLANES = 3 };

/** One plane of what is painted. */
struct sheet_plane {
	const uint8_t *bytes; /* row after row, without gaps */
	size_t row_bytes;
	uint32_t rows;
	/* Of one that is an image by itself: what is drawn on that, as wide as this, in rows of CARD_WIDTH. */
	uint32_t width;
	float colours[CARD_PIXELS][4];
};

/** What is painted on an image: random numbers, whose bytes and colours are known by what the format's name says alone. */
struct sheet {
	const struct stile_format *format;
	struct card card;       /* of RGB */
	struct yuv_picture yuv; /* of luma and chroma */
	uint32_t plane_count;
	struct sheet_plane planes[SHEET_PLANES];
};

/** What the numbers mean: no matrix that is taken where nothing is said, so that it shows where it gets lost. */
extern const struct stile_colour sheet_colour;

void sheet_make(const struct stile_format *format, struct sheet *sheet);

/** The colours of an image, read from its memory; of YUV, of the samples of chroma that are nearest. */
void sheet_read(struct stile_image *image, float (*rgba)[4]);

/** What came of a look at it. */
struct sight {
	struct stile_path path; /* of the wait */
	enum table_way way;
	struct yuv_siting siting; /* that was taken for chroma's */
	float rgba[CARD_PIXELS][4];
	char why[768];
};

/** Are these its colours? */
bool sheet_is_right(const struct sheet *sheet, struct sight *sight);

#endif
