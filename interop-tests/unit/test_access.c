/* SPDX-License-Identifier: MIT */
/*
 * Uses of images: what they wait for, and who waits for them. The pattern of KERNEL_CONTRACT section 19,
 * with the questions of R-1 and the list of R-6. What is told of mistakes: test_validator.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/access.h>
#include <stile/array.h>
#include <stile/chain.h>
#include <stile/check.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/image.h>
#include <stile/merge.h>
#include <stile/resv.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"
#include "src/image.h"
#include "src/macros.h"

#define MS INT64_C(1000000)
/* Long enough that a failure means a hang. */
#define HANG_NS (30000 * MS)

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
};

enum {
	FEW = STILE_ACCESS_FEW,
	NONE = -1, /* as the usage of a fence that is in no list */
	USAGES = 4,
	ROOM = 1024,
	MEMORY_BYTES = 16384,
};

/* ---- Fences -------------------------------------------------------------------------------- */

struct work {
	struct stile_fence fence;
	bool done;     /* what its implementer says */
	size_t number; /* the test's own */
};

static atomic_int alive;

static struct work *work_of(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct work, fence);
}

static const char *work_name(struct stile_fence *fence) {
	(void)fence;
	return "work";
}

static bool work_signaled(struct stile_fence *fence) {
	return work_of(fence)->done;
}

static void work_release(struct stile_fence *fence) {
	atomic_fetch_sub(&alive, 1);
	free(work_of(fence));
}

#define WORK_OPS \
	.size = sizeof(struct stile_fence_ops), .get_driver_name = work_name, \
	.get_timeline_name = work_name, .signaled = work_signaled, .release = work_release

static const struct stile_fence_ops work_ops = { WORK_OPS };
static const struct stile_fence_ops work64_ops = { WORK_OPS, .flags = STILE_FENCE_SEQNO64 };

/* The caller's. Any thread. */
static struct stile_fence *work_make(
	const struct stile_fence_ops *ops, uint64_t context, uint64_t seqno) {
	struct work *work = calloc(1, sizeof(*work));
	runner_require(work != NULL && stile_fence_init(&work->fence, ops, context, seqno) == 0,
		"no fence");
	atomic_fetch_add(&alive, 1);
	return &work->fence;
}

/* Those that the test has a reference to: the fixture ends and drops them. */
static struct stile_fence *owned[ROOM];
static size_t owned_count;

static struct stile_fence *work_create_in(uint64_t context, uint64_t seqno) {
	runner_require(owned_count < ROOM, "no room for a fence");
	owned[owned_count] = work_make(&work_ops, context, seqno);
	return owned[owned_count++];
}

static struct stile_fence *work_create(void) {
	return work_create_in(stile_fence_context_alloc(1), 1);
}

/* The test's reference. */
static void work_drop(struct stile_fence *fence) {
	size_t at = 0;
	while (at < owned_count && owned[at] != fence) {
		at++;
	}
	runner_require(at < owned_count, "dropped twice");
	owned[at] = owned[--owned_count];
	stile_fence_unref(fence);
}

static void end_with(struct stile_fence *fence, int error) {
	ck_assert_int_eq(stile_fence_set_error(fence, error), 0);
	stile_fence_signal(fence);
}

/* Containers of all of them, the caller's. */
static struct stile_fence *array_create(struct stile_fence *const *fences, size_t count) {
	struct stile_fence *array;
	ck_assert_int_eq(stile_array_create(fences, count, stile_fence_context_alloc(1), 1,
				 STILE_ARRAY_ALL, &array),
		0);
	return array;
}

static struct stile_fence *chain_create(struct stile_fence *const *fences, size_t count) {
	struct stile_fence *head = NULL;
	for (size_t i = 0; i < count; i++) {
		struct stile_chain *chain;
		ck_assert_int_eq(stile_chain_alloc(&chain), 0);
		head = stile_chain_init(chain, head, stile_fence_ref(fences[i]), i + 1);
	}
	return head;
}

/* ---- Images -------------------------------------------------------------------------------- */

enum kind {
	ONE_PLANE,
	ONE_BUFFER, /* two planes in one buffer */
	ONE_RESV,   /* of two buffers that share a reservation */
	TWO_BUFFERS,
	KINDS,
};

static struct stile_device *device;
static struct stile_resv shared;
static struct stile_image *images[ROOM];
static size_t image_count;

static struct stile_resv *resv_of(struct stile_image *image, uint32_t plane) {
	return stile_buffer_get_resv(stile_image_get_buffer(image, plane));
}

/* The fixture's. `fds`: one for each plane. */
static struct stile_image *image_import(uint32_t fourcc, const int *fds, uint32_t usage) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = 16,
		.height = 16,
		.fourcc = fourcc,
		.usage = usage,
		.name = "picture",
		.plane_count = fourcc == DRM_FORMAT_NV12 ? 2 : 1,
		.planes = { { .fd = fds[0], .pitch = 64 } },
	};
	if (fourcc == DRM_FORMAT_NV12) {
		info.planes[1] = (struct stile_image_plane){
			.fd = fds[1], .pitch = 64, .offset = fds[0] == fds[1] ? 4096 : 0
		};
	}
	struct stile_image *image = NULL;
	runner_require(image_count < ROOM && stile_image_import(device, &info, NULL, &image) == 0,
		"no image");
	images[image_count++] = image;
	return image;
}

static int memory(void) {
	return memory_create(MEMORY_BYTES, F_SEAL_SHRINK);
}

/* Of memory that has the shared reservation. */
static int shared_memory(void) {
	struct stile_buffer_info info = {
		.size = sizeof(info), .bytes = MEMORY_BYTES, .resv = &shared
	};
	struct stile_buffer *buffer;
	int fd;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	ck_assert_int_eq(stile_buffer_export_fd(buffer, BOTH, &fd), 0);
	/* Or the device forgets which reservation it has. */
	struct stile_image *keeper = image_import(DRM_FORMAT_R8, &fd, BOTH);
	ck_assert_ptr_eq(stile_image_get_buffer(keeper, 0), buffer);
	stile_buffer_unref(buffer);
	return fd;
}

static struct stile_image *image_create_for(enum kind kind, uint32_t usage) {
	int fds[2] = { kind == ONE_RESV ? shared_memory() : memory(), -1 };
	fds[1] = fds[0];
	if (kind == TWO_BUFFERS) {
		fds[1] = memory();
	} else if (kind == ONE_RESV) {
		fds[1] = shared_memory();
	}
	struct stile_image *image =
		image_import(kind == ONE_PLANE ? DRM_FORMAT_R8 : DRM_FORMAT_NV12, fds, usage);
	close(fds[0]);
	if (fds[1] != fds[0]) {
		close(fds[1]);
	}
	return image;
}

static struct stile_image *image_create(enum kind kind) {
	return image_create_for(kind, BOTH);
}

/* Two images of the same two buffers, in the one order and in the other. */
static void create_crossed(struct stile_image *crossed[2]) {
	int fds[3] = { memory(), memory() };
	fds[2] = fds[0];
	crossed[0] = image_import(DRM_FORMAT_NV12, &fds[0], BOTH);
	crossed[1] = image_import(DRM_FORMAT_NV12, &fds[1], BOTH);
	close(fds[0]);
	close(fds[1]);
	ck_assert_ptr_eq(resv_of(crossed[0], 0), resv_of(crossed[1], 1));
	ck_assert_ptr_eq(resv_of(crossed[0], 1), resv_of(crossed[1], 0));
	ck_assert_ptr_ne(resv_of(crossed[0], 0), resv_of(crossed[0], 1));
}

static uint32_t image_refs(const struct stile_image *image) {
	return __atomic_load_n(&image->refs, __ATOMIC_RELAXED);
}

/* ---- Reservations -------------------------------------------------------------------------- */

static void lock(struct stile_resv *resv) {
	ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
}

/* What others do, who know nothing of accesses. */
static void put(struct stile_resv *resv, struct stile_fence *fence, enum stile_resv_usage usage) {
	lock(resv);
	ck_assert_int_eq(stile_resv_reserve_fences(resv, 1), 0);
	ck_assert_int_eq(stile_resv_add_fence(resv, fence, usage), 0);
	stile_resv_unlock(resv);
}

/* How many entries there are, and how the last one of the fence is used. */
static size_t look(struct stile_resv *resv, const struct stile_fence *fence, int *usage) {
	struct stile_resv_iter iter;
	const struct stile_fence *at;
	size_t count = 0;
	*usage = NONE;
	lock(resv);
	stile_resv_iter_begin(&iter, resv, STILE_RESV_BOOKKEEP);
	while ((at = stile_resv_iter_next(&iter)) != NULL) {
		count++;
		*usage = at == fence ? (int)stile_resv_iter_get_usage(&iter) : *usage;
	}
	stile_resv_iter_end(&iter);
	stile_resv_unlock(resv);
	return count;
}

static int usage_in(struct stile_resv *resv, const struct stile_fence *fence) {
	int usage;
	look(resv, fence, &usage);
	return usage;
}

static size_t count_in(struct stile_resv *resv) {
	int usage;
	return look(resv, NULL, &usage);
}

static void assert_promised(struct stile_image *image, uint32_t count) {
	for (uint32_t i = 0; i < image->info.plane_count; i++) {
		ck_assert_uint_eq(resv_of(image, i)->promised, count);
	}
}

/* ---- Uses ---------------------------------------------------------------------------------- */

static int try_begin(
	struct stile_access *access, struct stile_image *image, uint32_t usage, uint64_t context) {
	struct stile_access_info info = {
		.size = sizeof(info), .usage = usage, .context = context, .name = "test"
	};
	return stile_access_begin(image, &info, access);
}

static void begin_in(
	struct stile_access *access, struct stile_image *image, uint32_t usage, uint64_t context) {
	/* The memory may hold anything. */
	memset(access, 0xa5, sizeof(*access));
	ck_assert_int_eq(try_begin(access, image, usage, context), 0);
}

