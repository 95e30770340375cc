/* SPDX-License-Identifier: MIT */
#ifndef STILE_SWGPU_H
#define STILE_SWGPU_H

#include <stddef.h>
#include <stdint.h>

#include <stile/device.h>
#include <stile/fence.h>
#include <stile/image.h>
#include <stile/macros.h>

STILE_BEGIN_DECLS

/*
 * The software GPU: a device opened as "swgpu". Queues execute command lists
 * (<stile/swgpu_list.h>) on threads of the device, each in the order of
 * submission; every list gives a fence. What the device can and cannot do is
 * its profile, a part of stile_device_info.options; what goes wrong in it, and
 * in which order things happen, can be told (<stile/swgpu_test.h>).
 */

/**
 * Lists that are executed in order. Their fences are a timeline of their own.
 *
 * One owner: stile_swgpu_queue_create(), stile_swgpu_queue_destroy().
 * Thread-safety: internal; stile_swgpu_queue_destroy() external.
 */
struct stile_swgpu_queue;

/**
 * Commands that are executed together. See <stile/swgpu_list.h>.
 *
 * One owner: stile_swgpu_list_create(), stile_swgpu_submit() or
 * stile_swgpu_list_destroy().
 * Thread-safety: external.
 */
struct stile_swgpu_list;

/** How to make a queue. */
struct stile_swgpu_queue_info {
	size_t size;        /**< sizeof(struct stile_swgpu_queue_info) */
	const char *name;   /**< of the timeline; the first 31 bytes are copied;
	                       NULL: "queue" */
	int32_t priority;   /**< where several queues have work and engines are
	                       few, the higher one goes first */
	int64_t timeout_ns; /**< how long a list may wait and work from when it
	                         is the first of its queue; 0: as the profile
	                         says, 10 s */
};

/** How to submit a list. */
struct stile_swgpu_submit_info {
	size_t size; /**< sizeof(struct stile_swgpu_submit_info) */
	/** What has to be done before; borrowed, references are kept. */
	struct stile_fence *const *waits;
	size_t wait_count;
};

/**
 * Make a queue. Never blocks for long.
 *
 * @param device    a swgpu device; borrowed, must outlive the queue
 * @param info      borrowed; NULL for the defaults
 * @param[out] out  the queue, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  not a swgpu device, a negative time-out, or info->size is
 *                  impossible
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -EIO     the device is lost
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_queue_create(
	struct stile_device *device, const struct stile_swgpu_queue_info *info,
	struct stile_swgpu_queue **out);

/**
 * Give a queue up. What has not begun ends with -ECANCELED. Blocks until the
 * list that is being executed is done; what was injected to hold it up is cut
 * short.
 *
 * @param queue  NULL is ignored
 * @since 0.1
 */
STILE_API void stile_swgpu_queue_destroy(struct stile_swgpu_queue *queue);

/**
 * The queue that the device has from the start.
 *
 * @param device  a swgpu device; borrowed
 * @return borrowed, as long as the device; NULL: not a swgpu device
 * @since 0.1
 */
STILE_API struct stile_swgpu_queue *stile_swgpu_get_queue(
	struct stile_device *device);

/**
 * Submit a list. It begins when all that it waits for is done and the lists
 * before it are; where the profile has implicit synchronisation, it also waits
 * for those who use its buffers, and its fence becomes the one of a reader or
 * writer in their reservations (KERNEL_CONTRACT section 19); where it has none,
 * its fence is there to keep the storage from moving, no more
 * (STILE_RESV_BOOKKEEP).
 *
 * If one of info->waits ended with an error, nothing is executed, and its own
 * fence ends with that error; those of reservations are for order alone. Waits
 * and work together, from when it is the first of its queue, are limited by the
 * queue's time-out, after which it ends with -ETIME, even if its last command was
 * finished, and the next list begins. No list at all is a mere wait, which needs
 * no engine.
 *
 * Blocks while others have a reservation locked; may block for memory.
 *
 * @param queue     borrowed
 * @param list      taken over on success, the caller's on failure; NULL: nothing
 *                  to do but wait
 * @param info      borrowed; NULL: nothing to wait for
 * @param[out] out  new reference on the fence, the caller's; may be NULL if
 *                  nobody wants to know; NULL on failure
 *
 * @retval 0        submitted
 * @retval -EINVAL  a list of another device, info->size is impossible, or a
 *                  wait is NULL
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -EDEADLK misuse: the caller has the reservation of one of its buffers
 *                  locked
 * @retval -EACCES  a buffer that is written was sealed against writing by
 *                  whoever it came from
 * @retval -EBUSY   a buffer's storage cannot be reached by the device, and
 *                  cannot be moved
 * @retval -ERANGE  the device's bus cannot reach a buffer
 * @retval -ENOSPC  no memory of the kind that is needed, or no bus addresses
 * @retval -ETIME   a buffer of a device that was destroyed would have to be moved,
 *                  and is in use
 * @retval -EIO     the device is lost
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_submit(
	struct stile_swgpu_queue *queue, struct stile_swgpu_list *list,
	const struct stile_swgpu_submit_info *info, struct stile_fence **out);

/*
 * One command each, on the device's own queue: a list with that command,
 * recorded and submitted, with the errors of both. `out` receives a new
 * reference that is the caller's and may be NULL if nobody wants to know.
 */

/**
 * stile_swgpu_list_fill() of a whole plane.
 *
 * @param device    a swgpu device; borrowed
 * @param image     borrowed
 * @param plane     as there
 * @param value     as there
 * @param[out] out  the fence
 *
 * @retval 0        submitted
 * @retval -EINVAL  not a swgpu device, no such plane, or a value that does not
 *                  fit
 * @retval -EACCES  the image does not allow writing
 * @retval other    as stile_swgpu_submit()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_fill(struct stile_device *device,
	struct stile_image *image, uint32_t plane, uint32_t value,
	struct stile_fence **out);

/**
 * stile_swgpu_list_copy().
 *
 * @param device    a swgpu device; borrowed
 * @param from      borrowed
 * @param to        borrowed
 * @param[out] out  the fence
 *
 * @retval 0        submitted
 * @retval -EINVAL  not a swgpu device, or format or extent differ
 * @retval -EACCES  `from` does not allow reading, or `to` writing
 * @retval other    as stile_swgpu_submit()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_copy(struct stile_device *device,
	struct stile_image *from, struct stile_image *to,
	struct stile_fence **out);

/**
 * stile_swgpu_list_upload().
 *
 * @param device    a swgpu device; borrowed
 * @param image     borrowed
 * @param plane     as there
 * @param pixels    borrowed *until the fence is signalled*
 * @param pitch     as there
 * @param[out] out  the fence
 *
 * @retval 0        submitted
 * @retval -EINVAL  not a swgpu device, no such plane, or a pitch shorter than
 *                  a row
 * @retval -EACCES  the image does not allow writing
 * @retval other    as stile_swgpu_submit()
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_upload(struct stile_device *device,
	struct stile_image *image, uint32_t plane, const void *pixels,
	size_t pitch, struct stile_fence **out);

/**
 * Hold the device's own queue until a fence is signalled. If it ends with an
 * error, the gate's own fence carries that, and the queue goes on.
 *
 * @param device    a swgpu device; borrowed
 * @param fence     what to wait for; a reference is kept until then
 * @param[out] out  the fence of the gate itself
 *
 * @retval 0        submitted
 * @retval -EINVAL  not a swgpu device
 * @retval -EIO     the device is lost
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_swgpu_gate(struct stile_device *device,
	struct stile_fence *fence, struct stile_fence **out);

STILE_END_DECLS

#endif
