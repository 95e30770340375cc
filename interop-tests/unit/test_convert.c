/* SPDX-License-Identifier: MIT */
/* YUV to RGB: every number there is, and every layout. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <stile/swgpu_modifier.h>

#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/picture.h"
#include "interop-tests/support/reference.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum { BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE };

static const enum stile_swgpu_matrix matrices[] = {
	STILE_SWGPU_BT601,
	STILE_SWGPU_BT709,
	STILE_SWGPU_BT2020,
};

enum { MATRICES = 3, RANGES = 2, LAYOUTS = 3, COLOURS = 4 };

static struct stile_device *device;

/* ---- The reference itself ------------------------------------------------------------------- */

/* H.273 as it is written; in floating point, which is not exact. */
static void rgb_in_double(enum stile_swgpu_matrix matrix, enum stile_swgpu_range range,
	const uint8_t yuv[3], double rgb[3]) {
	const double kr = matrix == STILE_SWGPU_BT601 ? 0.299
		: matrix == STILE_SWGPU_BT709         ? 0.2126
						      : 0.2627;
	const double kb = matrix == STILE_SWGPU_BT601 ? 0.114
		: matrix == STILE_SWGPU_BT709         ? 0.0722
						      : 0.0593;
	const bool full = range == STILE_SWGPU_FULL;
	const double y = full ? yuv[0] / 255.0 : (yuv[0] - 16) / 219.0;
	const double pb = full ? (yuv[1] - 128) / 255.0 : (yuv[1] - 128) / 224.0;
	const double pr = full ? (yuv[2] - 128) / 255.0 : (yuv[2] - 128) / 224.0;
	const double red = y + 2 * (1 - kr) * pr, blue = y + 2 * (1 - kb) * pb;
	rgb[0] = 255 * red;
	rgb[1] = 255 * ((y - kr * red - kb * blue) / (1 - kr - kb));
	rgb[2] = 255 * blue;
}

/* Wrong code: a reference that is as wrong as what it is compared with. */
START_TEST(reference_is_the_formula) {
	const enum stile_swgpu_matrix matrix = matrices[_i % MATRICES];
	const enum stile_swgpu_range range = 1 + (unsigned)_i / MATRICES;
	for (unsigned n = 0; n < 1u << 24; n += 7) {
		const uint8_t yuv[] = { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16) };
		uint8_t rgb[3];
		double exact[3];
		reference_rgb(matrix, range, yuv, rgb);
		rgb_in_double(matrix, range, yuv, exact);
		for (int i = 0; i < 3; i++) {
			double clamped = exact[i] < 0 ? 0 : exact[i] > 255 ? 255 : exact[i];
			/* Between two, floating point cannot tell. */
			if (fabs(clamped - rgb[i]) > 0.5 + 1e-9) {
				ck_abort_msg("channel %d of %u, %u, %u is %u, not %f", i, yuv[0],
					yuv[1], yuv[2], rgb[i], exact[i]);
			}
		}
	}
}
END_TEST

/* ---- Every number --------------------------------------------------------------------------- */

/*
 * Each sample of chroma has four of luma, and all colours are there. With the sanitizers, which make this
 * slow, only some of the lumas for each chroma, others for each.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { EDGE = 1024 };
#else
enum { EDGE = 4096 };
#endif
enum { CHROMA = EDGE / 2, REPEATS = CHROMA * CHROMA / 65536, LUMA_STEP = 256 / (4 * REPEATS) };

/* The numbers at a sample of chroma, the n-th. */
static void yuv_at(uint32_t n, uint32_t luma, uint8_t yuv[3]) {
	yuv[0] = (uint8_t)((n % REPEATS * 4 + luma) * LUMA_STEP + n / REPEATS % LUMA_STEP);
	yuv[1] = (uint8_t)(n / REPEATS);
	yuv[2] = (uint8_t)(n / REPEATS / 256);
}

static void make_all(uint8_t *luma, uint8_t *chroma) {
	for (uint32_t n = 0; n < CHROMA * CHROMA; n++) {
		uint32_t x = n % CHROMA, y = n / CHROMA;
		uint8_t yuv[3];
		for (uint32_t i = 0; i < 4; i++) {
			yuv_at(n, i, yuv);
			luma[(size_t)(2 * y + i / 2) * EDGE + 2 * x + i % 2] = yuv[0];
		}
		memcpy(chroma + (size_t)2 * n, yuv + 1, 2);
	}
}

static void check_all(
	enum stile_swgpu_matrix matrix, enum stile_swgpu_range range, const uint8_t *pixels) {
	for (uint32_t n = 0; n < CHROMA * CHROMA; n++) {
		uint32_t x = n % CHROMA, y = n / CHROMA;
		for (uint32_t i = 0; i < 4; i++) {
			const uint8_t *is =
				pixels + 4 * ((size_t)(2 * y + i / 2) * EDGE + 2 * x + i % 2);
			uint8_t yuv[3], rgb[3];
			yuv_at(n, i, yuv);
			reference_rgb(matrix, range, yuv, rgb);
			if (is[2] != rgb[0] || is[1] != rgb[1] || is[0] != rgb[2] || is[3] != 255) {
				ck_abort_msg("%u, %u, %u gives %u, %u, %u, not %u, %u, %u", yuv[0],
					yuv[1], yuv[2], is[2], is[1], is[0], rgb[0], rgb[1],
					rgb[2]);
			}
		}
	}
}

