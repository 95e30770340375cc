/* SPDX-License-Identifier: MIT */
/* The lock-order checker: KERNEL_CONTRACT, with the sections of 7.3, and A-12. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stile/resv.h>
#include <stile/timeline.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/check.h"
#include "src/macros.h"

/* Keeps the calls of the checker from being the last thing in a function, which hides the place. */
#define HERE() __asm__ volatile("")

static struct stile_lock_class lock_a = STILE_LOCK_CLASS("lock A");
static struct stile_lock_class lock_b = STILE_LOCK_CLASS("lock B");
static struct stile_lock_class lock_c = STILE_LOCK_CLASS("lock C");

/* What was complained about. The handler runs under locks: it only records. */
static struct {
	pthread_mutex_t mutex;
	int count;
	char last[8192];
} heard = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static void hear(void *user, const char *text) {
	ck_assert_ptr_eq(user, &heard);
	pthread_mutex_lock(&heard.mutex);
	heard.count++;
	snprintf(heard.last, sizeof(heard.last), "%s", text);
	pthread_mutex_unlock(&heard.mutex);
}

static bool was_enabled;

static void setup(void) {
	was_enabled = stile_check_is_enabled();
	stile_check_set_handler(hear, &heard);
	stile_check_enable(true);
	check_reset();
	heard.count = 0;
	heard.last[0] = '\0';
}

static void teardown(void) {
	check_reset();
	stile_check_enable(was_enabled);
	stile_check_set_handler(NULL, NULL);
}

static void assert_silent(void) {
	ck_assert_msg(heard.count == 0, "%d complaints: %s", heard.count, heard.last);
}

static void assert_heard(int count, const char *what) {
	ck_assert_msg(heard.count == count, "%d complaints: %s", heard.count, heard.last);
	ck_assert_msg(strstr(heard.last, what) != NULL, "no '%s' in: %s", what, heard.last);
}

static void take(struct stile_lock_class *lock_class) {
	stile_lock_annotate(lock_class, STILE_LOCK_ACQUIRE);
}

static void try_take(struct stile_lock_class *lock_class) {
	stile_lock_annotate(lock_class, STILE_LOCK_TRY_ACQUIRE);
}

static void give(struct stile_lock_class *lock_class) {
	stile_lock_annotate(lock_class, STILE_LOCK_RELEASE);
}

/* Take both in this order, and give them back in the same one. */
static void take_both(struct stile_lock_class *outer, struct stile_lock_class *inner) {
	take(outer);
	take(inner);
	give(outer);
	give(inner);
}

/* ---- The two sides of X-8 (1), each a function that a report has to point at ---------------- */

static __attribute__((noinline)) void *waits_with_a(void *unused) {
	stile_lock_annotate(&lock_a, STILE_LOCK_ACQUIRE);
	stile_might_wait();
	stile_lock_annotate(&lock_a, STILE_LOCK_RELEASE);
	HERE();
	return unused;
}

static __attribute__((noinline)) void *signals_with_a(void *unused) {
	uint32_t cookie = stile_signalling_begin();
	stile_lock_annotate(&lock_a, STILE_LOCK_ACQUIRE);
	stile_lock_annotate(&lock_a, STILE_LOCK_RELEASE);
	stile_signalling_end(cookie);
	HERE();
	return unused;
}

/* X-8 (4): waits for what a program may never submit. */
static struct stile_timeline *timeline;

static __attribute__((noinline)) void *waits_for_a_submission(void *point) {
	int ret = stile_point_wait(point, STILE_POINT_SIGNALED, runner_clock_ns() + 1, NULL);
	HERE();
	return ret == -ETIME ? NULL : point;
}

static __attribute__((noinline)) void wait_for_a_submission(uint64_t value) {
	struct stile_point point = { .timeline = timeline, .value = value };
	ck_assert_ptr_null(waits_for_a_submission(&point));
}

static void run_in_thread(void *(*run)(void *)) {
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
	pthread_join(thread, NULL);
}

/* Where the functions above are, however large they are built: one begins where another ends. */
static bool is_in(uintptr_t place, void *(*function)(void *)) {
	const uintptr_t largest = 2048;
	uintptr_t begin = (uintptr_t)function;
	uintptr_t others[] = { (uintptr_t)waits_with_a, (uintptr_t)signals_with_a,
		(uintptr_t)waits_for_a_submission, (uintptr_t)wait_for_a_submission,
		(uintptr_t)run_in_thread };
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
		if (others[i] > begin && place > others[i]) {
			return false;
		}
	}
	return place > begin && place < begin + largest;
}

/* How often the last report names an address within the function. */
static int places_in(void *(*function)(void *)) {
	int count = 0;
	for (const char *at = heard.last; (at = strstr(at, "[0x")) != NULL; at++) {
		count += is_in((uintptr_t)strtoull(at + 1, NULL, 16), function);
	}
	return count;
}

