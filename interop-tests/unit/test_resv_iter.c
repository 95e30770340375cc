/* SPDX-License-Identifier: MIT */
/*
 * Looking into a reservation: its iterators (KERNEL_CONTRACT ), and threads that look
 * while another one changes it: what they find is there, and what is there they find.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>

#include <stile/array.h>
#include <stile/check.h>
#include <stile/fence.h>
#include <stile/resv.h>
#include <stile/wait.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

#define KERNEL STILE_RESV_KERNEL
#define WRITE STILE_RESV_WRITE
#define READ STILE_RESV_READ
#define BOOKKEEP STILE_RESV_BOOKKEEP

#define MS INT64_C(1000000)
/* Long enough that a failure means a hang. */
#define HANG_NS (60000 * MS)

enum { USAGES = 4, ROOM = 64, POOL = 256 };

/* ---- Fences -------------------------------------------------------------------------------- */

enum { LIVE = 0x11fe, DEAD = 0xdead };

/* A fence that knows whether it was released. */
struct item {
	struct stile_fence fence;
	struct item *next_free;
	atomic_uint mark;
	atomic_int enabled;
	bool done;                 /* what its implementer says */
	void (*before_done)(void); /* called when it is asked, and done then; or NULL */
};

static atomic_int alive;

/* Where they come from if freeing one must not call the system: one thread takes, any gives. */
static struct item pool[POOL];
static _Atomic(struct item *) pool_free;
static bool pool_is_used;

static struct item *item_of(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct item, fence);
}

static const char *item_name(struct stile_fence *fence) {
	(void)fence;
	return "item";
}

static bool item_enable(struct stile_fence *fence) {
	atomic_fetch_add(&item_of(fence)->enabled, 1);
	return true;
}

static bool item_signaled(struct stile_fence *fence) {
	struct item *item = item_of(fence);
	void (*before_done)(void) = item->before_done;
	if (before_done != NULL) {
		item->before_done = NULL;
		before_done();
		item->done = true;
	}
	return item->done;
}

static void pool_give(struct item *item) {
	item->next_free = atomic_load(&pool_free);
	while (!atomic_compare_exchange_weak(&pool_free, &item->next_free, item)) {
	}
}

/* The dead come back when nobody may be looking at them any more. */
static struct item *pool_take(void) {
	struct item *item;
	while ((item = atomic_load(&pool_free)) == NULL ||
		!atomic_compare_exchange_weak(&pool_free, &item, item->next_free)) {
		if (item == NULL) {
			runner_sleep_ms(1);
		}
	}
	return item;
}

static void item_release(struct stile_fence *fence) {
	struct item *item = item_of(fence);
	atomic_store(&item->mark, DEAD);
	atomic_fetch_sub(&alive, 1);
	if (pool_is_used) {
		pool_give(item);
	} else {
		free(item);
	}
}

static const struct stile_fence_ops item_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = item_name,
	.get_timeline_name = item_name,
	.enable_signaling = item_enable,
	.signaled = item_signaled,
	.release = item_release,
};

static struct stile_fence *item_create_in(uint64_t context, uint64_t seqno) {
	struct item *item = pool_is_used ? pool_take() : malloc(sizeof(*item));
	runner_require(item != NULL, "no memory");
	int ret = stile_fence_init(&item->fence, &item_ops, context, seqno);
	runner_require(ret == 0, "no fence: %d", ret);
	atomic_init(&item->mark, LIVE);
	atomic_init(&item->enabled, 0);
	item->done = false;
	item->before_done = NULL;
	atomic_fetch_add(&alive, 1);
	return &item->fence;
}

static struct stile_fence *item_create(void) {
	return item_create_in(stile_fence_context_alloc(1), 1);
}

static void item_finish(struct stile_fence *fence) {
	stile_fence_signal(fence);
	stile_fence_unref(fence);
}

/* ---- Reservations -------------------------------------------------------------------------- */

static void lock(struct stile_resv *resv) {
	int ret = stile_resv_lock(resv, NULL, NULL);
	runner_require(ret == 0, "lock: %d", ret);
}

static void reserve(struct stile_resv *resv, uint32_t count) {
	int ret = stile_resv_reserve_fences(resv, count);
	runner_require(ret == 0, "reserve: %d", ret);
}

static void add(struct stile_resv *resv, struct stile_fence *fence, enum stile_resv_usage usage) {
	int ret = stile_resv_add_fence(resv, fence, usage);
	runner_require(ret == 0, "add: %d", ret);
}

static void copy(struct stile_resv *resv, struct stile_resv *from) {
	int ret = stile_resv_copy_fences(resv, from);
	runner_require(ret == 0, "copy: %d", ret);
}

/* To one that is not locked. */
static void put(struct stile_resv *resv, struct stile_fence *fence, enum stile_resv_usage usage) {
	lock(resv);
	reserve(resv, 1);
	add(resv, fence, usage);
	stile_resv_unlock(resv);
}

/* Have a list of its own made, which is larger than any before. */
static void grow(struct stile_resv *resv) {
	static uint32_t largest = 100;
	lock(resv);
	reserve(resv, largest++);
	stile_resv_unlock(resv);
}

static struct stile_resv resv, spare;
static struct stile_fence
	*fences[USAGES]; /* one of each usage, in `resv`; their order is that of the list */

/* What a test that failed left behind is not the next one's. */
static void setup_count(void) {
	atomic_store(&alive, 0);
}

static void setup(void) {
	setup_count();
	stile_resv_init(&resv);
	stile_resv_init(&spare);
	lock(&resv);
	reserve(&resv, USAGES);
	for (int i = 0; i < USAGES; i++) {
		fences[i] = item_create();
		add(&resv, fences[i], (enum stile_resv_usage)i);
	}
	stile_resv_unlock(&resv);
}

static void teardown(void) {
	stile_resv_fini(&resv);
	stile_resv_fini(&spare);
	for (int i = 0; i < USAGES; i++) {
		item_finish(fences[i]);
	}
	ck_assert_int_eq(alive, 0);
}

/* ---- With the lock ------------------------------------------------------------------------- */

/*
 * Wrong code: what is done left out; usages compared the other way; a restart each
 * time.
 */
START_TEST(locked_iteration_gives_all_in_order) {
	enum stile_resv_usage usage = (enum stile_resv_usage)_i;
	stile_fence_signal(fences[0]);
	item_of(fences[1])->done = true;
	lock(&resv);
	struct stile_resv_iter iter;
	stile_resv_iter_begin(&iter, &resv, usage);
	for (int i = 0; i <= _i; i++) {
		ck_assert_ptr_eq(stile_resv_iter_next(&iter), fences[i]);
		ck_assert_int_eq(stile_resv_iter_get_usage(&iter), i);
		ck_assert(stile_resv_iter_is_restarted(&iter) == (i == 0));
	}
	ck_assert_ptr_null(stile_resv_iter_next(&iter));
	stile_resv_iter_end(&iter);
	stile_resv_unlock(&resv);
	/* Nobody was asked anything. */
	ck_assert_int_eq(item_of(fences[1])->enabled, 0);
}
END_TEST

/* Wrong code: the first fence given only if it is the first entry. */
START_TEST(locked_iteration_begins_with_the_first_match) {
	struct stile_fence *strong = item_create();
	lock(&spare);
	reserve(&spare, 3);
	add(&spare, fences[3], BOOKKEEP);
	add(&spare, fences[2], READ);
	add(&spare, strong, KERNEL);
	struct stile_resv_iter iter;
	stile_resv_iter_begin(&iter, &spare, WRITE);
	ck_assert_ptr_eq(stile_resv_iter_next(&iter), strong);
	ck_assert(stile_resv_iter_is_restarted(&iter));
	ck_assert_int_eq(stile_resv_iter_get_usage(&iter), KERNEL);
	ck_assert_ptr_null(stile_resv_iter_next(&iter));
	stile_resv_iter_end(&iter);
	stile_resv_unlock(&spare);
	item_finish(strong);
}
END_TEST

