/* SPDX-License-Identifier: MIT */
/* The descriptor to poll of a reservation: KERNEL_CONTRACT D-2, D-3. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <stile/fence.h>
#include <stile/resv.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

#define KERNEL STILE_RESV_KERNEL
#define WRITE STILE_RESV_WRITE
#define READ STILE_RESV_READ
#define BOOKKEEP STILE_RESV_BOOKKEEP

#define MS INT64_C(1000000)
/* Long enough that a failure means a hang. */
enum { HANG_MS = 60000 };

enum { USAGES = 4, MANY = 600 };

/* ---- Fences -------------------------------------------------------------------------------- */

struct work {
	struct stile_fence fence;
	atomic_int enabled;
	bool refuses; /* it is done as soon as somebody asks for its end */
};

static atomic_int alive;

static struct work *work_of(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct work, fence);
}

static const char *work_name(struct stile_fence *fence) {
	(void)fence;
	return "work";
}

static bool work_enable(struct stile_fence *fence) {
	atomic_fetch_add(&work_of(fence)->enabled, 1);
	return !work_of(fence)->refuses;
}

static void work_release(struct stile_fence *fence) {
	atomic_fetch_sub(&alive, 1);
	free(work_of(fence));
}

#define WORK_OPS \
	.size = sizeof(struct stile_fence_ops), .get_driver_name = work_name, \
	.get_timeline_name = work_name, .enable_signaling = work_enable, .release = work_release

static const struct stile_fence_ops work_ops = { WORK_OPS };
static const struct stile_fence_ops user_ops = { WORK_OPS, .flags = STILE_FENCE_USER };

static struct stile_fence *work_create_as(const struct stile_fence_ops *ops,
	struct stile_lock *shared, uint64_t context, uint64_t seqno) {
	struct work *work = calloc(1, sizeof(*work));
	runner_require(work != NULL, "no memory");
	int ret = stile_fence_init_shared(&work->fence, ops, shared, context, seqno);
	runner_require(ret == 0, "no fence: %d", ret);
	atomic_fetch_add(&alive, 1);
	return &work->fence;
}

static struct stile_fence *work_create_in(uint64_t context, uint64_t seqno) {
	return work_create_as(&work_ops, NULL, context, seqno);
}

static struct stile_fence *work_create(void) {
	return work_create_in(stile_fence_context_alloc(1), 1);
}

static void work_finish(struct stile_fence *fence) {
	stile_fence_signal(fence);
	stile_fence_unref(fence);
}

/* ---- A reservation and its descriptor -------------------------------------------------------- */

static struct stile_resv resv, other;
static int fd;

static void lock(struct stile_resv *which) {
	int ret = stile_resv_lock(which, NULL, NULL);
	runner_require(ret == 0, "lock: %d", ret);
}

/* To one that is not locked, with room for some more. */
static void put(struct stile_resv *which, struct stile_fence *fence, enum stile_resv_usage usage) {
	lock(which);
	int ret = stile_resv_reserve_fences(which, 1);
	runner_require(ret == 0, "reserve: %d", ret);
	ret = stile_resv_add_fence(which, fence, usage);
	runner_require(ret == 0, "add: %d", ret);
	stile_resv_unlock(which);
}

static void replace(
	struct stile_fence *old, struct stile_fence *fence, enum stile_resv_usage usage) {
	lock(&resv);
	int ret = stile_resv_replace_fences(&resv, stile_fence_get_context(old), fence, usage);
	runner_require(ret == 0, "replace: %d", ret);
	stile_resv_unlock(&resv);
}

static void copy(void) {
	lock(&resv);
	int ret = stile_resv_copy_fences(&resv, &other);
	runner_require(ret == 0, "copy: %d", ret);
	stile_resv_unlock(&resv);
}

static void get_fd(void) {
	int ret = stile_resv_get_poll_fd(&resv, &fd);
	runner_require(ret == 0, "no descriptor: %d", ret);
}

/* All that poll() says, whatever was asked for. */
static short poll_now(void) {
	struct pollfd at = { .fd = fd, .events = POLLIN | POLLOUT };
	int ret = poll(&at, 1, 0);
	runner_require(ret >= 0, "poll failed");
	return at.revents;
}

/* What it has to say, exactly. */
static short poll_should(void) {
	return (short)((stile_resv_test_signaled(&resv, WRITE) ? POLLIN : 0) |
		(stile_resv_test_signaled(&resv, READ) ? POLLOUT : 0));
}

static void assert_ready(short events) {
	ck_assert_int_eq(poll_now(), events);
	/* It is a level, and looking does not change it. */
	ck_assert_int_eq(poll_now(), events);
	ck_assert_int_eq(events, poll_should());
}

