/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_SCHEDULER_H
#define BACKENDS_SWGPU_SCHEDULER_H

/* The inside of queues and scheduler; told in scheduler.c. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backends/swgpu/job.h"
#include "backends/swgpu/queue.h"
#include "backends/swgpu/swgpu.h"
#include "src/drive.h"
#include "src/os.h"

struct scheduler;
struct worker;

enum queue_state {
	QUEUE_WAITS, /* it is empty, or its first job cannot go on */
	QUEUE_READY, /* on the list of those: somebody should take it */
	QUEUE_TAKEN, /* somebody is at its first job */
};

struct stile_swgpu_queue {
	struct scheduler *scheduler;
	struct swgpu *gpu;
	uint64_t context;
	char name[QUEUE_NAME_BYTES];
	int32_t priority;
	int64_t timeout_ns;

	/* All below is under the scheduler's lock. */
	struct stile_swgpu_queue *next;       /* of all, in the order of creation */
	struct stile_swgpu_queue *next_ready; /* of those that are */
	enum queue_state state;
	struct job *first; /* the one that waits, or that somebody is at */
	struct job *last;
	uint64_t seqno;
	int64_t deadline_ns; /* of the first one; INT64_MAX: none, or it has passed */
	int64_t yields_until_ns;
	bool yields;      /* the others first, until then */
	bool uses_engine; /* while it is taken */
	bool closing;     /* also read without the lock */
	uint32_t emptied; /* what its destroyer sleeps on */
};

struct scheduler {
	struct swgpu *gpu;
	pid_t owner; /* a child made by fork has no such threads */
	uint32_t lock;

	/* All below is under the lock. */
	struct stile_swgpu_queue *queues;
	struct stile_swgpu_queue *ready; /* by priority, and then as they came */
	size_t job_count;                /* in all queues */
	size_t work_count;               /* of those: work of the backend */
	uint32_t running;                /* engines that are in use */
	bool stopping;

	/* worker.c */
	struct worker *workers; /* NULL: deterministic */
	size_t worker_count;
	struct worker *idle;   /* those that sleep; the one that fell asleep last comes first */
	struct worker *keeper; /* sleeps too, and looks at the clock */
	int64_t look_ns;       /* when it does so next */
	struct worker *waking; /* is to be woken when the lock is given up */
	bool looks;            /* whoever has the lock looks next, so one need not be woken */

	/* deterministic.c */
	struct drive drive;
	uint32_t turn;      /* a lock: of whoever does something */
	const void *driver; /* who that is; by atomic access */
	uint64_t random;    /* with the turn */
};

/** With the lock given up, whoever is to be woken is. */
void scheduler_lock(struct scheduler *scheduler);
void scheduler_unlock(struct scheduler *scheduler);

static inline bool scheduler_has_threads(const struct scheduler *scheduler) {
	return !scheduler->gpu->profile.deterministic;
}

/* ---- With the lock ------------------------------------------------------------------------- */

/** A job comes last. `ended` of its waits were done when it began to listen. */
void queue_push(struct stile_swgpu_queue *queue, struct job *job, size_t ended, bool held);
/** The submission of a job that was held is over. */
void queue_let_go(struct stile_swgpu_queue *queue, struct job *job);
/** Has something changed so that the first job can go on? */
void queue_look(struct stile_swgpu_queue *queue);
/** Somebody is at its first job from now on: READY becomes TAKEN. Gives the job's verdict. */
int queue_take(struct stile_swgpu_queue *queue);
/** Nobody is any more, and it goes on later. */
void queue_put_back(struct stile_swgpu_queue *queue);
/** The first job has ended, and is not the queue's any more, but for its reference, now the caller's. */
struct job *queue_pop(struct stile_swgpu_queue *queue);
/** Why the first job is to end right now; 0: it is not. */
int queue_judge(const struct stile_swgpu_queue *queue);

/** What somebody should take next, by priority, if there is an engine for it. */
struct stile_swgpu_queue *scheduler_choose(struct scheduler *scheduler);
/** Do those who have something to do leave a queue behind that lets them go first? */
bool queue_is_held_up(const struct stile_swgpu_queue *queue, int64_t now_ns);
/** First jobs whose time is over may go on, to their ends. When to look again. */
int64_t scheduler_expire(struct scheduler *scheduler, int64_t now_ns);
/** Everybody looks again. */
void scheduler_rouse(struct scheduler *scheduler);

/* ---- worker.c ------------------------------------------------------------------------------ */

/** 0, -ENOMEM or -EAGAIN. */
int workers_start(struct scheduler *scheduler);
/** Until all is done. The scheduler is stopping. */
void workers_join(struct scheduler *scheduler);
/** With the lock: somebody has something to do; somebody is to look at the clock by then. */
void workers_wake_one(struct scheduler *scheduler);
void workers_wake_all(struct scheduler *scheduler);
void workers_watch(struct scheduler *scheduler, int64_t time_ns);

/* ---- deterministic.c ----------------------------------------------------------------------- */

void deterministic_start(struct scheduler *scheduler);
void deterministic_stop(struct scheduler *scheduler);
/** Do what can be done, as long as there is some; if others are at it, only if told to wait for them. */
void deterministic_run(struct scheduler *scheduler, bool wait);
/** The same of one queue, which closes: until it is empty. */
void deterministic_drain(struct stile_swgpu_queue *queue);
/** Let virtual time pass for a command of a queue, but not beyond its time. */
void deterministic_pass(struct stile_swgpu_queue *queue, int64_t ns);

#endif
