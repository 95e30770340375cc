/* SPDX-License-Identifier: MIT */
/*
 * Wait/wound mutexes: KERNEL_CONTRACT M-1 to M-16; misuse is in test_ww_misuse.c. Most tests run
 * once with each algorithm. Whoever may have to wait is an actor, a thread that does one step after
 * the other as it is told, so that who holds and who waits is known at every moment.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <stile/wait.h>
#include <stile/ww_mutex.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

/* Long enough that a failure means a hang. */
enum { HANG_S = 30 };

enum { ALGORITHMS = 2, MUTEXES = 6, ACTORS = 6 };

/* Actors by what they are for; contexts are begun in this order. */
enum { OLD, MID, YOUNG, PLAIN, OTHER };

static struct stile_ww_class classes[ALGORITHMS];
static struct stile_ww_mutex mutexes[MUTEXES];

/* Before all else in a test: which algorithm it is about. */
static void use(int algorithm) {
	/* Memory that is not zero, as a stack is. */
	memset(mutexes, 0xa5, sizeof(mutexes));
	for (size_t i = 0; i < MUTEXES; i++) {
		stile_ww_mutex_init(&mutexes[i], &classes[algorithm]);
	}
}

static bool uses_wounds(void) {
	return mutexes[0].ww_class->algorithm == STILE_WW_WOUND_WAIT;
}

static void classes_init(void) {
	for (uint32_t i = 0; i < ALGORITHMS; i++) {
		classes[i] = (struct stile_ww_class)STILE_WW_CLASS(
			i == STILE_WW_WAIT_DIE ? "wait-die" : "wound-wait", i);
	}
	use(STILE_WW_WAIT_DIE);
}

/* After each test. Wrong code: somebody left in a queue, a flag that stays. */
static void mutexes_finish(void) {
	for (size_t i = 0; i < MUTEXES; i++) {
		ck_assert_msg(mutexes[i].owner == 0, "mutex %zu: owner %#zx", i,
			(size_t)mutexes[i].owner);
		ck_assert_msg(mutexes[i].first == NULL, "mutex %zu has a queue", i);
		ck_assert_msg(mutexes[i].last == NULL, "mutex %zu has the end of a queue", i);
		ck_assert_msg(mutexes[i].lock == 0, "mutex %zu: its lock is held", i);
	}
	stile_ww_inject_deadlocks(false);
}

/* ---- Actors --------------------------------------------------------------------------------- */

struct actor {
	pthread_t thread;
	sem_t told, ready;
	void (*step)(struct actor *actor); /* NULL: that was all */
	struct stile_ww_mutex *mutex;
	int ret;
	struct stile_ww_acquire acquire;
	struct stile_cancel own;
	struct stile_cancel *cancel; /* its own, if no test says otherwise */
};

static struct actor actors[ACTORS];

static void step_begin(struct actor *actor) {
	memset(&actor->acquire, 0xa5, sizeof(actor->acquire));
	stile_ww_acquire_init(&actor->acquire, actor->mutex->ww_class);
}

static void step_lock(struct actor *actor) {
	actor->ret = stile_ww_mutex_lock(actor->mutex, &actor->acquire, actor->cancel);
}

static void step_lock_slow(struct actor *actor) {
	actor->ret = stile_ww_mutex_lock_slow(actor->mutex, &actor->acquire, actor->cancel);
}

static void step_lock_plain(struct actor *actor) {
	actor->ret = stile_ww_mutex_lock(actor->mutex, NULL, actor->cancel);
}

static void step_trylock(struct actor *actor) {
	actor->ret = stile_ww_mutex_trylock(actor->mutex, &actor->acquire);
}

static void step_trylock_plain(struct actor *actor) {
	actor->ret = stile_ww_mutex_trylock(actor->mutex, NULL);
}

static void step_unlock(struct actor *actor) {
	stile_ww_mutex_unlock(actor->mutex);
}

static void step_unlock_all(struct actor *actor) {
	for (size_t i = 0; i < MUTEXES; i++) {
		if (stile_ww_mutex_get_acquire(&mutexes[i]) == &actor->acquire) {
			stile_ww_mutex_unlock(&mutexes[i]);
		}
	}
}

static void step_skip(struct actor *actor) {
	stile_ww_acquire_skip(&actor->acquire);
}

static void step_fini(struct actor *actor) {
	stile_ww_acquire_fini(&actor->acquire);
}

static void *actor_run(void *arg) {
	struct actor *actor = arg;
	for (;;) {
		while (sem_wait(&actor->told) < 0) {
		}
		if (actor->step == NULL) {
			return NULL;
		}
		actor->step(actor);
		sem_post(&actor->ready);
	}
}

static void actors_start(void) {
	for (size_t i = 0; i < ACTORS; i++) {
		struct actor *actor = &actors[i];
		sem_init(&actor->told, 0, 0);
		sem_init(&actor->ready, 0, 0);
		stile_cancel_init(&actor->own);
		actor->cancel = &actor->own;
		ck_assert_int_eq(pthread_create(&actor->thread, NULL, actor_run, actor), 0);
	}
}

static void actors_end(void) {
	for (size_t i = 0; i < ACTORS; i++) {
		/* After a failure it may wait still. */
		stile_cancel_raise(actors[i].cancel);
		actors[i].step = NULL;
		sem_post(&actors[i].told);
		pthread_join(actors[i].thread, NULL);
		sem_destroy(&actors[i].told);
		sem_destroy(&actors[i].ready);
	}
}

/* Begin a step. */
static void tell(size_t who, void (*step)(struct actor *actor), size_t mutex) {
	actors[who].step = step;
	actors[who].mutex = &mutexes[mutex];
	actors[who].ret = 0;
	sem_post(&actors[who].told);
}

/* What came of it. */
static int outcome(size_t who) {
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += HANG_S;
	int ret;
	do {
		ret = sem_timedwait(&actors[who].ready, &until);
	} while (ret < 0 && errno == EINTR);
	ck_assert_msg(ret == 0, "actor %zu hangs", who);
	return actors[who].ret;
}

static int act(size_t who, void (*step)(struct actor *actor), size_t mutex) {
	tell(who, step, mutex);
	return outcome(who);
}

static int lock(size_t who, size_t mutex) {
	return act(who, step_lock, mutex);
}

static void unlock(size_t who, size_t mutex) {
	act(who, step_unlock, mutex);
}

static void begin(size_t who) {
	act(who, step_begin, 0);
}

static void begin_three(void) {
	begin(OLD);
	begin(MID);
	begin(YOUNG);
}

/* Unlocks all, and ends its context. */
static void leave(size_t who) {
	act(who, step_unlock_all, 0);
	act(who, step_fini, 0);
}

static bool is_ready(size_t who) {
	int ready;
	sem_getvalue(&actors[who].ready, &ready);
	return ready > 0;
}

/* How many threads sleep on a futex: so many can be moved from it to itself. */
static long sleepers(uint32_t *word) {
	return syscall(SYS_futex, word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)(uintptr_t)ACTORS,
		word, __atomic_load_n(word, __ATOMIC_RELAXED));
}

