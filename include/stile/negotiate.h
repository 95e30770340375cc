/* SPDX-License-Identifier: MIT */
#ifndef STILE_NEGOTIATE_H
#define STILE_NEGOTIATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/layout.h>
#include <stile/macros.h>
#include <stile/party.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

/*
 * The layout of an image that all who have to do with it take; and, for each
 * layout that somebody does not take, who and why. docs/negotiation.md.
 */

/** What is wanted. */
struct stile_want {
	size_t size; /**< sizeof(struct stile_want) */
	/** Pixels; both 0: not known yet, and limits are not looked at. */
	uint32_t width;
	uint32_t height;
	uint32_t usage;    /**< STILE_USAGE_* beside what the parties say */
	bool is_protected; /**< the content is */
	enum stile_step ladder; /**< the costliest step that is allowed */
	/** DRM_FORMAT_*, best first; borrowed. None: those of the parties, in
	 * the order in which the required ones name them. */
	const uint32_t *fourccs;
	size_t fourcc_count;
};

/**
 * Find the layouts that all required parties take, in tranches: first those that
 * all the optional ones take as well, then those that all of them but the last
 * take, and so on to those of the required ones alone. A layout is in the best
 * one only, and tranches without any are left out. In a tranche they are in the
 * order of the formats wanted, then as the parties name them, then LINEAR, then
 * INVALID. Parties can be together only if one of them can allocate memory
 * that the others import and that is as they need it, and if they have a way
 * to wait for each other. If none of all of them allocates, memory comes from
 * elsewhere, and has to be of a kind that all import.
 *
 * If there is no such layout, it is a ladder: STILE_STEP_BLIT and
 * STILE_STEP_CPU_COPY have one layout for producers, stile_layout_get_source(),
 * and one for consumers, the only tranche, of the same format; optional parties
 * are left out, but for the one that copies: the first that can, required ones
 * first. The CPU copies between parties with STILE_PARTY_CPU, one on each side,
 * and no protected content. Never blocks.
 *
 * @param parties  borrowed
 * @param count    1 to STILE_MAX_PARTIES, one of them not optional
 * @param want     borrowed
 * @param[out] layout  its size is set; the caller's to give to
 *                 stile_layout_fini(), whatever is returned, but for an
 *                 impossible size. With -EOPNOTSUPP it has the rejections, and
 *                 in step, copier and cost what would have done
 * @param report   why not: of the layout that most parties take the first
 *                 rejection; may be NULL
 *
 * @retval 0        *layout has a tranche at least
 * @retval -EINVAL  a size field is impossible, no party is required, or too
 *                  many are there, one needs what nobody can need or has
 *                  modifiers there, a flag is unknown, only one of width and
 *                  height is 0, a plane count is above STILE_MAX_PLANES
 * @retval -E2BIG   a struct is newer than the library and uses fields it does
 *                  not know
 * @retval -EOPNOTSUPP  they have nothing in common that is cheap enough
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_negotiate(
	const struct stile_party *parties, size_t count,
	const struct stile_want *want, struct stile_layout *layout,
	struct stile_report *report);

STILE_END_DECLS

#endif
