/* SPDX-License-Identifier: MIT */
/*
 * What KERNEL_CONTRACT says of the kernel's calls, measured: section 14 (H-...), where the library
 * has no such call, or none that can be refused so. Nothing of Stile is in here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "interop-tests/kernel/twin_kernel.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

enum { PAGE = 4096, BAD_ADDRESS = 8 };

static int heap;

static void setup(void) {
	heap = kernel_open_heap();
	ck_assert_int_ge(heap, 0);
}

static void teardown(void) {
	close(heap);
}

/* 0 or -errno: the descriptor is closed again. */
static int try(uint64_t len, uint32_t fd, uint32_t fd_flags, uint64_t heap_flags) {
	struct dma_heap_allocation_data data = {
		.len = len, .fd = fd, .fd_flags = fd_flags, .heap_flags = heap_flags
	};
	int ret = kernel_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data);
	if (ret == 0) {
		close((int)data.fd);
	}
	return ret;
}

/* H-1. Wrong contract: unknown flags let pass; nothing given for nothing. */
START_TEST(heap_checks_its_arguments) {
	uint64_t room[16] = { 0 };
	ck_assert_int_eq(try(1, 0, O_RDWR | O_CLOEXEC, 0), 0);
	ck_assert_int_eq(try(0, 0, O_RDWR, 0), -EINVAL);
	ck_assert_int_eq(try(UINT64_MAX, 0, O_RDWR, 0), -EINVAL);
	ck_assert_int_eq(try(1, 1, O_RDWR, 0), -EINVAL);
	ck_assert_int_eq(try(1, 0, O_NONBLOCK, 0), -EINVAL);
	ck_assert_int_eq(try(1, 0, O_RDWR, 1), -EINVAL);
	ck_assert_int_eq(
		kernel_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, (void *)(uintptr_t)BAD_ADDRESS), -EFAULT);
	ck_assert_int_eq(kernel_ioctl(heap, _IOWR('H', 1, uint64_t), room), -EINVAL);
}
END_TEST

/*
 * H-1, P-5, B-1. Wrong contract: rights that the descriptor was not asked to have; a private
 * mapping of what is read-only refused.
 */
START_TEST(rights_are_those_of_the_descriptor) {
	int fd = kernel_heap_alloc(heap, 1, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), PAGE);
	void *address = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_eq(address, MAP_FAILED);
	ck_assert_int_eq(errno, EACCES);
	address = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(address, MAP_FAILED);
	munmap(address, PAGE);
	/* No other descriptor can be had: neither by name, nor with more rights. */
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ck_assert_int_eq(open(path, O_RDWR | O_CLOEXEC) < 0 ? -errno : 0, -ENXIO);
	close(fd);
}
END_TEST

/* H-2. Wrong contract: a struct of another size refused. */
START_TEST(heap_takes_structs_of_other_sizes) {
	struct {
		struct dma_heap_allocation_data data;
		uint64_t more;
	} longer = { .data = { .len = 1, .fd_flags = O_RDWR | O_CLOEXEC }, .more = 1 };
	struct {
		uint64_t len;
		uint32_t fd;
		uint32_t fd_flags;
	} shorter = { .len = 1, .fd_flags = O_RDWR | O_CLOEXEC };
	ck_assert_int_eq(
		kernel_ioctl(heap, _IOC(_IOC_READ | _IOC_WRITE, 'H', 0, sizeof(longer)), &longer),
		0);
	close((int)longer.data.fd);
	ck_assert_int_eq(
		kernel_ioctl(heap, _IOC(_IOC_READ | _IOC_WRITE, 'H', 0, sizeof(shorter)), &shorter),
		0);
	close((int)shorter.fd);
}
END_TEST

static Suite *make(void) {
	Suite *suite = suite_create("uapi_dma_heap");
	TCase *tcase = ledger_tcase_create("heap");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, heap_checks_its_arguments);
	tcase_add_test(tcase, rights_are_those_of_the_descriptor);
	tcase_add_test(tcase, heap_takes_structs_of_other_sizes);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	int fd = kernel_open_heap();
	if (fd < 0) {
		printf("no heap: %s\n", strerror(-fd));
		return RUNNER_SKIP;
	}
	close(fd);
	return runner_main(argc, argv, make, NULL);
}
