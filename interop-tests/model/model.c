/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum listener_kind { LISTENER_USER, LISTENER_ARRAY, LISTENER_CHAIN };

enum { MAX_LISTENERS = 256, MAX_RUNS = 256, MAX_WORK = 256 };

/* One entry of a fence's list of callbacks. */
struct listener {
	enum listener_kind kind;
	int who; /* the user's callback, or the container */
};

struct fence {
	enum model_kind kind;
	uint64_t context, seqno;
	bool seqno64;
	int refs;
	bool ended, enabled;
	int error;
	size_t listener_count;
	struct listener listeners[MAX_LISTENERS];

	/* Plain. */
	struct model_traits traits;
	bool work_done;
	unsigned enable_count;

	/* Array. */
	size_t member_count;
	int members[MODEL_MEMBERS];
	int pending;
	int noted; /* the first error that it has seen */

	/* Chain. */
	int prev;     /* what is certainly collected has gone from here; more may have */
	int original; /* what was before it when it was made */
	uint64_t prev_seqno;
	int contained;

	bool must_live, may_live;
};

struct callback {
	int fence; /* MODEL_NONE: not queued */
	bool holds;
};

static struct {
	struct fence fences[MODEL_FENCES];
	struct callback callbacks[MODEL_CALLBACKS];
	size_t run_count;
	struct model_run runs[MAX_RUNS];
	/* Containers that have to be looked after when no lock is held: A-5, C-8. */
	size_t work_count;
	int work[MAX_WORK];
	int held;
	bool working;
	unsigned told;
} world;

static struct fence *at(int fence) {
	return &world.fences[fence];
}

static void require(bool ok) {
	if (!ok) {
		abort();
	}
}

void model_reset(void) {
	memset(&world, 0, sizeof(world));
	for (int i = 0; i < MODEL_CALLBACKS; i++) {
		world.callbacks[i].fence = MODEL_NONE;
	}
}

/* F-2: pending, no error, one reference. */
static struct fence *add(int fence, enum model_kind kind, uint64_t context, uint64_t seqno) {
	struct fence *f = at(fence);
	require(f->kind == MODEL_NOTHING);
	*f = (struct fence){
		.kind = kind,
		.context = context,
		.seqno = seqno,
		.refs = 1,
		.prev = MODEL_NONE,
		.original = MODEL_NONE,
		.contained = MODEL_NONE,
		.must_live = true,
		.may_live = true,
	};
	return f;
}

void model_add_plain(
	int fence, uint64_t context, uint64_t seqno, bool seqno64, struct model_traits traits) {
	struct fence *f = add(fence, MODEL_PLAIN, context, seqno);
	f->seqno64 = seqno64;
	f->traits = traits;
}

/* F-22: signalled before anybody sees it. */
void model_add_stub(int fence) {
	struct fence *f = add(fence, MODEL_STUB, 0, 0);
	f->enabled = true;
	f->ended = true;
}

int model_add_array(
	int fence, const int *members, size_t count, bool any, uint64_t context, uint64_t seqno) {
	if (count == 0) {
		return -EINVAL;
	}
	for (size_t i = 0; i < count; i++) {
		/* no containers in it. */
		if (at(members[i])->kind == MODEL_ARRAY || at(members[i])->kind == MODEL_CHAIN) {
			return -EINVAL;
		}
	}
	struct fence *f = add(fence, MODEL_ARRAY, context, seqno);
	require(count <= MODEL_MEMBERS);
	memcpy(f->members, members, count * sizeof(*members));
	f->member_count = count;
	f->pending = any ? 1 : (int)count; /* */
	return 0;
}

bool model_chain_joins(int prev, uint64_t seqno) {
	return prev != MODEL_NONE && at(prev)->kind == MODEL_CHAIN && seqno > at(prev)->seqno;
}

