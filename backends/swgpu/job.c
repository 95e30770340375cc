/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <stile/wait.h>

#include "backends/swgpu/fault.h"
#include "backends/swgpu/scheduler.h"
#include "backends/swgpu/trace.h"
#include "src/buffer.h"
#include "src/check.h"
#include "src/graph.h"
#include "src/macros.h"

static const int64_t stop_patience_ns = INT64_C(10000000000);

/* ---- Its fence ----------------------------------------------------------------------------- */

static const char *job_get_driver_name(struct stile_fence *fence) {
	(void)fence;
	return "swgpu";
}

static const char *job_get_timeline_name(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct job, fence)->name;
}

static void job_release(struct stile_fence *fence) {
	free(CONTAINER_OF(fence, struct job, fence));
}

static const struct stile_fence_ops job_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = job_get_driver_name,
	.get_timeline_name = job_get_timeline_name,
	.release = job_release,
	.flags = STILE_FENCE_SEQNO64,
};

/* ---- Making one ---------------------------------------------------------------------------- */

int job_create(struct stile_swgpu_queue *queue, struct stile_fence *const *waits, size_t wait_count,
	struct stile_fence *const *implicit, size_t implicit_count, struct job **out) {
	size_t count, bytes;
	*out = NULL;
	if (__builtin_add_overflow(wait_count, implicit_count, &count) ||
		__builtin_mul_overflow(count, sizeof(struct job_wait), &bytes) ||
		__builtin_add_overflow(bytes, sizeof(struct job), &bytes)) {
		return -ENOMEM;
	}
	check_alloc();
	struct job *job = malloc(bytes);
	if (job == NULL) {
		return -ENOMEM;
	}
	*job = (struct job){
		.queue = queue,
		.held = true,
		.pending = count,
		.wait_count = count,
		.explicit_count = wait_count,
	};
	memcpy(job->name, queue->name, sizeof(job->name));
	/* Cannot fail: the table is ours. Its number follows when it is pushed. */
	(void)!stile_fence_init(&job->fence, &job_ops, queue->context, 0);
	for (size_t i = 0; i < count; i++) {
		struct stile_fence *fence = i < wait_count ? waits[i] : implicit[i - wait_count];
		job->waits[i].fence = stile_fence_ref(fence);
		job->waits[i].job = job;
	}
	*out = job;
	return 0;
}

/* In the context of whoever signals it, under that fence's lock. */
static void wait_ended(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct job *job = CONTAINER_OF(callback, struct job_wait, callback)->job;
	struct scheduler *scheduler = job->queue->scheduler;
	/* The count under the lock too: once it is 0 and the lock is free, the job may go. */
	scheduler_lock(scheduler);
	job->pending--;
	queue_look(job->queue);
	scheduler_unlock(scheduler);
}

size_t job_arm(struct job *job) {
	size_t ended = 0;
	for (size_t i = 0; i < job->wait_count; i++) {
		struct job_wait *wait = &job->waits[i];
		ended += stile_fence_add_callback(wait->fence, &wait->callback, wait_ended) < 0;
	}
	return ended;
}

void job_record_waits(struct job *job, const char *label, const void *place) {
	for (size_t i = 0; i < job->wait_count; i++) {
		graph_add_edge_at(&job->fence, job->waits[i].fence,
			i < job->explicit_count ? label : "use of a buffer", place);
	}
}

/* ---- Sleeping, where something is to go wrong ---------------------------------------------- */

void job_kick(struct job *job) {
	__atomic_fetch_add(&job->kicks, 1, __ATOMIC_RELEASE);
	os_futex_wake_all(&job->kicks);
}

/* Why it is to end rather than to sleep; 0: it is not. */
static int job_interruption(const struct job *job) {
	const struct stile_swgpu_queue *queue = job->queue;
	if (swgpu_is_lost(queue->gpu)) {
		return -EIO;
	}
	if (job_is_late(job)) {
		return -ETIME;
	}
	return __atomic_load_n(&queue->closing, __ATOMIC_RELAXED) ? -ECANCELED : 0;
}

static int job_sleep(struct job *job, int64_t until_ns) {
	for (;;) {
		uint32_t seen = __atomic_load_n(&job->kicks, __ATOMIC_ACQUIRE);
		int reason = job_interruption(job);
		if (reason != 0 || os_futex_wait(&job->kicks, seen, until_ns) == -ETIME) {
			return reason;
		}
	}
}

static int job_delay(struct job *job, int64_t ns) {
	const struct scheduler *scheduler = job->queue->scheduler;
	if (scheduler_has_threads(scheduler)) {
		return job_sleep(job, time_after(os_clock_ns(), ns));
	}
	deterministic_pass(job->queue, ns);
	return job_is_late(job) ? -ETIME : 0;
}

/* ---- A command ----------------------------------------------------------------------------- */

static void mishap_add(struct mishap *mishap, const struct stile_swgpu_injection *injection) {
	switch (injection->kind) {
	case STILE_SWGPU_DELAY:
		mishap->delay_ns = injection->delay_ns;
		break;
	case STILE_SWGPU_REORDER:
		mishap->reorder_ns = injection->delay_ns > 0 ? injection->delay_ns : 1000000000;
		break;
	case STILE_SWGPU_ERROR:
		mishap->error = injection->error != 0 ? injection->error : -EIO;
		break;
	case STILE_SWGPU_HANG:
		mishap->hangs = true;
		break;
	case STILE_SWGPU_LOSE:
		mishap->loses = true;
		break;
	case STILE_SWGPU_NO_MEMORY: /* No command's. */
		break;
	}
}

