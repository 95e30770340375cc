/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_TILE_H
#define BACKENDS_SWGPU_TILE_H

/*
 * The device's tiled layouts: exact address functions, and copies both ways. The layouts and how they
 * are written down are in docs/modifiers.md.
 *
 * Whatever is in the metadata, nothing outside the plane and its metadata is touched. Who writes one
 * tile from two threads at once has to see to it that they do not meet: a tile is resolved as a whole.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/format.h"

/** One plane in memory, in a tiled layout. */
struct tiled_plane {
	const struct format_tiling *tiling;
	uint8_t *memory;
	size_t pitch;  /* bytes of a row of the plane, as if it were linear: whole tiles */
	uint8_t *meta; /* of a tiling with metadata, else NULL */
	size_t meta_pitch;
	uint32_t sample_bytes; /* what is filled has samples of 1, 2 or 4 */
	uint32_t width;        /* samples */
	uint32_t height;       /* rows */
};

/** Where the byte is that a linear image of this pitch has at row y, byte x of the row. */
uint64_t tile_address(const struct format_tiling *tiling, size_t pitch, uint64_t x, uint32_t y);

/**
 * Rows [y, y + rows), bytes [x, x + bytes) of each, from or to linear memory. They are within the
 * plane; there may be none. Writing reads and writes metadata, and all of a tile that is resolved.
 */
void tile_read(const struct tiled_plane *plane, uint64_t x, uint32_t y, uint64_t bytes,
	uint32_t rows, uint8_t *linear, size_t linear_pitch);
void tile_write(const struct tiled_plane *plane, uint64_t x, uint32_t y, uint64_t bytes,
	uint32_t rows, const uint8_t *linear, size_t linear_pitch);

/** Set samples; with metadata, whole tiles are only said to be of that value. */
void tile_fill(const struct tiled_plane *plane, uint32_t x_sample, uint32_t y, uint32_t width,
	uint32_t rows, uint32_t value);

/** The device's, for struct stile_backend_ops. */
enum { TILE_TILING_COUNT = 2 };
extern const struct format_tiling tile_tilings[TILE_TILING_COUNT];

#endif
