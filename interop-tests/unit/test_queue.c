/* SPDX-License-Identifier: MIT */
/* Queues of the software GPU on its threads: order, waits, priorities, time-outs, and how they end. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <stile/array.h>
#include <stile/buffer.h>
#include <stile/exec.h>
#include <stile/resv.h>
#include <stile/swgpu_test.h>
#include <stile/wait.h>

#include "backends/swgpu/queue.h"
#include "backends/swgpu/swgpu.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/buffer.h"
#include "src/macros.h"

#define MS INT64_C(1000000)

static struct stile_device *device;
static struct stile_swgpu_queue *queue;
static struct gpu_journal journal;
static int fences_before;

static void open_device(const char *options) {
	device = gpu_open(options);
	queue = stile_swgpu_get_queue(device);
}

static void setup(void) {
	fences_before = plain_fence_count();
	memset(&journal, 0, sizeof(journal));
	open_device(NULL);
}

static void teardown(void) {
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(plain_fence_count(), fences_before);
}

/* Instead of the one that setup() opened. */
static void reopen(const char *options) {
	stile_device_destroy(device);
	open_device(options);
}

static struct stile_swgpu_queue *other_queue(int32_t priority) {
	return gpu_queue(device, "other", priority, 0);
}

/* ---- Order --------------------------------------------------------------------------------- */

/* F-25. Wrong code: lists of a queue that are executed at once, or end in another order; numbers that fall. */
START_TEST(lists_of_a_queue_are_executed_in_order) {
	enum { COUNT = 40 };
	struct stile_fence *fences[COUNT];
	for (int i = 0; i < COUNT; i++) {
		fences[i] = gpu_submit(queue, gpu_steps(device, &journal, i + 1, 1));
	}
	ck_assert_int_eq(plain_fence_finish(fences[COUNT - 1]), 1);
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(stile_fence_get_status(fences[i]), 1);
		ck_assert_int_eq(journal.ids[i], i + 1);
		ck_assert_uint_eq(
			stile_fence_get_context(fences[i]), stile_fence_get_context(fences[0]));
		ck_assert_uint_eq(stile_fence_get_seqno(fences[i]),
			stile_fence_get_seqno(fences[0]) + (uint64_t)i);
	}
	for (int i = 0; i < COUNT; i++) {
		stile_fence_unref(fences[i]);
	}
}
END_TEST

/* Wrong code: the commands of a list in another order; only the first or the last one. */
START_TEST(commands_of_a_list_are_executed_in_order) {
	struct stile_swgpu_list *list = gpu_steps(device, &journal, 1, 30);
	for (int i = 0; i < 30; i++) {
		journal.steps[i].id = i + 1;
	}
	ck_assert_int_eq(gpu_finish(gpu_submit(queue, list)), 1);
	ck_assert_uint_eq(gpu_journal_count(&journal), 30);
	for (int i = 0; i < 30; i++) {
		ck_assert_int_eq(journal.ids[i], i + 1);
	}
}
END_TEST

/* F-2. Wrong code: one timeline for all queues; a name that goes with the queue. */
START_TEST(each_queue_is_a_timeline_with_a_name) {
	struct stile_swgpu_queue *named = gpu_queue(device, "compositor", 0, 0);
	struct stile_fence *first = gpu_submit(queue, NULL), *fence = gpu_submit(named, NULL);
	ck_assert_str_eq(stile_fence_get_driver_name(fence), "swgpu");
	ck_assert_str_eq(stile_fence_get_timeline_name(first), "queue");
	ck_assert_uint_ne(stile_fence_get_context(first), stile_fence_get_context(fence));
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	stile_swgpu_queue_destroy(named);
	ck_assert_str_eq(stile_fence_get_timeline_name(fence), "compositor");
	stile_fence_unref(fence);
	ck_assert_int_eq(gpu_finish(first), 1);
}
END_TEST

/* Wrong code: a name that is too long written past its room, or refused. */
START_TEST(long_name_is_cut) {
	struct stile_swgpu_queue *named =
		gpu_queue(device, "0123456789012345678901234567890123456789", 0, 0);
	struct stile_fence *fence = gpu_submit(named, NULL);
	ck_assert_str_eq(stile_fence_get_timeline_name(fence), "0123456789012345678901234567890");
	ck_assert_int_eq(gpu_finish(fence), 1);
	stile_swgpu_queue_destroy(named);
}
END_TEST

/* Wrong code: a fence that ends when the list begins, or before its last command is done. */
START_TEST(fence_ends_when_all_is_done) {
	struct gpu_blocker blocker = { 0 };
	struct stile_fence *fence = gpu_submit(queue, gpu_block(device, &blocker));
	gpu_blocker_await(&blocker, 1);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	gpu_blocker_open(&blocker);
	ck_assert_int_eq(gpu_finish(fence), 1);
}
END_TEST

/* Wrong code: one thread for all queues (two never come in); more engines than there are. */
START_TEST(four_queues_share_two_engines) {
	struct gpu_blocker first = { 0 }, later = { 0 };
	struct stile_swgpu_queue *queues[4];
	struct stile_fence *fences[4];
	for (int i = 0; i < 4; i++) {
		queues[i] = other_queue(0);
		fences[i] = gpu_submit(queues[i], gpu_block(device, i < 2 ? &first : &later));
	}
	gpu_blocker_await(&first, 2);
	runner_sleep_ms(20);
	ck_assert_uint_eq(later.entered, 0);
	gpu_blocker_open(&first);
	gpu_blocker_await(&later, 2);
	gpu_blocker_open(&later);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(gpu_finish(fences[i]), 1);
		stile_swgpu_queue_destroy(queues[i]);
	}
}
END_TEST

/* Wrong code: the order of submission, whatever the priorities; the lower number first. */
START_TEST(higher_priority_goes_first) {
	reopen("engines=1");
	struct gpu_blocker blocker = { 0 };
	struct stile_swgpu_queue *low = other_queue(-5), *same = other_queue(0),
				 *high = other_queue(3);
	struct stile_fence *block = gpu_submit(queue, gpu_block(device, &blocker)), *fences[5];
	gpu_blocker_await(&blocker, 1);
	fences[0] = gpu_submit(low, gpu_steps(device, &journal, 4, 1));
	fences[1] = gpu_submit(same, gpu_steps(device, &journal, 2, 1));
	fences[2] = gpu_submit(queue, gpu_steps(device, &journal, 3, 1));
	fences[3] = gpu_submit(high, gpu_steps(device, &journal, 1, 1));
	gpu_blocker_open(&blocker);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(gpu_finish(fences[i]), 1);
	}
	ck_assert_int_eq(gpu_finish(block), 1);
	ck_assert_int_eq(journal.ids[0], 1);
	/* Among equals, first come, first served: the one whose first list was ready first. */
	ck_assert_int_eq(journal.ids[1], 2);
	ck_assert_int_eq(journal.ids[2], 3);
	ck_assert_int_eq(journal.ids[3], 4);
	stile_swgpu_queue_destroy(low);
	stile_swgpu_queue_destroy(same);
	stile_swgpu_queue_destroy(high);
}
END_TEST

/* ---- Waits --------------------------------------------------------------------------------- */

