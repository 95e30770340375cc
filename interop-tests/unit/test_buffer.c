/* SPDX-License-Identifier: MIT */
/*
 * Memory of a backend, made and by descriptor: DESIGN section 6. What any descriptor of a buffer is:
 * test_descriptor.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stile/attachment.h>
#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/swgpu_test.h>

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
};

static struct stile_device *device;

static void setup(void) {
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
}

static void teardown(void) {
	stile_device_destroy(device);
	device = NULL;
}

static struct stile_buffer *create(uint64_t bytes) {
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = bytes };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	return buffer;
}

static struct stile_buffer *import(int fd, uint32_t usage) {
	struct stile_report report = { .size = sizeof(report) };
	struct stile_buffer *buffer;
	int ret = stile_buffer_import_fd(device, fd, usage, &report, &buffer);
	ck_assert_msg(ret == 0, "%s", report.text);
	ck_assert_int_eq(report.reason, STILE_REASON_NONE);
	ck_assert_int_eq(report.error, 0);
	ck_assert_str_eq(report.text, "");
	return buffer;
}

static int export(struct stile_buffer *buffer, uint32_t usage) {
	int fd;
	ck_assert_int_eq(stile_buffer_export_fd(buffer, usage, &fd), 0);
	return fd;
}

/* ---- Creating ------------------------------------------------------------------------------ */

/* All of it is mapped: ThreadSanitizer has most of the addresses for itself. */
#ifdef __SANITIZE_THREAD__
#define LARGE (UINT64_C(1) << 33)
#else
#define LARGE (UINT64_C(1) << 40)
#endif

/* Wrong code: bytes rounded down, or the file larger than what is said. */
START_TEST(size_is_whole_pages) {
	static const uint64_t sizes[] = { 1, 4095, 4096, 4097, 1000000, LARGE };
	uint64_t page = os_page_size();
	struct stile_buffer *buffer = create(sizes[_i]);
	uint64_t bytes = stile_buffer_get_bytes(buffer);
	ck_assert_uint_eq(bytes, (sizes[_i] + page - 1) / page * page);
	int fd = export(buffer, READ);
	struct stat st;
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq((uint64_t)st.st_size, bytes);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

struct size_case {
	uint64_t bytes;
	int ret;
};

/* Wrong code: a sum that wraps around, which gives a small buffer. */
static const struct size_case bad_sizes[] = {
	{ 0, -EINVAL },
	{ UINT64_MAX, -ERANGE },
	{ UINT64_MAX - 4094, -ERANGE },
	{ INT64_MAX, -ERANGE },
	{ (uint64_t)INT64_MAX + 1, -ERANGE },
};

START_TEST(impossible_size_is_refused) {
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = bad_sizes[_i].bytes };
	struct stile_buffer *buffer = (struct stile_buffer *)&info;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), bad_sizes[_i].ret);
	ck_assert_ptr_null(buffer);
}
END_TEST

/* SOFTWARE_DRIVERS, "How a software buffer is laid out". Wrong code: a write seal, a seal missing. */
START_TEST(memory_is_zeroed_sealed_and_writable) {
	struct stile_buffer *buffer = create(10000);
	int fd = export(buffer, BOTH);
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & ~0x20, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	ck_assert_int_eq(ftruncate(fd, 1), -1);
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	const unsigned char *bytes = address;
	uint64_t zeroes = 0;
	while (zeroes < stile_buffer_get_bytes(buffer) && bytes[zeroes] == 0) {
		zeroes++;
	}
	ck_assert_uint_eq(zeroes, stile_buffer_get_bytes(buffer));
	stile_buffer_munmap(buffer, address);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* D-5. Wrong code: a name of 32 bytes cut short, or taken for the kernel's 249. */
START_TEST(name_has_at_most_31_bytes) {
	char name[33];
	memset(name, 'n', sizeof(name));
	name[_i] = '\0';
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = 1, .name = name };
	struct stile_buffer *buffer = (struct stile_buffer *)&info;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), _i > 31 ? -EINVAL : 0);
	if (_i > 31) {
		ck_assert_ptr_null(buffer);
		return;
	}
	char shown[STILE_BUFFER_NAME_BYTES];
	stile_buffer_get_name(buffer, shown);
	ck_assert_str_eq(shown, name);
	stile_buffer_unref(buffer);
	stile_buffer_unref(NULL);
}
END_TEST

