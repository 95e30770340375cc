/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "backends/swgpu/command.h"

/* Between a plane and the caller's memory. */
struct transfer {
	struct command command;
	struct operand plane;
	struct rows pixels;
};

static int transfer_tiles(const struct execution *execution, const struct view *view,
	const struct rows *pixels, bool up) {
	int ret = 0;
	for (uint32_t y = 0, count; y < view->area.height; y += count) {
		const struct rows rows = { pixels->memory + y * pixels->pitch, pixels->pitch };
		count = view_get_step(view, y);
		ret = execution_check(execution);
		if (ret < 0) {
			break;
		}
		if (up) {
			view_write(view, y, count, &rows);
		} else {
			view_read(view, y, count, &rows);
		}
	}
	return ret;
}

static int transfer_execute(
	const struct execution *execution, const struct transfer *transfer, bool up) {
	const struct rows *pixels = &transfer->pixels;
	const struct area area = area_of_plane(&transfer->plane.plane);
	struct view view;
	int ret = view_open(&view, execution, &transfer->plane, &area, up ? BUS_WRITE : BUS_READ);
	if (ret < 0) {
		return ret;
	}
	if (view_is_tiled(&view)) {
		ret = transfer_tiles(execution, &view, pixels, up);
	} else {
		const struct rows rows = view_get_all(&view);
		ret = span_copy_all(execution, up ? &rows : pixels, up ? pixels : &rows,
			view_row_bytes(&view), area.height);
	}
	view_close(&view);
	return ret;
}

static int upload_execute(const struct execution *execution, const struct command *command) {
	return transfer_execute(execution, (const struct transfer *)command, true);
}

static int download_execute(const struct execution *execution, const struct command *command) {
	return transfer_execute(execution, (const struct transfer *)command, false);
}

static const struct command_type upload_type = { .name = "upload", .execute = upload_execute };
static const struct command_type download_type = { .name = "download",
	.execute = download_execute };

static int record_transfer(struct stile_swgpu_list *list, const struct command_type *type,
	struct stile_image *image, uint32_t plane, uint32_t usage, const struct rows *pixels) {
	if (plane >= image->format->plane_count ||
		pixels->pitch < format_row_bytes(image->format, plane, image->info.width)) {
		return -EINVAL;
	}
	struct record record;
	struct transfer *transfer = record_begin(&record, list, type, sizeof(*transfer));
	if (transfer == NULL) {
		return -ENOMEM;
	}
	transfer->pixels = *pixels;
	int ret = record_image(&record, image, usage);
	if (ret == 0) {
		ret = record_plane(&record, image, plane, usage, &transfer->plane);
	}
	return record_end(&record, ret);
}

int stile_swgpu_list_upload(struct stile_swgpu_list *list, struct stile_image *image,
	uint32_t plane, const void *pixels, size_t pitch) {
	/* Only read: rows serve both directions. */
	const struct rows rows = { (uint8_t *)(uintptr_t)pixels, pitch };
	return record_transfer(list, &upload_type, image, plane, STILE_USAGE_WRITE, &rows);
}

int stile_swgpu_list_download(struct stile_swgpu_list *list, struct stile_image *image,
	uint32_t plane, void *pixels, size_t pitch) {
	const struct rows rows = { pixels, pitch };
	return record_transfer(list, &download_type, image, plane, STILE_USAGE_READ, &rows);
}
