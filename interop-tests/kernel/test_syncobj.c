/* SPDX-License-Identifier: MIT */
/*
 * DRM syncobjs as timelines: KERNEL_CONTRACT section 15 (Y-...), and the rule against fences of programs in the
 * kernel, X-2. What has to be pending is a fence of vgem's. test_twin_syncobj.c compares the ways in which values
 * behave with the library's own timelines; here is what only a syncobj has.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <xf86drm.h>

#include <stile/carrier.h>
#include <stile/check.h>
#include <stile/drm_syncobj.h>
#include <stile/fence.h>
#include <stile/resv.h>
#include <stile/wait.h>

#include "interop-tests/kernel/any_ioctl.h"
#include "interop-tests/kernel/ioctl_sweep.h"
#include "interop-tests/kernel/twin_kernel.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/mail.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/vgem.h"
#include "src/macros.h"

#define MS INT64_C(1000000)

static const char driver[] = "virtio_gpu";

/* ---- Fixture ------------------------------------------------------------------------------- */

static struct stile_drm *drm;
static struct stile_timeline *timeline;
static struct stile_device *device;
static int vgem = -1;
static char heard[512];

static void hear(void *user, enum stile_log_level level, const char *text) {
	(void)user;
	(void)level;
	snprintf(heard, sizeof(heard), "%s", text);
}

/* -errno: there is none, or it may not be opened. */
static int adapter_open(const char *name, struct stile_drm **out) {
	*out = NULL;
	struct stile_drm_identity identity = { .size = sizeof(identity) };
	int ret = stile_drm_find_driver(name, &identity);
	if (ret < 0) {
		return ret;
	}
	struct stile_drm_info info = { .size = sizeof(info), .log = hear };
	info.fd = open(identity.primary, O_RDWR | O_CLOEXEC);
	if (info.fd < 0) {
		return -errno;
	}
	ret = stile_drm_create(&info, NULL, out);
	close(info.fd);
	return ret;
}

static struct stile_timeline *create(uint32_t flags) {
	struct stile_timeline *made;
	ck_assert_int_eq(stile_drm_syncobj_create(drm, "test", flags, NULL, &made), 0);
	return made;
}

static void setup(void) {
	heard[0] = '\0';
	ck_assert_int_eq(adapter_open(driver, &drm), 0);
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
	vgem = vgem_open();
	ck_assert_int_ge(vgem, 0);
	timeline = create(0);
}

static void teardown(void) {
	any_ioctl_set(NULL);
	stile_timeline_unref(timeline);
	timeline = NULL;
	stile_device_destroy(device);
	stile_drm_destroy(drm);
	close(vgem);
}

static int64_t hang_ns(void) {
	return runner_clock_ns() + 60000 * MS;
}

static int64_t soon_ns(void) {
	return runner_clock_ns() + 30 * MS;
}

static struct stile_point at(uint64_t value) {
	return (struct stile_point){ .timeline = timeline, .value = value };
}

static enum stile_point_state state_of(uint64_t value) {
	struct stile_point point = at(value);
	return stile_point_get_state(&point);
}

static int wait_for(uint64_t value, enum stile_point_event event, int64_t deadline_ns) {
	struct stile_point point = at(value);
	return stile_point_wait(&point, event, deadline_ns, NULL);
}

/* A pending fence of the kernel's, and its number for vgem_signal(). */
static struct stile_fence *kernel_fence(int *number) {
	int fd = vgem_sync_file(vgem, number);
	ck_assert_int_ge(fd, 0);
	struct stile_fence *fence;
	ck_assert_int_eq(stile_fence_import_fd(device, STILE_FD_SYNC_FILE, 0, fd, &fence), 0);
	close(fd);
	return fence;
}

/* Submit a pending fence; gives its number. */
static int submit(uint64_t value) {
	int number;
	struct stile_fence *fence = kernel_fence(&number);
	ck_assert_int_eq(stile_timeline_submit(timeline, value, fence), 0);
	stile_fence_unref(fence);
	return number;
}

