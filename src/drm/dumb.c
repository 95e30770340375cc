/* SPDX-License-Identifier: MIT */
/*
 * Dumb buffers as memory for images. Some drivers make them of 32 bits a pixel only, so all are of such:
 * as many as the bytes need. Rows begin where the caches of other drivers like it, and go on in groups of
 * four below the last one, since that is how those touch them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xf86drm.h>
#include <xf86drmMode.h>

#include <stile/dmabuf.h>

#include "src/drm/drm.h"
#include "src/format.h"
#include "src/log.h"
#include "src/os.h"
#include "src/report.h"

enum {
	PIXEL_BYTES = 4,
	PITCH_ALIGN = 64,
	ROW_GROUP = 4,
	/* Of memory that is no image: its width, in bytes. */
	ROW_BYTES = 4096,
};

/* What the device needs of the adapter, which may go before it. */
struct dumb {
	int fd;
	stile_log_fn log;
	void *log_user;
};

struct dumb_buffer {
	int fd; /* of its memory */
	uint32_t pitch;
	uint64_t bytes;
};

static void dumb_log(const struct dumb *dumb, const char *fmt, ...) STILE_PRINTF(2, 3);

static void dumb_log(const struct dumb *dumb, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	log_print(dumb->log, dumb->log_user, STILE_LOG_ERROR, fmt, args);
	va_end(args);
}

/* ---- One buffer --------------------------------------------------------------------------- */

static int dumb_refuse(const struct dumb *dumb, uint32_t width, uint32_t height, int error) {
	dumb_log(dumb, "a dumb buffer of %u x %u pixels of 32 bits: %s", width, height,
		strerror(-error));
	return error == -EINVAL ? -ERANGE : error;
}

/* The handle goes at once: the descriptor keeps the memory. */
static int dumb_create(
	const struct dumb *dumb, uint64_t row_bytes, uint64_t rows, struct dumb_buffer *out) {
	if (row_bytes > UINT32_MAX || rows > UINT32_MAX) {
		return -ERANGE;
	}
	uint32_t width = (uint32_t)row_bytes / PIXEL_BYTES, height = (uint32_t)rows, handle;
	int ret = drmModeCreateDumbBuffer(
		dumb->fd, width, height, 8 * PIXEL_BYTES, 0, &handle, &out->pitch, &out->bytes);
	if (ret < 0) {
		return dumb_refuse(dumb, width, height, ret);
	}
	ret = drmPrimeHandleToFD(dumb->fd, handle, DRM_CLOEXEC | DRM_RDWR, &out->fd) < 0 ? -errno
											 : 0;
	drmModeDestroyDumbBuffer(dumb->fd, handle);
	return ret < 0 ? dumb_refuse(dumb, width, height, ret) : 0;
}

static int dumb_allocate(void *priv, uint64_t bytes, const char *name, int *fd) {
	(void)name;
	*fd = -1;
	struct dumb_buffer made;
	int ret = dumb_create(priv, ROW_BYTES, (bytes + ROW_BYTES - 1) / ROW_BYTES, &made);
	if (ret == 0) {
		*fd = made.fd;
	}
	return ret;
}

/* ---- An image ----------------------------------------------------------------------------- */

/* The longest row of all planes, and the rows of all of them. */
static bool measure(const struct stile_image_info *info, uint64_t *row_bytes, uint64_t *rows) {
	const struct stile_format *format = stile_format_get(info->fourcc);
	*row_bytes = 0;
	*rows = 0;
	for (uint32_t i = 0; i < format->plane_count; i++) {
		uint64_t row = format_row_bytes(format, i, info->width);
		uint64_t high = format_plane_height(format, i, info->height);
		if (!format_align(row, PITCH_ALIGN, &row) ||
			!format_align(high, ROW_GROUP, &high)) {
			return false;
		}
		*row_bytes = row > *row_bytes ? row : *row_bytes;
		*rows += high;
	}
	return true;
}

/* Planes one below the other. */
static int place_planes(struct stile_image_info *info, const struct dumb_buffer *made) {
	const struct stile_format *format = stile_format_get(info->fourcc);
	uint64_t offset = 0;
	for (uint32_t i = 0; i < format->plane_count; i++) {
		int fd = i == 0 ? made->fd : os_dup(made->fd);
		if (fd < 0) {
			return fd;
		}
		info->planes[i] = (struct stile_image_plane){
			.fd = fd,
			.pitch = made->pitch,
			.offset = offset,
		};
		info->plane_count = i + 1;
		uint64_t rows = format_plane_height(format, i, info->height);
		offset += (rows + ROW_GROUP - 1) / ROW_GROUP * ROW_GROUP * made->pitch;
	}
	return 0;
}

