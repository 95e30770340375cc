/* SPDX-License-Identifier: MIT */
/*
 * The handoff validator: who uses which memory, and has it waited for those before?
 *
 * A record for each use that was begun and has not ended, of images and of buffers by the CPU, and for
 * the last few that ended without having waited for something. A record of a use that goes on has its
 * own references on what it waits for; of one that has ended, fences are only names, never looked at.
 * Complaints are made without the mutex.
 */
#include "src/handoff.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stile/access.h>
#include <stile/array.h>
#include <stile/fence.h>
#include <stile/merge.h>

#include "src/buffer.h"
#include "src/check.h"
#include "src/fence.h"
#include "src/image.h"
#include "src/os.h"

enum {
	NAME_BYTES = 160,
	PLACE_BYTES = 256,
	LATE = 32,  /* uses that ended without having waited: how many are remembered */
	ENDED = 32, /* the same of all that have ended */
};

/* A fence that a use has to wait for. */
struct wanted {
	const struct stile_fence *fence;
	uint64_t context, seqno;
	bool waited;
};

struct use {
	struct use *next;
	const void *key; /* the access, or the buffer */
	bool by_cpu;
	uint32_t usage;
	uint64_t context;
	char name[NAME_BYTES]; /* who uses what */
	const void *place;     /* where it began */
	const void *buffers[STILE_MAX_PLANES];
	uint32_t buffer_count;
	size_t wanted_count;
	struct wanted wanted[];
};

/* One that ended too early. */
struct late {
	struct wanted wanted;
	char name[NAME_BYTES];
	const void *place; /* where it ended */
};

