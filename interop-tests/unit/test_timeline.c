/* SPDX-License-Identifier: MIT */
/* Software timelines: KERNEL_CONTRACT section 6 (W-...), with 64 bits for its 32. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/fence.h>
#include <stile/timeline.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/fence.h"
#include "src/macros.h"
#include "src/reclaim.h"
#include "src/timeline.h"

static struct stile_timeline *timeline;

static void setup(void) {
	ck_assert_int_eq(stile_timeline_create("work", &timeline), 0);
}

/* A test that closes the timeline itself leaves NULL. */
static void teardown(void) {
	if (timeline != NULL) {
		ck_assert_ptr_null(timeline->pending.root);
	}
	stile_timeline_unref(timeline);
}

static struct stile_fence *fence_at(uint64_t value) {
	struct stile_fence *fence;
	ck_assert_int_eq(stile_timeline_create_fence(timeline, value, &fence), 0);
	return fence;
}

static int status_of(uint64_t value) {
	struct stile_fence *fence = fence_at(value);
	int status = stile_fence_get_status(fence);
	stile_fence_unref(fence);
	return status;
}

/* A callback that notes when it ran, and may drop a reference. */
struct trace {
	struct stile_callback callback;
	int *clock;
	int at;
	int saw_status;
	uint64_t saw_value;
	struct stile_fence *drops;
};

static void trace_run(struct stile_fence *fence, struct stile_callback *callback) {
	struct trace *trace = CONTAINER_OF(callback, struct trace, callback);
	trace->at = ++*trace->clock;
	trace->saw_status = stile_fence_get_status(fence);
	trace->saw_value = stile_timeline_get_value(timeline);
	stile_fence_unref(trace->drops);
}

static void trace_add(struct trace *trace, struct stile_fence *fence, int *ran) {
	*trace = (struct trace){ .clock = ran };
	ck_assert_int_eq(stile_fence_add_callback(fence, &trace->callback, trace_run), 0);
}

/* ---- The counter --------------------------------------------------------------------------- */

/* W-1, W-3. Wrong code: a counter that starts elsewhere, or keeps 32 bits. */
START_TEST(counter_starts_at_0_and_has_64_bits) {
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 0);
	stile_timeline_advance(timeline, 0);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 0);
	stile_timeline_advance(timeline, 3);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 3);
	stile_timeline_advance(timeline, UINT64_C(1) << 40);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), (UINT64_C(1) << 40) + 3);
}
END_TEST

/* W-1. Wrong code: the caller's name kept or cut elsewhere; one context for all timelines. */
START_TEST(fence_has_the_name_and_the_context_of_its_timeline) {
	char name[] = "0123456789abcdef0123456789ABCDEF too long";
	struct stile_timeline *other;
	ck_assert_int_eq(stile_timeline_create(name, &other), 0);
	memset(name, '-', sizeof(name) - 1);
	struct stile_fence *fence, *mine = fence_at(1), *later = fence_at(2);
	ck_assert_int_eq(stile_timeline_create_fence(other, 1, &fence), 0);
	ck_assert_str_eq(stile_fence_get_timeline_name(fence), "0123456789abcdef0123456789ABCDE");
	ck_assert_str_eq(stile_fence_get_timeline_name(mine), "work");
	ck_assert_str_eq(stile_fence_get_driver_name(mine), "stile");
	ck_assert_uint_ne(stile_fence_get_context(fence), stile_fence_get_context(mine));
	ck_assert_uint_eq(stile_fence_get_context(later), stile_fence_get_context(mine));
	stile_fence_unref(fence);
	stile_fence_unref(mine);
	stile_fence_unref(later);
	stile_timeline_unref(other);
}
END_TEST

/* Wrong code: a fence that nobody owes and that never expires; a seqno of 32 bits. */
START_TEST(fence_is_a_user_fence_of_this_process) {
	const uint64_t value = UINT64_C(5) << 32;
	int64_t before = runner_clock_ns();
	struct stile_fence *fence = fence_at(value), *earlier = fence_at(1);
	ck_assert(stile_fence_is_user(fence));
	ck_assert_int_eq(stile_fence_get_owner(fence), getpid());
	ck_assert_int_gt(stile_fence_get_expiry(fence), before);
	ck_assert_int_ne(stile_fence_get_expiry(fence), INT64_MAX);
	ck_assert_uint_eq(stile_fence_get_seqno(fence), value);
	ck_assert(stile_fence_is_later(fence, earlier));
	stile_fence_unref(fence);
	stile_fence_unref(earlier);
}
END_TEST

