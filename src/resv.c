/* SPDX-License-Identifier: MIT */
/*
 * Reservations: KERNEL_CONTRACT section 8.
 *
 * The list is written under the lock and read without: an entry is one word, a fence's address, its
 * usage, and whether it belongs to the last write. What is appended is published by the count; what is overwritten or in a list that was
 * replaced stays readable until a grace period is over. A list that was replaced does not change any
 * more, so a reader who still has it sees what was there at one moment.
 *
 * `error` is how the last write went as far as its fences are forgotten; `writers` is how many of them
 * are there. `writing`: what is added as a write still belongs to the last one.
 */
#include "src/resv.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include <stile/array.h>
#include <stile/fence.h>
#include <stile/merge.h>
#include <stile/wait.h>

#include "src/check.h"
#include "src/fence.h"
#include "src/macros.h"
#include "src/reclaim.h"
#include "src/resv_poll.h"
#include "src/wait.h"
#include "src/ww_mutex.h"

enum {
	AHEAD = 8, /* more than are usual */
	FIRST_CAPACITY = 4,
	FEW = 16, /* fences on the stack */
	MAX_FENCES = INT_MAX / 2,
};

/* In an entry, below the address. */
#define USAGE_MASK ((uintptr_t)3)
#define LAST_WRITE ((uintptr_t)4)
#define ENTRY_BITS ((uintptr_t)7)

_Static_assert(_Alignof(struct stile_fence) > ENTRY_BITS, "there is room below the address");

struct stile_resv_list {
	struct reclaim_node node; /* first: it is freed as that */
	uint64_t generation;      /* another one each time: an address may come again */
	uint32_t changes;         /* counts them, each after it can be seen */
	uint32_t count;
	uint32_t capacity;
	uintptr_t entries[];
};

static struct stile_ww_class resv_class = STILE_WW_CLASS("reservation", STILE_WW_WAIT_DIE);

static const char *const usage_names[] = { "kernel", "write", "read", "bookkeep" };

static bool usage_is_valid(enum stile_resv_usage usage) {
	return (unsigned)usage <= STILE_RESV_BOOKKEEP;
}

static uintptr_t entry_of(const struct stile_fence *fence, enum stile_resv_usage usage) {
	return (uintptr_t)fence | (uintptr_t)usage;
}

static struct stile_fence *entry_fence(uintptr_t entry) {
	return (struct stile_fence *)(entry & ~ENTRY_BITS);
}

static enum stile_resv_usage entry_usage(uintptr_t entry) {
	return (enum stile_resv_usage)(entry & USAGE_MASK);
}

static struct stile_resv_list *list_load(const struct stile_resv *resv) {
	return __atomic_load_n(&resv->list, __ATOMIC_SEQ_CST);
}

static uint32_t list_count(const struct stile_resv_list *list) {
	return list == NULL ? 0 : __atomic_load_n(&list->count, __ATOMIC_ACQUIRE);
}

static uintptr_t list_entry(const struct stile_resv_list *list, uint32_t index) {
	return __atomic_load_n(&list->entries[index], __ATOMIC_SEQ_CST);
}

static int list_create(uint32_t capacity, struct stile_resv_list **out) {
	static uint64_t last_generation;
	struct stile_resv_list *list =
		malloc(sizeof(*list) + (size_t)capacity * sizeof(list->entries[0]));
	if (list == NULL) {
		return -ENOMEM;
	}
	list->generation = __atomic_add_fetch(&last_generation, 1, __ATOMIC_RELAXED);
	list->changes = 0;
	list->count = 0;
	list->capacity = capacity;
	*out = list;
	return 0;
}

static uint32_t list_changes(const struct stile_resv_list *list) {
	return list == NULL ? 0 : __atomic_load_n(&list->changes, __ATOMIC_ACQUIRE);
}

