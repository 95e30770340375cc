/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/egl/egl.h"
#include "src/macros.h"
#include "src/modifier.h"
#include "src/report.h"

struct stile_egl_image {
	struct import_entry entry; /* the first member */
	struct stile_egl *egl;     /* outlives it */
	EGLImage handle;
};

static_assert(offsetof(struct stile_egl_image, entry) == 0, "as the cache has it");

static struct stile_egl_image *image_of_entry(struct import_entry *entry) {
	return (struct stile_egl_image *)(void *)entry;
}

/* EGL names the attributes of each plane apart. */
static const struct {
	EGLAttrib fd, offset, pitch, modifier_low, modifier_high;
} plane_attributes[STILE_MAX_PLANES] = {
#define PLANE(n) \
	{ \
		EGL_DMA_BUF_PLANE##n##_FD_EXT, EGL_DMA_BUF_PLANE##n##_OFFSET_EXT, \
			EGL_DMA_BUF_PLANE##n##_PITCH_EXT, EGL_DMA_BUF_PLANE##n##_MODIFIER_LO_EXT, \
			EGL_DMA_BUF_PLANE##n##_MODIFIER_HI_EXT \
	}
	PLANE(0),
	PLANE(1),
	PLANE(2),
	PLANE(3),
#undef PLANE
};

/* What EGL calls colours; 0: what is not said, is not said to it either. */
static const EGLAttrib range_hints[] = { 0, EGL_YUV_NARROW_RANGE_EXT, EGL_YUV_FULL_RANGE_EXT };
static const EGLAttrib siting_hints[] = { 0, EGL_YUV_CHROMA_SITING_0_EXT,
	EGL_YUV_CHROMA_SITING_0_5_EXT };

/* False: EGL has no name for it. */
static bool find_space_hint(uint32_t matrix, EGLAttrib *hint) {
	switch (matrix) {
	case STILE_MATRIX_IDENTITY:
	case STILE_MATRIX_NOT_SAID:
		*hint = 0;
		return true;
	case STILE_MATRIX_BT709:
		*hint = EGL_ITU_REC709_EXT;
		return true;
	case STILE_MATRIX_BT470BG:
	case STILE_MATRIX_BT601:
		*hint = EGL_ITU_REC601_EXT;
		return true;
	case STILE_MATRIX_BT2020:
		*hint = EGL_ITU_REC2020_EXT;
		return true;
	default:
		return false;
	}
}

/* ---- Would the display take it? ----------------------------------------------------------- */

static int refuse_for_memory(struct stile_report *why) {
	return report_refuse(why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
}

static int check_modifier(
	struct stile_egl *egl, const struct stile_image_info *info, struct stile_report *why) {
	uint32_t count;
	bool found;
	if (egl_find_modifier(egl, info->fourcc, info->modifier, &count, &found) < 0) {
		return refuse_for_memory(why);
	}
	/* A display that lists no modifiers takes the one layout that needs no name. */
	if (found || (count == 0 && info->modifier == DRM_FORMAT_MOD_LINEAR)) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0, 0, info->modifier,
		"the display does not take modifier %s for %s; it lists %u other%s",
		modifier_describe(info->modifier).text, stile_format_get(info->fourcc)->name, count,
		PLURAL(count));
}

/* EGL takes offsets and pitches as int: what does not fit would be cut, and mean other memory. */
static int check_range(const struct stile_image_info *info, struct stile_report *why) {
	for (uint32_t i = 0; i < info->plane_count; i++) {
		if (info->planes[i].offset > INT32_MAX || info->planes[i].pitch > INT32_MAX) {
			return report_refuse(why, -ERANGE, STILE_REASON_OFFSET, i, INT32_MAX,
				info->planes[i].offset,
				"plane %u: offset %" PRIu64
				" or pitch %u does not fit in EGL's int",
				i, info->planes[i].offset, info->planes[i].pitch);
		}
	}
	return 0;
}

