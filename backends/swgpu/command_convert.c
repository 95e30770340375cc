/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <errno.h>

#include "backends/swgpu/command.h"

/*
 * From YUV to RGB, with luma coefficients r, g and b that are 1 together (H.273, equations 38 to 40,
 * reversed):
 *
 *     R = y + 2 (1 - r) v
 *     G = y - 2 (1 - b) b / g u - 2 (1 - r) r / g v
 *     B = y + 2 (1 - b) u
 *
 * with y = Y, u = U - 128 and v = V - 128 in full range, y = 255 / 219 (Y - 16), u = 255 / 224 (U - 128)
 * and v likewise in limited range.
 *
 * All of it is rational, with a common denominator below 2^36: a sum that is not exactly between two
 * integers is more than 2^-37 away from that. Each product is in a table, cut off after 40 bits, so that
 * three of them are less than 3 x 2^-40 off; with four of those more than one half added, rounding is
 * exact: to the nearest, upwards from between two.
 */
enum {
	FRACTION_BITS = 40,
	ONE = 10000,
	/* Sums are above -LEAST, and below SUMS - LEAST. */
	LEAST = 384,
	SUMS = 1024,
};

struct tables {
	int64_t y[256]; /* with what rounding takes, and LEAST */
	int64_t v_to_r[256];
	int64_t u_to_g[256];
	int64_t v_to_g[256];
	int64_t u_to_b[256];
	/* From sums to channels of a pixel, clamped, in their places; with alpha in one of them. */
	uint32_t r[SUMS];
	uint32_t g[SUMS];
	uint32_t b[SUMS];
};

struct convert {
	struct command command;
	struct operand y;
	struct operand uv;
	struct operand rgb;
	struct tables tables;
};

/* ---- Tables --------------------------------------------------------------------------------- */

/* A fraction; the denominator has less than 44 bits. */
struct fraction {
	int64_t numerator;
	int64_t denominator;
};

/* Cut off. */
static int64_t to_fixed(struct fraction factor, int64_t value) {
	int64_t numerator = factor.numerator * value;
	uint64_t left = (uint64_t)(numerator < 0 ? -numerator : numerator);
	uint64_t denominator = (uint64_t)factor.denominator;
	uint64_t fixed = left / denominator;
	for (int bits = 0; bits < FRACTION_BITS; bits += FRACTION_BITS / 2) {
		left = left % denominator << FRACTION_BITS / 2;
		fixed = fixed << FRACTION_BITS / 2 | left / denominator;
	}
	return numerator < 0 ? -(int64_t)fixed : (int64_t)fixed;
}

/* r and b, in ten thousandths. False: there is no such matrix. */
static bool find_matrix(enum stile_swgpu_matrix matrix, int64_t *r, int64_t *b) {
	switch (matrix) {
	case STILE_SWGPU_BT601:
		*r = 2990;
		*b = 1140;
		return true;
	case STILE_SWGPU_BT709:
		*r = 2126;
		*b = 722;
		return true;
	case STILE_SWGPU_BT2020:
		*r = 2627;
		*b = 593;
		return true;
	}
	return false;
}

/* False: there is no such matrix or range. */
static bool make_products(
	struct tables *tables, enum stile_swgpu_matrix matrix, enum stile_swgpu_range range) {
	int64_t r, b;
	bool full = range == STILE_SWGPU_FULL;
	if (!find_matrix(matrix, &r, &b) || (!full && range != STILE_SWGPU_LIMITED)) {
		return false;
	}
	const int64_t g = ONE - r - b, first = full ? 0 : 16;
	const struct fraction luma = { 255, full ? 255 : 219 };
	/* What u and v are divided by, apart from the matrix. */
	const int64_t chroma = full ? 255 : 224;
	const struct fraction v_to_r = { 2 * (ONE - r) * 255, ONE * chroma };
	const struct fraction u_to_b = { 2 * (ONE - b) * 255, ONE * chroma };
	const struct fraction v_to_g = { -2 * (ONE - r) * r * 255, ONE * g * chroma };
	const struct fraction u_to_g = { -2 * (ONE - b) * b * 255, ONE * g * chroma };
	const int64_t rounding = ((INT64_C(2) * LEAST + 1) << (FRACTION_BITS - 1)) + 4;
	for (int i = 0; i < 256; i++) {
		tables->y[i] = to_fixed(luma, i - first) + rounding;
		tables->v_to_r[i] = to_fixed(v_to_r, i - 128);
		tables->u_to_g[i] = to_fixed(u_to_g, i - 128);
		tables->v_to_g[i] = to_fixed(v_to_g, i - 128);
		tables->u_to_b[i] = to_fixed(u_to_b, i - 128);
	}
	return true;
}

static void make_channels(struct tables *tables, bool red_first) {
	const int red = red_first ? 0 : 16, blue = 16 - red;
	for (int i = 0; i < SUMS; i++) {
		int sum = i - LEAST;
		uint32_t value = sum < 0 ? 0 : sum > UINT8_MAX ? UINT8_MAX : (uint32_t)sum;
		tables->r[i] = htole32(0xff000000u | value << red);
		tables->g[i] = htole32(value << 8);
		tables->b[i] = htole32(value << blue);
	}
}

/* ---- Executing ------------------------------------------------------------------------------ */

