/* SPDX-License-Identifier: MIT */
#include "interop-tests/matrix/sheet.h"

#include "interop-tests/interop/require.h"

/* ---- Meaning ------------------------------------------------------------------------------ */

const struct stile_colour sheet_colour = {
	.matrix = STILE_MATRIX_BT709,
	.range = STILE_RANGE_LIMITED,
};

static const struct yuv_meaning meaning = { 0.2126, 0.0722, false };

/*
 * Nobody filters chroma, so there is one right number, and computed in 32 bits it comes out to 0.01 of 255. Of more than
 * 8 bits, lavapipe's conversion counts what is below the numbers, too: 10 bits of 16 as parts of 65535, not of 1023 * 64,
 * which makes 0.53. Mesa's external textures take them for 8 bits besides, with the middle at 128 / 255: 2.2.
 */
static double find_tolerance(const struct stile_format *format, enum table_way way) {
	if (format->bits == 8) {
		return 0.1;
	}
	return way == TABLE_EXTERNAL ? 2.5 : way == TABLE_CONVERSION ? 0.6 : 0.1;
}

/* ---- Making ------------------------------------------------------------------------------- */

/* The numbers of pixels with such a name, in rows of CARD_WIDTH. */
static void decode(const char *name, const uint8_t *bytes, size_t pitch, uint32_t width,
	uint32_t rows, float (*rgba)[4]) {
	struct pixel pixel;
	require(pixel_parse(name, &pixel));
	for (uint32_t i = 0; i < width * rows; i++) {
		uint32_t x = i % width, y = i / width;
		double colour[4];
		pixel_decode(&pixel, bytes + y * pitch + (size_t)x * pixel.bytes, colour);
		for (int k = 0; k < 4; k++) {
			rgba[y * CARD_WIDTH + x][k] = (float)colour[k];
		}
	}
}

static void decode_plane(const char *name, struct sheet_plane *plane) {
	decode(name, plane->bytes, plane->row_bytes, plane->width, plane->rows, plane->colours);
}

static void make_rgb(struct sheet *sheet) {
	require(card_make(sheet->format, &sheet->card));
	sheet->planes[0] = (struct sheet_plane){
		.bytes = sheet->card.bytes,
		.row_bytes = (size_t)CARD_WIDTH * sheet->card.pixel.bytes,
		.rows = CARD_HEIGHT,
		.width = CARD_WIDTH,
	};
	decode_plane(sheet->format->name, &sheet->planes[0]);
}

static void make_yuv(struct sheet *sheet) {
	static const char *const names[2][2] = { { "R8", "GR88" }, { "R16", "GR1616" } };
	const struct stile_format *format = sheet->format;
	uint32_t is_wide = format->bits > 8;
	yuv_picture_fill(&sheet->yuv, format);
	for (uint32_t i = 0; i < format->plane_count; i++) {
		const struct stile_format_plane *plane = &format->planes[i];
		sheet->planes[i] = (struct sheet_plane){
			.bytes = sheet->yuv.bytes[i],
			.row_bytes = sheet->yuv.pitches[i],
			.rows = (uint32_t)CARD_HEIGHT / plane->vsub,
			.width = (uint32_t)CARD_WIDTH / plane->hsub,
		};
		if (format->plane_count > 1 && plane->block == 1) {
			decode_plane(
				names[is_wide][(plane->bytes >> is_wide) - 1], &sheet->planes[i]);
		}
	}
}

void sheet_make(const struct stile_format *format, struct sheet *sheet) {
	*sheet = (struct sheet){ .format = format, .plane_count = format->plane_count };
	if (format->is_yuv) {
		make_yuv(sheet);
	} else {
		make_rgb(sheet);
	}
}

/* ---- Looking ------------------------------------------------------------------------------ */

void sheet_read(struct stile_image *image, float (*rgba)[4]) {
	const struct stile_image_info *info = stile_image_get_info(image);
	const struct stile_format *format = stile_format_get(info->fourcc);
	struct yuv_picture picture;
	void *memories[SHEET_PLANES];
	for (uint32_t i = 0; i < info->plane_count; i++) {
		require(stile_buffer_mmap(stile_image_get_buffer(image, i), STILE_USAGE_READ,
				&memories[i]) == 0);
		picture.planes[i] = (const uint8_t *)memories[i] + info->planes[i].offset;
		picture.pitches[i] = info->planes[i].pitch;
	}
	if (format->is_yuv) {
		yuv_picture_decode(&picture, format, &meaning, (struct yuv_siting){ 0 }, rgba);
	} else {
		decode(format->name, picture.planes[0], picture.pitches[0], CARD_WIDTH, CARD_HEIGHT,
			rgba);
	}
	for (uint32_t i = 0; i < info->plane_count; i++) {
		stile_buffer_munmap(stile_image_get_buffer(image, i), memories[i]);
	}
}

bool sheet_is_right(const struct sheet *sheet, struct sight *sight) {
	const struct stile_format *format = sheet->format;
	float expected[CARD_PIXELS][4];
	if (!format->is_yuv) {
		return card_find_wrong(&sheet->card, sight->rgba) == CARD_PIXELS;
	}
	yuv_picture_decode(&sheet->yuv, format, &meaning, sight->siting, expected);
	return yuv_picture_find_wrong(expected, find_tolerance(format, sight->way), sight->rgba) ==
		CARD_PIXELS;
}
