/* SPDX-License-Identifier: MIT */
/* Fences in one process: KERNEL_CONTRACT section 1 (F-...), as far as it is implemented. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <stile/check.h>
#include <stile/fence.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/fence.h"
#include "src/macros.h"

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
	size_t size;
	const char *(*driver)(struct stile_fence *fence);
	const char *(*timeline)(struct stile_fence *fence);
	uint32_t flags;
	uintptr_t more; /* an op that we do not know */
	int ret;
};

enum { KNOWN = sizeof(struct stile_fence_ops), NEWER = sizeof(struct newer_ops) };

/* Wrong code: `size` not looked at, or a shorter table read beyond its end. */
static const struct ops_case ops_cases[] = {
	{ "all is there", KNOWN, work_driver, work_timeline, 0, 0, 0 },
	{ "longer, the rest empty", NEWER, work_driver, work_timeline, 0, 0, 0 },
	{ "longer, an op we do not know", NEWER, work_driver, work_timeline, 0, 1, -E2BIG },
	{ "no size", 0, work_driver, work_timeline, 0, 0, -EINVAL },
	{ "too short", KNOWN - 1, work_driver, work_timeline, 0, 0, -EINVAL },
	{ "size of rubbish", SIZE_MAX, work_driver, work_timeline, 0, 0, -EINVAL },
	{ "flags that are known", KNOWN, work_driver, work_timeline,
		STILE_FENCE_SEQNO64 | STILE_FENCE_USER, 0, 0 },
	{ "a flag that is not known", KNOWN, work_driver, work_timeline, 1u << 2, 0, -EINVAL },
	{ "the last flag", KNOWN, work_driver, work_timeline, 1u << 31, 0, -EINVAL },
	{ "no driver name", KNOWN, NULL, work_timeline, 0, 0, -EINVAL },
	{ "no timeline name", KNOWN, work_driver, NULL, 0, 0, -EINVAL },
};

START_TEST(init_checks_the_table) {
	const struct ops_case *c = &ops_cases[_i];
	const struct newer_ops ops = {
		.known = {
			.size = c->size,
			.get_driver_name = c->driver,
			.get_timeline_name = c->timeline,
			.flags = c->flags,
		},
		.more = c->more,
	};
	struct stile_fence fence;
	ck_assert_msg(stile_fence_init(&fence, &ops.known, 1, 1) == c->ret, "%s", c->what);
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

/* F-7. Wrong code: the node of a callback that came too late left as it was, links and all. */
START_TEST(refused_callback_is_on_no_list) {
	struct work work;
	work_init(&work, &full_ops);
	stile_fence_signal(&work.fence);
	struct stile_callback before = { 0 }, after = { 0 };
	struct stile_callback callback = { .prev = &before, .next = &after };
	ck_assert_int_eq(stile_fence_add_callback(&work.fence, &callback, trace_run), -ENOENT);
	ck_assert(!stile_fence_remove_callback(&work.fence, &callback));
	ck_assert_ptr_null(before.next);
	ck_assert_ptr_null(after.prev);
	stile_fence_unref(&work.fence);
}
END_TEST

/*
 * F-9. Wrong code: true for what has run; a neighbour lost when the head, middle or tail goes, or one
 * that is added afterwards.
 */
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
	struct trace late = { .clock = &clock };
	ck_assert_int_eq(stile_fence_add_callback(&work.fence, &late.callback, trace_run), 0);
	stile_fence_signal(&work.fence);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(traces[i].runs, i != _i);
		ck_assert(!stile_fence_remove_callback(&work.fence, &traces[i].callback));
	}
	ck_assert_int_eq(late.at, 3);
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

static void scribble_run(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	memset(callback, 0xa5, sizeof(*callback));
}

