/* SPDX-License-Identifier: MIT */
/*
 * Memory that GL has in other ways than by an import of a dma-buf: the driver's own from Vulkan, which is any
 * tiling, and EGLImages that the application itself has made.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES3/gl3.h>

#include <GLES2/gl2ext.h>

#include <stile/egl_memory.h>

#include "demos/gles_drawer.h"
#include "interop-tests/interop/gles_sampler.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/interop/own_vulkan.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct own_vulkan own;
static struct stile_vulkan *vulkan;
static struct gles_drawer gles;
static struct stile_device *device;

static void start(void) {
	own_vulkan_init(&own, VK_API_VERSION_1_2, OWN_VULKAN_OLD, true);
	const struct stile_vulkan_info info = own_vulkan_describe(&own);
	vulkan = own_vulkan_create_adapter(&info);
	ck_assert_int_eq(gles_drawer_init(&gles), 0);
	device = images_open_device();
}

static void stop(void) {
	stile_device_destroy(device);
	gles_drawer_finish(&gles);
	stile_vulkan_destroy(vulkan);
	own_vulkan_finish(&own);
}

/* For what drivers keep. */
static void warm_up(void) {
	start();
	stop();
}

/* ---- OPAQUE_FD between Vulkan and GL -------------------------------------------------------- */

enum { WIDTH = 67, HEIGHT = 45 };

static struct stile_opaque_image export_opaque(const struct stile_vulkan_own_image *image) {
	struct stile_opaque_image opaque = { .size = sizeof(opaque) };
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_vulkan_export_opaque(vulkan, image, &why, &opaque);
	ck_assert_msg(ret == 0, "%s", why.text);
	ck_assert_int_eq(fcntl(opaque.fd, F_GETFD), FD_CLOEXEC);
	return opaque;
}

static GLuint import_opaque(const struct stile_opaque_image *opaque) {
	struct stile_report why = { .size = sizeof(why) };
	uint32_t texture;
	int ret = stile_egl_import_opaque(gles.stile, opaque, &why, &texture);
	ck_assert_msg(ret == 0, "%s", why.text);
	ck_assert_uint_eq(glGetError(), GL_NO_ERROR);
	return texture;
}

static GLuint create_framebuffer(GLuint texture) {
	GLuint framebuffer;
	glGenFramebuffers(1, &framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, framebuffer);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, texture, 0);
	ck_assert_uint_eq(glCheckFramebufferStatus(GL_FRAMEBUFFER), GL_FRAMEBUFFER_COMPLETE);
	return framebuffer;
}

/* Image and buffer of the application, before and after which the image is the others'. */
static void copy_image(const struct stile_vulkan_own_image *image, VkBuffer buffer, bool to_image,
	VkImageLayout layout) {
	uint32_t peer = stile_vulkan_get_peer_family(vulkan, STILE_MEMORY_OPAQUE_FD);
	const VkBufferImageCopy region = {
		.imageSubresource = { .aspectMask = VK_IMAGE_ASPECT_COLOR_BIT, .layerCount = 1 },
		.imageExtent = { image->width, image->height, 1 },
	};
	own_vulkan_begin(&own);
	own_vulkan_transfer(&own, image->image, layout,
		layout == VK_IMAGE_LAYOUT_UNDEFINED ? VK_QUEUE_FAMILY_IGNORED : peer,
		VK_IMAGE_LAYOUT_GENERAL,
		layout == VK_IMAGE_LAYOUT_UNDEFINED ? VK_QUEUE_FAMILY_IGNORED : 0);
	if (to_image) {
		vkCmdCopyBufferToImage(
			own.commands, buffer, image->image, VK_IMAGE_LAYOUT_GENERAL, 1, &region);
	} else {
		vkCmdCopyImageToBuffer(
			own.commands, image->image, VK_IMAGE_LAYOUT_GENERAL, buffer, 1, &region);
	}
	own_vulkan_transfer(
		&own, image->image, VK_IMAGE_LAYOUT_GENERAL, 0, VK_IMAGE_LAYOUT_GENERAL, peer);
	own_vulkan_submit(&own);
}

