/* SPDX-License-Identifier: MIT */
/* The table of formats against what EGL and GL ES say of them, and against the colours that they show. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES3/gl3.h>

#include <GLES2/gl2ext.h>

#include "demos/gles_drawer.h"
#include "interop-tests/interop/card.h"
#include "interop-tests/interop/gles_sampler.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/yuv.h"

enum { MAX_LISTED = 256 };

static struct gles_drawer drawer;
static struct gles_sampler sampler;
static struct stile_device *device;
/* What the display lists, with whether only external textures are made of it. */
static uint32_t listed[MAX_LISTED];
static bool external[MAX_LISTED];
static int listed_count;

static void ask_display(void) {
	PFNEGLQUERYDMABUFFORMATSEXTPROC query_formats =
		(PFNEGLQUERYDMABUFFORMATSEXTPROC)eglGetProcAddress("eglQueryDmaBufFormatsEXT");
	PFNEGLQUERYDMABUFMODIFIERSEXTPROC query_modifiers =
		(PFNEGLQUERYDMABUFMODIFIERSEXTPROC)eglGetProcAddress("eglQueryDmaBufModifiersEXT");
	EGLint formats[MAX_LISTED];
	ck_assert(query_formats(drawer.display, MAX_LISTED, formats, &listed_count));
	for (int i = 0; i < listed_count; i++) {
		EGLuint64KHR modifier;
		EGLBoolean is_external = EGL_FALSE;
		EGLint count = 0;
		ck_assert(query_modifiers(
			drawer.display, formats[i], 1, &modifier, &is_external, &count));
		listed[i] = (uint32_t)formats[i];
		external[i] = is_external != EGL_FALSE;
	}
}

static void start(void) {
	ck_assert_int_eq(gles_drawer_init(&drawer), 0);
	gles_sampler_init(&sampler);
	ask_display();
	device = images_open_device();
}

static void stop(void) {
	stile_device_destroy(device);
	gles_sampler_finish(&sampler);
	gles_drawer_finish(&drawer);
}

static void warm_up(void) {
	start();
	stop();
}

static bool is_listed(uint32_t fourcc) {
	int i = 0;
	while (i < listed_count && listed[i] != fourcc) {
		i++;
	}
	return i < listed_count;
}

/* ---- What the display says ---------------------------------------------------------------- */

/*
 * Mesa 26.1 lists these, and the table does not have them: floats and formats of three planes that are younger than the
 * drm_fourcc.h of libdrm 2.4.123, and two that have no linear layout.
 */
static bool is_left_out(uint32_t fourcc) {
	static const char codes[][5] = { "R  H", "R  F", "GR H", "GR F", "BGRF", "AB8F", "S010",
		"S210", "S410", "S012", "S212", "S412", "S016", "S216", "S416", "YU08", "YU10" };
	char text[5] = { 0 };
	for (int i = 0; i < 4; i++) {
		text[i] = (char)(fourcc >> (8 * i));
	}
	size_t i = 0;
	while (i < sizeof(codes) / sizeof(codes[0]) && strcmp(codes[i], text) != 0) {
		i++;
	}
	return i < sizeof(codes) / sizeof(codes[0]);
}

/* Wrong code: a format that drivers have, and the table has not; chroma taken for colours. */
START_TEST(display_lists_nothing_that_is_unknown) {
	ck_assert_int_gt(listed_count, 0);
	for (int i = 0; i < listed_count; i++) {
		const struct stile_format *format = stile_format_get(listed[i]);
		ck_assert_msg((format == NULL) == is_left_out(listed[i]), "0x%08x", listed[i]);
		if (format == NULL) {
			continue;
		}
		/* NV12 is not said to be external by all drivers. */
		ck_assert_msg(format->is_yuv || !external[i], "%s", format->name);
	}
}
END_TEST

