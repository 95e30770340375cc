/* SPDX-License-Identifier: MIT */
#ifndef SRC_DEVICE_H
#define SRC_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include <stile/device.h>
#include <stile/notify.h>

#include "src/backend.h"

struct notify_arming;
struct watch;

struct notify_list {
	struct stile_notify *first;
	struct stile_notify *last;
};

struct stile_device {
	const struct stile_backend_ops *ops;
	void *backend; /* the backend's own state, from device_open to device_free */
	struct device_limits limits;
	stile_log_fn log;
	void *log_user;
	bool caller_loop; /* the watcher is there from the start, without a thread */

	uint32_t refs;
	uint32_t told_of_poll; /* by atomic access: of what this kernel lacks, once */
	pid_t owner; /* a child made by fork shares due_fd, which then is the parent's alone */
	pthread_mutex_t lock;

	/* All below is under the lock. */
	struct watch *watch;
	struct watch *thread_watch; /* only beside the caller's loop */
	bool closed; /* stile_device_destroy(): who still needs a watcher has one of his own */
	struct notify_list waiting;   /* notifications whose fence is pending */
	struct notify_arming *arming; /* those that a thread is just adding to a fence */
	pthread_cond_t armed;         /* there is one less */
	struct notify_list due;       /* those that are to be dispatched */
	int due_fd; /* readable while there are any; in the caller's loop, watched */
};

/**
 * As stile_device_open(), for a backend that has something to be told: `backend` is in device->backend when
 * its device_open op is called.
 */
int device_open(const struct stile_backend_ops *ops, const struct stile_device_info *info,
	void *backend, struct stile_device **out);

struct stile_device *device_ref(struct stile_device *device);
void device_unref(struct stile_device *device);

/** Log one message. Not under any lock. errno is kept. */
void device_log(const struct stile_device *device, enum stile_log_level level, const char *fmt, ...)
	STILE_PRINTF(3, 4);

/** The device's watcher, made at first need; a new reference. 0, -EAGAIN, -EMFILE, -ENOMEM. */
int device_get_watch(struct stile_device *device, struct watch **out);

/** The same with a thread, also where the caller's loop watches: for what other devices wait for, too. */
int device_get_thread_watch(struct stile_device *device, struct watch **out);

/* notify.c: forget all notifications that are in use. */
void device_drop_notifications(struct stile_device *device);

#endif
