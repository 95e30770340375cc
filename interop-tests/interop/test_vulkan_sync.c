/* SPDX-License-Identifier: MIT */
/*
 * The application's own semaphores and VkFences (stile/vulkan_sync.h) on a device that is not there and has
 * every form of them, whose complaints fail a test: support/fake_vulkan.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <stile/carrier.h>
#include <stile/timeline.h>
#include <stile/vulkan_sync.h>
#include <stile/wait.h>

#include "interop-tests/interop/fence_checks.h"
#include "interop-tests/interop/vulkan_fixture.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/fake_gpu.h"
#include "interop-tests/support/fake_sync_file.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/fence.h"

#define MS INT64_C(1000000)

static const struct fake_vulkan_traits has_nothing;

static void set_up(void) {
	start(&has_all);
}

/* ---- What a test needs ----------------------------------------------------------------------- */

static struct stile_timeline *wrap(VkSemaphore semaphore) {
	struct stile_timeline *timeline;
	ck_assert_int_eq(stile_vulkan_timeline_create(vulkan, "theirs", semaphore, &timeline), 0);
	return timeline;
}

static struct stile_fence *fence_at(struct stile_timeline *timeline, uint64_t value) {
	struct stile_fence *fence;
	ck_assert_int_eq(stile_timeline_create_fence(timeline, value, &fence), 0);
	return fence;
}

/* Something that a thread does when the test's own is held up by what is tested. */
static pthread_t helper;

static void *open_gate_late(void *gate) {
	int64_t hang_ns = runner_clock_ns() + 60000 * MS;
	while ((fence_state(gate) & STATE_WAITER) == 0) {
		runner_require(runner_clock_ns() < hang_ns, "nobody sleeps until the gate opens");
		runner_sleep_ms(1);
	}
	open_gate(gate);
	return NULL;
}

static void later(void *(*run)(void *), void *arg) {
	ck_assert_int_eq(pthread_create(&helper, NULL, run, arg), 0);
}

static struct stile_vulkan_form binary_form(VkSemaphore semaphore) {
	return (struct stile_vulkan_form){
		.size = sizeof(struct stile_vulkan_form),
		.semaphore = semaphore,
		.device = device,
		.user_fences = STILE_USER_FENCES_REFUSE,
	};
}

static struct stile_vulkan_form fence_form(VkFence fence) {
	struct stile_vulkan_form form = binary_form(VK_NULL_HANDLE);
	form.fence = fence;
	return form;
}

static struct stile_fence *import(const struct stile_vulkan_form *form, enum stile_path_kind kind) {
	struct stile_path path = { .size = sizeof(path) };
	struct stile_report why = { .size = sizeof(why) };
	struct stile_fence *fence;
	ck_assert_msg(
		stile_vulkan_import_fence(vulkan, form, &path, &why, &fence) == 0, "%s", why.text);
	ck_assert_int_eq(path.kind, kind);
	ck_assert_int_eq(why.reason, STILE_REASON_NONE);
	return fence;
}

static void export(struct stile_fence *fence, const struct stile_vulkan_form *form,
	enum stile_path_kind kind) {
	struct stile_path path = { .size = sizeof(path) };
	struct stile_report why = { .size = sizeof(why) };
	ck_assert_msg(
		stile_vulkan_export_fence(vulkan, fence, form, &path, &why) == 0, "%s", why.text);
	ck_assert_int_eq(path.kind, kind);
	ck_assert_int_eq(path.blocked_ns > 0, kind == STILE_PATH_CPU_WAIT);
}

static const VkExternalSemaphoreHandleTypeFlags sync_fd =
	VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT;

/* ---- Timelines ------------------------------------------------------------------------------- */

/*
 * Wait before submit. Wrong code: the fence is refused because nobody has submitted the value; a value looked at
 * once only; signalled by the queue and not noticed, or by the host.
 */
START_TEST(fence_of_a_value_ends_when_anybody_signals_it) {
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline = wrap(semaphore);
	struct stile_fence *first = fence_at(timeline, 3), *second = fence_at(timeline, 5);
	ck_assert(stile_fence_is_user(first));
	ck_assert_int_lt(stile_fence_get_expiry(first), INT64_MAX);
	ck_assert_str_eq(stile_fence_get_timeline_name(first), "theirs");
	check_pending(first);
	fake_vulkan_signal(fake, semaphore, 2);
	check_pending(first);
	fake_vulkan_submit(
		fake, &(struct fake_vulkan_submit){ .signal = semaphore, .signal_value = 4 });
	check_ends(first, 1);
	check_pending(second);
	fake_vulkan_signal(fake, semaphore, 5);
	check_ends(second, 1);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 5);
	check_ends(fence_at(timeline, 1), 1);
	stile_timeline_unref(timeline);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Wrong code: a thread between the device and its own semaphore. */
