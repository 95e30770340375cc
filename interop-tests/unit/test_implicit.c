/* SPDX-License-Identifier: MIT */
/*
 * Implicit synchronisation of a buffer, and to and from explicit: KERNEL_CONTRACT P-1 to P-3, D-2, D-6
 * to D-8, and which reservation a buffer has. Misuse of CPU access: test_validator.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/array.h>
#include <stile/buffer.h>
#include <stile/carrier.h>
#include <stile/chain.h>
#include <stile/check.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/merge.h>
#include <stile/resv.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

#define MS INT64_C(1000000)

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
};

enum {
	NONE = -1, /* as the usage of a fence that is in no list */
	USAGES = 4,
	ROOM = 128,
	BYTES = 4096,
};

/* ---- Fences, which the fixture ends and drops ---------------------------------------------- */

static struct stile_fence *owned[ROOM];
static size_t owned_count;
static int fences_before;

static struct stile_fence *own(struct stile_fence *fence) {
	runner_require(owned_count < ROOM, "no room for a fence");
	owned[owned_count++] = fence;
	return fence;
}

static struct stile_fence *create(void) {
	return own(plain_fence_create());
}

static void end_with(struct stile_fence *fence, int error) {
	ck_assert_int_eq(stile_fence_set_error(fence, error), 0);
	stile_fence_signal(fence);
}

/* The test's reference. */
static void drop(struct stile_fence *fence) {
	size_t at = 0;
	while (at < owned_count && owned[at] != fence) {
		at++;
	}
	runner_require(at < owned_count, "dropped twice");
	owned[at] = owned[--owned_count];
	stile_fence_unref(fence);
}

static struct stile_fence *array_create(struct stile_fence *const *fences, size_t count) {
	struct stile_fence *array;
	ck_assert_int_eq(stile_array_create(fences, count, stile_fence_context_alloc(1), 1,
				 STILE_ARRAY_ALL, &array),
		0);
	return own(array);
}

static struct stile_fence *chain_create(struct stile_fence *const *fences, size_t count) {
	struct stile_fence *head = NULL;
	for (size_t i = 0; i < count; i++) {
		struct stile_chain *chain;
		ck_assert_int_eq(stile_chain_alloc(&chain), 0);
		head = stile_chain_init(chain, head, stile_fence_ref(fences[i]), i + 1);
	}
	return own(head);
}

/* An array; a chain; a chain of which one element is an array. Of three leaves. */
static struct stile_fence *container_create(int kind, struct stile_fence *const *leaves) {
	if (kind == 0) {
		return array_create(leaves, 3);
	}
	if (kind == 1) {
		return chain_create(leaves, 3);
	}
	struct stile_fence *parts[] = { array_create(leaves, 2), leaves[2] };
	return chain_create(parts, 2);
}

enum { CONTAINERS = 3 };

/* Is this what the fence is made of, in any order? */
static bool consists_of(
	struct stile_fence *fence, struct stile_fence *const *leaves, size_t count) {
	struct stile_unwrap cursor;
	size_t found = 0, all = 0;
	const struct stile_fence *leaf = stile_unwrap_first(fence, &cursor);
	while (leaf != NULL) {
		all++;
		for (size_t i = 0; i < count; i++) {
			found += leaves[i] == leaf;
		}
		leaf = stile_unwrap_next(&cursor);
	}
	return found == count && all == count;
}

/* ---- Buffers ------------------------------------------------------------------------------- */

static struct stile_device *device;
static struct stile_buffer *buffer;
static struct stile_resv *resv; /* the buffer's */

static struct stile_buffer *buffer_create(struct stile_resv *of) {
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = BYTES, .resv = of };
	struct stile_buffer *created;
	ck_assert_int_eq(stile_buffer_create(device, &info, &created), 0);
	return created;
}

static void setup(void) {
	fences_before = plain_fence_count();
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
	buffer = buffer_create(NULL);
	resv = stile_buffer_get_resv(buffer);
}

static void teardown(void) {
	for (size_t i = 0; i < owned_count; i++) {
		stile_fence_signal(owned[i]);
	}
	while (owned_count > 0) {
		drop(owned[owned_count - 1]);
	}
	stile_buffer_unref(buffer);
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(plain_fence_count(), fences_before);
}

static void lock(struct stile_resv *which) {
	ck_assert_int_eq(stile_resv_lock(which, NULL, NULL), 0);
}

static void put(struct stile_resv *which, struct stile_fence *fence, enum stile_resv_usage usage) {
	lock(which);
	ck_assert_int_eq(stile_resv_reserve_fences(which, 1), 0);
	ck_assert_int_eq(stile_resv_add_fence(which, fence, usage), 0);
	stile_resv_unlock(which);
}

