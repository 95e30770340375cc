/* SPDX-License-Identifier: MIT */
#ifndef STILE_CHAIN_H
#define STILE_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_fence;

/**
 * Memory for one element of a chain: a fence that is signalled when the fence
 * it contains and everything before it is. A chain holds what was submitted to
 * a timeline, the newest element being its head. Between stile_chain_alloc()
 * and stile_chain_init(); from then on it is a fence.
 *
 * Elements that are done are taken out by every walk. An element does not take
 * over the errors of the fences that it contains. It is a STILE_FENCE_USER
 * fence if what it contains, or what is before it, is one that had not ended
 * when it was made.
 * Thread-safety: external; as a fence, internal.
 */
struct stile_chain;

/**
 * Have memory ready for where nothing may fail any more. Never blocks.
 *
 * @param[out] out  memory, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_chain_alloc(struct stile_chain **out);

/**
 * Give up memory that was never made a fence.
 *
 * @param chain  NULL is ignored
 * @since 0.1
 */
STILE_API void stile_chain_free(struct stile_chain *chain);

/**
 * Make memory an element. Cannot fail, never blocks. It joins the context of
 * the element before if its seqno is higher; else it begins a new one. A fence
 * that is itself an element is a mistake, which is told
 * (stile_check_set_handler()).
 *
 * @param chain  the caller's no longer
 * @param prev   what comes before, any fence; the reference is taken over; may
 *               be NULL
 * @param fence  what it contains; the reference is taken over
 * @param seqno  the point that is reached by it, all 64 bits count; raised to
 *               that of the element before if it is not above
 * @return the fence, one reference, the caller's
 * @since 0.1
 */
STILE_API struct stile_fence *stile_chain_init(struct stile_chain *chain,
	struct stile_fence *prev, struct stile_fence *fence, uint64_t seqno);

/** Is the fence an element of a chain? NULL is none. @since 0.1 */
STILE_API bool stile_fence_is_chain(const struct stile_fence *fence);

/**
 * What an element contains; any other fence contains itself.
 *
 * @param fence  borrowed
 * @return borrowed
 * @since 0.1
 */
STILE_API struct stile_fence *stile_chain_get_contained(
	struct stile_fence *fence);

/**
 * Go on to what comes before. Elements there that are done are taken out of
 * the chain. Never blocks. To visit all of a chain:
 *
 *     at = stile_fence_ref(head);
 *     while (at != NULL) { ...; at = stile_chain_walk(at); }
 *
 * @param fence  the reference is given up; any fence, one that is no element
 *               ends the walk
 * @return a new reference, the caller's; NULL at the end
 * @since 0.1
 */
STILE_API struct stile_fence *stile_chain_walk(struct stile_fence *fence);

/**
 * Find what to wait for, for a point to be reached. Never blocks.
 *
 * @param fence  in: the head, a reference of the caller's; out: instead, one
 *               of the element to wait for, or NULL if the point has been
 *               reached; unchanged on failure
 * @param seqno  the point; 0 changes nothing
 *
 * @retval 0        *fence is what to wait for
 * @retval -EINVAL  no chain, or the point is beyond its head
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_chain_find_seqno(
	struct stile_fence **fence, uint64_t seqno);

STILE_END_DECLS

#endif
