/* SPDX-License-Identifier: MIT */
/* The loop that locks many reservations: KERNEL_CONTRACT 7.1, and each sentence of exec.h. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <stile/exec.h>
#include <stile/fence.h>
#include <stile/resv.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum { MANY = 100, PASSES = 50, HANG_S = 30 };

static struct stile_resv resvs[MANY];
static struct stile_exec exec;
static struct stile_cancel cancel;

static bool has_begun;

static void begin(uint32_t flags, struct stile_cancel *token) {
	/* Memory that is not zero, as a stack is. */
	memset(&exec, 0xa5, sizeof(exec));
	stile_exec_init(&exec, flags, token);
	has_begun = true;
}

static void end(void) {
	has_begun = false;
	stile_exec_fini(&exec);
}

/* Locked by the loop, and by nobody else. */
static bool has(size_t i) {
	return stile_resv_get_acquire(&resvs[i]) == &exec.acquire;
}

/* These it has, and none of the others. */
static void assert_has_first(size_t count) {
	for (size_t i = 0; i < MANY; i++) {
		ck_assert_msg(has(i) == (i < count), "%zu is %slocked", i, has(i) ? "" : "not ");
	}
}

static int lock(size_t i) {
	return stile_exec_lock(&exec, &resvs[i]);
}

static int prepare(size_t i, uint32_t count) {
	return stile_exec_prepare(&exec, &resvs[i], count);
}

static void all_of(struct stile_resv **pointers, size_t count) {
	for (size_t i = 0; i < count; i++) {
		pointers[i] = &resvs[i];
	}
}

/* There is room for so many, which is used up: nothing is allocated for it any more. */
static void assert_room(size_t i, uint32_t count) {
	struct stile_fence *fences[16];
	ck_assert_uint_le(count, ARRAY_LENGTH(fences));
	for (uint32_t n = 0; n < count; n++) {
		fences[n] = plain_fence_create();
	}
	int ret = 0;
	failing_begin(1);
	for (uint32_t n = 0; n < count && ret == 0; n++) {
		ret = stile_resv_add_fence(&resvs[i], fences[n], STILE_RESV_BOOKKEEP);
	}
	ck_assert_ptr_null(failing_end());
	ck_assert_int_eq(ret, 0);
	for (uint32_t n = 0; n < count; n++) {
		stile_fence_signal(fences[n]);
		stile_fence_unref(fences[n]);
	}
}

/* ---- Somebody older, who has some of them ---------------------------------------------------- */

enum { OLDER_MAX = 2 };

static struct {
	pthread_t thread;
	sem_t ready, leave[OLDER_MAX];
	size_t first, count;
	bool runs;
} older;

static void *older_run(void *unused) {
	struct stile_ww_acquire acquire;
	stile_resv_acquire_init(&acquire);
	bool locked = true;
	for (size_t i = 0; i < older.count; i++) {
		locked = locked && stile_resv_lock(&resvs[older.first + i], &acquire, NULL) == 0;
	}
	sem_post(&older.ready);
	for (size_t i = 0; i < older.count; i++) {
		while (sem_wait(&older.leave[i]) < 0) {
		}
		if (locked) {
			stile_resv_unlock(&resvs[older.first + i]);
		}
	}
	stile_ww_acquire_fini(&acquire);
	return unused;
}

/* Begins its context now, and has `count` from `first` on. */
static void older_start(size_t first, size_t count) {
	older.first = first;
	older.count = count;
	sem_init(&older.ready, 0, 0);
	for (size_t i = 0; i < OLDER_MAX; i++) {
		sem_init(&older.leave[i], 0, 0);
	}
	ck_assert_int_eq(pthread_create(&older.thread, NULL, older_run, NULL), 0);
	older.runs = true;
	while (sem_wait(&older.ready) < 0) {
	}
}

/* It gives up the next one that it has, in their order. */
static void older_leaves(size_t nth) {
	sem_post(&older.leave[nth]);
}

