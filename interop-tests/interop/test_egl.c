/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <EGL/egl.h>
#include <EGL/eglext.h>

#include <stile/carrier.h>
#include <stile/swgpu.h>
#include <stile/wait.h>

#include "demos/gles_drawer.h"
#include "demos/job.h"
#include "interop-tests/interop/gate.h"
#include "interop-tests/interop/gl_hold.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

static struct gles_drawer drawer;
static struct stile_device *device;

static void start_gles(void) {
	ck_assert_int_eq(gles_drawer_init(&drawer), 0);
}

static void stop_gles(void) {
	gles_drawer_finish(&drawer);
}

static void warm_up(void) {
	start_gles();
	stop_gles();
}

static void open_device(void) {
	device = images_open_device();
}

static void destroy_device(void) {
	stile_device_destroy(device);
}

/* ---- Making an adapter -------------------------------------------------------------------- */

static stile_egl_proc without_wait_sync(const char *name) {
	return strcmp(name, "eglWaitSync") == 0 ? NULL : eglGetProcAddress(name);
}

static const char *query_old(EGLDisplay display, EGLint name) {
	(void)display;
	return name == EGL_VERSION ? "1.4 Test" : "";
}

static stile_egl_proc old(const char *name) {
	return strcmp(name, "eglQueryString") == 0 ? (stile_egl_proc)query_old
						   : eglGetProcAddress(name);
}

static const char *query_little(EGLDisplay display, EGLint name) {
	(void)display;
	return name == EGL_VERSION ? "1.5 Test" : "EGL_EXT_image_dma_buf_import_modifiers_not";
}

static stile_egl_proc without_extensions(const char *name) {
	return strcmp(name, "eglQueryString") == 0 ? (stile_egl_proc)query_little
						   : eglGetProcAddress(name);
}

START_TEST(create_says_what_is_missing) {
	static const struct {
		stile_egl_proc (*get_proc_address)(const char *name);
		bool display;
		int error;
		const char *text;
	} cases[] = {
		{ NULL, true, -EINVAL, "get_proc_address" },
		{ eglGetProcAddress, false, -EINVAL, "display" },
		{ without_wait_sync, true, -EOPNOTSUPP, "eglWaitSync" },
		{ old, true, -EOPNOTSUPP, "1.4" },
	};
	struct stile_egl_info info = {
		.size = sizeof(info),
		.get_proc_address = cases[_i].get_proc_address,
		.display = cases[_i].display ? drawer.display : EGL_NO_DISPLAY,
	};
	struct stile_report why = { .size = sizeof(why) };
	struct stile_egl *egl = (struct stile_egl *)&why;
	ck_assert_int_eq(stile_egl_create(&info, &why, &egl), cases[_i].error);
	ck_assert_ptr_null(egl);
	ck_assert_ptr_nonnull(strstr(why.text, cases[_i].text));
}
END_TEST

/* Wrong code: the report emptied only once the struct was understood. */
START_TEST(create_with_an_impossible_size_leaves_nothing_stale) {
	struct stile_egl_info info = { .size = 3 };
	struct stile_report why = {
		.size = sizeof(why), .reason = STILE_REASON_DRIVER, .error = -99, .text = "stale"
	};
	struct stile_egl *egl;
	ck_assert_int_eq(stile_egl_create(&info, &why, &egl), -EINVAL);
	ck_assert_ptr_null(egl);
	ck_assert_int_eq(why.error, -EINVAL);
	ck_assert_int_eq(why.reason, STILE_REASON_USAGE);
	ck_assert_uint_gt(strlen(why.text), 0);
	ck_assert_str_ne(why.text, "stale");
}
END_TEST

/* An adapter of the drawer's display that finds some entry points elsewhere. */
static struct stile_egl *create_with(stile_egl_proc (*get_proc_address)(const char *name)) {
	struct stile_egl_info info = {
		.size = sizeof(info),
		.get_proc_address = get_proc_address,
		.display = drawer.display,
	};
	struct stile_egl *egl;
	ck_assert_int_eq(stile_egl_create(&info, NULL, &egl), 0);
	return egl;
}

