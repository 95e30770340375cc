/* SPDX-License-Identifier: MIT */
/*
 * Watching descriptors, by the library's thread or in the caller's loop: DESIGN section 3; and what
 * of it crosses fork and exec.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stile/carrier.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/notify.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/mail.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

#define KIND STILE_FD_SOFTWARE_SYNC_FILE
#define MS INT64_C(1000000)

enum { THREAD, LOOP, MODES };

static struct stile_device *device;

static int open_device(int mode, struct stile_device **out) {
	struct stile_device_info info = {
		.size = sizeof(info),
		.flags = mode == LOOP ? STILE_DEVICE_CALLER_LOOP : 0,
	};
	return stile_device_open("swgpu", &info, out);
}

static void setup(void) {
	ck_assert_int_eq(open_device(LOOP, &device), 0);
}

static void teardown(void) {
	stile_device_destroy(device);
	device = NULL;
}

static int export(struct stile_fence *fence) {
	int fd;
	int ret = stile_fence_export_fd(fence, KIND, 0, NULL, &fd);
	runner_require(ret == 0, "export: %d", ret);
	return fd;
}

static struct stile_fence *import_to(struct stile_device *to, int fd) {
	struct stile_fence *fence;
	int ret = stile_fence_import_fd(to, KIND, 0, fd, &fence);
	runner_require(ret == 0, "import: %d", ret);
	return fence;
}

/* A pending fence and what was imported of it. */
struct pair {
	struct stile_fence *fence;
	struct stile_fence *copy;
};

static struct pair pair_create(struct stile_device *to) {
	struct pair pair = { .fence = plain_fence_create() };
	int fd = export(pair.fence);
	pair.copy = import_to(to, fd);
	close(fd);
	return pair;
}

static void pair_finish(struct pair *pair) {
	stile_fence_unref(pair->copy);
	stile_fence_signal(pair->fence);
	stile_fence_unref(pair->fence);
}

struct count {
	struct stile_callback callback;
	atomic_int calls;
	atomic_int *total;
};

static void count_run(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct count *count = CONTAINER_OF(callback, struct count, callback);
	atomic_int *total = count->total;
	atomic_fetch_add(&count->calls, 1);
	if (total != NULL) {
		atomic_fetch_add(total, 1);
	}
}

static bool is_readable(void) {
	return plain_fd_is_readable(stile_device_get_fd(device));
}

/* ---- The caller's loop --------------------------------------------------------------------- */

START_TEST(unknown_device_flag_is_einval) {
	static const uint32_t flags[] = { 2, STILE_DEVICE_CALLER_LOOP | 4, UINT32_C(1) << 31 };
	struct stile_device_info info = { .size = sizeof(info), .flags = flags[_i] };
	struct stile_device *out = device;
	ck_assert_int_eq(stile_device_open("swgpu", &info, &out), -EINVAL);
	ck_assert_ptr_null(out);
}
END_TEST

static int watch_threads(void) {
	char path[64], name[32];
	int count = 0;
	/* Threads of a process are numbered near to each other. */
	for (int i = 0; i < 4096; i++) {
		snprintf(path, sizeof(path), "/proc/self/task/%d/comm", (int)getpid() + i);
		FILE *file = fopen(path, "re");
		if (file != NULL) {
			count += fgets(name, sizeof(name), file) != NULL &&
				strcmp(name, "stile-watch\n") == 0;
			fclose(file);
		}
	}
	return count;
}

/* Wrong code: a thread all the same; a descriptor that is readable for no reason, or not at all. */
START_TEST(descriptor_is_readable_while_there_is_something_to_see) {
	int fd = stile_device_get_fd(device);
	struct pair pair = pair_create(device);
	struct count count = { 0 };
	ck_assert(!is_readable());
	ck_assert_int_eq(stile_fence_add_callback(pair.copy, &count.callback, count_run), 0);
	ck_assert(!is_readable());
	ck_assert_int_eq(stile_device_dispatch(device), 0);
	stile_fence_signal(pair.fence);
	ck_assert(is_readable());
	ck_assert_int_eq(count.calls, 0);
	ck_assert_int_eq(watch_threads(), 0);
	ck_assert_int_eq(stile_device_dispatch(device), 0);
	ck_assert_int_eq(count.calls, 1);
	ck_assert(!is_readable());
	ck_assert_int_eq(stile_device_get_fd(device), fd);
	pair_finish(&pair);
}
END_TEST