/* W-2, W-3. Wrong code: the fence of the value one before or after it. */
START_TEST(fence_ends_when_its_value_is_reached) {
	struct stile_fence *fence = fence_at(3);
	stile_timeline_advance(timeline, 2);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	ck_assert_int_eq(stile_fence_wait(fence, 0), -ETIME);
	stile_timeline_advance(timeline, 1);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	stile_fence_unref(fence);
}
END_TEST

struct reach_case {
	const char *what;
	uint64_t counter, value;
	int status;
};

#define TOP UINT64_MAX
#define HALF (UINT64_C(1) << 63)

static const struct reach_case reach_cases[] = {
	{ "0 at 0", 0, 0, 1 },
	{ "1 at 0", 0, 1, 0 },
	{ "the last at 0", 0, TOP, 0 },
	{ "beyond the half", 0, HALF + 1, 0 },
	{ "beyond 32 bits", 7, UINT64_C(1) << 32, 0 },
	{ "passed", 7, 3, 1 },
	{ "here", 7, 7, 1 },
	{ "ahead", 7, 8, 0 },
	{ "the last but one", TOP - 1, TOP, 0 },
	{ "0 at the last", TOP, 0, 1 },
	{ "the last at the last", TOP, TOP, 1 },
	{ "0 from beyond the half", HALF + 5, 0, 1 },
};

/*
 * W-2, with 64 bits that do not wrap around. Wrong code: a difference that is cut to 32 bits or taken
 * as signed, so that what is far ahead seems to have passed.
 */
START_TEST(values_are_plain_numbers) {
	const struct reach_case *c = &reach_cases[_i];
	stile_timeline_advance(timeline, c->counter);
	ck_assert_msg(status_of(c->value) == c->status, "%s", c->what);
}
END_TEST

/* W-3. Wrong code: a counter that begins again at 0, and passes nothing of what is high. */
START_TEST(counter_stops_at_the_end_of_the_numbers) {
	const uint64_t values[] = { TOP, 1, HALF + 1, 1000 };
	const int place[] = { 4, 1, 3, 2 };
	struct stile_fence *fences[ARRAY_LENGTH(values)];
	struct trace traces[ARRAY_LENGTH(values)];
	int ran = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
		fences[i] = fence_at(values[i]);
		trace_add(&traces[i], fences[i], &ran);
	}
	stile_timeline_advance(timeline, 5);
	stile_timeline_advance(timeline, TOP);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), TOP);
	for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
		ck_assert_msg(traces[i].at == place[i], "%zu: was %d", i, traces[i].at);
		ck_assert_int_eq(stile_fence_get_status(fences[i]), 1);
		stile_fence_unref(fences[i]);
	}
}
END_TEST

/* W-3. Wrong code: order of creation; a fence made for the same value as another one forgotten. */
START_TEST(one_advance_signals_in_order_of_values) {
	enum { COUNT = 200 };
	uint64_t random = runner_seed();
	struct stile_fence *fences[COUNT];
	struct trace traces[COUNT];
	int ran = 0;
	for (int i = 0; i < COUNT; i++) {
		fences[i] = fence_at(1 + runner_random(&random) % COUNT);
		trace_add(&traces[i], fences[i], &ran);
	}
	stile_timeline_advance(timeline, COUNT);
	ck_assert_int_eq(ran, COUNT);
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(traces[i].saw_status, 1);
		for (int j = 0; j < i; j++) {
			bool ahead = fences[j]->seqno > fences[i]->seqno;
			ck_assert_msg((traces[j].at > traces[i].at) == ahead,
				"value %llu ran as %d, value %llu as %d",
				(unsigned long long)fences[j]->seqno, traces[j].at,
				(unsigned long long)fences[i]->seqno, traces[i].at);
		}
	}
	for (int i = 0; i < COUNT; i++) {
		stile_fence_unref(fences[i]);
	}
}
END_TEST

/* ---- Sharing and life ---------------------------------------------------------------------- */

