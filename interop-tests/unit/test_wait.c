/* SPDX-License-Identifier: MIT */
/* Waits for several fences, and cancelled ones: KERNEL_CONTRACT F-15, F-17. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <stile/fence.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

#define MS INT64_C(1000000)
/* Long enough that a failure means a hang. */
#define HANG_NS (30000 * MS)

enum { UNTOUCHED = 4711, MANY = 200 };

struct item {
	struct stile_fence fence;
	atomic_int enabled;
	atomic_bool done; /* what the signaled op answers */
};

static const char *item_name(struct stile_fence *fence) {
	(void)fence;
	return "item";
}

static bool item_enable(struct stile_fence *fence) {
	atomic_fetch_add(&CONTAINER_OF(fence, struct item, fence)->enabled, 1);
	return true;
}

static bool item_signaled(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct item, fence)->done;
}

static const struct stile_fence_ops item_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = item_name,
	.get_timeline_name = item_name,
	.enable_signaling = item_enable,
	.signaled = item_signaled,
};

static struct item items[MANY];
static struct stile_fence *fences[MANY];

static void items_init(void) {
	memset(items, 0, sizeof(items));
	for (size_t i = 0; i < MANY; i++) {
		ck_assert_int_eq(stile_fence_init(&items[i].fence, &item_ops, 1, i), 0);
		fences[i] = &items[i].fence;
	}
}

/* After each test. Wrong code: a callback left behind, a reference kept. */
static void items_finish(void) {
	for (size_t i = 0; i < MANY; i++) {
		ck_assert_msg(items[i].fence.first == NULL, "fence %zu: a callback is left", i);
		ck_assert_uint_eq(items[i].fence.refs, 1);
		stile_fence_unref(&items[i].fence);
	}
}

static int enabled_count(void) {
	int count = 0;
	for (size_t i = 0; i < MANY; i++) {
		count += items[i].enabled;
	}
	return count;
}

/* A deadline that is one kind or another of not yet. */
static int64_t deadline_of(int kind) {
	switch (kind) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
		return runner_clock_ns() + HANG_NS;
	default:
		return INT64_MAX;
	}
}

enum { DEADLINES = 4 };

/* ---- One of several ------------------------------------------------------------------------ */

/* F-17. Wrong code: the first that was signalled instead of the lowest; the deadline looked at first. */
START_TEST(wait_any_gives_the_lowest_signalled) {
	size_t index = UNTOUCHED;
	stile_fence_signal(fences[4]);
	ck_assert_int_eq(stile_fence_wait_any(fences, 6, deadline_of(_i), NULL, &index), 0);
	ck_assert_uint_eq(index, 4);
	stile_fence_signal(fences[2]);
	ck_assert_int_eq(stile_fence_wait_any(fences, 6, deadline_of(_i), NULL, &index), 0);
	ck_assert_uint_eq(index, 2);
	ck_assert_int_eq(stile_fence_wait_any(fences, 6, deadline_of(_i), NULL, NULL), 0);
	ck_assert_int_eq(stile_fence_wait_any(fences + 2, 1, deadline_of(_i), NULL, &index), 0);
	ck_assert_uint_eq(index, 0);
}
END_TEST

/* F-17, T = 0. Wrong code: polling that sets work going; that does not ask; that writes the index. */
START_TEST(polling_any_asks_and_enables_nothing) {
	size_t index = UNTOUCHED;
	ck_assert_int_eq(stile_fence_wait_any(fences, MANY, 0, NULL, &index), -ETIME);
	ck_assert_uint_eq(index, UNTOUCHED);
	items[3].done = true;
	ck_assert_int_eq(stile_fence_wait_any(fences, MANY, 0, NULL, &index), 0);
	ck_assert_uint_eq(index, 3);
	ck_assert_int_eq(enabled_count(), 0);
}
END_TEST

/* F-10, F-17. Wrong code: only the first one set going; the index written at a time-out. */
START_TEST(wait_any_enables_all_and_keeps_its_deadline) {
	size_t index = UNTOUCHED;
	int64_t deadline = _i == 0 ? 1 : runner_clock_ns() + 10 * MS;
	ck_assert_int_eq(stile_fence_wait_any(fences, 5, deadline, NULL, &index), -ETIME);
	ck_assert_int_ge(runner_clock_ns(), deadline);
	ck_assert_uint_eq(index, UNTOUCHED);
	ck_assert_int_eq(enabled_count(), 5);
}
END_TEST

