/* SPDX-License-Identifier: MIT */
/*
 * A word that ends fences: contract section 21, "seqno fence".
 *
 * A word of its own is the first of a memory file; the next one counts who sleeps on it, in all
 * processes. A sleeper counts itself in and then looks at the word (in the kernel, which compares
 * before it sleeps); who sets the word then looks at the count: all of that is sequentially
 * consistent, so either the sleeper sees the new word or the setter sees the sleeper.
 */
#include "src/seqno.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <stile/fence.h>

#include "src/buffer.h"
#include "src/check.h"
#include "src/os.h"
#include "src/sync_file.h"

enum { WORD_BYTES = 4, SHARED_BYTES = 8 };

bool seqno_is_orphan(struct stile_seqno *seqno) {
	if (seqno->alive_fd < 0 || own_end_is_open(&seqno->keep)) {
		return false;
	}
	if (__atomic_load_n(&seqno->gone, __ATOMIC_RELAXED)) {
		return true;
	}
	struct pollfd at = { .fd = seqno->alive_fd };
	if (poll(&at, 1, 0) != 1) {
		return false;
	}
	__atomic_store_n(&seqno->gone, true, __ATOMIC_RELAXED);
	return true;
}

/* ---- Making and dropping one -------------------------------------------------------------- */

static int seqno_alloc(struct stile_seqno **out) {
	check_alloc();
	struct stile_seqno *seqno = calloc(1, sizeof(*seqno));
	if (seqno == NULL) {
		return -ENOMEM;
	}
	seqno->refs = 1;
	seqno->word_fd = -1;
	seqno->alive_fd = -1;
	seqno->keep.fd = -1;
	seqno->owner = getpid();
	seqno->context = stile_fence_context_alloc(1);
	pthread_mutex_init(&seqno->lock, NULL);
	*out = seqno;
	return 0;
}

bool seqno_is_inherited(const struct stile_seqno *seqno) {
	return seqno->owner != getpid();
}

/* Also what was made in part only. */
void seqno_free(struct stile_seqno *seqno) {
	own_end_close(&seqno->keep, NULL, 0);
	if (seqno->buffer != NULL) {
		stile_buffer_munmap(seqno->buffer, seqno->mapping);
		stile_buffer_unref(seqno->buffer);
	} else if (seqno->mapping != NULL) {
		munmap(seqno->mapping, seqno->mapped_bytes);
	}
	if (seqno->word_fd >= 0) {
		close(seqno->word_fd);
	}
	if (seqno->alive_fd >= 0) {
		close(seqno->alive_fd);
	}
	/* In a child, a thread that is not there may have the lock. */
	if (!seqno_is_inherited(seqno)) {
		pthread_mutex_destroy(&seqno->lock);
	}
	free(seqno);
}

static int seqno_map(struct stile_seqno *seqno) {
	struct stat st;
	if (fstat(seqno->word_fd, &st) < 0) {
		return -EBADF;
	}
	/* A page, which may be a huge one: less cannot be unmapped. */
	seqno->mapped_bytes = (size_t)st.st_blksize;
	void *mapping = mmap(
		NULL, seqno->mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, seqno->word_fd, 0);
	if (mapping == MAP_FAILED) {
		/* EPERM: it was sealed against writing just now. */
		return errno == EPERM ? -EACCES : -ENOMEM;
	}
	seqno->mapping = mapping;
	seqno->word = mapping;
	seqno->sleepers = seqno->word + 1;
	return 0;
}

int stile_seqno_create(struct stile_seqno **out) {
	*out = NULL;
	struct stile_seqno *seqno;
	int ret = seqno_alloc(&seqno);
	if (ret < 0) {
		return ret;
	}
	ret = os_memfd_create("stile-seqno", os_page_size());
	if (ret < 0) {
		goto err_seqno;
	}
	seqno->word_fd = ret;
	ret = seqno_map(seqno);
	if (ret < 0) {
		goto err_seqno;
	}
	/* Nothing is ever said: all that counts is the end. */
	ret = own_end_open(&seqno->keep, &seqno->alive_fd);
	if (ret < 0) {
		goto err_seqno;
	}
	seqno->producer = getpid();
	*out = seqno;
	return 0;

err_seqno:
	seqno_free(seqno);
	return ret;
}

static int word_check(int fd) {
	const int all = STILE_USAGE_READ | STILE_USAGE_WRITE;
	int usage = buffer_fd_usage(fd);
	if (usage < 0) {
		return usage;
	}
	int sealed = os_memfd_is_unshrinkable(fd);
	if (sealed <= 0) {
		return sealed < 0 ? sealed : -EPERM;
	}
	if (usage != all) {
		return -EACCES;
	}
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return -EBADF;
	}
	return st.st_size < SHARED_BYTES ? -ERANGE : 0;
}

/* Who made the pair; 0 if that is a process that cannot be seen from here. */
static int32_t liveness_get_producer(int fd) {
	struct ucred who = { 0 };
	socklen_t size = sizeof(who);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0 ? 0 : who.pid;
}

