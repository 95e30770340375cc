/* SPDX-License-Identifier: MIT */
/*
 * The lock-order checker: KERNEL_CONTRACT, with the sections of 7.3.
 *
 * Classes of locks are the nodes of a graph. An edge a -> b says that somebody took b, or could
 * have blocked on it, while holding a. Three nodes are no locks:
 *
 *   fence signalling   is held inside a signalling section, and taken by each possible wait. To
 *                      begin a section cannot block, so that makes no edge.
 *   memory allocation  is taken by each allocation that may block. The edge from here to fence
 *                      signalling is always there: memory may come back only after a fence.
 *   user space         is what a wait for a submission waits for. A program may need any lock before
 *                      it submits, so each edge to here is a mistake by itself (X-8 (4), Y-13).
 *
 * The graph has no cycle: an edge that would close one is reported and left out, so each mistake is
 * told once and does not make what comes later look wrong. `known` says of which pairs all is
 * said; it is read without the mutex, and a thread that finds all its pairs there is done.
 *
 * All tables are fixed and nothing is freed: a signalling section must not allocate, and what was
 * learned stays true. The mutex is innermost: under it, nothing is called that takes a lock.
 */
#include "src/check.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/macros.h"
#include "src/os.h"

enum {
	NODE_BITS = 10,
	NODES = 1 << NODE_BITS,
	KEYS = 2 * NODES, /* at most half full: a search ends */
	EDGES = 4096,
	HELD = 1024, /* many reservations may be locked together */
	FRAMES = 16,
	OWN_FRAMES = 8, /* more than the checker itself has on the stack */
	NAME_BYTES = 64,
	STEPS = 8, /* of a cycle, told with their places */
	WARNING_BYTES = 1024,
	PLACE_BYTES = 512,
	REPORT_BYTES = 8192,
};

enum {
	NODE_NONE = 0, /* a class for which there was no room */
	NODE_FENCE,
	NODE_ALLOC,
	NODE_USER,
};

/* What is told once only. */
enum { FULL_NODES, FULL_EDGES, FULL_HELD, FULL_KINDS };

struct node {
	char name[NAME_BYTES];
	uint32_t first_edge; /* of those that lead away; 0: none */
};

struct edge {
	uint32_t from, to;
	uint32_t next;     /* the next one that leads away from `from`; 0: none */
	const void *outer; /* where `from` had been taken; NULL: the edge was never seen */
	int frame_count;
	void *frames[FRAMES]; /* where `to` was taken */
};

struct key {
	const void *key; /* NULL: free; written last */
	uint32_t node;
};

struct held {
	uint32_t node;
	const void *place;
	const void *nest;   /* which others of its class may be held together with it */
	const void *object; /* which one of its class it is, where that is known */
};

/* `nest` of classes whose locks may all be held together. */
static const char nest_all;

/* What a thread holds, in the order it was taken. */
struct thread {
	uint32_t epoch; /* in which this is true */
	uint32_t count;
	uint32_t missed; /* locks for which there was no room */
	struct held held[HELD];
};

/* Edge 0 is none. */
static struct {
	struct node nodes[NODES];
	struct edge edges[EDGES];
	struct key keys[KEYS];
	uint64_t known[NODES][NODES / 64];
	uint32_t node_count, edge_count;
	bool told[FULL_KINDS];
} graph;

static uint32_t generation = 1; /* of the ids of classes */
static uint32_t last_epoch = 1;

#ifdef NDEBUG
uint32_t check_epoch = 0;
#else
uint32_t check_epoch = 1;
#endif

static void print_to_stderr(void *user, const char *text) {
	(void)user;
	fprintf(stderr, "stile: %s\n", text);
}

static stile_check_fn handler = print_to_stderr;
static void *handler_user;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* A pointer: what a library has for each thread has to be little, or it cannot be loaded late. */
static _Thread_local struct thread *this_thread;
static _Thread_local bool forking; /* this thread has the mutex, for a fork */
static pthread_key_t thread_key;   /* frees it */

