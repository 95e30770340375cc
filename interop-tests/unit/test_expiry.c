/* SPDX-License-Identifier: MIT */
/* Fences that depend on a program, and how they end by themselves: DESIGN section 3, X-2. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/fence.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
/* Long enough that a failure means a hang. */
#define HANG_NS (30 * SECOND)

static const char *debt_name(struct stile_fence *fence) {
	(void)fence;
	return "debt";
}

static void debt_free(struct stile_fence *fence) {
	free(fence);
}

/* Fences on the stack: the thread that ends one has a reference for a moment longer. */
static atomic_int alive;
static int owned; /* by the test */

static void debt_release(struct stile_fence *fence) {
	(void)fence;
	atomic_fetch_sub(&alive, 1);
}

static const struct stile_fence_ops user_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = debt_name,
	.get_timeline_name = debt_name,
	.release = debt_release,
	.flags = STILE_FENCE_USER,
};

static const struct stile_fence_ops heap_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = debt_name,
	.get_timeline_name = debt_name,
	.release = debt_free,
	.flags = STILE_FENCE_USER,
};

static const struct stile_fence_ops finite_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = debt_name,
	.get_timeline_name = debt_name,
	.release = debt_release,
};

/* What a callback saw. */
struct listener {
	struct stile_callback callback;
	atomic_int runs;
	pthread_t thread;
	int status;
	int64_t at_ns;
};

static void listener_run(struct stile_fence *fence, struct stile_callback *callback) {
	struct listener *listener = CONTAINER_OF(callback, struct listener, callback);
	listener->thread = pthread_self();
	listener->status = stile_fence_get_status(fence);
	listener->at_ns = runner_clock_ns();
	atomic_fetch_add(&listener->runs, 1);
}

static int listen_to(struct stile_fence *fence, struct listener *listener) {
	memset(listener, 0, sizeof(*listener));
	return stile_fence_add_callback(fence, &listener->callback, listener_run);
}

/* False: it took so long that it must be a hang. */
static bool listener_hears(struct listener *listener) {
	int64_t until = runner_clock_ns() + HANG_NS;
	while (listener->runs == 0 && runner_clock_ns() < until) {
		runner_sleep_ms(1);
	}
	return listener->runs > 0;
}

static void debt_init_as(struct stile_fence *fence, const struct stile_fence_ops *ops) {
	ck_assert_int_eq(stile_fence_init(fence, ops, 1, 1), 0);
	atomic_fetch_add(&alive, 1);
	owned++;
}

static void debt_init(struct stile_fence *fence) {
	debt_init_as(fence, &user_ops);
}

/* Drop the reference and wait until nobody else has one. */
static void debt_finish(struct stile_fence *fence) {
	owned--;
	stile_fence_unref(fence);
	int64_t until = runner_clock_ns() + HANG_NS;
	while (alive > owned && runner_clock_ns() < until) {
	}
	ck_assert_int_eq(alive, owned);
}

/* One that a callback was added to, which ends at this time. */
static void debt_arm(struct stile_fence *fence, struct listener *listener, int64_t expiry_ns) {
	debt_init(fence);
	ck_assert_int_eq(stile_fence_set_expiry(fence, expiry_ns), 0);
	ck_assert_int_eq(listen_to(fence, listener), 0);
}

/* Threads of the process that end fences. */
static int expiry_threads(void) {
	int count = 0;
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char path[300], name[32] = "";
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		FILE *file = fopen(path, "re");
		if (file != NULL) {
			count += fgets(name, sizeof(name), file) != NULL &&
				strncmp(name, "stile-expiry", 12) == 0;
			fclose(file);
		}
	}
	if (dir != NULL) {
		closedir(dir);
	}
	return count;
}

/*
 * The thread stays until the time of the last one that it knew, even if that one ended before. Have
 * it look again, and see it go: so that the next test starts without.
 */
static void thread_ends(void) {
	struct stile_fence fence;
	struct listener listener;
	debt_init(&fence);
	ck_assert_int_eq(listen_to(&fence, &listener), 0);
	ck_assert_int_eq(stile_fence_set_expiry(&fence, 1), 0);
	ck_assert(listener_hears(&listener));
	debt_finish(&fence);
	int64_t until = runner_clock_ns() + HANG_NS;
	while (expiry_threads() > 0 && runner_clock_ns() < until) {
		runner_sleep_ms(1);
	}
	ck_assert_int_eq(expiry_threads(), 0);
}

static TCase *expiry_tcase_create(const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, NULL, thread_ends);
	return tcase;
}

/* ---- What it says -------------------------------------------------------------------------- */