static unsigned count_fds(void) {
	unsigned count = 0;
	DIR *dir = opendir("/proc/self/fd");
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL) {
		count++;
	}
	closedir(dir);
	return count;
}

/* What needs the storage. */
static void need_fd(struct stile_buffer *buffer) {
	close(export(buffer, READ));
}

static void need_mapping(struct stile_buffer *buffer) {
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &address), 0);
	stile_buffer_munmap(buffer, address);
}

static void need_vmap(struct stile_buffer *buffer) {
	struct stile_map map;
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	stile_buffer_vunmap_unlocked(buffer, &map);
}

static void need_by_device(struct stile_buffer *buffer) {
	struct stile_attach_info info = { .size = sizeof(info), .device = device, .usage = BOTH };
	struct stile_attachment *attachment;
	const struct stile_sg *sg;
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, NULL, &attachment), 0);
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_NOWHERE);
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, INT64_MAX, NULL, &sg),
		0);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	stile_buffer_detach(buffer, attachment);
}

static void (*const needs[])(
	struct stile_buffer *buffer) = { need_fd, need_mapping, need_vmap, need_by_device };

/*
 * DESIGN 6, T-10. Wrong code: storage for what is never used, before anybody can say what it has to be
 * like; more of it with each need.
 */
START_TEST(storage_is_there_from_the_first_need_on) {
	unsigned before = count_fds();
	struct stile_buffer *buffer = create(10000);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, BOTH, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, BOTH), 0);
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_NOWHERE);
	ck_assert_uint_eq(count_fds(), before);
	needs[_i](buffer);
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_SYSTEM);
	unsigned with = count_fds();
	ck_assert_uint_le(with, before + 1);
	for (size_t i = 0; i < ARRAY_LENGTH(needs) - 1; i++) {
		needs[i](buffer);
	}
	ck_assert_uint_eq(count_fds(), before + 1);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

/* ---- Identity ------------------------------------------------------------------------------ */

/* Wrong code: a new object an import; identity by descriptor number. */
START_TEST(same_memory_is_the_same_object) {
	struct stile_buffer *buffer = create(1);
	int fd = export(buffer, BOTH), other = export(buffer, READ);
	ck_assert_int_ne(fd, other);
	int reopened = memory_reopen(fd, O_RDONLY);
	struct stile_buffer *again[] = { import(fd, BOTH), import(other, READ),
		import(reopened, READ) };
	for (size_t i = 0; i < ARRAY_LENGTH(again); i++) {
		ck_assert_ptr_eq(again[i], buffer);
		stile_buffer_unref(again[i]);
	}
	ck_assert_uint_eq(stile_buffer_get_bytes(buffer), os_page_size());
	close(fd);
	close(other);
	close(reopened);
	stile_buffer_unref(buffer);
}
END_TEST

START_TEST(other_memory_is_another_object) {
	struct stile_buffer *one = create(1), *other = create(1);
	ck_assert_ptr_ne(one, other);
	int fd = export(one, READ);
	struct stile_buffer *again = import(fd, READ);
	ck_assert_ptr_ne(again, other);
	stile_buffer_unref(again);
	stile_buffer_unref(one);
	stile_buffer_unref(other);
	close(fd);
}
END_TEST

