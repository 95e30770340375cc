/* SPDX-License-Identifier: MIT */
/*
 * Memory of the same driver as a texture (stile_egl_import_opaque()), of a GL that is not there and is what a test says:
 * support/fake_egl.h, which complains of what GL forbids. What is seen of it, on drivers: test_opaque.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <drm_fourcc.h>

#include <stile/egl_memory.h>

#include "interop-tests/interop/egl_fixture.h"
#include "interop-tests/interop/tries.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/egl/gl.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define MEMORY "GL_EXT_memory_object"
#define MEMORY_FD "GL_EXT_memory_object_fd"

enum { WIDTH = 64, HEIGHT = 48, OFFSET = 512, BYTES = 65536, UUID = 9 };

static const char *const all[] = { MEMORY, "GL_EXT_another", MEMORY_FD, "GL_EXT_texture_norm16",
	NULL };

/* What a test may change before it starts GL again, or imports. */
static struct fake_egl_traits traits;
static struct stile_opaque_image image;

static void set_up(void) {
	traits = (struct fake_egl_traits){ .gl_extensions = all, .uuid = UUID };
	image = (struct stile_opaque_image){
		.size = sizeof(image),
		.fd = memfd_create("opaque", MFD_CLOEXEC),
		.flags = STILE_OPAQUE_OPTIMAL | STILE_OPAQUE_DEDICATED,
		.bytes = BYTES,
		.offset = OFFSET,
		.width = WIDTH,
		.height = HEIGHT,
		.fourcc = DRM_FORMAT_ABGR8888,
	};
	ck_assert_int_ge(image.fd, 0);
	memset(image.device_uuid, UUID, sizeof(image.device_uuid));
	memset(image.driver_uuid, UUID, sizeof(image.driver_uuid));
	start(&traits);
}

static void tear_down(void) {
	stop();
	close(image.fd);
}

static int import(uint32_t *texture) {
	int ret = TRY(stile_egl_import_opaque(egl, &image, &why, texture));
	ck_assert((*texture != 0) == (ret == 0));
	return ret;
}

static void expect_refusal(int error, enum stile_reason reason, const char *text) {
	uint32_t texture;
	ck_assert_msg(import(&texture) == error, "%s: %s", text, why.text);
	ck_assert_int_eq(why.reason, reason);
	ck_assert_msg(strstr(why.text, text) != NULL, "no '%s' in: %s", text, why.text);
	ck_assert_int_eq(fake_gpu_objects(), 0);
}

/* ---- What GL is told ------------------------------------------------------------------------- */

/* Wrong code: a number or a flag lost, or given too late; a format of another order, or with alpha where there is none. */
START_TEST(gl_is_told_all_of_the_image) {
	static const struct {
		uint32_t fourcc, flags, format;
		int alpha, tiling, is_dedicated;
	} cases[] = {
		{ DRM_FORMAT_ABGR8888, STILE_OPAQUE_OPTIMAL, GL_RGBA8, GL_ALPHA,
			GL_OPTIMAL_TILING_EXT, 0 },
		{ DRM_FORMAT_XBGR8888, STILE_OPAQUE_DEDICATED, GL_RGBA8, GL_ONE,
			GL_LINEAR_TILING_EXT, 1 },
		{ DRM_FORMAT_R8, 0, GL_R8, GL_ONE, GL_LINEAR_TILING_EXT, 0 },
		{ DRM_FORMAT_ABGR16161616, STILE_OPAQUE_OPTIMAL | STILE_OPAQUE_DEDICATED,
			GL_RGBA16_EXT, GL_ALPHA, GL_OPTIMAL_TILING_EXT, 1 },
	};
	struct stat file;
	uint32_t texture;
	ck_assert_int_eq(fstat(image.fd, &file), 0);
	image.fourcc = cases[_i].fourcc;
	image.flags = cases[_i].flags;
	ck_assert_msg(import(&texture) == 0, "%s", why.text);
	const struct fake_egl_texture seen = fake_egl_look_at_texture(texture);
	ck_assert(seen.is_immutable);
	ck_assert_uint_eq(seen.format, cases[_i].format);
	ck_assert_int_eq(seen.alpha, cases[_i].alpha);
	ck_assert_int_eq(seen.tiling, cases[_i].tiling);
	ck_assert(seen.width == WIDTH && seen.height == HEIGHT);
	ck_assert_uint_eq(seen.offset, OFFSET);
	ck_assert_uint_eq(seen.memory.file, file.st_ino);
	ck_assert_uint_eq(seen.memory.bytes, BYTES);
	ck_assert_int_eq(seen.memory.is_dedicated, cases[_i].is_dedicated);
	fake_egl_delete_texture(texture);
}
END_TEST

/*
 * Mesa's llvmpipe before 25 unmaps the memory under the texture. Wrong code: the memory object deleted there, or left
 * elsewhere, where the texture keeps the memory by itself.
 */
