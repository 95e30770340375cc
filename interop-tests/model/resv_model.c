/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/resv_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "interop-tests/model/model.h"

enum { MAX_LOSSES = 2048 };

/* The error of an entry of the last write that has gone. */
struct loss {
	int error;
	bool counts; /* it is said that it does; else nobody says */
};

struct resv {
	bool locked, with_context;
	size_t count;
	struct resv_model_entry entries[RESV_MODEL_ENTRIES];
	uint64_t list; /* which list it is: another one after each growth and copy */
	/* how many there are for certain, and perhaps. */
	size_t slots, most_slots;

	/* stile_resv_get_error(). */
	bool writing; /* what is written belongs to the last write, since the lock was not given up */
	size_t loss_count;
	struct loss losses[MAX_LOSSES];
	int told_error; /* what has been told of it; 0: nothing */

	bool polled;
};

struct iter {
	int resv; /* MODEL_NONE: it is not open */
	int usage;
	bool begun, over;
	uint64_t list;
	size_t index, count;
	int fence; /* has a reference; MODEL_NONE: there is none */
};

static struct {
	struct resv resvs[RESV_MODEL_RESVS];
	struct iter iters[RESV_MODEL_ITERS];
	uint64_t lists;
	bool checks;
	bool injects; /* into contexts from now on */
	unsigned told, perhaps_told;

	/* The context. */
	enum resv_model_context context;
	uint32_t stamp;
	int acquired;
	int contended;
	bool injected;
	uint32_t until, interval;

	/* Of each fence. */
	bool may_be_asked[MODEL_FENCES];
	bool may_be_armed[MODEL_FENCES][RESV_MODEL_RESVS];
	unsigned deadline_count[MODEL_FENCES];
	int64_t deadline_ns[MODEL_FENCES];
} world;

static struct resv *at(int resv) {
	return &world.resvs[resv];
}

static void require(bool ok) {
	if (!ok) {
		abort();
	}
}

static bool is_container(int fence) {
	return model_kind(fence) == MODEL_ARRAY || model_kind(fence) == MODEL_CHAIN;
}

static bool is_usage(int usage) {
	return usage >= 0 && usage < RESV_MODEL_USAGES;
}

/* */
static void init(struct resv *r) {
	*r = (struct resv){ .list = ++world.lists };
}

void resv_model_reset(void) {
	memset(&world, 0, sizeof(world));
	world.checks = true;
	world.contended = MODEL_NONE;
	for (int i = 0; i < RESV_MODEL_RESVS; i++) {
		init(at(i));
	}
	for (int i = 0; i < RESV_MODEL_ITERS; i++) {
		world.iters[i] = (struct iter){ .resv = MODEL_NONE, .fence = MODEL_NONE };
	}
}

void resv_model_set_checks(bool on) {
	world.checks = on;
}

void resv_model_set_injection(bool on) {
	world.injects = on;
}

unsigned resv_model_told(void) {
	return world.told;
}

unsigned resv_model_perhaps_told(void) {
	return world.perhaps_told;
}

static int misuse(int error) {
	world.told++;
	return error;
}

/* stile_ww_mutex_lock(): it would wait for ever. The checker may say more. */
static int misuse_of_own(int error) {
	world.perhaps_told++;
	return misuse(error);
}

/* An error of which no header says whether it is a misuse. */
static int refusal(int error) {
	world.perhaps_told++;
	return error;
}

/* ---- Locks -------------------------------------------------------------------------------- */

/* M-2. M-15: the first one after as many as the stamp says. */
void resv_model_acquire_init(void) {
	world.context = RESV_MODEL_LIVE;
	world.stamp++;
	world.acquired = 0;
	world.contended = MODEL_NONE;
	world.injected = world.injects;
	world.until = world.stamp % 16;
	world.interval = 1;
}

void resv_model_acquire_done(void) {
	world.context = RESV_MODEL_DONE;
}

/* M-10: given up as a candidate. */
void resv_model_acquire_skip(void) {
	require(world.acquired == 0);
	world.contended = MODEL_NONE;
}

void resv_model_acquire_fini(void) {
	require(world.acquired == 0);
	world.context = RESV_MODEL_ENDED;
	world.contended = MODEL_NONE;
}

