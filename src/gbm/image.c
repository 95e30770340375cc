/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "src/gbm/gbm.h"
#include "src/macros.h"
#include "src/modifier.h"
#include "src/os.h"
#include "src/report.h"

/* ---- A gbm_bo becomes an image ------------------------------------------------------------- */

/* Before fourccs GBM counted its formats, and takes those numbers still. */
static uint32_t normalise_format(uint32_t format) {
	switch (format) {
	case GBM_BO_FORMAT_XRGB8888:
		return GBM_FORMAT_XRGB8888;
	case GBM_BO_FORMAT_ARGB8888:
		return GBM_FORMAT_ARGB8888;
	default:
		return format;
	}
}

static int find_modifier(
	struct gbm_bo *bo, uint32_t flags, uint64_t *modifier, struct stile_report *why) {
	*modifier = gbm_bo_get_modifier(bo);
	if (flags & STILE_GBM_LINEAR) {
		if (*modifier == DRM_FORMAT_MOD_INVALID) {
			*modifier = DRM_FORMAT_MOD_LINEAR;
		}
		if (*modifier != DRM_FORMAT_MOD_LINEAR) {
			return report_refuse(why, -EINVAL, STILE_REASON_MODIFIER, 0,
				DRM_FORMAT_MOD_LINEAR, *modifier,
				"the gbm_bo is said to be linear, and its modifier is %s",
				modifier_describe(*modifier).text);
		}
	}
	if (*modifier == DRM_FORMAT_MOD_INVALID) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0, 0, *modifier,
			"the driver does not name the gbm_bo's modifier; if it was made with "
			"GBM_BO_USE_LINEAR, or with DRM_FORMAT_MOD_LINEAR alone, say "
			"STILE_GBM_LINEAR");
	}
	return 0;
}

static int describe_bo(struct gbm_bo *bo, uint32_t usage, uint32_t flags,
	struct stile_image_info *info, struct stile_report *why) {
	*info = (struct stile_image_info){
		.size = sizeof(*info),
		.width = gbm_bo_get_width(bo),
		.height = gbm_bo_get_height(bo),
		.fourcc = normalise_format(gbm_bo_get_format(bo)),
		.usage = usage,
		.name = "gbm_bo",
	};
	if (flags & ~(uint32_t)STILE_GBM_LINEAR) {
		return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0, STILE_GBM_LINEAR, flags,
			"flags 0x%x: none but STILE_GBM_LINEAR (1) is known", flags);
	}
	int ret = find_modifier(bo, flags, &info->modifier, why);
	return ret < 0 ? ret : gbm_planes_export(bo, info, why);
}

int stile_gbm_image_create(struct stile_device *device, struct gbm_bo *bo, uint32_t usage,
	uint32_t flags, struct stile_report *report, struct stile_image **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_image_info info;
	struct stile_report why;
	int ret = describe_bo(bo, usage, flags, &info, &why);
	if (ret < 0) {
		report_give(report, &why);
	} else {
		ret = stile_image_import(device, &info, report, out);
	}
	gbm_planes_close(&info);
	return ret;
}

/* ---- An image becomes a gbm_bo ------------------------------------------------------------- */

/* Would the driver take it? It is asked, not tried: of what does not fit drivers crash. */
static int check_image(struct gbm_device *gbm, const struct stile_image *image, uint32_t flags,
	struct stile_report *why) {
	const struct stile_image_info *info = stile_image_get_info(image);
	uint64_t modifier = info->modifier;
	size_t count = 1;
	struct stile_constraints limits = { .size = sizeof(limits) };
	*why = (struct stile_report){ .size = sizeof(*why) };
	int ret = stile_gbm_get_constraints(
		gbm, info->fourcc, flags, &modifier, &count, why, &limits);
	if (ret == 0) {
		ret = stile_image_check_constraints(image, &limits, why);
	}
	for (uint32_t i = 0; ret == 0 && i < info->plane_count; i++) {
		const struct stile_image_plane *plane = &info->planes[i];
		if (plane->pitch > INT_MAX || plane->offset > INT_MAX) {
			ret = report_refuse(why, -ERANGE, STILE_REASON_OFFSET, i, INT_MAX,
				plane->offset,
				"plane %u: offset %" PRIu64
				" or pitch %u does not fit in GBM's int",
				i, plane->offset, plane->pitch);
		}
	}
	return ret;
}

