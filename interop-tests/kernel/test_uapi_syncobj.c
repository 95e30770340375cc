/* SPDX-License-Identifier: MIT */
/*
 * What KERNEL_CONTRACT says of the kernel's calls, measured: section 15 (Y-...), where the library
 * has no such call, or none that can be refused so. Nothing of Stile is in here.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <xf86drm.h>

#include "interop-tests/kernel/twin.h"
#include "interop-tests/kernel/twin_kernel.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/vgem.h"

enum { NO_HANDLE = 12345 };

static int drm, vgem;

static void setup(void) {
	drm = kernel_open_card("virtio_gpu");
	vgem = vgem_open();
	ck_assert_int_ge(drm, 0);
	ck_assert_int_ge(vgem, 0);
}

/* Closing it destroys all handles, and ends all fences. */
static void teardown(void) {
	close(drm);
	close(vgem);
}

static uint32_t create(uint32_t flags) {
	uint32_t handle = 0;
	ck_assert_int_eq(drmSyncobjCreate(drm, flags, &handle), 0);
	ck_assert_uint_ge(handle, 1);
	return handle;
}

/* With a pending fence of vgem's, of which this is the number. */
static uint32_t create_pending(int *number) {
	uint32_t handle = create(0);
	int file = vgem_sync_file(vgem, number);
	ck_assert_int_eq(drmSyncobjImportSyncFile(drm, handle, file), 0);
	close(file);
	return handle;
}

static int code(int ret) {
	return ret < 0 ? -errno : 0;
}

static int wait_for(uint32_t *handles, unsigned count, unsigned flags, uint32_t *first) {
	return code(drmSyncobjWait(drm, handles, count, 0, flags, first));
}

/* ---- Life ---------------------------------------------------------------------------------- */

/* Y-1. Wrong contract: unknown flags let pass; a handle that is not there is -ENOENT here. */
START_TEST(create_and_destroy_check_their_arguments) {
	struct drm_syncobj_create wrong = { .flags = 2 };
	ck_assert_int_eq(kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_CREATE, &wrong), -EINVAL);
	uint32_t empty = create(0), signaled = create(DRM_SYNCOBJ_CREATE_SIGNALED);
	ck_assert_int_eq(wait_for(&empty, 1, 0, NULL), -EINVAL);
	ck_assert_int_eq(wait_for(&signaled, 1, 0, NULL), 0);
	struct drm_syncobj_destroy gone = { .handle = empty, .pad = 1 };
	ck_assert_int_eq(kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_DESTROY, &gone), -EINVAL);
	gone.pad = 0;
	ck_assert_int_eq(kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_DESTROY, &gone), 0);
	ck_assert_int_eq(kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_DESTROY, &gone), -EINVAL);
}
END_TEST

/* Y-2, Y-3. Wrong contract: a copy in place of the object; the same handle again. */
START_TEST(descriptor_is_the_object) {
	uint32_t handle = create(0), again = 0, third = 0;
	int fd = -1, memfd = memory_create(1, 0);
	ck_assert_int_eq(drmSyncobjHandleToFD(drm, handle, &fd), 0);
	ck_assert_int_eq(drmSyncobjFDToHandle(drm, fd, &again), 0);
	ck_assert_int_eq(drmSyncobjFDToHandle(drm, fd, &third), 0);
	ck_assert_uint_ne(again, handle);
	ck_assert_uint_ne(again, third);
	ck_assert_int_eq(drmSyncobjDestroy(drm, handle), 0);
	ck_assert_int_eq(drmSyncobjSignal(drm, &again, 1), 0);
	ck_assert_int_eq(wait_for(&third, 1, 0, NULL), 0);
	ck_assert_int_eq(code(drmSyncobjHandleToFD(drm, NO_HANDLE, &memfd)), -EINVAL);
	ck_assert_int_eq(code(drmSyncobjFDToHandle(drm, memfd, &third)), -EINVAL);
	ck_assert_int_eq(code(drmSyncobjFDToHandle(drm, -1, &third)), -EINVAL);
	close(memfd);
	close(fd);
}
END_TEST

