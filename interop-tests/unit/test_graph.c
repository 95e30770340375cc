/* SPDX-License-Identifier: MIT */
/* Who waits for whom: situations in which programs hang, and what the graph says of them. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stile/array.h>
#include <stile/chain.h>
#include <stile/check.h>
#include <stile/fence.h>
#include <stile/graph.h>
#include <stile/merge.h>
#include <stile/seqno.h>
#include <stile/swgpu.h>
#include <stile/timeline.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/fence.h"
#include "src/macros.h"

#define MS INT64_C(1000000)
/* Long enough that a failure means a hang. */
#define HANG_NS (60000 * MS)

/* More than are ever recorded at once. */
enum { MANY = 10000 };

enum { SEVERAL = 300, LONG = 50000 };

static struct stile_timeline *timeline;
static int fences_before;

static void setup(void) {
	fences_before = plain_fence_count();
	stile_check_enable(true);
	ck_assert_int_eq(stile_timeline_create("frames", &timeline), 0);
}

/* Nothing keeps a fence. */
static void teardown(void) {
	stile_graph_set_watch(NULL, NULL, 0);
	stile_timeline_unref(timeline);
	ck_assert_int_eq(plain_fence_count(), fences_before);
}

/* Not inlined: gcc 12 takes what is found in the text for something on the stack. */
static __attribute__((noinline)) char *describe(enum stile_graph_format format) {
	char *text;
	ck_assert_int_eq(stile_graph_describe(format, &text), 0);
	return text;
}

static bool graph_has(const char *part) {
	char *text = describe(STILE_GRAPH_TEXT);
	bool has = strstr(text, part) != NULL;
	free(text);
	return has;
}

/* Others take their time to get there. */
static void await_graph(const char *part) {
	int64_t until_ns = runner_clock_ns() + HANG_NS;
	while (!graph_has(part)) {
		ck_assert_msg(runner_clock_ns() < until_ns, "it never says \"%s\"", part);
		runner_sleep_ms(1);
	}
}

static void check_has(const char *text, const char *part) {
	ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in:\n%s", part, text);
}

static void check_has_not(const char *text, const char *part) {
	ck_assert_msg(strstr(text, part) == NULL, "\"%s\" is in:\n%s", part, text);
}

/* "context:seqno" of a fence; a few at a time. */
static const char *name_of(const struct stile_fence *fence) {
	static char names[8][48];
	static size_t next;
	char *name = names[next++ % ARRAY_LENGTH(names)];
	snprintf(name, sizeof(names[0]), "%llu:%llu", (unsigned long long)fence->context,
		(unsigned long long)fence->seqno);
	return name;
}

/* Part of a line of the text: "    HOW NAME (LABEL)". */
static void check_arc(
	const char *text, const char *how, const struct stile_fence *to, const char *label) {
	char line[1200];
	snprintf(line, sizeof(line), "    %s %s (%s)", how, name_of(to), label);
	check_has(text, line);
}

/* What comes after a headline, up to the next empty line; the caller frees it. */
static char *section(const char *text, const char *headline) {
	const char *begin = strstr(text, headline);
	ck_assert_msg(begin != NULL, "no \"%s\" in:\n%s", headline, text);
	const char *end = strstr(begin, "\n\n");
	return end == NULL ? strdup(begin) : strndup(begin, (size_t)(end - begin));
}

static struct stile_fence *timeline_fence(uint64_t value) {
	struct stile_fence *fence;
	ck_assert_int_eq(stile_timeline_create_fence(timeline, value, &fence), 0);
	return fence;
}

static void finish(struct stile_fence *fence) {
	stile_fence_signal(fence);
	stile_fence_unref(fence);
}

/* ---- Threads that wait --------------------------------------------------------------------- */

enum wait_kind { FOR_ONE, FOR_ANY, FOR_ANY_CANCEL, FOR_ALL, FOR_ALL_CANCEL, FOR_POINT, KINDS };

struct waiting {
	pthread_t thread;
	enum wait_kind kind;
	struct stile_fence *fences[2];
	size_t count;
	struct stile_point point;
	int64_t deadline_ns;
	int ret;
};

static int wait_now(struct waiting *waiting) {
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	switch (waiting->kind) {
	case FOR_ONE:
		return stile_fence_wait(waiting->fences[0], waiting->deadline_ns);
	case FOR_ANY:
		return stile_fence_wait_any(
			waiting->fences, waiting->count, waiting->deadline_ns, NULL, NULL);
	case FOR_ANY_CANCEL:
		return stile_fence_wait_any(
			waiting->fences, waiting->count, waiting->deadline_ns, &cancel, NULL);
	case FOR_ALL:
		return stile_fence_wait_all(
			waiting->fences, waiting->count, waiting->deadline_ns, NULL);
	case FOR_ALL_CANCEL:
		return stile_fence_wait_all(
			waiting->fences, waiting->count, waiting->deadline_ns, &cancel);
	default:
		return stile_point_wait(
			&waiting->point, STILE_POINT_SIGNALED, waiting->deadline_ns, NULL);
	}
}

static void *run_waiting(void *arg) {
	struct waiting *waiting = arg;
	pthread_setname_np(pthread_self(), "test \"waiter\"");
	waiting->ret = wait_now(waiting);
	return NULL;
}

/* Comes back when the graph knows of it; then it is the only thread there. */
static void waiting_start(struct waiting *waiting) {
	waiting->deadline_ns = runner_clock_ns() + HANG_NS;
	ck_assert_int_eq(pthread_create(&waiting->thread, NULL, run_waiting, waiting), 0);
	await_graph("thread ");
}

static void waiting_end(struct waiting *waiting) {
	pthread_join(waiting->thread, NULL);
	ck_assert_int_eq(waiting->ret, 0);
	ck_assert(!graph_has("thread "));
}

/*
 * Wrong code: a wait of one kind that is not listed, or stays listed; only the first of several
 * fences; the names of what the wait is made of instead of the wait.
 */
