/* SPDX-License-Identifier: MIT */
/*
 * Timelines that somebody else keeps: KERNEL_CONTRACT section 15 (Y-...). The owner here is a small
 * syncobj in memory, whose value 0 is a fence of its own. What it has in common with a timeline of the
 * library is one body that runs over both.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <stile/check.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/graph.h>
#include <stile/timeline.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/check.h"
#include "src/drive.h"
#include "src/fence.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/timeline.h"

#define MS INT64_C(1000000)

static int64_t hang_ns(void) {
	return runner_clock_ns() + 60000 * MS;
}

/* ---- The owner ------------------------------------------------------------------------------ */

enum { VALUES = 400, REGISTRATIONS = 700 };

/* What was submitted for a value. */
struct entry {
	struct stile_callback callback;
	struct fake *fake;
	struct stile_fence *fence; /* NULL: nothing, or it was signalled by a program */
	bool submitted;
	bool done;
};

struct registration {
	uint64_t value;
	enum stile_point_event event;
	int fd; /* -1: it was told, or there is none */
};

struct fake {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct entry entries[VALUES]; /* 0 stands for itself, the others come one after the other */
	struct registration registrations[REGISTRATIONS];
	int sleepers;
	int error; /* what the ops that may fail give from now on; 0: what is so */

	int waits;        /* how often `wait` was called */
	int64_t until_ns; /* when the last one was to end */
	int64_t ahead_ns; /* how far away that was at most */
	atomic_int *releases;
};

static struct fake *fake_of(const struct stile_timeline *timeline) {
	return stile_timeline_get_priv(timeline);
}

/* The mutex is held. */
static enum stile_point_state fake_state(const struct fake *fake, uint64_t value) {
	if (value >= VALUES) {
		return STILE_POINT_UNSUBMITTED;
	}
	const struct entry *at = &fake->entries[value], *end = &fake->entries[VALUES];
	while (value != 0 && at < end && !at->submitted) {
		at++;
	}
	if (at == end || !at->submitted) {
		return STILE_POINT_UNSUBMITTED;
	}
	bool done = true;
	for (uint64_t i = value == 0 ? 0 : 1; &fake->entries[i] <= at; i++) {
		done = done && (fake->entries[i].done || !fake->entries[i].submitted);
	}
	return done ? STILE_POINT_DONE : STILE_POINT_PENDING;
}

/* The mutex is held. */
static bool fake_has_happened(
	const struct fake *fake, uint64_t value, enum stile_point_event event) {
	enum stile_point_state state = fake_state(fake, value);
	return state == STILE_POINT_DONE ||
		(state == STILE_POINT_PENDING && event == STILE_POINT_AVAILABLE);
}

/* The mutex is held. */
static void registration_close(struct registration *registration) {
	close(registration->fd);
	registration->fd = -1;
}

/* The mutex is held: something is different now. */
static void fake_change(struct fake *fake) {
	for (size_t i = 0; i < REGISTRATIONS; i++) {
		struct registration *at = &fake->registrations[i];
		if (at->fd >= 0 && fake_has_happened(fake, at->value, at->event)) {
			eventfd_write(at->fd, 1);
			registration_close(at);
		}
	}
	pthread_cond_broadcast(&fake->changed);
}

static void entry_ended(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct entry *entry = CONTAINER_OF(callback, struct entry, callback);
	pthread_mutex_lock(&entry->fake->mutex);
	entry->done = true;
	fake_change(entry->fake);
	pthread_mutex_unlock(&entry->fake->mutex);
}

static uint64_t fake_get_value(const struct stile_timeline *timeline) {
	struct fake *fake = fake_of(timeline);
	uint64_t value = 0;
	pthread_mutex_lock(&fake->mutex);
	for (uint64_t i = 1; i < VALUES && fake_state(fake, i) == STILE_POINT_DONE; i++) {
		value = i;
	}
	pthread_mutex_unlock(&fake->mutex);
	return value;
}

static enum stile_point_state fake_get_state(struct stile_timeline *timeline, uint64_t value) {
	struct fake *fake = fake_of(timeline);
	pthread_mutex_lock(&fake->mutex);
	enum stile_point_state state = fake_state(fake, value);
	pthread_mutex_unlock(&fake->mutex);
	return state;
}

static int fake_wait(struct stile_timeline *timeline, uint64_t value, enum stile_point_event event,
	int64_t deadline_ns) {
	struct fake *fake = fake_of(timeline);
	const struct timespec until = {
		.tv_sec = (time_t)(deadline_ns / (1000 * MS)),
		.tv_nsec = (long)(deadline_ns % (1000 * MS)),
	};
	int64_t ahead_ns = deadline_ns - runner_clock_ns();
	int ret = 0;
	pthread_mutex_lock(&fake->mutex);
	fake->waits++;
	fake->until_ns = deadline_ns;
	fake->ahead_ns = ahead_ns > fake->ahead_ns ? ahead_ns : fake->ahead_ns;
	fake->sleepers++;
	while (ret == 0 && fake->error == 0 && !fake_has_happened(fake, value, event)) {
		ret = -pthread_cond_timedwait(&fake->changed, &fake->mutex, &until);
	}
	fake->sleepers--;
	if (fake->error != 0) {
		ret = fake->error;
	} else if (ret != 0) {
		ret = -ETIME;
	}
	pthread_mutex_unlock(&fake->mutex);
	return ret;
}

static int fake_get_error(struct fake *fake, uint64_t value) {
	pthread_mutex_lock(&fake->mutex);
	int error = fake->error != 0 ? fake->error : value < VALUES ? 0 : -EINVAL;
	pthread_mutex_unlock(&fake->mutex);
	return error;
}

static int fake_signal(struct stile_timeline *timeline, uint64_t value) {
	struct fake *fake = fake_of(timeline);
	int error = fake_get_error(fake, value);
	if (error != 0) {
		return error;
	}
	pthread_mutex_lock(&fake->mutex);
	fake->entries[value].submitted = true;
	fake->entries[value].done = true;
	fake_change(fake);
	pthread_mutex_unlock(&fake->mutex);
	return 0;
}

/* Each value once: what is there stays. */
static int fake_submit(struct stile_timeline *timeline, uint64_t value, struct stile_fence *fence) {
	struct fake *fake = fake_of(timeline);
	int error = fake_get_error(fake, value);
	if (error == 0 && stile_fence_is_user(fence)) {
		error = -EOPNOTSUPP;
	}
	if (error != 0) {
		return error;
	}
	struct entry *entry = &fake->entries[value];
	pthread_mutex_lock(&fake->mutex);
	entry->fence = stile_fence_ref(fence);
	entry->submitted = true;
	pthread_mutex_unlock(&fake->mutex);
	if (stile_fence_add_callback(fence, &entry->callback, entry_ended) < 0) {
		entry_ended(fence, &entry->callback);
	} else {
		pthread_mutex_lock(&fake->mutex);
		fake_change(fake);
		pthread_mutex_unlock(&fake->mutex);
	}
	return 0;
}

