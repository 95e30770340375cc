/* SPDX-License-Identifier: MIT */
/*
 * How the CPU gets at a buffer: KERNEL_CONTRACT P-1 to P-6, and of section 21 ranges and kmap. Which
 * fences a bracket waits for, of a buffer of a backend: test_implicit.c; misuse of brackets:
 * test_validator.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <stile/buffer_old.h>
#include <stile/check.h>
#include <stile/device.h>
#include <stile/exporter.h>
#include <stile/resv.h>
#include <stile/wait.h>

#include "backends/swgpu/bus.h"
#include "backends/swgpu/swgpu.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/test_exporter.h"
#include "src/macros.h"
#include "src/os.h"

#define MS INT64_C(1000000)

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
};

/* The buffer does not fill its last page. */
enum { PAGES = 3, MORE = 100, PAGE = 4096, BYTES = PAGES * PAGE + MORE, THREADS = 4 };

static struct test_exporter exporter;
static struct stile_buffer *buffer; /* the exporter's */
static struct stile_resv *resv;     /* the buffer's */
static struct stile_fence *fence;   /* pending; the fixture ends it */
static int fences_before;
static bool was_checked;

static void export(void) {
	buffer = test_exporter_export(&exporter);
	resv = stile_buffer_get_resv(buffer);
}

/* For tests that change the exporter first. */
static void setup_exporter(void) {
	ck_assert_uint_eq(os_page_size(), PAGE);
	was_checked = stile_check_is_enabled();
	fences_before = plain_fence_count();
	fence = plain_fence_create();
	test_exporter_init(&exporter, BYTES);
	for (size_t i = 0; i < BYTES; i++) {
		exporter.memory[i] = (unsigned char)(i / PAGE + 1);
	}
}

static void setup(void) {
	setup_exporter();
	export();
}

static void teardown(void) {
	stile_buffer_unref(buffer);
	buffer = NULL;
	stile_fence_signal(fence);
	stile_fence_unref(fence);
	test_exporter_finish(&exporter);
	ck_assert_int_eq(plain_fence_count(), fences_before);
	stile_check_enable(was_checked);
}

static void lock(void) {
	ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
}

static void unlock(void) {
	stile_resv_unlock(resv);
}

static const char *calls(void) {
	return test_exporter_calls(&exporter);
}

static void add_fence(enum stile_resv_usage usage) {
	lock();
	ck_assert_int_eq(stile_resv_reserve_fences(resv, 1), 0);
	ck_assert_int_eq(stile_resv_add_fence(resv, fence, usage), 0);
	unlock();
}

/* ---- Brackets ------------------------------------------------------------------------------ */

static const struct {
	uint32_t usage;
	enum stile_direction direction;
	bool waits[4]; /* for KERNEL, WRITE, READ, BOOKKEEP */
} ways[] = {
	{ READ, STILE_FROM_DEVICE, { true, true, false, false } },
	{ WRITE, STILE_TO_DEVICE, { true, true, true, false } },
	{ BOTH, STILE_BIDIRECTIONAL, { true, true, true, false } },
};

/* P-1, P-2, D-4. Wrong code: the CPU's direction instead of the device's; another range at the end. */
START_TEST(exporter_is_told_the_direction_and_all_bytes) {
	uint32_t usage = ways[_i].usage;
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, usage, 0, NULL), 0);
	ck_assert_str_eq(calls(), "begin");
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, usage), 0);
	ck_assert_str_eq(calls(), "end");
	for (enum test_exporter_op op = OP_BEGIN; op <= OP_END; op++) {
		ck_assert_int_eq(exporter.last[op].direction, ways[_i].direction);
		ck_assert_uint_eq(exporter.last[op].offset, 0);
		ck_assert_uint_eq(exporter.last[op].bytes, BYTES);
	}
}
END_TEST

static const struct range {
	uint64_t offset, bytes;
	int ret;
} ranges[] = {
	{ 0, BYTES, 0 },
	{ 0, 0, 0 },
	{ 0, 1, 0 },
	{ 5, 7, 0 },
	{ PAGE - 1, 2, 0 },
	{ PAGE - 1, PAGE + 2, 0 },
	{ PAGES * PAGE, MORE, 0 },
	{ BYTES - 1, 1, 0 },
	{ BYTES, 0, 0 },
	{ BYTES, 1, -ERANGE },
	{ BYTES + 1, 0, -ERANGE },
	{ 0, BYTES + 1, -ERANGE },
	{ 0, (PAGES + 1) * PAGE, -ERANGE },
	{ PAGE, BYTES, -ERANGE },
	{ 1, UINT64_MAX, -ERANGE },
	{ 2, UINT64_MAX - 1, -ERANGE },
	{ UINT64_MAX, 1, -ERANGE },
	{ UINT64_MAX, UINT64_MAX, -ERANGE },
	{ UINT64_MAX - PAGE + 1, PAGE, -ERANGE },
};

/*
 * Section 21: a byte range. Wrong code: a sum that wraps; an end that counts whole pages; a range that is
 * narrowed to whole pages, so that its first and last bytes are stale.
 */
START_TEST(range_is_told_as_it_is_or_refused) {
	const struct range *range = &ranges[_i];
	int ret = stile_buffer_begin_cpu_access_range(
		buffer, READ, range->offset, range->bytes, 0, NULL);
	ck_assert_int_eq(ret, range->ret);
	if (ret == 0) {
		/* It may widen it: not so this one, and the core does not either. */
		ck_assert_uint_eq(exporter.last[OP_BEGIN].offset, range->offset);
		ck_assert_uint_eq(exporter.last[OP_BEGIN].bytes, range->bytes);
	}
	ret = stile_buffer_end_cpu_access_range(buffer, READ, range->offset, range->bytes);
	ck_assert_int_eq(ret, range->ret);
	if (ret == 0) {
		ck_assert_uint_eq(exporter.last[OP_END].offset, range->offset);
		ck_assert_uint_eq(exporter.last[OP_END].bytes, range->bytes);
	}
	ck_assert_str_eq(calls(), range->ret == 0 ? "begin end" : "");
}
END_TEST

static const uint32_t unknown_usages[] = { 0, 4, 7, UINT32_MAX };

