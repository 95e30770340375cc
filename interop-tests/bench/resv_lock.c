/* SPDX-License-Identifier: MIT */
/* Locking: one, several with a context, and many threads that want what others have. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <stile/exec.h>
#include <stile/resv.h>

#include "interop-tests/bench/fence.h"

/* OBJECTS there are, of which SET are wanted at once. */
enum { OBJECTS = 64, SET = 8 };

/* What has to be locked, in either way. On lines of its own, as if there were more to it. */
static struct object {
	struct stile_resv resv;
	pthread_mutex_t mutex;
	uint64_t used;
} __attribute__((aligned(64))) objects[OBJECTS];

/* ---- Nobody else is there ------------------------------------------------------------------- */

static int64_t run_lock(void *data, size_t n) {
	struct stile_resv *resv = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		if (stile_resv_lock(resv, NULL, NULL) < 0) {
			abort();
		}
		stile_resv_unlock(resv);
	}
	return bench_now() - began;
}

static int64_t run_mutex(void *data, size_t n) {
	pthread_mutex_t *mutex = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		pthread_mutex_lock(mutex);
		pthread_mutex_unlock(mutex);
	}
	return bench_now() - began;
}

static void measure_one(void) {
	struct bench_way ways[] = {
		{ .run = run_lock, .data = &objects[0].resv },
		{ .run = run_mutex, .data = &objects[0].mutex },
	};
	bench_measure(ways, 2);
	resv_report((struct bench_row){
		.name = "lock, unlock",
		.value = ways[0].median,
		.unit = "ns",
		.baseline_name = "pthread mutex",
		.baseline = ways[1].median,
		.ratio = ways[0].median / ways[1].median,
		.goal = "value <= 1.5 x baseline",
		.met = ways[0].median <= 1.5 * ways[1].median,
	});
}

static int64_t run_lock_set(void *data, size_t n) {
	(void)data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		struct stile_ww_acquire acquire;
		stile_resv_acquire_init(&acquire);
		for (size_t k = 0; k < SET; k++) {
			if (stile_resv_lock(&objects[k].resv, &acquire, NULL) < 0) {
				abort();
			}
		}
		for (size_t k = 0; k < SET; k++) {
			stile_resv_unlock(&objects[k].resv);
		}
		stile_ww_acquire_fini(&acquire);
	}
	return bench_now() - began;
}

static int64_t run_exec_set(void *data, size_t n) {
	(void)data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		struct stile_exec exec;
		stile_exec_init(&exec, 0, NULL);
		while (stile_exec_retry(&exec)) {
			for (size_t k = 0; k < SET; k++) {
				if (stile_exec_lock(&exec, &objects[k].resv) < 0) {
					abort();
				}
			}
		}
		stile_exec_fini(&exec);
	}
	return bench_now() - began;
}

static int64_t run_mutex_set(void *data, size_t n) {
	(void)data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < SET; k++) {
			pthread_mutex_lock(&objects[k].mutex);
		}
		for (size_t k = 0; k < SET; k++) {
			pthread_mutex_unlock(&objects[k].mutex);
		}
	}
	return bench_now() - began;
}

static void measure_set(void) {
	struct bench_way ways[] = {
		{ .run = run_lock_set },
		{ .run = run_mutex_set },
		{ .run = run_exec_set },
	};
	bench_measure(ways, 3);
	struct bench_row row = {
		.name = "lock 8 with a context, unlock",
		.value = ways[0].median,
		.unit = "ns",
		.baseline_name = "8 pthread mutexes",
		.baseline = ways[1].median,
		.ratio = ways[0].median / ways[1].median,
		.goal = "value <= 2 x baseline",
		.met = ways[0].median <= 2 * ways[1].median,
	};
	resv_report(row);
	snprintf(row.name, sizeof(row.name), "lock 8 by exec, unlock");
	row.value = ways[2].median;
	row.ratio = ways[2].median / ways[1].median;
	row.goal = NULL;
	resv_report(row);
}