static void check_pixels(const uint32_t *pixels) {
	for (uint32_t y = 0; y < HEIGHT; y++) {
		for (uint32_t x = 0; x < WIDTH; x++) {
			ck_assert_msg(pixels[y * WIDTH + x] == own_pixel_at(x, y),
				"pixel %u, %u is 0x%08x instead of 0x%08x", x, y,
				pixels[y * WIDTH + x], own_pixel_at(x, y));
		}
	}
}

static const VkImageTiling tilings[] = { VK_IMAGE_TILING_LINEAR, VK_IMAGE_TILING_OPTIMAL };

/* Wrong code: linear read as tiled or the reverse, another offset, a copy. */
START_TEST(what_vulkan_draws_gl_reads_by_opaque_fd) {
	struct stile_vulkan_own_image image = own_vulkan_create_image(
		&own, DRM_FORMAT_ABGR8888, WIDTH, HEIGHT, tilings[_i], OWN_OPAQUE_FD);
	struct own_buffer buffer = own_vulkan_create_buffer(&own, WIDTH * HEIGHT * 4);
	static uint32_t pixels[WIDTH * HEIGHT];
	own_pixels_draw(buffer.address, WIDTH, HEIGHT);
	struct stile_opaque_image opaque = export_opaque(&image);
	ck_assert_uint_eq(opaque.flags, _i == 0 ? 0 : STILE_OPAQUE_OPTIMAL);
	GLuint texture = import_opaque(&opaque);
	close(opaque.fd);
	/* After the import: it is the same memory. */
	copy_image(&image, buffer.handle, true, VK_IMAGE_LAYOUT_UNDEFINED);
	GLint tiling;
	glBindTexture(GL_TEXTURE_2D, texture);
	glGetTexParameteriv(GL_TEXTURE_2D, GL_TEXTURE_TILING_EXT, &tiling);
	ck_assert_int_eq(tiling, _i == 0 ? GL_LINEAR_TILING_EXT : GL_OPTIMAL_TILING_EXT);
	GLuint framebuffer = create_framebuffer(texture);
	glReadPixels(0, 0, WIDTH, HEIGHT, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
	check_pixels(pixels);
	glDeleteFramebuffers(1, &framebuffer);
	glDeleteTextures(1, &texture);
	own_vulkan_destroy_buffer(&own, &buffer);
	own_vulkan_destroy_image(&own, &image);
}
END_TEST

START_TEST(what_gl_draws_vulkan_reads_by_opaque_fd) {
	struct stile_vulkan_own_image image = own_vulkan_create_image(
		&own, DRM_FORMAT_ABGR8888, WIDTH, HEIGHT, tilings[_i], OWN_OPAQUE_FD);
	struct own_buffer buffer = own_vulkan_create_buffer(&own, WIDTH * HEIGHT * 4);
	struct stile_opaque_image opaque = export_opaque(&image);
	GLuint texture = import_opaque(&opaque);
	close(opaque.fd);
	/* Its layout has to be defined before others draw. */
	copy_image(&image, buffer.handle, true, VK_IMAGE_LAYOUT_UNDEFINED);
	GLuint framebuffer = create_framebuffer(texture);
	for (uint32_t y = 0; y < HEIGHT; y++) {
		for (uint32_t x = 0; x < WIDTH; x++) {
			uint32_t pixel = own_pixel_at(x, y);
			glEnable(GL_SCISSOR_TEST);
			glScissor((GLint)x, (GLint)y, 1, 1);
			glClearColor((float)(pixel & 255) / 255, (float)(pixel >> 8 & 255) / 255,
				(float)(pixel >> 16 & 255) / 255, 1);
			glClear(GL_COLOR_BUFFER_BIT);
		}
	}
	glDisable(GL_SCISSOR_TEST);
	glFinish();
	copy_image(&image, buffer.handle, false, VK_IMAGE_LAYOUT_GENERAL);
	check_pixels(buffer.address);
	glDeleteFramebuffers(1, &framebuffer);
	glDeleteTextures(1, &texture);
	own_vulkan_destroy_buffer(&own, &buffer);
	own_vulkan_destroy_image(&own, &image);
}
END_TEST

/* The first pixel, as a shader sees it. */
static void look(GLuint texture, uint8_t rgba[4]) {
	static float colours[CARD_PIXELS][4];
	struct gles_sampler sampler;
	gles_sampler_init(&sampler);
	glBindTexture(GL_TEXTURE_2D, texture);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
	gles_sampler_draw_texture(&sampler, GL_TEXTURE_2D);
	gles_sampler_take(&sampler, colours);
	for (int i = 0; i < 4; i++) {
		rgba[i] = (uint8_t)(colours[0][i] * 255 + 0.5f);
	}
	gles_sampler_finish(&sampler);
}

/* Wrong code: components in another order than the format says, alpha of a format that has none. */
START_TEST(opaque_memory_has_the_colours_of_its_format_or_is_refused) {
	static const struct {
		uint32_t fourcc;
		uint32_t bytes; /* of a pixel, whose bytes are 0x10, 0x50, 0x90, 0xd0 */
		uint8_t rgba[4];
	} cases[] = {
		{ DRM_FORMAT_ABGR8888, 4, { 0x10, 0x50, 0x90, 0xd0 } },
		{ DRM_FORMAT_XBGR8888, 4, { 0x10, 0x50, 0x90, 0xff } },
		{ DRM_FORMAT_ARGB8888, 4, { 0x90, 0x50, 0x10, 0xd0 } },
		{ DRM_FORMAT_XRGB8888, 4, { 0x90, 0x50, 0x10, 0xff } },
		{ DRM_FORMAT_R8, 1, { 0x10, 0, 0, 0xff } },
		{ DRM_FORMAT_GR88, 2, { 0x10, 0x50, 0, 0xff } },
	};
	static const uint8_t pixel[4] = { 0x10, 0x50, 0x90, 0xd0 };
	struct stile_vulkan_own_image image = own_vulkan_create_image(
		&own, cases[_i].fourcc, WIDTH, HEIGHT, VK_IMAGE_TILING_OPTIMAL, OWN_OPAQUE_FD);
	struct own_buffer buffer = own_vulkan_create_buffer(&own, WIDTH * HEIGHT * 4);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		memcpy((uint8_t *)buffer.address + i * cases[_i].bytes, pixel, cases[_i].bytes);
	}
	struct stile_opaque_image opaque = export_opaque(&image);
	struct stile_report why = { .size = sizeof(why) };
	uint32_t texture;
	int ret = stile_egl_import_opaque(gles.stile, &opaque, &why, &texture);
	close(opaque.fd);
	if (ret == 0) {
		uint8_t seen[4];
		copy_image(&image, buffer.handle, true, VK_IMAGE_LAYOUT_UNDEFINED);
		look(texture, seen);
		ck_assert_msg(memcmp(seen, cases[_i].rgba, 4) == 0, "%02x %02x %02x %02x is seen",
			seen[0], seen[1], seen[2], seen[3]);
		glDeleteTextures(1, &texture);
	} else {
		ck_assert_int_eq(ret, -EOPNOTSUPP);
		printf("%s: %s\n", stile_format_get(cases[_i].fourcc)->name, why.text);
	}
	own_vulkan_destroy_buffer(&own, &buffer);
	own_vulkan_destroy_image(&own, &image);
}
END_TEST

