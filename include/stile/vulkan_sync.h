/* SPDX-License-Identifier: MIT */
#ifndef STILE_VULKAN_SYNC_H
#define STILE_VULKAN_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/vulkan.h>

STILE_BEGIN_DECLS

struct stile_timeline;

/*
 * The application's own semaphores and fences: fences of Stile's are made of
 * them, and go into them. What the adapter hands out for a submission, and
 * makes of the queue's work, is in <stile/vulkan.h>. Which form crosses how:
 * docs/fence-forms.md.
 */

/**
 * Make a timeline of a timeline semaphore of the application. A value of it is
 * a stile_point: all of <stile/timeline.h> works on it.
 *
 *     stile_timeline_get_value()     vkGetSemaphoreCounterValue(); 0 if the
 *                                    device is lost
 *     stile_timeline_create_fence()  a fence that ends when the value is
 *                                    reached, whoever signals it. Vulkan does
 *                                    not tell whether somebody has submitted
 *                                    that, so it is a STILE_FENCE_USER one with
 *                                    an expiry, and never becomes the kernel's.
 *                                    stile_vulkan_wait_fence() gives this very
 *                                    semaphore for it, so that a submission may
 *                                    wait before the value is submitted
 *     stile_timeline_signal()        vkSignalSemaphore(), if the value is not
 *                                    reached
 *     stile_timeline_submit()        a thread of the adapter signals the value
 *                                    when the fence is signalled, also with an
 *                                    error, and all submitted before are.
 *                                    Values rise: -EINVAL for one that is not
 *                                    above the last one submitted
 *     stile_point_get_fence()        -EAGAIN until the value is reached, as
 *                                    nobody knows whether it is submitted: see
 *                                    stile_timeline_create_fence()
 *     stile_point_wait()             vkWaitSemaphores(), for both events
 *     stile_point_notify_fd()        a thread of the adapter tells the eventfd,
 *                                    for both events
 *
 * Also -EIO where the device is lost, and -ENOMEM. Vulkan's rules stay the
 * application's: signals of one semaphore rise, from the queues and from
 * here together. A value that stile_timeline_submit() owes counts for
 * stile_vulkan_is_held().
 *
 * When the timeline is closed, fences of its values that are still pending end
 * with -ENOENT, and no eventfd is told any more; the adapter's thread no longer
 * looks at the semaphore. What was submitted is still signalled.
 *
 * Never blocks.
 *
 * @param vulkan     borrowed; the timeline is closed before it is destroyed
 * @param name       for people; the first 31 bytes are copied
 * @param semaphore  a timeline semaphore of the adapter's device; borrowed,
 *                   until the timeline is closed and, if something submitted to
 *                   it was not signalled then, stile_vulkan_is_held() says
 *                   that all is
 * @param[out] out   new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  no name or no semaphore
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_timeline_create(
	struct stile_vulkan *vulkan, const char *name, VkSemaphore semaphore,
	struct stile_timeline **out);

/** Flags of struct stile_vulkan_form. */
enum {
	/**
	 * The semaphore or the fence was created with
	 * VkExportSemaphoreCreateInfo or VkExportFenceCreateInfo for SYNC_FD.
	 */
	STILE_VULKAN_EXPORTABLE = 1u << 0,
};

/**
 * Where the application has, or wants, a fence: one of `semaphore` and `fence`.
 * Everything is borrowed for the call, but for what is said at a field.
 */
struct stile_vulkan_form {
	size_t size;           /**< sizeof(struct stile_vulkan_form) */
	VkSemaphore semaphore; /**< binary */
	VkFence fence;
	uint32_t flags; /**< STILE_VULKAN_EXPORTABLE or 0 */
	/** Watches what the kernel has, as in stile_fence_import_fd(); NULL:
	 * nothing becomes the kernel's. */
	struct stile_device *device;
	/**
	 * If the queue waits for a program's fence (stile_vulkan_is_held()), or
	 * the fence to be put into a binary semaphore is one:
	 * STILE_USER_FENCES_WAIT has the calling thread wait, for 10 s at most;
	 * the others refuse. Of VkFences nothing has to be refused.
	 */
	enum stile_user_fences user_fences;
};