/* ---- Others want them too ------------------------------------------------------------------- */

enum { THREADS = 8, SETS = 1024, ROUNDS = 9, ROUND_MS = 100 };

/* Each thread's, the same in every round and each way. */
static uint8_t sets[THREADS][SETS][SET];

static bool stop;

/* Has a set, uses it, gives it back: how often it had to begin. */
typedef uint64_t (*transact_fn)(const uint8_t *set);

struct worker {
	pthread_t thread;
	transact_fn transact;
	size_t which;
	uint64_t done;
	uint64_t begun;
};

static void use(const uint8_t *set) {
	for (size_t i = 0; i < SET; i++) {
		objects[set[i]].used++;
	}
}

static uint64_t transact_by_exec(const uint8_t *set) {
	struct stile_exec exec;
	uint64_t begun = 0;
	stile_exec_init(&exec, 0, NULL);
	while (stile_exec_retry(&exec)) {
		int ret = 0;
		for (size_t i = 0; i < SET && ret == 0; i++) {
			ret = stile_exec_lock(&exec, &objects[set[i]].resv);
		}
		if (ret < 0 && ret != -EDEADLK) {
			abort();
		}
		begun++;
	}
	use(set);
	stile_exec_fini(&exec);
	return begun;
}

/* Lock all, `first` before the others if it is one of them: SET, or which one was refused. */
static size_t lock_set(const uint8_t *set, struct stile_ww_acquire *acquire, size_t first) {
	if (first < SET && stile_resv_lock_slow(&objects[set[first]].resv, acquire, NULL) < 0) {
		abort();
	}
	for (size_t i = 0; i < SET; i++) {
		int ret = 0;
		if (i != first) {
			ret = stile_resv_lock(&objects[set[i]].resv, acquire, NULL);
		}
		if (ret == -EDEADLK) {
			for (size_t k = 0; k < SET; k++) {
				if (k < i || k == first) {
					stile_resv_unlock(&objects[set[k]].resv);
				}
			}
			return i;
		}
		if (ret < 0) {
			abort();
		}
	}
	return SET;
}

static uint64_t transact_by_hand(const uint8_t *set) {
	struct stile_ww_acquire acquire;
	size_t refused = SET;
	uint64_t begun = 0;
	stile_resv_acquire_init(&acquire);
	do {
		refused = lock_set(set, &acquire, refused);
		begun++;
	} while (refused < SET);
	use(set);
	for (size_t i = 0; i < SET; i++) {
		stile_resv_unlock(&objects[set[i]].resv);
	}
	stile_ww_acquire_fini(&acquire);
	return begun;
}

static uint64_t transact_sorted(const uint8_t *set) {
	uint8_t sorted[SET];
	for (size_t i = 0; i < SET; i++) {
		size_t at = i;
		for (; at > 0 && sorted[at - 1] > set[i]; at--) {
			sorted[at] = sorted[at - 1];
		}
		sorted[at] = set[i];
	}
	for (size_t i = 0; i < SET; i++) {
		pthread_mutex_lock(&objects[sorted[i]].mutex);
	}
	use(sorted);
	for (size_t i = 0; i < SET; i++) {
		pthread_mutex_unlock(&objects[sorted[i]].mutex);
	}
	return 1;
}

static void draw_sets(void) {
	uint64_t random = 1;
	uint8_t all[OBJECTS];
	for (size_t i = 0; i < OBJECTS; i++) {
		all[i] = (uint8_t)i;
	}
	for (size_t i = 0; i < THREADS * SETS; i++) {
		for (size_t k = 0; k < SET; k++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			size_t other = k + random % (OBJECTS - k);
			uint8_t drawn = all[other];
			all[other] = all[k];
			all[k] = drawn;
		}
		memcpy(sets[i / SETS][i % SETS], all, SET);
	}
}

