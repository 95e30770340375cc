/* SPDX-License-Identifier: MIT */
#include "src/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int64_t os_clock_ns(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The BITSET form is the one that takes an absolute monotonic time. */
static int futex_wait(int op, uint32_t *word, uint32_t expected, int64_t deadline_ns) {
	struct timespec until = {
		.tv_sec = (time_t)(deadline_ns / 1000000000),
		.tv_nsec = (long)(deadline_ns % 1000000000),
	};
	long ret = syscall(SYS_futex, word, op, expected, deadline_ns == INT64_MAX ? NULL : &until,
		NULL, FUTEX_BITSET_MATCH_ANY);
	if (ret == 0) {
		return 0;
	}
	return errno == ETIMEDOUT ? -ETIME : -EAGAIN;
}

int os_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns) {
	return futex_wait(FUTEX_WAIT_BITSET_PRIVATE, word, expected, deadline_ns);
}

void os_futex_wake_all(uint32_t *word) {
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

int os_futex_wait_shared(uint32_t *word, uint32_t expected, int64_t deadline_ns) {
	return futex_wait(FUTEX_WAIT_BITSET, word, expected, deadline_ns);
}

void os_futex_wake_shared(uint32_t *word) {
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void os_lock_contended(uint32_t *lock) {
	/* Whoever slept takes it as contended: it cannot know whether others sleep still. */
	while (__atomic_exchange_n(lock, OS_LOCK_CONTENDED, __ATOMIC_ACQUIRE) != OS_LOCK_FREE) {
		os_futex_wait(lock, OS_LOCK_CONTENDED, INT64_MAX);
	}
}

void os_unlock_contended(uint32_t *lock) {
	syscall(SYS_futex, lock, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

int os_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg) {
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int ret = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret != 0) {
		return -EAGAIN;
	}
	pthread_setname_np(*thread, name);
	return 0;
}

int os_thread_get(char name[16]) {
	prctl(PR_GET_NAME, name);
	return (int)syscall(SYS_gettid);
}

int os_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
	return -pthread_atfork(prepare, parent, child);
}

static uint32_t fork_count;
static bool forks_are_counted;

static void count_fork(void) {
	fork_count++;
}

__attribute__((constructor)) static void begin_to_count_forks(void) {
	forks_are_counted = pthread_atfork(NULL, NULL, count_fork) == 0;
}

uint32_t os_fork_count(void) {
	return forks_are_counted ? fork_count : (uint32_t)getpid();
}

int os_dup(int fd) {
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -errno : copy;
}

bool os_is_duplicate(int fd, int other) {
	/* Of Linux 6.10, and in newer headers than are needed for the rest. */
	enum { DUPFD_QUERY = 1027 };
	static bool unknown;
	if (__atomic_load_n(&unknown, __ATOMIC_RELAXED)) {
		return false;
	}
	int before = errno, ret = fcntl(fd, DUPFD_QUERY, other);
	if (ret < 0 && errno == EINVAL) {
		__atomic_store_n(&unknown, true, __ATOMIC_RELAXED);
	}
	errno = before;
	return ret == 1;
}

int os_fstat(int fd, struct stat *st) {
#if defined(SYS_fstat) && defined(__LP64__)
	/* glibc asks in the way that also takes a path, which costs a fifth more. */
	return syscall(SYS_fstat, fd, st) < 0 ? -errno : 0;
#else
	return fstat(fd, st) < 0 ? -errno : 0;
#endif
}

int os_memfd_create(const char *name, uint64_t bytes) {
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	/* The kernel refuses names of 250 bytes and more. */
	char shown[64];
	snprintf(shown, sizeof(shown), "%s", name);
	int fd = memfd_create(shown, flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL) {
		/* Kernels before 6.3 do not know NOEXEC_SEAL. */
		fd = memfd_create(shown, flags);
	}
	if (fd < 0) {
		return -errno;
	}
	/* Never sealed against writing: udmabuf and Mesa refuse such memory. */
	if (ftruncate(fd, (off_t)bytes) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

bool os_is_write_sealed(int fd) {
	int seals = fcntl(fd, F_GET_SEALS);
	return seals >= 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0;
}

bool os_memfd_stays_writable(int fd) {
	int seals = fcntl(fd, F_GET_SEALS);
	return seals >= 0 &&
		(seals & (F_SEAL_SEAL | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) == F_SEAL_SEAL;
}

int os_memfd_is_unshrinkable(int fd) {
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0) {
		return -EINVAL;
	}
	return (seals & F_SEAL_SHRINK) != 0;
}

bool os_is_dma_buf(int fd) {
	enum { DMA_BUF_MAGIC = 0x444d4142 };
	struct statfs fs;
	return fstatfs(fd, &fs) == 0 && (uint64_t)fs.f_type == DMA_BUF_MAGIC;
}

int64_t os_seek_bytes(int fd) {
	off_t bytes = lseek(fd, 0, SEEK_END);
	return bytes < 0 ? -errno : bytes;
}

int os_eventfd(void) {
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

void os_eventfd_raise(int fd) {
	int before = errno;
	eventfd_write(fd, 1);
	errno = before;
}

void os_eventfd_clear(int fd) {
	eventfd_t count;
	eventfd_read(fd, &count);
}

bool os_is_anon_inode(int fd, const char *kind) {
	char path[32], target[64], expected[64];
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || (flags & O_PATH) != 0) {
		return false;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	snprintf(expected, sizeof(expected), "anon_inode:%s", kind);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = '\0';
	return strcmp(target, expected) == 0;
}

bool os_is_eventfd(int fd) {
	return os_is_anon_inode(fd, "[eventfd]");
}

void os_eventfd_add(int fd) {
	int before = errno;
	struct pollfd at = { .fd = fd, .events = POLLOUT };
	if (poll(&at, 1, 0) == 1 && (at.revents & POLLOUT) != 0) {
		eventfd_write(fd, 1);
	}
	errno = before;
}

int os_timerfd(int64_t after_ns) {
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd < 0) {
		return -errno;
	}
	const struct itimerspec at = {
		.it_value = { .tv_sec = (time_t)(after_ns / 1000000000),
			.tv_nsec = (long)(after_ns % 1000000000) },
	};
	if (timerfd_settime(fd, 0, &at, NULL) < 0) {
		int error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

bool os_is_readable(int fd) {
	struct pollfd at = { .fd = fd, .events = POLLIN };
	return poll(&at, 1, 0) == 1 && (at.revents & POLLIN) != 0;
}

uint64_t os_page_size(void) {
	static uint64_t bytes;
	uint64_t known = __atomic_load_n(&bytes, __ATOMIC_RELAXED);
	if (known == 0) {
		known = (uint64_t)sysconf(_SC_PAGESIZE);
		__atomic_store_n(&bytes, known, __ATOMIC_RELAXED);
	}
	return known;
}

bool os_is_big_endian(void) {
	const uint16_t word = 1;
	return *(const uint8_t *)&word == 0;
}
