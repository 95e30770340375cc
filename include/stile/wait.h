/* SPDX-License-Identifier: MIT */
#ifndef STILE_WAIT_H
#define STILE_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>

STILE_BEGIN_DECLS

struct stile_fence;

/**
 * What lets other threads, or a signal handler, interrupt waits. In the
 * caller's memory; the fields are private. Many waits may use one.
 *
 * Thread-safety: internal; stile_cancel_init() external.
 */
struct stile_cancel {
	uint32_t word;
};

/** Make one that is not raised. @since 0.1 */
STILE_API void stile_cancel_init(struct stile_cancel *cancel);

/**
 * Have all waits that use it, and all that will, give -EINTR. Never blocks;
 * may be called from a signal handler.
 *
 * @param cancel  borrowed
 * @since 0.1
 */
STILE_API void stile_cancel_raise(struct stile_cancel *cancel);

/** Was it raised? @since 0.1 */
STILE_API bool stile_cancel_is_raised(const struct stile_cancel *cancel);

/**
 * Wait until the fence is signalled. Success says that the work has ended,
 * not how: see stile_fence_get_status().
 *
 * @param fence        borrowed
 * @param deadline_ns  absolute CLOCK_MONOTONIC time; 0 polls, INT64_MAX waits
 *                     for ever
 *
 * @retval 0       signalled
 * @retval -ETIME  not by then
 * @retval -EINVAL the deadline is negative
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_wait(
	struct stile_fence *fence, int64_t deadline_ns);

/**
 * Wait until one of several fences is signalled.
 *
 * @param fences       borrowed, and each fence; the same one may be there twice
 * @param count        how many, at least 1
 * @param deadline_ns  as stile_fence_wait(); 0 looks without asking anybody to
 *                     signal
 * @param cancel       may end the wait; borrowed; may be NULL
 * @param[out] index   which one, the lowest; may be NULL; unchanged on failure
 *
 * @retval 0        one is signalled
 * @retval -ETIME   none by then
 * @retval -EINTR   cancelled before
 * @retval -EINVAL  no fence at all, or the deadline is negative
 * @retval -ENOMEM  out of memory (more than 64 fences need some)
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_wait_any(
	struct stile_fence *const *fences, size_t count, int64_t deadline_ns,
	struct stile_cancel *cancel, size_t *index);

/**
 * Wait until all of several fences are signalled.
 *
 * @param fences       borrowed, and each fence; the same one may be there twice
 * @param count        how many, at least 1
 * @param deadline_ns  as stile_fence_wait()
 * @param cancel       may end the wait; borrowed; may be NULL
 *
 * @retval 0        all are signalled
 * @retval -ETIME   some are not by then
 * @retval -EINTR   cancelled before
 * @retval -EINVAL  no fence at all, or the deadline is negative
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_fence_wait_all(
	struct stile_fence *const *fences, size_t count, int64_t deadline_ns,
	struct stile_cancel *cancel);

STILE_END_DECLS

#endif