/* Wait until so many sleep on a token: they are in a queue then. */
static void wait_for_sleepers(struct stile_cancel *cancel, long count, size_t who) {
	int64_t until = runner_clock_ns() + HANG_S * INT64_C(1000000000);
	while (sleepers(&cancel->word) != count) {
		ck_assert_msg(!is_ready(who), "actor %zu does not wait: %d", who, actors[who].ret);
		ck_assert_msg(runner_clock_ns() < until, "actor %zu does not come to wait", who);
		sched_yield();
	}
}

static void sleeps(size_t who) {
	wait_for_sleepers(actors[who].cancel, 1, who);
}

/* It has to wait. */
static void lock_sleeps(size_t who, size_t mutex) {
	tell(who, step_lock, mutex);
	sleeps(who);
}

static void lock_plain_sleeps(size_t who, size_t mutex) {
	tell(who, step_lock_plain, mutex);
	sleeps(who);
}

/*
 * OLD has mutex 0, and YOUNG gets -EDEADLK for it, having mutex 1; to be told of that, OLD has to
 * wait for mutex 1, if the algorithm is about wounds.
 */
static void collide(void) {
	ck_assert_int_eq(lock(OLD, 0), 0);
	ck_assert_int_eq(lock(YOUNG, 1), 0);
	if (uses_wounds()) {
		lock_sleeps(OLD, 1);
	}
	ck_assert_int_eq(lock(YOUNG, 0), -EDEADLK);
}

static void provoke(void) {
	begin(OLD);
	begin(YOUNG);
	collide();
}

/* YOUNG gives up mutex 1. */
static void give_way(void) {
	unlock(YOUNG, 1);
	if (uses_wounds()) {
		ck_assert_int_eq(outcome(OLD), 0);
		unlock(OLD, 1);
	}
}

/* ---- Alone ---------------------------------------------------------------------------------- */

/*
 * M-2. Wrong code: a stamp for each class of each thread; memory taken for zero; a context that
 * counts.
 */
START_TEST(contexts_of_a_class_are_numbered) {
	use(_i);
	for (uint64_t stamp = 1; stamp < 4; stamp++) {
		struct stile_ww_acquire acquire;
		memset(&acquire, 0xa5, sizeof(acquire));
		stile_ww_acquire_init(&acquire, &classes[_i]);
		ck_assert_uint_eq(acquire.stamp, stamp);
		ck_assert_uint_eq(acquire.acquired, 0);
		ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], &acquire, NULL), 0);
		stile_ww_mutex_unlock(&mutexes[0]);
		stile_ww_acquire_done(&acquire);
		stile_ww_acquire_fini(&acquire);
	}
	ck_assert_uint_eq(classes[1 - _i].stamp, 0);
}
END_TEST

/*
 * M-5, M-12. Wrong code: the context not told, kept after the unlock, or freed of one lock too
 * many.
 */
START_TEST(locked_mutex_knows_its_context) {
	use(_i);
	struct stile_ww_acquire acquire;
	stile_ww_acquire_init(&acquire, &classes[_i]);
	for (size_t i = 0; i < 3; i++) {
		ck_assert(!stile_ww_mutex_is_locked(&mutexes[i]));
		ck_assert_ptr_null(stile_ww_mutex_get_acquire(&mutexes[i]));
		ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[i], &acquire, NULL), 0);
		ck_assert(stile_ww_mutex_is_locked(&mutexes[i]));
		ck_assert_ptr_eq(stile_ww_mutex_get_acquire(&mutexes[i]), &acquire);
		ck_assert_uint_eq(acquire.acquired, i + 1);
	}
	static const size_t order[] = { 1, 0, 2 };
	for (size_t i = 0; i < 3; i++) {
		stile_ww_mutex_unlock(&mutexes[order[i]]);
		ck_assert(!stile_ww_mutex_is_locked(&mutexes[order[i]]));
		ck_assert_ptr_null(stile_ww_mutex_get_acquire(&mutexes[order[i]]));
		ck_assert_uint_eq(acquire.acquired, 2 - i);
	}
	stile_ww_acquire_fini(&acquire);
}
END_TEST

/* M-5. Wrong code: a thread told as a context. */
START_TEST(mutex_locked_without_context_has_none) {
	use(_i);
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	for (int i = 0; i < 4; i++) {
		/* What need not wait is not cancelled. */
		ck_assert_int_eq(i < 2 ? stile_ww_mutex_lock(&mutexes[0], NULL, i ? &cancel : NULL)
				       : stile_ww_mutex_trylock(&mutexes[0], NULL),
			0);
		stile_cancel_raise(&cancel);
		ck_assert(stile_ww_mutex_is_locked(&mutexes[0]));
		ck_assert_ptr_null(stile_ww_mutex_get_acquire(&mutexes[0]));
		stile_ww_mutex_unlock(&mutexes[0]);
		ck_assert(!stile_ww_mutex_is_locked(&mutexes[0]));
	}
}
END_TEST

/*
 * M-5: before all else. Wrong code: counted again, so that one unlock is not enough; looked at
 * after the token, after what else a context may be refused for, or after it may be told to back
 * off.
 */
START_TEST(second_lock_with_the_same_context_is_ealready) {
	use(_i);
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	struct stile_ww_acquire acquire;
	stile_ww_acquire_init(&acquire, &classes[_i]);
	ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], &acquire, NULL), 0);
	ck_assert_int_eq(stile_ww_mutex_trylock(&mutexes[1], &acquire), 0);
	stile_cancel_raise(&cancel);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], &acquire, NULL), -EALREADY);
		ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[1], &acquire, &cancel), -EALREADY);
	}
	ck_assert_uint_eq(acquire.acquired, 2);
	stile_ww_acquire_done(&acquire);
	ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], &acquire, NULL), -EALREADY);
	stile_ww_mutex_unlock(&mutexes[0]);
	stile_ww_mutex_unlock(&mutexes[1]);
	ck_assert(!stile_ww_mutex_is_locked(&mutexes[0]));
	ck_assert_uint_eq(acquire.acquired, 0);
	stile_ww_acquire_fini(&acquire);
}
END_TEST

/*
 * M-11. Wrong code: -EALREADY or success for what oneself has; a trylock that does not join the
 * context.
 */
START_TEST(trylock_takes_what_is_free_only) {
	use(_i);
	struct stile_ww_acquire acquire;
	stile_ww_acquire_init(&acquire, &classes[_i]);
	ck_assert_int_eq(stile_ww_mutex_trylock(&mutexes[0], &acquire), 0);
	ck_assert_ptr_eq(stile_ww_mutex_get_acquire(&mutexes[0]), &acquire);
	ck_assert_uint_eq(acquire.acquired, 1);
	ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[1], &acquire, NULL), 0);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(stile_ww_mutex_trylock(&mutexes[i], &acquire), -EBUSY);
		ck_assert_int_eq(stile_ww_mutex_trylock(&mutexes[i], NULL), -EBUSY);
	}
	ck_assert_uint_eq(acquire.acquired, 2);
	ck_assert_int_eq(stile_ww_mutex_trylock(&mutexes[2], NULL), 0);
	ck_assert_int_eq(stile_ww_mutex_trylock(&mutexes[2], NULL), -EBUSY);
	ck_assert_int_eq(stile_ww_mutex_trylock(&mutexes[2], &acquire), -EBUSY);
	for (size_t i = 0; i < 3; i++) {
		stile_ww_mutex_unlock(&mutexes[i]);
	}
	ck_assert_uint_eq(acquire.acquired, 0);
	stile_ww_acquire_fini(&acquire);
}
END_TEST

