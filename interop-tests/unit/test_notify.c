/* SPDX-License-Identifier: MIT */
/* Notifications: what an application's loop gets to hear of fences. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <stile/device.h>
#include <stile/fence.h>
#include <stile/notify.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

static struct stile_device *device;
static struct stile_fence *fence;

static int fences_before;

static void setup(void) {
	fences_before = plain_fence_count();
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
	fence = plain_fence_create();
}

static void teardown(void) {
	stile_fence_unref(fence);
	stile_device_destroy(device);
	ck_assert_int_eq(plain_fence_count(), fences_before);
}

struct note {
	struct stile_notify notify;
	int runs;
	int saw_status;
	struct stile_fence *again; /* a fence to be told of next; NULL: none */
	int again_ret;
	struct note *cancels; /* another one to take back; NULL: none */
	bool cancelled;
};

static void note_init(struct note *note) {
	*note = (struct note){ 0 };
	stile_notify_init(&note->notify, device);
}

static void note_run(struct stile_fence *done, struct stile_notify *notify, void *user) {
	struct note *note = user;
	ck_assert_ptr_eq(notify, &note->notify);
	note->runs++;
	note->saw_status = stile_fence_get_status(done);
	if (note->again != NULL) {
		note->again_ret = stile_fence_notify(note->again, notify, note_run, user);
	}
	if (note->cancels != NULL) {
		note->cancelled = stile_notify_cancel(&note->cancels->notify);
	}
}

static void note_ask(struct note *note, struct stile_fence *about) {
	ck_assert_int_eq(stile_fence_notify(about, &note->notify, note_run, note), 0);
}

static bool due(void) {
	return plain_fd_is_readable(stile_device_get_fd(device));
}

/* Wrong code: the function run by the signaller, or twice. */
START_TEST(notification_runs_from_dispatch_only) {
	struct note note;
	note_init(&note);
	note_ask(&note, fence);
	ck_assert_int_eq(stile_device_dispatch(device), 0);
	stile_fence_set_error(fence, -EIO);
	stile_fence_signal(fence);
	ck_assert_int_eq(note.runs, 0);
	ck_assert_int_eq(stile_device_dispatch(device), 1);
	ck_assert_int_eq(note.runs, 1);
	ck_assert_int_eq(note.saw_status, -EIO);
	ck_assert_int_eq(stile_device_dispatch(device), 0);
	ck_assert_int_eq(note.runs, 1);
}
END_TEST

/* Wrong code: -ENOENT of add_callback passed on, or the function run at once. */
START_TEST(notification_of_signalled_fence_runs_from_dispatch_too) {
	stile_fence_signal(fence);
	struct note note;
	note_init(&note);
	note_ask(&note, fence);
	ck_assert_int_eq(note.runs, 0);
	ck_assert(due());
	ck_assert_int_eq(stile_device_dispatch(device), 1);
	ck_assert_int_eq(note.runs, 1);
}
END_TEST

/* Wrong code: a list that is a stack. */
START_TEST(notifications_run_in_the_order_they_became_due) {
	struct stile_fence *other = plain_fence_create();
	struct note first, second;
	note_init(&first);
	note_init(&second);
	note_ask(&first, fence);
	note_ask(&second, other);
	stile_fence_signal(other);
	stile_fence_signal(fence);
	/* The one that is due later is taken back by the other: it did not run before. */
	second.cancels = &first;
	ck_assert_int_eq(stile_device_dispatch(device), 1);
	ck_assert(second.cancelled);
	ck_assert_int_eq(first.runs, 0);
	stile_fence_unref(other);
}
END_TEST

/* Wrong code: the node queued twice. */
START_TEST(notification_in_use_is_ebusy) {
	struct note note;
	note_init(&note);
	note_ask(&note, fence);
	ck_assert_int_eq(stile_fence_notify(fence, &note.notify, note_run, &note), -EBUSY);
	stile_fence_signal(fence);
	ck_assert_int_eq(stile_fence_notify(fence, &note.notify, note_run, &note), -EBUSY);
	ck_assert_int_eq(stile_device_dispatch(device), 1);
	ck_assert_int_eq(note.runs, 1);
	note_ask(&note, fence);
	ck_assert_int_eq(stile_device_dispatch(device), 1);
	ck_assert_int_eq(note.runs, 2);
}
END_TEST

/* ---- Taking it back ------------------------------------------------------------------------ */

