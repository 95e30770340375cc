/* SPDX-License-Identifier: MIT */
/*
 * Reservations: KERNEL_CONTRACT section 8, what is done with the lock, and the questions of one
 * thread. Iterators and threads that look without the lock: test_resv_iter.c; poll:
 * test_resv_poll.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stile/array.h>
#include <stile/chain.h>
#include <stile/check.h>
#include <stile/fence.h>
#include <stile/resv.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"
#include "src/resv.h"

#define KERNEL STILE_RESV_KERNEL
#define WRITE STILE_RESV_WRITE
#define READ STILE_RESV_READ
#define BOOKKEEP STILE_RESV_BOOKKEEP

#define MS INT64_C(1000000)
/* Long enough that a failure means a hang. */
#define HANG_NS (30000 * MS)

enum { USAGES = 4, ROOM = 64, MANY = 4000 };

/* ---- Fences -------------------------------------------------------------------------------- */

/* A fence with notes on what was asked of it. */
struct work {
	struct stile_fence fence;
	atomic_int enabled;
	bool done; /* what its implementer says */
	int deadlines;
	int64_t deadline_ns;
};

static atomic_int alive;

static struct work *work_of(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct work, fence);
}

static const char *work_name(struct stile_fence *fence) {
	(void)fence;
	return "work";
}

static bool work_enable(struct stile_fence *fence) {
	atomic_fetch_add(&work_of(fence)->enabled, 1);
	return true;
}

static bool work_signaled(struct stile_fence *fence) {
	return work_of(fence)->done;
}

static void work_release(struct stile_fence *fence) {
	atomic_fetch_sub(&alive, 1);
	free(work_of(fence));
}

static void work_set_deadline(struct stile_fence *fence, int64_t deadline_ns) {
	work_of(fence)->deadlines++;
	work_of(fence)->deadline_ns = deadline_ns;
}

#define WORK_OPS \
	.size = sizeof(struct stile_fence_ops), .get_driver_name = work_name, \
	.get_timeline_name = work_name, .enable_signaling = work_enable, \
	.signaled = work_signaled, .release = work_release, .set_deadline = work_set_deadline

static const struct stile_fence_ops work_ops = { WORK_OPS };
static const struct stile_fence_ops work64_ops = { WORK_OPS, .flags = STILE_FENCE_SEQNO64 };

/* Those that the test has a reference to: the fixture ends and drops them. */
static struct stile_fence *owned[MANY];
static size_t owned_count;

static struct stile_fence *work_create_as(
	const struct stile_fence_ops *ops, uint64_t context, uint64_t seqno) {
	struct work *work = calloc(1, sizeof(*work));
	runner_require(work != NULL && owned_count < MANY, "no room for a fence");
	int ret = stile_fence_init(&work->fence, ops, context, seqno);
	runner_require(ret == 0, "no fence: %d", ret);
	atomic_fetch_add(&alive, 1);
	owned[owned_count++] = &work->fence;
	return &work->fence;
}

static struct stile_fence *work_create_in(uint64_t context, uint64_t seqno) {
	return work_create_as(&work_ops, context, seqno);
}

static struct stile_fence *work_create(void) {
	return work_create_in(stile_fence_context_alloc(1), 1);
}

static struct stile_fence *work_create_done(void) {
	struct stile_fence *fence = work_create();
	stile_fence_signal(fence);
	return fence;
}

/* The test's reference. */
static void work_drop(struct stile_fence *fence) {
	size_t at = 0;
	while (at < owned_count && owned[at] != fence) {
		at++;
	}
	runner_require(at < owned_count, "dropped twice");
	owned[at] = owned[--owned_count];
	stile_fence_unref(fence);
}

static void works_drop_all(void) {
	while (owned_count > 0) {
		stile_fence_signal(owned[owned_count - 1]);
		work_drop(owned[owned_count - 1]);
	}
}

static void end_with(struct stile_fence *fence, int error) {
	ck_assert_int_eq(stile_fence_set_error(fence, error), 0);
	stile_fence_signal(fence);
}

/* 0: an array; 1: an element of a chain. */
static struct stile_fence *container_create(int kind, struct stile_fence *content) {
	struct stile_fence *container;
	if (kind == 0) {
		ck_assert_int_eq(stile_array_create(&content, 1, stile_fence_context_alloc(1), 1,
					 STILE_ARRAY_ALL, &container),
			0);
		return container;
	}
	struct stile_chain *chain;
	ck_assert_int_eq(stile_chain_alloc(&chain), 0);
	return stile_chain_init(chain, NULL, stile_fence_ref(content), 1);
}

/* ---- Reservations -------------------------------------------------------------------------- */

static struct stile_resv resv, other;
static bool was_enabled;

static void lock(struct stile_resv *which) {
	ck_assert_int_eq(stile_resv_lock(which, NULL, NULL), 0);
}

static void setup(void) {
	/* What a test that failed left behind is not the next one's. */
	owned_count = 0;
	atomic_store(&alive, 0);
	memset(&resv, 0xa5, sizeof(resv));
	memset(&other, 0xa5, sizeof(other));
	stile_resv_init(&resv);
	stile_resv_init(&other);
}

static void teardown(void) {
	stile_resv_fini(&resv);
	stile_resv_fini(&other);
	works_drop_all();
	ck_assert_int_eq(alive, 0);
}

static void reserve(struct stile_resv *which, uint32_t count) {
	ck_assert_int_eq(stile_resv_reserve_fences(which, count), 0);
}

/* `resv` is locked, with room that lasts for any of these tests. */
static void setup_locked(void) {
	setup();
	lock(&resv);
	reserve(&resv, ROOM);
}

static void teardown_locked(void) {
	stile_resv_unlock(&resv);
	teardown();
}

/* To a reservation that is locked and has room. */
static void add(struct stile_resv *which, struct stile_fence *fence, enum stile_resv_usage usage) {
	ck_assert_int_eq(stile_resv_add_fence(which, fence, usage), 0);
}

/* To one that is not locked. */
static void put(struct stile_resv *which, struct stile_fence *fence, enum stile_resv_usage usage) {
	lock(which);
	reserve(which, 1);
	add(which, fence, usage);
	stile_resv_unlock(which);
}

struct entry {
	struct stile_fence *fence;
	enum stile_resv_usage usage;
};

struct list {
	struct entry entries[ROOM];
	size_t count;
};

/* All entries in their order; the reservation is locked. */
static void list_read(struct list *list, struct stile_resv *which) {
	struct stile_resv_iter iter;
	stile_resv_iter_begin(&iter, which, BOOKKEEP);
	struct stile_fence *fence;
	for (list->count = 0; (fence = stile_resv_iter_next(&iter)) != NULL; list->count++) {
		ck_assert_uint_lt(list->count, ROOM);
		list->entries[list->count].fence = fence;
		list->entries[list->count].usage = stile_resv_iter_get_usage(&iter);
	}
	stile_resv_iter_end(&iter);
}

static bool list_is(const struct list *list, const struct entry *entries, size_t count) {
	bool same = list->count == count;
	for (size_t i = 0; same && i < count; i++) {
		same = list->entries[i].fence == entries[i].fence &&
			list->entries[i].usage == entries[i].usage;
	}
	return same;
}

static void list_print(
	const char *title, const struct entry *entries, size_t count, char *text, size_t size) {
	int n = snprintf(text, size, "%s:", title);
	for (size_t i = 0; i < count && n < (int)size; i++) {
		n += snprintf(text + n, size - (size_t)n, " %p/%d", (void *)entries[i].fence,
			(int)entries[i].usage);
	}
}

static void assert_list(struct stile_resv *which, const struct entry *entries, size_t count) {
	struct list list;
	list_read(&list, which);
	char is[1024], should[1024];
	list_print("is", list.entries, list.count, is, sizeof(is));
	list_print("should be", entries, count, should, sizeof(should));
	ck_assert_msg(list_is(&list, entries, count), "%s; %s", is, should);
}

/* ---- A thread that has a reservation locked ------------------------------------------------ */

enum { HOLDER_STARTS, HOLDER_HOLDS, HOLDER_ENDS };

struct holder {
	struct stile_resv *resv;
	pthread_t thread;
	atomic_int state;
	int ret;
};

static void *holder_run(void *arg) {
	struct holder *holder = arg;
	holder->ret = stile_resv_lock(holder->resv, NULL, NULL);
	atomic_store(&holder->state, HOLDER_HOLDS);
	while (atomic_load(&holder->state) != HOLDER_ENDS) {
		runner_sleep_ms(1);
	}
	if (holder->ret == 0) {
		stile_resv_unlock(holder->resv);
	}
	return NULL;
}

static void holder_start(struct holder *holder, struct stile_resv *which) {
	*holder = (struct holder){ .resv = which };
	ck_assert_int_eq(pthread_create(&holder->thread, NULL, holder_run, holder), 0);
	while (atomic_load(&holder->state) != HOLDER_HOLDS) {
		runner_sleep_ms(1);
	}
	ck_assert_int_eq(holder->ret, 0);
}

static void holder_stop(struct holder *holder) {
	atomic_store(&holder->state, HOLDER_ENDS);
	pthread_join(holder->thread, NULL);
}

/* ---- Making one, and its lock -------------------------------------------------------------- */

/* Wrong code: a reader that waits for other readers, a writer that does not. */
START_TEST(reader_asks_for_writers_and_writer_for_all) {
	ck_assert_int_eq(stile_resv_usage_rw(true), READ);
	ck_assert_int_eq(stile_resv_usage_rw(false), WRITE);
	ck_assert_int_lt(KERNEL, WRITE);
	ck_assert_int_lt(WRITE, READ);
	ck_assert_int_lt(READ, BOOKKEEP);
}
END_TEST

/*
 * Wrong code: memory that has to be zero before; one that needs memory of its own to be empty.
 */
START_TEST(new_reservation_is_empty_and_unlocked) {
	struct stile_resv fresh;
	memset(&fresh, 0xff, sizeof(fresh));
	/* The checker has memory of its own for each thread. */
	stile_might_wait();
	failing_begin(1);
	stile_resv_init(&fresh);
	bool locked = stile_resv_is_locked(&fresh);
	bool done = stile_resv_test_signaled(&fresh, BOOKKEEP);
	int wait = stile_resv_wait(&fresh, BOOKKEEP, INT64_MAX, NULL);
	size_t count = 0;
	int get = stile_resv_get_fences(&fresh, BOOKKEEP, NULL, &count);
	ck_assert_ptr_null(failing_end());
	ck_assert(!locked);
	ck_assert(done);
	ck_assert_int_eq(wait, 0);
	ck_assert_int_eq(get, 0);
	ck_assert_uint_eq(count, 0);
	lock(&fresh);
	ck_assert_int_eq(stile_resv_get_error(&fresh), 0);
	assert_list(&fresh, NULL, 0);
	stile_resv_unlock(&fresh);
	stile_resv_fini(&fresh);
}
END_TEST

/* Wrong code: only what is pending dropped, or only the first; a fence ended by that. */
START_TEST(fini_drops_every_fence) {
	struct stile_resv ending;
	stile_resv_init(&ending);
	lock(&ending);
	reserve(&ending, 9);
	struct stile_fence *kept = work_create();
	for (int i = 0; i < 9; i++) {
		struct stile_fence *fence = i == 8 ? kept : work_create();
		add(&ending, fence, (enum stile_resv_usage)(i % USAGES));
		if (i < 8) {
			work_drop(fence);
		}
	}
	/* One that is done stays in the list, as nothing is added any more. */
	struct list list;
	list_read(&list, &ending);
	stile_fence_signal(list.entries[3].fence);
	stile_resv_unlock(&ending);
	ck_assert_int_eq(alive, 9);
	stile_resv_fini(&ending);
	ck_assert_int_eq(alive, 1);
	ck_assert_int_eq(stile_fence_get_status(kept), 0);
}
END_TEST

