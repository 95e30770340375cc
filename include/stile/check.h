/* SPDX-License-Identifier: MIT */
#ifndef STILE_CHECK_H
#define STILE_CHECK_H

/*
 * Finds dead-locks between locks and fences before they happen.
 *
 * A thread that owes a fence must not wait for anybody who may wait for that
 * fence: not by taking a lock that somebody holds while waiting, not by an
 * allocation that may block. Say where the locks are taken, where fences are
 * owed, waited for and memory is allocated; the checker learns in which order
 * that happens and complains about an order that contradicts what it saw, even
 * if nothing hung this time. What Stile does itself it says itself.
 *
 * For debugging; when it is off each call here costs about one load.
 */

#include <stdbool.h>
#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

/**
 * Receive a complaint: misuse of Stile, or a report of the checker.
 *
 * Called on the thread that did it, *with locks of the application and of
 * Stile held*: it may print or record, and nothing else.
 *
 * @param user  pointer given together with the function
 * @param text  one or more lines, no newline at the end; borrowed, valid
 *              during the call
 * @since 0.1
 */
typedef void (*stile_check_fn)(void *user, const char *text);

/**
 * One kind of lock: all locks that are taken in the same place of the order,
 * such as "the lock of a queue". To take one while another of its class is
 * held is reported.
 * Made by STILE_LOCK_CLASS(), in static storage of the application; the `id`
 * is private.
 *
 * Thread-safety: internal.
 */
struct stile_lock_class {
	const char *name; /**< for reports; the first 63 bytes are shown */
	uint32_t id;
};

/** Initialises a struct stile_lock_class. */
#define STILE_LOCK_CLASS(name) \
	{ name, 0 }

/** What happens to a lock. */
enum stile_lock_event {
	STILE_LOCK_ACQUIRE = 1,     /**< is about to be taken, may block */
	STILE_LOCK_TRY_ACQUIRE = 2, /**< was taken without blocking */
	STILE_LOCK_RELEASE = 3,     /**< is about to be unlocked, or was */
};

/**
 * Choose who gets the complaints of the whole process. Never blocks.
 *
 * @param fn    the function; NULL: standard error, with "stile: " in front. The
 *              one before may still be running on other threads.
 * @param user  handed to it
 * @since 0.1
 */
STILE_API void stile_check_set_handler(stile_check_fn fn, void *user);

/**
 * Switch the checker on or off for the whole process. It is on at the start
 * if the library was built for debugging (without NDEBUG). Misuse that is
 * found elsewhere is always told. The order learned so far is kept.
 *
 * Call it while no annotated lock is held: the checker knows nothing of a lock
 * that was taken before, and calls its release a misuse. The first thing that
 * the checker hears may allocate memory, also the first one of each thread, and
 * so may this call; nothing later does. Never blocks.
 *
 * @param on  whether to look
 * @since 0.1
 */
STILE_API void stile_check_enable(bool on);

/** Is the checker on? Never blocks. @since 0.1 */
STILE_API bool stile_check_is_enabled(void);

/**
 * Say what the calling thread does with a lock. Never blocks.
 *
 * Say STILE_LOCK_ACQUIRE right before the lock is taken, since afterwards may
 * be too late; STILE_LOCK_TRY_ACQUIRE after a trylock has succeeded: it cannot
 * have blocked, so only locks that are taken later come after it in the order.
 *
 * @param lock_class  the kind of the lock; borrowed, of static storage
 * @param event       what happens
 * @since 0.1
 */
STILE_API void stile_lock_annotate(
	struct stile_lock_class *lock_class, enum stile_lock_event event);

/**
 * Begin a section in which the calling thread owes a fence: from where others
 * can see the fence to where it is signalled. Whatever is done in between must
 * not wait for anybody who may wait for a fence. Sections nest, the outermost
 * one counts; stile_fence_signal() is one by itself. Never blocks.
 *
 * @return a cookie for stile_signalling_end() on the same thread
 * @since 0.1
 */
STILE_API uint32_t stile_signalling_begin(void);

/**
 * End a section. Never blocks.
 *
 * @param cookie  what its stile_signalling_begin() gave
 * @since 0.1
 */
STILE_API void stile_signalling_end(uint32_t cookie);

/**
 * Say that the calling thread is about to allocate memory in a way that may
 * block, as malloc() may: until memory is free again, which may need fences
 * to be signalled. Never blocks.
 *
 * @since 0.1
 */
STILE_API void stile_might_alloc(void);

/**
 * Say that the calling thread may be about to wait for a fence; say it also
 * where this time there is nothing to wait for. stile_fence_wait() does so by
 * itself. A wait inside a section is not a fault as such: the fence waited for
 * may be another one. Never blocks.
 *
 * @since 0.1
 */
STILE_API void stile_might_wait(void);

STILE_END_DECLS

#endif