static int fake_get_fence(
	struct stile_timeline *timeline, uint64_t value, struct stile_fence **out) {
	struct fake *fake = fake_of(timeline);
	int error = fake_get_error(fake, value);
	if (error != 0) {
		return error;
	}
	pthread_mutex_lock(&fake->mutex);
	const struct entry *at = &fake->entries[value];
	while (!at->submitted) {
		at++;
	}
	*out = stile_fence_ref(at->fence);
	pthread_mutex_unlock(&fake->mutex);
	return 0;
}

static int fake_notify_fd(struct stile_timeline *timeline, uint64_t value,
	enum stile_point_event event, int eventfd) {
	struct fake *fake = fake_of(timeline);
	int error = fake_get_error(fake, value);
	if (error != 0) {
		return error;
	}
	int fd = fcntl(eventfd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		return -EMFILE;
	}
	pthread_mutex_lock(&fake->mutex);
	struct registration *at = fake->registrations;
	while (at->fd >= 0) {
		at++;
	}
	*at = (struct registration){ .value = value, .event = event, .fd = fd };
	fake_change(fake);
	pthread_mutex_unlock(&fake->mutex);
	return 0;
}

/* Registrations are forgotten (Y-11), and no fence calls back any more. */
static void fake_release(struct stile_timeline *timeline) {
	struct fake *fake = fake_of(timeline);
	for (size_t i = 0; i < VALUES; i++) {
		if (fake->entries[i].fence != NULL) {
			stile_fence_remove_callback(
				fake->entries[i].fence, &fake->entries[i].callback);
			stile_fence_unref(fake->entries[i].fence);
		}
	}
	for (size_t i = 0; i < REGISTRATIONS; i++) {
		if (fake->registrations[i].fd >= 0) {
			registration_close(&fake->registrations[i]);
		}
	}
	atomic_fetch_add(fake->releases, 1);
	pthread_cond_destroy(&fake->changed);
	pthread_mutex_destroy(&fake->mutex);
	free(fake);
}

static const struct stile_timeline_ops fake_ops = {
	.size = sizeof(struct stile_timeline_ops),
	.kind = "fake_syncobj",
	.get_value = fake_get_value,
	.get_state = fake_get_state,
	.wait = fake_wait,
	.signal = fake_signal,
	.submit = fake_submit,
	.get_fence = fake_get_fence,
	.notify_fd = fake_notify_fd,
	.release = fake_release,
};

/* An owner of what can neither be submitted nor told of: only what is mandatory. */
static const struct stile_timeline_ops bare_ops = {
	.size = sizeof(struct stile_timeline_ops),
	.kind = "bare",
	.get_value = fake_get_value,
	.get_state = fake_get_state,
	.wait = fake_wait,
	.release = fake_release,
};

static atomic_int releases;

static struct fake *fake_create(void) {
	struct fake *fake = calloc(1, sizeof(*fake));
	runner_require(fake != NULL, "no memory");
	pthread_condattr_t clock;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&fake->changed, &clock);
	pthread_condattr_destroy(&clock);
	pthread_mutex_init(&fake->mutex, NULL);
	fake->releases = &releases;
	for (size_t i = 0; i < VALUES; i++) {
		fake->entries[i].fake = fake;
	}
	for (size_t i = 0; i < REGISTRATIONS; i++) {
		fake->registrations[i].fd = -1;
	}
	return fake;
}

static struct stile_timeline *wrap(
	const struct stile_timeline_ops *ops, struct fake *fake, struct stile_device *device) {
	const struct stile_timeline_info info = {
		.size = sizeof(info),
		.name = "points",
		.ops = ops,
		.priv = fake,
		.device = device,
	};
	struct stile_timeline *made;
	ck_assert_int_eq(stile_timeline_create_from(&info, &made), 0);
	return made;
}

/* ---- Fixtures ------------------------------------------------------------------------------- */

static struct stile_device *device;
static struct stile_timeline *timeline;
static struct fake *fake; /* NULL: the timeline is the library's own */
static int fences_before;

static void setup_own(void) {
	fences_before = plain_fence_count();
	fake = NULL;
	ck_assert_int_eq(stile_timeline_create("points", &timeline), 0);
}

static void setup_owned(void) {
	fences_before = plain_fence_count();
	device = gpu_open(NULL);
	atomic_store(&releases, 0);
	fake = fake_create();
	timeline = wrap(&fake_ops, fake, device);
}

/* A test that closes the timeline itself leaves NULL. */
static void teardown(void) {
	stile_timeline_unref(timeline);
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(atomic_load(&releases), fake != NULL);
	ck_assert_int_eq(plain_fence_count(), fences_before);
	atomic_store(&releases, 0);
}

static struct stile_point point_at(uint64_t value) {
	return (struct stile_point){ .timeline = timeline, .value = value };
}

static enum stile_point_state state_of(uint64_t value) {
	struct stile_point point = point_at(value);
	return stile_point_get_state(&point);
}

static int wait_for(uint64_t value, enum stile_point_event event, int64_t deadline_ns) {
	struct stile_point point = point_at(value);
	return stile_point_wait(&point, event, deadline_ns, NULL);
}

/* Submit a fence of its own for the value; a reference on it. */
static struct stile_fence *submit(uint64_t value) {
	struct stile_fence *fence = plain_fence_create();
	ck_assert_int_eq(stile_timeline_submit(timeline, value, fence), 0);
	return fence;
}

static void finish(struct stile_fence *fence) {
	stile_fence_signal(fence);
	stile_fence_unref(fence);
}

static int new_eventfd(void) {
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* What was added since the last look. */
static uint64_t told(int fd) {
	eventfd_t count = 0;
	return eventfd_read(fd, &count) < 0 ? 0 : count;
}

static void notify(uint64_t value, enum stile_point_event event, int fd) {
	struct stile_point point = point_at(value);
	ck_assert_int_eq(stile_point_notify_fd(&point, event, fd), 0);
}

static const enum stile_point_event events[] = { STILE_POINT_AVAILABLE, STILE_POINT_SIGNALED };

/* ---- What both have in common --------------------------------------------------------------- */

/* Y-8, Y-12. Wrong code: an owner that is not asked, or not believed. */
START_TEST(any_point_is_unsubmitted_then_pending_then_done) {
	ck_assert_int_eq(state_of(3), STILE_POINT_UNSUBMITTED);
	struct stile_fence *first = submit(2), *second = submit(5);
	ck_assert_int_eq(state_of(1), STILE_POINT_PENDING);
	ck_assert_int_eq(state_of(3), STILE_POINT_PENDING);
	ck_assert_int_eq(state_of(6), STILE_POINT_UNSUBMITTED);
	finish(second);
	ck_assert_int_eq(state_of(3), STILE_POINT_PENDING);
	finish(first);
	ck_assert_int_eq(state_of(3), STILE_POINT_DONE);
	ck_assert_int_eq(state_of(5), STILE_POINT_DONE);
	ck_assert_int_eq(state_of(6), STILE_POINT_UNSUBMITTED);
}
END_TEST

/* Y-5, Y-6, Y-9. Wrong code: a signal that is a count; one that goes back. */
START_TEST(any_value_can_be_signalled) {
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 0);
	ck_assert_int_eq(stile_timeline_signal(timeline, 3), 0);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 3);
	ck_assert_int_eq(state_of(3), STILE_POINT_DONE);
	ck_assert_int_eq(state_of(4), STILE_POINT_UNSUBMITTED);
	ck_assert_int_eq(stile_timeline_signal(timeline, 2), 0);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 3);
	ck_assert_int_eq(stile_timeline_signal(timeline, 4), 0);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 4);
}
END_TEST

