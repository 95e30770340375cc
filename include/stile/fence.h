/* SPDX-License-Identifier: MIT */
#ifndef STILE_FENCE_H
#define STILE_FENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_fence;
struct stile_callback;

/**
 * A lock that many fences may share; also one that belongs to their
 * implementer. In the caller's memory, zero is a valid lock without a name.
 * The fields are private. Not recursive.
 *
 * Thread-safety: internal; stile_lock_init() external.
 */
struct stile_lock {
	const char *name;
	uint32_t word;
};

/** Flags of struct stile_fence_ops. */
enum {
	/** Order by the whole 64-bit seqno, which never wraps around. */
	STILE_FENCE_SEQNO64 = 1u << 0,
	/**
	 * The end depends on a program, not on a kernel or driver that
	 * guarantees it: such a fence has an owner and an expiry.
	 */
	STILE_FENCE_USER = 1u << 1,
};

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
	 * more, not even by stile_fence_ref_slot(); free it. Any thread, also
	 * one that has nothing to do with the fence, possibly later than the
	 * last unref, and possibly while another fence's lock is held, or the
	 * lock that this one shares.
	 * Must not block. If NULL, the memory is left alone.
	 */
	void (*release)(struct stile_fence *fence);

	/**
	 * Optional: replaces the sleep of stile_fence_wait(), where this kind
	 * of fence can be waited for better; enable_signaling is then not
	 * called for it. 0 once the `signaled` op says yes or the fence is
	 * signalled, -ETIME at the deadline (an absolute time, never 0; the
	 * expiry at most). Should look from time to time whether the fence
	 * ended by other means. No lock held; many threads at once.
	 */
	int (*wait)(struct stile_fence *fence, int64_t deadline_ns);

	/**
	 * Optional: somebody hopes for the end by then; a hint. Any thread, any
	 * number of times, also at once; the earliest counts, the past is now.
	 * Without the fence lock held. Must not block.
	 */
	void (*set_deadline)(struct stile_fence *fence, int64_t deadline_ns);

	/** STILE_FENCE_...; unknown bits are refused by stile_fence_init(). */
	uint32_t flags;
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
	uint32_t state;
	uint32_t refs;
	uint32_t lock;
	int32_t owner;
	struct stile_lock *shared_lock;
	int64_t timestamp_ns;
	struct stile_callback *first;
	struct stile_callback *last;
	uint64_t seqno;
	int64_t expiry_ns;
	void *expiry_node[3];
} STILE_ALIGNED(8);

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
 * @retval -EINVAL a mandatory op is missing, ops->size is impossible, or a
 *                 flag is unknown
 * @retval -E2BIG  the table is newer than the library and uses ops it does
 *                 not know
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_init(struct stile_fence *fence,
	const struct stile_fence_ops *ops, uint64_t context, uint64_t seqno);

/**
 * The same with a lock that other fences share: where an implementer looks at
 * all its fences under one lock, signalling them needs no other.
 *
 * @param fence    as stile_fence_init()
 * @param ops      as stile_fence_init()
 * @param lock     borrowed; must stay as long as the fence
 * @param context  as stile_fence_init()
 * @param seqno    as stile_fence_init()
 *
 * @retval 0       the fence is ready
 * @retval -EINVAL as stile_fence_init()
 * @retval -E2BIG  as stile_fence_init()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_init_shared(
	struct stile_fence *fence, const struct stile_fence_ops *ops,
	struct stile_lock *lock, uint64_t context, uint64_t seqno);

/**
 * Make a lock.
 *
 * @param lock  memory for it
 * @param name  of its kind, for the lock-order checker; a static string
 * @since 0.1
 */
STILE_API void stile_lock_init(struct stile_lock *lock, const char *name);

/**
 * Take a lock; blocks while others have it, but never for long: nothing that
 * runs under it may block. Must be given up by the same thread.
 *
 * @param lock  borrowed
 * @since 0.1
 */
