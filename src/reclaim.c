/* SPDX-License-Identifier: MIT */
/*
 * Grace periods. Readers count themselves in, in one of two phases, and out. A batch of dead fences
 * may go when each phase was empty once after the batch was closed; new readers go to the other
 * phase meanwhile, so that a constant stream of them cannot hold it up. Readers that are about to
 * count themselves into a phase already found empty do no harm: they look at slots only after that,
 * and the batch has left all slots long before.
 *
 * When nobody reads, which is nearly always, a fence goes at once. There is no thread: the reader
 * that leaves last does what it held up. All of it is sequentially consistent: either a reader is
 * seen, or it sees that the slot has changed.
 *
 * Counters are spread over cache lines by thread, so that readers do not share one.
 */
#include "src/reclaim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/fence.h>

#include "src/os.h"

enum { STRIPES = 8, LINE = 64 };

static struct stripe {
	uint32_t readers[2];
	char fill[LINE - 2 * sizeof(uint32_t)];
} stripes[STRIPES] __attribute__((aligned(LINE)));

static uint32_t phase;   /* which one new readers go to */
static uint32_t waiting; /* are there dead fences? */
static uint32_t used;    /* has there ever been a reader? Most processes have none */

static uint32_t lock;
/* All below is under the lock. The lists are linked through `first`: there are no callbacks now. */
static struct stile_fence *limbo; /* dead since the batch was closed */
static struct stile_fence *batch; /* NULL: no grace period is going on */
static bool flipped;              /* the other phase has been seen empty */

/* By turns: addresses of threads have too much in common. */
static unsigned stripe_of_thread(void) {
	static uint32_t next;
	static _Thread_local __attribute__((tls_model("initial-exec"))) unsigned mine;
	if (mine == 0) {
		mine = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % STRIPES + 1;
	}
	return mine - 1;
}

static bool phase_is_empty(uint32_t which) {
	uint32_t readers = 0;
	for (size_t i = 0; i < STRIPES; i++) {
		readers |= __atomic_load_n(&stripes[i].readers[which], __ATOMIC_SEQ_CST);
	}
	return readers == 0;
}

static void fence_release(struct stile_fence *fence) {
	if (fence->ops->release != NULL) {
		fence->ops->release(fence);
	}
}

static struct stile_fence **link_of(struct stile_fence *fence) {
	return (struct stile_fence **)(void *)&fence->first;
}

/* The lock is held. Go as far as readers allow; the batch that may be released, or NULL. */
static struct stile_fence *advance(void) {
	if (batch == NULL) {
		batch = limbo;
		limbo = NULL;
		flipped = false;
	}
	if (batch != NULL && !flipped && phase_is_empty(!phase)) {
		__atomic_store_n(&phase, !phase, __ATOMIC_SEQ_CST);
		flipped = true;
	}
	if (batch == NULL || !flipped || !phase_is_empty(!phase)) {
		return NULL;
	}
	struct stile_fence *done = batch;
	batch = NULL;
	__atomic_store_n(&waiting, limbo != NULL, __ATOMIC_SEQ_CST);
	return done;
}

static void release_what_may_go(void) {
	struct stile_fence *done;
	do {
		os_lock(&lock);
		done = advance();
		os_unlock(&lock);
		for (struct stile_fence *fence = done, *next; fence != NULL; fence = next) {
			next = *link_of(fence);
			*link_of(fence) = NULL;
			fence_release(fence);
		}
	} while (done != NULL);
}

unsigned reclaim_begin(void) {
	unsigned stripe = stripe_of_thread();
	/* Acquire: all that is done after having seen it comes after it, also for those who look. */
	if (!__atomic_load_n(&used, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&used, 1, __ATOMIC_SEQ_CST);
	}
	uint32_t which = __atomic_load_n(&phase, __ATOMIC_RELAXED);
	__atomic_fetch_add(&stripes[stripe].readers[which], 1, __ATOMIC_SEQ_CST);
	return stripe * 2 + which;
}

void reclaim_end(unsigned section) {
	__atomic_fetch_sub(&stripes[section / 2].readers[section % 2], 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST)) {
		release_what_may_go();
	}
}

static void before_fork(void) {
	os_lock(&lock);
}

static void after_fork(void) {
	os_unlock(&lock);
}

/* Those who were reading are the parent's threads: nobody would count them out. */
static void in_child(void) {
	for (size_t i = 0; i < STRIPES; i++) {
		stripes[i].readers[0] = 0;
		stripes[i].readers[1] = 0;
	}
	os_unlock(&lock);
}

__attribute__((constructor)) static void guard(void) {
	/* Without memory for this a child made by fork may never release a fence. */
	(void)os_atfork(before_fork, after_fork, in_child);
}

void reclaim_fence(struct stile_fence *fence) {
	if (!__atomic_load_n(&used, __ATOMIC_SEQ_CST) || (phase_is_empty(0) && phase_is_empty(1))) {
		fence_release(fence);
		return;
	}
	os_lock(&lock);
	*link_of(fence) = limbo;
	limbo = fence;
	__atomic_store_n(&waiting, 1, __ATOMIC_SEQ_CST);
	os_unlock(&lock);
	release_what_may_go();
}
