/* SPDX-License-Identifier: MIT */
/*
 * What KERNEL_CONTRACT says of the kernel's calls, measured: sections 12 and 16, where the library
 * has no such call, or none that can be refused so. Nothing of Stile is in here.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <xf86drm.h>

#include "interop-tests/kernel/twin.h"
#include "interop-tests/kernel/twin_kernel.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/vgem.h"

enum { PAGE = 4096, BYTES = 2 * PAGE, BAD_ADDRESS = 8 };

static int vgem, memory;

static void setup(void) {
	vgem = vgem_open();
	memory = vgem_dma_buf(vgem, BYTES);
	ck_assert_int_ge(memory, 0);
}

static void teardown(void) {
	close(memory);
	close(vgem);
}

static void *nowhere(void) {
	return (void *)(uintptr_t)BAD_ADDRESS;
}

/* ---- Descriptors of memory ----------------------------------------------------------------- */

static int seek(off_t offset, int whence) {
	off_t ret = lseek(memory, offset, whence);
	return ret < 0 ? -errno : (int)ret;
}

/* D-1. Wrong contract: a position that is kept; bytes that are read. */
START_TEST(only_the_size_can_be_sought) {
	char byte = 0;
	ck_assert_int_eq(seek(0, SEEK_END), BYTES);
	ck_assert_int_eq(seek(0, SEEK_CUR), -EINVAL);
	ck_assert_int_eq(seek(1, SEEK_SET), -EINVAL);
	ck_assert_int_eq(seek(-1, SEEK_END), -EINVAL);
	ck_assert_int_eq(seek(1, SEEK_END), -EINVAL);
	ck_assert_int_eq(seek(0, SEEK_DATA), -EINVAL);
	ck_assert_int_eq(read(memory, &byte, 1) < 0 ? -errno : 0, -EINVAL);
	ck_assert_int_eq(write(memory, &byte, 1) < 0 ? -errno : 0, -EINVAL);
	ck_assert_int_eq(ftruncate(memory, BYTES) < 0 ? -errno : 0, -EINVAL);
}
END_TEST

/*
 * D-3, B-4. Wrong contract: a buffer that goes with its descriptor while a poll waits for its
 * fence.
 */
START_TEST(closed_descriptor_keeps_nobody_waiting) {
	int fence = vgem_attach(vgem, memory, true), queue = epoll_create1(EPOLL_CLOEXEC);
	int copy = fcntl(memory, F_DUPFD_CLOEXEC, 0);
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };
	ck_assert_int_eq(epoll_ctl(queue, EPOLL_CTL_ADD, copy, &event), 0);
	ck_assert_int_eq(epoll_wait(queue, &event, 1, 0), 0);
	close(memory);
	memory = copy;
	ck_assert_int_eq(vgem_signal(vgem, fence), 0);
	ck_assert_int_eq(epoll_wait(queue, &event, 1, TWIN_HANG_MS), 1);
	ck_assert_uint_ne(event.events & (EPOLLIN | EPOLLOUT), 0);
	ck_assert_uint_eq(event.events & (EPOLLERR | EPOLLHUP), 0);
	close(queue);
}
END_TEST

/* D-4. Wrong contract: unknown bits let pass; no direction taken for both. */
START_TEST(sync_checks_its_flags) {
	static const uint64_t wrong[] = { 0, DMA_BUF_SYNC_END, 8, 8 | DMA_BUF_SYNC_READ,
		UINT64_C(1) << 32 | DMA_BUF_SYNC_READ };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct dma_buf_sync sync = { .flags = wrong[i] };
		ck_assert_int_eq(kernel_ioctl(memory, DMA_BUF_IOCTL_SYNC, &sync), -EINVAL);
	}
	ck_assert_int_eq(kernel_ioctl(memory, DMA_BUF_IOCTL_SYNC, nowhere()), -EFAULT);
}
END_TEST

/*
 * D-5. Wrong contract: the number that is encoded means the argument's size. It is a pointer in all
 * of them.
 */
START_TEST(name_has_two_numbers_and_one_form) {
	char name[] = "a name", longer[64];
	memset(longer, 'x', sizeof(longer));
	static const unsigned long numbers[] = { DMA_BUF_SET_NAME, DMA_BUF_SET_NAME_A,
		DMA_BUF_SET_NAME_B };
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(kernel_ioctl(memory, numbers[i], name), 0);
		ck_assert_int_eq(kernel_ioctl(memory, numbers[i], longer), -EINVAL);
		ck_assert_int_eq(kernel_ioctl(memory, numbers[i], nowhere()), -EFAULT);
	}
}
END_TEST

