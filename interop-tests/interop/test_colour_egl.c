/* SPDX-License-Identifier: MIT */
/* Colours of YUV in GL: what EGL is told of them, and planes where it takes no such image. */
#include <errno.h>
#include <stdio.h>
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
#include "interop-tests/interop/yuv_picture.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/yuv.h"

static struct gles_drawer drawer;
static struct gles_sampler sampler;
static struct stile_device *device;

static void start(void) {
	ck_assert_int_eq(gles_drawer_init(&drawer), 0);
	gles_sampler_init(&sampler);
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

static struct stile_image *create(uint32_t fourcc, struct stile_colour colour) {
	return images_create_coloured(device, CARD_WIDTH, CARD_HEIGHT, fourcc, colour);
}

static void fill_with(struct stile_image *image, const uint8_t colour[3]) {
	static uint8_t bytes[CARD_PIXELS * 8];
	const struct stile_image_info *info = stile_image_get_info(image);
	for (uint32_t i = 0; i < info->plane_count; i++) {
		yuv_fill(yuv_find(info->fourcc), i, colour, bytes, sizeof(bytes));
		card_upload(device, image, i, bytes);
	}
}

/* Are all pixels this colour, of 0 to 255? Full range in Mesa has its middle at 127.5: that makes one step. */
static void check_pixels(float (*rgba)[4], const double expected[3], const char *what) {
	for (size_t i = 0; i < CARD_PIXELS; i++) {
		for (int k = 0; k < 3; k++) {
			double is = (double)rgba[i][k] * 255;
			if (!(is > expected[k] - 1.5 && is < expected[k] + 1.5)) {
				ck_abort_msg("%s: %c of pixel %zu is %f, not %f", what, "RGB"[k], i,
					is, expected[k]);
			}
		}
	}
}

static void read_external(const struct stile_egl_image *image, float (*rgba)[4]) {
	gles_sampler_draw(&sampler, image, GL_TEXTURE_EXTERNAL_OES);
	gles_sampler_take(&sampler, rgba);
}

/* ---- What EGL is told --------------------------------------------------------------------- */

enum { RANGES = 3 };

/* False: the driver does not take it. */
static bool check_external(uint32_t fourcc, size_t matrix, enum stile_colour_range range) {
	/* In no two matrices or ranges the same, and within all of them. */
	static const uint8_t numbers[] = { 120, 170, 90 };
	struct stile_image *image = create(fourcc,
		(struct stile_colour){ .matrix = yuv_matrices[matrix].matrix, .range = range });
	struct stile_egl_image *imported;
	if (stile_egl_import_image(drawer.stile, image, NULL, &imported) == 0) {
		struct yuv_meaning meaning = yuv_matrices[matrix].meaning;
		float rgba[CARD_PIXELS][4];
		double expected[3];
		char what[64];
		snprintf(what, sizeof(what), "%s, matrix %u, range %d",
			stile_format_get(fourcc)->name, yuv_matrices[matrix].matrix, range);
		meaning.is_full = range == STILE_RANGE_FULL;
		fill_with(image, numbers);
		yuv_to_rgb(&meaning, 8, (const double[]){ numbers[0], numbers[1], numbers[2] },
			expected);
		read_external(imported, rgba);
		check_pixels(rgba, expected, what);
	}
	stile_egl_image_destroy(imported);
	stile_image_unref(image);
	return imported != NULL;
}

/* Wrong code: no hints given, or of another matrix or range; what is not said taken for something else. */
START_TEST(external_texture_has_the_colours_that_the_image_says) {
	static const uint32_t fourccs[] = { DRM_FORMAT_YUYV, DRM_FORMAT_VYUY, DRM_FORMAT_AYUV,
		DRM_FORMAT_NV12 };
	unsigned shown = 0;
	for (size_t f = 0; f < sizeof(fourccs) / sizeof(fourccs[0]); f++) {
		for (int r = 0; r < RANGES; r++) {
			shown += check_external(fourccs[f], (size_t)_i, (enum stile_colour_range)r);
		}
	}
	/* Mesa 25 takes those of one plane. */
	ck_assert_uint_ge(shown, 9);
}
END_TEST

/* Wrong code: what was imported of the same memory in the same layout found again, with the other's hints. */
START_TEST(same_memory_in_other_colours_is_another_import) {
	struct stile_image *image = create(DRM_FORMAT_YUYV, (struct stile_colour){ .matrix = 6 });
	struct stile_image_info info = { .size = sizeof(info) };
	struct stile_egl_image *imported[3];
	struct stile_image *other;
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	info.colour.matrix = 1;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &other), 0);
	ck_assert_ptr_eq(stile_image_get_buffer(other, 0), stile_image_get_buffer(image, 0));
	ck_assert_int_eq(stile_egl_import_image(drawer.stile, image, NULL, &imported[0]), 0);
	ck_assert_int_eq(stile_egl_import_image(drawer.stile, other, NULL, &imported[1]), 0);
	ck_assert_int_eq(stile_egl_import_image(drawer.stile, other, NULL, &imported[2]), 0);
	ck_assert_ptr_ne(imported[1], imported[0]);
	ck_assert_ptr_eq(imported[2], imported[1]);
	for (int i = 0; i < 3; i++) {
		stile_egl_image_destroy(imported[i]);
	}
	close(info.planes[0].fd);
	stile_image_unref(other);
	stile_image_unref(image);
}
END_TEST

