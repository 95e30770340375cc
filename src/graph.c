/* SPDX-License-Identifier: MIT */
/*
 * Who waits for whom: what is recorded of it. graph_draw.c makes it readable.
 *
 * Two lists. Waits of threads, and of eventfds that are to be told, are nodes in the waiter's own
 * memory, there as long as it waits. Edges, of fences whose work waits for other fences, are in a
 * fixed table: to record one must not allocate, since that is done where fences are owed. The table
 * has no references, so that lifetimes are the same with it and without. Instead, a fence in it has
 * a bit set in its state, and takes its edges out before its memory goes. So whatever is found in
 * the table under the lock can be looked at, and taken a reference of if it is not dying. Edges of
 * fences that have ended say nothing; they are dropped when there is no room.
 *
 * The lock is innermost: under it, nothing is called that takes a lock or drops a reference.
 */
#include "src/graph.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/fence.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/timeline.h"
#include "src/tree.h"

enum { EDGES = 4096 };

struct edge {
	struct tree_node by_waiter;
	struct tree_node by_dep;
	struct stile_fence *waiter; /* NULL: free */
	struct stile_fence *dep;
	const void *place;
	struct edge *next; /* of those that are free */
	char label[GRAPH_LABEL_BYTES];
};

static uint32_t lock;

/* All below is under the lock. */
static struct edge edges[EDGES];
static struct edge *free_edges; /* those that were in use */
static size_t fresh;            /* from here on, none was ever in use */
static size_t edge_count;
static struct tree by_waiter; /* by both fences */
static struct tree by_dep;    /* by that one only */
static uint64_t missing;      /* edges for which there was no room */

static struct graph_wait *waits; /* the one that began first comes first */
static struct graph_wait **waits_end = &waits;
static uint32_t family = 1; /* raised by a fork in the child: other nodes are the parent's */

static stile_graph_fn watch_fn;
static void *watch_user;
static int64_t watch_limit_ns;

/* ---- Edges; the lock is held but for the last ones ----------------------------------------- */

