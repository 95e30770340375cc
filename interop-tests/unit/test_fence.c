/* SPDX-License-Identifier: MIT */
/* Fences in one process: KERNEL_CONTRACT section 1 (F-...), as far as it is implemented. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <stile/fence.h>
#include <stile/wait.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"
#include "src/fence.h"

/* A fence as an implementer makes one: embedded, with notes on what was asked of it. */
struct work {
	int before; /* so that the fence is not at the start */
	struct stile_fence fence;
	atomic_int enabled;
	atomic_int asked;
	atomic_bool done;   /* what the signaled op answers */
	atomic_bool refuse; /* enable_signaling says: done already */
	int late_error;     /* set by the ops when they say so; 0: none */
	atomic_int released;
};

static struct work *work_of(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct work, fence);
}

static const char *work_driver(struct stile_fence *fence) {
	(void)fence;
	return "test driver";
}

static const char *work_timeline(struct stile_fence *fence) {
	(void)fence;
	return "test timeline";
}

static bool work_enable(struct stile_fence *fence) {
	struct work *work = work_of(fence);
	atomic_fetch_add(&work->enabled, 1);
	if (work->refuse && work->late_error != 0) {
		stile_fence_set_error(fence, work->late_error);
	}
	return !work->refuse;
}

static bool work_signaled(struct stile_fence *fence) {
	struct work *work = work_of(fence);
	atomic_fetch_add(&work->asked, 1);
	if (work->done && work->late_error != 0) {
		stile_fence_set_error(fence, work->late_error);
	}
	return work->done;
}

static void work_release(struct stile_fence *fence) {
	atomic_fetch_add(&work_of(fence)->released, 1);
}

static void work_release_and_free(struct stile_fence *fence) {
	free(work_of(fence));
}

static const struct stile_fence_ops full_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = work_driver,
	.get_timeline_name = work_timeline,
	.enable_signaling = work_enable,
	.signaled = work_signaled,
	.release = work_release,
};

static const struct stile_fence_ops bare_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = work_driver,
	.get_timeline_name = work_timeline,
};

static const struct stile_fence_ops heap_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = work_driver,
	.get_timeline_name = work_timeline,
	.release = work_release_and_free,
};

static void work_init(struct work *work, const struct stile_fence_ops *ops) {
	memset(work, 0, sizeof(*work));
	/* An initialisation may not rely on what was there. */
	memset(&work->fence, 0xa5, sizeof(work->fence));
	ck_assert_int_eq(stile_fence_init(&work->fence, ops, 7, 11), 0);
}

/* What callbacks saw, in order. */
struct trace {
	struct stile_callback callback;
	int *clock; /* counts over several callbacks */
	int at;     /* when this one ran; 0: not yet */
	int runs;
	bool saw_signaled;
	int saw_status;
	int64_t saw_timestamp;
};

static void trace_run(struct stile_fence *fence, struct stile_callback *callback) {
	struct trace *trace = CONTAINER_OF(callback, struct trace, callback);
	trace->at = ++*trace->clock;
	trace->runs++;
	trace->saw_signaled = stile_fence_is_signaled(fence);
	trace->saw_status = stile_fence_get_status(fence);
	trace->saw_timestamp = stile_fence_get_timestamp(fence);
}

/* ---- Making one ---------------------------------------------------------------------------- */

/* F-2. Wrong code: an init that keeps what the memory held. */
START_TEST(new_fence_is_pending_without_error) {
	struct work work;
	work_init(&work, &full_ops);
	ck_assert(!stile_fence_is_signaled(&work.fence));
	ck_assert_int_eq(stile_fence_get_status(&work.fence), 0);
	ck_assert_int_eq(stile_fence_get_timestamp(&work.fence), 0);
	ck_assert_uint_eq(stile_fence_get_context(&work.fence), 7);
	ck_assert_uint_eq(stile_fence_get_seqno(&work.fence), 11);
	ck_assert_str_eq(stile_fence_get_driver_name(&work.fence), "test driver");
	ck_assert_str_eq(stile_fence_get_timeline_name(&work.fence), "test timeline");
	ck_assert_int_eq(work.enabled, 0);
	stile_fence_unref(&work.fence);
	ck_assert_int_eq(work.released, 1);
}
END_TEST

struct newer_ops {
	struct stile_fence_ops known;
	void (*unknown)(void);
	uintptr_t more;
};

struct ops_case {
	const char *what;
	struct newer_ops ops;
	int ret;
};

