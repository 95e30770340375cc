/* SPDX-License-Identifier: MIT */
#ifndef STILE_CREATE_FOR_H
#define STILE_CREATE_FOR_H

#include <stddef.h>
#include <stdint.h>

#include <stile/image.h>
#include <stile/layout.h>
#include <stile/macros.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

struct stile_device;

/*
 * Images as a negotiation has found that they have to be. Who needs several that
 * are alike, for a swapchain, or one for each frame, negotiates once, and hands
 * the same pick to each call: the first one finds what works.
 *
 *     struct stile_pick pick = { .size = sizeof(pick) };
 *     for (i = 0; i < 3; i++) {
 *             ret = stile_image_create_for(&layout, devices, NULL, &pick,
 *                     &report, &images[i]);
 *     }
 */

/** Flags of struct stile_create_for_info. */
enum {
	/** Where it has to be copied: the image that the producers write, of
	 * stile_layout_get_source(). Without it, the one that consumers read. */
	STILE_CREATE_FOR_SOURCE = 1u << 0,
};

/** What is wanted beside what was negotiated. */
struct stile_create_for_info {
	size_t size;      /**< sizeof(struct stile_create_for_info) */
	uint32_t width;   /**< pixels; with height 0: as it was negotiated */
	uint32_t height;  /**< pixels */
	uint32_t usage;   /**< STILE_USAGE_* beside that of the parties */
	uint32_t flags;   /**< STILE_CREATE_FOR_* */
	const char *name; /**< for debugging tools; borrowed; may be NULL */
};

/** One choice of a layout. Begins as the best one, with zeroes. */
struct stile_pick {
	size_t size;      /**< sizeof(struct stile_pick) */
	uint32_t tranche; /**< index; the source has 0 */
	uint32_t choice;  /**< index in it */
};

/**
 * Make an image of new memory for all parties of a tranche: allocated by the
 * tranche's allocator, in the layout of the choice, with pitches, offsets and
 * padding as all of them need. What its device refuses is reported, and the next
 * choice is tried, in this tranche and then in the ones after it. What passes
 * by, as want of descriptors, is no reason to take another one. May block for
 * memory.
 *
 * Nothing is asked of parties but of the allocator: an API that refuses what it
 * names refuses it when it imports.
 *
 * @param layout    what stile_negotiate() has found; borrowed
 * @param devices   of each party, in the order in which they were given to
 *                  stile_negotiate(): who allocates for it, or NULL; borrowed
 * @param info      borrowed; NULL: as it was negotiated
 * @param pick      in: the first one to try; out: the one that it is, unchanged
 *                  on failure; NULL: from the best on
 * @param report    why not, with the numbers of the first choice that was
 *                  tried. On success, too, its text says which one it is and
 *                  why none before, and the reason is STILE_REASON_NONE. The
 *                  log of the allocator's device has the whole, at
 *                  STILE_LOG_INFO. May be NULL
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  there is no such choice, or no source; no extent is known;
 *                  unknown usage or flag, or a size field is impossible
 * @retval -E2BIG   a struct is newer than the library and uses fields it does not
 *                  know
 * @retval -EOPNOTSUPP  the layout has no tranche; the memory has to come from
 *                  elsewhere, or from a party without a device here or whose
 *                  device makes no memory of that kind
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval other    what the first choice was refused with: as
 *                  stile_image_create()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_image_create_for(
	const struct stile_layout *layout, struct stile_device *const *devices,
	const struct stile_create_for_info *info, struct stile_pick *pick,
	struct stile_report *report, struct stile_image **out);

STILE_END_DECLS

#endif