static void older_join(void) {
	older.runs = false;
	pthread_join(older.thread, NULL);
	sem_destroy(&older.ready);
	for (size_t i = 0; i < OLDER_MAX; i++) {
		sem_destroy(&older.leave[i]);
	}
}

/* How many threads sleep on the token: so many can be moved from it to itself. */
static long sleepers(void) {
	return syscall(SYS_futex, &cancel.word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)1,
		&cancel.word, __atomic_load_n(&cancel.word, __ATOMIC_RELAXED));
}

/*
 * Once the loop waits: let it go on, or cancel it. If it never does so with its token, let it go
 * on.
 */
static void *after_it_sleeps(void *act) {
	int64_t until = runner_clock_ns() + HANG_S * INT64_C(1000000000);
	while (sleepers() != 1 && runner_clock_ns() < until) {
		sched_yield();
	}
	if (act == &cancel) {
		stile_cancel_raise(&cancel);
	}
	if (act != &cancel || runner_clock_ns() >= until) {
		older_leaves(0);
	}
	return NULL;
}

static void setup(void) {
	memset(resvs, 0xa5, sizeof(resvs));
	for (size_t i = 0; i < MANY; i++) {
		stile_resv_init(&resvs[i]);
	}
	stile_cancel_init(&cancel);
}

/* After a failure: so that the next test finds nobody there. */
static void end_all(void) {
	if (has_begun) {
		end();
	}
	if (older.runs) {
		for (size_t i = 0; i < OLDER_MAX; i++) {
			older_leaves(i);
		}
		older_join();
	}
}

/* After each test. Wrong code: stile_exec_fini() forgets some. */
static void teardown(void) {
	stile_ww_inject_deadlocks(false);
	end_all();
	for (size_t i = 0; i < MANY; i++) {
		ck_assert_msg(!stile_resv_is_locked(&resvs[i]), "%zu is locked still", i);
		stile_resv_fini(&resvs[i]);
	}
}

/* ---- Nobody in the way ---------------------------------------------------------------------- */

/* Wrong code: a body that runs twice, or not at all; less or more than asked for locked. */
START_TEST(loop_runs_once_if_nobody_is_in_the_way) {
	begin(0, _i == 0 ? NULL : &cancel);
	unsigned passes = 0;
	while (stile_exec_retry(&exec)) {
		assert_has_first(0);
		for (size_t i = 0; i < 3; i++) {
			ck_assert_int_eq(lock(i), 0);
			ck_assert(has(i));
		}
		passes++;
	}
	ck_assert_uint_eq(passes, 1);
	assert_has_first(3);
	ck_assert(!stile_exec_retry(&exec));
	assert_has_first(3);
	end();
}
END_TEST

/* Wrong code: an end that needs a beginning. */
START_TEST(exec_may_end_without_a_lock) {
	begin(0, NULL);
	if (_i > 0) {
		ck_assert(stile_exec_retry(&exec));
	}
	if (_i > 1) {
		ck_assert(!stile_exec_retry(&exec));
	}
	end();
}
END_TEST

/* Wrong code: only what a loop has that went to its end unlocked. */
START_TEST(fini_unlocks_all_after_a_break) {
	begin(0, NULL);
	size_t count = _i == 0 ? 3 : STILE_EXEC_FEW + 3;
	while (stile_exec_retry(&exec)) {
		for (size_t i = 0; i < count; i++) {
			ck_assert_int_eq(lock(i), 0);
		}
		break;
	}
	assert_has_first(count);
	end();
	for (size_t i = 0; i < count; i++) {
		ck_assert(!stile_resv_is_locked(&resvs[i]));
	}
}
END_TEST