/* Wrong code: memory of another driver shown as if its bytes meant the same here. */
START_TEST(opaque_memory_of_others_is_refused) {
	struct stile_vulkan_own_image image = own_vulkan_create_image(
		&own, DRM_FORMAT_ABGR8888, WIDTH, HEIGHT, VK_IMAGE_TILING_OPTIMAL, OWN_OPAQUE_FD);
	const struct stile_opaque_image opaque = export_opaque(&image);
	struct stile_opaque_image other_driver = opaque, other_device = opaque, closed = opaque,
				  no_format = opaque;
	other_driver.driver_uuid[3] ^= 1;
	other_device.device_uuid[15] ^= 1;
	closed.fd = -1;
	no_format.fourcc = DRM_FORMAT_NV12;
	const struct {
		const struct stile_opaque_image *image;
		int error;
		enum stile_reason reason;
		const char *text;
	} cases[] = {
		{ &other_driver, -EOPNOTSUPP, STILE_REASON_DEVICE, "another driver" },
		{ &other_device, -EOPNOTSUPP, STILE_REASON_DEVICE, "another device" },
		{ &closed, -EBADF, STILE_REASON_FD_CLOSED, "-1" },
		{ &no_format, -EOPNOTSUPP, STILE_REASON_FORMAT, "" },
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct stile_report why = { .size = sizeof(why) };
		uint32_t texture = 7;
		ck_assert_int_eq(
			stile_egl_import_opaque(gles.stile, cases[i].image, &why, &texture),
			cases[i].error);
		ck_assert_uint_eq(texture, 0);
		ck_assert_int_eq(why.reason, cases[i].reason);
		ck_assert_ptr_nonnull(strstr(why.text, cases[i].text));
	}
	close(opaque.fd);
	own_vulkan_destroy_image(&own, &image);
}
END_TEST

