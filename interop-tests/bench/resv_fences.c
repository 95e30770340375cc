/* SPDX-License-Identifier: MIT */
/* The fences of a reservation: added, looked at while others add, few and very many of them. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <stile/resv.h>

#include "interop-tests/bench/fence.h"

enum { CONTEXTS = 4, BATCH = 64 };

/* As somebody's command has a fence in it. */
struct job {
	struct stile_fence fence;
	char rest[200 - sizeof(struct stile_fence)];
};

static const char *job_name(struct stile_fence *fence) {
	(void)fence;
	return "job";
}

static void job_free(struct stile_fence *fence) {
	free(fence);
}

static const struct stile_fence_ops job_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = job_name,
	.get_timeline_name = job_name,
	.release = job_free,
};

static struct stile_fence *job_create(uint64_t context, uint64_t seqno) {
	struct job *job = malloc(sizeof(*job));
	if (job == NULL || stile_fence_init(&job->fence, &job_ops, context, seqno) < 0) {
		abort();
	}
	return &job->fence;
}

static void drop_all(struct stile_fence **fences, size_t n) {
	for (size_t i = 0; i < n; i++) {
		stile_fence_unref(fences[i]);
	}
}

static void lock_for(struct stile_resv *resv, uint32_t count) {
	if (stile_resv_lock(resv, NULL, NULL) < 0 || stile_resv_reserve_fences(resv, count) < 0) {
		abort();
	}
}

static void add(struct stile_resv *resv, struct stile_fence *fence, enum stile_resv_usage usage) {
	if (stile_resv_add_fence(resv, fence, usage) < 0) {
		abort();
	}
}

/* ---- Added one after the other -------------------------------------------------------------- */

struct stream {
	struct stile_resv resv;
	enum stile_resv_usage usage;
	uint64_t contexts;
	uint64_t seqno;
};

static void stream_init(struct stream *stream, enum stile_resv_usage usage) {
	stile_resv_init(&stream->resv);
	stream->usage = usage;
	stream->contexts = stile_fence_context_alloc(CONTEXTS);
	stream->seqno = 0;
}

/* The next job; the contexts take turns. */
static struct stile_fence *stream_job(struct stream *stream) {
	uint64_t at = stream->seqno++;
	return job_create(stream->contexts + at % CONTEXTS, at / CONTEXTS + 1);
}

static void stream_submit(struct stream *stream) {
	struct stile_fence *fence = stream_job(stream);
	lock_for(&stream->resv, 1);
	add(&stream->resv, fence, stream->usage);
	stile_resv_unlock(&stream->resv);
	stile_fence_unref(fence);
}

static void stream_fill(struct stream *stream) {
	for (size_t i = 0; i < CONTEXTS; i++) {
		stream_submit(stream);
	}
}

/* Nothing but the adding is timed; nobody drops a last reference meanwhile. */
static int64_t run_add(void *data, size_t n) {
	struct stream *stream = data;
	struct stile_fence *fences[BATCH];
	int64_t took_ns = 0;
	while (n > 0) {
		size_t count = n < BATCH ? n : BATCH;
		for (size_t i = 0; i < count; i++) {
			fences[i] = stream_job(stream);
		}
		lock_for(&stream->resv, BATCH);
		int64_t began = bench_now();
		for (size_t i = 0; i < count; i++) {
			add(&stream->resv, fences[i], stream->usage);
		}
		took_ns += bench_now() - began;
		stile_resv_unlock(&stream->resv);
		drop_all(fences, count);
		n -= count;
	}
	return took_ns;
}

static int64_t run_submit(void *data, size_t n) {
	struct stream *stream = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		stream_submit(stream);
	}
	return bench_now() - began;
}

static void measure_add(void) {
	static struct stream readers, writers;
	stream_init(&readers, STILE_RESV_READ);
	stream_init(&writers, STILE_RESV_WRITE);
	stream_fill(&readers);
	stream_fill(&writers);
	struct bench_way ways[] = {
		{ .run = run_add, .data = &readers },
		{ .run = run_add, .data = &writers },
		{ .run = run_submit, .data = &readers },
	};
	bench_measure(ways, 3);
	resv_report_ns("add in the place of a reader, 4 there", ways[0].median, "value <= 30 ns",
		ways[0].median <= 30);
	resv_report_ns("add in the place of a writer, 4 there", ways[1].median, "value <= 30 ns",
		ways[1].median <= 30);
	resv_report_ns("malloc, init, lock, add, unlock, unref", ways[2].median, NULL, true);
	stile_resv_fini(&readers.resv);
	stile_resv_fini(&writers.resv);
}

