/* SPDX-License-Identifier: MIT */
/* One plane of an image as an image by itself. */
#include <errno.h>
#include <string.h>

#include "src/device.h"
#include "src/format.h"
#include "src/image.h"
#include "src/macros.h"
#include "src/report.h"

/* DRM_FORMAT_INVALID: samples are packed so that nothing else has them. */
static uint32_t find_fourcc(const struct stile_format *format, uint32_t plane) {
	static const uint32_t fourccs[][2] = {
		{ DRM_FORMAT_R8, DRM_FORMAT_GR88 },
		{ DRM_FORMAT_R16, DRM_FORMAT_GR1616 },
	};
	uint32_t is_wide = format->bits > 8;
	uint32_t components = format->planes[plane].bytes >> is_wide;
	return format->planes[plane].block == 1 && components <= 2
		? fourccs[is_wide][components - 1]
		: DRM_FORMAT_INVALID;
}

static int find_view(const struct stile_image *image, uint32_t plane, uint32_t *fourcc,
	struct stile_report *why) {
	const struct stile_format *format = image->format;
	if (format->plane_count < 2 || plane >= format->plane_count) {
		return report_refuse(why, -EINVAL, STILE_REASON_PLANE_COUNT, plane, plane + 1,
			format->plane_count, "%s has %u plane%s: %u is none to take apart",
			format->name, format->plane_count, PLURAL(format->plane_count), plane);
	}
	if (image->info.modifier != DRM_FORMAT_MOD_LINEAR) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MODIFIER, plane,
			DRM_FORMAT_MOD_LINEAR, image->info.modifier,
			"plane %u of %s cannot be taken apart: it is not linear, and what one plane "
			"of its layout is by itself, nobody says",
			plane, format->name);
	}
	*fourcc = find_fourcc(format, plane);
	if (*fourcc == DRM_FORMAT_INVALID) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, plane, 0,
			format->fourcc,
			"plane %u of %s has %u bytes for %u samples, which no other format has",
			plane, format->name, format->planes[plane].bytes,
			format->planes[plane].block);
	}
	return 0;
}

int stile_image_create_plane_view(struct stile_image *image, uint32_t plane,
	struct stile_report *report, struct stile_image **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_image_info info = image->info;
	struct stile_report why;
	int ret = find_view(image, plane, &info.fourcc, &why);
	if (ret < 0) {
		report_give(report, &why);
		return ret;
	}
	/* Numbers without a colour: which one they are part of, the whole image says. */
	info.colour = (struct stile_colour){ 0 };
	info.width = format_plane_width(image->format, plane, image->info.width);
	info.height = format_plane_height(image->format, plane, image->info.height);
	info.plane_count = 1;
	memset(info.planes, 0, sizeof(info.planes));
	info.planes[0] = image->info.planes[plane];
	struct stile_image *view =
		image_alloc(image->device, &info, stile_format_get(info.fourcc), image->allowed);
	if (view == NULL) {
		ret = report_refuse(
			&why, -ENOMEM, STILE_REASON_RESOURCES, plane, 0, 0, "out of memory");
		report_give(report, &why);
		return ret;
	}
	view->buffers[0] = stile_buffer_ref(image->buffers[plane]);
	*out = view;
	return 0;
}
