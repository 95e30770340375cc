/* SPDX-License-Identifier: MIT */
#ifndef SRC_WATCH_H
#define SRC_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct stile_fence;

/**
 * A thread that looks at descriptors, each on behalf of one fence, and asks the fence
 * (stile_fence_is_signaled()) when there is something to see.
 *
 * Thread-safety: internal. It lives as long as somebody has a reference.
 */
struct watch;

/** 0 with one reference, -EAGAIN (no thread), -EMFILE or -ENOMEM. */
int watch_create(struct watch **out);
struct watch *watch_ref(struct watch *watch);
/** NULL is ignored. Does not return before the thread has ended, if it was the last. */
void watch_unref(struct watch *watch);

/**
 * Prepare to look at `fd`, so that arming it can no longer fail for want of memory: a fence that
 * ended by that would release its consumers early. 0 or -ENOMEM.
 */
int watch_reserve(struct watch *watch, int fd);

/**
 * Begin to look at a reserved descriptor. Called under the fence's lock. 0, or -ECHILD in a child
 * made by fork, which has no such thread.
 */
int watch_arm(struct watch *watch, int fd, struct stile_fence *fence);

/** Forget a reserved descriptor, armed or not, which is still open. */
void watch_release(struct watch *watch, int fd);

#endif