static int handle_to_fd(uint32_t handle, uint32_t flags, uint32_t pad) {
	struct drm_syncobj_handle data = { .handle = handle, .flags = flags, .pad = pad };
	int ret = kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &data);
	if (ret == 0) {
		close(data.fd);
	}
	return ret;
}

static int fd_to_handle(uint32_t handle, int fd, uint32_t flags, uint32_t pad) {
	struct drm_syncobj_handle data = { .handle = handle, .fd = fd, .flags = flags, .pad = pad };
	return kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &data);
}

/* Y-2, Y-3. Wrong contract: -ENOENT and -EINVAL confused between objects and sync_files. */
START_TEST(sync_files_go_in_and_out) {
	enum { FILE_FLAG = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE, UNKNOWN = 1 << 7 };
	int number, memfd = memory_create(1, 0), file = vgem_sync_file(vgem, &number);
	uint32_t handle = create(0);
	ck_assert_int_eq(handle_to_fd(handle, FILE_FLAG, 0), -EINVAL);
	ck_assert_int_eq(handle_to_fd(NO_HANDLE, FILE_FLAG, 0), -ENOENT);
	ck_assert_int_eq(fd_to_handle(NO_HANDLE, file, FILE_FLAG, 0), -ENOENT);
	ck_assert_int_eq(fd_to_handle(handle, memfd, FILE_FLAG, 0), -EINVAL);
	ck_assert_int_eq(fd_to_handle(handle, -1, FILE_FLAG, 0), -EINVAL);
	ck_assert_int_eq(fd_to_handle(handle, file, FILE_FLAG, 0), 0);
	ck_assert_int_eq(handle_to_fd(handle, FILE_FLAG, 0), 0);
	ck_assert_int_eq(handle_to_fd(handle, FILE_FLAG, 1), -EINVAL);
	ck_assert_int_eq(handle_to_fd(handle, UNKNOWN, 0), -EINVAL);
	ck_assert_int_eq(fd_to_handle(handle, file, UNKNOWN, 0), -EINVAL);
	close(file);
	close(memfd);
}
END_TEST

/* Y-5. Wrong contract: what comes before an unknown handle is done. */
START_TEST(reset_and_signal_are_all_or_nothing) {
	uint32_t handles[] = { create(0), NO_HANDLE };
	struct drm_syncobj_array array = { .handles = (uintptr_t)handles, .count_handles = 2 };
	ck_assert_int_eq(kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_SIGNAL, &array), -ENOENT);
	ck_assert_int_eq(wait_for(handles, 1, 0, NULL), -EINVAL);
	array.count_handles = 1;
	ck_assert_int_eq(kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_SIGNAL, &array), 0);
	ck_assert_int_eq(wait_for(handles, 1, 0, NULL), 0);
	array.count_handles = 2;
	ck_assert_int_eq(kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_RESET, &array), -ENOENT);
	ck_assert_int_eq(wait_for(handles, 1, 0, NULL), 0);
	array = (struct drm_syncobj_array){
		.handles = (uintptr_t)handles, .count_handles = 1, .pad = 1
	};
	ck_assert_int_eq(kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_RESET, &array), -EINVAL);
	array = (struct drm_syncobj_array){ .handles = (uintptr_t)handles };
	ck_assert_int_eq(kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_SIGNAL, &array), -EINVAL);
	array.count_handles = 1;
	ck_assert_int_eq(kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_RESET, &array), 0);
	ck_assert_int_eq(wait_for(handles, 1, 0, NULL), -EINVAL);
}
END_TEST

/* ---- Waiting ------------------------------------------------------------------------------- */

