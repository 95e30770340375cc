/* SPDX-License-Identifier: MIT */
/* Seqno fences: contract section 21, "seqno fence"; DESIGN section 3, "Seqno fence". */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/seqno.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/mail.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

#define GEQUAL STILE_SEQNO_GEQUAL
#define NONZERO STILE_SEQNO_NONZERO
#define MS INT64_C(1000000)
#define HANG (60000 * MS)

static struct stile_device *device;

static void setup(void) {
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
}

static void teardown(void) {
	stile_device_destroy(device);
	device = NULL;
}

/* ---- Words, fences, and how to learn of their ends ----------------------------------------- */

static struct stile_seqno *seqno_create(void) {
	struct stile_seqno *seqno;
	int ret = stile_seqno_create(&seqno);
	runner_require(ret == 0, "create: %d", ret);
	return seqno;
}

static struct stile_buffer *buffer_create(void) {
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = 1 };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	return buffer;
}

/* Where a word may be. */
enum { IN_FILE, IN_BUFFER, PLACES };

static struct stile_seqno *seqno_create_at(int place) {
	if (place == IN_FILE) {
		return seqno_create();
	}
	struct stile_buffer *buffer = buffer_create();
	struct stile_seqno *seqno;
	ck_assert_int_eq(stile_seqno_from_buffer(buffer, 64, &seqno), 0);
	stile_buffer_unref(buffer);
	return seqno;
}

static struct stile_seqno *import(int word_fd, int liveness_fd) {
	struct stile_seqno *seqno;
	int ret = stile_seqno_import_fd(word_fd, liveness_fd, &seqno);
	runner_require(ret == 0, "import: %d", ret);
	return seqno;
}

static struct stile_fence *fence_create(
	struct stile_seqno *seqno, uint32_t value, enum stile_seqno_condition condition) {
	struct stile_fence *fence;
	int ret = stile_seqno_create_fence(seqno, value, condition, &fence);
	runner_require(ret == 0, "a fence: %d", ret);
	return fence;
}

/* All ways to learn of the end: looking, sleeping, and a callback, which the thread runs. */
enum { LOOK, SLEEP, CALLBACK, WAYS };

static int wait_until(struct stile_fence *fence, int way, int64_t deadline_ns) {
	switch (way) {
	case SLEEP:
		return stile_fence_wait(fence, deadline_ns);
	case CALLBACK:
		return stile_fence_wait_any(&fence, 1, deadline_ns, NULL, NULL);
	default:
		return stile_fence_is_signaled(fence) ? 0 : -ETIME;
	}
}

static bool is_done(struct stile_fence *fence, int way) {
	int ret = wait_until(fence, way, runner_clock_ns() + MS);
	runner_require(ret == 0 || ret == -ETIME, "wait: %d", ret);
	return ret == 0;
}

/* What it ends with, some time. */
static int learn(struct stile_fence *fence, int way) {
	int64_t deadline_ns = runner_clock_ns() + HANG;
	int ret;
	while ((ret = wait_until(fence, way, deadline_ns)) == -ETIME &&
		runner_clock_ns() < deadline_ns) {
		runner_sleep_ms(1);
	}
	runner_require(ret == 0, "a fence that should be signalled is not: %d", ret);
	return stile_fence_get_status(fence);
}

/* The memory, as all who share it see it. */
struct shared {
	uint32_t word;
	uint32_t sleepers;
};

static struct shared *shared_map(struct stile_seqno *seqno) {
	int word_fd, liveness_fd;
	ck_assert_int_eq(stile_seqno_export_fd(seqno, &word_fd, &liveness_fd), 0);
	void *shared =
		mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, word_fd, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	close(word_fd);
	close(liveness_fd);
	return shared;
}

static void shared_unmap(struct shared *shared) {
	munmap(shared, sizeof(*shared));
}

static bool count_becomes(const uint32_t *count, uint32_t expected) {
	int64_t deadline_ns = runner_clock_ns() + HANG;
	while (__atomic_load_n(count, __ATOMIC_SEQ_CST) != expected) {
		if (runner_clock_ns() > deadline_ns) {
			return false;
		}
		runner_sleep_ms(1);
	}
	return true;
}

/* ---- When it is done ----------------------------------------------------------------------- */

struct condition_case {
	enum stile_seqno_condition condition;
	uint32_t word, value;
	bool done;
};

/* Wrong code: an unsigned comparison; one at exactly 2^31; a value that matters to NONZERO. */
static const struct condition_case conditions[] = {
	{ GEQUAL, 0, 0, true },
	{ GEQUAL, 0, 1, false },
	{ GEQUAL, 1, 1, true },
	{ GEQUAL, 5, 3, true },
	{ GEQUAL, 3, 5, false },
	{ GEQUAL, 0, 0xffffffff, true },
	{ GEQUAL, 0xffffffff, 0, false },
	{ GEQUAL, 0xffffffff, 0xffffffff, true },
	{ GEQUAL, 0xfffffffe, 0xffffffff, false },
	{ GEQUAL, 0x7fffffff, 0, true },
	{ GEQUAL, 0x80000000, 0, false },
	{ GEQUAL, 0, 0x80000000, false },
	{ GEQUAL, 0x80000000, 1, true },
	{ GEQUAL, 0, 0x80000001, true },
	{ GEQUAL, 0x7fffffff, 0xffffffff, false },
	{ NONZERO, 0, 0, false },
	{ NONZERO, 0, 0xffffffff, false },
	{ NONZERO, 1, 0, true },
	{ NONZERO, 1, 2, true },
	{ NONZERO, 0x80000000, 0, true },
};

START_TEST(condition_decides) {
	const struct condition_case *c = &conditions[_i / (WAYS * PLACES)];
	int way = _i / PLACES % WAYS, place = _i % PLACES;
	struct stile_seqno *seqno = seqno_create_at(place);
	ck_assert_uint_eq(stile_seqno_get_value(seqno), 0);
	stile_seqno_set_value(seqno, c->word);
	ck_assert_uint_eq(stile_seqno_get_value(seqno), c->word);
	struct stile_fence *fence = fence_create(seqno, c->value, c->condition);
	ck_assert_msg(is_done(fence, way) == c->done, "condition %d, word %#x, value %#x, way %d",
		(int)c->condition, c->word, c->value, way);
	ck_assert_int_eq(stile_fence_get_status(fence), c->done ? 1 : 0);
	stile_fence_unref(fence);
	stile_seqno_unref(seqno);
}
END_TEST

/* Wrong code: a wrap-around, or a reset, that revives a fence. */
START_TEST(end_is_for_ever) {
	struct stile_seqno *seqno = seqno_create_at(_i % PLACES);
	struct stile_fence *geq = fence_create(seqno, 1, GEQUAL);
	struct stile_fence *nonzero = fence_create(seqno, 0, NONZERO);
	stile_seqno_set_value(seqno, 1);
	ck_assert_int_eq(learn(geq, _i / PLACES), 1);
	ck_assert_int_eq(learn(nonzero, _i / PLACES), 1);
	int64_t timestamp_ns = stile_fence_get_timestamp(geq);
	static const uint32_t later[] = { 0, 0x80000002, 0xffffffff, 0 };
	for (size_t i = 0; i < ARRAY_LENGTH(later); i++) {
		stile_seqno_set_value(seqno, later[i]);
		ck_assert_int_eq(stile_fence_get_status(geq), 1);
		ck_assert_int_eq(stile_fence_get_status(nonzero), 1);
	}
	ck_assert_int_eq(stile_fence_get_timestamp(geq), timestamp_ns);
	stile_fence_unref(geq);
	stile_fence_unref(nonzero);
	stile_seqno_unref(seqno);
}
END_TEST

