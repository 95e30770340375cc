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

/** Round up to a multiple of `align`, a power of two. */
bool format_align(uint64_t value, uint64_t align, uint64_t *out);

/** Samples of a plane across and down, for an image of this extent. */
uint32_t format_plane_width(const struct stile_format *format, uint32_t plane, uint32_t width);
uint32_t format_plane_height(const struct stile_format *format, uint32_t plane, uint32_t height);

/** Bytes of one row of a plane, without padding. */
uint64_t format_row_bytes(const struct stile_format *format, uint32_t plane, uint32_t width);

/** Where a plane ends if its rows come in groups of `row_group`. */
bool format_plane_end(const struct stile_format *format, uint32_t plane, uint32_t height,
	uint64_t offset, uint64_t pitch, uint32_t row_group, uint64_t *out);

/**
 * Lay an image out in one piece of memory: fills plane_count and the pitch and offset of each
 * plane, and gives the bytes that it takes. All but those is set already.
 */
bool format_layout(const struct stile_format *format, struct stile_image_info *info,
	uint32_t pitch_align, uint32_t offset_align, uint32_t row_group, uint64_t *bytes);

/** Four printable characters and a NUL. */
void format_fourcc_text(uint32_t fourcc, char text[5]);

#endif
