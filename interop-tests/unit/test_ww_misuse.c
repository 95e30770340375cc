/* SPDX-License-Identifier: MIT */
/*
 * What may not be done with wait/wound mutexes and is told: KERNEL_CONTRACT M-3, M-4, M-10, M-12,
 * M-14, and X-8 (2) for reservations. Together with each mistake, what looks like it and is
 * allowed.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include <stile/check.h>
#include <stile/exec.h>
#include <stile/resv.h>
#include <stile/wait.h>
#include <stile/ww_mutex.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/check.h"
#include "src/macros.h"

static struct stile_lock_class lock_a = STILE_LOCK_CLASS("lock A");

static struct stile_ww_class ww_class, other_class, wound_class;
static struct stile_ww_mutex m[4];
static struct stile_ww_acquire context;

/* What was complained about. The handler runs under locks: it only records. */
static struct {
	pthread_mutex_t mutex;
	int count;
	char last[8192];
} heard = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static void hear(void *user, const char *text) {
	(void)user;
	pthread_mutex_lock(&heard.mutex);
	heard.count++;
	snprintf(heard.last, sizeof(heard.last), "%s", text);
	pthread_mutex_unlock(&heard.mutex);
}

static void mutexes_init(struct stile_ww_class *of) {
	for (size_t i = 0; i < ARRAY_LENGTH(m); i++) {
		stile_ww_mutex_init(&m[i], of);
	}
}

static bool was_enabled;

static void setup(void) {
	was_enabled = stile_check_is_enabled();
	stile_check_set_handler(hear, NULL);
	stile_check_enable(true);
	check_reset();
	heard.count = 0;
	heard.last[0] = '\0';
	ww_class = (struct stile_ww_class)STILE_WW_CLASS("ww", STILE_WW_WAIT_DIE);
	other_class = (struct stile_ww_class)STILE_WW_CLASS("other", STILE_WW_WAIT_DIE);
	wound_class = (struct stile_ww_class)STILE_WW_CLASS("ww", STILE_WW_WOUND_WAIT);
	mutexes_init(&ww_class);
}

static void teardown(void) {
	stile_ww_inject_deadlocks(false);
	check_reset();
	stile_check_enable(was_enabled);
	stile_check_set_handler(NULL, NULL);
}

static void assert_silent(void) {
	ck_assert_msg(heard.count == 0, "%d complaints: %s", heard.count, heard.last);
}

/* One complaint since the last look. */
static void assert_heard(const char *what) {
	ck_assert_msg(heard.count == 1, "%d complaints: %s", heard.count, heard.last);
	ck_assert_msg(strstr(heard.last, what) != NULL, "no '%s' in: %s", what, heard.last);
	heard.count = 0;
}

/* Misuse that does not depend on the order of locks is told with the checker off too. */
static void use_checker(bool on) {
	stile_check_enable(on);
}

static int lock(size_t i, struct stile_ww_acquire *acquire) {
	return stile_ww_mutex_lock(&m[i], acquire, NULL);
}

static int lock_slow(size_t i, struct stile_ww_acquire *acquire) {
	return stile_ww_mutex_lock_slow(&m[i], acquire, NULL);
}

static int trylock(size_t i, struct stile_ww_acquire *acquire) {
	return stile_ww_mutex_trylock(&m[i], acquire);
}

static void unlock(size_t i) {
	stile_ww_mutex_unlock(&m[i]);
}

static void take_a(void) {
	stile_lock_annotate(&lock_a, STILE_LOCK_ACQUIRE);
}

static void give_a(void) {
	stile_lock_annotate(&lock_a, STILE_LOCK_RELEASE);
}

static void run_in_thread(void *(*run)(void *), void *arg) {
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, run, arg), 0);
	pthread_join(thread, NULL);
}

/* ---- Contexts ------------------------------------------------------------------------------- */

/* M-5. Wrong code: a second lock with the same context taken for a mistake, or for a nesting. */
START_TEST(lock_with_the_context_that_has_it_is_no_misuse) {
	stile_ww_acquire_init(&context, &ww_class);
	ck_assert_int_eq(lock(0, &context), 0);
	ck_assert_int_eq(lock(0, &context), -EALREADY);
	unlock(0);
	stile_ww_acquire_fini(&context);
	assert_silent();
}
END_TEST

/*
 * M-2 to M-5, M-11, M-12. Wrong code: normal use reported: several of a class, one without a
 * context.
 */
START_TEST(normal_use_is_silent) {
	use_checker(_i == 0);
	for (int round = 0; round < 2; round++) {
		stile_ww_acquire_init(&context, &ww_class);
		ck_assert_int_eq(lock(0, &context), 0);
		ck_assert_int_eq(lock(1, &context), 0);
		ck_assert_int_eq(trylock(2, &context), 0);
		ck_assert_int_eq(lock(3, &context), 0);
		stile_ww_acquire_done(&context);
		for (size_t i = 0; i < ARRAY_LENGTH(m); i++) {
			unlock(i);
		}
		stile_ww_acquire_fini(&context);
		for (size_t i = 0; i < ARRAY_LENGTH(m); i++) {
			ck_assert_int_eq(lock(3 - i, NULL), 0);
			unlock(3 - i);
		}
	}
	assert_silent();
}
END_TEST

