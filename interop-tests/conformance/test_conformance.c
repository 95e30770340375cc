/* SPDX-License-Identifier: MIT */
/*
 * What every backend promises, in one body, for whatever device opener.h opens. It knows none of them by
 * name, so a new one needs no change here.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stile/stile.h>

#include "interop-tests/conformance/opener.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/mail.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

enum { BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Of the backend that the test runs for. */
static struct stile_device *device, *other;

static struct stile_device *open_device(void) {
	struct stile_device *opened;
	char why[OPENER_TEXT];
	int ret = opener_open(&opened, why);
	ck_assert_msg(ret == 0, "it does not open: %s", why);
	ck_assert_str_eq(stile_device_get_backend(opened), opener_get_backend());
	return opened;
}

static int fences_before;

static void begin(void) {
	fences_before = plain_fence_count();
	device = open_device();
	other = open_device();
}

static void end(void) {
	stile_device_destroy(device);
	stile_device_destroy(other);
	device = other = NULL;
	ck_assert_int_eq(plain_fence_count(), fences_before);
}

/* All others may be refused, with a sentence. */
static bool is_taken_by_all(uint32_t fourcc) {
	static const uint32_t fourccs[] = { DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888,
		DRM_FORMAT_XBGR8888, DRM_FORMAT_ABGR8888, DRM_FORMAT_R8, DRM_FORMAT_NV12 };
	size_t i = 0;
	while (i < COUNT(fourccs) && fourccs[i] != fourcc) {
		i++;
	}
	return i < COUNT(fourccs);
}

/* NULL: the backend does not have the format. */
static struct stile_image *try_to_create(uint32_t fourcc, uint32_t width, uint32_t height) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = width,
		.height = height,
		.fourcc = fourcc,
		.usage = BOTH,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.name = "conformance",
	};
	struct stile_image *image;
	opener_forget_errors();
	int ret = stile_image_create(device, &info, &image);
	if (ret == -EOPNOTSUPP && !is_taken_by_all(fourcc)) {
		ck_assert_ptr_null(image);
		ck_assert_ptr_nonnull(strstr(opener_get_error(), stile_format_get(fourcc)->name));
		return NULL;
	}
	ck_assert_msg(ret == 0, "%u x %u of 0x%08x: %s (%s)", width, height, fourcc, strerror(-ret),
		opener_get_error());
	return image;
}

static struct stile_image *create(uint32_t fourcc, uint32_t width, uint32_t height) {
	struct stile_image *image = try_to_create(fourcc, width, height);
	ck_assert_ptr_nonnull(image);
	return image;
}

static void close_planes(struct stile_image_info *info) {
	for (uint32_t i = 0; i < info->plane_count; i++) {
		ck_assert_int_eq(close(info->planes[i].fd), 0);
	}
}

/* ---- Images -------------------------------------------------------------------------------- */

/* Large ones come last: not all formats are made as large, since memory is zeroed. */
static const struct {
	uint32_t width, height;
} extents[] = { { 2, 2 }, { 4, 4 }, { 6, 2 }, { 2, 6 }, { 64, 64 }, { 66, 30 }, { 640, 480 },
	{ 1366, 768 }, { 1920, 1080 } };
enum { SMALL_EXTENTS = 6 };

static uint32_t divide_up(uint32_t value, uint32_t by) {
	return (value + by - 1) / by;
}

/* As wide, or as high, as the format can be. */
static uint32_t round_up(uint32_t extent, uint32_t sub) {
	return divide_up(extent, sub) * sub;
}

/* What a plane needs if rows are touched in groups of four, as software drivers do. */
static uint64_t plane_bytes(
	const struct stile_format *format, const struct stile_image_info *info, uint32_t plane) {
	uint64_t rows = info->height / format->planes[plane].vsub;
	return (uint64_t)info->planes[plane].pitch * ((rows + 3) / 4 * 4);
}

static void check_layout(const struct stile_format *format, struct stile_image *image) {
	const struct stile_image_info *info = stile_image_get_info(image);
	ck_assert_uint_eq(info->plane_count, format->plane_count);
	uint64_t end_of_last = 0;
	for (uint32_t i = 0; i < info->plane_count; i++) {
		const struct stile_format_plane *plane = &format->planes[i];
		uint32_t blocks = divide_up(info->width / plane->hsub, plane->block);
		uint64_t row = (uint64_t)blocks * plane->bytes;
		ck_assert_uint_ge(info->planes[i].pitch, row);
		ck_assert_uint_eq(info->planes[i].pitch % 64, 0);
		ck_assert_uint_eq(info->planes[i].offset % 64, 0);
		if (i > 0 &&
			stile_image_get_buffer(image, i) == stile_image_get_buffer(image, i - 1)) {
			ck_assert_uint_ge(info->planes[i].offset, end_of_last);
		}
		end_of_last = info->planes[i].offset + plane_bytes(format, info, i);
		ck_assert_uint_ge(
			stile_buffer_get_bytes(stile_image_get_buffer(image, i)), end_of_last);
	}
}

