/* SPDX-License-Identifier: MIT */
#ifndef SRC_WAIT_H
#define SRC_WAIT_H

#include <stdint.h>

#include <stile/wait.h>

#include "src/os.h"

/**
 * The word that a wait sleeps on, its own or that of its cancel token. The lowest bit: the token
 * was raised; above it, a count of events.
 */
enum { WAIT_RAISED = 1u << 0, WAIT_EVENT = 1u << 1 };

/** Let whoever sleeps on the word look again. The word has to stay during the call. */
static inline void wait_wake(uint32_t *word) {
	__atomic_fetch_add(word, WAIT_EVENT, __ATOMIC_RELEASE);
	os_futex_wake_all(word);
}

/** As stile_fence_wait_any() and stile_fence_wait_all(), by whoever is at that place. */
int fence_wait_any_at(struct stile_fence *const *fences, size_t count, int64_t deadline_ns,
	struct stile_cancel *cancel, size_t *index, const void *place);
int fence_wait_all_at(struct stile_fence *const *fences, size_t count, int64_t deadline_ns,
	struct stile_cancel *cancel, const void *place);

#endif
