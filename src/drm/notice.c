/* SPDX-License-Identifier: MIT */
/*
 * An eventfd that is told when something happens to a syncobj's value. The kernel does that since 6.6
 * (Y-11); on older ones a thread waits for each.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xf86drm.h>

#include "src/drm/drm.h"
#include "src/drm/syncobj.h"
#include "src/os.h"

/* How long a thread sleeps before it looks whether anybody still wants to know. */
enum { SLICE_NS = 50000000 };

struct notice {
	struct syncobj *syncobj; /* a reference */
	uint64_t value;
	enum stile_point_event event;
	int eventfd;
};

static void notice_free(struct notice *notice) {
	close(notice->eventfd);
	syncobj_unref(notice->syncobj);
	free(notice);
}

/* As the kernel: once it is closed, what was not submitted is forgotten. */
static bool notice_is_over(const struct notice *notice) {
	const struct syncobj *syncobj = notice->syncobj;
	return __atomic_load_n(&syncobj->closed, __ATOMIC_ACQUIRE) &&
		syncobj_wait(syncobj, notice->value, 0, 0) == -EINVAL;
}

/* 0; -ETIME: nobody wants to know any more; or why it cannot be known. */
static int notice_await(const struct notice *notice) {
	static const struct timespec pause = { .tv_nsec = 5000000 };
	uint32_t flags = syncobj_event_flags(notice->event);
	int ret;
	do {
		int64_t deadline_ns = os_clock_ns() + SLICE_NS;
		ret = syncobj_wait(notice->syncobj, notice->value, flags, deadline_ns);
	} while ((ret == -ENOMEM && nanosleep(&pause, NULL) <= 0) ||
		(ret == -ETIME && !notice_is_over(notice)));
	return ret;
}

/* Who waits for it would do so for ever: better woken for nothing. */
static void notice_give_up(const struct notice *notice, int error) {
	const struct syncobj *syncobj = notice->syncobj;
	/* Nobody else keeps the log's owner. */
	if (!__atomic_load_n(&syncobj->closed, __ATOMIC_ACQUIRE)) {
		drm_log(syncobj->drm, STILE_LOG_ERROR,
			"syncobj %u: value %llu cannot be waited for, its eventfd is raised all the "
			"same: %s",
			syncobj->handle, (unsigned long long)notice->value, strerror(-error));
	}
}

static void *notice_run(void *arg) {
	struct notice *notice = arg;
	int ret = notice_await(notice);
	if (ret < 0 && ret != -ETIME) {
		notice_give_up(notice, ret);
	}
	if (ret != -ETIME) {
		os_eventfd_add(notice->eventfd);
	}
	notice_free(notice);
	return NULL;
}

static void tell_of_threads(struct stile_drm *drm) {
	if (!__atomic_exchange_n(&drm->threads_told, true, __ATOMIC_RELAXED)) {
		drm_log(drm, STILE_LOG_WARN,
			"this kernel lacks DRM_IOCTL_SYNCOBJ_EVENTFD (Linux 6.6): a thread waits for "
			"each notice of a syncobj");
	}
}

static int notice_start(
	struct syncobj *syncobj, uint64_t value, enum stile_point_event event, int eventfd) {
	struct notice *notice = malloc(sizeof(*notice));
	if (notice == NULL) {
		return -ENOMEM;
	}
	*notice = (struct notice){
		.syncobj = syncobj_ref(syncobj),
		.value = value,
		.event = event,
		.eventfd = os_dup(eventfd),
	};
	if (notice->eventfd < 0) {
		int ret = notice->eventfd;
		syncobj_unref(syncobj);
		free(notice);
		return ret;
	}
	pthread_t thread;
	int ret = os_thread_start(&thread, "stile-syncobj", notice_run, notice);
	if (ret < 0) {
		notice_free(notice);
		return ret;
	}
	pthread_detach(thread);
	tell_of_threads(syncobj->drm);
	return 0;
}

/* Who has it looks for the handle, and 0 is none's; who has not says -EINVAL to any number. */
static bool kernel_has_eventfd(const struct stile_drm *drm) {
	return drmSyncobjEventfd(drm->fd, 0, 0, -1, 0) < 0 && errno == ENOENT;
}

int syncobj_notify_fd(
	struct syncobj *syncobj, uint64_t value, enum stile_point_event event, int eventfd) {
	uint32_t flags = event == STILE_POINT_AVAILABLE ? DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE : 0;
	int fd = syncobj->drm->fd;
	if (drmSyncobjEventfd(fd, syncobj->handle, value, eventfd, flags) == 0) {
		return 0;
	}
	int ret = -errno;
	if ((ret != -EINVAL && ret != -ENOTTY) || kernel_has_eventfd(syncobj->drm)) {
		return ret;
	}
	return notice_start(syncobj, value, event, eventfd);
}
