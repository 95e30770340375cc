/* SPDX-License-Identifier: MIT */
/* Faults of the software GPU, on request and real ones, with threads and without. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stile/buffer.h>
#include <stile/swgpu_test.h>
#include <stile/wait.h>

#include "backends/swgpu/fault.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

#define MS INT64_C(1000000)

/* Loop tests are run in both. With one engine, whoever hangs hangs all. */
enum { THREADS, DETERMINISTIC, MODES };

static const char *const modes[] = { "engines=1", "seed=7" };

static struct stile_device *device;
static struct stile_swgpu_queue *queue;
static struct gpu_journal journal;
static int fences_before;

/* What the device says in its log. */
static char logged[512];
static int log_count;

static void note_log(void *user, enum stile_log_level level, const char *text) {
	(void)user;
	if (level == STILE_LOG_ERROR) {
		log_count++;
		strncpy(logged, text, sizeof(logged) - 1);
	}
}

static int try_open(const char *options) {
	const struct stile_device_info info = {
		.size = sizeof(info),
		.log = note_log,
		.options = options,
	};
	int ret = stile_device_open("swgpu", &info, &device);
	queue = ret < 0 ? NULL : stile_swgpu_get_queue(device);
	return ret;
}

static void open_mode(int mode, const char *more) {
	char options[256];
	snprintf(options, sizeof(options), "%s %s", modes[mode], more);
	ck_assert_int_eq(try_open(options), 0);
}

static void setup(void) {
	fences_before = plain_fence_count();
	memset(&journal, 0, sizeof(journal));
	memset(logged, 0, sizeof(logged));
	log_count = 0;
	device = NULL;
}

static void teardown(void) {
	stile_device_destroy(device);
	ck_assert_int_eq(plain_fence_count(), fences_before);
}

static void inject(enum stile_swgpu_injection_kind kind, uint64_t at, int error, int64_t delay_ns) {
	const struct stile_swgpu_injection injection = {
		.size = sizeof(injection),
		.kind = kind,
		.at = at,
		.error = error,
		.delay_ns = delay_ns,
	};
	ck_assert_int_eq(stile_swgpu_inject(device, &injection), 0);
}

/* A list of one command: its status. */
static int run_one(int id) {
	return gpu_finish(gpu_submit(queue, gpu_steps(device, &journal, id, 1)));
}

/* ---- The language -------------------------------------------------------------------------- */

static const struct {
	const char *text;
	enum stile_swgpu_injection_kind kind;
	uint64_t at;
	int error;
	int64_t delay_ns;
} words[] = {
	{ "delay@3:5ms", STILE_SWGPU_DELAY, 3, 0, 5 * MS },
	{ "delay@18446744073709551615:7ns", STILE_SWGPU_DELAY, UINT64_MAX, 0, 7 },
	{ "delay@1:20us", STILE_SWGPU_DELAY, 1, 0, 20000 },
	{ "delay@1:2s", STILE_SWGPU_DELAY, 1, 0, 2000 * MS },
	{ "reorder@4", STILE_SWGPU_REORDER, 4, 0, 0 },
	{ "reorder@4:1s", STILE_SWGPU_REORDER, 4, 0, 1000 * MS },
	{ "error@2", STILE_SWGPU_ERROR, 2, 0, 0 },
	{ "error@2:EIO", STILE_SWGPU_ERROR, 2, -EIO, 0 },
	{ "error@2:ENODATA", STILE_SWGPU_ERROR, 2, -ENODATA, 0 },
	{ "error@2:-5", STILE_SWGPU_ERROR, 2, -5, 0 },
	{ "error@2:-4095", STILE_SWGPU_ERROR, 2, -4095, 0 },
	{ "hang@7", STILE_SWGPU_HANG, 7, 0, 0 },
	{ "lose@9", STILE_SWGPU_LOSE, 9, 0, 0 },
};

/* Wrong code: a unit mixed up; a number that is off by one; a kind taken for another. */
START_TEST(each_word_is_understood) {
	struct faults *faults;
	struct stile_report why;
	struct stile_swgpu_injection found;
	ck_assert_int_eq(faults_create(words[_i].text, &faults, &why), 0);
	for (uint64_t at = 1; at < 20; at++) {
		ck_assert(at == words[_i].at || !faults_take(faults, at, &found));
	}
	ck_assert(!faults_next_allocation(faults));
	ck_assert(faults_take(faults, words[_i].at, &found));
	ck_assert_int_eq(found.kind, words[_i].kind);
	ck_assert_int_eq(found.error, words[_i].error);
	ck_assert_int_eq(found.delay_ns, words[_i].delay_ns);
	ck_assert(!faults_take(faults, words[_i].at, &found));
	faults_destroy(faults);
}
END_TEST