/* Wrong code: only the first one waited for, or any of them; those that are done counted as pending. */
START_TEST(list_waits_for_all_that_it_is_given) {
	struct stile_fence *waits[3] = { plain_fence_create(), plain_fence_create(),
		stile_fence_get_stub() };
	struct stile_fence *fence =
		gpu_submit_after(queue, gpu_steps(device, &journal, 1, 1), waits, 3);
	stile_fence_signal(waits[_i]);
	runner_sleep_ms(10);
	ck_assert_uint_eq(gpu_journal_count(&journal), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	stile_fence_signal(waits[1 - _i]);
	ck_assert_int_eq(gpu_finish(fence), 1);
	ck_assert_uint_eq(gpu_journal_count(&journal), 1);
	for (int i = 0; i < 3; i++) {
		stile_fence_unref(waits[i]);
	}
}
END_TEST

/* Wrong code: a list that waits keeps an engine from the others; it lets those behind it through. */
START_TEST(list_that_waits_occupies_no_engine) {
	reopen("engines=1");
	struct stile_fence *hold = plain_fence_create();
	struct stile_swgpu_queue *other = other_queue(0);
	struct stile_fence *waits =
		gpu_submit_after(queue, gpu_steps(device, &journal, 1, 1), &hold, 1);
	struct stile_fence *behind = gpu_submit(queue, gpu_steps(device, &journal, 2, 1));
	ck_assert_int_eq(gpu_finish(gpu_submit(other, gpu_steps(device, &journal, 3, 1))), 1);
	ck_assert_uint_eq(gpu_journal_count(&journal), 1);
	ck_assert_int_eq(stile_fence_get_status(behind), 0);
	stile_fence_signal(hold);
	ck_assert_int_eq(gpu_finish(behind), 1);
	ck_assert_int_eq(gpu_finish(waits), 1);
	ck_assert_int_eq(journal.ids[1], 1);
	ck_assert_int_eq(journal.ids[2], 2);
	stile_fence_unref(hold);
	stile_swgpu_queue_destroy(other);
}
END_TEST

/* Wrong code: a mere wait that needs an engine, and so depends on what others execute. */
START_TEST(list_without_commands_needs_no_engine) {
	reopen("engines=1");
	struct gpu_blocker blocker = { 0 };
	struct stile_swgpu_queue *other = other_queue(0);
	struct stile_fence *block = gpu_submit(queue, gpu_block(device, &blocker));
	gpu_blocker_await(&blocker, 1);
	ck_assert_int_eq(gpu_finish(gpu_submit(other, NULL)), 1);
	ck_assert_int_eq(stile_fence_get_status(block), 0);
	gpu_blocker_open(&blocker);
	ck_assert_int_eq(gpu_finish(block), 1);
	stile_swgpu_queue_destroy(other);
}
END_TEST

/* F-13. Wrong code: executed all the same; the error lost; spread to what comes after. `_i`: when it ends. */
START_TEST(wait_that_failed_is_the_end_of_the_list) {
	struct stile_fence *waits[2] = { stile_fence_get_stub(), plain_fence_create() };
	stile_fence_set_error(waits[1], -EREMOTEIO);
	if (_i == 0) {
		stile_fence_signal(waits[1]);
	}
	struct stile_fence *fence =
		gpu_submit_after(queue, gpu_steps(device, &journal, 1, 1), waits, 2);
	struct stile_fence *next = gpu_submit(queue, gpu_steps(device, &journal, 2, 1));
	stile_fence_signal(waits[1]);
	ck_assert_int_eq(gpu_finish(fence), -EREMOTEIO);
	ck_assert_int_eq(gpu_finish(next), 1);
	ck_assert_uint_eq(gpu_journal_count(&journal), 1);
	ck_assert_int_eq(journal.ids[0], 2);
	stile_fence_unref(waits[0]);
	stile_fence_unref(waits[1]);
}
END_TEST

/* Wrong code: containers that are not enabled, or whose error is not taken. */
START_TEST(list_waits_for_an_array) {
	struct stile_fence *members[2] = { plain_fence_create(), plain_fence_create() }, *array;
	ck_assert_int_eq(stile_array_create(members, 2, stile_fence_context_alloc(1), 1,
				 STILE_ARRAY_ALL, &array),
		0);
	struct stile_fence *fence =
		gpu_submit_after(queue, gpu_steps(device, &journal, 1, 1), &array, 1);
	stile_fence_unref(array);
	stile_fence_signal(members[0]);
	runner_sleep_ms(5);
	ck_assert_uint_eq(gpu_journal_count(&journal), 0);
	stile_fence_set_error(members[1], -EIO);
	stile_fence_signal(members[1]);
	ck_assert_int_eq(gpu_finish(fence), -EIO);
	stile_fence_unref(members[0]);
	stile_fence_unref(members[1]);
}
END_TEST

/* F-26. Wrong code: no reference on what is waited for; one that stays after the end. */
START_TEST(list_keeps_what_it_waits_for_until_it_ends) {
	struct stile_fence *hold = plain_fence_create();
	struct stile_fence *fence = gpu_submit_after(queue, NULL, &hold, 1);
	ck_assert_uint_eq(plain_refs(hold), 2);
	stile_fence_signal(hold);
	ck_assert_int_eq(gpu_finish(fence), 1);
	ck_assert_uint_eq(plain_refs(hold), 1);
	stile_fence_unref(hold);
}
END_TEST

/* Wrong code: queues that dead-lock on each other's locks; a chain of waits that breaks. */
START_TEST(queues_can_wait_for_each_other) {
	enum { COUNT = 200 };
	struct stile_swgpu_queue *queues[4];
	struct stile_fence *hold = plain_fence_create(), *last = stile_fence_ref(hold);
	for (int i = 0; i < 4; i++) {
		queues[i] = other_queue(i);
	}
	for (int i = 0; i < COUNT; i++) {
		struct stile_fence *next = gpu_submit_after(
			queues[i % 4], gpu_steps(device, &journal, i + 1, 1), &last, 1);
		stile_fence_unref(last);
		last = next;
	}
	stile_fence_signal(hold);
	ck_assert_int_eq(gpu_finish(last), 1);
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(journal.ids[i], i + 1);
	}
	for (int i = 0; i < 4; i++) {
		stile_swgpu_queue_destroy(queues[i]);
	}
	stile_fence_unref(hold);
}
END_TEST

static int submit_kernel(void *user, const struct stile_swgpu_row *rows, uint32_t y) {
	(void)rows;
	(void)y;
	return stile_swgpu_submit(user, NULL, NULL, NULL);
}

static struct stile_image *create_image(void) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = 4,
		.height = 4,
		.fourcc = DRM_FORMAT_R8,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	return image;
}

static struct stile_swgpu_list *create_list(void) {
	struct stile_swgpu_list *list;
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	return list;
}

/* Wrong code: a lock held while kernels are called. */
START_TEST(kernel_may_submit_to_its_own_queue) {
	struct stile_image *image = create_image();
	struct stile_swgpu_list *list = create_list();
	ck_assert_int_eq(stile_swgpu_list_kernel(list, &image, 1, submit_kernel, queue), 0);
	struct stile_fence *fence = gpu_submit(queue, list);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	struct stile_fence *last = gpu_submit(queue, NULL);
	/* One for each row of the image. */
	ck_assert_uint_eq(stile_fence_get_seqno(last), stile_fence_get_seqno(fence) + 5);
	ck_assert_int_eq(gpu_finish(last), 1);
	stile_fence_unref(fence);
	stile_image_unref(image);
}
END_TEST