/* Wrong code: the mistake not told. */
START_TEST(fini_of_a_locked_one_is_told) {
	ledger_expect_complaint("locked");
	lock(&other);
	stile_resv_fini(&other);
	stile_resv_unlock(&other);
	stile_resv_init(&other);
}
END_TEST

/* Wrong code: a lock that nobody sees; a trylock that waits, or takes what is held. */
START_TEST(lock_is_seen_and_excludes) {
	ck_assert_int_eq(stile_resv_trylock(&resv), 0);
	ck_assert(stile_resv_is_locked(&resv));
	ck_assert(!stile_resv_is_locked(&other));
	ck_assert_ptr_null(stile_resv_get_acquire(&resv));
	ck_assert_int_eq(stile_resv_trylock(&resv), -EBUSY);
	stile_resv_unlock(&resv);
	ck_assert(!stile_resv_is_locked(&resv));

	struct holder holder;
	holder_start(&holder, &resv);
	ck_assert(stile_resv_is_locked(&resv));
	ck_assert_int_eq(stile_resv_trylock(&resv), -EBUSY);
	holder_stop(&holder);
	lock(&resv);
	stile_resv_unlock(&resv);
}
END_TEST

/* R-4, M-5. Wrong code: the context not handed on, so that the second lock is one without. */
START_TEST(lock_with_a_context_belongs_to_it) {
	struct stile_ww_acquire acquire;
	stile_resv_acquire_init(&acquire);
	ck_assert_int_eq(stile_resv_lock(&resv, &acquire, NULL), 0);
	ck_assert_int_eq(stile_resv_lock(&other, &acquire, NULL), 0);
	ck_assert_ptr_eq(stile_resv_get_acquire(&resv), &acquire);
	ck_assert_int_eq(stile_resv_lock(&resv, &acquire, NULL), -EALREADY);
	stile_resv_unlock(&other);
	stile_resv_unlock(&resv);
	stile_ww_acquire_fini(&acquire);
	ck_assert_ptr_null(stile_resv_get_acquire(&resv));
}
END_TEST

/* R-4, M-6. Wrong code: the token not handed on; a lock that was not got and is kept. */
START_TEST(cancelled_lock_is_eintr) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	stile_cancel_raise(&cancel);
	struct holder holder;
	holder_start(&holder, &resv);
	ck_assert_int_eq(stile_resv_lock(&resv, NULL, &cancel), -EINTR);
	holder_stop(&holder);
	ck_assert(!stile_resv_is_locked(&resv));
}
END_TEST

struct younger {
	pthread_t thread;
	struct stile_cancel cancel; /* ends what should not have to be waited for */
	atomic_bool refused;
	int first, second, slow;
};

/* Has one, wants one that an older context has. */
static void *younger_run(void *arg) {
	struct younger *younger = arg;
	struct stile_ww_acquire acquire;
	stile_resv_acquire_init(&acquire);
	younger->first = stile_resv_lock(&other, &acquire, NULL);
	younger->second = stile_resv_lock(&resv, &acquire, &younger->cancel);
	stile_resv_unlock(&other);
	atomic_store(&younger->refused, true);
	younger->slow = stile_resv_lock_slow(&resv, &acquire, NULL);
	if (younger->slow == 0) {
		stile_resv_unlock(&resv);
	}
	stile_ww_acquire_fini(&acquire);
	return NULL;
}

/* M-1, M-8, M-10. Wrong code: a class of reservations that wounds, where the younger one waits. */
START_TEST(younger_context_gives_way) {
	struct stile_ww_acquire acquire;
	stile_resv_acquire_init(&acquire);
	ck_assert_int_eq(stile_resv_lock(&resv, &acquire, NULL), 0);
	struct younger younger = { .first = -1 };
	stile_cancel_init(&younger.cancel);
	ck_assert_int_eq(pthread_create(&younger.thread, NULL, younger_run, &younger), 0);
	int64_t until = runner_clock_ns() + HANG_NS;
	while (!atomic_load(&younger.refused) && runner_clock_ns() < until) {
		runner_sleep_ms(1);
	}
	stile_cancel_raise(&younger.cancel);
	stile_resv_unlock(&resv);
	stile_ww_acquire_fini(&acquire);
	pthread_join(younger.thread, NULL);
	ck_assert_int_eq(younger.first, 0);
	ck_assert_int_eq(younger.second, -EDEADLK);
	ck_assert_int_eq(younger.slow, 0);
}
END_TEST

/* ---- Room ---------------------------------------------------------------------------------- */

/* Wrong code: a size that wraps around, and too little memory. */
START_TEST(room_for_nothing_or_far_too_much_is_einval) {
	static const uint32_t counts[] = { 0, UINT32_MAX };
	ledger_expect_complaint("room for");
	struct stile_fence *fence = work_create();
	lock(&resv);
	reserve(&resv, 1);
	add(&resv, fence, READ);
	ck_assert_int_eq(stile_resv_reserve_fences(&resv, counts[_i]), -EINVAL);
	assert_list(&resv, (struct entry[]){ { fence, READ } }, 1);
	stile_resv_unlock(&resv);
}
END_TEST

/* Wrong code: room for one less; what is in the list counted as free. */
START_TEST(adding_cannot_fail_after_reserving) {
	uint64_t random = runner_seed();
	struct entry entries[ROOM];
	size_t count = 0;
	while (count < ROOM) {
		lock(&resv);
		size_t more = 1 + runner_random(&random) % 9;
		more = more < ROOM - count ? more : ROOM - count;
		reserve(&resv, (uint32_t)more);
		failing_begin(1);
		for (size_t i = 0; i < more; i++, count++) {
			failing_end();
			entries[count].fence = work_create();
			entries[count].usage = (enum stile_resv_usage)(count % USAGES);
			failing_begin(1);
			int ret = stile_resv_add_fence(
				&resv, entries[count].fence, entries[count].usage);
			const char *call = failing_end();
			ck_assert_ptr_null(call);
			ck_assert_int_eq(ret, 0);
		}
		assert_list(&resv, entries, count);
		stile_resv_unlock(&resv);
	}
}
END_TEST

/* Wrong code: a growth that moves what is pending, or keeps what is done, or its reference. */
START_TEST(growing_drops_what_is_done) {
	lock(&resv);
	reserve(&resv, 8);
	struct stile_fence *fences[8];
	for (size_t i = 0; i < 8; i++) {
		fences[i] = work_create();
		add(&resv, fences[i], (enum stile_resv_usage)(i % USAGES));
	}
	static const size_t done[] = { 0, 3, 4 };
	for (size_t i = 0; i < ARRAY_LENGTH(done); i++) {
		stile_fence_signal(fences[done[i]]);
		work_drop(fences[done[i]]);
	}
	/* Only the implementer knows that this one is done. */
	work_of(fences[7])->done = true;
	work_drop(fences[7]);
	reserve(&resv, 10000);
	assert_list(&resv,
		(struct entry[]){ { fences[1], WRITE }, { fences[2], READ }, { fences[5], WRITE },
			{ fences[6], READ } },
		4);
	ck_assert_int_eq(alive, 4);
	stile_resv_unlock(&resv);
}
END_TEST

/*
 * Wrong code: too little, so that each add after a few costs a list; or more with every call.
 */
START_TEST(room_grows_as_the_rule_says) {
	static const struct {
		uint32_t first, adds, then, room; /* 0 for `then`: not again */
	} cases[] = {
		{ 1, 0, 0, 4 },
		{ 4, 0, 0, 4 },
		{ 5, 0, 0, 8 },
		{ 33, 0, 0, 64 },
		{ 1, 0, 4, 4 },
		{ 1, 3, 1, 4 },
		{ 1, 3, 2, 8 },
		{ 4, 4, 4, 8 },
		{ 4, 4, 5, 9 },
		{ 5, 8, 100, 108 },
	};
	ledger_expect_complaint("room");
	lock(&resv);
	reserve(&resv, cases[_i].first);
	uint32_t count = 0;
	for (; count < cases[_i].adds; count++) {
		add(&resv, work_create(), READ);
	}
	if (cases[_i].then > 0) {
		reserve(&resv, cases[_i].then);
	}
	while (stile_resv_add_fence(&resv, work_create(), READ) == 0) {
		count++;
	}
	ck_assert_uint_eq(count, cases[_i].room);
	stile_resv_unlock(&resv);
}
END_TEST

/* 20.2. Wrong code: what is done dropped, or the list moved, although there is room. */
START_TEST(reserving_with_room_left_changes_nothing) {
	lock(&resv);
	reserve(&resv, 8);
	struct stile_fence *a = work_create(), *b = work_create(), *c = work_create();
	add(&resv, a, WRITE);
	add(&resv, b, READ);
	stile_fence_signal(a);
	struct stile_resv_iter iter;
	stile_resv_iter_begin(&iter, &resv, BOOKKEEP);
	ck_assert_ptr_eq(stile_resv_iter_next(&iter), a);
	failing_begin(1);
	int ret = stile_resv_reserve_fences(&resv, 2);
	ck_assert_ptr_null(failing_end());
	ck_assert_int_eq(ret, 0);
	assert_list(&resv, (struct entry[]){ { a, WRITE }, { b, READ } }, 2);
	ck_assert_ptr_eq(stile_resv_iter_next(&iter), b);
	stile_resv_iter_end(&iter);
	add(&resv, c, READ);
	assert_list(&resv, (struct entry[]){ { c, READ }, { b, READ } }, 2);
	stile_resv_unlock(&resv);
}
END_TEST

/* Wrong code: a reservation that was never reserved written to; a fence kept that was refused. */
START_TEST(adding_without_room_is_enospc) {
	ledger_expect_complaint("room");
	struct stile_fence *fence = work_create();
	lock(&resv);
	ck_assert_int_eq(stile_resv_add_fence(&resv, fence, READ), -ENOSPC);
	assert_list(&resv, NULL, 0);
	stile_resv_unlock(&resv);
	work_drop(fence);
	ck_assert_int_eq(alive, 0);
}
END_TEST

/* Wrong code: room kept for whoever comes next, so that nobody notices what was forgotten. */
START_TEST(room_is_gone_after_unlock) {
	ledger_expect_complaint("room");
	struct stile_fence *first = work_create(), *second = work_create();
	reserve(&resv, 3);
	add(&resv, first, READ);
	stile_resv_unlock(&resv);
	lock(&resv);
	ck_assert_int_eq(stile_resv_add_fence(&resv, second, READ), -ENOSPC);
	assert_list(&resv, (struct entry[]){ { first, READ } }, 1);
	/* It goes on as if that had not been tried. */
	reserve(&resv, 1);
	add(&resv, second, READ);
	assert_list(&resv, (struct entry[]){ { first, READ }, { second, READ } }, 2);
}
END_TEST

static int attempt_reserve(void *user) {
	(void)user;
	return stile_resv_reserve_fences(&resv, 100);
}

static void after_reserve(void *user, int ret) {
	if (ret < 0) {
		const struct list *before = user;
		assert_list(&resv, before->entries, before->count);
	}
}

