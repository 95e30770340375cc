/* SPDX-License-Identifier: MIT */
#ifndef BENCH_INTEROP_H
#define BENCH_INTEROP_H

/* What the parts of the group "interop" share. */

#include "interop-tests/bench/bench.h"

/** Print a row of the group; strings that are left out are empty. */
void interop_report(struct bench_row row);

/* The parts. 0, or -errno if it cannot run here. */
int interop_bench_negotiate(void);
int interop_bench_import(void);
int interop_bench_handover(void);
int interop_bench_ring(void);

#endif