/*
 * X-8 (1), X-6. Wrong code: an edge missed in one of the two orders, edges kept per thread, a
 * report without one of the places.
 */
START_TEST(lock_held_over_a_wait_and_taken_in_a_section_is_reported) {
	bool wait_first = (_i & 1) != 0;
	bool threads = (_i & 2) != 0;
	for (int i = 0; i < 2; i++) {
		assert_silent();
		void *(*side)(void *) = (i == 0) == wait_first ? waits_with_a : signals_with_a;
		if (threads) {
			run_in_thread(side);
		} else {
			side(NULL);
		}
	}
	assert_heard(1,
		wait_first ? "taking \"lock A\" inside a signalling section"
			   : "waiting for a fence while holding \"lock A\"");
	assert_heard(1,
		wait_first ? "\"fence signalling\" -> \"lock A\" -> \"fence signalling\""
			   : "\"lock A\" -> \"fence signalling\" -> \"lock A\"");
	/* Of each side: where the inner one was taken, and where the outer one had been. */
	ck_assert_msg(places_in(waits_with_a) == 2, "%s", heard.last);
	ck_assert_msg(places_in(signals_with_a) == 2, "%s", heard.last);
}
END_TEST

/* Wrong code: a report each time, which nobody can read. */
START_TEST(cycle_is_reported_once) {
	for (int i = 0; i < 3; i++) {
		waits_with_a(NULL);
		signals_with_a(NULL);
	}
	assert_heard(1, "closes a cycle");
}
END_TEST

/* Wrong code: a section that makes an edge into itself (6.12), or taken for a wait. */
START_TEST(section_without_the_lock_is_clean) {
	for (int i = 0; i < 2; i++) {
		take(&lock_a);
		uint32_t cookie = stile_signalling_begin();
		stile_signalling_end(cookie);
		give(&lock_a);
		cookie = stile_signalling_begin();
		take(&lock_a);
		give(&lock_a);
		stile_signalling_end(cookie);
	}
	assert_silent();
}
END_TEST

/* Wrong code: any lock held over a wait reported. */
START_TEST(wait_with_a_lock_that_no_section_takes_is_clean) {
	for (int i = 0; i < 2; i++) {
		take(&lock_b);
		stile_might_wait();
		give(&lock_b);
		take(&lock_a);
		uint32_t cookie = stile_signalling_begin();
		take(&lock_c);
		give(&lock_c);
		stile_signalling_end(cookie);
		give(&lock_a);
	}
	assert_silent();
}
END_TEST

/* Wrong code: the section not suspended, so that its own wait is a cycle. */
START_TEST(wait_inside_a_section_alone_is_clean) {
	uint32_t cookie = stile_signalling_begin();
	stile_might_wait();
	stile_signalling_end(cookie);
	assert_silent();
}
END_TEST

/* Wrong code: a wait inside a section not looked at at all. */
START_TEST(wait_inside_a_section_with_a_lock_is_reported) {
	uint32_t cookie = stile_signalling_begin();
	take(&lock_a);
	stile_might_wait();
	assert_heard(1, "waiting for a fence while holding \"lock A\"");
	give(&lock_a);
	stile_signalling_end(cookie);
}
END_TEST

/* Wrong code: the inner end ends the outer one, or the outer one never ends. */
START_TEST(inner_end_does_not_end_the_outer_section) {
	take(&lock_a);
	stile_might_wait();
	give(&lock_a);

	uint32_t outer = stile_signalling_begin();
	uint32_t inner = stile_signalling_begin();
	stile_signalling_end(inner);
	stile_signalling_end(outer);
	take(&lock_a);
	give(&lock_a);
	assert_silent();

	outer = stile_signalling_begin();
	inner = stile_signalling_begin();
	stile_signalling_end(inner);
	take(&lock_a);
	give(&lock_a);
	stile_signalling_end(outer);
	assert_heard(1, "inside a signalling section");
}
END_TEST

/* ---- Waiting for user space ----------------------------------------------------------------- */

static void setup_timeline(void) {
	ck_assert_int_eq(stile_timeline_create("late", &timeline), 0);
	setup();
}

static void teardown_timeline(void) {
	teardown();
	stile_timeline_unref(timeline);
}

/* X-8 (4), Y-13. Wrong code: only cycles; each time; without who waits, or where the lock was taken. */
START_TEST(wait_for_a_submission_with_a_lock_is_reported) {
	stile_lock_annotate(&lock_a, STILE_LOCK_ACQUIRE);
	HERE();
	wait_for_a_submission(1);
	assert_heard(1, "waiting for a submission while holding \"lock A\"");
	assert_heard(1, "Whoever is to submit");
	assert_heard(1, "\"lock A\" had been taken at:");
	ck_assert_msg(places_in(waits_for_a_submission) == 1, "%s", heard.last);
	wait_for_a_submission(2);
	give(&lock_a);
	wait_for_a_submission(1);
	ck_assert_int_eq(heard.count, 1);
}
END_TEST

