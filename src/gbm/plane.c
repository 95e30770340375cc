/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xf86drm.h>

#include "src/gbm/gbm.h"
#include "src/report.h"

bool gbm_is_same_memory(int a, int b) {
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
 * CLOEXEC; or -errno.
 */
static int export_plane(struct gbm_bo *bo, int plane) {
	int first = export_by_handle(bo, plane);
	errno = 0;
	int fd = gbm_bo_get_fd_for_plane(bo, plane);
	int ret = fd < 0 ? gbm_errno(errno) : fd;
	if (fd >= 0 && first >= 0 && gbm_is_same_memory(fd, first)) {
		close(fd);
		return first;
	}
	if (first >= 0) {
		close(first);
	}
	return ret;
}

int gbm_planes_export(struct gbm_bo *bo, struct stile_image_info *info, struct stile_report *why) {
	int count = gbm_bo_get_plane_count(bo);
	if (count < 1 || count > STILE_MAX_PLANES) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_PLANE_COUNT, 0,
			STILE_MAX_PLANES, (uint64_t)count, "the gbm_bo has %d planes", count);
	}
	for (int i = 0; i < count; i++) {
		int fd = export_plane(bo, i);
		if (fd < 0) {
			return report_refuse(why, fd, STILE_REASON_DRIVER, (uint32_t)i, 0,
				(uint64_t)-fd, "plane %d: GBM gives no descriptor: %s", i,
				strerror(-fd));
		}
		info->planes[info->plane_count++] = (struct stile_image_plane){
			.fd = fd,
			.pitch = gbm_bo_get_stride_for_plane(bo, i),
			.offset = gbm_bo_get_offset(bo, i),
		};
	}
	return 0;
}

void gbm_planes_close(const struct stile_image_info *info) {
	for (uint32_t i = 0; i < info->plane_count; i++) {
		close(info->planes[i].fd);
	}
}