START_TEST(cancel_of_idle_notification_is_false) {
	struct note note;
	note_init(&note);
	ck_assert(!stile_notify_cancel(&note.notify));
	stile_fence_signal(fence);
	note_ask(&note, fence);
	ck_assert_int_eq(stile_device_dispatch(device), 1);
	ck_assert(!stile_notify_cancel(&note.notify));
}
END_TEST

/* Wrong code: the callback left on the fence. */
START_TEST(cancelled_while_waiting_never_runs) {
	struct note note;
	note_init(&note);
	note_ask(&note, fence);
	ck_assert(stile_notify_cancel(&note.notify));
	ck_assert(!stile_notify_cancel(&note.notify));
	stile_fence_signal(fence);
	ck_assert(!due());
	ck_assert_int_eq(stile_device_dispatch(device), 0);
	ck_assert_int_eq(note.runs, 0);
}
END_TEST

/* Wrong code: a list cut at its head, middle or tail; the tail pointer left behind. */
START_TEST(cancelled_while_due_never_runs_and_others_do) {
	struct note notes[3], late;
	stile_fence_signal(fence);
	for (size_t i = 0; i < ARRAY_LENGTH(notes); i++) {
		note_init(&notes[i]);
		note_ask(&notes[i], fence);
	}
	ck_assert(stile_notify_cancel(&notes[_i].notify));
	ck_assert(!stile_notify_cancel(&notes[_i].notify));
	note_init(&late);
	note_ask(&late, fence);
	ck_assert_int_eq(stile_device_dispatch(device), 3);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(notes[i].runs, i != _i);
	}
	ck_assert_int_eq(late.runs, 1);
}
END_TEST

/* ---- The descriptor ------------------------------------------------------------------------ */

/* Wrong code: readable although nothing is due, so that a loop spins; or the reverse, and it sleeps. */
START_TEST(descriptor_is_readable_just_while_something_is_due) {
	struct note first, second;
	note_init(&first);
	note_init(&second);
	ck_assert(!due());
	note_ask(&first, fence);
	note_ask(&second, fence);
	ck_assert(!due());
	stile_fence_signal(fence);
	ck_assert(due());
	ck_assert(due());
	ck_assert(stile_notify_cancel(&first.notify));
	ck_assert(due());
	ck_assert(stile_notify_cancel(&second.notify));
	ck_assert(!due());
	note_ask(&first, fence);
	ck_assert(due());
	ck_assert_int_eq(stile_device_dispatch(device), 1);
	ck_assert(!due());
}
END_TEST

/*
 * Wrong code: dispatch until the list is empty, which never ends here; or a cleared descriptor with
 * something due.
 */
START_TEST(notification_may_be_asked_for_again_from_its_function) {
	struct note note;
	note_init(&note);
	note.again = fence;
	stile_fence_signal(fence);
	note_ask(&note, fence);
	for (int round = 1; round <= 3; round++) {
		ck_assert(due());
		ck_assert_int_eq(stile_device_dispatch(device), 1);
		ck_assert_int_eq(note.runs, round);
		ck_assert_int_eq(note.again_ret, 0);
	}
	ck_assert(due());
	note.again = NULL;
	ck_assert_int_eq(stile_device_dispatch(device), 1);
	ck_assert(!due());
}
END_TEST

static void free_run(struct stile_fence *done, struct stile_notify *notify, void *user) {
	stile_fence_unref(done);
	free(notify);
	++*(int *)user;
}

/* Wrong code: node or fence touched after fn was entered; the address sanitizer sees it. */
START_TEST(function_may_free_its_node_and_the_fence) {
	struct stile_notify *notify = malloc(sizeof(*notify));
	ck_assert_ptr_nonnull(notify);
	stile_notify_init(notify, device);
	struct stile_fence *only = plain_fence_create();
	int runs = 0;
	ck_assert_int_eq(stile_fence_notify(only, notify, free_run, &runs), 0);
	stile_fence_signal(only);
	ck_assert_int_eq(stile_device_dispatch(device), 1);
	ck_assert_int_eq(runs, 1);
	ck_assert_int_eq(plain_fence_count(), fences_before + 1);
}
END_TEST

/* ---- The device goes first ----------------------------------------------------------------- */

/* Wrong code: the fence's reference lost; a node of a dead device called or touched. */
START_TEST(destroy_drops_what_is_due) {
	struct note note;
	note_init(&note);
	note_ask(&note, fence);
	stile_fence_signal(fence);
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(note.runs, 0);
}
END_TEST

