/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_TRACE_H
#define BACKENDS_SWGPU_TRACE_H

/*
 * What the device does, for whoever wants to hear it; and its clock. Thread-safe; a leaf.
 *
 * A list is QUEUE:SEQNO, by the name of its queue; a command is #N, as injections count them. After the
 * time there is one of
 *
 *     submit QUEUE:SEQNO commands=N waits=N
 *     command #N NAME QUEUE:SEQNO
 *     inject KIND #N QUEUE:SEQNO
 *     work NAME QUEUE:SEQNO        the backend's own
 *     end QUEUE:SEQNO STATUS       0 or -errno
 *     fault #N TEXT
 *     lost
 */

#include <stdbool.h>
#include <stdint.h>

#include <stile/macros.h>
#include <stile/swgpu_test.h>

#include "backends/swgpu/profile.h"

struct trace;

int trace_create(const struct profile *profile, struct trace **out);
void trace_destroy(struct trace *trace);
/** The function before is not called any more when this returns. */
void trace_set(struct trace *trace, stile_swgpu_trace_fn fn, void *user);
bool trace_is_on(const struct trace *trace);

/** A line, begun with the time. Costs one load where nobody listens. */
void trace_print(struct trace *trace, const char *fmt, ...) STILE_PRINTF(2, 3);

/** CLOCK_MONOTONIC, or the virtual clock. */
int64_t trace_get_clock(const struct trace *trace);
/** Of the virtual clock, not past INT64_MAX; by one thread at a time. */
void trace_advance(struct trace *trace, int64_t ns);

#endif
