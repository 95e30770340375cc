/* SPDX-License-Identifier: MIT */
#ifndef STILE_SWGPU_LIST_H
#define STILE_SWGPU_LIST_H

#include <stddef.h>
#include <stdint.h>

#include <stile/buffer.h>
#include <stile/image.h>
#include <stile/macros.h>
#include <stile/swgpu.h>

STILE_BEGIN_DECLS

/*
 * Command lists of the software GPU. Record, then stile_swgpu_submit(). All is
 * checked when it is recorded; nothing is touched before it is executed. Images
 * and buffers are kept alive until the list is done or destroyed. Recording
 * never blocks but for memory. After a failed call the list is as before.
 *
 * Any layout that the device has (modifiers) is taken by every command.
 */

/** A part of a picture, in pixels of the image (samples of plane 0). */
struct stile_swgpu_rect {
	int32_t x, y;
	uint32_t width, height;
};

/** How pixels are combined: pixman's operators. */
enum stile_swgpu_operator {
	STILE_SWGPU_SRC = 1,  /**< the source replaces what is there */
	STILE_SWGPU_OVER = 2, /**< premultiplied alpha blending */
};

/** How pixels between pixels are found when a picture is scaled. */
enum stile_swgpu_filter {
	STILE_SWGPU_NEAREST = 1,
	STILE_SWGPU_BILINEAR = 2,
};

/** Which of ITU-R's matrices YUV was made by: H.273 MatrixCoefficients. */
enum stile_swgpu_matrix {
	STILE_SWGPU_BT709 = 1,
	STILE_SWGPU_BT601 = 6,
	STILE_SWGPU_BT2020 = 9,
};

/** What the numbers go from and to. */
enum stile_swgpu_range {
	STILE_SWGPU_LIMITED = 1, /**< 16 to 235, and 16 to 240 */
	STILE_SWGPU_FULL = 2,    /**< 0 to 255 */
};

/** Put one picture onto another. */
struct stile_swgpu_composite {
	size_t size;              /**< sizeof(struct stile_swgpu_composite) */
	struct stile_image *from; /**< see stile_swgpu_list_composite() */
	struct stile_image *to;   /**< the same; may not be `from` */
	struct stile_swgpu_rect source; /**< within `from`; of no width: all */
	struct stile_swgpu_rect target; /**< within `to`; of no width: all. Of
	                                     another extent: scaled */
	enum stile_swgpu_operator op;
	enum stile_swgpu_filter filter;
	uint8_t alpha; /**< of all of the source in addition; 255: opaque */
};

/** Copy rows of bytes. */
struct stile_swgpu_strided {
	size_t size; /**< sizeof(struct stile_swgpu_strided) */
	struct stile_buffer *from;
	struct stile_buffer *to; /**< may be `from`, if nothing overlaps */
	uint64_t from_offset;    /**< bytes */
	uint64_t to_offset;      /**< bytes */
	uint64_t from_pitch;     /**< bytes from one row to the next */
	uint64_t to_pitch;       /**< bytes from one row to the next; not less
	                              than row_bytes if there are rows below */
	uint64_t row_bytes;      /**< above 0 */
	uint32_t rows;           /**< above 0 */
};

/** One row of an image, as a kernel sees it. */
struct stile_swgpu_row {
	uint8_t *samples; /**< blocks of plane 0 from the left; those of images
	                       other than the first are only read */
	uint32_t width;   /**< blocks */
};

/**
 * A kernel: a function for rows, called on a thread of the device for one row
 * after another, from above. Must not wait for fences of the device.
 *
 * @param user  as given
 * @param rows  row y of each image, the first being the one to write; what is
 *              there is what the image has, and what is left there, it gets
 * @param y     from 0
 * @return 0, or -errno: the list ends with it; above 0: with -EINVAL
 * @since 0.1
 */
typedef int (*stile_swgpu_kernel_fn)(
	void *user, const struct stile_swgpu_row *rows, uint32_t y);

enum { STILE_SWGPU_MAX_IMAGES = 4 };

