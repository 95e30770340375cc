/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/dma-buf.h>

#include <stile/dmabuf.h>

#include "src/format.h"
#include "src/gbm/gbm.h"
#include "src/log.h"
#include "src/macros.h"
#include "src/modifier.h"
#include "src/os.h"
#include "src/report.h"

/* No driver's images are larger, and numbers of memory as an image stay small. */
enum { MAX_EXTENT = 16384 };

/* What images that Stile lays out look like: SOFTWARE_DRIVERS, and what imports them takes as well. */
static const struct format_rules rules = {
	.pitch_align = 64,
	.offset_align = 64,
	.row_group = 4,
	.height_align = 1,
};

struct allocator {
	struct gbm_device *gbm;
	uint32_t flags;
	stile_log_fn log;
	void *log_user;
	pthread_mutex_t lock; /* around all calls of GBM */
};

STILE_PRINTF(2, 3)
static void tell(const struct allocator *self, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	log_print(self->log, self->log_user, STILE_LOG_ERROR, fmt, args);
	va_end(args);
}

/* ---- One gbm_bo ---------------------------------------------------------------------------- */

/* In that layout, and no other: by its modifier, or, if it is linear, as before there were any. */
static struct gbm_bo *create_bo(const struct allocator *self, const struct stile_image_info *info) {
	struct gbm_bo *bo = gbm_bo_create_with_modifiers2(self->gbm, info->width, info->height,
		info->fourcc, &info->modifier, 1, self->flags);
	if (bo == NULL && info->modifier == DRM_FORMAT_MOD_LINEAR) {
		errno = 0;
		bo = gbm_bo_create(self->gbm, info->width, info->height, info->fourcc,
			self->flags | GBM_BO_USE_LINEAR);
	}
	return bo;
}

/* The driver may not name the modifier, since only one was asked for; another one would be wrong. */
static int check_bo(
	struct gbm_bo *bo, const struct stile_image_info *info, struct stile_report *why) {
	uint64_t modifier = gbm_bo_get_modifier(bo);
	int planes = gbm_bo_get_plane_count(bo);
	if ((modifier == info->modifier || modifier == DRM_FORMAT_MOD_INVALID) &&
		(planes == 1 || info->modifier != DRM_FORMAT_MOD_LINEAR)) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, info->modifier, modifier,
		"GBM made %d plane%s of modifier %s where %s was asked for", planes, PLURAL(planes),
		modifier_describe(modifier).text,
		info->modifier == DRM_FORMAT_MOD_LINEAR ? "one that is linear"
							: modifier_describe(info->modifier).text);
}

/* On success info has planes, whose descriptors are the caller's, and keep the memory. */
static int make_planes(
	struct allocator *self, struct stile_image_info *info, struct stile_report *why) {
	pthread_mutex_lock(&self->lock);
	errno = 0;
	struct gbm_bo *bo = create_bo(self, info);
	int ret = bo == NULL ? gbm_refuse(why, "gbm_bo_create", errno) : check_bo(bo, info, why);
	if (ret == 0) {
		ret = gbm_planes_export(bo, info, why);
	}
	if (bo != NULL) {
		gbm_bo_destroy(bo);
	}
	pthread_mutex_unlock(&self->lock);
	if (ret < 0) {
		gbm_planes_close(info);
		info->plane_count = 0;
	}
	return ret;
}

/* ---- Clearing ------------------------------------------------------------------------------ */