/* M-14. Wrong code: only mutexes looked at, which may never meet this time. */
START_TEST(two_contexts_of_one_class_at_once_are_reported) {
	struct stile_ww_acquire second;
	stile_ww_acquire_init(&context, &ww_class);
	stile_ww_acquire_init(&second, &ww_class);
	assert_heard("taking \"acquire context\" while holding \"acquire context\"");
	stile_ww_acquire_fini(_i == 0 ? &second : &context);
	stile_ww_acquire_fini(_i == 0 ? &context : &second);
	/* One after the other. */
	stile_ww_acquire_init(&second, &ww_class);
	stile_ww_acquire_fini(&second);
	assert_silent();
}
END_TEST

static void *use_a_context(void *unused) {
	struct stile_ww_acquire mine;
	stile_ww_acquire_init(&mine, &ww_class);
	stile_ww_acquire_fini(&mine);
	return unused;
}

/* M-14: one *task*. Wrong code: the class remembers its context. */
START_TEST(contexts_of_two_threads_are_no_misuse) {
	stile_ww_acquire_init(&context, &ww_class);
	run_in_thread(use_a_context, NULL);
	stile_ww_acquire_fini(&context);
	assert_silent();
}
END_TEST

/* M-14. Wrong code: one node for the contexts of all classes; their order not learned. */
START_TEST(contexts_of_two_classes_nest_in_one_order) {
	struct stile_ww_acquire second;
	for (int i = 0; i < 2; i++) {
		stile_ww_acquire_init(&context, &ww_class);
		stile_ww_acquire_init(&second, &other_class);
		stile_ww_acquire_fini(&second);
		stile_ww_acquire_fini(&context);
	}
	assert_silent();
	stile_ww_acquire_init(&second, &other_class);
	stile_ww_acquire_init(&context, &ww_class);
	assert_heard("taking \"acquire context\" while holding \"acquire context\"");
	stile_ww_acquire_fini(&context);
	stile_ww_acquire_fini(&second);
}
END_TEST

/* M-5. Wrong code: classes not looked at; the mutex locked all the same. */
START_TEST(context_of_another_class_is_refused) {
	use_checker(_i == 0);
	stile_ww_acquire_init(&context, &other_class);
	ck_assert_int_eq(lock(0, &context), -EINVAL);
	assert_heard("\"ww\" is locked with an acquire context of \"other\"");
	ck_assert_int_eq(trylock(0, &context), -EINVAL);
	assert_heard("\"ww\" is locked with an acquire context of \"other\"");
	ck_assert_int_eq(lock_slow(0, &context), -EINVAL);
	ck_assert_int_eq(heard.count, 1);
	ck_assert(!stile_ww_mutex_is_locked(&m[0]));
	ck_assert_uint_eq(context.acquired, 0);
	stile_ww_acquire_fini(&context);
}
END_TEST

/* M-3. Wrong code: done counted as a matter of taste. */
START_TEST(done_twice_is_told) {
	use_checker(_i == 0);
	stile_ww_acquire_init(&context, &ww_class);
	stile_ww_acquire_done(&context);
	assert_silent();
	stile_ww_acquire_done(&context);
	assert_heard("is done twice");
	stile_ww_acquire_fini(&context);
	assert_silent();
}
END_TEST

/* M-4. Wrong code: an end that does not last. */
START_TEST(context_that_ends_twice_is_told) {
	use_checker(_i == 0);
	stile_ww_acquire_init(&context, &ww_class);
	stile_ww_acquire_fini(&context);
	assert_silent();
	stile_ww_acquire_fini(&context);
	assert_heard("ends twice");
}
END_TEST

/* M-4. Wrong code: nobody counts; the mutex cannot be unlocked any more. */
START_TEST(context_that_ends_with_locked_mutexes_is_told) {
	use_checker(_i == 0);
	stile_ww_acquire_init(&context, &ww_class);
	ck_assert_int_eq(lock(0, &context), 0);
	ck_assert_int_eq(lock(1, &context), 0);
	stile_ww_acquire_fini(&context);
	assert_heard("ends with 2 of its mutexes locked");
	unlock(0);
	unlock(1);
	ck_assert(!stile_ww_mutex_is_locked(&m[0]));
	ck_assert(!stile_ww_mutex_is_locked(&m[1]));
	assert_silent();
}
END_TEST

static void *end_context(void *unused) {
	stile_ww_acquire_fini(&context);
	return unused;
}

