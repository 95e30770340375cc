/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xf86drm.h>

#include "src/gbm/gbm.h"

static bool is_same_file(int a, int b) {
	struct stat left, right;
	return fstat(a, &left) == 0 && fstat(b, &right) == 0 && left.st_dev == right.st_dev &&
		left.st_ino == right.st_ino;
}

/* By the handle, which is one in the file of the gbm_device. -1: no. */
static int export_by_handle(struct gbm_bo *bo, int plane) {
	union gbm_bo_handle handle = gbm_bo_get_handle_for_plane(bo, plane);
	int node = gbm_device_get_fd(gbm_bo_get_device(bo)), fd;
	if (handle.s32 == -1 ||
		drmPrimeHandleToFD(node, handle.u32, DRM_CLOEXEC | DRM_RDWR, &fd) != 0) {
		return -1;
	}
	return fd;
}

/*
 * Whoever exports memory first decides what all descriptors of it allow: the kernel makes one file and keeps
 * it. Mesa's software driver would ask for one that is read-only. What memory it is, GBM has to confirm.
 */
int gbm_plane_export(struct gbm_bo *bo, int plane) {
	int first = export_by_handle(bo, plane);
	errno = 0;
	int fd = gbm_bo_get_fd_for_plane(bo, plane);
	int ret = fd < 0 ? gbm_errno(errno) : fd;
	if (fd >= 0 && first >= 0 && is_same_file(fd, first)) {
		close(fd);
		return first;
	}
	if (first >= 0) {
		close(first);
	}
	return ret;
}