/* C-2. */
void model_add_chain(int fence, int prev, int contained, uint64_t seqno, uint64_t new_context) {
	uint64_t context = new_context, prev_seqno = 0;
	if (model_chain_joins(prev, seqno)) {
		context = at(prev)->context;
		prev_seqno = at(prev)->seqno;
	} else if (prev != MODEL_NONE && at(prev)->kind == MODEL_CHAIN) {
		seqno = at(prev)->seqno;
	}
	struct fence *f = add(fence, MODEL_CHAIN, context, seqno);
	f->seqno64 = true;
	f->prev = prev;
	f->original = prev;
	f->prev_seqno = prev_seqno;
	f->contained = contained;
}

/* ---- Looking without asking --------------------------------------------------------------- */

enum model_kind model_kind(int fence) {
	return at(fence)->kind;
}

uint64_t model_context(int fence) {
	return at(fence)->context;
}

uint64_t model_seqno(int fence) {
	return at(fence)->seqno;
}

bool model_has_ended(int fence) {
	return at(fence)->ended;
}

/* F-13. */
int model_status(int fence) {
	if (!at(fence)->ended) {
		return 0;
	}
	return at(fence)->error == 0 ? 1 : at(fence)->error;
}

int model_status_if_asked(int fence) {
	const struct fence *f = at(fence);
	if (f->ended || !f->traits.can_look || !f->work_done) {
		return model_status(fence);
	}
	int error = f->traits.error != 0 ? f->traits.error : f->error;
	return error == 0 ? 1 : error;
}

bool model_is_enabled(int fence) {
	return at(fence)->enabled;
}

unsigned model_enable_count(int fence) {
	return at(fence)->enable_count;
}

bool model_is_listened_to(int fence) {
	for (int i = 0; i < MODEL_CALLBACKS; i++) {
		if (world.callbacks[i].fence == fence && !world.callbacks[i].holds) {
			return true;
		}
	}
	return false;
}

int model_callback_fence(int callback) {
	return world.callbacks[callback].fence;
}

const int *model_members(int fence, size_t *count) {
	*count = at(fence)->member_count;
	return at(fence)->members;
}

int model_contained(int fence) {
	return at(fence)->kind == MODEL_CHAIN ? at(fence)->contained : fence;
}

int model_refs(int fence) {
	return at(fence)->refs;
}

void model_ref(int fence) {
	at(fence)->refs++;
}

void model_unref(int fence) {
	require(at(fence)->refs > 0);
	at(fence)->refs--;
}

const struct model_run *model_runs(size_t *count) {
	*count = world.run_count;
	return world.runs;
}

void model_forget_runs(void) {
	world.run_count = 0;
}

unsigned model_told(void) {
	return world.told;
}

/* ---- Ending ------------------------------------------------------------------------------- */

static void end(int fence);
static bool ask(int fence);
static int walk(int fence, bool collects);
static void search(int chain);

static void hold(void) {
	world.held++;
}

static void look_after(int container) {
	struct fence *f = at(container);
	if (f->kind == MODEL_CHAIN) {
		search(container);
	} else if (!f->ended) {
		f->error = f->noted; /* */
		end(container);
	}
}

/* A-5, C-8: the deferred context has no lock. */
static void let_go(void) {
	if (--world.held > 0 || world.working) {
		return;
	}
	world.working = true;
	for (size_t i = 0; i < world.work_count; i++) {
		look_after(world.work[i]);
	}
	world.work_count = 0;
	world.working = false;
}

static void defer(int container) {
	require(world.work_count < MAX_WORK);
	world.work[world.work_count++] = container;
}

/* the first one, until the array is complete: of any, the first member decides alone. */
static void note_error(struct fence *array, int member) {
	if (at(member)->error != 0 && array->noted == 0 && array->pending > 0) {
		array->noted = at(member)->error;
	}
}

static void run(int fence, struct listener listener) {
	switch (listener.kind) {
	case LISTENER_USER:
		require(world.run_count < MAX_RUNS);
		world.runs[world.run_count++] =
			(struct model_run){ fence, listener.who, model_status(fence) };
		/* F-8: it may drop references, here the one it has by being queued. */
		world.callbacks[listener.who].fence = MODEL_NONE;
		break;
	case LISTENER_ARRAY: /* */
		note_error(at(listener.who), fence);
		if (--at(listener.who)->pending == 0) {
			defer(listener.who);
		}
		break;
	case LISTENER_CHAIN: /* C-8 */
		defer(listener.who);
		break;
	}
}

