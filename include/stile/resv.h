/* SPDX-License-Identifier: MIT */
#ifndef STILE_RESV_H
#define STILE_RESV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>
#include <stile/ww_mutex.h>

STILE_BEGIN_DECLS

struct stile_cancel;
struct stile_fence;

/** The fences of a reservation: private. Thread-safety: internal. */
struct stile_resv_list;

/** Who polls a reservation: private. Thread-safety: internal. */
struct stile_resv_poll;

/**
 * What a fence's work does with the memory. A question about one of them is
 * about those above it in this list too: who reads waits for WRITE, which
 * means KERNEL and WRITE; who writes waits for READ.
 */
enum stile_resv_usage {
	STILE_RESV_KERNEL = 0, /**< moves or clears it; all wait for that */
	STILE_RESV_WRITE = 1,  /**< writes what others will read */
	STILE_RESV_READ = 2,   /**< reads it */
	/** Uses it in a way that others know of by other means. */
	STILE_RESV_BOOKKEEP = 3,
};

/**
 * A reservation: who is using some memory, as fences. In the caller's memory;
 * the fields are private. Several buffers may share one.
 *
 * It is a lock of a class of its own, taken to add fences; see struct
 * stile_exec for several at a time. Looking is possible at any time without
 * it.
 *
 * It remembers how the last write went, also after its fences were forgotten,
 * until the next write: stile_resv_get_error(). All that is added with usage
 * WRITE under one lock is one write. A fence that takes the place of one that
 * is pending stands for it.
 *
 * Thread-safety: internal, with the lock where it is said;
 * stile_resv_init() and stile_resv_fini() external.
 */
struct stile_resv {
	struct stile_ww_mutex mutex;
	struct stile_resv_poll *poll;
	uint32_t promised;
	uint32_t writers;
	int32_t error;
	bool writing;
	struct stile_resv_list *list;
};

/** The usage to ask for before a use: what a writer or reader waits for. */
static inline enum stile_resv_usage stile_resv_usage_rw(bool write) {
	return write ? STILE_RESV_READ : STILE_RESV_WRITE;
}

/**
 * Make a reservation without fences. Never blocks, allocates nothing.
 *
 * @param resv  memory for it
 * @since 0.1
 */
STILE_API void stile_resv_init(struct stile_resv *resv);

/**
 * End it: drops all fences. Nobody uses it, or has it locked.
 *
 * @param resv  borrowed; the memory is the caller's again
 * @since 0.1
 */
STILE_API void stile_resv_fini(struct stile_resv *resv);

/* ---- The lock ----------------------------------------------------------- */

/**
 * Begin to lock several: stile_ww_acquire_init() for the class of all
 * reservations, in which the younger one gives way.
 *
 * @param acquire  memory for it; stays until stile_ww_acquire_fini()
 * @since 0.1
 */
STILE_API void stile_resv_acquire_init(struct stile_ww_acquire *acquire);

/**
 * Lock a reservation: stile_ww_mutex_lock(), which says it all. Blocks while
 * somebody else has it.
 *
 * @param resv     borrowed
 * @param acquire  the context, of stile_resv_acquire_init(); NULL: this one
 *                 alone is wanted
 * @param cancel   may end the wait; borrowed; may be NULL
 *
 * @retval 0         locked
 * @retval -EALREADY it is locked with this very context
 * @retval -EDEADLK  give up what the context has, and begin with this one
 * @retval -EINTR    cancelled while waiting
 * @retval -EINVAL   misuse
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_resv_lock(struct stile_resv *resv,
	struct stile_ww_acquire *acquire, struct stile_cancel *cancel);

/**
 * Lock the one that gave -EDEADLK, as stile_ww_mutex_lock_slow().
 *
 * @param resv     borrowed
 * @param acquire  the same context
 * @param cancel   may end the wait; borrowed; may be NULL
 *
 * @retval 0       locked
 * @retval -EINTR  cancelled while waiting
 * @retval -EINVAL misuse
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_resv_lock_slow(struct stile_resv *resv,
	struct stile_ww_acquire *acquire, struct stile_cancel *cancel);

/**
 * Lock it without a context if nobody has it. Never blocks.
 *
 * @param resv  borrowed
 *
 * @retval 0      locked
 * @retval -EBUSY somebody has it, perhaps the caller
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_resv_trylock(struct stile_resv *resv);

/**
 * Unlock it. What is left of stile_resv_reserve_fences() is void. Never
 * blocks.
 *
 * @param resv  borrowed
 * @since 0.1
 */
STILE_API void stile_resv_unlock(struct stile_resv *resv);

