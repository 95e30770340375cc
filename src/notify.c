/* SPDX-License-Identifier: MIT */
/*
 * Notifications: a fence callback, which runs under the fence's lock, puts them on the device's
 * list; dispatch takes them off and calls the application with no lock held.
 *
 * A notification in use is on one of the device's two lists, under the device's lock. While it is
 * on `waiting` its fence cannot go: the caller has a reference until the function is entered, and
 * a callback that is running has to get the device's lock first.
 */
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include <stile/fence.h>
#include <stile/notify.h>

#include "src/device.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/watch.h"

enum {
	NOTIFY_IDLE = 0,
	NOTIFY_WAITING,    /* on `waiting`: the fence's callback will make it due */
	NOTIFY_CANCELLING, /* on no list: the callback, if it still runs, does nothing */
	NOTIFY_DUE,        /* on `due`, with a reference on the fence */
};

void stile_notify_init(struct stile_notify *notify, struct stile_device *device) {
	*notify = (struct stile_notify){ .device = device };
}

static void list_append(struct notify_list *list, struct stile_notify *notify) {
	notify->next = NULL;
	notify->prev = list->last;
	if (list->last != NULL) {
		list->last->next = notify;
	} else {
		list->first = notify;
	}
	list->last = notify;
}

static void list_remove(struct notify_list *list, struct stile_notify *notify) {
	if (notify->prev != NULL) {
		notify->prev->next = notify->next;
	} else {
		list->first = notify->next;
	}
	if (notify->next != NULL) {
		notify->next->prev = notify->prev;
	} else {
		list->last = notify->prev;
	}
}

/* Read without the lock by cancel, which may come after the device has gone. */
static void notify_set_state(struct stile_notify *notify, uint32_t state) {
	__atomic_store_n(&notify->state, state, __ATOMIC_RELEASE);
}

/* The lock is held. Is something due? Told by the descriptor, in the process whose it is. */
static void device_show_due(struct stile_device *device, bool due) {
	if (device->owner != getpid()) {
		return;
	}
	if (due) {
		os_eventfd_raise(device->due_fd);
	} else {
		os_eventfd_clear(device->due_fd);
	}
}

/* Under the fence's lock. */
static void notify_fence_signaled(struct stile_fence *fence, struct stile_callback *callback) {
	struct stile_notify *notify = CONTAINER_OF(callback, struct stile_notify, callback);
	struct stile_device *device = notify->device;
	pthread_mutex_lock(&device->lock);
	if (notify->state == NOTIFY_WAITING) {
		list_remove(&device->waiting, notify);
		notify->fence = stile_fence_ref(fence);
		notify_set_state(notify, NOTIFY_DUE);
		if (device->due.first == NULL) {
			/* Under the lock: once it is dispatched, the device may go. */
			device_show_due(device, true);
		}
		list_append(&device->due, notify);
	}
	pthread_mutex_unlock(&device->lock);
}

/* One call of stile_fence_notify() on its way between the list and the fence. */
struct notify_arming {
	const struct stile_notify *notify;
	struct notify_arming *next;
};

/* The lock is held. */
static bool device_is_arming(const struct stile_device *device, const struct stile_notify *notify) {
	const struct notify_arming *at = device->arming;
	while (at != NULL && at->notify != notify) {
		at = at->next;
	}
	return at != NULL;
}

/* From here on whoever takes the notification back has the node: it may be freed. */
static void device_end_arming(struct stile_device *device, const struct notify_arming *arming) {
	pthread_mutex_lock(&device->lock);
	struct notify_arming **at = &device->arming;
	while (*at != arming) {
		at = &(*at)->next;
	}
	*at = arming->next;
	pthread_cond_broadcast(&device->armed);
	pthread_mutex_unlock(&device->lock);
}