static bool becomes_ready(short events) {
	struct pollfd at = { .fd = fd, .events = events };
	return poll(&at, 1, HANG_MS) == 1 && (at.revents & events) != 0;
}

static void setup(void) {
	/* What a test that failed left behind is not the next one's. */
	atomic_store(&alive, 0);
	stile_resv_init(&resv);
	stile_resv_init(&other);
	fd = -1;
}

static void setup_fd(void) {
	setup();
	get_fd();
}

static void teardown(void) {
	stile_resv_fini(&resv);
	stile_resv_fini(&other);
	if (fd >= 0) {
		close(fd);
	}
	ck_assert_int_eq(alive, 0);
}

/* ---- What it says -------------------------------------------------------------------------- */

static const short ready_while[USAGES] = {
	[KERNEL] = 0,
	[WRITE] = 0,
	[READ] = POLLIN,
	[BOOKKEEP] = POLLIN | POLLOUT,
};

/* D-2. Wrong code: one that has to be told first. */
START_TEST(new_descriptor_says_ready) {
	get_fd();
	ck_assert_int_ge(fd, 0);
	assert_ready(POLLIN | POLLOUT);
}
END_TEST

/* How many descriptors an exec would hand on. */
static int inherited_count(void) {
	int count = 0;
	for (int at = 0; at < 256; at++) {
		int flags = fcntl(at, F_GETFD);
		count += flags >= 0 && (flags & FD_CLOEXEC) == 0;
	}
	return count;
}

/* Wrong code: one that an exec inherits, or another one that it needs. */
START_TEST(no_descriptor_is_inherited) {
	int before = inherited_count();
	get_fd();
	/* Check's assertions may open a file of its own. */
	int after = inherited_count();
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(after, before);
}
END_TEST

/* D-2. Wrong code: the two directions exchanged; usages of one not those above it as well. */
START_TEST(descriptor_says_what_is_pending) {
	enum stile_resv_usage usage = (enum stile_resv_usage)(_i % USAGES);
	bool first = _i / USAGES == 0;
	struct stile_fence *fence = work_create();
	if (first) {
		get_fd();
	}
	put(&resv, fence, usage);
	if (!first) {
		get_fd();
	}
	assert_ready(ready_while[usage]);
	stile_fence_signal(fence);
	assert_ready(POLLIN | POLLOUT);
	stile_fence_unref(fence);
}
END_TEST

/* D-2. Wrong code: told once; not ready again after that; a counter that overflows in the end. */
START_TEST(descriptor_goes_to_and_fro) {
	enum stile_resv_usage usage = (enum stile_resv_usage)_i;
	for (int i = 0; i < 300; i++) {
		struct stile_fence *fence = work_create();
		put(&resv, fence, usage);
		assert_ready(ready_while[usage]);
		work_finish(fence);
		assert_ready(POLLIN | POLLOUT);
	}
}
END_TEST

/* D-2. Wrong code: a change that is not noticed. */
START_TEST(descriptor_goes_with_every_change) {
	uint64_t context = stile_fence_context_alloc(1);
	struct stile_fence *a = work_create_in(context, 1), *b = work_create_in(context, 2);
	struct stile_fence *done = work_create();
	stile_fence_signal(done);
	put(&resv, a, BOOKKEEP);
	assert_ready(POLLIN | POLLOUT);
	/* Promoted, and again. */
	put(&resv, a, READ);
	assert_ready(POLLIN);
	put(&resv, a, WRITE);
	assert_ready(0);
	/* In the place of the one that is armed. */
	put(&resv, b, WRITE);
	stile_fence_signal(a);
	assert_ready(0);
	replace(b, b, READ);
	assert_ready(POLLIN);
	replace(b, b, KERNEL);
	assert_ready(0);
	replace(b, done, KERNEL);
	assert_ready(POLLIN | POLLOUT);
	/* Of others, and of nobody. */
	put(&other, b, READ);
	copy();
	assert_ready(POLLIN);
	put(&other, b, WRITE);
	assert_ready(POLLIN);
	copy();
	assert_ready(0);
	stile_fence_signal(b);
	assert_ready(POLLIN | POLLOUT);
	struct stile_fence *c = work_create();
	put(&resv, c, WRITE);
	assert_ready(0);
	copy();
	assert_ready(POLLIN | POLLOUT);
	stile_fence_unref(a);
	stile_fence_unref(b);
	stile_fence_unref(done);
	work_finish(c);
}
END_TEST

