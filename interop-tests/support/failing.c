/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/failing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/types.h>

#include <check.h>

#include "interop-tests/support/runner.h"

static _Thread_local unsigned calls_left; /* 0: nothing fails */
static _Thread_local const char *failed;

void failing_begin(unsigned n) {
	failed = NULL;
	calls_left = n;
}

const char *failing_end(void) {
	calls_left = 0;
	return failed;
}

static _Thread_local unsigned linger_ms;

void failing_linger(unsigned ms) {
	linger_ms = ms;
}

static bool fails(const char *call, int error) {
	if (calls_left == 0 || --calls_left > 0) {
		return false;
	}
	failed = call;
	errno = error;
	return true;
}

static bool is_one_of(int error, const int *errors) {
	while (*errors != 0 && *errors != error) {
		errors++;
	}
	return *errors != 0;
}

unsigned failing_sweep(int (*attempt)(void *user), void (*after)(void *user, int ret), void *user,
	const int *errors) {
	for (unsigned n = 1;; n++) {
		failing_begin(n);
		int ret = attempt(user);
		const char *call = failing_end();
		after(user, ret);
		if (call == NULL) {
			ck_assert_msg(ret == 0, "nothing failed, and yet it gave %d", ret);
			return n - 1;
		}
		ck_assert_msg(ret != 0, "call %u, %s, failed, and nobody noticed", n, call);
		ck_assert_msg(is_one_of(ret, errors), "call %u, %s, failed: gave %d", n, call, ret);
	}
}

/* The linker makes these names; nothing declares them. */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);
static bool denies_watches;

void failing_deny_watches(bool deny) {
	__atomic_store_n(&denies_watches, deny, __ATOMIC_RELAXED);
}

int __real_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags);
int __real_fcntl(int fd, int op, ...);
int __wrap_fcntl(int fd, int op, ...);
int __real_ftruncate(int fd, off_t bytes);
int __wrap_ftruncate(int fd, off_t bytes);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
ssize_t __real_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);
int __real_socketpair(int domain, int type, int protocol, int ends[2]);
static _Thread_local unsigned recv_calls;

unsigned failing_recv_calls(void) {
	return recv_calls;
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags) {
	recv_calls++;
	return __real_recv(fd, bytes, size, flags);
}

int __wrap_socketpair(int domain, int type, int protocol, int ends[2]);
int __real_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);

void *__wrap_malloc(size_t size) {
	return fails("malloc", ENOMEM) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
	return fails("calloc", ENOMEM) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
	return fails("realloc", ENOMEM) ? NULL : __real_realloc(block, size);
}

int __wrap_epoll_create1(int flags) {
	return fails("epoll_create1", EMFILE) ? -1 : __real_epoll_create1(flags);
}

int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event) {
	/* Taking a descriptor out needs nothing, so it cannot fail. */
	if (op == EPOLL_CTL_ADD &&
		(__atomic_load_n(&denies_watches, __ATOMIC_RELAXED) ||
			fails("epoll_ctl", ENOSPC))) {
		return -1;
	}
	return __real_epoll_ctl(epoll, op, fd, event);
}

int __wrap_eventfd(unsigned count, int flags) {
	return fails("eventfd", EMFILE) ? -1 : __real_eventfd(count, flags);
}

int __wrap_fcntl(int fd, int op, ...) {
	va_list args;
	va_start(args, op);
	/* Whether it is an int or a pointer: both travel the same way in a system call. */
	void *arg = va_arg(args, void *);
	va_end(args);
	if (op == F_DUPFD_CLOEXEC && fails("fcntl(F_DUPFD_CLOEXEC)", EMFILE)) {
		return -1;
	}
	if (op == F_SETFD && fails("fcntl(F_SETFD)", EBADF)) {
		return -1;
	}
	return __real_fcntl(fd, op, arg);
}

int __wrap_ftruncate(int fd, off_t bytes) {
	return fails("ftruncate", ENOMEM) ? -1 : __real_ftruncate(fd, bytes);
}

static failing_ioctl_fn ioctl_fn;

void failing_set_ioctl(failing_ioctl_fn fn) {
	__atomic_store_n(&ioctl_fn, fn, __ATOMIC_SEQ_CST);
}

int failing_real_ioctl(int fd, unsigned long request, void *arg) {
	return __real_ioctl(fd, request, arg);
}

int __wrap_ioctl(int fd, unsigned long request, ...) {
	va_list args;
	va_start(args, request);
	void *arg = va_arg(args, void *);
	va_end(args);
	if (fails("ioctl", ENOMEM)) {
		return -1;
	}
	failing_ioctl_fn fn = __atomic_load_n(&ioctl_fn, __ATOMIC_SEQ_CST);
	return fn != NULL ? fn(fd, request, arg) : __real_ioctl(fd, request, arg);
}

int __wrap_memfd_create(const char *name, unsigned flags) {
	return fails("memfd_create", EMFILE) ? -1 : __real_memfd_create(name, flags);
}

void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset) {
	if (fails("mmap", ENOMEM)) {
		return MAP_FAILED;
	}
	return __real_mmap(at, bytes, prot, flags, fd, offset);
}

int __wrap_socketpair(int domain, int type, int protocol, int ends[2]) {
	if (fails("socketpair", EMFILE)) {
		return -1;
	}
	return __real_socketpair(domain, type, protocol, ends);
}

int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg) {
	if (fails("pthread_create", EAGAIN)) {
		return EAGAIN;
	}
	return __real_pthread_create(thread, attr, run, arg);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex) {
	int ret = __real_pthread_mutex_unlock(mutex);
	if (linger_ms > 0) {
		runner_sleep_ms(linger_ms);
	}
	return ret;
}
