/* SPDX-License-Identifier: MIT */
/* The backend udmabuf: pages of files in memory as a dma-buf. KERNEL_CONTRACT section 13, and B-5. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/image.h>
#include <stile/resv.h>
#include <stile/udmabuf.h>

#include "interop-tests/kernel/heard.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"
#include "src/os.h"

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
	PAGES = 8, /* of a file */
};

static struct heard heard;
static struct stile_device *device;
static uint64_t page;

static void setup(void) {
	page = os_page_size();
	ck_assert_int_eq(heard_open(&heard, "udmabuf", NULL, STILE_LOG_ERROR, &device), 0);
}

static void teardown(void) {
	failing_set_ioctl(NULL);
	stile_device_destroy(device);
	device = NULL;
}

static uint8_t *map_fd(int fd, uint64_t bytes) {
	void *memory = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	return memory;
}

/* A file whose pages are numbered from `first` on. */
static int make_file(uint8_t first) {
	int fd = memory_create(PAGES * page, F_SEAL_SHRINK);
	uint8_t *memory = map_fd(fd, PAGES * page);
	for (uint64_t i = 0; i < PAGES; i++) {
		memset(memory + i * page, (int)(first + i), page);
	}
	munmap(memory, PAGES * page);
	return fd;
}

static int create(const struct stile_udmabuf_range *ranges, size_t count,
	struct stile_report *report, struct stile_buffer **out) {
	const struct stile_udmabuf_info info = {
		.size = sizeof(info),
		.ranges = ranges,
		.range_count = count,
	};
	return stile_udmabuf_create(device, &info, report, out);
}

static int export(struct stile_buffer *buffer) {
	int fd;
	ck_assert_int_eq(stile_buffer_export_fd(buffer, BOTH, &fd), 0);
	return fd;
}

/* ---- Opening ------------------------------------------------------------------------------- */

START_TEST(options_are_refused) {
	struct stile_device *opened;
	ck_assert_int_eq(heard_open(&heard, "udmabuf", " ", STILE_LOG_ERROR, &opened), 0);
	stile_device_destroy(opened);
	ck_assert_int_eq(
		heard_open(&heard, "udmabuf", " heap=system\n", STILE_LOG_ERROR, &opened), -EINVAL);
	ck_assert_ptr_null(opened);
	heard_check(&heard, "'heap=system' is not understood");
}
END_TEST

static int as_nobody(void) {
	return heard_as_nobody("udmabuf", "/dev/udmabuf");
}

/* Wrong code: a bare number where the user needs to know whom to ask. */
START_TEST(ordinary_user_is_told_who_may) {
	ck_assert_int_eq(runner_reap(runner_spawn("nobody", NULL, 0)), 0);
}
END_TEST

/* ---- Memory of its own --------------------------------------------------------------------- */

/* Among the lowest. None of a dma-buf is inherited. */
static unsigned count_descriptors(void) {
	unsigned count = 0;
	for (int fd = 0; fd < 64; fd++) {
		int flags = fcntl(fd, F_GETFD);
		count += flags >= 0;
		ck_assert(!os_is_dma_buf(fd) || flags == FD_CLOEXEC);
	}
	return count;
}

/* V-4. Wrong code: a memfd that leaves, or that stays open: who has it can part the pages from the dma-buf. */
START_TEST(buffer_is_a_dma_buf_of_zeroes) {
	const struct stile_buffer_info info = {
		.size = sizeof(info),
		.bytes = page + 1,
		.name = "pages",
	};
	struct stile_buffer *buffer;
	unsigned before = count_descriptors();
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	ck_assert_uint_eq(count_descriptors(), before + 1);
	ck_assert_uint_eq(stile_buffer_get_bytes(buffer), 2 * page);
	int fd = export(buffer);
	ck_assert(os_is_dma_buf(fd));
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	uint8_t *raw = map_fd(fd, 2 * page);
	void *memory;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &memory), 0);
	for (uint64_t i = 0; i < 2 * page; i++) {
		ck_assert_uint_eq(raw[i], 0);
	}
	((uint8_t *)memory)[page] = 7;
	ck_assert_uint_eq(raw[page], 7);
	stile_buffer_munmap(buffer, memory);
	munmap(raw, 2 * page);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Limits -------------------------------------------------------------------------------- */

/* One of the module's parameters. Not changed here: other programs run at the same time. */
static uint64_t get_limit(const char *name) {
	char path[64];
	unsigned long long value = 0;
	snprintf(path, sizeof(path), "/sys/module/udmabuf/parameters/%s", name);
	FILE *file = fopen(path, "re");
	runner_require(file != NULL, "%s: %s", path, strerror(errno));
	runner_require(fscanf(file, "%llu", &value) == 1, "%s", path);
	fclose(file);
	return value;
}

