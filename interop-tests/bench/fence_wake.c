/* SPDX-License-Identifier: MIT */
/*
 * How long after a signal a thread that waited runs, against the bare futex; what a wait for many
 * costs the thread that waits; system calls. In each round the sleeper is told to wait, is seen to
 * sleep, is woken.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <stile/wait.h>

#include "interop-tests/bench/fence.h"

enum { ROUNDS = 2000, WARM_UP = 50, MANY = 64 };

enum way { WAY_FUTEX, WAY_WAIT, WAY_ANY, WAY_STOP };

/* What the two threads share. They take turns: no field is written by both at a time. */
struct sleeper {
	pthread_t thread;
	long id;     /* the kernel's */
	int stat_fd; /* what the kernel says of it */
	enum way way;
	uint32_t word;
	struct stile_fence fences[MANY];
	bool counts_cpu; /* by a system call */
	bool makes_own;  /* fences are made by the thread that waits, as if it had submitted them */
	int64_t woke_ns;
	int64_t cpu_ns;

	uint32_t go;
	uint32_t done;
};

static int64_t cpu_now(void) {
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static long futex(uint32_t *word, int op, uint32_t value) {
	return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

/* ---- The one who sleeps --------------------------------------------------------------------- */

static void sleep_once(struct sleeper *sleeper) {
	struct stile_fence *fences[MANY];
	int ret = 0;
	switch (sleeper->way) {
	case WAY_FUTEX:
		while (__atomic_load_n(&sleeper->word, __ATOMIC_ACQUIRE) == 0) {
			futex(&sleeper->word, FUTEX_WAIT_PRIVATE, 0);
		}
		break;
	case WAY_ANY:
		for (size_t i = 0; i < MANY; i++) {
			fences[i] = &sleeper->fences[i];
		}
		ret = stile_fence_wait_any(fences, MANY, INT64_MAX, NULL, NULL);
		break;
	default:
		ret = stile_fence_wait(&sleeper->fences[MANY - 1], INT64_MAX);
		break;
	}
	if (ret < 0) {
		abort();
	}
}

static void make_fences(struct sleeper *sleeper) {
	for (size_t i = 0; i < MANY; i++) {
		fence_make(&sleeper->fences[i], 1, 1);
	}
}

/* Between rounds it spins: nothing but what is measured makes system calls. */
static void *run_sleeper(void *data) {
	struct sleeper *sleeper = data;
	__atomic_store_n(&sleeper->id, syscall(SYS_gettid), __ATOMIC_RELEASE);
	for (uint32_t round = 1;; round++) {
		while (__atomic_load_n(&sleeper->go, __ATOMIC_ACQUIRE) != round) {
		}
		if (sleeper->way == WAY_STOP) {
			return NULL;
		}
		if (sleeper->makes_own) {
			make_fences(sleeper);
		}
		int64_t began = sleeper->counts_cpu ? cpu_now() : 0;
		sleep_once(sleeper);
		sleeper->woke_ns = bench_now();
		sleeper->cpu_ns = sleeper->counts_cpu ? cpu_now() - began : 0;
		__atomic_store_n(&sleeper->done, round, __ATOMIC_RELEASE);
	}
}

/* ---- The one who wakes it ------------------------------------------------------------------- */

bool fence_is_asleep(int stat_fd) {
	char text[256];
	ssize_t n = pread(stat_fd, text, sizeof(text) - 1, 0);
	if (n <= 0) {
		abort();
	}
	text[n] = '\0';
	/* The name comes before, and may have any character. */
	const char *name_end = strrchr(text, ')');
	return name_end != NULL && name_end[1] == ' ' && name_end[2] == 'S';
}

static void prepare(struct sleeper *sleeper, enum way way) {
	sleeper->way = way;
	__atomic_store_n(&sleeper->word, 0, __ATOMIC_RELAXED);
	if (!sleeper->makes_own) {
		make_fences(sleeper);
	}
	__atomic_fetch_add(&sleeper->go, 1, __ATOMIC_RELEASE);
}

static void wake(struct sleeper *sleeper) {
	if (sleeper->way == WAY_FUTEX) {
		__atomic_store_n(&sleeper->word, 1, __ATOMIC_RELEASE);
		futex(&sleeper->word, FUTEX_WAKE_PRIVATE, INT_MAX);
	} else {
		stile_fence_signal(&sleeper->fences[MANY - 1]);
	}
}

/* One round: ns from the signal until the thread runs. */
static double wake_once(struct sleeper *sleeper, enum way way, bool traced) {
	prepare(sleeper, way);
	while (!fence_is_asleep(sleeper->stat_fd)) {
	}
	if (traced) {
		trace_begin();
	}
	int64_t began = bench_now();
	wake(sleeper);
	if (traced) {
		trace_end();
	}
	while (__atomic_load_n(&sleeper->done, __ATOMIC_ACQUIRE) != sleeper->go) {
	}
	return (double)(sleeper->woke_ns - began);
}

static int sleeper_start(struct sleeper *sleeper) {
	memset(sleeper, 0, sizeof(*sleeper));
	int ret = pthread_create(&sleeper->thread, NULL, run_sleeper, sleeper);
	if (ret != 0) {
		return -ret;
	}
	long id;
	while ((id = __atomic_load_n(&sleeper->id, __ATOMIC_ACQUIRE)) == 0) {
	}
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/task/%ld/stat", id);
	sleeper->stat_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (sleeper->stat_fd < 0) {
		ret = -errno;
		prepare(sleeper, WAY_STOP);
		pthread_join(sleeper->thread, NULL);
	}
	return ret;
}

static void sleeper_stop(struct sleeper *sleeper) {
	prepare(sleeper, WAY_STOP);
	pthread_join(sleeper->thread, NULL);
	close(sleeper->stat_fd);
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static void report_wake(const char *name, double value, double baseline) {
	struct bench_row row = {
		.value = value / 1e3,
		.unit = "us",
		.baseline_name = "bare futex",
		.baseline = baseline / 1e3,
		.ratio = value / baseline,
		.goal = "value <= 1.15 x baseline",
		.met = value <= 1.15 * baseline,
	};
	snprintf(row.name, sizeof(row.name), "%s", name);
	fence_report(row);
}

void fence_report_wake(const char *name, double *values, double *baselines, size_t n) {
	char p99[64];
	snprintf(p99, sizeof(p99), "%s, p99", name);
	report_wake(name, bench_median(values, n), bench_median(baselines, n));
	report_wake(p99, bench_p99(values, n), bench_p99(baselines, n));
}

static void measure_wake(struct sleeper *sleeper) {
	static double fence[ROUNDS], bare[ROUNDS];
	for (size_t i = 0; i < WARM_UP + ROUNDS; i++) {
		size_t at = i < WARM_UP ? 0 : i - WARM_UP;
		bare[at] = wake_once(sleeper, WAY_FUTEX, false);
		fence[at] = wake_once(sleeper, WAY_WAIT, false);
	}
	fence_report_wake("signal until the waiter runs", fence, bare, ROUNDS);
}

static void measure_any(struct sleeper *sleeper, bool makes_own, const char *name) {
	static double any[ROUNDS], one[ROUNDS];
	sleeper->counts_cpu = true;
	sleeper->makes_own = makes_own;
	for (size_t i = 0; i < ROUNDS; i++) {
		(void)wake_once(sleeper, WAY_ANY, false);
		any[i] = (double)sleeper->cpu_ns / 1e3;
		(void)wake_once(sleeper, WAY_WAIT, false);
		one[i] = (double)sleeper->cpu_ns / 1e3;
	}
	sleeper->counts_cpu = false;
	sleeper->makes_own = false;
	double value = bench_median(any, ROUNDS), baseline = bench_median(one, ROUNDS);
	struct bench_row row = {
		.value = value,
		.unit = "us",
		.baseline_name = "wait for one",
		.baseline = baseline,
		.ratio = value / baseline,
		.goal = makes_own ? "value <= baseline + 5 us" : NULL,
		.met = value <= baseline + 5,
	};
	snprintf(row.name, sizeof(row.name), "%s", name);
	fence_report(row);
}

void fence_report_calls(const char *name, const char *argument, double expected) {
	int64_t calls = trace_count(argument);
	if (calls < 0) {
		fprintf(stderr, "fence: system calls cannot be counted here: %s\n",
			strerror((int)-calls));
		return;
	}
	struct bench_row row = {
		.value = (double)calls / FENCE_TRACED,
		.unit = "a signal",
		.goal = expected > 0 ? "1" : "0",
	};
	row.met = row.value <= expected && row.value >= expected;
	snprintf(row.name, sizeof(row.name), "%s", name);
	fence_report(row);
}

int fence_bench_wake(void) {
	static struct sleeper sleeper;
	/* All calls are counted. That one of them wakes is known, since the thread woke. */
	fence_report_calls("system calls with a waiter", "--fence-traced-awaited", 1);
	fence_report_calls("system calls without", "--fence-traced-alone", 0);
	int ret = sleeper_start(&sleeper);
	if (ret < 0) {
		return ret;
	}
	measure_wake(&sleeper);
	measure_any(&sleeper, true, "CPU time of wait_any, 64 fences");
	measure_any(&sleeper, false, "CPU time of wait_any, another's fences");
	sleeper_stop(&sleeper);
	return 0;
}

int bench_fence_traced_awaited(void) {
	static struct sleeper sleeper;
	int ret = sleeper_start(&sleeper);
	if (ret < 0) {
		return ret;
	}
	for (size_t i = 0; i < FENCE_TRACED; i++) {
		(void)wake_once(&sleeper, WAY_WAIT, true);
	}
	sleeper_stop(&sleeper);
	return 0;
}

int bench_fence_traced_alone(void) {
	struct stile_fence fence;
	for (size_t i = 0; i < FENCE_TRACED; i++) {
		fence_make(&fence, 1, i);
		trace_begin();
		stile_fence_signal(&fence);
		stile_fence_unref(&fence);
		trace_end();
	}
	return 0;
}
