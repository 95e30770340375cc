/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <xf86drm.h>

#include <stile/dmabuf.h>

#include "src/drm/drm.h"
#include "src/log.h"
#include "src/report.h"

void drm_log(const struct stile_drm *drm, enum stile_log_level level, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	log_print(drm->log, drm->log_user, level, fmt, args);
	va_end(args);
}

uint64_t drm_get_cap(int fd, uint64_t capability) {
	uint64_t value = 0;
	return drmGetCap(fd, capability, &value) == 0 ? value : 0;
}

/* As the kernel calls it: in a sandbox there may be no node of that name, to which libdrm's own way looks. */
int drm_get_node_type(int fd) {
	struct stat st;
	bool is_device = fstat(fd, &st) == 0 && S_ISCHR(st.st_mode);
	char *name = is_device ? drmGetDeviceNameFromFd2(fd) : NULL;
	int type = -1;
	if (name != NULL && strncmp(name, "/dev/dri/card", 13) == 0) {
		type = DRM_NODE_PRIMARY;
	} else if (name != NULL && strncmp(name, "/dev/dri/renderD", 16) == 0) {
		type = DRM_NODE_RENDER;
	}
	free(name);
	return type;
}

int drm_check_node(int fd, struct stile_report *why) {
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0) {
		return report_refuse(why, -EBADF, STILE_REASON_FD_CLOSED, 0, 0, 0,
			"descriptor %d is not open", fd);
	}
	if ((flags & O_PATH) != 0 || drm_get_node_type(fd) < 0) {
		return report_refuse(why, -ENODEV, STILE_REASON_FD_TYPE, 0, 0, 0,
			"descriptor %d is not a DRM node, such as /dev/dri/card0 or /dev/dri/renderD128",
			fd);
	}
	return 0;
}

/* ---- What comes from the kernel ----------------------------------------------------------- */

/* It only takes what others allocated. */
static int refuse_to_allocate(void *priv, uint64_t bytes, const char *name, int *fd) {
	(void)priv, (void)bytes, (void)name;
	*fd = -1;
	return -EOPNOTSUPP;
}

static int drm_open_importer(struct stile_drm *drm) {
	struct stile_dmabuf_allocator nothing = {
		.size = sizeof(nothing),
		.name = "drm",
		.allocate = refuse_to_allocate,
	};
	struct stile_device_info info = {
		.size = sizeof(info),
		.log = drm->log,
		.log_user = drm->log_user,
	};
	return stile_dmabuf_open(&nothing, &info, &drm->device);
}

/* ---- Its life ----------------------------------------------------------------------------- */

static int drm_init(struct stile_drm *drm, int fd, struct stile_report *why) {
	int ret = drm_check_node(fd, why);
	if (ret < 0) {
		return ret;
	}
	ret = drm_file_get(fd, &drm->file);
	if (ret == 0) {
		drm->fd = drm_file_get_fd(drm->file);
		ret = drm_open_importer(drm);
	}
	if (ret < 0) {
		return report_refuse(why, ret, STILE_REASON_RESOURCES, 0, 0, 0,
			"no descriptor, or no memory: %s", strerror(-ret));
	}
	return 0;
}

int stile_drm_create(
	const struct stile_drm_info *info, struct stile_report *report, struct stile_drm **out) {
	*out = NULL;
	struct stile_drm_info known;
	int ret = report_copy_in(report, &known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	struct stile_drm *drm = calloc(1, sizeof(*drm));
	if (drm == NULL) {
		ret = report_refuse(
			&why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
		report_give(report, &why);
		return ret;
	}
	drm->log = known.log;
	drm->log_user = known.log_user;
	drm->refs = 1;

	ret = drm_init(drm, known.fd, &why);
	if (ret < 0) {
		report_give(report, &why);
		drm_log(drm, STILE_LOG_ERROR, "DRM adapter: %s", why.text);
		drm_unref(drm);
		return ret;
	}
	*out = drm;
	return 0;
}

struct stile_drm *drm_ref(struct stile_drm *drm) {
	__atomic_fetch_add(&drm->refs, 1, __ATOMIC_RELAXED);
	return drm;
}

void drm_unref(struct stile_drm *drm) {
	if (__atomic_fetch_sub(&drm->refs, 1, __ATOMIC_ACQ_REL) != 1) {
		return;
	}
	stile_device_destroy(drm->device);
	drm_file_put(drm->file);
	free(drm);
}

void stile_drm_destroy(struct stile_drm *drm) {
	if (drm != NULL) {
		drm_unref(drm);
	}
}

int stile_drm_get_fd(const struct stile_drm *drm) {
	return drm->fd;
}
