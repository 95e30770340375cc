/* SPDX-License-Identifier: MIT */
#ifndef SRC_EXPIRY_H
#define SRC_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

struct stile_fence;

/*
 * Ends pending user fences at their time. Those that nobody listens to need none of this: whoever
 * looks at them, or waits, sees the time itself. One thread of the process, started at first need.
 * All of these are called under the fence's lock, or when nobody else has the fence.
 */

/** Somebody listens now; may be said again. If the system refuses the thread, the next call tries again. */
void expiry_arm(struct stile_fence *fence);
/** It has ended, or goes. Fine for one that is not armed. */
void expiry_disarm(struct stile_fence *fence);
/** Change the time; armed from now on or not. */
void expiry_move(struct stile_fence *fence, int64_t expiry_ns, bool arm);

#endif
