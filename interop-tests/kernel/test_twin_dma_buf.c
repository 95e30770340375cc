/* SPDX-License-Identifier: MIT */
/*
 * Memory that is shared, and who waits for whom about it: KERNEL_CONTRACT section 12 (D-...), with
 * P-1, P-2, P-5, B-5, R-6 and what sections 13 and 14 say of memory, of the kernel's dma-bufs and
 * of the library's buffers.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interop-tests/kernel/twin.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"

enum { PAGE = 4096, BYTES = 2 * PAGE, USAGES = 3 };

static const uint32_t usages[USAGES] = { TWIN_READ, TWIN_WRITE, TWIN_BOTH };

static struct twin_buffer *create(void) {
	struct twin_buffer *buffer;
	ck_assert_int_eq(ops->buffer_create(BYTES, &buffer), 0);
	return buffer;
}

static void import(struct twin_buffer *buffer, uint32_t usage, struct twin_fence *fence) {
	ck_assert_int_eq(ops->buffer_import(buffer, usage, fence), 0);
}

static struct twin_fence *export(struct twin_buffer *buffer, uint32_t usage) {
	struct twin_fence *fence;
	ck_assert_int_eq(ops->buffer_export(buffer, usage, &fence), 0);
	return fence;
}

static size_t count_leaves(struct twin_fence *fence) {
	struct twin_info info;
	ops->fence_get_info(fence, &info);
	return info.count;
}

/* What it is ready for, without waiting. */
static int ready_for(struct twin_buffer *buffer) {
	return ops->buffer_poll(buffer, POLLIN | POLLOUT, 0);
}

/* It will be, if the end of a fence comes by a descriptor. */
static void becomes_ready_for(struct twin_buffer *buffer, int events) {
	for (int event = POLLIN; event != 0; event = event == POLLIN ? POLLOUT : 0) {
		if ((events & event) != 0) {
			ck_assert_int_eq(ops->buffer_poll(buffer, event, TWIN_HANG_MS), event);
		}
	}
	ck_assert_int_eq(ready_for(buffer), events);
}

/* Does this use wait for work of that usage? */
static bool waits_for(uint32_t use, uint32_t work) {
	return (use & TWIN_WRITE) != 0 || (work & TWIN_WRITE) != 0;
}

/* ---- The descriptor ------------------------------------------------------------------------ */

/*
 * D-1, B-2. Wrong code: the size asked for in place of the size there is; a descriptor that a child
 * inherits.
 */
START_TEST(size_is_what_seeking_to_the_end_says) {
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	int fd;
	ck_assert_int_eq(ops->buffer_get_fd(buffer, &fd), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(lseek(fd, 0, SEEK_END), BYTES);
		ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	}
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	close(fd);
}
END_TEST

/* B-5. Wrong code: a new file for each descriptor; one file for two memories. */
START_TEST(descriptors_of_one_memory_are_one_file) {
	twin_begin(_i);
	struct twin_buffer *buffers[] = { create(), create() };
	struct stat seen[4];
	for (int i = 0; i < 4; i++) {
		int fd;
		ck_assert_int_eq(ops->buffer_get_fd(buffers[i / 2], &fd), 0);
		ck_assert_int_eq(fstat(fd, &seen[i]), 0);
		close(fd);
	}
	ck_assert_uint_eq(seen[0].st_ino, seen[1].st_ino);
	ck_assert_uint_eq(seen[0].st_dev, seen[1].st_dev);
	ck_assert_uint_eq(seen[2].st_ino, seen[3].st_ino);
	ck_assert_uint_ne(seen[0].st_ino, seen[2].st_ino);
}
END_TEST

/*
 * D-5. Wrong code: a name cut in place of refused, or kept by pointer; the old one lost where the
 * new one is refused.
 */
