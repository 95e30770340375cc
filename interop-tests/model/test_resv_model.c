/* SPDX-License-Identifier: MIT */
/* Random histories of reservations and their locks: history.h, twin.h, resv_model.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/array.h>
#include <stile/check.h>
#include <stile/fence.h>
#include <stile/resv.h>
#include <stile/wait.h>
#include <stile/ww_mutex.h>

#include "interop-tests/model/blocks.h"
#include "interop-tests/model/history.h"
#include "interop-tests/model/model.h"
#include "interop-tests/model/resv_model.h"
#include "interop-tests/model/twin.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

#if defined(__SANITIZE_THREAD__)
enum { ROUNDS = 150 };
#elif defined(__SANITIZE_ADDRESS__)
enum { ROUNDS = 1000 };
#else
enum { ROUNDS = 2500 }; /* a million steps */
#endif

enum {
	RESVS = RESV_MODEL_RESVS,
	ITERS = RESV_MODEL_ITERS,
	MANY = RESV_MODEL_ENTRIES,
	CROWDED = 48, /* entries, when no more are added */
	CONTEXTS = 8,
	SEQNOS = 16, /* of a context, close to each other */
	LINE_BYTES = 256,
	MAX_FDS = 64,
	REFS = 0x3fffffff, /* of the field; the upper bits are no references */
};

enum step_kind {
	STEP_FENCE,
	STEP_UNREF,
	STEP_SIGNAL,
	STEP_SET_ERROR,
	STEP_FINISH_WORK,
	STEP_ENABLE,
	STEP_ASK,
	STEP_ACQUIRE_INIT,
	STEP_ACQUIRE_DONE,
	STEP_ACQUIRE_SKIP,
	STEP_ACQUIRE_FINI,
	STEP_LOCK,
	STEP_LOCK_SLOW,
	STEP_TRYLOCK,
	STEP_UNLOCK,
	STEP_FINI,
	STEP_RESERVE,
	STEP_ADD,
	STEP_REPLACE,
	STEP_COPY,
	STEP_GET_ERROR,
	STEP_DESCRIBE,
	STEP_WALK,
	STEP_GET_FENCES,
	STEP_SINGLETON,
	STEP_TEST,
	STEP_WAIT,
	STEP_DEADLINE,
	STEP_ITER_BEGIN,
	STEP_ITER_NEXT,
	STEP_ITER_END,
	STEP_POLL,
	STEP_CHECKER,
	STEP_INJECT,
	STEP_KINDS,
};

/* `how` of a wait: when, and whether it was cancelled before. */
enum {
	WAIT_PAST = 1,
	WAIT_NEGATIVE = 2,
	WAIT_FOR_EVER = 3, /* where nothing is pending */
	WAIT_CANCELLED = 4,
};

static const char *const usage_names[] = { "KERNEL", "WRITE", "READ", "BOOKKEEP", "no usage" };

/* ---- The world of a round ----------------------------------------------------------------- */

static struct stile_resv resvs[RESVS];
static int poll_fds[RESVS];
static struct stile_resv_iter iters[ITERS];
static struct stile_ww_acquire acquire;
static struct stile_ww_class foreign_class = STILE_WW_CLASS("foreign", STILE_WW_WAIT_DIE);
static struct stile_ww_acquire foreign;
static struct stile_cancel raised;
static uint64_t contexts[CONTEXTS];
static uint64_t newest_context;
static int mine[MODEL_FENCES]; /* references that are ours, of all that there are */
static unsigned told_more;     /* than has to be */
static unsigned perhaps_told;
static long blocks_at_first;
static int fds_at_first;

/* A wrong answer of the test's own, to see that it is found. */
static bool lies;

static enum stile_resv_usage usage_of(const struct history_step *step) {
	return (enum stile_resv_usage)step->c;
}

/* ---- Comparing ---------------------------------------------------------------------------- */

/* What a poll, or a question to which a fence is no answer, may have done. */
static void adopt_one(int number) {
	if (resv_model_poll_refs(number) > 0 && twins[number].enable_count > 0) {
		model_enable_signaling(number);
	}
	if (!model_has_ended(number) && stile_fence_get_timestamp(twins[number].fence) != 0) {
		model_is_signaled(number);
	}
}

static void adopt(void) {
	twins_muted = true;
	for (int i = 0; i < MODEL_FENCES; i++) {
		if (model_kind(i) == MODEL_PLAIN && !twins[i].released &&
			resv_model_may_be_asked(i)) {
			adopt_one(i);
		}
	}
	twins_muted = false;
}

static void compare_told(void) {
	unsigned wanted = model_told() + resv_model_told();
	unsigned may = wanted + told_more + resv_model_perhaps_told() - perhaps_told;
	if (twins_told() < wanted + told_more || twins_told() > may) {
		history_differ("%u mistakes are told, should be %u to %u: %s", twins_told(),
			wanted + told_more, may, twins_told_text());
	}
	told_more = twins_told() - wanted;
	perhaps_told = resv_model_perhaps_told();
}

static bool may_live(int number) {
	return model_may_live(number) || resv_model_poll_refs(number) > 0;
}

/* A-8. */
static void count_refs_of_arrays(int *refs) {
	for (int i = 0; i < MODEL_FENCES; i++) {
		size_t count = 0;
		const int *members = NULL;
		if (model_kind(i) == MODEL_ARRAY && model_must_live(i)) {
			members = model_members(i, &count);
		}
		for (size_t k = 0; k < count; k++) {
			refs[members[k]]++;
		}
	}
}

/* Contract 20.1: one for each entry and each iterator. */
static void compare_refs(int number, int refs_of_arrays) {
	int least = model_refs(number) + refs_of_arrays;
	int most = least + resv_model_poll_refs(number);
	int got = (int)(twins[number].fence->refs & REFS);
	if (got < least || got > most) {
		history_differ(
			"#%d has %d references, should have %d to %d", number, got, least, most);
	}
}

/* R-15. */
static void compare_deadlines(int number) {
	if (!twins[number].has_deadlines) {
		return;
	}
	twin_compare(twins[number].deadline_count, resv_model_deadline_count(number),
		"the count of set_deadline", number);
	twin_compare(
		twins[number].deadline_ns, resv_model_deadline(number), "the deadline", number);
}