/* F-8. Wrong code: a node that is written to after its function was entered. */
START_TEST(callback_has_its_node_back) {
	struct work work;
	work_init(&work, &full_ops);
	struct stile_callback callbacks[3], expected;
	memset(&expected, 0xa5, sizeof(expected));
	for (size_t i = 0; i < ARRAY_LENGTH(callbacks); i++) {
		ck_assert_int_eq(
			stile_fence_add_callback(&work.fence, &callbacks[i], scribble_run), 0);
	}
	stile_fence_signal(&work.fence);
	for (size_t i = 0; i < ARRAY_LENGTH(callbacks); i++) {
		ck_assert_mem_eq(&callbacks[i], &expected, sizeof(expected));
	}
	stile_fence_unref(&work.fence);
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

struct release_trace {
	struct stile_callback callback;
	int released;
};

static void release_trace_run(struct stile_fence *fence, struct stile_callback *callback) {
	CONTAINER_OF(callback, struct release_trace, callback)->released = work_of(fence)->released;
}

/*
 * F-8. Wrong code: the fence released under its signaller, of which one that has its lock too is one,
 * by the first of several callbacks.
 */
START_TEST(fence_stays_until_its_last_callback_has_run) {
	struct stile_lock lock;
	stile_lock_init(&lock, NULL);
	struct work work = { 0 };
	ck_assert_int_eq(stile_fence_init_shared(&work.fence, &full_ops, &lock, 7, 11), 0);
	struct stile_callback drop;
	struct release_trace trace = { .released = -1 };
	ck_assert_int_eq(stile_fence_add_callback(&work.fence, &drop, unref_run), 0);
	ck_assert_int_eq(
		stile_fence_add_callback(&work.fence, &trace.callback, release_trace_run), 0);
	if (_i == 0) {
		stile_fence_signal(&work.fence);
	} else {
		stile_lock_acquire(&lock);
		stile_fence_signal_locked(&work.fence);
		stile_lock_release(&lock);
	}
	ck_assert_int_eq(trace.released, 0);
	ck_assert_int_eq(work.released, 1);
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
		struct timespec limit;
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec += 20;
		ck_assert_msg(pthread_timedjoin_np(waiters[i].thread, NULL, &limit) == 0,
			"waiter %zu sleeps on", i);
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
	ck_assert_int_eq(stile_fence_get_status(&work.fence), 0);
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

/* ---- Signalling in other ways ------------------------------------------------------------- */

/* A program that embeds fences counts on it. */
_Static_assert(sizeof(struct stile_fence) <= 112, "a fence stays small");

/* F-1: n == 0. Wrong code: silence, or a context used up. */
START_TEST(context_block_of_0_is_told) {
	ledger_expect_complaint("a block of 0");
	uint64_t next = stile_fence_context_alloc(0);
	ck_assert_uint_ne(next, 0);
	ck_assert_uint_ge(stile_fence_context_alloc(1), next);
}
END_TEST

/* The ways to signal, with the lock held by the caller or not. */
static void by_signal(struct stile_fence *fence) {
	stile_fence_signal(fence);
}

static void by_signal_locked(struct stile_fence *fence) {
	stile_fence_lock(fence);
	stile_fence_signal_locked(fence);
	stile_fence_unlock(fence);
}

static void by_timestamp(struct stile_fence *fence) {
	stile_fence_signal_timestamp(fence, 4711);
}

static void by_timestamp_locked(struct stile_fence *fence) {
	stile_fence_lock(fence);
	stile_fence_signal_timestamp_locked(fence, 4711);
	stile_fence_unlock(fence);
}

static void by_check_and_signal(struct stile_fence *fence) {
	bool before = stile_fence_is_signaled(fence);
	ck_assert(stile_fence_check_and_signal(fence) == before);
}

static void by_asking_locked(struct stile_fence *fence) {
	work_of(fence)->done = true;
	stile_fence_lock(fence);
	ck_assert(stile_fence_is_signaled_locked(fence));
	stile_fence_unlock(fence);
}

struct way {
	const char *what;
	void (*signal)(struct stile_fence *fence);
	int64_t timestamp_ns; /* 0: now */
};

static const struct way ways[] = {
	{ "signal", by_signal, 0 },
	{ "signal_locked", by_signal_locked, 0 },
	{ "signal_timestamp", by_timestamp, 4711 },
	{ "signal_timestamp_locked", by_timestamp_locked, 4711 },
	{ "check_and_signal", by_check_and_signal, 0 },
	{ "is_signaled_locked", by_asking_locked, 0 },
};

/* F-4, F-6, F-12. Wrong code: one of them forgets callbacks, sleepers, the time or that it was late. */
START_TEST(every_way_to_signal_does_all_of_it_once) {
	const struct way *way = &ways[_i];
	for (size_t second = 0; second < ARRAY_LENGTH(ways); second++) {
		struct work work;
		work_init(&work, &full_ops);
		int payload = 0, clock = 0;
		struct waiter waiter = {
			.fence = &work.fence, .deadline = INT64_MAX, .payload = &payload
		};
		struct trace trace = { .clock = &clock };
		ck_assert_int_eq(
			stile_fence_add_callback(&work.fence, &trace.callback, trace_run), 0);
		ck_assert_int_eq(pthread_create(&waiter.thread, NULL, waiter_run, &waiter), 0);
		ck_assert_int_eq(stile_fence_set_error(&work.fence, -EIO), 0);
		payload = 42;
		int64_t before = runner_clock_ns();
		way->signal(&work.fence);
		int64_t at = stile_fence_get_timestamp(&work.fence);
		pthread_join(waiter.thread, NULL);
		ck_assert_int_eq(waiter.saw, 42);
		ck_assert_msg(way->timestamp_ns == 0 ? at >= before : at == way->timestamp_ns,
			"%s: at %lld", way->what, (long long)at);

		ways[second].signal(&work.fence);
		ck_assert_int_eq(trace.runs, 1);
		ck_assert_int_eq(trace.saw_status, -EIO);
		ck_assert_int_eq(trace.saw_timestamp, at);
		ck_assert_int_eq(stile_fence_get_timestamp(&work.fence), at);
		ck_assert_int_eq(stile_fence_get_status(&work.fence), -EIO);
		stile_fence_unref(&work.fence);
	}
}
END_TEST

enum { RACERS = 16 };

struct racers {
	pthread_barrier_t start;
	struct stile_fence *fence;
	atomic_int firsts;
};

static void *racer_run(void *arg) {
	struct racers *racers = arg;
	pthread_barrier_wait(&racers->start);
	if (!stile_fence_check_and_signal(racers->fence)) {
		atomic_fetch_add(&racers->firsts, 1);
	}
	return NULL;
}

/* F-4. Wrong code: look and signal apart, so that two think that they were first. */
START_TEST(exactly_one_of_many_signallers_is_first) {
	for (int round = 0; round < 30; round++) {
		struct work work;
		work_init(&work, &full_ops);
		struct racers racers = { .fence = &work.fence };
		pthread_barrier_init(&racers.start, NULL, RACERS);
		pthread_t threads[RACERS];
		for (size_t i = 0; i < RACERS; i++) {
			ck_assert_int_eq(pthread_create(&threads[i], NULL, racer_run, &racers), 0);
		}
		for (size_t i = 0; i < RACERS; i++) {
			pthread_join(threads[i], NULL);
		}
		pthread_barrier_destroy(&racers.start);
		ck_assert_int_eq(racers.firsts, 1);
		stile_fence_unref(&work.fence);
	}
}
END_TEST

struct late_error {
	pthread_barrier_t start;
	struct stile_fence *fence;
	int status; /* what the one who signalled saw right afterwards */
};

static void *late_error_run(void *arg) {
	struct late_error *late = arg;
	pthread_barrier_wait(&late->start);
	stile_fence_signal(late->fence);
	late->status = stile_fence_get_status(late->fence);
	return NULL;
}

/*
 * F-14, F-24: an error that comes at the same time as the end is refused, or was there all along.
 * Wrong code: a look at the state and a store, between which the fence ends, so that a status of
 * success turns into a failure.
 */
START_TEST(error_is_stored_before_the_end_or_not_at_all) {
	for (int round = 0; round < 3000; round++) {
		struct work work;
		work_init(&work, &bare_ops);
		struct late_error late = { .fence = &work.fence };
		pthread_barrier_init(&late.start, NULL, 2);
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, late_error_run, &late), 0);
		pthread_barrier_wait(&late.start);
		int stored = 0, error = 0, ret;
		while ((ret = stile_fence_set_error(&work.fence, error - 1)) == 0) {
			error = error > -4000 ? error - 1 : 0;
			stored++;
		}
		pthread_join(thread, NULL);
		pthread_barrier_destroy(&late.start);
		ck_assert_int_eq(ret, -EALREADY);
		ck_assert_int_eq(late.status, stored == 0 ? 1 : error == 0 ? -4001 : error);
		ck_assert_int_eq(stile_fence_get_status(&work.fence), late.status);
		stile_fence_unref(&work.fence);
	}
}
END_TEST