/* M-14: one inside the other, by the order of locks. Wrong code: one context a thread. */
START_TEST(contexts_of_two_classes_nest) {
	struct stile_ww_mutex other;
	stile_ww_mutex_init(&other, &classes[STILE_WW_WOUND_WAIT]);
	for (int i = 0; i < 2; i++) {
		struct stile_ww_acquire outer, inner;
		stile_ww_acquire_init(&outer, &classes[STILE_WW_WAIT_DIE]);
		ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], &outer, NULL), 0);
		stile_ww_acquire_init(&inner, &classes[STILE_WW_WOUND_WAIT]);
		ck_assert_int_eq(stile_ww_mutex_lock(&other, &inner, NULL), 0);
		ck_assert_uint_eq(inner.acquired, 1);
		ck_assert_uint_eq(outer.acquired, 1);
		stile_ww_mutex_unlock(&other);
		stile_ww_acquire_fini(&inner);
		stile_ww_mutex_unlock(&mutexes[0]);
		stile_ww_acquire_fini(&outer);
	}
}
END_TEST

/* ---- Injected dead-locks, M-15 --------------------------------------------------------------- */

/* The next context of the class has this stamp. */
static void begin_with_stamp(struct stile_ww_acquire *acquire, uint64_t stamp) {
	mutexes[0].ww_class->stamp = stamp - 1;
	stile_ww_acquire_init(acquire, mutexes[0].ww_class);
	ck_assert_uint_eq(acquire->stamp, stamp);
}

/*
 * With mutex 0 locked: how often can mutex 1 be had before the next -EDEADLK? Deals with that one.
 */
static unsigned locks_before_injection(struct stile_ww_acquire *acquire) {
	unsigned count = 0;
	int ret;
	while ((ret = stile_ww_mutex_lock(&mutexes[1], acquire, NULL)) == 0 && count < 1000) {
		/* Nothing that could be counted too: it is there already, or it is the only one. */
		ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[1], acquire, NULL), -EALREADY);
		stile_ww_mutex_unlock(&mutexes[1]);
		stile_ww_mutex_unlock(&mutexes[0]);
		ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], acquire, NULL), 0);
		count++;
	}
	ck_assert_int_eq(ret, -EDEADLK);
	ck_assert(!stile_ww_mutex_is_locked(&mutexes[1]));
	ck_assert_uint_eq(acquire->acquired, 1);
	stile_ww_mutex_unlock(&mutexes[0]);
	stile_ww_acquire_skip(acquire);
	ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], acquire, NULL), 0);
	return count;
}

/* Wrong code: another beginning, another growth; locks counted that make it one, or that it had. */
START_TEST(injection_counts_down_from_the_stamp_then_grows) {
	static const unsigned intervals[] = { 3, 10, 35, 122 };
	use(_i % ALGORITHMS);
	unsigned start = (unsigned)_i / ALGORITHMS;
	stile_ww_inject_deadlocks(true);
	struct stile_ww_acquire acquire;
	begin_with_stamp(&acquire, 0x1230 + start);
	ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], &acquire, NULL), 0);
	ck_assert_uint_eq(locks_before_injection(&acquire), start);
	for (size_t i = 0; i < ARRAY_LENGTH(intervals); i++) {
		ck_assert_uint_eq(locks_before_injection(&acquire), intervals[i]);
	}
	stile_ww_mutex_unlock(&mutexes[0]);
	stile_ww_acquire_fini(&acquire);
}
END_TEST

/*
 * M-10. Wrong code: the mutex kept; not known as the one to be locked the slow way; slow ones
 * injected.
 */
START_TEST(injected_deadlock_is_dealt_with_as_a_real_one) {
	use(_i);
	stile_ww_inject_deadlocks(true);
	struct stile_ww_acquire acquire;
	begin_with_stamp(&acquire, 16);
	ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], &acquire, NULL), 0);
	ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[1], &acquire, NULL), -EDEADLK);
	ck_assert(!stile_ww_mutex_is_locked(&mutexes[1]));
	ck_assert_ptr_eq(stile_ww_mutex_get_acquire(&mutexes[0]), &acquire);
	stile_ww_mutex_unlock(&mutexes[0]);
	ck_assert_int_eq(stile_ww_mutex_lock_slow(&mutexes[1], &acquire, NULL), 0);
	ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], &acquire, NULL), 0);
	ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[1], &acquire, NULL), -EALREADY);
	ck_assert_uint_eq(acquire.acquired, 2);
	stile_ww_mutex_unlock(&mutexes[0]);
	stile_ww_mutex_unlock(&mutexes[1]);
	stile_ww_acquire_fini(&acquire);
}
END_TEST

/*
 * Wrong code: the switch asked at each lock, or not at all; trylock injected, which knows no
 * -EDEADLK.
 */
START_TEST(injection_is_for_contexts_begun_while_it_is_on) {
	use(_i);
	struct stile_ww_acquire acquire;
	for (int i = 0; i < 2; i++) {
		stile_ww_inject_deadlocks(i == 1);
		begin_with_stamp(&acquire, 32);
		stile_ww_inject_deadlocks(i == 0);
		ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], &acquire, NULL), 0);
		ck_assert_int_eq(stile_ww_mutex_trylock(&mutexes[1], &acquire), 0);
		int ret = stile_ww_mutex_lock(&mutexes[2], &acquire, NULL);
		ck_assert_int_eq(ret, i == 0 ? 0 : -EDEADLK);
		for (size_t m = 0; m < (i == 0 ? 3 : 2); m++) {
			stile_ww_mutex_unlock(&mutexes[m]);
		}
		stile_ww_acquire_fini(&acquire);
	}
}
END_TEST

/* ---- The first one waits, M-7 ---------------------------------------------------------------- */

/* Wrong code: the younger one told to give up what it has, having nothing. */
START_TEST(first_lock_of_a_context_waits_for_an_older_holder) {
	use(_i);
	begin_three();
	ck_assert_int_eq(lock(OLD, 0), 0);
	ck_assert_int_eq(lock(OLD, 1), 0);
	lock_sleeps(YOUNG, 0);
	lock_sleeps(MID, 0);
	unlock(OLD, 0);
	ck_assert_int_eq(outcome(MID), 0);
	sleeps(YOUNG);
	unlock(MID, 0);
	ck_assert_int_eq(outcome(YOUNG), 0);
	leave(OLD);
	leave(MID);
	leave(YOUNG);
}
END_TEST

/*
 * Also M-8. Wrong code: it dies because an older one, holding something, is in the queue or comes
 * there.
 */