/* V-2. Wrong code: the kernel's EINVAL, which says nothing; a limit that is off by a page. */
START_TEST(size_limit_is_told_with_the_numbers) {
	uint64_t limit = get_limit("size_limit_mb") << 20;
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = limit + 1 };
	struct stile_buffer *buffer;
	char says[128];
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), -ERANGE);
	ck_assert_ptr_null(buffer);
	snprintf(says, sizeof(says), "it is more than %" PRIu64 ", which is all", limit);
	heard_check(&heard, says);
	if (limit > UINT64_C(64) << 20) {
		printf("not tested: %" PRIu64 " bytes at once\n", limit);
		return;
	}
	info.bytes = limit;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	stile_buffer_unref(buffer);
	const struct stile_image_info image_info = {
		.size = sizeof(image_info),
		.width = 4097,
		.height = 4096,
		.fourcc = DRM_FORMAT_XRGB8888,
		.usage = BOTH,
		.modifier = DRM_FORMAT_MOD_LINEAR,
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &image_info, &image), -ERANGE);
	/* All together count, each range alone is small enough. */
	int fd = memory_create(limit, F_SEAL_SHRINK);
	const struct stile_udmabuf_range ranges[] = {
		{ .memfd = fd, .bytes = limit },
		{ .memfd = fd, .bytes = page },
	};
	struct stile_report report = { .size = sizeof(report) };
	ck_assert_int_eq(create(ranges, 2, &report, &buffer), -ERANGE);
	ck_assert_int_eq(report.reason, STILE_REASON_MEMORY);
	ck_assert_uint_eq(report.plane, 1);
	ck_assert_uint_eq(report.needed, limit);
	close(fd);
}
END_TEST

/* Exit status RUNNER_SKIP: nobody but root can hide it. */
static int without_sys(void) {
	uint64_t limit = get_limit("size_limit_mb") << 20;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", "/sys", "tmpfs", 0, NULL) < 0) {
		return RUNNER_SKIP;
	}
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = limit + 1 };
	struct stile_buffer *buffer;
	int ret = heard_open(&heard, "udmabuf", NULL, STILE_LOG_ERROR, &device);
	runner_require(ret == 0, "udmabuf: %d", ret);
	ret = stile_buffer_create(device, &info, &buffer);
	runner_require(ret == -EINVAL, "beyond the limit: %d", ret);
	runner_require(strstr(heard.text, "the kernel makes no dma-buf") != NULL, "the log: %s",
		heard.text);
	stile_device_destroy(device);
	return EXIT_SUCCESS;
}

/* V-2. Wrong code: a limit that is guessed, though this kernel may have been given another one. */
START_TEST(limit_that_cannot_be_read_is_the_kernels) {
	int status = runner_reap(runner_spawn("without-sys", NULL, 0));
	ck_assert(status == EXIT_SUCCESS || status == RUNNER_SKIP);
}
END_TEST

/* V-2. Wrong code: a list that the kernel refuses without a word. */
START_TEST(list_limit_is_told_with_the_numbers) {
	size_t limit = (size_t)get_limit("list_limit");
	int fd = make_file(0);
	struct stile_udmabuf_range *ranges = calloc(limit + 1, sizeof(*ranges));
	ck_assert_ptr_nonnull(ranges);
	for (size_t i = 0; i <= limit; i++) {
		ranges[i] = (struct stile_udmabuf_range){ .memfd = fd, .bytes = page };
	}
	struct stile_report report = { .size = sizeof(report) };
	struct stile_buffer *buffer;
	ck_assert_int_eq(create(ranges, limit + 1, &report, &buffer), -EINVAL);
	ck_assert_ptr_null(buffer);
	ck_assert_int_eq(report.reason, STILE_REASON_MEMORY);
	ck_assert_uint_eq(report.needed, limit);
	ck_assert_uint_eq(report.actual, limit + 1);
	ck_assert_int_eq(create(ranges, limit, &report, &buffer), 0);
	ck_assert_uint_eq(stile_buffer_get_bytes(buffer), limit * page);
	stile_buffer_unref(buffer);
	free(ranges);
	close(fd);
}
END_TEST

/* ---- Ranges -------------------------------------------------------------------------------- */

/* V-1. Wrong code: ranges that are sorted, merged, or counted in the wrong unit. */
START_TEST(ranges_are_in_their_order) {
	int one = make_file(10), two = make_file(20);
	const struct {
		int fd;
		uint64_t first, count;
	} wanted[] = {
		{ two, 3, 2 },
		{ one, 0, 1 },
		{ two, 3, 2 }, /* again */
		{ one, 7, 1 },
		{ one, 0, 8 },
		{ two, 0, 1 },
	};
	struct stile_udmabuf_range ranges[ARRAY_LENGTH(wanted)];
	uint8_t expected[32];
	size_t pages = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
		ranges[i] = (struct stile_udmabuf_range){
			.memfd = wanted[i].fd,
			.offset = wanted[i].first * page,
			.bytes = wanted[i].count * page,
		};
		for (uint64_t j = 0; j < wanted[i].count; j++) {
			uint64_t base = wanted[i].fd == one ? 10 : 20;
			expected[pages++] = (uint8_t)(base + wanted[i].first + j);
		}
	}
	struct stile_buffer *buffer;
	ck_assert_int_eq(create(ranges, ARRAY_LENGTH(ranges), NULL, &buffer), 0);
	ck_assert_uint_eq(stile_buffer_get_bytes(buffer), pages * page);
	void *memory;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &memory), 0);
	uint8_t *bytes = memory;
	for (size_t i = 0; i < pages; i++) {
		ck_assert_msg(
			bytes[i * page] == expected[i] && bytes[(i + 1) * page - 1] == expected[i],
			"page %zu: %u instead of %u", i, bytes[i * page], expected[i]);
	}
	/* The pages of the first range are also those of the third, and the file's. */
	bytes[page] = 99;
	uint8_t *file = map_fd(two, PAGES * page);
	ck_assert_uint_eq(bytes[4 * page], 99);
	ck_assert_uint_eq(file[4 * page], 99);
	file[0] = 98;
	ck_assert_uint_eq(bytes[(pages - 1) * page], 98);
	munmap(file, PAGES * page);
	stile_buffer_munmap(buffer, memory);
	close(one);
	close(two);
	stile_buffer_unref(buffer);
}
END_TEST