/* How many entries there are, and how the last one of the fence is used. */
static size_t look(struct stile_resv *which, const struct stile_fence *fence, int *usage) {
	struct stile_resv_iter iter;
	const struct stile_fence *at;
	size_t count = 0;
	*usage = NONE;
	lock(which);
	stile_resv_iter_begin(&iter, which, STILE_RESV_BOOKKEEP);
	while ((at = stile_resv_iter_next(&iter)) != NULL) {
		count++;
		*usage = at == fence ? (int)stile_resv_iter_get_usage(&iter) : *usage;
	}
	stile_resv_iter_end(&iter);
	stile_resv_unlock(which);
	return count;
}

static int usage_in(struct stile_resv *which, const struct stile_fence *fence) {
	int usage;
	look(which, fence, &usage);
	return usage;
}

static size_t count_in(struct stile_resv *which) {
	int usage;
	return look(which, NULL, &usage);
}

/* One of each usage. First those that are pending, or they would take the places of what is done. */
static void fill(struct stile_fence *pending[USAGES]) {
	struct stile_fence *done[USAGES];
	for (int i = 0; i < USAGES; i++) {
		pending[i] = create();
		put(resv, pending[i], (enum stile_resv_usage)i);
	}
	for (int i = 0; i < USAGES; i++) {
		done[i] = create();
		put(resv, done[i], (enum stile_resv_usage)i);
	}
	for (int i = 0; i < USAGES; i++) {
		stile_fence_signal(done[i]);
	}
}

/* What is waited for before a use: this and all stronger ones. */
static const struct {
	uint32_t usage;
	enum stile_resv_usage weakest;
} uses[] = {
	{ READ, STILE_RESV_WRITE },
	{ WRITE, STILE_RESV_READ },
	{ BOTH, STILE_RESV_READ },
};

/* ---- Exporting ----------------------------------------------------------------------------- */

static struct stile_fence *export(uint32_t usage) {
	struct stile_fence *fence;
	ck_assert_int_eq(stile_buffer_export_fence(buffer, usage, &fence), 0);
	ck_assert_ptr_nonnull(fence);
	return own(fence);
}

/* D-6, R-1. Wrong code: usage compared the other way round; BOOKKEEP or what is done exported. */
START_TEST(export_is_what_the_use_has_to_wait_for) {
	struct stile_fence *pending[USAGES];
	fill(pending);
	struct stile_fence *fence = export(uses[_i].usage);
	ck_assert(consists_of(fence, pending, (size_t)uses[_i].weakest + 1));
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	for (int i = 0; i <= (int)uses[_i].weakest; i++) {
		ck_assert_int_eq(stile_fence_wait(fence, 0), -ETIME);
		stile_fence_signal(pending[i]);
	}
	ck_assert_int_eq(plain_fence_finish(fence), 1);
}
END_TEST

/* D-6, R-11. Wrong code: NULL, or an array of nothing, where there is nothing to wait for. */
START_TEST(export_of_nothing_is_done) {
	static const enum stile_resv_usage others[] = { STILE_RESV_READ, STILE_RESV_BOOKKEEP,
		STILE_RESV_BOOKKEEP };
	struct stile_fence *fence = export(uses[_i].usage);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	/* Neither does what is done count, nor what this use does not wait for. */
	struct stile_fence *done = create(), *other = create();
	put(resv, other, others[_i]);
	put(resv, done, STILE_RESV_KERNEL);
	stile_fence_signal(done);
	fence = export(uses[_i].usage);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	ck_assert_int_eq(stile_fence_wait(fence, 0), 0);
}
END_TEST

/* D-6. Wrong code: a fence that looks into the reservation, and so ends later, or never. */
START_TEST(export_is_a_snapshot) {
	struct stile_fence *before[] = { create(), create() }, *later = create(), *last = create();
	put(resv, before[0], STILE_RESV_WRITE);
	if (_i == 1) {
		put(resv, before[1], STILE_RESV_READ);
	}
	struct stile_fence *fence = export(WRITE);
	put(resv, later, STILE_RESV_WRITE);
	ck_assert(consists_of(fence, before, 1 + (size_t)_i));
	stile_fence_signal(before[0]);
	stile_fence_signal(before[1]);
	put(resv, last, STILE_RESV_KERNEL);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	ck_assert_int_eq(stile_fence_get_status(later), 0);
}
END_TEST

/* Wrong code: the list's reference given away; what is exported gone with the buffer. */
START_TEST(export_outlives_the_buffer) {
	struct stile_fence *fences[] = { create(), create() };
	size_t count = 1 + (size_t)_i;
	struct stile_buffer *own_buffer = buffer_create(NULL);
	for (size_t i = 0; i < count; i++) {
		put(stile_buffer_get_resv(own_buffer), fences[i], STILE_RESV_READ);
	}
	struct stile_fence *out;
	ck_assert_int_eq(stile_buffer_export_fence(own_buffer, WRITE, &out), 0);
	own(out);
	stile_buffer_unref(own_buffer);
	ck_assert(consists_of(out, fences, count));
}
END_TEST