/* ---- Reservations -------------------------------------------------------------------------- */

enum { BYTES = 4096 };

static struct stile_buffer *create_buffer(struct stile_resv *resv) {
	const struct stile_buffer_info info = {
		.size = sizeof(info),
		.bytes = BYTES,
		.resv = resv,
	};
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	return buffer;
}

static void record_fill(struct stile_swgpu_list *list, struct stile_buffer *buffer) {
	ck_assert_int_eq(stile_swgpu_list_fill_buffer(list, buffer, 0, BYTES, 0x01020304), 0);
}

static int record_copy(
	struct stile_swgpu_list *list, struct stile_buffer *from, struct stile_buffer *to) {
	const struct stile_swgpu_strided copy = {
		.size = sizeof(copy),
		.from = from,
		.to = to,
		.from_pitch = BYTES,
		.to_pitch = BYTES,
		.row_bytes = BYTES,
		.rows = 1,
	};
	return stile_swgpu_list_copy_buffer(list, &copy);
}

/* A list that writes a buffer, or reads it into another one. */
static struct stile_swgpu_list *use_list(
	struct stile_buffer *buffer, bool writes, struct stile_buffer *sink) {
	struct stile_swgpu_list *list = create_list();
	if (writes) {
		record_fill(list, buffer);
	} else {
		ck_assert_int_eq(record_copy(list, buffer, sink), 0);
	}
	return list;
}

static void add_fence(
	struct stile_buffer *buffer, struct stile_fence *fence, enum stile_resv_usage usage) {
	struct stile_resv *resv = stile_buffer_get_resv(buffer);
	ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
	ck_assert_int_eq(stile_resv_reserve_fences(resv, 1), 0);
	ck_assert_int_eq(stile_resv_add_fence(resv, fence, usage), 0);
	stile_resv_unlock(resv);
}

/* How a fence is found in a reservation; -1: not at all. */
static int find_usage(struct stile_buffer *buffer, const struct stile_fence *fence) {
	struct stile_resv *resv = stile_buffer_get_resv(buffer);
	struct stile_resv_iter iter;
	const struct stile_fence *at;
	int usage = -1, count = 0;
	ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
	stile_resv_iter_begin(&iter, resv, STILE_RESV_BOOKKEEP);
	while ((at = stile_resv_iter_next(&iter)) != NULL) {
		if (at == fence) {
			usage = (int)stile_resv_iter_get_usage(&iter);
			count++;
		}
	}
	stile_resv_iter_end(&iter);
	stile_resv_unlock(resv);
	ck_assert_int_le(count, 1);
	return usage;
}

static const struct {
	const char *options;
	bool writes;
	enum stile_resv_usage there;
	bool waits;
	enum stile_resv_usage added;
} implicit_cases[] = {
	{ NULL, false, STILE_RESV_KERNEL, true, STILE_RESV_READ },
	{ NULL, false, STILE_RESV_WRITE, true, STILE_RESV_READ },
	{ NULL, false, STILE_RESV_READ, false, STILE_RESV_READ },
	{ NULL, false, STILE_RESV_BOOKKEEP, false, STILE_RESV_READ },
	{ NULL, true, STILE_RESV_KERNEL, true, STILE_RESV_WRITE },
	{ NULL, true, STILE_RESV_WRITE, true, STILE_RESV_WRITE },
	{ NULL, true, STILE_RESV_READ, true, STILE_RESV_WRITE },
	{ NULL, true, STILE_RESV_BOOKKEEP, false, STILE_RESV_WRITE },
	{ "implicit_sync=no", false, STILE_RESV_KERNEL, true, STILE_RESV_BOOKKEEP },
	{ "implicit_sync=no", false, STILE_RESV_WRITE, false, STILE_RESV_BOOKKEEP },
	{ "implicit_sync=no", true, STILE_RESV_KERNEL, true, STILE_RESV_BOOKKEEP },
	{ "implicit_sync=no", true, STILE_RESV_WRITE, false, STILE_RESV_BOOKKEEP },
	{ "implicit_sync=no", true, STILE_RESV_READ, false, STILE_RESV_BOOKKEEP },
};

/*
 * Section 19. Wrong code: readers that wait for readers; writers that do not; an explicit device that waits,
 * or that does not wait for moves; fences with the wrong usage, so that others wait in vain or not at all.
 */
START_TEST(uses_of_buffers_are_waited_for_and_told) {
	bool waits = implicit_cases[_i].waits;
	reopen(implicit_cases[_i].options);
	struct stile_buffer *buffer = create_buffer(NULL), *sink = create_buffer(NULL);
	struct stile_swgpu_list *list = use_list(buffer, implicit_cases[_i].writes, sink);
	struct stile_fence *there = plain_fence_create();
	add_fence(buffer, there, implicit_cases[_i].there);
	struct stile_fence *fence = gpu_submit(queue, list);
	if (waits) {
		ck_assert_int_eq(find_usage(buffer, fence), implicit_cases[_i].added);
		runner_sleep_ms(5);
		ck_assert_int_eq(stile_fence_get_status(fence), 0);
		stile_fence_signal(there);
		ck_assert_int_eq(plain_fence_finish(fence), 1);
	} else {
		ck_assert_int_eq(plain_fence_finish(fence), 1);
		ck_assert_int_eq(find_usage(buffer, fence), implicit_cases[_i].added);
		stile_fence_signal(there);
	}
	stile_fence_unref(fence);
	stile_buffer_unref(buffer);
	stile_buffer_unref(sink);
	stile_fence_unref(there);
}
END_TEST

/* Wrong code: what others did wrong ends lists that only come after them. */
START_TEST(error_of_an_implicit_wait_is_not_the_lists) {
	struct stile_buffer *buffer = create_buffer(NULL);
	struct stile_swgpu_list *list = use_list(buffer, true, NULL);
	struct stile_fence *there = plain_fence_create();
	add_fence(buffer, there, STILE_RESV_WRITE);
	struct stile_fence *fence = gpu_submit(queue, list);
	stile_fence_set_error(there, -EIO);
	stile_fence_signal(there);
	ck_assert_int_eq(gpu_finish(fence), 1);
	stile_buffer_unref(buffer);
	stile_fence_unref(there);
}
END_TEST

/* Wrong code: no room for the second use; a reader's fence that hides the writer's. */
START_TEST(buffers_may_share_a_reservation) {
	struct stile_resv resv;
	stile_resv_init(&resv);
	struct stile_buffer *a = create_buffer(&resv), *b = create_buffer(&resv);
	struct stile_fence *hold = plain_fence_create();
	struct stile_swgpu_list *list = create_list();
	ck_assert_int_eq(_i == 0 ? record_copy(list, a, b) : record_copy(list, b, a), 0);
	struct stile_fence *fence = gpu_submit_after(queue, list, &hold, 1);
	ck_assert_int_eq(find_usage(a, fence), STILE_RESV_WRITE);
	stile_fence_signal(hold);
	ck_assert_int_eq(gpu_finish(fence), 1);
	stile_fence_unref(hold);
	stile_buffer_unref(a);
	stile_buffer_unref(b);
	stile_resv_fini(&resv);
}
END_TEST

