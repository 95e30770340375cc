/* SPDX-License-Identifier: MIT */
/*
 * Grace periods: a slot that some threads look at while another one replaces what is in it. Stile's
 * own, and liburcu's bulletproof flavour, which needs no registration of threads either.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "interop-tests/bench/fence.h"

#ifdef BENCH_HAVE_URCU
#define _LGPL_SOURCE /* readers inline, as is fastest */
#include <urcu/urcu-bp.h>
#endif

enum { RETIRED = 2000, PACE_NS = 5000 };

/* One way to do it. Objects of all are about as large. */
struct grace {
	/* Look at what is in the slot: a reference, given up at once. */
	void (*look)(void);
	/* Put a new object there, and give the old one up. */
	void (*replace)(void);
	/* What was given up has been released after this. */
	void (*settle)(void);
};

/* ns from giving up the reference to the release; only while `timed`. */
static double delays[RETIRED];
static size_t delay_count; /* all but the last, which is still in the slot */
static bool timed;

static void note_release(int64_t dropped_ns) {
	if (dropped_ns == 0) {
		return;
	}
	size_t at = __atomic_fetch_add(&delay_count, 1, __ATOMIC_RELAXED);
	if (at < RETIRED) {
		delays[at] = (double)(bench_now() - dropped_ns);
	}
}

/* ---- Stile's -------------------------------------------------------------------------------- */

struct own {
	struct stile_fence base;
	int64_t dropped_ns;
};

static struct stile_fence *own_slot;

static const char *own_name(struct stile_fence *fence) {
	(void)fence;
	return "own";
}

static void own_release(struct stile_fence *fence) {
	struct own *own = (struct own *)(void *)fence;
	note_release(own->dropped_ns);
	free(own);
}

static const struct stile_fence_ops own_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = own_name,
	.get_timeline_name = own_name,
	.release = own_release,
};

static void own_look(void) {
	stile_fence_unref(stile_fence_ref_slot(&own_slot));
}

static void own_replace(void) {
	struct own *own = malloc(sizeof(*own));
	if (own == NULL || stile_fence_init(&own->base, &own_ops, 1, 1) < 0) {
		abort();
	}
	own->dropped_ns = 0;
	struct stile_fence *old = stile_fence_exchange_slot(&own_slot, &own->base);
	if (old != NULL) {
		((struct own *)(void *)old)->dropped_ns = timed ? bench_now() : 0;
	}
	stile_fence_unref(old);
}

/* Without readers, the next look is the end of every grace period. */
static void own_settle(void) {
	own_look();
}

/* ---- liburcu's ------------------------------------------------------------------------------ */

#ifdef BENCH_HAVE_URCU
struct other {
	uint32_t refs;
	int64_t dropped_ns;
	struct rcu_head head;
	char fill[sizeof(struct stile_fence) - 2 * sizeof(int64_t) - sizeof(struct rcu_head)];
};

static struct other *other_slot;

static void other_release(struct rcu_head *head) {
	char *end = (char *)head - offsetof(struct other, head);
	struct other *other = (struct other *)(void *)end;
	note_release(other->dropped_ns);
	free(other);
}

static void other_unref(struct other *other) {
	if (other != NULL && __atomic_fetch_sub(&other->refs, 1, __ATOMIC_ACQ_REL) == 1) {
		urcu_bp_call_rcu(&other->head, other_release);
	}
}

static struct other *other_ref_slot(void) {
	urcu_bp_read_lock();
	struct other *other = __atomic_load_n(&other_slot, __ATOMIC_CONSUME);
	uint32_t refs = other == NULL ? 0 : __atomic_load_n(&other->refs, __ATOMIC_RELAXED);
	while (refs != 0 &&
		!__atomic_compare_exchange_n(
			&other->refs, &refs, refs + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
	}
	urcu_bp_read_unlock();
	return refs == 0 ? NULL : other;
}

static void other_look(void) {
	other_unref(other_ref_slot());
}

static void other_replace(void) {
	struct other *other = malloc(sizeof(*other));
	if (other == NULL) {
		abort();
	}
	other->refs = 1;
	other->dropped_ns = 0;
	struct other *old = __atomic_exchange_n(&other_slot, other, __ATOMIC_ACQ_REL);
	if (old != NULL) {
		old->dropped_ns = timed ? bench_now() : 0;
	}
	other_unref(old);
}

static void other_settle(void) {
	urcu_bp_barrier();
}
#endif

/* ---- Threads -------------------------------------------------------------------------------- */

static bool stop;
static const struct grace *current; /* which way the reader does it as well */

static void *run_reader(void *data) {
	fence_pin(1);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		__atomic_load_n(&current, __ATOMIC_RELAXED)->look();
	}
	return data;
}

