/* SPDX-License-Identifier: MIT */
/* The software GPU without threads: driven by waits, the same each time. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/array.h>
#include <stile/buffer.h>
#include <stile/carrier.h>
#include <stile/chain.h>
#include <stile/notify.h>
#include <stile/resv.h>
#include <stile/swgpu_test.h>
#include <stile/timeline.h>
#include <stile/wait.h>

#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

#define MS INT64_C(1000000)
#define S INT64_C(1000000000)

enum { MAX_COMMAND_NS = 1000000 };

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
	open_device("seed=1");
}

static void teardown(void) {
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(plain_fence_count(), fences_before);
}

static void reopen(uint64_t seed) {
	char options[64];
	stile_device_destroy(device);
	snprintf(options, sizeof(options), "seed=%llu", (unsigned long long)seed);
	open_device(options);
	memset(&journal, 0, sizeof(journal));
}

static struct stile_fence *submit_steps(struct stile_swgpu_queue *to, int id, unsigned count) {
	return gpu_submit(to, gpu_steps(device, &journal, id, count));
}

static int64_t clock_ns(void) {
	int64_t now_ns = stile_swgpu_get_clock(device);
	ck_assert_int_ge(now_ns, 0);
	return now_ns;
}

/* ---- Steps --------------------------------------------------------------------------------- */

static unsigned count_threads(void) {
	unsigned count = 0;
	DIR *dir = opendir("/proc/self/task");
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL) {
		count++;
	}
	closedir(dir);
	return count;
}

/* Wrong code: threads all the same; something is done although nobody asked. */
START_TEST(nothing_happens_by_itself) {
	unsigned before = count_threads();
	struct stile_device *other = gpu_open("seed=3");
	ck_assert_uint_eq(count_threads(), before);
	stile_device_destroy(other);
	struct stile_fence *fence = submit_steps(queue, 1, 1), *empty = gpu_submit(queue, NULL);
	runner_sleep_ms(20);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	ck_assert_int_eq(stile_fence_wait(fence, 0), -ETIME);
	ck_assert_int_eq(stile_fence_wait_any(&empty, 1, 0, NULL, NULL), -ETIME);
	ck_assert_uint_eq(gpu_journal_count(&journal), 0);
	ck_assert_int_eq(gpu_finish(fence), 1);
	ck_assert_int_eq(gpu_finish(empty), 1);
}
END_TEST

/* Wrong code: more than one thing a step; an end that is forgotten; a step that says it did nothing. */
START_TEST(step_does_one_thing) {
	struct stile_fence *fence = submit_steps(queue, 1, 3), *empty = gpu_submit(queue, NULL);
	for (uint32_t i = 1; i <= 3; i++) {
		ck_assert_int_eq(stile_swgpu_step(device), 1);
		ck_assert_uint_eq(gpu_journal_count(&journal), i);
		ck_assert_int_eq(stile_fence_get_status(fence), 0);
	}
	ck_assert_int_eq(stile_swgpu_step(device), 1);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	ck_assert_int_eq(stile_fence_get_status(empty), 0);
	ck_assert_int_eq(stile_swgpu_step(device), 1);
	ck_assert_int_eq(stile_fence_get_status(empty), 1);
	ck_assert_int_eq(stile_swgpu_step(device), 0);
	stile_fence_unref(fence);
	stile_fence_unref(empty);
}
END_TEST

/* Wrong code: a device with threads that is stepped, or has a virtual clock. */
START_TEST(device_with_threads_has_no_virtual_time) {
	struct stile_device *other = gpu_open(NULL);
	ck_assert_int_eq(stile_swgpu_step(other), 0);
	ck_assert_int_eq(stile_swgpu_advance(other, 1), -EINVAL);
	ck_assert_int_eq(stile_swgpu_get_clock(other), -EINVAL);
	ck_assert_int_eq(stile_swgpu_advance(device, -1), -EINVAL);
	stile_device_destroy(other);
}
END_TEST

/* Wrong code: the real clock; one that stands still, or runs with empty lists. */
START_TEST(each_command_takes_up_to_a_millisecond) {
	ck_assert_int_eq(clock_ns(), 0);
	ck_assert_int_eq(gpu_finish(gpu_submit(queue, NULL)), 1);
	ck_assert_int_eq(clock_ns(), 0);
	int64_t least = INT64_MAX, most = 0;
	for (int i = 0; i < 300; i++) {
		int64_t before_ns = clock_ns();
		ck_assert_int_eq(gpu_finish(submit_steps(queue, i + 1, 1)), 1);
		int64_t ns = clock_ns() - before_ns;
		least = ns < least ? ns : least;
		most = ns > most ? ns : most;
	}
	ck_assert_int_ge(least, 1000);
	ck_assert_int_le(most, MAX_COMMAND_NS);
	ck_assert_int_lt(least, MAX_COMMAND_NS / 4);
	ck_assert_int_gt(most, MAX_COMMAND_NS / 4 * 3);
}
END_TEST

