/* SPDX-License-Identifier: MIT */
/*
 * The backend dmabuf over dma-heaps, and dma-bufs that are imported to any device: KERNEL_CONTRACT B-5, P-5, D-1,
 * D-4, D-5, H-1. What the kernel knows of their users: test_dmabuf_resv.c; memory of an application's:
 * test_dmabuf_allocator.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <stile/attachment.h>
#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/image.h>
#include <stile/resv.h>
#include <stile/swgpu.h>

#include "interop-tests/kernel/heard.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/vgem.h"
#include "src/macros.h"
#include "src/os.h"

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
	PAGES = 4,
};

static const char heaps[] = "/dev/dma_heap";

static struct heard heard;
static struct stile_device *device;
static uint64_t page;

static void setup(void) {
	page = os_page_size();
	ck_assert_int_eq(heard_open(&heard, "dmabuf", NULL, STILE_LOG_ERROR, &device), 0);
}

/* Mappings are no descriptors, and keep memory as well. */
static void check_nothing_is_mapped(void) {
	char line[512];
	FILE *file = fopen("/proc/self/maps", "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		ck_assert_msg(strstr(line, "/dmabuf:") == NULL, "still mapped: %s", line);
	}
	fclose(file);
}

static void teardown(void) {
	failing_set_ioctl(NULL);
	stile_device_destroy(device);
	device = NULL;
	check_nothing_is_mapped();
}

static bool is_open_for_heirs(int fd) {
	int flags = fcntl(fd, F_GETFD);
	return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

static struct stile_buffer *create(const char *name) {
	const struct stile_buffer_info info = {
		.size = sizeof(info),
		.bytes = PAGES * page,
		.name = name,
	};
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	return buffer;
}

static int export(struct stile_buffer *buffer, uint32_t usage) {
	int fd;
	ck_assert_int_eq(stile_buffer_export_fd(buffer, usage, &fd), 0);
	return fd;
}

/* A dma-buf of somebody else's, with the rights of open(). */
static int foreign_dma_buf(uint64_t bytes, uint32_t access) {
	int heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);
	struct dma_heap_allocation_data args = { .len = bytes, .fd_flags = access | O_CLOEXEC };
	int ret = ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &args);
	runner_require(ret == 0, "no dma-buf: %s", strerror(errno));
	close(heap);
	return (int)args.fd;
}

/* ---- Opening ------------------------------------------------------------------------------- */

/* Wrong code: words of the options that are compared too strictly, or not at all. */
START_TEST(heap_is_chosen_by_option) {
	static const char *const good[] = { "", " \n", "heap=system", " heap=system\n" };
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		struct stile_device *opened;
		ck_assert_int_eq(
			heard_open(&heard, "dmabuf", good[i], STILE_LOG_ERROR, &opened), 0);
		heard_nothing(&heard);
		stile_device_destroy(opened);
	}
}
END_TEST

/* H-3. Wrong code: a path that leaves the directory of heaps; a name that is cut. */
START_TEST(option_that_is_no_heap_is_refused) {
	char longest[300] = "heap=";
	memset(longest + 5, 'a', sizeof(longest) - 6);
	const struct {
		const char *options;
		int ret;
		const char *says;
	} cases[] = {
		{ "heap=", -EINVAL, "heap=NAME" },
		{ "heaps=system", -EINVAL, "'heaps=system' is not understood" },
		{ " system\n", -EINVAL, "'system' is not understood" },
		{ "heap=../udmabuf", -EINVAL, "'../udmabuf' cannot be a dma-heap" },
		{ "heap=/dev/udmabuf", -EINVAL, "cannot be a dma-heap" },
		{ "heap=.", -EINVAL, "cannot be a dma-heap" },
		{ "heap=system other", -EINVAL, "cannot be a dma-heap" },
		{ longest, -EINVAL, "heap=aaa" },
		{ "heap=nowhere", -ENOENT, "no dma-heap 'nowhere'; there are: system" },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct stile_device *opened = device;
		int ret = heard_open(&heard, "dmabuf", cases[i].options, STILE_LOG_ERROR, &opened);
		ck_assert_msg(ret == cases[i].ret, "%s: %d", cases[i].options, ret);
		ck_assert_ptr_null(opened);
		heard_check(&heard, cases[i].says);
	}
}
END_TEST

static int as_nobody(void) {
	return heard_as_nobody("dmabuf", "/dev/dma_heap/system");
}

/* Wrong code: a bare number where the user needs to know whom to ask. */
START_TEST(ordinary_user_is_told_who_may) {
	ck_assert_int_eq(runner_reap(runner_spawn("nobody", NULL, 0)), 0);
}
END_TEST

/* Wrong code: a crash where there are no engines to map for. */
START_TEST(device_without_engines_is_not_attached) {
	struct stile_buffer *buffer = create(NULL);
	const struct stile_attach_info info = {
		.size = sizeof(info),
		.device = device,
		.usage = READ,
	};
	struct stile_report report = { .size = sizeof(report) };
	struct stile_attachment *attachment;
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, &report, &attachment), -EOPNOTSUPP);
	ck_assert_int_eq(report.reason, STILE_REASON_DRIVER);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Allocating ---------------------------------------------------------------------------- */

static bool is_zeroed(const uint8_t *memory, uint64_t bytes) {
	for (uint64_t i = 0; i < bytes; i++) {
		if (memory[i] != 0) {
			return false;
		}
	}
	return true;
}