/* Wrong code: the old list, or what is done in it, lost before there is a new one. */
START_TEST(failed_reserve_changes_nothing) {
	static const int errors[] = { -ENOMEM, 0 };
	struct list before;
	lock(&resv);
	reserve(&resv, 4);
	for (size_t i = 0; i < 4; i++) {
		add(&resv, work_create(), READ);
	}
	list_read(&before, &resv);
	stile_fence_signal(before.entries[1].fence);
	ck_assert_uint_ge(failing_sweep(attempt_reserve, after_reserve, &before, errors), 1);
	stile_resv_unlock(&resv);
}
END_TEST

/* ---- Promises: room that stays over unlocking ------------------------------------------------ */

static void promise(void) {
	ck_assert_int_eq(resv_promise(&resv), 0);
}

static void setup_checked(void) {
	setup();
	was_enabled = stile_check_is_enabled();
	/* It takes away what was only reserved. */
	stile_check_enable(true);
	lock(&resv);
}

static void teardown_checked(void) {
	stile_resv_unlock(&resv);
	stile_check_enable(was_enabled);
	teardown();
}

/* What it was made for. */
static int keep_promise(struct stile_fence *fence, enum stile_resv_usage usage) {
	resv_drop_promise(&resv);
	return stile_resv_add_fence(&resv, fence, usage);
}

/* Wrong code: a promise for as long as nobody unlocks, reserves, copies, or makes another one. */
START_TEST(promise_is_kept_whatever_happens) {
	struct stile_fence *copied = work_create();
	struct entry entries[] = { { copied, READ }, { work_create(), READ },
		{ work_create(), WRITE } };
	stile_resv_unlock(&resv);
	put(&other, copied, READ);
	lock(&resv);
	promise();
	stile_resv_unlock(&resv);
	lock(&resv);
	promise();
	if (_i == 1) {
		reserve(&resv, 100);
	} else if (_i == 2) {
		ck_assert_int_eq(stile_resv_copy_fences(&resv, &other), 0);
	} else if (_i == 3) {
		stile_fence_signal(copied);
		ck_assert_int_eq(stile_resv_copy_fences(&resv, &other), 0);
	}
	stile_resv_unlock(&resv);
	lock(&resv);
	failing_begin(1);
	int ret = keep_promise(entries[1].fence, READ);
	ck_assert_ptr_null(failing_end());
	ck_assert_int_eq(ret, 0);
	stile_resv_unlock(&resv);
	lock(&resv);
	ck_assert_int_eq(keep_promise(entries[2].fence, WRITE), 0);
	size_t first = _i == 2 ? 0 : 1;
	assert_list(&resv, &entries[first], ARRAY_LENGTH(entries) - first);
}
END_TEST

/*
 * Wrong code: what was promised used up by somebody else, who did not even reserve; or reserved
 * twice.
 */
START_TEST(promised_room_is_nobody_elses) {
	ledger_expect_complaint("promised");
	struct entry entries[5];
	promise();
	reserve(&resv, 3);
	for (size_t i = 0; i < 4; i++) {
		entries[i] = (struct entry){ work_create(), READ };
		ck_assert_int_eq(
			stile_resv_add_fence(&resv, entries[i].fence, READ), i < 3 ? 0 : -ENOSPC);
	}
	ck_assert_int_eq(keep_promise(entries[3].fence, READ), 0);
	/* One that is done leaves its place to whoever comes, who then needs no room. */
	promise();
	stile_fence_signal(entries[0].fence);
	entries[0].fence = work_create();
	add(&resv, entries[0].fence, READ);
	entries[4] = (struct entry){ work_create(), READ };
	ck_assert_int_eq(keep_promise(entries[4].fence, READ), 0);
	assert_list(&resv, entries, 5);
}
END_TEST

/* Wrong code: what was promised counted as room for whoever reserves. */
START_TEST(promised_room_is_not_reserved) {
	promise();
	reserve(&resv, (uint32_t)_i);
	for (int i = 0; i < _i; i++) {
		add(&resv, work_create(), READ);
	}
	ck_assert_int_eq(keep_promise(work_create(), READ), 0);
}
END_TEST

/* Wrong code: a promise that was given up, and is room for whoever forgets to reserve. */
START_TEST(dropped_promise_is_void_after_unlock) {
	ledger_expect_complaint("room");
	promise();
	resv_drop_promise(&resv);
	stile_resv_unlock(&resv);
	lock(&resv);
	ck_assert_int_eq(stile_resv_add_fence(&resv, work_create(), READ), -ENOSPC);
	assert_list(&resv, NULL, 0);
}
END_TEST

/* ---- Adding -------------------------------------------------------------------------------- */

struct add_case {
	const char *what;
	struct {
		uint32_t context;
		uint64_t seqno;
		enum stile_resv_usage usage;
		bool done; /* by the time that one more is added */
	} before[3];
	struct {
		uint32_t context;
		uint64_t seqno;
		enum stile_resv_usage usage;
	} added;
	size_t slot;  /* which one it takes */
	size_t count; /* how many there were */
	bool is64;
};

static const struct add_case add_cases[] = {
	{ "the first one", { { 0 } }, { 0, 1, READ }, 0, 0, false },
	{ "later, same usage", { { 0, 1, READ, false } }, { 0, 2, READ }, 0, 1, false },
	{ "later, promoted", { { 0, 1, BOOKKEEP, false } }, { 0, 2, KERNEL }, 0, 1, false },
	{ "later, promoted by one", { { 0, 1, READ, false } }, { 0, 2, WRITE }, 0, 1, false },
	{ "later, demoted", { { 0, 1, WRITE, false } }, { 0, 2, READ }, 1, 1, false },
	{ "later, demoted from the top", { { 0, 1, KERNEL, false } }, { 0, 2, WRITE }, 1, 1,
		false },
	{ "older", { { 0, 2, READ, false } }, { 0, 1, READ }, 1, 1, false },
	{ "older, promoted", { { 0, 2, READ, false } }, { 0, 1, WRITE }, 1, 1, false },
	{ "another one of the same number", { { 0, 1, READ, false } }, { 0, 1, READ }, 1, 1,
		false },
	{ "another context", { { 0, 1, READ, false } }, { 1, 2, READ }, 1, 1, false },
	{ "done, another context", { { 0, 1, READ, true } }, { 1, 1, READ }, 0, 1, false },
	{ "done, stronger usage", { { 0, 1, KERNEL, true } }, { 1, 1, BOOKKEEP }, 0, 1, false },
	{ "done, later of the same context", { { 0, 2, READ, true } }, { 0, 1, READ }, 0, 1,
		false },
	{ "the first that is done, before one of the same context",
		{ { 0, 1, READ, true }, { 1, 1, READ, false } }, { 1, 2, READ }, 0, 2, false },
	{ "the first of the same context, before one that is done",
		{ { 0, 1, READ, false }, { 1, 1, READ, true } }, { 0, 2, READ }, 0, 2, false },
	{ "the first of two that are done",
		{ { 0, 1, READ, false }, { 1, 1, READ, true }, { 2, 1, READ, true } },
		{ 3, 1, READ }, 1, 3, false },
	{ "the last one", { { 0, 1, READ, false }, { 1, 1, READ, false }, { 2, 1, READ, false } },
		{ 2, 2, READ }, 2, 3, false },
	{ "the first of two of the context", { { 0, 2, READ, false }, { 0, 1, BOOKKEEP, false } },
		{ 0, 3, READ }, 0, 2, false },
	{ "the first of two that is not stronger",
		{ { 0, 2, READ, false }, { 0, 1, BOOKKEEP, false } }, { 0, 3, BOOKKEEP }, 1, 2,
		false },
	{ "the first of two that is not later", { { 0, 3, READ, false }, { 0, 1, READ, false } },
		{ 0, 2, READ }, 1, 2, false },
	{ "no place though two are of the context",
		{ { 0, 3, READ, false }, { 0, 2, WRITE, false } }, { 0, 3, READ }, 2, 2, false },
	{ "later, past the wrap-around", { { 0, UINT32_MAX, READ, false } }, { 0, 1, READ }, 0, 1,
		false },
	{ "older, past the wrap-around", { { 0, 1, READ, false } }, { 0, UINT32_MAX, READ }, 1, 1,
		false },
	{ "half the numbers later", { { 0, 1, READ, false } }, { 0, UINT32_C(0x80000001), READ }, 1,
		1, false },
	{ "almost half the numbers later", { { 0, 1, READ, false } },
		{ 0, UINT32_C(0x80000000), READ }, 0, 1, false },
	{ "64 bits do not wrap around", { { 0, UINT32_MAX, READ, false } }, { 0, 1, READ }, 1, 1,
		true },
	{ "64 bits, later", { { 0, UINT32_MAX, READ, false } }, { 0, UINT64_C(0x100000000), READ },
		0, 1, true },
	{ "64 bits, later by more than half of 32", { { 0, 1, READ, false } },
		{ 0, UINT64_C(0xf0000000), READ }, 0, 1, true },
	{ "64 bits, older", { { 0, UINT64_C(0x100000000), READ, false } }, { 0, UINT32_MAX, READ },
		1, 1, true },
};

/*
 * R-6, each clause. Wrong code: another slot than the first that fits; a weaker use that hides a
 * stronger one, an older fence that hides a later one; numbers compared as if they never wrapped,
 * or always did.
 */
START_TEST(fence_takes_the_first_slot_that_fits) {
	const struct add_case *c = &add_cases[_i];
	const struct stile_fence_ops *ops = c->is64 ? &work64_ops : &work_ops;
	uint64_t context = stile_fence_context_alloc(4);
	struct entry entries[4] = { { NULL, KERNEL } };
	for (size_t i = 0; i < c->count; i++) {
		entries[i].fence =
			work_create_as(ops, context + c->before[i].context, c->before[i].seqno);
		entries[i].usage = c->before[i].usage;
		add(&resv, entries[i].fence, entries[i].usage);
	}
	assert_list(&resv, entries, c->count);
	for (size_t i = 0; i < c->count; i++) {
		if (c->before[i].done) {
			stile_fence_signal(entries[i].fence);
		}
	}
	struct entry *slot = &entries[c->slot];
	slot->fence = work_create_as(ops, context + c->added.context, c->added.seqno);
	slot->usage = c->added.usage;
	add(&resv, slot->fence, slot->usage);
	struct list list;
	list_read(&list, &resv);
	size_t count = c->slot < c->count ? c->count : c->count + 1;
	ck_assert_msg(list_is(&list, entries, count), "%s: not in slot %zu of %zu", c->what,
		c->slot, count);
}
END_TEST

/* Wrong code: two entries of one fence; a promotion that is not kept; a reference too many. */
START_TEST(same_fence_is_promoted_and_not_demoted) {
	struct stile_fence *fence = work_create();
	add(&resv, fence, BOOKKEEP);
	add(&resv, fence, BOOKKEEP);
	assert_list(&resv, (struct entry[]){ { fence, BOOKKEEP } }, 1);
	add(&resv, fence, READ);
	add(&resv, fence, WRITE);
	assert_list(&resv, (struct entry[]){ { fence, WRITE } }, 1);
	add(&resv, fence, READ);
	add(&resv, fence, BOOKKEEP);
	/* The second weaker one finds the READ, which is stronger too. */
	assert_list(&resv,
		(struct entry[]){ { fence, WRITE }, { fence, READ }, { fence, BOOKKEEP } }, 3);
	add(&resv, fence, KERNEL);
	assert_list(&resv,
		(struct entry[]){ { fence, KERNEL }, { fence, READ }, { fence, BOOKKEEP } }, 3);
}
END_TEST

