/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_GATE_H
#define INTEROP_GATE_H

#include <pthread.h>
#include <semaphore.h>

#include <stile/fence.h>

/**
 * A fence that the test signals itself, and a thread that does so while the test's own thread is
 * held up by the wait that is being tested.
 */
struct gate {
	struct stile_fence *fence; /* a reference; whoever made the gate drops it */
	void (*open)(void *user);  /* what opening means; NULL: signal the fence */
	void *user;
	/** From gate_submitted() on, so that a wait really begins before the end of what it waits for. */
	unsigned delay_ms;
	sem_t submitted;
	pthread_t opener;
};

/** With a delay of 20 ms. */
void gate_init(struct gate *gate);

/** Open it at once. */
void gate_open(struct gate *gate);

/** Open it from another thread, shortly after gate_submitted() was called. */
void gate_open_later(struct gate *gate);
/** The consumer is about to wait. */
void gate_submitted(struct gate *gate);
/** The opener has done its work. */
void gate_join(struct gate *gate);

#endif
