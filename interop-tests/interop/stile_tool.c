/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/stile_tool.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "interop-tests/support/runner.h"

/* ---- Running it ---------------------------------------------------------------------------- */

static void read_all(int fd, char *text, size_t size) {
	size_t length = 0;
	ssize_t got;
	lseek(fd, 0, SEEK_SET);
	while (length + 1 < size && (got = read(fd, text + length, size - length - 1)) > 0) {
		length += (size_t)got;
	}
	text[length] = '\0';
	close(fd);
}

void stile_tool_run(const char *const *words, void (*prepare)(const void *arg), const void *arg,
	struct stile_tool_said *said) {
	char *argv[8] = { NULL };
	for (int i = 0; words[i] != NULL; i++) {
		argv[i] = strdup(words[i]);
	}
	int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(out, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		if (prepare != NULL) {
			prepare(arg);
		}
		execv(argv[0], argv);
		_exit(127);
	}
	said->status = runner_reap(pid);
	read_all(out, said->out, sizeof(said->out));
	read_all(err, said->err, sizeof(said->err));
	for (int i = 0; argv[i] != NULL; i++) {
		free(argv[i]);
	}
}

/* ---- JSON, as far as is needed to see that it is some -------------------------------------- */

/* Check notes each assertion that holds, which takes longer than all the rest where there are so many. */
static void expect(bool holds, const char *otherwise, const char *at) {
	if (!holds) {
		ck_abort_msg("%s: %.40s", otherwise, at);
	}
}

static const char *skip_blanks(const char *at) {
	return at + strspn(at, " \n");
}

static const char *skip_string(const char *string) {
	const char *at = string + 1;
	bool good = true;
	for (; *at != '"' && good; at++) {
		good = (unsigned char)*at >= ' ' && (unsigned char)*at < 127;
		if (*at == '\\') {
			at++;
			good = *at != '\0' && strchr("\"\\u", *at) != NULL;
		}
	}
	expect(good, "no string", string);
	return at + 1;
}

/* In an object, each value has a key before it. */
static const char *skip_many(const char *at, char end) {
	at = skip_blanks(at + 1);
	while (*at != end) {
		if (end == '}') {
			expect(*at == '"', "no key", at);
			at = skip_blanks(skip_string(at));
			expect(*at == ':', "no colon", at);
			at = skip_blanks(at + 1);
		}
		at = skip_blanks(json_skip(at));
		expect(*at == ',' || *at == end, "no comma", at);
		if (*at == ',') {
			at = skip_blanks(at + 1);
			expect(*at != end, "comma at the end", at);
		}
	}
	return at + 1;
}

const char *json_skip(const char *at) {
	static const char *const words[] = { "true", "false", "null" };
	if (*at == '{' || *at == '[') {
		return skip_many(at, *at == '{' ? '}' : ']');
	}
	if (*at == '"') {
		return skip_string(at);
	}
	for (size_t i = 0; i < 3; i++) {
		if (strncmp(at, words[i], strlen(words[i])) == 0) {
			return at + strlen(words[i]);
		}
	}
	expect(isdigit((unsigned char)*at), "no value", at);
	return at + strspn(at, "0123456789");
}

const char *json_get_first(const char *array) {
	return skip_blanks(array + 1);
}

const char *json_get_next(const char *value) {
	const char *at = skip_blanks(json_skip(value));
	return *at == ',' ? skip_blanks(at + 1) : at;
}

const char *json_get(const char *object, const char *key) {
	const char *at = skip_blanks(object + 1);
	while (*at == '"') {
		const char *name = at + 1;
		at = skip_blanks(skip_blanks(skip_string(at)) + 1);
		if (strncmp(name, key, strlen(key)) == 0 && name[strlen(key)] == '"') {
			return at;
		}
		at = json_get_next(at);
	}
	ck_abort_msg("no key '%s' in %.80s", key, object);
	return NULL;
}

bool json_is(const char *value, const char *text) {
	return strncmp(value, text, strlen(text)) == 0;
}
