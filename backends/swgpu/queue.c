/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/swgpu/scheduler.h"
#include "src/abi.h"
#include "src/check.h"

int queue_create(struct swgpu *gpu, const struct stile_swgpu_queue_info *info,
	struct stile_swgpu_queue **out) {
	*out = NULL;
	check_alloc();
	struct stile_swgpu_queue *queue = calloc(1, sizeof(*queue));
	if (queue == NULL) {
		return -ENOMEM;
	}
	struct scheduler *scheduler = gpu->scheduler;
	queue->scheduler = scheduler;
	queue->gpu = gpu;
	queue->context = stile_fence_context_alloc(1);
	snprintf(queue->name, sizeof(queue->name), "%s", info->name == NULL ? "queue" : info->name);
	queue->priority = info->priority;
	queue->timeout_ns = info->timeout_ns == 0 ? gpu->profile.timeout_ns : info->timeout_ns;
	scheduler_lock(scheduler);
	struct stile_swgpu_queue **end = &scheduler->queues;
	while (*end != NULL) {
		end = &(*end)->next;
	}
	*end = queue;
	scheduler_unlock(scheduler);
	*out = queue;
	return 0;
}

int stile_swgpu_queue_create(struct stile_device *device, const struct stile_swgpu_queue_info *info,
	struct stile_swgpu_queue **out) {
	*out = NULL;
	struct swgpu *gpu = swgpu_get(device);
	if (gpu == NULL) {
		return -EINVAL;
	}
	struct stile_swgpu_queue_info known = { .size = sizeof(known) };
	int ret = info == NULL ? 0 : abi_copy_in(&known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	if (known.timeout_ns < 0) {
		return -EINVAL;
	}
	return swgpu_is_lost(gpu) ? -EIO : queue_create(gpu, &known, out);
}

/* With the lock, which is given up meanwhile. Until nobody is at its jobs, and there are none. */
static void wait_until_empty(struct stile_swgpu_queue *queue) {
	struct scheduler *scheduler = queue->scheduler;
	while (queue->first != NULL) {
		uint32_t seen = queue->emptied;
		scheduler_unlock(scheduler);
		os_futex_wait(&queue->emptied, seen, INT64_MAX);
		scheduler_lock(scheduler);
	}
}

static void queue_unlink(struct stile_swgpu_queue *queue) {
	struct stile_swgpu_queue **at = &queue->scheduler->queues;
	while (*at != queue) {
		at = &(*at)->next;
	}
	*at = queue->next;
}

void stile_swgpu_queue_destroy(struct stile_swgpu_queue *queue) {
	if (queue == NULL) {
		return;
	}
	struct scheduler *scheduler = queue->scheduler;
	if (scheduler->owner != getpid()) {
		/* The lock may be held by a thread that is not there; what is pending is the parent's. */
		queue_unlink(queue);
		free(queue);
		return;
	}
	scheduler_lock(scheduler);
	__atomic_store_n(&queue->closing, true, __ATOMIC_RELAXED);
	scheduler_rouse(scheduler);
	scheduler_unlock(scheduler);
	if (!scheduler_has_threads(scheduler)) {
		deterministic_drain(queue);
	}
	scheduler_lock(scheduler);
	wait_until_empty(queue);
	queue_unlink(queue);
	scheduler_unlock(scheduler);
	free(queue);
}

struct stile_swgpu_queue *stile_swgpu_get_queue(struct stile_device *device) {
	struct swgpu *gpu = swgpu_get(device);
	return gpu == NULL ? NULL : gpu->queue;
}

/* ---- Work of the backend ------------------------------------------------------------------- */

int queue_submit_work(struct stile_swgpu_queue *queue, const struct queue_work *work,
	struct stile_fence *const *waits, size_t count, struct stile_fence **out) {
	struct scheduler *scheduler = queue->scheduler;
	struct job *job;
	*out = NULL;
	int ret = job_create(queue, waits, count, NULL, 0, &job);
	if (ret < 0) {
		return ret;
	}
	job->work = *work;
	*out = stile_fence_ref(&job->fence);
	size_t ended = job_arm(job);
	scheduler_lock(scheduler);
	queue_push(queue, job, ended, false);
	scheduler_unlock(scheduler);
	return 0;
}
