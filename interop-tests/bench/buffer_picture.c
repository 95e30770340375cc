/* SPDX-License-Identifier: MIT */
/* Pictures: put onto each other, against pixman called directly; between layouts, against memcpy(). */
#include <stdlib.h>
#include <string.h>

#include <pixman.h>

#include <stile/device.h>
#include <stile/swgpu_list.h>
#include <stile/swgpu_modifier.h>

#include "interop-tests/bench/buffer.h"

/* One picture, and another of which it is made. */
struct pair {
	struct stile_device *device;
	struct stile_image *from, *to;
};

static uint32_t get_pitch(const struct stile_image *image) {
	return stile_image_get_info(image)->planes[0].pitch;
}

static struct stile_swgpu_list *begin(const struct pair *pair) {
	struct stile_swgpu_list *list;
	if (stile_swgpu_list_create(pair->device, &list) < 0) {
		abort();
	}
	return list;
}

static void run(const struct pair *pair, struct stile_swgpu_list *list) {
	buffer_finish(buffer_submit(stile_swgpu_get_queue(pair->device), list));
}

/* ---- Put onto each other ------------------------------------------------------------------- */

enum { WIDTH = 1920, HEIGHT = 1080 };

struct pixman {
	pixman_image_t *from, *to;
};

static int64_t run_composite(void *data, size_t n) {
	const struct pair *pair = data;
	struct stile_swgpu_composite composite = {
		.size = sizeof(composite),
		.from = pair->from,
		.to = pair->to,
		.op = STILE_SWGPU_OVER,
		.filter = STILE_SWGPU_NEAREST,
		.alpha = 255,
	};
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		struct stile_swgpu_list *list = begin(pair);
		if (stile_swgpu_list_composite(list, &composite) < 0) {
			abort();
		}
		run(pair, list);
	}
	return bench_now() - began;
}

static int64_t run_pixman(void *data, size_t n) {
	const struct pixman *pixman = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		pixman_image_composite32(PIXMAN_OP_OVER, pixman->from, NULL, pixman->to, 0, 0, 0, 0,
			0, 0, WIDTH, HEIGHT);
	}
	return bench_now() - began;
}

/* The same memory, as pixman sees it. */
static pixman_image_t *wrap(struct stile_image *image, void *pixels) {
	pixman_image_t *wrapped = pixman_image_create_bits_no_clear(
		PIXMAN_a8r8g8b8, WIDTH, HEIGHT, pixels, (int)get_pitch(image));
	if (wrapped == NULL) {
		abort();
	}
	return wrapped;
}

static void measure_composite(struct stile_device *device) {
	struct pair pair = {
		.device = device,
		.from = buffer_create_image(device, WIDTH, HEIGHT, DRM_FORMAT_MOD_LINEAR),
		.to = buffer_create_image(device, WIDTH, HEIGHT, DRM_FORMAT_MOD_LINEAR),
	};
	void *from = buffer_map_image(pair.from), *to = buffer_map_image(pair.to);
	struct pixman pixman = { .from = wrap(pair.from, from), .to = wrap(pair.to, to) };
	struct bench_way ways[] = {
		{ .run = run_composite, .data = &pair },
		{ .run = run_pixman, .data = &pixman },
	};
	buffer_draw(from, (uint64_t)get_pitch(pair.from) * HEIGHT);
	buffer_draw(to, (uint64_t)get_pitch(pair.to) * HEIGHT);
	bench_measure(ways, 2);
	buffer_report((struct bench_row){
		.name = "composite of 1920x1080 over another",
		.value = ways[0].median / 1e3,
		.unit = "us",
		.baseline_name = "pixman called directly",
		.baseline = ways[1].median / 1e3,
		.ratio = ways[0].median / ways[1].median,
		.goal = "value <= 1.05 x baseline",
		.met = ways[0].median <= 1.05 * ways[1].median,
	});
	pixman_image_unref(pixman.from);
	pixman_image_unref(pixman.to);
	buffer_unmap_image(pair.from, from);
	buffer_unmap_image(pair.to, to);
	stile_image_unref(pair.from);
	stile_image_unref(pair.to);
}

/* ---- Between layouts ----------------------------------------------------------------------- */

enum { LARGE_WIDTH = 3840, LARGE_HEIGHT = 2160 };

struct bytes {
	void *from, *to;
	uint64_t count;
};

static int64_t run_copy(void *data, size_t n) {
	const struct pair *pair = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		struct stile_swgpu_list *list = begin(pair);
		if (stile_swgpu_list_copy(list, pair->from, pair->to) < 0) {
			abort();
		}
		run(pair, list);
	}
	return bench_now() - began;
}

static int64_t run_memcpy(void *data, size_t n) {
	const struct bytes *bytes = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		memcpy(bytes->to, bytes->from, bytes->count);
	}
	return bench_now() - began;
}

/* A picture that went there and back is the same. */
static void check(struct pair *write, struct pair *read, const struct bytes *bytes) {
	memset(bytes->to, 1, bytes->count);
	(void)run_copy(write, 1);
	(void)run_copy(read, 1);
	if (memcmp(bytes->to, bytes->from, bytes->count) != 0) {
		abort();
	}
}

static void measure_layout(
	struct stile_device *device, uint64_t modifier, const char *into, const char *out_of) {
	static const struct buffer_goal goal = { "memcpy of the same bytes",
		"value >= 0.5 x baseline", 0.5 };
	struct stile_image *linear =
		buffer_create_image(device, LARGE_WIDTH, LARGE_HEIGHT, DRM_FORMAT_MOD_LINEAR);
	struct stile_image *other =
		buffer_create_image(device, LARGE_WIDTH, LARGE_HEIGHT, DRM_FORMAT_MOD_LINEAR);
	struct stile_image *tiled =
		buffer_create_image(device, LARGE_WIDTH, LARGE_HEIGHT, modifier);
	struct pair write = { .device = device, .from = linear, .to = tiled };
	struct pair read = { .device = device, .from = tiled, .to = other };
	struct bytes bytes = {
		.from = buffer_map_image(linear),
		.to = buffer_map_image(other),
		.count = (uint64_t)get_pitch(linear) * LARGE_HEIGHT,
	};
	struct bench_way ways[] = {
		{ .run = run_copy, .data = &write },
		{ .run = run_copy, .data = &read },
		{ .run = run_memcpy, .data = &bytes },
	};
	buffer_draw(bytes.from, bytes.count);
	check(&write, &read, &bytes);
	bench_measure(ways, 3);
	buffer_report_rate(into, bytes.count, &ways[0], &ways[2], &goal);
	buffer_report_rate(out_of, bytes.count, &ways[1], &ways[2], &goal);
	buffer_unmap_image(linear, bytes.from);
	buffer_unmap_image(other, bytes.to);
	stile_image_unref(linear);
	stile_image_unref(other);
	stile_image_unref(tiled);
}

int buffer_bench_picture(void) {
	struct stile_device *device;
	int ret = stile_device_open("swgpu", NULL, &device);
	if (ret < 0) {
		return ret;
	}
	measure_composite(device);
	measure_layout(device, STILE_SWGPU_MOD_TILED_ROWS, "copy of 4K, linear to TILED_ROWS",
		"copy of 4K, TILED_ROWS to linear");
	measure_layout(device, STILE_SWGPU_MOD_TILED_COLUMNS, "copy of 4K, linear to TILED_COLUMNS",
		"copy of 4K, TILED_COLUMNS to linear");
	stile_device_destroy(device);
	return 0;
}
