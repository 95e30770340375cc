/* SPDX-License-Identifier: MIT */
#ifndef STILE_FENCE_H
#define STILE_FENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_device;
struct stile_fence;
struct stile_callback;
struct stile_notify;

/**
 * What the implementer of a fence provides. Each function gets the fence; an
 * implementer that embeds it finds its own object around it. `size` comes
 * first: the table may grow. The table outlives every fence that uses it.
 */
struct stile_fence_ops {
	/** sizeof(struct stile_fence_ops) */
	size_t size;

	/**
	 * Mandatory. Names for people; borrowed, valid at least until the fence
	 * is released. Any thread, any locks.
	 */
	const char *(*get_driver_name)(struct stile_fence *fence);
	const char *(*get_timeline_name)(struct stile_fence *fence);

	/**
	 * Optional: start whatever will signal the fence. Called at most once,
	 * under the fence lock, when somebody first waits or adds a callback.
	 * Return false if the work is done already (stile_fence_set_error()
	 * may be called first): the fence is then signalled at once. Must not
	 * block. If NULL, the implementer signals without being asked.
	 */
	bool (*enable_signaling)(struct stile_fence *fence);

	/**
	 * Optional: a cheap look at whether the work is done. May be late, but
	 * once true stays true; may set the error when it returns true. With or
	 * without the fence lock held. Must not block.
	 */
	bool (*signaled)(struct stile_fence *fence);

	/**
	 * Optional: the last reference is gone and nobody can see the fence any
	 * more; free it. Any thread, possibly later than the last unref, and
	 * possibly while the lock of *another* fence is held. Must not block.
	 * If NULL, the memory is left alone.
	 */
	void (*release)(struct stile_fence *fence);
};

/**
 * A one-shot completion marker for work on a GPU or CPU.
 *
 * It goes from pending to signalled exactly once, with success or with an
 * error, and never back. Whoever implements a fence embeds this struct in an
 * object of its own, calls stile_fence_init(), hands out references and calls
 * stile_fence_signal() when the work is done. The fields are private.
 *
 * Reference counted: stile_fence_ref(), stile_fence_unref(). A callback that
 * was added holds no reference; whoever waits or adds one does.
 * Thread-safety: internal. Any call from any thread on a shared fence, but
 * stile_fence_init().
 */
struct stile_fence {
	const struct stile_fence_ops *ops;
	uint64_t context;
	uint64_t seqno;
	int64_t timestamp_ns;
	struct stile_callback *first;
	struct stile_callback *last;
	uint32_t lock;
	uint32_t state;
	uint32_t refs;
	int32_t error;
};

/**
 * Run when a fence is signalled, in the signaller's context, *under the
 * fence's lock*: it must not block, must not call Stile on the same fence
 * (but to drop a reference) and must not wait for any fence. Once it is
 * entered, the node is no longer touched: it may be freed or added again, to
 * another fence.
 */
typedef void (*stile_callback_fn)(
	struct stile_fence *fence, struct stile_callback *callback);

/**
 * Storage for one callback, the caller's. The fields are private.
 *
 * Thread-safety: internal, from stile_fence_add_callback() until it has run or
 * was removed.
 */
struct stile_callback {
	struct stile_callback *next;
	struct stile_callback *prev;
	stile_callback_fn fn;
};

/**
 * Run from stile_device_dispatch() after a fence was signalled, with no lock
 * held: everything is allowed.
 */
typedef void (*stile_notify_fn)(
	struct stile_fence *fence, struct stile_notify *notify, void *user);

/**
 * Storage for one notification, the caller's. The fields are private.
 *
 * Thread-safety: internal; stile_notify_init() external.
 */
struct stile_notify {
	struct stile_callback callback;
	struct stile_device *device;
	struct stile_fence *fence;
	struct stile_notify *next;
	struct stile_notify *prev;
	stile_notify_fn fn;
	void *user;
	uint32_t state;
};

/** What a descriptor that carries a fence is. It cannot be told by looking. */
enum stile_fd_kind {
	/**
	 * A software sync file: one end of a socket through which the process
	 * that owes the work tells its end, or by dying tells that it won't.
	 */
	STILE_FD_SOFTWARE_SYNC_FILE = 1,
};

/** How a dependency crossed from one form to another, the best first. */
enum stile_path_kind {
	STILE_PATH_NONE = 0,     /**< nothing to wait for: it was signalled */
	STILE_PATH_HANDLE = 1,   /**< the object itself was passed on */
	STILE_PATH_BRIDGE = 2,   /**< a library thread tells the other side */
	STILE_PATH_CPU_WAIT = 3, /**< the calling thread waited */
};

