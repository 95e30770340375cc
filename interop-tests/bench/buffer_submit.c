/* SPDX-License-Identifier: MIT */
/*
 * How long the way to an engine and back is, against the bare futex. All that is to be woken sleeps
 * when the clock starts.
 *
 * One way: from right before the submission until the time that the fence says it was signalled; and
 * from right before the word is stored and the wake-up until the time that the woken thread sees
 * first. Both are one hand-over to a sleeping thread; nobody waits for the fence.
 * There and back: until the thread that submitted and slept in stile_fence_wait() runs again; and
 * until the one that woke another, and slept, was woken by it. Both are two hand-overs.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <stile/device.h>
#include <stile/swgpu_list.h>
#include <stile/wait.h>

#include "interop-tests/bench/buffer.h"
#include "interop-tests/bench/fence.h"

enum { ROUNDS = 2000, WARM_UP = 50, MAX_THREADS = 32, STREAM = 1000 };

/* ---- Who sleeps ---------------------------------------------------------------------------- */

/* Threads that this one started, by what the kernel says of them. */
struct threads {
	long ids[MAX_THREADS];
	int stat_fds[MAX_THREADS];
	size_t count;
};

static void list_threads(struct threads *threads) {
	DIR *dir = opendir("/proc/self/task");
	if (dir == NULL) {
		abort();
	}
	const struct dirent *entry;
	threads->count = 0;
	while ((entry = readdir(dir)) != NULL) {
		long id = strtol(entry->d_name, NULL, 10);
		if (id != 0 && threads->count < MAX_THREADS) {
			threads->ids[threads->count++] = id;
		}
	}
	closedir(dir);
}

static bool has_thread(const struct threads *threads, long id) {
	bool found = false;
	for (size_t i = 0; i < threads->count; i++) {
		found = found || threads->ids[i] == id;
	}
	return found;
}

/* Those that were not there before. */
static void open_threads(struct threads *threads, const struct threads *before) {
	struct threads all;
	char path[64];
	list_threads(&all);
	threads->count = 0;
	for (size_t i = 0; i < all.count; i++) {
		snprintf(path, sizeof(path), "/proc/self/task/%ld/stat", all.ids[i]);
		int fd = has_thread(before, all.ids[i]) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			threads->stat_fds[threads->count++] = fd;
		}
	}
}

static void close_threads(struct threads *threads) {
	for (size_t i = 0; i < threads->count; i++) {
		close(threads->stat_fds[i]);
	}
}

static void await_sleep(const struct threads *threads) {
	for (size_t i = 0; i < threads->count;) {
		/* Each again, since one may have woken another. */
		i = fence_is_asleep(threads->stat_fds[i]) ? i + 1 : 0;
	}
}

/* ---- The bare futex ------------------------------------------------------------------------ */

