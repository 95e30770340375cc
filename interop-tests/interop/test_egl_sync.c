/* SPDX-License-Identifier: MIT */
/*
 * Native fences and the application's EGLSyncs (stile/egl_sync.h) on a display that is not there and has
 * them: support/fake_egl.h.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <stile/carrier.h>
#include <stile/egl_sync.h>

#include "interop-tests/interop/egl_calls.h"
#include "interop-tests/interop/egl_fixture.h"
#include "interop-tests/interop/fence_checks.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/fake_sync_file.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

static const struct fake_egl_traits has_native = { .native_fences = true };
static const struct fake_egl_traits lies = { .native_fences = true, .native_lies = true };
static const struct fake_egl_traits blocks = { .native_fences = true, .waits_block = true };
static const struct fake_egl_traits has_nothing;
static const struct fake_egl_traits has_semaphores = { .semaphores = true, .uuid = 9 };

static void set_up(void) {
	start(&has_native);
}

/* ---- In -------------------------------------------------------------------------------------- */

/* Wrong code: the calling thread waits where the driver could; GL goes on before the fence; the descriptor kept. */
START_TEST(gl_waits_for_the_kernels_fence) {
	size_t leaf;
	struct stile_fence *fence = kernels_fence(device, &leaf);
	struct stile_path path = { .size = sizeof(path) };
	ck_assert_int_eq(stile_egl_wait_fence(egl, fence, 0, &path), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_KERNEL);
	ck_assert_int_eq(path.blocked_ns, 0);
	runner_sleep_ms(10);
	ck_assert(!fake_egl_is_idle());
	fake_sync_file_signal(leaf, -EIO, 1);
	ck_assert(fake_egl_becomes_idle());
	check_ends(fence, -EIO);
}
END_TEST

static void *let_go_late(void *unused) {
	fake_gpu_await_blocked();
	fake_egl_let_go();
	return unused;
}

static void *end_late(void *leaf) {
	fake_gpu_await_blocked();
	fake_sync_file_signal(*(size_t *)leaf, 1, 1);
	return NULL;
}

/* Wrong code: a driver whose waits block asked again, and the deadline not kept; nothing said of it. */
START_TEST(driver_whose_waits_block_is_asked_once) {
	restart(&blocks);
	size_t leaf;
	struct stile_fence *fence = kernels_fence(device, &leaf);
	struct stile_path path = { .size = sizeof(path) };
	pthread_t helper;
	ck_assert_int_eq(pthread_create(&helper, NULL, end_late, &leaf), 0);
	ck_assert_int_eq(stile_egl_wait_fence(egl, fence, 0, &path), 0);
	pthread_join(helper, NULL);
	ck_assert_int_eq(path.kind, STILE_PATH_KERNEL);
	ck_assert_int_gt(path.blocked_ns, 0);
	stile_fence_unref(fence);
	fence = kernels_fence(device, &leaf);
	ck_assert_int_eq(stile_egl_wait_fence(egl, fence, 0, &path), -ETIME);
	ck_assert_int_eq(path.kind, STILE_PATH_CPU_WAIT);
	fake_sync_file_signal(leaf, 1, 1);
	check_ends(fence, 1);
}
END_TEST

/* Wrong code: a program's fence given to the driver; an entry point used without its extension. */
START_TEST(other_fences_are_waited_for_by_the_calling_thread) {
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *fence = plain_fence_create();
	ck_assert_int_eq(stile_egl_wait_fence(egl, fence, 0, &path), -ETIME);
	ck_assert_int_eq(path.kind, STILE_PATH_CPU_WAIT);
	stile_fence_signal(fence);
	stile_fence_unref(fence);
	restart(&has_nothing);
	size_t leaf;
	fence = kernels_fence(device, &leaf);
	ck_assert_int_eq(stile_egl_wait_fence(egl, fence, 0, &path), -ETIME);
	ck_assert_int_eq(path.kind, STILE_PATH_CPU_WAIT);
	fake_sync_file_signal(leaf, 1, 1);
	check_ends(fence, 1);
}
END_TEST

