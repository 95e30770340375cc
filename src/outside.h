/* SPDX-License-Identifier: MIT */
#ifndef SRC_OUTSIDE_H
#define SRC_OUTSIDE_H

/*
 * Who uses a buffer outside of this process, as the kernel knows it: the kernel's reservation of a dma-buf,
 * and ours, as one view (DESIGN section 4). Who looks at our fences asks for what the kernel has, too; what we
 * add is pushed, as far as the kernel can have it. Of a buffer that nobody else can use, nothing is asked: no
 * system call.
 */

#include <stdbool.h>
#include <stdint.h>

#include <stile/carrier.h>

struct stile_buffer;
struct stile_fence;

/** Can anybody outside use it, and can the kernel be asked? */
bool outside_is_known(const struct stile_buffer *buffer);

/**
 * What an access by this usage has to wait for, a new reference; *out NULL: nothing. `likely`: it is worth no
 * question whether there is something, and the fence may be done. 0, -EMFILE, -ENFILE, -EAGAIN (no thread) or
 * -ENOMEM.
 */
int outside_pull(
	struct stile_buffer *buffer, uint32_t usage, bool likely, struct stile_fence **out);

/**
 * With the reservation not locked: have that among its fences, for those who look at them later. 0, as
 * outside_pull(), or -EDEADLK.
 */
int outside_pull_into_resv(struct stile_buffer *buffer, uint32_t usage);

/**
 * With the reservation locked: let the kernel know. 1: it does; 0: nothing is to be told; -EOPNOTSUPP: it
 * cannot have that fence; or -ENOMEM.
 */
int outside_push(struct stile_buffer *buffer, uint32_t usage, struct stile_fence *fence);

/**
 * With the reservation not locked: others just got to know the buffer; let the kernel know of all that is
 * going on with it, as far as it can. 0, -EDEADLK or -ENOMEM.
 */
int outside_push_all(struct stile_buffer *buffer);

/**
 * Have the calling thread, which is at that place, wait for a fence that the kernel cannot have, for 10 s at
 * most, and not longer than its expiry. 0: it has ended, however; or -ETIME.
 */
int outside_wait(struct stile_fence *fence, int64_t *blocked_ns, const void *place);

#endif