/* Wrong code: one that is used twice locked or counted twice; more than fit the stack lost. */
START_TEST(list_may_use_many_buffers) {
	enum { COUNT = 40 };
	struct stile_buffer *buffers[COUNT];
	struct stile_fence *holds[COUNT];
	struct stile_swgpu_list *list = create_list();
	for (int i = 0; i < COUNT; i++) {
		buffers[i] = create_buffer(NULL);
		record_fill(list, buffers[i]);
		record_fill(list, buffers[i / 2]);
		holds[i] = plain_fence_create();
		add_fence(buffers[i], holds[i], STILE_RESV_READ);
	}
	struct stile_fence *fence = gpu_submit(queue, list);
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(stile_fence_get_status(fence), 0);
		ck_assert_int_eq(find_usage(buffers[i], fence), STILE_RESV_WRITE);
		stile_fence_signal(holds[i]);
		stile_fence_unref(holds[i]);
	}
	ck_assert_int_eq(gpu_finish(fence), 1);
	for (int i = 0; i < COUNT; i++) {
		stile_buffer_unref(buffers[i]);
	}
}
END_TEST

/* Wrong code: a wait for each buffer. */
START_TEST(user_of_two_buffers_is_waited_for_once) {
	struct stile_buffer *a = create_buffer(NULL), *b = create_buffer(NULL);
	struct stile_fence *there = plain_fence_create();
	struct stile_swgpu_list *list = create_list();
	add_fence(a, there, STILE_RESV_WRITE);
	add_fence(b, there, STILE_RESV_WRITE);
	ck_assert_int_eq(record_copy(list, a, b), 0);
	struct stile_fence *fence = gpu_submit(queue, list);
	/* The test's, one of each reservation, one of the list. */
	ck_assert_uint_eq(plain_refs(there), 4);
	stile_fence_signal(there);
	ck_assert_int_eq(gpu_finish(fence), 1);
	stile_fence_unref(there);
	stile_buffer_unref(a);
	stile_buffer_unref(b);
}
END_TEST

/* Wrong code: the memory written before those who read it are done. */
START_TEST(writer_behind_a_reader_of_another_queue_comes_after) {
	struct stile_swgpu_queue *other = other_queue(0);
	struct stile_buffer *a = create_buffer(NULL), *b = create_buffer(NULL);
	struct stile_fence *hold = plain_fence_create();
	struct stile_fence *reader = gpu_submit_after(queue, use_list(a, false, b), &hold, 1);
	struct stile_fence *writer = gpu_submit(other, use_list(a, true, NULL));
	runner_sleep_ms(5);
	ck_assert_int_eq(stile_fence_get_status(writer), 0);
	stile_fence_signal(hold);
	ck_assert_int_eq(gpu_finish(writer), 1);
	ck_assert_int_eq(gpu_finish(reader), 1);
	void *bytes;
	ck_assert_int_eq(stile_buffer_mmap(b, STILE_USAGE_READ, &bytes), 0);
	ck_assert_uint_eq(*(uint32_t *)bytes, 0);
	stile_buffer_munmap(b, bytes);
	stile_fence_unref(hold);
	stile_swgpu_queue_destroy(other);
	stile_buffer_unref(a);
	stile_buffer_unref(b);
}
END_TEST

struct last_look {
	struct stile_callback callback;
	struct stile_fence *kept;
	struct stile_buffer *used;
	uint32_t refs;
	uint32_t buffer_refs;
};

static void look_at_refs(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct last_look *look = CONTAINER_OF(callback, struct last_look, callback);
	look->refs = plain_refs(look->kept);
	look->buffer_refs = __atomic_load_n(&look->used->refs, __ATOMIC_RELAXED);
}

/* Wrong code: what a list keeps is dropped after its fence told that it ended. */
START_TEST(nothing_is_kept_when_the_fence_ends) {
	/* Who signals the second one may have a reference on it for a moment. */
	struct stile_fence *waits[2] = { plain_fence_create(), plain_fence_create() };
	struct last_look look = { .kept = waits[0], .used = create_buffer(NULL) };
	struct stile_swgpu_list *list = use_list(look.used, true, NULL);
	stile_fence_signal(waits[0]);
	struct stile_fence *fence = gpu_submit_after(queue, list, waits, 2);
	ck_assert_uint_eq(plain_refs(waits[0]), 2);
	ck_assert_int_eq(stile_fence_add_callback(fence, &look.callback, look_at_refs), 0);
	stile_fence_signal(waits[1]);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	ck_assert(!stile_fence_remove_callback(fence, &look.callback));
	ck_assert_uint_eq(look.refs, 1);
	ck_assert_uint_eq(look.buffer_refs, 1);
	stile_buffer_unref(look.used);
	stile_fence_unref(fence);
	stile_fence_unref(waits[0]);
	stile_fence_unref(waits[1]);
}
END_TEST

/* ---- Time-outs ----------------------------------------------------------------------------- */

/* Wrong code: waits for ever; the time of one list spent by those behind; a late end that crashes. */
START_TEST(wait_that_takes_too_long_ends_the_list_alone) {
	struct stile_swgpu_queue *quick = gpu_queue(device, "quick", 0, 500 * MS);
	struct stile_fence *hold = plain_fence_create();
	struct stile_fence *late =
		gpu_submit_after(quick, gpu_steps(device, &journal, 1, 1), &hold, 1);
	struct stile_fence *next = gpu_submit(quick, gpu_steps(device, &journal, 2, 1));
	ck_assert_int_eq(gpu_finish(late), -ETIME);
	ck_assert_int_eq(gpu_finish(next), 1);
	ck_assert_uint_eq(plain_refs(hold), 1);
	stile_fence_signal(hold);
	ck_assert_int_eq(gpu_finish(gpu_submit(quick, gpu_steps(device, &journal, 3, 1))), 1);
	ck_assert_uint_eq(gpu_journal_count(&journal), 2);
	stile_fence_unref(hold);
	stile_swgpu_queue_destroy(quick);
}
END_TEST

static int slow_row(void *user, const struct stile_swgpu_row *rows, uint32_t y) {
	(void)rows;
	(void)y;
	__atomic_fetch_add((uint32_t *)user, 1, __ATOMIC_RELAXED);
	runner_sleep_ms(5);
	return 0;
}

/* Wrong code: nobody looks at the clock while the only engine is busy. */
START_TEST(kernel_that_takes_too_long_is_stopped) {
	enum { ROWS = 4000 };
	reopen("engines=1");
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = 1,
		.height = ROWS,
		.fourcc = DRM_FORMAT_R8,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
	};
	struct stile_image *image;
	uint32_t done = 0;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	struct stile_swgpu_queue *quick = gpu_queue(device, "quick", 0, 500 * MS);
	struct stile_swgpu_list *list = create_list();
	ck_assert_int_eq(stile_swgpu_list_kernel(list, &image, 1, slow_row, &done), 0);
	struct stile_fence *late = gpu_submit(quick, list);
	struct stile_fence *next = gpu_submit(quick, gpu_steps(device, &journal, 2, 1));
	ck_assert_int_eq(gpu_finish(late), -ETIME);
	ck_assert_int_eq(gpu_finish(next), 1);
	ck_assert_uint_lt(done, ROWS);
	stile_swgpu_queue_destroy(quick);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: a success long after the time was over; commands executed after it was. */