/* ---- The lock ------------------------------------------------------------------------------ */

struct gate {
	struct stile_callback callback;
	struct stile_fence *fence;
	atomic_bool inside;  /* the callback runs */
	atomic_bool trying;  /* somebody is about to take the lock */
	atomic_bool entered; /* somebody has the lock */
	atomic_bool overlapped;
	int written; /* by the callback, at its end */
	int read;
};

static void gate_run(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct gate *gate = CONTAINER_OF(callback, struct gate, callback);
	gate->inside = true;
	while (!gate->trying) {
	}
	runner_sleep_ms(5);
	gate->overlapped = gate->entered;
	gate->written = 42;
}

static void *gate_enter(void *arg) {
	struct gate *gate = arg;
	while (!gate->inside || !stile_fence_is_signaled(gate->fence)) {
	}
	gate->trying = true;
	stile_fence_lock(gate->fence);
	gate->entered = true;
	gate->read = gate->written;
	stile_fence_unlock(gate->fence);
	return NULL;
}

/*
 * F-5, F-8: who takes the lock after the fence was signalled knows that callbacks have run. Wrong
 * code: callbacks called without the lock, or with the fence's own one although it shares another.
 */
START_TEST(lock_after_the_end_waits_for_callbacks) {
	struct stile_lock lock;
	stile_lock_init(&lock, "test queue");
	struct work work = { 0 };
	ck_assert_int_eq(
		stile_fence_init_shared(&work.fence, &full_ops, _i == 0 ? NULL : &lock, 1, 1), 0);
	struct gate gate = { .fence = &work.fence };
	ck_assert_int_eq(stile_fence_add_callback(&work.fence, &gate.callback, gate_run), 0);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, gate_enter, &gate), 0);
	if (_i == 2) {
		stile_lock_acquire(&lock);
		stile_fence_signal_locked(&work.fence);
		stile_lock_release(&lock);
	} else {
		stile_fence_signal(&work.fence);
	}
	pthread_join(thread, NULL);
	ck_assert(!gate.overlapped);
	ck_assert_int_eq(gate.read, 42);
	stile_fence_unref(&work.fence);
}
END_TEST