/** As stile_ww_mutex_is_locked(). @since 0.1 */
STILE_API bool stile_resv_is_locked(const struct stile_resv *resv);

/** As stile_ww_mutex_get_acquire(). @since 0.1 */
STILE_API struct stile_ww_acquire *stile_resv_get_acquire(
	const struct stile_resv *resv);

/* ---- With the lock ------------------------------------------------------ */

/**
 * Make room, so that adding cannot fail. Not cumulative: twice 1 may be room
 * for 1. Holds until the lock is given up. Misuse is told. May block for
 * memory.
 *
 * @param resv   borrowed, locked
 * @param count  how many fences will be added, at least 1
 *
 * @retval 0        there is room
 * @retval -EINVAL  misuse: count is 0, or impossible, or not locked
 * @retval -ENOMEM  out of memory; nothing changed
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_resv_reserve_fences(
	struct stile_resv *resv, uint32_t count);

/**
 * Say that a fence's work uses the memory. From here on others may wait for
 * it: it has to end. Takes the place of a fence that is done, or of one of the
 * same context that is not later and whose usage is not stronger. Never
 * blocks.
 *
 * @param resv   borrowed, locked, with room (stile_resv_reserve_fences())
 * @param fence  borrowed; a reference is kept. No array or chain: add what is
 *               in it (stile_unwrap_first())
 * @param usage  how
 *
 * @retval 0        added
 * @retval -EINVAL  misuse: a container, no such usage, or not locked. Nothing
 *                  changed
 * @retval -ENOSPC  misuse: there is no room. Nothing changed
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_resv_add_fence(struct stile_resv *resv,
	struct stile_fence *fence, enum stile_resv_usage usage);

/**
 * Put another fence in the place of all those of a context, whatever their
 * usage: only if its end implies that their work does not touch the memory any
 * more. Never blocks.
 *
 * @param resv     borrowed, locked
 * @param context  whose fences go
 * @param fence    borrowed; references are kept. No array or chain
 * @param usage    of the new one
 *
 * @retval 0        done, also if there was none
 * @retval -EINVAL  misuse: a container, no such usage, or not locked. Nothing
 *                  changed
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_resv_replace_fences(
	struct stile_resv *resv, uint64_t context, struct stile_fence *fence,
	enum stile_resv_usage usage);

/**
 * Have all pending fences of another reservation instead of one's own, with
 * their usages. May block for memory.
 *
 * @param resv   borrowed, locked
 * @param other  borrowed; need not be locked
 *
 * @retval 0        done; whoever adds more makes room first
 * @retval -EINVAL  misuse: not locked
 * @retval -ENOMEM  out of memory; nothing changed
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_resv_copy_fences(
	struct stile_resv *resv, struct stile_resv *other);

/**
 * How did the last write go? Known until the next one is added. Never blocks.
 *
 * @param resv  borrowed, locked
 *
 * @retval 0         it succeeded, is going on, or there was none
 * @retval negative  it ended with this error, the first that is known of if it
 *                   had several fences: what is in the memory is not what it
 *                   should be
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_resv_get_error(struct stile_resv *resv);

/**
 * For people: a line for each fence, but those of usage BOOKKEEP. Never
 * blocks.
 *
 * @param resv  borrowed, locked
 * @param text  where to write, always ended by a NUL; may be NULL if size is 0
 * @param size  bytes there are
 * @return bytes needed, without the NUL, as snprintf()
 * @since 0.1
 */
STILE_API int stile_resv_describe(
	struct stile_resv *resv, char *text, size_t size);

/* ---- With or without the lock ------------------------------------------- */

/**
 * Have what is pending, into the caller's array: all that was at one moment of
 * the call, but what has ended since. What is added meanwhile may be there or
 * not. Never blocks, makes no system call.
 *
 * @param resv           borrowed
 * @param usage          KERNEL up to this one
 * @param[out] fences    new references, the caller's; none on failure
 * @param[out] count     how many there is room for, set by the caller; then how
 *                       many there are, on -ENOSPC too
 *
 * @retval 0        they are there, perhaps none
 * @retval -ENOSPC  there are more
 * @retval -EINVAL  no such usage
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_resv_get_fences(struct stile_resv *resv,
	enum stile_resv_usage usage, struct stile_fence **fences,
	size_t *count);

/**
 * Have what is pending as one fence: an array, if it is more than one; then it
 * must not be added to a reservation. May block for memory.
 *
 * @param resv      borrowed
 * @param usage     KERNEL up to this one
 * @param[out] out  new reference, the caller's; NULL if nothing is pending, and
 *                  on failure
 *
 * @retval 0        *out is valid or NULL
 * @retval -EINVAL  no such usage
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_resv_get_singleton(struct stile_resv *resv,
	enum stile_resv_usage usage, struct stile_fence **out);

/**
 * Is nothing pending? Asks nobody to signal. Never blocks.
 *
 * @param resv   borrowed
 * @param usage  KERNEL up to this one
 * @since 0.1
 */
