/* SPDX-License-Identifier: MIT */
/*
 * What a display lists, and images, on a display that is not there and may list anything: support/fake_egl.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stile/party.h>
#include <stile/swgpu_modifier.h>

#include "interop-tests/interop/egl_fixture.h"
#include "interop-tests/interop/tries.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/modifiers.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/image.h"

#define LINEAR DRM_FORMAT_MOD_LINEAR
#define ROWS STILE_SWGPU_MOD_TILED_ROWS
#define COLUMNS STILE_SWGPU_MOD_TILED_COLUMNS

/* Of NV12 a layout that images here have not: they go plane by plane. */
static const struct fake_egl_layout layouts[] = {
	{ DRM_FORMAT_ABGR8888, LINEAR, false },
	{ DRM_FORMAT_ABGR8888, ROWS, true },
	{ DRM_FORMAT_NV12, ROWS, true },
	{ DRM_FORMAT_R8, LINEAR, false },
	{ DRM_FORMAT_GR88, LINEAR, false },
	{ 0, 0, false },
};

/* What a test may change before it starts the display again. */
static struct fake_egl_traits traits;

static void set_up(void) {
	traits = (struct fake_egl_traits){ .layouts = layouts };
	start(&traits);
}

enum { WIDTH = 68, HEIGHT = 48 };

static struct stile_image *make_coloured(
	uint32_t fourcc, uint64_t modifier, struct stile_colour colour) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = WIDTH,
		.height = HEIGHT,
		.fourcc = fourcc,
		.modifier = modifier,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.colour = colour,
		.name = "test",
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	return image;
}

static struct stile_image *make_image(uint32_t fourcc, uint64_t modifier) {
	return make_coloured(fourcc, modifier, (struct stile_colour){ 0 });
}

/* ---- Images ---------------------------------------------------------------------------------- */

static struct fake_egl_seen import(struct stile_image *image) {
	struct stile_egl_image *imported;
	int ret = stile_egl_import_image(egl, image, &why, &imported);
	ck_assert_msg(ret == 0, "%s", why.text);
	struct fake_egl_seen seen = fake_egl_look(stile_egl_image_get_handle(imported));
	stile_egl_image_destroy(imported);
	return seen;
}

/* Is each plane where the image has it, for all that the display knows? */
static void check_image(struct stile_image *image) {
	struct stile_image_info info = { .size = sizeof(info) };
	const struct fake_egl_seen seen = import(image);
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	ck_assert(seen.width == WIDTH && seen.height == HEIGHT);
	ck_assert_uint_eq(seen.fourcc, info.fourcc);
	ck_assert_uint_eq(seen.modifier, info.modifier);
	ck_assert_uint_eq(seen.plane_count, info.plane_count);
	for (uint32_t i = 0; i < info.plane_count; i++) {
		struct stat file;
		ck_assert_int_eq(fstat(info.planes[i].fd, &file), 0);
		ck_assert_msg(seen.planes[i].pitch == info.planes[i].pitch &&
				seen.planes[i].offset == info.planes[i].offset &&
				seen.planes[i].file == file.st_ino,
			"%s, plane %u", stile_format_get(info.fourcc)->name, i);
		close(info.planes[i].fd);
	}
}

