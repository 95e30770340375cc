/* SPDX-License-Identifier: MIT */
/*
 * How the backend dmabuf asks the kernel for its fences, and tells it of others: KERNEL_CONTRACT D-2, D-6, D-7,
 * and what it does where a kernel cannot be asked. What that means for accesses: test_view.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <stile/array.h>
#include <stile/buffer.h>
#include <stile/carrier.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/resv.h>
#include <stile/wait.h>

#include "interop-tests/kernel/heard.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/vgem.h"
#include "src/backend.h"
#include "src/buffer.h"

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
	SLEEP_MS = 400,
};

#define MS INT64_C(1000000)

static struct heard heard;
static struct stile_device *device;
static struct stile_buffer *buffer;
static int fd = -1, vgem = -1; /* of the buffer; the node */

/* Also used by a role, in which assertions of Check's do not work. */
static void begin(void) {
	vgem = vgem_open();
	runner_require(vgem >= 0, "no vgem: %d", vgem);
	int ret = heard_open(&heard, "dmabuf", NULL, STILE_LOG_WARN, &device);
	runner_require(ret == 0, "dmabuf: %d", ret);
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = 4096 };
	ret = stile_buffer_create(device, &info, &buffer);
	runner_require(ret == 0, "no buffer: %d", ret);
	ret = stile_buffer_export_fd(buffer, BOTH, &fd);
	runner_require(ret == 0, "no descriptor: %d", ret);
}

static void end(void) {
	failing_set_ioctl(NULL);
	close(fd);
	stile_buffer_unref(buffer);
	stile_device_destroy(device);
	close(vgem);
	fd = vgem = -1;
	buffer = NULL;
	device = NULL;
}

/* What the backend says, with the lock that it is promised. */
static int ask_if(uint32_t usage, bool likely, struct stile_fence **out) {
	int ret = buffer_lock(buffer);
	runner_require(ret == 0, "lock: %d", ret);
	ret = buffer->backend->fences_export(buffer, usage, likely, out);
	stile_resv_unlock(buffer->resv);
	return ret;
}

static int ask(uint32_t usage, struct stile_fence **out) {
	return ask_if(usage, false, out);
}

static int tell(uint32_t usage, struct stile_fence *fence) {
	int ret = buffer_lock(buffer);
	runner_require(ret == 0, "lock: %d", ret);
	ret = buffer->backend->fences_import(buffer, usage, fence);
	stile_resv_unlock(buffer->resv);
	return ret;
}

static struct stile_fence *ask_pending(uint32_t usage) {
	struct stile_fence *fence;
	int ret = ask(usage, &fence);
	runner_require(
		ret == 0 && fence != NULL, "asked for usage %u: %d, %p", usage, ret, (void *)fence);
	return fence;
}

static bool is_idle_for(uint32_t usage) {
	struct stile_fence *fence;
	int ret = ask(usage, &fence);
	runner_require(ret == 0, "asked for usage %u: %d", usage, ret);
	bool idle = fence == NULL;
	stile_fence_unref(fence);
	return idle;
}

/* What the kernel would tell a process without Stile. */
static bool kernel_is_idle(short events) {
	struct pollfd at = { .fd = fd, .events = events };
	return poll(&at, 1, 0) == 1 && at.revents == events;
}

static int attach(bool write) {
	int id = vgem_attach(vgem, fd, write);
	runner_require(id >= 0, "no fence of vgem's: %d", id);
	return id;
}

static void signal_fence(int id) {
	int ret = vgem_signal(vgem, id);
	runner_require(ret == 0, "vgem: %d", ret);
}

/* ---- Out ----------------------------------------------------------------------------------- */

/* D-2, D-6. Wrong code: who reads waits for readers; who writes does not. */
START_TEST(each_usage_waits_for_what_it_has_to) {
	ck_assert(is_idle_for(READ));
	ck_assert(is_idle_for(WRITE));
	int reader = attach(false);
	ck_assert(is_idle_for(READ));
	ck_assert(!is_idle_for(WRITE));
	ck_assert(!is_idle_for(BOTH));
	signal_fence(reader);
	ck_assert(is_idle_for(BOTH));
	int writer = attach(true);
	ck_assert(!is_idle_for(READ));
	ck_assert(!is_idle_for(WRITE));
	signal_fence(writer);
	ck_assert(is_idle_for(READ));
}
END_TEST