/* Wrong code: only the first word read; allocations counted as commands; a command that takes their fault. */
START_TEST(words_have_commas_between) {
	struct faults *faults;
	struct stile_report why;
	struct stile_swgpu_injection found;
	const char *text = "hang@2,nomem@2,error@1,nomem@4,delay@1:1s";
	ck_assert_int_eq(faults_create(text, &faults, &why), 0);
	ck_assert(faults_take(faults, 1, &found));
	ck_assert_int_eq(found.kind, STILE_SWGPU_ERROR);
	ck_assert(faults_take(faults, 1, &found));
	ck_assert_int_eq(found.kind, STILE_SWGPU_DELAY);
	ck_assert(!faults_take(faults, 1, &found));
	ck_assert(!faults_next_allocation(faults));
	ck_assert(faults_next_allocation(faults));
	ck_assert(!faults_next_allocation(faults));
	ck_assert(faults_take(faults, 2, &found));
	ck_assert_int_eq(found.kind, STILE_SWGPU_HANG);
	ck_assert(!faults_take(faults, 4, &found));
	ck_assert(faults_next_allocation(faults));
	faults_destroy(faults);
	ck_assert_int_eq(faults_create("", &faults, &why), 0);
	faults_destroy(faults);
}
END_TEST

static const struct {
	const char *text, *named;
} nonsense[] = {
	{ "delai@3:5ms", "\"delai@3:5ms\"" },
	{ "error@2,foo@1", "\"foo@1\"" },
	{ "error", "\"error\"" },
	{ "error@", "\"error@\"" },
	{ "error@0", "\"error@0\"" },
	{ "error@-1", "\"error@-1\"" },
	{ "error@+1", "\"error@+1\"" },
	{ "error@1x", "\"error@1x\"" },
	{ "error@18446744073709551616", "\"error@18446744073709551616\"" },
	{ "error@2:EWHAT", "\"error@2:EWHAT\"" },
	{ "error@2:5", "\"error@2:5\"" },
	{ "error@2:-0", "\"error@2:-0\"" },
	{ "error@2:-4096", "\"error@2:-4096\"" },
	{ "error@2:-5x", "\"error@2:-5x\"" },
	{ "error@2:", "\"error@2:\"" },
	{ "delay@3", "\"delay@3\"" },
	{ "delay@3:", "\"delay@3:\"" },
	{ "delay@3:5", "\"delay@3:5\"" },
	{ "delay@3:5m", "\"delay@3:5m\"" },
	{ "delay@3:ms", "\"delay@3:ms\"" },
	{ "delay@3:9223372037s", "\"delay@3:9223372037s\"" },
	{ "delay@3:99999999999999999999ns", "\"delay@3:99999999999999999999ns\"" },
	{ "hang@7:1s", "\"hang@7:1s\"" },
	{ "lose@7:EIO", "\"lose@7:EIO\"" },
	{ "nomem@1:1", "\"nomem@1:1\"" },
	{ "err@1", "\"err@1\"" },
	{ "errors@1", "\"errors@1\"" },
	{ "@1", "\"@1\"" },
	{ "error@1,", "\",\"" },
	{ ",error@1", "\"\"" },
	{ "error@1,,hang@2", "\"\"" },
};

/* Wrong code: nonsense taken for something; a report that does not say what of it. */
START_TEST(nonsense_is_refused_by_name) {
	struct faults *faults = (struct faults *)&journal;
	struct stile_report why;
	ck_assert_int_eq(faults_create(nonsense[_i].text, &faults, &why), -EINVAL);
	ck_assert_ptr_null(faults);
	ck_assert_int_eq(why.reason, STILE_REASON_OPTION);
	ck_assert_msg(strstr(why.text, nonsense[_i].named) != NULL, "%s", why.text);
}
END_TEST

/* Wrong code: read past the word, or its end lost. */
START_TEST(very_long_word_is_refused) {
	struct faults *faults;
	struct stile_report why;
	char text[200];
	memset(text, '1', sizeof(text) - 1);
	memcpy(text, "error@", 6);
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(faults_create(text, &faults, &why), -EINVAL);
}
END_TEST

/* Wrong code: a device that opens all the same; one that says nothing. */
START_TEST(device_does_not_open_with_nonsense) {
	ck_assert_int_eq(try_open("fault=hang@x"), -EINVAL);
	ck_assert_ptr_null(device);
	ck_assert_msg(strstr(logged, "hang@x") != NULL, "%s", logged);
}
END_TEST