START_TEST(list_that_is_late_ends_with_etime_even_if_done) {
	struct gpu_blocker blocker = { 0 };
	struct stile_swgpu_queue *quick = gpu_queue(device, "quick", 0, 300 * MS);
	struct stile_fence *late = gpu_submit(quick, gpu_block(device, &blocker));
	gpu_blocker_await(&blocker, 1);
	runner_sleep_ms(400);
	gpu_blocker_open(&blocker);
	ck_assert_int_eq(gpu_finish(late), -ETIME);
	stile_swgpu_queue_destroy(quick);
}
END_TEST

/* Wrong code: while all engines are busy, waits of others do not time out. */
START_TEST(waits_time_out_while_all_engines_are_busy) {
	reopen("engines=1");
	struct gpu_blocker blocker = { 0 };
	struct stile_swgpu_queue *quick = gpu_queue(device, "quick", 0, 20 * MS);
	struct stile_fence *hold = plain_fence_create();
	struct stile_fence *block = gpu_submit(queue, gpu_block(device, &blocker));
	gpu_blocker_await(&blocker, 1);
	struct stile_fence *late = gpu_submit_after(quick, NULL, &hold, 1);
	/* That one waits for the engine. */
	struct stile_fence *starved = gpu_submit(quick, gpu_steps(device, &journal, 1, 1));
	ck_assert_int_eq(gpu_finish(late), -ETIME);
	ck_assert_int_eq(gpu_finish(starved), -ETIME);
	ck_assert_int_eq(stile_fence_get_status(block), 0);
	gpu_blocker_open(&blocker);
	ck_assert_int_eq(gpu_finish(block), 1);
	stile_fence_signal(hold);
	stile_fence_unref(hold);
	stile_swgpu_queue_destroy(quick);
}
END_TEST

/* Wrong code: who looks at the clock does so for the time-out that was first, not for a shorter one. */
START_TEST(shorter_time_out_that_comes_later_is_seen) {
	struct stile_fence *hold = plain_fence_create(), *fences[4];
	struct stile_swgpu_queue *queues[4];
	static const int64_t timeouts[] = { 60000 * MS, 30000 * MS, 20 * MS, 60000 * MS };
	for (size_t i = 0; i < ARRAY_LENGTH(queues); i++) {
		queues[i] = gpu_queue(device, "queue", 0, timeouts[i]);
		fences[i] = gpu_submit_after(queues[i], NULL, &hold, 1);
	}
	ck_assert_int_eq(gpu_finish(fences[2]), -ETIME);
	ck_assert_int_eq(stile_fence_get_status(fences[0]), 0);
	stile_fence_signal(hold);
	for (size_t i = 0; i < ARRAY_LENGTH(queues); i++) {
		if (i != 2) {
			ck_assert_int_eq(gpu_finish(fences[i]), 1);
		}
		stile_swgpu_queue_destroy(queues[i]);
	}
	stile_fence_unref(hold);
}
END_TEST

/* ---- The end ------------------------------------------------------------------------------- */

/* Wrong code: waits for ever; fences left pending; what has begun cut off; what has not, executed. */
START_TEST(destroyed_queue_finishes_what_runs_and_cancels_the_rest) {
	struct gpu_blocker blocker = { 0 };
	struct stile_swgpu_queue *other = other_queue(0);
	struct stile_fence *hold = plain_fence_create(), *fences[4];
	fences[0] = gpu_submit(other, gpu_block(device, &blocker));
	fences[1] = gpu_submit(other, gpu_steps(device, &journal, 1, 1));
	fences[2] = gpu_submit_after(other, gpu_steps(device, &journal, 2, 1), &hold, 1);
	fences[3] = gpu_submit(other, NULL);
	gpu_blocker_await(&blocker, 1);
	gpu_blocker_open(&blocker);
	if (_i == 0) {
		/* So that the one that waits is the first. */
		ck_assert_int_eq(plain_fence_finish(fences[1]), 1);
	}
	stile_swgpu_queue_destroy(other);
	ck_assert_int_eq(stile_fence_get_status(fences[0]), 1);
	ck_assert_int_eq(stile_fence_get_status(fences[2]), -ECANCELED);
	ck_assert_int_eq(stile_fence_get_status(fences[3]), -ECANCELED);
	ck_assert_int_eq(gpu_journal_find(&journal, 2), -1);
	/* The device goes on. */
	ck_assert_int_eq(gpu_finish(gpu_submit(queue, gpu_steps(device, &journal, 3, 1))), 1);
	stile_fence_signal(hold);
	stile_fence_unref(hold);
	for (int i = 0; i < 4; i++) {
		stile_fence_unref(fences[i]);
	}
}
END_TEST

/* Wrong code: only the first queue is stopped; threads that stay; a hang on what waits for a queue that went. */
START_TEST(destroyed_device_ends_all_queues) {
	struct gpu_blocker blocker = { 0 };
	struct stile_fence *hold = plain_fence_create(), *fences[6];
	struct stile_swgpu_queue *queues[3];
	for (int i = 0; i < 3; i++) {
		queues[i] = other_queue(i);
	}
	fences[0] = gpu_submit(queues[0], gpu_block(device, &blocker));
	gpu_blocker_await(&blocker, 1);
	fences[1] = gpu_submit_after(queues[1], gpu_steps(device, &journal, 1, 1), &hold, 1);
	fences[2] = gpu_submit_after(queues[2], gpu_steps(device, &journal, 2, 1), &fences[1], 1);
	fences[3] = gpu_submit_after(queues[0], gpu_steps(device, &journal, 3, 1), &fences[2], 1);
	fences[4] = gpu_submit_after(queue, gpu_steps(device, &journal, 4, 1), &fences[3], 1);
	fences[5] = gpu_submit(queue, NULL);
	gpu_blocker_open(&blocker);
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(stile_fence_get_status(fences[0]), 1);
	for (int i = 1; i < 6; i++) {
		ck_assert_int_eq(stile_fence_get_status(fences[i]), -ECANCELED);
	}
	ck_assert_uint_eq(gpu_journal_count(&journal), 0);
	for (int i = 0; i < 6; i++) {
		stile_fence_unref(fences[i]);
	}
	stile_fence_signal(hold);
	stile_fence_unref(hold);
}
END_TEST

static void *signal_run(void *arg) {
	stile_fence_signal(arg);
	return NULL;
}

/* Wrong code: a callback of a wait that runs into a queue, or a device, that has gone; sanitizers see it. */
START_TEST(destroy_against_the_end_of_a_wait) {
	for (int round = 0; round < 40; round++) {
		struct stile_swgpu_queue *other = other_queue(0);
		struct stile_fence *hold = plain_fence_create();
		struct stile_fence *fence = gpu_submit_after(other, NULL, &hold, 1);
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, signal_run, hold), 0);
		if (round % 4 == 0) {
			reopen(NULL);
		} else {
			stile_swgpu_queue_destroy(other);
		}
		int status = stile_fence_get_status(fence);
		ck_assert_msg(status == 1 || status == -ECANCELED, "%d", status);
		pthread_join(thread, NULL);
		stile_fence_unref(fence);
		stile_fence_unref(hold);
	}
}
END_TEST