/* D-6. Wrong code: a fence that is no finite one; one that ends before the kernel's, or never. */
START_TEST(fence_ends_with_the_kernels) {
	int id = attach(true);
	struct stile_fence *fence = ask_pending(READ);
	ck_assert(!stile_fence_is_user(fence));
	ck_assert_int_eq(stile_fence_wait(fence, 0), -ETIME);
	signal_fence(id);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: who expects something to wait for, and is wrong, waits for ever. */
START_TEST(what_was_expected_in_vain_is_over) {
	struct stile_fence *fence;
	ck_assert_int_eq(ask_if(WRITE, true, &fence), 0);
	ck_assert(fence == NULL || stile_fence_is_signaled(fence));
	stile_fence_unref(fence);
	int id = attach(true);
	ck_assert_int_eq(ask_if(READ, true, &fence), 0);
	ck_assert_ptr_nonnull(fence);
	ck_assert_int_eq(stile_fence_wait(fence, 0), -ETIME);
	signal_fence(id);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a device's watcher that the buffer cannot have any more. */
START_TEST(fence_comes_after_its_device_too) {
	stile_device_destroy(device);
	device = NULL;
	int id = attach(true);
	struct stile_fence *fence = ask_pending(WRITE);
	signal_fence(id);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	stile_fence_unref(fence);
}
END_TEST

static int sweep_ask(void *user) {
	return ask(READ, user);
}

static void after_ask(void *user, int ret) {
	struct stile_fence **fence = user;
	(void)ret;
	stile_fence_unref(*fence);
	*fence = NULL;
}

/* Wrong code: a dependency that is lost because something else failed. */
START_TEST(failure_is_told_and_not_taken_for_nothing) {
	static const int errors[] = { -ENOMEM, -EMFILE, -EAGAIN, 0 };
	int id = attach(true);
	struct stile_fence *fence = NULL;
	/* Once to make the watcher, and once when it is there. */
	ck_assert_uint_ge(failing_sweep(sweep_ask, after_ask, &fence, errors), 5);
	ck_assert_uint_ge(failing_sweep(sweep_ask, after_ask, &fence, errors), 2);
	signal_fence(id);
}
END_TEST

/* ---- In ------------------------------------------------------------------------------------ */

/* A pending fence of the kernel's as one of ours. */
static struct stile_fence *kernel_fence(int *id) {
	int file = vgem_sync_file(vgem, id);
	runner_require(file >= 0, "no sync_file: %d", file);
	struct stile_fence *fence;
	int ret = stile_fence_import_fd(device, STILE_FD_SYNC_FILE, 0, file, &fence);
	runner_require(ret == 0, "import of a sync_file: %d", ret);
	close(file);
	return fence;
}

/* D-7. Wrong code: usages that are mixed up; a fence that the kernel is not told of. */
START_TEST(kernel_is_told_of_its_own_fences) {
	int id;
	struct stile_fence *fence = kernel_fence(&id);
	ck_assert_int_eq(tell(READ, fence), 0);
	ck_assert(kernel_is_idle(POLLIN));
	ck_assert(!kernel_is_idle(POLLOUT));
	ck_assert_int_eq(tell(WRITE, fence), 0);
	ck_assert(!kernel_is_idle(POLLIN));
	signal_fence(id);
	ck_assert(kernel_is_idle(POLLIN));
	ck_assert(kernel_is_idle(POLLOUT));
	stile_fence_unref(fence);
}
END_TEST

static struct stile_fence *array_of(struct stile_fence *one, struct stile_fence *two) {
	struct stile_fence *const members[] = { one, two };
	struct stile_fence *array;
	int ret = stile_array_create(
		members, 2, stile_fence_context_alloc(1), 1, STILE_ARRAY_ALL, &array);
	ck_assert_int_eq(ret, 0);
	return array;
}

static int refuse_import(int file, unsigned long request, void *arg) {
	if (request == DMA_BUF_IOCTL_IMPORT_SYNC_FILE) {
		errno = ENOMEM;
		return -1;
	}
	return failing_real_ioctl(file, request, arg);
}

/*
 * D-7, X-2. Wrong code: a container that is no sync_file itself and therefore refused; half of one put in; an error
 * of the kernel's that is lost.
 */
START_TEST(leaves_are_put_in_all_or_none) {
	int first_id, second_id;
	struct stile_fence *first = kernel_fence(&first_id), *second = kernel_fence(&second_id);
	struct stile_fence *plain = plain_fence_create();
	struct stile_fence *mixed = array_of(first, plain), *whole = array_of(first, second);
	failing_set_ioctl(refuse_import);
	ck_assert_int_eq(tell(WRITE, whole), -ENOMEM);
	failing_set_ioctl(NULL);
	ck_assert_int_eq(tell(WRITE, plain), -EOPNOTSUPP);
	ck_assert_int_eq(tell(WRITE, mixed), -EOPNOTSUPP);
	ck_assert(kernel_is_idle(POLLIN));
	ck_assert_int_eq(tell(WRITE, whole), 0);
	ck_assert(!kernel_is_idle(POLLIN));
	signal_fence(first_id);
	ck_assert(!kernel_is_idle(POLLIN));
	signal_fence(second_id);
	ck_assert(kernel_is_idle(POLLIN));
	/* What is over needs no place there. */
	stile_fence_signal(plain);
	ck_assert_int_eq(tell(WRITE, mixed), 0);
	ck_assert_int_eq(tell(WRITE, plain), 0);
	stile_fence_unref(mixed);
	stile_fence_unref(whole);
	stile_fence_unref(plain);
	stile_fence_unref(first);
	stile_fence_unref(second);
}
END_TEST

/* ---- A kernel that cannot be asked: it is found out once for a process --------------------- */

static unsigned asked;

static int old_kernel(int file, unsigned long request, void *arg) {
	if (request == DMA_BUF_IOCTL_EXPORT_SYNC_FILE ||
		request == DMA_BUF_IOCTL_IMPORT_SYNC_FILE) {
		asked++;
		errno = ENOTTY;
		return -1;
	}
	return failing_real_ioctl(file, request, arg);
}

static void require(bool ok, const char *what) {
	runner_require(ok, "%s; the log: %s", what, heard.text);
}

static bool ended; /* by atomic access */

static void note_end(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	(void)callback;
	__atomic_store_n(&ended, true, __ATOMIC_SEQ_CST);
}

/* What this process has used of processors, all threads together. */
static int64_t get_busy_ns(void) {
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	return ((int64_t)used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000 +
		((int64_t)used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000;
}

/* By waiting, by looking, and by being called. */
static void follow_poll(uint32_t usage) {
	int id = attach(usage == READ);
	struct stile_fence *fence = ask_pending(usage);
	struct stile_callback callback;
	require(!stile_fence_is_user(fence), "it is finite");
	require(stile_fence_wait(fence, 0) == -ETIME, "it is pending");
	require(stile_fence_add_callback(fence, &callback, note_end) == 0, "callback");
	/* Whoever waits for the wrong event looks again and again: this thread, and the watcher. */
	int64_t busy_ns = get_busy_ns();
	require(stile_fence_wait(fence, runner_clock_ns() + SLEEP_MS * MS) == -ETIME, "pending");
	busy_ns = get_busy_ns() - busy_ns;
	require(busy_ns < SLEEP_MS * MS / 2, "nobody is busy meanwhile");
	signal_fence(id);
	for (int i = 0; i < 20000 && !__atomic_load_n(&ended, __ATOMIC_SEQ_CST); i++) {
		runner_sleep_ms(1);
	}
	require(__atomic_exchange_n(&ended, false, __ATOMIC_SEQ_CST), "the watcher sees the end");
	require(stile_fence_get_status(fence) == 1, "it has ended");
	stile_fence_unref(fence);

	id = attach(usage == READ);
	fence = ask_pending(usage);
	signal_fence(id);
	require(plain_fence_finish(fence) == 1, "a wait ends");
	stile_fence_unref(fence);
}

static int on_old_kernel(void) {
	int id, before = plain_fence_count();
	begin();
	failing_set_ioctl(old_kernel);
	follow_poll(READ);
	require(heard.count == 1, "it was told once");
	require(strstr(heard.text, "DMA_BUF_IOCTL_EXPORT_SYNC_FILE (Linux 6.0)") != NULL, "why");
	follow_poll(WRITE);
	require(heard.count == 1, "it was told once");
	require(asked == 1, "and found out once");
	failing_set_ioctl(NULL);
	struct stile_fence *fence = kernel_fence(&id);
	failing_set_ioctl(old_kernel);
	asked = 0;
	require(tell(WRITE, fence) == -EOPNOTSUPP, "there is no way in");
	require(asked == 1, "the kernel was asked");
	require(tell(WRITE, fence) == -EOPNOTSUPP && asked == 1, "once");
	require(ask(WRITE, &(struct stile_fence *){ NULL }) == 0 && asked == 1,
		"and not for others");
	stile_fence_unref(fence);
	end();
	require(plain_fence_count() == before, "all gone");
	return EXIT_SUCCESS;
}

/*
 * D-9. Wrong code: waits that end at once, or never, where the kernel has no sync_files of dma-bufs; a
 * descriptor that is watched for reading only; silence about it.
 */
START_TEST(old_kernel_is_followed_by_poll) {
	ck_assert_int_eq(runner_reap(runner_spawn("old-kernel", NULL, 0)), 0);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("dmabuf_resv");
	TCase *out = ledger_tcase_create("out");
	tcase_add_checked_fixture(out, begin, end);
	tcase_add_test(out, each_usage_waits_for_what_it_has_to);
	tcase_add_test(out, fence_ends_with_the_kernels);
	tcase_add_test(out, what_was_expected_in_vain_is_over);
	tcase_add_test(out, fence_comes_after_its_device_too);
	tcase_add_test(out, failure_is_told_and_not_taken_for_nothing);
	suite_add_tcase(s, out);

	TCase *in = ledger_tcase_create("in");
	tcase_add_checked_fixture(in, begin, end);
	tcase_add_test(in, kernel_is_told_of_its_own_fences);
	tcase_add_test(in, leaves_are_put_in_all_or_none);
	suite_add_tcase(s, in);

	TCase *old = ledger_tcase_create("old kernel");
	tcase_add_test(old, old_kernel_is_followed_by_poll);
	suite_add_tcase(s, old);
	return s;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = { { "old-kernel", on_old_kernel },
		{ NULL, NULL } };
	int node = vgem_open();
	if (node < 0 || access("/dev/dma_heap/system", R_OK) < 0) {
		printf("skipped: %s\n", node < 0 ? "no driver vgem" : "no /dev/dma_heap/system");
		if (node >= 0) {
			close(node);
		}
		return RUNNER_SKIP;
	}
	close(node);
	return runner_main(argc, argv, suite, roles);
}