static int faults_attempt(void *user) {
	struct stile_report why;
	return faults_create(
		"error@1,error@2,error@3,error@4,error@5,error@6,error@7,error@8,error@9", user,
		&why);
}

static void faults_after(void *user, int ret) {
	struct faults **faults = user;
	ck_assert((ret == 0) == (*faults != NULL));
	faults_destroy(*faults);
}

/* Wrong code: what was parsed so far leaks. */
START_TEST(faults_without_memory_are_enomem) {
	static const int errors[] = { -ENOMEM, 0 };
	struct faults *faults;
	ck_assert_uint_eq(failing_sweep(faults_attempt, faults_after, &faults, errors), 3);
}
END_TEST

static const struct stile_swgpu_injection impossible[] = {
	{ .size = sizeof(struct stile_swgpu_injection), .kind = STILE_SWGPU_ERROR },
	{ .size = sizeof(struct stile_swgpu_injection), .at = 1 },
	{ .size = sizeof(struct stile_swgpu_injection),
		.kind = STILE_SWGPU_NO_MEMORY + 1,
		.at = 1 },
	{ .size = sizeof(struct stile_swgpu_injection),
		.kind = STILE_SWGPU_ERROR,
		.at = 1,
		.error = 5 },
	{ .size = sizeof(struct stile_swgpu_injection),
		.kind = STILE_SWGPU_ERROR,
		.at = 1,
		.error = -4096 },
	{ .size = sizeof(struct stile_swgpu_injection),
		.kind = STILE_SWGPU_DELAY,
		.at = 1,
		.delay_ns = -1 },
	{ .size = 4, .kind = STILE_SWGPU_HANG, .at = 1 },
};

/* Wrong code: arguments that are not looked at; what was refused happens. */
START_TEST(impossible_injections_are_einval) {
	open_mode(DETERMINISTIC, "");
	ck_assert_int_eq(stile_swgpu_inject(device, &impossible[_i]), -EINVAL);
	ck_assert_int_eq(run_one(1), 1);
	struct {
		struct stile_swgpu_injection injection;
		uint64_t more;
	} newer = { .injection.size = sizeof(newer), .more = 1 };
	ck_assert_int_eq(stile_swgpu_inject(device, &newer.injection), -E2BIG);
}
END_TEST

/* ---- Errors -------------------------------------------------------------------------------- */

static const struct {
	const char *option;
	int status;
} error_cases[] = {
	{ "fault=error@3", -EIO },
	{ "fault=error@3:ENODATA", -ENODATA },
	{ "fault=error@3:-71", -71 },
};

/* Wrong code: another command than the n-th; lists counted, not commands; an error that stays. */
START_TEST(nth_command_fails) {
	open_mode(_i % MODES, error_cases[_i / MODES].option);
	/* Lists without commands are not counted. */
	ck_assert_int_eq(gpu_finish(gpu_submit(queue, NULL)), 1);
	ck_assert_int_eq(run_one(1), 1);
	struct stile_fence *fence = gpu_submit(queue, gpu_steps(device, &journal, 2, 3));
	ck_assert_int_eq(gpu_finish(fence), error_cases[_i / MODES].status);
	/* The second command of the list is the third: that and what comes after is not executed. */
	ck_assert_uint_eq(gpu_journal_count(&journal), 2);
	ck_assert_int_eq(run_one(3), 1);
	ck_assert_int_eq(run_one(4), 1);
}
END_TEST

/* Wrong code: counted from the beginning; each again and again. */
START_TEST(injection_counts_from_now_on) {
	open_mode(_i, "");
	ck_assert_int_eq(run_one(1), 1);
	ck_assert_int_eq(run_one(2), 1);
	inject(STILE_SWGPU_ERROR, 2, -ENODATA, 0);
	inject(STILE_SWGPU_ERROR, 3, 0, 0);
	inject(STILE_SWGPU_ERROR, 1, -ECANCELED, 0);
	ck_assert_int_eq(run_one(3), -ECANCELED);
	ck_assert_int_eq(run_one(4), -ENODATA);
	ck_assert_int_eq(run_one(5), -EIO);
	ck_assert_int_eq(run_one(6), 1);
}
END_TEST

/* Wrong code: what a kernel gives is lost, or ends the queue. */
START_TEST(error_of_a_kernel_is_the_lists) {
	open_mode(_i, "");
	struct stile_fence *fence =
		gpu_submit(queue, gpu_failing_step(device, &journal, 1, -EPROTO));
	ck_assert_int_eq(gpu_finish(fence), -EPROTO);
	ck_assert_int_eq(run_one(2), 1);
}
END_TEST

