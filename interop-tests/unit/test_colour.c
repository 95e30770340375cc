/* SPDX-License-Identifier: MIT */
/* Which colours an image's numbers mean: what is refused, what is kept, and the way back to RGB. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include <stile/device.h>
#include <stile/image.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

static struct stile_device *device;

static void setup(void) {
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
}

static void teardown(void) {
	stile_device_destroy(device);
}

static struct stile_image_info describe(uint32_t fourcc, struct stile_colour colour) {
	return (struct stile_image_info){
		.size = sizeof(struct stile_image_info),
		.width = 16,
		.height = 16,
		.fourcc = fourcc,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.colour = colour,
	};
}

static const struct stile_colour hdtv = { 1, 1, STILE_MATRIX_BT709, STILE_RANGE_LIMITED,
	STILE_SITING_COSITED, STILE_SITING_MIDPOINT };

/* ---- What an image has -------------------------------------------------------------------- */

struct colour_case {
	const char *what;
	uint32_t fourcc;
	struct stile_colour colour;
	int ret;
};

/*
 * H.273, tables 2 to 4: reserved are 0 and 3 of primaries and transfer, 3 of matrix, and what is behind the
 * last one. Wrong code: a code looked up with another's table; 32 taken for 0; identity taken for not said.
 */
static const struct colour_case colour_cases[] = {
	{ "nothing", DRM_FORMAT_NV12, { 0 }, 0 },
	{ "nothing, of RGB", DRM_FORMAT_XRGB8888, { 0 }, 0 },
	{ "2 is nothing", DRM_FORMAT_NV12, { 2, 2, 2, 0, 0, 0 }, 0 },
	{ "2 is nothing, of RGB", DRM_FORMAT_XRGB8888, { 2, 2, 2, 0, 0, 0 }, 0 },
	{ "only the range", DRM_FORMAT_NV12, { .range = STILE_RANGE_FULL }, 0 },
	{ "limited RGB", DRM_FORMAT_XRGB8888, { 1, 13, 0, STILE_RANGE_LIMITED, 0, 0 }, 0 },
	{ "primaries 3", DRM_FORMAT_NV12, { .primaries = 3, .matrix = 1 }, -EINVAL },
	{ "primaries 12", DRM_FORMAT_NV12, { .primaries = 12, .matrix = 1 }, 0 },
	{ "primaries 13", DRM_FORMAT_NV12, { .primaries = 13, .matrix = 1 }, -EINVAL },
	{ "primaries 22", DRM_FORMAT_NV12, { .primaries = 22, .matrix = 1 }, 0 },
	{ "primaries 23", DRM_FORMAT_NV12, { .primaries = 23, .matrix = 1 }, -EINVAL },
	{ "primaries 32", DRM_FORMAT_NV12, { .primaries = 32, .matrix = 1 }, -EINVAL },
	{ "transfer 3", DRM_FORMAT_NV12, { .transfer = 3, .matrix = 1 }, -EINVAL },
	{ "transfer 13", DRM_FORMAT_NV12, { .transfer = 13, .matrix = 1 }, 0 },
	{ "transfer 18", DRM_FORMAT_NV12, { .transfer = 18, .matrix = 1 }, 0 },
	{ "transfer 19", DRM_FORMAT_NV12, { .transfer = 19, .matrix = 1 }, -EINVAL },
	{ "matrix 3", DRM_FORMAT_NV12, { .matrix = 3 }, -EINVAL },
	{ "matrix 17", DRM_FORMAT_NV12, { .matrix = 17 }, 0 },
	{ "matrix 18", DRM_FORMAT_NV12, { .matrix = 18 }, -EINVAL },
	{ "matrix UINT32_MAX", DRM_FORMAT_NV12, { .matrix = UINT32_MAX }, -EINVAL },
	{ "no range", DRM_FORMAT_NV12, { .range = (enum stile_colour_range)3 }, -EINVAL },
	{ "no horizontal siting", DRM_FORMAT_NV12, { .horizontal = (enum stile_chroma_siting)3 },
		-EINVAL },
	{ "no vertical siting", DRM_FORMAT_NV12, { .vertical = (enum stile_chroma_siting)3 },
		-EINVAL },
	{ "identity of YUV, with primaries", DRM_FORMAT_NV12, { .primaries = 1 }, -EINVAL },
	{ "identity of YUV, with transfer", DRM_FORMAT_YUYV, { .transfer = 13 }, -EINVAL },
	{ "a matrix of RGB", DRM_FORMAT_XRGB8888, { .matrix = 1 }, -EINVAL },
	{ "a matrix of a single component", DRM_FORMAT_R8, { .matrix = 6 }, -EINVAL },
};

