/* SPDX-License-Identifier: MIT */
/*
 * The kernel's reservation of a dma-buf and ours, as one view: what a process without Stile does to a
 * buffer's fences is seen here, and what is done here is seen by it. KERNEL_CONTRACT D-2, D-4, D-6, D-7, X-2.
 * Everything outside of Stile is raw calls, and fences of vgem's. Once for each backend of dma-bufs; over memory of
 * vgem's where the kernel has none of theirs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <stile/access.h>
#include <stile/array.h>
#include <stile/buffer.h>
#include <stile/carrier.h>
#include <stile/device.h>
#include <stile/dmabuf.h>
#include <stile/fence.h>
#include <stile/image.h>
#include <stile/resv.h>
#include <stile/swgpu.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/vgem.h"
#include "src/macros.h"

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
	WIDTH = 64,
	HEIGHT = 32,
};

#define MS INT64_C(1000000)
#define HANG_NS (30000 * MS)

/* ---- Fixture ------------------------------------------------------------------------------- */

enum { UDMABUF, HEAP, VGEM };

static const char *const backends[] = { [UDMABUF] = "udmabuf", [HEAP] = "dmabuf" };

static int allocate(void *priv, uint64_t bytes, const char *name, int *out) {
	(void)priv;
	(void)name;
	int node = vgem_open();
	*out = node < 0 ? node : vgem_dma_buf(node, bytes);
	close(node);
	return *out < 0 ? *out : 0;
}

static const struct stile_dmabuf_allocator dumb_buffers = {
	.size = sizeof(dumb_buffers),
	.name = "vgem",
	.allocate = allocate,
};

static int open_device(int memory, const struct stile_device_info *how, struct stile_device **out) {
	return memory == VGEM ? stile_dmabuf_open(&dumb_buffers, how, out)
			      : stile_device_open(backends[memory], how, out);
}

static struct stile_device *device;
static struct stile_image *image;
static struct stile_buffer *buffer;
static int vgem = -1;
static int fd = -1; /* what somebody without Stile has */
static char heard[1024];

static void hear(void *user, enum stile_log_level level, const char *text) {
	(void)user;
	(void)level;
	snprintf(heard, sizeof(heard), "%s", text);
}

/* Of a buffer that nobody else knows. */
static void begin_alone(int memory) {
	const struct stile_device_info how = { .size = sizeof(how), .log = hear };
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = WIDTH,
		.height = HEIGHT,
		.fourcc = DRM_FORMAT_XRGB8888,
		.usage = BOTH,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.name = "view",
	};
	heard[0] = '\0';
	ck_assert_int_eq(open_device(memory, &how, &device), 0);
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	buffer = stile_image_get_buffer(image, 0);
	vgem = vgem_open();
	ck_assert_int_ge(vgem, 0);
}

static void begin(int memory) {
	begin_alone(memory);
	ck_assert_int_eq(stile_buffer_export_fd(buffer, BOTH, &fd), 0);
}

static void end(void) {
	failing_set_ioctl(NULL);
	close(vgem);
	if (fd >= 0) {
		close(fd);
	}
	vgem = fd = -1;
	stile_image_unref(image);
	stile_device_destroy(device);
	image = NULL;
	device = NULL;
	ck_assert_int_eq(plain_fence_count(), 0);
}

/* ---- Outside of Stile ---------------------------------------------------------------------- */

static int attach(bool write) {
	int fence = vgem_attach(vgem, fd, write);
	ck_assert_msg(fence >= 0, "no fence of vgem's: %s", strerror(-fence));
	return fence;
}

static void finish(int fence) {
	ck_assert_int_eq(vgem_signal(vgem, fence), 0);
}

static bool may(short events) {
	struct pollfd at = { .fd = fd, .events = events };
	return poll(&at, 1, 0) == 1 && (at.revents & events) == events;
}

/* ---- Here ---------------------------------------------------------------------------------- */

static void begin_access(
	struct stile_access *access, uint32_t usage, enum stile_user_fences user_fences) {
	const struct stile_access_info info = {
		.size = sizeof(info), .usage = usage, .user_fences = user_fences
	};
	ck_assert_int_eq(stile_access_begin(image, &info, access), 0);
}

static size_t count_waits(uint32_t usage) {
	struct stile_access access;
	begin_access(&access, usage, STILE_USER_FENCES_HOLD);
	size_t count = access.count;
	stile_access_cancel(&access);
	return count;
}