/* Wrong code: planes that overlap, or that end behind the memory; see SOFTWARE_DRIVERS. */
START_TEST(created_image_has_a_layout_that_drivers_take) {
	begin();
	const struct stile_format *format;
	for (size_t f = 0; (format = stile_format_get_nth(f)) != NULL; f++) {
		size_t count = is_taken_by_all(format->fourcc) ? COUNT(extents) : SMALL_EXTENTS;
		for (size_t e = 0; e < count; e++) {
			struct stile_image *image = try_to_create(format->fourcc,
				round_up(extents[e].width, format->hsub),
				round_up(extents[e].height, format->vsub));
			if (image != NULL) {
				check_layout(format, image);
			}
			stile_image_unref(image);
		}
	}
	end();
}
END_TEST

START_TEST(created_memory_is_zeroed_and_holds_what_is_written) {
	begin();
	struct stile_image *image = create(DRM_FORMAT_XRGB8888, 66, 30);
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *writer, *reader;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &writer), 0);
	ck_assert_int_eq(stile_buffer_mmap(buffer, STILE_USAGE_READ, &reader), 0);
	size_t bytes = (size_t)stile_buffer_get_bytes(buffer), zeroes = 0;
	while (zeroes < bytes && ((const char *)reader)[zeroes] == 0) {
		zeroes++;
	}
	ck_assert_uint_eq(zeroes, bytes);
	memset(writer, 0x5a, bytes);
	ck_assert_int_eq(memcmp(writer, reader, bytes), 0);
	stile_buffer_munmap(buffer, writer);
	stile_buffer_munmap(buffer, reader);
	stile_image_unref(image);
	end();
}
END_TEST

/* Wrong code: a description that the backend itself does not take back. */
START_TEST(exported_image_is_the_same_on_import) {
	begin();
	const struct stile_format *format;
	for (size_t f = 0; (format = stile_format_get_nth(f)) != NULL; f++) {
		uint32_t width = round_up(66, format->hsub), height = round_up(30, format->vsub);
		struct stile_image *image = try_to_create(format->fourcc, width, height);
		struct stile_image *again, *elsewhere;
		if (image == NULL) {
			continue;
		}
		struct stile_image_info info = { .size = sizeof(info) };
		struct stile_report report = { .size = sizeof(report) };
		ck_assert_int_eq(stile_image_export(image, &info), 0);
		ck_assert_int_eq(stile_image_check(device, &info, &report), 0);
		ck_assert_int_eq(stile_image_import(device, &info, &report, &again), 0);
		ck_assert_int_eq(stile_image_import(other, &info, &report, &elsewhere), 0);
		for (uint32_t i = 0; i < info.plane_count; i++) {
			ck_assert_int_eq(fcntl(info.planes[i].fd, F_GETFD), FD_CLOEXEC);
			ck_assert_ptr_eq(
				stile_image_get_buffer(again, i), stile_image_get_buffer(image, i));
			ck_assert_ptr_eq(stile_image_get_buffer(elsewhere, i),
				stile_image_get_buffer(image, i));
		}
		ck_assert_uint_eq(stile_image_get_info(again)->width, width);
		ck_assert_uint_eq(stile_image_get_info(again)->height, height);
		ck_assert_uint_eq(stile_image_get_info(again)->fourcc, format->fourcc);
		close_planes(&info);
		stile_image_unref(image);
		stile_image_unref(again);
		stile_image_unref(elsewhere);
	}
	end();
}
END_TEST

