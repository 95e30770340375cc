/* SPDX-License-Identifier: MIT */
#ifndef SRC_FORMAT_H
#define SRC_FORMAT_H

#include <stdbool.h>

#include <stile/format.h>
#include <stile/image.h>

/*
 * All arithmetic on sizes, offsets and pitches is here, and all of it is checked: a function
 * returns false where the result does not fit.
 */

/**
 * A layout that is not linear: a plane is in tiles, one after another, from left to right and then
 * down; within a tile, bytes are where the backend says. With metadata, the image has as many planes
 * again, behind the others: what is known of each tile, in the same order.
 */
struct format_tiling {
	uint64_t modifier;
	const char *name;
	uint32_t tile_bytes; /* of one row of a tile; a power of two */
	uint32_t tile_rows;  /* a power of two */
	uint32_t meta_bytes; /* of each tile; 0: no metadata */
};

/** What the memory of one plane is made of: rows of samples, of tiles, or metadata of a row of tiles. */
struct format_shape {
	uint64_t row_bytes; /* the least pitch */
	uint64_t rows;
	uint32_t pitch_align;  /* bytes, a power of two */
	uint32_t offset_align; /* bytes, a power of two */
};

/** How an image is to be laid out. All are powers of two. */
struct format_rules {
	uint32_t pitch_align;  /* bytes */
	uint32_t offset_align; /* bytes */
	uint32_t row_group;    /* rows that are touched together, of linear planes */
	uint32_t height_align; /* rows that a plane's memory goes on to a multiple of */
};

/** Round up to a multiple of `align`, a power of two. */
bool format_align(uint64_t value, uint64_t align, uint64_t *out);

/** Blocks of a plane across, and rows of it, for an image of this extent. */
uint32_t format_plane_width(const struct stile_format *format, uint32_t plane, uint32_t width);
uint32_t format_plane_height(const struct stile_format *format, uint32_t plane, uint32_t height);

/** Bytes of one row of a plane, without padding. */
uint64_t format_row_bytes(const struct stile_format *format, uint32_t plane, uint32_t width);

/** Planes of an image, those with metadata too. `tiling` may be NULL: linear. */
uint32_t format_plane_count(const struct stile_format *format, const struct format_tiling *tiling);

/** The shape of one of these planes, for an image of this extent. */
void format_get_shape(const struct stile_format *format, const struct format_tiling *tiling,
	uint32_t plane, uint32_t width, uint32_t height, struct format_shape *out);

/** Where rows, at least one, end if they go on to a multiple of `row_align`, a power of two. */
bool format_rows_end(
	uint64_t offset, uint64_t pitch, uint64_t rows, uint32_t row_align, uint64_t *out);

/**
 * Lay an image out in one piece of memory: fills plane_count and the pitch and offset of each
 * plane, and gives the bytes that it takes. All but those is set already.
 */
bool format_layout(const struct stile_format *format, const struct format_tiling *tiling,
	const struct format_rules *rules, struct stile_image_info *info, uint64_t *bytes);

/** Four printable characters and a NUL. */
void format_fourcc_text(uint32_t fourcc, char text[5]);

#endif