/* D-6. Wrong code: the lock taken: whoever has it waits for itself, and others for whoever has it. */
START_TEST(export_needs_no_lock) {
	struct stile_fence *fence = create();
	put(resv, fence, STILE_RESV_WRITE);
	lock(resv);
	struct stile_fence *out = export(READ);
	stile_resv_unlock(resv);
	ck_assert(consists_of(out, &fence, 1));
}
END_TEST

/* Section 23. Wrong code: a descriptor of the first fence; one that says so too early, or never. */
START_TEST(exported_fence_makes_a_descriptor) {
	struct stile_fence *fences[] = { create(), create(), create() };
	size_t count = (size_t)_i;
	for (size_t i = 0; i < count; i++) {
		put(resv, fences[i], STILE_RESV_READ);
	}
	struct stile_fence *fence = export(WRITE);
	int fd;
	ck_assert_int_eq(
		stile_fence_export_fd(fence, STILE_FD_SOFTWARE_SYNC_FILE, 0, NULL, &fd), 0);
	for (size_t i = 0; i < count; i++) {
		ck_assert(!plain_fd_is_readable(fd));
		stile_fence_signal(fences[i]);
	}
	ck_assert(plain_fd_becomes_readable(fd));
	close(fd);
}
END_TEST

static int attempt_export(void *user) {
	struct stile_fence **out = user;
	return stile_buffer_export_fence(buffer, WRITE, out);
}

static void after_export(void *user, int ret) {
	struct stile_fence **out = user;
	if (ret < 0) {
		ck_assert_ptr_null(*out);
	} else {
		own(*out);
	}
	*out = (struct stile_fence *)device;
}

/* Wrong code: references left behind on failure; a pointer to nothing. */
START_TEST(failed_export_is_null) {
	static const int errors[] = { -ENOMEM, 0 };
	struct stile_fence *out = (struct stile_fence *)device;
	for (int i = 0; i < 40; i++) {
		put(resv, create(), STILE_RESV_READ);
	}
	ck_assert_uint_ge(failing_sweep(attempt_export, after_export, &out, errors), 2);
}
END_TEST

static const uint32_t unknown_usages[] = { 0, 4, READ | 4, UINT32_MAX };

/* D-6, D-7, D-4. Wrong code: flags of a later version, or none, taken for reading. */
START_TEST(unknown_usage_is_einval) {
	uint32_t usage = unknown_usages[_i];
	struct stile_fence *fence = create(), *out = fence;
	ck_assert_int_eq(stile_buffer_export_fence(buffer, usage, &out), -EINVAL);
	ck_assert_ptr_null(out);
	ck_assert_int_eq(stile_buffer_import_fence(buffer, usage, fence), -EINVAL);
	ck_assert_uint_eq(count_in(resv), 0);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, usage, INT64_MAX, NULL), -EINVAL);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, usage), -EINVAL);
}
END_TEST

/* ---- Importing ----------------------------------------------------------------------------- */

static const struct {
	uint32_t usage;
	enum stile_resv_usage added;
} imports[] = {
	{ READ, STILE_RESV_READ },
	{ WRITE, STILE_RESV_WRITE },
	{ BOTH, STILE_RESV_WRITE },
};

static void import(uint32_t usage, struct stile_fence *fence) {
	ck_assert_int_eq(stile_buffer_import_fence(buffer, usage, fence), 0);
}

/* D-7. Wrong code: the question's usage added; the caller's reference taken over. */
START_TEST(import_adds_what_the_work_does) {
	struct stile_fence *fence = create();
	import(imports[_i].usage, fence);
	ck_assert_int_eq(usage_in(resv, fence), imports[_i].added);
	ck_assert_uint_eq(count_in(resv), 1);
	ck_assert(!stile_resv_is_locked(resv));
	drop(fence);
	ck_assert_int_eq(plain_fence_count(), fences_before + 1);
	/* The fixture ends it. */
	ck_assert_ptr_eq(export(WRITE), fence);
}
END_TEST

/* D-7. Wrong code: a container added; the first leaf only; leaves with different usages. */
START_TEST(import_adds_every_leaf) {
	struct stile_fence *leaves[] = { create(), create(), create() };
	int which = _i / CONTAINERS;
	import(imports[which].usage, container_create(_i % CONTAINERS, leaves));
	ck_assert_uint_eq(count_in(resv), ARRAY_LENGTH(leaves));
	for (size_t i = 0; i < ARRAY_LENGTH(leaves); i++) {
		ck_assert_int_eq(usage_in(resv, leaves[i]), imports[which].added);
	}
}
END_TEST