/* Wrong code: a stream's end, which is told unasked, that keeps a loop spinning. */
START_TEST(fence_that_nobody_listens_to_does_not_keep_it_readable) {
	struct pair pair = pair_create(device);
	stile_fence_signal(pair.fence);
	ck_assert_int_eq(stile_device_dispatch(device), 0);
	ck_assert(!is_readable());
	struct count count = { 0 };
	ck_assert_int_eq(stile_fence_add_callback(pair.copy, &count.callback, count_run), -ENOENT);
	ck_assert_int_eq(stile_fence_get_status(pair.copy), 1);
	pair_finish(&pair);
}
END_TEST

static void notified(struct stile_fence *fence, struct stile_notify *notify, void *user) {
	(void)notify;
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	++*(int *)user;
}

/* Wrong code: one dispatch to see the end and another one to tell of it, with a sleep in between. */
START_TEST(dispatch_tells_what_it_has_just_seen) {
	struct pair pair = pair_create(device);
	struct stile_notify notify;
	int calls = 0;
	stile_notify_init(&notify, device);
	ck_assert_int_eq(stile_fence_notify(pair.copy, &notify, notified, &calls), 0);
	ck_assert(!is_readable());
	stile_fence_signal(pair.fence);
	ck_assert(is_readable());
	ck_assert_int_eq(stile_device_dispatch(device), 1);
	ck_assert_int_eq(calls, 1);
	ck_assert(!is_readable());
	pair_finish(&pair);
}
END_TEST

/* Wrong code: what needs no descriptor to be seen does not wake the loop. */
START_TEST(notification_of_any_fence_makes_it_readable) {
	struct stile_fence *fence = plain_fence_create();
	struct stile_notify notify;
	int calls = 0;
	stile_notify_init(&notify, device);
	ck_assert_int_eq(stile_fence_notify(fence, &notify, notified, &calls), 0);
	stile_fence_signal(fence);
	ck_assert(is_readable());
	ck_assert_int_eq(stile_device_dispatch(device), 1);
	ck_assert(!is_readable());
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a call that lasts as long as others have something to say; what is left forgotten. */
START_TEST(dispatch_looks_at_some_hundred_at_a_time) {
	enum { MANY = 700, AT_ONCE = 512 };
	static struct count counts[MANY];
	struct stile_fence *fence = plain_fence_create(), *copies[MANY];
	atomic_int total = 0;
	memset(counts, 0, sizeof(counts));
	int fd = export(fence);
	for (size_t i = 0; i < MANY; i++) {
		copies[i] = import_to(device, fd);
		counts[i].total = &total;
		ck_assert_int_eq(stile_fence_set_expiry(copies[i], INT64_MAX), 0);
		ck_assert_int_eq(
			stile_fence_add_callback(copies[i], &counts[i].callback, count_run), 0);
	}
	close(fd);
	stile_fence_signal(fence);
	ck_assert_int_eq(stile_device_dispatch(device), 0);
	ck_assert_int_eq(total, AT_ONCE);
	ck_assert(is_readable());
	ck_assert_int_eq(stile_device_dispatch(device), 0);
	ck_assert_int_eq(total, MANY);
	ck_assert(!is_readable());
	for (size_t i = 0; i < MANY; i++) {
		stile_fence_unref(copies[i]);
	}
	stile_fence_unref(fence);
}
END_TEST

/* ---- Waiting without a thread -------------------------------------------------------------- */

struct later {
	struct stile_fence *fence;
	struct stile_fence *copy;
	struct stile_device *device;
	int64_t expiry_ns;
};

static void *signal_later(void *arg) {
	struct later *later = arg;
	runner_sleep_ms(5);
	stile_fence_signal(later->fence);
	return NULL;
}

/* Wrong code: the loop's own thread sleeps until somebody dispatches, which only it does. */
START_TEST(wait_on_the_loops_own_thread_sees_the_end) {
	struct pair pair = pair_create(device);
	struct later later = { .fence = pair.fence };
	pthread_t thread;
	ck_assert_int_eq(stile_fence_wait(pair.copy, runner_clock_ns() + MS), -ETIME);
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_later, &later), 0);
	ck_assert_int_eq(plain_fence_finish(pair.copy), 1);
	pthread_join(thread, NULL);
	pair_finish(&pair);
}
END_TEST

