/* SPDX-License-Identifier: MIT */
#ifndef STILE_DRM_SYNCOBJ_H
#define STILE_DRM_SYNCOBJ_H

#include <stdint.h>

#include <stile/drm.h>
#include <stile/macros.h>
#include <stile/timeline.h>

STILE_BEGIN_DECLS

/*
 * A DRM syncobj is a stile_timeline, which the kernel keeps, and a value on it
 * a stile_point: all of <stile/timeline.h> works on it, for others in this and
 * in other processes too. KERNEL_CONTRACT section 15.
 *
 *     value 0       the syncobj as a binary one: the fence that it has now
 *     other values  points of a timeline
 *
 *     stile_timeline_get_value()      QUERY: how far all is done; 0 of a binary
 *     stile_timeline_signal()         SIGNAL, TIMELINE_SIGNAL
 *     stile_timeline_submit()         a sync_file in, by TRANSFER to a value;
 *                                     -EOPNOTSUPP for what the kernel cannot
 *                                     have. A fence that is signalled
 *                                     signals the value; one that failed and
 *                                     never was the kernel's is refused
 *     stile_point_get_fence()         the sync_file of a value, as a fence
 *     stile_point_wait()              TIMELINE_WAIT, for submission too
 *     stile_point_notify_fd()         EVENTFD; a thread for each where the
 *                                     kernel has not got that (before 6.6),
 *                                     which the log says once. Should it not
 *                                     be able to wait, as on a device that is
 *                                     gone, it says so and tells all the same
 *
 * Waits and queries tell that a point was reached, never how its fence ended
 * (Y-7); the fence of stile_point_get_fence() does, if it is asked for before
 * that.
 */

/** Flags of stile_drm_syncobj_create(). */
enum {
	STILE_DRM_SYNCOBJ_SIGNALED = 1u << 0, /**< value 0 is done at first */
};

/**
 * Make a syncobj (Y-1). Never blocks.
 *
 * @param drm       borrowed; may be destroyed before the timeline
 * @param name      of the timeline, for people; the first 31 bytes are copied
 * @param flags     STILE_DRM_SYNCOBJ_SIGNALED or 0
 * @param report    why not; may be NULL
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  unknown flags, or report->size is impossible
 * @retval -EOPNOTSUPP  the driver has no syncobjs, as vgem and vkms
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_syncobj_create(struct stile_drm *drm,
	const char *name, uint32_t flags, struct stile_report *report,
	struct stile_timeline **out);

/**
 * Take a syncobj over from a descriptor (Y-3). Every time a new timeline is
 * made, of the same syncobj. Never blocks.
 *
 * @param drm       borrowed; may be destroyed before the timeline
 * @param name      of the timeline, for people; the first 31 bytes are copied
 * @param fd        borrowed; not needed any more afterwards
 * @param report    why not; may be NULL
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EBADF   fd is not an open descriptor
 * @retval -EINVAL  it is no syncobj, or report->size is impossible
 * @retval -EOPNOTSUPP  the driver has no syncobjs, as vgem and vkms
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_syncobj_import(struct stile_drm *drm,
	const char *name, int fd, struct stile_report *report,
	struct stile_timeline **out);

/**
 * Make a descriptor of the syncobj itself (Y-2), for another process, or for
 * Vulkan where opaque descriptors of semaphores are such. Never blocks.
 *
 * @param timeline  of a syncobj; borrowed
 * @param[out] fd   new descriptor, CLOEXEC, the caller's; -1 on failure
 *
 * @retval 0        *fd is valid
 * @retval -EINVAL  it is no syncobj's timeline
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_syncobj_export(
	const struct stile_timeline *timeline, int *fd);

/**
 * The handle, for what ioctls take handles for, such as submissions.
 *
 * @param timeline  borrowed
 * @return valid as long as the timeline, in the open file that its adapter was
 *         made with; 0 of a timeline that is no syncobj's
 * @since 0.1
 */
STILE_API uint32_t stile_drm_syncobj_get_handle(
	const struct stile_timeline *timeline);

/**
 * Take the fence and all points away (Y-5): nothing is submitted, what waits
 * goes on to wait. Never blocks.
 *
 * @param timeline  of a syncobj; borrowed
 *
 * @retval 0        there is nothing in it
 * @retval -EINVAL  it is no syncobj's timeline
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_syncobj_reset(
	struct stile_timeline *timeline);

/**
 * Submit for one point what another one stands for (Y-10). Never blocks: for a
 * point that is not submitted yet, stile_point_wait() first.
 *
 * @param from  borrowed, with its timeline
 * @param to    borrowed, with its timeline; value 0: replaces what is there, and
 *              stile_timeline_get_value() is then that of the point
 *
 * @retval 0        submitted
 * @retval -EAGAIN  `from` is not submitted yet; nothing was changed
 * @retval -EINVAL  one is no syncobj's, or they are not of the same open file
 * @retval -EOPNOTSUPP  the driver has no timelines, but binary syncobjs only
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_drm_syncobj_transfer(
	const struct stile_point *from, const struct stile_point *to);

STILE_END_DECLS

#endif
