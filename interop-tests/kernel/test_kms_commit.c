/* SPDX-License-Identifier: MIT */
/*
 * Commits of images and fences. No unfinished picture may be seen: producers write theirs only right before
 * they signal, and what vkms showed is written back and compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <xf86drm.h>

#include <stile/access.h>
#include <stile/check.h>
#include <stile/graph.h>
#include <stile/swgpu.h>
#include <stile/swgpu_list.h>
#include <stile/wait.h>

#include "interop-tests/kernel/ioctl_sweep.h"
#include "interop-tests/kernel/kms_stage.h"
#include "interop-tests/kernel/twin_kernel.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/mail.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/vgem.h"
#include "src/macros.h"

#define MS INT64_C(1000000)
#define HANG_NS (60000 * MS)

enum { WIDTH = KMS_OUTPUT_WIDTH, HEIGHT = KMS_OUTPUT_HEIGHT };

/* ---- Fences that the kernel knows ---------------------------------------------------------- */

/* IN_FENCE_FD. Wrong code: the fence is not given, and what is not drawn yet is shown. */
START_TEST(flip_waits_for_an_explicit_fence) {
	stage_begin(_i);
	int number;
	struct stile_fence *drawn = stage_kernel_fence(&number);
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, 1);
	stage_must_commit(&shot);
	ck_assert_ptr_null(shot.held);
	ck_assert_int_eq(shot.path.kind, STILE_PATH_HANDLE);
	ck_assert_int_eq(shot.path.blocked_ns, 0);
	stage_let_others_be_wrong();
	ck_assert(!stile_fence_is_signaled(shot.shown));
	ck_assert(!stile_fence_is_user(shot.shown));
	stage_draw(&stage.next, STAGE_DRAWN);
	ck_assert_int_eq(vgem_signal(stage.vgem, number), 0);
	stage_finish_shot(&shot);
	stage_check_seen(STAGE_DRAWN);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

/* Wrong code: of several fences the first, or the last, is given. */
START_TEST(flip_waits_for_all_of_its_fences) {
	stage_begin(STAGE_FOREIGN);
	int numbers[2];
	struct stile_fence *fences[] = { stage_kernel_fence(&numbers[0]),
		stage_kernel_fence(&numbers[1]) };
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, fences, 2);
	stage_must_commit(&shot);
	ck_assert_int_eq(shot.path.kind, STILE_PATH_HANDLE);
	ck_assert_int_eq(vgem_signal(stage.vgem, numbers[_i]), 0);
	stage_let_others_be_wrong();
	ck_assert(!stile_fence_is_signaled(shot.shown));
	stage_draw(&stage.next, STAGE_DRAWN);
	ck_assert_int_eq(vgem_signal(stage.vgem, numbers[1 - _i]), 0);
	stage_finish_shot(&shot);
	stage_check_seen(STAGE_DRAWN);
	stile_fence_unref(fences[0]);
	stile_fence_unref(fences[1]);
	stage_end();
}
END_TEST

/* D-6, without a word from us. Wrong code: a fence that is over given, and that is all to wait for. */
START_TEST(flip_waits_for_an_implicit_fence) {
	stage_begin(_i);
	struct stile_fence *over = stile_fence_get_stub();
	int number = vgem_attach(stage.vgem, stage.next.fd, true);
	ck_assert_int_ge(number, 0);
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &over, 1);
	stage_must_commit(&shot);
	ck_assert_int_eq(shot.path.kind, STILE_PATH_NONE);
	stage_let_others_be_wrong();
	ck_assert(!stile_fence_is_signaled(shot.shown));
	stage_draw(&stage.next, STAGE_DRAWN);
	ck_assert_int_eq(vgem_signal(stage.vgem, number), 0);
	stage_finish_shot(&shot);
	stage_check_seen(STAGE_DRAWN);
	stile_fence_unref(over);
	stage_end();
}
END_TEST

static void begin_access(
	const struct stage_frame *frame, uint32_t usage, struct stile_access *access) {
	const struct stile_access_info info = { .size = sizeof(info), .usage = usage };
	ck_assert_int_eq(stile_access_begin(frame->image, &info, access), 0);
}

static bool waits_for(const struct stile_access *access, const struct stile_fence *fence) {
	bool found = false;
	for (size_t i = 0; i < access->count; i++) {
		found |= access->fences[i] == fence;
	}
	return found;
}

/*
 * The sequence in the header, section 19. Wrong code: the picture that is shown till now given back too
 * early, so that its producer draws on the screen.
 */
START_TEST(fence_of_a_flip_ends_the_use_of_what_was_shown) {
	stage_begin(_i);
	struct stile_access old, new, again;
	begin_access(&stage.blank, STILE_USAGE_READ, &old);
	int number = vgem_attach(stage.vgem, stage.next.fd, true);
	ck_assert_int_ge(number, 0);
	begin_access(&stage.next, STILE_USAGE_READ, &new);
	ck_assert_uint_eq(new.count, 1);
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, new.fences, new.count);
	stage_must_commit(&shot);
	ck_assert_int_eq(shot.path.kind, STILE_PATH_HANDLE);
	ck_assert_int_eq(stile_access_end(&old, shot.shown), 0);

	begin_access(&stage.blank, STILE_USAGE_WRITE, &again);
	ck_assert(waits_for(&again, shot.shown));
	ck_assert_int_eq(stile_access_wait(&again, runner_clock_ns() + 50 * MS, NULL), -ETIME);
	stage_draw(&stage.next, STAGE_DRAWN);
	ck_assert_int_eq(vgem_signal(stage.vgem, number), 0);
	ck_assert_int_eq(stile_access_wait(&again, runner_clock_ns() + HANG_NS, NULL), 0);
	stage_draw(&stage.blank, STAGE_NOTHING);
	ck_assert_int_eq(stile_access_end(&again, NULL), 0);
	stage_finish_shot(&shot);
	stage_check_seen(STAGE_DRAWN);
	stage_look(STAGE_DRAWN);
	stile_access_cancel(&new);
	stage_end();
}
END_TEST