/* Wrong code: an EGLSync of -1, which stands for the work up to here; a driver asked for what is over. */
START_TEST(what_ends_on_its_way_in_is_nothing_to_wait_for) {
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence fence;
	EGLSync sync;
	fake_egl_hold();
	make_quick(&fence);
	ck_assert_int_eq(stile_egl_wait_fence(egl, &fence, 0, &path), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_NONE);
	make_quick(&fence);
	ck_assert_int_eq(stile_egl_export_fence(egl, &fence, &sync), 0);
	ck_assert_ptr_null(sync);
	fake_egl_let_go();
	restart(&has_nothing);
	struct stile_fence *stub = stile_fence_get_stub();
	ck_assert_int_eq(stile_egl_wait_fence(egl, stub, 0, &path), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_NONE);
	stile_fence_unref(stub);
}
END_TEST

/* Wrong code: a wait that was not made taken for one; an entry point of nothing called; an extension taken for another. */
START_TEST(where_the_driver_does_not_wait_the_calling_thread_does) {
	static const struct {
		const char *fails, *lacks, *extensions;
	} cases[] = {
		{ "eglWaitSync", NULL, NULL },
		{ "eglCreateSyncKHR", NULL, NULL },
		{ NULL, "eglDupNativeFenceFDANDROID", NULL },
		{ NULL, NULL,
			"EGL_ANDROID_native_fence_sync_not EGL_not_ANDROID_native_fence_sync" },
	};
	struct fake_egl_traits traits = has_native;
	traits.lacks = cases[_i].lacks;
	traits.extensions = cases[_i].extensions;
	restart(&traits);
	struct stile_path path = { .size = sizeof(path) };
	size_t leaf;
	struct stile_fence *fence = kernels_fence(device, &leaf);
	if (cases[_i].fails != NULL) {
		fake_gpu_fail(cases[_i].fails, 1, EGL_BAD_ALLOC);
	}
	ck_assert_int_eq(stile_egl_wait_fence(egl, fence, 0, &path), -ETIME);
	ck_assert_int_eq(path.kind, STILE_PATH_CPU_WAIT);
	fake_sync_file_signal(leaf, 1, 1);
	check_ends(fence, 1);
}
END_TEST

/* Wrong code: another adapter's EGLSync used, which that one destroys when it likes. */
START_TEST(the_fence_of_another_adapter_is_anybodys) {
	const struct stile_egl_info info = fake_egl_describe();
	struct stile_path path = { .size = sizeof(path) };
	struct stile_egl *other;
	struct stile_fence *fence;
	ck_assert_int_eq(stile_egl_create(&info, NULL, &other), 0);
	fake_egl_hold();
	ck_assert_int_eq(stile_egl_fence_create(other, &fence), 0);
	ck_assert_int_eq(stile_egl_wait_fence(egl, fence, 0, &path), -ETIME);
	ck_assert_int_eq(path.kind, STILE_PATH_CPU_WAIT);
	fake_egl_let_go();
	check_ends(fence, 1);
	stile_egl_destroy(other);
}
END_TEST

/* Wrong code: an EGLSync that follows nothing, or one for what has ended; a wrong reason. */
START_TEST(kernels_fence_becomes_an_egl_sync) {
	size_t leaf;
	EGLSync sync;
	struct stile_fence *fence = kernels_fence(device, &leaf), *back;
	ck_assert_int_eq(stile_egl_export_fence(egl, fence, &sync), 0);
	ck_assert_ptr_nonnull(sync);
	ck_assert_int_eq(stile_egl_import_fence(egl, sync, &back), 0);
	check_pending(back);
	fake_sync_file_signal(leaf, 1, 1);
	check_ends(back, 1);
	fake_egl_destroy_sync(sync);
	ck_assert_int_eq(plain_fence_finish(fence), 1);
	ck_assert_int_eq(stile_egl_export_fence(egl, fence, &sync), 0);
	ck_assert_ptr_null(sync);
	stile_fence_unref(fence);
	fence = plain_fence_create();
	ck_assert_int_eq(stile_egl_export_fence(egl, fence, &sync), -EOPNOTSUPP);
	stile_fence_signal(fence);
	stile_fence_unref(fence);
}
END_TEST