/* Wrong code: fences that stay pending, or succeed; calls that still work. */
START_TEST(lost_device_fails_all_that_is_pending_and_all_that_comes) {
	struct gpu_blocker blocker = { 0 };
	struct stile_swgpu_queue *other = other_queue(0), *third;
	struct stile_fence *hold = plain_fence_create(), *fences[4];
	fences[0] = gpu_submit(queue, gpu_block(device, &blocker));
	fences[1] = gpu_submit(queue, gpu_steps(device, &journal, 1, 1));
	fences[2] = gpu_submit_after(other, gpu_steps(device, &journal, 2, 1), &hold, 1);
	fences[3] = gpu_submit(other, NULL);
	struct stile_swgpu_list *list = gpu_steps(device, &journal, 3, 1);
	gpu_blocker_await(&blocker, 1);
	ck_assert_int_eq(stile_swgpu_lose(device), 0);
	ck_assert_int_eq(gpu_finish(fences[2]), -EIO);
	ck_assert_int_eq(gpu_finish(fences[3]), -EIO);
	ck_assert_int_eq(stile_fence_get_status(fences[0]), 0);
	gpu_blocker_open(&blocker);
	ck_assert_int_eq(gpu_finish(fences[0]), -EIO);
	ck_assert_int_eq(gpu_finish(fences[1]), -EIO);
	ck_assert_uint_eq(gpu_journal_count(&journal), 0);

	ck_assert_int_eq(stile_swgpu_lose(device), 0);
	struct stile_fence *fence = hold;
	ck_assert_int_eq(stile_swgpu_submit(other, list, NULL, &fence), -EIO);
	ck_assert_ptr_null(fence);
	stile_swgpu_list_destroy(list);
	ck_assert_int_eq(stile_swgpu_queue_create(device, NULL, &third), -EIO);
	ck_assert_ptr_null(third);
	ck_assert_int_eq(stile_swgpu_gate(device, hold, &fence), -EIO);
	stile_fence_signal(hold);
	stile_fence_unref(hold);
	stile_swgpu_queue_destroy(other);
}
END_TEST

/* ---- Mistakes and shortages ---------------------------------------------------------------- */

/* Wrong code: sizes not looked at; a list of another device that is executed by this one. */
START_TEST(impossible_arguments_are_refused) {
	struct stile_device *another = gpu_open(NULL);
	struct stile_swgpu_list *list;
	struct stile_fence *none = NULL, *fence = (struct stile_fence *)&list;
	ck_assert_int_eq(stile_swgpu_list_create(another, &list), 0);
	ck_assert_int_eq(stile_swgpu_submit(queue, list, NULL, &fence), -EINVAL);
	ck_assert_ptr_null(fence);
	stile_swgpu_list_destroy(list);
	stile_device_destroy(another);

	struct stile_swgpu_submit_info info = { .size = sizeof(info), .wait_count = 1 };
	ck_assert_int_eq(stile_swgpu_submit(queue, NULL, &info, NULL), -EINVAL);
	info.waits = &none;
	ck_assert_int_eq(stile_swgpu_submit(queue, NULL, &info, NULL), -EINVAL);
	info.size = 1;
	ck_assert_int_eq(stile_swgpu_submit(queue, NULL, &info, NULL), -EINVAL);
	struct {
		struct stile_swgpu_submit_info info;
		uint64_t more;
	} newer = { .info.size = sizeof(newer), .more = 1 };
	ck_assert_int_eq(stile_swgpu_submit(queue, NULL, &newer.info, NULL), -E2BIG);

	struct stile_swgpu_queue_info about = { .size = sizeof(about), .timeout_ns = -1 };
	struct stile_swgpu_queue *other = queue;
	ck_assert_int_eq(stile_swgpu_queue_create(device, &about, &other), -EINVAL);
	ck_assert_ptr_null(other);
	about.size = 3;
	ck_assert_int_eq(stile_swgpu_queue_create(device, &about, &other), -EINVAL);
	stile_swgpu_queue_destroy(NULL);
}
END_TEST

/* M-14. Wrong code: a dead-lock with oneself; something locked that stays. `_i`: how many buffers. */
START_TEST(submitting_with_a_reservation_locked_is_edeadlk) {
	ledger_expect_complaint("reservation");
	struct stile_buffer *a = create_buffer(NULL), *b = create_buffer(NULL);
	struct stile_swgpu_list *list = create_list();
	record_fill(list, a);
	if (_i == 1) {
		record_fill(list, b);
	}
	struct stile_resv *resv = stile_buffer_get_resv(a);
	ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
	ck_assert_int_eq(stile_swgpu_submit(queue, list, NULL, NULL), -EDEADLK);
	stile_resv_unlock(resv);
	ck_assert(!stile_resv_is_locked(stile_buffer_get_resv(b)));
	ck_assert_int_eq(gpu_finish(gpu_submit(queue, list)), 1);
	stile_buffer_unref(a);
	stile_buffer_unref(b);
}
END_TEST

struct sweep {
	struct stile_swgpu_list *list;
	struct stile_buffer *buffers[20];
	struct stile_fence *there[20]; /* who reads them */
	struct stile_fence *waits[2];
	struct stile_fence *fence;
};

static int sweep_attempt(void *user) {
	struct sweep *sweep = user;
	const struct stile_swgpu_submit_info info = {
		.size = sizeof(info),
		.waits = sweep->waits,
		.wait_count = 2,
	};
	return stile_swgpu_submit(queue, sweep->list, &info, &sweep->fence);
}

static size_t count_fences(struct stile_buffer *buffer) {
	struct stile_fence *fences[8];
	size_t count = ARRAY_LENGTH(fences);
	ck_assert_int_eq(stile_resv_get_fences(stile_buffer_get_resv(buffer), STILE_RESV_BOOKKEEP,
				 fences, &count),
		0);
	for (size_t i = 0; i < count; i++) {
		stile_fence_unref(fences[i]);
	}
	return count;
}

static void sweep_after(void *user, int ret) {
	struct sweep *sweep = user;
	for (size_t i = 0; ret < 0 && i < ARRAY_LENGTH(sweep->buffers); i++) {
		ck_assert(!stile_resv_is_locked(stile_buffer_get_resv(sweep->buffers[i])));
		ck_assert_uint_eq(count_fences(sweep->buffers[i]), 1);
		ck_assert_uint_eq(plain_refs(sweep->there[i]), 2);
	}
	ck_assert(ret == 0 || sweep->fence == NULL);
	ck_assert_uint_eq(plain_refs(sweep->waits[1]), ret == 0 ? 2 : 1);
}

/*
 * Wrong code: a fence left in a reservation, a lock held, a wait listened to, the list taken over although it
 * was not submitted.
 */
START_TEST(submission_without_memory_leaves_nothing_behind) {
	static const int errors[] = { -ENOMEM, -EMFILE, 0 };
	struct sweep sweep = {
		.list = create_list(),
		.waits = { stile_fence_get_stub(), plain_fence_create() },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(sweep.buffers); i++) {
		sweep.buffers[i] = create_buffer(NULL);
		sweep.there[i] = plain_fence_create();
		record_fill(sweep.list, sweep.buffers[i]);
		add_fence(sweep.buffers[i], sweep.there[i], STILE_RESV_READ);
	}
	ck_assert_uint_gt(failing_sweep(sweep_attempt, sweep_after, &sweep, errors), 3);
	ck_assert_int_eq(find_usage(sweep.buffers[19], sweep.fence), STILE_RESV_WRITE);
	stile_fence_signal(sweep.waits[1]);
	for (size_t i = 0; i < ARRAY_LENGTH(sweep.buffers); i++) {
		stile_fence_signal(sweep.there[i]);
		stile_fence_unref(sweep.there[i]);
	}
	ck_assert_int_eq(gpu_finish(sweep.fence), 1);
	for (size_t i = 0; i < ARRAY_LENGTH(sweep.buffers); i++) {
		stile_buffer_unref(sweep.buffers[i]);
	}
	stile_fence_unref(sweep.waits[0]);
	stile_fence_unref(sweep.waits[1]);
}
END_TEST