static void compare_fences(void) {
	int refs_of_arrays[MODEL_FENCES] = { 0 };
	count_refs_of_arrays(refs_of_arrays);
	for (int i = 0; i < MODEL_FENCES; i++) {
		if (model_must_live(i)) {
			compare_refs(i, refs_of_arrays[i]);
			compare_deadlines(i);
		}
	}
}

/* R-18: all of them, in their order. */
static void compare_entries(int number) {
	size_t count, place = 0;
	const struct resv_model_entry *entries = resv_model_entries(number, &count);
	struct stile_resv_iter iter;
	struct stile_fence *fence;
	stile_resv_iter_begin(&iter, &resvs[number], STILE_RESV_BOOKKEEP);
	while ((fence = stile_resv_iter_next(&iter)) != NULL) {
		if (place == count) {
			history_differ("there are more than %zu entries in %d", count, number);
		}
		twin_compare_fence(fence, entries[place].fence, "an entry");
		twin_compare(stile_resv_iter_get_usage(&iter), entries[place].usage, "the usage",
			entries[place].fence);
		twin_compare(stile_resv_iter_is_restarted(&iter), place == 0, "is_restarted",
			entries[place].fence);
		place++;
	}
	stile_resv_iter_end(&iter);
	if (place != count) {
		history_differ("there are %zu entries in %d, should be %zu", place, number, count);
	}
}

/* R-19: those that are pending. */
static void compare_pending(int number) {
	int pending[MANY];
	size_t count = resv_model_pending(number, RESV_MODEL_BOOKKEEP, pending), place = 0;
	struct stile_resv_iter iter;
	struct stile_fence *fence;
	stile_resv_iter_begin(&iter, &resvs[number], STILE_RESV_BOOKKEEP);
	while ((fence = stile_resv_iter_next_unlocked(&iter)) != NULL) {
		twin_compare_fence(
			fence, place < count ? pending[place] : MODEL_NONE, "what is pending");
		place++;
	}
	stile_resv_iter_end(&iter);
	if (place != count) {
		history_differ("%zu are pending in %d, should be %zu", place, number, count);
	}
}

/* D-2. */
static void compare_poll(int number) {
	int pending[MANY];
	struct pollfd at = { .fd = poll_fds[number], .events = POLLIN | POLLOUT };
	if (poll(&at, 1, 0) < 0) {
		history_differ("poll: %s", strerror(errno));
	}
	int wanted = 0;
	wanted |= resv_model_pending(number, RESV_MODEL_WRITE, pending) == 0 ? POLLIN : 0;
	wanted |= resv_model_pending(number, RESV_MODEL_READ, pending) == 0 ? POLLOUT : 0;
	twin_compare(at.revents, wanted, "what poll says", number);
}

/* D-3, F-11: nothing would come of it if nobody was asked to signal. */
static void compare_arming(int number, int usage) {
	int pending[MANY];
	size_t count = resv_model_pending(number, usage, pending);
	for (size_t i = 0; i < count; i++) {
		const struct twin *twin = &twins[pending[i]];
		if (!twin->traits.can_enable || twin->enable_count > 0) {
			return;
		}
	}
	if (count > 0) {
		history_differ("a poll of %d enables nobody", number);
	}
}

static void compare_resv(int number) {
	struct stile_resv *resv = &resvs[number];
	bool locked = resv_model_is_locked(number);
	twin_compare(stile_resv_is_locked(resv), locked, "is_locked", number);
	if (stile_resv_get_acquire(resv) != (resv_model_has_context(number) ? &acquire : NULL)) {
		history_differ("get_acquire of %d is wrong", number);
	}
	if (locked) {
		compare_entries(number);
	}
	compare_pending(number);
	for (int usage = 0; usage < RESV_MODEL_USAGES; usage++) {
		int pending[MANY];
		twin_compare(stile_resv_test_signaled(resv, (enum stile_resv_usage)usage),
			resv_model_pending(number, usage, pending) == 0, "test_signaled", number);
	}
	if (resv_model_is_polled(number)) {
		compare_poll(number);
		compare_arming(number, RESV_MODEL_WRITE);
		compare_arming(number, RESV_MODEL_READ);
	}
}

static void forget_the_dead(void) {
	resv_model_settle();
	twins_forget();
}

static void compare_world(void) {
	adopt();
	model_settle();
	compare_told();
	twins_compare_releases(may_live);
	twins_compare_standings();
	compare_fences();
	twins_muted = true;
	for (int i = 0; i < RESVS; i++) {
		compare_resv(i);
	}
	twins_muted = false;
	forget_the_dead();
}

/* ---- When a step makes sense -------------------------------------------------------------- */

static bool is_locked(int resv) {
	return resv_model_is_locked(resv);
}

static bool is_unlocked(int resv) {
	return !resv_model_is_locked(resv);
}

static bool is_iterated(int resv) {
	for (int i = 0; i < ITERS; i++) {
		if (resv_model_iter_resv(i) == resv) {
			return true;
		}
	}
	return false;
}

static bool is_any_locked(void) {
	for (int i = 0; i < RESVS; i++) {
		if (is_locked(i)) {
			return true;
		}
	}
	return false;
}

static bool is_any_plainly_locked(void) {
	for (int i = 0; i < RESVS; i++) {
		if (is_locked(i) && !resv_model_has_context(i)) {
			return true;
		}
	}
	return false;
}

static bool has_context(void) {
	return resv_model_context() == RESV_MODEL_LIVE || resv_model_context() == RESV_MODEL_DONE;
}

/* D-3: which of them a poll enables, and when, is left open; so they must not end by that. */
static bool suits_polls(int resv, int fence) {
	const struct model_traits *traits = &twins[fence].traits;
	return !resv_model_is_polled(resv) || model_has_ended(fence) || !traits->can_enable ||
		!traits->enable_ends;
}

static bool is_mine(int number) {
	return twin_is_usable(number) && mine[number] > 0;
}

static bool is_plain_of_mine(int number) {
	return is_mine(number) && model_kind(number) == MODEL_PLAIN;
}

static bool fence_fits(const struct history_step *step) {
	return twin_is_free(step->a);
}

static bool unref_fits(const struct history_step *step) {
	return is_mine(step->a);
}

static bool plain_fits(const struct history_step *step) {
	return twin_is_plain_alive(step->a);
}

