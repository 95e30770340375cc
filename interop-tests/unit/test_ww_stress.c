/* SPDX-License-Identifier: MIT */
/*
 * Transactions by chance: each thread locks a random set of mutexes in a random order, again and
 * again, by the mutexes' own functions with either algorithm, or by stile_exec over reservations;
 * KERNEL_CONTRACT section 7. At the end, no change of what they protect was lost, and every
 * transaction has come through.
 *
 * What is promised of a context is that it is never told to back off once it is the oldest (M-8,
 * M-9: only for an older one), and, as younger ones never become older (M-2), it gets there. That
 * is asserted of every attempt. How often one backs off before has no bound that could be asserted:
 * one that is woken may find a mutex taken again, by whoever was running.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <stile/exec.h>
#include <stile/resv.h>
#include <stile/wait.h>
#include <stile/ww_mutex.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum { MANY = 64, SET_MAX = 32, RUN_MS = 100, HANG_S = 60 };

enum flavour { WAIT_DIE = STILE_WW_WAIT_DIE, WOUND_WAIT = STILE_WW_WOUND_WAIT, EXEC, FLAVOURS };

static const struct size {
	size_t workers, objects;
} sizes[] = { { 2, 2 }, { 3, 8 }, { 16, 16 }, { 64, 2 }, { 64, 64 } };

static struct stile_ww_class classes[] = {
	[WAIT_DIE] = STILE_WW_CLASS("wait-die", STILE_WW_WAIT_DIE),
	[WOUND_WAIT] = STILE_WW_CLASS("wound-wait", STILE_WW_WOUND_WAIT),
};

/*
 * What is locked, and what that protects: not atomic, so that the thread sanitizer looks as well.
 */
static struct object {
	struct stile_ww_mutex mutex;
	struct stile_resv resv;
	uint64_t changes;
} objects[MANY];

enum { NOBODY = -1 };

struct worker {
	pthread_t thread;
	uint64_t dice;
	struct stile_ww_acquire acquire;
	struct stile_exec exec;
	struct stile_cancel token;
	size_t set[SET_MAX];
	size_t count;
	int contended; /* in the set */
	bool oldest;   /* now, and so to its end */
	uint64_t changes, commits;
	/* Under the registry. */
	bool is_live;
	uint64_t stamp;
};

static struct worker workers[MANY];
static size_t worker_count, object_count;
static enum flavour flavour;
static bool cancels;
static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool stop;
static atomic_size_t running;
static atomic_size_t back_offs; /* of all of them */
/* The first thing that went wrong: an assertion is for the main thread only. */
static _Atomic(const char *) wrong;

static void complain(const char *what) {
	const char *none = NULL;
	atomic_compare_exchange_strong(&wrong, &none, what);
}

static size_t roll(struct worker *worker, size_t below) {
	return (size_t)(runner_random(&worker->dice) % below);
}

/* With locks held, that is when others come in between. */
static void linger(struct worker *worker) {
	if (roll(worker, 4) == 0) {
		sched_yield();
	}
}

/* ---- Who is the oldest ---------------------------------------------------------------------- */

/* The stamp is taken and published in one: whoever is not live yet will be younger. */
static void begin(struct worker *worker) {
	pthread_mutex_lock(&registry);
	if (flavour == EXEC) {
		stile_exec_init(&worker->exec, 0, &worker->token);
		worker->stamp = worker->exec.acquire.stamp;
	} else {
		stile_ww_acquire_init(&worker->acquire, &classes[flavour]);
		worker->stamp = worker->acquire.stamp;
	}
	worker->is_live = true;
	pthread_mutex_unlock(&registry);
}

/* Nothing is locked any more. */
static void end(struct worker *worker) {
	pthread_mutex_lock(&registry);
	worker->is_live = false;
	/* So that the canceller finds either the token of this transaction or of the next one. */
	stile_cancel_init(&worker->token);
	pthread_mutex_unlock(&registry);
}

/* Before an attempt: nobody who is older will ever come. */
static void look_around(struct worker *worker) {
	bool oldest = true;
	pthread_mutex_lock(&registry);
	for (size_t i = 0; i < worker_count; i++) {
		bool older = workers[i].is_live && (int64_t)(workers[i].stamp - worker->stamp) < 0;
		oldest = oldest && !older;
	}
	pthread_mutex_unlock(&registry);
	worker->oldest = oldest;
}

static void note_back_off(struct worker *worker) {
	atomic_fetch_add(&back_offs, 1);
	if (worker->oldest) {
		complain("the oldest was told to back off");
	}
}

