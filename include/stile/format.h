/* SPDX-License-Identifier: MIT */
#ifndef STILE_FORMAT_H
#define STILE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include <drm_fourcc.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

#define STILE_MAX_PLANES 4

/** One plane of a format. */
struct stile_format_plane {
	uint8_t bytes; /**< bytes of one sample of this plane */
	uint8_t hsub;  /**< image pixels across for one sample */
	uint8_t vsub;  /**< image pixels down for one sample */
};

/**
 * What the fourcc of a pixel format means, in DRM's sense: the component
 * named last is in the byte at the lowest address.
 *
 * Static storage.
 * Thread-safety: immutable.
 */
struct stile_format {
	uint32_t fourcc;      /**< DRM_FORMAT_* of drm_fourcc.h */
	const char *name;     /**< e.g. "XRGB8888" */
	uint32_t opaque;      /**< the same layout without alpha, or itself */
	uint32_t plane_count; /**< 1 to STILE_MAX_PLANES */
	struct stile_format_plane planes[STILE_MAX_PLANES];
};

/**
 * Look a format up. Never blocks; any thread.
 *
 * @param fourcc  DRM_FORMAT_* code
 * @return the format, or NULL if Stile does not know it
 * @since 0.1
 */
STILE_API const struct stile_format *stile_format_get(uint32_t fourcc);

/**
 * Walk all known formats. Never blocks; any thread.
 *
 * @param index  from 0
 * @return the format, or NULL past the last one
 * @since 0.1
 */
STILE_API const struct stile_format *stile_format_get_nth(size_t index);

STILE_END_DECLS

#endif
