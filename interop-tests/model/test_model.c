/* SPDX-License-Identifier: MIT */
/*
 * Random histories, done to the library and to the model. Each round begins in an empty world, in a
 * process of its own, so that a crash or a hang is found and made short like any other difference.
 * To look must not change what is seen: a fence is asked only where the model says that asking has no
 * effect; asking is a step like others.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stile/array.h>
#include <stile/chain.h>
#include <stile/check.h>
#include <stile/fence.h>
#include <stile/merge.h>
#include <stile/wait.h>

#include "interop-tests/model/model.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum {
	ROUNDS = 500,
	ROUND_STEPS = 400,
	LIST = MODEL_MEMBERS,
	LOCKS = 2,
	CONTEXTS = 4,
	SHOWN_STEPS = 30,
	ROUND_MS = 20000,
	SHRINK_MS = 20000, /* for all of it */
	REPLAY_MS = 1000,
	MESSAGE_BYTES = 400,
};

enum step_kind {
	STEP_PLAIN,
	STEP_ARRAY,
	STEP_CHAIN,
	STEP_MERGE,
	STEP_REF,
	STEP_UNREF,
	STEP_ADD,
	STEP_REMOVE,
	STEP_SIGNAL,
	STEP_BATCH,
	STEP_SET_ERROR,
	STEP_FINISH_WORK,
	STEP_IS_SIGNALED,
	STEP_STATUS,
	STEP_ENABLE,
	STEP_WAIT,
	STEP_WAIT_ANY,
	STEP_WALK,
	STEP_FIND,
	STEP_UNWRAP,
	STEP_DEDUP,
	STEP_LATER,
	STEP_LOOK,
	STEP_KINDS,
};

/* All is decided when it is made, so that it means the same with steps before it left out. */
struct step {
	enum step_kind kind;
	int a, b,
		c; /* numbers of fences, or of a callback; what a kind makes of them: step_print() */
	unsigned how;
	uint64_t number;
	size_t count;
	int list[LIST];
};

/* Of how many of a hundred steps it is. */
static const struct {
	const char *name;
	unsigned weight;
} kinds[STEP_KINDS] = {
	[STEP_PLAIN] = { "plain", 12 },
	[STEP_ARRAY] = { "array", 6 },
	[STEP_CHAIN] = { "chain", 10 },
	[STEP_MERGE] = { "merge", 2 },
	[STEP_REF] = { "ref", 2 },
	[STEP_UNREF] = { "unref", 21 },
	[STEP_ADD] = { "add_callback", 9 },
	[STEP_REMOVE] = { "remove_callback", 3 },
	[STEP_SIGNAL] = { "signal", 11 },
	[STEP_BATCH] = { "signal_locked", 3 },
	[STEP_SET_ERROR] = { "set_error", 3 },
	[STEP_FINISH_WORK] = { "finish_work", 3 },
	[STEP_IS_SIGNALED] = { "is_signaled", 2 },
	[STEP_STATUS] = { "get_status", 2 },
	[STEP_ENABLE] = { "enable_signaling", 2 },
	[STEP_WAIT] = { "wait", 1 },
	[STEP_WAIT_ANY] = { "wait_any", 1 },
	[STEP_WALK] = { "walk", 1 },
	[STEP_FIND] = { "find_seqno", 2 },
	[STEP_UNWRAP] = { "unwrap", 1 },
	[STEP_DEDUP] = { "dedup", 1 },
	[STEP_LATER] = { "is_later", 1 },
	[STEP_LOOK] = { "look at all", 1 },
};

/* What a round leaves behind: shared with the process that began it. */
static struct report {
	size_t count;
	struct step steps[ROUND_STEPS];
	size_t failed_at;
	char message[MESSAGE_BYTES];
} * report;

/* ---- The world of a round ----------------------------------------------------------------- */

struct plain {
	struct stile_fence base;
	int number;
};

struct slot {
	struct stile_fence *fence;
	struct model_traits traits;
	bool work_done;
	unsigned enable_count;
	bool released;
	int lock;         /* which it shares; MODEL_NONE: its own */
	bool end_seen;    /* its time has been looked at */
	int64_t exact_ns; /* when it has to have ended; 0: when the model says */
	int64_t ended_ns; /* when it has ended */
};

struct user_callback {
	struct stile_callback base;
	int slot; /* where it was added last; MODEL_NONE: nowhere */
	bool holds;
};

static struct slot slots[MODEL_FENCES];
static struct user_callback callbacks[MODEL_CALLBACKS];
static struct stile_lock locks[LOCKS];
static uint64_t contexts[CONTEXTS];
static uint64_t newest_context;
static bool muted; /* signaled ops say no: nobody asks, we look */
static size_t run_count;
static struct model_run runs[256];
static unsigned told;
static char told_text[MESSAGE_BYTES];
static long blocks, blocks_at_first;
static int64_t step_began_ns;
static size_t step_index;

/* A wrong answer of the test's own, to see that it is found. */
static bool lies;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t size) {
	blocks++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
	blocks++;
	return __real_calloc(count, size);
}

void __wrap_free(void *memory) {
	blocks -= memory != NULL;
	__real_free(memory);
}