/* D-7. Wrong code: a leaf that is done refused, or waited for; the others left out with it. */
START_TEST(leaves_that_are_done_do_no_harm) {
	struct stile_fence *leaves[] = { create(), create(), create() };
	struct stile_fence *container = container_create(_i / 3, leaves);
	stile_fence_signal(leaves[_i % 3]);
	import(WRITE, container);
	for (int i = 0; i < 3; i++) {
		struct stile_fence *waits = export(READ);
		ck_assert(stile_fence_is_signaled(waits) == stile_fence_is_signaled(container));
		stile_fence_signal(leaves[(_i + i) % 3]);
	}
	ck_assert_int_eq(stile_fence_get_status(export(WRITE)), 1);
}
END_TEST

/* DESIGN section 4. Wrong code: work that has failed forgotten, as there is nothing to wait for. */
START_TEST(failed_work_that_is_imported_is_the_last_write) {
	struct stile_fence *fence = create();
	end_with(fence, -EIO);
	import(_i == 0 ? WRITE : READ, fence);
	lock(resv);
	int error = stile_resv_get_error(resv);
	stile_resv_unlock(resv);
	ck_assert_int_eq(error, _i == 0 ? -EIO : 0);
	ck_assert_int_eq(stile_fence_get_status(export(READ)), 1);
}
END_TEST

/* D-7, R-6. Wrong code: the same work twice in the list; a promotion that is not kept. */
START_TEST(import_promotes_what_is_there) {
	struct stile_fence *fence = create();
	put(resv, fence, STILE_RESV_BOOKKEEP);
	import(READ, fence);
	ck_assert_int_eq(usage_in(resv, fence), STILE_RESV_READ);
	import(WRITE, fence);
	ck_assert_int_eq(usage_in(resv, fence), STILE_RESV_WRITE);
	ck_assert_uint_eq(count_in(resv), 1);
}
END_TEST

/* D-6, D-7. Wrong code: an array of one buffer put into the other as it is. */
START_TEST(what_one_buffer_exports_another_imports) {
	struct stile_fence *pending[USAGES];
	fill(pending);
	struct stile_buffer *other = buffer_create(NULL);
	ck_assert_int_eq(stile_buffer_import_fence(other, READ, export(WRITE)), 0);
	struct stile_resv *of_other = stile_buffer_get_resv(other);
	ck_assert_uint_eq(count_in(of_other), 3);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(usage_in(of_other, pending[i]), STILE_RESV_READ);
	}
	stile_buffer_unref(other);
}
END_TEST

static int attempt_import(void *user) {
	return stile_buffer_import_fence(buffer, READ, user);
}

static void after_import(void *user, int ret) {
	(void)user;
	if (ret < 0) {
		ck_assert_uint_eq(count_in(resv), 1);
	}
	ck_assert(!stile_resv_is_locked(resv));
}

/* D-7. Wrong code: as many leaves added as there was room for; the lock kept. */
START_TEST(failed_import_adds_nothing) {
	static const int errors[] = { -ENOMEM, 0 };
	struct stile_fence *leaves[20], *before = create();
	for (size_t i = 0; i < ARRAY_LENGTH(leaves); i++) {
		leaves[i] = create();
	}
	put(resv, before, STILE_RESV_WRITE);
	struct stile_fence *array = array_create(leaves, ARRAY_LENGTH(leaves));
	ck_assert_uint_ge(failing_sweep(attempt_import, after_import, array, errors), 1);
	ck_assert_uint_eq(count_in(resv), 1 + ARRAY_LENGTH(leaves));
}
END_TEST

/* Wrong code: a thread that waits for itself. */
START_TEST(import_with_the_lock_is_a_mistake) {
	ledger_expect_complaint("locked by the thread that has it locked");
	/* Which tells of the same as a lock order, and first. */
	bool was_enabled = stile_check_is_enabled();
	stile_check_enable(false);
	struct stile_fence *fence = create();
	lock(resv);
	int ret = stile_buffer_import_fence(buffer, WRITE, fence);
	stile_resv_unlock(resv);
	stile_check_enable(was_enabled);
	ck_assert_int_eq(ret, -EDEADLK);
	ck_assert_uint_eq(count_in(resv), 0);
}
END_TEST

struct importer {
	pthread_t thread;
	struct stile_fence *fence;
	atomic_bool done;
	int ret;
};

static void *importer_run(void *arg) {
	struct importer *importer = arg;
	importer->ret = stile_buffer_import_fence(buffer, WRITE, importer->fence);
	atomic_store(&importer->done, true);
	return NULL;
}