START_TEST(name_has_31_bytes_at_most) {
	static const char longest[] = "0123456789012345678901234567890";
	static const char longer[] = "01234567890123456789012345678901";
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	char got[TWIN_NAME_BYTES], given[] = "first";
	ops->buffer_get_name(buffer, got);
	ck_assert_str_eq(got, "");
	ck_assert_int_eq(ops->buffer_set_name(buffer, given), 0);
	given[0] = 'w';
	ops->buffer_get_name(buffer, got);
	ck_assert_str_eq(got, "first");
	ck_assert_int_eq(ops->buffer_set_name(buffer, longest), 0);
	ck_assert_int_eq(ops->buffer_set_name(buffer, longer), -EINVAL);
	ops->buffer_get_name(buffer, got);
	ck_assert_str_eq(got, longest);
	ck_assert_int_eq(ops->buffer_set_name(buffer, longest), 0);
	ck_assert_int_eq(ops->buffer_set_name(buffer, ""), 0);
	ops->buffer_get_name(buffer, got);
	ck_assert_str_eq(got, "");
}
END_TEST

/* ---- Polling ------------------------------------------------------------------------------- */

/*
 * D-2. Wrong code: POLLIN and POLLOUT confused; what was not asked for told; an error where there
 * is none.
 */
START_TEST(reading_waits_for_writers_and_writing_for_all) {
	twin_begin(_i);
	for (int i = 0; i < USAGES; i++) {
		struct twin_buffer *buffer = create();
		ck_assert_int_eq(ready_for(buffer), POLLIN | POLLOUT);
		struct twin_fence *fence = ops->fence_create();
		import(buffer, usages[i], fence);
		int left = (usages[i] & TWIN_WRITE) != 0 ? 0 : POLLIN;
		ck_assert_int_eq(ready_for(buffer), left);
		ck_assert_int_eq(ops->buffer_poll(buffer, POLLIN, 0), left);
		ck_assert_int_eq(ops->buffer_poll(buffer, POLLOUT, 0), 0);
		ck_assert_int_eq(ops->buffer_poll(buffer, 0, 0), 0);
		ops->fence_signal(fence);
		becomes_ready_for(buffer, POLLIN | POLLOUT);
		ck_assert_int_eq(ops->buffer_poll(buffer, POLLIN, 0), POLLIN);
		ck_assert_int_eq(ops->buffer_poll(buffer, POLLOUT, 0), POLLOUT);
		ck_assert_int_eq(ops->buffer_poll(buffer, 0, 0), 0);
	}
}
END_TEST

/* D-2. Wrong code: a failure that never ends, or is an error of the buffer's. */
START_TEST(failed_work_is_over) {
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	struct twin_fence *fence = ops->fence_create();
	import(buffer, TWIN_WRITE, fence);
	ck_assert_int_eq(ready_for(buffer), 0);
	ops->fence_fail(fence);
	becomes_ready_for(buffer, POLLIN | POLLOUT);
}
END_TEST

struct caller {
	pthread_t thread;
	struct twin_buffer *buffer;
	int what; /* events; a usage */
	int got;
	atomic_bool back;
};

static void *poll_run(void *data) {
	struct caller *caller = data;
	caller->got = ops->buffer_poll(caller->buffer, caller->what, TWIN_HANG_MS);
	atomic_store(&caller->back, true);
	return NULL;
}

static void *begin_run(void *data) {
	struct caller *caller = data;
	caller->got = ops->buffer_begin(caller->buffer, (uint32_t)caller->what);
	atomic_store(&caller->back, true);
	return NULL;
}

static void call(
	struct caller *caller, void *(*run)(void *), struct twin_buffer *buffer, int what) {
	caller->buffer = buffer;
	caller->what = what;
	atomic_init(&caller->back, false);
	ck_assert_int_eq(pthread_create(&caller->thread, NULL, run, caller), 0);
}

/*
 * D-3. Wrong code: told at the first end of several; one direction's pollers told for the other's.
 */
START_TEST(poll_goes_on_to_the_next_fence) {
	enum { FENCES = 3 };
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	struct twin_fence *fences[FENCES];
	for (int i = 0; i < FENCES; i++) {
		fences[i] = ops->fence_create();
		import(buffer, i == 0 ? TWIN_READ : TWIN_WRITE, fences[i]);
	}
	ck_assert_int_eq(ready_for(buffer), 0);
	struct caller reader, writer;
	call(&reader, poll_run, buffer, POLLIN);
	call(&writer, poll_run, buffer, POLLOUT);
	for (int i = 1; i < FENCES; i++) {
		runner_sleep_ms(10);
		ck_assert(!atomic_load(&reader.back));
		ops->fence_signal(fences[i]);
	}
	pthread_join(reader.thread, NULL);
	ck_assert_int_eq(reader.got, POLLIN);
	runner_sleep_ms(10);
	ck_assert(!atomic_load(&writer.back));
	ops->fence_signal(fences[0]);
	pthread_join(writer.thread, NULL);
	ck_assert_int_eq(writer.got, POLLOUT);
}
END_TEST