static void *expire_later(void *arg) {
	struct later *later = arg;
	runner_sleep_ms(5);
	ck_assert_int_eq(stile_fence_set_expiry(later->copy, later->expiry_ns), 0);
	return NULL;
}

/* Wrong code: a wait that sees its descriptor only, and not that the fence has ended otherwise. */
START_TEST(wait_on_the_loops_own_thread_sees_the_expiry) {
	struct pair pair = pair_create(device);
	struct later later = { .copy = pair.copy, .expiry_ns = runner_clock_ns() + 10 * MS };
	pthread_t thread;
	ck_assert_int_eq(stile_fence_set_expiry(pair.copy, INT64_MAX), 0);
	if (_i == 0) {
		expire_later(&later);
	} else {
		ck_assert_int_eq(pthread_create(&thread, NULL, expire_later, &later), 0);
	}
	ck_assert_int_eq(plain_fence_finish(pair.copy), -ETIMEDOUT);
	if (_i != 0) {
		pthread_join(thread, NULL);
	}
	pair_finish(&pair);
}
END_TEST

static void *dispatch_later(void *arg) {
	struct later *later = arg;
	stile_fence_signal(later->fence);
	ck_assert(plain_fd_becomes_readable(stile_device_get_fd(later->device)));
	stile_device_dispatch(later->device);
	return NULL;
}

/* As documented: what sleeps for callbacks needs a dispatch. Wrong code: it hangs past its deadline. */
START_TEST(wait_for_any_needs_a_dispatch) {
	struct pair pair = pair_create(device);
	struct stile_fence *never = plain_fence_create();
	struct stile_fence *fences[] = { never, pair.copy };
	struct later later = { .fence = pair.fence, .device = device };
	size_t index = 7;
	ck_assert_int_eq(
		stile_fence_wait_any(fences, 2, runner_clock_ns() + MS, NULL, &index), -ETIME);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, dispatch_later, &later), 0);
	ck_assert_int_eq(stile_fence_wait_any(fences, 2, INT64_MAX, NULL, &index), 0);
	ck_assert_uint_eq(index, 1);
	pthread_join(thread, NULL);
	stile_fence_unref(never);
	pair_finish(&pair);
}
END_TEST

/* Wrong code: the epoll instance closed under the fence; a wait that relies on a dispatch. */
START_TEST(fence_outlives_the_device_of_a_loop) {
	struct pair pair = pair_create(device);
	if (_i % 2 == 0) {
		stile_fence_enable_signaling(pair.copy);
	}
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(stile_fence_get_status(pair.copy), 0);
	stile_fence_signal(pair.fence);
	if (_i < 2) {
		ck_assert_int_eq(plain_fence_finish(pair.copy), 1);
	} else {
		ck_assert_int_eq(stile_fence_get_status(pair.copy), 1);
	}
	pair_finish(&pair);
}
END_TEST

static int attempt_open(void *user) {
	return open_device(LOOP, user);
}

static void after_open(void *user, int ret) {
	struct stile_device **out = user;
	ck_assert_int_eq(*out == NULL, ret < 0);
	stile_device_destroy(*out);
}

/*
 * What a callback listens to is never lost, and does not end by that. Wrong code: the fence ends with -ENOMEM,
 * which lets all who depend on it go; or nobody looks any more. Once the kernel has memory again, once never.
 */