static void command_begin(struct job *job) {
	const struct swgpu *gpu = job->queue->gpu;
	struct stile_swgpu_injection injection;
	job->number = faults_next_command(gpu->faults);
	job->mishap = (struct mishap){ 0 };
	while (faults_take(gpu->faults, job->number, &injection)) {
		mishap_add(&job->mishap, &injection);
		trace_print(gpu->trace, "inject %s #%llu %s:%llu", faults_get_name(injection.kind),
			(unsigned long long)job->number, job->name,
			(unsigned long long)job->fence.seqno);
	}
}

/* Before it is executed. 0, or what its list ends with. */
static int command_go_wrong(struct job *job) {
	const struct mishap *mishap = &job->mishap;
	int ret = 0;
	if (mishap->loses) {
		scheduler_lose(job->queue->scheduler);
		return -EIO;
	}
	if (mishap->delay_ns > 0) {
		ret = job_delay(job, mishap->delay_ns);
	}
	if (ret == 0 && mishap->hangs && scheduler_has_threads(job->queue->scheduler)) {
		ret = job_sleep(job, INT64_MAX);
	}
	return ret;
}

/*
 * Devices see what other devices did once its fence is done, whatever caches they have: those write back
 * before a list, and forget what it has written. Only for the CPU there are brackets.
 */
static void job_sync_others(const struct job *job, bool before) {
	for (size_t i = 0; i < job->list->use_count; i++) {
		const struct list_use *use = &job->list->uses[i];
		if (before || (use->usage & STILE_USAGE_WRITE) != 0) {
			buffer_sync(use->buffer, job->queue->gpu->device, 0,
				stile_buffer_get_bytes(use->buffer), before);
		}
	}
}

static int command_execute(struct job *job) {
	struct swgpu *gpu = job->queue->gpu;
	if (!job->executes) {
		job_sync_others(job, true);
	}
	struct bus_fault fault = { .reason = STILE_SWGPU_FAULT_NONE };
	trace_print(gpu->trace, "command #%llu %s %s:%llu", (unsigned long long)job->number,
		command_get_name(job->command), job->name, (unsigned long long)job->fence.seqno);
	job->executes = true;
	int ret = list_execute(job->list, job->command, &job->stop, &fault);
	if (fault.reason != STILE_SWGPU_FAULT_NONE) {
		faults_note(gpu, job->number, &fault);
	}
	if (swgpu_is_lost(gpu)) {
		return -EIO;
	}
	/* Also if it did not look, and is done: the time is the limit of the whole list. */
	return job_is_late(job) ? -ETIME : ret;
}

/* ---- Its turn ------------------------------------------------------------------------------ */

/* How what it waited for ended. */
static int job_get_wait_error(const struct job *job) {
	for (size_t i = 0; i < job->explicit_count; i++) {
		int status = stile_fence_get_status(job->waits[i].fence);
		if (status < 0) {
			return status;
		}
	}
	return 0;
}

/* Of a device that stops: others may still be at the memory, but whoever stops it waits for them, too. */
static void work_wait(const struct job *job) {
	int64_t until_ns = os_clock_ns() + stop_patience_ns;
	for (size_t i = 0; i < job->wait_count; i++) {
		(void)!stile_fence_wait(job->waits[i].fence, until_ns);
	}
}

static enum turn work_take_turn(struct job *job) {
	if (job->abandons && !job_is_late(job)) {
		work_wait(job);
	}
	job->work.run(job->work.user);
	return TURN_DONE;
}

enum turn job_take_turn(struct job *job, int verdict) {
	if (job->work.run != NULL) {
		return work_take_turn(job);
	}
	if (verdict == 0 && !job->executes) {
		verdict = job_get_wait_error(job);
	}
	if (verdict != 0) {
		job->error = verdict;
	}
	if (job->error != 0 || job->command == NULL) {
		return TURN_DONE;
	}
	if (job->number == 0) {
		command_begin(job);
	}
	if (job->mishap.reorder_ns > 0) {
		return TURN_YIELDS;
	}
	job->error = command_go_wrong(job);
	if (job->error == 0 && job->mishap.hangs) {
		return TURN_HANGS;
	}
	if (job->error == 0) {
		job->error = job->mishap.error;
	}
	if (job->error == 0) {
		job->error = command_execute(job);
		job->command = command_get_next(job->command);
		job->number = 0;
	}
	return TURN_ON;
}

void job_end(struct job *job) {
	for (size_t i = 0; i < job->wait_count; i++) {
		if (job->abandons) {
			stile_fence_remove_callback(job->waits[i].fence, &job->waits[i].callback);
		}
		stile_fence_unref(job->waits[i].fence);
	}
	if (job->executes) {
		job_sync_others(job, false);
	}
	/* Before the fence: whoever learns of the end may rely on nothing being held any more. */
	bool before = buffer_set_releases_elsewhere(true);
	stile_swgpu_list_destroy(job->list);
	buffer_set_releases_elsewhere(before);
	trace_print(job->queue->gpu->trace, "end %s:%llu %d", job->name,
		(unsigned long long)job->fence.seqno, job->error);
	if (job->error != 0) {
		stile_fence_set_error(&job->fence, job->error);
	}
	stile_fence_signal(&job->fence);
}