/* Wrong code: what is found is the dead object; a stale entry. */
START_TEST(memory_that_was_forgotten_can_come_back) {
	struct stile_buffer *buffer = create(1);
	int fd = export(buffer, BOTH);
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	memcpy(address, "kept", 5);
	stile_buffer_munmap(buffer, address);
	stile_buffer_unref(buffer);

	buffer = import(fd, BOTH);
	close(fd);
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &address), 0);
	ck_assert_str_eq(address, "kept");
	stile_buffer_munmap(buffer, address);
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: a buffer that needs its device. */
START_TEST(buffer_outlives_its_device) {
	struct stile_buffer *buffer = create(1);
	stile_device_destroy(device);
	device = NULL;
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	stile_buffer_munmap(buffer, address);
	int fd = export(buffer, BOTH);
	close(fd);
	ck_assert_ptr_eq(stile_buffer_ref(buffer), buffer);
	stile_buffer_unref(buffer);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Access -------------------------------------------------------------------------------- */

/* Wrong code: rights that come from the object instead of the descriptors it was made of. */
START_TEST(read_only_descriptor_gives_no_right_to_write) {
	int fd = memory_create(4096, F_SEAL_SHRINK);
	int reader = memory_reopen(fd, O_RDONLY);
	struct stile_buffer *buffer = import(reader, READ);
	void *address = buffer;
	int out = 0;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), -EACCES);
	ck_assert_ptr_null(address);
	ck_assert_int_eq(stile_buffer_export_fd(buffer, WRITE, &out), -EACCES);
	ck_assert_int_eq(out, -1);
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &address), 0);
	stile_buffer_munmap(buffer, address);
	out = export(buffer, READ);
	ck_assert_int_eq(fcntl(out, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(out);

	/* With a writable one, the same object may write. */
	struct stile_buffer *again = import(fd, BOTH);
	ck_assert_ptr_eq(again, buffer);
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	*(char *)address = 'x';
	stile_buffer_munmap(buffer, address);
	out = export(buffer, WRITE);
	ck_assert_int_eq(fcntl(out, F_GETFL) & O_ACCMODE, O_RDWR);
	close(out);
	stile_buffer_unref(again);
	stile_buffer_unref(buffer);
	close(reader);
	close(fd);
}
END_TEST

static const int write_seals[] = { F_SEAL_WRITE, F_SEAL_FUTURE_WRITE };

/* Wrong code: rights taken from how the descriptor was opened alone; drivers crash on such memory. */
START_TEST(memory_sealed_against_writing_is_for_reading_only) {
	int fd = memory_create(4096, F_SEAL_SHRINK | write_seals[_i]);
	struct stile_report report = { .size = sizeof(report) };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, BOTH, &report, &buffer), -EACCES);
	ck_assert_ptr_null(buffer);
	ck_assert_int_eq(report.reason, STILE_REASON_FD_ACCESS);
	ck_assert_ptr_nonnull(strstr(report.text, "sealed"));
	buffer = import(fd, READ);
	void *address = buffer;
	int out = 0;
	ck_assert_int_eq(stile_buffer_mmap(buffer, WRITE, &address), -EACCES);
	ck_assert_ptr_null(address);
	ck_assert_int_eq(stile_buffer_export_fd(buffer, WRITE, &out), -EACCES);
	ck_assert_int_eq(out, -1);
	close(export(buffer, READ));
	stile_buffer_unref(buffer);
	close(fd);
}
END_TEST

/* Wrong code: rights looked up once, at the import; the peer seals later. */
START_TEST(memory_sealed_after_the_import_is_not_written_any_more) {
	int fd = memory_create(4096, F_SEAL_SHRINK);
	struct stile_buffer *buffer = import(fd, BOTH);
	close(export(buffer, WRITE));
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, write_seals[_i]), 0);
	void *address = buffer;
	int out = 0;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), -EACCES);
	ck_assert_ptr_null(address);
	ck_assert_int_eq(stile_buffer_export_fd(buffer, BOTH, &out), -EACCES);
	ck_assert_int_eq(out, -1);
	close(export(buffer, READ));
	stile_buffer_unref(buffer);
	close(fd);
}
END_TEST

/* Wrong code: the writable descriptor for all, so that a reader of the picture may draw into it. */
START_TEST(reading_export_gives_no_right_to_write_where_there_is_a_way) {
	int fd = memory_create(4096, F_SEAL_SHRINK);
	int reader = memory_reopen(fd, O_RDONLY);
	/* In either order: the object is the same. */
	struct stile_buffer *one = _i == 0 ? import(fd, BOTH) : import(reader, READ);
	struct stile_buffer *other = _i == 0 ? import(reader, READ) : import(fd, BOTH);
	ck_assert_ptr_eq(one, other);
	int out = export(one, READ);
	ck_assert_int_eq(fcntl(out, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(out);
	out = export(one, BOTH);
	ck_assert_int_eq(fcntl(out, F_GETFL) & O_ACCMODE, O_RDWR);
	close(out);
	stile_buffer_unref(one);
	stile_buffer_unref(other);
	close(reader);
	close(fd);
}
END_TEST

START_TEST(writes_through_one_view_show_in_the_other) {
	struct stile_buffer *buffer = create(1);
	void *one, *other;
	ck_assert_int_eq(stile_buffer_mmap(buffer, WRITE, &one), 0);
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &other), 0);
	ck_assert_ptr_ne(one, other);
	strcpy(one, "here");
	ck_assert_str_eq(other, "here");
	stile_buffer_munmap(buffer, one);
	ck_assert_str_eq(other, "here");
	stile_buffer_munmap(buffer, other);
	stile_buffer_unref(buffer);
}
END_TEST