/* P-1, D-4. Wrong code: the exporter prepares for what nobody knows. */
START_TEST(unknown_usage_is_einval_everywhere) {
	uint32_t usage = unknown_usages[_i];
	void *address = buffer;
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, usage, 0, NULL), -EINVAL);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, usage), -EINVAL);
	ck_assert_int_eq(
		stile_buffer_begin_cpu_access_range(buffer, usage, 0, 1, 0, NULL), -EINVAL);
	ck_assert_int_eq(stile_buffer_end_cpu_access_range(buffer, usage, 0, 1), -EINVAL);
	ck_assert_int_eq(stile_buffer_mmap(buffer, usage, &address), -EINVAL);
	ck_assert_ptr_null(address);
	address = buffer;
	ck_assert_int_eq(stile_buffer_mmap_range(buffer, usage, 0, PAGE, &address), -EINVAL);
	ck_assert_ptr_null(address);
	ck_assert_str_eq(calls(), "");
}
END_TEST

/* Wrong code: the exporter prepares for an access that cannot be. */
START_TEST(negative_deadline_is_einval) {
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, -1, NULL), -EINVAL);
	ck_assert_int_eq(
		stile_buffer_begin_cpu_access_range(buffer, READ, 0, 1, INT64_MIN, NULL), -EINVAL);
	ck_assert_str_eq(calls(), "");
}
END_TEST

/* P-1. Wrong code: who reads waits for readers, who writes for writers alone; a range waits for none. */
START_TEST(begin_waits_for_those_before) {
	static const uint64_t bytes[] = { BYTES, 1, 0 };
	uint32_t usage = ways[_i / 4].usage;
	bool waits = ways[_i / 4].waits[_i % 4];
	add_fence((enum stile_resv_usage)(_i % 4));
	for (size_t i = 0; i < ARRAY_LENGTH(bytes); i++) {
		int ret = stile_buffer_begin_cpu_access_range(buffer, usage, 0, bytes[i], 0, NULL);
		ck_assert_int_eq(ret, waits ? -ETIME : 0);
		if (ret == 0) {
			ck_assert_int_eq(
				stile_buffer_end_cpu_access_range(buffer, usage, 0, bytes[i]), 0);
		}
	}
	int ret = stile_buffer_begin_cpu_access(buffer, usage, 0, NULL);
	ck_assert_int_eq(ret, waits ? -ETIME : 0);
	if (ret == 0) {
		ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, usage), 0);
	}
}
END_TEST

static void signal_in_begin(struct test_exporter *of, enum test_exporter_op op) {
	(void)of;
	if (op == OP_BEGIN) {
		ck_assert(!stile_fence_is_signaled(fence));
		stile_fence_signal(fence);
	}
}

/* P-1: first the op, then the wait. Wrong code: the other order, in which what the op starts is missed. */
START_TEST(exporter_is_asked_before_the_wait) {
	add_fence(STILE_RESV_WRITE);
	exporter.hook = signal_in_begin;
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, READ), 0);
	ck_assert_str_eq(calls(), "begin end");
}
END_TEST

static void add_in_begin(struct test_exporter *of, enum test_exporter_op op) {
	(void)of;
	if (op == OP_BEGIN) {
		add_fence(STILE_RESV_KERNEL);
	}
}

/*
 * P-1. Wrong code: what is to be waited for looked up before the op, which may move the memory; an exporter that
 * is left with what began, and nobody ends.
 */
START_TEST(what_the_exporter_starts_is_waited_for) {
	exporter.hook = add_in_begin;
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, 0, NULL), -ETIME);
	ck_assert_str_eq(calls(), "begin end");
}
END_TEST

/* P-1. Wrong code: waits all the same, here for ever; an error made another one. */
START_TEST(error_of_the_exporter_comes_without_a_wait) {
	add_fence(STILE_RESV_WRITE);
	exporter.fail[OP_BEGIN] = -ENOSPC;
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, INT64_MAX, NULL), -ENOSPC);
	ck_assert_str_eq(calls(), "begin!");
}
END_TEST

/* P-2. Wrong code: an end that waits for those who came meanwhile; its error dropped. */
START_TEST(end_waits_for_nobody) {
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, BOTH, 0, NULL), 0);
	add_fence(STILE_RESV_WRITE);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, BOTH), 0);
	exporter.fail[OP_END] = -EIO;
	stile_fence_signal(fence);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, BOTH, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, BOTH), -EIO);
	ck_assert_str_eq(calls(), "begin end begin end!");
}
END_TEST

/*
 * P-3. Wrong code: a bracket that keeps others out, or the exporter told of the outermost alone. Writers
 * who overlap are the validator's.
 */
START_TEST(brackets_nest_and_overlap) {
	stile_check_enable(_i == 0);
	uint32_t inner = _i == 0 ? READ : BOTH;
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, inner, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_begin_cpu_access_range(buffer, READ, 1, 2, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, READ), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access_range(buffer, READ, 1, 2), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, inner), 0);
	ck_assert_str_eq(calls(), "begin begin begin end end end");
}
END_TEST

static void *signal_run(void *user) {
	runner_sleep_ms(30);
	stile_fence_signal(user);
	return NULL;
}

static void *cancel_run(void *user) {
	runner_sleep_ms(30);
	stile_cancel_raise(user);
	return NULL;
}

/* P-1. Wrong code: back before the work is done. */
START_TEST(begin_goes_on_when_the_work_is_done) {
	add_fence(STILE_RESV_WRITE);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_run, fence), 0);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, INT64_MAX, NULL), 0);
	ck_assert(stile_fence_is_signaled(fence));
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, READ), 0);
	pthread_join(thread, NULL);
}
END_TEST

/* P-1. Wrong code: a deadline taken for a duration, or left out. */
START_TEST(begin_ends_at_the_deadline) {
	add_fence(STILE_RESV_WRITE);
	int64_t deadline_ns = runner_clock_ns() + 30 * MS;
	ck_assert_int_eq(
		stile_buffer_begin_cpu_access_range(buffer, READ, 0, 1, deadline_ns, NULL), -ETIME);
	ck_assert_int_ge(runner_clock_ns(), deadline_ns);
}
END_TEST

/* P-1: interruptibly. Wrong code: a cancel that comes before is missed. */
START_TEST(begin_can_be_cancelled) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	add_fence(STILE_RESV_WRITE);
	pthread_t thread;
	if (_i == 0) {
		stile_cancel_raise(&cancel);
	} else {
		ck_assert_int_eq(pthread_create(&thread, NULL, cancel_run, &cancel), 0);
	}
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, INT64_MAX, &cancel), -EINTR);
	if (_i == 1) {
		pthread_join(thread, NULL);
	}
}
END_TEST

/* ---- mmap ---------------------------------------------------------------------------------- */

