/* SPDX-License-Identifier: MIT */
/*
 * The exporter's side of a buffer: KERNEL_CONTRACT B-1 to B-7 and 9.1. Importers: test_attach.c; the
 * CPU: test_cpu_access.c; descriptors: test_descriptor.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/buffer_old.h>
#include <stile/device.h>
#include <stile/exporter.h>
#include <stile/resv.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/test_exporter.h"
#include "src/macros.h"
#include "src/os.h"

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
};

enum { PAGES = 3, THREADS = 4 };

static struct stile_device *device;
static struct test_exporter exporter;
static uint64_t page;
static int fences_before;

static void setup(void) {
	fences_before = plain_fence_count();
	page = os_page_size();
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
	test_exporter_init(&exporter, PAGES * page);
}

static void teardown(void) {
	test_exporter_finish(&exporter);
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(plain_fence_count(), fences_before);
}

static void lock(struct stile_buffer *buffer) {
	ck_assert_int_eq(stile_resv_lock(stile_buffer_get_resv(buffer), NULL, NULL), 0);
}

static void unlock(struct stile_buffer *buffer) {
	stile_resv_unlock(stile_buffer_get_resv(buffer));
}

static void add_fence(
	struct stile_resv *resv, struct stile_fence *fence, enum stile_resv_usage usage) {
	ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
	ck_assert_int_eq(stile_resv_reserve_fences(resv, 1), 0);
	ck_assert_int_eq(stile_resv_add_fence(resv, fence, usage), 0);
	stile_resv_unlock(resv);
}

static struct stile_attachment *attach(struct stile_buffer *buffer, const char *name) {
	struct stile_attach_info info = {
		.size = sizeof(info),
		.device = device,
		.usage = BOTH,
		.name = name,
	};
	struct stile_attachment *attachment;
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, NULL, &attachment), 0);
	return attachment;
}

/* ---- Exporting ----------------------------------------------------------------------------- */

/* What is done to an info that is right. */
static void no_priv(void) {
	exporter.info.priv = NULL;
}

static void no_ops(void) {
	exporter.info.ops = NULL;
}

static void no_map(void) {
	exporter.ops.map = NULL;
}

static void no_unmap(void) {
	exporter.ops.unmap = NULL;
}

static void no_release(void) {
	exporter.ops.release = NULL;
}

static void pin_alone(void) {
	exporter.ops.unpin = NULL;
}

static void unpin_alone(void) {
	exporter.ops.pin = NULL;
}

static void munmap_alone(void) {
	exporter.ops.mmap = NULL;
}

static void vunmap_alone(void) {
	exporter.ops.vmap = NULL;
}

static void no_bytes(void) {
	exporter.info.bytes = 0;
}

static void no_usage(void) {
	exporter.info.usage = 0;
}

static void unknown_usage(void) {
	exporter.info.usage = BOTH | 4;
}

static void long_name(void) {
	exporter.info.name = "a name of thirty-two bytes, yes!";
}

static void info_size_0(void) {
	exporter.info.size = 0;
}

static void info_size_huge(void) {
	exporter.info.size = SIZE_MAX;
}

static void ops_size_0(void) {
	exporter.ops.size = 0;
}

static void ops_size_huge(void) {
	exporter.ops.size = SIZE_MAX;
}

static const struct mistake {
	const char *what;
	void (*make)(void);
} mistakes[] = {
	{ "no priv", no_priv },
	{ "no ops", no_ops },
	{ "no map", no_map },
	{ "no unmap", no_unmap },
	{ "no release", no_release },
	{ "pin without unpin", pin_alone },
	{ "unpin without pin", unpin_alone },
	{ "munmap without mmap", munmap_alone },
	{ "vunmap without vmap", vunmap_alone },
	{ "no bytes", no_bytes },
	{ "no usage", no_usage },
	{ "unknown usage", unknown_usage },
	{ "a name of 32 bytes", long_name },
	{ "info of no size", info_size_0 },
	{ "info of a huge size", info_size_huge },
	{ "ops of no size", ops_size_0 },
	{ "ops of a huge size", ops_size_huge },
};

static size_t count_buffers(void) {
	size_t count = 0;
	struct stile_buffer *buffer = NULL;
	while ((buffer = stile_buffer_iter_next(buffer)) != NULL) {
		count++;
	}
	return count;
}

/*
 * B-1. Wrong code: an op that is missed when it is needed; `release` of what was never a buffer; a buffer
 * that was refused, but is in the list.
 */
START_TEST(impossible_exporter_is_einval_and_untouched) {
	struct stile_buffer *buffer = (struct stile_buffer *)&exporter;
	mistakes[_i].make();
	int ret = stile_buffer_export(&exporter.info, &buffer);
	ck_assert_msg(ret == -EINVAL, "%s: %d", mistakes[_i].what, ret);
	ck_assert_ptr_null(buffer);
	ck_assert_str_eq(test_exporter_calls(&exporter), "");
	ck_assert_uint_eq(count_buffers(), 0);
}
END_TEST

