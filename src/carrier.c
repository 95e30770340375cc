/* SPDX-License-Identifier: MIT */
/* Fences in and out by descriptor: which kind of carrier it is decides who does it. */
#include <errno.h>
#include <string.h>

#include <stile/carrier.h>
#include <stile/fence.h>

#include "src/check.h"
#include "src/device.h"
#include "src/eventfd.h"
#include "src/handoff.h"
#include "src/kernel_sync_file.h"
#include "src/macros.h"
#include "src/path.h"
#include "src/sync_file.h"
#include "src/watch.h"

struct carrier {
	const char *name;
	/* Optional: a shorter way if nothing is pending. 0; *out NULL: something may be. */
	int (*import_over)(int fd, struct stile_fence **out);
	int (*check)(int fd);
	int (*import)(struct watch *watch, int fd, struct stile_fence **out);
	/* May leave *out at -1 where the fence is signalled and the kind has no descriptor for that. */
	int (*export)(struct stile_fence *fence, enum stile_path_kind *path, int *out);
};

static const struct carrier carriers[] = {
	[STILE_FD_SOFTWARE_SYNC_FILE] = { "software sync file", sync_file_import_over,
		sync_file_check, sync_file_import, sync_file_export },
	[STILE_FD_SYNC_FILE] = { "sync_file", NULL, kernel_sync_file_check, kernel_sync_file_import,
		kernel_sync_file_export },
	[STILE_FD_EVENTFD] = { "eventfd", NULL, eventfd_check, eventfd_import, eventfd_export },
};

/* NULL: the kind or a flag is unknown. */
static const struct carrier *carrier_find(enum stile_fd_kind kind, uint32_t flags) {
	size_t index = (size_t)kind;
	bool known = index < ARRAY_LENGTH(carriers) && carriers[index].name != NULL &&
		(flags & ~(uint32_t)STILE_FD_ALLOW_SIGNALED) == 0;
	return known ? &carriers[index] : NULL;
}

static int import_pending(struct stile_device *device, const struct carrier *carrier, int fd,
	struct stile_fence **out) {
	/* First of all: a number that is closed may be given to the watcher that is made next. */
	int ret = carrier->check(fd);
	struct watch *watch = NULL;
	if (ret == 0) {
		ret = device_get_watch(device, &watch);
	}
	if (ret == 0) {
		ret = carrier->import(watch, fd, out);
		watch_unref(watch);
	}
	return ret;
}

int stile_fence_import_fd(struct stile_device *device, enum stile_fd_kind kind, uint32_t flags,
	int fd, struct stile_fence **out) {
	*out = NULL;
	const struct carrier *carrier = carrier_find(kind, flags);
	if (carrier == NULL) {
		return -EINVAL;
	}
	if (fd == -1 && (flags & STILE_FD_ALLOW_SIGNALED)) {
		*out = stile_fence_get_stub();
		return 0;
	}
	check_alloc();
	int ret = carrier->import_over == NULL ? 0 : carrier->import_over(fd, out);
	if (ret == 0 && *out == NULL) {
		ret = import_pending(device, carrier, fd, out);
	}
	if (ret < 0) {
		device_log(device, STILE_LOG_ERROR, "import of %s %d: %s", carrier->name, fd,
			strerror(-ret));
	}
	return ret;
}

int stile_fence_export_fd(struct stile_fence *fence, enum stile_fd_kind kind, uint32_t flags,
	struct stile_path *path, int *fd) {
	*fd = -1;
	const struct carrier *carrier = carrier_find(kind, flags);
	if (carrier == NULL || path_check(path) < 0) {
		return -EINVAL;
	}
	check_alloc();
	enum stile_path_kind crossing = STILE_PATH_NONE;
	bool allow = (flags & STILE_FD_ALLOW_SIGNALED) != 0;
	int ret = 0;
	if (!allow || stile_fence_get_status(fence) != 1) {
		ret = carrier->export(fence, &crossing, fd);
	}
	if (ret == 0 && *fd < 0 && !allow) {
		ret = -EOPNOTSUPP;
	}
	if (ret == 0) {
		path_give(path, crossing, 0);
		if (check_is_on()) {
			handoff_wait(fence, __builtin_return_address(0));
		}
	}
	return ret;
}
