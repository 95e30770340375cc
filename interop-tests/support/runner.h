/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_RUNNER_H
#define SUPPORT_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <check.h>

/*
 * What every test program has in common. Check has no way to skip: a program that cannot run here
 * prints the reason and returns RUNNER_SKIP from main().
 */
enum { RUNNER_SKIP = 77 };

/** Where the descriptors given to runner_spawn() begin in the other process. */
enum { RUNNER_FIRST_FD = 100 };

/** A thing that the program does as another process instead of testing. */
struct runner_role {
	const char *name;
	int (*run)(void); /* gives the exit status */
};

/**
 * The whole of main(): play a role if the command line names one, else run the suite.
 *
 * @param make   makes the suite
 * @param roles  ended by one without a name; NULL: none
 * @return what main() returns
 */
int runner_main(int argc, char **argv, Suite *(*make)(void), const struct runner_role *roles);

/**
 * Run this program again, in a role. By exec: a plain fork would take locks and threads along.
 *
 * @param role   name of one of the roles
 * @param fds    borrowed; the other process has copies from RUNNER_FIRST_FD on
 * @return the process, to be reaped by runner_reap(); the test fails if there is none
 */
pid_t runner_spawn(const char *role, const int *fds, size_t fd_count);

/** Wait for the end of a process: its exit status, or minus the signal that ended it. */
int runner_reap(pid_t pid);

/**
 * Require something of the support code itself. Check's assertions work in tests only; this also
 * works in a role, which it ends.
 */
void runner_require(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Number of rounds or threads chosen by chance? Begin here; the seed is printed. */
uint64_t runner_seed(void);

/** The next number after *state, which runner_seed() began. */
uint64_t runner_random(uint64_t *state);

/** CLOCK_MONOTONIC in ns. */
int64_t runner_clock_ns(void);

/** Give others time to do what they should not do. Never prove anything by it alone. */
void runner_sleep_ms(unsigned ms);

#endif
