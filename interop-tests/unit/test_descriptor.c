/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of buffers: KERNEL_CONTRACT B-2 to B-5 and section 12, as far as a file in memory has it.
 * What poll() says: test_resv_poll.c; which descriptors are refused: test_buffer.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <stile/attachment.h>
#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/exporter.h>
#include <stile/resv.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/test_exporter.h"
#include "src/buffer.h"
#include "src/macros.h"
#include "src/os.h"

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
};

enum {
	PAGES = 2,
	MANY = 10000, /* buffers at once, of whose storage each has a descriptor */
	FDS_MORE = 200,
};

static struct stile_device *device, *other;
static struct test_exporter exporter;
static struct stile_buffer *exported; /* the exporter's; a test that gives it up sets it NULL */
static uint64_t page;
static int fences_before;

static void setup(void) {
	fences_before = plain_fence_count();
	page = os_page_size();
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &other), 0);
	test_exporter_init(&exporter, PAGES * page);
	exported = test_exporter_export(&exporter);
}

static void teardown(void) {
	stile_buffer_unref(exported);
	exported = NULL;
	test_exporter_finish(&exporter);
	stile_device_destroy(other);
	stile_device_destroy(device);
	device = other = NULL;
	ck_assert_int_eq(plain_fence_count(), fences_before);
}

static struct stile_buffer *create(uint64_t bytes) {
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = bytes };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	return buffer;
}

static int export(struct stile_buffer *buffer, uint32_t usage) {
	int fd;
	int ret = stile_buffer_export_fd(buffer, usage, &fd);
	ck_assert_msg(ret == 0, "export: %d", ret);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static struct stile_buffer *import(struct stile_device *to, int fd, uint32_t usage) {
	struct stile_report report = { .size = sizeof(report) };
	struct stile_buffer *buffer;
	int ret = stile_buffer_import_fd(to, fd, usage, &report, &buffer);
	ck_assert_msg(ret == 0, "import: %d, %s", ret, report.text);
	return buffer;
}

static void add_fence(struct stile_buffer *buffer, struct stile_fence *fence) {
	struct stile_resv *resv = stile_buffer_get_resv(buffer);
	ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
	ck_assert_int_eq(stile_resv_reserve_fences(resv, 1), 0);
	ck_assert_int_eq(stile_resv_add_fence(resv, fence, STILE_RESV_WRITE), 0);
	stile_resv_unlock(resv);
}

static size_t count_buffers(void) {
	size_t count = 0;
	struct stile_buffer *buffer = NULL;
	while ((buffer = stile_buffer_iter_next(buffer)) != NULL) {
		count++;
	}
	return count;
}

/* 0: the exporter's; 1: a backend's; 2: one that came by descriptor. A reference. */
enum { KINDS = 3 };

static struct stile_buffer *get(int kind) {
	if (kind == 0) {
		return stile_buffer_ref(exported);
	}
	if (kind == 1) {
		return create(PAGES * page);
	}
	int fd = memory_create(PAGES * page, F_SEAL_SHRINK);
	struct stile_buffer *buffer = import(device, fd, BOTH);
	close(fd);
	return buffer;
}

/* ---- What a descriptor is ------------------------------------------------------------------ */

/* How many descriptors an exec would hand on. */
static unsigned count_inherited(void) {
	unsigned count = 0;
	DIR *dir = opendir("/proc/self/fd");
	runner_require(dir != NULL, "no /proc");
	const struct dirent *entry;
	while ((entry = readdir(dir)) != NULL) {
		int flags = fcntl(atoi(entry->d_name), F_GETFD);
		count += entry->d_name[0] != '.' && flags >= 0 && (flags & FD_CLOEXEC) == 0;
	}
	closedir(dir);
	return count;
}

static atomic_bool over;
static atomic_uint most_inherited;

static void *watch_run(void *user) {
	(void)user;
	while (!over) {
		unsigned count = count_inherited();
		if (count > most_inherited) {
			most_inherited = count;
		}
	}
	return NULL;
}

/* B-2: O_CLOEXEC. Wrong code: set by a second call, between which and the first another thread execs. */
START_TEST(descriptors_are_cloexec_from_the_first_instant) {
	unsigned before = count_inherited();
	pthread_t thread;
	over = false;
	most_inherited = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, watch_run, NULL), 0);
	int64_t end = runner_clock_ns() + 300 * INT64_C(1000000);
	for (int i = 0; runner_clock_ns() < end; i++) {
		struct stile_buffer *buffer = get(i % KINDS);
		int fd = export(buffer, i / KINDS % 2 == 0 ? BOTH : READ), poll_fd;
		ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
		struct stile_buffer *again = import(other, fd, READ);
		ck_assert_int_eq(stile_buffer_get_poll_fd(buffer, &poll_fd), 0);
		ck_assert_int_eq(fcntl(poll_fd, F_GETFD), FD_CLOEXEC);
		close(poll_fd);
		close(fd);
		stile_buffer_unref(again);
		stile_buffer_unref(buffer);
		ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	}
	over = true;
	pthread_join(thread, NULL);
	ck_assert_uint_eq(most_inherited, before);
}
END_TEST

static const uint64_t sizes[] = { 1, 4096, 4097, 1000000, UINT64_C(1) << 33 };

