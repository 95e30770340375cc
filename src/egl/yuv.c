/* SPDX-License-Identifier: MIT */
/* Images of YUV, however the display takes them. */
#include <errno.h>

#include "src/abi.h"
#include "src/egl/egl.h"
#include "src/macros.h"
#include "src/report.h"
#include "src/yuv.h"

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
	yuv->path = STILE_EGL_YUV_PLANES;
	return ret < 0 ? ret : yuv_find_rows(info, yuv->rows, why);
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
	int ret = yuv_check(format, "stile_egl_import_image()", why);
	if (ret < 0) {
		return ret;
	}
	ret = import_external(egl, image, yuv, why);
	/* What is short now, planes are short of, too. */
	if (ret != -EOPNOTSUPP || format->plane_count == 1) {
		return ret;
	}
	struct stile_report why_planes;
	ret = import_planes(egl, image, yuv, &why_planes);
	if (ret < 0) {
		return yuv_refuse_both(why, ret, &why_planes);
	}
	why->error = 0;
	return 0;
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