/* H-1, D-1. Wrong code: memory of a memfd; a size that is not rounded as the kernel does. */
START_TEST(buffer_is_a_dma_buf_of_zeroes) {
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = page + 1 };
	struct stile_buffer *buffer;
	void *memory;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	ck_assert_uint_eq(stile_buffer_get_bytes(buffer), 2 * page);
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &memory), 0);
	ck_assert(is_zeroed(memory, 2 * page));
	int fd = export(buffer, BOTH);
	ck_assert(os_is_dma_buf(fd));
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), (off_t)(2 * page));
	close(fd);
	stile_buffer_munmap(buffer, memory);
	stile_buffer_unref(buffer);
}
END_TEST

/* B-2. Wrong code: memory, or the right to allocate some, that goes to each program which is started. */
START_TEST(no_descriptor_is_inherited) {
	enum { LOOKED_AT = 64 };
	bool before[LOOKED_AT];
	for (int fd = 0; fd < LOOKED_AT; fd++) {
		before[fd] = is_open_for_heirs(fd);
	}
	struct stile_device *opened;
	ck_assert_int_eq(stile_device_open("dmabuf", NULL, &opened), 0);
	struct stile_buffer *buffer = create(NULL), *imported;
	int fd = foreign_dma_buf(page, O_RDWR);
	ck_assert_int_eq(stile_buffer_import_fd(opened, fd, READ, NULL, &imported), 0);
	for (int i = 0; i < LOOKED_AT; i++) {
		ck_assert_msg(is_open_for_heirs(i) == before[i], "descriptor %d", i);
	}
	close(fd);
	stile_buffer_unref(imported);
	stile_buffer_unref(buffer);
	stile_device_destroy(opened);
}
END_TEST

/* P-4, P-5. Wrong code: a private mapping; an offset that is not passed on. */
START_TEST(all_mappings_show_the_same_bytes) {
	struct stile_buffer *buffer = create(NULL);
	int fd = export(buffer, BOTH);
	uint8_t *raw = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(raw, MAP_FAILED);
	void *whole, *part;
	struct stile_map map;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &whole), 0);
	ck_assert_int_eq(stile_buffer_mmap_range(buffer, READ, 2 * page, page, &part), 0);
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	raw[2 * page] = 1;
	ck_assert_uint_eq(((uint8_t *)whole)[2 * page], 1);
	ck_assert_uint_eq(((uint8_t *)part)[0], 1);
	ck_assert_uint_eq(((uint8_t *)map.address)[2 * page], 1);
	((uint8_t *)map.address)[2 * page] = 2;
	ck_assert_uint_eq(raw[2 * page], 2);
	stile_buffer_vunmap_unlocked(buffer, &map);
	stile_buffer_munmap(buffer, part);
	stile_buffer_munmap(buffer, whole);
	munmap(raw, PAGES * page);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* P-4. Wrong code: the offset is left to drivers, of which those of GEM do not look at it. */
START_TEST(mapping_of_a_part_is_of_that_part) {
	int vgem = vgem_open();
	if (vgem < 0) {
		return; /* Elsewhere drivers look at it. */
	}
	int fd = vgem_dma_buf(vgem, PAGES * page);
	ck_assert_int_ge(fd, 0);
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, BOTH, NULL, &buffer), 0);
	void *whole, *part, *again;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &whole), 0);
	ck_assert_int_eq(stile_buffer_mmap_range(buffer, BOTH, page, page, &part), 0);
	ck_assert_int_eq(stile_buffer_mmap_range(buffer, BOTH, page, 2 * page, &again), 0);
	((uint8_t *)whole)[page] = 1;
	((uint8_t *)whole)[2 * page] = 2;
	ck_assert_uint_eq(((uint8_t *)part)[0], 1);
	stile_buffer_munmap(buffer, part);
	ck_assert_uint_eq(((uint8_t *)again)[page], 2);
	stile_buffer_munmap(buffer, again);
	stile_buffer_munmap(buffer, whole);
	stile_buffer_unref(buffer);
	close(fd);
	close(vgem);
}
END_TEST

/*
 * H-1. Wrong code: a failure without the numbers, which is where people begin to guess; asking a kernel that
 * kills processes until it has found so much (6.12 does so for any size).
 */
START_TEST(exhausted_heap_is_told_with_the_numbers) {
	struct sysinfo machine;
	ck_assert_int_eq(sysinfo(&machine), 0);
	const uint64_t sizes[] = {
		UINT64_C(1) << 40,
		((uint64_t)machine.totalram * machine.mem_unit) & ~(page - 1),
		INT64_MAX & ~(page - 1),
	};
	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		const struct stile_buffer_info info = { .size = sizeof(info), .bytes = sizes[i] };
		struct stile_buffer *buffer = NULL;
		char says[64];
		ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), -ENOMEM);
		ck_assert_ptr_null(buffer);
		snprintf(says, sizeof(says), "dma-heap system: no %" PRIu64 " bytes", sizes[i]);
		heard_check(&heard, says);
	}
	struct stile_buffer *buffer = create(NULL);
	heard_nothing(&heard);
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: a name that is too long, and memory that stays when it is refused. */
START_TEST(name_that_is_too_long_leaves_nothing) {
	const struct stile_buffer_info info = {
		.size = sizeof(info),
		.bytes = page,
		.name = "a name of exactly 32 bytes......",
	};
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), -EINVAL);
	ck_assert_ptr_null(buffer);
}
END_TEST

