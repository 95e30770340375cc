/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_GUARD_H
#define TOOLS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Drivers crash, and what they take along is the rest of the report. So the work is done in another process, which
 * notes what it tries; where that ends it, one more begins anew and leaves it out.
 */

/** The exit status of `run` in another process; here, where there can be none. */
int guard_run(int (*run)(void *), void *arg);

/**
 * What comes next may crash. False: it did; `why`, which is appended to, says how. `what` is the same each time,
 * and nothing else's.
 */
bool guard_begin(const char *what, char *why);
void guard_end(void);

/** All is told: a crash from here on changes nothing. */
void guard_finish(void);

#endif
