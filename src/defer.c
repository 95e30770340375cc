/* SPDX-License-Identifier: MIT */
#include "src/defer.h"

_Thread_local struct defer_queue defer_queue;

void defer_add(struct defer_work *work, void (*run)(struct defer_work *work)) {
	work->next = NULL;
	work->run = run;
	if (defer_queue.first != NULL) {
		defer_queue.last->next = work;
	} else {
		defer_queue.first = work;
	}
	defer_queue.last = work;
}

void defer_run_all(void) {
	defer_queue.running = true;
	while (defer_queue.first != NULL) {
		struct defer_work *work = defer_queue.first;
		defer_queue.first = work->next;
		work->run(work);
	}
	defer_queue.running = false;
}