/* What the kernel says of a dma-buf, in /proc/self/fdinfo (B-7); empty: it has no name. */
static void read_name(int fd, char name[64]) {
	char path[64], line[256];
	name[0] = '\0';
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		sscanf(line, "name:\t%63[^\n]", name);
	}
	fclose(file);
}

static void check_name(int fd, const char *expected) {
	char name[64];
	read_name(fd, name);
	ck_assert_str_eq(name, expected);
}

/* D-5, B-7. Wrong code: a name that only this process knows; one that is not taken away. */
START_TEST(kernel_knows_the_name) {
	struct stile_buffer *buffer = create("first");
	int fd = export(buffer, READ);
	check_name(fd, "first");
	ck_assert_int_eq(stile_buffer_set_name(buffer, "a name of exactly 31 bytes....."), 0);
	check_name(fd, "a name of exactly 31 bytes.....");
	ck_assert_int_eq(stile_buffer_set_name(buffer, NULL), 0);
	check_name(fd, "");
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: an import that takes away the name that its owner gave. */
START_TEST(import_leaves_the_name) {
	static const char mine[] = "the owner's";
	int fd = foreign_dma_buf(page, O_RDWR);
	ck_assert_int_eq(ioctl(fd, DMA_BUF_SET_NAME, mine), 0);
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, READ, NULL, &buffer), 0);
	check_name(fd, mine);
	stile_buffer_unref(buffer);
	check_name(fd, mine);
	close(fd);
}
END_TEST

/* Wrong code: an image whose memory no tool can find. */
START_TEST(memory_has_the_name_of_its_image) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = 64,
		.height = 64,
		.fourcc = DRM_FORMAT_XRGB8888,
		.usage = BOTH,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.name = "picture",
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	int fd = export(stile_image_get_buffer(image, 0), READ);
	check_name(fd, "picture");
	close(fd);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: a buffer that uses its device's heap after it was closed. */
START_TEST(buffer_outlives_its_device) {
	struct stile_buffer *buffer = create("survivor");
	stile_device_destroy(device);
	device = NULL;
	void *memory;
	int fd = export(buffer, READ);
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &memory), 0);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, WRITE, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, WRITE), 0);
	stile_buffer_munmap(buffer, memory);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

static int old_kernel(int fd, unsigned long request, void *arg) {
	if (request == DMA_BUF_IOCTL_EXPORT_SYNC_FILE) {
		errno = ENOTTY;
		return -1;
	}
	return failing_real_ioctl(fd, request, arg);
}

/* What is found out of a kernel is found out once for a process. */
static int with_a_closed_device(void) {
	struct stile_buffer *buffer;
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = 4096 };
	int vgem = vgem_open(), fd;
	int ret = heard_open(&heard, "dmabuf", NULL, STILE_LOG_WARN, &device);
	runner_require(ret == 0, "dmabuf: %d", ret);
	ret = stile_buffer_create(device, &info, &buffer);
	runner_require(ret == 0, "no buffer: %d", ret);
	ret = stile_buffer_export_fd(buffer, BOTH, &fd);
	runner_require(ret == 0, "no descriptor: %d", ret);
	int fence = vgem_attach(vgem, fd, true);
	runner_require(fence >= 0, "no fence: %d", fence);
	stile_device_destroy(device);
	failing_set_ioctl(old_kernel);
	ret = stile_buffer_begin_cpu_access(buffer, READ, 0, NULL);
	runner_require(ret == -ETIME, "it is pending: %d", ret);
	runner_require(heard.count == 0, "the application is gone, and told: %s", heard.text);
	vgem_signal(vgem, fence);
	stile_buffer_unref(buffer);
	close(fd);
	close(vgem);
	return EXIT_SUCCESS;
}

/* Wrong code: a log that is called when the application has closed the device, and freed what hears it. */
START_TEST(closed_device_logs_nothing) {
	int vgem = vgem_open();
	if (vgem < 0) {
		return; /* Nothing to wait for. */
	}
	close(vgem);
	ck_assert_int_eq(runner_reap(runner_spawn("closed-device", NULL, 0)), 0);
}
END_TEST

/* ---- Identity and rights ------------------------------------------------------------------- */

static const char *const importers[] = { "swgpu", "udmabuf", "dmabuf" };

/* Opens, if the machine has what it needs. */
static struct stile_device *open_importer(size_t i) {
	struct stile_device *opened;
	return stile_device_open(importers[i], NULL, &opened) == 0 ? opened : NULL;
}

/* B-5. Wrong code: two objects, and so two reservations, for one memory. */
START_TEST(known_dma_buf_is_the_same_object_on_any_device) {
	struct stile_buffer *buffer = create(NULL), *again;
	int fd = export(buffer, BOTH);
	struct stile_device *importer = open_importer((size_t)_i);
	if (importer != NULL) {
		ck_assert_int_eq(stile_buffer_import_fd(importer, fd, BOTH, NULL, &again), 0);
		ck_assert_ptr_eq(again, buffer);
		stile_buffer_unref(again);
	}
	close(fd);
	stile_buffer_unref(buffer);
	stile_device_destroy(importer);
}
END_TEST