/* Wrong code: a list that ends at some size; memory taken where none is said to be needed. */
START_TEST(any_number_can_be_locked) {
	static const size_t counts[] = { 1, STILE_EXEC_FEW - 1, STILE_EXEC_FEW, STILE_EXEC_FEW + 1,
		2 * STILE_EXEC_FEW, 2 * STILE_EXEC_FEW + 1, MANY };
	size_t count = counts[_i % (int)ARRAY_LENGTH(counts)];
	/* What the lock-order checker allocates it has allocated then. */
	begin(0, NULL);
	end();
	failing_begin(count <= STILE_EXEC_FEW ? 1 : 1000);
	begin(0, NULL);
	int ret = 0;
	while (stile_exec_retry(&exec)) {
		for (size_t i = 0; i < count && ret == 0; i++) {
			ret = lock(i);
		}
	}
	ck_assert_ptr_null(failing_end());
	ck_assert_int_eq(ret, 0);
	assert_has_first(count);
	end();
}
END_TEST

/* ---- The same one again --------------------------------------------------------------------- */

/* Wrong code: the flag for one of the ways; a second entry, so that it is unlocked twice. */
START_TEST(duplicate_is_ealready_unless_ignored) {
	uint32_t flags = _i == 0 ? 0 : STILE_EXEC_IGNORE_DUPLICATES;
	int again = _i == 0 ? -EALREADY : 0;
	struct stile_resv *both[] = { &resvs[1], &resvs[0] };
	begin(flags, NULL);
	while (stile_exec_retry(&exec)) {
		ck_assert_int_eq(lock(0), 0);
		ck_assert_int_eq(prepare(1, 1), 0);
		ck_assert_int_eq(lock(0), again);
		ck_assert_int_eq(lock(1), again);
		ck_assert_int_eq(prepare(0, 0), again);
		ck_assert_int_eq(prepare(1, 2), again);
		ck_assert_int_eq(stile_exec_prepare_all(&exec, both, 2, 1), again);
	}
	assert_has_first(2);
	end();
}
END_TEST

/* It is no reservation more. Wrong code: memory asked for before it is known. */
START_TEST(duplicates_need_no_memory) {
	begin(STILE_EXEC_IGNORE_DUPLICATES, NULL);
	while (stile_exec_retry(&exec)) {
		for (size_t i = 0; i < STILE_EXEC_FEW; i++) {
			ck_assert_int_eq(lock(i), 0);
		}
		failing_begin(1);
		int ret = 0;
		for (size_t i = 0; i < STILE_EXEC_FEW && ret == 0; i++) {
			ret = lock(i);
		}
		const char *failed = failing_end();
		ck_assert_int_eq(ret, 0);
		ck_assert_ptr_null(failed);
	}
	assert_has_first(STILE_EXEC_FEW);
	end();
}
END_TEST

/* ---- Room ----------------------------------------------------------------------------------- */

/* Wrong code: room in one of them only, or less than asked for. */
START_TEST(prepared_ones_have_room) {
	struct stile_resv *pointers[4];
	all_of(pointers, 4);
	begin(0, NULL);
	while (stile_exec_retry(&exec)) {
		ck_assert_int_eq(stile_exec_prepare_all(&exec, pointers, 4, 7), 0);
		ck_assert_int_eq(prepare(4, 9), 0);
	}
	assert_has_first(5);
	for (size_t i = 0; i < 4; i++) {
		assert_room(i, 7);
	}
	assert_room(4, 9);
	end();
}
END_TEST

/* 0: none. Wrong code: -EINVAL, as from stile_resv_reserve_fences(); room all the same. */
START_TEST(prepare_with_zero_only_locks) {
	struct stile_resv *pointers[3];
	all_of(pointers, 3);
	begin(0, NULL);
	while (stile_exec_retry(&exec)) {
		if (_i == 0) {
			ck_assert_int_eq(prepare(0, 0), 0);
		} else {
			ck_assert_int_eq(stile_exec_prepare_all(&exec, pointers, 1, 0), 0);
		}
	}
	assert_has_first(1);
	ledger_expect_complaint("room");
	struct stile_fence *fence = plain_fence_create();
	ck_assert_int_eq(stile_resv_add_fence(&resvs[0], fence, STILE_RESV_READ), -ENOSPC);
	stile_fence_signal(fence);
	stile_fence_unref(fence);
	end();
}
END_TEST

