/* SPDX-License-Identifier: MIT */
/*
 * On a host whose words have their highest byte first, which this one is told to be: fourccs are of little-endian words,
 * what Vulkan and GL pack is of the host's.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <stile/egl.h>
#include <stile/image.h>
#include <stile/vulkan.h>

#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

/* ld --wrap has os_is_big_endian() call this instead. */
bool __wrap_os_is_big_endian(void);
static bool is_big_endian;

bool __wrap_os_is_big_endian(void) {
	return is_big_endian;
}

static void check_refused(int ret, const struct stile_report *why) {
	ck_assert_int_eq(ret, -EOPNOTSUPP);
	ck_assert_int_eq(why->reason, STILE_REASON_FORMAT);
	ck_assert_ptr_nonnull(strstr(why->text, "big-endian"));
}

/* Wrong code: bytes taken for others, and so red for blue, which nobody is told. */
START_TEST(no_image_is_made_whose_colours_would_be_wrong) {
	const struct stile_image_info wanted = {
		.size = sizeof(wanted),
		.width = 64,
		.height = 64,
		.fourcc = DRM_FORMAT_RGB565,
		.usage = STILE_USAGE_READ,
	};
	struct stile_image_info info = { .size = sizeof(info) };
	struct stile_report why = { .size = sizeof(why) };
	struct stile_device *device = gpu_open(NULL);
	struct stile_image *image, *other;
	is_big_endian = false;
	ck_assert_int_eq(stile_image_create(device, &wanted, &image), 0);
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	is_big_endian = true;
	ck_assert_int_eq(stile_image_create(device, &wanted, &other), -EOPNOTSUPP);
	ck_assert_ptr_null(other);
	check_refused(stile_image_import(device, &info, &why, &other), &why);
	ck_assert_ptr_null(other);
	check_refused(stile_image_check(device, &info, &why), &why);
	is_big_endian = false;
	ck_assert_int_eq(stile_image_check(device, &info, &why), 0);
	close(info.planes[0].fd);
	stile_image_unref(image);
	stile_device_destroy(device);
}
END_TEST

/* Also not in memory that was no image: OPAQUE_FD. */
START_TEST(no_api_is_said_to_have_the_format) {
	struct stile_vulkan_format vulkan = { .size = sizeof(vulkan) };
	struct stile_egl_gl_format gl = { .size = sizeof(gl) };
	is_big_endian = false;
	ck_assert_int_eq(stile_vulkan_format_get(DRM_FORMAT_RGB565, &vulkan), 0);
	ck_assert_int_eq(stile_egl_get_gl_format(DRM_FORMAT_RGB565, &gl), 0);
	ck_assert_uint_eq(stile_vulkan_format_get_fourcc(vulkan.format), DRM_FORMAT_RGB565);
	is_big_endian = true;
	ck_assert_int_eq(stile_vulkan_format_get(DRM_FORMAT_RGB565, &vulkan), -EOPNOTSUPP);
	ck_assert_int_eq(stile_egl_get_gl_format(DRM_FORMAT_RGB565, &gl), -EOPNOTSUPP);
	ck_assert_uint_eq(
		stile_vulkan_format_get_fourcc(vulkan.format), (uint32_t)DRM_FORMAT_INVALID);
}
END_TEST

static Suite *make_suite(void) {
	Suite *suite = suite_create("big_endian");
	TCase *tcase = ledger_tcase_create("big-endian");
	tcase_add_test(tcase, no_image_is_made_whose_colours_would_be_wrong);
	tcase_add_test(tcase, no_api_is_said_to_have_the_format);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