int stile_fence_notify(
	struct stile_fence *fence, struct stile_notify *notify, stile_notify_fn fn, void *user) {
	/* Dispatch may tell, and the application destroy the device, before we are out of here. */
	struct stile_device *device = device_ref(notify->device);
	struct notify_arming arming = { .notify = notify };
	pthread_mutex_lock(&device->lock);
	bool idle = notify->state == NOTIFY_IDLE;
	if (idle) {
		arming.next = device->arming;
		device->arming = &arming;
		notify->fence = fence;
		notify->fn = fn;
		notify->user = user;
		notify_set_state(notify, NOTIFY_WAITING);
		list_append(&device->waiting, notify);
	}
	pthread_mutex_unlock(&device->lock);
	if (idle) {
		if (stile_fence_add_callback(fence, &notify->callback, notify_fence_signaled) < 0) {
			notify_fence_signaled(fence, &notify->callback);
		}
		device_end_arming(device, &arming);
	}
	device_unref(device);
	return idle ? 0 : -EBUSY;
}

/* The lock is held. The descriptor is readable just as long as something is due. */
static void device_remove_due(struct stile_device *device, struct stile_notify *notify) {
	list_remove(&device->due, notify);
	if (device->due.first == NULL) {
		device_show_due(device, false);
	}
	notify_set_state(notify, NOTIFY_IDLE);
}

/* The lock is held, and is given up in between. */
static void device_cancel_waiting(struct stile_device *device, struct stile_notify *notify) {
	/* The caller may drop its reference as soon as we return; we need one until then. */
	struct stile_fence *fence = stile_fence_ref(notify->fence);
	list_remove(&device->waiting, notify);
	notify_set_state(notify, NOTIFY_CANCELLING);
	pthread_mutex_unlock(&device->lock);

	/* Not under the device's lock: the fence's comes before it. Waits for a callback that runs. */
	stile_fence_remove_callback(fence, &notify->callback);
	stile_fence_unref(fence);

	pthread_mutex_lock(&device->lock);
	notify_set_state(notify, NOTIFY_IDLE);
}

bool stile_notify_cancel(struct stile_notify *notify) {
	if (__atomic_load_n(&notify->state, __ATOMIC_ACQUIRE) == NOTIFY_IDLE) {
		return false;
	}
	struct stile_device *device = notify->device;
	struct stile_fence *fence = NULL;
	pthread_mutex_lock(&device->lock);
	while (device_is_arming(device, notify)) {
		pthread_cond_wait(&device->armed, &device->lock);
	}
	uint32_t state = notify->state;
	if (state == NOTIFY_WAITING) {
		device_cancel_waiting(device, notify);
	} else if (state == NOTIFY_DUE) {
		fence = notify->fence;
		device_remove_due(device, notify);
	}
	pthread_mutex_unlock(&device->lock);
	stile_fence_unref(fence);
	return state == NOTIFY_WAITING || state == NOTIFY_DUE;
}

int stile_device_get_fd(struct stile_device *device) {
	return device->caller_loop ? watch_get_fd(device->watch) : device->due_fd;
}

/* Take the first one that is due off; false: there is none. From here on the node is the caller's. */
static bool device_pop_due(
	struct stile_device *device, struct stile_notify **notify, struct stile_notify *held) {
	pthread_mutex_lock(&device->lock);
	*notify = device->due.first;
	if (*notify != NULL) {
		*held = **notify;
		device_remove_due(device, *notify);
	}
	pthread_mutex_unlock(&device->lock);
	return *notify != NULL;
}

int stile_device_dispatch(struct stile_device *device) {
	if (device->caller_loop) {
		watch_dispatch(device->watch);
	}
	if (device->ops->device_dispatch != NULL) {
		device->ops->device_dispatch(device);
	}
	/* No more than are due by now: a function may ask for the next notification at once. */
	int due = 0;
	pthread_mutex_lock(&device->lock);
	for (const struct stile_notify *at = device->due.first; at != NULL; at = at->next) {
		due++;
	}
	pthread_mutex_unlock(&device->lock);

	int count = 0;
	struct stile_notify *notify, held;
	while (count < due && device_pop_due(device, &notify, &held)) {
		held.fn(held.fence, notify, held.user);
		stile_fence_unref(held.fence);
		count++;
	}
	return count;
}

void device_drop_notifications(struct stile_device *device) {
	pthread_mutex_lock(&device->lock);
	while (device->waiting.first != NULL) {
		device_cancel_waiting(device, device->waiting.first);
	}
	pthread_mutex_unlock(&device->lock);

	struct stile_notify *notify, held;
	while (device_pop_due(device, &notify, &held)) {
		stile_fence_unref(held.fence);
	}
}
