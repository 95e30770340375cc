/* SPDX-License-Identifier: MIT */
/*
 * Grace periods. Readers count themselves in, in one of two phases, and out. A batch of the dead,
 * fences and lists of them, may go when each phase was empty once after the batch was closed; new
 * readers go to the other phase meanwhile, so that a constant stream of them cannot hold it up.
 * Readers that are about to count themselves into a phase already found empty do no harm: they look at
 * slots only after that, and the batch has left all slots long before.
 *
 * When nobody reads, which is nearly always, the dead go at once. There is no thread: the reader that
 * leaves last does what it held up. But memory it leaves to whoever comes next with more of that, since
 * free() may call the system, and looking must not.
 *
 * What readers load, and the counters, are sequentially consistent, and a fence lies between hiding
 * something and looking for readers: either a reader is seen, or it sees that the slot has changed.
 *
 * Counters are spread over cache lines by thread, so that readers do not share one.
 */
#include "src/reclaim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "src/os.h"

enum { STRIPES = 8, LINE = 64 };

static struct stripe {
	uint32_t readers[2];
	char fill[LINE - 2 * sizeof(uint32_t)];
} stripes[STRIPES] __attribute__((aligned(LINE)));

static uint32_t phase;   /* which one new readers go to */
static uint32_t waiting; /* are there any dead? */
static uint32_t used;    /* has there ever been a reader? Most processes have none */

static struct reclaim_node *limbo;    /* dead since the batch was closed; no lock */
static struct reclaim_node *leftover; /* memory that a reader did not free; no lock */

static uint32_t lock;  /* never waited for: readers make no system call */
static uint32_t asked; /* whoever has the lock has to look again */
/* All below is under the lock. */
static struct reclaim_node *batch; /* NULL: no grace period is going on */
static bool flipped;               /* the other phase has been seen empty */

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

/* The lock is held. A batch, if there is none and there are dead. */
static bool have_batch(void) {
	if (batch == NULL) {
		batch = __atomic_exchange_n(&limbo, NULL, __ATOMIC_SEQ_CST);
		flipped = false;
	}
	return batch != NULL;
}

/* The lock is held. Go as far as readers allow; the batch that may be released, or NULL. */
static struct reclaim_node *advance(void) {
	if (have_batch() && !flipped && phase_is_empty(!phase)) {
		__atomic_store_n(&phase, !phase, __ATOMIC_SEQ_CST);
		flipped = true;
	}
	struct reclaim_node *done = NULL;
	if (batch != NULL && flipped && phase_is_empty(!phase)) {
		done = batch;
		batch = NULL;
	}
	/* Not while there is a batch, not even for a moment: who leaves just then has to see it. */
	if (batch == NULL) {
		__atomic_store_n(&waiting, 0, __ATOMIC_SEQ_CST);
		/* Others add at the same time, and say so afterwards. */
		if (__atomic_load_n(&limbo, __ATOMIC_SEQ_CST) != NULL) {
			__atomic_store_n(&waiting, 1, __ATOMIC_SEQ_CST);
		}
	}
	return done;
}

static bool try_lock(void) {
	uint32_t seen = OS_LOCK_FREE;
	return __atomic_compare_exchange_n(
		&lock, &seen, OS_LOCK_HELD, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void push(struct reclaim_node **list, struct reclaim_node *node) {
	node->next = __atomic_load_n(list, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(
		list, &node->next, node, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
	}
}

static void release_all(struct reclaim_node *node, bool frees) {
	while (node != NULL) {
		struct reclaim_node *next = node->next;
		if (node->release != NULL) {
			node->release(node);
		} else if (frees) {
			free(node);
		} else {
			push(&leftover, node);
		}
		node = next;
	}
}

static void release_what_may_go(bool frees) {
	__atomic_store_n(&asked, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&asked, __ATOMIC_SEQ_CST) && try_lock()) {
		__atomic_store_n(&asked, 0, __ATOMIC_SEQ_CST);
		struct reclaim_node *done = advance();
		if (done != NULL) {
			/* What died meanwhile may go as well. */
			__atomic_store_n(&asked, 1, __ATOMIC_SEQ_CST);
		}
		os_unlock(&lock);
		release_all(done, frees);
	}
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
		release_what_may_go(false);
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

void reclaim(struct reclaim_node *node, void (*release)(struct reclaim_node *node)) {
	node->next = NULL;
	node->release = release;
#ifndef __SANITIZE_THREAD__ /* knows no fences, and needs none to see that this is in order */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
	bool frees = release == NULL;
	if (frees) {
		release_all(__atomic_exchange_n(&leftover, NULL, __ATOMIC_ACQUIRE), true);
	}
	if (!__atomic_load_n(&used, __ATOMIC_SEQ_CST) || (phase_is_empty(0) && phase_is_empty(1))) {
		release_all(node, frees);
		return;
	}
	push(&limbo, node);
	__atomic_store_n(&waiting, 1, __ATOMIC_SEQ_CST);
	release_what_may_go(frees);
}
