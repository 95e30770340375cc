/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** JSON that is being written. Begins with zeroes but for `to`. */
struct json {
	FILE *to;
	unsigned depth;
	bool is_first; /* nothing is in the innermost object or array yet */
};

/* `key` is NULL within arrays, and for the outermost. */
void json_begin(struct json *json, const char *key, char bracket);
void json_end(struct json *json, char bracket);
/** NULL: null. What is not ASCII becomes a question mark. */
void json_string(struct json *json, const char *key, const char *value);
void json_bool(struct json *json, const char *key, bool value);
void json_number(struct json *json, const char *key, uint64_t value);

#endif