/* ---- Waits --------------------------------------------------------------------------------- */

static struct stile_fence *make_array(struct stile_fence *fence) {
	struct stile_fence *array;
	ck_assert_int_eq(stile_array_create(&fence, 1, stile_fence_context_alloc(1), 1,
				 STILE_ARRAY_ALL, &array),
		0);
	return array;
}

static struct stile_fence *make_chain(struct stile_fence *fence) {
	struct stile_chain *chain;
	ck_assert_int_eq(stile_chain_alloc(&chain), 0);
	return stile_chain_init(chain, NULL, stile_fence_ref(fence), 1);
}

static int by_wait(struct stile_fence *fence) {
	return stile_fence_wait(fence, INT64_MAX);
}

/* Whatever the deadline: that is no question of how quick the machine is. */
static int by_wait_with_a_deadline(struct stile_fence *fence) {
	return stile_fence_wait(fence, 1);
}

static int by_wait_for_array(struct stile_fence *fence) {
	struct stile_fence *array = make_array(fence);
	int ret = stile_fence_wait(array, INT64_MAX);
	stile_fence_unref(array);
	return ret;
}

static int by_wait_for_chain(struct stile_fence *fence) {
	struct stile_fence *chain = make_chain(fence);
	int ret = stile_fence_wait(chain, INT64_MAX);
	stile_fence_unref(chain);
	return ret;
}

static int by_wait_any(struct stile_fence *fence) {
	struct stile_fence *fences[2] = { plain_fence_create(), fence };
	size_t index = 0;
	int ret = stile_fence_wait_any(fences, 2, INT64_MAX, NULL, &index);
	stile_fence_unref(fences[0]);
	return index == 1 ? ret : -EINVAL;
}

static int by_wait_any_with_token(struct stile_fence *fence) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	return stile_fence_wait_any(&fence, 1, INT64_MAX, &cancel, NULL);
}

static int by_wait_all(struct stile_fence *fence) {
	struct stile_fence *fences[2] = { stile_fence_get_stub(), fence };
	int ret = stile_fence_wait_all(fences, 2, INT64_MAX, NULL);
	stile_fence_unref(fences[0]);
	return ret;
}

static int by_wait_all_with_token(struct stile_fence *fence) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	return stile_fence_wait_all(&fence, 1, INT64_MAX, &cancel);
}

static int wait_for_point(struct stile_fence *fence, struct stile_cancel *cancel) {
	struct stile_timeline *timeline;
	ck_assert_int_eq(stile_timeline_create("points", &timeline), 0);
	ck_assert_int_eq(stile_timeline_submit(timeline, 1, fence), 0);
	const struct stile_point point = { .timeline = timeline, .value = 1 };
	int ret = stile_point_wait(&point, STILE_POINT_SIGNALED, INT64_MAX, cancel);
	stile_timeline_unref(timeline);
	return ret;
}

static int by_wait_for_point(struct stile_fence *fence) {
	return wait_for_point(fence, NULL);
}

static int by_wait_for_point_with_token(struct stile_fence *fence) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	return wait_for_point(fence, &cancel);
}

static int wait_for_resv(struct stile_fence *fence, struct stile_cancel *cancel) {
	struct stile_resv resv;
	stile_resv_init(&resv);
	ck_assert_int_eq(stile_resv_lock(&resv, NULL, NULL), 0);
	ck_assert_int_eq(stile_resv_reserve_fences(&resv, 1), 0);
	ck_assert_int_eq(stile_resv_add_fence(&resv, fence, STILE_RESV_WRITE), 0);
	stile_resv_unlock(&resv);
	int ret = stile_resv_wait(&resv, STILE_RESV_WRITE, INT64_MAX, cancel);
	stile_resv_fini(&resv);
	return ret;
}

static int by_wait_for_resv(struct stile_fence *fence) {
	return wait_for_resv(fence, NULL);
}

static int by_wait_for_resv_with_token(struct stile_fence *fence) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	return wait_for_resv(fence, &cancel);
}

static int by_cpu_access(struct stile_fence *fence) {
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = 1 };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	ck_assert_int_eq(stile_buffer_import_fence(buffer, STILE_USAGE_WRITE, fence), 0);
	int ret = stile_buffer_begin_cpu_access(buffer, STILE_USAGE_READ, INT64_MAX, NULL);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, STILE_USAGE_READ), 0);
	stile_buffer_unref(buffer);
	return ret;
}

/* Through a descriptor, as from another process: by an implementer's own way to wait. */
static int by_wait_for_descriptor(struct stile_fence *fence) {
	int fd;
	struct stile_fence *imported;
	ck_assert_int_eq(
		stile_fence_export_fd(fence, STILE_FD_SOFTWARE_SYNC_FILE, 0, NULL, &fd), 0);
	ck_assert_int_eq(
		stile_fence_import_fd(device, STILE_FD_SOFTWARE_SYNC_FILE, 0, fd, &imported), 0);
	close(fd);
	int ret = stile_fence_wait(imported, runner_clock_ns() + 60 * S);
	stile_fence_unref(imported);
	return ret;
}

