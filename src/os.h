/* SPDX-License-Identifier: MIT */
#ifndef SRC_OS_H
#define SRC_OS_H

/* Everything that only Linux has, or has in its own way, is behind these. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/** CLOCK_MONOTONIC in ns. */
int64_t os_clock_ns(void);

/** Sleep while *word == expected. 0, -ETIME, or -EAGAIN for any wake-up that proves nothing. */
int os_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns);
void os_futex_wake_all(uint32_t *word);

/** The same for a word that other processes may map too. */
int os_futex_wait_shared(uint32_t *word, uint32_t expected, int64_t deadline_ns);
void os_futex_wake_shared(uint32_t *word);

/** A lock of four bytes that needs no initialisation but zero and no destruction. */
static inline void os_lock(uint32_t *lock);
static inline bool os_trylock(uint32_t *lock);
static inline void os_unlock(uint32_t *lock);

/** Start a thread with all signals blocked. 0 or -EAGAIN. */
int os_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg);

/** The id and the name of the calling thread, as debuggers show them. */
int os_thread_get(char name[16]);

/** Have functions run around every fork. 0 or -ENOMEM. */
int os_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

/** Differs in a child made by fork, and costs no system call. */
uint32_t os_fork_count(void);

/** As fstat(), by the quickest way there is: 0 or -errno. */
int os_fstat(int fd, struct stat *st);

/** A duplicate, CLOEXEC. The new descriptor, -EBADF or -EMFILE. */
int os_dup(int fd);

/** Are these duplicates of each other: of one open file? False, too, where the kernel does not say. */
bool os_is_duplicate(int fd, int other);

/** A zeroed file in memory, CLOEXEC, sealed against any change of size. Or -errno. */
int os_memfd_create(const char *name, uint64_t bytes);

/** Does a seal forbid to write to it? False for what has no seals. */
bool os_is_write_sealed(int fd);

/** Does no seal forbid to write to it, and can none be added? */
bool os_memfd_stays_writable(int fd);

/** Can nobody shrink it? 1 or 0; -EINVAL: not a file in memory. */
int os_memfd_is_unshrinkable(int fd);

/** Is it the kernel's dma-buf? It is told by its file system, which nobody can imitate. */
bool os_is_dma_buf(int fd);

/** A file's size by seeking, which for a dma-buf is the only way (D-1). Or -errno. */
int64_t os_seek_bytes(int fd);

/** A counter for waking a poll, CLOEXEC, never blocking. Or -errno. */
int os_eventfd(void);
void os_eventfd_raise(int fd);
void os_eventfd_clear(int fd);

/**
 * Did the kernel itself make it, as this kind: "[eventfd]", "sync_file"? Told by its name in /proc, which
 * no file that somebody else provides can have. False for O_PATH.
 */
bool os_is_anon_inode(int fd, const char *kind);

/** Has poll() something to read of it, now? */
bool os_is_readable(int fd);

/** Is the descriptor, which is open, one? Not if that cannot be found out. */
bool os_is_eventfd(int fd);

/** As os_eventfd_raise() for one that may block: never blocks all the same, a full one stays so. */
void os_eventfd_add(int fd);

/** A descriptor that becomes readable after that time, CLOEXEC. Or -errno. */
int os_timerfd(int64_t after_ns);

uint64_t os_page_size(void);

/** Of words in memory, is the highest byte the first? */
bool os_is_big_endian(void);

/* ---- What is worth being inlined ---- */

enum { OS_LOCK_FREE = 0, OS_LOCK_HELD = 1, OS_LOCK_CONTENDED = 2 };

void os_lock_contended(uint32_t *lock);
void os_unlock_contended(uint32_t *lock);

/* NOLINTNEXTLINE(readability-non-const-parameter): what a builtin writes to is not seen. */
static inline bool os_trylock(uint32_t *lock) {
	uint32_t seen = OS_LOCK_FREE;
	return __atomic_compare_exchange_n(
		lock, &seen, OS_LOCK_HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void os_lock(uint32_t *lock) {
	if (!os_trylock(lock)) {
		os_lock_contended(lock);
	}
}

static inline void os_unlock(uint32_t *lock) {
	if (__atomic_exchange_n(lock, OS_LOCK_FREE, __ATOMIC_RELEASE) == OS_LOCK_CONTENDED) {
		os_unlock_contended(lock);
	}
}

#endif