/* Wrong code: `size` not looked at, or a shorter table read beyond its end. */
static const struct ops_case ops_cases[] = {
	{ "all is there",
		{ .known = { sizeof(struct stile_fence_ops), work_driver, work_timeline, 0, 0,
			  0 } },
		0 },
	{ "longer, the rest empty",
		{ .known = { sizeof(struct newer_ops), work_driver, work_timeline, 0, 0, 0 } }, 0 },
	{ "longer, an op we do not know",
		{ .known = { sizeof(struct newer_ops), work_driver, work_timeline, 0, 0, 0 },
			.more = 1 },
		-E2BIG },
	{ "no size", { .known = { 0, work_driver, work_timeline, 0, 0, 0 } }, -EINVAL },
	{ "too short",
		{ .known = { sizeof(struct stile_fence_ops) - 1, work_driver, work_timeline, 0, 0,
			  0 } },
		-EINVAL },
	{ "size of rubbish", { .known = { SIZE_MAX, work_driver, work_timeline, 0, 0, 0 } },
		-EINVAL },
	{ "no driver name",
		{ .known = { sizeof(struct stile_fence_ops), NULL, work_timeline, 0, 0, 0 } },
		-EINVAL },
	{ "no timeline name",
		{ .known = { sizeof(struct stile_fence_ops), work_driver, NULL, 0, 0, 0 } },
		-EINVAL },
};

START_TEST(init_checks_the_table) {
	const struct ops_case *c = &ops_cases[_i];
	struct stile_fence fence;
	ck_assert_msg(stile_fence_init(&fence, &c->ops.known, 1, 1) == c->ret, "%s", c->what);
}
END_TEST

/* F-1. Wrong code: a counter from 0, or one that counts calls and not contexts. */
START_TEST(contexts_are_never_0_and_never_shared) {
	uint64_t first = stile_fence_context_alloc(1);
	ck_assert_uint_ne(first, 0);
	uint64_t block = stile_fence_context_alloc(10);
	ck_assert_uint_gt(block, first);
	ck_assert_uint_ge(stile_fence_context_alloc(1), block + 10);
}
END_TEST

/* F-3. Wrong code: crashes, or a release before the last one. */
START_TEST(last_unref_releases_once) {
	struct work work;
	work_init(&work, &full_ops);
	ck_assert_ptr_eq(stile_fence_ref(&work.fence), &work.fence);
	stile_fence_unref(&work.fence);
	ck_assert_int_eq(work.released, 0);
	stile_fence_unref(&work.fence);
	ck_assert_int_eq(work.released, 1);
	stile_fence_unref(NULL);
}
END_TEST

/* F-3 (get_rcu). Wrong code: a dead fence comes back. */
START_TEST(reference_on_a_dead_fence_is_refused) {
	struct work work;
	work_init(&work, &full_ops);
	ck_assert(fence_ref_unless_zero(&work.fence));
	stile_fence_unref(&work.fence);
	stile_fence_unref(&work.fence);
	ck_assert(!fence_ref_unless_zero(&work.fence));
}
END_TEST

START_TEST(fence_without_release_leaves_the_memory_alone) {
	struct work work;
	work_init(&work, &bare_ops);
	stile_fence_signal(&work.fence);
	stile_fence_unref(&work.fence);
	ck_assert_uint_eq(work.fence.refs, 0);
}
END_TEST

/* ---- Signalling ---------------------------------------------------------------------------- */

/* F-4, F-13. Wrong code: a second signal moves the time or changes the status. */
START_TEST(only_the_first_signal_counts) {
	struct work work;
	work_init(&work, &full_ops);
	int64_t before = runner_clock_ns();
	stile_fence_signal(&work.fence);
	int64_t after = runner_clock_ns();

	int64_t at = stile_fence_get_timestamp(&work.fence);
	ck_assert_int_ge(at, before);
	ck_assert_int_le(at, after);
	runner_sleep_ms(1);
	ck_assert_int_eq(stile_fence_set_error(&work.fence, -EIO), -EALREADY);
	stile_fence_signal(&work.fence);
	ck_assert_int_eq(stile_fence_get_timestamp(&work.fence), at);
	ck_assert_int_eq(stile_fence_get_status(&work.fence), 1);
	stile_fence_unref(&work.fence);
}
END_TEST