START_TEST(watch_for_which_there_is_no_memory_is_kept_up) {
	struct stile_device *threaded;
	ck_assert_int_eq(open_device(THREAD, &threaded), 0);
	struct pair pair = pair_create(threaded);
	struct count count = { .total = NULL };
	/* Who makes it expire looks as well. */
	ck_assert_int_eq(stile_fence_set_expiry(pair.copy, runner_clock_ns() + 60000 * MS), 0);
	failing_deny_watches(true);
	ck_assert_int_eq(stile_fence_add_callback(pair.copy, &count.callback, count_run), 0);
	runner_sleep_ms(20);
	ck_assert_int_eq(stile_fence_get_status(pair.copy), 0);
	failing_deny_watches(_i == 0);
	stile_fence_signal(pair.fence);
	int64_t until_ns = runner_clock_ns() + 30000 * MS;
	while (atomic_load(&count.calls) == 0) {
		ck_assert_int_lt(runner_clock_ns(), until_ns);
		runner_sleep_ms(1);
	}
	ck_assert_int_eq(stile_fence_get_status(pair.copy), 1);
	failing_deny_watches(false);
	pair_finish(&pair);
	stile_device_destroy(threaded);
}
END_TEST

/* Nobody looks again for a loop. Wrong code: that it cannot be watched is found out when somebody listens. */
START_TEST(import_for_a_loop_needs_a_watch) {
	struct stile_fence *fence = plain_fence_create(), *copy;
	struct count count = { .total = NULL };
	int fd = export(fence);
	failing_deny_watches(true);
	ck_assert_int_eq(stile_fence_import_fd(device, KIND, 0, fd, &copy), -ENOMEM);
	ck_assert_ptr_null(copy);
	failing_deny_watches(false);
	copy = import_to(device, fd);
	failing_deny_watches(true);
	ck_assert_int_eq(stile_fence_add_callback(copy, &count.callback, count_run), 0);
	failing_deny_watches(false);
	stile_fence_signal(fence);
	ck_assert(plain_fd_becomes_readable(stile_device_get_fd(device)));
	ck_assert_int_eq(stile_device_dispatch(device), 0);
	ck_assert_int_eq(atomic_load(&count.calls), 1);
	close(fd);
	stile_fence_unref(copy);
	stile_fence_unref(fence);
}
END_TEST

START_TEST(open_for_a_loop_survives_every_failure) {
	static const int errors[] = { -ENOMEM, -EMFILE, -EAGAIN, 0 };
	struct stile_device *out = NULL;
	ck_assert_uint_ge(failing_sweep(attempt_open, after_open, &out, errors), 7);
}
END_TEST

/* ---- Many ---------------------------------------------------------------------------------- */

enum { MANY = 10000, SPARE = 200, BATCH = 8 };

/* Room for that many descriptors, of which there may be fewer. */
static size_t raise_limit(struct rlimit *before) {
	runner_require(getrlimit(RLIMIT_NOFILE, before) == 0, "no limit");
	struct rlimit limit = { before->rlim_max, before->rlim_max };
	if (limit.rlim_cur > MANY + SPARE) {
		limit.rlim_cur = MANY + SPARE;
	}
	runner_require(setrlimit(RLIMIT_NOFILE, &limit) == 0, "the limit cannot be raised");
	return (size_t)limit.rlim_cur - SPARE;
}

static void shuffle(uint32_t *order, size_t count, uint64_t seed) {
	for (size_t i = 0; i < count; i++) {
		order[i] = (uint32_t)i;
	}
	for (size_t i = count; i > 1; i--) {
		size_t other = (size_t)(runner_random(&seed) % i);
		uint32_t held = order[i - 1];
		order[i - 1] = order[other];
		order[other] = held;
	}
}

/* What is told to the process that owes the fences, first. */
struct order {
	uint64_t seed;
	uint32_t count;
};

/* Gives many fences, then signals one at each 'o' and all that are left at 'a'. */
static int many_producer(void) {
	static struct stile_fence *fences[MANY];
	static uint32_t turn[MANY];
	struct rlimit before;
	raise_limit(&before);
	struct order order;
	runner_require(
		mail_receive(RUNNER_FIRST_FD, &order, sizeof(order), NULL, 0) == 1, "no order");
	for (size_t i = 0; i < order.count; i += BATCH) {
		int fds[BATCH];
		for (size_t k = 0; k < BATCH; k++) {
			fences[i + k] = plain_fence_create();
			fds[k] = export(fences[i + k]);
		}
		mail_send(RUNNER_FIRST_FD, "f", 1, fds, BATCH);
		for (size_t k = 0; k < BATCH; k++) {
			close(fds[k]);
		}
	}
	shuffle(turn, order.count, order.seed);
	size_t done = 0;
	for (char what = mail_hear(RUNNER_FIRST_FD); what != '\0';
		what = mail_hear(RUNNER_FIRST_FD)) {
		size_t until = what == 'o' ? done + 1 : order.count;
		while (done < until) {
			stile_fence_signal(fences[turn[done++]]);
		}
	}
	for (size_t i = 0; i < order.count; i++) {
		stile_fence_unref(fences[i]);
	}
	return 0;
}