static int by_dispatch(struct stile_fence *fence) {
	(void)fence;
	stile_device_dispatch(device);
	return 0;
}

static int by_steps(struct stile_fence *fence) {
	(void)fence;
	while (stile_swgpu_step(device) == 1) {
	}
	return 0;
}

static const struct {
	const char *name;
	int (*drive)(struct stile_fence *fence);
} drivers[] = {
	{ "wait", by_wait },
	{ "wait with a deadline", by_wait_with_a_deadline },
	{ "wait for an array", by_wait_for_array },
	{ "wait for a chain", by_wait_for_chain },
	{ "wait_any", by_wait_any },
	{ "wait_any with a token", by_wait_any_with_token },
	{ "wait_all", by_wait_all },
	{ "wait_all with a token", by_wait_all_with_token },
	{ "wait for a point", by_wait_for_point },
	{ "wait for a point with a token", by_wait_for_point_with_token },
	{ "wait for a reservation", by_wait_for_resv },
	{ "wait for a reservation with a token", by_wait_for_resv_with_token },
	{ "CPU access", by_cpu_access },
	{ "wait for a descriptor", by_wait_for_descriptor },
	{ "dispatch", by_dispatch },
	{ "steps", by_steps },
};

/* Wrong code: a way to wait that sleeps for ever, since nobody does the work. */
START_TEST(whoever_waits_does_the_work) {
	struct stile_swgpu_queue *other = gpu_queue(device, "other", 0, 0);
	struct stile_fence *first = submit_steps(other, 1, 5);
	struct stile_fence *last =
		gpu_submit_after(queue, gpu_steps(device, &journal, 2, 5), &first, 1);
	ck_assert_msg(drivers[_i].drive(last) == 0, "%s", drivers[_i].name);
	ck_assert_msg(stile_fence_get_status(last) == 1, "%s", drivers[_i].name);
	ck_assert_uint_eq(gpu_journal_count(&journal), 10);
	stile_fence_unref(first);
	stile_fence_unref(last);
	stile_swgpu_queue_destroy(other);
}
END_TEST

/* Wrong code: more is done than what is waited for needs; what has ended drives. */
START_TEST(wait_does_no_more_than_it_has_to) {
	struct stile_fence *first = submit_steps(queue, 1, 1), *second = submit_steps(queue, 2, 1);
	ck_assert_int_eq(plain_fence_finish(first), 1);
	ck_assert_uint_eq(gpu_journal_count(&journal), 1);
	ck_assert_int_eq(plain_fence_finish(first), 1);
	ck_assert_int_eq(stile_fence_get_status(second), 0);
	ck_assert_int_eq(gpu_finish(second), 1);
	stile_fence_unref(first);
}
END_TEST

/* Wrong code: a wait that never comes back when nothing can go on; virtual time that passes meanwhile. */
START_TEST(wait_ends_with_its_deadline_where_nothing_can_go_on) {
	struct stile_fence *hold = plain_fence_create();
	struct stile_fence *fence =
		gpu_submit_after(queue, gpu_steps(device, &journal, 1, 1), &hold, 1);
	ck_assert_int_eq(stile_fence_wait(fence, runner_clock_ns() + 20 * MS), -ETIME);
	ck_assert_int_eq(
		stile_fence_wait_any(&fence, 1, runner_clock_ns() + 5 * MS, NULL, NULL), -ETIME);
	ck_assert_int_eq(stile_swgpu_step(device), 0);
	ck_assert_int_eq(clock_ns(), 0);
	stile_fence_signal(hold);
	ck_assert_int_eq(gpu_finish(fence), 1);
	stile_fence_unref(hold);
}
END_TEST

/* Wrong code: one device alone is driven, and the other waits for it. */
START_TEST(devices_that_wait_for_each_other_are_both_driven) {
	struct stile_device *other = gpu_open("seed=9");
	struct stile_fence *last = gpu_submit(queue, NULL);
	for (int i = 0; i < 50; i++) {
		struct stile_device *on = i % 2 == 0 ? other : device;
		struct stile_fence *next = gpu_submit_after(
			stile_swgpu_get_queue(on), gpu_steps(on, &journal, i + 1, 2), &last, 1);
		stile_fence_unref(last);
		last = next;
	}
	ck_assert_int_eq(gpu_finish(last), 1);
	ck_assert_uint_eq(gpu_journal_count(&journal), 100);
	stile_device_destroy(other);
}
END_TEST

struct inner {
	int step;
	int wait;
	int advance;
	struct stile_fence *fence;
};

