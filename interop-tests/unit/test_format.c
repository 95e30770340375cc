/* SPDX-License-Identifier: MIT */
/* Formats, and the arithmetic on sizes that everything else relies on. */
#include <stdlib.h>
#include <string.h>

#include <xf86drm.h>

#include <stile/format.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/pixel.h"
#include "interop-tests/support/runner.h"
#include "src/format.h"
#include "src/macros.h"

/* All that there are, by number: the tests of the table are of each of them. */
enum { FORMATS = 84 };

/* ---- What names say ------------------------------------------------------------------------ */

/* libdrm writes codes, too. Wrong code: bytes from the other end; spaces cut off, or zeroes printed. */
START_TEST(text_is_libdrms) {
	const struct stile_format *format = stile_format_get_nth((size_t)_i);
	char *code = drmGetFormatName(format->fourcc), text[5];
	ck_assert_ptr_nonnull(code);
	format_fourcc_text(format->fourcc, text);
	ck_assert_mem_eq(text, code, strlen(code));
	ck_assert_uint_eq(strspn(text + strlen(code), " "), 4 - strlen(code));
	free(code);
}
END_TEST

static bool is_twin_of(const char *name, const char *opaque) {
	size_t i = 0;
	while (name[i] != '\0' && name[i] == opaque[i]) {
		i++;
	}
	return name[i] == 'A' && opaque[i] == 'X' && strcmp(name + i + 1, opaque + i + 1) == 0;
}

/* The name with A where this one has X, or the other way round; NULL: there is none. */
static const struct stile_format *find_twin(const struct stile_format *format) {
	/* Of those with luma and chroma, names are not made alike. */
	static const char *const pairs[][2] = { { "XYUV8888", "AYUV" }, { "XVYU2101010", "Y410" },
		{ "XVYU12_16161616", "Y412" }, { "XVYU16161616", "Y416" } };
	const struct stile_format *other;
	for (size_t i = 0; (other = stile_format_get_nth(i)) != NULL; i++) {
		if (is_twin_of(format->name, other->name) ||
			is_twin_of(other->name, format->name)) {
			return other;
		}
		for (size_t k = 0; k < ARRAY_LENGTH(pairs); k++) {
			if ((strcmp(format->name, pairs[k][0]) == 0 &&
				    strcmp(other->name, pairs[k][1]) == 0) ||
				(strcmp(format->name, pairs[k][1]) == 0 &&
					strcmp(other->name, pairs[k][0]) == 0)) {
				return other;
			}
		}
	}
	return NULL;
}

static bool has_alpha(const struct stile_format *format) {
	return strchr(format->name, 'A') != NULL || strncmp(format->name, "Y4", 2) == 0;
}

/* Wrong code: an alpha format whose opaque twin has its channels in another order. */
START_TEST(twin_is_named_alike) {
	const struct stile_format *format = stile_format_get_nth((size_t)_i);
	const struct stile_format *twin = find_twin(format);
	if (twin == NULL) {
		ck_assert(!has_alpha(format));
		ck_assert_uint_eq(format->opaque, format->fourcc);
		ck_assert_uint_eq(format->alpha, DRM_FORMAT_INVALID);
	} else {
		ck_assert(has_alpha(format) != has_alpha(twin));
		ck_assert_uint_eq(
			format->opaque, has_alpha(format) ? twin->fourcc : format->fourcc);
		ck_assert_uint_eq(format->alpha, has_alpha(format) ? format->fourcc : twin->fourcc);
		ck_assert_uint_eq(format->bits, twin->bits);
		ck_assert_mem_eq(format->planes, twin->planes, sizeof(format->planes));
	}
}
END_TEST