/* Wrong code: fields that nobody knows, dropped; a newer program that asks for nothing new, refused. */
START_TEST(newer_structs_are_taken_if_they_want_nothing_new) {
	struct {
		struct stile_exporter_info info;
		uint64_t more;
	} newer = { .info = exporter.info, .more = 0 };
	struct {
		struct stile_exporter_ops ops;
		void *more;
	} table = { .ops = exporter.ops, .more = NULL };
	newer.info.size = sizeof(newer);
	newer.info.ops = &table.ops;
	table.ops.size = sizeof(table);
	struct stile_buffer *buffer;
	newer.more = 1;
	ck_assert_int_eq(stile_buffer_export(&newer.info, &buffer), -E2BIG);
	ck_assert_ptr_null(buffer);
	newer.more = 0;
	table.more = &table;
	ck_assert_int_eq(stile_buffer_export(&newer.info, &buffer), -E2BIG);
	ck_assert_ptr_null(buffer);
	table.more = NULL;
	ck_assert_str_eq(test_exporter_calls(&exporter), "");
	ck_assert_int_eq(stile_buffer_export(&newer.info, &buffer), 0);
	stile_buffer_unref(buffer);
	ck_assert_str_eq(test_exporter_calls(&exporter), "release");
}
END_TEST

static const uint64_t sizes[] = { 1, 4095, 4096, 4097, 100000 };

/* B-1: the core requires no whole pages. Wrong code: rounded, so that a program reads what is not its. */
START_TEST(size_is_what_the_exporter_said) {
	test_exporter_finish(&exporter);
	test_exporter_init(&exporter, sizes[_i]);
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	ck_assert_uint_eq(stile_buffer_get_bytes(buffer), sizes[_i]);
	stile_buffer_unref(buffer);
}
END_TEST

/* B-1, T-11. Wrong code: ops copied, so that nobody recognises one's own. */
START_TEST(exporter_recognises_its_own) {
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	ck_assert_ptr_eq(stile_buffer_get_priv(buffer), &exporter);
	ck_assert_ptr_eq(stile_buffer_get_ops(buffer), &exporter.ops);
	stile_buffer_unref(buffer);
	ck_assert_str_eq(test_exporter_calls(&exporter), "release");
}
END_TEST

/* 9.1: three ops are mandatory. Wrong code: a call of an op that is not there. */
START_TEST(exporter_without_optional_ops_works) {
	struct stile_exporter_ops all = exporter.ops;
	exporter.ops = (struct stile_exporter_ops){
		.size = sizeof(exporter.ops),
		.map = all.map,
		.unmap = all.unmap,
		.release = all.release,
	};
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	struct stile_attachment *attachment = attach(buffer, NULL);
	const struct stile_sg *sg;
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg), 0);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	stile_buffer_detach(buffer, attachment);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, BOTH, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, BOTH), 0);

	void *address = buffer;
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &address), -EINVAL);
	ck_assert_ptr_null(address);
	address = buffer;
	ck_assert_int_eq(stile_buffer_kmap(buffer, 0, &address), -EINVAL);
	ck_assert_ptr_null(address);
	struct stile_map map = { .address = buffer };
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), -EINVAL);
	ck_assert_ptr_null(map.address);
	int fd = 0;
	ck_assert_int_eq(stile_buffer_export_fd(buffer, READ, &fd), -EOPNOTSUPP);
	ck_assert_int_eq(fd, -1);
	stile_buffer_unref(buffer);
	ck_assert_str_eq(test_exporter_calls(&exporter), "map unmap release");
}
END_TEST

static int attempt_export(void *user) {
	return stile_buffer_export(&exporter.info, user);
}

static void after_export(void *user, int ret) {
	struct stile_buffer **buffer = user;
	ck_assert_int_eq(*buffer == NULL, ret < 0);
	stile_buffer_unref(*buffer);
	ck_assert_str_eq(test_exporter_calls(&exporter), ret < 0 ? "" : "release");
	ck_assert_uint_eq(count_buffers(), 0);
}

/* B-1. Wrong code: the exporter's memory released, though it was told that there is no buffer. */
START_TEST(export_survives_every_failure) {
	static const int errors[] = { -ENOMEM, 0 };
	struct stile_buffer *buffer;
	ck_assert_uint_ge(failing_sweep(attempt_export, after_export, &buffer, errors), 1);
}
END_TEST

/* ---- The last reference -------------------------------------------------------------------- */

/* B-3, B-4. Wrong code: released by the first unref, never, or with each. */
START_TEST(released_once_by_the_last_reference) {
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	for (int i = 0; i < 10; i++) {
		ck_assert_ptr_eq(stile_buffer_ref(buffer), buffer);
	}
	for (int i = 0; i < 10; i++) {
		stile_buffer_unref(buffer);
		ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	}
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 1);
	stile_buffer_unref(NULL);
}
END_TEST

static void *refs_run(void *user) {
	struct stile_buffer *buffer = user;
	for (int i = 0; i < 20000; i++) {
		stile_buffer_unref(stile_buffer_ref(buffer));
	}
	stile_buffer_unref(buffer);
	return NULL;
}

/* B-4. Wrong code: a count that is not atomic; two threads that both see the last one. */
START_TEST(released_once_when_all_threads_let_go) {
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	pthread_t threads[THREADS];
	for (size_t i = 0; i < THREADS; i++) {
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, refs_run, stile_buffer_ref(buffer)), 0);
	}
	stile_buffer_unref(buffer);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 1);
}
END_TEST

/* What a test's hook saw. */
static unsigned seen;

