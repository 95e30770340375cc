/* SPDX-License-Identifier: MIT */
/* One plane of an image as an image by itself. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stile/device.h>
#include <stile/image.h>
#include <stile/swgpu_modifier.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

static struct stile_device *device;

static void setup(void) {
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
}

static void teardown(void) {
	stile_device_destroy(device);
}

static struct stile_image_info describe(uint32_t fourcc) {
	return (struct stile_image_info){
		.size = sizeof(struct stile_image_info),
		.width = 64,
		.height = 32,
		.fourcc = fourcc,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.colour = { 9, 16, 9, STILE_RANGE_LIMITED, 0, 0 },
	};
}

static struct stile_image *create(uint32_t fourcc) {
	struct stile_image_info info = describe(fourcc);
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	return image;
}

/* Chroma in memory of its own, which `flags` open, and behind something else there. */
enum { CHROMA_OFFSET = 256 };

static struct stile_image *import_apart(int flags, uint32_t usage) {
	struct stile_image_info info = describe(DRM_FORMAT_NV12);
	struct stile_image *image;
	int luma = memory_create(UINT64_C(64) * 32, F_SEAL_SHRINK), chroma;
	int writable = memory_create(CHROMA_OFFSET + UINT64_C(64) * 16, F_SEAL_SHRINK);
	chroma = memory_reopen(writable, flags);
	info.usage = usage;
	info.plane_count = 2;
	info.planes[0] = (struct stile_image_plane){ .fd = luma, .pitch = 64 };
	info.planes[1] = (struct stile_image_plane){
		.fd = chroma,
		.pitch = 64,
		.offset = CHROMA_OFFSET,
	};
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &image), 0);
	close(luma);
	close(chroma);
	close(writable);
	return image;
}

struct view_case {
	uint32_t fourcc, plane, view, width, height;
};

/* By hand, of drm_fourcc.h. */
static const struct view_case view_cases[] = {
	{ DRM_FORMAT_NV12, 0, DRM_FORMAT_R8, 64, 32 },
	{ DRM_FORMAT_NV12, 1, DRM_FORMAT_GR88, 32, 16 },
	{ DRM_FORMAT_NV21, 1, DRM_FORMAT_GR88, 32, 16 },
	{ DRM_FORMAT_NV16, 1, DRM_FORMAT_GR88, 32, 32 },
	{ DRM_FORMAT_NV24, 1, DRM_FORMAT_GR88, 64, 32 },
	{ DRM_FORMAT_P010, 0, DRM_FORMAT_R16, 64, 32 },
	{ DRM_FORMAT_P010, 1, DRM_FORMAT_GR1616, 32, 16 },
	{ DRM_FORMAT_P016, 1, DRM_FORMAT_GR1616, 32, 16 },
	{ DRM_FORMAT_P210, 1, DRM_FORMAT_GR1616, 32, 32 },
	{ DRM_FORMAT_YUV420, 0, DRM_FORMAT_R8, 64, 32 },
	{ DRM_FORMAT_YUV420, 2, DRM_FORMAT_R8, 32, 16 },
	{ DRM_FORMAT_YUV410, 2, DRM_FORMAT_R8, 16, 8 },
	{ DRM_FORMAT_YUV411, 1, DRM_FORMAT_R8, 16, 32 },
	{ DRM_FORMAT_YVU444, 2, DRM_FORMAT_R8, 64, 32 },
};

/* Wrong code: the extent of the whole; another plane's place; a copy; both chromas of 10 bits as four bytes. */
START_TEST(view_is_the_plane_in_the_same_memory) {
	const struct view_case *c = &view_cases[_i];
	struct stile_image *image = create(c->fourcc), *view;
	const struct stile_image_info *whole = stile_image_get_info(image);
	ck_assert_int_eq(stile_image_create_plane_view(image, c->plane, NULL, &view), 0);
	const struct stile_image_info *info = stile_image_get_info(view);
	ck_assert_uint_eq(info->fourcc, c->view);
	ck_assert_uint_eq(info->width, c->width);
	ck_assert_uint_eq(info->height, c->height);
	ck_assert_uint_eq(info->plane_count, 1);
	ck_assert_uint_eq(info->usage, whole->usage);
	ck_assert_uint_eq(info->planes[0].offset, whole->planes[c->plane].offset);
	ck_assert_uint_eq(info->planes[0].pitch, whole->planes[c->plane].pitch);
	ck_assert_int_eq(info->planes[0].fd, -1);
	ck_assert_uint_eq(info->planes[1].pitch, 0);
	ck_assert_uint_eq(info->colour.matrix, 0);
	ck_assert_uint_eq(info->colour.primaries, 0);
	ck_assert_ptr_eq(stile_image_get_buffer(view, 0), stile_image_get_buffer(image, c->plane));
	stile_image_unref(view);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: the buffer of plane 0; a reference that the whole image takes with it. */
START_TEST(view_of_a_plane_apart_outlives_the_whole) {
	struct stile_image *image = import_apart(O_RDWR, STILE_USAGE_READ | STILE_USAGE_WRITE);
	struct stile_buffer *chroma = stile_image_get_buffer(image, 1);
	struct stile_image *view, *again;
	struct stile_image_info info = { .size = sizeof(info) };
	struct stat st;
	ck_assert_int_eq(stile_image_create_plane_view(image, 1, NULL, &view), 0);
	stile_image_unref(image);
	ck_assert_ptr_eq(stile_image_get_buffer(view, 0), chroma);
	ck_assert_int_eq(stile_image_export(view, &info), 0);
	ck_assert_int_eq(fstat(info.planes[0].fd, &st), 0);
	ck_assert_int_eq(st.st_size, CHROMA_OFFSET + 64 * 16);
	ck_assert_uint_eq(info.planes[0].offset, CHROMA_OFFSET);
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &again), 0);
	close(info.planes[0].fd);
	stile_image_unref(again);
	stile_image_unref(view);
}
END_TEST