/* ---- The mutex, and how it all starts ----------------------------------------------------- */

static void graph_lock(void) {
	if (!forking) {
		pthread_mutex_lock(&mutex);
	}
}

static void graph_unlock(void) {
	if (!forking) {
		pthread_mutex_unlock(&mutex);
	}
}

/* Other functions that run around a fork may take locks that are checked: hence the flag. */
static void fork_prepare(void) {
	pthread_mutex_lock(&mutex);
	forking = true;
}

static void fork_done(void) {
	forking = false;
	pthread_mutex_unlock(&mutex);
}

static bool edge_is_known(uint32_t from, uint32_t to) {
	return __atomic_load_n(&graph.known[from][to / 64], __ATOMIC_ACQUIRE) >> (to % 64) & 1;
}

/* The mutex is held. */
static void edge_set_known(uint32_t from, uint32_t to) {
	__atomic_fetch_or(&graph.known[from][to / 64], UINT64_C(1) << (to % 64), __ATOMIC_RELEASE);
}

/* The mutex is held. NULL: no room. */
static struct edge *edge_append(uint32_t from, uint32_t to) {
	if (graph.edge_count == EDGES) {
		return NULL;
	}
	uint32_t number = graph.edge_count++;
	struct edge *edge = &graph.edges[number];
	*edge = (struct edge){ .from = from, .to = to, .next = graph.nodes[from].first_edge };
	graph.nodes[from].first_edge = number;
	return edge;
}

/* The mutex is held. */
static uint32_t node_append(const char *name) {
	if (graph.node_count == NODES) {
		return NODE_NONE;
	}
	uint32_t number = graph.node_count++;
	struct node *node = &graph.nodes[number];
	node->first_edge = 0;
	snprintf(node->name, sizeof(node->name), "%s", name);
	return number;
}

/* The mutex is held. */
static void graph_begin(void) {
	graph.node_count = NODE_FENCE;
	graph.edge_count = 1;
	node_append("fence signalling");
	node_append("memory allocation");
	node_append("user space");
	edge_append(NODE_ALLOC, NODE_FENCE);
	edge_set_known(NODE_ALLOC, NODE_FENCE);
}

static void thread_free(void *thread) {
	free(thread);
	this_thread = NULL;
}

static void start(void) {
	/* If there is no key, no thread has a stack. */
	pthread_key_create(&thread_key, thread_free);
	/* The first backtrace loads a library: not later, when somebody is short of memory. */
	void *frame;
	backtrace(&frame, 1);
	graph_lock();
	graph_begin();
	graph_unlock();
}

/*
 * At the start, so that the application's functions for forks, which take its locks, run first: a
 * thread that has one of those may need the mutex.
 */
__attribute__((constructor)) static void guard(void) {
	/* Without memory for this a child might hang, in which nobody looks for such bugs. */
	(void)os_atfork(fork_prepare, fork_done, fork_done);
}

/* Before the mutex is taken; everything quick goes without it. */
static void check_start(void) {
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, start);
}

/* ---- Complaints --------------------------------------------------------------------------- */

static void complain(const char *text) {
	graph_lock();
	stile_check_fn fn = handler;
	void *user = handler_user;
	graph_unlock();
	fn(user, text);
}

void check_warn(const char *fmt, ...) {
	int before = errno;
	char text[WARNING_BYTES];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	check_start();
	complain(text);
	errno = before;
}

static void tell_full(unsigned what) {
	static const char *const texts[FULL_KINDS] = {
		[FULL_NODES] = "too many classes of locks: the checker ignores the new ones",
		[FULL_EDGES] = "too many pairs of locks: the checker ignores the new ones",
		[FULL_HELD] = "a thread holds too many locks: the checker ignores the last ones",
	};
	if (!__atomic_exchange_n(&graph.told[what], true, __ATOMIC_RELAXED)) {
		check_warn("%s", texts[what]);
	}
}

