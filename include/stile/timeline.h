/* SPDX-License-Identifier: MIT */
#ifndef STILE_TIMELINE_H
#define STILE_TIMELINE_H

#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_cancel;
struct stile_device;
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
 * Somebody else may keep a timeline, such as the kernel a DRM syncobj: then
 * that one has the counter and what was submitted, and says what its values
 * mean, 0 too (of a binary syncobj: the fence that it has now). All functions
 * here work on it as far as its owner provides for them, see struct
 * stile_timeline_ops; others may change it at any time.
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
 * given up, and eventfds that still wait for a submission are forgotten. One
 * that somebody else keeps is given back to its owner, and may go on for
 * others. Never blocks.
 *
 * @param timeline  the reference to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_timeline_unref(struct stile_timeline *timeline);

/**
 * Where the counter is; of a timeline that somebody else keeps, the value up to
 * which all is done (KERNEL_CONTRACT Y-9). Never blocks.
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
 * Of a timeline that somebody else keeps: the stub if the point is done, else
 * always a new STILE_FENCE_USER fence that follows the point, in a context of
 * its own, or what the owner makes. Whether the value will be submitted is up to a program, so only an
 * expiry can promise the end of such a fence; and it is of that kind also if
 * the value is submitted already, so that a race does not decide what it may be
 * used for. stile_point_get_fence() has the fence that the kernel may have, once
 * there is one. It does not hear of errors (Y-7).
 *
 * @param timeline  borrowed; the fence outlives it, see stile_timeline_unref()
 * @param value     the value
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -ENOMEM  out of memory
 * @retval -EOPNOTSUPP  its owner makes no such fences, and gives no notice by
 *                  eventfd or has no device that could watch one
 * @retval -EAGAIN  the system refused a thread
 * @retval -ECHILD  the owner's device watches in the process that forked this
 *                  one
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval other    what the owner's create_fence or notify_fd gives
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
 *
 * @retval 0        moved
 * @retval -EOPNOTSUPP  somebody else keeps the timeline, and may move it at the
 *                  same time: see stile_timeline_signal()
 * @since 0.1
 */
STILE_API int stile_timeline_advance(
	struct stile_timeline *timeline, uint64_t count);

/**
 * Move the counter to a value, and never back: what is reached is signalled, in
 * the order of the values. Of a timeline that somebody else keeps: have the
 * value signalled, as its owner does that (Y-5, Y-6). Never blocks.
 *
 * @param timeline  borrowed
 * @param value     the value
 *
 * @retval 0        it is reached
 * @retval -EOPNOTSUPP  its owner does not let programs do that
 * @retval other    what the owner gives
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_timeline_signal(
	struct stile_timeline *timeline, uint64_t value);

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
 * @retval -EINVAL  the value is 0, of a timeline that nobody else keeps
 * @retval -ENOMEM  out of memory; nothing was changed
 * @retval -EOPNOTSUPP  its owner takes no fences, or not this one: the kernel
 *                  takes only what a driver has promised it
 * @retval other    what the owner gives; nothing was changed
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
 * submitted that is not above the last one. An owner of a timeline that hears
 * of no submissions says STILE_POINT_UNSUBMITTED until it is done. Never blocks.
 *
 * @param point  borrowed
 * @since 0.1
 */
STILE_API enum stile_point_state stile_point_get_state(
	const struct stile_point *point);

/**
 * Have a fence to wait for, for a point to be reached: the element of a chain,
 * or what the owner of the timeline makes of it; or the stub
 * (stile_fence_get_stub()) if it is done. Never blocks.
 *
 * @param point     borrowed
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EAGAIN  the point is not submitted yet
 * @retval -EOPNOTSUPP  its owner gives no fences
 * @retval other    what the owner gives
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_point_get_fence(
	const struct stile_point *point, struct stile_fence **out);

/**
 * Wait for a point, which may not be submitted yet: so for a program, perhaps
 * for ever. Success says that it was reached, not how its fence ended. The
 * timeline stays open meanwhile.
 *
 * To wait for a submission with a lock or a reservation held, or inside a
 * signalling section, is a mistake: whoever is to submit may need it (X-8, Y-13).
 * The checker tells of it (<stile/check.h>).
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
 * @retval -EINTR  cancelled before; somebody else's timeline may notice up to
 *                 50 ms late
 * @retval -EINVAL the deadline is negative, or there is no such event
 * @retval other   what the owner of the timeline gives
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
 * @retval -EOPNOTSUPP  the owner of the timeline tells no eventfds
 * @retval other    what the owner gives
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_point_notify_fd(
	const struct stile_point *point, enum stile_point_event event,
	int eventfd);

/* ---- Timelines that somebody else keeps ---------------------------------- */

/**
 * What the owner of a timeline provides: whoever makes a stile_timeline of a
 * DRM syncobj, or of a driver's counter. Each op gets the timeline
 * (stile_timeline_get_priv()), may be called from any thread and from several
 * at once, with no lock of Stile held, and until `release` is.
 *
 * Only `wait` may block. Values and what they mean are the owner's, 0 too; an
 * owner refuses those that it does not have by -EINVAL.
 */
