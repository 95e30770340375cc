/* SPDX-License-Identifier: MIT */
/*
 * stile-egl on each kind of display that applications have (displays.h): what it takes, what it refuses, and with
 * which words. The same body for all of them; which one, STILE_TEST_DISPLAY says.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <EGL/egl.h>
#include <EGL/eglext.h>

#include <stile/egl_sync.h>
#include <stile/gbm.h>
#include <stile/swgpu.h>
#include <stile/wait.h>

#include "demos/gles_drawer.h"
#include "demos/job.h"
#include "interop-tests/interop/displays.h"
#include "interop-tests/interop/egl_calls.h"
#include "interop-tests/interop/gate.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/interop/window.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

enum { WIDTH = 67, HEIGHT = 41 };

static struct display display;
static struct gles_drawer drawer;
static struct stile_device *device; /* the software GPU */
static struct stile_egl *heard;     /* a second adapter of the display, whose words are noted */
static char logged[1024];
static struct stile_report report;

static void note_log(void *user, enum stile_log_level level, const char *text) {
	(void)user;
	(void)level;
	snprintf(logged, sizeof(logged), "%s", text);
}

static void start(void) {
	const char *why = display_open(&display);
	ck_assert_msg(why == NULL, "%s", why);
	ck_assert_int_eq(gles_drawer_init_on(&drawer, display.egl), 0);
	const struct stile_egl_info info = {
		.size = sizeof(info),
		.get_proc_address = eglGetProcAddress,
		.display = display.egl,
		.log = note_log,
	};
	report = (struct stile_report){ .size = sizeof(report) };
	ck_assert_int_eq(stile_egl_create(&info, &report, &heard), 0);
	device = images_open_device();
	logged[0] = '\0';
}

static void stop(void) {
	stile_device_destroy(device);
	stile_egl_destroy(heard);
	gles_drawer_finish(&drawer);
	display_close(&display);
}

static void warm_up(void) {
	start();
	stop();
}

static bool has_extension(const char *name) {
	return strstr(eglQueryString(display.egl, EGL_EXTENSIONS), name) != NULL;
}

static struct stile_party describe(void) {
	struct stile_party party = { .size = sizeof(party) };
	int ret = stile_egl_get_party(heard, STILE_USAGE_READ | STILE_USAGE_WRITE, &report, &party);
	ck_assert_msg(ret == 0, "%s", report.text);
	return party;
}

static bool takes_files(const struct stile_party *party) {
	return (party->memory & STILE_MEMORY_MEMFD) != 0;
}

/* ---- What the display says ------------------------------------------------------------------- */

/* Wrong code: formats left out or invented; fences or memory promised that the display does not take, or not those. */
START_TEST(display_is_a_party_that_says_what_it_has) {
	struct stile_party party = describe();
	EGLint listed = 0;
	PFNEGLQUERYDMABUFFORMATSEXTPROC list =
		(PFNEGLQUERYDMABUFFORMATSEXTPROC)eglGetProcAddress("eglQueryDmaBufFormatsEXT");
	ck_assert(list(display.egl, 0, NULL, &listed));
	printf("%s: %s, device 0x%llx, %zu of %d formats, memory 0x%x, sync 0x%x, %s\n",
		display_get_kind(), party.name, (unsigned long long)party.device,
		party.format_count, listed, party.memory, party.sync,
		has_extension("EGL_MESA_image_dma_buf_export") ? "exports" : "exports nothing");
	ck_assert_uint_gt(party.format_count, 0);
	ck_assert_uint_le(party.format_count, (size_t)listed);
	ck_assert((party.memory & STILE_MEMORY_DMA_BUF) != 0);
	ck_assert_int_eq(takes_files(&party), strcmp(party.name, "EGL (swrast)") == 0);
	ck_assert((party.sync & STILE_SYNC_CPU) != 0);
	ck_assert_int_eq((party.sync & STILE_SYNC_FILE) != 0,
		has_extension("EGL_ANDROID_native_fence_sync"));
	ck_assert(display.compositor.client == NULL || party.device == 0);
	stile_party_fini(&party);
}
END_TEST