static void look_at_the_resv(struct test_exporter *of, enum test_exporter_op op) {
	if (op == OP_RELEASE) {
		seen = stile_resv_test_signaled(
			       stile_buffer_get_resv(of->buffer), STILE_RESV_BOOKKEEP)
			? 1
			: 2;
	}
}

/*
 * B-4: the release op, then the buffer's own reservation goes. Wrong code: a reservation that is gone when
 * the exporter looks whose work still touches the memory; fences kept for ever.
 */
START_TEST(own_reservation_is_there_until_after_release) {
	exporter.hook = look_at_the_resv;
	seen = 0;
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	struct stile_fence *fence = plain_fence_create();
	add_fence(stile_buffer_get_resv(buffer), fence, STILE_RESV_WRITE);
	ck_assert_uint_eq(plain_refs(fence), 2);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(seen, 2);
	ck_assert_uint_eq(plain_refs(fence), 1);
	stile_fence_signal(fence);
	stile_fence_unref(fence);
}
END_TEST

/* ---- Reservations -------------------------------------------------------------------------- */

/* B-1. Wrong code: one reservation for all; one that is not initialised. */
START_TEST(buffer_has_a_reservation_of_its_own) {
	struct test_exporter other;
	test_exporter_init(&other, page);
	struct stile_buffer *one = test_exporter_export(&exporter);
	struct stile_buffer *two = test_exporter_export(&other);
	ck_assert_ptr_ne(stile_buffer_get_resv(one), stile_buffer_get_resv(two));
	ck_assert(stile_resv_test_signaled(stile_buffer_get_resv(one), STILE_RESV_BOOKKEEP));
	ck_assert(!stile_resv_is_locked(stile_buffer_get_resv(one)));
	stile_buffer_unref(one);
	stile_buffer_unref(two);
	test_exporter_finish(&other);
}
END_TEST

/* B-1. Wrong code: the caller's reservation ended, or its fences dropped, with the first buffer. */
START_TEST(shared_reservation_outlives_its_buffers) {
	struct stile_resv resv;
	struct test_exporter other;
	stile_resv_init(&resv);
	test_exporter_init(&other, page);
	exporter.info.resv = &resv;
	other.info.resv = &resv;
	struct stile_buffer *one = test_exporter_export(&exporter);
	struct stile_buffer *two = test_exporter_export(&other);
	ck_assert_ptr_eq(stile_buffer_get_resv(one), &resv);
	ck_assert_ptr_eq(stile_buffer_get_resv(two), &resv);
	struct stile_fence *fence = plain_fence_create();
	add_fence(&resv, fence, STILE_RESV_WRITE);
	stile_buffer_unref(one);
	ck_assert(!stile_resv_test_signaled(&resv, STILE_RESV_WRITE));
	ck_assert_int_eq(stile_buffer_begin_cpu_access(two, READ, 0, NULL), -ETIME);
	stile_buffer_unref(two);
	ck_assert(!stile_resv_test_signaled(&resv, STILE_RESV_WRITE));
	stile_fence_signal(fence);
	stile_fence_unref(fence);
	stile_resv_fini(&resv);
	test_exporter_finish(&other);
}
END_TEST

/* ---- Who has it locked --------------------------------------------------------------------- */

/* Everything that reaches an op, once. Gives how many of the ops it has reached. */
static unsigned live_through_all(struct stile_buffer *buffer) {
	static const struct stile_importer_ops dynamic = { .size = sizeof(dynamic) };
	struct stile_attach_info info = {
		.size = sizeof(info), .device = device, .usage = BOTH, .importer = &dynamic
	};
	struct stile_attachment *other, *attachment = attach(buffer, NULL);
	const struct stile_sg *sg;
	struct stile_map map;
	void *address;
	int fd;
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, NULL, &other), 0);
	lock(buffer);
	ck_assert_int_eq(stile_attachment_pin(other), 0);
	ck_assert_int_eq(stile_attachment_map(attachment, STILE_BIDIRECTIONAL, 0, NULL, &sg), 0);
	stile_attachment_unmap(attachment, sg, STILE_BIDIRECTIONAL);
	stile_attachment_unpin(other);
	ck_assert_int_eq(stile_buffer_vmap(buffer, &map), 0);
	stile_buffer_vunmap(buffer, &map);
	unlock(buffer);
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_BIDIRECTIONAL, 0, NULL, &sg), 0);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_BIDIRECTIONAL);
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	stile_buffer_vunmap_unlocked(buffer, &map);
	ck_assert_int_eq(stile_buffer_kmap(buffer, 1, &address), 0);
	stile_buffer_kunmap(buffer, 1, address);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, BOTH, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, BOTH), 0);
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	stile_buffer_munmap(buffer, address);
	ck_assert_int_eq(stile_buffer_export_fd(buffer, BOTH, &fd), 0);
	close(fd);
	stile_buffer_detach(buffer, other);
	stile_buffer_detach(buffer, attachment);
	stile_buffer_unref(buffer);
	unsigned reached = 0;
	for (size_t i = 0; i < OPS; i++) {
		reached += exporter.count[i] > 0;
	}
	return reached;
}

/*
 * 9.1. Wrong code: an op that takes the lock hangs, one that relies on it races. What the exporter of the
 * support library found is told by test_exporter_finish().
 */