/* D-1. Wrong code: the size that was asked for, or one cut to 32 bits. */
START_TEST(size_is_what_lseek_says) {
	struct stile_buffer *buffer = create(sizes[_i]);
	int fd = export(buffer, READ);
	ck_assert_uint_eq((uint64_t)lseek(fd, 0, SEEK_END), stile_buffer_get_bytes(buffer));
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	int again = export(buffer, BOTH);
	ck_assert_uint_eq((uint64_t)lseek(again, 0, SEEK_END), stile_buffer_get_bytes(buffer));
	close(again);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* B-2, B-5. Wrong code: one descriptor for all, closed by the first; different files for one memory. */
START_TEST(each_export_is_a_new_descriptor_of_one_file) {
	struct stile_buffer *buffer = get(_i);
	int one = export(buffer, BOTH), two = export(buffer, READ);
	struct stat a, b;
	ck_assert_int_ne(one, two);
	ck_assert_int_eq(fstat(one, &a), 0);
	ck_assert_int_eq(fstat(two, &b), 0);
	ck_assert(a.st_dev == b.st_dev && a.st_ino == b.st_ino);
	ck_assert_int_eq(fcntl(one, F_GETFL) & O_ACCMODE, O_RDWR);
	close(one);
	ck_assert_int_eq(lseek(two, 0, SEEK_SET), 0);
	close(two);
	stile_buffer_unref(buffer);
}
END_TEST

/* B-2. Wrong code: a descriptor that shows other bytes than the mapping; a copy. */
START_TEST(descriptor_shows_the_memory) {
	struct stile_buffer *buffer = get(_i);
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	strcpy((char *)address + page, "before");
	int fd = export(buffer, BOTH);
	char *shown = mmap(NULL, (size_t)(PAGES * page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(shown, MAP_FAILED);
	ck_assert_str_eq(shown + page, "before");
	strcpy(shown, "after");
	ck_assert_str_eq(address, "after");
	munmap(shown, (size_t)(PAGES * page));
	close(fd);
	stile_buffer_munmap(buffer, address);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Identity ------------------------------------------------------------------------------ */

/* B-5, DESIGN 6. Wrong code: an object a device; identity by number or by open file. */
START_TEST(same_memory_is_one_object_for_all_devices) {
	struct stile_buffer *buffer = get(_i);
	int fd = export(buffer, BOTH);
	int fds[] = { fd, export(buffer, READ), memory_reopen(fd, O_RDONLY),
		memory_reopen(fd, O_RDWR) };
	for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
		struct stile_buffer *here = import(device, fds[i], READ);
		struct stile_buffer *there = import(other, fds[i], READ);
		ck_assert_ptr_eq(here, buffer);
		ck_assert_ptr_eq(there, buffer);
		stile_buffer_unref(here);
		stile_buffer_unref(there);
		close(fds[i]);
	}
	ck_assert_int_eq(_i == 0 ? exporter.count[OP_RELEASE] : 0, 0);
	stile_buffer_unref(buffer);
}
END_TEST

/*
 * B-5. Wrong code: the object found by a number that is another's by now; what a device knew dies with it.
 */
START_TEST(identity_survives_the_device_and_the_descriptor) {
	int fd = memory_create(page, F_SEAL_SHRINK);
	struct stile_buffer *buffer = import(other, fd, BOTH);
	int again = export(buffer, BOTH);
	close(fd);
	stile_device_destroy(other);
	other = NULL;
	struct stile_buffer *here = import(device, again, BOTH);
	ck_assert_ptr_eq(here, buffer);
	stile_buffer_unref(buffer);
	int third = export(here, READ);
	close(again);
	buffer = import(device, third, READ);
	ck_assert_ptr_eq(buffer, here);
	close(third);
	stile_buffer_unref(buffer);
	stile_buffer_unref(here);
}
END_TEST

/* B-4, B-5. Wrong code: a table that keeps the dead, or keeps the memory. */
START_TEST(memory_comes_back_as_a_new_object) {
	struct stile_buffer *buffer = create(page);
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	strcpy(address, "kept");
	stile_buffer_munmap(buffer, address);
	ck_assert_int_eq(stile_buffer_set_name(buffer, "old"), 0);
	int fd = export(buffer, BOTH);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(count_buffers(), 1);

	buffer = import(other, fd, BOTH);
	char name[STILE_BUFFER_NAME_BYTES];
	stile_buffer_get_name(buffer, name);
	ck_assert_str_eq(name, "");
	ck_assert_uint_eq(stile_buffer_get_bytes(buffer), page);
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &address), 0);
	ck_assert_str_eq(address, "kept");
	stile_buffer_munmap(buffer, address);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

static int show_another_file(struct stile_buffer *buffer, uint32_t usage, int *fd) {
	(void)buffer;
	(void)usage;
	*fd = fcntl(exporter.fd, F_DUPFD_CLOEXEC, 0);
	return *fd < 0 ? -errno : 0;
}

/*
 * B-5. Wrong code: one file that is two buffers, of which an import finds either; a descriptor that is
 * left open; a lie that is never forgiven.
 */
START_TEST(file_of_another_buffer_is_eexist) {
	struct test_exporter own;
	test_exporter_init(&own, PAGES * page);
	own.ops.export_fd = show_another_file;
	struct stile_buffer *liar = test_exporter_export(&own);
	int fd = export(exported, BOTH), lie = 0;
	ck_assert_int_eq(stile_buffer_export_fd(liar, READ, &lie), -EEXIST);
	ck_assert_int_eq(lie, -1);
	struct stile_buffer *found = import(device, fd, READ);
	ck_assert_ptr_eq(found, exported);
	stile_buffer_unref(found);
	stile_buffer_unref(exported);
	exported = NULL;
	/* Nobody else's any more. */
	lie = export(liar, READ);
	found = import(device, fd, READ);
	ck_assert_ptr_eq(found, liar);
	stile_buffer_unref(found);
	close(lie);
	close(fd);
	stile_buffer_unref(liar);
	test_exporter_finish(&own);
}
END_TEST

static pthread_t importer;

/* Whether what is found has still the exporter's private data. It is kept if not. */
static void *import_run(void *user) {
	bool *is_dead = user;
	struct stile_buffer *found;
	int ret = stile_buffer_import_fd(device, exporter.fd, READ, NULL, &found);
	runner_require(ret == 0, "import: %d", ret);
	*is_dead = stile_buffer_get_priv(found) == &exporter;
	if (!*is_dead) {
		stile_buffer_unref(found);
	}
	return NULL;
}

static bool found_dead, found_in_time;

static void import_at_the_end(struct test_exporter *of, enum test_exporter_op op) {
	(void)of;
	if (op == OP_DETACH) {
		int ret = pthread_create(&importer, NULL, import_run, &found_dead);
		runner_require(ret == 0, "no thread");
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 10;
		found_in_time = pthread_timedjoin_np(importer, NULL, &until) == 0;
	}
}

/*
 * B-4, B-6. Wrong code: whoever asks for a file while its buffer goes, which takes a while if something is
 * attached, gets that one; or has to wait for what its exporter does then.
 */
START_TEST(buffer_that_is_going_is_not_found) {
	ledger_expect_complaint("whose last reference is gone");
	const struct stile_attach_info info = {
		.size = sizeof(info), .device = device, .usage = READ
	};
	struct stile_attachment *attachment;
	close(export(exported, READ));
	ck_assert_int_eq(stile_buffer_attach(exported, &info, NULL, &attachment), 0);
	exporter.hook = import_at_the_end;
	found_dead = false;
	stile_buffer_unref(exported);
	exported = NULL;
	ck_assert(found_in_time);
	ck_assert(!found_dead);
}
END_TEST

/* B-5: st_dev and st_ino. Wrong code: files of two file systems that have the same number are one. */
START_TEST(files_are_known_by_both_numbers) {
	struct stile_buffer *second = create(page), *third = create(page);
	struct stat st = { .st_dev = 1, .st_ino = 1 };
	ck_assert_int_eq(buffer_table_set_file(exported, &st), 0);
	st.st_dev = 2;
	ck_assert_int_eq(buffer_table_set_file(second, &st), 0);
	struct stile_buffer *found = buffer_table_find(-1, &st);
	ck_assert_ptr_eq(found, second);
	stile_buffer_unref(found);
	ck_assert_int_eq(buffer_table_set_file(third, &st), -EEXIST);
	st.st_ino = 2;
	ck_assert_ptr_null(buffer_table_find(-1, &st));
	stile_buffer_unref(third);
	stile_buffer_unref(second);
}
END_TEST

/* Often enough that whose descriptor of this number was last is what is asked about first. */
static void import_often(int fd, const struct stile_buffer *buffer) {
	for (int i = 0; i < 3; i++) {
		struct stile_buffer *found = import(device, fd, BOTH);
		ck_assert_ptr_eq(found, buffer);
		stile_buffer_unref(found);
	}
}

static int import_error(int fd) {
	struct stile_report report = { .size = sizeof(report) };
	struct stile_buffer *buffer;
	int ret = stile_buffer_import_fd(device, fd, BOTH, &report, &buffer);
	ck_assert_ptr_null(buffer);
	return ret;
}

/* B-5. Wrong code: a descriptor is the buffer's of which one with its number was before. */
START_TEST(number_of_a_descriptor_says_nothing) {
	struct stile_buffer *first = get(_i), *second = create(page);
	int fd = export(first, BOTH), theirs = export(second, BOTH);
	import_often(fd, first);
	ck_assert_int_eq(dup3(theirs, fd, O_CLOEXEC), fd);
	import_often(fd, second);
	stile_buffer_unref(second);
	/* Its storage goes, its file does not. */
	second = import(device, fd, BOTH);
	import_often(fd, second);
	close(fd);
	ck_assert_int_eq(import_error(fd), -EBADF);
	close(theirs);
	stile_buffer_unref(second);
	stile_buffer_unref(first);
}
END_TEST

/* B-3. Wrong code: a descriptor allows what one of the same file with its number did. */
START_TEST(number_of_a_descriptor_grants_nothing) {
	struct stile_buffer *buffer = get(_i);
	int fd = export(buffer, BOTH);
	import_often(fd, buffer);
	int weak = memory_reopen(fd, O_RDONLY);
	ck_assert_int_eq(dup3(weak, fd, O_CLOEXEC), fd);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(import_error(fd), -EACCES);
	}
	close(weak);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* Section 12. Wrong code: what was writable when it was last imported is not looked at again. */
START_TEST(seal_that_came_since_is_seen) {
	int fd = memory_create(page, F_SEAL_SHRINK);
	struct stile_buffer *buffer = import(device, fd, BOTH);
	import_often(fd, buffer);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	ck_assert_int_eq(import_error(fd), -EACCES);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* B-5. Wrong code: the exporter's buffer takes a name that somebody else has already got. */
START_TEST(file_that_was_imported_before_is_eexist) {
	struct stile_buffer *stranger = import(device, exporter.fd, READ);
	ck_assert_ptr_ne(stranger, exported);
	int fd = 0;
	ck_assert_int_eq(stile_buffer_export_fd(exported, READ, &fd), -EEXIST);
	ck_assert_int_eq(fd, -1);
	stile_buffer_unref(stranger);
	fd = export(exported, READ);
	stranger = import(device, fd, READ);
	ck_assert_ptr_eq(stranger, exported);
	stile_buffer_unref(stranger);
	close(fd);
}
END_TEST

static int fds_given;

static int show_a_new_file(struct stile_buffer *buffer, uint32_t usage, int *fd) {
	(void)buffer;
	(void)usage;
	fds_given++;
	*fd = memory_create(page, F_SEAL_SHRINK);
	return 0;
}

/* "One file is one buffer". Wrong code: the second one taken, or the first one forgotten. */
START_TEST(exporter_that_gives_two_files_is_eexist) {
	struct test_exporter own;
	test_exporter_init(&own, page);
	own.ops.export_fd = show_a_new_file;
	struct stile_buffer *liar = test_exporter_export(&own);
	fds_given = 0;
	int fd = export(liar, READ), lie = 0;
	ck_assert_int_eq(stile_buffer_export_fd(liar, READ, &lie), -EEXIST);
	ck_assert_int_eq(lie, -1);
	ck_assert_int_eq(fds_given, 2);
	struct stile_buffer *found = import(device, fd, READ);
	ck_assert_ptr_eq(found, liar);
	stile_buffer_unref(found);
	close(fd);
	stile_buffer_unref(liar);
	test_exporter_finish(&own);
}
END_TEST

/* Wrong code: an error made another one; descriptors of what was refused. */
START_TEST(error_of_export_is_passed_on) {
	int fd = 0;
	exporter.fail[OP_EXPORT_FD] = -EPERM;
	ck_assert_int_eq(stile_buffer_export_fd(exported, BOTH, &fd), -EPERM);
	ck_assert_int_eq(fd, -1);
	ck_assert_str_eq(test_exporter_calls(&exporter), "export_fd!");
}
END_TEST

/* ---- Rights -------------------------------------------------------------------------------- */

/*
 * DESIGN 6: rights belong to the import handle. Wrong code: those of the object, which others gave more;
 * a right that is lost because somebody else had less.
 */
START_TEST(right_to_write_is_the_descriptors) {
	struct stile_buffer *buffer = get(_i);
	int writable = export(buffer, BOTH), readable = memory_reopen(writable, O_RDONLY);
	for (uint32_t usage = WRITE; usage <= BOTH; usage++) {
		struct stile_report report = { .size = sizeof(report) };
		struct stile_buffer *refused = buffer;
		ck_assert_int_eq(
			stile_buffer_import_fd(other, readable, usage, &report, &refused), -EACCES);
		ck_assert_ptr_null(refused);
		ck_assert_int_eq(report.reason, STILE_REASON_FD_ACCESS);
	}
	struct stile_buffer *reader = import(other, readable, READ);
	struct stile_buffer *writer = import(other, writable, BOTH);
	ck_assert_ptr_eq(reader, writer);
	stile_buffer_unref(reader);
	stile_buffer_unref(writer);
	close(readable);
	close(writable);
	stile_buffer_unref(buffer);
}
END_TEST

/* DESIGN 6. Wrong code: success, and then nothing may be written after all. */
START_TEST(descriptor_gives_no_right_that_the_exporter_denies) {
	struct test_exporter own;
	test_exporter_init(&own, page);
	own.info.usage = READ;
	struct stile_buffer *refused, *buffer = test_exporter_export(&own);
	int fd = export(buffer, READ);
	struct stile_buffer *reader = import(device, own.fd, READ);
	ck_assert_ptr_eq(reader, buffer);
	struct stile_report report = { .size = sizeof(report) };
	ck_assert_int_eq(stile_buffer_import_fd(device, own.fd, BOTH, &report, &refused), -EACCES);
	ck_assert_ptr_null(refused);
	ck_assert_int_eq(report.reason, STILE_REASON_FD_ACCESS);
	close(fd);
	stile_buffer_unref(reader);
	stile_buffer_unref(buffer);
	test_exporter_finish(&own);
}
END_TEST

/* An exporter's descriptor for reading is one. Wrong code: the usage is not handed on. */
START_TEST(exporter_is_told_the_usage_of_a_descriptor) {
	int fd = export(exported, READ);
	ck_assert_uint_eq(exporter.last[OP_EXPORT_FD].usage, READ);
	ck_assert_ptr_eq(mmap(NULL, (size_t)page, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	ck_assert_int_eq(errno, EACCES);
	close(fd);
	close(export(exported, WRITE));
	ck_assert_uint_eq(exporter.last[OP_EXPORT_FD].usage, WRITE);
	static const uint32_t unknown[] = { 0, 4, 7, UINT32_MAX };
	for (size_t i = 0; i < ARRAY_LENGTH(unknown); i++) {
		fd = 0;
		ck_assert_int_eq(stile_buffer_export_fd(exported, unknown[i], &fd), -EINVAL);
		ck_assert_int_eq(fd, -1);
	}
	ck_assert_str_eq(test_exporter_calls(&exporter), "export_fd export_fd");
}
END_TEST

/* ---- Who keeps what ------------------------------------------------------------------------ */

/* What holds a buffer, each in its own way. */
enum holder { FD, MAPPING, REFERENCE, POLL_FD, ATTACHMENT, HOLDERS };

enum { ORDERS = 120 };

struct holders {
	struct stile_buffer *buffer; /* borrowed from one of those that are left */
	int fd, poll_fd;
	char *mapping;
	struct stile_attachment *attachment; /* whose importer has a reference */
	bool held[HOLDERS];
};

/* The `order`-th permutation. */
static void permute(unsigned order, enum holder holders[HOLDERS]) {
	for (unsigned i = 0; i < HOLDERS; i++) {
		holders[i] = (enum holder)i;
	}
	for (unsigned i = HOLDERS; i > 1; i--) {
		unsigned at = order % i;
		order /= i;
		enum holder last = holders[i - 1];
		holders[i - 1] = holders[at];
		holders[at] = last;
	}
}

static void holders_begin(struct holders *all, struct stile_buffer *buffer) {
	void *address;
	struct stile_attach_info info = { .size = sizeof(info), .device = other, .usage = BOTH };
	*all = (struct holders){ .buffer = buffer, .fd = export(buffer, BOTH) };
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	all->mapping = address;
	strcpy(all->mapping, "held");
	ck_assert_int_eq(stile_buffer_get_poll_fd(buffer, &all->poll_fd), 0);
	ck_assert_int_eq(
		stile_buffer_attach(stile_buffer_ref(buffer), &info, NULL, &all->attachment), 0);
	memset(all->held, true, sizeof(all->held));
}

static void holders_give_up(struct holders *all, enum holder which) {
	all->held[which] = false;
	switch (which) {
	case FD:
		close(all->fd);
		break;
	case MAPPING:
		stile_buffer_munmap(all->buffer, all->mapping);
		break;
	case REFERENCE:
		stile_buffer_unref(all->buffer);
		break;
	case POLL_FD:
		close(all->poll_fd);
		break;
	default:
		stile_buffer_detach(all->buffer, all->attachment);
		stile_buffer_unref(all->buffer);
		break;
	}
}

/* Does the object itself live? Descriptors keep the memory alone. */
static bool holders_keep_the_buffer(const struct holders *all) {
	return all->held[MAPPING] || all->held[REFERENCE] || all->held[ATTACHMENT];
}

static void assert_fd_works(const struct holders *all) {
	char text[5] = "";
	ck_assert_int_eq(pread(all->fd, text, sizeof(text), 0), sizeof(text));
	ck_assert_str_eq(text, "held");
	struct stile_buffer *found = import(device, all->fd, BOTH);
	if (holders_keep_the_buffer(all)) {
		ck_assert_ptr_eq(found, all->buffer);
	}
	stile_buffer_unref(found);
}

/* All that is left does what it did. */
static void assert_held(const struct holders *all) {
	if (all->held[FD]) {
		assert_fd_works(all);
	}
	if (all->held[MAPPING]) {
		ck_assert_str_eq(all->mapping, "held");
	}
	if (all->held[REFERENCE]) {
		ck_assert_uint_eq(stile_buffer_get_bytes(all->buffer), PAGES * page);
	}
	if (all->held[POLL_FD]) {
		ck_assert(plain_fd_is_readable(all->poll_fd));
	}
	if (all->held[ATTACHMENT]) {
		const struct stile_sg *sg;
		ck_assert_int_eq(stile_attachment_map_unlocked(all->attachment, STILE_BIDIRECTIONAL,
					 INT64_MAX, NULL, &sg),
			0);
		stile_attachment_unmap_unlocked(all->attachment, sg, STILE_BIDIRECTIONAL);
	}
}

/*
 * B-4, 20.1. Wrong code: any holder that lets go of what another one needs; a last one that lets go of
 * nothing. All orders, of each kind of buffer.
 */
START_TEST(holders_go_in_any_order) {
	enum holder order[HOLDERS];
	struct holders all;
	int kind = _i / ORDERS;
	permute((unsigned)_i % ORDERS, order);
	holders_begin(&all, get(kind));
	if (kind == 0) {
		stile_buffer_unref(exported);
		exported = NULL;
	}
	for (unsigned i = 0; i < HOLDERS; i++) {
		holders_give_up(&all, order[i]);
		if (kind == 0) {
			ck_assert_uint_eq(
				exporter.count[OP_RELEASE], holders_keep_the_buffer(&all) ? 0 : 1);
			/* Then the memory is a stranger's file, as far as the library knows. */
		}
		assert_held(&all);
	}
}
END_TEST

/* Wrong code: that of this test, if permute() gives some order twice, and so leaves another out. */
START_TEST(orders_are_all_different) {
	bool seen[5 * 5 * 5 * 5 * 5] = { false };
	for (unsigned i = 0; i < ORDERS; i++) {
		enum holder order[HOLDERS];
		unsigned number = 0;
		permute(i, order);
		for (unsigned k = 0; k < HOLDERS; k++) {
			number = number * HOLDERS + order[k];
		}
		ck_assert(!seen[number]);
		seen[number] = true;
	}
}
END_TEST

/*
 * D-3, B-4: an armed poll keeps the buffer until the fence ends, also when its descriptor is closed. Wrong
 * code: a buffer that goes under a callback; one that never goes.
 */
START_TEST(armed_poll_keeps_the_buffer) {
	struct stile_fence *fence = plain_fence_create();
	int poll_fd;
	add_fence(exported, fence);
	ck_assert_int_eq(stile_buffer_get_poll_fd(exported, &poll_fd), 0);
	stile_buffer_unref(exported);
	exported = NULL;
	ck_assert(!plain_fd_is_readable(poll_fd));
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	if (_i == 1) {
		close(poll_fd);
		ck_assert_uint_eq(exporter.count[OP_RELEASE], 0);
	}
	stile_fence_signal(fence);
	test_exporter_await_release(&exporter);
	if (_i == 0) {
		ck_assert(plain_fd_is_readable(poll_fd));
		close(poll_fd);
	}
	stile_fence_unref(fence);
}
END_TEST

static void *signal_run(void *user) {
	stile_fence_signal(user);
	return NULL;
}

/*
 * D-3. Wrong code: the end of the fence and the last reference, which both drop the buffer, or of which
 * each leaves it to the other; the sanitizers see the rest.
 */
START_TEST(fence_of_an_armed_poll_ends_while_the_last_reference_goes) {
	for (int i = 0; i < 200; i++) {
		struct test_exporter own;
		test_exporter_init(&own, page);
		struct stile_buffer *buffer = test_exporter_export(&own);
		struct stile_fence *fence = plain_fence_create();
		pthread_t thread;
		int poll_fd;
		add_fence(buffer, fence);
		ck_assert_int_eq(stile_buffer_get_poll_fd(buffer, &poll_fd), 0);
		ck_assert_int_eq(pthread_create(&thread, NULL, signal_run, fence), 0);
		stile_buffer_unref(buffer);
		pthread_join(thread, NULL);
		test_exporter_await_release(&own);
		ck_assert(plain_fd_is_readable(poll_fd));
		close(poll_fd);
		stile_fence_unref(fence);
		test_exporter_finish(&own);
	}
}
END_TEST

static const char *own_name(struct stile_fence *fence) {
	(void)fence;
	return "own";
}

static bool is_done_when_asked(struct stile_fence *fence) {
	(void)fence;
	return false;
}

static void own_release(struct stile_fence *fence) {
	free(fence);
}

/* 0: a fence as any; 1: one that has ended when its end is asked for. */
static const struct stile_fence_ops own_fences[] = {
	{
		.size = sizeof(struct stile_fence_ops),
		.get_driver_name = own_name,
		.get_timeline_name = own_name,
		.release = own_release,
	},
	{
		.size = sizeof(struct stile_fence_ops),
		.get_driver_name = own_name,
		.get_timeline_name = own_name,
		.enable_signaling = is_done_when_asked,
		.release = own_release,
	},
};

/*
 * D-3. Wrong code: each fence that was armed, or tried, keeps the buffer; the one that told is the only one
 * to let it go.
 */
START_TEST(fence_that_does_not_tell_does_not_keep_the_buffer) {
	uint64_t context = stile_fence_context_alloc(1);
	int poll_fd;
	ck_assert_int_eq(stile_buffer_get_poll_fd(exported, &poll_fd), 0);
	for (uint64_t i = 1; i <= 2; i++) {
		struct stile_fence *fence = malloc(sizeof(*fence));
		ck_assert_ptr_nonnull(fence);
		ck_assert_int_eq(stile_fence_init(fence, &own_fences[_i], context, i), 0);
		/* The second one takes the place of the first. */
		add_fence(exported, fence);
		if (i == 2) {
			stile_fence_signal(fence);
		}
		stile_fence_unref(fence);
	}
	ck_assert(plain_fd_is_readable(poll_fd));
	close(poll_fd);
	stile_buffer_unref(exported);
	exported = NULL;
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 1);
}
END_TEST

/* D-3. Wrong code: kept by a descriptor that has nothing to wait for; poll that says no for ever. */
START_TEST(idle_poll_descriptor_does_not_keep_the_buffer) {
	int poll_fd;
	ck_assert_int_eq(stile_buffer_get_poll_fd(exported, &poll_fd), 0);
	stile_buffer_unref(exported);
	exported = NULL;
	ck_assert_uint_eq(exporter.count[OP_RELEASE], 1);
	ck_assert(plain_fd_is_readable(poll_fd));
	close(poll_fd);
}
END_TEST

/* ---- Limits -------------------------------------------------------------------------------- */

static struct rlimit limit_before;

static void setup_limits(void) {
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit_before), 0);
	setup();
}

static void limit_restore(void) {
	setrlimit(RLIMIT_NOFILE, &limit_before);
}

/* A test that failed does not leave the next ones without. */
static void teardown_limits(void) {
	limit_restore();
	teardown();
}

/* At most so many descriptors; gives how many that is. */
static rlim_t limit_fds(rlim_t wanted) {
	struct rlimit limit = limit_before;
	limit.rlim_cur = wanted > limit.rlim_max ? limit.rlim_max : wanted;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return limit.rlim_cur;
}

/* From now on there is no descriptor left. */
static void exhaust_fds(void) {
	int lowest = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	ck_assert_int_ge(lowest, 0);
	close(lowest);
	limit_fds((rlim_t)lowest);
	/* Those above are open. */
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0), -1);
}