/* F-17: what is signalled already ends it. Wrong code: those after it set going for nothing. */
START_TEST(wait_any_stops_at_the_first_signalled) {
	stile_fence_signal(fences[2]);
	size_t index = UNTOUCHED;
	ck_assert_int_eq(stile_fence_wait_any(fences, 5, INT64_MAX, NULL, &index), 0);
	ck_assert_uint_eq(index, 2);
	ck_assert_int_eq(enabled_count(), 2);
}
END_TEST

struct signaller {
	struct stile_fence *fence;
	unsigned delay_ms;
	pthread_t thread;
};

static void *signaller_run(void *arg) {
	const struct signaller *signaller = arg;
	runner_sleep_ms(signaller->delay_ms);
	stile_fence_signal(signaller->fence);
	return NULL;
}

static void signaller_start(struct signaller *signaller, struct stile_fence *fence) {
	signaller->fence = fence;
	signaller->delay_ms = 5;
	ck_assert_int_eq(pthread_create(&signaller->thread, NULL, signaller_run, signaller), 0);
}

/* Wrong code: one fence waited for instead of all; more than 64 cut off. */
START_TEST(wait_any_sleeps_until_one_is_signalled) {
	static const size_t which[] = { 0, 3, 63, 64, MANY - 1 };
	static const size_t counts[] = { 1, 5, 64, 65, MANY };
	struct signaller signaller;
	signaller_start(&signaller, fences[which[_i]]);
	size_t index = UNTOUCHED;
	int64_t deadline = runner_clock_ns() + HANG_NS;
	ck_assert_int_eq(stile_fence_wait_any(fences, counts[_i], deadline, NULL, &index), 0);
	ck_assert_uint_eq(index, which[_i]);
	pthread_join(signaller.thread, NULL);
}
END_TEST

/* F-17: duplicates are fine. Wrong code: one node for each fence instead of each entry. */
START_TEST(same_fence_may_be_there_twice) {
	struct stile_fence *some[] = { fences[1], fences[0], fences[0], fences[1], fences[0] };
	size_t index = UNTOUCHED;
	ck_assert_int_eq(stile_fence_wait_any(some, 5, 1, NULL, &index), -ETIME);
	ck_assert_int_eq(stile_fence_wait_all(some, 5, 1, NULL), -ETIME);
	struct signaller signaller;
	signaller_start(&signaller, fences[0]);
	ck_assert_int_eq(stile_fence_wait_any(some, 5, INT64_MAX, NULL, &index), 0);
	ck_assert_uint_eq(index, 1);
	pthread_join(signaller.thread, NULL);
	stile_fence_signal(fences[1]);
	ck_assert_int_eq(stile_fence_wait_all(some, 5, INT64_MAX, NULL), 0);
}
END_TEST

/* F-17. Wrong code: no fence counted as success; "negative" as "long ago". */
START_TEST(senseless_waits_are_refused) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	size_t index = UNTOUCHED;
	stile_fence_signal(fences[0]);
	for (int i = 0; i < DEADLINES; i++) {
		int64_t deadline = deadline_of(i);
		ck_assert_int_eq(stile_fence_wait_any(fences, 0, deadline, NULL, &index), -EINVAL);
		ck_assert_int_eq(stile_fence_wait_any(NULL, 0, deadline, &cancel, NULL), -EINVAL);
		ck_assert_int_eq(stile_fence_wait_all(fences, 0, deadline, NULL), -EINVAL);
		ck_assert_int_eq(stile_fence_wait_all(NULL, 0, deadline, &cancel), -EINVAL);
	}
	static const int64_t negative[] = { -1, INT64_MIN };
	for (size_t i = 0; i < ARRAY_LENGTH(negative); i++) {
		ck_assert_int_eq(
			stile_fence_wait_any(fences, 2, negative[i], NULL, &index), -EINVAL);
		ck_assert_int_eq(stile_fence_wait_all(fences, 1, negative[i], &cancel), -EINVAL);
	}
	ck_assert_uint_eq(index, UNTOUCHED);
}
END_TEST

static size_t sweep_index;

static int attempt_any(void *user) {
	(void)user;
	return stile_fence_wait_any(fences, 65, INT64_MAX, NULL, &sweep_index);
}

static void after_any(void *user, int ret) {
	(void)user;
	ck_assert_uint_eq(sweep_index, ret == 0 ? 64 : UNTOUCHED);
}

