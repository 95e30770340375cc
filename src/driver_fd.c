/* SPDX-License-Identifier: MIT */
#include "src/driver_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "src/os.h"
#include "src/report.h"

enum { DRIVER_FD_MIN = 512 };

struct driver_fd driver_fd_take(int fd) {
	struct driver_fd taken = { .fd = fcntl(fd, F_DUPFD_CLOEXEC, DRIVER_FD_MIN) };
	if (taken.fd >= 0) {
		close(fd);
	} else {
		/* The limit is lower than that. */
		taken.fd = fd;
	}
	fstat(taken.fd, &taken.identity);
	return taken;
}

int driver_fd_dup(int borrowed, struct driver_fd *out, struct stile_report *why) {
	int fd = os_dup(borrowed);
	if (fd < 0) {
		return report_refuse(why, fd,
			fd == -EBADF ? STILE_REASON_FD_CLOSED : STILE_REASON_RESOURCES, 0, 0, 0,
			"descriptor %d: %s", borrowed, strerror(-fd));
	}
	*out = driver_fd_take(fd);
	return 0;
}

void driver_fd_close_after_failure(const struct driver_fd *fd) {
	struct stat now;
	if (fstat(fd->fd, &now) == 0 && now.st_dev == fd->identity.st_dev &&
		now.st_ino == fd->identity.st_ino) {
		close(fd->fd);
	}
}

int driver_fd_receive(const char *call, int *fd, struct stile_report *why) {
	if (*fd >= 0 && fcntl(*fd, F_SETFD, FD_CLOEXEC) == 0) {
		return 0;
	}
	int given = *fd;
	if (given >= 0) {
		close(given);
	}
	*fd = -1;
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
		"%s succeeds and gives no descriptor, but %d", call, given);
}