/* D-7, R-6. Wrong code: a list changed that somebody else has locked. */
START_TEST(import_waits_for_the_lock) {
	struct importer importer = { .fence = create() };
	lock(resv);
	ck_assert_int_eq(pthread_create(&importer.thread, NULL, importer_run, &importer), 0);
	runner_sleep_ms(20);
	bool early =
		atomic_load(&importer.done) || !stile_resv_test_signaled(resv, STILE_RESV_READ);
	stile_resv_unlock(resv);
	pthread_join(importer.thread, NULL);
	ck_assert(!early);
	ck_assert_int_eq(importer.ret, 0);
	ck_assert_int_eq(usage_in(resv, importer.fence), STILE_RESV_WRITE);
}
END_TEST

/* ---- Whose reservation --------------------------------------------------------------------- */

/* Wrong code: one reservation for all buffers of a device. */
START_TEST(each_buffer_has_a_reservation_of_its_own) {
	struct stile_buffer *other = buffer_create(NULL);
	ck_assert_ptr_nonnull(resv);
	ck_assert_ptr_ne(resv, stile_buffer_get_resv(other));
	ck_assert_ptr_eq(resv, stile_buffer_get_resv(buffer));
	import(WRITE, create());
	ck_assert_uint_eq(count_in(stile_buffer_get_resv(other)), 0);
	stile_buffer_unref(other);
}
END_TEST

/* Wrong code: memory that two know by different reservations, and write at once. */
START_TEST(known_memory_keeps_its_reservation) {
	struct stile_resv shared;
	stile_resv_init(&shared);
	struct stile_buffer *known = buffer_create(_i == 0 ? NULL : &shared), *again;
	struct stile_resv *of_known = stile_buffer_get_resv(known);
	ck_assert(_i == 0 || of_known == &shared);
	int fd;
	ck_assert_int_eq(stile_buffer_export_fd(known, READ, &fd), 0);
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, READ, NULL, &again), 0);
	ck_assert_ptr_eq(stile_buffer_get_resv(again), of_known);
	/* It stays with whoever is left. */
	struct stile_fence *fence = create();
	put(of_known, fence, STILE_RESV_READ);
	stile_buffer_unref(known);
	ck_assert_ptr_eq(stile_buffer_get_resv(again), of_known);
	ck_assert_int_eq(usage_in(of_known, fence), STILE_RESV_READ);
	stile_buffer_unref(again);
	close(fd);
	stile_resv_fini(&shared);
}
END_TEST

/* Wrong code: fences left behind with a buffer. */
START_TEST(buffer_that_goes_drops_its_fences) {
	struct stile_buffer *going = buffer_create(NULL);
	for (int i = 0; i < 10; i++) {
		struct stile_fence *fence = create();
		put(stile_buffer_get_resv(going), fence, (enum stile_resv_usage)(i % USAGES));
		drop(fence);
	}
	ck_assert_int_eq(plain_fence_count(), fences_before + 10);
	stile_buffer_unref(going);
	ck_assert_int_eq(plain_fence_count(), fences_before);
}
END_TEST

/* Wrong code: a copy of what the caller gave; a reservation that ends with the first buffer. */
START_TEST(shared_reservation_outlives_its_buffers) {
	struct stile_resv shared;
	stile_resv_init(&shared);
	struct stile_buffer *buffers[] = { buffer_create(&shared), buffer_create(&shared) };
	ck_assert_ptr_ne(buffers[0], buffers[1]);
	ck_assert_ptr_eq(stile_buffer_get_resv(buffers[0]), &shared);
	ck_assert_ptr_eq(stile_buffer_get_resv(buffers[1]), &shared);
	struct stile_fence *fence = create();
	ck_assert_int_eq(stile_buffer_import_fence(buffers[0], WRITE, fence), 0);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffers[1], READ, 0, NULL), -ETIME);
	stile_buffer_unref(buffers[0]);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffers[1], READ, 0, NULL), -ETIME);
	stile_buffer_unref(buffers[1]);
	ck_assert_int_eq(usage_in(&shared, fence), STILE_RESV_WRITE);
	stile_resv_fini(&shared);
	drop(fence);
	ck_assert_int_eq(plain_fence_count(), fences_before);
}
END_TEST

/* Wrong code: what lies behind an older struct read. */
START_TEST(older_info_gives_a_reservation_of_its_own) {
	struct stile_buffer_info info = {
		.size = offsetof(struct stile_buffer_info, resv),
		.bytes = BYTES,
		.resv = (struct stile_resv *)8,
	};
	struct stile_buffer *created;
	ck_assert_int_eq(stile_buffer_create(device, &info, &created), 0);
	ck_assert_uint_eq(count_in(stile_buffer_get_resv(created)), 0);
	stile_buffer_unref(created);
}
END_TEST