/*
 * F-25. Wrong code: a NONZERO fence in the order of the values, where a merge would drop one for
 * the other; values compared as 64 bits.
 */
START_TEST(order_is_by_value_and_of_gequal_only) {
	struct stile_seqno *seqno = seqno_create();
	struct stile_fence *first = fence_create(seqno, 0xffffffff, GEQUAL);
	struct stile_fence *second = fence_create(seqno, 1, GEQUAL);
	struct stile_fence *nonzero[2] = { fence_create(seqno, 2, NONZERO),
		fence_create(seqno, 2, NONZERO) };
	ck_assert_uint_eq(stile_fence_get_context(first), stile_fence_get_context(second));
	ck_assert(stile_fence_is_later(second, first));
	ck_assert(!stile_fence_is_later(first, second));
	ck_assert_uint_ne(stile_fence_get_context(first), stile_fence_get_context(nonzero[0]));
	ck_assert_uint_ne(stile_fence_get_context(nonzero[0]), stile_fence_get_context(nonzero[1]));
	stile_fence_unref(first);
	stile_fence_unref(second);
	stile_fence_unref(nonzero[0]);
	stile_fence_unref(nonzero[1]);
	stile_seqno_unref(seqno);
}
END_TEST

/* Wrong code: a fence that a kernel reservation would take; the importer as the owner. */
START_TEST(fence_depends_on_a_program_and_names_it) {
	struct stile_seqno *seqno = seqno_create_at(_i);
	struct stile_fence *fence = fence_create(seqno, 1, GEQUAL);
	ck_assert(stile_fence_is_user(fence));
	ck_assert_int_eq(stile_fence_get_owner(fence), _i == IN_FILE ? getpid() : 0);
	int64_t left_ns = stile_fence_get_expiry(fence) - runner_clock_ns();
	ck_assert_int_gt(left_ns, 0);
	ck_assert_int_le(left_ns, 10000 * MS);
	ck_assert_str_eq(stile_fence_get_driver_name(fence), "seqno");
	ck_assert_str_eq(stile_fence_get_timeline_name(fence), _i == IN_FILE ? "memfd" : "buffer");
	stile_fence_unref(fence);
	stile_seqno_unref(seqno);
}
END_TEST

/* Wrong code: a sleep, or a thread, that only the word ends. */
START_TEST(expiry_ends_it) {
	struct stile_seqno *seqno = seqno_create_at(_i % PLACES);
	struct stile_fence *fence = fence_create(seqno, 1, GEQUAL);
	int64_t expiry_ns = runner_clock_ns() + 20 * MS;
	ck_assert_int_eq(stile_fence_set_expiry(fence, expiry_ns), 0);
	ck_assert_int_eq(learn(fence, _i / PLACES), -ETIMEDOUT);
	ck_assert_int_ge(runner_clock_ns(), expiry_ns);
	stile_fence_unref(fence);
	stile_seqno_unref(seqno);
}
END_TEST

/* F-15. Wrong code: a deadline rounded up to a slice, or taken for the expiry. */
START_TEST(deadline_passes_and_the_fence_stays_pending) {
	struct stile_seqno *seqno = seqno_create_at(_i);
	struct stile_fence *fence = fence_create(seqno, 1, GEQUAL);
	ck_assert_int_eq(stile_fence_wait(fence, 0), -ETIME);
	ck_assert_int_eq(stile_fence_wait(fence, 1), -ETIME);
	int64_t deadline_ns = runner_clock_ns() + 5 * MS;
	ck_assert_int_eq(stile_fence_wait(fence, deadline_ns), -ETIME);
	ck_assert_int_ge(runner_clock_ns(), deadline_ns);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	stile_seqno_set_value(seqno, 1);
	ck_assert_int_eq(learn(fence, SLEEP), 1);
	stile_fence_unref(fence);
	stile_seqno_unref(seqno);
}
END_TEST

/* ---- Who sleeps, and who is woken ---------------------------------------------------------- */

struct sleeper {
	pthread_t thread;
	struct stile_fence *fence;
	int way;
	int ret;
};

static void *sleeper_run(void *arg) {
	struct sleeper *sleeper = arg;
	sleeper->ret = wait_until(sleeper->fence, sleeper->way, runner_clock_ns() + HANG);
	return NULL;
}

static void sleeper_start(struct sleeper *sleeper, struct stile_fence *fence, int way) {
	*sleeper = (struct sleeper){ .fence = fence, .way = way, .ret = 1 };
	ck_assert_int_eq(pthread_create(&sleeper->thread, NULL, sleeper_run, sleeper), 0);
}

static int sleeper_join(struct sleeper *sleeper) {
	pthread_join(sleeper->thread, NULL);
	return sleeper->ret;
}

/* Wrong code: somebody not counted in, who is never woken; not counted out. */
START_TEST(sleepers_are_counted) {
	struct stile_seqno *seqno = seqno_create();
	struct shared *shared = shared_map(seqno);
	struct stile_fence *fence = fence_create(seqno, 7, GEQUAL);
	struct sleeper sleepers[4];
	ck_assert_uint_eq(shared->sleepers, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(sleepers); i++) {
		sleeper_start(&sleepers[i], fence, i % 2 == 0 ? SLEEP : CALLBACK);
	}
	/* At least the two that sleep; the thread that serves the callbacks is another. */
	int64_t deadline_ns = runner_clock_ns() + HANG;
	while (__atomic_load_n(&shared->sleepers, __ATOMIC_SEQ_CST) < 3) {
		ck_assert_int_lt(runner_clock_ns(), deadline_ns);
		runner_sleep_ms(1);
	}
	stile_seqno_set_value(seqno, 7);
	for (size_t i = 0; i < ARRAY_LENGTH(sleepers); i++) {
		ck_assert_int_eq(sleeper_join(&sleepers[i]), 0);
	}
	ck_assert(count_becomes(&shared->sleepers, 0));
	stile_fence_unref(fence);
	shared_unmap(shared);
	stile_seqno_unref(seqno);
}
END_TEST

struct raw_sleeper {
	struct shared *shared;
	atomic_int thread;
	int ret; /* 0: woken */
};

/* Sleeps on the word and counts as nobody. */
static void *raw_sleeper_run(void *arg) {
	struct raw_sleeper *self = arg;
	struct timespec limit = { .tv_nsec = 300 * MS };
	atomic_store(&self->thread, (int)syscall(SYS_gettid));
	long ret = syscall(SYS_futex, &self->shared->word, FUTEX_WAIT, 0, &limit, NULL, 0);
	self->ret = ret == 0 ? 0 : errno;
	return NULL;
}

/* Is the thread inside its system call? */
static bool is_asleep(int thread) {
	char path[64], text[32] = "";
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", thread);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 && strtol(text, NULL, 10) == SYS_futex;
}

