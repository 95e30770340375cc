/* SPDX-License-Identifier: MIT */
/* How long after a seqno word was raised another process that waited for it runs. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stile/seqno.h>
#include <stile/wait.h>

#include "interop-tests/bench/fence.h"

enum { ROUNDS = 2000, WARM_UP = 50 };

/* The descriptors that the other process begins with. */
enum { SHARED_FD = 10, WORD_FD, LIVENESS_FD };

enum way { WAY_FUTEX, WAY_SEQNO, WAY_STOP };

/* In memory of both processes. They take turns. */
struct shared {
	uint32_t way;
	uint32_t word;  /* for the bare futex */
	uint32_t value; /* for the seqno fence */
	int64_t woke_ns;

	uint32_t go;
	uint32_t done;
};

static long futex(uint32_t *word, int op, uint32_t value) {
	return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static struct shared *map_shared(int fd) {
	struct shared *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return shared == MAP_FAILED ? NULL : shared;
}

/* ---- The other process ---------------------------------------------------------------------- */

static void sleep_once(struct shared *shared, struct stile_seqno *seqno) {
	struct stile_fence *fence;
	if (shared->way == WAY_FUTEX) {
		while (__atomic_load_n(&shared->word, __ATOMIC_ACQUIRE) == 0) {
			futex(&shared->word, FUTEX_WAIT, 0);
		}
		shared->woke_ns = bench_now();
		return;
	}
	if (stile_seqno_create_fence(seqno, shared->value, STILE_SEQNO_GEQUAL, &fence) < 0 ||
		stile_fence_wait(fence, INT64_MAX) < 0) {
		abort();
	}
	shared->woke_ns = bench_now();
	stile_fence_unref(fence);
}

int bench_fence_other_process(void) {
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct shared *shared = map_shared(SHARED_FD);
	struct stile_seqno *seqno;
	if (shared == NULL || stile_seqno_import_fd(WORD_FD, LIVENESS_FD, &seqno) < 0) {
		return -EIO;
	}
	for (uint32_t round = 1;; round++) {
		while (__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE) != round) {
		}
		if (shared->way == WAY_STOP) {
			break;
		}
		sleep_once(shared, seqno);
		__atomic_store_n(&shared->done, round, __ATOMIC_RELEASE);
	}
	stile_seqno_unref(seqno);
	return 0;
}

/* ---- This process --------------------------------------------------------------------------- */

struct peer {
	struct stile_seqno *seqno;
	struct shared *shared;
	pid_t pid;
	int stat_fd;
};

static void begin_round(struct shared *shared, enum way way) {
	shared->way = way;
	shared->value++;
	__atomic_store_n(&shared->word, 0, __ATOMIC_RELAXED);
	__atomic_fetch_add(&shared->go, 1, __ATOMIC_RELEASE);
}

/* One round: ns from the wake-up until the other process runs. */
static double wake_once(struct peer *peer, enum way way, bool traced) {
	struct shared *shared = peer->shared;
	begin_round(shared, way);
	while (!fence_is_asleep(peer->stat_fd)) {
	}
	if (traced) {
		trace_begin();
	}
	int64_t began = bench_now();
	if (way == WAY_FUTEX) {
		__atomic_store_n(&shared->word, 1, __ATOMIC_RELEASE);
		futex(&shared->word, FUTEX_WAKE, INT_MAX);
	} else {
		stile_seqno_set_value(peer->seqno, shared->value);
	}
	if (traced) {
		trace_end();
	}
	while (__atomic_load_n(&shared->done, __ATOMIC_ACQUIRE) != shared->go) {
	}
	return (double)(shared->woke_ns - began);
}

static int spawn(int shared_fd, int word_fd, int liveness_fd, pid_t *pid) {
	extern char **environ;
	char *arguments[] = { "stile-bench", "--fence-other-process", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, shared_fd, SHARED_FD);
	posix_spawn_file_actions_adddup2(&actions, word_fd, WORD_FD);
	posix_spawn_file_actions_adddup2(&actions, liveness_fd, LIVENESS_FD);
	int error = posix_spawn(pid, "/proc/self/exe", &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

static int open_stat(pid_t pid) {
	char path[64];
	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The word and its memory are there. */
static int peer_start(struct peer *peer, int shared_fd) {
	int word_fd, liveness_fd;
	int ret = stile_seqno_export_fd(peer->seqno, &word_fd, &liveness_fd);
	if (ret < 0) {
		return ret;
	}
	ret = spawn(shared_fd, word_fd, liveness_fd, &peer->pid);
	close(word_fd);
	close(liveness_fd);
	if (ret < 0) {
		return ret;
	}
	peer->stat_fd = open_stat(peer->pid);
	if (peer->stat_fd < 0) {
		begin_round(peer->shared, WAY_STOP);
		waitpid(peer->pid, NULL, 0);
	}
	return peer->stat_fd < 0 ? peer->stat_fd : 0;
}

static void measure(struct peer *peer) {
	static double fence[ROUNDS], bare[ROUNDS];
	for (size_t i = 0; i < WARM_UP + ROUNDS; i++) {
		size_t at = i < WARM_UP ? 0 : i - WARM_UP;
		bare[at] = wake_once(peer, WAY_FUTEX, false);
		fence[at] = wake_once(peer, WAY_SEQNO, false);
	}
	fence_report_wake("seqno until another process runs", fence, bare, ROUNDS);
}

/* The other process is not traced, so its calls are not counted. */
static void wake_traced(struct peer *peer) {
	for (size_t i = 0; i < FENCE_TRACED; i++) {
		(void)wake_once(peer, WAY_SEQNO, true);
	}
}

/* With another process at the other end, which does not outlive this one. */
static int with_peer(void (*run)(struct peer *peer)) {
	struct peer peer = { 0 };
	int shared_fd = memfd_create("bench", MFD_CLOEXEC);
	if (shared_fd < 0 || ftruncate(shared_fd, sizeof(struct shared)) < 0 ||
		(peer.shared = map_shared(shared_fd)) == NULL) {
		return -errno;
	}
	int ret = stile_seqno_create(&peer.seqno);
	if (ret == 0) {
		ret = peer_start(&peer, shared_fd);
	}
	if (ret == 0) {
		run(&peer);
		begin_round(peer.shared, WAY_STOP);
		waitpid(peer.pid, NULL, 0);
		close(peer.stat_fd);
	}
	stile_seqno_unref(peer.seqno);
	munmap(peer.shared, sizeof(*peer.shared));
	close(shared_fd);
	return ret;
}

int bench_fence_traced_seqno_awaited(void) {
	return with_peer(wake_traced);
}

int bench_fence_traced_seqno_alone(void) {
	struct stile_seqno *seqno;
	int ret = stile_seqno_create(&seqno);
	if (ret < 0) {
		return ret;
	}
	for (uint32_t i = 1; i <= FENCE_TRACED; i++) {
		trace_begin();
		stile_seqno_set_value(seqno, i);
		trace_end();
	}
	stile_seqno_unref(seqno);
	return 0;
}

int fence_bench_seqno(void) {
	fence_report_calls("system calls, seqno with a waiter", "--fence-traced-seqno-awaited", 1);
	fence_report_calls("system calls, seqno without", "--fence-traced-seqno-alone", 0);
	return with_peer(measure);
}
