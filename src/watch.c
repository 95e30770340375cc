/* SPDX-License-Identifier: MIT */
#include "src/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/types.h>
#include <unistd.h>

#include "src/fence.h"
#include "src/os.h"

/*
 * An event carries the descriptor's number and the slot's generation rather than a pointer: the
 * fence may go, and the number be used again, between the kernel's answer and our look at it.
 */
struct watch_slot {
	struct stile_fence *fence; /* not referenced: a fence disarms itself before it goes */
	uint32_t generation;
	short events; /* those of poll() are those of epoll, too */
	bool added;   /* to the epoll instance */
	bool retried; /* it should have been, and there was no memory: looked at by the clock */
};

struct watch {
	uint32_t refs;
	int epoll_fd;
	bool threaded; /* else the caller's loop calls watch_dispatch() */
	int kick_fd;   /* of the thread; else -1 */
	pthread_t thread;
	uint32_t
		owner; /* a child made by fork has neither the thread nor a right to the epoll instance */
	pthread_mutex_t lock;

	/* All below is under the lock. */
	struct watch_slot *slots; /* by descriptor */
	size_t slot_count;        /* never less than it was; also read without the lock */
	size_t retried_count;
	bool ending;
	bool orphan; /* nobody joins the thread: it frees everything itself */
};

/* What is no fence's: it wakes whoever sleeps on the epoll instance. */
#define KICK_EVENT UINT64_MAX

/* How often what the kernel has no memory for is asked. */
enum { RETRY_MS = 5 };

/* In one call of watch_dispatch(): what else the loop has to do must get its turn. */
enum { EVENTS_AT_ONCE = 64, MAX_ROUNDS = 8 };

static void watch_close(struct watch *watch) {
	if (watch->epoll_fd >= 0) {
		close(watch->epoll_fd);
	}
	if (watch->kick_fd >= 0) {
		close(watch->kick_fd);
	}
}

static void watch_free(struct watch *watch) {
	watch_close(watch);
	pthread_mutex_destroy(&watch->lock);
	free(watch->slots);
	free(watch);
}

/* The fence that an event is about, referenced, and what is waited for; NULL if it has gone. */
static struct stile_fence *watch_find(struct watch *watch, uint64_t event, short *events) {
	size_t fd = (uint32_t)event;
	struct stile_fence *fence = NULL;
	pthread_mutex_lock(&watch->lock);
	if (fd < watch->slot_count && watch->slots[fd].generation == event >> 32) {
		fence = watch->slots[fd].fence;
		*events = watch->slots[fd].events;
	}
	if (fence != NULL && !fence_ref_unless_zero(fence)) {
		fence = NULL;
	}
	pthread_mutex_unlock(&watch->lock);
	return fence;
}

static void watch_handle(struct watch *watch, const struct epoll_event *event) {
	short events = 0;
	struct stile_fence *fence = watch_find(watch, event->data.u64, &events);
	if (fence == NULL) {
		return;
	}
	if (!stile_fence_is_signaled(fence)) {
		/* One shot: nothing to see yet after all, so look again. */
		struct epoll_event again = *event;
		again.events = (uint32_t)events | EPOLLONESHOT;
		epoll_ctl(watch->epoll_fd, EPOLL_CTL_MOD, (int)(uint32_t)event->data.u64, &again);
	}
	stile_fence_unref(fence);
}

/* Costs what there is to see, however many descriptors are watched. How many events there were. */
static int watch_look(struct watch *watch, int timeout_ms) {
	struct epoll_event events[EVENTS_AT_ONCE];
	int n = epoll_wait(watch->epoll_fd, events, EVENTS_AT_ONCE, timeout_ms);
	for (int i = 0; i < n; i++) {
		if (events[i].data.u64 != KICK_EVENT) {
			watch_handle(watch, &events[i]);
		} else if (watch->threaded) {
			os_eventfd_clear(watch->kick_fd);
		}
	}
	return n;
}

static uint64_t watch_event_of(const struct watch_slot *slot, int fd) {
	return (uint64_t)slot->generation << 32 | (uint32_t)fd;
}