/* Some that are in polled reservations must not end by being enabled. */
static bool enable_fits(const struct history_step *step) {
	if (!plain_fits(step)) {
		return false;
	}
	for (int i = 0; i < RESVS; i++) {
		if (!suits_polls(i, step->a)) {
			return false;
		}
	}
	return true;
}

/* M-14: a thread has one context, and nothing that it locked plainly beside it. */
static bool acquire_init_fits(const struct history_step *step) {
	(void)step;
	return !has_context() && !is_any_locked();
}

static bool acquire_done_fits(const struct history_step *step) {
	(void)step;
	return resv_model_context() == RESV_MODEL_LIVE && resv_model_contended() == MODEL_NONE;
}

static bool acquire_skip_fits(const struct history_step *step) {
	(void)step;
	return has_context() && resv_model_contended() != MODEL_NONE && resv_model_acquired() == 0;
}

static bool acquire_fini_fits(const struct history_step *step) {
	(void)step;
	return has_context() && resv_model_acquired() == 0;
}

/* M-5, M-14: not what one would wait for, for ever; M-10: not before the contended one is done. */
static bool lock_fits(const struct history_step *step) {
	bool locked = is_locked(step->a);
	switch (step->b) {
	case RESV_MODEL_ALONE:
		return locked || !is_any_locked();
	case RESV_MODEL_FOREIGN:
		return !is_any_locked();
	default:
		break;
	}
	if (resv_model_context() == RESV_MODEL_NO_CONTEXT) {
		return false;
	}
	if (resv_model_context() != RESV_MODEL_LIVE) {
		return !locked;
	}
	return resv_model_contended() == MODEL_NONE && (locked || !is_any_plainly_locked());
}

/* Whether the contended one is still that after a mistake is left open. */
static bool lock_slow_fits(const struct history_step *step) {
	if (!has_context() || is_locked(step->a)) {
		return has_context() && resv_model_contended() != step->a;
	}
	return !is_any_plainly_locked();
}

static bool locked_fits(const struct history_step *step) {
	return is_locked(step->a);
}

/* R-3. */
static bool fini_fits(const struct history_step *step) {
	return is_unlocked(step->a) && !is_iterated(step->a) && resv_model_contended() != step->a;
}

static size_t entry_count(int resv) {
	size_t count;
	resv_model_entries(resv, &count);
	return count;
}

/* It is the only one that a poll can enable, and does at once. */
static bool is_next_in_poll(const struct history_step *step) {
	int pending[MANY];
	return is_locked(step->a) && step->c <= RESV_MODEL_READ &&
		resv_model_pending(step->a, RESV_MODEL_READ, pending) == 0;
}

static bool add_fits(const struct history_step *step) {
	return is_mine(step->b) && entry_count(step->a) < CROWDED &&
		(suits_polls(step->a, step->b) || is_next_in_poll(step));
}

static bool replace_fits(const struct history_step *step) {
	return is_mine(step->b) && suits_polls(step->a, step->b);
}

static bool copy_fits(const struct history_step *step) {
	int pending[MANY];
	size_t count = resv_model_pending(step->b, RESV_MODEL_BOOKKEEP, pending);
	for (size_t i = 0; i < count; i++) {
		if (!suits_polls(step->a, pending[i])) {
			return false;
		}
	}
	return true;
}

static bool iter_begin_fits(const struct history_step *step) {
	return resv_model_iter_resv(step->a) == MODEL_NONE;
}

static bool iter_next_fits(const struct history_step *step) {
	return resv_model_iter_resv(step->a) != MODEL_NONE && !resv_model_iter_is_over(step->a);
}

static bool iter_end_fits(const struct history_step *step) {
	return resv_model_iter_resv(step->a) != MODEL_NONE;
}

/* It takes the lock itself. */
static bool poll_fits(const struct history_step *step) {
	int pending[MANY];
	size_t count = resv_model_pending(step->a, RESV_MODEL_BOOKKEEP, pending);
	for (size_t i = 0; i < count; i++) {
		const struct model_traits *traits = &twins[pending[i]].traits;
		if (traits->can_enable && traits->enable_ends) {
			return false;
		}
	}
	return !is_any_locked() && !has_context();
}

static bool checker_fits(const struct history_step *step) {
	(void)step;
	return !is_any_locked() && !has_context();
}

/* ---- Steps: fences ------------------------------------------------------------------------ */

static void do_fence(const struct history_step *step) {
	twin_add_plain(step->a, contexts[step->b], step->number, step->how, NULL, MODEL_NONE);
	mine[step->a] = 1;
}

static void do_unref(const struct history_step *step) {
	mine[step->a]--;
	twin_unref(step->a);
}

/* Whoever signals has a reference. */
static void do_signal(const struct history_step *step) {
	twin_ref(step->a);
	stile_fence_signal(twins[step->a].fence);
	model_signal(step->a);
	twin_unref(step->a);
}

static void do_set_error(const struct history_step *step) {
	int error = twin_error(step->number);
	twin_compare(stile_fence_set_error(twins[step->a].fence, error),
		model_set_error(step->a, error), "set_error", step->a);
}

static void do_finish_work(const struct history_step *step) {
	twins[step->a].work_done = true;
	model_finish_work(step->a);
}

static void do_enable(const struct history_step *step) {
	stile_fence_enable_signaling(twins[step->a].fence);
	model_enable_signaling(step->a);
}

static void do_ask(const struct history_step *step) {
	twin_compare(stile_fence_is_signaled(twins[step->a].fence), model_is_signaled(step->a),
		"is_signaled", step->a);
}

/* ---- Steps: locks ------------------------------------------------------------------------- */

static void do_acquire_init(const struct history_step *step) {
	(void)step;
	memset(&acquire, 0x5a, sizeof(acquire));
	stile_resv_acquire_init(&acquire);
	resv_model_acquire_init();
}

static void do_acquire_done(const struct history_step *step) {
	(void)step;
	stile_ww_acquire_done(&acquire);
	resv_model_acquire_done();
}

static void do_acquire_skip(const struct history_step *step) {
	(void)step;
	stile_ww_acquire_skip(&acquire);
	resv_model_acquire_skip();
}

static void do_acquire_fini(const struct history_step *step) {
	(void)step;
	stile_ww_acquire_fini(&acquire);
	resv_model_acquire_fini();
}

/* Nobody has to wait, so what would cancel a wait does nothing. */
static struct stile_cancel *cancel_of(const struct history_step *step) {
	return step->how != 0 ? &raised : NULL;
}