/* Wrong code: a system call where nobody sleeps, none where somebody does, a private wake-up. */
START_TEST(set_wakes_exactly_if_somebody_counts) {
	struct stile_seqno *seqno = seqno_create();
	struct raw_sleeper sleeper = { .shared = shared_map(seqno), .ret = -1 };
	uint32_t counted = _i == 0 ? 0 : 1;
	__atomic_store_n(&sleeper.shared->sleepers, counted, __ATOMIC_SEQ_CST);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, raw_sleeper_run, &sleeper), 0);
	int64_t deadline_ns = runner_clock_ns() + 200 * MS;
	while (!is_asleep(atomic_load(&sleeper.thread)) && runner_clock_ns() < deadline_ns) {
		runner_sleep_ms(1);
	}
	stile_seqno_set_value(seqno, 1);
	pthread_join(thread, NULL);
	/* EAGAIN: the machine was too slow, it came too late to sleep. */
	if (sleeper.ret != EAGAIN) {
		ck_assert_int_eq(sleeper.ret, counted != 0 ? 0 : ETIMEDOUT);
	}
	ck_assert_uint_eq(sleeper.shared->sleepers, counted);
	shared_unmap(sleeper.shared);
	stile_seqno_unref(seqno);
}
END_TEST

/* Wrong code: an end that does not come by the word is noticed never. */
START_TEST(sleep_notices_that_somebody_else_signalled) {
	struct stile_seqno *seqno = seqno_create_at(_i);
	struct stile_fence *fence = fence_create(seqno, 1, GEQUAL);
	ck_assert_int_eq(stile_fence_set_expiry(fence, INT64_MAX), 0);
	int64_t start_ns = runner_clock_ns();
	struct sleeper sleeper;
	sleeper_start(&sleeper, fence, SLEEP);
	runner_sleep_ms(5);
	stile_fence_set_error(fence, -ECANCELED);
	stile_fence_signal(fence);
	ck_assert_int_eq(sleeper_join(&sleeper), 0);
	/* Not at the deadline. */
	ck_assert_int_lt(runner_clock_ns() - start_ns, HANG / 2);
	ck_assert_int_eq(stile_fence_get_status(fence), -ECANCELED);
	stile_fence_unref(fence);
	stile_seqno_unref(seqno);
}
END_TEST

struct raiser {
	struct stile_seqno *seqno;
	uint32_t to;
};

static void *raiser_run(void *arg) {
	const struct raiser *raiser = arg;
	for (uint32_t value = 1; value <= raiser->to; value++) {
		runner_sleep_ms(value % 4);
		stile_seqno_set_value(raiser->seqno, value);
	}
	return NULL;
}

/* Wrong code: a back-off that stops looking; a new fence that a resting thread does not see. */
START_TEST(every_step_of_the_word_is_noticed) {
	enum { STEPS = 50 };
	struct stile_seqno *seqno = seqno_create_at(_i % PLACES);
	struct raiser raiser = { seqno, STEPS };
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, raiser_run, &raiser), 0);
	for (uint32_t value = 1; value <= STEPS; value++) {
		struct stile_fence *fence = fence_create(seqno, value, GEQUAL);
		ck_assert_int_eq(learn(fence, _i / PLACES), 1);
		ck_assert_uint_ge(stile_seqno_get_value(seqno), value);
		stile_fence_unref(fence);
	}
	pthread_join(thread, NULL);
	stile_seqno_unref(seqno);
}
END_TEST

/* ---- Callbacks ----------------------------------------------------------------------------- */

struct counted {
	struct stile_callback callback;
	atomic_int runs;
	atomic_int *order;
	int place;
};

static void counted_run(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct counted *counted = CONTAINER_OF(callback, struct counted, callback);
	if (counted->order != NULL) {
		counted->place = atomic_fetch_add(counted->order, 1);
	}
	atomic_fetch_add(&counted->runs, 1);
}

static bool runs_once(struct counted *counted) {
	int64_t deadline_ns = runner_clock_ns() + HANG;
	while (atomic_load(&counted->runs) == 0 && runner_clock_ns() < deadline_ns) {
		runner_sleep_ms(1);
	}
	return atomic_load(&counted->runs) == 1;
}

/*
 * F-25. Wrong code: a thread that stops after the first; fences that are lost; one that overtakes
 * another since it was measured by a later word.
 */
START_TEST(one_store_ends_all_that_it_reaches) {
	enum { COUNT = 200 };
	static struct counted counted[COUNT];
	struct stile_fence *fences[COUNT];
	struct stile_seqno *seqno = seqno_create_at(_i);
	atomic_int order = 0;
	for (uint32_t i = 0; i < COUNT; i++) {
		fences[i] = fence_create(seqno, i + 1, GEQUAL);
		counted[i] = (struct counted){ .order = &order, .place = -1 };
		ck_assert_int_eq(
			stile_fence_add_callback(fences[i], &counted[i].callback, counted_run), 0);
	}
	stile_seqno_set_value(seqno, COUNT / 2);
	ck_assert(runs_once(&counted[COUNT / 2 - 1]));
	ck_assert_int_eq(stile_fence_get_status(fences[COUNT / 2]), 0);
	stile_seqno_set_value(seqno, COUNT);
	for (int i = 0; i < COUNT; i++) {
		ck_assert(runs_once(&counted[i]));
		ck_assert_int_eq(counted[i].place, i);
		ck_assert_int_eq(learn(fences[i], LOOK), 1);
		stile_fence_unref(fences[i]);
	}
	stile_seqno_unref(seqno);
}
END_TEST

/* F-7. Wrong code: a callback queued on a fence that the word has ended: nobody looks again. */
START_TEST(callback_after_the_store_is_refused) {
	struct stile_seqno *seqno = seqno_create_at(_i);
	struct stile_fence *fence = fence_create(seqno, 1, GEQUAL);
	stile_seqno_set_value(seqno, 1);
	struct counted counted = { 0 };
	ck_assert_int_eq(stile_fence_add_callback(fence, &counted.callback, counted_run), -ENOENT);
	ck_assert_int_eq(atomic_load(&counted.runs), 0);
	stile_fence_unref(fence);
	stile_seqno_unref(seqno);
}
END_TEST

/* Wrong code: the thread keeps the fence, the object or itself; the ledger sees the last. */
START_TEST(fence_may_go_while_it_is_watched) {
	struct stile_seqno *seqno = seqno_create_at(_i % PLACES);
	for (int round = 0; round < 100; round++) {
		struct stile_fence *fence = fence_create(seqno, 1000, GEQUAL);
		stile_fence_enable_signaling(fence);
		if (round % 3 == 0) {
			stile_seqno_set_value(seqno, (uint32_t)round);
		}
		stile_fence_unref(fence);
	}
	struct stile_fence *last = fence_create(seqno, 1000, GEQUAL);
	stile_fence_enable_signaling(last);
	if (_i < PLACES) {
		stile_fence_unref(last);
		stile_seqno_unref(seqno);
	} else {
		stile_seqno_unref(seqno);
		stile_fence_unref(last);
	}
}
END_TEST

/* Wrong code: a pending fence whose word is unmapped. */
START_TEST(fence_keeps_the_word) {
	struct stile_seqno *seqno = seqno_create();
	struct shared *shared = shared_map(seqno);
	struct stile_fence *fence = fence_create(seqno, 1, GEQUAL);
	ck_assert_ptr_eq(stile_seqno_ref(seqno), seqno);
	stile_seqno_unref(seqno);
	stile_seqno_unref(seqno);
	ck_assert(!is_done(fence, _i));
	__atomic_store_n(&shared->word, 1, __ATOMIC_SEQ_CST);
	ck_assert_int_eq(learn(fence, _i), 1);
	stile_fence_unref(fence);
	shared_unmap(shared);
	stile_seqno_unref(NULL);
}
END_TEST