/* Wrong code: no owner, time from another clock, relative time, forgotten flag. */
START_TEST(user_fence_is_owed_by_this_process_for_ten_seconds) {
	struct stile_fence fence;
	int64_t before = runner_clock_ns();
	debt_init(&fence);
	int64_t after = runner_clock_ns();
	ck_assert(stile_fence_is_user(&fence));
	ck_assert_int_eq(stile_fence_get_owner(&fence), getpid());
	ck_assert_int_ge(stile_fence_get_expiry(&fence), before + 10 * SECOND);
	ck_assert_int_le(stile_fence_get_expiry(&fence), after + 10 * SECOND);
	ck_assert(!stile_fence_is_signaled(&fence));

	char text[256], owed[64];
	snprintf(owed, sizeof(owed), "owed by process %d within ", (int)getpid());
	stile_fence_describe(&fence, text, sizeof(text));
	ck_assert_msg(strstr(text, owed) != NULL, "%s", text);
	ck_assert_int_eq(stile_fence_set_expiry(&fence, INT64_MAX), 0);
	stile_fence_describe(&fence, text, sizeof(text));
	ck_assert_msg(strstr(text, "within") == NULL, "%s", text);
	debt_finish(&fence);
}
END_TEST

/* Wrong code: an expiry for a fence whose end somebody guarantees. */
START_TEST(finite_fence_has_no_expiry) {
	struct stile_fence fence;
	debt_init_as(&fence, &finite_ops);
	struct listener listener;
	ck_assert_int_eq(listen_to(&fence, &listener), 0);
	ck_assert(!stile_fence_is_user(&fence));
	ck_assert_int_eq(stile_fence_get_owner(&fence), 0);
	ck_assert_int_eq(stile_fence_get_expiry(&fence), INT64_MAX);
	ck_assert_int_eq(stile_fence_set_expiry(&fence, 1), -EINVAL);
	ck_assert_int_eq(stile_fence_get_expiry(&fence), INT64_MAX);
	ck_assert_int_eq(stile_fence_wait(&fence, runner_clock_ns() + 5 * MS), -ETIME);
	ck_assert_int_eq(stile_fence_get_status(&fence), 0);
	ck_assert_int_eq(expiry_threads(), 0);
	ck_assert(stile_fence_remove_callback(&fence, &listener.callback));
	debt_finish(&fence);
}
END_TEST

/* Wrong code: a time of 0 taken for "never", a negative one for long ago. */
START_TEST(impossible_expiry_is_refused) {
	static const int64_t times[] = { 0, -1, INT64_MIN };
	struct stile_fence fence;
	debt_init(&fence);
	int64_t before = stile_fence_get_expiry(&fence);
	ck_assert_int_eq(stile_fence_set_expiry(&fence, times[_i]), -EINVAL);
	ck_assert_int_eq(stile_fence_get_expiry(&fence), before);
	ck_assert_int_eq(stile_fence_get_status(&fence), 0);
	debt_finish(&fence);
}
END_TEST

/* ---- Who looks sees it --------------------------------------------------------------------- */

static bool by_is_signaled(struct stile_fence *fence) {
	return stile_fence_is_signaled(fence);
}

static bool by_is_signaled_locked(struct stile_fence *fence) {
	stile_fence_lock(fence);
	bool signaled = stile_fence_is_signaled_locked(fence);
	stile_fence_unlock(fence);
	return signaled;
}

static bool by_status(struct stile_fence *fence) {
	return stile_fence_get_status(fence) == -ETIMEDOUT;
}

static bool by_timestamp(struct stile_fence *fence) {
	return stile_fence_get_timestamp(fence) > 0;
}

static bool by_poll(struct stile_fence *fence) {
	return stile_fence_wait(fence, 0) == 0;
}

static bool by_wait(struct stile_fence *fence) {
	return stile_fence_wait(fence, runner_clock_ns() + HANG_NS) == 0;
}

static bool by_poll_any(struct stile_fence *fence) {
	return stile_fence_wait_any(&fence, 1, 0, NULL, NULL) == 0;
}

static bool by_wait_any(struct stile_fence *fence) {
	return stile_fence_wait_any(&fence, 1, runner_clock_ns() + HANG_NS, NULL, NULL) == 0;
}

static bool by_poll_all(struct stile_fence *fence) {
	return stile_fence_wait_all(&fence, 1, 0, NULL) == 0;
}

static bool by_wait_all(struct stile_fence *fence) {
	struct stile_fence *both[2] = { fence, fence };
	return stile_fence_wait_all(both, 2, runner_clock_ns() + HANG_NS, NULL) == 0;
}

struct look {
	const char *what;
	bool (*look)(struct stile_fence *fence);
};

static const struct look looks[] = {
	{ "is_signaled", by_is_signaled },
	{ "is_signaled_locked", by_is_signaled_locked },
	{ "get_status", by_status },
	{ "get_timestamp", by_timestamp },
	{ "wait, deadline 0", by_poll },
	{ "wait", by_wait },
	{ "wait_any, deadline 0", by_poll_any },
	{ "wait_any", by_wait_any },
	{ "wait_all, deadline 0", by_poll_all },
	{ "wait_all", by_wait_all },
};