/* ---- Delays and hangs ---------------------------------------------------------------------- */

/* Wrong code: no delay; one of all commands. By the clock of the mode. */
START_TEST(delayed_command_takes_longer) {
	open_mode(_i, "");
	inject(STILE_SWGPU_DELAY, 1, 0, 50 * MS);
	int64_t began_ns = _i == DETERMINISTIC ? stile_swgpu_get_clock(device) : runner_clock_ns();
	ck_assert_int_eq(run_one(1), 1);
	int64_t ended_ns = _i == DETERMINISTIC ? stile_swgpu_get_clock(device) : runner_clock_ns();
	ck_assert_int_ge(ended_ns - began_ns, 50 * MS);
	ck_assert_uint_eq(gpu_journal_count(&journal), 1);
	if (_i == DETERMINISTIC) {
		ck_assert_int_le(ended_ns - began_ns, 51 * MS);
		ck_assert_int_eq(run_one(2), 1);
		ck_assert_int_le(stile_swgpu_get_clock(device) - ended_ns, MS);
	}
}
END_TEST

/* X-1. Wrong code: a delay that the time-out does not end; a command executed after its time. */
START_TEST(delay_ends_with_the_time_out) {
	open_mode(_i, "");
	struct stile_swgpu_queue *quick = gpu_queue(device, "quick", 0, 100 * MS);
	inject(STILE_SWGPU_DELAY, 1, 0, INT64_MAX);
	struct stile_fence *fence = gpu_submit(quick, gpu_steps(device, &journal, 1, 1));
	ck_assert_int_eq(gpu_finish(fence), -ETIME);
	ck_assert_uint_eq(gpu_journal_count(&journal), 0);
	if (_i == DETERMINISTIC) {
		ck_assert_int_eq(stile_swgpu_get_clock(device), 100 * MS);
	}
	ck_assert_int_eq(run_one(2), 1);
	stile_swgpu_queue_destroy(quick);
}
END_TEST

/* X-1. Wrong code: a hang that no time-out ends; one that ends the queue, or keeps the engine. */
START_TEST(hang_ends_with_the_time_out) {
	open_mode(_i, "timeout=400ms fault=hang@2");
	ck_assert_int_eq(run_one(1), 1);
	struct stile_fence *hangs = gpu_submit(queue, gpu_steps(device, &journal, 2, 2));
	struct stile_fence *next = gpu_submit(queue, gpu_steps(device, &journal, 3, 1));
	ck_assert_int_eq(gpu_finish(hangs), -ETIME);
	ck_assert_int_eq(gpu_finish(next), 1);
	ck_assert_uint_eq(gpu_journal_count(&journal), 2);
}
END_TEST

static void note_injection(void *user, const char *line) {
	if (strstr(line, " inject hang #") != NULL) {
		__atomic_store_n((uint32_t *)user, 1, __ATOMIC_RELEASE);
	}
}

/* Wrong code: what hangs hangs all; a trace that does not tell of it. */
START_TEST(other_queues_go_on_during_a_hang) {
	ck_assert_int_eq(try_open(_i == THREADS ? "engines=2" : modes[DETERMINISTIC]), 0);
	struct stile_swgpu_queue *other = gpu_queue(device, "other", 0, 0);
	uint32_t hangs = 0;
	ck_assert_int_eq(stile_swgpu_set_trace(device, note_injection, &hangs), 0);
	inject(STILE_SWGPU_HANG, 1, 0, 0);
	struct stile_fence *fence = gpu_submit(other, gpu_steps(device, &journal, 1, 1));
	while (__atomic_load_n(&hangs, __ATOMIC_ACQUIRE) == 0) {
		(void)stile_swgpu_step(device);
		runner_sleep_ms(1);
	}
	ck_assert_int_eq(stile_swgpu_set_trace(device, NULL, NULL), 0);
	for (int i = 2; i < 12; i++) {
		ck_assert_int_eq(run_one(i), 1);
	}
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	ck_assert_uint_eq(gpu_journal_count(&journal), 10);
	stile_swgpu_queue_destroy(other);
	ck_assert_int_eq(gpu_finish(fence), -ECANCELED);
}
END_TEST

