/* SPDX-License-Identifier: MIT */
#include "tools/json.h"

#include <inttypes.h>

static void write_string(struct json *json, const char *text) {
	fputc('"', json->to);
	for (; *text != '\0'; text++) {
		const unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\') {
			fprintf(json->to, "\\%c", c);
		} else if (c < ' ') {
			fprintf(json->to, "\\u%04x", c);
		} else {
			fputc(c > '~' ? '?' : c, json->to);
		}
	}
	fputc('"', json->to);
}

static void begin_line(struct json *json) {
	if (json->depth > 0) {
		fprintf(json->to, "%s\n%*s", json->is_first ? "" : ",", (int)json->depth * 2, "");
	}
	json->is_first = false;
}

static void begin_value(struct json *json, const char *key) {
	begin_line(json);
	if (key != NULL) {
		write_string(json, key);
		fputs(": ", json->to);
	}
}

void json_begin(struct json *json, const char *key, char bracket) {
	begin_value(json, key);
	fputc(bracket, json->to);
	json->depth++;
	json->is_first = true;
}

void json_end(struct json *json, char bracket) {
	const bool is_empty = json->is_first;
	json->depth--;
	json->is_first = true;
	if (!is_empty) {
		fprintf(json->to, "\n%*s", (int)json->depth * 2, "");
	}
	fputc(bracket, json->to);
	json->is_first = false;
	if (json->depth == 0) {
		fputc('\n', json->to);
	}
}

void json_string(struct json *json, const char *key, const char *value) {
	begin_value(json, key);
	if (value == NULL) {
		fputs("null", json->to);
	} else {
		write_string(json, value);
	}
}

void json_bool(struct json *json, const char *key, bool value) {
	begin_value(json, key);
	fputs(value ? "true" : "false", json->to);
}

void json_number(struct json *json, const char *key, uint64_t value) {
	begin_value(json, key);
	fprintf(json->to, "%" PRIu64, value);
}
