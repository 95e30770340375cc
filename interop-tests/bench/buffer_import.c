/* SPDX-License-Identifier: MIT */
/* What it costs to use a buffer that is known, and whose storage is there. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stile/attachment.h>
#include <stile/device.h>

#include "interop-tests/bench/buffer.h"
#include "interop-tests/bench/fence.h"

enum { BYTES = 1 << 20 };

struct known {
	struct stile_device *device;
	struct stile_buffer *buffer;
	int fd;
};

/* ---- Imported ------------------------------------------------------------------------------ */

#define USAGE ((uint32_t)(STILE_USAGE_READ | STILE_USAGE_WRITE))

/* The imports alone: each gives one more reference on the same object, given up when they are measured. */
static void give_up(struct stile_buffer *buffer, size_t n) {
	for (size_t i = 0; i < n; i++) {
		stile_buffer_unref(buffer);
	}
}

static int64_t run_import_by_fd(void *data, size_t n) {
	const struct known *known = data;
	struct stile_buffer *buffer;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		if (stile_buffer_import_fd(known->device, known->fd, USAGE, NULL, &buffer) < 0) {
			abort();
		}
	}
	int64_t took = bench_now() - began;
	give_up(known->buffer, n);
	return took;
}

static int64_t run_fstat(void *data, size_t n) {
	const struct known *known = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		struct stat st;
		if (fstat(known->fd, &st) < 0) {
			abort();
		}
	}
	return bench_now() - began;
}

static int64_t run_import(void *data, size_t n) {
	const struct known *known = data;
	struct stile_buffer *buffer;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		if (stile_buffer_import(known->device, known->buffer, USAGE, NULL, &buffer) < 0) {
			abort();
		}
	}
	int64_t took = bench_now() - began;
	give_up(known->buffer, n);
	return took;
}

static void measure_import(struct known *known) {
	struct bench_way ways[] = {
		{ .run = run_import_by_fd, .data = known },
		{ .run = run_fstat, .data = known },
		{ .run = run_import, .data = known },
	};
	bench_measure(ways, 3);
	buffer_report((struct bench_row){
		.name = "import of a known buffer by fd",
		.value = ways[0].median,
		.unit = "ns",
		.baseline_name = "fstat",
		.baseline = ways[1].median,
		.ratio = ways[0].median / ways[1].median,
		.goal = "value <= 2 x baseline",
		.met = ways[0].median <= 2 * ways[1].median,
	});
	buffer_report((struct bench_row){
		.name = "import by stile_buffer",
		.value = ways[2].median,
		.unit = "ns",
		.goal = "value <= 100 ns",
		.met = ways[2].median <= 100,
	});
}

/* ---- Attached ------------------------------------------------------------------------------ */

static struct stile_attachment *attach(const struct known *known) {
	struct stile_attach_info info = {
		.size = sizeof(info), .device = known->device, .usage = USAGE
	};
	struct stile_attachment *attachment;
	if (stile_buffer_attach(known->buffer, &info, NULL, &attachment) < 0) {
		abort();
	}
	return attachment;
}

static const struct stile_sg *map(struct stile_attachment *attachment) {
	const struct stile_sg *sg;
	if (stile_attachment_map_unlocked(attachment, STILE_BIDIRECTIONAL, INT64_MAX, NULL, &sg) <
		0) {
		abort();
	}
	return sg;
}

static int64_t run_life(void *data, size_t n) {
	const struct known *known = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		struct stile_attachment *attachment = attach(known);
		const struct stile_sg *sg = map(attachment);
		stile_attachment_unmap_unlocked(attachment, sg, STILE_BIDIRECTIONAL);
		stile_buffer_detach(known->buffer, attachment);
	}
	return bench_now() - began;
}

static int64_t run_map(void *data, size_t n) {
	struct stile_attachment *attachment = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		const struct stile_sg *sg = map(attachment);
		stile_attachment_unmap_unlocked(attachment, sg, STILE_BIDIRECTIONAL);
	}
	return bench_now() - began;
}

static void measure_attach(struct known *known) {
	struct bench_way life = { .run = run_life, .data = known };
	bench_measure(&life, 1);
	buffer_report((struct bench_row){
		.name = "attach, map, unmap, detach",
		.value = life.median,
		.unit = "ns",
		.goal = "value <= 300 ns",
		.met = life.median <= 300,
	});
	struct stile_attachment *attachment = attach(known);
	struct bench_way ways[] = {
		{ .run = run_life, .data = known },
		{ .run = run_map, .data = attachment },
	};
	bench_measure(ways, 2);
	buffer_report((struct bench_row){
		.name = "the same, the device being attached",
		.value = ways[0].median,
		.unit = "ns",
	});
	buffer_report((struct bench_row){
		.name = "map, unmap",
		.value = ways[1].median,
		.unit = "ns",
	});
	stile_buffer_detach(known->buffer, attachment);
}

int buffer_bench_import(void) {
	struct known known;
	int ret = stile_device_open("swgpu", NULL, &known.device);
	if (ret < 0) {
		return ret;
	}
	known.buffer = buffer_create(known.device, BYTES);
	/* The storage is there from here on. */
	ret = stile_buffer_export_fd(known.buffer, USAGE, &known.fd);
	if (ret == 0) {
		fence_pin(0);
		measure_import(&known);
		measure_attach(&known);
		fence_unpin();
		close(known.fd);
	}
	stile_buffer_unref(known.buffer);
	stile_device_destroy(known.device);
	return ret;
}