START_TEST(first_lock_of_a_context_waits_in_any_queue) {
	use(_i);
	begin_three();
	ck_assert_int_eq(lock(OLD, 1), 0);
	ck_assert_int_eq(act(PLAIN, step_lock_plain, 0), 0);
	lock_sleeps(YOUNG, 0);
	lock_sleeps(OLD, 0);
	lock_sleeps(MID, 0);
	sleeps(YOUNG);
	unlock(PLAIN, 0);
	ck_assert_int_eq(outcome(OLD), 0);
	leave(OLD);
	ck_assert_int_eq(outcome(MID), 0);
	leave(MID);
	ck_assert_int_eq(outcome(YOUNG), 0);
	leave(YOUNG);
}
END_TEST

/* Wrong code: without a context one is the oldest, the youngest, or nobody. */
START_TEST(whoever_has_no_context_waits_and_is_waited_for) {
	use(_i);
	begin(YOUNG);
	ck_assert_int_eq(lock(YOUNG, 1), 0);
	/* M-8: waited for, though the one that waits has another one. */
	ck_assert_int_eq(act(PLAIN, step_lock_plain, 0), 0);
	lock_sleeps(YOUNG, 0);
	unlock(PLAIN, 0);
	ck_assert_int_eq(outcome(YOUNG), 0);
	/* It waits, and a context waits behind it. */
	lock_plain_sleeps(PLAIN, 0);
	begin(OTHER);
	ck_assert_int_eq(lock(OTHER, 2), 0);
	unlock(YOUNG, 0);
	ck_assert_int_eq(outcome(PLAIN), 0);
	lock_plain_sleeps(MID, 0);
	lock_sleeps(OTHER, 0);
	unlock(PLAIN, 0);
	ck_assert_int_eq(outcome(MID), 0);
	unlock(MID, 0);
	ck_assert_int_eq(outcome(OTHER), 0);
	leave(YOUNG);
	leave(OTHER);
}
END_TEST

/* ---- Wait-die, M-8 --------------------------------------------------------------------------- */

/* Wrong code: the younger one waits, or the older one is told; the mutex lost by that. */
START_TEST(younger_dies_and_older_waits) {
	use(STILE_WW_WAIT_DIE);
	begin(OLD);
	begin(YOUNG);
	ck_assert_int_eq(lock(OLD, 0), 0);
	ck_assert_int_eq(lock(YOUNG, 1), 0);
	ck_assert_int_eq(lock(YOUNG, 0), -EDEADLK);
	ck_assert_ptr_eq(stile_ww_mutex_get_acquire(&mutexes[0]), &actors[OLD].acquire);
	ck_assert_uint_eq(actors[YOUNG].acquire.acquired, 1);
	lock_sleeps(OLD, 1);
	unlock(YOUNG, 1);
	ck_assert_int_eq(outcome(OLD), 0);
	leave(OLD);
	leave(YOUNG);
}
END_TEST

/* Wrong code: only the holder looked at. */
START_TEST(younger_dies_if_an_older_one_is_queued) {
	use(STILE_WW_WAIT_DIE);
	bool holder_is_plain = _i == 1;
	begin_three();
	if (holder_is_plain) {
		ck_assert_int_eq(act(PLAIN, step_lock_plain, 0), 0);
	} else {
		ck_assert_int_eq(lock(YOUNG, 0), 0);
	}
	ck_assert_int_eq(lock(MID, 2), 0);
	lock_sleeps(OLD, 0);
	/* Somebody without a context in between hides nothing. */
	lock_plain_sleeps(OTHER, 0);
	ck_assert_int_eq(lock(MID, 0), -EDEADLK);
	if (holder_is_plain) {
		unlock(PLAIN, 0);
	} else {
		unlock(YOUNG, 0);
	}
	ck_assert_int_eq(outcome(OLD), 0);
	unlock(OLD, 0);
	ck_assert_int_eq(outcome(OTHER), 0);
	unlock(OTHER, 0);
	leave(OLD);
	leave(MID);
	leave(YOUNG);
}
END_TEST

/* Wrong code: an older one in the queue for a younger one holds it back. */
START_TEST(older_waits_if_a_younger_one_is_queued) {
	use(STILE_WW_WAIT_DIE);
	begin_three();
	ck_assert_int_eq(lock(YOUNG, 0), 0);
	ck_assert_int_eq(lock(OLD, 1), 0);
	lock_sleeps(MID, 0);
	lock_sleeps(OLD, 0);
	unlock(YOUNG, 0);
	ck_assert_int_eq(outcome(OLD), 0);
	sleeps(MID);
	leave(OLD);
	ck_assert_int_eq(outcome(MID), 0);
	leave(MID);
	leave(YOUNG);
}
END_TEST

/* Wrong code: those in the queue not looked at again; the one that has nothing dies as well. */
START_TEST(queued_younger_ones_that_have_others_die_when_an_older_one_comes) {
	use(STILE_WW_WAIT_DIE);
	bool older_has_one = _i == 1;
	begin_three();
	begin(OTHER);
	if (older_has_one) {
		ck_assert_int_eq(lock(OLD, 3), 0);
	}
	ck_assert_int_eq(act(PLAIN, step_lock_plain, 0), 0);
	/* From the youngest to the oldest, so that none of them dies yet. */
	ck_assert_int_eq(lock(OTHER, 1), 0);
	lock_sleeps(OTHER, 0);
	lock_sleeps(YOUNG, 0);
	ck_assert_int_eq(outcome(OTHER), -EDEADLK);
	leave(OTHER);
	ck_assert_int_eq(lock(MID, 2), 0);
	lock_sleeps(MID, 0);
	sleeps(YOUNG);
	lock_sleeps(OLD, 0);
	ck_assert_int_eq(outcome(MID), -EDEADLK);
	leave(MID);
	sleeps(YOUNG);
	unlock(PLAIN, 0);
	ck_assert_int_eq(outcome(OLD), 0);
	leave(OLD);
	ck_assert_int_eq(outcome(YOUNG), 0);
	leave(YOUNG);
}
END_TEST

/* ---- Wound-wait, M-9 ------------------------------------------------------------------------- */

/* Wrong code: the victim refused what is free; told only if it waits for what the older one has. */
START_TEST(wounded_one_is_told_when_it_has_to_wait) {
	use(STILE_WW_WOUND_WAIT);
	begin(OLD);
	begin(YOUNG);
	ck_assert_int_eq(act(PLAIN, step_lock_plain, 4), 0);
	ck_assert_int_eq(lock(OLD, 2), 0);
	ck_assert_int_eq(lock(YOUNG, 0), 0);
	lock_sleeps(OLD, 0);
	ck_assert_int_eq(lock(YOUNG, 1), 0);
	ck_assert_int_eq(act(YOUNG, step_trylock, 3), 0);
	ck_assert_int_eq(lock(YOUNG, 4), -EDEADLK);
	ck_assert_uint_eq(actors[YOUNG].acquire.acquired, 3);
	act(YOUNG, step_unlock_all, 0);
	ck_assert_int_eq(outcome(OLD), 0);
	unlock(PLAIN, 4);
	leave(OLD);
	leave(YOUNG);
}
END_TEST