/* D-2, D-3. Wrong code: what came after somebody had looked is not noticed. */
START_TEST(work_that_comes_later_is_waited_for) {
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	for (int i = 0; i < 4; i++) {
		struct twin_fence *fence = ops->fence_create();
		import(buffer, TWIN_WRITE, fence);
		ck_assert_int_eq(ready_for(buffer), 0);
		ops->fence_signal(fence);
		becomes_ready_for(buffer, POLLIN | POLLOUT);
	}
}
END_TEST

/* D-3, B-4. Wrong code: a buffer that goes while somebody is to be told of its fence. */
START_TEST(buffer_may_be_closed_while_a_fence_is_awaited) {
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	struct twin_fence *fence = ops->fence_create();
	import(buffer, TWIN_WRITE, fence);
	ck_assert_int_eq(ready_for(buffer), 0);
	ops->buffer_close(buffer);
	ops->fence_signal(fence);
	ck_assert_int_eq(twin_finish(fence), 1);
}
END_TEST

/* ---- CPU access ---------------------------------------------------------------------------- */

/* D-4, P-1. Wrong code: directions confused; no wait; a wait for readers where one reads. */
START_TEST(access_waits_for_what_may_not_go_on_beside_it) {
	twin_begin(_i);
	for (int i = 0; i < USAGES * USAGES; i++) {
		uint32_t use = usages[i % USAGES], work = usages[i / USAGES];
		struct twin_buffer *buffer = create();
		struct twin_fence *fence = ops->fence_create();
		import(buffer, work, fence);
		struct caller caller;
		call(&caller, begin_run, buffer, (int)use);
		if (waits_for(use, work)) {
			runner_sleep_ms(10);
			ck_assert_msg(!atomic_load(&caller.back), "use %u, work %u", use, work);
			ops->fence_signal(fence);
		}
		pthread_join(caller.thread, NULL);
		ck_assert_int_eq(caller.got, 0);
		/* P-2: never a wait here. */
		import(buffer, TWIN_WRITE, ops->fence_create());
		ck_assert_int_eq(ops->buffer_end(buffer, use), 0);
		ops->buffer_close(buffer);
		ops->fence_signal(fence);
	}
}
END_TEST

/*
 * D-4, P-1. Wrong code: a wait that goes on whatever happens; an access that was begun
 * nevertheless.
 */
START_TEST(access_may_be_given_up) {
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	struct twin_fence *fence = ops->fence_create();
	import(buffer, TWIN_WRITE, fence);
	struct caller caller;
	call(&caller, begin_run, buffer, TWIN_READ);
	while (!atomic_load(&caller.back)) {
		runner_sleep_ms(1);
		ops->interrupt(caller.thread);
	}
	pthread_join(caller.thread, NULL);
	ck_assert_int_eq(caller.got, -EINTR);
	ck_assert_int_eq(ops->fence_get_status(fence), 0);
}
END_TEST

/* D-4, D-6, D-7. Wrong code: no usage taken for all; bits that nobody knows let pass. */
START_TEST(use_of_no_kind_is_refused) {
	static const uint32_t wrong[] = { 0, 8, 8 | TWIN_READ, 1u << 31 | TWIN_BOTH };
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	struct twin_fence *fence = ops->fence_create(), *got;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_int_eq(ops->buffer_begin(buffer, wrong[i]), -EINVAL);
		ck_assert_int_eq(ops->buffer_end(buffer, wrong[i]), -EINVAL);
		ck_assert_int_eq(ops->buffer_export(buffer, wrong[i], &got), -EINVAL);
		ck_assert_int_eq(ops->buffer_import(buffer, wrong[i], fence), -EINVAL);
	}
	ck_assert_int_eq(ready_for(buffer), POLLIN | POLLOUT);
}
END_TEST

/* ---- From implicit to explicit ------------------------------------------------------------- */

