/* SPDX-License-Identifier: MIT */
/*
 * EGLImages of the application's as dma-bufs (stile_egl_export_image()), of a display that is not there and says what a
 * test has it say: support/fake_egl.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <drm_fourcc.h>

#include <stile/egl_memory.h>
#include <stile/swgpu_modifier.h>

#include "interop-tests/interop/egl_fixture.h"
#include "interop-tests/interop/tries.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define LINEAR DRM_FORMAT_MOD_LINEAR
#define ROWS STILE_SWGPU_MOD_TILED_ROWS
#define DMA_BUF "EGL_EXT_image_dma_buf_import EGL_EXT_image_dma_buf_import_modifiers"
#define EXPORT "EGL_MESA_image_dma_buf_export"

enum { EXTENT = 64, LUMA = EXTENT * EXTENT };

/* What a test may change before it starts the display again. */
static struct fake_egl_traits traits;
static struct fake_egl_own_image own;

static int files[2];

static int open_memory(off_t bytes) {
	int fd = memfd_create("export", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, bytes), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

/* NV12 of which each plane is in a file of its own. */
static void set_up(void) {
	traits = (struct fake_egl_traits){ .extensions = DMA_BUF " " EXPORT };
	files[0] = open_memory(8 * LUMA);
	files[1] = open_memory(2 * LUMA);
	own = (struct fake_egl_own_image){
		.fourcc = (EGLint)DRM_FORMAT_NV12,
		.plane_count = 2,
		.modifiers = { LINEAR, LINEAR },
		.fds = { files[0], files[1], -1, -1 },
		.pitches = { EXTENT, 2 * EXTENT },
		.offsets = { 0, 256 },
	};
	start(&traits);
}

static void tear_down(void) {
	stop();
	close(files[0]);
	close(files[1]);
}

static int export_as(EGLImage handle, struct stile_image **image) {
	const struct stile_egl_own_image info = {
		.size = sizeof(info),
		.image = handle,
		.width = EXTENT,
		.height = EXTENT,
		.name = "own",
	};
	int ret = TRY(stile_egl_export_image(egl, &info, device, &why, image));
	ck_assert((*image != NULL) == (ret == 0));
	return ret;
}

static int export(struct stile_image **image) {
	return export_as((EGLImage)&own, image);
}

/* ---- What is exported ------------------------------------------------------------------------ */

static ino_t get_file(int fd) {
	struct stat at;
	ck_assert_int_eq(fstat(fd, &at), 0);
	return at.st_ino;
}

/* Is each plane where the display says? */
static void check_export(void) {
	struct stile_image *image;
	ck_assert_msg(export(&image) == 0, "%s", why.text);
	struct stile_image_info info = { .size = sizeof(info) };
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	ck_assert_str_eq(info.name, "own");
	ck_assert(info.width == EXTENT && info.height == EXTENT);
	ck_assert_uint_eq(info.usage, STILE_USAGE_READ | STILE_USAGE_WRITE);
	ck_assert_uint_eq(info.fourcc, (uint32_t)own.fourcc);
	ck_assert_uint_eq(info.modifier, own.modifiers[0]);
	ck_assert_uint_eq(info.plane_count, (uint32_t)own.plane_count);
	for (uint32_t i = 0; i < info.plane_count; i++) {
		uint32_t in = own.fds[i] < 0 ? i - 1 : i;
		ck_assert_uint_eq(info.planes[i].pitch, (uint32_t)own.pitches[i]);
		ck_assert_uint_eq(info.planes[i].offset, (uint64_t)own.offsets[i]);
		ck_assert_uint_eq(get_file(info.planes[i].fd), get_file(own.fds[in]));
		close(info.planes[i].fd);
	}
	stile_image_unref(image);
}

/* Wrong code: a plane at another's place, or in its file; one without a descriptor of its own lost; another layout. */
START_TEST(an_exported_image_is_where_the_display_says) {
	check_export();
	own.fds[1] = -1;
	own.offsets[1] = LUMA;
	own.pitches[1] = EXTENT;
	check_export();
	own = (struct fake_egl_own_image){
		.fourcc = (EGLint)DRM_FORMAT_ABGR8888,
		.plane_count = 1,
		.modifiers = { ROWS },
		.fds = { files[0], -1, -1, -1 },
		.pitches = { 8 * EXTENT },
	};
	check_export();
}
END_TEST

/* ---- What cannot be -------------------------------------------------------------------------- */

static void expect_refusal(int error, enum stile_reason reason, const char *text) {
	struct stile_image *image;
	ck_assert_msg(export(&image) == error, "%s: %s", text, why.text);
	ck_assert_int_eq(why.reason, reason);
	ck_assert_msg(strstr(why.text, text) != NULL, "no '%s' in: %s", text, why.text);
}

/*
 * Wrong code: the layout of the first plane taken for that of all; a negative number for a large one, or a number of
 * planes that there is no room for; no descriptor taken for one; a layout without a name for a layout.
 */
START_TEST(what_no_image_can_be_is_refused_with_the_reason) {
	static const struct {
		EGLint plane_count, pitches[2], offsets[2];
		bool gives_none;
		uint64_t modifiers[2];
		int error;
		enum stile_reason reason;
		uint32_t plane;
		const char *text;
	} cases[] = {
		{ 0, { 64, 64 }, { 0, 0 }, false, { LINEAR, LINEAR }, -EOPNOTSUPP,
			STILE_REASON_PLANE_COUNT, 0, "0 planes" },
		{ -1, { 64, 64 }, { 0, 0 }, false, { LINEAR, LINEAR }, -EOPNOTSUPP,
			STILE_REASON_PLANE_COUNT, 0, "-1 planes" },
		{ 5, { 64, 64 }, { 0, 0 }, false, { LINEAR, LINEAR }, -EOPNOTSUPP,
			STILE_REASON_PLANE_COUNT, 0, "5 planes" },
		{ 2, { 64, 64 }, { 0, 0 }, true, { LINEAR, LINEAR }, -EOPNOTSUPP,
			STILE_REASON_DRIVER, 0, "no descriptor" },
		{ 2, { 64, 64 }, { 0, 0 }, false, { LINEAR, ROWS }, -EOPNOTSUPP,
			STILE_REASON_MODIFIER, 1, "an image has one" },
		{ 2, { 64, 64 }, { 0, 0 }, false,
			{ DRM_FORMAT_MOD_INVALID, DRM_FORMAT_MOD_INVALID }, -EOPNOTSUPP,
			STILE_REASON_MODIFIER, 0, "" },
		{ 2, { -64, 64 }, { 0, 0 }, false, { LINEAR, LINEAR }, -EOPNOTSUPP,
			STILE_REASON_PITCH, 0, "its pitch is -64" },
		{ 2, { 64, -1 }, { 0, 0 }, false, { LINEAR, LINEAR }, -EOPNOTSUPP,
			STILE_REASON_PITCH, 1, "its pitch is -1" },
		{ 2, { 64, 64 }, { -4096, 0 }, false, { LINEAR, LINEAR }, -EOPNOTSUPP,
			STILE_REASON_OFFSET, 0, "its offset is -4096" },
		{ 2, { 64, 64 }, { 0, 7168 }, false, { LINEAR, LINEAR }, -ERANGE,
			STILE_REASON_BOUNDS, 1, "" },
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		own.plane_count = cases[i].plane_count;
		memcpy(own.pitches, cases[i].pitches, sizeof(cases[i].pitches));
		memcpy(own.offsets, cases[i].offsets, sizeof(cases[i].offsets));
		memcpy(own.modifiers, cases[i].modifiers, sizeof(cases[i].modifiers));
		own.fds[0] = cases[i].gives_none ? -1 : files[0];
		expect_refusal(cases[i].error, cases[i].reason, cases[i].text);
		ck_assert_uint_eq(why.plane, cases[i].plane);
	}
}
END_TEST

/* Mesa has the entry points everywhere. Wrong code: called without the extension (the fake complains), or of nothing. */
START_TEST(a_display_that_does_not_export_is_refused_with_the_reason) {
	static const struct {
		const char *lacks, *extensions, *text;
	} cases[] = {
		{ NULL, DMA_BUF, "no " EXPORT },
		{ "eglExportDMABUFImageMESA", DMA_BUF " " EXPORT, "or eglExportDMABUFImageMESA" },
		{ "eglExportDMABUFImageQueryMESA", DMA_BUF " " EXPORT, "EGL has no" },
	};
	struct stile_image *image;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		traits.lacks = cases[i].lacks;
		traits.extensions = cases[i].extensions;
		restart(&traits);
		expect_refusal(-EOPNOTSUPP, STILE_REASON_DRIVER, cases[i].text);
	}
	ck_assert_int_eq(export_as(EGL_NO_IMAGE, &image), -EINVAL);
	ck_assert_int_eq(why.reason, STILE_REASON_USAGE);
}
END_TEST