static void begin(struct stile_access *access, struct stile_image *image, uint32_t usage) {
	begin_in(access, image, usage, 0);
}

/* As if a queue had been told to wait for all. */
static void note_waits(const struct stile_access *access) {
	for (size_t i = 0; i < access->count; i++) {
		stile_access_note_wait(access->fences[i]);
	}
}

static void end(struct stile_access *access, struct stile_fence *fence) {
	note_waits(access);
	ck_assert_int_eq(stile_access_end(access, fence), 0);
}

static bool waits_for(const struct stile_access *access, const struct stile_fence *fence) {
	size_t at = 0;
	while (at < access->count && access->fences[at] != fence) {
		at++;
	}
	return at < access->count;
}

/* A whole use at once, whose work goes on. */
static void use(struct stile_image *image, uint32_t usage, struct stile_fence *fence) {
	struct stile_access access;
	begin(&access, image, usage);
	end(&access, fence);
}

static int error_of(struct stile_image *image, uint32_t usage) {
	struct stile_access access;
	begin(&access, image, usage);
	int error = stile_access_get_error(&access);
	stile_access_cancel(&access);
	return error;
}

/* Those that a failed test leaves open are cancelled, or the next ones would contradict them. */
enum { ACCESSES = 100 };
static struct stile_access accesses[ACCESSES];
static uint32_t begun; /* the state of one that has begun */

static bool was_enabled;

static void learn_begun(void) {
	struct stile_access access;
	begin(&access, image_create(ONE_PLANE), READ);
	begun = access.state;
	stile_access_cancel(&access);
	memset(accesses, 0, sizeof(accesses));
}

static void cancel_all(void) {
	for (size_t i = 0; i < ACCESSES; i++) {
		if (accesses[i].state == begun) {
			stile_access_cancel(&accesses[i]);
		}
	}
}

static void setup(void) {
	was_enabled = stile_check_is_enabled();
	stile_resv_init(&shared);
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
	learn_begun();
}

static void teardown(void) {
	stile_ww_inject_deadlocks(false);
	cancel_all();
	while (owned_count > 0) {
		stile_fence_signal(owned[owned_count - 1]);
		work_drop(owned[owned_count - 1]);
	}
	uint32_t promised = 0;
	for (size_t i = 0; i < image_count; i++) {
		promised += resv_of(images[i], 0)->promised;
		promised += resv_of(images[i], images[i]->info.plane_count - 1)->promised;
	}
	while (image_count > 0) {
		stile_image_unref(images[--image_count]);
	}
	stile_device_destroy(device);
	device = NULL;
	stile_resv_fini(&shared);
	stile_check_enable(was_enabled);
	ck_assert_uint_eq(promised, 0);
	ck_assert_int_eq(alive, 0);
}

/* ---- What to wait for ---------------------------------------------------------------------- */

/*
 * R-1, 8.1. Wrong code: readers that wait for readers, a writer that does not, or a reader that also
 * writes; KERNEL left out; BOOKKEEP waited for.
 */
START_TEST(use_waits_for_what_may_not_go_on_beside_it) {
	static const struct {
		uint32_t usage;
		bool waits[USAGES];
	} cases[] = {
		{ READ, { true, true, false, false } },
		{ WRITE, { true, true, true, false } },
		{ BOTH, { true, true, true, false } },
	};
	struct stile_image *image = image_create((enum kind)_i);
	struct stile_fence *fences[USAGES];
	for (int usage = 0; usage < USAGES; usage++) {
		fences[usage] = work_create();
		put(resv_of(image, 0), fences[usage], (enum stile_resv_usage)usage);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct stile_access *access = &accesses[0];
		begin(access, image, cases[i].usage);
		size_t count = 0;
		for (int usage = 0; usage < USAGES; usage++) {
			bool waits = cases[i].waits[usage];
			ck_assert_msg(waits_for(access, fences[usage]) == waits,
				"usage %u, fence of usage %d", cases[i].usage, usage);
			count += waits;
		}
		ck_assert_uint_eq(access->count, count);
		stile_access_cancel(access);
	}
}
END_TEST

/* Wrong code: what is done given; memory read that is only valid if there is something. */
START_TEST(nothing_is_waited_for_that_is_done) {
	struct stile_image *image = image_create((enum kind)_i);
	struct stile_fence *ended = work_create(), *lazy = work_create();
	put(resv_of(image, 0), lazy, STILE_RESV_WRITE);
	put(resv_of(image, 0), ended, STILE_RESV_KERNEL);
	stile_fence_signal(ended);
	/* Only its implementer knows. */
	work_of(lazy)->done = true;
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_uint_eq(access->count, 0);
	ck_assert_int_eq(stile_access_wait(access, 0, NULL), 0);
	ck_assert_int_eq(stile_access_wait(access, INT64_MAX, NULL), 0);
	ck_assert_int_eq(stile_access_get_error(access), 0);
	end(access, NULL);
}
END_TEST

/* Wrong code: a queue that waits for itself; context 0 taken for one; others of the queue left out. */
START_TEST(own_queue_is_not_waited_for) {
	struct stile_image *image = image_create(TWO_BUFFERS);
	uint64_t queue = stile_fence_context_alloc(1);
	struct stile_fence *wrote = work_create_in(queue, 1), *read = work_create_in(queue, 2);
	struct stile_fence *of_other = work_create();
	put(resv_of(image, 0), wrote, STILE_RESV_WRITE);
	put(resv_of(image, 1), read, STILE_RESV_READ);
	put(resv_of(image, 1), of_other, STILE_RESV_READ);
	struct stile_access *access = &accesses[0];
	begin_in(access, image, WRITE, queue);
	ck_assert_uint_eq(access->count, 1);
	ck_assert_ptr_eq(access->fences[0], of_other);
	stile_access_cancel(access);

	begin_in(access, image, WRITE, stile_fence_get_context(of_other));
	ck_assert_uint_eq(access->count, 1);
	ck_assert_ptr_eq(access->fences[0], read);
	stile_access_cancel(access);

	begin(access, image, WRITE);
	ck_assert_uint_eq(access->count, 2);
	stile_access_cancel(access);

	/* Whoever has not asked for a context may have given any number. */
	struct stile_fence *of_nobody = work_create_in(0, 1);
	put(resv_of(image, 1), of_nobody, STILE_RESV_READ);
	begin(access, image, WRITE);
	ck_assert(waits_for(access, of_nobody));
	stile_access_cancel(access);
}
END_TEST

struct order_case {
	const char *what;
	uint64_t earlier, later;
	bool is64;
};

static const struct order_case order_cases[] = {
	{ "small numbers", 1, 2, false },
	{ "past the wrap-around", UINT32_MAX, 1, false },
	{ "64 bits", UINT32_MAX, UINT64_C(0x100000000), true },
	{ "64 bits do not wrap around", 1, UINT32_MAX, true },
};

/* F-18. Wrong code: each fence of a queue waited for, or the first one, or numbers compared naively. */
START_TEST(of_each_other_queue_the_newest_is_waited_for) {
	const struct order_case *c = &order_cases[_i / 2];
	const struct stile_fence_ops *ops = c->is64 ? &work64_ops : &work_ops;
	uint64_t context = stile_fence_context_alloc(1);
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *earlier = work_make(ops, context, c->earlier);
	struct stile_fence *later = work_make(ops, context, c->later), *of_other = work_create();
	/* In one list: as what it wrote, and has read since; or in two. */
	bool apart = _i % 2 == 1;
	put(resv_of(image, 0), earlier, STILE_RESV_WRITE);
	put(resv_of(image, 0), of_other, STILE_RESV_READ);
	put(resv_of(image, apart), later, STILE_RESV_READ);
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_msg(access->count == 2, "%s: %zu", c->what, access->count);
	ck_assert_msg(waits_for(access, later), "%s", c->what);
	ck_assert(waits_for(access, of_other));
	stile_access_cancel(access);
	stile_fence_signal(earlier);
	stile_fence_signal(later);
	stile_fence_unref(earlier);
	stile_fence_unref(later);
}
END_TEST

/* Wrong code: planes after the first not looked at; one that is looked at twice given twice. */
START_TEST(fences_of_all_planes_are_given_once) {
	struct stile_image *image = image_create((enum kind)_i);
	struct stile_fence *first = work_create(), *second = work_create(),
			   *of_both = work_create();
	put(resv_of(image, 0), first, STILE_RESV_WRITE);
	put(resv_of(image, 0), of_both, STILE_RESV_READ);
	uint32_t last = image->info.plane_count - 1;
	put(resv_of(image, last), second, STILE_RESV_READ);
	if (_i == TWO_BUFFERS) {
		put(resv_of(image, last), of_both, STILE_RESV_READ);
	}
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_uint_eq(access->count, 3);
	ck_assert(waits_for(access, first));
	ck_assert(waits_for(access, second));
	ck_assert(waits_for(access, of_both));
	/* Room for one in each, however many planes it has. */
	assert_promised(image, 1);
	stile_access_cancel(access);
}
END_TEST

static const size_t fence_counts[] = { FEW - 1, FEW, FEW + 1, 2 * FEW, 2 * FEW + 1, 100 };

/* Wrong code: more than there is room for; those of the first plane lost when there is more room. */
START_TEST(there_may_be_any_number_of_fences) {
	size_t count = fence_counts[_i / 3];
	size_t in_first = _i % 3 == 0 ? count : _i % 3 == 1 ? count / 2 : 1;
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *fences[100];
	for (size_t i = 0; i < count; i++) {
		fences[i] = work_create();
		put(resv_of(image, i >= in_first), fences[i], STILE_RESV_READ);
	}
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_uint_eq(access->count, count);
	for (size_t i = 0; i < count; i++) {
		ck_assert(waits_for(access, fences[i]));
	}
	struct stile_fence *done = work_create();
	end(access, done);
	ck_assert_uint_eq(access->count, 0);
	ck_assert_uint_eq(count_in(resv_of(image, 0)), in_first + 1);
}
END_TEST