/* ---- Poll ---------------------------------------------------------------------------------- */

static short poll_now(int fd) {
	struct pollfd at = { .fd = fd, .events = POLLIN | POLLOUT };
	ck_assert_int_ge(poll(&at, 1, 0), 0);
	return at.revents;
}

/* D-2. Wrong code: the two directions swapped; BOOKKEEP minded; another reservation polled. */
START_TEST(poll_says_who_may_go_on) {
	static const short expected[USAGES] = { 0, 0, POLLIN, POLLIN | POLLOUT };
	struct stile_fence *fence = create();
	int before, after;
	ck_assert_int_eq(stile_buffer_get_poll_fd(buffer, &before), 0);
	ck_assert_int_eq(fcntl(before, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(poll_now(before), POLLIN | POLLOUT);
	put(resv, fence, (enum stile_resv_usage)_i);
	ck_assert_int_eq(stile_buffer_get_poll_fd(buffer, &after), 0);
	ck_assert_int_ne(before, after);
	ck_assert_int_eq(poll_now(before), expected[_i]);
	ck_assert_int_eq(poll_now(after), expected[_i]);
	stile_fence_signal(fence);
	ck_assert_int_eq(poll_now(before), POLLIN | POLLOUT);
	close(before);
	close(after);
}
END_TEST

/* Wrong code: what a buffer of a shared reservation does not know by itself left out. */
START_TEST(poll_is_about_the_shared_reservation) {
	struct stile_resv shared;
	stile_resv_init(&shared);
	struct stile_buffer *buffers[] = { buffer_create(&shared), buffer_create(&shared) };
	struct stile_fence *fence = create();
	int fd;
	ck_assert_int_eq(stile_buffer_get_poll_fd(buffers[0], &fd), 0);
	ck_assert_int_eq(stile_buffer_import_fence(buffers[1], READ, fence), 0);
	ck_assert_int_eq(poll_now(fd), POLLIN);
	stile_fence_signal(fence);
	ck_assert_int_eq(poll_now(fd), POLLIN | POLLOUT);
	close(fd);
	stile_buffer_unref(buffers[0]);
	stile_buffer_unref(buffers[1]);
	stile_resv_fini(&shared);
}
END_TEST

static int attempt_poll_fd(void *user) {
	return stile_buffer_get_poll_fd(buffer, user);
}

static void after_poll_fd(void *user, int ret) {
	int *fd = user;
	if (ret < 0) {
		ck_assert_int_eq(*fd, -1);
	} else {
		close(*fd);
	}
	*fd = 0;
	ck_assert(!stile_resv_is_locked(resv));
}

/* Wrong code: descriptors left behind on failure. */
START_TEST(failed_poll_fd_is_minus_one) {
	static const int errors[] = { -ENOMEM, -EMFILE, -ENFILE, 0 };
	int fd = 0;
	put(resv, create(), STILE_RESV_WRITE);
	ck_assert_uint_ge(failing_sweep(attempt_poll_fd, after_poll_fd, &fd, errors), 2);
}
END_TEST

/* ---- Access by the CPU --------------------------------------------------------------------- */

static int cpu_begin(uint32_t usage, int64_t deadline_ns) {
	return stile_buffer_begin_cpu_access(buffer, usage, deadline_ns, NULL);
}

static void cpu_end(uint32_t usage) {
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, usage), 0);
}

/* P-1. Wrong code: usage the other way round, as each table of it looks; BOOKKEEP waited for. */
START_TEST(cpu_waits_for_what_may_not_go_on_beside_it) {
	uint32_t usage = uses[_i / USAGES].usage;
	int fence_usage = _i % USAGES;
	struct stile_fence *fence = create();
	put(resv, fence, (enum stile_resv_usage)fence_usage);
	int expected = fence_usage <= (int)uses[_i / USAGES].weakest ? -ETIME : 0;
	int ret = cpu_begin(usage, 0);
	ck_assert_int_eq(ret, expected);
	if (ret == 0) {
		cpu_end(usage);
	}
	stile_fence_signal(fence);
	ck_assert_int_eq(cpu_begin(usage, 0), 0);
	cpu_end(usage);
}
END_TEST

struct signaller {
	pthread_t thread;
	struct stile_fence *const *fences;
	size_t count;
	int value; /* what the work writes */
};

static void *signaller_run(void *arg) {
	struct signaller *signaller = arg;
	for (size_t i = 0; i < signaller->count; i++) {
		runner_sleep_ms(5);
		signaller->value++;
		stile_fence_signal(signaller->fences[i]);
	}
	return NULL;
}