/* F-13, F-14, F-24. Wrong code: an error that only shows before signalling, or the sign lost. */
START_TEST(error_shows_only_once_signalled) {
	static const int errors[] = { -1, -ECANCELED, -ETIME, -EIO, -4095 };
	struct work work;
	work_init(&work, &full_ops);
	ck_assert_int_eq(stile_fence_set_error(&work.fence, errors[_i]), 0);
	ck_assert_int_eq(stile_fence_get_status(&work.fence), 0);
	stile_fence_signal(&work.fence);
	ck_assert_int_eq(stile_fence_get_status(&work.fence), errors[_i]);
	ck_assert_int_eq(stile_fence_wait(&work.fence, 0), 0);
	stile_fence_unref(&work.fence);
}
END_TEST

/* F-14. Wrong code: 0 or a positive number taken for an error, a status of 1 made of it. */
START_TEST(error_out_of_range_is_refused) {
	static const int errors[] = { 0, 1, EIO, -4096, INT32_MIN, INT32_MAX };
	struct work work;
	work_init(&work, &full_ops);
	ck_assert_int_eq(stile_fence_set_error(&work.fence, errors[_i]), -EINVAL);
	stile_fence_signal(&work.fence);
	ck_assert_int_eq(stile_fence_get_status(&work.fence), 1);
	stile_fence_unref(&work.fence);
}
END_TEST

/* ---- Callbacks ----------------------------------------------------------------------------- */

/* F-4, F-7, F-8. Wrong code: a stack instead of a queue; callbacks before the state is set. */
START_TEST(callbacks_run_in_order_and_see_the_end) {
	struct work work;
	work_init(&work, &full_ops);
	struct trace traces[5];
	int clock = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(traces); i++) {
		memset(&traces[i], 0xa5, sizeof(traces[i]));
		traces[i].clock = &clock;
		traces[i].runs = 0;
		ck_assert_int_eq(
			stile_fence_add_callback(&work.fence, &traces[i].callback, trace_run), 0);
	}
	ck_assert_int_eq(clock, 0);
	ck_assert_int_eq(stile_fence_set_error(&work.fence, -EIO), 0);
	stile_fence_signal(&work.fence);
	stile_fence_signal(&work.fence);
	for (size_t i = 0; i < ARRAY_LENGTH(traces); i++) {
		ck_assert_int_eq(traces[i].runs, 1);
		ck_assert_int_eq(traces[i].at, (int)i + 1);
		ck_assert(traces[i].saw_signaled);
		ck_assert_int_eq(traces[i].saw_status, -EIO);
		ck_assert_int_eq(traces[i].saw_timestamp, stile_fence_get_timestamp(&work.fence));
	}
	stile_fence_unref(&work.fence);
}
END_TEST

/* F-7. Wrong code: run at once, or queued for ever. */
START_TEST(callback_on_signalled_fence_is_enoent) {
	struct work work;
	work_init(&work, &full_ops);
	stile_fence_signal(&work.fence);
	int clock = 0;
	struct trace trace = { .clock = &clock };
	ck_assert_int_eq(
		stile_fence_add_callback(&work.fence, &trace.callback, trace_run), -ENOENT);
	ck_assert(!stile_fence_remove_callback(&work.fence, &trace.callback));
	stile_fence_unref(&work.fence);
	ck_assert_int_eq(trace.runs, 0);
}
END_TEST

/* F-7: "does not consult the signaled op". Wrong code: add_callback by way of is_signaled. */
START_TEST(adding_a_callback_does_not_ask_signaled) {
	struct work work;
	work_init(&work, &full_ops);
	work.done = true;
	int clock = 0;
	struct trace trace = { .clock = &clock };
	ck_assert_int_eq(stile_fence_add_callback(&work.fence, &trace.callback, trace_run), 0);
	ck_assert_int_eq(work.asked, 0);
	/* F-12: who asks signals, and the callback runs in its context. */
	ck_assert(stile_fence_is_signaled(&work.fence));
	ck_assert_int_eq(trace.runs, 1);
	stile_fence_unref(&work.fence);
}
END_TEST

/* F-9. Wrong code: true for what has run; a neighbour lost when the head, middle or tail goes. */
START_TEST(removed_callback_never_runs) {
	struct work work;
	work_init(&work, &full_ops);
	struct trace traces[3] = { 0 };
	int clock = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(traces); i++) {
		traces[i].clock = &clock;
		ck_assert_int_eq(
			stile_fence_add_callback(&work.fence, &traces[i].callback, trace_run), 0);
	}
	ck_assert(stile_fence_remove_callback(&work.fence, &traces[_i].callback));
	ck_assert(!stile_fence_remove_callback(&work.fence, &traces[_i].callback));
	stile_fence_signal(&work.fence);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(traces[i].runs, i != _i);
		ck_assert(!stile_fence_remove_callback(&work.fence, &traces[i].callback));
	}
	stile_fence_unref(&work.fence);
}
END_TEST

