/* SPDX-License-Identifier: MIT */
#ifndef STILE_FORMAT_H
#define STILE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <drm_fourcc.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

#define STILE_MAX_PLANES 4

/** One plane of a format: rows of blocks. */
struct stile_format_plane {
	uint8_t bytes; /**< bytes of one block */
	/** Samples across in one block: 1, or as many as are packed together. */
	uint8_t block;
	uint8_t hsub; /**< image pixels across for one sample */
	uint8_t vsub; /**< image pixels down for one sample */
};

/**
 * What the fourcc of a pixel format means, in DRM's sense: where a name is a
 * list of components, the last one is in the lowest bits, and those are in the
 * byte at the lowest address. What it is in Vulkan and in GL, the adapters say:
 * stile_vulkan_format_get(), stile_egl_get_gl_format().
 *
 * Static storage.
 * Thread-safety: immutable.
 */
struct stile_format {
	uint32_t fourcc;  /**< DRM_FORMAT_* of drm_fourcc.h */
	const char *name; /**< e.g. "XRGB8888" */
	uint32_t opaque;  /**< the same layout without alpha, or itself */
	/** The same layout with alpha, or itself; else DRM_FORMAT_INVALID. */
	uint32_t alpha;
	uint32_t plane_count; /**< 1 to STILE_MAX_PLANES */
	struct stile_format_plane planes[STILE_MAX_PLANES];
	uint8_t bits;  /**< of the component that has most, alpha apart */
	uint8_t hsub;  /**< an image's width is a multiple of this */
	uint8_t vsub;  /**< and its height of this: one value of chroma */
	bool is_float; /**< components are floating-point numbers */
	/** Components are luma and chroma: which colours, the image knows. */
	bool is_yuv;
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