/* V-4. Wrong code: memory that goes with its file; holes that stay holes. */
START_TEST(pages_outlive_their_file_and_holes_are_filled) {
	int fd = make_file(1);
	ck_assert_int_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)page,
				 (off_t)(2 * page)),
		0);
	const struct stile_udmabuf_range range = { .memfd = fd, .bytes = PAGES * page };
	struct stile_buffer *buffer;
	void *memory;
	ck_assert_int_eq(create(&range, 1, NULL, &buffer), 0);
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &memory), 0);
	uint8_t *bytes = memory, *file = map_fd(fd, PAGES * page);
	ck_assert_uint_eq(bytes[0], 1);
	ck_assert_uint_eq(bytes[page], 0);
	ck_assert_uint_eq(bytes[2 * page], 0);
	ck_assert_uint_eq(bytes[3 * page], 4);
	bytes[page] = 55;
	ck_assert_uint_eq(file[page], 55);
	munmap(file, PAGES * page);
	close(fd);
	ck_assert_uint_eq(bytes[page], 55);
	ck_assert_uint_eq(bytes[7 * page], 8);
	stile_buffer_munmap(buffer, memory);
	stile_buffer_unref(buffer);
}
END_TEST

enum { HUGE_BYTES = 2 << 20 };

static int try_huge_file(void) {
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_HUGE_2MB);
	if (fd < 0) {
		return -1;
	}
	if (fallocate(fd, 0, 0, HUGE_BYTES) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* -1: there are no such pages here. */
static int make_huge_file(void) {
	int fd = try_huge_file();
	FILE *file = fd >= 0 ? NULL : fopen("/proc/sys/vm/nr_hugepages", "we");
	if (file == NULL) {
		return fd;
	}
	fprintf(file, "4\n");
	fclose(file);
	return try_huge_file();
}

/* V-4. Wrong code: ranges of huge pages that have to be whole ones. */
START_TEST(huge_pages_are_taken_in_small_ones) {
	int fd = make_huge_file();
	if (fd < 0) {
		printf("not tested: there are no huge pages: %s\n", strerror(errno));
		return;
	}
	const struct stile_udmabuf_range ranges[] = {
		{ .memfd = fd, .offset = 3 * page, .bytes = page },
		{ .memfd = fd, .offset = 0, .bytes = 2 * page },
	};
	uint8_t *file = map_fd(fd, HUGE_BYTES);
	file[3 * page] = 3;
	file[page] = 1;
	struct stile_buffer *buffer, *whole;
	void *memory;
	ck_assert_int_eq(create(ranges, 2, NULL, &buffer), 0);
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &memory), 0);
	uint8_t *bytes = memory;
	ck_assert_uint_eq(bytes[0], 3);
	ck_assert_uint_eq(bytes[2 * page], 1);
	bytes[2 * page + 1] = 77;
	ck_assert_uint_eq(file[page + 1], 77);
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, BOTH, NULL, &whole), 0);
	ck_assert_uint_eq(stile_buffer_get_bytes(whole), HUGE_BYTES);
	stile_buffer_unref(whole);
	stile_buffer_munmap(buffer, memory);
	stile_buffer_unref(buffer);
	munmap(file, HUGE_BYTES);
	close(fd);
}
END_TEST

/* Wrong code: two reservations where the caller said that it is one memory. */
START_TEST(reservation_is_the_callers) {
	struct stile_resv shared;
	stile_resv_init(&shared);
	int fd = make_file(0);
	const struct stile_udmabuf_range range = { .memfd = fd, .bytes = page };
	const struct stile_udmabuf_info info = {
		.size = sizeof(info),
		.ranges = &range,
		.range_count = 1,
		.name = "shared",
		.resv = &shared,
	};
	struct stile_buffer *one, *two;
	char name[STILE_BUFFER_NAME_BYTES];
	ck_assert_int_eq(stile_udmabuf_create(device, &info, NULL, &one), 0);
	ck_assert_int_eq(stile_udmabuf_create(device, &info, NULL, &two), 0);
	ck_assert_ptr_ne(one, two);
	ck_assert_ptr_eq(stile_buffer_get_resv(one), &shared);
	ck_assert_ptr_eq(stile_buffer_get_resv(two), &shared);
	stile_buffer_get_name(one, name);
	ck_assert_str_eq(name, "shared");
	stile_buffer_unref(one);
	stile_buffer_unref(two);
	close(fd);
	stile_resv_fini(&shared);
}
END_TEST

