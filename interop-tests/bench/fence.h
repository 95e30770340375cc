/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FENCE_H
#define BENCH_FENCE_H

/* What the parts of the group "fence" share. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/fence.h>

#include "interop-tests/bench/bench.h"

/** A fence in the caller's memory, with nothing behind it and nothing to release. */
void fence_make(struct stile_fence *fence, uint64_t context, uint64_t seqno);

/** One on the heap, which its last reference frees. */
struct stile_fence *fence_create(uint64_t context, uint64_t seqno);

/** Keep the calling thread on the n-th processor it may use: two threads are not to share one. */
void fence_pin(size_t n);
/** Let it go where it may. */
void fence_unpin(void);

/** Print a row of the group; strings that are left out are empty. */
void fence_report(struct bench_row row);

/** A row for the median, one for the 99th of 100, which has no goal. */
void fence_report_way(const char *name, const struct bench_way *way, const char *goal, bool met);

/** Does a thread sleep, of which this is the file "stat" in /proc? */
bool fence_is_asleep(int stat_fd);

/** Rows for how long a wake-up takes, against that of a bare futex: ns, n of each. */
void fence_report_wake(const char *name, double *values, double *baselines, size_t n);

/** How many rounds a program does that is run under trace_count(). */
enum { FENCE_TRACED = 100 };

/** Count the system calls of this program, run with an argument, and print the row. */
void fence_report_calls(const char *name, const char *argument, double expected);

/* The parts. 0, or -errno if it cannot run here. */
int fence_bench_life(void);
int fence_bench_core(void);
int fence_bench_wake(void);
int fence_bench_seqno(void);
int fence_bench_many(void);
int fence_bench_chain(void);
int fence_bench_grace(void);

#endif
