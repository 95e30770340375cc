/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_PLAIN_FENCE_H
#define SUPPORT_PLAIN_FENCE_H

#include <stile/fence.h>

/** A fence on the heap with nothing behind it: whoever made it signals it. One reference. */
struct stile_fence *plain_fence_create(void);

/** How many references a fence has. */
static inline uint32_t plain_refs(const struct stile_fence *fence) {
	/* Above is what the library knows of it. */
	return __atomic_load_n(&fence->refs, __ATOMIC_RELAXED) & 0x3fffffff;
}

/** How many of them are alive. */
int plain_fence_count(void);

/** Wait for the end of any fence, long enough that a failure means a hang; then its status. */
int plain_fence_finish(struct stile_fence *fence);

/** Is the descriptor readable by now? */
bool plain_fd_is_readable(int fd);

/** Wait until it is, long enough that a failure means a hang. */
bool plain_fd_becomes_readable(int fd);

#endif
