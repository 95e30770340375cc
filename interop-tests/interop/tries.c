/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/tries.h"

#include <string.h>

#include <check.h>

#include "interop-tests/support/failing.h"

unsigned failing_call;
const char *failed_call;
struct stile_report why = { .size = sizeof(why) };

void try_begin(void) {
	why = (struct stile_report){ .size = sizeof(why) };
	failing_begin(failing_call);
}

int try_end(int ret) {
	const char *failed = failing_end();
	failed_call = failed != NULL ? failed : failed_call;
	failing_call = failed != NULL ? 0 : failing_call;
	if (ret < 0) {
		ck_assert_int_eq(why.error, ret);
		ck_assert_int_ne(why.reason, STILE_REASON_NONE);
		ck_assert_uint_gt(strlen(why.text), 0);
	}
	return ret;
}
