/* SPDX-License-Identifier: MIT */
/*
 * Fences that have a descriptor: KERNEL_CONTRACT section 5 (S-...), and what it takes from sections
 * 2, 4 and 17, of the kernel's sync_files and of the library's fences.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "interop-tests/kernel/twin.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"

enum { ALL_EVENTS = POLLIN | POLLPRI | POLLOUT };

static size_t count_leaves(struct twin_fence *fence) {
	struct twin_info info;
	ops->fence_get_info(fence, &info);
	return info.count;
}

static struct twin_fence *done_create(void) {
	struct twin_fence *fence = ops->fence_create();
	ops->fence_signal(fence);
	ck_assert_int_eq(twin_finish(fence), 1);
	return fence;
}

/* One that has ended with -ENOENT, as nobody has looked at before. */
static struct twin_fence *failed_create(void) {
	struct twin_fence *fence = ops->fence_create();
	ops->fence_fail(fence);
	return fence;
}

/* ---- A descriptor of a fence --------------------------------------------------------------- */

/*
 * S-1. Wrong code: a file that follows what it is merged into, or the last one that is merged with
 * it.
 */
START_TEST(fence_of_a_file_never_changes) {
	twin_begin(_i);
	struct twin_fence *a = ops->fence_create(), *b = ops->fence_create();
	struct twin_fence *merged = ops->fence_merge(a, b);
	ops->fence_signal(a);
	ck_assert_int_eq(twin_finish(a), 1);
	ck_assert(!twin_is_done(b));
	ck_assert(!twin_is_done(merged));
}
END_TEST

/* S-1. Wrong code: a merged file that borrows its fences from files which may be closed. */
START_TEST(merged_file_outlives_its_parts) {
	twin_begin(_i);
	struct twin_fence *a = ops->fence_create(), *b = ops->fence_create();
	struct twin_fence *merged = ops->fence_merge(a, b);
	ops->fence_close(a);
	ops->fence_close(b);
	ck_assert_int_eq(ops->fence_get_status(merged), 0);
	ops->fence_signal(a);
	ck_assert(!twin_is_done(merged));
	ops->fence_signal(b);
	ck_assert_int_eq(twin_finish(merged), 1);
}
END_TEST

/*
 * S-1. Wrong code: a copy of a descriptor that ends with the first one; one that a child would
 * inherit.
 */
START_TEST(copy_of_a_descriptor_holds_the_fence) {
	twin_begin(_i);
	struct twin_fence *fence = ops->fence_create();
	int fd;
	ck_assert_int_eq(ops->fence_get_fd(fence, &fd), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ops->fence_close(fence);
	ck_assert_int_eq(twin_poll(fd, POLLIN, 0), 0);
	ops->fence_signal(fence);
	ck_assert((twin_poll(fd, POLLIN, TWIN_HANG_MS) & POLLIN) != 0);
	close(fd);
}
END_TEST

/* S-2. Wrong code: any descriptor, or none, taken for a fence. */
START_TEST(descriptor_of_no_fence_is_refused) {
	twin_begin(_i);
	int memfd = memory_create(4096, 0), event = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(ops->fence_adopt(memfd), -EINVAL);
	ck_assert_int_eq(ops->fence_adopt(event), -EINVAL);
	/* The library says more exactly what is wrong. */
	ck_assert_int_eq(ops->fence_adopt(memory_closed_fd()), twin_either(-EINVAL, -EBADF));
	ck_assert_int_eq(ops->fence_adopt(-1), twin_either(-EINVAL, -EBADF));
	close(memfd);
	close(event);
}
END_TEST

/* ---- Polling ------------------------------------------------------------------------------- */

/* S-3. Wrong code: ready before the end; ready once only. */
START_TEST(done_is_readable_for_ever) {
	twin_begin(_i);
	struct twin_fence *fence = ops->fence_create();
	/* A software sync file is one end of a socket, of which the other is closed in the end. */
	int more = twin_either(0, POLLOUT | POLLHUP);
	ck_assert_int_eq(ops->fence_poll(fence, ALL_EVENTS, 0) & ~more, 0);
	ck_assert_int_eq(ops->fence_poll(fence, POLLIN, 0), 0);
	ck_assert_int_eq(ops->fence_poll(fence, 0, 0), 0);
	ops->fence_signal(fence);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(ops->fence_poll(fence, ALL_EVENTS, TWIN_HANG_MS) & ~more, POLLIN);
	}
	ck_assert_int_eq(ops->fence_poll(fence, 0, 0) & ~more, 0);
}
END_TEST

/*
 * S-3. Wrong code: POLLERR for an error, so that who waits for POLLIN alone goes round and round.
 */
