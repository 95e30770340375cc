/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/drm_node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <xf86drm.h>

static bool is_driver(int fd, const char *driver) {
	drmVersionPtr version = drmGetVersion(fd);
	bool same = version != NULL && strcmp(version->name, driver) == 0;
	drmFreeVersion(version);
	return same;
}

int drm_node_open(enum drm_node node, const char *driver) {
	int first = node == DRM_NODE_CARD ? 0 : 128, ret = -ENODEV;
	for (int i = first; i < first + 64; i++) {
		char path[64];
		snprintf(path, sizeof(path), "/dev/dri/%s%d",
			node == DRM_NODE_CARD ? "card" : "renderD", i);
		int fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0) {
			/* A node that may not be opened could be the one that is meant. */
			ret = errno == ENOENT ? ret : -errno;
			continue;
		}
		if (is_driver(fd, driver)) {
			return fd;
		}
		close(fd);
	}
	return ret;
}
