/* SPDX-License-Identifier: MIT */
#ifndef SRC_GRAPH_H
#define SRC_GRAPH_H

/* Who waits for whom, as the library itself records it; told in graph.c. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/graph.h>

#include "src/check.h"
#include "src/handoff.h"

struct stile_timeline;

enum { GRAPH_LABEL_BYTES = 64 };

/* ---- Fences -------------------------------------------------------------------------------- */

void graph_record(
	struct stile_fence *waiter, struct stile_fence *dep, const char *label, const void *place);

/**
 * The work of one fence waits for another one. The caller has references on both, perhaps locks.
 *
 * @param label  what makes it wait: `access "draw" to image "A"`; copied
 * @param place  who is to blame; a return address, or NULL
 */
static inline void graph_add_edge_at(
	struct stile_fence *waiter, struct stile_fence *dep, const char *label, const void *place) {
	if (check_is_on()) {
		graph_record(waiter, dep, label, place);
	}
}

/** The same in a public function, to blame its caller. */
__attribute__((always_inline)) static inline void graph_add_edge(
	struct stile_fence *waiter, struct stile_fence *dep, const char *label) {
	graph_add_edge_at(waiter, dep, label, __builtin_return_address(0));
}

/** A fence with STATE_GRAPH is about to be released. */
void graph_forget(struct stile_fence *fence);

/* ---- Threads and eventfds ------------------------------------------------------------------ */

/** Who waits, if it is no fence. */
struct graph_who {
	int thread; /* its id; 0: it is an eventfd */
	int fd;
	char name[16]; /* of the thread */
	int64_t since_ns;
	const void *place; /* who asked for it */
	bool any;          /* one fence of several is enough */
};

/** One that waits, in the memory of whoever does. Zeroed but for what is waited for, and who. */
struct graph_wait {
	struct graph_who who; /* `place` and `any` or `fd` are given */
	struct stile_fence *const *fences;
	size_t count;
	struct stile_timeline *timeline; /* instead of fences: a point; its memory stays */
	uint64_t value;

	int64_t until_ns;    /* of a thread: how long to sleep now */
	int64_t deadline_ns; /* and at most */
	bool is_watched;
	uint32_t family; /* which process's list it is in; 0: none */
	struct graph_wait *next;
	struct graph_wait **link; /* what points to it */
};

void graph_list_thread(struct graph_wait *wait);
void graph_list_eventfd(struct graph_wait *wait);
void graph_unlist(struct graph_wait *wait);
bool graph_go_on(struct graph_wait *wait, int ret);

/**
 * Around a wait of a thread, which can be taken up again after a time-out:
 *
 *     graph_wait_begin(&seen, deadline_ns);
 *     do {
 *             ret = wait_for_it(..., seen.until_ns);
 *     } while (graph_wait_goes_on(&seen, ret));
 *
 * @param deadline_ns  above 0
 */
static inline void graph_wait_begin(struct graph_wait *wait, int64_t deadline_ns) {
	wait->until_ns = deadline_ns;
	if (check_is_on()) {
		graph_list_thread(wait);
	}
}

static inline bool graph_wait_goes_on(struct graph_wait *wait, int ret) {
	return wait->family != 0 && graph_go_on(wait, ret);
}

/** The wait has succeeded: the handoff validator hears of it. `found`: of any, which one. */
static inline void graph_wait_succeeded(const struct graph_wait *wait, size_t found) {
	for (size_t i = 0; check_is_on() && i < wait->count; i++) {
		if (!wait->who.any || i == found) {
			handoff_wait(wait->fences[i], wait->who.place);
		}
	}
}

/** Around the time in which an eventfd is to be told. */
static inline void graph_eventfd_begin(struct graph_wait *wait) {
	if (check_is_on()) {
		graph_list_eventfd(wait);
	}
}

static inline void graph_eventfd_end(struct graph_wait *wait) {
	if (wait->family != 0) {
		graph_unlist(wait);
	}
}

/* ---- A copy of it, for graph_draw.c -------------------------------------------------------- */

enum graph_kind { GRAPH_WAITER, GRAPH_POINT, GRAPH_FENCE };

/** What waits, or is waited for. */
struct graph_end {
	enum graph_kind kind;
	/* The wait, its address only; the timeline, held; the fence, referenced. NULL: it has gone. */
	void *object;
	uint64_t value; /* of a point */
	struct graph_who who;
};

struct graph_link {
	struct graph_end from;
	struct graph_end to;
	char label[GRAPH_LABEL_BYTES];
	const void *place; /* NULL: unknown */
};

struct graph_copy {
	struct graph_link *links;
	size_t count;
	uint64_t missing; /* what there was no room to record */
};

/** 0 or -ENOMEM; then there is none. */
int graph_copy(struct graph_copy *copy);
void graph_copy_drop(struct graph_copy *copy);

/** stile_graph_describe(). `told`: the text is about this wait; may be NULL. */
int graph_draw(enum stile_graph_format format, const struct graph_wait *told, char **text);

#endif