/* Wrong code: bits that are not 8 x bytes; alpha counted; a float taken for an integer. */
START_TEST(rgb_is_what_its_name_says) {
	const struct stile_format *format = stile_format_get_nth((size_t)_i);
	struct pixel pixel;
	ck_assert(pixel_parse(format->name, &pixel) != format->is_yuv);
	if (format->is_yuv) {
		return;
	}
	uint32_t bits = 0;
	for (uint32_t i = 0; i < pixel.count; i++) {
		const struct pixel_component *at = &pixel.components[i];
		if (at->colour < PIXEL_A) {
			bits = at->bits > bits ? at->bits : bits;
		}
	}
	ck_assert_uint_eq(format->bits, bits);
	ck_assert_uint_eq(format->plane_count, 1);
	ck_assert_uint_eq(format->planes[0].bytes, pixel.bytes);
	ck_assert_uint_eq(format->planes[0].block, 1);
	ck_assert_uint_eq(format->planes[0].hsub, 1);
	ck_assert_uint_eq(format->planes[0].vsub, 1);
	ck_assert_uint_eq(format->hsub, 1);
	ck_assert_uint_eq(format->vsub, 1);
	ck_assert(format->is_float == pixel.is_float);
}
END_TEST

/* ---- What the comments of drm_fourcc.h say -------------------------------------------------- */

/* By hand: bits, subsampling, and bytes of each plane of a picture of 48 x 48, and of 50 x 50. */
static const struct {
	uint32_t fourcc;
	uint32_t bits, hsub, vsub;
	uint64_t of_48[3], of_50[3];
} yuv[] = {
	{ DRM_FORMAT_YUYV, 8, 2, 1, { 4608 }, { 5000 } },
	{ DRM_FORMAT_YVYU, 8, 2, 1, { 4608 }, { 5000 } },
	{ DRM_FORMAT_UYVY, 8, 2, 1, { 4608 }, { 5000 } },
	{ DRM_FORMAT_VYUY, 8, 2, 1, { 4608 }, { 5000 } },
	{ DRM_FORMAT_Y210, 10, 2, 1, { 9216 }, { 10000 } },
	{ DRM_FORMAT_Y212, 12, 2, 1, { 9216 }, { 10000 } },
	{ DRM_FORMAT_Y216, 16, 2, 1, { 9216 }, { 10000 } },
	{ DRM_FORMAT_XYUV8888, 8, 1, 1, { 9216 }, { 10000 } },
	{ DRM_FORMAT_AYUV, 8, 1, 1, { 9216 }, { 10000 } },
	{ DRM_FORMAT_XVYU2101010, 10, 1, 1, { 9216 }, { 10000 } },
	{ DRM_FORMAT_Y410, 10, 1, 1, { 9216 }, { 10000 } },
	{ DRM_FORMAT_XVYU12_16161616, 12, 1, 1, { 18432 }, { 20000 } },
	{ DRM_FORMAT_Y412, 12, 1, 1, { 18432 }, { 20000 } },
	{ DRM_FORMAT_XVYU16161616, 16, 1, 1, { 18432 }, { 20000 } },
	{ DRM_FORMAT_Y416, 16, 1, 1, { 18432 }, { 20000 } },
	{ DRM_FORMAT_NV12, 8, 2, 2, { 2304, 1152 }, { 2500, 1250 } },
	{ DRM_FORMAT_NV21, 8, 2, 2, { 2304, 1152 }, { 2500, 1250 } },
	{ DRM_FORMAT_NV16, 8, 2, 1, { 2304, 2304 }, { 2500, 2500 } },
	{ DRM_FORMAT_NV61, 8, 2, 1, { 2304, 2304 }, { 2500, 2500 } },
	{ DRM_FORMAT_NV24, 8, 1, 1, { 2304, 4608 }, { 2500, 5000 } },
	{ DRM_FORMAT_NV42, 8, 1, 1, { 2304, 4608 }, { 2500, 5000 } },
	/* 4 samples in 5 bytes: 12 groups a row, or 12 and a half; of chroma, 2 pairs. */
	{ DRM_FORMAT_NV15, 10, 2, 2, { 2880, 1440 }, { 3250, 1625 } },
	{ DRM_FORMAT_NV20, 10, 2, 1, { 2880, 2880 }, { 3250, 3250 } },
	/* 3 samples in 4 bytes: 16 groups a row, or 16 and two thirds; of chroma, 3 pairs in 8 bytes. */
	{ DRM_FORMAT_P030, 10, 2, 2, { 3072, 1536 }, { 3400, 1800 } },
	{ DRM_FORMAT_P010, 10, 2, 2, { 4608, 2304 }, { 5000, 2500 } },
	{ DRM_FORMAT_P012, 12, 2, 2, { 4608, 2304 }, { 5000, 2500 } },
	{ DRM_FORMAT_P016, 16, 2, 2, { 4608, 2304 }, { 5000, 2500 } },
	{ DRM_FORMAT_P210, 10, 2, 1, { 4608, 4608 }, { 5000, 5000 } },
	{ DRM_FORMAT_YUV410, 8, 4, 4, { 2304, 144, 144 }, { 2500, 169, 169 } },
	{ DRM_FORMAT_YVU410, 8, 4, 4, { 2304, 144, 144 }, { 2500, 169, 169 } },
	{ DRM_FORMAT_YUV411, 8, 4, 1, { 2304, 576, 576 }, { 2500, 650, 650 } },
	{ DRM_FORMAT_YVU411, 8, 4, 1, { 2304, 576, 576 }, { 2500, 650, 650 } },
	{ DRM_FORMAT_YUV420, 8, 2, 2, { 2304, 576, 576 }, { 2500, 625, 625 } },
	{ DRM_FORMAT_YVU420, 8, 2, 2, { 2304, 576, 576 }, { 2500, 625, 625 } },
	{ DRM_FORMAT_YUV422, 8, 2, 1, { 2304, 1152, 1152 }, { 2500, 1250, 1250 } },
	{ DRM_FORMAT_YVU422, 8, 2, 1, { 2304, 1152, 1152 }, { 2500, 1250, 1250 } },
	{ DRM_FORMAT_YUV444, 8, 1, 1, { 2304, 2304, 2304 }, { 2500, 2500, 2500 } },
	{ DRM_FORMAT_YVU444, 8, 1, 1, { 2304, 2304, 2304 }, { 2500, 2500, 2500 } },
};