/* Wrong code: the driver's code alone, of which nobody knows what to do about it. */
START_TEST(flip_while_one_is_pending_is_busy) {
	stage_begin(STAGE_FOREIGN);
	int number;
	struct stile_fence *drawn = stage_kernel_fence(&number);
	struct stage_shot first, second;
	stage_prepare(&first, &stage.next, &drawn, 1);
	stage_must_commit(&first);
	stage_prepare(&second, &stage.blank, NULL, 0);
	second.info.writeback = NULL;
	stage_must_refuse(&second, -EBUSY, "a flip is pending");
	ck_assert_int_eq(vgem_signal(stage.vgem, number), 0);
	stage_finish_shot(&first);
	stage_check_seen(STAGE_NOTHING);
	stage_must_commit(&second);
	ck_assert_int_eq(plain_fence_finish(second.shown), 1);
	stage_end_shot(&second);
	stage_look(STAGE_BLANK);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

/* Of sw_sync, where the kernel has it. */
static struct stile_fence *sw_fence(int timeline, uint32_t value) {
	int file = kernel_sw_fence(timeline, value);
	ck_assert_int_ge(file, 0);
	struct stile_fence *fence;
	ck_assert_int_eq(
		stile_fence_import_fd(stage.memory, STILE_FD_SYNC_FILE, 0, file, &fence), 0);
	close(file);
	return fence;
}

/* W-3. Wrong code: of two places on one timeline the earlier one is given. */
START_TEST(flip_waits_for_a_place_on_a_timeline) {
	stage_begin(_i);
	int timeline = kernel_open_sw_sync();
	struct stile_fence *fences[] = { sw_fence(timeline, 2), sw_fence(timeline, 1) };
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, fences, 2);
	stage_must_commit(&shot);
	ck_assert_int_eq(shot.path.kind, STILE_PATH_HANDLE);
	ck_assert_int_eq(kernel_sw_advance(timeline, 1), 0);
	stage_let_others_be_wrong();
	ck_assert(!stile_fence_is_signaled(shot.shown));
	stage_draw(&stage.next, STAGE_DRAWN);
	ck_assert_int_eq(kernel_sw_advance(timeline, 1), 0);
	stage_finish_shot(&shot);
	stage_check_seen(STAGE_DRAWN);
	stile_fence_unref(fences[0]);
	stile_fence_unref(fences[1]);
	close(timeline);
	stage_end();
}
END_TEST

/* W-5, F-13. Wrong code: a fence of the kernel's that has failed given to it, which takes it for done. */
START_TEST(picture_that_failed_in_the_kernel_is_not_shown) {
	stage_begin(STAGE_FOREIGN);
	int timeline = kernel_open_sw_sync();
	struct stile_fence *fence = sw_fence(timeline, 1);
	close(timeline);
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &fence, 1);
	stage_must_refuse(&shot, -ECANCELED, "failed");
	stage_look(STAGE_BLANK);
	stile_fence_unref(fence);
	stage_end();
}
END_TEST

/* ---- Fences that it cannot know (X-2) ------------------------------------------------------ */

/* The picture of the software GPU, and the fence of it, which waits for the gate. */
struct drawing {
	struct stile_device *device;
	struct stile_swgpu_queue *queue;
	struct stile_image *image;
	struct stile_fence *gate;
	struct stile_fence *fence;
};

static void fill_in(struct drawing *drawing) {
	static uint32_t pixels[HEIGHT][WIDTH]; /* they are read when it is executed */
	struct stile_swgpu_list *list;
	for (uint32_t y = 0; y < HEIGHT; y++) {
		for (uint32_t x = 0; x < WIDTH; x++) {
			pixels[y][x] = stage_colour_of(STAGE_DRAWN, x, y);
		}
	}
	ck_assert_int_eq(stile_swgpu_list_create(drawing->device, &list), 0);
	ck_assert_int_eq(
		stile_swgpu_list_upload(list, drawing->image, 0, pixels, sizeof(pixels[0])), 0);
	drawing->fence = gpu_submit_after(drawing->queue, list, &drawing->gate, 1);
}

static struct drawing begin_drawing(struct stage_frame *frame) {
	struct drawing drawing = {
		.device = gpu_open(NULL),
		.gate = plain_fence_create(),
	};
	drawing.queue = gpu_queue(drawing.device, "drawer", 0, 0);
	struct stile_image_info info = *stile_image_get_info(frame->image);
	info.planes[0].fd = frame->fd;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_image_import(drawing.device, &info, &why, &drawing.image);
	ck_assert_msg(ret == 0, "%d: %s", ret, why.text);
	struct stile_access access;
	begin_access(frame, STILE_USAGE_WRITE, &access);
	fill_in(&drawing);
	ck_assert_int_eq(stile_access_end(&access, drawing.fence), 0);
	return drawing;
}

static void end_drawing(struct drawing *drawing) {
	stile_fence_unref(drawing->gate);
	stile_fence_unref(drawing->fence);
	stile_image_unref(drawing->image);
	stile_swgpu_queue_destroy(drawing->queue);
	stile_device_destroy(drawing->device);
}

/* Wrong code: a fence that the kernel cannot have left out, and the picture shown before it is drawn. */
START_TEST(commit_of_what_the_software_gpu_draws_is_held) {
	int64_t began_ns = runner_clock_ns();
	stage_begin(_i % STAGE_SOURCES);
	struct drawing drawing = begin_drawing(&stage.next);
	struct stile_access access;
	begin_access(&stage.next, STILE_USAGE_READ, &access);
	ck_assert_uint_eq(access.count, 1);
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, access.fences, access.count);
	shot.info.writeback = NULL;
	/* Whoever blocks, it is not the caller. */
	shot.info.flags = _i < STAGE_SOURCES ? DRM_MODE_ATOMIC_NONBLOCK : 0;
	stage_must_commit(&shot);
	ck_assert_int_eq(shot.path.kind, STILE_PATH_HELD);
	ck_assert_int_eq(shot.path.blocked_ns, 0);
	ck_assert_ptr_nonnull(shot.held);
	ck_assert_int_eq(stile_drm_held_commit_get_status(shot.held), 0);
	ck_assert(stile_fence_is_user(shot.shown));
	stage_look(STAGE_BLANK);
	ck_assert_int_eq(stile_fence_get_status(shot.shown), 0);
	stile_fence_signal(drawing.gate);
	ck_assert_int_eq(plain_fence_finish(shot.shown), 1);
	ck_assert_int_eq(stile_fence_get_status(drawing.fence), 1);
	ck_assert_int_eq(stile_drm_held_commit_get_status(shot.held), 1);
	/* Drivers tell that of the vertical blank, which may have been a while before. */
	ck_assert_int_gt(stile_fence_get_timestamp(shot.shown), began_ns);
	stage_look(STAGE_DRAWN);
	stage_end_shot(&shot);
	stile_access_cancel(&access);
	end_drawing(&drawing);
	stage_end();
}
END_TEST