/* F-26. Wrong code: fences or an image borrowed that others give up between begin and end. */
START_TEST(what_was_begun_is_kept_until_the_end) {
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *fence = work_create(), *instead = work_create();
	put(resv_of(image, 0), fence, STILE_RESV_WRITE);
	struct stile_access *access = &accesses[0];
	uint32_t refs = image_refs(image);
	begin(access, image, WRITE);
	ck_assert_uint_eq(image_refs(image), refs + 1);
	stile_fence_signal(fence);
	/* It takes the place of what is done. */
	put(resv_of(image, 0), instead, STILE_RESV_READ);
	work_drop(fence);
	ck_assert_int_eq(alive, 2);
	ck_assert_uint_eq(access->count, 1);
	ck_assert_int_eq(stile_fence_get_status(access->fences[0]), 1);
	/* The last one that knows of it; it goes with the end. */
	stile_image_unref(image);
	image_count--;
	if (_i == 0) {
		struct stile_fence *done = work_create();
		end(access, done);
		stile_fence_signal(done);
		work_drop(done);
	} else {
		stile_access_cancel(access);
	}
	ck_assert_int_eq(alive, 1);
}
END_TEST

/* ---- One moment ---------------------------------------------------------------------------- */

struct beginner {
	pthread_t thread;
	struct stile_image *image;
	struct stile_access access;
	int ret;
};

static void *beginner_run(void *arg) {
	struct beginner *beginner = arg;
	beginner->ret = try_begin(&beginner->access, beginner->image, WRITE, 0);
	return NULL;
}

/*
 * Wrong code: one plane after the other looked at, with what happens in between seen by halves. Here
 * somebody else uses both, and the second one is locked by him all the time.
 */
START_TEST(planes_are_looked_at_at_one_moment) {
	struct beginner beginner = { .image = image_create(TWO_BUFFERS) };
	struct stile_resv *held = resv_of(beginner.image, (uint32_t)_i);
	struct stile_resv *other = resv_of(beginner.image, (uint32_t)!_i);
	struct stile_fence *in_held = work_create(), *in_other = work_create();
	lock(held);
	ck_assert_int_eq(stile_resv_reserve_fences(held, 1), 0);
	ck_assert_int_eq(pthread_create(&beginner.thread, NULL, beginner_run, &beginner), 0);
	/* It may have locked the other one by now, or looked at it. */
	for (int i = 0; i < 50 && !stile_resv_is_locked(other); i++) {
		runner_sleep_ms(1);
	}
	bool added = stile_resv_trylock(other) == 0;
	if (added) {
		ck_assert_int_eq(stile_resv_reserve_fences(other, 1), 0);
		ck_assert_int_eq(stile_resv_add_fence(other, in_other, STILE_RESV_READ), 0);
		stile_resv_unlock(other);
	}
	ck_assert_int_eq(stile_resv_add_fence(held, in_held, STILE_RESV_READ), 0);
	stile_resv_unlock(held);
	pthread_join(beginner.thread, NULL);
	ck_assert_int_eq(beginner.ret, 0);
	ck_assert(waits_for(&beginner.access, in_held));
	ck_assert(!added || waits_for(&beginner.access, in_other));
	stile_access_cancel(&beginner.access);
}
END_TEST

enum { PAIRS = 24, PAIR_ROUNDS = 30 };

/* Adds pairs of fences: to the one buffer, and only then to the other. */
struct adder {
	pthread_t thread;
	struct stile_buffer *first, *second;
	size_t end; /* the number of the last pair */
	atomic_bool done;
	int ret;
};

static void *adder_run(void *arg) {
	struct adder *adder = arg;
	for (size_t i = 0; i < PAIRS; i++) {
		for (int side = 0; side < 2; side++) {
			struct stile_fence *fence =
				work_make(&work_ops, stile_fence_context_alloc(1), 1);
			work_of(fence)->number = 2 * i + (size_t)side;
			int ret = stile_buffer_import_fence(
				side == 0 ? adder->first : adder->second, READ, fence);
			adder->ret = ret < 0 ? ret : adder->ret;
			stile_fence_unref(fence);
		}
		sched_yield();
	}
	atomic_store(&adder->done, true);
	return NULL;
}

/* Of how many pairs the second is there without the first. */
static size_t count_halves(const struct stile_access *access) {
	bool seen[2 * PAIRS] = { false };
	for (size_t i = 0; i < access->count; i++) {
		seen[work_of(access->fences[i])->number] = true;
	}
	size_t halves = 0;
	for (size_t i = 0; i < PAIRS; i++) {
		halves += seen[2 * i + 1] && !seen[2 * i];
	}
	return halves;
}

static void signal_all(const struct stile_access *access) {
	for (size_t i = 0; i < access->count; i++) {
		stile_fence_signal(access->fences[i]);
	}
}

/* Wrong code: the same, where nobody happens to hold a lock for long. */
START_TEST(what_others_add_is_seen_in_their_order) {
	struct stile_image *crossed[2];
	create_crossed(crossed);
	for (int round = 0; round < PAIR_ROUNDS; round++) {
		/* The plane that is looked at first gets the second fence. */
		struct adder adder = {
			.first = stile_image_get_buffer(crossed[_i], 1),
			.second = stile_image_get_buffer(crossed[_i], 0),
		};
		struct stile_access *access = &accesses[0];
		size_t halves = 0;
		ck_assert_int_eq(pthread_create(&adder.thread, NULL, adder_run, &adder), 0);
		while (!atomic_load(&adder.done)) {
			begin(access, crossed[_i], WRITE);
			halves += count_halves(access);
			stile_access_cancel(access);
		}
		pthread_join(adder.thread, NULL);
		ck_assert_int_eq(adder.ret, 0);
		ck_assert_uint_eq(halves, 0);
		begin(access, crossed[_i], WRITE);
		ck_assert_uint_eq(access->count, 2 * PAIRS);
		signal_all(access);
		stile_access_cancel(access);
	}
}
END_TEST

enum { CROSS_ROUNDS = 2000, CROSS_THREADS = 4 };

struct crosser {
	pthread_t thread;
	struct stile_image *image;
	int ret;
};

/* Readers, so that none of them contradicts the others. */
static void *crosser_run(void *arg) {
	struct crosser *crosser = arg;
	uint64_t context = stile_fence_context_alloc(1);
	for (uint64_t i = 1; i <= CROSS_ROUNDS && crosser->ret == 0; i++) {
		struct stile_access access;
		crosser->ret = try_begin(&access, crosser->image, READ, context);
		if (crosser->ret == 0) {
			struct stile_fence *fence = work_make(&work_ops, context, i);
			crosser->ret = stile_access_end(&access, fence);
			stile_fence_signal(fence);
			stile_fence_unref(fence);
		}
	}
	return NULL;
}

/* M-8. Wrong code: locks taken in the order of the planes. With -EDEADLK now and then, and without. */
START_TEST(opposite_planes_never_dead_lock) {
	struct stile_image *crossed[2];
	create_crossed(crossed);
	stile_ww_inject_deadlocks(_i == 1);
	struct crosser crossers[CROSS_THREADS];
	for (int i = 0; i < CROSS_THREADS; i++) {
		crossers[i] = (struct crosser){ .image = crossed[i % 2] };
		ck_assert_int_eq(
			pthread_create(&crossers[i].thread, NULL, crosser_run, &crossers[i]), 0);
	}
	for (int i = 0; i < CROSS_THREADS; i++) {
		pthread_join(crossers[i].thread, NULL);
		ck_assert_int_eq(crossers[i].ret, 0);
	}
	assert_promised(crossed[0], 0);
}
END_TEST

/* 7.1. Wrong code: what was gathered or promised before a back-off kept, and so there twice. */
START_TEST(backing_off_leaves_no_trace) {
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *fences[] = { work_create(), work_create() };
	put(resv_of(image, 0), fences[0], STILE_RESV_WRITE);
	put(resv_of(image, 1), fences[1], STILE_RESV_WRITE);
	uint32_t refs = image_refs(image);
	stile_ww_inject_deadlocks(true);
	for (int i = 0; i < 64; i++) {
		struct stile_access *access = &accesses[0];
		begin(access, image, READ);
		ck_assert_uint_eq(access->count, 2);
		assert_promised(image, 1);
		end(access, NULL);
		assert_promised(image, 0);
	}
	stile_ww_inject_deadlocks(false);
	ck_assert_uint_eq(image_refs(image), refs);
}
END_TEST

/* ---- Ending -------------------------------------------------------------------------------- */

static const struct {
	uint32_t usage;
	enum stile_resv_usage recorded;
} recorded[] = {
	{ READ, STILE_RESV_READ },
	{ WRITE, STILE_RESV_WRITE },
	{ BOTH, STILE_RESV_WRITE },
};

/* Section 19. Wrong code: the question's usage recorded; the last plane forgotten, or one twice. */
START_TEST(end_tells_the_next_user) {
	struct stile_image *image = image_create((enum kind)(_i / 3));
	struct stile_fence *fence = work_create();
	use(image, recorded[_i % 3].usage, fence);
	for (uint32_t i = 0; i < image->info.plane_count; i++) {
		ck_assert_int_eq(usage_in(resv_of(image, i), fence), recorded[_i % 3].recorded);
		ck_assert_uint_eq(count_in(resv_of(image, i)), 1);
	}
	struct stile_access *next = &accesses[0];
	begin(next, image, READ);
	ck_assert_uint_eq(next->count, recorded[_i % 3].recorded == STILE_RESV_WRITE);
	stile_access_cancel(next);
	begin(next, image, WRITE);
	ck_assert_uint_eq(next->count, 1);
	stile_access_cancel(next);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
}
END_TEST

/* Wrong code: the caller's reference taken over; one kept for each question. */
START_TEST(end_keeps_references_of_its_own) {
	struct stile_image *image = image_create((enum kind)_i);
	struct stile_fence *first = work_create(), *second = work_create();
	use(image, WRITE, first);
	use(image, READ, second);
	stile_fence_signal(second);
	work_drop(second);
	ck_assert_int_eq(alive, 2);
	stile_fence_signal(first);
	work_drop(first);
	/* Others take their places. */
	use(image, READ, work_create());
	use(image, READ, work_create());
	ck_assert_int_eq(alive, 2);
}
END_TEST