/* Wrong code: the second time it is there already, and nothing more is done. */
START_TEST(preparing_again_means_a_total) {
	begin(STILE_EXEC_IGNORE_DUPLICATES, NULL);
	while (stile_exec_retry(&exec)) {
		ck_assert_int_eq(prepare(0, 3), 0);
		ck_assert_int_eq(prepare(0, 12), 0);
		ck_assert_int_eq(lock(1), 0);
		ck_assert_int_eq(prepare(1, 11), 0);
	}
	assert_has_first(2);
	assert_room(0, 12);
	assert_room(1, 11);
	end();
}
END_TEST

/* Wrong code: the room of the first time lost by the second that is refused. */
START_TEST(refused_duplicate_leaves_its_room) {
	begin(0, NULL);
	while (stile_exec_retry(&exec)) {
		ck_assert_int_eq(prepare(0, 7), 0);
		ck_assert_int_eq(prepare(0, 9), -EALREADY);
	}
	assert_has_first(1);
	assert_room(0, 7);
	end();
}
END_TEST

/*
 * 7.1: undone. Wrong code: it stays locked, or is unlocked though it was locked before; others are
 * too.
 */
START_TEST(prepare_without_memory_leaves_the_lock_as_it_was) {
	bool locked_before = _i == 1;
	begin(STILE_EXEC_IGNORE_DUPLICATES, NULL);
	while (stile_exec_retry(&exec)) {
		ck_assert_int_eq(lock(0), 0);
		if (locked_before) {
			ck_assert_int_eq(lock(1), 0);
		}
		ck_assert_int_eq(lock(2), 0);
		failing_begin(1);
		int ret = prepare(1, 5);
		ck_assert_ptr_nonnull(failing_end());
		ck_assert_int_eq(ret, -ENOMEM);
		ck_assert(has(0));
		ck_assert(has(1) == locked_before);
		ck_assert(has(2));
		/* The list goes on as if it had not been there. */
		ck_assert_int_eq(lock(3), 0);
		ck_assert_int_eq(prepare(1, 5), 0);
	}
	assert_has_first(4);
	assert_room(1, 5);
	end();
}
END_TEST

/* Wrong code: the same with what cannot be had at all. */
START_TEST(prepare_for_too_many_leaves_it_unlocked) {
	ledger_expect_complaint("room");
	begin(0, NULL);
	while (stile_exec_retry(&exec)) {
		ck_assert_int_eq(lock(0), 0);
		ck_assert_int_eq(prepare(1, UINT32_MAX), -EINVAL);
		ck_assert(!has(1));
	}
	assert_has_first(1);
	end();
}
END_TEST

/* Those before stay locked. Wrong code: all of it undone; it goes on after a failure. */
START_TEST(prepare_all_stops_at_the_first_failure) {
	struct stile_resv *pointers[4];
	all_of(pointers, 4);
	pointers[2] = pointers[0];
	begin(0, NULL);
	while (stile_exec_retry(&exec)) {
		ck_assert_int_eq(stile_exec_prepare_all(&exec, pointers, 4, 2), -EALREADY);
	}
	assert_has_first(2);
	assert_room(0, 2);
	assert_room(1, 2);
	end();
}
END_TEST

enum { SWEEP = 2 * STILE_EXEC_FEW + 3 };

static size_t sweep_done;

static int attempt_many(void *user) {
	const int *separately = user;
	struct stile_resv *pointers[SWEEP];
	all_of(pointers, SWEEP);
	int ret = 0;
	sweep_done = 0;
	begin(0, NULL);
	while (stile_exec_retry(&exec)) {
		for (size_t i = 0; *separately && i < SWEEP && ret == 0; i++) {
			ret = stile_exec_prepare(&exec, pointers[i], 5);
			sweep_done += ret == 0;
		}
		if (!*separately) {
			ret = stile_exec_prepare_all(&exec, pointers, SWEEP, 5);
		}
	}
	return ret;
}

