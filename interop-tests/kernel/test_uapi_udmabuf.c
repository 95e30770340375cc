/* SPDX-License-Identifier: MIT */
/*
 * What KERNEL_CONTRACT says of the kernel's calls, measured: section 13 (V-...), where the library
 * has no such call, or none that can be refused so. Nothing of Stile is in here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "interop-tests/kernel/twin_kernel.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"

enum { PAGE = 4096, PAGES = 4, BYTES = PAGES * PAGE, BAD_ADDRESS = 8, BAD_FD = -1 };

static int udmabuf, memfd;

static void setup(void) {
	udmabuf = kernel_open_udmabuf();
	ck_assert_int_ge(udmabuf, 0);
	memfd = memory_create(BYTES, F_SEAL_SHRINK);
}

static void teardown(void) {
	close(memfd);
	close(udmabuf);
}

/* 0 or -errno: the descriptor is closed again. */
static int try(int fd, uint32_t flags, uint64_t offset, uint64_t size) {
	struct udmabuf_create create = {
		.memfd = (uint32_t)fd, .flags = flags, .offset = offset, .size = size
	};
	int ret = kernel_ioctl(udmabuf, UDMABUF_CREATE, &create);
	if (ret >= 0) {
		close(ret);
	}
	return ret < 0 ? ret : 0;
}

/* The descriptor or -errno. */
static int create_list(
	uint32_t flags, uint32_t count, const struct udmabuf_create_item *items, size_t given) {
	size_t bytes = given * sizeof(*items);
	struct udmabuf_create_list *list = calloc(1, sizeof(*list) + bytes);
	ck_assert_ptr_nonnull(list);
	list->flags = flags;
	list->count = count;
	if (bytes > 0) {
		memcpy(list->list, items, bytes);
	}
	int ret = kernel_ioctl(udmabuf, UDMABUF_CREATE_LIST, list);
	free(list);
	return ret;
}

static uint64_t parameter(const char *name, uint64_t otherwise) {
	char path[96], text[32] = "";
	snprintf(path, sizeof(path), "/sys/module/udmabuf/parameters/%s", name);
	FILE *file = fopen(path, "re");
	if (file != NULL) {
		otherwise = fgets(text, sizeof(text), file) == NULL ? otherwise
								    : strtoull(text, NULL, 10);
		fclose(file);
	}
	return otherwise;
}

/*
 * V-2. Wrong contract: another error, or another order: numbers, then sums, then descriptors, then
 * seals.
 */
START_TEST(create_checks_numbers_before_descriptors) {
	uint64_t limit = parameter("size_limit_mb", 64) << 20;
	ck_assert_int_eq(try(memfd, 0, 0, BYTES), 0);
	ck_assert_int_eq(try(BAD_FD, 0, 1, PAGE), -EINVAL);
	ck_assert_int_eq(try(BAD_FD, 0, 0, PAGE + 1), -EINVAL);
	ck_assert_int_eq(try(BAD_FD, 0, 0, 0), -EINVAL);
	ck_assert_int_eq(try(BAD_FD, 0, 0, limit + PAGE), -EINVAL);
	ck_assert_int_eq(try(BAD_FD, 0, 0, PAGE), -EBADFD);
	ck_assert_int_eq(try(memfd, 0, PAGE, BYTES), -EINVAL);
	ck_assert_int_eq(try(memfd, 0, BYTES, PAGE), -EINVAL);
	ck_assert_int_eq(
		kernel_ioctl(udmabuf, UDMABUF_CREATE, (void *)(uintptr_t)BAD_ADDRESS), -EFAULT);
}
END_TEST

