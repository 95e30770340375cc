/* SPDX-License-Identifier: MIT */
#include "src/yuv.h"

#include <errno.h>
#include <stdbool.h>

#include <drm_fourcc.h>

#include <stile/colour.h>
#include <stile/format.h>

#include "src/report.h"

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

int yuv_find_rows(const struct stile_image_info *info, float rows[3][4], struct stile_report *why) {
	const struct stile_format *format = stile_format_get(info->fourcc);
	int ret = stile_colour_get_matrix(
		&info->colour, format->bits, 8u * format->planes[0].bytes, rows);
	if (ret < 0) {
		return report_refuse(why, ret, STILE_REASON_COLOUR, 0, 0, info->colour.matrix,
			"matrix %u of H.273 is no sum of samples", info->colour.matrix);
	}
	for (int i = 0; i < 3 && is_cr_first(info->fourcc); i++) {
		float cb = rows[i][1];
		rows[i][1] = rows[i][2];
		rows[i][2] = cb;
	}
	return 0;
}

int yuv_check(const struct stile_format *format, const char *otherwise, struct stile_report *why) {
	if (format->is_yuv) {
		return 0;
	}
	return report_refuse(why, -EINVAL, STILE_REASON_FORMAT, 0, 0, format->fourcc,
		"%s has no luma and chroma: %s takes it", format->name, otherwise);
}

int yuv_refuse_both(
	struct stile_report *why, int error, const struct stile_report *why_not_planes) {
	const struct stile_report whole = *why;
	return report_refuse(why, error, whole.reason, whole.plane, whole.needed, whole.actual,
		"%.360s; nor plane %u by itself: %.360s", whole.text, why_not_planes->plane,
		why_not_planes->text);
}