/* They differ: the end of this process. */
static void differ(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

static void differ(const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	vsnprintf(report->message, sizeof(report->message), fmt, args);
	va_end(args);
	_exit(EXIT_FAILURE);
}

static void note_told(void *user, const char *text) {
	(void)user;
	told++;
	snprintf(told_text, sizeof(told_text), "%s", text);
}

/* ---- Plain fences and callbacks ----------------------------------------------------------- */

static struct slot *slot_of(struct stile_fence *fence) {
	return &slots[CONTAINER_OF(fence, struct plain, base)->number];
}

static const char *get_name(struct stile_fence *fence) {
	(void)fence;
	return "model";
}

static bool plain_enable_signaling(struct stile_fence *fence) {
	struct slot *slot = slot_of(fence);
	slot->enable_count++;
	if (slot->traits.enable_ends && slot->traits.error != 0) {
		stile_fence_set_error(fence, slot->traits.error);
	}
	return !slot->traits.enable_ends;
}

static bool plain_signaled(struct stile_fence *fence) {
	const struct slot *slot = slot_of(fence);
	if (muted || !slot->work_done) {
		return false;
	}
	if (slot->traits.error != 0) {
		stile_fence_set_error(fence, slot->traits.error);
	}
	return true;
}

static void plain_release(struct stile_fence *fence) {
	struct slot *slot = slot_of(fence);
	if (slot->released || slot->fence != fence) {
		differ("a fence is released that is gone");
	}
	slot->released = true;
	memset(fence, 0x5a, sizeof(struct plain));
	free(fence);
}

/* By what it can do: enable, look, 64 bits. */
static const struct stile_fence_ops *plain_ops(struct model_traits traits, bool seqno64) {
	static struct stile_fence_ops tables[8];
	size_t which = (size_t)(traits.can_enable | traits.can_look << 1 | seqno64 << 2);
	tables[which] = (struct stile_fence_ops){
		.size = sizeof(struct stile_fence_ops),
		.get_driver_name = get_name,
		.get_timeline_name = get_name,
		.enable_signaling = traits.can_enable ? plain_enable_signaling : NULL,
		.signaled = traits.can_look ? plain_signaled : NULL,
		.release = plain_release,
		.flags = seqno64 ? STILE_FENCE_SEQNO64 : 0,
	};
	return &tables[which];
}

static void callback_run(struct stile_fence *fence, struct stile_callback *base) {
	struct user_callback *callback = CONTAINER_OF(base, struct user_callback, base);
	if (run_count == ARRAY_LENGTH(runs)) {
		differ("callbacks run and run");
	}
	int slot = callback->slot;
	/* F-24. To ask what has ended takes no lock, whatever F-8 says of others' calls. */
	int status = stile_fence_get_status(fence);
	runs[run_count++] = (struct model_run){ slot, (int)(callback - callbacks), status };
	if (slot == MODEL_NONE || slots[slot].fence != fence) {
		differ("a callback gets a fence that it was not added to");
	}
	/* F-8: it is ours again as soon as it runs. */
	memset(base, 0x5a, sizeof(*base));
	if (callback->holds) {
		stile_fence_unref(fence);
	}
}

/* ---- Comparing ---------------------------------------------------------------------------- */

static void compare(int64_t got, int64_t wanted, const char *what, int number) {
	if (got != wanted) {
		differ("%s of #%d is %" PRId64 ", should be %" PRId64, what, number, got, wanted);
	}
}

static void compare_fence(const struct stile_fence *got, int wanted, const char *what) {
	if (got != (wanted == MODEL_NONE ? NULL : slots[wanted].fence)) {
		differ("%s does not give #%d", what, wanted);
	}
}

/* The next run at the same fence, from `from` on. */
static size_t next_run(const struct model_run *all, size_t count, size_t from, int fence) {
	while (from < count && all[from].fence != fence) {
		from++;
	}
	return from;
}

/* F-4: those of one fence in their order; which of several fences ends first is left open. */
static void compare_runs_at(const struct model_run *wanted, size_t count, int fence) {
	size_t i = next_run(runs, run_count, 0, fence), k = next_run(wanted, count, 0, fence);
	while (i < run_count && k < count) {
		compare(runs[i].callback, wanted[k].callback, "the callback that ran", fence);
		compare(runs[i].status, wanted[k].status, "the status in a callback", fence);
		i = next_run(runs, run_count, i + 1, fence);
		k = next_run(wanted, count, k + 1, fence);
	}
	if (i < run_count) {
		differ("callback %d of #%d ran, and should not", runs[i].callback, fence);
	}
	if (k < count) {
		differ("callback %d of #%d did not run", wanted[k].callback, fence);
	}
}

static void compare_runs(void) {
	size_t count;
	const struct model_run *wanted = model_runs(&count);
	if (count == 0 && run_count == 0) {
		return;
	}
	for (int i = 0; i < MODEL_FENCES; i++) {
		compare_runs_at(wanted, count, i);
	}
}

/* It ends in the very step in which the model does; or at the time that was given. */
static void compare_time(int number) {
	struct slot *slot = &slots[number];
	if (slot->end_seen) {
		return;
	}
	slot->end_seen = true;
	slot->ended_ns = stile_fence_get_timestamp(slot->fence);
	if (slot->exact_ns != 0) {
		compare(slot->ended_ns, slot->exact_ns, "the time", number);
	} else if (slot->ended_ns < step_began_ns || slot->ended_ns > runner_clock_ns()) {
		differ("#%d has not ended in this step", number);
	}
}

static void compare_standing(int number) {
	struct slot *slot = &slots[number];
	enum model_kind kind = model_kind(number);
	compare(slot->enable_count, model_enable_count(number), "the count of enable_signaling",
		number);
	bool asking_is_harmless = model_has_ended(number) || kind == MODEL_PLAIN ||
		(kind == MODEL_ARRAY && model_is_enabled(number));
	if (asking_is_harmless) {
		compare(stile_fence_get_status(slot->fence), model_status(number), "the status",
			number);
	}
	if (model_has_ended(number)) {
		compare_time(number);
	}
}

static void compare_lives(void) {
	long must = 0, may = 0;
	for (int i = 0; i < MODEL_FENCES; i++) {
		if (slots[i].released && model_must_live(i)) {
			differ("#%d was released too early", i);
		}
		if (model_kind(i) == MODEL_PLAIN && !slots[i].released && !model_may_live(i)) {
			differ("#%d was not released", i);
		}
	}
	for (int i = 0; i < MODEL_FENCES; i++) {
		if (model_kind(i) != MODEL_NOTHING && (slots[i].released || !model_may_live(i))) {
			model_forget(i);
		}
	}
	for (int i = 0; i < MODEL_FENCES; i++) {
		must += model_must_live(i);
		may += model_may_live(i);
	}
	long live = blocks - blocks_at_first;
	if (live < must || live > may) {
		differ("%ld objects are alive, should be %ld to %ld", live, must, may);
	}
}

static void forget_the_dead(void) {
	for (int i = 0; i < MODEL_FENCES; i++) {
		if (model_kind(i) == MODEL_NOTHING) {
			slots[i] = (struct slot){ .lock = MODEL_NONE };
		}
	}
	for (int i = 0; i < MODEL_CALLBACKS; i++) {
		if (callbacks[i].slot != MODEL_NONE && slots[callbacks[i].slot].fence == NULL) {
			callbacks[i].slot = MODEL_NONE;
		}
	}
}

static void compare_world(void) {
	model_settle();
	compare_runs();
	if (told != model_told()) {
		differ("%u mistakes are told, should be %u: %s", told, model_told(), told_text);
	}
	compare_lives();
	muted = true;
	for (int i = 0; i < MODEL_FENCES; i++) {
		if (model_must_live(i)) {
			compare_standing(i);
		}
	}
	muted = false;
	forget_the_dead();
	run_count = 0;
	model_forget_runs();
}

/* What never changes. */
static void compare_nature(int number) {
	struct stile_fence *fence = slots[number].fence;
	enum model_kind kind = model_kind(number);
	compare(stile_fence_is_array(fence), kind == MODEL_ARRAY, "is_array", number);
	compare(stile_fence_is_chain(fence), kind == MODEL_CHAIN, "is_chain", number);
	compare((int64_t)stile_fence_get_context(fence), (int64_t)model_context(number), "context",
		number);
	compare((int64_t)stile_fence_get_seqno(fence), (int64_t)model_seqno(number), "seqno",
		number);
	compare_fence(stile_chain_get_contained(fence), model_contained(number), "get_contained");
	size_t count = 1;
	const int *members = &number;
	if (kind == MODEL_ARRAY) {
		members = model_members(number, &count);
	}
	compare((int64_t)stile_array_get_count(fence), (int64_t)count, "get_count", number);
	for (size_t i = 0; i < count; i++) {
		compare_fence(stile_array_get_nth(fence, i), members[i], "get_nth");
	}
	for (size_t i = 0; i < CONTEXTS; i++) {
		compare(stile_fence_match_context(fence, contexts[i]),
			model_match_context(number, contexts[i]), "match_context", number);
	}
}

/* F-1: nobody else has had it. */
static void take_new_context(uint64_t context) {
	if (context <= newest_context) {
		differ("context %" PRIu64 " is not new", context);
	}
	newest_context = context;
}

/* ---- Steps -------------------------------------------------------------------------------- */

static bool is_free(int number) {
	return model_kind(number) == MODEL_NOTHING;
}

/* Ours to use: we have a reference. */
static bool is_usable(int number) {
	return model_kind(number) != MODEL_NOTHING && model_refs(number) > 0;
}

/* Somebody has one. */
static bool is_plain_alive(int number) {
	return model_kind(number) == MODEL_PLAIN && model_must_live(number);
}

/* Nobody could tell whether it ends by being abandoned: only without containers around it. */
static bool may_unref(int number) {
	return is_usable(number) &&
		(model_refs(number) > 1 || model_kind(number) != MODEL_PLAIN ||
			!model_is_listened_to(number) || !model_is_held(number));
}

static bool are_usable(const struct step *step) {
	for (size_t i = 0; i < step->count; i++) {
		if (!is_usable(step->list[i])) {
			return false;
		}
	}
	return step->count > 0;
}

static size_t list_fences(const struct step *step, struct stile_fence **fences) {
	for (size_t i = 0; i < step->count; i++) {
		int number = step->list[i];
		fences[i] = number == MODEL_NONE ? NULL : slots[number].fence;
	}
	return step->count;
}

static void take_ref(int number) {
	compare_fence(stile_fence_ref(slots[number].fence), number, "ref");
	model_ref(number);
}

static void drop_ref(int number) {
	struct stile_fence *fence = slots[number].fence;
	model_unref(number);
	stile_fence_unref(fence);
}

static void do_plain(const struct step *step) {
	if (!is_free(step->a)) {
		return;
	}
	struct slot *slot = &slots[step->a];
	struct plain *plain = malloc(sizeof(*plain));
	if (plain == NULL) {
		differ("out of memory");
	}
	bool seqno64 = (step->how & 16) != 0;
	*slot = (struct slot){ .fence = &plain->base, .lock = step->c };
	slot->traits = (struct model_traits){
		.can_enable = (step->how & 1) != 0,
		.enable_ends = (step->how & 2) != 0,
		.can_look = (step->how & 4) != 0,
		.error = (step->how & 8) != 0 ? -EIO : 0,
	};
	plain->number = step->a;
	int ret = stile_fence_init_shared(&plain->base, plain_ops(slot->traits, seqno64),
		step->c == MODEL_NONE ? NULL : &locks[step->c], contexts[step->b], step->number);
	compare(ret, 0, "init", step->a);
	model_add_plain(step->a, contexts[step->b], step->number, seqno64, slot->traits);
	compare_nature(step->a);
}

static void do_array(const struct step *step) {
	if (!is_free(step->a) || !are_usable(step)) {
		return;
	}
	struct stile_fence *fences[LIST], *out;
	size_t count = list_fences(step, fences);
	bool any = step->how != 0;
	uint64_t context = stile_fence_context_alloc(1);
	take_new_context(context);
	int ret = stile_array_create(fences, count, context, step->number,
		any ? STILE_ARRAY_ANY : STILE_ARRAY_ALL, &out);
	compare(ret, model_add_array(step->a, step->list, count, any, context, step->number),
		"array_create", step->a);
	if (ret == 0) {
		slots[step->a].fence = out;
		compare_nature(step->a);
	} else {
		compare_fence(out, MODEL_NONE, "a failed array_create");
	}
}

static void do_chain(const struct step *step) {
	bool has_prev = step->b != MODEL_NONE;
	if (!is_free(step->a) || !is_usable(step->c) || model_kind(step->c) == MODEL_CHAIN ||
		(has_prev && !is_usable(step->b))) {
		return;
	}
	struct stile_chain *memory;
	compare(stile_chain_alloc(&memory), 0, "chain_alloc", step->a);
	struct stile_fence *prev = has_prev ? stile_fence_ref(slots[step->b].fence) : NULL;
	struct stile_fence *fence =
		stile_chain_init(memory, prev, stile_fence_ref(slots[step->c].fence), step->number);
	uint64_t context = stile_fence_get_context(fence);
	if (!model_chain_joins(step->b, step->number)) {
		take_new_context(context);
	}
	slots[step->a].fence = fence;
	model_add_chain(step->a, step->b, step->c, step->number, context);
	compare_nature(step->a);
}

/* The member of the group that it is. */
static int find_in_group(const struct stile_fence *fence, const struct model_group *group) {
	for (size_t i = 0; i < group->count; i++) {
		if (slots[group->fences[i]].fence == fence) {
			return group->fences[i];
		}
	}
	differ("a fence of context %" PRIu64 " is not one of the newest", group->context);
}

static int64_t last_end(const struct model_merge *merge) {
	int64_t last_ns = 0;
	for (size_t i = 0; i < merge->done_count; i++) {
		int64_t at_ns = stile_fence_get_timestamp(slots[merge->done[i]].fence);
		last_ns = at_ns > last_ns ? at_ns : last_ns;
	}
	return last_ns;
}

static void take_merged_array(int number, const struct model_merge *merge) {
	struct stile_fence *fence = slots[number].fence;
	int members[LIST];
	if (stile_array_get_count(fence) != merge->group_count) {
		differ("merge gives %zu members, should be %zu", stile_array_get_count(fence),
			merge->group_count);
	}
	for (size_t i = 0; i < merge->group_count; i++) {
		members[i] = find_in_group(stile_array_get_nth(fence, i), &merge->groups[i]);
	}
	take_new_context(stile_fence_get_context(fence));
	model_add_array(
		number, members, merge->group_count, false, stile_fence_get_context(fence), 1);
}

/* U-3. */
static void do_merge(const struct step *step) {
	static struct model_merge merge;
	for (size_t i = 0; i < step->count; i++) {
		if (step->list[i] != MODEL_NONE && !is_usable(step->list[i])) {
			return;
		}
	}
	if (!is_free(step->a)) {
		return;
	}
	struct stile_fence *fences[LIST], *out;
	size_t count = list_fences(step, fences);
	compare(stile_fence_merge(fences, count, &out), 0, "merge", step->a);
	model_merge(step->list, count, &merge);
	if (merge.group_count == 1) {
		model_ref(find_in_group(out, &merge.groups[0]));
		return;
	}
	slots[step->a].fence = out;
	if (merge.group_count > 1) {
		take_merged_array(step->a, &merge);
	} else {
		model_add_stub(step->a);
		compare(stile_fence_get_timestamp(out), last_end(&merge), "time of merge", step->a);
		slots[step->a].end_seen = true;
	}
	compare_nature(step->a);
}

static void do_ref(const struct step *step) {
	if (is_usable(step->a)) {
		take_ref(step->a);
	}
}

static void do_unref(const struct step *step) {
	if (may_unref(step->a)) {
		drop_ref(step->a);
	}
}

static void do_add(const struct step *step) {
	if (!is_usable(step->a) || model_callback_fence(step->b) != MODEL_NONE) {
		return;
	}
	struct stile_fence *fence = slots[step->a].fence;
	struct user_callback *callback = &callbacks[step->b];
	bool holds = step->how != 0;
	callback->slot = step->a;
	callback->holds = holds;
	if (holds) {
		stile_fence_ref(fence);
	}
	int ret = stile_fence_add_callback(fence, &callback->base, callback_run);
	if (ret != 0 && holds) {
		stile_fence_unref(fence);
	}
	compare(ret, model_add_callback(step->a, step->b, holds), "add_callback", step->a);
}

static void do_remove(const struct step *step) {
	struct user_callback *callback = &callbacks[step->b];
	int number = model_callback_fence(step->b);
	bool queued = number != MODEL_NONE;
	if (!queued) {
		/* F-9: after true it gives false. Nodes that have run are memory of ours again. */
		return;
	}
	struct stile_fence *fence = slots[number].fence;
	bool wanted = model_remove_callback(step->b);
	bool got = lies ? true : stile_fence_remove_callback(fence, &callback->base);
	compare(got, wanted, "remove_callback", number);
	compare(lies ? false : stile_fence_remove_callback(fence, &callback->base), false,
		"remove_callback again", number);
	if (callback->holds && !lies) {
		stile_fence_unref(fence);
	}
}

/* Whoever signals has a reference. */
static void do_signal(const struct step *step) {
	if (!is_plain_alive(step->a)) {
		return;
	}
	take_ref(step->a);
	struct slot *slot = &slots[step->a];
	bool wanted = model_signal(step->a);
	int64_t at_ns = (int64_t)(step->number % 1000) + 1;
	if (step->how == 0) {
		stile_fence_signal(slot->fence);
	} else if (step->how == 1) {
		slot->exact_ns = wanted ? slot->exact_ns : at_ns;
		stile_fence_signal_timestamp(slot->fence, at_ns);
	} else {
		bool got = stile_fence_check_and_signal(slot->fence);
		compare(got, wanted, "check_and_signal", step->a);
	}
	if (may_unref(step->a)) {
		drop_ref(step->a);
	}
}

/* A-5, C-8: callbacks run at once, containers end when the lock is given up. */
static void do_batch(const struct step *step) {
	if (!are_usable(step)) {
		return;
	}
	stile_lock_acquire(&locks[step->a]);
	model_lock();
	for (size_t i = 0; i < step->count; i++) {
		struct slot *slot = &slots[step->list[i]];
		if (slot->lock != step->a) {
			continue;
		}
		if (step->how & 1u << i) {
			bool got = stile_fence_is_signaled_locked(slot->fence);
			compare(got, model_is_signaled(step->list[i]), "is_signaled_locked",
				step->list[i]);
		} else {
			if (step->number >> i & 1) {
				compare(stile_fence_set_error(slot->fence, -ENODATA),
					model_set_error(step->list[i], -ENODATA), "set_error",
					step->list[i]);
			}
			stile_fence_signal_locked(slot->fence);
			model_signal(step->list[i]);
		}
		compare_runs();
	}
	stile_lock_release(&locks[step->a]);
	model_unlock();
}

static void do_set_error(const struct step *step) {
	if (is_plain_alive(step->a)) {
		int error = -(int)(step->number % 4095) - 1;
		compare(stile_fence_set_error(slots[step->a].fence, error),
			model_set_error(step->a, error), "set_error", step->a);
	}
}

static void do_finish_work(const struct step *step) {
	if (is_plain_alive(step->a)) {
		slots[step->a].work_done = true;
		model_finish_work(step->a);
	}
}

/* The kinds that ask one fence. */
static void do_ask(const struct step *step) {
	if (!is_usable(step->a)) {
		return;
	}
	struct stile_fence *fence = slots[step->a].fence;
	if (step->kind == STEP_IS_SIGNALED) {
		compare(stile_fence_is_signaled(fence), model_is_signaled(step->a), "is_signaled",
			step->a);
	} else if (step->kind == STEP_STATUS) {
		model_is_signaled(step->a);
		compare(stile_fence_get_status(fence), model_status(step->a), "get_status",
			step->a);
	} else if (step->kind == STEP_ENABLE) {
		stile_fence_enable_signaling(fence);
		model_enable_signaling(step->a);
	} else {
		compare(stile_fence_wait(fence, 0), model_wait(step->a), "wait", step->a);
	}
}

static void do_wait_any(const struct step *step) {
	if (!are_usable(step)) {
		return;
	}
	struct stile_fence *fences[LIST];
	size_t count = list_fences(step, fences), got = LIST, wanted = LIST;
	compare(stile_fence_wait_any(fences, count, 0, NULL, &got),
		model_wait_any(step->list, count, &wanted), "wait_any", step->list[0]);
	compare((int64_t)got, (int64_t)wanted, "index of wait_any", step->list[0]);
}

static void do_walk(const struct step *step) {
	if (is_usable(step->a)) {
		take_ref(step->a);
		struct stile_fence *got = stile_chain_walk(slots[step->a].fence);
		compare_fence(got, model_walk(step->a), "walk");
	}
}

static void do_find(const struct step *step) {
	if (!is_usable(step->a)) {
		return;
	}
	take_ref(step->a);
	int wanted = step->a;
	struct stile_fence *got = slots[step->a].fence;
	compare(stile_chain_find_seqno(&got, step->number), model_find_seqno(&wanted, step->number),
		"find_seqno", step->a);
	compare_fence(got, wanted, "find_seqno");
}

static void do_unwrap(const struct step *step) {
	static int wanted[MODEL_LEAVES];
	if (!is_usable(step->a)) {
		return;
	}
	struct stile_unwrap cursor;
	size_t limit = step->how, found = 0;
	struct stile_fence *got[LIST * 2];
	struct stile_fence *leaf = stile_unwrap_first(slots[step->a].fence, &cursor);
	while (leaf != NULL && found < limit) {
		got[found++] = leaf;
		leaf = found < limit ? stile_unwrap_next(&cursor) : leaf;
	}
	stile_unwrap_end(&cursor);
	compare((int64_t)found, (int64_t)model_unwrap(step->a, wanted, limit), "leaves", step->a);
	for (size_t i = 0; i < found; i++) {
		compare_fence(got[i], wanted[i], "unwrap");
	}
}

/* U-2. */
static void do_dedup(const struct step *step) {
	static struct model_group groups[LIST];
	if (!are_usable(step)) {
		return;
	}
	struct stile_fence *fences[LIST];
	size_t count = list_fences(step, fences);
	for (size_t i = 0; i < count; i++) {
		stile_fence_ref(fences[i]);
	}
	size_t kept = stile_fence_dedup(fences, count);
	size_t wanted = model_dedup(step->list, count, groups);
	compare((int64_t)kept, (int64_t)wanted, "dedup", step->list[0]);
	for (size_t i = 0; i < kept; i++) {
		find_in_group(fences[i], &groups[i]);
		stile_fence_unref(fences[i]);
	}
}

/* F-18. */
static void do_later(const struct step *step) {
	if (!is_usable(step->a) || !is_usable(step->b)) {
		return;
	}
	struct stile_fence *a = slots[step->a].fence, *b = slots[step->b].fence;
	compare(stile_fence_is_later(a, b), model_is_later(step->a, step->b), "is_later", step->a);
	compare(stile_fence_is_later_or_same(a, b), model_is_later_or_same(step->a, step->b),
		"is_later_or_same", step->a);
	compare_fence(stile_fence_get_later(a, b), model_get_later(step->a, step->b), "get_later");
}

static void do_look(const struct step *step) {
	(void)step;
	for (int i = 0; i < MODEL_FENCES; i++) {
		if (is_usable(i)) {
			model_is_signaled(i);
			compare(stile_fence_get_status(slots[i].fence), model_status(i),
				"get_status", i);
			compare_nature(i);
		}
	}
}

static void step_do(const struct step *step) {
	static void (*const does[STEP_KINDS])(const struct step *) = {
		[STEP_PLAIN] = do_plain,
		[STEP_ARRAY] = do_array,
		[STEP_CHAIN] = do_chain,
		[STEP_MERGE] = do_merge,
		[STEP_REF] = do_ref,
		[STEP_UNREF] = do_unref,
		[STEP_ADD] = do_add,
		[STEP_REMOVE] = do_remove,
		[STEP_SIGNAL] = do_signal,
		[STEP_BATCH] = do_batch,
		[STEP_SET_ERROR] = do_set_error,
		[STEP_FINISH_WORK] = do_finish_work,
		[STEP_IS_SIGNALED] = do_ask,
		[STEP_STATUS] = do_ask,
		[STEP_ENABLE] = do_ask,
		[STEP_WAIT] = do_ask,
		[STEP_WAIT_ANY] = do_wait_any,
		[STEP_WALK] = do_walk,
		[STEP_FIND] = do_find,
		[STEP_UNWRAP] = do_unwrap,
		[STEP_DEDUP] = do_dedup,
		[STEP_LATER] = do_later,
		[STEP_LOOK] = do_look,
	};
	report->failed_at = step_index;
	step_began_ns = runner_clock_ns();
	does[step->kind](step);
	compare_world();
}

static void step_print(size_t index, const struct step *step) {
	printf("  %3zu: %-16s", index, kinds[step->kind].name);
	switch (step->kind) {
	case STEP_PLAIN:
		printf(" #%d: context %d, seqno %#" PRIx64 ", lock %d%s%s%s%s%s", step->a, step->b,
			step->number, step->c, step->how & 1 ? ", can enable" : "",
			step->how & 2 ? ", enabling ends it" : "",
			step->how & 4 ? ", can look" : "", step->how & 8 ? ", fails" : "",
			step->how & 16 ? ", 64 bits" : "");
		break;
	case STEP_ARRAY:
		printf(" #%d: %s of", step->a, step->how != 0 ? "any" : "all");
		break;
	case STEP_CHAIN:
		printf(" #%d: prev #%d, contains #%d, seqno %" PRIu64, step->a, step->b, step->c,
			step->number);
		break;
	case STEP_ADD:
		printf(" #%d, callback %d%s", step->a, step->b,
			step->how != 0 ? ", which has a reference" : "");
		break;
	case STEP_REMOVE:
		printf(" callback %d", step->b);
		break;
	case STEP_SIGNAL:
		printf(" #%d%s", step->a,
			(const char *[]){ "", ", at a time", ", and check" }[step->how]);
		break;
	case STEP_BATCH:
		printf(" lock %d, asks those of %#x, fails those of %#x:", step->a, step->how,
			(unsigned)step->number & 0x3f);
		break;
	case STEP_SET_ERROR:
		printf(" #%d: %d", step->a, -(int)(step->number % 4095) - 1);
		break;
	case STEP_FIND:
		printf(" #%d: %" PRIu64, step->a, step->number);
		break;
	case STEP_UNWRAP:
		printf(" #%d, at most %u", step->a, step->how);
		break;
	case STEP_LATER:
		printf(" #%d #%d", step->a, step->b);
		break;
	case STEP_WAIT_ANY:
	case STEP_DEDUP:
	case STEP_LOOK:
		break;
	default:
		printf(" #%d", step->a);
	}
	for (size_t i = 0; i < step->count; i++) {
		printf(" #%d", step->list[i]);
	}
	printf("\n");
}

/* ---- Making steps ------------------------------------------------------------------------- */

static uint64_t random_state;

static int below(int limit) {
	return (int)(runner_random(&random_state) % (uint64_t)limit);
}

static bool percent(int chance) {
	return below(100) < chance;
}

static bool is_usable_chain(int number) {
	return is_usable(number) && model_kind(number) == MODEL_CHAIN;
}

static bool is_usable_leaf(int number) {
	return is_usable(number) && model_kind(number) != MODEL_CHAIN &&
		model_kind(number) != MODEL_ARRAY;
}

static bool is_usable_content(int number) {
	return is_usable(number) && model_kind(number) != MODEL_CHAIN;
}

static int lock_wanted;

static bool shares_the_lock(int number) {
	return is_usable(number) && slots[number].lock == lock_wanted;
}

/* One that `fits`, MODEL_NONE if there is none. */
static int pick(bool (*fits)(int number)) {
	int first = below(MODEL_FENCES);
	for (int i = 0; i < MODEL_FENCES; i++) {
		int number = (first + i) % MODEL_FENCES;
		if (fits(number)) {
			return number;
		}
	}
	return MODEL_NONE;
}

/* What is newest is the most likely to be pending, and the head of something. */
static int pick_chain(void) {
	int best = pick(is_usable_chain);
	for (int i = 0; i < 2 && best != MODEL_NONE; i++) {
		int other = pick(is_usable_chain);
		best = model_seqno(other) > model_seqno(best) ? other : best;
	}
	return best;
}

static void fill_list(struct step *step, bool (*fits)(int number)) {
	step->count = (size_t)below(LIST) + 1;
	for (size_t i = 0; i < step->count; i++) {
		step->list[i] = pick(fits);
	}
}

static void fill_plain(struct step *step) {
	/* Close to each other, some where 32 bits wrap around. */
	static const uint64_t first[CONTEXTS] = { 1, 0xffffffe0, 0x7ffffff0, UINT64_C(1) << 40 };
	step->b = below(CONTEXTS);
	step->c = percent(40) ? below(LOCKS) : MODEL_NONE;
	step->number = first[step->b] + (uint64_t)below(48);
	if (step->b != 3) {
		/* Nobody may look at the upper half. */
		step->number = (uint32_t)step->number | (uint64_t)below(3) << 32;
	}
	step->how = (percent(50) ? 1u : 0) | (percent(15) ? 2u : 0) | (percent(30) ? 4u : 0) |
		(percent(30) ? 8u : 0) | (step->b == 3 ? 16u : 0);
}

static void fill_chain(struct step *step) {
	step->b = percent(80) ? pick_chain() : percent(20) ? pick(is_usable) : MODEL_NONE;
	step->c = percent(75) ? pick(is_usable_leaf) : pick(is_usable_content);
	uint64_t before = step->b == MODEL_NONE ? 0 : model_seqno(step->b);
	step->number = percent(85) ? before + (uint64_t)below(4) + 1 : (uint64_t)below(20);
}

static void fill_find(struct step *step) {
	step->a = percent(90) ? pick_chain() : pick(is_usable);
	if (step->a != MODEL_NONE) {
		uint64_t seqno = model_seqno(step->a), back = (uint64_t)below(20);
		step->number = back > seqno ? 0 : seqno - back + (uint64_t)below(2);
	}
}

static void fill_numbers(struct step *step) {
	step->a = pick(is_usable);
	step->number = runner_random(&random_state);
	switch (step->kind) {
	case STEP_PLAIN:
	case STEP_ARRAY:
	case STEP_CHAIN:
	case STEP_MERGE:
		step->a = pick(is_free);
		break;
	case STEP_UNREF:
		step->a = pick(may_unref);
		break;
	case STEP_SIGNAL:
	case STEP_SET_ERROR:
	case STEP_FINISH_WORK:
		step->a = pick(is_plain_alive);
		step->how = (unsigned)below(3);
		break;
	case STEP_ADD:
	case STEP_REMOVE:
		step->b = below(MODEL_CALLBACKS);
		step->how = (unsigned)below(2);
		break;
	case STEP_BATCH:
		step->a = below(LOCKS);
		step->how = (unsigned)below(1 << LIST) & (unsigned)below(1 << LIST);
		break;
	case STEP_UNWRAP:
		step->how = (unsigned)below(LIST * 2) + 1;
		break;
	case STEP_LATER:
		step->b = pick(is_usable);
		break;
	default:
		break;
	}
}

static void fill_more(struct step *step) {
	switch (step->kind) {
	case STEP_PLAIN:
		fill_plain(step);
		break;
	case STEP_ARRAY:
		/* Sometimes one that has to be refused (A-2); often one that ends under one lock. */
		lock_wanted = below(LOCKS);
		fill_list(step,
			percent(40)           ? shares_the_lock
				: percent(95) ? is_usable_leaf
					      : is_usable);
		step->how = percent(35);
		break;
	case STEP_CHAIN:
		fill_chain(step);
		break;
	case STEP_FIND:
		fill_find(step);
		break;
	case STEP_MERGE:
		fill_list(step, is_usable);
		step->count -= (size_t)percent(30);
		for (size_t i = 0; i < step->count && percent(20); i++) {
			step->list[i] = MODEL_NONE;
		}
		break;
	case STEP_BATCH:
		lock_wanted = step->a;
		fill_list(step, shares_the_lock);
		break;
	case STEP_WAIT_ANY:
	case STEP_DEDUP:
		fill_list(step, is_usable);
		break;
	default:
		break;
	}
}

static bool step_is_complete(const struct step *step) {
	bool listed = step->kind == STEP_MERGE;
	for (size_t i = 0; i < step->count && !listed; i++) {
		if (step->list[i] == MODEL_NONE) {
			return false;
		}
	}
	return step->a != MODEL_NONE && (step->kind != STEP_CHAIN || step->c != MODEL_NONE) &&
		(step->kind != STEP_LATER || step->b != MODEL_NONE);
}

static struct step step_make(void) {
	for (;;) {
		unsigned chance = (unsigned)below(100);
		struct step step = { .kind = STEP_PLAIN };
		while (chance >= kinds[step.kind].weight) {
			chance -= kinds[step.kind].weight;
			step.kind++;
		}
		fill_numbers(&step);
		fill_more(&step);
		if (step_is_complete(&step)) {
			return step;
		}
	}
}

/* ---- Rounds ------------------------------------------------------------------------------- */

static void world_begin(void) {
	model_reset();
	for (int i = 0; i < MODEL_CALLBACKS; i++) {
		callbacks[i].slot = MODEL_NONE;
	}
	stile_check_set_handler(note_told, NULL);
	stile_lock_init(&locks[0], "the first lock");
	stile_lock_init(&locks[1], "the second lock");
	for (size_t i = 0; i < CONTEXTS; i++) {
		contexts[i] = newest_context = stile_fence_context_alloc(1);
	}
	/* What the checker allocates it does at its first sight of anything. */
	stile_fence_unref(stile_fence_get_stub());
	stile_lock_acquire(&locks[0]);
	stile_lock_release(&locks[0]);
	blocks_at_first = blocks;
}

/* Give everything back: nothing may be left then. */
static void world_end(void) {
	struct step step = { .kind = STEP_SIGNAL };
	for (step.a = 0; step.a < MODEL_FENCES; step.a++) {
		step_do(&step);
	}
	step.kind = STEP_UNREF;
	for (step.a = 0; step.a < MODEL_FENCES; step.a++) {
		while (may_unref(step.a)) {
			step_do(&step);
			step_index++;
		}
	}
	if (blocks != blocks_at_first) {
		differ("%ld objects are left at the end", blocks - blocks_at_first);
	}
}

/* In a process of its own: make and do `count` steps, or do those that are given. */
static void round_run(const struct step *given, size_t count) {
	world_begin();
	for (step_index = 0; step_index < count; step_index++) {
		if (given == NULL) {
			report->steps[step_index] = step_make();
			report->count = step_index + 1;
		}
		step_do(given == NULL ? &report->steps[step_index] : &given[step_index]);
	}
	world_end();
	_exit(EXIT_SUCCESS);
}

/* True if the model and the library agree. */
static bool round_agrees(const struct step *given, size_t count, int limit_ms) {
	report->message[0] = '\0';
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		/* Check's handlers would kill the parent as well. */
		signal(SIGALRM, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		struct itimerval limit = { .it_value.tv_sec = limit_ms / 1000 };
		setitimer(ITIMER_REAL, &limit, NULL);
		round_run(given, count);
	}
	runner_require(child > 0, "cannot fork");
	int status = runner_reap(child);
	if (status < 0) {
		snprintf(report->message, sizeof(report->message), "%s",
			status == -SIGALRM ? "hangs" : strsignal(-status));
	}
	return status == EXIT_SUCCESS;
}

/* ---- Making a history short --------------------------------------------------------------- */

struct history {
	size_t count;
	struct step steps[ROUND_STEPS];
};

static void history_leave_out(
	struct history *to, const struct history *from, size_t first, size_t count) {
	to->count = 0;
	for (size_t i = 0; i < from->count; i++) {
		if (i < first || i >= first + count) {
			to->steps[to->count++] = from->steps[i];
		}
	}
}

/* Leave out `size` steps wherever they are not needed. True if some were not. */
static bool history_thin(struct history *history, size_t size, int64_t until_ns) {
	static struct history shorter;
	bool thinner = false;
	size_t first = history->count;
	while (first > 0 && runner_clock_ns() < until_ns) {
		first = first > size ? first - size : 0;
		history_leave_out(&shorter, history, first, size);
		if (!round_agrees(shorter.steps, shorter.count, REPLAY_MS)) {
			*history = shorter;
			thinner = true;
		}
	}
	return thinner;
}

/* Make one step a plainer one. False if it is as plain as this gets. */
static bool step_simplify(struct step *step, int how) {
	struct step before = *step;
	if (how == 0 && step->kind != STEP_UNWRAP) {
		/* But contexts keep their kind of order. */
		step->how &= step->kind == STEP_PLAIN ? 16u : 0;
	} else if (how == 1 && step->kind == STEP_CHAIN) {
		step->b = MODEL_NONE;
	} else if (how == 2 && step->kind == STEP_PLAIN) {
		step->c = MODEL_NONE;
	} else if (how == 3 && step->count > 1) {
		step->count--;
	}
	return memcmp(&before, step, sizeof(before)) != 0;
}

/* True if a step has become plainer. */
static bool history_simplify(struct history *history, int64_t until_ns) {
	static struct history plainer;
	bool simpler = false;
	for (size_t i = 0; i < history->count * 4 && runner_clock_ns() < until_ns; i++) {
		plainer = *history;
		if (step_simplify(&plainer.steps[i / 4], (int)(i % 4)) &&
			!round_agrees(plainer.steps, plainer.count, REPLAY_MS)) {
			*history = plainer;
			simpler = true;
		}
	}
	return simpler;
}

static void history_shrink(struct history *history) {
	int64_t until_ns = runner_clock_ns() + SHRINK_MS * INT64_C(1000000);
	for (size_t size = history->count / 2; size > 0; size /= 2) {
		history_thin(history, size, until_ns);
	}
	while (history_thin(history, 1, until_ns) || history_simplify(history, until_ns)) {
	}
}

static void history_print(const struct history *history, size_t from) {
	for (size_t i = from; i < history->count; i++) {
		step_print(i, &history->steps[i]);
	}
}

/* What failed: now in `history`, as short as it gets. */
static void history_explain(struct history *history, int number, bool quiet) {
	history->count = report->count;
	memcpy(history->steps, report->steps, sizeof(history->steps));
	if (!quiet) {
		printf("round %d, step %zu (%d in all): %s\nthe last steps:\n", number,
			report->failed_at, number * ROUND_STEPS + (int)report->failed_at,
			report->message);
		history_print(
			history, history->count > SHOWN_STEPS ? history->count - SHOWN_STEPS : 0);
	}
	history_shrink(history);
	bool agrees = round_agrees(history->steps, history->count, REPLAY_MS);
	if (!quiet) {
		printf("the shortest that fails%s, at step %zu: %s\n",
			agrees ? " (not always)" : "", report->failed_at, report->message);
		history_print(history, 0);
		fflush(stdout);
	}
}

/* Rounds until one fails; true if none does. */
static bool rounds_agree(uint64_t seed, struct history *history, bool quiet) {
	for (int i = 0; i < ROUNDS; i++) {
		random_state = runner_random(&seed);
		report->count = 0;
		if (!round_agrees(NULL, ROUND_STEPS, ROUND_MS)) {
			history_explain(history, i, quiet);
			return false;
		}
	}
	return true;
}

static struct history found;

/* Wrong code: any answer of fences, arrays, chains or merges that the contract does not allow. */
START_TEST(library_does_what_the_model_does) {
	ck_assert_msg(rounds_agree(runner_seed(), &found, false),
		"STILE_TEST_SEED=0x%" PRIx64 ": they differ: %s", runner_seed(), report->message);
}
END_TEST

/* Wrong code: a comparison that sees nothing; a shrinker that stops early or loses the fault. */
START_TEST(wrong_answer_is_found_and_made_short) {
	lies = true;
	bool agree = rounds_agree(runner_seed(), &found, true);
	lies = false;
	ck_assert(!agree);
	/* A fence, its callback, and the removal, which is a lie; of 400 steps, not always the least. */
	ck_assert_msg(found.count >= 3 && found.count <= 20, "%zu steps", found.count);
}
END_TEST

static Suite *suite(void) {
	Suite *made = suite_create("model");
	TCase *tcase = ledger_tcase_create("histories");
	tcase_set_timeout(tcase, 0);
	tcase_add_test(tcase, library_does_what_the_model_does);
	tcase_add_test(tcase, wrong_answer_is_found_and_made_short);
	suite_add_tcase(made, tcase);
	return made;
}

int main(int argc, char **argv) {
	report = mmap(
		NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (report == MAP_FAILED) {
		return EXIT_FAILURE;
	}
	return runner_main(argc, argv, suite, NULL);
}