/* Wrong code: no memory taken for "none is signalled", or a crash. */
START_TEST(wait_for_many_without_memory_is_enomem) {
	static const int errors[] = { -ENOMEM, 0 };
	sweep_index = UNTOUCHED;
	stile_fence_signal(fences[64]);
	ck_assert_uint_eq(failing_sweep(attempt_any, after_any, NULL, errors), 1);
}
END_TEST

/* Up to 64, and all polls. Wrong code: an allocation where none can be afforded. */
START_TEST(wait_for_few_needs_no_memory) {
	failing_begin(1);
	int few = stile_fence_wait_any(fences, 64, 1, NULL, NULL);
	int poll = stile_fence_wait_any(fences, MANY, 0, NULL, NULL);
	int all = stile_fence_wait_all(fences, MANY, 1, NULL);
	ck_assert_ptr_null(failing_end());
	ck_assert_int_eq(few, -ETIME);
	ck_assert_int_eq(poll, -ETIME);
	ck_assert_int_eq(all, -ETIME);
}
END_TEST

/* ---- All of several ------------------------------------------------------------------------ */

/* Wrong code: the next one set going only when the one before has ended, so that they take turns. */
START_TEST(wait_all_enables_all_first) {
	ck_assert_int_eq(stile_fence_wait_all(fences, 5, _i, NULL), -ETIME);
	ck_assert_int_eq(enabled_count(), 5);
	for (size_t i = 0; i < 4; i++) {
		stile_fence_signal(fences[i]);
		ck_assert_int_eq(stile_fence_wait_all(fences, 5, _i, NULL), -ETIME);
	}
	stile_fence_signal(fences[4]);
	ck_assert_int_eq(stile_fence_wait_all(fences, 5, _i, NULL), 0);
}
END_TEST

/* Wrong code: the result of the last wait handed on, whatever those before it gave. */
START_TEST(wait_all_says_that_the_first_is_pending) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	stile_fence_signal(fences[1]);
	ck_assert_int_eq(stile_fence_wait_all(fences, 2, _i, NULL), -ETIME);
	ck_assert_int_eq(stile_fence_wait_all(fences, 2, _i, &cancel), -ETIME);
}
END_TEST

/* Wrong code: the end of one taken for the end of all; success told as the error of a fence. */
START_TEST(wait_all_sleeps_until_the_last) {
	struct signaller signallers[5];
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	ck_assert_int_eq(stile_fence_set_error(fences[1], -EIO), 0);
	for (size_t i = 0; i < 5; i++) {
		signallers[i].delay_ms = 0;
		signaller_start(&signallers[i], fences[4 - i]);
	}
	ck_assert_int_eq(stile_fence_wait_all(fences, 5, INT64_MAX, _i == 0 ? NULL : &cancel), 0);
	for (size_t i = 0; i < 5; i++) {
		ck_assert(stile_fence_is_signaled(fences[i]));
		pthread_join(signallers[i].thread, NULL);
	}
}
END_TEST

/* ---- Cancelled ----------------------------------------------------------------------------- */

/* F-17. Wrong code: a wait cancelled although a fence is done, which only its implementer knows yet. */
START_TEST(what_is_done_goes_before_the_token) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	stile_cancel_raise(&cancel);
	items[1].done = true;
	size_t index = UNTOUCHED;
	ck_assert_int_eq(stile_fence_wait_any(fences, 3, deadline_of(_i), &cancel, &index), 0);
	ck_assert_uint_eq(index, 1);
}
END_TEST

/* Wrong code: memory that is not zero; a raise that does not last; errno spoilt in a handler. */
START_TEST(token_stays_raised) {
	struct stile_cancel cancel;
	memset(&cancel, 0xa5, sizeof(cancel));
	stile_cancel_init(&cancel);
	ck_assert(!stile_cancel_is_raised(&cancel));
	errno = EXDEV;
	stile_cancel_raise(&cancel);
	stile_cancel_raise(&cancel);
	ck_assert_int_eq(errno, EXDEV);
	ck_assert(stile_cancel_is_raised(&cancel));
	ck_assert_int_eq(stile_fence_wait_any(fences, 2, INT64_MAX, &cancel, NULL), -EINTR);
	ck_assert_int_eq(stile_fence_wait_any(fences, 2, INT64_MAX, &cancel, NULL), -EINTR);
	ck_assert(stile_cancel_is_raised(&cancel));
}
END_TEST