/* Wrong code: references taken that nobody gives back, or given back that were not taken. */
START_TEST(locked_iteration_borrows) {
	lock(&resv);
	struct stile_resv_iter iter;
	for (int steps = 0; steps <= USAGES + 1; steps++) {
		stile_resv_iter_begin(&iter, &resv, BOOKKEEP);
		for (int i = 0; i < steps; i++) {
			ck_assert((stile_resv_iter_next(&iter) != NULL) == (i < USAGES));
		}
		stile_resv_iter_end(&iter);
	}
	/* As in the kernel, its end is nothing that has to be said. */
	stile_resv_iter_begin(&iter, &resv, BOOKKEEP);
	ck_assert_ptr_eq(stile_resv_iter_next(&iter), fences[0]);
	stile_resv_unlock(&resv);
	stile_resv_fini(&resv);
	stile_resv_init(&resv);
	/* The fixture drops the last references. */
	ck_assert_int_eq(alive, USAGES);
}
END_TEST

/* Wrong code: an iterator that needs a list. */
START_TEST(iteration_of_nothing_is_nothing) {
	struct stile_resv_iter iter;
	lock(&spare);
	stile_resv_iter_begin(&iter, &spare, BOOKKEEP);
	ck_assert_ptr_null(stile_resv_iter_next(&iter));
	stile_resv_iter_end(&iter);
	stile_resv_unlock(&spare);
	stile_resv_iter_begin(&iter, &spare, BOOKKEEP);
	stile_resv_iter_end(&iter);
	stile_resv_iter_begin(&iter, &spare, BOOKKEEP);
	ck_assert_ptr_null(stile_resv_iter_next_unlocked(&iter));
	stile_resv_iter_end(&iter);
}
END_TEST

/* ---- Without the lock ---------------------------------------------------------------------- */

/* Wrong code: what is done given; somebody asked to signal; a restart each time. */
START_TEST(iteration_gives_what_is_pending) {
	enum stile_resv_usage usage = (enum stile_resv_usage)_i;
	struct stile_resv_iter iter;
	/* With each of them done in turn, told or only known to its implementer; then none. */
	for (int done = 0; done <= USAGES; done++) {
		stile_resv_iter_begin(&iter, &resv, usage);
		bool first = true;
		for (int i = done; i <= _i; i++) {
			ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[i]);
			ck_assert_int_eq(stile_resv_iter_get_usage(&iter), i);
			ck_assert(stile_resv_iter_is_restarted(&iter) == first);
			ck_assert_int_eq(item_of(fences[i])->enabled, 0);
			first = false;
		}
		ck_assert_ptr_null(stile_resv_iter_next_unlocked(&iter));
		stile_resv_iter_end(&iter);
		if (done < USAGES) {
			item_of(fences[done])->done = true;
			if (done % 2 == 0) {
				stile_fence_signal(fences[done]);
			}
		}
	}
}
END_TEST

/* Wrong code: a lock wanted. */
START_TEST(iteration_minds_no_lock) {
	lock(&resv);
	struct stile_resv_iter iter, inner;
	stile_resv_iter_begin(&iter, &resv, BOOKKEEP);
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[0]);
	stile_resv_iter_begin(&inner, &resv, BOOKKEEP);
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&inner), fences[0]);
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&inner), fences[1]);
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[1]);
	stile_resv_iter_end(&inner);
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[2]);
	stile_resv_iter_end(&iter);
	stile_resv_unlock(&resv);
}
END_TEST

/*
 * Wrong code: a snapshot of what was pending; a fence passed over because one before it
 * ended.
 */
START_TEST(fence_that_ends_meanwhile_is_not_given) {
	struct stile_resv_iter iter;
	stile_resv_iter_begin(&iter, &resv, BOOKKEEP);
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[0]);
	stile_fence_signal(fences[0]);
	stile_fence_signal(fences[1]);
	item_of(fences[2])->done = true;
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[3]);
	ck_assert(!stile_resv_iter_is_restarted(&iter));
	ck_assert_ptr_null(stile_resv_iter_next_unlocked(&iter));
	stile_resv_iter_end(&iter);
}
END_TEST

/* Wrong code: a fence that is borrowed from a list which does not have it any more. */
START_TEST(given_fence_stays_until_the_next_step) {
	struct stile_resv_iter iter;
	struct stile_fence *only = item_create();
	put(&spare, only, READ);
	stile_fence_unref(only);
	stile_resv_iter_begin(&iter, &spare, BOOKKEEP);
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), only);
	lock(&spare);
	if (_i == 0) {
		stile_fence_signal(only);
		add(&spare, fences[0], READ);
	} else {
		copy(&spare, &resv);
	}
	stile_resv_unlock(&spare);
	ck_assert_int_eq(alive, USAGES + 1);
	ck_assert_uint_eq(item_of(only)->mark, LIVE);
	if (_i == 0) {
		stile_resv_iter_next_unlocked(&iter);
	} else {
		stile_resv_iter_end(&iter);
	}
	ck_assert_int_eq(alive, USAGES);
	stile_resv_iter_end(&iter);
}
END_TEST

/* Wrong code: the reference dropped twice, or not after all was seen. */
START_TEST(end_is_right_after_any_number_of_steps) {
	struct stile_resv_iter iter;
	for (int steps = 0; steps <= USAGES + 1; steps++) {
		stile_resv_iter_begin(&iter, &resv, BOOKKEEP);
		for (int i = 0; i < steps; i++) {
			ck_assert((stile_resv_iter_next_unlocked(&iter) != NULL) == (i < USAGES));
		}
		stile_resv_iter_end(&iter);
	}
	stile_resv_fini(&resv);
	stile_resv_init(&resv);
	ck_assert_int_eq(alive, USAGES);
}
END_TEST

/*
 * Wrong code: an old list gone through to its end; a restart that is not told, or told for
 * ever.
 */
START_TEST(iteration_begins_again_when_the_list_is_replaced) {
	struct stile_resv_iter iter;
	put(&spare, fences[3], READ);
	put(&spare, fences[1], READ);
	stile_resv_iter_begin(&iter, &resv, BOOKKEEP);
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[0]);
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[1]);
	ck_assert(!stile_resv_iter_is_restarted(&iter));
	grow(&resv);
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[0]);
	ck_assert(stile_resv_iter_is_restarted(&iter));
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[1]);
	ck_assert(!stile_resv_iter_is_restarted(&iter));
	lock(&resv);
	copy(&resv, &spare);
	stile_resv_unlock(&resv);
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[3]);
	ck_assert(stile_resv_iter_is_restarted(&iter));
	ck_assert_int_eq(stile_resv_iter_get_usage(&iter), READ);
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[1]);
	ck_assert(!stile_resv_iter_is_restarted(&iter));
	ck_assert_ptr_null(stile_resv_iter_next_unlocked(&iter));
	stile_resv_iter_end(&iter);
}
END_TEST

/* Wrong code: a list taken for the one before because it has its address, or is as long. */
START_TEST(iteration_begins_again_however_often_it_is_replaced) {
	struct stile_resv_iter iter;
	for (int i = 0; i < USAGES; i++) {
		put(&spare, fences[i], READ);
	}
	/* Lists of one size, one after the other: the allocator gives the same memory again. */
	for (int times = 1; times < 20; times++) {
		stile_resv_iter_begin(&iter, &spare, BOOKKEEP);
		ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[0]);
		ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[1]);
		lock(&spare);
		for (int i = 0; i < times; i++) {
			copy(&spare, &spare);
		}
		stile_resv_unlock(&spare);
		ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[0]);
		ck_assert(stile_resv_iter_is_restarted(&iter));
		stile_resv_iter_end(&iter);
	}
}
END_TEST