static const struct range pages[] = {
	{ 0, PAGE, 0 },
	{ PAGE, PAGE, 0 },
	{ PAGE, 2 * PAGE, 0 },
	{ 0, (PAGES * PAGE), 0 },
	/* A last page that the buffer does not fill. */
	{ 0, (PAGES + 1) * PAGE, -EINVAL },
	{ PAGES * PAGE, PAGE, -EINVAL },
	{ (PAGES + 1) * PAGE, PAGE, -EINVAL },
	{ 0, BYTES, -EINVAL },
	{ 0, 0, -EINVAL },
	{ PAGE, 0, -EINVAL },
	{ 0, PAGE - 1, -EINVAL },
	{ 0, PAGE + 1, -EINVAL },
	{ 1, PAGE, -EINVAL },
	{ PAGE / 2, PAGE, -EINVAL },
	{ 0, UINT64_MAX - PAGE + 1, -EINVAL },
	{ PAGE, UINT64_MAX - PAGE + 1, -EOVERFLOW },
	{ UINT64_MAX - PAGE + 1, PAGE, -EOVERFLOW },
	{ UINT64_MAX - PAGE + 1, UINT64_MAX - PAGE + 1, -EOVERFLOW },
};

/* P-5, P-6. Wrong code: a sum that wraps to within; the rest of the last page, which is another's. */
START_TEST(whole_pages_are_mapped_and_nothing_else) {
	const struct range *range = &pages[_i];
	void *address = buffer;
	int ret = stile_buffer_mmap_range(buffer, READ, range->offset, range->bytes, &address);
	ck_assert_int_eq(ret, range->ret);
	if (ret < 0) {
		ck_assert_ptr_null(address);
		ck_assert_str_eq(calls(), "");
		return;
	}
	ck_assert_uint_eq((uintptr_t)address % PAGE, 0);
	ck_assert_mem_eq(address, exporter.memory + range->offset, range->bytes);
	ck_assert_uint_eq(exporter.last[OP_MMAP].offset, range->offset);
	ck_assert_uint_eq(exporter.last[OP_MMAP].bytes, range->bytes);
	ck_assert_uint_eq(exporter.last[OP_MMAP].usage, READ);
	stile_buffer_munmap(buffer, address);
	ck_assert_uint_eq(exporter.last[OP_MUNMAP].bytes, range->bytes);
	ck_assert_str_eq(calls(), "mmap munmap");
}
END_TEST

static const uint64_t sizes[] = { 1, PAGE - 1, PAGE, BYTES };

/* Wrong code: the end of a buffer that does not fill its last page out of reach; nothing to be had. */
START_TEST(all_of_it_is_mapped_to_the_end_of_its_last_page) {
	stile_buffer_unref(buffer);
	test_exporter_finish(&exporter);
	test_exporter_init(&exporter, sizes[_i]);
	export();
	memset(exporter.memory, 7, sizes[_i]);
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	ck_assert_uint_eq(exporter.last[OP_MMAP].offset, 0);
	ck_assert_uint_eq(exporter.last[OP_MMAP].bytes, (sizes[_i] + PAGE - 1) / PAGE * PAGE);
	ck_assert_uint_eq(exporter.last[OP_MMAP].usage, BOTH);
	ck_assert_mem_eq(address, exporter.memory, sizes[_i]);
	((unsigned char *)address)[sizes[_i] - 1] = 8;
	ck_assert_uint_eq(exporter.memory[sizes[_i] - 1], 8);
	stile_buffer_munmap(buffer, address);
}
END_TEST

/* P-5: the mapping holds a file reference. Wrong code: memory that goes under its mapping. */
START_TEST(mapping_keeps_the_buffer) {
	void *one, *other;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &one), 0);
	ck_assert_int_eq(stile_buffer_mmap_range(buffer, READ, PAGE, PAGE, &other), 0);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	((unsigned char *)one)[PAGE] = 99;
	ck_assert_uint_eq(*(unsigned char *)other, 99);
	stile_buffer_munmap(buffer, _i == 0 ? one : other);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	stile_buffer_munmap(buffer, _i == 0 ? other : one);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 1);
	buffer = NULL;
	ck_assert_str_eq(calls(), "mmap mmap munmap munmap release");
}
END_TEST

/* Wrong code: a mapping, and its reference, of what the exporter refused. */
START_TEST(error_of_mmap_is_passed_on) {
	void *address = buffer;
	exporter.fail[OP_MMAP] = -EAGAIN;
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &address), -EAGAIN);
	ck_assert_ptr_null(address);
	stile_buffer_unref(buffer);
	buffer = NULL;
	ck_assert_str_eq(calls(), "mmap! release");
}
END_TEST

static void munmap_nothing(void *address, struct stile_buffer *other) {
	(void)address;
	(void)other;
	stile_buffer_munmap(buffer, NULL);
}

static void munmap_within(void *address, struct stile_buffer *other) {
	(void)other;
	stile_buffer_munmap(buffer, (char *)address + PAGE);
}

static void munmap_of_another(void *address, struct stile_buffer *other) {
	stile_buffer_munmap(other, address);
}

static void munmap_vmap(void *address, struct stile_buffer *other) {
	(void)address;
	(void)other;
	stile_buffer_munmap(buffer, exporter.memory);
}

static void (*const wrong_munmaps[])(void *address, struct stile_buffer *other) = {
	munmap_nothing,
	munmap_within,
	munmap_of_another,
	munmap_vmap,
};

/* Wrong code: memory unmapped that is somebody else's; a reference dropped that nobody had. */
START_TEST(munmap_of_something_else_is_told) {
	struct test_exporter own;
	test_exporter_init(&own, PAGE);
	struct stile_buffer *other = test_exporter_export(&own);
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &address), 0);
	(void)calls();
	ledger_expect_complaint("map");
	wrong_munmaps[_i](address, other);
	ck_assert_str_eq(calls(), "");
	ck_assert_str_eq(test_exporter_calls(&own), "");
	ck_assert_uint_eq(*(unsigned char *)address, 1);
	stile_buffer_munmap(buffer, address);
	stile_buffer_unref(other);
	test_exporter_finish(&own);
}
END_TEST

/* Wrong code: the same as before, of what was right once. */
START_TEST(second_munmap_is_told) {
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &address), 0);
	stile_buffer_munmap(buffer, address);
	(void)calls();
	ledger_expect_complaint("map");
	stile_buffer_munmap(buffer, address);
	ck_assert_str_eq(calls(), "");
}
END_TEST