/* ---- Out ------------------------------------------------------------------------------------- */

/*
 * Wrong code: a fence that the kernel has not got called the kernel's; one that is over before the work, which is a
 * dependency lost; a descriptor asked for before the flush.
 */
START_TEST(work_becomes_the_kernels_fence_where_the_driver_can) {
	static const struct {
		const struct fake_egl_traits *traits;
		enum stile_path_kind kind;
	} cases[] = {
		{ &has_native, STILE_PATH_KERNEL },
		{ &lies, STILE_PATH_HANDLE },
		{ &has_nothing, STILE_PATH_HANDLE },
	};
	restart(cases[_i].traits);
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *fence;
	fake_egl_hold();
	ck_assert_int_eq(stile_egl_fence_create_sync_file(
				 egl, device, STILE_USER_FENCES_HOLD, &path, &fence),
		0);
	ck_assert_int_eq(path.kind, cases[_i].kind);
	ck_assert_int_eq(path.blocked_ns, 0);
	ck_assert_int_eq(has_sync_file(fence), path.kind == STILE_PATH_KERNEL);
	check_pending(fence);
	fake_egl_let_go();
	check_ends(fence, 1);

	fake_egl_hold();
	int ret = stile_egl_fence_create_sync_file(
		egl, device, STILE_USER_FENCES_REFUSE, NULL, &fence);
	ck_assert_int_eq(ret, cases[_i].kind == STILE_PATH_KERNEL ? 0 : -EOPNOTSUPP);
	ck_assert_int_eq(fence == NULL, ret < 0);
	fake_egl_let_go();
	if (ret == 0) {
		check_ends(fence, 1);
	}
}
END_TEST

/* Wrong code: a native fence of what is over taken for a lie; a driver that waits, of which the path says nothing. */
START_TEST(work_that_is_over_has_a_native_fence_too) {
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *fence;
	ck_assert_int_eq(stile_egl_fence_create_sync_file(
				 egl, device, STILE_USER_FENCES_REFUSE, &path, &fence),
		0);
	ck_assert_int_eq(path.kind, STILE_PATH_KERNEL);
	check_ends(fence, 1);
	struct fake_egl_traits traits = has_native;
	traits.dups_block = true;
	restart(&traits);
	pthread_t helper;
	fake_egl_hold();
	ck_assert_int_eq(pthread_create(&helper, NULL, let_go_late, NULL), 0);
	ck_assert_int_eq(stile_egl_fence_create_sync_file(
				 egl, device, STILE_USER_FENCES_REFUSE, &path, &fence),
		0);
	pthread_join(helper, NULL);
	ck_assert_int_gt(path.blocked_ns, 0);
	check_ends(fence, 1);
}
END_TEST

/* ---- The thread that waits ------------------------------------------------------------------- */

/* Wrong code: what ends later waited for before what ends first. */
START_TEST(fences_end_in_any_order) {
	size_t leaf;
	EGLSync sync;
	struct stile_fence *work, *kernels = kernels_fence(device, &leaf), *fence;
	fake_egl_hold();
	ck_assert_int_eq(stile_egl_fence_create(egl, &work), 0);
	ck_assert_int_eq(stile_egl_export_fence(egl, kernels, &sync), 0);
	ck_assert_int_eq(stile_egl_import_fence(egl, sync, &fence), 0);
	fake_sync_file_signal(leaf, 1, 1);
	check_ends(fence, 1);
	ck_assert_int_eq(stile_fence_get_status(work), 0);
	fake_egl_let_go();
	check_ends(work, 1);
	check_ends(kernels, 1);
	fake_egl_destroy_sync(sync);
}
END_TEST

