/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_PICTURE_H
#define DEMOS_PICTURE_H

#include <stddef.h>
#include <stdint.h>

/** A picture in plain memory: red, green, blue, alpha, 8 bits each; no padding between rows. */
struct picture {
	uint32_t width;
	uint32_t height;
	uint8_t *pixels; /* malloc'ed */
};

enum { PICTURE_MAX_EXTENT = 16384 };

static inline uint8_t *picture_at(const struct picture *picture, uint32_t x, uint32_t y) {
	return picture->pixels + ((size_t)y * picture->width + x) * 4;
}

/** All zero. 0 or -ENOMEM. */
int picture_create(uint32_t width, uint32_t height, struct picture *out);
void picture_finish(struct picture *picture);

/** Something to look at that shows every kind of mistake: bars, ramps, a frame, a direction. */
int picture_draw_test_card(uint32_t width, uint32_t height, struct picture *out);

/** Any PNG, converted. On failure -errno, and `why` has one sentence. */
int picture_load(const char *path, struct picture *out, char why[256]);
int picture_save(const char *path, const struct picture *picture, char why[256]);

/** The largest difference of any component of any pixel; 256 if the extents differ. */
unsigned picture_compare(const struct picture *a, const struct picture *b);

/**
 * The picture as NV12, with the numbers of BT.709 in limited range: luma of each pixel, and a pair of chroma, the first
 * one's, for four of them. Pitches in bytes.
 */
void picture_get_nv12(const struct picture *picture, uint8_t *luma, size_t luma_pitch,
	uint8_t *chroma, size_t chroma_pitch);

#endif