enum resv_model_context resv_model_context(void) {
	return world.context;
}

int resv_model_acquired(void) {
	return world.acquired;
}

int resv_model_contended(void) {
	return world.contended;
}

bool resv_model_is_locked(int resv) {
	return at(resv)->locked;
}

bool resv_model_has_context(int resv) {
	return at(resv)->locked && at(resv)->with_context;
}

static void take(struct resv *r, bool with_context) {
	require(!r->locked);
	r->locked = true;
	r->with_context = with_context;
	world.acquired += with_context;
}

/* M-12. */
static void give_up(struct resv *r) {
	require(r->locked);
	world.acquired -= r->with_context;
	r->locked = false;
	r->with_context = false;
}

/* with the checker, slots that are not used are void. */
void resv_model_unlock(int resv) {
	struct resv *r = at(resv);
	give_up(r);
	r->writing = false;
	if (world.checks) {
		r->slots = r->count;
		r->most_slots = r->count;
	}
}

/* M-15: with two or more, each time after 3.5 times as many; the one just taken is given back. */
static bool inject(void) {
	if (!world.injected || world.acquired < 2 || world.until-- > 0) {
		return false;
	}
	world.interval = world.interval * 3 + world.interval / 2;
	world.until = world.interval;
	return true;
}

/* M-5. */
static int lock_with_context(int resv) {
	struct resv *r = at(resv);
	if (world.context != RESV_MODEL_LIVE) {
		return misuse(-EINVAL);
	}
	if (resv_model_has_context(resv)) {
		return -EALREADY;
	}
	if (r->locked) {
		return misuse_of_own(-EINVAL);
	}
	take(r, true);
	if (inject()) {
		give_up(r);
		world.contended = resv;
		return -EDEADLK;
	}
	return 0;
}

int resv_model_lock(int resv, enum resv_model_with with) {
	if (with == RESV_MODEL_FOREIGN) {
		return misuse(-EINVAL);
	}
	if (with == RESV_MODEL_CONTEXT) {
		return lock_with_context(resv);
	}
	if (at(resv)->locked) {
		return misuse_of_own(-EDEADLK);
	}
	take(at(resv), false);
	return 0;
}

/* M-10. */
int resv_model_lock_slow(int resv) {
	if (world.context != RESV_MODEL_LIVE || world.acquired > 0 || world.contended != resv ||
		at(resv)->locked) {
		return misuse_of_own(-EINVAL);
	}
	take(at(resv), true);
	world.contended = MODEL_NONE;
	return 0;
}

/* M-11. */
int resv_model_trylock(int resv) {
	if (at(resv)->locked) {
		return -EBUSY;
	}
	take(at(resv), false);
	return 0;
}

/* ---- Entries ------------------------------------------------------------------------------ */

const struct resv_model_entry *resv_model_entries(int resv, size_t *count) {
	*count = at(resv)->count;
	return at(resv)->entries;
}

/* An entry goes: if it is done it is known how it went; else nobody has to ask, but may. */
static void lose(struct resv *r, const struct resv_model_entry *entry) {
	int status = model_status_if_asked(entry->fence);
	if (entry->part != RESV_MODEL_NO_PART && status < 0) {
		require(r->loss_count < MAX_LOSSES);
		r->losses[r->loss_count++] = (struct loss){ status,
			entry->part == RESV_MODEL_PART && model_has_ended(entry->fence) };
	}
	model_unref(entry->fence);
}

static enum resv_model_part part_after(const struct resv_model_entry *old, int fence) {
	if (old->part == RESV_MODEL_NO_PART || model_has_ended(old->fence)) {
		return RESV_MODEL_NO_PART;
	}
	return old->fence == fence ? old->part : RESV_MODEL_HEIR;
}

/* each entry has a reference. */
static void set_entry(struct resv *r, size_t place, int fence, int usage) {
	struct resv_model_entry entry = { fence, usage, RESV_MODEL_NO_PART };
	model_ref(fence);
	if (place < r->count) {
		entry.part = part_after(&r->entries[place], fence);
		lose(r, &r->entries[place]);
	} else {
		r->count++;
		require(r->count <= RESV_MODEL_ENTRIES);
	}
	r->entries[place] = entry;
}