/* W-2. Wrong code: a new fence each time; one reference for two. */
START_TEST(pending_fence_of_a_value_is_shared) {
	struct stile_fence *fence = fence_at(5), *again = fence_at(5), *other = fence_at(6);
	ck_assert_ptr_eq(fence, again);
	ck_assert_ptr_ne(fence, other);
	ck_assert_uint_eq(fence->refs, 2);
	stile_fence_unref(fence);
	fence = fence_at(5);
	ck_assert_ptr_eq(fence, again);
	stile_fence_unref(again);
	stile_fence_unref(other);
	stile_timeline_advance(timeline, 5);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	/* What is signalled is not given again. */
	again = fence_at(5);
	ck_assert_ptr_ne(fence, again);
	ck_assert_int_eq(stile_fence_get_status(again), 1);
	ck_assert_ptr_null(timeline->pending.root);
	stile_fence_unref(again);
	stile_fence_unref(fence);
}
END_TEST

/* W-2. Wrong code: a tree that keeps what nobody wants, or a pointer to what has gone. */
START_TEST(fence_that_nobody_has_leaves_the_timeline) {
	stile_fence_unref(fence_at(5));
	ck_assert_ptr_null(timeline->pending.root);
	ck_assert_uint_eq(timeline->refs, 1);
	struct stile_fence *fence = fence_at(5);
	ck_assert_uint_eq(fence->refs, 1);
	stile_timeline_advance(timeline, 5);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	stile_fence_unref(fence);
}
END_TEST

/*
 * F-3. A reader of slots holds up the release, so that the dead fence is still in the tree. Wrong
 * code: it is given again, hides one that is alive, or is signalled; the next value's is taken.
 */
START_TEST(fence_that_is_dying_is_not_given_again) {
	struct stile_fence *dead = fence_at(5), *next = fence_at(6);
	fence_enter_slot(dead);
	unsigned section = reclaim_begin();
	stile_fence_unref(dead);
	ck_assert_ptr_nonnull(timeline->pending.root);
	struct stile_fence *fence = fence_at(5), *again = fence_at(5);
	ck_assert_ptr_ne(fence, dead);
	ck_assert_ptr_ne(fence, next);
	ck_assert_ptr_eq(fence, again);
	stile_fence_unref(again);
	stile_timeline_advance(timeline, 5);
	ck_assert_uint_eq(dead->refs & ~(FENCE_SLOT | FENCE_DEAD), 0);
	ck_assert_int_eq(dead->timestamp_ns, 0);
	reclaim_end(section);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	ck_assert_uint_eq(timeline->refs, 3);
	stile_fence_unref(fence);
	stile_fence_unref(next);
}
END_TEST

/* W-2: unsignalled. Wrong code: the next one who asks for the value gets the old failure. */
START_TEST(fence_that_expired_is_not_given_again) {
	struct stile_fence *old = fence_at(5), *next[2];
	ck_assert_int_eq(stile_fence_set_expiry(old, 1), 0);
	if (_i == 1) {
		ck_assert_int_eq(stile_fence_get_status(old), -ETIMEDOUT);
	}
	next[0] = fence_at(5);
	next[1] = fence_at(5);
	ck_assert_ptr_ne(next[0], old);
	ck_assert_ptr_eq(next[0], next[1]);
	ck_assert_int_eq(stile_fence_get_status(old), -ETIMEDOUT);
	stile_timeline_advance(timeline, 5);
	ck_assert_int_eq(stile_fence_get_status(old), -ETIMEDOUT);
	ck_assert_int_eq(stile_fence_get_status(next[0]), 1);
	stile_fence_unref(old);
	stile_fence_unref(next[0]);
	stile_fence_unref(next[1]);
}
END_TEST

/* Wrong code: advancing touches a fence that ended before, or signals it as done. */
START_TEST(fence_that_expired_stays_as_it_is) {
	struct stile_fence *old = fence_at(5);
	ck_assert_int_eq(stile_fence_set_expiry(old, 1), 0);
	ck_assert_int_eq(stile_fence_get_status(old), -ETIMEDOUT);
	int64_t at = stile_fence_get_timestamp(old);
	runner_sleep_ms(1);
	stile_timeline_advance(timeline, 5);
	ck_assert_int_eq(stile_fence_get_status(old), -ETIMEDOUT);
	ck_assert_int_eq(stile_fence_get_timestamp(old), at);
	stile_fence_unref(old);
}
END_TEST

/*
 * W-3, X-3. Wrong code: a release op that takes the lock which the thread has already, so that the
 * test hangs; a list that goes on with what the callback freed.
 */
