/* SPDX-License-Identifier: MIT */
/*
 * The kernel's sync_file: contract section 5, and X-2 for what may not become one. The kernel
 * guarantees that it ends, so a fence that came from one is finite; only such fences go out again.
 */
#include "src/kernel_sync_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sync_file.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <stile/fence.h>
#include <stile/merge.h>

#include "src/fd_fence.h"
#include "src/os.h"

enum { MAX_ERRNO = 4095 };

/* Headers older than Linux 6.6 do not have it. */
struct deadline {
	uint64_t deadline_ns;
	uint64_t pad;
};

#define IOC_SET_DEADLINE _IOW(SYNC_IOC_MAGIC, 5, struct deadline)

/* 0 or -errno. */
static int sync_ioctl(int fd, unsigned long request, void *arg) {
	int ret;
	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

/* ---- In ----------------------------------------------------------------------------------- */

struct leaves {
	struct fd_fence_names names;
	uint32_t count; /* at import; there can only be fewer later (S-5) */
	struct sync_fence_info infos[];
};

static int get_summary(int fd, struct sync_file_info *info) {
	*info = (struct sync_file_info){ 0 };
	return sync_ioctl(fd, SYNC_IOC_FILE_INFO, info);
}

static int get_leaves(int fd, struct leaves *leaves, struct sync_file_info *info) {
	*info = (struct sync_file_info){
		.num_fences = leaves->count,
		.sync_fence_info = (uintptr_t)leaves->infos,
	};
	int ret = sync_ioctl(fd, SYNC_IOC_FILE_INFO, info);
	if (ret == 0 && info->num_fences > leaves->count) {
		ret = -EINVAL;
	}
	return ret;
}

static void note_latest(const struct leaves *leaves, uint32_t count, struct fd_fence_end *end) {
	for (uint32_t i = 0; i < count; i++) {
		int64_t at_ns = (int64_t)leaves->infos[i].timestamp_ns;
		end->timestamp_ns = at_ns > end->timestamp_ns ? at_ns : end->timestamp_ns;
	}
}

/* Room for all leaves that it has by now. 0 or -errno. */
static int make_leaves(int fd, struct leaves **out) {
	struct sync_file_info info;
	int ret = get_summary(fd, &info);
	if (ret < 0) {
		return ret;
	}
	*out = calloc(1, sizeof(**out) + (size_t)info.num_fences * sizeof((*out)->infos[0]));
	if (*out == NULL) {
		return -ENOMEM;
	}
	(*out)->count = info.num_fences;
	return 0;
}

/* It has ended. The leaves first: an array that nobody listened to ends without the error of its member. */
static int look_at_leaves(int fd, struct leaves *leaves, struct fd_fence_end *end) {
	struct sync_file_info info;
	int ret = get_leaves(fd, leaves, &info);
	if (ret == 0) {
		note_latest(leaves, info.num_fences, end);
		/* An array that ends with any member is done before all leaves are. */
		ret = info.status == 0 ? get_summary(fd, &info) : 0;
	}
	if (ret == -ENOMEM) {
		return 0;
	}
	bool understood = info.status <= 1 && info.status >= -MAX_ERRNO;
	return ret < 0 || !understood ? -EBADMSG : info.status;
}

static int kernel_sync_file_look(int fd, void *data, struct fd_fence_end *end) {
	struct leaves *leaves = data, *own = NULL;
	if (!os_is_readable(fd)) {
		return 0;
	}
	if (leaves == NULL) {
		/* It was taken: how many there are nobody has asked yet. */
		int ret = make_leaves(fd, &own);
		if (ret < 0) {
			return ret == -ENOMEM ? 0 : -EBADMSG;
		}
	}
	int verdict = look_at_leaves(fd, leaves == NULL ? own : leaves, end);
	free(own);
	return verdict;
}

/* Kernels before 6.6 do not know it, and a hint may be lost. */
static void kernel_sync_file_set_deadline(int fd, int64_t deadline_ns) {
	struct deadline deadline = { .deadline_ns = deadline_ns < 0 ? 0 : (uint64_t)deadline_ns };
	(void)sync_ioctl(fd, IOC_SET_DEADLINE, &deadline);
}

static const struct fd_fence_kind kernel_kind = {
	.look = kernel_sync_file_look,
	.set_deadline = kernel_sync_file_set_deadline,
};

/* Not by asking alone: whoever provides a file system answers what he likes, when he likes. */
int kernel_sync_file_check(int fd) {
	struct sync_file_info info;
	if (fcntl(fd, F_GETFD) < 0) {
		return -EBADF;
	}
	if (!os_is_anon_inode(fd, "sync_file")) {
		return -EINVAL;
	}
	int ret = get_summary(fd, &info);
	return ret == 0 || ret == -EBADF || ret == -ENOMEM ? ret : -EINVAL;
}

/* One leaf has its own names; of several, that of the whole is told. */
static void take_names(struct leaves *leaves, const struct sync_file_info *info) {
	const char *driver = "sync_file", *timeline = info->name;
	if (info->num_fences == 1) {
		driver = leaves->infos[0].driver_name;
		timeline = leaves->infos[0].obj_name;
	}
	enum { LAST = FD_FENCE_NAME_BYTES - 1 };
	snprintf(leaves->names.driver, FD_FENCE_NAME_BYTES, "%.*s", LAST, driver);
	snprintf(leaves->names.timeline, FD_FENCE_NAME_BYTES, "%.*s", LAST, timeline);
	fd_fence_clean_names(&leaves->names);
}

int kernel_sync_file_import(struct watch *watch, int fd, struct stile_fence **out) {
	*out = NULL;
	struct sync_file_info info;
	struct leaves *leaves;
	int ret = make_leaves(fd, &leaves);
	if (ret < 0) {
		return ret;
	}
	ret = get_leaves(fd, leaves, &info);
	if (ret == 0) {
		take_names(leaves, &info);
		struct fd_fence_info fence = {
			.kind = &kernel_kind, .fd = fd, .names = &leaves->names, .data = leaves
		};
		ret = fd_fence_create(watch, &fence, out);
	}
	if (ret < 0) {
		free(leaves);
	}
	return ret;
}

int kernel_sync_file_take(struct watch *watch, int fd, bool is_pending, struct stile_fence **out) {
	static const struct fd_fence_names names = { "dma-buf", "reservation" };
	const struct fd_fence_info fence = {
		.kind = &kernel_kind, .fd = fd, .names = &names, .is_fresh = is_pending
	};
	return fd_fence_take(watch, &fence, out);
}

int kernel_sync_file_get_fd(struct stile_fence *fence) {
	return fd_fence_get_fd(fence, &kernel_kind);
}

/* ---- Out ---------------------------------------------------------------------------------- */

/* Make *merged, -1 at first, one of itself and `fd`. */
static int merge_in(int *merged, int fd) {
	if (*merged < 0) {
		int copy = os_dup(fd);
		*merged = copy < 0 ? -1 : copy;
		return copy < 0 ? copy : 0;
	}
	struct sync_merge_data merge = { .name = "stile", .fd2 = fd };
	int ret = sync_ioctl(*merged, SYNC_IOC_MERGE, &merge);
	if (ret == 0) {
		close(*merged);
		*merged = merge.fence;
	}
	return ret;
}

/* What has failed has no place in a merged file, and must not be taken for done. */
static int merge_leaf(int *merged, struct stile_fence *leaf) {
	int status = stile_fence_get_status(leaf);
	if (status > 0) {
		return 0;
	}
	int fd = kernel_sync_file_get_fd(leaf);
	return status < 0 || fd < 0 ? -EOPNOTSUPP : merge_in(merged, fd);
}

static int merge_leaves(struct stile_fence *fence, int *out) {
	struct stile_unwrap cursor;
	struct stile_fence *leaf = stile_unwrap_first(fence, &cursor);
	int ret = 0;
	while (leaf != NULL && ret == 0) {
		ret = merge_leaf(out, leaf);
		leaf = ret == 0 ? stile_unwrap_next(&cursor) : leaf;
	}
	stile_unwrap_end(&cursor);
	if (ret < 0 && *out >= 0) {
		close(*out);
		*out = -1;
	}
	return ret;
}

int kernel_sync_file_export(struct stile_fence *fence, enum stile_path_kind *path, int *out) {
	*out = -1;
	int status = stile_fence_get_status(fence);
	int own = kernel_sync_file_get_fd(fence), ret = 0;
	if (own >= 0) {
		/* Also what is over, with its error. */
		ret = merge_in(out, own);
	} else if (status < 0) {
		ret = -EOPNOTSUPP;
	} else if (status == 0) {
		ret = merge_leaves(fence, out);
	}
	*path = status != 0 || *out < 0 ? STILE_PATH_NONE : STILE_PATH_HANDLE;
	return ret;
}
