/* SPDX-License-Identifier: MIT */
/* What fences cost. The parts are in fence_*.c. */
#include "interop-tests/bench/fence.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *bench_name(struct stile_fence *fence) {
	(void)fence;
	return "bench";
}

static void bench_free(struct stile_fence *fence) {
	free(fence);
}

static const struct stile_fence_ops static_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = bench_name,
	.get_timeline_name = bench_name,
};

static const struct stile_fence_ops heap_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = bench_name,
	.get_timeline_name = bench_name,
	.release = bench_free,
};

void fence_make(struct stile_fence *fence, uint64_t context, uint64_t seqno) {
	if (stile_fence_init(fence, &static_ops, context, seqno) < 0) {
		abort();
	}
}

struct stile_fence *fence_create(uint64_t context, uint64_t seqno) {
	struct stile_fence *fence = malloc(sizeof(*fence));
	if (fence == NULL || stile_fence_init(fence, &heap_ops, context, seqno) < 0) {
		abort();
	}
	return fence;
}

static cpu_set_t allowed;

__attribute__((constructor)) static void find_processors(void) {
	sched_getaffinity(0, sizeof(allowed), &allowed);
}

void fence_pin(size_t n) {
	size_t count = (size_t)CPU_COUNT(&allowed);
	size_t left = count > 0 ? n % count : 0;
	cpu_set_t one;
	CPU_ZERO(&one);
	for (size_t i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &allowed) && left-- == 0) {
			CPU_SET(i, &one);
			break;
		}
	}
	sched_setaffinity(0, sizeof(one), &one);
}

void fence_unpin(void) {
	sched_setaffinity(0, sizeof(allowed), &allowed);
}

void fence_report(struct bench_row row) {
	row.group = "fence";
	row.unit = row.unit == NULL ? "" : row.unit;
	row.baseline_name = row.baseline_name == NULL ? "" : row.baseline_name;
	row.met = row.goal == NULL || row.met;
	row.goal = row.goal == NULL ? "" : row.goal;
	bench_report(&row);
}

void fence_report_way(const char *name, const struct bench_way *way, const char *goal, bool met) {
	struct bench_row row = { .value = way->median, .unit = "ns", .goal = goal, .met = met };
	snprintf(row.name, sizeof(row.name), "%s", name);
	fence_report(row);
	row = (struct bench_row){ .value = way->p99, .unit = "ns" };
	snprintf(row.name, sizeof(row.name), "%s, p99", name);
	fence_report(row);
}

int bench_fence(void) {
	static int (*const parts[])(void) = {
		fence_bench_wake, /* first, since it starts other processes */
		fence_bench_seqno,
		fence_bench_life,
		fence_bench_core,
		fence_bench_many,
		fence_bench_chain,
		fence_bench_grace,
	};
	int ret = 0;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int part = parts[i]();
		if (part < 0) {
			fprintf(stderr, "fence: some of it cannot be measured here: %s\n",
				strerror(-part));
			ret = part;
		}
	}
	return ret;
}