/* In a section. Is the list still the one, and as it was? */
static bool list_is_as_it_was(
	const struct stile_resv *resv, const struct stile_resv_list *list, uint32_t changes) {
	return list_load(resv) == list && list_changes(list) == changes;
}

/* Before anybody else can see the list. Takes over the reference. */
static void list_put(struct stile_resv_list *list, uintptr_t entry) {
	list->entries[list->count++] = entry;
}

static bool iter_has_missed(const struct stile_resv_iter *iter);

/* ---- Life and lock ------------------------------------------------------------------------- */

void stile_resv_init(struct stile_resv *resv) {
	*resv = (struct stile_resv){ 0 };
	stile_ww_mutex_init(&resv->mutex, &resv_class);
}

void stile_resv_fini(struct stile_resv *resv) {
	if (stile_resv_is_locked(resv)) {
		check_warn("a reservation ends while it is locked");
	}
	struct stile_resv_list *list = resv->list;
	struct stile_resv_poll *poll = resv->poll;
	if (poll != NULL) {
		/* First: it looks at the list, whatever thread ends a fence. */
		resv_poll_destroy(poll);
	}
	resv->list = NULL;
	resv->poll = NULL;
	for (uint32_t i = 0; i < list_count(list); i++) {
		stile_fence_unref(entry_fence(list->entries[i]));
	}
	free(list);
}

/* who has a reservation's lock may need memory, and so fences. */
static void check_resv_order(void) {
	if (check_is_on()) {
		check_assume_order(&resv_class, resv_class.name, NULL, NULL);
	}
}

void stile_resv_acquire_init(struct stile_ww_acquire *acquire) {
	check_resv_order();
	stile_ww_acquire_init(acquire, &resv_class);
}

int stile_resv_lock(
	struct stile_resv *resv, struct stile_ww_acquire *acquire, struct stile_cancel *cancel) {
	check_resv_order();
	return stile_ww_mutex_lock(&resv->mutex, acquire, cancel);
}

int stile_resv_lock_slow(
	struct stile_resv *resv, struct stile_ww_acquire *acquire, struct stile_cancel *cancel) {
	check_resv_order();
	return stile_ww_mutex_lock_slow(&resv->mutex, acquire, cancel);
}

int stile_resv_trylock(struct stile_resv *resv) {
	return stile_ww_mutex_trylock(&resv->mutex, NULL);
}

void stile_resv_unlock(struct stile_resv *resv) {
	struct stile_resv_list *list = resv->list;
	resv->writing = false;
	if (check_is_on() && list != NULL && ww_mutex_may_be_held(&resv->mutex)) {
		/* Who adds without having made room is found out, by chance or not. */
		list->capacity = list->count + resv->promised;
	}
	stile_ww_mutex_unlock(&resv->mutex);
}

bool stile_resv_is_locked(const struct stile_resv *resv) {
	return stile_ww_mutex_is_locked(&resv->mutex);
}

struct stile_ww_acquire *stile_resv_get_acquire(const struct stile_resv *resv) {
	return stile_ww_mutex_get_acquire(&resv->mutex);
}

static int check_held(const struct stile_resv *resv, const char *what) {
	if (!ww_mutex_may_be_held(&resv->mutex)) {
		check_warn("%s a reservation without having it locked", what);
		return -EINVAL;
	}
	return 0;
}

/* ---- Changes: the lock is held --------------------------------------------------------------- */

static void note_error(struct stile_resv *resv, int status) {
	if (status < 0 && resv->error == 0) {
		resv->error = status;
	}
}

/* An entry is about to go. Whether it is of the last write, and not known yet how that went. */
static bool forget(struct stile_resv *resv, uintptr_t entry) {
	if ((entry & LAST_WRITE) == 0) {
		return false;
	}
	resv->writers--;
	int status = stile_fence_get_status(entry_fence(entry));
	note_error(resv, status);
	return status == 0;
}