/* ---- Images ---------------------------------------------------------------------------------- */

enum memory { MEMORY_SWGPU, MEMORY_FILE, MEMORY_UDMABUF, MEMORY_HEAP, MEMORY_GBM, MEMORIES };

static const char *const memory_names[] = { "swgpu", "a file", "udmabuf", "a dma-heap",
	"the display's own GBM" };

/* Whose memory it is; NULL: this machine, or this display, has none. */
static struct stile_device *open_memory(enum memory memory) {
	struct stile_device *opened = NULL;
	int ret = -ENODEV;
	if (memory == MEMORY_SWGPU || memory == MEMORY_FILE) {
		return images_open_device();
	}
	if (memory == MEMORY_GBM && display.gbm != NULL) {
		ret = stile_gbm_open_device(display.gbm, 0, NULL, NULL, &opened);
	} else if (memory != MEMORY_GBM) {
		ret = stile_device_open(
			memory == MEMORY_UDMABUF ? "udmabuf" : "dmabuf", NULL, &opened);
	}
	return ret < 0 ? NULL : opened;
}

static struct stile_image *create_image(enum memory memory, struct stile_device *of) {
	return memory == MEMORY_FILE ? images_import_odd(of, WIDTH, HEIGHT, 512, 1024, 32768)
				     : images_create(of, WIDTH, HEIGHT, DRM_FORMAT_ABGR8888);
}

/*
 * What has to go in: what the party says, but for dma-bufs of others, which Mesa's drivers for CPUs refuse on some
 * displays whatever they say; and what is the display's own.
 */
static bool has_to_go_in(enum memory memory) {
	struct stile_party party = describe();
	bool takes = takes_files(&party);
	stile_party_fini(&party);
	return memory == MEMORY_SWGPU || memory == MEMORY_FILE ? takes : memory == MEMORY_GBM;
}

/*
 * Where Mesa 25 draws on the CPU in memory of a DRM node it takes dma-bufs of others. The kernel does not map them by
 * that node, which Mesa does not look at: it crashes when it draws.
 */
static bool crashes_when_it_draws(enum memory memory) {
	const char *mesa = strstr((const char *)glGetString(GL_VERSION), "Mesa ");
	return (memory == MEMORY_UDMABUF || memory == MEMORY_HEAP) && display.gbm != NULL &&
		mesa != NULL && atoi(mesa + 5) < 26;
}

/* GL draws, once swgpu has uploaded a picture; each comes after the one before by fences. */
static void check_drawing(struct stile_image *from, struct stile_image *to) {
	struct picture card, expected, drawn;
	struct stile_fence *uploaded, *done;
	ck_assert_int_eq(picture_draw_test_card(WIDTH, HEIGHT, &card), 0);
	ck_assert_int_eq(picture_create(WIDTH, HEIGHT, &expected), 0);
	ck_assert_int_eq(picture_create(WIDTH, HEIGHT, &drawn), 0);
	transform_apply(&transform_gles, &card, &expected);
	ck_assert_int_eq(
		stile_swgpu_upload(device, from, 0, card.pixels, (size_t)WIDTH * 4, &uploaded), 0);
	ck_assert_int_eq(stile_egl_wait_fence(drawer.stile, uploaded, job_deadline(), NULL), 0);
	ck_assert_int_eq(gles_drawer_draw(&drawer, &transform_gles, &done), 0);
	ck_assert_int_eq(plain_fence_finish(done), 1);
	images_read(to, &drawn);
	ck_assert_uint_le(picture_compare(&expected, &drawn), 1);
	stile_fence_unref(done);
	stile_fence_unref(uploaded);
	picture_finish(&card);
	picture_finish(&expected);
	picture_finish(&drawn);
}