STILE_API void stile_lock_acquire(struct stile_lock *lock);

/**
 * Give a lock up. Containers that were completed by what was signalled under
 * it are signalled now, if it was the last lock that this thread held.
 *
 * @param lock  borrowed
 * @since 0.1
 */
STILE_API void stile_lock_release(struct stile_lock *lock);

/**
 * Take the lock of a fence, its own or the one it shares. Whoever does so
 * after the fence was signalled knows that all its callbacks have run. It does
 * not keep a fence of its own lock pending to which nobody listens: that one
 * may be signalled by others all the same.
 *
 * @param fence  borrowed
 * @since 0.1
 */
STILE_API void stile_fence_lock(struct stile_fence *fence);

/** Give it up again, as stile_lock_release(). @since 0.1 */
STILE_API void stile_fence_unlock(struct stile_fence *fence);

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
 * could signal it: a mistake, which is told (stile_check_set_handler()). Never
 * blocks.
 *
 * @param fence  the reference to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_fence_unref(struct stile_fence *fence);

/**
 * Take a reference on the fence in a slot that others replace at the same
 * time, by stile_fence_exchange_slot(). Never blocks.
 *
 * @param slot  where the fence is; borrowed
 * @return a new reference on what is there, the caller's; NULL if nothing is
 * @since 0.1
 */
STILE_API struct stile_fence *stile_fence_ref_slot(struct stile_fence **slot);

/**
 * Replace the fence in such a slot: the only way to put one there, also the
 * first one. Never blocks.
 *
 * @param slot   borrowed
 * @param fence  a reference, which the slot takes over; may be NULL
 * @return what was there, its reference now the caller's; may be NULL
 * @since 0.1
 */
STILE_API struct stile_fence *stile_fence_exchange_slot(
	struct stile_fence **slot, struct stile_fence *fence);

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
 * As stile_fence_signal(), for a caller that has the fence's lock.
 *
 * @param fence  borrowed
 * @since 0.1
 */
STILE_API void stile_fence_signal_locked(struct stile_fence *fence);

/**
 * As stile_fence_signal(), where it is known when the work was done.
 *
 * @param fence         borrowed
 * @param timestamp_ns  CLOCK_MONOTONIC; 0 or less is now
 * @since 0.1
 */
STILE_API void stile_fence_signal_timestamp(
	struct stile_fence *fence, int64_t timestamp_ns);

/**
 * As stile_fence_signal_timestamp(), with the fence's lock held. @since 0.1
 */
STILE_API void stile_fence_signal_timestamp_locked(
	struct stile_fence *fence, int64_t timestamp_ns);

/**
 * As stile_fence_signal(), and tell who was first.
 *
 * @param fence  borrowed
 * @return true: it had been signalled before; false: this call did it
 * @since 0.1
 */
STILE_API bool stile_fence_check_and_signal(struct stile_fence *fence);

/**
 * Is the work done? Looks at the fence and, where it is pending, asks the
 * implementer; if that says yes, the fence is signalled from here. Never
 * blocks.
 *
 * @param fence  borrowed
 * @since 0.1
 */
STILE_API bool stile_fence_is_signaled(struct stile_fence *fence);

#if defined(__GNUC__)
/*
 * The answer "yes" is one load, and is had without a call. SIGNALED is the
 * first bit of the state for ever.
 */
static inline bool stile_fence_is_signaled_inline(struct stile_fence *fence) {
	return (__atomic_load_n(&fence->state, __ATOMIC_ACQUIRE) & 1u) != 0 ||
		stile_fence_is_signaled(fence);
}
#define stile_fence_is_signaled stile_fence_is_signaled_inline
#endif

/**
 * As stile_fence_is_signaled(), for a caller that has the fence's lock.
 *
 * @param fence  borrowed
 * @since 0.1
 */