/* Wrong code: destruction that waits for a hang, or for the end of a delay. `_i / MODES`: which of both. */
START_TEST(destruction_cuts_hangs_and_delays_short) {
	open_mode(_i % MODES, "timeout=3600s");
	inject(_i / MODES == 0 ? STILE_SWGPU_HANG : STILE_SWGPU_DELAY, 1, 0, 3000000 * MS);
	struct stile_swgpu_queue *other = gpu_queue(device, "other", 0, 0);
	struct stile_fence *fence = gpu_submit(other, gpu_steps(device, &journal, 1, 1));
	runner_sleep_ms(5);
	stile_swgpu_queue_destroy(other);
	ck_assert_int_eq(gpu_finish(fence), -ECANCELED);
	fence = gpu_submit(queue, gpu_steps(device, &journal, 1, 1));
	stile_device_destroy(device);
	device = NULL;
	int status = gpu_finish(fence);
	ck_assert_msg(status == -ECANCELED || status == 1, "%d", status);
}
END_TEST

/* Wrong code: what was begun is to be finished, though it hangs. */
START_TEST(destruction_cuts_a_hang_in_the_middle_of_a_list_short) {
	open_mode(_i, "timeout=3600s fault=hang@2");
	struct stile_swgpu_queue *other = gpu_queue(device, "other", 0, 0);
	struct stile_fence *fence = gpu_submit(other, gpu_steps(device, &journal, 1, 3));
	while (gpu_journal_count(&journal) == 0) {
		(void)stile_swgpu_step(device);
		runner_sleep_ms(1);
	}
	/* It hangs now. */
	ck_assert_int_eq(stile_swgpu_step(device), _i == DETERMINISTIC);
	runner_sleep_ms(5);
	stile_swgpu_queue_destroy(other);
	ck_assert_int_eq(gpu_finish(fence), -ECANCELED);
	ck_assert_uint_eq(gpu_journal_count(&journal), 1);
}
END_TEST

/* Wrong code: two of one command, of which one is lost. */
START_TEST(several_faults_of_one_command_add_up) {
	open_mode(_i, "");
	inject(STILE_SWGPU_ERROR, 1, -ENODATA, 0);
	inject(STILE_SWGPU_DELAY, 1, 0, 20 * MS);
	int64_t began_ns = runner_clock_ns();
	ck_assert_int_eq(run_one(1), -ENODATA);
	int64_t ended_ns =
		_i == DETERMINISTIC ? began_ns + stile_swgpu_get_clock(device) : runner_clock_ns();
	ck_assert_int_ge(ended_ns - began_ns, 20 * MS);
}
END_TEST

/* ---- Reordering ---------------------------------------------------------------------------- */

/* Wrong code: nothing; another queue's; the queue's own order given up. */
START_TEST(reordered_command_lets_other_queues_go_first) {
	open_mode(_i, "");
	struct gpu_blocker blocker = { 0 };
	struct stile_swgpu_queue *first = gpu_queue(device, "first", 5, 0), *fourth;
	struct stile_swgpu_queue *second = gpu_queue(device, "second", 0, 0);
	fourth = gpu_queue(device, "fourth", 0, 0);
	if (_i == DETERMINISTIC) {
		gpu_blocker_open(&blocker);
	}
	struct stile_fence *block = gpu_submit(queue, gpu_block(device, &blocker));
	if (_i == DETERMINISTIC) {
		ck_assert_int_eq(plain_fence_finish(block), 1);
	} else {
		gpu_blocker_await(&blocker, 1);
	}
	/* By priority it is the first one; by chance it may not be. */
	inject(STILE_SWGPU_REORDER, 1, 0, 0);
	struct stile_fence *a[2] = {
		gpu_submit(first, gpu_steps(device, &journal, 1, 2)),
		gpu_submit(first, gpu_steps(device, &journal, 2, 1)),
	};
	if (_i == DETERMINISTIC) {
		ck_assert_int_eq(stile_swgpu_step(device), 1);
		ck_assert_uint_eq(gpu_journal_count(&journal), 0);
	}
	struct stile_fence *b = gpu_submit(second, gpu_steps(device, &journal, 3, 2));
	struct stile_fence *c = gpu_submit(fourth, gpu_steps(device, &journal, 4, 2));
	gpu_blocker_open(&blocker);
	ck_assert_int_eq(gpu_finish(a[1]), 1);
	ck_assert_int_eq(gpu_finish(a[0]), 1);
	ck_assert_int_eq(gpu_finish(b), 1);
	ck_assert_int_eq(gpu_finish(c), 1);
	ck_assert_int_eq(gpu_finish(block), 1);
	ck_assert_uint_eq(gpu_journal_count(&journal), 7);
	static const int expected[] = { 1, 1, 2 };
	for (size_t i = 0; i < ARRAY_LENGTH(expected); i++) {
		ck_assert_int_eq(journal.ids[4 + i], expected[i]);
	}
	stile_swgpu_queue_destroy(first);
	stile_swgpu_queue_destroy(second);
	stile_swgpu_queue_destroy(fourth);
}
END_TEST

