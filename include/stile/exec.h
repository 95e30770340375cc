/* SPDX-License-Identifier: MIT */
#ifndef STILE_EXEC_H
#define STILE_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/macros.h>
#include <stile/resv.h>

STILE_BEGIN_DECLS

/** Flags of stile_exec_init(). */
enum {
	/** To lock a reservation twice is no mistake. */
	STILE_EXEC_IGNORE_DUPLICATES = 1u << 0,
};

/** How many reservations need no memory beyond struct stile_exec. */
enum { STILE_EXEC_FEW = 8 };

/**
 * Locks any set of reservations, in any order, without a dead-lock.
 *
 *     struct stile_exec exec;
 *     stile_exec_init(&exec, 0, NULL);
 *     int ret = 0;
 *     while (stile_exec_retry(&exec)) {
 *         ret = stile_exec_prepare(&exec, a, 1);
 *         if (ret == 0) {
 *             ret = stile_exec_prepare(&exec, b, 1);
 *         }
 *         if (ret < 0 && ret != -EDEADLK) {
 *             break;
 *         }
 *     }
 *     if (ret == 0) { ... add fences ... }
 *     stile_exec_fini(&exec);
 *
 * The body of the loop may run several times, each time with nothing locked
 * at its beginning: it keeps nothing from the last time. In the caller's
 * memory; the fields are private.
 *
 * Thread-safety: external: one thread.
 */
struct stile_exec {
	struct stile_ww_acquire acquire;
	struct stile_cancel *cancel;
	struct stile_resv **locked;
	struct stile_resv *contended;
	struct stile_resv *prelocked;
	uint32_t count;
	uint32_t capacity;
	uint32_t flags;
	uint32_t state;
	struct stile_resv *few[STILE_EXEC_FEW];
};

/**
 * Begin. Never blocks.
 *
 * @param exec    memory for it; stays until stile_exec_fini()
 * @param flags   STILE_EXEC_...
 * @param cancel  may end waits; borrowed until the end; may be NULL
 * @since 0.1
 */
STILE_API void stile_exec_init(
	struct stile_exec *exec, uint32_t flags, struct stile_cancel *cancel);

/**
 * Has the body of the loop to run, for the first time, or again after
 * -EDEADLK? If not, all that it asked for is locked, and nothing else; or it
 * failed with another error. Never blocks.
 *
 * @param exec  borrowed
 * @since 0.1
 */
STILE_API bool stile_exec_retry(struct stile_exec *exec);

/**
 * Lock one, inside the loop; blocks while somebody else has it.
 *
 * @param exec  borrowed
 * @param resv  borrowed until the end
 *
 * @retval 0         locked
 * @retval -EDEADLK  go back to stile_exec_retry(), from where it goes on
 * @retval -EALREADY it is locked already, and STILE_EXEC_IGNORE_DUPLICATES was
 *                   not given
 * @retval -EINTR    cancelled
 * @retval -EINVAL   misuse: not inside the loop
 * @retval -ENOMEM   out of memory (more than STILE_EXEC_FEW need some)
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_exec_lock(
	struct stile_exec *exec, struct stile_resv *resv);

/**
 * Lock one and make room in it: stile_exec_lock(), then
 * stile_resv_reserve_fences(). Asked again for the same one, it is room for
 * `count` in all.
 *
 * @param exec   borrowed
 * @param resv   borrowed until the end
 * @param count  how many fences will be added; 0: none
 *
 * @retval 0       locked, with room
 * @retval other   as stile_exec_lock(), and stile_resv_reserve_fences(), after
 *                 which it stays locked if it was, and is not if it was not
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_exec_prepare(
	struct stile_exec *exec, struct stile_resv *resv, uint32_t count);

/**
 * The same for several.
 *
 * @param exec   borrowed
 * @param resvs  borrowed, each until the end
 * @param n      how many, may be 0
 * @param count  as stile_exec_prepare(), in each
 *
 * @retval 0      all are locked, with room
 * @retval other  as stile_exec_prepare(); those before stay locked
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_exec_prepare_all(struct stile_exec *exec,
	struct stile_resv *const *resvs, size_t n, uint32_t count);

/**
 * End: unlocks all.
 *
 * @param exec  borrowed; the memory is the caller's again
 * @since 0.1
 */
STILE_API void stile_exec_fini(struct stile_exec *exec);

STILE_END_DECLS

#endif