START_TEST(thread_is_listed_while_it_waits) {
	struct stile_fence *a = plain_fence_create(), *b = plain_fence_create();
	struct waiting waiting = {
		.kind = (enum wait_kind)_i,
		.fences = { a, b },
		.count = _i == FOR_ONE ? 1 : 2,
		.point = { .timeline = timeline, .value = 3 },
	};
	waiting_start(&waiting);
	char *text = describe(STILE_GRAPH_TEXT), line[128];
	check_has(text, " \"test \"waiter\"\" has waited for ");
	if (_i == FOR_POINT) {
		check_has(text, "\n    waits for point 3 of timeline \"frames\"\n");
	} else {
		snprintf(line, sizeof(line), "\n    waits for %s\n", name_of(a));
		check_has(text, line);
		bool any = _i == FOR_ANY || _i == FOR_ANY_CANCEL;
		snprintf(line, sizeof(line), "\n    %s %s\n", any ? "or for" : "and for",
			name_of(b));
		ck_assert_int_eq(strstr(text, line) != NULL, waiting.count == 2);
	}
	/* In which program it waits. */
	check_has(text, " ms, at ");
	check_has(text, "test_graph(");
	free(text);
	stile_timeline_advance(timeline, 3);
	stile_fence_signal(a);
	stile_fence_signal(b);
	waiting_end(&waiting);
	stile_fence_unref(a);
	stile_fence_unref(b);
}
END_TEST

static int wait_for_any_of_many(struct stile_fence *const *fences) {
	return stile_fence_wait_any(fences, SEVERAL, runner_clock_ns() + HANG_NS, NULL, NULL);
}

static void *run_any_of_many(void *fences) {
	return (void *)(intptr_t)wait_for_any_of_many(fences);
}

/* Wrong code: room for each wait where each of its fences needs some. */
START_TEST(wait_for_many_fences_names_them_all) {
	struct stile_fence *fences[SEVERAL];
	for (size_t i = 0; i < SEVERAL; i++) {
		fences[i] = plain_fence_create();
	}
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, run_any_of_many, fences), 0);
	await_graph("thread ");
	char *text = describe(STILE_GRAPH_TEXT), line[64];
	for (size_t i = 1; i < SEVERAL; i++) {
		snprintf(line, sizeof(line), "\n    or for %s\n", name_of(fences[i]));
		check_has(text, line);
	}
	free(text);
	stile_fence_signal(fences[SEVERAL - 1]);
	void *ret;
	pthread_join(thread, &ret);
	ck_assert_ptr_null(ret);
	for (size_t i = 0; i < SEVERAL; i++) {
		finish(fences[i]);
	}
}
END_TEST

/* Wrong code: containers that are not followed, or not to the end; what is done among the roots. */
START_TEST(containers_are_followed_to_their_roots) {
	struct stile_fence *first = plain_fence_create(), *second = plain_fence_create();
	struct stile_fence *done = plain_fence_create(), *chain, *array;
	struct stile_fence *counter = timeline_fence(9);
	ck_assert_int_eq(stile_timeline_submit(timeline, 1, first), 0);
	ck_assert_int_eq(stile_timeline_submit(timeline, 2, second), 0);
	ck_assert_int_eq(stile_point_get_fence(&(struct stile_point){ timeline, 2 }, &chain), 0);
	struct stile_fence *members[] = { chain, counter, done };
	ck_assert_int_eq(stile_fence_merge(members, 3, &array), 0);
	stile_fence_signal(done);

	struct waiting waiting = { .kind = FOR_ALL, .fences = { array, chain }, .count = 2 };
	waiting_start(&waiting);
	char *text = describe(STILE_GRAPH_TEXT);
	check_arc(text, "and for", first, "member");
	check_arc(text, "and for", second, "member");
	check_arc(text, "waits for", counter, "member");
	check_arc(text, "waits for", second, "contained");
	check_arc(text, "waits for", first, "contained");
	check_has(text, " (before it in the chain)\n");
	check_has_not(text, name_of(done));
	char *roots = section(text, "In the end, all hangs on:");
	check_has(roots, name_of(first));
	check_has(roots, name_of(second));
	check_has(roots, name_of(counter));
	check_has_not(roots, name_of(array));
	check_has_not(roots, name_of(chain));
	check_has_not(text, "cycle");
	free(roots);
	free(text);
	finish(first);
	finish(second);
	stile_timeline_advance(timeline, 9);
	waiting_end(&waiting);
	stile_fence_unref(array);
	stile_fence_unref(chain);
	stile_fence_unref(counter);
	stile_fence_unref(done);
}
END_TEST

/* Wrong code: a line without who owes it, or until when. */
START_TEST(user_fence_names_its_debtor_and_its_time) {
	struct stile_fence *fence = timeline_fence(4), *work = plain_fence_create();
	ck_assert_int_eq(stile_fence_set_expiry(fence, runner_clock_ns() + 100000 * MS), 0);
	stile_graph_add_wait(work, fence, "a frame");
	char *text = describe(STILE_GRAPH_TEXT), line[256];
	snprintf(line, sizeof(line),
		"\n    %s frames (stile) pending, owed by process %d within 99", name_of(fence),
		(int)getpid());
	check_has(text, line);
	free(text);
	stile_fence_unref(fence);
	finish(work);
}
END_TEST

