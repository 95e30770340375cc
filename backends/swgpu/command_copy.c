/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "backends/swgpu/command.h"

struct copy {
	struct command command;
	uint32_t plane_count;
	struct operand from[STILE_MAX_PLANES];
	struct operand to[STILE_MAX_PLANES];
};

/* Rows of tiles, as they are, and what is known of them. */
static int copy_tiles(
	const struct execution *execution, const struct view *from, const struct view *to) {
	const struct format_tiling *tiling = to->tiled.tiling;
	uint32_t tiles = plane_get_tiles(&to->operand->plane);
	uint32_t rows = (to->area.height + tiling->tile_rows - 1) / tiling->tile_rows;
	const struct rows from_meta = { from->tiled.meta, from->tiled.meta_pitch };
	const struct rows to_meta = { to->tiled.meta, to->tiled.meta_pitch };
	if (to->tiled.meta != NULL) {
		span_copy_rows(&to_meta, &from_meta, (size_t)tiles * tiling->meta_bytes, rows);
	}
	const struct rows from_tiles = { from->tiled.memory,
		from->tiled.pitch * tiling->tile_rows };
	const struct rows to_tiles = { to->tiled.memory, to->tiled.pitch * tiling->tile_rows };
	return span_copy_all(execution, &to_tiles, &from_tiles,
		(size_t)tiles * tiling->tile_bytes * tiling->tile_rows, rows);
}

static int copy_linear(
	const struct execution *execution, const struct view *from, const struct view *to) {
	const struct rows from_rows = view_get_all(from), to_rows = view_get_all(to);
	return span_copy_all(execution, &to_rows, &from_rows, view_row_bytes(to), to->area.height);
}

/* Some rows, of different layouts. A view's linear memory is the scratch if neither is linear. */
static int copy_step(struct view *from, struct view *to, uint32_t first, uint32_t count) {
	struct rows rows;
	if (!view_is_tiled(to)) {
		int ret = view_get(to, first, count, &rows);
		if (ret == 0) {
			view_read(from, first, count, &rows);
		}
		return ret;
	}
	int ret = view_get(from, first, count, &rows);
	if (ret == 0) {
		view_write(to, first, count, &rows);
	}
	return ret;
}

static int copy_views(const struct execution *execution, struct view *from, struct view *to) {
	if (from->operand->plane.tiling == to->operand->plane.tiling) {
		return view_is_tiled(to) ? copy_tiles(execution, from, to)
					 : copy_linear(execution, from, to);
	}
	int ret = 0;
	for (uint32_t y = 0, count; y < to->area.height && ret == 0; y += count) {
		count = view_get_step(to, y);
		ret = execution_check(execution);
		if (ret == 0) {
			ret = copy_step(from, to, y, count);
		}
	}
	return ret;
}

static int copy_plane(
	const struct execution *execution, const struct operand *from, const struct operand *to) {
	struct area area = area_of_plane(&to->plane);
	struct view from_view, to_view = { 0 };
	int ret = view_open(&from_view, execution, from, &area, BUS_READ);
	if (ret == 0) {
		ret = view_open(&to_view, execution, to, &area, BUS_WRITE);
	}
	if (ret == 0) {
		ret = copy_views(execution, &from_view, &to_view);
	}
	view_close(&to_view);
	view_close(&from_view);
	return ret;
}

static int copy_execute(const struct execution *execution, const struct command *command) {
	const struct copy *copy = (const struct copy *)command;
	int ret = 0;
	for (uint32_t i = 0; i < copy->plane_count && ret == 0; i++) {
		ret = copy_plane(execution, &copy->from[i], &copy->to[i]);
	}
	return ret;
}

static const struct command_type copy_type = { .name = "copy", .execute = copy_execute };

int stile_swgpu_list_copy(
	struct stile_swgpu_list *list, struct stile_image *from, struct stile_image *to) {
	if (from->format != to->format || from->info.width != to->info.width ||
		from->info.height != to->info.height) {
		return -EINVAL;
	}
	struct record record;
	struct copy *copy = record_begin(&record, list, &copy_type, sizeof(*copy));
	if (copy == NULL) {
		return -ENOMEM;
	}
	copy->plane_count = to->format->plane_count;
	int ret = record_image(&record, from, STILE_USAGE_READ);
	if (ret == 0) {
		ret = record_image(&record, to, STILE_USAGE_WRITE);
	}
	for (uint32_t i = 0; i < copy->plane_count && ret == 0; i++) {
		ret = record_plane(&record, from, i, STILE_USAGE_READ, &copy->from[i]);
		if (ret == 0) {
			ret = record_plane(&record, to, i, STILE_USAGE_WRITE, &copy->to[i]);
		}
	}
	return record_end(&record, ret);
}