/* Wrong code: a fence that is done refused, or left out, so that its error is never known. */
START_TEST(fence_that_is_done_is_accepted) {
	struct stile_fence *done = work_create_done(), *pending = work_create();
	add(&resv, done, WRITE);
	assert_list(&resv, (struct entry[]){ { done, WRITE } }, 1);
	ck_assert(stile_resv_test_signaled(&resv, BOOKKEEP));
	add(&resv, pending, READ);
	assert_list(&resv, (struct entry[]){ { pending, READ } }, 1);
}
END_TEST

/*
 * R-6, F-12. Wrong code: only looked at, so that a list of fences that nobody enables grows for
 * ever.
 */
START_TEST(slot_of_a_fence_that_turns_out_to_be_done_is_used) {
	struct stile_fence *lazy = work_create(), *next = work_create();
	add(&resv, lazy, READ);
	work_of(lazy)->done = true;
	add(&resv, next, READ);
	assert_list(&resv, (struct entry[]){ { next, READ } }, 1);
	ck_assert_int_eq(stile_fence_get_status(lazy), 1);
	ck_assert_int_eq(work_of(lazy)->enabled + work_of(next)->enabled, 0);
}
END_TEST

/* Wrong code: the caller's reference used up; that of an overwritten fence kept. */
START_TEST(entry_has_a_reference_of_its_own) {
	uint64_t context = stile_fence_context_alloc(1);
	struct stile_fence *first = work_create_in(context, 1);
	struct stile_fence *second = work_create_in(context, 2);
	add(&resv, first, READ);
	work_drop(first);
	ck_assert_int_eq(alive, 2);
	add(&resv, second, READ);
	ck_assert_int_eq(alive, 1);
	work_drop(second);
	ck_assert_int_eq(alive, 1);
	assert_list(&resv, (struct entry[]){ { second, READ } }, 1);
	stile_fence_signal(second);
}
END_TEST

/* Wrong code: fences that appear at unlock; a fence enabled though nobody waits yet. */
START_TEST(added_fence_is_seen_before_unlock) {
	struct stile_fence *fence = work_create();
	add(&resv, fence, WRITE);
	struct stile_fence *seen[1] = { NULL };
	size_t count = 1;
	ck_assert_int_eq(stile_resv_get_fences(&resv, WRITE, seen, &count), 0);
	ck_assert_uint_eq(count, 1);
	ck_assert_ptr_eq(seen[0], fence);
	stile_fence_unref(seen[0]);
	ck_assert(!stile_resv_test_signaled(&resv, WRITE));
	ck_assert_int_eq(work_of(fence)->enabled, 0);
}
END_TEST

/* Wrong code: a container taken in, whose end may need a lock that is held over a wait. */
START_TEST(container_is_refused) {
	ledger_expect_complaint("takes only what is in it");
	struct stile_fence *content = work_create(), *before = work_create();
	struct stile_fence *container = container_create(_i & 1, content);
	add(&resv, before, READ);
	if (_i & 2) {
		uint64_t context = stile_fence_get_context(before);
		ck_assert_int_eq(
			stile_resv_replace_fences(&resv, context, container, READ), -EINVAL);
	} else {
		ck_assert_int_eq(stile_resv_add_fence(&resv, container, READ), -EINVAL);
	}
	assert_list(&resv, (struct entry[]){ { before, READ } }, 1);
	stile_fence_unref(container);
	work_drop(content);
	ck_assert_int_eq(alive, 1);
}
END_TEST

/* Wrong code: an entry that no question finds, or all do. */
START_TEST(unknown_usage_is_refused) {
	static const int unknown[] = { 4, -1 };
	enum stile_resv_usage usage = (enum stile_resv_usage)unknown[_i & 1];
	ledger_expect_complaint("usage");
	struct stile_fence *before = work_create(), *fence = work_create();
	add(&resv, before, READ);
	if (_i & 2) {
		uint64_t context = stile_fence_get_context(before);
		ck_assert_int_eq(stile_resv_replace_fences(&resv, context, fence, usage), -EINVAL);
	} else {
		ck_assert_int_eq(stile_resv_add_fence(&resv, fence, usage), -EINVAL);
	}
	assert_list(&resv, (struct entry[]){ { before, READ } }, 1);
	work_drop(fence);
	ck_assert_int_eq(alive, 1);
}
END_TEST

/* What needs the lock, without it. */
static int change_unlocked(int which, struct stile_fence *fence) {
	switch (which) {
	case 0:
		return stile_resv_add_fence(&resv, fence, READ);
	case 1:
		return stile_resv_replace_fences(&resv, 1, fence, READ);
	default:
		return stile_resv_copy_fences(&resv, &other);
	}
}

/* Wrong code: a list that two threads write at once. */
START_TEST(change_without_the_lock_is_refused) {
	ledger_expect_complaint("lock");
	struct stile_fence *before = work_create_in(1, 1), *fence = work_create_in(1, 2);
	put(&resv, before, READ);
	/* Nobody has it; or somebody else. */
	struct holder holder;
	bool held = _i >= 3;
	if (held) {
		holder_start(&holder, &resv);
	}
	int ret = change_unlocked(_i % 3, fence);
	if (held) {
		holder_stop(&holder);
	}
	ck_assert_int_eq(ret, -EINVAL);
	lock(&resv);
	assert_list(&resv, (struct entry[]){ { before, READ } }, 1);
	stile_resv_unlock(&resv);
	work_drop(fence);
	ck_assert_int_eq(alive, 1);
}
END_TEST

/* ---- Replacing ----------------------------------------------------------------------------- */

/* Wrong code: by number or usage as in adding; only the first; one reference for all. */
START_TEST(replace_takes_every_entry_of_the_context) {
	uint64_t context = stile_fence_context_alloc(2);
	struct stile_fence *later = work_create_in(context, 9),
			   *of_other = work_create_in(context + 1, 5);
	struct stile_fence *weak = work_create_in(context, 3), *older = work_create_in(context, 2);
	add(&resv, later, KERNEL);
	add(&resv, of_other, WRITE);
	add(&resv, weak, BOOKKEEP);
	add(&resv, older, BOOKKEEP);
	struct stile_fence *instead = work_create_in(context + 1, 1);
	ck_assert_int_eq(stile_resv_replace_fences(&resv, context, instead, READ), 0);
	assert_list(&resv,
		(struct entry[]){ { instead, READ }, { of_other, WRITE }, { instead, READ },
			{ instead, READ } },
		4);
	work_drop(later);
	work_drop(weak);
	work_drop(older);
	ck_assert_int_eq(alive, 2);

	/* Each of the three entries goes by itself. */
	work_drop(instead);
	stile_fence_signal(instead);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(alive, 2 + i);
		add(&resv, work_create(), READ);
	}
	ck_assert_int_eq(alive, 1 + 3);
}
END_TEST

/* Wrong code: the new fence added where there was none to replace; an error told. */
START_TEST(replace_of_nothing_is_nothing) {
	struct stile_fence *fence = work_create(), *instead = work_create();
	uint64_t nobody = stile_fence_context_alloc(1);
	ck_assert_int_eq(stile_resv_replace_fences(&resv, nobody, instead, READ), 0);
	add(&resv, fence, WRITE);
	ck_assert_int_eq(stile_resv_replace_fences(&resv, nobody, instead, READ), 0);
	assert_list(&resv, (struct entry[]){ { fence, WRITE } }, 1);
	work_drop(instead);
	ck_assert_int_eq(alive, 1);
}
END_TEST

/* Wrong code: a replacement that takes room, or memory. */
START_TEST(replace_needs_no_room) {
	struct stile_fence *fence = work_create(), *instead = work_create();
	put(&resv, fence, WRITE);
	lock(&resv);
	failing_begin(1);
	int ret =
		stile_resv_replace_fences(&resv, stile_fence_get_context(fence), instead, BOOKKEEP);
	ck_assert_ptr_null(failing_end());
	ck_assert_int_eq(ret, 0);
	assert_list(&resv, (struct entry[]){ { instead, BOOKKEEP } }, 1);
	stile_resv_unlock(&resv);
}
END_TEST

/* Wrong code: done ones passed over; the same fence dropped before it is taken again. */
START_TEST(replace_takes_done_ones_and_the_same_fence) {
	struct stile_fence *done = work_create_done(), *only = work_create();
	uint64_t context = stile_fence_get_context(done);
	add(&resv, done, WRITE);
	ck_assert_int_eq(stile_resv_replace_fences(&resv, context, only, READ), 0);
	work_drop(only);
	context = stile_fence_get_context(only);
	ck_assert_int_eq(stile_resv_replace_fences(&resv, context, only, WRITE), 0);
	assert_list(&resv, (struct entry[]){ { only, WRITE } }, 1);
	ck_assert_int_eq(alive, 2);
	stile_fence_signal(only);
}
END_TEST

/* ---- Copying ------------------------------------------------------------------------------- */

/*
 * Wrong code: a union; what is done copied; usages lost; the source changed, or waited for.
 */
START_TEST(copy_replaces_all_by_what_is_pending) {
	struct stile_fence *fences[6], *old = work_create();
	lock(&other);
	reserve(&other, ARRAY_LENGTH(fences));
	for (size_t i = 0; i < ARRAY_LENGTH(fences); i++) {
		fences[i] = work_create();
		add(&other, fences[i], (enum stile_resv_usage)(i % USAGES));
	}
	stile_resv_unlock(&other);
	stile_fence_signal(fences[1]);
	work_of(fences[4])->done = true;
	put(&resv, old, KERNEL);
	work_drop(old);

	/* Somebody else has the source, and keeps it. */
	struct holder holder;
	holder_start(&holder, &other);
	lock(&resv);
	ck_assert_int_eq(stile_resv_copy_fences(&resv, &other), 0);
	assert_list(&resv,
		(struct entry[]){ { fences[0], KERNEL }, { fences[2], READ },
			{ fences[3], BOOKKEEP }, { fences[5], WRITE } },
		4);
	stile_resv_unlock(&resv);
	holder_stop(&holder);
	ck_assert_int_eq(alive, 6);

	lock(&other);
	struct list list;
	list_read(&list, &other);
	ck_assert_uint_eq(list.count, 6);
	stile_resv_unlock(&other);
	/* Each has a reference of its own on each. */
	stile_resv_fini(&other);
	stile_resv_init(&other);
	for (size_t i = 0; i < ARRAY_LENGTH(fences); i++) {
		work_drop(fences[i]);
	}
	ck_assert_int_eq(alive, 4);
}
END_TEST

/* Wrong code: what one has kept if there is nothing to copy. */
START_TEST(copy_of_nothing_empties) {
	struct stile_fence *old = work_create(), *done = work_create_done();
	put(&resv, old, READ);
	if (_i == 1) {
		put(&other, done, WRITE);
	}
	lock(&resv);
	ck_assert_int_eq(stile_resv_copy_fences(&resv, &other), 0);
	assert_list(&resv, NULL, 0);
	/* It goes on as any other one. */
	reserve(&resv, 1);
	add(&resv, old, READ);
	assert_list(&resv, (struct entry[]){ { old, READ } }, 1);
	stile_resv_unlock(&resv);
}
END_TEST

static int attempt_copy(void *user) {
	(void)user;
	return stile_resv_copy_fences(&resv, &other);
}

static void after_copy(void *user, int ret) {
	const struct entry *entries = user;
	if (ret < 0) {
		assert_list(&resv, entries, 1);
	}
}