/*
 * It may come from another process, and GL looks at the size only. Wrong code: a texture that is looked at out of bounds;
 * numbers that wrap around.
 */
START_TEST(a_description_that_does_not_fit_the_memory_makes_no_texture) {
	static const struct {
		uint32_t width, height;
		uint64_t offset, bytes;
	} lies[] = {
		{ 16384, 0, 0, 0 },
		{ 0, HEIGHT * 100, 0, 0 },
		{ UINT32_MAX, UINT32_MAX, 0, 0 },
		{ 0, 0, 4096, 0 },
		{ 0, 0, UINT64_MAX - 4095, 0 },
		{ 0, 0, 0, 4096 },
	};
	struct stile_vulkan_own_image image = own_vulkan_create_image(
		&own, DRM_FORMAT_ABGR8888, WIDTH, HEIGHT, VK_IMAGE_TILING_OPTIMAL, OWN_OPAQUE_FD);
	const struct stile_opaque_image opaque = export_opaque(&image);
	struct stile_report why = { .size = sizeof(why) };
	uint32_t texture;
	/* 0: as it is. */
	for (size_t i = 0; i < LENGTH(lies); i++) {
		struct stile_opaque_image lie = opaque;
		lie.width = lies[i].width != 0 ? lies[i].width : lie.width;
		lie.height = lies[i].height != 0 ? lies[i].height : lie.height;
		lie.offset = lies[i].offset != 0 ? lies[i].offset : lie.offset;
		lie.bytes = lies[i].bytes != 0 ? lies[i].bytes : lie.bytes;
		ck_assert_int_eq(
			stile_egl_import_opaque(gles.stile, &lie, &why, &texture), -ERANGE);
		ck_assert_uint_eq(texture, 0);
		ck_assert_int_eq(why.reason, STILE_REASON_BOUNDS);
	}
	struct stile_opaque_image empty = opaque;
	empty.width = 0;
	ck_assert_int_eq(stile_egl_import_opaque(gles.stile, &empty, &why, &texture), -EINVAL);
	ck_assert_int_eq(why.reason, STILE_REASON_EXTENT);
	close(opaque.fd);
	own_vulkan_destroy_image(&own, &image);
}
END_TEST

/* Wrong code: the application's texture unbound, or its error taken for ours, or asked away. */
START_TEST(an_import_changes_nothing_of_gl_s_state) {
	struct stile_vulkan_own_image image = own_vulkan_create_image(
		&own, DRM_FORMAT_ABGR8888, WIDTH, HEIGHT, VK_IMAGE_TILING_OPTIMAL, OWN_OPAQUE_FD);
	struct stile_opaque_image opaque = export_opaque(&image);
	GLuint mine, texture;
	GLint bound;
	glGenTextures(1, &mine);
	glBindTexture(GL_TEXTURE_2D, mine);
	glEnable(0xffff); /* an error that the application has not asked for yet */
	ck_assert_int_eq(stile_egl_import_opaque(gles.stile, &opaque, NULL, &texture), 0);
	ck_assert_uint_eq(glGetError(), GL_INVALID_ENUM);
	ck_assert_uint_eq(glGetError(), GL_NO_ERROR);
	glGetIntegerv(GL_TEXTURE_BINDING_2D, &bound);
	ck_assert_int_eq(bound, (GLint)mine);
	glDeleteTextures(1, &texture);
	glDeleteTextures(1, &mine);
	close(opaque.fd);
	own_vulkan_destroy_image(&own, &image);
}
END_TEST