/* Wrong code: a list that is gone read on. */
START_TEST(iteration_ends_when_the_list_becomes_empty) {
	struct stile_resv_iter iter;
	stile_resv_iter_begin(&iter, &resv, BOOKKEEP);
	ck_assert_ptr_eq(stile_resv_iter_next_unlocked(&iter), fences[0]);
	lock(&resv);
	copy(&resv, &spare);
	stile_resv_unlock(&resv);
	ck_assert_ptr_null(stile_resv_iter_next_unlocked(&iter));
	stile_resv_iter_end(&iter);
}
END_TEST

/* ---- By chance, in one thread -------------------------------------------------------------- */

enum { CHANCE_FENCES = 24, CHANCE_ROUNDS = 2000 };

struct chance {
	uint64_t random;
	struct stile_fence *fences[CHANCE_FENCES]; /* each is in `resv` once, as READ; or NULL */
	bool stays[CHANCE_FENCES];                 /* it was all the time */
	unsigned seen[CHANCE_FENCES];              /* how often, since the last restart */
};

static size_t chance_roll(struct chance *chance, size_t below) {
	return (size_t)(runner_random(&chance->random) % below);
}

/* A slot that has none has one now, and the other way round. */
static void chance_turn(struct chance *chance, size_t i) {
	if (chance->fences[i] == NULL) {
		chance->fences[i] = item_create();
		put(&resv, chance->fences[i], READ);
	} else {
		item_finish(chance->fences[i]);
		chance->fences[i] = NULL;
	}
	chance->stays[i] = false;
	chance->seen[i] = 0;
}

static void chance_replace(struct chance *chance, size_t i) {
	if (chance->fences[i] != NULL) {
		uint64_t context = stile_fence_get_context(chance->fences[i]);
		struct stile_fence *instead = item_create();
		lock(&resv);
		ck_assert_int_eq(stile_resv_replace_fences(&resv, context, instead, READ), 0);
		stile_resv_unlock(&resv);
		item_finish(chance->fences[i]);
		chance->fences[i] = instead;
		chance->stays[i] = false;
		chance->seen[i] = 0;
	}
}

static void chance_change(struct chance *chance) {
	size_t roll = chance_roll(chance, 16);
	if (roll < 8) {
		chance_turn(chance, chance_roll(chance, CHANCE_FENCES));
	} else if (roll < 10) {
		chance_replace(chance, chance_roll(chance, CHANCE_FENCES));
	} else if (roll == 10) {
		lock(&resv);
		copy(&resv, &resv);
		stile_resv_unlock(&resv);
	} else if (roll == 11) {
		lock(&resv);
		reserve(&resv, (uint32_t)(1 + chance_roll(chance, 40)));
		stile_resv_unlock(&resv);
	}
}

static void chance_see(struct chance *chance, struct stile_fence *fence, bool restarted) {
	if (restarted) {
		memset(chance->seen, 0, sizeof(chance->seen));
	}
	size_t i = 0;
	while (i < CHANCE_FENCES && chance->fences[i] != fence) {
		i++;
	}
	ck_assert_msg(i < CHANCE_FENCES, "a fence that is not there");
	ck_assert(!stile_fence_is_signaled(fence));
	chance->seen[i]++;
}

/* Wrong code: a fence passed over, or seen twice, because of what happens to others. */
START_TEST(what_stays_is_found_once) {
	struct chance chance = { .random = runner_seed() };
	for (int round = 0; round < CHANCE_ROUNDS; round++) {
		for (size_t i = 0; i < CHANCE_FENCES; i++) {
			chance.stays[i] = chance.fences[i] != NULL;
		}
		memset(chance.seen, 0, sizeof(chance.seen));
		struct stile_resv_iter iter;
		struct stile_fence *fence;
		stile_resv_iter_begin(&iter, &resv, READ);
		do {
			fence = stile_resv_iter_next_unlocked(&iter);
			if (fence != NULL &&
				!(fence == fences[KERNEL] || fence == fences[WRITE] ||
					fence == fences[READ])) {
				chance_see(&chance, fence, stile_resv_iter_is_restarted(&iter));
			} else if (fence != NULL && stile_resv_iter_is_restarted(&iter)) {
				memset(chance.seen, 0, sizeof(chance.seen));
			}
			chance_change(&chance);
		} while (fence != NULL);
		stile_resv_iter_end(&iter);
		for (size_t i = 0; i < CHANCE_FENCES; i++) {
			ck_assert_uint_le(chance.seen[i], 1);
			ck_assert_msg(!chance.stays[i] || chance.seen[i] == 1, "one was missed");
		}
	}
	for (size_t i = 0; i < CHANCE_FENCES; i++) {
		if (chance.fences[i] != NULL) {
			item_finish(chance.fences[i]);
		}
	}
}
END_TEST

/* ---- Many threads -------------------------------------------------------------------------- */

/*
 * Fences that follow each other: each is ended only after the next one was added. So there is
 * always one that is pending, and whoever asks has to hear of one, whatever else there is.
 */
enum relay_way {
	IN_PLACE, /* of one context, in the same slot */
	IN_TURNS, /* of contexts of their own, in slots that others left */
	REPLACED, /* by stile_resv_replace_fences() */
	COPIED,   /* each in a list of its own */
	GROWN,    /* the same, by growth */
	MIXED,
	RELAY_WAYS,
};

static const char *const way_names[] = { "in place", "in turns", "replaced", "copied", "grown",
	"mixed" };

/*
 * What a thread asks that only looks. Of those from ONLY_ALONE on, some answer the same if there is
 * something else; an iteration goes on from there, and need not notice.
 */
enum question { GET, SINGLETON, COPY, TEST, WAIT, ITERATE, QUESTIONS, ONLY_ALONE = TEST };

static const char *const question_names[] = { "get_fences", "get_singleton", "copy_fences",
	"test_signaled", "wait", "an iteration" };

enum { READERS = 2, RELAY_MS = 250 };

struct relay {
	enum relay_way way;
	uint64_t random;
	uint64_t context;
	bool has_two_sizes;            /* of lists that grow */
	bool gives_up;                 /* some go without an end, if they are in no list then */
	uint32_t number;               /* the seqno of the one that is pending */
	struct stile_fence *pending;   /* a reference */
	struct stile_fence *bystander; /* one that is always there; or NULL */
	atomic_uint ended;             /* up to this one they have */
	atomic_uint ending;            /* up to this one they may have */
	atomic_uint added;             /* up to this one they may be there */
	atomic_bool stop;
	atomic_bool over; /* the last one may end now */
	atomic_ulong steps, answers;
	atomic_uint missed[QUESTIONS]; /* nothing was pending */
	atomic_uint stale;             /* told of one that had ended before */
	atomic_uint dead;              /* told of one that was not there */
};

static struct relay relay;

static enum stile_resv_usage relay_usage(void) {
	return (enum stile_resv_usage)(runner_random(&relay.random) % BOOKKEEP);
}

static void relay_begin(enum relay_way way, bool bystander, uint64_t random) {
	memset(&relay, 0, sizeof(relay));
	relay.way = way;
	relay.random = random;
	relay.context = stile_fence_context_alloc(1);
	stile_resv_init(&resv);
	stile_resv_init(&spare);
	relay.number = 1;
	relay.pending = item_create_in(relay.context, 1);
	atomic_store(&relay.added, 1);
	put(&resv, relay.pending, READ);
	if (bystander) {
		relay.bystander = item_create();
		put(&resv, relay.bystander, READ);
		put(&spare, relay.bystander, READ);
	}
}