/* One that has ended, so that a second end can be told. */
struct ended {
	const void *key;
	char name[NAME_BYTES];
	const void *place;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct use *uses;
static struct late lates[LATE];
static size_t next_late;
static struct ended endeds[ENDED];
static size_t next_ended;
static bool has_late; /* by atomic access, also without the mutex */

static void fork_prepare(void) {
	pthread_mutex_lock(&mutex);
}

static void fork_done(void) {
	pthread_mutex_unlock(&mutex);
}

__attribute__((constructor)) static void guard(void) {
	/* Without memory for this a child might hang, in which nobody looks for such mistakes. */
	(void)os_atfork(fork_prepare, fork_done, fork_done);
}

/* ---- Records --------------------------------------------------------------------------------- */

/* The mutex is held. */
static struct use **use_find(const void *key, bool by_cpu, uint32_t usage) {
	struct use **at = &uses;
	while (*at != NULL &&
		((*at)->key != key || (*at)->by_cpu != by_cpu ||
			(usage != 0 && (*at)->usage != usage))) {
		at = &(*at)->next;
	}
	return at;
}

/* Out of the list, to be freed; NULL if there is none. */
static struct use *use_take(const void *key, bool by_cpu, uint32_t usage) {
	pthread_mutex_lock(&mutex);
	struct use **at = use_find(key, by_cpu, usage), *use = *at;
	if (use != NULL) {
		*at = use->next;
	}
	pthread_mutex_unlock(&mutex);
	return use;
}

static bool shares_memory(const struct use *a, const struct use *b) {
	for (uint32_t i = 0; i < a->buffer_count; i++) {
		for (uint32_t k = 0; k < b->buffer_count; k++) {
			if (a->buffers[i] == b->buffers[k]) {
				return true;
			}
		}
	}
	return false;
}

/* May they not go on at the same time? What one queue does it does in order. */
static bool contradicts(const struct use *a, const struct use *b) {
	bool in_order = a->context != 0 && a->context == b->context;
	return ((a->usage | b->usage) & STILE_USAGE_WRITE) != 0 && !in_order && shares_memory(a, b);
}

/* Into the list. What contradicts it is copied. */
static bool use_add(struct use *use, struct use *against) {
	pthread_mutex_lock(&mutex);
	const struct use *at = uses;
	while (at != NULL && !contradicts(at, use)) {
		at = at->next;
	}
	if (at != NULL) {
		*against = *at;
	}
	use->next = uses;
	uses = use;
	pthread_mutex_unlock(&mutex);
	return at != NULL;
}

/* ---- What is said ---------------------------------------------------------------------------- */

static const char *usage_text(uint32_t usage) {
	if ((usage & STILE_USAGE_WRITE) == 0) {
		return "reading";
	}
	return usage & STILE_USAGE_READ ? "reading and writing" : "writing";
}

static void place_text(const void *place, char text[PLACE_BYTES]) {
	check_describe_place(place, text, PLACE_BYTES);
}

static void complain_of_contradiction(const struct use *use, const struct use *against) {
	char now[PLACE_BYTES], before[PLACE_BYTES];
	place_text(use->place, now);
	place_text(against->place, before);
	check_warn("handoff: %s begins %s while %s is still %s: neither waits for the other\n"
		   "  %s begins at %s\n  %s has begun at %s",
		use->name, usage_text(use->usage), against->name, usage_text(against->usage),
		use->name, now, against->name, before);
}

static void complain_of_unwaited(
	const struct use *use, struct stile_fence *missed, const void *place) {
	char now[PLACE_BYTES], before[PLACE_BYTES], fence[160];
	place_text(place, now);
	place_text(use->place, before);
	stile_fence_describe(missed, fence, sizeof(fence));
	check_warn(
		"handoff: %s ends, but nobody has waited for fence %s, which its beginning gave\n"
		"  it has begun at %s\n  it ends at %s",
		use->name, fence, before, now);
}

static void complain_of_late_wait(const struct late *late, const void *place) {
	char now[PLACE_BYTES], before[PLACE_BYTES];
	place_text(place, now);
	place_text(late->place, before);
	check_warn(
		"handoff: fence %llu:%llu is waited for after the submit: %s needed it before it "
		"ended\n  it is waited for at %s\n  %s has ended at %s",
		(unsigned long long)late->wanted.context, (unsigned long long)late->wanted.seqno,
		late->name, now, late->name, before);
}

/* The last one that ended in this memory. */
static bool find_ended(const struct stile_access *access, struct ended *found) {
	bool is_found = false;
	pthread_mutex_lock(&mutex);
	for (size_t back = 1; back <= ENDED && !is_found; back++) {
		const struct ended *ended = &endeds[(next_ended + ENDED - back) % ENDED];
		is_found = ended->key == access;
		*found = *ended;
	}
	pthread_mutex_unlock(&mutex);
	return is_found;
}

void handoff_complain_of_end(
	const struct stile_access *access, bool again, const char *what, const void *place) {
	char now[PLACE_BYTES], before[PLACE_BYTES];
	struct ended ended;
	place_text(place, now);
	if (!again) {
		check_warn("handoff: an access is %s that has not begun (%p)\n  at %s", what,
			(const void *)access, now);
	} else if (find_ended(access, &ended)) {
		place_text(ended.place, before);
		check_warn("handoff: %s is %s though it has ended already\n"
			   "  it has ended at %s\n  again at %s",
			ended.name, what, before, now);
	} else {
		check_warn("handoff: an access is %s that has ended already (%p)\n  at %s", what,
			(const void *)access, now);
	}
}

/* ---- Uses of images -------------------------------------------------------------------------- */

static struct use *use_create(size_t wanted_count) {
	struct use *use = calloc(1, sizeof(*use) + wanted_count * sizeof(use->wanted[0]));
	if (use != NULL) {
		use->wanted_count = wanted_count;
	}
	return use;
}

static void use_begin(struct use *use) {
	struct use against;
	if (use_add(use, &against)) {
		complain_of_contradiction(use, &against);
	}
}

/* The memory of one that was never ended. */
static void complain_of_reuse(const struct stile_access *access, const void *place) {
	struct use *forgotten = use_take(access, false, 0);
	if (forgotten == NULL) {
		return;
	}
	char now[PLACE_BYTES], before[PLACE_BYTES];
	place_text(place, now);
	place_text(forgotten->place, before);
	check_warn("handoff: %s was never ended or cancelled, and its struct is used again\n"
		   "  it has begun at %s\n  it begins again at %s",
		forgotten->name, before, now);
	free(forgotten);
}

bool handoff_begin(const struct stile_access *access, const struct stile_access_info *info,
	const void *place) {
	struct use *use = use_create(access->count);
	if (use == NULL) {
		return false; /* not checked */
	}
	complain_of_reuse(access, place);
	const char *image = access->image->info.name;
	snprintf(use->name, sizeof(use->name), "access \"%s\" to image \"%s\"",
		info->name == NULL ? "" : info->name, image == NULL ? "" : image);
	use->key = access;
	use->usage = access->usage;
	use->context = info->context;
	use->place = place;
	use->buffer_count = access->image->info.plane_count;
	for (uint32_t i = 0; i < use->buffer_count; i++) {
		use->buffers[i] = access->image->buffers[i];
	}
	for (size_t i = 0; i < access->count; i++) {
		struct stile_fence *fence = access->fences[i];
		use->wanted[i] = (struct wanted){
			.fence = fence,
			.context = stile_fence_get_context(fence),
			.seqno = stile_fence_get_seqno(fence),
		};
	}
	use_begin(use);
	return true;
}

static void remember_late(const struct use *use, const struct wanted *wanted, const void *place) {
	pthread_mutex_lock(&mutex);
	struct late *late = &lates[next_late++ % LATE];
	late->wanted = *wanted;
	memcpy(late->name, use->name, sizeof(late->name));
	late->place = place;
	__atomic_store_n(&has_late, true, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&mutex);
}

static void use_end(struct use *use, const void *place) {
	pthread_mutex_lock(&mutex);
	struct ended *ended = &endeds[next_ended++ % ENDED];
	ended->key = use->key;
	memcpy(ended->name, use->name, sizeof(ended->name));
	ended->place = place;
	pthread_mutex_unlock(&mutex);
	free(use);
}

void handoff_end(const struct stile_access *access, const void *place) {
	struct use *use = use_take(access, false, 0);
	if (use == NULL) {
		return;
	}
	for (size_t i = 0; check_is_on() && i < use->wanted_count; i++) {
		/* The access still has its references. */
		struct stile_fence *wanted = access->fences[i];
		if (!use->wanted[i].waited && !stile_fence_is_signaled(wanted)) {
			complain_of_unwaited(use, wanted, place);
			remember_late(use, &use->wanted[i], place);
		}
	}
	use_end(use, place);
}

void handoff_cancel(const struct stile_access *access, const void *place) {
	struct use *use = use_take(access, false, 0);
	if (use != NULL) {
		use_end(use, place);
	}
}

/* ---- Waits ----------------------------------------------------------------------------------- */

/* A queue does things in order: a later fence of it will do. */
static bool is_enough(const struct wanted *wanted, const struct stile_fence *fence) {
	if (wanted->fence == NULL || wanted->context != fence->context) {
		return false;
	}
	return fence->ops->flags & STILE_FENCE_SEQNO64
		? fence->seqno >= wanted->seqno
		: (int32_t)((uint32_t)fence->seqno - (uint32_t)wanted->seqno) >= 0;
}

/* The mutex is held. Is there a use that goes on and wants it? */
static bool mark_waited(const struct stile_fence *fence) {
	bool found = false;
	for (struct use *use = uses; use != NULL; use = use->next) {
		for (size_t i = 0; i < use->wanted_count; i++) {
			if (is_enough(&use->wanted[i], fence)) {
				use->wanted[i].waited = true;
				found = true;
			}
		}
	}
	return found;
}

/* The mutex is held. Each is told once. */
static bool take_late(const struct stile_fence *fence, struct late *found) {
	for (size_t i = 0; i < LATE; i++) {
		const struct wanted *wanted = &lates[i].wanted;
		if (wanted->fence == fence && wanted->context == fence->context &&
			wanted->seqno == fence->seqno) {
			*found = lates[i];
			lates[i].wanted.fence = NULL;
			return true;
		}
	}
	return false;
}

static void wait_for_leaf(const struct stile_fence *leaf, const void *place) {
	struct late late;
	pthread_mutex_lock(&mutex);
	bool is_late = !mark_waited(leaf) && has_late && take_late(leaf, &late);
	pthread_mutex_unlock(&mutex);
	if (is_late) {
		complain_of_late_wait(&late, place);
	}
}

void handoff_wait(struct stile_fence *fence, const void *place) {
	struct stile_unwrap cursor;
	const struct stile_fence *leaf = stile_unwrap_first(fence, &cursor);
	while (leaf != NULL) {
		/* One of any may be done before this one is. */
		if (!stile_fence_is_array(cursor.array) || !array_is_any(cursor.array)) {
			wait_for_leaf(leaf, place);
		}
		leaf = stile_unwrap_next(&cursor);
	}
}

/* ---- Uses of buffers by the CPU -------------------------------------------------------------- */

void handoff_cpu_begin(struct stile_buffer *buffer, uint32_t usage, const void *place) {
	__atomic_fetch_add(&buffer->cpu_uses, 1, __ATOMIC_RELAXED);
	struct use *use = check_is_on() ? use_create(0) : NULL;
	if (use == NULL) {
		return;
	}
	snprintf(use->name, sizeof(use->name), "CPU access to buffer %p", (const void *)buffer);
	use->key = buffer;
	use->by_cpu = true;
	use->usage = usage;
	use->place = place;
	use->buffers[0] = buffer;
	use->buffer_count = 1;
	use_begin(use);
}

/* How many of the uses of a buffer by the CPU were noted. */
static uint32_t count_noted(const struct stile_buffer *buffer) {
	uint32_t count = 0;
	pthread_mutex_lock(&mutex);
	for (const struct use *use = uses; use != NULL; use = use->next) {
		count += use->by_cpu && use->key == buffer;
	}
	pthread_mutex_unlock(&mutex);
	return count;
}

static void complain_of_cpu_end(const struct stile_buffer *buffer, uint32_t usage,
	const struct use *other, const void *place) {
	char now[PLACE_BYTES], before[PLACE_BYTES] = "";
	place_text(place, now);
	if (other != NULL) {
		char where[PLACE_BYTES - sizeof(" has begun at ")];
		check_describe_place(other->place, where, sizeof(where));
		snprintf(before, sizeof(before), " has begun at %s", where);
	}
	check_warn("handoff: CPU access for %s to buffer %p ends that has not begun\n"
		   "  it ends at %s%s%s%s",
		usage_text(usage), (const void *)buffer, now, other != NULL ? "\n  one for " : "",
		other != NULL ? usage_text(other->usage) : "", before);
}

/* With how many going on? One less from now on. */
static uint32_t end_cpu_use(struct stile_buffer *buffer) {
	uint32_t before = __atomic_load_n(&buffer->cpu_uses, __ATOMIC_RELAXED);
	while (before > 0 &&
		!__atomic_compare_exchange_n(&buffer->cpu_uses, &before, before - 1, true,
			__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
	}
	return before;
}

void handoff_cpu_end(struct stile_buffer *buffer, uint32_t usage, const void *place) {
	uint32_t open = end_cpu_use(buffer);
	struct use *use = use_take(buffer, true, usage);
	/* One that was not noted may be the one that ends. */
	if (use == NULL && count_noted(buffer) >= open) {
		use = use_take(buffer, true, 0);
		if (check_is_on()) {
			complain_of_cpu_end(buffer, usage, use, place);
		}
	}
	free(use);
}

void handoff_cpu_finish(const struct stile_buffer *buffer) {
	struct use *use;
	while (buffer->cpu_uses > 0 && (use = use_take(buffer, true, 0)) != NULL) {
		char before[PLACE_BYTES];
		place_text(use->place, before);
		if (check_is_on()) {
			check_warn("handoff: %s for %s was never ended, and the buffer goes\n"
				   "  it has begun at %s",
				use->name, usage_text(use->usage), before);
		}
		free(use);
	}
}