/* Wrong code: want of memory taken for the end of the work; a lost context for success; fences that pend for ever. */
START_TEST(only_a_lost_context_ends_a_fence_before_its_work) {
	struct stile_fence *fence;
	fake_egl_hold();
	ck_assert_int_eq(stile_egl_fence_create(egl, &fence), 0);
	fake_gpu_fail("eglClientWaitSync", 1, EGL_BAD_ALLOC);
	check_pending(fence);
	ck_assert_ptr_nonnull(fake_gpu_failed());
	fake_gpu_fail("eglClientWaitSync", 1, EGL_CONTEXT_LOST);
	check_ends(fence, -EIO);
	fake_egl_let_go();
	restart(&has_native);
	fake_egl_hold();
	ck_assert_int_eq(stile_egl_fence_create(egl, &fence), 0);
	stile_egl_destroy(egl);
	ck_assert_int_eq(plain_fence_finish(fence), -ECANCELED);
	stile_fence_unref(fence);
	fake_egl_let_go();
	ck_assert(fake_egl_becomes_idle());
	const struct stile_egl_info info = fake_egl_describe();
	ck_assert_int_eq(stile_egl_create(&info, NULL, &egl), 0);
}
END_TEST

/* Wrong code: the application's EGLSync destroyed; GL has a thread wait where it has the sync itself. */
START_TEST(egl_sync_of_the_application_becomes_a_fence) {
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *fence;
	fake_egl_hold();
	EGLSync sync = fake_egl_sync(false);
	ck_assert_int_eq(stile_egl_import_fence(egl, sync, &fence), 0);
	check_pending(fence);
	ck_assert_int_eq(stile_egl_wait_fence(egl, fence, 0, &path), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_HANDLE);
	fake_egl_let_go();
	check_ends(fence, 1);
	fake_egl_destroy_sync(sync);
}
END_TEST

/* Wrong code: what a program can take back taken for a fence; nothing at all, too. */
START_TEST(egl_sync_that_is_no_fence_is_einval) {
	struct stile_fence *fence = (struct stile_fence *)(uintptr_t)1;
	EGLSync sync = fake_egl_sync(true);
	ck_assert_int_eq(stile_egl_import_fence(egl, sync, &fence), -EINVAL);
	ck_assert_ptr_null(fence);
	ck_assert(has_logged("reusable"));
	ck_assert_int_eq(stile_egl_import_fence(egl, EGL_NO_SYNC, &fence), -EINVAL);
	fake_egl_destroy_sync(sync);
}
END_TEST

/* Wrong code: a size or a choice taken for what it is not. */
START_TEST(sync_file_of_nonsense_is_einval) {
	struct stile_fence *fence;
	struct stile_path small = { .size = 1 };
	ck_assert_int_eq(stile_egl_fence_create_sync_file(
				 egl, device, STILE_USER_FENCES_HOLD, &small, &fence),
		-EINVAL);
	ck_assert_int_eq(stile_egl_fence_create_sync_file(
				 egl, device, (enum stile_user_fences)3, NULL, &fence),
		-EINVAL);
	struct stile_fence *stub = stile_fence_get_stub();
	ck_assert_int_eq(stile_egl_wait_fence(egl, stub, -1, NULL), -EINVAL);
	stile_fence_unref(stub);
}
END_TEST

/* ---- GL semaphores --------------------------------------------------------------------------- */

/* A descriptor of a semaphore of nobody's, and whose it is. */
static struct stile_egl_semaphore_info shared_semaphore(void) {
	struct stile_egl_semaphore_info info = { .size = sizeof(info) };
	fake_gpu_lock();
	struct fake_payload *payload = fake_payload_create();
	info.fd = fake_payload_export(payload);
	fake_payload_unref(payload);
	fake_gpu_unlock();
	memset(info.device_uuid, has_semaphores.uuid, sizeof(info.device_uuid));
	memset(info.driver_uuid, has_semaphores.uuid, sizeof(info.driver_uuid));
	return info;
}

