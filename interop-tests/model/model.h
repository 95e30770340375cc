/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What fences, arrays, chains and merges have to do: the rules of docs/kernel-contract.md (F-.., A-..,
 * C-.., U-..) written down once more, slowly and plainly. One thread, one world, no time, no Stile.
 *
 * Fences are numbers below MODEL_FENCES, chosen by the caller. "Asking" is what F-12 means by it: a
 * look that may end the fence. Whoever collects what is done, and when, is left open by C-4; so
 * there are two answers to who is alive: model_must_live() and model_may_live().
 */
enum {
	MODEL_FENCES = 64,
	MODEL_MEMBERS = 6,
	MODEL_CALLBACKS = 48, /* the user's */
	MODEL_LEAVES = 512,
	MODEL_NONE = -1,
};

enum model_kind { MODEL_NOTHING, MODEL_PLAIN, MODEL_ARRAY, MODEL_CHAIN, MODEL_STUB };

/** How the implementer of a plain fence behaves. */
struct model_traits {
	bool can_enable;  /* it has an enable_signaling op... */
	bool enable_ends; /* ...which says that the work is done already */
	bool can_look;    /* it has a signaled op, which tells of model_finish_work() */
	int error;        /* which either of them sets first; 0: none */
};

/** A callback that has run. */
struct model_run {
	int fence;
	int callback;
	int status; /* of the fence, as the callback sees it */
};

/** Fences of one context of which none is later than another: any may stand for it. */
struct model_group {
	uint64_t context;
	size_t count;
	int fences[MODEL_FENCES];
};

/** What a merge has to give. */
struct model_merge {
	size_t done_count, group_count;
	int done[MODEL_LEAVES]; /* leaves that are done */
	struct model_group groups[MODEL_FENCES];
};

/** Begin a new world. */
void model_reset(void);

void model_add_plain(
	int fence, uint64_t context, uint64_t seqno, bool seqno64, struct model_traits traits);
void model_add_stub(int fence);
/** 0 or -EINVAL. The members are borrowed. */
int model_add_array(
	int fence, const int *members, size_t count, bool any, uint64_t context, uint64_t seqno);
/** Does an element with these join the context of what comes before? */
bool model_chain_joins(int prev, uint64_t seqno);
/** `prev` may be MODEL_NONE; `new_context` is used if it does not join. Both are borrowed. */
void model_add_chain(int fence, int prev, int contained, uint64_t seqno, uint64_t new_context);

enum model_kind model_kind(int fence);
uint64_t model_context(int fence);
uint64_t model_seqno(int fence);
bool model_has_ended(int fence);
/** 0, 1 or an error, without asking. */
int model_status(int fence);
/** The same as it would be after asking a plain one. */
int model_status_if_asked(int fence);
bool model_is_enabled(int fence);
/** How often the enable_signaling op has been called. */
unsigned model_enable_count(int fence);
/** Whether the fence has a callback of the user's that does not hold a reference. */
bool model_is_listened_to(int fence);
/** Which fence it waits for; MODEL_NONE: it is not queued. */
int model_callback_fence(int callback);
const int *model_members(int fence, size_t *count);
int model_contained(int fence);

/** References of the user's, without those of callbacks. */
int model_refs(int fence);
void model_ref(int fence);
void model_unref(int fence);

void model_finish_work(int fence);
/** 0 or -EALREADY. */
int model_set_error(int fence, int error);
/** Was it signalled before? */
bool model_signal(int fence);
/** Deferred work waits from model_lock() to model_unlock(). */
void model_lock(void);
void model_unlock(void);
bool model_is_signaled(int fence);
void model_enable_signaling(int fence);
/** 0 or -ENOENT. `holds`: it has a reference, which it drops when it runs. */
int model_add_callback(int fence, int callback, bool holds);
bool model_remove_callback(int callback);
/** With a deadline of 0. 0 or -ETIME. */
int model_wait(int fence);
int model_wait_any(const int *fences, size_t count, size_t *index);

/** The one before, with a reference, or MODEL_NONE; the one of `fence` is given up. */
int model_walk(int fence);
/** 0 or -EINVAL. The reference moves along. */
int model_find_seqno(int *fence, uint64_t seqno);
/** At most `limit` leaves, into `leaves`; how many. */
size_t model_unwrap(int fence, int *leaves, size_t limit);
bool model_is_later(int fence, int other);
bool model_is_later_or_same(int fence, int other);
/** MODEL_NONE: none. */
int model_get_later(int fence, int other);
bool model_match_context(int fence, uint64_t context);
/** Groups in the order of their contexts; how many. */
size_t model_dedup(const int *fences, size_t count, struct model_group *groups);
/** MODEL_NONE stands for NULL. */
void model_merge(const int *fences, size_t count, struct model_merge *merge);

/** Callbacks that have run since the last model_forget_runs(). */
const struct model_run *model_runs(size_t *count);
void model_forget_runs(void);
/** Mistakes of the user's that have to be told. */
unsigned model_told(void);

/** End what was abandoned (F-20), then find out who lives. Between two steps. */
void model_settle(void);
bool model_must_live(int fence);
bool model_may_live(int fence);
/** May anything but the user's own references hold it? */
bool model_is_held(int fence);
/** It was seen to be gone, and so is what may have held it; their numbers are free again. */
void model_forget(int fence);

#endif
