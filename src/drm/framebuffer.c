/* SPDX-License-Identifier: MIT */
/* An image becomes what KMS can show. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xf86drmMode.h>

#include "src/drm/kms.h"
#include "src/macros.h"
#include "src/modifier.h"
#include "src/report.h"

/* ---- Would anything show it? ------------------------------------------------------------------- */

static int check_extent(const struct stile_drm_kms *kms, const struct stile_image_info *info,
	struct stile_report *why) {
	if (info->width >= kms->min_width && info->width <= kms->max_width &&
		info->height >= kms->min_height && info->height <= kms->max_height) {
		return 0;
	}
	return report_refuse(why, -ERANGE, STILE_REASON_EXTENT, 0, kms->max_width, info->width,
		"%u x %u pixels: the device shows %u x %u to %u x %u", info->width, info->height,
		kms->min_width, kms->min_height, kms->max_width, kms->max_height);
}

static bool writes_back(const struct kms_writeback *writeback, uint32_t fourcc) {
	size_t i = 0;
	while (i < writeback->format_count && writeback->formats[i] != fourcc) {
		i++;
	}
	return writeback->format_count == 0 || i < writeback->format_count;
}

/* Is there a plane, or a connector for writeback, for this? *format: at least for the format? */
static bool is_taken(
	const struct stile_drm_kms *kms, const struct stile_image_info *info, bool *format) {
	bool modifier = false;
	*format = false;
	for (size_t i = 0; i < kms->plane_count; i++) {
		const struct stile_drm_plane_format *found =
			kms_plane_find_format(&kms->planes[i], info->fourcc);
		*format |= found != NULL;
		modifier |= found != NULL && kms_format_has_modifier(found, info->modifier);
	}
	for (size_t i = 0; i < kms->writeback_count; i++) {
		bool found = writes_back(&kms->writebacks[i], info->fourcc);
		*format |= found;
		modifier |= found && info->modifier == DRM_FORMAT_MOD_LINEAR;
	}
	return modifier;
}

static int check_layout(const struct stile_drm_kms *kms, const struct stile_image_info *info,
	struct stile_report *why) {
	const char *name = stile_format_get(info->fourcc)->name;
	if (!kms->has_modifiers && info->modifier != DRM_FORMAT_MOD_LINEAR) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0,
			DRM_FORMAT_MOD_LINEAR, info->modifier,
			"the driver cannot be told modifier %s (no DRM_CAP_ADDFB2_MODIFIERS): only "
			"LINEAR is safe without",
			modifier_describe(info->modifier).text);
	}
	bool format;
	if (!kms->has_primary_plane || is_taken(kms, info, &format)) {
		return 0;
	}
	if (!format) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, info->fourcc,
			"no plane of the device takes %s", name);
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0, 0, info->modifier,
		"no plane of the device takes modifier %s for %s",
		modifier_describe(info->modifier).text, name);
}

/* KMS takes offsets of 32 bits: what does not fit would be cut, and mean other memory. */
static int check_offsets(const struct stile_image_info *info, struct stile_report *why) {
	for (uint32_t i = 0; i < info->plane_count; i++) {
		if (info->planes[i].offset > UINT32_MAX) {
			return report_refuse(why, -ERANGE, STILE_REASON_OFFSET, i, UINT32_MAX,
				info->planes[i].offset,
				"plane %u: offset %" PRIu64 " does not fit in KMS's 32 bits", i,
				info->planes[i].offset);
		}
	}
	return 0;
}

static int check_image(const struct stile_drm_kms *kms, const struct stile_image_info *info,
	struct stile_report *why) {
	int ret = check_extent(kms, info, why);
	if (ret == 0) {
		ret = check_layout(kms, info, why);
	}
	return ret == 0 ? check_offsets(info, why) : ret;
}

/* ---- Making one -------------------------------------------------------------------------------- */