/* Wrong code: fences and OPAQUE_FD refused with what they do not need, or a query that is not there called. */
START_TEST(a_display_without_dma_bufs_has_fences_and_says_what_is_missing) {
	static const char missing[] = "EGL_EXT_image_dma_buf_import";
	struct stile_egl *egl = create_with(without_extensions);
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_party party = { .size = sizeof(party) };
	struct stile_egl_image *imported;
	ck_assert_int_eq(stile_egl_import_image(egl, image, &why, &imported), -EOPNOTSUPP);
	ck_assert_ptr_null(imported);
	ck_assert_int_eq(why.reason, STILE_REASON_DRIVER);
	ck_assert_ptr_nonnull(strstr(why.text, missing));
	ck_assert_int_eq(stile_egl_check_image(egl, image, &why), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, missing));
	ck_assert_int_eq(stile_egl_get_party(egl, STILE_USAGE_READ, &why, &party), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, missing));
	struct stile_fence *fence;
	ck_assert_int_eq(stile_egl_fence_create(egl, &fence), 0);
	ck_assert_int_eq(stile_fence_wait(fence, job_deadline()), 0);
	stile_fence_unref(fence);
	stile_image_unref(image);
	stile_egl_destroy(egl);
}
END_TEST

/* ---- Importing ---------------------------------------------------------------------------- */

static EGLImage create_nothing(EGLDisplay display, EGLContext context, EGLenum target,
	EGLClientBuffer buffer, const EGLAttrib *attributes) {
	(void)display;
	(void)context;
	(void)target;
	(void)buffer;
	(void)attributes;
	return EGL_NO_IMAGE;
}

static stile_egl_proc without_images(const char *name) {
	return strcmp(name, "eglCreateImage") == 0 ? (stile_egl_proc)create_nothing
						   : eglGetProcAddress(name);
}

/* Wrong code: memory that cannot be mapped for writing given to a driver, which crashes on it. */
START_TEST(sealed_memory_never_reaches_the_driver) {
	int seal = _i == 0 ? F_SEAL_WRITE : F_SEAL_FUTURE_WRITE;
	struct stile_egl *egl = create_with(without_images);
	struct stile_image *before = images_import_odd(device, 64, 64, 256, 0, 256 * 64);
	struct stile_image *after = images_seal_and_reopen(device, before, seal);
	struct stile_image *images[] = { before, after };
	for (size_t i = 0; i < 2; i++) {
		struct stile_report why = { .size = sizeof(why) };
		struct stile_egl_image *imported;
		ck_assert_int_eq(stile_egl_import_image(egl, images[i], &why, &imported), -EACCES);
		ck_assert_ptr_null(imported);
		ck_assert_int_eq(why.error, -EACCES);
		ck_assert_uint_gt(strlen(why.text), 0);
		stile_image_unref(images[i]);
	}
	stile_egl_destroy(egl);
}
END_TEST

/*
 * Drivers whose modifiers are all tiled: one counts more than it was given room for, one more than
 * it writes at all, one answers the first question only.
 */
enum { LISTED = 10 };
enum { COUNTS_PAST_THE_ROOM, COUNTS_PAST_WHAT_IT_WRITES, COUNTS_ONLY, MODIFIER_DRIVERS };
static int modifier_driver;

static EGLBoolean list_badly(EGLDisplay display, EGLint format, EGLint max, EGLuint64KHR *modifiers,
	EGLBoolean *external_only, EGLint *count) {
	(void)display;
	(void)format;
	(void)external_only;
	*count = modifier_driver == COUNTS_PAST_THE_ROOM ? 1000 * (max + 1) : 2 * LISTED;
	EGLint writes = modifier_driver == COUNTS_PAST_THE_ROOM ? max : LISTED;
	for (EGLint i = 0; i < max && i < writes; i++) {
		modifiers[i] = (EGLuint64KHR)I915_FORMAT_MOD_X_TILED + (EGLuint64KHR)i;
	}
	return max == 0 || modifier_driver != COUNTS_ONLY;
}

static stile_egl_proc listing_badly(const char *name) {
	return strcmp(name, "eglQueryDmaBufModifiersEXT") == 0 ? (stile_egl_proc)list_badly
							       : eglGetProcAddress(name);
}

/* Wrong code: as many read as were counted, of which some are rubbish, or 0, which is LINEAR. */
START_TEST(modifiers_that_are_counted_but_not_listed_are_not_taken) {
	modifier_driver = _i;
	struct stile_egl *egl = create_with(listing_badly);
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_egl_image *imported;
	ck_assert_int_eq(stile_egl_import_image(egl, image, &why, &imported), -EOPNOTSUPP);
	ck_assert_ptr_null(imported);
	ck_assert_int_eq(why.reason, STILE_REASON_MODIFIER);
	stile_image_unref(image);
	stile_egl_destroy(egl);
}
END_TEST

