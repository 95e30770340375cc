/* SPDX-License-Identifier: MIT */
/*
 * Points of a timeline: KERNEL_CONTRACT section 15 (Y-...), and of section 3 what can be seen of it
 * there (C-2, C-6, C-11), of DRM's syncobjs and of the library's timelines.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "interop-tests/kernel/twin.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"

enum { LAST = 8 }; /* states are looked at up to here */

/* The states of points 1, 2, ...: "." unsubmitted, "p" pending, "D" done. */
static void states(struct twin_timeline *timeline, const char *expected) {
	char got[LAST + 1] = "";
	size_t count = strlen(expected);
	ck_assert_uint_le(count, LAST);
	for (uint64_t value = 1; value <= count; value++) {
		got[value - 1] = ".pD"[ops->timeline_get_state(timeline, value) - TWIN_UNSUBMITTED];
	}
	ck_assert_str_eq(got, expected);
}

/* Submit a fence of its own. */
static struct twin_fence *submit(struct twin_timeline *timeline, uint64_t value) {
	struct twin_fence *fence = ops->fence_create();
	ck_assert_int_eq(ops->timeline_submit(timeline, value, fence), 0);
	return fence;
}

static void finish(struct twin_fence *fence) {
	ops->fence_signal(fence);
	ck_assert_int_eq(twin_finish(fence), 1);
}

static int64_t hang_ns(void) {
	return runner_clock_ns() + TWIN_HANG_MS * INT64_C(1000000);
}

static int64_t soon_ns(void) {
	return runner_clock_ns() + INT64_C(15000000);
}

/* ---- How points stand ---------------------------------------------------------------------- */

/* Y-4, Y-8. Wrong code: pending before anything was submitted; done with the submission. */
START_TEST(point_is_unsubmitted_then_pending_then_done) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	states(timeline, "....");
	struct twin_fence *fence = submit(timeline, 3);
	states(timeline, "ppp.");
	finish(fence);
	states(timeline, "DDD.");
}
END_TEST

/* C-7, Y-8. Wrong code: a point that is done though one before is not. */
START_TEST(point_is_done_after_those_before) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	struct twin_fence *fences[] = { submit(timeline, 2), submit(timeline, 3),
		submit(timeline, 6) };
	states(timeline, "pppppp.");
	finish(fences[1]);
	states(timeline, "pppppp.");
	finish(fences[0]);
	states(timeline, "DDDppp.");
	finish(fences[2]);
	states(timeline, "DDDDDD.");
}
END_TEST

/* Y-7. Wrong code: a point that never is done as its work has failed. */
START_TEST(failed_work_reaches_its_point) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	struct twin_fence *fence = submit(timeline, 1);
	struct twin_fence *second = submit(timeline, 2);
	ops->fence_fail(fence);
	ck_assert_int_eq(twin_finish(fence), -ENOENT);
	states(timeline, "Dp.");
	finish(second);
	states(timeline, "DD.");
	ck_assert_int_eq(ops->timeline_wait(timeline, 2, TWIN_SIGNALED, hang_ns()), 0);
}
END_TEST

/*
 * C-2, C-11. Wrong code: a value that is not above the last one refused, or taken for a point of
 * its own; the last one done without it.
 */
START_TEST(value_out_of_order_is_the_last_once_more) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	struct twin_fence *five = submit(timeline, 5), *three = submit(timeline, 3);
	states(timeline, "ppppp.");
	finish(five);
	states(timeline, "ppppp.");
	finish(three);
	states(timeline, "DDDDD.");
	struct twin_fence *again = submit(timeline, 5), *seven = submit(timeline, 7);
	states(timeline, "ppppppp.");
	finish(again);
	states(timeline, "DDDDDpp.");
	finish(seven);
	states(timeline, "DDDDDDD.");
}
END_TEST

/* C-2, C-11. Wrong code: as above, ended in the other order. */
START_TEST(value_out_of_order_waits_for_what_was_before) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	struct twin_fence *five = submit(timeline, 5), *three = submit(timeline, 3);
	finish(three);
	states(timeline, "ppppp.");
	finish(five);
	states(timeline, "DDDDD.");
}
END_TEST

/* Y-4, U-1. Wrong code: a container of several that reaches its point with the first of them. */
START_TEST(merged_fences_reach_a_point_together) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	struct twin_fence *a = ops->fence_create(), *b = ops->fence_create();
	ck_assert_int_eq(ops->timeline_submit(timeline, 1, ops->fence_merge(a, b)), 0);
	finish(a);
	states(timeline, "p.");
	finish(b);
	states(timeline, "D.");
}
END_TEST

