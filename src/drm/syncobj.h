/* SPDX-License-Identifier: MIT */
#ifndef SRC_DRM_SYNCOBJ_H
#define SRC_DRM_SYNCOBJ_H

#include <stdbool.h>
#include <stdint.h>

#include <stile/timeline.h>

struct stile_drm;

struct syncobj {
	struct stile_drm *drm; /* a reference */
	uint32_t handle;
	uint32_t refs; /* the timeline's, and one for each thread that waits for it */
	bool closed;   /* the timeline is gone; atomic */
};

struct syncobj *syncobj_ref(struct syncobj *syncobj);
void syncobj_unref(struct syncobj *syncobj);

/** TIMELINE_WAIT for one value, with DRM_SYNCOBJ_WAIT_FLAGS_*. 0 or -errno. */
int syncobj_wait(
	const struct syncobj *syncobj, uint64_t value, uint32_t flags, int64_t deadline_ns);

/** The flags with which to wait for an event. */
uint32_t syncobj_event_flags(enum stile_point_event event);

/** Add 1 to an eventfd, which is borrowed, when it has happened. 0 or -errno. */
int syncobj_notify_fd(
	struct syncobj *syncobj, uint64_t value, enum stile_point_event event, int eventfd);

#endif