/* Wrong code: points and eventfds that are left out, or said to be pending; what is told listed. */
START_TEST(points_that_nobody_submitted_are_named) {
	stile_timeline_advance(timeline, 5);
	struct stile_point point = { timeline, 8 };
	int fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_SIGNALED, fd), 0);
	struct waiting waiting = { .kind = FOR_POINT, .point = point };
	waiting_start(&waiting);
	char *text = describe(STILE_GRAPH_TEXT), line[128];
	char *missing = section(text, "Nobody has submitted:");
	check_has(
		missing, "point 8 of timeline \"frames\", whose counter is at 5, not submitted\n");
	snprintf(line, sizeof(line), "for which waits eventfd %d", fd);
	check_has(missing, line);
	check_has(missing, "for which waits thread ");
	check_has_not(text, "all hangs on");
	free(missing);
	free(text);

	/* Once it is submitted, it hangs on that. */
	struct stile_fence *fence = plain_fence_create(), *chain;
	ck_assert_int_eq(stile_timeline_submit(timeline, 8, fence), 0);
	ck_assert_int_eq(stile_point_get_fence(&point, &chain), 0);
	text = describe(STILE_GRAPH_TEXT);
	check_has_not(text, "Nobody has submitted");
	check_arc(text, "waits for", chain, "submitted");
	check_arc(text, "waits for", fence, "contained");
	free(text);
	stile_fence_unref(chain);
	finish(fence);
	waiting_end(&waiting);
	ck_assert(!graph_has("eventfd"));
	close(fd);
}
END_TEST

/* Wrong code: an eventfd that stays listed, whose memory has gone, when its timeline is closed. */
START_TEST(eventfd_is_forgotten_with_its_timeline) {
	int fd = eventfd(0, EFD_CLOEXEC);
	for (uint64_t value = 0; value < 3; value++) {
		struct stile_point point = { timeline, value };
		ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_AVAILABLE, fd), 0);
	}
	/* Value 0 is reached at the beginning. */
	char *text = describe(STILE_GRAPH_TEXT);
	check_has(text, "point 1 ");
	check_has(text, "point 2 ");
	check_has_not(text, "point 0 ");
	free(text);
	stile_timeline_unref(timeline);
	ck_assert(!graph_has("eventfd"));
	close(fd);
	timeline = NULL;
}
END_TEST

/* ---- The watch ----------------------------------------------------------------------------- */

static struct {
	atomic_int calls;
	pthread_t thread;
	int64_t at_ns;
	char text[1024];
	struct stile_timeline *ends; /* what it hangs on, to be ended by the call; NULL: nothing */
} told;

static void note_told(void *user, const char *text) {
	ck_assert_ptr_eq(user, &told);
	told.thread = pthread_self();
	told.at_ns = runner_clock_ns();
	snprintf(told.text, sizeof(told.text), "%s", text);
	atomic_fetch_add(&told.calls, 1);
	if (told.ends != NULL) {
		stile_timeline_advance(told.ends, UINT64_MAX);
	}
}

static void watch(int64_t limit_ns, struct stile_timeline *ends) {
	memset(&told, 0, sizeof(told));
	told.ends = ends;
	stile_graph_set_watch(note_told, &told, limit_ns);
}

/* A wait of this kind for what only the timeline's counter ends. */
static struct waiting timeline_waiting(int kind, int64_t deadline_ns) {
	struct waiting waiting = {
		.kind = (enum wait_kind)kind,
		.fences = { timeline_fence(1), timeline_fence(2) },
		.count = 2,
		.point = { .timeline = timeline, .value = 1 },
		.deadline_ns = deadline_ns,
	};
	return waiting;
}

static void drop_fences(struct waiting *waiting) {
	stile_fence_unref(waiting->fences[0]);
	stile_fence_unref(waiting->fences[1]);
}

/*
 * Wrong code: a watch that is called too early, twice, on another thread, with locks that signalling
 * wants; a wait that ends with the call, or does not go on to its own end.
 */
START_TEST(watch_tells_once_after_the_limit) {
	struct waiting waiting = timeline_waiting(_i, runner_clock_ns() + HANG_NS);
	watch(20 * MS, timeline);
	int64_t begin_ns = runner_clock_ns();
	ck_assert_int_eq(wait_now(&waiting), 0);
	ck_assert_int_eq(told.calls, 1);
	ck_assert_int_ge(told.at_ns - begin_ns, 20 * MS);
	ck_assert(pthread_equal(told.thread, pthread_self()));
	check_has(told.text, "Thread ");
	check_has(told.text, " ms, which is over the limit.\n");
	check_has(told.text, _i == FOR_POINT ? "point 1 of" : name_of(waiting.fences[0]));
	ck_assert(graph_has("nobody, as far as is known"));
	drop_fences(&waiting);
}
END_TEST

/* Wrong code: a second call at the end of the wait, or a wait that is cut short or drawn out. */
START_TEST(watched_wait_keeps_its_deadline) {
	int64_t deadline_ns = runner_clock_ns() + 60 * MS;
	struct waiting waiting = timeline_waiting(_i, deadline_ns);
	watch(10 * MS, NULL);
	ck_assert_int_eq(wait_now(&waiting), -ETIME);
	ck_assert_int_ge(runner_clock_ns(), deadline_ns);
	ck_assert_int_eq(told.calls, 1);
	drop_fences(&waiting);
}
END_TEST

/* Wrong code: silence because the limit was never reached. */
START_TEST(watch_tells_at_a_deadline_before_the_limit) {
	int64_t deadline_ns = runner_clock_ns() + 10 * MS;
	struct waiting waiting = timeline_waiting(_i, deadline_ns);
	watch(HANG_NS, NULL);
	ck_assert_int_eq(wait_now(&waiting), -ETIME);
	ck_assert_int_eq(told.calls, 1);
	ck_assert_int_ge(told.at_ns, deadline_ns);
	drop_fences(&waiting);
}
END_TEST

/* Wrong code: noise about polls, without a function, with the checker off, about what ends in time. */
START_TEST(watch_is_silent_about_the_others) {
	struct waiting waiting = timeline_waiting(_i, 0);
	watch(0, NULL);
	ck_assert_int_eq(wait_now(&waiting), -ETIME);
	waiting.deadline_ns = 1;
	stile_check_enable(false);
	ck_assert_int_eq(wait_now(&waiting), -ETIME);
	stile_check_enable(true);
	stile_graph_set_watch(NULL, &told, 0);
	ck_assert_int_eq(wait_now(&waiting), -ETIME);
	ck_assert_int_eq(told.calls, 0);

	watch(HANG_NS, NULL);
	waiting_start(&waiting);
	stile_timeline_advance(timeline, 2);
	waiting_end(&waiting);
	ck_assert_int_eq(wait_now(&waiting), 0);
	ck_assert_int_eq(told.calls, 0);
	drop_fences(&waiting);
}
END_TEST