START_TEST(fence_signalled_after_destroy_calls_nobody) {
	struct note note;
	note_init(&note);
	note_ask(&note, fence);
	stile_device_destroy(device);
	device = NULL;
	stile_fence_signal(fence);
	ck_assert_int_eq(note.runs, 0);
}
END_TEST

/* Destroying the device took it back already: cancel finds it idle, and touches no device. */
START_TEST(waiting_notification_is_taken_back_by_destroy) {
	struct note note;
	note_init(&note);
	note_ask(&note, fence);
	stile_device_destroy(device);
	device = NULL;
	ck_assert(!stile_notify_cancel(&note.notify));
}
END_TEST

static void never_run(struct stile_fence *done, struct stile_notify *notify, void *user) {
	(void)done;
	(void)notify;
	(void)user;
	ck_abort_msg("called after its device was destroyed");
}

/*
 * What destroying took back is the caller's again. Wrong code: the callback left on the fence, which
 * the address sanitizer sees; or a device asked that is gone.
 */
START_TEST(storage_may_go_as_soon_as_the_device_is_destroyed) {
	struct stile_notify *notify = malloc(sizeof(*notify));
	ck_assert_ptr_nonnull(notify);
	stile_notify_init(notify, device);
	ck_assert_int_eq(stile_fence_notify(fence, notify, never_run, NULL), 0);
	if (_i == 1) {
		stile_fence_signal(fence);
	}
	stile_device_destroy(device);
	device = NULL;
	ck_assert(!stile_notify_cancel(notify));
	memset(notify, 0xa5, sizeof(*notify));
	free(notify);
	stile_fence_signal(fence);
}
END_TEST

/* ---- Threads ------------------------------------------------------------------------------- */

struct race {
	pthread_barrier_t start;
	struct stile_fence *fence;
	struct note *note;
	bool cancelled;
};

static void *race_signal(void *arg) {
	struct race *race = arg;
	pthread_barrier_wait(&race->start);
	stile_fence_signal(race->fence);
	return NULL;
}

static void *race_cancel(void *arg) {
	struct race *race = arg;
	pthread_barrier_wait(&race->start);
	race->cancelled = stile_notify_cancel(&race->note->notify);
	return NULL;
}

/* It runs or was taken back: never both, never neither. */
START_TEST(cancel_against_signal_has_one_winner) {
	for (int round = 0; round < 300; round++) {
		struct note note;
		note_init(&note);
		struct race race = { .fence = plain_fence_create(), .note = &note };
		pthread_barrier_init(&race.start, NULL, 2);
		note_ask(&note, race.fence);
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, race_signal, &race), 0);
		race_cancel(&race);
		pthread_join(thread, NULL);
		pthread_barrier_destroy(&race.start);
		ck_assert_int_eq(stile_device_dispatch(device), !race.cancelled);
		ck_assert_int_eq(note.runs, !race.cancelled);
		stile_fence_unref(race.fence);
	}
}
END_TEST

static void *race_signal_lingering(void *arg) {
	failing_linger(2);
	return race_signal(arg);
}

/*
 * The application may destroy the device as soon as it was told. Wrong code: the signaller still
 * writes to the device's descriptor; the sanitizers see it.
 */
START_TEST(device_may_go_as_soon_as_dispatch_has_told) {
	for (int round = 0; round < 20; round++) {
		struct stile_device *short_lived;
		ck_assert_int_eq(stile_device_open("swgpu", NULL, &short_lived), 0);
		struct note note = { 0 };
		stile_notify_init(&note.notify, short_lived);
		struct race race = { .fence = plain_fence_create() };
		pthread_barrier_init(&race.start, NULL, 2);
		note_ask(&note, race.fence);
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, race_signal_lingering, &race), 0);
		pthread_barrier_wait(&race.start);
		while (stile_device_dispatch(short_lived) == 0) {
		}
		stile_device_destroy(short_lived);
		pthread_join(thread, NULL);
		pthread_barrier_destroy(&race.start);
		ck_assert_int_eq(note.runs, 1);
		stile_fence_unref(race.fence);
	}
}
END_TEST

static void *race_cancel_lingering(void *arg) {
	failing_linger(2);
	return race_cancel(arg);
}

static void drop_run(struct stile_fence *done, struct stile_notify *notify, void *user) {
	(void)notify;
	++*(int *)user;
	stile_fence_unref(done);
}

/*
 * Cancel on one thread while another one signals, dispatches and drops the last reference.
 * Wrong code: cancel locks a fence that has gone; the sanitizers see it.
 */