/* How the one before went does not matter any more. */
static void begin_write(struct stile_resv *resv) {
	struct stile_resv_list *list = resv->list;
	for (uint32_t i = 0; resv->writers > 0 && i < list_count(list); i++) {
		if (list->entries[i] & LAST_WRITE) {
			__atomic_store_n(&list->entries[i], list->entries[i] & ~LAST_WRITE,
				__ATOMIC_RELAXED);
			resv->writers--;
		}
	}
	resv->error = 0;
	resv->writing = true;
}

/* From here on no reader finds the old one: what only that one has may be dropped, and then itself. */
static void list_publish(struct stile_resv *resv, struct stile_resv_list *list) {
	__atomic_store_n(&resv->list, list, __ATOMIC_RELEASE);
}

/* From here on a reader who has skipped something knows that there is something else. */
static void list_changed(struct stile_resv_list *list) {
	__atomic_store_n(&list->changes, list->changes + 1, __ATOMIC_RELEASE);
}

static void list_retire(struct stile_resv_list *list) {
	if (list != NULL) {
		reclaim(&list->node, NULL);
	}
}

/* What is done does not come along: it goes to the end of the memory, to be dropped. */
static void list_move(struct stile_resv *resv, struct stile_resv_list *list, uint32_t *dropped) {
	*dropped = 0;
	for (uint32_t i = 0; i < list_count(resv->list); i++) {
		uintptr_t entry = resv->list->entries[i];
		if (fence_is_done(entry_fence(entry))) {
			forget(resv, entry);
			list->entries[list->capacity - ++*dropped] = entry;
		} else {
			list_put(list, entry);
		}
	}
}

static int list_grow(struct stile_resv *resv, uint32_t capacity) {
	struct stile_resv_list *list, *old = resv->list;
	check_alloc();
	int ret = list_create(capacity, &list);
	if (ret < 0) {
		return ret;
	}
	uint32_t dropped;
	list_move(resv, list, &dropped);
	list_publish(resv, list);
	for (uint32_t i = 1; i <= dropped; i++) {
		stile_fence_unref(entry_fence(list->entries[capacity - i]));
	}
	list_retire(old);
	return 0;
}

static uint32_t next_power_of_two(uint32_t value) {
	uint32_t power = 1;
	while (power < value) {
		power *= 2;
	}
	return power;
}

/* Room for so many more than there are, those that were promised included. */
static int make_room(struct stile_resv *resv, uint32_t count) {
	const struct stile_resv_list *list = resv->list;
	uint32_t used = list_count(list), capacity = list == NULL ? 0 : list->capacity;
	if (count <= capacity - used) {
		return 0;
	}
	if (count > MAX_FENCES || used > MAX_FENCES - count) {
		return -EINVAL;
	}
	bool first = capacity == 0;
	uint32_t least = first ? next_power_of_two(count) : used + count;
	uint32_t usual = first ? FIRST_CAPACITY : 2 * capacity;
	return list_grow(resv, least > usual ? least : usual);
}

int resv_make_room(struct stile_resv *resv, uint32_t count) {
	return make_room(resv, count + resv->promised);
}

int stile_resv_reserve_fences(struct stile_resv *resv, uint32_t count) {
	int ret = check_held(resv, "room is made in");
	if (ret < 0) {
		return ret;
	}
	if (count == 0 || count > MAX_FENCES) {
		check_warn("room for %u fences is wanted in a reservation", count);
		return -EINVAL;
	}
	return resv_make_room(resv, count);
}

static int check_fence(
	const struct stile_resv *resv, struct stile_fence *fence, enum stile_resv_usage usage) {
	int ret = check_held(resv, "a fence is added to");
	if (ret < 0) {
		return ret;
	}
	if (!usage_is_valid(usage)) {
		check_warn("a fence is added to a reservation with usage %d, which there is not",
			(int)usage);
		return -EINVAL;
	}
	if (fence_is_container(fence)) {
		check_warn("%s %llu:%llu is added to a reservation, which takes only what is in it",
			stile_fence_is_array(fence) ? "array" : "chain",
			(unsigned long long)stile_fence_get_context(fence),
			(unsigned long long)stile_fence_get_seqno(fence));
		return -EINVAL;
	}
	return 0;
}