/* Y-7. Wrong contract: an index of what is pending; any taken for all; -ETIME for a mistake. */
START_TEST(wait_is_for_any_or_for_all) {
	enum { ALL = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL, UNKNOWN = 1 << 20 };
	int numbers[2];
	uint32_t first = 77,
		 handles[] = { create_pending(&numbers[0]), create_pending(&numbers[1]) };
	ck_assert_int_eq(wait_for(handles, 0, 0, NULL), 0);
	ck_assert_int_eq(wait_for(handles, 2, 0, &first), -ETIME);
	ck_assert_int_eq(vgem_signal(vgem, numbers[1]), 0);
	ck_assert_int_eq(wait_for(handles, 2, 0, &first), 0);
	ck_assert_uint_eq(first, 1);
	ck_assert_int_eq(wait_for(handles, 2, ALL, &first), -ETIME);
	ck_assert_int_eq(vgem_signal(vgem, numbers[0]), 0);
	ck_assert_int_eq(wait_for(handles, 2, ALL, &first), 0);
	ck_assert_int_eq(wait_for(handles, 2, 0, &first), 0);
	ck_assert_uint_eq(first, 0);
	uint32_t none[] = { handles[0], NO_HANDLE };
	ck_assert_int_eq(wait_for(none, 2, 0, NULL), -ENOENT);
	ck_assert_int_eq(wait_for(none, 2, UNKNOWN, NULL), -EINVAL);
	ck_assert_int_eq(
		wait_for(handles, 1, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE, NULL), -EINVAL);
	uint32_t empty = create(0);
	ck_assert_int_eq(wait_for(&empty, 1, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, NULL), -ETIME);
}
END_TEST

static int timeline_wait(uint32_t handle, uint64_t point, unsigned flags) {
	return code(drmSyncobjTimelineWait(drm, &handle, &point, 1, 0, flags, NULL));
}

/* Y-8. Wrong contract: point 0 is a point; availability without asking for it. */
START_TEST(point_0_is_the_fence) {
	int number;
	uint32_t handle = create_pending(&number);
	ck_assert_int_eq(timeline_wait(handle, 0, 0), -ETIME);
	ck_assert_int_eq(timeline_wait(handle, 0, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE), 0);
	ck_assert_int_eq(timeline_wait(handle, 1, 0), -EINVAL);
	ck_assert_int_eq(timeline_wait(handle, 1, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE), -ETIME);
	ck_assert_int_eq(vgem_signal(vgem, number), 0);
	ck_assert_int_eq(timeline_wait(handle, 0, 0), 0);
}
END_TEST

/* Y-7, L-2. Wrong contract: the hint is lost on the way. */
START_TEST(wait_tells_of_its_deadline) {
	int sw_sync = kernel_open_sw_sync();
	int file = kernel_sw_fence(sw_sync, 1);
	uint32_t handle = create(0);
	ck_assert_int_eq(drmSyncobjImportSyncFile(drm, handle, file), 0);
	uint64_t deadline_ns = (uint64_t)runner_clock_ns() + 1000000;
	struct drm_syncobj_wait wait = {
		.handles = (uintptr_t)&handle,
		.count_handles = 1,
		.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE,
		.deadline_nsec = deadline_ns,
	};
	ck_assert_int_eq(kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_WAIT, &wait), -ETIME);
	struct kernel_sw_deadline told = { .fence = file };
	ck_assert_int_eq(kernel_ioctl(sw_sync, KERNEL_SW_GET_DEADLINE, &told), 0);
	ck_assert_uint_eq(told.deadline_ns, deadline_ns);
	close(file);
	close(sw_sync);
}
END_TEST

/* ---- Timelines ----------------------------------------------------------------------------- */

static int timeline_signal(uint32_t handle, uint64_t point) {
	return code(drmSyncobjTimelineSignal(drm, &handle, &point, 1));
}

static uint64_t query(uint32_t handle, uint32_t flags) {
	uint64_t point = 77;
	ck_assert_int_eq(drmSyncobjQuery2(drm, &handle, &point, 1, flags), 0);
	return point;
}