/* Wrong code: one who is alone waits for nobody; who waits for it is waited for. */
START_TEST(reordered_command_waits_for_nobody_who_has_nothing_to_do) {
	open_mode(_i, "");
	struct stile_swgpu_queue *other = gpu_queue(device, "other", 0, 0);
	/* Longer than a test may take. */
	inject(STILE_SWGPU_REORDER, 1, 0, 3000000 * MS);
	struct stile_fence *hold = plain_fence_create();
	struct stile_fence *waits = gpu_submit_after(other, NULL, &hold, 1);
	struct stile_fence *fence = gpu_submit(queue, gpu_steps(device, &journal, 1, 1));
	struct stile_fence *behind =
		gpu_submit_after(other, gpu_steps(device, &journal, 2, 1), &fence, 1);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	stile_fence_signal(hold);
	ck_assert_int_eq(gpu_finish(behind), 1);
	ck_assert_int_eq(gpu_finish(waits), 1);
	stile_fence_unref(fence);
	stile_fence_unref(hold);
	stile_swgpu_queue_destroy(other);
}
END_TEST

/* Wrong code: each lets the other go first. */
START_TEST(reordered_commands_do_not_wait_for_each_other) {
	ck_assert_int_eq(try_open(_i == THREADS ? "engines=2" : modes[DETERMINISTIC]), 0);
	struct stile_swgpu_queue *other = gpu_queue(device, "other", 0, 0);
	struct stile_fence *hold = plain_fence_create(), *fences[2];
	inject(STILE_SWGPU_REORDER, 1, 0, 3000000 * MS);
	inject(STILE_SWGPU_REORDER, 2, 0, 3000000 * MS);
	fences[0] = gpu_submit_after(queue, gpu_steps(device, &journal, 1, 1), &hold, 1);
	fences[1] = gpu_submit_after(other, gpu_steps(device, &journal, 2, 1), &hold, 1);
	stile_fence_signal(hold);
	ck_assert_int_eq(gpu_finish(fences[0]), 1);
	ck_assert_int_eq(gpu_finish(fences[1]), 1);
	stile_fence_unref(hold);
	stile_swgpu_queue_destroy(other);
}
END_TEST

/* Wrong code: others who never end are waited for for ever. */
START_TEST(reordered_command_waits_no_longer_than_told) {
	ck_assert_int_eq(try_open("engines=2"), 0);
	struct gpu_blocker blocker = { 0 };
	struct stile_swgpu_queue *other = gpu_queue(device, "other", 0, 0);
	struct stile_fence *block = gpu_submit(other, gpu_block(device, &blocker));
	gpu_blocker_await(&blocker, 1);
	inject(STILE_SWGPU_REORDER, 1, 0, 50 * MS);
	int64_t began_ns = runner_clock_ns();
	ck_assert_int_eq(run_one(1), 1);
	ck_assert_int_ge(runner_clock_ns() - began_ns, 50 * MS);
	ck_assert_int_eq(stile_fence_get_status(block), 0);
	gpu_blocker_open(&blocker);
	ck_assert_int_eq(gpu_finish(block), 1);
	stile_swgpu_queue_destroy(other);
}
END_TEST

/* Wrong code: the thread that looks at the clock executes something, and nobody looks any more. */
START_TEST(who_looks_at_the_clock_is_replaced) {
	ck_assert_int_eq(try_open("engines=2"), 0);
	struct gpu_blocker blocker = { 0 };
	struct stile_swgpu_queue *other = gpu_queue(device, "other", 0, 0);
	struct stile_swgpu_queue *quick = gpu_queue(device, "quick", 0, 100 * MS);
	struct stile_fence *hold = plain_fence_create();
	struct stile_fence *first = gpu_submit(other, gpu_block(device, &blocker));
	gpu_blocker_await(&blocker, 1);
	/* Whoever sees that it has waited long enough goes on with it. */
	inject(STILE_SWGPU_REORDER, 1, 0, 50 * MS);
	struct stile_fence *second = gpu_submit(queue, gpu_block(device, &blocker));
	gpu_blocker_await(&blocker, 2);
	ck_assert_int_eq(gpu_finish(gpu_submit_after(quick, NULL, &hold, 1)), -ETIME);
	gpu_blocker_open(&blocker);
	ck_assert_int_eq(gpu_finish(first), 1);
	ck_assert_int_eq(gpu_finish(second), 1);
	stile_fence_signal(hold);
	stile_fence_unref(hold);
	stile_swgpu_queue_destroy(other);
	stile_swgpu_queue_destroy(quick);
}
END_TEST

