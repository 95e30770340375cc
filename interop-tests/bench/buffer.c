/* SPDX-License-Identifier: MIT */
/* What buffers and the software GPU cost. The parts are in buffer_*.c. */
#include "interop-tests/bench/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stile/swgpu_list.h>
#include <stile/wait.h>

/* ---- Rows ---------------------------------------------------------------------------------- */

void buffer_report(struct bench_row row) {
	row.group = "buffer";
	row.baseline_name = row.baseline_name == NULL ? "" : row.baseline_name;
	row.met = row.goal == NULL || row.met;
	row.goal = row.goal == NULL ? "" : row.goal;
	bench_report(&row);
}

void buffer_report_rate(const char *name, uint64_t bytes, const struct bench_way *way,
	const struct bench_way *baseline, const struct buffer_goal *goal) {
	double ratio = baseline->median / way->median;
	struct bench_row row = {
		.value = (double)bytes / way->median,
		.unit = "GB/s",
		.baseline_name = goal->baseline,
		.baseline = (double)bytes / baseline->median,
		.ratio = ratio,
		.goal = goal->goal,
		.met = ratio >= goal->least,
	};
	snprintf(row.name, sizeof(row.name), "%s", name);
	buffer_report(row);
}

/* ---- Buffers and images -------------------------------------------------------------------- */

struct stile_buffer *buffer_create(struct stile_device *device, uint64_t bytes) {
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = bytes };
	struct stile_buffer *buffer;
	if (stile_buffer_create(device, &info, &buffer) < 0) {
		abort();
	}
	return buffer;
}

struct stile_image *buffer_create_image(
	struct stile_device *device, uint32_t width, uint32_t height, uint64_t modifier) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = width,
		.height = height,
		.fourcc = DRM_FORMAT_ARGB8888,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = modifier,
	};
	struct stile_image *image;
	if (stile_image_create(device, &info, &image) < 0) {
		abort();
	}
	return image;
}

void *buffer_map_image(struct stile_image *image) {
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *memory;
	if (stile_buffer_mmap(buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, &memory) < 0) {
		abort();
	}
	return (uint8_t *)memory + stile_image_get_info(image)->planes[0].offset;
}

void buffer_unmap_image(struct stile_image *image, void *pixels) {
	stile_buffer_munmap(stile_image_get_buffer(image, 0),
		(uint8_t *)pixels - stile_image_get_info(image)->planes[0].offset);
}

void buffer_draw(void *pixels, uint64_t bytes) {
	uint8_t *at = pixels;
	uint32_t random = 1;
	for (uint64_t i = 0; i + 4 <= bytes; i += 4) {
		random = random * 1664525 + 1013904223;
		/* A third of each end of the range is cut off. */
		int alpha = (int)(random >> 24) * 3 - 255;
		alpha = alpha < 0 ? 0 : alpha > 255 ? 255 : alpha;
		for (uint64_t k = 0; k < 3; k++) {
			at[i + k] = (uint8_t)(((random >> (8 * k)) & 0xff) * (uint32_t)alpha / 255);
		}
		at[i + 3] = (uint8_t)alpha;
	}
}

/* ---- Work ---------------------------------------------------------------------------------- */

struct stile_fence *buffer_submit(struct stile_swgpu_queue *queue, struct stile_swgpu_list *list) {
	struct stile_fence *fence;
	if (stile_swgpu_submit(queue, list, NULL, &fence) < 0) {
		abort();
	}
	return fence;
}

void buffer_finish(struct stile_fence *fence) {
	if (stile_fence_wait(fence, INT64_MAX) < 0 || stile_fence_get_status(fence) != 1) {
		abort();
	}
	stile_fence_unref(fence);
}

int bench_buffer(void) {
	static int (*const parts[])(void) = {
		buffer_bench_engine,
		buffer_bench_picture,
		buffer_bench_submit,
		buffer_bench_import,
	};
	int ret = 0;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int part = parts[i]();
		if (part < 0) {
			fprintf(stderr, "buffer: some of it cannot be measured here: %s\n",
				strerror(-part));
			ret = part;
		}
	}
	return ret;
}