/* Wrong code: only fences of ours waited for, those of the kernel forgotten, or the other way round. */
START_TEST(held_commit_waits_for_both_kinds) {
	stage_begin(STAGE_FOREIGN);
	int number;
	struct stile_fence *fences[] = { stage_kernel_fence(&number), plain_fence_create() };
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, fences, 2);
	stage_must_commit(&shot);
	ck_assert_int_eq(shot.path.kind, STILE_PATH_HELD);
	if (_i == 0) {
		stile_fence_signal(fences[1]);
	} else {
		ck_assert_int_eq(vgem_signal(stage.vgem, number), 0);
	}
	stage_let_others_be_wrong();
	ck_assert_int_eq(stile_fence_get_status(shot.shown), 0);
	stage_draw(&stage.next, STAGE_DRAWN);
	if (_i == 0) {
		ck_assert_int_eq(vgem_signal(stage.vgem, number), 0);
	} else {
		stile_fence_signal(fences[1]);
	}
	stage_finish_shot(&shot);
	stage_check_seen(STAGE_DRAWN);
	stile_fence_unref(fences[0]);
	stile_fence_unref(fences[1]);
	stage_end();
}
END_TEST

static void *finish_later(void *arg) {
	runner_sleep_ms(50);
	stage_draw(&stage.next, STAGE_DRAWN);
	stile_fence_signal(arg);
	return NULL;
}

/* Wrong code: the wait is not told; or there is none. */
START_TEST(calling_thread_waits_where_that_was_chosen) {
	stage_begin(_i);
	struct stile_fence *drawn = plain_fence_create();
	pthread_t thread;
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, 1);
	shot.info.user_fences = STILE_USER_FENCES_WAIT;
	ck_assert_int_eq(pthread_create(&thread, NULL, finish_later, drawn), 0);
	stage_must_commit(&shot);
	ck_assert(stile_fence_is_signaled(drawn));
	ck_assert_ptr_null(shot.held);
	ck_assert_int_eq(shot.path.kind, STILE_PATH_CPU_WAIT);
	ck_assert_int_gt(shot.path.blocked_ns, 0);
	stage_finish_shot(&shot);
	stage_check_seen(STAGE_DRAWN);
	pthread_join(thread, NULL);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

/* Wrong code: shown all the same, or half of it done. */
START_TEST(commit_that_may_not_wait_changes_nothing) {
	stage_begin(STAGE_FOREIGN);
	struct stile_fence *drawn = plain_fence_create();
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, 1);
	shot.info.user_fences = STILE_USER_FENCES_REFUSE;
	stage_must_refuse(&shot, -EOPNOTSUPP, "plain driver");
	shot.info.user_fences = STILE_USER_FENCES_WAIT;
	shot.info.expiry_ns = runner_clock_ns() + 50 * MS;
	stage_must_refuse(&shot, -ETIME, "1 fence ");
	stage_look(STAGE_BLANK);
	stile_fence_signal(drawn);
	/* What is over can be known to anybody. */
	shot.info.user_fences = STILE_USER_FENCES_REFUSE;
	stage_must_commit(&shot);
	ck_assert_int_eq(shot.path.kind, STILE_PATH_NONE);
	stage_finish_shot(&shot);
	stage_check_seen(STAGE_NOTHING);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

static struct stile_fence *failed_fence(void) {
	struct stile_fence *fence = plain_fence_create();
	stile_fence_set_error(fence, -EIO);
	stile_fence_signal(fence);
	return fence;
}

/* F-13. Wrong code: an error that counts as done, and half a picture on the screen. */
START_TEST(picture_that_failed_is_not_shown) {
	stage_begin(STAGE_FOREIGN);
	struct stile_fence *failed = failed_fence(), *failing = plain_fence_create();
	struct stage_shot shot;
	for (int choice = 0; choice < 3; choice++) {
		stage_prepare(&shot, &stage.next, &failed, 1);
		shot.info.user_fences = (enum stile_user_fences)choice;
		stage_must_refuse(&shot, -ECANCELED, "failed");
	}
	/* At once, although another one is pending. */
	stage_prepare(&shot, &stage.next, (struct stile_fence *[]){ failing, failed }, 2);
	stage_must_refuse(&shot, -ECANCELED, "failed");
	stage_prepare(&shot, &stage.next, &failing, 1);
	stage_must_commit(&shot);
	stile_fence_set_error(failing, -EIO);
	stile_fence_signal(failing);
	ck_assert_int_eq(plain_fence_finish(shot.shown), -ECANCELED);
	ck_assert_int_eq(plain_fence_finish(shot.written), -ECANCELED);
	ck_assert_int_eq(stile_drm_held_commit_get_status(shot.held), -ECANCELED);
	stage_end_shot(&shot);
	stage_look(STAGE_BLANK);
	stile_fence_unref(failed);
	stile_fence_unref(failing);
	stage_end();
}
END_TEST

/* A fence that fails when it is looked at for the n-th time; 0: never. */
static struct {
	struct stile_fence base;
	unsigned looks, fails_at;
} moody;

static bool moody_signaled(struct stile_fence *fence) {
	moody.looks++;
	if (moody.looks == moody.fails_at) {
		stile_fence_set_error(fence, -EIO);
	}
	return moody.looks == moody.fails_at;
}

static const char *moody_name(struct stile_fence *fence) {
	(void)fence;
	return "moody";
}

static int commit_moody(unsigned fails_at) {
	static const struct stile_fence_ops ops = {
		.size = sizeof(ops),
		.get_driver_name = moody_name,
		.get_timeline_name = moody_name,
		.signaled = moody_signaled,
		.flags = STILE_FENCE_USER,
	};
	struct stile_fence *fence = &moody.base;
	moody.looks = 0;
	moody.fails_at = fails_at;
	ck_assert_int_eq(stile_fence_init(fence, &ops, stile_fence_context_alloc(1), 1), 0);
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &fence, 1);
	shot.info.user_fences = STILE_USER_FENCES_REFUSE;
	int ret = stage_commit(&shot);
	ck_assert_ptr_null(shot.held);
	ck_assert_ptr_null(shot.shown);
	return ret;
}

