/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_QUEUE_H
#define BACKENDS_SWGPU_QUEUE_H

/* Queues, the engines that execute what is in them, and in which order: what the rest sees of it. */

#include <stdbool.h>
#include <stddef.h>

#include <stile/fence.h>
#include <stile/swgpu.h>

struct scheduler;
struct swgpu;

/** Start the engines' threads; none in deterministic mode. 0, -ENOMEM or -EAGAIN. */
int scheduler_create(struct swgpu *gpu, struct scheduler **out);
/** All lists end: what was begun is finished, the rest is cancelled. Joins the threads. */
void scheduler_stop(struct scheduler *scheduler);
/** After that, and when nobody can submit work any more: with all its queues. NULL is ignored. */
void scheduler_destroy(struct scheduler *scheduler);
/** The device is lost from now on. */
void scheduler_lose(struct scheduler *scheduler);

/** As stile_swgpu_queue_create(), with arguments that were checked. */
int queue_create(struct swgpu *gpu, const struct stile_swgpu_queue_info *info,
	struct stile_swgpu_queue **out);

/** A submission. */
struct queue_entry {
	struct stile_swgpu_list *list; /* taken over on success; may be NULL */
	struct stile_fence *const *waits;
	size_t wait_count;
	const char *label; /* of what it waits for, for graphs of who waits for whom */
	const void *place; /* who submits; a return address */
};

/** As stile_swgpu_submit(), with arguments that were checked. */
int queue_submit(
	struct stile_swgpu_queue *queue, const struct queue_entry *entry, struct stile_fence **out);

/** Work of the backend itself: moves of storage. */
struct queue_work {
	const char *name; /* static */
	void (*run)(void *user);
	void *user;
};

/**
 * Have work run behind what it waits for and behind the queue's lists. It runs in any case: whatever became
 * of the waits, after the queue's time-out without them, and even if the device is lost or stopped
 * meanwhile. A device that stops waits for the waits of such work, for 10 s at most. Cannot fail but for
 * memory: 0 or -ENOMEM, then nothing runs.
 *
 * @param queue  of a device that is not stopped, as the caller sees to
 *
 * @param out  a new reference on the fence
 */
int queue_submit_work(struct stile_swgpu_queue *queue, const struct queue_work *work,
	struct stile_fence *const *waits, size_t count, struct stile_fence **out);

#endif