static void do_lock(const struct history_step *step) {
	struct stile_ww_acquire *with[] = { NULL, &acquire, &foreign };
	if (step->b == RESV_MODEL_FOREIGN) {
		stile_ww_acquire_init(&foreign, &foreign_class);
	}
	int ret = stile_resv_lock(&resvs[step->a], with[step->b], cancel_of(step));
	twin_compare(ret, resv_model_lock(step->a, (enum resv_model_with)step->b), "lock", step->a);
	if (step->b == RESV_MODEL_FOREIGN) {
		stile_ww_acquire_fini(&foreign);
	}
}

static void do_lock_slow(const struct history_step *step) {
	int ret = stile_resv_lock_slow(&resvs[step->a], &acquire, cancel_of(step));
	twin_compare(ret, resv_model_lock_slow(step->a), "lock_slow", step->a);
}

static void do_trylock(const struct history_step *step) {
	twin_compare(stile_resv_trylock(&resvs[step->a]), resv_model_trylock(step->a), "trylock",
		step->a);
}

static void unlock(int resv) {
	stile_resv_unlock(&resvs[resv]);
	resv_model_unlock(resv);
}

/* One, or all, as after -EDEADLK. */
static void do_unlock(const struct history_step *step) {
	unlock(step->a);
	for (int i = 0; i < RESVS && step->how != 0; i++) {
		if (is_locked(i)) {
			unlock(i);
		}
	}
}

/* ---- Steps: with the lock ----------------------------------------------------------------- */

static void do_fini(const struct history_step *step) {
	stile_resv_fini(&resvs[step->a]);
	if (resv_model_is_polled(step->a)) {
		close(poll_fds[step->a]);
	}
	resv_model_fini(step->a);
	memset(&resvs[step->a], 0x5a, sizeof(resvs[step->a]));
	stile_resv_init(&resvs[step->a]);
}

static void do_reserve(const struct history_step *step) {
	struct stile_resv *resv = &resvs[step->a];
	const struct stile_resv_list *list = resv->list;
	uint32_t count = (uint32_t)step->number;
	bool may = resv_model_may_grow(step->a, count), must = resv_model_must_grow(step->a, count);
	blocks_refuse(step->how != 0);
	int ret = stile_resv_reserve_fences(resv, count);
	bool none_left = blocks_allow(), grows = resv->list != list;
	if (grows ? !may || ret != 0 : must && ret == 0) {
		history_differ("the list of %d is%s replaced", step->a, grows ? "" : " not");
	}
	twin_compare(ret, resv_model_reserve(step->a, count, grows, none_left), "reserve_fences",
		step->a);
}

static void do_add(const struct history_step *step) {
	int ret = stile_resv_add_fence(&resvs[step->a], twins[step->b].fence, usage_of(step));
	int wanted = resv_model_add(step->a, step->b, step->c, ret);
	twin_compare(lies ? -ENOSPC : ret, wanted, "add_fence", step->a);
}

static void do_replace(const struct history_step *step) {
	uint64_t context = contexts[step->number];
	int ret = stile_resv_replace_fences(
		&resvs[step->a], context, twins[step->b].fence, usage_of(step));
	int wanted = resv_model_replace(step->a, context, step->b, step->c);
	twin_compare(ret, wanted, "replace_fences", step->a);
}

static void do_copy(const struct history_step *step) {
	struct stile_resv *resv = &resvs[step->a];
	const struct stile_resv_list *list = resv->list;
	size_t before = entry_count(step->a);
	blocks_refuse(step->how != 0);
	int ret = stile_resv_copy_fences(resv, &resvs[step->b]);
	bool none_left = blocks_allow(), replaced = resv->list != list;
	twin_compare(ret, resv_model_copy(step->a, step->b, none_left), "copy_fences", step->a);
	/* Nothing may stay nothing. */
	if (replaced != (ret == 0) && before + entry_count(step->a) > 0) {
		history_differ("the list of %d is%s replaced", step->a, replaced ? "" : " not");
	}
}

static void do_get_error(const struct history_step *step) {
	int error = stile_resv_get_error(&resvs[step->a]);
	resv_model_may_ask(step->a);
	adopt();
	if (!resv_model_get_error(step->a, error)) {
		history_differ("the error of %d should not be %d", step->a, error);
	}
}

/* R-16: the usage and what is said of the fence. Gives what follows the line. */
static const char *compare_line(const char *text, const struct resv_model_entry *entry) {
	char fence[LINE_BYTES], line[LINE_BYTES];
	size_t length = strcspn(text, "\n");
	snprintf(line, sizeof(line), "%.*s", (int)length, text);
	stile_fence_describe(twins[entry->fence].fence, fence, sizeof(fence));
	if (strcasestr(line, usage_names[entry->usage]) == NULL || strstr(line, fence) == NULL) {
		history_differ("\"%s\" does not say that #%d is \"%s\", %s", line, entry->fence,
			fence, usage_names[entry->usage]);
	}
	return text[length] == '\n' ? text + length + 1 : text + length;
}

static void compare_text(int number, const char *text) {
	size_t count;
	const struct resv_model_entry *entries = resv_model_entries(number, &count);
	for (size_t i = 0; i < count; i++) {
		if (entries[i].usage != RESV_MODEL_BOOKKEEP) {
			text = compare_line(text, &entries[i]);
		}
	}
	if (*text != '\0') {
		history_differ("the description of %d goes on: \"%s\"", number, text);
	}
}

static void do_describe(const struct history_step *step) {
	char text[MANY * LINE_BYTES], part[MANY * LINE_BYTES];
	size_t size = (size_t)step->number;
	int length = stile_resv_describe(&resvs[step->a], text, sizeof(text));
	resv_model_may_ask(step->a);
	adopt();
	twins_muted = true;
	twin_compare(length, (int)strlen(text), "the length of the description", step->a);
	compare_text(step->a, text);
	memset(part, 0x5a, sizeof(part));
	twin_compare(stile_resv_describe(&resvs[step->a], size == 0 ? NULL : part, size), length,
		"the length of a part", step->a);
	if (size > 0 && strncmp(part, text, size - 1) != 0) {
		history_differ("a part of the description of %d is another one", step->a);
	}
	if (size > 0 && strnlen(part, size) == size) {
		history_differ("a part of the description of %d does not end", step->a);
	}
	twins_muted = false;
}