/* Takes over the reference, and drops the one that was there. */
static void list_set(struct stile_resv *resv, uint32_t index, uintptr_t entry) {
	uintptr_t *slot = &resv->list->entries[index], old = *slot;
	if (forget(resv, old) && (entry & LAST_WRITE) == 0) {
		/* It ends after the one that it takes the place of. */
		entry |= LAST_WRITE;
		resv->writers++;
	}
	__atomic_store_n(slot, entry, __ATOMIC_RELEASE);
	list_changed(resv->list);
	stile_fence_unref(entry_fence(old));
}

/* Where a fence goes, by R-6: the place of another one, or behind the last. */
static uint32_t list_find(const struct stile_resv_list *list, const struct stile_fence *fence,
	enum stile_resv_usage usage) {
	uint32_t count = list_count(list), i;
	for (i = 0; i < count; i++) {
		uintptr_t entry = list->entries[i];
		struct stile_fence *old = entry_fence(entry);
		if ((old->context == fence->context && entry_usage(entry) >= usage &&
			    stile_fence_is_later_or_same(fence, old)) ||
			fence_is_done_at_hand(old)) {
			break;
		}
	}
	return i;
}

/* The arguments are right. 0 or -ENOSPC. */
static int add(struct stile_resv *resv, struct stile_fence *fence, enum stile_resv_usage usage) {
	struct stile_resv_list *list = resv->list;
	uint32_t index = list_find(list, fence, usage), count = list_count(list);
	if (index == count && (list == NULL || count + resv->promised >= list->capacity)) {
		check_warn("a fence is added to a reservation with room for %u, which has %u%s",
			list == NULL ? 0 : list->capacity, count,
			resv->promised > 0 ? ", and the rest is promised" : "");
		return -ENOSPC;
	}
	uintptr_t entry = entry_of(fence_ref_into_slot(fence), usage);
	if (usage == STILE_RESV_WRITE) {
		if (!resv->writing) {
			begin_write(resv);
		}
		entry |= LAST_WRITE;
		resv->writers++;
	}
	if (index < count) {
		list_set(resv, index, entry);
	} else {
		__atomic_store_n(&list->entries[index], entry, __ATOMIC_RELAXED);
		__atomic_store_n(&list->count, count + 1, __ATOMIC_RELEASE);
		list_changed(list);
	}
	if (resv->poll != NULL) {
		resv_poll_update(resv->poll);
	}
	return 0;
}

int stile_resv_add_fence(
	struct stile_resv *resv, struct stile_fence *fence, enum stile_resv_usage usage) {
	int ret = check_fence(resv, fence, usage);
	return ret < 0 ? ret : add(resv, fence, usage);
}

int resv_promise(struct stile_resv *resv) {
	int ret = make_room(resv, resv->promised + 1);
	if (ret == 0) {
		resv->promised++;
	}
	return ret;
}

void resv_drop_promise(struct stile_resv *resv) {
	resv->promised--;
}

void resv_note_write(struct stile_resv *resv) {
	begin_write(resv);
}

uint32_t resv_count_leaves(struct stile_fence *fence) {
	struct stile_unwrap cursor;
	uint32_t count = 0;
	if (!fence_is_container(fence)) {
		return 1;
	}
	const struct stile_fence *leaf = stile_unwrap_first(fence, &cursor);
	while (leaf != NULL) {
		count++;
		leaf = stile_unwrap_next(&cursor);
	}
	return count;
}

void resv_add_leaves(
	struct stile_resv *resv, struct stile_fence *fence, enum stile_resv_usage usage) {
	struct stile_unwrap cursor;
	if (!fence_is_container(fence)) {
		(void)add(resv, fence, usage);
		return;
	}
	struct stile_fence *leaf = stile_unwrap_first(fence, &cursor);
	while (leaf != NULL) {
		/* A chain only ever loses elements: there is room. */
		(void)add(resv, leaf, usage);
		leaf = stile_unwrap_next(&cursor);
	}
}