/* Y-13. Wrong code: only locks; a section that is suspended here, too, as for a fence. */
START_TEST(wait_for_a_submission_in_a_section_is_reported) {
	uint32_t cookie = stile_signalling_begin();
	wait_for_a_submission(1);
	assert_heard(1, "waiting for a submission inside a signalling section");
	assert_heard(1, "the section had begun at:");
	stile_signalling_end(cookie);
	wait_for_a_submission(1);
	ck_assert_int_eq(heard.count, 1);
}
END_TEST

/* Y-13. Wrong code: only locks of the application looked at. */
START_TEST(wait_for_a_submission_with_a_reservation_is_reported) {
	struct stile_resv resv;
	stile_resv_init(&resv);
	ck_assert_int_eq(stile_resv_lock(&resv, NULL, NULL), 0);
	wait_for_a_submission(1);
	assert_heard(1, "waiting for a submission while holding \"");
	stile_resv_unlock(&resv);
	stile_resv_fini(&resv);
}
END_TEST

/* Y-13. Wrong code: the first lock only; locks that were taken by a trylock left out. */
START_TEST(wait_for_a_submission_is_reported_for_each_lock) {
	take(&lock_a);
	try_take(&lock_b);
	wait_for_a_submission(1);
	assert_heard(2, "while holding \"lock B\"");
	give(&lock_b);
	take(&lock_c);
	wait_for_a_submission(1);
	assert_heard(3, "while holding \"lock C\"");
	give(&lock_c);
	give(&lock_a);
}
END_TEST

/* Y-13. Wrong code: a point with a fence taken for a promise; a look taken for a wait. */
START_TEST(wait_for_what_is_submitted_is_a_fence_wait) {
	const struct stile_point points[] = { { timeline, 1 }, { timeline, 2 } };
	struct stile_fence *fence = plain_fence_create();
	ck_assert_int_eq(stile_timeline_submit(timeline, 1, fence), 0);
	take(&lock_a);
	ck_assert_int_eq(stile_point_wait(&points[0], STILE_POINT_AVAILABLE, INT64_MAX, NULL), 0);
	ck_assert_int_eq(stile_point_wait(&points[0], STILE_POINT_SIGNALED, 1, NULL), -ETIME);
	ck_assert_int_eq(stile_point_wait(&points[1], STILE_POINT_AVAILABLE, 0, NULL), -ETIME);
	stile_fence_signal(fence);
	ck_assert_int_eq(stile_point_wait(&points[0], STILE_POINT_SIGNALED, INT64_MAX, NULL), 0);
	give(&lock_a);
	assert_silent();
	stile_fence_unref(fence);
	/* But it is a wait all the same. */
	signals_with_a(NULL);
	assert_heard(1, "taking \"lock A\" inside a signalling section");
}
END_TEST

/* Y-13. Wrong code: what is wrong with one wait spoils the order of all. */
START_TEST(reported_wait_for_a_submission_does_not_spoil_the_order) {
	take_both(&lock_a, &lock_b);
	take(&lock_b);
	wait_for_a_submission(1);
	ck_assert_int_eq(heard.count, 1);
	give(&lock_b);
	take_both(&lock_a, &lock_b);
	ck_assert_int_eq(heard.count, 1);
	stile_check_enable(false);
	take(&lock_c);
	wait_for_a_submission(1);
	give(&lock_c);
	ck_assert_int_eq(heard.count, 1);
}
END_TEST

/* ---- Memory --------------------------------------------------------------------------------- */

/* X-8 (3), X-7. Wrong code: the edge from memory to fences missing. */
START_TEST(allocation_inside_a_section_is_reported) {
	uint32_t cookie = stile_signalling_begin();
	stile_might_alloc();
	stile_signalling_end(cookie);
	assert_heard(1, "allocating memory inside a signalling section");
	assert_heard(1, "\"fence signalling\" -> \"memory allocation\" -> \"fence signalling\"");
	assert_heard(1, "always assumed");
}
END_TEST

/* Wrong code: each allocation reported, or each one with a lock. */
START_TEST(allocation_outside_a_section_is_clean) {
	stile_might_alloc();
	take(&lock_a);
	stile_might_alloc();
	stile_might_wait();
	give(&lock_a);
	stile_might_alloc();
	assert_silent();
}
END_TEST

/* Wrong code: an allocation that is no possible wait. */
START_TEST(allocation_with_a_lock_that_sections_take_is_reported) {
	take(&lock_a);
	stile_might_alloc();
	give(&lock_a);
	signals_with_a(NULL);
	assert_heard(1, "taking \"lock A\" inside a signalling section");
	assert_heard(1, "-> \"lock A\" -> \"memory allocation\" -> \"fence signalling\"");
	assert_heard(1, "memory is allocated while \"lock A\" is held");
}
END_TEST