START_TEST(colour_that_cannot_be_is_refused) {
	const struct colour_case *c = &colour_cases[_i];
	struct stile_image_info info = describe(c->fourcc, c->colour);
	struct stile_image *image;
	int ret = stile_image_create(device, &info, &image);
	ck_assert_msg(ret == c->ret, "%s: %d", c->what, ret);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: checked where memory is made, and not where it comes by descriptor. */
START_TEST(colour_of_an_import_is_refused_with_the_reason) {
	struct stile_image_info info = describe(DRM_FORMAT_NV12, hdtv);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_image *image, *again;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	info.size = sizeof(info);
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	info.colour.transfer = 99;
	ck_assert_int_eq(stile_image_import(device, &info, &why, &again), -EINVAL);
	ck_assert_int_eq(why.reason, STILE_REASON_COLOUR);
	ck_assert_uint_eq(why.actual, 99);
	ck_assert_ptr_nonnull(strstr(why.text, "transfer is 99"));
	ck_assert_int_eq(stile_image_check(device, &info, NULL), -EINVAL);
	for (uint32_t i = 0; i < info.plane_count; i++) {
		close(info.planes[i].fd);
	}
	stile_image_unref(image);
}
END_TEST

/* Wrong code: lost on the way through a descriptor. */
START_TEST(colour_is_kept_and_handed_on) {
	struct stile_image_info info = describe(DRM_FORMAT_NV12, hdtv);
	struct stile_image *image, *again;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	ck_assert_mem_eq(&stile_image_get_info(image)->colour, &hdtv, sizeof(hdtv));
	memset(&info, 0, sizeof(info));
	info.size = sizeof(info);
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &again), 0);
	ck_assert_mem_eq(&stile_image_get_info(again)->colour, &hdtv, sizeof(hdtv));
	for (uint32_t i = 0; i < info.plane_count; i++) {
		close(info.planes[i].fd);
	}
	stile_image_unref(again);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: an application that was built before there were colours can no longer export. */
START_TEST(struct_without_colour_is_taken_and_filled) {
	const size_t before = offsetof(struct stile_image_info, colour);
	struct stile_image_info info = describe(DRM_FORMAT_NV12, hdtv);
	struct stile_image *image;
	info.size = before;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	ck_assert_uint_eq(stile_image_get_info(image)->colour.matrix, 0);
	memset(&info, 0x55, sizeof(info));
	info.size = before;
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	ck_assert_uint_eq(info.colour.matrix, 0x55555555);
	close(info.planes[0].fd);
	close(info.planes[1].fd);
	stile_image_unref(image);
}
END_TEST

/* ---- The way back ------------------------------------------------------------------------- */

/* H.273, equations 20 to 34: from RGB to numbers of so many bits, which are not rounded. */
static void make_numbers(
	double r, double b, bool full, uint32_t bits, const double rgb[3], double numbers[3]) {
	double y = r * rgb[0] + (1 - r - b) * rgb[1] + b * rgb[2];
	double u = (rgb[2] - y) / (2 * (1 - b)), v = (rgb[0] - y) / (2 * (1 - r));
	double step = pow(2, bits - 8), most = pow(2, bits) - 1, middle = pow(2, bits - 1);
	numbers[0] = full ? most * y : step * (219 * y + 16);
	numbers[1] = full ? most * u + middle : step * (224 * u + 128);
	numbers[2] = full ? most * v + middle : step * (224 * v + 128);
}

/* Equations 45 to 47: of RGB that is in its range already. */
static void make_ycgco(bool full, uint32_t bits, const double rgb[3], double numbers[3]) {
	double of[3], step = pow(2, bits - 8), middle = pow(2, bits - 1);
	for (int i = 0; i < 3; i++) {
		of[i] = full ? (pow(2, bits) - 1) * rgb[i] : step * (219 * rgb[i] + 16);
	}
	numbers[0] = of[1] / 2 + (of[0] + of[2]) / 4;
	numbers[1] = of[1] / 2 - (of[0] + of[2]) / 4 + middle;
	numbers[2] = (of[0] - of[2]) / 2 + middle;
}

struct matrix_case {
	uint32_t matrix;
	double r, b; /* of table 4, but where it says all of it by words */
	enum stile_colour_range range;
	uint32_t bits, sample_bits;
};

static const struct matrix_case matrix_cases[] = {
#define RANGES(matrix, r, b, bits, sample_bits) \
	{ matrix, r, b, STILE_RANGE_LIMITED, bits, sample_bits }, { \
		matrix, r, b, STILE_RANGE_FULL, bits, sample_bits \
	}
#define MATRIX(matrix, r, b) \
	RANGES(matrix, r, b, 8, 8), RANGES(matrix, r, b, 10, 16), RANGES(matrix, r, b, 12, 16), \
		RANGES(matrix, r, b, 16, 16), RANGES(matrix, r, b, 10, 10)
	MATRIX(1, 0.2126, 0.0722),
	MATRIX(4, 0.30, 0.11),
	MATRIX(5, 0.299, 0.114),
	MATRIX(6, 0.299, 0.114),
	MATRIX(7, 0.212, 0.087),
	MATRIX(8, 0, 0),
	MATRIX(9, 0.2627, 0.0593),
	/* Not said. */
	MATRIX(0, 0.299, 0.114),
	MATRIX(2, 0.299, 0.114),
	{ 1, 0.2126, 0.0722, STILE_RANGE_NOT_SAID, 8, 8 },
};