struct relay {
	struct stile_callback callback;
	struct stile_fence *next; /* shares the lock */
};

static void relay_run(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	stile_fence_signal_locked(CONTAINER_OF(callback, struct relay, callback)->next);
}

static void shared_init(struct work *works, size_t count, struct stile_lock *lock) {
	memset(works, 0, count * sizeof(*works));
	for (size_t i = 0; i < count; i++) {
		memset(&works[i].fence, 0xa5, sizeof(works[i].fence));
		ck_assert_int_eq(
			stile_fence_init_shared(&works[i].fence, &full_ops, lock, 1, i), 0);
	}
}

/*
 * F-4 `_locked`: a queue signals all its fences under one lock, which callbacks may count on. Wrong
 * code: the lock taken again; a lock with which only the first fence works. Zero memory is a lock.
 */
START_TEST(fences_of_one_lock_are_signalled_under_it) {
	struct stile_lock lock = { 0 };
	if (_i == 1) {
		stile_lock_init(&lock, "test queue");
	}
	struct work works[4];
	shared_init(works, ARRAY_LENGTH(works), &lock);
	int clock = 0;
	struct trace traces[4];
	for (size_t i = 0; i < ARRAY_LENGTH(works); i++) {
		traces[i] = (struct trace){ .clock = &clock };
		ck_assert_int_eq(
			stile_fence_add_callback(&works[i].fence, &traces[i].callback, trace_run),
			0);
	}
	struct relay relay = { .next = &works[2].fence };
	ck_assert_int_eq(stile_fence_add_callback(&works[0].fence, &relay.callback, relay_run), 0);
	works[3].done = true;

	stile_lock_acquire(&lock);
	stile_fence_signal_locked(&works[0].fence);
	stile_fence_signal_timestamp_locked(&works[1].fence, 4711);
	ck_assert(stile_fence_is_signaled_locked(&works[2].fence));
	ck_assert(stile_fence_is_signaled_locked(&works[3].fence));
	ck_assert_int_eq(clock, 4);
	stile_lock_release(&lock);

	ck_assert_int_eq(traces[2].at, 2);
	ck_assert_int_eq(stile_fence_get_timestamp(&works[1].fence), 4711);
	for (size_t i = 0; i < ARRAY_LENGTH(works); i++) {
		ck_assert_int_eq(stile_fence_wait(&works[i].fence, INT64_MAX), 0);
		stile_fence_unref(&works[i].fence);
	}
}
END_TEST

/* F-8 with a shared lock. Wrong code: freed memory looked at after the last callback (sanitizer). */
START_TEST(callback_may_drop_the_last_reference_under_a_shared_lock) {
	struct stile_lock lock;
	stile_lock_init(&lock, "test queue");
	struct work *work = calloc(1, sizeof(*work));
	ck_assert_ptr_nonnull(work);
	ck_assert_int_eq(stile_fence_init_shared(&work->fence, &heap_ops, &lock, 1, 1), 0);
	struct stile_callback drop;
	struct trace trace = { .clock = &(int){ 0 } };
	ck_assert_int_eq(stile_fence_add_callback(&work->fence, &drop, unref_run), 0);
	ck_assert_int_eq(stile_fence_add_callback(&work->fence, &trace.callback, trace_run), 0);
	stile_lock_acquire(&lock);
	stile_fence_signal_locked(&work->fence);
	stile_lock_release(&lock);
	ck_assert_int_eq(trace.runs, 1);
}
END_TEST

struct dropper {
	struct stile_callback callback;
	struct work *other;
};

static void unref_other(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	stile_fence_unref(&CONTAINER_OF(callback, struct dropper, callback)->other->fence);
}