static void check_not_imported(
	const struct stile_egl_semaphore_info *info, int error, enum stile_reason reason) {
	struct stile_report why = { .size = sizeof(why) };
	struct stile_egl_semaphore *semaphore = (struct stile_egl_semaphore *)(uintptr_t)1;
	ck_assert_int_eq(stile_egl_semaphore_import(egl, info, &why, &semaphore), error);
	ck_assert_ptr_null(semaphore);
	ck_assert_int_eq(why.reason, reason);
	ck_assert_uint_gt(strlen(why.text), 0);
}

static void check_textures(uint32_t count, const uint32_t *textures, const uint32_t *layouts) {
	const struct fake_egl_textures seen = fake_egl_get_textures();
	ck_assert_uint_eq(seen.count, count);
	ck_assert(seen.textures == textures && seen.layouts == layouts);
}

/*
 * Wrong code: what was signalled does not hold up who waits, or is not flushed (the display complains); a name of GL's
 * left; textures left out; an error that was there before taken for the import's.
 */
START_TEST(gl_signals_and_waits_for_a_semaphore) {
	static const uint32_t textures[] = { 3, 4 }, layouts[] = { 5, 6 };
	restart(&has_semaphores);
	struct stile_egl_semaphore_info info = shared_semaphore();
	struct stile_egl_semaphore *semaphore;
	fake_egl_set_gl_error(0x0501);
	ck_assert_int_eq(stile_egl_semaphore_import(egl, &info, NULL, &semaphore), 0);
	ck_assert(has_logged("0x501"));
	for (int i = 0; i < 3; i++) {
		fake_egl_hold();
		ck_assert_int_eq(stile_egl_semaphore_signal(semaphore, 2, textures, layouts), 0);
		check_textures(2, textures, layouts);
		ck_assert_int_eq(stile_egl_semaphore_wait(semaphore, 1, layouts, textures), 0);
		check_textures(1, layouts, textures);
		ck_assert(!fake_egl_is_idle());
		fake_egl_let_go();
		ck_assert(fake_egl_becomes_idle());
	}
	stile_egl_semaphore_destroy(semaphore);
	close(info.fd);
}
END_TEST

/*
 * Wrong code: GL given a descriptor of another device's, or called without the extension; the descriptor left, or
 * closed twice.
 */
START_TEST(semaphore_that_gl_cannot_have_is_refused) {
	struct stile_egl_semaphore_info info = shared_semaphore(), lied = info;
	check_not_imported(&info, -EOPNOTSUPP, STILE_REASON_DRIVER);
	close(info.fd);
	restart(&has_semaphores);
	info = lied = shared_semaphore();
	lied.device_uuid[3] ^= 1;
	check_not_imported(&lied, -EOPNOTSUPP, STILE_REASON_DEVICE);
	lied = info;
	lied.driver_uuid[3] ^= 1;
	check_not_imported(&lied, -EOPNOTSUPP, STILE_REASON_DEVICE);
	lied = info;
	lied.size = 1;
	check_not_imported(&lied, -EINVAL, STILE_REASON_USAGE);
	fake_gpu_fail("glImportSemaphoreFdEXT", 1, 0x0505);
	check_not_imported(&info, -ENOMEM, STILE_REASON_DRIVER);
	fake_gpu_fail("glImportSemaphoreFdEXT", 1, 0x0507);
	check_not_imported(&info, -EIO, STILE_REASON_DRIVER);
	close(info.fd);
	check_not_imported(&info, -EBADF, STILE_REASON_FD_CLOSED);
}
END_TEST