struct dropping {
	struct stile_callback callback;
	atomic_bool dropped;
};

static void dropping_run(struct stile_fence *fence, struct stile_callback *callback) {
	struct dropping *dropping = CONTAINER_OF(callback, struct dropping, callback);
	stile_fence_unref(fence);
	atomic_store(&dropping->dropped, true);
}

/* Wrong code: the thread joins itself, or frees what it stands on. */
START_TEST(last_reference_may_go_on_the_thread) {
	struct stile_seqno *seqno = seqno_create_at(_i);
	struct stile_fence *fence = fence_create(seqno, 1, GEQUAL);
	static struct dropping dropping;
	atomic_store(&dropping.dropped, false);
	ck_assert_int_eq(stile_fence_add_callback(fence, &dropping.callback, dropping_run), 0);
	struct stile_seqno *raise = stile_seqno_ref(seqno);
	stile_seqno_unref(seqno);
	stile_seqno_set_value(raise, 1);
	stile_seqno_unref(raise);
	int64_t deadline_ns = runner_clock_ns() + HANG;
	while (!atomic_load(&dropping.dropped)) {
		ck_assert_int_lt(runner_clock_ns(), deadline_ns);
		runner_sleep_ms(1);
	}
}
END_TEST

/* Wrong code: a thread that went for want of work and is believed to be there. */
START_TEST(thread_comes_again_after_a_rest) {
	struct stile_seqno *seqno = seqno_create_at(_i);
	static const unsigned rests_ms[] = { 0, 20, 49, 50, 51, 120 };
	for (uint32_t i = 0; i < ARRAY_LENGTH(rests_ms); i++) {
		struct stile_fence *fence = fence_create(seqno, i + 1, GEQUAL);
		struct counted counted = { 0 };
		ck_assert_int_eq(
			stile_fence_add_callback(fence, &counted.callback, counted_run), 0);
		stile_seqno_set_value(seqno, i + 1);
		ck_assert(runs_once(&counted));
		stile_fence_lock(fence);
		stile_fence_unlock(fence);
		stile_fence_unref(fence);
		runner_sleep_ms(rests_ms[i]);
	}
	stile_seqno_unref(seqno);
}
END_TEST

/* ---- Descriptors --------------------------------------------------------------------------- */