/* R-18, with a usage and an early end. */
static void do_walk(const struct history_step *step) {
	size_t count, place = 0;
	const struct resv_model_entry *entries = resv_model_entries(step->a, &count);
	struct stile_resv_iter iter;
	stile_resv_iter_begin(&iter, &resvs[step->a], usage_of(step));
	for (uint64_t found = 0; found < step->number; found++) {
		while (place < count && entries[place].usage > step->c) {
			place++;
		}
		twin_compare_fence(stile_resv_iter_next(&iter),
			place < count ? entries[place].fence : MODEL_NONE, "iter_next");
		if (place == count) {
			break;
		}
		twin_compare(stile_resv_iter_is_restarted(&iter), found == 0, "is_restarted",
			entries[place].fence);
		twin_compare(stile_resv_iter_get_usage(&iter), entries[place].usage, "the usage",
			entries[place].fence);
		place++;
	}
	stile_resv_iter_end(&iter);
}

/* ---- Steps: with or without the lock ------------------------------------------------------ */

static void compare_gotten(struct stile_fence *const *got, const int *wanted, size_t count) {
	for (size_t i = 0; i < count; i++) {
		twin_compare_fence(got[i], wanted[i], "get_fences");
		stile_fence_unref(got[i]);
	}
}

static void do_get_fences(const struct history_step *step) {
	struct stile_fence *got[MANY];
	int wanted[MANY];
	size_t room = (size_t)step->number, count = room;
	int ret = stile_resv_get_fences(&resvs[step->a], usage_of(step), got, &count);
	if (resv_model_check_usage(step->c) != 0) {
		twin_compare(ret, -EINVAL, "get_fences", step->a);
		return;
	}
	size_t there = resv_model_get_fences(step->a, step->c, wanted);
	twin_compare(ret, there > room ? -ENOSPC : 0, "get_fences", step->a);
	twin_compare((int64_t)count, (int64_t)there, "the count of get_fences", step->a);
	if (ret == 0) {
		compare_gotten(got, wanted, there);
	}
}

/* R-11, A-1: a new context, one after the other. It stays, if there is a number for it. */
static void take_array(const struct history_step *step, struct stile_fence *fence,
	const int *wanted, size_t count) {
	if (!stile_fence_is_array(fence) || stile_array_get_count(fence) != count ||
		stile_fence_get_context(fence) <= newest_context ||
		stile_fence_get_seqno(fence) != 1) {
		history_differ("the singleton of %d is no new array of %zu", step->a, count);
	}
	for (size_t i = 0; i < count; i++) {
		twin_compare_fence(stile_array_get_nth(fence, i), wanted[i], "a member");
	}
	newest_context = stile_fence_get_context(fence);
	if (step->b == MODEL_NONE || !twin_is_free(step->b) || count > MODEL_MEMBERS) {
		stile_fence_unref(fence);
		return;
	}
	twins[step->b] = (struct twin){ .fence = fence, .lock = MODEL_NONE };
	model_add_array(step->b, wanted, count, false, newest_context, 1);
	mine[step->b] = 1;
}

static void do_singleton(const struct history_step *step) {
	struct stile_fence junk, *fence = &junk;
	int wanted[MANY];
	blocks_refuse(step->how != 0);
	int ret = stile_resv_get_singleton(&resvs[step->a], usage_of(step), &fence);
	bool none_left = blocks_allow();
	int refusal = resv_model_check_usage(step->c);
	if (refusal != 0 || none_left) {
		twin_compare(ret, refusal != 0 ? refusal : -ENOMEM, "get_singleton", step->a);
		twin_compare_fence(fence, MODEL_NONE, "a failed get_singleton");
		resv_model_may_ask(step->a);
		return;
	}
	size_t count = resv_model_get_fences(step->a, step->c, wanted);
	twin_compare(ret, 0, "get_singleton", step->a);
	if (count > 1) {
		take_array(step, fence, wanted, count);
		return;
	}
	twin_compare_fence(fence, count == 0 ? MODEL_NONE : wanted[0], "get_singleton");
	if (count == 1) {
		mine[wanted[0]]++;
		model_ref(wanted[0]);
	}
}

static void do_test(const struct history_step *step) {
	twin_compare(stile_resv_test_signaled(&resvs[step->a], usage_of(step)),
		resv_model_test_signaled(step->a, step->c), "test_signaled", step->a);
}

static void do_wait(const struct history_step *step) {
	int pending[MANY];
	bool cancelled = (step->how & WAIT_CANCELLED) != 0;
	int64_t deadline_ns = (int64_t[]){ 0, 1, -1, INT64_MAX }[step->how & 3];
	if (deadline_ns == INT64_MAX &&
		resv_model_pending(step->a, RESV_MODEL_BOOKKEEP, pending) > 0) {
		deadline_ns = 1;
	}
	int ret = stile_resv_wait(
		&resvs[step->a], usage_of(step), deadline_ns, cancelled ? &raised : NULL);
	twin_compare(
		ret, resv_model_wait(step->a, step->c, deadline_ns, cancelled), "wait", step->a);
}

static void do_deadline(const struct history_step *step) {
	int64_t deadline_ns = (int64_t)(step->number >> 1);
	stile_resv_set_deadline(&resvs[step->a], usage_of(step), deadline_ns);
	resv_model_set_deadline(step->a, step->c, deadline_ns);
}

static void do_iter_begin(const struct history_step *step) {
	memset(&iters[step->a], 0x5a, sizeof(iters[step->a]));
	stile_resv_iter_begin(&iters[step->a], &resvs[step->b], usage_of(step));
	resv_model_iter_begin(step->a, step->b, step->c);
}

static void do_iter_next(const struct history_step *step) {
	int usage;
	bool restarted;
	const struct stile_fence *fence = stile_resv_iter_next_unlocked(&iters[step->a]);
	int wanted = resv_model_iter_next(step->a, &usage, &restarted);
	twin_compare_fence(fence, wanted, "iter_next_unlocked");
	if (wanted != MODEL_NONE) {
		twin_compare(
			stile_resv_iter_get_usage(&iters[step->a]), usage, "the usage", wanted);
		twin_compare(stile_resv_iter_is_restarted(&iters[step->a]), restarted,
			"is_restarted", wanted);
	}
}