/* The same planes, each in a file of its own. */
static struct stile_image *take_apart(struct stile_image *image) {
	struct stile_image_info info = { .size = sizeof(info) };
	struct stile_image *apart;
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	for (uint32_t i = 0; i < info.plane_count; i++) {
		uint64_t bytes = stile_buffer_get_bytes(stile_image_get_buffer(image, i));
		close(info.planes[i].fd);
		info.planes[i].fd = memfd_create("plane", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		ck_assert_int_eq(ftruncate(info.planes[i].fd, (off_t)bytes), 0);
		ck_assert_int_eq(fcntl(info.planes[i].fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	}
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &apart), 0);
	for (uint32_t i = 0; i < info.plane_count; i++) {
		close(info.planes[i].fd);
	}
	return apart;
}

/* Wrong code: a plane left out, or at another's place or in its file; another extent, format or modifier. */
START_TEST(the_display_is_told_where_each_plane_is_of_every_format) {
	static const uint64_t modifiers[] = { LINEAR, ROWS, COLUMNS };
	static struct fake_egl_layout all[512];
	const struct stile_format *format;
	size_t n = 0;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		for (size_t k = 0; k < 3; k++) {
			ck_assert_uint_lt(n + 1, sizeof(all) / sizeof(all[0]));
			all[n++] = (struct fake_egl_layout){ format->fourcc, modifiers[k], false };
		}
	}
	traits.layouts = all;
	restart(&traits);
	for (size_t i = 0; i < n; i++) {
		const struct stile_image_info wanted = {
			.size = sizeof(wanted),
			.width = WIDTH,
			.height = HEIGHT,
			.fourcc = all[i].fourcc,
			.modifier = all[i].modifier,
			.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		};
		struct stile_image *image, *apart;
		if (stile_image_create(device, &wanted, &image) < 0) {
			/* The software GPU tiles some formats only. */
			ck_assert_uint_ne(all[i].modifier, LINEAR);
			continue;
		}
		apart = take_apart(image);
		check_image(image);
		check_image(apart);
		stile_image_unref(apart);
		stile_image_unref(image);
	}
}
END_TEST

/* Wrong code: a hint of other colours; of what is not said, or has no luma; colours that EGL cannot say shown as others. */
START_TEST(the_display_is_told_what_is_said_of_colours) {
	static const struct {
		uint32_t fourcc;
		struct stile_colour colour;
		EGLAttrib space, range, horizontal, vertical; /* -1: refused */
	} cases[] = {
		{ DRM_FORMAT_YUYV, { 0 }, 0, 0, 0, 0 },
		{ DRM_FORMAT_YUYV, { .matrix = STILE_MATRIX_BT709, .range = STILE_RANGE_FULL },
			EGL_ITU_REC709_EXT, EGL_YUV_FULL_RANGE_EXT, 0, 0 },
		{ DRM_FORMAT_YUYV,
			{ .matrix = STILE_MATRIX_BT601,
				.range = STILE_RANGE_LIMITED,
				.horizontal = STILE_SITING_COSITED },
			EGL_ITU_REC601_EXT, EGL_YUV_NARROW_RANGE_EXT, EGL_YUV_CHROMA_SITING_0_EXT,
			0 },
		{ DRM_FORMAT_YUYV,
			{ .matrix = STILE_MATRIX_BT2020, .vertical = STILE_SITING_MIDPOINT },
			EGL_ITU_REC2020_EXT, 0, 0, EGL_YUV_CHROMA_SITING_0_5_EXT },
		{ DRM_FORMAT_ABGR8888, { .range = STILE_RANGE_FULL }, 0, 0, 0, 0 },
		{ DRM_FORMAT_YUYV, { .matrix = 7 }, -1, 0, 0, 0 },
	};
	static const struct fake_egl_layout listed[] = { { DRM_FORMAT_YUYV, LINEAR, false },
		{ DRM_FORMAT_ABGR8888, LINEAR, false }, { 0, 0, false } };
	traits.layouts = listed;
	restart(&traits);
	struct stile_image *image = make_coloured(cases[_i].fourcc, LINEAR, cases[_i].colour);
	if (cases[_i].space < 0) {
		ck_assert_int_eq(stile_egl_check_image(egl, image, &why), -EOPNOTSUPP);
		ck_assert_int_eq(why.reason, STILE_REASON_COLOUR);
	} else {
		struct fake_egl_seen seen = import(image);
		ck_assert_int_eq(seen.space, cases[_i].space);
		ck_assert_int_eq(seen.range, cases[_i].range);
		ck_assert_int_eq(seen.horizontal, cases[_i].horizontal);
		ck_assert_int_eq(seen.vertical, cases[_i].vertical);
	}
	stile_image_unref(image);
}
END_TEST

