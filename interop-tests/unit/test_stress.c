/* SPDX-License-Identifier: MIT */
/*
 * Everything at once, by chance: threads that signal, replace, look up, contain, wait for, merge and
 * drop the same few fences. Nothing is asserted on the way but that it goes on; what it is for is the
 * sanitizers, the lock-order checker, and the count at the end: each fence was released, once.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <stile/array.h>
#include <stile/chain.h>
#include <stile/fence.h>
#include <stile/merge.h>
#include <stile/wait.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum { SLOTS = 48, MANY_THREADS = 16, RUN_MS = 1500 };

static struct stile_fence *slots[SLOTS];
static atomic_bool stop;
static atomic_ulong steps;

struct dice {
	uint64_t state;
};

static size_t dice_roll(struct dice *dice, size_t below) {
	return (size_t)(runner_random(&dice->state) % below);
}

static struct stile_fence *random_fence(struct dice *dice) {
	return stile_fence_ref_slot(&slots[dice_roll(dice, SLOTS)]);
}

/* Whoever takes a fence out of its slot owes its end. */
static void owe(struct stile_fence *fence) {
	if (fence != NULL && !stile_fence_is_chain(fence) && !stile_fence_is_array(fence)) {
		stile_fence_signal(fence);
	}
	stile_fence_unref(fence);
}

static void put(struct dice *dice, struct stile_fence *fence) {
	owe(stile_fence_exchange_slot(&slots[dice_roll(dice, SLOTS)], fence));
}

static void do_replace(struct dice *dice) {
	put(dice, plain_fence_create());
}

static void do_signal(struct dice *dice) {
	owe(random_fence(dice));
}

static void do_wait(struct dice *dice) {
	struct stile_fence *fence = random_fence(dice);
	if (fence != NULL) {
		/* Now, or a moment that is over already. */
		int ret = stile_fence_wait(fence, (int64_t)dice_roll(dice, 2));
		(void)ret;
		stile_fence_unref(fence);
	}
}

static size_t gather(struct dice *dice, struct stile_fence **fences, size_t room) {
	size_t count = 0;
	for (size_t i = 0; i < room; i++) {
		fences[count] = random_fence(dice);
		count += fences[count] != NULL;
	}
	return count;
}

static void do_wait_any(struct dice *dice) {
	struct stile_fence *fences[5];
	size_t count = gather(dice, fences, ARRAY_LENGTH(fences));
	if (count > 0) {
		int ret = stile_fence_wait_any(fences, count, 1, NULL, NULL);
		(void)ret;
	}
	while (count > 0) {
		stile_fence_unref(fences[--count]);
	}
}

static void do_merge(struct dice *dice) {
	struct stile_fence *fences[4], *merged;
	size_t count = gather(dice, fences, ARRAY_LENGTH(fences));
	int ret = stile_fence_merge(fences, count, &merged);
	runner_require(ret == 0, "merge gives %d", ret);
	if (dice_roll(dice, 2) == 0) {
		stile_fence_enable_signaling(merged);
	}
	/* It may be one of those that went in. */
	if (stile_fence_is_array(merged)) {
		put(dice, merged);
	} else {
		stile_fence_unref(merged);
	}
	while (count > 0) {
		stile_fence_unref(fences[--count]);
	}
}

static void do_chain(struct dice *dice) {
	struct stile_chain *chain;
	int ret = stile_chain_alloc(&chain);
	runner_require(ret == 0, "no chain: %d", ret);
	struct stile_fence *contained = plain_fence_create();
	put(dice, stile_fence_ref(contained));
	struct stile_fence *head =
		stile_chain_init(chain, random_fence(dice), contained, dice_roll(dice, 100) + 1);
	if (dice_roll(dice, 2) == 0) {
		stile_fence_enable_signaling(head);
	}
	put(dice, head);
}

static void do_look(struct dice *dice) {
	struct stile_fence *fence = random_fence(dice);
	struct stile_unwrap cursor;
	struct stile_fence *leaf = stile_unwrap_first(fence, &cursor);
	for (size_t left = dice_roll(dice, 8); leaf != NULL && left > 0; left--) {
		char text[128];
		stile_fence_describe(leaf, text, sizeof(text));
		leaf = stile_unwrap_next(&cursor);
	}
	stile_unwrap_end(&cursor);
	if (fence != NULL) {
		stile_fence_set_deadline(fence, 1);
		stile_fence_is_signaled(fence);
	}
	stile_fence_unref(fence);
}

static void *play(void *arg) {
	static void (*const moves[])(struct dice * dice) = { do_replace, do_signal, do_wait,
		do_wait_any, do_merge, do_chain, do_look };
	struct dice *dice = arg;
	while (!atomic_load(&stop)) {
		moves[dice_roll(dice, ARRAY_LENGTH(moves))](dice);
		atomic_fetch_add(&steps, 1);
	}
	return NULL;
}

/*
 * Wrong code: a fence released under somebody's eyes, twice or never; a container's end lost between
 * a callback and the enabling; locks in two orders.
 */
START_TEST(chance_breaks_nothing) {
	static const size_t counts[] = { 2, MANY_THREADS };
	size_t count = counts[_i];
	uint64_t seed = runner_seed();
	struct dice dice[MANY_THREADS];
	pthread_t threads[MANY_THREADS];
	atomic_store(&stop, false);
	atomic_store(&steps, 0);
	for (size_t i = 0; i < count; i++) {
		dice[i].state = runner_random(&seed);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, play, &dice[i]), 0);
	}
	runner_sleep_ms(RUN_MS);
	atomic_store(&stop, true);
	for (size_t i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
	}
	for (size_t i = 0; i < SLOTS; i++) {
		owe(stile_fence_exchange_slot(&slots[i], NULL));
	}
	ck_assert_uint_gt(atomic_load(&steps), 1000);
	ck_assert_int_eq(plain_fence_count(), 0);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("stress");
	TCase *tcase = ledger_tcase_create("everything at once");
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, chance_breaks_nothing, 0, 2);
	suite_add_tcase(s, tcase);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