static void use(uint32_t usage, struct stile_fence *fence, enum stile_path_kind path) {
	struct stile_access access;
	begin_access(&access, usage, STILE_USER_FENCES_HOLD);
	ck_assert_int_eq(stile_access_end(&access, fence), 0);
	ck_assert_int_eq(access.path.kind, path);
}

/* A fence that the kernel has, and its number. */
static struct stile_fence *kernel_fence(int *number) {
	int file = vgem_sync_file(vgem, number);
	ck_assert_int_ge(file, 0);
	struct stile_fence *fence;
	ck_assert_int_eq(stile_fence_import_fd(device, STILE_FD_SYNC_FILE, 0, file, &fence), 0);
	close(file);
	return fence;
}

/* Of both, whose references it takes over. */
static struct stile_fence *make_array(struct stile_fence *a, struct stile_fence *b) {
	struct stile_fence *members[] = { a, b }, *array;
	ck_assert_int_eq(stile_array_create(members, 2, stile_fence_context_alloc(1), 1,
				 STILE_ARRAY_ALL, &array),
		0);
	stile_fence_unref(a);
	stile_fence_unref(b);
	return array;
}

/* ---- From the kernel ----------------------------------------------------------------------- */

/* D-6. Wrong code: the beginning looks at our own fences only: what is read is not written yet. */
START_TEST(writer_without_stile_is_waited_for) {
	begin(_i);
	int fence = attach(true);
	struct stile_access access;
	begin_access(&access, READ, STILE_USER_FENCES_HOLD);
	ck_assert_uint_eq(access.count, 1);
	ck_assert_uint_eq(access.from_kernel, 1);
	ck_assert_int_eq(stile_access_wait(&access, runner_clock_ns() + 20 * MS, NULL), -ETIME);
	finish(fence);
	ck_assert_int_eq(stile_access_wait(&access, runner_clock_ns() + HANG_NS, NULL), 0);
	ck_assert_int_eq(stile_access_get_error(&access), 0);
	ck_assert_int_eq(stile_access_end(&access, NULL), 0);
	end();
}
END_TEST

/* D-6. Wrong code: all are waited for by all, so that readers come one after the other. */
START_TEST(reader_without_stile_is_waited_for_by_writers_only) {
	begin(_i);
	int fence = attach(false);
	ck_assert_uint_eq(count_waits(READ), 0);
	ck_assert_uint_eq(count_waits(WRITE), 1);
	ck_assert_uint_eq(count_waits(READ), 0);
	finish(fence);
	ck_assert_uint_eq(count_waits(WRITE), 0);
	end();
}
END_TEST

static size_t count_fences(void) {
	struct stile_fence *fences[64];
	size_t count = 64;
	struct stile_resv *resv = stile_buffer_get_resv(buffer);
	ck_assert_int_eq(stile_resv_get_fences(resv, STILE_RESV_BOOKKEEP, fences, &count), 0);
	for (size_t i = 0; i < count; i++) {
		stile_fence_unref(fences[i]);
	}
	return count;
}

/* Wrong code: each look leaves a fence and a descriptor, until a pending one has filled the process. */
START_TEST(looking_again_leaves_nothing_more) {
	begin(_i);
	int fence = attach(true);
	ck_assert_uint_eq(count_waits(READ), 1);
	size_t once = count_fences();
	for (int i = 0; i < 100; i++) {
		ck_assert_uint_eq(count_waits(READ), 1);
	}
	ck_assert_uint_eq(count_fences(), once);
	finish(fence);
	end();
}
END_TEST

/* Wrong code: a fence pulled later takes the place of one that says more. */
START_TEST(second_writer_is_waited_for_like_the_first) {
	begin(_i);
	struct stile_fence *fence;
	int first = attach(false), second = attach(false);
	ck_assert_int_eq(stile_buffer_export_fence(buffer, WRITE, &fence), 0);
	finish(first);
	ck_assert(!stile_fence_is_signaled(fence));
	ck_assert_uint_eq(count_waits(WRITE), 1);
	finish(second);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	stile_fence_unref(fence);
	end();
}
END_TEST

/* D-4: a bracket in the kernel cannot time out. Wrong code: it is begun before the deadline was looked at. */
START_TEST(cpu_access_waits_no_longer_than_its_deadline) {
	begin(_i);
	int fence = attach(true);
	int64_t began = runner_clock_ns();
	ck_assert_int_eq(
		stile_buffer_begin_cpu_access(buffer, READ, began + 50 * MS, NULL), -ETIME);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, BOTH, 0, NULL), -ETIME);
	/* Those of vgem take 10 s. */
	ck_assert_int_lt(runner_clock_ns() - began, 8000 * MS);
	finish(fence);
	ck_assert_int_eq(
		stile_buffer_begin_cpu_access(buffer, BOTH, runner_clock_ns() + HANG_NS, NULL), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, BOTH), 0);
	/* Who writes waits for readers, too. */
	fence = attach(false);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, 0, NULL), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, READ), 0);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, WRITE, 0, NULL), -ETIME);
	finish(fence);
	end();
}
END_TEST