/* The lock is held. Tell the kernel what to look for at a descriptor; allocates if it is not there yet. */
static bool slot_look(struct watch *watch, int fd, uint32_t events) {
	struct watch_slot *slot = &watch->slots[fd];
	struct epoll_event event = {
		.events = events | EPOLLONESHOT,
		.data.u64 = watch_event_of(slot, fd),
	};
	int how = slot->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	slot->added = epoll_ctl(watch->epoll_fd, how, fd, &event) == 0 || slot->added;
	return slot->added;
}

/* The lock is held. */
static void slot_set_retried(struct watch *watch, int fd, bool retried) {
	struct watch_slot *slot = &watch->slots[fd];
	watch->retried_count += (size_t)retried;
	watch->retried_count -= (size_t)slot->retried;
	slot->retried = retried;
}

/* Those for which the kernel had no memory: perhaps it has by now, else they are asked. */
static void watch_retry(struct watch *watch) {
	pthread_mutex_lock(&watch->lock);
	for (size_t i = 0; i < watch->slot_count && watch->retried_count > 0; i++) {
		struct watch_slot *slot = &watch->slots[i];
		if (!slot->retried) {
			continue;
		}
		if (slot_look(watch, (int)i, (uint32_t)slot->events)) {
			slot_set_retried(watch, (int)i, false);
		} else if (fence_ref_unless_zero(slot->fence)) {
			struct stile_fence *fence = slot->fence;
			pthread_mutex_unlock(&watch->lock);
			(void)stile_fence_is_signaled(fence);
			stile_fence_unref(fence);
			pthread_mutex_lock(&watch->lock);
		}
	}
	pthread_mutex_unlock(&watch->lock);
}

static void *watch_run(void *arg) {
	struct watch *watch = arg;
	bool ending = false, retries = false;
	while (!ending) {
		watch_look(watch, retries ? RETRY_MS : -1);
		if (retries) {
			watch_retry(watch);
		}
		pthread_mutex_lock(&watch->lock);
		ending = watch->ending;
		retries = watch->retried_count > 0;
		pthread_mutex_unlock(&watch->lock);
	}
	pthread_mutex_lock(&watch->lock);
	bool orphan = watch->orphan;
	pthread_mutex_unlock(&watch->lock);
	if (orphan) {
		watch_free(watch);
	}
	return NULL;
}

/* Wake whoever sleeps on the epoll instance while `fd` is readable. */
static int watch_add_kick(struct watch *watch, int fd) {
	struct epoll_event kick = { .events = EPOLLIN, .data.u64 = KICK_EVENT };
	return epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, fd, &kick) < 0 ? -ENOMEM : 0;
}

static int watch_start_thread(struct watch *watch) {
	watch->threaded = true;
	watch->kick_fd = os_eventfd();
	if (watch->kick_fd < 0) {
		return watch->kick_fd;
	}
	int ret = watch_add_kick(watch, watch->kick_fd);
	if (ret < 0) {
		return ret;
	}
	return os_thread_start(&watch->thread, "stile-watch", watch_run, watch);
}

int watch_create(int loop_fd, struct watch **out) {
	*out = NULL;
	struct watch *watch = calloc(1, sizeof(*watch));
	if (watch == NULL) {
		return -ENOMEM;
	}
	watch->refs = 1;
	watch->kick_fd = -1;
	watch->owner = os_fork_count();
	pthread_mutex_init(&watch->lock, NULL);

	int ret;
	watch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (watch->epoll_fd < 0) {
		ret = -errno;
	} else if (loop_fd >= 0) {
		ret = watch_add_kick(watch, loop_fd);
	} else {
		ret = watch_start_thread(watch);
	}
	if (ret < 0) {
		watch_free(watch);
		return ret;
	}
	*out = watch;
	return 0;
}

/* The epoll instance is shared with the parent: what a child did to it would be done to both. */
static bool watch_is_inherited(const struct watch *watch) {
	return watch->owner != os_fork_count();
}