/* Wrong code: descriptors consumed, inherited by programs, or of another word. */
START_TEST(import_shares_the_word_and_borrows) {
	struct stile_seqno *seqno = seqno_create();
	int word_fd, liveness_fd;
	ck_assert_int_eq(stile_seqno_export_fd(seqno, &word_fd, &liveness_fd), 0);
	ck_assert_int_eq(fcntl(word_fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(liveness_fd, F_GETFD), FD_CLOEXEC);
	struct stile_seqno *copy = import(word_fd, _i == 0 ? liveness_fd : -1);
	ck_assert_int_eq(close(word_fd), 0);
	ck_assert_int_eq(close(liveness_fd), 0);
	struct stile_fence *fence = fence_create(copy, 3, GEQUAL);
	ck_assert_int_eq(stile_fence_get_owner(fence), _i == 0 ? getpid() : 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	stile_seqno_set_value(seqno, 3);
	ck_assert_uint_eq(stile_seqno_get_value(copy), 3);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	stile_seqno_set_value(copy, 4);
	ck_assert_uint_eq(stile_seqno_get_value(seqno), 4);
	stile_fence_unref(fence);
	stile_seqno_unref(copy);
	stile_seqno_unref(seqno);
}
END_TEST

/* Wrong code: an import that cannot be passed on, or pretends to be the producer. */
START_TEST(imported_word_can_be_passed_on) {
	struct stile_seqno *seqno = seqno_create();
	int word_fd, liveness_fd, second_fd, second_liveness_fd;
	ck_assert_int_eq(stile_seqno_export_fd(seqno, &word_fd, &liveness_fd), 0);
	struct stile_seqno *middle = import(word_fd, _i == 0 ? liveness_fd : -1);
	ck_assert_int_eq(stile_seqno_export_fd(middle, &second_fd, &second_liveness_fd), 0);
	ck_assert_int_eq(second_liveness_fd == -1, _i != 0);
	struct stile_seqno *last = import(second_fd, second_liveness_fd);
	stile_seqno_unref(middle);
	struct stile_fence *fence = fence_create(last, 1, NONZERO);
	ck_assert(!is_done(fence, SLEEP));
	stile_seqno_unref(seqno);
	if (_i == 0) {
		ck_assert_int_eq(learn(fence, SLEEP), -EOWNERDEAD);
	} else {
		ck_assert(!is_done(fence, SLEEP));
	}
	stile_fence_unref(fence);
	stile_seqno_unref(last);
	close(word_fd);
	close(liveness_fd);
	close(second_fd);
	if (second_liveness_fd >= 0) {
		close(second_liveness_fd);
	}
}
END_TEST

enum { SEALS = F_SEAL_SHRINK };

static int open_closed(void) {
	return memory_closed_fd();
}

static int open_null(void) {
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int open_socket(void) {
	int ends[2];
	mail_pair(ends);
	close(ends[1]);
	return ends[0];
}

static int open_stream(void) {
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	close(ends[1]);
	return ends[0];
}

static int open_unsealed(void) {
	return memory_create(4096, 0);
}

static int open_empty(void) {
	return memory_create(0, SEALS);
}

static int open_short(void) {
	return memory_create(7, SEALS);
}

static int open_small(void) {
	return memory_create(8, SEALS);
}

static int open_good(void) {
	return memory_create(4096, SEALS);
}

static int open_mode(int flags, int seals) {
	int fd = memory_create(4096, SEALS | seals);
	int again = memory_reopen(fd, flags);
	close(fd);
	return again;
}

static int open_read_only(void) {
	return open_mode(O_RDONLY, 0);
}

static int open_write_only(void) {
	return open_mode(O_WRONLY, 0);
}

static int open_path(void) {
	return open_mode(O_PATH, 0);
}

static int open_write_sealed(void) {
	return open_mode(O_RDWR, F_SEAL_WRITE);
}

struct import_case {
	const char *what;
	int (*open)(void);
	int ret;
};

/* Wrong code: each check left out: SIGBUS, a fault in set_value, sleepers not counted. */
static const struct import_case words[] = {
	{ "a closed descriptor", open_closed, -EBADF },
	{ "O_PATH", open_path, -EBADF },
	{ "/dev/null", open_null, -EINVAL },
	{ "a socket", open_socket, -EINVAL },
	{ "memory that can shrink", open_unsealed, -EPERM },
	{ "read-only memory", open_read_only, -EACCES },
	{ "write-only memory", open_write_only, -EACCES },
	{ "memory sealed against writing", open_write_sealed, -EACCES },
	{ "no memory", open_empty, -ERANGE },
	{ "seven bytes", open_short, -ERANGE },
	{ "eight bytes", open_small, 0 },
	{ "a page", open_good, 0 },
};

START_TEST(import_checks_the_memory) {
	const struct import_case *c = &words[_i];
	int fd = c->open();
	struct stile_seqno *seqno = (struct stile_seqno *)(void *)&device;
	int ret = stile_seqno_import_fd(fd, -1, &seqno);
	ck_assert_msg(ret == c->ret, "%s: %d instead of %d", c->what, ret, c->ret);
	ck_assert_int_eq(seqno == NULL, ret < 0);
	if (ret == 0) {
		stile_seqno_set_value(seqno, 5);
		ck_assert_uint_eq(stile_seqno_get_value(seqno), 5);
	}
	stile_seqno_unref(seqno);
	if (c->open != open_closed) {
		ck_assert_int_eq(close(fd), 0);
	}
}
END_TEST

/* Wrong code: something that never hangs up, or always does, as the sign of life. */
static const struct import_case lives[] = {
	{ "a closed descriptor", open_closed, -EBADF },
	{ "/dev/null", open_null, -EINVAL },
	{ "a memory file", open_good, -EINVAL },
	{ "a stream socket", open_stream, -EINVAL },
	{ "a socket whose other end has gone", open_socket, 0 },
};

START_TEST(import_checks_the_sign_of_life) {
	const struct import_case *c = &lives[_i];
	int fd = c->open(), word_fd = open_good();
	struct stile_seqno *seqno;
	int ret = stile_seqno_import_fd(word_fd, fd, &seqno);
	ck_assert_msg(ret == c->ret, "%s: %d instead of %d", c->what, ret, c->ret);
	ck_assert_int_eq(seqno == NULL, ret < 0);
	if (ret == 0) {
		struct stile_fence *fence = fence_create(seqno, 1, GEQUAL);
		ck_assert_int_eq(stile_fence_get_status(fence), -EOWNERDEAD);
		stile_fence_unref(fence);
	}
	stile_seqno_unref(seqno);
	close(word_fd);
	if (c->open != open_closed) {
		ck_assert_int_eq(close(fd), 0);
	}
}
END_TEST

/* Wrong code: a negative number taken for "none". */
START_TEST(only_minus_one_means_no_sign_of_life) {
	int word_fd = open_good();
	struct stile_seqno *seqno;
	ck_assert_int_eq(stile_seqno_import_fd(word_fd, -2, &seqno), -EBADF);
	ck_assert_int_eq(stile_seqno_import_fd(-1, -1, &seqno), -EBADF);
	ck_assert_ptr_null(seqno);
	close(word_fd);
}
END_TEST

struct offset_case {
	uint64_t offset;
	int ret;
};

/* Wrong code: a sum that wraps around; a word that sticks out. */
static const struct offset_case offsets[] = {
	{ 0, 0 },
	{ 4, 0 },
	{ 4092, 0 },
	{ 1, -EINVAL },
	{ 2, -EINVAL },
	{ 4094, -EINVAL },
	{ 4096, -ERANGE },
	{ UINT64_MAX - 3, -ERANGE },
	{ UINT64_MAX, -EINVAL },
};

START_TEST(word_has_to_be_inside_the_buffer) {
	const struct offset_case *c = &offsets[_i];
	struct stile_buffer *buffer = buffer_create();
	struct stile_seqno *seqno;
	ck_assert_uint_eq(stile_buffer_get_bytes(buffer), 4096);
	int ret = stile_seqno_from_buffer(buffer, c->offset, &seqno);
	ck_assert_msg(ret == c->ret, "%#llx: %d", (unsigned long long)c->offset, ret);
	ck_assert_int_eq(seqno == NULL, ret < 0);
	if (ret == 0) {
		void *address;
		ck_assert_int_eq(stile_buffer_mmap(buffer, STILE_USAGE_READ, &address), 0);
		stile_seqno_set_value(seqno, 0x12345678);
		ck_assert_uint_eq(((const uint32_t *)address)[c->offset / 4], 0x12345678);
		stile_buffer_munmap(buffer, address);
	}
	stile_seqno_unref(seqno);
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: a difference of sizes that wraps around, so that other memory is read and written. */
START_TEST(buffer_of_less_than_a_word_is_erange) {
	int fd = memory_create(2, SEALS);
	struct stile_buffer *buffer;
	struct stile_seqno *seqno;
	ck_assert_int_eq(stile_buffer_import_fd(
				 device, fd, STILE_USAGE_READ | STILE_USAGE_WRITE, NULL, &buffer),
		0);
	ck_assert_int_eq(stile_seqno_from_buffer(buffer, _i == 0 ? 0 : 1 << 20, &seqno), -ERANGE);
	ck_assert_ptr_null(seqno);
	stile_buffer_unref(buffer);
	close(fd);
}
END_TEST

/* Wrong code: a store into memory that cannot be written. */
START_TEST(read_only_buffer_is_eacces) {
	int fd = open_read_only();
	struct stile_buffer *buffer;
	struct stile_seqno *seqno;
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, STILE_USAGE_READ, NULL, &buffer), 0);
	ck_assert_int_eq(stile_seqno_from_buffer(buffer, 0, &seqno), -EACCES);
	ck_assert_ptr_null(seqno);
	stile_buffer_unref(buffer);
	close(fd);
}
END_TEST

START_TEST(word_of_a_buffer_is_not_exported) {
	struct stile_seqno *seqno = seqno_create_at(IN_BUFFER);
	int word_fd = 0, liveness_fd = 0;
	ck_assert_int_eq(stile_seqno_export_fd(seqno, &word_fd, &liveness_fd), -EINVAL);
	ck_assert_int_eq(word_fd, -1);
	ck_assert_int_eq(liveness_fd, -1);
	stile_seqno_unref(seqno);
}
END_TEST

START_TEST(unknown_condition_is_einval) {
	struct stile_seqno *seqno = seqno_create();
	struct stile_fence *fence = (struct stile_fence *)(void *)&device;
	ck_assert_int_eq(
		stile_seqno_create_fence(seqno, 1, (enum stile_seqno_condition)(_i * 3), &fence),
		-EINVAL);
	ck_assert_ptr_null(fence);
	stile_seqno_unref(seqno);
}
END_TEST

/* ---- Want of memory and the like ----------------------------------------------------------- */

struct attempt {
	struct stile_seqno *seqno, *out;
	struct stile_buffer *buffer;
	struct stile_fence *fence;
	int word_fd, liveness_fd, out_fd, out_liveness_fd;
};

static int attempt_create(void *user) {
	struct attempt *attempt = user;
	return stile_seqno_create(&attempt->out);
}

static int attempt_import(void *user) {
	struct attempt *attempt = user;
	return stile_seqno_import_fd(attempt->word_fd, attempt->liveness_fd, &attempt->out);
}

static int attempt_buffer(void *user) {
	struct attempt *attempt = user;
	return stile_seqno_from_buffer(attempt->buffer, 0, &attempt->out);
}

static int attempt_export(void *user) {
	struct attempt *attempt = user;
	return stile_seqno_export_fd(attempt->seqno, &attempt->out_fd, &attempt->out_liveness_fd);
}

static int attempt_fence(void *user) {
	struct attempt *attempt = user;
	return stile_seqno_create_fence(attempt->seqno, 1, GEQUAL, &attempt->fence);
}

static void attempt_undo(void *user, int ret) {
	struct attempt *attempt = user;
	if (ret < 0) {
		ck_assert_ptr_null(attempt->out);
		ck_assert_ptr_null(attempt->fence);
		ck_assert_int_eq(attempt->out_fd, -1);
		ck_assert_int_eq(attempt->out_liveness_fd, -1);
	}
	stile_seqno_unref(attempt->out);
	stile_fence_unref(attempt->fence);
	if (attempt->out_fd >= 0) {
		close(attempt->out_fd);
		close(attempt->out_liveness_fd);
	}
	attempt->out = NULL;
	attempt->fence = NULL;
	attempt->out_fd = -1;
	attempt->out_liveness_fd = -1;
}

struct sweep {
	int (*attempt)(void *user);
	unsigned calls; /* at least so many can fail */
};

/* Wrong code: a descriptor, a mapping or memory left behind by any step that fails. */
static const struct sweep sweeps[] = {
	{ attempt_create, 5 },
	{ attempt_import, 4 },
	{ attempt_buffer, 2 },
	{ attempt_export, 2 },
	{ attempt_fence, 1 },
};

START_TEST(whatever_fails_leaves_nothing_behind) {
	static const int errors[] = { -ENOMEM, -EMFILE, 0 };
	struct attempt attempt = { .out_fd = -1, .out_liveness_fd = -1 };
	attempt.seqno = seqno_create();
	attempt.buffer = buffer_create();
	ck_assert_int_eq(
		stile_seqno_export_fd(attempt.seqno, &attempt.word_fd, &attempt.liveness_fd), 0);
	unsigned calls = failing_sweep(sweeps[_i].attempt, attempt_undo, &attempt, errors);
	ck_assert_uint_ge(calls, sweeps[_i].calls);
	stile_seqno_unref(attempt.seqno);
	stile_buffer_unref(attempt.buffer);
	close(attempt.word_fd);
	close(attempt.liveness_fd);
}
END_TEST

/* Wrong code: a callback that waits for a thread that could not be had; success instead. */
START_TEST(no_thread_is_an_error_and_no_success) {
	struct stile_seqno *seqno = seqno_create_at(_i);
	struct stile_fence *fence = fence_create(seqno, 1, GEQUAL);
	failing_begin(1);
	stile_fence_enable_signaling(fence);
	ck_assert_str_eq(failing_end(), "pthread_create");
	ck_assert_int_eq(stile_fence_get_status(fence), -EAGAIN);
	stile_fence_unref(fence);
	fence = fence_create(seqno, 1, GEQUAL);
	stile_seqno_set_value(seqno, 1);
	ck_assert_int_eq(learn(fence, CALLBACK), 1);
	stile_fence_unref(fence);
	stile_seqno_unref(seqno);
}
END_TEST

/* Wrong code: who waits for all of one has a thread watch as well, which is woken for each frame. */
START_TEST(wait_for_all_of_one_needs_no_thread) {
	struct stile_seqno *seqno = seqno_create_at(_i);
	struct stile_fence *fence = fence_create(seqno, 1, GEQUAL);
	failing_begin(1);
	int ret = stile_fence_wait_all(&fence, 1, runner_clock_ns() + MS, NULL);
	ck_assert_ptr_null(failing_end());
	ck_assert_int_eq(ret, -ETIME);
	stile_seqno_set_value(seqno, 1);
	ck_assert_int_eq(stile_fence_wait_all(&fence, 1, INT64_MAX, NULL), 0);
	stile_fence_unref(fence);
	stile_seqno_unref(seqno);
}
END_TEST

/* ---- Another process ----------------------------------------------------------------------- */

/*
 * The producer: gives its word, then does what it hears: '+' raises the word, 'f' forks a child
 * that stays, 'd' drops the object. It ends as soon as nobody talks to it any more.
 */
static int producer(void) {
	int socket = RUNNER_FIRST_FD, fds[2];
	struct stile_seqno *seqno = seqno_create();
	int ret = stile_seqno_export_fd(seqno, &fds[0], &fds[1]);
	runner_require(ret == 0, "export: %d", ret);
	mail_send(socket, "x", 1, fds, 2);
	close(fds[0]);
	close(fds[1]);
	for (char what = mail_hear(socket); what != '\0'; what = mail_hear(socket)) {
		if (what == '+') {
			stile_seqno_set_value(seqno, stile_seqno_get_value(seqno) + 1);
		} else if (what == 'd') {
			stile_seqno_unref(seqno);
			seqno = NULL;
		} else if (what == 'f' && fork() == 0) {
			mail_tell(socket, '.');
			while (!plain_fd_is_readable(socket) || mail_hear(socket) != '\0') {
				runner_sleep_ms(1);
			}
			_exit(0);
		}
		if (what != 'f') {
			mail_tell(socket, '.');
		}
	}
	stile_seqno_unref(seqno);
	return 0;
}

struct peer {
	pid_t pid;
	int socket;
	struct stile_seqno *seqno; /* what it gave */
};

static struct peer peer_start(void) {
	struct peer peer;
	int ends[2], fds[2];
	char byte;
	mail_pair(ends);
	peer.pid = runner_spawn("producer", &ends[1], 1);
	close(ends[1]);
	peer.socket = ends[0];
	ck_assert_int_eq(mail_receive(peer.socket, &byte, 1, fds, 2), 1);
	peer.seqno = import(fds[0], fds[1]);
	close(fds[0]);
	close(fds[1]);
	return peer;
}

static void peer_tell(const struct peer *peer, char what) {
	mail_tell(peer->socket, what);
	ck_assert_int_eq(mail_hear(peer->socket), '.');
}

static void peer_kill(struct peer *peer) {
	ck_assert_int_eq(kill(peer->pid, SIGKILL), 0);
	ck_assert_int_eq(runner_reap(peer->pid), -SIGKILL);
	peer->pid = 0;
}

static void peer_end(struct peer *peer) {
	stile_seqno_unref(peer->seqno);
	close(peer->socket);
	if (peer->pid != 0) {
		ck_assert_int_eq(runner_reap(peer->pid), 0);
	}
}

/* Wrong code: a wake-up for this process only; a store that others do not see. */
START_TEST(store_of_another_process_ends_it) {
	struct peer peer = peer_start();
	struct stile_fence *fence = fence_create(peer.seqno, 1, GEQUAL);
	ck_assert_int_eq(stile_fence_get_owner(fence), peer.pid);
	struct sleeper sleeper;
	sleeper_start(&sleeper, fence, _i);
	ck_assert(_i == LOOK || !is_done(fence, _i));
	peer_tell(&peer, '+');
	int ret = sleeper_join(&sleeper);
	ck_assert(_i == LOOK || ret == 0);
	ck_assert_int_eq(learn(fence, _i), 1);
	stile_fence_unref(fence);
	peer_end(&peer);
}
END_TEST

/* Wrong code: waiting for a dead process until the expiry; its death taken for success. */
START_TEST(death_of_the_producer_is_eownerdead) {
	struct peer peer = peer_start();
	struct stile_fence *fence = fence_create(peer.seqno, 2, GEQUAL);
	peer_tell(&peer, '+');
	ck_assert(!is_done(fence, _i));
	struct sleeper sleeper;
	struct counted counted = { 0 };
	if (_i == SLEEP) {
		sleeper_start(&sleeper, fence, SLEEP);
	} else if (_i == CALLBACK) {
		/* Nobody but the thread looks. */
		ck_assert_int_eq(
			stile_fence_add_callback(fence, &counted.callback, counted_run), 0);
	}
	peer_kill(&peer);
	ck_assert(_i != SLEEP || sleeper_join(&sleeper) == 0);
	ck_assert(_i != CALLBACK || runs_once(&counted));
	ck_assert_int_eq(learn(fence, _i), -EOWNERDEAD);
	ck_assert_int_lt(stile_fence_get_timestamp(fence), stile_fence_get_expiry(fence));
	stile_fence_unref(fence);
	peer_end(&peer);
}
END_TEST

/* Wrong code: the sign of life looked at before the word. */
START_TEST(what_was_done_before_the_death_is_success) {
	struct peer peer = peer_start();
	struct stile_fence *before = fence_create(peer.seqno, 1, GEQUAL);
	peer_tell(&peer, '+');
	peer_kill(&peer);
	struct stile_fence *after = fence_create(peer.seqno, 1, NONZERO);
	struct stile_fence *never = fence_create(peer.seqno, 2, GEQUAL);
	ck_assert_int_eq(learn(never, _i), -EOWNERDEAD);
	ck_assert_int_eq(learn(before, _i), 1);
	ck_assert_int_eq(learn(after, _i), 1);
	stile_fence_unref(before);
	stile_fence_unref(after);
	stile_fence_unref(never);
	peer_end(&peer);
}
END_TEST

/* Wrong code: only death hangs up. */
START_TEST(producer_may_give_up_alive) {
	struct peer peer = peer_start();
	struct stile_fence *fence = fence_create(peer.seqno, 1, GEQUAL);
	ck_assert(!is_done(fence, _i));
	peer_tell(&peer, 'd');
	ck_assert_int_eq(learn(fence, _i), -EOWNERDEAD);
	/* The first verdict stands. */
	stile_seqno_set_value(peer.seqno, 1);
	ck_assert_int_eq(stile_fence_get_status(fence), -EOWNERDEAD);
	stile_fence_unref(fence);
	peer_end(&peer);
}
END_TEST

/* Wrong code: the copy of the producer's end in a child, which keeps importers waiting. */
START_TEST(child_of_the_producer_does_not_stand_for_it) {
	struct peer peer = peer_start();
	struct stile_fence *fence = fence_create(peer.seqno, 1, GEQUAL);
	peer_tell(&peer, 'f');
	ck_assert(!is_done(fence, _i));
	peer_kill(&peer);
	ck_assert_int_eq(learn(fence, _i), -EOWNERDEAD);
	stile_fence_unref(fence);
	peer_end(&peer);
}
END_TEST

enum { ROUNDS = 1000 };

/* Takes turns with the test: waits for odd values, answers with even ones. */
static int partner(void) {
	struct stile_seqno *seqno = import(RUNNER_FIRST_FD, RUNNER_FIRST_FD + 1);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct stile_fence *fence = fence_create(seqno, 2 * round + 1, GEQUAL);
		int status = learn(fence, SLEEP);
		runner_require(status == 1, "round %u: %d", round, status);
		stile_fence_unref(fence);
		stile_seqno_set_value(seqno, 2 * round + 2);
	}
	stile_seqno_unref(seqno);
	return 0;
}

/* Wrong code: a wake-up that is lost between the look and the sleep. */
START_TEST(two_processes_take_turns) {
	struct stile_seqno *seqno = seqno_create();
	int fds[2];
	ck_assert_int_eq(stile_seqno_export_fd(seqno, &fds[0], &fds[1]), 0);
	pid_t pid = runner_spawn("partner", fds, 2);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		stile_seqno_set_value(seqno, 2 * round + 1);
		struct stile_fence *fence = fence_create(seqno, 2 * round + 2, GEQUAL);
		ck_assert_int_eq(learn(fence, _i), 1);
		stile_fence_unref(fence);
	}
	ck_assert_int_eq(runner_reap(pid), 0);
	close(fds[0]);
	close(fds[1]);
	stile_seqno_unref(seqno);
}
END_TEST