/* M-4: by the same task. Wrong code: ended wherever. */
START_TEST(context_that_ends_on_another_thread_is_told) {
	use_checker(_i == 0);
	stile_ww_acquire_init(&context, &ww_class);
	run_in_thread(end_context, NULL);
	assert_heard("on another thread");
}
END_TEST

/* M-3. Wrong code: only one of the ways to lock looks. */
START_TEST(lock_after_done_is_refused) {
	use_checker(_i == 0);
	stile_ww_acquire_init(&context, &ww_class);
	ck_assert_int_eq(lock(0, &context), 0);
	stile_ww_acquire_done(&context);
	ck_assert_int_eq(lock(1, &context), -EINVAL);
	assert_heard("with an acquire context that is done");
	ck_assert_int_eq(trylock(1, &context), -EINVAL);
	assert_heard("with an acquire context that is done");
	ck_assert(!stile_ww_mutex_is_locked(&m[1]));
	ck_assert_uint_eq(context.acquired, 1);
	unlock(0);
	stile_ww_acquire_fini(&context);
	assert_silent();
}
END_TEST

/* M-4. Wrong code: an ended context taken for a new one. */
START_TEST(context_that_has_ended_is_refused) {
	use_checker(_i == 0);
	stile_ww_acquire_init(&context, &ww_class);
	if (_i / 2 == 1) {
		stile_ww_acquire_done(&context);
	}
	stile_ww_acquire_fini(&context);
	ck_assert_int_eq(lock(0, &context), -EINVAL);
	assert_heard("with an acquire context that has ended");
	ck_assert_int_eq(trylock(0, &context), -EINVAL);
	assert_heard("with an acquire context that has ended");
	ck_assert(!stile_ww_mutex_is_locked(&m[0]));
}
END_TEST

/* ---- Mutexes -------------------------------------------------------------------------------- */

/* M-12. Wrong code: a count below zero; the mutex locked by that. */
START_TEST(unlock_of_what_is_not_locked_is_told) {
	use_checker(_i == 0);
	stile_ww_acquire_init(&context, &ww_class);
	/* Never, then not any more: without a context and with one. */
	for (int i = 0; i < 3; i++) {
		if (i > 0) {
			ck_assert_int_eq(lock(0, i == 1 ? NULL : &context), 0);
			unlock(0);
		}
		assert_silent();
		unlock(0);
		assert_heard("that is not locked");
		ck_assert(!stile_ww_mutex_is_locked(&m[0]));
		ck_assert_uint_eq(context.acquired, 0);
	}
	stile_ww_acquire_fini(&context);
	assert_silent();
}
END_TEST

static void *unlock_first(void *unused) {
	unlock(0);
	return unused;
}

/* M-12. Wrong code: whoever unlocks it, it is free. */
START_TEST(unlock_by_another_thread_is_told) {
	use_checker(_i % 2 == 0);
	stile_ww_acquire_init(&context, &ww_class);
	ck_assert_int_eq(lock(0, _i / 2 == 0 ? NULL : &context), 0);
	run_in_thread(unlock_first, NULL);
	assert_heard("by a thread that has not locked it");
	ck_assert(stile_ww_mutex_is_locked(&m[0]));
	unlock(0);
	ck_assert(!stile_ww_mutex_is_locked(&m[0]));
	stile_ww_acquire_fini(&context);
	assert_silent();
}
END_TEST

/* M-5, M-14: a dead-lock of one. Wrong code: it waits for itself; the mutex is lost. */
START_TEST(mutex_that_the_thread_has_already_is_refused) {
	bool with_checker = _i % 2 == 0;
	struct stile_ww_acquire *first = _i / 2 % 2 == 0 ? NULL : &context;
	struct stile_ww_acquire second, *then = _i / 4 == 0 ? NULL : &second;
	/* What would wait is cancelled instead. */
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	stile_cancel_raise(&cancel);
	use_checker(with_checker);
	stile_ww_acquire_init(&context, &ww_class);
	stile_ww_acquire_init(&second, &ww_class);
	heard.count = 0;
	ck_assert_int_eq(lock(0, first), 0);
	assert_silent();
	int ret = stile_ww_mutex_lock(&m[0], then, &cancel);
	ck_assert_int_eq(ret, then == NULL ? -EDEADLK : -EINVAL);
	/* The order of locks is told of as well, before. */
	ck_assert_int_ge(heard.count, 1);
	ck_assert_int_le(heard.count, with_checker ? 2 : 1);
	ck_assert_ptr_nonnull(strstr(heard.last, "by the thread that has it locked"));
	ck_assert_ptr_eq(stile_ww_mutex_get_acquire(&m[0]), first);
	ck_assert_uint_eq(second.acquired, 0);
	unlock(0);
	ck_assert(!stile_ww_mutex_is_locked(&m[0]));
	stile_ww_acquire_fini(&second);
	stile_ww_acquire_fini(&context);
}
END_TEST