/* Wrong code: what was armed kept and waited for, though it is not in the list any more. */
START_TEST(fence_that_gave_way_is_let_go) {
	uint64_t context = stile_fence_context_alloc(1);
	struct stile_fence *first = work_create_in(context, 1),
			   *second = work_create_in(context, 2);
	put(&resv, first, WRITE);
	ck_assert_int_eq(work_of(first)->enabled, 1);
	put(&resv, second, WRITE);
	stile_fence_unref(first);
	ck_assert_int_eq(alive, 1);
	assert_ready(0);
	copy();
	assert_ready(POLLIN | POLLOUT);
	stile_fence_unref(second);
	ck_assert_int_eq(alive, 0);
}
END_TEST

/* D-2. Wrong code: a fence that does not matter waited for, or asked for its end. */
START_TEST(bookkeeping_never_matters) {
	struct stile_fence *bookkeep = work_create(), *write = work_create();
	put(&resv, bookkeep, BOOKKEEP);
	put(&resv, write, WRITE);
	assert_ready(0);
	stile_fence_signal(write);
	assert_ready(POLLIN | POLLOUT);
	ck_assert_int_eq(work_of(bookkeep)->enabled, 0);
	stile_fence_unref(write);
	work_finish(bookkeep);
}
END_TEST

/*
 * D-3. Wrong code: one fence taken for all; a direction that waits for what only the other needs.
 */
START_TEST(descriptor_follows_one_fence_after_the_other) {
	uint64_t random = runner_seed();
	static struct stile_fence *fences[MANY];
	for (size_t i = 0; i < MANY; i++) {
		fences[i] = work_create();
		put(&resv, fences[i], (enum stile_resv_usage)(runner_random(&random) % USAGES));
	}
	for (size_t left = MANY; left > 0; left--) {
		size_t at = runner_random(&random) % left;
		work_finish(fences[at]);
		fences[at] = fences[left - 1];
		assert_ready(poll_should());
	}
	assert_ready(POLLIN | POLLOUT);
}
END_TEST

/* ---- Asking for the end -------------------------------------------------------------------- */

/* D-3. Wrong code: nobody asked, so that it never ends; all asked at once is as good. */
START_TEST(fences_are_asked_for_their_end) {
	enum { COUNT = 20 };
	struct stile_fence *fences[COUNT];
	for (size_t i = 0; i < COUNT; i++) {
		fences[i] = work_create();
		put(&resv, fences[i], i % 2 == 0 ? READ : WRITE);
	}
	/* Who does the work does what was asked for, and nothing else. */
	for (size_t ended = 0; ended < COUNT; ended++) {
		size_t at = 0;
		while (at < COUNT &&
			(work_of(fences[at])->enabled == 0 ||
				stile_fence_is_signaled(fences[at]))) {
			at++;
		}
		ck_assert_msg(at < COUNT, "after %zu ends nobody was asked", ended);
		stile_fence_signal(fences[at]);
	}
	assert_ready(POLLIN | POLLOUT);
	for (size_t i = 0; i < COUNT; i++) {
		ck_assert_int_eq(work_of(fences[i])->enabled, 1);
		stile_fence_unref(fences[i]);
	}
}
END_TEST

/* F-10. Wrong code: a fence that says "done" when it is asked believed to tell later. */
START_TEST(fence_that_is_done_when_asked_is_passed) {
	static struct stile_fence *fences[MANY];
	struct stile_fence *last = work_create();
	for (size_t i = 0; i < MANY; i++) {
		fences[i] = work_create();
		work_of(fences[i])->refuses = true;
	}
	/* Without a descriptor nobody asks. */
	put(&resv, fences[0], WRITE);
	ck_assert_int_eq(work_of(fences[0])->enabled, 0);
	for (size_t i = 1; i < MANY; i++) {
		put(&resv, fences[i], i % 2 == 0 ? READ : WRITE);
	}
	if (_i == 1) {
		put(&resv, last, WRITE);
	}
	get_fd();
	assert_ready(_i == 1 ? 0 : POLLIN | POLLOUT);
	stile_fence_signal(last);
	assert_ready(POLLIN | POLLOUT);
	for (size_t i = 0; i < MANY; i++) {
		stile_fence_unref(fences[i]);
	}
	stile_fence_unref(last);
}
END_TEST