/* ---- What the kernel would refuse ---------------------------------------------------------- */

enum spoil {
	FD_CLOSED,
	FD_NULL,
	FD_DMA_BUF,
	FD_READ_ONLY,
	FD_WRITE_ONLY,
	FD_PATH,
	UNSEALED,
	SEALED_WRITE,
	SEALED_FUTURE_WRITE,
	OFFSET_ONE,
	BYTES_ONE_MORE,
	BYTES_0,
	END_BEHIND,
	OFFSET_BEHIND,
	OFFSET_WRAPS,
	BYTES_HUGE,
};

static const struct {
	enum spoil what;
	const char *name;
	int ret;
	enum stile_reason reason;
	const char *says;
} spoils[] = {
	{ FD_CLOSED, "closed", -EBADF, STILE_REASON_FD_CLOSED, "is not open" },
	{ FD_PATH, "O_PATH", -EBADF, STILE_REASON_FD_CLOSED, "is not open" },
	{ FD_NULL, "/dev/null", -EINVAL, STILE_REASON_FD_TYPE, "is a character device" },
	{ FD_DMA_BUF, "dma-buf", -EINVAL, STILE_REASON_FD_TYPE, "is a dma-buf" },
	{ FD_READ_ONLY, "O_RDONLY", -EACCES, STILE_REASON_FD_ACCESS, "is read-only" },
	{ FD_WRITE_ONLY, "O_WRONLY", -EACCES, STILE_REASON_FD_ACCESS, "is write-only" },
	{ UNSEALED, "no F_SEAL_SHRINK", -EPERM, STILE_REASON_FD_SEALS, "without F_SEAL_SHRINK" },
	{ SEALED_WRITE, "F_SEAL_WRITE", -EACCES, STILE_REASON_FD_SEALS, "F_SEAL_WRITE" },
	{ SEALED_FUTURE_WRITE, "F_SEAL_FUTURE_WRITE", -EACCES, STILE_REASON_FD_SEALS,
		"F_SEAL_FUTURE_WRITE" },
	{ OFFSET_ONE, "offset 1", -EINVAL, STILE_REASON_OFFSET, "offset 1 is not at a page" },
	{ BYTES_ONE_MORE, "a byte more", -EINVAL, STILE_REASON_BOUNDS, "not whole pages" },
	{ BYTES_0, "no bytes", -EINVAL, STILE_REASON_BOUNDS, "0 bytes: not whole pages" },
	{ END_BEHIND, "a page behind the end", -ERANGE, STILE_REASON_BOUNDS,
		"are not in the file" },
	{ OFFSET_BEHIND, "behind the end", -ERANGE, STILE_REASON_BOUNDS, "are not in the file" },
	{ OFFSET_WRAPS, "offset that wraps", -ERANGE, STILE_REASON_BOUNDS, "are not in the file" },
	{ BYTES_HUGE, "all bytes", -ERANGE, STILE_REASON_MEMORY, "all that the kernel takes" },
};

/* The range, in a file of its own, and that file again, whole: -1, if it is closed. */
static struct stile_udmabuf_range spoilt_range(enum spoil what, int *file) {
	int seals = F_SEAL_SHRINK;
	seals = what == UNSEALED ? F_SEAL_GROW : seals;
	seals |= what == SEALED_WRITE ? F_SEAL_WRITE : 0;
	seals |= what == SEALED_FUTURE_WRITE ? F_SEAL_FUTURE_WRITE : 0;
	int fd = memory_create(PAGES * page, seals), other = -1;
	struct stile_udmabuf_range range = { .bytes = PAGES * page };
	switch (what) {
	case FD_CLOSED:
		other = memory_closed_fd();
		break;
	case FD_NULL:
		other = open("/dev/null", O_RDWR | O_CLOEXEC);
		break;
	case FD_DMA_BUF: {
		const struct stile_udmabuf_range good = { .memfd = fd, .bytes = page };
		struct stile_buffer *buffer;
		ck_assert_int_eq(create(&good, 1, NULL, &buffer), 0);
		other = export(buffer);
		stile_buffer_unref(buffer);
		break;
	}
	case FD_READ_ONLY:
		other = memory_reopen(fd, O_RDONLY);
		break;
	case FD_WRITE_ONLY:
		other = memory_reopen(fd, O_WRONLY);
		break;
	case FD_PATH:
		other = memory_reopen(fd, O_PATH);
		break;
	case OFFSET_ONE:
		range.offset = 1;
		range.bytes = page;
		break;
	case BYTES_ONE_MORE:
		range.bytes = page + 1;
		break;
	case BYTES_0:
		range.bytes = 0;
		break;
	case END_BEHIND:
		range.offset = page;
		break;
	case OFFSET_BEHIND:
		range.offset = (PAGES + 1) * page;
		break;
	case OFFSET_WRAPS:
		range.offset = UINT64_MAX - page + 1;
		break;
	case BYTES_HUGE:
		range.bytes = UINT64_MAX - page + 1;
		break;
	case UNSEALED:
	case SEALED_WRITE:
	case SEALED_FUTURE_WRITE:
		break;
	}
	if (other >= 0) {
		close(fd);
		fd = other;
	}
	range.memfd = fd;
	*file = what == FD_CLOSED ? -1 : fd;
	return range;
}