static int compare_fences(const struct stile_fence *a, const struct stile_fence *b) {
	return ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

static struct edge *edge_of_waiter(const struct tree_node *node) {
	return CONTAINER_OF(node, struct edge, by_waiter);
}

static struct edge *edge_of_dep(const struct tree_node *node) {
	return CONTAINER_OF(node, struct edge, by_dep);
}

static int compare_waiter(const struct tree_node *a, const struct tree_node *b) {
	return compare_fences(edge_of_waiter(a)->waiter, edge_of_waiter(b)->waiter);
}

static int compare_both(const struct tree_node *a, const struct tree_node *b) {
	int order = compare_waiter(a, b);
	return order != 0 ? order : compare_fences(edge_of_waiter(a)->dep, edge_of_waiter(b)->dep);
}

static int compare_dep(const struct tree_node *a, const struct tree_node *b) {
	return compare_fences(edge_of_dep(a)->dep, edge_of_dep(b)->dep);
}

static void edge_drop(struct edge *edge) {
	tree_remove(&by_waiter, &edge->by_waiter);
	tree_remove(&by_dep, &edge->by_dep);
	edge->waiter = NULL;
	edge->next = free_edges;
	free_edges = edge;
	edge_count--;
}

static bool edge_is_live(const struct edge *edge) {
	return edge->waiter != NULL && !fence_has_ended(edge->waiter) &&
		!fence_has_ended(edge->dep);
}

static void drop_ended(void) {
	for (size_t i = 0; i < fresh; i++) {
		if (edges[i].waiter != NULL && !edge_is_live(&edges[i])) {
			edge_drop(&edges[i]);
		}
	}
}

/* NULL: there is no room. */
static struct edge *edge_take(void) {
	if (free_edges == NULL && fresh == EDGES) {
		drop_ended();
	}
	struct edge *edge = free_edges;
	if (edge != NULL) {
		free_edges = edge->next;
	} else if (fresh < EDGES) {
		edge = &edges[fresh++];
	}
	return edge;
}

static void edge_add(
	struct stile_fence *waiter, struct stile_fence *dep, const char *label, const void *place) {
	struct edge probe = { .waiter = waiter, .dep = dep };
	if (tree_find(&by_waiter, &probe.by_waiter, compare_both) != NULL) {
		return;
	}
	struct edge *edge = edge_take();
	if (edge == NULL) {
		missing++;
		return;
	}
	edge->waiter = waiter;
	edge->dep = dep;
	edge->place = place;
	snprintf(edge->label, sizeof(edge->label), "%s", label);
	tree_insert(&by_waiter, &edge->by_waiter, compare_both);
	tree_insert(&by_dep, &edge->by_dep, compare_dep);
	edge_count++;
	__atomic_fetch_or(&waiter->state, STATE_GRAPH, __ATOMIC_RELAXED);
	__atomic_fetch_or(&dep->state, STATE_GRAPH, __ATOMIC_RELAXED);
}

void graph_record(
	struct stile_fence *waiter, struct stile_fence *dep, const char *label, const void *place) {
	if (fence_has_ended(waiter) || fence_has_ended(dep)) {
		return;
	}
	os_lock(&lock);
	edge_add(waiter, dep, label, place);
	os_unlock(&lock);
}

void graph_forget(struct stile_fence *fence) {
	const struct edge probe = { .waiter = fence, .dep = fence };
	const struct tree_node *node;
	os_lock(&lock);
	while ((node = tree_find(&by_waiter, &probe.by_waiter, compare_waiter)) != NULL) {
		edge_drop(edge_of_waiter(node));
	}
	while ((node = tree_find(&by_dep, &probe.by_dep, compare_dep)) != NULL) {
		edge_drop(edge_of_dep(node));
	}
	os_unlock(&lock);
}

void stile_graph_add_wait(
	struct stile_fence *fence, struct stile_fence *waits_for, const char *label) {
	graph_add_edge(fence, waits_for, label);
}

/* ---- Threads and eventfds ------------------------------------------------------------------ */

/* The lock is held. */
static void wait_link(struct graph_wait *wait) {
	wait->family = family;
	wait->next = NULL;
	wait->link = waits_end;
	*waits_end = wait;
	waits_end = &wait->next;
}

static int64_t add_times(int64_t a, int64_t b) {
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

void graph_list_thread(struct graph_wait *wait) {
	wait->who.thread = os_thread_get(wait->who.name);
	wait->who.since_ns = os_clock_ns();
	wait->deadline_ns = wait->until_ns;
	os_lock(&lock);
	wait->is_watched = watch_fn != NULL;
	int64_t limit_ns = add_times(wait->who.since_ns, watch_limit_ns);
	if (wait->is_watched && limit_ns < wait->until_ns) {
		wait->until_ns = limit_ns;
	}
	wait_link(wait);
	os_unlock(&lock);
}

void graph_list_eventfd(struct graph_wait *wait) {
	wait->who.since_ns = os_clock_ns();
	os_lock(&lock);
	wait_link(wait);
	os_unlock(&lock);
}

void graph_unlist(struct graph_wait *wait) {
	os_lock(&lock);
	if (wait->family == family) {
		*wait->link = wait->next;
		if (wait->next != NULL) {
			wait->next->link = wait->link;
		} else {
			waits_end = wait->link;
		}
	}
	os_unlock(&lock);
}

/* No lock is held. */
static void tell(const struct graph_wait *wait) {
	os_lock(&lock);
	stile_graph_fn fn = watch_fn;
	void *user = watch_user;
	os_unlock(&lock);
	if (fn == NULL) {
		return;
	}
	char *text;
	int ret = graph_draw(STILE_GRAPH_TEXT, wait, &text);
	fn(user, ret < 0 ? "A wait has outlasted its limit; no memory to say more." : text);
	free(text);
}

bool graph_go_on(struct graph_wait *wait, int ret) {
	if (ret == -ETIME && wait->is_watched) {
		wait->is_watched = false;
		tell(wait);
	}
	if (ret == -ETIME && wait->until_ns < wait->deadline_ns) {
		wait->until_ns = wait->deadline_ns;
		return true;
	}
	graph_unlist(wait);
	return false;
}

void stile_graph_set_watch(stile_graph_fn fn, void *user, int64_t limit_ns) {
	os_lock(&lock);
	watch_fn = fn;
	watch_user = user;
	watch_limit_ns = limit_ns < 0 ? 0 : limit_ns;
	os_unlock(&lock);
}

/* ---- A copy -------------------------------------------------------------------------------- */

/* The lock is held: its memory stays. NULL if it is dying. */
static void *ref_fence(struct stile_fence *fence) {
	return fence_ref_unless_zero(fence) ? fence : NULL;
}

static struct graph_end end_of_fence(struct stile_fence *fence) {
	return (struct graph_end){ .kind = GRAPH_FENCE, .object = ref_fence(fence) };
}

/* The lock is held. Where the next link goes. */
static struct graph_link *copy_wait(struct graph_wait *wait, struct graph_link *to) {
	struct graph_link link = {
		.from = { .kind = GRAPH_WAITER, .object = wait, .who = wait->who },
	};
	if (wait->timeline != NULL) {
		link.to = (struct graph_end){ .kind = GRAPH_POINT,
			.object = timeline_hold(wait->timeline),
			.value = wait->value };
		*to++ = link;
	}
	for (size_t i = 0; i < wait->count; i++) {
		link.to = end_of_fence(wait->fences[i]);
		*to++ = link;
	}
	return to;
}

/* The lock is held. */
static struct graph_link *copy_edge(const struct edge *edge, struct graph_link *to) {
	if (edge_is_live(edge)) {
		*to = (struct graph_link){ .from = end_of_fence(edge->waiter),
			.to = end_of_fence(edge->dep),
			.place = edge->place };
		snprintf(to->label, sizeof(to->label), "%s", edge->label);
		to++;
	}
	return to;
}

/* The lock is held. */
static size_t links_needed(void) {
	size_t needed = edge_count;
	for (const struct graph_wait *wait = waits; wait != NULL; wait = wait->next) {
		needed += wait->timeline != NULL ? 1 : wait->count;
	}
	return needed;
}

/* The lock is held, and there is room. */
static void copy_all(struct graph_copy *copy) {
	struct graph_link *to = copy->links;
	for (struct graph_wait *wait = waits; wait != NULL; wait = wait->next) {
		to = copy_wait(wait, to);
	}
	for (size_t i = 0; i < fresh; i++) {
		to = copy_edge(&edges[i], to);
	}
	copy->count = (size_t)(to - copy->links);
	copy->missing = missing;
}

int graph_copy(struct graph_copy *copy) {
	size_t room = 0;
	*copy = (struct graph_copy){ 0 };
	for (;;) {
		os_lock(&lock);
		size_t needed = links_needed();
		bool fits = needed <= room;
		if (fits) {
			copy_all(copy);
		}
		os_unlock(&lock);
		if (fits) {
			return 0;
		}
		free(copy->links);
		/* Some more: it may have grown until we look again. */
		room = needed + needed / 4 + 16;
		copy->links = calloc(room, sizeof(*copy->links));
		if (copy->links == NULL) {
			return -ENOMEM;
		}
	}
}

static void end_drop(const struct graph_end *end) {
	if (end->kind == GRAPH_FENCE) {
		stile_fence_unref(end->object);
	} else if (end->kind == GRAPH_POINT) {
		timeline_put(end->object);
	}
}

void graph_copy_drop(struct graph_copy *copy) {
	for (size_t i = 0; i < copy->count; i++) {
		end_drop(&copy->links[i].from);
		end_drop(&copy->links[i].to);
	}
	free(copy->links);
}

/* ---- Fork ---------------------------------------------------------------------------------- */

static void before_fork(void) {
	os_lock(&lock);
}

static void after_fork(void) {
	os_unlock(&lock);
}

/* Those who wait are the parent's threads, and so are its eventfds. */
static void in_child(void) {
	waits = NULL;
	waits_end = &waits;
	family++;
	os_unlock(&lock);
}

__attribute__((constructor)) static void guard(void) {
	/* Without memory for this a child may hang where it records or looks. */
	(void)os_atfork(before_fork, after_fork, in_child);
}