/* Wrong code: a fence that nobody ends any more waited for without arming its expiry. */
START_TEST(expired_fence_makes_it_ready) {
	struct stile_fence *fence =
		work_create_as(&user_ops, NULL, stile_fence_context_alloc(1), 1);
	ck_assert_int_eq(stile_fence_set_expiry(fence, runner_clock_ns() + 30 * MS), 0);
	put(&resv, fence, _i == 0 ? WRITE : READ);
	ck_assert(becomes_ready(_i == 0 ? POLLIN : POLLOUT));
	ck_assert_int_eq(stile_fence_get_status(fence), -ETIMEDOUT);
	/* It was told by another thread, which does both directions. */
	ck_assert(becomes_ready(POLLIN));
	ck_assert(becomes_ready(POLLOUT));
	assert_ready(POLLIN | POLLOUT);
	/* The thread that ended it may have a reference for a moment, beside the reservation and us. */
	for (int waited = 0; plain_refs(fence) > 2 && waited < HANG_MS; waited++) {
		runner_sleep_ms(1);
	}
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: the end of a fence that wants the reservation's lock. */
START_TEST(fence_may_end_while_it_is_locked) {
	struct stile_fence *write = work_create(), *read = work_create();
	put(&resv, write, WRITE);
	put(&resv, read, READ);
	lock(&resv);
	stile_fence_signal(write);
	stile_resv_unlock(&resv);
	assert_ready(POLLIN);
	lock(&resv);
	stile_fence_signal(read);
	stile_resv_unlock(&resv);
	assert_ready(POLLIN | POLLOUT);
	stile_fence_unref(write);
	stile_fence_unref(read);
}
END_TEST

/*
 * Wrong code: the next fence armed under the lock of the one that ended, which is its own
 * too.
 */
START_TEST(fences_with_one_lock_may_end_under_it) {
	enum { COUNT = 10 };
	struct stile_lock shared;
	struct stile_fence *fences[COUNT];
	stile_lock_init(&shared, "shared");
	for (size_t i = 0; i < COUNT; i++) {
		fences[i] = work_create_as(&work_ops, &shared, stile_fence_context_alloc(1), 1);
		put(&resv, fences[i], i % 2 == 0 ? WRITE : READ);
	}
	for (size_t i = 0; i < COUNT; i++) {
		if (i % 5 == 0) {
			stile_lock_acquire(&shared);
		}
		stile_fence_signal_locked(fences[i]);
		if (i % 5 == 4) {
			stile_lock_release(&shared);
			assert_ready(poll_should());
		}
	}
	assert_ready(POLLIN | POLLOUT);
	for (size_t i = 0; i < COUNT; i++) {
		stile_fence_unref(fences[i]);
	}
}
END_TEST

/* ---- Descriptors --------------------------------------------------------------------------- */

static bool is_nonblocking(int which) {
	return (fcntl(which, F_GETFL) & O_NONBLOCK) != 0;
}

/*
 * Wrong code: an open file each time, so that nobody can share what is polled; or the library's
 * own.
 */
START_TEST(descriptors_are_one_open_file) {
	int second, flags = fcntl(fd, F_GETFL);
	ck_assert_int_eq(stile_resv_get_poll_fd(&resv, &second), 0);
	ck_assert_int_ne(second, fd);
	ck_assert_int_eq(fcntl(second, F_GETFD), FD_CLOEXEC);
	/* A flag of the open file: whoever sets it sets it for all. */
	bool before = is_nonblocking(second);
	ck_assert_int_eq(fcntl(fd, F_SETFL, flags ^ O_NONBLOCK), 0);
	ck_assert(is_nonblocking(second) != before);
	ck_assert_int_eq(fcntl(fd, F_SETFL, flags), 0);

	struct stile_fence *fence = work_create();
	put(&resv, fence, WRITE);
	close(fd);
	fd = second;
	assert_ready(0);
	/* Also if for a time there is none. */
	close(fd);
	work_finish(fence);
	fence = work_create();
	put(&resv, fence, READ);
	get_fd();
	assert_ready(POLLIN);
	work_finish(fence);
	assert_ready(POLLIN | POLLOUT);
}
END_TEST

/* Wrong code: one reservation's descriptor that tells of another one. */
START_TEST(each_reservation_has_its_own) {
	int mine = fd;
	struct stile_fence *fence = work_create();
	put(&other, fence, WRITE);
	ck_assert_int_eq(stile_resv_get_poll_fd(&other, &fd), 0);
	ck_assert_int_eq(poll_now(), 0);
	close(fd);
	fd = mine;
	assert_ready(POLLIN | POLLOUT);
	work_finish(fence);
}
END_TEST

static int attempt_get(void *user) {
	(void)user;
	return stile_resv_get_poll_fd(&resv, &fd);
}

static void after_get(void *user, int ret) {
	struct stile_fence *fence = user;
	ck_assert(!stile_resv_is_locked(&resv));
	ck_assert((ret < 0) == (fd == -1));
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
}

/* Wrong code: a lock kept, a descriptor or a callback left, or no second chance, on failure. */
START_TEST(failed_get_leaves_nothing) {
	static const int errors[] = { -EMFILE, -ENFILE, -ENOMEM, 0 };
	struct stile_fence *fence = work_create();
	put(&resv, fence, READ);
	fd = 1000;
	ck_assert_uint_ge(failing_sweep(attempt_get, after_get, fence, errors), 1);
	assert_ready(POLLIN);
	if (_i == 1) {
		/* Only a duplicate is needed now. */
		close(fd);
		fd = 1000;
		ck_assert_uint_ge(failing_sweep(attempt_get, after_get, fence, errors), 1);
		assert_ready(POLLIN);
	}
	work_finish(fence);
	assert_ready(POLLIN | POLLOUT);
}
END_TEST

/* The lowest number that is free. */
static rlim_t next_fd(void) {
	int next = dup(STDERR_FILENO);
	runner_require(next >= 0, "no descriptor");
	close(next);
	return (rlim_t)next;
}

/*
 * Wrong code: another code than -EMFILE where the system really has no more; one that stays open.
 */
START_TEST(process_without_descriptors_is_emfile) {
	struct rlimit before, few;
	struct stile_fence *fence = work_create();
	put(&resv, fence, READ);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	unsigned failures = 0;
	int ret = -EMFILE;
	for (few.rlim_cur = next_fd(); ret == -EMFILE && failures < 10; few.rlim_cur++) {
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
		fd = 1000;
		ret = stile_resv_get_poll_fd(&resv, &fd);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
		ck_assert((ret < 0) == (fd == -1));
		failures += ret < 0;
	}
	ck_assert_int_eq(ret, 0);
	ck_assert_uint_ge(failures, 1);
	assert_ready(POLLIN);
	work_finish(fence);
	assert_ready(POLLIN | POLLOUT);
}
END_TEST

struct getter {
	pthread_t thread;
	atomic_bool done;
	int ret;
};

static void *getter_run(void *arg) {
	struct getter *getter = arg;
	getter->ret = stile_resv_get_poll_fd(&resv, &fd);
	atomic_store(&getter->done, true);
	return NULL;
}

/* D-2. Wrong code: the list looked at while somebody changes it. */
START_TEST(get_waits_for_the_lock) {
	struct getter getter = { .ret = 1 };
	struct stile_fence *fence = work_create();
	lock(&resv);
	ck_assert_int_eq(pthread_create(&getter.thread, NULL, getter_run, &getter), 0);
	runner_sleep_ms(20);
	ck_assert(!atomic_load(&getter.done));
	ck_assert_int_eq(stile_resv_reserve_fences(&resv, 1), 0);
	ck_assert_int_eq(stile_resv_add_fence(&resv, fence, READ), 0);
	stile_resv_unlock(&resv);
	pthread_join(getter.thread, NULL);
	ck_assert_int_eq(getter.ret, 0);
	assert_ready(POLLIN);
	work_finish(fence);
}
END_TEST

/* ---- Its end ------------------------------------------------------------------------------- */

/* D-3. Wrong code: a callback left behind, which finds a reservation that is gone. */
START_TEST(fence_may_end_after_the_reservation) {
	struct stile_fence *write = work_create(), *read = work_create();
	put(&resv, write, WRITE);
	put(&resv, read, READ);
	stile_resv_fini(&resv);
	memset(&resv, 0xa5, sizeof(resv));
	if (_i == 1) {
		close(fd);
		fd = -1;
	}
	work_finish(write);
	work_finish(read);
	ck_assert_int_eq(alive, 0);
	stile_resv_init(&resv);
}
END_TEST

/* Wrong code: the reference of what is armed kept for ever. */
START_TEST(end_lets_go_what_is_armed) {
	struct stile_fence *fence = work_create();
	put(&resv, fence, WRITE);
	stile_fence_unref(fence);
	stile_resv_fini(&resv);
	ck_assert_int_eq(alive, 0);
	stile_resv_init(&resv);
}
END_TEST

static void *signal_run(void *arg) {
	stile_fence_signal(arg);
	return NULL;
}

/* A listener that comes before the descriptor's, and holds it up. */
struct holdup {
	struct stile_callback callback;
	atomic_bool begun;
};

static void holdup_run(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	atomic_store(&CONTAINER_OF(callback, struct holdup, callback)->begun, true);
	runner_sleep_ms(1);
}

/* Wrong code: a callback that runs while the reservation ends, and then finds none, or half of one. */
START_TEST(fence_may_end_while_the_reservation_does) {
	bool held_up = _i == 1;
	for (int i = 0; i < 100; i++) {
		struct stile_resv *own = malloc(sizeof(*own));
		ck_assert_ptr_nonnull(own);
		stile_resv_init(own);
		struct stile_fence *fences[] = { work_create(), work_create() };
		struct holdup holdup = { .begun = !held_up };
		if (held_up) {
			ck_assert_int_eq(
				stile_fence_add_callback(fences[0], &holdup.callback, holdup_run),
				0);
		}
		put(own, fences[0], i % 2 == 0 ? WRITE : READ);
		put(own, fences[1], WRITE);
		int own_fd;
		ck_assert_int_eq(stile_resv_get_poll_fd(own, &own_fd), 0);
		pthread_t threads[2];
		for (size_t j = 0; j < ARRAY_LENGTH(threads); j++) {
			ck_assert_int_eq(
				pthread_create(&threads[j], NULL, signal_run, fences[j]), 0);
		}
		while (!atomic_load(&holdup.begun)) {
		}
		stile_resv_fini(own);
		memset(own, 0xa5, sizeof(*own));
		free(own);
		close(own_fd);
		for (size_t j = 0; j < ARRAY_LENGTH(threads); j++) {
			pthread_join(threads[j], NULL);
			stile_fence_unref(fences[j]);
		}
	}
}
END_TEST

/* ---- Who sleeps on it ---------------------------------------------------------------------- */

struct poller {
	pthread_t thread;
	short events;
	atomic_bool woke;
	bool ready;
};

static void *poller_run(void *arg) {
	struct poller *poller = arg;
	poller->ready = becomes_ready(poller->events);
	atomic_store(&poller->woke, true);
	return NULL;
}

/* D-3. Wrong code: those who sleep in poll() already not woken. */
START_TEST(sleepers_are_woken) {
	struct stile_fence *write = work_create(), *read = work_create();
	put(&resv, write, WRITE);
	put(&resv, read, READ);
	struct poller pollers[] = { { .events = POLLIN }, { .events = POLLOUT },
		{ .events = POLLIN } };
	for (size_t i = 0; i < ARRAY_LENGTH(pollers); i++) {
		ck_assert_int_eq(
			pthread_create(&pollers[i].thread, NULL, poller_run, &pollers[i]), 0);
	}
	runner_sleep_ms(20);
	ck_assert(!pollers[0].woke && !pollers[1].woke && !pollers[2].woke);
	stile_fence_signal(write);
	pthread_join(pollers[0].thread, NULL);
	pthread_join(pollers[2].thread, NULL);
	runner_sleep_ms(5);
	ck_assert(!pollers[1].woke);
	stile_fence_signal(read);
	pthread_join(pollers[1].thread, NULL);
	for (size_t i = 0; i < ARRAY_LENGTH(pollers); i++) {
		ck_assert(pollers[i].ready);
	}
	stile_fence_unref(write);
	stile_fence_unref(read);
}
END_TEST

/* What epoll says of it; it may say less than poll() if it tells of edges. */
static uint32_t epoll_now(int epoll) {
	struct epoll_event event = { .events = 0 };
	int ret = epoll_wait(epoll, &event, 1, 0);
	ck_assert_int_ge(ret, 0);
	return ret == 0 ? 0 : event.events;
}

/* Wrong code: a level that can be read, but whose changes nobody is told of. */
START_TEST(epoll_hears_of_every_change) {
	uint32_t edge = _i == 1 ? EPOLLET : 0;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	ck_assert_int_ge(epoll, 0);
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | edge };
	ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
	ck_assert_uint_eq(epoll_now(epoll), EPOLLIN | EPOLLOUT);
	ck_assert_uint_eq(epoll_now(epoll), edge != 0 ? 0 : EPOLLIN | EPOLLOUT);
	for (int i = 0; i < 50; i++) {
		struct stile_fence *write = work_create(), *read = work_create();
		put(&resv, write, WRITE);
		put(&resv, read, READ);
		ck_assert_uint_eq(epoll_now(epoll), 0);
		work_finish(write);
		ck_assert_uint_eq(epoll_now(epoll), EPOLLIN);
		work_finish(read);
		ck_assert_uint_eq(epoll_now(epoll), EPOLLIN | EPOLLOUT);
	}
	close(epoll);
}
END_TEST

