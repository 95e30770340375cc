/* SPDX-License-Identifier: MIT */
#ifndef MODEL_RESV_MODEL_H
#define MODEL_RESV_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What reservations and their locks have to do: the rules R-.., M-.. and D-2 of docs/kernel-contract.md
 * written down once more, slowly and plainly, on top of the fences of model.h. One thread: nobody waits.
 *
 * Each reference that a reservation or an iterator has is one of model_refs(). Where a rule leaves
 * something open, the answer of the library is an argument, `got`; what comes back differs from it only
 * if it is wrong all the same.
 */
enum {
	RESV_MODEL_RESVS = 4,
	RESV_MODEL_ENTRIES = 64,
	RESV_MODEL_ITERS = 3,
};

enum resv_model_usage {
	RESV_MODEL_KERNEL,
	RESV_MODEL_WRITE,
	RESV_MODEL_READ,
	RESV_MODEL_BOOKKEEP,
	RESV_MODEL_USAGES,
};

/** What a reservation is locked with. */
enum resv_model_with {
	RESV_MODEL_ALONE,
	RESV_MODEL_CONTEXT, /* the only one */
	RESV_MODEL_FOREIGN, /* one of another class */
};

enum resv_model_context {
	RESV_MODEL_NO_CONTEXT,
	RESV_MODEL_LIVE,
	RESV_MODEL_DONE,
	RESV_MODEL_ENDED
};

/** Does an entry belong to the last write: stile_resv_get_error()? */
enum resv_model_part {
	RESV_MODEL_NO_PART,
	RESV_MODEL_HEIR, /* it took the place of one while that was pending: nobody says */
	RESV_MODEL_PART,
};

struct resv_model_entry {
	int fence;
	int usage;
	enum resv_model_part part;
};

/** Begin a new world, after model_reset(): nothing is locked, there are no fences. */
void resv_model_reset(void);
/** Does the library look for rooms that are void? As it does at the beginning. */
void resv_model_set_checks(bool on);
/** M-15, for contexts from now on. */
void resv_model_set_injection(bool on);

/* ---- Locks: the mutexes of section 7 ------------------------------------------------------ */

void resv_model_acquire_init(void);
void resv_model_acquire_done(void);
void resv_model_acquire_skip(void);
void resv_model_acquire_fini(void);
enum resv_model_context resv_model_context(void);
/** How many it has; which it has to take first, or MODEL_NONE. */
int resv_model_acquired(void);
int resv_model_contended(void);

/** 0, -EALREADY, -EDEADLK or -EINVAL. Must not be one for which it would wait for ever. */
int resv_model_lock(int resv, enum resv_model_with with);
int resv_model_lock_slow(int resv);
/** 0 or -EBUSY. */
int resv_model_trylock(int resv);
void resv_model_unlock(int resv);
bool resv_model_is_locked(int resv);
/** With the context? */
bool resv_model_has_context(int resv);

/* ---- With the lock ------------------------------------------------------------------------ */

void resv_model_fini(int resv);
/** May, must reserving make another list? */
bool resv_model_may_grow(int resv, uint32_t count);
bool resv_model_must_grow(int resv, uint32_t count);
/** 0, -EINVAL or -ENOMEM. `grows`: it has made one; `refused`: there was no memory. */
int resv_model_reserve(int resv, uint32_t count, bool grows, bool refused);
/** 0, -EINVAL or -ENOSPC. */
int resv_model_add(int resv, int fence, int usage, int got);
/** 0 or -EINVAL. */
int resv_model_replace(int resv, uint64_t context, int fence, int usage);
/** 0, -EINVAL or -ENOMEM. */
int resv_model_copy(int resv, int other, bool refused);
/** May this be how the last write went? */
bool resv_model_get_error(int resv, int got);
const struct resv_model_entry *resv_model_entries(int resv, size_t *count);

/* ---- With or without ---------------------------------------------------------------------- */

/** 0 or -EINVAL. */
int resv_model_check_usage(int usage);
/** Those that are pending, of this usage or above it; how many. */
size_t resv_model_get_fences(int resv, int usage, int *fences);
bool resv_model_test_signaled(int resv, int usage);
/** 0, -ETIME or -EINTR, with a deadline that is over; -EINVAL with one that is negative. */
int resv_model_wait(int resv, int usage, int64_t deadline_ns, bool cancelled);
void resv_model_set_deadline(int resv, int usage, int64_t deadline_ns);
/** How often the fence was told, and the last one. */
unsigned resv_model_deadline_count(int fence);
int64_t resv_model_deadline(int fence);

void resv_model_iter_begin(int iter, int resv, int usage);
/** The next that is pending, or MODEL_NONE: that was all. */
int resv_model_iter_next(int iter, int *usage, bool *restarted);
void resv_model_iter_end(int iter);
/** Of which reservation; MODEL_NONE: it is not open. */
int resv_model_iter_resv(int iter);
bool resv_model_iter_is_over(int iter);

/* ---- Without asking ----------------------------------------------------------------------- */

/** As resv_model_get_fences(), but nobody is asked. */
size_t resv_model_pending(int resv, int usage, int *fences);

/** D-2, D-3: from now on somebody has to listen to what is pending. */
void resv_model_poll(int resv);
bool resv_model_is_polled(int resv);
/** How many references polls may have to the fence; if any, they may have enabled it as well. */
int resv_model_poll_refs(int fence);
/** Since the step began it may have been asked, or not. */
bool resv_model_may_be_asked(int fence);
/** So may all that are in it. */
void resv_model_may_ask(int resv);
/** At the end of a step. */
void resv_model_settle(void);

/** Mistakes of the user's that have to be told, and those that may be. */
unsigned resv_model_told(void);
unsigned resv_model_perhaps_told(void);

#endif
