/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_FAILING_H
#define SUPPORT_FAILING_H

#include <stdbool.h>

/*
 * Failing system calls and allocations: what the library's objects in this program call goes
 * through here (the linker's --wrap). Only the calling thread's calls are counted; allocations
 * inside libc (tsearch(), pthread_create()'s stack) cannot be reached.
 */

/** From now on, let the n-th call of this thread fail; the others work. */
void failing_begin(unsigned n);

/** Everything works again. The name of the call that failed, or NULL if there were too few. */
const char *failing_end(void);

/**
 * Let the first call fail, then the second, until the attempt makes fewer calls than that. A failed
 * attempt has to give one of `errors` and to leave nothing behind (which the ledger sees).
 *
 * @param attempt  0 or -errno; no assertions in it, Check's allocations would fail as well
 * @param after    called after each attempt with its result, with nothing failing: looks at what
 *                 came out, and undoes a success
 * @param errors   what may come out, ended by 0
 * @return how many calls failed
 */
unsigned failing_sweep(int (*attempt)(void *user), void (*after)(void *user, int ret), void *user,
	const int *errors);

/** From now on, in all threads, no epoll instance takes another descriptor; or does again. */
void failing_deny_watches(bool deny);

typedef int (*failing_ioctl_fn)(int fd, unsigned long request, void *arg);

/** From now on, in all threads, this answers ioctl() instead of the system, as it does. NULL ends it. */
void failing_set_ioctl(failing_ioctl_fn fn);

/** The system's, for descriptors that are not the test's. */
int failing_real_ioctl(int fd, unsigned long request, void *arg);

/** How often this thread has called recv(), which never fails here: what does looking at sockets cost? */
unsigned failing_recv_calls(void);

/**
 * From now on, this thread sleeps for a moment each time it has unlocked a mutex: what it touches
 * without the lock afterwards, others had time to free. 0 ends it.
 */
void failing_linger(unsigned ms);

#endif