/* Straight to EGL, which checks the number of planes before anything else of them. */
static EGLint create_with_planes(const struct stile_image_info *info, uint32_t count) {
	static const EGLAttrib fds[] = { EGL_DMA_BUF_PLANE0_FD_EXT, EGL_DMA_BUF_PLANE1_FD_EXT,
		EGL_DMA_BUF_PLANE2_FD_EXT, EGL_DMA_BUF_PLANE3_FD_EXT };
	EGLAttrib attributes[32] = { EGL_WIDTH, CARD_WIDTH, EGL_HEIGHT, CARD_HEIGHT,
		EGL_LINUX_DRM_FOURCC_EXT, (EGLAttrib)info->fourcc };
	EGLAttrib *at = attributes + 6;
	for (uint32_t i = 0; i < count; i++) {
		const struct stile_image_plane *plane = &info->planes[i % info->plane_count];
		/* Of all but the last plane, descriptor, offset and pitch follow one another. */
		const EGLAttrib values[] = { plane->fd, (EGLAttrib)plane->offset, plane->pitch };
		for (EGLAttrib k = 0; k < 3; k++) {
			*at++ = fds[i] + k;
			*at++ = values[k];
		}
	}
	*at = EGL_NONE;
	EGLImage image = eglCreateImage(
		drawer.display, EGL_NO_CONTEXT, EGL_LINUX_DMA_BUF_EXT, NULL, attributes);
	if (image != EGL_NO_IMAGE) {
		eglDestroyImage(drawer.display, image);
		return EGL_SUCCESS;
	}
	return eglGetError();
}

/* Drivers that list a format and do not take it say BAD_ALLOC. Wrong code: a plane too many or too few. */
static void check_planes(const struct stile_format *format) {
	if (!is_listed(format->fourcc)) {
		return;
	}
	struct stile_image *image = images_create(device, CARD_WIDTH, CARD_HEIGHT, format->fourcc);
	struct stile_image_info info = { .size = sizeof(info) };
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	for (uint32_t count = 1; count <= 3; count++) {
		EGLint error = create_with_planes(&info, count);
		bool fits = error == EGL_SUCCESS || error == EGL_BAD_ALLOC;
		ck_assert_msg(fits == (count == format->plane_count), "%s with %u planes: 0x%x",
			format->name, count, (unsigned)error);
	}
	for (uint32_t i = 0; i < info.plane_count; i++) {
		close(info.planes[i].fd);
	}
	stile_image_unref(image);
}

START_TEST(display_wants_as_many_planes_as_the_table_says) {
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		check_planes(format);
	}
}
END_TEST

/* ---- What GL ES sees ---------------------------------------------------------------------- */

/* False: the driver refuses it, with its word. */
static bool read_image(struct stile_image *image, GLenum target, float (*rgba)[4]) {
	struct stile_egl_image *imported;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_egl_import_image(drawer.stile, image, &why, &imported);
	if (ret < 0) {
		const char *name = stile_format_get(stile_image_get_info(image)->fourcc)->name;
		ck_assert_int_eq(ret, -EOPNOTSUPP);
		ck_assert_ptr_nonnull(strstr(why.text, name));
		return false;
	}
	gles_sampler_draw(&sampler, imported, target);
	gles_sampler_take(&sampler, rgba);
	stile_egl_image_destroy(imported);
	return true;
}

/* Wrong code: a fourcc with the components of another; X taken for alpha. */
static void check_texture(const struct stile_format *format) {
	struct card card;
	float rgba[CARD_PIXELS][4];
	if (!card_make(format, &card)) {
		return;
	}
	struct stile_image *image = images_create(device, CARD_WIDTH, CARD_HEIGHT, format->fourcc);
	card_upload(device, image, 0, card.bytes);
	bool imported = read_image(image, GL_TEXTURE_2D, rgba);
	ck_assert_msg(imported == is_listed(format->fourcc), "%s", format->name);
	if (imported) {
		card_check(&card, rgba, format->name);
	}
	stile_image_unref(image);
}