START_TEST(device_waits_for_its_own_value_by_its_own_semaphore) {
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline = wrap(semaphore);
	struct stile_fence *fence = fence_at(timeline, 7);
	struct stile_vulkan_wait wait = { .size = sizeof(wait) };
	struct stile_path path = { .size = sizeof(path) };
	ck_assert_int_eq(stile_vulkan_wait_fence(vulkan, fence, &path, &wait), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_HANDLE);
	ck_assert(wait.semaphore == semaphore);
	ck_assert_uint_eq(wait.value, 7);
	fake_vulkan_signal(fake, semaphore, 7);
	check_ends(fence, 1);
	stile_timeline_unref(timeline);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/*
 * Whether a value is submitted Vulkan does not tell. Wrong code: a fence made up for it, or the wait taken for
 * one for its submission.
 */
START_TEST(point_is_unsubmitted_until_it_is_done) {
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline = wrap(semaphore);
	struct stile_point point = { .timeline = timeline, .value = 1 };
	struct stile_fence *fence;
	ck_assert_int_eq(stile_point_get_state(&point), STILE_POINT_UNSUBMITTED);
	ck_assert_int_eq(stile_point_get_fence(&point, &fence), -EAGAIN);
	int64_t deadline_ns = runner_clock_ns() + 5 * MS;
	ck_assert_int_eq(
		stile_point_wait(&point, STILE_POINT_AVAILABLE, deadline_ns, NULL), -ETIME);
	ck_assert_int_ge(runner_clock_ns(), deadline_ns);
	ck_assert_int_eq(stile_timeline_signal(timeline, 1), 0);
	ck_assert_int_eq(stile_point_wait(&point, STILE_POINT_SIGNALED, INT64_MAX, NULL), 0);
	ck_assert_int_eq(stile_point_get_state(&point), STILE_POINT_DONE);
	ck_assert_int_eq(stile_point_get_fence(&point, &fence), 0);
	stile_fence_unref(fence);
	/* What is reached is not signalled again: the device would complain. */
	ck_assert_int_eq(stile_timeline_signal(timeline, 1), 0);
	stile_timeline_unref(timeline);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Wrong code: a value signalled before its fence, or before one below it; an error that keeps the device waiting. */
START_TEST(submitted_values_are_signalled_in_their_order) {
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline = wrap(semaphore);
	struct stile_fence *first = plain_fence_create(), *second = plain_fence_create();
	ck_assert_int_eq(stile_timeline_submit(timeline, 2, first), 0);
	ck_assert_int_eq(stile_timeline_submit(timeline, 4, second), 0);
	ck_assert_int_eq(stile_timeline_submit(timeline, 4, second), -EINVAL);
	ck_assert_int_eq(stile_timeline_submit(timeline, 3, second), -EINVAL);
	ck_assert(stile_vulkan_is_held(vulkan));
	open_gate(second);
	runner_sleep_ms(10);
	ck_assert_uint_eq(fake_vulkan_get_value(fake, semaphore), 0);
	ck_assert_int_eq(stile_fence_set_error(first, -ENODATA), 0);
	open_gate(first);
	ck_assert(fake_vulkan_becomes(fake, semaphore, 4));
	ck_assert(!stile_vulkan_is_held(vulkan));
	/* One that is signalled already, and one that the queue was quicker with. */
	struct stile_fence *stub = stile_fence_get_stub();
	ck_assert_int_eq(stile_timeline_submit(timeline, 6, stub), 0);
	ck_assert(fake_vulkan_becomes(fake, semaphore, 6));
	struct stile_fence *late = plain_fence_create();
	ck_assert_int_eq(stile_timeline_submit(timeline, 8, late), 0);
	fake_vulkan_signal(fake, semaphore, 9);
	open_gate(late);
	while (stile_vulkan_is_held(vulkan)) {
		runner_sleep_ms(1);
	}
	stile_fence_unref(stub);
	stile_timeline_unref(timeline);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Wrong code: what was submitted is given up with the timeline, and the device waits for ever. */
START_TEST(what_was_submitted_is_signalled_after_the_timeline_is_closed) {
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline = wrap(semaphore);
	struct stile_fence *fence = plain_fence_create();
	ck_assert_int_eq(stile_timeline_submit(timeline, 1, fence), 0);
	stile_timeline_unref(timeline);
	ck_assert_uint_eq(fake_vulkan_get_value(fake, semaphore), 0);
	open_gate(fence);
	ck_assert(fake_vulkan_becomes(fake, semaphore, 1));
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/*
 * Wrong code: a thread that still waits for the semaphore when it is destroyed (the device complains); fences
 * that pend for ever; eventfds told of what never was.
 */
START_TEST(closing_a_timeline_lets_go_of_its_semaphore) {
	for (int i = 0; i < 50; i++) {
		VkSemaphore semaphore = fake_vulkan_timeline(fake);
		struct stile_timeline *timeline = wrap(semaphore);
		struct stile_fence *fence = fence_at(timeline, 1);
		struct stile_point point = { .timeline = timeline, .value = 2 };
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_AVAILABLE, fd), 0);
		if (i % 2 == 0) {
			runner_sleep_ms(1);
		}
		stile_timeline_unref(timeline);
		fake_vulkan_destroy_semaphore(fake, semaphore);
		check_ends(fence, -ENOENT);
		ck_assert(!plain_fd_is_readable(fd));
		close(fd);
	}
}
END_TEST

/* Wrong code: a notice that comes early, twice, or not at all for what is done. */
START_TEST(eventfd_is_told_of_a_value) {
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline = wrap(semaphore);
	struct stile_point point = { .timeline = timeline, .value = 2 };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	eventfd_t count = 0;
	ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_SIGNALED, fd), 0);
	fake_vulkan_signal(fake, semaphore, 1);
	runner_sleep_ms(5);
	ck_assert(!plain_fd_is_readable(fd));
	fake_vulkan_signal(fake, semaphore, 2);
	ck_assert(plain_fd_becomes_readable(fd));
	ck_assert_int_eq(eventfd_read(fd, &count), 0);
	ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_AVAILABLE, fd), 0);
	ck_assert(plain_fd_is_readable(fd));
	ck_assert_int_eq(eventfd_read(fd, &count), 0);
	ck_assert_uint_eq(count, 1);
	close(fd);
	stile_timeline_unref(timeline);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Wrong code: the semaphore of a fence that has expired is waited for all the same, for ever. */
START_TEST(fence_that_nobody_ends_expires_and_is_let_go) {
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline = wrap(semaphore);
	struct stile_fence *fence = fence_at(timeline, 1);
	ck_assert_int_eq(stile_fence_set_expiry(fence, runner_clock_ns() + 5 * MS), 0);
	ck_assert_int_eq(plain_fence_finish(fence), -ETIMEDOUT);
	struct stile_fence *expired = fence;
	fence = fence_at(timeline, 2);
	for (int i = 0; plain_refs(expired) > 1 && i < 1000; i++) {
		runner_sleep_ms(1);
	}
	ck_assert_uint_eq(plain_refs(expired), 1);
	stile_fence_unref(expired);
	check_pending(fence);
	fake_vulkan_signal(fake, semaphore, 2);
	check_ends(fence, 1);
	stile_timeline_unref(timeline);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Wrong code: more semaphores than the thread can wait for at once, of which some are forgotten. */
START_TEST(hundred_semaphores_at_once_are_all_noticed) {
	enum { COUNT = 100 };
	VkSemaphore semaphores[COUNT];
	struct stile_timeline *timelines[COUNT];
	struct stile_fence *fences[COUNT];
	for (size_t i = 0; i < COUNT; i++) {
		semaphores[i] = fake_vulkan_timeline(fake);
		timelines[i] = wrap(semaphores[i]);
		fences[i] = fence_at(timelines[i], 1);
	}
	for (size_t i = 0; i < COUNT; i++) {
		size_t at = i % 2 == 0 ? i : COUNT - i;
		ck_assert_int_eq(stile_fence_get_status(fences[at]), 0);
		fake_vulkan_signal(fake, semaphores[at], 1);
		ck_assert_int_eq(plain_fence_finish(fences[at]), 1);
	}
	for (size_t i = 0; i < COUNT; i++) {
		stile_fence_unref(fences[i]);
		stile_timeline_unref(timelines[i]);
		fake_vulkan_destroy_semaphore(fake, semaphores[i]);
	}
}
END_TEST

/*
 * Of several semaphores lavapipe does not sleep for any: it asks for each in turn, on a processor of its own. Wrong
 * code: the thread that ends the queue's fences sleeps for something else, too.
 */
START_TEST(queues_work_is_waited_for_by_its_semaphore_alone) {
	VkSemaphore hold = hold_queue();
	struct stile_fence *fence;
	ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &fence), 0);
	check_pending(fence);
	let_go(hold);
	check_ends(fence, 1);
	ck_assert_uint_eq(fake_vulkan_any_count(fake), 0);
}
END_TEST