/* Y-12. Wrong code: a fence made up where there is none; a pending one for what is done. */
START_TEST(any_point_gives_what_to_wait_for) {
	struct stile_point point = point_at(5);
	struct stile_fence *out = (struct stile_fence *)(uintptr_t)1, *stub;
	ck_assert_int_eq(stile_point_get_fence(&point, &out), -EAGAIN);
	ck_assert_ptr_null(out);

	struct stile_fence *fence = submit(5);
	ck_assert_int_eq(stile_point_get_fence(&point, &out), 0);
	ck_assert_int_eq(stile_fence_get_status(out), 0);
	ck_assert(!stile_fence_is_user(out));
	finish(fence);
	ck_assert_int_eq(plain_fence_finish(out), 1);
	stile_fence_unref(out);

	stub = stile_fence_get_stub();
	ck_assert_int_eq(stile_point_get_fence(&point, &out), 0);
	ck_assert_ptr_eq(out, stub);
	stile_fence_unref(out);
	stile_fence_unref(stub);
}
END_TEST

/* Y-7, Y-8. Wrong code: one event for the other; a sleep where 0 polls. */
START_TEST(any_poll_tells_both_events_apart) {
	ck_assert_int_eq(wait_for(1, STILE_POINT_AVAILABLE, 0), -ETIME);
	ck_assert_int_eq(wait_for(1, STILE_POINT_SIGNALED, 0), -ETIME);
	struct stile_fence *fence = submit(1);
	ck_assert_int_eq(wait_for(1, STILE_POINT_AVAILABLE, 0), 0);
	ck_assert_int_eq(wait_for(1, STILE_POINT_SIGNALED, 0), -ETIME);
	finish(fence);
	ck_assert_int_eq(wait_for(1, STILE_POINT_SIGNALED, 0), 0);
	ck_assert_int_eq(wait_for(1, STILE_POINT_AVAILABLE, 0), 0);
	if (fake != NULL) {
		ck_assert_int_eq(fake->waits, 0);
	}
}
END_TEST

/* Y-7: -ETIME. Wrong code: a relative time; the end of a slice taken for the deadline. */
START_TEST(any_deadline_ends_a_wait) {
	struct stile_fence *fence = (_i & 1) != 0 ? submit(1) : NULL;
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	struct stile_point point = point_at(1);
	int64_t deadline_ns = runner_clock_ns() + ((_i & 4) != 0 ? 120 * MS : 3 * MS);
	ck_assert_int_eq(stile_point_wait(&point, STILE_POINT_SIGNALED, deadline_ns,
				 (_i & 2) != 0 ? &cancel : NULL),
		-ETIME);
	ck_assert_int_ge(runner_clock_ns(), deadline_ns);
	ck_assert_uint_eq(timeline->handles, 1);
	if (fence != NULL) {
		finish(fence);
	}
}
END_TEST

/* Wrong code: any of the checks made for timelines of the library only. */
START_TEST(any_impossible_wait_is_refused) {
	ck_assert_int_eq(stile_timeline_signal(timeline, 1), 0);
	ck_assert_int_eq(wait_for(1, STILE_POINT_SIGNALED, -1), -EINVAL);
	ck_assert_int_eq(wait_for(2, STILE_POINT_SIGNALED, -1), -EINVAL);
	ck_assert_int_eq(wait_for(1, (enum stile_point_event)0, 0), -EINVAL);
	ck_assert_int_eq(wait_for(2, (enum stile_point_event)3, hang_ns()), -EINVAL);
}
END_TEST

/* A thread that waits for a point. */
struct sleeper {
	pthread_t thread;
	struct stile_point point;
	enum stile_point_event event;
	struct stile_cancel *cancel;
	atomic_bool over;
	int ret;
};

static void *sleeper_run(void *arg) {
	struct sleeper *sleeper = arg;
	sleeper->ret =
		stile_point_wait(&sleeper->point, sleeper->event, hang_ns(), sleeper->cancel);
	atomic_store(&sleeper->over, true);
	return NULL;
}

static bool has_sleeper(void) {
	if (fake == NULL) {
		os_lock(&timeline->lock);
		bool some = timeline->watches != NULL;
		os_unlock(&timeline->lock);
		return some;
	}
	pthread_mutex_lock(&fake->mutex);
	bool some = fake->sleepers > 0;
	pthread_mutex_unlock(&fake->mutex);
	return some;
}

/* When it sleeps, it cannot miss anything any more. */
static void sleeper_start(struct sleeper *sleeper, uint64_t value, enum stile_point_event event,
	struct stile_cancel *cancel) {
	*sleeper = (struct sleeper){ .point = point_at(value), .event = event, .cancel = cancel };
	ck_assert_int_eq(pthread_create(&sleeper->thread, NULL, sleeper_run, sleeper), 0);
	while (!has_sleeper()) {
		runner_sleep_ms(1);
	}
}

static int sleeper_join(struct sleeper *sleeper) {
	pthread_join(sleeper->thread, NULL);
	return sleeper->ret;
}

/* Y-8: wait before submit. Wrong code: a wait that ends with a submission it is not about. */
START_TEST(any_wait_before_submission_ends_with_it) {
	struct stile_cancel cancel;
	struct sleeper sleeper;
	stile_cancel_init(&cancel);
	sleeper_start(&sleeper, 4, STILE_POINT_AVAILABLE, _i == 0 ? NULL : &cancel);
	struct stile_fence *early = submit(3);
	runner_sleep_ms(2);
	ck_assert(!atomic_load(&sleeper.over));
	struct stile_fence *fence = submit(6);
	ck_assert_int_eq(sleeper_join(&sleeper), 0);
	ck_assert_int_eq(state_of(4), STILE_POINT_PENDING);
	finish(early);
	finish(fence);
}
END_TEST