static void do_iter_end(const struct history_step *step) {
	stile_resv_iter_end(&iters[step->a]);
	resv_model_iter_end(step->a);
}

/* All that are given are one: what the one says that was closed, the other one goes on to say. */
static void do_poll(const struct history_step *step) {
	int fd;
	twin_compare(stile_resv_get_poll_fd(&resvs[step->a], &fd), 0, "get_poll_fd", step->a);
	if (resv_model_is_polled(step->a)) {
		close(poll_fds[step->a]);
	}
	poll_fds[step->a] = fd;
	resv_model_poll(step->a);
}

static void do_checker(const struct history_step *step) {
	stile_check_enable(step->how != 0);
	resv_model_set_checks(step->how != 0);
}

static void do_inject(const struct history_step *step) {
	stile_ww_inject_deadlocks(step->how != 0);
	resv_model_set_injection(step->how != 0);
}

/* ---- Printing ----------------------------------------------------------------------------- */

static void print_usage(const struct history_step *step) {
	printf(" resv %d, %s", step->a, usage_names[step->c]);
}

static void print_lock(const struct history_step *step) {
	static const char *const with[] = { "alone", "with the context", "with a foreign one" };
	printf(" resv %d, %s", step->a, with[step->b]);
}

static void print_wait(const struct history_step *step) {
	static const char *const when[] = { "polls", "until 1", "until -1", "for ever" };
	print_usage(step);
	printf(", %s%s", when[step->how & 3], step->how & WAIT_CANCELLED ? ", cancelled" : "");
}

static void print_fence(const struct history_step *step) {
	printf(" #%d: context %d, seqno %#" PRIx64, step->a, step->b, step->number);
	twin_print_how(step->how);
}

static void print_with_fence(const struct history_step *step) {
	print_usage(step);
	printf(", #%d", step->b);
	if (step->kind == STEP_REPLACE) {
		printf(" for context %" PRIu64, step->number);
	}
}

static void print_memory(const struct history_step *step) {
	if (step->kind == STEP_COPY) {
		printf(" resv %d from %d", step->a, step->b);
	} else if (step->kind == STEP_RESERVE) {
		printf(" resv %d, %" PRIu64, step->a, step->number);
	} else {
		print_usage(step);
		printf(", perhaps as #%d", step->b);
	}
	printf("%s", step->how != 0 ? ", no memory" : "");
}

static void step_print(const struct history_step *step) {
	switch (step->kind) {
	case STEP_FENCE:
		print_fence(step);
		break;
	case STEP_SET_ERROR:
		printf(" #%d: %d", step->a, twin_error(step->number));
		break;
	case STEP_UNREF:
	case STEP_SIGNAL:
	case STEP_FINISH_WORK:
	case STEP_ENABLE:
	case STEP_ASK:
		printf(" #%d", step->a);
		break;
	case STEP_LOCK:
		print_lock(step);
		break;
	case STEP_RESERVE:
	case STEP_COPY:
	case STEP_SINGLETON:
		print_memory(step);
		break;
	case STEP_ADD:
	case STEP_REPLACE:
		print_with_fence(step);
		break;
	case STEP_WALK:
	case STEP_GET_FENCES:
		print_usage(step);
		printf(", at most %" PRIu64, step->number);
		break;
	case STEP_TEST:
	case STEP_DEADLINE:
		print_usage(step);
		break;
	case STEP_WAIT:
		print_wait(step);
		break;
	case STEP_ITER_BEGIN:
		printf(" iter %d of resv %d, %s", step->a, step->b, usage_names[step->c]);
		break;
	case STEP_ITER_NEXT:
	case STEP_ITER_END:
		printf(" iter %d", step->a);
		break;
	case STEP_UNLOCK:
		printf(" resv %d%s", step->a, step->how != 0 ? " and all others" : "");
		break;
	case STEP_CHECKER:
	case STEP_INJECT:
		printf(" %s", step->how != 0 ? "on" : "off");
		break;
	case STEP_ACQUIRE_INIT:
	case STEP_ACQUIRE_DONE:
	case STEP_ACQUIRE_SKIP:
	case STEP_ACQUIRE_FINI:
		break;
	default:
		printf(" resv %d", step->a);
	}
}

/* ---- Making steps ------------------------------------------------------------------------- */

/* In some rounds little ends and most of it is about the same one, so that much is pending there. */
static bool is_calm(void) {
	static enum { UNDECIDED, CALM, LIVELY } kind = UNDECIDED;
	if (kind == UNDECIDED) {
		kind = history_percent(20) ? CALM : LIVELY;
	}
	return kind == CALM;
}

/* One that `fits`, MODEL_NONE if there is none. */
static int pick_resv(bool (*fits)(int resv)) {
	int first = history_below(is_calm() && history_percent(90) ? 1 : RESVS);
	for (int i = 0; i < RESVS; i++) {
		if (fits((first + i) % RESVS)) {
			return (first + i) % RESVS;
		}
	}
	return MODEL_NONE;
}

static bool is_container_of_mine(int number) {
	return is_mine(number) && twin_is_container(number);
}

static bool has_room(int resv) {
	return is_locked(resv) && !resv_model_may_grow(resv, 1);
}

static void fill_fence(struct history_step *step) {
	/* Close to each other; of 32 bits some where they wrap around, and some half of them apart. */
	static const uint64_t first[CONTEXTS] = { 1, 0xfffffff8, 0x7ffffff8, 5, 0xfffffff0, 100,
		1000, UINT64_C(1) << 40 };
	step->a = twin_pick(twin_is_free);
	step->b = history_below(CONTEXTS);
	step->number = first[step->b] + (uint64_t)history_below(SEQNOS);
	if (step->b != CONTEXTS - 1) {
		/* Nobody may look at the upper half. */
		step->number = (uint32_t)step->number | (uint64_t)history_below(3) << 32;
		step->number ^= history_percent(10) ? UINT64_C(1) << 31 : 0;
	}
	step->how = (history_percent(40) ? TWIN_CAN_ENABLE : 0u) |
		(history_percent(10) ? TWIN_ENABLING_ENDS : 0u) |
		(history_percent(50) ? TWIN_CAN_LOOK : 0u) |
		(history_percent(30) ? TWIN_FAILS : 0u) |
		(history_percent(50) ? TWIN_HAS_DEADLINE : 0u) |
		(step->b == CONTEXTS - 1 ? TWIN_SEQNO64 : 0u);
}