START_TEST(cancel_against_dispatch_never_touches_a_dead_fence) {
	for (int round = 0; round < 40; round++) {
		struct note note;
		note_init(&note);
		struct race race = { .fence = plain_fence_create(), .note = &note };
		pthread_barrier_init(&race.start, NULL, 2);
		int runs = 0;
		ck_assert_int_eq(stile_fence_notify(race.fence, &note.notify, drop_run, &runs), 0);
		/* The signaller has a reference of its own, as it should. */
		stile_fence_ref(race.fence);
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, race_cancel_lingering, &race), 0);
		pthread_barrier_wait(&race.start);
		/* Now and then, in the middle of it. */
		runner_sleep_ms((unsigned)round % 3);
		stile_fence_signal(race.fence);
		stile_fence_unref(race.fence);
		stile_device_dispatch(device);
		pthread_join(thread, NULL);
		pthread_barrier_destroy(&race.start);
		ck_assert_int_eq(runs, !race.cancelled);
		if (race.cancelled) {
			stile_fence_unref(race.fence);
		}
	}
}
END_TEST

struct rearm {
	struct stile_notify notify;
	struct stile_fence *next; /* what it is to hear of after the first one */
	atomic_bool entered;
	atomic_int runs;
	bool linger;
	bool cancelled;
};

static void rearm_run(struct stile_fence *done, struct stile_notify *notify, void *user) {
	struct rearm *rearm = user;
	rearm->runs++;
	if (done == rearm->next) {
		return;
	}
	if (rearm->linger) {
		failing_linger(20);
	}
	int ret = stile_fence_notify(rearm->next, notify, rearm_run, rearm);
	failing_linger(0);
	runner_require(ret == 0, "asking again from the function: %d", ret);
}

static void *rearm_cancel_lingering(void *arg) {
	struct rearm *rearm = arg;
	failing_linger(30);
	rearm->entered = true;
	rearm->cancelled = stile_notify_cancel(&rearm->notify);
	failing_linger(0);
	return NULL;
}

static int counted;

static void count_run(struct stile_fence *done, struct stile_callback *callback) {
	(void)done;
	(void)callback;
	counted++;
}

/*
 * Taking it back from one fence while its function asks for another one. Wrong code: what is taken
 * out of the first fence's list is linked into the second's, whose later callbacks are lost.
 */
START_TEST(cancel_against_asking_again_keeps_both_fences_whole) {
	for (int round = 0; round < 8; round++) {
		struct stile_fence *first = plain_fence_create();
		struct rearm rearm = { .next = plain_fence_create() };
		struct stile_callback before, behind;
		counted = 0;
		ck_assert_int_eq(stile_fence_add_callback(rearm.next, &before, count_run), 0);
		stile_notify_init(&rearm.notify, device);
		ck_assert_int_eq(stile_fence_notify(first, &rearm.notify, rearm_run, &rearm), 0);
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, rearm_cancel_lingering, &rearm), 0);
		while (!rearm.entered) {
		}
		/* In the middle of it, or before or after. */
		runner_sleep_ms((unsigned)round);
		stile_fence_signal(first);
		stile_device_dispatch(device);
		pthread_join(thread, NULL);
		ck_assert_int_eq(stile_fence_add_callback(rearm.next, &behind, count_run), 0);
		stile_fence_signal(rearm.next);
		ck_assert_int_eq(counted, 2);
		stile_device_dispatch(device);
		ck_assert_int_eq(stile_device_dispatch(device), 0);
		/* Taken back before the first or the second time: not both, not neither. */
		ck_assert_int_eq(rearm.runs == 2, !rearm.cancelled);
		stile_fence_unref(rearm.next);
		stile_fence_unref(first);
	}
}
END_TEST

static void *rearm_dispatch(void *arg) {
	(void)arg;
	while (stile_device_dispatch(device) == 0) {
	}
	return NULL;
}

/*
 * What cancel gave back is the caller's, also if another thread was just asking for it. Wrong code:
 * that thread goes on to link it into the fence; the address sanitizer sees what it touches.
 */