/* ---- Locks of the application --------------------------------------------------------------- */

/* Wrong code: only pairs with the fence looked at. */
START_TEST(two_locks_in_both_orders_are_reported) {
	take_both(&lock_a, &lock_b);
	assert_silent();
	take_both(&lock_b, &lock_a);
	assert_heard(1, "taking \"lock A\" while holding \"lock B\"");
	assert_heard(1, "\"lock B\" -> \"lock A\" -> \"lock B\"");
}
END_TEST

/* Wrong code: only cycles of two found. */
START_TEST(three_locks_in_a_ring_are_reported) {
	take_both(&lock_a, &lock_b);
	take_both(&lock_b, &lock_c);
	assert_silent();
	take_both(&lock_c, &lock_a);
	assert_heard(1, "\"lock C\" -> \"lock A\" -> \"lock B\" -> \"lock C\"");
}
END_TEST

/* Wrong code: the edge that was reported stays in the graph, and makes the right order wrong. */
START_TEST(reported_order_does_not_spoil_the_other_one) {
	take_both(&lock_a, &lock_b);
	take_both(&lock_b, &lock_a);
	assert_heard(1, "closes a cycle");
	take(&lock_a);
	take(&lock_c);
	take(&lock_b);
	give(&lock_b);
	give(&lock_c);
	give(&lock_a);
	ck_assert_int_eq(heard.count, 1);
}
END_TEST

/* Wrong code: only the lock taken last taken for held. */
START_TEST(every_held_lock_comes_before_the_new_one) {
	take(&lock_a);
	try_take(&lock_b);
	take(&lock_c);
	give(&lock_c);
	give(&lock_b);
	give(&lock_a);
	assert_silent();
	take_both(&lock_c, &lock_a);
	assert_heard(1, "taking \"lock A\" while holding \"lock C\"");
}
END_TEST

/* Wrong code: a trylock taken for something that blocks. */
START_TEST(trylock_makes_no_edge_into_its_lock) {
	take_both(&lock_a, &lock_b);
	take(&lock_b);
	try_take(&lock_a);
	give(&lock_a);
	give(&lock_b);
	uint32_t cookie = stile_signalling_begin();
	try_take(&lock_c);
	give(&lock_c);
	stile_signalling_end(cookie);
	take(&lock_c);
	stile_might_wait();
	give(&lock_c);
	assert_silent();
}
END_TEST

/* Wrong code: a trylock not taken for held. */
START_TEST(trylock_makes_edges_out_of_its_lock) {
	try_take(&lock_a);
	take(&lock_b);
	give(&lock_b);
	give(&lock_a);
	take_both(&lock_b, &lock_a);
	assert_heard(1, "taking \"lock A\" while holding \"lock B\"");
}
END_TEST

/* Wrong code: a lock taken twice by one thread missed; reported each time. */
START_TEST(class_taken_twice_is_reported_as_a_cycle_of_one) {
	for (int i = 0; i < 2; i++) {
		take_both(&lock_a, &lock_a);
	}
	assert_heard(1, "taking \"lock A\" while holding \"lock A\"");
	assert_heard(1, "\"lock A\" -> \"lock A\"");
}
END_TEST

/* Wrong code: a release that takes the last lock off, whichever it is. */
START_TEST(locks_may_be_released_in_any_order) {
	take(&lock_a);
	/* Without an edge from A, which would be enough for a report. */
	try_take(&lock_b);
	give(&lock_a);
	stile_might_wait();
	give(&lock_b);
	signals_with_a(NULL);
	assert_silent();
	uint32_t cookie = stile_signalling_begin();
	take(&lock_b);
	give(&lock_b);
	stile_signalling_end(cookie);
	assert_heard(1, "taking \"lock B\" inside a signalling section");
}
END_TEST

/* Wrong code: a release without a lock ignored, or it takes something else off. */
START_TEST(release_of_what_is_not_held_is_misuse) {
	take(&lock_b);
	give(&lock_a);
	assert_heard(1, "\"lock A\" is released by a thread that does not hold it");
	give(&lock_b);
	ck_assert_int_eq(heard.count, 1);
	give(&lock_b);
	assert_heard(2, "\"lock B\" is released");
}
END_TEST

static void *ends_section(void *cookie) {
	stile_signalling_end(*(uint32_t *)cookie);
	return NULL;
}

/* Wrong code: the end believed on a thread that has no section. */
START_TEST(section_ended_by_another_thread_is_misuse) {
	uint32_t cookie = stile_signalling_begin();
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, ends_section, &cookie), 0);
	pthread_join(thread, NULL);
	assert_heard(1, "has not begun");
	stile_signalling_end(cookie);
	ck_assert_int_eq(heard.count, 1);
}
END_TEST

/* ---- Locks of fences ------------------------------------------------------------------------ */