/*
 * Small lists and large ones, which the allocator takes back in different ways; or two sizes by turns,
 * so that a list has the address of the last but one.
 */
static uint32_t relay_room(void) {
	if (relay.has_two_sizes) {
		return relay.number % 2 == 0 ? 40 : 50;
	}
	uint64_t most = runner_random(&relay.random) % 16 == 0 ? 40000 : 64;
	return (uint32_t)(1 + runner_random(&relay.random) % most);
}

/* The next one into the list, which may be given up for that. */
static void relay_put(struct stile_fence *next, enum relay_way way) {
	enum stile_resv_usage usage = relay_usage();
	if (way == REPLACED) {
		uint64_t context = stile_fence_get_context(relay.pending);
		lock(&resv);
		int ret = stile_resv_replace_fences(&resv, context, next, usage);
		runner_require(ret == 0, "replace: %d", ret);
		stile_resv_unlock(&resv);
	} else if (way == COPIED) {
		put(&spare, next, usage);
		lock(&resv);
		copy(&resv, &spare);
		stile_resv_unlock(&resv);
	} else {
		lock(&resv);
		if (way == GROWN) {
			/* As small as it can be, so that it has to grow. */
			copy(&resv, &resv);
		}
		reserve(&resv, way == GROWN ? relay_room() : 1);
		add(&resv, next, usage);
		stile_resv_unlock(&resv);
	}
}

static void relay_step(void) {
	enum relay_way way = relay.way;
	if (way == MIXED) {
		way = (enum relay_way)(runner_random(&relay.random) % MIXED);
	}
	bool own = way == IN_TURNS || (way == MIXED && runner_random(&relay.random) % 2 == 0);
	uint64_t context = own ? stile_fence_context_alloc(1) : relay.context;
	uint32_t number = relay.number + 1;
	struct stile_fence *next = item_create_in(context, number);
	atomic_store(&relay.added, number);
	relay_put(next, way);
	atomic_store(&relay.ending, relay.number);
	if (!relay.gives_up || runner_random(&relay.random) % 2 == 0) {
		stile_fence_signal(relay.pending);
	}
	atomic_store(&relay.ended, relay.number);
	stile_fence_unref(relay.pending);
	relay.pending = next;
	relay.number = number;
	atomic_fetch_add(&relay.steps, 1);
}

static void relay_end(void) {
	atomic_store(&relay.over, true);
	atomic_store(&relay.ending, relay.number);
	item_finish(relay.pending);
	if (relay.bystander != NULL) {
		item_finish(relay.bystander);
	}
}

/*
 * A fence was given. Is it one of those that follow each other? None up to `ended` should be given.
 */
static bool relay_judge(struct stile_fence *fence, unsigned ended) {
	if (item_of(fence)->mark != LIVE) {
		atomic_fetch_add(&relay.dead, 1);
	}
	if (fence == relay.bystander) {
		return false;
	}
	uint64_t number = stile_fence_get_seqno(fence);
	if (number <= ended) {
		atomic_fetch_add(&relay.stale, 1);
	}
	if (number > atomic_load(&relay.added)) {
		atomic_fetch_add(&relay.dead, 1);
	}
	return true;
}

static bool ask_get(unsigned ended) {
	struct stile_fence *got[ROOM];
	size_t count = ROOM;
	bool found = false;
	int ret = stile_resv_get_fences(&resv, READ, got, &count);
	for (size_t i = 0; ret == 0 && i < count; i++) {
		found |= relay_judge(got[i], ended);
		stile_fence_unref(got[i]);
	}
	return found;
}

static bool ask_singleton(unsigned ended) {
	struct stile_fence *one;
	bool found = false;
	int ret = stile_resv_get_singleton(&resv, BOOKKEEP, &one);
	if (ret < 0 || one == NULL) {
		return false;
	}
	for (size_t i = 0; i < stile_array_get_count(one); i++) {
		found |= relay_judge(stile_array_get_nth(one, i), ended);
	}
	stile_fence_unref(one);
	return found;
}

static bool ask_iterate(unsigned ended) {
	struct stile_resv_iter iter;
	struct stile_fence *fence;
	bool found = false;
	stile_resv_iter_begin(&iter, &resv, READ);
	while ((fence = stile_resv_iter_next_unlocked(&iter)) != NULL) {
		found &= !stile_resv_iter_is_restarted(&iter);
		found |= relay_judge(fence, ended);
	}
	stile_resv_iter_end(&iter);
	return found;
}

static bool ask_copy(unsigned ended) {
	struct stile_resv own;
	struct stile_resv_iter iter;
	struct stile_fence *fence;
	bool found = false;
	stile_resv_init(&own);
	lock(&own);
	copy(&own, &resv);
	stile_resv_iter_begin(&iter, &own, BOOKKEEP);
	while ((fence = stile_resv_iter_next(&iter)) != NULL) {
		found |= relay_judge(fence, ended);
	}
	stile_resv_iter_end(&iter);
	stile_resv_unlock(&own);
	stile_resv_fini(&own);
	return found;
}

/*
 * As R-13 has it: it may leave out what is added meanwhile, but nothing that was there when it
 * began.
 */
static bool ask_wait(unsigned ended, int64_t deadline_ns, struct stile_cancel *cancel) {
	int ret = stile_resv_wait(&resv, READ, deadline_ns, cancel);
	if (ret == -ETIME) {
		return deadline_ns <= 1;
	}
	return ret == 0 && atomic_load(&relay.ending) > ended;
}

/* Is something pending, as it should be? */
static bool ask(enum question question) {
	unsigned ended = atomic_load(&relay.ended);
	switch (question) {
	case GET:
		return ask_get(ended);
	case SINGLETON:
		return ask_singleton(ended);
	case COPY:
		return ask_copy(ended);
	case TEST:
		return !stile_resv_test_signaled(&resv, READ);
	case WAIT:
		return ask_wait(ended, ended % 2, NULL);
	default:
		return ask_iterate(ended);
	}
}

/* What another thread might do: the next one is added, as late as it can be. */
static void meanwhile(void) {
	struct stile_fence *next =
		item_create_in(relay.way == IN_TURNS ? stile_fence_context_alloc(1) : relay.context,
			relay.number + 1);
	atomic_store(&relay.added, relay.number + 1);
	/* The checker would not like to see locked what is another thread's. */
	ck_assert_int_eq(stile_resv_trylock(&resv), 0);
	if (relay.way == REPLACED) {
		ck_assert_int_eq(stile_resv_replace_fences(&resv, relay.context, next, READ), 0);
	} else if (relay.way == COPIED) {
		ck_assert_int_eq(stile_resv_trylock(&spare), 0);
		reserve(&spare, 1);
		add(&spare, next, READ);
		stile_resv_unlock(&spare);
		copy(&resv, &spare);
	} else {
		reserve(&resv, relay.way == GROWN ? 1000 : 1);
		add(&resv, next, READ);
	}
	stile_resv_unlock(&resv);
	stile_fence_unref(next);
}

/*
 * One thread that does what two might, so that it happens each time: the fence that is looked
 * at is pending until the next one is there. Wrong code: it is found done, and what is there now is
 * not looked at: in its place, in a place that was passed, in another list.
 */