/* D-6, R-1. Wrong code: usages compared the other way round; what is done exported. */
START_TEST(export_holds_what_the_use_waits_for) {
	twin_begin(_i);
	for (int i = 0; i < USAGES; i++) {
		struct twin_buffer *buffer = create();
		struct twin_fence *reader = ops->fence_create(), *writer = ops->fence_create();
		struct twin_fence *second = ops->fence_create();
		import(buffer, TWIN_READ, reader);
		import(buffer, TWIN_WRITE, writer);
		import(buffer, TWIN_BOTH, second);
		bool writes = (usages[i] & TWIN_WRITE) != 0;
		struct twin_fence *all = export(buffer, usages[i]);
		ck_assert_uint_eq(count_leaves(all), writes ? 3 : 2);
		ops->fence_signal(writer);
		ck_assert(!twin_is_done(all));
		ops->fence_signal(second);
		ck_assert_int_eq(twin_finish(second), 1);
		struct twin_fence *rest = export(buffer, usages[i]);
		if (!writes) {
			ck_assert_int_eq(twin_finish(all), 1);
			ck_assert_int_eq(twin_finish(rest), 1);
		} else {
			ck_assert(!twin_is_done(all));
			ck_assert(!twin_is_done(rest));
		}
		ops->fence_signal(reader);
		ck_assert_int_eq(twin_finish(all), 1);
		ck_assert_int_eq(twin_finish(rest), 1);
	}
}
END_TEST

/* D-6. Wrong code: an error, or a fence that never ends, where there is nothing to wait for. */
START_TEST(export_of_nothing_is_done) {
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	for (int i = 0; i < USAGES; i++) {
		struct twin_fence *fence = export(buffer, usages[i]);
		ck_assert_int_eq(ops->fence_get_status(fence), 1);
		ck_assert_uint_eq(count_leaves(fence), 1);
		ck_assert(twin_is_done(fence));
	}
	struct twin_fence *reader = ops->fence_create();
	import(buffer, TWIN_READ, reader);
	ck_assert_int_eq(ops->fence_get_status(export(buffer, TWIN_READ)), 1);
	ck_assert_int_eq(ops->fence_get_status(export(buffer, TWIN_WRITE)), 0);
}
END_TEST

/* D-6. Wrong code: an exported fence that follows the buffer. */
START_TEST(exported_is_what_was_there_then) {
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	struct twin_fence *first = ops->fence_create();
	import(buffer, TWIN_WRITE, first);
	struct twin_fence *then = export(buffer, TWIN_BOTH);
	import(buffer, TWIN_WRITE, ops->fence_create());
	ops->fence_signal(first);
	ck_assert_int_eq(twin_finish(then), 1);
	ck_assert_int_eq(ops->fence_get_status(export(buffer, TWIN_BOTH)), 0);
	ops->buffer_close(buffer);
	ck_assert_int_eq(ops->fence_get_status(then), 1);
}
END_TEST

/* ---- From explicit to implicit ------------------------------------------------------------- */

/*
 * D-7. Wrong code: the container added in place of its leaves, or one of them; each with a usage of
 * its own.
 */
START_TEST(import_adds_each_leaf) {
	twin_begin(_i);
	struct twin_fence *a = ops->fence_create(), *b = ops->fence_create();
	struct twin_fence *merged = ops->fence_merge(a, b);
	struct twin_buffer *read = create(), *written = create();
	import(read, TWIN_READ, merged);
	import(written, TWIN_WRITE, merged);
	ck_assert_int_eq(ready_for(read), POLLIN);
	ck_assert_int_eq(ready_for(written), 0);
	ck_assert_uint_eq(count_leaves(export(written, TWIN_READ)), 2);
	ops->fence_signal(a);
	ck_assert_int_eq(twin_finish(a), 1);
	ck_assert_uint_eq(count_leaves(export(written, TWIN_READ)), 1);
	ck_assert_int_eq(ready_for(written), 0);
	ops->fence_signal(b);
	becomes_ready_for(written, POLLIN | POLLOUT);
	becomes_ready_for(read, POLLIN | POLLOUT);
}
END_TEST