static inline uint32_t make_pixel(
	const struct tables *tables, int64_t y, int64_t for_r, int64_t for_g, int64_t for_b) {
	return tables->r[(y + for_r) >> FRACTION_BITS] | tables->g[(y + for_g) >> FRACTION_BITS] |
		tables->b[(y + for_b) >> FRACTION_BITS];
}

/* A sample of chroma is for two of luma. */
static void convert_row(const struct tables *tables, const uint8_t *y, const uint8_t *uv,
	uint32_t *pixels, uint32_t width) {
	for (uint32_t x = 0; x < width; x += 2) {
		uint8_t u = uv[x], v = uv[x + 1];
		int64_t for_r = tables->v_to_r[v];
		int64_t for_g = tables->u_to_g[u] + tables->v_to_g[v];
		int64_t for_b = tables->u_to_b[u];
		pixels[x] = make_pixel(tables, tables->y[y[x]], for_r, for_g, for_b);
		pixels[x + 1] = make_pixel(tables, tables->y[y[x + 1]], for_r, for_g, for_b);
	}
}

/* What is touched together. */
struct views {
	struct view y;
	struct view uv;
	struct view rgb;
};

/* An even number of rows, from an even one on. */
static int convert_step(
	const struct convert *convert, struct views *views, uint32_t first, uint32_t count) {
	struct rows y = { 0 }, uv = { 0 }, rgb = { 0 };
	int ret = view_get(&views->y, first, count, &y);
	if (ret == 0) {
		ret = view_get(&views->uv, first / 2, count / 2, &uv);
	}
	if (ret == 0) {
		ret = view_get(&views->rgb, first, count, &rgb);
	}
	if (ret < 0 || y.memory == NULL || uv.memory == NULL || rgb.memory == NULL) {
		return ret;
	}
	for (uint32_t row = 0; row < count; row++) {
		convert_row(&convert->tables, y.memory + row * y.pitch,
			uv.memory + row / 2 * uv.pitch,
			(uint32_t *)(void *)(rgb.memory + row * rgb.pitch), views->rgb.area.width);
	}
	view_put(&views->rgb, first, count, &rgb);
	return 0;
}

static int open_all(
	const struct execution *execution, const struct convert *convert, struct views *views) {
	const struct area area = area_of_plane(&convert->rgb.plane);
	const struct area chroma = area_of_plane(&convert->uv.plane);
	int ret = view_open(&views->y, execution, &convert->y, &area, BUS_READ);
	if (ret == 0) {
		ret = view_open(&views->uv, execution, &convert->uv, &chroma, BUS_READ);
	}
	if (ret == 0) {
		ret = view_open(&views->rgb, execution, &convert->rgb, &area, BUS_WRITE);
	}
	return ret;
}

static int convert_execute(const struct execution *execution, const struct command *command) {
	const struct convert *convert = (const struct convert *)command;
	struct views views = { 0 };
	int ret = open_all(execution, convert, &views);
	for (uint32_t y = 0, count; ret == 0 && y < views.rgb.area.height; y += count) {
		count = view_get_step(&views.rgb, y);
		ret = execution_check(execution);
		if (ret == 0) {
			ret = convert_step(convert, &views, y, count);
		}
	}
	view_close(&views.rgb);
	view_close(&views.uv);
	view_close(&views.y);
	return ret;
}

static const struct command_type convert_type = { .name = "convert", .execute = convert_execute };

/* ---- Recording ------------------------------------------------------------------------------ */

static bool formats_are_valid(
	const struct stile_image *yuv, const struct stile_image *rgb, bool *red_first) {
	uint32_t fourcc = rgb->format->fourcc;
	*red_first = fourcc == DRM_FORMAT_XBGR8888 || fourcc == DRM_FORMAT_ABGR8888;
	return yuv->format->fourcc == DRM_FORMAT_NV12 && yuv->info.width == rgb->info.width &&
		yuv->info.height == rgb->info.height &&
		(*red_first || fourcc == DRM_FORMAT_XRGB8888 || fourcc == DRM_FORMAT_ARGB8888);
}

int stile_swgpu_list_convert(struct stile_swgpu_list *list, struct stile_image *yuv,
	struct stile_image *rgb, enum stile_swgpu_matrix matrix, enum stile_swgpu_range range) {
	bool red_first;
	if (!formats_are_valid(yuv, rgb, &red_first)) {
		return -EINVAL;
	}
	struct record record;
	struct convert *convert = record_begin(&record, list, &convert_type, sizeof(*convert));
	if (convert == NULL) {
		return -ENOMEM;
	}
	make_channels(&convert->tables, red_first);
	int ret = make_products(&convert->tables, matrix, range) ? 0 : -EINVAL;
	if (ret == 0) {
		ret = record_image(&record, yuv, STILE_USAGE_READ);
	}
	if (ret == 0) {
		ret = record_image(&record, rgb, STILE_USAGE_WRITE);
	}
	if (ret == 0) {
		ret = record_plane(&record, yuv, 0, STILE_USAGE_READ, &convert->y);
	}
	if (ret == 0) {
		ret = record_plane(&record, yuv, 1, STILE_USAGE_READ, &convert->uv);
	}
	if (ret == 0) {
		ret = record_plane(&record, rgb, 0, STILE_USAGE_WRITE, &convert->rgb);
	}
	return record_end(&record, ret);
}
