/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_MAIL_H
#define SUPPORT_MAIL_H

#include <stddef.h>

/*
 * Bytes with descriptors through an AF_UNIX SOCK_SEQPACKET socket. The processes on both ends are
 * the test's own: whatever goes wrong fails the test.
 */

/** A connected pair, CLOEXEC. */
void mail_pair(int ends[2]);

/** Send bytes, at least one, and copies of descriptors; both are borrowed. */
void mail_send(int socket, const void *bytes, size_t byte_count, const int *fds, size_t fd_count);

/** Receive what was sent, with new descriptors, CLOEXEC, the caller's. 1; 0: the peer has gone. */
int mail_receive(int socket, void *bytes, size_t byte_count, int *fds, size_t fd_count);

/** The same with one byte that says what is wanted and no descriptor. '\0': the peer has gone. */
void mail_tell(int socket, char what);
char mail_hear(int socket);

#endif