/* D-6. Wrong contract: another order of the checks; a descriptor that is left over. */
START_TEST(export_checks_its_arguments) {
	ck_assert_int_eq(kernel_export(memory, 0), -EINVAL);
	ck_assert_int_eq(kernel_export(memory, DMA_BUF_SYNC_END), -EINVAL);
	ck_assert_int_eq(kernel_export(memory, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ), -EINVAL);
	ck_assert_int_eq(kernel_ioctl(memory, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, nowhere()), -EFAULT);
	struct rlimit before, none;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	int full = kernel_export(memory, DMA_BUF_SYNC_RW), wrong = kernel_export(memory, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(full, -EMFILE);
	ck_assert_int_eq(wrong, -EINVAL);
	int fd = kernel_export(memory, DMA_BUF_SYNC_RW);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}
END_TEST

/* D-7. Wrong contract: what is no sync_file is -EBADF or -ENOENT. */
START_TEST(import_checks_its_arguments) {
	int file = kernel_export(memory, DMA_BUF_SYNC_RW);
	ck_assert_int_eq(kernel_import(memory, 0, file), -EINVAL);
	ck_assert_int_eq(kernel_import(memory, DMA_BUF_SYNC_END, file), -EINVAL);
	ck_assert_int_eq(kernel_import(memory, DMA_BUF_SYNC_READ, memory), -EINVAL);
	ck_assert_int_eq(kernel_import(memory, DMA_BUF_SYNC_READ, -1), -EINVAL);
	ck_assert_int_eq(kernel_ioctl(memory, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, nowhere()), -EFAULT);
	close(file);
}
END_TEST

/* D-9. Wrong contract: another error for what there is not. */
START_TEST(other_requests_are_enotty) {
	uint64_t room[16] = { 0 };
	ck_assert_int_eq(kernel_ioctl(memory, _IOWR('b', 4, uint64_t), room), -ENOTTY);
	ck_assert_int_eq(kernel_ioctl(memory, _IOW('b', 0, uint32_t), room), -ENOTTY);
	ck_assert_int_eq(kernel_ioctl(memory, SYNC_IOC_FILE_INFO, room), -ENOTTY);
}
END_TEST

/* ---- vgem ---------------------------------------------------------------------------------- */

static int attach(uint32_t handle, uint32_t flags, uint32_t pad) {
	struct kernel_vgem_attach data = { .handle = handle, .flags = flags, .pad = pad };
	int ret = kernel_ioctl(vgem, KERNEL_VGEM_ATTACH, &data);
	return ret < 0 ? ret : (int)data.fence;
}

/* Section 16. Wrong contract: conflicts that are not seen, or seen among readers. */
START_TEST(vgem_refuses_what_conflicts) {
	int reader = vgem_attach(vgem, memory, false), second = vgem_attach(vgem, memory, false);
	ck_assert_int_ge(reader, 1);
	ck_assert_int_gt(second, reader);
	ck_assert_int_eq(vgem_attach(vgem, memory, true), -EBUSY);
	ck_assert_int_eq(vgem_signal(vgem, reader), 0);
	ck_assert_int_eq(vgem_attach(vgem, memory, true), -EBUSY);
	ck_assert_int_eq(vgem_signal(vgem, second), 0);
	int writer = vgem_attach(vgem, memory, true);
	ck_assert_int_ge(writer, 1);
	ck_assert_int_eq(vgem_attach(vgem, memory, false), -EBUSY);
	ck_assert_int_eq(vgem_signal(vgem, writer), 0);
	ck_assert_int_eq(vgem_signal(vgem, writer), -ENOENT);
	ck_assert_int_eq(vgem_signal(vgem, 12345), -ENOENT);
	uint32_t handle;
	ck_assert_int_eq(drmPrimeFDToHandle(vgem, memory, &handle), 0);
	ck_assert_int_eq(attach(handle, 2, 0), -EINVAL);
	ck_assert_int_eq(attach(handle, 0, 1), -EINVAL);
	ck_assert_int_eq(attach(handle + 77, 0, 0), -ENOENT);
	drmCloseBufferHandle(vgem, handle);
}
END_TEST

/* Section 16. Wrong contract: work of a process that is gone is owed for ever. */
START_TEST(closing_vgem_ends_its_fences) {
	int other = vgem_open(), number, file = vgem_sync_file(other, &number);
	ck_assert_int_eq(kernel_get_status(file), 0);
	close(other);
	ck_assert_int_eq(twin_poll(file, POLLIN, TWIN_HANG_MS), POLLIN);
	ck_assert_int_eq(kernel_get_status(file), 1);
	close(file);
}
END_TEST

/*
 * Section 16. Wrong contract: a fence that nobody ends fails, or never ends; a late end that is
 * none.
 */
START_TEST(vgem_fence_ends_by_itself_with_success) {
	int number, file = vgem_sync_file(vgem, &number);
	ck_assert_int_eq(twin_poll(file, POLLIN, TWIN_HANG_MS), POLLIN);
	ck_assert_int_eq(kernel_get_status(file), 1);
	ck_assert_int_eq(vgem_signal(vgem, number), -ETIMEDOUT);
	close(file);
}
END_TEST

static Suite *make(void) {
	Suite *suite = suite_create("uapi_dma_buf");
	TCase *tcase = ledger_tcase_create("dma-buf");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, only_the_size_can_be_sought);
	tcase_add_test(tcase, closed_descriptor_keeps_nobody_waiting);
	tcase_add_test(tcase, sync_checks_its_flags);
	tcase_add_test(tcase, name_has_two_numbers_and_one_form);
	tcase_add_test(tcase, export_checks_its_arguments);
	tcase_add_test(tcase, import_checks_its_arguments);
	tcase_add_test(tcase, other_requests_are_enotty);
	suite_add_tcase(suite, tcase);

	tcase = ledger_tcase_create("vgem");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 90);
	tcase_add_test(tcase, vgem_refuses_what_conflicts);
	tcase_add_test(tcase, closing_vgem_ends_its_fences);
	tcase_add_test(tcase, vgem_fence_ends_by_itself_with_success);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	int fd = vgem_open();
	if (fd < 0) {
		printf("no vgem\n");
		return RUNNER_SKIP;
	}
	close(fd);
	return runner_main(argc, argv, make, NULL);
}