/* Wrong code: links left in a node that was taken out, so that the list is cut at the second use. */
START_TEST(removed_callback_can_be_added_again) {
	struct work work;
	work_init(&work, &full_ops);
	int clock = 0;
	struct trace one = { .clock = &clock }, other = { .clock = &clock };
	ck_assert_int_eq(stile_fence_add_callback(&work.fence, &one.callback, trace_run), 0);
	ck_assert_int_eq(stile_fence_add_callback(&work.fence, &other.callback, trace_run), 0);
	ck_assert(stile_fence_remove_callback(&work.fence, &one.callback));
	ck_assert_int_eq(stile_fence_add_callback(&work.fence, &one.callback, trace_run), 0);
	stile_fence_signal(&work.fence);
	ck_assert_int_eq(other.at, 1);
	ck_assert_int_eq(one.at, 2);
	stile_fence_unref(&work.fence);
}
END_TEST

struct hop {
	struct stile_callback callback;
	struct stile_fence *next;
	int runs;
};

static void hop_run(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct hop *hop = CONTAINER_OF(callback, struct hop, callback);
	hop->runs++;
	struct stile_fence *next = hop->next;
	hop->next = NULL;
	if (next != NULL) {
		ck_assert_int_eq(stile_fence_add_callback(next, &hop->callback, hop_run), 0);
	}
}

/* F-8: the node is the caller's once fn is entered. Wrong code: unlinking it afterwards. */
START_TEST(callback_may_add_its_node_to_another_fence) {
	struct work first, second;
	work_init(&first, &full_ops);
	work_init(&second, &full_ops);
	struct hop hop = { .next = &second.fence };
	ck_assert_int_eq(stile_fence_add_callback(&first.fence, &hop.callback, hop_run), 0);
	stile_fence_signal(&first.fence);
	ck_assert_int_eq(hop.runs, 1);
	stile_fence_signal(&second.fence);
	ck_assert_int_eq(hop.runs, 2);
	stile_fence_unref(&first.fence);
	stile_fence_unref(&second.fence);
}
END_TEST

static void free_run(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	free(callback);
}

/* F-8. Wrong code: `node->next` read after fn; the address sanitizer sees it. */
START_TEST(callback_may_free_its_node) {
	struct work work;
	work_init(&work, &full_ops);
	for (int i = 0; i < 3; i++) {
		struct stile_callback *callback = malloc(sizeof(*callback));
		ck_assert_ptr_nonnull(callback);
		ck_assert_int_eq(stile_fence_add_callback(&work.fence, callback, free_run), 0);
	}
	stile_fence_signal(&work.fence);
	stile_fence_unref(&work.fence);
}
END_TEST

static void unref_run(struct stile_fence *fence, struct stile_callback *callback) {
	(void)callback;
	stile_fence_unref(fence);
}

/*
 * F-8: "including the last one of this fence". Wrong code: the lock released in freed memory; the
 * address sanitizer sees it.
 */
START_TEST(callback_may_drop_the_last_reference) {
	struct work *work = malloc(sizeof(*work));
	ck_assert_ptr_nonnull(work);
	work_init(work, &heap_ops);
	struct stile_callback drop;
	struct trace trace = { .clock = &(int){ 0 } };
	ck_assert_int_eq(stile_fence_add_callback(&work->fence, &drop, unref_run), 0);
	ck_assert_int_eq(stile_fence_add_callback(&work->fence, &trace.callback, trace_run), 0);
	stile_fence_signal(&work->fence);
	ck_assert_int_eq(trace.runs, 1);
}
END_TEST

/* ---- Asking the implementer ---------------------------------------------------------------- */

/* F-10. Wrong code: the op called for each waiter. */
START_TEST(enable_signaling_is_asked_once) {
	struct work work;
	work_init(&work, &full_ops);
	int clock = 0;
	struct trace traces[2] = { { .clock = &clock }, { .clock = &clock } };
	ck_assert_int_eq(stile_fence_wait(&work.fence, 0), -ETIME);
	ck_assert_int_eq(work.enabled, 1);
	stile_fence_enable_signaling(&work.fence);
	ck_assert_int_eq(stile_fence_add_callback(&work.fence, &traces[0].callback, trace_run), 0);
	ck_assert_int_eq(stile_fence_add_callback(&work.fence, &traces[1].callback, trace_run), 0);
	ck_assert_int_eq(stile_fence_wait(&work.fence, 1), -ETIME);
	ck_assert_int_eq(work.enabled, 1);
	stile_fence_signal(&work.fence);
	stile_fence_unref(&work.fence);
}
END_TEST