/* ---- Another thread, which adds all the time ------------------------------------------------ */

/* POOL: enough for those that the other thread looks at. */
enum { POOL = 4096, PAUSE_NS = 50000 };

/*
 * Its fences are used again as soon as they are released: that is hardest on those who look, and
 * unlike malloc() never makes a system call.
 */
struct pooled {
	struct stile_fence fence;
	struct pooled *next;
};

static struct pooled pool[POOL];
static struct pooled *released; /* by anybody, one by one; the adder takes all of it */

static void pooled_release(struct stile_fence *fence) {
	struct pooled *pooled = (struct pooled *)(void *)fence;
	pooled->next = __atomic_load_n(&released, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(
		&released, &pooled->next, pooled, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
	}
}

static const struct stile_fence_ops pooled_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = job_name,
	.get_timeline_name = job_name,
	.release = pooled_release,
};

enum adder_state { ADDER_PAUSES, ADDER_ADDS, ADDER_STOPS };

struct adder {
	pthread_t thread;
	struct stile_resv resv;
	uint64_t contexts;
	enum adder_state wanted;
	/* The thread's own. */
	enum adder_state state __attribute__((aligned(64)));
	struct pooled *free;
	uint64_t added;
};

static void adder_add(struct adder *adder) {
	if (adder->free == NULL) {
		adder->free = __atomic_exchange_n(&released, NULL, __ATOMIC_ACQUIRE);
	}
	struct pooled *pooled = adder->free;
	if (pooled == NULL) {
		return; /* all are being looked at */
	}
	adder->free = pooled->next;
	uint64_t at = adder->added;
	struct stile_fence *fence = &pooled->fence;
	if (stile_fence_init(
		    fence, &pooled_ops, adder->contexts + at % CONTEXTS, at / CONTEXTS + 1) < 0) {
		abort();
	}
	lock_for(&adder->resv, 1);
	add(&adder->resv, fence, STILE_RESV_READ);
	stile_resv_unlock(&adder->resv);
	stile_fence_unref(fence);
	__atomic_store_n(&adder->added, at + 1, __ATOMIC_RELAXED);
}

/* Makes no system call while it adds, and is not there while it pauses. */
static void *run_adder(void *data) {
	struct adder *adder = data;
	enum adder_state wanted;
	fence_pin(1);
	while ((wanted = __atomic_load_n(&adder->wanted, __ATOMIC_ACQUIRE)) != ADDER_STOPS) {
		__atomic_store_n(&adder->state, wanted, __ATOMIC_RELEASE);
		if (wanted == ADDER_ADDS) {
			adder_add(adder);
		} else {
			nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
		}
	}
	return NULL;
}

static int adder_start(struct adder *adder) {
	memset(adder, 0, sizeof(*adder));
	stile_resv_init(&adder->resv);
	adder->contexts = stile_fence_context_alloc(CONTEXTS);
	for (size_t i = 0; i < POOL; i++) {
		pooled_release(&pool[i].fence);
	}
	/* Once more than there is room for at first: the list does not grow later. */
	for (size_t i = 0; i < 2 * CONTEXTS; i++) {
		adder_add(adder);
	}
	int ret = -pthread_create(&adder->thread, NULL, run_adder, adder);
	if (ret < 0) {
		stile_resv_fini(&adder->resv);
	}
	return ret;
}

static void adder_want(struct adder *adder, enum adder_state wanted) {
	__atomic_store_n(&adder->wanted, wanted, __ATOMIC_RELEASE);
	while (__atomic_load_n(&adder->state, __ATOMIC_ACQUIRE) != wanted) {
	}
}

static void adder_stop(struct adder *adder) {
	__atomic_store_n(&adder->wanted, ADDER_STOPS, __ATOMIC_RELEASE);
	pthread_join(adder->thread, NULL);
	stile_resv_fini(&adder->resv);
	__atomic_store_n(&released, NULL, __ATOMIC_RELAXED);
}

