/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_IMAGES_H
#define INTEROP_IMAGES_H

#include <stile/stile.h>

#include "demos/picture.h"

/** A device that logs nothing. */
struct stile_device *images_open_device(void);

struct stile_image *images_create(
	struct stile_device *device, uint32_t width, uint32_t height, uint32_t fourcc);
struct stile_image *images_create_coloured(struct stile_device *device, uint32_t width,
	uint32_t height, uint32_t fourcc, struct stile_colour colour);

/** The same, each plane in a buffer of its own, in which it is the lower part of a taller picture's. */
struct stile_image *images_create_apart(struct stile_device *device, uint32_t width,
	uint32_t height, uint32_t fourcc, struct stile_colour colour);

/**
 * An ABGR8888 image that the core accepts, of memory of exactly `bytes`, laid out as no driver here
 * would do it.
 */
struct stile_image *images_import_odd(struct stile_device *device, uint32_t width, uint32_t height,
	uint32_t pitch, uint64_t offset, uint64_t bytes);

/** The same picture through a descriptor that can only be read. */
struct stile_image *images_reopen_read_only(struct stile_image *image);

/** What is in the memory now, as so many pixels; waits for nothing. */
void images_read(struct stile_image *image, struct picture *picture);

/** The work that a reader of the image has to wait for; a new reference. */
struct stile_fence *images_get_work(struct stile_image *image);

/** Say that the fence's work reads or writes (STILE_USAGE_*) the image. */
void images_add_work(struct stile_image *image, uint32_t usage, struct stile_fence *fence);

/** Seal the image's memory (F_SEAL_*), and import it once more, for reading. */
struct stile_image *images_seal_and_reopen(
	struct stile_device *device, struct stile_image *image, int seal);

#endif