void stile_check_set_handler(stile_check_fn fn, void *user) {
	check_start();
	graph_lock();
	handler = fn != NULL ? fn : print_to_stderr;
	handler_user = user;
	graph_unlock();
}

/* ---- Reports: everything is copied first, and written without the mutex -------------------- */

struct step {
	struct edge edge;
	char from[NAME_BYTES], to[NAME_BYTES];
};

/* steps[0] is what is done now; the others lead from its end back to its beginning. */
struct cycle {
	struct step steps[STEPS];
	uint32_t length; /* may be more than STEPS */
};

struct text {
	size_t used;
	char chars[REPORT_BYTES];
};

static void STILE_PRINTF(2, 3) text_add(struct text *text, const char *fmt, ...) {
	size_t left = sizeof(text->chars) - text->used;
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(text->chars + text->used, left, fmt, args);
	va_end(args);
	if (n > 0) {
		text->used += (size_t)n < left ? (size_t)n : left - 1;
	}
}

static void text_end(struct text *text) {
	static const char cut[] = "\n...";
	if (text->used == sizeof(text->chars) - 1) {
		memcpy(text->chars + sizeof(text->chars) - sizeof(cut), cut, sizeof(cut));
	} else if (text->used > 0 && text->chars[text->used - 1] == '\n') {
		text->chars[--text->used] = '\0';
	}
}

/* In the form of backtrace_symbols(), which would allocate. */
void check_describe_place(const void *place, char *text, size_t size) {
	/* A call that never returns may be the last of its function. */
	const char *call = (const char *)place - 1;
	Dl_info info;
	if (dladdr(call, &info) == 0 || info.dli_fname == NULL) {
		snprintf(text, size, "[%p]", place);
		return;
	}
	bool named = info.dli_sname != NULL;
	const void *base = named ? info.dli_saddr : info.dli_fbase;
	snprintf(text, size, "%s(%s+0x%tx) [%p]", info.dli_fname, named ? info.dli_sname : "",
		(const char *)place - (const char *)base, place);
}

static void text_add_place(struct text *text, const void *place) {
	char line[PLACE_BYTES];
	check_describe_place(place, line, sizeof(line));
	text_add(text, "       %s\n", line);
}

static void text_add_headline(struct text *text, const struct step *step) {
	text_add(text, "lock order: ");
	switch (step->edge.to) {
	case NODE_FENCE:
		text_add(text, "waiting for a fence");
		break;
	case NODE_ALLOC:
		text_add(text, "allocating memory");
		break;
	case NODE_USER:
		text_add(text, "waiting for a submission");
		break;
	default:
		text_add(text, "taking \"%s\"", step->to);
		break;
	}
	if (step->edge.from == NODE_FENCE) {
		text_add(text, " inside a signalling section");
	} else {
		text_add(text, " while holding \"%s\"", step->from);
	}
}

static void text_add_step(struct text *text, const struct step *step, uint32_t number) {
	text_add(text, "  %u. ", number + 1);
	if (step->edge.outer == NULL && step->edge.from == NODE_ALLOC) {
		text_add(text,
			"an allocation may have to wait for a fence: this is always assumed\n");
		return;
	}
	switch (step->edge.to) {
	case NODE_FENCE:
		text_add(text, "a fence is waited for");
		break;
	case NODE_ALLOC:
		text_add(text, "memory is allocated");
		break;
	case NODE_USER:
		text_add(text, "a submission is waited for");
		break;
	default:
		text_add(text, "\"%s\" is taken", step->to);
		break;
	}
	bool in_section = step->edge.from == NODE_FENCE;
	if (in_section) {
		text_add(text, " inside a signalling section");
	} else {
		text_add(text, " while \"%s\" is held", step->from);
	}
	if (step->edge.outer == NULL) {
		text_add(text, ": this is always assumed\n");
		return;
	}
	text_add(text, number == 0 ? ", now at:\n" : ", first seen at:\n");
	for (int i = 0; i < step->edge.frame_count; i++) {
		text_add_place(text, step->edge.frames[i]);
	}
	if (in_section) {
		text_add(text, "     the section had begun at:\n");
	} else {
		text_add(text, "     \"%s\" had been taken at:\n", step->from);
	}
	text_add_place(text, step->edge.outer);
}

