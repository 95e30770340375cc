/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_TRIES_H
#define INTEROP_TRIES_H

#include <stile/report.h>

/* Calls of the library's in which one of the system's may fail (support/failing.h), and what they say of it. */

/** Which of the system's calls fails in the next TRY()s; 0: none. */
extern unsigned failing_call;
/** And which did; NULL: none yet. */
extern const char *failed_call;
/** For the call's report. */
extern struct stile_report why;

/** The result of a call. If that is a failure, `why` has to have it, a reason, and a sentence. */
#define TRY(call) (try_begin(), try_end(call))

void try_begin(void);
int try_end(int ret);

#endif