/* D-6. Wrong code: implicit becomes explicit by our own fences only. */
START_TEST(exported_fence_is_of_both) {
	begin(_i);
	int theirs = attach(false);
	struct stile_fence *ours = plain_fence_create(), *fence;
	ck_assert_int_eq(stile_buffer_import_fence(buffer, READ, ours), 0);
	ck_assert_int_eq(stile_buffer_export_fence(buffer, WRITE, &fence), 0);
	finish(theirs);
	ck_assert(!stile_fence_is_signaled(fence));
	stile_fence_signal(ours);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	stile_fence_unref(fence);
	stile_fence_unref(ours);
	end();
}
END_TEST

/* D-6. Wrong code: nothing to wait for is told as something that is pending. */
START_TEST(idle_buffer_gives_a_fence_that_is_done) {
	begin(_i);
	struct stile_fence *fence;
	ck_assert_int_eq(stile_buffer_export_fence(buffer, WRITE, &fence), 0);
	ck_assert_int_eq(stile_fence_wait(fence, 0), 0);
	stile_fence_unref(fence);
	end();
}
END_TEST

struct forward {
	struct stile_callback callback;
	struct stile_fence *to;
};

static void pass_on(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	stile_fence_signal(CONTAINER_OF(callback, struct forward, callback)->to);
}

/*
 * The buffer came to a device whose loop nobody runs. Wrong code: who else waits for its users depends on that
 * loop, and hangs.
 */
START_TEST(loop_that_nobody_runs_holds_up_nobody_else) {
	begin(_i);
	const struct stile_device_info how = { .size = sizeof(how),
		.flags = STILE_DEVICE_CALLER_LOOP };
	struct stile_device *loop;
	struct stile_buffer *theirs;
	ck_assert_int_eq(open_device(_i, &how, &loop), 0);
	int memory = vgem_dma_buf(vgem, 4096);
	ck_assert_int_eq(stile_buffer_import_fd(loop, memory, BOTH, NULL, &theirs), 0);
	int number = vgem_attach(vgem, memory, true);
	struct stile_fence *fence;
	ck_assert_int_eq(stile_buffer_export_fence(theirs, READ, &fence), 0);
	/* As containers and lists do. */
	struct stile_fence *done = plain_fence_create();
	struct forward forward = { .to = done };
	ck_assert_int_eq(stile_fence_add_callback(fence, &forward.callback, pass_on), 0);
	finish(number);
	ck_assert_int_eq(plain_fence_finish(done), 1);
	stile_fence_unref(done);
	stile_fence_unref(fence);
	stile_buffer_unref(theirs);
	stile_device_destroy(loop);
	close(memory);
	end();
}
END_TEST

/* D-2. Wrong code: the descriptor for polling shows our own fences only. */
START_TEST(poll_descriptor_tells_of_them) {
	begin(_i);
	int theirs = attach(true), polled;
	ck_assert_int_eq(stile_buffer_get_poll_fd(buffer, &polled), 0);
	ck_assert(!plain_fd_is_readable(polled));
	finish(theirs);
	ck_assert(plain_fd_becomes_readable(polled));
	close(polled);
	end();
}
END_TEST

/* D-2. Wrong code: what only writers wait for is there for all; each question leaves another fence. */
START_TEST(poll_descriptor_lets_readers_by) {
	begin(_i);
	int theirs = attach(false);
	for (int i = 0; i < 5; i++) {
		int polled;
		ck_assert_int_eq(stile_buffer_get_poll_fd(buffer, &polled), 0);
		struct pollfd at = { .fd = polled, .events = POLLIN | POLLOUT };
		ck_assert_int_eq(poll(&at, 1, 0), 1);
		ck_assert_int_eq(at.revents, POLLIN);
		close(polled);
		ck_assert_uint_le(count_fences(), 2);
	}
	finish(theirs);
	end();
}
END_TEST