START_TEST(failure_is_readable_like_success) {
	twin_begin(_i);
	struct twin_fence *fence = ops->fence_create();
	ck_assert_int_eq(ops->fence_poll(fence, POLLIN, 0), 0);
	ops->fence_fail(fence);
	int got = ops->fence_poll(fence, POLLIN, TWIN_HANG_MS);
	ck_assert_int_eq(got & ~twin_either(0, POLLHUP), POLLIN);
	ck_assert_int_eq(ops->fence_get_status(fence), -ENOENT);
}
END_TEST

struct poller {
	pthread_t thread;
	struct twin_fence *fence;
	int got;
};

static void *poller_run(void *data) {
	struct poller *poller = data;
	poller->got = ops->fence_poll(poller->fence, POLLIN, TWIN_HANG_MS);
	return NULL;
}

/* S-3. Wrong code: the end told to one of those who wait. */
START_TEST(end_wakes_everybody_who_polls) {
	enum { POLLERS = 3 };
	twin_begin(_i);
	struct twin_fence *a = ops->fence_create(), *b = ops->fence_create();
	struct twin_fence *merged = ops->fence_merge(a, b);
	/* Once before: the library's descriptor is made by the first one who asks. */
	ck_assert(!twin_is_done(merged));
	struct poller pollers[POLLERS];
	for (int i = 0; i < POLLERS; i++) {
		pollers[i] = (struct poller){ .fence = merged };
		ck_assert_int_eq(
			pthread_create(&pollers[i].thread, NULL, poller_run, &pollers[i]), 0);
	}
	runner_sleep_ms(20);
	ops->fence_signal(b);
	runner_sleep_ms(20);
	ops->fence_signal(a);
	for (int i = 0; i < POLLERS; i++) {
		pthread_join(pollers[i].thread, NULL);
		ck_assert((pollers[i].got & POLLIN) != 0);
	}
}
END_TEST

/* ---- Merging ------------------------------------------------------------------------------- */

/* S-4, U-3. Wrong code: ends with the first of them; a part counted twice, or lost. */
START_TEST(merged_ends_with_the_last) {
	enum { PARTS = 4 };
	twin_begin(_i);
	struct twin_fence *parts[PARTS], *merged = NULL;
	for (int i = 0; i < PARTS; i++) {
		parts[i] = ops->fence_create();
		merged = i == 0 ? parts[0] : ops->fence_merge(merged, parts[i]);
	}
	ck_assert_uint_eq(count_leaves(merged), PARTS);
	for (int i = PARTS - 1; i >= 0; i--) {
		ck_assert(!twin_is_done(merged));
		ck_assert_int_eq(ops->fence_get_status(merged), 0);
		ops->fence_signal(parts[i]);
	}
	ck_assert_int_eq(twin_finish(merged), 1);
	ck_assert_uint_eq(count_leaves(merged), PARTS);
}
END_TEST

/* S-4, U-3. Wrong code: what is there twice waited for, or told, twice. */
START_TEST(merged_with_itself_is_one) {
	twin_begin(_i);
	struct twin_fence *a = ops->fence_create(), *b = ops->fence_create();
	ck_assert_uint_eq(count_leaves(ops->fence_merge(a, a)), 1);
	struct twin_fence *both = ops->fence_merge(a, b);
	ck_assert_uint_eq(count_leaves(ops->fence_merge(both, a)), 2);
	ck_assert_uint_eq(count_leaves(ops->fence_merge(both, both)), 2);
}
END_TEST

/* S-4, U-3. Wrong code: what is done kept in what is merged anew. */
START_TEST(merging_leaves_out_what_is_done) {
	twin_begin(_i);
	struct twin_fence *a = ops->fence_create(), *b = ops->fence_create();
	struct twin_fence *both = ops->fence_merge(a, b);
	ops->fence_signal(a);
	ck_assert_uint_eq(count_leaves(both), 2);
	struct twin_fence *rest = ops->fence_merge(both, done_create());
	ck_assert_uint_eq(count_leaves(rest), 1);
	ops->fence_signal(b);
	ck_assert_int_eq(twin_finish(rest), 1);
}
END_TEST

/* U-3. Wrong code: pending for ever, or without a time, where nothing is left. */
START_TEST(merged_of_what_is_done_has_the_latest_time) {
	twin_begin(_i);
	struct twin_fence *a = done_create();
	runner_sleep_ms(2);
	struct twin_fence *b = done_create();
	struct twin_info info, last;
	ops->fence_get_info(b, &last);
	struct twin_fence *orders[] = { ops->fence_merge(a, b), ops->fence_merge(b, a) };
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(ops->fence_get_status(orders[i]), 1);
		ck_assert(twin_is_done(orders[i]));
		ops->fence_get_info(orders[i], &info);
		ck_assert_uint_eq(info.count, 1);
		ck_assert_int_eq(info.leaves[0].timestamp_ns, last.leaves[0].timestamp_ns);
	}
}
END_TEST

