/* SPDX-License-Identifier: MIT */
#ifndef SRC_FENCE_H
#define SRC_FENCE_H

#include <stile/fence.h>

/** A reference, if somebody else still has one. */
bool fence_ref_unless_zero(struct stile_fence *fence);

/**
 * The time to be recorded at signalling, where it is known better than by looking at the clock.
 * Before signalling only.
 */
void fence_set_timestamp(struct stile_fence *fence, int64_t timestamp_ns);

#endif
