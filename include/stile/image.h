/* SPDX-License-Identifier: MIT */
#ifndef STILE_IMAGE_H
#define STILE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <stile/buffer.h>
#include <stile/colour.h>
#include <stile/constraints.h>
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
	uint32_t pitch;  /**< bytes from one row to the next; of a layout that
	                      is not linear, what its description says */
	uint64_t offset; /**< bytes from the start of the memory */
};

/** What a picture is. */
struct stile_image_info {
	size_t size;          /**< sizeof(struct stile_image_info) */
	uint32_t width;       /**< pixels, at least 1 */
	uint32_t height;      /**< pixels, at least 1 */
	uint32_t fourcc;      /**< DRM_FORMAT_* */
	uint32_t usage;       /**< STILE_USAGE_* that will be made of it */
	uint64_t modifier;    /**< DRM_FORMAT_MOD_*; always explicit:
	                        DRM_FORMAT_MOD_INVALID is refused */
	const char *name;     /**< for debugging tools; borrowed; may be NULL */
	uint32_t plane_count; /**< of the layout: the format's, and where the
	                           modifier has metadata, as many again
	                           behind them */
	struct stile_image_plane planes[STILE_MAX_PLANES];
	struct stile_colour colour; /**< all zero: not said */
};

/**
 * Make an image of new memory, with pitches and offsets that the drivers of
 * this kind of memory import without a copy. The memory is zeroed, and
 * allocated when it is needed: stile_buffer_create(). May block for memory.
 *
 * @param device    borrowed
 * @param info      borrowed; plane_count and planes must be 0
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  info->size is impossible, zero extent, an odd extent of a
 *                  subsampled format, no or unknown usage, planes given, a
 *                  colour that is reserved or cannot be of this format
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -ERANGE  the extent is larger than the backend's limit
 * @retval -EOPNOTSUPP  unknown format, a modifier that the backend does not have,
 *                  or one with metadata for more planes than an image has; or
 *                  the host is big-endian
 * @retval -EIO     the device is lost
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
 *                  a pitch too small or misaligned, or not in whole tiles; an
 *                  offset misaligned; no or unknown usage; a colour that is
 *                  reserved or cannot be of this format; a size field is
 *                  impossible
 * @retval -EACCES  the usage writes, and a descriptor is read-only or its memory
 *                  sealed against writing, or the device does not write to
 *                  memory of others
 * @retval -EPERM   the memory could shrink: it lacks F_SEAL_SHRINK
 * @retval -ERANGE  a plane does not fit in its memory, padding included that
 *                  the device needs below it, or it or the extent is larger
 *                  than the backend's limit
 * @retval -EOPNOTSUPP  unknown format, a modifier that the backend does not take
 *                  (DRM_FORMAT_MOD_INVALID always), or one with metadata
 *                  for more planes than an image has; or the host is big-endian
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -EMFILE  the process has no descriptor left
 * @retval -EIO     the device is lost
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
 * @retval other   as stile_image_import(), but for -EMFILE, -EIO and -ENOMEM
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_image_check(struct stile_device *device,
	const struct stile_image_info *info, struct stile_report *report);

/**
 * Does an image meet somebody's constraints, and if not, which? What they say
 * of where memory is (address_bits, max_segments, segment_align, max_segment)
 * is not looked at: that is known when it is mapped. Never blocks.
 *
 * @param image        borrowed
 * @param constraints  borrowed
 * @param report       why not; may be NULL
 *
 * @retval 0        it does
 * @retval -EACCES  it does not allow the usage
 * @retval -EINVAL  a pitch or an offset is misaligned, height_align is not a
 *                  power of two, or a size field is impossible
 * @retval -ERANGE  it is too wide or too high, or its memory ends before the
 *                  rows of a plane are a multiple of height_align
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
 * descriptors: see stile_buffer_export_fd(). May block for memory, and until
 * moves of the storage are done.
 *
 * @param image      borrowed, the reservations of its buffers *not* locked by
 *                   the caller
 * @param[out] info  filled in, the caller having set info->size; its
 *                   descriptors are new, CLOEXEC and the caller's, one a
 *                   plane; the name is borrowed from the image. On failure
 *                   all descriptors are -1
 *
 * @retval 0        *info is valid
 * @retval -EINVAL  info->size is impossible, or info has no room for all planes
 * @retval -EACCES  the memory was sealed against writing since it was imported
 * @retval -EBUSY   the memory is where no descriptor shows it, and something
 *                  keeps it from being moved
 * @retval -EDEADLK misuse: the caller has the reservation locked
 * @retval -ETIME   moving it took longer than 10 s
 * @retval -ENOSPC  no memory of the kind that is needed
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_image_export(
	struct stile_image *image, struct stile_image_info *info);

/**
 * Make an image of one plane of another one: the same memory, and the numbers in
 * it without what they mean together. So whoever takes no image of YUV can have
 * its planes, and a shader makes colours of them: stile_colour_get_matrix(). A plane
 * of luma is R8 or R16, one of both chromas GR88 or GR1616, whose first one is
 * the first of the two in memory; of 10 and 12 bits, the numbers are the highest
 * bits. Its extent is that of the plane, and all zero is its colour. Who waits
 * for whom is the buffer's, and so the same for both. Never blocks.
 *
 * @param image     borrowed; a reference to its buffer is kept
 * @param plane     of the format, from 0
 * @param report    why not; may be NULL
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  the format has no such plane, or only one; or report->size
 *                  is impossible
 * @retval -EOPNOTSUPP  the image is not linear, or the plane has several samples
 *                  packed together
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_image_create_plane_view(
	struct stile_image *image, uint32_t plane, struct stile_report *report,
	struct stile_image **out);

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
 * What may be made of it: STILE_USAGE_* that the memory of all its planes, and the
 * descriptors that they came by, allow.
 *
 * @since 0.1
 */
STILE_API uint32_t stile_image_get_usage(const struct stile_image *image);

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