/* Wrong code: one of the ways to look forgets the time, so that its user waits for ever. */
START_TEST(who_looks_at_an_overdue_fence_sees_it_ended) {
	const struct look *c = &looks[_i];
	struct stile_fence fence;
	debt_init(&fence);
	ck_assert_int_eq(stile_fence_set_expiry(&fence, runner_clock_ns() + 5 * MS), 0);
	runner_sleep_ms(6);
	int64_t begun = runner_clock_ns();
	ck_assert_msg(c->look(&fence), "%s", c->what);
	ck_assert_msg(runner_clock_ns() - begun < HANG_NS / 2, "%s: sleeps on", c->what);
	ck_assert_int_eq(stile_fence_get_status(&fence), -ETIMEDOUT);
	ck_assert_int_eq(stile_fence_set_error(&fence, -EIO), -EALREADY);
	stile_fence_signal(&fence);
	ck_assert_int_eq(stile_fence_get_status(&fence), -ETIMEDOUT);
	debt_finish(&fence);
}
END_TEST

/* The same for those who come before the time. */
START_TEST(who_waits_is_woken_by_the_expiry) {
	static bool (*const waits[])(
		struct stile_fence * fence) = { by_wait, by_wait_any, by_wait_all };
	struct stile_fence fence;
	debt_init(&fence);
	int64_t expiry = runner_clock_ns() + 30 * MS;
	ck_assert_int_eq(stile_fence_set_expiry(&fence, expiry), 0);
	ck_assert(waits[_i](&fence));
	ck_assert_int_ge(runner_clock_ns(), expiry);
	ck_assert_int_eq(stile_fence_get_status(&fence), -ETIMEDOUT);
	ck_assert_int_ge(stile_fence_get_timestamp(&fence), expiry);
	ck_assert_ptr_null(fence.first);
	debt_finish(&fence);
}
END_TEST

static int64_t op_deadline_ns;

static int note_deadline(struct stile_fence *fence, int64_t deadline_ns) {
	(void)fence;
	op_deadline_ns = deadline_ns;
	while (runner_clock_ns() < deadline_ns) {
		runner_sleep_ms(1);
	}
	return -ETIME;
}

/* Wrong code: an implementer's wait, which knows nothing of the expiry, told to sleep past it. */
START_TEST(wait_of_the_implementer_ends_with_the_expiry) {
	static const struct stile_fence_ops ops = {
		.size = sizeof(struct stile_fence_ops),
		.get_driver_name = debt_name,
		.get_timeline_name = debt_name,
		.release = debt_release,
		.wait = note_deadline,
		.flags = STILE_FENCE_USER,
	};
	struct stile_fence fence;
	debt_init_as(&fence, &ops);
	int64_t expiry = runner_clock_ns() + 20 * MS;
	ck_assert_int_eq(stile_fence_set_expiry(&fence, expiry), 0);
	ck_assert_int_eq(stile_fence_wait(&fence, expiry + 20 * MS), 0);
	ck_assert_int_eq(op_deadline_ns, expiry);
	ck_assert_int_eq(stile_fence_get_status(&fence), -ETIMEDOUT);
	debt_finish(&fence);
}
END_TEST

/* Wrong code: the later of two times slept for, or the fence ended because a wait was over. */
START_TEST(deadline_before_the_expiry_ends_the_wait_only) {
	struct stile_fence fence;
	debt_init(&fence);
	ck_assert_int_eq(stile_fence_wait(&fence, runner_clock_ns() + 5 * MS), -ETIME);
	ck_assert_int_eq(stile_fence_get_status(&fence), 0);
	debt_finish(&fence);
}
END_TEST

/* Wrong code: the time looked at before the state. */
START_TEST(fence_signalled_in_time_keeps_its_status) {
	struct stile_fence fence;
	struct listener listener;
	debt_arm(&fence, &listener, runner_clock_ns() + SECOND);
	stile_fence_signal(&fence);
	ck_assert_int_eq(stile_fence_set_expiry(&fence, runner_clock_ns() + 5 * MS), 0);
	runner_sleep_ms(10);
	for (size_t i = 0; i < ARRAY_LENGTH(looks); i++) {
		looks[i].look(&fence);
	}
	ck_assert_int_eq(stile_fence_get_status(&fence), 1);
	ck_assert_int_eq(listener.runs, 1);
	ck_assert_int_eq(listener.status, 1);
	debt_finish(&fence);
}
END_TEST

struct meeting {
	struct stile_fence fence;
	pthread_barrier_t start;
	bool first; /* the signaller says that it was */
	int status;
	int64_t timestamp_ns;
};