START_TEST(callback_may_drop_the_last_reference) {
	struct stile_fence *fences[] = { fence_at(1), fence_at(2), fence_at(9) };
	struct trace traces[2];
	int ran = 0;
	trace_add(&traces[0], fences[0], &ran);
	trace_add(&traces[1], fences[1], &ran);
	traces[0].drops = fences[2];
	traces[1].drops = fences[1];
	stile_timeline_advance(timeline, 5);
	ck_assert_int_eq(ran, 2);
	ck_assert_uint_eq(traces[0].saw_value, 5);
	ck_assert_ptr_null(timeline->pending.root);
	stile_fence_unref(fences[0]);
	ck_assert_uint_eq(timeline->refs, 1);
}
END_TEST

/* W-5. Wrong code: pending ones left to their expiry, or ended as if they were reached. */
START_TEST(close_ends_what_is_pending) {
	struct stile_fence *fences[] = { fence_at(7), fence_at(2), fence_at(1) };
	struct trace traces[2];
	int ran = 0;
	stile_timeline_advance(timeline, 1);
	trace_add(&traces[0], fences[0], &ran);
	trace_add(&traces[1], fences[1], &ran);

	ck_assert_ptr_eq(stile_timeline_ref(timeline), timeline);
	stile_timeline_unref(timeline);
	ck_assert_int_eq(ran, 0);
	stile_timeline_unref(timeline);
	ck_assert_int_eq(traces[1].at, 1);
	ck_assert_int_eq(traces[0].at, 2);
	ck_assert_int_eq(traces[0].saw_status, -ENOENT);
	ck_assert_int_eq(stile_fence_get_status(fences[1]), -ENOENT);
	ck_assert_int_eq(stile_fence_get_status(fences[2]), 1);
	/* W-6: the name, the counter and the lock are in the timeline's memory. */
	ck_assert_str_eq(stile_fence_get_timeline_name(fences[0]), "work");
	stile_fence_lock(fences[0]);
	stile_fence_unlock(fences[0]);
	for (size_t i = 0; i < ARRAY_LENGTH(fences); i++) {
		stile_fence_unref(fences[i]);
	}
	timeline = NULL;
	stile_timeline_unref(NULL);
}
END_TEST

static int try_create(void *user) {
	(void)user;
	struct stile_timeline *other;
	int ret = stile_timeline_create("other", &other);
	stile_timeline_unref(other);
	return ret;
}

static struct stile_fence *tried;

static int try_fence(void *user) {
	(void)user;
	tried = (struct stile_fence *)(uintptr_t)1;
	return stile_timeline_create_fence(timeline, 1, &tried);
}

static void after_fence(void *user, int ret) {
	(void)user;
	ck_assert((tried == NULL) == (ret < 0));
	stile_fence_unref(tried);
	ck_assert_uint_eq(timeline->refs, 1);
}

static void after_nothing(void *user, int ret) {
	(void)user;
	(void)ret;
}

/* Wrong code: an out parameter that is left as it was; a reference that is kept. */
START_TEST(want_of_memory_is_told) {
	static const int errors[] = { -ENOMEM, 0 };
	ck_assert_uint_eq(failing_sweep(try_create, after_nothing, NULL, errors), 1);
	ck_assert_uint_eq(failing_sweep(try_fence, after_fence, NULL, errors), 1);
}
END_TEST

/* ---- Threads ------------------------------------------------------------------------------- */

enum { ROUNDS = 2000 };

static struct stile_fence *ladder[ROUNDS + 1];
static atomic_int wrong;

static void *climb(void *unused) {
	for (int i = 0; i < ROUNDS; i++) {
		stile_timeline_advance(timeline, 1);
	}
	return unused;
}

/* W-2. Wrong code: a counter that is raised before the fences are signalled, and no signaled op. */
START_TEST(fence_is_never_seen_behind_the_counter) {
	pthread_t thread;
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		ladder[i] = fence_at(i);
	}
	ck_assert_int_eq(pthread_create(&thread, NULL, climb, NULL), 0);
	int behind = 0;
	for (uint64_t value = 0; value < ROUNDS;) {
		value = stile_timeline_get_value(timeline);
		behind += value > 0 && stile_fence_get_status(ladder[value]) != 1;
	}
	pthread_join(thread, NULL);
	ck_assert_int_eq(behind, 0);
	for (int i = 1; i <= ROUNDS; i++) {
		stile_fence_unref(ladder[i]);
	}
}
END_TEST

enum { WORKERS = 6, STRESS_MS = 400 };

static atomic_bool stress_over;
static atomic_int fences_made;

struct worker {
	pthread_t thread;
	uint64_t random;
};

