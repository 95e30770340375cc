/* SPDX-License-Identifier: MIT */
/* Formats, and the arithmetic on sizes that everything else relies on. */
#include <string.h>

#include <stile/format.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/format.h"
#include "src/macros.h"

/* By hand from drm_fourcc.h: the fourcc's text, its planes as bytes, hsub, vsub. */
static const struct {
	uint32_t fourcc;
	const char *name, *text;
	uint32_t opaque;
	uint32_t planes;
	uint8_t plane[2][3];
} known[] = {
	{ DRM_FORMAT_XRGB8888, "XRGB8888", "XR24", DRM_FORMAT_XRGB8888, 1, { { 4, 1, 1 } } },
	{ DRM_FORMAT_ARGB8888, "ARGB8888", "AR24", DRM_FORMAT_XRGB8888, 1, { { 4, 1, 1 } } },
	{ DRM_FORMAT_XBGR8888, "XBGR8888", "XB24", DRM_FORMAT_XBGR8888, 1, { { 4, 1, 1 } } },
	{ DRM_FORMAT_ABGR8888, "ABGR8888", "AB24", DRM_FORMAT_XBGR8888, 1, { { 4, 1, 1 } } },
	{ DRM_FORMAT_R8, "R8", "R8  ", DRM_FORMAT_R8, 1, { { 1, 1, 1 } } },
	{ DRM_FORMAT_NV12, "NV12", "NV12", DRM_FORMAT_NV12, 2, { { 1, 1, 1 }, { 2, 2, 2 } } },
};

/* Wrong code: an alpha format whose opaque twin has its channels in another order. */
START_TEST(format_is_what_its_code_says) {
	const struct stile_format *format = stile_format_get(known[_i].fourcc);
	ck_assert_ptr_nonnull(format);
	ck_assert_uint_eq(format->fourcc, known[_i].fourcc);
	ck_assert_str_eq(format->name, known[_i].name);
	ck_assert_uint_eq(format->opaque, known[_i].opaque);
	ck_assert_uint_eq(format->plane_count, known[_i].planes);
	for (uint32_t i = 0; i < format->plane_count; i++) {
		ck_assert_uint_eq(format->planes[i].bytes, known[_i].plane[i][0]);
		ck_assert_uint_eq(format->planes[i].hsub, known[_i].plane[i][1]);
		ck_assert_uint_eq(format->planes[i].vsub, known[_i].plane[i][2]);
	}
	char text[5];
	format_fourcc_text(known[_i].fourcc, text);
	ck_assert_str_eq(text, known[_i].text);
}
END_TEST

/* Wrong code: a format in the table that this test does not know, or one twice. */
START_TEST(walk_gives_every_format_once) {
	size_t count = 0;
	for (const struct stile_format *format; (format = stile_format_get_nth(count)) != NULL;) {
		ck_assert_ptr_eq(stile_format_get(format->fourcc), format);
		ck_assert_ptr_nonnull(stile_format_get(format->opaque));
		count++;
	}
	ck_assert_uint_eq(count, ARRAY_LENGTH(known));
	ck_assert_ptr_null(stile_format_get_nth(count + 1));
	ck_assert_ptr_null(stile_format_get_nth(SIZE_MAX));
}
END_TEST

START_TEST(unknown_code_gives_nothing) {
	static const uint32_t codes[] = { 0, UINT32_MAX, DRM_FORMAT_RGB565,
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

/* Wrong code: a format with so many planes that an image has no room for their metadata. */
START_TEST(all_planes_and_their_metadata_have_room) {
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		ck_assert_uint_eq(format_plane_count(format, NULL), format->plane_count);
		ck_assert_uint_eq(format_plane_count(format, &rows), format->plane_count);
		ck_assert_uint_eq(format_plane_count(format, &columns), 2 * format->plane_count);
		ck_assert_uint_le(format_plane_count(format, &columns), STILE_MAX_PLANES);
	}
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
	tcase_add_loop_test(table, format_is_what_its_code_says, 0, ARRAY_LENGTH(known));
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
	tcase_add_test(layout, all_planes_and_their_metadata_have_room);
	tcase_add_loop_test(layout, layout_is_what_the_rules_say, 0, ARRAY_LENGTH(layouts));
	tcase_add_test(layout, layout_that_does_not_fit_is_refused);
	suite_add_tcase(s, layout);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