/* ---- Many threads -------------------------------------------------------------------------- */

enum { RUN_MS = 300, SLOTS = 8 };

/*
 * Fences that follow each other: each is ended only after the next one was added, so that there is
 * never a moment at which the memory may be used.
 */
enum relay_way { IN_PLACE, IN_TURNS, REPLACED, COPIED, RELAY_WAYS };

static const char *const way_names[] = { "in place", "in turns", "replaced", "copied" };

static struct {
	atomic_bool stop;
	atomic_ulong looks, steps;
	atomic_int seen;            /* what poll() said */
	struct stile_fence *ending; /* a slot: the ender's */
} relay;

static void *watcher_run(void *arg) {
	while (!atomic_load(&relay.stop)) {
		atomic_fetch_or(&relay.seen, poll_now());
		atomic_fetch_add(&relay.looks, 1);
	}
	return arg;
}

/* Ends what it is given, whenever it comes to it. */
static void *ender_run(void *arg) {
	while (!atomic_load(&relay.stop)) {
		struct stile_fence *fence = stile_fence_exchange_slot(&relay.ending, NULL);
		if (fence != NULL) {
			work_finish(fence);
		}
	}
	return arg;
}

static struct stile_fence *relay_step(
	enum relay_way way, uint64_t context, uint64_t seqno, struct stile_fence *before) {
	if (way == IN_TURNS) {
		context = stile_fence_context_alloc(1);
	}
	struct stile_fence *next = work_create_in(context, seqno);
	if (way == REPLACED) {
		replace(before, next, WRITE);
	} else if (way == COPIED) {
		put(&other, next, WRITE);
		copy();
	} else {
		put(&resv, next, WRITE);
	}
	return next;
}