/* F-4: callbacks run once, in the order in which they were added. */
static void end(int fence) {
	struct fence *f = at(fence);
	if (f->ended) {
		return;
	}
	hold();
	f->ended = true;
	size_t count = f->listener_count;
	f->listener_count = 0;
	for (size_t i = 0; i < count; i++) {
		run(fence, f->listeners[i]);
	}
	let_go();
}

void model_finish_work(int fence) {
	at(fence)->work_done = true;
}

/* F-14; an error after the end changes nothing. */
int model_set_error(int fence, int error) {
	if (at(fence)->ended) {
		return -EALREADY;
	}
	at(fence)->error = error;
	return 0;
}

bool model_signal(int fence) {
	bool before = at(fence)->ended;
	end(fence);
	return before;
}

void model_lock(void) {
	hold();
}

void model_unlock(void) {
	let_go();
}

/* ---- Asking: F-12 ------------------------------------------------------------------------- */

static bool ask_plain(struct fence *f) {
	if (!f->traits.can_look || !f->work_done) {
		return false;
	}
	if (f->traits.error != 0) {
		f->error = f->traits.error;
	}
	return true;
}

/* who was not listening has seen no errors. */
static bool ask_array(struct fence *f) {
	if (f->enabled) {
		f->error = f->pending <= 0 ? f->noted : 0;
		return f->pending <= 0;
	}
	int pending = f->pending;
	for (size_t i = 0; i < f->member_count && pending > 0; i++) {
		if (ask(f->members[i])) {
			pending--;
		}
	}
	return pending <= 0;
}

/* C-7: the contained fences of all elements are done. */
static bool ask_chain(int fence) {
	for (; fence != MODEL_NONE; fence = walk(fence, true)) {
		if (!ask(model_contained(fence))) {
			return false;
		}
	}
	return true;
}

static bool ask(int fence) {
	struct fence *f = at(fence);
	if (f->ended) {
		return true;
	}
	bool done = false;
	if (f->kind == MODEL_PLAIN) {
		done = ask_plain(f);
	} else if (f->kind == MODEL_ARRAY) {
		done = ask_array(f);
	} else if (f->kind == MODEL_CHAIN) {
		done = ask_chain(fence);
	}
	if (done) {
		end(fence);
	}
	return done;
}

bool model_is_signaled(int fence) {
	return ask(fence);
}

/* C-4. With `collects` the elements that are done have certainly gone from behind this one. */
static int walk(int fence, bool collects) {
	struct fence *f = at(fence);
	if (f->kind != MODEL_CHAIN) {
		return MODEL_NONE;
	}
	int prev = f->prev;
	while (prev != MODEL_NONE && ask(model_contained(prev))) {
		prev = at(prev)->original;
	}
	if (collects) {
		f->prev = prev;
	}
	return prev;
}

/* ---- Listening ---------------------------------------------------------------------------- */

static void enable(int fence);

/* F-7: true if it is queued. The signaled op is not looked at. */
static bool listen(int fence, enum listener_kind kind, int who) {
	hold();
	enable(fence);
	struct fence *f = at(fence);
	bool pending = !f->ended;
	if (pending) {
		require(f->listener_count < MAX_LISTENERS);
		f->listeners[f->listener_count++] = (struct listener){ kind, who };
	}
	let_go();
	return pending;
}

static bool enable_plain(struct fence *f) {
	if (!f->traits.can_enable) {
		return true;
	}
	f->enable_count++;
	if (f->traits.enable_ends && f->traits.error != 0) {
		f->error = f->traits.error;
	}
	return !f->traits.enable_ends;
}

/* */
static bool enable_array(int fence) {
	struct fence *f = at(fence);
	for (size_t i = 0; i < f->member_count; i++) {
		if (!listen(f->members[i], LISTENER_ARRAY, fence)) {
			note_error(f, f->members[i]);
			if (--f->pending == 0) {
				f->error = f->noted;
				return false;
			}
		}
	}
	return true;
}