/* In the child: what was watched, what was not, what is done; and one's own end of it all. */
static int child(struct stile_seqno *seqno, struct stile_fence *const fences[3]) {
	static struct counted counted;
	int64_t deadline_ns = runner_clock_ns() + 5 * MS;
	bool ok = stile_fence_get_status(fences[0]) == 0 &&
		stile_fence_add_callback(fences[1], &counted.callback, counted_run) == -ENOENT &&
		stile_fence_get_status(fences[1]) == -ECHILD &&
		stile_fence_add_callback(fences[2], &counted.callback, counted_run) == -ENOENT &&
		stile_fence_get_status(fences[2]) == 1 &&
		stile_fence_wait(fences[0], deadline_ns) == -ETIME;
	int fds[2];
	struct stile_seqno *own;
	ok = ok && stile_seqno_export_fd(seqno, &fds[0], &fds[1]) == 0 &&
		stile_seqno_import_fd(fds[0], fds[1], &own) == 0;
	for (int i = 0; i < 3; i++) {
		stile_fence_unref(fences[i]);
	}
	stile_seqno_unref(seqno);
	if (ok) {
		stile_seqno_set_value(own, 9);
		stile_seqno_unref(own);
	}
	return ok ? 0 : 1;
}

static int forker(void) {
	struct stile_seqno *seqno = seqno_create();
	struct stile_fence *fences[3] = {
		fence_create(seqno, 9, GEQUAL),
		fence_create(seqno, 9, GEQUAL),
		fence_create(seqno, 1, GEQUAL),
	};
	stile_fence_enable_signaling(fences[0]);
	stile_seqno_set_value(seqno, 1);
	pid_t pid = fork();
	if (pid == 0) {
		_exit(child(seqno, fences));
	}
	int status;
	runner_require(waitpid(pid, &status, 0) == pid && status == 0, "the child: %#x", status);
	for (int i = 0; i < 3; i++) {
		runner_require(learn(fences[i], CALLBACK) == 1, "fence %d", i);
		stile_fence_unref(fences[i]);
	}
	stile_seqno_unref(seqno);
	return 0;
}