static int sync_memory(int fd, uint64_t flags) {
	struct dma_buf_sync sync = { .flags = flags | DMA_BUF_SYNC_WRITE };
	int ret;
	do {
		ret = ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	return ret < 0 ? -errno : 0;
}

static int fill_zero(int fd, size_t bytes) {
	void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (address == MAP_FAILED) {
		return -errno;
	}
	int ret = sync_memory(fd, DMA_BUF_SYNC_START);
	if (ret == 0) {
		memset(address, 0, bytes);
		ret = sync_memory(fd, DMA_BUF_SYNC_END);
	}
	munmap(address, bytes);
	return ret;
}

/* GBM promises nothing: drivers take memory from caches of their own. *bytes: how much there is. */
static int clear(int fd, uint64_t *bytes, struct stile_report *why) {
	int64_t size = os_seek_bytes(fd);
	int ret = size <= 0 ? -EOPNOTSUPP : fill_zero(fd, (size_t)size);
	if (ret < 0) {
		return report_refuse(why, gbm_errno(-ret), STILE_REASON_DRIVER, 0, 0,
			(uint64_t)-ret, "memory of GBM cannot be cleared by the CPU: %s",
			strerror(-ret));
	}
	*bytes = (uint64_t)size;
	return 0;
}

/* ---- Memory without a meaning -------------------------------------------------------------- */

/* As an image of the format that every driver has, for want of anything else in GBM. */
static int make_memory(struct allocator *self, uint64_t bytes, int *fd, struct stile_report *why) {
	enum { PIXEL = 4 };
	/* Drivers add rows up to a multiple: in narrow images these are not much. */
	uint32_t width = 64;
	uint64_t row = (uint64_t)width * PIXEL;
	while (width < MAX_EXTENT && bytes / row >= 1024) {
		width *= 2;
		row *= 2;
	}
	uint64_t rows = bytes / row + (bytes % row != 0);
	if (rows > MAX_EXTENT) {
		return report_refuse(why, -ERANGE, STILE_REASON_BOUNDS, 0,
			(uint64_t)MAX_EXTENT * row, bytes,
			"%" PRIu64 " bytes are more than an image of GBM has", bytes);
	}
	struct stile_image_info rectangle = {
		.width = width,
		.height = (uint32_t)rows,
		.fourcc = GBM_FORMAT_XRGB8888,
		.modifier = DRM_FORMAT_MOD_LINEAR,
	};
	uint64_t made = 0;
	int ret = make_planes(self, &rectangle, why);
	if (ret < 0) {
		return ret;
	}
	*fd = rectangle.planes[0].fd;
	ret = clear(*fd, &made, why);
	if (ret == 0 && made < bytes) {
		ret = report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, bytes, made,
			"GBM made %" PRIu64 " bytes of %" PRIu64, made, bytes);
	}
	if (ret < 0) {
		close(*fd);
	}
	return ret;
}

static int allocate(void *priv, uint64_t bytes, const char *name, int *fd) {
	struct allocator *self = priv;
	struct stile_report why;
	int ret = make_memory(self, bytes, fd, &why);
	if (ret < 0) {
		tell(self, "GBM (%s): %" PRIu64 " bytes for '%s': %s",
			gbm_device_get_backend_name(self->gbm), bytes, name == NULL ? "" : name,
			why.text);
	}
	return ret;
}

/* ---- Images -------------------------------------------------------------------------------- */

/* Is what the driver made as importers need it? */
static bool suits(const struct stile_image_info *info, uint64_t bytes) {
	const struct stile_format *format = stile_format_get(info->fourcc);
	const struct stile_image_plane *plane = &info->planes[0];
	uint64_t end;
	return plane->pitch >= format_row_bytes(format, 0, info->width) &&
		plane->pitch % rules.pitch_align == 0 && plane->offset % rules.offset_align == 0 &&
		format_rows_end(plane->offset, plane->pitch, info->height, rules.row_group, &end) &&
		end <= bytes;
}

/* Linear, as the driver lays it out. -EOPNOTSUPP: it does not, or not so that others can use it. */
static int make_linear(
	struct allocator *self, struct stile_image_info *info, struct stile_report *why) {
	if (stile_format_get(info->fourcc)->plane_count != 1) {
		return -EOPNOTSUPP;
	}
	int ret = make_planes(self, info, why);
	if (ret < 0) {
		return ret;
	}
	uint64_t bytes = 0;
	ret = clear(info->planes[0].fd, &bytes, why);
	if (ret == 0 && !suits(info, bytes)) {
		ret = -EOPNOTSUPP;
	}
	if (ret < 0) {
		gbm_planes_close(info);
	}
	return ret;
}

/* In one piece of the driver's memory. */
static int lay_image_out(
	struct allocator *self, struct stile_image_info *info, struct stile_report *why) {
	uint64_t bytes;
	if (!format_layout(stile_format_get(info->fourcc), NULL, &rules, info, &bytes)) {
		return report_refuse(why, -ERANGE, STILE_REASON_EXTENT, 0, 0, info->width,
			"%u x %u pixels do not fit in 64 bits", info->width, info->height);
	}
	int ret = make_memory(self, bytes, &info->planes[0].fd, why);
	for (uint32_t i = 1; ret == 0 && i < info->plane_count; i++) {
		info->planes[i].fd = os_dup(info->planes[0].fd);
		if (info->planes[i].fd < 0) {
			ret = report_refuse(why, info->planes[i].fd, STILE_REASON_RESOURCES, i, 0,
				0, "no descriptor: %s", strerror(-info->planes[i].fd));
			while (i > 0) {
				close(info->planes[--i].fd);
			}
			break;
		}
	}
	return ret;
}