/* Y-4. Wrong code: nothing submitted where the fence is over. */
START_TEST(what_is_done_may_be_submitted) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	struct twin_fence *fence = ops->fence_create();
	finish(fence);
	ck_assert_int_eq(ops->timeline_submit(timeline, 2, fence), 0);
	states(timeline, "DD.");
	submit(timeline, 3);
	states(timeline, "DDp.");
}
END_TEST

/* ---- The fence of a point ------------------------------------------------------------------ */

/*
 * Y-12. Wrong code: a fence of what nobody has submitted; one that ends before what is before it.
 */
START_TEST(fence_of_a_point_ends_with_all_up_to_it) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	struct twin_fence *got, *first = submit(timeline, 1), *second = submit(timeline, 4);
	ck_assert_int_eq(ops->timeline_get_fence(timeline, 3, &got), 0);
	ck_assert(!twin_is_done(got));
	finish(second);
	ck_assert(!twin_is_done(got));
	finish(first);
	ck_assert_int_eq(twin_finish(got), 1);
	/* "Not yet" is not the caller's mistake there. */
	ck_assert_int_eq(ops->timeline_get_fence(timeline, 5, &got), twin_either(-EINVAL, -EAGAIN));
	ck_assert_int_eq(ops->timeline_get_fence(timeline, 2, &got), 0);
	ck_assert_int_eq(ops->fence_get_status(got), 1);
}
END_TEST

/* Y-12, C-6. Wrong code: the fence of the last point given for an earlier one. */
START_TEST(fence_of_a_point_does_not_wait_for_later_ones) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	struct twin_fence *first = submit(timeline, 1), *got;
	submit(timeline, 2);
	ck_assert_int_eq(ops->timeline_get_fence(timeline, 1, &got), 0);
	finish(first);
	ck_assert_int_eq(twin_finish(got), 1);
	states(timeline, "Dp.");
}
END_TEST

/* Y-10. Wrong code: a chain within a chain; a transfer that follows what comes later. */
START_TEST(point_may_be_transferred) {
	twin_begin(_i);
	struct twin_timeline *from = ops->timeline_create(), *to = ops->timeline_create();
	struct twin_fence *first = submit(from, 1), *second = submit(from, 2);
	submit(from, 3);
	ck_assert_int_eq(ops->timeline_transfer(to, 4, from, 2), 0);
	ck_assert_int_eq(ops->timeline_transfer(to, 5, from, 9), twin_either(-EINVAL, -EAGAIN));
	ops->timeline_close(from);
	states(to, "pppp.");
	finish(second);
	states(to, "pppp.");
	finish(first);
	states(to, "DDDD.");
}
END_TEST

/* Y-10. Wrong code: nothing, or a hang, where the source is the destination. */
START_TEST(point_may_be_transferred_within_a_timeline) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	struct twin_fence *fence = submit(timeline, 1);
	ck_assert_int_eq(ops->timeline_transfer(timeline, 3, timeline, 1), 0);
	states(timeline, "ppp.");
	finish(fence);
	states(timeline, "DDD.");
}
END_TEST

/* Y-2, S-1. Wrong code: a fence that goes with its timeline. */
START_TEST(fence_of_a_point_outlives_the_timeline) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	struct twin_fence *fence = submit(timeline, 1), *got;
	ck_assert_int_eq(ops->timeline_get_fence(timeline, 1, &got), 0);
	ops->timeline_close(timeline);
	ck_assert_int_eq(ops->fence_get_status(got), 0);
	finish(fence);
	ck_assert_int_eq(twin_finish(got), 1);
}
END_TEST

/* ---- Waiting ------------------------------------------------------------------------------- */

/* Y-8. Wrong code: a wait that begins with what was submitted, or ends with it. */
START_TEST(wait_ends_at_its_deadline) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	for (int i = TWIN_AVAILABLE; i <= TWIN_SIGNALED; i++) {
		enum twin_event event = (enum twin_event)i;
		int64_t until_ns = soon_ns();
		ck_assert_int_eq(ops->timeline_wait(timeline, 1, event, 0), -ETIME);
		ck_assert_int_eq(ops->timeline_wait(timeline, 1, event, until_ns), -ETIME);
		/* The kernel counts in jiffies, and may be early by a tick that came late. */
		ck_assert_int_ge(runner_clock_ns(), twin_either(1, 0) != 0 ? 0 : until_ns);
	}
	struct twin_fence *fence = submit(timeline, 1);
	ck_assert_int_eq(ops->timeline_wait(timeline, 1, TWIN_AVAILABLE, 0), 0);
	ck_assert_int_eq(ops->timeline_wait(timeline, 1, TWIN_SIGNALED, 0), -ETIME);
	ck_assert_int_eq(ops->timeline_wait(timeline, 1, TWIN_SIGNALED, soon_ns()), -ETIME);
	finish(fence);
	ck_assert_int_eq(ops->timeline_wait(timeline, 1, TWIN_AVAILABLE, 0), 0);
	ck_assert_int_eq(ops->timeline_wait(timeline, 1, TWIN_SIGNALED, 0), 0);
}
END_TEST