/* Wrong code: the old list given up before there is a new one; references left on failure. */
START_TEST(failed_copy_changes_nothing) {
	static const int errors[] = { -ENOMEM, 0 };
	struct entry before[] = { { work_create(), WRITE } };
	for (int i = 0; i < 20; i++) {
		struct stile_fence *fence = work_create();
		put(&other, fence, READ);
	}
	put(&resv, before[0].fence, WRITE);
	lock(&resv);
	ck_assert_uint_ge(failing_sweep(attempt_copy, after_copy, before, errors), 1);
	struct list list;
	list_read(&list, &resv);
	ck_assert_uint_eq(list.count, 20);
	stile_resv_unlock(&resv);
}
END_TEST

/* ---- Questions ----------------------------------------------------------------------------- */

/* One fence of each usage, and one of each that is done. */
static void fill(struct stile_fence *pending[USAGES]) {
	/* First those that are pending, or they would take the slots of the others. */
	for (int i = 0; i < USAGES; i++) {
		pending[i] = work_create();
		add(&resv, pending[i], (enum stile_resv_usage)i);
	}
	struct stile_fence *done[USAGES];
	for (int i = 0; i < USAGES; i++) {
		done[i] = work_create();
		add(&resv, done[i], (enum stile_resv_usage)i);
	}
	for (int i = 0; i < USAGES; i++) {
		if (i % 2 == 0) {
			stile_fence_signal(done[i]);
		} else {
			work_of(done[i])->done = true;
		}
	}
}

static int enabled_count(void) {
	int count = 0;
	for (size_t i = 0; i < owned_count; i++) {
		count += work_of(owned[i])->enabled;
	}
	return count;
}

static bool has(struct stile_fence *const *fences, size_t count, const struct stile_fence *fence) {
	size_t at = 0;
	while (at < count && fences[at] != fence) {
		at++;
	}
	return at < count;
}

static void unref_all(struct stile_fence **fences, size_t count) {
	for (size_t i = 0; i < count; i++) {
		stile_fence_unref(fences[i]);
	}
}

/*
 * R-10, 8.1. Wrong code: usage compared the other way round, or for being the same; done ones
 * given.
 */
START_TEST(question_is_about_usages_up_to_one) {
	struct stile_fence *pending[USAGES], *got[ROOM];
	fill(pending);
	for (int usage = 0; usage < USAGES; usage++) {
		size_t count = ROOM;
		ck_assert_int_eq(
			stile_resv_get_fences(&resv, (enum stile_resv_usage)usage, got, &count), 0);
		ck_assert_uint_eq(count, (size_t)usage + 1);
		for (int i = 0; i <= usage; i++) {
			ck_assert(has(got, count, pending[i]));
		}
		unref_all(got, count);
	}
	ck_assert_int_eq(enabled_count(), 0);
}
END_TEST

/*
 * Wrong code: room taken to be enough; references kept on failure; no number to try again
 * with.
 */
START_TEST(too_many_fences_are_counted_and_not_given) {
	struct stile_fence *pending[USAGES], *got[USAGES] = { NULL };
	fill(pending);
	for (size_t room = 0; room < USAGES; room++) {
		size_t count = room;
		ck_assert_int_eq(
			stile_resv_get_fences(&resv, BOOKKEEP, room == 0 ? NULL : got, &count),
			-ENOSPC);
		ck_assert_uint_eq(count, USAGES);
	}
	size_t count = USAGES;
	ck_assert_int_eq(stile_resv_get_fences(&resv, BOOKKEEP, got, &count), 0);
	ck_assert_uint_eq(count, USAGES);
	unref_all(got, count);
	/* No more references than those of the entries: the fixture counts. */
}
END_TEST

/* Wrong code: references that are the reservation's. */
START_TEST(given_fences_are_the_callers) {
	struct stile_fence *fence = work_create(), *got[1];
	put(&resv, fence, READ);
	size_t count = 1;
	ck_assert_int_eq(stile_resv_get_fences(&resv, READ, got, &count), 0);
	work_drop(fence);
	stile_resv_fini(&resv);
	stile_resv_init(&resv);
	ck_assert_int_eq(alive, 1);
	ck_assert_ptr_eq(got[0], fence);
	stile_fence_signal(got[0]);
	stile_fence_unref(got[0]);
	ck_assert_int_eq(alive, 0);
}
END_TEST

/* Wrong code: a usage that is none taken for all, or for none. */
START_TEST(question_about_no_usage_is_einval) {
	static const int unknown[] = { 4, -1 };
	enum stile_resv_usage usage = (enum stile_resv_usage)unknown[_i];
	struct stile_fence *got[1], *one = work_create();
	size_t count = 1;
	ck_assert_int_eq(stile_resv_get_fences(&resv, usage, got, &count), -EINVAL);
	ck_assert_int_eq(stile_resv_get_singleton(&resv, usage, &one), -EINVAL);
	ck_assert_ptr_null(one);
	ck_assert_int_eq(stile_resv_wait(&resv, usage, 0, NULL), -EINVAL);
}
END_TEST

static struct stile_fence *singleton(enum stile_resv_usage usage) {
	struct stile_fence *one = NULL;
	ck_assert_int_eq(stile_resv_get_singleton(&resv, usage, &one), 0);
	return one;
}

/* Wrong code: a stub or an array of none or one; done ones counted. */
START_TEST(singleton_of_none_or_one_is_no_array) {
	struct stile_fence *done = work_create(), *kernel = work_create(), *read = work_create();
	ck_assert_ptr_null(singleton(BOOKKEEP));
	add(&resv, done, WRITE);
	add(&resv, kernel, KERNEL);
	stile_fence_signal(done);
	struct stile_fence *one = singleton(BOOKKEEP);
	ck_assert_ptr_eq(one, kernel);
	stile_fence_unref(one);
	add(&resv, read, READ);
	one = singleton(WRITE);
	ck_assert_ptr_eq(one, kernel);
	stile_fence_unref(one);
	stile_fence_signal(kernel);
	stile_fence_signal(read);
	ck_assert_ptr_null(singleton(BOOKKEEP));
}
END_TEST

/* Wrong code: an array that ends with any; a context that others have; done ones in it. */
START_TEST(singleton_of_several_is_an_array_of_all) {
	struct stile_fence *pending[USAGES];
	fill(pending);
	struct stile_fence *one = singleton(READ), *again = singleton(READ);
	ck_assert(stile_fence_is_array(one));
	ck_assert_uint_eq(stile_array_get_count(one), 3);
	for (size_t i = 0; i < 3; i++) {
		ck_assert(has(pending, 3, stile_array_get_nth(one, i)));
	}
	ck_assert_uint_eq(stile_fence_get_seqno(one), 1);
	ck_assert_uint_ne(stile_fence_get_context(one), stile_fence_get_context(again));
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_ne(
			stile_fence_get_context(one), stile_fence_get_context(pending[i]));
		ck_assert(!stile_fence_is_signaled(one));
		stile_fence_signal(pending[i]);
	}
	ck_assert(stile_fence_is_signaled(one));
	stile_fence_unref(one);
	stile_fence_unref(again);
}
END_TEST

static int attempt_singleton(void *user) {
	return stile_resv_get_singleton(&resv, BOOKKEEP, user);
}

static void after_singleton(void *user, int ret) {
	struct stile_fence **one = user;
	ck_assert((ret == 0) == (*one != NULL));
	stile_fence_unref(*one);
	*one = work_create();
}

/* Wrong code: references left, or something given, on failure. */
START_TEST(failed_singleton_is_null) {
	static const int errors[] = { -ENOMEM, 0 };
	struct stile_fence *one = work_create();
	for (int i = 0; i < 20; i++) {
		add(&resv, work_create(), READ);
	}
	ck_assert_uint_ge(failing_sweep(attempt_singleton, after_singleton, &one, errors), 1);
}
END_TEST

/* Wrong code: somebody asked to signal; the implementer not asked; other usages counted. */
START_TEST(test_asks_nobody_to_signal) {
	struct stile_fence *write = work_create(), *bookkeep = work_create();
	for (int usage = 0; usage < USAGES; usage++) {
		ck_assert(stile_resv_test_signaled(&resv, (enum stile_resv_usage)usage));
	}
	add(&resv, write, WRITE);
	add(&resv, bookkeep, BOOKKEEP);
	ck_assert(stile_resv_test_signaled(&resv, KERNEL));
	ck_assert(!stile_resv_test_signaled(&resv, WRITE));
	ck_assert(!stile_resv_test_signaled(&resv, READ));
	work_of(write)->done = true;
	ck_assert(stile_resv_test_signaled(&resv, WRITE));
	ck_assert(stile_resv_test_signaled(&resv, READ));
	ck_assert(!stile_resv_test_signaled(&resv, BOOKKEEP));
	ck_assert_int_eq(enabled_count(), 0);
	stile_fence_signal(bookkeep);
	ck_assert(stile_resv_test_signaled(&resv, BOOKKEEP));
}
END_TEST

/* ---- Waiting ------------------------------------------------------------------------------- */

/*
 * Wrong code: a poll that sleeps, or does not ask; a negative time taken for one long past.
 */
START_TEST(poll_says_whether_all_is_done) {
	struct stile_fence *read = work_create(), *lazy = work_create();
	ck_assert_int_eq(stile_resv_wait(&resv, BOOKKEEP, 0, NULL), 0);
	add(&resv, lazy, WRITE);
	add(&resv, read, READ);
	ck_assert_int_eq(stile_resv_wait(&resv, KERNEL, 0, NULL), 0);
	ck_assert_int_eq(stile_resv_wait(&resv, WRITE, 0, NULL), -ETIME);
	ck_assert_int_eq(stile_resv_wait(&resv, WRITE, 1, NULL), -ETIME);
	work_of(lazy)->done = true;
	ck_assert_int_eq(stile_resv_wait(&resv, WRITE, 0, NULL), 0);
	ck_assert_int_eq(stile_resv_wait(&resv, READ, 0, NULL), -ETIME);
	stile_fence_signal(read);
	ck_assert_int_eq(stile_resv_wait(&resv, READ, 0, NULL), 0);
	ck_assert_int_eq(stile_resv_wait(&resv, READ, -1, NULL), -EINVAL);
	ck_assert_int_eq(stile_resv_wait(&resv, READ, INT64_MIN, NULL), -EINVAL);
}
END_TEST

/* Wrong code: a wait that ends before its time, or starts anew for each fence. */
START_TEST(deadline_is_for_all_of_them) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	for (int i = 0; i < 3; i++) {
		add(&resv, work_create(), READ);
	}
	int64_t deadline_ns = runner_clock_ns() + 30 * MS;
	ck_assert_int_eq(
		stile_resv_wait(&resv, READ, deadline_ns, _i == 0 ? NULL : &cancel), -ETIME);
	ck_assert_int_ge(runner_clock_ns(), deadline_ns);
	/* It was passed: nothing is slept for any more. */
	ck_assert_int_eq(
		stile_resv_wait(&resv, READ, deadline_ns, _i == 0 ? NULL : &cancel), -ETIME);
}
END_TEST

struct waiter {
	struct stile_resv *resv;
	enum stile_resv_usage usage;
	struct stile_cancel *cancel;
	pthread_t thread;
	atomic_bool ended;
	int ret;
};

static void *waiter_run(void *arg) {
	struct waiter *waiter = arg;
	waiter->ret = stile_resv_wait(
		waiter->resv, waiter->usage, runner_clock_ns() + HANG_NS, waiter->cancel);
	atomic_store(&waiter->ended, true);
	return NULL;
}

