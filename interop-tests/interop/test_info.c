/* SPDX-License-Identifier: MIT */
/* The command `stile info`, as a user runs it: here as it is, and with what it needs missing. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stile/version.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

/* ---- Running it ---------------------------------------------------------------------------- */

/* What came of it. */
static struct {
	int status;
	char out[1 << 20], err[1 << 16];
} said;

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

/* `env`: NAME=VALUE, or NULL. */
static void run(const char *const *words, const char *env) {
	char *argv[8] = { TOOL };
	for (int i = 0; words[i] != NULL; i++) {
		argv[i + 1] = strdup(words[i]);
	}
	int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(out, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		if (env != NULL) {
			putenv(strdup(env));
		}
		execv(TOOL, argv);
		_exit(127);
	}
	said.status = runner_reap(pid);
	read_all(out, said.out, sizeof(said.out));
	read_all(err, said.err, sizeof(said.err));
	for (int i = 1; argv[i] != NULL; i++) {
		free(argv[i]);
	}
}

#define RUN(env, ...) run((const char *const[]){ __VA_ARGS__, NULL }, env)

/* ---- JSON, as far as is needed to see that it is some -------------------------------------- */

static const char *skip_blanks(const char *at) {
	return at + strspn(at, " \n");
}

static const char *skip_string(const char *at) {
	for (at++; *at != '"'; at++) {
		ck_assert_msg((unsigned char)*at >= ' ' && (unsigned char)*at < 127,
			"no string: %.40s", at);
		if (*at == '\\') {
			at++;
			ck_assert_msg(strchr("\"\\u", *at) != NULL, "escaped: %.40s", at);
		}
	}
	return at + 1;
}

static const char *skip_value(const char *at);

/* In an object, each value has a key before it. */
static const char *skip_many(const char *at, char end) {
	at = skip_blanks(at + 1);
	while (*at != end) {
		if (end == '}') {
			ck_assert_msg(*at == '"', "no key: %.40s", at);
			at = skip_blanks(skip_string(at));
			ck_assert_msg(*at == ':', "no colon: %.40s", at);
			at = skip_blanks(at + 1);
		}
		at = skip_blanks(skip_value(at));
		ck_assert_msg(*at == ',' || *at == end, "no comma: %.40s", at);
		if (*at == ',') {
			at = skip_blanks(at + 1);
			ck_assert_msg(*at != end, "comma at the end: %.40s", at);
		}
	}
	return at + 1;
}

static const char *skip_value(const char *at) {
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
	ck_assert_msg(isdigit((unsigned char)*at), "no value: %.40s", at);
	return at + strspn(at, "0123456789");
}

/* The value of a key of an object. */
static const char *get(const char *object, const char *key) {
	const char *at = skip_blanks(object + 1);
	while (*at == '"') {
		const char *name = at + 1;
		at = skip_blanks(skip_blanks(skip_string(at)) + 1);
		if (strncmp(name, key, strlen(key)) == 0 && name[strlen(key)] == '"') {
			return at;
		}
		at = skip_blanks(skip_value(at));
		at = *at == ',' ? skip_blanks(at + 1) : at;
	}
	ck_abort_msg("no key '%s' in %.80s", key, object);
	return NULL;
}

static bool is(const char *value, const char *text) {
	return strncmp(value, text, strlen(text)) == 0;
}

static void run_json(const char *env) {
	RUN(env, "info", "--json");
	ck_assert_msg(said.status == 0, "%d: %s", said.status, said.err);
	ck_assert_str_eq(skip_value(said.out), "\n");
}

/* ---- What it says -------------------------------------------------------------------------- */

/* Wrong code: a comma too many; a quotation mark as it is; what is not in the guide. */
START_TEST(all_of_it_is_json_with_known_keys) {
	static const char *const keys[] = { "stile", "kernel", "machine", "pairs", "parties",
		"backends", "best", "drm", "drm_why", "vulkan", "vulkan_why", "egl", "egl_why",
		"fences" };
	run_json(NULL);
	static char guide[1 << 16];
	int fd = open(GUIDE, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	read_all(fd, guide, sizeof(guide));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char quoted[32];
		get(said.out, keys[i]);
		snprintf(quoted, sizeof(quoted), "`%s`", keys[i]);
		ck_assert_msg(strstr(guide, quoted) != NULL, "%s is not in the guide", quoted);
	}
	ck_assert(is(get(said.out, "stile"), "\"" STILE_VERSION "\""));
}
END_TEST

/* Wrong code: a pair that works without a path, or does not without a reason. */
START_TEST(every_pair_has_a_path_or_a_reason) {
	run_json(NULL);
	bool found = false;
	const char *at = skip_blanks(get(said.out, "pairs") + 1);
	while (*at == '{') {
		bool works = is(get(at, "works"), "true");
		ck_assert(works == is(get(at, "why"), "null"));
		if (works) {
			ck_assert(is(get(at, "memory"), "\""));
			ck_assert(is(get(at, "modifier"), "\"0x"));
		}
		found = found ||
			(works && is(get(at, "from"), "\"swgpu\"") && is(get(at, "to"), "\"CPU\""));
		at = skip_blanks(skip_value(at));
		at = *at == ',' ? skip_blanks(at + 1) : at;
	}
	ck_assert_msg(found, "%s", said.out);
}
END_TEST

