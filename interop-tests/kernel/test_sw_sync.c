/* SPDX-License-Identifier: MIT */
/*
 * Fences of a kernel's timeline that a test moves on, and that can fail, as fences of the library's: KERNEL_CONTRACT
 * section 5. What the library makes of them; what the kernel does with them is test_twin_sync_file.c's.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <stile/array.h>
#include <stile/carrier.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/merge.h>
#include <stile/wait.h>

#include "interop-tests/kernel/twin_kernel.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

#define MS INT64_C(1000000)

enum { COUNT = 2, HANG_MS = 30000 };

static struct stile_device *device;
static int timelines[COUNT], files[COUNT];
static struct stile_fence *fences[COUNT]; /* each the first of its timeline */

static struct stile_fence *import(int file) {
	struct stile_fence *fence;
	ck_assert_int_eq(stile_fence_import_fd(device, STILE_FD_SYNC_FILE, 0, file, &fence), 0);
	return fence;
}

static void setup(void) {
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
	for (int i = 0; i < COUNT; i++) {
		timelines[i] = kernel_open_sw_sync();
		files[i] = kernel_sw_fence(timelines[i], 1);
		fences[i] = import(files[i]);
	}
}

/* All that is pending on it fails. */
static void lose(int i) {
	close(timelines[i]);
	timelines[i] = -1;
}

static void teardown(void) {
	for (int i = 0; i < COUNT; i++) {
		stile_fence_unref(fences[i]);
		close(files[i]);
		if (timelines[i] >= 0) {
			lose(i);
		}
	}
	stile_device_destroy(device);
}

static void advance(int i) {
	ck_assert_int_eq(kernel_sw_advance(timelines[i], 1), 0);
}

static void end(int i, bool well) {
	if (well) {
		advance(i);
	} else {
		lose(i);
	}
}

/* ---- Ends ---------------------------------------------------------------------------------- */

enum { LOOK, WAIT, CALLBACK, WAYS };

static atomic_int called;

static void call(struct stile_fence *fence, struct stile_callback *callback) {
	(void)callback;
	atomic_store(&called, stile_fence_get_status(fence));
}

/* What the callback was told. */
static int await_call(void) {
	for (int waited = 0; atomic_load(&called) == 0 && waited < HANG_MS; waited++) {
		runner_sleep_ms(1);
	}
	return atomic_load(&called);
}

static void *lose_late(void *unused) {
	(void)unused;
	runner_sleep_ms(20);
	lose(0);
	return NULL;
}

/* S-3. Wrong code: any step of the timeline taken for the end; the end not noticed. */
START_TEST(wait_ends_when_the_timeline_is_there) {
	int file = kernel_sw_fence(timelines[0], 2);
	struct stile_fence *second = import(file);
	ck_assert_int_eq(stile_fence_wait(second, runner_clock_ns() + 20 * MS), -ETIME);
	advance(0);
	ck_assert_int_eq(stile_fence_get_status(fences[0]), 1);
	ck_assert_int_eq(stile_fence_wait(second, runner_clock_ns() + 20 * MS), -ETIME);
	ck_assert_int_eq(stile_fence_get_status(second), 0);
	advance(0);
	ck_assert_int_eq(plain_fence_finish(second), 1);
	stile_fence_unref(second);
	close(file);
}
END_TEST

/* F-6, S-5. Wrong code: readable taken for success; an error that only one of the ways to learn it tells. */
START_TEST(work_that_is_lost_ends_with_the_error) {
	struct stile_callback callback;
	atomic_store(&called, 0);
	if (_i == CALLBACK) {
		ck_assert_int_eq(stile_fence_add_callback(fences[0], &callback, call), 0);
	}
	lose(0);
	if (_i == CALLBACK) {
		ck_assert_int_eq(await_call(), -ENOENT);
	} else if (_i == WAIT) {
		ck_assert_int_eq(plain_fence_finish(fences[0]), -ENOENT);
	}
	ck_assert_int_eq(stile_fence_get_status(fences[0]), -ENOENT);
	ck_assert_int_eq(stile_fence_get_status(fences[1]), 0);
}
END_TEST