/* ---- Transactions --------------------------------------------------------------------------- */

static void choose_set(struct worker *worker) {
	size_t all[MANY];
	for (size_t i = 0; i < object_count; i++) {
		all[i] = i;
	}
	size_t most = object_count < SET_MAX ? object_count : SET_MAX;
	/* Rather few: most of the time some get through. */
	worker->count = 1 + roll(worker, 1 + roll(worker, most));
	for (size_t i = 0; i < worker->count; i++) {
		size_t other = i + roll(worker, object_count - i);
		worker->set[i] = all[other];
		all[other] = all[i];
	}
}

static void change(struct worker *worker, size_t i) {
	uint64_t before = objects[i].changes;
	linger(worker);
	objects[i].changes = before + 1;
	worker->changes++;
}

static void commit(struct worker *worker) {
	for (size_t i = 0; i < worker->count; i++) {
		change(worker, worker->set[i]);
	}
	worker->commits++;
}

static struct stile_ww_mutex *mutex_of(const struct worker *worker, size_t nth) {
	return &objects[worker->set[nth]].mutex;
}

static void unlock_all(struct worker *worker) {
	for (size_t i = 0; i < worker->count; i++) {
		if (stile_ww_mutex_get_acquire(mutex_of(worker, i)) == &worker->acquire) {
			stile_ww_mutex_unlock(mutex_of(worker, i));
		}
	}
}

/* The one that was in the way comes first, or in its turn like the others. */
static int lock_contended(struct worker *worker) {
	if (worker->contended == NOBODY) {
		return 0;
	}
	if (roll(worker, 8) == 0) {
		stile_ww_acquire_skip(&worker->acquire);
		worker->contended = NOBODY;
		return 0;
	}
	return stile_ww_mutex_lock_slow(
		mutex_of(worker, (size_t)worker->contended), &worker->acquire, &worker->token);
}

static int lock_nth(struct worker *worker, int nth) {
	struct stile_ww_mutex *mutex = mutex_of(worker, (size_t)nth);
	if (roll(worker, 8) == 0 && stile_ww_mutex_trylock(mutex, &worker->acquire) == 0) {
		return 0;
	}
	int ret = stile_ww_mutex_lock(mutex, &worker->acquire, &worker->token);
	if ((ret == -EALREADY) != (nth == worker->contended)) {
		complain("-EALREADY for another one than the contended one");
	}
	return ret == -EALREADY ? 0 : ret;
}

/* 0, with all of the set locked, -EDEADLK, or -EINTR. */
static int attempt(struct worker *worker) {
	look_around(worker);
	int ret = lock_contended(worker);
	if (ret == -EDEADLK) {
		complain("-EDEADLK from the slow way");
	}
	for (int i = 0; i < (int)worker->count && ret == 0; i++) {
		ret = lock_nth(worker, i);
		linger(worker);
		if (ret == -EDEADLK) {
			worker->contended = i;
			note_back_off(worker);
		}
	}
	return ret;
}

/* One mutex, without a context: everybody waits for it. */
static int transact_plain(struct worker *worker) {
	worker->count = 1;
	int ret = stile_ww_mutex_lock(mutex_of(worker, 0), NULL, &worker->token);
	if (ret == 0) {
		commit(worker);
		stile_ww_mutex_unlock(mutex_of(worker, 0));
	}
	return ret;
}

static int transact(struct worker *worker) {
	begin(worker);
	worker->contended = NOBODY;
	int ret;
	while ((ret = attempt(worker)) == -EDEADLK) {
		unlock_all(worker);
	}
	if (ret == 0) {
		stile_ww_acquire_done(&worker->acquire);
		commit(worker);
	}
	unlock_all(worker);
	stile_ww_acquire_fini(&worker->acquire);
	end(worker);
	return ret;
}

static int transact_exec(struct worker *worker) {
	begin(worker);
	int ret = 0;
	while (stile_exec_retry(&worker->exec)) {
		look_around(worker);
		ret = 0;
		for (size_t i = 0; i < worker->count && ret == 0; i++) {
			ret = stile_exec_lock(&worker->exec, &objects[worker->set[i]].resv);
			linger(worker);
		}
		if (ret == -EDEADLK) {
			note_back_off(worker);
		} else if (ret < 0) {
			break;
		}
	}
	if (ret == 0) {
		commit(worker);
	}
	stile_exec_fini(&worker->exec);
	end(worker);
	return ret;
}