static void after_many(void *user, int ret) {
	const int *separately = user;
	if (ret == 0) {
		assert_has_first(SWEEP);
	} else if (*separately) {
		assert_has_first(sweep_done);
	}
	end();
	for (size_t i = 0; i < MANY; i++) {
		ck_assert(!stile_resv_is_locked(&resvs[i]));
		/* Its room too: so that each attempt needs all of it. */
		stile_resv_fini(&resvs[i]);
		stile_resv_init(&resvs[i]);
	}
}

/* Wrong code: a list lost when it cannot grow; one locked that is not in it. */
START_TEST(without_memory_it_is_enomem_and_nothing_is_lost) {
	static const int errors[] = { -ENOMEM, 0 };
	int separately = _i;
	/* The room in each, and a list that grows at least once. */
	ck_assert_uint_gt(failing_sweep(attempt_many, after_many, &separately, errors), SWEEP);
}
END_TEST

/* ---- Somebody in the way -------------------------------------------------------------------- */

struct passes {
	unsigned count;
	int ret;
};

/* The loop of exec.h over the first so many. `let_go`: what is given up before the next pass. */
static struct passes run_loop(size_t count, size_t let_go) {
	struct passes passes = { .ret = 0 };
	begin(0, &cancel);
	while (stile_exec_retry(&exec) && passes.count < PASSES) {
		assert_has_first(0);
		if (passes.count > 0 && passes.count <= let_go) {
			older_leaves(passes.count - 1);
		}
		passes.count++;
		for (size_t i = 0; i < count; i++) {
			passes.ret = prepare(i, 1);
			if (passes.ret < 0) {
				break;
			}
		}
		if (passes.ret < 0 && passes.ret != -EDEADLK) {
			break;
		}
	}
	return passes;
}

/*
 * Wrong code: it hangs; it gives up; something stays locked over the next pass; a list with holes.
 */
START_TEST(contended_one_is_had_in_the_next_pass) {
	older_start(2, 1);
	struct passes passes = run_loop(_i == 0 ? 4 : SWEEP, 1);
	ck_assert_int_eq(passes.ret, 0);
	ck_assert_uint_eq(passes.count, 2);
	assert_has_first(_i == 0 ? 4 : SWEEP);
	end();
	older_join();
}
END_TEST

/*
 * It is locked first, with nothing else. Wrong code: asked for in the old order, and again in the
 * way.
 */
START_TEST(each_contended_one_costs_one_pass) {
	older_start(1, 2);
	struct passes passes = run_loop(4, 2);
	ck_assert_int_eq(passes.ret, 0);
	ck_assert_uint_eq(passes.count, 3);
	assert_has_first(4);
	end();
	older_join();
}
END_TEST

/* Wrong code: a pass that spins until the other one has gone. */
START_TEST(loop_sleeps_until_the_contended_one_is_free) {
	older_start(1, 1);
	pthread_t waker;
	ck_assert_int_eq(pthread_create(&waker, NULL, after_it_sleeps, NULL), 0);
	struct passes passes = run_loop(3, 0);
	ck_assert_int_eq(passes.ret, 0);
	ck_assert_uint_eq(passes.count, 2);
	assert_has_first(3);
	end();
	pthread_join(waker, NULL);
	older_join();
}
END_TEST

/* A loop over 0 and 1 that comes upon the older one's number 1; before its second pass. */
static void begin_contended(uint32_t flags) {
	older_start(1, 1);
	begin(flags, &cancel);
	ck_assert(stile_exec_retry(&exec));
	ck_assert_int_eq(lock(0), 0);
	ck_assert_int_eq(lock(1), -EDEADLK);
	ck_assert(has(0));
	older_leaves(0);
	older_join();
	ck_assert(stile_exec_retry(&exec));
	assert_has_first(0);
}