static int start_reader(pthread_t *thread) {
	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	return -pthread_create(thread, NULL, run_reader, NULL);
}

static void stop_reader(pthread_t thread) {
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

static int64_t run_look(void *data, size_t n) {
	const struct grace *grace = data;
	__atomic_store_n(&current, grace, __ATOMIC_RELAXED);
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		grace->look();
	}
	return bench_now() - began;
}

static int64_t run_replace(void *data, size_t n) {
	const struct grace *grace = data;
	__atomic_store_n(&current, grace, __ATOMIC_RELAXED);
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		grace->replace();
	}
	int64_t ended = bench_now();
	/* So that what piles up elsewhere is not for the next sample. */
	grace->settle();
	return ended - began;
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static struct grace graces[] = {
	{ own_look, own_replace, own_settle },
#ifdef BENCH_HAVE_URCU
	{ other_look, other_replace, other_settle },
#endif
};

enum { GRACES = sizeof(graces) / sizeof(graces[0]) };

static void report(const char *name, const char *unit, double own, double other) {
	struct bench_row row = { .value = own, .unit = unit };
	if (GRACES > 1) {
		row.baseline_name = "liburcu-bp";
		row.baseline = other;
		row.ratio = own / other;
	}
	snprintf(row.name, sizeof(row.name), "%s", name);
	fence_report(row);
}

static int measure_cost(const char *name, int64_t (*run)(void *data, size_t n), bool with_reader) {
	struct bench_way ways[2] = { { 0 } };
	for (size_t i = 0; i < GRACES; i++) {
		ways[i] = (struct bench_way){ .run = run, .data = &graces[i] };
	}
	pthread_t reader;
	int ret = with_reader ? start_reader(&reader) : 0;
	if (ret < 0) {
		return ret;
	}
	bench_measure(ways, GRACES);
	if (with_reader) {
		stop_reader(reader);
	}
	report(name, "ns", ways[0].median, ways[1].median);
	return 0;
}

/* The median and the 99th of 100 of the time until what was dropped is released. */
static int measure_delay(struct grace *grace, bool with_reader, double spread[2]) {
	pthread_t reader;
	__atomic_store_n(&current, grace, __ATOMIC_RELAXED);
	int ret = with_reader ? start_reader(&reader) : 0;
	if (ret < 0) {
		return ret;
	}
	delay_count = 0;
	timed = true;
	for (size_t i = 0; i < RETIRED; i++) {
		grace->replace();
		int64_t until = bench_now() + PACE_NS;
		while (bench_now() < until) {
		}
	}
	timed = false;
	if (with_reader) {
		stop_reader(reader);
	}
	grace->settle();
	spread[0] = bench_median(delays, RETIRED - 1) / 1e3;
	spread[1] = bench_p99(delays, RETIRED - 1) / 1e3;
	return 0;
}

static int report_delay(const char *name, bool with_reader) {
	double spreads[2][2] = { { 0 } };
	for (size_t i = 0; i < GRACES; i++) {
		int ret = measure_delay(&graces[i], with_reader, spreads[i]);
		if (ret < 0) {
			return ret;
		}
	}
	char p99[64];
	snprintf(p99, sizeof(p99), "%s, p99", name);
	report(name, "us", spreads[0][0], spreads[1][0]);
	report(p99, "us", spreads[0][1], spreads[1][1]);
	return 0;
}

int fence_bench_grace(void) {
	for (size_t i = 0; i < GRACES; i++) {
		graces[i].replace();
		graces[i].replace();
	}
	current = &graces[0];
	fence_pin(0); /* liburcu has its own thread by now, which goes where it likes */
	int ret = measure_cost("look at a slot, one thread", run_look, false);
	if (ret == 0) {
		ret = measure_cost("look at a slot, two threads", run_look, true);
	}
	if (ret == 0) {
		ret = measure_cost("replace a slot", run_replace, false);
	}
	if (ret == 0) {
		ret = measure_cost("replace a slot that is looked at", run_replace, true);
	}
	if (ret == 0) {
		ret = report_delay("last unref to release", false);
	}
	if (ret == 0) {
		ret = report_delay("last unref to release, looked at", true);
	}
	fence_unpin();
	stile_fence_unref(stile_fence_exchange_slot(&own_slot, NULL));
#ifdef BENCH_HAVE_URCU
	other_unref(__atomic_exchange_n(&other_slot, NULL, __ATOMIC_ACQ_REL));
	other_settle();
#endif
	return ret;
}