static int inner_run(void *user, const struct stile_swgpu_row *rows, uint32_t y) {
	(void)rows;
	(void)y;
	struct inner *inner = user;
	inner->step = stile_swgpu_step(device);
	inner->wait = stile_fence_wait(inner->fence, runner_clock_ns() + 5 * MS);
	inner->advance = stile_swgpu_advance(device, 1);
	return 0;
}

/* Wrong code: a dead-lock, or commands within a command. */
START_TEST(kernel_cannot_drive) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = 1,
		.height = 1,
		.fourcc = DRM_FORMAT_R8,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
	};
	struct stile_swgpu_queue *other = gpu_queue(device, "other", 0, 0);
	struct stile_image *image;
	struct stile_swgpu_list *list;
	struct inner inner = { .step = -1, .fence = submit_steps(other, 1, 1) };
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	ck_assert_int_eq(stile_swgpu_list_kernel(list, &image, 1, inner_run, &inner), 0);
	struct stile_fence *fence = gpu_submit(queue, list);
	while (inner.step == -1 && stile_swgpu_step(device) == 1) {
		if (stile_fence_get_status(inner.fence) == 1) {
			/* It was first. */
			stile_fence_unref(inner.fence);
			inner.fence = submit_steps(other, 1, 1);
		}
	}
	ck_assert_int_eq(inner.step, 0);
	ck_assert_int_eq(inner.wait, -ETIME);
	ck_assert_int_eq(inner.advance, 0);
	ck_assert_int_eq(gpu_finish(fence), 1);
	ck_assert_int_eq(gpu_finish(inner.fence), 1);
	stile_image_unref(image);
	stile_swgpu_queue_destroy(other);
}
END_TEST

/* ---- The same each time -------------------------------------------------------------------- */

struct text {
	char *bytes;
	size_t used, size;
};

static void text_add(void *user, const char *line) {
	struct text *text = user;
	size_t length = strlen(line);
	if (text->used + length + 2 > text->size) {
		text->size = 2 * (text->used + length + 2);
		text->bytes = realloc(text->bytes, text->size);
		runner_require(text->bytes != NULL, "out of memory");
	}
	memcpy(text->bytes + text->used, line, length);
	text->used += length;
	text->bytes[text->used++] = '\n';
	text->bytes[text->used] = '\0';
}

static void inject(enum stile_swgpu_injection_kind kind, uint64_t at) {
	const struct stile_swgpu_injection injection = {
		.size = sizeof(injection),
		.kind = kind,
		.at = at,
		.delay_ns = 3 * MS,
	};
	ck_assert_int_eq(stile_swgpu_inject(device, &injection), 0);
}

/* Four queues, waits across them, buffers, faults: the trace of it. */
static struct text run_scenario(uint64_t seed) {
	struct text text = { 0 };
	reopen(seed);
	ck_assert_int_eq(stile_swgpu_set_trace(device, text_add, &text), 0);
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = 4096 };
	struct stile_swgpu_queue *queues[4];
	struct stile_buffer *buffer;
	struct stile_fence *hold = plain_fence_create(), *fences[24];
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	for (int i = 0; i < 4; i++) {
		char name[16];
		snprintf(name, sizeof(name), "q%d", i);
		queues[i] = gpu_queue(device, name, i, 0);
	}
	inject(STILE_SWGPU_ERROR, 7);
	inject(STILE_SWGPU_DELAY, 9);
	inject(STILE_SWGPU_REORDER, 11);
	inject(STILE_SWGPU_HANG, 15);
	for (int i = 0; i < 24; i++) {
		struct stile_swgpu_list *list = gpu_steps(device, &journal, i + 1, 2);
		if (i % 3 == 0) {
			ck_assert_int_eq(stile_swgpu_list_fill_buffer(list, buffer, 0, 4096, 1), 0);
		}
		struct stile_fence *wait = i % 5 == 4 ? fences[i - 3] : hold;
		fences[i] = gpu_submit_after(queues[i % 4], list, &wait, i < 8 || i % 5 == 4);
	}
	stile_fence_signal(hold);
	for (int i = 0; i < 24; i++) {
		(void)gpu_finish(fences[i]);
	}
	for (int i = 0; i < 4; i++) {
		stile_swgpu_queue_destroy(queues[i]);
	}
	ck_assert_int_eq(stile_swgpu_set_trace(device, NULL, NULL), 0);
	stile_buffer_unref(buffer);
	stile_fence_unref(hold);
	return text;
}

/* Wrong code: anything of the machine in the trace: addresses, real times, numbers that go on. */
START_TEST(same_seed_gives_the_same_trace) {
	struct text first = run_scenario((uint64_t)_i), second = run_scenario((uint64_t)_i);
	ck_assert_str_eq(first.bytes, second.bytes);
	static const char *const parts[] = { " submit q0:1 commands=3 waits=1\n", " command #1 ",
		" kernel q", " inject error #7 q", " inject delay #9 q", " inject reorder #11 q",
		" inject hang #15 q", " end q", " -5\n", " -62\n" };
	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		ck_assert_msg(strstr(first.bytes, parts[i]) != NULL, "no \"%s\" in\n%s", parts[i],
			first.bytes);
	}
	free(first.bytes);
	free(second.bytes);
}
END_TEST