static int no_ioctl(int fd, unsigned long request, void *arg) {
	(void)fd;
	(void)request;
	(void)arg;
	ck_abort_msg("the kernel is asked");
}

/*
 * V-2. Wrong code: what the kernel answers, which is EINVAL for nearly everything; the wrong range named; a
 * dma-buf that may be written, of a file that may only be read.
 */
START_TEST(bad_range_is_refused_with_the_reason) {
	int good = make_file(0), file;
	const struct stile_udmabuf_range ranges[] = {
		{ .memfd = good, .bytes = page },
		spoilt_range(spoils[_i].what, &file),
		{ .memfd = good, .bytes = page },
	};
	struct stile_report report = { .size = sizeof(report) };
	struct stile_buffer *buffer;
	failing_set_ioctl(no_ioctl);
	int ret = create(ranges, ARRAY_LENGTH(ranges), &report, &buffer);
	failing_set_ioctl(NULL);
	ck_assert_msg(ret == spoils[_i].ret, "%s: %d, '%s'", spoils[_i].name, ret, report.text);
	ck_assert_ptr_null(buffer);
	ck_assert_msg(report.reason == spoils[_i].reason, "%s: reason %d, '%s'", spoils[_i].name,
		(int)report.reason, report.text);
	ck_assert_uint_eq(report.plane, 1);
	ck_assert_msg(strstr(report.text, spoils[_i].says) != NULL, "%s: '%s'", spoils[_i].name,
		report.text);
	heard_check(&heard, report.text);
	close(good);
	if (file >= 0) {
		close(file);
	}
}
END_TEST

/* Wrong code: an empty list, another device, or a struct of the future taken. */
START_TEST(impossible_call_is_refused) {
	int fd = make_file(0);
	const struct stile_udmabuf_range range = { .memfd = fd, .bytes = page };
	struct {
		struct stile_udmabuf_info known;
		uint64_t more;
	} newer = { { sizeof(newer), &range, 1, NULL, NULL }, 1 };
	const struct stile_udmabuf_info unnamed = { 0, &range, 1, NULL, NULL };
	const struct stile_udmabuf_info good = { sizeof(good), &range, 1, NULL, NULL };
	const struct stile_udmabuf_info long_name = { sizeof(long_name), &range, 1,
		"a name of exactly 32 bytes......", NULL };
	struct stile_device *swgpu;
	struct stile_report report = { .size = sizeof(report) };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_udmabuf_create(device, &newer.known, &report, &buffer), -E2BIG);
	ck_assert_int_eq(stile_udmabuf_create(device, &unnamed, &report, &buffer), -EINVAL);
	ck_assert_int_eq(stile_udmabuf_create(device, &long_name, &report, &buffer), -EINVAL);
	ck_assert_int_eq(report.reason, STILE_REASON_CALLER);
	ck_assert_ptr_nonnull(strstr(report.text, "more than 31 bytes"));
	ck_assert_int_eq(create(&range, 0, &report, &buffer), -EINVAL);
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &swgpu), 0);
	ck_assert_int_eq(stile_udmabuf_create(swgpu, &good, &report, &buffer), -EINVAL);
	ck_assert_int_eq(report.reason, STILE_REASON_CALLER);
	ck_assert_ptr_null(buffer);
	stile_device_destroy(swgpu);
	close(fd);
}
END_TEST

/* ---- Importing a file in memory ------------------------------------------------------------ */

/* B-5, V-1. Wrong code: a second dma-buf of the same file, with a reservation that knows nothing of the first. */
START_TEST(file_and_its_dma_buf_are_one_object) {
	int file = make_file(1), copy = os_dup(file);
	struct stile_buffer *buffer, *again;
	ck_assert_int_eq(stile_buffer_import_fd(device, file, BOTH, NULL, &buffer), 0);
	ck_assert_uint_eq(stile_buffer_get_bytes(buffer), PAGES * page);
	close(file);
	ck_assert_int_eq(stile_buffer_import_fd(device, copy, READ, NULL, &again), 0);
	ck_assert_ptr_eq(again, buffer);
	stile_buffer_unref(again);
	int fd = export(buffer);
	ck_assert(os_is_dma_buf(fd));
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, BOTH, NULL, &again), 0);
	ck_assert_ptr_eq(again, buffer);
	stile_buffer_unref(again);
	struct stile_device *swgpu;
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &swgpu), 0);
	ck_assert_int_eq(stile_buffer_import_fd(swgpu, copy, BOTH, NULL, &again), 0);
	ck_assert_ptr_eq(again, buffer);
	stile_buffer_unref(again);
	stile_device_destroy(swgpu);
	uint8_t *bytes = map_fd(fd, PAGES * page), *memory = map_fd(copy, PAGES * page);
	ck_assert_uint_eq(bytes[2 * page], 3);
	bytes[0] = 42;
	ck_assert_uint_eq(memory[0], 42);
	munmap(bytes, PAGES * page);
	munmap(memory, PAGES * page);
	stile_buffer_unref(buffer);
	/* Both are forgotten. */
	ck_assert_int_eq(stile_buffer_import_fd(device, copy, BOTH, NULL, &again), 0);
	int other = export(again);
	struct stat one, two;
	ck_assert_int_eq(fstat(fd, &one), 0);
	ck_assert_int_eq(fstat(other, &two), 0);
	ck_assert_uint_ne(one.st_ino, two.st_ino);
	stile_buffer_unref(again);
	close(other);
	close(fd);
	close(copy);
}
END_TEST

