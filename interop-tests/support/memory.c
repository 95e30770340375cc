/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "interop-tests/support/runner.h"

int memory_create(uint64_t bytes, int seals) {
	int fd = memfd_create("stile test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	runner_require(
		fd >= 0 && ftruncate(fd, (off_t)bytes) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0,
		"no memfd: %s", strerror(errno));
	return fd;
}

int memory_reopen(int fd, int flags) {
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = open(path, flags | O_CLOEXEC);
	runner_require(again >= 0, "%s: %s", path, strerror(errno));
	return again;
}

int memory_closed_fd(void) {
	/* Far above what the library opens meanwhile. */
	enum { FAR = 900 };
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, FAR);
	runner_require(fd >= 0, "%s", strerror(errno));
	close(fd);
	return fd;
}
