/* SPDX-License-Identifier: MIT */
/*
 * Points: what was submitted to a timeline, and who waits for it. After DRM's syncobjs: contract
 * section 15.
 *
 * Who waits is on the timeline's list of watches, under its lock, until the counter gets there or,
 * if that is all, something is submitted. A thread that sleeps is only woken from there, and looks
 * again itself. A notice, an eventfd to be told, is in the end listening to two things, the counter
 * and the fence that was submitted; whichever comes first takes its descriptor. So it is referenced
 * by the list and by the fence's callback, and needs neither to be found nor stopped by the other.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <stile/chain.h>
#include <stile/merge.h>
#include <stile/wait.h>

#include "src/check.h"
#include "src/drive.h"
#include "src/fence.h"
#include "src/graph.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/timeline.h"
#include "src/wait.h"

struct point_watch {
	struct point_watch *next;
	struct point_watch **link; /* what points to it; NULL: it is not on the timeline's list */
	uint64_t value;
	bool submitted; /* it was told of a submission, or there was one at the beginning */
	uint32_t *word; /* what a thread sleeps on; NULL: it is a notice's */
};

struct notice {
	struct point_watch watch;
	struct stile_timeline *timeline; /* its memory */
	enum stile_point_event event;
	uint32_t refs; /* the timeline's list, and the callback or who is about to add it */
	int fd;        /* -1: it was told, or will never be */
	pid_t owner;   /* a child made by fork has a copy, which says nothing of the work */
	struct graph_wait seen; /* until it is told */
	struct stile_fence *fence;
	struct stile_callback callback;
	struct notice *next; /* of those that one submission gives a fence */
};

static bool event_is_valid(enum stile_point_event event) {
	return event == STILE_POINT_AVAILABLE || event == STILE_POINT_SIGNALED;
}

/* ---- The list of watches; the lock is held ------------------------------------------------ */

static void watch_link(struct stile_timeline *timeline, struct point_watch *watch) {
	watch->next = timeline->watches;
	watch->link = &timeline->watches;
	if (watch->next != NULL) {
		watch->next->link = &watch->next;
	}
	timeline->watches = watch;
}

static void watch_unlink(struct point_watch *watch) {
	assert(watch->link != NULL);
	*watch->link = watch->next;
	if (watch->next != NULL) {
		watch->next->link = watch->link;
	}
	watch->link = NULL;
}

/* To a list of the caller's, which has only the `next`, and the list's reference. */
static void watch_take(struct point_watch *watch, struct point_watch **list) {
	watch_unlink(watch);
	watch->next = *list;
	*list = watch;
}

static struct notice *notice_of(struct point_watch *watch) {
	return CONTAINER_OF(watch, struct notice, watch);
}

void points_take_reached(struct stile_timeline *timeline, struct point_watch **due) {
	for (struct point_watch *at = timeline->watches, *next; at != NULL; at = next) {
		next = at->next;
		if (!timeline_has_reached(timeline, at->value)) {
			continue;
		}
		if (at->word != NULL) {
			wait_wake(at->word);
		} else {
			watch_take(at, due);
		}
	}
}

/* Something was submitted. Who wants no more is due, the others are to listen to a fence. */
static void points_take_submitted(
	struct stile_timeline *timeline, struct point_watch **due, struct notice **listen) {
	uint64_t seqno = stile_fence_get_seqno(timeline->head);
	for (struct point_watch *at = timeline->watches, *next; at != NULL; at = next) {
		next = at->next;
		if (at->submitted || at->value > seqno) {
			continue;
		}
		at->submitted = true;
		if (at->word != NULL) {
			wait_wake(at->word);
		} else if (notice_of(at)->event == STILE_POINT_AVAILABLE) {
			watch_take(at, due);
		} else {
			notice_of(at)->next = *listen;
			*listen = notice_of(at);
			__atomic_fetch_add(&notice_of(at)->refs, 1, __ATOMIC_RELAXED);
		}
	}
}

/* Threads that sleep have a reference, so none is there any more. */
void points_take_all(struct stile_timeline *timeline, struct point_watch **all) {
	while (timeline->watches != NULL) {
		watch_take(timeline->watches, all);
	}
}

/* ---- How a point stands ------------------------------------------------------------------- */