/* Wrong code: a write of somebody else's takes the place of ours, and how that went is forgotten. */
START_TEST(error_of_ours_is_known_beside_theirs) {
	begin(_i);
	struct stile_fence *fence = plain_fence_create();
	ck_assert_int_eq(stile_buffer_import_fence(buffer, WRITE, fence), 0);
	stile_fence_set_error(fence, -EIO);
	stile_fence_signal(fence);
	int theirs = attach(true), polled;
	ck_assert_int_eq(stile_buffer_get_poll_fd(buffer, &polled), 0);
	struct stile_access access;
	begin_access(&access, READ, STILE_USER_FENCES_HOLD);
	ck_assert_int_eq(stile_access_get_error(&access), -EIO);
	stile_access_cancel(&access);
	finish(theirs);
	close(polled);
	stile_fence_unref(fence);
	end();
}
END_TEST

/* Of two dma-bufs: NV12 as video decoders give it. */
static struct stile_image *import_planes(struct stile_buffer *buffers[2], int fds[2]) {
	const struct stile_buffer_info how = { .size = sizeof(how), .bytes = WIDTH * HEIGHT * 2 };
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = WIDTH,
		.height = HEIGHT,
		.fourcc = DRM_FORMAT_NV12,
		.usage = BOTH,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.plane_count = 2,
	};
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(stile_buffer_create(device, &how, &buffers[i]), 0);
		ck_assert_int_eq(stile_buffer_export_fd(buffers[i], BOTH, &fds[i]), 0);
		info.planes[i].fd = fds[i];
		info.planes[i].pitch = WIDTH;
	}
	struct stile_image *planes;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_image_import(device, &info, &why, &planes);
	ck_assert_msg(ret == 0, "%s", why.text);
	return planes;
}

/* D-6, D-7. Wrong code: of an image of several dma-bufs, only the first is asked, or told. */
START_TEST(each_plane_is_asked_and_told) {
	begin(_i);
	struct stile_buffer *buffers[2];
	int fds[2], number;
	struct stile_image *planes = import_planes(buffers, fds);
	const struct stile_access_info info = { .size = sizeof(info), .usage = WRITE };
	struct stile_access access;
	for (int i = 0; i < 2; i++) {
		int theirs = vgem_attach(vgem, fds[i], true);
		ck_assert_int_ge(theirs, 0);
		ck_assert_int_eq(stile_access_begin(planes, &info, &access), 0);
		ck_assert_uint_eq(access.from_kernel, 1);
		stile_access_cancel(&access);
		finish(theirs);
	}
	struct stile_fence *fence = kernel_fence(&number);
	ck_assert_int_eq(stile_access_begin(planes, &info, &access), 0);
	ck_assert_int_eq(stile_access_end(&access, fence), 0);
	for (int i = 0; i < 2; i++) {
		struct pollfd at = { .fd = fds[i], .events = POLLIN };
		ck_assert_msg(poll(&at, 1, 0) == 0, "nobody waits for plane %d", i);
	}
	finish(number);
	stile_fence_unref(fence);
	stile_image_unref(planes);
	for (int i = 0; i < 2; i++) {
		stile_buffer_unref(buffers[i]);
		close(fds[i]);
	}
	end();
}
END_TEST

/* Section 19. Wrong code: the software GPU, which is implicit, does not ask the kernel. */
START_TEST(software_gpu_waits_for_it) {
	begin(_i);
	int theirs = attach(true);
	struct stile_device *gpu = gpu_open(NULL);
	const struct stile_image_info *info = stile_image_get_info(image);
	struct stile_image_info copy = *info;
	copy.planes[0].fd = fd;
	struct stile_image *target;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_image_import(gpu, &copy, &why, &target);
	ck_assert_msg(ret == 0, "%s", why.text);
	ck_assert_ptr_eq(stile_image_get_buffer(target, 0), buffer);
	struct stile_fence *fence;
	ck_assert_int_eq(stile_swgpu_fill(gpu, target, 0, 0xff336699, &fence), 0);
	ck_assert_int_eq(stile_fence_wait(fence, runner_clock_ns() + 50 * MS), -ETIME);
	finish(theirs);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	void *pixels;
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &pixels), 0);
	ck_assert_uint_eq(*(uint32_t *)pixels & 0xffffff, 0x336699);
	stile_buffer_munmap(buffer, pixels);
	stile_fence_unref(fence);
	stile_image_unref(target);
	stile_device_destroy(gpu);
	end();
}
END_TEST

/* Section 16: vgem gives up after 10 s. Wrong code: who waits hangs with the driver's client. */
START_TEST(fence_that_the_kernel_gives_up_ends_the_wait) {
	begin(_i);
	attach(true);
	struct stile_access access;
	begin_access(&access, READ, STILE_USER_FENCES_HOLD);
	ck_assert_int_eq(stile_access_wait(&access, runner_clock_ns() + HANG_NS, NULL), 0);
	stile_access_cancel(&access);
	end();
}
END_TEST