/* F-20 within F-8. Wrong code: the abandoned one is ended at once, under the lock that is held. */
START_TEST(abandoned_in_a_callback_under_a_shared_lock_ends_later) {
	ledger_expect_complaint("the last reference of pending fence");
	struct stile_lock lock;
	struct work one, other;
	stile_lock_init(&lock, "test queue");
	ck_assert_int_eq(stile_fence_init_shared(&one.fence, &bare_ops, &lock, 1, 1), 0);
	ck_assert_int_eq(stile_fence_init_shared(&other.fence, &bare_ops, &lock, 1, 2), 0);
	struct dropper dropper = { .other = &other };
	struct trace trace = { .clock = &(int){ 0 } };
	ck_assert_int_eq(stile_fence_add_callback(&other.fence, &trace.callback, trace_run), 0);
	ck_assert_int_eq(stile_fence_add_callback(&one.fence, &dropper.callback, unref_other), 0);
	stile_fence_signal(&one.fence);
	ck_assert_int_eq(trace.runs, 1);
	ck_assert_int_eq(trace.saw_status, -EDEADLK);
	stile_fence_unref(&one.fence);
}
END_TEST

/*
 * Wrong code: a lock without a name is a new kind of lock for the lock-order checker each time, until
 * that has no room for more; or one that it never sees released.
 */
START_TEST(lock_without_a_name_confuses_no_checker) {
	bool was_on = stile_check_is_enabled();
	stile_check_enable(true);
	struct stile_lock lock = { 0 }, named;
	stile_lock_init(&named, "test queue");
	struct work works[2];
	shared_init(&works[0], 1, &lock);
	shared_init(&works[1], 1, &named);
	for (int i = 0; i < 3000; i++) {
		stile_lock_acquire(&lock);
		stile_lock_acquire(&named);
		stile_lock_release(&named);
		stile_lock_release(&lock);
		stile_fence_lock(&works[i % 2].fence);
		stile_fence_unlock(&works[i % 2].fence);
	}
	stile_check_enable(was_on);
	stile_fence_unref(&works[0].fence);
	stile_fence_unref(&works[1].fence);
}
END_TEST

/* ---- Order --------------------------------------------------------------------------------- */

static const struct stile_fence_ops ops64 = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = work_driver,
	.get_timeline_name = work_timeline,
	.flags = STILE_FENCE_SEQNO64,
};

struct order_case {
	const char *what;
	const struct stile_fence_ops *ops;
	uint64_t one, other;
	bool one_is_later, other_is_later;
};

/* F-18. Wrong code: an unsigned or 64-bit difference, equal ones as later, a wrap where none is. */
static const struct order_case order_cases[] = {
	{ "next", &bare_ops, 2, 1, true, false },
	{ "equal", &bare_ops, 5, 5, false, false },
	{ "wrapped around", &bare_ops, 0, 0xffffffff, true, false },
	{ "wrapped around, beyond 32 bits", &bare_ops, UINT64_C(0x100000001), 0xfffffffe, true,
		false },
	{ "high halves do not count", &bare_ops, UINT64_C(0x700000001), 2, false, true },
	{ "equal in the low half", &bare_ops, UINT64_C(0x100000003), 3, false, false },
	{ "furthest", &bare_ops, 0x7fffffff, 0, true, false },
	{ "exactly 2^31 apart", &bare_ops, 0x80000000, 0, false, false },
	{ "exactly 2^31 apart, elsewhere", &bare_ops, 0x80000007, 7, false, false },
	{ "more than 2^31 apart", &bare_ops, 0x80000001, 0, false, true },
	{ "64 bits: next", &ops64, 2, 1, true, false },
	{ "64 bits: equal", &ops64, 5, 5, false, false },
	{ "64 bits: high halves count", &ops64, UINT64_C(0x700000001), 2, true, false },
	{ "64 bits: 2^31 apart", &ops64, 0x80000000, 0, true, false },
	{ "64 bits: no wrap", &ops64, UINT64_MAX, 0, true, false },
	{ "64 bits: 2^63 apart", &ops64, UINT64_C(1) << 63, 0, true, false },
};