STILE_API bool stile_resv_test_signaled(
	struct stile_resv *resv, enum stile_resv_usage usage);

/**
 * Wait until what is pending is done, one after the other. No barrier: others
 * may add more meanwhile, which may or may not be waited for.
 *
 * @param resv         borrowed
 * @param usage        KERNEL up to this one
 * @param deadline_ns  absolute CLOCK_MONOTONIC time for all of it; 0 polls,
 *                     INT64_MAX waits for ever
 * @param cancel       may end the wait; borrowed; may be NULL
 *
 * @retval 0       nothing is pending
 * @retval -ETIME  something is
 * @retval -EINTR  cancelled before
 * @retval -EINVAL the deadline is negative, or no such usage
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_resv_wait(struct stile_resv *resv,
	enum stile_resv_usage usage, int64_t deadline_ns,
	struct stile_cancel *cancel);

/**
 * Hope for the end of what is pending by then (stile_fence_set_deadline()).
 * Never blocks.
 *
 * @param resv         borrowed
 * @param usage        KERNEL up to this one
 * @param deadline_ns  absolute CLOCK_MONOTONIC time
 * @since 0.1
 */
STILE_API void stile_resv_set_deadline(struct stile_resv *resv,
	enum stile_resv_usage usage, int64_t deadline_ns);

/**
 * Have a descriptor to poll, as a kernel dma-buf has: POLLIN says that nothing
 * which writes is pending, so that it may be read; POLLOUT that nothing which
 * reads or writes is, so that it may be written. Level-triggered; it goes with
 * what is added. For polling only: whoever reads or writes it spoils what it
 * says for all. Blocks while others have the lock.
 *
 * @param resv     borrowed, *not* locked by the caller
 * @param[out] fd  new descriptor, CLOEXEC, the caller's; all that are given are
 *                 one open file. -1 on failure
 *
 * @retval 0        *fd is valid
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_resv_get_poll_fd(
	struct stile_resv *resv, int *fd);

/* ---- One after the other ------------------------------------------------ */

/**
 * Goes through the fences of a reservation. In the caller's memory; the fields
 * are private.
 *
 * Thread-safety: external.
 */
struct stile_resv_iter {
	struct stile_resv *resv;
	struct stile_resv_list *list;
	struct stile_fence *fence;
	uint64_t generation;
	uint32_t changes;
	uint32_t index;
	uint32_t count;
	uint32_t usage;
	uint32_t fence_usage;
	bool skipped;
	bool restarted;
};

/**
 * Begin.
 *
 * @param iter   memory for it
 * @param resv   borrowed until the end
 * @param usage  KERNEL up to this one
 * @since 0.1
 */
STILE_API void stile_resv_iter_begin(struct stile_resv_iter *iter,
	struct stile_resv *resv, enum stile_resv_usage usage);

/**
 * The next fence, while the reservation is locked: all of them, those that are
 * done too. Never blocks.
 *
 * @param iter  borrowed
 * @return borrowed from the reservation; NULL: that was all
 * @since 0.1
 */
STILE_API struct stile_fence *stile_resv_iter_next(
	struct stile_resv_iter *iter);

/**
 * The next fence that is pending, without the lock. If the reservation changes
 * in a way that the iterator cannot follow, it begins again:
 * stile_resv_iter_is_restarted(). Never blocks.
 *
 * @param iter  borrowed
 * @return borrowed from the iterator until the next call or the end; NULL: that
 *         was all
 * @since 0.1
 */
STILE_API struct stile_fence *stile_resv_iter_next_unlocked(
	struct stile_resv_iter *iter);

/**
 * End; after an iteration without the lock, also after one that found all.
 *
 * @param iter  borrowed
 * @since 0.1
 */
STILE_API void stile_resv_iter_end(struct stile_resv_iter *iter);

/**
 * Is the fence that was just given the first one, or the first one again? What
 * was gathered before is void then. @since 0.1
 */
STILE_API bool stile_resv_iter_is_restarted(const struct stile_resv_iter *iter);

/** How the fence that was just given is used. @since 0.1 */
STILE_API enum stile_resv_usage stile_resv_iter_get_usage(
	const struct stile_resv_iter *iter);

STILE_END_DECLS

#endif