/* Wrong code: other pixels; a party that promises what is refused; a refusal without a word; a descriptor left. */
START_TEST(image_is_drawn_with_or_refused_with_a_reason) {
	enum memory memory = (enum memory)_i;
	struct stile_device *of = open_memory(memory);
	if (of == NULL) {
		printf("%s, %s: there is none\n", display_get_kind(), memory_names[memory]);
		return;
	}
	struct stile_image *from = create_image(memory, of), *to = create_image(memory, of);
	int ret = gles_drawer_set_images(&drawer, from, to);
	printf("%s, %s: %s\n", display_get_kind(), memory_names[memory],
		ret == 0 ? "imported" : drawer.refusal.text);
	if (ret < 0) {
		ck_assert_int_eq(ret, -EOPNOTSUPP);
		ck_assert_int_eq(drawer.refusal.reason, STILE_REASON_DRIVER);
		ck_assert_uint_gt(strlen(drawer.refusal.text), 0);
		ck_assert(!has_to_go_in(memory));
	} else if (!crashes_when_it_draws(memory)) {
		check_drawing(from, to);
	}
	stile_image_unref(from);
	stile_image_unref(to);
	stile_device_destroy(of);
}
END_TEST

static struct stile_image *images[2];

static void *import_images(void *arg) {
	struct stile_egl_image **imported = arg;
	for (size_t i = 0; i < 2; i++) {
		if (stile_egl_import_image(drawer.stile, images[i], NULL, &imported[i]) < 0) {
			imported[i] = NULL;
		}
	}
	return NULL;
}