static const char array_key, chain_key, leaf_key;

/* Wrong code: one class for all fences, or the name instead of the key as the class. */
START_TEST(fences_nest_from_chain_to_array_to_leaf) {
	for (int i = 0; i < 2; i++) {
		check_lock(&chain_key, "fence");
		check_lock(&array_key, "fence");
		check_lock(&leaf_key, "leaf");
		check_unlock(&leaf_key);
		check_unlock(&array_key);
		check_unlock(&chain_key);
	}
	assert_silent();
	check_lock(&leaf_key, "leaf");
	check_lock(&array_key, "fence");
	assert_heard(1, "taking \"fence\" while holding \"leaf\"");
	check_unlock(&array_key);
	check_unlock(&leaf_key);
}
END_TEST

/* Wrong code: a class taken twice forgotten at the first release. */
START_TEST(two_fences_of_one_kind_may_be_locked_together) {
	check_lock(&leaf_key, "leaf");
	check_lock(&leaf_key, "leaf");
	check_unlock(&leaf_key);
	assert_silent();
	take(&lock_a);
	give(&lock_a);
	check_unlock(&leaf_key);
	take(&lock_a);
	check_lock(&leaf_key, "leaf");
	assert_heard(1, "taking \"leaf\" while holding \"lock A\"");
	check_unlock(&leaf_key);
	give(&lock_a);
}
END_TEST

/* F-8, X-8. Wrong code: what a callback takes under a fence's lock not seen together with it. */
START_TEST(lock_of_a_callback_held_over_a_wait_is_reported) {
	uint32_t cookie = check_signalling_begin();
	check_lock(&leaf_key, "leaf");
	take(&lock_a);
	give(&lock_a);
	check_unlock(&leaf_key);
	check_signalling_end(cookie);
	take(&lock_a);
	check_wait();
	give(&lock_a);
	assert_heard(1, "waiting for a fence while holding \"lock A\"");
}
END_TEST

/* Wrong code: names that are kept as pointers. */
START_TEST(name_may_go_after_the_class_is_known) {
	char name[] = "short lived";
	check_lock(&leaf_key, name);
	check_unlock(&leaf_key);
	memset(name, 'x', sizeof(name) - 1);
	take(&lock_a);
	check_lock(&leaf_key, name);
	check_unlock(&leaf_key);
	give(&lock_a);
	check_lock(&leaf_key, name);
	take(&lock_a);
	assert_heard(1, "while holding \"short lived\"");
	give(&lock_a);
	check_unlock(&leaf_key);
}
END_TEST

/* ---- The switch, the handler ---------------------------------------------------------------- */

/* Wrong code: a call that does not look at the switch. */
START_TEST(switched_off_it_says_nothing) {
	stile_check_enable(false);
	ck_assert(!stile_check_is_enabled());
	waits_with_a(NULL);
	signals_with_a(NULL);
	take_both(&lock_a, &lock_a);
	give(&lock_a);
	check_lock(&leaf_key, "leaf");
	check_unlock(&leaf_key);
	uint32_t cookie = stile_signalling_begin();
	ck_assert_uint_eq(cookie, 0);
	stile_might_alloc();
	stile_signalling_end(cookie);
	assert_silent();
	stile_check_enable(true);
	ck_assert(stile_check_is_enabled());
	waits_with_a(NULL);
	assert_silent();
}
END_TEST

/* Wrong code: what was held when it was switched off held for ever; an old cookie that works. */
START_TEST(switching_forgets_what_is_held) {
	take(&lock_a);
	uint32_t old = stile_signalling_begin();
	stile_check_enable(false);
	give(&lock_a);
	stile_check_enable(true);
	stile_might_alloc();
	take(&lock_b);
	give(&lock_b);
	assert_silent();
	uint32_t cookie = stile_signalling_begin();
	stile_signalling_end(old);
	assert_silent();
	stile_might_alloc();
	assert_heard(1, "inside a signalling section");
	stile_signalling_end(cookie);
}
END_TEST

/* Wrong code: what was learned lost with the switch. */
START_TEST(order_is_kept_while_switched_off) {
	take_both(&lock_a, &lock_b);
	stile_check_enable(false);
	stile_check_enable(true);
	take_both(&lock_b, &lock_a);
	assert_heard(1, "closes a cycle");
}
END_TEST

/* Wrong code: misuse told only with the checker on; the text cut, errno changed. */
START_TEST(misuse_is_told_with_the_checker_off_too) {
	stile_check_enable(false);
	errno = EXDEV;
	check_warn("%s %d", "fence signalled", 2);
	ck_assert_int_eq(errno, EXDEV);
	ck_assert_int_eq(heard.count, 1);
	ck_assert_str_eq(heard.last, "fence signalled 2");
}
END_TEST

static char default_text[16384];

