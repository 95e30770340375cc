/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_SPACE_H
#define BACKENDS_SWGPU_SPACE_H

/*
 * Who has which part of a range of numbers: addresses of a bus, bytes of an arena. Bookkeeping only.
 * Not thread-safe: the owner has a lock.
 */

#include <stdint.h>

struct space;

/** What is asked for. */
struct space_want {
	uint64_t bytes; /* above 0 */
	uint64_t align; /* a power of two */
	uint64_t limit; /* the end is at most here; 0: the space's own end */
};

/** [start, end). 0 or -ENOMEM. */
int space_create(uint64_t start, uint64_t end, struct space **out);
/** All that was taken is gone too. NULL is ignored. */
void space_destroy(struct space *space);

/** The lowest place that fits. 0; -ENOSPC: none does; -ENOMEM. */
int space_take(struct space *space, const struct space_want *want, uint64_t *start);
/** Give back exactly what was taken. Cannot fail. */
void space_give(struct space *space, uint64_t start, uint64_t bytes);

uint64_t space_get_free(const struct space *space);
uint64_t space_get_largest(const struct space *space);

#endif