static void cycle_report(const struct cycle *cycle) {
	struct text text = { .used = 0 };
	const struct step *now = &cycle->steps[0];
	uint32_t shown = cycle->length < STEPS ? cycle->length : STEPS;
	text_add_headline(&text, now);
	text_add(&text, " closes a cycle\n  \"%s\"", now->from);
	for (uint32_t i = 0; i < shown; i++) {
		text_add(&text, " -> \"%s\"", cycle->steps[i].to);
	}
	if (shown < cycle->length) {
		text_add(&text, " -> (%u more) -> \"%s\"", cycle->length - shown, now->from);
	}
	if (now->edge.from == now->edge.to) {
		text_add(&text,
			"\n  It is the same lock again, or two of one class are taken in any "
			"order:\n");
	} else {
		text_add(&text,
			"\n  Nothing hangs yet. Threads that do this at the same time may wait "
			"for each other for ever:\n");
	}
	for (uint32_t i = 0; i < shown; i++) {
		text_add_step(&text, &cycle->steps[i], i);
	}
	text_end(&text);
	complain(text.chars);
}

static void user_wait_report(const struct step *step) {
	struct text text = { .used = 0 };
	text_add_headline(&text, step);
	text_add(&text,
		" may last for ever\n  Whoever is to submit may need it first, or wait for somebody "
		"who does:\n");
	text_add_step(&text, step, 0);
	text_end(&text);
	complain(text.chars);
}

/* ---- The graph ---------------------------------------------------------------------------- */

/* The mutex is held. Which edge leads to each node on the shortest way from `from` to `to`? */
static bool path_find(uint32_t from, uint32_t to, uint16_t *via) {
	static uint16_t queue[NODES];
	static bool seen[NODES];
	memset(seen, 0, sizeof(seen));
	uint32_t begin = 0, end = 0;
	queue[end++] = (uint16_t)from;
	seen[from] = true;
	while (begin < end && !seen[to]) {
		uint32_t at = graph.nodes[queue[begin++]].first_edge;
		for (; at != 0; at = graph.edges[at].next) {
			uint32_t next = graph.edges[at].to;
			if (!seen[next]) {
				seen[next] = true;
				via[next] = (uint16_t)at;
				queue[end++] = (uint16_t)next;
			}
		}
	}
	return seen[to];
}

/* The mutex is held. */
static void step_fill(struct step *step, const struct edge *edge) {
	step->edge = *edge;
	memcpy(step->from, graph.nodes[edge->from].name, NAME_BYTES);
	memcpy(step->to, graph.nodes[edge->to].name, NAME_BYTES);
}

/* The mutex is held. Does the new edge close a cycle? */
static bool cycle_find(struct cycle *cycle, const struct edge *now) {
	static uint16_t via[NODES];
	if (!path_find(now->to, now->from, via)) {
		return false;
	}
	cycle->length = 1;
	for (uint32_t at = now->from; at != now->to; at = graph.edges[via[at]].from) {
		cycle->length++;
	}
	step_fill(&cycle->steps[0], now);
	/* From the end of the way to its beginning. */
	uint32_t number = cycle->length;
	for (uint32_t at = now->from; at != now->to; at = graph.edges[via[at]].from) {
		number--;
		if (number < STEPS) {
			step_fill(&cycle->steps[number], &graph.edges[via[at]]);
		}
	}
	return true;
}

/* Where the caller of the checker is, and who called it; `place` is what it will return to. */
static void edge_capture(struct edge *edge, const void *place) {
	void *frames[OWN_FRAMES + FRAMES];
	int count = backtrace(frames, ARRAY_LENGTH(frames));
	int own = 0;
	while (own < count && frames[own] != place) {
		own++;
	}
	if (own == count) {
		own = 0;
	}
	edge->frame_count = count - own < FRAMES ? count - own : FRAMES;
	memcpy(edge->frames, frames + own, (size_t)edge->frame_count * sizeof(frames[0]));
}

