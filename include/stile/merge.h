/* SPDX-License-Identifier: MIT */
#ifndef STILE_MERGE_H
#define STILE_MERGE_H

#include <stddef.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_fence;

/**
 * Where a visit to the leaves of a fence has got to. In the caller's memory;
 * the fields are private.
 *
 * Thread-safety: external.
 */
struct stile_unwrap {
	struct stile_fence *chain;
	struct stile_fence *array;
	size_t index;
};

/**
 * Begin to visit the leaves of a fence: the elements of a chain from the newest
 * to the oldest, the members of an array in their order, any other fence
 * itself. Leaves of chains that are done may be left out. Never blocks.
 *
 *     for (leaf = stile_unwrap_first(head, &cursor); leaf != NULL;
 *             leaf = stile_unwrap_next(&cursor)) { ... }
 *
 * @param head    borrowed; NULL has no leaves
 * @param cursor  memory for where we are
 * @return borrowed until the next step; NULL: there is none
 * @since 0.1
 */
STILE_API struct stile_fence *stile_unwrap_first(
	struct stile_fence *head, struct stile_unwrap *cursor);

/**
 * Go on to the next leaf. Never blocks.
 *
 * @param cursor  borrowed
 * @return borrowed until the next step; NULL: that was the last, and the visit
 *         is over
 * @since 0.1
 */
STILE_API struct stile_fence *stile_unwrap_next(struct stile_unwrap *cursor);

/**
 * End a visit before it has come to its end; else nothing happens.
 *
 * @param cursor  borrowed
 * @since 0.1
 */
STILE_API void stile_unwrap_end(struct stile_unwrap *cursor);

/**
 * Keep only the newest fence of each context, ordered by context. Never
 * blocks.
 *
 * @param fences  references of the caller's; those left out are dropped
 * @param count   how many
 * @return how many are left, at the beginning
 * @since 0.1
 */
STILE_API size_t stile_fence_dedup(struct stile_fence **fences, size_t count);

/**
 * Make one fence of the pending leaves of several: the stub's kind if there are
 * none, with the time of the last one; the leaf itself if there is one; else an
 * array of the newest of each context. Errors of leaves that are done are lost,
 * and of an array of any all members are waited for. Never blocks.
 *
 * @param fences    borrowed; each may be NULL, or be there twice
 * @param count     how many, may be 0
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_merge(
	struct stile_fence *const *fences, size_t count,
	struct stile_fence **out);

STILE_END_DECLS

#endif
