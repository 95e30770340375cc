/* SPDX-License-Identifier: MIT */
/* A fence from its making to its release, also while another thread looks at slots. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "interop-tests/bench/fence.h"

/* ---- Made, signalled, dropped --------------------------------------------------------------- */

static uint64_t context;

static int64_t run_static(void *data, size_t n) {
	struct stile_fence *fence = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		fence_make(fence, context, i);
		stile_fence_signal(fence);
		stile_fence_unref(fence);
	}
	return bench_now() - began;
}

static int64_t run_eventfd(void *data, size_t n) {
	(void)data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		int fd = eventfd(0, EFD_CLOEXEC);
		if (fd < 0 || eventfd_write(fd, 1) < 0) {
			abort();
		}
		close(fd);
	}
	return bench_now() - began;
}

static int64_t run_heap(void *data, size_t n) {
	(void)data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		struct stile_fence *fence = fence_create(context, i);
		stile_fence_signal(fence);
		stile_fence_unref(fence);
	}
	return bench_now() - began;
}

static void measure_life(void) {
	struct stile_fence fence;
	struct bench_way ways[] = {
		{ .run = run_static, .data = &fence },
		{ .run = run_eventfd },
		{ .run = run_heap },
	};
	bench_measure(ways, 3);
	double ratio = ways[1].median / ways[0].median;
	fence_report_way(
		"life: init, signal, unref", &ways[0], "value <= 60 ns", ways[0].median <= 60);
	fence_report((struct bench_row){
		.name = "life against an eventfd's",
		.value = ways[0].median,
		.unit = "ns",
		.baseline_name = "eventfd, write, close",
		.baseline = ways[1].median,
		.ratio = ratio,
		.goal = "baseline >= 10 x value",
		.met = ratio >= 10,
	});
	fence_report_way("life on the heap", &ways[2], NULL, true);
}

/* ---- The same while another thread looks at slots ------------------------------------------- */

struct reader {
	pthread_t thread;
	struct stile_fence *slot;
	int64_t pause_ns; /* between two looks */
	bool stop;
	uint64_t looks;
};

static _Thread_local struct stile_fence *dropping;
static double looks_per_us;
static uint64_t dropped;
static uint64_t late; /* released by another thread, or another unref, than the last */

static const char *counted_name(struct stile_fence *fence) {
	(void)fence;
	return "counted";
}

static void counted_free(struct stile_fence *fence) {
	if (fence != dropping) {
		__atomic_fetch_add(&late, 1, __ATOMIC_RELAXED);
	}
	free(fence);
}

static const struct stile_fence_ops counted_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = counted_name,
	.get_timeline_name = counted_name,
	.release = counted_free,
};

/* Each goes through a slot if there is one: only then can others have seen it. */
static int64_t run_counted(void *data, size_t n) {
	struct stile_fence **slot = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		struct stile_fence *fence = malloc(sizeof(*fence));
		if (fence == NULL || stile_fence_init(fence, &counted_ops, context, i) < 0) {
			abort();
		}
		stile_fence_signal(fence);
		dropping = slot == NULL ? fence : stile_fence_exchange_slot(slot, fence);
		stile_fence_unref(dropping);
		dropping = NULL;
	}
	dropped += n;
	return bench_now() - began;
}

static void *read_slot(void *data) {
	struct reader *reader = data;
	fence_pin(1);
	while (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED)) {
		stile_fence_unref(stile_fence_ref_slot(&reader->slot));
		reader->looks++;
		int64_t until = reader->pause_ns == 0 ? 0 : bench_now() + reader->pause_ns;
		while (until != 0 && bench_now() < until) {
		}
	}
	return NULL;
}

static int measure_reclaim(struct bench_way *way, int64_t pause_ns) {
	struct reader reader = { .pause_ns = pause_ns };
	(void)stile_fence_exchange_slot(&reader.slot, fence_create(context, 1));
	int ret = pthread_create(&reader.thread, NULL, read_slot, &reader);
	if (ret == 0) {
		dropped = 0;
		late = 0;
		fence_pin(0);
		int64_t began = bench_now();
		bench_measure(way, 1);
		int64_t ended = bench_now();
		fence_unpin();
		__atomic_store_n(&reader.stop, true, __ATOMIC_RELAXED);
		pthread_join(reader.thread, NULL);
		looks_per_us = (double)reader.looks * 1e3 / (double)(ended - began);
	}
	stile_fence_unref(stile_fence_exchange_slot(&reader.slot, NULL));
	return -ret;
}

static void report_reader(const char *how) {
	struct bench_row row = {
		.value = 100.0 * (double)late / (double)dropped,
		.unit = "%",
	};
	snprintf(row.name, sizeof(row.name), "released later, looks %s", how);
	fence_report(row);
	row = (struct bench_row){ .value = looks_per_us, .unit = "a us" };
	snprintf(row.name, sizeof(row.name), "looks %s", how);
	fence_report(row);
}

/* Another thread looks at another slot: a million times a second, or all the time. */
static int measure_reclaims(void) {
	struct stile_fence *slot = NULL;
	struct bench_way with_slot = { .run = run_counted, .data = &slot };
	struct bench_way without = { .run = run_counted };
	int ret = measure_reclaim(&with_slot, 1000);
	if (ret == 0) {
		fence_report_way("life through a slot, looks at 1 MHz", &with_slot,
			"value <= 120 ns", with_slot.median <= 120);
		report_reader("at 1 MHz");
		ret = measure_reclaim(&with_slot, 0);
	}
	if (ret == 0) {
		fence_report_way("life through a slot, looks all the time", &with_slot, NULL, true);
		report_reader("all the time");
		ret = measure_reclaim(&without, 0);
	}
	if (ret == 0) {
		fence_report_way("life without a slot, looks all the time", &without, NULL, true);
	}
	stile_fence_unref(stile_fence_exchange_slot(&slot, NULL));
	return ret;
}

int fence_bench_life(void) {
	context = stile_fence_context_alloc(1);
	measure_life();
	return measure_reclaims();
}