START_TEST(ops_run_locked_and_unlocked_as_the_table_says) {
	struct stile_resv shared;
	stile_resv_init(&shared);
	exporter.info.resv = _i == 0 ? NULL : &shared;
	ck_assert_uint_eq(live_through_all(test_exporter_export(&exporter)), OPS);
	test_exporter_check_locks(&exporter);
	stile_resv_fini(&shared);
}
END_TEST

/* Calls that need it not to be locked, with the lock. */
static struct stile_attachment *attached; /* to the buffer of the test */

static int call_attach(struct stile_buffer *buffer) {
	struct stile_attach_info info = { .size = sizeof(info), .device = device, .usage = READ };
	struct stile_attachment *attachment = (struct stile_attachment *)&info;
	int ret = stile_buffer_attach(buffer, &info, NULL, &attachment);
	ck_assert_ptr_null(attachment);
	return ret;
}

static int call_map_unlocked(struct stile_buffer *buffer) {
	(void)buffer;
	const struct stile_sg *sg;
	int ret = stile_attachment_map_unlocked(attached, STILE_TO_DEVICE, INT64_MAX, NULL, &sg);
	ck_assert_ptr_null(sg);
	return ret;
}

static int call_export_fd(struct stile_buffer *buffer) {
	int fd;
	int ret = stile_buffer_export_fd(buffer, READ, &fd);
	ck_assert_int_eq(fd, -1);
	return ret;
}

static int call_mmap(struct stile_buffer *buffer) {
	void *address = buffer;
	int ret = stile_buffer_mmap(buffer, READ, &address);
	ck_assert_ptr_null(address);
	return ret;
}

static int call_vmap_unlocked(struct stile_buffer *buffer) {
	struct stile_map map;
	int ret = stile_buffer_vmap_unlocked(buffer, &map);
	ck_assert_ptr_null(map.address);
	return ret;
}

static int call_kmap(struct stile_buffer *buffer) {
	void *address = buffer;
	int ret = stile_buffer_kmap(buffer, 0, &address);
	ck_assert_ptr_null(address);
	return ret;
}

static int call_import_fence(struct stile_buffer *buffer) {
	struct stile_fence *fence = stile_fence_get_stub();
	int ret = stile_buffer_import_fence(buffer, READ, fence);
	stile_fence_unref(fence);
	return ret;
}

static int call_describe_all(struct stile_buffer *buffer) {
	(void)buffer;
	char *text;
	int ret = stile_buffer_describe_all(&text);
	ck_assert_ptr_null(text);
	return ret;
}

static const struct misuse {
	const char *what;
	int (*call)(struct stile_buffer *buffer);
} misuses[] = {
	{ "attach", call_attach },
	{ "map_unlocked", call_map_unlocked },
	{ "export_fd", call_export_fd },
	{ "mmap", call_mmap },
	{ "vmap_unlocked", call_vmap_unlocked },
	{ "kmap", call_kmap },
	{ "import_fence", call_import_fence },
	{ "describe_all", call_describe_all },
};

/*
 * 9.1. Wrong code: a thread that waits for itself; an op that is called with the lock that it may take; a
 * lock that is given up on the way.
 */