/* Wrong code: an import that needs a context, or belongs to the thread that makes it. */
START_TEST(image_that_a_thread_without_a_context_imports_is_drawn_with) {
	struct stile_egl_image *imported[2];
	pthread_t thread;
	for (size_t i = 0; i < 2; i++) {
		images[i] = images_create(device, WIDTH, HEIGHT, DRM_FORMAT_ABGR8888);
	}
	ck_assert_int_eq(pthread_create(&thread, NULL, import_images, imported), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(imported[0] != NULL, imported[1] != NULL);
	ck_assert(imported[0] != NULL || !has_to_go_in(MEMORY_SWGPU));
	if (imported[0] != NULL) {
		ck_assert_int_eq(gles_drawer_set_images(&drawer, images[0], images[1]), 0);
		/* Which are the same: nothing was imported again. */
		ck_assert_ptr_eq(drawer.from.image, imported[0]);
		check_drawing(images[0], images[1]);
	}
	for (size_t i = 0; i < 2; i++) {
		stile_egl_image_destroy(imported[i]);
		stile_image_unref(images[i]);
	}
}
END_TEST

/* ---- Fences ---------------------------------------------------------------------------------- */

/* Wrong code: a form that the display does not have; a refusal without a word; a fence that does not end. */
START_TEST(gl_work_is_a_fence_in_what_form_the_display_has) {
	bool has_native = has_extension("EGL_ANDROID_native_fence_sync");
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *plain, *best, *refused;
	glClear(GL_COLOR_BUFFER_BIT);
	ck_assert_int_eq(stile_egl_fence_create(heard, &plain), 0);
	ck_assert_int_eq(stile_egl_fence_create_sync_file(
				 heard, device, STILE_USER_FENCES_HOLD, &path, &best),
		0);
	printf("%s: a fence of GL work by path %d, blocked for %lld ns\n", display_get_kind(),
		path.kind, (long long)path.blocked_ns);
	ck_assert(path.kind == STILE_PATH_HANDLE || (has_native && path.kind == STILE_PATH_KERNEL));
	int ret = stile_egl_fence_create_sync_file(
		heard, device, STILE_USER_FENCES_REFUSE, NULL, &refused);
	if (!has_native) {
		ck_assert_int_eq(ret, -EOPNOTSUPP);
		ck_assert_ptr_null(refused);
		ck_assert_ptr_nonnull(strstr(logged, "the kernel cannot have"));
	}
	stile_fence_unref(refused);
	ck_assert_int_eq(plain_fence_finish(plain), 1);
	ck_assert_int_eq(plain_fence_finish(best), 1);
	stile_fence_unref(plain);
	stile_fence_unref(best);
}
END_TEST

static EGLSync create_sync(void) {
	EGLSync sync = eglCreateSync(display.egl, EGL_SYNC_FENCE, NULL);
	ck_assert_ptr_nonnull(sync);
	glFlush();
	return sync;
}

/* Wrong code: a program's fence that GL does not wait for; one that the kernel has not got given as if it had. */
START_TEST(gl_waits_for_fences_of_all_others) {
	struct stile_path path = { .size = sizeof(path) };
	struct stile_fence *ours;
	struct gate gate;
	EGLSync sync = create_sync(), exported;
	ck_assert_int_eq(stile_egl_import_fence(heard, sync, &ours), 0);
	ck_assert_int_eq(stile_egl_wait_fence(heard, ours, job_deadline(), NULL), 0);
	ck_assert_int_eq(plain_fence_finish(ours), 1);
	stile_fence_unref(ours);
	eglDestroySync(display.egl, sync);

	gate_init(&gate);
	ck_assert_int_eq(stile_egl_wait_fence(heard, gate.fence, 0, &path), -ETIME);
	ck_assert_int_eq(path.kind, STILE_PATH_CPU_WAIT);
	ck_assert_int_eq(stile_egl_export_fence(heard, gate.fence, &exported), -EOPNOTSUPP);
	ck_assert_ptr_eq(exported, EGL_NO_SYNC);
	ck_assert_ptr_nonnull(strstr(logged, "no EGLSync"));
	gate_open_later(&gate);
	gate_submitted(&gate);
	int ret = stile_egl_wait_fence(heard, gate.fence, job_deadline(), &path);
	int status = stile_fence_get_status(gate.fence);
	gate_join(&gate);
	ck_assert_int_eq(ret, 0);
	ck_assert_int_eq(status, 1);
	stile_fence_unref(gate.fence);
}
END_TEST

/* ---- Threads without a context --------------------------------------------------------------- */

static struct gles_drawer other;

static void make_current(const struct gles_drawer *of) {
	ck_assert(eglMakeCurrent(of->display, EGL_NO_SURFACE, EGL_NO_SURFACE, of->context));
}

static void bind_other(bool bind) {
	runner_require(eglMakeCurrent(other.display, EGL_NO_SURFACE, EGL_NO_SURFACE,
			       bind ? other.context : EGL_NO_CONTEXT),
		"the other context is current already");
	if (!bind) {
		eglReleaseThread();
	}
}

/* Any display but this one. */
static void start_other(void) {
	ck_assert_int_eq(strcmp(display_get_kind(), "device") == 0
			? gles_drawer_init_surfaceless(&other)
			: gles_drawer_init(&other),
		0);
	make_current(&drawer);
}

static void stop_other(void) {
	make_current(&other);
	gles_drawer_finish(&other);
	make_current(&drawer);
}

/* Wrong code: a context of whichever display taken for one of this; no word of why not; what needs none refused. */
START_TEST(calls_need_a_context_of_the_display_or_none_at_all) {
	static struct egl_world world;
	start_other();
	struct stile_image_info exported = { .size = sizeof(exported) };
	world = (struct egl_world){
		.info = { .size = sizeof(world.info),
			.get_proc_address = eglGetProcAddress,
			.display = display.egl,
			.log = egl_world_note,
			.log_user = &world },
		.device = device,
		.image = images_create(device, 64, 64, DRM_FORMAT_ABGR8888),
		.yuv = images_create(device, 64, 64, DRM_FORMAT_NV12),
		.sync = create_sync(),
		.semaphore_info = { .size = sizeof(world.semaphore_info) },
		.bind_other = bind_other,
	};
	ck_assert_int_eq(stile_image_export(world.image, &exported), 0);
	world.semaphore_info.fd = exported.planes[0].fd;
	ck_assert_int_eq(stile_egl_create(&world.info, NULL, &world.egl), 0);
	egl_world_check(&world);
	stile_egl_destroy(world.egl);
	eglDestroySync(display.egl, world.sync);
	close(exported.planes[0].fd);
	stile_image_unref(world.image);
	stile_image_unref(world.yuv);
	stop_other();
}
END_TEST

/* ---- A window ---------------------------------------------------------------------------------- */

static EGLContext make_window_current(const struct window *window, EGLSurface *surface) {
	const EGLint config_attributes[] = { EGL_RENDERABLE_TYPE, EGL_OPENGL_ES3_BIT,
		EGL_SURFACE_TYPE, EGL_WINDOW_BIT, EGL_ALPHA_SIZE, 8, EGL_NONE };
	const EGLint context_attributes[] = { EGL_CONTEXT_MAJOR_VERSION, 3, EGL_NONE };
	EGLConfig config;
	EGLint n = 0;
	ck_assert(eglChooseConfig(display.egl, config_attributes, &config, 1, &n) && n == 1);
	EGLContext context =
		eglCreateContext(display.egl, config, drawer.context, context_attributes);
	*surface = eglCreatePlatformWindowSurface(display.egl, config, window->egl, NULL);
	ck_assert(eglMakeCurrent(display.egl, *surface, *surface, context));
	return context;
}

/* Wrong code: other pixels in the window than in the image; a frame that the compositor does not show. */
START_TEST(imported_image_is_shown_in_a_window) {
	struct picture card, expected, drawn;
	struct window window;
	struct stile_fence *uploaded, *done;
	EGLSurface surface;
	struct stile_image *image = create_image(MEMORY_SWGPU, device);
	ck_assert_int_eq(picture_draw_test_card(WIDTH, HEIGHT, &card), 0);
	ck_assert_int_eq(picture_create(WIDTH, HEIGHT, &expected), 0);
	ck_assert_int_eq(picture_create(WIDTH, HEIGHT, &drawn), 0);
	transform_apply(&transform_gles, &card, &expected);
	ck_assert_int_eq(gles_drawer_set_images(&drawer, image, image), 0);
	ck_assert(window_init(&window, display.compositor.client, WIDTH, HEIGHT));
	EGLContext context = make_window_current(&window, &surface);
	/* The same drawer, but that it draws into the window. */
	struct gles_drawer shown = drawer;
	shown.to.framebuffer = 0;
	ck_assert_int_eq(
		stile_swgpu_upload(device, image, 0, card.pixels, (size_t)WIDTH * 4, &uploaded), 0);
	ck_assert_int_eq(stile_egl_wait_fence(drawer.stile, uploaded, job_deadline(), NULL), 0);
	ck_assert_int_eq(gles_drawer_draw(&shown, &transform_gles, &done), 0);
	glReadPixels(0, 0, WIDTH, HEIGHT, GL_RGBA, GL_UNSIGNED_BYTE, drawn.pixels);
	ck_assert_uint_le(picture_compare(&expected, &drawn), 1);
	window_ask(&window);
	ck_assert(eglSwapBuffers(display.egl, surface));
	ck_assert(window_wait(&window));
	ck_assert_int_eq(plain_fence_finish(done), 1);
	make_current(&drawer);
	eglDestroySurface(display.egl, surface);
	eglDestroyContext(display.egl, context);
	window_finish(&window);
	stile_fence_unref(done);
	stile_fence_unref(uploaded);
	stile_image_unref(image);
	picture_finish(&card);
	picture_finish(&expected);
	picture_finish(&drawn);
}
END_TEST

/* ---------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("displays");
	TCase *tcase = tcase_create(display_get_kind());
	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, warm_up, NULL);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_test(tcase, display_is_a_party_that_says_what_it_has);
	tcase_add_loop_test(tcase, image_is_drawn_with_or_refused_with_a_reason, 0, MEMORIES);
	tcase_add_test(tcase, image_that_a_thread_without_a_context_imports_is_drawn_with);
	tcase_add_test(tcase, gl_work_is_a_fence_in_what_form_the_display_has);
	tcase_add_test(tcase, gl_waits_for_fences_of_all_others);
	tcase_add_test(tcase, calls_need_a_context_of_the_display_or_none_at_all);
	if (strcmp(display_get_kind(), "wayland") == 0) {
		tcase_add_test(tcase, imported_image_is_shown_in_a_window);
	}
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	const char *why = display_open(&display);
	if (why != NULL) {
		printf("skipped: %s\n", why);
		return RUNNER_SKIP;
	}
	display_close(&display);
	return runner_main(argc, argv, make_suite, NULL);
}