/**
 * Make a fence of what a binary semaphore or a VkFence of the application stands
 * for. The submission that signals it was made before.
 *
 *     semaphore  Its signal is used up, as by a wait: exactly once. If it is
 *                exportable and form->device is given, its sync_file is
 *                exported (STILE_PATH_KERNEL; STILE_PATH_NONE if it was
 *                signalled). Otherwise an empty submission to the adapter's
 *                queue, under lock_queue(), waits for it, and the fence ends
 *                with all that the queue was given up to there
 *                (STILE_PATH_HANDLE).
 *     fence      If it is exportable and form->device is given, its sync_file
 *                is exported, which resets it (STILE_PATH_KERNEL,
 *                STILE_PATH_NONE). Otherwise a thread of the adapter looks at
 *                it every millisecond (STILE_PATH_BRIDGE): then it stays
 *                as it is, and must not be reset or destroyed before the
 *                stile_fence has ended.
 *
 * Some drivers lose what was imported into a semaphore or a fence if they
 * export it again while it is pending (Mesa 26.1's lavapipe). The adapter tries
 * that out before the first export, and does without exporting there. Some
 * drivers (lavapipe) have an export wait for the work: the path tells for how
 * long.
 *
 * @param vulkan     borrowed
 * @param form       borrowed
 * @param[out] path  how it crossed; may be NULL
 * @param report     why not; may be NULL
 * @param[out] out   new reference, the caller's; NULL on failure. Ends with -EIO
 *                   if the device is lost
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  not exactly one of semaphore and fence, unknown flags or
 *                  choice, or a size is impossible
 * @retval -E2BIG   form is newer than the library and uses fields it does not
 *                  know
 * @retval -EOPNOTSUPP  the queue waits for a program's fence, behind which Vulkan
 *                  forbids to wait for a binary semaphore or to export it
 *                  (VUID-vkQueueSubmit-pWaitSemaphores-03238,
 *                  VUID-VkSemaphoreGetFdInfoKHR-handleType-03254), and that
 *                  was not to be waited for; the semaphore still has its signal
 * @retval -ETIME   it was waited for, and not signalled in time; as before
 * @retval -EMFILE  the process has no descriptor left; the signal may be lost
 * @retval -ENFILE  the system has no descriptor left; as before
 * @retval -EAGAIN  the system refused the device a thread; as before
 * @retval -ECHILD  the device watches in the process that forked this one; as
 *                  before
 * @retval -ENOMEM  out of memory; as before
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_import_fence(
	struct stile_vulkan *vulkan, const struct stile_vulkan_form *form,
	struct stile_path *path, struct stile_report *report,
	struct stile_fence **out);

/**
 * Have a binary semaphore or a VkFence of the application signalled when a fence
 * is, also when that ends with an error. For what takes no timeline semaphores,
 * such as vkQueuePresentKHR(), and for who waits with vkWaitForFences().
 *
 * A fence that is the kernel's becomes its payload for once, where the driver
 * imports SYNC_FD (STILE_PATH_KERNEL). Otherwise an empty submission to the
 * adapter's queue, under lock_queue(), signals it, behind all that the queue
 * was given: behind the value that the fence stands for (STILE_PATH_HANDLE),
 * behind one that a thread signals (VkFences only: STILE_PATH_BRIDGE), or
 * behind nothing, after the calling thread has waited (binary semaphores only,
 * STILE_USER_FENCES_WAIT: STILE_PATH_CPU_WAIT). form->flags and form->device
 * are not used.
 *
 * Does not block but for that wait.
 *
 * @param vulkan     borrowed
 * @param fence      borrowed
 * @param form       borrowed; unsignalled, and no submission uses it
 * @param[out] path  how it crossed; may be NULL
 * @param report     why not; may be NULL
 *
 * @retval 0        it will be signalled: a submission, or one present, may wait
 *                  for the semaphore
 * @retval -EINVAL  as stile_vulkan_import_fence()
 * @retval -E2BIG   as stile_vulkan_import_fence()
 * @retval -EOPNOTSUPP  the fence is not the device's and not the kernel's, or the
 *                  queue waits for such a one: a binary semaphore must not wait
 *                  for what nobody has submitted to a device, and that was not
 *                  to be waited for; nothing was changed
 * @retval -ETIME   it was waited for, and not signalled in time; nothing was
 *                  changed
 * @retval -ENOMEM  out of memory; nothing was changed
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_export_fence(
	struct stile_vulkan *vulkan, struct stile_fence *fence,
	const struct stile_vulkan_form *form, struct stile_path *path,
	struct stile_report *report);

/**
 * Does the device wait for a fence that a thread of the adapter has still to
 * tell it of? Until it does not, no binary semaphore that depends on the
 * adapter's queue may be waited for, presented or exported: a compositor looks
 * before it presents. Never blocks for longer than it takes to tell the device
 * of a fence that has just ended.
 *
 * @param vulkan  borrowed
 * @since 0.1
 */
