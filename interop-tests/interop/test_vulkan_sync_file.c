/* SPDX-License-Identifier: MIT */
/*
 * The kernel's sync_files in and out of a device that takes and gives them, that does so in part, or not at all; and
 * what is refused, or waited for, where a thread has still to tell the device something: support/fake_vulkan.h.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/carrier.h>
#include <stile/timeline.h>
#include <stile/vulkan_sync.h>

#include "interop-tests/interop/fence_checks.h"
#include "interop-tests/interop/vulkan_fixture.h"
#include "interop-tests/support/fake_gpu.h"
#include "interop-tests/support/fake_sync_file.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

#define SYNC_FD VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT
#define OPAQUE_FD VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT

static const struct fake_vulkan_traits has_nothing;

/* Of the extensions that fake_vulkan_describe() has. */
enum { ALL, NO_SEMAPHORES = 2, NO_FENCES = 3 };

static void set_up(void) {
	start(&has_all);
}

/* ---- What a test needs ----------------------------------------------------------------------- */

static struct stile_vulkan_wait wait_for(
	struct stile_fence *fence, VkSemaphore binary, enum stile_path_kind kind) {
	struct stile_vulkan_wait wait = { .size = sizeof(wait), .binary = binary };
	struct stile_path path = { .size = sizeof(path) };
	ck_assert_int_eq(stile_vulkan_wait_fence(vulkan, fence, &path, &wait), 0);
	ck_assert_int_eq(path.kind, kind);
	return wait;
}

static void submit_behind(const struct stile_vulkan_wait *wait) {
	fake_vulkan_submit(fake,
		&(struct fake_vulkan_submit){ .wait = wait->semaphore, .wait_value = wait->value });
}

static struct stile_vulkan_form form_of(VkSemaphore semaphore, VkFence fence) {
	return (struct stile_vulkan_form){
		.size = sizeof(struct stile_vulkan_form),
		.semaphore = semaphore,
		.fence = fence,
		.device = device,
		.flags = STILE_VULKAN_EXPORTABLE,
	};
}

static struct stile_fence *import(const struct stile_vulkan_form *form, enum stile_path_kind kind) {
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *fence;
	ck_assert_int_eq(stile_vulkan_import_fence(vulkan, form, &path, NULL, &fence), 0);
	ck_assert_int_eq(path.kind, kind);
	return fence;
}

static void export(struct stile_fence *fence, const struct stile_vulkan_form *form,
	enum stile_path_kind kind) {
	struct stile_path path = { .size = sizeof(path) };
	ck_assert_int_eq(stile_vulkan_export_fence(vulkan, fence, form, &path, NULL), 0);
	ck_assert_int_eq(path.kind, kind);
}

/* ---- In -------------------------------------------------------------------------------------- */

/* By copy. Wrong code: a semaphore that takes the fence from another one, or from who has it. */
START_TEST(one_sync_file_goes_into_many_semaphores) {
	VkSemaphore semaphores[2];
	struct stile_fence *works[2], *fence;
	size_t leaf;
	fence = kernels_fence(device, &leaf);
	for (int i = 0; i < 2; i++) {
		semaphores[i] = fake_vulkan_binary(fake, 0);
		struct stile_vulkan_wait wait = wait_for(fence, semaphores[i], STILE_PATH_KERNEL);
		ck_assert(wait.semaphore == semaphores[i]);
		works[i] = work_behind(semaphores[i]);
	}
	check_pending(works[0]);
	ck_assert_int_eq(stile_fence_get_status(works[1]), 0);
	fake_sync_file_signal(leaf, 1, 1);
	for (int i = 0; i < 2; i++) {
		check_ends(works[i], 1);
		fake_vulkan_destroy_semaphore(fake, semaphores[i]);
	}
	check_ends(fence, 1);
}
END_TEST

/*
 * There is no descriptor of what has ended: -1. Wrong code: a thread for it, or a driver asked; a semaphore that is said
 * to have it, and never will be signalled (the device's complaint).
 */