/* P-1, F-23. Wrong code: the first fence waited for; what it wrote not seen. With a token and without. */
START_TEST(cpu_waits_until_all_is_done) {
	struct stile_fence *fences[] = { create(), create(), create() };
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	put(resv, fences[0], STILE_RESV_READ);
	put(resv, fences[1], STILE_RESV_KERNEL);
	put(resv, fences[2], STILE_RESV_WRITE);
	struct signaller signaller = { .fences = fences, .count = ARRAY_LENGTH(fences) };
	ck_assert_int_eq(pthread_create(&signaller.thread, NULL, signaller_run, &signaller), 0);
	int ret = stile_buffer_begin_cpu_access(buffer, WRITE, INT64_MAX, _i == 0 ? NULL : &cancel);
	int value = signaller.value;
	pthread_join(signaller.thread, NULL);
	ck_assert_int_eq(ret, 0);
	ck_assert_int_eq(value, 3);
	cpu_end(WRITE);
}
END_TEST

/* Wrong code: a deadline for each of several; one in the past taken for none. */
START_TEST(cpu_access_has_a_deadline) {
	put(resv, create(), STILE_RESV_WRITE);
	int64_t deadline_ns = runner_clock_ns() + 20 * MS;
	ck_assert_int_eq(cpu_begin(READ, deadline_ns), -ETIME);
	ck_assert_int_ge(runner_clock_ns(), deadline_ns);
	ck_assert_int_eq(cpu_begin(READ, 1), -ETIME);
	ck_assert_int_eq(cpu_begin(READ, 0), -ETIME);
	/* It has not begun: nothing is to be ended. */
}
END_TEST

/* Wrong code: looked at only if there is something to wait for. */
START_TEST(negative_deadline_is_einval) {
	ck_assert_int_eq(cpu_begin(READ, -1), -EINVAL);
	ck_assert_int_eq(cpu_begin(WRITE, INT64_MIN), -EINVAL);
	put(resv, create(), STILE_RESV_WRITE);
	ck_assert_int_eq(cpu_begin(READ, -1), -EINVAL);
}
END_TEST

static void *cancel_run(void *arg) {
	runner_sleep_ms(10);
	stile_cancel_raise(arg);
	return NULL;
}

/* P-1. Wrong code: an interruption taken for the end of the work, or for a time-out. */
START_TEST(cancelled_cpu_access_is_eintr) {
	struct stile_fence *fence = create();
	put(resv, fence, STILE_RESV_WRITE);
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, cancel_run, &cancel), 0);
	int ret = stile_buffer_begin_cpu_access(buffer, READ, INT64_MAX, &cancel);
	pthread_join(thread, NULL);
	ck_assert_int_eq(ret, -EINTR);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, BOTH, INT64_MAX, &cancel), -EINTR);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, 0, &cancel), -EINTR);
	/* Nothing to wait for, nothing to interrupt. */
	stile_fence_signal(fence);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, INT64_MAX, &cancel), 0);
	cpu_end(READ);
}
END_TEST

/* P-1. Wrong code: work that failed taken for an access that failed. */
START_TEST(cpu_may_go_on_after_work_that_failed) {
	struct stile_fence *fence = create();
	put(resv, fence, STILE_RESV_WRITE);
	end_with(fence, -EIO);
	ck_assert_int_eq(cpu_begin(READ, INT64_MAX), 0);
	cpu_end(READ);
	lock(resv);
	ck_assert_int_eq(stile_resv_get_error(resv), -EIO);
	stile_resv_unlock(resv);
}
END_TEST

/* P-2, P-3. Wrong code: a lock held over the access; an end that waits for those who have come since. */
START_TEST(end_of_cpu_access_never_waits) {
	uint32_t usage = uses[_i].usage;
	struct stile_fence *fence = create();
	ck_assert_int_eq(cpu_begin(usage, INT64_MAX), 0);
	put(resv, fence, STILE_RESV_KERNEL);
	ck_assert(!stile_resv_is_locked(resv));
	cpu_end(usage);
	stile_fence_signal(fence);
}
END_TEST

/* An access of the CPU on another thread. */
static void *access_run(void *unused) {
	(void)unused;
	ck_assert_int_eq(cpu_begin(BOTH, INT64_MAX), 0);
	cpu_end(BOTH);
	return NULL;
}

/* P-3. Wrong code: readers that exclude each other. */
START_TEST(readers_by_cpu_may_nest) {
	ck_assert_int_eq(cpu_begin(READ, INT64_MAX), 0);
	ck_assert_int_eq(cpu_begin(READ, INT64_MAX), 0);
	cpu_end(READ);
	cpu_end(READ);
}
END_TEST