/* The mutex is held. False: no room. */
static bool edge_keep(const struct edge *now) {
	struct edge *edge = edge_append(now->from, now->to);
	if (edge != NULL) {
		uint32_t next = edge->next;
		*edge = *now;
		edge->next = next;
	}
	return edge != NULL;
}

static void edge_learn(const struct held *held, uint32_t to, const void *place) {
	int before = errno;
	struct edge now = { .from = held->node, .to = to, .outer = held->place };
	struct cycle cycle;
	check_start();
	edge_capture(&now, place);

	graph_lock();
	/* Again: another thread may have come in between. */
	bool is_new = !edge_is_known(now.from, to);
	bool is_cycle = is_new && cycle_find(&cycle, &now);
	bool is_full = is_new && !is_cycle && !edge_keep(&now);
	edge_set_known(now.from, to);
	graph_unlock();

	if (is_cycle) {
		cycle_report(&cycle);
	}
	if (is_full) {
		tell_full(FULL_EDGES);
	}
	errno = before;
}

/* The same of an edge to user space, which is wrong by itself, and is not kept. */
static void user_wait_learn(const struct held *held, const void *place) {
	int before = errno;
	struct edge now = { .from = held->node, .to = NODE_USER, .outer = held->place };
	struct step step;
	check_start();
	edge_capture(&now, place);

	graph_lock();
	bool is_new = !edge_is_known(now.from, NODE_USER);
	step_fill(&step, &now);
	edge_set_known(now.from, NODE_USER);
	graph_unlock();

	if (is_new) {
		user_wait_report(&step);
	}
	errno = before;
}

static uint32_t class_node(struct stile_lock_class *lock_class) {
	uint32_t id = __atomic_load_n(&lock_class->id, __ATOMIC_ACQUIRE);
	if (id >> NODE_BITS == __atomic_load_n(&generation, __ATOMIC_RELAXED)) {
		return id & (NODES - 1);
	}
	check_start();
	graph_lock();
	id = lock_class->id;
	if (id >> NODE_BITS != generation) {
		id = generation << NODE_BITS | node_append(lock_class->name);
		__atomic_store_n(&lock_class->id, id, __ATOMIC_RELEASE);
	}
	graph_unlock();
	if ((id & (NODES - 1)) == NODE_NONE) {
		tell_full(FULL_NODES);
	}
	return id & (NODES - 1);
}

/* The place of a key, or the free one where it belongs. */
static struct key *key_find(const void *key) {
	uint64_t hash = (uint64_t)(uintptr_t)key * UINT64_C(0x9e3779b97f4a7c15);
	for (size_t at = (size_t)(hash >> 32) % KEYS;; at = (at + 1) % KEYS) {
		const void *found = __atomic_load_n(&graph.keys[at].key, __ATOMIC_ACQUIRE);
		if (found == key || found == NULL) {
			return &graph.keys[at];
		}
	}
}

static uint32_t key_node(const void *key, const char *name) {
	struct key *slot = key_find(key);
	if (__atomic_load_n(&slot->key, __ATOMIC_ACQUIRE) != NULL) {
		return slot->node;
	}
	check_start();
	graph_lock();
	/* Again: others may have come in between. */
	slot = key_find(key);
	uint32_t node = slot->node;
	if (slot->key == NULL) {
		node = node_append(name);
		if (node != NODE_NONE) {
			slot->node = node;
			__atomic_store_n(&slot->key, key, __ATOMIC_RELEASE);
		}
	}
	graph_unlock();
	if (node == NODE_NONE) {
		tell_full(FULL_NODES);
	}
	return node;
}

/* ---- What a thread holds ------------------------------------------------------------------ */

