/* SPDX-License-Identifier: MIT */
/*
 * The fences of a commit. The kernel gives descriptors once it is on its way, when nothing can fail any more.
 * So each has a promise, made before: of a commit that is held it is what the application has, and else
 * what it gets where the kernel's own fence cannot be had.
 */
#include <errno.h>
#include <linux/sync_file.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xf86drm.h>

#include <stile/carrier.h>
#include <stile/fence.h>

#include "src/drm/commit.h"
#include "src/macros.h"
#include "src/os.h"

/* ---- Promises ---------------------------------------------------------------------------------- */

static const char *promise_get_driver_name(struct stile_fence *fence) {
	(void)fence;
	return "drm";
}

static const char *promise_get_timeline_name(struct stile_fence *fence) {
	(void)fence;
	return "held commit";
}

static void promise_release(struct stile_fence *fence) {
	free(fence);
}

static const struct stile_fence_ops promise_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = promise_get_driver_name,
	.get_timeline_name = promise_get_timeline_name,
	.release = promise_release,
	.flags = STILE_FENCE_USER,
};

static struct stile_fence *promise_create(int64_t expiry_ns) {
	struct stile_fence *promise = malloc(sizeof(*promise));
	if (promise != NULL) {
		/* Cannot fail: the table is ours, and the time was checked. */
		(void)!stile_fence_init(promise, &promise_ops, stile_fence_context_alloc(1), 1);
		(void)!stile_fence_set_expiry(promise, expiry_ns);
	}
	return promise;
}

static void promise_end(struct stile_fence *promise, int status, int64_t timestamp_ns) {
	if (status < 0) {
		stile_fence_set_error(promise, status);
	}
	stile_fence_signal_timestamp(promise, timestamp_ns);
}

/* ---- Its life ---------------------------------------------------------------------------------- */

int result_init(
	struct commit_result *result, uint32_t object_id, uint32_t property, int64_t expiry_ns) {
	*result = (struct commit_result){
		.object_id = object_id,
		.property = property,
		.fd = -1,
		.promise = promise_create(expiry_ns),
	};
	return result->promise == NULL ? -ENOMEM : 0;
}

void result_finish(struct commit_result *result) {
	stile_fence_unref(result->promise);
	stile_fence_unref(result->fence);
	if (result->fd >= 0) {
		close(result->fd);
	}
}

/* ---- What the kernel gives --------------------------------------------------------------------- */

static int import(const struct stile_drm *drm, struct commit_result *result) {
	if (result->fd < 0) {
		drm_log(drm, STILE_LOG_ERROR, "the driver gave no fence for a commit of object %u",
			result->object_id);
		return -EIO;
	}
	int ret = stile_fence_import_fd(
		drm->device, STILE_FD_SYNC_FILE, 0, result->fd, &result->fence);
	if (ret < 0) {
		drm_log(drm, STILE_LOG_WARN,
			"the kernel's fence of a commit cannot be watched (%s): waiting for it",
			strerror(-ret));
		return ret;
	}
	/* The fence has a duplicate. */
	close(result->fd);
	result->fd = -1;
	return 0;
}

/* As a sync_file. 0: it is pending. */
static int get_status(int fd) {
	struct sync_file_info info = { 0 };
	return drmIoctl(fd, SYNC_IOC_FILE_INFO, &info) < 0 ? -errno : info.status;
}

/* 1, or how it failed, which is also what is not known to be done. */
static int await(int fd) {
	enum { SLICE_MS = 100 };
	int64_t until_ns = os_clock_ns() + COMMIT_LIMIT_NS;
	int status = fd < 0 ? -EIO : get_status(fd);
	while (status == 0 && os_clock_ns() < until_ns) {
		struct pollfd at = { .fd = fd, .events = POLLIN };
		/* Only a hint when to look again. */
		(void)poll(&at, 1, SLICE_MS);
		status = get_status(fd);
	}
	return status == 0 ? -ETIMEDOUT : status;
}

struct stile_fence *result_take(const struct stile_drm *drm, struct commit_result *result) {
	if (import(drm, result) == 0) {
		return stile_fence_ref(result->fence);
	}
	promise_end(result->promise, await(result->fd), 0);
	return stile_fence_ref(result->promise);
}

/* ---- Keeping a promise ------------------------------------------------------------------------- */

static void keep(struct stile_fence *fence, struct stile_callback *callback) {
	const struct commit_result *result = CONTAINER_OF(callback, struct commit_result, callback);
	promise_end(
		result->promise, stile_fence_get_status(fence), stile_fence_get_timestamp(fence));
}

void result_follow(const struct stile_drm *drm, struct commit_result *result) {
	if (import(drm, result) == 0 &&
		stile_fence_add_callback(result->fence, &result->callback, keep) < 0) {
		keep(result->fence, &result->callback);
	}
}

void result_wait(struct commit_result *result) {
	if (result->fence == NULL) {
		promise_end(result->promise, await(result->fd), 0);
		return;
	}
	/* Cannot fail. The callback may still be running, on another thread. */
	(void)!stile_fence_wait(result->fence, INT64_MAX);
	stile_fence_remove_callback(result->fence, &result->callback);
}
