/* SPDX-License-Identifier: MIT */
#ifndef SRC_CHECK_H
#define SRC_CHECK_H

/* The lock-order checker as the library itself uses it; the model is told in check.c. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/check.h>

/* 0: off; else a number that was not used before. By atomic access only. */
extern uint32_t check_epoch;

static inline bool check_is_on(void) {
	return __builtin_expect(__atomic_load_n(&check_epoch, __ATOMIC_RELAXED) != 0, 0);
}

/** Behind check_lock() and check_unlock(). */
void check_key_acquire(const void *key, const char *name);
void check_key_release(const void *key);

/**
 * A lock of the library is about to be taken, was unlocked. All locks with the same key are one
 * class, and may be held together.
 *
 * @param key   what the class is known by, such as an ops table
 * @param name  for reports; copied when the class is new
 */
static inline void check_lock(const void *key, const char *name) {
	if (check_is_on()) {
		check_key_acquire(key, name);
	}
}

static inline void check_unlock(const void *key) {
	if (check_is_on()) {
		check_key_release(key);
	}
}

/** A lock of a class of which not all may be held together. */
struct check_object {
	const void *key;    /**< as check_lock() */
	const char *name;   /**< as check_lock() */
	const void *object; /**< the lock */
	/** Those of the class with the same one may be held together; NULL: none. */
	const void *nest;
};

/**
 * It is about to be taken, or was without blocking; was unlocked. Only if the checker is on.
 *
 * @param place  where; a return address
 */
void check_object_acquire(const struct check_object *object, bool may_block, const void *place);
void check_object_release(const void *key, const void *object);

/** Take it as seen that one class, or an allocation (NULL), comes inside another. */
void check_assume_order(
	const void *outer, const char *outer_name, const void *inner, const char *inner_name);

static inline void check_wait(void) {
	if (check_is_on()) {
		stile_might_wait();
	}
}

void check_user_wait(const void *place);

/**
 * The thread may be about to wait until a program submits something: with locks held, or inside a
 * section, that is a mistake whoever else takes those locks (X-8 (4), Y-13).
 *
 * @param place  who waits; a return address
 */
static inline void check_wait_for_user(const void *place) {
	if (check_is_on()) {
		check_user_wait(place);
	}
}

static inline void check_alloc(void) {
	if (check_is_on()) {
		stile_might_alloc();
	}
}

static inline uint32_t check_signalling_begin(void) {
	return check_is_on() ? stile_signalling_begin() : 0;
}

static inline void check_signalling_end(uint32_t cookie) {
	if (cookie != 0) {
		stile_signalling_end(cookie);
	}
}

/** Tell the handler of a misuse, whether the checker is on or off. One sentence; errno is kept. */
void check_warn(const char *fmt, ...) STILE_PRINTF(1, 2);

/** A place in the code, a return address, for people: library(function+offset). */
void check_describe_place(const void *place, char *text, size_t size);

/** For tests, while no other thread is at it: forget all classes and all that was learned. */
void check_reset(void);

#endif