/* 7.1. Wrong code: what was in the way stays locked though nobody wants it. */
START_TEST(contended_one_that_is_not_asked_for_again_is_dropped) {
	begin_contended(0);
	ck_assert_int_eq(lock(2), 0);
	ck_assert_int_eq(lock(0), 0);
	ck_assert_int_eq(lock(3), 0);
	ck_assert(!stile_exec_retry(&exec));
	ck_assert(has(0));
	ck_assert(!stile_resv_is_locked(&resvs[1]));
	ck_assert(has(2));
	ck_assert(has(3));
	end();
}
END_TEST

/* Wrong code: the first time it is asked for taken for a duplicate, or a later one not. */
START_TEST(contended_one_is_asked_for_once) {
	bool ignored = _i % 2 == 1;
	begin_contended(ignored ? STILE_EXEC_IGNORE_DUPLICATES : 0);
	/* As the first one, or after others. */
	if (_i / 2 == 1) {
		ck_assert_int_eq(lock(0), 0);
	}
	ck_assert_int_eq(prepare(1, 7), 0);
	ck_assert_int_eq(lock(1), ignored ? 0 : -EALREADY);
	if (_i / 2 == 0) {
		ck_assert_int_eq(lock(0), 0);
	}
	ck_assert(!stile_exec_retry(&exec));
	assert_has_first(2);
	assert_room(1, 7);
	end();
}
END_TEST

/* 7.1. Wrong code: nothing asked for, so nothing done: the loop never ends. */
START_TEST(preparing_none_takes_the_contended_one) {
	begin_contended(0);
	ck_assert_int_eq(stile_exec_prepare_all(&exec, NULL, 0, 1), 0);
	ck_assert(has(1));
	ck_assert(!stile_exec_retry(&exec));
	assert_has_first(0);
	end();
}
END_TEST

/*
 * Again only after -EDEADLK. Wrong code: it was in the way once, and nobody says that it is not any
 * more.
 */
START_TEST(body_that_asks_for_nothing_any_more_ends_the_loop) {
	begin_contended(0);
	ck_assert(!stile_exec_retry(&exec));
	assert_has_first(0);
	end();
}
END_TEST

/* Wrong code: what is prepared in vain stays, as it was locked before the body ran. */
START_TEST(contended_one_without_room_is_not_locked) {
	begin_contended(0);
	failing_begin(1);
	int ret = prepare(1, 5);
	ck_assert_ptr_nonnull(failing_end());
	ck_assert_int_eq(ret, -ENOMEM);
	ck_assert(!has(1));
	ck_assert_int_eq(lock(0), 0);
	ck_assert(!stile_exec_retry(&exec));
	assert_has_first(1);
	end();
}
END_TEST

/* ---- Cancelled ------------------------------------------------------------------------------ */

/* Wrong code: a token that counts though there is nothing to wait for. */
START_TEST(token_ends_only_what_waits) {
	stile_cancel_raise(&cancel);
	struct passes passes = run_loop(3, 0);
	ck_assert_int_eq(passes.ret, 0);
	ck_assert_uint_eq(passes.count, 1);
	assert_has_first(3);
	end();
}
END_TEST

/* The first one waits, having nothing. Wrong code: the token not handed on. */
START_TEST(waiting_for_the_first_one_may_be_cancelled) {
	older_start(0, 1);
	pthread_t waker;
	ck_assert_int_eq(pthread_create(&waker, NULL, after_it_sleeps, &cancel), 0);
	struct passes passes = run_loop(3, 0);
	ck_assert_int_eq(passes.ret, -EINTR);
	ck_assert_uint_eq(passes.count, 1);
	assert_has_first(0);
	end();
	pthread_join(waker, NULL);
	older_leaves(0);
	older_join();
}
END_TEST