static void dispatch_until(struct stile_device *of, int mode, atomic_int *total, int count) {
	int64_t deadline_ns = runner_clock_ns() + 60000 * MS;
	while (atomic_load(total) < count) {
		ck_assert_msg(runner_clock_ns() < deadline_ns, "%d of %d seen", *total, count);
		if (mode == THREAD) {
			runner_sleep_ms(1);
		} else {
			struct pollfd at = { .fd = stile_device_get_fd(of), .events = POLLIN };
			poll(&at, 1, 1000);
			stile_device_dispatch(of);
		}
	}
}

static void receive_many(
	struct stile_device *to, int socket, struct stile_fence **copies, size_t count) {
	for (size_t i = 0; i < count; i += BATCH) {
		int fds[BATCH];
		char byte;
		ck_assert_int_eq(mail_receive(socket, &byte, 1, fds, BATCH), 1);
		for (size_t k = 0; k < BATCH; k++) {
			copies[i + k] = import_to(to, fds[k]);
			close(fds[k]);
		}
	}
}

/* Wrong code: an end that is lost or told twice among many; a look at all of them for one. */
START_TEST(each_of_ten_thousand_is_seen_once) {
	static struct stile_fence *copies[MANY];
	static struct count counts[MANY];
	struct rlimit before;
	size_t room = raise_limit(&before);
	struct order order = {
		.seed = runner_seed() + (uint64_t)_i,
		.count = (uint32_t)(room < MANY ? room / BATCH * BATCH : MANY),
	};
	if (order.count < MANY) {
		printf("the limit allows %u descriptors instead of %u\n", order.count, MANY);
	}
	int ends[2];
	mail_pair(ends);
	pid_t pid = runner_spawn("many-producer", &ends[1], 1);
	close(ends[1]);
	mail_send(ends[0], &order, sizeof(order), NULL, 0);
	struct stile_device *many;
	ck_assert_int_eq(open_device(_i, &many), 0);
	receive_many(many, ends[0], copies, order.count);

	atomic_int total = 0;
	memset(counts, 0, sizeof(counts));
	for (size_t i = 0; i < order.count; i++) {
		counts[i].total = &total;
		ck_assert_int_eq(stile_fence_set_expiry(copies[i], INT64_MAX), 0);
		ck_assert_int_eq(
			stile_fence_add_callback(copies[i], &counts[i].callback, count_run), 0);
	}
	unsigned looks = failing_recv_calls();
	mail_tell(ends[0], 'o');
	dispatch_until(many, _i, &total, 1);
	ck_assert_uint_le(failing_recv_calls() - looks, 4);
	mail_tell(ends[0], 'a');
	dispatch_until(many, _i, &total, (int)order.count);
	for (size_t i = 0; i < order.count; i++) {
		ck_assert_int_eq(stile_fence_get_status(copies[i]), 1);
		ck_assert_int_eq(counts[i].calls, 1);
		stile_fence_unref(copies[i]);
	}
	stile_device_destroy(many);
	close(ends[0]);
	ck_assert_int_eq(runner_reap(pid), 0);
	ck_assert_int_eq(total, order.count);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}
END_TEST

/* ---- Fork ---------------------------------------------------------------------------------- */

struct family {
	int mode;
	struct stile_device *device;
	struct pair watched;
	struct pair unwatched;
	struct count count;
};