static uint64_t eventfd_count(int fd) {
	uint64_t count = 0;
	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

/* ---- Drivers without, and what is no syncobj ------------------------------------------------ */

/* Wrong code: the kernel's EOPNOTSUPP at the first use, with nothing said. */
START_TEST(driver_without_syncobjs_says_so) {
	static const char *const without[] = { "vgem", "vkms" };
	struct stile_drm *other;
	if (adapter_open(without[_i], &other) < 0) {
		return;
	}
	struct stile_report why = { .size = sizeof(why) };
	struct stile_timeline *none = timeline;
	ck_assert_int_eq(stile_drm_syncobj_create(other, "none", 0, &why, &none), -EOPNOTSUPP);
	ck_assert_ptr_null(none);
	ck_assert_int_eq(why.reason, STILE_REASON_DRIVER);
	ck_assert_ptr_nonnull(strstr(why.text, "DRM_CAP_SYNCOBJ is 0"));
	int fd;
	ck_assert_int_eq(stile_drm_syncobj_export(timeline, &fd), 0);
	ck_assert_int_eq(stile_drm_syncobj_import(other, "none", fd, &why, &none), -EOPNOTSUPP);
	close(fd);
	stile_drm_destroy(other);
}
END_TEST

enum { CLOSED, MEMFD, EVENTFD, SYNC_FILE, DMA_BUF, WRONG_FDS };

/* Y-3. Wrong code: a sync_file, which other calls take, is taken for a syncobj. */
START_TEST(wrong_descriptors_are_no_syncobjs) {
	int number, fd;
	switch (_i) {
	case MEMFD:
		fd = memory_create(4096, 0);
		break;
	case EVENTFD:
		fd = eventfd(0, EFD_CLOEXEC);
		break;
	case SYNC_FILE:
		fd = vgem_sync_file(vgem, &number);
		break;
	case DMA_BUF:
		fd = vgem_dma_buf(vgem, 4096);
		break;
	default:
		fd = memory_closed_fd();
		break;
	}
	struct stile_report why = { .size = sizeof(why) };
	struct stile_timeline *none = timeline;
	int expected = _i == CLOSED ? -EBADF : -EINVAL;
	ck_assert_int_eq(stile_drm_syncobj_import(drm, "none", fd, &why, &none), expected);
	ck_assert_ptr_null(none);
	ck_assert_int_eq(why.reason, _i == CLOSED ? STILE_REASON_FD_CLOSED : STILE_REASON_FD_TYPE);
	if (_i != CLOSED) {
		close(fd);
	}
}
END_TEST

/* Wrong code: a timeline of another kind read as if it were a syncobj. */
START_TEST(other_timelines_are_no_syncobjs) {
	struct stile_timeline *other;
	ck_assert_int_eq(stile_timeline_create("software", &other), 0);
	struct stile_point ours = at(1), theirs = { .timeline = other, .value = 1 };
	int fd = 7;
	ck_assert_int_eq(stile_drm_syncobj_export(other, &fd), -EINVAL);
	ck_assert_int_eq(fd, -1);
	ck_assert_uint_eq(stile_drm_syncobj_get_handle(other), 0);
	ck_assert_int_eq(stile_drm_syncobj_reset(other), -EINVAL);
	ck_assert_int_eq(stile_drm_syncobj_transfer(&ours, &theirs), -EINVAL);
	ck_assert_int_eq(stile_drm_syncobj_transfer(&theirs, &ours), -EINVAL);
	stile_timeline_unref(other);
}
END_TEST

/* Y-1. Wrong code: unknown flags dropped; a size that nobody set believed. */
START_TEST(wrong_arguments_are_refused) {
	struct stile_report why = { .size = sizeof(why) }, broken = { .size = 0 };
	struct stile_timeline *none = timeline;
	ck_assert_int_eq(stile_drm_syncobj_create(drm, "none", 1u << 1, &why, &none), -EINVAL);
	ck_assert_ptr_null(none);
	ck_assert_int_eq(why.reason, STILE_REASON_CALLER);
	ck_assert_int_eq(stile_drm_syncobj_create(drm, "none", 0, &broken, &none), -EINVAL);
	ck_assert_int_eq(stile_drm_syncobj_import(drm, "none", 0, &broken, &none), -EINVAL);
}
END_TEST

/* ---- Binary -------------------------------------------------------------------------------- */

/* Y-1, Y-5, Y-7. Wrong code: no fence taken for a signalled one. */
START_TEST(binary_syncobj_is_unsubmitted_pending_and_done) {
	ck_assert_int_eq(state_of(0), STILE_POINT_UNSUBMITTED);
	int number = submit(0);
	ck_assert_int_eq(state_of(0), STILE_POINT_PENDING);
	ck_assert_int_eq(wait_for(0, STILE_POINT_AVAILABLE, 0), 0);
	ck_assert_int_eq(wait_for(0, STILE_POINT_SIGNALED, 0), -ETIME);
	ck_assert_int_eq(vgem_signal(vgem, number), 0);
	ck_assert_int_eq(wait_for(0, STILE_POINT_SIGNALED, hang_ns()), 0);
	ck_assert_int_eq(state_of(0), STILE_POINT_DONE);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 0);
	ck_assert_int_eq(stile_drm_syncobj_reset(timeline), 0);
	ck_assert_int_eq(state_of(0), STILE_POINT_UNSUBMITTED);
	ck_assert_int_eq(stile_timeline_signal(timeline, 0), 0);
	ck_assert_int_eq(state_of(0), STILE_POINT_DONE);
	struct stile_timeline *signaled = create(STILE_DRM_SYNCOBJ_SIGNALED);
	struct stile_point point = { .timeline = signaled, .value = 0 };
	ck_assert_int_eq(stile_point_get_state(&point), STILE_POINT_DONE);
	stile_timeline_unref(signaled);
}
END_TEST

/* Y-4, Y-5. Wrong code: what is submitted for 0 comes after what is there, rather than in its place. */
START_TEST(binary_submission_replaces_what_was_there) {
	int first = submit(0);
	int second = submit(0);
	ck_assert_int_eq(vgem_signal(vgem, second), 0);
	ck_assert_int_eq(wait_for(0, STILE_POINT_SIGNALED, hang_ns()), 0);
	ck_assert_int_eq(vgem_signal(vgem, first), 0);
	first = submit(0);
	ck_assert_int_eq(stile_timeline_signal(timeline, 0), 0);
	ck_assert_int_eq(state_of(0), STILE_POINT_DONE);
	ck_assert_int_eq(vgem_signal(vgem, first), 0);
}
END_TEST

/* ---- A timeline ---------------------------------------------------------------------------- */

