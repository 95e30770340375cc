/* SPDX-License-Identifier: MIT */
/* Colours of YUV in GL: what EGL is told of them, and planes where it takes no such image. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

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
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = CARD_WIDTH,
		.height = CARD_HEIGHT,
		.fourcc = fourcc,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.colour = colour,
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	return image;
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

/* ---- What EGL is told --------------------------------------------------------------------- */

/* By hand, of H.273. */
static const struct {
	uint32_t matrix;
	struct yuv_meaning meaning;
} matrices[] = {
	{ 0, { 0.299, 0.114, false } },
	{ 1, { 0.2126, 0.0722, false } },
	{ 2, { 0.299, 0.114, false } },
	{ 5, { 0.299, 0.114, false } },
	{ 6, { 0.299, 0.114, false } },
	{ 9, { 0.2627, 0.0593, false } },
};

enum { MATRICES = 6, RANGES = 3 };

/* False: the driver does not take it. */
static bool check_external(uint32_t fourcc, size_t matrix, enum stile_colour_range range) {
	/* In no two matrices or ranges the same, and within all of them. */
	static const uint8_t numbers[] = { 120, 170, 90 };
	struct stile_image *image = create(
		fourcc, (struct stile_colour){ .matrix = matrices[matrix].matrix, .range = range });
	struct stile_egl_image *imported;
	if (stile_egl_import_image(drawer.stile, image, NULL, &imported) == 0) {
		struct yuv_meaning meaning = matrices[matrix].meaning;
		float rgba[CARD_PIXELS][4];
		double expected[3];
		char what[64];
		snprintf(what, sizeof(what), "%s, matrix %u, range %d",
			stile_format_get(fourcc)->name, matrices[matrix].matrix, range);
		meaning.is_full = range == STILE_RANGE_FULL;
		fill_with(image, numbers);
		yuv_to_rgb(&meaning, 8, (const double[]){ numbers[0], numbers[1], numbers[2] },
			expected);
		gles_sampler_draw(&sampler, imported, GL_TEXTURE_EXTERNAL_OES);
		gles_sampler_take(&sampler, rgba);
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
		tcase, external_texture_has_the_colours_that_the_image_says, 0, MATRICES);
	tcase_add_loop_test(tcase, only_what_is_said_is_said_to_egl, 0, 8);
	tcase_add_test(tcase, matrix_that_egl_cannot_say_is_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