/* ---- After -EDEADLK: m[0] gave it, m[1] is locked -------------------------------------------- */

/* How it comes to -EDEADLK. */
enum { INJECTED, INJECTED_WOUND, HELD, CAUSES };

static struct {
	pthread_t thread;
	sem_t ready, leave;
} older;

static void *older_run(void *unused) {
	struct stile_ww_acquire mine;
	stile_ww_acquire_init(&mine, &ww_class);
	bool locked = lock(0, &mine) == 0 && lock(2, &mine) == 0;
	sem_post(&older.ready);
	while (sem_wait(&older.leave) < 0) {
	}
	if (locked) {
		unlock(0);
		unlock(2);
	}
	stile_ww_acquire_fini(&mine);
	return unused;
}

static int cause;

/* The contended one is free, or held by an older context, which has m[2] too. */
static void provoke(int how) {
	cause = how;
	if (how == HELD) {
		sem_init(&older.ready, 0, 0);
		sem_init(&older.leave, 0, 0);
		ck_assert_int_eq(pthread_create(&older.thread, NULL, older_run, NULL), 0);
		while (sem_wait(&older.ready) < 0) {
		}
		stile_ww_acquire_init(&context, &ww_class);
	} else {
		struct stile_ww_class *of = how == INJECTED ? &ww_class : &wound_class;
		mutexes_init(of);
		of->stamp = 15;
		stile_ww_inject_deadlocks(true);
		stile_ww_acquire_init(&context, of);
		stile_ww_inject_deadlocks(false);
	}
	ck_assert_int_eq(lock(1, &context), 0);
	ck_assert_int_eq(lock(0, &context), -EDEADLK);
	assert_silent();
}

/* If somebody has it, not for ever. */
static void others_leave(void) {
	if (cause == HELD) {
		sem_post(&older.leave);
		pthread_join(older.thread, NULL);
		sem_destroy(&older.ready);
		sem_destroy(&older.leave);
	}
}

/* After whatever was done wrong, it can still be done right. */
static void end_well(size_t contended) {
	assert_silent();
	for (size_t i = 0; i < ARRAY_LENGTH(m); i++) {
		if (stile_ww_mutex_get_acquire(&m[i]) == &context) {
			unlock(i);
		}
	}
	others_leave();
	ck_assert_uint_eq(context.acquired, 0);
	ck_assert_int_eq(lock(contended, &context), 0);
	ck_assert_int_eq(lock(1, &context), 0);
	unlock(contended);
	unlock(1);
	stile_ww_acquire_fini(&context);
	assert_silent();
}

/* M-10. Wrong code: the usual way reported, or the slow way, or giving it up. */
START_TEST(edeadlk_that_is_dealt_with_is_silent) {
	provoke(_i % CAUSES);
	unlock(1);
	others_leave();
	switch (_i / CAUSES) {
	case 0:
		ck_assert_int_eq(lock(0, &context), 0);
		break;
	case 1:
		ck_assert_int_eq(lock_slow(0, &context), 0);
		break;
	default:
		stile_ww_acquire_skip(&context);
		ck_assert_int_eq(lock(3, &context), 0);
		unlock(3);
		ck_assert_int_eq(lock(0, &context), 0);
	}
	ck_assert_int_eq(lock(1, &context), 0);
	unlock(0);
	unlock(1);
	stile_ww_acquire_fini(&context);
	assert_silent();
}
END_TEST

/* M-10. Wrong code: told only if it gives -EDEADLK again. */
START_TEST(contended_one_locked_without_unlocking_the_others_is_told) {
	provoke(_i);
	ck_assert_int_eq(lock(0, &context), cause == HELD ? -EDEADLK : 0);
	assert_heard("still locked");
	end_well(0);
}
END_TEST

/* M-10. Wrong code: the slow way waits, having something: a dead-lock. */
START_TEST(slow_way_without_unlocking_the_others_is_refused) {
	provoke(_i);
	ck_assert_int_eq(lock_slow(0, &context), -EINVAL);
	assert_heard("while others are locked");
	ck_assert(stile_ww_mutex_get_acquire(&m[0]) != &context);
	end_well(0);
}
END_TEST

/* M-10. Wrong code: only the contended one looked at. */
START_TEST(acquiring_more_after_edeadlk_is_told) {
	provoke(_i);
	ck_assert_int_eq(lock(3, &context), 0);
	assert_heard("still locked");
	end_well(0);
}
END_TEST

/*
 * M-10. Wrong code: -EDEADLK never comes together with a complaint; the first contended one
 * remembered.
 */
START_TEST(acquiring_more_and_edeadlk_again_is_told) {
	provoke(HELD);
	ck_assert_int_eq(lock(2, &context), -EDEADLK);
	assert_heard("still locked");
	end_well(2);
}
END_TEST

