/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_STILE_TOOL_H
#define INTEROP_STILE_TOOL_H

#include <stdbool.h>

/* The command `stile` as a user runs it, and what it says as JSON. */

/** What came of it: its exit status, or minus a signal. */
struct stile_tool_said {
	int status;
	char out[1 << 20], err[1 << 16];
};

/** `words`, the first of which is its path, end by NULL. `prepare` is called in its process before it begins; NULL: nothing is to be done. */
void stile_tool_run(const char *const *words, void (*prepare)(const void *arg), const void *arg,
	struct stile_tool_said *said);

/** Behind a value; the test fails if that is no JSON. */
const char *json_skip(const char *value);

/** The value of a key of an object; the test fails if it has none. */
const char *json_get(const char *object, const char *key);

/** The first of an array, and the next one; behind the last is its bracket. */
const char *json_get_first(const char *array);
const char *json_get_next(const char *value);

/** Does the value begin so? */
bool json_is(const char *value, const char *text);

#endif