/* ---- To the kernel ------------------------------------------------------------------------- */

/* D-7. Wrong code: the kernel does not hear of the write: others read what is not written yet. */
START_TEST(write_is_seen_outside) {
	begin(_i);
	int number;
	struct stile_fence *fence = kernel_fence(&number);
	use(WRITE, fence, STILE_PATH_KERNEL);
	ck_assert(!may(POLLIN));
	ck_assert_int_eq(vgem_attach(vgem, fd, false), -EBUSY);
	finish(number);
	ck_assert(may(POLLIN | POLLOUT));
	stile_fence_unref(fence);
	end();
}
END_TEST

/* D-7. Wrong code: a read is put in as a write: others who read wait. */
START_TEST(read_holds_up_writers_only) {
	begin(_i);
	int number;
	struct stile_fence *fence = kernel_fence(&number);
	use(READ, fence, STILE_PATH_KERNEL);
	ck_assert(may(POLLIN));
	ck_assert(!may(POLLOUT));
	finish(number);
	ck_assert(may(POLLIN | POLLOUT));
	stile_fence_unref(fence);
	end();
}
END_TEST

/* What is documented: it comes back as somebody else's. Wrong code: it is not counted. */
START_TEST(own_fence_that_comes_back_is_counted) {
	begin(_i);
	int number;
	struct stile_fence *fence = kernel_fence(&number);
	use(WRITE, fence, STILE_PATH_KERNEL);
	struct stile_access access;
	begin_access(&access, READ, STILE_USER_FENCES_HOLD);
	ck_assert_uint_eq(access.count, 2);
	ck_assert_uint_eq(access.from_kernel, 1);
	stile_access_cancel(&access);
	finish(number);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	ck_assert_uint_eq(count_waits(READ), 0);
	stile_fence_unref(fence);
	end();
}
END_TEST

/* D-7, U-1. Wrong code: of a container, only the first member is told, or none. */
START_TEST(all_of_a_container_is_told) {
	begin(_i);
	int numbers[2];
	struct stile_fence *array =
		make_array(kernel_fence(&numbers[0]), kernel_fence(&numbers[1]));
	use(WRITE, array, STILE_PATH_KERNEL);
	finish(numbers[0]);
	ck_assert(!may(POLLIN));
	finish(numbers[1]);
	ck_assert(may(POLLIN | POLLOUT));
	stile_fence_unref(array);
	end();
}
END_TEST

/* Wrong code: what was going on before somebody else got to know the buffer is never told. */
START_TEST(kernel_hears_of_it_when_others_get_to_know) {
	begin_alone(_i);
	int numbers[2];
	struct stile_fence *writes = kernel_fence(&numbers[0]), *reads = kernel_fence(&numbers[1]);
	ck_assert_int_eq(stile_buffer_import_fence(buffer, WRITE, writes), 0);
	ck_assert_int_eq(stile_buffer_import_fence(buffer, READ, reads), 0);
	ck_assert_int_eq(stile_buffer_export_fd(buffer, BOTH, &fd), 0);
	ck_assert(!may(POLLIN));
	finish(numbers[0]);
	ck_assert(may(POLLIN));
	ck_assert(!may(POLLOUT));
	finish(numbers[1]);
	ck_assert(may(POLLIN | POLLOUT));
	stile_fence_unref(writes);
	stile_fence_unref(reads);
	end();
}
END_TEST

/* Wrong code: what a program uses cannot be shown to anybody. */
START_TEST(others_get_to_know_what_a_program_uses) {
	begin_alone(_i);
	struct stile_fence *fence = plain_fence_create();
	ck_assert_int_eq(stile_buffer_import_fence(buffer, WRITE, fence), 0);
	ck_assert_int_eq(stile_buffer_export_fd(buffer, BOTH, &fd), 0);
	ck_assert(may(POLLIN | POLLOUT));
	ck_assert_uint_eq(count_waits(READ), 1);
	stile_fence_signal(fence);
	stile_fence_unref(fence);
	end();
}
END_TEST

/* ---- What the kernel cannot have ----------------------------------------------------------- */

/* Wrong code: it is put in somehow, or nobody hears that it was not. */
START_TEST(held_fence_stays_here_and_is_told) {
	begin(_i);
	struct stile_fence *fence = plain_fence_create();
	use(WRITE, fence, STILE_PATH_HELD);
	ck_assert(may(POLLIN | POLLOUT));
	ck_assert_uint_eq(count_waits(READ), 1);
	stile_fence_signal(fence);
	stile_fence_unref(fence);
	end();
}
END_TEST