/* Mostly what can be done; sometimes a mistake. */
static void fill_add(struct history_step *step) {
	bool mistaken = history_percent(3);
	step->a = mistaken                   ? history_below(RESVS)
		: step->kind == STEP_REPLACE ? pick_resv(is_locked)
					     : pick_resv(has_room);
	step->b = twin_pick(history_percent(97) ? is_plain_of_mine : is_container_of_mine);
	step->c = history_below(history_percent(98) ? RESV_MODEL_USAGES : RESV_MODEL_USAGES + 1);
	step->number = (uint64_t)history_below(CONTEXTS);
}

static void fill_lock(struct history_step *step) {
	step->a = pick_resv(history_percent(95) ? is_unlocked : is_locked);
	step->b = resv_model_context() == RESV_MODEL_LIVE ? RESV_MODEL_CONTEXT : RESV_MODEL_ALONE;
	if (history_percent(5)) {
		step->b = history_below(RESV_MODEL_FOREIGN + 1);
	}
	step->how = history_percent(10);
	if (step->kind == STEP_LOCK_SLOW && history_percent(95)) {
		step->a = resv_model_contended();
	}
}

static void fill_reserve(struct history_step *step) {
	step->a = pick_resv(is_locked);
	step->number = 1 + (uint64_t)(history_percent(80) ? history_below(3) : history_below(9));
	if (history_percent(2)) {
		step->number = history_percent(50) ? 0 : UINT32_MAX;
	}
}

static void fill_question(struct history_step *step) {
	step->a = history_below(is_calm() && history_percent(50) ? 1 : RESVS);
	step->c = history_below(RESV_MODEL_USAGES);
	step->number = history_random();
	switch (step->kind) {
	case STEP_GET_FENCES:
		step->c = history_percent(95) ? step->c : RESV_MODEL_USAGES;
		step->number = (uint64_t)(history_percent(70) ? MANY : history_below(4));
		break;
	case STEP_SINGLETON:
		step->c = history_percent(95) ? step->c : RESV_MODEL_USAGES;
		step->b = twin_pick(twin_is_free);
		step->how = history_percent(10);
		break;
	case STEP_WAIT:
		step->c = history_percent(95) ? step->c : RESV_MODEL_USAGES;
		step->how = (unsigned)history_below(WAIT_CANCELLED * 2);
		break;
	default:
		break;
	}
}

static void fill_iter(struct history_step *step) {
	step->a = history_below(ITERS);
	step->b = history_below(RESVS);
	step->c = history_below(RESV_MODEL_USAGES);
}

static void fill_locked(struct history_step *step) {
	step->a = step->kind == STEP_COPY && history_percent(3) ? history_below(RESVS)
								: pick_resv(is_locked);
	step->b = history_below(RESVS);
	step->c = history_below(RESV_MODEL_USAGES);
	step->number = (uint64_t)history_below(step->kind == STEP_WALK ? 8 : LINE_BYTES * 2);
	step->how = history_percent(10);
}

static bool step_fill(struct history_step *step) {
	bool ends = step->kind == STEP_SIGNAL || step->kind == STEP_FINISH_WORK ||
		step->kind == STEP_COPY || step->kind == STEP_UNREF;
	if (ends && is_calm() && history_percent(90)) {
		return false;
	}
	bool needs_fence = step->kind == STEP_ADD || step->kind == STEP_REPLACE;
	switch (step->kind) {
	case STEP_FENCE:
		fill_fence(step);
		break;
	case STEP_UNREF:
		step->a = twin_pick(is_mine);
		break;
	case STEP_SIGNAL:
	case STEP_SET_ERROR:
	case STEP_FINISH_WORK:
	case STEP_ENABLE:
		step->a = twin_pick(twin_is_plain_alive);
		step->number = history_random();
		break;
	case STEP_ASK:
		step->a = twin_pick(history_percent(50) ? is_mine : is_container_of_mine);
		break;
	case STEP_LOCK:
	case STEP_LOCK_SLOW:
		fill_lock(step);
		break;
	case STEP_TRYLOCK:
	case STEP_FINI:
	case STEP_POLL:
		step->a = history_below(RESVS);
		break;
	case STEP_UNLOCK:
		step->a = pick_resv(is_locked);
		step->how = history_percent(resv_model_contended() == MODEL_NONE ? 30 : 80);
		break;
	case STEP_RESERVE:
		fill_reserve(step);
		step->how = history_percent(10);
		break;
	case STEP_ADD:
	case STEP_REPLACE:
		fill_add(step);
		break;
	case STEP_COPY:
	case STEP_GET_ERROR:
	case STEP_DESCRIBE:
	case STEP_WALK:
		fill_locked(step);
		break;
	case STEP_ITER_BEGIN:
	case STEP_ITER_NEXT:
	case STEP_ITER_END:
		fill_iter(step);
		break;
	case STEP_CHECKER:
	case STEP_INJECT:
		step->how = history_percent(50);
		break;
	default:
		fill_question(step);
	}
	return step->a != MODEL_NONE && (!needs_fence || step->b != MODEL_NONE);
}