/* Wrong code: a backend that takes its own kind of memory only; a closed original that takes the copy along. */
START_TEST(any_device_imports_a_dma_buf_of_others) {
	struct stile_device *importer = open_importer((size_t)_i);
	int fd = foreign_dma_buf(2 * page, O_RDWR), copy = os_dup(fd);
	if (importer != NULL) {
		struct stile_buffer *buffer, *again;
		ck_assert_int_eq(stile_buffer_import_fd(importer, fd, BOTH, NULL, &buffer), 0);
		close(fd);
		fd = -1;
		ck_assert_uint_eq(stile_buffer_get_bytes(buffer), 2 * page);
		ck_assert_int_eq(stile_buffer_import_fd(device, copy, READ, NULL, &again), 0);
		ck_assert_ptr_eq(again, buffer);
		stile_device_destroy(importer);
		void *memory;
		ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &memory), 0);
		ck_assert(is_zeroed(memory, 2 * page));
		stile_buffer_munmap(buffer, memory);
		stile_buffer_unref(buffer);
		stile_buffer_unref(again);
	}
	if (fd >= 0) {
		close(fd);
	}
	close(copy);
}
END_TEST

/*
 * A dma-buf is one open file: all descriptors of it allow the same. Wrong code: one that hopes for a better
 * descriptor later; one that maps for writing what cannot be written.
 */
START_TEST(read_only_dma_buf_stays_so) {
	int fd = foreign_dma_buf(page, O_RDONLY), copy;
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ck_assert_int_eq(open(path, O_RDWR | O_CLOEXEC), -1);
	struct stile_buffer *buffer;
	struct stile_map map;
	void *memory;
	struct stile_report report = { .size = sizeof(report) };
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, BOTH, &report, &buffer), -EACCES);
	ck_assert_int_eq(report.reason, STILE_REASON_FD_ACCESS);
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, READ, NULL, &buffer), 0);
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &memory), -EACCES);
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &memory), 0);
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	ck_assert(is_zeroed(map.address, page));
	ck_assert_int_eq(stile_buffer_export_fd(buffer, WRITE, &copy), -EACCES);
	ck_assert_int_eq(stile_buffer_export_fd(buffer, READ, &copy), 0);
	close(copy);
	stile_buffer_vunmap_unlocked(buffer, &map);
	stile_buffer_munmap(buffer, memory);
	stile_buffer_unref(buffer);
	close(fd);
}
END_TEST

/* Wrong code: memory that can only be written, and that a driver then reads. */
START_TEST(write_only_dma_buf_is_refused) {
	int fd = foreign_dma_buf(page, O_WRONLY);
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, WRITE, NULL, &buffer), -EACCES);
	ck_assert_ptr_null(buffer);
	close(fd);
}
END_TEST

/* ---- Descriptors of every wrong kind ------------------------------------------------------- */

static int make_closed(void) {
	return memory_closed_fd();
}

static int make_negative(void) {
	return -1;
}

static int make_path(void) {
	return open("/dev/null", O_PATH | O_CLOEXEC);
}

static int make_null(void) {
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int make_directory(void) {
	return open("/", O_RDONLY | O_CLOEXEC);
}

static int make_socket(void) {
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int make_pipe(void) {
	int ends[2];
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	return ends[1];
}

static int make_eventfd(void) {
	return eventfd(0, EFD_CLOEXEC);
}

static int make_epoll(void) {
	return epoll_create1(EPOLL_CLOEXEC);
}

/* Of a file system that has no seals, wherever that may be. */
static int make_file(void) {
	return open("/proc/self/status", O_RDONLY | O_CLOEXEC);
}

static int make_heap(void) {
	return open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);
}

static int make_memfd(void) {
	return memory_create(4096, F_SEAL_SHRINK);
}

static const struct {
	int (*make)(void);
	int ret;
	enum stile_reason reason;
	const char *says;
	bool udmabuf_takes_it;
} wrong_kinds[] = {
	{ make_negative, -EBADF, STILE_REASON_FD_CLOSED, "is not open", false },
	{ make_closed, -EBADF, STILE_REASON_FD_CLOSED, "is not open", false },
	{ make_path, -EBADF, STILE_REASON_FD_CLOSED, "is not open", false },
	{ make_null, -EINVAL, STILE_REASON_FD_TYPE, "is a character device", false },
	{ make_directory, -EINVAL, STILE_REASON_FD_TYPE, "is a directory", false },
	{ make_socket, -EINVAL, STILE_REASON_FD_TYPE, "is a socket", false },
	{ make_pipe, -EINVAL, STILE_REASON_FD_TYPE, "is a pipe", false },
	{ make_eventfd, -EINVAL, STILE_REASON_FD_TYPE, "is an eventfd", false },
	{ make_epoll, -EINVAL, STILE_REASON_FD_TYPE, "is an epoll instance", false },
	{ make_file, -EINVAL, STILE_REASON_FD_TYPE, "is a file on a disk", false },
	{ make_heap, -EINVAL, STILE_REASON_FD_TYPE, "is a character device", false },
	{ make_memfd, -EINVAL, STILE_REASON_FD_TYPE, "(memfd), not a dma-buf: the backend udmabuf",
		true },
};

static void check_refused(struct stile_device *importer, size_t i, int fd, const char *who) {
	struct stile_report report = { .size = sizeof(report) };
	struct stile_buffer *buffer = NULL;
	int ret = stile_buffer_import_fd(importer, fd, READ, &report, &buffer);
	ck_assert_msg(
		ret == wrong_kinds[i].ret, "%s, kind %zu: %d, '%s'", who, i, ret, report.text);
	ck_assert_ptr_null(buffer);
	ck_assert_msg(report.reason == wrong_kinds[i].reason, "%s, kind %zu: reason %d, '%s'", who,
		i, (int)report.reason, report.text);
	ck_assert_msg(strstr(report.text, wrong_kinds[i].says) != NULL, "%s, kind %zu: '%s'", who,
		i, report.text);
}

/* B-3. Wrong code: an answer that the kernel's first ioctl gives; a reason that helps nobody. */
START_TEST(descriptor_of_a_wrong_kind_is_refused_by_name) {
	size_t i = (size_t)_i;
	struct stile_device *pages = open_importer(1);
	int fd = wrong_kinds[i].make();
	check_refused(device, i, fd, "dmabuf");
	if (pages != NULL && !wrong_kinds[i].udmabuf_takes_it) {
		check_refused(pages, i, fd, "udmabuf");
	}
	if (fd >= 0 && fcntl(fd, F_GETFD) >= 0) {
		close(fd);
	}
	stile_device_destroy(pages);
}
END_TEST

/* ---- The CPU's brackets -------------------------------------------------------------------- */

enum { SEEN = 16 };

/* What the kernel was asked. */
static struct {
	unsigned count;
	uint64_t flags[SEEN];
	int errors[SEEN]; /* to be given instead of the kernel's answer; ended by 0 */
	unsigned given;
} syncs;

static int note_sync(int fd, unsigned long request, void *arg) {
	if (request == DMA_BUF_IOCTL_SYNC) {
		ck_assert_uint_lt(syncs.count, SEEN);
		syncs.flags[syncs.count++] = ((struct dma_buf_sync *)arg)->flags;
		if (syncs.errors[syncs.given] != 0) {
			errno = syncs.errors[syncs.given++];
			return -1;
		}
	}
	return failing_real_ioctl(fd, request, arg);
}

static void syncs_begin(void) {
	memset(&syncs, 0, sizeof(syncs));
	failing_set_ioctl(note_sync);
}

static void bracket(struct stile_buffer *buffer, uint32_t usage) {
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, usage, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, usage), 0);
}

