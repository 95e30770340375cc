/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_LEDGER_H
#define SUPPORT_LEDGER_H

#include <check.h>

/**
 * A test case whose every test is checked for leaks: after it, the same descriptors have to be open
 * as before, and no more threads of the library may run. What is left over is named. Nor may the
 * library complain (stile_check_set_handler()), but of what the test expects.
 *
 * For a case that needs a fixture of its own, add that one after: Check tears down in the reverse
 * order, so the ledger looks last.
 */
TCase *ledger_tcase_create(const char *name);

/** This test makes the library complain; the first complaint has to contain this. Borrowed. */
void ledger_expect_complaint(const char *part);

/** Note what is open now. */
void ledger_open(void);

/** Fail the test if something else is open now. Threads that are just ending get some time. */
void ledger_close(void);

#endif