/* Wrong code: LINEAR refused where nothing has a name; another layout taken for it; what is not told taken for LINEAR. */
START_TEST(what_is_not_listed_is_linear_or_nothing) {
	static const struct fake_egl_layout unnamed[] = {
		{ DRM_FORMAT_ABGR8888, DRM_FORMAT_MOD_INVALID, false },
		{ 0, 0, false },
	}, tiled[] = { { DRM_FORMAT_ABGR8888, ROWS, false }, { 0, 0, false } };
	struct stile_image *linear = make_image(DRM_FORMAT_ABGR8888, LINEAR),
			   *rows = make_image(DRM_FORMAT_ABGR8888, ROWS);
	struct stile_party party = { .size = sizeof(party) };
	traits.layouts = unnamed;
	restart(&traits);
	check_image(linear);
	ck_assert_int_eq(stile_egl_check_image(egl, rows, &why), -EOPNOTSUPP);
	ck_assert_int_eq(why.reason, STILE_REASON_MODIFIER);
	ck_assert_int_eq(stile_egl_get_party(egl, STILE_USAGE_READ, &why, &party), 0);
	ck_assert_uint_eq(party.format_count, 1);
	ck_assert_uint_eq(party.formats[0].modifier_count, 0);
	ck_assert_uint_eq(party.sync, STILE_SYNC_CPU);
	stile_party_fini(&party);

	traits.layouts = tiled;
	traits.overcounts = true;
	traits.native_fences = true;
	restart(&traits);
	check_image(rows);
	ck_assert_int_eq(stile_egl_check_image(egl, linear, &why), -EOPNOTSUPP);
	party = (struct stile_party){ .size = sizeof(party) };
	ck_assert_int_eq(stile_egl_get_party(egl, STILE_USAGE_WRITE, &why, &party), 0);
	ck_assert_uint_eq(party.formats[0].modifier_count, 1);
	ck_assert_uint_eq(party.needs->usage, STILE_USAGE_WRITE);
	ck_assert_uint_eq(party.sync, STILE_SYNC_CPU | STILE_SYNC_FILE);
	stile_party_fini(&party);
	stile_image_unref(rows);
	stile_image_unref(linear);
}
END_TEST

/* ---- Displays -------------------------------------------------------------------------------- */