/* Wrong code: a function that is told of what began before it was there. */
START_TEST(watch_is_for_waits_to_come) {
	struct waiting waiting = timeline_waiting(_i, runner_clock_ns() + 200 * MS);
	ck_assert_int_eq(pthread_create(&waiting.thread, NULL, run_waiting, &waiting), 0);
	await_graph("thread ");
	watch(0, NULL);
	pthread_join(waiting.thread, NULL);
	ck_assert_int_eq(waiting.ret, -ETIME);
	ck_assert_int_eq(told.calls, 0);
	drop_fences(&waiting);
}
END_TEST

/* Wrong code: a limit that is long over taken for one that never comes; one that overflows. */
START_TEST(limits_may_be_any_number) {
	struct waiting waiting = timeline_waiting(FOR_ONE, 0);
	watch(INT64_MAX, NULL);
	waiting_start(&waiting);
	stile_timeline_advance(timeline, 2);
	waiting_end(&waiting);
	ck_assert_int_eq(told.calls, 0);
	drop_fences(&waiting);

	struct stile_fence *fence = timeline_fence(3);
	watch(INT64_MIN, timeline);
	ck_assert_int_eq(stile_fence_wait(fence, runner_clock_ns() + 2000 * MS), 0);
	ck_assert_int_eq(told.calls, 1);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a fence that is waited for in its own way is not watched, or its way not taken up again. */
START_TEST(watch_tells_of_waits_by_an_op) {
	struct stile_seqno *seqno;
	struct stile_fence *fence;
	ck_assert_int_eq(stile_seqno_create(&seqno), 0);
	ck_assert_int_eq(stile_seqno_create_fence(seqno, 1, STILE_SEQNO_GEQUAL, &fence), 0);
	watch(10 * MS, NULL);
	ck_assert_int_eq(stile_fence_wait(fence, runner_clock_ns() + 30 * MS), -ETIME);
	ck_assert_int_eq(told.calls, 1);
	ck_assert_int_eq(stile_fence_set_expiry(fence, runner_clock_ns() + 30 * MS), 0);
	ck_assert_int_eq(stile_fence_wait(fence, INT64_MAX), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), -ETIMEDOUT);
	ck_assert_int_eq(told.calls, 2);
	stile_fence_unref(fence);
	stile_seqno_unref(seqno);
}
END_TEST

/* Wrong code: a wait that fails, or hangs, where there is no memory to tell of it. */
START_TEST(watch_tells_without_memory) {
	struct waiting waiting = timeline_waiting(FOR_ONE, runner_clock_ns() + 10 * MS);
	watch(0, NULL);
	failing_begin(1);
	int ret = wait_now(&waiting);
	const char *failed = failing_end();
	ck_assert_int_eq(ret, -ETIME);
	ck_assert_ptr_nonnull(failed);
	ck_assert_int_eq(told.calls, 1);
	check_has(told.text, "no memory");
	drop_fences(&waiting);
}
END_TEST

/* ---- Fences that wait for fences ----------------------------------------------------------- */

static struct stile_fence *gate(struct stile_device *device, struct stile_fence *fence) {
	struct stile_fence *out;
	ck_assert_int_eq(stile_swgpu_gate(device, fence, &out), 0);
	return out;
}

/*
 * The first queue holds until the application has passed on what the second one makes, which holds
 * for the first one's next command. Wrong code: a cycle that is not found, not in order, or told
 * where there is none any more; commands that do not wait for those before them.
 */
START_TEST(queues_that_wait_for_each_other_are_a_cycle) {
	struct stile_device *left, *right;
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &left), 0);
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &right), 0);
	struct stile_fence *passed_on = timeline_fence(1), *none = stile_fence_get_stub();
	ck_assert_int_eq(stile_fence_set_expiry(passed_on, runner_clock_ns() + HANG_NS), 0);
	struct stile_fence *held = gate(left, passed_on);
	/* It runs, and no longer only waits to be run. */
	while (!fence_is_enabled(passed_on)) {
		runner_sleep_ms(1);
	}
	struct stile_fence *next = gate(left, none), *holding = gate(right, next);
	ck_assert(!graph_has("cycle"));
	stile_graph_add_wait(passed_on, holding, "the application passes it on");

	char *text = describe(STILE_GRAPH_TEXT);
	char *cycle = section(text, "A cycle: ");
	check_arc(cycle, "waits for", holding, "the application passes it on");
	check_arc(cycle, "waits for", next, "gate of swgpu");
	check_arc(cycle, "waits for", held, "queue order");
	check_arc(cycle, "waits for", passed_on, "gate of swgpu");
	check_has(cycle, "(gate of swgpu), at ");
	check_has(cycle, "(the application passes it on), at ");
	/* Each line leads to the next, the last one to the first. */
	char begin[64], end[64];
	ck_assert_int_eq(sscanf(cycle, "%*[^\n] %63s", begin), 1);
	cycle[strlen(cycle) - 1] = '\0';
	ck_assert_int_eq(sscanf(strrchr(cycle, '\n'), " waits for %63[0-9:]", end), 1);
	end[strlen(begin)] = '\0';
	ck_assert_str_eq(begin, end);
	check_has_not(text, "all hangs on");
	check_has_not(strstr(text, "A cycle: ") + 1, "A cycle: ");
	free(cycle);
	free(text);

	stile_timeline_advance(timeline, 1);
	ck_assert_int_eq(plain_fence_finish(holding), 1);
	ck_assert_int_eq(plain_fence_finish(next), 1);
	ck_assert(graph_has("nobody, as far as is known"));
	stile_fence_unref(passed_on);
	stile_fence_unref(none);
	stile_fence_unref(held);
	stile_fence_unref(next);
	stile_fence_unref(holding);
	stile_device_destroy(left);
	stile_device_destroy(right);
}
END_TEST

