/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "backends/swgpu/command.h"
#include "backends/swgpu/swgpu.h"

enum {
	/* Of all views' tiles: the rows of a step are whole tiles of each. */
	STEP_ROWS = 32,
	STEP_BYTES = 1 << 20,
};

/* ---- Areas ---------------------------------------------------------------------------------- */

bool area_of_rect(const struct stile_swgpu_rect *rect, const struct stile_image_info *info,
	struct area *out) {
	if (rect->x < 0 || rect->y < 0 || rect->width == 0 || rect->height == 0) {
		return false;
	}
	*out = (struct area){ (uint32_t)rect->x, (uint32_t)rect->y, rect->width, rect->height };
	return out->x < info->width && out->width <= info->width - out->x &&
		out->y < info->height && out->height <= info->height - out->y;
}

struct area area_of_plane(const struct image_plane *plane) {
	return (struct area){ .width = plane->width, .height = plane->height };
}

uint32_t plane_get_tiles(const struct image_plane *plane) {
	uint32_t row_bytes = plane->width * plane->sample_bytes;
	return (row_bytes + plane->tiling->tile_bytes - 1) / plane->tiling->tile_bytes;
}

/* ---- Windows -------------------------------------------------------------------------------- */

static int open_window(struct view *view, size_t use, uint64_t offset, uint64_t bytes,
	uint32_t access, struct bus_window *window) {
	const struct stile_swgpu_list *list = view->execution->list;
	return bus_open(list->gpu->bus, list->uses[use].hold.sg, offset, bytes, access, window,
		view->execution->fault);
}

/* What is written of memory that is not written wholly has to be read before. */
static uint32_t access_partly(uint32_t access) {
	return (access & BUS_WRITE) != 0 ? BUS_READ | BUS_WRITE : BUS_READ;
}

static int open_linear(struct view *view) {
	const struct image_plane *plane = &view->operand->plane;
	const struct area *area = &view->area;
	size_t row_bytes = view_row_bytes(view);
	bool is_dense = area->height == 1 || row_bytes == plane->pitch;
	return open_window(view, view->operand->use,
		plane->offset + (uint64_t)area->y * plane->pitch +
			(uint64_t)area->x * plane->sample_bytes,
		(uint64_t)(area->height - 1) * plane->pitch + row_bytes,
		is_dense ? view->access : access_partly(view->access), &view->window);
}

/* The rows of tiles that the area is in. */
static int open_tiled(struct view *view) {
	const struct image_plane *plane = &view->operand->plane;
	uint32_t tile_rows = plane->tiling->tile_rows;
	uint32_t first = view->area.y / tile_rows;
	uint32_t count = (view->area.y + view->area.height - 1) / tile_rows - first + 1;
	uint64_t row_of_tiles = (uint64_t)plane->pitch * tile_rows;
	uint32_t access = access_partly(view->access);
	/* Of the last row of metadata, no more than there has to be. */
	uint64_t meta_bytes = (uint64_t)(count - 1) * plane->meta.pitch +
		(uint64_t)plane_get_tiles(plane) * plane->tiling->meta_bytes;
	int ret = open_window(view, view->operand->use, plane->offset + first * row_of_tiles,
		count * row_of_tiles, access, &view->window);
	if (ret == 0 && plane->has_meta) {
		ret = open_window(view, view->operand->meta_use,
			plane->meta.offset + (uint64_t)first * plane->meta.pitch, meta_bytes,
			access, &view->meta);
	}
	view->first_row = first * tile_rows;
	view->tiled = (struct tiled_plane){
		.tiling = plane->tiling,
		.memory = view->window.memory,
		.pitch = plane->pitch,
		.meta = view->meta.memory,
		.meta_pitch = plane->meta.pitch,
		.sample_bytes = plane->sample_bytes,
		.width = plane->width,
		.height = plane->height - view->first_row,
	};
	return ret;
}

