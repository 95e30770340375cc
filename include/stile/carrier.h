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
	/** The kernel's sync_file, as drivers make them. */
	STILE_FD_SYNC_FILE = 2,
	/**
	 * An eventfd that becomes readable at the end, and is never read from.
	 * It cannot carry an error, nor the death of who owes the end.
	 */
	STILE_FD_EVENTFD = 3,
};

/** Flags of stile_fence_import_fd() and stile_fence_export_fd(). */
enum {
	/**
	 * The descriptor -1 stands for a fence that is signalled, as some APIs
	 * have it. Without it -1 is refused: mostly it is a mistake, which
	 * would drop a dependency.
	 */
	STILE_FD_ALLOW_SIGNALED = 1u << 0,
};

/** How a dependency crossed from one form to another, the best first. */
enum stile_path_kind {
	STILE_PATH_NONE = 0,     /**< nothing to wait for: it was signalled */
	STILE_PATH_HANDLE = 1,   /**< the object itself was passed on */
	STILE_PATH_KERNEL = 2,   /**< the kernel made another form of it */
	STILE_PATH_BRIDGE = 3,   /**< a library thread tells the other side */
	STILE_PATH_HELD = 4,     /**< what depends on it is kept back until it
	                              is signalled, by a library thread */
	STILE_PATH_CPU_WAIT = 5, /**< the calling thread waited */
};

/**
 * What to do about a fence that the kernel cannot have, since only a driver can
 * promise the kernel that work ends (KERNEL_CONTRACT X-2), where the kernel
 * should hear of it.
 */
enum stile_user_fences {
	/** The fence stays in this process, and what is submitted to the kernel
	 * through Stile is held until it is signalled. */
	STILE_USER_FENCES_HOLD = 0,
	STILE_USER_FENCES_WAIT = 1,   /**< the calling thread waits for it */
	STILE_USER_FENCES_REFUSE = 2, /**< -EOPNOTSUPP */
};

/** Report of a conversion; the caller sets `size`, the call the rest. */
struct stile_path {
	size_t size; /**< sizeof(struct stile_path) */
	enum stile_path_kind kind;
	int64_t blocked_ns; /**< measured: for how long the calling thread
	                                was held up by the wait; 0 if not at all */
};

/**
 * Take over a fence from a descriptor, mostly another process's. Never blocks.
 *
 * Of a kernel sync_file it becomes a finite fence. Of the others a
 * STILE_FENCE_USER one with the default expiry, whose owner is the process
 * that made the software sync file, or 0 for an eventfd. A software sync file
 * whose producer dies before it signals ends with -EOWNERDEAD; what cannot be
 * understood ends with -EBADMSG: silence and rubbish are never success.
 * The owner of one that is already over is not known.
 * stile_fence_set_deadline() reaches who made a kernel sync_file; for the
 * others there is no way back, the hint is dropped.
 *
 * stile_fence_wait() looks at the descriptor itself. For callbacks, a thread of
 * the device watches it, or the caller's loop does (STILE_DEVICE_CALLER_LOOP).
 * In a child made by fork nobody does: there, the first callback ends the
 * child's copy of the fence with -ECHILD, and nothing calls back for one that
 * was watched before the fork.
 *
 * @param device    borrowed; may be destroyed before the fence, which then
 *                  goes on to work
 * @param kind      what the descriptor is
 * @param flags     STILE_FD_ALLOW_SIGNALED or 0
 * @param fd        borrowed, never closed; duplicated
 * @param[out] out  new reference, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EBADF   fd is not an open descriptor
 * @retval -EINVAL  unknown kind or flags, or the descriptor is not of this kind
 * @retval -EAGAIN  the system refused a thread
 * @retval -ECHILD  the device was opened, and watches, in the process that
 *                  forked this one
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_import_fd(
	struct stile_device *device, enum stile_fd_kind kind, uint32_t flags,
	int fd, struct stile_fence **out);

/**
 * Make a descriptor that another process can wait for. Never blocks.
 *
 * It becomes readable when the fence is signalled and stays so.
 *
 * A software sync file also tells the end of this process; a pending fence that
 * came from one gives that one again. An eventfd (non-blocking) gets 1 added,
 * however the fence ends later on: use it only where that does not matter. A
 * kernel sync_file can be made only of what the kernel knows: of a fence that
 * came from one, or of a container of which all pending leaves did (an array
 * that ends with any member then becomes one that ends with all).
 *
 * @param fence      borrowed; the descriptor follows it without keeping it
 *                   alive: see stile_fence_unref() for what happens when the
 *                   last reference goes
 * @param kind       what to make
 * @param flags      STILE_FD_ALLOW_SIGNALED: of a fence that has succeeded,
 *                   make no descriptor, but give -1; or 0
 * @param[out] path  how it crosses; may be NULL
 * @param[out] fd    new descriptor, CLOEXEC, the caller's; -1 on failure
 *
 * @retval 0        *fd is valid, or -1 as allowed
 * @retval -EINVAL  unknown kind or flags, or path->size is impossible
 * @retval -EOPNOTSUPP the kind cannot carry it: an eventfd a fence that has
 *                  failed; a kernel sync_file one that is not the kernel's, has
 *                  failed in part, or is signalled without -1 being allowed
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