START_TEST(texture_has_the_colours_that_the_name_says) {
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		check_texture(format);
	}
}
END_TEST

/* ---- Luma and chroma ---------------------------------------------------------------------- */

/* Extremes of what is allowed, and what is between; red, green and blue, nearly. */
static const uint8_t yuv_colours[][3] = { { 16, 128, 128 }, { 235, 128, 128 }, { 81, 90, 240 },
	{ 145, 54, 34 }, { 41, 240, 110 }, { 120, 150, 100 } };

/* Mesa 26.1 imports these, and its software driver then reads zeroes of them, or other bits. */
static bool is_read_wrong(uint32_t fourcc) {
	const char *version = (const char *)glGetString(GL_VERSION);
	return strstr(version, "Mesa 26.") != NULL &&
		(fourcc == DRM_FORMAT_Y210 || fourcc == DRM_FORMAT_Y216 ||
			fourcc == DRM_FORMAT_NV15 || fourcc == DRM_FORMAT_NV20 ||
			fourcc == DRM_FORMAT_P030);
}

static void fill_with(struct stile_image *image, const uint8_t colour[3]) {
	static uint8_t bytes[CARD_PIXELS * 8];
	const struct stile_image_info *info = stile_image_get_info(image);
	for (uint32_t i = 0; i < info->plane_count; i++) {
		yuv_fill(yuv_find(info->fourcc), i, colour, bytes, sizeof(bytes));
		card_upload(device, image, i, bytes);
	}
}

/*
 * Stile gives no hints: Mesa then takes BT.601 in limited range. Of more than 8 bits, it takes the numbers for parts of
 * 65535, which is off by two steps of 8 bits. Wrong code: chroma, or its planes, the wrong way round; bits from the
 * wrong end.
 */
static bool check_external(const struct stile_format *format, const uint8_t colour[3]) {
	struct stile_image *image = images_create(device, CARD_WIDTH, CARD_HEIGHT, format->fourcc);
	float rgba[CARD_PIXELS][4];
	double expected[3];
	fill_with(image, colour);
	yuv_to_rgb(&yuv_unsaid, 8, (const double[]){ colour[0], colour[1], colour[2] }, expected);
	bool imported = read_image(image, GL_TEXTURE_EXTERNAL_OES, rgba);
	ck_assert(is_listed(format->fourcc) || !imported);
	for (size_t i = 0; imported && i < CARD_PIXELS; i++) {
		for (int k = 0; k < 3; k++) {
			double is = (double)rgba[i][k] * 255;
			if (!(is > expected[k] - 2.5 && is < expected[k] + 2.5)) {
				ck_abort_msg("%s of %u, %u, %u: %c of pixel %zu is %f, not %f",
					format->name, colour[0], colour[1], colour[2], "RGB"[k], i,
					is, expected[k]);
			}
		}
	}
	stile_image_unref(image);
	return imported;
}

START_TEST(external_texture_has_the_colours_that_luma_and_chroma_mean) {
	const struct stile_format *format;
	unsigned shown = 0;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		if (!format->is_yuv || is_read_wrong(format->fourcc)) {
			continue;
		}
		ck_assert_uint_eq(yuv_count_planes(yuv_find(format->fourcc)), format->plane_count);
		for (size_t c = 0; c < sizeof(yuv_colours) / sizeof(yuv_colours[0]); c++) {
			shown += check_external(format, yuv_colours[c]);
		}
	}
	/* Mesa 25 shows twelve, of one plane each; Mesa 26 most of the others, too. */
	ck_assert_uint_gt(shown, 0);
}
END_TEST

/* ---- What GL ES calls it ------------------------------------------------------------------ */

static bool has_extension(const char *name) {
	GLint count = 0;
	glGetIntegerv(GL_NUM_EXTENSIONS, &count);
	for (GLint i = 0; i < count; i++) {
		if (strcmp((const char *)glGetStringi(GL_EXTENSIONS, (GLuint)i), name) == 0) {
			return true;
		}
	}
	return false;
}

