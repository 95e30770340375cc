/* SPDX-License-Identifier: MIT */
#include "src/driver_fd.h"

#include <fcntl.h>
#include <unistd.h>

enum { DRIVER_FD_MIN = 512 };

int driver_fd_move(int fd) {
	int high = fcntl(fd, F_DUPFD_CLOEXEC, DRIVER_FD_MIN);
	if (high < 0) {
		/* The limit is lower than that. */
		return fd;
	}
	close(fd);
	return high;
}

void driver_fd_close_after_failure(int fd, const struct stat *identity) {
	struct stat now;
	if (fstat(fd, &now) == 0 && now.st_dev == identity->st_dev &&
		now.st_ino == identity->st_ino) {
		close(fd);
	}
}