static long futex(uint32_t *word, int op, uint32_t value) {
	return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void hand_over(uint32_t *word, uint32_t value) {
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	futex(word, FUTEX_WAKE_PRIVATE, 1);
}

static void sleep_until(uint32_t *word, uint32_t value) {
	uint32_t seen;
	while ((seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != value) {
		futex(word, FUTEX_WAIT_PRIVATE, seen);
	}
}

/* Sleeps until it is its turn, says when it woke, and hands over again. */
struct sleeper {
	pthread_t thread;
	uint32_t there __attribute__((aligned(64)));
	uint32_t back __attribute__((aligned(64)));
	bool returns; /* somebody sleeps until it hands over */
	bool stop;
	int64_t woke_ns;
};

static void *run_sleeper(void *data) {
	struct sleeper *sleeper = data;
	for (uint32_t round = 1;; round++) {
		sleep_until(&sleeper->there, round);
		sleeper->woke_ns = bench_now();
		if (sleeper->stop) {
			return NULL;
		}
		if (sleeper->returns) {
			hand_over(&sleeper->back, round);
		} else {
			__atomic_store_n(&sleeper->back, round, __ATOMIC_RELEASE);
		}
	}
}

static double futex_one_way(struct sleeper *sleeper) {
	uint32_t round = sleeper->there + 1;
	sleeper->returns = false;
	int64_t began = bench_now();
	hand_over(&sleeper->there, round);
	while (__atomic_load_n(&sleeper->back, __ATOMIC_ACQUIRE) != round) {
	}
	return (double)(sleeper->woke_ns - began);
}

static double futex_there_and_back(struct sleeper *sleeper) {
	uint32_t round = sleeper->there + 1;
	sleeper->returns = true;
	int64_t began = bench_now();
	hand_over(&sleeper->there, round);
	sleep_until(&sleeper->back, round);
	return (double)(bench_now() - began);
}

/* ---- The software GPU ---------------------------------------------------------------------- */

static struct stile_swgpu_list *create_empty(struct stile_device *device) {
	struct stile_swgpu_list *list;
	if (stile_swgpu_list_create(device, &list) < 0) {
		abort();
	}
	return list;
}

static double submit_one_way(struct stile_device *device) {
	struct stile_swgpu_queue *queue = stile_swgpu_get_queue(device);
	struct stile_swgpu_list *list = create_empty(device);
	int64_t began = bench_now();
	struct stile_fence *fence = buffer_submit(queue, list);
	while (!stile_fence_is_signaled(fence)) {
	}
	double took_ns = (double)(stile_fence_get_timestamp(fence) - began);
	stile_fence_unref(fence);
	return took_ns;
}

static double submit_there_and_back(struct stile_device *device) {
	struct stile_swgpu_queue *queue = stile_swgpu_get_queue(device);
	struct stile_swgpu_list *list = create_empty(device);
	int64_t began = bench_now();
	struct stile_fence *fence = buffer_submit(queue, list);
	if (stile_fence_wait(fence, INT64_MAX) < 0) {
		abort();
	}
	double took_ns = (double)(bench_now() - began);
	stile_fence_unref(fence);
	return took_ns;
}

/* Many, of which the last one is waited for: ns for each. */
static double submit_stream(struct stile_device *device) {
	struct stile_swgpu_queue *queue = stile_swgpu_get_queue(device);
	int64_t began = bench_now();
	for (size_t i = 1; i < STREAM; i++) {
		if (stile_swgpu_submit(queue, create_empty(device), NULL, NULL) < 0) {
			abort();
		}
	}
	buffer_finish(buffer_submit(queue, create_empty(device)));
	return (double)(bench_now() - began) / STREAM;
}

/* ---- Rows ---------------------------------------------------------------------------------- */

static void report(const char *name, double value, const char *baseline_name, double baseline) {
	struct bench_row row = {
		.value = value / 1e3,
		.unit = "us",
		.baseline_name = baseline_name,
		.baseline = baseline / 1e3,
		.ratio = value / baseline,
		.goal = "value <= 1.3 x baseline",
		.met = value <= 1.3 * baseline,
	};
	snprintf(row.name, sizeof(row.name), "%s", name);
	buffer_report(row);
}

static void measure(
	struct stile_device *device, const struct threads *threads, struct sleeper *sleeper) {
	static double there[ROUNDS], bare_there[ROUNDS], back[ROUNDS], bare_back[ROUNDS];
	for (size_t i = 0; i < WARM_UP + ROUNDS; i++) {
		size_t at = i < WARM_UP ? 0 : i - WARM_UP;
		await_sleep(threads);
		bare_there[at] = futex_one_way(sleeper);
		await_sleep(threads);
		there[at] = submit_one_way(device);
		await_sleep(threads);
		bare_back[at] = futex_there_and_back(sleeper);
		await_sleep(threads);
		back[at] = submit_there_and_back(device);
	}
	report("submit of an empty list to its end", bench_median(there, ROUNDS),
		"futex to a sleeping thread", bench_median(bare_there, ROUNDS));
	report("submit until the waiter runs", bench_median(back, ROUNDS), "futex there and back",
		bench_median(bare_back, ROUNDS));
	for (size_t i = 0; i < WARM_UP; i++) {
		there[i] = submit_stream(device);
	}
	buffer_report((struct bench_row){
		.name = "empty lists, one after another",
		.value = bench_median(there, WARM_UP),
		.unit = "ns",
	});
}

int buffer_bench_submit(void) {
	static struct sleeper sleeper;
	struct threads before, threads;
	struct stile_device *device;
	list_threads(&before);
	int ret = stile_device_open("swgpu", NULL, &device);
	if (ret < 0) {
		return ret;
	}
	sleeper = (struct sleeper){ .stop = false };
	ret = -pthread_create(&sleeper.thread, NULL, run_sleeper, &sleeper);
	if (ret == 0) {
		buffer_finish(buffer_submit(stile_swgpu_get_queue(device), create_empty(device)));
		open_threads(&threads, &before);
		measure(device, &threads, &sleeper);
		close_threads(&threads);
		sleeper.stop = true;
		hand_over(&sleeper.there, sleeper.there + 1);
		pthread_join(sleeper.thread, NULL);
	}
	stile_device_destroy(device);
	return ret;
}
