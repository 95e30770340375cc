/* SPDX-License-Identifier: MIT */
#ifndef SRC_SEQNO_H
#define SRC_SEQNO_H

/* A word and its sleepers. The fences on it, and their thread, are in seqno_fence.c. */

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include <stile/seqno.h>

#include "src/own_end.h"

struct seqno_fence;

struct stile_seqno {
	uint32_t refs;
	uint32_t *word;
	uint32_t *sleepers; /* NULL: in a buffer, where nobody can sleep */
	void *mapping;
	size_t mapped_bytes;
	struct stile_buffer *buffer; /* NULL: in a file of its own */
	int word_fd;
	int alive_fd;        /* hangs up when the producer has gone; -1: there is none */
	struct own_end keep; /* the other end; closed: this is not the producer */
	bool gone;
	int32_t producer;
	pid_t owner; /* a child made by fork has no thread */
	uint64_t context;

	pthread_mutex_t lock;
	/* All below is under the lock. */
	struct seqno_fence *first; /* enabled, pending */
	struct seqno_fence *last;
	bool running;   /* there is a thread */
	bool ending;    /* there is no reference: the thread frees the object */
	bool listening; /* the thread sleeps on `kicks`, not on the word */
	uint32_t kicks;
};

/** Has the producer gone, so that nobody raises the word any more? */
bool seqno_is_orphan(struct stile_seqno *seqno);

/** Is this a child made by fork? It has no thread, and must not take the lock. */
bool seqno_is_inherited(const struct stile_seqno *seqno);

/** Sleep until the word is not what was seen, the time has come, or for no reason. */
void seqno_sleep(struct stile_seqno *seqno, uint32_t seen, int64_t until_ns);

/** Without references; by the thread if it runs. */
void seqno_free(struct stile_seqno *seqno);

/** The lock is held. Have the thread look at what changed, if there is one. */
void seqno_kick(struct stile_seqno *seqno);

#endif