/* Wrong colours are worse than none. Of RGB the numbers are shown as they are, whatever they mean. */
static int check_colour(const struct stile_image_info *info, struct stile_report *why) {
	EGLAttrib hint;
	if (find_space_hint(info->colour.matrix, &hint)) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_COLOUR, 0, 0, info->colour.matrix,
		"EGL cannot say the matrix of this %s (%u of H.273): it has BT.601 (5, 6), BT.709 "
		"(1) and BT.2020 (9)",
		stile_format_get(info->fourcc)->name, info->colour.matrix);
}

/* With a read-only descriptor drivers do not fail: they crash when they draw. */
const struct stile_constraints egl_limits = {
	.size = sizeof(egl_limits),
	.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
	.pitch_align = 16,
	.offset_align = 16,
};

static int check_display(
	struct stile_egl *egl, struct stile_image *image, struct stile_report *why) {
	const struct stile_image_info *info = stile_image_get_info(image);
	*why = (struct stile_report){ .size = sizeof(*why) };
	bool found;
	int ret = egl_need_dma_buf(egl, why);
	if (ret == 0) {
		ret = stile_image_check_constraints(image, &egl_limits, why);
	}
	if (ret == 0) {
		ret = check_range(info, why);
	}
	if (ret < 0) {
		return ret;
	}
	if (egl_find_format(egl, info->fourcc, &found) < 0) {
		return refuse_for_memory(why);
	}
	if (!found) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, info->fourcc,
			"the display does not take %s", stile_format_get(info->fourcc)->name);
	}
	ret = check_modifier(egl, info, why);
	return ret < 0 ? ret : check_colour(info, why);
}

/* What was found before was found for who may write: another descriptor of the memory may allow less. */
static bool may_be_written(const struct stile_image *image) {
	return (stile_image_get_usage(image) & STILE_USAGE_WRITE) != 0;
}

/* ---- Making one --------------------------------------------------------------------------- */

enum { MAX_ATTRIBUTES = 2 * (3 + 5 * STILE_MAX_PLANES + 4) + 1 };

/* Of YUV only. Where the attributes go on. */
static EGLAttrib *fill_hints(const struct stile_image_info *info, EGLAttrib *at) {
	const struct stile_colour *colour = &info->colour;
	EGLAttrib space = 0;
	if (!stile_format_get(info->fourcc)->is_yuv || !find_space_hint(colour->matrix, &space)) {
		return at;
	}
	const EGLAttrib hints[][2] = {
		{ EGL_YUV_COLOR_SPACE_HINT_EXT, space },
		{ EGL_SAMPLE_RANGE_HINT_EXT, range_hints[colour->range] },
		{ EGL_YUV_CHROMA_HORIZONTAL_SITING_HINT_EXT, siting_hints[colour->horizontal] },
		{ EGL_YUV_CHROMA_VERTICAL_SITING_HINT_EXT, siting_hints[colour->vertical] },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(hints); i++) {
		if (hints[i][1] != 0) {
			*at++ = hints[i][0];
			*at++ = hints[i][1];
		}
	}
	return at;
}

static void fill_attributes(const struct stile_image_info *info, EGLAttrib *at) {
	const EGLAttrib head[] = {
		EGL_WIDTH,
		(EGLAttrib)info->width,
		EGL_HEIGHT,
		(EGLAttrib)info->height,
		EGL_LINUX_DRM_FOURCC_EXT,
		(EGLAttrib)info->fourcc,
	};
	memcpy(at, head, sizeof(head));
	at = fill_hints(info, at + ARRAY_LENGTH(head));
	for (uint32_t i = 0; i < info->plane_count; i++) {
		const struct stile_image_plane *plane = &info->planes[i];
		const EGLAttrib tail[] = {
			plane_attributes[i].fd,
			plane->fd,
			plane_attributes[i].offset,
			(EGLAttrib)plane->offset,
			plane_attributes[i].pitch,
			(EGLAttrib)plane->pitch,
			plane_attributes[i].modifier_low,
			(EGLAttrib)(info->modifier & UINT32_MAX),
			plane_attributes[i].modifier_high,
			(EGLAttrib)(info->modifier >> 32),
		};
		memcpy(at, tail, sizeof(tail));
		at += ARRAY_LENGTH(tail);
	}
	*at = EGL_NONE;
}