START_TEST(the_memory_object_is_left_where_the_texture_needs_it) {
	static const struct {
		const char *renderer, *version;
		int left;
	} cases[] = {
		{ "llvmpipe (LLVM 15, 256 bits)", "OpenGL ES 3.2 Mesa 22.3.6", 1 },
		{ "llvmpipe (LLVM 15, 256 bits)", "OpenGL ES 3.2 Mesa 24.3.0", 1 },
		{ "llvmpipe (LLVM 19, 256 bits)", "OpenGL ES 3.2 Mesa 25.0.7", 0 },
		{ "llvmpipe", "OpenGL ES 3.2", 0 },
		{ "a GPU", "OpenGL ES 3.2 Mesa 22.3.6", 0 },
		{ NULL, "OpenGL ES 3.2 Mesa 22.3.6", 0 },
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		uint32_t texture;
		traits.renderer = cases[i].renderer;
		traits.gl_version = cases[i].version;
		restart(&traits);
		ck_assert_msg(import(&texture) == 0, "%s", why.text);
		ck_assert_msg(fake_gpu_objects() == 1 + cases[i].left, "case %zu", i);
		fake_egl_delete_texture(texture);
	}
}
END_TEST

/* Wrong code: the application's texture unbound; its error asked away where there was no need. */
START_TEST(nothing_of_the_applications_state_changes) {
	uint32_t mine, texture;
	ck_assert_int_eq(import(&mine), 0);
	fake_egl_bind_texture(mine);
	fake_egl_set_gl_error(0x0500);
	ck_assert_int_eq(import(&texture), 0);
	ck_assert_uint_eq(fake_egl_get_bound(), mine);
	ck_assert_uint_eq(fake_egl_get_gl_error(), 0x0500);
	fake_egl_delete_texture(texture);
	fake_gpu_fail("glTexStorageMem2DEXT", 1, GL_OUT_OF_MEMORY);
	ck_assert_int_eq(import(&texture), -EOPNOTSUPP);
	ck_assert_uint_eq(fake_egl_get_bound(), mine);
	fake_egl_delete_texture(mine);
}
END_TEST

/* ---- What cannot be -------------------------------------------------------------------------- */

/* Wrong code: an entry point called that is of no extension of the context's, or is not there. */
START_TEST(a_context_that_cannot_is_refused_with_the_reason) {
	static const char *const fd_only[] = { MEMORY_FD, NULL }, *const no_fd[] = { MEMORY, NULL },
				 *const no_norm16[] = { MEMORY, MEMORY_FD, NULL };
	static const struct {
		const char *const *extensions;
		const char *lacks;
		bool is_old;
		const char *text;
	} cases[] = {
		{ fd_only, NULL, false, "no " MEMORY "," },
		{ no_fd, NULL, false, "no " MEMORY_FD },
		{ NULL, NULL, false, "no " MEMORY },
		{ all, NULL, true, "older than version 3" },
		{ all, "glTexStorageMem2DEXT", false, "GL has no glTexStorageMem2DEXT" },
		{ all, "glBindTexture", false, "GL has no glBindTexture" },
		{ no_norm16, NULL, false, "no GL_EXT_texture_norm16" },
	};
	image.fourcc = DRM_FORMAT_ABGR16161616;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		traits.gl_extensions = cases[i].extensions;
		traits.lacks = cases[i].lacks;
		traits.is_old = cases[i].is_old;
		restart(&traits);
		expect_refusal(-EOPNOTSUPP, STILE_REASON_DRIVER, cases[i].text);
	}
	/* Entry points for semaphores are of no use here. */
	traits = (struct fake_egl_traits){ .gl_extensions = all, .uuid = UUID };
	traits.lacks = "glWaitSemaphoreEXT";
	restart(&traits);
	uint32_t texture;
	ck_assert_int_eq(import(&texture), 0);
	fake_egl_delete_texture(texture);
	fake_egl_set_current(false);
	expect_refusal(-EINVAL, STILE_REASON_CALLER, "current");
	fake_egl_set_current(true);
}
END_TEST

/*
 * Who describes the memory may be another process. Wrong code: a texture out of bounds; numbers that wrap around; memory
 * of another driver's, or of colours in no known order, shown as if it were ours.
 */
