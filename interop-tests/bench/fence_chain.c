/* SPDX-License-Identifier: MIT */
/*
 * Long chains of which somebody listens to each point. The obvious way, for comparison: each point
 * looks for the first fence that is pending, and looks again once that was signalled. Where the
 * newest is signalled first, all points come to wait for the same fences.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <stile/chain.h>

#include "interop-tests/bench/fence.h"

enum { POINTS_MAX = 100000, LENGTHS_MAX = 3, RUNS = 7, STACK_BYTES = 64 << 20 };

enum order { IN_ORDER, IN_REVERSE, AT_RANDOM, ORDERS };

static const char *const order_names[ORDERS] = { "in order", "in reverse", "at random" };

/* One node of the chain that does it the obvious way. */
struct obvious {
	struct stile_fence base;
	struct stile_callback callback;
	struct obvious *prev;
	struct stile_fence *contained;
};

static struct stile_fence contained[POINTS_MAX];
static struct stile_fence *points[POINTS_MAX];
static struct obvious obvious[POINTS_MAX];
static size_t turns[POINTS_MAX]; /* which fence is signalled when */

static void shuffle(enum order order, size_t n) {
	uint64_t state = 1;
	for (size_t i = 0; i < n; i++) {
		turns[i] = order == IN_REVERSE ? n - 1 - i : i;
	}
	for (size_t i = n; order == AT_RANDOM && i > 1; i--) {
		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		size_t at = (size_t)((state >> 33) % i), swapped = turns[at];
		turns[at] = turns[i - 1];
		turns[i - 1] = swapped;
	}
}

static void signal_contained(size_t n) {
	for (size_t i = 0; i < n; i++) {
		stile_fence_signal(&contained[turns[i]]);
	}
}

/* ---- Ours ----------------------------------------------------------------------------------- */

static void chain_create(size_t n) {
	for (size_t i = 0; i < n; i++) {
		struct stile_chain *chain;
		if (stile_chain_alloc(&chain) < 0) {
			abort();
		}
		fence_make(&contained[i], 1, i + 1);
		struct stile_fence *prev = i > 0 ? stile_fence_ref(points[i - 1]) : NULL;
		points[i] = stile_chain_init(chain, prev, &contained[i], i + 1);
	}
}

/* ns a point for having somebody listen to each, and for ending it. */
static double chain_run(size_t n) {
	chain_create(n);
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		stile_fence_enable_signaling(points[i]);
	}
	signal_contained(n);
	int64_t ended = bench_now();
	for (size_t i = 0; i < n; i++) {
		if (!stile_fence_is_signaled(points[i])) {
			abort();
		}
		stile_fence_unref(points[i]);
	}
	return (double)(ended - began) / (double)n;
}

/* ---- The obvious way ------------------------------------------------------------------------ */

static void obvious_search(struct stile_fence *fence, struct stile_callback *callback);

static void obvious_listen(struct obvious *point) {
	struct obvious *at = point;
	while (at != NULL &&
		stile_fence_add_callback(at->contained, &point->callback, obvious_search) < 0) {
		if (at != point) {
			point->prev = at->prev; /* never to be looked at again */
		}
		at = point->prev;
	}
	if (at == NULL) {
		stile_fence_signal(&point->base);
	}
}

static void obvious_search(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	char *node = (char *)callback - offsetof(struct obvious, callback);
	obvious_listen((struct obvious *)(void *)node);
}

static double obvious_run(size_t n) {
	for (size_t i = 0; i < n; i++) {
		fence_make(&contained[i], 1, i + 1);
		fence_make(&obvious[i].base, 2, i + 1);
		obvious[i].prev = i > 0 ? &obvious[i - 1] : NULL;
		obvious[i].contained = &contained[i];
	}
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		obvious_listen(&obvious[i]);
	}
	signal_contained(n);
	int64_t ended = bench_now();
	for (size_t i = 0; i < n; i++) {
		if (!stile_fence_is_signaled(&obvious[i].base)) {
			abort();
		}
	}
	return (double)(ended - began) / (double)n;
}

/* ---- Rows ----------------------------------------------------------------------------------- */