/* Wrong code: an entry point of nothing called. */
START_TEST(gl_without_the_entry_points_is_refused) {
	struct fake_egl_traits traits = has_semaphores;
	traits.lacks = "glWaitSemaphoreEXT";
	restart(&traits);
	struct stile_egl_semaphore_info info = shared_semaphore();
	check_not_imported(&info, -EOPNOTSUPP, STILE_REASON_DRIVER);
	close(info.fd);
}
END_TEST

/* Wrong code: only the first of the devices looked at that GL draws with. */
START_TEST(semaphore_of_any_of_gls_devices_is_imported) {
	struct fake_egl_traits several = has_semaphores;
	several.others = 2;
	restart(&several);
	struct stile_egl_semaphore_info info = shared_semaphore();
	struct stile_egl_semaphore *semaphore;
	ck_assert_int_eq(stile_egl_semaphore_import(egl, &info, NULL, &semaphore), 0);
	stile_egl_semaphore_destroy(semaphore);
	info.device_uuid[15] ^= 1;
	check_not_imported(&info, -EOPNOTSUPP, STILE_REASON_DEVICE);
	close(info.fd);
}
END_TEST

/* Wrong code: glGetStringi() called of GL ES 2, which has not got it (the display complains). */
START_TEST(semaphore_in_gl_es_2_is_refused) {
	struct fake_egl_traits old = has_semaphores;
	old.is_old = true;
	restart(&old);
	struct stile_egl_semaphore_info info = shared_semaphore();
	check_not_imported(&info, -EOPNOTSUPP, STILE_REASON_DRIVER);
	close(info.fd);
}
END_TEST

/* Wrong code: the number of a descriptor that the driver has closed, closed again, when it is somebody else's. */
START_TEST(what_a_failed_import_closes_is_closed_once) {
	restart(&has_semaphores);
	struct stile_egl_semaphore_info info = shared_semaphore();
	fake_gpu_close_failed_imports();
	fake_gpu_fail("glImportSemaphoreFdEXT", 1, 0x0502);
	check_not_imported(&info, -EOPNOTSUPP, STILE_REASON_DRIVER);
	ck_assert_int_eq(close(fake_gpu_take_reused_fd()), 0);
	close(info.fd);
}
END_TEST

/* Wrong code: GL called without a context, which the display complains of; the memory left, or no word of it. */
START_TEST(semaphore_that_is_given_up_without_a_context_is_left_to_it) {
	restart(&has_semaphores);
	struct stile_egl_semaphore_info info = shared_semaphore();
	struct stile_egl_semaphore *semaphore;
	const unsigned name = 1;
	ck_assert_int_eq(stile_egl_semaphore_import(egl, &info, NULL, &semaphore), 0);
	fake_egl_set_current(false);
	stile_egl_semaphore_destroy(semaphore);
	ck_assert(has_logged("needs a current context"));
	fake_egl_set_current(true);
	/* The context's end. */
	((void (*)(int, const unsigned *))fake_egl_describe().get_proc_address(
		"glDeleteSemaphoresEXT"))(1, &name);
	close(info.fd);
}
END_TEST

/* ---- Threads without a context --------------------------------------------------------------- */

static struct stile_image *create_image(uint32_t fourcc) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = 64,
		.height = 64,
		.fourcc = fourcc,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	return image;
}

/*
 * Wrong code: EGL or GL called where no context is current, which the display complains of, or with another display's;
 * no word of why not; a call that needs none refused.
 */