/* ---- Looked at ------------------------------------------------------------------------------ */

struct query {
	struct adder *adder;
	bool while_adding;
	bool with_unrefs; /* dropping what was given is timed as well */
	/* While adding. */
	uint64_t added;
	int64_t took_ns;
};

static void get(struct stile_resv *resv, struct stile_fence **fences, size_t expected) {
	size_t count = expected;
	if (stile_resv_get_fences(resv, STILE_RESV_BOOKKEEP, fences, &count) < 0 ||
		count != expected) {
		abort();
	}
}

static int64_t get_batch(struct query *query, size_t count) {
	static struct stile_fence *fences[BATCH][CONTEXTS];
	int64_t began = bench_now();
	for (size_t i = 0; i < count; i++) {
		get(&query->adder->resv, fences[i], CONTEXTS);
		if (query->with_unrefs) {
			drop_all(fences[i], CONTEXTS);
		}
	}
	int64_t took_ns = bench_now() - began;
	for (size_t i = 0; i < count && !query->with_unrefs; i++) {
		drop_all(fences[i], CONTEXTS);
	}
	return took_ns;
}

static int64_t run_query(void *data, size_t n) {
	struct query *query = data;
	int64_t took_ns = 0;
	adder_want(query->adder, query->while_adding ? ADDER_ADDS : ADDER_PAUSES);
	uint64_t added = __atomic_load_n(&query->adder->added, __ATOMIC_RELAXED);
	int64_t began = bench_now();
	while (n > 0) {
		size_t count = n < BATCH ? n : BATCH;
		took_ns += get_batch(query, count);
		n -= count;
	}
	query->took_ns += bench_now() - began;
	query->added += __atomic_load_n(&query->adder->added, __ATOMIC_RELAXED) - added;
	adder_want(query->adder, ADDER_PAUSES);
	return took_ns;
}

static void report_query(const struct bench_way *alone, const struct bench_way *while_adding) {
	resv_report_ns("query of 4 fences", alone->median, "value <= 50 ns", alone->median <= 50);
	resv_report((struct bench_row){
		.name = "query of 4 while another adds",
		.value = while_adding->median,
		.unit = "ns",
		.baseline_name = "alone",
		.baseline = alone->median,
		.ratio = while_adding->median / alone->median,
		.goal = "value <= 8 x baseline",
		.met = while_adding->median <= 8 * alone->median,
	});
}

static int measure_query(void) {
	static struct adder adder;
	int ret = adder_start(&adder);
	if (ret < 0) {
		return ret;
	}
	struct query queries[] = {
		{ .adder = &adder },
		{ .adder = &adder, .while_adding = true },
		{ .adder = &adder, .with_unrefs = true },
		{ .adder = &adder, .while_adding = true, .with_unrefs = true },
	};
	struct bench_way ways[4];
	for (size_t i = 0; i < 4; i++) {
		ways[i] = (struct bench_way){ .run = run_query, .data = &queries[i] };
	}
	fence_pin(0);
	bench_measure(ways, 4);
	fence_unpin();
	report_query(&ways[0], &ways[1]);
	resv_report((struct bench_row){
		.name = "adds while queried",
		.value = (double)queries[1].added * 1e3 / (double)queries[1].took_ns,
		.unit = "a us",
	});
	resv_report_ns("query of 4 and unrefs", ways[2].median, NULL, true);
	resv_report_ns("the same while another adds", ways[3].median, NULL, true);
	adder_stop(&adder);
	return 0;
}

/* ---- System calls --------------------------------------------------------------------------- */

enum { TRACED = 100000 };

int bench_resv_traced_query(void) {
	static struct adder adder;
	struct query query = { .adder = &adder };
	int ret = adder_start(&adder);
	if (ret < 0) {
		return ret;
	}
	fence_pin(0);
	adder_want(&adder, ADDER_ADDS);
	trace_begin();
	for (size_t i = 0; i < TRACED / BATCH; i++) {
		(void)get_batch(&query, BATCH);
	}
	trace_end();
	adder_stop(&adder);
	return 0;
}

/* Of both threads: neither is to make any. */
static void measure_calls(void) {
	int64_t calls = trace_count("--resv-traced-query");
	if (calls < 0) {
		fprintf(stderr, "resv: system calls cannot be counted here: %s\n",
			strerror((int)-calls));
		return;
	}
	resv_report((struct bench_row){
		.name = "system calls, queries while another adds",
		.value = (double)calls,
		.unit = "in 100 k",
		.goal = "0",
		.met = calls == 0,
	});
}