START_TEST(what_is_added_before_the_end_is_found) {
	enum question question = (enum question)(_i % QUESTIONS);
	enum relay_way way = (enum relay_way)(_i / QUESTIONS % MIXED);
	bool bystander = _i / QUESTIONS / MIXED == 1;
	if (question == WAIT || question == ITERATE || (bystander && question >= ONLY_ALONE)) {
		return;
	}
	memset(&relay, 0, sizeof(relay));
	relay.way = way;
	relay.context = stile_fence_context_alloc(1);
	relay.number = 1;
	stile_resv_init(&resv);
	stile_resv_init(&spare);
	/* A place that can be had. */
	struct stile_fence *passed = item_create();
	put(&resv, passed, READ);
	if (bystander) {
		relay.bystander = item_create();
		put(&resv, relay.bystander, READ);
		put(&spare, relay.bystander, READ);
	}
	relay.pending = item_create_in(relay.context, 1);
	put(&resv, relay.pending, READ);
	item_finish(passed);
	item_of(relay.pending)->before_done = meanwhile;
	bool found = ask(question);
	ck_assert(item_of(relay.pending)->done);
	stile_fence_unref(relay.pending);
	if (bystander) {
		item_finish(relay.bystander);
	}
	stile_resv_fini(&resv);
	stile_resv_fini(&spare);
	ck_assert_int_eq(alive, 0);
	ck_assert_msg(found, "%s: %s found nothing pending%s", way_names[way],
		question_names[question], bystander ? " but what always is" : "");
}
END_TEST

static void *reader_run(void *arg) {
	uint64_t random = *(uint64_t *)arg;
	while (!atomic_load(&relay.stop)) {
		enum question question = (enum question)(runner_random(&random) % QUESTIONS);
		if (relay.bystander != NULL && question >= ONLY_ALONE) {
			continue;
		}
		/* An iteration need not notice what is added meanwhile. */
		if (!ask(question) && question != ITERATE) {
			atomic_fetch_add(&relay.missed[question], 1);
		}
		atomic_fetch_add(&relay.answers, 1);
	}
	return NULL;
}

static void relay_assert(void) {
	ck_assert_uint_gt(atomic_load(&relay.steps), 10);
	ck_assert_uint_gt(atomic_load(&relay.answers), 10);
	for (int i = 0; i < QUESTIONS; i++) {
		ck_assert_msg(relay.missed[i] == 0,
			"%s: %s found nothing pending %u times; all questions: %lu, steps: %lu",
			way_names[relay.way], question_names[i], relay.missed[i],
			atomic_load(&relay.answers), atomic_load(&relay.steps));
	}
	ck_assert_msg(relay.stale == 0, "%s: %u fences that had ended", way_names[relay.way],
		relay.stale);
	ck_assert_msg(relay.dead == 0, "%s: %u fences that were not there", way_names[relay.way],
		relay.dead);
}

/*
 * Wrong code: a fence that is found done, and what took its place meanwhile not looked at; a
 * list that was replaced believed, though what was added since is only in the new one; a list or a
 * fence freed under somebody's eyes.
 */
START_TEST(what_is_always_pending_is_always_found) {
	uint64_t random = runner_seed() + (uint64_t)_i;
	relay_begin((enum relay_way)(_i / 2), _i % 2 == 1, runner_random(&random));
	pthread_t threads[READERS];
	uint64_t seeds[READERS];
	for (size_t i = 0; i < READERS; i++) {
		seeds[i] = runner_random(&random);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, reader_run, &seeds[i]), 0);
	}
	int64_t until = runner_clock_ns() + RELAY_MS * MS;
	while (runner_clock_ns() < until) {
		relay_step();
	}
	atomic_store(&relay.stop, true);
	for (size_t i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
	}
	relay_end();
	stile_resv_fini(&resv);
	stile_resv_fini(&spare);
	ck_assert_int_eq(alive, 0);
	relay_assert();
}
END_TEST

struct sleeper {
	pthread_t thread;
	struct stile_cancel *cancel;
	bool good;
};

static void *sleeper_run(void *arg) {
	struct sleeper *sleeper = arg;
	sleeper->good = true;
	while (sleeper->good && !atomic_load(&relay.over)) {
		sleeper->good = ask_wait(
			atomic_load(&relay.ended), runner_clock_ns() + HANG_NS, sleeper->cancel);
		atomic_fetch_add(&relay.answers, 1);
	}
	return NULL;
}

/* Wrong code: a wait that ends before the fence does that was there when it began. */
START_TEST(wait_is_not_over_before_its_fences) {
	uint64_t random = runner_seed() + (uint64_t)_i;
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	relay_begin((enum relay_way)_i, false, runner_random(&random));
	struct sleeper sleepers[] = { { .cancel = NULL }, { .cancel = &cancel } };
	for (size_t i = 0; i < ARRAY_LENGTH(sleepers); i++) {
		ck_assert_int_eq(
			pthread_create(&sleepers[i].thread, NULL, sleeper_run, &sleepers[i]), 0);
	}
	int64_t until = runner_clock_ns() + RELAY_MS * MS;
	while (runner_clock_ns() < until) {
		relay_step();
	}
	relay_end();
	for (size_t i = 0; i < ARRAY_LENGTH(sleepers); i++) {
		pthread_join(sleepers[i].thread, NULL);
	}
	ck_assert_int_eq(stile_resv_wait(&resv, BOOKKEEP, 0, NULL), 0);
	stile_resv_fini(&resv);
	stile_resv_fini(&spare);
	ck_assert_int_eq(alive, 0);
	ck_assert_uint_gt(atomic_load(&relay.answers), 1);
	for (size_t i = 0; i < ARRAY_LENGTH(sleepers); i++) {
		ck_assert_msg(sleepers[i].good, "%s: a wait was over too early, after %lu steps",
			way_names[_i], atomic_load(&relay.steps));
	}
}
END_TEST

static void *getter_run(void *arg) {
	while (!atomic_load(&relay.stop)) {
		struct stile_fence *got[1];
		size_t count = 1;
		if (stile_resv_get_fences(&resv, READ, got, &count) != 0 || count != 1) {
			atomic_fetch_add(&relay.missed[GET], 1);
			continue;
		}
		if (item_of(got[0])->mark != LIVE || stile_fence_is_signaled(got[0])) {
			atomic_fetch_add(&relay.dead, 1);
		}
		stile_fence_unref(got[0]);
		atomic_fetch_add(&relay.answers, 1);
	}
	return arg;
}

/*
 * A fence to which nobody listens may go without an end. Wrong code: a reference on one whose last
 * is gone: it is released twice; or it is taken for one that is done.
 */
START_TEST(fence_that_was_given_up_is_not_found) {
	memset(&relay, 0, sizeof(relay));
	relay.context = stile_fence_context_alloc(1);
	stile_resv_init(&resv);
	struct stile_fence *first = item_create_in(relay.context, 1);
	put(&resv, first, READ);
	stile_fence_unref(first);
	pthread_t threads[READERS];
	for (size_t i = 0; i < READERS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, getter_run, NULL), 0);
	}
	int64_t until = runner_clock_ns() + RELAY_MS * MS;
	while (runner_clock_ns() < until) {
		lock(&resv);
		for (int i = 0; i < 100; i++) {
			struct stile_fence *next = item_create_in(relay.context, 1);
			int ret = stile_resv_replace_fences(&resv, relay.context, next, READ);
			runner_require(ret == 0, "replace: %d", ret);
			stile_fence_unref(next);
		}
		stile_resv_unlock(&resv);
	}
	atomic_store(&relay.stop, true);
	for (size_t i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
	}
	stile_resv_fini(&resv);
	ck_assert_int_eq(alive, 0);
	ck_assert_uint_gt(atomic_load(&relay.answers), 10);
	ck_assert_msg(relay.dead == 0, "%u dead fences of %lu", relay.dead, relay.answers);
	ck_assert_msg(relay.missed[GET] == 0, "%u times none, of %lu", relay.missed[GET],
		atomic_load(&relay.answers));
}
END_TEST

/* Two threads that do something at the same time, again and again, and nothing in between. */
static struct { atomic_uint began, ended; /* how often */ } quiet_rounds;

