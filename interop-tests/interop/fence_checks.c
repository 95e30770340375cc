/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/fence_checks.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <stile/carrier.h>

#include "interop-tests/support/fake_sync_file.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

char logged[1024];

/* A lost device is told by whoever hears of it first, on any thread. */
void note_log(void *user, enum stile_log_level level, const char *text) {
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	(void)user;
	(void)level;
	pthread_mutex_lock(&lock);
	snprintf(logged, sizeof(logged), "%s", text);
	pthread_mutex_unlock(&lock);
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

void check_pending(struct stile_fence *fence) {
	runner_sleep_ms(10);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
}

void check_ends(struct stile_fence *fence, int status) {
	ck_assert_int_eq(plain_fence_finish(fence), status);
	stile_fence_unref(fence);
}