static struct stile_image *create_large(uint32_t fourcc) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = EDGE,
		.height = EDGE,
		.fourcc = fourcc,
		.usage = BOTH,
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	return image;
}

/* Wrong code: coefficients of few bits; sums rounded in parts; values that wrap instead of being clamped. */
START_TEST(every_colour_is_the_exact_value_rounded) {
	const enum stile_swgpu_matrix matrix = matrices[_i % MATRICES];
	const enum stile_swgpu_range range = 1 + (unsigned)_i / MATRICES;
	device = gpu_open(NULL);
	struct stile_image *yuv = create_large(DRM_FORMAT_NV12);
	struct stile_image *rgb = create_large(DRM_FORMAT_XRGB8888);
	uint8_t *luma = malloc(EDGE * EDGE), *chroma = malloc(CHROMA * EDGE);
	uint8_t *pixels = malloc((size_t)EDGE * EDGE * 4);
	ck_assert(luma != NULL && chroma != NULL && pixels != NULL);
	make_all(luma, chroma);
	struct stile_swgpu_list *list;
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	ck_assert_int_eq(stile_swgpu_list_upload(list, yuv, 0, luma, EDGE), 0);
	ck_assert_int_eq(stile_swgpu_list_upload(list, yuv, 1, chroma, EDGE), 0);
	ck_assert_int_eq(stile_swgpu_list_convert(list, yuv, rgb, matrix, range), 0);
	ck_assert_int_eq(stile_swgpu_list_download(list, rgb, 0, pixels, EDGE * 4), 0);
	ck_assert_int_eq(gpu_finish(gpu_submit(stile_swgpu_get_queue(device), list)), 1);
	check_all(matrix, range, pixels);
	free(luma);
	free(chroma);
	free(pixels);
	stile_image_unref(yuv);
	stile_image_unref(rgb);
	stile_device_destroy(device);
}
END_TEST

/* ---- Every layout --------------------------------------------------------------------------- */

/* Wrong code: chroma of the pixel's own column; rows of chroma skipped; red and blue swapped. */
START_TEST(convert_takes_every_layout) {
	static const char *const devices[] = { NULL, "coherent=no", "seed=7" };
	static const uint64_t layouts[] = { DRM_FORMAT_MOD_LINEAR, STILE_SWGPU_MOD_TILED_ROWS,
		STILE_SWGPU_MOD_TILED_COLUMNS };
	static const uint32_t formats[COLOURS] = { DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888,
		DRM_FORMAT_XBGR8888, DRM_FORMAT_ABGR8888 };
	static const struct {
		uint32_t width, height;
	} extents[] = { { 2, 2 }, { 30, 34 }, { 258, 6 }, { 300, 100 }, { 702, 614 } };
	device = gpu_open(devices[_i / (LAYOUTS * LAYOUTS)]);
	uint64_t seed = runner_seed();
	for (size_t i = 0; i < ARRAY_LENGTH(extents); i++) {
		const struct picture_info yuv = { DRM_FORMAT_NV12, extents[i].width,
			extents[i].height, layouts[_i / LAYOUTS % LAYOUTS], i % 2 == 0 };
		const struct picture_info rgb = { formats[((size_t)_i + i) % COLOURS], yuv.width,
			yuv.height, layouts[_i % LAYOUTS], i % 3 == 0 };
		const enum stile_swgpu_matrix matrix = matrices[i % MATRICES];
		const enum stile_swgpu_range range = 1 + (unsigned)i % RANGES;
		struct picture from = picture_make(device, &yuv, &seed);
		struct picture to = picture_make(device, &rgb, &seed);
		struct stile_swgpu_list *list;
		ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
		ck_assert_int_eq(
			stile_swgpu_list_convert(list, from.image, to.image, matrix, range), 0);
		ck_assert_int_eq(gpu_finish(gpu_submit(stile_swgpu_get_queue(device), list)), 1);
		reference_convert(&to, &from, matrix, range);
		picture_check(&to, "the target");
		picture_check(&from, "the source");
		picture_destroy(&from);
		picture_destroy(&to);
	}
	stile_device_destroy(device);
}
END_TEST

static Suite *make(void) {
	Suite *suite = suite_create("convert");
	TCase *colours = ledger_tcase_create("colours");
	tcase_set_timeout(colours, 60);
	tcase_add_loop_test(colours, reference_is_the_formula, 0, MATRICES * RANGES);
	tcase_add_loop_test(colours, every_colour_is_the_exact_value_rounded, 0, MATRICES * RANGES);
	suite_add_tcase(suite, colours);

	TCase *kinds = ledger_tcase_create("layouts");
	tcase_add_loop_test(kinds, convert_takes_every_layout, 0, 3 * LAYOUTS * LAYOUTS);
	suite_add_tcase(suite, kinds);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make, NULL);
}