/* The leaves of each kind of container. */
static struct stile_fence *container_create(int kind, struct stile_fence *const *leaves) {
	if (kind == 0) {
		return array_create(leaves, 3);
	}
	if (kind == 1) {
		return chain_create(leaves, 3);
	}
	struct stile_fence *parts[] = { array_create(leaves, 2), stile_fence_ref(leaves[2]) };
	struct stile_fence *chain = chain_create(parts, 2);
	stile_fence_unref(parts[0]);
	stile_fence_unref(parts[1]);
	return chain;
}

enum { CONTAINERS = 3 };

/* Wrong code: a container recorded, or its first leaf only, or with another usage. */
START_TEST(container_is_recorded_as_its_leaves) {
	struct stile_image *image = image_create(_i < CONTAINERS ? TWO_BUFFERS : ONE_RESV);
	uint32_t usage = recorded[_i % 3].usage;
	struct stile_fence *leaves[] = { work_create(), work_create(), work_create() };
	struct stile_fence *container = container_create(_i % CONTAINERS, leaves);
	use(image, usage, container);
	stile_fence_unref(container);
	for (uint32_t plane = 0; plane < 2; plane++) {
		for (size_t i = 0; i < ARRAY_LENGTH(leaves); i++) {
			ck_assert_int_eq(usage_in(resv_of(image, plane), leaves[i]),
				recorded[_i % 3].recorded);
		}
		ck_assert_uint_eq(count_in(resv_of(image, plane)), ARRAY_LENGTH(leaves));
	}
	assert_promised(image, 0);
}
END_TEST

/* Wrong code: a fence of one's own recorded for nothing; something recorded although it is done. */
START_TEST(work_that_is_done_is_not_recorded) {
	struct stile_image *image = image_create((enum kind)(_i / 3));
	struct stile_fence *before = work_create();
	use(image, READ, before);
	struct stile_access *access = &accesses[0];
	begin(access, image, recorded[_i % 3].usage);
	stile_fence_signal(before);
	end(access, NULL);
	for (uint32_t i = 0; i < image->info.plane_count; i++) {
		ck_assert_uint_eq(count_in(resv_of(image, i)), 1);
		ck_assert_int_eq(usage_in(resv_of(image, i), before), STILE_RESV_READ);
	}
	assert_promised(image, 0);
}
END_TEST

/* Wrong code: a fence that is done refused, or waited for by the next one. */
START_TEST(fence_may_be_done_before_the_end) {
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *fence = work_create();
	stile_fence_signal(fence);
	use(image, WRITE, fence);
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_uint_eq(access->count, 0);
	stile_access_cancel(access);
}
END_TEST

/* ---- Cancelling ---------------------------------------------------------------------------- */

/* Wrong code: room that stays promised; a write that never was, which hides the error of the last one. */
START_TEST(cancelled_use_has_never_been) {
	struct stile_image *image = image_create((enum kind)(_i / 3));
	struct stile_fence *wrote = work_create(), *reads = work_create();
	use(image, WRITE, wrote);
	end_with(wrote, -EIO);
	use(image, READ, reads);
	uint32_t refs = image_refs(image);
	size_t count = count_in(resv_of(image, 0));
	struct stile_access *access = &accesses[0];
	begin(access, image, recorded[_i % 3].usage);
	assert_promised(image, 1);
	stile_access_cancel(access);
	assert_promised(image, 0);
	ck_assert_uint_eq(image_refs(image), refs);
	ck_assert_uint_eq(access->count, 0);
	for (uint32_t i = 0; i < image->info.plane_count; i++) {
		ck_assert_uint_eq(count_in(resv_of(image, i)), count);
		ck_assert_int_eq(usage_in(resv_of(image, i), reads), STILE_RESV_READ);
	}
	ck_assert_int_eq(error_of(image, WRITE), -EIO);
}
END_TEST

/* ---- Room ---------------------------------------------------------------------------------- */

/* The end with no memory left. */
static void end_without_memory(struct stile_access *access, struct stile_fence *fence) {
	note_waits(access);
	failing_begin(1);
	int ret = stile_access_end(access, fence);
	const char *call = failing_end();
	ck_assert_msg(call == NULL, "the end needs %s", call == NULL ? "" : call);
	ck_assert_int_eq(ret, 0);
}

/*
 * Wrong code: a promise that is forgotten at unlocking, or used by whoever adds meanwhile, or lost when
 * the list grows. With the checker, who trims the room, and without.
 */
START_TEST(end_cannot_fail_whatever_others_add) {
	enum { MOST = 40 };
	stile_check_enable(_i % 2 == 1);
	struct stile_image *image = image_create((enum kind)(_i / 2));
	uint32_t last = image->info.plane_count - 1;
	for (size_t others = 0; others < MOST; others++) {
		struct stile_access *access = &accesses[0];
		struct stile_fence *fence = work_create();
		begin(access, image, READ);
		for (size_t i = 0; i < others; i++) {
			put(resv_of(image, i % 2 == 0 ? 0 : last), work_create(),
				(enum stile_resv_usage)(i % USAGES));
		}
		end_without_memory(access, fence);
		ck_assert_int_eq(usage_in(resv_of(image, 0), fence), STILE_RESV_READ);
		ck_assert_int_eq(usage_in(resv_of(image, last), fence), STILE_RESV_READ);
		assert_promised(image, 0);
		while (owned_count > 0) {
			stile_fence_signal(owned[0]);
			work_drop(owned[0]);
		}
	}
}
END_TEST

/* Wrong code: a list of just the size of what is copied. */
START_TEST(end_cannot_fail_after_a_copy) {
	struct stile_image *image = image_create(ONE_PLANE), *other = image_create(ONE_PLANE);
	struct stile_fence *fence = work_create();
	for (size_t i = 0; i < 3; i++) {
		begin(&accesses[i], image, READ);
	}
	for (int i = 0; i < _i; i++) {
		put(resv_of(other, 0), work_create(), STILE_RESV_READ);
	}
	lock(resv_of(image, 0));
	ck_assert_int_eq(stile_resv_copy_fences(resv_of(image, 0), resv_of(other, 0)), 0);
	stile_resv_unlock(resv_of(image, 0));
	end_without_memory(&accesses[0], fence);
	end_without_memory(&accesses[1], work_create());
	end_without_memory(&accesses[2], work_create());
	ck_assert_uint_eq(count_in(resv_of(image, 0)), (size_t)_i + 3);
	ck_assert_int_eq(usage_in(resv_of(image, 0), fence), STILE_RESV_READ);
}
END_TEST

/* Wrong code: one promise for all who have begun; R-5's "not cumulative" taken for promises too. */
START_TEST(room_is_promised_to_each) {
	enum { USERS = 20 };
	stile_check_enable(_i % 2 == 1);
	struct stile_image *image = image_create((enum kind)(_i / 2));
	struct stile_fence *fences[USERS];
	for (uint32_t i = 0; i < USERS; i++) {
		begin(&accesses[i], image, READ);
		assert_promised(image, i + 1);
		fences[i] = work_create();
	}
	/* Those who give up take nothing from the others. */
	stile_access_cancel(&accesses[USERS - 1]);
	stile_access_cancel(&accesses[3]);
	for (size_t i = 0; i < USERS - 1; i++) {
		if (i != 3) {
			end_without_memory(&accesses[i], fences[i]);
			ck_assert_int_eq(usage_in(resv_of(image, 0), fences[i]), STILE_RESV_READ);
		}
	}
	assert_promised(image, 0);
	ck_assert_uint_eq(count_in(resv_of(image, 0)), USERS - 2);
}
END_TEST

/* Wrong code: whoever forgets to make room given what is another one's. */
START_TEST(others_do_not_get_what_is_promised) {
	ledger_expect_complaint("promised");
	stile_check_enable(_i == 1);
	struct stile_image *image = image_create(ONE_PLANE);
	struct stile_resv *resv = resv_of(image, 0);
	struct stile_fence *fence = work_create();
	struct stile_access *access = &accesses[0];
	begin(access, image, READ);
	int ret = 0;
	lock(resv);
	for (int i = 0; i < 64 && ret == 0; i++) {
		ret = stile_resv_add_fence(resv, work_create(), STILE_RESV_READ);
	}
	stile_resv_unlock(resv);
	ck_assert_int_eq(ret, -ENOSPC);
	end_without_memory(access, fence);
	ck_assert_int_eq(usage_in(resv, fence), STILE_RESV_READ);
}
END_TEST

/* Wrong code: the room that was promised for a fence taken for that of a container of several. */
START_TEST(each_leaf_of_a_container_has_room) {
	enum { MOST = 9 };
	/* It takes away what was not promised. */
	stile_check_enable(true);
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *leaves[MOST];
	size_t count = (size_t)_i;
	for (size_t i = 0; i < count; i++) {
		leaves[i] = work_create();
	}
	struct stile_fence *array = array_create(leaves, count), *of_other = work_create();
	begin(&accesses[0], image, READ);
	begin(&accesses[1], image, READ);
	end(&accesses[0], array);
	end_without_memory(&accesses[1], of_other);
	for (uint32_t plane = 0; plane < image->info.plane_count; plane++) {
		struct stile_resv *resv = resv_of(image, plane);
		ck_assert_uint_eq(count_in(resv), count + 1);
		ck_assert_int_eq(usage_in(resv, of_other), STILE_RESV_READ);
		for (size_t i = 0; i < count; i++) {
			ck_assert_int_eq(usage_in(resv, leaves[i]), STILE_RESV_READ);
		}
	}
	stile_fence_unref(array);
}
END_TEST

/* Fills the list, so that there is room for what was promised and nothing else. */
static void trim(struct stile_image *image) {
	bool enabled = stile_check_is_enabled();
	stile_check_enable(true);
	for (uint32_t i = 0; i < image->info.plane_count; i++) {
		lock(resv_of(image, i));
		stile_resv_unlock(resv_of(image, i));
	}
	stile_check_enable(enabled);
}