/* Y-7. Wrong code: a wait for the end that ends with the submission; one that reports errors. */
START_TEST(any_wait_for_the_end_goes_on_to_it) {
	struct stile_cancel cancel;
	struct sleeper sleeper;
	stile_cancel_init(&cancel);
	sleeper_start(&sleeper, 4, STILE_POINT_SIGNALED, _i == 0 ? NULL : &cancel);
	struct stile_fence *fence = submit(4);
	runner_sleep_ms(60);
	ck_assert(!atomic_load(&sleeper.over));
	stile_fence_set_error(fence, -EIO);
	finish(fence);
	ck_assert_int_eq(sleeper_join(&sleeper), 0);
}
END_TEST

/* Y-5, Y-6. Wrong code: a program that signals wakes nobody. */
START_TEST(any_wait_ends_when_a_program_signals) {
	struct sleeper sleeper;
	sleeper_start(&sleeper, 4, events[_i], NULL);
	ck_assert_int_eq(stile_timeline_signal(timeline, 3), 0);
	runner_sleep_ms(2);
	ck_assert(!atomic_load(&sleeper.over));
	ck_assert_int_eq(stile_timeline_signal(timeline, 4), 0);
	ck_assert_int_eq(sleeper_join(&sleeper), 0);
}
END_TEST

/* Wrong code: a token that is seen only before the sleep, or before what has happened. */
START_TEST(any_wait_can_be_cancelled) {
	struct stile_cancel cancel;
	struct sleeper sleeper;
	stile_cancel_init(&cancel);
	struct stile_fence *fence = _i == 1 ? submit(1) : NULL;
	sleeper_start(&sleeper, 1, STILE_POINT_SIGNALED, &cancel);
	runner_sleep_ms(2);
	ck_assert(!atomic_load(&sleeper.over));
	stile_cancel_raise(&cancel);
	ck_assert_int_eq(sleeper_join(&sleeper), -EINTR);

	/* And the next one; but what has happened has. */
	struct stile_point point = point_at(1);
	ck_assert_int_eq(stile_point_wait(&point, STILE_POINT_SIGNALED, 0, &cancel), -EINTR);
	ck_assert_int_eq(
		stile_point_wait(&point, STILE_POINT_SIGNALED, hang_ns(), &cancel), -EINTR);
	if (fence != NULL) {
		finish(fence);
	} else {
		ck_assert_int_eq(stile_timeline_signal(timeline, 1), 0);
	}
	ck_assert_int_eq(stile_point_wait(&point, STILE_POINT_SIGNALED, hang_ns(), &cancel), 0);
}
END_TEST

/* Wrong code: a wait with no reference, whose timeline is released under it. */
START_TEST(any_wait_keeps_the_timeline_open) {
	struct sleeper sleeper;
	sleeper_start(&sleeper, 1, STILE_POINT_SIGNALED, NULL);
	struct stile_fence *work = submit(1);
	stile_timeline_unref(timeline);
	timeline = NULL;
	runner_sleep_ms(2);
	ck_assert(!atomic_load(&sleeper.over));
	ck_assert_int_eq(atomic_load(&releases), 0);
	finish(work);
	ck_assert_int_eq(sleeper_join(&sleeper), 0);
}
END_TEST

/* Y-11. Wrong code: told twice, or for the other event; what has happened is not told. */
START_TEST(any_eventfd_is_told_once_of_each_event) {
	int available = new_eventfd(), done = new_eventfd();
	notify(3, STILE_POINT_AVAILABLE, available);
	notify(3, STILE_POINT_SIGNALED, done);
	notify(3, STILE_POINT_SIGNALED, done);
	struct stile_fence *before = submit(2);
	ck_assert_uint_eq(told(available), 0);
	struct stile_fence *fence = submit(3), *after = submit(4);
	ck_assert_uint_eq(told(available), 1);
	notify(3, STILE_POINT_AVAILABLE, available);
	ck_assert_uint_eq(told(available), 1);
	finish(before);
	ck_assert_uint_eq(told(done), 0);
	finish(fence);
	ck_assert_uint_eq(told(done), 2);
	notify(3, STILE_POINT_SIGNALED, done);
	ck_assert_uint_eq(told(done), 1);
	finish(after);
	ck_assert_uint_eq(told(available), 0);
	ck_assert_uint_eq(told(done), 0);
	close(available);
	close(done);
}
END_TEST

/* Y-11. Wrong code: an owner that is handed what is no eventfd. */
START_TEST(any_eventfd_has_to_be_one) {
	int ends[2], fd = new_eventfd();
	struct stile_point point = point_at(1);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_SIGNALED, -1), -EBADF);
	ck_assert_int_eq(
		stile_point_notify_fd(&point, STILE_POINT_SIGNALED, memory_closed_fd()), -EBADF);
	ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_SIGNALED, ends[1]), -EINVAL);
	ck_assert_int_eq(stile_point_notify_fd(&point, (enum stile_point_event)0, fd), -EINVAL);
	ck_assert_int_eq(stile_point_notify_fd(&point, (enum stile_point_event)3, fd), -EINVAL);
	ck_assert_int_eq(stile_timeline_signal(timeline, 1), 0);
	ck_assert_uint_eq(told(fd), 0);
	close(ends[0]);
	close(ends[1]);
	close(fd);
}
END_TEST

static struct stile_fence *fence_at(uint64_t value) {
	struct stile_fence *fence;
	ck_assert_int_eq(stile_timeline_create_fence(timeline, value, &fence), 0);
	return fence;
}

struct counting {
	struct stile_callback callback;
	atomic_int calls;
};

static void count_call(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	atomic_fetch_add(&CONTAINER_OF(callback, struct counting, callback)->calls, 1);
}