static EGLAttrib seen[64];

static EGLImage note_attributes(EGLDisplay display, EGLContext context, EGLenum target,
	EGLClientBuffer buffer, const EGLAttrib *attributes) {
	size_t i = 0;
	for (; attributes[i] != EGL_NONE; i += 2) {
		seen[i] = attributes[i];
		seen[i + 1] = attributes[i + 1];
	}
	seen[i] = EGL_NONE;
	return eglCreateImage(display, context, target, buffer, attributes);
}

static stile_egl_proc find_proc(const char *name) {
	return strcmp(name, "eglCreateImage") == 0 ? (stile_egl_proc)note_attributes
						   : eglGetProcAddress(name);
}

/* 0: it was not among them. */
static EGLAttrib find_seen(EGLAttrib name) {
	size_t i = 0;
	while (seen[i] != EGL_NONE && seen[i] != name) {
		i += 2;
	}
	return seen[i] == EGL_NONE ? 0 : seen[i + 1];
}

/* Wrong code: a hint of RGB, or of what is not said; horizontal taken for vertical. */
START_TEST(only_what_is_said_is_said_to_egl) {
	static const struct {
		uint32_t fourcc;
		struct stile_colour colour;
		EGLAttrib hints[4]; /* space, range, horizontal, vertical */
	} cases[] = {
		{ DRM_FORMAT_YUYV, { 0 }, { 0 } },
		{ DRM_FORMAT_YUYV, { 2, 2, 2, 0, 0, 0 }, { 0 } },
		{ DRM_FORMAT_YUYV, { .matrix = 5 }, { EGL_ITU_REC601_EXT } },
		{ DRM_FORMAT_YUYV, { .range = STILE_RANGE_LIMITED },
			{ 0, EGL_YUV_NARROW_RANGE_EXT } },
		{ DRM_FORMAT_YUYV, { .horizontal = STILE_SITING_COSITED },
			{ 0, 0, EGL_YUV_CHROMA_SITING_0_EXT } },
		{ DRM_FORMAT_YUYV, { .vertical = STILE_SITING_MIDPOINT },
			{ 0, 0, 0, EGL_YUV_CHROMA_SITING_0_5_EXT } },
		{ DRM_FORMAT_YUYV,
			{ 9, 16, 9, STILE_RANGE_FULL, STILE_SITING_MIDPOINT, STILE_SITING_COSITED },
			{ EGL_ITU_REC2020_EXT, EGL_YUV_FULL_RANGE_EXT,
				EGL_YUV_CHROMA_SITING_0_5_EXT, EGL_YUV_CHROMA_SITING_0_EXT } },
		{ DRM_FORMAT_XRGB8888,
			{ 1, 13, 0, STILE_RANGE_LIMITED, STILE_SITING_COSITED,
				STILE_SITING_COSITED },
			{ 0 } },
	};
	static const EGLAttrib names[] = { EGL_YUV_COLOR_SPACE_HINT_EXT, EGL_SAMPLE_RANGE_HINT_EXT,
		EGL_YUV_CHROMA_HORIZONTAL_SITING_HINT_EXT,
		EGL_YUV_CHROMA_VERTICAL_SITING_HINT_EXT };
	struct stile_egl_info info = {
		.size = sizeof(info),
		.get_proc_address = find_proc,
		.display = drawer.display,
	};
	struct stile_egl *egl;
	struct stile_egl_image *imported;
	struct stile_image *image = create(cases[_i].fourcc, cases[_i].colour);
	ck_assert_int_eq(stile_egl_create(&info, NULL, &egl), 0);
	ck_assert_int_eq(stile_egl_import_image(egl, image, NULL, &imported), 0);
	for (int k = 0; k < 4; k++) {
		ck_assert_int_eq(find_seen(names[k]), cases[_i].hints[k]);
	}
	stile_egl_image_destroy(imported);
	stile_egl_destroy(egl);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: a matrix that EGL has no name for dropped, so that the driver takes another. */
START_TEST(matrix_that_egl_cannot_say_is_refused) {
	static const uint32_t unsayable[] = { 4, 7, 8, 10, 14 };
	for (size_t i = 0; i < sizeof(unsayable) / sizeof(unsayable[0]); i++) {
		struct stile_image *image =
			create(DRM_FORMAT_YUYV, (struct stile_colour){ .matrix = unsayable[i] });
		struct stile_report why = { .size = sizeof(why) };
		struct stile_egl_image *imported;
		ck_assert_int_eq(
			stile_egl_import_image(drawer.stile, image, &why, &imported), -EOPNOTSUPP);
		ck_assert_int_eq(why.reason, STILE_REASON_COLOUR);
		ck_assert_uint_eq(why.actual, unsayable[i]);
		ck_assert_ptr_nonnull(strstr(why.text, "YUYV"));
		stile_image_unref(image);
	}
}
END_TEST

/* ---- However the display takes it --------------------------------------------------------- */

static void read_planes(const struct stile_egl_yuv *yuv, float (*rgba)[4]) {
	gles_sampler_draw_planes(&sampler, yuv);
	gles_sampler_take(&sampler, rgba);
}

/* A driver that takes no image of several planes, whatever the real one does; and refuses the n-th image. */
static int images_left, refuse_nth;

static EGLImage create_single_planes(EGLDisplay display, EGLContext context, EGLenum target,
	EGLClientBuffer buffer, const EGLAttrib *attributes) {
	bool refused = --refuse_nth == 0;
	for (size_t i = 0; attributes[i] != EGL_NONE; i += 2) {
		refused = refused || attributes[i] == EGL_DMA_BUF_PLANE1_FD_EXT;
	}
	EGLImage image = refused ? EGL_NO_IMAGE
				 : eglCreateImage(display, context, target, buffer, attributes);
	images_left += image != EGL_NO_IMAGE;
	return image;
}

static EGLBoolean destroy_image(EGLDisplay display, EGLImage image) {
	images_left--;
	return eglDestroyImage(display, image);
}

static EGLint get_error(void) {
	EGLint error = eglGetError();
	return error == EGL_SUCCESS ? EGL_BAD_ALLOC : error;
}

static stile_egl_proc find_single_plane_proc(const char *name) {
	static const struct {
		const char *name;
		stile_egl_proc proc;
	} own[] = {
		{ "eglCreateImage", (stile_egl_proc)create_single_planes },
		{ "eglDestroyImage", (stile_egl_proc)destroy_image },
		{ "eglGetError", (stile_egl_proc)get_error },
	};
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (strcmp(name, own[i].name) == 0) {
			return own[i].proc;
		}
	}
	return eglGetProcAddress(name);
}

