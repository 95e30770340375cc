/* SPDX-License-Identifier: MIT */
/* What all kinds of carriers have in common, and the eventfd. The others have files of their own. */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stile/carrier.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

#define ALLOW STILE_FD_ALLOW_SIGNALED

static struct stile_device *device;

static void setup(void) {
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
}

static void teardown(void) {
	stile_device_destroy(device);
	device = NULL;
}

static const enum stile_fd_kind kinds[] = { STILE_FD_SOFTWARE_SYNC_FILE, STILE_FD_SYNC_FILE,
	STILE_FD_EVENTFD };

enum { KINDS = ARRAY_LENGTH(kinds) };

/* ---- Flags --------------------------------------------------------------------------------- */

/* Wrong code: bits that mean nothing today let through, which then cannot mean anything later. */
START_TEST(unknown_flag_is_einval) {
	struct stile_fence *fence = plain_fence_create(), *out = fence;
	int own = eventfd(0, EFD_CLOEXEC), fd;
	static const uint32_t flags[] = { 2, UINT32_C(1) << 31, ALLOW | 2 };
	uint32_t flag = flags[_i / KINDS];
	ck_assert_int_eq(
		stile_fence_import_fd(device, kinds[_i % KINDS], flag, own, &out), -EINVAL);
	ck_assert_ptr_null(out);
	ck_assert_int_eq(stile_fence_import_fd(device, kinds[_i % KINDS], flag, -1, &out), -EINVAL);
	ck_assert_int_eq(stile_fence_export_fd(fence, kinds[_i % KINDS], flag, NULL, &fd), -EINVAL);
	ck_assert_int_eq(fd, -1);
	close(own);
	stile_fence_unref(fence);
}
END_TEST