/* Wrong code: a promise of a program as a finite fence; one that only looks, and never calls back. */
START_TEST(any_value_has_a_fence_before_it_is_submitted) {
	struct stile_fence *fence = fence_at(2), *other = fence_at(3);
	struct counting counting = { .calls = 0 };
	ck_assert(stile_fence_is_user(fence));
	ck_assert_int_gt(stile_fence_get_expiry(fence), runner_clock_ns());
	ck_assert_int_ne(stile_fence_get_expiry(fence), INT64_MAX);
	ck_assert_str_eq(stile_fence_get_timeline_name(fence), "points");
	ck_assert_int_eq(stile_fence_add_callback(fence, &counting.callback, count_call), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	ck_assert_int_eq(stile_timeline_signal(timeline, 2), 0);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	while (atomic_load(&counting.calls) == 0) {
		runner_sleep_ms(1);
	}
	ck_assert_int_eq(stile_fence_get_status(other), 0);
	stile_fence_unref(fence);
	stile_fence_unref(other);

	fence = fence_at(1);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a fence without an expiry for a value that nobody submits. */
START_TEST(any_fence_of_a_value_that_never_comes_expires) {
	struct stile_fence *fence = fence_at(2);
	ck_assert_int_eq(stile_fence_set_expiry(fence, runner_clock_ns() + 3 * MS), 0);
	ck_assert_int_eq(plain_fence_finish(fence), -ETIMEDOUT);
	ck_assert_int_eq(stile_timeline_signal(timeline, 2), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), -ETIMEDOUT);
	stile_fence_unref(fence);
}
END_TEST

/* A device that gets on when somebody waits, and is what submits. */
static bool drive_submit(void *user) {
	int *left = user;
	if (*left == 0) {
		return false;
	}
	if (--*left == 0) {
		runner_require(stile_timeline_signal(timeline, 1) == 0, "not signalled");
	}
	return true;
}

/* Wrong code: a sleep in the owner's op, where nobody is left who could go on. */
START_TEST(any_wait_drives_what_is_driven) {
	int left = 3;
	struct drive drive = { .step = drive_submit, .user = &left };
	drive_register(&drive);
	int ret = wait_for(1, STILE_POINT_SIGNALED, hang_ns());
	drive_unregister(&drive);
	ck_assert_int_eq(ret, 0);
	ck_assert_int_eq(left, 0);
}
END_TEST

static bool graph_has(const char *what) {
	char *text;
	ck_assert_int_eq(stile_graph_describe(STILE_GRAPH_TEXT, &text), 0);
	bool has = strstr(text, what) != NULL;
	free(text);
	return has;
}

/* Wrong code: a wait that is not listed; a point that is pending called unsubmitted. */
START_TEST(any_wait_is_in_the_graph) {
	struct sleeper sleeper;
	bool was_enabled = stile_check_is_enabled();
	stile_check_enable(true);
	ck_assert_int_eq(stile_timeline_signal(timeline, 2), 0);
	sleeper_start(&sleeper, 3, STILE_POINT_SIGNALED, NULL);
	ck_assert(graph_has("\n    waits for point 3 of timeline \"points\"\n"));
	ck_assert(graph_has("\n    point 3 of timeline \"points\", whose counter is at 2, not "
			    "submitted\n"));
	struct stile_fence *fence = submit(3);
	ck_assert(graph_has("\n    waits for point 3 of timeline \"points\"\n"));
	ck_assert(!graph_has("not submitted"));
	finish(fence);
	ck_assert_int_eq(sleeper_join(&sleeper), 0);
	ck_assert(!graph_has("timeline \"points\""));
	stile_check_enable(was_enabled);
}
END_TEST

/* X-8 (4), Y-13. Wrong code: only one of the two kinds told of; one that is submitted, too. */
START_TEST(any_wait_for_a_submission_with_a_lock_is_told) {
	static struct stile_lock_class lock = STILE_LOCK_CLASS("a lock");
	ledger_expect_complaint("waiting for a submission while holding \"a lock\"");
	bool was_enabled = stile_check_is_enabled();
	stile_check_enable(true);
	check_reset();
	stile_lock_annotate(&lock, STILE_LOCK_ACQUIRE);
	struct stile_fence *fence = submit(1);
	ck_assert_int_eq(wait_for(1, STILE_POINT_AVAILABLE, hang_ns()), 0);
	ck_assert_int_eq(wait_for(1, STILE_POINT_SIGNALED, runner_clock_ns() + MS), -ETIME);
	ck_assert_int_eq(wait_for(2, STILE_POINT_SIGNALED, runner_clock_ns() + MS), -ETIME);
	stile_lock_annotate(&lock, STILE_LOCK_RELEASE);
	finish(fence);
	stile_check_enable(was_enabled);
}
END_TEST

enum { LAST = 200, WAITERS = 3, TELLERS = 2 };

static atomic_int wrong;
static atomic_uint notices;

struct waiting {
	pthread_t thread;
	uint64_t random;
	int fd;
};

/* Waits for some points on the way, at random, up to the last one. */
static void *wait_for_points(void *arg) {
	struct waiting *waiting = arg;
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	for (uint64_t value = 1; value <= LAST;) {
		uint64_t random = runner_random(&waiting->random);
		struct stile_point point = point_at(value);
		enum stile_point_event event = events[random & 1];
		int ret = stile_point_wait(
			&point, event, hang_ns(), (random & 2) != 0 ? &cancel : NULL);
		enum stile_point_state state = stile_point_get_state(&point);
		bool right = ret == 0 && state != STILE_POINT_UNSUBMITTED &&
			(event == STILE_POINT_AVAILABLE || state == STILE_POINT_DONE);
		atomic_fetch_add(&wrong, !right);
		value += value == LAST ? 1 : (random >> 2) % 8 % (LAST - value + 1);
	}
	return NULL;
}

/* Half of the notices are those of fences. */
static void *ask_for_notices(void *arg) {
	struct waiting *waiting = arg;
	for (int i = 0; i < LAST; i++) {
		uint64_t random = runner_random(&waiting->random);
		struct stile_point point = point_at(1 + (random >> 8) % LAST);
		int ret = stile_point_notify_fd(&point, events[random & 1], waiting->fd);
		atomic_fetch_add(&wrong, ret != 0);
		atomic_fetch_add(&notices, 1);
		if ((random & 14) == 0) {
			struct stile_fence *fence;
			ret = stile_timeline_create_fence(timeline, point.value, &fence);
			bool right = ret == 0 && stile_fence_wait(fence, hang_ns()) == 0 &&
				stile_fence_get_status(fence) == 1;
			atomic_fetch_add(&wrong, !right);
			stile_fence_unref(fence);
		}
	}
	return NULL;
}

/* Signals fences a little after it has submitted them, not in order; some values by hand. */
static void submit_all(uint64_t random) {
	struct stile_fence *late[8] = { NULL };
	for (uint64_t value = 1; value <= LAST; value++) {
		uint64_t choice = runner_random(&random);
		struct stile_fence **slot = &late[choice % ARRAY_LENGTH(late)];
		if (*slot != NULL) {
			finish(*slot);
			*slot = NULL;
		}
		if ((choice & 0x700) == 0) {
			ck_assert_int_eq(stile_timeline_signal(timeline, value), 0);
		} else {
			*slot = submit(value);
		}
	}
	for (size_t i = 0; i < ARRAY_LENGTH(late); i++) {
		if (late[i] != NULL) {
			finish(late[i]);
		}
	}
	/* Fences of an own timeline follow its counter alone. */
	ck_assert_int_eq(stile_timeline_signal(timeline, LAST), 0);
}

/*
 * Y-4, Y-8, Y-11. Wrong code: a submission between the look and the sleep is missed; the owner's ops
 * called while it is released.
 */
START_TEST(any_threads_wait_while_another_submits) {
	struct waiting waiting[WAITERS + TELLERS];
	uint64_t random = runner_seed();
	atomic_store(&wrong, 0);
	atomic_store(&notices, 0);
	int fd = new_eventfd();
	for (int i = 0; i < WAITERS + TELLERS; i++) {
		waiting[i] = (struct waiting){ .random = runner_random(&random), .fd = fd };
		ck_assert_int_eq(
			pthread_create(&waiting[i].thread, NULL,
				i < WAITERS ? wait_for_points : ask_for_notices, &waiting[i]),
			0);
	}
	submit_all(random);
	for (int i = 0; i < WAITERS + TELLERS; i++) {
		pthread_join(waiting[i].thread, NULL);
	}
	ck_assert_int_eq(atomic_load(&wrong), 0);
	ck_assert_uint_eq(told(fd), atomic_load(&notices));
	ck_assert_uint_eq(timeline->handles, 1);
	close(fd);
}
END_TEST

/* ---- What only an owner has ----------------------------------------------------------------- */

/* Y-8: point 0. Wrong code: 0 taken for what is always done, or refused, in any of the functions. */
START_TEST(value_0_is_the_owners) {
	struct stile_point point = point_at(0);
	struct stile_fence *out;
	int fd = new_eventfd();
	ck_assert_int_eq(state_of(0), STILE_POINT_UNSUBMITTED);
	ck_assert_int_eq(stile_point_get_fence(&point, &out), -EAGAIN);
	ck_assert_int_eq(wait_for(0, STILE_POINT_AVAILABLE, runner_clock_ns() + MS), -ETIME);
	notify(0, STILE_POINT_SIGNALED, fd);
	struct stile_fence *promise = fence_at(0), *fence = submit(0);
	ck_assert_int_eq(stile_fence_get_status(promise), 0);
	ck_assert_int_eq(state_of(0), STILE_POINT_PENDING);
	ck_assert_int_eq(wait_for(0, STILE_POINT_AVAILABLE, hang_ns()), 0);
	ck_assert_int_eq(stile_point_get_fence(&point, &out), 0);
	ck_assert_ptr_eq(out, fence);
	stile_fence_unref(out);
	ck_assert_uint_eq(told(fd), 0);
	finish(fence);
	ck_assert_int_eq(plain_fence_finish(promise), 1);
	ck_assert_uint_eq(told(fd), 1);
	ck_assert_int_eq(wait_for(0, STILE_POINT_SIGNALED, hang_ns()), 0);
	ck_assert_int_eq(stile_timeline_signal(timeline, 0), 0);
	stile_fence_unref(promise);
	close(fd);
}
END_TEST

/* Wrong code: an op called that is not there; a value that is made up. */
START_TEST(what_an_owner_lacks_is_not_supported) {
	struct fake *other = fake_create();
	struct stile_timeline *bare = wrap(&bare_ops, other, device);
	struct stile_point point = { .timeline = bare, .value = 1 };
	struct stile_fence *fence = plain_fence_create();
	struct stile_fence *out = (struct stile_fence *)(uintptr_t)1;
	int fd = new_eventfd();
	ck_assert_int_eq(stile_timeline_signal(bare, 1), -EOPNOTSUPP);
	ck_assert_int_eq(stile_timeline_advance(bare, 1), -EOPNOTSUPP);
	ck_assert_int_eq(stile_timeline_advance(timeline, 1), -EOPNOTSUPP);
	ck_assert_int_eq(stile_timeline_submit(bare, 1, fence), -EOPNOTSUPP);
	ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_SIGNALED, fd), -EOPNOTSUPP);
	ck_assert_int_eq(stile_timeline_create_fence(bare, 1, &out), -EOPNOTSUPP);
	ck_assert_ptr_null(out);
	ck_assert_int_eq(stile_point_get_fence(&point, &out), -EAGAIN);
	other->entries[1].submitted = true;
	ck_assert_int_eq(stile_point_get_fence(&point, &out), -EOPNOTSUPP);
	ck_assert_ptr_null(out);
	other->entries[1].done = true;
	ck_assert_int_eq(stile_point_get_fence(&point, &out), 0);
	stile_fence_unref(out);
	ck_assert_int_eq(stile_point_wait(&point, STILE_POINT_SIGNALED, hang_ns(), NULL), 0);
	stile_timeline_unref(bare);
	ck_assert_int_eq(atomic_exchange(&releases, 0), 1);
	finish(fence);
	close(fd);
}
END_TEST

