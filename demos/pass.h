/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_PASS_H
#define DEMOS_PASS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <stile/image.h>

struct stile_device;

/**
 * Messages with descriptors over a connected SOCK_SEQPACKET Unix socket; the way images and fences
 * go to another process in the demos. Functions return 0 or -errno.
 */

enum { PASS_MAX_FDS = 1 + STILE_MAX_PLANES };

/** Send one message. The descriptors are borrowed. */
int pass_send(int socket, const void *data, size_t bytes, const int *fds, size_t fd_count);

/**
 * Receive one message of exactly `bytes`. `fds` has room for PASS_MAX_FDS; those that came are new,
 * CLOEXEC, the caller's. -ECONNRESET: the other side has gone; -EBADMSG: not such a message.
 */
int pass_receive(int socket, void *data, size_t bytes, int *fds, size_t *fd_count);

/**
 * Send an image, and along with it what a reader has to wait for: this process stays until that is
 * done. If the last write of it is known to have failed, that error, and nothing is sent.
 */
int pass_send_image(int socket, struct stile_image *image);

/** Receive one; a new reference, the caller's. Whoever uses it waits for what came along. */
int pass_receive_image(int socket, struct stile_device *device, struct stile_image **image);

/**
 * Start this program again, with these arguments, the first of which is its name: its standard input becomes the
 * other end of `socket`, which is the caller's.
 */
int pass_spawn(char *const arguments[], int *socket, pid_t *pid);

/** Wait until it has ended. -EOWNERDEAD: not with exit status 0. */
int pass_join(pid_t pid);

#endif