static struct {
	int file;
	unsigned makers; /* by atomic access */
} race;

/* The second comes before the first goes on; where that cannot be, the first does so after two seconds. */
static int create_together(int fd, unsigned long request, void *arg) {
	if (_IOC_TYPE(request) == 'u') {
		__atomic_add_fetch(&race.makers, 1, __ATOMIC_SEQ_CST);
		for (int i = 0; i < 2000 && __atomic_load_n(&race.makers, __ATOMIC_SEQ_CST) < 2;
			i++) {
			runner_sleep_ms(1);
		}
	}
	return failing_real_ioctl(fd, request, arg);
}

static void *import_run(void *user) {
	int ret = stile_buffer_import_fd(device, race.file, BOTH, NULL, user);
	runner_require(ret == 0, "import: %d", ret);
	return NULL;
}

/* B-5. Wrong code: two threads that find no object both make one; the second stays, or takes the first along. */
START_TEST(threads_import_one_object) {
	struct stile_buffer *here, *there, *again;
	pthread_t thread;
	race.file = make_file(1);
	race.makers = 0;
	failing_set_ioctl(create_together);
	ck_assert_int_eq(pthread_create(&thread, NULL, import_run, &there), 0);
	import_run(&here);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_ptr_eq(here, there);
	stile_buffer_unref(there);
	ck_assert_int_eq(stile_buffer_import_fd(device, race.file, BOTH, NULL, &again), 0);
	ck_assert_ptr_eq(again, here);
	stile_buffer_unref(again);
	stile_buffer_unref(here);
	close(race.file);
}
END_TEST

/* How many descriptors, among the lowest, are of that file. */
static unsigned count_of_file(const struct stat *file) {
	unsigned count = 0;
	for (int fd = 0; fd < 64; fd++) {
		struct stat st;
		count += fstat(fd, &st) == 0 && st.st_dev == file->st_dev &&
			st.st_ino == file->st_ino;
	}
	return count;
}

/*
 * V-4: a dma-buf keeps the pages of a file, not the file. Wrong code: its number known when the file is gone; the
 * next file may have it (hugetlbfs, and kernels whose numbers have 32 bits), and is taken for that buffer.
 */
START_TEST(file_lives_as_long_as_it_is_known) {
	int file = make_file(1);
	struct stat st;
	ck_assert_int_eq(fstat(file, &st), 0);
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_import_fd(device, file, BOTH, NULL, &buffer), 0);
	close(file);
	ck_assert_uint_eq(count_of_file(&st), 1);
	close(export(buffer));
	ck_assert_uint_eq(count_of_file(&st), 1);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(count_of_file(&st), 0);
}
END_TEST

/* Wrong code: rights that a descriptor gets because another one had them. */
START_TEST(known_file_has_the_rights_of_its_descriptor) {
	int file = make_file(1), read_only = memory_reopen(file, O_RDONLY);
	struct stile_buffer *buffer, *again;
	ck_assert_int_eq(stile_buffer_import_fd(device, file, BOTH, NULL, &buffer), 0);
	ck_assert_int_eq(stile_buffer_import_fd(device, read_only, BOTH, NULL, &again), -EACCES);
	ck_assert_int_eq(stile_buffer_import_fd(device, read_only, READ, NULL, &again), 0);
	ck_assert_ptr_eq(again, buffer);
	stile_buffer_unref(again);
	stile_buffer_unref(buffer);
	close(read_only);
	close(file);
}
END_TEST