/** Report of a conversion; the caller sets `size`, the call the rest. */
struct stile_path {
	size_t size; /**< sizeof(struct stile_path) */
	enum stile_path_kind kind;
	int64_t blocked_ns; /**< measured: for how long the calling thread
	                                was held up by the wait; 0 if not at all */
};

/**
 * Take numbers for ordered streams of work. Never blocks.
 *
 * @param count  how many contexts, at least 1
 * @return the first of `count` numbers in a row that nobody else has; never 0
 * @since 0.1
 */
STILE_API uint64_t stile_fence_context_alloc(uint32_t count);

/**
 * Make a fence in the caller's memory: pending, no error, one reference. The
 * memory may hold anything before. Never blocks, allocates nothing.
 *
 * @param fence    memory for it; must stay until the release op is called
 * @param ops      the implementer's table; borrowed for the fence's life
 * @param context  stream of work it belongs to (stile_fence_context_alloc())
 * @param seqno    place in the stream; rises with the order of completion
 *
 * @retval 0       the fence is ready
 * @retval -EINVAL a mandatory op is missing, or ops->size is impossible
 * @retval -E2BIG  the table is newer than the library and uses ops it does
 *                 not know
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_init(struct stile_fence *fence,
	const struct stile_fence_ops *ops, uint64_t context, uint64_t seqno);

/**
 * Take a reference. Never blocks.
 *
 * @param fence  borrowed
 * @return fence
 * @since 0.1
 */
STILE_API struct stile_fence *stile_fence_ref(struct stile_fence *fence);

/**
 * Drop a reference. When it was the last one of a fence that is pending and
 * has callbacks, the fence first ends with -EDEADLK, since nobody is left who
 * could signal it. Never blocks.
 *
 * @param fence  the reference to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_fence_unref(struct stile_fence *fence);

/**
 * Say how the work failed, before signalling. Never blocks.
 *
 * @param fence  borrowed
 * @param error  -4095 to -1: -ECANCELED, -ETIME, -EIO, ...
 *
 * @retval 0        stored
 * @retval -EINVAL  the error is out of range
 * @retval -EALREADY the fence is signalled already; nothing changed
 * @since 0.1
 */
STILE_API int stile_fence_set_error(struct stile_fence *fence, int error);

/**
 * End the fence: the work is done. Only the first call has an effect. All
 * that the caller wrote before is visible to whoever learns of it. Callbacks
 * run before this returns, in the order they were added. Never blocks.
 *
 * @param fence  borrowed
 * @since 0.1
 */
STILE_API void stile_fence_signal(struct stile_fence *fence);

/**
 * Is the work done? Looks at the fence and, where it is pending, asks the
 * implementer; if that says yes, the fence is signalled from here. Never
 * blocks.
 *
 * @param fence  borrowed
 * @since 0.1
 */
STILE_API bool stile_fence_is_signaled(struct stile_fence *fence);

/**
 * How it stands. Never blocks.
 *
 * @param fence  borrowed
 *
 * @retval 0          pending
 * @retval 1          signalled, the work succeeded
 * @retval negative   signalled, the work failed with this errno; for a fence
 *                    from another process -EOWNERDEAD if that process died,
 *                    -EBADMSG if what it sent is not valid, and -ECHILD in a
 *                    child made by fork
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_get_status(
	struct stile_fence *fence);

/**
 * When it was signalled: CLOCK_MONOTONIC in ns, in the process that did the
 * work; 0 while pending. Never blocks.
 *
 * @param fence  borrowed
 * @since 0.1
 */
STILE_API int64_t stile_fence_get_timestamp(struct stile_fence *fence);

/**
 * The implementer's names, for messages; see struct stile_fence_ops.
 *
 * @param fence  borrowed
 * @since 0.1
 */
STILE_API const char *stile_fence_get_driver_name(struct stile_fence *fence);

/** Like stile_fence_get_driver_name(). @since 0.1 */
STILE_API const char *stile_fence_get_timeline_name(struct stile_fence *fence);

/** The context given to stile_fence_init(). @since 0.1 */
STILE_API uint64_t stile_fence_get_context(const struct stile_fence *fence);

/** The seqno given to stile_fence_init(). @since 0.1 */
STILE_API uint64_t stile_fence_get_seqno(const struct stile_fence *fence);

/**
 * Ask the implementer to see to it that the fence gets signalled; waits and
 * callbacks do this themselves. The implementer is asked once. Never blocks.
 *
 * @param fence  borrowed
 * @since 0.1
 */
STILE_API void stile_fence_enable_signaling(struct stile_fence *fence);