static int refuse_layout(const struct stile_image_info *info, int error, struct stile_report *why) {
	return report_refuse(why, error,
		error == -ENOMEM ? STILE_REASON_RESOURCES : STILE_REASON_DRIVER, 0, 0,
		info->planes[0].pitch,
		"drmModeAddFB2 of %u x %u %s, modifier %s, %u plane%s, the first with pitch %u and "
		"offset %" PRIu64 ": %s",
		info->width, info->height, stile_format_get(info->fourcc)->name,
		modifier_describe(info->modifier).text, info->plane_count,
		PLURAL(info->plane_count), info->planes[0].pitch, info->planes[0].offset,
		strerror(-error));
}

static int add_framebuffer(const struct stile_drm_kms *kms, const struct stile_image_info *info,
	const uint32_t handles[STILE_MAX_PLANES], uint32_t *id, struct stile_report *why) {
	uint32_t pitches[STILE_MAX_PLANES] = { 0 }, offsets[STILE_MAX_PLANES] = { 0 };
	uint64_t modifiers[STILE_MAX_PLANES] = { 0 };
	for (uint32_t i = 0; i < info->plane_count; i++) {
		pitches[i] = info->planes[i].pitch;
		offsets[i] = (uint32_t)info->planes[i].offset;
		modifiers[i] = info->modifier;
	}
	int ret = kms->has_modifiers
		? drmModeAddFB2WithModifiers(kms->drm->fd, info->width, info->height, info->fourcc,
			  handles, pitches, offsets, modifiers, id, DRM_MODE_FB_MODIFIERS)
		: drmModeAddFB2(kms->drm->fd, info->width, info->height, info->fourcc, handles,
			  pitches, offsets, id, 0);
	return ret < 0 ? refuse_layout(info, ret, why) : 0;
}

/* What it shows stays alive by the framebuffer, not by the handles. */
static int framebuffer_init(struct stile_drm_framebuffer *self, struct stile_report *why) {
	struct stile_drm_kms *kms = self->kms;
	const struct stile_image_info *info = stile_image_get_info(self->image);
	uint32_t handles[STILE_MAX_PLANES] = { 0 }, count = 0;
	int ret = check_image(kms, info, why);
	while (ret == 0 && count < info->plane_count) {
		*why = (struct stile_report){ .size = sizeof(*why) };
		ret = stile_drm_get_handle(
			kms->drm, stile_image_get_buffer(self->image, count), why, &handles[count]);
		if (ret < 0) {
			why->plane = count;
		} else {
			count++;
		}
	}
	if (ret == 0) {
		ret = add_framebuffer(kms, info, handles, &self->id, why);
	}
	while (count > 0) {
		stile_drm_put_handle(kms->drm, handles[--count]);
	}
	return ret;
}

int stile_drm_framebuffer_create(struct stile_drm_kms *kms, struct stile_image *image,
	struct stile_report *report, struct stile_drm_framebuffer **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_drm_framebuffer *self = calloc(1, sizeof(*self));
	struct stile_report why;
	if (self == NULL) {
		int ret = report_refuse(
			&why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
		report_give(report, &why);
		return ret;
	}
	self->kms = kms;
	self->image = stile_image_ref(image);

	int ret = framebuffer_init(self, &why);
	if (ret < 0) {
		const char *name = stile_image_get_info(image)->name;
		report_give(report, &why);
		drm_log(kms->drm, STILE_LOG_ERROR, "framebuffer of image '%s': %s",
			name == NULL ? "" : name, why.text);
		stile_image_unref(image);
		free(self);
		return ret;
	}
	*out = self;
	return 0;
}

void stile_drm_framebuffer_destroy(struct stile_drm_framebuffer *framebuffer) {
	if (framebuffer == NULL) {
		return;
	}
	drmModeRmFB(framebuffer->kms->drm->fd, framebuffer->id);
	stile_image_unref(framebuffer->image);
	free(framebuffer);
}

uint32_t stile_drm_framebuffer_get_id(const struct stile_drm_framebuffer *framebuffer) {
	return framebuffer->id;
}
