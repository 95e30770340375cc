/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/plain_fence.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <stile/wait.h>

#include "interop-tests/support/runner.h"

enum { HANG_S = 60 };

static atomic_int alive;

static const char *plain_driver(struct stile_fence *fence) {
	(void)fence;
	return "plain driver";
}

static const char *plain_timeline(struct stile_fence *fence) {
	(void)fence;
	return "plain timeline";
}

static void plain_release(struct stile_fence *fence) {
	atomic_fetch_sub(&alive, 1);
	free(fence);
}

static const struct stile_fence_ops plain_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = plain_driver,
	.get_timeline_name = plain_timeline,
	.release = plain_release,
};

struct stile_fence *plain_fence_create(void) {
	struct stile_fence *fence = malloc(sizeof(*fence));
	runner_require(fence != NULL &&
			stile_fence_init(fence, &plain_ops, stile_fence_context_alloc(1), 1) == 0,
		"no fence");
	atomic_fetch_add(&alive, 1);
	return fence;
}

int plain_fence_count(void) {
	return atomic_load(&alive);
}

int plain_fence_finish(struct stile_fence *fence) {
	int ret = stile_fence_wait(fence, runner_clock_ns() + HANG_S * INT64_C(1000000000));
	runner_require(ret == 0, "a fence that should be signalled is not: %d", ret);
	return stile_fence_get_status(fence);
}

static bool poll_readable(int fd, int timeout_ms) {
	struct pollfd at = { .fd = fd, .events = POLLIN };
	int ret = poll(&at, 1, timeout_ms);
	runner_require(ret >= 0, "poll failed");
	return ret == 1 && (at.revents & POLLIN) != 0;
}

bool plain_fd_is_readable(int fd) {
	return poll_readable(fd, 0);
}

bool plain_fd_becomes_readable(int fd) {
	return poll_readable(fd, HANG_S * 1000);
}
