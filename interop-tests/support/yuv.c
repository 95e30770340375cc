/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/yuv.h"

#include <stdbool.h>
#include <string.h>

#include <drm_fourcc.h>

/*
 * Of each plane, what comes again and again, from the lowest bit up: Y, U and V, each of `slot` bits of which
 * the highest `bits` are it; A, and '.' for nothing, of `rest` bits.
 */
struct yuv {
	uint32_t fourcc;
	uint32_t bits, slot, rest;
	const char *planes[3];
};

static const struct yuv formats[] = {
	{ DRM_FORMAT_YUYV, 8, 8, 0, { "YUYV" } },
	{ DRM_FORMAT_YVYU, 8, 8, 0, { "YVYU" } },
	{ DRM_FORMAT_UYVY, 8, 8, 0, { "UYVY" } },
	{ DRM_FORMAT_VYUY, 8, 8, 0, { "VYUY" } },
	{ DRM_FORMAT_Y210, 10, 16, 0, { "YUYV" } },
	{ DRM_FORMAT_Y212, 12, 16, 0, { "YUYV" } },
	{ DRM_FORMAT_Y216, 16, 16, 0, { "YUYV" } },
	{ DRM_FORMAT_XYUV8888, 8, 8, 8, { "VUY." } },
	{ DRM_FORMAT_AYUV, 8, 8, 8, { "VUYA" } },
	{ DRM_FORMAT_XVYU2101010, 10, 10, 2, { "UYV." } },
	{ DRM_FORMAT_Y410, 10, 10, 2, { "UYVA" } },
	{ DRM_FORMAT_XVYU12_16161616, 12, 16, 16, { "UYV." } },
	{ DRM_FORMAT_Y412, 12, 16, 16, { "UYVA" } },
	{ DRM_FORMAT_XVYU16161616, 16, 16, 16, { "UYV." } },
	{ DRM_FORMAT_Y416, 16, 16, 16, { "UYVA" } },
	{ DRM_FORMAT_NV12, 8, 8, 0, { "Y", "UV" } },
	{ DRM_FORMAT_NV21, 8, 8, 0, { "Y", "VU" } },
	{ DRM_FORMAT_NV16, 8, 8, 0, { "Y", "UV" } },
	{ DRM_FORMAT_NV61, 8, 8, 0, { "Y", "VU" } },
	{ DRM_FORMAT_NV24, 8, 8, 0, { "Y", "UV" } },
	{ DRM_FORMAT_NV42, 8, 8, 0, { "Y", "VU" } },
	{ DRM_FORMAT_NV15, 10, 10, 0, { "YYYY", "UVUV" } },
	{ DRM_FORMAT_NV20, 10, 10, 0, { "YYYY", "UVUV" } },
	{ DRM_FORMAT_P030, 10, 10, 2, { "YYY.", "UVU.VUV." } },
	{ DRM_FORMAT_P010, 10, 16, 0, { "Y", "UV" } },
	{ DRM_FORMAT_P012, 12, 16, 0, { "Y", "UV" } },
	{ DRM_FORMAT_P016, 16, 16, 0, { "Y", "UV" } },
	{ DRM_FORMAT_P210, 10, 16, 0, { "Y", "UV" } },
	{ DRM_FORMAT_YUV410, 8, 8, 0, { "Y", "U", "V" } },
	{ DRM_FORMAT_YVU410, 8, 8, 0, { "Y", "V", "U" } },
	{ DRM_FORMAT_YUV411, 8, 8, 0, { "Y", "U", "V" } },
	{ DRM_FORMAT_YVU411, 8, 8, 0, { "Y", "V", "U" } },
	{ DRM_FORMAT_YUV420, 8, 8, 0, { "Y", "U", "V" } },
	{ DRM_FORMAT_YVU420, 8, 8, 0, { "Y", "V", "U" } },
	{ DRM_FORMAT_YUV422, 8, 8, 0, { "Y", "U", "V" } },
	{ DRM_FORMAT_YVU422, 8, 8, 0, { "Y", "V", "U" } },
	{ DRM_FORMAT_YUV444, 8, 8, 0, { "Y", "U", "V" } },
	{ DRM_FORMAT_YVU444, 8, 8, 0, { "Y", "V", "U" } },
};

const struct yuv *yuv_find(uint32_t fourcc) {
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (formats[i].fourcc == fourcc) {
			return &formats[i];
		}
	}
	return NULL;
}

uint32_t yuv_count_planes(const struct yuv *yuv) {
	uint32_t count = 1;
	while (count < 3 && yuv->planes[count] != NULL) {
		count++;
	}
	return count;
}

static void set_bit(uint8_t *bytes, size_t byte_count, size_t bit, bool is_one) {
	if (bit / 8 < byte_count) {
		uint8_t mask = (uint8_t)(1u << bit % 8);
		bytes[bit / 8] = (uint8_t)(is_one ? bytes[bit / 8] | mask : bytes[bit / 8] & ~mask);
	}
}

