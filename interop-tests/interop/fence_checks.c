/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/fence_checks.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <stile/carrier.h>

#include "interop-tests/support/fake_sync_file.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

/* A lost device is told by whoever hears of it first, on any thread. */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char logged[1024];

void note_log(void *user, enum stile_log_level level, const char *text) {
	(void)user;
	(void)level;
	pthread_mutex_lock(&log_lock);
	snprintf(logged, sizeof(logged), "%s", text);
	pthread_mutex_unlock(&log_lock);
}

bool has_logged(const char *part) {
	pthread_mutex_lock(&log_lock);
	bool found = strstr(logged, part) != NULL;
	pthread_mutex_unlock(&log_lock);
	return found;
}

void forget_log(void) {
	note_log(NULL, STILE_LOG_ERROR, "");
}

struct stile_fence *kernels_fence(struct stile_device *device, size_t *leaf) {
	struct stile_fence *fence;
	int fd = fake_sync_file_create(1);
	*leaf = fake_sync_file_first_leaf(fd);
	ck_assert_int_eq(stile_fence_import_fd(device, STILE_FD_SYNC_FILE, 0, fd, &fence), 0);
	close(fd);
	return fence;
}

bool has_sync_file(struct stile_fence *fence) {
	int fd;
	int ret = stile_fence_export_fd(fence, STILE_FD_SYNC_FILE, 0, NULL, &fd);
	if (fd >= 0) {
		close(fd);
	}
	return ret == 0;
}

static unsigned looks;

static bool has_ended(struct stile_fence *fence) {
	(void)fence;
	return ++looks > 1;
}

static const char *tell_name(struct stile_fence *fence) {
	(void)fence;
	return "quick";
}

void make_quick(struct stile_fence *fence) {
	static const struct stile_fence_ops ops = {
		.size = sizeof(struct stile_fence_ops),
		.get_driver_name = tell_name,
		.get_timeline_name = tell_name,
		.signaled = has_ended,
	};
	looks = 0;
	ck_assert_int_eq(stile_fence_init(fence, &ops, stile_fence_context_alloc(1), 1), 0);
}

void check_pending(struct stile_fence *fence) {
	runner_sleep_ms(10);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
}

void check_ends(struct stile_fence *fence, int status) {
	ck_assert_int_eq(plain_fence_finish(fence), status);
	stile_fence_unref(fence);
}