struct plan {
	const char *what;
	double (*run)(size_t n);
	enum order order;
	size_t lengths[LENGTHS_MAX];
	size_t count;
	size_t points; /* in all the chains of one sample */
};

/* In turns. */
static void measure(const struct plan *plan, double *medians) {
	static double samples[LENGTHS_MAX][RUNS];
	for (size_t i = 0; i < RUNS; i++) {
		for (size_t k = 0; k < plan->count; k++) {
			size_t n = plan->lengths[k], repeats = plan->points / n;
			shuffle(plan->order, n);
			double sum = 0;
			for (size_t j = 0; j < repeats; j++) {
				sum += plan->run(n);
			}
			samples[k][i] = sum / (double)repeats;
		}
	}
	for (size_t k = 0; k < plan->count; k++) {
		medians[k] = bench_median(samples[k], RUNS);
	}
}

/* The longest is compared with the one before. */
static void report_plan(const struct plan *plan, double limit, const char *goal) {
	double medians[LENGTHS_MAX];
	measure(plan, medians);
	for (size_t k = 0; k < plan->count; k++) {
		struct bench_row row = { .value = medians[k], .unit = "ns" };
		char baseline[32] = "";
		if (k > 0 && k == plan->count - 1) {
			snprintf(
				baseline, sizeof(baseline), "a point of %zu", plan->lengths[k - 1]);
			row.baseline = medians[k - 1];
			row.ratio = medians[k] / medians[k - 1];
			row.goal = goal;
			row.met = row.ratio <= limit;
		}
		row.baseline_name = baseline;
		snprintf(row.name, sizeof(row.name), "%s of %zu, %s", plan->what, plan->lengths[k],
			order_names[plan->order]);
		fence_report(row);
	}
}

/* ---- The stack ------------------------------------------------------------------------------ */

static void *run_orders(void *data) {
	size_t n = *(const size_t *)data;
	for (enum order order = IN_ORDER; order < ORDERS; order++) {
		shuffle(order, n);
		(void)chain_run(n);
	}
	return NULL;
}

/* How much of its stack a thread uses on a chain of n points, in bytes. */
static int measure_stack(size_t n, double *used) {
	unsigned char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (stack == MAP_FAILED) {
		return -errno;
	}
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, stack, STACK_BYTES);
	int ret = pthread_create(&thread, &attributes, run_orders, &n);
	if (ret == 0) {
		pthread_join(thread, NULL);
		/* It grows downwards; what was never written is zero. */
		size_t unused = 0;
		while (unused < STACK_BYTES && stack[unused] == 0) {
			unused++;
		}
		*used = (double)(STACK_BYTES - unused);
	}
	pthread_attr_destroy(&attributes);
	munmap(stack, STACK_BYTES);
	return -ret;
}

static int report_stack(void) {
	double value, baseline;
	int ret = measure_stack(1000, &baseline);
	if (ret == 0) {
		ret = measure_stack(POINTS_MAX, &value);
	}
	if (ret == 0) {
		fence_report((struct bench_row){
			.name = "stack for a chain of 100000",
			.value = value,
			.unit = "bytes",
			.baseline_name = "for one of 1000",
			.baseline = baseline,
			.ratio = value / baseline,
			.goal = "value <= 1.1 x baseline",
			.met = value <= 1.1 * baseline,
		});
	}
	return ret;
}

int fence_bench_chain(void) {
	for (enum order order = IN_ORDER; order < ORDERS; order++) {
		struct plan plan = {
			.what = "chain",
			.run = chain_run,
			.order = order,
			.lengths = { 1000, 10000, POINTS_MAX },
			.count = 3,
			.points = POINTS_MAX,
		};
		bool random = order == AT_RANDOM;
		report_plan(&plan, random ? 2 : 1.5,
			random ? "value <= 2 x baseline" : "value <= 1.5 x baseline");
	}
	struct plan plan = {
		.what = "obvious chain",
		.run = obvious_run,
		.order = IN_REVERSE,
		.lengths = { 2000, 4000 },
		.count = 2,
		.points = 4000,
	};
	report_plan(&plan, 0, NULL);
	return report_stack();
}