/* D-4. Wrong code: directions that are mixed up; an end that says it is a beginning. */
START_TEST(bracket_of_a_shown_buffer_is_the_kernels) {
	static const struct {
		uint32_t usage;
		uint64_t flags;
	} cases[] = {
		{ READ, DMA_BUF_SYNC_READ },
		{ WRITE, DMA_BUF_SYNC_WRITE },
		{ BOTH, DMA_BUF_SYNC_RW },
	};
	struct stile_buffer *buffer = create(NULL);
	int fd = export(buffer, BOTH);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		syncs_begin();
		bracket(buffer, cases[i].usage);
		ck_assert_uint_eq(syncs.count, 2);
		ck_assert_uint_eq(syncs.flags[0], cases[i].flags | DMA_BUF_SYNC_START);
		ck_assert_uint_eq(syncs.flags[1], cases[i].flags | DMA_BUF_SYNC_END);
	}
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

static int count_ioctl(int fd, unsigned long request, void *arg) {
	syncs.count++;
	return failing_real_ioctl(fd, request, arg);
}

/* D-4. Wrong code: memory that came from others and is taken for one's own. */
START_TEST(bracket_of_an_imported_buffer_is_the_kernels) {
	int fd = foreign_dma_buf(page, O_RDWR);
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, BOTH, NULL, &buffer), 0);
	syncs_begin();
	bracket(buffer, READ);
	ck_assert_uint_eq(syncs.count, 2);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: a system call for what only this process knows. */
START_TEST(bracket_of_a_buffer_nobody_saw_costs_nothing) {
	struct stile_buffer *buffer = create(NULL);
	memset(&syncs, 0, sizeof(syncs));
	failing_set_ioctl(count_ioctl);
	bracket(buffer, READ);
	bracket(buffer, BOTH);
	ck_assert_uint_eq(syncs.count, 0);
	int fd = export(buffer, READ);
	bracket(buffer, READ);
	ck_assert_uint_ge(syncs.count, 2);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/*
 * P-3, V-5. Wrong code: what the CPU writes after others got the buffer stays in its cache, for the kernel hears
 * of no end; or of one that had no beginning, which to udmabufs is an error.
 */
START_TEST(bracket_that_began_unseen_begins_for_the_kernel_when_shown) {
	static const struct {
		uint32_t usage, count;
		uint64_t flags;
	} cases[] = {
		{ READ, 2, DMA_BUF_SYNC_READ },
		{ WRITE, 1, DMA_BUF_SYNC_WRITE },
		{ BOTH, 1, DMA_BUF_SYNC_RW },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint32_t usage = cases[i].usage, count = cases[i].count;
		struct stile_buffer *buffer = create(NULL);
		syncs_begin();
		for (uint32_t k = 0; k < count; k++) {
			ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, usage, 0, NULL), 0);
		}
		ck_assert_uint_eq(syncs.count, 0);
		int fd = export(buffer, READ);
		ck_assert_uint_eq(syncs.count, count);
		close(export(buffer, READ));
		for (uint32_t k = 0; k < count; k++) {
			ck_assert_uint_eq(syncs.flags[k], cases[i].flags | DMA_BUF_SYNC_START);
			ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, usage), 0);
			ck_assert_uint_eq(syncs.count, count + k + 1);
			ck_assert_uint_eq(
				syncs.flags[count + k], cases[i].flags | DMA_BUF_SYNC_END);
		}
		/* All have ended for the kernel. */
		bracket(buffer, usage);
		ck_assert_uint_eq(syncs.count, 2 * count + 2);
		close(fd);
		stile_buffer_unref(buffer);
	}
}
END_TEST