/*
 * Wrong code: another error; half of a buffer; what worked before works no more; a device or a file that is
 * known by a descriptor that could not be made.
 */
START_TEST(limit_is_emfile_and_nothing_is_lost) {
	struct stile_buffer *fresh = create(page), *known = create(page);
	struct stile_buffer *imported = (struct stile_buffer *)&limit_before;
	int fd = export(known, BOTH), stranger = memory_create(page, F_SEAL_SHRINK);
	int given = 0;
	void *address = fresh;
	exhaust_fds();
	ck_assert_int_eq(stile_buffer_export_fd(known, BOTH, &given), -EMFILE);
	ck_assert_int_eq(given, -1);
	ck_assert_int_eq(stile_buffer_export_fd(fresh, BOTH, &given), -EMFILE);
	ck_assert_int_eq(given, -1);
	ck_assert_int_eq(stile_buffer_export_fd(exported, READ, &given), -EMFILE);
	ck_assert_int_eq(given, -1);
	ck_assert_int_eq(stile_buffer_mmap(fresh, BOTH, &address), -EMFILE);
	ck_assert_ptr_null(address);
	ck_assert_int_eq(stile_buffer_import_fd(device, stranger, BOTH, NULL, &imported), -EMFILE);
	ck_assert_ptr_null(imported);
	ck_assert_int_eq(stile_buffer_get_poll_fd(known, &given), -EMFILE);
	ck_assert_int_eq(given, -1);
	/* These need none. */
	imported = import(other, fd, BOTH);
	ck_assert_ptr_eq(imported, known);
	stile_buffer_unref(imported);
	ck_assert_int_eq(stile_buffer_mmap(known, BOTH, &address), 0);
	stile_buffer_munmap(known, address);
	struct stile_buffer *later = create(page);
	limit_restore();
	close(export(fresh, BOTH));
	close(export(later, BOTH));
	close(export(exported, BOTH));
	imported = import(device, stranger, BOTH);
	stile_buffer_unref(imported);
	ck_assert_int_eq(stile_buffer_get_poll_fd(known, &given), 0);
	close(given);
	close(stranger);
	close(fd);
	stile_buffer_unref(later);
	stile_buffer_unref(known);
	stile_buffer_unref(fresh);
}
END_TEST