static uint64_t plane_bytes(const struct stile_format *format, uint32_t plane, uint32_t extent) {
	return format_row_bytes(format, plane, extent) * format_plane_height(format, plane, extent);
}

/* Wrong code: chroma of 4:2:2 that is halved downwards; a part of a group that is left out. */
START_TEST(yuv_has_the_bytes_that_its_comment_says) {
	const struct stile_format *format = stile_format_get(yuv[_i].fourcc);
	ck_assert_ptr_nonnull(format);
	ck_assert(format->is_yuv);
	ck_assert(!format->is_float);
	ck_assert_uint_eq(format->bits, yuv[_i].bits);
	ck_assert_uint_eq(format->hsub, yuv[_i].hsub);
	ck_assert_uint_eq(format->vsub, yuv[_i].vsub);
	for (uint32_t i = 0; i < format->plane_count; i++) {
		ck_assert_uint_eq(plane_bytes(format, i, 48), yuv[_i].of_48[i]);
		ck_assert_uint_eq(plane_bytes(format, i, 50), yuv[_i].of_50[i]);
	}
	ck_assert(format->plane_count == 3 || yuv[_i].of_48[format->plane_count] == 0);
}
END_TEST

/* Wrong code: a format in the table that this test does not know, or one twice. */
START_TEST(walk_gives_every_format_once) {
	size_t count = 0, of_yuv = 0;
	for (const struct stile_format *format; (format = stile_format_get_nth(count)) != NULL;) {
		ck_assert_ptr_eq(stile_format_get(format->fourcc), format);
		ck_assert_ptr_nonnull(stile_format_get(format->opaque));
		of_yuv += format->is_yuv;
		count++;
	}
	ck_assert_uint_eq(count, FORMATS);
	ck_assert_uint_eq(of_yuv, ARRAY_LENGTH(yuv));
	ck_assert_ptr_null(stile_format_get_nth(count + 1));
	ck_assert_ptr_null(stile_format_get_nth(SIZE_MAX));
}
END_TEST

START_TEST(unknown_code_gives_nothing) {
	static const uint32_t codes[] = { 0, UINT32_MAX, DRM_FORMAT_C8,
		DRM_FORMAT_XRGB8888 | DRM_FORMAT_BIG_ENDIAN };
	ck_assert_ptr_null(stile_format_get(codes[_i]));
}
END_TEST