/* Have others instead, whose references are the list's from now on. */
static void set_entries(struct resv *r, const struct resv_model_entry *entries, size_t count) {
	for (size_t i = 0; i < r->count; i++) {
		lose(r, &r->entries[i]);
	}
	memcpy(r->entries, entries, count * sizeof(entries[0]));
	r->count = count;
	/* iterators notice. */
	r->list = ++world.lists;
}

/* */
void resv_model_fini(int resv) {
	require(!at(resv)->locked);
	set_entries(at(resv), at(resv)->entries, 0);
	init(at(resv));
	for (int i = 0; i < MODEL_FENCES; i++) {
		world.may_be_armed[i][resv] = false;
	}
}

/* Those that are pending, each with a reference; all are asked. */
static size_t gather(const struct resv *r, struct resv_model_entry *pending) {
	size_t count = 0;
	for (size_t i = 0; i < r->count; i++) {
		if (!model_is_signaled(r->entries[i].fence)) {
			model_ref(r->entries[i].fence);
			pending[count++] = r->entries[i];
		}
	}
	return count;
}

bool resv_model_may_grow(int resv, uint32_t count) {
	return at(resv)->count + count > at(resv)->slots;
}

bool resv_model_must_grow(int resv, uint32_t count) {
	return at(resv)->count + count > at(resv)->most_slots;
}

/* */
static size_t grown(size_t used, size_t slots, size_t count) {
	size_t first = 4;
	if (slots > 0) {
		return used + count > 2 * slots ? used + count : 2 * slots;
	}
	while (first < count) {
		first *= 2;
	}
	return first;
}

int resv_model_reserve(int resv, uint32_t count, bool grows, bool refused) {
	struct resv_model_entry pending[RESV_MODEL_ENTRIES];
	struct resv *r = at(resv);
	if (count == 0) {
		return misuse(-EINVAL);
	}
	if (count > INT32_MAX) {
		return refusal(-EINVAL);
	}
	if (refused) {
		return -ENOMEM;
	}
	if (grows) {
		/* Of none for certain, it may be the first growth, or the next one. */
		size_t least = grown(r->count, r->slots, count);
		size_t most = grown(r->count, r->most_slots, count);
		r->slots = least < most ? least : most;
		r->most_slots = least < most ? most : least;
		set_entries(r, pending, gather(r, pending));
	} else if (r->slots < r->count + count) {
		r->slots = r->count + count;
	}
	return 0;
}

/* the first slot that (a) the fence makes superfluous, or (b) is done; else one at the end. */
static size_t find_place(const struct resv *r, int fence, int usage) {
	size_t place = 0;
	for (; place < r->count; place++) {
		const struct resv_model_entry *old = &r->entries[place];
		bool same_context = model_context(old->fence) == model_context(fence);
		if (same_context && old->usage >= usage &&
			model_is_later_or_same(fence, old->fence)) {
			/* The order of (a) and (b) is left open. */
			world.may_be_asked[old->fence] = true;
			break;
		}
		if (model_is_signaled(old->fence)) {
			break;
		}
	}
	return place;
}

/* What is added as a write until the lock is given up is one write, and the last one. */
static void begin_write(struct resv *r) {
	r->loss_count = 0;
	r->told_error = 0;
	r->writing = true;
	for (size_t i = 0; i < r->count; i++) {
		r->entries[i].part = RESV_MODEL_NO_PART;
	}
}

/* what takes the place of another one needs no room. */
int resv_model_add(int resv, int fence, int usage, int got) {
	struct resv *r = at(resv);
	if (!r->locked || !is_usage(usage) || is_container(fence)) {
		return misuse(-EINVAL);
	}
	size_t place = find_place(r, fence, usage);
	bool refused = got == -ENOSPC ? place >= r->slots : place >= r->most_slots;
	if (place == r->count && refused) {
		return misuse(-ENOSPC);
	}
	if (usage == RESV_MODEL_WRITE && !r->writing) {
		begin_write(r);
	}
	set_entry(r, place, fence, usage);
	if (usage == RESV_MODEL_WRITE) {
		r->entries[place].part = RESV_MODEL_PART;
	}
	r->slots = r->slots > r->count ? r->slots : r->count;
	return 0;
}

