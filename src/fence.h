/* SPDX-License-Identifier: MIT */
#ifndef SRC_FENCE_H
#define SRC_FENCE_H

#include <stile/array.h>
#include <stile/chain.h>
#include <stile/fence.h>
#include <stile/wait.h>

/** What `state` is made of; told in fence.c. */
enum {
	STATE_SIGNALED = 1u << 0, /* stile_fence_is_signaled_inline() knows it */
	STATE_ENABLED = 1u << 1,
	STATE_WAITER = 1u << 2,
	STATE_ARMED = 1u << 3,
	STATE_USER = 1u << 4,
	STATE_COSTLY = 1u << 5, /* to ask whether it is done is a system call */
	STATE_GRAPH = 1u << 6,
	STATE_ERROR_SHIFT = 8,
	STATE_ERROR = 0xfffu << STATE_ERROR_SHIFT,
	STATE_MOVED = 1u << 20,
};

/** In `refs`: it was in a slot, and nobody gets a reference any more. */
#define FENCE_DEAD (UINT32_C(1) << 31)
/** In `refs`: it was where others look without a reference. */
#define FENCE_SLOT (UINT32_C(1) << 30)

/** A reference for a slot: stile_fence_ref() and fence_enter_slot() in one. */
static inline struct stile_fence *fence_ref_into_slot(struct stile_fence *fence) {
	uint32_t refs = __atomic_load_n(&fence->refs, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&fence->refs, &refs, (refs + 1) | FENCE_SLOT, true,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
	}
	return fence;
}

static inline uint32_t fence_state(const struct stile_fence *fence) {
	return __atomic_load_n(&fence->state, __ATOMIC_ACQUIRE);
}

/** A reference, if somebody else still has one. */
bool fence_ref_unless_zero(struct stile_fence *fence);

/**
 * The same, quicker, for a fence that is in a slot (fence_enter_slot()), between reclaim_begin() and
 * reclaim_end(): also when the last reference has just gone, and nobody has noticed.
 */
static inline bool fence_ref_seen(struct stile_fence *fence) {
	if ((__atomic_fetch_add(&fence->refs, 1, __ATOMIC_SEQ_CST) & FENCE_DEAD) == 0) {
		return true;
	}
	__atomic_fetch_sub(&fence->refs, 1, __ATOMIC_RELAXED);
	return false;
}

/** It can be seen from now on by those who look into a slot. Before it can be; NULL is ignored. */
void fence_enter_slot(struct stile_fence *fence);

/** Has nobody else a reference? Only for who has one and knows that none can be made from it. */
bool fence_is_last_ref(const struct stile_fence *fence);

/**
 * The time to be recorded at signalling, where it is known better than by looking at the clock.
 * Before signalling only.
 */
void fence_set_timestamp(struct stile_fence *fence, int64_t timestamp_ns);

/**
 * A user fence whatever its ops say: a container of one, or one that another process owes. Before
 * anybody else has it.
 */
void fence_make_user(struct stile_fence *fence, int32_t owner, int64_t expiry_ns);

/** Is it known to have ended, without asking anybody? */
static inline bool fence_has_ended(const struct stile_fence *fence) {
	return (fence_state(fence) & STATE_SIGNALED) != 0;
}

/** As stile_fence_is_signaled(), without a call where nobody has to be asked. */
static inline bool fence_is_done(struct stile_fence *fence) {
	uint32_t state = fence_state(fence);
	if ((state & STATE_SIGNALED) != 0) {
		return true;
	}
	return (fence->ops->signaled != NULL || (state & STATE_USER) != 0) &&
		stile_fence_is_signaled(fence);
}

/** The same, where it is enough to know it later: does not ask what a system call would be needed for. */
static inline bool fence_is_done_at_hand(struct stile_fence *fence) {
	return (fence_state(fence) & STATE_COSTLY) != 0 ? fence_has_ended(fence)
							: fence_is_done(fence);
}

extern const struct stile_fence_ops array_fence_ops, chain_fence_ops; /* array.c, chain.c */

/** Is it made of other fences? */
static inline bool fence_is_container(const struct stile_fence *fence) {
	return fence->ops == &array_fence_ops || fence->ops == &chain_fence_ops;
}

/** Was its implementer asked to signal it? */
bool fence_is_enabled(const struct stile_fence *fence);

/** Of an array: is it done when one member is? */
bool array_is_any(const struct stile_fence *fence);

/** As stile_fence_wait(), for who has told the graph of it; or which waits at that place. */
int fence_wait(struct stile_fence *fence, int64_t deadline_ns);
int fence_wait_at(struct stile_fence *fence, int64_t deadline_ns, const void *place);

/** The sleep of stile_fence_wait() for an enabled fence; the deadline is above 0. 0 or -ETIME. */
int fence_sleep(struct stile_fence *fence, int64_t deadline_ns);

#endif