int stile_resv_replace_fences(struct stile_resv *resv, uint64_t context, struct stile_fence *fence,
	enum stile_resv_usage usage) {
	int ret = check_fence(resv, fence, usage);
	if (ret < 0) {
		return ret;
	}
	for (uint32_t i = 0; i < list_count(resv->list); i++) {
		if (entry_fence(resv->list->entries[i])->context == context) {
			fence_enter_slot(fence);
			list_set(resv, i, entry_of(stile_fence_ref(fence), usage));
		}
	}
	if (resv->poll != NULL) {
		resv_poll_update(resv->poll);
	}
	return 0;
}

static void list_drop(struct stile_resv_list *list) {
	for (uint32_t i = 0; i < list_count(list); i++) {
		stile_fence_unref(entry_fence(list->entries[i]));
	}
	free(list);
}

/* All that is pending in the other one, as a list with room for so many more. NULL if there is none. */
static int list_copy_once(
	struct stile_resv_iter *iter, uint32_t more, struct stile_resv_list **out) {
	struct stile_resv_list *list = NULL;
	struct stile_fence *fence;
	int ret = 0;
	while (ret == 0 && (fence = stile_resv_iter_next_unlocked(iter)) != NULL) {
		if (list == NULL || stile_resv_iter_is_restarted(iter)) {
			list_drop(list);
			list = NULL;
			ret = list_create(iter->count + more, &list);
		}
		if (ret == 0) {
			list_put(list, entry_of(fence_ref_into_slot(fence), iter->fence_usage));
		}
	}
	stile_resv_iter_end(iter);
	*out = list;
	return ret;
}

static int list_copy(struct stile_resv *other, uint32_t more, struct stile_resv_list **out) {
	struct stile_resv_iter iter;
	stile_resv_iter_begin(&iter, other, STILE_RESV_BOOKKEEP);
	int ret = list_copy_once(&iter, more, out);
	while (ret == 0 && iter_has_missed(&iter)) {
		list_drop(*out);
		stile_resv_iter_begin(&iter, other, STILE_RESV_BOOKKEEP);
		ret = list_copy_once(&iter, more, out);
	}
	return ret == 0 && *out == NULL && more > 0 ? list_create(more, out) : ret;
}

int stile_resv_copy_fences(struct stile_resv *resv, struct stile_resv *other) {
	int ret = check_held(resv, "fences are copied to");
	if (ret < 0) {
		return ret;
	}
	struct stile_resv_list *list, *old = resv->list;
	check_alloc();
	ret = list_copy(other, resv->promised, &list);
	if (ret < 0) {
		return ret;
	}
	list_publish(resv, list);
	for (uint32_t i = 0; i < list_count(old); i++) {
		forget(resv, old->entries[i]);
		stile_fence_unref(entry_fence(old->entries[i]));
	}
	list_retire(old);
	if (resv->poll != NULL) {
		resv_poll_update(resv->poll);
	}
	return 0;
}

int stile_resv_get_error(struct stile_resv *resv) {
	uint32_t left = resv->error == 0 ? resv->writers : 0;
	for (uint32_t i = 0; left > 0 && resv->error == 0; i++) {
		uintptr_t entry = resv->list->entries[i];
		if (entry & LAST_WRITE) {
			/* Remembered: it is not another one the next time. */
			note_error(resv, stile_fence_get_status(entry_fence(entry)));
			left--;
		}
	}
	return resv->error;
}

/* ---- Looking without the lock ---------------------------------------------------------------- */

static void drop_all(struct stile_fence **fences, size_t count) {
	while (count > 0) {
		stile_fence_unref(fences[--count]);
	}
}