/* D-7. Wrong code: an error for what is over, or a wait. */
START_TEST(import_of_what_is_done_changes_nothing) {
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	struct twin_fence *fence = ops->fence_create();
	ops->fence_signal(fence);
	ck_assert_int_eq(twin_finish(fence), 1);
	import(buffer, TWIN_WRITE, fence);
	ck_assert_int_eq(ready_for(buffer), POLLIN | POLLOUT);
	ck_assert_int_eq(ops->fence_get_status(export(buffer, TWIN_BOTH)), 1);
}
END_TEST

/*
 * R-6, D-7. Wrong code: a weaker use that takes the stronger one away; the same fence kept twice
 * for a writer.
 */
START_TEST(use_of_a_fence_grows_and_does_not_shrink) {
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	struct twin_fence *fence = ops->fence_create();
	import(buffer, TWIN_READ, fence);
	ck_assert_int_eq(ready_for(buffer), POLLIN);
	import(buffer, TWIN_WRITE, fence);
	ck_assert_int_eq(ready_for(buffer), 0);
	ck_assert_uint_eq(count_leaves(export(buffer, TWIN_WRITE)), 1);
	import(buffer, TWIN_READ, fence);
	ck_assert_int_eq(ready_for(buffer), 0);
	ops->fence_signal(fence);
	becomes_ready_for(buffer, POLLIN | POLLOUT);
}
END_TEST

/*
 * R-6, F-18. Wrong code: the older fence of a context kept beside a later one; a later one lost to
 * an older.
 */
START_TEST(later_fence_of_a_context_replaces_the_older) {
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	struct twin_fence *old = ops->fence_create(), *new = ops->fence_create_after(old);
	import(buffer, TWIN_WRITE, old);
	import(buffer, TWIN_WRITE, new);
	struct twin_fence *both = export(buffer, TWIN_BOTH);
	ck_assert_uint_eq(count_leaves(both), 1);
	/* Of the wrong order both stay. */
	struct twin_buffer *other = create();
	import(other, TWIN_WRITE, new);
	import(other, TWIN_WRITE, old);
	ops->fence_signal(old);
	ck_assert_int_eq(ready_for(buffer), 0);
	ck_assert_int_eq(ready_for(other), 0);
	ck_assert(!twin_is_done(both));
	ops->fence_signal(new);
	becomes_ready_for(buffer, POLLIN | POLLOUT);
	becomes_ready_for(other, POLLIN | POLLOUT);
}
END_TEST

/* D-6, D-7. Wrong code: fences that are lost on the way from one buffer to another. */
START_TEST(fences_go_from_buffer_to_buffer) {
	twin_begin(_i);
	struct twin_buffer *from = create(), *to = create();
	struct twin_fence *reader = ops->fence_create(), *writer = ops->fence_create();
	import(from, TWIN_READ, reader);
	import(from, TWIN_WRITE, writer);
	import(to, TWIN_WRITE, export(from, TWIN_WRITE));
	ops->buffer_close(from);
	ops->fence_signal(writer);
	ck_assert_int_eq(twin_finish(writer), 1);
	ck_assert_int_eq(ready_for(to), 0);
	ops->fence_signal(reader);
	becomes_ready_for(to, POLLIN | POLLOUT);
}
END_TEST

/* ---- Memory -------------------------------------------------------------------------------- */

/*
 * H-1, P-5. Wrong code: what others have left; less than whole pages; two mappings of two memories.
 */
START_TEST(new_memory_is_zeroed_whole_pages) {
	static const unsigned char zeros[BYTES];
	twin_begin(_i);
	struct twin_buffer *buffer;
	ck_assert_int_eq(ops->buffer_create(PAGE + 1, &buffer), 0);
	int fd;
	ck_assert_int_eq(ops->buffer_get_fd(buffer, &fd), 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), BYTES);
	void *address;
	ck_assert_int_eq(ops->buffer_map(buffer, TWIN_BOTH, 0, BYTES, &address), 0);
	ck_assert_mem_eq(address, zeros, BYTES);
	((unsigned char *)address)[BYTES - 1] = 7;
	unsigned char *other = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(other, MAP_FAILED);
	ck_assert_int_eq(other[BYTES - 1], 7);
	munmap(other, BYTES);
	ops->buffer_unmap(buffer, address, BYTES);
	close(fd);
}
END_TEST

