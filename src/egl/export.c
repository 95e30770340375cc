/* SPDX-License-Identifier: MIT */
/* An EGLImage of the application's as dma-bufs: EGL_MESA_image_dma_buf_export. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include <drm_fourcc.h>

#include <stile/egl_memory.h>

#include "src/egl/egl.h"
#include "src/report.h"

struct export_procs {
	PFNEGLEXPORTDMABUFIMAGEQUERYMESAPROC query;
	PFNEGLEXPORTDMABUFIMAGEMESAPROC export_fds;
};

/* Mesa has the entry points everywhere, and crashes, or gives -1, where the extension is missing. */
static int load(struct stile_egl *egl, struct export_procs *procs, struct stile_report *why) {
	if (!egl_has_extension(egl, "EGL_MESA_image_dma_buf_export")) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
			"the display has no EGL_MESA_image_dma_buf_export: its driver gives no "
			"dma-bufs");
	}
	procs->query = (PFNEGLEXPORTDMABUFIMAGEQUERYMESAPROC)egl->info.get_proc_address(
		"eglExportDMABUFImageQueryMESA");
	procs->export_fds = (PFNEGLEXPORTDMABUFIMAGEMESAPROC)egl->info.get_proc_address(
		"eglExportDMABUFImageMESA");
	if (procs->query == NULL || procs->export_fds == NULL) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
			"EGL has no eglExportDMABUFImageQueryMESA or eglExportDMABUFImageMESA");
	}
	return 0;
}

static int refuse_driver(struct stile_egl *egl, const char *call, struct stile_report *why) {
	EGLint error = egl->egl.GetError();
	int ret = error == EGL_BAD_ALLOC ? -ENOMEM : -EOPNOTSUPP;
	if (error == EGL_CONTEXT_LOST) {
		import_cache_clear(&egl->imports);
		ret = -EIO;
	}
	return report_refuse(why, ret, STILE_REASON_DRIVER, 0, 0, (uint64_t)error, "%s: %s (0x%x)",
		call, egl_error_name(error), error);
}

/* An image has one modifier, which is that of all its planes. */
static int choose_modifier(
	const EGLuint64KHR *modifiers, struct stile_image_info *info, struct stile_report *why) {
	info->modifier = modifiers[0];
	for (uint32_t i = 1; i < info->plane_count; i++) {
		if (modifiers[i] != modifiers[0]) {
			return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MODIFIER, i,
				modifiers[0], modifiers[i],
				"plane %u: the driver says that its modifier is 0x%" PRIx64
				", and that of plane 0 is 0x%" PRIx64 ": an image has one",
				i, (uint64_t)modifiers[i], (uint64_t)modifiers[0]);
		}
	}
	return 0;
}

/* Format and modifier. Layouts that the driver does not name, nobody else can read. */
static int query(struct stile_egl *egl, const struct export_procs *procs, EGLImage image,
	struct stile_image_info *info, struct stile_report *why) {
	EGLint fourcc = 0, planes = 0;
	EGLuint64KHR modifiers[STILE_MAX_PLANES] = { DRM_FORMAT_MOD_INVALID, DRM_FORMAT_MOD_INVALID,
		DRM_FORMAT_MOD_INVALID, DRM_FORMAT_MOD_INVALID };
	if (!procs->query(egl->info.display, image, &fourcc, &planes, NULL)) {
		return refuse_driver(egl, "eglExportDMABUFImageQueryMESA", why);
	}
	if (planes < 1 || planes > STILE_MAX_PLANES) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_PLANE_COUNT, 0,
			STILE_MAX_PLANES, (uint64_t)planes, "the driver says it has %d planes",
			planes);
	}
	if (!procs->query(egl->info.display, image, NULL, NULL, modifiers)) {
		return refuse_driver(egl, "eglExportDMABUFImageQueryMESA", why);
	}
	info->fourcc = (uint32_t)fourcc;
	info->plane_count = (uint32_t)planes;
	return choose_modifier(modifiers, info, why);
}

static int refuse_negative(struct stile_report *why, enum stile_reason reason, uint32_t plane,
	const char *what, EGLint number) {
	return report_refuse(why, -EOPNOTSUPP, reason, plane, 0, (uint64_t)number,
		"plane %u: the driver says that its %s is %d", plane, what, number);
}

static int export_planes(struct stile_egl *egl, const struct export_procs *procs, EGLImage image,
	int fds[STILE_MAX_PLANES], struct stile_image_info *info, struct stile_report *why) {
	EGLint pitches[STILE_MAX_PLANES] = { 0 }, offsets[STILE_MAX_PLANES] = { 0 };
	if (!procs->export_fds(egl->info.display, image, fds, pitches, offsets)) {
		return refuse_driver(egl, "eglExportDMABUFImageMESA", why);
	}
	if (fds[0] < 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
			"eglExportDMABUFImageMESA succeeds and gives no descriptor: this image is "
			"in no dma-buf");
	}
	for (uint32_t i = 0; i < info->plane_count; i++) {
		if (pitches[i] < 0) {
			return refuse_negative(why, STILE_REASON_PITCH, i, "pitch", pitches[i]);
		}
		if (offsets[i] < 0) {
			return refuse_negative(why, STILE_REASON_OFFSET, i, "offset", offsets[i]);
		}
		/* Planes in the memory of the one before have no descriptor of their own. */
		int fd = fds[i] >= 0 ? fds[i] : info->planes[i - 1].fd;
		info->planes[i] = (struct stile_image_plane){
			.fd = fd,
			.pitch = (uint32_t)pitches[i],
			.offset = (uint32_t)offsets[i],
		};
	}
	return 0;
}

static int export_image(struct stile_egl *egl, const struct stile_egl_own_image *own,
	struct stile_device *device, struct stile_report *why, struct stile_image **out) {
	struct export_procs procs = { 0 };
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = own->width,
		.height = own->height,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.name = own->name,
	};
	int fds[STILE_MAX_PLANES] = { -1, -1, -1, -1 };
	if (own->image == EGL_NO_IMAGE) {
		return report_refuse(
			why, -EINVAL, STILE_REASON_USAGE, 0, 0, 0, "no EGLImage was given");
	}
	int ret = load(egl, &procs, why);
	assert(ret < 0 || (procs.query != NULL && procs.export_fds != NULL));
	if (ret == 0) {
		ret = query(egl, &procs, own->image, &info, why);
	}
	if (ret == 0) {
		ret = export_planes(egl, &procs, own->image, fds, &info, why);
	}
	if (ret == 0) {
		why->size = sizeof(*why);
		ret = stile_image_import(device, &info, why, out);
	}
	for (size_t i = 0; i < STILE_MAX_PLANES; i++) {
		if (fds[i] >= 0) {
			close(fds[i]);
		}
	}
	return ret;
}

int stile_egl_export_image(struct stile_egl *egl, const struct stile_egl_own_image *own,
	struct stile_device *device, struct stile_report *report, struct stile_image **out) {
	*out = NULL;
	struct stile_egl_own_image known;
	int ret = report_copy_in(report, &known, sizeof(known), own);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	ret = export_image(egl, &known, device, &why, out);
	if (ret < 0) {
		report_give(report, &why);
		egl_log(egl, STILE_LOG_ERROR, "EGL export of an image: %s", why.text);
	}
	return ret;
}
