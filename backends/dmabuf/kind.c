/* SPDX-License-Identifier: MIT */
#include "backends/dmabuf/kind.h"

#include <stddef.h>

#include "src/macros.h"
#include "src/os.h"

static const struct {
	const char *kind; /* of the kernel's anonymous files */
	const char *name;
} anonymous[] = {
	{ "sync_file", "a sync_file, a fence and no memory" },
	{ "[eventfd]", "an eventfd" },
	{ "[eventpoll]", "an epoll instance" },
	/* One inode for all of them: nobody could tell which is which. */
	{ "dmabuf", "a dma-buf of a kernel before 5.3" },
};

const char *kind_get_name(int fd) {
	struct stat st;
	for (size_t i = 0; i < ARRAY_LENGTH(anonymous); i++) {
		if (os_is_anon_inode(fd, anonymous[i].kind)) {
			return anonymous[i].name;
		}
	}
	if (os_fstat(fd, &st) < 0) {
		return "not open";
	}
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return os_memfd_is_unshrinkable(fd) >= 0 ? "a file in memory (memfd)"
							 : "a file on a disk";
	case S_IFDIR:
		return "a directory";
	case S_IFCHR:
		return "a character device";
	case S_IFSOCK:
		return "a socket";
	case S_IFIFO:
		return "a pipe";
	default:
		return "something else";
	}
}
