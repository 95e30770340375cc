/* SPDX-License-Identifier: MIT */
/*
 * A device without threads: whoever has the turn does one thing, a command or the end of a list. Which queue
 * it is that goes on, of all that can, follows from the seed, not from priorities: so a program sees all
 * orders that it has to bear, by trying seeds. So does how long a command takes on the virtual clock.
 *
 * The turn is a lock of its own, held while commands are executed and fences signalled; nobody waits for it
 * who waits for a fence: that one sleeps a moment, since what he waits for may be what is being done. A
 * kernel that waits, or steps, is refused.
 */
#include <errno.h>
#include <unistd.h>

#include <stile/fence.h>
#include <stile/swgpu_test.h>

#include "backends/swgpu/scheduler.h"
#include "backends/swgpu/trace.h"

enum { LONGEST_US = 1000 };

/* ---- The turn ------------------------------------------------------------------------------ */

static bool turn_begin(struct scheduler *scheduler, bool wait) {
	static _Thread_local __attribute__((tls_model("initial-exec"))) char this_thread;
	uint32_t is_free = OS_LOCK_FREE;
	if (__atomic_load_n(&scheduler->driver, __ATOMIC_RELAXED) == &this_thread ||
		scheduler->owner != getpid()) {
		return false;
	}
	if (wait) {
		os_lock(&scheduler->turn);
	} else if (!__atomic_compare_exchange_n(&scheduler->turn, &is_free, OS_LOCK_HELD, false,
			   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		return false;
	}
	__atomic_store_n(&scheduler->driver, &this_thread, __ATOMIC_RELAXED);
	return true;
}

static void turn_end(struct scheduler *scheduler) {
	__atomic_store_n(&scheduler->driver, NULL, __ATOMIC_RELAXED);
	os_unlock(&scheduler->turn);
}

/* SplitMix64 (Steele, Lea and Flood, 2014): any seed will do, 0 too. */
static uint64_t random_next(struct scheduler *scheduler) {
	uint64_t mixed = scheduler->random += UINT64_C(0x9e3779b97f4a7c15);
	mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
	return mixed ^ (mixed >> 31);
}

/* ---- What is next: with the turn and the lock ---------------------------------------------- */

static bool is_candidate(const struct stile_swgpu_queue *queue, int64_t now_ns) {
	return queue->state == QUEUE_READY && !queue_is_held_up(queue, now_ns);
}

static struct stile_swgpu_queue *choose(struct scheduler *scheduler) {
	int64_t now_ns = trace_get_clock(scheduler->gpu->trace);
	uint64_t count = 0;
	for (struct stile_swgpu_queue *at = scheduler->queues; at != NULL; at = at->next) {
		count += is_candidate(at, now_ns);
	}
	if (count == 0) {
		return NULL;
	}
	uint64_t index = random_next(scheduler) % count;
	for (struct stile_swgpu_queue *at = scheduler->queues; at != NULL; at = at->next) {
		if (is_candidate(at, now_ns) && index-- == 0) {
			return at;
		}
	}
	return NULL;
}

static int64_t first_deadline(const struct scheduler *scheduler) {
	int64_t first_ns = INT64_MAX;
	for (const struct stile_swgpu_queue *at = scheduler->queues; at != NULL; at = at->next) {
		if (at->first != NULL && at->deadline_ns < first_ns) {
			first_ns = at->deadline_ns;
		}
	}
	return first_ns;
}

/* To a time that is not over yet; what is due then, is. */
static void clock_go_to(struct scheduler *scheduler, int64_t time_ns) {
	struct trace *trace = scheduler->gpu->trace;
	int64_t now_ns = trace_get_clock(trace);
	if (time_ns > now_ns) {
		trace_advance(trace, time_ns - now_ns);
	}
	scheduler_expire(scheduler, trace_get_clock(trace));
}

/* Nothing can go on. If that is because something hangs, time passes until something is over. */
static bool jump(struct scheduler *scheduler) {
	const struct stile_swgpu_queue *at = scheduler->queues;
	while (at != NULL && (at->first == NULL || !at->first->hangs)) {
		at = at->next;
	}
	int64_t next_ns = first_deadline(scheduler);
	if (at == NULL || next_ns == INT64_MAX) {
		return false;
	}
	clock_go_to(scheduler, next_ns);
	return true;
}

/* ---- Doing it ------------------------------------------------------------------------------ */

/* With the turn, and the lock, which is given up meanwhile. */
static void go_on(struct stile_swgpu_queue *queue) {
	struct scheduler *scheduler = queue->scheduler;
	struct job *job = queue->first;
	int verdict = queue_take(queue);
	scheduler_unlock(scheduler);
	const struct command *before = job->command;
	enum turn turn = job_take_turn(job, verdict);
	bool executed = job->command != before;
	if (turn == TURN_DONE) {
		job_end(job);
	}
	scheduler_lock(scheduler);
	if (executed) {
		int64_t ns = 1000 * (1 + (int64_t)(random_next(scheduler) % LONGEST_US));
		clock_go_to(scheduler, time_after(trace_get_clock(scheduler->gpu->trace), ns));
	}
	if (turn == TURN_DONE) {
		queue_pop(queue);
		scheduler_unlock(scheduler);
		stile_fence_unref(&job->fence);
		scheduler_lock(scheduler);
		return;
	}
	if (turn == TURN_YIELDS) {
		queue->yields = true;
		queue->yields_until_ns =
			time_after(trace_get_clock(scheduler->gpu->trace), job->mishap.reorder_ns);
		job->mishap.reorder_ns = 0;
	}
	job->hangs = turn == TURN_HANGS;
	queue_put_back(queue);
}

/* With the turn. */
static bool step(struct scheduler *scheduler) {
	scheduler_lock(scheduler);
	struct stile_swgpu_queue *queue = choose(scheduler);
	if (queue == NULL && jump(scheduler)) {
		queue = choose(scheduler);
	}
	if (queue != NULL) {
		go_on(queue);
	}
	scheduler_unlock(scheduler);
	return queue != NULL;
}

/* Whoever waits: somebody else may be at it. */
static bool drive(void *user) {
	struct scheduler *scheduler = user;
	if (!turn_begin(scheduler, false)) {
		return false;
	}
	bool progress = step(scheduler);
	turn_end(scheduler);
	return progress;
}

void deterministic_run(struct scheduler *scheduler, bool wait) {
	if (!turn_begin(scheduler, wait)) {
		return;
	}
	while (step(scheduler)) {
	}
	turn_end(scheduler);
}

void deterministic_drain(struct stile_swgpu_queue *queue) {
	struct scheduler *scheduler = queue->scheduler;
	if (!turn_begin(scheduler, true)) {
		return;
	}
	scheduler_lock(scheduler);
	while (queue->first != NULL && queue->state == QUEUE_READY) {
		go_on(queue);
	}
	scheduler_unlock(scheduler);
	turn_end(scheduler);
}

void deterministic_pass(struct stile_swgpu_queue *queue, int64_t ns) {
	struct scheduler *scheduler = queue->scheduler;
	int64_t now_ns = trace_get_clock(scheduler->gpu->trace);
	scheduler_lock(scheduler);
	int64_t left_ns = queue->deadline_ns - now_ns;
	clock_go_to(scheduler, now_ns + (ns < left_ns ? ns : left_ns));
	scheduler_unlock(scheduler);
}

void deterministic_start(struct scheduler *scheduler) {
	scheduler->random = scheduler->gpu->profile.seed;
	scheduler->drive.step = drive;
	scheduler->drive.user = scheduler;
	drive_register(&scheduler->drive);
}

void deterministic_stop(struct scheduler *scheduler) {
	drive_unregister(&scheduler->drive);
	deterministic_run(scheduler, true);
}

/* ---- In public ----------------------------------------------------------------------------- */

int stile_swgpu_step(struct stile_device *device) {
	struct swgpu *gpu = swgpu_get(device);
	if (gpu == NULL) {
		return -EINVAL;
	}
	if (!gpu->profile.deterministic || !turn_begin(gpu->scheduler, true)) {
		return 0;
	}
	bool progress = step(gpu->scheduler);
	turn_end(gpu->scheduler);
	return progress;
}

/* With the lock. Whose time is over, and it has not ended yet; NULL: nobody. */
static struct stile_swgpu_queue *find_late(const struct scheduler *scheduler) {
	struct stile_swgpu_queue *at = scheduler->queues;
	while (at != NULL && (at->state != QUEUE_READY || queue_judge(at) != -ETIME)) {
		at = at->next;
	}
	return at;
}

/* With the turn and the lock. Ends at their times are in the order of these. */
static void pass_until(struct scheduler *scheduler, int64_t then_ns) {
	int64_t next_ns;
	do {
		next_ns = first_deadline(scheduler);
		clock_go_to(scheduler, next_ns < then_ns ? next_ns : then_ns);
		struct stile_swgpu_queue *late;
		while ((late = find_late(scheduler)) != NULL) {
			go_on(late);
		}
	} while (next_ns <= then_ns && next_ns != INT64_MAX);
}

int stile_swgpu_advance(struct stile_device *device, int64_t ns) {
	struct swgpu *gpu = swgpu_get(device);
	if (gpu == NULL || !gpu->profile.deterministic || ns < 0) {
		return -EINVAL;
	}
	struct scheduler *scheduler = gpu->scheduler;
	/* From a kernel it is the clock alone: whoever has the turn sees what is over. */
	bool has_turn = turn_begin(scheduler, true);
	int64_t now_ns = trace_get_clock(gpu->trace);
	int64_t then_ns = time_after(now_ns, ns);
	scheduler_lock(scheduler);
	if (has_turn) {
		pass_until(scheduler, then_ns);
	} else {
		clock_go_to(scheduler, then_ns);
	}
	scheduler_unlock(scheduler);
	if (has_turn) {
		turn_end(scheduler);
	}
	return 0;
}