/* Wrong code: a bracket that the kernel refused, counted as begun; one that began and is forgotten. */
START_TEST(bracket_is_balanced_though_showing_fails) {
	struct stile_buffer *buffer = create(NULL);
	int fd = 0;
	syncs_begin();
	syncs.errors[0] = EIO;
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_export_fd(buffer, READ, &fd), -EIO);
	ck_assert_int_eq(fd, -1);
	ck_assert_uint_eq(syncs.count, 1);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, READ), 0);
	ck_assert_uint_eq(syncs.count, 1);
	fd = export(buffer, READ);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, READ), 0);
	ck_assert_uint_eq(syncs.count, 3);
	ck_assert_uint_eq(syncs.flags[1], DMA_BUF_SYNC_READ | DMA_BUF_SYNC_START);
	ck_assert_uint_eq(syncs.flags[2], DMA_BUF_SYNC_READ | DMA_BUF_SYNC_END);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* P-1. Wrong code: the kernel is told of a beginning, the caller that there is none, and nobody ends it. */
START_TEST(bracket_that_waited_in_vain_is_ended) {
	struct stile_buffer *buffer = create(NULL);
	struct stile_resv *resv = stile_buffer_get_resv(buffer);
	struct stile_fence *fence = plain_fence_create();
	int fd = export(buffer, READ);
	ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
	ck_assert_int_eq(stile_resv_reserve_fences(resv, 1), 0);
	ck_assert_int_eq(stile_resv_add_fence(resv, fence, STILE_RESV_WRITE), 0);
	stile_resv_unlock(resv);
	syncs_begin();
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, WRITE, 0, NULL), -ETIME);
	ck_assert_uint_eq(syncs.count, 2);
	ck_assert_uint_eq(syncs.flags[0], DMA_BUF_SYNC_WRITE | DMA_BUF_SYNC_START);
	ck_assert_uint_eq(syncs.flags[1], DMA_BUF_SYNC_WRITE | DMA_BUF_SYNC_END);
	stile_fence_signal(fence);
	stile_fence_unref(fence);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* D-4. Wrong code: an interruption that the caller hears of; one that is swallowed, and nothing done. */
START_TEST(interrupted_bracket_is_repeated) {
	static const int errors[] = { EINTR, EAGAIN, EAGAIN, EINTR };
	struct stile_buffer *buffer = create(NULL);
	int fd = export(buffer, READ);
	syncs_begin();
	memcpy(syncs.errors, errors, sizeof(errors));
	bracket(buffer, READ);
	ck_assert_uint_eq(syncs.count, ARRAY_LENGTH(errors) + 2);
	syncs_begin();
	syncs.errors[0] = EIO;
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, 0, NULL), -EIO);
	/* V-5: it has not begun: an end of it is a mistake, of which the kernel does not hear. */
	ledger_expect_complaint("ends that has not begun");
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, READ), 0);
	ck_assert_uint_eq(syncs.count, 1);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Devices that reach it ----------------------------------------------------------------- */

static struct stile_image *import_image(struct stile_device *gpu, int fd) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = 32,
		.height = 32,
		.fourcc = DRM_FORMAT_XRGB8888,
		.usage = BOTH,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.plane_count = 1,
		.planes = { { .fd = fd, .pitch = 128 } },
	};
	struct stile_report report = { .size = sizeof(report) };
	struct stile_image *image;
	int ret = stile_image_import(gpu, &info, &report, &image);
	ck_assert_msg(ret == 0, "%s", report.text);
	return image;
}

/* T-4, T-6. Wrong code: a table without memory; one that serves the first device only. */
START_TEST(engines_draw_into_a_dma_buf) {
	static const char *const options[] = { NULL, "profile=non-coherent", "profile=iommu" };
	int fd = foreign_dma_buf(PAGES * page, O_RDWR);
	uint32_t *raw = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(raw, MAP_FAILED);
	struct stile_device *gpus[ARRAY_LENGTH(options)];
	struct stile_image *images[ARRAY_LENGTH(options)];
	for (size_t i = 0; i < ARRAY_LENGTH(options); i++) {
		gpus[i] = gpu_open(options[i]);
		images[i] = import_image(gpus[i], fd);
		struct stile_fence *fence;
		uint32_t value = 0x12345600u + (uint32_t)i;
		ck_assert_int_eq(stile_swgpu_fill(gpus[i], images[i], 0, value, &fence), 0);
		ck_assert_int_eq(gpu_finish(fence), 1);
		struct stile_buffer *buffer = stile_image_get_buffer(images[i], 0);
		ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, INT64_MAX, NULL), 0);
		ck_assert_uint_eq(raw[0], value);
		ck_assert_uint_eq(raw[1023], value);
		ck_assert_uint_eq(raw[1024], 0);
		ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, READ), 0);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(options); i++) {
		stile_image_unref(images[i]);
		stile_device_destroy(gpus[i]);
	}
	munmap(raw, PAGES * page);
	close(fd);
}
END_TEST