START_TEST(calls_that_need_it_unlocked_tell_of_the_lock) {
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	attached = attach(buffer, NULL);
	(void)test_exporter_calls(&exporter);
	ledger_expect_complaint("lock");
	lock(buffer);
	int ret = misuses[_i].call(buffer);
	ck_assert_msg(ret == -EDEADLK, "%s: %d", misuses[_i].what, ret);
	ck_assert_str_eq(test_exporter_calls(&exporter), "");
	ck_assert(stile_resv_is_locked(stile_buffer_get_resv(buffer)));
	unlock(buffer);
	stile_buffer_detach(buffer, attached);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Rights -------------------------------------------------------------------------------- */

/* B-1. Wrong code: rights looked at for descriptors alone. */
START_TEST(memory_for_reading_is_not_written) {
	exporter.info.usage = READ;
	struct stile_buffer *again, *buffer = test_exporter_export(&exporter);
	for (uint32_t usage = WRITE; usage <= BOTH; usage++) {
		void *address = buffer;
		ck_assert_int_eq(stile_buffer_mmap(buffer, usage, &address), -EACCES);
		ck_assert_ptr_null(address);
		int fd = 0;
		ck_assert_int_eq(stile_buffer_export_fd(buffer, usage, &fd), -EACCES);
		ck_assert_int_eq(fd, -1);
		struct stile_report report = { .size = sizeof(report) };
		ck_assert_int_eq(
			stile_buffer_import(device, buffer, usage, &report, &again), -EACCES);
		ck_assert_ptr_null(again);
		ck_assert_int_eq(report.error, -EACCES);
		ck_assert_int_eq(report.reason, STILE_REASON_FD_ACCESS);
		struct stile_attach_info info = {
			.size = sizeof(info), .device = device, .usage = usage
		};
		struct stile_attachment *attachment;
		ck_assert_int_eq(stile_buffer_attach(buffer, &info, &report, &attachment), -EACCES);
		ck_assert_ptr_null(attachment);
		ck_assert_int_eq(report.reason, STILE_REASON_FD_ACCESS);
	}
	ck_assert_str_eq(test_exporter_calls(&exporter), "");
	ck_assert_int_eq(stile_buffer_import(device, buffer, READ, NULL, &again), 0);
	ck_assert_ptr_eq(again, buffer);
	stile_buffer_unref(again);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &address), 0);
	stile_buffer_munmap(buffer, address);
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: a reference that is not taken; a report that is left as it was. */
START_TEST(import_of_a_buffer_at_hand_is_a_reference) {
	static const uint32_t unknown[] = { 0, 4, 7, UINT32_MAX };
	struct stile_buffer *again, *buffer = test_exporter_export(&exporter);
	struct stile_report report = { .size = sizeof(report), .reason = STILE_REASON_BOUNDS };
	ck_assert_int_eq(stile_buffer_import(device, buffer, BOTH, &report, &again), 0);
	ck_assert_ptr_eq(again, buffer);
	ck_assert_int_eq(report.reason, STILE_REASON_NONE);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	for (size_t i = 0; i < ARRAY_LENGTH(unknown); i++) {
		again = buffer;
		ck_assert_int_eq(
			stile_buffer_import(device, buffer, unknown[i], &report, &again), -EINVAL);
		ck_assert_ptr_null(again);
		ck_assert_int_eq(report.reason, STILE_REASON_USAGE);
	}
	report.size = 7;
	ck_assert_int_eq(stile_buffer_import(device, buffer, READ, &report, &again), -EINVAL);
	ck_assert_ptr_null(again);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Names --------------------------------------------------------------------------------- */

#define NAME_32 "a name that has 32 bytes exactly"

static void assert_name(struct stile_buffer *buffer, const char *expected) {
	char name[STILE_BUFFER_NAME_BYTES];
	memset(name, 'x', sizeof(name));
	stile_buffer_get_name(buffer, name);
	ck_assert_ptr_nonnull(memchr(name, '\0', sizeof(name)));
	ck_assert_str_eq(name, expected);
}

/*
 * D-5. Wrong code: a name of 32 bytes without a NUL; a short one with the rest of the long one; a name
 * that is borrowed; the old one lost where the new one is refused.
 */
START_TEST(name_is_kept_as_a_copy) {
	char longest[] = NAME_32, text[] = "first";
	ck_assert_uint_eq(strlen(NAME_32), STILE_BUFFER_NAME_BYTES);
	longest[STILE_BUFFER_NAME_BYTES - 1] = '\0';
	exporter.info.name = text;
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	memset(text, 'y', sizeof(text) - 1);
	assert_name(buffer, "first");
	ck_assert_int_eq(stile_buffer_set_name(buffer, longest), 0);
	assert_name(buffer, longest);
	ck_assert_int_eq(stile_buffer_set_name(buffer, NAME_32), -EINVAL);
	assert_name(buffer, longest);
	ck_assert_int_eq(stile_buffer_set_name(buffer, "b"), 0);
	assert_name(buffer, "b");
	ck_assert_int_eq(stile_buffer_set_name(buffer, ""), 0);
	assert_name(buffer, "");
	ck_assert_int_eq(stile_buffer_set_name(buffer, "c"), 0);
	/* As older kernels did not: attached or not. */
	struct stile_attachment *attachment = attach(buffer, NULL);
	ck_assert_int_eq(stile_buffer_set_name(buffer, NULL), 0);
	assert_name(buffer, "");
	stile_buffer_detach(buffer, attachment);
	stile_buffer_unref(buffer);
}
END_TEST

static atomic_bool names_end;

static void *names_run(void *user) {
	char name[STILE_BUFFER_NAME_BYTES];
	for (unsigned i = 0; !names_end; i++) {
		memset(name, 'a' + (int)(i % 26), sizeof(name));
		name[1 + i % (sizeof(name) - 1)] = '\0';
		runner_require(stile_buffer_set_name(user, name) == 0, "name");
	}
	return NULL;
}

/* D-5. Wrong code: half of one name and half of another. */
START_TEST(name_is_read_whole_while_others_change_it) {
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	pthread_t threads[2];
	names_end = false;
	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, names_run, buffer), 0);
	}
	unsigned mixed = 0;
	for (int i = 0; i < 20000; i++) {
		char name[STILE_BUFFER_NAME_BYTES];
		stile_buffer_get_name(buffer, name);
		mixed += strspn(name, (char[]){ name[0], '\0' }) != strlen(name);
	}
	names_end = true;
	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
		pthread_join(threads[i], NULL);
	}
	ck_assert_uint_eq(mixed, 0);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- All buffers --------------------------------------------------------------------------- */

enum { SEVERAL = 5 };

static struct test_exporter several[SEVERAL];

static void several_export(void) {
	for (size_t i = 0; i < SEVERAL; i++) {
		test_exporter_init(&several[i], (i + 1) * page);
		test_exporter_export(&several[i]);
	}
}

static void several_finish(void) {
	for (size_t i = 0; i < SEVERAL; i++) {
		stile_buffer_unref(several[i].buffer);
		test_exporter_finish(&several[i]);
	}
}

static size_t index_of(const struct stile_buffer *buffer) {
	size_t i = 0;
	while (i < SEVERAL && several[i].buffer != buffer) {
		i++;
	}
	return i;
}