START_TEST(unknown_kind_is_einval) {
	static const int unknown[] = { 0, 4, -1, INT32_MAX };
	struct stile_fence *fence = plain_fence_create(), *out = fence;
	enum stile_fd_kind kind = (enum stile_fd_kind)unknown[_i];
	int fd = 0;
	ck_assert_int_eq(stile_fence_import_fd(device, kind, ALLOW, -1, &out), -EINVAL);
	ck_assert_ptr_null(out);
	ck_assert_int_eq(stile_fence_export_fd(fence, kind, ALLOW, NULL, &fd), -EINVAL);
	ck_assert_int_eq(fd, -1);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a descriptor that could not be made (-1) passed on, and a dependency is gone. */
START_TEST(no_descriptor_is_signalled_only_where_allowed) {
	enum stile_fd_kind kind = kinds[_i];
	struct stile_fence *fence;
	ck_assert_int_eq(stile_fence_import_fd(device, kind, 0, -1, &fence), -EBADF);
	ck_assert_ptr_null(fence);
	ck_assert_int_eq(stile_fence_import_fd(device, kind, ALLOW, -2, &fence), -EBADF);
	ck_assert_int_eq(stile_fence_import_fd(device, kind, ALLOW, -1, &fence), 0);
	ck_assert_int_eq(stile_fence_wait(fence, 0), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: the flag that makes a mistake of a descriptor that is none of the kind. */
START_TEST(flag_allows_nothing_else) {
	struct stile_fence *fence;
	int fd = memory_closed_fd();
	ck_assert_int_eq(stile_fence_import_fd(device, kinds[_i], ALLOW, fd, &fence), -EBADF);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(stile_fence_import_fd(device, kinds[_i], ALLOW, fd, &fence), -EINVAL);
	close(fd);
}
END_TEST

/* Wrong code: a descriptor where none is wanted; -1 for what is pending. */
START_TEST(signalled_fence_is_no_descriptor_where_allowed) {
	struct stile_fence *fence = plain_fence_create();
	struct stile_path path = { .size = sizeof(path), .kind = STILE_PATH_CPU_WAIT };
	int fd = 0;
	int ret = stile_fence_export_fd(fence, kinds[_i], ALLOW, NULL, &fd);
	ck_assert_int_eq(ret, kinds[_i] == STILE_FD_SYNC_FILE ? -EOPNOTSUPP : 0);
	ck_assert_int_eq(fd < 0, ret < 0);
	if (fd >= 0) {
		close(fd);
	}
	stile_fence_signal(fence);
	ck_assert_int_eq(stile_fence_export_fd(fence, kinds[_i], ALLOW, &path, &fd), 0);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(path.kind, STILE_PATH_NONE);
	ck_assert_int_eq(path.blocked_ns, 0);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: an error that becomes success by crossing. */
START_TEST(failed_fence_crosses_with_its_error_or_not_at_all) {
	struct stile_fence *fence = plain_fence_create(), *copy;
	stile_fence_set_error(fence, -EIO);
	stile_fence_signal(fence);
	enum stile_fd_kind kind = kinds[_i % KINDS];
	int fd = 0;
	int ret = stile_fence_export_fd(fence, kind, _i < KINDS ? 0 : ALLOW, NULL, &fd);
	if (kind == STILE_FD_SOFTWARE_SYNC_FILE) {
		ck_assert_int_eq(ret, 0);
		ck_assert_int_eq(stile_fence_import_fd(device, kind, 0, fd, &copy), 0);
		ck_assert_int_eq(stile_fence_get_status(copy), -EIO);
		stile_fence_unref(copy);
		close(fd);
	} else {
		ck_assert_int_eq(ret, -EOPNOTSUPP);
		ck_assert_int_eq(fd, -1);
	}
	stile_fence_unref(fence);
}
END_TEST

/* ---- The eventfd, in ----------------------------------------------------------------------- */

static struct stile_fence *import(int fd) {
	struct stile_fence *fence;
	ck_assert_int_eq(stile_fence_import_fd(device, STILE_FD_EVENTFD, 0, fd, &fence), 0);
	return fence;
}

enum { LOOK, WATCH, WAYS };

static int learn(struct stile_fence *fence, int way) {
	return way == LOOK ? stile_fence_get_status(fence) : plain_fence_finish(fence);
}

/* Wrong code: the count taken out, so that the next holder waits for ever; or the number kept. */
START_TEST(raised_eventfd_is_the_end_and_stays_raised) {
	int fd = eventfd(0, EFD_CLOEXEC | (_i < WAYS ? 0 : EFD_SEMAPHORE));
	struct stile_fence *fence = import(fd), *other = import(fd);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	ck_assert_int_eq(stile_fence_get_timestamp(fence), 0);
	ck_assert_str_eq(stile_fence_get_driver_name(fence), "eventfd");
	int64_t before_ns = runner_clock_ns();
	ck_assert_int_eq(eventfd_write(fd, 7), 0);
	ck_assert_int_eq(learn(fence, _i % WAYS), 1);
	ck_assert_int_eq(learn(other, _i % WAYS), 1);
	ck_assert_int_ge(stile_fence_get_timestamp(fence), before_ns);
	ck_assert_str_eq(stile_fence_get_timeline_name(fence), "eventfd");
	eventfd_t count;
	ck_assert_int_eq(eventfd_read(fd, &count), 0);
	ck_assert_uint_eq(count, _i < WAYS ? 7 : 1);
	/* The first verdict stands. */
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	stile_fence_unref(fence);
	stile_fence_unref(other);
	close(fd);
}
END_TEST

/* Wrong code: a watch that hears of a count which is gone, and never again. */
START_TEST(eventfd_that_is_drained_is_pending_again) {
	int fd = eventfd(1, EFD_CLOEXEC);
	struct stile_fence *fence = import(fd);
	eventfd_t count;
	ck_assert_int_eq(eventfd_read(fd, &count), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	stile_fence_enable_signaling(fence);
	ck_assert_int_eq(stile_fence_wait(fence, 0), -ETIME);
	ck_assert_int_eq(eventfd_write(fd, 1), 0);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	stile_fence_unref(fence);
	close(fd);
}
END_TEST

/* Wrong code: a program's promise taken for the kernel's. */
START_TEST(fence_of_an_eventfd_expires_and_has_no_known_owner) {
	int fd = eventfd(0, EFD_CLOEXEC);
	int64_t before_ns = runner_clock_ns();
	struct stile_fence *fence = import(fd);
	close(fd);
	ck_assert(stile_fence_is_user(fence));
	ck_assert_int_eq(stile_fence_get_owner(fence), 0);
	int64_t expiry_ns = stile_fence_get_expiry(fence) - 10 * INT64_C(1000000000);
	ck_assert_int_ge(expiry_ns, before_ns);
	ck_assert_int_le(expiry_ns, runner_clock_ns());
	ck_assert_int_eq(stile_fence_set_expiry(fence, runner_clock_ns() + 1000000), 0);
	ck_assert_int_eq(plain_fence_finish(fence), -ETIMEDOUT);
	ck_assert_str_eq(stile_fence_get_driver_name(fence), "eventfd");
	stile_fence_unref(fence);
}
END_TEST

static int open_pipe(void) {
	int ends[2];
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	close(ends[1]);
	return ends[0];
}

static int open_socket(void) {
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	close(ends[1]);
	return ends[0];
}

static int open_null(void) {
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int open_memory(void) {
	return memory_create(4096, 0);
}

struct fd_case {
	const char *what;
	int (*open)(void);
	int ret;
};

static const struct fd_case bad_fds[] = {
	{ "a closed descriptor", memory_closed_fd, -EBADF },
	{ "a pipe", open_pipe, -EINVAL },
	{ "a software sync file", open_socket, -EINVAL },
	{ "/dev/null", open_null, -EINVAL },
	{ "a memfd", open_memory, -EINVAL },
};

/* Wrong code: a hang-up of something else, which is readable too, taken for the end. */
START_TEST(what_is_no_eventfd_is_refused_and_left_open) {
	const struct fd_case *c = &bad_fds[_i];
	int fd = c->open();
	struct stile_fence *fence = (struct stile_fence *)&device;
	int ret = stile_fence_import_fd(device, STILE_FD_EVENTFD, 0, fd, &fence);
	ck_assert_msg(ret == c->ret, "%s: %d instead of %d", c->what, ret, c->ret);
	ck_assert_ptr_null(fence);
	if (ret != -EBADF) {
		ck_assert_int_eq(close(fd), 0);
	}
}
END_TEST

/* L-1. Wrong code: a hint that ends what it cannot hurry. */
START_TEST(deadline_of_what_has_no_way_back_is_dropped) {
	int fd = eventfd(0, EFD_CLOEXEC);
	struct stile_fence *fence = import(fd);
	stile_fence_set_deadline(fence, 1);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	stile_fence_unref(fence);
	close(fd);
}
END_TEST

/* ---- The eventfd, out ---------------------------------------------------------------------- */

static int export(struct stile_fence *fence) {
	int fd;
	int ret = stile_fence_export_fd(fence, STILE_FD_EVENTFD, 0, NULL, &fd);
	runner_require(ret == 0 && fd >= 0, "export: %d, descriptor %d", ret, fd);
	return fd;
}

static void check_count(int fd, eventfd_t expected) {
	eventfd_t count = 0;
	ck_assert_int_eq(eventfd_read(fd, &count), 0);
	ck_assert_uint_eq(count, expected);
	/* Nothing more: and does not block either. */
	ck_assert_int_eq(eventfd_read(fd, &count), -1);
	ck_assert_int_eq(errno, EAGAIN);
}

/* Wrong code: the signaller sleeps in a write, under the lock of the fence, for ever. */
START_TEST(eventfd_that_its_holder_filled_blocks_nobody) {
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
	ck_assert_int_eq(eventfd_write(fd, UINT64_MAX - 1), 0);
	stile_fence_signal(fence);
	eventfd_t count = 0;
	ck_assert_int_eq(eventfd_read(fd, &count), 0);
	ck_assert_uint_eq(count, UINT64_MAX - 1);
	close(fd);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: one counter for all, which the first reader empties; a count for each of them. */
START_TEST(each_exported_eventfd_gets_1_at_the_end) {
	struct stile_fence *fence = plain_fence_create();
	struct stile_path path = { .size = sizeof(path), .blocked_ns = 7 };
	int fds[2];
	fds[0] = export(fence);
	ck_assert_int_eq(stile_fence_export_fd(fence, STILE_FD_EVENTFD, 0, &path, &fds[1]), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_BRIDGE);
	ck_assert_int_eq(path.blocked_ns, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
		ck_assert_int_eq(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		ck_assert(!plain_fd_is_readable(fds[i]));
	}
	/* It cannot say that the fence failed only later. */
	if (_i == 1) {
		stile_fence_set_error(fence, -EIO);
	}
	stile_fence_signal(fence);
	for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
		check_count(fds[i], 1);
		close(fds[i]);
	}
	stile_fence_unref(fence);
}
END_TEST

START_TEST(eventfd_of_a_signalled_fence_is_raised) {
	struct stile_fence *fence = plain_fence_create();
	stile_fence_signal(fence);
	struct stile_path path = { .size = sizeof(path), .kind = STILE_PATH_CPU_WAIT };
	int fd;
	ck_assert_int_eq(stile_fence_export_fd(fence, STILE_FD_EVENTFD, 0, &path, &fd), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_NONE);
	check_count(fd, 1);
	close(fd);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: the caller's own eventfd handed out, which whoever gets it may then empty. */
START_TEST(fence_of_an_eventfd_goes_on_by_another_one) {
	int fd = eventfd(0, EFD_CLOEXEC);
	struct stile_fence *fence = import(fd);
	int next = export(fence);
	ck_assert_int_eq(eventfd_write(fd, 5), 0);
	ck_assert(plain_fd_becomes_readable(next));
	check_count(next, 1);
	ck_assert(plain_fd_is_readable(fd));
	stile_fence_unref(fence);
	close(fd);
	close(next);
}
END_TEST

/* Wrong code: nobody would know if the counter was the caller's, and it closed it. */
START_TEST(exported_eventfd_may_be_closed_before_the_end) {
	struct stile_fence *fence = plain_fence_create();
	close(export(fence));
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	stile_fence_signal(fence);
	close(fd);
	stile_fence_unref(fence);
}
END_TEST

/* A child that ends its copy of a fence. */
static int fork_raiser(void) {
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	pid_t pid = fork();
	runner_require(pid >= 0, "no child");
	if (pid == 0) {
		stile_fence_signal(fence);
		_exit(stile_fence_get_status(fence) != 1);
	}
	int ret = runner_reap(pid) | plain_fd_is_readable(fd);
	stile_fence_signal(fence);
	ret |= !plain_fd_is_readable(fd);
	stile_fence_unref(fence);
	close(fd);
	return ret;
}

/* Wrong code: the child's copy of the fence speaks for the parent's work. */
START_TEST(forked_child_does_not_raise_the_eventfd) {
	ck_assert_int_eq(runner_reap(runner_spawn("fork-raiser", NULL, 0)), 0);
}
END_TEST

/* ---- Failures ------------------------------------------------------------------------------ */

struct attempt {
	struct stile_device *device;
	struct stile_fence *fence;
	int fd;
};

static int attempt_export(void *user) {
	struct attempt *attempt = user;
	attempt->fd = 0;
	return stile_fence_export_fd(attempt->fence, STILE_FD_EVENTFD, 0, NULL, &attempt->fd);
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
	struct attempt attempt = { .fence = plain_fence_create() };
	ck_assert_uint_eq(failing_sweep(attempt_export, after_export, &attempt, errors), 3);
	stile_fence_signal(attempt.fence);
	stile_fence_unref(attempt.fence);
}
END_TEST

/* With a device of its own each time, since the watcher is made at the first import. */
static int attempt_import(void *user) {
	struct attempt *attempt = user;
	attempt->fence = NULL;
	int ret = stile_device_open("swgpu", NULL, &attempt->device);
	if (ret < 0) {
		return ret;
	}
	return stile_fence_import_fd(
		attempt->device, STILE_FD_EVENTFD, 0, attempt->fd, &attempt->fence);
}

static void after_import(void *user, int ret) {
	struct attempt *attempt = user;
	ck_assert_int_eq(attempt->fence == NULL, ret < 0);
	stile_fence_unref(attempt->fence);
	stile_device_destroy(attempt->device);
}

START_TEST(import_survives_every_failure) {
	static const int errors[] = { -ENOMEM, -EMFILE, -EAGAIN, 0 };
	struct attempt attempt = { .fd = eventfd(0, EFD_CLOEXEC) };
	ck_assert_uint_ge(failing_sweep(attempt_import, after_import, &attempt, errors), 10);
	close(attempt.fd);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("carrier");
	TCase *flags = ledger_tcase_create("flags");
	tcase_add_checked_fixture(flags, setup, teardown);
	tcase_add_loop_test(flags, unknown_flag_is_einval, 0, 3 * KINDS);
	tcase_add_loop_test(flags, unknown_kind_is_einval, 0, 4);
	tcase_add_loop_test(flags, no_descriptor_is_signalled_only_where_allowed, 0, KINDS);
	tcase_add_loop_test(flags, flag_allows_nothing_else, 0, KINDS);
	tcase_add_loop_test(flags, signalled_fence_is_no_descriptor_where_allowed, 0, KINDS);
	tcase_add_loop_test(flags, failed_fence_crosses_with_its_error_or_not_at_all, 0, 2 * KINDS);
	suite_add_tcase(s, flags);

	TCase *in = ledger_tcase_create("eventfd in");
	tcase_add_checked_fixture(in, setup, teardown);
	tcase_add_loop_test(in, raised_eventfd_is_the_end_and_stays_raised, 0, 2 * WAYS);
	tcase_add_test(in, eventfd_that_is_drained_is_pending_again);
	tcase_add_test(in, fence_of_an_eventfd_expires_and_has_no_known_owner);
	tcase_add_loop_test(
		in, what_is_no_eventfd_is_refused_and_left_open, 0, ARRAY_LENGTH(bad_fds));
	tcase_add_test(in, deadline_of_what_has_no_way_back_is_dropped);
	suite_add_tcase(s, in);

	TCase *out = ledger_tcase_create("eventfd out");
	tcase_add_checked_fixture(out, setup, teardown);
	tcase_add_test(out, eventfd_that_its_holder_filled_blocks_nobody);
	tcase_add_loop_test(out, each_exported_eventfd_gets_1_at_the_end, 0, 2);
	tcase_add_test(out, eventfd_of_a_signalled_fence_is_raised);
	tcase_add_test(out, fence_of_an_eventfd_goes_on_by_another_one);
	tcase_add_test(out, exported_eventfd_may_be_closed_before_the_end);
	tcase_add_test(out, forked_child_does_not_raise_the_eventfd);
	suite_add_tcase(s, out);

	TCase *failures = ledger_tcase_create("failures");
	tcase_add_checked_fixture(failures, setup, teardown);
	tcase_add_test(failures, export_survives_every_failure);
	tcase_add_test(failures, import_survives_every_failure);
	suite_add_tcase(s, failures);
	return s;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = {
		{ "fork-raiser", fork_raiser },
		{ NULL, NULL },
	};
	return runner_main(argc, argv, suite, roles);
}