/* The lock is held. What was submitted, referenced, if that says anything of the value; or NULL. */
static struct stile_fence *ref_submitted(const struct stile_timeline *timeline, uint64_t value) {
	bool submitted = timeline->head != NULL && stile_fence_get_seqno(timeline->head) >= value;
	return submitted ? stile_fence_ref(timeline->head) : NULL;
}

/* From a reference on what was submitted to one on what the value waits for; NULL: it is done. */
static struct stile_fence *find_fence(struct stile_fence *head, uint64_t value) {
	/* Cannot fail: it is a chain that goes at least as far. */
	(void)!stile_chain_find_seqno(&head, value);
	return head;
}

/* If it is pending, with a reference on what it waits for. */
static enum stile_point_state point_look(
	const struct stile_point *point, struct stile_fence **pending) {
	struct stile_timeline *timeline = point->timeline;
	*pending = NULL;
	if (timeline_has_reached(timeline, point->value)) {
		return STILE_POINT_DONE;
	}
	os_lock(&timeline->lock);
	struct stile_fence *fence = ref_submitted(timeline, point->value);
	os_unlock(&timeline->lock);
	if (fence == NULL) {
		return STILE_POINT_UNSUBMITTED;
	}
	fence = find_fence(fence, point->value);
	if (fence == NULL || stile_fence_is_signaled(fence)) {
		stile_fence_unref(fence);
		return STILE_POINT_DONE;
	}
	*pending = fence;
	return STILE_POINT_PENDING;
}

enum stile_point_state stile_point_get_state(const struct stile_point *point) {
	struct stile_timeline *timeline = point->timeline;
	if (timeline->ops != NULL) {
		return timeline->ops->get_state(timeline, point->value);
	}
	struct stile_fence *pending;
	enum stile_point_state state = point_look(point, &pending);
	stile_fence_unref(pending);
	return state;
}

int stile_point_get_fence(const struct stile_point *point, struct stile_fence **out) {
	if (point->timeline->ops != NULL) {
		return owned_get_fence(point, out);
	}
	enum stile_point_state state = point_look(point, out);
	if (state == STILE_POINT_DONE) {
		*out = stile_fence_get_stub();
	}
	return state == STILE_POINT_UNSUBMITTED ? -EAGAIN : 0;
}

/* ---- Waiting ------------------------------------------------------------------------------ */

struct point_wait {
	struct point_watch watch;
	const struct stile_point *point;
	enum stile_point_event event;
	struct stile_fence *fence; /* what it listens to; NULL: not submitted yet */
	struct stile_callback callback;
};

/* Under the fence's lock: the waiting thread cannot leave before it has that lock. */
static void wait_fence_ended(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	wait_wake(CONTAINER_OF(callback, struct point_wait, callback)->watch.word);
}

static bool wait_is_over(struct point_wait *wait) {
	if (wait->fence != NULL) {
		return timeline_has_reached(wait->point->timeline, wait->point->value) ||
			stile_fence_is_signaled(wait->fence);
	}
	struct stile_fence *pending;
	enum stile_point_state state = point_look(wait->point, &pending);
	if (state != STILE_POINT_PENDING) {
		return state == STILE_POINT_DONE;
	}
	if (wait->event == STILE_POINT_AVAILABLE ||
		stile_fence_add_callback(pending, &wait->callback, wait_fence_ended) < 0) {
		stile_fence_unref(pending);
		return true;
	}
	wait->fence = pending;
	return false;
}

static int wait_sleep(struct point_wait *wait, int64_t deadline_ns) {
	uint32_t *word = wait->watch.word;
	for (;;) {
		uint32_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		if (wait_is_over(wait)) {
			return 0;
		}
		if (seen & WAIT_RAISED) {
			return -EINTR;
		}
		if (drive_some()) {
			continue;
		}
		int64_t until_ns = drive_until(deadline_ns);
		if (os_futex_wait(word, seen, until_ns) == -ETIME && until_ns == deadline_ns) {
			return wait_is_over(wait) ? 0 : -ETIME;
		}
	}
}