/* F-13. Wrong code: what fails while it is handed to the kernel taken for what the kernel does not know. */
START_TEST(fence_that_fails_meanwhile_has_failed) {
	stage_begin(STAGE_FOREIGN);
	ck_assert_int_eq(commit_moody(0), -EOPNOTSUPP);
	unsigned looks =
		moody.looks; /* the last one is that of the sentence, when it was decided */
	ck_assert_uint_gt(looks, 2);
	for (unsigned n = 1; n < looks; n++) {
		int ret = commit_moody(n);
		ck_assert_msg(ret == -ECANCELED, "failed at look %u of %u: %d", n, looks, ret);
	}
	stage_look(STAGE_BLANK);
	stage_end();
}
END_TEST

/* Wrong code: destroyed, and submitted all the same; or its fence pending for ever. */
START_TEST(held_commit_that_is_destroyed_is_given_up) {
	stage_begin(STAGE_FOREIGN);
	struct stile_fence *drawn = plain_fence_create();
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, 1);
	stage_must_commit(&shot);
	stile_drm_held_commit_destroy(shot.held);
	shot.held = NULL;
	ck_assert_int_eq(stile_fence_get_status(shot.shown), -ECANCELED);
	ck_assert_int_eq(stile_fence_get_status(shot.written), -ECANCELED);
	stile_fence_signal(drawn);
	stage_end_shot(&shot);
	stage_look(STAGE_BLANK);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

static int await_status(const struct stile_drm_held_commit *held) {
	int64_t give_up_ns = runner_clock_ns() + HANG_NS;
	while (stile_drm_held_commit_get_status(held) == 0) {
		ck_assert_int_lt(runner_clock_ns(), give_up_ns);
		runner_sleep_ms(1);
	}
	return stile_drm_held_commit_get_status(held);
}

/* Wrong code: a picture shown of which everybody was told that it came to nothing. */
START_TEST(held_commit_expires) {
	stage_begin(STAGE_FOREIGN);
	struct stile_fence *drawn = plain_fence_create();
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, 1);
	shot.info.expiry_ns = runner_clock_ns() + 50 * MS;
	stage_must_commit(&shot);
	ck_assert_int_eq(plain_fence_finish(shot.shown), -ETIMEDOUT);
	stile_fence_signal(drawn);
	ck_assert_int_eq(plain_fence_finish(shot.written), -ETIMEDOUT);
	ck_assert_int_eq(await_status(shot.held), -ETIMEDOUT);
	stage_end_shot(&shot);
	stage_look(STAGE_BLANK);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

static struct stage_shot expiring;

/* Found overdue, and ended, when nobody keeps it from that any more. */
static void *look_when_due(void *arg) {
	while (runner_clock_ns() < expiring.info.expiry_ns) {
	}
	stile_fence_is_signaled(expiring.shown);
	return arg;
}

/*
 * done just in time, while somebody looks just too late. Wrong code: told to have come to nothing, and
 * shown all the same.
 */