/* Wrong code: seals that are looked at once, though more can be added. */
START_TEST(file_that_is_sealed_later_is_read_only) {
	int file = make_file(1);
	struct stile_buffer *buffer, *again;
	ck_assert_int_eq(stile_buffer_import_fd(device, file, BOTH, NULL, &buffer), 0);
	ck_assert_int_eq(fcntl(file, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	ck_assert_int_eq(stile_buffer_import_fd(device, file, BOTH, NULL, &again), -EACCES);
	ck_assert_int_eq(stile_buffer_import_fd(device, file, READ, NULL, &again), 0);
	ck_assert_ptr_eq(again, buffer);
	stile_buffer_unref(again);
	stile_buffer_unref(buffer);
	close(file);
}
END_TEST

enum { NOT_WHOLE_PAGES, EMPTY, BAD_FILES };

/* V-2. Wrong code: a file that is taken in part; the kernel's EINVAL. */
START_TEST(file_that_is_no_buffer_is_refused) {
	static const uint64_t sizes[] = { [NOT_WHOLE_PAGES] = 5000, [EMPTY] = 0 };
	int fd = memory_create(sizes[_i], F_SEAL_SHRINK);
	struct stile_report report = { .size = sizeof(report) };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, BOTH, &report, &buffer), -EINVAL);
	ck_assert_ptr_null(buffer);
	ck_assert_int_eq(report.reason, STILE_REASON_BOUNDS);
	ck_assert_ptr_nonnull(strstr(report.text, "plane 0: "));
	close(fd);
}
END_TEST

/* The same, of a range. */
START_TEST(bad_file_is_refused_with_the_reason) {
	/* What is wrong with the numbers, a whole file cannot have. */
	if (spoils[_i].what >= OFFSET_ONE || spoils[_i].what == FD_DMA_BUF) {
		return;
	}
	int file;
	struct stile_udmabuf_range range = spoilt_range(spoils[_i].what, &file);
	struct stile_report report = { .size = sizeof(report) };
	struct stile_buffer *buffer;
	int ret = stile_buffer_import_fd(device, range.memfd, READ, &report, &buffer);
	ck_assert_msg(ret == spoils[_i].ret, "%s: %d, '%s'", spoils[_i].name, ret, report.text);
	ck_assert_ptr_null(buffer);
	ck_assert_msg(report.reason == spoils[_i].reason, "%s: reason %d, '%s'", spoils[_i].name,
		(int)report.reason, report.text);
	if (file >= 0) {
		close(file);
	}
}
END_TEST

/* ---- The kernel as it is not expected ------------------------------------------------------ */

static int error_of_create;

static int fail_create(int fd, unsigned long request, void *arg) {
	if (_IOC_TYPE(request) == 'u') {
		errno = error_of_create;
		error_of_create = 0;
		return -1;
	}
	return failing_real_ioctl(fd, request, arg);
}

static int fail_create_once(int fd, unsigned long request, void *arg) {
	return error_of_create == 0 ? failing_real_ioctl(fd, request, arg)
				    : fail_create(fd, request, arg);
}

/* Wrong code: an answer that no caller knows (EBADFD); an interruption that the caller hears of; told twice. */
START_TEST(errors_of_the_kernel_are_passed_on) {
	static const struct {
		int error, ret;
	} cases[] = {
		{ EINVAL, -EINVAL },
		{ EBADFD, -EBADF },
		{ ENOMEM, -ENOMEM },
		{ EMFILE, -EMFILE },
	};
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = page };
	struct stile_buffer *buffer;
	failing_set_ioctl(fail_create);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		error_of_create = cases[i].error;
		ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), cases[i].ret);
		heard_check(&heard, "the kernel makes no dma-buf of 1 range,");
	}
	int file = make_file(0);
	const struct stile_udmabuf_range range = { .memfd = file, .bytes = page };
	struct stile_report report = { .size = sizeof(report) };
	error_of_create = EMFILE;
	ck_assert_int_eq(create(&range, 1, &report, &buffer), -EMFILE);
	ck_assert_ptr_nonnull(strstr(report.text, "the kernel makes no dma-buf of 1 range,"));
	ck_assert_uint_eq(heard.count, 1);
	close(file);
	failing_set_ioctl(fail_create_once);
	error_of_create = EINTR;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	stile_buffer_unref(buffer);
}
END_TEST

static unsigned asked;

static int count_ioctl(int fd, unsigned long request, void *arg) {
	asked++;
	return failing_real_ioctl(fd, request, arg);
}

/* V-5. Wrong code: a system call for what only this process knows; an end whose beginning nobody told, or none. */
START_TEST(bracket_costs_nothing_until_a_dma_buf_is_shown) {
	int file = make_file(0);
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_import_fd(device, file, BOTH, NULL, &buffer), 0);
	asked = 0;
	failing_set_ioctl(count_ioctl);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, BOTH, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, BOTH), 0);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, BOTH, 0, NULL), 0);
	ck_assert_uint_eq(asked, 0);
	int fd = export(buffer);
	ck_assert_uint_eq(asked, 1);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, BOTH), 0);
	ck_assert_uint_eq(asked, 2);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, BOTH, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, BOTH), 0);
	ck_assert_uint_ge(asked, 4);
	close(fd);
	close(file);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Failing ------------------------------------------------------------------------------- */

struct sweep {
	struct stile_device *opened;
	struct stile_buffer *buffer;
	int file;
};

static int sweep_open(void *user) {
	struct sweep *sweep = user;
	return stile_device_open("udmabuf", NULL, &sweep->opened);
}

static int sweep_create(void *user) {
	struct sweep *sweep = user;
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = 1 };
	return stile_buffer_create(device, &info, &sweep->buffer);
}