/*
 * One member of an array of any can still end. Wrong code: a cycle because there is a way back, or
 * none when all ways lead back.
 */
START_TEST(any_is_stuck_only_if_all_of_it_is) {
	struct stile_fence *a = plain_fence_create(), *b = plain_fence_create(), *array;
	struct stile_fence *members[] = { a, b };
	ck_assert_int_eq(stile_array_create(members, 2, 1, 1, STILE_ARRAY_ANY, &array), 0);
	stile_graph_add_wait(a, array, "");
	char *text = describe(STILE_GRAPH_TEXT);
	check_has_not(text, "cycle");
	check_arc(text, "or for", b, "member");
	free(text);
	stile_graph_add_wait(b, array, "");
	ck_assert(graph_has("cycle"));
	finish(b);
	ck_assert(stile_fence_is_signaled(array));
	stile_fence_unref(array);
	finish(a);
}
END_TEST

/* Wrong code: only one cycle is looked for, or the smallest of all is none; what waits for it in it. */
START_TEST(each_cycle_is_told_once) {
	struct stile_fence *fences[5];
	for (size_t i = 0; i < 5; i++) {
		fences[i] = plain_fence_create();
	}
	/* 0 waits for 1 <-> 2; 3 waits for itself; 4 for all. */
	stile_graph_add_wait(fences[0], fences[1], "x");
	stile_graph_add_wait(fences[1], fences[2], "x");
	stile_graph_add_wait(fences[2], fences[1], "x");
	stile_graph_add_wait(fences[3], fences[3], "x");
	for (size_t i = 0; i < 4; i++) {
		stile_graph_add_wait(fences[4], fences[i], "y");
	}
	char *text = describe(STILE_GRAPH_TEXT);
	char *first = strstr(text, "A cycle: "), *second = strstr(first + 1, "A cycle: ");
	ck_assert_ptr_nonnull(second);
	ck_assert_ptr_null(strstr(second + 1, "A cycle: "));
	check_has_not(first, "(y)");
	check_has_not(first, name_of(fences[0]));
	check_arc(first, "waits for", fences[1], "x");
	check_arc(first, "waits for", fences[2], "x");
	check_arc(second, "waits for", fences[3], "x");
	free(text);
	for (size_t i = 0; i < 5; i++) {
		finish(fences[i]);
	}
}
END_TEST

/* Wrong code: an order in which nobody finds what somebody waits for. */
START_TEST(what_is_waited_for_follows) {
	struct stile_fence *fences[4];
	for (size_t i = 0; i < 4; i++) {
		fences[i] = plain_fence_create();
	}
	/* Each for the next one, the last of them first. */
	stile_graph_add_wait(fences[2], fences[3], "");
	stile_graph_add_wait(fences[1], fences[2], "");
	stile_graph_add_wait(fences[0], fences[1], "");
	char *text = describe(STILE_GRAPH_TEXT);
	const char *at = text;
	for (size_t i = 0; i < 4; i++) {
		char line[64];
		snprintf(line, sizeof(line), "\n%s plain", name_of(fences[i]));
		check_has(at, line);
		at = strstr(at, line);
	}
	free(text);
	for (size_t i = 0; i < 4; i++) {
		finish(fences[i]);
	}
}
END_TEST

static void ignore(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	(void)callback;
}

static void *drop_slowly(void *fence) {
	/* It lingers when the fence has left the expiry's list, with no reference left. */
	failing_linger(50);
	stile_fence_unref(fence);
	failing_linger(0);
	return NULL;
}

/* Wrong code: a reference taken of a fence that has none any more, but is still in the table. */
START_TEST(dying_fence_is_not_revived) {
	struct stile_fence *fence = timeline_fence(1), *waiter = plain_fence_create();
	struct stile_callback callback;
	ck_assert_int_eq(stile_fence_add_callback(fence, &callback, ignore), 0);
	ck_assert(stile_fence_remove_callback(fence, &callback));
	stile_graph_add_wait(waiter, fence, "label");
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, drop_slowly, fence), 0);
	while (graph_has("label")) {
		runner_sleep_ms(1);
	}
	pthread_join(thread, NULL);
	finish(waiter);
}
END_TEST

/* Wrong code: a reference that keeps a fence, a bit of state that changes how it stands. */
START_TEST(recording_changes_no_life) {
	struct stile_fence *a = plain_fence_create(), *b = plain_fence_create();
	stile_graph_add_wait(a, b, "label");
	stile_graph_add_wait(a, b, "again");
	ck_assert(!graph_has("again"));
	ck_assert_uint_eq(a->refs, 1);
	ck_assert_uint_eq(b->refs, 1);
	ck_assert_int_eq(stile_fence_get_status(a), 0);
	ck_assert_int_eq(stile_fence_set_error(a, -EIO), 0);
	stile_fence_signal(a);
	ck_assert_int_eq(stile_fence_get_status(a), -EIO);
	/* What has ended waits no more. */
	ck_assert(!graph_has(name_of(b)));
	stile_fence_unref(a);
	stile_fence_unref(b);
	ck_assert_int_eq(plain_fence_count(), fences_before);
}
END_TEST

static const char *static_name(struct stile_fence *fence) {
	(void)fence;
	return "static";
}

static const struct stile_fence_ops static_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = static_name,
	.get_timeline_name = static_name,
};

/*
 * The same memory, again another fence. Wrong code: edges found by an address alone; room that is
 * never given back.
 */
START_TEST(fences_that_died_have_left) {
	static struct stile_fence a, b;
	for (uint64_t i = 1; i <= MANY; i++) {
		ck_assert_int_eq(stile_fence_init(&a, &static_ops, 1, i), 0);
		ck_assert_int_eq(stile_fence_init(&b, &static_ops, 2, i), 0);
		if (i % 3 != 0) {
			stile_graph_add_wait(&a, &b, "label");
		}
		if (i % 3 != 1) {
			stile_graph_add_wait(&b, &a, "label");
		}
		if (i % 512 == 0 || i < 4) {
			ck_assert_int_eq(graph_has("A cycle"), i % 3 == 2);
			ck_assert(graph_has(name_of(&a)));
		}
		stile_fence_unref(&b);
		ck_assert(i % 512 != 0 || graph_has("nobody, as far as is known"));
		stile_fence_unref(&a);
	}
	ck_assert(!graph_has("no room"));
}
END_TEST