START_TEST(held_commit_that_is_shown_does_not_expire) {
	stage_begin(STAGE_FOREIGN);
	struct stile_fence *drawn = plain_fence_create();
	pthread_t thread;
	stage_prepare(&expiring, &stage.next, &drawn, 1);
	expiring.info.expiry_ns = runner_clock_ns() + 200 * MS;
	stage_must_commit(&expiring);
	/* Its thread is to move the expiry first, then the other one is to look. */
	stile_fence_lock(expiring.shown);
	stile_fence_signal(drawn);
	ck_assert_int_eq(pthread_create(&thread, NULL, look_when_due, NULL), 0);
	runner_sleep_ms(400);
	stile_fence_unlock(expiring.shown);
	int status = await_status(expiring.held);
	ck_assert(status == 1 || status == -ETIMEDOUT);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(plain_fence_finish(expiring.shown), status);
	ck_assert_int_eq(plain_fence_finish(expiring.written), status);
	stage_end_shot(&expiring);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

/* Wrong code: the newer picture shown first, and then the older one. */
START_TEST(commit_behind_a_held_one_is_busy) {
	stage_begin(STAGE_FOREIGN);
	struct stile_fence *drawn = plain_fence_create();
	struct stage_shot first, second;
	stage_prepare(&first, &stage.next, &drawn, 1);
	stage_must_commit(&first);
	stage_prepare(&second, &stage.blank, NULL, 0);
	stage_must_refuse(&second, -EBUSY, "held");
	stage_prepare(&second, &stage.blank, &drawn, 1);
	stage_must_refuse(&second, -EBUSY, "held");
	stage_draw(&stage.next, STAGE_DRAWN);
	stile_fence_signal(drawn);
	stage_finish_shot(&first);
	stage_check_seen(STAGE_DRAWN);
	stage_must_commit(&second);
	stage_finish_shot(&second);
	stage_check_seen(STAGE_BLANK);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

/* Wrong code: a program that waits for itself, by way of a commit, hangs and cannot be told why. */
START_TEST(held_commit_is_seen_in_who_waits_for_whom) {
	stage_begin(STAGE_FOREIGN);
	stile_check_enable(true);
	struct stile_fence *drawn = plain_fence_create();
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, 1);
	stage_must_commit(&shot);
	stile_graph_add_wait(drawn, shot.shown, "drawing after the flip");
	char *text;
	ck_assert_int_eq(stile_graph_describe(STILE_GRAPH_TEXT, &text), 0);
	const char *cycle = strstr(text, "A cycle");
	ck_assert_msg(cycle != NULL && strstr(cycle, "(held commit") != NULL, "%s", text);
	free(text);
	stile_fence_signal(drawn);
	stage_finish_shot(&shot);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

/* Wrong code: a held commit that meets a pending flip is lost. */
START_TEST(held_commit_waits_for_a_pending_flip) {
	stage_begin(STAGE_FOREIGN);
	int number;
	struct stile_fence *drawn = plain_fence_create(), *slow = stage_kernel_fence(&number);
	struct stage_shot held, pending;
	stage_prepare(&held, &stage.next, &drawn, 1);
	stage_must_commit(&held);
	/* The same CRTC, but by what the held one does not name: the kernel says EBUSY. */
	stage_prepare(&pending, &stage.blank, &slow, 1);
	pending.info.request = kms_output_request(&stage.output, stage.output.overlay);
	pending.plane.plane_id = stage.output.overlay;
	pending.info.writeback = NULL;
	pending.info.crtc_count = 0;
	stage_must_commit(&pending);
	drmModeAtomicFree(pending.info.request);
	stage_draw(&stage.next, STAGE_DRAWN);
	stile_fence_signal(drawn);
	stage_let_others_be_wrong();
	ck_assert_int_eq(stile_fence_get_status(held.shown), 0);
	/* The overlay covers all: it is what is seen. */
	stage_draw(&stage.blank, STAGE_DRAWN);
	ck_assert_int_eq(vgem_signal(stage.vgem, number), 0);
	stage_finish_shot(&held);
	stage_check_seen(STAGE_DRAWN);
	stile_fence_unref(drawn);
	stile_fence_unref(slow);
	stage_end();
}
END_TEST

/* Wrong code: what cannot be shown is found out when nobody listens any more. */
START_TEST(held_commit_is_tried_first) {
	stage_begin(STAGE_FOREIGN);
	struct stile_fence *drawn = plain_fence_create();
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, 1);
	shot.info.request = kms_output_request(&stage.output, stage.output.plane);
	kms_output_add(&stage.output, shot.info.request, stage.output.plane, DRM_MODE_OBJECT_PLANE,
		"SRC_W", (uint64_t)(2 * WIDTH) << 16);
	stage_must_refuse(&shot, -ENOSPC, "atomic commit");
	drmModeAtomicFree(shot.info.request);
	stile_fence_signal(drawn);
	stage_look(STAGE_BLANK);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

/* Wrong code: a plane without IN_FENCE_FD shows what is not drawn yet. */
START_TEST(fence_that_cannot_be_told_is_waited_for) {
	stage_begin(STAGE_FOREIGN);
	stage_hidden_property = "IN_FENCE_FD";
	stage_look_again(stage_hide_property);
	int number;
	struct stile_fence *drawn = stage_kernel_fence(&number);
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, 1);
	shot.info.user_fences = STILE_USER_FENCES_REFUSE;
	stage_must_refuse(&shot, -EOPNOTSUPP, "cannot be given");
	shot.info.user_fences = STILE_USER_FENCES_HOLD;
	stage_must_commit(&shot);
	ck_assert_int_eq(shot.path.kind, STILE_PATH_HELD);
	stage_let_others_be_wrong();
	stage_draw(&stage.next, STAGE_DRAWN);
	ck_assert_int_eq(vgem_signal(stage.vgem, number), 0);
	stage_finish_shot(&shot);
	stage_check_seen(STAGE_DRAWN);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

/* Wrong code: written back over what somebody still reads. */
START_TEST(writeback_waits_for_who_uses_its_image) {
	stage_begin(STAGE_FOREIGN);
	int number;
	struct stile_fence *used = stage_kernel_fence(&number);
	struct stage_shot shot;
	stage_prepare(&shot, &stage.blank, NULL, 0);
	shot.info.plane_count = 0;
	shot.writeback.fences = &used;
	shot.writeback.fence_count = 1;
	stage_must_commit(&shot);
	ck_assert_int_eq(shot.path.kind, STILE_PATH_HELD);
	stage_let_others_be_wrong();
	stage_check_seen(STAGE_NOTHING);
	ck_assert_int_eq(vgem_signal(stage.vgem, number), 0);
	stage_finish_shot(&shot);
	stage_check_seen(STAGE_BLANK);
	stile_fence_unref(used);
	stage_end();
}
END_TEST

static void note_event(
	int fd, unsigned sequence, unsigned s, unsigned us, unsigned crtc, void *user) {
	(void)fd, (void)sequence, (void)s, (void)us;
	ck_assert_uint_eq(crtc, stage.output.crtc);
	*(bool *)user = true;
}

/* Wrong code: the application's event lost, or without what it is to be told by. */
START_TEST(event_comes_with_what_was_given) {
	stage_begin(STAGE_FOREIGN);
	struct stile_fence *drawn = plain_fence_create();
	bool told = false;
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, (size_t)_i);
	shot.info.flags |= DRM_MODE_PAGE_FLIP_EVENT;
	shot.info.event_data = &told;
	stage_must_commit(&shot);
	ck_assert_int_eq(shot.held != NULL, _i == 1);
	stile_fence_signal(drawn);
	stage_finish_shot(&shot);
	drmEventContext events = { .version = 3, .page_flip_handler2 = note_event };
	ck_assert(plain_fd_becomes_readable(stage.output.fd));
	ck_assert_int_eq(drmHandleEvent(stage.output.fd, &events), 0);
	ck_assert(told);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

/* ---- The kernel's answers ------------------------------------------------------------------ */

/* What becomes of the fence that the kernel gives for the CRTC. */
static struct {
	int instead; /* this sync_file in its place; -1: none */
	bool deny;   /* and there is no descriptor left, until allow_descriptors() */
	uint32_t property;
	struct rlimit before;
} answer;

static void allow_descriptors(void) {
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &answer.before), 0);
}

static void deny_descriptors(void) {
	struct rlimit none = answer.before;
	int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(lowest);
	none.rlim_cur = (rlim_t)lowest;
	setrlimit(RLIMIT_NOFILE, &none);
}

/* Where the kernel has put it; NULL: nobody asked for it. */
static int32_t *find_answer(const struct drm_mode_atomic *commit) {
	const uint32_t *objects = (const uint32_t *)(uintptr_t)commit->objs_ptr;
	const uint32_t *counts = (const uint32_t *)(uintptr_t)commit->count_props_ptr;
	const uint32_t *properties = (const uint32_t *)(uintptr_t)commit->props_ptr;
	const uint64_t *values = (const uint64_t *)(uintptr_t)commit->prop_values_ptr;
	size_t at = 0;
	for (uint32_t i = 0; i < commit->count_objs; i++) {
		for (uint32_t j = 0; j < counts[i]; j++, at++) {
			if (objects[i] == stage.output.crtc && properties[at] == answer.property) {
				return (int32_t *)(uintptr_t)values[at];
			}
		}
	}
	return NULL;
}

static int change_answer(int fd, unsigned long request, void *arg) {
	int ret = any_ioctl_real(fd, request, arg);
	int32_t *file = ret == 0 && request == DRM_IOCTL_MODE_ATOMIC ? find_answer(arg) : NULL;
	if (file != NULL && answer.instead < 0) {
		close(*file);
		*file = -1;
	} else if (file != NULL) {
		dup3(answer.instead, *file, O_CLOEXEC);
	}
	if (file != NULL && answer.deny) {
		deny_descriptors();
	}
	return ret;
}

