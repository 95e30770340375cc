/* SPDX-License-Identifier: MIT */
#ifndef SRC_DRIVER_FD_H
#define SRC_DRIVER_FD_H

#include <sys/stat.h>

#include <stile/report.h>

/**
 * A descriptor for a driver that takes it over if it succeeds. If it fails, the specifications leave the
 * descriptor to us, but some drivers close it (lavapipe up to Mesa 25, Mesa's GL). So it gets a high
 * number, which nobody else is given by chance, and after a failure is closed only if it is still the
 * same file.
 */
struct driver_fd {
	int fd;
	struct stat identity;
};

/** Of a descriptor that is taken over. */
struct driver_fd driver_fd_take(int fd);

/** Of a duplicate. 0, or what report_refuse() gave: -EBADF or -EMFILE. */
int driver_fd_dup(int borrowed, struct driver_fd *out, struct stile_report *why);

void driver_fd_close_after_failure(const struct driver_fd *fd);

/**
 * What a call of the driver's has made, which succeeded: have it CLOEXEC, as some drivers forget. 0; or
 * -EOPNOTSUPP, what report_refuse() gave: it is closed, and -1.
 */
int driver_fd_receive(const char *call, int *fd, struct stile_report *why);

#endif