/* Y-9: how far all is done. Wrong code: the last one submitted, or the last one signalled. */
START_TEST(value_is_up_to_where_all_is_done) {
	int first = submit(2), second = submit(5);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 0);
	ck_assert_int_eq(vgem_signal(vgem, second), 0);
	ck_assert_int_eq(state_of(5), STILE_POINT_PENDING);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 0);
	ck_assert_int_eq(vgem_signal(vgem, first), 0);
	ck_assert_int_eq(wait_for(5, STILE_POINT_SIGNALED, hang_ns()), 0);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 5);
	ck_assert_int_eq(stile_timeline_signal(timeline, 9), 0);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 9);
	ck_assert_int_eq(state_of(10), STILE_POINT_UNSUBMITTED);
}
END_TEST

/* S-5. Wrong code: a file that has fewer leaves than it came with is not understood. */
START_TEST(fence_of_a_point_is_done_in_parts) {
	int first = submit(2), second = submit(5);
	struct stile_point point = at(5);
	struct stile_fence *fence;
	ck_assert_int_eq(stile_point_get_fence(&point, &fence), 0);
	ck_assert_int_eq(vgem_signal(vgem, first), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	ck_assert_int_eq(vgem_signal(vgem, second), 0);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	stile_fence_unref(fence);
}
END_TEST

/* Y-6. Wrong code: a counter that several move is moved relative to where it was. */
START_TEST(syncobj_is_not_advanced) {
	ck_assert_int_eq(stile_timeline_advance(timeline, 1), -EOPNOTSUPP);
	ck_assert_uint_eq(stile_timeline_get_value(timeline), 0);
}
END_TEST

/* Y-2, Y-12. Wrong code: a fence that anybody can forget to end, or an end that is not the point's. */
START_TEST(fence_of_a_point_is_the_kernels) {
	struct stile_fence *fence;
	struct stile_point point = at((uint64_t)_i * 3);
	ck_assert_int_eq(stile_point_get_fence(&point, &fence), -EAGAIN);
	ck_assert_ptr_null(fence);
	int number = submit(point.value);
	ck_assert_int_eq(stile_point_get_fence(&point, &fence), 0);
	ck_assert(!stile_fence_is_user(fence));
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	int fd;
	ck_assert_int_eq(stile_fence_export_fd(fence, STILE_FD_SYNC_FILE, 0, NULL, &fd), 0);
	ck_assert(!plain_fd_is_readable(fd));
	ck_assert_int_eq(vgem_signal(vgem, number), 0);
	ck_assert(plain_fd_becomes_readable(fd));
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	close(fd);
	stile_fence_unref(fence);
	ck_assert_int_eq(stile_point_get_fence(&point, &fence), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	stile_fence_unref(fence);
}
END_TEST

/* That the test above can fail. Wrong code: what is over is waited for, and the consumer is held for nothing. */
START_TEST(fence_of_a_point_is_over_where_its_wait_is_left_out) {
	struct stile_fence *fence, *stub = stile_fence_get_stub();
	struct stile_point point = at((uint64_t)_i * 3);
	int number = 0;
	struct stile_fence *gate = kernel_fence(&number);
	ck_assert_int_eq(stile_timeline_submit(timeline, point.value, stub), 0);
	ck_assert_int_eq(stile_point_get_fence(&point, &fence), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	ck_assert_int_eq(stile_fence_get_status(gate), 0);
	ck_assert_int_eq(vgem_signal(vgem, number), 0);
	stile_fence_unref(gate);
	stile_fence_unref(fence);
	stile_fence_unref(stub);
}
END_TEST

/* Y-7: only the fence tells. Wrong code: the wait fails, or a fence that was asked for in time says success. */
START_TEST(error_is_told_by_the_fence_alone) {
	int sw_sync = kernel_open_sw_sync();
	if (sw_sync < 0) {
		return; /* only debugging kernels have it */
	}
	int fd = kernel_sw_fence(sw_sync, 1);
	struct stile_fence *fence, *seen;
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(stile_fence_import_fd(device, STILE_FD_SYNC_FILE, 0, fd, &fence), 0);
	close(fd);
	for (uint64_t value = 0; value < 2; value++) {
		ck_assert_int_eq(stile_timeline_submit(timeline, value, fence), 0);
	}
	struct stile_point point = at(1);
	ck_assert_int_eq(stile_point_get_fence(&point, &seen), 0);
	close(sw_sync);
	ck_assert_int_eq(wait_for(1, STILE_POINT_SIGNALED, hang_ns()), 0);
	ck_assert_int_eq(state_of(1), STILE_POINT_DONE);
	ck_assert_int_eq(plain_fence_finish(seen), -ENOENT);
	stile_fence_unref(seen);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a fence of a program in the kernel; or waited for in secret. */
START_TEST(fence_of_a_program_is_refused) {
	struct stile_fence *fence = plain_fence_create();
	for (uint64_t value = 0; value < 2; value++) {
		ck_assert_int_eq(stile_timeline_submit(timeline, value, fence), -EOPNOTSUPP);
		ck_assert_int_eq(state_of(value), STILE_POINT_UNSUBMITTED);
	}
	stile_fence_signal(fence);
	for (uint64_t value = 0; value < 2; value++) {
		ck_assert_int_eq(stile_timeline_submit(timeline, value, fence), 0);
		ck_assert_int_eq(state_of(value), STILE_POINT_DONE);
	}
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: an error that the kernel never heard of becomes success. */
START_TEST(failed_fence_of_a_program_is_refused) {
	struct stile_fence *fence = plain_fence_create();
	stile_fence_set_error(fence, -EIO);
	stile_fence_signal(fence);
	for (uint64_t value = 0; value < 2; value++) {
		ck_assert_int_eq(stile_timeline_submit(timeline, value, fence), -EOPNOTSUPP);
		ck_assert_int_eq(state_of(value), STILE_POINT_UNSUBMITTED);
	}
	stile_fence_unref(fence);
}
END_TEST

/* Y-12. Wrong code: a promise of a program that may enter the kernel; or one that never ends. */
START_TEST(fence_for_what_is_not_submitted_follows_the_point) {
	struct stile_fence *fence;
	ck_assert_int_eq(stile_timeline_create_fence(timeline, 4, &fence), 0);
	ck_assert(stile_fence_is_user(fence));
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	int number = submit(4);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	ck_assert_int_eq(vgem_signal(vgem, number), 0);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	stile_fence_unref(fence);
}
END_TEST

/* ---- Between adapters and processes --------------------------------------------------------- */

/* Y-2, Y-3: the object is shared, the handle is not. Wrong code: a copy of its state; the first's handle closed. */
START_TEST(descriptor_shares_the_syncobj) {
	struct stile_drm *other;
	ck_assert_int_eq(adapter_open(driver, &other), 0);
	int fd;
	struct stile_timeline *theirs, *again;
	ck_assert_int_eq(stile_drm_syncobj_export(timeline, &fd), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(stile_drm_syncobj_import(other, "theirs", fd, NULL, &theirs), 0);
	ck_assert_int_eq(stile_drm_syncobj_import(drm, "again", fd, NULL, &again), 0);
	close(fd);
	ck_assert_uint_ne(
		stile_drm_syncobj_get_handle(again), stile_drm_syncobj_get_handle(timeline));
	struct stile_point point = { .timeline = theirs, .value = 3 };
	ck_assert_int_eq(stile_point_get_state(&point), STILE_POINT_UNSUBMITTED);
	int number = submit(3);
	ck_assert_int_eq(stile_point_get_state(&point), STILE_POINT_PENDING);
	stile_timeline_unref(again);
	ck_assert_int_eq(state_of(3), STILE_POINT_PENDING);
	ck_assert_int_eq(vgem_signal(vgem, number), 0);
	ck_assert_int_eq(stile_point_wait(&point, STILE_POINT_SIGNALED, hang_ns(), NULL), 0);
	stile_timeline_unref(theirs);
	stile_drm_destroy(other);
}
END_TEST

/* Wrong code: an adapter's end closes its syncobjs, or what their fences are watched with. */
START_TEST(timeline_goes_on_without_its_adapter) {
	int number = submit(1), told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct stile_point point = at(1);
	struct stile_fence *fence;
	stile_drm_destroy(drm);
	drm = NULL;
	ck_assert_int_eq(stile_point_get_fence(&point, &fence), 0);
	ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_SIGNALED, told), 0);
	ck_assert_int_eq(vgem_signal(vgem, number), 0);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	ck_assert(plain_fd_becomes_readable(told));
	stile_fence_unref(fence);
	close(told);
}
END_TEST

/* ---- Waiting, and being told --------------------------------------------------------------- */

struct submitter {
	uint64_t value;
	atomic_bool seen; /* that it was submitted */
};

static void *submit_late(void *arg) {
	struct submitter *submitter = arg;
	runner_sleep_ms(20);
	int number = submit(submitter->value);
	while (!atomic_load(&submitter->seen)) {
		runner_sleep_ms(1);
	}
	runner_sleep_ms(20);
	vgem_signal(vgem, number);
	return NULL;
}

/* Y-7, Y-8. Wrong code: -EINVAL of the kernel for what is not submitted; woken by the submission alone. */
START_TEST(wait_goes_on_until_it_is_submitted_and_done) {
	for (uint64_t value = 0; value < 3; value += 2) {
		pthread_t thread;
		struct submitter submitter = { .value = value };
		ck_assert_int_eq(wait_for(value, STILE_POINT_SIGNALED, soon_ns()), -ETIME);
		ck_assert_int_eq(wait_for(value, STILE_POINT_AVAILABLE, soon_ns()), -ETIME);
		ck_assert_int_eq(pthread_create(&thread, NULL, submit_late, &submitter), 0);
		ck_assert_int_eq(wait_for(value, STILE_POINT_AVAILABLE, hang_ns()), 0);
		ck_assert_int_eq(state_of(value), STILE_POINT_PENDING);
		atomic_store(&submitter.seen, true);
		ck_assert_int_eq(wait_for(value, STILE_POINT_SIGNALED, hang_ns()), 0);
		ck_assert_int_eq(state_of(value), STILE_POINT_DONE);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		ck_assert_int_eq(stile_drm_syncobj_reset(timeline), 0);
	}
}
END_TEST

static void *cancel_late(void *arg) {
	runner_sleep_ms(20);
	stile_cancel_raise(arg);
	return NULL;
}

/* Wrong code: a token cannot reach who sleeps in the kernel. */
START_TEST(wait_in_the_kernel_can_be_cancelled) {
	pthread_t thread;
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	struct stile_point point = at(1);
	ck_assert_int_eq(pthread_create(&thread, NULL, cancel_late, &cancel), 0);
	ck_assert_int_eq(
		stile_point_wait(&point, STILE_POINT_SIGNALED, INT64_MAX, &cancel), -EINTR);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* Linux before 6.6. */
static int kernel_without_eventfd(int fd, unsigned long request, void *arg) {
	if (request == DRM_IOCTL_SYNCOBJ_EVENTFD) {
		errno = EINVAL;
		return -1;
	}
	return any_ioctl_real(fd, request, arg);
}

static int refuse_notice(int fd, unsigned long request, void *arg) {
	if (request == DRM_IOCTL_SYNCOBJ_EVENTFD &&
		((struct drm_syncobj_eventfd *)arg)->handle != 0) {
		errno = EINVAL;
		return -1;
	}
	return any_ioctl_real(fd, request, arg);
}

/* Y-11. Wrong code: a kernel that refuses is taken for one that has none, and a thread waits for nothing. */
START_TEST(refused_notice_is_an_error) {
	if (drmSyncobjEventfd(stile_drm_get_fd(drm), 0, 0, -1, 0) == 0 || errno != ENOENT) {
		return;
	}
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct stile_point point = at(1);
	any_ioctl_set(refuse_notice);
	ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_SIGNALED, fd), -EINVAL);
	ck_assert_str_eq(heard, "");
	close(fd);
}
END_TEST

enum { BY_KERNEL, BY_THREAD, WAYS };

static void choose_way(int way) {
	any_ioctl_set(way == BY_THREAD ? kernel_without_eventfd : NULL);
}

static void check_way(int way) {
	bool told = strstr(heard, "DRM_IOCTL_SYNCOBJ_EVENTFD") != NULL;
	ck_assert_int_eq(told, way == BY_THREAD);
}

/* Y-11. Wrong code: told at submission, told twice, or never told of what had happened already. */
START_TEST(eventfd_is_told_once_of_each) {
	choose_way(_i);
	int available = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int signaled = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (uint64_t value = 0; value < 2; value++) {
		struct stile_point point = at(value);
		ck_assert_int_eq(
			stile_point_notify_fd(&point, STILE_POINT_AVAILABLE, available), 0);
		ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_SIGNALED, signaled), 0);
		runner_sleep_ms(10);
		ck_assert_uint_eq(eventfd_count(available), 0);
		int number = submit(value);
		ck_assert(plain_fd_becomes_readable(available));
		ck_assert_uint_eq(eventfd_count(available), 1);
		runner_sleep_ms(10);
		ck_assert_uint_eq(eventfd_count(signaled), 0);
		ck_assert_int_eq(vgem_signal(vgem, number), 0);
		ck_assert(plain_fd_becomes_readable(signaled));
		ck_assert_uint_eq(eventfd_count(signaled), 1);
		ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_SIGNALED, signaled), 0);
		ck_assert(plain_fd_becomes_readable(signaled));
		ck_assert_uint_eq(eventfd_count(signaled), 1);
		ck_assert_uint_eq(eventfd_count(available), 0);
		ck_assert_int_eq(stile_drm_syncobj_reset(timeline), 0);
	}
	check_way(_i);
	close(available);
	close(signaled);
}
END_TEST