static void begin_answering(int instead, bool deny) {
	answer.instead = instead;
	answer.deny = deny;
	answer.property = kms_output_property(
		&stage.output, stage.output.crtc, DRM_MODE_OBJECT_CRTC, "OUT_FENCE_PTR");
	ck_assert_uint_ne(answer.property, 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &answer.before), 0);
	any_ioctl_set(change_answer);
}

/* One that is held, whose thread goes on at once; or one that is not. */
static struct stile_fence *commit_either(struct stage_shot *shot, bool held) {
	struct stile_fence *drawn = plain_fence_create();
	stage_prepare(shot, &stage.next, &drawn, held);
	stage_must_commit(shot);
	ck_assert_int_eq(shot->held != NULL, held);
	stile_fence_signal(drawn);
	return drawn;
}

/* Each fence ends as it ends. Wrong code: one after the other, in the order of the request. */
START_TEST(slow_fence_of_a_held_commit_holds_up_no_other) {
	stage_begin(STAGE_FOREIGN);
	int number;
	int slow = vgem_sync_file(stage.vgem, &number);
	ck_assert_int_ge(slow, 0);
	begin_answering(slow, false);
	struct stage_shot shot;
	struct stile_fence *drawn = commit_either(&shot, true);
	ck_assert_int_eq(plain_fence_finish(shot.written), 1);
	ck_assert_int_eq(stile_fence_get_status(shot.shown), 0);
	ck_assert_int_eq(vgem_signal(stage.vgem, number), 0);
	stage_finish_shot(&shot);
	stage_check_seen(STAGE_NOTHING);
	stile_fence_unref(drawn);
	close(slow);
	stage_end();
}
END_TEST

/* the kernel owes it now. Wrong code: the promise goes on to expire, although the picture is on its way. */
START_TEST(held_commit_that_the_kernel_has_does_not_expire) {
	stage_begin(STAGE_FOREIGN);
	int number;
	int slow = vgem_sync_file(stage.vgem, &number);
	ck_assert_int_ge(slow, 0);
	begin_answering(slow, false);
	struct stile_fence *drawn = plain_fence_create();
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, 1);
	shot.info.expiry_ns = runner_clock_ns() + 1500 * MS;
	stage_must_commit(&shot);
	stile_fence_signal(drawn);
	ck_assert_int_eq(await_status(shot.held), 1);
	while (runner_clock_ns() <= shot.info.expiry_ns) {
		runner_sleep_ms(10);
	}
	ck_assert_int_eq(stile_fence_get_status(shot.shown), 0);
	ck_assert_int_eq(vgem_signal(stage.vgem, number), 0);
	stage_finish_shot(&shot);
	stile_fence_unref(drawn);
	close(slow);
	stage_end();
}
END_TEST

/* Wrong code: -1 taken for what is over, and the picture before given back although it is read. */
START_TEST(fence_that_the_driver_did_not_give_has_failed) {
	stage_begin(STAGE_FOREIGN);
	begin_answering(-1, false);
	struct stage_shot shot;
	struct stile_fence *drawn = commit_either(&shot, _i == 1);
	ck_assert_int_eq(plain_fence_finish(shot.shown), -EIO);
	ck_assert_int_eq(plain_fence_finish(shot.written), 1);
	stage_end_shot(&shot);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

static bool slow_has_ended;

static void *end_slow(void *number) {
	runner_sleep_ms(100);
	__atomic_store_n(&slow_has_ended, true, __ATOMIC_SEQ_CST);
	return (void *)(intptr_t)vgem_signal(stage.vgem, *(int *)number);
}

/* Wrong code: without resources it is taken for done; or the flip is told to have failed. */
START_TEST(fence_that_cannot_be_watched_is_waited_for) {
	stage_begin(STAGE_FOREIGN);
	int number;
	int slow = vgem_sync_file(stage.vgem, &number);
	ck_assert_int_ge(slow, 0);
	begin_answering(slow, true);
	pthread_t thread;
	struct stage_shot shot;
	ck_assert_int_eq(pthread_create(&thread, NULL, end_slow, &number), 0);
	struct stile_fence *drawn = commit_either(&shot, _i == 1);
	ck_assert_int_eq(plain_fence_finish(shot.shown), 1);
	ck_assert(__atomic_load_n(&slow_has_ended, __ATOMIC_SEQ_CST));
	ck_assert_int_eq(plain_fence_finish(shot.written), 1);
	void *ret;
	ck_assert_int_eq(pthread_join(thread, &ret), 0);
	ck_assert_ptr_null(ret);
	allow_descriptors();
	stage_finish_shot(&shot);
	stile_fence_unref(drawn);
	close(slow);
	stage_end();
}
END_TEST

/* Wrong code: how it ended forgotten; or one that never ends waited for without a limit. */
START_TEST(end_of_what_cannot_be_watched_is_told) {
	static const int status[] = { -ENOENT, -ETIMEDOUT };
	stage_begin(STAGE_FOREIGN);
	int timeline = kernel_open_sw_sync();
	int file = kernel_sw_fence(timeline, 1);
	ck_assert_int_ge(file, 0);
	if (status[_i] == -ENOENT) {
		close(timeline); /* which makes its fences fail */
	}
	begin_answering(file, true);
	struct stage_shot shot;
	struct stile_fence *drawn = commit_either(&shot, true);
	ck_assert_int_eq(plain_fence_finish(shot.shown), status[_i]);
	ck_assert_int_eq(plain_fence_finish(shot.written), 1);
	allow_descriptors();
	if (status[_i] != -ENOENT) {
		close(timeline);
	}
	stage_end_shot(&shot);
	stile_fence_unref(drawn);
	close(file);
	stage_end();
}
END_TEST

/* ---- Asking, and asking for what is not there ---------------------------------------------- */

/* Wrong code: a test that changes something, waits, or gives fences of nothing. */
START_TEST(test_only_shows_nothing) {
	stage_begin(_i);
	struct stile_fence *drawn = plain_fence_create();
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, 1);
	shot.info.flags = DRM_MODE_ATOMIC_TEST_ONLY;
	shot.info.user_fences = STILE_USER_FENCES_REFUSE;
	stage_must_commit(&shot);
	ck_assert_ptr_null(shot.shown);
	ck_assert_ptr_null(shot.written);
	ck_assert_ptr_null(shot.held);
	ck_assert_int_eq(shot.path.kind, STILE_PATH_NONE);
	stage_look(STAGE_BLANK);
	stile_fence_signal(drawn);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

/* Wrong code: the kernel's code for something else, or a crash. */
START_TEST(what_makes_no_sense_is_refused_with_the_reason) {
	stage_begin(STAGE_FOREIGN);
	struct stage_shot shot;
#define REFUSE(change, error, part) \
	do { \
		stage_prepare(&shot, &stage.next, NULL, 0); \
		change; \
		stage_must_refuse(&shot, error, part); \
	} while (0)
	REFUSE(shot.plane.plane_id = stage.output.crtc, -ENOENT, "no plane");
	REFUSE(shot.crtc.crtc_id = stage.output.plane, -ENOENT, "no CRTC");
	REFUSE(shot.writeback.connector_id = stage.output.connector, -ENOENT, "no connector");
	REFUSE(shot.plane.framebuffer = NULL, -EINVAL, "no framebuffer");
	REFUSE(shot.info.flags = 1u << 31, -EINVAL, "flags");
	REFUSE(shot.info.user_fences = (enum stile_user_fences)7, -EINVAL, "choices");
	REFUSE(shot.info.expiry_ns = -1, -EINVAL, "negative");
	/* The kernel takes the last of two: a wait, or the place for a fence, would be lost. */
	struct stile_drm_commit_plane planes[2];
	REFUSE(planes[0] = planes[1] = shot.plane; shot.info.planes = planes;
		shot.info.plane_count = 2, -EINVAL, "plane is named twice");
	struct stile_drm_commit_crtc crtcs[2];
	REFUSE(crtcs[0] = crtcs[1] = shot.crtc; shot.info.crtcs = crtcs;
		shot.info.crtc_count = 2, -EINVAL, "named twice");
	REFUSE(shot.path.size = 3, -EINVAL, "path");
#undef REFUSE
	stage_prepare(&shot, &stage.next, NULL, 0);
	shot.info.size = 3;
	ck_assert_int_eq(stage_commit(&shot), -EINVAL);
	stage_prepare(&shot, &stage.next, NULL, 0);
	shot.crtc.fence = NULL;
	ck_assert_int_eq(stage_commit(&shot), -EINVAL);
	stage_look(STAGE_BLANK);
	stage_end();
}
END_TEST

/* Wrong code: the driver's EINVAL instead of which property is missing, and why. */
START_TEST(commit_without_a_property_says_which_is_missing) {
	stage_begin(STAGE_FOREIGN);
	struct stile_drm_kms *made, *before = stage.kms;
	stage_hidden_property = "OUT_FENCE_PTR";
	any_ioctl_set(stage_hide_property);
	ck_assert_int_eq(stile_drm_kms_create(stage.drm, NULL, &made), 0);
	any_ioctl_set(NULL);
	stage.kms = made;
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, NULL, 0);
	/* A framebuffer belongs to the KMS side that made it. */
	stage_must_refuse(&shot, -EINVAL, "another");
	shot.info.plane_count = 0;
	stage_must_refuse(&shot, -EOPNOTSUPP, "OUT_FENCE_PTR");
	stage.kms = before;
	stile_drm_kms_destroy(made);
	stage_end();
}
END_TEST