static void family_init(struct family *family, int mode) {
	*family = (struct family){ .mode = mode };
	runner_require(open_device(mode, &family->device) == 0, "no device");
	family->watched = pair_create(family->device);
	family->unwatched = pair_create(family->device);
	stile_fence_set_expiry(family->watched.copy, INT64_MAX);
	runner_require(stile_fence_add_callback(
			       family->watched.copy, &family->count.callback, count_run) == 0,
		"no callback");
}

/* What the parent sees afterwards, whatever the child did: each of the ends, once. */
static int family_finish(struct family *family) {
	atomic_int *calls = &family->count.calls;
	stile_fence_signal(family->watched.fence);
	if (family->mode == LOOP) {
		runner_require(
			plain_fd_becomes_readable(stile_device_get_fd(family->device)), "no event");
		stile_device_dispatch(family->device);
	}
	int ret = plain_fence_finish(family->watched.copy) != 1;
	for (int waited = 0; atomic_load(calls) == 0 && waited < 10000; waited++) {
		runner_sleep_ms(1);
	}
	ret |= atomic_load(calls) != 1;
	ret |= stile_fence_get_status(family->unwatched.copy) != 0;
	stile_fence_signal(family->unwatched.fence);
	ret |= plain_fence_finish(family->unwatched.copy) != 1;
	pair_finish(&family->watched);
	pair_finish(&family->unwatched);
	stile_device_destroy(family->device);
	return ret << 4;
}

static int child_dispatches(struct family *family) {
	return stile_device_dispatch(family->device) != 0;
}

static int child_drops(struct family *family) {
	/* In a copy of the memory, so the parent's callback is not there either. */
	stile_fence_remove_callback(family->watched.copy, &family->count.callback);
	stile_fence_unref(family->watched.copy);
	stile_fence_unref(family->unwatched.copy);
	stile_device_destroy(family->device);
	return 0;
}

/* The end comes after the fork, from a process of which this one is a copy. */
static int child_waits(struct family *family) {
	return stile_fence_wait(family->watched.copy, INT64_MAX) != 0 ||
		stile_fence_get_status(family->watched.copy) != 1;
}

static int child_listens(struct family *family) {
	struct count count = { 0 };
	struct stile_fence *copy = family->unwatched.copy;
	return stile_fence_add_callback(copy, &count.callback, count_run) != -ENOENT ||
		stile_fence_get_status(copy) != -ECHILD;
}

static int child_imports(struct family *family) {
	struct stile_fence *fence;
	int fd = eventfd(1, EFD_CLOEXEC);
	int ret = stile_fence_import_fd(family->device, STILE_FD_EVENTFD, 0, fd, &fence);
	return ret != -ECHILD || fence != NULL;
}

static int run_family(int mode, int (*child)(struct family *family), bool ends_first) {
	enum { HANG_S = 30 };
	struct family family;
	family_init(&family, mode);
	if (ends_first) {
		/* The event is there when the child looks. */
		stile_fence_signal(family.watched.fence);
	}
	pid_t pid = fork();
	runner_require(pid >= 0, "no child");
	if (pid == 0) {
		alarm(HANG_S);
		_exit(child(&family));
	}
	if (child == child_waits) {
		runner_sleep_ms(5);
		stile_fence_signal(family.watched.fence);
	}
	int ret = runner_reap(pid);
	return (ret < 0 ? 15 : ret) | family_finish(&family);
}

static int (*const children[])(struct family *family) = { child_dispatches, child_drops,
	child_waits, child_listens, child_imports };

enum { CHILDREN = ARRAY_LENGTH(children) };

/* Which one is told by mail, as roles have no arguments. */
static int fork_parent(void) {
	char what = mail_hear(RUNNER_FIRST_FD);
	int number = what - 'a', child = number / MODES, mode = number % MODES;
	/* With a thread, the parent has seen the end before the child could take the event. */
	bool ends_first = mode == LOOP && children[child] == child_dispatches;
	return run_family(mode, children[child], ends_first);
}

/*
 * What a child does leaves the parent's watch alone, and ends. Wrong code: a child that takes the
 * parent's event, takes its descriptors out, puts its own in, or waits for a thread it does not have.
 */