/* U-3. Wrong code: the error of what had ended before given to what is merged later. */
START_TEST(merging_forgets_errors_of_what_has_ended) {
	twin_begin(_i);
	struct twin_fence *failed = failed_create();
	ck_assert_int_eq(twin_finish(failed), -ENOENT);
	ck_assert_int_eq(twin_finish(ops->fence_merge(failed, done_create())), 1);
	struct twin_fence *pending = ops->fence_create();
	struct twin_fence *merged = ops->fence_merge(failed, pending);
	ck_assert_uint_eq(count_leaves(merged), 1);
	ops->fence_signal(pending);
	ck_assert_int_eq(twin_finish(merged), 1);
}
END_TEST

/* U-2, U-3. Wrong code: the older one of a context waited for in place of the newer one. */
START_TEST(merging_keeps_the_newest_of_a_context) {
	twin_begin(_i);
	struct twin_fence *old = ops->fence_create(), *new = ops->fence_create_after(old);
	struct twin_fence *other = ops->fence_create();
	struct twin_fence *orders[] = { ops->fence_merge(old, new), ops->fence_merge(new, old) };
	struct twin_fence *three = ops->fence_merge(orders[0], other);
	ck_assert_uint_eq(count_leaves(three), 2);
	ops->fence_signal(old);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(count_leaves(orders[i]), 1);
		ck_assert(!twin_is_done(orders[i]));
	}
	ops->fence_signal(new);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(twin_finish(orders[i]), 1);
	}
	ops->fence_signal(other);
	ck_assert_int_eq(twin_finish(three), 1);
}
END_TEST

/* ---- What is said of it -------------------------------------------------------------------- */

/* S-5. Wrong code: a time before the end, or another clock's; one leaf's state told for another. */
START_TEST(each_leaf_is_told) {
	twin_begin(_i);
	struct twin_fence *a = ops->fence_create(), *b = ops->fence_create();
	struct twin_fence *merged = ops->fence_merge(a, b);
	struct twin_info info;
	ops->fence_get_info(merged, &info);
	ck_assert_uint_eq(info.count, 2);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(info.leaves[i].status, 0);
		ck_assert_int_eq(info.leaves[i].timestamp_ns, 0);
	}
	int64_t before_ns = runner_clock_ns();
	ops->fence_signal(b);
	int64_t after_ns = runner_clock_ns();
	ops->fence_get_info(merged, &info);
	/* They are in the order of their contexts. */
	ck_assert_int_eq(info.leaves[0].status, 0);
	ck_assert_int_eq(info.leaves[1].status, 1);
	ck_assert_int_ge(info.leaves[1].timestamp_ns, before_ns);
	ck_assert_int_le(info.leaves[1].timestamp_ns, after_ns);
	ck_assert_int_eq(ops->fence_get_status(merged), 0);
}
END_TEST

/*
 * S-5, F-13. Wrong code: an error told while others are pending; the last error in place of the
 * first.
 */
START_TEST(error_is_told_at_the_end_of_the_whole) {
	twin_begin(_i);
	struct twin_fence *a = ops->fence_create(), *b = ops->fence_create();
	struct twin_fence *merged = ops->fence_merge(a, b);
	ck_assert(!twin_is_done(merged)); /* listens */
	ops->fence_fail(a);
	ck_assert_int_eq(ops->fence_get_status(merged), 0);
	struct twin_info info;
	ops->fence_get_info(merged, &info);
	ck_assert_int_eq(info.leaves[0].status, -ENOENT);
	ck_assert_int_eq(info.leaves[1].status, 0);
	ops->fence_signal(b);
	ck_assert_int_eq(twin_finish(merged), -ENOENT);
}
END_TEST

/*
 * Wrong code: a whole that takes its members' errors over though nobody listened when they
 * came. The leaves tell of them all the same.
 */
START_TEST(whole_that_nobody_listened_to_ends_well) {
	twin_begin(_i);
	struct twin_fence *a = ops->fence_create(), *b = ops->fence_create();
	struct twin_fence *merged = ops->fence_merge(a, b);
	ops->fence_fail(a);
	ops->fence_signal(b);
	/* Let it arrive where it comes by a descriptor. */
	ck_assert_int_eq(twin_finish(a), -ENOENT);
	ck_assert_int_eq(twin_finish(b), 1);
	ck_assert_int_eq(ops->fence_get_status(merged), 1);
	struct twin_info info;
	ops->fence_get_info(merged, &info);
	ck_assert_int_eq(info.leaves[0].status, -ENOENT);
	ck_assert_int_eq(info.leaves[1].status, 1);
}
END_TEST

/* ---- Deadlines ----------------------------------------------------------------------------- */