/* ---- Everything fails once ------------------------------------------------------------------- */

static int try_export(void) {
	struct stile_image *image;
	int ret = export(&image);
	stile_image_unref(image);
	return ret;
}

/* Wrong code: a descriptor left; a failure that nobody hears of; another call's name, or another error. */
START_TEST(any_call_of_the_display_may_fail) {
	static const struct {
		EGLint code;
		int error;
		const char *name;
	} failures[] = {
		{ EGL_BAD_ALLOC, -ENOMEM, "EGL_BAD_ALLOC" },
		{ EGL_BAD_MATCH, -EOPNOTSUPP, "EGL_BAD_MATCH" },
	};
	const char *failed;
	unsigned n = 1;
	do {
		restart(&traits);
		fake_gpu_fail(NULL, n, failures[_i].code);
		int ret = try_export();
		failed = fake_gpu_failed();
		ck_assert_msg(failed == NULL
				? ret == 0
				: ret == failures[_i].error && why.reason == STILE_REASON_DRIVER &&
					why.actual == (uint64_t)failures[_i].code &&
					strstr(why.text, failed) != NULL &&
					strstr(why.text, failures[_i].name) != NULL,
			"call %u, %s, failed: gave %d, %s", n, failed == NULL ? "none" : failed,
			ret, why.text);
		ck_assert_int_eq(try_export(), 0);
		n++;
	} while (failed != NULL);
	/* Two that ask, and the one that exports. */
	ck_assert_uint_eq(n, 5);
}
END_TEST