/* F-10. Wrong code: asking an implementer that has signalled already. */
START_TEST(signalled_fence_is_not_enabled) {
	struct work work;
	work_init(&work, &full_ops);
	stile_fence_signal(&work.fence);
	stile_fence_enable_signaling(&work.fence);
	ck_assert_int_eq(stile_fence_wait(&work.fence, INT64_MAX), 0);
	ck_assert_int_eq(work.enabled, 0);
	stile_fence_unref(&work.fence);
}
END_TEST

/* F-7, F-10: false from the op signals now, with its error. Wrong code: a callback that is queued. */
START_TEST(refused_enabling_signals_at_once) {
	struct work work;
	work_init(&work, &full_ops);
	work.refuse = true;
	work.late_error = -EIO;
	int clock = 0;
	struct trace trace = { .clock = &clock };
	if (_i == 0) {
		ck_assert_int_eq(
			stile_fence_add_callback(&work.fence, &trace.callback, trace_run), -ENOENT);
	} else if (_i == 1) {
		ck_assert_int_eq(stile_fence_wait(&work.fence, 0), 0);
	} else {
		stile_fence_enable_signaling(&work.fence);
	}
	ck_assert_int_eq(stile_fence_get_status(&work.fence), -EIO);
	ck_assert_int_eq(work.enabled, 1);
	ck_assert_int_eq(trace.runs, 0);
	stile_fence_unref(&work.fence);
}
END_TEST

/* F-11. Wrong code: a wait that asks the signaled op, which hides implementers that never signal. */
START_TEST(wait_does_not_ask_signaled) {
	struct work work;
	work_init(&work, &full_ops);
	work.done = true;
	ck_assert_int_eq(stile_fence_wait(&work.fence, 0), -ETIME);
	ck_assert_int_eq(stile_fence_wait(&work.fence, runner_clock_ns() + 2000000), -ETIME);
	ck_assert_int_eq(work.asked, 0);
	ck_assert_int_eq(stile_fence_get_status(&work.fence), 1);
	ck_assert_int_eq(stile_fence_wait(&work.fence, 0), 0);
	stile_fence_unref(&work.fence);
}
END_TEST

/* F-12. Wrong code: true without signalling; enabling on the way; asking again afterwards. */
START_TEST(is_signaled_signals_from_the_caller) {
	struct work work;
	work_init(&work, &full_ops);
	ck_assert(!stile_fence_is_signaled(&work.fence));
	ck_assert_int_eq(work.asked, 1);
	work.late_error = -EIO;
	work.done = true;
	ck_assert(stile_fence_is_signaled(&work.fence));
	ck_assert_int_eq(work.asked, 2);
	ck_assert(stile_fence_is_signaled(&work.fence));
	ck_assert_int_eq(work.asked, 2);
	ck_assert_int_eq(work.enabled, 0);
	ck_assert_int_eq(stile_fence_get_status(&work.fence), -EIO);
	ck_assert_int_gt(stile_fence_get_timestamp(&work.fence), 0);
	stile_fence_unref(&work.fence);
}
END_TEST

/* ---- Waiting ------------------------------------------------------------------------------- */

/* F-15 with absolute deadlines. Wrong code: relative time; a past deadline that waits; 0 for success. */
START_TEST(wait_on_pending_fence_keeps_its_deadline) {
	struct work work;
	work_init(&work, &bare_ops);
	ck_assert_int_eq(stile_fence_wait(&work.fence, 0), -ETIME);
	ck_assert_int_eq(stile_fence_wait(&work.fence, 1), -ETIME);
	ck_assert_int_eq(stile_fence_wait(&work.fence, runner_clock_ns() - 1), -ETIME);
	int64_t deadline = runner_clock_ns() + 20000000;
	ck_assert_int_eq(stile_fence_wait(&work.fence, deadline), -ETIME);
	ck_assert_int_ge(runner_clock_ns(), deadline);
	ck_assert_int_eq(stile_fence_wait(&work.fence, -1), -EINVAL);
	ck_assert_int_eq(stile_fence_wait(&work.fence, INT64_MIN), -EINVAL);
	stile_fence_unref(&work.fence);
}
END_TEST

