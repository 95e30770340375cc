/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_PICTURE_H
#define SUPPORT_PICTURE_H

/*
 * Images whose content the test knows: what is done to an image is done to its rasters too, by plain
 * loops, and in the end both are compared. Reads and writes layouts as docs/modifiers.md has them, by
 * hand.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/device.h>
#include <stile/image.h>

/** The samples of a plane, or the blocks of them, row after row, without padding. */
struct raster {
	uint32_t width, height;
	uint32_t sample_bytes;
	uint8_t *bytes;
};

struct raster raster_create(uint32_t width, uint32_t height, uint32_t sample_bytes);
void raster_free(struct raster *raster);

static inline size_t raster_pitch(const struct raster *raster) {
	return (size_t)raster->width * raster->sample_bytes;
}

static inline uint8_t *raster_at(const struct raster *raster, uint32_t x, uint32_t y) {
	return raster->bytes + y * raster_pitch(raster) + (size_t)x * raster->sample_bytes;
}

/** What kind of image. */
struct picture_info {
	uint32_t fourcc;
	uint32_t width, height;
	uint64_t modifier;
	bool imported; /* by descriptor, with more pitch and offset than needed */
};

struct picture {
	struct stile_image *image;
	uint32_t plane_count;
	struct raster planes[STILE_MAX_PLANES];
	uint8_t *memory; /* all of the buffer, as it was first */
};

/** An image with a random content, also between and behind its rows; see runner_random(). */
struct picture picture_make(
	struct stile_device *device, const struct picture_info *info, uint64_t *random);
/** The image is as the rasters say; of a linear one, all other memory is as it was. Fails the test. */
void picture_check(const struct picture *picture, const char *what);
void picture_destroy(struct picture *picture);

#endif