/* Returns when it has asked for the end of this fence, and so is about to sleep. */
static void waiter_start(
	struct waiter *waiter, enum stile_resv_usage usage, struct stile_fence *fence) {
	waiter->resv = &resv;
	waiter->usage = usage;
	atomic_init(&waiter->ended, false);
	ck_assert_int_eq(pthread_create(&waiter->thread, NULL, waiter_run, waiter), 0);
	int64_t until = runner_clock_ns() + HANG_NS;
	while (work_of(fence)->enabled == 0 && runner_clock_ns() < until) {
		runner_sleep_ms(1);
	}
	ck_assert_int_eq(work_of(fence)->enabled, 1);
	runner_sleep_ms(5);
}

static int waiter_join(struct waiter *waiter) {
	pthread_join(waiter->thread, NULL);
	return waiter->ret;
}

/*
 * Wrong code: the end of one taken for the end of all; the error of a fence told as one's
 * own.
 */
START_TEST(wait_ends_with_the_last_match) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	struct stile_fence *first = work_create(), *second = work_create(), *no = work_create();
	add(&resv, first, KERNEL);
	add(&resv, second, WRITE);
	add(&resv, no, READ);
	struct waiter waiter = { .cancel = _i == 0 ? NULL : &cancel };
	waiter_start(&waiter, WRITE, first);
	end_with(first, -EIO);
	runner_sleep_ms(5);
	ck_assert(!atomic_load(&waiter.ended));
	stile_fence_signal(second);
	ck_assert_int_eq(waiter_join(&waiter), 0);
	ck_assert_int_eq(stile_fence_get_status(no), 0);
	ck_assert_int_eq(work_of(no)->enabled, 0);
}
END_TEST

/* Wrong code: the reservation's lock wanted for waiting. */
START_TEST(wait_needs_no_lock_and_minds_none) {
	struct stile_fence *fence = work_create();
	put(&resv, fence, WRITE);
	struct holder holder;
	bool held = _i == 1;
	if (held) {
		holder_start(&holder, &resv);
	}
	struct waiter waiter = { 0 };
	waiter_start(&waiter, READ, fence);
	stile_fence_signal(fence);
	ck_assert_int_eq(waiter_join(&waiter), 0);
	if (held) {
		holder_stop(&holder);
	}
}
END_TEST

/*
 * Wrong code: a wait that dies of a list that grows, or never ends because of what was added.
 */
START_TEST(fences_may_be_added_during_a_wait) {
	struct stile_fence *first = work_create(), *late = work_create();
	put(&resv, first, WRITE);
	struct waiter waiter = { 0 };
	waiter_start(&waiter, WRITE, first);
	lock(&resv);
	reserve(&resv, _i == 0 ? 1 : 1000);
	add(&resv, late, WRITE);
	stile_resv_unlock(&resv);
	ck_assert(!atomic_load(&waiter.ended));
	stile_fence_signal(first);
	runner_sleep_ms(5);
	stile_fence_signal(late);
	ck_assert_int_eq(waiter_join(&waiter), 0);
}
END_TEST

/* Wrong code: a token that is looked at between fences only, or not at all. */
START_TEST(cancelled_wait_is_eintr) {
	struct stile_cancel cancel, other_cancel;
	stile_cancel_init(&cancel);
	stile_cancel_init(&other_cancel);
	struct stile_fence *fence = work_create();
	add(&resv, fence, WRITE);
	struct waiter waiter = { .cancel = &cancel };
	waiter_start(&waiter, WRITE, fence);
	stile_cancel_raise(&cancel);
	ck_assert_int_eq(waiter_join(&waiter), -EINTR);
	ck_assert_int_eq(stile_resv_wait(&resv, WRITE, INT64_MAX, &cancel), -EINTR);
	ck_assert_int_eq(stile_resv_wait(&resv, WRITE, 0, &cancel), -EINTR);
	ck_assert_int_eq(stile_resv_wait(&resv, WRITE, 0, &other_cancel), -ETIME);
	/* What is done is done. */
	ck_assert_int_eq(stile_resv_wait(&resv, KERNEL, INT64_MAX, &cancel), 0);
	stile_fence_signal(fence);
	ck_assert_int_eq(stile_resv_wait(&resv, WRITE, INT64_MAX, &cancel), 0);
}
END_TEST

/*
 * Wrong code: fences told that do not match, or are done; one told twice, or only the first.
 */
START_TEST(deadline_reaches_every_pending_match_once) {
	struct stile_fence *pending[USAGES];
	fill(pending);
	for (int usage = 0; usage < USAGES; usage++) {
		stile_resv_set_deadline(&resv, (enum stile_resv_usage)usage, 1000 + usage);
		for (int i = 0; i < USAGES; i++) {
			int times = i <= usage ? usage - i + 1 : 0;
			ck_assert_int_eq(work_of(pending[i])->deadlines, times);
			ck_assert(times == 0 || work_of(pending[i])->deadline_ns == 1000 + usage);
		}
	}
	int told = 0;
	for (size_t i = 0; i < owned_count; i++) {
		told += work_of(owned[i])->deadlines;
	}
	ck_assert_int_eq(told, 4 + 3 + 2 + 1);
	ck_assert_int_eq(enabled_count(), 0);
}
END_TEST

/* ---- Description --------------------------------------------------------------------------- */

static size_t lines_in(const char *text) {
	size_t count = 0;
	for (; *text != '\0'; text++) {
		count += text[0] == '\n' || text[1] == '\0';
	}
	return count;
}

/* Is there a line with this word, in any case, and the fence's own description? */
static bool has_line(const char *text, const char *word, struct stile_fence *fence) {
	char lines[4096], line_of_fence[256];
	snprintf(lines, sizeof(lines), "%s", text);
	stile_fence_describe(fence, line_of_fence, sizeof(line_of_fence));
	char *rest = lines, *line;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strcasestr(line, word) != NULL && strstr(line, line_of_fence) != NULL) {
			return true;
		}
	}
	return false;
}

/* Wrong code: usages without their names; BOOKKEEP shown; what is done left out. */
START_TEST(description_has_a_line_for_each_fence) {
	char text[4096] = "x";
	ck_assert_int_eq(stile_resv_describe(&resv, text, sizeof(text)), 0);
	ck_assert_str_eq(text, "");
	struct stile_fence *pending[USAGES];
	fill(pending);
	end_with(pending[WRITE], -EIO);
	int needed = stile_resv_describe(&resv, text, sizeof(text));
	ck_assert_uint_eq((size_t)needed, strlen(text));
	ck_assert(has_line(text, "kernel", pending[KERNEL]));
	ck_assert(has_line(text, "write", pending[WRITE]));
	ck_assert(has_line(text, "read", pending[READ]));
	ck_assert_uint_eq(lines_in(text), 2 * (USAGES - 1));
}
END_TEST

/*
 * Wrong code: a text without an end, or that runs over; the number of bytes that were
 * written.
 */
START_TEST(description_is_cut_like_snprintf) {
	struct stile_fence *pending[USAGES];
	fill(pending);
	char whole[4096], part[4096];
	int needed = stile_resv_describe(&resv, whole, sizeof(whole));
	ck_assert_int_eq(stile_resv_describe(&resv, NULL, 0), needed);
	for (size_t size = 1; size <= (size_t)needed + 2; size++) {
		memset(part, 'x', sizeof(part));
		ck_assert_int_eq(stile_resv_describe(&resv, part, size), needed);
		size_t length = size <= (size_t)needed ? size - 1 : (size_t)needed;
		ck_assert_uint_eq(strlen(part), length);
		ck_assert(memcmp(part, whole, length) == 0);
		ck_assert(part[size] == 'x');
	}
}
END_TEST

/* ---- How the last write went --------------------------------------------------------------- */

static void assert_error(int error) {
	ck_assert_int_eq(stile_resv_get_error(&resv), error);
}

/* What is added with usage WRITE from here on is another write. */
static void relock(void) {
	stile_resv_unlock(&resv);
	lock(&resv);
	reserve(&resv, ROOM);
}

/* A write that failed; the fence is in the list. */
static struct stile_fence *failed_write(int error) {
	struct stile_fence *fence = work_create();
	add(&resv, fence, WRITE);
	end_with(fence, error);
	return fence;
}

/* Wrong code: an error told before the end; not told at all, or once. */
START_TEST(error_is_that_of_the_last_write) {
	struct stile_fence *write = work_create();
	add(&resv, write, WRITE);
	ck_assert_int_eq(stile_fence_set_error(write, -EIO), 0);
	assert_error(0);
	stile_fence_signal(write);
	assert_error(-EIO);
	for (int i = 0; i < 3; i++) {
		relock();
		assert_error(-EIO);
	}
}
END_TEST

/* Wrong code: anything that fails taken for a write; an error that goes when the memory is read. */
START_TEST(only_writes_count_for_the_error) {
	static const enum stile_resv_usage usages[] = { KERNEL, READ, BOOKKEEP };
	struct stile_fence *fence = work_create(), *failed = work_create();
	end_with(failed, -EIO);
	add(&resv, fence, usages[_i]);
	end_with(fence, -ETIME);
	assert_error(0);
	add(&resv, failed, usages[_i]);
	assert_error(0);

	struct stile_fence *later = work_create();
	failed_write(-ECANCELED);
	relock();
	add(&resv, later, usages[_i]);
	assert_error(-ECANCELED);
	end_with(later, -EIO);
	assert_error(-ECANCELED);
}
END_TEST

/* Wrong code: an error that goes with the entry. */
START_TEST(error_stays_when_its_entry_is_overwritten) {
	struct stile_fence *failed = failed_write(-EIO), *read = work_create();
	if (_i == 1) {
		relock();
	}
	add(&resv, read, READ);
	assert_list(&resv, (struct entry[]){ { read, READ } }, 1);
	work_drop(failed);
	assert_error(-EIO);
	/* The slot is another one's now. */
	end_with(read, -ETIME);
	assert_error(-EIO);
	add(&resv, work_create(), KERNEL);
	assert_error(-EIO);
}
END_TEST

/* Wrong code: the same fence in another entry taken for no write. */
START_TEST(error_stays_when_the_write_is_added_as_something_else) {
	struct stile_fence *failed = failed_write(-EIO);
	relock();
	add(&resv, failed, READ);
	assert_list(&resv, (struct entry[]){ { failed, READ } }, 1);
	assert_error(-EIO);

	struct stile_fence *pending = work_create();
	add(&resv, pending, WRITE);
	add(&resv, pending, READ);
	add(&resv, pending, KERNEL);
	assert_error(0);
	end_with(pending, -ETIME);
	assert_error(-ETIME);
}
END_TEST

/* Wrong code: an error dropped with what is done; the writer's entry not known in the new list. */
START_TEST(error_stays_when_growth_drops_the_fence) {
	struct stile_fence *before = work_create(), *write = work_create();
	add(&resv, before, READ);
	add(&resv, work_create(), READ);
	add(&resv, write, WRITE);
	add(&resv, work_create(), READ);
	stile_fence_signal(before);
	if (_i == 0) {
		end_with(write, -EIO);
	}
	reserve(&resv, 1000);
	if (_i == 1) {
		assert_error(0);
		end_with(write, -EIO);
		assert_error(-EIO);
		reserve(&resv, 10000);
	}
	assert_error(-EIO);
	struct list list;
	list_read(&list, &resv);
	ck_assert_uint_eq(list.count, 2);
	end_with(list.entries[0].fence, -ETIME);
	end_with(list.entries[1].fence, -ETIME);
	assert_error(-EIO);
}
END_TEST