/* Wrong code: a seed that is not used. */
START_TEST(seeds_differ) {
	struct text first = run_scenario(1);
	int same = 0;
	for (uint64_t seed = 2; seed < 8; seed++) {
		struct text text = run_scenario(seed);
		same += strcmp(first.bytes, text.bytes) == 0;
		free(text.bytes);
	}
	ck_assert_int_eq(same, 0);
	free(first.bytes);
}
END_TEST

/* Wrong code: lines out of order in time; times that are not virtual; a function that is called after it. */
START_TEST(lines_begin_with_the_time) {
	struct text text = run_scenario(5);
	int64_t last_ns = 0;
	char *line, *rest = text.bytes;
	size_t lines = 0;
	while ((line = strtok_r(rest, "\n", &rest)) != NULL) {
		char *end;
		long long ns = strtoll(line, &end, 10);
		ck_assert(*end == ' ' && end != line);
		ck_assert_int_ge(ns, last_ns);
		last_ns = ns;
		lines++;
	}
	ck_assert_uint_gt(lines, 48);
	ck_assert_int_le(last_ns, clock_ns());
	size_t used = text.used;
	ck_assert_int_eq(gpu_finish(submit_steps(queue, 90, 1)), 1);
	ck_assert_uint_eq(text.used, used);
	free(text.bytes);
}
END_TEST

/* Wrong code: a list is executed as a whole; always the first queue first. */
START_TEST(seeds_interleave_commands_of_queues) {
	int interleaved = 0, other_first = 0;
	for (uint64_t seed = 0; seed < 20; seed++) {
		reopen(seed);
		struct stile_swgpu_queue *other = gpu_queue(device, "other", 0, 0);
		struct stile_fence *a = submit_steps(queue, 1, 4), *b = submit_steps(other, 2, 4);
		ck_assert_int_eq(gpu_finish(a), 1);
		ck_assert_int_eq(gpu_finish(b), 1);
		int changes = 0;
		for (int i = 1; i < 8; i++) {
			changes += journal.ids[i] != journal.ids[i - 1];
		}
		interleaved += changes > 1;
		other_first += journal.ids[0] == 2;
		stile_swgpu_queue_destroy(other);
	}
	ck_assert_int_gt(interleaved, 10);
	ck_assert_int_gt(other_first, 2);
	ck_assert_int_lt(other_first, 18);
}
END_TEST

/* ---- Virtual time -------------------------------------------------------------------------- */

static struct stile_fence *submit_hold(struct stile_swgpu_queue *to, struct stile_fence *hold) {
	return gpu_submit_after(to, NULL, &hold, 1);
}

/* Wrong code: ends too early, never, or with the clock somewhere else. */
START_TEST(wait_times_out_at_its_virtual_time) {
	struct stile_fence *hold = plain_fence_create(), *fence = submit_hold(queue, hold);
	ck_assert_int_eq(stile_swgpu_advance(device, 10 * S - 1), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	ck_assert_int_eq(stile_swgpu_advance(device, 1), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), -ETIME);
	ck_assert_int_eq(clock_ns(), 10 * S);
	ck_assert_uint_eq(plain_refs(hold), 1);
	stile_fence_signal(hold);
	stile_fence_unref(hold);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: time counted from the submission. */
START_TEST(time_counts_from_being_the_first) {
	struct stile_fence *hold = plain_fence_create(), *fences[3];
	for (int i = 0; i < 3; i++) {
		fences[i] = submit_hold(queue, hold);
	}
	ck_assert_int_eq(stile_swgpu_advance(device, 15 * S), 0);
	ck_assert_int_eq(stile_fence_get_status(fences[0]), -ETIME);
	ck_assert_int_eq(stile_fence_get_status(fences[1]), 0);
	ck_assert_int_eq(stile_swgpu_advance(device, 5 * S - 1), 0);
	ck_assert_int_eq(stile_fence_get_status(fences[1]), 0);
	ck_assert_int_eq(stile_swgpu_advance(device, 1), 0);
	ck_assert_int_eq(stile_fence_get_status(fences[1]), -ETIME);
	stile_fence_signal(hold);
	ck_assert_int_eq(gpu_finish(fences[2]), 1);
	stile_fence_unref(hold);
	stile_fence_unref(fences[0]);
	stile_fence_unref(fences[1]);
}
END_TEST

/* Wrong code: all ends at the end of the time that passed, in the order of the queues. */
START_TEST(ends_are_at_their_times) {
	struct text text = { 0 };
	struct stile_swgpu_queue *slow = gpu_queue(device, "slow", 0, 3 * S);
	struct stile_swgpu_queue *quick = gpu_queue(device, "quick", 0, 1 * S);
	struct stile_fence *hold = plain_fence_create(), *fences[4];
	ck_assert_int_eq(stile_swgpu_set_trace(device, text_add, &text), 0);
	fences[0] = submit_hold(slow, hold);
	fences[1] = submit_hold(quick, hold);
	fences[2] = submit_hold(quick, hold);
	fences[3] = submit_hold(quick, hold);
	ck_assert_int_eq(stile_swgpu_advance(device, INT64_MAX), 0);
	ck_assert_int_eq(stile_swgpu_set_trace(device, NULL, NULL), 0);
	ck_assert_int_eq(clock_ns(), INT64_MAX);
	ck_assert_str_eq(text.bytes,
		"0 submit slow:1 commands=0 waits=1\n"
		"0 submit quick:1 commands=0 waits=1\n"
		"0 submit quick:2 commands=0 waits=1\n"
		"0 submit quick:3 commands=0 waits=1\n"
		"1000000000 end quick:1 -62\n"
		"2000000000 end quick:2 -62\n"
		"3000000000 end slow:1 -62\n"
		"3000000000 end quick:3 -62\n");
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(gpu_finish(fences[i]), -ETIME);
	}
	stile_fence_signal(hold);
	stile_fence_unref(hold);
	stile_swgpu_queue_destroy(slow);
	stile_swgpu_queue_destroy(quick);
	free(text.bytes);
}
END_TEST

