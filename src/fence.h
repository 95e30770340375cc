/* SPDX-License-Identifier: MIT */
#ifndef SRC_FENCE_H
#define SRC_FENCE_H

#include <stile/fence.h>
#include <stile/wait.h>

/** A reference, if somebody else still has one. */
bool fence_ref_unless_zero(struct stile_fence *fence);

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
bool fence_has_ended(const struct stile_fence *fence);

/** Was its implementer asked to signal it? */
bool fence_is_enabled(const struct stile_fence *fence);

/** The sleep of stile_fence_wait() for an enabled fence; the deadline is above 0. 0 or -ETIME. */
int fence_sleep(struct stile_fence *fence, int64_t deadline_ns);

#endif