static int image_import(
	struct stile_egl_image *self, struct stile_image *image, struct stile_report *why) {
	struct stile_egl *egl = self->egl;
	int ret = check_display(egl, image, why);
	if (ret < 0) {
		return ret;
	}
	struct stile_image_info info = { .size = sizeof(info) };
	ret = stile_image_export(image, &info);
	if (ret < 0) {
		return report_refuse(why, ret,
			ret == -EACCES ? STILE_REASON_FD_ACCESS : STILE_REASON_RESOURCES, 0, 0, 0,
			"no descriptor for the driver: %s", strerror(-ret));
	}
	EGLAttrib attributes[MAX_ATTRIBUTES];
	fill_attributes(&info, attributes);
	self->handle = egl->egl.CreateImage(
		egl->info.display, EGL_NO_CONTEXT, EGL_LINUX_DMA_BUF_EXT, NULL, attributes);
	if (self->handle == EGL_NO_IMAGE) {
		EGLint error = egl->egl.GetError();
		/* Drivers say BAD_ALLOC of whatever they cannot take, e.g. of NV12. */
		ret = report_refuse(why, error == EGL_CONTEXT_LOST ? -EIO : -EOPNOTSUPP,
			STILE_REASON_DRIVER, 0, 0, (uint64_t)error,
			"eglCreateImage of %s: %s (0x%x)", stile_format_get(info.fourcc)->name,
			egl_error_name(error), error);
		if (error == EGL_CONTEXT_LOST) {
			import_cache_clear(&egl->imports);
		}
	}
	/* EGL borrows descriptors: it has its own by now. */
	for (uint32_t i = 0; i < info.plane_count; i++) {
		close(info.planes[i].fd);
	}
	return ret;
}

static void destroy(struct import_entry *entry) {
	struct stile_egl_image *image = image_of_entry(entry);
	struct stile_egl *egl = image->egl;
	egl->egl.DestroyImage(egl->info.display, image->handle);
}

/* Make one that nobody knows yet. */
static int image_create(struct stile_egl *egl, struct stile_image *image,
	const struct import_key *key, struct stile_report *why, struct stile_egl_image **out) {
	struct stile_egl_image *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		return report_refuse(
			why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	self->entry.destroy = destroy;
	self->egl = egl;
	int ret = image_import(self, image, why);
	if (ret < 0) {
		free(self);
		return ret;
	}
	*out = image_of_entry(import_cache_add(&egl->imports, key, &self->entry));
	return 0;
}

int egl_image_create(struct stile_egl *egl, struct stile_image *image, struct stile_egl_image **out,
	struct stile_report *why) {
	*out = NULL;
	struct import_key key;
	import_key_of_image(&key, image, 0);
	if (may_be_written(image)) {
		*out = image_of_entry(import_cache_get(&egl->imports, &key));
	}
	return *out != NULL ? 0 : image_create(egl, image, &key, why, out);
}

int stile_egl_import_image(struct stile_egl *egl, struct stile_image *image,
	struct stile_report *report, struct stile_egl_image **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = egl_image_create(egl, image, out, &why);
	if (ret < 0) {
		report_give(report, &why);
		egl_log(egl, STILE_LOG_ERROR, "EGL import of image '%s': %s",
			stile_image_get_info(image)->name, why.text);
	}
	return ret;
}

int stile_egl_check_image(
	struct stile_egl *egl, struct stile_image *image, struct stile_report *report) {
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = check_display(egl, image, &why);
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}

void stile_egl_image_destroy(struct stile_egl_image *image) {
	if (image != NULL) {
		import_cache_put(&image->entry);
	}
}

EGLImage stile_egl_image_get_handle(const struct stile_egl_image *image) {
	return image->handle;
}