static int mmap_shared(
	struct stile_buffer *of, uint32_t usage, uint64_t offset, uint64_t bytes, void **address) {
	(void)of;
	(void)usage;
	(void)bytes;
	*address = exporter.memory + offset;
	return 0;
}

/*
 * An exporter whose memory is mapped anyway. Wrong code: mappings told apart by their address alone; an
 * op called that is not there.
 */
START_TEST(exporter_may_give_the_same_address_again) {
	exporter.ops.mmap = mmap_shared;
	exporter.ops.munmap = NULL;
	export();
	void *one, *other;
	ck_assert_int_eq(stile_buffer_mmap_range(buffer, READ, 0, PAGE, &one), 0);
	ck_assert_int_eq(stile_buffer_mmap_range(buffer, READ, 0, 2 * PAGE, &other), 0);
	ck_assert_ptr_eq(one, exporter.memory);
	ck_assert_ptr_eq(other, exporter.memory);
	stile_buffer_unref(buffer);
	stile_buffer_munmap(buffer, one);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	stile_buffer_munmap(buffer, other);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 1);
	buffer = NULL;
}
END_TEST

/* ---- vmap ---------------------------------------------------------------------------------- */

/* P-4. Wrong code: an op a call; undone by the first; a map that differs. */
START_TEST(vmap_is_counted) {
	struct stile_map maps[5];
	for (size_t i = 0; i < ARRAY_LENGTH(maps); i++) {
		memset(&maps[i], 0xff, sizeof(maps[i]));
		if (i % 2 == 0) {
			ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &maps[i]), 0);
		} else {
			lock();
			ck_assert_int_eq(stile_buffer_vmap(buffer, &maps[i]), 0);
			unlock();
		}
		ck_assert_ptr_eq(maps[i].address, exporter.memory);
		ck_assert(!maps[i].is_io);
	}
	ck_assert_str_eq(calls(), "vmap");
	for (size_t i = 0; i < ARRAY_LENGTH(maps); i++) {
		ck_assert_str_eq(calls(), "");
		lock();
		stile_buffer_vunmap(buffer, &maps[i]);
		unlock();
	}
	ck_assert_str_eq(calls(), "vunmap");
	/* And anew. */
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &maps[0]), 0);
	stile_buffer_vunmap_unlocked(buffer, &maps[0]);
	ck_assert_str_eq(calls(), "vmap vunmap");
}
END_TEST

static int vmap_io(struct stile_buffer *of, struct stile_map *map) {
	(void)of;
	/* What the core gives it is cleared. */
	ck_assert_ptr_null(map->address);
	ck_assert(!map->is_io);
	*map = (struct stile_map){ .address = exporter.memory, .is_io = true };
	return 0;
}

/* P-4. Wrong code: io memory handed out as if it were ordinary; an op called that is not there. */
START_TEST(io_memory_is_said_to_be) {
	exporter.ops.vmap = vmap_io;
	exporter.ops.vunmap = NULL;
	export();
	struct stile_map map, again;
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &again), 0);
	ck_assert(map.is_io && again.is_io);
	stile_buffer_vunmap_unlocked(buffer, &map);
	stile_buffer_vunmap_unlocked(buffer, &again);
}
END_TEST

static unsigned halves;

/* The first time, it has set something when it fails. */
static int vmap_by_halves(struct stile_buffer *of, struct stile_map *map) {
	(void)of;
	ck_assert_ptr_null(map->address);
	ck_assert(!map->is_io);
	map->is_io = halves++ == 0;
	map->address = exporter.memory;
	return map->is_io ? -EIO : 0;
}

/* P-4: map cleared first. Wrong code: what a failed one left is found by the next, or by the caller. */
START_TEST(failed_vmap_leaves_nothing) {
	exporter.ops.vmap = vmap_by_halves;
	exporter.ops.vunmap = NULL;
	export();
	struct stile_map map;
	halves = 0;
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), -EIO);
	ck_assert_ptr_null(map.address);
	ck_assert(!map.is_io);
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	ck_assert(!map.is_io);
	stile_buffer_vunmap_unlocked(buffer, &map);
}
END_TEST

/* P-4. Wrong code: a failed one that counts, so that the next is given NULL. */
START_TEST(error_of_vmap_is_passed_on_and_not_counted) {
	struct stile_map map;
	memset(&map, 0xff, sizeof(map));
	exporter.fail[OP_VMAP] = -ENOSPC;
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), -ENOSPC);
	ck_assert_ptr_null(map.address);
	ck_assert(!map.is_io);
	ck_assert(!stile_resv_is_locked(resv));
	exporter.fail[OP_VMAP] = 0;
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	ck_assert_ptr_eq(map.address, exporter.memory);
	stile_buffer_vunmap_unlocked(buffer, &map);
	ck_assert_str_eq(calls(), "vmap! vmap vunmap");
}
END_TEST

/* B-4, 20.1. Wrong code: memory that goes under its vmap; released with the lock that goes with it. */
START_TEST(vmap_keeps_the_buffer) {
	struct stile_map map, again;
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &again), 0);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(((unsigned char *)map.address)[PAGE], 2);
	stile_buffer_vunmap_unlocked(buffer, &map);
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	stile_buffer_vunmap_unlocked(buffer, &again);
	buffer = NULL;
	ck_assert_str_eq(calls(), "vmap vunmap release");
}
END_TEST

/* P-4, 9.1. Wrong code: a count that two threads change at once. */
START_TEST(vmap_needs_the_lock) {
	struct stile_map map;
	memset(&map, 0xff, sizeof(map));
	ledger_expect_complaint("lock");
	ck_assert_int_eq(stile_buffer_vmap(buffer, &map), -EDEADLK);
	ck_assert_ptr_null(map.address);
	ck_assert_str_eq(calls(), "");
}
END_TEST

static void vunmap_unlocked(const struct stile_map *map) {
	stile_buffer_vunmap(buffer, map);
}

static void vunmap_locked(const struct stile_map *map) {
	lock();
	stile_buffer_vunmap_unlocked(buffer, map);
	unlock();
}

static void vunmap_another_address(const struct stile_map *map) {
	struct stile_map wrong = { .address = (char *)map->address + PAGE };
	stile_buffer_vunmap_unlocked(buffer, &wrong);
}

static void vunmap_null(const struct stile_map *map) {
	(void)map;
	struct stile_map wrong = { 0 };
	stile_buffer_vunmap_unlocked(buffer, &wrong);
}