/* C-8: done already, or the search for what to wait for begins. Asks first. */
static bool enable_chain(int fence) {
	if (ask_chain(fence)) {
		return false;
	}
	defer(fence);
	return true;
}

/* C-8: the first element whose contained fence accepts a callback; none: the head is done. */
static void search(int chain) {
	for (int i = chain; i != MODEL_NONE; i = walk(i, false)) {
		if (listen(model_contained(i), LISTENER_CHAIN, chain)) {
			return;
		}
	}
	end(chain);
}

/* F-10: the op is called once, and not for what has ended. */
static void enable(int fence) {
	struct fence *f = at(fence);
	if (f->ended || f->enabled) {
		return;
	}
	hold();
	f->enabled = true;
	bool pending = true;
	if (f->kind == MODEL_PLAIN) {
		pending = enable_plain(f);
	} else if (f->kind == MODEL_ARRAY) {
		pending = enable_array(fence);
	} else if (f->kind == MODEL_CHAIN) {
		pending = enable_chain(fence);
	}
	if (!pending) {
		end(fence);
	}
	let_go();
}

void model_enable_signaling(int fence) {
	enable(fence);
}

int model_add_callback(int fence, int callback, bool holds) {
	/* First: it may run, and be free again, before this is over. */
	world.callbacks[callback] = (struct callback){ fence, holds };
	if (listen(fence, LISTENER_USER, callback)) {
		return 0;
	}
	world.callbacks[callback].fence = MODEL_NONE;
	return -ENOENT;
}

/* F-9. */
bool model_remove_callback(int callback) {
	int fence = world.callbacks[callback].fence;
	if (fence == MODEL_NONE) {
		return false;
	}
	world.callbacks[callback].fence = MODEL_NONE;
	struct fence *f = at(fence);
	size_t kept = 0;
	for (size_t i = 0; i < f->listener_count; i++) {
		struct listener listener = f->listeners[i];
		if (listener.kind != LISTENER_USER || listener.who != callback) {
			f->listeners[kept++] = listener;
		}
	}
	f->listener_count = kept;
	return true;
}

/* F-15 with T = 0: enables, then looks at the bit only (F-11). */
int model_wait(int fence) {
	enable(fence);
	return at(fence)->ended ? 0 : -ETIME;
}

/* F-17 with T = 0: asks in order, enables nothing. */
int model_wait_any(const int *fences, size_t count, size_t *index) {
	for (size_t i = 0; i < count; i++) {
		if (ask(fences[i])) {
			*index = i;
			return 0;
		}
	}
	return -ETIME;
}

/* ---- Chains, leaves, merging -------------------------------------------------------------- */

int model_walk(int fence) {
	int prev = walk(fence, true);
	if (prev != MODEL_NONE) {
		model_ref(prev);
	}
	model_unref(fence);
	return prev;
}

/* C-6: since every walk collects, only elements that are pending, and the head, are ever found. */
int model_find_seqno(int *fence, uint64_t seqno) {
	if (seqno == 0) {
		return 0;
	}
	const struct fence *head = at(*fence);
	if (head->kind != MODEL_CHAIN || head->seqno < seqno) {
		return -EINVAL;
	}
	uint64_t context = head->context;
	while (*fence != MODEL_NONE && at(*fence)->kind == MODEL_CHAIN &&
		at(*fence)->context == context && at(*fence)->prev_seqno >= seqno) {
		*fence = model_walk(*fence);
	}
	return 0;
}

struct cursor {
	int chain;
	size_t index; /* of the member, in an array */
};

/* U-1; A-11: what is no array is its own only member. */
static int cursor_leaf(struct cursor *cursor) {
	while (cursor->chain != MODEL_NONE) {
		int contained = model_contained(cursor->chain);
		const struct fence *f = at(contained);
		size_t count = f->kind == MODEL_ARRAY ? f->member_count : 1;
		if (cursor->index < count) {
			return f->kind == MODEL_ARRAY ? f->members[cursor->index] : contained;
		}
		cursor->chain = walk(cursor->chain, true);
		cursor->index = 0;
	}
	return MODEL_NONE;
}