/* P-1, R-13. Wrong code: an access that needs the lock, and so waits for whoever waits for it. */
START_TEST(cpu_access_needs_no_lock) {
	pthread_t other;
	lock(resv);
	ck_assert_int_eq(pthread_create(&other, NULL, access_run, NULL), 0);
	ck_assert_int_eq(pthread_join(other, NULL), 0);
	stile_resv_unlock(resv);
}
END_TEST

/* Section 9.1: an exporter's op may take it. Wrong code: nothing is told. */
START_TEST(cpu_access_with_the_lock_is_told) {
	ledger_expect_complaint("reservation locked");
	lock(resv);
	ck_assert_int_eq(cpu_begin(BOTH, INT64_MAX), 0);
	cpu_end(BOTH);
	stile_resv_unlock(resv);
}
END_TEST

/* ---- The suite ----------------------------------------------------------------------------- */

static TCase *tcase(Suite *s, const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, setup, teardown);
	suite_add_tcase(s, tcase);
	return tcase;
}

static void add_export_tests(Suite *s) {
	TCase *exports = tcase(s, "exporting");
	tcase_add_loop_test(exports, export_is_what_the_use_has_to_wait_for, 0, ARRAY_LENGTH(uses));
	tcase_add_loop_test(exports, export_of_nothing_is_done, 0, ARRAY_LENGTH(uses));
	tcase_add_loop_test(exports, export_is_a_snapshot, 0, 2);
	tcase_add_loop_test(exports, export_outlives_the_buffer, 0, 2);
	tcase_add_test(exports, export_needs_no_lock);
	tcase_add_loop_test(exports, exported_fence_makes_a_descriptor, 0, 4);
	tcase_add_test(exports, failed_export_is_null);
	tcase_add_loop_test(exports, unknown_usage_is_einval, 0, ARRAY_LENGTH(unknown_usages));
}

static void add_import_tests(Suite *s) {
	TCase *importing = tcase(s, "importing");
	tcase_add_loop_test(importing, import_adds_what_the_work_does, 0, ARRAY_LENGTH(imports));
	tcase_add_loop_test(
		importing, import_adds_every_leaf, 0, CONTAINERS * (int)ARRAY_LENGTH(imports));
	tcase_add_loop_test(importing, leaves_that_are_done_do_no_harm, 0, 3 * CONTAINERS);
	tcase_add_loop_test(importing, failed_work_that_is_imported_is_the_last_write, 0, 2);
	tcase_add_test(importing, import_promotes_what_is_there);
	tcase_add_test(importing, what_one_buffer_exports_another_imports);
	tcase_add_test(importing, failed_import_adds_nothing);
	tcase_add_test(importing, import_with_the_lock_is_a_mistake);
	tcase_add_test(importing, import_waits_for_the_lock);
}

static void add_reservation_tests(Suite *s) {
	TCase *reservations = tcase(s, "whose reservation");
	tcase_add_test(reservations, each_buffer_has_a_reservation_of_its_own);
	tcase_add_loop_test(reservations, known_memory_keeps_its_reservation, 0, 2);
	tcase_add_test(reservations, buffer_that_goes_drops_its_fences);
	tcase_add_test(reservations, shared_reservation_outlives_its_buffers);
	tcase_add_test(reservations, older_info_gives_a_reservation_of_its_own);

	TCase *polls = tcase(s, "poll");
	tcase_add_loop_test(polls, poll_says_who_may_go_on, 0, USAGES);
	tcase_add_test(polls, poll_is_about_the_shared_reservation);
	tcase_add_test(polls, failed_poll_fd_is_minus_one);
}

static void add_cpu_tests(Suite *s) {
	TCase *cpu = tcase(s, "access by the CPU");
	tcase_add_loop_test(cpu, cpu_waits_for_what_may_not_go_on_beside_it, 0,
		USAGES * (int)ARRAY_LENGTH(uses));
	tcase_add_loop_test(cpu, cpu_waits_until_all_is_done, 0, 2);
	tcase_add_test(cpu, cpu_access_has_a_deadline);
	tcase_add_test(cpu, negative_deadline_is_einval);
	tcase_add_test(cpu, cancelled_cpu_access_is_eintr);
	tcase_add_test(cpu, cpu_may_go_on_after_work_that_failed);
	tcase_add_loop_test(cpu, end_of_cpu_access_never_waits, 0, ARRAY_LENGTH(uses));
	tcase_add_test(cpu, readers_by_cpu_may_nest);
	tcase_add_test(cpu, cpu_access_needs_no_lock);
	tcase_add_test(cpu, cpu_access_with_the_lock_is_told);
}

static Suite *suite(void) {
	Suite *s = suite_create("implicit");
	add_export_tests(s);
	add_import_tests(s);
	add_reservation_tests(s);
	add_cpu_tests(s);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