START_TEST(order_is_that_of_the_seqno) {
	const struct order_case *c = &order_cases[_i];
	struct stile_fence one, other;
	ck_assert_int_eq(stile_fence_init(&one, c->ops, 3, c->one), 0);
	ck_assert_int_eq(stile_fence_init(&other, c->ops, 3, c->other), 0);
	ck_assert_msg(stile_fence_is_later(&one, &other) == c->one_is_later, "%s", c->what);
	ck_assert_msg(stile_fence_is_later(&other, &one) == c->other_is_later, "%s", c->what);
	/* "Same" is the same fence, not the same number. */
	ck_assert(stile_fence_is_later_or_same(&one, &other) == c->one_is_later);
	ck_assert(stile_fence_is_later_or_same(&other, &one) == c->other_is_later);
	ck_assert(!stile_fence_is_later(&one, &one));
	ck_assert(stile_fence_is_later_or_same(&one, &one));

	ck_assert_ptr_eq(stile_fence_get_later(&one, &other), c->one_is_later ? &one : &other);
	struct stile_fence *later = stile_fence_get_later(&other, &one);
	ck_assert_ptr_eq(later, c->other_is_later ? &other : &one);
	stile_fence_signal(later == &one ? &other : &one);
	ck_assert_ptr_eq(stile_fence_get_later(&one, &one) != NULL ? &one : &other, later);
	stile_fence_signal(later);
	ck_assert_ptr_null(stile_fence_get_later(&one, &other));
	ck_assert_ptr_null(stile_fence_get_later(&other, &one));
	stile_fence_unref(&one);
	stile_fence_unref(&other);
}
END_TEST

/* F-18. Wrong code: the earlier one given because the later one is signalled. */
START_TEST(later_that_is_signalled_is_null) {
	struct stile_fence early, late;
	ck_assert_int_eq(stile_fence_init(&early, &bare_ops, 3, 1), 0);
	ck_assert_int_eq(stile_fence_init(&late, &bare_ops, 3, 2), 0);
	stile_fence_signal(&late);
	ck_assert_ptr_null(stile_fence_get_later(&early, &late));
	ck_assert_ptr_null(stile_fence_get_later(&late, &early));
	stile_fence_unref(&early);
	stile_fence_unref(&late);
}
END_TEST

/* F-18. Wrong code: an answer by seqno for fences that have nothing to do with each other. */
START_TEST(other_contexts_have_no_order) {
	struct stile_fence one, other;
	ck_assert_int_eq(stile_fence_init(&one, &bare_ops, 3, 1), 0);
	ck_assert_int_eq(stile_fence_init(&other, &bare_ops, 4, 2), 0);
	ledger_expect_complaint("contexts");
	if (_i == 0) {
		ck_assert(!stile_fence_is_later(&one, &other));
		ck_assert(!stile_fence_is_later(&other, &one));
	} else if (_i == 1) {
		ck_assert(!stile_fence_is_later_or_same(&other, &one));
	} else {
		ck_assert_ptr_null(stile_fence_get_later(&one, &other));
	}
	stile_fence_unref(&one);
	stile_fence_unref(&other);
}
END_TEST

/* ---- What is told of it -------------------------------------------------------------------- */

/* F-19, F-21 but for the names, which stay. Wrong code: a byte beyond the end, a missing NUL. */
START_TEST(description_is_cut_like_snprintf) {
	static const char *const texts[] = {
		"7:11 test timeline (test driver) pending",
		"7:11 test timeline (test driver) signalled",
		"7:11 test timeline (test driver) failed: ",
	};
	struct work work;
	work_init(&work, &full_ops);
	if (_i == 2) {
		ck_assert_int_eq(stile_fence_set_error(&work.fence, -EIO), 0);
	}
	if (_i > 0) {
		stile_fence_signal(&work.fence);
	}
	char whole[256];
	int need = stile_fence_describe(&work.fence, whole, sizeof(whole));
	ck_assert_int_eq(need, (int)strlen(whole));
	ck_assert_msg(strncmp(whole, texts[_i], strlen(texts[_i])) == 0, "%s", whole);
	ck_assert(_i == 2 || strlen(whole) == strlen(texts[_i]));
	ck_assert(_i != 2 || strstr(whole, strerror(EIO)) != NULL);
	ck_assert_str_eq(stile_fence_get_driver_name(&work.fence), "test driver");
	ck_assert_str_eq(stile_fence_get_timeline_name(&work.fence), "test timeline");

	ck_assert_int_eq(stile_fence_describe(&work.fence, NULL, 0), need);
	for (size_t size = 1; size <= (size_t)need + 1; size++) {
		char part[256];
		memset(part, 'x', sizeof(part));
		ck_assert_int_eq(stile_fence_describe(&work.fence, part, size), need);
		ck_assert_uint_eq(strlen(part), size - 1);
		ck_assert(strncmp(part, whole, size - 1) == 0);
		ck_assert_int_eq(part[size], 'x');
	}
	stile_fence_unref(&work.fence);
}
END_TEST

