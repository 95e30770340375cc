/* SPDX-License-Identifier: MIT */
/*
 * The threads: one more than engines, as told in scheduler.c. Each sleeps on a word of its own, so that no
 * more than one is woken for one job. All of their fields are under the scheduler's lock.
 */
#include <errno.h>
#include <stdlib.h>

#include <stile/fence.h>

#include "backends/swgpu/scheduler.h"
#include "src/check.h"

struct worker {
	struct scheduler *scheduler;
	pthread_t thread;
	struct worker *next_idle;
	uint32_t kicks; /* what it sleeps on */
};

/* ---- Waking -------------------------------------------------------------------------------- */

void scheduler_lock(struct scheduler *scheduler) {
	os_lock(&scheduler->lock);
}

void scheduler_unlock(struct scheduler *scheduler) {
	struct worker *worker = scheduler->waking;
	scheduler->waking = NULL;
	os_unlock(&scheduler->lock);
	if (worker != NULL) {
		/* The address is all that is used of what may have gone by now. */
		os_futex_wake_all(&worker->kicks);
	}
}

/* The first one is woken without the lock, for it takes that at once. */
static void wake(struct worker *worker) {
	struct scheduler *scheduler = worker->scheduler;
	__atomic_fetch_add(&worker->kicks, 1, __ATOMIC_RELAXED);
	if (scheduler->waking == NULL) {
		scheduler->waking = worker;
	} else {
		os_futex_wake_all(&worker->kicks);
	}
}

void workers_wake_one(struct scheduler *scheduler) {
	struct worker *worker = scheduler->idle;
	if (scheduler->looks) {
		scheduler->looks = false;
	} else if (worker != NULL) {
		scheduler->idle = worker->next_idle;
		wake(worker);
	} else if (scheduler->keeper != NULL) {
		worker = scheduler->keeper;
		scheduler->keeper = NULL;
		wake(worker);
	}
}

void workers_wake_all(struct scheduler *scheduler) {
	scheduler->looks = false;
	while (scheduler->idle != NULL || scheduler->keeper != NULL) {
		workers_wake_one(scheduler);
	}
}

void workers_watch(struct scheduler *scheduler, int64_t time_ns) {
	if (scheduler->keeper != NULL && time_ns < scheduler->look_ns) {
		scheduler->look_ns = time_ns;
		wake(scheduler->keeper);
	}
}

/* ---- A thread ------------------------------------------------------------------------------ */

static void leave_idle(struct worker *worker) {
	struct scheduler *scheduler = worker->scheduler;
	if (scheduler->keeper == worker) {
		scheduler->keeper = NULL;
		return;
	}
	struct worker **at = &scheduler->idle;
	while (*at != NULL && *at != worker) {
		at = &(*at)->next_idle;
	}
	if (*at != NULL) {
		*at = worker->next_idle;
	}
}

/* With the lock, which is given up meanwhile. Until there may be something to do. */
static void worker_sleep(struct worker *worker) {
	struct scheduler *scheduler = worker->scheduler;
	int64_t until_ns = INT64_MAX;
	if (scheduler->keeper == NULL) {
		until_ns = scheduler_expire(scheduler, os_clock_ns());
		if (scheduler_choose(scheduler) != NULL) {
			return;
		}
		scheduler->keeper = worker;
		scheduler->look_ns = until_ns;
	} else {
		worker->next_idle = scheduler->idle;
		scheduler->idle = worker;
	}
	uint32_t seen = __atomic_load_n(&worker->kicks, __ATOMIC_RELAXED);
	scheduler_unlock(scheduler);
	os_futex_wait(&worker->kicks, seen, until_ns);
	scheduler_lock(scheduler);
	leave_idle(worker);
}

/* With the lock, which is given up meanwhile. */
static void worker_work(struct scheduler *scheduler, struct stile_swgpu_queue *queue) {
	struct job *job = queue->first, *done = NULL;
	int verdict = queue_take(queue);
	if (scheduler->keeper == NULL && scheduler->idle != NULL) {
		/* It was the one who looks at the clock. */
		workers_wake_one(scheduler);
	}
	scheduler_unlock(scheduler);
	enum turn turn;
	do {
		turn = job_take_turn(job, verdict);
	} while (turn == TURN_ON);
	if (turn == TURN_DONE) {
		job_end(job);
	}
	scheduler_lock(scheduler);
	scheduler->looks = true;
	if (turn == TURN_DONE) {
		/* Only now: what is submitted meanwhile waits for it. */
		done = queue_pop(queue);
	} else {
		queue->yields = true;
		queue->yields_until_ns = time_after(os_clock_ns(), job->mishap.reorder_ns);
		job->mishap.reorder_ns = 0;
		workers_watch(scheduler, queue->yields_until_ns);
		queue_put_back(queue);
	}
	scheduler->looks = false;
	if (done != NULL) {
		scheduler_unlock(scheduler);
		stile_fence_unref(&done->fence);
		scheduler_lock(scheduler);
	}
}

static void *worker_run(void *arg) {
	struct worker *worker = arg;
	struct scheduler *scheduler = worker->scheduler;
	scheduler_lock(scheduler);
	while (!scheduler->stopping || scheduler->job_count > 0) {
		struct stile_swgpu_queue *queue = scheduler_choose(scheduler);
		if (queue != NULL) {
			worker_work(scheduler, queue);
		} else {
			worker_sleep(worker);
		}
	}
	scheduler_unlock(scheduler);
	return NULL;
}

/* ---- Life ---------------------------------------------------------------------------------- */

int workers_start(struct scheduler *scheduler) {
	size_t count = (size_t)scheduler->gpu->profile.engines + 1;
	check_alloc();
	scheduler->workers = calloc(count, sizeof(struct worker));
	if (scheduler->workers == NULL) {
		return -ENOMEM;
	}
	while (scheduler->worker_count < count) {
		struct worker *worker = &scheduler->workers[scheduler->worker_count];
		worker->scheduler = scheduler;
		int ret = os_thread_start(&worker->thread, "stile-swgpu", worker_run, worker);
		if (ret < 0) {
			scheduler_lock(scheduler);
			scheduler->stopping = true;
			workers_wake_all(scheduler);
			scheduler_unlock(scheduler);
			workers_join(scheduler);
			free(scheduler->workers);
			return ret;
		}
		scheduler->worker_count++;
	}
	return 0;
}

void workers_join(struct scheduler *scheduler) {
	for (size_t i = 0; i < scheduler->worker_count; i++) {
		pthread_join(scheduler->workers[i].thread, NULL);
	}
	scheduler->worker_count = 0;
}