/* Wrong code: a point that is pending, but of which there is no fence, called unsubmitted. */
START_TEST(pending_point_without_a_fence_is_in_the_graph) {
	struct sleeper sleeper;
	bool was_enabled = stile_check_is_enabled();
	stile_check_enable(true);
	stile_timeline_unref(timeline);
	ck_assert_int_eq(atomic_exchange(&releases, 0), 1);
	fake = fake_create();
	timeline = wrap(&bare_ops, fake, device);
	fake->entries[3].submitted = true;
	sleeper_start(&sleeper, 3, STILE_POINT_SIGNALED, NULL);
	ck_assert(graph_has("\n    waits for point 3 of timeline \"points\"\n"));
	ck_assert(!graph_has("ubmitted"));
	pthread_mutex_lock(&fake->mutex);
	fake->entries[3].done = true;
	fake_change(fake);
	pthread_mutex_unlock(&fake->mutex);
	ck_assert_int_eq(sleeper_join(&sleeper), 0);
	stile_check_enable(was_enabled);
}
END_TEST

static struct stile_fence *made;
static int make_error;

static int make_fence(struct stile_timeline *of, uint64_t value, struct stile_fence **out) {
	ck_assert_ptr_nonnull(of);
	ck_assert_uint_eq(value, 3);
	if (make_error == 0) {
		*out = stile_fence_ref(made);
	}
	return make_error;
}

/* Wrong code: an eventfd, or a device, needed where the owner has something better; the owner asked in vain. */
START_TEST(owner_that_makes_fences_needs_no_device) {
	struct stile_timeline_ops ops = bare_ops;
	ops.create_fence = make_fence;
	struct fake *other = fake_create();
	struct stile_timeline *alone = wrap(&ops, other, NULL);
	struct stile_fence *out = (struct stile_fence *)(uintptr_t)1;
	made = plain_fence_create();
	make_error = -EIO;
	ck_assert_int_eq(stile_timeline_create_fence(alone, 3, &out), -EIO);
	ck_assert_ptr_null(out);
	make_error = 0;
	ck_assert_int_eq(stile_timeline_create_fence(alone, 3, &out), 0);
	ck_assert_ptr_eq(out, made);
	stile_fence_unref(out);
	other->entries[3].submitted = other->entries[3].done = true;
	make_error = -EIO;
	ck_assert_int_eq(stile_timeline_create_fence(alone, 3, &out), 0);
	ck_assert_int_eq(stile_fence_get_status(out), 1);
	stile_fence_unref(out);
	stile_timeline_unref(alone);
	ck_assert_int_eq(atomic_exchange(&releases, 0), 1);
	finish(made);
}
END_TEST

