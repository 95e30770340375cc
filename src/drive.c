/* SPDX-License-Identifier: MIT */
#include "src/drive.h"

#include <stddef.h>

#include "src/os.h"

/* Often enough for a test that has several threads, and rarely enough to be no load. */
#define LOOK_NS INT64_C(1000000)

uint32_t drive_count;

/* A leaf; no step runs under it. */
static uint32_t lock;

/* All below is under the lock. */
static struct drive *first;

void drive_register(struct drive *drive) {
	drive->next = NULL;
	drive->users = 0;
	os_lock(&lock);
	struct drive **end = &first;
	while (*end != NULL) {
		end = &(*end)->next;
	}
	*end = drive;
	__atomic_fetch_add(&drive_count, 1, __ATOMIC_RELAXED);
	os_unlock(&lock);
}

void drive_unregister(struct drive *drive) {
	os_lock(&lock);
	uint32_t users;
	while ((users = drive->users) != 0) {
		os_unlock(&lock);
		/* Nobody wakes for this: it is rare, and a step is short. */
		os_futex_wait(&drive->users, users, os_clock_ns() + LOOK_NS);
		os_lock(&lock);
	}
	struct drive **at = &first;
	while (*at != drive) {
		at = &(*at)->next;
	}
	*at = drive->next;
	__atomic_fetch_sub(&drive_count, 1, __ATOMIC_RELAXED);
	os_unlock(&lock);
}

bool drive_all(void) {
	bool progress = false;
	os_lock(&lock);
	struct drive *drive = first;
	while (drive != NULL) {
		/* One that is used stays where it is on the list. */
		drive->users++;
		os_unlock(&lock);
		progress |= drive->step(drive->user);
		os_lock(&lock);
		drive->users--;
		drive = drive->next;
	}
	os_unlock(&lock);
	return progress;
}

int64_t drive_next_look(int64_t deadline_ns) {
	int64_t look_ns = os_clock_ns() + LOOK_NS;
	return look_ns < deadline_ns ? look_ns : deadline_ns;
}