static struct stile_buffer *many[MANY];

/* One that says its number, and has been shown. */
static void many_make(size_t number) {
	void *address;
	many[number] = create(page);
	ck_assert_int_eq(stile_buffer_mmap(many[number], BOTH, &address), 0);
	memcpy(address, &number, sizeof(number));
	stile_buffer_munmap(many[number], address);
	close(export(many[number], BOTH));
}

static void many_check(size_t number) {
	size_t found;
	int fd = export(many[number], BOTH);
	ck_assert_int_eq(pread(fd, &found, sizeof(found), 0), (ssize_t)sizeof(found));
	ck_assert_uint_eq(found, number);
	struct stile_buffer *again = import(other, fd, BOTH);
	ck_assert_ptr_eq(again, many[number]);
	stile_buffer_unref(again);
	close(fd);
}

static void swap(struct stile_buffer **one, struct stile_buffer **another) {
	struct stile_buffer *both = *one;
	*one = *another;
	*another = both;
}

/* Wrong code: a table of a fixed size; one that is lost among many; a number too wide for something. */
START_TEST(ten_thousand_at_once) {
	rlim_t limit = limit_fds(MANY + FDS_MORE);
	size_t count = MANY, before = count_buffers();
	if (limit < MANY + FDS_MORE) {
		count = (size_t)limit - FDS_MORE;
		printf("only %zu buffers instead of %d: the hard limit of descriptors is %llu\n",
			count, MANY, (unsigned long long)limit);
		fflush(stdout);
	}
	for (size_t i = 0; i < count; i++) {
		many_make(i);
	}
	ck_assert_uint_eq(count_buffers(), before + count);
	for (size_t i = 0; i < count; i++) {
		many_check(i);
	}
	/* Away with them in any order, and what is left is as it was. */
	uint64_t state = runner_seed();
	for (size_t left = count; left > 0; left--) {
		swap(&many[left - 1], &many[runner_random(&state) % left]);
		stile_buffer_unref(many[left - 1]);
	}
	ck_assert_uint_eq(count_buffers(), before);
	limit_restore();
}
END_TEST