/* Wrong code: who waits already is not woken by a failure. */
START_TEST(loss_wakes_who_waits) {
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, lose_late, NULL), 0);
	ck_assert_int_eq(plain_fence_finish(fences[0]), -ENOENT);
	pthread_join(thread, NULL);
}
END_TEST

/* Wrong code: what is over when it comes is done, or waited for. */
START_TEST(fence_that_had_failed_comes_with_its_error) {
	lose(0);
	struct stile_fence *late = import(files[0]);
	ck_assert_int_eq(stile_fence_wait(late, 0), 0);
	ck_assert_int_eq(stile_fence_get_status(late), -ENOENT);
	stile_fence_unref(late);
}
END_TEST

/* S-5. Wrong code: the time of the look, or of the import; names of our own. */
START_TEST(names_and_time_are_the_kernels) {
	char process[16];
	ck_assert_int_eq(prctl(PR_GET_NAME, process), 0);
	ck_assert_str_eq(stile_fence_get_driver_name(fences[0]), "sw_sync");
	ck_assert_str_eq(stile_fence_get_timeline_name(fences[0]), process);
	int64_t before_ns = runner_clock_ns();
	end(0, _i == 0);
	int64_t after_ns = runner_clock_ns();
	runner_sleep_ms(5);
	ck_assert_int_eq(plain_fence_finish(fences[0]), _i == 0 ? 1 : -ENOENT);
	ck_assert_int_ge(stile_fence_get_timestamp(fences[0]), before_ns);
	ck_assert_int_le(stile_fence_get_timestamp(fences[0]), after_ns);
	ck_assert_str_eq(stile_fence_get_timeline_name(fences[0]), process);
}
END_TEST

/* ---- Merged -------------------------------------------------------------------------------- */

/* S-4, S-5. Wrong code: a merged file that ends with its first leaf, or whose error is lost. */
START_TEST(merged_file_ends_with_the_last_and_with_the_error) {
	int file = kernel_merge(files[0], files[1]);
	struct stile_fence *both = import(file);
	end(_i % 2, _i / 2 != 0);
	ck_assert_int_eq(stile_fence_wait(both, runner_clock_ns() + 20 * MS), -ETIME);
	ck_assert_int_eq(stile_fence_get_status(both), 0);
	end(1 - _i % 2, _i / 2 != 1);
	ck_assert_int_eq(plain_fence_finish(both), _i / 2 == 2 ? 1 : -ENOENT);
	stile_fence_unref(both);
	close(file);
}
END_TEST

/* S-4. Wrong code: fewer leaves than were merged; a file of the first alone. */
START_TEST(our_merge_is_a_file_of_the_kernels) {
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *both;
	int file;
	ck_assert_int_eq(stile_fence_merge(fences, COUNT, &both), 0);
	ck_assert_int_eq(stile_fence_export_fd(both, STILE_FD_SYNC_FILE, 0, &path, &file), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_HANDLE);
	struct sync_file_info info = { .num_fences = 0 };
	ck_assert_int_eq(kernel_ioctl(file, SYNC_IOC_FILE_INFO, &info), 0);
	ck_assert_uint_eq(info.num_fences, COUNT);
	end(_i, true);
	ck_assert(!plain_fd_is_readable(file));
	end(1 - _i, true);
	ck_assert(plain_fd_becomes_readable(file));
	ck_assert_int_eq(kernel_get_status(file), 1);
	ck_assert_int_eq(plain_fence_finish(both), 1);
	stile_fence_unref(both);
	close(file);
}
END_TEST