/* Wrong code: a number of GL's that is another's; the type of the other end first; alpha that is X. */
static void check_pixels(const struct stile_format *format) {
	struct stile_egl_gl_format gl = { .size = sizeof(gl) };
	struct card card;
	float rgba[CARD_PIXELS][4];
	if (stile_egl_get_gl_format(format->fourcc, &gl) < 0) {
		return;
	}
	ck_assert(card_make(format, &card));
	if (gl.extension != NULL && !has_extension(gl.extension)) {
		return;
	}
	GLuint texture = gles_sampler_create_texture(GL_TEXTURE_2D);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_SWIZZLE_A, (GLint)gl.swizzle_alpha);
	glPixelStorei(GL_UNPACK_ALIGNMENT, 1);
	glTexImage2D(GL_TEXTURE_2D, 0, (GLint)gl.internal_format, CARD_WIDTH, CARD_HEIGHT, 0,
		gl.format, gl.type, card.bytes);
	ck_assert_msg(glGetError() == GL_NO_ERROR, "%s", format->name);
	gles_sampler_draw_texture(&sampler, GL_TEXTURE_2D);
	gles_sampler_take(&sampler, rgba);
	card_check(&card, rgba, format->name);
	glDeleteTextures(1, &texture);
}

START_TEST(pixels_handed_to_gl_have_the_colours_that_the_name_says) {
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		check_pixels(format);
	}
}
END_TEST

/* Wrong code: the result cut off, or written beyond its end; zeroes given for what is not there. */
START_TEST(format_of_gl_is_there_or_refused) {
	struct stile_egl_gl_format gl = { .size = sizeof(gl), .type = 7 };
	ck_assert_int_eq(stile_egl_get_gl_format(DRM_FORMAT_XBGR8888, &gl), 0);
	ck_assert_uint_eq(gl.internal_format, GL_RGBA8);
	ck_assert_uint_eq(gl.format, GL_RGBA);
	ck_assert_uint_eq(gl.type, GL_UNSIGNED_BYTE);
	ck_assert_uint_eq(gl.swizzle_alpha, GL_ONE);
	ck_assert_ptr_null(gl.extension);
	ck_assert_int_eq(stile_egl_get_gl_format(DRM_FORMAT_ARGB8888, &gl), 0);
	ck_assert_str_eq(gl.extension, "GL_EXT_texture_format_BGRA8888");
	ck_assert_uint_eq(gl.swizzle_alpha, GL_ALPHA);
	gl.type = 7;
	ck_assert_int_eq(stile_egl_get_gl_format(DRM_FORMAT_NV12, &gl), -EOPNOTSUPP);
	ck_assert_int_eq(stile_egl_get_gl_format(DRM_FORMAT_BGR565, &gl), -EOPNOTSUPP);
	ck_assert_int_eq(stile_egl_get_gl_format(DRM_FORMAT_C8, &gl), -EOPNOTSUPP);
	ck_assert_uint_eq(gl.type, 7);
	gl.size = 3;
	ck_assert_int_eq(stile_egl_get_gl_format(DRM_FORMAT_XBGR8888, &gl), -EINVAL);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("formats in EGL");
	TCase *tcase = tcase_create("formats");
	tcase_set_timeout(tcase, 60);
	/* Once before all, for what the driver keeps; then anew for each, as contexts keep things. */
	tcase_add_unchecked_fixture(tcase, warm_up, NULL);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_test(tcase, display_lists_nothing_that_is_unknown);
	tcase_add_test(tcase, display_wants_as_many_planes_as_the_table_says);
	tcase_add_test(tcase, texture_has_the_colours_that_the_name_says);
	tcase_add_test(tcase, external_texture_has_the_colours_that_luma_and_chroma_mean);
	tcase_add_test(tcase, pixels_handed_to_gl_have_the_colours_that_the_name_says);
	tcase_add_test(tcase, format_of_gl_is_there_or_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