/*
 * D-2, D-3. Wrong code: ready for a moment, between the end of one fence and the arming of the
 * next.
 */
START_TEST(descriptor_is_never_ready_too_early) {
	enum relay_way way = (enum relay_way)(_i / 2);
	bool other_ends = _i % 2 == 1;
	memset(&relay, 0, sizeof(relay));
	uint64_t context = stile_fence_context_alloc(1), seqno = 1;
	struct stile_fence *pending = work_create_in(context, seqno);
	put(&resv, pending, WRITE);
	pthread_t watcher, ender;
	ck_assert_int_eq(pthread_create(&watcher, NULL, watcher_run, NULL), 0);
	ck_assert_int_eq(pthread_create(&ender, NULL, ender_run, NULL), 0);
	int64_t until = runner_clock_ns() + RUN_MS * MS;
	while (runner_clock_ns() < until) {
		struct stile_fence *next = relay_step(way, context, ++seqno, pending);
		/* What was not ended yet gives way, and is ended here. */
		struct stile_fence *old =
			other_ends ? stile_fence_exchange_slot(&relay.ending, pending) : pending;
		if (old != NULL) {
			work_finish(old);
		}
		pending = next;
		atomic_fetch_add(&relay.steps, 1);
	}
	atomic_store(&relay.stop, true);
	pthread_join(watcher, NULL);
	pthread_join(ender, NULL);
	struct stile_fence *left = stile_fence_exchange_slot(&relay.ending, NULL);
	if (left != NULL) {
		work_finish(left);
	}
	ck_assert_uint_gt(relay.looks, 10);
	ck_assert_uint_gt(relay.steps, 10);
	ck_assert_msg(relay.seen == 0, "%s: it said 0x%x; %lu looks, %lu steps", way_names[way],
		(unsigned)relay.seen, relay.looks, relay.steps);
	assert_ready(0);
	work_finish(pending);
	assert_ready(POLLIN | POLLOUT);
}
END_TEST