/* Wrong code: EACCES without a word of the master. */
START_TEST(who_is_not_master_is_told_so) {
	stage_begin(STAGE_FOREIGN);
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, NULL, 0);
	ck_assert_int_eq(drmDropMaster(stage.output.fd), 0);
	stage_must_refuse(&shot, -EACCES, "master");
	kms_output_await_master(&stage.output);
	stage_end();
}
END_TEST

/* ---- The death of who owes a fence --------------------------------------------------------- */

static int owe_and_hang(void) {
	int node = vgem_open();
	runner_require(node >= 0 && vgem_attach(node, RUNNER_FIRST_FD, true) >= 0, "no fence");
	mail_tell(RUNNER_FIRST_FD + 1, 'f');
	return mail_hear(RUNNER_FIRST_FD + 1);
}

/* D-6. Wrong code: a screen that stands still for ever with its client. */
START_TEST(killed_producer_holds_up_nobody) {
	stage_begin(_i % STAGE_SOURCES);
	bool explicitly = _i / STAGE_SOURCES == 1;
	int ends[2];
	mail_pair(ends);
	pid_t owner = runner_spawn("owe", (int[]){ stage.next.fd, ends[1] }, 2);
	close(ends[1]);
	ck_assert_int_eq(mail_hear(ends[0]), 'f');
	struct stile_access access;
	begin_access(&stage.next, STILE_USAGE_READ, &access);
	ck_assert_uint_eq(access.count, 1);
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, access.fences, explicitly ? access.count : 0);
	stage_must_commit(&shot);
	stage_let_others_be_wrong();
	ck_assert(!stile_fence_is_signaled(shot.shown));
	ck_assert_int_eq(kill(owner, SIGKILL), 0);
	ck_assert_int_eq(runner_reap(owner), -SIGKILL);
	stage_finish_shot(&shot);
	stage_check_seen(STAGE_NOTHING);
	stile_access_cancel(&access);
	close(ends[0]);
	stage_end();
}
END_TEST

/* ---- Calls that fail ----------------------------------------------------------------------- */

/* The first commit that is no test, in any thread, fails. */
static int commit_error;

static int fail_commit(int fd, unsigned long request, void *arg) {
	const struct drm_mode_atomic *commit = arg;
	if (request == DRM_IOCTL_MODE_ATOMIC && (commit->flags & DRM_MODE_ATOMIC_TEST_ONLY) == 0) {
		int error = __atomic_exchange_n(&commit_error, 0, __ATOMIC_SEQ_CST);
		if (error != 0) {
			errno = error;
			return -1;
		}
	}
	return any_ioctl_real(fd, request, arg);
}

/* Wrong code: a held commit whose end nobody hears of; one that gives up where it could wait. */
START_TEST(held_commit_that_the_kernel_refuses_is_told) {
	static const struct {
		int error, status;
		uint32_t picture;
	} cases[] = {
		{ ENOMEM, -ENOMEM, STAGE_BLANK },
		{ EBUSY, 1, STAGE_DRAWN },
	};
	stage_begin(STAGE_FOREIGN);
	struct stile_fence *drawn = plain_fence_create();
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, 1);
	stage_must_commit(&shot);
	stage_draw(&stage.next, STAGE_DRAWN);
	__atomic_store_n(&commit_error, cases[_i].error, __ATOMIC_SEQ_CST);
	any_ioctl_set(fail_commit);
	stile_fence_signal(drawn);
	ck_assert_int_eq(plain_fence_finish(shot.shown), cases[_i].status);
	ck_assert_int_eq(plain_fence_finish(shot.written), cases[_i].status);
	ck_assert_int_eq(stile_drm_held_commit_get_status(shot.held), cases[_i].status);
	any_ioctl_set(NULL);
	stage_end_shot(&shot);
	stage_draw(&stage.seen, STAGE_NOTHING);
	stage_look(cases[_i].picture);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