static void vunmap_as_io(const struct stile_map *map) {
	struct stile_map wrong = { .address = map->address, .is_io = true };
	stile_buffer_vunmap_unlocked(buffer, &wrong);
}

static const struct {
	const char *complaint;
	void (*make)(const struct stile_map *map);
} wrong_vunmaps[] = {
	{ "lock", vunmap_unlocked },
	{ "lock", vunmap_locked },
	{ "vunmap", vunmap_another_address },
	{ "vunmap", vunmap_null },
	{ "vunmap", vunmap_as_io },
};

/* P-4: an equal map. Wrong code: counted down for anything; a thread that waits for itself. */
START_TEST(vunmap_of_something_else_is_told) {
	struct stile_map map;
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	(void)calls();
	ledger_expect_complaint(wrong_vunmaps[_i].complaint);
	wrong_vunmaps[_i].make(&map);
	ck_assert_str_eq(calls(), "");
	stile_buffer_vunmap_unlocked(buffer, &map);
	ck_assert_str_eq(calls(), "vunmap");
}
END_TEST

/* P-4: unbalanced. Wrong code: a count below zero, which keeps the next vmap from reaching the exporter. */
START_TEST(vunmap_too_often_is_told) {
	struct stile_map map;
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	stile_buffer_vunmap_unlocked(buffer, &map);
	(void)calls();
	ledger_expect_complaint("vunmap");
	stile_buffer_vunmap_unlocked(buffer, &map);
	ck_assert_str_eq(calls(), "");
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	stile_buffer_vunmap_unlocked(buffer, &map);
	ck_assert_str_eq(calls(), "vmap vunmap");
}
END_TEST

/* ---- kmap ---------------------------------------------------------------------------------- */

/* Section 21. Wrong code: the page's number in bytes; each page a mapping; kept when all are undone. */
START_TEST(kmap_gives_one_page) {
	void *at[PAGES + 1];
	for (size_t i = 0; i < PAGES; i++) {
		ck_assert_int_eq(stile_buffer_kmap(buffer, i, &at[i]), 0);
		ck_assert_ptr_eq(at[i], exporter.memory + i * PAGE);
	}
	ck_assert_int_eq(stile_buffer_kmap(buffer, 1, &at[PAGES]), 0);
	ck_assert_ptr_eq(at[PAGES], at[1]);
	ck_assert_str_eq(calls(), "vmap");
	stile_buffer_kunmap(buffer, 1, at[1]);
	stile_buffer_kunmap(buffer, 0, at[0]);
	stile_buffer_kunmap(buffer, 2, at[2]);
	ck_assert_str_eq(calls(), "");
	stile_buffer_kunmap(buffer, 1, at[PAGES]);
	ck_assert_str_eq(calls(), "vunmap");
}
END_TEST

static const uint64_t no_pages[] = { PAGES, PAGES + 1, UINT64_C(1) << 52, UINT64_MAX };

/* Section 21. Wrong code: a page of which the buffer has a part; an index that wraps in bytes. */
START_TEST(page_that_is_not_there_is_erange) {
	void *address = buffer;
	ck_assert_int_eq(stile_buffer_kmap(buffer, no_pages[_i], &address), -ERANGE);
	ck_assert_ptr_null(address);
	ck_assert_str_eq(calls(), "");
}
END_TEST

/* Wrong code: an error that is made another one, or a page at NULL plus something. */
START_TEST(error_of_vmap_is_kmaps) {
	void *address = buffer;
	exporter.fail[OP_VMAP] = -EIO;
	ck_assert_int_eq(stile_buffer_kmap(buffer, 2, &address), -EIO);
	ck_assert_ptr_null(address);
}
END_TEST

static const struct {
	uint64_t page;
	size_t offset; /* of the address */
} wrong_kunmaps[] = {
	{ 0, PAGE },
	{ 1, 0 },
	{ 2, PAGE },
	{ 1, PAGE + 1 },
	{ PAGES, (PAGES * PAGE) },
};

/* Section 21. Wrong code: any page for any other. */
START_TEST(kunmap_of_something_else_is_told) {
	void *address;
	ck_assert_int_eq(stile_buffer_kmap(buffer, 1, &address), 0);
	(void)calls();
	ledger_expect_complaint("map");
	stile_buffer_kunmap(
		buffer, wrong_kunmaps[_i].page, exporter.memory + wrong_kunmaps[_i].offset);
	ck_assert_str_eq(calls(), "");
	stile_buffer_kunmap(buffer, 1, address);
	ck_assert_str_eq(calls(), "vunmap");
}
END_TEST

/* ---- Devices with a cache of their own ----------------------------------------------------- */

static struct stile_device *device;
static struct stile_attachment *attachment; /* the device's, of the exporter's buffer */
static const struct stile_sg *sg;           /* what it has mapped */

static void map_for_device(void) {
	ck_assert_int_eq(stile_attachment_map_unlocked(
				 attachment, STILE_BIDIRECTIONAL, INT64_MAX, NULL, &sg),
		0);
}

static void unmap_from_device(void) {
	stile_attachment_unmap_unlocked(attachment, sg, STILE_BIDIRECTIONAL);
}

static void setup_cached(void) {
	setup_exporter();
	/* What a bracket does beyond that is the core's. */
	exporter.ops.begin_cpu_access = NULL;
	exporter.ops.end_cpu_access = NULL;
	export();
	struct stile_device_info info = { .size = sizeof(info), .options = "coherent=no" };
	ck_assert_int_eq(stile_device_open("swgpu", &info, &device), 0);
	struct stile_attach_info how = { .size = sizeof(how), .device = device, .usage = BOTH };
	ck_assert_int_eq(stile_buffer_attach(buffer, &how, NULL, &attachment), 0);
	map_for_device();
}

static void teardown_cached(void) {
	stile_buffer_detach(buffer, attachment);
	stile_device_destroy(device);
	device = NULL;
	teardown();
}

static void device_access(
	uint64_t offset, unsigned char *bytes, uint64_t count, enum bus_access access) {
	uint64_t address, left;
	struct bus_fault fault;
	ck_assert_int_eq(stile_sg_find(sg, offset, &address, &left), 0);
	ck_assert_uint_ge(left, count);
	ck_assert(bus_access(swgpu_get(device)->bus, address, bytes, count, access, &fault));
}

static void device_writes(uint64_t offset, unsigned char byte) {
	device_access(offset, &byte, 1, BUS_WRITE);
}

