/* SPDX-License-Identifier: MIT */
#ifndef STILE_TIMELINE_H
#define STILE_TIMELINE_H

#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_cancel;
struct stile_fence;

/**
 * Places in time, by number, that work gets to one after the other.
 *
 * There are two ways to get there. A *counter* that the program advances; a
 * fence can be made for each of its values. And fences of any kind that are
 * *submitted* for values. A point (struct stile_point) is reached by whichever
 * comes first; what neither has come to yet may still be waited for.
 *
 * Values are plain numbers of 64 bits, and do not wrap around.
 *
 * Reference counted: stile_timeline_ref(), stile_timeline_unref(). The last
 * one closes the timeline; its memory stays for its fences.
 * Thread-safety: internal. All fences made for the counter share one lock, so
 * nothing here may be called from a callback of one of them.
 */
struct stile_timeline;

/**
 * Make a timeline whose counter is at 0. Never blocks.
 *
 * @param name      for people; the first 31 bytes are copied
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_timeline_create(
	const char *name, struct stile_timeline **out);

/**
 * Take a reference. Never blocks.
 *
 * @param timeline  borrowed
 * @return timeline
 * @since 0.1
 */
STILE_API struct stile_timeline *stile_timeline_ref(
	struct stile_timeline *timeline);

/**
 * Drop a reference. The last one closes the timeline: fences made for values
 * that the counter has not reached end with -ENOENT, what was submitted is
 * given up, and eventfds that still wait for a submission are forgotten. Never
 * blocks.
 *
 * @param timeline  the reference to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_timeline_unref(struct stile_timeline *timeline);

/**
 * Where the counter is. Never blocks.
 *
 * @param timeline  borrowed
 * @since 0.1
 */
STILE_API uint64_t stile_timeline_get_value(
	const struct stile_timeline *timeline);

/**
 * Have a fence that is signalled when the counter reaches a value: at once if
 * it has. A fence for this value that is pending is given again; else a new
 * one is made, a STILE_FENCE_USER fence whose seqno is the value. One that is
 * given again has the expiry that it had. Never blocks.
 *
 * @param timeline  borrowed; the fence outlives it, see stile_timeline_unref()
 * @param value     the value
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_timeline_create_fence(
	struct stile_timeline *timeline, uint64_t value,
	struct stile_fence **out);

/**
 * Move the counter on. What is reached is signalled, in the order of the
 * values. Never blocks.
 *
 * @param timeline  borrowed
 * @param count     how far; UINT64_MAX is the end
 * @since 0.1
 */
STILE_API void stile_timeline_advance(
	struct stile_timeline *timeline, uint64_t count);

/**
 * Give a value a fence. The value is reached when that fence is signalled and
 * all that were submitted before are. Of a fence that is an element of a chain,
 * such as one that stile_point_get_fence() gave, the pending leaves are taken.
 * Never blocks.
 *
 * A value that is not above the last one is allowed, but begins a new order:
 * points up to the last one then wait for this fence as well.
 *
 * @param timeline  borrowed
 * @param value     the value
 * @param fence     borrowed; a reference is kept
 *
 * @retval 0        submitted
 * @retval -EINVAL  the value is 0
 * @retval -ENOMEM  out of memory; nothing was changed
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_timeline_submit(
	struct stile_timeline *timeline, uint64_t value,
	struct stile_fence *fence);

/**
 * A value on a timeline, which may not be submitted yet. Plain data, the
 * caller's; the timeline is borrowed.
 */
struct stile_point {
	struct stile_timeline *timeline;
	uint64_t value;
};

/** How a point stands. */
enum stile_point_state {
	/**
	 * No fence was submitted for it or a later one. A program may yet get
	 * the counter there: that is a promise, and no fence.
	 */
	STILE_POINT_UNSUBMITTED = 1,
	STILE_POINT_PENDING = 2, /**< submitted, and not reached */
	STILE_POINT_DONE = 3,    /**< reached */
};

/** What can be waited for. A point that is done has been available. */
enum stile_point_event {
	STILE_POINT_AVAILABLE = 1, /**< it is submitted: there is a fence */
	STILE_POINT_SIGNALED = 2,  /**< it is done */
};

/**
 * How does a point stand? One that is done stays so, unless a value is
 * submitted that is not above the last one. Never blocks.
 *
 * @param point  borrowed
 * @since 0.1
 */
STILE_API enum stile_point_state stile_point_get_state(
	const struct stile_point *point);

/**
 * Have a fence to wait for, for a point to be reached: the element of a chain,
 * or the stub (stile_fence_get_stub()) if it is done. Never blocks.
 *
 * @param point     borrowed
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EAGAIN  the point is not submitted yet
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_point_get_fence(
	const struct stile_point *point, struct stile_fence **out);

/**
 * Wait for a point, which may not be submitted yet: so for a program, perhaps
 * for ever. Success says that it was reached, not how its fence ended. The
 * timeline stays open meanwhile.
 *
 * @param point        borrowed
 * @param event        for what
 * @param deadline_ns  absolute CLOCK_MONOTONIC time for all of it; 0 looks
 *                     without asking anybody to signal, INT64_MAX waits for
 *                     ever
 * @param cancel       may end the wait; borrowed; may be NULL
 *
 * @retval 0       it has happened
 * @retval -ETIME  not by then
 * @retval -EINTR  cancelled before
 * @retval -EINVAL the deadline is negative, or there is no such event
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_point_wait(const struct stile_point *point,
	enum stile_point_event event, int64_t deadline_ns,
	struct stile_cancel *cancel);

/**
 * Have 1 added to an eventfd, once, when something happens to a point; at once
 * if it has. Any number of times for the same point and eventfd. If the
 * timeline is closed before the point is submitted, nothing will ever be added;
 * after it was submitted, closing changes nothing. A child made by fork tells
 * nobody.
 *
 * Never blocks. The adding leaves an eventfd alone that is full; but one that
 * somebody fills on purpose at that very moment, and that is not EFD_NONBLOCK,
 * holds up whoever signals: share it only with whom you trust.
 *
 * @param point    borrowed for the call, the timeline too
 * @param event    what is to be told
 * @param eventfd  borrowed; a duplicate is kept, CLOEXEC
 *
 * @retval 0        it was told or will be
 * @retval -EBADF   the descriptor is not open
 * @retval -EINVAL  it is no eventfd, or there is no such event
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_point_notify_fd(
	const struct stile_point *point, enum stile_point_event event,
	int eventfd);

STILE_END_DECLS

#endif