/* One that was never connected would look as if its producer had gone. */
static int liveness_check(int fd) {
	struct sockaddr_un peer;
	socklen_t size = sizeof(peer);
	int ret = sync_file_check(fd);
	if (ret == 0 && getpeername(fd, (struct sockaddr *)&peer, &size) < 0) {
		ret = -EINVAL;
	}
	return ret;
}

static int seqno_adopt(struct stile_seqno *seqno, int word_fd, int liveness_fd) {
	seqno->word_fd = os_dup(word_fd);
	if (seqno->word_fd < 0) {
		return seqno->word_fd;
	}
	if (liveness_fd != -1) {
		seqno->alive_fd = os_dup(liveness_fd);
		if (seqno->alive_fd < 0) {
			return seqno->alive_fd;
		}
		seqno->producer = liveness_get_producer(liveness_fd);
	}
	return seqno_map(seqno);
}

int stile_seqno_import_fd(int word_fd, int liveness_fd, struct stile_seqno **out) {
	*out = NULL;
	int ret = word_check(word_fd);
	if (ret == 0 && liveness_fd != -1) {
		ret = liveness_check(liveness_fd);
	}
	if (ret < 0) {
		return ret;
	}
	struct stile_seqno *seqno;
	ret = seqno_alloc(&seqno);
	if (ret < 0) {
		return ret;
	}
	ret = seqno_adopt(seqno, word_fd, liveness_fd);
	if (ret < 0) {
		seqno_free(seqno);
		return ret;
	}
	*out = seqno;
	return 0;
}

int stile_seqno_from_buffer(
	struct stile_buffer *buffer, uint64_t offset, struct stile_seqno **out) {
	*out = NULL;
	if (offset % WORD_BYTES != 0) {
		return -EINVAL;
	}
	/* Whole pages: never shorter than a word. */
	uint64_t bytes = stile_buffer_get_bytes(buffer);
	if (bytes < WORD_BYTES || offset > bytes - WORD_BYTES) {
		return -ERANGE;
	}
	struct stile_seqno *seqno;
	int ret = seqno_alloc(&seqno);
	if (ret < 0) {
		return ret;
	}
	ret = stile_buffer_mmap(buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, &seqno->mapping);
	if (ret < 0) {
		seqno_free(seqno);
		return ret;
	}
	seqno->buffer = stile_buffer_ref(buffer);
	seqno->word = (uint32_t *)(void *)((char *)seqno->mapping + offset);
	*out = seqno;
	return 0;
}

int stile_seqno_export_fd(struct stile_seqno *seqno, int *word_fd, int *liveness_fd) {
	*word_fd = -1;
	*liveness_fd = -1;
	if (seqno->buffer != NULL) {
		return -EINVAL;
	}
	int word = os_dup(seqno->word_fd), alive = -1;
	if (word < 0) {
		return word;
	}
	if (seqno->alive_fd >= 0) {
		alive = os_dup(seqno->alive_fd);
		if (alive < 0) {
			close(word);
			return alive;
		}
	}
	*word_fd = word;
	*liveness_fd = alive;
	return 0;
}

struct stile_seqno *stile_seqno_ref(struct stile_seqno *seqno) {
	__atomic_fetch_add(&seqno->refs, 1, __ATOMIC_RELAXED);
	return seqno;
}

void stile_seqno_unref(struct stile_seqno *seqno) {
	if (seqno == NULL || __atomic_fetch_sub(&seqno->refs, 1, __ATOMIC_ACQ_REL) != 1) {
		return;
	}
	/* The thread may take a slice to notice; the importers are not to wait for that. */
	own_end_close(&seqno->keep, NULL, 0);
	if (seqno_is_inherited(seqno)) {
		seqno_free(seqno);
		return;
	}
	pthread_mutex_lock(&seqno->lock);
	bool running = seqno->running;
	seqno->ending = true;
	seqno_kick(seqno);
	pthread_mutex_unlock(&seqno->lock);
	if (!running) {
		seqno_free(seqno);
	}
}

/* ---- The word ----------------------------------------------------------------------------- */

uint32_t stile_seqno_get_value(const struct stile_seqno *seqno) {
	return __atomic_load_n(seqno->word, __ATOMIC_ACQUIRE);
}

void stile_seqno_set_value(struct stile_seqno *seqno, uint32_t value) {
	if (seqno->sleepers == NULL) {
		__atomic_store_n(seqno->word, value, __ATOMIC_RELEASE);
		return;
	}
	__atomic_store_n(seqno->word, value, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(seqno->sleepers, __ATOMIC_SEQ_CST) != 0) {
		os_futex_wake_shared(seqno->word);
	}
}

void seqno_sleep(struct stile_seqno *seqno, uint32_t seen, int64_t until_ns) {
	__atomic_fetch_add(seqno->sleepers, 1, __ATOMIC_SEQ_CST);
	os_futex_wait_shared(seqno->word, seen, until_ns);
	__atomic_fetch_sub(seqno->sleepers, 1, __ATOMIC_SEQ_CST);
}