static struct stile_fence *slots[SLOTS];
static atomic_bool stop;

/* Signals what is in the slots, also what is being added, replaced or dropped at this moment. */
static void *signaller_run(void *arg) {
	uint64_t random = *(uint64_t *)arg;
	while (!atomic_load(&stop)) {
		struct stile_fence *fence =
			stile_fence_ref_slot(&slots[runner_random(&random) % SLOTS]);
		if (fence != NULL) {
			work_finish(fence);
		}
	}
	return NULL;
}

/* Nobody ends what has left its slot but was not seen by a signaller: that stays pending. */
static void change(uint64_t *random, struct stile_fence **kept, size_t *kept_count) {
	struct stile_fence *fence = work_create();
	enum stile_resv_usage usage = (enum stile_resv_usage)(runner_random(random) % USAGES);
	work_of(fence)->refuses = runner_random(random) % 4 == 0;
	struct stile_fence *old = stile_fence_exchange_slot(
		&slots[runner_random(random) % SLOTS], stile_fence_ref(fence));
	uint64_t roll = runner_random(random) % 8;
	if (roll == 0 && old != NULL) {
		replace(old, fence, usage);
	} else if (roll == 1) {
		copy();
	} else {
		put(roll == 2 ? &other : &resv, fence, usage);
	}
	if (old != NULL && runner_random(random) % 16 != 0) {
		stile_fence_signal(old);
	} else if (old != NULL && *kept_count < MANY) {
		kept[(*kept_count)++] = stile_fence_ref(old);
	}
	stile_fence_unref(old);
	stile_fence_unref(fence);
}