/* F-22. Wrong code: a stub that is pending until somebody looks; the one of the process given away. */
START_TEST(stub_is_one_signalled_fence) {
	struct stile_fence *stub = stile_fence_get_stub();
	struct stile_fence *same = stile_fence_get_stub();
	ck_assert_ptr_eq(stub, same);
	ck_assert_int_eq(stile_fence_wait(stub, 0), 0);
	ck_assert_int_eq(stile_fence_get_status(stub), 1);
	ck_assert_int_gt(stile_fence_get_timestamp(stub), 0);
	ck_assert_uint_eq(stile_fence_get_context(stub), 0);
	ck_assert_uint_eq(stile_fence_get_seqno(stub), 0);
	ck_assert_str_eq(stile_fence_get_driver_name(stub), "stub");
	ck_assert_str_eq(stile_fence_get_timeline_name(stub), "stub");
	ck_assert(fence_is_enabled(stub));
	ck_assert(!stile_fence_is_user(stub));
	struct stile_callback callback;
	ck_assert_int_eq(stile_fence_add_callback(stub, &callback, free_run), -ENOENT);
	stile_fence_unref(stub);
	stile_fence_unref(same);
	same = stile_fence_get_stub();
	ck_assert_ptr_eq(stub, same);
	stile_fence_unref(same);
}
END_TEST

/* F-22. Wrong code: the time of the call instead of the one given; the common one with a new time. */
START_TEST(private_stub_has_a_time_of_its_own) {
	static const int64_t times[] = { 4711, 0, INT64_MAX };
	struct stile_fence *one, *common = stile_fence_get_stub();
	ck_assert_int_eq(stile_fence_create_stub(times[_i], &one), 0);
	ck_assert_ptr_ne(one, common);
	ck_assert_int_eq(stile_fence_get_status(one), 1);
	ck_assert_int_eq(stile_fence_get_timestamp(one), times[_i]);
	ck_assert_uint_eq(stile_fence_get_context(one), 0);
	ck_assert_uint_eq(stile_fence_get_seqno(one), 0);
	ck_assert_str_eq(stile_fence_get_timeline_name(one), "stub");
	ck_assert(fence_is_enabled(one));
	stile_fence_unref(one);
	stile_fence_unref(common);
}
END_TEST

static struct stile_fence untouched;

static int attempt_stub(void *user) {
	return stile_fence_create_stub(1, user);
}

static void after_stub(void *user, int ret) {
	struct stile_fence **out = user;
	ck_assert((*out != NULL) == (ret == 0));
	stile_fence_unref(*out);
	*out = &untouched;
}

/* Wrong code: the common one instead, whose time is another; *out left as it was. */
START_TEST(private_stub_without_memory_is_enomem) {
	static const int errors[] = { -ENOMEM, 0 };
	struct stile_fence *out = &untouched;
	ck_assert_uint_eq(failing_sweep(attempt_stub, after_stub, &out, errors), 1);
}
END_TEST

/* ---- Ops of few ---------------------------------------------------------------------------- */

struct guest {
	struct stile_fence fence;
	bool done;
	int calls;
	int64_t deadline_ns;
	int ret;
};

static struct guest *guest_of(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct guest, fence);
}

static bool guest_signaled(struct stile_fence *fence) {
	return guest_of(fence)->done;
}

static void guest_set_deadline(struct stile_fence *fence, int64_t deadline_ns) {
	/* Hangs if the caller has the lock. */
	stile_fence_lock(fence);
	guest_of(fence)->calls++;
	guest_of(fence)->deadline_ns = deadline_ns;
	stile_fence_unlock(fence);
}

static int guest_wait(struct stile_fence *fence, int64_t deadline_ns) {
	guest_set_deadline(fence, deadline_ns);
	if (guest_of(fence)->ret == 0) {
		stile_fence_signal(fence);
	}
	return guest_of(fence)->ret;
}

static const struct stile_fence_ops guest_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = work_driver,
	.get_timeline_name = work_timeline,
	.signaled = guest_signaled,
	.set_deadline = guest_set_deadline,
	.wait = guest_wait,
};

static void guest_init(struct guest *guest) {
	*guest = (struct guest){ 0 };
	ck_assert_int_eq(stile_fence_init(&guest->fence, &guest_ops, 1, 1), 0);
}

/* L-1. Wrong code: a hint about work that is done; the op called under the lock; a missing op called. */
START_TEST(deadline_is_passed_on_while_pending) {
	struct guest guest;
	guest_init(&guest);
	stile_fence_set_deadline(&guest.fence, 4711);
	stile_fence_set_deadline(&guest.fence, 1);
	ck_assert_int_eq(guest.calls, 2);
	ck_assert_int_eq(guest.deadline_ns, 1);
	ck_assert(!fence_is_enabled(&guest.fence));
	if (_i == 0) {
		stile_fence_signal(&guest.fence);
	} else {
		guest.done = true;
	}
	stile_fence_set_deadline(&guest.fence, 5);
	ck_assert_int_eq(guest.calls, 2);
	stile_fence_unref(&guest.fence);

	struct work work;
	work_init(&work, &full_ops);
	stile_fence_set_deadline(&work.fence, 1);
	ck_assert_int_eq(stile_fence_get_status(&work.fence), 0);
	stile_fence_unref(&work.fence);
}
END_TEST