/* Y-6. Wrong contract: a counter that is set, and not points that are added. */
START_TEST(timeline_signal_adds_points_that_are_done) {
	uint32_t handle = create(0);
	struct drm_syncobj_timeline_array array = {
		.handles = (uintptr_t)&handle, .count_handles = 1, .flags = 1
	};
	ck_assert_int_eq(kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &array), -EINVAL);
	array.flags = 0;
	array.count_handles = 0;
	ck_assert_int_eq(kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &array), -EINVAL);
	ck_assert_int_eq(timeline_signal(NO_HANDLE, 1), -ENOENT);
	ck_assert_int_eq(timeline_signal(handle, 4), 0);
	ck_assert_int_eq(timeline_wait(handle, 4, 0), 0);
	ck_assert_int_eq(timeline_wait(handle, 5, 0), -EINVAL);
	ck_assert_uint_eq(query(handle, 0), 4);
}
END_TEST

/*
 * Y-9. Wrong contract: the newest point told for the last one that is done; a binary one's number.
 */
START_TEST(query_tells_what_is_done_or_was_submitted) {
	enum { LAST = DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED };
	int number;
	uint32_t binary = create_pending(&number), handle = create(0);
	ck_assert_uint_eq(query(binary, 0), 0);
	ck_assert_uint_eq(query(handle, 0), 0);
	ck_assert_uint_eq(query(handle, LAST), 0);
	ck_assert_int_eq(timeline_signal(handle, 3), 0);
	ck_assert_int_eq(drmSyncobjTransfer(drm, handle, 5, binary, 0, 0), 0);
	ck_assert_int_eq(timeline_signal(handle, 8), 0);
	ck_assert_uint_eq(query(handle, 0), 3);
	ck_assert_uint_eq(query(handle, LAST), 8);
	ck_assert_int_eq(vgem_signal(vgem, number), 0);
	ck_assert_uint_eq(query(handle, 0), 8);
	/* A point out of order: nothing is known of the newest order until it ends. */
	uint32_t other = create_pending(&number);
	ck_assert_int_eq(drmSyncobjTransfer(drm, handle, 6, other, 0, 0), 0);
	ck_assert_uint_eq(query(handle, LAST), 8);
	ck_assert_uint_eq(query(handle, 0), 0);
	ck_assert_int_eq(vgem_signal(vgem, number), 0);
	ck_assert_uint_eq(query(handle, 0), 8);
}
END_TEST

static int transfer(uint32_t from, uint64_t from_point, uint32_t to, uint64_t to_point,
	uint32_t flags, uint32_t pad) {
	struct drm_syncobj_transfer data = {
		.src_handle = from,
		.dst_handle = to,
		.src_point = from_point,
		.dst_point = to_point,
		.flags = flags,
		.pad = pad,
	};
	return kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_TRANSFER, &data);
}

/* Y-10. Wrong contract: point 0 of the destination is added to what it has. */
START_TEST(transfer_checks_its_arguments_and_replaces_at_0) {
	int number;
	uint32_t from = create_pending(&number), to = create(DRM_SYNCOBJ_CREATE_SIGNALED);
	ck_assert_int_eq(transfer(from, 0, NO_HANDLE, 0, 0, 0), -ENOENT);
	ck_assert_int_eq(transfer(NO_HANDLE, 0, to, 0, 0, 0), -ENOENT);
	ck_assert_int_eq(transfer(from, 0, to, 0, 0, 1), -EINVAL);
	ck_assert_int_eq(transfer(from, 0, to, 0, 1 << 7, 0), -EINVAL);
	ck_assert_int_eq(transfer(from, 3, to, 0, 0, 0), -EINVAL);
	ck_assert_int_eq(wait_for(&to, 1, 0, NULL), 0);
	ck_assert_int_eq(transfer(from, 0, to, 0, 0, 0), 0);
	ck_assert_int_eq(wait_for(&to, 1, 0, NULL), -ETIME);
	ck_assert_int_eq(vgem_signal(vgem, number), 0);
	ck_assert_int_eq(wait_for(&to, 1, 0, NULL), 0);
}
END_TEST

static int notify(uint32_t handle, int fd, uint32_t flags, uint32_t pad) {
	struct drm_syncobj_eventfd data = {
		.handle = handle, .fd = fd, .flags = flags, .pad = pad
	};
	return kernel_ioctl(drm, DRM_IOCTL_SYNCOBJ_EVENTFD, &data);
}