/* */
int resv_model_replace(int resv, uint64_t context, int fence, int usage) {
	struct resv *r = at(resv);
	if (!r->locked || !is_usage(usage) || is_container(fence)) {
		return misuse(-EINVAL);
	}
	for (size_t i = 0; i < r->count; i++) {
		if (model_context(r->entries[i].fence) == context) {
			/* Of a write it may be asked how it went. */
			world.may_be_asked[r->entries[i].fence] = true;
			set_entry(r, i, fence, usage);
		}
	}
	return 0;
}

/* What an allocator has added may be room, or not. */
int resv_model_copy(int resv, int other, bool refused) {
	struct resv_model_entry pending[RESV_MODEL_ENTRIES];
	struct resv *r = at(resv);
	if (!r->locked) {
		return misuse(-EINVAL);
	}
	if (refused) {
		resv_model_may_ask(other);
		return -ENOMEM;
	}
	size_t most = at(other)->count;
	resv_model_may_ask(resv);
	set_entries(r, pending, gather(at(other), pending));
	for (size_t i = 0; i < r->count; i++) {
		r->entries[i].part = RESV_MODEL_NO_PART;
	}
	r->slots = r->count;
	r->most_slots = most;
	return 0;
}

/* Any of its errors; 0, if none counts. */
static bool may_be_told(const struct resv *r, int error) {
	bool found = false, counts = false;
	for (size_t i = 0; i < r->loss_count; i++) {
		found = found || r->losses[i].error == error;
		counts = counts || r->losses[i].counts;
	}
	for (size_t i = 0; i < r->count; i++) {
		enum resv_model_part part = r->entries[i].part;
		int status = model_status(r->entries[i].fence);
		found = found || (part != RESV_MODEL_NO_PART && status == error);
		counts = counts || (part == RESV_MODEL_PART && status < 0);
	}
	return error == 0 ? !counts : found;
}

bool resv_model_get_error(int resv, int got) {
	struct resv *r = at(resv);
	if (r->told_error != 0) {
		return got == r->told_error;
	}
	for (size_t i = 0; i < r->count; i++) {
		/* F-13: who is asked how it went asks for the status. */
		if (r->entries[i].part == RESV_MODEL_PART && got == 0) {
			model_is_signaled(r->entries[i].fence);
		}
	}
	r->told_error = got;
	return may_be_told(r, got);
}

/* ---- Questions ---------------------------------------------------------------------------- */

int resv_model_check_usage(int usage) {
	return is_usage(usage) ? 0 : refusal(-EINVAL);
}

/* Is it pending, and one that was asked for? Whether others are asked is left open. */
static bool matches(const struct resv_model_entry *entry, int usage) {
	if (entry->usage > usage) {
		world.may_be_asked[entry->fence] = true;
		return false;
	}
	return !model_is_signaled(entry->fence);
}

/* */
size_t resv_model_get_fences(int resv, int usage, int *fences) {
	const struct resv *r = at(resv);
	size_t count = 0;
	for (size_t i = 0; i < r->count; i++) {
		if (matches(&r->entries[i], usage)) {
			fences[count++] = r->entries[i].fence;
		}
	}
	return count;
}

/* */
bool resv_model_test_signaled(int resv, int usage) {
	const struct resv *r = at(resv);
	for (size_t i = 0; i < r->count; i++) {
		if (matches(&r->entries[i], usage)) {
			return false;
		}
	}
	return true;
}

/* R-13; F-15: enabled, then looked at, then given up. */
int resv_model_wait(int resv, int usage, int64_t deadline_ns, bool cancelled) {
	const struct resv *r = at(resv);
	if (deadline_ns < 0 || !is_usage(usage)) {
		return refusal(-EINVAL);
	}
	for (size_t i = 0; i < r->count; i++) {
		if (matches(&r->entries[i], usage) && model_wait(r->entries[i].fence) != 0) {
			return cancelled ? -EINTR : -ETIME;
		}
	}
	return 0;
}