/*
 * Wrong code: the wound only noted, and the victim sleeps on: for the wounder, or behind anybody.
 */
START_TEST(wounded_one_is_woken) {
	use(STILE_WW_WOUND_WAIT);
	bool waits_for_the_wounder = _i == 1;
	begin(OLD);
	begin(YOUNG);
	ck_assert_int_eq(act(PLAIN, step_lock_plain, 4), 0);
	ck_assert_int_eq(lock(OLD, 2), 0);
	ck_assert_int_eq(lock(YOUNG, 0), 0);
	lock_sleeps(YOUNG, waits_for_the_wounder ? 2 : 4);
	lock_sleeps(OLD, 0);
	ck_assert_int_eq(outcome(YOUNG), -EDEADLK);
	act(YOUNG, step_unlock_all, 0);
	ck_assert_int_eq(outcome(OLD), 0);
	unlock(PLAIN, 4);
	leave(OLD);
	leave(YOUNG);
}
END_TEST

/* Wrong code: wait-die in disguise. */
START_TEST(younger_waits_for_an_older_holder) {
	use(STILE_WW_WOUND_WAIT);
	begin(OLD);
	begin(YOUNG);
	ck_assert_int_eq(lock(OLD, 0), 0);
	ck_assert_int_eq(lock(YOUNG, 1), 0);
	lock_sleeps(YOUNG, 0);
	unlock(OLD, 0);
	ck_assert_int_eq(outcome(YOUNG), 0);
	leave(OLD);
	leave(YOUNG);
}
END_TEST

/*
 * Wrong code: whoever comes wounds the holder: one that has nothing, one without a context, a
 * trylock.
 */
START_TEST(only_an_older_one_that_has_others_wounds) {
	use(STILE_WW_WOUND_WAIT);
	begin(OLD);
	begin(MID);
	begin(YOUNG);
	ck_assert_int_eq(act(PLAIN, step_lock_plain, 4), 0);
	ck_assert_int_eq(lock(MID, 0), 0);
	ck_assert_int_eq(lock(YOUNG, 1), 0);
	lock_sleeps(YOUNG, 0);
	lock_plain_sleeps(OTHER, 0);
	ck_assert_int_eq(lock(OLD, 2), 0);
	ck_assert_int_eq(act(OLD, step_trylock, 0), -EBUSY);
	unlock(OLD, 2);
	lock_sleeps(OLD, 0);
	lock_sleeps(MID, 4);
	unlock(PLAIN, 4);
	ck_assert_int_eq(outcome(MID), 0);
	leave(MID);
	ck_assert_int_eq(outcome(OLD), 0);
	leave(OLD);
	ck_assert_int_eq(outcome(YOUNG), 0);
	leave(YOUNG);
	ck_assert_int_eq(outcome(OTHER), 0);
	unlock(OTHER, 0);
}
END_TEST

/* Wrong code: the wound stays, and makes it back off for nothing again and again. */
START_TEST(wound_is_healed_by_a_lock_with_nothing_else) {
	use(STILE_WW_WOUND_WAIT);
	begin(OLD);
	begin(YOUNG);
	ck_assert_int_eq(lock(OLD, 2), 0);
	ck_assert_int_eq(lock(YOUNG, 0), 0);
	lock_sleeps(OLD, 0);
	unlock(YOUNG, 0);
	ck_assert_int_eq(outcome(OLD), 0);
	/* It never came to be told. */
	ck_assert_int_eq(lock(YOUNG, 1), 0);
	lock_sleeps(YOUNG, 0);
	unlock(OLD, 0);
	ck_assert_int_eq(outcome(YOUNG), 0);
	leave(OLD);
	leave(YOUNG);
}
END_TEST

/* ---- After -EDEADLK, M-10 -------------------------------------------------------------------- */

/*
 * Wrong code: -EDEADLK from the slow way; the contended one locked twice; the stamp taken anew
 * (M-2).
 */
START_TEST(slow_way_waits_and_then_the_rest_is_locked) {
	use(_i);
	provoke();
	give_way();
	uint64_t stamp = actors[YOUNG].acquire.stamp;
	tell(YOUNG, step_lock_slow, 0);
	sleeps(YOUNG);
	unlock(OLD, 0);
	ck_assert_int_eq(outcome(YOUNG), 0);
	ck_assert_int_eq(lock(YOUNG, 2), 0);
	ck_assert_int_eq(lock(YOUNG, 0), -EALREADY);
	ck_assert_int_eq(lock(YOUNG, 1), 0);
	ck_assert_uint_eq(actors[YOUNG].acquire.acquired, 3);
	ck_assert_uint_eq(actors[YOUNG].acquire.stamp, stamp);
	leave(OLD);
	leave(YOUNG);
}
END_TEST

/* Wrong code: the slow way only for what somebody has still. */
START_TEST(slow_way_takes_what_is_free_by_then) {
	use(_i);
	provoke();
	give_way();
	unlock(OLD, 0);
	ck_assert_int_eq(act(YOUNG, step_lock_slow, 0), 0);
	leave(OLD);
	leave(YOUNG);
}
END_TEST

/* Wrong code: a plain lock of the contended one is a misuse. */
START_TEST(contended_one_may_be_locked_in_the_usual_way) {
	use(_i);
	provoke();
	give_way();
	lock_sleeps(YOUNG, 0);
	unlock(OLD, 0);
	ck_assert_int_eq(outcome(YOUNG), 0);
	ck_assert_int_eq(lock(YOUNG, 1), 0);
	leave(OLD);
	leave(YOUNG);
}
END_TEST

/* Wrong code: it has to come back to the contended one all the same. */
START_TEST(contended_one_may_be_skipped) {
	use(_i);
	provoke();
	give_way();
	act(YOUNG, step_skip, 0);
	ck_assert_int_eq(lock(YOUNG, 2), 0);
	ck_assert_int_eq(lock(YOUNG, 1), 0);
	unlock(OLD, 0);
	ck_assert_int_eq(lock(YOUNG, 0), 0);
	leave(OLD);
	leave(YOUNG);
}
END_TEST

/* Wrong code: a context that gave up is not allowed to end. */
START_TEST(context_may_end_after_edeadlk) {
	use(_i);
	provoke();
	give_way();
	act(YOUNG, step_fini, 0);
	leave(OLD);
}
END_TEST

/* M-2: that is what makes it win in the end. Wrong code: it becomes younger by giving way. */
START_TEST(place_in_the_line_is_kept_over_a_back_off) {
	use(_i);
	begin(OLD);
	begin(YOUNG);
	/* Before YOUNG gives way: a number taken then would be a later one. */
	begin(OTHER);
	collide();
	give_way();
	leave(OLD);
	ck_assert_int_eq(act(YOUNG, step_lock_slow, 0), 0);
	ck_assert_int_eq(lock(OTHER, 1), 0);
	if (uses_wounds()) {
		lock_sleeps(YOUNG, 1);
		ck_assert_int_eq(lock(OTHER, 0), -EDEADLK);
		act(OTHER, step_unlock_all, 0);
	} else {
		ck_assert_int_eq(lock(OTHER, 0), -EDEADLK);
		lock_sleeps(YOUNG, 1);
		act(OTHER, step_unlock_all, 0);
	}
	ck_assert_int_eq(outcome(YOUNG), 0);
	leave(YOUNG);
	leave(OTHER);
}
END_TEST