/*
 * Wrong code: a full table that forgets for ever, or in silence; that drops what is pending; that
 * keeps what has ended.
 */
START_TEST(full_table_says_so_and_drops_what_has_ended) {
	static struct stile_fence *fences[MANY];
	for (size_t i = 0; i < MANY; i++) {
		fences[i] = plain_fence_create();
	}
	/* Those that end at once leave room for the others, though somebody keeps them. */
	for (size_t i = 0; i + 1 < MANY; i++) {
		stile_graph_add_wait(fences[i], fences[i + 1], "label");
		stile_fence_signal(fences[i]);
	}
	struct stile_fence *waiter = plain_fence_create();
	for (size_t i = 0; i < MANY; i++) {
		stile_fence_unref(fences[i]);
		fences[i] = plain_fence_create();
		stile_graph_add_wait(waiter, fences[i], "label");
		stile_fence_signal(fences[i]);
	}
	ck_assert(!graph_has("no room"));
	finish(waiter);
	for (size_t i = 0; i < MANY; i++) {
		stile_fence_unref(fences[i]);
		fences[i] = plain_fence_create();
	}
	for (size_t i = 0; i + 1 < MANY; i++) {
		stile_graph_add_wait(fences[i], fences[i + 1], "label");
	}
	char *text = describe(STILE_GRAPH_TEXT);
	check_has(text, "There was no room to record ");
	check_arc(text, "waits for", fences[1], "label");
	free(text);
	for (size_t i = 0; i < MANY; i++) {
		finish(fences[i]);
	}
	ck_assert(graph_has("nobody, as far as is known"));
}
END_TEST

/* Wrong code: what costs time and room where nobody looks; a list that breaks at the switch. */
START_TEST(nothing_is_recorded_while_the_checker_is_off) {
	stile_check_enable(false);
	struct stile_fence *a = plain_fence_create(), *b = plain_fence_create();
	struct waiting waiting = { .kind = FOR_ONE, .fences = { a }, .count = 1 };
	waiting.deadline_ns = runner_clock_ns() + HANG_NS;
	ck_assert_int_eq(pthread_create(&waiting.thread, NULL, run_waiting, &waiting), 0);
	stile_graph_add_wait(a, b, "label");
	while ((fence_state(a) & STATE_WAITER) == 0) {
		runner_sleep_ms(1);
	}
	ck_assert_uint_eq(fence_state(a) & STATE_GRAPH, 0);
	char *text = describe(STILE_GRAPH_TEXT);
	check_has(text, "nobody, as far as is known");
	check_has(text, "The checker is off");
	free(text);
	stile_check_enable(true);
	ck_assert(!graph_has("thread "));
	ck_assert(!graph_has("The checker is off"));
	stile_fence_signal(a);
	waiting_end(&waiting);

	/* And what began while it was on ends while it is off. */
	waiting.fences[0] = b;
	waiting_start(&waiting);
	stile_check_enable(false);
	ck_assert(graph_has("thread "));
	stile_fence_signal(b);
	waiting_end(&waiting);
	stile_fence_unref(a);
	stile_fence_unref(b);
}
END_TEST

/* ---- What is written ----------------------------------------------------------------------- */

/* Wrong code: a format that is taken for another one. */
START_TEST(formats_that_do_not_exist_are_refused) {
	static const int formats[] = { -1, 0, 3 };
	char *text = (char *)&text;
	for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
		ck_assert_int_eq(
			stile_graph_describe((enum stile_graph_format)formats[i], &text), -EINVAL);
		ck_assert_ptr_null(text);
	}
}
END_TEST

static int attempt_describe(void *user) {
	return stile_graph_describe(STILE_GRAPH_DOT, user);
}

static void after_describe(void *user, int ret) {
	char **text = user;
	ck_assert_int_eq(*text != NULL, ret == 0);
	free(*text);
}

/* Wrong code: half of a graph as if it were all; references that are left. */
START_TEST(describing_without_memory_fails) {
	static const int errors[] = { -ENOMEM, 0 };
	struct stile_fence *a = plain_fence_create(), *b = plain_fence_create(), *array;
	struct stile_fence *members[] = { a, b };
	ck_assert_int_eq(stile_array_create(members, 2, 1, 1, STILE_ARRAY_ALL, &array), 0);
	stile_graph_add_wait(a, b, "label");
	stile_graph_add_wait(b, array, "label");
	char *text;
	/* The list, three vertices, four arcs. */
	ck_assert_uint_eq(failing_sweep(attempt_describe, after_describe, &text, errors), 8);
	ck_assert_uint_eq(a->refs, 2);
	ck_assert_uint_eq(array->refs, 1);
	stile_fence_unref(array);
	finish(a);
	finish(b);
}
END_TEST

/* Past a string in quotes; NULL: it does not end. */
static const char *skip_string(const char *at) {
	for (at++; *at != '"'; at++) {
		at += *at == '\\';
		if (*at == '\0' || *at == '\n') {
			return NULL;
		}
	}
	return at + 1;
}

/* "[name=value, ...];" and the end of the line; gives what follows, NULL: it is not that. */
static const char *skip_attributes(const char *at) {
	if (*at++ != '[') {
		return NULL;
	}
	for (;;) {
		at += strspn(at, "abcdefghijklmnopqrstuvwxyz");
		if (*at++ != '=') {
			return NULL;
		}
		at = *at == '"' ? skip_string(at) : at + strspn(at, "abcdefghijklmnopqrstuvwxyz");
		if (at == NULL || strncmp(at, ", ", 2) != 0) {
			break;
		}
		at += 2;
	}
	return at != NULL && strncmp(at, "];\n", 3) == 0 ? at + 3 : NULL;
}

