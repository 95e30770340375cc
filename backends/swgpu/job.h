/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_JOB_H
#define BACKENDS_SWGPU_JOB_H

/* What is in a queue: a list, or work of the backend, and its fence. Who executes it is told elsewhere. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/fence.h>
#include <stile/swgpu.h>

#include "backends/swgpu/list.h"
#include "backends/swgpu/queue.h"

enum { QUEUE_NAME_BYTES = 32 };

/** What a job waits for. */
struct job_wait {
	struct stile_fence *fence; /* a reference, until the job ends */
	struct job *job;
	struct stile_callback callback;
};

/** What is to go wrong with the command that comes next. */
struct mishap {
	int64_t delay_ns;
	int64_t reorder_ns; /* 0: it keeps its place */
	int error;
	bool hangs;
	bool loses;
};

/** The queue has one reference on the fence until the job has ended. */
struct job {
	struct stile_fence fence;
	struct stile_swgpu_queue *queue; /* until it has ended */
	struct job *next;
	char name[QUEUE_NAME_BYTES]; /* the queue's, which may go before the fence */

	struct stile_swgpu_list *list; /* NULL: none */
	struct queue_work work;        /* its `run` is NULL: none */

	/* Of whoever has taken it: one at a time. */
	const struct command *command; /* the next one; NULL: there is none */
	uint64_t number;               /* of it, as injections count; 0: it has not begun */
	struct mishap mishap;
	int error;
	bool executes; /* a command has been executed, or is */
	bool abandons; /* it ends before what it waits for */

	/* Under the scheduler's lock. */
	size_t pending; /* of what it waits for */
	bool held;      /* not in the queue yet, or its submission is still at it */
	bool hangs;     /* and there is no thread that could hang */

	uint32_t stop;  /* by atomic access: its time is over */
	uint32_t kicks; /* what its thread sleeps on, where it sleeps; by atomic access */

	size_t wait_count;
	size_t explicit_count; /* the first ones: if they fail, so does the job */
	struct job_wait waits[];
};

/**
 * A job for a queue, held, with references on what it waits for. Takes over nothing else.
 *
 * @param waits     those that were asked for, whose errors count
 * @param implicit  those that are for order alone
 */
int job_create(struct stile_swgpu_queue *queue, struct stile_fence *const *waits, size_t wait_count,
	struct stile_fence *const *implicit, size_t implicit_count, struct job **out);

/** Listen to what it waits for; from here on it has to be pushed, or to end. How many are done already. */
size_t job_arm(struct job *job);

/** The waits, for graphs of who waits for whom. */
void job_record_waits(struct job *job, const char *label, const void *place);

/** What came of a job's turn. */
enum turn {
	TURN_ON,     /* a command was executed; there may be more */
	TURN_DONE,   /* it ends now */
	TURN_YIELDS, /* others are to go first, for mishap.reorder_ns at most */
	TURN_HANGS,  /* without threads: until its time is over */
};

/**
 * Go on with it, by one command at most. With threads, the caller's may sleep, if something is to go wrong;
 * without, the virtual clock is advanced.
 *
 * @param verdict  why it is to end right now; 0: it is not
 */
enum turn job_take_turn(struct job *job, int verdict);

/** It ends: all that it kept is dropped, then its fence is signalled. The queue's reference remains. */
void job_end(struct job *job);

/** Wake its thread, if it sleeps: there may be a reason to end. */
void job_kick(struct job *job);

/** A time later than another; INT64_MAX: never. */
static inline int64_t time_after(int64_t time_ns, int64_t ns) {
	return time_ns > INT64_MAX - ns ? INT64_MAX : time_ns + ns;
}

static inline bool job_is_late(const struct job *job) {
	return __atomic_load_n(&job->stop, __ATOMIC_RELAXED) != 0;
}

#endif