/* Wrong code: walls of text; blanks at the end; a table that is wider than a screen with two parties. */
START_TEST(text_is_for_a_screen) {
	RUN(NULL, "info", "--formats");
	ck_assert_int_eq(said.status, 0);
	ck_assert_ptr_nonnull(strstr(said.out, "Shared without a copy"));
	ck_assert_ptr_nonnull(strstr(said.out, "\n  XRGB8888 "));
	ck_assert_ptr_null(strstr(said.out, " \n"));
	/* The tables grow with the machine; the rest is broken. */
	const char *end = strstr(said.out, "\nFormats: ");
	for (const char *at = strstr(said.out, "\nMemory: "); at < end; at = strchr(at + 1, '\n')) {
		ck_assert_msg(strcspn(at + 1, "\n") <= 100, "%.120s", at);
	}
}
END_TEST

/* An empty file where the loader looks first; and the variable that says so. */
static struct { char env[64], path[96]; } hidden;

static void hide(const char *library) {
	char directory[] = "/tmp/stile-info-XXXXXX";
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(hidden.env, sizeof(hidden.env), "LD_LIBRARY_PATH=%s", directory);
	snprintf(hidden.path, sizeof(hidden.path), "%s/%s", directory, library);
	close(open(hidden.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static void show(void) {
	unlink(hidden.path);
	rmdir(strchr(hidden.env, '=') + 1);
}

/* Wrong code: without one of them, it does not start, or forgets the other. */
START_TEST(what_is_missing_is_told) {
	static const struct {
		const char *library, *key, *why;
	} cases[] = {
		{ "libvulkan.so.1", "vulkan", "vulkan_why" },
		{ "libEGL.so.1", "egl", "egl_why" },
	};
	hide(cases[_i].library);
	run_json(hidden.env);
	show();
	ck_assert(is(get(said.out, cases[_i].key), "[]"));
	const char *why = get(said.out, cases[_i].why);
	ck_assert_msg(memmem(why, 200, cases[_i].library, strlen(cases[_i].library)) != NULL ||
			memmem(why, 200, "built without", 13) != NULL,
		"%.200s", why);
	ck_assert(is(get(said.out, "backends"), "[\n"));
}
END_TEST

/* Wrong code: a loader without drivers taken for a driver without devices, or for a crash. */
START_TEST(loader_without_drivers_is_told) {
	run_json("VK_DRIVER_FILES=/nonexistent/icd.json");
	ck_assert(is(get(said.out, "vulkan"), "[]"));
	ck_assert(is(get(said.out, "vulkan_why"), "\""));
}
END_TEST

/* Wrong code: the variable that everybody goes by is left out of it. */
START_TEST(backend_that_is_forced_is_told) {
	run_json("STILE_BACKEND=nonsense");
	const char *best = get(said.out, "best");
	ck_assert_msg(memmem(best, 60, "STILE_BACKEND=nonsense", 22) != NULL, "%.80s", best);
}
END_TEST

/* ---- How it is called ---------------------------------------------------------------------- */

START_TEST(words_that_are_unknown_give_the_usage) {
	static const char *const cases[][3] = {
		{ "nonsense" },
		{ "info", "nonsense" },
		{ "--help", "nonsense" },
		{ NULL },
	};
	run(cases[_i], NULL);
	ck_assert_int_eq(said.status, 2);
	ck_assert_str_eq(said.out, "");
	ck_assert_ptr_nonnull(strstr(said.err, "usage: stile info"));
	ck_assert(cases[_i][0] == NULL || strstr(said.err, "what is 'nonsense'?") != NULL);
}
END_TEST

START_TEST(help_and_version_are_given) {
	RUN(NULL, "--help");
	ck_assert_int_eq(said.status, 0);
	ck_assert_ptr_nonnull(strstr(said.out, "--json"));
	RUN(NULL, "--version");
	ck_assert_int_eq(said.status, 0);
	ck_assert_str_eq(said.out, "stile " STILE_VERSION "\n");
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("info");
	TCase *tc = ledger_tcase_create("info");
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, all_of_it_is_json_with_known_keys);
	tcase_add_test(tc, every_pair_has_a_path_or_a_reason);
	tcase_add_test(tc, text_is_for_a_screen);
	tcase_add_loop_test(tc, what_is_missing_is_told, 0, 2);
	tcase_add_test(tc, loader_without_drivers_is_told);
	tcase_add_test(tc, backend_that_is_forced_is_told);
	tcase_add_loop_test(tc, words_that_are_unknown_give_the_usage, 0, 4);
	tcase_add_test(tc, help_and_version_are_given);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