/* Wrong code: a child that waits for its parent's thread, takes its lock, or ends its fences. */
START_TEST(child_made_by_fork_has_no_thread) {
	ck_assert_int_eq(runner_reap(runner_spawn("forker", NULL, 0)), 0);
}
END_TEST

/* ---- All at once --------------------------------------------------------------------------- */

enum { STRESS_THREADS = 16, STRESS_WORDS = 3, STRESS_MS = 1500 };

static struct {
	struct stile_seqno *words[STRESS_WORDS]; /* the second is an import of the first */
	int64_t end_ns;
	uint64_t seed;
	atomic_uint wrong, ended;
} stress;

/* The words only rise, each by one thread: what has ended well stays reached. */
static void stress_check(struct stile_fence *fence, struct stile_seqno *seqno, uint32_t value) {
	int status = stile_fence_get_status(fence);
	uint32_t word = stile_seqno_get_value(seqno);
	bool reached = (int32_t)(word - value) >= 0;
	bool right = status == 1 ? reached : status == -ETIMEDOUT;
	atomic_fetch_add(right ? &stress.ended : &stress.wrong, 1);
}

static void stress_callback(struct stile_fence *fence, unsigned wait_ms) {
	struct counted counted = { 0 };
	if (stile_fence_add_callback(fence, &counted.callback, counted_run) < 0) {
		return;
	}
	runner_sleep_ms(wait_ms);
	bool removed = stile_fence_remove_callback(fence, &counted.callback);
	if (atomic_load(&counted.runs) != (removed ? 0 : 1)) {
		atomic_fetch_add(&stress.wrong, 1);
	}
}