/* Wrong code: a wait for a hang that never comes back; time that passes further than needed. */
START_TEST(hang_lets_time_pass_to_its_end) {
	struct stile_swgpu_queue *slow = gpu_queue(device, "slow", 0, 20 * S);
	struct stile_fence *hold = plain_fence_create(), *external = submit_hold(slow, hold);
	inject(STILE_SWGPU_HANG, 1);
	struct stile_fence *hangs = submit_steps(queue, 1, 1), *next = submit_steps(queue, 2, 1);
	struct stile_fence *behind =
		gpu_submit_after(slow, gpu_steps(device, &journal, 3, 1), &hangs, 1);
	ck_assert_int_eq(plain_fence_finish(hangs), -ETIME);
	ck_assert_int_eq(clock_ns(), 10 * S);
	ck_assert_int_eq(stile_fence_get_status(external), 0);
	ck_assert_int_eq(gpu_finish(next), 1);
	ck_assert_int_le(clock_ns(), 10 * S + MAX_COMMAND_NS);
	stile_fence_signal(hold);
	ck_assert_int_eq(gpu_finish(behind), -ETIME);
	ck_assert_int_eq(gpu_finish(external), 1);
	stile_fence_unref(hangs);
	stile_fence_unref(hold);
	stile_swgpu_queue_destroy(slow);
}
END_TEST

/* Wrong code: commands are no part of the time; what is done so far is done again. */
START_TEST(commands_spend_the_time_of_their_list) {
	struct stile_swgpu_queue *quick = gpu_queue(device, "quick", 0, 2 * MS);
	struct stile_fence *fence = submit_steps(quick, 1, 60);
	ck_assert_int_eq(gpu_finish(fence), -ETIME);
	ck_assert_uint_ge(gpu_journal_count(&journal), 2);
	ck_assert_uint_lt(gpu_journal_count(&journal), 60);
	ck_assert_int_ge(clock_ns(), 2 * MS);
	ck_assert_int_le(clock_ns(), 2 * MS + MAX_COMMAND_NS);
	stile_swgpu_queue_destroy(quick);
}
END_TEST

/* Wrong code: a clock that wraps around; lists that end at once then. */
START_TEST(clock_stops_at_the_end_of_time) {
	ck_assert_int_eq(stile_swgpu_advance(device, INT64_MAX - 5), 0);
	inject(STILE_SWGPU_DELAY, 1);
	inject(STILE_SWGPU_REORDER, 2);
	ck_assert_int_eq(gpu_finish(submit_steps(queue, 1, 3)), 1);
	ck_assert_int_eq(clock_ns(), INT64_MAX);
	ck_assert_int_eq(stile_swgpu_advance(device, 1), 0);
	ck_assert_int_eq(clock_ns(), INT64_MAX);
}
END_TEST

/* ---- The end ------------------------------------------------------------------------------- */

/* Wrong code: fences left pending; what has begun cut off; what has not, executed. */
START_TEST(destroyed_queue_finishes_what_was_begun) {
	struct stile_swgpu_queue *other = gpu_queue(device, "other", 0, 0);
	struct stile_fence *begun = submit_steps(other, 1, 3), *next = submit_steps(other, 2, 1);
	ck_assert_int_eq(stile_swgpu_step(device), 1);
	stile_swgpu_queue_destroy(other);
	ck_assert_int_eq(gpu_finish(begun), 1);
	ck_assert_int_eq(gpu_finish(next), -ECANCELED);
	ck_assert_uint_eq(gpu_journal_count(&journal), 3);
}
END_TEST