/* Wrong code: a fence that depends on whether the value was done when it was asked for. */
START_TEST(owner_without_a_device_makes_no_fences) {
	struct stile_timeline *alone = wrap(&fake_ops, fake_create(), NULL);
	struct stile_fence *out = (struct stile_fence *)(uintptr_t)1;
	ck_assert_int_eq(stile_timeline_signal(alone, 1), 0);
	ck_assert_int_eq(stile_timeline_create_fence(alone, 1, &out), -EOPNOTSUPP);
	ck_assert_ptr_null(out);
	ck_assert_int_eq(stile_timeline_create_fence(alone, 2, &out), -EOPNOTSUPP);
	stile_timeline_unref(alone);
	ck_assert_int_eq(atomic_exchange(&releases, 0), 1);
}
END_TEST

/* Y-8, X-2. Wrong code: an owner's error turned into success, or into another one. */
START_TEST(errors_of_the_owner_are_passed_on) {
	struct stile_timeline *user_timeline;
	struct stile_fence *fence = submit(1), *user, *out;
	struct stile_point point = point_at(1);
	struct sleeper sleeper;
	int fd = new_eventfd();
	ck_assert_int_eq(stile_timeline_create("user", &user_timeline), 0);
	ck_assert_int_eq(stile_timeline_create_fence(user_timeline, 1, &user), 0);
	ck_assert_int_eq(stile_timeline_submit(timeline, 2, user), -EOPNOTSUPP);
	ck_assert_int_eq(stile_timeline_submit(timeline, VALUES, fence), -EINVAL);
	ck_assert_int_eq(stile_timeline_signal(timeline, VALUES), -EINVAL);

	sleeper_start(&sleeper, 1, STILE_POINT_SIGNALED, NULL);
	pthread_mutex_lock(&fake->mutex);
	fake->error = -EIO;
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->mutex);
	ck_assert_int_eq(sleeper_join(&sleeper), -EIO);
	ck_assert_int_eq(stile_timeline_signal(timeline, 1), -EIO);
	ck_assert_int_eq(stile_point_get_fence(&point, &out), -EIO);
	ck_assert_ptr_null(out);
	ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_SIGNALED, fd), -EIO);
	ck_assert_int_eq(stile_timeline_create_fence(timeline, 1, &out), -EIO);
	ck_assert_ptr_null(out);
	close(fd);
	finish(fence);
	stile_fence_unref(user);
	stile_timeline_unref(user_timeline);
}
END_TEST

/* Wrong code: slices where nobody can cancel; a token that is looked at too rarely. */
START_TEST(only_waits_that_can_be_cancelled_are_sliced) {
	struct stile_cancel cancel;
	struct stile_point point = point_at(1);
	stile_cancel_init(&cancel);
	int64_t deadline_ns = runner_clock_ns() + 70 * MS;
	ck_assert_int_eq(stile_point_wait(&point, STILE_POINT_SIGNALED, deadline_ns, NULL), -ETIME);
	ck_assert_int_eq(fake->waits, 1);
	ck_assert_int_eq(fake->until_ns, deadline_ns);

	fake->waits = 0;
	fake->ahead_ns = 0;
	deadline_ns = runner_clock_ns() + 70 * MS;
	ck_assert_int_eq(
		stile_point_wait(&point, STILE_POINT_SIGNALED, deadline_ns, &cancel), -ETIME);
	ck_assert_int_ge(fake->waits, 2);
	ck_assert_int_eq(fake->until_ns, deadline_ns);
	ck_assert_int_le(fake->ahead_ns, 50 * MS);
}
END_TEST

/* Wrong code: one fence given to all, whose expiry then is anybody's; names of an eventfd. */
START_TEST(each_fence_of_an_owned_value_is_a_new_one) {
	struct stile_fence *one = fence_at(2), *two = fence_at(2), *stub = stile_fence_get_stub();
	ck_assert_ptr_ne(one, two);
	ck_assert_uint_ne(stile_fence_get_context(one), stile_fence_get_context(two));
	ck_assert_str_eq(stile_fence_get_driver_name(one), "fake_syncobj");
	ck_assert_int_eq(stile_fence_get_owner(one), 0);
	stile_fence_unref(one);
	ck_assert_int_eq(stile_timeline_signal(timeline, 2), 0);
	ck_assert_int_eq(plain_fence_finish(two), 1);
	stile_fence_unref(two);
	one = fence_at(2);
	ck_assert_ptr_eq(one, stub);
	stile_fence_unref(one);
	stile_fence_unref(stub);
}
END_TEST

/* Wrong code: a finite fence for a value that happens to be submitted; errors that it cannot know. */
START_TEST(fence_of_a_submitted_value_is_a_user_fence_too) {
	struct stile_fence *work = submit(1), *fence = fence_at(1);
	ck_assert(stile_fence_is_user(fence));
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	stile_fence_set_error(work, -EIO);
	finish(work);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	stile_fence_unref(fence);
}
END_TEST

/* Y-11. Wrong code: a fence that keeps the owner's object; one that ends well as nobody is left. */
START_TEST(fence_outlives_its_timeline) {
	struct stile_fence *fence = fence_at(1);
	stile_timeline_unref(timeline);
	timeline = NULL;
	ck_assert_int_eq(atomic_load(&releases), 1);
	ck_assert_str_eq(stile_fence_get_timeline_name(fence), "points");
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	ck_assert_int_eq(stile_fence_set_expiry(fence, runner_clock_ns() + MS), 0);
	ck_assert_int_eq(plain_fence_finish(fence), -ETIMEDOUT);
	stile_fence_unref(fence);
}
END_TEST

static int try_fence(void *user) {
	return stile_timeline_create_fence(timeline, 1, user);
}

static void after_fence(void *user, int ret) {
	struct stile_fence **fence = user;
	ck_assert((*fence != NULL) == (ret == 0));
	ck_assert_uint_eq(timeline->refs, 1);
	if (*fence != NULL) {
		stile_fence_unref(*fence);
	}
	size_t registered = 0;
	for (size_t i = 0; i < REGISTRATIONS; i++) {
		registered += fake->registrations[i].fd >= 0;
	}
	ck_assert_uint_eq(registered, ret == 0);
}

/* Wrong code: a descriptor or a fence that is left when a later step fails; a registration first. */
START_TEST(failed_fence_leaves_nothing) {
	static const int errors[] = { -EMFILE, -ENOMEM, -EAGAIN, 0 };
	struct stile_fence *fence = NULL;
	/* The eventfd, its names, the watcher's parts, the fence, its slot, and the owner's copy. */
	ck_assert_uint_ge(failing_sweep(try_fence, after_fence, &fence, errors), 8);
}
END_TEST

static struct stile_timeline_ops ops_without(size_t offset, size_t bytes) {
	struct stile_timeline_ops ops = fake_ops;
	memset((char *)&ops + offset, 0, bytes);
	return ops;
}

