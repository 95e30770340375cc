/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/reference.h"

#include <pixman.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "interop-tests/support/runner.h"

void reference_fill(struct raster *to, uint32_t x, uint32_t y, uint32_t width, uint32_t height,
	uint32_t value) {
	for (uint32_t row = y; row < y + height; row++) {
		for (uint32_t column = x; column < x + width; column++) {
			for (uint32_t i = 0; i < to->sample_bytes; i++) {
				raster_at(to, column, row)[i] = (uint8_t)(value >> (8 * i));
			}
		}
	}
}

void reference_copy(struct picture *to, const struct picture *from) {
	for (uint32_t i = 0; i < to->plane_count; i++) {
		memcpy(to->planes[i].bytes, from->planes[i].bytes,
			raster_pitch(&to->planes[i]) * to->planes[i].height);
	}
}

/* ---- Compositing --------------------------------------------------------------------------- */

static const struct {
	uint32_t fourcc;
	pixman_format_code_t pixman;
} formats[] = {
	{ DRM_FORMAT_XRGB8888, PIXMAN_x8r8g8b8 },
	{ DRM_FORMAT_ARGB8888, PIXMAN_a8r8g8b8 },
	{ DRM_FORMAT_XBGR8888, PIXMAN_x8b8g8r8 },
	{ DRM_FORMAT_ABGR8888, PIXMAN_a8b8g8r8 },
	{ DRM_FORMAT_RGBX8888, PIXMAN_r8g8b8x8 },
	{ DRM_FORMAT_RGBA8888, PIXMAN_r8g8b8a8 },
	{ DRM_FORMAT_BGRX8888, PIXMAN_b8g8r8x8 },
	{ DRM_FORMAT_BGRA8888, PIXMAN_b8g8r8a8 },
	{ DRM_FORMAT_XRGB2101010, PIXMAN_x2r10g10b10 },
	{ DRM_FORMAT_ARGB2101010, PIXMAN_a2r10g10b10 },
	{ DRM_FORMAT_XBGR2101010, PIXMAN_x2b10g10r10 },
	{ DRM_FORMAT_ABGR2101010, PIXMAN_a2b10g10r10 },
	{ DRM_FORMAT_RGB565, PIXMAN_r5g6b5 },
	{ DRM_FORMAT_BGR565, PIXMAN_b5g6r5 },
	{ DRM_FORMAT_XRGB1555, PIXMAN_x1r5g5b5 },
	{ DRM_FORMAT_ARGB1555, PIXMAN_a1r5g5b5 },
	{ DRM_FORMAT_XBGR1555, PIXMAN_x1b5g5r5 },
	{ DRM_FORMAT_ABGR1555, PIXMAN_a1b5g5r5 },
	{ DRM_FORMAT_XRGB4444, PIXMAN_x4r4g4b4 },
	{ DRM_FORMAT_ARGB4444, PIXMAN_a4r4g4b4 },
	{ DRM_FORMAT_XBGR4444, PIXMAN_x4b4g4r4 },
	{ DRM_FORMAT_ABGR4444, PIXMAN_a4b4g4r4 },
};

static pixman_format_code_t get_format(uint32_t fourcc) {
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (formats[i].fourcc == fourcc) {
			return formats[i].pixman;
		}
	}
	return PIXMAN_a8;
}

/* A part of a raster in memory that pixman likes: rows of whole words. */
struct copy {
	pixman_image_t *image;
	uint32_t *words;
	size_t pitch;
};

static struct copy copy_create(const struct picture *picture, const struct stile_swgpu_rect *rect) {
	const struct raster *raster = &picture->planes[0];
	uint32_t fourcc = stile_image_get_info(picture->image)->fourcc;
	size_t row = (size_t)rect->width * raster->sample_bytes;
	struct copy copy = { .pitch = (row + 3) / 4 * 4 };
	copy.words = calloc(rect->height, copy.pitch);
	runner_require(copy.words != NULL, "no memory for a copy");
	for (uint32_t y = 0; y < rect->height; y++) {
		memcpy((uint8_t *)copy.words + y * copy.pitch,
			raster_at(raster, (uint32_t)rect->x, (uint32_t)rect->y + y), row);
	}
	copy.image = pixman_image_create_bits(get_format(fourcc), (int)rect->width,
		(int)rect->height, copy.words, (int)copy.pitch);
	ck_assert_ptr_nonnull(copy.image);
	return copy;
}

static void copy_free(struct copy *copy) {
	pixman_image_unref(copy->image);
	free(copy->words);
}

static struct stile_swgpu_rect whole_or(
	const struct stile_swgpu_rect *rect, const struct raster *raster) {
	const struct stile_swgpu_rect whole = { 0, 0, raster->width, raster->height };
	return rect->width == 0 ? whole : *rect;
}