/**
 * Make an empty list.
 *
 * @param device    a swgpu device; borrowed, must outlive the list
 * @param[out] out  the list, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  not a swgpu device
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_list_create(
	struct stile_device *device, struct stile_swgpu_list **out);

/** Give up a list that was not submitted. NULL is ignored. @since 0.1 */
STILE_API void stile_swgpu_list_destroy(struct stile_swgpu_list *list);

/**
 * Set every block of a plane, or of a part of it: every sample, where the format
 * does not pack several together.
 *
 * @param list   borrowed
 * @param image  borrowed; must allow STILE_USAGE_WRITE
 * @param plane  less than the format's plane_count
 * @param rect   borrowed; in whole blocks of the plane; NULL: all of it
 * @param value  the block's bytes, the lowest address in the lowest byte;
 *               bytes that the block does not have must be 0
 *
 * @retval 0        recorded
 * @retval -EINVAL  no such plane, a value that does not fit, or a rectangle
 *                  that is empty, not in whole blocks or not within the image
 * @retval -EACCES  the image does not allow writing
 * @retval -EOPNOTSUPP  blocks of the plane have neither 1, 2 nor 4 bytes; or the
 *                  device does not take the image: stile_image_import() would
 *                  say why
 * @retval -EBUSY   the device cannot reach the storage, and it stays there
 * @retval -EDEADLK misuse: the caller has the buffer's reservation locked
 * @retval -EIO     the device is lost
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_list_fill(
	struct stile_swgpu_list *list, struct stile_image *image,
	uint32_t plane, const struct stile_swgpu_rect *rect, uint32_t value);

/**
 * Copy all planes to another image of the same format and extent, whatever the
 * layout of each.
 *
 * @param list  borrowed
 * @param from  borrowed
 * @param to    borrowed; must allow STILE_USAGE_WRITE
 *
 * @retval 0        recorded
 * @retval -EINVAL  format or extent differ
 * @retval -EACCES  `from` does not allow reading, or `to` writing
 * @retval other    as stile_swgpu_list_fill()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_list_copy(
	struct stile_swgpu_list *list, struct stile_image *from,
	struct stile_image *to);

/**
 * Write one plane from the caller's memory.
 *
 * @param list    borrowed
 * @param image   borrowed; must allow STILE_USAGE_WRITE
 * @param plane   less than the format's plane_count
 * @param pixels  rows of samples; borrowed *until the list is done*
 * @param pitch   bytes from one row of `pixels` to the next
 *
 * @retval 0        recorded
 * @retval -EINVAL  no such plane, or a pitch shorter than a row
 * @retval -EACCES  the image does not allow writing
 * @retval other    as stile_swgpu_list_fill()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_list_upload(
	struct stile_swgpu_list *list, struct stile_image *image,
	uint32_t plane, const void *pixels, size_t pitch);

/**
 * Read one plane into the caller's memory.
 *
 * @param list    borrowed
 * @param image   borrowed
 * @param plane   less than the format's plane_count
 * @param pixels  room for rows of samples; borrowed *until the list is done*
 * @param pitch   bytes from one row of `pixels` to the next
 *
 * @retval 0        recorded
 * @retval -EINVAL  no such plane, or a pitch shorter than a row
 * @retval -EACCES  the image does not allow reading
 * @retval other    as stile_swgpu_list_fill()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_list_download(
	struct stile_swgpu_list *list, struct stile_image *image,
	uint32_t plane, void *pixels, size_t pitch);

/**
 * Put one picture, or a part of it, onto another one; pixman does the pixels.
 * Formats are those of pixman: R8, RGB565, BGR565, all of 8888, and of 1555, 4444
 * and 2101010 those with A or X first. X channels are opaque, R8 is alpha; beyond
 * the edges of a source that is scaled is what is at its edges. The planes of both
 * must not overlap.
 *
 * @param list       borrowed
 * @param composite  borrowed, its images too
 *
 * @retval 0        recorded
 * @retval -EINVAL  another format, a rectangle that is not within its image, an
 *                  unknown operator or filter, the same memory on both sides,
 *                  or composite->size is impossible
 * @retval -E2BIG   composite is newer than the library and uses fields it does
 *                  not know
 * @retval -EACCES  `from` does not allow reading, or `to` writing
 * @retval other    as stile_swgpu_list_fill()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_list_composite(
	struct stile_swgpu_list *list,
	const struct stile_swgpu_composite *composite);

/**
 * Turn YUV into RGB of the same extent. Chroma is repeated (its siting is to
 * the left, as if filtered by nothing); rounding is to the nearest, upwards from
 * between two, values are clamped, alpha and X are 255.
 *
 * @param list    borrowed
 * @param yuv     NV12; borrowed
 * @param rgb     XRGB8888, ARGB8888, XBGR8888 or ABGR8888; borrowed
 * @param matrix  how it was made
 * @param range   what its numbers go from and to
 *
 * @retval 0        recorded
 * @retval -EINVAL  other formats, another extent, an unknown matrix or range
 * @retval -EACCES  `yuv` does not allow reading, or `rgb` writing
 * @retval other    as stile_swgpu_list_fill()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_list_convert(
	struct stile_swgpu_list *list, struct stile_image *yuv,
	struct stile_image *rgb, enum stile_swgpu_matrix matrix,
	enum stile_swgpu_range range);

/**
 * Call a function for each row of plane 0.
 *
 * @param list    borrowed
 * @param images  1 to STILE_SWGPU_MAX_IMAGES, of any formats, of the same
 *                extent; the first is to be written and read, the others are
 *                read; borrowed
 * @param count   how many
 * @param fn      the function
 * @param user    handed to it; must stay until the list is done
 *
 * @retval 0        recorded
 * @retval -EINVAL  no images, too many, or of different extents
 * @retval -EACCES  the first does not allow writing, or one does not reading
 * @retval other    as stile_swgpu_list_fill()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_list_kernel(
	struct stile_swgpu_list *list, struct stile_image *const *images,
	size_t count, stile_swgpu_kernel_fn fn, void *user);

/**
 * Set bytes of a buffer to a repeated pattern of four.
 *
 * @param list    borrowed
 * @param buffer  borrowed
 * @param offset  bytes, a multiple of 4
 * @param bytes   above 0, a multiple of 4
 * @param value   the lowest address in the lowest byte
 *
 * @retval 0        recorded
 * @retval -EINVAL  misaligned, or nothing
 * @retval -ERANGE  not within the buffer
 * @retval -EACCES  the buffer does not allow writing
 * @retval other    as stile_swgpu_list_fill()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_list_fill_buffer(
	struct stile_swgpu_list *list, struct stile_buffer *buffer,
	uint64_t offset, uint64_t bytes, uint32_t value);

/**
 * Copy rows of bytes from buffer to buffer.
 *
 * @param list  borrowed
 * @param copy  borrowed, its buffers too
 *
 * @retval 0        recorded
 * @retval -EINVAL  nothing to copy, rows of the target that overlap, source and
 *                  target in one buffer that overlap, or copy->size is impossible
 * @retval -E2BIG   copy is newer than the library and uses fields it does not
 *                  know
 * @retval -ERANGE  not within a buffer
 * @retval -EACCES  `from` does not allow reading, or `to` writing
 * @retval other    as stile_swgpu_list_fill()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_list_copy_buffer(
	struct stile_swgpu_list *list, const struct stile_swgpu_strided *copy);

/*
 * By address on the device's bus, for those who attach and map themselves:
 * nothing is known of such memory when the command is recorded, and nothing is
 * kept alive or put into a reservation. What is not mapped then is a device
 * fault: the list ends with -EFAULT, and stile_swgpu_get_fault() says why.
 */

/**
 * Set memory to a repeated byte.
 *
 * @param list   borrowed
 * @param to     address of the first byte
 * @param bytes  above 0
 * @param value  of each
 *
 * @retval 0        recorded
 * @retval -EINVAL  nothing, or the address wraps
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_list_fill_address(
	struct stile_swgpu_list *list, uint64_t to, uint64_t bytes,
	uint8_t value);

/**
 * Copy memory; what overlaps is copied as by memmove().
 *
 * @param list   borrowed
 * @param from   address of the first byte to read
 * @param to     address of the first byte to write
 * @param bytes  above 0
 *
 * @retval 0        recorded
 * @retval -EINVAL  nothing, or an address wraps
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_list_copy_address(
	struct stile_swgpu_list *list, uint64_t from, uint64_t to,
	uint64_t bytes);

STILE_END_DECLS

#endif