static void drop_planes(struct stile_image_info *info) {
	for (uint32_t i = 0; i < info->plane_count; i++) {
		close(info->planes[i].fd);
	}
	info->plane_count = 0;
}

static int dumb_allocate_image(void *priv, struct stile_image_info *info) {
	uint64_t row_bytes, rows;
	if (!measure(info, &row_bytes, &rows)) {
		return -ERANGE;
	}
	struct dumb_buffer made;
	int ret = dumb_create(priv, row_bytes, rows, &made);
	if (ret < 0) {
		return ret;
	}
	if (made.pitch % PITCH_ALIGN != 0) {
		dumb_log(priv,
			"the driver's pitch of %u bytes is not a multiple of %d, as others need it",
			made.pitch, PITCH_ALIGN);
		close(made.fd);
		return -EOPNOTSUPP;
	}
	ret = place_planes(info, &made);
	if (ret < 0) {
		drop_planes(info);
	}
	return ret;
}

static void dumb_free(void *priv) {
	struct dumb *dumb = priv;
	close(dumb->fd);
	free(dumb);
}

/* ---- The device --------------------------------------------------------------------------- */

/* A driver without KMS, as vgem, is not asked for the capability: there it shows by trying. */
static bool has_dumb_buffers(int fd) {
	uint64_t has;
	if (drmGetCap(fd, DRM_CAP_DUMB_BUFFER, &has) == 0) {
		return has != 0;
	}
	uint32_t handle, pitch;
	uint64_t bytes;
	if (drmModeCreateDumbBuffer(fd, 1, 1, 8 * PIXEL_BYTES, 0, &handle, &pitch, &bytes) < 0) {
		return false;
	}
	drmModeDestroyDumbBuffer(fd, handle);
	return true;
}

static int check_driver(int fd, struct stile_report *why) {
	if (drm_get_node_type(fd) == DRM_NODE_RENDER) {
		char *primary = drmGetPrimaryDeviceNameFromFd(fd);
		report_refuse(why, -EACCES, STILE_REASON_FD_ACCESS, 0, 0, 0,
			"a render node makes no dumb buffers; the primary node is %s",
			primary == NULL ? "not there" : primary);
		free(primary);
		return -EACCES;
	}
	if (!has_dumb_buffers(fd)) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 1, 0,
			"the driver has no dumb buffers (DRM_CAP_DUMB_BUFFER is 0)");
	}
	uint64_t prime = drm_get_cap(fd, DRM_CAP_PRIME);
	if ((prime & DRM_PRIME_CAP_EXPORT) == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, DRM_PRIME_CAP_EXPORT,
			prime, "the driver does not export memory (DRM_CAP_PRIME is %u)",
			(unsigned)prime);
	}
	return 0;
}

static int dumb_open(const struct stile_drm *drm, const struct stile_device_info *info,
	struct dumb **out, struct stile_report *why) {
	*out = NULL;
	int ret = check_driver(drm->fd, why);
	if (ret < 0) {
		return ret;
	}
	struct dumb *dumb = calloc(1, sizeof(*dumb));
	if (dumb == NULL) {
		report_refuse(why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
		return -ENOMEM;
	}
	*dumb = (struct dumb){ .log = info->log, .log_user = info->log_user };
	dumb->fd = os_dup(drm->fd);
	if (dumb->fd < 0) {
		ret = dumb->fd;
		free(dumb);
		report_refuse(why, ret, STILE_REASON_RESOURCES, 0, 0, 0, "no descriptor left");
		return ret;
	}
	*out = dumb;
	return 0;
}

static int open_device(const struct stile_drm *drm, const struct stile_device_info *info,
	struct stile_report *why, struct stile_device **out) {
	struct dumb *dumb;
	int ret = dumb_open(drm, info, &dumb, why);
	if (ret < 0) {
		return ret;
	}
	struct stile_dmabuf_allocator allocator = {
		.size = sizeof(allocator),
		.name = "drm",
		.priv = dumb,
		.allocate = dumb_allocate,
		.allocate_image = dumb_allocate_image,
		.release = dumb_free,
	};
	ret = stile_dmabuf_open(&allocator, info, out);
	if (ret < 0) {
		dumb_free(dumb);
		bool resources = ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE;
		return report_refuse(why, ret,
			resources ? STILE_REASON_RESOURCES : STILE_REASON_CALLER, 0, 0, 0,
			"the device was not opened: %s", strerror(-ret));
	}
	return 0;
}

int stile_drm_open_device(struct stile_drm *drm, const struct stile_device_info *info,
	struct stile_report *report, struct stile_device **out) {
	*out = NULL;
	struct stile_device_info known = { .size = sizeof(known) };
	int ret = info == NULL ? report_begin(report)
			       : report_copy_in(report, &known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	ret = open_device(drm, &known, &why, out);
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}