static void *meeting_run(void *arg) {
	struct meeting *meeting = arg;
	pthread_barrier_wait(&meeting->start);
	meeting->first = !stile_fence_check_and_signal(&meeting->fence);
	meeting->status = stile_fence_get_status(&meeting->fence);
	meeting->timestamp_ns = stile_fence_get_timestamp(&meeting->fence);
	return NULL;
}

/*
 * F-4: one end, however many there are. Nobody listens, so the signaller takes no lock. Wrong code: an
 * expiry that finds the fence pending, and then writes its error or time over those of the signaller.
 */
START_TEST(signal_and_expiry_that_meet_agree) {
	enum { ROUNDS = 3000 };
	for (int round = 0; round < ROUNDS; round++) {
		struct meeting meeting;
		memset(&meeting, 0, sizeof(meeting));
		debt_init(&meeting.fence);
		ck_assert_int_eq(stile_fence_set_expiry(&meeting.fence, 1), 0);
		pthread_barrier_init(&meeting.start, NULL, 2);
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, meeting_run, &meeting), 0);
		pthread_barrier_wait(&meeting.start);
		ck_assert(_i == 0 ? by_is_signaled(&meeting.fence)
				  : by_is_signaled_locked(&meeting.fence));
		int status = stile_fence_get_status(&meeting.fence);
		int64_t timestamp_ns = stile_fence_get_timestamp(&meeting.fence);
		pthread_join(thread, NULL);
		pthread_barrier_destroy(&meeting.start);
		ck_assert_int_eq(status, meeting.first ? 1 : -ETIMEDOUT);
		ck_assert_int_eq(meeting.status, status);
		ck_assert_int_eq(meeting.timestamp_ns, timestamp_ns);
		ck_assert_int_eq(stile_fence_get_status(&meeting.fence), status);
		ck_assert_int_eq(stile_fence_get_timestamp(&meeting.fence), timestamp_ns);
		debt_finish(&meeting.fence);
	}
}
END_TEST

/* ---- Who listens is told ------------------------------------------------------------------- */

/* Wrong code: nobody ends a fence that only callbacks wait for; ended before its time. */
START_TEST(callback_runs_at_the_expiry_on_the_librarys_thread) {
	struct stile_fence fence;
	struct listener listener;
	int64_t expiry = runner_clock_ns() + 20 * MS;
	debt_arm(&fence, &listener, expiry);
	ck_assert(listener_hears(&listener));
	ck_assert_int_eq(listener.status, -ETIMEDOUT);
	ck_assert_int_ge(listener.at_ns, expiry);
	ck_assert(!pthread_equal(listener.thread, pthread_self()));
	debt_finish(&fence);
}
END_TEST

static atomic_bool work_is_done;

static bool work_signaled(struct stile_fence *fence) {
	(void)fence;
	return work_is_done;
}

/* F-12. Wrong code: a time-out for work that was done in time, where nobody had looked. */
START_TEST(work_done_in_time_is_no_timeout) {
	static const struct stile_fence_ops ops = {
		.size = sizeof(struct stile_fence_ops),
		.get_driver_name = debt_name,
		.get_timeline_name = debt_name,
		.signaled = work_signaled,
		.release = debt_release,
		.flags = STILE_FENCE_USER,
	};
	work_is_done = false;
	struct stile_fence fence;
	struct listener listener;
	debt_init_as(&fence, &ops);
	ck_assert_int_eq(stile_fence_set_expiry(&fence, runner_clock_ns() + 20 * MS), 0);
	ck_assert_int_eq(listen_to(&fence, &listener), 0);
	work_is_done = true;
	ck_assert(listener_hears(&listener));
	ck_assert_int_eq(listener.status, 1);
	debt_finish(&fence);
}
END_TEST

/* F-12. Wrong code: a wait that looks at the clock and not at the work. */
START_TEST(wait_for_work_done_in_time_is_no_timeout) {
	static const struct stile_fence_ops ops = {
		.size = sizeof(struct stile_fence_ops),
		.get_driver_name = debt_name,
		.get_timeline_name = debt_name,
		.signaled = work_signaled,
		.release = debt_release,
		.flags = STILE_FENCE_USER,
	};
	work_is_done = true;
	struct stile_fence fence;
	debt_init_as(&fence, &ops);
	ck_assert_int_eq(
		stile_fence_set_expiry(&fence, runner_clock_ns() + (_i == 0 ? 20 * MS : 1)), 0);
	ck_assert_int_eq(stile_fence_wait(&fence, _i == 2 ? 0 : INT64_MAX), 0);
	ck_assert_int_eq(stile_fence_get_status(&fence), 1);
	debt_finish(&fence);
}
END_TEST