static const struct history_kind kinds[STEP_KINDS] = {
	[STEP_FENCE] = { "fence", 100, do_fence, fence_fits },
	[STEP_UNREF] = { "unref", 70, do_unref, unref_fits },
	[STEP_SIGNAL] = { "signal", 45, do_signal, plain_fits },
	[STEP_SET_ERROR] = { "set_error", 15, do_set_error, plain_fits },
	[STEP_FINISH_WORK] = { "finish_work", 30, do_finish_work, plain_fits },
	[STEP_ENABLE] = { "enable_signaling", 10, do_enable, enable_fits },
	[STEP_ASK] = { "is_signaled", 15, do_ask, unref_fits },
	[STEP_ACQUIRE_INIT] = { "acquire_init", 80, do_acquire_init, acquire_init_fits },
	[STEP_ACQUIRE_DONE] = { "acquire_done", 2, do_acquire_done, acquire_done_fits },
	[STEP_ACQUIRE_SKIP] = { "acquire_skip", 10, do_acquire_skip, acquire_skip_fits },
	[STEP_ACQUIRE_FINI] = { "acquire_fini", 30, do_acquire_fini, acquire_fini_fits },
	[STEP_LOCK] = { "lock", 120, do_lock, lock_fits },
	[STEP_LOCK_SLOW] = { "lock_slow", 30, do_lock_slow, lock_slow_fits },
	[STEP_TRYLOCK] = { "trylock", 12, do_trylock, NULL },
	[STEP_UNLOCK] = { "unlock", 60, do_unlock, locked_fits },
	[STEP_FINI] = { "fini", 4, do_fini, fini_fits },
	[STEP_RESERVE] = { "reserve_fences", 100, do_reserve, locked_fits },
	[STEP_ADD] = { "add_fence", 260, do_add, add_fits },
	[STEP_REPLACE] = { "replace_fences", 20, do_replace, replace_fits },
	[STEP_COPY] = { "copy_fences", 20, do_copy, copy_fits },
	[STEP_GET_ERROR] = { "get_error", 25, do_get_error, locked_fits },
	[STEP_DESCRIBE] = { "describe", 5, do_describe, locked_fits },
	[STEP_WALK] = { "iter_next", 10, do_walk, locked_fits },
	[STEP_GET_FENCES] = { "get_fences", 25, do_get_fences, NULL },
	[STEP_SINGLETON] = { "get_singleton", 25, do_singleton, NULL },
	[STEP_TEST] = { "test_signaled", 15, do_test, NULL },
	[STEP_WAIT] = { "wait", 25, do_wait, NULL },
	[STEP_DEADLINE] = { "set_deadline", 20, do_deadline, NULL },
	[STEP_ITER_BEGIN] = { "iter_begin", 30, do_iter_begin, iter_begin_fits },
	[STEP_ITER_NEXT] = { "iter_next_unlocked", 90, do_iter_next, iter_next_fits },
	[STEP_ITER_END] = { "iter_end", 10, do_iter_end, iter_end_fits },
	[STEP_POLL] = { "get_poll_fd", 4, do_poll, poll_fits },
	[STEP_CHECKER] = { "check_enable", 3, do_checker, checker_fits },
	[STEP_INJECT] = { "inject_deadlocks", 6, do_inject, NULL },
};

/* Make one step a plainer one. */
static void step_simplify(struct history_step *step, int way) {
	if (way == 0) {
		/* But contexts keep their kind of order. */
		step->how &= step->kind == STEP_FENCE ? TWIN_SEQNO64 : 0;
	} else if (way == 1 && step->kind == STEP_RESERVE) {
		step->number = 1;
	} else if (way == 2 && step->kind == STEP_SINGLETON) {
		step->b = MODEL_NONE;
	}
}

/* ---- Rounds ------------------------------------------------------------------------------- */

static int count_fds(void) {
	int count = 0;
	for (int fd = 0; fd < MAX_FDS; fd++) {
		count += fcntl(fd, F_GETFD) >= 0;
	}
	return count;
}

static void world_begin(void) {
	twins_reset();
	resv_model_reset();
	twins_forget();
	stile_check_enable(true);
	stile_cancel_init(&raised);
	stile_cancel_raise(&raised);
	for (int i = 0; i < RESVS; i++) {
		memset(&resvs[i], 0x5a, sizeof(resvs[i]));
		stile_resv_init(&resvs[i]);
	}
	for (size_t i = 0; i < CONTEXTS; i++) {
		contexts[i] = newest_context = stile_fence_context_alloc(1);
	}
	/* What the checker allocates it does at its first sight of anything. */
	if (stile_resv_trylock(&resvs[0]) != 0) {
		history_differ("a new reservation is locked");
	}
	stile_resv_unlock(&resvs[0]);
	stile_fence_unref(stile_fence_get_stub());
	blocks_at_first = blocks_count();
	fds_at_first = count_fds();
}

static void do_all(int kind, int count) {
	for (int i = 0; i < count; i++) {
		struct history_step step = { .kind = kind, .a = i };
		while (kinds[kind].fits(&step)) {
			history_do(&step);
			if (kind == STEP_SIGNAL || kind == STEP_FINI) {
				break;
			}
		}
	}
}

/* Give everything back: nothing may be left then. */
static void world_end(void) {
	do_all(STEP_SIGNAL, MODEL_FENCES);
	do_all(STEP_ITER_END, ITERS);
	do_all(STEP_UNLOCK, RESVS);
	do_all(STEP_ACQUIRE_FINI, 1);
	do_all(STEP_UNREF, MODEL_FENCES);
	do_all(STEP_FINI, RESVS);
	if (blocks_count() != blocks_at_first) {
		history_differ("%ld objects are left at the end", blocks_count() - blocks_at_first);
	}
	if (count_fds() != fds_at_first) {
		history_differ("%d descriptors are left at the end", count_fds() - fds_at_first);
	}
}

static const struct history_world world = {
	.rounds = ROUNDS,
	.kind_count = STEP_KINDS,
	.kinds = kinds,
	.begin = world_begin,
	.fill = step_fill,
	.compare = compare_world,
	.end = world_end,
	.print = step_print,
	.simplify = step_simplify,
};

/* Wrong code: any answer of reservations or their locks that the contract does not allow. */
START_TEST(library_does_what_the_model_does) {
	ck_assert_msg(history_agrees(&world, false),
		"STILE_TEST_SEED=0x%" PRIx64 ": they differ: %s", runner_seed(),
		history_difference());
}
END_TEST

/* Wrong code: a comparison that sees nothing; a shrinker that stops early or loses the fault. */
START_TEST(wrong_answer_is_found_and_made_short) {
	lies = true;
	bool agree = history_agrees(&world, true);
	lies = false;
	ck_assert(!agree);
	/* A fence, and that it is added, of which a lie is told; not always the least. */
	ck_assert_msg(
		history_length() >= 2 && history_length() <= 20, "%zu steps", history_length());
}
END_TEST

static Suite *suite(void) {
	Suite *made = suite_create("resv_model");
	TCase *tcase = ledger_tcase_create("histories");
	tcase_set_timeout(tcase, 0);
	tcase_add_test(tcase, library_does_what_the_model_does);
	tcase_add_test(tcase, wrong_answer_is_found_and_made_short);
	suite_add_tcase(made, tcase);
	return made;
}

int main(int argc, char **argv) {
	if (!history_setup()) {
		return EXIT_FAILURE;
	}
	return runner_main(argc, argv, suite, NULL);
}