START_TEST(calls_need_a_context_of_the_display_or_none_at_all) {
	static const struct fake_egl_traits has_all = {
		.native_fences = true, .semaphores = true, .uuid = 9
	};
	static struct egl_world world;
	restart(&has_all);
	world = (struct egl_world){
		.info = fake_egl_describe(),
		.device = device,
		.image = create_image(DRM_FORMAT_ABGR8888),
		.yuv = create_image(DRM_FORMAT_NV12),
		.sync = fake_egl_sync(false),
		.semaphore_info = shared_semaphore(),
		.bind_other = fake_egl_set_others_current,
	};
	world.info.log = egl_world_note;
	world.info.log_user = &world;
	ck_assert_int_eq(stile_egl_create(&world.info, NULL, &world.egl), 0);
	ck_assert_int_eq(stile_egl_semaphore_import(
				 world.egl, &world.semaphore_info, NULL, &world.semaphore),
		0);
	egl_world_check(&world);
	stile_egl_semaphore_destroy(world.semaphore);
	stile_egl_destroy(world.egl);
	fake_egl_destroy_sync(world.sync);
	close(world.semaphore_info.fd);
	stile_image_unref(world.image);
	stile_image_unref(world.yuv);
}
END_TEST

/* ---- Everything fails once ------------------------------------------------------------------- */

static int try_create(void) {
	struct stile_egl_info info = fake_egl_describe();
	struct stile_egl *other;
	int ret = stile_egl_create(&info, NULL, &other);
	stile_egl_destroy(other);
	return ret;
}

static int try_fence(void) {
	struct stile_fence *fence = NULL;
	int ret = stile_egl_fence_create(egl, &fence);
	stile_fence_unref(fence);
	return ret;
}

static int try_sync_file(void) {
	struct stile_fence *fence = NULL;
	fake_egl_hold();
	int ret =
		stile_egl_fence_create_sync_file(egl, device, STILE_USER_FENCES_HOLD, NULL, &fence);
	fake_egl_let_go();
	if (ret == 0) {
		plain_fence_finish(fence);
	}
	stile_fence_unref(fence);
	return ret;
}

static int try_wait(void) {
	size_t leaf;
	struct stile_fence *fence = kernels_fence(device, &leaf);
	int ret = stile_egl_wait_fence(egl, fence, 0, NULL);
	fake_sync_file_signal(leaf, 1, 1);
	stile_fence_unref(fence);
	/* Without the driver nobody waits, and that is said. */
	return ret == -ETIME ? 0 : ret;
}

static int try_export(void) {
	size_t leaf;
	struct stile_fence *fence = kernels_fence(device, &leaf);
	EGLSync sync;
	int ret = stile_egl_export_fence(egl, fence, &sync);
	if (sync != EGL_NO_SYNC) {
		fake_egl_destroy_sync(sync);
	}
	fake_sync_file_signal(leaf, 1, 1);
	stile_fence_unref(fence);
	return ret;
}

static int try_import(void) {
	struct stile_fence *fence = NULL;
	EGLSync sync = fake_egl_sync(false);
	int ret = stile_egl_import_fence(egl, sync, &fence);
	if (ret == 0) {
		plain_fence_finish(fence);
	}
	stile_fence_unref(fence);
	fake_egl_destroy_sync(sync);
	return ret;
}

static int (*const tries[])(
	void) = { try_create, try_fence, try_sync_file, try_wait, try_export, try_import };
enum { TRIES = sizeof(tries) / sizeof(tries[0]) };

/*
 * Each call of the driver's in turn gives each of these. Wrong code: an EGLSync or a descriptor left, a hang, a
 * wrong errno (the ledgers, the display's complaints).
 */
START_TEST(any_call_of_the_driver_may_fail) {
	static const EGLint codes[] = { EGL_BAD_ALLOC, EGL_CONTEXT_LOST };
	EGLint code = codes[_i % 2];
	unsigned n = 1;
	const char *failed;
	do {
		restart(&has_native);
		fake_gpu_fail(NULL, n, code);
		int ret = tries[_i / 2]();
		failed = fake_gpu_failed();
		int error = code == EGL_BAD_ALLOC ? -ENOMEM : -EIO;
		/* What does not know its sync any more cannot say why. */
		bool unknown = failed != NULL && strcmp(failed, "eglGetSyncAttrib") == 0;
		ck_assert_msg(ret == 0 || (failed != NULL && ret == (unknown ? -EINVAL : error)),
			"call %u, %s, failed: gave %d", n, failed == NULL ? "none" : failed, ret);
		n++;
	} while (failed != NULL);
}
END_TEST