/* Wrong code: a cancelled wait that hides what has ended; the index written when cancelled. */
START_TEST(raised_before_only_counts_if_nothing_is_signalled) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	stile_cancel_raise(&cancel);
	int64_t deadline = deadline_of(_i);
	size_t index = UNTOUCHED;
	ck_assert_int_eq(stile_fence_wait_any(fences, 70, deadline, &cancel, &index), -EINTR);
	ck_assert_int_eq(stile_fence_wait_any(fences, 3, deadline, &cancel, &index), -EINTR);
	ck_assert_uint_eq(index, UNTOUCHED);
	ck_assert_int_eq(stile_fence_wait_all(fences, 3, deadline, &cancel), -EINTR);
	stile_fence_signal(fences[1]);
	ck_assert_int_eq(stile_fence_wait_any(fences, 3, deadline, &cancel, &index), 0);
	ck_assert_uint_eq(index, 1);
	ck_assert_int_eq(stile_fence_wait_all(fences, 3, deadline, &cancel), -EINTR);
	ck_assert_int_eq(stile_fence_wait_all(fences + 1, 1, deadline, &cancel), 0);
}
END_TEST

struct sleeper {
	struct stile_cancel *cancel;
	bool all;
	size_t first, count;
	atomic_int *asleep; /* about to */
	int ret;
	size_t index;
	pthread_t thread;
};

static void *sleeper_run(void *arg) {
	struct sleeper *sleeper = arg;
	struct stile_fence *const *mine = fences + sleeper->first;
	sleeper->index = UNTOUCHED;
	atomic_fetch_add(sleeper->asleep, 1);
	int64_t deadline = runner_clock_ns() + HANG_NS;
	sleeper->ret = sleeper->all
		? stile_fence_wait_all(mine, sleeper->count, deadline, sleeper->cancel)
		: stile_fence_wait_any(
			  mine, sleeper->count, deadline, sleeper->cancel, &sleeper->index);
	return NULL;
}

enum { SLEEPERS = 8 };

static void sleepers_start(
	struct sleeper *sleepers, struct stile_cancel *cancel, atomic_int *asleep) {
	*asleep = 0;
	for (size_t i = 0; i < SLEEPERS; i++) {
		sleepers[i] = (struct sleeper){
			.cancel = cancel,
			.all = i % 2 == 0,
			.first = i,
			.count = i == 1 ? 100 : 3,
			.asleep = asleep,
		};
		ck_assert_int_eq(
			pthread_create(&sleepers[i].thread, NULL, sleeper_run, &sleepers[i]), 0);
	}
	while (*asleep < SLEEPERS) {
		runner_sleep_ms(1);
	}
}

/* Wrong code: one of the waits woken; those that are just about to sleep missed. */
START_TEST(raise_wakes_all_waits_of_the_token) {
	for (unsigned round = 0; round < 20; round++) {
		struct stile_cancel cancel;
		stile_cancel_init(&cancel);
		struct sleeper sleepers[SLEEPERS];
		atomic_int asleep;
		sleepers_start(sleepers, &cancel, &asleep);
		runner_sleep_ms(round % 2 == 0 ? 2 : 0);
		stile_cancel_raise(&cancel);
		for (size_t i = 0; i < SLEEPERS; i++) {
			pthread_join(sleepers[i].thread, NULL);
			ck_assert_int_eq(sleepers[i].ret, -EINTR);
			ck_assert_uint_eq(sleepers[i].index, UNTOUCHED);
		}
	}
}
END_TEST

/* Wrong code: a fence of one wait ends another one that shares the token, or is lost to its own. */
START_TEST(waits_with_one_token_are_told_apart) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	struct sleeper sleepers[SLEEPERS];
	atomic_int asleep;
	sleepers_start(sleepers, &cancel, &asleep);
	runner_sleep_ms(2);
	/* Sleeper 5 waits for any of 5 to 7, 7 for any of 7 to 9; 4 and 6 for all of theirs. */
	stile_fence_signal(fences[7]);
	pthread_join(sleepers[5].thread, NULL);
	pthread_join(sleepers[7].thread, NULL);
	ck_assert_int_eq(sleepers[5].ret, 0);
	ck_assert_uint_eq(sleepers[5].index, 2);
	ck_assert_int_eq(sleepers[7].ret, 0);
	ck_assert_uint_eq(sleepers[7].index, 0);
	stile_cancel_raise(&cancel);
	for (size_t i = 0; i < SLEEPERS; i++) {
		if (i != 5 && i != 7) {
			pthread_join(sleepers[i].thread, NULL);
		}
		/* Sleeper 1 waits for any of 1 to 100. */
		ck_assert_int_eq(sleepers[i].ret, i == 1 || i == 5 || i == 7 ? 0 : -EINTR);
	}
}
END_TEST