/* Run with standard error going into a file; what came there. */
static const char *text_on_stderr(void *(*run)(void *)) {
	int file = memfd_create("stderr", MFD_CLOEXEC);
	int before = dup(STDERR_FILENO);
	ck_assert(file >= 0 && before >= 0);
	dup2(file, STDERR_FILENO);
	run(NULL);
	fflush(stderr);
	dup2(before, STDERR_FILENO);
	close(before);
	ssize_t n = pread(file, default_text, sizeof(default_text) - 1, 0);
	close(file);
	ck_assert_int_ge(n, 0);
	default_text[n] = '\0';
	return default_text;
}

/* Wrong code: NULL called, or nothing said any more. */
START_TEST(without_a_handler_complaints_go_to_stderr) {
	stile_check_set_handler(NULL, NULL);
	waits_with_a(NULL);
	const char *text = text_on_stderr(signals_with_a);
	ck_assert_msg(strncmp(text, "stile: lock order: taking", 25) == 0, "%s", text);
	ck_assert_msg(text[strlen(text) - 1] == '\n', "%s", text);
	ck_assert_msg(strstr(text, "\n\n") == NULL, "%s", text);
	ck_assert_int_eq(heard.count, 0);
}
END_TEST

static void hear_and_ask(void *user, const char *text) {
	(void)user;
	(void)text;
	stile_check_set_handler(hear, &heard);
}

/* Wrong code: the handler called under the mutex of the checker. */
START_TEST(handler_runs_without_the_mutex_of_the_checker) {
	stile_check_set_handler(hear_and_ask, NULL);
	check_warn("first");
	check_warn("second");
	assert_heard(1, "second");
}
END_TEST

/* ---- Limits --------------------------------------------------------------------------------- */

/* Wrong code: a stack written beyond its end; releases of what had no room called misuse. */
START_TEST(too_many_held_locks_are_said_once) {
	static char objects[1100];
	struct check_object object = { .key = objects, .name = "object", .nest = objects };
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LENGTH(objects); i++) {
			object.object = &objects[i];
			check_object_acquire(&object, true, objects);
		}
		take(&lock_a);
		ck_assert_uint_eq(stile_signalling_begin(), 0);
		give(&lock_a);
		for (size_t i = ARRAY_LENGTH(objects); i > 0; i--) {
			check_object_release(objects, &objects[i - 1]);
		}
	}
	assert_heard(1, "holds too many locks");
	signals_with_a(NULL);
	waits_with_a(NULL);
	assert_heard(2, "closes a cycle");
}
END_TEST

/* Wrong code: tables written beyond their ends; a checker that is blind once one is full. */
START_TEST(too_many_classes_are_said_once) {
	static char keys[2000];
	static struct stile_lock_class late = STILE_LOCK_CLASS("late");
	take_both(&lock_a, &lock_b);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
			check_lock(&keys[i], "key");
			check_unlock(&keys[i]);
		}
		take(&late);
		give(&late);
		give(&late);
	}
	assert_heard(1, "too many classes");
	take_both(&lock_b, &lock_a);
	assert_heard(2, "taking \"lock A\" while holding \"lock B\"");
}
END_TEST

/* Wrong code: the same for the edges. */
START_TEST(too_many_pairs_are_said_once) {
	static char keys[200];
	take_both(&lock_a, &lock_b);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
			check_lock(&keys[i], "key");
			for (size_t j = i + 1; j < ARRAY_LENGTH(keys); j++) {
				check_lock(&keys[j], "key");
				check_unlock(&keys[j]);
			}
			check_unlock(&keys[i]);
		}
	}
	assert_heard(1, "too many pairs");
	take_both(&lock_b, &lock_a);
	assert_heard(2, "taking \"lock A\" while holding \"lock B\"");
}
END_TEST

/* Wrong code: a long cycle beyond the room in the report, or a text without its end. */
START_TEST(long_cycle_is_reported_as_far_as_there_is_room) {
	static char keys[100];
	for (size_t i = 0; i + 1 < ARRAY_LENGTH(keys); i++) {
		check_lock(&keys[i],
			"a key with a rather long name, longer than what is kept of it: 64");
		check_lock(&keys[i + 1],
			"a key with a rather long name, longer than what is kept of it: 64");
		check_unlock(&keys[i + 1]);
		check_unlock(&keys[i]);
	}
	assert_silent();
	check_lock(&keys[ARRAY_LENGTH(keys) - 1], "");
	check_lock(&keys[0], "");
	assert_heard(1, "more) ->");
	check_unlock(&keys[0]);
	check_unlock(&keys[ARRAY_LENGTH(keys) - 1]);
}
END_TEST

/* ---- Many threads --------------------------------------------------------------------------- */

enum { ORDERED = 12, WORKERS = 4, ROUNDS = 3000 };

static struct {
	struct stile_lock_class classes[ORDERED];
	pthread_mutex_t mutexes[ORDERED];
} ordered;