/* Wrong code: bytes of another's fourcc printed as they are, into a terminal. */
START_TEST(text_of_rubbish_is_printable) {
	char text[5];
	format_fourcc_text(0x0a1b007f, text);
	ck_assert_str_eq(text, "????");
}
END_TEST

/* Wrong code: (value + align - 1) that wraps around to 0. */
START_TEST(alignment_notices_overflow) {
	uint64_t out = 7;
	ck_assert(format_align(0, 64, &out));
	ck_assert_uint_eq(out, 0);
	ck_assert(format_align(1, 64, &out));
	ck_assert_uint_eq(out, 64);
	ck_assert(format_align(64, 64, &out));
	ck_assert_uint_eq(out, 64);
	ck_assert(format_align(UINT64_MAX, 1, &out));
	ck_assert_uint_eq(out, UINT64_MAX);
	ck_assert(format_align(UINT64_MAX - 63, 64, &out));
	ck_assert_uint_eq(out, UINT64_MAX - 63);
	ck_assert(!format_align(UINT64_MAX - 62, 64, &out));
	ck_assert(!format_align(UINT64_MAX, 2, &out));
}
END_TEST

/* Wrong code: subsampled extents rounded down. */
START_TEST(plane_extent_is_rounded_up) {
	const struct stile_format *nv12 = stile_format_get(DRM_FORMAT_NV12);
	ck_assert_uint_eq(format_plane_width(nv12, 0, 5), 5);
	ck_assert_uint_eq(format_plane_width(nv12, 1, 5), 3);
	ck_assert_uint_eq(format_plane_height(nv12, 1, 1), 1);
	ck_assert_uint_eq(format_plane_height(nv12, 1, UINT32_MAX), UINT32_C(1) << 31);
	ck_assert_uint_eq(format_row_bytes(nv12, 1, 5), 6);
	const struct stile_format *xrgb = stile_format_get(DRM_FORMAT_XRGB8888);
	ck_assert_uint_eq(format_row_bytes(xrgb, 0, UINT32_MAX), UINT64_C(4) * UINT32_MAX);
	const struct stile_format *nv15 = stile_format_get(DRM_FORMAT_NV15);
	ck_assert_uint_eq(format_plane_width(nv15, 0, 9), 3);
	ck_assert_uint_eq(format_plane_width(nv15, 1, 9), 3);
	ck_assert_uint_eq(format_plane_width(nv15, 1, 8), 2);
}
END_TEST

/* Wrong code: any of the three steps done without a check. */
START_TEST(end_of_rows_notices_overflow) {
	uint64_t end;
	ck_assert(format_rows_end(100, 10, 5, 1, &end));
	ck_assert_uint_eq(end, 150);
	ck_assert(format_rows_end(100, 10, 5, 4, &end));
	ck_assert_uint_eq(end, 180);
	ck_assert(format_rows_end(UINT64_MAX - 10, 10, 1, 1, &end));
	ck_assert_uint_eq(end, UINT64_MAX);
	ck_assert(!format_rows_end(UINT64_MAX - 9, 10, 1, 1, &end));
	ck_assert(!format_rows_end(0, UINT64_MAX / 2, 3, 1, &end));
	ck_assert(!format_rows_end(0, 1, UINT64_MAX - 1, 4, &end));
	ck_assert(format_rows_end(0, UINT32_MAX, UINT32_MAX, 1, &end));
	ck_assert_uint_eq(end, (uint64_t)UINT32_MAX * UINT32_MAX);
	ck_assert(!format_rows_end(UINT64_MAX, UINT32_MAX, UINT32_MAX, 1, &end));
}
END_TEST

/* ---- Layouts ------------------------------------------------------------------------------- */

/* As docs/modifiers.md says. */
static const struct format_tiling rows = { .tile_bytes = 512, .tile_rows = 8 };
static const struct format_tiling columns = { .tile_bytes = 128, .tile_rows = 32, .meta_bytes = 8 };