STILE_API bool stile_vulkan_is_held(struct stile_vulkan *vulkan);

/**
 * A semaphore that others use, too: GL (<stile/egl_sync.h>), another VkDevice,
 * another process; of the same device and driver. Not a copy of what is in it,
 * but the semaphore itself.
 */
struct stile_vulkan_shared {
	size_t size; /**< sizeof(struct stile_vulkan_shared) */
	int fd;      /**< OPAQUE_FD */
	VkSemaphoreType type;
	uint8_t device_uuid[VK_UUID_SIZE]; /**< whose descriptor it is */
	uint8_t driver_uuid[VK_UUID_SIZE];
};

/**
 * Make a descriptor of a semaphore of the application, which was created with
 * VkExportSemaphoreCreateInfo for OPAQUE_FD. Never blocks.
 *
 * @param vulkan     borrowed
 * @param semaphore  borrowed; may be destroyed before what is made of it
 * @param type       which it is
 * @param report     why not; may be NULL
 * @param[out] out   filled in, the caller having set out->size; out->fd is new,
 *                   CLOEXEC, the caller's; -1 on failure
 *
 * @retval 0        out->fd is valid
 * @retval -EINVAL  no semaphore, a size is impossible, or out has no room for
 *                  the answer
 * @retval -EOPNOTSUPP  the driver does not share semaphores of this type, or
 *                  gives no descriptor, or its extension was not enabled
 * @retval -ENOMEM  out of memory or descriptors
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_export_semaphore(
	struct stile_vulkan *vulkan, VkSemaphore semaphore,
	VkSemaphoreType type, struct stile_report *report,
	struct stile_vulkan_shared *out);

/**
 * Make a semaphore that is another one, for good. Never blocks.
 *
 * @param vulkan     borrowed
 * @param shared     borrowed, its descriptor too
 * @param report     why not; may be NULL
 * @param[out] out   the application's, who destroys it; VK_NULL_HANDLE on
 *                   failure
 *
 * @retval 0        *out is valid
 * @retval -EBADF   the descriptor is not open
 * @retval -EINVAL  a size is impossible
 * @retval -E2BIG   shared is newer than the library and uses fields it does not
 *                  know
 * @retval -EOPNOTSUPP  it is of another device or driver, the driver takes no
 *                  such, or its extension was not enabled
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval -EIO     the device is lost
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_vulkan_import_semaphore(
	struct stile_vulkan *vulkan, const struct stile_vulkan_shared *shared,
	struct stile_report *report, VkSemaphore *out);

STILE_END_DECLS

#endif
