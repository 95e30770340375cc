/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/frames.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "backends/swgpu/space.h"
#include "src/os.h"

static const uint64_t low_end = UINT64_C(1) << 32;
/* What a 64-bit processor of today can address. */
static const uint64_t high_end = UINT64_C(1) << 52;

static uint32_t lock;

/*
 * Under the lock. Made by the first who takes something, and there until the process ends. Address 0 is
 * in none: so many mistakes point there.
 */
static struct space *low, *high;

static uint64_t least(uint64_t a, uint64_t b) {
	return a < b ? a : b;
}

static uint64_t greatest(uint64_t a, uint64_t b) {
	return a > b ? a : b;
}

/* Each run has a page behind it that is somebody else's: whoever runs past its end meets nothing. */
static uint64_t with_gap(uint64_t bytes) {
	return bytes + os_page_size();
}

/* The lock is held. */
static int assemble(void) {
	if (high != NULL) {
		return 0;
	}
	uint64_t page = os_page_size();
	int ret = space_create(page, with_gap(low_end), &low);
	if (ret < 0) {
		return ret;
	}
	ret = space_create(with_gap(low_end), with_gap(high_end), &high);
	if (ret < 0) {
		space_destroy(low);
	}
	return ret;
}

static uint64_t align_of(const struct frames_want *want) {
	return greatest(want->segment_align, os_page_size());
}

static uint64_t limit_of(const struct frames_want *want) {
	return want->address_bits >= 52 ? high_end : UINT64_C(1) << want->address_bits;
}

/* How long runs are, all but the last one. 0: there is no length that would do. */
static uint64_t run_length(const struct frames_want *want) {
	uint64_t align = align_of(want);
	uint64_t most = (want->max_segment == 0 ? UINT64_MAX : want->max_segment) & ~(align - 1);
	uint64_t fewest = 1;
	if (want->max_segments != 0) {
		fewest = (want->bytes + want->max_segments - 1) / want->max_segments;
	}
	uint64_t run = want->run == 0 ? want->bytes : least(want->run, want->bytes);
	run = (greatest(run, fewest) + align - 1) & ~(align - 1);
	run = least(run, most);
	return run < fewest ? 0 : run;
}

/* The lock is held. */
static int take_run(const struct frames_want *want, struct frames_run *run) {
	uint64_t limit = limit_of(want);
	struct space_want place = {
		.bytes = with_gap(run->bytes),
		.align = align_of(want),
		.limit = with_gap(limit),
	};
	if (limit > low_end) {
		int ret = space_take(high, &place, &run->address);
		if (ret != -ENOSPC) {
			return ret;
		}
		place.limit = with_gap(low_end);
	}
	return space_take(low, &place, &run->address);
}

/* The lock is held. */
static void give_runs(const struct frames_run *runs, size_t count) {
	for (size_t i = 0; i < count; i++) {
		bool is_high = runs[i].address >= low_end;
		space_give(is_high ? high : low, runs[i].address, with_gap(runs[i].bytes));
	}
}

/* The lock is held. */
static int take_runs(
	const struct frames_want *want, uint64_t length, struct frames_run *runs, size_t count) {
	int ret = assemble();
	uint64_t left = want->bytes;
	size_t taken = 0;
	while (ret == 0 && taken < count) {
		runs[taken].bytes = least(left, length);
		ret = take_run(want, &runs[taken]);
		if (ret == 0) {
			left -= runs[taken++].bytes;
		}
	}
	if (ret < 0) {
		give_runs(runs, taken);
	}
	return ret;
}

/* Addresses that only ever go up would let pass who thinks that they do. The last may be shorter. */
static void shuffle(struct frames_run *runs, size_t count) {
	for (size_t i = 0; i + 2 < count; i += 2) {
		uint64_t address = runs[i].address;
		runs[i].address = runs[i + 1].address;
		runs[i + 1].address = address;
	}
}

int frames_take(const struct frames_want *want, struct frames_run **runs, size_t *count) {
	assert(want->bytes > 0 && want->bytes % os_page_size() == 0);
	*runs = NULL;
	*count = 0;
	uint64_t length = want->bytes > limit_of(want) ? 0 : run_length(want);
	if (length == 0) {
		return -ENOSPC;
	}
	size_t needed = (size_t)((want->bytes + length - 1) / length);
	struct frames_run *made = calloc(needed, sizeof(*made));
	if (made == NULL) {
		return -ENOMEM;
	}
	os_lock(&lock);
	int ret = take_runs(want, length, made, needed);
	os_unlock(&lock);
	if (ret < 0) {
		free(made);
		return ret;
	}
	shuffle(made, needed);
	*runs = made;
	*count = needed;
	return 0;
}

void frames_give(struct frames_run *runs, size_t count) {
	if (runs == NULL) {
		return;
	}
	os_lock(&lock);
	give_runs(runs, count);
	os_unlock(&lock);
	free(runs);
}

static void before_fork(void) {
	os_lock(&lock);
}

static void after_fork(void) {
	os_unlock(&lock);
}

__attribute__((constructor)) static void guard(void) {
	/* If there is no memory for this, a child made by fork may hang: it should exec anyway. */
	(void)os_atfork(before_fork, after_fork, after_fork);
}