/* "nX [...]" or "nX -> nY [...]", of vertices that exist. */
static const char *skip_statement(const char *at, unsigned *vertices) {
	unsigned from, to;
	int used = 0;
	if (sscanf(at, "\tn%u -> n%u %n", &from, &to, &used) == 2 && used > 0) {
		return from <= *vertices && to <= *vertices ? skip_attributes(at + used) : NULL;
	}
	if (sscanf(at, "\tn%u %n", &from, &used) == 1 && used > 0) {
		return from == ++*vertices ? skip_attributes(at + used) : NULL;
	}
	return NULL;
}

static void check_dot(const char *text) {
	static const char begin[] = "digraph stile {\n\tnode [shape=box];\n";
	unsigned vertices = 0;
	ck_assert_int_eq(strncmp(text, begin, sizeof(begin) - 1), 0);
	const char *at = text + sizeof(begin) - 1;
	while (strcmp(at, "}\n") != 0) {
		const char *next = skip_statement(at, &vertices);
		ck_assert_msg(next != NULL, "Graphviz does not take this: %s", at);
		at = next;
	}
}

/* Wrong code: quotes that end a name, lines in names, nodes nobody made, colours of the innocent. */
START_TEST(dot_is_what_graphviz_takes) {
	struct stile_timeline *odd;
	struct stile_fence *fence, *a = plain_fence_create(), *b = plain_fence_create();
	ck_assert_int_eq(stile_timeline_create("\"a\\\", \nb\\", &odd), 0);
	ck_assert_int_eq(stile_timeline_create_fence(odd, 7, &fence), 0);
	char *text = describe(STILE_GRAPH_DOT);
	check_dot(text);
	check_has_not(text, "n1");
	free(text);

	struct stile_point point = { odd, 8 };
	int fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_AVAILABLE, fd), 0);
	stile_graph_add_wait(a, fence, "quote \" backslash \\ line\n\ttab");
	text = describe(STILE_GRAPH_DOT);
	check_dot(text);
	check_has(text, "\"a\\\\\\\",\\n?b\\\\");
	check_has(text, "[label=\"quote \\\" backslash \\\\ line??tab\"];\n");
	check_has(text, "style=dashed");
	check_has(text, "shape=ellipse");
	check_has_not(text, "color=red");
	free(text);

	stile_graph_add_wait(a, b, "in it");
	stile_graph_add_wait(b, a, "in it");
	text = describe(STILE_GRAPH_DOT);
	check_dot(text);
	char *red = strstr(text, "[label=\"in it\", color=red");
	ck_assert_ptr_nonnull(red);
	check_has(red + 1, "[label=\"in it\", color=red");
	check_has_not(text, "??tab\", color=red");
	free(text);

	/* And a text has no lines that somebody's name makes. */
	text = describe(STILE_GRAPH_TEXT);
	check_has_not(text, "\nb");
	check_has_not(text, "\n\ttab");
	free(text);
	finish(a);
	finish(b);
	stile_timeline_unref(odd);
	stile_fence_unref(fence);
	close(fd);
}
END_TEST

/* Wrong code: names and labels written past their end, or that push out what comes after. */
START_TEST(long_names_are_cut) {
	char label[1000];
	memset(label, 'x', sizeof(label));
	label[sizeof(label) - 1] = '\0';
	struct stile_fence *a = plain_fence_create(), *b = plain_fence_create();
	stile_graph_add_wait(a, b, label);
	label[63] = '\0';
	char *text = describe(STILE_GRAPH_TEXT);
	check_arc(text, "waits for", b, label);
	free(text);
	finish(a);
	finish(b);
}
END_TEST

/* Wrong code: recursion along a chain, as deep as no stack is; a look at everything for each one. */
START_TEST(long_chains_need_no_stack) {
	struct stile_fence *leaf = plain_fence_create(), *head = NULL;
	for (uint64_t seqno = 1; seqno <= LONG; seqno++) {
		struct stile_chain *chain;
		ck_assert_int_eq(stile_chain_alloc(&chain), 0);
		head = stile_chain_init(chain, head, stile_fence_ref(leaf), seqno);
	}
	stile_graph_add_wait(head, leaf, "label");
	char *text = describe(STILE_GRAPH_TEXT);
	for (uint64_t seqno = 1; seqno <= LONG; seqno += LONG / 10) {
		char line[64];
		snprintf(line, sizeof(line), "\n%llu:%llu unbound (dma_fence_chain) pending\n",
			(unsigned long long)head->context, (unsigned long long)seqno);
		check_has(text, line);
	}
	free(text);
	stile_fence_unref(head);
	finish(leaf);
}
END_TEST

/* ---- Processes, threads -------------------------------------------------------------------- */

/*
 * Wrong code: a child that hangs, that names its parent's threads, or whose parent's wait breaks the
 * child's list when it ends.
 */
START_TEST(child_has_no_waits_of_the_parents) {
	struct stile_fence *a = plain_fence_create(), *b = plain_fence_create();
	struct waiting waiting = { .kind = FOR_ONE, .fences = { a }, .count = 1 };
	struct stile_point point = { timeline, 8 };
	int fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_SIGNALED, fd), 0);
	waiting_start(&waiting);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		bool ok = !graph_has("thread ") && !graph_has("eventfd");
		stile_graph_add_wait(a, b, "label");
		ok = ok && graph_has(name_of(b));
		watch(0, NULL);
		ok = ok && stile_fence_wait(b, runner_clock_ns() + MS) == -ETIME;
		ok = ok && told.calls == 1 && strstr(told.text, "thread ") != NULL;
		stile_timeline_advance(timeline, 8);
		_exit(ok && !graph_has("thread ") ? 0 : 1);
	}
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert(graph_has("thread "));
	ck_assert(graph_has("eventfd"));
	ck_assert(!graph_has(name_of(b)));
	stile_timeline_advance(timeline, 8);
	stile_fence_signal(a);
	waiting_end(&waiting);
	stile_fence_unref(a);
	stile_fence_unref(b);
	close(fd);
}
END_TEST