size_t model_unwrap(int fence, int *leaves, size_t limit) {
	struct cursor cursor = { .chain = fence };
	size_t found = 0;
	int leaf;
	while (found < limit && (leaf = cursor_leaf(&cursor)) != MODEL_NONE) {
		leaves[found++] = leaf;
		cursor.index++;
	}
	return found;
}

/* F-18. */
static bool is_later(const struct fence *f, const struct fence *other) {
	if (f->seqno64) {
		return f->seqno > other->seqno;
	}
	uint32_t ahead = (uint32_t)f->seqno - (uint32_t)other->seqno;
	return ahead != 0 && ahead < UINT32_C(0x80000000);
}

bool model_is_later(int fence, int other) {
	if (at(fence)->context != at(other)->context) {
		world.told++;
		return false;
	}
	return is_later(at(fence), at(other));
}

bool model_is_later_or_same(int fence, int other) {
	return fence == other || model_is_later(fence, other);
}

int model_get_later(int fence, int other) {
	if (at(fence)->context != at(other)->context) {
		world.told++;
		return MODEL_NONE;
	}
	int later = is_later(at(fence), at(other)) ? fence : other;
	return ask(later) ? MODEL_NONE : later;
}

/* */
bool model_match_context(int fence, uint64_t context) {
	if (at(fence)->kind != MODEL_ARRAY) {
		return at(fence)->context == context;
	}
	for (size_t i = 0; i < at(fence)->member_count; i++) {
		if (at(at(fence)->members[i])->context != context) {
			return false;
		}
	}
	return true;
}

/* Put into its group; what is older than it leaves the group. */
static void group_add(struct model_group *group, int fence) {
	size_t kept = 0;
	for (size_t i = 0; i < group->count; i++) {
		if (is_later(at(group->fences[i]), at(fence))) {
			return;
		}
		if (group->fences[i] != fence && !is_later(at(fence), at(group->fences[i]))) {
			group->fences[kept++] = group->fences[i];
		}
	}
	group->fences[kept] = fence;
	group->count = kept + 1;
}

/* U-2: by context ascending, the newest of each. */
size_t model_dedup(const int *fences, size_t count, struct model_group *groups) {
	size_t group_count = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t context = at(fences[i])->context;
		size_t place = 0;
		while (place < group_count && groups[place].context < context) {
			place++;
		}
		if (place == group_count || groups[place].context != context) {
			memmove(&groups[place + 1], &groups[place],
				(group_count - place) * sizeof(groups[0]));
			groups[place].context = context;
			groups[place].count = 0;
			group_count++;
		}
		group_add(&groups[place], fences[i]);
	}
	return group_count;
}

static void note_done(struct model_merge *merge, int leaf) {
	for (size_t i = 0; i < merge->done_count; i++) {
		if (merge->done[i] == leaf) {
			return;
		}
	}
	require(merge->done_count < MODEL_LEAVES);
	merge->done[merge->done_count++] = leaf;
}

/* Ask the leaves of all, each before the next is looked for; those that are pending, how many. */
static size_t gather(const int *fences, size_t count, struct model_merge *merge, int *pending) {
	size_t pending_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct cursor cursor = { .chain = fences[i] };
		int leaf;
		while ((leaf = cursor_leaf(&cursor)) != MODEL_NONE) {
			if (ask(leaf)) {
				note_done(merge, leaf);
			} else {
				require(pending_count < MODEL_LEAVES);
				pending[pending_count++] = leaf;
			}
			cursor.index++;
		}
	}
	return pending_count;
}

/* U-3: counts, then collects, which may be fewer: to ask one may end another one before it. */
void model_merge(const int *fences, size_t count, struct model_merge *merge) {
	static int pending[MODEL_LEAVES];
	merge->done_count = 0;
	size_t pending_count = gather(fences, count, merge, pending);
	if (pending_count > 0) {
		pending_count = gather(fences, count, merge, pending);
	}
	merge->group_count = model_dedup(pending, pending_count, merge->groups);
}

/* ---- Who lives ---------------------------------------------------------------------------- */

static void mark(int fence, bool may);