/* */
void resv_model_set_deadline(int resv, int usage, int64_t deadline_ns) {
	const struct resv *r = at(resv);
	for (size_t i = 0; i < r->count; i++) {
		if (matches(&r->entries[i], usage)) {
			world.deadline_count[r->entries[i].fence]++;
			world.deadline_ns[r->entries[i].fence] = deadline_ns;
		}
	}
}

unsigned resv_model_deadline_count(int fence) {
	return world.deadline_count[fence];
}

int64_t resv_model_deadline(int fence) {
	return world.deadline_ns[fence];
}

/* ---- Iterators: R-19, R-20 ---------------------------------------------------------------- */

void resv_model_iter_begin(int iter, int resv, int usage) {
	world.iters[iter] = (struct iter){ .resv = resv, .usage = usage, .fence = MODEL_NONE };
}

static void iter_drop(struct iter *it) {
	if (it->fence != MODEL_NONE) {
		model_unref(it->fence);
		it->fence = MODEL_NONE;
	}
}

int resv_model_iter_next(int iter, int *usage, bool *restarted) {
	struct iter *it = &world.iters[iter];
	const struct resv *r = at(it->resv);
	*restarted = !it->begun || it->list != r->list;
	if (*restarted) {
		it->begun = true;
		it->list = r->list;
		it->count = r->count;
		it->index = 0;
	}
	iter_drop(it);
	while (it->index < it->count) {
		const struct resv_model_entry *entry = &r->entries[it->index++];
		if (matches(entry, it->usage)) {
			it->fence = entry->fence;
			model_ref(it->fence);
			*usage = entry->usage;
			return it->fence;
		}
	}
	it->over = true;
	return MODEL_NONE;
}

void resv_model_iter_end(int iter) {
	iter_drop(&world.iters[iter]);
	world.iters[iter].resv = MODEL_NONE;
}

int resv_model_iter_resv(int iter) {
	return world.iters[iter].resv;
}

bool resv_model_iter_is_over(int iter) {
	return world.iters[iter].over;
}

/* ---- Without asking ----------------------------------------------------------------------- */

size_t resv_model_pending(int resv, int usage, int *fences) {
	const struct resv *r = at(resv);
	size_t count = 0;
	for (size_t i = 0; i < r->count; i++) {
		if (r->entries[i].usage <= usage && !model_has_ended(r->entries[i].fence)) {
			fences[count++] = r->entries[i].fence;
		}
	}
	return count;
}

static bool is_pending_in(int resv, int fence) {
	const struct resv *r = at(resv);
	for (size_t i = 0; i < r->count; i++) {
		if (r->entries[i].fence == fence && !model_has_ended(fence)) {
			return true;
		}
	}
	return false;
}

/* D-2: it takes the lock. */
void resv_model_poll(int resv) {
	take(at(resv), false);
	at(resv)->polled = true;
	resv_model_unlock(resv);
}

bool resv_model_is_polled(int resv) {
	return at(resv)->polled;
}

/* D-3: what is listened to is so until it has ended, wherever it has gone. */
static bool may_be_armed(int resv, int fence) {
	return !model_has_ended(fence) &&
		(world.may_be_armed[fence][resv] ||
			(at(resv)->polled && is_pending_in(resv, fence)));
}

/* D-3: there is one for each direction. */
int resv_model_poll_refs(int fence) {
	int refs = 0;
	for (int i = 0; i < RESV_MODEL_RESVS; i++) {
		refs += may_be_armed(i, fence) ? 2 : 0;
	}
	return refs;
}

bool resv_model_may_be_asked(int fence) {
	return world.may_be_asked[fence] || resv_model_poll_refs(fence) > 0;
}

void resv_model_may_ask(int resv) {
	for (size_t i = 0; i < at(resv)->count; i++) {
		world.may_be_asked[at(resv)->entries[i].fence] = true;
	}
}

void resv_model_settle(void) {
	for (int i = 0; i < MODEL_FENCES; i++) {
		world.may_be_asked[i] = false;
		if (model_kind(i) == MODEL_NOTHING) {
			world.deadline_count[i] = 0;
			world.deadline_ns[i] = 0;
		}
		for (int resv = 0; resv < RESV_MODEL_RESVS; resv++) {
			world.may_be_armed[i][resv] =
				model_kind(i) != MODEL_NOTHING && may_be_armed(resv, i);
		}
	}
}