START_TEST(a_description_that_cannot_be_is_refused_with_the_reason) {
	const struct stile_opaque_image right = image;
	const uint64_t needed = (uint64_t)WIDTH * HEIGHT * 4;
	uint32_t texture;
	image.width = 0;
	expect_refusal(-EINVAL, STILE_REASON_EXTENT, "0 x 48");
	image = right;
	image.height = 0;
	expect_refusal(-EINVAL, STILE_REASON_EXTENT, "64 x 0");
	image = right;
	image.bytes = OFFSET + needed - 1;
	expect_refusal(-ERANGE, STILE_REASON_BOUNDS, "more than what is left");
	image.bytes = OFFSET + needed;
	ck_assert_int_eq(import(&texture), 0);
	fake_egl_delete_texture(texture);
	image.offset = UINT64_MAX;
	expect_refusal(-ERANGE, STILE_REASON_BOUNDS, ": 0 bytes");
	image = right;
	image.width = image.height = UINT32_MAX;
	expect_refusal(-ERANGE, STILE_REASON_BOUNDS, "more than what is left");
	image = right;
	image.fourcc = DRM_FORMAT_ARGB8888;
	expect_refusal(-EOPNOTSUPP, STILE_REASON_FORMAT, "ARGB8888");
	image.fourcc = DRM_FORMAT_NV12;
	expect_refusal(-EOPNOTSUPP, STILE_REASON_FORMAT, "GL ES has no format");
	image = right;
	image.driver_uuid[15] ^= 1;
	expect_refusal(-EOPNOTSUPP, STILE_REASON_DEVICE, "a dma-buf may do");
	image = right;
	image.device_uuid[0] ^= 1;
	expect_refusal(-EOPNOTSUPP, STILE_REASON_DEVICE, "another device");
	image = right;
	image.fd = -1;
	expect_refusal(-EBADF, STILE_REASON_FD_CLOSED, "-1");
	image = right;
}
END_TEST

/* ---- Everything fails once ------------------------------------------------------------------- */

static int try_import(void) {
	uint32_t texture;
	int ret = import(&texture);
	if (ret == 0) {
		fake_egl_delete_texture(texture);
	}
	return ret;
}

/*
 * And a driver that closes descriptors that it does not take is like one that does not. Wrong code: a texture, a memory
 * object or a descriptor left, or closed twice; an error of ours left in GL; a context that is of no use afterwards.
 */
START_TEST(any_call_of_the_driver_may_fail) {
	const char *failed;
	unsigned n = 1;
	const int code = _i == 3 ? GL_CONTEXT_LOST : GL_OUT_OF_MEMORY;
	traits.renderer = _i == 2 ? "llvmpipe" : NULL;
	traits.gl_version = _i == 2 ? "OpenGL ES 3.2 Mesa 22.3.6" : NULL;
	do {
		restart(&traits);
		if (_i == 1) {
			fake_gpu_close_failed_imports();
		}
		fake_gpu_fail(NULL, n, code);
		int ret = try_import();
		failed = fake_gpu_failed();
		int others = fake_gpu_take_reused_fd();
		ck_assert_msg(
			others < 0 || close(others) == 0, "%s: somebody else's is closed", failed);
		ck_assert_msg(failed == NULL ? ret == 0
					     : ret == (_i == 3 ? -EIO : -EOPNOTSUPP) &&
					why.reason == STILE_REASON_DRIVER &&
					why.actual == (uint64_t)code,
			"call %u, %s, failed: gave %d, %s", n, failed == NULL ? "none" : failed,
			ret, why.text);
		ck_assert_uint_eq(fake_egl_get_gl_error(), 0);
		/* The old llvmpipe needs a memory object for as long as there is a texture. */
		ck_assert_int_eq(fake_gpu_objects(), _i == 2 && ret == 0);
		ck_assert_int_eq(try_import(), 0);
		n++;
	} while (failed != NULL);
	/* What makes the memory object, what gives it the memory, and what gives that to the texture. */
	ck_assert_uint_eq(n, 5);
}
END_TEST

/* The same of the system's calls. A number below which descriptors are to be is no failure. */
START_TEST(any_call_of_the_system_may_fail) {
	unsigned n = 1;
	do {
		restart(&traits);
		failing_call = n;
		failed_call = NULL;
		int ret = try_import();
		failing_call = 0;
		ck_assert_msg(ret == 0 || (failed_call != NULL && ret == -EMFILE),
			"call %u, %s, failed: gave %d, %s", n,
			failed_call == NULL ? "none" : failed_call, ret, why.text);
		ck_assert_int_eq(try_import(), 0);
		n++;
	} while (failed_call != NULL);
	ck_assert_uint_gt(n, 2);
}
END_TEST

static Suite *make_suite(void) {
	Suite *suite = suite_create("egl_opaque");
	TCase *tcase = ledger_tcase_create("textures");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, gl_is_told_all_of_the_image, 0, 4);
	tcase_add_test(tcase, the_memory_object_is_left_where_the_texture_needs_it);
	tcase_add_test(tcase, nothing_of_the_applications_state_changes);
	tcase_add_test(tcase, a_context_that_cannot_is_refused_with_the_reason);
	tcase_add_test(tcase, a_description_that_cannot_be_is_refused_with_the_reason);
	tcase_add_loop_test(tcase, any_call_of_the_driver_may_fail, 0, 4);
	tcase_add_test(tcase, any_call_of_the_system_may_fail);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