struct watch *watch_ref(struct watch *watch) {
	__atomic_fetch_add(&watch->refs, 1, __ATOMIC_RELAXED);
	return watch;
}

void watch_unref(struct watch *watch) {
	if (watch == NULL || __atomic_fetch_sub(&watch->refs, 1, __ATOMIC_ACQ_REL) != 1) {
		return;
	}
	if (watch_is_inherited(watch)) {
		/* Its lock may be held by a thread that is not there: memory is all we give back. */
		watch_close(watch);
		free(watch->slots);
		free(watch);
		return;
	}
	if (!watch->threaded) {
		watch_free(watch);
		return;
	}
	/* The last fence may go in a callback that the thread itself runs. */
	bool self = pthread_equal(pthread_self(), watch->thread);
	pthread_mutex_lock(&watch->lock);
	watch->ending = true;
	watch->orphan = self;
	os_eventfd_raise(watch->kick_fd);
	pthread_mutex_unlock(&watch->lock);
	if (self) {
		pthread_detach(watch->thread);
	} else {
		pthread_join(watch->thread, NULL);
		watch_free(watch);
	}
}

int watch_get_fd(const struct watch *watch) {
	return watch->epoll_fd;
}

void watch_dispatch(struct watch *watch) {
	/* In a child, looking would take the events away from the parent. */
	bool more = !watch_is_inherited(watch);
	for (int round = 0; round < MAX_ROUNDS && more; round++) {
		more = watch_look(watch, 0) == EVENTS_AT_ONCE;
	}
}

/* The lock is held. */
static int watch_make_room(struct watch *watch, int fd) {
	size_t needed = (size_t)fd + 1;
	if (needed <= watch->slot_count) {
		return 0;
	}
	size_t count = needed > 2 * watch->slot_count ? needed : 2 * watch->slot_count;
	struct watch_slot *slots = realloc(watch->slots, count * sizeof(*slots));
	if (slots == NULL) {
		return -ENOMEM;
	}
	for (size_t i = watch->slot_count; i < count; i++) {
		slots[i] = (struct watch_slot){ 0 };
	}
	watch->slots = slots;
	__atomic_store_n(&watch->slot_count, count, __ATOMIC_RELAXED);
	return 0;
}

int watch_reserve(struct watch *watch, int fd) {
	if (watch_is_inherited(watch)) {
		return -ECHILD;
	}
	if (watch->threaded && (size_t)fd < __atomic_load_n(&watch->slot_count, __ATOMIC_RELAXED)) {
		return 0;
	}
	pthread_mutex_lock(&watch->lock);
	int ret = watch_make_room(watch, fd);
	/* Asks for nothing yet; an end of the stream, which comes unasked, finds no fence. */
	if (ret == 0 && !watch->threaded && !slot_look(watch, fd, 0)) {
		ret = -ENOMEM;
	}
	pthread_mutex_unlock(&watch->lock);
	return ret;
}

int watch_arm(struct watch *watch, int fd, short events, struct stile_fence *fence) {
	if (watch_is_inherited(watch)) {
		return -ECHILD;
	}
	pthread_mutex_lock(&watch->lock);
	struct watch_slot *slot = &watch->slots[fd];
	slot->fence = fence;
	slot->events = events;
	slot->generation++;
	if (!slot_look(watch, fd, (uint32_t)events)) {
		slot_set_retried(watch, fd, true);
		os_eventfd_raise(watch->kick_fd);
	}
	pthread_mutex_unlock(&watch->lock);
	return 0;
}

void watch_release(struct watch *watch, int fd, bool was_armed) {
	if ((watch->threaded && !was_armed) || watch_is_inherited(watch)) {
		return;
	}
	pthread_mutex_lock(&watch->lock);
	struct watch_slot *slot = &watch->slots[fd];
	slot_set_retried(watch, fd, false);
	slot->fence = NULL;
	if (slot->added) {
		epoll_ctl(watch->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		slot->added = false;
	}
	pthread_mutex_unlock(&watch->lock);
}
