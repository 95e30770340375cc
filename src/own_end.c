/* SPDX-License-Identifier: MIT */
#include "src/own_end.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/os.h"

/* Held while an end is made or closed: no fork sees one that is not listed. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct own_end *ends;

static void before_fork(void) {
	pthread_mutex_lock(&lock);
}

static void after_fork(void) {
	pthread_mutex_unlock(&lock);
}

static void in_child(void) {
	for (struct own_end *end = ends; end != NULL; end = end->next) {
		close(end->fd);
		end->fd = -1;
	}
	ends = NULL;
	pthread_mutex_unlock(&lock);
}

static int guard_result;

/* Not when the first end is made: a fork that has begun by then would not hear of it. */
__attribute__((constructor)) static void guard(void) {
	guard_result = os_atfork(before_fork, after_fork, in_child);
}

/* The lock is held. */
static void link_end(struct own_end *end) {
	end->prev = NULL;
	end->next = ends;
	if (ends != NULL) {
		ends->prev = end;
	}
	ends = end;
}

/* The lock is held. */
static void unlink_end(struct own_end *end) {
	if (end->prev != NULL) {
		end->prev->next = end->next;
	} else {
		ends = end->next;
	}
	if (end->next != NULL) {
		end->next->prev = end->prev;
	}
}

int own_end_open(struct own_end *end, int *other) {
	end->fd = -1;
	if (guard_result < 0) {
		return guard_result;
	}
	int pair[2], ret = 0;
	pthread_mutex_lock(&lock);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		ret = -errno;
	} else {
		shutdown(pair[1], SHUT_WR);
		end->fd = pair[0];
		*other = pair[1];
		link_end(end);
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

bool own_end_is_open(const struct own_end *end) {
	return __atomic_load_n(&end->fd, __ATOMIC_RELAXED) >= 0;
}

void own_end_close(struct own_end *end, const void *word, size_t bytes) {
	pthread_mutex_lock(&lock);
	if (end->fd >= 0) {
		if (word != NULL) {
			/* If it cannot be sent, the end of the stream alone is no false success. */
			(void)send(end->fd, word, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
		}
		unlink_end(end);
		close(end->fd);
		__atomic_store_n(&end->fd, -1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&lock);
}
