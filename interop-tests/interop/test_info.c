/* SPDX-License-Identifier: MIT */
/* The command `stile info`, as a user runs it. With what it needs missing: test_info_without.c. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stile/version.h>

#include "interop-tests/interop/stile_tool.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

/* ---- Running it ---------------------------------------------------------------------------- */

static struct stile_tool_said said;

static void set(const void *env) {
	putenv(strdup(env));
}

/* `env`: NAME=VALUE, or NULL. */
static void run(const char *const *words, const char *env) {
	stile_tool_run(words, env == NULL ? NULL : set, env, &said);
}

#define RUN(env, ...) run((const char *const[]){ TOOL, __VA_ARGS__, NULL }, env)

static void run_json(const char *env) {
	RUN(env, "info", "--json");
	ck_assert_msg(said.status == 0, "%d: %s", said.status, said.err);
	ck_assert_str_eq(json_skip(said.out), "\n");
}

/* ---- What it says -------------------------------------------------------------------------- */

/* Wrong code: a comma too many; a quotation mark as it is; what is not in the guide. */
START_TEST(all_of_it_is_json_with_known_keys) {
	static const char *const keys[] = { "stile", "kernel", "machine", "pairs", "parties",
		"backends", "best", "drm", "drm_why", "gbm_why", "vulkan", "vulkan_why", "egl",
		"egl_why", "fences" };
	run_json(NULL);
	static char guide[1 << 16];
	FILE *file = fopen(GUIDE, "re");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_lt(fread(guide, 1, sizeof(guide), file), sizeof(guide));
	fclose(file);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char quoted[32];
		json_get(said.out, keys[i]);
		snprintf(quoted, sizeof(quoted), "`%s`", keys[i]);
		ck_assert_msg(strstr(guide, quoted) != NULL, "%s is not in the guide", quoted);
	}
	ck_assert(json_is(json_get(said.out, "stile"), "\"" STILE_VERSION "\""));
}
END_TEST

/* Wrong code: a pair that works without a path, or does not without a reason. */
START_TEST(every_pair_has_a_path_or_a_reason) {
	run_json(NULL);
	bool found = false;
	const char *at = json_get_first(json_get(said.out, "pairs"));
	for (; *at == '{'; at = json_get_next(at)) {
		bool works = json_is(json_get(at, "works"), "true");
		ck_assert(works == json_is(json_get(at, "why"), "null"));
		if (works) {
			ck_assert(json_is(json_get(at, "memory"), "\""));
			ck_assert(json_is(json_get(at, "modifier"), "\"0x"));
		}
		found = found ||
			(works && json_is(json_get(at, "from"), "\"swgpu\"") &&
				json_is(json_get(at, "to"), "\"CPU\""));
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

/* Wrong code: the variable that everybody goes by is left out of it. */
START_TEST(backend_that_is_forced_is_told) {
	run_json("STILE_BACKEND=nonsense");
	const char *best = json_get(said.out, "best");
	ck_assert_msg(memmem(best, 60, "STILE_BACKEND=nonsense", 22) != NULL, "%.80s", best);
}
END_TEST

static void ignore_children(const void *arg) {
	(void)arg;
	signal(SIGCHLD, SIG_IGN);
}

/* As some shells and services begin commands. Wrong code: it waits for ever for a part of its own. */
START_TEST(ends_of_children_may_be_ignored) {
	stile_tool_run((const char *const[]){ TOOL, "info", "--json", NULL }, ignore_children, NULL,
		&said);
	ck_assert_int_eq(said.status, 0);
	ck_assert_str_eq(json_skip(said.out), "\n");
}
END_TEST

/* Wrong code: nothing is said, or a part that is not there is asked for, so that it cannot be linked. */
START_TEST(what_it_was_built_without_is_told) {
	static const struct {
		const char *key, *why;
	} cases[] = { { "drm_why", "DRM" }, { "gbm_why", "GBM" }, { "vulkan_why", "Vulkan" },
		{ "egl_why", "EGL" } };
	char sentence[64];
	snprintf(sentence, sizeof(sentence), "\"this Stile was built without %s\"", cases[_i].why);
	run((const char *const[]){ BARE_TOOL, "info", "--json", NULL }, NULL);
	ck_assert_int_eq(said.status, 0);
	ck_assert_str_eq(json_skip(said.out), "\n");
	ck_assert(json_is(json_get(said.out, cases[_i].key), sentence));
	run((const char *const[]){ BARE_TOOL, "info", NULL }, NULL);
	ck_assert_int_eq(said.status, 0);
	sentence[strlen(sentence) - 1] = '\n';
	ck_assert_msg(strstr(said.out, sentence + 1) != NULL, "%s", said.out);
}
END_TEST

/* ---- How it is called ---------------------------------------------------------------------- */

START_TEST(words_that_are_unknown_give_the_usage) {
	static const char *const cases[][4] = {
		{ TOOL, "nonsense" },
		{ TOOL, "info", "nonsense" },
		{ TOOL, "--help", "nonsense" },
		{ TOOL },
	};
	run(cases[_i], NULL);
	ck_assert_int_eq(said.status, 2);
	ck_assert_str_eq(said.out, "");
	ck_assert_ptr_nonnull(strstr(said.err, "usage: stile info"));
	ck_assert(cases[_i][1] == NULL || strstr(said.err, "what is 'nonsense'?") != NULL);
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
	tcase_add_test(tc, backend_that_is_forced_is_told);
	tcase_add_test(tc, ends_of_children_may_be_ignored);
	tcase_add_loop_test(tc, what_it_was_built_without_is_told, 0, 4);
	tcase_add_loop_test(tc, words_that_are_unknown_give_the_usage, 0, 4);
	tcase_add_test(tc, help_and_version_are_given);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
