/* SPDX-License-Identifier: MIT */
/* The kernel's sync_file as a carrier: contract section 5, on fakes. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sync_file.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <stile/array.h>
#include <stile/carrier.h>
#include <stile/chain.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/fake_sync_file.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/fence.h"
#include "src/macros.h"

#define KIND STILE_FD_SYNC_FILE
#define ALLOW STILE_FD_ALLOW_SIGNALED

static struct stile_device *device;

static void setup(void) {
	fake_sync_file_begin();
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
}

static void teardown(void) {
	stile_device_destroy(device);
	device = NULL;
	fake_sync_file_end();
}

static struct stile_fence *import(int fd) {
	struct stile_fence *fence;
	ck_assert_int_eq(stile_fence_import_fd(device, KIND, 0, fd, &fence), 0);
	return fence;
}

/* A fence of a new file, and its first leaf. The descriptor is given up, as the library has its own. */
static struct stile_fence *create(size_t leaves, size_t *leaf) {
	int fd = fake_sync_file_create(leaves);
	*leaf = fake_sync_file_first_leaf(fd);
	struct stile_fence *fence = import(fd);
	close(fd);
	return fence;
}

enum { LOOK, WATCH, WAYS };

static int learn(struct stile_fence *fence, int way) {
	return way == LOOK ? stile_fence_get_status(fence) : plain_fence_finish(fence);
}

/* ---- In ------------------------------------------------------------------------------------ */

/* Wrong code: a fence of the kernel's that expires, or that has an owner to blame. */
START_TEST(fence_of_a_sync_file_is_finite) {
	size_t leaf;
	struct stile_fence *fence = create(1, &leaf);
	ck_assert(!stile_fence_is_user(fence));
	ck_assert_int_eq(stile_fence_get_owner(fence), 0);
	ck_assert_int_eq(stile_fence_get_expiry(fence), INT64_MAX);
	ck_assert_int_eq(stile_fence_set_expiry(fence, 1), -EINVAL);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	stile_fence_unref(fence);
}
END_TEST

/* S-3, S-5. Wrong code: readable taken for success; the time of the look instead of the end's. */
START_TEST(end_comes_with_error_time_and_names) {
	static const int statuses[] = { 1, -EIO, -4095 };
	int status = statuses[_i / WAYS];
	size_t leaf;
	struct stile_fence *fence = create(1, &leaf);
	char timeline[32];
	snprintf(timeline, sizeof(timeline), "fake timeline %zu", leaf);
	const char *early = stile_fence_get_timeline_name(fence);
	ck_assert_str_eq(early, timeline);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	fake_sync_file_signal(leaf, status, 77);
	ck_assert_int_eq(learn(fence, _i % WAYS), status);
	ck_assert_int_eq(stile_fence_get_timestamp(fence), 77);
	ck_assert_str_eq(stile_fence_get_driver_name(fence), "fake driver");
	ck_assert_ptr_eq(stile_fence_get_timeline_name(fence), early);
	stile_fence_unref(fence);
}
END_TEST