/* What one thread does with a fence a little ahead of the counter, or a little behind. */
static void use_fence(uint64_t random) {
	uint64_t value = stile_timeline_get_value(timeline) + random % 8;
	struct stile_fence *fence;
	if (stile_timeline_create_fence(timeline, value, &fence) < 0) {
		atomic_fetch_add(&wrong, 1);
		return;
	}
	atomic_fetch_add(&fences_made, 1);
	struct trace trace = { .clock = &trace.at };
	bool listens =
		random & 0x100 && stile_fence_add_callback(fence, &trace.callback, trace_run) == 0;
	if (random & 0x200) {
		/* The counter only goes on: whatever was made is reached. */
		int64_t deadline_ns = runner_clock_ns() + INT64_C(60000000000);
		bool ended = stile_fence_wait(fence, deadline_ns) == 0;
		atomic_fetch_add(&wrong,
			!ended || stile_fence_get_status(fence) != 1 ||
				stile_timeline_get_value(timeline) < value);
	}
	if (listens) {
		stile_fence_remove_callback(fence, &trace.callback);
	}
	stile_fence_unref(fence);
}

static void *work(void *arg) {
	struct worker *worker = arg;
	while (!atomic_load(&stress_over)) {
		use_fence(runner_random(&worker->random));
	}
	return NULL;
}

static void *advance_until_over(void *arg) {
	uint64_t random = *(uint64_t *)arg;
	while (!atomic_load(&stress_over)) {
		stile_timeline_advance(timeline, runner_random(&random) % 4);
	}
	/* Whoever still waits is at most this far ahead. */
	stile_timeline_advance(timeline, 16);
	return NULL;
}

/*
 * W-2, W-3. Wrong code: a fence found while it dies; one that is
 * missed since it was made while the counter moved; a node removed twice.
 */
START_TEST(many_threads_use_one_timeline) {
	struct worker workers[WORKERS];
	uint64_t random = runner_seed();
	pthread_t advancing;
	atomic_store(&stress_over, false);
	atomic_store(&wrong, 0);
	for (int i = 0; i < WORKERS; i++) {
		workers[i].random = runner_random(&random);
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	ck_assert_int_eq(pthread_create(&advancing, NULL, advance_until_over, &random), 0);
	runner_sleep_ms(STRESS_MS);
	atomic_store(&stress_over, true);
	for (int i = 0; i < WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
	}
	pthread_join(advancing, NULL);
	ck_assert_int_eq(atomic_load(&wrong), 0);
	ck_assert_int_gt(atomic_load(&fences_made), 0);
	ck_assert_uint_eq(timeline->refs, 1);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("timeline");
	TCase *counter = ledger_tcase_create("counter");
	tcase_add_checked_fixture(counter, setup, teardown);
	tcase_add_test(counter, counter_starts_at_0_and_has_64_bits);
	tcase_add_test(counter, fence_has_the_name_and_the_context_of_its_timeline);
	tcase_add_test(counter, fence_is_a_user_fence_of_this_process);
	tcase_add_test(counter, fence_ends_when_its_value_is_reached);
	tcase_add_loop_test(counter, values_are_plain_numbers, 0, ARRAY_LENGTH(reach_cases));
	tcase_add_test(counter, counter_stops_at_the_end_of_the_numbers);
	tcase_add_test(counter, one_advance_signals_in_order_of_values);
	suite_add_tcase(s, counter);

	TCase *life = ledger_tcase_create("life");
	tcase_add_checked_fixture(life, setup, teardown);
	tcase_add_test(life, pending_fence_of_a_value_is_shared);
	tcase_add_test(life, fence_that_nobody_has_leaves_the_timeline);
	tcase_add_test(life, fence_that_is_dying_is_not_given_again);
	tcase_add_loop_test(life, fence_that_expired_is_not_given_again, 0, 2);
	tcase_add_test(life, fence_that_expired_stays_as_it_is);
	tcase_add_test(life, callback_may_drop_the_last_reference);
	tcase_add_test(life, close_ends_what_is_pending);
	tcase_add_test(life, want_of_memory_is_told);
	suite_add_tcase(s, life);

	TCase *threads = ledger_tcase_create("threads");
	tcase_add_checked_fixture(threads, setup, teardown);
	tcase_set_timeout(threads, 60);
	tcase_add_test(threads, fence_is_never_seen_behind_the_counter);
	tcase_add_test(threads, many_threads_use_one_timeline);
	suite_add_tcase(s, threads);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
