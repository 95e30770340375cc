/* SPDX-License-Identifier: MIT */
/* Images of YUV, however the device takes them. */
#include "src/yuv.h"

#include <errno.h>

#include <stile/vulkan_yuv.h>

#include "src/abi.h"
#include "src/report.h"
#include "src/vulkan/vulkan.h"

static void drop_images(struct stile_vulkan_yuv *yuv) {
	for (uint32_t i = 0; i < yuv->image_count; i++) {
		stile_vulkan_image_destroy(yuv->images[i]);
		yuv->images[i] = NULL;
	}
	yuv->image_count = 0;
}

static int import_plane(struct stile_vulkan *vulkan, struct stile_image *image, uint32_t plane,
	struct stile_vulkan_yuv *yuv, struct stile_report *why) {
	struct stile_image *view;
	*why = (struct stile_report){ .size = sizeof(*why) };
	int ret = stile_image_create_plane_view(image, plane, why, &view);
	if (ret < 0) {
		return ret;
	}
	ret = vulkan_image_get(vulkan, view, VK_IMAGE_USAGE_SAMPLED_BIT, &yuv->images[plane], why);
	why->plane = plane;
	yuv->image_count += ret == 0;
	stile_image_unref(view);
	return ret;
}

static int import_planes(struct stile_vulkan *vulkan, struct stile_image *image,
	struct stile_vulkan_yuv *yuv, struct stile_report *why) {
	const struct stile_image_info *info = stile_image_get_info(image);
	int ret = 0;
	for (uint32_t i = 0; i < info->plane_count && ret == 0; i++) {
		ret = import_plane(vulkan, image, i, yuv, why);
	}
	yuv->path = STILE_VULKAN_YUV_PLANES;
	return ret < 0 ? ret : yuv_find_rows(info, yuv->rows, why);
}

static int import_converted(struct stile_vulkan *vulkan, struct stile_image *image, VkFilter filter,
	struct stile_vulkan_yuv *yuv, struct stile_report *why) {
	const struct stile_image_info *info = stile_image_get_info(image);
	int ret = vulkan_conversion_get(
		vulkan, info->fourcc, &info->colour, filter, &yuv->conversion, why);
	if (ret == 0) {
		ret = vulkan_image_get(
			vulkan, image, VK_IMAGE_USAGE_SAMPLED_BIT, &yuv->images[0], why);
	}
	yuv->image_count = ret == 0;
	yuv->path = STILE_VULKAN_YUV_CONVERSION;
	return ret;
}

/* On success, too, `why` says why it was not the first way. */
static int import_either(struct stile_vulkan *vulkan, struct stile_image *image, VkFilter filter,
	struct stile_vulkan_yuv *yuv, struct stile_report *why) {
	const struct stile_format *format = stile_format_get(stile_image_get_info(image)->fourcc);
	int ret = yuv_check(format, "stile_vulkan_import_image()", why);
	if (ret < 0) {
		return ret;
	}
	ret = import_converted(vulkan, image, filter, yuv, why);
	/* What is short now, planes are short of, too. */
	if (ret != -EOPNOTSUPP || format->plane_count == 1) {
		return ret;
	}
	struct stile_report why_planes;
	yuv->conversion = VK_NULL_HANDLE;
	ret = import_planes(vulkan, image, yuv, &why_planes);
	if (ret < 0) {
		return yuv_refuse_both(why, ret, &why_planes);
	}
	why->error = 0;
	return 0;
}

int stile_vulkan_import_yuv(struct stile_vulkan *vulkan, struct stile_image *image, VkFilter filter,
	struct stile_report *report, struct stile_vulkan_yuv *out) {
	/* Images that the caller has no room for would be lost. */
	if (abi_check_out(out) < 0 || out->size < sizeof(*out) || report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_vulkan_yuv yuv = { .size = sizeof(yuv) };
	struct stile_report why = { .size = sizeof(why) };
	int ret = import_either(vulkan, image, filter, &yuv, &why);
	if (ret < 0) {
		vulkan_image_log(vulkan, image, &why);
		drop_images(&yuv);
		yuv = (struct stile_vulkan_yuv){ .size = sizeof(yuv) };
	}
	report_give(report, &why);
	abi_copy_out(out, &yuv, sizeof(yuv));
	return ret;
}

void stile_vulkan_yuv_finish(struct stile_vulkan_yuv *yuv) {
	drop_images(yuv);
	yuv->path = STILE_VULKAN_YUV_NONE;
}