START_TEST(cancelled_while_being_asked_for_is_on_no_list) {
	struct rearm *rearm = calloc(1, sizeof(*rearm));
	ck_assert_ptr_nonnull(rearm);
	struct stile_fence *first = plain_fence_create(), *next = plain_fence_create();
	rearm->next = next;
	rearm->linger = true;
	stile_notify_init(&rearm->notify, device);
	ck_assert_int_eq(stile_fence_notify(first, &rearm->notify, rearm_run, rearm), 0);
	stile_fence_signal(first);
	if (_i == 1) {
		stile_fence_signal(next);
	}
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, rearm_dispatch, NULL), 0);
	while (rearm->runs == 0) {
	}
	while (!stile_notify_cancel(&rearm->notify)) {
	}
	memset(&rearm->notify, 0xa5, sizeof(rearm->notify));
	pthread_join(thread, NULL);
	free(rearm);
	ck_assert_ptr_null(next->first);
	ck_assert_int_eq(stile_device_dispatch(device), 0);
	stile_fence_signal(next);
	ck_assert_int_eq(stile_device_dispatch(device), 0);
	stile_fence_unref(first);
	stile_fence_unref(next);
}
END_TEST

struct churn {
	struct stile_notify notify;
	atomic_bool stop;
};

static void churn_run(struct stile_fence *done, struct stile_notify *notify, void *user) {
	(void)notify;
	(void)user;
	ck_assert_int_eq(stile_fence_get_status(done), 1);
}

static void *churn_cancel(void *arg) {
	struct churn *churn = arg;
	while (!churn->stop) {
		stile_notify_cancel(&churn->notify);
	}
	return NULL;
}

/* Wrong code: any moment at which cancel and another thread both have the node. */
START_TEST(notification_survives_any_order_of_asking_and_cancelling) {
	struct churn churn = { .stop = false };
	stile_notify_init(&churn.notify, device);
	struct stile_fence *fences[4];
	for (size_t i = 0; i < ARRAY_LENGTH(fences); i++) {
		fences[i] = plain_fence_create();
	}
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, churn_cancel, &churn), 0);
	for (size_t round = 0; round < 20000; round++) {
		struct stile_fence **at = &fences[round % ARRAY_LENGTH(fences)];
		int ret = stile_fence_notify(*at, &churn.notify, churn_run, NULL);
		ck_assert(ret == 0 || ret == -EBUSY);
		if (round % 3 == 0) {
			stile_fence_signal(*at);
			stile_fence_unref(*at);
			*at = plain_fence_create();
		}
		stile_device_dispatch(device);
	}
	churn.stop = true;
	pthread_join(thread, NULL);
	stile_notify_cancel(&churn.notify);
	for (size_t i = 0; i < ARRAY_LENGTH(fences); i++) {
		ck_assert_ptr_null(fences[i]->first);
		stile_fence_unref(fences[i]);
	}
	ck_assert(!due());
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("notify");
	TCase *notify = ledger_tcase_create("notify");
	tcase_add_checked_fixture(notify, setup, teardown);
	tcase_add_test(notify, notification_runs_from_dispatch_only);
	tcase_add_test(notify, notification_of_signalled_fence_runs_from_dispatch_too);
	tcase_add_test(notify, notifications_run_in_the_order_they_became_due);
	tcase_add_test(notify, notification_in_use_is_ebusy);
	tcase_add_test(notify, cancel_of_idle_notification_is_false);
	tcase_add_test(notify, cancelled_while_waiting_never_runs);
	tcase_add_loop_test(notify, cancelled_while_due_never_runs_and_others_do, 0, 3);
	tcase_add_test(notify, descriptor_is_readable_just_while_something_is_due);
	tcase_add_test(notify, notification_may_be_asked_for_again_from_its_function);
	tcase_add_test(notify, function_may_free_its_node_and_the_fence);
	tcase_add_test(notify, destroy_drops_what_is_due);
	tcase_add_test(notify, fence_signalled_after_destroy_calls_nobody);
	tcase_add_test(notify, waiting_notification_is_taken_back_by_destroy);
	tcase_add_test(notify, cancel_against_signal_has_one_winner);
	tcase_add_test(notify, device_may_go_as_soon_as_dispatch_has_told);
	tcase_add_test(notify, cancel_against_dispatch_never_touches_a_dead_fence);
	tcase_add_loop_test(notify, storage_may_go_as_soon_as_the_device_is_destroyed, 0, 2);
	tcase_add_test(notify, cancel_against_asking_again_keeps_both_fences_whole);
	tcase_add_loop_test(notify, cancelled_while_being_asked_for_is_on_no_list, 0, 2);
	tcase_add_test(notify, notification_survives_any_order_of_asking_and_cancelling);
	suite_add_tcase(s, notify);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