/* What waits fail with, for good, or so many times if it is want of memory. */
static int wait_error, waits_left;

static int kernel_that_cannot_wait(int fd, unsigned long request, void *arg) {
	if (request == DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT && waits_left > 0) {
		waits_left -= wait_error == ENOMEM;
		errno = wait_error;
		return -1;
	}
	return kernel_without_eventfd(fd, request, arg);
}

/* Wrong code: the thread ends without a word, and who waits for the eventfd does so for ever. */
START_TEST(eventfd_is_raised_when_nothing_can_be_known_any_more) {
	any_ioctl_set(kernel_that_cannot_wait);
	int told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct stile_point done = at(1), point = at(7);
	/* The log has then said that there are threads. */
	ck_assert_int_eq(stile_timeline_signal(timeline, 1), 0);
	ck_assert_int_eq(stile_point_notify_fd(&done, STILE_POINT_SIGNALED, told), 0);
	ck_assert(plain_fd_becomes_readable(told));
	ck_assert_uint_eq(eventfd_count(told), 1);
	wait_error = ENODEV;
	waits_left = 1;
	ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_SIGNALED, told), 0);
	ck_assert(plain_fd_becomes_readable(told));
	ck_assert_uint_eq(eventfd_count(told), 1);
	waits_left = 0;
	ck_assert_ptr_nonnull(strstr(heard, "value 7 cannot be waited for"));
	close(told);
}
END_TEST