/* M-2. Wrong code: stamps compared as numbers, of 64 bits or 63. */
START_TEST(stamps_are_compared_over_a_wrap) {
	static const uint64_t last[] = { UINT64_MAX - 1, UINT64_MAX, INT64_MAX - UINT64_C(1),
		INT64_MAX };
	use(_i % ALGORITHMS);
	mutexes[0].ww_class->stamp = last[_i / ALGORITHMS] - 1;
	provoke();
	give_way();
	/* With one before and one after, the queue too. */
	begin(MID);
	lock_sleeps(MID, 0);
	lock_sleeps(YOUNG, 0);
	leave(OLD);
	ck_assert_int_eq(outcome(YOUNG), 0);
	leave(YOUNG);
	ck_assert_int_eq(outcome(MID), 0);
	leave(MID);
}
END_TEST

/* ---- Trylock, M-11 --------------------------------------------------------------------------- */

/* Wrong code: -EDEADLK, or a trylock that has to be dealt with as one. */
START_TEST(trylock_knows_nothing_of_deadlocks) {
	use(_i);
	begin(OLD);
	begin(YOUNG);
	ck_assert_int_eq(lock(OLD, 0), 0);
	ck_assert_int_eq(lock(YOUNG, 1), 0);
	ck_assert_int_eq(act(YOUNG, step_trylock, 0), -EBUSY);
	ck_assert_int_eq(act(OLD, step_trylock, 1), -EBUSY);
	ck_assert_int_eq(act(PLAIN, step_trylock_plain, 0), -EBUSY);
	ck_assert_int_eq(lock(YOUNG, 2), 0);
	ck_assert_int_eq(lock(OLD, 3), 0);
	leave(OLD);
	leave(YOUNG);
}
END_TEST

/* ---- Cancelled, M-6 -------------------------------------------------------------------------- */

static void step_lock_uncancelled(struct actor *actor) {
	actor->ret = stile_ww_mutex_lock(actor->mutex, &actor->acquire, NULL);
}

/*
 * Wrong code: the mutex locked all the same; one that is still in the queue, or takes others with
 * it.
 */
START_TEST(cancelled_wait_leaves_the_queue) {
	use(_i % ALGORITHMS);
	size_t who = (size_t)_i / ALGORITHMS;
	begin_three();
	ck_assert_int_eq(act(PLAIN, step_lock_plain, 0), 0);
	for (size_t i = OLD; i <= YOUNG; i++) {
		lock_sleeps(i, 0);
	}
	stile_cancel_raise(actors[who].cancel);
	ck_assert_int_eq(outcome(who), -EINTR);
	ck_assert_uint_eq(actors[who].acquire.acquired, 0);
	/*
	 * Others may be had at once, without dealing with anything first; with a token that was
	 * raised.
	 */
	ck_assert_int_eq(lock(who, 1), 0);
	unlock(who, 1);
	unlock(PLAIN, 0);
	for (size_t i = OLD; i <= YOUNG; i++) {
		if (i != who) {
			ck_assert_int_eq(outcome(i), 0);
			leave(i);
		}
	}
	ck_assert_int_eq(act(who, step_lock_uncancelled, 0), 0);
	leave(who);
}
END_TEST

/* Wrong code: only contexts can be cancelled. */
START_TEST(cancelled_wait_without_context_leaves_the_queue) {
	use(_i);
	begin(OLD);
	ck_assert_int_eq(lock(OLD, 0), 0);
	lock_plain_sleeps(PLAIN, 0);
	lock_plain_sleeps(OTHER, 0);
	stile_cancel_raise(actors[PLAIN].cancel);
	ck_assert_int_eq(outcome(PLAIN), -EINTR);
	unlock(OLD, 0);
	ck_assert_int_eq(outcome(OTHER), 0);
	unlock(OTHER, 0);
	leave(OLD);
}
END_TEST

/* Wrong code: a token that counts only while somebody sleeps. */
START_TEST(token_raised_before_ends_what_would_wait) {
	use(_i);
	begin(OLD);
	begin(YOUNG);
	ck_assert_int_eq(lock(OLD, 0), 0);
	stile_cancel_raise(actors[YOUNG].cancel);
	stile_cancel_raise(actors[PLAIN].cancel);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(lock(YOUNG, 0), -EINTR);
		ck_assert_int_eq(act(PLAIN, step_lock_plain, 0), -EINTR);
	}
	ck_assert_int_eq(lock(YOUNG, 1), 0);
	ck_assert_int_eq(act(PLAIN, step_lock_plain, 2), 0);
	unlock(PLAIN, 2);
	leave(OLD);
	leave(YOUNG);
}
END_TEST

/* M-10. Wrong code: a slow way that cannot be cancelled, or not be gone again after that. */
START_TEST(slow_way_may_be_cancelled_and_tried_again) {
	use(_i);
	provoke();
	give_way();
	for (int i = 0; i < 2; i++) {
		tell(YOUNG, step_lock_slow, 0);
		if (i == 0) {
			sleeps(YOUNG);
			stile_cancel_raise(actors[YOUNG].cancel);
		}
		ck_assert_int_eq(outcome(YOUNG), -EINTR);
		ck_assert_uint_eq(actors[YOUNG].acquire.acquired, 0);
	}
	leave(OLD);
	/* Free by now: nothing to wait for. */
	ck_assert_int_eq(act(YOUNG, step_lock_slow, 0), 0);
	leave(YOUNG);
}
END_TEST

/* Wrong code: one of them woken. Only those with this token may go. */
START_TEST(one_token_ends_several_waits) {
	use(_i);
	struct stile_cancel shared;
	stile_cancel_init(&shared);
	begin_three();
	ck_assert_int_eq(lock(OLD, 0), 0);
	ck_assert_int_eq(act(PLAIN, step_lock_plain, 1), 0);
	actors[MID].cancel = &shared;
	actors[OTHER].cancel = &shared;
	tell(MID, step_lock, 0);
	tell(OTHER, step_lock_plain, 1);
	wait_for_sleepers(&shared, 2, MID);
	lock_sleeps(YOUNG, 0);
	stile_cancel_raise(&shared);
	ck_assert_int_eq(outcome(MID), -EINTR);
	ck_assert_int_eq(outcome(OTHER), -EINTR);
	actors[MID].cancel = &actors[MID].own;
	actors[OTHER].cancel = &actors[OTHER].own;
	sleeps(YOUNG);
	unlock(PLAIN, 1);
	leave(OLD);
	ck_assert_int_eq(outcome(YOUNG), 0);
	leave(MID);
	leave(YOUNG);
}
END_TEST

/* ---- The queue, M-13 ------------------------------------------------------------------------- */

static struct {
	size_t who[ACTORS]; /* under mutex 0 */
	size_t count;
} got;

