/* SPDX-License-Identifier: MIT */
#ifndef SRC_IMAGE_H
#define SRC_IMAGE_H

#include <stdbool.h>

#include <stile/image.h>

#include "src/format.h"

struct stile_image {
	struct stile_device *device; /* a reference */
	uint32_t refs;
	const struct stile_format *format;
	const struct format_tiling *tiling; /* NULL: linear */
	uint32_t allowed;                   /* STILE_USAGE_* that all its descriptors allow */
	struct stile_image_info info;
	struct stile_buffer *buffers[STILE_MAX_PLANES]; /* a reference each */
	char name[32];
};

/** The metadata of a plane; in a buffer of its own, perhaps. */
struct image_meta {
	uint32_t plane;  /* its number: stile_image_get_buffer() */
	uint64_t offset; /* bytes, in that buffer */
	size_t pitch;    /* bytes from one row of tiles to the next */
	uint64_t bytes;  /* all rows, from the offset on; they are in the buffer */
};

/** Where the samples of a plane are. Everything was checked when the image was made. */
struct image_plane {
	uint32_t sample_bytes; /* of a block, where the format packs several samples together */
	uint32_t width;        /* samples */
	uint32_t height;       /* rows of samples */
	uint64_t offset;       /* bytes, in the plane's buffer */
	size_t pitch;          /* bytes from one row to the next; of tiles: as if it were linear */
	uint64_t bytes; /* all rows, or rows of tiles, from the offset on; they are in the buffer */
	const struct format_tiling *tiling; /* NULL: linear */
	bool has_meta;                      /* the tiling has, and it is in: */
	struct image_meta meta;
};

/** A new reference to an image that has no buffers yet; what `info` says was checked. NULL: no memory. */
struct stile_image *image_alloc(struct stile_device *device, const struct stile_image_info *info,
	const struct stile_format *format, uint32_t allowed);

/** The layout that a device has by this modifier; NULL: it is linear, or no layout of the device's. */
const struct format_tiling *image_find_tiling(const struct stile_device *device, uint64_t modifier);

/**
 * As stile_image_create(), with pitches, offsets and padding as `needs` says, too, of which modifiers and
 * where memory is are not looked at. Why not is in `why`, whatever it is, and not told.
 */
int image_create_as(struct stile_device *device, const struct stile_image_info *info,
	const struct stile_constraints *needs, struct stile_report *why, struct stile_image **out);

/** 0; -EINVAL: the format has no such plane (metadata is not one of its planes). */
int image_get_plane(const struct stile_image *image, uint32_t plane, struct image_plane *out);

#endif