static void ordered_init(void) {
	for (size_t i = 0; i < ORDERED; i++) {
		ordered.classes[i] = (struct stile_lock_class)STILE_LOCK_CLASS("ordered");
		pthread_mutex_init(&ordered.mutexes[i], NULL);
	}
}

/* One of the locks from here on, mostly by a lock, at times by a trylock. */
static bool ordered_take(size_t i, uint64_t how) {
	if (how % 4 != 0) {
		take(&ordered.classes[i]);
		pthread_mutex_lock(&ordered.mutexes[i]);
		return true;
	}
	bool taken = pthread_mutex_trylock(&ordered.mutexes[i]) == 0;
	if (taken) {
		try_take(&ordered.classes[i]);
	}
	return taken;
}

/* The upper half may be taken in sections, the lower half held over waits and allocations. */
static void *ordered_round(void *state) {
	for (int round = 0; round < ROUNDS; round++) {
		bool section = runner_random(state) % 2 == 0;
		uint32_t cookie = section ? stile_signalling_begin() : 0;
		bool taken[ORDERED] = { false };
		for (size_t i = section ? ORDERED / 2 : 0; i < ORDERED; i++) {
			uint64_t chance = runner_random(state);
			if (i == ORDERED / 2 && !section) {
				stile_might_alloc();
				stile_might_wait();
			}
			taken[i] = chance % 2 == 0 && ordered_take(i, chance / 2);
		}
		for (size_t i = 0; i < ORDERED; i++) {
			if (taken[i]) {
				pthread_mutex_unlock(&ordered.mutexes[i]);
				give(&ordered.classes[i]);
			}
		}
		stile_signalling_end(cookie);
	}
	return NULL;
}

/* Wrong code: classes, edges or stacks mixed up by threads that learn at the same time. */
START_TEST(threads_that_keep_to_one_order_are_clean) {
	uint64_t seeds[WORKERS];
	pthread_t threads[WORKERS];
	uint64_t state = runner_seed();
	ordered_init();
	for (size_t i = 0; i < WORKERS; i++) {
		seeds[i] = runner_random(&state);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ordered_round, &seeds[i]), 0);
	}
	for (size_t i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_silent();
	take_both(&ordered.classes[ORDERED - 1], &ordered.classes[0]);
	assert_heard(1, "closes a cycle");
}
END_TEST

static void *takes_a_b(void *barrier) {
	pthread_barrier_wait(barrier);
	take_both(&lock_a, &lock_b);
	return NULL;
}

static void *takes_b_a(void *barrier) {
	pthread_barrier_wait(barrier);
	take_both(&lock_b, &lock_a);
	return NULL;
}

/*
 * Wrong code: both threads look for a cycle before either one's edge is there; a pair that another
 * thread has just reported reported again.
 */
START_TEST(opposite_orders_at_the_same_time_are_reported_once) {
	void *(*const sides[])(void *) = { takes_a_b, takes_b_a, takes_a_b, takes_b_a };
	for (int round = 0; round < 500; round++) {
		check_reset();
		heard.count = 0;
		pthread_barrier_t barrier;
		pthread_barrier_init(&barrier, NULL, ARRAY_LENGTH(sides));
		pthread_t threads[ARRAY_LENGTH(sides)];
		for (size_t i = 0; i < ARRAY_LENGTH(sides); i++) {
			ck_assert_int_eq(pthread_create(&threads[i], NULL, sides[i], &barrier), 0);
		}
		for (size_t i = 0; i < ARRAY_LENGTH(sides); i++) {
			pthread_join(threads[i], NULL);
		}
		pthread_barrier_destroy(&barrier);
		ck_assert_msg(heard.count == 1, "round %d: %d complaints", round, heard.count);
	}
}
END_TEST

/* ---- Fork: in a role, since a plain fork of a test takes Check along ------------------------ */

static atomic_bool stop;

static void *uses_the_mutex(void *unused) {
	while (!stop) {
		stile_check_set_handler(NULL, NULL);
	}
	return unused;
}

static struct stile_lock_class at_fork = STILE_LOCK_CLASS("at fork");

static void fork_takes(void) {
	take_both(&lock_c, &at_fork);
}