/* B-6. Wrong code: whoever leaves from the middle leaves those around it pointing to where it was. */
START_TEST(iteration_passes_over_those_who_left) {
	several_export();
	struct stile_buffer *last = several[SEVERAL - 1].buffer;
	for (size_t i = SEVERAL - 1; i-- > 0;) {
		stile_buffer_unref(several[i].buffer);
		test_exporter_finish(&several[i]);
	}
	ck_assert_ptr_eq(stile_buffer_iter_next(NULL), last);
	ck_assert_ptr_null(stile_buffer_iter_next(last));
	stile_buffer_unref(last);
	test_exporter_finish(&several[SEVERAL - 1]);
}
END_TEST

/* B-6. Wrong code: one that is missed or seen twice; references that are lost, or dropped twice. */
START_TEST(iteration_sees_each_buffer_once) {
	unsigned times[SEVERAL] = { 0 };
	several_export();
	struct stile_buffer *buffer = NULL;
	while ((buffer = stile_buffer_iter_next(buffer)) != NULL) {
		size_t at = index_of(buffer);
		ck_assert_uint_lt(at, SEVERAL);
		times[at]++;
	}
	for (size_t i = 0; i < SEVERAL; i++) {
		ck_assert_uint_eq(times[i], 1);
	}
	several_finish();
	ck_assert_ptr_null(stile_buffer_iter_next(NULL));
}
END_TEST

/* B-6. Wrong code: a reference of the loop that is not the caller's: the buffer goes under it. */
START_TEST(iteration_gives_references) {
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	struct stile_buffer *found = stile_buffer_iter_next(NULL);
	ck_assert_ptr_eq(found, buffer);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	/* The last one: given up by the next step, and released there, unlocked. */
	ck_assert_ptr_null(stile_buffer_iter_next(found));
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 1);
}
END_TEST

static atomic_bool churn_ends;

static void *churn_run(void *user) {
	struct test_exporter *own = user;
	while (!churn_ends) {
		struct stile_buffer *buffer;
		if (stile_buffer_export(&own->info, &buffer) == 0) {
			stile_buffer_unref(buffer);
		}
	}
	return NULL;
}

/*
 * B-6: those without references are skipped. Wrong code: one found that is just being released; the
 * sanitizers see the rest.
 */
START_TEST(iteration_while_buffers_come_and_go) {
	struct test_exporter own[2];
	pthread_t threads[ARRAY_LENGTH(own)];
	several_export();
	churn_ends = false;
	for (size_t i = 0; i < ARRAY_LENGTH(own); i++) {
		test_exporter_init(&own[i], page);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, churn_run, &own[i]), 0);
	}
	unsigned missed = 0, dead = 0;
	for (int i = 0; i < 2000; i++) {
		unsigned found = 0;
		struct stile_buffer *buffer = NULL;
		while ((buffer = stile_buffer_iter_next(buffer)) != NULL) {
			found += index_of(buffer) < SEVERAL;
			dead += stile_buffer_get_priv(buffer) == NULL;
		}
		missed += found != SEVERAL;
	}
	churn_ends = true;
	for (size_t i = 0; i < ARRAY_LENGTH(own); i++) {
		pthread_join(threads[i], NULL);
		own[i].exported = false;
		test_exporter_finish(&own[i]);
	}
	ck_assert_uint_eq(missed, 0);
	ck_assert_uint_eq(dead, 0);
	several_finish();
}
END_TEST

/* Not inlined: gcc 12 takes what is found in the text for something on the stack. */
static __attribute__((noinline)) char *describe(void) {
	char *text;
	ck_assert_int_eq(stile_buffer_describe_all(&text), 0);
	ck_assert_ptr_nonnull(text);
	return text;
}

static void assert_says(const char *text, const char *part) {
	ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in:\n%s", part, text);
}

static void assert_says_number(const char *text, uint64_t number) {
	char part[32];
	snprintf(part, sizeof(part), "%" PRIu64, number);
	assert_says(text, part);
}

/* B-7, R-16. Wrong code: a field left out; fences of usage BOOKKEEP shown; sums of one kind. */
START_TEST(description_has_all_that_there_is_to_say) {
	char *text = describe();
	assert_says(text, "0");
	free(text);

	exporter.info.name = "picture";
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	several_export();
	struct stile_attachment *attachment = attach(buffer, "scan-out");
	struct stile_fence *fence = plain_fence_create(), *quiet = plain_fence_create();
	struct stile_resv *resv = stile_buffer_get_resv(buffer);
	add_fence(resv, fence, STILE_RESV_WRITE);
	add_fence(resv, quiet, STILE_RESV_BOOKKEEP);
	text = describe();
	assert_says(text, "picture");
	assert_says(text, "<none>");
	assert_says(text, "test exporter");
	assert_says(text, "scan-out");
	assert_says(text, "plain timeline");
	assert_says(text, "rw, 1 reference, ");
	assert_says_number(text, PAGES * page);
	assert_says_number(text, SEVERAL * page);
	assert_says_number(text, SEVERAL + 1);
	assert_says_number(text, (PAGES + SEVERAL * (SEVERAL + 1) / 2) * page);
	assert_says_number(text, stile_fence_get_context(fence));
	char shown[64];
	snprintf(shown, sizeof(shown), "%" PRIu64 ":%" PRIu64, stile_fence_get_context(quiet),
		stile_fence_get_seqno(quiet));
	ck_assert_ptr_null(strstr(text, shown));
	free(text);
	stile_buffer_detach(buffer, attachment);
	stile_fence_signal(fence);
	stile_fence_signal(quiet);
	stile_fence_unref(fence);
	stile_fence_unref(quiet);
	stile_buffer_unref(buffer);
	several_finish();
}
END_TEST

