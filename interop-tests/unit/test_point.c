/* SPDX-License-Identifier: MIT */
/*
 * Points of a timeline, what is submitted to it and who waits for it: KERNEL_CONTRACT section 15
 * (Y-...) and 3 (C-...).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <stile/array.h>
#include <stile/chain.h>
#include <stile/fence.h>
#include <stile/timeline.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/fence.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/timeline.h"

enum { NO_EVENT = 0, EVENTS_END = STILE_POINT_SIGNALED + 1 };

static struct stile_timeline *timeline;
static int fences_before;

static void setup(void) {
	fences_before = plain_fence_count();
	ck_assert_int_eq(stile_timeline_create("points", &timeline), 0);
}

/* A test that closes the timeline itself leaves NULL. */
static void teardown(void) {
	stile_timeline_unref(timeline);
	ck_assert_int_eq(plain_fence_count(), fences_before);
}

static struct stile_point point_at(uint64_t value) {
	return (struct stile_point){ .timeline = timeline, .value = value };
}

static enum stile_point_state state_of(uint64_t value) {
	struct stile_point point = point_at(value);
	return stile_point_get_state(&point);
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

static int64_t hang_ns(void) {
	return runner_clock_ns() + INT64_C(60000000000);
}

/* ---- How a point stands -------------------------------------------------------------------- */

/* Wrong code: a point that is pending before anything was submitted, or done too early. */
START_TEST(point_is_unsubmitted_then_pending_then_done) {
	ck_assert_int_eq(state_of(3), STILE_POINT_UNSUBMITTED);
	struct stile_fence *fence = submit(3);
	ck_assert_int_eq(state_of(3), STILE_POINT_PENDING);
	ck_assert_int_eq(state_of(4), STILE_POINT_UNSUBMITTED);
	finish(fence);
	ck_assert_int_eq(state_of(3), STILE_POINT_DONE);
	ck_assert_int_eq(state_of(4), STILE_POINT_UNSUBMITTED);
}
END_TEST

/* C-6. Wrong code: only values that were submitted themselves, or only the last one. */
START_TEST(earlier_values_go_with_the_next_one_submitted) {
	struct stile_fence *first = submit(10), *second = submit(20);
	ck_assert_int_eq(state_of(1), STILE_POINT_PENDING);
	ck_assert_int_eq(state_of(15), STILE_POINT_PENDING);
	finish(first);
	ck_assert_int_eq(state_of(1), STILE_POINT_DONE);
	ck_assert_int_eq(state_of(10), STILE_POINT_DONE);
	ck_assert_int_eq(state_of(11), STILE_POINT_PENDING);
	finish(second);
	ck_assert_int_eq(state_of(20), STILE_POINT_DONE);
}
END_TEST

/* C-7. Wrong code: the fence of a point alone, with what is before it still running. */
START_TEST(point_is_done_only_after_those_before) {
	struct stile_fence *first = submit(1), *second = submit(2);
	finish(second);
	ck_assert_int_eq(state_of(1), STILE_POINT_PENDING);
	ck_assert_int_eq(state_of(2), STILE_POINT_PENDING);
	finish(first);
	ck_assert_int_eq(state_of(2), STILE_POINT_DONE);
}
END_TEST

/* Wrong code: a counter that does not count for points, or that stands for a submission. */
START_TEST(counter_reaches_points) {
	ck_assert_int_eq(state_of(0), STILE_POINT_DONE);
	ck_assert_int_eq(state_of(2), STILE_POINT_UNSUBMITTED);
	struct stile_fence *fence, *submitted = submit(2);
	ck_assert_int_eq(stile_timeline_create_fence(timeline, 3, &fence), 0);
	ck_assert_int_eq(state_of(3), STILE_POINT_UNSUBMITTED);
	stile_timeline_advance(timeline, 2);
	ck_assert_int_eq(state_of(2), STILE_POINT_DONE);
	ck_assert_int_eq(state_of(3), STILE_POINT_UNSUBMITTED);
	finish(submitted);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a fence that is given away without a reference, or made up where there is none. */
START_TEST(point_gives_what_to_wait_for) {
	struct stile_point point = point_at(5);
	struct stile_fence *out = (struct stile_fence *)(uintptr_t)1, *stub;
	ck_assert_int_eq(stile_point_get_fence(&point, &out), -EAGAIN);
	ck_assert_ptr_null(out);

	struct stile_fence *fence = submit(5);
	ck_assert_int_eq(stile_point_get_fence(&point, &out), 0);
	ck_assert(stile_fence_is_chain(out));
	ck_assert_ptr_eq(stile_chain_get_contained(out), fence);
	ck_assert_int_eq(stile_fence_get_status(out), 0);
	finish(fence);
	ck_assert_int_eq(plain_fence_finish(out), 1);
	stile_fence_unref(out);

	ck_assert_int_eq(stile_point_get_fence(&point, &out), 0);
	stub = stile_fence_get_stub();
	ck_assert_ptr_eq(out, stub);
	stile_fence_unref(out);
	stile_fence_unref(stub);
}
END_TEST

/* Y-10, C-3. Wrong code: an element inside an element, which is told as misuse. */
START_TEST(chain_is_submitted_as_its_leaves) {
	struct stile_timeline *other;
	ck_assert_int_eq(stile_timeline_create("other", &other), 0);
	struct stile_fence *fences[] = { submit(1), submit(2) }, *head;
	struct stile_point point = point_at(2), there = { .timeline = other, .value = 7 };
	ck_assert_int_eq(stile_point_get_fence(&point, &head), 0);
	ck_assert_int_eq(stile_timeline_submit(other, 7, head), 0);
	stile_fence_unref(head);
	ck_assert_int_eq(stile_point_get_fence(&there, &head), 0);
	ck_assert(stile_fence_is_array(stile_chain_get_contained(head)));
	ck_assert_uint_eq(stile_array_get_count(stile_chain_get_contained(head)), 2);
	finish(fences[0]);
	ck_assert_int_eq(stile_point_get_state(&there), STILE_POINT_PENDING);
	finish(fences[1]);
	ck_assert_int_eq(stile_point_get_state(&there), STILE_POINT_DONE);
	stile_fence_unref(head);
	stile_timeline_unref(other);
}
END_TEST

/* C-2, C-11. Wrong code: a refusal; a head that goes backwards, so that 10 is unsubmitted again. */
START_TEST(value_out_of_order_makes_all_up_to_the_last_wait) {
	finish(submit(10));
	ck_assert_int_eq(state_of(10), STILE_POINT_DONE);
	struct stile_fence *late = submit(5);
	ck_assert_int_eq(state_of(5), STILE_POINT_PENDING);
	ck_assert_int_eq(state_of(10), STILE_POINT_PENDING);
	ck_assert_int_eq(state_of(11), STILE_POINT_UNSUBMITTED);
	finish(late);
	ck_assert_int_eq(state_of(10), STILE_POINT_DONE);
}
END_TEST

/* Y-4. Wrong code: no walk along the chain, which then keeps all fences there ever were. */
START_TEST(submitting_takes_out_what_is_done) {
	struct stile_fence *first = submit(1);
	for (uint64_t value = 2; value < 50; value++) {
		finish(submit(value));
	}
	finish(first);
	struct stile_fence *last = submit(50);
	ck_assert_int_eq(plain_fence_count() - fences_before, 1);
	finish(last);
}
END_TEST

/* W-6. Wrong code: a timeline kept by its own fence, which it keeps (the leak is LSan's to see). */
START_TEST(timeline_whose_own_fence_was_submitted_can_go) {
	struct stile_fence *fence;
	ck_assert_int_eq(stile_timeline_create_fence(timeline, 9, &fence), 0);
	ck_assert_int_eq(stile_timeline_submit(timeline, 9, fence), 0);
	stile_timeline_unref(timeline);
	timeline = NULL;
	ck_assert_int_eq(stile_fence_get_status(fence), -ENOENT);
	ck_assert_uint_eq(fence->refs, 1);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a reference on the fence that is kept after a failure. */
START_TEST(value_0_cannot_be_submitted) {
	struct stile_fence *fence = plain_fence_create();
	ck_assert_int_eq(stile_timeline_submit(timeline, 0, fence), -EINVAL);
	ck_assert_uint_eq(fence->refs, 1);
	ck_assert_ptr_null(timeline->head);
	finish(fence);
}
END_TEST

struct submission {
	struct stile_fence *fence;
	uint64_t value;
};

static int try_submit(void *user) {
	struct submission *submission = user;
	return stile_timeline_submit(timeline, submission->value, submission->fence);
}

static void after_submit(void *user, int ret) {
	struct submission *submission = user;
	enum stile_point_state state = state_of(submission->value);
	ck_assert_int_eq(state, ret < 0 ? STILE_POINT_UNSUBMITTED : STILE_POINT_PENDING);
}

/* Y-6. Wrong code: an allocation after the first change. */
START_TEST(submission_without_memory_changes_nothing) {
	static const int errors[] = { -ENOMEM, 0 };
	struct submission plain = { plain_fence_create(), 1 };
	ck_assert_uint_eq(failing_sweep(try_submit, after_submit, &plain, errors), 1);

	struct stile_fence *second = submit(2);
	struct stile_point point = point_at(2);
	struct submission chain = { NULL, 3 };
	ck_assert_int_eq(stile_point_get_fence(&point, &chain.fence), 0);
	ck_assert_uint_eq(failing_sweep(try_submit, after_submit, &chain, errors), 3);
	stile_fence_unref(chain.fence);
	finish(plain.fence);
	finish(second);
}
END_TEST

/* ---- Waiting ------------------------------------------------------------------------------- */

static const enum stile_point_event events[] = { STILE_POINT_AVAILABLE, STILE_POINT_SIGNALED };

static int wait_for(uint64_t value, enum stile_point_event event, int64_t deadline_ns) {
	struct stile_point point = point_at(value);
	return stile_point_wait(&point, event, deadline_ns, NULL);
}

/* Y-7, Y-8. Wrong code: one event for the other; a sleep where 0 polls. */
START_TEST(polling_tells_both_events_apart) {
	ck_assert_int_eq(wait_for(0, STILE_POINT_SIGNALED, 0), 0);
	ck_assert_int_eq(wait_for(0, STILE_POINT_AVAILABLE, 0), 0);
	ck_assert_int_eq(wait_for(1, STILE_POINT_AVAILABLE, 0), -ETIME);
	ck_assert_int_eq(wait_for(1, STILE_POINT_SIGNALED, 0), -ETIME);
	struct stile_fence *fence = submit(1);
	ck_assert_int_eq(wait_for(1, STILE_POINT_AVAILABLE, 0), 0);
	ck_assert_int_eq(wait_for(1, STILE_POINT_SIGNALED, 0), -ETIME);
	ck_assert(!fence_is_enabled(fence));
	finish(fence);
	ck_assert_int_eq(wait_for(1, STILE_POINT_SIGNALED, 0), 0);
	ck_assert_int_eq(wait_for(1, STILE_POINT_AVAILABLE, 0), 0);
}
END_TEST

/* Y-7: -ETIME. Wrong code: a relative time; a watch or a callback left behind, seen by ASan. */
START_TEST(deadline_ends_a_wait) {
	struct stile_fence *fence = _i >= 2 ? submit(1) : NULL;
	int64_t deadline_ns = runner_clock_ns() + (_i % 2) * INT64_C(3000000) + 1;
	ck_assert_int_eq(wait_for(1, STILE_POINT_SIGNALED, deadline_ns), -ETIME);
	ck_assert_int_ge(runner_clock_ns(), deadline_ns);
	ck_assert_ptr_null(timeline->watches);
	ck_assert_uint_eq(timeline->handles, 1);
	if (fence != NULL) {
		finish(fence);
	}
}
END_TEST

/* Wrong code: any of the checks left out, or made only where the wait sleeps. */
START_TEST(impossible_waits_are_refused) {
	ck_assert_int_eq(wait_for(0, STILE_POINT_SIGNALED, -1), -EINVAL);
	ck_assert_int_eq(wait_for(1, STILE_POINT_AVAILABLE, -1), -EINVAL);
	ck_assert_int_eq(wait_for(0, (enum stile_point_event)NO_EVENT, 0), -EINVAL);
	ck_assert_int_eq(wait_for(0, (enum stile_point_event)EVENTS_END, 0), -EINVAL);
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

static bool has_watches(void) {
	os_lock(&timeline->lock);
	bool some = timeline->watches != NULL;
	os_unlock(&timeline->lock);
	return some;
}

/* When it is on the list, it cannot miss anything any more. */
static void sleeper_start(struct sleeper *sleeper, uint64_t value, enum stile_point_event event,
	struct stile_cancel *cancel) {
	*sleeper = (struct sleeper){ .point = point_at(value), .event = event, .cancel = cancel };
	ck_assert_int_eq(pthread_create(&sleeper->thread, NULL, sleeper_run, sleeper), 0);
	while (!has_watches()) {
		runner_sleep_ms(1);
	}
}

static int sleeper_join(struct sleeper *sleeper) {
	pthread_join(sleeper->thread, NULL);
	return sleeper->ret;
}

/* Y-8: wait before submit. Wrong code: no look at submissions while it sleeps. */
START_TEST(wait_before_submission_ends_with_it) {
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

/* Wrong code: a wait that ends with the submission; one that does not ask the fence to signal. */
START_TEST(wait_for_the_end_goes_on_with_the_fence) {
	struct stile_cancel cancel;
	struct sleeper sleeper;
	stile_cancel_init(&cancel);
	sleeper_start(&sleeper, 4, STILE_POINT_SIGNALED, _i == 0 ? NULL : &cancel);
	struct stile_fence *fence = submit(4);
	while (!fence_is_enabled(fence)) {
		runner_sleep_ms(1);
	}
	runner_sleep_ms(2);
	ck_assert(!atomic_load(&sleeper.over));
	/* Failure ends it as well (Y-7). */
	stile_fence_set_error(fence, -EIO);
	finish(fence);
	ck_assert_int_eq(sleeper_join(&sleeper), 0);
}
END_TEST

/* Wrong code: a wait that looks at the fence only, once there is one. */
START_TEST(counter_ends_a_wait) {
	struct sleeper sleeper;
	struct stile_fence *fence = NULL;
	sleeper_start(&sleeper, 4, events[_i % 2], NULL);
	if (_i == 3) {
		fence = submit(4);
		while (!fence_is_enabled(fence)) {
			runner_sleep_ms(1);
		}
	}
	stile_timeline_advance(timeline, 3);
	runner_sleep_ms(1);
	ck_assert(!atomic_load(&sleeper.over));
	stile_timeline_advance(timeline, 1);
	ck_assert_int_eq(sleeper_join(&sleeper), 0);
	if (fence != NULL) {
		finish(fence);
	}
}
END_TEST

/* Wrong code: only one of those who wait is woken. */
START_TEST(all_waits_end) {
	struct sleeper sleepers[4];
	for (size_t i = 0; i < ARRAY_LENGTH(sleepers); i++) {
		sleeper_start(&sleepers[i], 1 + i % 2, events[i / 2], NULL);
	}
	finish(submit(2));
	for (size_t i = 0; i < ARRAY_LENGTH(sleepers); i++) {
		ck_assert_int_eq(sleeper_join(&sleepers[i]), 0);
	}
}
END_TEST

/* Wrong code: a token that is seen only before the sleep, or only while the point has no fence. */
START_TEST(cancelling_ends_a_wait) {
	struct stile_cancel cancel;
	struct sleeper sleeper;
	stile_cancel_init(&cancel);
	struct stile_fence *fence = NULL;
	sleeper_start(&sleeper, 1, STILE_POINT_SIGNALED, &cancel);
	if (_i == 1) {
		fence = submit(1);
		while (!fence_is_enabled(fence)) {
			runner_sleep_ms(1);
		}
	}
	stile_cancel_raise(&cancel);
	ck_assert_int_eq(sleeper_join(&sleeper), -EINTR);

	/* And the next one; but what has happened has. */
	struct stile_point point = point_at(1), done = point_at(0);
	ck_assert_int_eq(stile_point_wait(&point, STILE_POINT_SIGNALED, 0, &cancel), -EINTR);
	ck_assert_int_eq(
		stile_point_wait(&point, STILE_POINT_SIGNALED, hang_ns(), &cancel), -EINTR);
	ck_assert_int_eq(stile_point_wait(&done, STILE_POINT_SIGNALED, hang_ns(), &cancel), 0);
	if (fence != NULL) {
		finish(fence);
	}
}
END_TEST

/* Wrong code: a wait with no reference, on a timeline that is closed and freed under it. */
START_TEST(wait_keeps_the_timeline_open) {
	struct sleeper sleeper;
	struct stile_fence *fence;
	ck_assert_int_eq(stile_timeline_create_fence(timeline, 9, &fence), 0);
	sleeper_start(&sleeper, 1, STILE_POINT_SIGNALED, NULL);
	struct stile_fence *work = submit(1);
	stile_timeline_unref(timeline);
	timeline = NULL;
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	finish(work);
	ck_assert_int_eq(sleeper_join(&sleeper), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), -ENOENT);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: nobody looks at the clock for a fence whose owner is late. */
START_TEST(expiry_of_the_fence_ends_a_wait) {
	struct stile_timeline *other;
	struct stile_fence *fence;
	ck_assert_int_eq(stile_timeline_create("late", &other), 0);
	ck_assert_int_eq(stile_timeline_create_fence(other, 1, &fence), 0);
	ck_assert_int_eq(stile_fence_set_expiry(fence, runner_clock_ns() + 3000000), 0);
	ck_assert_int_eq(stile_timeline_submit(timeline, 1, fence), 0);
	ck_assert_int_eq(wait_for(1, STILE_POINT_SIGNALED, hang_ns()), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), -ETIMEDOUT);
	stile_fence_unref(fence);
	stile_timeline_unref(other);
}
END_TEST

/* ---- Telling eventfds ---------------------------------------------------------------------- */

static int new_eventfd(unsigned count) {
	int fd = eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* What was added since the last look; a closed eventfd has 0. */
static uint64_t told(int fd) {
	eventfd_t count = 0;
	return eventfd_read(fd, &count) < 0 ? 0 : count;
}

static void notify(uint64_t value, enum stile_point_event event, int fd) {
	struct stile_point point = point_at(value);
	ck_assert_int_eq(stile_point_notify_fd(&point, event, fd), 0);
}

/* Y-11. Wrong code: told twice, once a submission, or for the event that it is not about. */
START_TEST(eventfd_is_told_once_of_each_event) {
	int available = new_eventfd(0), done = new_eventfd(0);
	notify(3, STILE_POINT_AVAILABLE, available);
	notify(3, STILE_POINT_SIGNALED, done);
	struct stile_fence *before = submit(2), *fence, *after;
	ck_assert_uint_eq(told(available), 0);
	fence = submit(3);
	ck_assert_uint_eq(told(available), 1);
	ck_assert_uint_eq(told(done), 0);
	after = submit(4);
	finish(before);
	ck_assert_uint_eq(told(done), 0);
	finish(fence);
	ck_assert_uint_eq(told(done), 1);
	finish(after);
	stile_timeline_advance(timeline, 10);
	ck_assert_uint_eq(told(available), 0);
	ck_assert_uint_eq(told(done), 0);
	ck_assert_ptr_null(timeline->watches);
	ck_assert_uint_eq(timeline->refs, 1);
	close(available);
	close(done);
}
END_TEST

/* Y-11: already so. Wrong code: only what happens later is told. */
START_TEST(eventfd_is_told_at_once_of_what_has_happened) {
	int fd = new_eventfd(0);
	struct stile_fence *fence = submit(1);
	notify(1, STILE_POINT_AVAILABLE, fd);
	ck_assert_uint_eq(told(fd), 1);
	notify(1, STILE_POINT_SIGNALED, fd);
	ck_assert_uint_eq(told(fd), 0);
	finish(fence);
	ck_assert_uint_eq(told(fd), 1);
	notify(1, STILE_POINT_SIGNALED, fd);
	ck_assert_uint_eq(told(fd), 1);
	notify(1, STILE_POINT_AVAILABLE, fd);
	ck_assert_uint_eq(told(fd), 1);
	notify(0, STILE_POINT_SIGNALED, fd);
	ck_assert_uint_eq(told(fd), 1);
	notify(0, STILE_POINT_AVAILABLE, fd);
	ck_assert_uint_eq(told(fd), 1);
	ck_assert_uint_eq(timeline->refs, 1);
	close(fd);
}
END_TEST

/* Wrong code: a fence that was signalled between submitting and listening is not told of. */
START_TEST(eventfd_is_told_of_a_submission_that_is_done_already) {
	int fd = new_eventfd(0);
	notify(1, STILE_POINT_AVAILABLE, fd);
	notify(1, STILE_POINT_SIGNALED, fd);
	struct stile_fence *stub = stile_fence_get_stub();
	ck_assert_int_eq(stile_timeline_submit(timeline, 1, stub), 0);
	stile_fence_unref(stub);
	ck_assert_uint_eq(told(fd), 2);
	ck_assert_ptr_null(timeline->watches);
	close(fd);
}
END_TEST

/* Y-11: several. Wrong code: one registration a point, or one an eventfd. */
START_TEST(eventfds_may_be_many) {
	int fds[] = { new_eventfd(0), new_eventfd(40) };
	for (int i = 0; i < 3; i++) {
		notify(1, STILE_POINT_SIGNALED, fds[0]);
		notify(2, STILE_POINT_SIGNALED, fds[0]);
		notify(2, STILE_POINT_SIGNALED, fds[1]);
	}
	finish(submit(1));
	ck_assert_uint_eq(told(fds[0]), 3);
	finish(submit(2));
	ck_assert_uint_eq(told(fds[0]), 3);
	ck_assert_uint_eq(told(fds[1]), 43);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* Wrong code: a counter that nobody listens to; told again when the fence ends. */
START_TEST(counter_tells_eventfds) {
	int fd = new_eventfd(0);
	notify(2, events[_i % 2], fd);
	struct stile_fence *fence = NULL;
	if (_i == 3) {
		fence = submit(2);
	}
	stile_timeline_advance(timeline, 1);
	ck_assert_uint_eq(told(fd), 0);
	stile_timeline_advance(timeline, 1);
	ck_assert_uint_eq(told(fd), 1);
	/* Has the number of the duplicate, which was closed. */
	int other = new_eventfd(0);
	if (fence != NULL) {
		finish(fence);
	}
	ck_assert_uint_eq(told(fd), 0);
	ck_assert_uint_eq(told(other), 0);
	ck_assert_int_eq(fcntl(other, F_GETFD), FD_CLOEXEC);
	ck_assert_uint_eq(timeline->refs, 1);
	close(other);
	close(fd);
}
END_TEST

/* Wrong code: a value far above the counter taken for one that it has passed. */
START_TEST(highest_value_waits_for_its_fence) {
	int fd = new_eventfd(0);
	ck_assert_int_eq(state_of(UINT64_MAX), STILE_POINT_UNSUBMITTED);
	struct stile_fence *fence = submit(UINT64_MAX);
	ck_assert_int_eq(state_of(UINT64_MAX), STILE_POINT_PENDING);
	notify(UINT64_MAX, STILE_POINT_SIGNALED, fd);
	ck_assert_uint_eq(told(fd), 0);
	finish(fence);
	ck_assert_int_eq(state_of(UINT64_MAX), STILE_POINT_DONE);
	ck_assert_uint_eq(told(fd), 1);
	close(fd);
}
END_TEST

/* Y-11. Wrong code: told of an end that never came; a descriptor kept, which the ledger sees. */
START_TEST(close_drops_eventfds_without_a_fence_and_no_others) {
	int without = new_eventfd(0), with = new_eventfd(0);
	notify(9, STILE_POINT_AVAILABLE, without);
	notify(9, STILE_POINT_SIGNALED, without);
	notify(1, STILE_POINT_SIGNALED, with);
	struct stile_fence *fence = submit(1);
	notify(1, STILE_POINT_SIGNALED, with);
	stile_timeline_unref(timeline);
	timeline = NULL;
	ck_assert_uint_eq(told(with), 0);
	finish(fence);
	ck_assert_uint_eq(told(with), 2);
	ck_assert_uint_eq(told(without), 0);
	close(without);
	close(with);
}
END_TEST

/* Wrong code: the caller's descriptor kept, so that its number may be something else by then. */
START_TEST(eventfd_is_borrowed) {
	int fd = new_eventfd(0), copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	notify(1, STILE_POINT_SIGNALED, fd);
	close(fd);
	finish(submit(1));
	ck_assert_uint_eq(told(copy), 1);
	ck_assert_int_eq(fcntl(copy, F_GETFD), FD_CLOEXEC);
	close(copy);
}
END_TEST

/* Wrong code: a duplicate that other programs inherit. */
START_TEST(duplicate_is_closed_by_exec) {
	int fd = new_eventfd(0), free_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	close(free_fd);
	notify(1, STILE_POINT_SIGNALED, fd);
	ck_assert_int_eq(fcntl(free_fd, F_GETFD), FD_CLOEXEC);
	finish(submit(1));
	ck_assert_int_lt(fcntl(free_fd, F_GETFD), 0);
	close(fd);
}
END_TEST

/* Wrong code: a write that waits for a reader, under the fence's lock; errno lost. */
START_TEST(full_eventfd_blocks_nobody) {
	int fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(eventfd_write(fd, UINT64_MAX - 1), 0);
	notify(1, STILE_POINT_AVAILABLE, fd);
	notify(1, STILE_POINT_SIGNALED, fd);
	errno = ERANGE;
	finish(submit(1));
	ck_assert_int_eq(errno, ERANGE);
	ck_assert_uint_eq(told(fd), UINT64_MAX - 1);
	close(fd);
}
END_TEST

static int notify_error(enum stile_point_event event, int fd) {
	struct stile_point point = point_at(1);
	int ret = stile_point_notify_fd(&point, event, fd);
	ck_assert_ptr_null(timeline->watches);
	ck_assert_uint_eq(timeline->refs, 1);
	return ret;
}

/* Wrong code: whatever can be written to is taken; an event that is none is taken for the other. */
START_TEST(what_is_no_eventfd_is_refused) {
	int ends[2], fd = new_eventfd(0);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	int memory = memory_create(4096, 0);
	ck_assert_int_eq(notify_error(STILE_POINT_SIGNALED, -1), -EBADF);
	ck_assert_int_eq(notify_error(STILE_POINT_SIGNALED, memory_closed_fd()), -EBADF);
	ck_assert_int_eq(notify_error(STILE_POINT_SIGNALED, ends[1]), -EINVAL);
	ck_assert_int_eq(notify_error(STILE_POINT_SIGNALED, memory), -EINVAL);
	ck_assert_int_eq(notify_error((enum stile_point_event)NO_EVENT, fd), -EINVAL);
	ck_assert_int_eq(notify_error((enum stile_point_event)EVENTS_END, fd), -EINVAL);
	close(ends[0]);
	close(ends[1]);
	close(memory);
	close(fd);
}
END_TEST

static int try_notify(void *user) {
	struct stile_point point = point_at(1);
	return stile_point_notify_fd(&point, STILE_POINT_SIGNALED, *(int *)user);
}

static void after_notify(void *user, int ret) {
	(void)user;
	ck_assert((timeline->watches != NULL) == (ret == 0));
	ck_assert_uint_eq(timeline->refs, ret == 0 ? 2 : 1);
}

static int submit_stub(void *user) {
	(void)user;
	struct stile_fence *stub = stile_fence_get_stub();
	int ret = stile_timeline_submit(timeline, 1, stub);
	stile_fence_unref(stub);
	return ret;
}

static void after_stub(void *user, int ret) {
	ck_assert_uint_eq(told(*(int *)user), ret == 0);
}

/* Wrong code: something is left after a failure; an allocation later, when nothing may fail. */
START_TEST(registering_may_fail_and_telling_may_not) {
	static const int errors[] = { -EMFILE, -ENOMEM, 0 };
	int fd = new_eventfd(0);
	ck_assert_uint_eq(failing_sweep(try_notify, after_notify, &fd, errors), 2);
	/* The one allocation is the chain's element. */
	ck_assert_uint_eq(failing_sweep(submit_stub, after_stub, &fd, errors), 1);
	close(fd);
}
END_TEST

/* ---- Threads ------------------------------------------------------------------------------- */

enum { LAST = 300, WAITERS = 3, TELLERS = 2 };

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
	for (uint64_t value = 1; value <= LAST;) {
		uint64_t random = runner_random(&waiting->random);
		struct stile_point point = point_at(value);
		enum stile_point_event event = events[random & 1];
		int ret = stile_point_wait(&point, event, hang_ns(), NULL);
		enum stile_point_state state = stile_point_get_state(&point);
		bool right = ret == 0 && state != STILE_POINT_UNSUBMITTED &&
			(event == STILE_POINT_AVAILABLE || state == STILE_POINT_DONE);
		atomic_fetch_add(&wrong, !right);
		value += value == LAST ? 1 : random % 8 % (LAST - value + 1);
	}
	return NULL;
}

static void *ask_for_notices(void *arg) {
	struct waiting *waiting = arg;
	for (int i = 0; i < LAST; i++) {
		uint64_t random = runner_random(&waiting->random);
		struct stile_point point = point_at(1 + (random >> 8) % LAST);
		int ret = stile_point_notify_fd(&point, events[random & 1], waiting->fd);
		atomic_fetch_add(&wrong, ret != 0);
		atomic_fetch_add(&notices, 1);
	}
	return NULL;
}

/* Submits fences, and signals them a little later, not in order; some values by the counter. */
static void submit_all(uint64_t random) {
	struct stile_fence *late[8] = { NULL };
	for (uint64_t value = 1; value <= LAST; value++) {
		uint64_t choice = runner_random(&random);
		struct stile_fence **slot = &late[choice % ARRAY_LENGTH(late)];
		if (*slot != NULL) {
			finish(*slot);
		}
		*slot = submit(value);
		if (choice & 0x100) {
			stile_timeline_advance(timeline, choice >> 9 & 1);
		}
	}
	for (size_t i = 0; i < ARRAY_LENGTH(late); i++) {
		if (late[i] != NULL) {
			finish(late[i]);
		}
	}
}

/*
 * Y-4, Y-8, Y-11. Wrong code: a submission between the look and the sleep is missed; a notice that
 * the counter and the fence both free; a lock taken the other way round.
 */
START_TEST(threads_wait_while_another_submits) {
	struct waiting waiting[WAITERS + TELLERS];
	uint64_t random = runner_seed();
	atomic_store(&wrong, 0);
	atomic_store(&notices, 0);
	int fd = new_eventfd(0);
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
	ck_assert_ptr_null(timeline->watches);
	ck_assert_uint_eq(timeline->refs, 1);
	close(fd);
}
END_TEST

static void *submit_half(void *arg) {
	uint64_t random = *(uint64_t *)arg;
	for (uint64_t value = 1; value <= LAST; value++) {
		struct stile_fence *fence = plain_fence_create();
		atomic_fetch_add(&wrong, stile_timeline_submit(timeline, value, fence) != 0);
		if (runner_random(&random) & 1) {
			stile_fence_signal(fence);
		}
		finish(fence);
	}
	return NULL;
}

/* C-11. Wrong code: two submissions on top of the same head, of which one is lost. */
START_TEST(threads_submit_at_the_same_time) {
	struct stile_fence *first = submit(1), *head;
	struct stile_point point = point_at(LAST);
	uint64_t random = runner_seed();
	pthread_t threads[2];
	atomic_store(&wrong, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, submit_half, &random), 0);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
		pthread_join(threads[i], NULL);
	}
	ck_assert_int_eq(atomic_load(&wrong), 0);
	/* All of them are done but the first: it is still at the bottom. */
	ck_assert_int_eq(stile_point_get_state(&point), STILE_POINT_PENDING);
	ck_assert_int_eq(stile_point_get_fence(&point, &head), 0);
	finish(first);
	ck_assert_int_eq(plain_fence_finish(head), 1);
	ck_assert_int_eq(stile_point_get_state(&point), STILE_POINT_DONE);
	stile_fence_unref(head);
}
END_TEST

/* Wrong code: one fence of a program, long ago, and all that comes later counts as one. */
START_TEST(point_forgets_user_fences_that_have_ended) {
	struct stile_timeline *other;
	struct stile_fence *user, *head;
	struct stile_point point = { timeline, 2 };
	ck_assert_int_eq(stile_timeline_create("other", &other), 0);
	ck_assert_int_eq(stile_timeline_create_fence(other, 1, &user), 0);
	ck_assert_int_eq(stile_timeline_submit(timeline, 1, user), 0);
	if (_i == 1) {
		stile_timeline_advance(other, 1);
	}
	struct stile_fence *plain = submit(2);
	ck_assert_int_eq(stile_point_get_fence(&point, &head), 0);
	ck_assert(stile_fence_is_user(head) == (_i == 0));
	stile_fence_unref(head);
	finish(plain);
	stile_timeline_unref(other);
	stile_fence_unref(user);
}
END_TEST

/* C-8. Wrong code: an element that ended by itself stands for what it contains, which is pending. */
START_TEST(point_does_not_end_with_an_impatient_one_before) {
	struct stile_point first = { timeline, 1 }, second = { timeline, 2 };
	struct stile_timeline *other;
	struct stile_fence *user, *early, *late;
	ck_assert_int_eq(stile_timeline_create("other", &other), 0);
	ck_assert_int_eq(stile_timeline_create_fence(other, 1, &user), 0);
	ck_assert_int_eq(stile_timeline_submit(timeline, 1, user), 0);
	struct stile_fence *plain = submit(2);
	ck_assert_int_eq(stile_point_get_fence(&first, &early), 0);
	ck_assert_int_eq(stile_point_get_fence(&second, &late), 0);
	if (_i == 1) {
		stile_fence_enable_signaling(late);
	}
	ck_assert_int_eq(stile_fence_set_expiry(early, runner_clock_ns() + 1000000), 0);
	ck_assert_int_eq(stile_fence_wait(early, INT64_MAX), 0);
	ck_assert_int_eq(stile_fence_get_status(early), -ETIMEDOUT);

	finish(plain);
	stile_fence_enable_signaling(late);
	ck_assert_int_eq(stile_fence_get_status(late), 0);
	stile_timeline_advance(other, 1);
	ck_assert_int_eq(stile_fence_get_status(late), 1);
	stile_fence_unref(late);
	stile_fence_unref(early);
	stile_timeline_unref(other);
	stile_fence_unref(user);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("point");
	TCase *state = ledger_tcase_create("state");
	tcase_add_checked_fixture(state, setup, teardown);
	tcase_add_test(state, point_is_unsubmitted_then_pending_then_done);
	tcase_add_test(state, earlier_values_go_with_the_next_one_submitted);
	tcase_add_test(state, point_is_done_only_after_those_before);
	tcase_add_test(state, counter_reaches_points);
	tcase_add_test(state, point_gives_what_to_wait_for);
	tcase_add_test(state, chain_is_submitted_as_its_leaves);
	tcase_add_test(state, value_out_of_order_makes_all_up_to_the_last_wait);
	tcase_add_test(state, submitting_takes_out_what_is_done);
	tcase_add_test(state, timeline_whose_own_fence_was_submitted_can_go);
	tcase_add_test(state, value_0_cannot_be_submitted);
	tcase_add_test(state, submission_without_memory_changes_nothing);
	tcase_add_loop_test(state, point_forgets_user_fences_that_have_ended, 0, 2);
	tcase_add_loop_test(state, point_does_not_end_with_an_impatient_one_before, 0, 2);
	suite_add_tcase(s, state);

	TCase *waits = ledger_tcase_create("wait");
	tcase_add_checked_fixture(waits, setup, teardown);
	tcase_add_test(waits, polling_tells_both_events_apart);
	tcase_add_loop_test(waits, deadline_ends_a_wait, 0, 4);
	tcase_add_test(waits, impossible_waits_are_refused);
	tcase_add_loop_test(waits, wait_before_submission_ends_with_it, 0, 2);
	tcase_add_loop_test(waits, wait_for_the_end_goes_on_with_the_fence, 0, 2);
	tcase_add_loop_test(waits, counter_ends_a_wait, 0, 2);
	tcase_add_loop_test(waits, counter_ends_a_wait, 3, 4);
	tcase_add_test(waits, all_waits_end);
	tcase_add_loop_test(waits, cancelling_ends_a_wait, 0, 2);
	tcase_add_test(waits, wait_keeps_the_timeline_open);
	tcase_add_test(waits, expiry_of_the_fence_ends_a_wait);
	suite_add_tcase(s, waits);

	TCase *eventfds = ledger_tcase_create("eventfd");
	tcase_add_checked_fixture(eventfds, setup, teardown);
	tcase_add_test(eventfds, eventfd_is_told_once_of_each_event);
	tcase_add_test(eventfds, eventfd_is_told_at_once_of_what_has_happened);
	tcase_add_test(eventfds, eventfd_is_told_of_a_submission_that_is_done_already);
	tcase_add_test(eventfds, eventfds_may_be_many);
	tcase_add_loop_test(eventfds, counter_tells_eventfds, 0, 2);
	tcase_add_loop_test(eventfds, counter_tells_eventfds, 3, 4);
	tcase_add_test(eventfds, highest_value_waits_for_its_fence);
	tcase_add_test(eventfds, close_drops_eventfds_without_a_fence_and_no_others);
	tcase_add_test(eventfds, eventfd_is_borrowed);
	tcase_add_test(eventfds, duplicate_is_closed_by_exec);
	tcase_add_test(eventfds, full_eventfd_blocks_nobody);
	tcase_add_test(eventfds, what_is_no_eventfd_is_refused);
	tcase_add_test(eventfds, registering_may_fail_and_telling_may_not);
	suite_add_tcase(s, eventfds);

	TCase *threads = ledger_tcase_create("threads");
	tcase_add_checked_fixture(threads, setup, teardown);
	tcase_set_timeout(threads, 60);
	tcase_add_test(threads, threads_wait_while_another_submits);
	tcase_add_test(threads, threads_submit_at_the_same_time);
	suite_add_tcase(s, threads);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
