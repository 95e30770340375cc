/* SPDX-License-Identifier: MIT */
#ifndef SRC_WAIT_H
#define SRC_WAIT_H

#include <stdint.h>

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

#endif