static int attempt_describe(void *user) {
	return stile_buffer_describe_all(user);
}

static void after_describe(void *user, int ret) {
	char **text = user;
	ck_assert_int_eq(*text == NULL, ret < 0);
	free(*text);
}

/* B-7. Wrong code: a lock or a reference that is kept where memory runs out. */
START_TEST(description_survives_every_failure) {
	static const int errors[] = { -ENOMEM, 0 };
	char *text;
	several_export();
	failing_sweep(attempt_describe, after_describe, &text, errors);
	for (size_t i = 0; i < SEVERAL; i++) {
		struct stile_resv *resv = stile_buffer_get_resv(several[i].buffer);
		ck_assert(!stile_resv_is_locked(resv));
	}
	several_finish();
}
END_TEST

/* ---- May it move? -------------------------------------------------------------------------- */

static int movable(struct stile_buffer *buffer) {
	struct stile_report why = { .size = sizeof(why) };
	lock(buffer);
	int ret = stile_buffer_check_movable(buffer, &why);
	ck_assert_int_eq(stile_buffer_check_movable(buffer, NULL), ret);
	unlock(buffer);
	ck_assert_int_eq(why.error, ret);
	ck_assert_int_eq(why.reason, ret == 0 ? STILE_REASON_NONE : STILE_REASON_PINNED);
	ck_assert_int_eq(why.text[0] == '\0', ret == 0);
	return ret;
}

/* DESIGN 6, T-7. Wrong code: somebody's address moved away; a hold that is never given up again. */
START_TEST(mappings_of_the_cpu_keep_the_storage_where_it_is) {
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	ck_assert_int_eq(movable(buffer), 0);
	void *one, *other;
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &one), 0);
	ck_assert_int_eq(movable(buffer), -EBUSY);
	ck_assert_int_eq(stile_buffer_mmap_range(buffer, READ, page, page, &other), 0);
	stile_buffer_munmap(buffer, one);
	ck_assert_int_eq(movable(buffer), -EBUSY);
	stile_buffer_munmap(buffer, other);
	ck_assert_int_eq(movable(buffer), 0);
	exporter.fail[OP_MMAP] = -EIO;
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &one), -EIO);
	ck_assert_int_eq(movable(buffer), 0);

	struct stile_map map, again;
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &again), 0);
	stile_buffer_vunmap_unlocked(buffer, &map);
	ck_assert_int_eq(movable(buffer), -EBUSY);
	stile_buffer_vunmap_unlocked(buffer, &again);
	ck_assert_int_eq(movable(buffer), 0);
	stile_buffer_unref(buffer);
}
END_TEST

/* DESIGN 6. Wrong code: forgotten when the descriptor that is known is closed: there may be others. */
START_TEST(descriptor_keeps_the_storage_where_it_is) {
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	int fd;
	exporter.fail[OP_EXPORT_FD] = -EIO;
	ck_assert_int_eq(stile_buffer_export_fd(buffer, READ, &fd), -EIO);
	ck_assert_int_eq(movable(buffer), 0);
	exporter.fail[OP_EXPORT_FD] = 0;
	ck_assert_int_eq(stile_buffer_export_fd(buffer, READ, &fd), 0);
	ck_assert_int_eq(movable(buffer), -EBUSY);
	close(fd);
	ck_assert_int_eq(movable(buffer), -EBUSY);
	stile_buffer_unref(buffer);
}
END_TEST

static void notify_nothing(struct stile_attachment *attachment) {
	(void)attachment;
}

static const struct user {
	struct stile_importer_ops ops;
	bool dynamic;
	int attached, mapped, pinned;
} users[] = {
	{ .dynamic = false, .attached = 0, .mapped = -EBUSY },
	{ { .size = sizeof(struct stile_importer_ops) }, true, 0, -EBUSY, -EBUSY },
	{ { .size = sizeof(struct stile_importer_ops), .move_notify = notify_nothing }, true, 0, 0,
		-EBUSY },
};

/* B-7. Wrong code: who is attached, but not what that means for the storage. */
START_TEST(description_says_what_importers_do) {
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	struct stile_attach_info info = {
		.size = sizeof(info),
		.device = device,
		.usage = BOTH,
		.importer = &users[2].ops,
		.name = "scan-out",
	};
	struct stile_attachment *attachment;
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, NULL, &attachment), 0);
	char *text = describe();
	assert_says(text, "attached: scan-out, hears of moves\n");
	free(text);
	const struct stile_sg *sg;
	lock(buffer);
	ck_assert_int_eq(stile_attachment_pin(attachment), 0);
	ck_assert_int_eq(stile_attachment_map(attachment, STILE_TO_DEVICE, 0, NULL, &sg), 0);
	unlock(buffer);
	text = describe();
	assert_says(text, "attached: scan-out, hears of moves, mapped, pinned\n");
	free(text);
	lock(buffer);
	stile_attachment_unmap(attachment, sg, STILE_TO_DEVICE);
	stile_attachment_unpin(attachment);
	unlock(buffer);
	stile_buffer_detach(buffer, attachment);
	stile_buffer_unref(buffer);
}
END_TEST

