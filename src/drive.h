/* SPDX-License-Identifier: MIT */
#ifndef SRC_DRIVE_H
#define SRC_DRIVE_H

/*
 * Work that is done by whoever waits: devices without threads. A wait that is about to sleep has each of
 * them do a little, and looks again, as long as one of them could. It does so whatever its deadline is: how
 * far they get must not depend on how quick the machine is. A wait that would not sleep drives nothing.
 */

#include <stdbool.h>
#include <stdint.h>

/** One of them, in its owner's memory. */
struct drive {
	/** Do a little. False: nothing can go on, or somebody is at it, perhaps this very thread. */
	bool (*step)(void *user);
	void *user;

	/* private */
	struct drive *next;
	uint32_t users;
};

/** From now on; `step` and `user` are set. In the order of their registration they have their turns. */
void drive_register(struct drive *drive);
/** Nobody is at it any more when this returns. Not from its own step. */
void drive_unregister(struct drive *drive);

/* By atomic access. */
extern uint32_t drive_count;

bool drive_all(void);
int64_t drive_next_look(int64_t deadline_ns);

/** Have each of them do a little. True: look again at what is waited for, rather than sleep. */
static inline bool drive_some(void) {
	return __builtin_expect(__atomic_load_n(&drive_count, __ATOMIC_RELAXED) != 0, 0) &&
		drive_all();
}

/**
 * How long to sleep until, where it would be `deadline_ns`. What is driven may be able to go on because of
 * another thread, which wakes nobody: so it is looked at from time to time.
 */
static inline int64_t drive_until(int64_t deadline_ns) {
	return __builtin_expect(__atomic_load_n(&drive_count, __ATOMIC_RELAXED) != 0, 0)
		? drive_next_look(deadline_ns)
		: deadline_ns;
}

#endif
