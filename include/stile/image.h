/* SPDX-License-Identifier: MIT */
#ifndef STILE_IMAGE_H
#define STILE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <stile/buffer.h>
#include <stile/format.h>
#include <stile/macros.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

struct stile_device;

/**
 * A picture: planes of buffers, and what the bytes mean. Immutable.
 *
 * Reference counted: stile_image_ref(), stile_image_unref().
 * Thread-safety: internal.
 */
struct stile_image;

/** Where one plane is. */
struct stile_image_plane {
	int fd;          /**< descriptor of the plane's memory */
	uint32_t pitch;  /**< bytes from one row to the next */
	uint64_t offset; /**< bytes from the start of the memory */
};

/** What a picture is. */
struct stile_image_info {
	size_t size;       /**< sizeof(struct stile_image_info) */
	uint32_t width;    /**< pixels, at least 1 */
	uint32_t height;   /**< pixels, at least 1 */
	uint32_t fourcc;   /**< DRM_FORMAT_* */
	uint32_t usage;    /**< STILE_USAGE_* that will be made of it */
	uint64_t modifier; /**< DRM_FORMAT_MOD_*; always explicit:
	                        DRM_FORMAT_MOD_INVALID is refused */
	const char *name;  /**< for debugging tools; borrowed; may be NULL */
	uint32_t plane_count;
	struct stile_image_plane planes[STILE_MAX_PLANES];
};

/**
 * What somebody needs of an image's layout beyond its being valid. A field
 * that is 0 needs nothing.
 */
struct stile_constraints {
	size_t size;           /**< sizeof(struct stile_constraints) */
	uint32_t usage;        /**< STILE_USAGE_* that the image must allow */
	uint32_t max_width;    /**< pixels */
	uint32_t max_height;   /**< pixels */
	uint32_t pitch_align;  /**< bytes, a power of two */
	uint32_t offset_align; /**< bytes, a power of two */
	const uint64_t *modifiers; /**< the only ones taken; borrowed */
	size_t modifier_count;
};

/**
 * Allocate an image, with pitches and offsets that the drivers of this kind
 * of memory import without a copy. The memory is zeroed. May block for as
 * long as the system takes to find it.
 *
 * @param device    borrowed
 * @param info      borrowed; plane_count and planes must be 0
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  info->size is impossible, zero extent, an odd extent of a
 *                  subsampled format, no or unknown usage, planes given
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -ERANGE  the extent is larger than the backend's limit
 * @retval -EOPNOTSUPP  unknown format, or a modifier that the backend does not
 *                  have
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_image_create(struct stile_device *device,
	const struct stile_image_info *info, struct stile_image **out);

/**
 * Make an image of memory that came by descriptor. Everything is checked
 * here, before a driver sees a descriptor. Never blocks.
 *
 * @param device    borrowed
 * @param info      borrowed, its descriptors too: never closed, duplicated
 *                  where needed
 * @param report    why not, with the plane and the numbers; may be NULL
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EBADF   a plane's fd is not an open descriptor
 * @retval -EINVAL  a descriptor is not memory that this backend takes; wrong
 *                  plane count; zero extent, or odd for a subsampled format;
 *                  a pitch too small or misaligned; an offset misaligned; no
 *                  or unknown usage; a size field is impossible
 * @retval -EACCES  the usage writes, and a descriptor is read-only or its memory
 *                  sealed against writing
 * @retval -EPERM   the memory could shrink: it lacks F_SEAL_SHRINK
 * @retval -ERANGE  a plane does not fit in its memory, or it or the extent is
 *                  larger than the backend's limit
 * @retval -EOPNOTSUPP  unknown format, or a modifier that the backend does not
 *                  take (DRM_FORMAT_MOD_INVALID always)
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_image_import(struct stile_device *device,
	const struct stile_image_info *info, struct stile_report *report,
	struct stile_image **out);

/**
 * Would stile_image_import() take it, and if not, why? Makes nothing and logs
 * nothing. Never blocks.
 *
 * @param device  borrowed
 * @param info    borrowed, its descriptors too
 * @param report  why not; may be NULL
 *
 * @retval 0       it would
 * @retval other   as stile_image_import(), but for -EMFILE and -ENOMEM
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_image_check(struct stile_device *device,
	const struct stile_image_info *info, struct stile_report *report);

/**
 * Does an image meet somebody's constraints, and if not, which? Never blocks.
 *
 * @param image        borrowed
 * @param constraints  borrowed
 * @param report       why not; may be NULL
 *
 * @retval 0        it does
 * @retval -EACCES  it does not allow the usage
 * @retval -EINVAL  a pitch or an offset is misaligned, or a size field is
 *                  impossible
 * @retval -ERANGE  it is too wide or too high
 * @retval -EOPNOTSUPP  its modifier is not among those taken
 * @retval -E2BIG   constraints is newer than the library and uses fields it
 *                  does not know
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_image_check_constraints(
	const struct stile_image *image,
	const struct stile_constraints *constraints,
	struct stile_report *report);

/**
 * Describe an image so that another process or API can import it, with new
 * descriptors. Never blocks.
 *
 * @param image      borrowed
 * @param[out] info  filled in, the caller having set info->size; its
 *                   descriptors are new, CLOEXEC and the caller's, one a
 *                   plane; the name is borrowed from the image. On failure
 *                   all descriptors are -1
 *
 * @retval 0        *info is valid
 * @retval -EINVAL  info->size is impossible, or info has no room for all planes
 * @retval -EACCES  the memory was sealed against writing since it was imported
 * @retval -EMFILE  the process has no descriptor left
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_image_export(
	struct stile_image *image, struct stile_image_info *info);

/** Take a reference. Returns image. Never blocks. @since 0.1 */
STILE_API struct stile_image *stile_image_ref(struct stile_image *image);

/**
 * Drop a reference.
 *
 * @param image  the reference to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_image_unref(struct stile_image *image);

/**
 * What the image is. Its planes' descriptors are -1: see
 * stile_image_export().
 *
 * @param image  borrowed
 * @return valid as long as the image
 * @since 0.1
 */
STILE_API const struct stile_image_info *stile_image_get_info(
	const struct stile_image *image);

/**
 * The memory of a plane.
 *
 * @param image  borrowed
 * @param plane  less than plane_count
 * @return the buffer; borrowed, valid as long as the image
 * @since 0.1
 */
STILE_API struct stile_buffer *stile_image_get_buffer(
	const struct stile_image *image, uint32_t plane);

STILE_END_DECLS

#endif
