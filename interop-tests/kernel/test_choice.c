/* SPDX-License-Identifier: MIT */
/*
 * stile_device_open_best() where there is something to choose from: a heap and /dev/udmabuf, which are
 * root's. Roles are other processes, without rights.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stile/device.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

enum { NOBODY = 65534 };

static const char udmabuf_node[] = "/dev/udmabuf";

/* ---- Roles --------------------------------------------------------------------------------- */

static void become_nobody(void) {
	runner_require(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0,
		"setuid: %s", strerror(errno));
}

/* This backend is taken, and the text says these; ended by NULL. */
static int expect(const char *backend, const char *const *parts) {
	struct stile_report report = { .size = sizeof(report) };
	struct stile_device *device;
	int ret = stile_device_open_best(NULL, &report, &device);
	runner_require(ret == 0, "%d, '%s'", ret, report.text);
	runner_require(strcmp(stile_device_get_backend(device), backend) == 0, "'%s'", report.text);
	for (; *parts != NULL; parts++) {
		runner_require(strstr(report.text, *parts) != NULL, "no '%s' in '%s'", *parts,
			report.text);
	}
	stile_device_destroy(device);
	return EXIT_SUCCESS;
}

static int nobody(void) {
	static const char *const parts[] = { "swgpu; dmabuf: ", "/dev/dma_heap",
		"; udmabuf: ", "/dev/udmabuf", NULL };
	become_nobody();
	unsetenv("STILE_BACKEND");
	return expect("swgpu", parts);
}

static int nobody_with_udmabuf(void) {
	static const char *const parts[] = { "udmabuf; dmabuf: ", "/dev/dma_heap", NULL };
	become_nobody();
	unsetenv("STILE_BACKEND");
	return expect("udmabuf", parts);
}

static int nobody_who_wants_udmabuf(void) {
	struct stile_report report = { .size = sizeof(report) };
	struct stile_device *device;
	become_nobody();
	setenv("STILE_BACKEND", "udmabuf", 1);
	int ret = stile_device_open_best(NULL, &report, &device);
	runner_require(ret == -EACCES && device == NULL && report.error == ret &&
			strncmp(report.text, "STILE_BACKEND=udmabuf: ", 23) == 0,
		"%d, '%s'", ret, report.text);
	return EXIT_SUCCESS;
}

/* Runs with more rights than its user. */
static int privileged(void) {
	static const char *const parts[] = { "dmabuf", NULL };
	if (getauxval(AT_SECURE) == 0) {
		printf("its rights were not raised: is the folder for temporary files nosuid?\n");
		return RUNNER_SKIP;
	}
	runner_require(getenv("STILE_BACKEND") != NULL, "the variable is lost");
	return expect("dmabuf", parts);
}

static char copy[256]; /* of this program */

/* As nobody, execute what makes root of it. */
static int user_of_privileged(void) {
	become_nobody();
	setenv("STILE_BACKEND", "no-such", 1);
	execl(getenv("STILE_TEST_COPY"), "copy", "privileged", (char *)NULL);
	runner_require(false, "execl: %s", strerror(errno));
	return EXIT_FAILURE;
}

/* ---- Tests --------------------------------------------------------------------------------- */

static void check_role(const char *role) {
	ck_assert_int_eq(runner_reap(runner_spawn(role, NULL, 0)), EXIT_SUCCESS);
}

/* Wrong code: memory that fewer drivers take, though there is better one. */
START_TEST(root_gets_memory_of_the_heap) {
	struct stile_report report = { .size = sizeof(report) };
	struct stile_device *device;
	ck_assert_int_eq(unsetenv("STILE_BACKEND"), 0);
	ck_assert_int_eq(stile_device_open_best(NULL, &report, &device), 0);
	ck_assert_str_eq(stile_device_get_backend(device), "dmabuf");
	ck_assert_str_eq(report.text, "dmabuf");
	stile_device_destroy(device);
}
END_TEST

