/* SPDX-License-Identifier: MIT */
/* Very many pending fences: what one takes, and what it costs to end it. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "interop-tests/bench/fence.h"

enum { MANY = 1000000, CONTEXTS = 1000, FEW = 1000, RUNS = 5 };

static uint64_t contexts;

/* Its contexts take turns. */
static void create(struct stile_fence **fences, size_t n) {
	for (size_t i = 0; i < n; i++) {
		fences[i] = fence_create(contexts + i % CONTEXTS, i / CONTEXTS + 1);
	}
}

/* ns for each. */
static double signal_all(struct stile_fence **fences, size_t n) {
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		stile_fence_signal(fences[i]);
	}
	return (double)(bench_now() - began) / (double)n;
}

static void drop_all(struct stile_fence **fences, size_t n) {
	for (size_t i = 0; i < n; i++) {
		stile_fence_unref(fences[i]);
	}
}

/* As many as of the large number altogether, so that both take as long. */
static double signal_few(struct stile_fence **fences) {
	double sum = 0;
	for (size_t i = 0; i < MANY / FEW; i++) {
		create(fences, FEW);
		sum += signal_all(fences, FEW);
		drop_all(fences, FEW);
	}
	return sum / (MANY / FEW);
}

static size_t allocated(void) {
	struct mallinfo2 info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

static void report_size(size_t bytes) {
	double value = (double)bytes / MANY;
	fence_report((struct bench_row){
		.name = "memory of each of 1000000 fences",
		.value = value,
		.unit = "bytes",
		.goal = "value <= 128",
		.met = value <= 128,
	});
}

int fence_bench_many(void) {
	struct stile_fence **fences = malloc(MANY * sizeof(struct stile_fence *));
	if (fences == NULL) {
		abort();
	}
	/* The pages of the array are to be there. */
	memset(fences, 0xff, MANY * sizeof(struct stile_fence *));
	contexts = stile_fence_context_alloc(CONTEXTS);
	double many[RUNS], few[RUNS];
	size_t bytes = 0;
	for (size_t i = 0; i < RUNS; i++) {
		few[i] = signal_few(fences);
		size_t before = allocated();
		create(fences, MANY);
		bytes = allocated() - before;
		many[i] = signal_all(fences, MANY);
		drop_all(fences, MANY);
	}
	free(fences);
	report_size(bytes);
	double value = bench_median(many, RUNS), baseline = bench_median(few, RUNS);
	fence_report((struct bench_row){
		.name = "signal of each of 1000000 fences",
		.value = value,
		.unit = "ns",
		.baseline_name = "of each of 1000",
		.baseline = baseline,
		.ratio = value / baseline,
		.goal = "value <= 1.3 x baseline",
		.met = value <= 1.3 * baseline,
	});
	return 0;
}