static void *signal_late(void *fence) {
	runner_sleep_ms(50);
	stile_fence_signal(fence);
	return NULL;
}

/* Wrong code: the end returns before, or does not say how long it took. */
START_TEST(waited_fence_is_done_at_the_end) {
	begin(_i);
	struct stile_fence *fence = plain_fence_create();
	struct stile_access access;
	begin_access(&access, WRITE, STILE_USER_FENCES_WAIT);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_late, fence), 0);
	ck_assert_int_eq(stile_access_end(&access, fence), 0);
	ck_assert(stile_fence_is_signaled(fence));
	ck_assert_int_eq(access.path.kind, STILE_PATH_CPU_WAIT);
	ck_assert_int_gt(access.path.blocked_ns, 0);
	pthread_join(thread, NULL);
	stile_fence_unref(fence);
	end();
}
END_TEST

/* Wrong code: the refused access has ended: nobody waits for its work. */
START_TEST(refused_fence_leaves_the_access_begun) {
	begin(_i);
	struct stile_fence *fence = plain_fence_create();
	struct stile_access access;
	begin_access(&access, WRITE, STILE_USER_FENCES_REFUSE);
	ck_assert_int_eq(stile_access_end(&access, fence), -EOPNOTSUPP);
	ck_assert_uint_eq(count_fences(), 0);
	stile_fence_signal(fence);
	ck_assert_int_eq(stile_access_end(&access, fence), 0);
	ck_assert_int_eq(access.path.kind, STILE_PATH_NONE);
	stile_fence_unref(fence);
	end();
}
END_TEST

/* Wrong code: of a container, what the kernel can have goes in before the rest is refused. */
START_TEST(container_with_one_of_ours_does_not_enter) {
	begin(_i);
	int number;
	struct stile_fence *ours = plain_fence_create();
	struct stile_fence *array = make_array(kernel_fence(&number), stile_fence_ref(ours));
	use(WRITE, array, STILE_PATH_HELD);
	ck_assert(may(POLLIN | POLLOUT));
	finish(number);
	stile_fence_signal(ours);
	stile_fence_unref(ours);
	stile_fence_unref(array);
	end();
}
END_TEST

/* The same three choices from explicit to implicit. Wrong code: they differ. */
START_TEST(implicit_import_has_the_same_choices) {
	begin(_i);
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *fence = plain_fence_create();
	ck_assert_int_eq(
		stile_buffer_import_fence_as(buffer, WRITE, fence, STILE_USER_FENCES_REFUSE, &path),
		-EOPNOTSUPP);
	ck_assert_uint_eq(count_fences(), 0);
	ck_assert_int_eq(
		stile_buffer_import_fence_as(buffer, WRITE, fence, STILE_USER_FENCES_HOLD, &path),
		0);
	ck_assert_int_eq(path.kind, STILE_PATH_HELD);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_late, fence), 0);
	ck_assert_int_eq(
		stile_buffer_import_fence_as(buffer, WRITE, fence, STILE_USER_FENCES_WAIT, &path),
		0);
	ck_assert_int_eq(path.kind, STILE_PATH_CPU_WAIT);
	ck_assert(stile_fence_is_signaled(fence));
	pthread_join(thread, NULL);
	stile_fence_unref(fence);
	end();
}
END_TEST

/* ---- Alone, and on kernels that lack it ---------------------------------------------------- */

static int ioctls;

static int count_ioctls(int at, unsigned long request, void *arg) {
	__atomic_fetch_add(&ioctls, 1, __ATOMIC_RELAXED);
	return failing_real_ioctl(at, request, arg);
}

/* Wrong code: what nobody else can use costs system calls. */
START_TEST(buffer_that_nobody_else_knows_asks_nobody) {
	begin_alone(_i);
	struct stile_fence *fence = plain_fence_create();
	ioctls = 0;
	failing_set_ioctl(count_ioctls);
	use(WRITE, fence, STILE_PATH_NONE);
	stile_fence_signal(fence);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, BOTH, INT64_MAX, NULL), 0);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, BOTH), 0);
	failing_set_ioctl(NULL);
	ck_assert_int_eq(ioctls, 0);
	stile_fence_unref(fence);
	end();
}
END_TEST

static int lack_sync_files(int at, unsigned long request, void *arg) {
	/* EXPORT_SYNC_FILE and IMPORT_SYNC_FILE: Linux 6.0. */
	unsigned number = _IOC_NR(request);
	if (_IOC_TYPE(request) == DMA_BUF_BASE && (number == 2 || number == 3)) {
		errno = ENOTTY;
		return -1;
	}
	return failing_real_ioctl(at, request, arg);
}