/* Each one comes through before it stops, unless it is cancelled. */
static void *work(void *arg) {
	struct worker *worker = arg;
	do {
		choose_set(worker);
		int ret;
		if (flavour == EXEC) {
			ret = transact_exec(worker);
		} else if (roll(worker, 8) == 0) {
			ret = transact_plain(worker);
		} else {
			ret = transact(worker);
		}
		if (ret != 0 && !(cancels && ret == -EINTR)) {
			complain("a transaction failed");
		}
	} while (!atomic_load(&stop));
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/* ---- All of them ---------------------------------------------------------------------------- */

static void start(uint64_t *seed) {
	for (size_t i = 0; i < object_count; i++) {
		objects[i].changes = 0;
		stile_resv_init(&objects[i].resv);
		if (flavour != EXEC) {
			stile_ww_mutex_init(&objects[i].mutex, &classes[flavour]);
		}
	}
	atomic_store(&stop, false);
	atomic_store(&wrong, NULL);
	atomic_store(&running, worker_count);
	atomic_store(&back_offs, 0);
	for (size_t i = 0; i < worker_count; i++) {
		workers[i] = (struct worker){ .dice = runner_random(seed) };
		stile_cancel_init(&workers[i].token);
	}
	for (size_t i = 0; i < worker_count; i++) {
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
}

/* Until it is over, and then until everybody has ended. */
static void supervise(uint64_t *seed) {
	int64_t begun = runner_clock_ns();
	int64_t over = begun + RUN_MS * INT64_C(1000000);
	int64_t hangs = begun + HANG_S * INT64_C(1000000000);
	while (atomic_load(&running) > 0) {
		/* Where two never met, this was no test yet. */
		bool met = atomic_load(&back_offs) > 0;
		atomic_store(&stop, runner_clock_ns() >= (met ? over : hangs / 2 + begun / 2));
		if (cancels) {
			/* Whoever it is: waits, works, or is between two transactions. */
			pthread_mutex_lock(&registry);
			stile_cancel_raise(&workers[runner_random(seed) % worker_count].token);
			pthread_mutex_unlock(&registry);
			sched_yield();
		} else {
			runner_sleep_ms(1);
		}
		ck_assert_msg(runner_clock_ns() < hangs, "%zu of %zu workers hang, seed 0x%" PRIx64,
			atomic_load(&running), worker_count, runner_seed());
	}
}

static void look_back(void) {
	uint64_t changes = 0, seen = 0;
	for (size_t i = 0; i < worker_count; i++) {
		changes += workers[i].changes;
		ck_assert_msg(cancels || workers[i].commits > 0, "worker %zu did nothing", i);
	}
	for (size_t i = 0; i < object_count; i++) {
		seen += objects[i].changes;
		ck_assert(!stile_resv_is_locked(&objects[i].resv));
		stile_resv_fini(&objects[i].resv);
		ck_assert(flavour == EXEC || objects[i].mutex.owner == 0);
	}
	const char *what = atomic_load(&wrong);
	ck_assert_msg(what == NULL, "%s, seed 0x%" PRIx64, what, runner_seed());
	ck_assert_msg(changes == seen, "%" PRIu64 " changes, of which %" PRIu64 " are there",
		changes, seen);
	ck_assert_uint_gt(atomic_load(&back_offs), 0);
}

static void run(int which, bool with_cancels) {
	flavour = (enum flavour)(which % FLAVOURS);
	worker_count = sizes[which / FLAVOURS].workers;
	object_count = sizes[which / FLAVOURS].objects;
	cancels = with_cancels;
	uint64_t seed = runner_seed();
	start(&seed);
	supervise(&seed);
	for (size_t i = 0; i < worker_count; i++) {
		pthread_join(workers[i].thread, NULL);
	}
	look_back();
}

/*
 * M-2, M-7 to M-13, M-16, 7.1. Wrong code: a mutex that two have; a dead-lock; a wake-up lost; the
 * oldest told to back off.
 */
START_TEST(every_transaction_comes_through) {
	run(_i, false);
}
END_TEST

/* M-6. Wrong code: one that leaves a queue takes a wake-up with it, or a mutex, or stays there. */
START_TEST(cancelled_transactions_stop_nobody) {
	run(_i, true);
}
END_TEST

static Suite *suite(void) {
	enum { RUNS = (int)ARRAY_LENGTH(sizes) * FLAVOURS };
	Suite *s = suite_create("ww_stress");
	TCase *tcase = ledger_tcase_create("by chance");
	tcase_set_timeout(tcase, 100);
	tcase_add_loop_test(tcase, every_transaction_comes_through, 0, RUNS);
	tcase_add_loop_test(tcase, cancelled_transactions_stop_nobody, 0, RUNS);
	suite_add_tcase(s, tcase);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