/* Wrong code: counts on the thread, which the system has refused. */
START_TEST(wait_any_needs_no_thread_to_see_the_expiry) {
	struct stile_fence fence;
	debt_init(&fence);
	struct stile_fence *const fences[] = { &fence };
	ck_assert_int_eq(stile_fence_set_expiry(&fence, runner_clock_ns() + 20 * MS), 0);
	failing_begin(1);
	int ret = stile_fence_wait_any(fences, 1, INT64_MAX, NULL, NULL);
	/* If there is a thread already, nothing had to fail. */
	(void)failing_end();
	ck_assert_int_eq(ret, 0);
	ck_assert_int_eq(stile_fence_get_status(&fence), -ETIMEDOUT);
	debt_finish(&fence);
}
END_TEST

/* Wrong code: the thread sleeps on until the first time it knew. */
START_TEST(expiry_moved_earlier_while_armed_counts) {
	struct stile_fence fence;
	struct listener listener;
	debt_arm(&fence, &listener, runner_clock_ns() + 1000 * SECOND);
	runner_sleep_ms(5);
	ck_assert_int_eq(listener.runs, 0);
	ck_assert_int_eq(stile_fence_set_expiry(&fence, runner_clock_ns() + MS), 0);
	ck_assert(listener_hears(&listener));
	ck_assert_int_eq(listener.status, -ETIMEDOUT);
	debt_finish(&fence);
}
END_TEST

/* Wrong code: ended at the time that was taken back; or forgotten afterwards. */
START_TEST(expiry_moved_later_while_armed_counts) {
	struct stile_fence fence;
	struct listener listener;
	debt_arm(&fence, &listener, runner_clock_ns() + 20 * MS);
	int64_t expiry = runner_clock_ns() + 60 * MS;
	ck_assert_int_eq(stile_fence_set_expiry(&fence, expiry), 0);
	ck_assert(listener_hears(&listener));
	ck_assert_int_ge(listener.at_ns, expiry);
	debt_finish(&fence);
}
END_TEST

/* Wrong code: only fences that had a time when the callback was added are looked after. */
START_TEST(expiry_set_after_the_callback_counts) {
	struct stile_fence fence;
	struct listener listener;
	debt_arm(&fence, &listener, INT64_MAX);
	ck_assert_int_eq(expiry_threads(), 0);
	ck_assert_int_eq(stile_fence_set_expiry(&fence, runner_clock_ns() + MS), 0);
	ck_assert(listener_hears(&listener));
	debt_finish(&fence);
}
END_TEST

/* Wrong code: a thread that sleeps for ever for a fence that never expires. */
START_TEST(expiry_may_be_taken_away_and_given_back) {
	struct stile_fence fence;
	struct listener listener;
	debt_arm(&fence, &listener, runner_clock_ns() + 20 * MS);
	ck_assert_int_eq(stile_fence_set_expiry(&fence, INT64_MAX), 0);
	int64_t until = runner_clock_ns() + HANG_NS;
	while (expiry_threads() > 0 && runner_clock_ns() < until) {
		runner_sleep_ms(1);
	}
	ck_assert_int_eq(expiry_threads(), 0);
	ck_assert_int_eq(listener.runs, 0);
	ck_assert_int_eq(stile_fence_set_expiry(&fence, runner_clock_ns() + MS), 0);
	ck_assert(listener_hears(&listener));
	debt_finish(&fence);
}
END_TEST

/* Wrong code: "armed" remembered although it was taken out when nobody listened. */
START_TEST(callback_added_again_is_looked_after_again) {
	struct stile_fence fence;
	struct listener listener;
	debt_arm(&fence, &listener, runner_clock_ns() + 100 * SECOND);
	ck_assert(stile_fence_remove_callback(&fence, &listener.callback));
	ck_assert_int_eq(stile_fence_set_expiry(&fence, INT64_MAX), 0);
	ck_assert_int_eq(stile_fence_set_expiry(&fence, runner_clock_ns() + 20 * MS), 0);
	ck_assert_int_eq(listen_to(&fence, &listener), 0);
	ck_assert(listener_hears(&listener));
	debt_finish(&fence);
}
END_TEST

/*
 * Moved at the very moment at which it is due. Wrong code: taken out by the thread, found not to be
 * due after all, and lost.
 */
START_TEST(expiry_moved_when_due_is_not_lost) {
	enum { ROUNDS = 400 };
	uint64_t random = runner_seed();
	for (int round = 0; round < ROUNDS; round++) {
		struct stile_fence fence;
		struct listener listener;
		int64_t due = runner_clock_ns() + 200000;
		debt_arm(&fence, &listener, due);
		int64_t until = due + (int64_t)(runner_random(&random) % 100000) - 20000;
		while (runner_clock_ns() < until) {
		}
		ck_assert_int_eq(stile_fence_set_expiry(&fence, runner_clock_ns() + 300000), 0);
		ck_assert_msg(listener_hears(&listener), "round %d", round);
		debt_finish(&fence);
	}
}
END_TEST