static void *run_worker(void *data) {
	struct worker *worker = data;
	uint64_t done = 0, begun = 0;
	fence_pin(worker->which); /* else all of them may stay on one for a whole round */
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		begun += worker->transact(sets[worker->which][done % SETS]);
		done++;
	}
	worker->done = done;
	worker->begun = begun;
	return NULL;
}

/* Every use was under the lock, or some got lost. */
static void check_uses(uint64_t transactions) {
	uint64_t used = 0;
	for (size_t i = 0; i < OBJECTS; i++) {
		used += objects[i].used;
		objects[i].used = 0;
	}
	if (used != transactions * SET) {
		abort();
	}
}

struct round {
	double rate;    /* transactions in a ms */
	double refused; /* of 1000 locks of a set, how many had to be begun again */
};

static int run_round(transact_fn transact, struct round *round) {
	static struct worker workers[THREADS];
	size_t count = 0;
	int ret = 0;
	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	int64_t began = bench_now();
	for (; count < THREADS && ret == 0; count += ret == 0) {
		workers[count] = (struct worker){ .transact = transact, .which = count };
		ret = -pthread_create(&workers[count].thread, NULL, run_worker, &workers[count]);
	}
	nanosleep(&(struct timespec){ .tv_nsec = ROUND_MS * 1000000 }, NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	uint64_t done = 0, begun = 0;
	for (size_t i = 0; i < count; i++) {
		pthread_join(workers[i].thread, NULL);
		done += workers[i].done;
		begun += workers[i].begun;
	}
	int64_t took_ns = bench_now() - began;
	check_uses(done);
	round->rate = (double)done * 1e6 / (double)took_ns;
	round->refused = 1e3 * (double)(begun - done) / (double)begun;
	return ret;
}

enum { BY_EXEC, BY_HAND, SORTED, WAYS };

static void report_crowd(double rates[WAYS][ROUNDS], double refused[ROUNDS]) {
	double baseline = bench_median(rates[SORTED], ROUNDS);
	struct bench_row row = {
		.name = "8 threads, 8 of 64 each, by exec",
		.value = bench_median(rates[BY_EXEC], ROUNDS),
		.unit = "a ms",
		.baseline_name = "sorted pthread mutexes",
		.baseline = baseline,
		.goal = "value >= 0.5 x baseline",
	};
	row.ratio = row.value / baseline;
	row.met = row.ratio >= 0.5;
	resv_report(row);
	snprintf(row.name, sizeof(row.name), "8 threads, 8 of 64 each, by hand");
	row.value = bench_median(rates[BY_HAND], ROUNDS);
	row.ratio = row.value / baseline;
	row.goal = NULL;
	resv_report(row);
	resv_report((struct bench_row){
		.name = "8 threads, sets that are begun again",
		.value = bench_median(refused, ROUNDS),
		.unit = "in 1000",
	});
}

static int measure_crowd(void) {
	static const transact_fn ways[WAYS] = {
		[BY_EXEC] = transact_by_exec,
		[BY_HAND] = transact_by_hand,
		[SORTED] = transact_sorted,
	};
	static double rates[WAYS][ROUNDS], refused[ROUNDS];
	draw_sets();
	for (size_t i = 0; i < ROUNDS; i++) {
		for (size_t k = 0; k < WAYS; k++) {
			struct round round;
			int ret = run_round(ways[k], &round);
			if (ret < 0) {
				return ret;
			}
			rates[k][i] = round.rate;
			refused[i] = k == BY_EXEC ? round.refused : refused[i];
		}
	}
	report_crowd(rates, refused);
	return 0;
}

int resv_bench_lock(void) {
	for (size_t i = 0; i < OBJECTS; i++) {
		stile_resv_init(&objects[i].resv);
		pthread_mutex_init(&objects[i].mutex, NULL);
	}
	fence_pin(0);
	measure_one();
	measure_set();
	fence_unpin();
	int ret = measure_crowd();
	for (size_t i = 0; i < OBJECTS; i++) {
		stile_resv_fini(&objects[i].resv);
		pthread_mutex_destroy(&objects[i].mutex);
	}
	return ret;
}