/*
 * D-2, D-3. Wrong code: an end that comes while the next fence is armed lost, or an addition that
 * comes while an end is told: it says the wrong thing until something else happens, which may be
 * never.
 */
START_TEST(descriptor_is_right_when_all_is_quiet) {
	enum { ROUNDS = 30, CHANGES = 60 };
	uint64_t random = runner_seed();
	static struct stile_fence *kept[MANY];
	size_t kept_count = 0;
	for (int round = 0; round < ROUNDS; round++) {
		pthread_t threads[2];
		uint64_t seeds[2];
		atomic_store(&stop, false);
		for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
			seeds[i] = runner_random(&random);
			ck_assert_int_eq(
				pthread_create(&threads[i], NULL, signaller_run, &seeds[i]), 0);
		}
		for (int i = 0; i < CHANGES; i++) {
			change(&random, kept, &kept_count);
		}
		atomic_store(&stop, true);
		for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
			pthread_join(threads[i], NULL);
		}
		assert_ready(poll_should());
		for (size_t i = 0; i < SLOTS; i++) {
			struct stile_fence *fence = stile_fence_exchange_slot(&slots[i], NULL);
			if (fence != NULL) {
				work_finish(fence);
			}
		}
		while (kept_count > 0) {
			assert_ready(poll_should());
			work_finish(kept[--kept_count]);
		}
		assert_ready(POLLIN | POLLOUT);
	}
}
END_TEST

/* ---- The suite ----------------------------------------------------------------------------- */

static void add_state_tests(Suite *s) {
	TCase *tcase = ledger_tcase_create("what it says");
	tcase_add_checked_fixture(tcase, setup_fd, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, descriptor_goes_to_and_fro, 0, USAGES);
	tcase_add_test(tcase, descriptor_goes_with_every_change);
	tcase_add_test(tcase, fence_that_gave_way_is_let_go);
	tcase_add_test(tcase, bookkeeping_never_matters);
	tcase_add_test(tcase, descriptor_follows_one_fence_after_the_other);
	tcase_add_test(tcase, fences_are_asked_for_their_end);
	tcase_add_loop_test(tcase, expired_fence_makes_it_ready, 0, 2);
	tcase_add_test(tcase, fence_may_end_while_it_is_locked);
	tcase_add_test(tcase, fences_with_one_lock_may_end_under_it);
	tcase_add_test(tcase, descriptors_are_one_open_file);
	tcase_add_test(tcase, each_reservation_has_its_own);
	tcase_add_loop_test(tcase, fence_may_end_after_the_reservation, 0, 2);
	tcase_add_test(tcase, end_lets_go_what_is_armed);
	tcase_add_test(tcase, sleepers_are_woken);
	tcase_add_loop_test(tcase, epoll_hears_of_every_change, 0, 2);
	suite_add_tcase(s, tcase);
}

static void add_getting_tests(Suite *s) {
	TCase *tcase = ledger_tcase_create("getting it");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, new_descriptor_says_ready);
	tcase_add_test(tcase, no_descriptor_is_inherited);
	tcase_add_loop_test(tcase, descriptor_says_what_is_pending, 0, 2 * USAGES);
	tcase_add_loop_test(tcase, fence_that_is_done_when_asked_is_passed, 0, 2);
	tcase_add_loop_test(tcase, failed_get_leaves_nothing, 0, 2);
	tcase_add_test(tcase, process_without_descriptors_is_emfile);
	tcase_add_test(tcase, get_waits_for_the_lock);
	suite_add_tcase(s, tcase);
}

static Suite *suite(void) {
	Suite *s = suite_create("resv_poll");
	add_getting_tests(s);
	add_state_tests(s);

	TCase *threads = ledger_tcase_create("threads");
	tcase_add_checked_fixture(threads, setup_fd, teardown);
	tcase_set_timeout(threads, 60);
	tcase_add_loop_test(threads, fence_may_end_while_the_reservation_does, 0, 2);
	tcase_add_loop_test(threads, descriptor_is_never_ready_too_early, 0, 2 * RELAY_WAYS);
	tcase_add_test(threads, descriptor_is_right_when_all_is_quiet);
	suite_add_tcase(s, threads);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