/* ---- Very many ------------------------------------------------------------------------------ */

/* MORE are added to those that are there; they differ in their contexts. */
enum { FEW = 100, MANY = 10000, MORE = 10 };

struct crowd {
	size_t count;
	struct stile_resv original;
	struct stile_resv resv;
};

static void crowd_init(struct crowd *crowd, uint32_t count) {
	crowd->count = count;
	stile_resv_init(&crowd->original);
	stile_resv_init(&crowd->resv);
	uint64_t contexts = stile_fence_context_alloc(count);
	lock_for(&crowd->original, count);
	for (size_t i = 0; i < count; i++) {
		struct stile_fence *fence = job_create(contexts + i, 1);
		add(&crowd->original, fence, STILE_RESV_BOOKKEEP);
		stile_fence_unref(fence);
	}
	stile_resv_unlock(&crowd->original);
}

static void crowd_fini(struct crowd *crowd) {
	stile_resv_fini(&crowd->resv);
	stile_resv_fini(&crowd->original);
}

/* Those that are pending, and none of the same context: each is looked at. */
static int64_t run_add_more(void *data, size_t n) {
	struct crowd *crowd = data;
	struct stile_fence *fences[MORE];
	int64_t took_ns = 0;
	while (n > 0) {
		size_t count = n < MORE ? n : MORE;
		uint64_t contexts = stile_fence_context_alloc(MORE);
		for (size_t i = 0; i < count; i++) {
			fences[i] = job_create(contexts + i, 1);
		}
		lock_for(&crowd->resv, 1);
		if (stile_resv_copy_fences(&crowd->resv, &crowd->original) < 0 ||
			stile_resv_reserve_fences(&crowd->resv, MORE) < 0) {
			abort();
		}
		int64_t began = bench_now();
		for (size_t i = 0; i < count; i++) {
			add(&crowd->resv, fences[i], STILE_RESV_BOOKKEEP);
		}
		took_ns += bench_now() - began;
		stile_resv_unlock(&crowd->resv);
		drop_all(fences, count);
		n -= count;
	}
	return took_ns;
}

/* As many fences are had before any is dropped, however many there are in one. */
static int64_t run_query_all(void *data, size_t n) {
	static struct stile_fence *fences[MANY];
	struct crowd *crowd = data;
	int64_t took_ns = 0;
	while (n > 0) {
		size_t most = MANY / crowd->count;
		size_t count = n < most ? n : most;
		int64_t began = bench_now();
		for (size_t i = 0; i < count; i++) {
			get(&crowd->original, &fences[i * crowd->count], crowd->count);
		}
		took_ns += bench_now() - began;
		drop_all(fences, count * crowd->count);
		n -= count;
	}
	return took_ns;
}

static void report_many(const char *name, double many, double few) {
	struct bench_row row = {
		.value = many,
		.unit = "ns",
		.baseline_name = "of 100",
		.baseline = few,
		.ratio = many / few,
		.goal = "value <= 1.05 x baseline",
		.met = many <= 1.05 * few,
	};
	snprintf(row.name, sizeof(row.name), "%s", name);
	resv_report(row);
}

static void measure_many(void) {
	static struct crowd few, many;
	crowd_init(&few, FEW);
	crowd_init(&many, MANY);
	struct bench_way ways[] = {
		{ .run = run_add_more, .data = &many },
		{ .run = run_add_more, .data = &few },
		{ .run = run_query_all, .data = &many },
		{ .run = run_query_all, .data = &few },
	};
	bench_measure(ways, 4);
	/* In the middle of what is added. */
	double half = (MORE - 1) / 2.0;
	report_many("add, for each of 10000 that are there", ways[0].median / (MANY + half),
		ways[1].median / (FEW + half));
	report_many("query, for each of 10000", ways[2].median / MANY, ways[3].median / FEW);
	crowd_fini(&few);
	crowd_fini(&many);
}

int resv_bench_fences(void) {
	measure_calls();
	int ret = measure_query();
	fence_pin(0);
	measure_add();
	measure_many();
	fence_unpin();
	return ret;
}
