/* SPDX-License-Identifier: MIT */
/* Images of YUV, however the display takes them. */
#include <errno.h>

#include <drm_fourcc.h>

#include "src/abi.h"
#include "src/egl/egl.h"
#include "src/macros.h"
#include "src/report.h"

/* ---- Samples of planes -------------------------------------------------------------------- */

#define RGB(...)
#define YUV(name, opaque, alpha, planes, bits, hsub, vsub, vk, order_) \
	{ DRM_FORMAT_##name, #order_ },

/* What comes first is told by the order of Vulkan's components: red is Cr, blue is Cb. */
static const struct {
	uint32_t fourcc;
	char order[5];
} entries[] = {
#include "src/format_table.inc"
};

static bool is_cr_first(uint32_t fourcc) {
	size_t i = 0;
	while (entries[i].fourcc != fourcc) {
		i++;
	}
	return entries[i].order[0] == 'B';
}

/* For samples in the order of planes and of components within them. */
static int find_rows(const struct stile_image_info *info, float rows[3][4]) {
	const struct stile_format *format = stile_format_get(info->fourcc);
	int ret = stile_colour_get_matrix(
		&info->colour, format->bits, 8u * format->planes[0].bytes, rows);
	for (int i = 0; i < 3 && ret == 0 && is_cr_first(info->fourcc); i++) {
		float cb = rows[i][1];
		rows[i][1] = rows[i][2];
		rows[i][2] = cb;
	}
	return ret;
}

/* ---- Ways in ------------------------------------------------------------------------------ */

static void drop_images(struct stile_egl_yuv *yuv) {
	for (uint32_t i = 0; i < yuv->image_count; i++) {
		stile_egl_image_destroy(yuv->images[i]);
		yuv->images[i] = NULL;
	}
	yuv->image_count = 0;
}

static int import_plane(struct stile_egl *egl, struct stile_image *image, uint32_t plane,
	struct stile_egl_yuv *yuv, struct stile_report *why) {
	struct stile_image *view;
	*why = (struct stile_report){ .size = sizeof(*why) };
	int ret = stile_image_create_plane_view(image, plane, why, &view);
	if (ret < 0) {
		return ret;
	}
	yuv->fourccs[plane] = stile_image_get_info(view)->fourcc;
	ret = egl_image_create(egl, view, &yuv->images[plane], why);
	why->plane = plane;
	yuv->image_count += ret == 0;
	stile_image_unref(view);
	return ret;
}

static int import_planes(struct stile_egl *egl, struct stile_image *image,
	struct stile_egl_yuv *yuv, struct stile_report *why) {
	const struct stile_image_info *info = stile_image_get_info(image);
	const struct stile_format *format = stile_format_get(info->fourcc);
	int ret = 0;
	for (uint32_t i = 0; i < format->plane_count && ret == 0; i++) {
		ret = import_plane(egl, image, i, yuv, why);
	}
	if (ret < 0) {
		return ret;
	}
	yuv->path = STILE_EGL_YUV_PLANES;
	ret = find_rows(info, yuv->rows);
	if (ret < 0) {
		return report_refuse(why, ret, STILE_REASON_COLOUR, 0, 0, info->colour.matrix,
			"matrix %u of H.273 is no sum of samples", info->colour.matrix);
	}
	return 0;
}

static int import_external(struct stile_egl *egl, struct stile_image *image,
	struct stile_egl_yuv *yuv, struct stile_report *why) {
	int ret = egl_image_create(egl, image, &yuv->images[0], why);
	yuv->fourccs[0] = stile_image_get_info(image)->fourcc;
	yuv->image_count = ret == 0;
	yuv->path = STILE_EGL_YUV_EXTERNAL;
	return ret;
}

/* On success, too, `why` says why it was not the first way. */
static int import_either(struct stile_egl *egl, struct stile_image *image,
	struct stile_egl_yuv *yuv, struct stile_report *why) {
	const struct stile_format *format = stile_format_get(stile_image_get_info(image)->fourcc);
	if (!format->is_yuv) {
		return report_refuse(why, -EINVAL, STILE_REASON_FORMAT, 0, 0, format->fourcc,
			"%s has no luma and chroma: stile_egl_import_image() takes it",
			format->name);
	}
	int ret = import_external(egl, image, yuv, why);
	/* What is short now, planes are short of, too. */
	if (ret != -EOPNOTSUPP || format->plane_count == 1) {
		return ret;
	}
	struct stile_report why_planes;
	ret = import_planes(egl, image, yuv, &why_planes);
	if (ret < 0) {
		struct stile_report first = *why;
		report_refuse(why, ret, first.reason, first.plane, first.needed, first.actual,
			"%.120s; nor plane %u by itself: %.110s", first.text, why_planes.plane,
			why_planes.text);
	} else {
		why->error = 0;
	}
	return ret;
}

int stile_egl_import_yuv(struct stile_egl *egl, struct stile_image *image,
	struct stile_report *report, struct stile_egl_yuv *out) {
	/* Images that the caller has no room for would be lost. */
	if (abi_check_out(out) < 0 || out->size < sizeof(*out) || report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_egl_yuv yuv = { .size = sizeof(yuv) };
	struct stile_report why = { .size = sizeof(why) };
	int ret = import_either(egl, image, &yuv, &why);
	if (ret < 0) {
		egl_log(egl, STILE_LOG_ERROR, "EGL import of image '%s': %s",
			stile_image_get_info(image)->name, why.text);
		drop_images(&yuv);
		yuv = (struct stile_egl_yuv){ .size = sizeof(yuv) };
	}
	report_give(report, &why);
	abi_copy_out(out, &yuv, sizeof(yuv));
	return ret;
}

void stile_egl_yuv_finish(struct stile_egl_yuv *yuv) {
	drop_images(yuv);
	yuv->path = STILE_EGL_YUV_NONE;
}