/* M-10. Wrong code: it waits for the wrong one, and has others. */
START_TEST(acquiring_more_the_slow_way_is_refused) {
	provoke(_i % CAUSES);
	/* Free, or held by the older one too. */
	size_t wrong = _i / CAUSES == 0 ? 3 : 2;
	ck_assert_int_eq(lock_slow(wrong, &context), -EINVAL);
	assert_heard("slow way");
	ck_assert(stile_ww_mutex_get_acquire(&m[wrong]) != &context);
	end_well(0);
}
END_TEST

/* M-10. Wrong code: whichever comes first will do. It is no error: the lock is there. */
START_TEST(another_one_first_after_edeadlk_is_told) {
	provoke(_i);
	unlock(1);
	ck_assert_int_eq(lock(3, &context), 0);
	assert_heard("another mutex of \"ww\" is locked first");
	end_well(0);
}
END_TEST

/* M-10. Wrong code: the slow way for what did not give -EDEADLK. */
START_TEST(another_one_the_slow_way_is_refused) {
	provoke(_i);
	unlock(1);
	ck_assert_int_eq(lock_slow(3, &context), -EINVAL);
	assert_heard("not the one that gave -EDEADLK");
	ck_assert(!stile_ww_mutex_is_locked(&m[3]));
	end_well(0);
}
END_TEST

/* M-3. Wrong code: the slow way does not look. */
START_TEST(slow_way_after_done_is_refused) {
	provoke(INJECTED);
	unlock(1);
	stile_ww_acquire_done(&context);
	ck_assert_int_eq(lock_slow(0, &context), -EINVAL);
	assert_heard("with an acquire context that is done");
	ck_assert(!stile_ww_mutex_is_locked(&m[0]));
	stile_ww_acquire_fini(&context);
}
END_TEST

/* M-10. Wrong code: the slow way as another name for lock. */
START_TEST(slow_way_for_nothing_is_refused) {
	use_checker(_i == 0);
	stile_ww_acquire_init(&context, &ww_class);
	ck_assert_int_eq(lock_slow(0, &context), -EINVAL);
	assert_heard("slow way");
	ck_assert_int_eq(lock(1, &context), 0);
	ck_assert_int_eq(lock_slow(0, &context), -EINVAL);
	assert_heard("slow way");
	ck_assert(!stile_ww_mutex_is_locked(&m[0]));
	unlock(1);
	stile_ww_acquire_fini(&context);
	assert_silent();
}
END_TEST

/* M-10. Wrong code: what gave -EDEADLK once may be locked the slow way for ever. */
START_TEST(slow_way_after_it_was_dealt_with_is_refused) {
	provoke(INJECTED);
	unlock(1);
	if (_i == 0) {
		stile_ww_acquire_skip(&context);
	} else {
		ck_assert_int_eq(lock(0, &context), 0);
		unlock(0);
	}
	ck_assert_int_eq(lock_slow(0, &context), -EINVAL);
	assert_heard("slow way");
	stile_ww_acquire_fini(&context);
}
END_TEST

/* ---- The order of locks ---------------------------------------------------------------------- */

/* How a mutex, or lock A, is taken first, and how a mutex is taken then. */
enum how { BLOCK, TRY, CONTEXT, OTHER_LOCK };

static void take_first(enum how how) {
	switch (how) {
	case BLOCK:
		ck_assert_int_eq(lock(0, NULL), 0);
		break;
	case TRY:
		ck_assert_int_eq(trylock(0, NULL), 0);
		break;
	case CONTEXT:
		ck_assert_int_eq(lock(0, &context), 0);
		break;
	case OTHER_LOCK:
		/* Inside a mutex once. */
		ck_assert_int_eq(lock(0, NULL), 0);
		take_a();
		give_a();
		unlock(0);
		take_a();
		break;
	}
}

static void give_first(enum how how) {
	if (how == OTHER_LOCK) {
		give_a();
	} else {
		unlock(0);
	}
}

struct nesting {
	const char *name;
	enum how first, second;
	const char *complaint; /* NULL: allowed */
};

#define TWICE "taking \"ww\" while holding \"ww\""
#define INSIDE_OUT "taking \"ww\" while holding \"lock A\""

static const struct nesting nestings[] = {
	{ "plain in a context", CONTEXT, BLOCK, TWICE },
	{ "trylock in a context", CONTEXT, TRY, NULL },
	{ "the same context", CONTEXT, CONTEXT, NULL },
	{ "plain in a trylock", TRY, BLOCK, TWICE },
	{ "two trylocks", TRY, TRY, NULL },
	{ "context in a trylock", TRY, CONTEXT, TWICE },
	{ "two plain ones", BLOCK, BLOCK, TWICE },
	{ "trylock in a plain one", BLOCK, TRY, NULL },
	{ "context in a plain one", BLOCK, CONTEXT, TWICE },
	{ "plain in another lock", OTHER_LOCK, BLOCK, INSIDE_OUT },
	{ "trylock in another lock", OTHER_LOCK, TRY, NULL },
	{ "context in another lock", OTHER_LOCK, CONTEXT, INSIDE_OUT },
};