/* V-2. Wrong contract: what is no memory of shmem's or hugetlbfs is -EINVAL or -EBADF. */
START_TEST(create_takes_memfds_alone) {
	int pipes[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	ck_assert_int_eq(try(pipes[0], 0, 0, PAGE), -EBADFD);
	ck_assert_int_eq(try(null, 0, 0, PAGE), -EBADFD);
	ck_assert_int_eq(try(memory_closed_fd(), 0, 0, PAGE), -EBADFD);
	int unsealable = memfd_create("twin", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(unsealable, PAGE), 0);
	ck_assert_int_eq(try(unsealable, 0, 0, PAGE), -EINVAL);
	int dma_buf = kernel_udmabuf_create(udmabuf, memfd, PAGE);
	ck_assert_int_eq(try(dma_buf, 0, 0, PAGE), -EBADFD);
	close(dma_buf);
	close(unsealable);
	close(null);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

/* V-2. Wrong contract: other seals that are needed, or are in the way. */
START_TEST(create_needs_one_seal_and_refuses_two) {
	static const struct {
		int seals;
		int ret;
	} cases[] = {
		{ 0, -EINVAL },
		{ F_SEAL_GROW, -EINVAL },
		{ F_SEAL_SHRINK, 0 },
		{ F_SEAL_SHRINK | F_SEAL_GROW, 0 },
		{ F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 0 },
		{ F_SEAL_SHRINK | F_SEAL_WRITE, -EINVAL },
		{ F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE, -EINVAL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = memory_create(PAGE, cases[i].seals);
		ck_assert_msg(try(fd, 0, 0, PAGE) == cases[i].ret, "seals 0x%x",
			(unsigned)cases[i].seals);
		close(fd);
	}
}
END_TEST

/*
 * V-2. Wrong contract: an empty item skipped; a list of nothing that is memory of nothing; no
 * limit.
 */
START_TEST(list_checks_each_item) {
	uint32_t limit = (uint32_t)parameter("list_limit", 1024);
	uint32_t fd = (uint32_t)memfd;
	const struct udmabuf_create_item items[] = {
		{ .memfd = fd, .size = PAGE },
		{ .memfd = fd, .size = 0 },
		{ .memfd = (uint32_t)BAD_FD, .size = PAGE },
	};
	ck_assert_int_eq(create_list(0, 0, items, 0), -EINVAL);
	ck_assert_int_eq(create_list(0, 1, &items[1], 1), -EINVAL);
	ck_assert_int_eq(create_list(0, 2, items, 2), -EINVAL);
	ck_assert_int_eq(create_list(0, 1, &items[2], 1), -EBADFD);
	ck_assert_int_eq(create_list(0, limit + 1, items, 1), -EINVAL);
}
END_TEST

/* V-1, V-3. Wrong contract: pages in another order; a page once only; pads that count. */
START_TEST(list_shows_pages_in_its_order) {
	uint32_t fd = (uint32_t)memfd;
	const struct udmabuf_create_item items[] = {
		{ .memfd = fd, .__pad = 7, .offset = 2 * PAGE, .size = PAGE },
		{ .memfd = fd, .offset = 0, .size = 2 * PAGE },
		{ .memfd = fd, .offset = 2 * PAGE, .size = PAGE },
	};
	for (int i = 0; i < PAGES; i++) {
		char byte = (char)('a' + i);
		ck_assert_int_eq(pwrite(memfd, &byte, 1, (off_t)i * PAGE), 1);
	}
	int dma_buf = create_list(UDMABUF_FLAGS_CLOEXEC | 2, 3, items, 3);
	ck_assert_int_ge(dma_buf, 0);
	ck_assert_int_eq(lseek(dma_buf, 0, SEEK_END), 4 * PAGE);
	char *bytes = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, dma_buf, 0);
	ck_assert_ptr_ne(bytes, MAP_FAILED);
	char got[] = { bytes[0], bytes[PAGE], bytes[2 * PAGE], bytes[3 * PAGE], '\0' };
	ck_assert_str_eq(got, "cabc");
	bytes[0] = 'X';
	ck_assert_int_eq(bytes[3 * PAGE], 'X');
	munmap(bytes, 4 * PAGE);
	close(dma_buf);
}
END_TEST

/* V-3. Wrong contract: unknown flags refused; CLOEXEC always. */
START_TEST(one_flag_is_looked_at) {
	struct udmabuf_create create = { .memfd = (uint32_t)memfd, .flags = 0xfe, .size = PAGE };
	int plain = kernel_ioctl(udmabuf, UDMABUF_CREATE, &create);
	ck_assert_int_eq(fcntl(plain, F_GETFD), 0);
	ck_assert_int_eq(fcntl(plain, F_GETFL) & O_ACCMODE, O_RDWR);
	create.flags = 0xff;
	int cloexec = kernel_ioctl(udmabuf, UDMABUF_CREATE, &create);
	ck_assert_int_eq(fcntl(cloexec, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(kernel_ioctl(udmabuf, _IOW('u', 0x44, uint64_t), &create), -ENOTTY);
	close(plain);
	close(cloexec);
}
END_TEST

/* V-4. Wrong contract: a hole that stays one; pages that a punched hole takes from the buffer. */
START_TEST(pages_stay_when_the_file_loses_them) {
	int dma_buf = kernel_udmabuf_create(udmabuf, memfd, BYTES);
	char *bytes = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, dma_buf, 0), got;
	ck_assert_ptr_ne(bytes, MAP_FAILED);
	bytes[PAGE] = 'a';
	ck_assert_int_eq(pread(memfd, &got, 1, PAGE), 1);
	ck_assert_int_eq(got, 'a');
	ck_assert_int_eq(
		fallocate(memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE), 0);
	ck_assert_int_eq(bytes[PAGE], 'a');
	/* The two are parted from now on. */
	ck_assert_int_eq(pread(memfd, &got, 1, PAGE), 1);
	ck_assert_int_eq(got, 0);
	munmap(bytes, BYTES);
	close(dma_buf);
}
END_TEST

/* V-5. Wrong contract: private mappings; an end of what was never begun let pass. */
START_TEST(access_ends_after_its_begin) {
	int dma_buf = kernel_udmabuf_create(udmabuf, memfd, BYTES);
	ck_assert_ptr_eq(mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE, dma_buf, 0), MAP_FAILED);
	ck_assert_int_eq(errno, EINVAL);
	struct dma_buf_sync begin = { .flags = DMA_BUF_SYNC_RW };
	struct dma_buf_sync end = { .flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW };
	ck_assert_int_eq(kernel_ioctl(dma_buf, DMA_BUF_IOCTL_SYNC, &end), -EINVAL);
	ck_assert_int_eq(kernel_ioctl(dma_buf, DMA_BUF_IOCTL_SYNC, &begin), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(kernel_ioctl(dma_buf, DMA_BUF_IOCTL_SYNC, &end), 0);
	}
	close(dma_buf);
}
END_TEST

static Suite *make(void) {
	Suite *suite = suite_create("uapi_udmabuf");
	TCase *tcase = ledger_tcase_create("udmabuf");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, create_checks_numbers_before_descriptors);
	tcase_add_test(tcase, create_takes_memfds_alone);
	tcase_add_test(tcase, create_needs_one_seal_and_refuses_two);
	tcase_add_test(tcase, list_checks_each_item);
	tcase_add_test(tcase, list_shows_pages_in_its_order);
	tcase_add_test(tcase, one_flag_is_looked_at);
	tcase_add_test(tcase, pages_stay_when_the_file_loses_them);
	tcase_add_test(tcase, access_ends_after_its_begin);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	int fd = kernel_open_udmabuf();
	if (fd < 0) {
		printf("no udmabuf: %s\n", strerror(-fd));
		return RUNNER_SKIP;
	}
	close(fd);
	return runner_main(argc, argv, make, NULL);
}