static unsigned char device_reads(uint64_t offset) {
	unsigned char byte;
	device_access(offset, &byte, 1, BUS_READ);
	return byte;
}

static unsigned char cpu_reads(uint64_t offset) {
	return __atomic_load_n(&exporter.memory[offset], __ATOMIC_RELAXED);
}

/* P-3. Wrong code: a begin that asks the exporter alone. */
START_TEST(begin_shows_what_the_device_wrote) {
	device_writes(PAGE, 99);
	ck_assert_uint_eq(cpu_reads(PAGE), 2);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, ways[_i].usage, 0, NULL), 0);
	ck_assert_uint_eq(cpu_reads(PAGE), 99);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, ways[_i].usage), 0);
	unmap_from_device();
}
END_TEST

static const struct range parts[] = {
	{ 0, 1, 0 },
	{ 5, 7, 0 },
	{ PAGE - 1, 2, 0 },
	{ PAGE - 1, PAGE + 2, 0 },
	{ BYTES - 1, 1, 0 },
};

/*
 * P-3. Wrong code: the first device alone, or the last; all of them forgotten with one; a count that is
 * wrong the next time.
 */
START_TEST(begin_asks_each_device_that_has_it_mapped) {
	struct stile_device *first = device, *second;
	struct stile_attachment *firsts = attachment;
	struct stile_device_info info = { .size = sizeof(info), .options = "coherent=no" };
	struct stile_attach_info how = { .size = sizeof(how), .usage = BOTH };
	ck_assert_int_eq(stile_device_open("swgpu", &info, &second), 0);
	how.device = second;
	const struct stile_sg *of_first = sg;
	device_writes(0, 98);
	device = second;
	ck_assert_int_eq(stile_buffer_attach(buffer, &how, NULL, &attachment), 0);
	for (int i = 0; i < 2; i++) {
		map_for_device();
		device_writes(PAGE, (unsigned char)(99 + i));
		ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, 0, NULL), 0);
		ck_assert_uint_eq(cpu_reads(0), 98);
		ck_assert_uint_eq(cpu_reads(PAGE), 99 + (unsigned)i);
		ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, READ), 0);
		unmap_from_device();
		device = first;
		sg = of_first;
		device_writes(PAGE, 97);
		ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, 0, NULL), 0);
		ck_assert_uint_eq(cpu_reads(PAGE), 97);
		ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, READ), 0);
		device = second;
	}
	map_for_device();
	stile_attachment_unmap_unlocked(firsts, of_first, STILE_BIDIRECTIONAL);
	device_writes(PAGE, 101);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, 0, NULL), 0);
	ck_assert_uint_eq(cpu_reads(PAGE), 101);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, READ), 0);
	unmap_from_device();
	stile_buffer_detach(buffer, attachment);
	stile_device_destroy(second);
	device = first;
	attachment = firsts;
}
END_TEST

/* Section 21. Wrong code: whole pages or lines within the range alone, so that its ends are stale. */
START_TEST(range_shows_its_first_and_last_byte) {
	const struct range *part = &parts[_i];
	uint64_t last = part->offset + part->bytes - 1;
	device_writes(part->offset, 98);
	device_writes(last, 99);
	ck_assert_uint_lt(cpu_reads(last), 98);
	ck_assert_int_eq(stile_buffer_begin_cpu_access_range(
				 buffer, READ, part->offset, part->bytes, 0, NULL),
		0);
	ck_assert_uint_eq(cpu_reads(part->offset), part->bytes == 1 ? 99 : 98);
	ck_assert_uint_eq(cpu_reads(last), 99);
	ck_assert_int_eq(
		stile_buffer_end_cpu_access_range(buffer, READ, part->offset, part->bytes), 0);
	unmap_from_device();
}
END_TEST

/* P-3. Wrong code: the device goes on with what it has read before; the ends of a range forgotten. */
START_TEST(end_lets_the_device_see_what_was_written) {
	const struct range *part = &parts[_i];
	uint64_t last = part->offset + part->bytes - 1;
	unsigned char before = device_reads(last);
	(void)device_reads(part->offset);
	ck_assert_int_eq(stile_buffer_begin_cpu_access_range(
				 buffer, WRITE, part->offset, part->bytes, 0, NULL),
		0);
	/* Again, as nobody forbids it: it keeps what it reads now. */
	ck_assert_uint_eq(device_reads(last), before);
	(void)device_reads(part->offset);
	exporter.memory[part->offset] = 98;
	exporter.memory[last] = 99;
	ck_assert_uint_eq(device_reads(last), before);
	ck_assert_int_eq(
		stile_buffer_end_cpu_access_range(buffer, WRITE, part->offset, part->bytes), 0);
	ck_assert_uint_eq(device_reads(part->offset), part->bytes == 1 ? 99 : 98);
	ck_assert_uint_eq(device_reads(last), 99);
	unmap_from_device();
}
END_TEST

/*
 * P-3: no mutual exclusion. Wrong code: what the device writes beside the CPU is lost when that one ends.
 */
START_TEST(end_takes_nothing_from_the_device) {
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, ways[_i].usage, 0, NULL), 0);
	device_writes(PAGE, 99);
	exporter.memory[PAGE + 1] = 98;
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, ways[_i].usage), 0);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, 0, NULL), 0);
	ck_assert_uint_eq(cpu_reads(PAGE), 99);
	ck_assert_uint_eq(cpu_reads(PAGE + 1), 98);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, READ), 0);
	unmap_from_device();
}
END_TEST

/* T-4. Wrong code: what the device wrote goes with its mapping. */
START_TEST(unmap_shows_what_the_device_wrote) {
	device_writes(PAGE, 99);
	unmap_from_device();
	ck_assert_uint_eq(cpu_reads(PAGE), 99);
}
END_TEST

/* What a thread of the CPU's finds at PAGE. */
static void *look_run(void *user) {
	unsigned char *found = user;
	int ret = stile_buffer_begin_cpu_access(buffer, READ, INT64_MAX, NULL);
	runner_require(ret == 0, "begin: %d", ret);
	*found = cpu_reads(PAGE);
	ret = stile_buffer_end_cpu_access(buffer, READ);
	runner_require(ret == 0, "end: %d", ret);
	return NULL;
}

static unsigned char found_in_unmap;

static void look_in_unmap(struct test_exporter *of, enum test_exporter_op op) {
	(void)of;
	if (op == OP_UNMAP) {
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, look_run, &found_in_unmap), 0);
		pthread_join(thread, NULL);
	}
}

