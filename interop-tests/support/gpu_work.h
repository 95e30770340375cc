/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_GPU_WORK_H
#define SUPPORT_GPU_WORK_H

#include <stddef.h>
#include <stdint.h>

#include <stile/device.h>
#include <stile/fence.h>
#include <stile/swgpu.h>
#include <stile/swgpu_list.h>

/*
 * Lists of the software GPU that say when they are executed. What fails that should not fails the test.
 */

/** A device with these options; NULL: none. */
struct stile_device *gpu_open(const char *options);

/** A queue; a time-out of 0 is the device's. */
struct stile_swgpu_queue *gpu_queue(
	struct stile_device *device, const char *name, int32_t priority, int64_t timeout_ns);

/* ---- A journal ----------------------------------------------------------------------------- */

enum { GPU_STEPS = 2048 };

struct gpu_journal;

/** One command: a kernel of one row, which notes that it is executed. */
struct gpu_step {
	struct gpu_journal *journal;
	int id;
	int error; /* what the kernel gives */
};

/** What was executed, in which order. Zeroed to begin with; any threads. */
struct gpu_journal {
	uint32_t count; /* by atomic access */
	int ids[GPU_STEPS];
	uint32_t step_count;
	struct gpu_step steps[GPU_STEPS]; /* of all commands; in the memory of the journal */
};

/** A list of kernels which note this id, on an image of their own. */
struct stile_swgpu_list *gpu_steps(
	struct stile_device *device, struct gpu_journal *journal, int id, unsigned count);
/** The same of one that ends with an error. */
struct stile_swgpu_list *gpu_failing_step(
	struct stile_device *device, struct gpu_journal *journal, int id, int error);
uint32_t gpu_journal_count(const struct gpu_journal *journal);
/** Where the id is first, from 0; -1: nowhere. */
int gpu_journal_find(const struct gpu_journal *journal, int id);

/* ---- A kernel that blocks ------------------------------------------------------------------ */

/** Zeroed to begin with. */
struct gpu_blocker {
	uint32_t entered; /* by atomic access: how many kernels are, or were, in */
	uint32_t opened;  /* by atomic access */
};

/** A list of one command, which blocks until it is opened. */
struct stile_swgpu_list *gpu_block(struct stile_device *device, struct gpu_blocker *blocker);
/** Wait until so many have come. */
void gpu_blocker_await(const struct gpu_blocker *blocker, uint32_t count);
void gpu_blocker_open(struct gpu_blocker *blocker);

/* ---- Submitting ---------------------------------------------------------------------------- */

/** Submit a list, which may be NULL, behind fences; the fence is the caller's. */
struct stile_fence *gpu_submit_after(struct stile_swgpu_queue *queue, struct stile_swgpu_list *list,
	struct stile_fence *const *waits, size_t count);
struct stile_fence *gpu_submit(struct stile_swgpu_queue *queue, struct stile_swgpu_list *list);

/** Wait for the end and give the fence up; its status. */
int gpu_finish(struct stile_fence *fence);

#endif
