/* SPDX-License-Identifier: MIT */
/*
 * The eventfd as a carrier: it can say that something has ended, not how. Neither does anybody see
 * whether the process that owes the end is alive: only the expiry ends the wait for one that died.
 */
#include "src/eventfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <stile/fence.h>

#include "src/fd_fence.h"
#include "src/macros.h"
#include "src/os.h"

/* ---- The producer's side ------------------------------------------------------------------ */

struct raiser {
	struct stile_callback callback;
	int fd;
	pid_t owner; /* a child made by fork shares the counter, but speaks for no work */
};

/* Under the fence's lock. */
static void raiser_finish(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct raiser *raiser = CONTAINER_OF(callback, struct raiser, callback);
	if (raiser->owner == getpid()) {
		/* Its holder may have filled it, and have made it one that blocks. */
		os_eventfd_add(raiser->fd);
	}
	close(raiser->fd);
	free(raiser);
}

int eventfd_export(struct stile_fence *fence, enum stile_path_kind *path, int *out) {
	*out = -1;
	int status = stile_fence_get_status(fence);
	if (status < 0) {
		return -EOPNOTSUPP;
	}
	*path = status > 0 ? STILE_PATH_NONE : STILE_PATH_BRIDGE;
	struct raiser *raiser = malloc(sizeof(*raiser));
	if (raiser == NULL) {
		return -ENOMEM;
	}
	raiser->owner = getpid();
	int ret = os_eventfd();
	if (ret < 0) {
		goto err_raiser;
	}
	raiser->fd = ret;
	ret = os_dup(raiser->fd);
	if (ret < 0) {
		goto err_fd;
	}
	*out = ret;
	if (stile_fence_add_callback(fence, &raiser->callback, raiser_finish) == 0) {
		return 0;
	}
	if (stile_fence_get_status(fence) < 0) {
		/* It failed just now: as above. */
		close(*out);
		*out = -1;
		ret = -EOPNOTSUPP;
		goto err_fd;
	}
	raiser_finish(fence, &raiser->callback);
	return 0;

err_fd:
	close(raiser->fd);
err_raiser:
	free(raiser);
	return ret;
}

/* ---- The holder's side -------------------------------------------------------------------- */

/* Never read from: the counter is everybody's. */
static int eventfd_look(int fd, void *data, struct fd_fence_end *end) {
	(void)data;
	(void)end;
	return os_is_readable(fd);
}

static const struct fd_fence_kind eventfd_kind = { .look = eventfd_look, .user = true };

static const struct fd_fence_names eventfd_names = { "eventfd", "eventfd" };

int eventfd_check(int fd) {
	if (fcntl(fd, F_GETFD) < 0) {
		return -EBADF;
	}
	return os_is_eventfd(fd) ? 0 : -EINVAL;
}

int eventfd_import(struct watch *watch, int fd, struct stile_fence **out) {
	struct fd_fence_info info = { .kind = &eventfd_kind, .fd = fd, .names = &eventfd_names };
	return fd_fence_create(watch, &info, out);
}
