/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_FRAMES_H
#define BACKENDS_SWGPU_FRAMES_H

/*
 * The frames of the simulated machine's system memory, one machine for the whole process: where on the
 * system's bus memory is that buffers are made of. Bookkeeping only; which memory is at them is in the
 * scatter lists. Thread-safe.
 */

#include <stddef.h>
#include <stdint.h>

struct frames_run {
	uint64_t address; /* page-aligned */
	uint64_t bytes;   /* whole pages */
};

struct frames_want {
	uint64_t bytes;        /* whole pages, above 0 */
	uint32_t address_bits; /* all of it is below 2 to the power of this; 12 to 64 */
	uint32_t max_segments; /* 0: any number; 1: contiguous */
	uint32_t
		segment_align; /* of address and length of each run but the last one's length; a power
	                           of two; less than a page: a page */
	uint64_t max_segment; /* bytes; 0: any */
	uint64_t run;         /* bytes of a run where nothing else matters; 0: one run */
};

/**
 * Take frames. Above 4 GiB where the width allows it, as on a real machine the low ones are few. Runs are
 * never neighbours, neither of each other nor of others': whoever runs past the end of one meets
 * nothing.
 * 0; -ENOSPC: there are none that fit; -ENOMEM.
 *
 * @param[out] runs  the caller's, for frames_give(); in the order of the memory's bytes
 */
int frames_take(const struct frames_want *want, struct frames_run **runs, size_t *count);
/** Give them back, and the array. NULL is ignored. */
void frames_give(struct frames_run *runs, size_t count);

#endif