/* Y-11. Wrong contract: unknown flags let pass. */
START_TEST(eventfd_checks_its_arguments) {
	uint32_t handle = create(0);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), memfd = memory_create(1, 0);
	ck_assert_int_eq(notify(NO_HANDLE, fd, 0, 0), -ENOENT);
	ck_assert_int_eq(notify(handle, fd, 1, 0), -EINVAL);
	ck_assert_int_eq(notify(handle, fd, 0, 1), -EINVAL);
	ck_assert_int_eq(notify(handle, -1, 0, 0), -EBADF);
	ck_assert_int_eq(notify(handle, memfd, 0, 0), -EINVAL);
	ck_assert_int_eq(notify(handle, fd, 0, 0), 0);
	ck_assert_int_eq(drmSyncobjSignal(drm, &handle, 1), 0);
	ck_assert_int_eq(twin_poll(fd, POLLIN, TWIN_HANG_MS), POLLIN);
	close(memfd);
	close(fd);
}
END_TEST

/* Y-12. Wrong contract: a wait for a submission without an end, or none at all. */
START_TEST(transfer_waits_5_s_for_a_submission) {
	uint32_t from = create(0), to = create(0);
	int64_t before_ns = runner_clock_ns();
	ck_assert_int_eq(
		transfer(from, 1, to, 1, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, 0), -ETIME);
	ck_assert_int_ge(runner_clock_ns() - before_ns, INT64_C(4900000000));
}
END_TEST

/* Section 15. Wrong contract: a driver without it has the calls all the same. */
START_TEST(driver_without_syncobjs_is_eopnotsupp) {
	struct drm_syncobj_create data = { .flags = 0 };
	ck_assert_int_eq(kernel_ioctl(vgem, DRM_IOCTL_SYNCOBJ_CREATE, &data), -EOPNOTSUPP);
	uint64_t has = 7;
	ck_assert_int_eq(drmGetCap(vgem, DRM_CAP_SYNCOBJ, &has), 0);
	ck_assert_uint_eq(has, 0);
}
END_TEST

static bool has_sw_sync(void) {
	int fd = kernel_open_sw_sync();
	if (fd < 0) {
		printf("no sw_sync: without what needs a fence that tells its deadline\n");
		return false;
	}
	close(fd);
	return true;
}

static Suite *make(void) {
	Suite *suite = suite_create("uapi_syncobj");
	TCase *tcase = ledger_tcase_create("syncobj");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, create_and_destroy_check_their_arguments);
	tcase_add_test(tcase, descriptor_is_the_object);
	tcase_add_test(tcase, sync_files_go_in_and_out);
	tcase_add_test(tcase, reset_and_signal_are_all_or_nothing);
	tcase_add_test(tcase, wait_is_for_any_or_for_all);
	tcase_add_test(tcase, point_0_is_the_fence);
	if (has_sw_sync()) {
		tcase_add_test(tcase, wait_tells_of_its_deadline);
	}
	tcase_add_test(tcase, timeline_signal_adds_points_that_are_done);
	tcase_add_test(tcase, query_tells_what_is_done_or_was_submitted);
	tcase_add_test(tcase, transfer_checks_its_arguments_and_replaces_at_0);
	tcase_add_test(tcase, eventfd_checks_its_arguments);
	tcase_add_test(tcase, transfer_waits_5_s_for_a_submission);
	tcase_add_test(tcase, driver_without_syncobjs_is_eopnotsupp);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	int card = kernel_open_card("virtio_gpu"), other = vgem_open();
	uint64_t has = 0;
	bool runs = card >= 0 && other >= 0 &&
		drmGetCap(card, DRM_CAP_SYNCOBJ_TIMELINE, &has) == 0 && has != 0;
	if (card >= 0) {
		close(card);
	}
	if (other >= 0) {
		close(other);
	}
	if (!runs) {
		printf("no vgem, or no virtio-gpu with syncobjs\n");
		return RUNNER_SKIP;
	}
	return runner_main(argc, argv, make, NULL);
}