/* ---- Losing the device --------------------------------------------------------------------- */

/* Wrong code: the list alone fails; a command is executed by a lost device; fences are left pending. */
START_TEST(device_is_lost_with_the_nth_command) {
	open_mode(_i, "fault=lose@3");
	struct stile_swgpu_queue *other = gpu_queue(device, "other", 0, 0);
	struct stile_fence *hold = plain_fence_create(), *fences[4];
	ck_assert_int_eq(run_one(1), 1);
	fences[0] = gpu_submit_after(other, gpu_steps(device, &journal, 5, 1), &hold, 1);
	fences[1] = gpu_submit(other, NULL);
	fences[2] = gpu_submit(queue, gpu_steps(device, &journal, 2, 3));
	ck_assert_int_eq(gpu_finish(fences[2]), -EIO);
	ck_assert_int_eq(gpu_finish(fences[0]), -EIO);
	ck_assert_int_eq(gpu_finish(fences[1]), -EIO);
	ck_assert_uint_eq(gpu_journal_count(&journal), 2);
	ck_assert_int_eq(stile_swgpu_submit(queue, NULL, NULL, &fences[3]), -EIO);
	stile_fence_signal(hold);
	stile_fence_unref(hold);
	stile_swgpu_queue_destroy(other);
}
END_TEST

/* Wrong code: a hang that outlives the device. */
START_TEST(lost_device_ends_hangs) {
	open_mode(_i, "timeout=3600s fault=hang@1");
	struct stile_fence *hangs = gpu_submit(queue, gpu_steps(device, &journal, 1, 1));
	if (_i == DETERMINISTIC) {
		ck_assert_int_eq(stile_swgpu_step(device), 1);
	} else {
		runner_sleep_ms(5);
	}
	ck_assert_int_eq(stile_swgpu_lose(device), 0);
	ck_assert_int_eq(gpu_finish(hangs), -EIO);
}
END_TEST

/* ---- Memory -------------------------------------------------------------------------------- */

static struct stile_buffer *create_buffer(void) {
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = 4096 };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	return buffer;
}

static int submit_fill(struct stile_buffer *buffer, struct stile_fence **fence) {
	struct stile_swgpu_list *list;
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	ck_assert_int_eq(stile_swgpu_list_fill_buffer(list, buffer, 0, 4096, 1), 0);
	int ret = stile_swgpu_submit(queue, list, NULL, fence);
	if (ret < 0) {
		stile_swgpu_list_destroy(list);
	}
	return ret;
}

/* Wrong code: the command fails, not the allocation; another one; a failure that leaves something locked. */
START_TEST(nth_allocation_of_storage_fails) {
	open_mode(_i, "fault=nomem@2");
	struct stile_buffer *first = create_buffer(), *second = create_buffer();
	struct stile_fence *fence;
	ck_assert_int_eq(submit_fill(first, &fence), 0);
	ck_assert_int_eq(gpu_finish(fence), 1);
	ck_assert_int_eq(submit_fill(second, &fence), -ENOMEM);
	ck_assert_ptr_null(fence);
	ck_assert_int_eq(submit_fill(second, &fence), 0);
	ck_assert_int_eq(gpu_finish(fence), 1);
	stile_buffer_unref(first);
	stile_buffer_unref(second);
}
END_TEST

/* ---- Real faults --------------------------------------------------------------------------- */

static struct stile_swgpu_fault get_fault(void) {
	struct stile_swgpu_fault fault = { .size = sizeof(fault) };
	ck_assert_int_eq(stile_swgpu_get_fault(device, &fault), 0);
	return fault;
}

/* Wrong code: no error; a report of something else; logged never, or again and again. */
START_TEST(fault_of_the_bus_is_reported_and_logged_once) {
	static const uint64_t nowhere = UINT64_C(0x123450000);
	open_mode(_i, "");
	ck_assert_uint_eq(get_fault().count, 0);
	ck_assert_int_eq(get_fault().reason, STILE_SWGPU_FAULT_NONE);
	ck_assert_int_eq(run_one(1), 1);
	for (uint64_t i = 1; i <= 2; i++) {
		struct stile_swgpu_list *list;
		ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
		ck_assert_int_eq(stile_swgpu_list_fill_address(list, nowhere + i, 16, 0), 0);
		ck_assert_int_eq(gpu_finish(gpu_submit(queue, list)), -EFAULT);
		struct stile_swgpu_fault fault = get_fault();
		ck_assert_uint_eq(fault.count, i);
		ck_assert_int_eq(fault.reason, STILE_SWGPU_FAULT_UNKNOWN);
		ck_assert_uint_eq(fault.address, nowhere + i);
		ck_assert_uint_eq(fault.command, i + 1);
		ck_assert(fault.write);
		ck_assert_ptr_nonnull(strstr(fault.text, i == 1 ? "0x123450001" : "0x123450002"));
		ck_assert_int_eq(log_count, (int)i);
		ck_assert_ptr_nonnull(strstr(logged, fault.text));
	}
	ck_assert_int_eq(run_one(2), 1);
}
END_TEST

