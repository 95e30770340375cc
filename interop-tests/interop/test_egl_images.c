/* SPDX-License-Identifier: MIT */
/*
 * What a display lists, and images, on a display that is not there and may list anything: support/fake_egl.h.
 */
#include <errno.h>
#include <string.h>

#include <stile/party.h>
#include <stile/swgpu_modifier.h>

#include "interop-tests/interop/tries.h"
#include "interop-tests/support/fake_egl.h"
#include "interop-tests/support/fake_gpu.h"
#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

#define LINEAR DRM_FORMAT_MOD_LINEAR
#define ROWS STILE_SWGPU_MOD_TILED_ROWS

/* Of NV12 a layout that images here have not: they go plane by plane. */
static const struct fake_egl_layout layouts[] = {
	{ DRM_FORMAT_ABGR8888, LINEAR, false },
	{ DRM_FORMAT_ABGR8888, ROWS, true },
	{ DRM_FORMAT_NV12, ROWS, true },
	{ DRM_FORMAT_R8, LINEAR, false },
	{ DRM_FORMAT_GR88, LINEAR, false },
	{ 0, 0, false },
};
static const struct fake_egl_traits traits = { .layouts = layouts };

static struct stile_device *device;
static struct stile_egl *egl;

static void start(void) {
	fake_gpu_begin();
	fake_egl_create(&traits);
	const struct stile_egl_info info = fake_egl_describe();
	why = (struct stile_report){ .size = sizeof(why) };
	ck_assert_int_eq(stile_egl_create(&info, &why, &egl), 0);
}

/* A complaint ends the test in here: what is gone then, is not stopped again. */
static void stop(void) {
	if (egl != NULL) {
		stile_egl_destroy(egl);
		egl = NULL;
		fake_egl_destroy();
		fake_gpu_end();
	}
}

static void set_up(void) {
	device = gpu_open(NULL);
	start();
}

static void tear_down(void) {
	stop();
	stile_device_destroy(device);
}

static struct stile_image *make_image(uint32_t fourcc, uint64_t modifier) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = 64,
		.height = 64,
		.fourcc = fourcc,
		.modifier = modifier,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.name = "test",
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	return image;
}

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

/* A new display for each: what one attempt has left shows at its end. */
static void restart(void) {
	stop();
	start();
}

/*
 * Each call of the display's in turn. eglCreateImage() says BAD_ALLOC of whatever drivers cannot take. Wrong code: an
 * image or a descriptor left; a failure taken for "it does not list that"; a display that is of no use afterwards.
 */
START_TEST(any_call_of_the_display_may_fail) {
	const char *failed;
	unsigned n = 1;
	do {
		restart();
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
		restart();
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
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_party_says_what_the_display_lists);
	tcase_add_loop_test(tcase, any_call_of_the_display_may_fail, 0, TRIES);
	tcase_add_loop_test(tcase, any_call_of_the_system_may_fail, 0, TRIES);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
