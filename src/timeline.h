/* SPDX-License-Identifier: MIT */
#ifndef SRC_TIMELINE_H
#define SRC_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include <stile/fence.h>
#include <stile/timeline.h>

#include "src/tree.h"

struct point_watch;

struct stile_timeline {
	char name[32];
	/* Of one that somebody else keeps; of that one, nothing but its references is used below. */
	const struct stile_timeline_ops *ops; /* NULL: it is ours */
	void *priv;
	struct stile_device *device; /* NULL: nobody can watch eventfds for it */

	uint64_t context;
	struct stile_lock fence_lock; /* that of all fences for the counter */
	uint32_t handles;             /* programs' references; the last one closes it */
	uint32_t refs; /* its memory's: one for all handles, one for each fence and each notice */

	/*
	 * A leaf: below every fence's lock. No fence is asked, signalled or dropped under it, since
	 * any of these may come back for it.
	 */
	uint32_t lock;

	/* All below is under `lock`. */
	uint64_t value;      /* the counter; changed under `fence_lock` too; readable without */
	struct tree pending; /* fences that the counter has not reached; not referenced */
	struct stile_fence *head;    /* the newest element of what was submitted; NULL: nothing */
	struct point_watch *watches; /* who waits for points */
};

/** References on the memory. */
struct stile_timeline *timeline_hold(struct stile_timeline *timeline);
void timeline_put(struct stile_timeline *timeline);

/** Is the counter there? With or without the lock. */
bool timeline_has_reached(const struct stile_timeline *timeline, uint64_t value);

/* ---- What somebody else keeps: owned_timeline.c. As the public functions, on valid arguments ---- */

int owned_create_fence(struct stile_timeline *timeline, uint64_t value, struct stile_fence **out);
int owned_signal(struct stile_timeline *timeline, uint64_t value);
int owned_submit(struct stile_timeline *timeline, uint64_t value, struct stile_fence *fence);
int owned_get_fence(const struct stile_point *point, struct stile_fence **out);
int owned_notify_fd(const struct stile_point *point, enum stile_point_event event, int eventfd);
/** The deadline is above 0; `place` is who waits. */
int owned_wait(const struct stile_point *point, enum stile_point_event event, int64_t deadline_ns,
	struct stile_cancel *cancel, const void *place);

/* ---- Points, as the timeline sees them ---- */

/**
 * The counter has moved; both locks are held. Wakes who sleeps; notices that are due go to the
 * list, which points_tell() is given when no lock is held any more.
 */
void points_take_reached(struct stile_timeline *timeline, struct point_watch **due);
void points_tell(struct point_watch *due);

/** It closes; the lock is held. All notices go to the list, for points_forget(). */
void points_take_all(struct stile_timeline *timeline, struct point_watch **all);
void points_forget(struct point_watch *all);

#endif