STILE_API bool stile_fence_is_signaled_locked(struct stile_fence *fence);

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
 * The implementer's names, for messages; see struct stile_fence_ops. They stay
 * readable after the fence was signalled.
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
 * Does the fence end after another one of the same context? By seqno: the low
 * 32 bits, which may wrap around, or all 64 bits with STILE_FENCE_SEQNO64.
 * Never blocks.
 *
 * @param fence  borrowed
 * @param other  borrowed, of the same context; another one is a mistake of the
 *               caller, which is told (stile_check_set_handler()): false then
 * @since 0.1
 */
STILE_API bool stile_fence_is_later(
	const struct stile_fence *fence, const struct stile_fence *other);

/**
 * As stile_fence_is_later(), and true for one and the same fence. @since 0.1
 */
STILE_API bool stile_fence_is_later_or_same(
	const struct stile_fence *fence, const struct stile_fence *other);

/**
 * Which of two fences of one context to wait for.
 *
 * @param fence  borrowed
 * @param other  borrowed
 * @return the later one, borrowed; NULL if that is signalled, or the contexts
 *         differ
 * @since 0.1
 */
STILE_API struct stile_fence *stile_fence_get_later(
	struct stile_fence *fence, struct stile_fence *other);

/**
 * One line for people: context:seqno, the names, how it stands; for a fence
 * that depends on a program, who owes it and until when. Never blocks.
 *
 * @param fence  borrowed
 * @param text   where to write, always ended by a NUL; may be NULL if size is 0
 * @param size   bytes there are
 * @return bytes needed, without the NUL, as snprintf()
 * @since 0.1
 */
STILE_API int stile_fence_describe(
	struct stile_fence *fence, char *text, size_t size);

/**
 * Does its end depend on a program (STILE_FENCE_USER)? Such a fence never
 * enters a kernel reservation. Never blocks.
 *
 * @param fence  borrowed
 * @since 0.1
 */
STILE_API bool stile_fence_is_user(const struct stile_fence *fence);

/**
 * The process that owes the end of a STILE_FENCE_USER fence.
 *
 * @param fence  borrowed
 * @return a process id; 0: not known, or no user fence
 * @since 0.1
 */
STILE_API int32_t stile_fence_get_owner(const struct stile_fence *fence);

/**
 * When a STILE_FENCE_USER fence ends by itself, with -ETIMEDOUT: 10 s after it
 * was made, if not set. INT64_MAX: never. Never blocks.
 *
 * @param fence  borrowed
 * @since 0.1
 */
STILE_API int64_t stile_fence_get_expiry(const struct stile_fence *fence);

/**
 * Set it, for all who have the fence. Never blocks.
 *
 * @param fence      borrowed
 * @param expiry_ns  CLOCK_MONOTONIC; INT64_MAX: never, which only an owner
 *                   should choose that cannot fail
 *
 * @retval 0         set
 * @retval -EINVAL   the time is not above 0, or it is no user fence
 * @since 0.1
 */
STILE_API int stile_fence_set_expiry(
	struct stile_fence *fence, int64_t expiry_ns);

/**
 * Say by when the end is hoped for: a hint to the implementer, which
 * containers pass on to their members. Nothing happens if there is nobody to
 * tell or the fence is signalled. Never blocks.
 *
 * @param fence        borrowed
 * @param deadline_ns  CLOCK_MONOTONIC
 * @since 0.1
 */
STILE_API void stile_fence_set_deadline(
	struct stile_fence *fence, int64_t deadline_ns);

/**
 * A fence that was signalled long ago, for where one is needed and nothing is
 * to be waited for; context 0, seqno 0. Never blocks.
 *
 * @return a new reference on the one of the process
 * @since 0.1
 */
STILE_API struct stile_fence *stile_fence_get_stub(void);

/**
 * One of one's own, with a time of one's own. Never blocks.
 *
 * @param timestamp_ns  when it was signalled, CLOCK_MONOTONIC
 * @param[out] out      new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_create_stub(
	int64_t timestamp_ns, struct stile_fence **out);

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

STILE_END_DECLS

#endif