/* Wrong code: a table that is freed while it is mapped, or that is mapped for a device that is another. */
START_TEST(each_attachment_has_a_table_of_its_own) {
	struct stile_buffer *buffer = create(NULL);
	struct stile_device *gpu = gpu_open(NULL);
	const struct stile_attach_info info = {
		.size = sizeof(info),
		.device = gpu,
		.usage = BOTH,
	};
	struct stile_attachment *one, *two;
	const struct stile_sg *first, *second, *again;
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, NULL, &one), 0);
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, NULL, &two), 0);
	ck_assert_int_eq(stile_attachment_map_unlocked(one, STILE_TO_DEVICE, 0, NULL, &first), 0);
	ck_assert_int_eq(
		stile_attachment_map_unlocked(two, STILE_BIDIRECTIONAL, 0, NULL, &second), 0);
	ck_assert_ptr_ne(first, second);
	ck_assert_uint_eq(stile_sg_get_bytes(first), PAGES * page);
	stile_attachment_unmap_unlocked(one, first, STILE_TO_DEVICE);
	ck_assert_int_eq(stile_attachment_map_unlocked(one, STILE_FROM_DEVICE, 0, NULL, &again), 0);
	ck_assert_ptr_eq(again, first);
	stile_attachment_unmap_unlocked(one, again, STILE_FROM_DEVICE);
	stile_buffer_detach(buffer, one);
	ck_assert_uint_gt(stile_sg_get_segment_count(second), 0);
	stile_attachment_unmap_unlocked(two, second, STILE_BIDIRECTIONAL);
	stile_buffer_detach(buffer, two);
	stile_device_destroy(gpu);
	stile_buffer_unref(buffer);
}
END_TEST

/* T-1. Wrong code: a promise about addresses that nobody outside of the kernel knows. */
START_TEST(device_that_needs_addresses_is_refused) {
	struct stile_buffer *buffer = create(NULL);
	struct stile_device *gpu = gpu_open("profile=address-32");
	const struct stile_attach_info info = {
		.size = sizeof(info),
		.device = gpu,
		.usage = READ,
	};
	struct stile_report report = { .size = sizeof(report) };
	struct stile_attachment *attachment;
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, &report, &attachment), -EBUSY);
	ck_assert_ptr_null(attachment);
	ck_assert_int_eq(report.reason, STILE_REASON_PINNED);
	ck_assert_ptr_nonnull(strstr(report.text, "32 bits"));
	stile_device_destroy(gpu);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Failing ------------------------------------------------------------------------------- */

static const int resources[] = { -ENOMEM, -EMFILE, 0 };

struct sweep {
	struct stile_device *opened;
	struct stile_buffer *buffer;
	struct stile_attachment *attachment;
	struct stile_device *gpu;
	void *memory;
	int fd, given;
};

static int sweep_open(void *user) {
	struct sweep *sweep = user;
	return stile_device_open("dmabuf", NULL, &sweep->opened);
}

static void after_open(void *user, int ret) {
	struct sweep *sweep = user;
	(void)ret;
	stile_device_destroy(sweep->opened);
	sweep->opened = NULL;
}

static int sweep_create(void *user) {
	struct sweep *sweep = user;
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = 1 };
	int ret = stile_buffer_create(device, &info, &sweep->buffer);
	if (ret == 0) {
		ret = stile_buffer_mmap(sweep->buffer, BOTH, &sweep->memory);
	}
	return ret < 0 ? ret : stile_buffer_export_fd(sweep->buffer, READ, &sweep->fd);
}

static int sweep_import(void *user) {
	struct sweep *sweep = user;
	struct stile_report report = { .size = sizeof(report) };
	return stile_buffer_import_fd(device, sweep->given, BOTH, &report, &sweep->buffer);
}

static int sweep_attach(void *user) {
	struct sweep *sweep = user;
	const struct stile_attach_info info = {
		.size = sizeof(info),
		.device = sweep->gpu,
		.usage = READ,
	};
	int ret = sweep_import(user);
	if (ret == 0) {
		ret = stile_buffer_attach(sweep->buffer, &info, NULL, &sweep->attachment);
	}
	const struct stile_sg *sg;
	if (ret == 0) {
		ret = stile_attachment_map_unlocked(
			sweep->attachment, STILE_TO_DEVICE, 0, NULL, &sg);
	}
	if (ret == 0) {
		stile_attachment_unmap_unlocked(sweep->attachment, sg, STILE_TO_DEVICE);
	}
	return ret;
}

static void after_buffer(void *user, int ret) {
	struct sweep *sweep = user;
	(void)ret;
	if (sweep->fd >= 0) {
		close(sweep->fd);
	}
	if (sweep->memory != NULL) {
		stile_buffer_munmap(sweep->buffer, sweep->memory);
	}
	if (sweep->attachment != NULL) {
		stile_buffer_detach(sweep->buffer, sweep->attachment);
	}
	stile_buffer_unref(sweep->buffer);
	sweep->fd = -1;
	sweep->memory = NULL;
	sweep->attachment = NULL;
	sweep->buffer = NULL;
}