/* By hand. Wrong code: tiles rounded down, metadata without its own alignment, tiles with the other's. */
START_TEST(shape_is_in_whole_tiles) {
	static const struct {
		uint32_t fourcc;
		const struct format_tiling *tiling;
		uint32_t width, height, plane;
		struct format_shape shape;
	} cases[] = {
		{ DRM_FORMAT_XRGB8888, NULL, 100, 50, 0, { 400, 50, 1, 1 } },
		{ DRM_FORMAT_NV12, NULL, 302, 102, 1, { 302, 51, 1, 1 } },
		{ DRM_FORMAT_XRGB8888, &rows, 100, 50, 0, { 512, 56, 512, 4096 } },
		{ DRM_FORMAT_XRGB8888, &rows, 128, 56, 0, { 512, 56, 512, 4096 } },
		{ DRM_FORMAT_XRGB8888, &rows, 129, 57, 0, { 1024, 64, 512, 4096 } },
		{ DRM_FORMAT_R8, &rows, 1, 1, 0, { 512, 8, 512, 4096 } },
		{ DRM_FORMAT_NV12, &rows, 302, 102, 1, { 512, 56, 512, 4096 } },
		{ DRM_FORMAT_XRGB8888, &columns, 96, 64, 0, { 384, 64, 128, 4096 } },
		{ DRM_FORMAT_XRGB8888, &columns, 97, 65, 0, { 512, 96, 128, 4096 } },
		{ DRM_FORMAT_XRGB8888, &columns, 96, 64, 1, { 24, 2, 64, 64 } },
		{ DRM_FORMAT_XRGB8888, &columns, 97, 65, 1, { 32, 3, 64, 64 } },
		{ DRM_FORMAT_NV12, &columns, 302, 102, 0, { 384, 128, 128, 4096 } },
		{ DRM_FORMAT_NV12, &columns, 302, 102, 1, { 384, 64, 128, 4096 } },
		{ DRM_FORMAT_NV12, &columns, 302, 102, 2, { 24, 4, 64, 64 } },
		{ DRM_FORMAT_NV12, &columns, 302, 102, 3, { 24, 2, 64, 64 } },
		{ DRM_FORMAT_YUYV, &rows, 258, 50, 0, { 1024, 56, 512, 4096 } },
		{ DRM_FORMAT_RGB888, &columns, 43, 50, 0, { 256, 64, 128, 4096 } },
		{ DRM_FORMAT_YUV410, &rows, 2052, 36, 2, { 1024, 16, 512, 4096 } },
		{ DRM_FORMAT_XRGB8888, &rows, UINT32_MAX, UINT32_MAX, 0,
			{ UINT64_C(1) << 34, UINT64_C(1) << 32, 512, 4096 } },
		{ DRM_FORMAT_XRGB8888, &columns, UINT32_MAX, UINT32_MAX, 1,
			{ UINT64_C(1) << 30, UINT64_C(1) << 27, 64, 64 } },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct format_shape shape;
		format_get_shape(stile_format_get(cases[i].fourcc), cases[i].tiling, cases[i].plane,
			cases[i].width, cases[i].height, &shape);
		ck_assert_msg(shape.row_bytes == cases[i].shape.row_bytes &&
				shape.rows == cases[i].shape.rows &&
				shape.pitch_align == cases[i].shape.pitch_align &&
				shape.offset_align == cases[i].shape.offset_align,
			"case %zu: %ju x %ju, %u, %u", i, (uintmax_t)shape.row_bytes,
			(uintmax_t)shape.rows, shape.pitch_align, shape.offset_align);
	}
}
END_TEST

/* Wrong code: metadata of the first plane alone. Where there is no room for it: test_image. */
START_TEST(every_plane_has_its_metadata) {
	const struct stile_format *format = stile_format_get_nth((size_t)_i);
	ck_assert_uint_le(format->plane_count, STILE_MAX_PLANES);
	ck_assert_uint_eq(format_plane_count(format, NULL), format->plane_count);
	ck_assert_uint_eq(format_plane_count(format, &rows), format->plane_count);
	ck_assert_uint_eq(format_plane_count(format, &columns), 2 * format->plane_count);
}
END_TEST

struct layout_case {
	const char *what;
	uint32_t fourcc;
	const struct format_tiling *tiling;
	uint32_t width, height;
	struct format_rules rules;
	uint32_t planes;
	struct {
		uint32_t pitch;
		uint64_t offset;
	} plane[STILE_MAX_PLANES];
	uint64_t bytes;
};

#define XRGB DRM_FORMAT_XRGB8888
#define NV12 DRM_FORMAT_NV12

