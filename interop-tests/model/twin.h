/* SPDX-License-Identifier: MIT */
#ifndef MODEL_TWIN_H
#define MODEL_TWIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/fence.h>

#include "interop-tests/model/history.h"
#include "interop-tests/model/model.h"

/*
 * The library's fences, one for each number of the model's, and comparing the two. To look must not
 * change what is seen: a fence is asked only where the model says that asking has no effect; asking is
 * a step like others.
 */
struct twin {
	struct stile_fence *fence; /* NULL: the number is free */
	struct model_traits traits;
	bool work_done;
	bool released;
	bool has_deadlines; /* it has the op that is told */
	unsigned enable_count, deadline_count;
	int64_t deadline_ns; /* the last one */
	int lock;            /* which it shares; MODEL_NONE: its own */
	bool end_seen;       /* its time has been looked at */
	int64_t exact_ns;    /* when it has to have ended; 0: when the model says */
	int64_t ended_ns;    /* when it has ended */
};

extern struct twin twins[MODEL_FENCES];

/** While true signaled ops say no: nobody asks, we look. */
extern bool twins_muted;

/** What a plain fence can do: `how` of the step that makes it. */
enum {
	TWIN_CAN_ENABLE = 1u << 0,
	TWIN_ENABLING_ENDS = 1u << 1,
	TWIN_CAN_LOOK = 1u << 2,
	TWIN_FAILS = 1u << 3,
	TWIN_SEQNO64 = 1u << 4,
	TWIN_HAS_DEADLINE = 1u << 5,
};

/** Begin a new world, of the model as well. Complaints are counted from now on. */
void twins_reset(void);

/** Make one on both sides. `lock` NULL: its own. */
void twin_add_plain(int number, uint64_t context, uint64_t seqno, unsigned how,
	struct stile_lock *lock, int lock_number);
void twin_print_how(unsigned how);

bool twin_is_free(int number);
/** Ours to use: we have a reference. */
bool twin_is_usable(int number);
bool twin_is_container(int number);
/** A plain one to which somebody has a reference. */
bool twin_is_plain_alive(int number);

/** On both sides. */
void twin_ref(int number);
void twin_unref(int number);

/** An error that a step's number stands for, one of those that F-14 allows. */
int twin_error(uint64_t number);

/** One that `fits`, MODEL_NONE if there is none. Only to make steps. */
int twin_pick(bool (*fits)(int number));

/** How many complaints there were, and the last one. */
unsigned twins_told(void);
const char *twins_told_text(void);

void twin_compare(int64_t got, int64_t wanted, const char *what, int number);
/** `wanted` may be MODEL_NONE: NULL. */
void twin_compare_fence(const struct stile_fence *got, int wanted, const char *what);
/** What was released and what the model says; `may_live` as model_may_live(). */
void twins_compare_releases(bool (*may_live)(int number));
/** The status and what the implementer was asked for, without asking. */
void twins_compare_standings(void);
/** Numbers of what the model has forgotten are free again. */
void twins_forget(void);

#endif
