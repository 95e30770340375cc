/* SPDX-License-Identifier: MIT */
/*
 * Notifications: a fence callback, which runs under the fence's lock, puts them on the device's
 * list; dispatch takes them off and calls the application with no lock held.
 */
#include <errno.h>
#include <stddef.h>

#include <stile/fence.h>

#include "src/array.h"
#include "src/device.h"
#include "src/os.h"

enum {
	NOTIFY_IDLE = 0,
	NOTIFY_WAITING, /* on the fence; holds the device */
	NOTIFY_DUE,     /* on the device's list; holds the device and the fence */
};

void stile_notify_init(struct stile_notify *notify, struct stile_device *device) {
	*notify = (struct stile_notify){ .device = device };
}

/* Append to the list, unless nobody will ever dispatch it. False: it was dropped. */
static bool notify_make_due(struct stile_notify *notify, struct stile_fence *fence) {
	struct stile_device *device = notify->device;
	pthread_mutex_lock(&device->lock);
	bool kept = !device->destroyed;
	if (kept) {
		notify->fence = stile_fence_ref(fence);
		notify->next = NULL;
		notify->state = NOTIFY_DUE;
		if (device->due_last != NULL) {
			device->due_last->next = notify;
		} else {
			device->due_first = notify;
			/* Under the lock: once it is dispatched, the device may go. */
			os_eventfd_raise(device->due_fd);
		}
		device->due_last = notify;
	} else {
		notify->state = NOTIFY_IDLE;
	}
	pthread_mutex_unlock(&device->lock);
	return kept;
}

static void notify_fence_signaled(struct stile_fence *fence, struct stile_callback *callback) {
	struct stile_notify *notify = CONTAINER_OF(callback, struct stile_notify, callback);
	/* Once it is due, the caller may have it back at any moment: do not touch it after. */
	struct stile_device *device = notify->device;
	if (!notify_make_due(notify, fence)) {
		device_unref(device);
	}
}

int stile_fence_notify(
	struct stile_fence *fence, struct stile_notify *notify, stile_notify_fn fn, void *user) {
	struct stile_device *device = notify->device;
	pthread_mutex_lock(&device->lock);
	bool idle = notify->state == NOTIFY_IDLE;
	if (idle) {
		notify->state = NOTIFY_WAITING;
		notify->fence = fence;
		notify->fn = fn;
		notify->user = user;
	}
	pthread_mutex_unlock(&device->lock);
	if (!idle) {
		return -EBUSY;
	}

	device_ref(device);
	if (stile_fence_add_callback(fence, &notify->callback, notify_fence_signaled) < 0) {
		notify_fence_signaled(fence, &notify->callback);
	}
	return 0;
}

/* The device's lock is held. The descriptor is readable just as long as something is due. */
static struct stile_notify *device_pop_due(struct stile_device *device) {
	struct stile_notify *notify = device->due_first;
	if (notify != NULL) {
		device->due_first = notify->next;
		if (device->due_first == NULL) {
			device->due_last = NULL;
			os_eventfd_clear(device->due_fd);
		}
		notify->state = NOTIFY_IDLE;
	}
	return notify;
}

/* The device's lock is held. */
static void device_remove_due(struct stile_device *device, struct stile_notify *notify) {
	struct stile_notify *before = NULL;
	for (struct stile_notify *at = device->due_first; at != notify; at = at->next) {
		before = at;
	}
	if (before != NULL) {
		before->next = notify->next;
	} else {
		device->due_first = notify->next;
	}
	if (device->due_last == notify) {
		device->due_last = before;
	}
	if (device->due_first == NULL) {
		os_eventfd_clear(device->due_fd);
	}
	notify->state = NOTIFY_IDLE;
}

bool stile_notify_cancel(struct stile_notify *notify) {
	struct stile_device *device = notify->device;
	pthread_mutex_lock(&device->lock);
	uint32_t state = notify->state;
	struct stile_fence *fence = notify->fence;
	if (state == NOTIFY_WAITING) {
		/* The caller's reference may go as soon as the function is entered. */
		stile_fence_ref(fence);
	}
	pthread_mutex_unlock(&device->lock);

	if (state == NOTIFY_WAITING) {
		/* Not under the device's lock: the fence's comes before it. */
		bool removed = stile_fence_remove_callback(fence, &notify->callback);
		stile_fence_unref(fence);
		if (removed) {
			pthread_mutex_lock(&device->lock);
			notify->state = NOTIFY_IDLE;
			pthread_mutex_unlock(&device->lock);
			device_unref(device);
			return true;
		}
	}

	pthread_mutex_lock(&device->lock);
	bool due = notify->state == NOTIFY_DUE;
	if (due) {
		fence = notify->fence;
		device_remove_due(device, notify);
	}
	pthread_mutex_unlock(&device->lock);
	if (due) {
		stile_fence_unref(fence);
		device_unref(device);
	}
	return due;
}

int stile_device_get_fd(struct stile_device *device) {
	return device->due_fd;
}

int stile_device_dispatch(struct stile_device *device) {
	/* No more than are due by now: a function may ask for the next notification at once. */
	int due = 0;
	pthread_mutex_lock(&device->lock);
	for (const struct stile_notify *at = device->due_first; at != NULL; at = at->next) {
		due++;
	}
	pthread_mutex_unlock(&device->lock);

	int count = 0;
	while (count < due) {
		pthread_mutex_lock(&device->lock);
		struct stile_notify *notify = device_pop_due(device);
		/* As soon as it is idle and unlocked, the node is the caller's. */
		struct stile_notify held = { 0 };
		if (notify != NULL) {
			held = *notify;
		}
		pthread_mutex_unlock(&device->lock);
		if (notify == NULL) {
			break;
		}
		held.fn(held.fence, notify, held.user);
		stile_fence_unref(held.fence);
		device_unref(device);
		count++;
	}
	return count;
}

void device_drop_notifications(struct stile_device *device) {
	pthread_mutex_lock(&device->lock);
	device->destroyed = true;
	struct stile_notify *notify;
	while ((notify = device_pop_due(device)) != NULL) {
		struct stile_fence *fence = notify->fence;
		pthread_mutex_unlock(&device->lock);
		stile_fence_unref(fence);
		device_unref(device);
		pthread_mutex_lock(&device->lock);
	}
	pthread_mutex_unlock(&device->lock);
}