static struct stile_cancel signal_cancel;
static atomic_int signals;

static void raise_handler(int number) {
	(void)number;
	stile_cancel_raise(&signal_cancel);
	atomic_fetch_add(&signals, 1);
}

static void idle_handler(int number) {
	(void)number;
	atomic_fetch_add(&signals, 1);
}

static void handle(void (*handler)(int number), int flags, struct sigaction *before) {
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
	sigemptyset(&action.sa_mask);
	ck_assert_int_eq(sigaction(SIGUSR1, &action, before), 0);
	signals = 0;
}

/* Wrong code: a lock in raise; a system call that is restarted and sleeps on. */
START_TEST(raise_from_a_signal_handler_ends_the_wait) {
	struct sigaction before;
	handle(raise_handler, _i == 0 ? 0 : SA_RESTART, &before);
	for (unsigned round = 0; round < 50; round++) {
		stile_cancel_init(&signal_cancel);
		atomic_int asleep = 0;
		struct sleeper sleeper = { .cancel = &signal_cancel,
			.count = 4,
			.asleep = &asleep,
			.all = round % 4 >= 2 };
		ck_assert_int_eq(pthread_create(&sleeper.thread, NULL, sleeper_run, &sleeper), 0);
		while (asleep == 0) {
		}
		runner_sleep_ms(round % 2);
		ck_assert_int_eq(pthread_kill(sleeper.thread, SIGUSR1), 0);
		pthread_join(sleeper.thread, NULL);
		ck_assert_int_eq(sleeper.ret, -EINTR);
	}
	ck_assert_int_eq(signals, 50);
	sigaction(SIGUSR1, &before, NULL);
}
END_TEST

/* Wrong code: -EINTR from the system call handed on, though nobody cancelled. */
START_TEST(signal_alone_does_not_end_a_wait) {
	struct sigaction before;
	handle(idle_handler, 0, &before);
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	atomic_int asleep = 0;
	struct sleeper sleeper = {
		.cancel = _i == 0 ? NULL : &cancel, .count = 4, .asleep = &asleep
	};
	ck_assert_int_eq(pthread_create(&sleeper.thread, NULL, sleeper_run, &sleeper), 0);
	while (asleep == 0) {
	}
	for (int i = 1; i <= 5; i++) {
		runner_sleep_ms(2);
		ck_assert_int_eq(pthread_kill(sleeper.thread, SIGUSR1), 0);
		while (signals < i) {
			runner_sleep_ms(1);
		}
	}
	stile_fence_signal(fences[3]);
	pthread_join(sleeper.thread, NULL);
	ck_assert_int_eq(sleeper.ret, 0);
	ck_assert_uint_eq(sleeper.index, 3);
	sigaction(SIGUSR1, &before, NULL);
}
END_TEST

/* ---- Many threads -------------------------------------------------------------------------- */

enum { RACE_FENCES = 4, RACE_MS = 1000 };

static void heap_release(struct stile_fence *fence) {
	free(CONTAINER_OF(fence, struct item, fence));
}

static const struct stile_fence_ops heap_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = item_name,
	.get_timeline_name = item_name,
	.release = heap_release,
};

struct race {
	pthread_barrier_t start, end;
	struct stile_fence *fences[RACE_FENCES];
	struct stile_cancel *cancel;
	size_t chosen;
	uint64_t spin;
	atomic_bool stop;
};

static void *race_signal(void *arg) {
	struct race *race = arg;
	for (;;) {
		pthread_barrier_wait(&race->start);
		if (race->stop) {
			return NULL;
		}
		for (uint64_t spin = race->spin; spin > 0; spin--) {
			atomic_signal_fence(memory_order_seq_cst);
		}
		struct stile_fence *fence = race->fences[race->chosen];
		if (fence == NULL) {
			stile_cancel_raise(race->cancel);
		} else {
			stile_fence_signal(fence);
			stile_fence_unref(fence);
		}
		pthread_barrier_wait(&race->end);
	}
}