struct container_end {
	struct stile_image *image;
	struct stile_access access;
	struct stile_fence *container;
	unsigned failures;
};

static int attempt_end(void *user) {
	struct container_end *attempt = user;
	return stile_access_end(&attempt->access, attempt->container);
}

static void after_end(void *user, int ret) {
	struct container_end *attempt = user;
	if (ret < 0) {
		attempt->failures++;
		assert_promised(attempt->image, 1);
		ck_assert_uint_eq(count_in(resv_of(attempt->image, 0)), 1);
		ck_assert_uint_eq(count_in(resv_of(attempt->image, 1)), 1);
		trim(attempt->image);
	}
}

/* Wrong code: half of the planes told of it; ended although it failed; the promise used up. */
START_TEST(end_with_a_container_that_fails_has_not_ended) {
	static const int errors[] = { -ENOMEM, 0 };
	stile_check_enable(false);
	struct container_end attempt = { .image = image_create(TWO_BUFFERS) };
	struct stile_fence *leaves[] = { work_create(), work_create(), work_create() };
	struct stile_fence *before = work_create();
	put(resv_of(attempt.image, 0), before, STILE_RESV_READ);
	put(resv_of(attempt.image, 1), before, STILE_RESV_READ);
	attempt.container = container_create(_i, leaves);
	begin(&attempt.access, attempt.image, WRITE);
	ck_assert_uint_eq(attempt.access.count, 1);
	trim(attempt.image);
	ck_assert_uint_ge(failing_sweep(attempt_end, after_end, &attempt, errors), 2);
	assert_promised(attempt.image, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(leaves); i++) {
		ck_assert_int_eq(usage_in(resv_of(attempt.image, 0), leaves[i]), STILE_RESV_WRITE);
		ck_assert_int_eq(usage_in(resv_of(attempt.image, 1), leaves[i]), STILE_RESV_WRITE);
	}
	stile_fence_unref(attempt.container);
}
END_TEST

/* Wrong code: what was begun lost with the failure, so that what is left to do is a mistake. */
START_TEST(what_failed_to_end_may_end_otherwise) {
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *leaves[] = { work_create(), work_create(), work_create() };
	struct stile_fence *before = work_create();
	use(image, READ, before);
	struct stile_fence *array = array_create(leaves, 3);
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	trim(image);
	note_waits(access);
	failing_begin(1);
	int ret = stile_access_end(access, array);
	ck_assert_ptr_nonnull(failing_end());
	ck_assert_int_eq(ret, -ENOMEM);
	ck_assert_uint_eq(access->count, 1);
	ck_assert(waits_for(access, before));
	ck_assert_int_eq(stile_access_wait(access, 0, NULL), -ETIME);
	stile_fence_signal(before);
	if (_i == 0) {
		end(access, NULL);
	} else if (_i == 1) {
		stile_access_cancel(access);
	} else {
		/* A plain one has its place still. */
		end_without_memory(access, leaves[0]);
	}
	assert_promised(image, 0);
	ck_assert_int_eq(usage_in(resv_of(image, 1), leaves[0]), _i < 2 ? NONE : STILE_RESV_WRITE);
	ck_assert_int_eq(usage_in(resv_of(image, 1), leaves[1]), NONE);
	stile_fence_unref(array);
}
END_TEST

/* ---- Failing to begin ---------------------------------------------------------------------- */

struct begin_attempt {
	struct stile_image *image;
	struct stile_access access;
	uint32_t refs;
	size_t count;
};

static int attempt_begin(void *user) {
	struct begin_attempt *attempt = user;
	return try_begin(&attempt->access, attempt->image, WRITE, 0);
}

static void after_begin(void *user, int ret) {
	struct begin_attempt *attempt = user;
	if (ret == 0) {
		ck_assert_uint_eq(attempt->access.count, attempt->count);
		stile_access_cancel(&attempt->access);
	}
	ck_assert_uint_eq(attempt->access.count, 0);
	assert_promised(attempt->image, 0);
	ck_assert_uint_eq(image_refs(attempt->image), attempt->refs);
	/* A growth that succeeded is no change, but would make the next attempt easier. */
	trim(attempt->image);
}

/* Wrong code: promises, fences or the image kept by what has not begun. */
START_TEST(failed_begin_leaves_nothing_behind) {
	static const int errors[] = { -ENOMEM, 0 };
	stile_check_enable(false);
	struct begin_attempt attempt = { .image = image_create((enum kind)_i) };
	attempt.refs = image_refs(attempt.image);
	for (uint32_t plane = 0; plane < attempt.image->info.plane_count; plane++) {
		for (size_t i = 0; i < 2 * FEW; i++) {
			put(resv_of(attempt.image, plane), work_create(), STILE_RESV_READ);
			attempt.count++;
		}
	}
	trim(attempt.image);
	unsigned least = _i == TWO_BUFFERS ? 4 : 2;
	ck_assert_uint_ge(failing_sweep(attempt_begin, after_begin, &attempt, errors), least);
	/* The image has the only other references. */
	size_t count = owned_count;
	while (owned_count > 0) {
		stile_fence_signal(owned[0]);
		work_drop(owned[0]);
	}
	ck_assert_int_eq(alive, (int)count);
}
END_TEST

/* Wrong code: a begin that fails, or lies, since there is no memory for a debugging aid. */
START_TEST(checker_without_memory_changes_nothing) {
	stile_check_enable(true);
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *before = work_create();
	use(image, WRITE, before);
	for (unsigned n = 1; n < 8; n++) {
		struct stile_access *access = &accesses[0];
		failing_begin(n);
		int ret = try_begin(access, image, READ, 0);
		bool failed = failing_end() != NULL;
		ck_assert(ret == 0 || (ret == -ENOMEM && failed));
		assert_promised(image, ret == 0);
		if (ret == 0) {
			ck_assert_uint_eq(access->count, 1);
			note_waits(access);
			end_without_memory(access, before);
		}
	}
}
END_TEST

/* ---- How the last write went --------------------------------------------------------------- */

/* Wrong code: an error lost with the fence that had it; one that stays after the next write. */
START_TEST(failed_write_is_told_until_the_next_one) {
	struct stile_image *image = image_create((enum kind)_i);
	ck_assert_int_eq(error_of(image, BOTH), 0);
	struct stile_fence *wrote = work_create();
	use(image, WRITE, wrote);
	ck_assert_int_eq(error_of(image, READ), 0);
	end_with(wrote, -EIO);
	work_drop(wrote);
	/* Readers, well or badly, take its place in the list, and the list grows. */
	for (int i = 0; i < 20; i++) {
		struct stile_fence *reader = work_create();
		struct stile_access *access = &accesses[0];
		begin(access, image, READ);
		ck_assert_int_eq(stile_access_get_error(access), -EIO);
		end(access, i % 2 == 0 ? reader : NULL);
		if (i % 3 == 0) {
			stile_fence_signal(reader);
		} else if (i % 3 == 1) {
			end_with(reader, -ECANCELED);
		}
		ck_assert_int_eq(error_of(image, READ), -EIO);
		ck_assert_int_eq(error_of(image, WRITE), -EIO);
	}
	struct stile_fence *again = work_create();
	use(image, WRITE, again);
	ck_assert_int_eq(error_of(image, READ), 0);
	stile_fence_signal(again);
	ck_assert_int_eq(error_of(image, READ), 0);
}
END_TEST

/* Wrong code: only looked at when it began. */
START_TEST(write_that_fails_later_is_told_after_the_wait) {
	struct stile_image *image = image_create((enum kind)_i);
	struct stile_fence *wrote = work_create();
	use(image, WRITE, wrote);
	enum { READS = 3 };
	struct stile_access *reads = accesses;
	for (size_t i = 0; i < READS; i++) {
		begin(&reads[i], image, READ);
		ck_assert_int_eq(stile_access_get_error(&reads[i]), 0);
	}
	end_with(wrote, -ETIMEDOUT);
	for (size_t i = 0; i < READS; i++) {
		ck_assert_int_eq(stile_access_wait(&reads[i], INT64_MAX, NULL), 0);
		ck_assert_int_eq(stile_access_get_error(&reads[i]), -ETIMEDOUT);
		end(&reads[i], NULL);
	}
	ck_assert_int_eq(error_of(image, READ), -ETIMEDOUT);
}
END_TEST

/* Wrong code: the first plane speaks for all. */
START_TEST(error_of_any_plane_is_told) {
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *wrote = work_create();
	put(resv_of(image, (uint32_t)_i), wrote, STILE_RESV_WRITE);
	end_with(wrote, -EIO);
	ck_assert_int_eq(error_of(image, READ), -EIO);
	ck_assert_int_eq(error_of(image, WRITE), -EIO);
	/* A write of the whole image is one of both planes. */
	use(image, WRITE, work_create());
	ck_assert_int_eq(error_of(image, READ), 0);
}
END_TEST

/* Wrong code: a write whose fence nobody needed that does not count as one. */
START_TEST(write_that_is_done_clears_the_error) {
	struct stile_image *image = image_create((enum kind)(_i / 3));
	struct stile_fence *wrote = work_create();
	use(image, WRITE, wrote);
	end_with(wrote, -EIO);
	struct stile_access *access = &accesses[0];
	begin(access, image, recorded[_i % 3].usage);
	end(access, NULL);
	bool is_write = recorded[_i % 3].recorded == STILE_RESV_WRITE;
	ck_assert_int_eq(error_of(image, READ), is_write ? 0 : -EIO);
}
END_TEST

/* Wrong code: a write before the last one that still counts, as it is the one that is pending. */
START_TEST(error_of_a_write_before_the_last_is_not_told) {
	struct stile_image *image = image_create((enum kind)_i);
	struct stile_fence *first = work_create(), *second = work_create();
	use(image, WRITE, first);
	use(image, WRITE, second);
	end_with(first, -EIO);
	ck_assert_int_eq(error_of(image, READ), 0);
	stile_fence_signal(second);
	ck_assert_int_eq(error_of(image, READ), 0);
}
END_TEST

