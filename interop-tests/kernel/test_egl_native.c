/* SPDX-License-Identifier: MIT */
/*
 * The kernel's fences in EGL, and GL's work as the kernel's fence (EGL_ANDROID_native_fence_sync), on a real driver.
 * What holds GL up is a fence of vgem's, or a draw that spins. KERNEL_CONTRACT sections 5 and 6.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <EGL/egl.h>

#include <stile/carrier.h>
#include <stile/egl_sync.h>
#include <stile/wait.h>

#include "demos/gles_drawer.h"
#include "demos/job.h"
#include "interop-tests/interop/gl_hold.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/vgem.h"

static struct gles_drawer drawer;
static struct stile_device *device;
static int vgem = -1;

static void warm_up(void) {
	ck_assert_int_eq(gles_drawer_init(&drawer), 0);
	gles_drawer_finish(&drawer);
}

static void set_up(void) {
	ck_assert_int_eq(gles_drawer_init(&drawer), 0);
	device = images_open_device();
	vgem = vgem_open();
	ck_assert_int_ge(vgem, 0);
}

static void tear_down(void) {
	close(vgem);
	stile_device_destroy(device);
	gles_drawer_finish(&drawer);
}

static int number;
static atomic_bool over;

static void *end_later(void *arg) {
	(void)arg;
	runner_sleep_ms(100);
	atomic_store(&over, true);
	runner_require(vgem_signal(vgem, number) == 0, "the fence has ended by itself");
	return NULL;
}

static void *open_later(void *word) {
	runner_sleep_ms(100);
	atomic_store(&over, true);
	gl_hold_open(word);
	return NULL;
}

/* Wrong code: a wait that the driver takes, and does not do. */
START_TEST(gl_comes_after_the_kernels_fence) {
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *fence, *work;
	pthread_t helper;
	int fd = vgem_sync_file(vgem, &number);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(stile_fence_import_fd(device, STILE_FD_SYNC_FILE, 0, fd, &fence), 0);
	close(fd);
	atomic_store(&over, false);
	ck_assert_int_eq(pthread_create(&helper, NULL, end_later, NULL), 0);
	ck_assert_int_eq(stile_egl_wait_fence(drawer.stile, fence, job_deadline(), &path), 0);
	printf("eglWaitSync of a native fence: path %d, blocked for %lld ns\n", path.kind,
		(long long)path.blocked_ns);
	glClear(GL_COLOR_BUFFER_BIT);
	ck_assert_int_eq(stile_egl_fence_create(drawer.stile, &work), 0);
	ck_assert_int_eq(stile_fence_wait(work, job_deadline()), 0);
	ck_assert(atomic_load(&over));
	pthread_join(helper, NULL);
	stile_fence_unref(work);
	stile_fence_unref(fence);
}
END_TEST

/* Wrong code: a fence of the kernel's that is over while GL is still drawing. */
START_TEST(kernels_fence_of_gl_work_ends_after_it) {
	struct stile_image *word = gl_hold_create_image(device);
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *fence;
	struct gl_hold hold;
	pthread_t helper;
	gl_hold_begin(&hold, &drawer, word);
	atomic_store(&over, false);
	ck_assert_int_eq(pthread_create(&helper, NULL, open_later, word), 0);
	ck_assert_int_eq(stile_egl_fence_create_sync_file(
				 drawer.stile, device, STILE_USER_FENCES_HOLD, &path, &fence),
		0);
	printf("a native fence of GL work: path %d, blocked for %lld ns\n", path.kind,
		(long long)path.blocked_ns);
	/* Some drivers have the call wait, and then the path does not hide it. */
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	ck_assert(atomic_load(&over));
	pthread_join(helper, NULL);
	stile_fence_unref(fence);
	glFinish();
	gl_hold_finish(&hold);
	stile_image_unref(word);
}
END_TEST

static Suite *make_suite(void) {
	Suite *suite = suite_create("egl_native");
	TCase *tcase = tcase_create("native fences");
	tcase_set_timeout(tcase, 120);
	tcase_add_unchecked_fixture(tcase, warm_up, NULL);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, gl_comes_after_the_kernels_fence);
	tcase_add_test(tcase, kernels_fence_of_gl_work_ends_after_it);
	suite_add_tcase(suite, tcase);
	return suite;
}

/* Why it cannot run here; NULL: it can. */
static const char *find_obstacle(void) {
	int fd = vgem_open();
	if (fd < 0) {
		return "there is no vgem, whose fences a program can end";
	}
	close(fd);
	if (gles_drawer_init(&drawer) < 0) {
		return "there is no EGL that draws on the CPU";
	}
	bool has = strstr(eglQueryString(drawer.display, EGL_EXTENSIONS),
			   "EGL_ANDROID_native_fence_sync") != NULL;
	gles_drawer_finish(&drawer);
	return has ? NULL : "EGL has no EGL_ANDROID_native_fence_sync";
}

int main(int argc, char **argv) {
	const char *obstacle = find_obstacle();
	if (obstacle != NULL) {
		printf("skipped: %s\n", obstacle);
		return RUNNER_SKIP;
	}
	return runner_main(argc, argv, make_suite, NULL);
}