/* Wrong code: without EXPORT_SYNC_FILE, nothing is waited for; or the log does not say what is missing. */
START_TEST(old_kernel_is_asked_by_poll) {
	begin(_i);
	failing_set_ioctl(lack_sync_files);
	int theirs = attach(false);
	struct stile_access access;
	begin_access(&access, WRITE, STILE_USER_FENCES_HOLD);
	ck_assert_uint_eq(access.count, 1);
	ck_assert_int_eq(stile_access_wait(&access, runner_clock_ns() + 20 * MS, NULL), -ETIME);
	ck_assert_msg(strstr(heard, "EXPORT_SYNC_FILE") != NULL, "heard: %s", heard);
	finish(theirs);
	ck_assert_int_eq(stile_access_wait(&access, runner_clock_ns() + HANG_NS, NULL), 0);
	stile_access_cancel(&access);
	end();
}
END_TEST

/* Wrong code: without IMPORT_SYNC_FILE, the end fails, or says that the kernel knows. */
START_TEST(old_kernel_is_told_nothing) {
	begin(_i);
	int number;
	struct stile_fence *fence = kernel_fence(&number);
	failing_set_ioctl(lack_sync_files);
	use(WRITE, fence, STILE_PATH_HELD);
	ck_assert(may(POLLIN | POLLOUT));
	struct stile_access access;
	begin_access(&access, WRITE, STILE_USER_FENCES_REFUSE);
	ck_assert_int_eq(stile_access_end(&access, fence), -EOPNOTSUPP);
	finish(number);
	ck_assert_int_eq(stile_access_end(&access, fence), 0);
	stile_fence_unref(fence);
	end();
}
END_TEST

/* ---- Two processes, one without Stile ------------------------------------------------------ */

enum { TOLD = RUNNER_FIRST_FD + 1, TELLS = RUNNER_FIRST_FD + 2 };

static void tell(int to) {
	runner_require(write(to, "", 1) == 1, "nobody is there");
}

static void await(int from) {
	char byte;
	runner_require(read(from, &byte, 1) == 1, "nobody tells");
}

/* Writes when it may, then says so: as a program does that knows nothing of Stile. */
static int stranger(void) {
	int node = vgem_open(), memory = RUNNER_FIRST_FD;
	int fence = vgem_attach(node, memory, true);
	runner_require(fence >= 0, "no fence: %s", strerror(-fence));
	tell(TELLS);
	await(TOLD);
	runner_require(vgem_signal(node, fence) == 0, "it has ended");
	await(TOLD);
	/* Now ours is pending: a reader waits in the bracket, as D-4 has it. */
	struct pollfd at = { .fd = memory, .events = POLLIN };
	runner_require(poll(&at, 1, 0) == 0, "the kernel knows of no writer");
	tell(TELLS);
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ };
	runner_require(ioctl(memory, DMA_BUF_IOCTL_SYNC, &sync) == 0, "SYNC");
	at.revents = 0;
	runner_require(poll(&at, 1, 0) == 1 && (at.revents & POLLIN) != 0, "not done");
	close(node);
	return 0;
}