struct waiter {
	pthread_t thread;
	struct twin_timeline *timeline;
	enum twin_event event;
	int got;
	atomic_bool back;
};

static void *waiter_run(void *data) {
	struct waiter *waiter = data;
	waiter->got = ops->timeline_wait(waiter->timeline, 2, waiter->event, hang_ns());
	atomic_store(&waiter->back, true);
	return NULL;
}

static void waiter_start(
	struct waiter *waiter, struct twin_timeline *timeline, enum twin_event event) {
	waiter->timeline = timeline;
	waiter->event = event;
	atomic_init(&waiter->back, false);
	ck_assert_int_eq(pthread_create(&waiter->thread, NULL, waiter_run, waiter), 0);
}

static void waiter_join(struct waiter *waiter) {
	pthread_join(waiter->thread, NULL);
	ck_assert_int_eq(waiter->got, 0);
}

/* Y-8. Wrong code: nobody woken by a submission; somebody who waits for the end content with it. */
START_TEST(wait_begins_before_the_submission) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	struct waiter available, signaled;
	waiter_start(&available, timeline, TWIN_AVAILABLE);
	waiter_start(&signaled, timeline, TWIN_SIGNALED);
	runner_sleep_ms(20);
	struct twin_fence *first = submit(timeline, 1);
	runner_sleep_ms(10);
	ck_assert(!atomic_load(&available.back));
	struct twin_fence *second = submit(timeline, 3);
	waiter_join(&available);
	finish(second);
	runner_sleep_ms(10);
	ck_assert(!atomic_load(&signaled.back));
	finish(first);
	waiter_join(&signaled);
}
END_TEST

/* ---- Eventfds ------------------------------------------------------------------------------ */

static int eventfd_create(void) {
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* How often it was told: not before, then after waiting for the first time. */
static uint64_t told(int fd, bool yet) {
	uint64_t count = 0;
	if (yet) {
		ck_assert_int_eq(twin_poll(fd, POLLIN, TWIN_HANG_MS), POLLIN);
	}
	return read(fd, &count, sizeof(count)) < 0 ? 0 : count;
}

/* Y-11. Wrong code: told too early, twice, or not where it has happened already. */
START_TEST(eventfd_is_told_once_of_each_event) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	int available = eventfd_create(), signaled = eventfd_create(), late = eventfd_create();
	ck_assert_int_eq(ops->timeline_notify(timeline, 2, TWIN_AVAILABLE, available), 0);
	ck_assert_int_eq(ops->timeline_notify(timeline, 2, TWIN_SIGNALED, signaled), 0);
	struct twin_fence *first = submit(timeline, 1);
	ck_assert_uint_eq(told(available, false), 0);
	struct twin_fence *second = submit(timeline, 2);
	ck_assert_uint_eq(told(available, true), 1);
	ck_assert_uint_eq(told(signaled, false), 0);
	finish(second);
	ck_assert_uint_eq(told(signaled, false), 0);
	finish(first);
	ck_assert_uint_eq(told(signaled, true), 1);
	ck_assert_int_eq(ops->timeline_notify(timeline, 2, TWIN_AVAILABLE, late), 0);
	ck_assert_uint_eq(told(late, true), 1);
	ck_assert_int_eq(ops->timeline_notify(timeline, 1, TWIN_SIGNALED, late), 0);
	ck_assert_uint_eq(told(late, true), 1);
	submit(timeline, 3);
	ck_assert_uint_eq(told(available, false) + told(signaled, false) + told(late, false), 0);
	close(available);
	close(signaled);
	close(late);
}
END_TEST