START_TEST(what_ends_on_its_way_in_is_nothing_to_wait_for) {
	VkSemaphore semaphore = fake_vulkan_binary(fake, 0);
	VkFence vk_fence = fake_vulkan_fence(fake, false);
	struct stile_vulkan_form form = form_of(semaphore, VK_NULL_HANDLE);
	struct stile_fence fence;
	make_quick(&fence);
	struct stile_vulkan_wait wait = wait_for(&fence, semaphore, STILE_PATH_NONE);
	ck_assert(wait.semaphore == VK_NULL_HANDLE);
	make_quick(&fence);
	export(&fence, &form, STILE_PATH_NONE);
	check_ends(work_behind(semaphore), 1);
	make_quick(&fence);
	form = form_of(VK_NULL_HANDLE, vk_fence);
	export(&fence, &form, STILE_PATH_KERNEL);
	ck_assert(fake_vulkan_is_signaled(fake, vk_fence));
	fake_vulkan_wait_idle(fake);
	fake_vulkan_destroy_fence(fake, vk_fence);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Wrong code: entry points used of extensions that are not enabled, or of what the driver says it cannot. */
START_TEST(what_a_device_does_not_import_a_thread_tells_it) {
	static const struct {
		uint32_t extension_count;
		VkExternalSemaphoreFeatureFlags lacks;
		enum stile_path_kind semaphore, fence;
	} cases[] = {
		{ ALL, VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT, STILE_PATH_BRIDGE,
			STILE_PATH_KERNEL },
		{ NO_FENCES, 0, STILE_PATH_KERNEL, STILE_PATH_BRIDGE },
		{ NO_SEMAPHORES, 0, STILE_PATH_BRIDGE, STILE_PATH_BRIDGE },
	};
	struct fake_vulkan_traits traits = has_all;
	traits.lacks = cases[_i].lacks;
	traits.extension_count = cases[_i].extension_count;
	restart(&traits);
	VkSemaphore semaphore = fake_vulkan_binary(fake, 0);
	VkFence vk_fence = fake_vulkan_fence(fake, false);
	struct stile_vulkan_form form = form_of(VK_NULL_HANDLE, vk_fence);
	size_t leaf;
	struct stile_fence *fence = kernels_fence(device, &leaf);
	struct stile_vulkan_wait wait = wait_for(fence, semaphore, cases[_i].semaphore);
	submit_behind(&wait);
	export(fence, &form, cases[_i].fence);
	fake_sync_file_signal(leaf, 1, 1);
	ck_assert(fake_vulkan_becomes_signaled(fake, vk_fence));
	check_ends(fence, 1);
	fake_vulkan_wait_idle(fake);
	fake_vulkan_destroy_fence(fake, vk_fence);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* ---- Out of what was imported ---------------------------------------------------------------- */

/* What is pending in the application's semaphore, imported there, becomes a fence. */
static void check_kept(const struct stile_vulkan_form *form, enum stile_path_kind kind) {
	int fd = fake_sync_file_create(1);
	size_t leaf = fake_sync_file_first_leaf(fd);
	fake_vulkan_import(fake, form->semaphore, fd);
	struct stile_fence *fence = import(form, kind);
	check_pending(fence);
	fake_sync_file_signal(leaf, 1, 1);
	check_ends(fence, 1);
}

/*
 * The trial of a driver that may lose what it exports. Wrong code: one that found no memory taken for one that was
 * passed, which is a dependency lost; or for a driver that loses, for ever; a trial each time.
 */
START_TEST(a_trial_that_found_no_memory_is_made_again) {
	static const char *const calls[] = { "vkCreateSemaphore", "vkImportSemaphoreFdKHR",
		"vkGetSemaphoreFdKHR" };
	struct fake_vulkan_traits traits = has_all;
	traits.loses_exported = _i % 2 == 1;
	restart(&traits);
	VkSemaphore semaphore = fake_vulkan_binary(fake, SYNC_FD);
	const struct stile_vulkan_form form = form_of(semaphore, VK_NULL_HANDLE);
	const enum stile_path_kind kind =
		traits.loses_exported ? STILE_PATH_HANDLE : STILE_PATH_KERNEL;
	fake_gpu_fail(calls[_i / 2], 1, VK_ERROR_OUT_OF_HOST_MEMORY);
	check_kept(&form, STILE_PATH_HANDLE);
	ck_assert_str_eq(fake_gpu_failed(), calls[_i / 2]);
	check_kept(&form, kind);
	fake_gpu_fail("vkImportSemaphoreFdKHR", 1, VK_ERROR_OUT_OF_HOST_MEMORY);
	check_kept(&form, kind);
	ck_assert_ptr_null(fake_gpu_failed());
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Most drivers take no file of another kind. Wrong code: that taken for a driver that loses what it exports. */
START_TEST(a_driver_that_does_not_take_the_trial_is_believed) {
	VkSemaphore semaphore = fake_vulkan_binary(fake, SYNC_FD);
	const struct stile_vulkan_form form = form_of(semaphore, VK_NULL_HANDLE);
	fake_gpu_fail("vkImportSemaphoreFdKHR", 1, VK_ERROR_INVALID_EXTERNAL_HANDLE);
	check_kept(&form, STILE_PATH_KERNEL);
	check_kept(&form, STILE_PATH_KERNEL);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* ---- Out of the queue ------------------------------------------------------------------------ */

static int create_sync_file(
	enum stile_user_fences user_fences, struct stile_path *path, struct stile_fence **out) {
	*path = (struct stile_path){ .size = sizeof(*path) };
	return stile_vulkan_fence_create_sync_file(vulkan, device, user_fences, path, out);
}

static const char *tell_name(struct stile_fence *fence) {
	(void)fence;
	return "test";
}

/* A program's fence that ends a while after somebody waits for it. */
static int wait_and_end(struct stile_fence *fence, int64_t deadline_ns) {
	(void)deadline_ns;
	runner_sleep_ms(2);
	stile_fence_signal(fence);
	return 0;
}

static const struct stile_fence_ops patient_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = tell_name,
	.get_timeline_name = tell_name,
	.wait = wait_and_end,
};

/*
 * Behind a program's fence a driver's export would wait for the program, or must not be made. Wrong code: it is made
 * (the device complains); a refusal that leaves something; a caller that is not held up, and gets what nobody can wait
 * for; one that is held up for nothing.
 */
START_TEST(behind_a_programs_fence_the_kernel_gets_none) {
	/* The adapter lets go of it when it likes. */
	static struct stile_fence gate;
	struct stile_fence *fence;
	struct stile_path path;
	ck_assert_int_eq(stile_fence_init(&gate, &patient_ops, stile_fence_context_alloc(1), 1), 0);
	struct stile_vulkan_wait wait = wait_for(&gate, VK_NULL_HANDLE, STILE_PATH_BRIDGE);
	submit_behind(&wait);
	ck_assert_int_eq(create_sync_file(STILE_USER_FENCES_REFUSE, &path, &fence), -EOPNOTSUPP);
	ck_assert_ptr_null(fence);
	ck_assert_int_eq(create_sync_file(STILE_USER_FENCES_HOLD, &path, &fence), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_HANDLE);
	ck_assert_int_eq(path.blocked_ns, 0);
	ck_assert(!has_sync_file(fence));
	check_pending(fence);
	struct stile_fence *kernels;
	ck_assert_int_eq(create_sync_file(STILE_USER_FENCES_WAIT, &path, &kernels), 0);
	ck_assert_int_ne(path.kind, STILE_PATH_HANDLE);
	ck_assert_int_gt(path.blocked_ns, 0);
	check_ends(kernels, 1);
	check_ends(fence, 1);
}
END_TEST

/* Wrong code: a wait, though no export is to come of it; a refusal that leaves something. */
START_TEST(where_the_kernel_can_have_none_nothing_is_waited_for) {
	restart(&has_nothing);
	struct stile_fence *gate = hold_device(), *fence;
	struct stile_path path;
	ck_assert_int_eq(create_sync_file(STILE_USER_FENCES_REFUSE, &path, &fence), -EOPNOTSUPP);
	ck_assert_ptr_null(fence);
	ck_assert_int_eq(create_sync_file(STILE_USER_FENCES_WAIT, &path, &fence), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_HANDLE);
	ck_assert_int_eq(path.blocked_ns, 0);
	check_pending(fence);
	open_gate(gate);
	check_ends(fence, 1);
}
END_TEST

/* Wrong code: a driver whose export waits, of which the path says nothing. */
START_TEST(an_export_that_waits_for_the_queue_is_reported) {
	struct fake_vulkan_traits traits = has_all;
	traits.export_blocks = true;
	restart(&traits);
	struct stile_fence *fence;
	struct stile_path path;
	pthread_t helper;
	VkSemaphore hold = hold_queue();
	ck_assert_int_eq(pthread_create(&helper, NULL, let_go_late, (void *)hold), 0);
	ck_assert_int_eq(create_sync_file(STILE_USER_FENCES_HOLD, &path, &fence), 0);
	ck_assert_int_gt(path.blocked_ns, 0);
	pthread_join(helper, NULL);
	check_ends(fence, 1);
}
END_TEST

/* Wrong code: a fence of what was not submitted among those that end; those after it lost. */
START_TEST(a_submission_that_fails_leaves_the_others) {
	struct stile_fence *fences[3], *none;
	VkSemaphore hold = hold_queue();
	for (int i = 0; i < 3; i++) {
		fake_gpu_fail("vkQueueSubmit", 1, VK_ERROR_OUT_OF_HOST_MEMORY);
		ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &none), -ENOMEM);
		ck_assert_ptr_null(none);
		ck_assert_ptr_nonnull(fake_gpu_failed());
		ck_assert_int_eq(stile_vulkan_fence_create(vulkan, &fences[i]), 0);
	}
	check_pending(fences[0]);
	let_go(hold);
	for (int i = 0; i < 3; i++) {
		check_ends(fences[i], 1);
	}
}
END_TEST

/* ---- A thread between ------------------------------------------------------------------------ */

/* Wrong code: another adapter's fence taken for a value of this one's semaphore, or for one that it may use. */
START_TEST(the_fence_of_another_adapter_is_anybodys) {
	const struct stile_vulkan_info info = fake_vulkan_describe(fake);
	struct stile_vulkan *other;
	struct stile_fence *fence;
	ck_assert_int_eq(stile_vulkan_create(&info, NULL, &other), 0);
	VkSemaphore hold = hold_queue();
	ck_assert_int_eq(stile_vulkan_fence_create(other, &fence), 0);
	wait_for(fence, VK_NULL_HANDLE, STILE_PATH_BRIDGE);
	let_go(hold);
	check_ends(fence, 1);
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline;
	ck_assert_int_eq(stile_vulkan_timeline_create(other, "theirs", semaphore, &timeline), 0);
	ck_assert_int_eq(stile_timeline_create_fence(timeline, 1, &fence), 0);
	wait_for(fence, VK_NULL_HANDLE, STILE_PATH_BRIDGE);
	fake_vulkan_signal(fake, semaphore, 1);
	check_ends(fence, 1);
	stile_timeline_unref(timeline);
	fake_vulkan_destroy_semaphore(fake, semaphore);
	stile_vulkan_destroy(other);
}
END_TEST

/* Wrong code: half of a value, which is reached long before. */
START_TEST(a_value_may_have_64_bits) {
	const uint64_t value = UINT64_C(5) << 32;
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline;
	struct stile_fence *fence;
	ck_assert_int_eq(stile_vulkan_timeline_create(vulkan, "theirs", semaphore, &timeline), 0);
	ck_assert_int_eq(stile_timeline_create_fence(timeline, value, &fence), 0);
	ck_assert_uint_eq(wait_for(fence, VK_NULL_HANDLE, STILE_PATH_HANDLE).value, value);
	fake_vulkan_signal(fake, semaphore, value - 1);
	check_pending(fence);
	fake_vulkan_signal(fake, semaphore, value);
	check_ends(fence, 1);
	stile_timeline_unref(timeline);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

static void make_fence(struct stile_fence *fence, uint64_t context, uint64_t seqno) {
	static const struct stile_fence_ops ops = {
		.size = sizeof(struct stile_fence_ops),
		.get_driver_name = tell_name,
		.get_timeline_name = tell_name,
	};
	ck_assert_int_eq(stile_fence_init(fence, &ops, context, seqno), 0);
}

/*
 * Fences that end in their order share a semaphore, and no others. Wrong code: a semaphore for each; one that is not
 * signalled because of a fence that has nothing to do with it; the application's used.
 */
START_TEST(only_fences_that_end_in_order_share_a_semaphore) {
	enum { COUNT = 4 };
	uint64_t context = stile_fence_context_alloc(2);
	const struct {
		uint64_t context, seqno;
		int shared_with; /* itself: it is the first */
	} made[COUNT] = { { context, 5, 0 }, { context, 6, 0 }, { context + 1, 9, 2 },
		{ context, 3, 3 } };
	/* The adapter lets go of them when it likes. */
	static struct stile_fence fences[COUNT];
	struct stile_vulkan_wait waits[COUNT];
	VkSemaphore theirs = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline;
	ck_assert_int_eq(stile_vulkan_timeline_create(vulkan, "theirs", theirs, &timeline), 0);
	for (int i = 0; i < COUNT; i++) {
		make_fence(&fences[i], made[i].context, made[i].seqno);
		waits[i] = wait_for(&fences[i], VK_NULL_HANDLE, STILE_PATH_BRIDGE);
		ck_assert(waits[i].semaphore != theirs);
		for (int k = 0; k < i; k++) {
			ck_assert_msg((waits[k].semaphore == waits[i].semaphore) ==
					(made[k].shared_with == made[i].shared_with),
				"%d and %d", k, i);
		}
	}
	for (int i = COUNT - 1; i >= 0; i--) {
		stile_fence_signal(&fences[i]);
		if (made[i].shared_with == i) {
			ck_assert(fake_vulkan_becomes(fake, waits[i].semaphore, waits[i].value));
		}
	}
	ck_assert(fake_vulkan_becomes(fake, waits[1].semaphore, waits[1].value));
	while (stile_vulkan_is_held(vulkan)) {
		runner_sleep_ms(1);
	}
	stile_timeline_unref(timeline);
	fake_vulkan_destroy_semaphore(fake, theirs);
}
END_TEST

/* Wrong code: a wait of which the caller gets a part. */
START_TEST(a_wait_without_room_is_einval) {
	struct stile_vulkan_wait wait = { .size = sizeof(wait) - 1 };
	struct stile_fence *gate = plain_fence_create();
	ck_assert_int_eq(stile_vulkan_wait_fence(vulkan, gate, NULL, &wait), -EINVAL);
	ck_assert(!stile_vulkan_is_held(vulkan));
	open_gate(gate);
}
END_TEST

/* ---- Values and VkFences that are looked at -------------------------------------------------- */

/* Wrong code: a driver that is early, or short of memory, taken for the end of the time; its error for the value's. */
START_TEST(a_wait_for_a_value_outlasts_a_driver_that_is_early) {
	static const VkResult results[] = { VK_TIMEOUT, VK_ERROR_OUT_OF_HOST_MEMORY };
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline;
	ck_assert_int_eq(stile_vulkan_timeline_create(vulkan, "theirs", semaphore, &timeline), 0);
	const struct stile_point point = { .timeline = timeline, .value = 1 };
	const int64_t deadlines_ns[] = { runner_clock_ns() + 20 * INT64_C(1000000), 1 };
	for (int i = 0; i < 2; i++) {
		/* The second call of this thread's: the first one asks for the value. */
		fake_gpu_fail(NULL, 2, results[_i]);
		ck_assert_int_eq(
			stile_point_wait(&point, STILE_POINT_SIGNALED, deadlines_ns[i], NULL),
			-ETIME);
		ck_assert_int_ge(runner_clock_ns(), deadlines_ns[i]);
		ck_assert_str_eq(fake_gpu_failed(), "vkWaitSemaphores");
	}
	stile_timeline_unref(timeline);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Wrong code: a value that is not signalled, and that nobody hears of. */
START_TEST(a_value_that_cannot_be_signalled_is_said) {
	VkSemaphore semaphore = fake_vulkan_timeline(fake);
	struct stile_timeline *timeline;
	ck_assert_int_eq(stile_vulkan_timeline_create(vulkan, "theirs", semaphore, &timeline), 0);
	fake_gpu_fail("vkSignalSemaphore", 1, VK_ERROR_DEVICE_LOST);
	ck_assert_int_eq(stile_timeline_signal(timeline, 1), -EIO);
	ck_assert(has_logged("DEVICE_LOST"));
	stile_timeline_unref(timeline);
	fake_vulkan_destroy_semaphore(fake, semaphore);
}
END_TEST

/* Wrong code: what the device does not say taken for success. */
START_TEST(a_value_that_the_device_does_not_tell_is_an_error) {
	VkSemaphore semaphores[2];
	struct stile_timeline *timelines[2];
	struct stile_fence *fences[2];
	for (int i = 0; i < 2; i++) {
		semaphores[i] = fake_vulkan_timeline(fake);
		ck_assert_int_eq(stile_vulkan_timeline_create(
					 vulkan, "theirs", semaphores[i], &timelines[i]),
			0);
		ck_assert_int_eq(stile_timeline_create_fence(timelines[i], 1, &fences[i]), 0);
	}
	/* The thread sleeps; the last one is looked at first. */
	check_pending(fences[1]);
	fake_gpu_fail("vkGetSemaphoreCounterValue", 1, VK_ERROR_DEVICE_LOST);
	fake_vulkan_signal(fake, semaphores[0], 1);
	check_ends(fences[1], -EIO);
	plain_fence_finish(fences[0]);
	stile_fence_unref(fences[0]);
	for (int i = 0; i < 2; i++) {
		stile_timeline_unref(timelines[i]);
		fake_vulkan_destroy_semaphore(fake, semaphores[i]);
	}
}
END_TEST

/* Wrong code: a VkFence that nobody will submit waited for, or said to be done. */
START_TEST(the_end_of_the_adapter_cancels_what_is_looked_at) {
	VkFence vk_fence = fake_vulkan_fence(fake, false);
	struct stile_vulkan_form form = form_of(VK_NULL_HANDLE, vk_fence);
	form.flags = 0;
	struct stile_fence *fence = import(&form, STILE_PATH_BRIDGE);
	check_pending(fence);
	stile_vulkan_destroy(vulkan);
	vulkan = NULL;
	check_ends(fence, -ECANCELED);
	fake_vulkan_destroy_fence(fake, vk_fence);
}
END_TEST

/* ---- OPAQUE_FD ------------------------------------------------------------------------------- */

/* For good. Wrong code: what is imported is gone after one wait. */
START_TEST(a_shared_binary_semaphore_is_shared_for_good) {
	VkSemaphore mine = fake_vulkan_binary(fake, OPAQUE_FD), theirs;
	struct stile_vulkan_shared shared = { .size = sizeof(shared) };
	ck_assert_int_eq(stile_vulkan_export_semaphore(
				 vulkan, mine, VK_SEMAPHORE_TYPE_BINARY, NULL, &shared),
		0);
	ck_assert_int_eq(stile_vulkan_import_semaphore(vulkan, &shared, NULL, &theirs), 0);
	close(shared.fd);
	for (int i = 0; i < 3; i++) {
		fake_vulkan_submit(fake, &(struct fake_vulkan_submit){ .signal = mine });
		check_ends(work_behind(theirs), 1);
	}
	fake_vulkan_destroy_semaphore(fake, mine);
	fake_vulkan_destroy_semaphore(fake, theirs);
}
END_TEST

/* Wrong code: a driver asked of another type of semaphore than it is to share. */
START_TEST(a_driver_that_shares_no_timelines_shares_binary_semaphores) {
	struct fake_vulkan_traits traits = has_all;
	traits.shares_no_timelines = true;
	restart(&traits);
	VkSemaphore timeline = fake_vulkan_opaque_timeline(fake),
		    binary = fake_vulkan_binary(fake, OPAQUE_FD);
	struct stile_vulkan_shared shared = { .size = sizeof(shared) };
	struct stile_report why = { .size = sizeof(why) };
	ck_assert_int_eq(stile_vulkan_export_semaphore(
				 vulkan, timeline, VK_SEMAPHORE_TYPE_TIMELINE, &why, &shared),
		-EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, "timeline"));
	ck_assert_int_eq(stile_vulkan_export_semaphore(
				 vulkan, binary, VK_SEMAPHORE_TYPE_BINARY, &why, &shared),
		0);
	close(shared.fd);
	fake_vulkan_destroy_semaphore(fake, timeline);
	fake_vulkan_destroy_semaphore(fake, binary);
}
END_TEST

/* Wrong code: one direction taken for the other; a driver asked for what it does not do; a device without the extension. */
START_TEST(a_driver_that_shares_in_one_direction_is_asked_for_that) {
	static const VkExternalSemaphoreFeatureFlags lacks[] = {
		VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT,
		VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT,
		0,
	};
	struct fake_vulkan_traits traits = has_all;
	traits.lacks = lacks[_i];
	traits.extension_count = _i == 2 ? NO_SEMAPHORES : ALL;
	VkSemaphore mine = fake_vulkan_opaque_timeline(fake), theirs;
	struct stile_vulkan_shared shared = { .size = sizeof(shared) }, own = shared;
	ck_assert_int_eq(stile_vulkan_export_semaphore(
				 vulkan, mine, VK_SEMAPHORE_TYPE_TIMELINE, NULL, &shared),
		0);
	fake_vulkan_destroy_semaphore(fake, mine);
	restart(&traits);
	mine = fake_vulkan_opaque_timeline(fake);
	struct stile_report why = { .size = sizeof(why) };
	int ret =
		stile_vulkan_export_semaphore(vulkan, mine, VK_SEMAPHORE_TYPE_TIMELINE, &why, &own);
	ck_assert_int_eq(ret, _i == 1 ? 0 : -EOPNOTSUPP);
	if (ret == 0) {
		close(own.fd);
	}
	/* What is exported of a device that is gone no device knows: but it is asked. */
	ck_assert_int_eq(
		stile_vulkan_import_semaphore(vulkan, &shared, &why, &theirs), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text,
		_i == 0           ? "vkImportSemaphoreFdKHR"
			: _i == 1 ? "does not share"
				  : VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME));
	close(shared.fd);
	fake_vulkan_destroy_semaphore(fake, mine);
}
END_TEST

/* ---------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("vulkan_sync_file");
	TCase *tcase = ledger_tcase_create("sync_file");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, set_up, stop);
	tcase_add_test(tcase, one_sync_file_goes_into_many_semaphores);
	tcase_add_test(tcase, what_ends_on_its_way_in_is_nothing_to_wait_for);
	tcase_add_loop_test(tcase, what_a_device_does_not_import_a_thread_tells_it, 0, 3);
	tcase_add_loop_test(tcase, a_trial_that_found_no_memory_is_made_again, 0, 6);
	tcase_add_test(tcase, a_driver_that_does_not_take_the_trial_is_believed);
	tcase_add_test(tcase, behind_a_programs_fence_the_kernel_gets_none);
	tcase_add_test(tcase, where_the_kernel_can_have_none_nothing_is_waited_for);
	tcase_add_test(tcase, an_export_that_waits_for_the_queue_is_reported);
	tcase_add_test(tcase, a_submission_that_fails_leaves_the_others);
	tcase_add_test(tcase, the_fence_of_another_adapter_is_anybodys);
	tcase_add_test(tcase, a_value_may_have_64_bits);
	tcase_add_test(tcase, only_fences_that_end_in_order_share_a_semaphore);
	tcase_add_test(tcase, a_wait_without_room_is_einval);
	tcase_add_loop_test(tcase, a_wait_for_a_value_outlasts_a_driver_that_is_early, 0, 2);
	tcase_add_test(tcase, a_value_that_cannot_be_signalled_is_said);
	tcase_add_test(tcase, a_value_that_the_device_does_not_tell_is_an_error);
	tcase_add_test(tcase, the_end_of_the_adapter_cancels_what_is_looked_at);
	tcase_add_test(tcase, a_shared_binary_semaphore_is_shared_for_good);
	tcase_add_test(tcase, a_driver_that_shares_no_timelines_shares_binary_semaphores);
	tcase_add_loop_test(tcase, a_driver_that_shares_in_one_direction_is_asked_for_that, 0, 3);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