/* The same of the system's calls. */
START_TEST(any_call_of_the_system_may_fail) {
	unsigned n = 1;
	do {
		restart(&traits);
		failing_call = n;
		failed_call = NULL;
		int ret = try_export();
		failing_call = 0;
		ck_assert_msg(failed_call == NULL ? ret == 0 : ret == -ENOMEM || ret == -EMFILE,
			"call %u, %s, failed: gave %d, %s", n,
			failed_call == NULL ? "none" : failed_call, ret, why.text);
		ck_assert_int_eq(try_export(), 0);
		n++;
	} while (failed_call != NULL);
	ck_assert_uint_gt(n, 2);
}
END_TEST

/* Wrong code: what was made of a context that is lost kept, or its end called something that this display cannot. */
START_TEST(a_lost_context_drops_what_is_kept) {
	static const struct fake_egl_layout listed[] = { { DRM_FORMAT_NV12, LINEAR, false },
		{ 0, 0, false } };
	struct stile_image *image, *none;
	struct stile_egl_image *imported;
	traits.layouts = listed;
	restart(&traits);
	ck_assert_int_eq(export(&image), 0);
	ck_assert_int_eq(stile_egl_import_image(egl, image, &why, &imported), 0);
	stile_egl_image_destroy(imported);
	ck_assert_int_eq(fake_gpu_objects(), 1);
	fake_gpu_fail("eglExportDMABUFImageMESA", 1, EGL_CONTEXT_LOST);
	ck_assert_int_eq(export(&none), -EIO);
	ck_assert_ptr_nonnull(strstr(why.text, "EGL_CONTEXT_LOST"));
	ck_assert_int_eq(fake_gpu_objects(), 0);
	stile_image_unref(image);
}
END_TEST

static Suite *make_suite(void) {
	Suite *suite = suite_create("egl_export");
	TCase *tcase = ledger_tcase_create("exports");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, an_exported_image_is_where_the_display_says);
	tcase_add_test(tcase, what_no_image_can_be_is_refused_with_the_reason);
	tcase_add_test(tcase, a_display_that_does_not_export_is_refused_with_the_reason);
	tcase_add_loop_test(tcase, any_call_of_the_display_may_fail, 0, 2);
	tcase_add_test(tcase, any_call_of_the_system_may_fail);
	tcase_add_test(tcase, a_lost_context_drops_what_is_kept);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
