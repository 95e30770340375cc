/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <xf86drm.h>

#include "src/drm/drm.h"
#include "src/os.h"
#include "src/report.h"

static int refuse_fd(struct stile_report *why, int error) {
	return report_refuse(why, error,
		error == -EACCES ? STILE_REASON_FD_ACCESS : STILE_REASON_RESOURCES, 0, 0, 0,
		"no descriptor of the buffer: %s", strerror(-error));
}

/* A driver's refusal, in words. */
static int refuse_driver(struct stile_report *why, const char *what, int error) {
	const char *hint = "";
	if (error == -ENODEV) {
		hint = ": the driver takes no memory of others";
	} else if (error == -EACCES) {
		hint = ": this descriptor of the node has no right to it";
	}
	enum stile_reason reason = error == -ENOMEM || error == -EMFILE || error == -ENFILE
		? STILE_REASON_RESOURCES
		: STILE_REASON_DRIVER;
	return report_refuse(why, error, reason, 0, 0, 0, "%s: %s%s", what, strerror(-error), hint);
}

static int check_prime(
	const struct stile_drm *drm, uint64_t needed, const char *what, struct stile_report *why) {
	uint64_t prime = drm_get_cap(drm->fd, DRM_CAP_PRIME);
	if ((prime & needed) != 0) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, needed, prime,
		"the driver does not %s memory (DRM_CAP_PRIME is %u)", what, (unsigned)prime);
}

/* ---- A handle of a buffer ----------------------------------------------------------------- */

static int import_fd(struct stile_drm *drm, int fd, uint32_t *handle, struct stile_report *why) {
	if (!os_is_dma_buf(fd)) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FD_TYPE, 0, 0, 0,
			"the buffer is not a dma-buf, which is all that the kernel's drivers take: its "
			"backend has other memory");
	}
	int ret = drm_file_import(drm->file, fd, handle);
	return ret < 0 ? refuse_driver(why, "DRM_IOCTL_PRIME_FD_TO_HANDLE", ret) : 0;
}

static int get_handle(struct stile_drm *drm, struct stile_buffer *buffer, uint32_t *handle,
	struct stile_report *why) {
	int ret = check_prime(drm, DRM_PRIME_CAP_IMPORT, "import", why);
	if (ret < 0) {
		return ret;
	}
	/* The kernel does not look at the descriptor's rights. */
	int fd;
	ret = stile_buffer_export_fd(buffer, STILE_USAGE_READ, &fd);
	if (ret < 0) {
		return refuse_fd(why, ret);
	}
	ret = import_fd(drm, fd, handle, why);
	close(fd);
	return ret;
}

int stile_drm_get_handle(struct stile_drm *drm, struct stile_buffer *buffer,
	struct stile_report *report, uint32_t *handle) {
	*handle = 0;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = get_handle(drm, buffer, handle, &why);
	if (ret < 0) {
		*handle = 0;
		report_give(report, &why);
	}
	return ret;
}

void stile_drm_put_handle(struct stile_drm *drm, uint32_t handle) {
	drm_file_release(drm->file, handle);
}

/* ---- A buffer of a handle ----------------------------------------------------------------- */

static int import_buffer(struct stile_drm *drm, uint32_t handle, int fd, uint32_t usage,
	struct stile_report *why, struct stile_buffer **out) {
	int ret = drm_file_set_foreign(drm->file, fd, handle);
	if (ret < 0) {
		return report_refuse(why, ret, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	*why = (struct stile_report){ .size = sizeof(*why) };
	return stile_buffer_import_fd(drm->device, fd, usage, why, out);
}

static int export_handle(struct stile_drm *drm, uint32_t handle, uint32_t usage,
	struct stile_report *why, struct stile_buffer **out) {
	int ret = check_prime(drm, DRM_PRIME_CAP_EXPORT, "export", why);
	if (ret < 0) {
		return ret;
	}
	/* With all rights: later exports of the same memory have those of the first. */
	int fd;
	if (drmPrimeHandleToFD(drm->fd, handle, DRM_CLOEXEC | DRM_RDWR, &fd) < 0) {
		return refuse_driver(why, "DRM_IOCTL_PRIME_HANDLE_TO_FD", -errno);
	}
	ret = import_buffer(drm, handle, fd, usage, why, out);
	close(fd);
	return ret;
}

int stile_drm_export_handle(struct stile_drm *drm, uint32_t handle, uint32_t usage,
	struct stile_report *report, struct stile_buffer **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = export_handle(drm, handle, usage, &why, out);
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}