static int64_t look_ns;

static void *look_when_due(void *arg) {
	while (runner_clock_ns() < look_ns) {
	}
	by_is_signaled(arg);
	return NULL;
}

/*
 * Whoever has moved it relies on that, if the fence has not ended by then. Wrong code: found overdue, and ended
 * for that after it was moved.
 */
START_TEST(expiry_that_was_moved_away_is_over) {
	for (int round = 0; round < 20; round++) {
		struct stile_fence fence;
		pthread_t thread;
		debt_init(&fence);
		look_ns = runner_clock_ns() + MS;
		ck_assert_int_eq(stile_fence_set_expiry(&fence, look_ns), 0);
		stile_fence_lock(&fence);
		ck_assert_int_eq(pthread_create(&thread, NULL, look_when_due, &fence), 0);
		runner_sleep_ms(10);
		stile_fence_unlock(&fence);
		ck_assert_int_eq(stile_fence_set_expiry(&fence, INT64_MAX), 0);
		int status = stile_fence_get_status(&fence);
		pthread_join(thread, NULL);
		ck_assert_int_eq(stile_fence_get_status(&fence), status);
		debt_finish(&fence);
	}
}
END_TEST

/* Wrong code: the thread still knows memory that has gone (address sanitizer). */
START_TEST(armed_fence_may_go) {
	for (int round = 0; round < 50; round++) {
		struct stile_fence *fence = malloc(sizeof(*fence));
		ck_assert_ptr_nonnull(fence);
		ck_assert_int_eq(stile_fence_init(fence, &heap_ops, 1, 1), 0);
		struct listener listener;
		ck_assert_int_eq(listen_to(fence, &listener), 0);
		ck_assert_int_eq(
			stile_fence_set_expiry(fence, runner_clock_ns() + round * 100000 + 1), 0);
		bool removed = stile_fence_remove_callback(fence, &listener.callback);
		stile_fence_unref(fence);
		ck_assert_int_eq(listener.runs, !removed);
	}
	runner_sleep_ms(6);
}
END_TEST

/* F-20 comes before. Wrong code: the thread ends it again, or keeps it. */
START_TEST(abandoned_armed_fence_ends_once) {
	struct stile_fence fence;
	struct listener listener;
	ledger_expect_complaint("the last reference of pending fence");
	debt_arm(&fence, &listener, runner_clock_ns() + SECOND);
	debt_finish(&fence);
	ck_assert_int_eq(listener.status, -EDEADLK);
	ck_assert_int_eq(listener.runs, 1);
}
END_TEST

enum { CROWD = 1000 };

struct member {
	struct stile_fence fence;
	struct stile_callback callback;
	int64_t expiry_ns;
};

/* Written by the one thread that ends them. */
static struct crowd {
	struct member members[CROWD];
	int64_t last_ns;
	int disorder, early;
	atomic_int ended;
} crowd;

static void member_ended(struct stile_fence *fence, struct stile_callback *callback) {
	const struct member *member = CONTAINER_OF(callback, struct member, callback);
	(void)fence;
	crowd.disorder += member->expiry_ns < crowd.last_ns;
	crowd.early += runner_clock_ns() < member->expiry_ns;
	crowd.last_ns = member->expiry_ns;
	atomic_fetch_add(&crowd.ended, 1);
}

/* Wrong code: a list that is searched for the first one only sometimes; equal times lost. */
START_TEST(many_armed_fences_end_in_order_of_their_times) {
	uint64_t random = runner_seed();
	memset(&crowd, 0, sizeof(crowd));
	int64_t base = runner_clock_ns() + SECOND;
	for (size_t i = 0; i < CROWD; i++) {
		struct member *member = &crowd.members[i];
		member->expiry_ns = base + (int64_t)(runner_random(&random) % 500) * MS / 2;
		debt_init(&member->fence);
		ck_assert_int_eq(stile_fence_set_expiry(&member->fence, member->expiry_ns), 0);
		ck_assert_int_eq(
			stile_fence_add_callback(&member->fence, &member->callback, member_ended),
			0);
	}
	bool all_in_time = runner_clock_ns() < base;
	int64_t until = runner_clock_ns() + HANG_NS;
	while (crowd.ended < CROWD && runner_clock_ns() < until) {
		runner_sleep_ms(1);
	}
	ck_assert_int_eq(crowd.ended, CROWD);
	ck_assert_int_eq(crowd.early, 0);
	/* On a machine that stood still meanwhile, late ones came in any order. */
	ck_assert(crowd.disorder == 0 || !all_in_time);
	for (size_t i = 0; i < CROWD; i++) {
		ck_assert_int_eq(stile_fence_get_status(&crowd.members[i].fence), -ETIMEDOUT);
		debt_finish(&crowd.members[i].fence);
	}
}
END_TEST