START_TEST(exported_descriptor_is_cloexec_and_new) {
	struct stile_buffer *buffer = create(1);
	int one = export(buffer, READ), other = export(buffer, BOTH);
	ck_assert_int_ne(one, other);
	ck_assert_int_eq(fcntl(one, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(other, F_GETFD), FD_CLOEXEC);
	close(one);
	close(other);
	stile_buffer_unref(buffer);
}
END_TEST

START_TEST(unknown_usage_is_einval_everywhere) {
	static const uint32_t usages[] = { 0, 4, 7, UINT32_MAX };
	struct stile_buffer *buffer = create(1), *again = buffer;
	int fd = export(buffer, BOTH), out = 0;
	void *address = buffer;
	struct stile_report report = { .size = sizeof(report) };
	ck_assert_int_eq(stile_buffer_mmap(buffer, usages[_i], &address), -EINVAL);
	ck_assert_ptr_null(address);
	ck_assert_int_eq(stile_buffer_export_fd(buffer, usages[_i], &out), -EINVAL);
	ck_assert_int_eq(out, -1);
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, usages[_i], &report, &again), -EINVAL);
	ck_assert_ptr_null(again);
	ck_assert_int_eq(report.reason, STILE_REASON_USAGE);
	ck_assert_int_eq(report.error, -EINVAL);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

static const struct size_case huge_sizes[] = {
	{ UINT64_C(1) << 50, -ENOMEM },
	{ UINT64_C(1) << 60, -ENOSPC },
};

/* Wrong code: overflow of the address space not noticed; mmap()'s -1 given out. */
START_TEST(mapping_that_does_not_fit_is_refused) {
	struct stile_buffer *buffer = create(huge_sizes[_i].bytes);
	void *address = buffer;
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &address), huge_sizes[_i].ret);
	ck_assert_ptr_null(address);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- What is refused ----------------------------------------------------------------------- */

static int open_negative(void) {
	return -1;
}

static int open_null(void) {
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int open_directory(void) {
	return open("/", O_RDONLY | O_CLOEXEC);
}

static int open_socket(void) {
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int open_file(void) {
	return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

static int open_unsealed(void) {
	return memory_create(4096, 0);
}

static int open_grow_sealed(void) {
	return memory_create(4096, F_SEAL_GROW);
}

static int open_how(int flags) {
	int fd = memory_create(4096, F_SEAL_SHRINK);
	int again = memory_reopen(fd, flags);
	close(fd);
	return again;
}

static int open_read_only(void) {
	return open_how(O_RDONLY);
}

static int open_write_sealed(void) {
	return memory_create(4096, F_SEAL_SHRINK | F_SEAL_WRITE);
}

static int open_future_write_sealed(void) {
	return memory_create(4096, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE);
}

static int open_write_only(void) {
	return open_how(O_WRONLY);
}

static int open_path(void) {
	return open_how(O_PATH);
}

struct refusal {
	const char *what;
	int (*open)(void);
	uint32_t usage;
	int ret;
	enum stile_reason reason;
};

static const struct refusal refusals[] = {
	{ "-1", open_negative, READ, -EBADF, STILE_REASON_FD_CLOSED },
	{ "closed", memory_closed_fd, READ, -EBADF, STILE_REASON_FD_CLOSED },
	{ "O_PATH", open_path, READ, -EBADF, STILE_REASON_FD_CLOSED },
	{ "/dev/null", open_null, READ, -EINVAL, STILE_REASON_FD_TYPE },
	{ "directory", open_directory, READ, -EINVAL, STILE_REASON_FD_TYPE },
	{ "socket", open_socket, READ, -EINVAL, STILE_REASON_FD_TYPE },
	{ "file on a disk", open_file, READ, -EINVAL, STILE_REASON_FD_TYPE },
	{ "no seal", open_unsealed, READ, -EPERM, STILE_REASON_FD_SEALS },
	{ "no shrink seal", open_grow_sealed, READ, -EPERM, STILE_REASON_FD_SEALS },
	{ "read-only, to write", open_read_only, WRITE, -EACCES, STILE_REASON_FD_ACCESS },
	{ "read-only, for both", open_read_only, BOTH, -EACCES, STILE_REASON_FD_ACCESS },
	{ "write seal, to write", open_write_sealed, WRITE, -EACCES, STILE_REASON_FD_ACCESS },
	{ "future write seal, for both", open_future_write_sealed, BOTH, -EACCES,
		STILE_REASON_FD_ACCESS },
	{ "write-only, to read", open_write_only, READ, -EACCES, STILE_REASON_FD_ACCESS },
	{ "write-only, to write", open_write_only, WRITE, -EACCES, STILE_REASON_FD_ACCESS },
};

START_TEST(wrong_descriptor_is_refused_with_the_reason) {
	const struct refusal *c = &refusals[_i];
	int fd = c->open();
	struct stile_report report = { .size = sizeof(report), .reason = STILE_REASON_DRIVER };
	struct stile_buffer *buffer = (struct stile_buffer *)&report;
	int ret = stile_buffer_import_fd(device, fd, c->usage, &report, &buffer);
	ck_assert_msg(ret == c->ret, "%s: %d instead of %d", c->what, ret, c->ret);
	ck_assert_ptr_null(buffer);
	ck_assert_msg(report.reason == c->reason, "%s: reason %d", c->what, (int)report.reason);
	ck_assert_int_eq(report.error, c->ret);
	char number[16];
	snprintf(number, sizeof(number), "%d", fd);
	ck_assert_msg(strstr(report.text, number) != NULL, "%s: '%s'", c->what, report.text);
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, c->usage, NULL, &buffer), c->ret);
	if (ret != -EBADF) {
		ck_assert_int_eq(close(fd), 0);
	} else if (fd >= 0) {
		close(fd);
	}
}
END_TEST

START_TEST(report_of_impossible_size_is_einval) {
	struct stile_buffer *buffer = create(1), *again = buffer;
	int fd = export(buffer, READ);
	struct stile_report report = { .size = (size_t[]){ 0, 7, SIZE_MAX }[_i] };
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, READ, &report, &again), -EINVAL);
	ck_assert_ptr_null(again);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Threads and failures ------------------------------------------------------------------ */