struct stile_timeline_ops {
	size_t size;      /**< sizeof(struct stile_timeline_ops) */
	const char *kind; /**< for people, such as "drm_syncobj"; mandatory */

	/**
	 * Mandatory: up to where all is done (Y-9), or where the counter is; 0
	 * of what has none.
	 */
	uint64_t (*get_value)(const struct stile_timeline *timeline);

	/**
	 * Mandatory: how a value stands. An owner that hears of no submissions
	 * never says STILE_POINT_PENDING. If it cannot be found out any more,
	 * STILE_POINT_UNSUBMITTED: `wait` will say why.
	 */
	enum stile_point_state (*get_state)(
		struct stile_timeline *timeline, uint64_t value);

	/**
	 * Mandatory: sleep until the event has happened to the value, which may
	 * not be submitted yet (Y-7, Y-8 with WAIT_FOR_SUBMIT), or until the
	 * deadline: absolute CLOCK_MONOTONIC time, above 0, INT64_MAX: for ever.
	 * Stile calls it again and again with near deadlines where the wait
	 * can be cancelled; the op itself need not know. A Unix signal does not
	 * end it. An owner that hears of no submissions takes both events for
	 * STILE_POINT_SIGNALED. 0; -ETIME, not before the deadline; any other
	 * -errno ends the caller's wait, such as -EIO for a lost device.
	 */
	int (*wait)(struct stile_timeline *timeline, uint64_t value,
		enum stile_point_event event, int64_t deadline_ns);

	/** Optional: signal a value from this program (Y-5, Y-6). 0 or -errno. */
	int (*signal)(struct stile_timeline *timeline, uint64_t value);

	/**
	 * Optional: give a value a fence, borrowed. -EOPNOTSUPP for one that
	 * the owner cannot take, such as a STILE_FENCE_USER one. 0 or
	 * -errno; then nothing was changed.
	 */
	int (*submit)(struct stile_timeline *timeline, uint64_t value,
		struct stile_fence *fence);

	/**
	 * Optional: a fence of a value (Y-2, Y-12), which was
	 * STILE_POINT_PENDING a moment ago; a new reference. 0, -EAGAIN if it is
	 * not submitted after all, or any other -errno.
	 */
	int (*get_fence)(struct stile_timeline *timeline, uint64_t value,
		struct stile_fence **out);

	/**
	 * Optional: have 1 added to an eventfd when the event happens, inside
	 * the call if it has (Y-11). It is one, and borrowed: the owner keeps
	 * what it needs. 0 or -errno; then nothing will be added.
	 */
	int (*notify_fd)(struct stile_timeline *timeline, uint64_t value,
		enum stile_point_event event, int eventfd);

	/**
	 * Mandatory: nobody uses the timeline any more; give back what `priv`
	 * is. It may run a little after the last stile_timeline_unref(), if
	 * stile_graph_describe() looks at the timeline just then.
	 */
	void (*release)(struct stile_timeline *timeline);

	/**
	 * Optional: a fence of its own for a value that was not done a moment
	 * ago, a STILE_FENCE_USER one; a new reference. Where the owner has a
	 * better way to follow a value than an eventfd. 0 or -errno.
	 */
	int (*create_fence)(struct stile_timeline *timeline, uint64_t value,
		struct stile_fence **out);
};

/** How to make a timeline of what somebody else keeps. */
struct stile_timeline_info {
	size_t size;      /**< sizeof(struct stile_timeline_info) */
	const char *name; /**< for people; the first 31 bytes are copied */
	const struct stile_timeline_ops *ops; /**< borrowed, static */
	void *priv;                           /**< the owner's */
	/**
	 * Its thread or loop watches for stile_timeline_create_fence(), which
	 * gives -EOPNOTSUPP without one, unless the owner makes fences;
	 * borrowed, has to outlive the timeline.
	 * NULL: none.
	 */
	struct stile_device *device;
};

/**
 * Make a timeline of what somebody else keeps. Never blocks.
 *
 * @param info      borrowed
 * @param[out] out  new reference, the caller's; NULL on failure: then `priv` is
 *                  untouched, and no op is called
 *
 * @retval 0        *out is valid; ops->release will be called once
 * @retval -EINVAL  the name, ops or a mandatory op is missing; a size field is
 *                  impossible
 * @retval -E2BIG   info or ops is newer than the library and uses fields it
 *                  does not know
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_timeline_create_from(
	const struct stile_timeline_info *info, struct stile_timeline **out);

/** The owner's `priv`; NULL of a timeline without one. @since 0.1 */
STILE_API void *stile_timeline_get_priv(const struct stile_timeline *timeline);

/**
 * The owner's ops: is the timeline one's own? NULL of one made by
 * stile_timeline_create(). @since 0.1
 */
STILE_API const struct stile_timeline_ops *stile_timeline_get_ops(
	const struct stile_timeline *timeline);

STILE_END_DECLS

#endif
