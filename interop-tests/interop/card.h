/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_CARD_H
#define INTEROP_CARD_H

#include <stile/stile.h>

#include "interop-tests/support/pixel.h"

/*
 * A picture of random colours in any RGB format, whose bytes are written, and whose colours are known, by
 * what the format's name says alone.
 */

enum { CARD_WIDTH = 16, CARD_HEIGHT = 8, CARD_PIXELS = CARD_WIDTH * CARD_HEIGHT };

struct card {
	struct pixel pixel;
	uint8_t bytes[CARD_PIXELS * 8]; /* row after row */
	double colours[CARD_PIXELS][4];
};

/** False: the format is none of RGB. */
bool card_make(const struct stile_format *format, struct card *card);

/** Write to a plane of a swgpu device's image, row after row; waits. */
void card_upload(
	struct stile_device *device, struct stile_image *image, uint32_t plane, const void *bytes);

/** The first pixel that is not of the card's colour, to half a step of the format; CARD_PIXELS: all are. */
size_t card_find_wrong(const struct card *card, float (*rgba)[4]);

/** Are they all? Fails the test. */
void card_check(const struct card *card, float (*rgba)[4], const char *what);

#endif