static int wait_sleep_seen(struct point_wait *wait, int64_t deadline_ns, const void *place) {
	struct graph_wait seen = {
		.who.place = place,
		.timeline = wait->point->timeline,
		.value = wait->point->value,
	};
	int ret;
	graph_wait_begin(&seen, deadline_ns);
	do {
		ret = wait_sleep(wait, seen.until_ns);
	} while (graph_wait_goes_on(&seen, ret));
	return ret;
}

static int point_sleep(const struct stile_point *point, enum stile_point_event event,
	int64_t deadline_ns, struct stile_cancel *cancel, const void *place) {
	uint32_t own = 0;
	struct point_wait wait = {
		.watch = { .value = point->value, .word = cancel == NULL ? &own : &cancel->word },
		.point = point,
		.event = event,
	};
	/* The caller's reference may go while it sleeps. */
	struct stile_timeline *timeline = stile_timeline_ref(point->timeline);
	os_lock(&timeline->lock);
	watch_link(timeline, &wait.watch);
	os_unlock(&timeline->lock);

	int ret = wait_sleep_seen(&wait, deadline_ns, place);

	os_lock(&timeline->lock);
	watch_unlink(&wait.watch);
	os_unlock(&timeline->lock);
	if (wait.fence != NULL) {
		stile_fence_remove_callback(wait.fence, &wait.callback);
		stile_fence_unref(wait.fence);
	}
	stile_timeline_unref(timeline);
	return ret;
}

int stile_point_wait(const struct stile_point *point, enum stile_point_event event,
	int64_t deadline_ns, struct stile_cancel *cancel) {
	if (deadline_ns < 0 || !event_is_valid(event)) {
		return -EINVAL;
	}
	check_wait();
	enum stile_point_state state = stile_point_get_state(point);
	if (state == STILE_POINT_DONE ||
		(state == STILE_POINT_PENDING && event == STILE_POINT_AVAILABLE)) {
		return 0;
	}
	if (deadline_ns == 0) {
		return cancel != NULL && stile_cancel_is_raised(cancel) ? -EINTR : -ETIME;
	}
	const void *place = __builtin_return_address(0);
	if (state == STILE_POINT_UNSUBMITTED) {
		check_wait_for_user(place);
	}
	return point->timeline->ops != NULL ? owned_wait(point, event, deadline_ns, cancel, place)
					    : point_sleep(point, event, deadline_ns, cancel, place);
}

/* ---- Telling eventfds --------------------------------------------------------------------- */

static void notice_unref(struct notice *notice, uint32_t refs) {
	if (__atomic_fetch_sub(&notice->refs, refs, __ATOMIC_ACQ_REL) == refs) {
		stile_fence_unref(notice->fence);
		timeline_put(notice->timeline);
		free(notice);
	}
}

/* The first one does it. */
static void notice_close(struct notice *notice, bool tell) {
	int fd = __atomic_exchange_n(&notice->fd, -1, __ATOMIC_ACQ_REL);
	if (fd >= 0) {
		graph_eventfd_end(&notice->seen);
		if (tell && notice->owner == getpid()) {
			os_eventfd_add(fd);
		}
		close(fd);
	}
}

void points_tell(struct point_watch *due) {
	while (due != NULL) {
		struct notice *notice = notice_of(due);
		due = due->next;
		notice_close(notice, true);
		notice_unref(notice, 1);
	}
}

/* Those that have a fence will be told by it. */
void points_forget(struct point_watch *all) {
	while (all != NULL) {
		struct notice *notice = notice_of(all);
		all = all->next;
		if (!notice->watch.submitted) {
			notice_close(notice, false);
		}
		notice_unref(notice, 1);
	}
}

/* The reference that the callback has, or was to have, is given up. */
static void notice_end(struct notice *notice) {
	os_lock(&notice->timeline->lock);
	bool linked = notice->watch.link != NULL;
	if (linked) {
		watch_unlink(&notice->watch);
	}
	os_unlock(&notice->timeline->lock);
	notice_close(notice, true);
	notice_unref(notice, linked ? 2 : 1);
}

/* Under the fence's lock. */
static void notice_fence_ended(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	notice_end(CONTAINER_OF(callback, struct notice, callback));
}

/* Takes over the reference on what was submitted, and one on the notice. */
static void notice_listen(struct notice *notice, struct stile_fence *head) {
	struct stile_fence *fence = find_fence(head, notice->watch.value);
	notice->fence = fence;
	if (fence == NULL ||
		stile_fence_add_callback(fence, &notice->callback, notice_fence_ended) < 0) {
		notice_end(notice);
	}
}

