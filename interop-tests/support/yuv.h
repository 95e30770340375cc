/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_YUV_H
#define SUPPORT_YUV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Pictures of luma and chroma of one colour, as the comments of drm_fourcc.h have them, by hand: it knows
 * nothing of the library's table.
 */

struct yuv;

/** How numbers were made of colours. */
struct yuv_meaning {
	double r, b; /* how much of luma is red, and blue */
	bool is_full;
};

/** What both EGL and Vulkan have a name for, by its code in H.273; in limited range. */
enum { YUV_MATRICES = 6 };
extern const struct yuv_matrix {
	uint32_t matrix;
	struct yuv_meaning meaning;
} yuv_matrices[YUV_MATRICES];

/** BT.601 in limited range: what is taken where nothing is said. */
extern const struct yuv_meaning yuv_unsaid;

/** A sample of luma, and one of chroma. */
struct yuv_position {
	uint32_t x, y, chroma_x, chroma_y;
};

/** NULL: it is not such a format. */
const struct yuv *yuv_find(uint32_t fourcc);

/** The number of its planes, by the hand that wrote its comment down. */
uint32_t yuv_count_planes(const struct yuv *yuv);

/** Fill a row, or more of them, of a plane with a colour of 8 bits a component, and alpha of 1. */
void yuv_fill(const struct yuv *yuv, uint32_t plane, const uint8_t colour[3], uint8_t *bytes,
	size_t byte_count);

/** The numbers of Y, U and V there. */
void yuv_get(const struct yuv *yuv, const uint8_t *const planes[3], const size_t pitches[3],
	const struct yuv_position *position, double numbers[3]);
/** From 0 to 1. */
double yuv_get_alpha(const struct yuv *yuv, const uint8_t *const planes[3], const size_t pitches[3],
	const struct yuv_position *position);

/** What numbers of so many bits are, clamped from 0 to 255. */
void yuv_to_rgb(
	const struct yuv_meaning *meaning, uint32_t bits, const double numbers[3], double rgb[3]);
uint32_t yuv_bits(const struct yuv *yuv);

#endif
