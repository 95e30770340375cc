/* SPDX-License-Identifier: MIT */
#ifndef STILE_CARRIER_H
#define STILE_CARRIER_H

#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_device;
struct stile_fence;

/** What a descriptor that carries a fence is. It cannot be told by looking. */
enum stile_fd_kind {
	/**
	 * A software sync file: one end of a socket through which the process
	 * that owes the work tells its end, or by dying tells that it won't.
	 */
	STILE_FD_SOFTWARE_SYNC_FILE = 1,
};

/** How a dependency crossed from one form to another, the best first. */
enum stile_path_kind {
	STILE_PATH_NONE = 0,     /**< nothing to wait for: it was signalled */
	STILE_PATH_HANDLE = 1,   /**< the object itself was passed on */
	STILE_PATH_BRIDGE = 2,   /**< a library thread tells the other side */
	STILE_PATH_CPU_WAIT = 3, /**< the calling thread waited */
};

/** Report of a conversion; the caller sets `size`, the call the rest. */
struct stile_path {
	size_t size; /**< sizeof(struct stile_path) */
	enum stile_path_kind kind;
	int64_t blocked_ns; /**< measured: for how long the calling thread
	                                was held up by the wait; 0 if not at all */
};

/**
 * Take over a fence from a descriptor, mostly another process's.
 *
 * A fence whose producer dies before it signals ends with -EOWNERDEAD; what
 * cannot be understood ends it with -EBADMSG: silence and rubbish are never
 * success. A thread of the device watches the descriptor from the first wait
 * or callback on. A child made by fork has no such thread: there, the first
 * wait ends the child's copy of the fence with -ECHILD; one that was watched
 * before the fork can only be looked at, by stile_fence_get_status(): a wait
 * for it ends with its deadline. Never blocks.
 *
 * @param device    borrowed; may be destroyed before the fence, which then
 *                  goes on to work
 * @param kind      what the descriptor is
 * @param fd        borrowed, never closed; duplicated
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EBADF   fd is not an open descriptor
 * @retval -EINVAL  unknown kind, or the descriptor is not of this kind
 * @retval -EAGAIN  the system refused a thread
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_import_fd(
	struct stile_device *device, enum stile_fd_kind kind, int fd,
	struct stile_fence **out);

/**
 * Make a descriptor that another process can wait for.
 *
 * It becomes readable when the fence is signalled and stays so. If this
 * process ends first, the other side learns that. A pending fence that came
 * from such a descriptor itself gives that one again. Never blocks.
 *
 * @param fence      borrowed; the descriptor follows it without keeping it
 *                   alive: see stile_fence_unref() for what happens when the
 *                   last reference goes
 * @param kind       what to make
 * @param flags      0
 * @param[out] path  how it crosses; may be NULL
 * @param[out] fd    new descriptor, CLOEXEC, the caller's; -1 on failure
 *
 * @retval 0        *fd is valid
 * @retval -EINVAL  unknown kind or flags, or path->size is impossible
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_export_fd(struct stile_fence *fence,
	enum stile_fd_kind kind, uint32_t flags, struct stile_path *path,
	int *fd);

STILE_END_DECLS

#endif
