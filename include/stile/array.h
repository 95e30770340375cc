/* SPDX-License-Identifier: MIT */
#ifndef STILE_ARRAY_H
#define STILE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_fence;

/**
 * Memory for an array: a fence that is signalled when all of several fences
 * are, or any of them. Between stile_array_alloc() and stile_array_init(); from
 * then on it is a fence.
 *
 * Once somebody listens to it, an array of all ends with the first error that it
 * sees at a member, and an array of any as its first member did; where nobody
 * listened before the members ended, it ends without an error.
 * Members are no containers themselves: flatten them (stile_fence_merge()).
 * An array of which one member is a STILE_FENCE_USER fence is one as well; its
 * end is bounded by the members' expiries.
 * Thread-safety: external; as a fence, internal.
 */
struct stile_array;

/** When an array is signalled. */
enum stile_array_mode {
	STILE_ARRAY_ALL = 0, /**< when every member is */
	STILE_ARRAY_ANY = 1, /**< when one member is */
};

/**
 * Make an array. Never blocks.
 *
 * @param fences    its members, at least one; borrowed, the array takes
 *                  references of its own
 * @param count     how many
 * @param context   as stile_fence_init()
 * @param seqno     as stile_fence_init(), 32 bits of it are compared
 * @param mode      when it is signalled
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  no member at all, more than 2^31 - 1, an unknown mode, or a
 *                  member is itself an array or a chain
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_array_create(
	struct stile_fence *const *fences, size_t count, uint64_t context,
	uint64_t seqno, enum stile_array_mode mode, struct stile_fence **out);

/**
 * Have memory ready for where nothing may fail any more. Never blocks.
 *
 * @param count     how many members it has to hold
 * @param[out] out  memory, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_array_alloc(
	size_t count, struct stile_array **out);

/**
 * Give up memory that was never made a fence.
 *
 * @param array  NULL is ignored
 * @since 0.1
 */
STILE_API void stile_array_free(struct stile_array *array);

/**
 * Make memory an array. Cannot fail, never blocks. No member at all, or one
 * that is a container, is a mistake, which is told
 * (stile_check_set_handler()).
 *
 * @param array    the caller's no longer
 * @param fences   the members; one reference on each is taken over
 * @param count    at most as many as the memory was made for
 * @param context  as stile_array_create()
 * @param seqno    as stile_array_create()
 * @param mode     as stile_array_create()
 * @return the fence, one reference, the caller's
 * @since 0.1
 */
STILE_API struct stile_fence *stile_array_init(struct stile_array *array,
	struct stile_fence *const *fences, size_t count, uint64_t context,
	uint64_t seqno, enum stile_array_mode mode);

/** Is the fence an array? NULL is none. @since 0.1 */
STILE_API bool stile_fence_is_array(const struct stile_fence *fence);

/**
 * How many members an array has; 1 for any other fence, 0 for NULL.
 *
 * @param fence  borrowed; may be NULL
 * @since 0.1
 */
STILE_API size_t stile_array_get_count(const struct stile_fence *fence);

/**
 * One member of an array; any other fence is its own only member.
 *
 * @param fence  borrowed
 * @param index  below stile_array_get_count()
 * @return borrowed
 * @since 0.1
 */
STILE_API struct stile_fence *stile_array_get_nth(
	struct stile_fence *fence, size_t index);

/**
 * Is the fence of this context? An array is if all its members are; its own
 * does not count.
 *
 * @param fence    borrowed
 * @param context  what to look for
 * @since 0.1
 */
STILE_API bool stile_fence_match_context(
	struct stile_fence *fence, uint64_t context);

STILE_END_DECLS

#endif
