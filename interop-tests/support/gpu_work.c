/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/gpu_work.h"

#include <stile/format.h>
#include <stile/image.h>

#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

struct stile_device *gpu_open(const char *options) {
	const struct stile_device_info info = { .size = sizeof(info), .options = options };
	struct stile_device *device;
	int ret = stile_device_open("swgpu", &info, &device);
	runner_require(ret == 0, "no device with \"%s\": %d", options == NULL ? "" : options, ret);
	return device;
}

struct stile_swgpu_queue *gpu_queue(
	struct stile_device *device, const char *name, int32_t priority, int64_t timeout_ns) {
	const struct stile_swgpu_queue_info info = {
		.size = sizeof(info),
		.name = name,
		.priority = priority,
		.timeout_ns = timeout_ns,
	};
	struct stile_swgpu_queue *queue;
	int ret = stile_swgpu_queue_create(device, &info, &queue);
	runner_require(ret == 0, "no queue: %d", ret);
	return queue;
}

/* A list of `count` kernels on a new image of one sample, which goes with the list. */
static struct stile_swgpu_list *kernels(
	struct stile_device *device, unsigned count, stile_swgpu_kernel_fn fn, void *const *users) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = 1,
		.height = 1,
		.fourcc = DRM_FORMAT_R8,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
	};
	struct stile_image *image;
	struct stile_swgpu_list *list;
	runner_require(stile_image_create(device, &info, &image) == 0 &&
			stile_swgpu_list_create(device, &list) == 0,
		"no list");
	for (unsigned i = 0; i < count; i++) {
		runner_require(stile_swgpu_list_kernel(list, &image, 1, fn, users[i]) == 0,
			"a kernel is refused");
	}
	stile_image_unref(image);
	return list;
}

/* ---- A journal ----------------------------------------------------------------------------- */

static int step_run(void *user, const struct stile_swgpu_row *rows, uint32_t y) {
	(void)rows;
	(void)y;
	const struct gpu_step *step = user;
	struct gpu_journal *journal = step->journal;
	uint32_t at = __atomic_fetch_add(&journal->count, 1, __ATOMIC_ACQ_REL);
	runner_require(at < GPU_STEPS, "the journal is full");
	__atomic_store_n(&journal->ids[at], step->id, __ATOMIC_RELEASE);
	return step->error;
}

static struct gpu_step *step_create(struct gpu_journal *journal, int id, int error) {
	uint32_t at = __atomic_fetch_add(&journal->step_count, 1, __ATOMIC_RELAXED);
	runner_require(at < GPU_STEPS, "too many steps");
	journal->steps[at] = (struct gpu_step){ .journal = journal, .id = id, .error = error };
	return &journal->steps[at];
}

struct stile_swgpu_list *gpu_steps(
	struct stile_device *device, struct gpu_journal *journal, int id, unsigned count) {
	void *users[64];
	runner_require(count <= 64, "too many steps");
	for (unsigned i = 0; i < count; i++) {
		users[i] = step_create(journal, id, 0);
	}
	return kernels(device, count, step_run, users);
}

struct stile_swgpu_list *gpu_failing_step(
	struct stile_device *device, struct gpu_journal *journal, int id, int error) {
	void *user = step_create(journal, id, error);
	return kernels(device, 1, step_run, &user);
}

uint32_t gpu_journal_count(const struct gpu_journal *journal) {
	return __atomic_load_n(&journal->count, __ATOMIC_ACQUIRE);
}

int gpu_journal_find(const struct gpu_journal *journal, int id) {
	uint32_t count = gpu_journal_count(journal);
	for (uint32_t i = 0; i < count; i++) {
		if (__atomic_load_n(&journal->ids[i], __ATOMIC_ACQUIRE) == id) {
			return (int)i;
		}
	}
	return -1;
}

/* ---- A kernel that blocks ------------------------------------------------------------------ */

static int block_run(void *user, const struct stile_swgpu_row *rows, uint32_t y) {
	(void)rows;
	(void)y;
	struct gpu_blocker *blocker = user;
	__atomic_fetch_add(&blocker->entered, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&blocker->opened, __ATOMIC_ACQUIRE) == 0) {
		runner_sleep_ms(1);
	}
	return 0;
}

struct stile_swgpu_list *gpu_block(struct stile_device *device, struct gpu_blocker *blocker) {
	void *user = blocker;
	return kernels(device, 1, block_run, &user);
}

void gpu_blocker_await(const struct gpu_blocker *blocker, uint32_t count) {
	int64_t give_up_ns = runner_clock_ns() + INT64_C(60000000000);
	while (__atomic_load_n(&blocker->entered, __ATOMIC_ACQUIRE) < count) {
		runner_require(runner_clock_ns() < give_up_ns, "a kernel does not begin");
		runner_sleep_ms(1);
	}
}

void gpu_blocker_open(struct gpu_blocker *blocker) {
	__atomic_store_n(&blocker->opened, 1, __ATOMIC_RELEASE);
}

/* ---- Submitting ---------------------------------------------------------------------------- */

struct stile_fence *gpu_submit_after(struct stile_swgpu_queue *queue, struct stile_swgpu_list *list,
	struct stile_fence *const *waits, size_t count) {
	const struct stile_swgpu_submit_info info = {
		.size = sizeof(info),
		.waits = waits,
		.wait_count = count,
	};
	struct stile_fence *fence;
	int ret = stile_swgpu_submit(queue, list, &info, &fence);
	runner_require(ret == 0, "a list is refused: %d", ret);
	return fence;
}

struct stile_fence *gpu_submit(struct stile_swgpu_queue *queue, struct stile_swgpu_list *list) {
	return gpu_submit_after(queue, list, NULL, 0);
}

int gpu_finish(struct stile_fence *fence) {
	int status = plain_fence_finish(fence);
	stile_fence_unref(fence);
	return status;
}