/* M-14. Wrong code: all of a class may nest, or none; a trylock blocks; a trylock is not held. */
START_TEST(nesting_is_reported_if_it_may_hang) {
	const struct nesting *nesting = &nestings[_i];
	bool with_context = nesting->first == CONTEXT || nesting->second == CONTEXT;
	if (with_context) {
		stile_ww_acquire_init(&context, &ww_class);
	}
	take_first(nesting->first);
	ck_assert_msg(heard.count == 0, "%s, too early: %s", nesting->name, heard.last);
	int ret = nesting->second == TRY ? trylock(1, NULL)
					 : lock(1, nesting->second == CONTEXT ? &context : NULL);
	ck_assert_msg(ret == 0, "%s: %d", nesting->name, ret);
	int expected = nesting->complaint == NULL ? 0 : 1;
	ck_assert_msg(heard.count == expected, "%s: %d complaints: %s", nesting->name, heard.count,
		heard.last);
	ck_assert_msg(expected == 0 || strstr(heard.last, nesting->complaint) != NULL,
		"%s: no '%s' in: %s", nesting->name, nesting->complaint, heard.last);
	unlock(1);
	give_first(nesting->first);
	if (with_context) {
		stile_ww_acquire_fini(&context);
	}
	ck_assert_int_eq(heard.count, expected);
}
END_TEST

/* M-12, M-14. Wrong code: any mutex of the class taken for the one that is unlocked. */
START_TEST(unlocked_one_is_not_held_and_the_others_are) {
	stile_ww_acquire_init(&context, &ww_class);
	ck_assert_int_eq(lock(0, &context), 0);
	ck_assert_int_eq(trylock(1, NULL), 0);
	unlock((size_t)_i);
	/* Beside the other one of the context; inside the one that is of none. */
	ck_assert_int_eq(lock(2, &context), 0);
	if (_i == 0) {
		assert_heard(TWICE);
	}
	unlock(2);
	unlock(1 - (size_t)_i);
	stile_ww_acquire_fini(&context);
	assert_silent();
}
END_TEST

/* M-14. Wrong code: a context that has not locked anything yet is no danger. */
START_TEST(context_begun_while_one_of_its_class_is_locked_is_reported) {
	ck_assert_int_eq(_i == 0 ? lock(0, NULL) : trylock(0, NULL), 0);
	stile_ww_acquire_init(&context, &ww_class);
	assert_heard("taking \"acquire context\" while holding \"ww\"");
	stile_ww_acquire_fini(&context);
	unlock(0);
	assert_silent();
}
END_TEST

/* Wrong code: a lock inside several mutexes reported, or those that come after it. */
START_TEST(lock_that_is_always_inside_is_silent) {
	for (int round = 0; round < 2; round++) {
		stile_ww_acquire_init(&context, &ww_class);
		for (size_t i = 0; i < 3; i++) {
			take_a();
			give_a();
			ck_assert_int_eq(lock(i, &context), 0);
		}
		take_a();
		unlock(0);
		give_a();
		unlock(2);
		unlock(1);
		stile_ww_acquire_fini(&context);
		ck_assert_int_eq(lock(3, NULL), 0);
		take_a();
		give_a();
		unlock(3);
	}
	assert_silent();
}
END_TEST

/* Everything by which a mutex is not had; nothing is locked in the end. */
static void fail_to_lock(int how) {
	if (how < CAUSES) {
		provoke(how);
		unlock(1);
		others_leave();
		stile_ww_acquire_fini(&context);
		return;
	}
	stile_ww_acquire_init(&context, &ww_class);
	ck_assert_int_eq(lock(0, &context), 0);
	ck_assert_int_eq(lock(0, &context), -EALREADY);
	ck_assert_int_eq(trylock(0, &context), -EBUSY);
	ck_assert_int_eq(trylock(0, NULL), -EBUSY);
	ck_assert_int_eq(lock_slow(1, &context), -EINVAL);
	assert_heard("slow way");
	unlock(0);
	stile_ww_acquire_fini(&context);
}

/*
 * Wrong code: what was refused stays held for the checker, and is seen to be outside of all locks.
 */
START_TEST(what_was_not_locked_is_not_held) {
	fail_to_lock(_i);
	take_a();
	give_a();
	take_a();
	ck_assert_int_eq(lock(3, NULL), 0);
	unlock(3);
	give_a();
	assert_silent();
}
END_TEST

/* ---- Reservations --------------------------------------------------------------------------- */

static struct stile_resv resv;

static void resv_setup(void) {
	setup();
	stile_resv_init(&resv);
}

static void resv_teardown(void) {
	stile_resv_fini(&resv);
	teardown();
}

