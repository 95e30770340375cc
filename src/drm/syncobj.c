/* SPDX-License-Identifier: MIT */
/*
 * A DRM syncobj as a timeline that the kernel keeps: contract section 15. Value 0 is the syncobj as a
 * binary one. A sync_file can only go into, and come out of, a binary syncobj on kernels of today: for
 * other values there is one in between.
 */
#include "src/drm/syncobj.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xf86drm.h>

#include <stile/carrier.h>
#include <stile/drm_syncobj.h>

#include "src/drm/drm.h"
#include "src/os.h"
#include "src/report.h"

/* libdrm gives -1 or -errno: errno is right for both. */
static int result(int ret) {
	return ret < 0 ? -errno : 0;
}

struct syncobj *syncobj_ref(struct syncobj *syncobj) {
	__atomic_fetch_add(&syncobj->refs, 1, __ATOMIC_RELAXED);
	return syncobj;
}

void syncobj_unref(struct syncobj *syncobj) {
	if (__atomic_fetch_sub(&syncobj->refs, 1, __ATOMIC_ACQ_REL) == 1) {
		drmSyncobjDestroy(syncobj->drm->fd, syncobj->handle);
		drm_unref(syncobj->drm);
		free(syncobj);
	}
}

/* ---- How a value stands ------------------------------------------------------------------- */

int syncobj_wait(
	const struct syncobj *syncobj, uint64_t value, uint32_t flags, int64_t deadline_ns) {
	uint32_t handle = syncobj->handle;
	return result(drmSyncobjTimelineWait(
		syncobj->drm->fd, &handle, &value, 1, deadline_ns, flags, NULL));
}

uint32_t syncobj_event_flags(enum stile_point_event event) {
	return event == STILE_POINT_AVAILABLE ? DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE
					      : DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT;
}

static struct syncobj *syncobj_of(const struct stile_timeline *timeline) {
	return stile_timeline_get_priv(timeline);
}

static uint64_t syncobj_get_value(const struct stile_timeline *timeline) {
	const struct syncobj *self = syncobj_of(timeline);
	uint32_t handle = self->handle;
	uint64_t value;
	return drmSyncobjQuery(self->drm->fd, &handle, &value, 1) == 0 ? value : 0;
}

static enum stile_point_state syncobj_get_state(struct stile_timeline *timeline, uint64_t value) {
	switch (syncobj_wait(syncobj_of(timeline), value, 0, 0)) {
	case 0:
		return STILE_POINT_DONE;
	case -ETIME:
		return STILE_POINT_PENDING;
	default:
		return STILE_POINT_UNSUBMITTED;
	}
}

static int syncobj_wait_event(struct stile_timeline *timeline, uint64_t value,
	enum stile_point_event event, int64_t deadline_ns) {
	return syncobj_wait(syncobj_of(timeline), value, syncobj_event_flags(event), deadline_ns);
}

static int syncobj_notify(struct stile_timeline *timeline, uint64_t value,
	enum stile_point_event event, int eventfd) {
	return syncobj_notify_fd(syncobj_of(timeline), value, event, eventfd);
}

/* ---- Fences in and out -------------------------------------------------------------------- */

static int syncobj_signal(struct stile_timeline *timeline, uint64_t value) {
	const struct syncobj *self = syncobj_of(timeline);
	uint32_t handle = self->handle;
	return result(value == 0 ? drmSyncobjSignal(self->drm->fd, &handle, 1)
				 : drmSyncobjTimelineSignal(self->drm->fd, &handle, &value, 1));
}

/* By a syncobj in between. */
static int submit_sync_file(const struct syncobj *self, uint64_t value, int sync_file) {
	uint32_t between;
	int fd = self->drm->fd;
	int ret = result(drmSyncobjCreate(fd, 0, &between));
	if (ret < 0) {
		return ret;
	}
	ret = result(drmSyncobjImportSyncFile(fd, between, sync_file));
	if (ret == 0) {
		ret = result(drmSyncobjTransfer(fd, self->handle, value, between, 0, 0));
	}
	drmSyncobjDestroy(fd, between);
	return ret;
}