static int try_commit(void *user) {
	struct stage_shot *shot = user;
	return stile_drm_commit(stage.kms, &shot->info, &shot->path, NULL, &shot->held);
}

/* What is held is given up. */
static void after_commit(void *user, int ret) {
	struct stage_shot *shot = user;
	if (ret == 0 && shot->held == NULL) {
		stage_finish_shot(shot);
	} else {
		stage_end_shot(shot);
	}
	shot->held = NULL;
	shot->shown = shot->written = NULL;
}

/* Wrong code: a commit that is on its way told to have failed; a fence that is lost. */
START_TEST(want_of_memory_is_told) {
	static const int errors[] = { -ENOMEM, -EMFILE, -EAGAIN, 0 };
	stage_begin(STAGE_FOREIGN);
	struct stile_fence *drawn = plain_fence_create();
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, 1);
	ck_assert_uint_gt(failing_sweep(try_commit, after_commit, &shot, errors), 0);
	stage_look(STAGE_BLANK);
	stile_fence_signal(drawn);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

/* Wrong code: a flip that is on its way told to have failed, because its fence found no room. */
START_TEST(want_of_memory_does_not_undo_a_flip) {
	stage_begin(STAGE_FOREIGN);
	struct stage_shot shot;
	const char *call = "";
	bool late = false;
	for (unsigned n = 1; call != NULL; n++) {
		stage_prepare(&shot, &stage.next, NULL, 0);
		failing_begin(n);
		int ret = try_commit(&shot);
		call = failing_end();
		ck_assert_msg(ret == 0 || ret == -ENOMEM || ret == -EMFILE, "call %u: %d", n, ret);
		late |= ret == 0 && call != NULL;
		after_commit(&shot, ret);
	}
	ck_assert(late);
	stage_end();
}
END_TEST

/* Wrong code: a call of the driver's whose failure nobody looks at; a signal that makes a frame fail. */
START_TEST(commit_that_the_driver_fails_leaves_nothing) {
	stage_begin(STAGE_FOREIGN);
	struct stile_fence *drawn = plain_fence_create();
	struct stage_shot shot;
	stage_prepare(&shot, &stage.next, &drawn, (size_t)_i);
	ck_assert_uint_ge(ioctl_sweep(try_commit, after_commit, &shot), 1);
	stile_fence_signal(drawn);
	stile_fence_unref(drawn);
	stage_end();
}
END_TEST

/* ---- The suite ----------------------------------------------------------------------------- */

static bool has_sw_sync(void) {
	int timeline = kernel_open_sw_sync();
	if (timeline < 0) {
		printf("left out, there is no sw_sync: fences of timelines, and such as fail\n");
		return false;
	}
	close(timeline);
	return true;
}

static Suite *suite(void) {
	const bool sw_sync = has_sw_sync();
	const struct {
		const TTest *test;
		int times;
	} tests[] = {
		{ flip_waits_for_an_explicit_fence, STAGE_SOURCES },
		{ flip_waits_for_all_of_its_fences, 2 },
		{ flip_waits_for_an_implicit_fence, STAGE_SOURCES },
		{ fence_of_a_flip_ends_the_use_of_what_was_shown, STAGE_SOURCES },
		{ flip_while_one_is_pending_is_busy, 1 },
		{ flip_waits_for_a_place_on_a_timeline, sw_sync ? STAGE_SOURCES : 0 },
		{ picture_that_failed_in_the_kernel_is_not_shown, sw_sync },
		{ commit_of_what_the_software_gpu_draws_is_held, 2 * STAGE_SOURCES },
		{ held_commit_waits_for_both_kinds, 2 },
		{ calling_thread_waits_where_that_was_chosen, STAGE_SOURCES },
		{ commit_that_may_not_wait_changes_nothing, 1 },
		{ picture_that_failed_is_not_shown, 1 },
		{ held_commit_that_is_destroyed_is_given_up, 1 },
		{ fence_that_fails_meanwhile_has_failed, 1 },
		{ held_commit_expires, 1 },
		{ held_commit_that_is_shown_does_not_expire, 3 },
		{ held_commit_that_the_kernel_has_does_not_expire, 1 },
		{ held_commit_is_seen_in_who_waits_for_whom, 1 },
		{ commit_behind_a_held_one_is_busy, 1 },
		{ held_commit_waits_for_a_pending_flip, 1 },
		{ held_commit_is_tried_first, 1 },
		{ fence_that_cannot_be_told_is_waited_for, 1 },
		{ writeback_waits_for_who_uses_its_image, 1 },
		{ event_comes_with_what_was_given, 2 },
		{ slow_fence_of_a_held_commit_holds_up_no_other, 1 },
		{ fence_that_the_driver_did_not_give_has_failed, 2 },
		{ fence_that_cannot_be_watched_is_waited_for, 2 },
		{ end_of_what_cannot_be_watched_is_told, sw_sync ? 2 : 0 },
		{ test_only_shows_nothing, STAGE_SOURCES },
		{ what_makes_no_sense_is_refused_with_the_reason, 1 },
		{ commit_without_a_property_says_which_is_missing, 1 },
		{ who_is_not_master_is_told_so, 1 },
		{ killed_producer_holds_up_nobody, 2 * STAGE_SOURCES },
		{ held_commit_that_the_kernel_refuses_is_told, 2 },
		{ want_of_memory_is_told, 1 },
		{ want_of_memory_does_not_undo_a_flip, 1 },
		{ commit_that_the_driver_fails_leaves_nothing, 2 },
	};
	Suite *s = suite_create("kms_commit");
	TCase *tcase = ledger_tcase_create("kms_commit");
	tcase_set_timeout(tcase, 120);
	for (size_t i = 0; i < ARRAY_LENGTH(tests); i++) {
		tcase_add_loop_test(tcase, tests[i].test, 0, tests[i].times);
	}
	suite_add_tcase(s, tcase);
	return s;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = { { "owe", owe_and_hang }, { NULL, NULL } };
	if (argc == 1 && !stage_is_there()) {
		return RUNNER_SKIP;
	}
	return runner_main(argc, argv, suite, roles);
}