enum { SLOTS = 16, THREADS = 6, RUN_MS = 800 };

static struct stile_fence *slots[SLOTS];
static atomic_bool stop;
static atomic_uint tellings;

static void count_telling(void *user, const char *text) {
	(void)user;
	atomic_fetch_add(&tellings, text[0] != '\0');
}

static void owe(struct stile_fence *fence) {
	if (fence != NULL) {
		finish(fence);
	}
}

static void play_once(uint64_t *dice) {
	struct stile_fence **slot = &slots[runner_random(dice) % SLOTS];
	struct stile_fence *a = stile_fence_ref_slot(slot);
	struct stile_fence *b = stile_fence_ref_slot(&slots[runner_random(dice) % SLOTS]);
	if (a != NULL && b != NULL) {
		stile_graph_add_wait(a, b, "chance");
		struct stile_fence *both[] = { a, b };
		int ret = stile_fence_wait_any(both, 2, 1, NULL, NULL);
		(void)ret;
	}
	stile_fence_unref(a);
	stile_fence_unref(b);
	if (runner_random(dice) % 2 == 0) {
		owe(stile_fence_exchange_slot(slot, plain_fence_create()));
	}
}

static void *play(void *arg) {
	uint64_t dice = *(const uint64_t *)arg;
	while (!atomic_load(&stop)) {
		play_once(&dice);
	}
	return NULL;
}

/*
 * For the sanitizers, and for what is left. Wrong code: a fence that is looked at after its memory has
 * gone; a reference taken of one that dies; lists changed without the lock.
 */
START_TEST(many_threads_wait_and_look) {
	uint64_t seed = runner_seed(), dice[THREADS];
	pthread_t threads[THREADS];
	atomic_store(&stop, false);
	stile_graph_set_watch(count_telling, NULL, 0);
	for (size_t i = 0; i < THREADS; i++) {
		dice[i] = runner_random(&seed);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, play, &dice[i]), 0);
	}
	int64_t until_ns = runner_clock_ns() + RUN_MS * MS;
	unsigned looks = 0;
	for (; runner_clock_ns() < until_ns; looks++) {
		char *text = describe(looks % 2 == 0 ? STILE_GRAPH_DOT : STILE_GRAPH_TEXT);
		if (looks % 2 == 0) {
			check_dot(text);
		}
		free(text);
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	for (size_t i = 0; i < SLOTS; i++) {
		owe(stile_fence_exchange_slot(&slots[i], NULL));
	}
	ck_assert_uint_gt(looks, 10);
	ck_assert_uint_gt(atomic_load(&tellings), 10);
	ck_assert(graph_has("nobody, as far as is known"));
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("graph");
	TCase *waits = ledger_tcase_create("threads, points");
	tcase_add_checked_fixture(waits, setup, teardown);
	tcase_set_timeout(waits, 120);
	tcase_add_loop_test(waits, thread_is_listed_while_it_waits, 0, KINDS);
	tcase_add_test(waits, wait_for_many_fences_names_them_all);
	tcase_add_test(waits, containers_are_followed_to_their_roots);
	tcase_add_test(waits, user_fence_names_its_debtor_and_its_time);
	tcase_add_test(waits, points_that_nobody_submitted_are_named);
	tcase_add_test(waits, eventfd_is_forgotten_with_its_timeline);
	suite_add_tcase(s, waits);

	TCase *edges = ledger_tcase_create("fences");
	tcase_add_checked_fixture(edges, setup, teardown);
	tcase_set_timeout(edges, 120);
	tcase_add_test(edges, queues_that_wait_for_each_other_are_a_cycle);
	tcase_add_test(edges, any_is_stuck_only_if_all_of_it_is);
	tcase_add_test(edges, each_cycle_is_told_once);
	tcase_add_test(edges, what_is_waited_for_follows);
	tcase_add_test(edges, recording_changes_no_life);
	tcase_add_test(edges, dying_fence_is_not_revived);
	tcase_add_test(edges, fences_that_died_have_left);
	tcase_add_test(edges, nothing_is_recorded_while_the_checker_is_off);
	tcase_add_test(edges, long_chains_need_no_stack);
	tcase_add_test(edges, child_has_no_waits_of_the_parents);
	tcase_add_test(edges, many_threads_wait_and_look);
	/* At last: what there was no room for is counted for ever. */
	tcase_add_test(edges, full_table_says_so_and_drops_what_has_ended);
	suite_add_tcase(s, edges);

	TCase *watches = ledger_tcase_create("the watch");
	tcase_add_checked_fixture(watches, setup, teardown);
	tcase_set_timeout(watches, 120);
	tcase_add_loop_test(watches, watch_tells_once_after_the_limit, 0, KINDS);
	tcase_add_loop_test(watches, watched_wait_keeps_its_deadline, 0, KINDS);
	tcase_add_loop_test(watches, watch_tells_at_a_deadline_before_the_limit, 0, KINDS);
	tcase_add_loop_test(watches, watch_is_silent_about_the_others, 0, KINDS);
	tcase_add_loop_test(watches, watch_is_for_waits_to_come, 0, KINDS);
	tcase_add_test(watches, limits_may_be_any_number);
	tcase_add_test(watches, watch_tells_of_waits_by_an_op);
	tcase_add_test(watches, watch_tells_without_memory);
	suite_add_tcase(s, watches);

	TCase *formats = ledger_tcase_create("what is written");
	tcase_add_checked_fixture(formats, setup, teardown);
	tcase_add_test(formats, formats_that_do_not_exist_are_refused);
	tcase_add_test(formats, describing_without_memory_fails);
	tcase_add_test(formats, dot_is_what_graphviz_takes);
	tcase_add_test(formats, long_names_are_cut);
	suite_add_tcase(s, formats);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