/* The point of it all: one memory. Wrong code: a copy. */
START_TEST(two_devices_share_the_bytes) {
	begin();
	struct stile_image *image = create(DRM_FORMAT_R8, 64, 64), *elsewhere;
	struct stile_image_info info = { .size = sizeof(info) };
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	ck_assert_int_eq(stile_image_import(other, &info, NULL, &elsewhere), 0);
	close_planes(&info);
	struct stile_buffer *one = stile_image_get_buffer(image, 0);
	struct stile_buffer *two = stile_image_get_buffer(elsewhere, 0);
	void *writer, *reader;
	ck_assert_int_eq(stile_buffer_mmap(one, BOTH, &writer), 0);
	ck_assert_int_eq(stile_buffer_mmap(two, STILE_USAGE_READ, &reader), 0);
	strcpy(writer, "over the stile");
	ck_assert_str_eq(reader, "over the stile");
	stile_buffer_munmap(one, writer);
	stile_buffer_munmap(two, reader);
	stile_image_unref(image);
	stile_image_unref(elsewhere);
	end();
}
END_TEST

START_TEST(image_and_buffer_outlive_their_device) {
	begin();
	struct stile_image *image = create(DRM_FORMAT_NV12, 64, 64);
	struct stile_buffer *buffer = stile_buffer_ref(stile_image_get_buffer(image, 0));
	end();
	stile_image_unref(image);
	int fd;
	ck_assert_int_eq(stile_buffer_export_fd(buffer, STILE_USAGE_READ, &fd), 0);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- What no backend takes ----------------------------------------------------------------- */

enum what {
	FD_NEGATIVE,
	FD_IS_CLOSED,
	FD_NULL,
	FD_DIRECTORY,
	PITCH_SMALL,
	PITCH_ODD,
	OFFSET_ODD,
	OFFSET_BEHIND,
	OFFSET_OVERFLOW,
	PLANES_FEWER,
	PLANES_MORE,
	WIDTH_0,
	HEIGHT_0,
	EXTENT_HUGE,
	EXTENT_ODD,
	FORMAT_0,
	MODIFIER_INVALID,
	USAGE_0,
	USAGE_UNKNOWN,
};

static const struct {
	enum what what;
	const char *name;
	int ret;
	enum stile_reason reason;
} spoils[] = {
	{ FD_NEGATIVE, "fd -1", -EBADF, STILE_REASON_FD_CLOSED },
	{ FD_IS_CLOSED, "closed fd", -EBADF, STILE_REASON_FD_CLOSED },
	{ FD_NULL, "/dev/null", -EINVAL, STILE_REASON_FD_TYPE },
	{ FD_DIRECTORY, "directory", -EINVAL, STILE_REASON_FD_TYPE },
	{ PITCH_SMALL, "pitch too small", -EINVAL, STILE_REASON_PITCH },
	{ PITCH_ODD, "odd pitch", -EINVAL, STILE_REASON_PITCH },
	{ OFFSET_ODD, "odd offset", -EINVAL, STILE_REASON_OFFSET },
	{ OFFSET_BEHIND, "offset behind the end", -ERANGE, STILE_REASON_BOUNDS },
	{ OFFSET_OVERFLOW, "offset that overflows", -ERANGE, STILE_REASON_BOUNDS },
	{ PLANES_FEWER, "a plane too few", -EINVAL, STILE_REASON_PLANE_COUNT },
	{ PLANES_MORE, "a plane too many", -EINVAL, STILE_REASON_PLANE_COUNT },
	{ WIDTH_0, "width 0", -EINVAL, STILE_REASON_EXTENT },
	{ HEIGHT_0, "height 0", -EINVAL, STILE_REASON_EXTENT },
	{ EXTENT_HUGE, "huge", -ERANGE, STILE_REASON_EXTENT },
	{ EXTENT_ODD, "odd for the format", -EINVAL, STILE_REASON_EXTENT },
	{ FORMAT_0, "no format", -EOPNOTSUPP, STILE_REASON_FORMAT },
	{ MODIFIER_INVALID, "modifier INVALID", -EOPNOTSUPP, STILE_REASON_MODIFIER },
	{ USAGE_0, "no usage", -EINVAL, STILE_REASON_USAGE },
	{ USAGE_UNKNOWN, "unknown usage", -EINVAL, STILE_REASON_USAGE },
};

/* *opened is a descriptor to be closed, or -1. */
static void spoil(struct stile_image_info *info, enum what what, int *opened) {
	*opened = -1;
	switch (what) {
	case FD_NEGATIVE:
		info->planes[1].fd = -1;
		break;
	case FD_IS_CLOSED:
		info->planes[1].fd = memory_closed_fd();
		break;
	case FD_NULL:
		*opened = open("/dev/null", O_RDWR | O_CLOEXEC);
		info->planes[1].fd = *opened;
		break;
	case FD_DIRECTORY:
		*opened = open("/", O_RDONLY | O_CLOEXEC);
		info->planes[1].fd = *opened;
		break;
	case PITCH_SMALL:
		info->planes[1].pitch = info->width - 1;
		break;
	case PITCH_ODD:
		info->planes[1].pitch = info->width + 1;
		break;
	case OFFSET_ODD:
		info->planes[0].offset = 1;
		break;
	case OFFSET_BEHIND:
		info->planes[1].offset = UINT64_C(1) << 40;
		break;
	case OFFSET_OVERFLOW:
		info->planes[1].offset = UINT64_MAX - 63;
		break;
	case PLANES_FEWER:
		info->plane_count = 1;
		break;
	case PLANES_MORE:
		info->plane_count = 3;
		break;
	case WIDTH_0:
		info->width = 0;
		break;
	case HEIGHT_0:
		info->height = 0;
		break;
	case EXTENT_HUGE:
		info->width = UINT32_MAX - 1;
		info->height = UINT32_MAX - 1;
		break;
	case EXTENT_ODD:
		info->width--;
		break;
	case FORMAT_0:
		info->fourcc = 0;
		break;
	case MODIFIER_INVALID:
		info->modifier = DRM_FORMAT_MOD_INVALID;
		break;
	case USAGE_0:
		info->usage = 0;
		break;
	case USAGE_UNKNOWN:
		info->usage = 4;
		break;
	}
}

/* Before any driver sees it. Wrong code: a backend that is asked first, or whose answer is lost. */
START_TEST(bad_import_is_refused_with_the_reason) {
	begin();
	struct stile_image *image = create(DRM_FORMAT_NV12, 64, 64);
	struct stile_image_info good = { .size = sizeof(good) };
	ck_assert_int_eq(stile_image_export(image, &good), 0);
	for (size_t i = 0; i < COUNT(spoils); i++) {
		struct stile_image_info info = good;
		int opened;
		spoil(&info, spoils[i].what, &opened);
		struct stile_report checked = { .size = sizeof(checked) };
		struct stile_report imported = { .size = sizeof(imported) };
		int check = stile_image_check(device, &info, &checked);
		struct stile_image *refused = image;
		int import = stile_image_import(device, &info, &imported, &refused);
		ck_assert_msg(check == spoils[i].ret, "%s: check gives %d", spoils[i].name, check);
		ck_assert_msg(import == check, "%s: import gives %d", spoils[i].name, import);
		ck_assert_ptr_null(refused);
		ck_assert_msg(checked.reason == spoils[i].reason, "%s: reason %d, '%s'",
			spoils[i].name, (int)checked.reason, checked.text);
		ck_assert_int_eq(imported.reason, checked.reason);
		ck_assert_int_eq(imported.error, import);
		ck_assert_uint_gt(strlen(imported.text), 0);
		ck_assert_str_eq(imported.text, checked.text);
		if (opened >= 0) {
			ck_assert_int_eq(close(opened), 0);
		}
	}
	close_planes(&good);
	stile_image_unref(image);
	end();
}
END_TEST

/* ---- Fences by descriptor ------------------------------------------------------------------ */

static struct stile_fence *import(int fd) {
	struct stile_fence *fence;
	ck_assert_int_eq(
		stile_fence_import_fd(device, STILE_FD_SOFTWARE_SYNC_FILE, 0, fd, &fence), 0);
	return fence;
}

static int export(struct stile_fence *fence) {
	int fd;
	int ret = stile_fence_export_fd(fence, STILE_FD_SOFTWARE_SYNC_FILE, 0, NULL, &fd);
	runner_require(ret == 0, "export: %d", ret);
	return fd;
}

START_TEST(end_of_a_fence_crosses_by_descriptor) {
	static const int errors[] = { 0, -EIO };
	begin();
	for (size_t i = 0; i < COUNT(errors); i++) {
		struct stile_fence *fence = plain_fence_create();
		int fd = export(fence);
		struct stile_fence *copy = import(fd);
		ck_assert(!plain_fd_is_readable(fd));
		ck_assert_int_eq(stile_fence_wait(copy, 0), -ETIME);
		if (errors[i] != 0) {
			ck_assert_int_eq(stile_fence_set_error(fence, errors[i]), 0);
		}
		stile_fence_signal(fence);
		ck_assert(plain_fd_is_readable(fd));
		ck_assert_int_eq(plain_fence_finish(copy), errors[i] == 0 ? 1 : errors[i]);
		ck_assert_int_eq(stile_fence_get_timestamp(copy), stile_fence_get_timestamp(fence));
		stile_fence_unref(copy);
		stile_fence_unref(fence);
		close(fd);
	}
	end();
}
END_TEST

/* Gives a descriptor of a fence, and never signals it. */
static int producer(void) {
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence);
	mail_send(RUNNER_FIRST_FD, "x", 1, &fd, 1);
	return mail_hear(RUNNER_FIRST_FD);
}

