/* SPDX-License-Identifier: MIT */
/* The software sync file: DESIGN section 3, "Carriers". */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stile/carrier.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/merge.h>
#include <stile/notify.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/mail.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

#define KIND STILE_FD_SOFTWARE_SYNC_FILE

static struct stile_device *device;

static int fences_before;

static void setup(void) {
	fences_before = plain_fence_count();
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
}

static void teardown(void) {
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(plain_fence_count(), fences_before);
}

static int export(struct stile_fence *fence) {
	int fd;
	int ret = stile_fence_export_fd(fence, KIND, 0, NULL, &fd);
	runner_require(ret == 0 && fd >= 0, "export: %d, descriptor %d", ret, fd);
	return fd;
}

static struct stile_fence *import(int fd) {
	struct stile_fence *fence;
	ck_assert_int_eq(stile_fence_import_fd(device, KIND, 0, fd, &fence), 0);
	return fence;
}

/* Both ways to learn of the end: looking, and a thread of the library that was told to watch. */
enum { LOOK, WATCH, WAYS };

static int learn(struct stile_fence *fence, int way) {
	return way == LOOK ? stile_fence_get_status(fence) : plain_fence_finish(fence);
}

/* ---- There and back ------------------------------------------------------------------------ */

/* Wrong code: an error that becomes success on the way; the reader's time or names. */
START_TEST(end_crosses_with_error_time_and_names) {
	static const int errors[] = { 0, -EIO, -ECANCELED, -4095 };
	int error = errors[_i / WAYS];
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	struct stile_fence *copy = import(fd);
	ck_assert_int_eq(stile_fence_get_status(copy), 0);
	ck_assert_int_eq(stile_fence_get_timestamp(copy), 0);
	if (error != 0) {
		ck_assert_int_eq(stile_fence_set_error(fence, error), 0);
	}
	stile_fence_signal(fence);
	ck_assert_int_eq(learn(copy, _i % WAYS), error == 0 ? 1 : error);
	ck_assert_int_eq(stile_fence_get_timestamp(copy), stile_fence_get_timestamp(fence));
	ck_assert_str_eq(stile_fence_get_driver_name(copy), "plain driver");
	ck_assert_str_eq(stile_fence_get_timeline_name(copy), "plain timeline");
	close(fd);
	stile_fence_unref(copy);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a descriptor of a signalled fence that never gets readable, a wrong path. */
START_TEST(signalled_fence_can_be_exported) {
	struct stile_fence *fence = plain_fence_create();
	stile_fence_set_error(fence, -EIO);
	stile_fence_signal(fence);
	struct stile_path path = { .size = sizeof(path), .kind = STILE_PATH_CPU_WAIT };
	int fd;
	ck_assert_int_eq(stile_fence_export_fd(fence, KIND, 0, &path, &fd), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_NONE);
	ck_assert(plain_fd_is_readable(fd));
	struct stile_fence *copy = import(fd);
	ck_assert_int_eq(stile_fence_wait(copy, 0), 0);
	ck_assert_int_eq(stile_fence_get_status(copy), -EIO);
	close(fd);
	stile_fence_unref(copy);
	stile_fence_unref(fence);
}
END_TEST

/* U-3. Wrong code: a success without a time, such as of nothing merged, becomes an error on the way. */
START_TEST(success_without_a_time_crosses_as_success) {
	struct stile_fence *nothing;
	ck_assert_int_eq(stile_fence_merge(NULL, 0, &nothing), 0);
	ck_assert_int_eq(stile_fence_get_timestamp(nothing), 0);
	int fd = export(nothing);
	struct stile_fence *copy = import(fd);
	ck_assert_int_eq(stile_fence_get_status(copy), 1);
	ck_assert_int_gt(stile_fence_get_timestamp(copy), 0);
	close(fd);
	stile_fence_unref(copy);
	stile_fence_unref(nothing);
}
END_TEST

START_TEST(path_tells_what_carries) {
	ledger_expect_complaint("the last reference of pending fence");
	struct stile_fence *fence = plain_fence_create();
	struct stile_path path = {
		.size = sizeof(path), .kind = STILE_PATH_CPU_WAIT, .blocked_ns = 7
	};
	int fd;
	ck_assert_int_eq(stile_fence_export_fd(fence, KIND, 0, &path, &fd), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_BRIDGE);
	ck_assert_int_eq(path.blocked_ns, 0);
	ck_assert_uint_eq(path.size, sizeof(path));
	close(fd);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a record taken out by the first who looks; a descriptor readable once. */
START_TEST(every_holder_sees_it_for_ever) {
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	int others[3];
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
		others[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		ck_assert(!plain_fd_is_readable(others[i]));
	}
	stile_fence_signal(fence);
	stile_fence_unref(fence);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
			ck_assert(plain_fd_is_readable(others[i]));
			struct stile_fence *copy = import(others[i]);
			ck_assert_int_eq(learn(copy, round), 1);
			stile_fence_unref(copy);
			ck_assert(plain_fd_is_readable(fd));
		}
	}
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
		close(others[i]);
	}
	close(fd);
}
END_TEST

/* Each export is a stream of its own: untrusted peers cannot disturb each other. */
START_TEST(exports_are_independent) {
	struct stile_fence *fence = plain_fence_create();
	int one = export(fence), other = export(fence);
	stile_fence_signal(fence);
	char drained[256];
	ck_assert_int_gt(recv(one, drained, sizeof(drained), MSG_DONTWAIT), 0);
	struct stile_fence *copy = import(other);
	ck_assert_int_eq(stile_fence_get_status(copy), 1);
	stile_fence_unref(copy);
	close(one);
	close(other);
	stile_fence_unref(fence);
}
END_TEST

