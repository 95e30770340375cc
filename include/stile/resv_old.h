/* SPDX-License-Identifier: MIT */
#ifndef STILE_RESV_OLD_H
#define STILE_RESV_OLD_H

/*
 * The exclusive and the shared fences of reservations, as documents and
 * drivers of up to about 2018 have them, in terms of resv.h; for code that is
 * ported from there. It differs from what was then:
 *
 *  - A write does not make the reservation forget the readers, nor another
 *    queue's write: all are there until they are done.
 *  - A fence is only replaced by a later one of its context.
 *  - "Exclusive" may be several fences; the getters give one for all of them.
 *  - Nothing retries: readers without the lock see one moment.
 *
 * With the lock where resv.h wants it. The values returned are those of the
 * functions that are called.
 */

#include <stddef.h>

#include <stile/resv.h>

STILE_BEGIN_DECLS

/** Room for one shared fence. */
STILE_MUST_CHECK static inline int stile_resv_reserve_shared(
	struct stile_resv *resv) {
	return stile_resv_reserve_fences(resv, 1);
}

/** Of a reader; after stile_resv_reserve_shared(). */
STILE_MUST_CHECK static inline int stile_resv_add_shared_fence(
	struct stile_resv *resv, struct stile_fence *fence) {
	return stile_resv_add_fence(resv, fence, STILE_RESV_READ);
}

/**
 * Of a writer; needed no room then, and so makes it here: -ENOMEM is new. NULL
 * was "nobody writes", for which nothing has to be said.
 */
STILE_MUST_CHECK static inline int stile_resv_add_excl_fence(
	struct stile_resv *resv, struct stile_fence *fence) {
	int ret = 0;
	if (fence != NULL) {
		/* What was reserved for a shared one is still there afterwards. */
		ret = stile_resv_reserve_fences(resv, 2);
	}
	if (ret == 0 && fence != NULL) {
		ret = stile_resv_add_fence(resv, fence, STILE_RESV_WRITE);
	}
	return ret;
}

/** What the exclusive fence was: a new reference, or NULL. */
STILE_MUST_CHECK static inline int stile_resv_get_excl_fence(
	struct stile_resv *resv, struct stile_fence **out) {
	return stile_resv_get_singleton(resv, STILE_RESV_WRITE, out);
}

/** Wait for the exclusive fence, or (`wait_all`) for the shared ones too. */
STILE_MUST_CHECK static inline int stile_resv_wait_old(struct stile_resv *resv,
	bool wait_all, int64_t deadline_ns, struct stile_cancel *cancel) {
	return stile_resv_wait(
		resv, stile_resv_usage_rw(wait_all), deadline_ns, cancel);
}

/** The same question without waiting. */
static inline bool stile_resv_test_signaled_old(
	struct stile_resv *resv, bool test_all) {
	return stile_resv_test_signaled(resv, stile_resv_usage_rw(test_all));
}

STILE_END_DECLS

#endif