static void check_colour(const struct matrix_case *c, const double rgb[3]) {
	bool full = c->range == STILE_RANGE_FULL;
	const struct stile_colour colour = { .matrix = c->matrix, .range = c->range };
	float rows[3][4];
	double numbers[3];
	ck_assert_int_eq(stile_colour_get_matrix(&colour, c->bits, c->sample_bits, rows), 0);
	if (c->matrix == STILE_MATRIX_YCGCO) {
		make_ycgco(full, c->bits, rgb, numbers);
	} else {
		make_numbers(c->r, c->b, full, c->bits, rgb, numbers);
	}
	for (int i = 0; i < 3; i++) {
		double is = (double)rows[i][3];
		for (int k = 0; k < 3; k++) {
			double sample = numbers[k] * pow(2, c->sample_bits - c->bits) /
				(pow(2, c->sample_bits) - 1);
			is += (double)rows[i][k] * sample;
		}
		ck_assert_msg(fabs(is - rgb[i]) < 2e-6,
			"matrix %u, range %d, %u of %u bits: %c is %f, not %f", c->matrix, c->range,
			c->bits, c->sample_bits, "RGB"[i], is, rgb[i]);
	}
}

/*
 * Wrong code: two coefficients swapped or of another matrix; chroma in the range of luma, or the other way
 * round; the middle of chroma at 127.5; bits that are taken from the other end, or for parts of 65535.
 */
START_TEST(matrix_takes_numbers_back_to_the_colour) {
	static const double colours[][3] = { { 0, 0, 0 }, { 1, 1, 1 }, { 1, 0, 0 }, { 0, 1, 0 },
		{ 0, 0, 1 }, { 0.25, 0.5, 0.875 } };
	for (size_t i = 0; i < ARRAY_LENGTH(colours); i++) {
		check_colour(&matrix_cases[_i], colours[i]);
	}
}
END_TEST

/* The numbers that books have, of 8 bits in limited range. Wrong code: the test's own formulas, too. */
START_TEST(matrices_are_known_by_hand) {
	static const struct {
		uint32_t matrix;
		double r_v, g_u, g_v, b_u;
	} known[] = {
		{ STILE_MATRIX_BT601, 1.5960, -0.3918, -0.8130, 2.0172 },
		{ STILE_MATRIX_BT709, 1.7927, -0.2132, -0.5329, 2.1124 },
		{ STILE_MATRIX_BT2020, 1.6787, -0.1873, -0.6504, 2.1418 },
	};
	const struct stile_colour colour = { .matrix = known[_i].matrix };
	float rows[3][4];
	ck_assert_int_eq(stile_colour_get_matrix(&colour, 8, 8, rows), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_double_eq_tol((double)rows[i][0], 1.1644, 1e-4);
	}
	ck_assert_double_eq_tol((double)rows[0][1], 0, 1e-4);
	ck_assert_double_eq_tol((double)rows[0][2], known[_i].r_v, 1e-4);
	ck_assert_double_eq_tol((double)rows[1][1], known[_i].g_u, 1e-4);
	ck_assert_double_eq_tol((double)rows[1][2], known[_i].g_v, 1e-4);
	ck_assert_double_eq_tol((double)rows[2][1], known[_i].b_u, 1e-4);
	ck_assert_double_eq_tol((double)rows[2][2], 0, 1e-4);
}
END_TEST

/* Wrong code: constant luminance, or Dolby's, computed as if it were a sum; rows written all the same. */
START_TEST(matrix_that_is_no_sum_is_refused) {
	float rows[3][4] = { { 7 } };
	for (uint32_t matrix = 10; matrix <= 17; matrix++) {
		const struct stile_colour colour = { .matrix = matrix };
		ck_assert_int_eq(stile_colour_get_matrix(&colour, 8, 8, rows), -EOPNOTSUPP);
	}
	static const uint32_t bits[][2] = { { 0, 8 }, { 7, 8 }, { 10, 8 }, { 17, 17 }, { 8, 32 } };
	for (size_t i = 0; i < ARRAY_LENGTH(bits); i++) {
		ck_assert_int_eq(
			stile_colour_get_matrix(&hdtv, bits[i][0], bits[i][1], rows), -EINVAL);
	}
	ck_assert(rows[0][0] > 6.5f);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("colour");
	TCase *images = ledger_tcase_create("images");
	tcase_add_checked_fixture(images, setup, teardown);
	tcase_add_loop_test(
		images, colour_that_cannot_be_is_refused, 0, ARRAY_LENGTH(colour_cases));
	tcase_add_test(images, colour_of_an_import_is_refused_with_the_reason);
	tcase_add_test(images, colour_is_kept_and_handed_on);
	tcase_add_test(images, struct_without_colour_is_taken_and_filled);
	suite_add_tcase(s, images);

	TCase *matrices = ledger_tcase_create("matrices");
	tcase_add_loop_test(
		matrices, matrix_takes_numbers_back_to_the_colour, 0, ARRAY_LENGTH(matrix_cases));
	tcase_add_loop_test(matrices, matrices_are_known_by_hand, 0, 3);
	tcase_add_test(matrices, matrix_that_is_no_sum_is_refused);
	suite_add_tcase(s, matrices);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