/* Wrong code: more allowed of a part than of the whole. */
START_TEST(view_allows_no_more_than_the_whole) {
	static const struct stile_constraints writes = {
		.size = sizeof(writes),
		.usage = STILE_USAGE_WRITE,
	};
	struct stile_image *image = import_apart(O_RDONLY, STILE_USAGE_READ), *view;
	ck_assert_int_eq(stile_image_create_plane_view(image, 0, NULL, &view), 0);
	ck_assert_int_eq(stile_image_check_constraints(view, &writes, NULL), -EACCES);
	stile_image_unref(view);
	stile_image_unref(image);
}
END_TEST

struct refusal_case {
	const char *what;
	uint32_t fourcc;
	uint64_t modifier;
	uint32_t plane;
	int ret;
	enum stile_reason reason;
	const char *text;
};

static const struct refusal_case refusals[] = {
	{ "a plane too many", DRM_FORMAT_NV12, 0, 2, -EINVAL, STILE_REASON_PLANE_COUNT,
		"NV12 has 2 planes: 2 is none" },
	{ "UINT32_MAX", DRM_FORMAT_NV12, 0, UINT32_MAX, -EINVAL, STILE_REASON_PLANE_COUNT,
		"NV12 has 2 planes: 4294967295 is none" },
	{ "the only plane", DRM_FORMAT_R8, 0, 0, -EINVAL, STILE_REASON_PLANE_COUNT,
		"R8 has 1 plane: 0 is none" },
	{ "all in one", DRM_FORMAT_YUYV, 0, 0, -EINVAL, STILE_REASON_PLANE_COUNT,
		"YUYV has 1 plane: 0 is none" },
	{ "four of 10 bits in five bytes", DRM_FORMAT_NV15, 0, 0, -EOPNOTSUPP, STILE_REASON_FORMAT,
		"plane 0 of NV15 has 5 bytes for 4 samples" },
	{ "three of 10 bits in four bytes", DRM_FORMAT_P030, 0, 1, -EOPNOTSUPP, STILE_REASON_FORMAT,
		"plane 1 of P030 has 8 bytes for 3 samples" },
	{ "tiles", DRM_FORMAT_NV12, STILE_SWGPU_MOD_TILED_ROWS, 1, -EOPNOTSUPP,
		STILE_REASON_MODIFIER, "plane 1 of NV12" },
};

START_TEST(what_is_no_image_by_itself_is_refused) {
	const struct refusal_case *c = &refusals[_i];
	struct stile_image_info info = describe(c->fourcc);
	struct stile_image *image, *view;
	struct stile_report why = { .size = sizeof(why) };
	info.modifier = c->modifier;
	info.colour = (struct stile_colour){ 0 };
	info.width = 60;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	int ret = stile_image_create_plane_view(image, c->plane, &why, &view);
	ck_assert_msg(ret == c->ret, "%s: %d", c->what, ret);
	ck_assert_ptr_null(view);
	ck_assert_int_eq(why.reason, c->reason);
	ck_assert_int_eq(why.error, ret);
	ck_assert_uint_eq(why.plane, c->plane);
	ck_assert_msg(strstr(why.text, c->text) != NULL, "%s: %s", c->what, why.text);
	why.size = 3;
	ck_assert_int_eq(stile_image_create_plane_view(image, 0, &why, &view), -EINVAL);
	stile_image_unref(image);
}
END_TEST

struct attempt {
	struct stile_image *image, *view;
};

static int attempt_view(void *user) {
	struct attempt *attempt = user;
	return stile_image_create_plane_view(attempt->image, 1, NULL, &attempt->view);
}

static void after_view(void *user, int ret) {
	struct attempt *attempt = user;
	ck_assert_int_eq(attempt->view == NULL, ret < 0);
	stile_image_unref(attempt->view);
}

START_TEST(every_failure_is_survived) {
	static const int errors[] = { -ENOMEM, 0 };
	struct attempt attempt = { .image = create(DRM_FORMAT_NV12) };
	ck_assert_uint_eq(failing_sweep(attempt_view, after_view, &attempt, errors), 1);
	stile_image_unref(attempt.image);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("plane view");
	TCase *tcase = ledger_tcase_create("plane view");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(
		tcase, view_is_the_plane_in_the_same_memory, 0, ARRAY_LENGTH(view_cases));
	tcase_add_test(tcase, view_of_a_plane_apart_outlives_the_whole);
	tcase_add_test(tcase, view_allows_no_more_than_the_whole);
	tcase_add_loop_test(
		tcase, what_is_no_image_by_itself_is_refused, 0, ARRAY_LENGTH(refusals));
	tcase_add_test(tcase, every_failure_is_survived);
	suite_add_tcase(s, tcase);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