/*
 * A reference, if it is pending: 1. 0: it is done. -EAGAIN: it has just gone, and its work may be that
 * of another one by now, so what was found so far is void.
 */
static inline int ref_pending(struct stile_fence *fence) {
	if (fence_has_ended(fence)) {
		return 0;
	}
	if (!fence_ref_seen(fence)) {
		return -EAGAIN;
	}
	if (fence_is_done(fence)) {
		stile_fence_unref(fence);
		return 0;
	}
	return 1;
}

/*
 * They are looked at first and then written: where others use them too, that would be two transfers from
 * their cache, one after the other. Processors without the instruction ignore it.
 */
static inline void prefetch_to_write(const uint32_t *refs) {
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*refs));
#else
	__builtin_prefetch(refs, 1);
#endif
}

/*
 * Once over the list as it is now. `all`: how many there are. 0, or -EAGAIN with no reference kept: also
 * if something was done by the time it was looked at, and something else has been added meanwhile. So
 * there was a moment at which nothing else was pending.
 */
static int gather(const struct stile_resv *resv, enum stile_resv_usage usage,
	struct stile_fence **fences, size_t room, size_t *all) {
	const struct stile_resv_list *list = list_load(resv);
	uint32_t changes = list_changes(list), count = list_count(list);
	size_t found = 0;
	bool skipped = false;
	for (uint32_t i = 0; i < count && i < AHEAD; i++) {
		prefetch_to_write(&entry_fence(list_entry(list, i))->refs);
	}
	for (uint32_t i = 0; i < count; i++) {
		uintptr_t entry = list_entry(list, i);
		if (entry_usage(entry) > usage) {
			continue;
		}
		int ret = ref_pending(entry_fence(entry));
		if (ret < 0) {
			drop_all(fences, found < room ? found : room);
			return ret;
		}
		if (ret > 0 && found < room) {
			fences[found] = entry_fence(entry);
		} else if (ret > 0) {
			stile_fence_unref(entry_fence(entry));
		}
		found += (size_t)ret;
		skipped |= ret == 0;
	}
	if (skipped && !list_is_as_it_was(resv, list, changes)) {
		drop_all(fences, found < room ? found : room);
		return -EAGAIN;
	}
	*all = found;
	return 0;
}

int stile_resv_get_fences(struct stile_resv *resv, enum stile_resv_usage usage,
	struct stile_fence **fences, size_t *count) {
	size_t room = *count;
	if (!usage_is_valid(usage)) {
		return -EINVAL;
	}
	unsigned section = reclaim_begin();
	while (gather(resv, usage, fences, room, count) < 0) {
	}
	reclaim_end(section);
	if (*count > room) {
		drop_all(fences, room);
		return -ENOSPC;
	}
	return 0;
}

int resv_get_all(struct stile_resv *resv, enum stile_resv_usage usage, struct stile_fence **few,
	size_t room, struct stile_fence ***fences, size_t *count) {
	*fences = few;
	*count = room;
	int ret = stile_resv_get_fences(resv, usage, few, count);
	while (ret == -ENOSPC) {
		/* There may be a few more the next time. */
		room = *count + FEW;
		if (*fences != few) {
			free(*fences);
		}
		check_alloc();
		*fences = calloc(room, sizeof(struct stile_fence *));
		if (*fences == NULL) {
			return -ENOMEM;
		}
		*count = room;
		ret = stile_resv_get_fences(resv, usage, *fences, count);
	}
	return ret;
}

int stile_resv_get_singleton(
	struct stile_resv *resv, enum stile_resv_usage usage, struct stile_fence **out) {
	struct stile_fence *few[FEW], **fences;
	size_t count;
	*out = NULL;
	check_alloc();
	int ret = resv_get_all(resv, usage, few, FEW, &fences, &count);
	if (ret < 0) {
		return ret;
	}
	if (count == 1) {
		*out = fences[0];
	} else if (count > 1) {
		ret = stile_array_create(
			fences, count, stile_fence_context_alloc(1), 1, STILE_ARRAY_ALL, out);
		drop_all(fences, count);
	}
	if (fences != few) {
		free(fences);
	}
	return ret;
}