static int fork_child(void) {
	/* A child that hangs is ended by this. */
	alarm(20);
	stile_check_set_handler(NULL, NULL);
	take_both(&lock_a, &lock_b);
	return stile_check_is_enabled() ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int forker(void) {
	/* Before the checker's own: runs while the checker has its mutex. */
	if (pthread_atfork(fork_takes, NULL, NULL) != 0) {
		return EXIT_FAILURE;
	}
	stile_check_enable(true);
	pthread_t thread;
	if (pthread_create(&thread, NULL, uses_the_mutex, NULL) != 0) {
		return EXIT_FAILURE;
	}
	int ret = EXIT_SUCCESS;
	for (int round = 0; round < 200 && ret == EXIT_SUCCESS; round++) {
		alarm(20);
		pid_t child = fork();
		if (child == 0) {
			_exit(fork_child());
		}
		ret = child < 0 ? EXIT_FAILURE : runner_reap(child);
	}
	stop = true;
	pthread_join(thread, NULL);
	return ret;
}

/* Wrong code: a child that inherits the mutex locked; locks taken around a fork that need it. */
START_TEST(child_made_at_any_moment_does_not_hang) {
	ck_assert_int_eq(runner_reap(runner_spawn("forker", NULL, 0)), 0);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("check");

	TCase *section = ledger_tcase_create("sections");
	tcase_add_checked_fixture(section, setup, teardown);
	tcase_add_loop_test(
		section, lock_held_over_a_wait_and_taken_in_a_section_is_reported, 0, 4);
	tcase_add_test(section, cycle_is_reported_once);
	tcase_add_test(section, section_without_the_lock_is_clean);
	tcase_add_test(section, wait_with_a_lock_that_no_section_takes_is_clean);
	tcase_add_test(section, wait_inside_a_section_alone_is_clean);
	tcase_add_test(section, wait_inside_a_section_with_a_lock_is_reported);
	tcase_add_test(section, inner_end_does_not_end_the_outer_section);
	tcase_add_test(section, allocation_inside_a_section_is_reported);
	tcase_add_test(section, allocation_outside_a_section_is_clean);
	tcase_add_test(section, allocation_with_a_lock_that_sections_take_is_reported);
	suite_add_tcase(s, section);

	TCase *user = ledger_tcase_create("user space");
	tcase_add_checked_fixture(user, setup_timeline, teardown_timeline);
	tcase_add_test(user, wait_for_a_submission_with_a_lock_is_reported);
	tcase_add_test(user, wait_for_a_submission_in_a_section_is_reported);
	tcase_add_test(user, wait_for_a_submission_with_a_reservation_is_reported);
	tcase_add_test(user, wait_for_a_submission_is_reported_for_each_lock);
	tcase_add_test(user, wait_for_what_is_submitted_is_a_fence_wait);
	tcase_add_test(user, reported_wait_for_a_submission_does_not_spoil_the_order);
	suite_add_tcase(s, user);

	TCase *order = ledger_tcase_create("order");
	tcase_add_checked_fixture(order, setup, teardown);
	tcase_add_test(order, two_locks_in_both_orders_are_reported);
	tcase_add_test(order, three_locks_in_a_ring_are_reported);
	tcase_add_test(order, reported_order_does_not_spoil_the_other_one);
	tcase_add_test(order, every_held_lock_comes_before_the_new_one);
	tcase_add_test(order, trylock_makes_no_edge_into_its_lock);
	tcase_add_test(order, trylock_makes_edges_out_of_its_lock);
	tcase_add_test(order, class_taken_twice_is_reported_as_a_cycle_of_one);
	tcase_add_test(order, locks_may_be_released_in_any_order);
	tcase_add_test(order, release_of_what_is_not_held_is_misuse);
	tcase_add_test(order, section_ended_by_another_thread_is_misuse);
	tcase_add_test(order, fences_nest_from_chain_to_array_to_leaf);
	tcase_add_test(order, two_fences_of_one_kind_may_be_locked_together);
	tcase_add_test(order, lock_of_a_callback_held_over_a_wait_is_reported);
	tcase_add_test(order, name_may_go_after_the_class_is_known);
	suite_add_tcase(s, order);

	TCase *use = ledger_tcase_create("use");
	tcase_add_checked_fixture(use, setup, teardown);
	tcase_add_test(use, switched_off_it_says_nothing);
	tcase_add_test(use, switching_forgets_what_is_held);
	tcase_add_test(use, order_is_kept_while_switched_off);
	tcase_add_test(use, misuse_is_told_with_the_checker_off_too);
	tcase_add_test(use, without_a_handler_complaints_go_to_stderr);
	tcase_add_test(use, handler_runs_without_the_mutex_of_the_checker);
	tcase_add_test(use, too_many_held_locks_are_said_once);
	tcase_add_test(use, too_many_classes_are_said_once);
	tcase_add_test(use, too_many_pairs_are_said_once);
	tcase_add_test(use, long_cycle_is_reported_as_far_as_there_is_room);
	suite_add_tcase(s, use);

	TCase *threads = ledger_tcase_create("threads");
	tcase_add_checked_fixture(threads, setup, teardown);
	tcase_set_timeout(threads, 60);
	tcase_add_test(threads, threads_that_keep_to_one_order_are_clean);
	tcase_add_test(threads, opposite_orders_at_the_same_time_are_reported_once);
	tcase_add_test(threads, child_made_at_any_moment_does_not_hang);
	suite_add_tcase(s, threads);
	return s;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = {
		{ "forker", forker },
		{ NULL, NULL },
	};
	return runner_main(argc, argv, suite, roles);
}