/* Wrong code: a failure goes out as something that is done, or is left out of what is pending. */
START_TEST(failure_goes_out_as_such_or_not_at_all) {
	struct stile_fence *members[] = { fences[0], fences[1] }, *array;
	int file;
	ck_assert_int_eq(stile_array_create(members, COUNT, stile_fence_context_alloc(1), 1,
				 STILE_ARRAY_ALL, &array),
		0);
	lose(0);
	ck_assert_int_eq(stile_fence_export_fd(fences[0], STILE_FD_SYNC_FILE, 0, NULL, &file), 0);
	ck_assert_int_eq(kernel_get_status(file), -ENOENT);
	close(file);
	ck_assert_int_eq(
		stile_fence_export_fd(array, STILE_FD_SYNC_FILE, 0, NULL, &file), -EOPNOTSUPP);
	ck_assert_int_eq(file, -1);
	stile_fence_unref(array);
}
END_TEST

/* ---- Deadlines ----------------------------------------------------------------------------- */

/* What it was told last; 0: nothing. */
static int64_t deadline_of(int i) {
	struct kernel_sw_deadline told = { .fence = files[i] };
	int ret = kernel_ioctl(timelines[i], KERNEL_SW_GET_DEADLINE, &told);
	ck_assert(ret == 0 || ret == -ENOENT);
	return ret == 0 ? (int64_t)told.deadline_ns : 0;
}

/* S-7, L-1. Wrong code: the hint ends in the library; the last in place of the earliest. */
START_TEST(deadline_is_told_to_who_owes_it) {
	int64_t at_ns = runner_clock_ns() + 1000 * MS;
	ck_assert_int_eq(deadline_of(0), 0);
	stile_fence_set_deadline(fences[0], at_ns);
	ck_assert_int_eq(deadline_of(0), at_ns);
	stile_fence_set_deadline(fences[0], at_ns - 1);
	stile_fence_set_deadline(fences[0], at_ns + 1);
	ck_assert_int_eq(deadline_of(0), at_ns - 1);
	ck_assert_int_eq(deadline_of(1), 0);
}
END_TEST

/* L-2. Wrong code: the first of several only. */
START_TEST(deadline_of_a_merged_one_is_told_to_each) {
	int64_t at_ns = runner_clock_ns() + 1000 * MS;
	struct stile_fence *both;
	if (_i == 0) {
		ck_assert_int_eq(stile_fence_merge(fences, COUNT, &both), 0);
	} else {
		int file = kernel_merge(files[0], files[1]);
		both = import(file);
		close(file);
	}
	stile_fence_set_deadline(both, at_ns);
	ck_assert_int_eq(deadline_of(0), at_ns);
	ck_assert_int_eq(deadline_of(1), at_ns);
	stile_fence_unref(both);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("sw_sync");
	TCase *tcase = ledger_tcase_create("sw_sync");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, wait_ends_when_the_timeline_is_there);
	tcase_add_loop_test(tcase, work_that_is_lost_ends_with_the_error, 0, WAYS);
	tcase_add_test(tcase, loss_wakes_who_waits);
	tcase_add_test(tcase, fence_that_had_failed_comes_with_its_error);
	tcase_add_loop_test(tcase, names_and_time_are_the_kernels, 0, 2);
	tcase_add_loop_test(tcase, merged_file_ends_with_the_last_and_with_the_error, 0, 6);
	tcase_add_loop_test(tcase, our_merge_is_a_file_of_the_kernels, 0, COUNT);
	tcase_add_test(tcase, failure_goes_out_as_such_or_not_at_all);
	tcase_add_test(tcase, deadline_is_told_to_who_owes_it);
	tcase_add_loop_test(tcase, deadline_of_a_merged_one_is_told_to_each, 0, 2);
	suite_add_tcase(s, tcase);
	return s;
}

int main(int argc, char **argv) {
	int fd = kernel_open_sw_sync();
	if (fd < 0) {
		printf("skipped: there is no sw_sync here: %s\n", strerror(-fd));
		return RUNNER_SKIP;
	}
	close(fd);
	return runner_main(argc, argv, suite, NULL);
}