bool stile_resv_test_signaled(struct stile_resv *resv, enum stile_resv_usage usage) {
	struct stile_resv_iter iter;
	bool none;
	do {
		stile_resv_iter_begin(&iter, resv, usage);
		none = stile_resv_iter_next_unlocked(&iter) == NULL;
		stile_resv_iter_end(&iter);
	} while (none && iter_has_missed(&iter));
	return none;
}

static int wait_for(struct stile_fence *fence, int64_t deadline_ns, struct stile_cancel *cancel,
	const void *place) {
	if (cancel == NULL) {
		return fence_wait_at(fence, deadline_ns, place);
	}
	if (deadline_ns != 0) {
		return fence_wait_any_at(&fence, 1, deadline_ns, cancel, NULL, place);
	}
	int ret = fence_wait(fence, 0);
	return ret == -ETIME && stile_cancel_is_raised(cancel) ? -EINTR : ret;
}

int resv_wait_at(struct stile_resv *resv, enum stile_resv_usage usage, int64_t deadline_ns,
	struct stile_cancel *cancel, const void *place) {
	if (deadline_ns < 0 || !usage_is_valid(usage)) {
		return -EINVAL;
	}
	struct stile_resv_iter iter;
	struct stile_fence *fence;
	int ret = 0;
	check_wait();
	stile_resv_iter_begin(&iter, resv, usage);
	while (ret == 0 && (fence = stile_resv_iter_next_unlocked(&iter)) != NULL) {
		ret = wait_for(fence, deadline_ns, cancel, place);
	}
	stile_resv_iter_end(&iter);
	return ret;
}

int stile_resv_wait(struct stile_resv *resv, enum stile_resv_usage usage, int64_t deadline_ns,
	struct stile_cancel *cancel) {
	return resv_wait_at(resv, usage, deadline_ns, cancel, __builtin_return_address(0));
}

void stile_resv_set_deadline(
	struct stile_resv *resv, enum stile_resv_usage usage, int64_t deadline_ns) {
	struct stile_resv_iter iter;
	struct stile_fence *fence;
	stile_resv_iter_begin(&iter, resv, usage);
	while ((fence = stile_resv_iter_next_unlocked(&iter)) != NULL) {
		stile_fence_set_deadline(fence, deadline_ns);
	}
	stile_resv_iter_end(&iter);
}

/* One more line of a text of which `used` bytes are there, perhaps more than fit. */
static int describe_line(
	char *text, size_t size, int used, const char *usage, struct stile_fence *fence) {
	char line[256];
	stile_fence_describe(fence, line, sizeof(line));
	size_t left = (size_t)used < size ? size - (size_t)used : 0;
	return snprintf(
		left > 0 ? text + used : NULL, left, "%s%s: %s", used > 0 ? "\n" : "", usage, line);
}

int stile_resv_describe(struct stile_resv *resv, char *text, size_t size) {
	struct stile_resv_iter iter;
	struct stile_fence *fence;
	int used = 0;
	if (size > 0) {
		text[0] = '\0';
	}
	stile_resv_iter_begin(&iter, resv, STILE_RESV_READ);
	while ((fence = stile_resv_iter_next(&iter)) != NULL) {
		used += describe_line(text, size, used, usage_names[iter.fence_usage], fence);
	}
	stile_resv_iter_end(&iter);
	return used;
}

int stile_resv_get_poll_fd(struct stile_resv *resv, int *fd) {
	return resv_get_poll_fd(resv, NULL, fd);
}