/* Wrong code: an entry point of nothing called; a display that is too old, or an extension whose name begins like ours. */
START_TEST(a_display_that_cannot_is_refused_with_the_reason) {
	static const struct {
		const char *lacks, *version, *extensions;
		int create, check;
		const char *text;
	} cases[] = {
		{ "eglWaitSync", NULL, NULL, -EOPNOTSUPP, 0, "no eglWaitSync" },
		{ "glFlush", NULL, NULL, -EOPNOTSUPP, 0, "no glFlush" },
		{ NULL, "1.4 fake", NULL, -EOPNOTSUPP, 0, "1.5 is needed" },
		{ "eglQueryDmaBufModifiersEXT", NULL, NULL, 0, -EOPNOTSUPP,
			"eglQueryDmaBufModifiersEXT" },
		{ NULL, NULL, "EGL_EXT_image_dma_buf_import", 0, -EOPNOTSUPP,
			"no EGL_EXT_image_dma_buf_import_modifiers" },
		{ NULL, NULL, "EGL_EXT_image_dma_buf_import_modifiers", 0, -EOPNOTSUPP,
			"no EGL_EXT_image_dma_buf_import " },
	};
	struct stile_image *image = make_image(DRM_FORMAT_ABGR8888, LINEAR);
	stile_egl_destroy(egl);
	fake_egl_destroy();
	traits.lacks = cases[_i].lacks;
	traits.version = cases[_i].version;
	traits.extensions = cases[_i].extensions;
	fake_egl_create(&traits);
	const struct stile_egl_info info = fake_egl_describe();
	int ret = stile_egl_create(&info, &why, &egl);
	ck_assert_int_eq(ret, cases[_i].create);
	ck_assert(ret < 0 || stile_egl_check_image(egl, image, &why) == cases[_i].check);
	ck_assert_msg(strstr(why.text, cases[_i].text) != NULL, "%s", why.text);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: only a vendor, or a number; parameters that are cut. */
START_TEST(parameters_of_a_modifier_that_is_not_listed_are_told) {
	const struct modifiers_case *one = &modifiers_cases[_i];
	struct stile_image *image = make_image(DRM_FORMAT_ABGR8888, ROWS);
	char text[512];
	image->info.modifier = one->modifier; /* as a kernel's driver makes them */
	ck_assert_int_eq(stile_egl_check_image(egl, image, &why), -EOPNOTSUPP);
	snprintf(text, sizeof(text),
		"the display does not take modifier %s for ABGR8888; it lists 2 others",
		modifiers_expect(one->modifier).text);
	ck_assert_str_eq(why.text, text);
	ck_assert_msg(strstr(why.text, one->part) != NULL, "%s", why.text);
	ck_assert_int_eq(why.reason, STILE_REASON_MODIFIER);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: another number, or none, or all. */
START_TEST(as_many_are_kept_as_are_asked_for) {
	static const struct { int asked, kept; } cases[] = { { -1, 0 }, { 0, 64 }, { 2, 2 } };
	enum { IMAGES = 66 };
	struct stile_image *images[IMAGES];
	struct stile_egl_info info = fake_egl_describe();
	info.cached_images = cases[_i].asked;
	stile_egl_destroy(egl);
	ck_assert_int_eq(stile_egl_create(&info, &why, &egl), 0);
	for (int i = 0; i < IMAGES; i++) {
		images[i] = make_image(DRM_FORMAT_ABGR8888, LINEAR);
		import(images[i]);
	}
	ck_assert_int_eq(fake_gpu_objects(), cases[_i].kept);
	for (int i = 0; i < IMAGES; i++) {
		stile_image_unref(images[i]);
	}
	ck_assert_int_eq(fake_gpu_objects(), 0);
}
END_TEST

/* Wrong code: what was made of a context that is lost given again, or kept. */
START_TEST(a_lost_context_drops_what_is_kept) {
	struct stile_image *image = make_image(DRM_FORMAT_ABGR8888, LINEAR),
			   *other = make_image(DRM_FORMAT_ABGR8888, ROWS);
	struct stile_egl_image *imported;
	struct stile_fence *fence;
	import(image);
	ck_assert_int_eq(fake_gpu_objects(), 1);
	if (_i == 0) {
		fake_gpu_fail("eglCreateImage", 1, EGL_CONTEXT_LOST);
		ck_assert_int_eq(stile_egl_import_image(egl, other, &why, &imported), -EIO);
	} else {
		fake_gpu_fail("eglClientWaitSync", 1, EGL_CONTEXT_LOST);
		ck_assert_int_eq(stile_egl_fence_create(egl, &fence), 0);
		ck_assert_int_eq(plain_fence_finish(fence), -EIO);
		stile_fence_unref(fence);
	}
	ck_assert_int_eq(fake_gpu_objects(), 0);
	stile_image_unref(other);
	stile_image_unref(image);
}
END_TEST

/* Red is Cr. Wrong code: samples taken in another order than the planes have them; a reason that is said to be a failure. */
START_TEST(samples_are_in_the_order_of_the_format) {
	static const struct fake_egl_layout listed[] = { { DRM_FORMAT_R8, LINEAR, false },
		{ DRM_FORMAT_GR88, LINEAR, false }, { 0, 0, false } };
	const struct stile_colour colour = { .matrix = STILE_MATRIX_BT709 };
	static const uint32_t fourccs[] = { DRM_FORMAT_NV12, DRM_FORMAT_NV21 };
	struct stile_egl_yuv yuvs[2] = { { .size = sizeof(yuvs[0]) }, { .size = sizeof(yuvs[0]) } };
	traits.layouts = listed;
	restart(&traits);
	for (int i = 0; i < 2; i++) {
		struct stile_image *image = make_coloured(fourccs[i], LINEAR, colour);
		ck_assert_int_eq(stile_egl_import_yuv(egl, image, &why, &yuvs[i]), 0);
		ck_assert_int_eq(yuvs[i].path, STILE_EGL_YUV_PLANES);
		ck_assert_int_eq(why.error, 0);
		stile_image_unref(image);
	}
	for (int i = 0; i < 3; i++) {
		ck_assert(yuvs[0].rows[i][0] == yuvs[1].rows[i][0]);
		ck_assert(yuvs[0].rows[i][1] == yuvs[1].rows[i][2]);
		ck_assert(yuvs[0].rows[i][2] == yuvs[1].rows[i][1]);
	}
	/* Of NV12, Cb is the first sample of chroma: there is none of it in red. */
	ck_assert(yuvs[0].rows[0][1] == 0 && yuvs[0].rows[0][2] > 0);
	stile_egl_yuv_finish(&yuvs[0]);
	stile_egl_yuv_finish(&yuvs[1]);
}
END_TEST

/* ---- The display as a party ------------------------------------------------------------------ */

/* Wrong code: a layout lost, or given to another format; what is external only promised to who draws. */
START_TEST(a_party_says_what_the_display_lists) {
	struct stile_party party = { .size = sizeof(party) };
	ck_assert_int_eq(stile_egl_get_party(egl, STILE_USAGE_READ, &why, &party), 0);
	ck_assert_uint_eq(party.format_count, 4);
	const struct fake_egl_layout *listed = layouts;
	for (size_t i = 0; i < party.format_count; i++) {
		for (size_t k = 0; k < party.formats[i].modifier_count; k++, listed++) {
			const struct stile_party_modifier *said = &party.formats[i].modifiers[k];
			ck_assert_uint_eq(party.formats[i].fourcc, listed->fourcc);
			ck_assert_uint_eq(said->modifier, listed->modifier);
			ck_assert_uint_eq(said->flags,
				listed->external_only ? STILE_PARTY_EXTERNAL_ONLY : 0u);
		}
	}
	ck_assert_uint_eq(listed->fourcc, 0);
	stile_party_fini(&party);
}
END_TEST

/* ---- Everything fails once ------------------------------------------------------------------- */

/* What is tried; it undoes what it did. 0, or what the library gave. */
static int try_create(void) {
	const struct stile_egl_info info = fake_egl_describe();
	struct stile_egl *other;
	int ret = TRY(stile_egl_create(&info, &why, &other));
	stile_egl_destroy(other);
	return ret;
}

/* All that there is to say, or nothing. */
static int try_party(void) {
	struct stile_party party = { .size = sizeof(party) };
	int ret = TRY(stile_egl_get_party(egl, STILE_USAGE_READ, &why, &party));
	size_t count = 0;
	for (size_t i = 0; i < party.format_count; i++) {
		count += party.formats[i].modifier_count;
	}
	ck_assert_msg(count == (ret == 0 ? 5 : 0), "%s failed: %d, and %zu layouts", failed_call,
		ret, count);
	stile_party_fini(&party);
	return ret;
}

static int try_import(void) {
	struct stile_image *image = make_image(DRM_FORMAT_ABGR8888, ROWS);
	struct stile_egl_image *imported;
	int ret = TRY(stile_egl_import_image(egl, image, &why, &imported));
	stile_egl_image_destroy(imported);
	stile_image_unref(image);
	return ret;
}

static int try_check(void) {
	struct stile_image *image = make_image(DRM_FORMAT_ABGR8888, LINEAR);
	int ret = TRY(stile_egl_check_image(egl, image, &why));
	stile_image_unref(image);
	return ret;
}

static int try_yuv(void) {
	struct stile_image *image = make_image(DRM_FORMAT_NV12, LINEAR);
	struct stile_egl_yuv yuv = { .size = sizeof(yuv) };
	int ret = TRY(stile_egl_import_yuv(egl, image, &why, &yuv));
	ck_assert_int_eq(yuv.path, ret == 0 ? STILE_EGL_YUV_PLANES : STILE_EGL_YUV_NONE);
	stile_egl_yuv_finish(&yuv);
	stile_image_unref(image);
	return ret;
}

static int (*const tries[])(void) = { try_create, try_party, try_import, try_check, try_yuv };
enum { TRIES = sizeof(tries) / sizeof(tries[0]) };

/*
 * Each call of the display's in turn. eglCreateImage() says BAD_ALLOC of whatever drivers cannot take. Wrong code: an
 * image or a descriptor left; a failure taken for "it does not list that"; a display that is of no use afterwards.
 */
START_TEST(any_call_of_the_display_may_fail) {
	const char *failed;
	unsigned n = 1;
	do {
		restart(&traits);
		fake_gpu_fail(NULL, n, EGL_BAD_ALLOC);
		int ret = tries[_i]();
		failed = fake_gpu_failed();
		bool creates = failed != NULL && strcmp(failed, "eglCreateImage") == 0;
		ck_assert_msg(failed == NULL ? ret == 0 : ret == (creates ? -EOPNOTSUPP : -ENOMEM),
			"call %u, %s, failed: gave %d, %s", n, failed == NULL ? "none" : failed,
			ret, why.text);
		ck_assert_int_eq(tries[_i](), 0);
		n++;
	} while (failed != NULL);
}
END_TEST

/* The same of the system's calls. Wrong code: as above; a party that lacks what there was no memory for. */
START_TEST(any_call_of_the_system_may_fail) {
	unsigned n = 1;
	do {
		restart(&traits);
		failing_call = n;
		failed_call = NULL;
		int ret = tries[_i]();
		failing_call = 0;
		ck_assert_msg(failed_call == NULL
				? ret == 0
				: ret == -ENOMEM || ret == -EMFILE || ret == -EAGAIN,
			"call %u, %s, failed: gave %d, %s", n,
			failed_call == NULL ? "none" : failed_call, ret, why.text);
		ck_assert_int_eq(tries[_i](), 0);
		n++;
	} while (failed_call != NULL);
	ck_assert_uint_gt(n, 2);
}
END_TEST

/* ---------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("egl_images");
	TCase *tcase = ledger_tcase_create("images");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, set_up, stop);
	tcase_add_test(tcase, the_display_is_told_where_each_plane_is_of_every_format);
	tcase_add_loop_test(tcase, the_display_is_told_what_is_said_of_colours, 0, 6);
	tcase_add_test(tcase, what_is_not_listed_is_linear_or_nothing);
	tcase_add_loop_test(
		tcase, parameters_of_a_modifier_that_is_not_listed_are_told, 0, MODIFIERS);
	tcase_add_loop_test(tcase, a_display_that_cannot_is_refused_with_the_reason, 0, 6);
	tcase_add_loop_test(tcase, a_lost_context_drops_what_is_kept, 0, 2);
	tcase_add_loop_test(tcase, as_many_are_kept_as_are_asked_for, 0, 3);
	tcase_add_test(tcase, samples_are_in_the_order_of_the_format);
	tcase_add_test(tcase, a_party_says_what_the_display_lists);
	tcase_add_loop_test(tcase, any_call_of_the_display_may_fail, 0, TRIES);
	tcase_add_loop_test(tcase, any_call_of_the_system_may_fail, 0, TRIES);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
