/* SPDX-License-Identifier: MIT */
#ifndef SRC_DEFER_H
#define SRC_DEFER_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Work that may not run under a fence's lock: a container's end, which its last member's callback
 * finds out under that member's lock (contract A-5, C-8). It runs on the same thread, as soon as the
 * outermost fence lock is given up; one after the other, never one within the other, so that a
 * container of containers needs no stack.
 *
 * Everything that may run fence callbacks or ops under a fence's lock does so between defer_hold()
 * and defer_release().
 */
struct defer_work {
	struct defer_work *next;
	void (*run)(struct defer_work *work);
};

static inline void defer_hold(void);
/** No lock of the hold is held any more. Runs what was added if it was the outermost one. */
static inline void defer_release(void);

/** Does this thread hold a lock? */
static inline bool defer_is_held(void);

/** Between hold and release only. */
void defer_add(struct defer_work *work, void (*run)(struct defer_work *work));

/* ---- What is worth being inlined ---- */

struct defer_queue {
	unsigned depth;
	bool running;
	struct defer_work *first;
	struct defer_work *last;
};

/* Initial-exec: found without a call, and a few bytes fit what is left for libraries loaded late. */
extern _Thread_local struct defer_queue defer_queue __attribute__((tls_model("initial-exec")));

void defer_run_all(void);

static inline void defer_hold(void) {
	defer_queue.depth++;
}

static inline bool defer_is_held(void) {
	return defer_queue.depth > 0;
}

static inline void defer_release(void) {
	if (--defer_queue.depth == 0 && defer_queue.first != NULL && !defer_queue.running) {
		defer_run_all();
	}
}

#endif