/* This thread's stack, empty if the checker was off in between. NULL without memory: not checked. */
static struct thread *thread_get(void) {
	struct thread *thread = this_thread;
	if (thread == NULL) {
		check_start();
		thread = calloc(1, sizeof(*thread));
		if (thread == NULL || pthread_setspecific(thread_key, thread) != 0) {
			free(thread);
			return NULL;
		}
		this_thread = thread;
	}
	uint32_t epoch = __atomic_load_n(&check_epoch, __ATOMIC_RELAXED);
	if (thread->epoch != epoch) {
		thread->epoch = epoch;
		thread->count = 0;
		thread->missed = 0;
	}
	return thread;
}

static bool thread_holds(const struct thread *thread, uint32_t node) {
	uint32_t at = 0;
	if (thread == NULL) {
		return false;
	}
	while (at < thread->count && thread->held[at].node != node) {
		at++;
	}
	return at < thread->count;
}

/* The thread may block on `to`, with all that it holds. */
static void thread_block(
	const struct thread *thread, uint32_t to, const void *nest, const void *place) {
	for (uint32_t i = 0; thread != NULL && i < thread->count; i++) {
		const struct held *held = &thread->held[i];
		bool skip = nest != NULL && held->node == to && held->nest == nest;
		if (!skip && !edge_is_known(held->node, to)) {
			edge_learn(held, to, place);
		}
	}
}

static void thread_push(struct thread *thread, struct held held) {
	if (thread == NULL) {
		return;
	}
	if (thread->count == HELD) {
		thread->missed++;
		tell_full(FULL_HELD);
		return;
	}
	thread->held[thread->count++] = held;
}

/* False: it is not held. Locks need not be released in the order they were taken. */
static bool thread_pop(struct thread *thread, uint32_t node, const void *object) {
	if (thread == NULL) {
		return true;
	}
	uint32_t at = thread->count;
	while (at > 0 &&
		(thread->held[at - 1].node != node || thread->held[at - 1].object != object)) {
		at--;
	}
	if (at == 0) {
		bool missed = thread->missed > 0;
		thread->missed -= missed;
		return missed;
	}
	thread->count--;
	memmove(&thread->held[at - 1], &thread->held[at],
		(thread->count - (at - 1)) * sizeof(thread->held[0]));
	return true;
}

static void key_acquire(const void *key, const char *name, bool may_block, struct held held) {
	held.node = key_node(key, name);
	if (held.node == NODE_NONE) {
		return;
	}
	struct thread *thread = thread_get();
	if (may_block) {
		thread_block(thread, held.node, held.nest, held.place);
	}
	thread_push(thread, held);
}

void check_key_acquire(const void *key, const char *name) {
	struct held held = { .place = __builtin_return_address(0), .nest = &nest_all };
	key_acquire(key, name, true, held);
}

void check_object_acquire(const struct check_object *object, bool may_block, const void *place) {
	struct held held = { .place = place, .nest = object->nest, .object = object->object };
	key_acquire(object->key, object->name, may_block, held);
}

/* If it is not held, the checker was switched on after it was taken. */
static void key_release(const void *key, const void *object) {
	const struct key *slot = key_find(key);
	if (__atomic_load_n(&slot->key, __ATOMIC_ACQUIRE) != NULL) {
		thread_pop(thread_get(), slot->node, object);
	}
}

void check_key_release(const void *key) {
	key_release(key, NULL);
}

void check_object_release(const void *key, const void *object) {
	key_release(key, object);
}

void check_assume_order(
	const void *outer, const char *outer_name, const void *inner, const char *inner_name) {
	uint32_t from = key_node(outer, outer_name);
	uint32_t to = inner == NULL ? NODE_ALLOC : key_node(inner, inner_name);
	if (from == NODE_NONE || to == NODE_NONE || edge_is_known(from, to)) {
		return;
	}
	graph_lock();
	if (!edge_is_known(from, to)) {
		edge_append(from, to);
		edge_set_known(from, to);
	}
	graph_unlock();
}