START_TEST(variable_overrides_what_would_be_better) {
	static const char *const names[] = { "udmabuf", "swgpu", "dmabuf", "dmabuf:heap=system" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct stile_device *device;
		ck_assert_int_eq(setenv("STILE_BACKEND", names[i], 1), 0);
		ck_assert_int_eq(stile_device_open_best(NULL, NULL, &device), 0);
		size_t length = strlen(stile_device_get_backend(device));
		ck_assert_int_eq(strncmp(stile_device_get_backend(device), names[i], length), 0);
		ck_assert(names[i][length] == '\0' || names[i][length] == ':');
		stile_device_destroy(device);
	}
	ck_assert_int_eq(unsetenv("STILE_BACKEND"), 0);
}
END_TEST

/* Wrong code: no device at all, since the best one may not be opened; a reason that is not told. */
START_TEST(user_without_rights_gets_what_is_left_and_the_reasons) {
	check_role("nobody");
}
END_TEST

START_TEST(user_gets_udmabuf_where_only_the_heap_is_closed) {
	struct stat st;
	ck_assert_int_eq(stat(udmabuf_node, &st), 0);
	ck_assert_int_eq(chmod(udmabuf_node, 0666), 0);
	int ret = runner_reap(runner_spawn("nobody_with_udmabuf", NULL, 0));
	ck_assert_int_eq(chmod(udmabuf_node, st.st_mode & 07777), 0);
	ck_assert_int_eq(ret, EXIT_SUCCESS);
}
END_TEST

/* Wrong code: another one instead of the one that was asked for. */
START_TEST(variable_does_not_give_rights) {
	check_role("nobody_who_wants_udmabuf");
}
END_TEST

static void copy_program(void) {
	const char *folder = getenv("TMPDIR");
	snprintf(copy, sizeof(copy), "%s/stile-copy-XXXXXX", folder == NULL ? "/tmp" : folder);
	int to = mkostemp(copy, O_CLOEXEC), from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ck_assert_msg(to >= 0 && from >= 0, "%s: %s", copy, strerror(errno));
	static char bytes[1 << 16];
	for (ssize_t n; (n = read(from, bytes, sizeof(bytes))) > 0;) {
		ck_assert_int_eq(write(to, bytes, (size_t)n), n);
	}
	ck_assert_int_eq(fchmod(to, 04755), 0);
	close(to);
	close(from);
}

/* Wrong code: a user says what a program with more rights than theirs opens, and how. */
START_TEST(program_with_more_rights_does_not_read_the_variable) {
	copy_program();
	ck_assert_int_eq(setenv("STILE_TEST_COPY", copy, 1), 0);
	int ret = runner_reap(runner_spawn("user_of_privileged", NULL, 0));
	ck_assert_int_eq(unsetenv("STILE_TEST_COPY"), 0);
	ck_assert_int_eq(unlink(copy), 0);
	ck_assert_msg(ret == EXIT_SUCCESS, "%d", ret);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("choice");
	TCase *choice = ledger_tcase_create("choice");
	tcase_add_test(choice, root_gets_memory_of_the_heap);
	tcase_add_test(choice, variable_overrides_what_would_be_better);
	tcase_add_test(choice, user_without_rights_gets_what_is_left_and_the_reasons);
	tcase_add_test(choice, user_gets_udmabuf_where_only_the_heap_is_closed);
	tcase_add_test(choice, variable_does_not_give_rights);
	tcase_add_test(choice, program_with_more_rights_does_not_read_the_variable);
	suite_add_tcase(s, choice);
	return s;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = {
		{ "nobody", nobody },
		{ "nobody_with_udmabuf", nobody_with_udmabuf },
		{ "nobody_who_wants_udmabuf", nobody_who_wants_udmabuf },
		{ "privileged", privileged },
		{ "user_of_privileged", user_of_privileged },
		{ NULL, NULL },
	};
	/* Roles have what they need. */
	if (argc == 1) {
		if (geteuid() != 0) {
			printf("skipped: only root can give rights up, and take them away\n");
			return RUNNER_SKIP;
		}
		if (access("/dev/dma_heap/system", F_OK) < 0 || access(udmabuf_node, F_OK) < 0) {
			printf("skipped: no heap or no %s here\n", udmabuf_node);
			return RUNNER_SKIP;
		}
	}
	return runner_main(argc, argv, suite, roles);
}