int resv_get_poll_fd(struct stile_resv *resv, struct stile_buffer *buffer, int *fd) {
	*fd = -1;
	int ret = stile_resv_lock(resv, NULL, NULL);
	if (ret < 0) {
		return ret;
	}
	if (resv->poll == NULL) {
		ret = resv_poll_create(resv, &resv->poll);
	}
	if (ret == 0 && buffer != NULL) {
		resv_poll_set_buffer(resv->poll, buffer);
	}
	if (ret == 0) {
		ret = resv_poll_get_fd(resv->poll);
		*fd = ret < 0 ? -1 : ret;
	}
	stile_resv_unlock(resv);
	return ret < 0 ? ret : 0;
}

/* ---- Iterators ------------------------------------------------------------------------------- */

void stile_resv_iter_begin(
	struct stile_resv_iter *iter, struct stile_resv *resv, enum stile_resv_usage usage) {
	*iter = (struct stile_resv_iter){ .resv = resv, .usage = (uint32_t)usage };
}

struct stile_fence *stile_resv_iter_next(struct stile_resv_iter *iter) {
	const struct stile_resv_list *list = iter->resv->list;
	iter->restarted = iter->fence == NULL;
	while (iter->index < list_count(list)) {
		uintptr_t entry = list->entries[iter->index++];
		if (entry_usage(entry) <= iter->usage) {
			iter->fence_usage = entry_usage(entry);
			iter->fence = entry_fence(entry);
			return iter->fence;
		}
	}
	iter->fence = NULL;
	return NULL;
}

/* From the beginning of the list as it is now. */
static void iter_restart(struct stile_resv_iter *iter) {
	struct stile_resv_list *list = list_load(iter->resv);
	iter->list = list;
	iter->generation = list == NULL ? 0 : list->generation;
	iter->changes = list_changes(list);
	iter->count = list_count(list);
	iter->index = 0;
	iter->skipped = false;
	iter->restarted = true;
}

static bool iter_is_current(const struct stile_resv_iter *iter) {
	const struct stile_resv_list *list = list_load(iter->resv);
	return list == iter->list && (list == NULL || list->generation == iter->generation);
}

/* Inside a section. 1: iter->fence is the next one. 0: there is none. -EAGAIN: from the beginning. */
static int iter_step(struct stile_resv_iter *iter) {
	while (iter->index < iter->count) {
		uintptr_t entry = list_entry(iter->list, iter->index++);
		if (entry_usage(entry) > iter->usage) {
			continue;
		}
		int ret = ref_pending(entry_fence(entry));
		if (ret != 0) {
			iter->fence = entry_fence(entry);
			iter->fence_usage = entry_usage(entry);
			return ret;
		}
		iter->skipped = true;
	}
	return 0;
}

/* It came to the end. Was something done by then, and something else added meanwhile? */
static bool iter_has_missed(const struct stile_resv_iter *iter) {
	unsigned section = reclaim_begin();
	bool same = iter_is_current(iter) && list_changes(iter->list) == iter->changes;
	reclaim_end(section);
	return iter->skipped && !same;
}

struct stile_fence *stile_resv_iter_next_unlocked(struct stile_resv_iter *iter) {
	bool first = iter->index == 0 && iter->list == NULL;
	stile_fence_unref(iter->fence);
	iter->fence = NULL;
	iter->restarted = false;
	unsigned section = reclaim_begin();
	int ret = first || !iter_is_current(iter) ? -EAGAIN : iter_step(iter);
	while (ret == -EAGAIN) {
		iter->fence = NULL;
		iter_restart(iter);
		ret = iter_step(iter);
	}
	reclaim_end(section);
	return iter->fence;
}

void stile_resv_iter_end(struct stile_resv_iter *iter) {
	/* Without a generation it was an iteration under the lock, whose fence is not its own. */
	if (iter->generation != 0) {
		stile_fence_unref(iter->fence);
	}
	iter->fence = NULL;
}

bool stile_resv_iter_is_restarted(const struct stile_resv_iter *iter) {
	return iter->restarted;
}

enum stile_resv_usage stile_resv_iter_get_usage(const struct stile_resv_iter *iter) {
	return (enum stile_resv_usage)iter->fence_usage;
}
