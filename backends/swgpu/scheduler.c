/* SPDX-License-Identifier: MIT */
/*
 * Which job is next. A queue's jobs are executed in their order, so of each queue only the first matters: it
 * waits, can go on, or somebody is at it. Queues whose first job can go on are on the list of those that are
 * ready, the highest priority first. A job that waits occupies nobody.
 *
 * With threads, there is one more than engines (worker.c). At most as many as there are engines execute
 * commands; one at least is always free, sleeps until the next time-out is due, and sees to it: to jobs that
 * wait by ending them, to those that are executed by telling them to stop. So time-outs work when all
 * engines are busy, too, even if there is one engine and it hangs. Who falls asleep first looks at the clock;
 * who fell asleep last is woken for work. It does not have to be woken for each job, as time-outs are long:
 * it looks up when the first one was due, and then, if that is over, until the next.
 *
 * Without threads, whoever waits does it (deterministic.c).
 *
 * Jobs that are not to be executed any more, since their time is over, the queue closes or the device is
 * lost, count as ready: they end on the same path and in the same order as all others, without an engine.
 *
 * One lock for all, a leaf below all fences' (src/device.c), as callbacks of what is waited for take it. No
 * fence is touched under it, and nothing is dropped.
 */
#include "backends/swgpu/scheduler.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/swgpu/trace.h"
#include "src/graph.h"

static uint32_t engines_of(const struct scheduler *scheduler) {
	return scheduler->gpu->profile.engines;
}

/* ---- What can go on ------------------------------------------------------------------------ */

int queue_judge(const struct stile_swgpu_queue *queue) {
	const struct job *job = queue->first;
	if (job->work.run != NULL) {
		return 0;
	}
	if (swgpu_is_lost(queue->gpu)) {
		return -EIO;
	}
	if (queue->closing && (!job->executes || job->hangs)) {
		return -ECANCELED;
	}
	return job_is_late(job) ? -ETIME : 0;
}

/* Work of the backend runs in any case, but not before all else is over. */
static bool work_can_go_on(const struct scheduler *scheduler, const struct job *job) {
	return job->pending == 0 || job_is_late(job) ||
		(scheduler->stopping && scheduler->job_count == scheduler->work_count);
}

static bool can_go_on(const struct stile_swgpu_queue *queue) {
	const struct job *job = queue->first;
	if (job->held) {
		return false;
	}
	if (job->work.run != NULL) {
		return work_can_go_on(queue->scheduler, job);
	}
	return queue_judge(queue) != 0 || (job->pending == 0 && !job->hangs);
}

static bool needs_engine(const struct stile_swgpu_queue *queue) {
	const struct job *job = queue->first;
	return (job->command != NULL || job->work.run != NULL) && queue_judge(queue) == 0;
}

static bool has_engine(const struct stile_swgpu_queue *queue) {
	const struct scheduler *scheduler = queue->scheduler;
	return scheduler->running < engines_of(scheduler) || !needs_engine(queue);
}

/* Behind those of the same priority. */
static void ready_insert(struct stile_swgpu_queue *queue) {
	struct stile_swgpu_queue **at = &queue->scheduler->ready;
	while (*at != NULL && (*at)->priority >= queue->priority) {
		at = &(*at)->next_ready;
	}
	queue->next_ready = *at;
	*at = queue;
}

static void ready_remove(struct stile_swgpu_queue *queue) {
	struct stile_swgpu_queue **at = &queue->scheduler->ready;
	while (*at != queue) {
		at = &(*at)->next_ready;
	}
	*at = queue->next_ready;
}

void queue_look(struct stile_swgpu_queue *queue) {
	if (queue->state != QUEUE_WAITS || queue->first == NULL || !can_go_on(queue)) {
		return;
	}
	queue->state = QUEUE_READY;
	ready_insert(queue);
	if (has_engine(queue)) {
		workers_wake_one(queue->scheduler);
	}
}

bool queue_is_held_up(const struct stile_swgpu_queue *queue, int64_t now_ns) {
	if (!queue->yields || now_ns >= queue->yields_until_ns) {
		return false;
	}
	const struct stile_swgpu_queue *at = queue->scheduler->queues;
	while (at != NULL &&
		(at == queue || at->state == QUEUE_WAITS ||
			(at->state == QUEUE_READY && at->yields))) {
		at = at->next;
	}
	return at != NULL;
}

struct stile_swgpu_queue *scheduler_choose(struct scheduler *scheduler) {
	struct stile_swgpu_queue *queue = scheduler->ready;
	while (queue != NULL &&
		(!has_engine(queue) || (queue->yields && queue_is_held_up(queue, os_clock_ns())))) {
		queue = queue->next_ready;
	}
	return queue;
}

/* ---- The first job of a queue -------------------------------------------------------------- */

static void queue_begin_first(struct stile_swgpu_queue *queue) {
	int64_t now_ns = trace_get_clock(queue->gpu->trace);
	queue->deadline_ns = time_after(now_ns, queue->timeout_ns);
	workers_watch(queue->scheduler, queue->deadline_ns);
	queue_look(queue);
}

void queue_push(struct stile_swgpu_queue *queue, struct job *job, size_t ended, bool held) {
	struct scheduler *scheduler = queue->scheduler;
	job->fence.seqno = ++queue->seqno;
	job->pending -= ended;
	job->held = held;
	scheduler->job_count++;
	scheduler->work_count += job->work.run != NULL;
	if (queue->first != NULL) {
		graph_add_edge_at(&job->fence, &queue->last->fence, "queue order", NULL);
		queue->last->next = job;
		queue->last = job;
		return;
	}
	queue->first = job;
	queue->last = job;
	queue_begin_first(queue);
}