/*
 * F-15. Wrong code: the op called for a poll, under the lock, or for what has ended; its result lost;
 * somebody else asked to signal as well.
 */
START_TEST(wait_op_replaces_the_sleep) {
	struct guest guest;
	guest_init(&guest);
	ck_assert_int_eq(stile_fence_wait(&guest.fence, 0), -ETIME);
	ck_assert_int_eq(stile_fence_wait(&guest.fence, -1), -EINVAL);
	ck_assert_int_eq(guest.calls, 0);
	guest.ret = -ETIME;
	ck_assert_int_eq(stile_fence_wait(&guest.fence, 4711), -ETIME);
	ck_assert_int_eq(guest.calls, 1);
	ck_assert_int_eq(guest.deadline_ns, 4711);
	ck_assert(!fence_is_enabled(&guest.fence));
	guest.ret = 0;
	ck_assert_int_eq(stile_fence_wait(&guest.fence, INT64_MAX), 0);
	ck_assert_int_eq(guest.calls, 2);
	ck_assert_int_eq(guest.deadline_ns, INT64_MAX);
	ck_assert_int_eq(stile_fence_get_status(&guest.fence), 1);
	ck_assert_int_eq(stile_fence_wait(&guest.fence, INT64_MAX), 0);
	ck_assert_int_eq(guest.calls, 2);
	stile_fence_unref(&guest.fence);
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
	tcase_add_test(callbacks, refused_callback_is_on_no_list);
	tcase_add_loop_test(callbacks, removed_callback_never_runs, 0, 3);
	tcase_add_test(callbacks, removed_callback_can_be_added_again);
	tcase_add_test(callbacks, callback_may_add_its_node_to_another_fence);
	tcase_add_test(callbacks, callback_has_its_node_back);
	tcase_add_test(callbacks, callback_may_free_its_node);
	tcase_add_test(callbacks, callback_may_drop_the_last_reference);
	tcase_add_loop_test(callbacks, fence_stays_until_its_last_callback_has_run, 0, 2);
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

	TCase *signalling = ledger_tcase_create("signalling");
	tcase_add_test(signalling, context_block_of_0_is_told);
	tcase_add_loop_test(
		signalling, every_way_to_signal_does_all_of_it_once, 0, ARRAY_LENGTH(ways));
	tcase_add_test(signalling, exactly_one_of_many_signallers_is_first);
	tcase_add_test(signalling, error_is_stored_before_the_end_or_not_at_all);
	suite_add_tcase(s, signalling);

	TCase *lock = ledger_tcase_create("lock");
	tcase_add_loop_test(lock, lock_after_the_end_waits_for_callbacks, 0, 3);
	tcase_add_loop_test(lock, fences_of_one_lock_are_signalled_under_it, 0, 2);
	tcase_add_test(lock, callback_may_drop_the_last_reference_under_a_shared_lock);
	tcase_add_test(lock, abandoned_in_a_callback_under_a_shared_lock_ends_later);
	tcase_add_test(lock, lock_without_a_name_confuses_no_checker);
	suite_add_tcase(s, lock);

	TCase *order = ledger_tcase_create("order");
	tcase_add_loop_test(order, order_is_that_of_the_seqno, 0, ARRAY_LENGTH(order_cases));
	tcase_add_test(order, later_that_is_signalled_is_null);
	tcase_add_loop_test(order, other_contexts_have_no_order, 0, 3);
	suite_add_tcase(s, order);

	TCase *telling = ledger_tcase_create("telling");
	tcase_add_loop_test(telling, description_is_cut_like_snprintf, 0, 3);
	tcase_add_test(telling, stub_is_one_signalled_fence);
	tcase_add_loop_test(telling, private_stub_has_a_time_of_its_own, 0, 3);
	tcase_add_test(telling, private_stub_without_memory_is_enomem);
	tcase_add_loop_test(telling, deadline_is_passed_on_while_pending, 0, 2);
	tcase_add_test(telling, wait_op_replaces_the_sleep);
	suite_add_tcase(s, telling);

	TCase *threads = ledger_tcase_create("threads");
	tcase_add_test(threads, many_threads_on_one_fence_lose_nothing);
	tcase_add_test(threads, two_signallers_run_callbacks_once);
	suite_add_tcase(s, threads);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