static void stress_step(uint64_t *random) {
	uint64_t r = runner_random(random);
	struct stile_seqno *seqno = stile_seqno_ref(stress.words[r % STRESS_WORDS]);
	uint32_t value = stile_seqno_get_value(seqno) + (uint32_t)(r >> 8 & 3);
	struct stile_fence *fence = fence_create(seqno, value, GEQUAL);
	int64_t soon_ns = runner_clock_ns() + (int64_t)(r >> 16 & 3) * MS + 1;
	int ret = 0;
	if ((r >> 20 & 7) == 0) {
		ret = stile_fence_set_expiry(fence, soon_ns);
	}
	switch (r >> 24 & 7) {
	case 0:
		stress_callback(fence, r >> 28 & 1);
		break;
	case 1:
		stile_fence_enable_signaling(fence);
		break;
	case 2:
		ret = stile_fence_wait_any(&fence, 1, soon_ns, NULL, NULL);
		break;
	default:
		ret = stile_fence_wait(fence, soon_ns);
		break;
	}
	if (ret != 0 && ret != -ETIME) {
		atomic_fetch_add(&stress.wrong, 1);
	}
	if (stile_fence_is_signaled(fence)) {
		stress_check(fence, seqno, value);
	}
	stile_seqno_unref(seqno);
	stile_fence_unref(fence);
}

static void *stress_run(void *arg) {
	uint64_t number = (uintptr_t)arg, random = stress.seed + number;
	while (runner_clock_ns() < stress.end_ns) {
		if (number < 2) {
			struct stile_seqno *seqno = stress.words[2 * number];
			stile_seqno_set_value(seqno, stile_seqno_get_value(seqno) + 1);
			runner_sleep_ms(runner_random(&random) & 1);
		} else {
			stress_step(&random);
		}
	}
	return NULL;
}

/* Wrong code: any race; most of all under the thread sanitizer. Over the wrap-around, too. */
START_TEST(sixteen_threads_at_once) {
	int fds[2];
	stress.seed = runner_seed();
	atomic_store(&stress.wrong, 0);
	atomic_store(&stress.ended, 0);
	stress.words[0] = seqno_create();
	stile_seqno_set_value(stress.words[0], 0xffffff80);
	ck_assert_int_eq(stile_seqno_export_fd(stress.words[0], &fds[0], &fds[1]), 0);
	stress.words[1] = import(fds[0], fds[1]);
	stress.words[2] = seqno_create_at(IN_BUFFER);
	close(fds[0]);
	close(fds[1]);
	stress.end_ns = runner_clock_ns() + STRESS_MS * MS;
	pthread_t threads[STRESS_THREADS];
	for (uintptr_t i = 0; i < STRESS_THREADS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, stress_run, (void *)i), 0);
	}
	for (int i = 0; i < STRESS_THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	ck_assert_uint_eq(atomic_load(&stress.wrong), 0);
	ck_assert_uint_gt(atomic_load(&stress.ended), 0);
	for (int i = 0; i < STRESS_WORDS; i++) {
		stile_seqno_unref(stress.words[i]);
	}
}
END_TEST

static TCase *case_create(const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	return tcase;
}

static TCase *case_of_conditions(void) {
	TCase *tcase = case_create("conditions");
	tcase_add_loop_test(
		tcase, condition_decides, 0, (int)ARRAY_LENGTH(conditions) * WAYS * PLACES);
	tcase_add_loop_test(tcase, end_is_for_ever, 0, WAYS * PLACES);
	tcase_add_test(tcase, order_is_by_value_and_of_gequal_only);
	tcase_add_loop_test(tcase, fence_depends_on_a_program_and_names_it, 0, PLACES);
	tcase_add_loop_test(tcase, expiry_ends_it, 0, WAYS * PLACES);
	tcase_add_loop_test(tcase, deadline_passes_and_the_fence_stays_pending, 0, PLACES);
	return tcase;
}

static TCase *case_of_sleepers(void) {
	TCase *tcase = case_create("sleepers");
	tcase_add_test(tcase, sleepers_are_counted);
	tcase_add_loop_test(tcase, set_wakes_exactly_if_somebody_counts, 0, 2);
	tcase_add_loop_test(tcase, sleep_notices_that_somebody_else_signalled, 0, PLACES);
	tcase_add_loop_test(tcase, every_step_of_the_word_is_noticed, 0, WAYS * PLACES);
	return tcase;
}

static TCase *case_of_callbacks(void) {
	TCase *tcase = case_create("callbacks");
	tcase_add_loop_test(tcase, one_store_ends_all_that_it_reaches, 0, PLACES);
	tcase_add_loop_test(tcase, callback_after_the_store_is_refused, 0, PLACES);
	tcase_add_loop_test(tcase, fence_may_go_while_it_is_watched, 0, 2 * PLACES);
	tcase_add_loop_test(tcase, fence_keeps_the_word, 0, WAYS);
	tcase_add_loop_test(tcase, last_reference_may_go_on_the_thread, 0, PLACES);
	tcase_add_loop_test(tcase, thread_comes_again_after_a_rest, 0, PLACES);
	tcase_add_loop_test(tcase, no_thread_is_an_error_and_no_success, 0, PLACES);
	tcase_add_loop_test(tcase, wait_for_all_of_one_needs_no_thread, 0, PLACES);
	return tcase;
}

static TCase *case_of_descriptors(void) {
	TCase *tcase = case_create("descriptors");
	tcase_add_loop_test(tcase, import_shares_the_word_and_borrows, 0, 2);
	tcase_add_loop_test(tcase, imported_word_can_be_passed_on, 0, 2);
	tcase_add_loop_test(tcase, import_checks_the_memory, 0, ARRAY_LENGTH(words));
	tcase_add_loop_test(tcase, import_checks_the_sign_of_life, 0, ARRAY_LENGTH(lives));
	tcase_add_test(tcase, only_minus_one_means_no_sign_of_life);
	tcase_add_loop_test(tcase, word_has_to_be_inside_the_buffer, 0, ARRAY_LENGTH(offsets));
	tcase_add_loop_test(tcase, buffer_of_less_than_a_word_is_erange, 0, 2);
	tcase_add_test(tcase, read_only_buffer_is_eacces);
	tcase_add_test(tcase, word_of_a_buffer_is_not_exported);
	tcase_add_loop_test(tcase, unknown_condition_is_einval, 0, 2);
	tcase_add_loop_test(tcase, whatever_fails_leaves_nothing_behind, 0, ARRAY_LENGTH(sweeps));
	return tcase;
}

static TCase *case_of_processes(void) {
	TCase *tcase = case_create("processes");
	tcase_add_loop_test(tcase, store_of_another_process_ends_it, 0, WAYS);
	tcase_add_loop_test(tcase, death_of_the_producer_is_eownerdead, 0, WAYS);
	tcase_add_loop_test(tcase, what_was_done_before_the_death_is_success, 0, WAYS);
	tcase_add_loop_test(tcase, producer_may_give_up_alive, 0, WAYS);
	tcase_add_loop_test(tcase, child_of_the_producer_does_not_stand_for_it, 0, WAYS);
	tcase_add_loop_test(tcase, two_processes_take_turns, 0, WAYS);
	tcase_add_test(tcase, child_made_by_fork_has_no_thread);
	tcase_add_test(tcase, sixteen_threads_at_once);
	return tcase;
}

static Suite *seqno_suite(void) {
	Suite *suite = suite_create("seqno");
	suite_add_tcase(suite, case_of_conditions());
	suite_add_tcase(suite, case_of_sleepers());
	suite_add_tcase(suite, case_of_callbacks());
	suite_add_tcase(suite, case_of_descriptors());
	suite_add_tcase(suite, case_of_processes());
	return suite;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = {
		{ "producer", producer },
		{ "partner", partner },
		{ "forker", forker },
		{ NULL, NULL },
	};
	return runner_main(argc, argv, seqno_suite, roles);
}