static int check_memory(const struct stile_image_info *info, struct stile_report *why) {
	for (uint32_t i = 0; i < info->plane_count; i++) {
		if (!os_is_dma_buf(info->planes[i].fd)) {
			return report_refuse(why, -EINVAL, STILE_REASON_FD_TYPE, i, 0, 0,
				"plane %u: the memory is no dma-buf, which is what DRM drivers "
				"take: allocate it by the backend dmabuf or udmabuf",
				i);
		}
	}
	return 0;
}

/* Drivers that know a handle already keep what they were told of it first. */
static int check_bo(
	struct gbm_bo *bo, const struct stile_image_info *info, struct stile_report *why) {
	uint64_t modifier = gbm_bo_get_modifier(bo);
	int count = gbm_bo_get_plane_count(bo);
	if (gbm_bo_get_width(bo) != info->width || gbm_bo_get_height(bo) != info->height ||
		normalise_format(gbm_bo_get_format(bo)) != info->fourcc ||
		count != (int)info->plane_count ||
		(modifier != info->modifier && modifier != DRM_FORMAT_MOD_INVALID)) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, modifier,
			"GBM made %u x %u pixels of 0x%08x, %d plane%s, modifier %s of the image",
			gbm_bo_get_width(bo), gbm_bo_get_height(bo), gbm_bo_get_format(bo), count,
			PLURAL(count), modifier_describe(modifier).text);
	}
	for (int i = 0; i < count; i++) {
		const struct stile_image_plane *plane = &info->planes[i];
		uint32_t pitch = gbm_bo_get_stride_for_plane(bo, i);
		uint32_t offset = gbm_bo_get_offset(bo, i);
		if (pitch != plane->pitch || offset != plane->offset) {
			return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, (uint32_t)i,
				plane->pitch, pitch,
				"plane %d: GBM made pitch %u and offset %u of pitch %u and offset "
				"%" PRIu64,
				i, pitch, offset, plane->pitch, plane->offset);
		}
	}
	return 0;
}

/* *out is valid on success only. */
static int import_bo(struct gbm_device *gbm, const struct stile_image_info *info, uint32_t flags,
	struct gbm_bo **out, struct stile_report *why) {
	struct gbm_import_fd_modifier_data data = {
		.width = info->width,
		.height = info->height,
		.format = info->fourcc,
		.num_fds = info->plane_count,
		.modifier = info->modifier,
	};
	for (uint32_t i = 0; i < info->plane_count; i++) {
		data.fds[i] = info->planes[i].fd;
		data.strides[i] = (int)info->planes[i].pitch;
		data.offsets[i] = (int)info->planes[i].offset;
	}
	errno = 0;
	struct gbm_bo *bo = gbm_bo_import(gbm, GBM_BO_IMPORT_FD_MODIFIER, &data, flags);
	if (bo == NULL) {
		return gbm_refuse(why, "gbm_bo_import", errno);
	}
	int ret = check_bo(bo, info, why);
	if (ret < 0) {
		gbm_bo_destroy(bo);
		return ret;
	}
	*out = bo;
	return 0;
}

int stile_gbm_bo_create(struct gbm_device *gbm, struct stile_image *image, uint32_t flags,
	struct stile_report *report, struct gbm_bo **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = check_image(gbm, image, flags, &why);
	if (ret < 0) {
		goto err;
	}
	struct stile_image_info info = { .size = sizeof(info) };
	ret = stile_image_export(image, &info);
	if (ret < 0) {
		report_refuse(&why, ret, STILE_REASON_RESOURCES, 0, 0, 0,
			"no descriptor for the driver: %s", strerror(-ret));
		goto err;
	}
	ret = check_memory(&info, &why);
	if (ret == 0) {
		ret = import_bo(gbm, &info, flags, out, &why);
	}
	/* GBM borrows descriptors: it has handles by now. */
	gbm_planes_close(&info);
	if (ret < 0) {
		goto err;
	}
	return 0;

err:
	report_give(report, &why);
	return ret;
}
