/* SPDX-License-Identifier: MIT */
/* What reservations cost. The parts are in resv_*.c. */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "interop-tests/bench/bench.h"

void resv_report(struct bench_row row) {
	row.group = "resv";
	row.baseline_name = row.baseline_name == NULL ? "" : row.baseline_name;
	row.met = row.goal == NULL || row.met;
	row.goal = row.goal == NULL ? "" : row.goal;
	bench_report(&row);
}

void resv_report_ns(const char *name, double ns, const char *goal, bool met) {
	struct bench_row row = { .value = ns, .unit = "ns", .goal = goal, .met = met };
	snprintf(row.name, sizeof(row.name), "%s", name);
	resv_report(row);
}

/* Sleeps: all that it is there for is that libc does not leave out atomic operations. */
static void *run_idle(void *data) {
	sem_t *end = data;
	while (sem_wait(end) < 0) {
	}
	return NULL;
}

static int run_parts(void) {
	static int (*const parts[])(void) = {
		resv_bench_fences, /* first, since it starts another process */
		resv_bench_lock,
		resv_bench_access,
	};
	int ret = 0;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int part = parts[i]();
		if (part < 0) {
			fprintf(stderr, "resv: some of it cannot be measured here: %s\n",
				strerror(-part));
			ret = part;
		}
	}
	return ret;
}

int bench_resv(void) {
	sem_t end;
	pthread_t idle;
	sem_init(&end, 0, 0);
	int ret = -pthread_create(&idle, NULL, run_idle, &end);
	if (ret == 0) {
		ret = run_parts();
		sem_post(&end);
		pthread_join(idle, NULL);
	}
	sem_destroy(&end);
	return ret;
}