/* Wrong code: a device that goes with pending fences; a wait that drives what has gone. */
START_TEST(destroyed_device_ends_all) {
	struct stile_swgpu_queue *other = gpu_queue(device, "other", 0, 0);
	struct stile_fence *hold = plain_fence_create(), *fences[4];
	inject(STILE_SWGPU_HANG, 1);
	fences[0] = submit_steps(queue, 1, 1);
	ck_assert_int_eq(stile_swgpu_step(device), 1);
	fences[1] = submit_hold(other, hold);
	fences[2] = submit_steps(queue, 2, 1);
	fences[3] = gpu_submit_after(other, NULL, &fences[2], 1);
	stile_device_destroy(device);
	device = NULL;
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(stile_fence_get_status(fences[i]), -ECANCELED);
		stile_fence_unref(fences[i]);
	}
	ck_assert_int_eq(stile_fence_wait(hold, 1), -ETIME);
	stile_fence_signal(hold);
	stile_fence_unref(hold);
}
END_TEST

/* Wrong code: fences that end only when somebody waits. */
START_TEST(lost_device_fails_all_at_once) {
	struct stile_fence *hold = plain_fence_create(), *fences[3];
	fences[0] = submit_steps(queue, 1, 3);
	ck_assert_int_eq(stile_swgpu_step(device), 1);
	fences[1] = submit_hold(queue, hold);
	fences[2] = gpu_submit(queue, NULL);
	ck_assert_int_eq(stile_swgpu_lose(device), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(stile_fence_get_status(fences[i]), -EIO);
		stile_fence_unref(fences[i]);
	}
	ck_assert_uint_eq(gpu_journal_count(&journal), 1);
	stile_fence_signal(hold);
	stile_fence_unref(hold);
}
END_TEST

/* ---- Several threads ----------------------------------------------------------------------- */

static void *finish_run(void *fence) {
	runner_require(plain_fence_finish(fence) == 1, "it failed");
	return NULL;
}

/* Wrong code: who sleeps does not see that another thread let things go on. */
START_TEST(sleeper_goes_on_when_another_thread_signals) {
	struct stile_fence *hold = plain_fence_create();
	struct stile_fence *fence =
		gpu_submit_after(queue, gpu_steps(device, &journal, 1, 1), &hold, 1);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, finish_run, fence), 0);
	runner_sleep_ms(20);
	stile_fence_signal(hold);
	pthread_join(thread, NULL);
	stile_fence_unref(fence);
	stile_fence_unref(hold);
}
END_TEST

static void *submit_late_run(void *arg) {
	runner_sleep_ms(20);
	struct stile_fence *fence = stile_fence_get_stub();
	runner_require(stile_timeline_submit(arg, 1, fence) == 0, "nothing submitted");
	stile_fence_unref(fence);
	return NULL;
}

/* Wrong code: a look at the device, from time to time, that is taken for the end of the wait. */
START_TEST(sleeper_does_not_give_up_early) {
	struct stile_timeline *timeline;
	ck_assert_int_eq(stile_timeline_create("late", &timeline), 0);
	const struct stile_point point = { .timeline = timeline, .value = 1 };
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, submit_late_run, timeline), 0);
	int64_t until_ns = runner_clock_ns() + 60 * S;
	ck_assert_int_eq(stile_point_wait(&point, STILE_POINT_SIGNALED, until_ns, NULL), 0);
	pthread_join(thread, NULL);
	stile_timeline_unref(timeline);
	struct stile_fence *hold = plain_fence_create();
	until_ns = runner_clock_ns() + 20 * MS;
	ck_assert_int_eq(stile_fence_wait_any(&hold, 1, until_ns, NULL, NULL), -ETIME);
	ck_assert_int_ge(runner_clock_ns(), until_ns);
	until_ns = runner_clock_ns() + 20 * MS;
	ck_assert_int_eq(stile_fence_wait(hold, until_ns), -ETIME);
	ck_assert_int_ge(runner_clock_ns(), until_ns);
	stile_fence_unref(hold);
}
END_TEST

/* Wrong code: two threads at one command; a device that goes while another thread drives it. */
START_TEST(many_threads_may_wait) {
	enum { COUNT = 8 };
	for (int round = 0; round < 10; round++) {
		struct stile_device *other = gpu_open("seed=4");
		pthread_t threads[COUNT];
		struct stile_fence *fences[COUNT];
		for (int i = 0; i < COUNT; i++) {
			fences[i] = submit_steps(queue, i + 1, 3);
		}
		for (int i = 0; i < COUNT; i++) {
			ck_assert_int_eq(
				pthread_create(&threads[i], NULL, finish_run, fences[i]), 0);
		}
		/* These threads drive that one, too. */
		stile_device_destroy(other);
		for (int i = 0; i < COUNT; i++) {
			pthread_join(threads[i], NULL);
			stile_fence_unref(fences[i]);
		}
		for (int i = 0; i < 3 * COUNT; i++) {
			ck_assert_int_eq(journal.ids[3 * COUNT * round + i], i / 3 + 1);
		}
	}
}
END_TEST