/* H-1, V-2. Wrong code: memory of no bytes. */
START_TEST(nothing_is_no_memory) {
	twin_begin(_i);
	struct twin_buffer *buffer;
	ck_assert_int_eq(ops->buffer_create(0, &buffer), -EINVAL);
}
END_TEST

/* P-5. Wrong code: the offset ignored, as some of the kernel's drivers do. */
START_TEST(mapping_of_a_part_shows_that_part) {
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	void *all, *last;
	ck_assert_int_eq(ops->buffer_map(buffer, TWIN_BOTH, 0, BYTES, &all), 0);
	ck_assert_int_eq(ops->buffer_map(buffer, TWIN_BOTH, PAGE, PAGE, &last), 0);
	memset(all, 1, PAGE);
	memset((unsigned char *)all + PAGE, 2, PAGE);
	ck_assert_int_eq(((unsigned char *)last)[0], 2);
	ck_assert_int_eq(((unsigned char *)last)[PAGE - 1], 2);
	ops->buffer_unmap(buffer, last, PAGE);
	ops->buffer_unmap(buffer, all, BYTES);
}
END_TEST

/* P-5. Wrong code: pages behind the end mapped, where touching them is a SIGBUS. */
START_TEST(mapping_ends_with_the_memory) {
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	void *address;
	ck_assert_int_eq(ops->buffer_map(buffer, TWIN_BOTH, 0, BYTES + PAGE, &address), -EINVAL);
	ck_assert_int_eq(ops->buffer_map(buffer, TWIN_BOTH, PAGE, BYTES, &address), -EINVAL);
	ck_assert_int_eq(ops->buffer_map(buffer, TWIN_BOTH, BYTES, PAGE, &address), -EINVAL);
	ck_assert_int_eq(ops->buffer_map(buffer, TWIN_BOTH, 1, PAGE, &address), -EINVAL);
	ck_assert_int_eq(ops->buffer_map(buffer, TWIN_BOTH, 0, 0, &address), -EINVAL);
}
END_TEST

/* B-4. Wrong code: memory that goes with the last descriptor though it is mapped. */
START_TEST(mapping_keeps_the_memory) {
	twin_begin(_i);
	struct twin_buffer *buffer = create();
	int fd;
	ck_assert_int_eq(ops->buffer_get_fd(buffer, &fd), 0);
	unsigned char *bytes = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(bytes, MAP_FAILED);
	close(fd);
	ops->buffer_close(buffer);
	memset(bytes, 9, BYTES);
	ck_assert_int_eq(bytes[BYTES - 1], 9);
	munmap(bytes, BYTES);
}
END_TEST

/* V-4. Wrong code: a copy; a hole that is never filled; memory that needs its memfd open. */
START_TEST(memfd_and_buffer_are_the_same_bytes) {
	twin_begin(_i);
	int memfd = memory_create(BYTES, F_SEAL_SHRINK);
	ck_assert_int_eq(pwrite(memfd, "before", 6, 0), 6);
	struct twin_buffer *buffer;
	ck_assert_int_eq(ops->buffer_adopt(memfd, BYTES, &buffer), 0);
	unsigned char *bytes;
	ck_assert_int_eq(ops->buffer_map(buffer, TWIN_BOTH, 0, BYTES, (void **)&bytes), 0);
	ck_assert_mem_eq(bytes, "before", 6);
	ck_assert_int_eq(pwrite(memfd, "after", 5, PAGE), 5);
	ck_assert_mem_eq(bytes + PAGE, "after", 5);
	bytes[BYTES - 1] = 'x';
	char got;
	ck_assert_int_eq(pread(memfd, &got, 1, BYTES - 1), 1);
	ck_assert_int_eq(got, 'x');
	close(memfd);
	bytes[0] = 'y';
	ck_assert_int_eq(bytes[0], 'y');
	ops->buffer_unmap(buffer, bytes, BYTES);
}
END_TEST

/*
 * V-2. Wrong code: memory taken that others can make smaller, or nobody may write; any file taken.
 */