static int sweep_import(void *user) {
	struct sweep *sweep = user;
	struct stile_report report = { .size = sizeof(report) };
	return stile_buffer_import_fd(device, sweep->file, BOTH, &report, &sweep->buffer);
}

static int sweep_ranges(void *user) {
	struct sweep *sweep = user;
	const struct stile_udmabuf_range ranges[] = {
		{ .memfd = sweep->file, .bytes = page },
		{ .memfd = sweep->file, .offset = page, .bytes = page },
	};
	return create(ranges, ARRAY_LENGTH(ranges), NULL, &sweep->buffer);
}

static void after(void *user, int ret) {
	struct sweep *sweep = user;
	(void)ret;
	stile_device_destroy(sweep->opened);
	stile_buffer_unref(sweep->buffer);
	sweep->opened = NULL;
	sweep->buffer = NULL;
}

/* Wrong code: an allocation that is not looked at, a descriptor that stays. */
START_TEST(nothing_stays_of_what_failed) {
	static const int resources[] = { -ENOMEM, -EMFILE, 0 };
	struct sweep sweep = { .file = make_file(0) };
	ck_assert_uint_ge(failing_sweep(sweep_open, after, &sweep, resources), 3);
	ck_assert_uint_ge(failing_sweep(sweep_create, after, &sweep, resources), 5);
	ck_assert_uint_ge(failing_sweep(sweep_import, after, &sweep, resources), 5);
	ck_assert_uint_ge(failing_sweep(sweep_ranges, after, &sweep, resources), 4);
	close(sweep.file);
}
END_TEST

/* ---- A machine without it ------------------------------------------------------------------ */

/* Wrong code: an error that does not say what is missing. */
START_TEST(machine_without_udmabuf_says_so) {
	struct stile_device *opened;
	ck_assert_int_eq(heard_open(&heard, "udmabuf", NULL, STILE_LOG_ERROR, &opened), -ENODEV);
	ck_assert_ptr_null(opened);
	heard_check(&heard, "there is no /dev/udmabuf here");
}
END_TEST

static Suite *suite_without(void) {
	Suite *s = suite_create("udmabuf, without it");
	TCase *tcase = ledger_tcase_create("opening");
	tcase_add_test(tcase, machine_without_udmabuf_says_so);
	suite_add_tcase(s, tcase);
	return s;
}

static void add_own(Suite *s) {
	TCase *tcase = ledger_tcase_create("own memory");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, options_are_refused);
	tcase_add_test(tcase, ordinary_user_is_told_who_may);
	tcase_add_test(tcase, buffer_is_a_dma_buf_of_zeroes);
	tcase_add_test(tcase, size_limit_is_told_with_the_numbers);
	tcase_add_test(tcase, limit_that_cannot_be_read_is_the_kernels);
	tcase_add_test(tcase, errors_of_the_kernel_are_passed_on);
	tcase_add_test(tcase, bracket_costs_nothing_until_a_dma_buf_is_shown);
	tcase_add_test(tcase, nothing_stays_of_what_failed);
	suite_add_tcase(s, tcase);
}

static void add_ranges(Suite *s) {
	TCase *tcase = ledger_tcase_create("ranges");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, list_limit_is_told_with_the_numbers);
	tcase_add_test(tcase, ranges_are_in_their_order);
	tcase_add_test(tcase, pages_outlive_their_file_and_holes_are_filled);
	tcase_add_test(tcase, huge_pages_are_taken_in_small_ones);
	tcase_add_test(tcase, reservation_is_the_callers);
	tcase_add_loop_test(
		tcase, bad_range_is_refused_with_the_reason, 0, (int)ARRAY_LENGTH(spoils));
	tcase_add_test(tcase, impossible_call_is_refused);
	suite_add_tcase(s, tcase);
}

static Suite *suite(void) {
	Suite *s = suite_create("udmabuf");
	add_own(s);
	add_ranges(s);
	TCase *files = ledger_tcase_create("files");
	tcase_add_checked_fixture(files, setup, teardown);
	tcase_add_test(files, file_and_its_dma_buf_are_one_object);
	tcase_add_test(files, threads_import_one_object);
	tcase_add_test(files, file_lives_as_long_as_it_is_known);
	tcase_add_test(files, known_file_has_the_rights_of_its_descriptor);
	tcase_add_test(files, file_that_is_sealed_later_is_read_only);
	tcase_add_loop_test(files, file_that_is_no_buffer_is_refused, 0, BAD_FILES);
	tcase_add_loop_test(
		files, bad_file_is_refused_with_the_reason, 0, (int)ARRAY_LENGTH(spoils));
	suite_add_tcase(s, files);
	return s;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = { { "nobody", as_nobody },
		{ "without-sys", without_sys }, { NULL, NULL } };
	if (access("/dev/udmabuf", F_OK) == 0) {
		return runner_main(argc, argv, suite, roles);
	}
	int ret = runner_main(argc, argv, suite_without, NULL);
	if (ret != EXIT_SUCCESS) {
		return ret;
	}
	printf("skipped: there is no /dev/udmabuf here\n");
	return RUNNER_SKIP;
}
