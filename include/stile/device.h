/* SPDX-License-Identifier: MIT */
#ifndef STILE_DEVICE_H
#define STILE_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include <stile/log.h>
#include <stile/macros.h>
#include <stile/report.h>

STILE_BEGIN_DECLS

/**
 * An opened backend: it allocates and imports memory and watches fences.
 *
 * One owner: stile_device_open(), stile_device_destroy(). Buffers and images
 * keep what they need of it alive. A child made by fork has none of its
 * threads, and may find its locks held for ever: all that the child should do
 * is exec or _exit; see docs/fork.md.
 * Thread-safety: internal; stile_device_destroy() external.
 */
struct stile_device;

/** Flags of struct stile_device_info. */
enum {
	/**
	 * No thread of the library watches descriptors that carry fences; the
	 * caller's event loop does, by stile_device_get_fd() and
	 * stile_device_dispatch(). Callbacks and notifications of such fences
	 * come from dispatch. stile_fence_wait() looks at the descriptor
	 * itself, so it works on the loop's own thread; stile_fence_wait_any()
	 * and waits for containers sleep until somebody dispatches: on the only
	 * thread that does, they end with the deadline. Once the device is
	 * destroyed, its fences are ended by looks and by such waits only.
	 */
	STILE_DEVICE_CALLER_LOOP = 1u << 0,
};

/** How to open a device. */
struct stile_device_info {
	size_t size;      /**< sizeof(struct stile_device_info) */
	stile_log_fn log; /**< receives messages; NULL: silent */
	void *log_user;   /**< handed to log */
	uint32_t flags;   /**< STILE_DEVICE_... */
	/** What this backend is to be told, in words of `key=value`: see its
	 * header. Borrowed; NULL: nothing. */
	const char *options;
};

/**
 * The name of a backend that this library was built with, by number. Whether
 * it works on this machine is for stile_device_open() to say. Never blocks.
 *
 * @param index  from 0
 * @return a name for stile_device_open(), or NULL past the last one
 * @since 0.1
 */
STILE_API const char *stile_backend_get_name(size_t index);

/**
 * Open a backend.
 *
 * @param backend   its name, e.g. "swgpu"; borrowed
 * @param info      borrowed; NULL for the defaults
 * @param[out] out  the device, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  info->size is impossible, a flag is unknown, or an option
 *                  is not understood; the log says which
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -ENODEV  no such backend in this library, or the kernel lacks what it
 *                  needs; the log says what
 * @retval -EACCES  what it needs may not be opened by this user; the log says
 *                  who may
 * @retval -ENOENT  an option names something that is not there
 * @retval -EAGAIN  the system refused a thread
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_device_open(const char *backend,
	const struct stile_device_info *info, struct stile_device **out);

/**
 * Open the best backend that works on this machine. "dmabuf" with the heap
 * "system" is tried first, for every driver takes its memory; then "udmabuf",
 * whose memory they take, too, but in buffers of limited size; then "swgpu",
 * which opens anywhere, and whose memory only software drivers take. What
 * passes by, as want of descriptors, is no reason to take another one.
 *
 * The environment variable STILE_BACKEND=NAME or NAME:OPTIONS overrides that:
 * this one is opened, or none. Set but empty is as if not set, and programs with
 * more rights than their user do not read it.
 *
 * @param info      as for stile_device_open(); borrowed; NULL for the defaults.
 *                  Those not taken, and why, come at STILE_LOG_INFO
 * @param report    on success, too, its text says which one it is and why none
 *                  before it, e.g. "swgpu; dmabuf: no /dev/dma_heap; ...",
 *                  and the reason is STILE_REASON_NONE; may be NULL
 * @param[out] out  the device, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  options were given, info->size or report->size is impossible,
 *                  a flag is unknown, or the variable's options are not
 *                  understood
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -ENODEV  the variable names no backend of this library
 * @retval -ENOENT  what the variable wants is not there
 * @retval -EACCES  what the variable wants may not be opened
 * @retval -EAGAIN  the system refused a thread
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @retval other    what the variable wants does not open
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_device_open_best(
	const struct stile_device_info *info, struct stile_report *report,
	struct stile_device **out);

/**
 * Close a device. Work that has not begun is dropped: its fences end with
 * -ECANCELED. Blocks until the command that is being executed is done, and
 * until storage that is being moved has been, for which those who use it have
 * ten seconds.
 * Buffers and images made with it stay valid; notifications that were not
 * dispatched are taken back, pending ones too.
 *
 * @param device  the device to give up; NULL is ignored
 * @since 0.1
 */
STILE_API void stile_device_destroy(struct stile_device *device);

/** The backend's name. Borrowed, static. @since 0.1 */
STILE_API const char *stile_device_get_backend(
	const struct stile_device *device);

/**
 * The descriptor to put into an event loop: readable when
 * stile_device_dispatch() has something to do.
 *
 * @param device  borrowed
 * @return the descriptor; borrowed, the same for the life of the device
 * @since 0.1
 */
STILE_API int stile_device_get_fd(struct stile_device *device);

/**
 * Call the functions of all notifications that are due. Does not block, but
 * as long as those functions do. They may call Stile, and may destroy
 * anything but the device. With STILE_DEVICE_CALLER_LOOP, it first looks at
 * descriptors that have something to say, at most some hundred; what is left
 * keeps stile_device_get_fd() readable.
 *
 * @param device  borrowed
 * @return how many were called
 * @since 0.1
 */
STILE_API int stile_device_dispatch(struct stile_device *device);

STILE_END_DECLS

#endif