START_TEST(memory_that_cannot_be_shared_is_refused) {
	twin_begin(_i);
	struct twin_buffer *buffer;
	int loose = memory_create(BYTES, 0);
	int sealed = memory_create(BYTES, F_SEAL_SHRINK | F_SEAL_WRITE);
	int future = memory_create(BYTES, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE);
	int pipes[2];
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	/*
	 * The library says which seal it is, and knows a descriptor that is not open from a wrong
	 * one.
	 */
	ck_assert_int_eq(ops->buffer_adopt(loose, BYTES, &buffer), twin_either(-EINVAL, -EPERM));
	ck_assert_int_eq(ops->buffer_adopt(sealed, BYTES, &buffer), twin_either(-EINVAL, -EACCES));
	ck_assert_int_eq(ops->buffer_adopt(future, BYTES, &buffer), twin_either(-EINVAL, -EACCES));
	ck_assert_int_eq(
		ops->buffer_adopt(pipes[0], BYTES, &buffer), twin_either(-EBADFD, -EINVAL));
	ck_assert_int_eq(ops->buffer_adopt(memory_closed_fd(), BYTES, &buffer),
		twin_either(-EBADFD, -EBADF));
	close(loose);
	close(sealed);
	close(future);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

static Suite *make(void) {
	Suite *suite = suite_create("twin_dma_buf");
	TCase *tcase = twin_tcase_create("descriptor");
	twin_add(tcase, size_is_what_seeking_to_the_end_says, TWIN_BUFFERS);
	twin_add(tcase, descriptors_of_one_memory_are_one_file, TWIN_BUFFERS);
	twin_add(tcase, name_has_31_bytes_at_most, TWIN_BUFFERS);
	suite_add_tcase(suite, tcase);

	tcase = twin_tcase_create("poll");
	twin_add(tcase, reading_waits_for_writers_and_writing_for_all, TWIN_BUFFERS);
	twin_add(tcase, failed_work_is_over, TWIN_BUFFERS | TWIN_FAILS);
	twin_add(tcase, poll_goes_on_to_the_next_fence, TWIN_BUFFERS);
	twin_add(tcase, work_that_comes_later_is_waited_for, TWIN_BUFFERS);
	twin_add(tcase, buffer_may_be_closed_while_a_fence_is_awaited, TWIN_BUFFERS);
	suite_add_tcase(suite, tcase);

	tcase = twin_tcase_create("cpu access");
	twin_add(tcase, access_waits_for_what_may_not_go_on_beside_it, TWIN_BUFFERS);
	twin_add(tcase, access_may_be_given_up, TWIN_BUFFERS);
	twin_add(tcase, use_of_no_kind_is_refused, TWIN_BUFFERS);
	suite_add_tcase(suite, tcase);

	tcase = twin_tcase_create("export");
	twin_add(tcase, export_holds_what_the_use_waits_for, TWIN_BUFFERS);
	twin_add(tcase, export_of_nothing_is_done, TWIN_BUFFERS);
	twin_add(tcase, exported_is_what_was_there_then, TWIN_BUFFERS);
	suite_add_tcase(suite, tcase);

	tcase = twin_tcase_create("import");
	twin_add(tcase, import_adds_each_leaf, TWIN_BUFFERS);
	twin_add(tcase, import_of_what_is_done_changes_nothing, TWIN_BUFFERS);
	twin_add(tcase, use_of_a_fence_grows_and_does_not_shrink, TWIN_BUFFERS);
	twin_add(tcase, later_fence_of_a_context_replaces_the_older, TWIN_BUFFERS | TWIN_ORDERED);
	twin_add(tcase, fences_go_from_buffer_to_buffer, TWIN_BUFFERS);
	suite_add_tcase(suite, tcase);

	tcase = twin_tcase_create("memory");
	twin_add(tcase, new_memory_is_zeroed_whole_pages, TWIN_BUFFERS);
	twin_add(tcase, nothing_is_no_memory, TWIN_BUFFERS);
	twin_add(tcase, mapping_of_a_part_shows_that_part, TWIN_PARTS);
	twin_add(tcase, mapping_ends_with_the_memory, TWIN_BUFFERS);
	twin_add(tcase, mapping_keeps_the_memory, TWIN_BUFFERS);
	twin_add(tcase, memfd_and_buffer_are_the_same_bytes, TWIN_MEMFDS);
	twin_add(tcase, memory_that_cannot_be_shared_is_refused, TWIN_MEMFDS);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return twin_find_worlds() == 0 ? RUNNER_SKIP : runner_main(argc, argv, make, NULL);
}
