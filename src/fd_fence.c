/* SPDX-License-Identifier: MIT */
/*
 * The fence that follows a descriptor: looking at it when asked, and being watched from the first
 * callback or wait on. What differs between kinds of descriptors is in their struct fd_fence_kind.
 */
#include "src/fd_fence.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "src/fence.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/watch.h"

/* How long a wait sleeps before it looks whether the fence ended by other means, or has expired. */
enum { SLICE_NS = 250000000 };

struct fd_fence {
	struct stile_fence base;
	struct fd_fence_info info;
	struct watch *watch; /* NULL: it was over when it came, and has no descriptor either */
	uint32_t lock;
	bool armed;  /* once; under the fence's lock */
	int verdict; /* under the lock: 0, or the status; the first one stands */
	struct fd_fence_end end;
};

static struct fd_fence *fd_fence_of(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct fd_fence, base);
}

static bool fd_fence_signaled(struct stile_fence *fence) {
	struct fd_fence *self = fd_fence_of(fence);
	os_lock(&self->lock);
	if (self->info.is_fresh) {
		/* Late is allowed (F-12), and this spares those who look at once a system call. */
		self->info.is_fresh = false;
	} else if (self->verdict == 0) {
		self->verdict = self->info.kind->look(self->info.fd, self->info.data, &self->end);
		if (self->verdict < 0) {
			stile_fence_set_error(fence, self->verdict);
		}
		if (self->verdict != 0) {
			fence_set_timestamp(fence, self->end.timestamp_ns);
		}
	}
	bool done = self->verdict != 0;
	os_unlock(&self->lock);
	return done;
}

static short events_of(const struct fd_fence *self) {
	if (self->info.kind->events == 0) {
		return POLLIN;
	}
	return self->info.kind->events;
}

static bool fd_fence_enable_signaling(struct stile_fence *fence) {
	struct fd_fence *self = fd_fence_of(fence);
	if (fd_fence_signaled(fence)) {
		return false;
	}
	self->armed = true;
	int ret = watch_arm(self->watch, self->info.fd, events_of(self), fence);
	if (ret < 0) {
		stile_fence_set_error(fence, ret);
		return false;
	}
	return true;
}

static void clean(char *text) {
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~') {
			*text = '?';
		}
	}
}

void fd_fence_clean_names(struct fd_fence_names *names) {
	clean(names->driver);
	clean(names->timeline);
}

/* Does not end the fence: names may be asked for under its lock. */
static const struct fd_fence_names *fd_fence_names(struct fd_fence *self) {
	os_lock(&self->lock);
	bool told = self->verdict != 0 && self->end.names.driver[0] != '\0';
	os_unlock(&self->lock);
	return told ? &self->end.names : self->info.names;
}

static const char *fd_fence_get_driver_name(struct stile_fence *fence) {
	return fd_fence_names(fd_fence_of(fence))->driver;
}

static const char *fd_fence_get_timeline_name(struct stile_fence *fence) {
	return fd_fence_names(fd_fence_of(fence))->timeline;
}

/*
 * On the descriptor itself: no other thread has to be woken first, the caller's loop may be what this
 * very thread runs, and a child made by fork has no watching thread.
 */
static int fd_fence_wait(struct stile_fence *fence, int64_t deadline_ns) {
	const struct fd_fence *self = fd_fence_of(fence);
	while (!stile_fence_is_signaled(fence)) {
		int64_t left_ns = deadline_ns - os_clock_ns();
		if (left_ns <= 0) {
			return -ETIME;
		}
		struct pollfd at = { .fd = self->info.fd, .events = events_of(self) };
		struct timespec left = {
			.tv_nsec = (long)(left_ns < SLICE_NS ? left_ns : SLICE_NS),
		};
		ppoll(&at, 1, &left, NULL);
	}
	return 0;
}

static void fd_fence_set_deadline(struct stile_fence *fence, int64_t deadline_ns) {
	const struct fd_fence_info *info = &fd_fence_of(fence)->info;
	if (info->kind->set_deadline != NULL) {
		info->kind->set_deadline(info->fd, deadline_ns);
	}
}