START_TEST(death_of_the_producer_is_an_error) {
	begin();
	int ends[2], fd;
	char byte;
	mail_pair(ends);
	pid_t pid = runner_spawn("producer", &ends[1], 1);
	close(ends[1]);
	ck_assert_int_eq(mail_receive(ends[0], &byte, 1, &fd, 1), 1);
	struct stile_fence *fence = import(fd);
	close(fd);
	ck_assert_int_eq(stile_fence_get_status(fence), 0);
	kill(pid, SIGKILL);
	ck_assert_int_eq(runner_reap(pid), -SIGKILL);
	ck_assert_int_eq(plain_fence_finish(fence), -EOWNERDEAD);
	stile_fence_unref(fence);
	close(ends[0]);
	end();
}
END_TEST

static void count_run(struct stile_fence *fence, struct stile_notify *notify, void *user) {
	(void)fence;
	(void)notify;
	++*(int *)user;
}

/* The whole way: another thread's fence, a descriptor, the watcher, the application's loop. */
START_TEST(loop_hears_of_a_fence_that_came_by_descriptor) {
	begin();
	struct stile_fence *fence = plain_fence_create();
	int fd = export(fence), runs = 0;
	struct stile_fence *copy = import(fd);
	close(fd);
	struct stile_notify notify;
	stile_notify_init(&notify, device);
	ck_assert_int_eq(stile_fence_notify(copy, &notify, count_run, &runs), 0);
	ck_assert(!plain_fd_is_readable(stile_device_get_fd(device)));
	stile_fence_signal(fence);
	ck_assert(plain_fd_becomes_readable(stile_device_get_fd(device)));
	ck_assert_int_eq(stile_device_dispatch(device), 1);
	ck_assert_int_eq(runs, 1);
	ck_assert(!plain_fd_is_readable(stile_device_get_fd(device)));
	stile_fence_unref(copy);
	stile_fence_unref(fence);
	end();
}
END_TEST