/* Wrong code: the slow way cannot be cancelled; it has what it has not. */
START_TEST(waiting_for_the_contended_one_may_be_cancelled) {
	older_start(1, 1);
	pthread_t waker;
	ck_assert_int_eq(pthread_create(&waker, NULL, after_it_sleeps, &cancel), 0);
	struct passes passes = run_loop(3, 0);
	ck_assert_int_eq(passes.ret, -EINTR);
	ck_assert_uint_eq(passes.count, 2);
	assert_has_first(0);
	end();
	pthread_join(waker, NULL);
	older_leaves(0);
	older_join();
}
END_TEST

/* Again only after -EDEADLK. Wrong code: a loop that does not break runs for ever. */
START_TEST(loop_ends_after_another_error) {
	bool in_second_pass = _i == 1;
	older_start(1, 1);
	stile_cancel_raise(&cancel);
	begin(0, &cancel);
	ck_assert(stile_exec_retry(&exec));
	if (in_second_pass) {
		ck_assert_int_eq(lock(0), 0);
		ck_assert_int_eq(lock(1), -EDEADLK);
		ck_assert(stile_exec_retry(&exec));
	}
	ck_assert_int_eq(lock(1), -EINTR);
	ck_assert(!stile_exec_retry(&exec));
	assert_has_first(0);
	end();
	older_leaves(0);
	older_join();
}
END_TEST

/* ---- Misuse --------------------------------------------------------------------------------- */

/* Wrong code: a lock that the next pass does not know of, or that the loop's end makes final. */
START_TEST(lock_outside_of_the_loop_is_refused) {
	bool after = _i / 3 == 1;
	ledger_expect_complaint("outside of the loop");
	struct stile_resv *pointers[] = { &resvs[1] };
	begin(0, NULL);
	while (after && stile_exec_retry(&exec)) {
		ck_assert_int_eq(lock(0), 0);
	}
	switch (_i % 3) {
	case 0:
		ck_assert_int_eq(lock(1), -EINVAL);
		break;
	case 1:
		ck_assert_int_eq(prepare(1, 1), -EINVAL);
		break;
	default:
		ck_assert_int_eq(stile_exec_prepare_all(&exec, pointers, 1, 1), -EINVAL);
	}
	assert_has_first(after ? 1 : 0);
	end();
}
END_TEST

/* 7.1: acquire_done. Wrong code: the context goes on behind the loop's back. */
START_TEST(context_is_done_after_the_loop) {
	ledger_expect_complaint("is done");
	begin(0, NULL);
	while (stile_exec_retry(&exec)) {
		ck_assert_int_eq(lock(0), 0);
	}
	ck_assert_int_eq(stile_resv_lock(&resvs[1], &exec.acquire, NULL), -EINVAL);
	end();
}
END_TEST

/* Wrong code: more is locked after -EDEADLK, which the next pass does not expect. */
START_TEST(going_on_after_edeadlk_is_refused) {
	ledger_expect_complaint("without going back");
	older_start(1, 1);
	begin(0, &cancel);
	ck_assert(stile_exec_retry(&exec));
	ck_assert_int_eq(lock(0), 0);
	ck_assert_int_eq(lock(1), -EDEADLK);
	ck_assert_int_eq(lock(2), -EDEADLK);
	ck_assert(!has(2));
	older_leaves(0);
	ck_assert(stile_exec_retry(&exec));
	assert_has_first(0);
	ck_assert_int_eq(lock(2), 0);
	ck_assert_int_eq(lock(1), 0);
	ck_assert_int_eq(lock(0), 0);
	ck_assert(!stile_exec_retry(&exec));
	assert_has_first(3);
	end();
	older_join();
}
END_TEST

/* Wrong code: flags of the future taken for nothing. */
START_TEST(unknown_flags_are_told) {
	ledger_expect_complaint("flags");
	begin(1u << 31, NULL);
	end();
}
END_TEST

/* ---- Everything at once --------------------------------------------------------------------- */

/*
 * M-15, from each place where it may begin. Wrong code: a loop that forgets what it locked by an
 * -EDEADLK in the middle, or counts the contended one twice.
 */