/* Wrong code: written past the caller's struct. */
START_TEST(fault_of_an_older_caller_is_cut) {
	open_mode(_i, "");
	struct stile_swgpu_fault fault;
	memset(&fault, 0x55, sizeof(fault));
	fault.size = offsetof(struct stile_swgpu_fault, command);
	ck_assert_int_eq(stile_swgpu_get_fault(device, &fault), 0);
	ck_assert_uint_eq(fault.size, offsetof(struct stile_swgpu_fault, command));
	ck_assert_uint_eq(fault.address, 0);
	ck_assert_uint_eq(fault.command, UINT64_C(0x5555555555555555));
	fault.size = 1;
	ck_assert_int_eq(stile_swgpu_get_fault(device, &fault), -EINVAL);
}
END_TEST

static TCase *case_create(const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 100);
	return tcase;
}

static Suite *make_suite(void) {
	Suite *suite = suite_create("injection");
	TCase *tcase = case_create("language");
	tcase_add_loop_test(tcase, each_word_is_understood, 0, (int)ARRAY_LENGTH(words));
	tcase_add_test(tcase, words_have_commas_between);
	tcase_add_loop_test(tcase, nonsense_is_refused_by_name, 0, (int)ARRAY_LENGTH(nonsense));
	tcase_add_test(tcase, very_long_word_is_refused);
	tcase_add_test(tcase, device_does_not_open_with_nonsense);
	tcase_add_test(tcase, faults_without_memory_are_enomem);
	tcase_add_loop_test(
		tcase, impossible_injections_are_einval, 0, (int)ARRAY_LENGTH(impossible));
	suite_add_tcase(suite, tcase);

	tcase = case_create("errors");
	tcase_add_loop_test(tcase, nth_command_fails, 0, MODES * (int)ARRAY_LENGTH(error_cases));
	tcase_add_loop_test(tcase, injection_counts_from_now_on, 0, MODES);
	tcase_add_loop_test(tcase, error_of_a_kernel_is_the_lists, 0, MODES);
	suite_add_tcase(suite, tcase);

	tcase = case_create("delays and hangs");
	tcase_add_loop_test(tcase, delayed_command_takes_longer, 0, MODES);
	tcase_add_loop_test(tcase, delay_ends_with_the_time_out, 0, MODES);
	tcase_add_loop_test(tcase, hang_ends_with_the_time_out, 0, MODES);
	tcase_add_loop_test(tcase, other_queues_go_on_during_a_hang, 0, MODES);
	tcase_add_loop_test(tcase, destruction_cuts_hangs_and_delays_short, 0, 2 * MODES);
	tcase_add_loop_test(tcase, destruction_cuts_a_hang_in_the_middle_of_a_list_short, 0, MODES);
	tcase_add_loop_test(tcase, several_faults_of_one_command_add_up, 0, MODES);
	suite_add_tcase(suite, tcase);

	tcase = case_create("reordering");
	tcase_add_loop_test(tcase, reordered_command_lets_other_queues_go_first, 0, MODES);
	tcase_add_loop_test(
		tcase, reordered_command_waits_for_nobody_who_has_nothing_to_do, 0, MODES);
	tcase_add_loop_test(tcase, reordered_commands_do_not_wait_for_each_other, 0, MODES);
	tcase_add_test(tcase, reordered_command_waits_no_longer_than_told);
	tcase_add_test(tcase, who_looks_at_the_clock_is_replaced);
	suite_add_tcase(suite, tcase);

	tcase = case_create("losing the device");
	tcase_add_loop_test(tcase, device_is_lost_with_the_nth_command, 0, MODES);
	tcase_add_loop_test(tcase, lost_device_ends_hangs, 0, MODES);
	suite_add_tcase(suite, tcase);

	tcase = case_create("memory and real faults");
	tcase_add_loop_test(tcase, nth_allocation_of_storage_fails, 0, MODES);
	tcase_add_loop_test(tcase, fault_of_the_bus_is_reported_and_logged_once, 0, MODES);
	tcase_add_loop_test(tcase, fault_of_an_older_caller_is_cut, 0, MODES);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