START_TEST(child_leaves_the_parents_watch_alone) {
	int ends[2];
	mail_pair(ends);
	pid_t pid = runner_spawn("fork-parent", &ends[1], 1);
	close(ends[1]);
	mail_tell(ends[0], (char)('a' + _i));
	int ret = runner_reap(pid);
	close(ends[0]);
	ck_assert_msg(ret == 0, "child %d, mode %d: %d", _i / MODES, _i % MODES, ret);
}
END_TEST

/* ---- Exec ---------------------------------------------------------------------------------- */

/* How many descriptors there are, as an exit status. */
static int fd_counter(void) {
	int count = 0;
	for (int fd = 0; fd < 1024; fd++) {
		count += fcntl(fd, F_GETFD) >= 0;
	}
	return count;
}

static int count_in_another_program(void) {
	return runner_reap(runner_spawn("fd-counter", NULL, 0));
}

/* Wrong code: a descriptor of the library's without CLOEXEC; a stream that another program keeps. */
START_TEST(exec_takes_no_descriptor_along) {
	int before = count_in_another_program();
	struct stile_device *devices[MODES];
	struct pair pairs[MODES];
	struct stile_fence *fence = plain_fence_create(), *of_eventfd[MODES];
	int sync_file = export(fence), event;
	ck_assert_int_eq(stile_fence_export_fd(fence, STILE_FD_EVENTFD, 0, NULL, &event), 0);
	for (int mode = 0; mode < MODES; mode++) {
		ck_assert_int_eq(open_device(mode, &devices[mode]), 0);
		pairs[mode] = pair_create(devices[mode]);
		stile_fence_enable_signaling(pairs[mode].copy);
		ck_assert_int_eq(stile_fence_import_fd(devices[mode], STILE_FD_EVENTFD, 0, event,
					 &of_eventfd[mode]),
			0);
	}
	ck_assert_int_eq(count_in_another_program(), before);
	for (int mode = 0; mode < MODES; mode++) {
		pair_finish(&pairs[mode]);
		stile_fence_unref(of_eventfd[mode]);
		stile_device_destroy(devices[mode]);
	}
	stile_fence_signal(fence);
	stile_fence_unref(fence);
	close(sync_file);
	close(event);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("watch");
	TCase *loop = ledger_tcase_create("the caller's loop");
	tcase_add_checked_fixture(loop, setup, teardown);
	tcase_add_loop_test(loop, unknown_device_flag_is_einval, 0, 3);
	tcase_add_test(loop, descriptor_is_readable_while_there_is_something_to_see);
	tcase_add_test(loop, fence_that_nobody_listens_to_does_not_keep_it_readable);
	tcase_add_test(loop, dispatch_tells_what_it_has_just_seen);
	tcase_add_test(loop, notification_of_any_fence_makes_it_readable);
	tcase_add_test(loop, dispatch_looks_at_some_hundred_at_a_time);
	tcase_add_test(loop, wait_on_the_loops_own_thread_sees_the_end);
	tcase_add_loop_test(loop, wait_on_the_loops_own_thread_sees_the_expiry, 0, 2);
	tcase_add_test(loop, wait_for_any_needs_a_dispatch);
	tcase_add_loop_test(loop, fence_outlives_the_device_of_a_loop, 0, 4);
	tcase_add_loop_test(loop, watch_for_which_there_is_no_memory_is_kept_up, 0, 2);
	tcase_add_test(loop, import_for_a_loop_needs_a_watch);
	tcase_add_test(loop, open_for_a_loop_survives_every_failure);
	suite_add_tcase(s, loop);

	TCase *many = ledger_tcase_create("many");
	tcase_add_loop_test(many, each_of_ten_thousand_is_seen_once, 0, MODES);
	suite_add_tcase(s, many);

	TCase *processes = ledger_tcase_create("fork and exec");
	tcase_add_loop_test(processes, child_leaves_the_parents_watch_alone, 0, CHILDREN * MODES);
	tcase_add_test(processes, exec_takes_no_descriptor_along);
	suite_add_tcase(s, processes);
	return s;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = {
		{ "many-producer", many_producer },
		{ "fork-parent", fork_parent },
		{ "fd-counter", fd_counter },
		{ NULL, NULL },
	};
	return runner_main(argc, argv, suite, roles);
}
