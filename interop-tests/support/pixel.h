/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_PIXEL_H
#define SUPPORT_PIXEL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What is in a pixel, told from nothing but the name of its format, as drm_fourcc.h makes them:
 * components from the highest bit down, their bits in the same order, little endian.
 */

/** Which of the colours a component is: index of rgba; PIXEL_NOTHING: it is X. */
enum { PIXEL_R, PIXEL_G, PIXEL_B, PIXEL_A, PIXEL_NOTHING };

struct pixel_component {
	int colour;
	uint32_t shift, bits;
};

struct pixel {
	uint32_t count;
	struct pixel_component components[4]; /* as they are named */
	uint32_t bytes;
	bool is_float;
};

/** False: it is not the name of such a format. */
bool pixel_parse(const char *name, struct pixel *out);

/** Has it this colour? Alpha counts as one. */
bool pixel_has(const struct pixel *pixel, int colour);

/** The distance between two values of a colour next to each other, about 1; 0: it does not have it. */
double pixel_step(const struct pixel *pixel, int colour);

/** The bytes of a pixel whose colours are from 0 to 1. What is X is 0. */
void pixel_encode(const struct pixel *pixel, const double rgba[4], uint8_t *bytes);

/** Its colours: those that it does not have are 0, alpha 1. */
void pixel_decode(const struct pixel *pixel, const uint8_t *bytes, double rgba[4]);

#endif