/* Wrong code: a processor that is busy as long as anything is watched; what is not slept for forgotten. */
START_TEST(driver_that_spins_for_several_is_asked_for_one) {
	struct fake_vulkan_traits traits = has_all;
	traits.spins = true;
	restart(&traits);
	VkSemaphore semaphores[2];
	struct stile_timeline *timelines[2];
	struct stile_fence *fences[2];
	for (int i = 0; i < 2; i++) {
		semaphores[i] = fake_vulkan_timeline(fake);
		timelines[i] = wrap(semaphores[i]);
		fences[i] = fence_at(timelines[i], 1);
	}
	while (fake_vulkan_any_count(fake) != 1) {
		runner_sleep_ms(1);
	}
	for (int i = 0; i < 2; i++) {
		fake_vulkan_signal(fake, semaphores[i], 1);
		check_ends(fences[i], 1);
		stile_timeline_unref(timelines[i]);
		fake_vulkan_destroy_semaphore(fake, semaphores[i]);
	}
}
END_TEST

/* Wrong code: a lost device that nobody hears of. */
START_TEST(lost_device_ends_all) {
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline = wrap(semaphore);
	struct stile_point point = { .timeline = timeline, .value = 1 };
	struct stile_fence *fence = fence_at(timeline, 1);
	check_pending(fence);
	fake_gpu_fail("vkWaitSemaphores", 1, VK_ERROR_DEVICE_LOST);
	ck_assert_int_eq(stile_point_wait(&point, STILE_POINT_SIGNALED, INT64_MAX, NULL), -EIO);
	check_ends(fence, -EIO);
	stile_timeline_unref(timeline);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

START_TEST(timeline_of_nothing_is_einval) {
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline = (struct stile_timeline *)(uintptr_t)1;
	ck_assert_int_eq(
		stile_vulkan_timeline_create(vulkan, "none", VK_NULL_HANDLE, &timeline), -EINVAL);
	ck_assert_ptr_null(timeline);
	ck_assert_int_eq(stile_vulkan_timeline_create(vulkan, NULL, semaphore, &timeline), -EINVAL);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* ---- What a driver may do to what the adapter hands out -------------------------------------- */

/* Wrong code: semaphores that grow in number with the fences. */
START_TEST(a_thousand_contexts_in_turn_need_one_semaphore) {
	int of_the_adapter = fake_gpu_objects();
	for (int i = 0; i < 1000; i++) {
		struct stile_fence *gate = plain_fence_create();
		struct stile_vulkan_wait wait = { .size = sizeof(wait) };
		ck_assert_int_eq(stile_vulkan_wait_fence(vulkan, gate, NULL, &wait), 0);
		open_gate(gate);
		ck_assert(fake_vulkan_becomes(fake, wait.semaphore, wait.value));
		while (stile_vulkan_is_held(vulkan)) {
		}
	}
	ck_assert_int_eq(fake_gpu_objects(), of_the_adapter + 1);
}
END_TEST

/* Wrong code: a signal that found no memory is lost, and the device waits for ever. */
START_TEST(a_signal_that_fails_for_want_of_memory_is_tried_again) {
	struct stile_vulkan_wait wait = { .size = sizeof(wait) };
	struct stile_fence *gate = plain_fence_create();
	ck_assert_int_eq(stile_vulkan_wait_fence(vulkan, gate, NULL, &wait), 0);
	fake_gpu_fail("vkSignalSemaphore", 1, VK_ERROR_OUT_OF_HOST_MEMORY);
	open_gate(gate);
	ck_assert(fake_vulkan_becomes(fake, wait.semaphore, wait.value));
	ck_assert_ptr_nonnull(fake_gpu_failed());
}
END_TEST

/* Wrong code: want of memory, or of patience, taken for the end of work that goes on; a lost device for a pause. */
START_TEST(only_a_lost_device_ends_a_fence_before_its_work) {
	static const VkResult results[] = { VK_ERROR_OUT_OF_HOST_MEMORY,
		VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_TIMEOUT, VK_ERROR_DEVICE_LOST };
	bool lost = results[_i] == VK_ERROR_DEVICE_LOST;
	struct stile_fence *gates[2], *fences[2];
	for (int i = 0; i < 2; i++) {
		gates[i] = hold_device();
		ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &fences[i]), 0);
	}
	/* It may sleep for the first one already. Then it is the wait for the second one that fails. */
	fake_gpu_fail("vkWaitSemaphores", 1, results[_i]);
	open_gate(gates[0]);
	if (lost) {
		ck_assert_int_eq(plain_fence_finish(fences[1]), -EIO);
	} else {
		runner_sleep_ms(20);
		ck_assert_int_eq(stile_fence_get_status(fences[1]), 0);
	}
	open_gate(gates[1]);
	check_ends(fences[1], lost ? -EIO : 1);
	ck_assert_ptr_nonnull(fake_gpu_failed());
	stile_fence_unref(fences[0]);
}
END_TEST

/* Wrong code: a fence that the thread hears of after its end was seen. */
START_TEST(work_that_is_over_at_once_ends_its_fence) {
	for (int i = 0; i < 2000; i++) {
		struct stile_fence *fence;
		ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &fence), 0);
		check_ends(fence, 1);
	}
}
END_TEST

/* Wrong code: an import that fails is a dependency lost, or a descriptor that nobody closes (the ledger). */
START_TEST(where_the_import_fails_a_thread_tells_the_device) {
	VkSemaphore semaphore = fake_vulkan_binary(fake, 0);
	struct stile_vulkan_wait wait = { .size = sizeof(wait), .binary = semaphore };
	struct stile_path path = { .size = sizeof(path) };
	size_t leaf;
	struct stile_fence *fence = kernels_fence(device, &leaf), *work;
	fake_gpu_fail("vkImportSemaphoreFdKHR", 1, VK_ERROR_OUT_OF_HOST_MEMORY);
	ck_assert_int_eq(stile_vulkan_wait_fence(vulkan, fence, &path, &wait), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_BRIDGE);
	ck_assert(wait.semaphore != semaphore);
	fake_vulkan_submit(fake,
		&(struct fake_vulkan_submit){ .wait = wait.semaphore, .wait_value = wait.value });
	ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &work), 0);
	check_pending(work);
	fake_sync_file_signal(leaf, 1, 1);
	check_ends(work, 1);
	stile_fence_unref(fence);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Wrong code: a semaphore of each export kept for ever, whether it failed or not. */