static void note_turn(struct actor *actor) {
	if (actor->ret == 0) {
		got.who[got.count] = (size_t)(actor - actors);
		got.count++;
		stile_ww_mutex_unlock(actor->mutex);
	}
}

static void step_turn(struct actor *actor) {
	step_lock(actor);
	note_turn(actor);
}

static void step_turn_plain(struct actor *actor) {
	step_lock_plain(actor);
	note_turn(actor);
}

static void shuffle(size_t *order, size_t count, uint64_t *state) {
	for (size_t i = 0; i < count; i++) {
		order[i] = i;
	}
	for (size_t i = count; i > 1; i--) {
		size_t other = (size_t)(runner_random(state) % i);
		size_t kept = order[i - 1];
		order[i - 1] = order[other];
		order[other] = kept;
	}
}

enum { WITH_CONTEXT = 4 };

static bool has_context(size_t who) {
	return who < WITH_CONTEXT;
}

/* The rank among its like that the place in the queue goes by. */
static size_t rank(size_t who, const size_t *arrival) {
	size_t at = 0;
	while (!has_context(who) && arrival[at] != who) {
		at++;
	}
	return has_context(who) ? who : at;
}

static void assert_turns(const size_t *arrival) {
	ck_assert_uint_eq(got.count, ACTORS);
	for (size_t i = 0; i < ACTORS; i++) {
		for (size_t j = i + 1; j < ACTORS; j++) {
			size_t first = got.who[i], second = got.who[j];
			bool alike = has_context(first) == has_context(second);
			ck_assert_msg(!alike || rank(first, arrival) < rank(second, arrival),
				"actor %zu had its turn before actor %zu", first, second);
		}
	}
}

/*
 * They come one after the other, with a token each, or with one for all, whose waits wake each
 * other.
 */
static void line_up(const size_t *arrival, struct stile_cancel *shared) {
	for (size_t i = 0; i < ACTORS; i++) {
		size_t who = arrival[i];
		actors[who].cancel = shared != NULL ? shared : &actors[who].own;
		tell(who, has_context(who) ? step_turn : step_turn_plain, 0);
		wait_for_sleepers(actors[who].cancel, shared != NULL ? (long)i + 1 : 1, who);
	}
}

/*
 * Contexts from the oldest to the youngest, the others as they came; each of them gets it (M-16:
 * what they write is not lost). Wrong code: one queue for all by arrival; an older one put at the
 * very beginning or behind its younger neighbour; the queue's end lost; whoever is awake takes it.
 */
START_TEST(queue_is_by_age_and_by_arrival) {
	use(_i % ALGORITHMS);
	struct stile_cancel shared;
	uint64_t state = runner_seed();
	for (int round = 0; round < 25; round++) {
		size_t arrival[ACTORS];
		shuffle(arrival, ACTORS, &state);
		stile_cancel_init(&shared);
		got.count = 0;
		for (size_t i = 0; i < WITH_CONTEXT; i++) {
			begin(i);
		}
		ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], NULL, NULL), 0);
		line_up(arrival, _i / ALGORITHMS == 0 ? NULL : &shared);
		stile_ww_mutex_unlock(&mutexes[0]);
		for (size_t i = 0; i < ACTORS; i++) {
			ck_assert_int_eq(outcome(i), 0);
			actors[i].cancel = &actors[i].own;
		}
		assert_turns(arrival);
		for (size_t i = 0; i < WITH_CONTEXT; i++) {
			leave(i);
		}
	}
}
END_TEST

/* An actor that runs only while this thread sleeps: on the same processor, and whenever that is idle. */
static void yield_to_me(int who, cpu_set_t *before) {
	struct sched_param none = { 0 };
	cpu_set_t one;
	ck_assert_int_eq(pthread_getaffinity_np(pthread_self(), sizeof(*before), before), 0);
	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	ck_assert_int_eq(pthread_setaffinity_np(pthread_self(), sizeof(one), &one), 0);
	ck_assert_int_eq(pthread_setaffinity_np(actors[who].thread, sizeof(one), &one), 0);
	ck_assert_int_eq(pthread_setschedparam(actors[who].thread, SCHED_IDLE, &none), 0);
}

/*
 * Whoever was woken and found it taken again is overtaken once, not twice. Wrong code: it is free
 * for anybody each time, and a thread that is always running always gets it.
 */
START_TEST(woken_in_vain_is_next) {
	use(_i % ALGORITHMS);
	bool plain = _i / ALGORITHMS == 1;
	cpu_set_t before;
	int vain = 0;
	yield_to_me(OLD, &before);
	for (int round = 0; round < 50; round++) {
		begin(OLD);
		ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], NULL, NULL), 0);
		tell(OLD, plain ? step_lock_plain : step_lock, 0);
		sleeps(OLD);
		stile_ww_mutex_unlock(&mutexes[0]);
		if (stile_ww_mutex_trylock(&mutexes[0], NULL) == 0) {
			vain++;
			sleeps(OLD);
			stile_ww_mutex_unlock(&mutexes[0]);
			ck_assert_int_eq(stile_ww_mutex_trylock(&mutexes[0], NULL), -EBUSY);
		}
		ck_assert_int_eq(outcome(OLD), 0);
		ck_assert_ptr_eq(stile_ww_mutex_get_acquire(&mutexes[0]),
			plain ? NULL : &actors[OLD].acquire);
		unlock(OLD, 0);
		act(OLD, step_fini, 0);
	}
	pthread_setaffinity_np(pthread_self(), sizeof(before), &before);
	/* Else nobody was ever woken in vain, and this was no test. */
	ck_assert_int_gt(vain, 0);
}
END_TEST

static void step_many_turns(struct actor *actor) {
	for (int i = 0; i < 100; i++) {
		step_lock(actor);
		step_unlock(actor);
		step_lock_plain(actor);
		step_unlock(actor);
	}
}

/* Wrong code: the same, as it happens. */
START_TEST(thread_that_locks_all_the_time_starves_nobody) {
	use(_i);
	begin(YOUNG);
	tell(YOUNG, step_many_turns, 0);
	int64_t until = runner_clock_ns() + HANG_S * INT64_C(1000000000);
	while (!is_ready(YOUNG)) {
		ck_assert_int_eq(stile_ww_mutex_lock(&mutexes[0], NULL, NULL), 0);
		stile_ww_mutex_unlock(&mutexes[0]);
		ck_assert_msg(runner_clock_ns() < until, "starved");
	}
	ck_assert_int_eq(outcome(YOUNG), 0);
	leave(YOUNG);
}
END_TEST

/* It may be quicker than those that wait. */
static void step_pass(struct actor *actor) {
	stile_ww_mutex_unlock(actor->mutex);
	step_trylock(actor);
}

/*
 * One that has mutex 1 waits for mutex 0, behind somebody else, and another context comes by that.
 */
static bool pass(size_t passer, size_t waiter) {
	ck_assert_int_eq(act(passer, step_trylock_plain, 0), 0);
	lock_plain_sleeps(PLAIN, 0);
	ck_assert_int_eq(lock(waiter, 1), 0);
	lock_sleeps(waiter, 0);
	return act(passer, step_pass, 0) == 0;
}