/* The same of the system's calls. Wrong code: as above. */
START_TEST(any_call_of_the_system_may_fail) {
	static int (*const quiet[])(void) = { try_create, try_fence };
	for (unsigned n = 1;; n++) {
		restart(&has_native);
		failing_begin(n);
		int ret = quiet[_i]();
		const char *call = failing_end();
		ck_assert_msg(ret == 0 || call != NULL, "nothing failed, and yet it gave %d", ret);
		if (call == NULL) {
			break;
		}
	}
}
END_TEST

/* The same of a semaphore's. Wrong code: one of its two descriptors left, or GL asked about none. */
START_TEST(any_call_of_the_system_may_fail_in_the_import_of_a_semaphore) {
	const char *failed;
	unsigned n = 1;
	do {
		restart(&has_semaphores);
		struct stile_egl_semaphore_info info = shared_semaphore();
		struct stile_egl_semaphore *semaphore;
		failing_begin(n++);
		int ret = stile_egl_semaphore_import(egl, &info, NULL, &semaphore);
		failed = failing_end();
		stile_egl_semaphore_destroy(semaphore);
		close(info.fd);
		ck_assert_msg(ret == 0 || (failed != NULL && (ret == -ENOMEM || ret == -EMFILE)),
			"%s failed: gave %d", failed == NULL ? "nothing" : failed, ret);
	} while (failed != NULL);
	ck_assert_uint_gt(n, 2);
}
END_TEST

/* ---------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("egl_sync");
	TCase *tcase = ledger_tcase_create("forms");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, set_up, stop);
	tcase_add_test(tcase, gl_waits_for_the_kernels_fence);
	tcase_add_test(tcase, driver_whose_waits_block_is_asked_once);
	tcase_add_test(tcase, other_fences_are_waited_for_by_the_calling_thread);
	tcase_add_test(tcase, what_ends_on_its_way_in_is_nothing_to_wait_for);
	tcase_add_loop_test(tcase, where_the_driver_does_not_wait_the_calling_thread_does, 0, 4);
	tcase_add_test(tcase, the_fence_of_another_adapter_is_anybodys);
	tcase_add_test(tcase, work_that_is_over_has_a_native_fence_too);
	tcase_add_test(tcase, fences_end_in_any_order);
	tcase_add_test(tcase, only_a_lost_context_ends_a_fence_before_its_work);
	tcase_add_test(tcase, gl_without_the_entry_points_is_refused);
	tcase_add_test(tcase, kernels_fence_becomes_an_egl_sync);
	tcase_add_loop_test(tcase, work_becomes_the_kernels_fence_where_the_driver_can, 0, 3);
	tcase_add_test(tcase, egl_sync_of_the_application_becomes_a_fence);
	tcase_add_test(tcase, egl_sync_that_is_no_fence_is_einval);
	tcase_add_test(tcase, sync_file_of_nonsense_is_einval);
	tcase_add_test(tcase, gl_signals_and_waits_for_a_semaphore);
	tcase_add_test(tcase, semaphore_that_gl_cannot_have_is_refused);
	tcase_add_test(tcase, semaphore_of_any_of_gls_devices_is_imported);
	tcase_add_test(tcase, semaphore_in_gl_es_2_is_refused);
	tcase_add_test(tcase, what_a_failed_import_closes_is_closed_once);
	tcase_add_test(tcase, semaphore_that_is_given_up_without_a_context_is_left_to_it);
	tcase_add_test(tcase, calls_need_a_context_of_the_display_or_none_at_all);
	tcase_add_loop_test(tcase, any_call_of_the_driver_may_fail, 0, 2 * TRIES);
	tcase_add_loop_test(tcase, any_call_of_the_system_may_fail, 0, 2);
	tcase_add_test(tcase, any_call_of_the_system_may_fail_in_the_import_of_a_semaphore);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
