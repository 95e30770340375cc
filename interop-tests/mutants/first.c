/* SPDX-License-Identifier: MIT */
/*
 * Linked into each test program by run.sh: says which test is on, and ends the program at the first
 * assertion that fails. What comes after one, with fences left half way on a stack that is gone, may
 * hang or crash, and Check would say nothing then.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

/* The linker's names. Weak: CMake links a program without Check to try the compiler. */
void __real_tcase_fn_start(const char *name, const char *file, int line) __attribute__((weak));
void __wrap_tcase_fn_start(const char *name, const char *file, int line);
void __wrap__ck_assert_failed(
	const char *file, int line, const char *expr, const char *format, ...);

static const char *test = "setup";

void __wrap_tcase_fn_start(const char *name, const char *file, int line) {
	test = name;
	dprintf(STDOUT_FILENO, "TEST %s\n", name);
	__real_tcase_fn_start(name, file, line);
}

void __wrap__ck_assert_failed(
	const char *file, int line, const char *expr, const char *format, ...) {
	const char *slash = strrchr(file, '/');
	char text[256];
	snprintf(text, sizeof(text), "%s", expr);
	if (format != NULL) {
		va_list args;
		va_start(args, format);
		vsnprintf(text, sizeof(text), format, args);
		va_end(args);
	}
	dprintf(STDOUT_FILENO, "FAILED %s:%d %s: %s\n", slash == NULL ? file : slash + 1, line,
		test, text);
	_exit(1);
}
