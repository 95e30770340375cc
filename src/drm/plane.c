/* SPDX-License-Identifier: MIT */
/* What planes take: formats and modifiers from IN_FORMATS, extents. */
#include <errno.h>
#include <stdlib.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "src/abi.h"
#include "src/drm/kms.h"
#include "src/macros.h"

/* ---- Reading ----------------------------------------------------------------------------------- */

/* Those of one format, to `to` if it is not NULL. How many there are. */
static size_t get_modifiers(const drmModePropertyBlobRes *blob, uint32_t fourcc, uint64_t *to) {
	drmModeFormatModifierIterator at = { 0 };
	size_t count = 0;
	while (drmModeFormatModifierBlobIterNext(blob, &at)) {
		/* INVALID names no layout. */
		if (at.fmt == fourcc && at.mod != DRM_FORMAT_MOD_INVALID) {
			if (to != NULL) {
				to[count] = at.mod;
			}
			count++;
		}
	}
	return count;
}

static int read_modifiers(struct kms_plane *plane, const drmModePropertyBlobRes *blob) {
	size_t all = 0;
	for (size_t i = 0; i < plane->format_count; i++) {
		all += get_modifiers(blob, plane->formats[i].fourcc, NULL);
	}
	plane->modifiers = calloc(all + 1, sizeof(*plane->modifiers));
	if (plane->modifiers == NULL) {
		return -ENOMEM;
	}
	uint64_t *next = plane->modifiers;
	for (size_t i = 0; i < plane->format_count; i++) {
		struct stile_drm_plane_format *format = &plane->formats[i];
		format->modifiers = next;
		format->modifier_count = get_modifiers(blob, format->fourcc, next);
		next += format->modifier_count;
	}
	return 0;
}

static int read_formats(int fd, struct kms_plane *plane) {
	drmModePlanePtr found = drmModeGetPlane(fd, plane->id);
	if (found == NULL) {
		return -errno;
	}
	plane->formats = calloc((size_t)found->count_formats + 1, sizeof(*plane->formats));
	for (uint32_t i = 0; i < found->count_formats && plane->formats != NULL; i++) {
		plane->formats[plane->format_count++].fourcc = found->formats[i];
	}
	drmModeFreePlane(found);
	return plane->formats == NULL ? -ENOMEM : 0;
}

int kms_plane_read(struct kms_reader *reader, struct kms_plane *plane) {
	struct kms_property properties[] = {
		{ .name = "type" },
		{ .name = "FB_ID" },
		{ .name = "IN_FENCE_FD" },
		{ .name = "IN_FORMATS" },
	};
	int ret = read_formats(reader->fd, plane);
	if (ret == 0) {
		ret = kms_find_properties(reader, plane->id, DRM_MODE_OBJECT_PLANE, properties,
			ARRAY_LENGTH(properties));
	}
	if (ret < 0) {
		return ret;
	}
	plane->type = properties[0].value;
	plane->fb_property = properties[1].id;
	plane->in_fence_property = properties[2].id;
	if (properties[3].value == 0) {
		return 0;
	}
	drmModePropertyBlobPtr blob =
		drmModeGetPropertyBlob(reader->fd, (uint32_t)properties[3].value);
	if (blob == NULL) {
		return -errno;
	}
	ret = read_modifiers(plane, blob);
	drmModeFreePropertyBlob(blob);
	return ret;
}

void kms_plane_finish(struct kms_plane *plane) {
	free(plane->formats);
	free(plane->modifiers);
}

/* ---- Asking ------------------------------------------------------------------------------------ */

const struct stile_drm_plane_format *kms_plane_find_format(
	const struct kms_plane *plane, uint32_t fourcc) {
	size_t i = 0;
	while (i < plane->format_count && plane->formats[i].fourcc != fourcc) {
		i++;
	}
	return i < plane->format_count ? &plane->formats[i] : NULL;
}

bool kms_format_has_modifier(const struct stile_drm_plane_format *format, uint64_t modifier) {
	if (format->modifier_count == 0) {
		return modifier == DRM_FORMAT_MOD_LINEAR;
	}
	size_t i = 0;
	while (i < format->modifier_count && format->modifiers[i] != modifier) {
		i++;
	}
	return i < format->modifier_count;
}

const struct stile_drm_plane_format *stile_drm_plane_get_formats(
	const struct stile_drm_kms *kms, uint32_t plane_id, size_t *count) {
	const struct kms_plane *plane = kms_find_plane(kms, plane_id);
	*count = plane == NULL ? 0 : plane->format_count;
	return plane == NULL ? NULL : plane->formats;
}

bool stile_drm_plane_has_format(
	const struct stile_drm_kms *kms, uint32_t plane_id, uint32_t fourcc, uint64_t modifier) {
	const struct kms_plane *plane = kms_find_plane(kms, plane_id);
	const struct stile_drm_plane_format *format =
		plane == NULL ? NULL : kms_plane_find_format(plane, fourcc);
	return format != NULL && kms_format_has_modifier(format, modifier);
}

/* A cursor is as large as the capability says, unless the driver says nothing. */
static uint32_t limit_cursor(const struct stile_drm_kms *kms, uint64_t capability, uint32_t limit) {
	uint64_t cursor = drm_get_cap(kms->drm->fd, capability);
	return cursor != 0 && cursor < limit ? (uint32_t)cursor : limit;
}

struct stile_constraints kms_plane_get_needs(
	const struct stile_drm_kms *kms, const struct kms_plane *plane) {
	struct stile_constraints needs = {
		.size = sizeof(needs),
		.usage = STILE_USAGE_READ,
		.max_width = kms->max_width,
		.max_height = kms->max_height,
	};
	if (plane->type == DRM_PLANE_TYPE_CURSOR) {
		needs.max_width = limit_cursor(kms, DRM_CAP_CURSOR_WIDTH, needs.max_width);
		needs.max_height = limit_cursor(kms, DRM_CAP_CURSOR_HEIGHT, needs.max_height);
	}
	return needs;
}

int stile_drm_plane_get_constraints(const struct stile_drm_kms *kms, uint32_t plane_id,
	uint32_t fourcc, struct stile_constraints *constraints) {
	static const uint64_t linear = DRM_FORMAT_MOD_LINEAR;
	if (abi_check_out(constraints) < 0) {
		return -EINVAL;
	}
	const struct kms_plane *plane = kms_find_plane(kms, plane_id);
	if (plane == NULL) {
		return -ENOENT;
	}
	const struct stile_drm_plane_format *format = kms_plane_find_format(plane, fourcc);
	if (format == NULL) {
		return -EOPNOTSUPP;
	}
	bool named = format->modifier_count > 0;
	struct stile_constraints found = kms_plane_get_needs(kms, plane);
	found.modifiers = named ? format->modifiers : &linear;
	found.modifier_count = named ? format->modifier_count : 1;
	abi_copy_out(constraints, &found, sizeof(found));
	return 0;
}