/* Wrong code: leaves of a write that count alone. */
START_TEST(error_of_any_leaf_is_told) {
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *leaves[] = { work_create(), work_create(), work_create() };
	struct stile_fence *array = array_create(leaves, 3);
	use(image, WRITE, array);
	stile_fence_unref(array);
	for (int i = 0; i < 3; i++) {
		if (i == _i) {
			end_with(leaves[i], -EIO);
		} else {
			stile_fence_signal(leaves[i]);
		}
	}
	ck_assert_int_eq(error_of(image, READ), -EIO);
}
END_TEST

/* Wrong code: the same write looked at only where it is waited for, although a later fence was enough. */
START_TEST(write_that_need_not_be_waited_for_is_told_too) {
	uint64_t context = stile_fence_context_alloc(1);
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *fails = work_create_in(context, 1), *later = work_create_in(context, 2);
	struct stile_access *access = &accesses[0];
	if (_i == 0) {
		/* A queue that has written, and read since. */
		use(image, WRITE, fails);
		use(image, READ, later);
	} else if (_i == 1) {
		/* One that wrote a plane at a time. */
		put(resv_of(image, 0), fails, STILE_RESV_WRITE);
		put(resv_of(image, 1), later, STILE_RESV_WRITE);
	} else {
		/* The one that begins now. */
		use(image, WRITE, fails);
	}
	begin_in(access, image, BOTH, _i == 2 ? context : 0);
	end_with(fails, -EIO);
	stile_fence_signal(later);
	ck_assert_int_eq(stile_access_wait(access, INT64_MAX, NULL), 0);
	int error = stile_access_get_error(access);
	end(access, NULL);
	ck_assert_int_eq(error, -EIO);
}
END_TEST

/* Wrong code: work that has only read, and failed, taken for damage to what it read. */
START_TEST(failed_read_is_no_error) {
	struct stile_image *image = image_create((enum kind)_i);
	struct stile_fence *reads = work_create();
	use(image, READ, reads);
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert(waits_for(access, reads));
	end_with(reads, -EIO);
	ck_assert_int_eq(stile_access_get_error(access), 0);
	end(access, NULL);
	ck_assert_int_eq(error_of(image, BOTH), 0);
}
END_TEST

/* Wrong code: how the write before went forgotten, as somebody has begun another one since. */
START_TEST(error_at_the_beginning_stays_that_of_the_use) {
	struct stile_image *image = image_create((enum kind)(_i / 2));
	struct stile_resv *last = resv_of(image, image->info.plane_count - 1);
	struct stile_fence *wrote = work_create(), *again = work_create();
	struct stile_access *access = &accesses[0];
	bool early = _i % 2 == 0;
	put(last, wrote, STILE_RESV_WRITE);
	if (early) {
		end_with(wrote, -EIO);
	}
	begin(access, image, READ);
	put(last, again, STILE_RESV_WRITE);
	if (!early) {
		end_with(wrote, -EIO);
	}
	ck_assert_int_eq(stile_access_get_error(access), -EIO);
	end(access, NULL);
	ck_assert_int_eq(error_of(image, READ), 0);
}
END_TEST

/* ---- Waiting ------------------------------------------------------------------------------- */

struct signaller {
	pthread_t thread;
	struct stile_fence *const *fences;
	size_t count;
	atomic_bool last; /* is about to be signalled */
};

static void *signaller_run(void *arg) {
	struct signaller *signaller = arg;
	for (size_t i = 0; i < signaller->count; i++) {
		runner_sleep_ms(5);
		atomic_store(&signaller->last, i + 1 == signaller->count);
		stile_fence_signal(signaller->fences[i]);
	}
	return NULL;
}

/* F-15. Wrong code: over when the first one is, or one plane is; a poll that waits. */
START_TEST(wait_is_for_all_fences) {
	struct stile_image *image = image_create(TWO_BUFFERS);
	size_t count = _i == 0 ? 3 : 2 * FEW;
	struct stile_fence *fences[2 * FEW];
	for (size_t i = 0; i < count; i++) {
		fences[i] = work_create();
		put(resv_of(image, i % 2), fences[i], STILE_RESV_READ);
	}
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	struct signaller signaller = { .fences = fences, .count = count };
	ck_assert_int_eq(pthread_create(&signaller.thread, NULL, signaller_run, &signaller), 0);
	int ret = stile_access_wait(access, INT64_MAX, _i == 0 ? NULL : &cancel);
	bool last = atomic_load(&signaller.last);
	pthread_join(signaller.thread, NULL);
	ck_assert_int_eq(ret, 0);
	ck_assert(last);
	ck_assert_int_eq(stile_access_wait(access, 0, NULL), 0);
	end(access, NULL);
}
END_TEST

/* Wrong code: a time-out taken for success; a deadline for each fence; a negative one taken for ever. */
START_TEST(wait_ends_at_the_deadline) {
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *done = work_create(), *pending = work_create();
	put(resv_of(image, 0), done, STILE_RESV_READ);
	put(resv_of(image, 1), pending, STILE_RESV_READ);
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	ck_assert_int_eq(stile_access_wait(access, -1, NULL), -EINVAL);
	ck_assert_int_eq(stile_access_wait(access, INT64_MIN, NULL), -EINVAL);
	ck_assert_int_eq(stile_access_wait(access, 0, NULL), -ETIME);
	stile_fence_signal(done);
	ck_assert_int_eq(stile_access_wait(access, 0, NULL), -ETIME);
	int64_t deadline_ns = runner_clock_ns() + 20 * MS;
	ck_assert_int_eq(stile_access_wait(access, deadline_ns, NULL), -ETIME);
	ck_assert_int_ge(runner_clock_ns(), deadline_ns);
	stile_access_cancel(access);
	/* Also where there is nothing to wait for. */
	begin(access, image, READ);
	ck_assert_uint_eq(access->count, 0);
	ck_assert_int_eq(stile_access_wait(access, -1, NULL), -EINVAL);
	stile_access_cancel(access);
}
END_TEST

static void *cancel_run(void *arg) {
	runner_sleep_ms(10);
	stile_cancel_raise(arg);
	return NULL;
}

/* M-6. Wrong code: the token not looked at, or taken for success. */
START_TEST(cancelled_wait_is_eintr) {
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *pending = work_create();
	put(resv_of(image, 1), pending, STILE_RESV_READ);
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, cancel_run, &cancel), 0);
	ck_assert_int_eq(stile_access_wait(access, INT64_MAX, &cancel), -EINTR);
	pthread_join(thread, NULL);
	ck_assert_int_eq(stile_access_wait(access, 0, &cancel), -EINTR);
	/* It is open as before. */
	ck_assert_int_eq(stile_access_wait(access, 0, NULL), -ETIME);
	stile_fence_signal(pending);
	ck_assert_int_eq(stile_access_wait(access, INT64_MAX, &cancel), 0);
	end(access, NULL);
}
END_TEST

/* ---- What is refused ----------------------------------------------------------------------- */

/* Nothing was begun. */
static void assert_refused(
	struct stile_image *image, const struct stile_access_info *info, int why) {
	struct stile_access access;
	uint32_t refs = image_refs(image);
	memset(&access, 0xa5, sizeof(access));
	ck_assert_int_eq(stile_access_begin(image, info, &access), why);
	ck_assert_uint_eq(access.count, 0);
	ck_assert_uint_eq(image_refs(image), refs);
	assert_promised(image, 0);
}

/* Wrong code: memory written that its owner has only allowed to be read. */
START_TEST(usage_that_the_image_does_not_allow_is_eacces) {
	static const struct {
		uint32_t allowed, wanted;
	} cases[] = { { READ, WRITE }, { READ, BOTH }, { WRITE, READ }, { WRITE, BOTH } };
	struct stile_image *image = image_create_for(TWO_BUFFERS, cases[_i].allowed);
	struct stile_access_info info = { .size = sizeof(info), .usage = cases[_i].wanted };
	assert_refused(image, &info, -EACCES);
	struct stile_access *access = &accesses[0];
	begin(access, image, cases[_i].allowed);
	end(access, NULL);
}
END_TEST

/* Wrong code: no usage, which waits for and tells nothing; bits of a later version not noticed. */
START_TEST(unknown_usage_is_einval) {
	static const uint32_t usages[] = { 0, 4, READ | 4, UINT32_MAX };
	struct stile_image *image = image_create(ONE_PLANE);
	struct stile_access_info info = { .size = sizeof(info), .usage = usages[_i] };
	assert_refused(image, &info, -EINVAL);
}
END_TEST

/* Wrong code: memory that nobody initialised taken for a struct; fields dropped that are not known. */
START_TEST(impossible_size_is_refused) {
	struct {
		struct stile_access_info info;
		uint64_t more[2];
	} newer = { .info = { .usage = READ } };
	struct stile_image *image = image_create(ONE_PLANE);
	static const size_t sizes[] = { 0, 1, sizeof(size_t) - 1, SIZE_MAX };
	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		newer.info.size = sizes[i];
		assert_refused(image, &newer.info, -EINVAL);
	}
	newer.info.size = sizeof(newer);
	newer.more[1] = 1;
	assert_refused(image, &newer.info, -E2BIG);
	newer.more[1] = 0;
	struct stile_access *access = &accesses[0];
	ck_assert_int_eq(stile_access_begin(image, &newer.info, access), 0);
	stile_access_cancel(access);
}
END_TEST

/* Wrong code: what lies behind an older struct read. */
START_TEST(older_info_has_no_context) {
	struct stile_image *image = image_create(ONE_PLANE);
	struct stile_fence *before = work_create();
	use(image, WRITE, before);
	struct stile_access_info info = {
		.size = offsetof(struct stile_access_info, context),
		.usage = WRITE,
		.context = stile_fence_get_context(before),
		.name = (const char *)8,
	};
	struct stile_access *access = &accesses[0];
	ck_assert_int_eq(stile_access_begin(image, &info, access), 0);
	ck_assert_uint_eq(access->count, 1);
	stile_access_cancel(access);
}
END_TEST