/* ---- Failures ------------------------------------------------------------------------------ */

struct attempt {
	struct stile_buffer *buffer;
	int fd;
	int given;
	struct stile_buffer *imported;
	size_t buffers; /* of the process, before */
};

static int attempt_export(void *user) {
	struct attempt *attempt = user;
	return stile_buffer_export_fd(attempt->buffer, BOTH, &attempt->given);
}

static int attempt_poll(void *user) {
	struct attempt *attempt = user;
	return stile_buffer_get_poll_fd(attempt->buffer, &attempt->given);
}

static void after_fd(void *user, int ret) {
	struct attempt *attempt = user;
	ck_assert_int_eq(attempt->given == -1, ret < 0);
	if (ret == 0) {
		close(attempt->given);
	}
	ck_assert(!stile_resv_is_locked(stile_buffer_get_resv(attempt->buffer)));
}

static int attempt_import(void *user) {
	struct attempt *attempt = user;
	return stile_buffer_import_fd(device, attempt->fd, BOTH, NULL, &attempt->imported);
}

static void after_import(void *user, int ret) {
	struct attempt *attempt = user;
	ck_assert_int_eq(attempt->imported == NULL, ret < 0);
	stile_buffer_unref(attempt->imported);
	ck_assert_uint_eq(count_buffers(), attempt->buffers);
}