void reference_composite(struct picture *to, const struct picture *from,
	const struct stile_swgpu_composite *composite) {
	struct raster *raster = &to->planes[0];
	struct stile_swgpu_rect source = whole_or(&composite->source, &from->planes[0]);
	struct stile_swgpu_rect target = whole_or(&composite->target, raster);
	struct copy from_copy = copy_create(from, &source), to_copy = copy_create(to, &target);
	if (source.width != target.width || source.height != target.height) {
		pixman_transform_t transform;
		pixman_transform_init_scale(&transform,
			pixman_double_to_fixed((double)source.width / target.width),
			pixman_double_to_fixed((double)source.height / target.height));
		pixman_image_set_transform(from_copy.image, &transform);
		pixman_image_set_filter(from_copy.image,
			composite->filter == STILE_SWGPU_BILINEAR ? PIXMAN_FILTER_BILINEAR
								  : PIXMAN_FILTER_NEAREST,
			NULL, 0);
		pixman_image_set_repeat(from_copy.image, PIXMAN_REPEAT_PAD);
	}
	const pixman_color_t alpha = { .alpha = (uint16_t)(composite->alpha * 0x101) };
	pixman_image_t *mask = pixman_image_create_solid_fill(&alpha);
	pixman_image_composite32(composite->op == STILE_SWGPU_OVER ? PIXMAN_OP_OVER : PIXMAN_OP_SRC,
		from_copy.image, composite->alpha == 255 ? NULL : mask, to_copy.image, 0, 0, 0, 0,
		0, 0, (int32_t)target.width, (int32_t)target.height);
	for (uint32_t y = 0; y < target.height; y++) {
		memcpy(raster_at(raster, (uint32_t)target.x, (uint32_t)target.y + y),
			(uint8_t *)to_copy.words + y * to_copy.pitch,
			(size_t)target.width * raster->sample_bytes);
	}
	pixman_image_unref(mask);
	copy_free(&from_copy);
	copy_free(&to_copy);
}

/* ---- Colours ------------------------------------------------------------------------------- */

/* The fraction to the nearest integer, upwards from between two, within 0 to 255. */
static uint8_t divide(int64_t numerator, int64_t denominator) {
	int64_t twice = 2 * numerator + denominator;
	int64_t rounded = twice < 0 ? 0 : twice / (2 * denominator);
	return (uint8_t)(rounded > 255 ? 255 : rounded);
}

void reference_rgb(enum stile_swgpu_matrix matrix, enum stile_swgpu_range range,
	const uint8_t yuv[3], uint8_t rgb[3]) {
	const int64_t kr = matrix == STILE_SWGPU_BT601 ? 2990
		: matrix == STILE_SWGPU_BT709          ? 2126
						       : 2627;
	const int64_t kb = matrix == STILE_SWGPU_BT601 ? 1140
		: matrix == STILE_SWGPU_BT709          ? 722
						       : 593;
	const int64_t one = 10000, kg = one - kr - kb;
	const bool full = range == STILE_SWGPU_FULL;
	const int64_t luma = full ? 255 : 219, chroma = full ? 255 : 224;
	const int64_t y = yuv[0] - (full ? 0 : 16), u = yuv[1] - 128, v = yuv[2] - 128;
	/* Over the denominator of all. */
	const int64_t all = luma * chroma * one * kg;
	const int64_t y_all = 255 * y * chroma * one * kg;
	const int64_t u_all = 2 * (one - kb) * 255 * u * luma;
	const int64_t v_all = 2 * (one - kr) * 255 * v * luma;
	rgb[0] = divide(y_all + v_all * kg, all);
	rgb[1] = divide(y_all - u_all * kb - v_all * kr, all);
	rgb[2] = divide(y_all + u_all * kg, all);
}

void reference_convert(struct picture *to, const struct picture *from,
	enum stile_swgpu_matrix matrix, enum stile_swgpu_range range) {
	uint32_t fourcc = stile_image_get_info(to->image)->fourcc;
	bool red_first = fourcc == DRM_FORMAT_XBGR8888 || fourcc == DRM_FORMAT_ABGR8888;
	for (uint32_t y = 0; y < to->planes[0].height; y++) {
		for (uint32_t x = 0; x < to->planes[0].width; x++) {
			const uint8_t *chroma = raster_at(&from->planes[1], x / 2, y / 2);
			const uint8_t yuv[] = { *raster_at(&from->planes[0], x, y), chroma[0],
				chroma[1] };
			uint8_t rgb[3], *pixel = raster_at(&to->planes[0], x, y);
			reference_rgb(matrix, range, yuv, rgb);
			pixel[0] = rgb[red_first ? 0 : 2];
			pixel[1] = rgb[1];
			pixel[2] = rgb[red_first ? 2 : 0];
			pixel[3] = 255;
		}
	}
}