static int syncobj_submit(
	struct stile_timeline *timeline, uint64_t value, struct stile_fence *fence) {
	const struct syncobj *self = syncobj_of(timeline);
	int sync_file;
	int ret = stile_fence_export_fd(
		fence, STILE_FD_SYNC_FILE, STILE_FD_ALLOW_SIGNALED, NULL, &sync_file);
	if (ret < 0) {
		return ret;
	}
	if (sync_file < 0) {
		return syncobj_signal(timeline, value);
	}
	ret = value == 0 ? result(drmSyncobjImportSyncFile(self->drm->fd, self->handle, sync_file))
			 : submit_sync_file(self, value, sync_file);
	close(sync_file);
	return ret;
}

/* Y-2, Y-12: -EINVAL says that it is not submitted. */
static int get_sync_file(const struct syncobj *self, uint64_t value, int *out) {
	int fd = self->drm->fd;
	if (value == 0) {
		return result(drmSyncobjExportSyncFile(fd, self->handle, out));
	}
	uint32_t between;
	int ret = result(drmSyncobjCreate(fd, 0, &between));
	if (ret < 0) {
		return ret;
	}
	ret = result(drmSyncobjTransfer(fd, between, 0, self->handle, value, 0));
	if (ret == 0) {
		ret = result(drmSyncobjExportSyncFile(fd, between, out));
	}
	drmSyncobjDestroy(fd, between);
	return ret;
}

static int syncobj_get_fence(
	struct stile_timeline *timeline, uint64_t value, struct stile_fence **out) {
	const struct syncobj *self = syncobj_of(timeline);
	*out = NULL;
	int sync_file = -1;
	int ret = get_sync_file(self, value, &sync_file);
	if (ret < 0) {
		return ret == -EINVAL ? -EAGAIN : ret;
	}
	ret = stile_fence_import_fd(self->drm->device, STILE_FD_SYNC_FILE, 0, sync_file, out);
	close(sync_file);
	return ret;
}

/* ---- Its life ----------------------------------------------------------------------------- */

static void syncobj_release(struct stile_timeline *timeline) {
	struct syncobj *self = syncobj_of(timeline);
	__atomic_store_n(&self->closed, true, __ATOMIC_RELEASE);
	syncobj_unref(self);
}

static const struct stile_timeline_ops syncobj_ops = {
	.size = sizeof(struct stile_timeline_ops),
	.kind = "drm_syncobj",
	.get_value = syncobj_get_value,
	.get_state = syncobj_get_state,
	.wait = syncobj_wait_event,
	.signal = syncobj_signal,
	.submit = syncobj_submit,
	.get_fence = syncobj_get_fence,
	.notify_fd = syncobj_notify,
	.release = syncobj_release,
};

/* A timeline of a handle, which it takes over. */
static int create_timeline(struct stile_drm *drm, const char *name, uint32_t handle,
	struct stile_report *why, struct stile_timeline **out) {
	struct syncobj *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		drmSyncobjDestroy(drm->fd, handle);
		return report_refuse(
			why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	*self = (struct syncobj){ .drm = drm_ref(drm), .handle = handle, .refs = 1 };
	struct stile_timeline_info info = {
		.size = sizeof(info),
		.name = name,
		.ops = &syncobj_ops,
		.priv = self,
		.device = drm->device,
	};
	int ret = stile_timeline_create_from(&info, out);
	if (ret < 0) {
		syncobj_unref(self);
		return report_refuse(why, ret, STILE_REASON_RESOURCES, 0, 0, 0, "no timeline: %s",
			strerror(-ret));
	}
	return 0;
}

static int check_driver(const struct stile_drm *drm, struct stile_report *why) {
	uint64_t cap = DRM_CAP_SYNCOBJ;
	const char *name = "DRM_CAP_SYNCOBJ";
	if (drm_get_cap(drm->fd, cap) != 0) {
		cap = DRM_CAP_SYNCOBJ_TIMELINE;
		name = "DRM_CAP_SYNCOBJ_TIMELINE";
	}
	if (drm_get_cap(drm->fd, cap) != 0) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 1, 0,
		"the driver has no timeline syncobjs (%s is 0)", name);
}

