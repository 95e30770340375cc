/* SPDX-License-Identifier: MIT */
#ifndef STILE_NOTIFY_H
#define STILE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include <stile/fence.h>
#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_device;
struct stile_notify;

/**
 * Run from stile_device_dispatch() after a fence was signalled, with no lock
 * held: everything is allowed.
 */
typedef void (*stile_notify_fn)(
	struct stile_fence *fence, struct stile_notify *notify, void *user);

/**
 * Storage for one notification, the caller's. The fields are private.
 *
 * Thread-safety: internal; stile_notify_init() external.
 */
struct stile_notify {
	struct stile_callback callback;
	struct stile_device *device;
	struct stile_fence *fence;
	struct stile_notify *next;
	struct stile_notify *prev;
	stile_notify_fn fn;
	void *user;
	uint32_t state;
};

/**
 * Choose the device whose stile_device_dispatch() delivers a notification.
 *
 * @param notify  the caller's storage, not in use
 * @param device  borrowed; destroying it takes the notification back
 * @since 0.1
 */
STILE_API void stile_notify_init(
	struct stile_notify *notify, struct stile_device *device);

/**
 * Have a function run from dispatch once the fence is signalled; for
 * applications. Always runs from dispatch, also for a fence that is signalled
 * already. Never blocks.
 *
 * @param fence   borrowed; the caller keeps a reference until fn is entered,
 *                the notification was cancelled or the device destroyed
 * @param notify  initialised, not in use; in use until fn is entered
 * @param fn      the function
 * @param user    handed to it
 *
 * @retval 0       fn will be called
 * @retval -EBUSY  the notification is in use
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_notify(struct stile_fence *fence,
	struct stile_notify *notify, stile_notify_fn fn, void *user);

/**
 * Take a notification back. Does not wait for a function that is running;
 * waits for the fence's callbacks if they run just now. May be called after
 * the device was destroyed, which takes all of them back.
 *
 * @param notify  initialised
 * @return true: fn will not be called; false: it was not in use, or fn has
 *         been entered (on another thread perhaps still running)
 * @since 0.1
 */
STILE_API bool stile_notify_cancel(struct stile_notify *notify);

STILE_END_DECLS

#endif