/* By hand. The rules: pitch, offset, rows in groups, rows of padding. */
static const struct layout_case layouts[] = {
	{ "no rules", XRGB, NULL, 100, 50, { 1, 1, 1, 1 }, 1, { { 400, 0 } }, 20000 },
	{ "groups", XRGB, NULL, 100, 50, { 64, 64, 4, 1 }, 1, { { 448, 0 } }, 23296 },
	{ "groups alone", XRGB, NULL, 97, 50, { 1, 1, 4, 1 }, 1, { { 400, 0 } }, 20800 },
	{ "groups of 3 bytes", DRM_FORMAT_RGB888, NULL, 97, 50, { 1, 1, 4, 1 }, 1, { { 300, 0 } },
		15600 },
	{ "groups of 5 bytes", DRM_FORMAT_NV15, NULL, 66, 34, { 1, 1, 4, 1 }, 2,
		{ { 100, 0 }, { 100, 3600 } }, 5600 },
	{ "three planes", DRM_FORMAT_YUV420, NULL, 68, 36, { 64, 64, 4, 1 }, 3,
		{ { 128, 0 }, { 64, 4608 }, { 64, 5888 } }, 7168 },
	{ "pitch", XRGB, NULL, 100, 50, { 256, 64, 4, 1 }, 1, { { 512, 0 } }, 26624 },
	{ "height", XRGB, NULL, 100, 50, { 64, 64, 4, 16 }, 1, { { 448, 0 } }, 28672 },
	{ "height of a group", XRGB, NULL, 100, 50, { 64, 64, 4, 2 }, 1, { { 448, 0 } }, 23296 },
	{ "two planes", NV12, NULL, 68, 36, { 64, 64, 4, 1 }, 2, { { 128, 0 }, { 128, 4608 } },
		7168 },
	{ "two of a height", NV12, NULL, 68, 36, { 64, 64, 4, 16 }, 2,
		{ { 128, 0 }, { 128, 6144 } }, 10240 },
	{ "two at offsets", NV12, NULL, 68, 36, { 64, 4096, 4, 16 }, 2,
		{ { 128, 0 }, { 128, 8192 } }, 12288 },
	{ "rows", XRGB, &rows, 100, 50, { 64, 64, 4, 1 }, 1, { { 512, 0 } }, 28672 },
	{ "rows, pitch", XRGB, &rows, 100, 50, { 1024, 64, 4, 1 }, 1, { { 1024, 0 } }, 57344 },
	{ "rows, height", XRGB, &rows, 100, 50, { 64, 64, 4, 16 }, 1, { { 512, 0 } }, 32768 },
	{ "rows, one pixel", DRM_FORMAT_R8, &rows, 1, 1, { 64, 64, 4, 1 }, 1, { { 512, 0 } },
		4096 },
	{ "rows, two planes", NV12, &rows, 302, 102, { 64, 64, 4, 1 }, 2,
		{ { 512, 0 }, { 512, 53248 } }, 81920 },
	{ "rows at offsets", NV12, &rows, 302, 102, { 64, 65536, 4, 1 }, 2,
		{ { 512, 0 }, { 512, 65536 } }, 94208 },
	{ "columns", XRGB, &columns, 100, 50, { 64, 64, 4, 1 }, 2, { { 512, 0 }, { 64, 32768 } },
		32896 },
	{ "columns, pitch", XRGB, &columns, 100, 50, { 1024, 64, 4, 1 }, 2,
		{ { 1024, 0 }, { 64, 65536 } }, 65664 },
	{ "columns, height", XRGB, &columns, 100, 50, { 64, 64, 4, 128 }, 2,
		{ { 512, 0 }, { 64, 65536 } }, 65664 },
	{ "columns at offsets", XRGB, &columns, 100, 50, { 64, 65536, 4, 1 }, 2,
		{ { 512, 0 }, { 64, 32768 } }, 32896 },
	{ "columns, much metadata", XRGB, &columns, 3000, 50, { 64, 64, 4, 1 }, 2,
		{ { 12032, 0 }, { 768, 770048 } }, 771584 },
	{ "columns, two planes", NV12, &columns, 302, 102, { 64, 64, 4, 1 }, 4,
		{ { 384, 0 }, { 384, 49152 }, { 64, 73728 }, { 64, 73984 } }, 74112 },
};