/* X-8 (2), X-7. Wrong code: reported only after a wait was seen under that lock. */
START_TEST(reservation_locked_in_a_section_is_reported_at_once) {
	bool with_context = _i == 1;
	if (with_context) {
		stile_resv_acquire_init(&context);
	}
	uint32_t cookie = stile_signalling_begin();
	ck_assert_int_eq(stile_resv_lock(&resv, with_context ? &context : NULL, NULL), 0);
	assert_heard("taking \"reservation\" inside a signalling section");
	stile_resv_unlock(&resv);
	stile_signalling_end(cookie);
	if (with_context) {
		stile_ww_acquire_fini(&context);
	}
	assert_silent();
}
END_TEST

/*
 * X-8 (2), X-7. Wrong code: a context begun in the section hides what is locked with it, the helper too;
 * it is reported only once something is.
 */
START_TEST(reservations_acquired_in_a_section_are_reported) {
	uint32_t cookie = stile_signalling_begin();
	int ret = 0;
	if (_i == 0) {
		stile_resv_acquire_init(&context);
		assert_heard("taking \"acquire context\" inside a signalling section");
		ck_assert_int_eq(stile_resv_lock(&resv, &context, NULL), 0);
		stile_resv_unlock(&resv);
		stile_ww_acquire_fini(&context);
	} else {
		struct stile_exec exec;
		stile_exec_init(&exec, 0, NULL);
		assert_heard("taking \"acquire context\" inside a signalling section");
		while (stile_exec_retry(&exec)) {
			ret = stile_exec_lock(&exec, &resv);
		}
		stile_exec_fini(&exec);
	}
	stile_signalling_end(cookie);
	ck_assert_int_eq(ret, 0);
	ck_assert_int_ge(heard.count, 1);
	ck_assert_msg(strstr(heard.last, "inside a signalling section") != NULL, "%s", heard.last);
}
END_TEST

/* Wrong code: a trylock, which cannot wait for anybody. */
START_TEST(reservation_tried_in_a_section_is_silent) {
	uint32_t cookie = stile_signalling_begin();
	ck_assert_int_eq(stile_resv_trylock(&resv), 0);
	stile_resv_unlock(&resv);
	stile_signalling_end(cookie);
	assert_silent();
}
END_TEST

/* Wrong code: only the reservation's lock itself, not what is held outside it. */
START_TEST(lock_outside_a_reservation_and_in_a_section_is_reported) {
	uint32_t cookie = stile_signalling_begin();
	take_a();
	give_a();
	stile_signalling_end(cookie);
	assert_silent();
	take_a();
	ck_assert_int_eq(stile_resv_lock(&resv, NULL, NULL), 0);
	assert_heard("taking \"reservation\" while holding \"lock A\"");
	stile_resv_unlock(&resv);
	give_a();
}
END_TEST

/* Wrong code: a wait or an allocation with the lock, which is what it is for. */
START_TEST(waiting_and_allocating_with_a_reservation_is_silent) {
	for (int round = 0; round < 2; round++) {
		stile_resv_acquire_init(&context);
		ck_assert_int_eq(stile_resv_lock(&resv, &context, NULL), 0);
		stile_might_alloc();
		stile_might_wait();
		/* From where a fence is there to be seen, until the unlock. */
		uint32_t cookie = stile_signalling_begin();
		stile_signalling_end(cookie);
		stile_resv_unlock(&resv);
		stile_ww_acquire_fini(&context);
	}
	assert_silent();
}
END_TEST

/* Wrong code: reported only where there is nothing left, which is when it is too late. */
START_TEST(need_of_memory_in_a_section_is_reported_where_it_may_be) {
	struct stile_resv other;
	struct stile_fence *fence = NULL;
	int ret = -1;
	stile_resv_init(&other);
	ck_assert_int_eq(stile_resv_trylock(&resv), 0);
	uint32_t cookie = stile_signalling_begin();
	switch (_i) {
	case 0:
		ret = stile_resv_reserve_fences(&resv, 1);
		break;
	case 1:
		ret = stile_resv_copy_fences(&resv, &other);
		break;
	case 2:
		ret = stile_resv_get_singleton(&other, STILE_RESV_BOOKKEEP, &fence);
		break;
	}
	assert_heard("allocating memory inside a signalling section");
	stile_signalling_end(cookie);
	stile_resv_unlock(&resv);
	stile_resv_fini(&other);
	ck_assert_int_eq(ret, 0);
	ck_assert_ptr_null(fence);
}
END_TEST

/* Wrong code: a wait that finds nothing to wait for is none. */
START_TEST(wait_for_nothing_is_one_too) {
	uint32_t cookie = stile_signalling_begin();
	take_a();
	give_a();
	stile_signalling_end(cookie);
	take_a();
	int64_t deadline_ns = _i == 0 ? 0 : INT64_MAX;
	ck_assert_int_eq(stile_resv_wait(&resv, STILE_RESV_BOOKKEEP, deadline_ns, NULL), 0);
	assert_heard("waiting for a fence while holding \"lock A\"");
	give_a();
}
END_TEST