/* The bits of one letter, from the lowest. */
static uint32_t make_slot(const struct yuv *yuv, char letter, const uint8_t colour[3]) {
	const char *at = strchr("YUV", letter);
	if (at == NULL) {
		return letter == 'A' ? UINT32_MAX : 0;
	}
	return (uint32_t)colour[at - "YUV"] << (yuv->slot - 8);
}

static uint32_t count_bits(const struct yuv *yuv, char letter) {
	return letter == 'A' || letter == '.' ? yuv->rest : yuv->slot;
}

void yuv_fill(const struct yuv *yuv, uint32_t plane, const uint8_t colour[3], uint8_t *bytes,
	size_t byte_count) {
	const char *letters = yuv->planes[plane];
	for (size_t bit = 0, i = 0; bit < 8 * byte_count; i++) {
		char letter = letters[i % strlen(letters)];
		uint32_t slot = make_slot(yuv, letter, colour);
		for (uint32_t k = 0; k < count_bits(yuv, letter); k++) {
			set_bit(bytes, byte_count, bit++, (slot >> k & 1) != 0);
		}
	}
}

uint32_t yuv_bits(const struct yuv *yuv) {
	return yuv->bits;
}

/* The bits of the nth of a letter in a row, from the lowest. */
static uint32_t get_bits(
	const struct yuv *yuv, const char *letters, char letter, uint32_t nth, const uint8_t *row) {
	size_t bit = 0, i = 0;
	uint32_t count = count_bits(yuv, letter), value = 0;
	for (; letters[i] != letter || nth-- > 0; i = (i + 1) % strlen(letters)) {
		bit += count_bits(yuv, letters[i]);
	}
	for (uint32_t k = 0; k < count; k++, bit++) {
		value |= (uint32_t)(row[bit / 8] >> bit % 8 & 1) << k;
	}
	return value;
}

/* The sample of one letter, wherever it is. */
static uint32_t get_sample(const struct yuv *yuv, char letter, const uint8_t *const planes[3],
	const size_t pitches[3], const struct yuv_position *at) {
	bool is_chroma = letter == 'U' || letter == 'V';
	uint32_t plane = 0;
	while (strchr(yuv->planes[plane], letter) == NULL) {
		plane++;
	}
	return get_bits(yuv, yuv->planes[plane], letter, is_chroma ? at->chroma_x : at->x,
		planes[plane] + (is_chroma ? at->chroma_y : at->y) * pitches[plane]);
}

void yuv_get(const struct yuv *yuv, const uint8_t *const planes[3], const size_t pitches[3],
	const struct yuv_position *position, double numbers[3]) {
	for (int i = 0; i < 3; i++) {
		uint32_t slot = get_sample(yuv, "YUV"[i], planes, pitches, position);
		numbers[i] = slot >> (yuv->slot - yuv->bits);
	}
}

double yuv_get_alpha(const struct yuv *yuv, const uint8_t *const planes[3], const size_t pitches[3],
	const struct yuv_position *position) {
	return strchr(yuv->planes[0], 'A') == NULL
		? 1
		: get_sample(yuv, 'A', planes, pitches, position) / (double)((1u << yuv->rest) - 1);
}

const struct yuv_meaning yuv_unsaid = { 0.299, 0.114, false };

const struct yuv_matrix yuv_matrices[YUV_MATRICES] = {
	{ 0, { 0.299, 0.114, false } },
	{ 1, { 0.2126, 0.0722, false } },
	{ 2, { 0.299, 0.114, false } },
	{ 5, { 0.299, 0.114, false } },
	{ 6, { 0.299, 0.114, false } },
	{ 9, { 0.2627, 0.0593, false } },
};

void yuv_to_rgb(
	const struct yuv_meaning *meaning, uint32_t bits, const double numbers[3], double rgb[3]) {
	const double r = meaning->r, b = meaning->b, g = 1 - r - b;
	const double step = (double)(1u << (bits - 8)), most = 256 * step - 1;
	double y = (numbers[0] - 16 * step) / (219 * step);
	double u = (numbers[1] - 128 * step) / (224 * step);
	double v = (numbers[2] - 128 * step) / (224 * step);
	if (meaning->is_full) {
		y = numbers[0] / most;
		u = (numbers[1] - 128 * step) / most;
		v = (numbers[2] - 128 * step) / most;
	}
	rgb[0] = y + 2 * (1 - r) * v;
	rgb[1] = y - 2 * (1 - b) * b / g * u - 2 * (1 - r) * r / g * v;
	rgb[2] = y + 2 * (1 - b) * u;
	for (int i = 0; i < 3; i++) {
		rgb[i] = rgb[i] < 0 ? 0 : rgb[i] > 1 ? 255 : 255 * rgb[i];
	}
}