/* A fence that came by descriptor goes on by descriptor. Wrong code: nobody watches the first one. */
START_TEST(imported_fence_can_be_exported_again) {
	struct stile_fence *fence = plain_fence_create();
	int first = export(fence);
	struct stile_fence *middle = import(first);
	int second = export(middle);
	struct stile_fence *last = import(second);
	stile_fence_set_error(fence, -EIO);
	stile_fence_signal(fence);
	ck_assert(plain_fd_becomes_readable(second));
	ck_assert_int_eq(learn(last, _i), -EIO);
	ck_assert_int_eq(stile_fence_get_timestamp(last), stile_fence_get_timestamp(fence));
	ck_assert_str_eq(stile_fence_get_driver_name(last), "plain driver");
	close(first);
	close(second);
	stile_fence_unref(last);
	stile_fence_unref(middle);
	stile_fence_unref(fence);
}
END_TEST

static void finish_with(struct stile_fence *fence, int error) {
	if (error != 0) {
		ck_assert_int_eq(stile_fence_set_error(fence, error), 0);
	}
	stile_fence_signal(fence);
}

/*
 * Who passes a fence on need not stay. Wrong code: a stream of its own, which ends with the middle
 * one's copy while the producer is still at work.
 */
START_TEST(passed_on_fence_follows_the_first_producer) {
	int error = _i < WAYS ? 0 : -EIO;
	struct stile_fence *fence = plain_fence_create();
	int first = export(fence), second;
	struct stile_fence *middle = import(first);
	close(first);
	struct stile_path path = { .size = sizeof(path), .blocked_ns = 7 };
	ck_assert_int_eq(stile_fence_export_fd(middle, KIND, 0, &path, &second), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_HANDLE);
	ck_assert_int_eq(path.blocked_ns, 0);
	ck_assert_int_eq(fcntl(second, F_GETFD), FD_CLOEXEC);
	stile_fence_unref(middle);
	struct stile_fence *last = import(second);
	ck_assert_int_eq(stile_fence_wait(last, 0), -ETIME);
	finish_with(fence, error);
	ck_assert_int_eq(learn(last, _i % WAYS), error == 0 ? 1 : error);
	ck_assert_int_eq(stile_fence_get_timestamp(last), stile_fence_get_timestamp(fence));
	close(second);
	stile_fence_unref(last);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a handle passed on that says nothing new, path HANDLE or BRIDGE for what is over. */
START_TEST(imported_fence_that_is_over_is_exported_as_over) {
	int error = _i == 0 ? 0 : -EIO;
	struct stile_fence *fence = plain_fence_create();
	int first = export(fence), second;
	struct stile_fence *middle = import(first);
	close(first);
	finish_with(fence, error);
	stile_fence_unref(fence);
	struct stile_path path = { .size = sizeof(path), .kind = STILE_PATH_CPU_WAIT };
	ck_assert_int_eq(stile_fence_export_fd(middle, KIND, 0, &path, &second), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_NONE);
	ck_assert(plain_fd_is_readable(second));
	struct stile_fence *last = import(second);
	ck_assert_int_eq(stile_fence_get_status(last), error == 0 ? 1 : error);
	close(second);
	stile_fence_unref(last);
	stile_fence_unref(middle);
}
END_TEST

/* ---- Descriptors --------------------------------------------------------------------------- */

START_TEST(exported_descriptor_is_cloexec_and_new) {
	struct stile_fence *fence = plain_fence_create();
	int one = export(fence), other = export(fence);
	ck_assert_int_ne(one, other);
	ck_assert_int_eq(fcntl(one, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(other, F_GETFD), FD_CLOEXEC);
	stile_fence_signal(fence);
	stile_fence_unref(fence);
	close(one);
	close(other);
}
END_TEST

/* Wrong code: the descriptor consumed; or used after the caller has closed it. */
START_TEST(import_borrows_the_descriptor) {
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	struct stile_fence *copy = import(fd);
	ck_assert_int_eq(close(fd), 0);
	stile_fence_signal(fence);
	ck_assert_int_eq(learn(copy, _i), 1);
	stile_fence_unref(copy);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a pair left open for writing both ways, where a holder can forge the end. */
START_TEST(holder_cannot_write) {
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	ck_assert_int_eq(errno, EPIPE);
	struct stile_fence *copy = import(fd);
	ck_assert_int_eq(stile_fence_get_status(copy), 0);
	stile_fence_signal(fence);
	ck_assert_int_eq(stile_fence_get_status(copy), 1);
	stile_fence_unref(copy);
	stile_fence_unref(fence);
	close(fd);
}
END_TEST

struct export_case {
	const char *what;
	enum stile_fd_kind kind;
	uint32_t flags;
	size_t path_size;
};

static const struct export_case bad_exports[] = {
	{ "kind 0", (enum stile_fd_kind)0, 0, sizeof(struct stile_path) },
	{ "unknown kind", (enum stile_fd_kind)4, 0, sizeof(struct stile_path) },
	{ "unknown flag", KIND, 2, sizeof(struct stile_path) },
	{ "path without a size", KIND, 0, 0 },
	{ "path of rubbish", KIND, 0, SIZE_MAX },
};

START_TEST(bad_export_is_einval) {
	const struct export_case *c = &bad_exports[_i];
	struct stile_fence *fence = plain_fence_create();
	struct stile_path path = { .size = c->path_size };
	int fd = 0;
	int ret = stile_fence_export_fd(fence, c->kind, c->flags, &path, &fd);
	ck_assert_msg(ret == -EINVAL && fd == -1, "%s: %d, fd %d", c->what, ret, fd);
	stile_fence_unref(fence);
}
END_TEST

/* ---- What is not one ----------------------------------------------------------------------- */

static int open_nothing(void) {
	return -1;
}

static int open_closed(void) {
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	close(fd);
	return fd;
}

static int open_null(void) {
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int open_pipe(void) {
	int ends[2];
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	close(ends[1]);
	return ends[0];
}

static int open_eventfd(void) {
	return eventfd(1, EFD_CLOEXEC);
}

static int open_memfd(void) {
	return memfd_create("test", MFD_CLOEXEC);
}

static int open_pair(int type) {
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
	close(ends[1]);
	return ends[0];
}

static int open_stream(void) {
	return open_pair(SOCK_STREAM);
}

static int open_dgram(void) {
	return open_pair(SOCK_DGRAM);
}

static int open_inet(void) {
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int open_listening(void) {
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	/* No name: the kernel chooses an abstract one. */
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

struct fd_case {
	const char *what;
	int (*open)(void);
	int ret;
};

/* Wrong code: anything that can be polled taken for a fence; 1 or 0 from an eventfd as an answer. */
static const struct fd_case bad_fds[] = {
	{ "-1", open_nothing, -EBADF },
	{ "a closed descriptor", open_closed, -EBADF },
	{ "/dev/null", open_null, -EINVAL },
	{ "a pipe", open_pipe, -EINVAL },
	{ "an eventfd", open_eventfd, -EINVAL },
	{ "a memfd", open_memfd, -EINVAL },
	{ "a stream socket", open_stream, -EINVAL },
	{ "a datagram socket", open_dgram, -EINVAL },
	{ "an internet socket", open_inet, -EINVAL },
	{ "a listening socket", open_listening, -EINVAL },
};

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

START_TEST(unknown_kind_is_einval) {
	ledger_expect_complaint("the last reference of pending fence");
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	struct stile_fence *copy;
	ck_assert_int_eq(
		stile_fence_import_fd(device, (enum stile_fd_kind)(_i * 4), 0, fd, &copy), -EINVAL);
	ck_assert_ptr_null(copy);
	close(fd);
	stile_fence_unref(fence);
}
END_TEST

/* ---- Rubbish ------------------------------------------------------------------------------- */

/* What travels, as src/sync_file.c has it: other builds of the library read it, so it is fixed. */
struct wire {
	uint32_t magic;
	int32_t status;
	int64_t timestamp_ns;
	uint64_t context;
	uint64_t seqno;
	char driver[32];
	char timeline[32];
};

static const struct wire good = {
	.magic = 0x53464331,
	.status = 1,
	.timestamp_ns = 5,
	.context = 3,
	.seqno = 4,
	.driver = "d",
	.timeline = "t",
};

enum spoil { NOTHING, MAGIC, STATUS, TIME, DRIVER, TIMELINE };

struct forgery {
	const char *what;
	size_t bytes;
	int status;
	enum spoil spoil;
	int64_t value;
};

/* Wrong code: each check of record_is_valid() left out, or a length that is not compared. */
static const struct forgery forgeries[] = {
	{ "a good record", sizeof(struct wire), 1, NOTHING, 0 },
	{ "a good record with an error", sizeof(struct wire), -EIO, STATUS, -EIO },
	{ "the smallest errno", sizeof(struct wire), -4095, STATUS, -4095 },
	{ "wrong magic", sizeof(struct wire), -EBADMSG, MAGIC, 0 },
	{ "status 0", sizeof(struct wire), -EBADMSG, STATUS, 0 },
	{ "status 2", sizeof(struct wire), -EBADMSG, STATUS, 2 },
	{ "status below all errnos", sizeof(struct wire), -EBADMSG, STATUS, -4096 },
	{ "status INT32_MIN", sizeof(struct wire), -EBADMSG, STATUS, INT32_MIN },
	{ "no time", sizeof(struct wire), -EBADMSG, TIME, 0 },
	{ "negative time", sizeof(struct wire), -EBADMSG, TIME, -1 },
	{ "driver name without an end", sizeof(struct wire), -EBADMSG, DRIVER, 0 },
	{ "timeline name without an end", sizeof(struct wire), -EBADMSG, TIMELINE, 0 },
	{ "one byte short", sizeof(struct wire) - 1, -EBADMSG, NOTHING, 0 },
	{ "one byte long", sizeof(struct wire) + 1, -EBADMSG, NOTHING, 0 },
	{ "twice as long", 2 * sizeof(struct wire), -EBADMSG, NOTHING, 0 },
	{ "one byte", 1, -EBADMSG, NOTHING, 0 },
	{ "an empty message", 0, -EBADMSG, NOTHING, 0 },
};

static void forge(const struct forgery *forgery, unsigned char *bytes) {
	struct wire wire = good;
	switch (forgery->spoil) {
	case MAGIC:
		wire.magic ^= 1;
		break;
	case STATUS:
		wire.status = (int32_t)forgery->value;
		break;
	case TIME:
		wire.timestamp_ns = forgery->value;
		break;
	case DRIVER:
		memset(wire.driver, 'x', sizeof(wire.driver));
		break;
	case TIMELINE:
		memset(wire.timeline, 'x', sizeof(wire.timeline));
		break;
	default:
		break;
	}
	memcpy(bytes, &wire, sizeof(wire));
}

START_TEST(only_a_whole_valid_record_is_success) {
	const struct forgery *c = &forgeries[_i / WAYS];
	unsigned char bytes[2 * sizeof(struct wire)] = { 0 };
	forge(c, bytes);
	int ends[2];
	mail_pair(ends);
	struct stile_fence *fence = import(ends[1]);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	ck_assert_int_eq(send(ends[0], bytes, c->bytes, MSG_NOSIGNAL), (ssize_t)c->bytes);
	int status = learn(fence, _i % WAYS);
	ck_assert_msg(status == c->status, "%s: %d instead of %d", c->what, status, c->status);
	ck_assert_int_gt(stile_fence_get_timestamp(fence), 0);
	ck_assert_uint_lt(strlen(stile_fence_get_driver_name(fence)), 32);
	ck_assert_uint_lt(strlen(stile_fence_get_timeline_name(fence)), 32);
	/* The first verdict stands, whatever comes after. */
	(void)send(ends[0], &good, sizeof(good), MSG_NOSIGNAL);
	close(ends[0]);
	ck_assert_int_eq(stile_fence_get_status(fence), c->status);
	stile_fence_unref(fence);
	close(ends[1]);
}
END_TEST

/* Wrong code: another process writes to the terminal of who prints a name. */
START_TEST(names_are_text) {
	struct wire wire = good;
	memcpy(wire.driver, "a\033b\n", 5);
	memcpy(wire.timeline, "\177~ \377", 5);
	int ends[2];
	mail_pair(ends);
	struct stile_fence *fence = import(ends[1]);
	ck_assert_int_eq(send(ends[0], &wire, sizeof(wire), MSG_NOSIGNAL), sizeof(wire));
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	ck_assert_str_eq(stile_fence_get_driver_name(fence), "a?b?");
	ck_assert_str_eq(stile_fence_get_timeline_name(fence), "?~ ?");
	stile_fence_unref(fence);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

/* Wrong code: no data taken for success, since the descriptor is readable after all. */
START_TEST(drained_socket_is_an_error) {
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	struct stile_fence *copy = import(fd);
	stile_fence_signal(fence);
	char drained[256];
	ck_assert_int_eq(recv(fd, drained, sizeof(drained), 0), sizeof(struct wire));
	ck_assert(plain_fd_is_readable(fd));
	ck_assert_int_eq(learn(copy, _i), -EOWNERDEAD);
	stile_fence_unref(copy);
	stile_fence_unref(fence);
	close(fd);
}
END_TEST

/* Wrong code: ENOTCONN taken for "nothing yet". */
START_TEST(socket_without_a_peer_is_an_error) {
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct stile_fence *fence = import(fd);
	ck_assert_int_lt(learn(fence, _i), 0);
	stile_fence_unref(fence);
	close(fd);
}
END_TEST

/*
 * A holder can have all others look behind the record's end. Wrong code: readable, yet "nothing
 * yet", for ever, with a thread that spins.
 */
START_TEST(socket_that_shows_nothing_is_an_error) {
	int ends[2], behind = 4096;
	mail_pair(ends);
	ck_assert_int_eq(setsockopt(ends[1], SOL_SOCKET, SO_PEEK_OFF, &behind, sizeof(behind)), 0);
	struct stile_fence *fence = import(ends[1]);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	ck_assert_int_eq(send(ends[0], &good, sizeof(good), MSG_NOSIGNAL), sizeof(good));
	ck_assert_int_eq(learn(fence, _i), -EBADMSG);
	stile_fence_unref(fence);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

/* What has spoken may not take it back. Wrong code: the last message counts, or any good one. */
START_TEST(rubbish_is_not_mended_by_a_good_record) {
	int ends[2];
	mail_pair(ends);
	struct stile_fence *fence = import(ends[1]);
	ck_assert_int_eq(send(ends[0], "rubbish", 7, MSG_NOSIGNAL), 7);
	ck_assert_int_eq(send(ends[0], &good, sizeof(good), MSG_NOSIGNAL), sizeof(good));
	ck_assert_int_eq(learn(fence, _i), -EBADMSG);
	stile_fence_unref(fence);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

/*
 * A holder can have the kernel drop or cut what comes for all of them. Wrong code: silence taken for
 * the end of the work, a part of a record for the whole.
 */
START_TEST(filtered_record_is_an_error) {
	static const uint32_t keeps[] = { 0, 8, sizeof(struct wire) - 1 };
	uint32_t keep = keeps[_i / WAYS];
	struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, keep);
	struct sock_fprog program = { .len = 1, .filter = &code };
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	ck_assert_int_eq(
		setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
	struct stile_fence *copy = import(fd);
	ck_assert_int_eq(stile_fence_get_status(copy), 0);
	stile_fence_signal(fence);
	ck_assert_int_eq(learn(copy, _i % WAYS), keep == 0 ? -EOWNERDEAD : -EBADMSG);
	stile_fence_unref(copy);
	stile_fence_unref(fence);
	close(fd);
}
END_TEST

/* Wrong code: a stream that a holder has closed for all of them, taken for one that has ended well. */
START_TEST(socket_that_a_holder_shut_down_is_an_error) {
	static const int hows[] = { SHUT_RD, SHUT_RDWR };
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	struct stile_fence *copy = import(fd);
	ck_assert_int_eq(shutdown(fd, hows[_i / WAYS]), 0);
	ck_assert_int_eq(learn(copy, _i % WAYS), -EOWNERDEAD);
	stile_fence_signal(fence);
	ck_assert_int_eq(stile_fence_get_status(copy), -EOWNERDEAD);
	stile_fence_unref(copy);
	stile_fence_unref(fence);
	close(fd);
}
END_TEST

/* ---- Who is left --------------------------------------------------------------------------- */

/* F-20 across the descriptor. Wrong code: the holder waits for ever. */
START_TEST(abandoned_fence_tells_the_holder_edeadlk) {
	ledger_expect_complaint("the last reference of pending fence");
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	struct stile_fence *copy = import(fd);
	ck_assert_int_eq(stile_fence_get_status(copy), 0);
	stile_fence_unref(fence);
	ck_assert_int_eq(learn(copy, _i), -EDEADLK);
	stile_fence_unref(copy);
	close(fd);
}
END_TEST

/* Wrong code: the watcher ended together with the device. */
START_TEST(imported_fence_outlives_its_device) {
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	struct stile_fence *copy = import(fd);
	close(fd);
	if (_i == 0) {
		stile_fence_enable_signaling(copy);
	}
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(stile_fence_wait(copy, 0), -ETIME);
	stile_fence_signal(fence);
	ck_assert_int_eq(plain_fence_finish(copy), 1);
	stile_fence_unref(copy);
	stile_fence_unref(fence);
}
END_TEST

static void unref_run(struct stile_fence *fence, struct stile_callback *callback) {
	(void)callback;
	stile_fence_unref(fence);
}

/* Wrong code: the watcher's thread joins itself, or leaks; the ledger sees it. */
START_TEST(last_reference_may_go_on_the_watching_thread) {
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	struct stile_fence *copy = import(fd);
	/* It runs at some time; the ledger waits for the thread's end. */
	static struct stile_callback drop;
	ck_assert_int_eq(stile_fence_add_callback(copy, &drop, unref_run), 0);
	stile_device_destroy(device);
	device = NULL;
	stile_fence_signal(fence);
	stile_fence_unref(fence);
	ck_assert(plain_fd_becomes_readable(fd));
	close(fd);
}
END_TEST

/* Wrong code: an event for a descriptor whose number means another fence by now. */
START_TEST(reused_numbers_are_not_confused) {
	for (int round = 0; round < 200; round++) {
		struct stile_fence *one = plain_fence_create(), *other = plain_fence_create();
		int fd = export(one);
		struct stile_fence *copy = import(fd);
		stile_fence_enable_signaling(copy);
		close(fd);
		stile_fence_signal(one);
		stile_fence_unref(copy);
		fd = export(other);
		copy = import(fd);
		stile_fence_enable_signaling(copy);
		ck_assert_int_eq(stile_fence_get_status(copy), 0);
		stile_fence_signal(other);
		ck_assert_int_eq(plain_fence_finish(copy), 1);
		stile_fence_unref(copy);
		close(fd);
		stile_fence_unref(one);
		stile_fence_unref(other);
	}
}
END_TEST

/* ---- Another process ----------------------------------------------------------------------- */

static void clone_unseen(int socket) {
	if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0) {
		char byte;
		while (syscall(SYS_read, socket, &byte, 1) > 0) {
		}
		syscall(SYS_exit_group, 0);
	}
}

/*
 * The producer: gives a descriptor of its fence, then does what it hears: 's' signal, 'e' signal
 * with an error, 'f' fork a child that stays, 'c' fork a child that signals the fence, 'u' make a child
 * that stays behind the library's back. It ends as soon as nobody talks to it any more.
 */
static void produce(int socket, struct stile_fence *fence, char what) {
	switch (what) {
	case 'e':
		stile_fence_set_error(fence, -EIO);
		stile_fence_signal(fence);
		break;
	case 's':
		stile_fence_signal(fence);
		break;
	case 'u':
		clone_unseen(socket);
		break;
	case 'f':
	case 'c':
		if (fork() == 0) {
			if (what == 'c') {
				stile_fence_signal(fence);
			}
			mail_tell(socket, '.');
			/* Whatever is said is for the parent: stay until the test lets go. */
			while (plain_fd_is_readable(socket) == false || mail_hear(socket) != '\0') {
				runner_sleep_ms(1);
			}
			_exit(0);
		}
		return;
	default:
		break;
	}
	mail_tell(socket, '.');
}

static int producer(void) {
	int socket = RUNNER_FIRST_FD;
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	mail_send(socket, "x", 1, &fd, 1);
	close(fd);
	for (char what = mail_hear(socket); what != '\0'; what = mail_hear(socket)) {
		produce(socket, fence, what);
	}
	stile_fence_unref(fence);
	return 0;
}

struct peer {
	pid_t pid;
	int socket;
	struct stile_fence *fence; /* what it gave */
};

static struct peer peer_start(void) {
	int ends[2], fd;
	mail_pair(ends);
	struct peer peer = { .pid = runner_spawn("producer", &ends[1], 1), .socket = ends[0] };
	close(ends[1]);
	char byte;
	ck_assert_int_eq(mail_receive(peer.socket, &byte, 1, &fd, 1), 1);
	peer.fence = import(fd);
	close(fd);
	return peer;
}

static void peer_do(struct peer *peer, char what) {
	mail_tell(peer->socket, what);
	ck_assert_int_eq(mail_hear(peer->socket), '.');
}

static void peer_end(struct peer *peer) {
	stile_fence_unref(peer->fence);
	close(peer->socket);
}

/* Wrong code: the process that waits taken for the one that owes. */
START_TEST(owner_is_the_process_that_made_it) {
	int64_t before_ns = runner_clock_ns();
	struct peer peer = peer_start();
	ck_assert(stile_fence_is_user(peer.fence));
	ck_assert_int_eq(stile_fence_get_owner(peer.fence), peer.pid);
	int64_t expiry_ns = stile_fence_get_expiry(peer.fence) - 10 * INT64_C(1000000000);
	ck_assert_int_ge(expiry_ns, before_ns);
	ck_assert_int_le(expiry_ns, runner_clock_ns());
	peer_end(&peer);
	ck_assert_int_eq(runner_reap(peer.pid), 0);
}
END_TEST

static void expire(struct stile_fence *fence, int way) {
	ck_assert_int_eq(stile_fence_set_expiry(fence, runner_clock_ns() + 1000000), 0);
	runner_sleep_ms(way == LOOK ? 2 : 0);
	ck_assert_int_eq(learn(fence, way), -ETIMEDOUT);
	ck_assert_str_eq(stile_fence_get_driver_name(fence), "software-sync-file");
	ck_assert_str_eq(stile_fence_get_timeline_name(fence), "pending");
}

/* Wrong code: a producer that hangs makes all others hang. */
START_TEST(silent_producer_is_etimedout) {
	struct peer peer = peer_start();
	expire(peer.fence, _i);
	peer_do(&peer, 's');
	ck_assert_int_eq(stile_fence_get_status(peer.fence), -ETIMEDOUT);
	peer_end(&peer);
	ck_assert_int_eq(runner_reap(peer.pid), 0);
}
END_TEST

/* A child by the bare system call, which no handler sees, keeps the stream open: the expiry helps. */
START_TEST(stream_that_an_unseen_child_keeps_open_expires) {
	struct peer peer = peer_start();
	peer_do(&peer, 'u');
	kill(peer.pid, SIGKILL);
	ck_assert_int_eq(runner_reap(peer.pid), -SIGKILL);
	ck_assert_int_eq(stile_fence_get_status(peer.fence), 0);
	expire(peer.fence, _i);
	peer_end(&peer);
}
END_TEST

START_TEST(end_crosses_from_another_process) {
	struct peer peer = peer_start();
	ck_assert_int_eq(stile_fence_get_status(peer.fence), 0);
	peer_do(&peer, _i < WAYS ? 's' : 'e');
	ck_assert_int_eq(learn(peer.fence, _i % WAYS), _i < WAYS ? 1 : -EIO);
	peer_end(&peer);
	ck_assert_int_eq(runner_reap(peer.pid), 0);
}
END_TEST

/* Wrong code: the hang-up taken for the end of the work. */
START_TEST(killed_producer_is_eownerdead) {
	struct peer peer = peer_start();
	ck_assert_int_eq(stile_fence_get_status(peer.fence), 0);
	kill(peer.pid, SIGKILL);
	ck_assert_int_eq(runner_reap(peer.pid), -SIGKILL);
	ck_assert_int_eq(learn(peer.fence, _i), -EOWNERDEAD);
	peer_end(&peer);
}
END_TEST

/* Wrong code: a stream of the middle process, which lives on and never ends it. */
START_TEST(killed_producer_is_eownerdead_for_the_third_party_too) {
	struct peer peer = peer_start();
	int fd = export(peer.fence);
	struct stile_fence *last = import(fd);
	close(fd);
	ck_assert_int_eq(stile_fence_get_status(last), 0);
	kill(peer.pid, SIGKILL);
	ck_assert_int_eq(runner_reap(peer.pid), -SIGKILL);
	ck_assert_int_eq(learn(last, _i), -EOWNERDEAD);
	stile_fence_unref(last);
	peer_end(&peer);
}
END_TEST

/* What was said before dying counts. */
START_TEST(killed_after_signalling_is_what_it_said) {
	struct peer peer = peer_start();
	peer_do(&peer, 's');
	kill(peer.pid, SIGKILL);
	ck_assert_int_eq(runner_reap(peer.pid), -SIGKILL);
	ck_assert_int_eq(learn(peer.fence, _i), 1);
	peer_end(&peer);
}
END_TEST

/* Wrong code: a child with a copy of the sending end keeps the stream alive. */
START_TEST(forked_child_does_not_keep_the_stream_alive) {
	struct peer peer = peer_start();
	mail_tell(peer.socket, 'f');
	ck_assert_int_eq(mail_hear(peer.socket), '.');
	ck_assert_int_eq(stile_fence_get_status(peer.fence), 0);
	kill(peer.pid, SIGKILL);
	ck_assert_int_eq(runner_reap(peer.pid), -SIGKILL);
	ck_assert_int_eq(learn(peer.fence, _i), -EOWNERDEAD);
	peer_end(&peer);
}
END_TEST

/* Wrong code: the child's copy of the fence speaks for the parent's work. */
START_TEST(forked_child_cannot_signal_for_its_parent) {
	struct peer peer = peer_start();
	mail_tell(peer.socket, 'c');
	ck_assert_int_eq(mail_hear(peer.socket), '.');
	ck_assert_int_eq(stile_fence_get_status(peer.fence), 0);
	kill(peer.pid, SIGKILL);
	ck_assert_int_eq(runner_reap(peer.pid), -SIGKILL);
	ck_assert_int_eq(learn(peer.fence, _i), -EOWNERDEAD);
	peer_end(&peer);
}
END_TEST

static atomic_bool racing;

static void *race_run(void *arg) {
	(void)arg;
	while (racing) {
		struct stile_fence *fence = plain_fence_create();
		int fd = export(fence);
		stile_fence_signal(fence);
		stile_fence_unref(fence);
		close(fd);
	}
	return NULL;
}

/* In a child: can any socket be written to? Only system calls: other threads held what locks? */
static int sending_ends(void) {
	int count = 0;
	for (int fd = 3; fd < 64; fd++) {
		int type = 0;
		socklen_t size = sizeof(type);
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
			type == SOCK_SEQPACKET &&
			send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1) {
			count++;
		}
	}
	return count;
}

/* The number of children that got a sending end. */
static int fork_racer(void) {
	pthread_t thread;
	racing = true;
	if (pthread_create(&thread, NULL, race_run, NULL) != 0) {
		return 100;
	}
	int bad = 0;
	for (int round = 0; round < 400; round++) {
		pid_t child = fork();
		if (child == 0) {
			_exit(sending_ends() != 0);
		}
		int status = 0;
		waitpid(child, &status, 0);
		bad += status != 0;
	}
	racing = false;
	pthread_join(thread, NULL);
	return bad > 99 ? 99 : bad;
}

/* Wrong code: a socket made before, or closed after, the time that the list of senders knows it. */
START_TEST(fork_at_any_moment_copies_no_sending_end) {
	ck_assert_int_eq(runner_reap(runner_spawn("fork-racer", NULL, 0)), 0);
}
END_TEST

/* ---- Fork ---------------------------------------------------------------------------------- */

/*
 * A consumer that forks: what a child does to what it inherited. In roles, which the tests start
 * by exec. A child that hangs is ended by its alarm.
 */
struct consumer {
	struct stile_device *device;
	struct stile_fence *fence; /* the producer's, pending */
	struct stile_fence *copy;  /* what was imported of it */
};

static void consumer_init(struct consumer *consumer) {
	runner_require(stile_device_open("swgpu", NULL, &consumer->device) == 0, "no device");
	consumer->fence = plain_fence_create();
	int fd = export(consumer->fence);
	runner_require(stile_fence_import_fd(consumer->device, KIND, 0, fd, &consumer->copy) == 0,
		"import");
	close(fd);
}

/* The child's exit status; 1 if it hung. */
static int consumer_fork(struct consumer *consumer, int (*child)(struct consumer *consumer)) {
	enum { HANG_S = 30 };
	pid_t pid = fork();
	runner_require(pid >= 0, "no child");
	if (pid == 0) {
		alarm(HANG_S);
		_exit(child(consumer));
	}
	return runner_reap(pid) != 0;
}

/* Does the watch of the parent still work? Gives everything up. */
static int consumer_finish(struct consumer *consumer) {
	int early = stile_fence_wait(consumer->copy, 0);
	stile_fence_signal(consumer->fence);
	int status = plain_fence_finish(consumer->copy);
	stile_fence_unref(consumer->copy);
	stile_fence_unref(consumer->fence);
	stile_device_destroy(consumer->device);
	return early == -ETIME && status == 1 ? 0 : 2;
}

static int child_drops(struct consumer *consumer) {
	stile_fence_unref(consumer->copy);
	return 0;
}

static int fork_dropper(void) {
	struct consumer consumer;
	consumer_init(&consumer);
	stile_fence_enable_signaling(consumer.copy);
	int ret = consumer_fork(&consumer, child_drops);
	return ret | consumer_finish(&consumer);
}

static int child_listens(struct consumer *consumer) {
	stile_fence_enable_signaling(consumer->copy);
	return stile_fence_get_status(consumer->copy) == -ECHILD ? 0 : 3;
}

static int fork_listener(void) {
	struct consumer consumer;
	consumer_init(&consumer);
	int ret = consumer_fork(&consumer, child_listens);
	return ret | consumer_finish(&consumer);
}

static int child_destroys(struct consumer *consumer) {
	stile_fence_unref(consumer->copy);
	stile_device_destroy(consumer->device);
	return 0;
}

static int fork_destroyer(void) {
	struct consumer consumer = { 0 };
	runner_require(stile_device_open("swgpu", NULL, &consumer.device) == 0, "no device");
	int ret = consumer_fork(&consumer, child_destroys);
	stile_device_destroy(consumer.device);
	return ret;
}

static int fork_destroyer_with_watch(void) {
	struct consumer consumer;
	consumer_init(&consumer);
	stile_fence_enable_signaling(consumer.copy);
	int ret = consumer_fork(&consumer, child_destroys);
	return ret | consumer_finish(&consumer);
}

static void never_called(struct stile_fence *fence, struct stile_notify *notify, void *user) {
	(void)fence;
	(void)notify;
	(void)user;
	abort();
}

static int fork_destroyer_while_due(void) {
	struct consumer consumer = { 0 };
	struct stile_notify notify;
	struct stile_fence *fence = plain_fence_create();
	runner_require(stile_device_open("swgpu", NULL, &consumer.device) == 0, "no device");
	stile_notify_init(&notify, consumer.device);
	stile_fence_signal(fence);
	runner_require(stile_fence_notify(fence, &notify, never_called, NULL) == 0, "not asked");
	int ret = consumer_fork(&consumer, child_destroys);
	bool readable = plain_fd_is_readable(stile_device_get_fd(consumer.device));
	stile_device_destroy(consumer.device);
	stile_fence_unref(fence);
	return ret | !readable;
}

/* Wrong code: the child takes the descriptor out of the epoll instance, which is the parent's too. */
START_TEST(child_that_drops_a_fence_leaves_the_parents_watch_alone) {
	ck_assert_int_eq(runner_reap(runner_spawn("fork-dropper", NULL, 0)), 0);
}
END_TEST

/* Wrong code: the child counts on a thread it does not have, or takes the parent's event. */
START_TEST(listening_in_a_child_ends_with_echild) {
	ck_assert_int_eq(runner_reap(runner_spawn("fork-listener", NULL, 0)), 0);
}
END_TEST

/* Wrong code: the child joins threads that are the parent's. */
START_TEST(device_can_be_destroyed_in_a_child) {
	/* The last one: what is due stays visible, though the eventfd is the child's too. */
	static const char *const roles[] = { "fork-destroyer", "fork-destroyer-with-watch",
		"fork-destroyer-while-due" };
	ck_assert_int_eq(runner_reap(runner_spawn(roles[_i], NULL, 0)), 0);
}
END_TEST

/* ---- Failures ------------------------------------------------------------------------------ */

struct attempt {
	struct stile_device *device;
	struct stile_fence *fence;
	struct stile_fence *copy;
	int fd;
};

static int attempt_export(void *user) {
	struct attempt *attempt = user;
	attempt->fd = 0;
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
	struct attempt attempt = { .fence = plain_fence_create() };
	ck_assert_uint_ge(failing_sweep(attempt_export, after_export, &attempt, errors), 2);
	stile_fence_signal(attempt.fence);
	stile_fence_unref(attempt.fence);
}
END_TEST

/* With a device of its own each time, since the watcher is made at the first import. */
static int attempt_import(void *user) {
	struct attempt *attempt = user;
	attempt->copy = NULL;
	int ret = stile_device_open("swgpu", NULL, &attempt->device);
	if (ret < 0) {
		return ret;
	}
	ret = stile_fence_import_fd(attempt->device, KIND, 0, attempt->fd, &attempt->copy);
	return ret;
}

static void after_import(void *user, int ret) {
	struct attempt *attempt = user;
	ck_assert_int_eq(attempt->copy == NULL, ret < 0);
	stile_fence_unref(attempt->copy);
	stile_device_destroy(attempt->device);
}

START_TEST(import_survives_every_failure) {
	ledger_expect_complaint("the last reference of pending fence");
	static const int errors[] = { -ENOMEM, -EMFILE, -EAGAIN, 0 };
	struct attempt attempt = { .fence = plain_fence_create() };
	attempt.fd = export(attempt.fence);
	/*
	 * Among them the kernel's memory for the watch: wrong code asks for it when somebody waits,
	 * and can then but end the fence early.
	 */
	ck_assert_uint_ge(failing_sweep(attempt_import, after_import, &attempt, errors), 10);
	close(attempt.fd);
	stile_fence_unref(attempt.fence);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("sync_file");
	TCase *crossing = ledger_tcase_create("crossing");
	tcase_add_checked_fixture(crossing, setup, teardown);
	tcase_add_loop_test(crossing, end_crosses_with_error_time_and_names, 0, 4 * WAYS);
	tcase_add_test(crossing, signalled_fence_can_be_exported);
	tcase_add_test(crossing, success_without_a_time_crosses_as_success);
	tcase_add_test(crossing, path_tells_what_carries);
	tcase_add_test(crossing, every_holder_sees_it_for_ever);
	tcase_add_test(crossing, exports_are_independent);
	tcase_add_loop_test(crossing, imported_fence_can_be_exported_again, 0, WAYS);
	tcase_add_loop_test(crossing, passed_on_fence_follows_the_first_producer, 0, 2 * WAYS);
	tcase_add_loop_test(crossing, imported_fence_that_is_over_is_exported_as_over, 0, 2);
	suite_add_tcase(s, crossing);

	TCase *fds = ledger_tcase_create("descriptors");
	tcase_add_checked_fixture(fds, setup, teardown);
	tcase_add_test(fds, exported_descriptor_is_cloexec_and_new);
	tcase_add_loop_test(fds, import_borrows_the_descriptor, 0, WAYS);
	tcase_add_test(fds, holder_cannot_write);
	tcase_add_loop_test(fds, bad_export_is_einval, 0, ARRAY_LENGTH(bad_exports));
	tcase_add_loop_test(
		fds, wrong_descriptor_is_refused_and_left_open, 0, ARRAY_LENGTH(bad_fds));
	tcase_add_loop_test(fds, unknown_kind_is_einval, 0, 2);
	suite_add_tcase(s, fds);

	TCase *rubbish = ledger_tcase_create("rubbish");
	tcase_add_checked_fixture(rubbish, setup, teardown);
	tcase_add_loop_test(
		rubbish, only_a_whole_valid_record_is_success, 0, ARRAY_LENGTH(forgeries) * WAYS);
	tcase_add_test(rubbish, names_are_text);
	tcase_add_loop_test(rubbish, drained_socket_is_an_error, 0, WAYS);
	tcase_add_loop_test(rubbish, socket_without_a_peer_is_an_error, 0, WAYS);
	tcase_add_loop_test(rubbish, socket_that_shows_nothing_is_an_error, 0, WAYS);
	tcase_add_loop_test(rubbish, rubbish_is_not_mended_by_a_good_record, 0, WAYS);
	tcase_add_loop_test(rubbish, filtered_record_is_an_error, 0, 3 * WAYS);
	tcase_add_loop_test(rubbish, socket_that_a_holder_shut_down_is_an_error, 0, 2 * WAYS);
	suite_add_tcase(s, rubbish);

	TCase *left = ledger_tcase_create("who is left");
	tcase_add_checked_fixture(left, setup, teardown);
	tcase_add_loop_test(left, abandoned_fence_tells_the_holder_edeadlk, 0, WAYS);
	tcase_add_loop_test(left, imported_fence_outlives_its_device, 0, 2);
	tcase_add_test(left, last_reference_may_go_on_the_watching_thread);
	tcase_add_test(left, reused_numbers_are_not_confused);
	suite_add_tcase(s, left);

	TCase *processes = ledger_tcase_create("processes");
	tcase_add_checked_fixture(processes, setup, teardown);
	tcase_add_test(processes, owner_is_the_process_that_made_it);
	tcase_add_loop_test(processes, silent_producer_is_etimedout, 0, WAYS);
	tcase_add_loop_test(processes, stream_that_an_unseen_child_keeps_open_expires, 0, WAYS);
	tcase_add_loop_test(processes, end_crosses_from_another_process, 0, 2 * WAYS);
	tcase_add_loop_test(processes, killed_producer_is_eownerdead, 0, WAYS);
	tcase_add_loop_test(
		processes, killed_producer_is_eownerdead_for_the_third_party_too, 0, WAYS);
	tcase_add_loop_test(processes, killed_after_signalling_is_what_it_said, 0, WAYS);
	tcase_add_loop_test(processes, forked_child_does_not_keep_the_stream_alive, 0, WAYS);
	tcase_add_loop_test(processes, forked_child_cannot_signal_for_its_parent, 0, WAYS);
	tcase_add_test(processes, fork_at_any_moment_copies_no_sending_end);
	suite_add_tcase(s, processes);

	TCase *forks = ledger_tcase_create("fork");
	tcase_add_checked_fixture(forks, setup, teardown);
	tcase_add_test(forks, child_that_drops_a_fence_leaves_the_parents_watch_alone);
	tcase_add_test(forks, listening_in_a_child_ends_with_echild);
	tcase_add_loop_test(forks, device_can_be_destroyed_in_a_child, 0, 3);
	suite_add_tcase(s, forks);

	TCase *failures = ledger_tcase_create("failures");
	tcase_add_checked_fixture(failures, setup, teardown);
	tcase_add_test(failures, export_survives_every_failure);
	tcase_add_test(failures, import_survives_every_failure);
	suite_add_tcase(s, failures);
	return s;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = {
		{ "producer", producer },
		{ "fork-racer", fork_racer },
		{ "fork-dropper", fork_dropper },
		{ "fork-listener", fork_listener },
		{ "fork-destroyer", fork_destroyer },
		{ "fork-destroyer-with-watch", fork_destroyer_with_watch },
		{ "fork-destroyer-while-due", fork_destroyer_while_due },
		{ NULL, NULL },
	};
	return runner_main(argc, argv, suite, roles);
}
