/* SPDX-License-Identifier: MIT */
#ifndef SRC_WATCH_H
#define SRC_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct stile_fence;

/**
 * Looks at descriptors, each on behalf of one fence, and asks the fence (stile_fence_is_signaled())
 * when there is something to see: a thread of the library's, or whoever calls watch_dispatch().
 *
 * Thread-safety: internal. It lives as long as somebody has a reference.
 */
struct watch;

/**
 * @param loop_fd  -1: with a thread; else for the caller's loop, which is to be woken also while this
 *                 descriptor is readable
 * @return 0 with one reference, -EAGAIN (no thread), -EMFILE or -ENOMEM
 */
int watch_create(int loop_fd, struct watch **out);
struct watch *watch_ref(struct watch *watch);
/** NULL is ignored. Does not return before the thread has ended, if it was the last. */
void watch_unref(struct watch *watch);

/** For the caller's loop: readable while watch_dispatch() has something to do. Borrowed. */
int watch_get_fd(const struct watch *watch);

/** Look at what there is to see, up to some hundred descriptors; does not block. */
void watch_dispatch(struct watch *watch);

/**
 * Prepare to look at `fd`, so that arming it can no longer fail for want of memory: a fence that
 * ended by that would release its consumers early. With a thread this costs no system call: should the kernel
 * have no memory when it is armed, the thread looks again and again. 0, -ENOMEM, or -ECHILD as watch_arm().
 */
int watch_reserve(struct watch *watch, int fd);

/**
 * Begin to look at a reserved descriptor, for events of poll(). Called under the fence's lock. 0, or -ECHILD
 * in a child made by fork: what is watched is the parent's.
 */
int watch_arm(struct watch *watch, int fd, short events, struct stile_fence *fence);

/** Forget a reserved descriptor, armed or not, which is still open. Of one that was not, a thread knows nothing. */
void watch_release(struct watch *watch, int fd, bool was_armed);

#endif
