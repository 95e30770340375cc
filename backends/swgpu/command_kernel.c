/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "backends/swgpu/command.h"

struct kernel {
	struct command command;
	struct operand images[STILE_SWGPU_MAX_IMAGES];
	size_t count;
	stile_swgpu_kernel_fn fn;
	void *user;
};

/* Some rows of all images, which were got. */
static int call_rows(const struct execution *execution, const struct kernel *kernel,
	const struct rows *rows, uint32_t first, uint32_t count) {
	struct stile_swgpu_row row[STILE_SWGPU_MAX_IMAGES];
	for (uint32_t y = 0; y < count; y++) {
		int ret = execution_check(execution);
		if (ret < 0) {
			return ret;
		}
		for (size_t i = 0; i < kernel->count; i++) {
			row[i].samples = rows[i].memory + y * rows[i].pitch;
			row[i].width = kernel->images[i].plane.width;
		}
		ret = kernel->fn(kernel->user, row, first + y);
		if (ret != 0) {
			return ret < 0 ? ret : -EINVAL;
		}
	}
	return 0;
}

static int call_step(const struct execution *execution, const struct kernel *kernel,
	struct view *views, uint32_t first, uint32_t count) {
	struct rows rows[STILE_SWGPU_MAX_IMAGES];
	for (size_t i = 0; i < kernel->count; i++) {
		int ret = view_get(&views[i], first, count, &rows[i]);
		if (ret < 0) {
			return ret;
		}
	}
	int ret = call_rows(execution, kernel, rows, first, count);
	/* Also what was written before a failure: as if there were no scratch. */
	view_put(&views[0], first, count, &rows[0]);
	return ret;
}

static int kernel_execute(const struct execution *execution, const struct command *command) {
	const struct kernel *kernel = (const struct kernel *)command;
	const struct area area = area_of_plane(&kernel->images[0].plane);
	struct view views[STILE_SWGPU_MAX_IMAGES] = { 0 };
	int ret = 0;
	for (size_t i = 0; i < kernel->count && ret == 0; i++) {
		ret = view_open(&views[i], execution, &kernel->images[i], &area,
			i == 0 ? BUS_READ | BUS_WRITE : BUS_READ);
	}
	for (uint32_t y = 0, count; ret == 0 && y < area.height; y += count) {
		count = view_get_step(&views[0], y);
		ret = call_step(execution, kernel, views, y, count);
	}
	for (size_t i = 0; i < kernel->count; i++) {
		view_close(&views[i]);
	}
	return ret;
}

static const struct command_type kernel_type = { .name = "kernel", .execute = kernel_execute };

static bool kernel_is_valid(struct stile_image *const *images, size_t count) {
	if (count == 0 || count > STILE_SWGPU_MAX_IMAGES) {
		return false;
	}
	for (size_t i = 1; i < count; i++) {
		if (images[i]->info.width != images[0]->info.width ||
			images[i]->info.height != images[0]->info.height) {
			return false;
		}
	}
	return true;
}

int stile_swgpu_list_kernel(struct stile_swgpu_list *list, struct stile_image *const *images,
	size_t count, stile_swgpu_kernel_fn fn, void *user) {
	if (!kernel_is_valid(images, count)) {
		return -EINVAL;
	}
	struct record record;
	struct kernel *kernel = record_begin(&record, list, &kernel_type, sizeof(*kernel));
	if (kernel == NULL) {
		return -ENOMEM;
	}
	kernel->count = count;
	kernel->fn = fn;
	kernel->user = user;
	int ret = 0;
	for (size_t i = 0; i < count && ret == 0; i++) {
		uint32_t usage = i == 0 ? STILE_USAGE_READ | STILE_USAGE_WRITE : STILE_USAGE_READ;
		ret = record_image(&record, images[i], usage);
		if (ret == 0) {
			ret = record_plane(&record, images[i], 0, usage, &kernel->images[i]);
		}
	}
	return record_end(&record, ret);
}