/* Wrong code: the clock looked at before the state. */
START_TEST(wait_on_signalled_fence_succeeds_whatever_the_deadline) {
	struct work work;
	work_init(&work, &bare_ops);
	stile_fence_signal(&work.fence);
	ck_assert_int_eq(stile_fence_wait(&work.fence, 0), 0);
	ck_assert_int_eq(stile_fence_wait(&work.fence, 1), 0);
	ck_assert_int_eq(stile_fence_wait(&work.fence, runner_clock_ns() + 1000000000), 0);
	ck_assert_int_eq(stile_fence_wait(&work.fence, INT64_MAX), 0);
	ck_assert_int_eq(stile_fence_wait(&work.fence, -1), -EINVAL);
	stile_fence_unref(&work.fence);
}
END_TEST

struct waiter {
	pthread_t thread;
	struct stile_fence *fence;
	int64_t deadline;
	const int *payload; /* written before signalling, not atomically */
	int saw;
	int ret;
};

static void *waiter_run(void *arg) {
	struct waiter *waiter = arg;
	waiter->ret = stile_fence_wait(waiter->fence, waiter->deadline);
	waiter->saw = *waiter->payload;
	return NULL;
}

/* F-16, F-23. Wrong code: one waiter woken of many; the payload published late (thread sanitizer). */
START_TEST(every_waiter_wakes_and_sees_what_was_written) {
	struct work work;
	work_init(&work, &bare_ops);
	int payload = 0;
	struct waiter waiters[4];
	for (size_t i = 0; i < ARRAY_LENGTH(waiters); i++) {
		waiters[i] = (struct waiter){
			.fence = &work.fence,
			.deadline = i % 2 == 0 ? INT64_MAX : runner_clock_ns() + 60000000000,
			.payload = &payload,
		};
		ck_assert_int_eq(
			pthread_create(&waiters[i].thread, NULL, waiter_run, &waiters[i]), 0);
	}
	runner_sleep_ms(20);
	payload = 42;
	stile_fence_signal(&work.fence);
	for (size_t i = 0; i < ARRAY_LENGTH(waiters); i++) {
		pthread_join(waiters[i].thread, NULL);
		ck_assert_int_eq(waiters[i].ret, 0);
		ck_assert_int_eq(waiters[i].saw, 42);
	}
	stile_fence_unref(&work.fence);
}
END_TEST

/* ---- Abandoned ----------------------------------------------------------------------------- */

/* F-20. Wrong code: callbacks forgotten, so that whoever waits for them waits for ever. */
START_TEST(abandoned_fence_ends_with_edeadlk) {
	ledger_expect_complaint("the last reference of pending fence");
	struct work work;
	work_init(&work, &full_ops);
	int clock = 0;
	struct trace trace = { .clock = &clock };
	ck_assert_int_eq(stile_fence_add_callback(&work.fence, &trace.callback, trace_run), 0);
	stile_fence_unref(&work.fence);
	ck_assert_int_eq(trace.runs, 1);
	ck_assert_int_eq(trace.saw_status, -EDEADLK);
	ck_assert_int_eq(work.released, 1);
}
END_TEST

/* F-20. Wrong code: an error and a signal although nobody listens. */
START_TEST(abandoned_fence_without_callbacks_goes_silently) {
	struct work work;
	work_init(&work, &full_ops);
	int clock = 0;
	struct trace trace = { .clock = &clock };
	ck_assert_int_eq(stile_fence_add_callback(&work.fence, &trace.callback, trace_run), 0);
	ck_assert(stile_fence_remove_callback(&work.fence, &trace.callback));
	stile_fence_unref(&work.fence);
	ck_assert_int_eq(work.released, 1);
	ck_assert_int_eq(trace.runs, 0);
	ck_assert_int_eq(work.fence.error, 0);
}
END_TEST

struct keeper {
	struct stile_callback callback;
	struct stile_fence *kept;
};

static void keep_run(struct stile_fence *fence, struct stile_callback *callback) {
	CONTAINER_OF(callback, struct keeper, callback)->kept = stile_fence_ref(fence);
}