/* S-5, S-6: the first error, the last time. Wrong code: an error lost in a merged file. */
START_TEST(file_of_several_ends_with_the_last_and_the_first_error) {
	size_t leaf;
	struct stile_fence *fence = create(3, &leaf);
	char name[32];
	snprintf(name, sizeof(name), "fake %zu", leaf);
	ck_assert_str_eq(stile_fence_get_driver_name(fence), "sync_file");
	ck_assert_str_eq(stile_fence_get_timeline_name(fence), name);
	fake_sync_file_signal(leaf + 2, -ENOSPC, 30);
	fake_sync_file_signal(leaf, 1, 90);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	fake_sync_file_signal(leaf + 1, -EIO, 60);
	ck_assert_int_eq(learn(fence, _i), -EIO);
	ck_assert_int_eq(stile_fence_get_timestamp(fence), 90);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a look at the leaves alone, of which one is pending for ever. */
START_TEST(file_that_is_done_before_its_leaves_is_done) {
	static const int statuses[] = { 1, -EIO };
	int fd = fake_sync_file_create(2);
	struct stile_fence *fence = import(fd);
	fake_sync_file_signal_whole(fd, statuses[_i / WAYS]);
	ck_assert_int_eq(learn(fence, _i % WAYS), statuses[_i / WAYS]);
	ck_assert_int_gt(stile_fence_get_timestamp(fence), 0);
	close(fd);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: an interrupted call that makes an error of a success. */
START_TEST(interrupted_calls_are_made_again) {
	fake_sync_file_fail(SYNC_IOC_FILE_INFO, EINTR, 3);
	size_t leaf;
	struct stile_fence *fence = create(1, &leaf);
	fake_sync_file_signal(leaf, 1, 5);
	fake_sync_file_fail(SYNC_IOC_FILE_INFO, EINTR, 3);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	stile_fence_unref(fence);
}
END_TEST

static int answer_everything(int fd, unsigned long request, void *arg) {
	(void)fd;
	(void)request;
	((struct sync_file_info *)arg)->status = 1;
	return 0;
}

/* S-2. Wrong code: any file system's file that answers the right call, when and as it likes. */
START_TEST(what_only_answers_like_one_is_refused) {
	int fd = eventfd(1, EFD_CLOEXEC);
	struct stile_fence *fence;
	failing_set_ioctl(answer_everything);
	int ret = stile_fence_import_fd(device, STILE_FD_SYNC_FILE, 0, fd, &fence);
	failing_set_ioctl(NULL);
	ck_assert_int_eq(ret, -EINVAL);
	ck_assert_ptr_null(fence);
	close(fd);
}
END_TEST

/* Wrong code: no memory in the kernel, and consumers are let go with an error. */
START_TEST(look_without_memory_is_no_answer) {
	size_t leaf;
	struct stile_fence *fence = create(1, &leaf);
	fake_sync_file_signal(leaf, 1, 5);
	fake_sync_file_fail(SYNC_IOC_FILE_INFO, ENOMEM, 1);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	fake_sync_file_fail(SYNC_IOC_FILE_INFO, ENOMEM, 3);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	stile_fence_unref(fence);
}
END_TEST

struct end {
	struct stile_callback callback;
	struct stile_fence *told;
};

/* With a reference of its own: who waits for it may drop his at once. */
static void tell_end(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct stile_fence *told = CONTAINER_OF(callback, struct end, callback)->told;
	stile_fence_signal(told);
	stile_fence_unref(told);
}

/* Wrong code: the watcher does not look again at what it saw in vain, and who listens waits for ever. */
START_TEST(look_without_memory_is_made_again) {
	size_t leaf;
	struct stile_fence *fence = create(1, &leaf);
	struct stile_fence *told = plain_fence_create();
	struct end end = { .told = stile_fence_ref(told) };
	ck_assert_int_eq(stile_fence_add_callback(fence, &end.callback, tell_end), 0);
	fake_sync_file_fail(SYNC_IOC_FILE_INFO, ENOMEM, 3);
	fake_sync_file_signal(leaf, 1, 5);
	ck_assert_int_eq(plain_fence_finish(told), 1);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	/* The watcher has a reference as long as it looks: it is not to be the last, after the test. */
	while (!fence_is_last_ref(fence)) {
		sched_yield();
	}
	stile_fence_unref(told);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: what the kernel refuses to tell, or tells out of range, taken for success. */
START_TEST(look_that_fails_is_ebadmsg) {
	size_t leaf;
	struct stile_fence *fence = create(1, &leaf);
	if (_i == 0) {
		fake_sync_file_signal(leaf, 1, 5);
		fake_sync_file_fail(SYNC_IOC_FILE_INFO, EIO, 1);
	} else {
		fake_sync_file_signal(leaf, _i == 1 ? 2 : -4096, 5);
	}
	ck_assert_int_eq(stile_fence_get_status(fence), -EBADMSG);
	stile_fence_unref(fence);
}
END_TEST

static int open_null(void) {
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int open_eventfd(void) {
	return eventfd(1, EFD_CLOEXEC);
}

static int open_pipe(void) {
	int ends[2];
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	close(ends[1]);
	return ends[0];
}

static int open_nothing(void) {
	return -1;
}

struct fd_case {
	const char *what;
	int (*open)(void);
	int ret;
};

static const struct fd_case bad_fds[] = {
	{ "-1", open_nothing, -EBADF },
	{ "a closed descriptor", memory_closed_fd, -EBADF },
	{ "/dev/null", open_null, -EINVAL },
	{ "an eventfd", open_eventfd, -EINVAL },
	{ "a pipe", open_pipe, -EINVAL },
};

/* S-2, S-8. Wrong code: ENOTTY handed on; whatever can be polled taken for a fence. */
START_TEST(wrong_descriptor_is_refused_and_left_open) {
	const struct fd_case *c = &bad_fds[_i];
	int fd = c->open();
	struct stile_fence *fence = (struct stile_fence *)&device;
	int ret = stile_fence_import_fd(device, KIND, 0, fd, &fence);
	ck_assert_msg(ret == c->ret, "%s: %d instead of %d", c->what, ret, c->ret);
	ck_assert_ptr_null(fence);
	if (ret != -EBADF) {
		ck_assert_int_eq(close(fd), 0);
	}
}
END_TEST

/* ---- Deadlines ----------------------------------------------------------------------------- */

/* S-7, L-1. Wrong code: a hint that ends in the library; a pad that is not 0, which the fake refuses. */
START_TEST(deadline_reaches_the_kernel) {
	size_t leaf;
	struct stile_fence *fence = create(1, &leaf);
	stile_fence_set_deadline(fence, 500);
	ck_assert_int_eq(fake_sync_file_deadline(leaf), 500);
	stile_fence_set_deadline(fence, -3);
	ck_assert_int_eq(fake_sync_file_deadline(leaf), 0);
	fake_sync_file_signal(leaf, 1, 5);
	stile_fence_set_deadline(fence, 400);
	ck_assert_uint_eq(fake_sync_file_calls(fake_sync_file_set_deadline), 2);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: the fence of an older kernel ended, or the call made again for ever. */
START_TEST(kernel_without_deadlines_is_no_error) {
	size_t leaf;
	struct stile_fence *fence = create(1, &leaf);
	fake_sync_file_fail(fake_sync_file_set_deadline, ENOTTY, 1);
	stile_fence_set_deadline(fence, 500);
	ck_assert_int_eq(fake_sync_file_deadline(leaf), INT64_MAX);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	fake_sync_file_signal(leaf, 1, 5);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	stile_fence_unref(fence);
}
END_TEST

/* ---- Out ----------------------------------------------------------------------------------- */

static int export(struct stile_fence *fence, uint32_t flags, enum stile_path_kind kind) {
	struct stile_path path = { .size = sizeof(path), .kind = STILE_PATH_CPU_WAIT };
	int fd = -2;
	int ret = stile_fence_export_fd(fence, KIND, flags, &path, &fd);
	ck_assert_int_eq(ret, 0);
	ck_assert_int_eq(path.kind, kind);
	return fd;
}

static void check_refused(struct stile_fence *fence, uint32_t flags) {
	struct stile_path path = { .size = sizeof(path), .kind = STILE_PATH_CPU_WAIT };
	int fd = 0;
	ck_assert_int_eq(stile_fence_export_fd(fence, KIND, flags, &path, &fd), -EOPNOTSUPP);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(path.kind, STILE_PATH_CPU_WAIT);
}

/* S-1. Wrong code: the caller's or the fence's own descriptor handed out, which then is closed. */
START_TEST(fence_of_a_file_goes_on_as_that_file) {
	size_t leaf;
	struct stile_fence *fence = create(1, &leaf);
	int fd = export(fence, _i == 0 ? 0 : ALLOW, STILE_PATH_HANDLE);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_uint_eq(fake_sync_file_first_leaf(fd), leaf);
	stile_fence_unref(fence);
	ck_assert(!plain_fd_is_readable(fd));
	fake_sync_file_signal(leaf, 1, 5);
	ck_assert(plain_fd_is_readable(fd));
	close(fd);
	ck_assert_uint_eq(fake_sync_file_calls(SYNC_IOC_MERGE), 0);
}
END_TEST

/* Wrong code: the error of a file dropped by -1; no descriptor though there is one. */
START_TEST(file_that_is_over_goes_on_with_its_error) {
	size_t leaf;
	struct stile_fence *fence = create(1, &leaf);
	fake_sync_file_signal(leaf, _i == 0 ? 1 : -EIO, 5);
	int fd = export(fence, 0, STILE_PATH_NONE);
	struct stile_fence *again = import(fd);
	ck_assert_int_eq(stile_fence_get_status(again), _i == 0 ? 1 : -EIO);
	stile_fence_unref(again);
	close(fd);
	fd = export(fence, ALLOW, STILE_PATH_NONE);
	ck_assert_int_eq(fd < 0, _i == 0);
	if (fd >= 0) {
		close(fd);
	}
	stile_fence_unref(fence);
}
END_TEST

/* An array (0), or a chain (1), that takes over the references. */
static struct stile_fence *contain(int form, struct stile_fence **fences, size_t count) {
	if (form == 0) {
		struct stile_array *array;
		ck_assert_int_eq(stile_array_alloc(count, &array), 0);
		return stile_array_init(
			array, fences, count, stile_fence_context_alloc(1), 1, STILE_ARRAY_ALL);
	}
	struct stile_fence *head = NULL;
	for (size_t i = 0; i < count; i++) {
		struct stile_chain *chain;
		ck_assert_int_eq(stile_chain_alloc(&chain), 0);
		head = stile_chain_init(chain, head, fences[i], i + 1);
	}
	return head;
}

/* S-4. Wrong code: a leaf left out; a descriptor of a step between left open, which the ledger sees. */
START_TEST(container_of_files_goes_on_as_a_merged_file) {
	enum { COUNT = 4 };
	struct stile_fence *fences[COUNT];
	size_t leaves[COUNT];
	for (size_t i = 0; i < COUNT; i++) {
		fences[i] = create(1, &leaves[i]);
	}
	struct stile_fence *all = contain(_i, fences, COUNT);
	fake_sync_file_signal(leaves[1], 1, 5);
	int fd = export(all, 0, STILE_PATH_HANDLE);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_uint_eq(fake_sync_file_count(fd), COUNT - 1);
	ck_assert_uint_eq(fake_sync_file_calls(SYNC_IOC_MERGE), COUNT - 2);
	static const size_t order[] = { 3, 0, 2 };
	for (size_t i = 0; i < ARRAY_LENGTH(order); i++) {
		ck_assert(!plain_fd_is_readable(fd));
		fake_sync_file_signal(leaves[order[i]], 1, 6);
	}
	ck_assert(plain_fd_is_readable(fd));
	ck_assert_int_eq(stile_fence_get_status(all), 1);
	ck_assert_int_eq(export(all, ALLOW, STILE_PATH_NONE), -1);
	check_refused(all, 0);
	close(fd);
	stile_fence_unref(all);
}
END_TEST

/*
 * Wrong code: a fence that a program owes becomes one of the kernel's; the part that can cross
 * taken for the whole; an error that is left behind.
 */
START_TEST(container_of_more_than_files_is_refused) {
	struct stile_fence *fences[2], *other = plain_fence_create();
	size_t leaf;
	int form = _i & 1, failed = (_i & 2) != 0, first = (_i & 4) != 0;
	fences[!first] = create(1, &leaf);
	fences[first] = stile_fence_ref(other);
	struct stile_fence *all = contain(form, fences, 2);
	if (failed) {
		stile_fence_set_error(other, -EIO);
		stile_fence_signal(other);
	}
	/* A chain forgets the elements before it that are done, as every walk does. */
	if (!failed || form == 0) {
		check_refused(all, 0);
		check_refused(all, ALLOW);
	}
	stile_fence_signal(other);
	stile_fence_unref(all);
	stile_fence_unref(other);
}
END_TEST

/* X-2 and what -1 may stand for. Wrong code: a failed fence that crosses as "already signalled". */
START_TEST(other_fences_do_not_become_files) {
	struct stile_fence *fence = plain_fence_create();
	check_refused(fence, 0);
	check_refused(fence, ALLOW);
	if (_i == 1) {
		stile_fence_set_error(fence, -EIO);
	}
	stile_fence_signal(fence);
	check_refused(fence, 0);
	if (_i == 1) {
		check_refused(fence, ALLOW);
	} else {
		ck_assert_int_eq(export(fence, ALLOW, STILE_PATH_NONE), -1);
	}
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: whatever has a descriptor is the kernel's. */
START_TEST(fences_of_other_descriptors_do_not_become_files) {
	static const enum stile_fd_kind kinds[] = { STILE_FD_EVENTFD, STILE_FD_SOFTWARE_SYNC_FILE };
	struct stile_fence *fence = plain_fence_create(), *copy;
	int fd;
	ck_assert_int_eq(stile_fence_export_fd(fence, kinds[_i], 0, NULL, &fd), 0);
	ck_assert_int_eq(stile_fence_import_fd(device, kinds[_i], 0, fd, &copy), 0);
	check_refused(copy, 0);
	check_refused(copy, ALLOW);
	stile_fence_unref(copy);
	close(fd);
	stile_fence_signal(fence);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: what is merged so far left open. */
START_TEST(failed_merge_leaves_nothing) {
	static const int errors[] = { EMFILE, ENFILE, ENOMEM };
	struct stile_fence *fences[3];
	size_t leaf;
	for (size_t i = 0; i < ARRAY_LENGTH(fences); i++) {
		fences[i] = create(1, &leaf);
	}
	struct stile_fence *all = contain(0, fences, ARRAY_LENGTH(fences));
	fake_sync_file_fail(SYNC_IOC_MERGE, errors[_i], 1);
	int fd;
	ck_assert_int_eq(stile_fence_export_fd(all, KIND, 0, NULL, &fd), -errors[_i]);
	ck_assert_int_eq(fd, -1);
	fake_sync_file_fail(SYNC_IOC_MERGE, EINTR, 2);
	fd = export(all, 0, STILE_PATH_HANDLE);
	close(fd);
	stile_fence_unref(all);
}
END_TEST

/* ---- Failures ------------------------------------------------------------------------------ */

struct attempt {
	struct stile_fence *fence;
	int fd;
};

static int attempt_import(void *user) {
	struct attempt *attempt = user;
	return stile_fence_import_fd(device, KIND, 0, attempt->fd, &attempt->fence);
}

static void after_import(void *user, int ret) {
	struct attempt *attempt = user;
	ck_assert_int_eq(attempt->fence == NULL, ret < 0);
	stile_fence_unref(attempt->fence);
}

START_TEST(import_survives_every_failure) {
	static const int errors[] = { -ENOMEM, -EMFILE, -EAGAIN, 0 };
	struct attempt attempt = { .fd = fake_sync_file_create(2) };
	ck_assert_uint_ge(failing_sweep(attempt_import, after_import, &attempt, errors), 7);
	/* There is a thread to watch now, and so the calls at the end are among those that fail. */
	ck_assert_uint_ge(failing_sweep(attempt_import, after_import, &attempt, errors), 5);
	close(attempt.fd);
}
END_TEST

static int attempt_export(void *user) {
	struct attempt *attempt = user;
	return stile_fence_export_fd(attempt->fence, KIND, 0, NULL, &attempt->fd);
}

static void after_export(void *user, int ret) {
	const struct attempt *attempt = user;
	ck_assert_int_eq(attempt->fd < 0, ret < 0);
	if (ret == 0) {
		close(attempt->fd);
	}
}

START_TEST(export_survives_every_failure) {
	static const int errors[] = { -ENOMEM, -EMFILE, 0 };
	struct stile_fence *fences[3];
	size_t leaf;
	for (size_t i = 0; i < ARRAY_LENGTH(fences); i++) {
		fences[i] = create(1, &leaf);
	}
	struct attempt attempt = { .fence = contain(_i, fences, ARRAY_LENGTH(fences)) };
	ck_assert_uint_eq(failing_sweep(attempt_export, after_export, &attempt, errors), 3);
	stile_fence_unref(attempt.fence);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("kernel_sync_file");
	TCase *in = ledger_tcase_create("in");
	tcase_add_checked_fixture(in, setup, teardown);
	tcase_add_test(in, fence_of_a_sync_file_is_finite);
	tcase_add_loop_test(in, end_comes_with_error_time_and_names, 0, 3 * WAYS);
	tcase_add_loop_test(in, file_of_several_ends_with_the_last_and_the_first_error, 0, WAYS);
	tcase_add_loop_test(in, file_that_is_done_before_its_leaves_is_done, 0, 2 * WAYS);
	tcase_add_test(in, interrupted_calls_are_made_again);
	tcase_add_test(in, what_only_answers_like_one_is_refused);
	tcase_add_test(in, look_without_memory_is_no_answer);
	tcase_add_test(in, look_without_memory_is_made_again);
	tcase_add_loop_test(in, look_that_fails_is_ebadmsg, 0, 3);
	tcase_add_loop_test(
		in, wrong_descriptor_is_refused_and_left_open, 0, ARRAY_LENGTH(bad_fds));
	tcase_add_test(in, deadline_reaches_the_kernel);
	tcase_add_test(in, kernel_without_deadlines_is_no_error);
	suite_add_tcase(s, in);

	TCase *out = ledger_tcase_create("out");
	tcase_add_checked_fixture(out, setup, teardown);
	tcase_add_loop_test(out, fence_of_a_file_goes_on_as_that_file, 0, 2);
	tcase_add_loop_test(out, file_that_is_over_goes_on_with_its_error, 0, 2);
	tcase_add_loop_test(out, container_of_files_goes_on_as_a_merged_file, 0, 2);
	tcase_add_loop_test(out, container_of_more_than_files_is_refused, 0, 8);
	tcase_add_loop_test(out, other_fences_do_not_become_files, 0, 2);
	tcase_add_loop_test(out, fences_of_other_descriptors_do_not_become_files, 0, 2);
	tcase_add_loop_test(out, failed_merge_leaves_nothing, 0, 3);
	suite_add_tcase(s, out);

	TCase *failures = ledger_tcase_create("failures");
	tcase_add_checked_fixture(failures, setup, teardown);
	tcase_add_test(failures, import_survives_every_failure);
	tcase_add_loop_test(failures, export_survives_every_failure, 0, 2);
	suite_add_tcase(s, failures);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