void queue_let_go(struct stile_swgpu_queue *queue, struct job *job) {
	job->held = false;
	queue_look(queue);
}

int queue_take(struct stile_swgpu_queue *queue) {
	ready_remove(queue);
	queue->uses_engine = needs_engine(queue);
	queue->scheduler->running += queue->uses_engine;
	queue->state = QUEUE_TAKEN;
	queue->yields = false;
	queue->first->abandons = queue->first->pending > 0;
	return queue_judge(queue);
}

static void queue_leave(struct stile_swgpu_queue *queue) {
	queue->scheduler->running -= queue->uses_engine;
	queue->state = QUEUE_WAITS;
}

void queue_put_back(struct stile_swgpu_queue *queue) {
	queue_leave(queue);
	queue_look(queue);
}

struct job *queue_pop(struct stile_swgpu_queue *queue) {
	struct scheduler *scheduler = queue->scheduler;
	struct job *job = queue->first;
	queue_leave(queue);
	queue->first = job->next;
	scheduler->job_count--;
	scheduler->work_count -= job->work.run != NULL;
	if (queue->first != NULL) {
		queue_begin_first(queue);
	} else if (queue->closing) {
		__atomic_fetch_add(&queue->emptied, 1, __ATOMIC_RELAXED);
		os_futex_wake_all(&queue->emptied);
	}
	if (scheduler->stopping && scheduler->job_count == scheduler->work_count) {
		/* Work that waits does not wait any longer; without any, threads end. */
		scheduler_rouse(scheduler);
	}
	return job;
}

/* ---- All queues ---------------------------------------------------------------------------- */

/* The time of a first job is over. */
static void queue_expire(struct stile_swgpu_queue *queue) {
	queue->deadline_ns = INT64_MAX;
	__atomic_store_n(&queue->first->stop, 1, __ATOMIC_RELAXED);
	if (queue->state == QUEUE_TAKEN) {
		job_kick(queue->first);
	} else {
		queue_look(queue);
	}
}

int64_t scheduler_expire(struct scheduler *scheduler, int64_t now_ns) {
	int64_t next_ns = INT64_MAX;
	for (struct stile_swgpu_queue *at = scheduler->queues; at != NULL; at = at->next) {
		if (at->first == NULL) {
			continue;
		}
		if (at->deadline_ns <= now_ns && at->deadline_ns != INT64_MAX) {
			queue_expire(at);
		}
		int64_t due_ns = at->deadline_ns;
		if (at->yields && at->yields_until_ns > now_ns && at->yields_until_ns < due_ns) {
			due_ns = at->yields_until_ns;
		}
		next_ns = due_ns < next_ns ? due_ns : next_ns;
	}
	return next_ns;
}

void scheduler_rouse(struct scheduler *scheduler) {
	for (struct stile_swgpu_queue *at = scheduler->queues; at != NULL; at = at->next) {
		if (at->state == QUEUE_TAKEN) {
			job_kick(at->first);
		} else {
			queue_look(at);
		}
	}
	workers_wake_all(scheduler);
}

void scheduler_lose(struct scheduler *scheduler) {
	struct swgpu *gpu = scheduler->gpu;
	if (__atomic_exchange_n(&gpu->lost, 1, __ATOMIC_ACQ_REL) != 0) {
		return;
	}
	trace_print(gpu->trace, "lost");
	scheduler_lock(scheduler);
	scheduler_rouse(scheduler);
	scheduler_unlock(scheduler);
	if (!scheduler_has_threads(scheduler)) {
		/* If somebody is at it, that one sees it. */
		deterministic_run(scheduler, false);
	}
}

int stile_swgpu_lose(struct stile_device *device) {
	struct swgpu *gpu = swgpu_get(device);
	if (gpu == NULL) {
		return -EINVAL;
	}
	scheduler_lose(gpu->scheduler);
	return 0;
}

/* ---- Life ---------------------------------------------------------------------------------- */

int scheduler_create(struct swgpu *gpu, struct scheduler **out) {
	*out = NULL;
	struct scheduler *scheduler = calloc(1, sizeof(*scheduler));
	if (scheduler == NULL) {
		return -ENOMEM;
	}
	scheduler->gpu = gpu;
	scheduler->owner = getpid();
	if (!scheduler_has_threads(scheduler)) {
		deterministic_start(scheduler);
	} else {
		int ret = workers_start(scheduler);
		if (ret < 0) {
			free(scheduler);
			return ret;
		}
	}
	*out = scheduler;
	return 0;
}

void scheduler_stop(struct scheduler *scheduler) {
	bool own = scheduler->owner == getpid();
	if (own) {
		scheduler_lock(scheduler);
		scheduler->stopping = true;
		for (struct stile_swgpu_queue *at = scheduler->queues; at != NULL; at = at->next) {
			__atomic_store_n(&at->closing, true, __ATOMIC_RELAXED);
		}
		scheduler_rouse(scheduler);
		scheduler_unlock(scheduler);
	}
	/* In a child made by fork, what is pending is the parent's. */
	if (!scheduler_has_threads(scheduler)) {
		deterministic_stop(scheduler);
	} else if (own) {
		workers_join(scheduler);
	}
}

void scheduler_destroy(struct scheduler *scheduler) {
	if (scheduler == NULL) {
		return;
	}
	while (scheduler->queues != NULL) {
		struct stile_swgpu_queue *queue = scheduler->queues;
		scheduler->queues = queue->next;
		free(queue);
	}
	free(scheduler->workers);
	free(scheduler);
}