/* Wrong code: a refused thread is taken for a running one, and no fence ends ever after. */
START_TEST(refused_thread_is_asked_for_again) {
	struct stile_fence first, second;
	struct listener heard_first, heard_second;
	debt_init(&first);
	ck_assert_int_eq(stile_fence_set_expiry(&first, runner_clock_ns() + MS), 0);
	failing_begin(1);
	int ret = listen_to(&first, &heard_first);
	const char *failed = failing_end();
	ck_assert_int_eq(ret, 0);
	ck_assert_ptr_nonnull(failed);
	ck_assert_str_eq(failed, "pthread_create");
	ck_assert_int_eq(expiry_threads(), 0);

	debt_arm(&second, &heard_second, runner_clock_ns() + 5 * MS);
	ck_assert(listener_hears(&heard_second));
	ck_assert(listener_hears(&heard_first));
	debt_finish(&first);
	debt_finish(&second);
}
END_TEST

/* ---- Moved while somebody sleeps ----------------------------------------------------------- */

struct sleeper {
	struct stile_fence fence;
	atomic_bool started;
	int64_t deadline_ns;
	int ret;
	int64_t woke_ns;
	pthread_t thread;
};

static void *sleeper_run(void *arg) {
	struct sleeper *sleeper = arg;
	sleeper->started = true;
	sleeper->ret = stile_fence_wait(&sleeper->fence, sleeper->deadline_ns);
	sleeper->woke_ns = runner_clock_ns();
	return NULL;
}

static void sleeper_start(struct sleeper *sleeper, int64_t expiry_ns) {
	memset(sleeper, 0, sizeof(*sleeper));
	debt_init(&sleeper->fence);
	ck_assert_int_eq(stile_fence_set_expiry(&sleeper->fence, expiry_ns), 0);
	sleeper->deadline_ns = runner_clock_ns() + HANG_NS;
	ck_assert_int_eq(pthread_create(&sleeper->thread, NULL, sleeper_run, sleeper), 0);
	while (!sleeper->started) {
	}
}

/*
 * Moved when somebody sleeps, or is just about to. Wrong code: the sleeper is not woken; or is woken
 * only if it slept already, and goes to sleep until the time that it read before.
 */
START_TEST(sleeper_follows_an_expiry_moved_earlier) {
	enum { ROUNDS = 3000 };
	uint64_t random = runner_seed();
	for (int round = 0; round < ROUNDS; round++) {
		struct sleeper sleeper;
		sleeper_start(&sleeper, INT64_MAX);
		if (round == 0) {
			runner_sleep_ms(10);
		}
		for (uint64_t spin = runner_random(&random) % 3000; spin > 0; spin--) {
			atomic_signal_fence(memory_order_seq_cst);
		}
		ck_assert_int_eq(stile_fence_set_expiry(&sleeper.fence, 1), 0);
		pthread_join(sleeper.thread, NULL);
		ck_assert_int_eq(sleeper.ret, 0);
		ck_assert_msg(sleeper.woke_ns < sleeper.deadline_ns - HANG_NS / 2,
			"round %d: slept until its deadline", round);
		ck_assert_int_eq(stile_fence_get_status(&sleeper.fence), -ETIMEDOUT);
		debt_finish(&sleeper.fence);
	}
}
END_TEST

/* Wrong code: the sleeper ends the fence at the time it read first. */
START_TEST(sleeper_follows_an_expiry_moved_later) {
	struct sleeper sleeper;
	int64_t expiry = runner_clock_ns() + 20 * MS;
	sleeper_start(&sleeper, expiry);
	ck_assert_int_eq(stile_fence_set_expiry(&sleeper.fence, expiry + 30 * MS), 0);
	pthread_join(sleeper.thread, NULL);
	ck_assert_int_eq(sleeper.ret, 0);
	ck_assert_int_ge(sleeper.woke_ns, expiry + 30 * MS);
	debt_finish(&sleeper.fence);
}
END_TEST

/* Wrong code: a wake-up by a moved time taken for the end. */
START_TEST(sleeper_outlives_many_moves) {
	struct sleeper sleeper;
	sleeper_start(&sleeper, INT64_MAX);
	for (int i = 0; i < 1000; i++) {
		int64_t expiry = i % 2 == 0 ? INT64_MAX : runner_clock_ns() + HANG_NS;
		ck_assert_int_eq(stile_fence_set_expiry(&sleeper.fence, expiry), 0);
	}
	stile_fence_signal(&sleeper.fence);
	pthread_join(sleeper.thread, NULL);
	ck_assert_int_eq(sleeper.ret, 0);
	ck_assert_int_eq(stile_fence_get_status(&sleeper.fence), 1);
	debt_finish(&sleeper.fence);
}
END_TEST