static struct stile_egl *open_single_planes(void) {
	struct stile_egl_info info = {
		.size = sizeof(info),
		.get_proc_address = find_single_plane_proc,
		.display = drawer.display,
		.cached_images = -1,
	};
	struct stile_egl *egl;
	refuse_nth = 0;
	ck_assert_int_eq(stile_egl_create(&info, NULL, &egl), 0);
	return egl;
}

/* Samples that GL can read one by one. */
static bool has_planes_to_take(const struct stile_format *format) {
	return format->plane_count > 1 && format->planes[0].block == 1;
}

static void check_planes(struct stile_egl *egl, struct stile_image *image,
	const struct yuv_picture *picture, const struct yuv_meaning *meaning) {
	const struct stile_format *format = stile_format_get(stile_image_get_info(image)->fourcc);
	struct stile_egl_yuv yuv = { .size = sizeof(yuv) };
	struct stile_report why = { .size = sizeof(why) };
	float rgba[CARD_PIXELS][4];
	int ret = stile_egl_import_yuv(egl, image, &why, &yuv);
	ck_assert_msg(ret == 0, "%s: %s", format->name, why.text);
	ck_assert_int_eq(yuv.path, STILE_EGL_YUV_PLANES);
	ck_assert_uint_eq(yuv.image_count, format->plane_count);
	/* What kept it from being one texture is said all the same. */
	ck_assert_int_eq(why.error, 0);
	ck_assert_int_ne(why.reason, STILE_REASON_NONE);
	ck_assert_ptr_nonnull(strstr(why.text, format->name));
	read_planes(&yuv, rgba);
	yuv_picture_check(picture, format, meaning, (struct yuv_siting){ 0 }, 0.1, rgba);
	stile_egl_yuv_finish(&yuv);
	ck_assert_int_eq(yuv.path, STILE_EGL_YUV_NONE);
}

