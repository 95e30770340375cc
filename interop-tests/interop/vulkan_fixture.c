/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/vulkan_fixture.h"

#include "interop-tests/interop/fence_checks.h"
#include "interop-tests/support/fake_gpu.h"
#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

struct stile_device *device;
struct fake_vulkan *fake;
struct stile_vulkan *vulkan;

const struct fake_vulkan_traits has_all = {
	.sync_fd = true,
	.fence_sync_fd = true,
	.opaque_fd = true,
	.uuid = 1,
};

static void start_fake(const struct fake_vulkan_traits *traits) {
	fake_gpu_begin();
	fake = fake_vulkan_create(traits);
	struct stile_vulkan_info info = fake_vulkan_describe(fake);
	info.log = note_log;
	forget_log();
	ck_assert_int_eq(stile_vulkan_create(&info, NULL, &vulkan), 0);
}

/* A complaint ends the test in here: what is gone then, is not stopped again. */
static void stop_fake(void) {
	stile_vulkan_destroy(vulkan);
	vulkan = NULL;
	if (fake != NULL) {
		fake_vulkan_destroy(fake);
		fake = NULL;
		fake_gpu_end();
	}
}

void start(const struct fake_vulkan_traits *traits) {
	device = gpu_open(NULL);
	start_fake(traits);
}

void restart(const struct fake_vulkan_traits *traits) {
	stop_fake();
	start_fake(traits);
}

void stop(void) {
	stop_fake();
	stile_device_destroy(device);
}

VkSemaphore hold_queue(void) {
	VkSemaphore hold = fake_vulkan_timeline(fake);
	/* Somebody has submitted it, or binary semaphores would not be allowed: another queue, say. */
	fake_vulkan_promise(hold, 1);
	fake_vulkan_submit(fake, &(struct fake_vulkan_submit){ .wait = hold, .wait_value = 1 });
	return hold;
}

void let_go(VkSemaphore hold) {
	fake_vulkan_signal(fake, hold, 1);
	fake_vulkan_wait_idle(fake);
	fake_vulkan_destroy_semaphore(fake, hold);
}

void *let_go_late(void *hold) {
	fake_gpu_await_blocked();
	let_go((VkSemaphore)hold);
	return NULL;
}

struct stile_fence *hold_device(void) {
	struct stile_vulkan_wait wait = { .size = sizeof(wait) };
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *gate = plain_fence_create();
	ck_assert_int_eq(stile_vulkan_wait_fence(vulkan, gate, &path, &wait), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_BRIDGE);
	fake_vulkan_submit(fake,
		&(struct fake_vulkan_submit){ .wait = wait.semaphore, .wait_value = wait.value });
	return gate;
}

void open_gate(struct stile_fence *gate) {
	stile_fence_signal(gate);
	stile_fence_unref(gate);
}

struct stile_fence *work_behind(VkSemaphore semaphore) {
	struct stile_fence *work;
	fake_vulkan_submit(fake, &(struct fake_vulkan_submit){ .wait = semaphore });
	ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &work), 0);
	return work;
}