/* ---- Fork ---------------------------------------------------------------------------------- */

/* Arm one and see it end; 0: it did. */
static int arm_and_hear(void) {
	static struct stile_fence fence;
	static struct listener listener;
	if (stile_fence_init(&fence, &user_ops, 1, 1) != 0 ||
		stile_fence_set_expiry(&fence, runner_clock_ns() + MS) != 0 ||
		listen_to(&fence, &listener) != 0 || !listener_hears(&listener)) {
		return 1;
	}
	return listener.status == -ETIMEDOUT && stile_fence_get_owner(&fence) == getpid() ? 0 : 2;
}

/* A parent whose thread runs, and its child. */
static int forker(void) {
	struct stile_fence fence;
	struct listener listener;
	runner_require(stile_fence_init(&fence, &user_ops, 1, 1) == 0, "init");
	runner_require(listen_to(&fence, &listener) == 0, "add_callback");
	runner_require(expiry_threads() == 1, "no thread");
	pid_t pid = fork();
	runner_require(pid >= 0, "no child");
	if (pid == 0) {
		alarm(60);
		_exit(arm_and_hear());
	}
	int in_child = runner_reap(pid);
	int in_parent = arm_and_hear();
	stile_fence_signal(&fence);
	return in_child != 0 ? 10 + in_child : in_parent;
}

/*
 * Wrong code: the child believes that its parent's thread is its own. (The thread sanitizer does not
 * let a child of a program with threads start any.)
 */
#ifndef __SANITIZE_THREAD__
START_TEST(forked_child_has_a_thread_of_its_own) {
	ck_assert_int_eq(runner_reap(runner_spawn("forker", NULL, 0)), 0);
}
END_TEST
#endif

static Suite *suite(void) {
	Suite *s = suite_create("expiry");
	TCase *says = expiry_tcase_create("what it says");
	tcase_add_test(says, user_fence_is_owed_by_this_process_for_ten_seconds);
	tcase_add_test(says, finite_fence_has_no_expiry);
	tcase_add_loop_test(says, impossible_expiry_is_refused, 0, 3);
	suite_add_tcase(s, says);

	TCase *look = expiry_tcase_create("who looks");
	tcase_add_loop_test(
		look, who_looks_at_an_overdue_fence_sees_it_ended, 0, ARRAY_LENGTH(looks));
	tcase_add_loop_test(look, who_waits_is_woken_by_the_expiry, 0, 3);
	tcase_add_test(look, wait_of_the_implementer_ends_with_the_expiry);
	tcase_add_test(look, deadline_before_the_expiry_ends_the_wait_only);
	tcase_add_test(look, fence_signalled_in_time_keeps_its_status);
	tcase_add_loop_test(look, signal_and_expiry_that_meet_agree, 0, 2);
	suite_add_tcase(s, look);

	TCase *listen = expiry_tcase_create("who listens");
	tcase_add_test(listen, callback_runs_at_the_expiry_on_the_librarys_thread);
	tcase_add_test(listen, work_done_in_time_is_no_timeout);
	tcase_add_loop_test(listen, wait_for_work_done_in_time_is_no_timeout, 0, 3);
	tcase_add_test(listen, wait_any_needs_no_thread_to_see_the_expiry);
	tcase_add_test(listen, expiry_moved_earlier_while_armed_counts);
	tcase_add_test(listen, expiry_moved_later_while_armed_counts);
	tcase_add_test(listen, expiry_set_after_the_callback_counts);
	tcase_add_test(listen, expiry_may_be_taken_away_and_given_back);
	tcase_add_test(listen, callback_added_again_is_looked_after_again);
	tcase_add_test(listen, expiry_moved_when_due_is_not_lost);
	tcase_add_test(listen, expiry_that_was_moved_away_is_over);
	tcase_add_test(listen, armed_fence_may_go);
	tcase_add_test(listen, abandoned_armed_fence_ends_once);
	tcase_add_test(listen, many_armed_fences_end_in_order_of_their_times);
	tcase_add_test(listen, refused_thread_is_asked_for_again);
	suite_add_tcase(s, listen);

	TCase *sleep = expiry_tcase_create("who sleeps");
	tcase_add_test(sleep, sleeper_follows_an_expiry_moved_earlier);
	tcase_add_test(sleep, sleeper_follows_an_expiry_moved_later);
	tcase_add_test(sleep, sleeper_outlives_many_moves);
	suite_add_tcase(s, sleep);

#ifndef __SANITIZE_THREAD__
	TCase *fork_case = expiry_tcase_create("fork");
	tcase_add_test(fork_case, forked_child_has_a_thread_of_its_own);
	suite_add_tcase(s, fork_case);
#endif
	return s;
}

static const struct runner_role roles[] = {
	{ "forker", forker },
	{ NULL, NULL },
};

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, roles);
}