/* Wrong code: an allocation that is not looked at, a descriptor that stays. */
START_TEST(nothing_stays_of_what_failed) {
	struct sweep sweep = { .fd = -1, .given = foreign_dma_buf(page, O_RDWR) };
	ck_assert_uint_ge(failing_sweep(sweep_open, after_open, &sweep, resources), 3);
	ck_assert_uint_ge(failing_sweep(sweep_create, after_buffer, &sweep, resources), 4);
	ck_assert_uint_ge(failing_sweep(sweep_import, after_buffer, &sweep, resources), 3);
	sweep.gpu = gpu_open(NULL);
	ck_assert_uint_ge(failing_sweep(sweep_attach, after_buffer, &sweep, resources), 6);
	stile_device_destroy(sweep.gpu);
	close(sweep.given);
}
END_TEST

/* ---- A machine without heaps --------------------------------------------------------------- */

/* Wrong code: -ENOENT, as if a better option would help. */
START_TEST(machine_without_heaps_says_so) {
	static const char *const options[] = { NULL, "heap=system", "heap=cma" };
	for (size_t i = 0; i < ARRAY_LENGTH(options); i++) {
		struct stile_device *opened;
		ck_assert_int_eq(heard_open(&heard, "dmabuf", options[i], STILE_LOG_ERROR, &opened),
			-ENODEV);
		ck_assert_ptr_null(opened);
		heard_check(&heard, "there are no dma-heaps here: /dev/dma_heap is missing");
	}
}
END_TEST

static Suite *suite_without_heaps(void) {
	Suite *s = suite_create("dmabuf, without heaps");
	TCase *tcase = ledger_tcase_create("opening");
	tcase_add_test(tcase, machine_without_heaps_says_so);
	suite_add_tcase(s, tcase);
	return s;
}

static void add_opening(Suite *s) {
	TCase *tcase = ledger_tcase_create("opening");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, heap_is_chosen_by_option);
	tcase_add_test(tcase, option_that_is_no_heap_is_refused);
	tcase_add_test(tcase, ordinary_user_is_told_who_may);
	tcase_add_test(tcase, device_without_engines_is_not_attached);
	suite_add_tcase(s, tcase);
}

static void add_allocating(Suite *s) {
	TCase *tcase = ledger_tcase_create("allocating");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, buffer_is_a_dma_buf_of_zeroes);
	tcase_add_test(tcase, no_descriptor_is_inherited);
	tcase_add_test(tcase, all_mappings_show_the_same_bytes);
	tcase_add_test(tcase, mapping_of_a_part_is_of_that_part);
	tcase_add_test(tcase, exhausted_heap_is_told_with_the_numbers);
	tcase_add_test(tcase, name_that_is_too_long_leaves_nothing);
	tcase_add_test(tcase, kernel_knows_the_name);
	tcase_add_test(tcase, import_leaves_the_name);
	tcase_add_test(tcase, memory_has_the_name_of_its_image);
	tcase_add_test(tcase, buffer_outlives_its_device);
	tcase_add_test(tcase, closed_device_logs_nothing);
	tcase_add_test(tcase, nothing_stays_of_what_failed);
	suite_add_tcase(s, tcase);
}

static void add_importing(Suite *s) {
	TCase *tcase = ledger_tcase_create("importing");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, known_dma_buf_is_the_same_object_on_any_device, 0,
		(int)ARRAY_LENGTH(importers));
	tcase_add_loop_test(
		tcase, any_device_imports_a_dma_buf_of_others, 0, (int)ARRAY_LENGTH(importers));
	tcase_add_test(tcase, read_only_dma_buf_stays_so);
	tcase_add_test(tcase, write_only_dma_buf_is_refused);
	tcase_add_loop_test(tcase, descriptor_of_a_wrong_kind_is_refused_by_name, 0,
		(int)ARRAY_LENGTH(wrong_kinds));
	suite_add_tcase(s, tcase);
}

static Suite *suite(void) {
	Suite *s = suite_create("dmabuf");
	add_opening(s);
	add_allocating(s);
	add_importing(s);
	TCase *access = ledger_tcase_create("access");
	tcase_add_checked_fixture(access, setup, teardown);
	tcase_add_test(access, bracket_of_a_shown_buffer_is_the_kernels);
	tcase_add_test(access, bracket_of_an_imported_buffer_is_the_kernels);
	tcase_add_test(access, bracket_of_a_buffer_nobody_saw_costs_nothing);
	tcase_add_test(access, bracket_that_began_unseen_begins_for_the_kernel_when_shown);
	tcase_add_test(access, bracket_is_balanced_though_showing_fails);
	tcase_add_test(access, bracket_that_waited_in_vain_is_ended);
	tcase_add_test(access, interrupted_bracket_is_repeated);
	tcase_add_test(access, engines_draw_into_a_dma_buf);
	tcase_add_test(access, each_attachment_has_a_table_of_its_own);
	tcase_add_test(access, device_that_needs_addresses_is_refused);
	suite_add_tcase(s, access);
	return s;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = { { "nobody", as_nobody },
		{ "closed-device", with_a_closed_device }, { NULL, NULL } };
	if (access(heaps, F_OK) == 0) {
		return runner_main(argc, argv, suite, roles);
	}
	int ret = runner_main(argc, argv, suite_without_heaps, NULL);
	if (ret != EXIT_SUCCESS) {
		return ret;
	}
	printf("skipped: there is no %s here\n", heaps);
	return RUNNER_SKIP;
}