/*
 * P-3: between unmap and what it writes back. Wrong code: the device is not asked any more, though it has
 * not written back yet.
 */
START_TEST(begin_during_unmap_shows_what_the_device_wrote) {
	exporter.hook = look_in_unmap;
	found_in_unmap = 0;
	device_writes(PAGE, 99);
	unmap_from_device();
	ck_assert_uint_eq(found_in_unmap, 99);
}
END_TEST

static atomic_bool over;

static void *bracket_run(void *user) {
	(void)user;
	unsigned char found;
	while (!over) {
		look_run(&found);
	}
	return NULL;
}

/* Wrong code: a table that is written back while it is freed: the sanitizers see it. */
START_TEST(brackets_while_the_device_maps_and_unmaps) {
	pthread_t threads[2];
	over = false;
	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, bracket_run, NULL), 0);
	}
	int64_t end = runner_clock_ns() + 200 * MS;
	while (runner_clock_ns() < end) {
		unmap_from_device();
		map_for_device();
	}
	over = true;
	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
		pthread_join(threads[i], NULL);
	}
	unmap_from_device();
}
END_TEST

/* ---- Memory of a backend ------------------------------------------------------------------- */

static void setup_backend(void) {
	was_checked = stile_check_is_enabled();
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = BYTES };
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	resv = stile_buffer_get_resv(buffer);
}

static void teardown_backend(void) {
	stile_buffer_unref(buffer);
	buffer = NULL;
	stile_device_destroy(device);
	device = NULL;
	stile_check_enable(was_checked);
}

/* DESIGN 6. Wrong code: each way of reaching it has memory of its own. */
START_TEST(all_ways_show_the_same_memory) {
	void *all, *part, *page;
	struct stile_map map;
	ck_assert_uint_eq(stile_buffer_get_bytes(buffer), (PAGES + 1) * PAGE);
	ck_assert_int_eq(stile_buffer_kmap(buffer, 2, &page), 0);
	ck_assert_int_eq(stile_buffer_mmap_range(buffer, READ, 2 * PAGE, 2 * PAGE, &part), 0);
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &all), 0);
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, BOTH, 0, NULL), 0);
	static const unsigned char zeroes[PAGE];
	for (size_t i = 0; i <= PAGES; i++) {
		ck_assert_mem_eq((char *)all + i * PAGE, zeroes, PAGE);
	}
	strcpy((char *)all + 2 * PAGE, "here");
	ck_assert_str_eq(part, "here");
	ck_assert_str_eq(page, "here");
	ck_assert_str_eq((char *)map.address + 2 * PAGE, "here");
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, BOTH), 0);
	stile_buffer_kunmap(buffer, 2, page);
	stile_buffer_munmap(buffer, all);
	ck_assert_str_eq(part, "here");
	stile_buffer_munmap(buffer, part);
	stile_buffer_vunmap_unlocked(buffer, &map);
	/* What nobody has mapped is still there. */
	ck_assert_int_eq(stile_buffer_kmap(buffer, 2, &page), 0);
	ck_assert_str_eq(page, "here");
	stile_buffer_kunmap(buffer, 2, page);
}
END_TEST

static int attempt_mmap(void *user) {
	return stile_buffer_mmap(buffer, BOTH, user);
}

static void after_mmap(void *user, int ret) {
	void **address = user;
	ck_assert_int_eq(*address == NULL, ret < 0);
	if (ret == 0) {
		stile_buffer_munmap(buffer, *address);
	}
	ck_assert(!stile_resv_is_locked(resv));
}

static int attempt_vmap(void *user) {
	return stile_buffer_vmap_unlocked(buffer, user);
}

static void after_vmap(void *user, int ret) {
	struct stile_map *map = user;
	ck_assert_int_eq(map->address == NULL, ret < 0);
	if (ret == 0) {
		stile_buffer_vunmap_unlocked(buffer, map);
	}
	ck_assert(!stile_resv_is_locked(resv));
}

static int attempt_kmap(void *user) {
	return stile_buffer_kmap(buffer, 1, user);
}

static void after_kmap(void *user, int ret) {
	void **address = user;
	ck_assert_int_eq(*address == NULL, ret < 0);
	if (ret == 0) {
		stile_buffer_kunmap(buffer, 1, *address);
	}
	ck_assert(!stile_resv_is_locked(resv));
}

static int attempt_bracket(void *user) {
	(void)user;
	int ret = stile_buffer_begin_cpu_access(buffer, BOTH, 0, NULL);
	return ret < 0 ? ret : stile_buffer_end_cpu_access(buffer, BOTH);
}

static void after_bracket(void *user, int ret) {
	(void)user;
	ck_assert_int_eq(ret, 0);
}

static const struct {
	int (*attempt)(void *user);
	void (*after)(void *user, int ret);
	unsigned least;
} sweeps[] = {
	{ attempt_mmap, after_mmap, 2 },
	{ attempt_vmap, after_vmap, 1 },
	{ attempt_kmap, after_kmap, 1 },
	{ attempt_bracket, after_bracket, 0 },
};

/*
 * Each is the first to need the storage. Wrong code: a lock, a reference or half of the storage that is
 * kept where memory runs out; an access that is promised nothing and allocates.
 */
START_TEST(every_way_survives_every_failure) {
	static const int errors[] = { -ENOMEM, -EMFILE, 0 };
	union {
		void *address;
		struct stile_map map;
	} user;
	stile_check_enable(false);
	unsigned failed = failing_sweep(sweeps[_i].attempt, sweeps[_i].after, &user, errors);
	ck_assert_uint_ge(failed, sweeps[_i].least);
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	stile_buffer_munmap(buffer, address);
}
END_TEST

/* ---- Threads ------------------------------------------------------------------------------- */

static void *touch_run(void *user) {
	uint64_t state = runner_seed() + (uintptr_t)user;
	while (!over) {
		void *address;
		struct stile_map map;
		int ret = 0;
		switch (runner_random(&state) % 4) {
		case 0:
			ret = stile_buffer_mmap(buffer, READ, &address);
			if (ret == 0) {
				stile_buffer_munmap(buffer, address);
			}
			break;
		case 1:
			ret = stile_buffer_vmap_unlocked(buffer, &map);
			if (ret == 0) {
				stile_buffer_vunmap_unlocked(buffer, &map);
			}
			break;
		case 2:
			ret = stile_buffer_kmap(buffer, 1, &address);
			if (ret == 0) {
				stile_buffer_kunmap(buffer, 1, address);
			}
			break;
		default:
			ret = stile_buffer_begin_cpu_access(buffer, READ, INT64_MAX, NULL);
			if (ret == 0) {
				ret = stile_buffer_end_cpu_access(buffer, READ);
			}
			break;
		}
		runner_require(ret == 0, "%d", ret);
	}
	return NULL;
}