struct race {
	int fd;
	atomic_bool stop;
	atomic_int bad;
};

static void *race_run(void *arg) {
	struct race *race = arg;
	while (!race->stop) {
		struct stile_buffer *one, *other;
		if (stile_buffer_import_fd(device, race->fd, BOTH, NULL, &one) < 0) {
			race->bad++;
			continue;
		}
		if (stile_buffer_import_fd(device, race->fd, READ, NULL, &other) < 0) {
			race->bad++;
		} else {
			race->bad += one != other;
			stile_buffer_unref(other);
		}
		stile_buffer_unref(one);
	}
	return NULL;
}

/*
 * The last reference goes while somebody finds the object. Wrong code: a count that falls to 0
 * outside the lock; the sanitizers see the rest.
 */
START_TEST(import_against_unref_never_finds_a_dead_buffer) {
	struct race race = { .fd = memory_create(4096, F_SEAL_SHRINK) };
	pthread_t threads[4];
	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, race_run, &race), 0);
	}
	runner_sleep_ms(500);
	race.stop = true;
	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
		pthread_join(threads[i], NULL);
	}
	ck_assert_int_eq(race.bad, 0);
	close(race.fd);
}
END_TEST

struct attempt {
	struct stile_buffer *buffer;
	int fd;
	struct stile_report report;
};

static int attempt_create(void *user) {
	struct attempt *attempt = user;
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = 1 };
	return stile_buffer_create(device, &info, &attempt->buffer);
}

static int attempt_import(void *user) {
	struct attempt *attempt = user;
	attempt->report = (struct stile_report){ .size = sizeof(attempt->report) };
	return stile_buffer_import_fd(
		device, attempt->fd, BOTH, &attempt->report, &attempt->buffer);
}

static void after_create(void *user, int ret) {
	struct attempt *attempt = user;
	ck_assert_int_eq(attempt->buffer == NULL, ret < 0);
	stile_buffer_unref(attempt->buffer);
}

static void after_import(void *user, int ret) {
	const struct attempt *attempt = user;
	ck_assert_int_eq(attempt->report.error, ret);
	ck_assert_int_eq(
		attempt->report.reason, ret < 0 ? STILE_REASON_RESOURCES : STILE_REASON_NONE);
	after_create(user, ret);
}

START_TEST(create_and_import_survive_every_failure) {
	static const int errors[] = { -ENOMEM, -EMFILE, 0 };
	struct attempt attempt = { .fd = memory_create(4096, F_SEAL_SHRINK) };
	ck_assert_uint_ge(failing_sweep(attempt_create, after_create, &attempt, errors), 2);
	ck_assert_uint_ge(failing_sweep(attempt_import, after_import, &attempt, errors), 3);
	close(attempt.fd);
}
END_TEST