START_TEST(exports_in_turn_leave_no_semaphores) {
	int of_the_adapter = fake_gpu_objects();
	for (unsigned i = 0; i < 20; i++) {
		struct stile_path path = { .size = sizeof(path) };
		struct stile_fence *work;
		VkSemaphore hold = hold_queue();
		if (_i == 1) {
			fake_gpu_fail("vkGetSemaphoreFdKHR", 1, VK_ERROR_TOO_MANY_OBJECTS);
		}
		ck_assert_int_eq(stile_vulkan_fence_create_sync_file(
					 vulkan, device, STILE_USER_FENCES_HOLD, &path, &work),
			0);
		ck_assert_int_eq(path.kind, _i == 1 ? STILE_PATH_HANDLE : STILE_PATH_KERNEL);
		let_go(hold);
		check_ends(work, 1);
	}
	/* The last work's end may just be being told. */
	ck_assert(fake_gpu_gets_to_objects(of_the_adapter));
}
END_TEST

/* ---- Out of binary semaphores ---------------------------------------------------------------- */

/*
 * Wrong code: a fence that is over before the semaphore's work; the signal not used up, so that the application
 * signals it twice (the device complains); a semaphore exported that was not made for it.
 */
START_TEST(binary_semaphore_becomes_a_fence_once) {
	static const struct {
		bool exportable, device;
		enum stile_path_kind kind;
	} cases[] = {
		{ true, true, STILE_PATH_KERNEL },
		{ true, false, STILE_PATH_HANDLE },
		{ false, true, STILE_PATH_HANDLE },
	};
	VkSemaphore semaphore = fake_vulkan_binary(fake, cases[_i].exportable ? sync_fd : 0);
	struct stile_vulkan_form form = binary_form(semaphore);
	form.flags = cases[_i].exportable ? STILE_VULKAN_EXPORTABLE : 0;
	form.device = cases[_i].device ? device : NULL;
	for (int i = 0; i < 3; i++) {
		VkSemaphore hold = hold_queue();
		fake_vulkan_submit(fake, &(struct fake_vulkan_submit){ .signal = semaphore });
		struct stile_fence *fence = import(&form, cases[_i].kind);
		ck_assert(!stile_fence_is_user(fence));
		check_pending(fence);
		let_go(hold);
		check_ends(fence, 1);
	}
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Wrong code: -1 taken for a failure, or for a descriptor. */
START_TEST(exported_semaphore_that_is_over_is_nothing_to_wait_for) {
	VkSemaphore semaphore = fake_vulkan_binary(fake, sync_fd);
	struct stile_vulkan_form form = binary_form(semaphore);
	form.flags = STILE_VULKAN_EXPORTABLE;
	fake_vulkan_submit(fake, &(struct fake_vulkan_submit){ .signal = semaphore });
	fake_vulkan_wait_idle(fake);
	check_ends(import(&form, STILE_PATH_NONE), 1);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/*
 * Mesa 26.1. Wrong code: what was imported into the application's semaphore is exported again, and its dependency
 * lost; a driver that does not do so taken for one.
 */
START_TEST(driver_that_loses_what_it_exports_is_found_out) {
	struct fake_vulkan_traits traits = has_all;
	traits.loses_exported = _i == 1;
	restart(&traits);
	VkSemaphore semaphore = fake_vulkan_binary(fake, sync_fd);
	struct stile_vulkan_form form = binary_form(semaphore);
	form.flags = STILE_VULKAN_EXPORTABLE;
	int fd = fake_sync_file_create(1);
	size_t leaf = fake_sync_file_first_leaf(fd);
	fake_vulkan_import(fake, semaphore, fd);
	struct stile_fence *fence = import(&form, _i == 1 ? STILE_PATH_HANDLE : STILE_PATH_KERNEL);
	check_pending(fence);
	fake_sync_file_signal(leaf, 1, 1);
	check_ends(fence, 1);
	ck_assert_int_eq(has_logged("exported again"), _i == 1);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Wrong code: a wait for a binary semaphore behind a program's fence, which the device complains of. */
START_TEST(behind_a_programs_fence_binary_semaphores_are_refused_or_waited_for) {
	VkSemaphore semaphore = fake_vulkan_binary(fake, 0);
	struct stile_vulkan_form form = binary_form(semaphore);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_fence *fence = (struct stile_fence *)(uintptr_t)1;
	struct stile_fence *gate = hold_device();
	ck_assert(stile_vulkan_is_held(vulkan));
	fake_vulkan_submit(fake, &(struct fake_vulkan_submit){ .signal = semaphore });
	ck_assert_int_eq(stile_vulkan_import_fence(vulkan, &form, NULL, &why, &fence), -EOPNOTSUPP);
	ck_assert_ptr_null(fence);
	ck_assert_int_eq(why.reason, STILE_REASON_SYNC);
	ck_assert_ptr_nonnull(strstr(why.text, "Vulkan forbids"));
	form.user_fences = STILE_USER_FENCES_HOLD;
	ck_assert_int_eq(stile_vulkan_import_fence(vulkan, &form, NULL, &why, &fence), -EOPNOTSUPP);

	form.user_fences = STILE_USER_FENCES_WAIT;
	struct stile_path path = { .size = sizeof(path) };
	ck_assert_int_eq(stile_fence_set_error(gate, -ENODATA), 0);
	later(open_gate_late, gate);
	ck_assert_int_eq(stile_vulkan_import_fence(vulkan, &form, &path, &why, &fence), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_HANDLE);
	ck_assert_int_gt(path.blocked_ns, 0);
	ck_assert(!stile_vulkan_is_held(vulkan));
	check_ends(fence, 1);
	pthread_join(helper, NULL);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* ---- Out of VkFences ------------------------------------------------------------------------- */

/* Wrong code: a fence that ends early or never; a VkFence that is reset though it is only looked at, or not reset. */
START_TEST(vk_fence_becomes_a_fence) {
	bool exportable = _i == 0;
	VkFence vk_fence = fake_vulkan_fence(fake, exportable);
	struct stile_vulkan_form form = fence_form(vk_fence);
	form.flags = exportable ? STILE_VULKAN_EXPORTABLE : 0;
	VkSemaphore hold = hold_queue();
	fake_vulkan_submit(fake, &(struct fake_vulkan_submit){ .fence = vk_fence });
	struct stile_fence *fence =
		import(&form, exportable ? STILE_PATH_KERNEL : STILE_PATH_BRIDGE);
	ck_assert(!stile_fence_is_user(fence));
	check_pending(fence);
	let_go(hold);
	check_ends(fence, 1);
	ck_assert_int_eq(fake_vulkan_is_signaled(fake, vk_fence), !exportable);
	fake_vulkan_destroy_fence(fake, vk_fence);
}
END_TEST

/* Wrong code: an export that waits for a program. */
START_TEST(behind_a_programs_fence_a_vk_fence_is_looked_at) {
	VkFence vk_fence = fake_vulkan_fence(fake, true);
	struct stile_vulkan_form form = fence_form(vk_fence);
	form.flags = STILE_VULKAN_EXPORTABLE;
	struct stile_fence *gate = hold_device();
	fake_vulkan_submit(fake, &(struct fake_vulkan_submit){ .fence = vk_fence });
	struct stile_fence *fence = import(&form, STILE_PATH_BRIDGE);
	check_pending(fence);
	open_gate(gate);
	check_ends(fence, 1);
	fake_vulkan_destroy_fence(fake, vk_fence);
}
END_TEST

/* Wrong code: an export that blocked, of which the path says nothing. */
START_TEST(export_that_blocks_is_reported) {
	struct fake_vulkan_traits traits = has_all;
	traits.export_blocks = true;
	restart(&traits);
	VkFence vk_fence = fake_vulkan_fence(fake, true);
	struct stile_vulkan_form form = fence_form(vk_fence);
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *fence;
	form.flags = STILE_VULKAN_EXPORTABLE;
	VkSemaphore hold = hold_queue();
	fake_vulkan_submit(fake, &(struct fake_vulkan_submit){ .fence = vk_fence });
	later(let_go_late, (void *)hold);
	ck_assert_int_eq(stile_vulkan_import_fence(vulkan, &form, &path, NULL, &fence), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_NONE);
	ck_assert_int_gt(path.blocked_ns, 0);
	pthread_join(helper, NULL);
	check_ends(fence, 1);
	fake_vulkan_destroy_fence(fake, vk_fence);
}
END_TEST

/* ---- Into binary semaphores ------------------------------------------------------------------ */

/* Wrong code: a submission, or a thread, for what the driver can take; a dependency lost. */
START_TEST(kernels_fence_goes_into_a_binary_semaphore) {
	VkSemaphore semaphore = fake_vulkan_binary(fake, 0);
	struct stile_vulkan_form form = binary_form(semaphore);
	size_t leaf;
	struct stile_fence *fence = kernels_fence(device, &leaf);
	export(fence, &form, STILE_PATH_KERNEL);
	struct stile_fence *work = work_behind(semaphore);
	check_pending(work);
	fake_sync_file_signal(leaf, -EIO, 1);
	check_ends(work, 1);
	check_ends(fence, -EIO);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Wrong code: the semaphore signalled before the queue's work; not at all for what is over. */
START_TEST(queues_own_fence_goes_into_a_binary_semaphore) {
	VkSemaphore semaphore = fake_vulkan_binary(fake, 0);
	struct stile_vulkan_form form = binary_form(semaphore);
	struct stile_fence *fence;
	VkSemaphore hold = hold_queue();
	ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &fence), 0);
	export(fence, &form, STILE_PATH_HANDLE);
	struct stile_fence *work = work_behind(semaphore);
	check_pending(work);
	let_go(hold);
	check_ends(work, 1);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	export(fence, &form, STILE_PATH_NONE);
	check_ends(work_behind(semaphore), 1);
	stile_fence_unref(fence);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* As Vulkan forbids it; the sentence says so of whom. */
static void check_not_exported(
	struct stile_fence *fence, const struct stile_vulkan_form *form, const char *whom) {
	struct stile_report why = { .size = sizeof(why) };
	ck_assert_int_eq(stile_vulkan_export_fence(vulkan, fence, form, NULL, &why), -EOPNOTSUPP);
	ck_assert_int_eq(why.reason, STILE_REASON_SYNC);
	ck_assert_ptr_nonnull(strstr(why.text, whom));
}

/*
 * A present that waits for a program. Wrong code: the semaphore signalled before the fence; or never, with the
 * display waiting.
 */
START_TEST(programs_fence_into_a_binary_semaphore_is_refused_or_waited_for) {
	VkSemaphore semaphore = fake_vulkan_binary(fake, 0);
	struct stile_vulkan_form form = binary_form(semaphore);
	struct stile_fence *gate = plain_fence_create();
	check_not_exported(gate, &form, "plain timeline");
	form.user_fences = STILE_USER_FENCES_HOLD;
	check_not_exported(gate, &form, "plain timeline");
	form.user_fences = STILE_USER_FENCES_WAIT;
	later(open_gate_late, stile_fence_ref(gate));
	export(gate, &form, STILE_PATH_CPU_WAIT);
	ck_assert_int_eq(stile_fence_get_status(gate), 1);
	pthread_join(helper, NULL);
	check_ends(work_behind(semaphore), 1);
	stile_fence_unref(gate);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Wrong code: a binary semaphore signalled behind a program's fence: what waits for it the device complains of. */
START_TEST(behind_a_programs_fence_none_is_signalled) {
	VkSemaphore semaphore = fake_vulkan_binary(fake, 0);
	struct stile_vulkan_form form = binary_form(semaphore);
	struct stile_fence *gate = hold_device(), *fence;
	ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &fence), 0);
	check_not_exported(fence, &form, "the queue");
	/* The kernel's needs no queue. */
	size_t leaf;
	struct stile_fence *kernels = kernels_fence(device, &leaf);
	export(kernels, &form, STILE_PATH_KERNEL);
	open_gate(gate);
	check_ends(fence, 1);
	fake_sync_file_signal(leaf, 1, 1);
	check_ends(work_behind(semaphore), 1);
	stile_fence_unref(kernels);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* ---- Into VkFences --------------------------------------------------------------------------- */

/* Wrong code: the VkFence signalled before the fence; a path that is not the best; one refused, though all are legal. */
START_TEST(any_fence_goes_into_a_vk_fence) {
	static const enum stile_path_kind kinds[] = { STILE_PATH_KERNEL, STILE_PATH_BRIDGE,
		STILE_PATH_HANDLE, STILE_PATH_BRIDGE, STILE_PATH_NONE };
	restart(_i == 1 ? &has_nothing : &has_all);
	VkFence vk_fence = fake_vulkan_fence(fake, false);
	struct stile_vulkan_form form = fence_form(vk_fence);
	struct stile_fence *fence;
	VkSemaphore hold = VK_NULL_HANDLE;
	size_t leaf = 0;
	if (_i < 2) {
		fence = kernels_fence(device, &leaf);
	} else if (_i == 2) {
		hold = hold_queue();
		ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &fence), 0);
	} else {
		fence = _i == 3 ? plain_fence_create() : stile_fence_get_stub();
	}
	export(fence, &form, kinds[_i]);
	if (_i < 4) {
		runner_sleep_ms(10);
		ck_assert(!fake_vulkan_is_signaled(fake, vk_fence));
	}
	if (_i < 2) {
		fake_sync_file_signal(leaf, 1, 1);
	} else if (_i == 2) {
		let_go(hold);
	} else if (_i == 3) {
		stile_fence_signal(fence);
	}
	ck_assert(fake_vulkan_becomes_signaled(fake, vk_fence));
	check_ends(fence, 1);
	fake_vulkan_wait_idle(fake);
	fake_vulkan_destroy_fence(fake, vk_fence);
}
END_TEST

/* ---- Calls that make no sense ---------------------------------------------------------------- */

/* Wrong code: both, or neither, taken for one of them; bits that nobody knows ignored. */
START_TEST(form_that_makes_no_sense_is_einval) {
	VkSemaphore semaphore = fake_vulkan_binary(fake, 0);
	VkFence vk_fence = fake_vulkan_fence(fake, false);
	struct stile_vulkan_form forms[6];
	struct stile_report why = { .size = sizeof(why) };
	struct stile_path small = { .size = 1 };
	for (size_t i = 0; i < 6; i++) {
		forms[i] = binary_form(semaphore);
	}
	forms[0].fence = vk_fence;
	forms[1].semaphore = VK_NULL_HANDLE;
	forms[2].flags = 2;
	forms[3].user_fences = (enum stile_user_fences)3;
	forms[4].size = 1;
	struct stile_fence *stub = stile_fence_get_stub();
	for (size_t i = 0; i < 6; i++) {
		struct stile_path *path = i == 5 ? &small : NULL;
		struct stile_fence *out = (struct stile_fence *)(uintptr_t)1;
		ck_assert_int_eq(
			stile_vulkan_import_fence(vulkan, &forms[i], path, &why, &out), -EINVAL);
		ck_assert_ptr_null(out);
		ck_assert(i == 5 || why.error == -EINVAL);
		ck_assert_int_eq(
			stile_vulkan_export_fence(vulkan, stub, &forms[i], path, &why), -EINVAL);
	}
	struct {
		struct stile_vulkan_form form;
		uint64_t more;
	} newer = { binary_form(semaphore), 1 };
	newer.form.size = sizeof(newer);
	ck_assert_int_eq(stile_vulkan_export_fence(vulkan, stub, &newer.form, NULL, &why), -E2BIG);
	stile_fence_unref(stub);
	fake_vulkan_destroy_semaphore(fake, semaphore);
	fake_vulkan_destroy_fence(fake, vk_fence);
}
END_TEST

/* ---- OPAQUE_FD ------------------------------------------------------------------------------- */

static struct stile_vulkan_shared share(VkSemaphore semaphore) {
	struct stile_vulkan_shared shared = { .size = sizeof(shared) };
	ck_assert_int_eq(stile_vulkan_export_semaphore(
				 vulkan, semaphore, VK_SEMAPHORE_TYPE_TIMELINE, NULL, &shared),
		0);
	ck_assert_int_eq(fcntl(shared.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	return shared;
}

/* By reference, for good. Wrong code: a copy of what is in it; something left of the first one that the other needs. */
START_TEST(shared_semaphore_is_the_same_one) {
	VkSemaphore mine = fake_vulkan_opaque_timeline(fake), theirs;
	struct stile_vulkan_shared shared = share(mine);
	ck_assert_int_eq(stile_vulkan_import_semaphore(vulkan, &shared, NULL, &theirs), 0);
	close(shared.fd);
	fake_vulkan_signal(fake, mine, 3);
	ck_assert_uint_eq(fake_vulkan_get_value(fake, theirs), 3);
	fake_vulkan_destroy_semaphore(fake, mine);
	fake_vulkan_signal(fake, theirs, 4);
	ck_assert_uint_eq(fake_vulkan_get_value(fake, theirs), 4);
	fake_vulkan_destroy_semaphore(fake, theirs);
}
END_TEST

static void check_not_imported(
	const struct stile_vulkan_shared *shared, int error, enum stile_reason reason) {
	struct stile_report why = { .size = sizeof(why) };
	VkSemaphore semaphore;
	ck_assert_int_eq(stile_vulkan_import_semaphore(vulkan, shared, &why, &semaphore), error);
	ck_assert(semaphore == VK_NULL_HANDLE);
	ck_assert_int_eq(why.reason, reason);
	ck_assert_uint_gt(strlen(why.text), 0);
}

/* Wrong code: a descriptor given to a driver that does not understand it, or crashes on it; no word of why. */
START_TEST(semaphore_of_another_device_is_refused) {
	VkSemaphore mine = fake_vulkan_opaque_timeline(fake);
	struct stile_vulkan_shared shared = share(mine), lied = shared;
	lied.device_uuid[15] ^= 1;
	check_not_imported(&lied, -EOPNOTSUPP, STILE_REASON_DEVICE);
	lied = shared;
	lied.driver_uuid[0] ^= 1;
	check_not_imported(&lied, -EOPNOTSUPP, STILE_REASON_DEVICE);
	close(shared.fd);
	check_not_imported(&shared, -EBADF, STILE_REASON_FD_CLOSED);
	shared.fd = eventfd(0, EFD_CLOEXEC);
	check_not_imported(&shared, -EOPNOTSUPP, STILE_REASON_DRIVER);
	close(shared.fd);
	shared.size = 1;
	check_not_imported(&shared, -EINVAL, STILE_REASON_USAGE);
	fake_vulkan_destroy_semaphore(fake, mine);
}
END_TEST

/* As lavapipe does. Wrong code: the number of a descriptor that the driver has closed closed again. */
START_TEST(what_a_failed_import_closes_is_closed_once) {
	VkSemaphore mine = fake_vulkan_opaque_timeline(fake);
	struct stile_vulkan_shared shared = share(mine);
	fake_gpu_close_failed_imports();
	fake_gpu_fail("vkImportSemaphoreFdKHR", 1, VK_ERROR_OUT_OF_HOST_MEMORY);
	check_not_imported(&shared, -ENOMEM, STILE_REASON_DRIVER);
	ck_assert_int_eq(close(fake_gpu_take_reused_fd()), 0);
	close(shared.fd);
	fake_vulkan_destroy_semaphore(fake, mine);
}
END_TEST

/* Wrong code: an export that crashes, or gives a descriptor of nothing. */
START_TEST(driver_that_shares_no_semaphores_is_said) {
	restart(&has_nothing);
	VkSemaphore mine = fake_vulkan_timeline(fake);
	struct stile_vulkan_shared shared = { .size = sizeof(shared) };
	struct stile_report why = { .size = sizeof(why) };
	ck_assert_int_eq(stile_vulkan_export_semaphore(
				 vulkan, mine, VK_SEMAPHORE_TYPE_TIMELINE, &why, &shared),
		-EOPNOTSUPP);
	ck_assert_int_eq(shared.fd, -1);
	ck_assert_int_eq(why.reason, STILE_REASON_DRIVER);
	ck_assert_ptr_nonnull(strstr(why.text, "timeline"));
	ck_assert_int_eq(stile_vulkan_export_semaphore(
				 vulkan, VK_NULL_HANDLE, VK_SEMAPHORE_TYPE_TIMELINE, &why, &shared),
		-EINVAL);
	shared.size = sizeof(size_t);
	ck_assert_int_eq(stile_vulkan_export_semaphore(
				 vulkan, mine, VK_SEMAPHORE_TYPE_TIMELINE, &why, &shared),
		-EINVAL);
	fake_vulkan_destroy_semaphore(fake, mine);
}
END_TEST

/* ---- Everything fails once -------------------------------------------------------------------- */

/* Which of the system's calls fails in the library's; 0: none. And which did. */
static unsigned failing_call;
static const char *failed_call;

/* A call of the library's. */
#define TRY(call) (failing_begin(failing_call), try_end(call))

static int try_end(int ret) {
	const char *failed = failing_end();
	failed_call = failed != NULL ? failed : failed_call;
	failing_call = failed != NULL ? 0 : failing_call;
	return ret;
}

/* What is tried; it undoes what it did. 0, or what the library gave. */
static int try_create(void) {
	struct stile_vulkan_info info = fake_vulkan_describe(fake);
	struct stile_vulkan *other;
	int ret = TRY(stile_vulkan_create(&info, NULL, &other));
	stile_vulkan_destroy(other);
	return ret;
}

static int try_wait(void) {
	struct stile_fence *gate = plain_fence_create();
	struct stile_vulkan_wait wait = { .size = sizeof(wait) };
	int ret = TRY(stile_vulkan_wait_fence(vulkan, gate, NULL, &wait));
	open_gate(gate);
	return ret;
}

static int try_wait_for_the_kernels(void) {
	size_t leaf;
	struct stile_fence *fence = kernels_fence(device, &leaf);
	VkSemaphore semaphore = fake_vulkan_binary(fake, 0);
	struct stile_vulkan_wait wait = { .size = sizeof(wait), .binary = semaphore };
	int ret = TRY(stile_vulkan_wait_fence(vulkan, fence, NULL, &wait));
	fake_sync_file_signal(leaf, 1, 1);
	stile_fence_unref(fence);
	fake_vulkan_destroy_semaphore(fake, semaphore);
	return ret;
}

static int try_fence(void) {
	struct stile_fence *fence = NULL;
	int ret = TRY(stile_vulkan_fence_create(vulkan, &fence));
	stile_fence_unref(fence);
	return ret;
}

static int try_sync_file(void) {
	struct stile_fence *fence = NULL;
	int ret = TRY(stile_vulkan_fence_create_sync_file(
		vulkan, device, STILE_USER_FENCES_HOLD, NULL, &fence));
	stile_fence_unref(fence);
	return ret;
}

static int try_timeline(void) {
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline;
	struct stile_fence *fence = NULL, *stub = stile_fence_get_stub();
	int ret = TRY(stile_vulkan_timeline_create(vulkan, "tried", semaphore, &timeline));
	if (ret == 0) {
		ret = TRY(stile_timeline_create_fence(timeline, 9, &fence));
		ret = ret == 0 ? TRY(stile_timeline_submit(timeline, 1, stub)) : ret;
		ret = ret == 0 ? TRY(stile_timeline_signal(timeline, 2)) : ret;
		stile_timeline_unref(timeline);
	}
	while (stile_vulkan_is_held(vulkan)) {
		runner_sleep_ms(1);
	}
	stile_fence_unref(fence);
	stile_fence_unref(stub);
	fake_vulkan_destroy_semaphore(fake, semaphore);
	return ret;
}

static int try_import(bool of_fence) {
	VkSemaphore semaphore = fake_vulkan_binary(fake, sync_fd);
	VkFence vk_fence = fake_vulkan_fence(fake, true);
	struct stile_vulkan_form form = of_fence ? fence_form(vk_fence) : binary_form(semaphore);
	struct stile_fence *fence = NULL;
	form.flags = STILE_VULKAN_EXPORTABLE;
	VkSemaphore hold = hold_queue();
	fake_vulkan_submit(
		fake, &(struct fake_vulkan_submit){ .signal = semaphore, .fence = vk_fence });
	int ret = TRY(stile_vulkan_import_fence(vulkan, &form, NULL, NULL, &fence));
	let_go(hold);
	if (ret == 0) {
		plain_fence_finish(fence);
		stile_fence_unref(fence);
	}
	fake_vulkan_destroy_semaphore(fake, semaphore);
	fake_vulkan_destroy_fence(fake, vk_fence);
	return ret;
}

static int try_import_semaphore(void) {
	return try_import(false);
}

static int try_import_vk_fence(void) {
	return try_import(true);
}

/*
 * The kernel's fence that ends when the library waits for its descriptor: ld --wrap has it call this. That needs no
 * other thread, which might be early: what is over is not imported, and an import could not fail.
 */
static const size_t *awaited_leaf;

int __real_ppoll(
	struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);
int __wrap_ppoll(
	struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);

int __wrap_ppoll(
	struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
	if (awaited_leaf != NULL) {
		fake_sync_file_signal(*awaited_leaf, 1, 1);
	}
	return __real_ppoll(fds, count, timeout, mask);
}

static int try_export(bool to_fence) {
	VkSemaphore semaphore = fake_vulkan_binary(fake, 0);
	VkFence vk_fence = fake_vulkan_fence(fake, false);
	struct stile_vulkan_form form = to_fence ? fence_form(vk_fence) : binary_form(semaphore);
	size_t leaf;
	struct stile_fence *fence = kernels_fence(device, &leaf);
	form.user_fences = STILE_USER_FENCES_WAIT;
	awaited_leaf = &leaf;
	int ret = TRY(stile_vulkan_export_fence(vulkan, fence, &form, NULL, NULL));
	plain_fence_finish(fence);
	awaited_leaf = NULL;
	while (stile_vulkan_is_held(vulkan)) {
		runner_sleep_ms(1);
	}
	stile_fence_unref(fence);
	fake_vulkan_wait_idle(fake);
	fake_vulkan_destroy_semaphore(fake, semaphore);
	fake_vulkan_destroy_fence(fake, vk_fence);
	return ret;
}

static int try_export_semaphore(void) {
	return try_export(false);
}

static int try_export_vk_fence(void) {
	return try_export(true);
}

static int try_share(void) {
	VkSemaphore mine = fake_vulkan_opaque_timeline(fake), theirs = VK_NULL_HANDLE;
	struct stile_vulkan_shared shared = { .size = sizeof(shared) };
	int ret = TRY(stile_vulkan_export_semaphore(
		vulkan, mine, VK_SEMAPHORE_TYPE_TIMELINE, NULL, &shared));
	if (ret == 0) {
		ret = TRY(stile_vulkan_import_semaphore(vulkan, &shared, NULL, &theirs));
		close(shared.fd);
	}
	fake_vulkan_destroy_semaphore(fake, mine);
	fake_vulkan_destroy_semaphore(fake, theirs);
	return ret;
}

static int (*const tries[])(void) = { try_create, try_wait, try_wait_for_the_kernels, try_fence,
	try_sync_file, try_timeline, try_import_semaphore, try_import_vk_fence,
	try_export_semaphore, try_export_vk_fence, try_share };
enum { TRIES = sizeof(tries) / sizeof(tries[0]) };

/*
 * Each call of the driver's in turn gives each of these. Wrong code: an object or a descriptor left, a hang, a
 * wrong errno, a failure that nobody hears of where there was no other way (the ledgers, the device's complaints).
 */
START_TEST(any_call_of_the_driver_may_fail) {
	static const VkResult results[] = { VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_TOO_MANY_OBJECTS,
		VK_ERROR_DEVICE_LOST };
	VkResult result = results[_i % 3];
	unsigned n = 1;
	const char *failed;
	do {
		restart(&has_all);
		fake_gpu_fail(NULL, n, result);
		int ret = tries[_i / 3]();
		failed = fake_gpu_failed();
		ck_assert_msg(ret == 0 ||
				(failed != NULL &&
					ret == (result == VK_ERROR_DEVICE_LOST ? -EIO : -ENOMEM)),
			"call %u, %s, failed: gave %d", n, failed == NULL ? "none" : failed, ret);
		n++;
	} while (failed != NULL);
	ck_assert_uint_gt(n, 2);
}
END_TEST

/* The same of the system's calls. Wrong code: as above. */
START_TEST(any_call_of_the_system_may_fail) {
	for (unsigned n = 1;; n++) {
		restart(&has_all);
		failing_call = n;
		failed_call = NULL;
		int ret = tries[_i]();
		failing_call = 0;
		/* A driver's descriptor that cannot be CLOEXEC was none. */
		bool none = failed_call != NULL && strcmp(failed_call, "fcntl(F_SETFD)") == 0;
		ck_assert_msg(ret == 0 ||
				(none ? ret == -EOPNOTSUPP
				      : ret == -ENOMEM || ret == -EMFILE || ret == -EAGAIN),
			"call %u, %s, failed: gave %d", n, failed_call, ret);
		ck_assert_msg(ret == 0 || failed_call != NULL, "nothing failed, and yet: %d", ret);
		if (failed_call == NULL) {
			break;
		}
	}
}
END_TEST

/* ---- Many at once ---------------------------------------------------------------------------- */

static void *come_and_go(void *arg) {
	uint64_t random = (uint64_t)(uintptr_t)arg + runner_seed();
	for (int i = 0; i < 100; i++) {
		VkSemaphore semaphore = fake_vulkan_timeline(fake);
		struct stile_timeline *timeline;
		struct stile_fence *fence = NULL, *given = plain_fence_create();
		runner_require(
			stile_vulkan_timeline_create(vulkan, "busy", semaphore, &timeline) == 0 &&
				stile_timeline_create_fence(timeline, 1, &fence) == 0,
			"no timeline");
		if (runner_random(&random) % 2 == 0) {
			runner_require(stile_timeline_submit(timeline, 1, given) == 0, "no value");
			stile_fence_signal(given);
			runner_require(plain_fence_finish(fence) == 1, "no success");
		}
		stile_timeline_unref(timeline);
		runner_require(plain_fence_finish(fence) != 0, "no end");
		stile_fence_unref(fence);
		open_gate(given);
		fake_vulkan_destroy_semaphore(fake, semaphore);
	}
	return NULL;
}

/* Wrong code: a race (thread sanitizer), a semaphore destroyed in use (the device complains), a hang. */
START_TEST(timelines_come_and_go_in_many_threads) {
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, come_and_go, (void *)(uintptr_t)i), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
	}
}
END_TEST

/* ---------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("vulkan_sync");
	TCase *tcase = ledger_tcase_create("forms");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, set_up, stop);
	tcase_add_test(tcase, fence_of_a_value_ends_when_anybody_signals_it);
	tcase_add_test(tcase, device_waits_for_its_own_value_by_its_own_semaphore);
	tcase_add_test(tcase, point_is_unsubmitted_until_it_is_done);
	tcase_add_test(tcase, submitted_values_are_signalled_in_their_order);
	tcase_add_test(tcase, what_was_submitted_is_signalled_after_the_timeline_is_closed);
	tcase_add_test(tcase, closing_a_timeline_lets_go_of_its_semaphore);
	tcase_add_test(tcase, eventfd_is_told_of_a_value);
	tcase_add_test(tcase, fence_that_nobody_ends_expires_and_is_let_go);
	tcase_add_test(tcase, hundred_semaphores_at_once_are_all_noticed);
	tcase_add_test(tcase, queues_work_is_waited_for_by_its_semaphore_alone);
	tcase_add_test(tcase, driver_that_spins_for_several_is_asked_for_one);
	tcase_add_test(tcase, lost_device_ends_all);
	tcase_add_test(tcase, timeline_of_nothing_is_einval);
	tcase_add_test(tcase, a_thousand_contexts_in_turn_need_one_semaphore);
	tcase_add_test(tcase, a_signal_that_fails_for_want_of_memory_is_tried_again);
	tcase_add_loop_test(tcase, only_a_lost_device_ends_a_fence_before_its_work, 0, 4);
	tcase_add_test(tcase, work_that_is_over_at_once_ends_its_fence);
	tcase_add_test(tcase, where_the_import_fails_a_thread_tells_the_device);
	tcase_add_loop_test(tcase, exports_in_turn_leave_no_semaphores, 0, 2);
	tcase_add_loop_test(tcase, binary_semaphore_becomes_a_fence_once, 0, 3);
	tcase_add_test(tcase, exported_semaphore_that_is_over_is_nothing_to_wait_for);
	tcase_add_loop_test(tcase, driver_that_loses_what_it_exports_is_found_out, 0, 2);
	tcase_add_test(tcase, behind_a_programs_fence_binary_semaphores_are_refused_or_waited_for);
	tcase_add_loop_test(tcase, vk_fence_becomes_a_fence, 0, 2);
	tcase_add_test(tcase, behind_a_programs_fence_a_vk_fence_is_looked_at);
	tcase_add_test(tcase, export_that_blocks_is_reported);
	tcase_add_test(tcase, kernels_fence_goes_into_a_binary_semaphore);
	tcase_add_test(tcase, queues_own_fence_goes_into_a_binary_semaphore);
	tcase_add_test(tcase, programs_fence_into_a_binary_semaphore_is_refused_or_waited_for);
	tcase_add_test(tcase, behind_a_programs_fence_none_is_signalled);
	tcase_add_loop_test(tcase, any_fence_goes_into_a_vk_fence, 0, 5);
	tcase_add_test(tcase, form_that_makes_no_sense_is_einval);
	tcase_add_test(tcase, shared_semaphore_is_the_same_one);
	tcase_add_test(tcase, semaphore_of_another_device_is_refused);
	tcase_add_test(tcase, what_a_failed_import_closes_is_closed_once);
	tcase_add_test(tcase, driver_that_shares_no_semaphores_is_said);
	tcase_add_test(tcase, timelines_come_and_go_in_many_threads);
	suite_add_tcase(suite, tcase);
	tcase = ledger_tcase_create("failures");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, set_up, stop);
	tcase_add_loop_test(tcase, any_call_of_the_driver_may_fail, 0, 3 * TRIES);
	tcase_add_loop_test(tcase, any_call_of_the_system_may_fail, 0, TRIES);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
