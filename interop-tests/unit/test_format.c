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
START_TEST(plane_end_notices_overflow) {
	const struct stile_format *r8 = stile_format_get(DRM_FORMAT_R8);
	uint64_t end;
	ck_assert(format_plane_end(r8, 0, 5, 100, 10, 1, &end));
	ck_assert_uint_eq(end, 150);
	ck_assert(format_plane_end(r8, 0, 5, 100, 10, 4, &end));
	ck_assert_uint_eq(end, 180);
	ck_assert(format_plane_end(r8, 0, 1, UINT64_MAX - 10, 10, 1, &end));
	ck_assert_uint_eq(end, UINT64_MAX);
	ck_assert(!format_plane_end(r8, 0, 1, UINT64_MAX - 9, 10, 1, &end));
	ck_assert(!format_plane_end(r8, 0, 3, 0, UINT64_MAX / 2, 1, &end));
	ck_assert(format_plane_end(r8, 0, UINT32_MAX, 0, UINT32_MAX, 1, &end));
	ck_assert_uint_eq(end, (uint64_t)UINT32_MAX * UINT32_MAX);
	ck_assert(!format_plane_end(r8, 0, UINT32_MAX, UINT64_MAX, UINT32_MAX, 1, &end));
}
END_TEST

/* Wrong code: a pitch cut to 32 bits. */
START_TEST(layout_that_does_not_fit_is_refused) {
	struct stile_image_info info = { .width = UINT32_MAX, .height = 1 };
	uint64_t bytes;
	ck_assert(!format_layout(stile_format_get(DRM_FORMAT_XRGB8888), &info, 64, 64, 4, &bytes));
	info.width = UINT32_MAX / 8;
	info.height = UINT32_MAX;
	ck_assert(format_layout(stile_format_get(DRM_FORMAT_XRGB8888), &info, 64, 64, 4, &bytes));
	ck_assert_uint_eq(bytes, (uint64_t)info.planes[0].pitch << 32);
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
	tcase_add_test(sizes, plane_end_notices_overflow);
	tcase_add_test(sizes, layout_that_does_not_fit_is_refused);
	suite_add_tcase(s, sizes);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