static void fd_fence_release(struct stile_fence *fence) {
	struct fd_fence *self = fd_fence_of(fence);
	if (self->watch != NULL) {
		watch_release(self->watch, self->info.fd, self->armed);
		close(self->info.fd);
		watch_unref(self->watch);
	}
	free(self->info.data);
	free(self);
}

static const struct stile_fence_ops finite_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = fd_fence_get_driver_name,
	.get_timeline_name = fd_fence_get_timeline_name,
	.enable_signaling = fd_fence_enable_signaling,
	.signaled = fd_fence_signaled,
	.release = fd_fence_release,
	.wait = fd_fence_wait,
	.set_deadline = fd_fence_set_deadline,
};

static const struct stile_fence_ops user_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = fd_fence_get_driver_name,
	.get_timeline_name = fd_fence_get_timeline_name,
	.enable_signaling = fd_fence_enable_signaling,
	.signaled = fd_fence_signaled,
	.release = fd_fence_release,
	.wait = fd_fence_wait,
	.set_deadline = fd_fence_set_deadline,
	.flags = STILE_FENCE_USER,
};

int fd_fence_get_fd(struct stile_fence *fence, const struct fd_fence_kind *kind) {
	if (fence->ops != &finite_ops && fence->ops != &user_ops) {
		return -1;
	}
	const struct fd_fence_info *info = &fd_fence_of(fence)->info;
	return info->kind == kind ? info->fd : -1;
}

static int fd_fence_alloc(const struct fd_fence_info *info, struct fd_fence **out) {
	struct fd_fence *self = malloc(sizeof(*self));
	if (self == NULL) {
		return -ENOMEM;
	}
	/* The names of the end are written before they are read, but for the first byte. */
	self->info = *info;
	self->info.fd = -1;
	self->watch = NULL;
	self->lock = 0;
	self->armed = false;
	self->verdict = 0;
	self->end.timestamp_ns = 0;
	self->end.names.driver[0] = '\0';
	/* Cannot fail: the tables are ours. */
	(void)!stile_fence_init(&self->base, info->kind->user ? &user_ops : &finite_ops,
		stile_fence_context_alloc(1), 1);
	if (info->kind->user) {
		/* Its end is owed by another process than the one that made it. */
		fence_make_user(&self->base, info->owner, stile_fence_get_expiry(&self->base));
	}
	__atomic_fetch_or(&self->base.state, STATE_COSTLY, __ATOMIC_RELAXED);
	*out = self;
	return 0;
}

int fd_fence_take(struct watch *watch, const struct fd_fence_info *info, struct stile_fence **out) {
	*out = NULL;
	struct fd_fence *self;
	int ret = fd_fence_alloc(info, &self);
	if (ret < 0) {
		return ret;
	}
	ret = watch_reserve(watch, info->fd);
	if (ret < 0) {
		free(self);
		return ret;
	}
	self->info.fd = info->fd;
	self->watch = watch_ref(watch);
	*out = &self->base;
	return 0;
}

int fd_fence_create(
	struct watch *watch, const struct fd_fence_info *info, struct stile_fence **out) {
	*out = NULL;
	struct fd_fence_info taken = *info;
	taken.fd = os_dup(info->fd);
	if (taken.fd < 0) {
		return taken.fd;
	}
	int ret = fd_fence_take(watch, &taken, out);
	if (ret < 0) {
		close(taken.fd);
	}
	return ret;
}

int fd_fence_create_over(const struct fd_fence_info *info, int verdict,
	const struct fd_fence_end *end, struct stile_fence **out) {
	*out = NULL;
	struct fd_fence *self;
	int ret = fd_fence_alloc(info, &self);
	if (ret < 0) {
		return ret;
	}
	self->verdict = verdict;
	self->end = *end;
	if (verdict < 0) {
		stile_fence_set_error(&self->base, verdict);
	}
	stile_fence_signal_timestamp(&self->base, end->timestamp_ns);
	*out = &self->base;
	return 0;
}