/*
 * Wrong code: Cb and Cr the wrong way round, of one plane or of three; a plane of another's extent or offset; bits from
 * the wrong end; numbers of 10 bits taken for parts of 65535.
 */
START_TEST(planes_have_the_colours_that_the_image_says) {
	static const enum stile_colour_range ranges[] = { STILE_RANGE_LIMITED, STILE_RANGE_FULL };
	struct stile_egl *egl = open_single_planes();
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		for (size_t r = 0; r < 2 && has_planes_to_take(format); r++) {
			const struct stile_colour colour = { .matrix = yuv_matrices[_i].matrix,
				.range = ranges[r] };
			struct yuv_meaning meaning = yuv_matrices[_i].meaning;
			struct yuv_picture picture;
			struct stile_image *image = create(format->fourcc, colour);
			meaning.is_full = ranges[r] == STILE_RANGE_FULL;
			yuv_picture_fill(&picture, format);
			yuv_picture_upload(device, image, &picture);
			check_planes(egl, image, &picture, &meaning);
			stile_image_unref(image);
		}
	}
	stile_egl_destroy(egl);
	ck_assert_int_eq(images_left, 0);
}
END_TEST

/* Wrong code: all planes looked for in the memory of the first. */
START_TEST(planes_in_several_buffers_have_their_colours) {
	static const uint32_t fourccs[] = { DRM_FORMAT_NV12, DRM_FORMAT_YVU420, DRM_FORMAT_P010 };
	struct stile_egl *egl = open_single_planes();
	struct stile_image *image = yuv_picture_import(device, fourccs[_i], 80, true);
	struct yuv_picture picture;
	yuv_picture_fill(&picture, stile_format_get(fourccs[_i]));
	yuv_picture_upload(device, image, &picture);
	check_planes(egl, image, &picture, &yuv_unsaid);
	stile_image_unref(image);
	stile_egl_destroy(egl);
}
END_TEST

