/* SPDX-License-Identifier: MIT */
#ifndef SRC_DRIVER_FD_H
#define SRC_DRIVER_FD_H

/*
 * A descriptor for a driver that takes it over if it succeeds. If it fails, the specifications leave the
 * descriptor to us, but some drivers close it (lavapipe up to Mesa 25, Mesa's GL). So it gets a high
 * number, which nobody else is given by chance, and after a failure is closed only if it is still the
 * same file.
 */

#include <sys/stat.h>

/** The same at a high number, if there is one; the one given is closed. */
int driver_fd_move(int fd);

/** `identity`: fstat() of it before the driver had it. */
void driver_fd_close_after_failure(int fd, const struct stat *identity);

#endif
