/* SPDX-License-Identifier: MIT */
#ifndef STILE_ACCESS_H
#define STILE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/carrier.h>
#include <stile/format.h>
#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_buffer;
struct stile_cancel;
struct stile_fence;
struct stile_image;
struct stile_resv;

/** How an image is going to be used. */
struct stile_access_info {
	size_t size;    /**< sizeof(struct stile_access_info) */
	uint32_t usage; /**< STILE_USAGE_*, which the image allows */
	/**
	 * The fence context of the queue that does the work, whose own earlier
	 * work it comes after anyway; 0: none.
	 */
	uint64_t context;
	const char
		*name; /**< for messages; borrowed until the end; may be NULL */
	/**
	 * What to do at the end if the kernel should hear of the fence, and cannot
	 * have it: the image is in dma-bufs that others know.
	 */
	enum stile_user_fences user_fences;
};

/** How many fences need no memory beyond struct stile_access. */
enum { STILE_ACCESS_FEW = 8 };

/**
 * One use of an image, by a queue or by the CPU.
 *
 *     stile_access_begin(image, &info, &access);
 *     for (i = 0; i < access.count; i++) { have the queue wait for access.fences[i] }
 *     submit the work, and make a fence of it
 *     stile_access_end(&access, fence);     or, if the submit failed,
 *     stile_access_cancel(&access);
 *
 * Nobody who hears of the fence may begin before the end was said. A CPU that
 * uses an image by an access needs no stile_buffer_begin_cpu_access() as well.
 *
 * A CPU that uses a dma-buf puts brackets around as well: a cache of a device's
 * is the kernel's affair.
 *
 * In the caller's memory, which stays until the end. `count` and `fences` are
 * public, the other fields private. No lock is held between begin and end: if
 * several threads use an image at once, they agree on the order by themselves;
 * in debug builds, uses that contradict each other are told
 * (stile_check_set_handler()), as are all other mistakes in the sequence above.
 *
 * Of images in dma-bufs of which somebody else has a descriptor, the kernel knows
 * users too, processes without Stile among them: the beginning waits for those
 * as well, and the end lets the kernel know of the fence (implicit
 * synchronisation, KERNEL_CONTRACT D-6 and D-7), as far as it can have it:
 * `user_fences`, `path`.
 *
 * Thread-safety: external.
 */
struct stile_access {
	size_t count;                /**< how many fences to wait for */
	struct stile_fence **fences; /**< borrowed, until the end */
	/**
	 * Of how many buffers the kernel knew users that were not done. Among
	 * them may be our own, which come back as if they were others': then the
	 * work waits for something twice.
	 */
	uint32_t from_kernel;
	/** From the end on: how those outside of the process were told. */
	struct stile_path path;
	struct stile_image *image;
	struct stile_resv *resvs[STILE_MAX_PLANES];
	uint32_t resv_count;
	struct stile_buffer *buffers[STILE_MAX_PLANES];
	uint32_t buffer_count;
	uint32_t usage;
	uint32_t user_fences;
	uint32_t state;
	bool noted;
	int32_t error;
	struct stile_fence *few[STILE_ACCESS_FEW];
};

/**
 * Begin to use an image: says what the work has to wait for. That is the
 * least: who reads does not wait for readers, nobody waits for what the same
 * queue did before or for what is done, and of each other queue only the last
 * fence counts. All planes are looked at at one moment. Blocks while others
 * have the reservations of the planes locked, never for a fence; may block for
 * memory.
 *
 * @param image        borrowed; a reference is kept until the end
 * @param info         borrowed
 * @param[out] access  what to wait for; on failure nothing was begun
 *
 * @retval 0        begun
 * @retval -EINVAL  no or unknown usage or choice, info->size is impossible, or
 *                  misuse: the caller has a reservation of the image locked
 * @retval -E2BIG   info is newer than the library and uses fields it does not
 *                  know
 * @retval -EACCES  the image does not allow the usage
 * @retval -EAGAIN  of dma-bufs, the system refused a thread
 * @retval -ECHILD  of dma-bufs, in a child made by fork
 * @retval -EMFILE  of dma-bufs, the process has no descriptor left
 * @retval -ENFILE  of dma-bufs, the system has no descriptor left
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_access_begin(struct stile_image *image,
	const struct stile_access_info *info, struct stile_access *access);

/**
 * End it: the next user waits for the fence. Cannot fail for a fence that is
 * no container, where nobody outside has to be told. Blocks as
 * stile_access_begin(), and with STILE_USER_FENCES_WAIT perhaps for the fence,
 * for 10 s at most.
 *
 * @param access  borrowed; the fences to wait for are given up
 * @param fence   of the work; borrowed, references are kept; of an array or
 *                chain, what it is made of. NULL: the work is done already
 *
 * @retval 0        ended
 * @retval -EINVAL  misuse: it was not begun, or has ended, or the caller has a
 *                  reservation of the image locked
 * @retval -ENOMEM  out of memory, only if the fence is a container, or the
 *                  kernel's; it has not ended: wait for the fence, and end it
 *                  with NULL
 * @retval -EOPNOTSUPP  the kernel cannot have the fence, and that was to be
 *                  refused (STILE_USER_FENCES_REFUSE); it has not ended
 * @retval -ETIME   the fence was waited for, and did not end in 10 s; the access
 *                  has not ended
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_access_end(
	struct stile_access *access, struct stile_fence *fence);

/**
 * End it without any work having been done: the submit failed. Blocks as
 * stile_access_begin(). If the caller has a reservation of the image locked,
 * that is a misuse, which is told, and the access stays open.
 *
 * @param access  borrowed
 * @since 0.1
 */
STILE_API void stile_access_cancel(struct stile_access *access);

/**
 * Have the calling thread wait for all that the access waits for.
 *
 * @param access       borrowed, begun
 * @param deadline_ns  absolute CLOCK_MONOTONIC time; 0 polls, INT64_MAX waits
 *                     for ever
 * @param cancel       may end the wait; borrowed; may be NULL
 *
 * @retval 0        go on; how the work ended: stile_access_get_error()
 * @retval -ETIME   some of it is still going on
 * @retval -EINTR   cancelled before
 * @retval -EINVAL  the deadline is negative
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_access_wait(struct stile_access *access,
	int64_t deadline_ns, struct stile_cancel *cancel);

/**
 * Did something go wrong with the image before? Looks at the last write of each
 * plane, as far as it is done. Blocks as stile_access_begin().
 *
 * @param access  borrowed, begun
 *
 * @retval 0         not as far as is known
 * @retval negative  the first error that was found: what is in the image is
 *                   not what it should be; -EDEADLK also for a misuse, the
 *                   caller has a reservation of the image locked
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_access_get_error(
	const struct stile_access *access);

/**
 * Say that a fence is waited for in a way that Stile does not see, such as by a
 * semaphore of the application's own; what Stile does itself it says itself.
 * So that it is not taken for a mistake. Never blocks.
 *
 * @param fence  borrowed
 * @since 0.1
 */
STILE_API void stile_access_note_wait(struct stile_fence *fence);

STILE_END_DECLS

#endif