/*
 * T-7, T-8. Wrong code: moved under a device that hears of nothing; kept for one that would; an importer
 * that is merely attached.
 */
START_TEST(importers_keep_the_storage_if_they_hear_of_nothing_or_say_so) {
	const struct user *user = &users[_i];
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	struct stile_attach_info info = {
		.size = sizeof(info),
		.device = device,
		.usage = BOTH,
		.importer = user->dynamic ? &user->ops : NULL,
	};
	struct stile_attachment *attachment;
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, NULL, &attachment), 0);
	ck_assert_int_eq(movable(buffer), user->attached);
	const struct stile_sg *sg;
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg), 0);
	ck_assert_int_eq(movable(buffer), user->mapped);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	ck_assert_int_eq(movable(buffer), 0);
	if (user->dynamic) {
		lock(buffer);
		ck_assert_int_eq(stile_attachment_pin(attachment), 0);
		unlock(buffer);
		ck_assert_int_eq(movable(buffer), user->pinned);
		lock(buffer);
		stile_attachment_unpin(attachment);
		unlock(buffer);
		ck_assert_int_eq(movable(buffer), 0);
	}
	stile_buffer_detach(buffer, attachment);
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: a report written over the end of a short one. */
START_TEST(report_of_impossible_size_is_einval) {
	struct stile_report why = { .size = (size_t[]){ 0, 7, SIZE_MAX }[_i] };
	struct stile_buffer *buffer = test_exporter_export(&exporter);
	lock(buffer);
	ck_assert_int_eq(stile_buffer_check_movable(buffer, &why), -EINVAL);
	unlock(buffer);
	stile_buffer_unref(buffer);
}
END_TEST

static void add_life(Suite *s) {
	TCase *made = ledger_tcase_create("exporting");
	tcase_add_checked_fixture(made, setup, teardown);
	tcase_add_loop_test(
		made, impossible_exporter_is_einval_and_untouched, 0, ARRAY_LENGTH(mistakes));
	tcase_add_test(made, newer_structs_are_taken_if_they_want_nothing_new);
	tcase_add_loop_test(made, size_is_what_the_exporter_said, 0, ARRAY_LENGTH(sizes));
	tcase_add_test(made, exporter_recognises_its_own);
	tcase_add_test(made, exporter_without_optional_ops_works);
	tcase_add_test(made, export_survives_every_failure);
	suite_add_tcase(s, made);

	TCase *life = ledger_tcase_create("the last reference");
	tcase_add_checked_fixture(life, setup, teardown);
	tcase_add_test(life, released_once_by_the_last_reference);
	tcase_add_test(life, released_once_when_all_threads_let_go);
	tcase_add_test(life, own_reservation_is_there_until_after_release);
	tcase_add_test(life, buffer_has_a_reservation_of_its_own);
	tcase_add_test(life, shared_reservation_outlives_its_buffers);
	suite_add_tcase(s, life);
}

static void add_use(Suite *s) {
	TCase *locks = ledger_tcase_create("who has it locked");
	tcase_add_checked_fixture(locks, setup, teardown);
	tcase_add_loop_test(locks, ops_run_locked_and_unlocked_as_the_table_says, 0, 2);
	tcase_add_loop_test(
		locks, calls_that_need_it_unlocked_tell_of_the_lock, 0, ARRAY_LENGTH(misuses));
	suite_add_tcase(s, locks);

	TCase *rights = ledger_tcase_create("rights and names");
	tcase_add_checked_fixture(rights, setup, teardown);
	tcase_add_test(rights, memory_for_reading_is_not_written);
	tcase_add_test(rights, import_of_a_buffer_at_hand_is_a_reference);
	tcase_add_test(rights, name_is_kept_as_a_copy);
	tcase_add_test(rights, name_is_read_whole_while_others_change_it);
	suite_add_tcase(s, rights);

	TCase *moves = ledger_tcase_create("may it move");
	tcase_add_checked_fixture(moves, setup, teardown);
	tcase_add_test(moves, mappings_of_the_cpu_keep_the_storage_where_it_is);
	tcase_add_test(moves, description_says_what_importers_do);
	tcase_add_test(moves, descriptor_keeps_the_storage_where_it_is);
	tcase_add_loop_test(moves, importers_keep_the_storage_if_they_hear_of_nothing_or_say_so, 0,
		ARRAY_LENGTH(users));
	tcase_add_loop_test(moves, report_of_impossible_size_is_einval, 0, 3);
	suite_add_tcase(s, moves);
}

static Suite *suite(void) {
	Suite *s = suite_create("export");
	add_life(s);
	add_use(s);
	TCase *all = ledger_tcase_create("all buffers");
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, iteration_sees_each_buffer_once);
	tcase_add_test(all, iteration_passes_over_those_who_left);
	tcase_add_test(all, iteration_gives_references);
	tcase_add_test(all, iteration_while_buffers_come_and_go);
	tcase_add_test(all, description_has_all_that_there_is_to_say);
	tcase_add_test(all, description_survives_every_failure);
	suite_add_tcase(s, all);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