/* Wrong code: an error for ever, or until the next write has ended. */
START_TEST(next_write_clears_the_error) {
	failed_write(-EIO);
	relock();
	struct stile_fence *next = work_create();
	if (_i == 1) {
		stile_fence_signal(next);
	}
	add(&resv, next, WRITE);
	assert_error(0);
	stile_fence_signal(next);
	assert_error(0);
	reserve(&resv, 1000);
	assert_error(0);
}
END_TEST

/*
 * Wrong code: the first write followed, or all of them; a later write that waits for the one
 * before.
 */
START_TEST(error_is_not_that_of_a_write_before) {
	struct stile_fence *first = work_create(), *second = work_create();
	add(&resv, first, WRITE);
	relock();
	add(&resv, second, WRITE);
	end_with(first, -ETIME);
	assert_error(0);
	/* Also when that one is forgotten. */
	add(&resv, work_create(), READ);
	assert_error(0);
	end_with(second, -EIO);
	assert_error(-EIO);
	add(&resv, work_create(), READ);
	assert_error(-EIO);
}
END_TEST

/*
 * Wrong code: only the last fence of a write followed, or the first; another one's success
 * believed.
 */
START_TEST(any_fence_of_a_write_counts) {
	struct stile_fence *fences[3], *bad;
	for (size_t i = 0; i < 3; i++) {
		fences[i] = work_create();
		add(&resv, fences[i], WRITE);
	}
	bad = fences[_i % 3];
	for (size_t i = 0; i < 3; i++) {
		if (fences[i] == bad) {
			end_with(bad, -EIO);
		} else if (_i < 3) {
			stile_fence_signal(fences[i]);
		}
	}
	assert_error(-EIO);
	reserve(&resv, 1000);
	assert_error(-EIO);
	stile_fence_signal(fences[0]);
	stile_fence_signal(fences[1]);
	stile_fence_signal(fences[2]);
	assert_error(-EIO);
}
END_TEST

/* Wrong code: the last error kept, or that of whichever fence comes first in the list. */
START_TEST(first_error_of_a_write_stays) {
	struct stile_fence *fences[] = { work_create(), work_create() };
	add(&resv, fences[0], WRITE);
	add(&resv, fences[1], WRITE);
	end_with(fences[_i], -EIO);
	reserve(&resv, 1000);
	assert_error(-EIO);
	end_with(fences[1 - _i], -ETIME);
	reserve(&resv, 10000);
	assert_list(&resv, NULL, 0);
	assert_error(-EIO);
}
END_TEST

/* Wrong code: the error of a fence that had ended when the next of the write was added, cleared. */
START_TEST(write_goes_on_until_unlock) {
	failed_write(-EIO);
	struct stile_fence *second = work_create();
	add(&resv, second, WRITE);
	assert_error(-EIO);
	stile_fence_signal(second);
	assert_error(-EIO);
	relock();
	add(&resv, work_create(), WRITE);
	assert_error(0);
}
END_TEST

/* Wrong code: only entries that are new taken for writes. */
START_TEST(promoted_fence_is_a_write) {
	struct stile_fence *fence = work_create();
	failed_write(-EIO);
	relock();
	add(&resv, work_create(), READ);
	add(&resv, fence, BOOKKEEP);
	assert_error(-EIO);
	add(&resv, fence, WRITE);
	assert_error(0);
	end_with(fence, -ETIME);
	assert_error(-ETIME);
}
END_TEST

/* Wrong code: the last fence of a context that goes on writing not followed. */
START_TEST(later_write_of_the_context_is_followed) {
	uint64_t context = stile_fence_context_alloc(1);
	struct stile_fence *first = work_create_in(context, 1),
			   *second = work_create_in(context, 2);
	add(&resv, work_create(), READ);
	add(&resv, first, WRITE);
	relock();
	add(&resv, second, WRITE);
	end_with(first, -EIO);
	assert_error(0);
	end_with(second, -ETIME);
	assert_error(-ETIME);
}
END_TEST

/*
 * The fence of a later move, which comes after the write, stands in its place. Wrong code: the write
 * forgotten as if it had gone well, so that nobody hears that the memory is not what it should be.
 */
START_TEST(move_in_the_place_of_a_write_is_followed) {
	uint64_t context = stile_fence_context_alloc(1);
	struct stile_fence *write = work_create_in(context, 1), *move = work_create_in(context, 2);
	add(&resv, write, WRITE);
	if (_i == 2) {
		/* Known before it goes. */
		end_with(write, -EIO);
	}
	add(&resv, move, KERNEL);
	assert_list(&resv, (struct entry[]){ { move, KERNEL } }, 1);
	if (_i == 1) {
		end_with(move, -ETIME);
	}
	assert_error(_i == 0 ? 0 : _i == 1 ? -ETIME : -EIO);
}
END_TEST

/* Wrong code: a writer lost because another fence says when it has ended. */
START_TEST(replaced_writer_is_followed) {
	struct stile_fence *write = work_create(), *instead = work_create();
	add(&resv, work_create(), READ);
	add(&resv, write, WRITE);
	if (_i == 1) {
		relock();
	}
	uint64_t context = stile_fence_get_context(write);
	ck_assert_int_eq(stile_resv_replace_fences(&resv, context, instead, WRITE), 0);
	end_with(write, -EIO);
	assert_error(0);
	end_with(instead, -ETIME);
	assert_error(-ETIME);
	add(&resv, work_create(), READ);
	assert_error(-ETIME);
}
END_TEST

/* Wrong code: a write that had failed forgotten with its entry. */
START_TEST(error_stays_when_its_entry_is_replaced) {
	struct stile_fence *failed = failed_write(-EIO), *instead = work_create();
	relock();
	uint64_t context = stile_fence_get_context(failed);
	ck_assert_int_eq(stile_resv_replace_fences(&resv, context, instead, BOOKKEEP), 0);
	assert_error(-EIO);
	stile_fence_signal(instead);
	assert_error(-EIO);
}
END_TEST

/* Wrong code: an error that is gone with the list. */
START_TEST(error_stays_after_a_copy) {
	struct stile_fence *read = work_create();
	failed_write(-EIO);
	stile_resv_unlock(&resv);
	put(&other, read, READ);
	lock(&resv);
	ck_assert_int_eq(stile_resv_copy_fences(&resv, &other), 0);
	assert_error(-EIO);
	end_with(read, -ETIME);
	assert_error(-EIO);
	reserve(&resv, 2);
	add(&resv, work_create(), READ);
	assert_error(-EIO);
	add(&resv, work_create(), WRITE);
	assert_error(0);
}
END_TEST

/* ---- By chance ----------------------------------------------------------------------------- */

enum { CHANCE_STEPS = MANY, CHANCE_CONTEXTS = 4, CHANCE_SEQNOS = 8, CHANCE_RECENT = 16 };

/* A model of, and of the memory of the last error. */
struct model {
	struct list list;
	/* The fences of the last write, and what took the place of one while it was pending. */
	struct {
		struct stile_fence *fence;
		bool known; /* how it went has to be known: no other one took its place */
	} write[MANY];
	size_t write_count;
	bool writing;
};

static void model_write(struct model *model, struct stile_fence *fence, bool known) {
	model->write[model->write_count].fence = fence;
	model->write[model->write_count++].known = known;
}

/* A fence takes the place of another one that may be of the last write. */
static void model_take_over(
	struct model *model, const struct entry *entry, struct stile_fence *fence) {
	bool part = false;
	if (entry->usage > WRITE || entry->fence == fence ||
		stile_fence_is_signaled(entry->fence)) {
		return;
	}
	for (size_t i = 0; i < model->write_count; i++) {
		if (model->write[i].fence == entry->fence) {
			model->write[i].known = false;
			part = true;
		}
	}
	if (part) {
		model_write(model, fence, false);
	}
}

/* May this be how the last write went? */
static bool model_allows(const struct model *model, int error) {
	bool found = false, failed = false;
	for (size_t i = 0; i < model->write_count; i++) {
		int status = stile_fence_get_status(model->write[i].fence);
		found |= status == error;
		failed |= status < 0 && model->write[i].known;
	}
	return error == 0 ? !failed : found;
}

static bool model_fits(
	const struct entry *entry, struct stile_fence *fence, enum stile_resv_usage usage) {
	bool same = stile_fence_get_context(entry->fence) == stile_fence_get_context(fence);
	return (same && entry->usage >= usage &&
		       stile_fence_is_later_or_same(fence, entry->fence)) ||
		stile_fence_is_signaled(entry->fence);
}

static void model_add(struct model *model, struct stile_fence *fence, enum stile_resv_usage usage) {
	size_t slot = 0;
	while (slot < model->list.count && !model_fits(&model->list.entries[slot], fence, usage)) {
		slot++;
	}
	if (usage == WRITE && !model->writing) {
		model->write_count = 0;
		model->writing = true;
	}
	if (slot < model->list.count) {
		model_take_over(model, &model->list.entries[slot], fence);
	}
	if (usage == WRITE) {
		model_write(model, fence, true);
	}
	model->list.entries[slot] = (struct entry){ fence, usage };
	model->list.count += slot == model->list.count;
}

static void model_drop_done(struct model *model) {
	size_t kept = 0;
	for (size_t i = 0; i < model->list.count; i++) {
		if (!stile_fence_is_signaled(model->list.entries[i].fence)) {
			model->list.entries[kept++] = model->list.entries[i];
		}
	}
	model->list.count = kept;
}

static void model_replace(struct model *model, uint64_t context, struct stile_fence *fence,
	enum stile_resv_usage usage) {
	for (size_t i = 0; i < model->list.count; i++) {
		struct entry *entry = &model->list.entries[i];
		if (stile_fence_get_context(entry->fence) == context) {
			*entry = (struct entry){ fence, usage };
		}
	}
}

/*
 * Reserve; whether the list has grown is not said, but growing drops what is done, and only that.
 */
static void chance_reserve(struct model *model, uint64_t *random) {
	reserve(&resv, (uint32_t)(1 + runner_random(random) % 4));
	struct list list;
	list_read(&list, &resv);
	if (!list_is(&list, model->list.entries, model->list.count)) {
		model_drop_done(model);
	}
	assert_list(&resv, model->list.entries, model->list.count);
}

/*
 * Sometimes one that is there already, or was. None is dropped before the end: the model looks at
 * them.
 */
static struct stile_fence *chance_fence(uint64_t *random, uint64_t context) {
	if (owned_count >= CHANCE_RECENT && runner_random(random) % 8 == 0) {
		return owned[owned_count - 1 - runner_random(random) % CHANCE_RECENT];
	}
	struct stile_fence *fence =
		work_create_in(context + runner_random(random) % CHANCE_CONTEXTS,
			UINT32_MAX - CHANCE_SEQNOS / 2 + runner_random(random) % CHANCE_SEQNOS);
	if (runner_random(random) % 10 == 0) {
		end_with(fence, -(int)(1 + runner_random(random) % 9));
	}
	return fence;
}

static void chance_end(struct model *model, uint64_t *random) {
	if (model->list.count > 0) {
		struct stile_fence *fence =
			model->list.entries[runner_random(random) % model->list.count].fence;
		if (runner_random(random) % 2 == 0) {
			/* It may be signalled. */
			(void)stile_fence_set_error(fence, -(int)(1 + runner_random(random) % 9));
		}
		stile_fence_signal(fence);
	}
}