#define WITHOUT(member) \
	ops_without(offsetof(struct stile_timeline_ops, member), sizeof(fake_ops.member))

static int create_with(const struct stile_timeline_ops *ops, size_t size, const char *name) {
	/* Of a newer library. */
	struct {
		struct stile_timeline_info info;
		void *beyond;
	} newer = { { size, name, ops, fake, NULL }, size > sizeof(newer.info) ? fake : NULL };
	struct stile_timeline *out = (struct stile_timeline *)(uintptr_t)1;
	int ret = stile_timeline_create_from(&newer.info, &out);
	if (ret < 0) {
		ck_assert_ptr_null(out);
	}
	return ret;
}

/* Wrong code: any of the checks left out; the owner's release called for what was not taken over. */
START_TEST(impossible_owners_are_refused) {
	const size_t size = sizeof(struct stile_timeline_info);
	struct stile_timeline_ops tables[] = { WITHOUT(size), WITHOUT(kind), WITHOUT(get_value),
		WITHOUT(get_state), WITHOUT(wait), WITHOUT(release), fake_ops };
	for (size_t i = 0; i + 1 < ARRAY_LENGTH(tables); i++) {
		ck_assert_msg(create_with(&tables[i], size, "bad") == -EINVAL, "table %zu", i);
	}
	ck_assert_int_eq(create_with(NULL, size, "bad"), -EINVAL);
	ck_assert_int_eq(create_with(&fake_ops, size, NULL), -EINVAL);
	ck_assert_int_eq(create_with(&fake_ops, 0, "bad"), -EINVAL);
	ck_assert_int_eq(create_with(&fake_ops, SIZE_MAX, "bad"), -EINVAL);
	ck_assert_int_eq(create_with(&fake_ops, size + sizeof(void *), "bad"), -E2BIG);
	struct {
		struct stile_timeline_ops ops;
		void *beyond;
	} newer = { fake_ops, fake };
	newer.ops.size = sizeof(newer);
	ck_assert_int_eq(create_with(&newer.ops, size, "bad"), -E2BIG);
	failing_begin(1);
	int ret = create_with(&fake_ops, size, "bad");
	ck_assert_str_eq(failing_end(), "calloc");
	ck_assert_int_eq(ret, -ENOMEM);
	ck_assert_int_eq(atomic_load(&releases), 0);
}
END_TEST

/* T-11 of timelines. Wrong code: what is the library's own looks as if somebody kept it. */
START_TEST(owner_knows_its_own) {
	struct stile_timeline *own;
	ck_assert_int_eq(stile_timeline_create("own", &own), 0);
	ck_assert_ptr_eq(stile_timeline_get_ops(timeline), &fake_ops);
	ck_assert_ptr_eq(stile_timeline_get_priv(timeline), fake);
	ck_assert_ptr_null(stile_timeline_get_ops(own));
	ck_assert_ptr_null(stile_timeline_get_priv(own));
	stile_timeline_unref(own);
}
END_TEST

/* Wrong code: released with the first reference, or while the graph still asks. */
START_TEST(release_comes_once_after_the_last_reference) {
	stile_timeline_ref(timeline);
	stile_timeline_unref(timeline);
	ck_assert_int_eq(atomic_load(&releases), 0);
	timeline_hold(timeline);
	struct stile_timeline *held = timeline;
	stile_timeline_unref(timeline);
	timeline = NULL;
	ck_assert_int_eq(atomic_load(&releases), 0);
	ck_assert_uint_eq(stile_timeline_get_value(held), 0);
	timeline_put(held);
	ck_assert_int_eq(atomic_load(&releases), 1);
}
END_TEST

static void add_common(Suite *s, const char *name, void (*setup)(void)) {
	TCase *common = ledger_tcase_create(name);
	tcase_add_checked_fixture(common, setup, teardown);
	tcase_set_timeout(common, 60);
	tcase_add_test(common, any_point_is_unsubmitted_then_pending_then_done);
	tcase_add_test(common, any_value_can_be_signalled);
	tcase_add_test(common, any_point_gives_what_to_wait_for);
	tcase_add_test(common, any_poll_tells_both_events_apart);
	tcase_add_loop_test(common, any_deadline_ends_a_wait, 0, 8);
	tcase_add_test(common, any_impossible_wait_is_refused);
	tcase_add_loop_test(common, any_wait_before_submission_ends_with_it, 0, 2);
	tcase_add_loop_test(common, any_wait_for_the_end_goes_on_to_it, 0, 2);
	tcase_add_loop_test(common, any_wait_ends_when_a_program_signals, 0, 2);
	tcase_add_loop_test(common, any_wait_can_be_cancelled, 0, 2);
	tcase_add_test(common, any_wait_keeps_the_timeline_open);
	tcase_add_test(common, any_eventfd_is_told_once_of_each_event);
	tcase_add_test(common, any_eventfd_has_to_be_one);
	tcase_add_test(common, any_value_has_a_fence_before_it_is_submitted);
	tcase_add_test(common, any_fence_of_a_value_that_never_comes_expires);
	tcase_add_test(common, any_wait_drives_what_is_driven);
	tcase_add_test(common, any_wait_is_in_the_graph);
	tcase_add_test(common, any_wait_for_a_submission_with_a_lock_is_told);
	tcase_add_test(common, any_threads_wait_while_another_submits);
	suite_add_tcase(s, common);
}

static Suite *suite(void) {
	Suite *s = suite_create("timeline_ops");
	add_common(s, "the library's own", setup_own);
	add_common(s, "somebody else's", setup_owned);

	TCase *owner = ledger_tcase_create("owner");
	tcase_add_checked_fixture(owner, setup_owned, teardown);
	tcase_add_test(owner, value_0_is_the_owners);
	tcase_add_test(owner, what_an_owner_lacks_is_not_supported);
	tcase_add_test(owner, pending_point_without_a_fence_is_in_the_graph);
	tcase_add_test(owner, owner_that_makes_fences_needs_no_device);
	tcase_add_test(owner, owner_without_a_device_makes_no_fences);
	tcase_add_test(owner, errors_of_the_owner_are_passed_on);
	tcase_add_test(owner, only_waits_that_can_be_cancelled_are_sliced);
	tcase_add_test(owner, each_fence_of_an_owned_value_is_a_new_one);
	tcase_add_test(owner, fence_of_a_submitted_value_is_a_user_fence_too);
	tcase_add_test(owner, fence_outlives_its_timeline);
	tcase_add_test(owner, failed_fence_leaves_nothing);
	tcase_add_test(owner, impossible_owners_are_refused);
	tcase_add_test(owner, owner_knows_its_own);
	tcase_add_test(owner, release_comes_once_after_the_last_reference);
	suite_add_tcase(s, owner);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
