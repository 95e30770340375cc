/* SPDX-License-Identifier: MIT */
/*
 * Timelines that somebody else keeps: what the core adds to their owners' ops, so that those need not
 * know of cancel tokens, devices that are driven, what else is told of waits, or fences that follow
 * a point.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <stile/wait.h>

#include "src/check.h"
#include "src/device.h"
#include "src/drive.h"
#include "src/eventfd.h"
#include "src/fd_fence.h"
#include "src/graph.h"
#include "src/os.h"
#include "src/timeline.h"
#include "src/watch.h"

/* A token cannot wake who sleeps in the owner's op: how late it may be noticed. */
#define SLICE_NS INT64_C(50000000)

int owned_signal(struct stile_timeline *timeline, uint64_t value) {
	return timeline->ops->signal == NULL ? -EOPNOTSUPP : timeline->ops->signal(timeline, value);
}

int owned_submit(struct stile_timeline *timeline, uint64_t value, struct stile_fence *fence) {
	check_alloc();
	return timeline->ops->submit == NULL ? -EOPNOTSUPP
					     : timeline->ops->submit(timeline, value, fence);
}

int owned_get_fence(const struct stile_point *point, struct stile_fence **out) {
	struct stile_timeline *timeline = point->timeline;
	*out = NULL;
	switch (timeline->ops->get_state(timeline, point->value)) {
	case STILE_POINT_UNSUBMITTED:
		return -EAGAIN;
	case STILE_POINT_DONE:
		*out = stile_fence_get_stub();
		return 0;
	case STILE_POINT_PENDING:
		break;
	}
	check_alloc();
	return timeline->ops->get_fence == NULL
		? -EOPNOTSUPP
		: timeline->ops->get_fence(timeline, point->value, out);
}

int owned_notify_fd(const struct stile_point *point, enum stile_point_event event, int eventfd) {
	struct stile_timeline *timeline = point->timeline;
	int ret = eventfd_check(eventfd);
	if (ret == 0) {
		ret = timeline->ops->notify_fd == NULL
			? -EOPNOTSUPP
			: timeline->ops->notify_fd(timeline, point->value, event, eventfd);
	}
	return ret;
}

/* ---- Waiting ------------------------------------------------------------------------------- */

static bool has_happened(const struct stile_point *point, enum stile_point_event event) {
	enum stile_point_state state = stile_point_get_state(point);
	return state == STILE_POINT_DONE ||
		(state == STILE_POINT_PENDING && event == STILE_POINT_AVAILABLE);
}

static int64_t slice_end(int64_t deadline_ns) {
	int64_t end_ns = os_clock_ns() + SLICE_NS;
	return end_ns < deadline_ns ? end_ns : deadline_ns;
}

/* It has not happened yet. */
static int owned_sleep(const struct stile_point *point, enum stile_point_event event,
	int64_t deadline_ns, struct stile_cancel *cancel) {
	struct stile_timeline *timeline = point->timeline;
	do {
		if (cancel != NULL && stile_cancel_is_raised(cancel)) {
			return -EINTR;
		}
		if (drive_some()) {
			continue;
		}
		int64_t until_ns =
			drive_until(cancel == NULL ? deadline_ns : slice_end(deadline_ns));
		int ret = timeline->ops->wait(timeline, point->value, event, until_ns);
		if (ret != -ETIME || until_ns == deadline_ns) {
			return ret;
		}
	} while (!has_happened(point, event));
	return 0;
}

int owned_wait(const struct stile_point *point, enum stile_point_event event, int64_t deadline_ns,
	struct stile_cancel *cancel, const void *place) {
	/* The caller's reference may go while it sleeps, and the caller's point with it. */
	struct stile_point held = {
		.timeline = stile_timeline_ref(point->timeline),
		.value = point->value,
	};
	struct graph_wait seen = {
		.who.place = place,
		.timeline = held.timeline,
		.value = held.value,
	};
	int ret;
	graph_wait_begin(&seen, deadline_ns);
	do {
		ret = owned_sleep(&held, event, seen.until_ns, cancel);
	} while (graph_wait_goes_on(&seen, ret));
	stile_timeline_unref(held.timeline);
	return ret;
}

/* ---- Fences that follow a point ------------------------------------------------------------ */

static int point_look(int fd, void *data, struct fd_fence_end *end) {
	(void)data;
	(void)end;
	return os_is_readable(fd);
}

static const struct fd_fence_kind point_kind = { .look = point_look, .user = true };

/*
 * One that ends when the eventfd is readable, which it consumes on success. It needs the timeline no
 * more: it has the names.
 */
static int follow(struct stile_timeline *timeline, int fd, struct stile_fence **out) {
	struct fd_fence_names *names = malloc(sizeof(*names));
	if (names == NULL) {
		return -ENOMEM;
	}
	snprintf(names->driver, sizeof(names->driver), "%s", timeline->ops->kind);
	snprintf(names->timeline, sizeof(names->timeline), "%s", timeline->name);
	struct fd_fence_info info = {
		.kind = &point_kind,
		.fd = fd,
		.names = names,
		.data = names,
	};
	struct watch *watch;
	int ret = device_get_watch(timeline->device, &watch);
	if (ret < 0) {
		goto err_names;
	}
	ret = fd_fence_take(watch, &info, out);
	watch_unref(watch);
	if (ret < 0) {
		goto err_names;
	}
	return 0;

err_names:
	free(names);
	return ret;
}

int owned_create_fence(struct stile_timeline *timeline, uint64_t value, struct stile_fence **out) {
	const struct stile_timeline_ops *ops = timeline->ops;
	bool can_follow = ops->notify_fd != NULL && timeline->device != NULL;
	if (!can_follow && ops->create_fence == NULL) {
		return -EOPNOTSUPP;
	}
	if (ops->get_state(timeline, value) == STILE_POINT_DONE) {
		*out = stile_fence_get_stub();
		return 0;
	}
	if (ops->create_fence != NULL) {
		return ops->create_fence(timeline, value, out);
	}
	int fd = os_eventfd();
	if (fd < 0) {
		return fd;
	}
	struct stile_fence *fence;
	int ret = follow(timeline, fd, &fence);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	ret = ops->notify_fd(timeline, value, STILE_POINT_SIGNALED, fd);
	if (ret < 0) {
		stile_fence_unref(fence);
		return ret;
	}
	*out = fence;
	return 0;
}