/* Wrong code: a list or a count that is changed without a lock: the sanitizers see it, or the exporter. */
START_TEST(threads_reach_it_at_the_same_time) {
	pthread_t threads[THREADS];
	over = false;
	for (uintptr_t i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, touch_run, (void *)i), 0);
	}
	runner_sleep_ms(300);
	over = true;
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	stile_buffer_unref(buffer);
	buffer = NULL;
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 1);
}
END_TEST

static void add_brackets(Suite *s) {
	TCase *brackets = ledger_tcase_create("brackets");
	tcase_add_checked_fixture(brackets, setup, teardown);
	tcase_add_loop_test(
		brackets, exporter_is_told_the_direction_and_all_bytes, 0, ARRAY_LENGTH(ways));
	tcase_add_loop_test(brackets, range_is_told_as_it_is_or_refused, 0, ARRAY_LENGTH(ranges));
	tcase_add_loop_test(
		brackets, unknown_usage_is_einval_everywhere, 0, ARRAY_LENGTH(unknown_usages));
	tcase_add_test(brackets, negative_deadline_is_einval);
	tcase_add_loop_test(brackets, begin_waits_for_those_before, 0, 4 * ARRAY_LENGTH(ways));
	tcase_add_test(brackets, exporter_is_asked_before_the_wait);
	tcase_add_test(brackets, what_the_exporter_starts_is_waited_for);
	tcase_add_test(brackets, error_of_the_exporter_comes_without_a_wait);
	tcase_add_test(brackets, end_waits_for_nobody);
	tcase_add_loop_test(brackets, brackets_nest_and_overlap, 0, 2);
	tcase_add_test(brackets, begin_goes_on_when_the_work_is_done);
	tcase_add_test(brackets, begin_ends_at_the_deadline);
	tcase_add_loop_test(brackets, begin_can_be_cancelled, 0, 2);
	suite_add_tcase(s, brackets);
}

static void add_mappings(Suite *s) {
	TCase *mapped = ledger_tcase_create("mmap");
	tcase_add_checked_fixture(mapped, setup, teardown);
	tcase_add_loop_test(
		mapped, whole_pages_are_mapped_and_nothing_else, 0, ARRAY_LENGTH(pages));
	tcase_add_loop_test(
		mapped, all_of_it_is_mapped_to_the_end_of_its_last_page, 0, ARRAY_LENGTH(sizes));
	tcase_add_loop_test(mapped, mapping_keeps_the_buffer, 0, 2);
	tcase_add_test(mapped, error_of_mmap_is_passed_on);
	tcase_add_loop_test(
		mapped, munmap_of_something_else_is_told, 0, ARRAY_LENGTH(wrong_munmaps));
	tcase_add_test(mapped, second_munmap_is_told);
	suite_add_tcase(s, mapped);

	TCase *other = ledger_tcase_create("exporters of other kinds");
	tcase_add_checked_fixture(other, setup_exporter, teardown);
	tcase_add_test(other, exporter_may_give_the_same_address_again);
	tcase_add_test(other, io_memory_is_said_to_be);
	tcase_add_test(other, failed_vmap_leaves_nothing);
	suite_add_tcase(s, other);
}

static void add_vmaps(Suite *s) {
	TCase *vmap = ledger_tcase_create("vmap");
	tcase_add_checked_fixture(vmap, setup, teardown);
	tcase_add_test(vmap, vmap_is_counted);
	tcase_add_test(vmap, error_of_vmap_is_passed_on_and_not_counted);
	tcase_add_test(vmap, vmap_keeps_the_buffer);
	tcase_add_test(vmap, vmap_needs_the_lock);
	tcase_add_loop_test(vmap, vunmap_of_something_else_is_told, 0, ARRAY_LENGTH(wrong_vunmaps));
	tcase_add_test(vmap, vunmap_too_often_is_told);
	suite_add_tcase(s, vmap);

	TCase *kmap = ledger_tcase_create("kmap");
	tcase_add_checked_fixture(kmap, setup, teardown);
	tcase_add_test(kmap, kmap_gives_one_page);
	tcase_add_loop_test(kmap, page_that_is_not_there_is_erange, 0, ARRAY_LENGTH(no_pages));
	tcase_add_test(kmap, error_of_vmap_is_kmaps);
	tcase_add_loop_test(kmap, kunmap_of_something_else_is_told, 0, ARRAY_LENGTH(wrong_kunmaps));
	suite_add_tcase(s, kmap);
}

static Suite *suite(void) {
	Suite *s = suite_create("cpu access");
	add_brackets(s);
	add_mappings(s);
	add_vmaps(s);

	TCase *cached = ledger_tcase_create("devices with a cache");
	tcase_add_checked_fixture(cached, setup_cached, teardown_cached);
	tcase_add_loop_test(cached, begin_shows_what_the_device_wrote, 0, ARRAY_LENGTH(ways));
	tcase_add_test(cached, begin_asks_each_device_that_has_it_mapped);
	tcase_add_loop_test(cached, range_shows_its_first_and_last_byte, 0, ARRAY_LENGTH(parts));
	tcase_add_loop_test(
		cached, end_lets_the_device_see_what_was_written, 0, ARRAY_LENGTH(parts));
	tcase_add_loop_test(cached, end_takes_nothing_from_the_device, 0, ARRAY_LENGTH(ways));
	tcase_add_test(cached, unmap_shows_what_the_device_wrote);
	tcase_add_test(cached, begin_during_unmap_shows_what_the_device_wrote);
	tcase_add_test(cached, brackets_while_the_device_maps_and_unmaps);
	suite_add_tcase(s, cached);

	TCase *backend = ledger_tcase_create("memory of a backend");
	tcase_add_checked_fixture(backend, setup_backend, teardown_backend);
	tcase_add_test(backend, all_ways_show_the_same_memory);
	tcase_add_loop_test(backend, every_way_survives_every_failure, 0, ARRAY_LENGTH(sweeps));
	suite_add_tcase(s, backend);

	TCase *threads = ledger_tcase_create("threads");
	tcase_add_checked_fixture(threads, setup, teardown);
	tcase_add_test(threads, threads_reach_it_at_the_same_time);
	suite_add_tcase(s, threads);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
