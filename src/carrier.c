/* SPDX-License-Identifier: MIT */
/* Fences in and out by descriptor: which kind of carrier it is decides who does it. */
#include <errno.h>
#include <string.h>

#include <stile/carrier.h>
#include <stile/fence.h>

#include "src/device.h"
#include "src/path.h"
#include "src/sync_file.h"
#include "src/watch.h"

int stile_fence_import_fd(
	struct stile_device *device, enum stile_fd_kind kind, int fd, struct stile_fence **out) {
	*out = NULL;
	if (kind != STILE_FD_SOFTWARE_SYNC_FILE) {
		return -EINVAL;
	}
	/* First of all: a number that is closed may be given to the watcher that is made next. */
	int ret = sync_file_check(fd);
	struct watch *watch = NULL;
	if (ret == 0) {
		ret = device_get_watch(device, &watch);
	}
	if (ret == 0) {
		ret = sync_file_import(watch, fd, out);
		watch_unref(watch);
	}
	if (ret < 0) {
		device_log(device, STILE_LOG_ERROR, "import of software sync file %d: %s", fd,
			strerror(-ret));
	}
	return ret;
}

int stile_fence_export_fd(struct stile_fence *fence, enum stile_fd_kind kind, uint32_t flags,
	struct stile_path *path, int *fd) {
	*fd = -1;
	if (kind != STILE_FD_SOFTWARE_SYNC_FILE || flags != 0 || path_check(path) < 0) {
		return -EINVAL;
	}
	enum stile_path_kind kind_of_path = STILE_PATH_HANDLE;
	bool done = stile_fence_is_signaled(fence);
	int ret = done ? -EOPNOTSUPP : sync_file_pass_on(fence, fd);
	if (ret == -EOPNOTSUPP) {
		kind_of_path = done ? STILE_PATH_NONE : STILE_PATH_BRIDGE;
		ret = sync_file_export(fence, fd);
	}
	if (ret == 0) {
		path_give(path, kind_of_path, 0);
	}
	return ret;
}