/* Y-11. Wrong code: one notice for each point or eventfd; 1 in place of a sum. */
START_TEST(each_notice_adds_one) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	int fd = eventfd_create();
	struct twin_fence *fence = submit(timeline, 2);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(ops->timeline_notify(timeline, 2, TWIN_SIGNALED, fd), 0);
	}
	ck_assert_int_eq(ops->timeline_notify(timeline, 1, TWIN_SIGNALED, fd), 0);
	ck_assert_uint_eq(told(fd, false), 0);
	finish(fence);
	uint64_t count = 0;
	while (count < 4) {
		count += told(fd, true);
	}
	runner_sleep_ms(5);
	ck_assert_uint_eq(count + told(fd, false), 4);
	close(fd);
}
END_TEST

/*
 * Y-11. Wrong code: told of a point that nobody ever submitted; forgotten though it was submitted.
 */
START_TEST(notice_of_a_closed_timeline_needs_a_submission) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	int never = eventfd_create(), later = eventfd_create();
	struct twin_fence *fence = submit(timeline, 1);
	ck_assert_int_eq(ops->timeline_notify(timeline, 1, TWIN_SIGNALED, later), 0);
	ck_assert_int_eq(ops->timeline_notify(timeline, 2, TWIN_SIGNALED, never), 0);
	ck_assert_int_eq(ops->timeline_notify(timeline, 2, TWIN_AVAILABLE, never), 0);
	ops->timeline_close(timeline);
	ck_assert_uint_eq(told(later, false), 0);
	finish(fence);
	ck_assert_uint_eq(told(later, true), 1);
	ck_assert_uint_eq(told(never, false), 0);
	close(never);
	close(later);
}
END_TEST

/* Y-11. Wrong code: any descriptor written to. */
START_TEST(notice_needs_an_eventfd) {
	twin_begin(_i);
	struct twin_timeline *timeline = ops->timeline_create();
	int memfd = memory_create(4096, 0);
	for (int i = TWIN_AVAILABLE; i <= TWIN_SIGNALED; i++) {
		enum twin_event event = (enum twin_event)i;
		ck_assert_int_eq(ops->timeline_notify(timeline, 1, event, memfd), -EINVAL);
		ck_assert_int_eq(
			ops->timeline_notify(timeline, 1, event, memory_closed_fd()), -EBADF);
	}
	close(memfd);
}
END_TEST

static Suite *make(void) {
	Suite *suite = suite_create("twin_syncobj");
	TCase *tcase = twin_tcase_create("states");
	twin_add(tcase, point_is_unsubmitted_then_pending_then_done, TWIN_TIMELINES);
	twin_add(tcase, point_is_done_after_those_before, TWIN_TIMELINES);
	twin_add(tcase, failed_work_reaches_its_point, TWIN_TIMELINES | TWIN_FAILS);
	twin_add(tcase, value_out_of_order_is_the_last_once_more, TWIN_TIMELINES);
	twin_add(tcase, value_out_of_order_waits_for_what_was_before, TWIN_TIMELINES);
	twin_add(tcase, merged_fences_reach_a_point_together, TWIN_TIMELINES);
	twin_add(tcase, what_is_done_may_be_submitted, TWIN_TIMELINES);
	suite_add_tcase(suite, tcase);

	tcase = twin_tcase_create("fences");
	twin_add(tcase, fence_of_a_point_ends_with_all_up_to_it, TWIN_TIMELINES);
	twin_add(tcase, fence_of_a_point_does_not_wait_for_later_ones, TWIN_TIMELINES);
	twin_add(tcase, point_may_be_transferred, TWIN_TIMELINES);
	twin_add(tcase, point_may_be_transferred_within_a_timeline, TWIN_TIMELINES);
	twin_add(tcase, fence_of_a_point_outlives_the_timeline, TWIN_TIMELINES);
	suite_add_tcase(suite, tcase);

	tcase = twin_tcase_create("wait");
	twin_add(tcase, wait_ends_at_its_deadline, TWIN_TIMELINES);
	twin_add(tcase, wait_begins_before_the_submission, TWIN_TIMELINES);
	suite_add_tcase(suite, tcase);

	tcase = twin_tcase_create("eventfd");
	twin_add(tcase, eventfd_is_told_once_of_each_event, TWIN_TIMELINES);
	twin_add(tcase, each_notice_adds_one, TWIN_TIMELINES);
	twin_add(tcase, notice_of_a_closed_timeline_needs_a_submission, TWIN_TIMELINES);
	twin_add(tcase, notice_needs_an_eventfd, TWIN_TIMELINES);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return twin_find_worlds() == 0 ? RUNNER_SKIP : runner_main(argc, argv, make, NULL);
}