/*
 * An element has one of those before it: the first that is pending, which no walk can have collected,
 * or one of those that are done between it and that.
 */
static void mark_before(int fence, bool may) {
	int prev = at(fence)->prev;
	while (prev != MODEL_NONE && at(model_contained(prev))->ended) {
		if (may) {
			mark(prev, may);
		}
		prev = at(prev)->original;
	}
	mark(prev, may);
}

/* Contract 20.1: who references whom. */
static void mark(int fence, bool may) {
	if (fence == MODEL_NONE) {
		return;
	}
	struct fence *f = at(fence);
	bool *lives = may ? &f->may_live : &f->must_live;
	if (*lives || f->kind == MODEL_NOTHING) {
		return;
	}
	*lives = true;
	for (size_t i = 0; i < f->member_count; i++) {
		mark(f->members[i], may);
	}
	if (f->kind == MODEL_CHAIN) {
		mark(f->contained, may);
		mark_before(fence, may);
	}
}

static void mark_root(int fence) {
	mark(fence, false);
	mark(fence, true);
}

static void mark_roots_of(int fence) {
	const struct fence *f = at(fence);
	if (f->refs > 0) {
		mark_root(fence);
	}
	/* C-8: an element that waits holds itself. */
	if (f->kind == MODEL_CHAIN && f->enabled && !f->ended) {
		mark_root(fence);
	}
	/* an array is held by each of its callbacks that has not run. */
	for (size_t i = 0; i < f->listener_count; i++) {
		if (f->listeners[i].kind == LISTENER_ARRAY) {
			mark_root(f->listeners[i].who);
		}
	}
}

static void mark_all(void) {
	for (int i = 0; i < MODEL_FENCES; i++) {
		at(i)->must_live = false;
		at(i)->may_live = false;
	}
	for (int i = 0; i < MODEL_FENCES; i++) {
		if (at(i)->kind != MODEL_NOTHING) {
			mark_roots_of(i);
		}
	}
	for (int i = 0; i < MODEL_CALLBACKS; i++) {
		if (world.callbacks[i].fence != MODEL_NONE && world.callbacks[i].holds) {
			mark_root(world.callbacks[i].fence);
		}
	}
}

/* F-20: nobody can signal it any more, and somebody listens. */
static bool end_one_abandoned(void) {
	for (int i = 0; i < MODEL_FENCES; i++) {
		struct fence *f = at(i);
		if (f->kind != MODEL_NOTHING && !f->may_live && !f->ended &&
			f->listener_count > 0) {
			world.told++;
			f->error = -EDEADLK;
			end(i);
			return true;
		}
	}
	return false;
}

void model_settle(void) {
	require(world.held == 0 && world.work_count == 0);
	do {
		mark_all();
	} while (end_one_abandoned());
}

bool model_must_live(int fence) {
	return at(fence)->must_live;
}

bool model_may_live(int fence) {
	return at(fence)->may_live;
}

bool model_is_held(int fence) {
	int refs = at(fence)->refs;
	at(fence)->refs = 0;
	mark_all();
	bool held = at(fence)->may_live;
	at(fence)->refs = refs;
	mark_all();
	return held;
}

static bool contains(const struct fence *f, int fence) {
	for (size_t i = 0; i < f->member_count; i++) {
		if (f->members[i] == fence) {
			return true;
		}
	}
	return f->kind == MODEL_CHAIN && f->contained == fence;
}

static void bypass(struct fence *f, int fence, int next) {
	f->prev = f->prev == fence ? next : f->prev;
	f->original = f->original == fence ? next : f->original;
}

void model_forget(int fence) {
	require(at(fence)->refs == 0 && !at(fence)->must_live);
	int next = at(fence)->original;
	*at(fence) = (struct fence){ .kind = MODEL_NOTHING };
	for (int i = 0; i < MODEL_FENCES; i++) {
		bypass(at(i), fence, next);
	}
	for (int i = 0; i < MODEL_FENCES; i++) {
		if (at(i)->kind != MODEL_NOTHING && contains(at(i), fence)) {
			model_forget(i);
		}
	}
}