/* Wrong code: GL called without a context, which crashes. */
START_TEST(without_a_context_there_is_no_texture) {
	struct stile_opaque_image opaque = { .size = sizeof(opaque), .fd = -1 };
	struct stile_report why = { .size = sizeof(why) };
	uint32_t texture;
	eglMakeCurrent(gles.display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
	ck_assert_int_eq(stile_egl_import_opaque(gles.stile, &opaque, &why, &texture), -EINVAL);
	ck_assert_int_eq(why.reason, STILE_REASON_CALLER);
	ck_assert_ptr_nonnull(strstr(why.text, "current"));
	ck_assert(eglMakeCurrent(gles.display, EGL_NO_SURFACE, EGL_NO_SURFACE, gles.context));
}
END_TEST

/*
 * What GL imports next fails; and the driver has closed the descriptor, whose number somebody else has
 * been given since, or has not.
 */
static bool driver_closes;
static int reused_fd;

static void fail_to_import(GLuint memory, GLuint64 size, GLenum type, GLint fd) {
	(void)memory;
	(void)size;
	(void)type;
	if (driver_closes) {
		int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
		reused_fd = dup2(other, fd);
		close(other);
	}
}

static stile_egl_proc failing_to_import(const char *name) {
	return strcmp(name, "glImportMemoryFdEXT") == 0 ? (stile_egl_proc)fail_to_import
							: eglGetProcAddress(name);
}

static struct stile_egl *create_egl(stile_egl_proc (*get_proc_address)(const char *name)) {
	struct stile_egl_info info = {
		.size = sizeof(info),
		.get_proc_address = get_proc_address,
		.display = gles.display,
	};
	struct stile_egl *egl;
	ck_assert_int_eq(stile_egl_create(&info, NULL, &egl), 0);
	return egl;
}

/* Wrong code: a descriptor leaked or closed twice, a texture left, an error of ours left in GL. */
START_TEST(a_failed_import_leaves_nothing_behind) {
	driver_closes = _i == 1;
	struct stile_egl *egl = create_egl(failing_to_import);
	struct stile_vulkan_own_image image = own_vulkan_create_image(
		&own, DRM_FORMAT_ABGR8888, WIDTH, HEIGHT, VK_IMAGE_TILING_OPTIMAL, OWN_OPAQUE_FD);
	struct stile_opaque_image opaque = export_opaque(&image);
	for (int i = 0; i < 3; i++) {
		struct stile_report why = { .size = sizeof(why) };
		uint32_t texture;
		ck_assert_int_eq(
			stile_egl_import_opaque(egl, &opaque, &why, &texture), -EOPNOTSUPP);
		ck_assert_uint_eq(texture, 0);
		ck_assert_int_eq(why.reason, STILE_REASON_DRIVER);
		ck_assert_uint_eq(glGetError(), GL_NO_ERROR);
		if (driver_closes) {
			ck_assert_int_eq(close(reused_fd), 0);
		}
	}
	close(opaque.fd);
	own_vulkan_destroy_image(&own, &image);
	stile_egl_destroy(egl);
}
END_TEST

/* ---- EGLImages ------------------------------------------------------------------------------ */

/* Mesa has the entry points all the same. Wrong code: called, which gives -1, or crashes. */
START_TEST(a_display_without_the_extension_exports_nothing) {
	const struct stile_egl_own_image theirs = {
		.size = sizeof(theirs),
		.image = (EGLImage)&gles,
		.width = 64,
		.height = 64,
	};
	struct stile_report why = { .size = sizeof(why) };
	struct stile_image *image;
	if (strstr(eglQueryString(gles.display, EGL_EXTENSIONS), "EGL_MESA_image_dma_buf_export") !=
		NULL) {
		return;
	}
	ck_assert_int_eq(
		stile_egl_export_image(gles.stile, &theirs, device, &why, &image), -EOPNOTSUPP);
	ck_assert_ptr_null(image);
	ck_assert_ptr_nonnull(strstr(why.text, "EGL_MESA_image_dma_buf_export"));
}
END_TEST

/* What is imported is drawn to as a renderbuffer, too. Wrong code: a copy of it drawn to. */
START_TEST(an_imported_image_is_a_renderbuffer_too) {
	PFNGLEGLIMAGETARGETRENDERBUFFERSTORAGEOESPROC target =
		(PFNGLEGLIMAGETARGETRENDERBUFFERSTORAGEOESPROC)eglGetProcAddress(
			"glEGLImageTargetRenderbufferStorageOES");
	struct stile_image *image = images_create(device, WIDTH, HEIGHT, DRM_FORMAT_ABGR8888);
	struct stile_egl_image *imported;
	struct picture drawn;
	GLuint renderbuffer, framebuffer;
	ck_assert_int_eq(stile_egl_import_image(gles.stile, image, NULL, &imported), 0);
	glGenRenderbuffers(1, &renderbuffer);
	glBindRenderbuffer(GL_RENDERBUFFER, renderbuffer);
	target(GL_RENDERBUFFER, stile_egl_image_get_handle(imported));
	glGenFramebuffers(1, &framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, framebuffer);
	glFramebufferRenderbuffer(
		GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, renderbuffer);
	ck_assert_uint_eq(glCheckFramebufferStatus(GL_FRAMEBUFFER), GL_FRAMEBUFFER_COMPLETE);
	glClearColor(0.2f, 0.4f, 0.6f, 1);
	glClear(GL_COLOR_BUFFER_BIT);
	glFinish();
	ck_assert_int_eq(picture_create(WIDTH, HEIGHT, &drawn), 0);
	images_read(image, &drawn);
	static const uint8_t expected[4] = { 51, 102, 153, 255 };
	for (uint32_t y = 0; y < HEIGHT; y++) {
		for (uint32_t x = 0; x < WIDTH; x++) {
			ck_assert_int_eq(memcmp(picture_at(&drawn, x, y), expected, 4), 0);
		}
	}
	picture_finish(&drawn);
	glDeleteFramebuffers(1, &framebuffer);
	glDeleteRenderbuffers(1, &renderbuffer);
	stile_egl_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

/* --------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("opaque");
	TCase *tcase = tcase_create("opaque");
	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, warm_up, NULL);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_loop_test(tcase, what_vulkan_draws_gl_reads_by_opaque_fd, 0, 2);
	tcase_add_loop_test(tcase, what_gl_draws_vulkan_reads_by_opaque_fd, 0, 2);
	tcase_add_loop_test(tcase, opaque_memory_has_the_colours_of_its_format_or_is_refused, 0, 6);
	tcase_add_test(tcase, opaque_memory_of_others_is_refused);
	tcase_add_test(tcase, a_description_that_does_not_fit_the_memory_makes_no_texture);
	tcase_add_test(tcase, an_import_changes_nothing_of_gl_s_state);
	tcase_add_test(tcase, without_a_context_there_is_no_texture);
	tcase_add_loop_test(tcase, a_failed_import_leaves_nothing_behind, 0, 2);
	tcase_add_test(tcase, a_display_without_the_extension_exports_nothing);
	if (own_vulkan_find_missing(OWN_VULKAN_EXTENSIONS) == NULL) {
		tcase_add_test(tcase, an_imported_image_is_a_renderbuffer_too);
	}
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	const char *missing = own_vulkan_find_missing(OWN_VULKAN_OLD);
	if (missing != NULL) {
		printf("skipped: Vulkan on the CPU has no %s\n", missing);
		return RUNNER_SKIP;
	}
	return runner_main(argc, argv, make_suite, NULL);
}