/* Wrong code: released although a callback took a reference on the way out. */
START_TEST(callback_may_keep_an_abandoned_fence) {
	ledger_expect_complaint("the last reference of pending fence");
	struct work work;
	work_init(&work, &full_ops);
	struct keeper keeper = { 0 };
	ck_assert_int_eq(stile_fence_add_callback(&work.fence, &keeper.callback, keep_run), 0);
	stile_fence_unref(&work.fence);
	ck_assert_int_eq(work.released, 0);
	ck_assert_int_eq(stile_fence_get_status(keeper.kept), -EDEADLK);
	stile_fence_unref(keeper.kept);
	ck_assert_int_eq(work.released, 1);
}
END_TEST

/* ---- Many threads -------------------------------------------------------------------------- */

/*
 * Rounds of: one thread signals, others wait, ask, add callbacks and take them back. Each callback
 * runs or was taken back, never both, and nobody sleeps on. Fences are on the heap and every thread
 * has its own reference, so that the sanitizers see a use after the last one.
 * Wrong code: SIGNALED read outside the lock by add_callback; a wake-up that is lost between the
 * look at the state and the sleep; remove_callback that does not wait for the one that runs.
 */
enum { STRESS_THREADS = 6, STRESS_NODES = 4, STRESS_MS = 1500 };

struct stress_node {
	struct stile_callback callback;
	int runs; /* written under the fence's lock only */
};

struct stress {
	pthread_barrier_t start, end;
	_Atomic(struct work *) work;
	int payload;
	atomic_bool stop;
	atomic_int bad;
};

struct stress_thread {
	struct stress *stress;
	uint64_t random;
	pthread_t thread;
};

static void stress_node_run(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	CONTAINER_OF(callback, struct stress_node, callback)->runs++;
}

/* One round of one thread; the number of things that went wrong. */
static int stress_round(struct stress_thread *self, struct stile_fence *fence) {
	struct stress_node nodes[STRESS_NODES] = { 0 };
	bool added[STRESS_NODES];
	int bad = 0;
	for (int i = 0; i < STRESS_NODES; i++) {
		added[i] =
			stile_fence_add_callback(fence, &nodes[i].callback, stress_node_run) == 0;
	}
	switch (runner_random(&self->random) % 3) {
	case 0:
		bad += stile_fence_wait(fence, INT64_MAX) != 0;
		bad += self->stress->payload != 1;
		break;
	case 1:
		while (!stile_fence_is_signaled(fence)) {
		}
		bad += self->stress->payload != 1;
		break;
	default:
		break;
	}
	for (int i = 0; i < STRESS_NODES; i++) {
		bool removed = added[i] && stile_fence_remove_callback(fence, &nodes[i].callback);
		bad += nodes[i].runs != (added[i] && !removed);
	}
	return bad;
}

static void *stress_run(void *arg) {
	struct stress_thread *self = arg;
	for (;;) {
		pthread_barrier_wait(&self->stress->start);
		if (self->stress->stop) {
			return NULL;
		}
		struct stile_fence *fence = &self->stress->work->fence;
		atomic_fetch_add(&self->stress->bad, stress_round(self, fence));
		stile_fence_unref(fence);
		pthread_barrier_wait(&self->stress->end);
	}
}

START_TEST(many_threads_on_one_fence_lose_nothing) {
	uint64_t random = runner_seed();
	struct stress stress = { 0 };
	pthread_barrier_init(&stress.start, NULL, STRESS_THREADS + 1);
	pthread_barrier_init(&stress.end, NULL, STRESS_THREADS + 1);
	struct stress_thread threads[STRESS_THREADS];
	for (int i = 0; i < STRESS_THREADS; i++) {
		threads[i] = (struct stress_thread){
			.stress = &stress,
			.random = runner_random(&random),
		};
		ck_assert_int_eq(
			pthread_create(&threads[i].thread, NULL, stress_run, &threads[i]), 0);
	}
	int64_t until = runner_clock_ns() + STRESS_MS * INT64_C(1000000);
	for (unsigned round = 0; round < 20 || runner_clock_ns() < until; round++) {
		struct work *work = malloc(sizeof(*work));
		ck_assert_ptr_nonnull(work);
		work_init(work, &heap_ops);
		for (int i = 0; i < STRESS_THREADS; i++) {
			stile_fence_ref(&work->fence);
		}
		stress.work = work;
		stress.payload = 0;
		pthread_barrier_wait(&stress.start);
		for (uint64_t spin = runner_random(&random) % 2000; spin > 0; spin--) {
			atomic_signal_fence(memory_order_seq_cst);
		}
		stress.payload = 1;
		stile_fence_signal(&work->fence);
		stile_fence_unref(&work->fence);
		pthread_barrier_wait(&stress.end);
	}
	stress.stop = true;
	pthread_barrier_wait(&stress.start);
	for (int i = 0; i < STRESS_THREADS; i++) {
		pthread_join(threads[i].thread, NULL);
	}
	pthread_barrier_destroy(&stress.start);
	pthread_barrier_destroy(&stress.end);
	ck_assert_int_eq(stress.bad, 0);
}
END_TEST