/* With the real driver, whichever way. Wrong code: the way that was not taken told; a matrix that EGL has not, lost. */
START_TEST(way_that_was_taken_is_told) {
	static const uint8_t numbers[] = { 120, 150, 100 };
	static const struct {
		uint32_t fourcc, matrix;
		struct yuv_meaning meaning;
	} cases[] = {
		{ DRM_FORMAT_NV12, 6, { 0.299, 0.114, false } },
		{ DRM_FORMAT_NV12, 7, { 0.212, 0.087, false } },
		{ DRM_FORMAT_YUYV, 1, { 0.2126, 0.0722, false } },
	};
	struct stile_image *image =
		create(cases[_i].fourcc, (struct stile_colour){ .matrix = cases[_i].matrix });
	struct stile_egl_yuv yuv = { .size = sizeof(yuv) };
	float rgba[CARD_PIXELS][4];
	double expected[3];
	fill_with(image, numbers);
	ck_assert_int_eq(stile_egl_import_yuv(drawer.stile, image, NULL, &yuv), 0);
	ck_assert(cases[_i].matrix != 7 || yuv.path == STILE_EGL_YUV_PLANES);
	ck_assert(cases[_i].fourcc != DRM_FORMAT_YUYV || yuv.path == STILE_EGL_YUV_EXTERNAL);
	if (yuv.path == STILE_EGL_YUV_PLANES) {
		ck_assert_uint_eq(yuv.fourccs[0], DRM_FORMAT_R8);
		ck_assert_uint_eq(yuv.fourccs[1], DRM_FORMAT_GR88);
		read_planes(&yuv, rgba);
	} else {
		ck_assert_uint_eq(yuv.image_count, 1);
		ck_assert_uint_eq(yuv.fourccs[0], cases[_i].fourcc);
		read_external(yuv.images[0], rgba);
	}
	yuv_to_rgb(&cases[_i].meaning, 8, (const double[]){ numbers[0], numbers[1], numbers[2] },
		expected);
	check_pixels(rgba, expected, stile_format_get(cases[_i].fourcc)->name);
	stile_egl_yuv_finish(&yuv);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: what was imported before left behind; the reason of the first way lost; garbage to be destroyed. */
START_TEST(failure_of_any_plane_leaves_nothing) {
	for (int nth = 2; nth <= 4; nth++) {
		struct stile_egl *egl = open_single_planes();
		struct stile_image *image = create(DRM_FORMAT_YUV420, (struct stile_colour){ 0 });
		struct stile_report why = { .size = sizeof(why) };
		struct stile_egl_yuv yuv;
		memset(&yuv, 0x55, sizeof(yuv));
		yuv.size = sizeof(yuv);
		char plane[32];
		refuse_nth = nth;
		ck_assert_int_eq(stile_egl_import_yuv(egl, image, &why, &yuv), -EOPNOTSUPP);
		ck_assert_int_eq(why.error, -EOPNOTSUPP);
		ck_assert_ptr_nonnull(strstr(why.text, "eglCreateImage of YUV420"));
		snprintf(plane, sizeof(plane), "nor plane %d", nth - 2);
		ck_assert_ptr_nonnull(strstr(why.text, plane));
		ck_assert_ptr_nonnull(strstr(why.text, "eglCreateImage of R8"));
		ck_assert_int_eq(images_left, 0);
		ck_assert_uint_eq(yuv.image_count, 0);
		ck_assert_int_eq(yuv.path, STILE_EGL_YUV_NONE);
		stile_egl_yuv_finish(&yuv);
		stile_image_unref(image);
		stile_egl_destroy(egl);
	}
}
END_TEST

/* Wrong code: planes of RGB; a sum where there is none; images handed to who has no room for them. */
START_TEST(what_no_way_takes_is_refused) {
	static const struct {
		uint32_t fourcc, matrix;
		int ret;
		enum stile_reason reason;
		const char *text;
	} cases[] = {
		{ DRM_FORMAT_XRGB8888, 0, -EINVAL, STILE_REASON_FORMAT, "XRGB8888" },
		{ DRM_FORMAT_NV12, 10, -EOPNOTSUPP, STILE_REASON_COLOUR, "matrix 10" },
		{ DRM_FORMAT_YUYV, 7, -EOPNOTSUPP, STILE_REASON_COLOUR, "BT.601" },
		{ DRM_FORMAT_NV15, 0, -EOPNOTSUPP, STILE_REASON_DRIVER, "nor plane 0" },
	};
	struct stile_egl *egl = open_single_planes();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stile_image *image =
			create(cases[i].fourcc, (struct stile_colour){ .matrix = cases[i].matrix });
		struct stile_report why = { .size = sizeof(why) };
		struct stile_egl_yuv yuv = { .size = sizeof(yuv) };
		ck_assert_int_eq(stile_egl_import_yuv(egl, image, &why, &yuv), cases[i].ret);
		ck_assert_ptr_nonnull(strstr(why.text, cases[i].text));
		/* NV15 is not listed by all drivers. */
		ck_assert(why.reason == cases[i].reason || cases[i].fourcc == DRM_FORMAT_NV15);
		yuv.size = sizeof(yuv) - 1;
		ck_assert_int_eq(stile_egl_import_yuv(egl, image, &why, &yuv), -EINVAL);
		stile_image_unref(image);
	}
	stile_egl_destroy(egl);
	ck_assert_int_eq(images_left, 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("colour in EGL");
	TCase *tcase = tcase_create("colour");
	tcase_set_timeout(tcase, 60);
	/* Once before all, for what the driver keeps; then anew for each, as contexts keep things. */
	tcase_add_unchecked_fixture(tcase, warm_up, NULL);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_loop_test(
		tcase, external_texture_has_the_colours_that_the_image_says, 0, YUV_MATRICES);
	tcase_add_test(tcase, same_memory_in_other_colours_is_another_import);
	tcase_add_loop_test(tcase, only_what_is_said_is_said_to_egl, 0, 8);
	tcase_add_test(tcase, matrix_that_egl_cannot_say_is_refused);
	tcase_add_loop_test(tcase, planes_have_the_colours_that_the_image_says, 0, YUV_MATRICES);
	tcase_add_loop_test(tcase, planes_in_several_buffers_have_their_colours, 0, 3);
	tcase_add_loop_test(tcase, way_that_was_taken_is_told, 0, 3);
	tcase_add_test(tcase, failure_of_any_plane_leaves_nothing);
	tcase_add_test(tcase, what_no_way_takes_is_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