static int create_attempt(void *user) {
	return stile_swgpu_queue_create(device, NULL, user);
}

static void create_after(void *user, int ret) {
	struct stile_swgpu_queue **created = user;
	ck_assert(ret == 0 || *created == NULL);
	stile_swgpu_queue_destroy(*created);
}

/* Wrong code: a result without memory behind it. */
START_TEST(queue_without_memory_is_enomem) {
	static const int errors[] = { -ENOMEM, 0 };
	struct stile_swgpu_queue *created;
	ck_assert_uint_gt(failing_sweep(create_attempt, create_after, &created, errors), 0);
}
END_TEST

/* ---- Work of the backend ------------------------------------------------------------------- */

static const char *const work_modes[] = { "engines=1", "seed=3" };

struct note {
	uint32_t ran;             /* by atomic access */
	struct stile_fence *wait; /* has it ended by then? */
	bool was_over;
};

static void note_run(void *user) {
	struct note *note = user;
	note->was_over = note->wait == NULL || stile_fence_get_status(note->wait) != 0;
	__atomic_fetch_add(&note->ran, 1, __ATOMIC_RELEASE);
}

static struct stile_fence *submit_work(
	struct stile_swgpu_queue *to, struct note *note, struct stile_fence *wait) {
	const struct queue_work work = { .name = "note", .run = note_run, .user = note };
	struct stile_fence *fence;
	note->wait = wait;
	ck_assert_int_eq(queue_submit_work(to, &work, &wait, wait != NULL, &fence), 0);
	return fence;
}

static struct stile_swgpu_queue *moves_queue(void) {
	return swgpu_get(device)->moves;
}

/* Wrong code: work that does not wait, that overtakes, or that fails because others did. */
START_TEST(work_runs_behind_what_it_waits_for) {
	reopen(work_modes[_i]);
	struct note notes[2] = { 0 };
	struct stile_fence *hold = plain_fence_create();
	struct stile_fence *first = submit_work(moves_queue(), &notes[0], hold);
	struct stile_fence *second = submit_work(moves_queue(), &notes[1], first);
	runner_sleep_ms(5);
	ck_assert_int_eq(stile_fence_get_status(first), 0);
	stile_fence_set_error(hold, -EIO);
	stile_fence_signal(hold);
	ck_assert_int_eq(gpu_finish(second), 1);
	ck_assert_int_eq(gpu_finish(first), 1);
	ck_assert(notes[0].ran == 1 && notes[0].was_over);
	ck_assert(notes[1].ran == 1 && notes[1].was_over);
	stile_fence_unref(hold);
}
END_TEST

/* Wrong code: memory that is never moved, and whoever waits for that waits for ever. */
START_TEST(work_runs_on_a_lost_device_too) {
	reopen(work_modes[_i]);
	struct note notes[2] = { 0 };
	struct stile_fence *hold = plain_fence_create();
	struct stile_fence *before = submit_work(moves_queue(), &notes[0], hold);
	ck_assert_int_eq(stile_swgpu_lose(device), 0);
	struct stile_fence *after = submit_work(moves_queue(), &notes[1], NULL);
	runner_sleep_ms(5);
	ck_assert_int_eq(stile_fence_get_status(before), 0);
	stile_fence_signal(hold);
	ck_assert_int_eq(gpu_finish(before), 1);
	ck_assert_int_eq(gpu_finish(after), 1);
	ck_assert(notes[0].ran == 1 && notes[0].was_over && notes[1].ran == 1);
	stile_fence_unref(hold);
}
END_TEST

/* Wrong code: work that waits for ever, or is not done at all. */
START_TEST(work_runs_when_its_time_is_over) {
	reopen(work_modes[_i]);
	struct stile_swgpu_queue *quick = gpu_queue(device, "quick", 0, 50 * MS);
	struct note note = { 0 };
	struct stile_fence *hold = plain_fence_create();
	struct stile_fence *fence = submit_work(quick, &note, hold);
	if (_i == 1) {
		ck_assert_int_eq(stile_swgpu_advance(device, 50 * MS), 0);
	}
	ck_assert_int_eq(gpu_finish(fence), 1);
	ck_assert(note.ran == 1 && !note.was_over);
	ck_assert_uint_eq(plain_refs(hold), 1);
	stile_fence_signal(hold);
	stile_fence_unref(hold);
	stile_swgpu_queue_destroy(quick);
}
END_TEST

static void *signal_late_run(void *arg) {
	runner_sleep_ms(50);
	stile_fence_signal(arg);
	return NULL;
}

/* Wrong code: dropped with the device; done while others are still at the memory. */
START_TEST(device_that_stops_does_its_work_first) {
	reopen(work_modes[_i]);
	struct note notes[2] = { 0 };
	struct stile_fence *hold = plain_fence_create(), *never = plain_fence_create();
	struct stile_fence *list = gpu_submit_after(queue, NULL, &never, 1);
	struct stile_fence *behind = submit_work(moves_queue(), &notes[0], list);
	struct stile_fence *fence = submit_work(moves_queue(), &notes[1], hold);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_late_run, hold), 0);
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(plain_fence_finish(list), -ECANCELED);
	ck_assert_int_eq(gpu_finish(behind), 1);
	ck_assert_int_eq(gpu_finish(fence), 1);
	ck_assert(notes[0].ran == 1 && notes[0].was_over);
	ck_assert(notes[1].ran == 1 && notes[1].was_over);
	pthread_join(thread, NULL);
	stile_fence_signal(never);
	stile_fence_unref(never);
	stile_fence_unref(list);
	stile_fence_unref(hold);
}
END_TEST

/* ---- All at once --------------------------------------------------------------------------- */

enum { STRESS_QUEUES = 4, STRESS_LISTS = 60 };

struct stress {
	struct stile_swgpu_queue *queue;
	uint64_t random;
	int first_id;
	struct stile_fence *fences[STRESS_LISTS];
	struct stile_buffer *const *buffers; /* NULL: none, as nobody would wait for their users */
	/* By atomic access: of all queues, for others to wait for; a reference each. */
	struct stile_fence **latest;
};

/* A list that reads or writes buffers, or notes its number. */
static struct stile_swgpu_list *stress_list(struct stress *stress, int i) {
	if (stress->buffers == NULL || runner_random(&stress->random) % 2 == 0) {
		return gpu_steps(device, &journal, stress->first_id + i,
			1 + (unsigned)(runner_random(&stress->random) % 3));
	}
	struct stile_buffer *a = stress->buffers[runner_random(&stress->random) % 3];
	struct stile_buffer *b = stress->buffers[3 + runner_random(&stress->random) % 3];
	struct stile_swgpu_list *list;
	bool swap = runner_random(&stress->random) % 2 == 0;
	runner_require(stile_swgpu_list_create(device, &list) == 0 &&
			record_copy(list, swap ? b : a, swap ? a : b) == 0,
		"no list");
	return list;
}