START_TEST(loop_ends_with_all_locked_under_injection) {
	enum { COUNT = 16 };
	unsigned most = 0;
	stile_ww_inject_deadlocks(true);
	for (int round = 0; round < 16; round++) {
		struct passes passes = run_loop(COUNT, 0);
		ck_assert_int_eq(passes.ret, 0);
		assert_has_first(COUNT);
		end();
		most = passes.count > most ? passes.count : most;
	}
	ck_assert_uint_gt(most, 2);
	ck_assert_uint_lt(most, PASSES);
}
END_TEST

static TCase *tcase_about_exec_create(const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, setup, teardown);
	return tcase;
}

static void add_alone(Suite *s) {
	TCase *alone = tcase_about_exec_create("nobody in the way");
	tcase_add_loop_test(alone, loop_runs_once_if_nobody_is_in_the_way, 0, 2);
	tcase_add_loop_test(alone, exec_may_end_without_a_lock, 0, 3);
	tcase_add_loop_test(alone, fini_unlocks_all_after_a_break, 0, 2);
	tcase_add_loop_test(alone, any_number_can_be_locked, 0, 7);
	tcase_add_loop_test(alone, duplicate_is_ealready_unless_ignored, 0, 2);
	tcase_add_test(alone, duplicates_need_no_memory);
	suite_add_tcase(s, alone);

	TCase *room = tcase_about_exec_create("room");
	tcase_add_test(room, prepared_ones_have_room);
	tcase_add_loop_test(room, prepare_with_zero_only_locks, 0, 2);
	tcase_add_test(room, preparing_again_means_a_total);
	tcase_add_test(room, refused_duplicate_leaves_its_room);
	tcase_add_loop_test(room, prepare_without_memory_leaves_the_lock_as_it_was, 0, 2);
	tcase_add_test(room, prepare_for_too_many_leaves_it_unlocked);
	tcase_add_test(room, prepare_all_stops_at_the_first_failure);
	tcase_add_loop_test(room, without_memory_it_is_enomem_and_nothing_is_lost, 0, 2);
	suite_add_tcase(s, room);
}

static Suite *suite(void) {
	Suite *s = suite_create("exec");
	add_alone(s);

	TCase *contention = tcase_about_exec_create("somebody in the way");
	tcase_add_loop_test(contention, contended_one_is_had_in_the_next_pass, 0, 2);
	tcase_add_test(contention, each_contended_one_costs_one_pass);
	tcase_add_test(contention, loop_sleeps_until_the_contended_one_is_free);
	tcase_add_test(contention, contended_one_that_is_not_asked_for_again_is_dropped);
	tcase_add_loop_test(contention, contended_one_is_asked_for_once, 0, 4);
	tcase_add_test(contention, preparing_none_takes_the_contended_one);
	tcase_add_test(contention, body_that_asks_for_nothing_any_more_ends_the_loop);
	tcase_add_test(contention, contended_one_without_room_is_not_locked);
	tcase_add_test(contention, loop_ends_with_all_locked_under_injection);
	suite_add_tcase(s, contention);

	TCase *cancelled = tcase_about_exec_create("cancelled");
	tcase_add_test(cancelled, token_ends_only_what_waits);
	tcase_add_test(cancelled, waiting_for_the_first_one_may_be_cancelled);
	tcase_add_test(cancelled, waiting_for_the_contended_one_may_be_cancelled);
	tcase_add_loop_test(cancelled, loop_ends_after_another_error, 0, 2);
	suite_add_tcase(s, cancelled);

	TCase *misuse = tcase_about_exec_create("misuse");
	tcase_add_loop_test(misuse, lock_outside_of_the_loop_is_refused, 0, 6);
	tcase_add_test(misuse, context_is_done_after_the_loop);
	tcase_add_test(misuse, going_on_after_edeadlk_is_refused);
	tcase_add_test(misuse, unknown_flags_are_told);
	suite_add_tcase(s, misuse);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