/* Takes over the notice and its one reference. */
static void notice_begin(struct notice *notice) {
	struct stile_timeline *timeline = notice->timeline;
	struct point_watch *watch = &notice->watch;
	os_lock(&timeline->lock);
	bool due = timeline_has_reached(timeline, watch->value);
	struct stile_fence *head = due ? NULL : ref_submitted(timeline, watch->value);
	if (head != NULL) {
		watch->submitted = true;
		due = notice->event == STILE_POINT_AVAILABLE;
	}
	if (!due) {
		/* One reference for the list, one for the callback. */
		notice->refs += head != NULL;
		watch_link(timeline, watch);
	}
	os_unlock(&timeline->lock);
	if (due) {
		stile_fence_unref(head);
		points_tell(watch);
	} else if (head != NULL) {
		notice_listen(notice, head);
	}
}

int stile_point_notify_fd(
	const struct stile_point *point, enum stile_point_event event, int eventfd) {
	if (!event_is_valid(event)) {
		return -EINVAL;
	}
	check_alloc();
	if (point->timeline->ops != NULL) {
		return owned_notify_fd(point, event, eventfd);
	}
	int fd = os_dup(eventfd);
	if (fd < 0) {
		return fd;
	}
	int ret = -EINVAL;
	if (!os_is_eventfd(fd)) {
		goto err_fd;
	}
	struct notice *notice = malloc(sizeof(*notice));
	if (notice == NULL) {
		ret = -ENOMEM;
		goto err_fd;
	}
	*notice = (struct notice){
		.watch = { .value = point->value },
		.timeline = timeline_hold(point->timeline),
		.event = event,
		.refs = 1,
		.fd = fd,
		.owner = getpid(),
		.seen = {
			.who = { .place = __builtin_return_address(0), .fd = eventfd },
			.timeline = point->timeline,
			.value = point->value,
		},
	};
	graph_eventfd_begin(&notice->seen);
	notice_begin(notice);
	return 0;

err_fd:
	close(fd);
	return ret;
}

/* ---- Submitting --------------------------------------------------------------------------- */

/* A chain may not be in a chain (C-3): its leaves are, as in a transfer between syncobjs (Y-10). */
static int take_contained(struct stile_fence *fence, struct stile_fence **out) {
	if (stile_fence_is_chain(fence)) {
		return stile_fence_merge(&fence, 1, out);
	}
	*out = stile_fence_ref(fence);
	return 0;
}

/* If all is done by now, the next element shall know: it does not ask. */
static void settle_head(struct stile_timeline *timeline) {
	os_lock(&timeline->lock);
	struct stile_fence *head = timeline->head;
	if (head != NULL) {
		stile_fence_ref(head);
	}
	os_unlock(&timeline->lock);
	if (head != NULL) {
		(void)stile_fence_is_signaled(head);
		stile_fence_unref(head);
	}
}

int stile_timeline_submit(
	struct stile_timeline *timeline, uint64_t value, struct stile_fence *fence) {
	if (timeline->ops != NULL) {
		return owned_submit(timeline, value, fence);
	}
	if (value == 0) {
		return -EINVAL;
	}
	struct stile_chain *chain;
	struct stile_fence *contained;
	int ret = stile_chain_alloc(&chain);
	if (ret < 0) {
		return ret;
	}
	ret = take_contained(fence, &contained);
	if (ret < 0) {
		stile_chain_free(chain);
		return ret;
	}

	struct point_watch *due = NULL;
	struct notice *listen = NULL;
	settle_head(timeline);
	os_lock(&timeline->lock);
	struct stile_fence *head = stile_chain_init(chain, timeline->head, contained, value);
	timeline->head = stile_fence_ref(head);
	points_take_submitted(timeline, &due, &listen);
	os_unlock(&timeline->lock);

	points_tell(due);
	while (listen != NULL) {
		struct notice *notice = listen;
		listen = notice->next;
		notice_listen(notice, stile_fence_ref(head));
	}
	/* Once along the chain: what is done is taken out (Y-4). */
	while (head != NULL) {
		head = stile_chain_walk(head);
	}
	return 0;
}