/* How something may be ended that is not open. */
static void end_what_is_not_open(struct stile_access *access, int how, struct stile_fence *fence) {
	if (how == 0) {
		ck_assert_int_eq(stile_access_end(access, fence), -EINVAL);
	} else if (how == 1) {
		ck_assert_int_eq(stile_access_end(access, NULL), -EINVAL);
	} else {
		stile_access_cancel(access);
	}
}

enum { ENDINGS = 3 };

/* Wrong code: references dropped or promises taken back twice; room used that nobody was promised. */
START_TEST(ending_twice_is_a_mistake) {
	ledger_expect_complaint("ended already");
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *before = work_create(), *fence = work_create(), *second = work_create();
	use(image, READ, before);
	uint32_t refs = image_refs(image);
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	if (_i / ENDINGS == 0) {
		end(access, fence);
	} else if (_i / ENDINGS == 1) {
		stile_fence_signal(before);
		end(access, NULL);
	} else {
		stile_access_cancel(access);
	}
	size_t count = count_in(resv_of(image, 0));
	end_what_is_not_open(access, _i % ENDINGS, second);
	ck_assert_uint_eq(image_refs(image), refs);
	assert_promised(image, 0);
	ck_assert_uint_eq(count_in(resv_of(image, 0)), count);
	ck_assert_int_eq(usage_in(resv_of(image, 1), second), NONE);
}
END_TEST

/* Wrong code: a struct trusted that never was begun, or that failed to. */
START_TEST(ending_what_was_not_begun_is_a_mistake) {
	ledger_expect_complaint("has not begun");
	struct stile_image *image = image_create_for(ONE_PLANE, READ);
	struct stile_access *access = &accesses[0];
	memset(access, 0, sizeof(*access));
	if (_i / ENDINGS == 1) {
		ck_assert_int_eq(try_begin(access, image, WRITE, 0), -EACCES);
	}
	end_what_is_not_open(access, _i % ENDINGS, work_create());
	assert_promised(image, 0);
}
END_TEST

/* Wrong code: a thread that waits for itself; what is half locked promised to somebody. */
START_TEST(begin_with_a_reservation_locked_is_a_mistake) {
	ledger_expect_complaint("locked by the thread that has it locked");
	/* Which tells of the same as a lock order, and first. */
	stile_check_enable(false);
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_access_info info = { .size = sizeof(info), .usage = READ };
	lock(resv_of(image, (uint32_t)_i));
	assert_refused(image, &info, -EINVAL);
	ck_assert(stile_resv_is_locked(resv_of(image, (uint32_t)_i)));
	ck_assert(!stile_resv_is_locked(resv_of(image, (uint32_t)!_i)));
	stile_resv_unlock(resv_of(image, (uint32_t)_i));
}
END_TEST

/* Wrong code: a thread that waits for itself; a misuse that is no error. */
START_TEST(question_with_a_reservation_locked_is_a_mistake) {
	ledger_expect_complaint("locked by the thread that has it locked");
	stile_check_enable(false);
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	lock(resv_of(image, (uint32_t)_i));
	ck_assert_int_eq(stile_access_get_error(access), -EDEADLK);
	stile_resv_unlock(resv_of(image, (uint32_t)_i));
	ck_assert_int_eq(stile_access_get_error(access), 0);
	stile_access_cancel(access);
}
END_TEST

/* Wrong code: taken for ended, so that nobody waits for the work. */
START_TEST(end_with_a_reservation_locked_has_not_ended) {
	ledger_expect_complaint("locked by the thread that has it locked");
	stile_check_enable(false);
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_fence *fence = work_create();
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	lock(resv_of(image, (uint32_t)_i));
	ck_assert_int_eq(stile_access_end(access, fence), -EINVAL);
	stile_resv_unlock(resv_of(image, (uint32_t)_i));
	assert_promised(image, 1);
	ck_assert_int_eq(usage_in(resv_of(image, 0), fence), NONE);
	ck_assert_int_eq(usage_in(resv_of(image, 1), fence), NONE);
	end(access, fence);
	ck_assert_int_eq(usage_in(resv_of(image, 0), fence), STILE_RESV_WRITE);
	ck_assert_int_eq(usage_in(resv_of(image, 1), fence), STILE_RESV_WRITE);
}
END_TEST

/* Wrong code: the promise forgotten, as nothing can be said to the caller. */
START_TEST(cancel_with_a_reservation_locked_promises_nothing) {
	ledger_expect_complaint("locked by the thread that has it locked");
	stile_check_enable(false);
	struct stile_image *image = image_create(TWO_BUFFERS);
	struct stile_access *access = &accesses[0];
	begin(access, image, WRITE);
	lock(resv_of(image, (uint32_t)_i));
	stile_access_cancel(access);
	stile_resv_unlock(resv_of(image, (uint32_t)_i));
	/* Either it is over, or it can be cancelled once more. */
	uint32_t promised = resv_of(image, 0)->promised + resv_of(image, 1)->promised;
	bool open = image_refs(image) > 1;
	if (open) {
		stile_access_cancel(access);
	}
	ck_assert(open || promised == 0);
	assert_promised(image, 0);
}
END_TEST

/* ---- Many ---------------------------------------------------------------------------------- */

/* Wrong code: anything that one image keeps for another. */
START_TEST(many_images_are_used_at_once) {
	enum { IMAGES = ACCESSES };
	struct stile_image *many[IMAGES];
	struct stile_fence *fences[IMAGES];
	uint64_t queue = stile_fence_context_alloc(1);
	for (size_t i = 0; i < IMAGES; i++) {
		many[i] = image_create((enum kind)(i % KINDS));
		fences[i] = work_create();
		begin_in(&accesses[i], many[i], WRITE, queue);
	}
	for (size_t i = IMAGES; i > 0; i--) {
		end(&accesses[i - 1], fences[i - 1]);
	}
	for (size_t i = 0; i < IMAGES; i++) {
		begin_in(&accesses[i], many[i], READ, queue);
		ck_assert(waits_for(&accesses[i], fences[i]));
	}
	for (size_t i = 0; i < IMAGES; i++) {
		stile_access_cancel(&accesses[i]);
	}
}
END_TEST

enum { TURN_THREADS = 4, TURN_ROUNDS = 600 };

/* An image as several queues use it. `value` and `writer` are what is in it: plain memory. */
struct turns {
	struct stile_image *image;
	pthread_rwlock_t order; /* by which the threads agree on who comes first */
	uint64_t value;
	int writer;
	atomic_int wrong;
	atomic_uint writes;
};

struct turner {
	pthread_t thread;
	struct turns *turns;
	uint64_t random;
	uint64_t context;
	int number;
};

/* What the queue does when it may. */
static void turn_work(struct turner *turner, bool write) {
	struct turns *turns = turner->turns;
	uint64_t before = turns->value;
	if (write) {
		turns->writer = turner->number;
		turns->value = before + 1;
		atomic_fetch_add(&turns->writes, 1);
	}
	int writer = turns->writer;
	sched_yield();
	atomic_fetch_add(&turns->wrong, turns->value != before + write || turns->writer != writer);
}

static void turn_wait(struct turner *turner, struct stile_fence **fences, size_t count) {
	for (size_t i = 0; i < count; i++) {
		int ret = stile_fence_wait(fences[i], runner_clock_ns() + HANG_NS);
		atomic_fetch_add(&turner->turns->wrong, ret != 0);
		stile_fence_unref(fences[i]);
	}
}

/* Begins, has the queue wait for what that says, and ends: 0, with references on those fences. */
static int turn_submit(struct turner *turner, uint32_t usage, struct stile_fence *fence,
	struct stile_fence **fences, size_t *count) {
	struct stile_access access;
	int ret = try_begin(&access, turner->turns->image, usage, turner->context);
	if (ret < 0) {
		return ret;
	}
	/* Each other queue has one at most. */
	*count = access.count < TURN_THREADS ? access.count : TURN_THREADS;
	atomic_fetch_add(&turner->turns->wrong, access.count >= TURN_THREADS);
	for (size_t i = 0; i < *count; i++) {
		fences[i] = stile_fence_ref(access.fences[i]);
	}
	note_waits(&access);
	return stile_access_end(&access, fence);
}

static void *turner_run(void *arg) {
	struct turner *turner = arg;
	for (uint64_t i = 1; i <= TURN_ROUNDS; i++) {
		bool write = runner_random(&turner->random) % 3 == 0;
		struct stile_fence *fences[TURN_THREADS], *fence;
		size_t count = 0;
		if (write) {
			pthread_rwlock_wrlock(&turner->turns->order);
		} else {
			pthread_rwlock_rdlock(&turner->turns->order);
		}
		fence = work_make(&work_ops, turner->context, i);
		int ret = turn_submit(turner, write ? WRITE : READ, fence, fences, &count);
		pthread_rwlock_unlock(&turner->turns->order);
		atomic_fetch_add(&turner->turns->wrong, ret != 0);
		turn_wait(turner, fences, count);
		turn_work(turner, write);
		stile_fence_signal(fence);
		stile_fence_unref(fence);
	}
	return NULL;
}

/*
 * R-1, F-23. Wrong code: a fence too few in what is to be waited for, a record that comes too late, a use
 * that others do not hear of.
 */
START_TEST(whoever_waits_as_told_is_alone_with_the_image) {
	struct turns turns = { .image = image_create((enum kind)_i) };
	struct turner turners[TURN_THREADS];
	uint64_t random = runner_seed() + (uint64_t)_i;
	ck_assert_int_eq(pthread_rwlock_init(&turns.order, NULL), 0);
	for (int i = 0; i < TURN_THREADS; i++) {
		turners[i] = (struct turner){
			.turns = &turns,
			.random = runner_random(&random),
			.context = stile_fence_context_alloc(1),
			.number = i,
		};
		ck_assert_int_eq(
			pthread_create(&turners[i].thread, NULL, turner_run, &turners[i]), 0);
	}
	for (int i = 0; i < TURN_THREADS; i++) {
		pthread_join(turners[i].thread, NULL);
	}
	pthread_rwlock_destroy(&turns.order);
	ck_assert_int_eq(turns.wrong, 0);
	ck_assert_uint_eq(turns.value, turns.writes);
}
END_TEST