START_TEST(import_of_a_read_only_image_is_refused) {
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	struct stile_image *reopened = images_reopen_read_only(image);
	struct stile_egl_image *imported;
	struct stile_report why = { .size = sizeof(why) };
	ck_assert_int_eq(stile_egl_import_image(drawer.stile, reopened, &why, &imported), -EACCES);
	ck_assert_ptr_null(imported);
	ck_assert_int_eq(why.reason, STILE_REASON_FD_ACCESS);
	stile_image_unref(reopened);
	stile_image_unref(image);
}
END_TEST

/* Mesa 25 lists NV12 and then refuses it, newer ones take it: a clear answer either way. */
START_TEST(import_of_nv12_works_or_is_refused_with_the_driver_s_word) {
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_NV12);
	struct stile_egl_image *imported;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_egl_import_image(drawer.stile, image, &why, &imported);
	if (ret < 0) {
		ck_assert_int_eq(ret, -EOPNOTSUPP);
		ck_assert(why.reason == STILE_REASON_DRIVER || why.reason == STILE_REASON_FORMAT);
		ck_assert_ptr_nonnull(strstr(why.text, "NV12"));
	}
	stile_egl_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

START_TEST(import_takes_all_single_plane_formats) {
	static const uint32_t fourccs[] = { DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888,
		DRM_FORMAT_XBGR8888, DRM_FORMAT_ABGR8888, DRM_FORMAT_R8 };
	struct stile_image *image = images_create(device, 67, 13, fourccs[_i]);
	struct stile_egl_image *imported;
	ck_assert_int_eq(stile_egl_import_image(drawer.stile, image, NULL, &imported), 0);
	stile_egl_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

/* ---- Importing again ---------------------------------------------------------------------- */

static unsigned images_made, images_destroyed;

static EGLImage count_create(EGLDisplay display, EGLContext context, EGLenum target,
	EGLClientBuffer buffer, const EGLAttrib *attributes) {
	images_made++;
	return eglCreateImage(display, context, target, buffer, attributes);
}

static EGLBoolean count_destroy(EGLDisplay display, EGLImage image) {
	images_destroyed++;
	return eglDestroyImage(display, image);
}

static stile_egl_proc counting_images(const char *name) {
	if (strcmp(name, "eglCreateImage") == 0) {
		images_made = images_destroyed = 0;
		return (stile_egl_proc)count_create;
	}
	return strcmp(name, "eglDestroyImage") == 0 ? (stile_egl_proc)count_destroy
						    : eglGetProcAddress(name);
}

static struct stile_egl_image *import_again(struct stile_egl *egl, struct stile_image *image) {
	struct stile_egl_image *imported;
	struct stile_report why = { .size = sizeof(why) };
	ck_assert_int_eq(stile_egl_import_image(egl, image, &why, &imported), 0);
	ck_assert_int_eq(why.error, 0);
	return imported;
}

/* Wrong code: the driver asked for each frame; or its object kept when the memory has gone. */
START_TEST(importing_again_asks_the_driver_once_as_long_as_the_memory_lives) {
	struct stile_egl *egl = create_with(counting_images);
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	struct stile_image_info info = { .size = sizeof(info) };
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	struct stile_egl_image *first = import_again(egl, image);
	for (int i = 0; i < 3; i++) {
		struct stile_image *by_fd;
		ck_assert_int_eq(stile_image_import(device, &info, NULL, &by_fd), 0);
		struct stile_egl_image *again = import_again(egl, by_fd);
		ck_assert_ptr_eq(again, first);
		stile_egl_image_destroy(again);
		stile_image_unref(by_fd);
	}
	stile_egl_image_destroy(first);
	stile_egl_image_destroy(import_again(egl, image));
	ck_assert_uint_eq(images_made, 1);
	ck_assert_uint_eq(images_destroyed, 0);
	stile_image_unref(image);
	ck_assert_uint_eq(images_destroyed, 1);
	close(info.planes[0].fd);
	stile_egl_destroy(egl);
	ck_assert_uint_eq(images_destroyed, 1);
}
END_TEST

/* Wrong code: what was found for who may write given to who may only read. */
START_TEST(a_read_only_image_is_refused_though_its_memory_is_imported) {
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	struct stile_egl_image *imported = import_again(drawer.stile, image), *other;
	struct stile_image *reopened = images_reopen_read_only(image);
	ck_assert_int_eq(stile_egl_import_image(drawer.stile, reopened, NULL, &other), -EACCES);
	ck_assert_ptr_null(other);
	stile_image_unref(reopened);
	stile_egl_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

/* What the next look at a sync, or the next image, fails with; EGL_SUCCESS: it is the driver's. */
static atomic_int look_error;
static _Thread_local EGLint last_error = EGL_SUCCESS;

static EGLint tell_error(void) {
	EGLint error = last_error;
	last_error = EGL_SUCCESS;
	return error != EGL_SUCCESS ? error : eglGetError();
}

static EGLImage lose_context(EGLDisplay display, EGLContext context, EGLenum target,
	EGLClientBuffer buffer, const EGLAttrib *attributes) {
	last_error = atomic_exchange(&look_error, EGL_SUCCESS);
	return last_error == EGL_SUCCESS
		? count_create(display, context, target, buffer, attributes)
		: EGL_NO_IMAGE;
}

static stile_egl_proc losing_context(const char *name) {
	if (strcmp(name, "eglCreateImage") == 0) {
		counting_images(name);
		return (stile_egl_proc)lose_context;
	}
	return strcmp(name, "eglGetError") == 0 ? (stile_egl_proc)tell_error
						: counting_images(name);
}

/* Wrong code: images of a lost context given to who imports after it. */
START_TEST(a_lost_context_s_images_are_not_given_again) {
	struct stile_egl *egl = create_with(losing_context);
	struct stile_image *image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	struct stile_image *other = images_create(device, 64, 64, DRM_FORMAT_ABGR8888);
	struct stile_egl_image *imported;
	look_error = EGL_SUCCESS;
	stile_egl_image_destroy(import_again(egl, image));
	ck_assert_uint_eq(images_destroyed, 0);
	look_error = EGL_CONTEXT_LOST;
	ck_assert_int_eq(stile_egl_import_image(egl, other, NULL, &imported), -EIO);
	ck_assert_uint_eq(images_destroyed, 1);
	stile_egl_image_destroy(import_again(egl, image));
	ck_assert_uint_eq(images_made, 2);
	stile_image_unref(image);
	stile_image_unref(other);
	stile_egl_destroy(egl);
}
END_TEST

/* ---- Drawing ------------------------------------------------------------------------------ */

static void fill(struct stile_image *image, const struct picture *picture) {
	struct stile_fence *done;
	ck_assert_int_eq(stile_swgpu_upload(device, image, 0, picture->pixels,
				 (size_t)picture->width * 4, &done),
		0);
	ck_assert_int_eq(stile_fence_wait(done, job_deadline()), 0);
	stile_fence_unref(done);
}

/* Draw one odd image into another one and compare. */
static void check_layout(uint32_t width, uint32_t height, uint32_t pitch, uint64_t offset) {
	/* As short as the core allows: whole pages, with the rows that drivers touch below. */
	uint64_t bytes = offset + (uint64_t)pitch * ((height + 3) / 4 * 4);
	struct stile_image *from = images_import_odd(device, width, height, pitch, offset, bytes);
	struct stile_image *to = images_import_odd(device, width, height, pitch, offset, bytes);
	struct picture card, expected, drawn;
	struct stile_fence *done;
	ck_assert_int_eq(picture_draw_test_card(width, height, &card), 0);
	ck_assert_int_eq(picture_create(width, height, &expected), 0);
	ck_assert_int_eq(picture_create(width, height, &drawn), 0);
	fill(from, &card);
	transform_apply(&transform_gles, &card, &expected);
	ck_assert_int_eq(gles_drawer_set_images(&drawer, from, to), 0);
	ck_assert_int_eq(gles_drawer_draw(&drawer, &transform_gles, &done), 0);
	ck_assert_int_eq(stile_fence_wait(done, job_deadline()), 0);
	stile_fence_unref(done);
	images_read(to, &drawn);
	ck_assert_msg(picture_compare(&expected, &drawn) <= 1,
		"%u x %u, pitch %u, offset %u: the picture is wrong", width, height, pitch,
		(unsigned)offset);
	picture_finish(&card);
	picture_finish(&expected);
	picture_finish(&drawn);
	stile_image_unref(from);
	stile_image_unref(to);
}

/* What the core lets through, the driver neither crashes on nor draws wrongly. */
START_TEST(any_layout_that_the_core_accepts_is_drawn_right) {
	uint64_t random = runner_seed();
	for (int i = 0; i < 60; i++) {
		uint32_t width = 1 + (uint32_t)(runner_random(&random) % 200);
		uint32_t height = 1 + (uint32_t)(runner_random(&random) % 200);
		uint32_t pitch = (width * 4 + 15) / 16 * 16;
		pitch += 16 * (uint32_t)(runner_random(&random) % 20);
		check_layout(width, height, pitch, 16 * (runner_random(&random) % 300));
	}
}
END_TEST

/* ---- Fences ------------------------------------------------------------------------------- */

START_TEST(a_wait_ends_with_its_deadline) {
	struct gate gate;
	struct stile_path path = { .size = sizeof(path) };
	gate_init(&gate);
	ck_assert_int_eq(stile_egl_wait_fence(drawer.stile, gate.fence, 0, &path), -ETIME);
	ck_assert_int_eq(path.kind, STILE_PATH_CPU_WAIT);
	ck_assert_int_eq(stile_egl_wait_fence(drawer.stile, gate.fence, 1, NULL), -ETIME);
	ck_assert_int_eq(stile_egl_wait_fence(drawer.stile, gate.fence, -1, NULL), -EINVAL);
	gate_open(&gate);
	ck_assert_int_eq(stile_egl_wait_fence(drawer.stile, gate.fence, 0, &path), 0);
	ck_assert_int_eq(path.kind, STILE_PATH_NONE);
	ck_assert_int_eq(path.blocked_ns, 0);
	stile_fence_unref(gate.fence);
}
END_TEST

/*
 * Whether the driver waits in the server or has the caller wait is the driver's business; that the
 * report is true, and that a driver which blocks is asked only once, is Stile's.
 */
START_TEST(a_wait_for_gl_s_own_work_is_the_server_s_or_reported_as_blocking) {
	struct stile_image *word = gl_hold_create_image(device);
	struct gl_hold hold;
	struct gate gate;
	struct stile_fence *fence;
	struct stile_path path = { .size = sizeof(path) }, again = { .size = sizeof(again) };
	gate_init(&gate);
	gate.open = gl_hold_open;
	gate.user = word;
	gl_hold_begin(&hold, &drawer, word);
	ck_assert_int_eq(stile_egl_fence_create(drawer.stile, &fence), 0);
	gate_open_later(&gate);
	gate_submitted(&gate);
	ck_assert_int_eq(stile_egl_wait_fence(drawer.stile, fence, INT64_MAX, &path), 0);
	gate_join(&gate);
	ck_assert_int_eq(path.kind, STILE_PATH_HANDLE);
	ck_assert_int_eq(stile_fence_wait(fence, job_deadline()), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	stile_fence_unref(fence);
	gl_hold_finish(&hold);
	stile_image_unref(word);

	word = gl_hold_create_image(device);
	gl_hold_begin(&hold, &drawer, word);
	ck_assert_int_eq(stile_egl_fence_create(drawer.stile, &fence), 0);
	int ret = stile_egl_wait_fence(drawer.stile, fence, 0, &again);
	if (path.blocked_ns > 0) {
		ck_assert_int_eq(again.kind, STILE_PATH_CPU_WAIT);
		ck_assert_int_eq(ret, -ETIME);
	} else {
		ck_assert_int_eq(again.kind, STILE_PATH_HANDLE);
		ck_assert_int_eq(ret, 0);
	}
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	gl_hold_open(word);
	ck_assert_int_eq(stile_fence_wait(fence, job_deadline()), 0);
	stile_fence_unref(fence);
	gl_hold_finish(&hold);
	stile_image_unref(word);
	stile_fence_unref(gate.fence);
}
END_TEST

START_TEST(destroy_cancels_the_fences_of_work_that_goes_on) {
	struct stile_egl_info info = {
		.size = sizeof(info),
		.get_proc_address = eglGetProcAddress,
		.display = drawer.display,
	};
	struct stile_egl *egl;
	struct stile_image *word = gl_hold_create_image(device);
	struct gl_hold hold;
	struct stile_fence *fence;
	ck_assert_int_eq(stile_egl_create(&info, NULL, &egl), 0);
	gl_hold_begin(&hold, &drawer, word);
	ck_assert_int_eq(stile_egl_fence_create(egl, &fence), 0);
	stile_egl_destroy(egl);
	ck_assert_int_eq(stile_fence_get_status(fence), -ECANCELED);
	stile_fence_unref(fence);
	gl_hold_open(word);
	glFinish();
	gl_hold_finish(&hold);
	stile_image_unref(word);
}
END_TEST

static EGLint look_badly(EGLDisplay display, EGLSync sync, EGLint flags, EGLTime timeout) {
	EGLint error = atomic_exchange(&look_error, EGL_SUCCESS);
	if (error == EGL_SUCCESS) {
		return eglClientWaitSync(display, sync, flags, timeout);
	}
	last_error = error;
	return EGL_FALSE;
}

static stile_egl_proc looking_badly(const char *name) {
	if (strcmp(name, "eglClientWaitSync") == 0) {
		return (stile_egl_proc)look_badly;
	}
	return strcmp(name, "eglGetError") == 0 ? (stile_egl_proc)tell_error
						: eglGetProcAddress(name);
}

/* Wrong code: want of memory taken for the end of work that goes on; a lost context for a pause. */
START_TEST(only_a_lost_context_ends_a_fence_before_its_work) {
	bool lost = _i == 1;
	struct stile_egl *egl = create_with(looking_badly);
	struct stile_image *word = gl_hold_create_image(device);
	struct gl_hold hold;
	struct stile_fence *fence;
	gl_hold_begin(&hold, &drawer, word);
	look_error = lost ? EGL_CONTEXT_LOST : EGL_BAD_ALLOC;
	ck_assert_int_eq(stile_egl_fence_create(egl, &fence), 0);
	while (look_error != EGL_SUCCESS) {
		runner_sleep_ms(1);
	}
	if (lost) {
		ck_assert_int_eq(stile_fence_wait(fence, job_deadline()), 0);
		ck_assert_int_eq(stile_fence_get_status(fence), -EIO);
	} else {
		runner_sleep_ms(20);
		ck_assert_int_eq(stile_fence_get_status(fence), 0);
	}
	gl_hold_open(word);
	ck_assert_int_eq(stile_fence_wait(fence, job_deadline()), 0);
	ck_assert_int_eq(stile_fence_get_status(fence), lost ? -EIO : 1);
	stile_fence_unref(fence);
	glFinish();
	stile_egl_destroy(egl);
	gl_hold_finish(&hold);
	stile_image_unref(word);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("egl");
	TCase *tcase = tcase_create("adapter");
	tcase_set_timeout(tcase, 60);
	/* Once before all, for what the driver keeps; then anew for each, as contexts keep things. */
	tcase_add_unchecked_fixture(tcase, warm_up, NULL);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_checked_fixture(tcase, start_gles, stop_gles);
	tcase_add_checked_fixture(tcase, open_device, destroy_device);
	tcase_add_loop_test(tcase, create_says_what_is_missing, 0, 4);
	tcase_add_test(tcase, a_display_without_dma_bufs_has_fences_and_says_what_is_missing);
	tcase_add_test(tcase, create_with_an_impossible_size_leaves_nothing_stale);
	tcase_add_loop_test(tcase, sealed_memory_never_reaches_the_driver, 0, 2);
	tcase_add_loop_test(tcase, modifiers_that_are_counted_but_not_listed_are_not_taken, 0,
		MODIFIER_DRIVERS);
	tcase_add_test(tcase, import_of_a_read_only_image_is_refused);
	tcase_add_test(tcase, import_of_nv12_works_or_is_refused_with_the_driver_s_word);
	tcase_add_loop_test(tcase, import_takes_all_single_plane_formats, 0, 5);
	tcase_add_test(tcase, importing_again_asks_the_driver_once_as_long_as_the_memory_lives);
	tcase_add_test(tcase, a_read_only_image_is_refused_though_its_memory_is_imported);
	tcase_add_test(tcase, a_lost_context_s_images_are_not_given_again);
	tcase_add_test(tcase, any_layout_that_the_core_accepts_is_drawn_right);
	tcase_add_test(tcase, a_wait_ends_with_its_deadline);
	tcase_add_test(tcase, a_wait_for_gl_s_own_work_is_the_server_s_or_reported_as_blocking);
	tcase_add_loop_test(tcase, only_a_lost_context_ends_a_fence_before_its_work, 0, 2);
	tcase_add_test(tcase, destroy_cancels_the_fences_of_work_that_goes_on);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