/* Wrong code: want of memory, which passes, taken for the end of the world. */
START_TEST(eventfd_is_told_of_what_comes_after_want_of_memory) {
	wait_error = ENOMEM;
	waits_left = 3;
	any_ioctl_set(kernel_that_cannot_wait);
	int told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct stile_point point = at(7);
	ck_assert_int_eq(stile_point_notify_fd(&point, STILE_POINT_SIGNALED, told), 0);
	runner_sleep_ms(100);
	ck_assert_uint_eq(eventfd_count(told), 0);
	ck_assert_int_eq(stile_timeline_signal(timeline, 7), 0);
	ck_assert(plain_fd_becomes_readable(told));
	close(told);
}
END_TEST

/*
 * Y-11: what is bound to a fence is told all the same, what waits for a submission is forgotten. Wrong code: a
 * thread that waits for ever, and keeps the adapter (which the ledger sees); or that forgets both.
 */
START_TEST(closed_syncobj_forgets_what_is_not_submitted) {
	choose_way(_i);
	int bound = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int unbound = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int number = submit(1);
	struct stile_point first = at(1), second = at(2);
	ck_assert_int_eq(stile_point_notify_fd(&first, STILE_POINT_SIGNALED, bound), 0);
	ck_assert_int_eq(stile_point_notify_fd(&second, STILE_POINT_SIGNALED, unbound), 0);
	stile_timeline_unref(timeline);
	timeline = NULL;
	runner_sleep_ms(120); /* so that a thread has looked */
	ck_assert_uint_eq(eventfd_count(bound), 0);
	ck_assert_int_eq(vgem_signal(vgem, number), 0);
	ck_assert(plain_fd_becomes_readable(bound));
	ck_assert_uint_eq(eventfd_count(unbound), 0);
	close(bound);
	close(unbound);
}
END_TEST

