/* SPDX-License-Identifier: MIT */
/* Bytes of buffers, by one engine and by two, against as many threads that do the same by libc. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <stile/device.h>
#include <stile/swgpu_list.h>

#include "interop-tests/bench/buffer.h"

enum { THREADS = 2, BYTES = 64 << 20 };

#define GOAL "value >= 0.9 x baseline", 0.9

enum what { SET, SET_BYTE, COPY };

/* Not of one byte repeated: memset() could not do it, and wmemset() is as fast. */
#define PATTERN 0x00ff8040u
#define PATTERN_OF_BYTE 0x40404040u

/* What one of the threads has to do. */
struct part {
	uint64_t bytes;
	struct stile_swgpu_queue *queue;
	struct stile_buffer *from, *to;
	void *from_memory, *to_memory;
};

struct work {
	struct stile_device *device;
	enum what what;
	size_t count;
	struct part parts[THREADS];
	/* The second thread of libc's. */
	pthread_t thread;
	sem_t go, done;
	bool stop;
};

/* ---- By the software GPU ------------------------------------------------------------------- */

static uint32_t get_value(const struct work *work) {
	return work->what == SET ? PATTERN : PATTERN_OF_BYTE;
}

static void record(
	const struct work *work, const struct part *part, struct stile_swgpu_list *list) {
	struct stile_swgpu_strided copy = {
		.size = sizeof(copy),
		.from = part->from,
		.to = part->to,
		.from_pitch = part->bytes,
		.to_pitch = part->bytes,
		.row_bytes = part->bytes,
		.rows = 1,
	};
	int ret = work->what == COPY
		? stile_swgpu_list_copy_buffer(list, &copy)
		: stile_swgpu_list_fill_buffer(list, part->to, 0, part->bytes, get_value(work));
	if (ret < 0) {
		abort();
	}
}

static int64_t run_engines(void *data, size_t n) {
	const struct work *work = data;
	struct stile_fence *fences[THREADS];
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < work->count; k++) {
			struct stile_swgpu_list *list;
			if (stile_swgpu_list_create(work->device, &list) < 0) {
				abort();
			}
			record(work, &work->parts[k], list);
			fences[k] = buffer_submit(work->parts[k].queue, list);
		}
		for (size_t k = 0; k < work->count; k++) {
			buffer_finish(fences[k]);
		}
	}
	return bench_now() - began;
}

/* ---- By libc ------------------------------------------------------------------------------- */

static void do_part(const struct work *work, const struct part *part) {
	switch (work->what) {
	case SET:
		wmemset(part->to_memory, (wchar_t)PATTERN, part->bytes / sizeof(wchar_t));
		break;
	case SET_BYTE:
		memset(part->to_memory, PATTERN_OF_BYTE & 0xff, part->bytes);
		break;
	default:
		memcpy(part->to_memory, part->from_memory, part->bytes);
		break;
	}
}

static void wait_for(sem_t *sem) {
	while (sem_wait(sem) < 0 && errno == EINTR) {
	}
}

static void *run_second(void *data) {
	struct work *work = data;
	for (;;) {
		wait_for(&work->go);
		if (work->stop) {
			return NULL;
		}
		do_part(work, &work->parts[1]);
		sem_post(&work->done);
	}
}

static int64_t run_libc(void *data, size_t n) {
	struct work *work = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		if (work->count > 1) {
			sem_post(&work->go);
		}
		do_part(work, &work->parts[0]);
		if (work->count > 1) {
			wait_for(&work->done);
		}
	}
	return bench_now() - began;
}

/* ---- Rows ---------------------------------------------------------------------------------- */

static void *map(struct stile_buffer *buffer) {
	void *memory;
	if (stile_buffer_mmap(buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, &memory) < 0) {
		abort();
	}
	return memory;
}

static void part_init(struct part *part, struct stile_device *device, uint64_t bytes) {
	part->bytes = bytes;
	part->from = buffer_create(device, bytes);
	part->to = buffer_create(device, bytes);
	part->from_memory = map(part->from);
	part->to_memory = map(part->to);
	buffer_draw(part->from_memory, bytes);
	if (stile_swgpu_queue_create(device, NULL, &part->queue) < 0) {
		abort();
	}
}

static void part_finish(struct part *part) {
	stile_swgpu_queue_destroy(part->queue);
	stile_buffer_munmap(part->from, part->from_memory);
	stile_buffer_munmap(part->to, part->to_memory);
	stile_buffer_unref(part->from);
	stile_buffer_unref(part->to);
}

/* What the engines did was done. */
static void check(struct work *work) {
	for (size_t i = 0; i < work->count; i++) {
		memset(work->parts[i].to_memory, 1, work->parts[i].bytes);
	}
	(void)run_engines(work, 1);
	for (size_t i = 0; i < work->count; i++) {
		struct part *part = &work->parts[i];
		const uint32_t *to = part->to_memory, *from = part->from_memory;
		for (uint64_t k = 0; k < part->bytes / sizeof(*to); k++) {
			if (to[k] != (work->what == COPY ? from[k] : get_value(work))) {
				abort();
			}
		}
	}
}

static void measure(struct work *work, enum what what) {
	static const struct {
		const char *name;
		struct buffer_goal goal;
	} rows[][THREADS] = {
		[SET] = {
			{ "fill of 64 MiB", { "wmemset", GOAL } },
			{ "fill of 64 MiB, 2 queues", { "wmemset, 2 threads", GOAL } },
		},
		[SET_BYTE] = {
			{ "fill of 64 MiB, one byte", { "memset", GOAL } },
			{ "fill of 64 MiB, one byte, 2 queues", { "memset, 2 threads", GOAL } },
		},
		[COPY] = {
			{ "copy of 64 MiB", { "memcpy", GOAL } },
			{ "copy of 64 MiB, 2 queues", { "memcpy, 2 threads", GOAL } },
		},
	};
	struct bench_way ways[] = {
		{ .run = run_engines, .data = work },
		{ .run = run_libc, .data = work },
	};
	work->what = what;
	check(work);
	bench_measure(ways, 2);
	buffer_report_rate(rows[what][work->count - 1].name, BYTES, &ways[0], &ways[1],
		&rows[what][work->count - 1].goal);
}

/* On so many threads, each of which has a part of the bytes. */
static int measure_threads(struct stile_device *device, size_t count) {
	static struct work work;
	work = (struct work){ .device = device, .count = count };
	sem_init(&work.go, 0, 0);
	sem_init(&work.done, 0, 0);
	int ret = -pthread_create(&work.thread, NULL, run_second, &work);
	if (ret == 0) {
		for (size_t i = 0; i < count; i++) {
			part_init(&work.parts[i], device, BYTES / count);
		}
		measure(&work, SET_BYTE);
		measure(&work, SET);
		measure(&work, COPY);
		for (size_t i = 0; i < count; i++) {
			part_finish(&work.parts[i]);
		}
		work.stop = true;
		sem_post(&work.go);
		pthread_join(work.thread, NULL);
	}
	sem_destroy(&work.go);
	sem_destroy(&work.done);
	return ret;
}

int buffer_bench_engine(void) {
	struct stile_device_info info = { .size = sizeof(info), .options = "engines=2" };
	struct stile_device *device;
	int ret = stile_device_open("swgpu", &info, &device);
	if (ret < 0) {
		return ret;
	}
	for (size_t count = 1; count <= THREADS && ret == 0; count++) {
		ret = measure_threads(device, count);
	}
	stile_device_destroy(device);
	return ret;
}