static size_t chance_count(const struct model *model, int usage) {
	size_t count = 0;
	for (size_t i = 0; i < model->list.count; i++) {
		const struct entry *entry = &model->list.entries[i];
		count += (int)entry->usage <= usage && !stile_fence_is_signaled(entry->fence);
	}
	return count;
}

static void chance_compare(const struct model *model) {
	assert_list(&resv, model->list.entries, model->list.count);
	for (int usage = 0; usage < USAGES; usage++) {
		size_t should = chance_count(model, usage), count = ROOM;
		struct stile_fence *got[ROOM];
		ck_assert_int_eq(
			stile_resv_get_fences(&resv, (enum stile_resv_usage)usage, got, &count), 0);
		ck_assert_uint_eq(count, should);
		unref_all(got, count);
		ck_assert(stile_resv_test_signaled(&resv, (enum stile_resv_usage)usage) ==
			(should == 0));
	}
}

static void chance_add(struct model *model, uint64_t *random, uint64_t context) {
	/* Pending ones pile up, unless they end about as often as they come. */
	if (model->list.count < ROOM - 4) {
		chance_reserve(model, random);
		struct stile_fence *fence = chance_fence(random, context);
		enum stile_resv_usage usage =
			(enum stile_resv_usage)(runner_random(random) % USAGES);
		model_add(model, fence, usage);
		add(&resv, fence, usage);
	}
}

static void chance_replace(struct model *model, uint64_t *random, uint64_t context) {
	struct stile_fence *fence = chance_fence(random, context);
	enum stile_resv_usage usage = (enum stile_resv_usage)(runner_random(random) % USAGES);
	context += runner_random(random) % CHANCE_CONTEXTS;
	model_replace(model, context, fence, usage);
	ck_assert_int_eq(stile_resv_replace_fences(&resv, context, fence, usage), 0);
}

/* There and back: what is done is gone. */
static void chance_copy(struct model *model) {
	stile_resv_unlock(&resv);
	lock(&other);
	ck_assert_int_eq(stile_resv_copy_fences(&other, &resv), 0);
	stile_resv_unlock(&other);
	lock(&resv);
	ck_assert_int_eq(stile_resv_copy_fences(&resv, &other), 0);
	model_drop_done(model);
}

/* Wrong code: anything of all this that needs a history to go wrong. */
START_TEST(chance_does_what_the_model_does) {
	uint64_t random = runner_seed() + (uint64_t)_i;
	uint64_t context = stile_fence_context_alloc(CHANCE_CONTEXTS);
	static struct model model;
	memset(&model, 0, sizeof(model));
	lock(&resv);
	for (int step = 0; step < CHANCE_STEPS; step++) {
		uint64_t roll = runner_random(&random) % 32;
		if (roll < 14) {
			chance_add(&model, &random, context);
		} else if (roll < 28) {
			chance_end(&model, &random);
		} else if (roll < 30) {
			stile_resv_unlock(&resv);
			model.writing = false;
			lock(&resv);
		} else if (roll == 30) {
			chance_replace(&model, &random, context);
		} else {
			chance_copy(&model);
		}
		chance_compare(&model);
	}
	stile_resv_unlock(&resv);
}
END_TEST

/* Wrong code: a write that is lost, or found again, by what becomes of its entries. */
START_TEST(chance_forgets_no_error) {
	uint64_t random = runner_seed() + (uint64_t)_i;
	uint64_t context = stile_fence_context_alloc(CHANCE_CONTEXTS);
	static struct model model;
	memset(&model, 0, sizeof(model));
	lock(&resv);
	for (int step = 0; step < CHANCE_STEPS; step++) {
		uint64_t roll = runner_random(&random) % 8;
		if (roll < 3) {
			chance_add(&model, &random, context);
		} else if (roll < 6) {
			chance_end(&model, &random);
		} else {
			stile_resv_unlock(&resv);
			model.writing = false;
			lock(&resv);
		}
		int error = stile_resv_get_error(&resv);
		ck_assert_msg(model_allows(&model, error), "it cannot be %d", error);
	}
	stile_resv_unlock(&resv);
}
END_TEST

/* ---- The suite ----------------------------------------------------------------------------- */

static void add_lock_tests(Suite *s) {
	TCase *tcase = ledger_tcase_create("making one, and its lock");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, reader_asks_for_writers_and_writer_for_all);
	tcase_add_test(tcase, new_reservation_is_empty_and_unlocked);
	tcase_add_test(tcase, fini_drops_every_fence);
	tcase_add_test(tcase, fini_of_a_locked_one_is_told);
	tcase_add_test(tcase, lock_is_seen_and_excludes);
	tcase_add_test(tcase, lock_with_a_context_belongs_to_it);
	tcase_add_test(tcase, cancelled_lock_is_eintr);
	tcase_add_test(tcase, younger_context_gives_way);
	suite_add_tcase(s, tcase);
}

static void add_room_tests(Suite *s) {
	TCase *tcase = ledger_tcase_create("room");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, room_for_nothing_or_far_too_much_is_einval, 0, 2);
	tcase_add_test(tcase, adding_cannot_fail_after_reserving);
	tcase_add_test(tcase, growing_drops_what_is_done);
	tcase_add_loop_test(tcase, room_grows_as_the_rule_says, 0, 10);
	tcase_add_test(tcase, reserving_with_room_left_changes_nothing);
	tcase_add_test(tcase, adding_without_room_is_enospc);
	tcase_add_test(tcase, failed_reserve_changes_nothing);
	suite_add_tcase(s, tcase);

	TCase *checked = ledger_tcase_create("room, with the checker");
	tcase_add_checked_fixture(checked, setup_checked, teardown_checked);
	tcase_add_test(checked, room_is_gone_after_unlock);
	tcase_add_loop_test(checked, promise_is_kept_whatever_happens, 0, 4);
	tcase_add_loop_test(checked, promised_room_is_not_reserved, 1, 18);
	tcase_add_test(checked, promised_room_is_nobody_elses);
	tcase_add_test(checked, dropped_promise_is_void_after_unlock);
	suite_add_tcase(s, checked);
}

static void add_change_tests(Suite *s) {
	TCase *tcase = ledger_tcase_create("adding and replacing");
	tcase_add_checked_fixture(tcase, setup_locked, teardown_locked);
	tcase_add_loop_test(
		tcase, fence_takes_the_first_slot_that_fits, 0, ARRAY_LENGTH(add_cases));
	tcase_add_test(tcase, same_fence_is_promoted_and_not_demoted);
	tcase_add_test(tcase, fence_that_is_done_is_accepted);
	tcase_add_test(tcase, slot_of_a_fence_that_turns_out_to_be_done_is_used);
	tcase_add_test(tcase, entry_has_a_reference_of_its_own);
	tcase_add_test(tcase, added_fence_is_seen_before_unlock);
	tcase_add_loop_test(tcase, container_is_refused, 0, 4);
	tcase_add_loop_test(tcase, unknown_usage_is_refused, 0, 4);
	tcase_add_test(tcase, replace_takes_every_entry_of_the_context);
	tcase_add_test(tcase, replace_of_nothing_is_nothing);
	tcase_add_test(tcase, replace_takes_done_ones_and_the_same_fence);
	suite_add_tcase(s, tcase);
}

static void add_unlocked_tests(Suite *s) {
	TCase *tcase = ledger_tcase_create("unlocked, and copying");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, change_without_the_lock_is_refused, 0, 6);
	tcase_add_test(tcase, replace_needs_no_room);
	tcase_add_test(tcase, copy_replaces_all_by_what_is_pending);
	tcase_add_loop_test(tcase, copy_of_nothing_empties, 0, 2);
	tcase_add_test(tcase, failed_copy_changes_nothing);
	tcase_add_test(tcase, given_fences_are_the_callers);
	tcase_add_loop_test(tcase, wait_needs_no_lock_and_minds_none, 0, 2);
	tcase_add_loop_test(tcase, fences_may_be_added_during_a_wait, 0, 2);
	suite_add_tcase(s, tcase);
}

static void add_question_tests(Suite *s) {
	TCase *tcase = ledger_tcase_create("questions");
	tcase_add_checked_fixture(tcase, setup_locked, teardown_locked);
	tcase_add_test(tcase, question_is_about_usages_up_to_one);
	tcase_add_test(tcase, too_many_fences_are_counted_and_not_given);
	tcase_add_loop_test(tcase, question_about_no_usage_is_einval, 0, 2);
	tcase_add_test(tcase, singleton_of_none_or_one_is_no_array);
	tcase_add_test(tcase, singleton_of_several_is_an_array_of_all);
	tcase_add_test(tcase, failed_singleton_is_null);
	tcase_add_test(tcase, test_asks_nobody_to_signal);
	tcase_add_test(tcase, poll_says_whether_all_is_done);
	tcase_add_loop_test(tcase, deadline_is_for_all_of_them, 0, 2);
	tcase_add_loop_test(tcase, wait_ends_with_the_last_match, 0, 2);
	tcase_add_test(tcase, cancelled_wait_is_eintr);
	tcase_add_test(tcase, deadline_reaches_every_pending_match_once);
	tcase_add_test(tcase, description_has_a_line_for_each_fence);
	tcase_add_test(tcase, description_is_cut_like_snprintf);
	suite_add_tcase(s, tcase);
}

static void add_error_tests(Suite *s) {
	TCase *tcase = ledger_tcase_create("how the last write went");
	tcase_add_checked_fixture(tcase, setup_locked, teardown_locked);
	tcase_add_test(tcase, error_is_that_of_the_last_write);
	tcase_add_loop_test(tcase, only_writes_count_for_the_error, 0, 3);
	tcase_add_loop_test(tcase, error_stays_when_its_entry_is_overwritten, 0, 2);
	tcase_add_test(tcase, error_stays_when_the_write_is_added_as_something_else);
	tcase_add_loop_test(tcase, error_stays_when_growth_drops_the_fence, 0, 2);
	tcase_add_loop_test(tcase, next_write_clears_the_error, 0, 2);
	tcase_add_test(tcase, error_is_not_that_of_a_write_before);
	tcase_add_loop_test(tcase, any_fence_of_a_write_counts, 0, 6);
	tcase_add_loop_test(tcase, first_error_of_a_write_stays, 0, 2);
	tcase_add_test(tcase, write_goes_on_until_unlock);
	tcase_add_test(tcase, promoted_fence_is_a_write);
	tcase_add_test(tcase, later_write_of_the_context_is_followed);
	tcase_add_loop_test(tcase, move_in_the_place_of_a_write_is_followed, 0, 3);
	tcase_add_loop_test(tcase, replaced_writer_is_followed, 0, 2);
	tcase_add_test(tcase, error_stays_when_its_entry_is_replaced);
	tcase_add_test(tcase, error_stays_after_a_copy);
	suite_add_tcase(s, tcase);
}

static Suite *suite(void) {
	Suite *s = suite_create("resv");
	add_lock_tests(s);
	add_room_tests(s);
	add_change_tests(s);
	add_unlocked_tests(s);
	add_question_tests(s);
	add_error_tests(s);

	TCase *chance = ledger_tcase_create("by chance");
	tcase_add_checked_fixture(chance, setup, teardown);
	tcase_set_timeout(chance, 60);
	tcase_add_loop_test(chance, chance_does_what_the_model_does, 0, 3);
	tcase_add_loop_test(chance, chance_forgets_no_error, 0, 3);
	suite_add_tcase(s, chance);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
