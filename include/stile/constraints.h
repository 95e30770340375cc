/* SPDX-License-Identifier: MIT */
#ifndef STILE_CONSTRAINTS_H
#define STILE_CONSTRAINTS_H

#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

/**
 * What somebody needs of an image's layout and of where its memory is, beyond
 * its being valid. A field that is 0 needs nothing.
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
	uint32_t height_align;  /**< rows, a power of two: the memory of a plane
	                            goes on to a multiple of these */
	uint32_t address_bits;  /**< width of an address on the device's bus:
	                            12 to 64 */
	uint32_t max_segments;  /**< pieces that the memory may be in; 1:
	                            contiguous */
	uint32_t segment_align; /**< bytes, a power of two: address and length
	                             of each piece */
	uint64_t max_segment;   /**< bytes of one piece; at least a page */
};

/**
 * Combine what two parties need of where memory is (address_bits,
 * max_segments, segment_align, max_segment), and of pitch, offset and height:
 * the stricter of each. `usage` is what either needs, the extents the smaller
 * ones. The modifiers of `into` stay as they are. Never blocks.
 *
 * @param into  complete, its size set; changed on success only
 * @param other borrowed
 *
 * @retval 0        combined
 * @retval -EINVAL  a size field is impossible, an alignment is no power of
 *                  two, address_bits is beyond 12 to 64, or max_segment is
 *                  less than a page
 * @retval -E2BIG   other is newer than the library and uses fields it does not
 *                  know
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_constraints_merge(
	struct stile_constraints *into, const struct stile_constraints *other);

STILE_END_DECLS

#endif
