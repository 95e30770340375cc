/* SPDX-License-Identifier: MIT */
#include "src/colour.h"

#include <errno.h>
#include <stdbool.h>

#include "src/macros.h"
#include "src/report.h"

/* ---- What makes sense --------------------------------------------------------------------- */

/* The codes that H.273 (07/2024) gives a meaning; and 0, which it reserves for two of them. */
#define CODES(first, last) ((UINT32_C(2) << (last)) - (UINT32_C(1) << (first)))

static const struct {
	const char *name;
	uint32_t known;
} code_points[] = {
	{ "primaries", CODES(0, 2) | CODES(4, 12) | CODES(22, 22) },
	{ "transfer", CODES(0, 2) | CODES(4, 18) },
	{ "matrix", CODES(0, 2) | CODES(4, 17) },
};

static int check_codes(const struct stile_colour *colour, struct stile_report *why) {
	const uint32_t codes[] = { colour->primaries, colour->transfer, colour->matrix };
	for (size_t i = 0; i < ARRAY_LENGTH(code_points); i++) {
		if (codes[i] > 31 || (code_points[i].known >> codes[i] & 1) == 0) {
			return report_refuse(why, -EINVAL, STILE_REASON_COLOUR, 0, 0, codes[i],
				"colour: %s is %u, which H.273 reserves", code_points[i].name,
				codes[i]);
		}
	}
	const struct {
		const char *name;
		uint32_t value, last;
	} choices[] = {
		{ "range", colour->range, STILE_RANGE_FULL },
		{ "horizontal siting", colour->horizontal, STILE_SITING_MIDPOINT },
		{ "vertical siting", colour->vertical, STILE_SITING_MIDPOINT },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(choices); i++) {
		if (choices[i].value > choices[i].last) {
			return report_refuse(why, -EINVAL, STILE_REASON_COLOUR, 0, choices[i].last,
				choices[i].value, "colour: %s is %u, of which the last is %u",
				choices[i].name, choices[i].value, choices[i].last);
		}
	}
	return 0;
}

int colour_check(const struct stile_colour *colour, const struct stile_format *format,
	struct stile_report *why) {
	int ret = check_codes(colour, why);
	if (ret < 0) {
		return ret;
	}
	bool has_matrix = colour->matrix != STILE_MATRIX_IDENTITY;
	if (!format->is_yuv && has_matrix && colour->matrix != STILE_MATRIX_NOT_SAID) {
		return report_refuse(why, -EINVAL, STILE_REASON_COLOUR, 0, STILE_MATRIX_IDENTITY,
			colour->matrix,
			"colour: %s has no luma and chroma, and matrix %u says how they were made; "
			"of RGB it is 0",
			format->name, colour->matrix);
	}
	if (format->is_yuv && !has_matrix && (colour->primaries != 0 || colour->transfer != 0)) {
		return report_refuse(why, -EINVAL, STILE_REASON_COLOUR, 0, STILE_MATRIX_NOT_SAID, 0,
			"colour: matrix 0 is identity, and %s has luma and chroma; 2 is not said",
			format->name);
	}
	return 0;
}

/* ---- From YUV to RGB ---------------------------------------------------------------------- */

static const struct {
	uint32_t matrix;
	double r, b; /* how much red and blue are of luma */
} luma[] = {
	{ STILE_MATRIX_IDENTITY, 0.299, 0.114 },
	{ STILE_MATRIX_NOT_SAID, 0.299, 0.114 },
	{ STILE_MATRIX_BT709, 0.2126, 0.0722 },
	{ STILE_MATRIX_FCC, 0.30, 0.11 },
	{ STILE_MATRIX_BT470BG, 0.299, 0.114 },
	{ STILE_MATRIX_BT601, 0.299, 0.114 },
	{ STILE_MATRIX_SMPTE240M, 0.212, 0.087 },
	{ STILE_MATRIX_BT2020, 0.2627, 0.0593 },
};

/* From luma of 0 to 1 and chroma of -1/2 to 1/2. False: H.273 does it in another way. */
static bool find_weights(uint32_t matrix, double weights[3][3]) {
	if (matrix == STILE_MATRIX_YCGCO) {
		/* Cb is Cg, and Cr is Co. */
		static const double signs[3][3] = { { 1, -1, 1 }, { 1, 1, 0 }, { 1, -1, -1 } };
		for (int i = 0; i < 9; i++) {
			weights[i / 3][i % 3] = signs[i / 3][i % 3];
		}
		return true;
	}
	size_t i = 0;
	while (i < ARRAY_LENGTH(luma) && luma[i].matrix != matrix) {
		i++;
	}
	if (i == ARRAY_LENGTH(luma)) {
		return false;
	}
	double r = luma[i].r, b = luma[i].b, g = 1 - r - b;
	weights[0][0] = weights[1][0] = weights[2][0] = 1;
	weights[0][1] = weights[2][2] = 0;
	weights[0][2] = 2 * (1 - r);
	weights[1][1] = -2 * (1 - b) * b / g;
	weights[1][2] = -2 * (1 - r) * r / g;
	weights[2][1] = 2 * (1 - b);
	return true;
}

/* What numbers are for a component: (number - zero) / one. H.273, 8.3. */
struct scale {
	double zero, one;
};

static struct scale get_scale(const struct stile_colour *colour, uint32_t bits, bool is_chroma) {
	double step = (double)(UINT32_C(1) << (bits - 8)), count = 256 * step;
	if (colour->range == STILE_RANGE_FULL) {
		return (struct scale){ is_chroma ? count / 2 : 0, count - 1 };
	}
	/* Chroma of YCgCo is made of numbers that are in the range already. */
	bool is_wider = is_chroma && colour->matrix != STILE_MATRIX_YCGCO;
	return (struct scale){ (is_chroma ? 128 : 16) * step, (is_wider ? 224 : 219) * step };
}

int stile_colour_get_matrix(
	const struct stile_colour *colour, uint32_t bits, uint32_t sample_bits, float rows[3][4]) {
	if (bits < 8 || bits > sample_bits || sample_bits > 16) {
		return -EINVAL;
	}
	double weights[3][3];
	if (!find_weights(colour->matrix, weights)) {
		return -EOPNOTSUPP;
	}
	/* The number that a sample of 1 has, and what is below its last bit. */
	double highest = (double)((UINT32_C(1) << sample_bits) - 1) /
		(double)(UINT32_C(1) << (sample_bits - bits));
	for (int i = 0; i < 3; i++) {
		double sum = 0;
		for (int k = 0; k < 3; k++) {
			struct scale scale = get_scale(colour, bits, k > 0);
			rows[i][k] = (float)(weights[i][k] * highest / scale.one);
			sum -= weights[i][k] * scale.zero / scale.one;
		}
		rows[i][3] = (float)sum;
	}
	return 0;
}
