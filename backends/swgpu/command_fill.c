/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "backends/swgpu/command.h"

struct fill {
	struct command command;
	struct operand to;
	struct area area;
	uint32_t value;
};

static int fill_execute(const struct execution *execution, const struct command *command) {
	const struct fill *fill = (const struct fill *)command;
	struct view to;
	int ret = view_open(&to, execution, &fill->to, &fill->area, BUS_WRITE);
	if (ret < 0) {
		return ret;
	}
	for (uint32_t y = 0, count; y < fill->area.height; y += count) {
		ret = execution_check(execution);
		if (ret < 0) {
			break;
		}
		count = view_get_step(&to, y);
		view_fill(&to, y, count, fill->value);
	}
	view_close(&to);
	return ret;
}

static const struct command_type fill_type = { .name = "fill", .execute = fill_execute };

/* NULL: all of it. False: it is not within the plane, or not in whole blocks. */
static bool find_area(const struct stile_image *image, uint32_t plane,
	const struct stile_swgpu_rect *rect, struct area *out) {
	const struct stile_format_plane *format = &image->format->planes[plane];
	if (rect == NULL) {
		*out = (struct area){
			.width = format_plane_width(image->format, plane, image->info.width),
			.height = format_plane_height(image->format, plane, image->info.height),
		};
		return true;
	}
	if (!area_of_rect(rect, &image->info, out)) {
		return false;
	}
	uint32_t across = (uint32_t)format->hsub * format->block;
	if (out->x % across != 0 || out->width % across != 0 || out->y % format->vsub != 0 ||
		out->height % format->vsub != 0) {
		return false;
	}
	out->x /= across;
	out->width /= across;
	out->y /= format->vsub;
	out->height /= format->vsub;
	return true;
}

int stile_swgpu_list_fill(struct stile_swgpu_list *list, struct stile_image *image, uint32_t plane,
	const struct stile_swgpu_rect *rect, uint32_t value) {
	struct area area;
	if (plane >= image->format->plane_count || !find_area(image, plane, rect, &area)) {
		return -EINVAL;
	}
	uint32_t bytes = image->format->planes[plane].bytes;
	if (sizeof(value) % bytes != 0) {
		return -EOPNOTSUPP;
	}
	if (bytes < sizeof(value) && value >> (8 * bytes) != 0) {
		return -EINVAL;
	}
	struct record record;
	struct fill *fill = record_begin(&record, list, &fill_type, sizeof(*fill));
	if (fill == NULL) {
		return -ENOMEM;
	}
	fill->area = area;
	fill->value = value;
	int ret = record_image(&record, image, STILE_USAGE_WRITE);
	if (ret == 0) {
		ret = record_plane(&record, image, plane, STILE_USAGE_WRITE, &fill->to);
	}
	return record_end(&record, ret);
}