static TCase *create_case(const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, NULL, opener_finish);
	return tcase;
}

static Suite *suite(void) {
	Suite *s = suite_create("conformance");
	TCase *images = create_case("images");
	tcase_add_test(images, created_image_has_a_layout_that_drivers_take);
	tcase_add_test(images, created_memory_is_zeroed_and_holds_what_is_written);
	tcase_add_test(images, exported_image_is_the_same_on_import);
	tcase_add_test(images, two_devices_share_the_bytes);
	tcase_add_test(images, image_and_buffer_outlive_their_device);
	tcase_add_test(images, bad_import_is_refused_with_the_reason);
	suite_add_tcase(s, images);

	TCase *fences = create_case("fences");
	tcase_add_test(fences, end_of_a_fence_crosses_by_descriptor);
	tcase_add_test(fences, death_of_the_producer_is_an_error);
	tcase_add_test(fences, loop_hears_of_a_fence_that_came_by_descriptor);
	suite_add_tcase(s, fences);
	return s;
}

/* As many as a test opens, so that none of them is the first: the ledger counts what stays. */
static int try_devices(char why[OPENER_TEXT]) {
	struct stile_device *opened[OPENER_MAX] = { NULL };
	int ret = 0;
	for (size_t i = 0; i < OPENER_MAX && ret == 0; i++) {
		ret = opener_open(&opened[i], why);
	}
	for (size_t i = 0; i < OPENER_MAX; i++) {
		stile_device_destroy(opened[i]);
	}
	opener_finish();
	return ret;
}

int main(int argc, char **argv) {
	static const struct runner_role roles[] = { { "producer", producer }, { NULL, NULL } };
	char why[OPENER_TEXT];
	int ret = RUNNER_SKIP;
	if (argc > 1) {
		return runner_main(argc, argv, suite, roles);
	}
	if (opener_check(why) < 0) {
		printf("%s\n", why);
		return EXIT_FAILURE;
	}
	if (try_devices(why) < 0) {
		printf("skipped: it does not open here: %s\n", why);
	} else {
		ret = runner_main(argc, argv, suite, roles);
	}
	opener_close();
	return ret;
}