void stile_lock_annotate(struct stile_lock_class *lock_class, enum stile_lock_event event) {
	if (!check_is_on()) {
		return;
	}
	const void *place = __builtin_return_address(0);
	uint32_t node = class_node(lock_class);
	if (node == NODE_NONE) {
		return;
	}
	struct thread *thread = thread_get();
	struct held held = { .node = node, .place = place };
	switch (event) {
	case STILE_LOCK_ACQUIRE:
		thread_block(thread, node, NULL, place);
		thread_push(thread, held);
		break;
	case STILE_LOCK_TRY_ACQUIRE:
		thread_push(thread, held);
		break;
	case STILE_LOCK_RELEASE:
		if (!thread_pop(thread, node, NULL)) {
			check_warn("\"%s\" is released by a thread that does not hold it",
				lock_class->name);
		}
		break;
	}
}

/* The cookie is the epoch: one from before the checker was switched off and on is out of date. */
uint32_t stile_signalling_begin(void) {
	if (!check_is_on()) {
		return 0;
	}
	struct thread *thread = thread_get();
	if (thread == NULL || thread_holds(thread, NODE_FENCE)) {
		return 0;
	}
	if (thread->count == HELD) {
		tell_full(FULL_HELD);
		return 0;
	}
	struct held held = {
		.node = NODE_FENCE,
		.place = __builtin_return_address(0),
		.nest = &nest_all,
	};
	thread_push(thread, held);
	return thread->epoch;
}

void stile_signalling_end(uint32_t cookie) {
	if (cookie == 0 || cookie != __atomic_load_n(&check_epoch, __ATOMIC_RELAXED)) {
		return;
	}
	struct thread *thread = thread_get();
	if (thread != NULL && !thread_holds(thread, NODE_FENCE)) {
		check_warn("a signalling section ends that this thread has not begun");
		return;
	}
	thread_pop(thread, NODE_FENCE, NULL);
}

void stile_might_alloc(void) {
	if (check_is_on()) {
		thread_block(thread_get(), NODE_ALLOC, NULL, __builtin_return_address(0));
	}
}

void stile_might_wait(void) {
	if (check_is_on()) {
		/* A section is suspended meanwhile: it may well wait for a fence of somebody else. */
		thread_block(thread_get(), NODE_FENCE, &nest_all, __builtin_return_address(0));
	}
}

void check_user_wait(const void *place) {
	const struct thread *thread = thread_get();
	for (uint32_t i = 0; thread != NULL && i < thread->count; i++) {
		if (!edge_is_known(thread->held[i].node, NODE_USER)) {
			user_wait_learn(&thread->held[i], place);
		}
	}
}

/* ---- The switch --------------------------------------------------------------------------- */

/* The mutex is held. What threads have on their stacks is out of date from now on. */
static void epoch_begin(void) {
	last_epoch++;
	if (last_epoch == 0) {
		last_epoch = 1;
	}
	__atomic_store_n(&check_epoch, last_epoch, __ATOMIC_RELAXED);
}

void stile_check_enable(bool on) {
	check_start();
	graph_lock();
	if (!on) {
		__atomic_store_n(&check_epoch, 0, __ATOMIC_RELAXED);
	} else if (check_epoch == 0) {
		epoch_begin();
	}
	graph_unlock();
}

bool stile_check_is_enabled(void) {
	return check_is_on();
}

void check_reset(void) {
	check_start();
	graph_lock();
	for (uint32_t i = 0; i < NODES * (NODES / 64); i++) {
		__atomic_store_n(
			&graph.known[i / (NODES / 64)][i % (NODES / 64)], 0, __ATOMIC_RELAXED);
	}
	memset(graph.keys, 0, sizeof(graph.keys));
	memset(graph.told, 0, sizeof(graph.told));
	__atomic_store_n(&generation, generation + 1, __ATOMIC_RELAXED);
	graph_begin();
	if (check_epoch != 0) {
		epoch_begin();
	}
	graph_unlock();
}
