/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/gate.h"

#include "interop-tests/interop/require.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

void gate_init(struct gate *gate) {
	*gate = (struct gate){ .fence = plain_fence_create(), .delay_ms = 20 };
	require(sem_init(&gate->submitted, 0, 0) == 0);
}

void gate_open(struct gate *gate) {
	if (gate->open != NULL) {
		gate->open(gate->user);
	} else {
		stile_fence_signal(gate->fence);
	}
}

static void *opener_run(void *arg) {
	struct gate *gate = arg;
	while (sem_wait(&gate->submitted) != 0) {
	}
	runner_sleep_ms(gate->delay_ms);
	gate_open(gate);
	return NULL;
}

void gate_open_later(struct gate *gate) {
	require(pthread_create(&gate->opener, NULL, opener_run, gate) == 0);
}

void gate_submitted(struct gate *gate) {
	sem_post(&gate->submitted);
}

void gate_join(struct gate *gate) {
	pthread_join(gate->opener, NULL);
	sem_destroy(&gate->submitted);
}