/* A buffer whose storage is not there yet. */
struct first {
	struct stile_buffer *buffer;
	int fd;
	void *address;
};

static int attempt_export(void *user) {
	struct first *first = user;
	return stile_buffer_export_fd(first->buffer, READ, &first->fd);
}

static void after_export(void *user, int ret) {
	struct first *first = user;
	ck_assert_int_eq(first->fd == -1, ret < 0);
	if (ret == 0) {
		close(first->fd);
	}
	stile_buffer_unref(first->buffer);
	first->buffer = create(1);
}

static int attempt_mmap(void *user) {
	struct first *first = user;
	return stile_buffer_mmap(first->buffer, READ, &first->address);
}

static void after_mmap(void *user, int ret) {
	struct first *first = user;
	ck_assert_int_eq(first->address == NULL, ret < 0);
	if (ret == 0) {
		stile_buffer_munmap(first->buffer, first->address);
	}
	stile_buffer_unref(first->buffer);
	first->buffer = create(1);
}

/* Wrong code: half of the storage kept where something runs out. */
START_TEST(first_need_survives_every_failure) {
	static const int errors[] = { -ENOMEM, -EMFILE, 0 };
	struct first first = { .buffer = create(1) };
	ck_assert_uint_ge(failing_sweep(attempt_export, after_export, &first, errors), 4);
	ck_assert_uint_ge(failing_sweep(attempt_mmap, after_mmap, &first, errors), 4);
	stile_buffer_unref(first.buffer);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("buffer");
	TCase *memory = ledger_tcase_create("memory");
	tcase_add_checked_fixture(memory, setup, teardown);
	tcase_add_loop_test(memory, size_is_whole_pages, 0, 6);
	tcase_add_loop_test(memory, impossible_size_is_refused, 0, ARRAY_LENGTH(bad_sizes));
	tcase_add_test(memory, memory_is_zeroed_sealed_and_writable);
	tcase_add_loop_test(memory, name_has_at_most_31_bytes, 30, 33);
	tcase_add_loop_test(
		memory, storage_is_there_from_the_first_need_on, 0, ARRAY_LENGTH(needs));
	suite_add_tcase(s, memory);

	TCase *identity = ledger_tcase_create("identity");
	tcase_add_checked_fixture(identity, setup, teardown);
	tcase_add_test(identity, same_memory_is_the_same_object);
	tcase_add_test(identity, other_memory_is_another_object);
	tcase_add_test(identity, memory_that_was_forgotten_can_come_back);
	tcase_add_test(identity, buffer_outlives_its_device);
	suite_add_tcase(s, identity);

	TCase *access = ledger_tcase_create("access");
	tcase_add_checked_fixture(access, setup, teardown);
	tcase_add_test(access, read_only_descriptor_gives_no_right_to_write);
	tcase_add_loop_test(access, memory_sealed_against_writing_is_for_reading_only, 0, 2);
	tcase_add_loop_test(access, memory_sealed_after_the_import_is_not_written_any_more, 0, 2);
	tcase_add_loop_test(
		access, reading_export_gives_no_right_to_write_where_there_is_a_way, 0, 2);
	tcase_add_test(access, writes_through_one_view_show_in_the_other);
	tcase_add_test(access, exported_descriptor_is_cloexec_and_new);
	tcase_add_loop_test(access, unknown_usage_is_einval_everywhere, 0, 4);
	tcase_add_loop_test(
		access, mapping_that_does_not_fit_is_refused, 0, ARRAY_LENGTH(huge_sizes));
	suite_add_tcase(s, access);

	TCase *refused = ledger_tcase_create("refused");
	tcase_add_checked_fixture(refused, setup, teardown);
	tcase_add_loop_test(
		refused, wrong_descriptor_is_refused_with_the_reason, 0, ARRAY_LENGTH(refusals));
	tcase_add_loop_test(refused, report_of_impossible_size_is_einval, 0, 3);
	suite_add_tcase(s, refused);

	TCase *rest = ledger_tcase_create("threads and failures");
	tcase_add_checked_fixture(rest, setup, teardown);
	tcase_add_test(rest, import_against_unref_never_finds_a_dead_buffer);
	tcase_add_test(rest, create_and_import_survive_every_failure);
	tcase_add_test(rest, first_need_survives_every_failure);
	suite_add_tcase(s, rest);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