/* Y-13, X-8 (4). Wrong code: a wait for a program with locks held, which that one may need, is not told of. */
START_TEST(waiting_for_a_program_with_a_lock_is_complained_of) {
	struct stile_resv resv;
	bool was_enabled = stile_check_is_enabled();
	stile_resv_init(&resv);
	stile_check_enable(true);
	ck_assert_int_eq(stile_resv_lock(&resv, NULL, NULL), 0);
	ledger_expect_complaint("submi");
	ck_assert_int_eq(wait_for(1, STILE_POINT_SIGNALED, soon_ns()), -ETIME);
	stile_resv_unlock(&resv);
	stile_resv_fini(&resv);
	stile_check_enable(was_enabled);
}
END_TEST

/* ---- Transfer ------------------------------------------------------------------------------ */

/* Y-10. Wrong code: source and target mixed up; a binary source taken for point 0 of a chain. */
START_TEST(point_is_transferred_to_another) {
	static const uint64_t values[][2] = { { 0, 0 }, { 0, 7 }, { 3, 0 }, { 3, 7 } };
	struct stile_timeline *target = create(0);
	struct stile_point from = at(values[_i][0]);
	struct stile_point to = { .timeline = target, .value = values[_i][1] };
	ck_assert_int_eq(stile_drm_syncobj_transfer(&from, &to), -EAGAIN);
	ck_assert_int_eq(stile_point_get_state(&to), STILE_POINT_UNSUBMITTED);
	int number = submit(from.value);
	ck_assert_int_eq(stile_drm_syncobj_transfer(&from, &to), 0);
	ck_assert_int_eq(stile_point_get_state(&to), STILE_POINT_PENDING);
	/* It has its own fence now. */
	ck_assert_int_eq(stile_drm_syncobj_reset(timeline), 0);
	ck_assert_int_eq(stile_point_get_state(&to), STILE_POINT_PENDING);
	ck_assert_int_eq(vgem_signal(vgem, number), 0);
	ck_assert_int_eq(stile_point_wait(&to, STILE_POINT_SIGNALED, hang_ns(), NULL), 0);
	/* As a binary one it has what it was given, a point of a timeline with its number. */
	ck_assert_uint_eq(stile_timeline_get_value(target), to.value == 0 ? from.value : to.value);
	stile_timeline_unref(target);
}
END_TEST

/* Wrong code: a handle of one open file used in another, where it is something else. */
START_TEST(transfer_needs_one_open_file) {
	struct stile_drm *other;
	struct stile_timeline *theirs;
	ck_assert_int_eq(adapter_open(driver, &other), 0);
	ck_assert_int_eq(stile_drm_syncobj_create(other, "theirs", 0, NULL, &theirs), 0);
	ck_assert_int_eq(stile_timeline_signal(timeline, 1), 0);
	struct stile_point from = at(1), to = { .timeline = theirs, .value = 1 };
	ck_assert_int_eq(stile_drm_syncobj_transfer(&from, &to), -EINVAL);
	ck_assert_int_eq(stile_point_get_state(&to), STILE_POINT_UNSUBMITTED);
	stile_timeline_unref(theirs);
	stile_drm_destroy(other);
}
END_TEST

/* ---- A process that is killed -------------------------------------------------------------- */

/* It submits a pending fence of its own for value 1, and promises value 2. */
static int play_victim(void) {
	struct stile_timeline *theirs;
	struct stile_device *watcher;
	struct stile_fence *fence;
	int number, own = vgem_open();
	runner_require(own >= 0, "vgem: %s", strerror(-own));
	int ret = adapter_open(driver, &drm);
	runner_require(ret == 0, "adapter: %s", strerror(-ret));
	ret = stile_drm_syncobj_import(drm, "victim", RUNNER_FIRST_FD, NULL, &theirs);
	runner_require(ret == 0, "import: %s", strerror(-ret));
	ret = stile_device_open("swgpu", NULL, &watcher);
	runner_require(ret == 0, "device: %s", strerror(-ret));
	int fd = vgem_sync_file(own, &number);
	ret = stile_fence_import_fd(watcher, STILE_FD_SYNC_FILE, 0, fd, &fence);
	runner_require(ret == 0, "fence: %s", strerror(-ret));
	ret = stile_timeline_submit(theirs, 1, fence);
	runner_require(ret == 0, "submit: %s", strerror(-ret));
	mail_tell(RUNNER_FIRST_FD + 1, 's');
	pause();
	return 1;
}