/* One round; what went wrong. Everything that the wait used goes as soon as it is over. */
static const char *race_round(struct race *race, uint64_t *random) {
	struct stile_fence *mine[RACE_FENCES];
	for (size_t i = 0; i < RACE_FENCES; i++) {
		struct item *item = calloc(1, sizeof(*item));
		if (item == NULL || stile_fence_init(&item->fence, &heap_ops, 1, i) != 0) {
			return "no fence";
		}
		mine[i] = &item->fence;
		race->fences[i] = NULL;
	}
	struct stile_cancel *cancel = calloc(1, sizeof(*cancel));
	bool cancelled = runner_random(random) % 4 == 0;
	race->cancel = cancel;
	race->chosen = runner_random(random) % RACE_FENCES;
	race->spin = runner_random(random) % 3000;
	if (!cancelled) {
		race->fences[race->chosen] = stile_fence_ref(mine[race->chosen]);
	}
	pthread_barrier_wait(&race->start);
	size_t index = UNTOUCHED;
	int ret = stile_fence_wait_any(
		mine, RACE_FENCES, runner_clock_ns() + HANG_NS, cancel, &index);
	for (size_t i = 0; i < RACE_FENCES; i++) {
		stile_fence_unref(mine[i]);
	}
	if (!cancelled) {
		free(cancel);
		cancel = NULL;
	}
	/* Who raises a token needs it until that is done. */
	pthread_barrier_wait(&race->end);
	free(cancel);
	if (ret != (cancelled ? -EINTR : 0)) {
		return "wrong result";
	}
	return index == (cancelled ? UNTOUCHED : race->chosen) ? NULL : "wrong index";
}

/*
 * Wrong code: a wake-up lost between the look at the fences and the sleep; a callback that touches
 * the waiter's stack or the token after the wait has returned (sanitizers).
 */
START_TEST(waits_and_signals_that_meet_lose_nothing) {
	uint64_t random = runner_seed();
	struct race race = { 0 };
	pthread_barrier_init(&race.start, NULL, 2);
	pthread_barrier_init(&race.end, NULL, 2);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, race_signal, &race), 0);
	const char *wrong = NULL;
	int64_t until = runner_clock_ns() + RACE_MS * MS;
	for (int round = 0; wrong == NULL && (round < 20 || runner_clock_ns() < until); round++) {
		wrong = race_round(&race, &random);
	}
	race.stop = true;
	pthread_barrier_wait(&race.start);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&race.start);
	pthread_barrier_destroy(&race.end);
	ck_assert_msg(wrong == NULL, "%s", wrong == NULL ? "" : wrong);
}
END_TEST

static TCase *items_tcase_create(const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, items_init, items_finish);
	return tcase;
}

static Suite *suite(void) {
	Suite *s = suite_create("wait");
	TCase *any = items_tcase_create("any");
	tcase_add_loop_test(any, wait_any_gives_the_lowest_signalled, 0, DEADLINES);
	tcase_add_test(any, polling_any_asks_and_enables_nothing);
	tcase_add_loop_test(any, wait_any_enables_all_and_keeps_its_deadline, 0, 2);
	tcase_add_test(any, wait_any_stops_at_the_first_signalled);
	tcase_add_loop_test(any, wait_any_sleeps_until_one_is_signalled, 0, 5);
	tcase_add_test(any, same_fence_may_be_there_twice);
	tcase_add_test(any, senseless_waits_are_refused);
	tcase_add_test(any, wait_for_many_without_memory_is_enomem);
	tcase_add_test(any, wait_for_few_needs_no_memory);
	suite_add_tcase(s, any);

	TCase *all = items_tcase_create("all");
	tcase_add_loop_test(all, wait_all_enables_all_first, 0, 2);
	tcase_add_loop_test(all, wait_all_says_that_the_first_is_pending, 0, 2);
	tcase_add_loop_test(all, wait_all_sleeps_until_the_last, 0, 2);
	suite_add_tcase(s, all);

	TCase *cancelled = items_tcase_create("cancelled");
	tcase_add_test(cancelled, token_stays_raised);
	tcase_add_loop_test(cancelled, what_is_done_goes_before_the_token, 0, DEADLINES);
	tcase_add_loop_test(
		cancelled, raised_before_only_counts_if_nothing_is_signalled, 0, DEADLINES);
	tcase_add_test(cancelled, raise_wakes_all_waits_of_the_token);
	tcase_add_test(cancelled, waits_with_one_token_are_told_apart);
	tcase_add_loop_test(cancelled, raise_from_a_signal_handler_ends_the_wait, 0, 2);
	tcase_add_loop_test(cancelled, signal_alone_does_not_end_a_wait, 0, 2);
	suite_add_tcase(s, cancelled);

	TCase *threads = items_tcase_create("threads");
	tcase_add_test(threads, waits_and_signals_that_meet_lose_nothing);
	suite_add_tcase(s, threads);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
