/* SPDX-License-Identifier: MIT */
#ifndef STILE_SG_H
#define STILE_SG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_device;

/**
 * Which way data goes: DMA_BIDIRECTIONAL and its siblings (KERNEL_CONTRACT
 * T-5).
 */
enum stile_direction {
	STILE_BIDIRECTIONAL = 0,
	STILE_TO_DEVICE = 1,   /**< the device reads */
	STILE_FROM_DEVICE = 2, /**< the device writes */
	STILE_NO_DIRECTION = 3,
};

/** On no bus that anybody knows: memory of a process, as a rule. */
#define STILE_ADDRESS_UNKNOWN UINT64_MAX

/**
 * A scatter list: the pieces that memory is in, as the CPU sees them
 * (*ranges*), and, once mapped for a device, as that device sees them
 * (*segments*), which may be fewer (T-6).
 *
 * One owner, the exporter: stile_sg_create(), stile_sg_destroy(). Importers
 * see it const, and use the device's view alone.
 * Thread-safety: external, but for what is mapped by it.
 */
struct stile_sg;

/** One piece as the CPU sees it. */
struct stile_sg_range {
	void *memory;     /**< page-aligned; NULL: the CPU cannot reach it */
	uint64_t address; /**< on the system's bus, page-aligned, or
	                       STILE_ADDRESS_UNKNOWN */
	uint64_t bytes;   /**< whole pages, above 0 */
};

/** One piece as the device sees it. */
struct stile_sg_segment {
	uint64_t address; /**< page-aligned */
	uint32_t bytes;   /**< whole pages, above 0 */
};

/**
 * A walk over segments or ranges. The fields are private.
 *
 * Thread-safety: external.
 */
struct stile_sg_iter {
	const struct stile_sg *sg;
	size_t next;
};

/**
 * Make an empty table.
 *
 * @param[out] out  the table, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_sg_create(struct stile_sg **out);

/**
 * Free a table; what is mapped by it is unmapped: a device that still uses it
 * reports a fault.
 *
 * @param sg  the table to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_sg_destroy(struct stile_sg *sg);

/**
 * Add a piece at the end. One that goes on where the last one ends, for the
 * CPU and on the bus, becomes part of it. May block for memory.
 *
 * @param sg     not mapped yet; borrowed
 * @param range  borrowed; the memory stays until the table is destroyed
 *
 * @retval 0        added
 * @retval -EINVAL  not whole pages, or nothing
 * @retval -EBUSY   the table has been mapped
 * @retval -EOVERFLOW the sum of all does not fit in 64 bits, or the address
 *                  wraps
 * @retval -ENOMEM  out of memory; the table is as before
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_sg_append(
	struct stile_sg *sg, const struct stile_sg_range *range);

/**
 * Have a device reach the memory: makes the device's view, by the device's
 * bus, with segments that meet its constraints. Neighbours are coalesced, to
 * at most 4 GiB less a page. A table serves one device; if it is mapped more
 * than once, each is to be undone. May block for memory.
 *
 * @param sg         borrowed, also by the device, until it is unmapped
 * @param device     borrowed; kept alive
 * @param direction  what the device may do; not STILE_NO_DIRECTION
 *
 * @retval 0        mapped; stile_sg_unmap() undoes it
 * @retval -EINVAL  no such direction, or an empty table
 * @retval -EBUSY   it is mapped for another device
 * @retval -ERANGE  the device cannot reach it: an address is too wide, there
 *                  are too many pieces, or one is misaligned; logged with the
 *                  numbers
 * @retval -EOPNOTSUPP the device has no engines: it only allocates
 * @retval -ENOSPC  the device's bus has no addresses left
 * @retval -EIO     the device is lost
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_sg_map(struct stile_sg *sg,
	struct stile_device *device, enum stile_direction direction);

/**
 * Undo one stile_sg_map(). What the device has written is in memory
 * afterwards. The segments stay as they are, so that the next
 * stile_sg_map() for the same device is cheap; touching them while nothing is
 * mapped is a device fault. Never blocks for long.
 *
 * @param sg         borrowed
 * @param direction  the same
 * @since 0.1
 */
STILE_API void stile_sg_unmap(
	struct stile_sg *sg, enum stile_direction direction);

/** The bytes of all pieces. @since 0.1 */
STILE_API uint64_t stile_sg_get_bytes(const struct stile_sg *sg);

/** How many pieces the CPU sees. @since 0.1 */
STILE_API size_t stile_sg_get_range_count(const struct stile_sg *sg);

/** How many pieces the device sees; 0 before the first map. @since 0.1 */
STILE_API size_t stile_sg_get_segment_count(const struct stile_sg *sg);

/**
 * Begin to walk over a table; the table has to stay.
 *
 * @param iter  the caller's memory
 * @param sg    borrowed
 * @since 0.1
 */
STILE_API void stile_sg_iter_begin(
	struct stile_sg_iter *iter, const struct stile_sg *sg);

/**
 * The next piece as the device sees it. Cannot run past the end: after the
 * last one it gives false, as often as it is asked.
 *
 * @param iter          from stile_sg_iter_begin()
 * @param[out] segment  the piece, if there is one
 * @return whether there is one
 * @since 0.1
 */
STILE_API bool stile_sg_iter_next_segment(
	struct stile_sg_iter *iter, struct stile_sg_segment *segment);

/**
 * The next piece as the CPU sees it, for exporters and for those who brought
 * the memory. Do not mix both in one walk.
 *
 * @param iter        from stile_sg_iter_begin()
 * @param[out] range  the piece, if there is one
 * @return whether there is one
 * @since 0.1
 */
STILE_API bool stile_sg_iter_next_range(
	struct stile_sg_iter *iter, struct stile_sg_range *range);

/**
 * Where the device sees a byte of the memory. Never blocks.
 *
 * @param sg            borrowed
 * @param offset        bytes from the start of the memory
 * @param[out] address  on the device's bus
 * @param[out] bytes    how many follow in the same segment, at least 1
 *
 * @retval 0        found
 * @retval -ERANGE  the offset is at the end or behind it, or nothing was
 *                  mapped yet
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_sg_find(const struct stile_sg *sg,
	uint64_t offset, uint64_t *address, uint64_t *bytes);

STILE_END_DECLS

#endif