/**
 * Have a function run when the fence is signalled; for implementers, see
 * stile_callback_fn for what it may do. Never blocks.
 *
 * @param fence     borrowed; the caller keeps a reference until the callback
 *                  ran or was removed
 * @param callback  the caller's storage, not in use; needs no initialisation
 * @param fn        the function
 *
 * @retval 0        it will run once
 * @retval -ENOENT  the fence is signalled already: it will not run
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_add_callback(
	struct stile_fence *fence, struct stile_callback *callback,
	stile_callback_fn fn);

/**
 * Take a callback back. Waits for one that is running right now; must not be
 * called from a callback of the same fence.
 *
 * @param fence     the fence it was added to; borrowed
 * @param callback  one that was added
 * @return true: it will never run; false: it has run to its end
 * @since 0.1
 */
STILE_API bool stile_fence_remove_callback(
	struct stile_fence *fence, struct stile_callback *callback);

/**
 * Choose the device whose stile_device_dispatch() delivers a notification.
 *
 * @param notify  the caller's storage, not in use
 * @param device  borrowed; destroying it takes the notification back
 * @since 0.1
 */
STILE_API void stile_notify_init(
	struct stile_notify *notify, struct stile_device *device);

/**
 * Have a function run from dispatch once the fence is signalled; for
 * applications. Always runs from dispatch, also for a fence that is signalled
 * already. Never blocks.
 *
 * @param fence   borrowed; the caller keeps a reference until fn is entered,
 *                the notification was cancelled or the device destroyed
 * @param notify  initialised, not in use; in use until fn is entered
 * @param fn      the function
 * @param user    handed to it
 *
 * @retval 0       fn will be called
 * @retval -EBUSY  the notification is in use
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_notify(struct stile_fence *fence,
	struct stile_notify *notify, stile_notify_fn fn, void *user);

/**
 * Take a notification back. Does not wait for a function that is running;
 * waits for the fence's callbacks if they run just now. May be called after
 * the device was destroyed, which takes all of them back.
 *
 * @param notify  initialised
 * @return true: fn will not be called; false: it was not in use, or fn has
 *         been entered (on another thread perhaps still running)
 * @since 0.1
 */
STILE_API bool stile_notify_cancel(struct stile_notify *notify);

/**
 * Wait until the fence is signalled. Success says that the work has ended,
 * not how: see stile_fence_get_status().
 *
 * @param fence        borrowed
 * @param deadline_ns  absolute CLOCK_MONOTONIC time; 0 polls, INT64_MAX waits
 *                     for ever
 *
 * @retval 0       signalled
 * @retval -ETIME  not by then
 * @retval -EINVAL the deadline is negative
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_wait(
	struct stile_fence *fence, int64_t deadline_ns);

/**
 * Take over a fence from a descriptor, mostly another process's.
 *
 * A fence whose producer dies before it signals ends with -EOWNERDEAD; what
 * cannot be understood ends it with -EBADMSG: silence and rubbish are never
 * success. A thread of the device watches the descriptor from the first wait
 * or callback on. A child made by fork has no such thread: there, the first
 * wait ends the child's copy of the fence with -ECHILD; one that was watched
 * before the fork can only be looked at, by stile_fence_get_status(): a wait
 * for it ends with its deadline. Never blocks.
 *
 * @param device    borrowed; may be destroyed before the fence, which then
 *                  goes on to work
 * @param kind      what the descriptor is
 * @param fd        borrowed, never closed; duplicated
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EBADF   fd is not an open descriptor
 * @retval -EINVAL  unknown kind, or the descriptor is not of this kind
 * @retval -EAGAIN  the system refused a thread
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_import_fd(
	struct stile_device *device, enum stile_fd_kind kind, int fd,
	struct stile_fence **out);

/**
 * Make a descriptor that another process can wait for.
 *
 * It becomes readable when the fence is signalled and stays so. If this
 * process ends first, the other side learns that. A pending fence that came
 * from such a descriptor itself gives that one again. Never blocks.
 *
 * @param fence      borrowed; the descriptor follows it without keeping it
 *                   alive: see stile_fence_unref() for what happens when the
 *                   last reference goes
 * @param kind       what to make
 * @param flags      0
 * @param[out] path  how it crosses; may be NULL
 * @param[out] fd    new descriptor, CLOEXEC, the caller's; -1 on failure
 *
 * @retval 0        *fd is valid
 * @retval -EINVAL  unknown kind or flags, or path->size is impossible
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_export_fd(struct stile_fence *fence,
	enum stile_fd_kind kind, uint32_t flags, struct stile_path *path,
	int *fd);

STILE_END_DECLS

#endif