/* The words. Wrong code: one of the two does not see the other. */
START_TEST(process_without_stile_is_seen_and_sees) {
	begin(_i);
	int there[2], back[2];
	ck_assert_int_eq(pipe2(there, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(back, O_CLOEXEC), 0);
	const int fds[] = { fd, there[0], back[1] };
	pid_t pid = runner_spawn("stranger", fds, 3);
	await(back[0]);
	struct stile_access access;
	begin_access(&access, WRITE, STILE_USER_FENCES_HOLD);
	ck_assert_uint_eq(access.count, 1);
	tell(there[1]);
	ck_assert_int_eq(stile_access_wait(&access, runner_clock_ns() + HANG_NS, NULL), 0);
	int number;
	struct stile_fence *fence = kernel_fence(&number);
	ck_assert_int_eq(stile_access_end(&access, fence), 0);
	ck_assert_int_eq(access.path.kind, STILE_PATH_KERNEL);
	tell(there[1]);
	await(back[0]);
	runner_sleep_ms(50);
	finish(number);
	ck_assert_int_eq(runner_reap(pid), 0);
	for (int i = 0; i < 2; i++) {
		close(there[i]);
		close(back[i]);
	}
	stile_fence_unref(fence);
	end();
}
END_TEST

/* Wrong code: a stranger who dies with a fence of his leaves us waiting for ever. */
START_TEST(killed_stranger_holds_up_nobody) {
	begin(_i);
	int there[2], back[2];
	ck_assert_int_eq(pipe2(there, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(back, O_CLOEXEC), 0);
	const int fds[] = { fd, there[0], back[1] };
	pid_t pid = runner_spawn("stranger", fds, 3);
	await(back[0]);
	struct stile_access access;
	begin_access(&access, READ, STILE_USER_FENCES_HOLD);
	ck_assert_uint_eq(access.count, 1);
	kill(pid, SIGKILL);
	ck_assert_int_eq(runner_reap(pid), -SIGKILL);
	ck_assert_int_eq(stile_access_wait(&access, runner_clock_ns() + HANG_NS, NULL), 0);
	stile_access_cancel(&access);
	for (int i = 0; i < 2; i++) {
		close(there[i]);
		close(back[i]);
	}
	end();
}
END_TEST

/* ---- Bad luck ------------------------------------------------------------------------------ */

struct attempt {
	struct stile_access access;
	struct stile_fence *fence;
};

static int attempt_begin(void *user) {
	const struct stile_access_info info = { .size = sizeof(info), .usage = WRITE };
	struct attempt *attempt = user;
	return stile_access_begin(image, &info, &attempt->access);
}

static void attempt_cancel(void *user, int ret) {
	struct attempt *attempt = user;
	if (ret == 0) {
		ck_assert_uint_eq(attempt->access.count, 1);
		stile_access_cancel(&attempt->access);
	}
}

/* Wrong code: what the kernel gave is lost when memory or descriptors run out, or the fence is. */
START_TEST(failed_beginning_leaves_nothing) {
	static const int errors[] = { -ENOMEM, -EMFILE, -ENFILE, -EAGAIN, 0 };
	begin(_i);
	int theirs = attach(true);
	struct attempt attempt;
	ck_assert_uint_gt(failing_sweep(attempt_begin, attempt_cancel, &attempt, errors), 2);
	finish(theirs);
	end();
}
END_TEST

static int first = VGEM, last = VGEM; /* of the memories that are here */

static Suite *suite(void) {
	const TTest *const tests[] = {
		writer_without_stile_is_waited_for,
		reader_without_stile_is_waited_for_by_writers_only,
		looking_again_leaves_nothing_more,
		second_writer_is_waited_for_like_the_first,
		cpu_access_waits_no_longer_than_its_deadline,
		exported_fence_is_of_both,
		idle_buffer_gives_a_fence_that_is_done,
		loop_that_nobody_runs_holds_up_nobody_else,
		poll_descriptor_tells_of_them,
		poll_descriptor_lets_readers_by,
		error_of_ours_is_known_beside_theirs,
		each_plane_is_asked_and_told,
		software_gpu_waits_for_it,
		write_is_seen_outside,
		read_holds_up_writers_only,
		own_fence_that_comes_back_is_counted,
		all_of_a_container_is_told,
		kernel_hears_of_it_when_others_get_to_know,
		others_get_to_know_what_a_program_uses,
		held_fence_stays_here_and_is_told,
		waited_fence_is_done_at_the_end,
		refused_fence_leaves_the_access_begun,
		container_with_one_of_ours_does_not_enter,
		implicit_import_has_the_same_choices,
		buffer_that_nobody_else_knows_asks_nobody,
		process_without_stile_is_seen_and_sees,
		killed_stranger_holds_up_nobody,
		failed_beginning_leaves_nothing,
		/* Last: what the kernel lacks is remembered. */
		old_kernel_is_asked_by_poll,
		old_kernel_is_told_nothing,
	};
	Suite *s = suite_create("view");
	TCase *view = ledger_tcase_create("view");
	tcase_set_timeout(view, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		tcase_add_loop_test(view, tests[i], first, last + 1);
	}
	/* It takes 10 s. */
	tcase_add_loop_test(view, fence_that_the_kernel_gives_up_ends_the_wait, first, first + 1);
	suite_add_tcase(s, view);
	return s;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = { { "stranger", stranger }, { NULL, NULL } };
	int node = vgem_open();
	if (node < 0) {
		printf("skipped: there is no vgem here: %s\n", strerror(-node));
		return RUNNER_SKIP;
	}
	close(node);
	for (int memory = HEAP; memory >= UDMABUF; memory--) {
		int ret = open_device(memory, NULL, &device);
		if (ret == 0) {
			first = memory;
			last = last == VGEM ? memory : last;
			stile_device_destroy(device);
		} else {
			printf("%s does not open here: %s\n", backends[memory], strerror(-ret));
		}
	}
	return runner_main(argc, argv, suite, roles);
}
