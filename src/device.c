/* SPDX-License-Identifier: MIT */
/*
 * Lock order, outer first:
 *
 *     a reservation             (of those, in any order: with an acquire context)
 *     > src/resv_poll.c's       (fences are added: who polls hears of it)
 *     > an array's lock           (to enable it enables its members; a chain does that with none held)
 *     > any other fence's lock
 *       > device->lock            (a notification becomes due in a fence callback)
 *       > the watcher's lock      (a fence is enabled: its descriptor is armed)
 *       > an fd fence's own lock  (its descriptor is looked at)
 *       > src/own_end.c's         (a fence callback ends a software sync file; a word goes)
 *       > a seqno's lock          (a fence is enabled: its thread gets it)
 *       > a timeline's lock       (one of its fences goes)
 *       > the expiry's lock       (somebody listens to a user fence, or it ends)
 *       > a swgpu scheduler's     (a fence callback lets a list go on)
 *         > src/graph.c's         (a fence in its table goes; somebody begins or ends to wait)
 *         > src/check.c's         (the checker hears of locks wherever they are taken)
 *
 * Of buffers: a buffer's own lock > a bus's of swgpu (a cache is written back); an adapter's cache of imports >
 * the lock of all buffers' listeners; all others, the table of buffers, a device's table of them, frames,
 * arenas, faults and traces of swgpu, are leaves. None of these is taken with a fence's lock held.
 *
 * Whose turn it is on a swgpu device without threads is a lock, too, outside of all fences', held while
 * commands are executed. Who waits for a fence, perhaps with reservations locked, only tries it.
 *
 * The lock inside a ww mutex, and src/handoff.c's, are taken where nothing else of these is, but
 * reservations, and nothing is taken under them but a word of the sleeper's context.
 *
 * Those below a fence's lock never nest in each other. No application callback, log handler,
 * backend op or wait runs under any lock, but fence callbacks and ops under their fence's.
 */
#include "src/device.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/abi.h"
#include "src/log.h"
#include "src/os.h"
#include "src/watch.h"

void device_log(
	const struct stile_device *device, enum stile_log_level level, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	log_print(device->log, device->log_user, level, fmt, args);
	va_end(args);
}

int stile_device_open(
	const char *backend, const struct stile_device_info *info, struct stile_device **out) {
	*out = NULL;
	const struct stile_backend_ops *ops = backend_find(backend);
	return ops == NULL ? -ENODEV : device_open(ops, info, NULL, out);
}

int device_open(const struct stile_backend_ops *ops, const struct stile_device_info *info,
	void *backend, struct stile_device **out) {
	*out = NULL;

	struct stile_device_info known = { 0 };
	int ret = info == NULL ? 0 : abi_copy_in(&known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	if (known.flags & ~(uint32_t)STILE_DEVICE_CALLER_LOOP) {
		return -EINVAL;
	}
	struct stile_device *device = calloc(1, sizeof(*device));
	if (device == NULL) {
		return -ENOMEM;
	}
	device->ops = ops;
	device->backend = backend;
	device->log = known.log;
	device->log_user = known.log_user;
	device->refs = 1;
	device->owner = getpid();
	pthread_mutex_init(&device->lock, NULL);
	pthread_cond_init(&device->armed, NULL);

	device->due_fd = os_eventfd();
	if (device->due_fd < 0) {
		ret = device->due_fd;
		goto err_device;
	}
	if (known.flags & STILE_DEVICE_CALLER_LOOP) {
		device->caller_loop = true;
		ret = watch_create(device->due_fd, &device->watch);
		if (ret < 0) {
			goto err_fd;
		}
	}
	ret = ops->device_open(device, known.options);
	if (ret < 0) {
		goto err_watch;
	}
	*out = device;
	return 0;

err_watch:
	watch_unref(device->watch);
err_fd:
	close(device->due_fd);
err_device:
	pthread_cond_destroy(&device->armed);
	pthread_mutex_destroy(&device->lock);
	free(device);
	return ret;
}

struct stile_device *device_ref(struct stile_device *device) {
	__atomic_fetch_add(&device->refs, 1, __ATOMIC_RELAXED);
	return device;
}

void device_unref(struct stile_device *device) {
	if (__atomic_fetch_sub(&device->refs, 1, __ATOMIC_ACQ_REL) != 1) {
		return;
	}
	device->ops->device_free(device);
	close(device->due_fd);
	pthread_cond_destroy(&device->armed);
	pthread_mutex_destroy(&device->lock);
	free(device);
}

void stile_device_destroy(struct stile_device *device) {
	if (device == NULL) {
		return;
	}
	device->ops->device_stop(device);
	device_drop_notifications(device);

	pthread_mutex_lock(&device->lock);
	struct watch *watch = device->watch, *thread_watch = device->thread_watch;
	device->watch = NULL;
	device->thread_watch = NULL;
	device->closed = true;
	pthread_mutex_unlock(&device->lock);
	/* Fences that still watch a descriptor keep the watcher going. */
	watch_unref(watch);
	watch_unref(thread_watch);
	device_unref(device);
}

const char *stile_device_get_backend(const struct stile_device *device) {
	return device->ops->name;
}

static int get_watch(struct stile_device *device, struct watch **place, struct watch **out) {
	int ret = 0;
	pthread_mutex_lock(&device->lock);
	if (*place == NULL && !device->closed) {
		ret = watch_create(-1, place);
	}
	if (device->closed) {
		ret = watch_create(-1, out);
	} else {
		*out = ret < 0 ? NULL : watch_ref(*place);
	}
	pthread_mutex_unlock(&device->lock);
	return ret;
}

int device_get_watch(struct stile_device *device, struct watch **out) {
	return get_watch(device, &device->watch, out);
}

int device_get_thread_watch(struct stile_device *device, struct watch **out) {
	return get_watch(device, device->caller_loop ? &device->thread_watch : &device->watch, out);
}