static void *round_run(void *arg) {
	for (unsigned round = 1;; round++) {
		while (atomic_load(&quiet_rounds.began) < round) {
			sched_yield();
		}
		if (atomic_load(&relay.stop)) {
			return arg;
		}
		for (int i = 0; i < 3; i++) {
			struct stile_fence *got[1];
			size_t count = 1;
			int ret = stile_resv_get_fences(&resv, READ, got, &count);
			runner_require(ret == 0 && count == 1, "get: %d", ret);
			stile_fence_unref(got[0]);
		}
		atomic_fetch_add(&quiet_rounds.ended, 1);
	}
}

/*
 * F-3, R-21. Wrong code: the last one that looks leaves at a moment at which the one that waits for
 * that has looked already, and not yet said that it waits: what is dead stays until somebody looks
 * again.
 */
START_TEST(dead_fences_are_gone_when_nobody_looks) {
	memset(&relay, 0, sizeof(relay));
	memset(&quiet_rounds, 0, sizeof(quiet_rounds));
	relay.context = stile_fence_context_alloc(1);
	stile_resv_init(&resv);
	struct stile_fence *next = item_create_in(relay.context, 1);
	put(&resv, next, READ);
	stile_fence_unref(next);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, round_run, NULL), 0);
	lock(&resv);
	int64_t until = runner_clock_ns() + 2 * RELAY_MS * MS;
	unsigned round = 0;
	bool left = false;
	while (!left && runner_clock_ns() < until) {
		atomic_store(&quiet_rounds.began, ++round);
		for (int i = 0; i < 3; i++) {
			next = item_create_in(relay.context, 1);
			int ret = stile_resv_replace_fences(&resv, relay.context, next, READ);
			runner_require(ret == 0, "replace: %d", ret);
			stile_fence_unref(next);
		}
		while (atomic_load(&quiet_rounds.ended) < round) {
			sched_yield();
		}
		left = atomic_load(&alive) != 1;
	}
	atomic_store(&relay.stop, true);
	atomic_store(&quiet_rounds.began, round + 1);
	pthread_join(thread, NULL);
	stile_resv_unlock(&resv);
	int alive_then = atomic_load(&alive);
	stile_resv_fini(&resv);
	ck_assert_msg(!left, "in round %u: %d fences instead of 1", round, alive_then);
	ck_assert_int_eq(alive, 0);
	ck_assert_uint_gt(round, 10);
}
END_TEST

/* ---- A fence that stays, among others that come and go --------------------------------------- */

enum { CROWD = 20, CROWD_ROOM = 64 };

static struct {
	struct stile_fence *stays;
	struct stile_fence *others[CROWD];
	uint64_t random;
	atomic_bool stop;
	atomic_ulong steps, answers;
	atomic_uint bad[QUESTIONS];
} crowd;

static bool crowd_judge(struct stile_fence *const *got, size_t count) {
	size_t found = 0;
	for (size_t i = 0; i < count; i++) {
		found += got[i] == crowd.stays;
		for (size_t j = 0; j < i; j++) {
			if (got[i] == got[j]) {
				return false;
			}
		}
		if (item_of(got[i])->mark != LIVE) {
			return false;
		}
	}
	return found == 1;
}

static bool crowd_get(void) {
	struct stile_fence *got[CROWD_ROOM];
	size_t count = CROWD_ROOM;
	bool good = stile_resv_get_fences(&resv, READ, got, &count) == 0 && crowd_judge(got, count);
	for (size_t i = 0; i < count && i < CROWD_ROOM; i++) {
		stile_fence_unref(got[i]);
	}
	return good;
}

static bool crowd_singleton(void) {
	struct stile_fence *got[CROWD_ROOM], *one;
	if (stile_resv_get_singleton(&resv, READ, &one) != 0 || one == NULL) {
		return false;
	}
	size_t count = stile_array_get_count(one);
	for (size_t i = 0; i < count && i < CROWD_ROOM; i++) {
		got[i] = stile_array_get_nth(one, i);
	}
	bool good = count <= CROWD_ROOM && crowd_judge(got, count);
	stile_fence_unref(one);
	return good;
}

static bool crowd_iterate(void) {
	struct stile_fence *got[CROWD_ROOM], *fence;
	struct stile_resv_iter iter;
	size_t count = 0;
	bool good = true;
	stile_resv_iter_begin(&iter, &resv, READ);
	while (good && (fence = stile_resv_iter_next_unlocked(&iter)) != NULL) {
		if (stile_resv_iter_is_restarted(&iter)) {
			while (count > 0) {
				stile_fence_unref(got[--count]);
			}
		}
		good = count < CROWD_ROOM && item_of(fence)->mark == LIVE;
		if (good) {
			got[count++] = stile_fence_ref(fence);
		}
	}
	stile_resv_iter_end(&iter);
	good = good && crowd_judge(got, count);
	while (count > 0) {
		stile_fence_unref(got[--count]);
	}
	return good;
}

static bool crowd_copy(void) {
	struct stile_fence *got[CROWD_ROOM], *fence;
	struct stile_resv own;
	struct stile_resv_iter iter;
	size_t count = 0;
	stile_resv_init(&own);
	lock(&own);
	copy(&own, &resv);
	stile_resv_iter_begin(&iter, &own, READ);
	while (count < CROWD_ROOM && (fence = stile_resv_iter_next(&iter)) != NULL) {
		got[count++] = fence;
	}
	stile_resv_iter_end(&iter);
	bool good = crowd_judge(got, count);
	stile_resv_unlock(&own);
	stile_resv_fini(&own);
	return good;
}

static bool crowd_ask(enum question question) {
	switch (question) {
	case GET:
		return crowd_get();
	case SINGLETON:
		return crowd_singleton();
	case ITERATE:
		return crowd_iterate();
	case TEST:
		return !stile_resv_test_signaled(&resv, READ);
	case WAIT:
		return stile_resv_wait(&resv, READ, 0, NULL) == -ETIME;
	default:
		return crowd_copy();
	}
}

static void *crowd_run(void *arg) {
	uint64_t random = *(uint64_t *)arg;
	while (!atomic_load(&crowd.stop)) {
		enum question question = (enum question)(runner_random(&random) % QUESTIONS);
		if (!crowd_ask(question)) {
			atomic_fetch_add(&crowd.bad[question], 1);
		}
		atomic_fetch_add(&crowd.answers, 1);
	}
	return NULL;
}

/* One of the others comes, is replaced, or goes; or all get a list that is new. */
static void crowd_step(void) {
	struct stile_fence **at = &crowd.others[runner_random(&crowd.random) % CROWD];
	uint64_t roll = runner_random(&crowd.random) % 8;
	struct stile_fence *old = *at;
	lock(&resv);
	if (roll == 0) {
		copy(&resv, &resv);
	} else if (roll == 1) {
		reserve(&resv, (uint32_t)(1 + runner_random(&crowd.random) % 64));
	} else if (roll <= 3 && old != NULL) {
		*at = item_create();
		int ret =
			stile_resv_replace_fences(&resv, stile_fence_get_context(old), *at, WRITE);
		runner_require(ret == 0, "replace: %d", ret);
	} else if (old != NULL) {
		*at = NULL;
	} else {
		*at = item_create();
		reserve(&resv, 1);
		add(&resv, *at, READ);
	}
	stile_resv_unlock(&resv);
	if (old != NULL && *at != old) {
		/* If no entry has it any more, it may go without an end: nobody wants it. */
		if (roll > 3 || runner_random(&crowd.random) % 2 == 0) {
			stile_fence_signal(old);
		}
		stile_fence_unref(old);
	}
	atomic_fetch_add(&crowd.steps, 1);
}

/*
 * Wrong code: a fence that nobody touches lost, or given twice, because the list
 * is replaced around it; what was gathered before a restart kept.
 */