static int create(struct stile_drm *drm, const char *name, uint32_t flags, struct stile_report *why,
	struct stile_timeline **out) {
	if ((flags & ~(uint32_t)STILE_DRM_SYNCOBJ_SIGNALED) != 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0,
			STILE_DRM_SYNCOBJ_SIGNALED, flags, "unknown flags 0x%x", flags);
	}
	int ret = check_driver(drm, why);
	if (ret < 0) {
		return ret;
	}
	uint32_t handle;
	ret = result(drmSyncobjCreate(drm->fd,
		flags & STILE_DRM_SYNCOBJ_SIGNALED ? DRM_SYNCOBJ_CREATE_SIGNALED : 0, &handle));
	if (ret < 0) {
		return report_refuse(why, ret, STILE_REASON_DRIVER, 0, 0, 0,
			"DRM_IOCTL_SYNCOBJ_CREATE: %s", strerror(-ret));
	}
	return create_timeline(drm, name, handle, why, out);
}

int stile_drm_syncobj_create(struct stile_drm *drm, const char *name, uint32_t flags,
	struct stile_report *report, struct stile_timeline **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = create(drm, name, flags, &why, out);
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}

static int import(struct stile_drm *drm, const char *name, int fd, struct stile_report *why,
	struct stile_timeline **out) {
	if (fcntl(fd, F_GETFD) < 0) {
		return report_refuse(why, -EBADF, STILE_REASON_FD_CLOSED, 0, 0, 0,
			"descriptor %d is not open", fd);
	}
	int ret = check_driver(drm, why);
	if (ret < 0) {
		return ret;
	}
	uint32_t handle;
	ret = result(drmSyncobjFDToHandle(drm->fd, fd, &handle));
	if (ret < 0) {
		return report_refuse(why, ret,
			ret == -EINVAL ? STILE_REASON_FD_TYPE : STILE_REASON_RESOURCES, 0, 0, 0,
			"descriptor %d is not a syncobj: %s", fd, strerror(-ret));
	}
	return create_timeline(drm, name, handle, why, out);
}

int stile_drm_syncobj_import(struct stile_drm *drm, const char *name, int fd,
	struct stile_report *report, struct stile_timeline **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = import(drm, name, fd, &why, out);
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}

/* ---- The syncobj itself ------------------------------------------------------------------- */

/* NULL: it is no syncobj's. */
static struct syncobj *find_syncobj(const struct stile_timeline *timeline) {
	return stile_timeline_get_ops(timeline) == &syncobj_ops ? syncobj_of(timeline) : NULL;
}

int stile_drm_syncobj_export(const struct stile_timeline *timeline, int *fd) {
	*fd = -1;
	const struct syncobj *self = find_syncobj(timeline);
	if (self == NULL) {
		return -EINVAL;
	}
	int made;
	int ret = result(drmSyncobjHandleToFD(self->drm->fd, self->handle, &made));
	if (ret == 0) {
		*fd = made;
	}
	return ret;
}

uint32_t stile_drm_syncobj_get_handle(const struct stile_timeline *timeline) {
	const struct syncobj *self = find_syncobj(timeline);
	return self == NULL ? 0 : self->handle;
}

int stile_drm_syncobj_reset(struct stile_timeline *timeline) {
	const struct syncobj *self = find_syncobj(timeline);
	return self == NULL ? -EINVAL : result(drmSyncobjReset(self->drm->fd, &self->handle, 1));
}

int stile_drm_syncobj_transfer(const struct stile_point *from, const struct stile_point *to) {
	const struct syncobj *source = find_syncobj(from->timeline);
	const struct syncobj *target = find_syncobj(to->timeline);
	if (source == NULL || target == NULL || source->drm->file != target->drm->file) {
		return -EINVAL;
	}
	int ret = result(drmSyncobjTransfer(
		source->drm->fd, target->handle, to->value, source->handle, from->value, 0));
	return ret == -EINVAL ? -EAGAIN : ret;
}
