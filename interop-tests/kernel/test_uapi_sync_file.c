/* SPDX-License-Identifier: MIT */
/*
 * What KERNEL_CONTRACT says of the kernel's calls, measured: section 5, where the library has no
 * such call, or none that can be refused so. Nothing of Stile is in here.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "interop-tests/kernel/twin_kernel.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/vgem.h"

enum { NAME = 32, BAD_ADDRESS = 8 };

static int vgem, file, number;

static void setup(void) {
	vgem = vgem_open();
	file = vgem_sync_file(vgem, &number);
	ck_assert_int_ge(file, 0);
}

static void teardown(void) {
	close(file);
	close(vgem);
}

/* As few more descriptors as there are numbers left. */
static struct rlimit no_more_fds(void) {
	struct rlimit before, none;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	return before;
}

/* S-1. Wrong contract: a sync_file that a child inherits, or that can be written. */
START_TEST(sync_file_is_read_only_and_cloexec) {
	ck_assert_int_eq(fcntl(file, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(file, F_GETFL) & O_ACCMODE, O_RDONLY);
	int merged = kernel_merge(file, file);
	ck_assert_int_eq(fcntl(merged, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(merged, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(merged);
}
END_TEST

static int merge(uint32_t flags, uint32_t pad, int fd2) {
	struct sync_merge_data data = { .name = "twin", .fd2 = fd2, .flags = flags, .pad = pad };
	int ret = kernel_ioctl(file, SYNC_IOC_MERGE, &data);
	if (ret == 0) {
		close(data.fence);
	}
	return ret;
}

/* S-4. Wrong contract: another error, or another order of the checks. */
START_TEST(merge_checks_its_arguments_in_order) {
	int memfd = memory_create(1, 0);
	ck_assert_int_eq(merge(0, 0, file), 0);
	ck_assert_int_eq(merge(1, 0, file), -EINVAL);
	ck_assert_int_eq(merge(0, 1, file), -EINVAL);
	ck_assert_int_eq(merge(0, 0, memfd), -ENOENT);
	ck_assert_int_eq(merge(0, 0, -1), -ENOENT);
	ck_assert_int_eq(merge(1, 0, -1), -EINVAL);
	void *nowhere = (void *)(uintptr_t)BAD_ADDRESS;
	ck_assert_int_eq(kernel_ioctl(file, SYNC_IOC_MERGE, nowhere), -EFAULT);
	struct rlimit before = no_more_fds();
	int full = merge(1, 0, -1), nobody = kernel_ioctl(file, SYNC_IOC_MERGE, nowhere);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(full, -EMFILE);
	ck_assert_int_eq(nobody, -EMFILE);
	close(memfd);
}
END_TEST

static void get_info(int fd, struct sync_file_info *info, struct sync_fence_info *leaves) {
	info->sync_fence_info = (uintptr_t)leaves;
	ck_assert_int_eq(kernel_ioctl(fd, SYNC_IOC_FILE_INFO, info), 0);
}

/* S-4, S-6. Wrong contract: a name that is not ended; one that merging does not give. */
START_TEST(merged_file_has_31_bytes_of_the_name) {
	struct sync_merge_data data = { .fd2 = file };
	memset(data.name, 'x', NAME);
	ck_assert_int_eq(kernel_ioctl(file, SYNC_IOC_MERGE, &data), 0);
	struct sync_file_info info = { .num_fences = 0 };
	get_info(data.fence, &info, NULL);
	ck_assert_uint_eq(strnlen(info.name, NAME), NAME - 1);
	ck_assert_int_eq(info.name[0], 'x');
	close(data.fence);
}
END_TEST

/* S-6. Wrong contract: another form of the name that nobody has given. */
START_TEST(name_is_made_of_the_fence) {
	struct sync_fence_info leaf = { .status = 7 };
	struct sync_file_info info = { .num_fences = 1 };
	get_info(file, &info, &leaf);
	char start[NAME];
	int used = snprintf(start, sizeof(start), "%.15s-%.14s", leaf.driver_name, leaf.obj_name);
	ck_assert_int_eq(strncmp(info.name, start, (size_t)used), 0);
	uint64_t context, seqno;
	ck_assert_int_eq(sscanf(info.name + used, "%" SCNu64 "-%" SCNu64, &context, &seqno), 2);
	ck_assert_uint_eq(seqno, 1);
	ck_assert_int_eq(leaf.status, 0);
	ck_assert_uint_eq(leaf.flags, 0);
}
END_TEST

static int info_with(uint32_t flags, uint32_t pad, uint32_t count, void *leaves, uint32_t *out) {
	struct sync_file_info info = {
		.flags = flags,
		.pad = pad,
		.num_fences = count,
		.sync_fence_info = (uintptr_t)leaves,
	};
	int ret = kernel_ioctl(file, SYNC_IOC_FILE_INFO, &info);
	*out = info.num_fences;
	return ret;
}

/* S-5. Wrong contract: too little room filled; the count of what there is not told. */
START_TEST(info_checks_its_arguments) {
	int other_number, other = vgem_sync_file(vgem, &other_number);
	int both = kernel_merge(file, other);
	close(file);
	file = both;
	struct sync_fence_info leaves[4];
	uint32_t count;
	ck_assert_int_eq(info_with(1, 0, 0, NULL, &count), -EINVAL);
	ck_assert_int_eq(info_with(0, 1, 0, NULL, &count), -EINVAL);
	ck_assert_int_eq(info_with(0, 0, 0, NULL, &count), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(info_with(0, 0, 1, leaves, &count), -EINVAL);
	ck_assert_int_eq(info_with(0, 0, 4, leaves, &count), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(info_with(0, 0, 2, (void *)(uintptr_t)BAD_ADDRESS, &count), -EFAULT);
	close(other);
}
END_TEST

/*
 * S-5. Wrong contract: the status beside the leaves' is that of the whole. It is that of the first
 * leaf that is not done well.
 */
START_TEST(status_beside_leaves_is_the_first_bad_one) {
	int sw_sync = kernel_open_sw_sync();
	int failed = kernel_sw_fence(sw_sync, 1), both = kernel_merge(failed, file);
	close(sw_sync);
	struct sync_fence_info leaves[2];
	struct sync_file_info info = { .num_fences = 2 };
	get_info(both, &info, leaves);
	/* In the order of their contexts: sw_sync's was there later. */
	ck_assert_int_eq(leaves[0].status, 0);
	ck_assert_int_eq(leaves[1].status, -ENOENT);
	ck_assert_int_eq(info.status, 0);
	ck_assert_int_eq(vgem_signal(vgem, number), 0);
	info = (struct sync_file_info){ .num_fences = 2 };
	get_info(both, &info, leaves);
	ck_assert_int_eq(info.status, -ENOENT);
	/* Nobody listened: A-7. */
	ck_assert_int_eq(kernel_get_status(both), 1);
	close(failed);
	close(both);
}
END_TEST

/* S-7. Wrong contract: padding that is not looked at. */
START_TEST(deadline_has_no_padding) {
	struct kernel_deadline deadline = { .deadline_ns = 1 };
	ck_assert_int_eq(kernel_ioctl(file, KERNEL_SYNC_SET_DEADLINE, &deadline), 0);
	deadline.pad = 1;
	ck_assert_int_eq(kernel_ioctl(file, KERNEL_SYNC_SET_DEADLINE, &deadline), -EINVAL);
}
END_TEST

/* S-8. Wrong contract: the old numbers mean something. */
START_TEST(other_requests_are_enotty) {
	uint64_t room[64] = { 0 };
	for (unsigned nr = 0; nr < 3; nr++) {
		ck_assert_int_eq(kernel_ioctl(file, _IOWR('>', nr, uint64_t), room), -ENOTTY);
	}
	ck_assert_int_eq(kernel_ioctl(file, _IOWR('>', 6, uint64_t), room), -ENOTTY);
	ck_assert_int_eq(kernel_ioctl(file, _IOWR('b', 3, uint64_t), room), -ENOTTY);
}
END_TEST

static bool has_sw_sync, has_deadlines;

/* Says what is not here. */
static void look_around(int of_vgem) {
	int fd = kernel_open_sw_sync();
	has_sw_sync = fd >= 0;
	if (has_sw_sync) {
		close(fd);
	} else {
		printf("no sw_sync: without what needs a fence that fails\n");
	}
	fd = vgem_sync_file(of_vgem, &number);
	struct kernel_deadline deadline = { .deadline_ns = 1 };
	has_deadlines = kernel_ioctl(fd, KERNEL_SYNC_SET_DEADLINE, &deadline) != -ENOTTY;
	close(fd);
	if (!has_deadlines) {
		printf("a kernel without SYNC_IOC_SET_DEADLINE\n");
	}
}

static Suite *make(void) {
	Suite *suite = suite_create("uapi_sync_file");
	TCase *tcase = ledger_tcase_create("sync_file");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, sync_file_is_read_only_and_cloexec);
	tcase_add_test(tcase, merge_checks_its_arguments_in_order);
	tcase_add_test(tcase, merged_file_has_31_bytes_of_the_name);
	tcase_add_test(tcase, name_is_made_of_the_fence);
	tcase_add_test(tcase, info_checks_its_arguments);
	if (has_sw_sync) {
		tcase_add_test(tcase, status_beside_leaves_is_the_first_bad_one);
	}
	if (has_deadlines) {
		tcase_add_test(tcase, deadline_has_no_padding);
	}
	tcase_add_test(tcase, other_requests_are_enotty);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	int fd = vgem_open();
	if (fd < 0) {
		printf("no vgem: nobody makes a sync_file\n");
		return RUNNER_SKIP;
	}
	look_around(fd);
	close(fd);
	return runner_main(argc, argv, make, NULL);
}