/* Memory that the CPU does not reach is as the driver gives it. */
static void try_to_clear(const struct stile_image_info *info) {
	const struct stile_image_plane *planes = info->planes;
	struct stile_report why;
	uint64_t bytes;
	for (uint32_t i = 0; i < info->plane_count; i++) {
		if (i == 0 || !gbm_is_same_memory(planes[i - 1].fd, planes[i].fd)) {
			(void)clear(planes[i].fd, &bytes, &why);
		}
	}
}

/* In a layout that only the driver knows. */
static int make_other(
	struct allocator *self, struct stile_image_info *info, struct stile_report *why) {
	int ret = make_planes(self, info, why);
	if (ret == 0) {
		try_to_clear(info);
	}
	return ret;
}

static int make_image(
	struct allocator *self, struct stile_image_info *info, struct stile_report *why) {
	if (info->modifier != DRM_FORMAT_MOD_LINEAR) {
		return make_other(self, info, why);
	}
	const struct stile_image_info wanted = *info;
	int ret = make_linear(self, info, why);
	if (ret == -EOPNOTSUPP) {
		*info = wanted;
		ret = lay_image_out(self, info, why);
	}
	return ret;
}

static int allocate_image(void *priv, struct stile_image_info *info) {
	struct allocator *self = priv;
	struct stile_image_info made = *info;
	struct stile_report why;
	int ret = make_image(self, &made, &why);
	if (ret < 0) {
		tell(self, "GBM (%s): image '%s' of %u x %u pixels: %s",
			gbm_device_get_backend_name(self->gbm),
			info->name == NULL ? "" : info->name, info->width, info->height, why.text);
		return ret;
	}
	*info = made;
	return 0;
}

/* GBM has no list, but an answer for each. */
static bool takes_layout(void *priv, uint32_t fourcc, uint64_t modifier) {
	struct allocator *self = priv;
	pthread_mutex_lock(&self->lock);
	bool taken = gbm_takes_modifier(self->gbm, fourcc, self->flags, modifier);
	pthread_mutex_unlock(&self->lock);
	return taken;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void release(void *priv) {
	struct allocator *self = priv;
	pthread_mutex_destroy(&self->lock);
	free(self);
}

static int open_with(struct allocator *self, const struct stile_device_info *info,
	struct stile_report *why, struct stile_device **out) {
	static const uint64_t linear = DRM_FORMAT_MOD_LINEAR;
	const struct stile_dmabuf_allocator table = {
		.size = sizeof(table),
		.name = gbm_device_get_backend_name(self->gbm),
		.priv = self,
		.allocate = allocate,
		.allocate_image = allocate_image,
		.release = release,
		.modifiers = &linear,
		.modifier_count = 1,
		.max_width = MAX_EXTENT,
		.max_height = MAX_EXTENT,
		.takes_layout = takes_layout,
	};
	/* A device that cannot allocate is none: it is better told now. */
	int fd;
	int ret = make_memory(self, os_page_size(), &fd, why);
	if (ret < 0) {
		return ret;
	}
	close(fd);
	ret = stile_dmabuf_open(&table, info, out);
	return ret == 0 ? 0
			: report_refuse(why, ret,
				  ret == -EINVAL ? STILE_REASON_CALLER : STILE_REASON_RESOURCES, 0,
				  0, 0, "no device of the backend dmabuf: %s", strerror(-ret));
}

int stile_gbm_open_device(struct gbm_device *gbm, uint32_t flags,
	const struct stile_device_info *info, struct stile_report *report,
	struct stile_device **out) {
	*out = NULL;
	static const struct stile_device_info defaults = { .size = sizeof(defaults) };
	struct stile_device_info known;
	int ret = report_copy_in(report, &known, sizeof(known), info == NULL ? &defaults : info);
	if (ret < 0) {
		return ret;
	}
	struct allocator *self = calloc(1, sizeof(*self));
	struct stile_report why;
	if (self == NULL) {
		ret = report_refuse(
			&why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
		report_give(report, &why);
		return ret;
	}
	self->gbm = gbm;
	self->flags = flags;
	self->log = known.log;
	self->log_user = known.log_user;
	pthread_mutex_init(&self->lock, NULL);
	ret = open_with(self, &known, &why, out);
	if (ret < 0) {
		report_give(report, &why);
		tell(self, "GBM (%s): %s", gbm_device_get_backend_name(gbm), why.text);
		release(self);
	}
	return ret;
}
