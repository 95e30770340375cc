/* SPDX-License-Identifier: MIT */
#ifndef SRC_OWN_END_H
#define SRC_OWN_END_H

#include <stdbool.h>
#include <stddef.h>

/**
 * One end of a pair of sockets that is this process's alone: when it is closed, also by the death of
 * the process, whoever has the other end sees the stream end. A child made by fork closes its copies
 * at once; they would keep the stream open after this process has died.
 */
struct own_end {
	int fd; /* -1: it is closed */
	struct own_end *next;
	struct own_end *prev;
};

/**
 * Both are AF_UNIX SOCK_SEQPACKET, CLOEXEC. The other one cannot be written to, so none of its holders
 * can say what the others would take for this process's word.
 *
 * 0; -EMFILE, -ENFILE, -ENOMEM: `end` is closed, *other unchanged.
 */
int own_end_open(struct own_end *end, int *other);

/** Any thread. */
bool own_end_is_open(const struct own_end *end);

/** Say a last word, unless it is NULL, and close. Nothing happens if it is closed. */
void own_end_close(struct own_end *end, const void *word, size_t bytes);

#endif