/* Wrong code: planes that overlap; an alignment forgotten, or applied to metadata. */
START_TEST(layout_is_what_the_rules_say) {
	const struct layout_case *c = &layouts[_i];
	struct stile_image_info info = { .width = c->width, .height = c->height };
	uint64_t bytes;
	ck_assert(format_layout(stile_format_get(c->fourcc), c->tiling, &c->rules, &info, &bytes));
	ck_assert_msg(info.plane_count == c->planes, "%s: %u planes", c->what, info.plane_count);
	for (uint32_t i = 0; i < c->planes; i++) {
		ck_assert_msg(info.planes[i].pitch == c->plane[i].pitch &&
				info.planes[i].offset == c->plane[i].offset,
			"%s: plane %u: pitch %u, offset %ju", c->what, i, info.planes[i].pitch,
			(uintmax_t)info.planes[i].offset);
		ck_assert_int_eq(info.planes[i].fd, -1);
	}
	ck_assert_msg(bytes == c->bytes, "%s: %ju bytes", c->what, (uintmax_t)bytes);
}
END_TEST

/* Wrong code: a pitch cut to 32 bits, an end to 64. */
START_TEST(layout_that_does_not_fit_is_refused) {
	static const struct format_rules rules = { 64, 64, 4, 1 };
	const struct stile_format *xrgb = stile_format_get(XRGB);
	const struct stile_format *r8 = stile_format_get(DRM_FORMAT_R8);
	struct stile_image_info info = { .width = UINT32_MAX, .height = 1 };
	uint64_t bytes;
	ck_assert(!format_layout(xrgb, NULL, &rules, &info, &bytes));
	ck_assert(!format_layout(xrgb, &columns, &rules, &info, &bytes));
	/* A pitch of exactly 4 GiB. */
	ck_assert(!format_layout(r8, &rows, &rules, &info, &bytes));
	info.width = UINT32_MAX / 8;
	info.height = UINT32_MAX;
	ck_assert(format_layout(xrgb, NULL, &rules, &info, &bytes));
	ck_assert_uint_eq(bytes, (uint64_t)info.planes[0].pitch << 32);
	info.width = UINT32_MAX - 511;
	ck_assert(format_layout(r8, &rows, &rules, &info, &bytes));
	ck_assert_uint_eq(bytes, UINT64_MAX - (UINT64_C(1) << 41) + 1);
	/* One plane fits, two do not. */
	info.height = UINT32_MAX - 1;
	ck_assert(!format_layout(stile_format_get(NV12), &rows, &rules, &info, &bytes));
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("format");
	TCase *table = ledger_tcase_create("table");
	tcase_add_loop_test(table, text_is_libdrms, 0, FORMATS);
	tcase_add_loop_test(table, twin_is_named_alike, 0, FORMATS);
	tcase_add_loop_test(table, rgb_is_what_its_name_says, 0, FORMATS);
	tcase_add_loop_test(table, yuv_has_the_bytes_that_its_comment_says, 0, ARRAY_LENGTH(yuv));
	tcase_add_test(table, walk_gives_every_format_once);
	tcase_add_loop_test(table, unknown_code_gives_nothing, 0, 4);
	tcase_add_test(table, text_of_rubbish_is_printable);
	suite_add_tcase(s, table);

	TCase *sizes = ledger_tcase_create("sizes");
	tcase_add_test(sizes, alignment_notices_overflow);
	tcase_add_test(sizes, plane_extent_is_rounded_up);
	tcase_add_test(sizes, end_of_rows_notices_overflow);
	suite_add_tcase(s, sizes);

	TCase *layout = ledger_tcase_create("layout");
	tcase_add_test(layout, shape_is_in_whole_tiles);
	tcase_add_loop_test(layout, every_plane_has_its_metadata, 0, FORMATS);
	tcase_add_loop_test(layout, layout_is_what_the_rules_say, 0, ARRAY_LENGTH(layouts));
	tcase_add_test(layout, layout_that_does_not_fit_is_refused);
	suite_add_tcase(s, layout);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
