/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/runner.h"

#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static uint64_t seed;
static bool in_role;

static void seed_choose(void) {
	const char *given = getenv("STILE_TEST_SEED");
	if (given != NULL) {
		seed = strtoull(given, NULL, 0);
	} else if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed)) {
		seed = (uint64_t)runner_clock_ns();
	}
	printf("STILE_TEST_SEED=0x%" PRIx64 " repeats this run's choices\n", seed);
	fflush(stdout);
}

int runner_main(int argc, char **argv, Suite *(*make)(void), const struct runner_role *roles) {
	for (; argc > 1 && roles != NULL && roles->name != NULL; roles++) {
		if (strcmp(argv[1], roles->name) == 0) {
			in_role = true;
			return roles->run();
		}
	}
	if (argc > 1) {
		fprintf(stderr, "%s: no role '%s'\n", argv[0], argv[1]);
		return EXIT_FAILURE;
	}
	seed_choose();

	SRunner *runner = srunner_create(make());
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void runner_require(bool ok, const char *fmt, ...) {
	if (ok) {
		return;
	}
	char text[256];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (in_role) {
		fprintf(stderr, "role: %s\n", text);
		exit(EXIT_FAILURE);
	}
	ck_abort_msg("%s", text);
}

pid_t runner_spawn(const char *role, const int *fds, size_t fd_count) {
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	for (size_t i = 0; i < fd_count; i++) {
		posix_spawn_file_actions_adddup2(&actions, fds[i], RUNNER_FIRST_FD + (int)i);
	}
	char name[64];
	snprintf(name, sizeof(name), "%s", role);
	char program[] = "/proc/self/exe";
	char *args[] = { program, name, NULL };
	pid_t pid = -1;
	int ret = posix_spawn(&pid, program, &actions, NULL, args, environ);
	posix_spawn_file_actions_destroy(&actions);
	runner_require(ret == 0, "cannot start role %s: %s", role, strerror(ret));
	return pid;
}

int runner_reap(pid_t pid) {
	int status;
	pid_t reaped;
	do {
		reaped = waitpid(pid, &status, 0);
	} while (reaped < 0 && errno == EINTR);
	runner_require(reaped == pid, "waitpid: %s", strerror(errno));
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

uint64_t runner_seed(void) {
	return seed;
}

uint64_t runner_random(uint64_t *state) {
	/* splitmix64: any state will do, 0 too. */
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

int64_t runner_clock_ns(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void runner_sleep_ms(unsigned ms) {
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
	while (nanosleep(&left, &left) < 0 && errno == EINTR) {
	}
}