static TCase *tcase_with_checker_create(const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, setup, teardown);
	return tcase;
}

static void add_contexts(Suite *s) {
	TCase *contexts = tcase_with_checker_create("contexts");
	tcase_add_test(contexts, lock_with_the_context_that_has_it_is_no_misuse);
	tcase_add_loop_test(contexts, normal_use_is_silent, 0, 2);
	tcase_add_loop_test(contexts, two_contexts_of_one_class_at_once_are_reported, 0, 2);
	tcase_add_test(contexts, contexts_of_two_threads_are_no_misuse);
	tcase_add_test(contexts, contexts_of_two_classes_nest_in_one_order);
	tcase_add_loop_test(contexts, context_of_another_class_is_refused, 0, 2);
	tcase_add_loop_test(contexts, done_twice_is_told, 0, 2);
	tcase_add_loop_test(contexts, context_that_ends_twice_is_told, 0, 2);
	tcase_add_loop_test(contexts, context_that_ends_with_locked_mutexes_is_told, 0, 2);
	tcase_add_loop_test(contexts, context_that_ends_on_another_thread_is_told, 0, 2);
	tcase_add_loop_test(contexts, lock_after_done_is_refused, 0, 2);
	tcase_add_loop_test(contexts, context_that_has_ended_is_refused, 0, 4);
	suite_add_tcase(s, contexts);

	TCase *mutexes = tcase_with_checker_create("mutexes");
	tcase_add_loop_test(mutexes, unlock_of_what_is_not_locked_is_told, 0, 2);
	tcase_add_loop_test(mutexes, unlock_by_another_thread_is_told, 0, 4);
	tcase_add_loop_test(mutexes, mutex_that_the_thread_has_already_is_refused, 0, 8);
	suite_add_tcase(s, mutexes);
}

static void add_after_edeadlk(Suite *s) {
	TCase *after = tcase_with_checker_create("after EDEADLK");
	tcase_add_loop_test(after, edeadlk_that_is_dealt_with_is_silent, 0, 3 * CAUSES);
	tcase_add_loop_test(
		after, contended_one_locked_without_unlocking_the_others_is_told, 0, CAUSES);
	tcase_add_loop_test(after, slow_way_without_unlocking_the_others_is_refused, 0, CAUSES);
	tcase_add_loop_test(after, acquiring_more_after_edeadlk_is_told, 0, CAUSES);
	tcase_add_test(after, acquiring_more_and_edeadlk_again_is_told);
	tcase_add_loop_test(after, acquiring_more_the_slow_way_is_refused, 0, 2 * CAUSES);
	tcase_add_loop_test(after, another_one_first_after_edeadlk_is_told, 0, CAUSES);
	tcase_add_loop_test(after, another_one_the_slow_way_is_refused, 0, CAUSES);
	tcase_add_test(after, slow_way_after_done_is_refused);
	tcase_add_loop_test(after, slow_way_for_nothing_is_refused, 0, 2);
	tcase_add_loop_test(after, slow_way_after_it_was_dealt_with_is_refused, 0, 2);
	suite_add_tcase(s, after);
}

static Suite *suite(void) {
	Suite *s = suite_create("ww_misuse");
	add_contexts(s);
	add_after_edeadlk(s);

	TCase *order = tcase_with_checker_create("order");
	tcase_add_loop_test(
		order, nesting_is_reported_if_it_may_hang, 0, (int)ARRAY_LENGTH(nestings));
	tcase_add_loop_test(order, unlocked_one_is_not_held_and_the_others_are, 0, 2);
	tcase_add_loop_test(
		order, context_begun_while_one_of_its_class_is_locked_is_reported, 0, 2);
	tcase_add_test(order, lock_that_is_always_inside_is_silent);
	tcase_add_loop_test(order, what_was_not_locked_is_not_held, 0, CAUSES + 1);
	suite_add_tcase(s, order);

	TCase *reservations = ledger_tcase_create("reservations");
	tcase_add_checked_fixture(reservations, resv_setup, resv_teardown);
	tcase_add_loop_test(
		reservations, reservation_locked_in_a_section_is_reported_at_once, 0, 2);
	tcase_add_loop_test(reservations, reservations_acquired_in_a_section_are_reported, 0, 2);
	tcase_add_test(reservations, reservation_tried_in_a_section_is_silent);
	tcase_add_test(reservations, lock_outside_a_reservation_and_in_a_section_is_reported);
	tcase_add_test(reservations, waiting_and_allocating_with_a_reservation_is_silent);
	tcase_add_loop_test(
		reservations, need_of_memory_in_a_section_is_reported_where_it_may_be, 0, 3);
	tcase_add_loop_test(reservations, wait_for_nothing_is_one_too, 0, 2);
	suite_add_tcase(s, reservations);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
