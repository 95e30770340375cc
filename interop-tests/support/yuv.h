/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_YUV_H
#define SUPPORT_YUV_H

#include <stddef.h>
#include <stdint.h>

/*
 * Pictures of luma and chroma of one colour, as the comments of drm_fourcc.h have them, by hand: it knows
 * nothing of the library's table.
 */

struct yuv;

/** NULL: it is not such a format. */
const struct yuv *yuv_find(uint32_t fourcc);

/** The number of its planes, by the hand that wrote its comment down. */
uint32_t yuv_count_planes(const struct yuv *yuv);

/** Fill a row, or more of them, of a plane with a colour of 8 bits a component, and alpha of 1. */
void yuv_fill(const struct yuv *yuv, uint32_t plane, const uint8_t colour[3], uint8_t *bytes,
	size_t byte_count);

/** What such a colour is in BT.601 and limited range, from 0 to 255. */
void yuv_to_rgb(const uint8_t colour[3], double rgb[3]);

#endif