/*
 * What the kernel was promised ends, what a program promised does not. Wrong code: a wait that hangs with its
 * deadline passed, or the dead one's promise taken for kept.
 */
START_TEST(killed_process_owes_its_submissions_for_ever) {
	int ends[2], fds[2];
	mail_pair(ends);
	ck_assert_int_eq(stile_drm_syncobj_export(timeline, &fds[0]), 0);
	fds[1] = ends[1];
	pid_t pid = runner_spawn("victim", fds, ARRAY_LENGTH(fds));
	close(fds[0]);
	close(ends[1]);
	ck_assert_int_eq(mail_hear(ends[0]), 's');
	ck_assert_int_eq(state_of(1), STILE_POINT_PENDING);
	struct stile_point point = at(1);
	struct stile_fence *fence;
	ck_assert_int_eq(stile_point_get_fence(&point, &fence), 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(runner_reap(pid), -SIGKILL);
	ck_assert_int_eq(wait_for(1, STILE_POINT_SIGNALED, hang_ns()), 0);
	ck_assert_int_ne(plain_fence_finish(fence), 0);
	ck_assert_int_eq(wait_for(2, STILE_POINT_SIGNALED, soon_ns()), -ETIME);
	ck_assert_int_eq(state_of(2), STILE_POINT_UNSUBMITTED);
	/* It is everybody's: who is left may keep the promise. */
	ck_assert_int_eq(stile_timeline_signal(timeline, 2), 0);
	ck_assert_int_eq(state_of(2), STILE_POINT_DONE);
	stile_fence_unref(fence);
	close(ends[0]);
}
END_TEST

/* ---- Everything that can fail -------------------------------------------------------------- */

struct sweep {
	struct stile_timeline *made;
	struct stile_fence *fence;
	uint64_t value;
	int fd;
};

static int attempt_create(void *user) {
	struct sweep *sweep = user;
	return stile_drm_syncobj_create(drm, "swept", 0, NULL, &sweep->made);
}

static int attempt_import(void *user) {
	struct sweep *sweep = user;
	return stile_drm_syncobj_import(drm, "swept", sweep->fd, NULL, &sweep->made);
}

static void after_timeline(void *user, int ret) {
	struct sweep *sweep = user;
	ck_assert(ret == 0 || sweep->made == NULL);
	stile_timeline_unref(sweep->made);
	sweep->made = NULL;
}

static int attempt_submit(void *user) {
	struct sweep *sweep = user;
	return stile_timeline_submit(timeline, sweep->value, sweep->fence);
}

static void after_submit(void *user, int ret) {
	struct sweep *sweep = user;
	ck_assert_int_eq(
		state_of(sweep->value), ret == 0 ? STILE_POINT_PENDING : STILE_POINT_UNSUBMITTED);
	ck_assert_int_eq(stile_drm_syncobj_reset(timeline), 0);
}

static int attempt_fence(void *user) {
	struct sweep *sweep = user;
	struct stile_point point = at(sweep->value);
	return stile_point_get_fence(&point, &sweep->fence);
}

static void after_fence(void *user, int ret) {
	struct sweep *sweep = user;
	ck_assert(ret == 0 || sweep->fence == NULL);
	stile_fence_unref(sweep->fence);
	sweep->fence = NULL;
}

static int attempt_notify(void *user) {
	struct sweep *sweep = user;
	struct stile_point point = at(9);
	return stile_point_notify_fd(&point, STILE_POINT_SIGNALED, sweep->fd);
}

static void after_notify(void *user, int ret) {
	(void)user;
	(void)ret;
}

static const int resources[] = { -ENOMEM, -EMFILE, -ENFILE, -EAGAIN, 0 };

/* Wrong code: what was made before the failure stays: a handle, a descriptor, a half-made timeline. */
START_TEST(allocations_fail_cleanly) {
	int number;
	struct sweep sweep = { .fd = -1 };
	ck_assert_int_eq(stile_drm_syncobj_export(timeline, &sweep.fd), 0);
	ck_assert_uint_gt(failing_sweep(attempt_create, after_timeline, &sweep, resources), 1);
	ck_assert_uint_gt(failing_sweep(attempt_import, after_timeline, &sweep, resources), 1);
	sweep.fence = kernel_fence(&number);
	for (sweep.value = 0; sweep.value < 2; sweep.value++) {
		(void)failing_sweep(attempt_submit, after_submit, &sweep, resources);
	}
	stile_fence_unref(sweep.fence);
	sweep.value = 1;
	submit(1);
	ck_assert_uint_gt(failing_sweep(attempt_fence, after_fence, &sweep, resources), 0);
	close(sweep.fd);
}
END_TEST

/* The same for the kernel's own failures. Wrong code: EINTR is not repeated; the syncobj in between leaks. */
START_TEST(ioctls_fail_cleanly) {
	int number;
	struct sweep sweep = { .fd = -1 };
	struct stile_timeline *before = create(0);
	uint32_t handle = stile_drm_syncobj_get_handle(before);
	stile_timeline_unref(before);
	ck_assert_int_eq(stile_drm_syncobj_export(timeline, &sweep.fd), 0);
	ck_assert_uint_ge(ioctl_sweep(attempt_create, after_timeline, &sweep), 3);
	ck_assert_uint_ge(ioctl_sweep(attempt_import, after_timeline, &sweep), 3);
	close(sweep.fd);
	sweep.fence = kernel_fence(&number);
	for (sweep.value = 0; sweep.value < 2; sweep.value++) {
		ck_assert_uint_ge(ioctl_sweep(attempt_submit, after_submit, &sweep), 1);
	}
	stile_fence_unref(sweep.fence);
	sweep.fence = NULL;
	struct stile_timeline *after = create(0);
	ck_assert_uint_eq(stile_drm_syncobj_get_handle(after), handle);
	stile_timeline_unref(after);
}
END_TEST

/* Where a thread waits for each. Wrong code: its copy of the eventfd, or its hold on the syncobj, leaks. */
START_TEST(notices_by_thread_fail_cleanly) {
	choose_way(BY_THREAD);
	struct sweep sweep = { .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	ck_assert_uint_gt(failing_sweep(attempt_notify, after_notify, &sweep, resources), 1);
	ck_assert_int_eq(stile_timeline_signal(timeline, 9), 0);
	ck_assert(plain_fd_becomes_readable(sweep.fd));
	close(sweep.fd);
}
END_TEST

/* ---- The suite ----------------------------------------------------------------------------- */

static void add_tests(TCase *tcase) {
	tcase_add_loop_test(tcase, driver_without_syncobjs_says_so, 0, 2);
	tcase_add_loop_test(tcase, wrong_descriptors_are_no_syncobjs, 0, WRONG_FDS);
	tcase_add_test(tcase, other_timelines_are_no_syncobjs);
	tcase_add_test(tcase, wrong_arguments_are_refused);
	tcase_add_test(tcase, binary_syncobj_is_unsubmitted_pending_and_done);
	tcase_add_test(tcase, binary_submission_replaces_what_was_there);
	tcase_add_test(tcase, value_is_up_to_where_all_is_done);
	tcase_add_test(tcase, fence_of_a_point_is_done_in_parts);
	tcase_add_test(tcase, syncobj_is_not_advanced);
	tcase_add_loop_test(tcase, fence_of_a_point_is_the_kernels, 0, 2);
	tcase_add_loop_test(tcase, fence_of_a_point_is_over_where_its_wait_is_left_out, 0, 2);
	tcase_add_test(tcase, error_is_told_by_the_fence_alone);
	tcase_add_test(tcase, fence_of_a_program_is_refused);
	tcase_add_test(tcase, failed_fence_of_a_program_is_refused);
	tcase_add_test(tcase, fence_for_what_is_not_submitted_follows_the_point);
	tcase_add_test(tcase, descriptor_shares_the_syncobj);
	tcase_add_test(tcase, timeline_goes_on_without_its_adapter);
	tcase_add_test(tcase, wait_goes_on_until_it_is_submitted_and_done);
	tcase_add_test(tcase, wait_in_the_kernel_can_be_cancelled);
	tcase_add_test(tcase, refused_notice_is_an_error);
	tcase_add_loop_test(tcase, eventfd_is_told_once_of_each, 0, WAYS);
	tcase_add_test(tcase, eventfd_is_raised_when_nothing_can_be_known_any_more);
	tcase_add_test(tcase, eventfd_is_told_of_what_comes_after_want_of_memory);
	tcase_add_loop_test(tcase, closed_syncobj_forgets_what_is_not_submitted, 0, WAYS);
	tcase_add_test(tcase, waiting_for_a_program_with_a_lock_is_complained_of);
	tcase_add_loop_test(tcase, point_is_transferred_to_another, 0, 4);
	tcase_add_test(tcase, transfer_needs_one_open_file);
	tcase_add_test(tcase, killed_process_owes_its_submissions_for_ever);
	tcase_add_test(tcase, allocations_fail_cleanly);
	tcase_add_test(tcase, ioctls_fail_cleanly);
	tcase_add_test(tcase, notices_by_thread_fail_cleanly);
}

static Suite *make_suite(void) {
	Suite *suite = suite_create("syncobj");
	TCase *tcase = ledger_tcase_create("syncobj");
	tcase_set_timeout(tcase, 90);
	tcase_add_checked_fixture(tcase, setup, teardown);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	return suite;
}

/* What a test needs is there, or why not. */
static const char *find_lack(void) {
	struct stile_drm *found;
	struct stile_timeline *made;
	static struct stile_report why = { .size = sizeof(why) };
	if (adapter_open(driver, &found) < 0) {
		return "no node of virtio_gpu, the driver here with syncobjs, that may be opened";
	}
	int ret = stile_drm_syncobj_create(found, "probe", 0, &why, &made);
	stile_drm_destroy(found);
	if (ret < 0) {
		return why.text;
	}
	stile_timeline_unref(made);
	int fd = vgem_open();
	if (fd < 0) {
		return "no node of vgem, whose fences these tests end, that may be opened";
	}
	close(fd);
	return NULL;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = { { "victim", play_victim }, { NULL, NULL } };
	const char *lack = argc == 1 ? find_lack() : NULL;
	if (lack != NULL) {
		printf("%s\n", lack);
		return RUNNER_SKIP;
	}
	return runner_main(argc, argv, make_suite, roles);
}