/*
 * M-8, M-9: it is the same as if they had met in the usual order. Wrong code: only the first in the
 * queue told; only those told that wait from now on. What they want now is a dead-lock then.
 */
START_TEST(one_that_passes_the_queue_meets_those_in_it) {
	use(_i);
	size_t passer = uses_wounds() ? YOUNG : OLD;
	size_t waiter = uses_wounds() ? OLD : YOUNG;
	bool passed = false;
	/* It need not be quicker ever. */
	for (int round = 0; round < 50 && !passed; round++) {
		begin(OLD);
		begin(YOUNG);
		passed = pass(passer, waiter);
		if (passed && uses_wounds()) {
			ck_assert_int_eq(lock(passer, 1), -EDEADLK);
		} else if (passed) {
			ck_assert_int_eq(outcome(waiter), -EDEADLK);
			act(waiter, step_unlock_all, 0);
			ck_assert_int_eq(lock(passer, 1), 0);
		}
		act(passer, step_unlock_all, 0);
		ck_assert_int_eq(outcome(PLAIN), 0);
		unlock(PLAIN, 0);
		if (!passed || uses_wounds()) {
			ck_assert_int_eq(outcome(waiter), 0);
		}
		leave(OLD);
		leave(YOUNG);
	}
}
END_TEST

static TCase *tcase_about_ww_create(const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, classes_init, mutexes_finish);
	/* Many steps, each of which has to be taken by another thread. */
	tcase_set_timeout(tcase, 60);
	return tcase;
}

static TCase *tcase_with_actors_create(const char *name) {
	TCase *tcase = tcase_about_ww_create(name);
	tcase_add_checked_fixture(tcase, actors_start, actors_end);
	return tcase;
}

static void add_alone(Suite *s) {
	TCase *alone = tcase_about_ww_create("alone");
	tcase_add_loop_test(alone, contexts_of_a_class_are_numbered, 0, ALGORITHMS);
	tcase_add_loop_test(alone, locked_mutex_knows_its_context, 0, ALGORITHMS);
	tcase_add_loop_test(alone, mutex_locked_without_context_has_none, 0, ALGORITHMS);
	tcase_add_loop_test(alone, second_lock_with_the_same_context_is_ealready, 0, ALGORITHMS);
	tcase_add_loop_test(alone, trylock_takes_what_is_free_only, 0, ALGORITHMS);
	tcase_add_test(alone, contexts_of_two_classes_nest);
	suite_add_tcase(s, alone);

	TCase *injection = tcase_about_ww_create("injection");
	tcase_add_loop_test(
		injection, injection_counts_down_from_the_stamp_then_grows, 0, 16 * ALGORITHMS);
	tcase_add_loop_test(
		injection, injected_deadlock_is_dealt_with_as_a_real_one, 0, ALGORITHMS);
	tcase_add_loop_test(
		injection, injection_is_for_contexts_begun_while_it_is_on, 0, ALGORITHMS);
	suite_add_tcase(s, injection);
}

static void add_who_gives_way(Suite *s) {
	TCase *any = tcase_with_actors_create("who waits with each algorithm");
	tcase_add_loop_test(any, first_lock_of_a_context_waits_for_an_older_holder, 0, ALGORITHMS);
	tcase_add_loop_test(any, first_lock_of_a_context_waits_in_any_queue, 0, ALGORITHMS);
	tcase_add_loop_test(any, whoever_has_no_context_waits_and_is_waited_for, 0, ALGORITHMS);
	suite_add_tcase(s, any);

	TCase *die = tcase_with_actors_create("wait-die");
	tcase_add_test(die, younger_dies_and_older_waits);
	tcase_add_loop_test(die, younger_dies_if_an_older_one_is_queued, 0, 2);
	tcase_add_test(die, older_waits_if_a_younger_one_is_queued);
	tcase_add_loop_test(
		die, queued_younger_ones_that_have_others_die_when_an_older_one_comes, 0, 2);
	suite_add_tcase(s, die);

	TCase *wound = tcase_with_actors_create("wound-wait");
	tcase_add_test(wound, wounded_one_is_told_when_it_has_to_wait);
	tcase_add_loop_test(wound, wounded_one_is_woken, 0, 2);
	tcase_add_test(wound, younger_waits_for_an_older_holder);
	tcase_add_test(wound, only_an_older_one_that_has_others_wounds);
	tcase_add_test(wound, wound_is_healed_by_a_lock_with_nothing_else);
	suite_add_tcase(s, wound);
}

static void add_after_edeadlk(Suite *s) {
	TCase *after = tcase_with_actors_create("after EDEADLK");
	tcase_add_loop_test(after, slow_way_waits_and_then_the_rest_is_locked, 0, ALGORITHMS);
	tcase_add_loop_test(after, slow_way_takes_what_is_free_by_then, 0, ALGORITHMS);
	tcase_add_loop_test(after, contended_one_may_be_locked_in_the_usual_way, 0, ALGORITHMS);
	tcase_add_loop_test(after, contended_one_may_be_skipped, 0, ALGORITHMS);
	tcase_add_loop_test(after, context_may_end_after_edeadlk, 0, ALGORITHMS);
	tcase_add_loop_test(after, place_in_the_line_is_kept_over_a_back_off, 0, ALGORITHMS);
	tcase_add_loop_test(after, stamps_are_compared_over_a_wrap, 0, 4 * ALGORITHMS);
	tcase_add_loop_test(after, trylock_knows_nothing_of_deadlocks, 0, ALGORITHMS);
	suite_add_tcase(s, after);
}

static Suite *suite(void) {
	Suite *s = suite_create("ww_mutex");
	add_alone(s);
	add_who_gives_way(s);
	add_after_edeadlk(s);

	TCase *cancelled = tcase_with_actors_create("cancelled");
	tcase_add_loop_test(cancelled, cancelled_wait_leaves_the_queue, 0, 3 * ALGORITHMS);
	tcase_add_loop_test(
		cancelled, cancelled_wait_without_context_leaves_the_queue, 0, ALGORITHMS);
	tcase_add_loop_test(cancelled, token_raised_before_ends_what_would_wait, 0, ALGORITHMS);
	tcase_add_loop_test(cancelled, slow_way_may_be_cancelled_and_tried_again, 0, ALGORITHMS);
	tcase_add_loop_test(cancelled, one_token_ends_several_waits, 0, ALGORITHMS);
	suite_add_tcase(s, cancelled);

	TCase *queue = tcase_with_actors_create("queue");
	tcase_add_loop_test(queue, queue_is_by_age_and_by_arrival, 0, 2 * ALGORITHMS);
	tcase_add_loop_test(queue, woken_in_vain_is_next, 0, 2 * ALGORITHMS);
	tcase_add_loop_test(queue, thread_that_locks_all_the_time_starves_nobody, 0, ALGORITHMS);
	tcase_add_loop_test(queue, one_that_passes_the_queue_meets_those_in_it, 0, ALGORITHMS);
	suite_add_tcase(s, queue);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
