/* SPDX-License-Identifier: MIT */
#ifndef STILE_WW_MUTEX_H
#define STILE_WW_MUTEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_cancel;

/** Somebody who waits for a mutex: private. Thread-safety: internal. */
struct stile_ww_waiter;

/** Who gives way when two acquire contexts want each other's mutexes. */
enum stile_ww_algorithm {
	/**
	 * The younger one that would have to wait for an older one gives up
	 * what it has.
	 */
	STILE_WW_WAIT_DIE = 0,
	/**
	 * An older one that has to wait tells the younger holder to give up
	 * what it has when that one next has to wait.
	 */
	STILE_WW_WOUND_WAIT = 1,
};

/**
 * A kind of mutex that is taken in any order, several at a time. Made by
 * STILE_WW_CLASS(), usually in static storage; outlives all that is of it.
 * The fields are private.
 *
 * Thread-safety: internal.
 */
struct stile_ww_class {
	const char *name;
	uint32_t algorithm;
	uint32_t ticket;
	uint64_t stamp;
};

/** Initialises a struct stile_ww_class: for reports, and who gives way. */
#define STILE_WW_CLASS(name, algorithm) \
	{ name, algorithm, 0, 0 }

/**
 * A mutex of such a class, in the caller's memory. The fields are private.
 *
 * Thread-safety: internal; stile_ww_mutex_init() external.
 */
struct stile_ww_mutex {
	struct stile_ww_class *ww_class;
	uintptr_t owner;
	struct stile_ww_waiter *first;
	struct stile_ww_waiter *last;
	uint32_t lock;
};

/**
 * An acquire context: one attempt of one thread to have several mutexes of a
 * class. It has a place in a line, which it keeps when it has to give up what
 * it has, so that it gets everything in the end. In the caller's memory; the
 * fields are private. A thread has one of a class at a time.
 *
 * Thread-safety: external: the thread that made it.
 */
struct stile_ww_acquire {
	struct stile_ww_class *ww_class;
	uint64_t stamp;
	const void *thread;
	struct stile_ww_mutex *contended;
	uint32_t *sleeps_on;
	uint32_t lock;
	uint32_t flags;
	uint32_t acquired;
	uint32_t until_injection;
	uint32_t injection_interval;
};

/**
 * Begin to acquire. Never blocks.
 *
 * @param acquire   memory for it; stays until stile_ww_acquire_fini()
 * @param ww_class  of the mutexes to be locked; borrowed
 * @since 0.1
 */
STILE_API void stile_ww_acquire_init(
	struct stile_ww_acquire *acquire, struct stile_ww_class *ww_class);

/**
 * Say that nothing more will be locked with it: optional, so that a mistake
 * is told.
 *
 * @param acquire  borrowed
 * @since 0.1
 */
STILE_API void stile_ww_acquire_done(struct stile_ww_acquire *acquire);

/**
 * Do without the mutex that gave -EDEADLK, once all others were unlocked: it
 * need not be locked first then. Never blocks.
 *
 * @param acquire  borrowed
 * @since 0.1
 */
STILE_API void stile_ww_acquire_skip(struct stile_ww_acquire *acquire);

/**
 * End it, on the same thread, after all that was locked with it was unlocked.
 *
 * @param acquire  borrowed; the memory is the caller's again
 * @since 0.1
 */
STILE_API void stile_ww_acquire_fini(struct stile_ww_acquire *acquire);

/**
 * Make a mutex that is not locked.
 *
 * @param mutex     memory for it
 * @param ww_class  its class; borrowed for the mutex's life
 * @since 0.1
 */
STILE_API void stile_ww_mutex_init(
	struct stile_ww_mutex *mutex, struct stile_ww_class *ww_class);

/**
 * Lock a mutex; blocks while somebody else has it and it is this one's turn to
 * wait. Mutexes of one class may be locked in any order, with one acquire
 * context. Misuse is told (stile_check_set_handler()).
 *
 * After -EDEADLK, unlock all that was locked with the context, lock this mutex
 * by stile_ww_mutex_lock_slow(), then the others anew; or do without
 * it: stile_ww_acquire_skip(). struct stile_exec does all that.
 *
 * @param mutex    borrowed
 * @param acquire  the context, of the mutex's class; NULL: this mutex alone is
 *                 wanted, and the thread has no other one of the class
 * @param cancel   may end the wait; borrowed; may be NULL
 *
 * @retval 0         locked
 * @retval -EALREADY it is locked with this very context; nothing changed
 * @retval -EDEADLK  somebody with more right to it has it or waits for it, and
 *                   the context has others, or was told to give them up; never
 *                   if it has none. Without a context: misuse, the calling
 *                   thread has this mutex already
 * @retval -EINTR    cancelled while waiting
 * @retval -EINVAL   misuse: the context is of another class, is done, or has
 *                   ended; or the calling thread has this mutex already, but
 *                   not with this context
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_ww_mutex_lock(struct stile_ww_mutex *mutex,
	struct stile_ww_acquire *acquire, struct stile_cancel *cancel);

/**
 * The same for the mutex that gave -EDEADLK, after all others were unlocked:
 * waits until it is there.
 *
 * @param mutex    the one that gave -EDEADLK; borrowed
 * @param acquire  the same context
 * @param cancel   may end the wait; borrowed; may be NULL
 *
 * @retval 0        locked
 * @retval -EINTR   cancelled while waiting
 * @retval -EINVAL  misuse: the context has mutexes, or this is not the one that
 *                  gave -EDEADLK, or stile_ww_mutex_lock() would give it
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_ww_mutex_lock_slow(
	struct stile_ww_mutex *mutex, struct stile_ww_acquire *acquire,
	struct stile_cancel *cancel);

/**
 * Lock a mutex if nobody has it. Never blocks.
 *
 * @param mutex    borrowed
 * @param acquire  as stile_ww_mutex_lock()
 *
 * @retval 0       locked
 * @retval -EBUSY  somebody has it, perhaps the caller
 * @retval -EINVAL as stile_ww_mutex_lock()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_ww_mutex_trylock(
	struct stile_ww_mutex *mutex, struct stile_ww_acquire *acquire);

/**
 * Unlock a mutex, on the thread that locked it. Never blocks.
 *
 * @param mutex  borrowed
 * @since 0.1
 */
STILE_API void stile_ww_mutex_unlock(struct stile_ww_mutex *mutex);

/** Has somebody locked it? @since 0.1 */
STILE_API bool stile_ww_mutex_is_locked(const struct stile_ww_mutex *mutex);

/**
 * The context that it was locked with. Tells the truth to whoever has locked
 * it; others may compare it with what they know, and nothing else.
 *
 * @param mutex  borrowed
 * @return borrowed; NULL: none, or it is not locked
 * @since 0.1
 */
STILE_API struct stile_ww_acquire *stile_ww_mutex_get_acquire(
	const struct stile_ww_mutex *mutex);

/**
 * For tests: have stile_ww_mutex_lock() give -EDEADLK now and then, in a
 * regular way, where a context has mutexes and could have got one more. For
 * the whole process, for contexts begun from now on.
 *
 * @param on  or off, as it is at the start
 * @since 0.1
 */
STILE_API void stile_ww_inject_deadlocks(bool on);

STILE_END_DECLS

#endif