START_TEST(what_stays_is_found_once_by_other_threads) {
	uint64_t random = runner_seed();
	memset(&crowd, 0, sizeof(crowd));
	crowd.random = runner_random(&random);
	crowd.stays = item_create();
	stile_resv_init(&resv);
	put(&resv, crowd.stays, READ);
	pthread_t threads[READERS];
	uint64_t seeds[READERS];
	for (size_t i = 0; i < READERS; i++) {
		seeds[i] = runner_random(&random);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, crowd_run, &seeds[i]), 0);
	}
	int64_t until = runner_clock_ns() + 2 * RELAY_MS * MS;
	while (runner_clock_ns() < until) {
		crowd_step();
	}
	atomic_store(&crowd.stop, true);
	for (size_t i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
	}
	stile_resv_fini(&resv);
	for (size_t i = 0; i < CROWD; i++) {
		if (crowd.others[i] != NULL) {
			item_finish(crowd.others[i]);
		}
	}
	item_finish(crowd.stays);
	ck_assert_int_eq(alive, 0);
	ck_assert_uint_gt(atomic_load(&crowd.steps), 10);
	ck_assert_uint_gt(atomic_load(&crowd.answers), 10);
	for (int i = 0; i < QUESTIONS; i++) {
		ck_assert_msg(crowd.bad[i] == 0, "%s was wrong %u times of all %lu",
			question_names[i], crowd.bad[i], atomic_load(&crowd.answers));
	}
}
END_TEST

/* ---- Step by step -------------------------------------------------------------------------- */

/* The thread sanitizer hands signals on when it likes. */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)

enum { TRAP_FLAG = 0x100, STEPS_A_TEST = 30000, LOST_S = 15 };

/*
 * One thread that does what two might, in any order: the processor stops after each instruction of one
 * side, and there the other side may have its turn.
 */
static struct {
	void (*visit)(void); /* NULL: that was all */
	size_t count;        /* instructions so far, of the reader if that is this side */
	size_t turns[2];     /* after how many of them the other side has its turn */
	bool looks;          /* the reader is at it */
	bool lost;           /* it has crashed, or does not come to an end */
	sigjmp_buf escape;   /* from there */
} steps;

static void on_step(int number, siginfo_t *info, void *user) {
	(void)number;
	(void)info;
	ucontext_t *context = user;
	if (steps.visit == NULL) {
		context->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
		return;
	}
	context->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
	steps.count++;
	steps.visit();
}

static void steps_begin(void (*visit)(void)) {
	steps.count = 0;
	steps.visit = visit;
	raise(SIGTRAP);
}

static void steps_end(void) {
	atomic_signal_fence(memory_order_seq_cst);
	steps.visit = NULL;
	atomic_signal_fence(memory_order_seq_cst);
}

static void on_trouble(int number) {
	if (steps.looks) {
		siglongjmp(steps.escape, 1);
	}
	if (number == SIGSEGV) {
		signal(SIGSEGV, SIG_DFL);
	}
}

enum { SIGNALS = 3 };
static const int step_signals[SIGNALS] = { SIGTRAP, SIGSEGV, SIGALRM };
static struct sigaction actions_before[SIGNALS];
static bool was_enabled;

/* Neither side may call malloc() where the other one is in it: readers never do, if items do not. */
static void setup_steps(void) {
	static bool pool_is_full;
	struct sigaction action = { .sa_handler = on_trouble };
	struct sigaction step = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };
	setup_count();
	for (size_t i = 0; i < POOL && !pool_is_full; i++) {
		pool_give(&pool[i]);
	}
	pool_is_full = true;
	pool_is_used = true;
	was_enabled = stile_check_is_enabled();
	stile_check_enable(false);
	for (size_t i = 0; i < SIGNALS; i++) {
		int ret = sigaction(step_signals[i], i == 0 ? &step : &action, &actions_before[i]);
		runner_require(ret == 0, "no handler");
	}
	steps.lost = false;
	alarm(LOST_S);
}

static void teardown_steps(void) {
	alarm(0);
	for (size_t i = 0; i < SIGNALS; i++) {
		sigaction(step_signals[i], &actions_before[i], NULL);
	}
	stile_check_enable(was_enabled);
	pool_is_used = false;
}

/* Those that take no memory. */
static const enum question step_questions[] = { GET, TEST, ITERATE };

static void step_ask(enum question question) {
	/* An iteration need not notice what is added meanwhile. */
	if (!ask(question) && question != ITERATE) {
		relay.missed[question]++;
	}
	relay.answers++;
}

/* Comes back whatever happens. */
static void look(const enum question *questions, size_t count) {
	if (sigsetjmp(steps.escape, 1) == 0) {
		steps.looks = true;
		steps.count = 0;
		for (size_t i = 0; i < count; i++) {
			step_ask(questions[i]);
		}
	} else {
		steps.lost = true;
		steps_end();
	}
	steps.looks = false;
}

static void steps_finish(void) {
	ck_assert_msg(!steps.lost, "%s: a reader was lost", way_names[relay.way]);
	relay_end();
	stile_resv_fini(&resv);
	stile_resv_fini(&spare);
}

static void visit_reader(void) {
	look(step_questions, ARRAY_LENGTH(step_questions));
}

/*
 * Wrong code: a count that is there before the entry, an entry that is not there for a
 * moment, a list that is there before what is in it.
 */
START_TEST(each_step_of_a_change_leaves_something_to_be_found) {
	uint64_t random = runner_seed();
	relay_begin((enum relay_way)(_i / 2), _i % 2 == 1, runner_random(&random));
	for (int i = 0; i < 20 && !steps.lost; i++) {
		steps_begin(visit_reader);
		relay_step();
		steps_end();
	}
	/* At least a hundred instructions each time. */
	ck_assert_uint_gt(relay.answers, 20 * 100 * ARRAY_LENGTH(step_questions));
	steps_finish();
	ck_assert_int_eq(alive, 0);
	relay_assert();
}
END_TEST

static void visit_writer(void) {
	if (!steps.looks) {
		return;
	}
	if (steps.count == steps.turns[0] || steps.count == steps.turns[1]) {
		relay_step();
	}
	if (steps.count == steps.turns[1]) {
		steps_end();
	}
}

/* There is room, and no place that can be had: what is added next comes behind. */
static void relay_tidy(void) {
	lock(&resv);
	copy(&resv, &resv);
	reserve(&resv, 4);
	stile_resv_unlock(&resv);
}

/* After how many steps the reader was done. */
static size_t interrupt(enum question question, size_t first, size_t second) {
	steps.turns[0] = first;
	steps.turns[1] = second;
	steps_begin(visit_writer);
	look(&question, 1);
	steps_end();
	return steps.count;
}

/*
 * Wrong code: a reference on a fence whose last has just gone; a list believed
 * that was replaced, or taken for one that was freed, and had its address.
 */
START_TEST(reader_may_be_interrupted_at_each_step) {
	uint64_t random = runner_seed() + (uint64_t)_i;
	size_t kinds = ARRAY_LENGTH(step_questions);
	enum question question = step_questions[(size_t)_i % kinds];
	enum relay_way way = (enum relay_way)((size_t)_i / kinds % MIXED);
	bool bystander = (size_t)_i / kinds / MIXED == 1;
	if (bystander && question >= ONLY_ALONE) {
		return;
	}
	relay_begin(way, bystander, runner_random(&random));
	relay.has_two_sizes = true;
	relay.gives_up = way == REPLACED;
	/* The first time there may be more to do. */
	(void)interrupt(question, 0, 0);
	size_t length = interrupt(question, 0, 0);
	size_t rounds = STEPS_A_TEST / length;
	for (size_t i = 0; i < rounds && !steps.lost; i++) {
		if (way <= IN_TURNS && i % 2 == 0) {
			relay_tidy();
		}
		size_t first = 1 + runner_random(&random) % length;
		interrupt(question, first,
			first + 1 + runner_random(&random) % (length - first + 20));
	}
	steps_finish();
	ck_assert_int_eq(alive, 0);
	relay_assert();
}
END_TEST