enum { MIX_THREADS = 4, MIX_ROUNDS = 1500, MIX_IMAGES = 4 };

struct mixer {
	pthread_t thread;
	struct stile_image **images;
	uint64_t random;
	uint64_t context;
	int wrong;
};

static uint64_t mix_roll(struct mixer *mixer, uint64_t below) {
	return runner_random(&mixer->random) % below;
}

/* Two fences, of which one may be done, as one. */
static struct stile_fence *mix_array(struct mixer *mixer, uint64_t seqno) {
	struct stile_fence *leaves[] = {
		work_make(&work_ops, mixer->context, seqno),
		work_make(&work_ops, mixer->context + 1, seqno),
	};
	struct stile_fence *array = NULL;
	mixer->wrong += stile_array_create(
				leaves, 2, mixer->context + 2, seqno, STILE_ARRAY_ALL, &array) < 0;
	stile_fence_signal(leaves[0]);
	stile_fence_signal(leaves[1]);
	stile_fence_unref(leaves[0]);
	stile_fence_unref(leaves[1]);
	return array;
}

static void mix_round(struct mixer *mixer, uint64_t seqno) {
	struct stile_access access;
	struct stile_image *image = mixer->images[mix_roll(mixer, MIX_IMAGES)];
	if (try_begin(&access, image, 1 + (uint32_t)mix_roll(mixer, 3), mixer->context) < 0) {
		mixer->wrong++;
		return;
	}
	mixer->wrong += stile_access_get_error(&access) != 0;
	struct stile_fence *fence = NULL;
	switch (mix_roll(mixer, 4)) {
	case 0:
		fence = mix_array(mixer, seqno);
		mixer->wrong += stile_access_end(&access, fence) != 0;
		break;
	case 1:
		fence = work_make(&work_ops, mixer->context, seqno);
		mixer->wrong += stile_access_end(&access, fence) != 0;
		stile_fence_signal(fence);
		break;
	case 2:
		mixer->wrong += stile_access_end(&access, NULL) != 0;
		break;
	default:
		stile_access_cancel(&access);
	}
	stile_fence_unref(fence);
}

static void *mixer_run(void *arg) {
	struct mixer *mixer = arg;
	for (uint64_t i = 1; i <= MIX_ROUNDS; i++) {
		mix_round(mixer, i);
	}
	return NULL;
}

/* Wrong code: anything in an access that is shared, and not under the locks. */
START_TEST(uses_by_many_threads_leave_nothing_promised) {
	/* They do contradict each other. */
	stile_check_enable(false);
	struct stile_image *mixed[MIX_IMAGES];
	create_crossed(mixed);
	mixed[2] = image_create(ONE_BUFFER);
	mixed[3] = image_create(ONE_RESV);
	struct mixer mixers[MIX_THREADS];
	uint64_t random = runner_seed();
	stile_ww_inject_deadlocks(_i == 1);
	for (int i = 0; i < MIX_THREADS; i++) {
		mixers[i] = (struct mixer){
			.images = mixed,
			.random = runner_random(&random),
			.context = stile_fence_context_alloc(3),
		};
		ck_assert_int_eq(pthread_create(&mixers[i].thread, NULL, mixer_run, &mixers[i]), 0);
	}
	for (int i = 0; i < MIX_THREADS; i++) {
		pthread_join(mixers[i].thread, NULL);
		ck_assert_int_eq(mixers[i].wrong, 0);
	}
	for (int i = 0; i < MIX_IMAGES; i++) {
		struct stile_access *access = &accesses[0];
		assert_promised(mixed[i], 0);
		begin(access, mixed[i], WRITE);
		ck_assert_uint_eq(access->count, 0);
		stile_access_cancel(access);
	}
}
END_TEST

/* ---- The suite ----------------------------------------------------------------------------- */

static TCase *tcase(Suite *s, const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(s, tcase);
	return tcase;
}

static void add_begin_tests(Suite *s) {
	TCase *begins = tcase(s, "what to wait for");
	tcase_add_loop_test(begins, use_waits_for_what_may_not_go_on_beside_it, 0, KINDS);
	tcase_add_loop_test(begins, nothing_is_waited_for_that_is_done, 0, KINDS);
	tcase_add_test(begins, own_queue_is_not_waited_for);
	tcase_add_loop_test(begins, of_each_other_queue_the_newest_is_waited_for, 0,
		2 * (int)ARRAY_LENGTH(order_cases));
	tcase_add_loop_test(begins, fences_of_all_planes_are_given_once, 0, KINDS);
	tcase_add_loop_test(
		begins, there_may_be_any_number_of_fences, 0, 3 * (int)ARRAY_LENGTH(fence_counts));
	tcase_add_loop_test(begins, what_was_begun_is_kept_until_the_end, 0, 2);

	TCase *moment = tcase(s, "one moment");
	tcase_add_loop_test(moment, planes_are_looked_at_at_one_moment, 0, 2);
	tcase_add_loop_test(moment, what_others_add_is_seen_in_their_order, 0, 2);
	tcase_add_loop_test(moment, opposite_planes_never_dead_lock, 0, 2);
	tcase_add_test(moment, backing_off_leaves_no_trace);
}

static void add_end_tests(Suite *s) {
	TCase *ends = tcase(s, "ending and cancelling");
	tcase_add_loop_test(ends, end_tells_the_next_user, 0, 3 * KINDS);
	tcase_add_loop_test(ends, end_keeps_references_of_its_own, 0, KINDS);
	tcase_add_loop_test(ends, container_is_recorded_as_its_leaves, 0, 2 * CONTAINERS);
	tcase_add_loop_test(ends, work_that_is_done_is_not_recorded, 0, 3 * KINDS);
	tcase_add_test(ends, fence_may_be_done_before_the_end);
	tcase_add_loop_test(ends, cancelled_use_has_never_been, 0, 3 * KINDS);

	TCase *room = tcase(s, "room");
	tcase_add_loop_test(room, end_cannot_fail_whatever_others_add, 0, 2 * KINDS);
	tcase_add_loop_test(room, end_cannot_fail_after_a_copy, 0, 9);
	tcase_add_loop_test(room, room_is_promised_to_each, 0, 2 * KINDS);
	tcase_add_loop_test(room, others_do_not_get_what_is_promised, 0, 2);
	tcase_add_loop_test(room, each_leaf_of_a_container_has_room, 1, 10);
	tcase_add_loop_test(room, end_with_a_container_that_fails_has_not_ended, 0, CONTAINERS);
	tcase_add_loop_test(room, what_failed_to_end_may_end_otherwise, 0, 3);
	tcase_add_loop_test(room, failed_begin_leaves_nothing_behind, 0, KINDS);
	tcase_add_test(room, checker_without_memory_changes_nothing);
}

static void add_error_tests(Suite *s) {
	TCase *errors = tcase(s, "how the last write went");
	tcase_add_loop_test(errors, failed_write_is_told_until_the_next_one, 0, KINDS);
	tcase_add_loop_test(errors, write_that_fails_later_is_told_after_the_wait, 0, KINDS);
	tcase_add_loop_test(errors, error_of_any_plane_is_told, 0, 2);
	tcase_add_loop_test(errors, write_that_is_done_clears_the_error, 0, 3 * KINDS);
	tcase_add_loop_test(errors, error_of_a_write_before_the_last_is_not_told, 0, KINDS);
	tcase_add_loop_test(errors, error_of_any_leaf_is_told, 0, 3);
	tcase_add_loop_test(errors, write_that_need_not_be_waited_for_is_told_too, 0, 3);
	tcase_add_loop_test(errors, failed_read_is_no_error, 0, KINDS);
	tcase_add_loop_test(errors, error_at_the_beginning_stays_that_of_the_use, 0, 2 * KINDS);

	TCase *waits = tcase(s, "waiting");
	tcase_add_loop_test(waits, wait_is_for_all_fences, 0, 2);
	tcase_add_test(waits, wait_ends_at_the_deadline);
	tcase_add_test(waits, cancelled_wait_is_eintr);
}

static void add_refusal_tests(Suite *s) {
	TCase *refusals = tcase(s, "what is refused");
	tcase_add_loop_test(refusals, usage_that_the_image_does_not_allow_is_eacces, 0, 4);
	tcase_add_loop_test(refusals, unknown_usage_is_einval, 0, 4);
	tcase_add_test(refusals, impossible_size_is_refused);
	tcase_add_test(refusals, older_info_has_no_context);
	tcase_add_loop_test(refusals, ending_twice_is_a_mistake, 0, 3 * ENDINGS);
	tcase_add_loop_test(refusals, ending_what_was_not_begun_is_a_mistake, 0, 2 * ENDINGS);
	tcase_add_loop_test(refusals, begin_with_a_reservation_locked_is_a_mistake, 0, 2);
	tcase_add_loop_test(refusals, question_with_a_reservation_locked_is_a_mistake, 0, 2);
	tcase_add_loop_test(refusals, end_with_a_reservation_locked_has_not_ended, 0, 2);
	tcase_add_loop_test(refusals, cancel_with_a_reservation_locked_promises_nothing, 0, 2);
}

static Suite *suite(void) {
	Suite *s = suite_create("access");
	add_begin_tests(s);
	add_end_tests(s);
	add_error_tests(s);
	add_refusal_tests(s);

	TCase *many = tcase(s, "many");
	tcase_add_test(many, many_images_are_used_at_once);
	tcase_add_loop_test(many, whoever_waits_as_told_is_alone_with_the_image, 0, KINDS);
	tcase_add_loop_test(many, uses_by_many_threads_leave_nothing_promised, 0, 2);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