static void *stress_run(void *arg) {
	struct stress *stress = arg;
	for (int i = 0; i < STRESS_LISTS; i++) {
		struct stile_fence *waits[STRESS_QUEUES];
		size_t count = 0;
		for (int other = 0; other < STRESS_QUEUES; other++) {
			if (runner_random(&stress->random) % 4 == 0) {
				waits[count] = stile_fence_ref_slot(&stress->latest[other]);
				count += waits[count] != NULL;
			}
		}
		stress->fences[i] =
			gpu_submit_after(stress->queue, stress_list(stress, i), waits, count);
		while (count > 0) {
			stile_fence_unref(waits[--count]);
		}
		struct stile_fence **slot =
			&stress->latest[runner_random(&stress->random) % STRESS_QUEUES];
		stile_fence_unref(
			stile_fence_exchange_slot(slot, stile_fence_ref(stress->fences[i])));
	}
	return NULL;
}

/* Wrong code: whatever is not safe with threads; a fence that never ends; an order that is not kept. */
START_TEST(threads_queues_waits_and_buffers_at_once) {
	uint64_t random = runner_seed();
	struct stile_fence *latest[STRESS_QUEUES] = { NULL };
	struct stile_buffer *buffers[6];
	static struct stress stresses[STRESS_QUEUES];
	pthread_t threads[STRESS_QUEUES];
	reopen(_i == 0 ? "engines=1" : _i == 1 ? "engines=3" : "engines=2 implicit_sync=no");
	for (size_t i = 0; i < ARRAY_LENGTH(buffers); i++) {
		buffers[i] = create_buffer(NULL);
	}
	for (int i = 0; i < STRESS_QUEUES; i++) {
		stresses[i] = (struct stress){
			.queue = other_queue(i / 2),
			.random = runner_random(&random),
			.first_id = 1000 * (i + 1),
			.buffers = _i == 2 ? NULL : buffers,
			.latest = latest,
		};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, stress_run, &stresses[i]), 0);
	}
	for (int i = 0; i < STRESS_QUEUES; i++) {
		pthread_join(threads[i], NULL);
	}
	for (int i = 0; i < STRESS_QUEUES; i++) {
		stile_fence_unref(stile_fence_exchange_slot(&latest[i], NULL));
		for (int j = 0; j < STRESS_LISTS; j++) {
			ck_assert_int_eq(gpu_finish(stresses[i].fences[j]), 1);
		}
	}
	/* Of each queue, numbers do not fall. */
	int last[STRESS_QUEUES + 1] = { 0 };
	for (uint32_t i = 0; i < gpu_journal_count(&journal); i++) {
		int id = journal.ids[i];
		ck_assert_int_ge(id, last[id / 1000]);
		last[id / 1000] = id;
	}
	for (int i = 0; i < STRESS_QUEUES; i++) {
		stile_swgpu_queue_destroy(stresses[i].queue);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(buffers); i++) {
		stile_buffer_unref(buffers[i]);
	}
}
END_TEST

static TCase *case_create(const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 100);
	return tcase;
}

static Suite *make_suite(void) {
	Suite *suite = suite_create("queue");
	TCase *tcase = case_create("order");
	tcase_add_test(tcase, lists_of_a_queue_are_executed_in_order);
	tcase_add_test(tcase, commands_of_a_list_are_executed_in_order);
	tcase_add_test(tcase, each_queue_is_a_timeline_with_a_name);
	tcase_add_test(tcase, long_name_is_cut);
	tcase_add_test(tcase, fence_ends_when_all_is_done);
	tcase_add_test(tcase, four_queues_share_two_engines);
	tcase_add_test(tcase, higher_priority_goes_first);
	suite_add_tcase(suite, tcase);

	tcase = case_create("waits");
	tcase_add_loop_test(tcase, list_waits_for_all_that_it_is_given, 0, 2);
	tcase_add_test(tcase, list_that_waits_occupies_no_engine);
	tcase_add_test(tcase, list_without_commands_needs_no_engine);
	tcase_add_loop_test(tcase, wait_that_failed_is_the_end_of_the_list, 0, 2);
	tcase_add_test(tcase, list_waits_for_an_array);
	tcase_add_test(tcase, list_keeps_what_it_waits_for_until_it_ends);
	tcase_add_test(tcase, queues_can_wait_for_each_other);
	tcase_add_test(tcase, kernel_may_submit_to_its_own_queue);
	tcase_add_test(tcase, nothing_is_kept_when_the_fence_ends);
	suite_add_tcase(suite, tcase);

	tcase = case_create("reservations");
	tcase_add_loop_test(tcase, uses_of_buffers_are_waited_for_and_told, 0,
		(int)ARRAY_LENGTH(implicit_cases));
	tcase_add_test(tcase, error_of_an_implicit_wait_is_not_the_lists);
	tcase_add_loop_test(tcase, buffers_may_share_a_reservation, 0, 2);
	tcase_add_test(tcase, list_may_use_many_buffers);
	tcase_add_test(tcase, user_of_two_buffers_is_waited_for_once);
	tcase_add_test(tcase, writer_behind_a_reader_of_another_queue_comes_after);
	suite_add_tcase(suite, tcase);

	tcase = case_create("time-outs");
	tcase_add_test(tcase, wait_that_takes_too_long_ends_the_list_alone);
	tcase_add_test(tcase, kernel_that_takes_too_long_is_stopped);
	tcase_add_test(tcase, list_that_is_late_ends_with_etime_even_if_done);
	tcase_add_test(tcase, waits_time_out_while_all_engines_are_busy);
	tcase_add_test(tcase, shorter_time_out_that_comes_later_is_seen);
	suite_add_tcase(suite, tcase);

	tcase = case_create("the end");
	tcase_add_loop_test(tcase, destroyed_queue_finishes_what_runs_and_cancels_the_rest, 0, 2);
	tcase_add_test(tcase, destroyed_device_ends_all_queues);
	tcase_add_test(tcase, destroy_against_the_end_of_a_wait);
	tcase_add_test(tcase, lost_device_fails_all_that_is_pending_and_all_that_comes);
	suite_add_tcase(suite, tcase);

	tcase = case_create("mistakes and shortages");
	tcase_add_test(tcase, impossible_arguments_are_refused);
	tcase_add_loop_test(tcase, submitting_with_a_reservation_locked_is_edeadlk, 0, 2);
	tcase_add_test(tcase, submission_without_memory_leaves_nothing_behind);
	tcase_add_test(tcase, queue_without_memory_is_enomem);
	suite_add_tcase(suite, tcase);

	tcase = case_create("work of the backend");
	tcase_add_loop_test(tcase, work_runs_behind_what_it_waits_for, 0, 2);
	tcase_add_loop_test(tcase, work_runs_on_a_lost_device_too, 0, 2);
	tcase_add_loop_test(tcase, work_runs_when_its_time_is_over, 0, 2);
	tcase_add_loop_test(tcase, device_that_stops_does_its_work_first, 0, 2);
	suite_add_tcase(suite, tcase);

	tcase = case_create("stress");
	tcase_add_loop_test(tcase, threads_queues_waits_and_buffers_at_once, 0, 3);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