/* Each is the first to need the storage. Wrong code: a file, a lock or a place in a table that is kept. */
START_TEST(descriptors_survive_every_failure) {
	static const int errors[] = { -ENOMEM, -EMFILE, 0 };
	for (int kind = 0; kind < KINDS; kind++) {
		struct attempt attempt = { .buffer = get(kind) };
		ck_assert_uint_ge(failing_sweep(attempt_export, after_fd, &attempt, errors), 1);
		ck_assert_uint_ge(failing_sweep(attempt_poll, after_fd, &attempt, errors), 1);
		stile_buffer_unref(attempt.buffer);
	}
	struct attempt attempt = { .buffer = create(page),
		.fd = memory_create(page, F_SEAL_SHRINK) };
	attempt.buffers = count_buffers();
	ck_assert_uint_ge(failing_sweep(attempt_import, after_import, &attempt, errors), 2);
	close(attempt.fd);
	stile_buffer_unref(attempt.buffer);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("descriptor");
	TCase *what = ledger_tcase_create("what it is");
	tcase_add_checked_fixture(what, setup, teardown);
	tcase_add_test(what, descriptors_are_cloexec_from_the_first_instant);
	tcase_add_loop_test(what, size_is_what_lseek_says, 0, ARRAY_LENGTH(sizes));
	tcase_add_loop_test(what, each_export_is_a_new_descriptor_of_one_file, 0, KINDS);
	tcase_add_loop_test(what, descriptor_shows_the_memory, 0, KINDS);
	suite_add_tcase(s, what);

	TCase *identity = ledger_tcase_create("identity and rights");
	tcase_add_checked_fixture(identity, setup, teardown);
	tcase_add_loop_test(identity, same_memory_is_one_object_for_all_devices, 0, KINDS);
	tcase_add_test(identity, identity_survives_the_device_and_the_descriptor);
	tcase_add_test(identity, memory_comes_back_as_a_new_object);
	tcase_add_test(identity, file_of_another_buffer_is_eexist);
	tcase_add_test(identity, files_are_known_by_both_numbers);
	tcase_add_test(identity, buffer_that_is_going_is_not_found);
	tcase_add_loop_test(identity, number_of_a_descriptor_says_nothing, 0, KINDS);
	tcase_add_loop_test(identity, number_of_a_descriptor_grants_nothing, 0, KINDS);
	tcase_add_test(identity, seal_that_came_since_is_seen);
	tcase_add_test(identity, file_that_was_imported_before_is_eexist);
	tcase_add_test(identity, exporter_that_gives_two_files_is_eexist);
	tcase_add_test(identity, error_of_export_is_passed_on);
	tcase_add_loop_test(identity, right_to_write_is_the_descriptors, 0, KINDS);
	tcase_add_test(identity, descriptor_gives_no_right_that_the_exporter_denies);
	tcase_add_test(identity, exporter_is_told_the_usage_of_a_descriptor);
	suite_add_tcase(s, identity);

	TCase *life = ledger_tcase_create("who keeps what");
	tcase_add_checked_fixture(life, setup, teardown);
	tcase_add_test(life, orders_are_all_different);
	tcase_add_loop_test(life, holders_go_in_any_order, 0, KINDS * ORDERS);
	tcase_add_loop_test(life, armed_poll_keeps_the_buffer, 0, 2);
	tcase_add_test(life, fence_of_an_armed_poll_ends_while_the_last_reference_goes);
	tcase_add_test(life, idle_poll_descriptor_does_not_keep_the_buffer);
	tcase_add_loop_test(life, fence_that_does_not_tell_does_not_keep_the_buffer, 0, 2);
	suite_add_tcase(s, life);

	TCase *limits = ledger_tcase_create("limits");
	tcase_add_checked_fixture(limits, setup_limits, teardown_limits);
	tcase_set_timeout(limits, 60);
	tcase_add_test(limits, limit_is_emfile_and_nothing_is_lost);
	tcase_add_test(limits, ten_thousand_at_once);
	tcase_add_test(limits, descriptors_survive_every_failure);
	suite_add_tcase(s, limits);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