static void add_steps(Suite *s) {
	TCase *tcase = ledger_tcase_create("step by step");
	tcase_add_checked_fixture(tcase, setup_steps, teardown_steps);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(
		tcase, each_step_of_a_change_leaves_something_to_be_found, 0, 2 * RELAY_WAYS);
	tcase_add_loop_test(tcase, reader_may_be_interrupted_at_each_step, 0,
		2 * MIXED * (int)ARRAY_LENGTH(step_questions));
	suite_add_tcase(s, tcase);
}

#else

static void add_steps(Suite *s) {
	(void)s;
}

#endif

/* ---- No system call ------------------------------------------------------------------------ */

enum { QUIET_MS = 1000, NO_FILTER = 3, NOT_WATCHED = 4, CALLED = 5, IDLE = 6 };

static struct {
	atomic_int refused; /* why there is no filter */
	atomic_uint calls;
	atomic_bool watched, looks, done;
} quiet;

/* The call must not go on without its result: the process says which one it was, and ends. */
static void quiet_trap(int number, siginfo_t *info, void *context) {
	(void)number;
	(void)context;
	atomic_fetch_add(&quiet.calls, 1);
	if (!atomic_load(&quiet.watched)) {
		return;
	}
	char text[] = "system call    0\n";
	int call = info->si_syscall;
	for (size_t at = sizeof(text) - 3; call > 0; call /= 10, at--) {
		text[at] = (char)('0' + call % 10);
	}
	ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)written;
	_exit(CALLED);
}

/*
 * From here on any system call of this thread, but what quiet_trap() needs, is trapped. For ever.
 */
static int quiet_filter(void) {
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_rt_sigreturn, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_write, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_LENGTH(code), .filter = code };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
		return errno;
	}
	return 0;
}

static void quiet_look(void) {
	unsigned ended = atomic_load(&relay.ended);
	if (!ask_get(ended)) {
		atomic_fetch_add(&relay.missed[GET], 1);
	}
	if (stile_resv_test_signaled(&resv, READ)) {
		atomic_fetch_add(&relay.missed[TEST], 1);
	}
	if (!ask_iterate(ended)) {
		atomic_fetch_add(&relay.missed[ITERATE], 1);
	}
	atomic_fetch_add(&relay.answers, 1);
}

/* The thread cannot end after this: the process has to. */
static void *quiet_run(void *arg) {
	/* The checker has memory of its own for each thread. */
	stile_might_wait();
	int refused = quiet_filter();
	atomic_store(&quiet.refused, refused);
	if (refused == 0) {
		syscall(__NR_getppid);
		atomic_store(&quiet.watched, atomic_load(&quiet.calls) == 1);
	}
	atomic_store(&quiet.looks, true);
	while (!atomic_load(&relay.stop)) {
		quiet_look();
	}
	atomic_store(&quiet.done, true);
	while (refused == 0) {
	}
	return arg;
}

static int quiet_result(void) {
	if (quiet.refused != 0) {
		fprintf(stderr, "the system refuses a filter of system calls: %s\n",
			strerror(quiet.refused));
		return NO_FILTER;
	}
	if (!quiet.watched) {
		return NOT_WATCHED;
	}
	return relay.steps < 100 || relay.answers < 100 ? IDLE : 0;
}

/* A process in which one thread changes a reservation, and another one looks. */
static int quiet_role(void) {
	struct sigaction action = { .sa_sigaction = quiet_trap, .sa_flags = SA_SIGINFO };
	runner_require(sigaction(SIGSYS, &action, NULL) == 0, "no handler");
	pool_is_used = true;
	for (size_t i = 0; i < POOL; i++) {
		pool_give(&pool[i]);
	}
	relay_begin(MIXED, false, 1);
	pthread_t thread;
	runner_require(pthread_create(&thread, NULL, quiet_run, NULL) == 0, "no thread");
	while (!atomic_load(&quiet.looks)) {
		runner_sleep_ms(1);
	}
	int64_t until = runner_clock_ns() + QUIET_MS * MS;
	while (runner_clock_ns() < until) {
		relay_step();
	}
	atomic_store(&relay.stop, true);
	while (!atomic_load(&quiet.done)) {
		runner_sleep_ms(1);
	}
	return quiet_result();
}

/*
 * and the promise of stile_resv_get_fences(). Wrong code: a lock, or memory taken
 * or given back, on the way of those who look.
 */
START_TEST(looking_makes_no_system_call) {
	int result = runner_reap(runner_spawn("quiet", NULL, 0));
	ck_assert_msg(result != NO_FILTER, "there is no way to find out here");
	ck_assert_msg(result != CALLED, "there were system calls");
	ck_assert_int_eq(result, 0);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("resv_iter");
	TCase *locked = ledger_tcase_create("with the lock");
	tcase_add_checked_fixture(locked, setup, teardown);
	tcase_add_loop_test(locked, locked_iteration_gives_all_in_order, 0, USAGES);
	tcase_add_test(locked, locked_iteration_begins_with_the_first_match);
	tcase_add_test(locked, locked_iteration_borrows);
	suite_add_tcase(s, locked);

	TCase *unlocked = ledger_tcase_create("without the lock");
	tcase_add_checked_fixture(unlocked, setup, teardown);
	tcase_add_test(unlocked, iteration_of_nothing_is_nothing);
	tcase_add_loop_test(unlocked, iteration_gives_what_is_pending, 0, USAGES);
	tcase_add_test(unlocked, iteration_minds_no_lock);
	tcase_add_test(unlocked, fence_that_ends_meanwhile_is_not_given);
	tcase_add_loop_test(unlocked, given_fence_stays_until_the_next_step, 0, 2);
	tcase_add_test(unlocked, end_is_right_after_any_number_of_steps);
	tcase_add_test(unlocked, iteration_begins_again_when_the_list_is_replaced);
	tcase_add_test(unlocked, iteration_begins_again_however_often_it_is_replaced);
	tcase_add_test(unlocked, iteration_ends_when_the_list_becomes_empty);
	tcase_add_test(unlocked, what_stays_is_found_once);
	suite_add_tcase(s, unlocked);

	add_steps(s);

	TCase *threads = ledger_tcase_create("threads");
	tcase_add_checked_fixture(threads, setup_count, NULL);
	tcase_set_timeout(threads, 60);
	tcase_add_loop_test(
		threads, what_is_added_before_the_end_is_found, 0, 2 * QUESTIONS * MIXED);
	tcase_add_loop_test(threads, what_is_always_pending_is_always_found, 0, 2 * RELAY_WAYS);
	tcase_add_loop_test(threads, wait_is_not_over_before_its_fences, 0, RELAY_WAYS);
	tcase_add_test(threads, fence_that_was_given_up_is_not_found);
	tcase_add_test(threads, dead_fences_are_gone_when_nobody_looks);
	tcase_add_test(threads, what_stays_is_found_once_by_other_threads);
	suite_add_tcase(s, threads);

	TCase *system = ledger_tcase_create("no system call");
	tcase_set_timeout(system, 60);
	/* The sanitizers make some of their own. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	tcase_add_test(system, looking_makes_no_system_call);
#else
	(void)looking_makes_no_system_call;
#endif
	suite_add_tcase(s, system);
	return s;
}

static const struct runner_role roles[] = {
	{ "quiet", quiet_role },
	{ NULL, NULL },
};

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, roles);
}