/* ---- By chance ----------------------------------------------------------------------------- */

enum { LISTS = 120, QUEUES = 4 };

/* Wrong code: a wait that is not kept, lists of a queue that overtake each other, something that never ends. */
START_TEST(random_lists_keep_all_orders) {
	uint64_t random = runner_seed();
	reopen(runner_random(&random));
	struct stile_swgpu_queue *queues[QUEUES];
	struct stile_fence *fences[LISTS];
	int before[LISTS][2], last[QUEUES] = { -1, -1, -1, -1 };
	for (int i = 0; i < QUEUES; i++) {
		queues[i] = gpu_queue(device, "random", i, 0);
	}
	for (int i = 0; i < LISTS; i++) {
		int on = (int)(runner_random(&random) % QUEUES);
		before[i][0] = last[on];
		before[i][1] = i == 0 ? -1 : (int)(runner_random(&random) % (uint64_t)i);
		last[on] = i;
		fences[i] = gpu_submit_after(queues[on],
			gpu_steps(device, &journal, i + 1,
				1 + (unsigned)(runner_random(&random) % 3)),
			&fences[i == 0 ? 0 : before[i][1]], i > 0);
		if (runner_random(&random) % 4 == 0) {
			(void)stile_swgpu_step(device);
		}
	}
	for (int i = LISTS - 1; i >= 0; i--) {
		ck_assert_int_eq(plain_fence_finish(fences[i]), 1);
		for (int j = 0; j < 2; j++) {
			ck_assert(before[i][j] < 0 ||
				gpu_journal_find(&journal, before[i][j] + 1) <
					gpu_journal_find(&journal, i + 1));
			ck_assert(before[i][j] < 0 ||
				stile_fence_get_status(fences[before[i][j]]) == 1);
		}
	}
	for (int i = 0; i < LISTS; i++) {
		stile_fence_unref(fences[i]);
	}
	for (int i = 0; i < QUEUES; i++) {
		stile_swgpu_queue_destroy(queues[i]);
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
	Suite *suite = suite_create("deterministic");
	TCase *tcase = case_create("steps");
	tcase_add_test(tcase, nothing_happens_by_itself);
	tcase_add_test(tcase, step_does_one_thing);
	tcase_add_test(tcase, device_with_threads_has_no_virtual_time);
	tcase_add_test(tcase, each_command_takes_up_to_a_millisecond);
	suite_add_tcase(suite, tcase);

	tcase = case_create("waits");
	tcase_add_loop_test(tcase, whoever_waits_does_the_work, 0, (int)ARRAY_LENGTH(drivers));
	tcase_add_test(tcase, wait_does_no_more_than_it_has_to);
	tcase_add_test(tcase, wait_ends_with_its_deadline_where_nothing_can_go_on);
	tcase_add_test(tcase, devices_that_wait_for_each_other_are_both_driven);
	tcase_add_test(tcase, kernel_cannot_drive);
	suite_add_tcase(suite, tcase);

	tcase = case_create("the same each time");
	tcase_add_loop_test(tcase, same_seed_gives_the_same_trace, 0, 4);
	tcase_add_test(tcase, seeds_differ);
	tcase_add_test(tcase, lines_begin_with_the_time);
	tcase_add_test(tcase, seeds_interleave_commands_of_queues);
	suite_add_tcase(suite, tcase);

	tcase = case_create("virtual time");
	tcase_add_test(tcase, wait_times_out_at_its_virtual_time);
	tcase_add_test(tcase, time_counts_from_being_the_first);
	tcase_add_test(tcase, ends_are_at_their_times);
	tcase_add_test(tcase, hang_lets_time_pass_to_its_end);
	tcase_add_test(tcase, commands_spend_the_time_of_their_list);
	tcase_add_test(tcase, clock_stops_at_the_end_of_time);
	suite_add_tcase(suite, tcase);

	tcase = case_create("the end");
	tcase_add_test(tcase, destroyed_queue_finishes_what_was_begun);
	tcase_add_test(tcase, destroyed_device_ends_all);
	tcase_add_test(tcase, lost_device_fails_all_at_once);
	suite_add_tcase(suite, tcase);

	tcase = case_create("several threads");
	tcase_add_test(tcase, sleeper_goes_on_when_another_thread_signals);
	tcase_add_test(tcase, sleeper_does_not_give_up_early);
	tcase_add_test(tcase, many_threads_may_wait);
	suite_add_tcase(suite, tcase);

	tcase = case_create("by chance");
	tcase_add_loop_test(tcase, random_lists_keep_all_orders, 0, 10);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