int view_open(struct view *view, const struct execution *execution, const struct operand *operand,
	const struct area *area, uint32_t access) {
	*view = (struct view){
		.execution = execution,
		.operand = operand,
		.area = *area,
		.access = access,
		.in_place = operand->plane.tiling == NULL,
	};
	int ret = view_is_tiled(view) ? open_tiled(view) : open_linear(view);
	if (ret < 0) {
		view_close(view);
	}
	return ret;
}

void view_close(struct view *view) {
	if (view->window.memory != NULL) {
		bus_close(view->execution->list->gpu->bus, &view->window);
	}
	if (view->meta.memory != NULL) {
		bus_close(view->execution->list->gpu->bus, &view->meta);
	}
	free(view->scratch);
	*view = (struct view){ 0 };
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static struct rows linear_rows(const struct view *view, uint32_t first) {
	size_t pitch = view->operand->plane.pitch;
	return (struct rows){ .memory = view->window.memory + first * pitch, .pitch = pitch };
}

struct rows view_get_all(const struct view *view) {
	return linear_rows(view, 0);
}

/* Where an area's row is in the memory of a tiled plane. */
static uint32_t tiled_row(const struct view *view, uint32_t y) {
	return view->area.y - view->first_row + y;
}

static uint64_t tiled_x(const struct view *view) {
	return (uint64_t)view->area.x * view->operand->plane.sample_bytes;
}

void view_read(const struct view *view, uint32_t first, uint32_t count, const struct rows *to) {
	if (view_is_tiled(view)) {
		tile_read(&view->tiled, tiled_x(view), tiled_row(view, first), view_row_bytes(view),
			count, to->memory, to->pitch);
	} else {
		const struct rows from = linear_rows(view, first);
		span_copy_rows(to, &from, view_row_bytes(view), count);
	}
}

void view_write(const struct view *view, uint32_t first, uint32_t count, const struct rows *from) {
	if (view_is_tiled(view)) {
		tile_write(&view->tiled, tiled_x(view), tiled_row(view, first),
			view_row_bytes(view), count, from->memory, from->pitch);
	} else {
		const struct rows to = linear_rows(view, first);
		span_copy_rows(&to, from, view_row_bytes(view), count);
	}
}

void view_fill(const struct view *view, uint32_t first, uint32_t count, uint32_t value) {
	if (view_is_tiled(view)) {
		tile_fill(&view->tiled, view->area.x, tiled_row(view, first), view->area.width,
			count, value);
	} else {
		const struct rows to = linear_rows(view, first);
		span_fill_rows(
			&to, view_row_bytes(view), count, value, view->operand->plane.sample_bytes);
	}
}

/* ---- Rows as linear memory ------------------------------------------------------------------ */

static int get_scratch(struct view *view, size_t bytes) {
	if (bytes > view->scratch_bytes) {
		free(view->scratch);
		view->scratch = malloc(bytes);
		view->scratch_bytes = view->scratch == NULL ? 0 : bytes;
	}
	return view->scratch == NULL ? -ENOMEM : 0;
}

int view_get(struct view *view, uint32_t first, uint32_t count, struct rows *rows) {
	if (view->in_place) {
		*rows = linear_rows(view, first);
		return 0;
	}
	/* Pixman counts pitches in words. */
	rows->pitch = (view_row_bytes(view) + 3) / 4 * 4;
	int ret = get_scratch(view, rows->pitch * count);
	rows->memory = view->scratch;
	if (ret == 0 && (view->access & BUS_READ) != 0) {
		view_read(view, first, count, rows);
	}
	return ret;
}

void view_put(const struct view *view, uint32_t first, uint32_t count, const struct rows *rows) {
	if (!view->in_place) {
		view_write(view, first, count, rows);
	}
}

uint32_t view_get_step(const struct view *view, uint32_t first) {
	size_t rows = STEP_BYTES / view_row_bytes(view);
	uint32_t whole = rows < STEP_ROWS ? STEP_ROWS : (uint32_t)(rows - rows % STEP_ROWS);
	uint32_t step = whole - (view->area.y + first) % STEP_ROWS;
	return step < view->area.height - first ? step : view->area.height - first;
}