/* Wrong code: test and set of SIGNALED apart, so that two signallers both run the callbacks. */
static void *signal_run(void *arg) {
	struct stress *stress = arg;
	pthread_barrier_wait(&stress->start);
	stile_fence_signal(&stress->work->fence);
	return NULL;
}

START_TEST(two_signallers_run_callbacks_once) {
	for (int round = 0; round < 200; round++) {
		struct work work;
		work_init(&work, &bare_ops);
		struct stress stress = { .work = &work };
		struct stress_node node = { 0 };
		pthread_barrier_init(&stress.start, NULL, 2);
		ck_assert_int_eq(
			stile_fence_add_callback(&work.fence, &node.callback, stress_node_run), 0);
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, signal_run, &stress), 0);
		signal_run(&stress);
		pthread_join(thread, NULL);
		pthread_barrier_destroy(&stress.start);
		ck_assert_int_eq(node.runs, 1);
		stile_fence_unref(&work.fence);
	}
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("fence");
	TCase *life = ledger_tcase_create("life");
	tcase_add_test(life, new_fence_is_pending_without_error);
	tcase_add_loop_test(life, init_checks_the_table, 0, ARRAY_LENGTH(ops_cases));
	tcase_add_test(life, contexts_are_never_0_and_never_shared);
	tcase_add_test(life, last_unref_releases_once);
	tcase_add_test(life, reference_on_a_dead_fence_is_refused);
	tcase_add_test(life, fence_without_release_leaves_the_memory_alone);
	tcase_add_test(life, only_the_first_signal_counts);
	tcase_add_loop_test(life, error_shows_only_once_signalled, 0, 5);
	tcase_add_loop_test(life, error_out_of_range_is_refused, 0, 6);
	suite_add_tcase(s, life);

	TCase *callbacks = ledger_tcase_create("callbacks");
	tcase_add_test(callbacks, callbacks_run_in_order_and_see_the_end);
	tcase_add_test(callbacks, callback_on_signalled_fence_is_enoent);
	tcase_add_test(callbacks, adding_a_callback_does_not_ask_signaled);
	tcase_add_loop_test(callbacks, removed_callback_never_runs, 0, 3);
	tcase_add_test(callbacks, removed_callback_can_be_added_again);
	tcase_add_test(callbacks, callback_may_add_its_node_to_another_fence);
	tcase_add_test(callbacks, callback_may_free_its_node);
	tcase_add_test(callbacks, callback_may_drop_the_last_reference);
	suite_add_tcase(s, callbacks);

	TCase *asking = ledger_tcase_create("asking");
	tcase_add_test(asking, enable_signaling_is_asked_once);
	tcase_add_test(asking, signalled_fence_is_not_enabled);
	tcase_add_loop_test(asking, refused_enabling_signals_at_once, 0, 3);
	tcase_add_test(asking, wait_does_not_ask_signaled);
	tcase_add_test(asking, is_signaled_signals_from_the_caller);
	suite_add_tcase(s, asking);

	TCase *waiting = ledger_tcase_create("waiting");
	tcase_add_test(waiting, wait_on_pending_fence_keeps_its_deadline);
	tcase_add_test(waiting, wait_on_signalled_fence_succeeds_whatever_the_deadline);
	tcase_add_test(waiting, every_waiter_wakes_and_sees_what_was_written);
	suite_add_tcase(s, waiting);

	TCase *abandoned = ledger_tcase_create("abandoned");
	tcase_add_test(abandoned, abandoned_fence_ends_with_edeadlk);
	tcase_add_test(abandoned, abandoned_fence_without_callbacks_goes_silently);
	tcase_add_test(abandoned, callback_may_keep_an_abandoned_fence);
	suite_add_tcase(s, abandoned);

	TCase *threads = ledger_tcase_create("threads");
	tcase_add_test(threads, many_threads_on_one_fence_lose_nothing);
	tcase_add_test(threads, two_signallers_run_callbacks_once);
	suite_add_tcase(s, threads);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