/* S-7, L-1. Wrong code: an error where nobody listens or it is over, or a wait. */
START_TEST(deadline_is_taken_at_any_time) {
	twin_begin(_i);
	struct twin_fence *fence = ops->fence_create();
	int64_t now_ns = runner_clock_ns();
	ck_assert_int_eq(ops->fence_set_deadline(fence, now_ns + 1000000), 0);
	ck_assert_int_eq(ops->fence_set_deadline(fence, 0), 0);
	ck_assert_int_eq(ops->fence_set_deadline(fence, INT64_MAX), 0);
	ck_assert_int_eq(ops->fence_get_status(fence), 0);
	struct twin_fence *merged = ops->fence_merge(fence, ops->fence_create());
	ck_assert_int_eq(ops->fence_set_deadline(merged, now_ns), 0);
	ops->fence_signal(fence);
	ck_assert_int_eq(twin_finish(fence), 1);
	ck_assert_int_eq(ops->fence_set_deadline(fence, now_ns), 0);
}
END_TEST

/* L-1. Wrong code: the last one kept in place of the earliest. */
START_TEST(earliest_deadline_is_kept) {
	twin_begin(_i);
	struct twin_fence *fence = ops->fence_create();
	int64_t now_ns = runner_clock_ns();
	ck_assert_int_eq(ops->fence_get_deadline(fence), INT64_MAX);
	ck_assert_int_eq(ops->fence_set_deadline(fence, now_ns + 2000), 0);
	ck_assert_int_eq(ops->fence_get_deadline(fence), now_ns + 2000);
	ck_assert_int_eq(ops->fence_set_deadline(fence, now_ns + 1000), 0);
	ck_assert_int_eq(ops->fence_set_deadline(fence, now_ns + 3000), 0);
	ck_assert_int_eq(ops->fence_get_deadline(fence), now_ns + 1000);
}
END_TEST

/* L-2. Wrong code: a deadline that goes to the first part only, or also to what is over. */
START_TEST(deadline_goes_to_all_parts_that_are_pending) {
	twin_begin(_i);
	struct twin_fence *a = ops->fence_create(), *b = ops->fence_create();
	struct twin_fence *c = ops->fence_create();
	struct twin_fence *merged = ops->fence_merge(ops->fence_merge(a, b), c);
	ops->fence_signal(b);
	int64_t at_ns = runner_clock_ns() + 1000;
	ck_assert_int_eq(ops->fence_set_deadline(merged, at_ns), 0);
	ck_assert_int_eq(ops->fence_get_deadline(a), at_ns);
	ck_assert_int_eq(ops->fence_get_deadline(b), INT64_MAX);
	ck_assert_int_eq(ops->fence_get_deadline(c), at_ns);
}
END_TEST

static Suite *make(void) {
	Suite *suite = suite_create("twin_sync_file");
	TCase *tcase = twin_tcase_create("descriptor");
	twin_add(tcase, fence_of_a_file_never_changes, 0);
	twin_add(tcase, merged_file_outlives_its_parts, 0);
	twin_add(tcase, copy_of_a_descriptor_holds_the_fence, 0);
	twin_add(tcase, descriptor_of_no_fence_is_refused, 0);
	suite_add_tcase(suite, tcase);

	tcase = twin_tcase_create("poll");
	twin_add(tcase, done_is_readable_for_ever, 0);
	twin_add(tcase, failure_is_readable_like_success, TWIN_FAILS);
	twin_add(tcase, end_wakes_everybody_who_polls, 0);
	suite_add_tcase(suite, tcase);

	tcase = twin_tcase_create("merge");
	twin_add(tcase, merged_ends_with_the_last, 0);
	twin_add(tcase, merged_with_itself_is_one, 0);
	twin_add(tcase, merging_leaves_out_what_is_done, 0);
	twin_add(tcase, merged_of_what_is_done_has_the_latest_time, 0);
	twin_add(tcase, merging_forgets_errors_of_what_has_ended, TWIN_FAILS);
	twin_add(tcase, merging_keeps_the_newest_of_a_context, TWIN_ORDERED);
	suite_add_tcase(suite, tcase);

	tcase = twin_tcase_create("info");
	twin_add(tcase, each_leaf_is_told, 0);
	twin_add(tcase, error_is_told_at_the_end_of_the_whole, TWIN_FAILS);
	twin_add(tcase, whole_that_nobody_listened_to_ends_well, TWIN_FAILS);
	suite_add_tcase(suite, tcase);

	tcase = twin_tcase_create("deadline");
	twin_add(tcase, deadline_is_taken_at_any_time, TWIN_DEADLINES);
	twin_add(tcase, earliest_deadline_is_kept, TWIN_TELLS);
	twin_add(tcase, deadline_goes_to_all_parts_that_are_pending, TWIN_TELLS);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return twin_find_worlds() == 0 ? RUNNER_SKIP : runner_main(argc, argv, make, NULL);
}
