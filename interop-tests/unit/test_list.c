/* SPDX-License-Identifier: MIT */
/* Command lists: what is refused, what lists keep, and how commands are given up. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/swgpu_modifier.h>
#include <stile/swgpu_test.h>

#include "backends/swgpu/bus.h"
#include "backends/swgpu/list.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/picture.h"
#include "interop-tests/support/runner.h"
#include "src/buffer.h"
#include "src/device.h"
#include "src/image.h"
#include "src/macros.h"

enum { BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE, PAGE = 4096 };

static struct stile_device *device;
static struct stile_swgpu_list *list;

static void setup_with(const char *options) {
	device = gpu_open(options);
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
}

static void setup(void) {
	setup_with(NULL);
}

static void teardown(void) {
	stile_swgpu_list_destroy(list);
	stile_device_destroy(device);
	list = NULL;
	device = NULL;
}

/* Execute what was recorded, and begin anew; what the list ended with. */
static int execute(void) {
	int status = gpu_finish(gpu_submit(stile_swgpu_get_queue(device), list));
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	return status;
}

static struct stile_image *create_on(struct stile_device *owner, uint32_t fourcc, uint32_t width,
	uint32_t height, uint64_t modifier) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = width,
		.height = height,
		.fourcc = fourcc,
		.usage = BOTH,
		.modifier = modifier,
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(owner, &info, &image), 0);
	return image;
}

static struct stile_image *create(uint32_t fourcc, uint32_t width, uint32_t height) {
	return create_on(device, fourcc, width, height, DRM_FORMAT_MOD_LINEAR);
}

static struct stile_buffer *create_buffer(uint64_t bytes) {
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = bytes };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	return buffer;
}

/* An image, or a buffer, that may only be read. */
static struct stile_image *create_read_only(void) {
	int fd = memory_create(PAGE, F_SEAL_SHRINK), reader = memory_reopen(fd, O_RDONLY);
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = 8,
		.height = 8,
		.fourcc = DRM_FORMAT_R8,
		.usage = STILE_USAGE_READ,
		.plane_count = 1,
		.planes = { { .fd = reader, .pitch = 16 } },
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &image), 0);
	close(fd);
	close(reader);
	return image;
}

static int do_nothing(void *user, const struct stile_swgpu_row *rows, uint32_t y) {
	(void)user;
	(void)rows;
	(void)y;
	return 0;
}

/* ---- What is refused ------------------------------------------------------------------------ */

/* All that a failed call might leave behind. */
struct state {
	struct stile_swgpu_list list;
	struct command *last;
	uint32_t usage;
};

static struct state state_of_list(void) {
	struct state state = { .list = *list, .last = list->last };
	for (size_t i = 0; i < list->use_count; i++) {
		state.usage = state.usage << 2 | list->uses[i].usage;
	}
	return state;
}

static void check_unchanged(const struct state *before) {
	struct state after = state_of_list();
	ck_assert_ptr_eq(after.list.first, before->list.first);
	ck_assert_ptr_eq(after.last, before->last);
	ck_assert_uint_eq(after.list.count, before->list.count);
	ck_assert_uint_eq(after.list.use_count, before->list.use_count);
	ck_assert_uint_eq(after.usage, before->usage);
	if (after.last != NULL) {
		ck_assert_ptr_null(command_get_next(after.last));
	}
}

/* Every test below records with these. */
static struct stile_image *argb, *yuv, *red, *read_only;
static struct stile_buffer *buffer, *fixed;

static void make_objects(void) {
	argb = create(DRM_FORMAT_ARGB8888, 16, 8);
	yuv = create(DRM_FORMAT_NV12, 16, 8);
	red = create(DRM_FORMAT_R8, 16, 8);
	read_only = create_read_only();
	buffer = create_buffer(2 * PAGE);
	fixed = stile_image_get_buffer(read_only, 0);
	/* The list is not empty: something could be forgotten. */
	ck_assert_int_eq(stile_swgpu_list_fill(list, argb, 0, NULL, 1), 0);
}

static void drop_objects(void) {
	stile_image_unref(argb);
	stile_image_unref(yuv);
	stile_image_unref(red);
	stile_image_unref(read_only);
	stile_buffer_unref(buffer);
}

/* A call gives this error, and the list is as before. */
#define CHECK_REFUSED(call, error) \
	do { \
		struct state before_ = state_of_list(); \
		int ret_ = (call); \
		ck_assert_msg(ret_ == (error), "%s gave %d, not %s", #call, ret_, #error); \
		check_unchanged(&before_); \
	} while (0)

/* Wrong code: a list of no device; *out left as it was. */
START_TEST(lists_are_of_swgpu_devices) {
	static const struct stile_backend_ops ops = { .name = "another" };
	struct stile_device other = { .ops = &ops };
	struct stile_swgpu_list *none = list;
	ck_assert_int_eq(stile_swgpu_list_create(&other, &none), -EINVAL);
	ck_assert_ptr_null(none);
	stile_swgpu_list_destroy(NULL);
}
END_TEST

/* Wrong code: a plane too many; a value cut off; a rectangle that ends outside, or in no sample. */
START_TEST(fill_refuses_what_is_not_within_the_plane) {
	make_objects();
	static const struct stile_swgpu_rect outside[] = {
		{ 0, 0, 0, 8 },
		{ 0, 0, 16, 0 },
		{ -1, 0, 4, 4 },
		{ 0, -1, 4, 4 },
		{ 16, 0, 1, 1 },
		{ 0, 8, 1, 1 },
		{ 0, 0, 17, 8 },
		{ 0, 0, 16, 9 },
		{ 8, 4, UINT32_MAX, 1 },
		{ 8, 4, 1, UINT32_MAX },
		{ INT32_MAX, 0, 1, 1 },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(outside); i++) {
		CHECK_REFUSED(stile_swgpu_list_fill(list, argb, 0, &outside[i], 0), -EINVAL);
	}
	static const struct stile_swgpu_rect halves[] = {
		{ 1, 0, 2, 2 },
		{ 0, 1, 2, 2 },
		{ 0, 0, 3, 2 },
		{ 0, 0, 2, 3 },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(halves); i++) {
		CHECK_REFUSED(stile_swgpu_list_fill(list, yuv, 1, &halves[i], 0), -EINVAL);
		ck_assert_int_eq(stile_swgpu_list_fill(list, yuv, 0, &halves[i], 0), 0);
	}
	CHECK_REFUSED(stile_swgpu_list_fill(list, argb, 1, NULL, 0), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_fill(list, yuv, 2, NULL, 0), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_fill(list, red, 0, NULL, 0x100), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_fill(list, yuv, 1, NULL, 0x10000), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_fill(list, read_only, 0, NULL, 0), -EACCES);
	drop_objects();
}
END_TEST

/* Wrong code: bytes of another format copied as they are; metadata taken for a plane. */
START_TEST(copies_refuse_what_does_not_fit) {
	make_objects();
	struct stile_image *other = create(DRM_FORMAT_XRGB8888, 16, 8);
	struct stile_image *wide = create(DRM_FORMAT_ARGB8888, 17, 8);
	struct stile_image *high = create(DRM_FORMAT_ARGB8888, 16, 9);
	struct stile_image *small = create(DRM_FORMAT_R8, 8, 8);
	struct stile_image *tiled =
		create_on(device, DRM_FORMAT_R8, 16, 8, STILE_SWGPU_MOD_TILED_COLUMNS);
	CHECK_REFUSED(stile_swgpu_list_copy(list, argb, other), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_copy(list, argb, wide), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_copy(list, argb, high), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_copy(list, small, read_only), -EACCES);
	ck_assert_int_eq(stile_swgpu_list_copy(list, read_only, small), 0);
	uint8_t pixels[64];
	CHECK_REFUSED(stile_swgpu_list_upload(list, argb, 0, pixels, 63), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_upload(list, argb, 1, pixels, 64), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_upload(list, tiled, 1, pixels, 64), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_upload(list, read_only, 0, pixels, 64), -EACCES);
	CHECK_REFUSED(stile_swgpu_list_download(list, argb, 0, pixels, 63), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_download(list, yuv, 2, pixels, 64), -EINVAL);
	ck_assert_int_eq(stile_swgpu_list_download(list, read_only, 0, pixels, 8), 0);
	stile_image_unref(other);
	stile_image_unref(wide);
	stile_image_unref(high);
	stile_image_unref(small);
	stile_image_unref(tiled);
	drop_objects();
}
END_TEST

static struct stile_swgpu_composite over(struct stile_image *from, struct stile_image *to) {
	return (struct stile_swgpu_composite){
		.size = sizeof(struct stile_swgpu_composite),
		.from = from,
		.to = to,
		.op = STILE_SWGPU_OVER,
		.filter = STILE_SWGPU_NEAREST,
		.alpha = 255,
	};
}

/* Is it refused if this is done to it? */
#define CHECK_COMPOSITE(change, error) \
	do { \
		struct stile_swgpu_composite composite = over(argb, red); \
		change; \
		CHECK_REFUSED(stile_swgpu_list_composite(list, &composite), error); \
	} while (0)

/* Wrong code: an operator that is none; a rectangle that ends outside; one picture on both sides. */
START_TEST(composite_refuses_what_makes_no_sense) {
	make_objects();
	CHECK_COMPOSITE(composite.size = 4, -EINVAL);
	CHECK_COMPOSITE(composite.from = yuv, -EINVAL);
	CHECK_COMPOSITE(composite.to = yuv, -EINVAL);
	CHECK_COMPOSITE(composite.to = argb, -EINVAL);
	CHECK_COMPOSITE(composite.to = read_only, -EACCES);
	CHECK_COMPOSITE(composite.op = 0, -EINVAL);
	CHECK_COMPOSITE(composite.op = STILE_SWGPU_OVER + 1, -EINVAL);
	CHECK_COMPOSITE(composite.filter = 0, -EINVAL);
	CHECK_COMPOSITE(composite.filter = STILE_SWGPU_BILINEAR + 1, -EINVAL);
	static const struct stile_swgpu_rect outside[] = {
		{ -1, 0, 4, 4 },
		{ 0, 0, 17, 1 },
		{ 9, 0, 8, 1 },
		{ 0, 5, 1, 4 },
		{ 0, 0, 4, 0 },
		{ 1, 0, UINT32_MAX, 1 },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(outside); i++) {
		CHECK_COMPOSITE(composite.source = outside[i], -EINVAL);
		CHECK_COMPOSITE(composite.target = outside[i], -EINVAL);
	}
	struct {
		struct stile_swgpu_composite known;
		uint64_t later;
	} newer = { .known = over(argb, red), .later = 1 };
	newer.known.size = sizeof(newer);
	CHECK_REFUSED(stile_swgpu_list_composite(list, &newer.known), -E2BIG);
	newer.later = 0;
	ck_assert_int_eq(stile_swgpu_list_composite(list, &newer.known), 0);
	drop_objects();
}
END_TEST

/* Wrong code: two images of one memory taken for two pictures. */
START_TEST(composite_refuses_images_that_overlap_in_one_memory) {
	int fd = memory_create(4 * PAGE, F_SEAL_SHRINK);
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = 16,
		.height = 16,
		.fourcc = DRM_FORMAT_ARGB8888,
		.usage = BOTH,
		.plane_count = 1,
		.planes = { { .fd = fd, .pitch = 64 } },
	};
	struct stile_image *first, *second, *behind;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &first), 0);
	info.planes[0].offset = 1024 - 64;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &second), 0);
	info.planes[0].offset = 1024;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &behind), 0);
	close(fd);
	struct stile_swgpu_composite composite = over(first, second);
	CHECK_REFUSED(stile_swgpu_list_composite(list, &composite), -EINVAL);
	composite = over(second, first);
	CHECK_REFUSED(stile_swgpu_list_composite(list, &composite), -EINVAL);
	composite = over(first, behind);
	ck_assert_int_eq(stile_swgpu_list_composite(list, &composite), 0);
	stile_image_unref(first);
	stile_image_unref(second);
	stile_image_unref(behind);
}
END_TEST

/* Wrong code: a matrix that is none; RGB taken for YUV. */
START_TEST(convert_refuses_what_it_cannot_convert) {
	make_objects();
	struct stile_image *wide = create(DRM_FORMAT_NV12, 18, 8);
	struct stile_image *high = create(DRM_FORMAT_NV12, 16, 10);
	const enum stile_swgpu_matrix matrix = STILE_SWGPU_BT709;
	const enum stile_swgpu_range range = STILE_SWGPU_FULL;
	CHECK_REFUSED(stile_swgpu_list_convert(list, argb, argb, matrix, range), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_convert(list, yuv, red, matrix, range), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_convert(list, yuv, yuv, matrix, range), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_convert(list, wide, argb, matrix, range), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_convert(list, high, argb, matrix, range), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_convert(list, yuv, argb, 0, range), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_convert(list, yuv, argb, 2, range), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_convert(list, yuv, argb, matrix, 0), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_convert(list, yuv, argb, matrix, 3), -EINVAL);
	ck_assert_int_eq(stile_swgpu_list_convert(list, yuv, argb, matrix, range), 0);
	stile_image_unref(wide);
	stile_image_unref(high);
	drop_objects();
}
END_TEST

/* Wrong code: rows read behind the end of a smaller image; an image that is read-only written. */
START_TEST(kernel_refuses_images_of_different_extents) {
	make_objects();
	struct stile_image *small = create(DRM_FORMAT_R8, 8, 8);
	struct stile_image *images[5] = { red, yuv, argb, red, yuv };
	CHECK_REFUSED(stile_swgpu_list_kernel(list, images, 0, do_nothing, NULL), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_kernel(list, images, 5, do_nothing, NULL), -EINVAL);
	ck_assert_int_eq(stile_swgpu_list_kernel(list, images, 4, do_nothing, NULL), 0);
	struct stile_image *different[2] = { red, small };
	CHECK_REFUSED(stile_swgpu_list_kernel(list, different, 2, do_nothing, NULL), -EINVAL);
	struct stile_image *written[2] = { read_only, small };
	CHECK_REFUSED(stile_swgpu_list_kernel(list, written, 2, do_nothing, NULL), -EACCES);
	struct stile_image *read[2] = { small, read_only };
	ck_assert_int_eq(stile_swgpu_list_kernel(list, read, 2, do_nothing, NULL), 0);
	stile_image_unref(small);
	drop_objects();
}
END_TEST

/* Wrong code: an end that wraps; bytes behind the buffer; half a pattern. */
START_TEST(fill_buffer_refuses_what_is_not_within) {
	make_objects();
	CHECK_REFUSED(stile_swgpu_list_fill_buffer(list, buffer, 0, 0, 1), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_fill_buffer(list, buffer, 2, 4, 1), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_fill_buffer(list, buffer, 0, 6, 1), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_fill_buffer(list, buffer, 0, 2 * PAGE + 4, 1), -ERANGE);
	CHECK_REFUSED(stile_swgpu_list_fill_buffer(list, buffer, 2 * PAGE, 4, 1), -ERANGE);
	CHECK_REFUSED(stile_swgpu_list_fill_buffer(list, buffer, 8, UINT64_MAX - 3, 1), -ERANGE);
	CHECK_REFUSED(stile_swgpu_list_fill_buffer(list, buffer, UINT64_MAX - 3, 4, 1), -ERANGE);
	CHECK_REFUSED(stile_swgpu_list_fill_buffer(list, fixed, 0, 4, 1), -EACCES);
	ck_assert_int_eq(stile_swgpu_list_fill_buffer(list, buffer, 2 * PAGE - 4, 4, 1), 0);
	drop_objects();
}
END_TEST

static struct stile_swgpu_strided rows_of(struct stile_buffer *from, struct stile_buffer *to) {
	return (struct stile_swgpu_strided){
		.size = sizeof(struct stile_swgpu_strided),
		.from = from,
		.to = to,
		.from_pitch = 100,
		.to_pitch = 80,
		.row_bytes = 50,
		.rows = 10,
	};
}

#define CHECK_STRIDED(change, error) \
	do { \
		struct stile_swgpu_strided copy = rows_of(fixed, buffer); \
		change; \
		CHECK_REFUSED(stile_swgpu_list_copy_buffer(list, &copy), error); \
	} while (0)

/* Wrong code: sums that wrap; the last row forgotten; rows that overwrite each other. */
START_TEST(copy_buffer_refuses_what_is_not_within) {
	make_objects();
	CHECK_STRIDED(copy.size = 4, -EINVAL);
	CHECK_STRIDED(copy.row_bytes = 0, -EINVAL);
	CHECK_STRIDED(copy.rows = 0, -EINVAL);
	CHECK_STRIDED(copy.to_pitch = 49, -EINVAL);
	CHECK_STRIDED(copy.from_offset = PAGE - 949, -ERANGE);
	CHECK_STRIDED(copy.to_offset = 2 * PAGE - 769, -ERANGE);
	CHECK_STRIDED(copy.from_offset = UINT64_MAX, -ERANGE);
	CHECK_STRIDED(copy.to_offset = UINT64_MAX - 10, -ERANGE);
	CHECK_STRIDED(copy.from_pitch = UINT64_MAX / 8, -ERANGE);
	CHECK_STRIDED(copy.to_pitch = UINT64_MAX, -ERANGE);
	CHECK_STRIDED((copy.to_pitch = copy.row_bytes = UINT64_MAX, copy.rows = 1), -ERANGE);
	CHECK_STRIDED((copy.rows = UINT32_MAX, copy.to_pitch = UINT64_MAX / 16), -ERANGE);
	CHECK_STRIDED((copy.from = buffer, copy.to = fixed), -EACCES);
	struct stile_swgpu_strided copy = rows_of(fixed, buffer);
	copy.from_offset = PAGE - 950;
	copy.to_offset = 2 * PAGE - 770;
	ck_assert_int_eq(stile_swgpu_list_copy_buffer(list, &copy), 0);
	copy.from_pitch = 0;
	ck_assert_int_eq(stile_swgpu_list_copy_buffer(list, &copy), 0);
	struct {
		struct stile_swgpu_strided known;
		uint64_t later;
	} newer = { .known = rows_of(fixed, buffer), .later = 1 };
	newer.known.size = sizeof(newer);
	CHECK_REFUSED(stile_swgpu_list_copy_buffer(list, &newer.known), -E2BIG);
	drop_objects();
}
END_TEST

/* Do rows have a byte in common? By looking at each. */
static bool overlaps(const struct stile_swgpu_strided *copy, uint8_t *seen, size_t bytes) {
	memset(seen, 0, bytes);
	for (uint32_t y = 0; y < copy->rows; y++) {
		memset(seen + copy->from_offset + y * copy->from_pitch, 1, copy->row_bytes);
	}
	for (uint32_t y = 0; y < copy->rows; y++) {
		const uint8_t *row = seen + copy->to_offset + y * copy->to_pitch;
		if (memchr(row, 1, copy->row_bytes) != NULL) {
			return true;
		}
	}
	return false;
}

/* Wrong code: rows between rows taken for an overlap; an overlap of the last rows not seen. */
START_TEST(copy_within_a_buffer_is_refused_exactly_if_bytes_overlap) {
	static uint8_t seen[2 * PAGE];
	uint64_t seed = runner_seed();
	buffer = create_buffer(sizeof(seen));
	int counts[2] = { 0 };
	for (int round = 0; round < 3000; round++) {
		struct stile_swgpu_strided copy = rows_of(buffer, buffer);
		copy.rows = 1 + (uint32_t)(runner_random(&seed) % 8);
		copy.row_bytes = 1 + runner_random(&seed) % 40;
		copy.from_pitch = runner_random(&seed) % 100;
		copy.to_pitch = copy.row_bytes + runner_random(&seed) % 60;
		copy.from_offset = runner_random(&seed) % 400;
		copy.to_offset = runner_random(&seed) % 400;
		bool wrong = overlaps(&copy, seen, sizeof(seen));
		counts[wrong]++;
		ck_assert_int_eq(stile_swgpu_list_copy_buffer(list, &copy), wrong ? -EINVAL : 0);
	}
	ck_assert_int_gt(counts[0], 100);
	ck_assert_int_gt(counts[1], 100);
	stile_buffer_unref(buffer);
}
END_TEST

/* Wrong code: an address range that wraps is refused one byte too early, or not at all. */
START_TEST(addresses_must_not_wrap) {
	CHECK_REFUSED(stile_swgpu_list_fill_address(list, 0x1000, 0, 1), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_fill_address(list, UINT64_MAX, 2, 1), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_fill_address(list, 2, UINT64_MAX, 1), -EINVAL);
	ck_assert_int_eq(stile_swgpu_list_fill_address(list, UINT64_MAX, 1, 1), 0);
	CHECK_REFUSED(stile_swgpu_list_copy_address(list, 0x1000, 0x2000, 0), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_copy_address(list, UINT64_MAX - 1, 0x2000, 3), -EINVAL);
	CHECK_REFUSED(stile_swgpu_list_copy_address(list, 0x2000, UINT64_MAX - 1, 3), -EINVAL);
	ck_assert_int_eq(stile_swgpu_list_copy_address(list, 0x2000, UINT64_MAX - 1, 2), 0);
}
END_TEST

/* ---- Images of others ------------------------------------------------------------------------ */

/* A list of another device, for images of `device`. */
static struct stile_device *other_device(const char *options) {
	struct stile_device *other = gpu_open(options);
	stile_swgpu_list_destroy(list);
	ck_assert_int_eq(stile_swgpu_list_create(other, &list), 0);
	return other;
}

static void close_other(struct stile_device *other) {
	stile_swgpu_list_destroy(list);
	list = NULL;
	stile_device_destroy(other);
}

/* Wrong code: an image that import would refuse is used all the same, through another device. */
START_TEST(image_of_another_device_must_meet_the_limits) {
	static const struct {
		const char *options;
		uint32_t width;
		uint64_t modifier;
		int error;
	} cases[] = {
		{ NULL, 16, DRM_FORMAT_MOD_LINEAR, 0 },
		{ "pitch_align=256", 16, DRM_FORMAT_MOD_LINEAR, -EOPNOTSUPP },
		{ "pitch_align=256", 64, DRM_FORMAT_MOD_LINEAR, 0 },
		{ "linear_import=no", 64, DRM_FORMAT_MOD_LINEAR, -EOPNOTSUPP },
		{ "linear_import=no", 64, STILE_SWGPU_MOD_TILED_ROWS, 0 },
	};
	struct stile_image *image =
		create_on(device, DRM_FORMAT_ARGB8888, cases[_i].width, 8, cases[_i].modifier);
	struct stile_device *other = other_device(cases[_i].options);
	ck_assert_int_eq(stile_swgpu_list_fill(list, image, 0, NULL, 1), cases[_i].error);
	ck_assert_uint_eq(list->count, cases[_i].error == 0);
	ck_assert_uint_eq(list->use_count, cases[_i].error == 0);
	close_other(other);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: a device that does not write to memory of others writes. */
START_TEST(image_of_another_device_may_be_read_only) {
	struct stile_image *image = create(DRM_FORMAT_R8, 16, 8);
	struct stile_device *other = other_device("write_import=no");
	uint8_t pixels[128];
	CHECK_REFUSED(stile_swgpu_list_fill(list, image, 0, NULL, 1), -EACCES);
	CHECK_REFUSED(stile_swgpu_list_fill_buffer(list, stile_image_get_buffer(image, 0), 0, 4, 1),
		-EACCES);
	ck_assert_int_eq(stile_swgpu_list_download(list, image, 0, pixels, 16), 0);
	close_other(other);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: rights looked at in the memory, which another descriptor allows to be written. */
START_TEST(rights_are_those_of_the_image) {
	struct stile_image *image = create(DRM_FORMAT_R8, 16, 8), *reader;
	struct stile_image_info info = { .size = sizeof(info) };
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	int writable = info.planes[0].fd;
	info.planes[0].fd = memory_reopen(writable, O_RDONLY);
	info.usage = STILE_USAGE_READ;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &reader), 0);
	ck_assert_ptr_eq(stile_image_get_buffer(reader, 0), stile_image_get_buffer(image, 0));
	CHECK_REFUSED(stile_swgpu_list_fill(list, reader, 0, NULL, 1), -EACCES);
	ck_assert_int_eq(stile_swgpu_list_copy(list, reader, image), 0);
	close(writable);
	close(info.planes[0].fd);
	stile_image_unref(reader);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: the refusal comes with the submission only; what was recorded before is lost. */
START_TEST(memory_that_stays_where_the_device_cannot_reach_is_ebusy) {
	struct stile_image *image = create(DRM_FORMAT_R8, 16, 8);
	ck_assert_int_eq(stile_swgpu_list_fill(list, image, 0, NULL, 1), 0);
	ck_assert_int_eq(execute(), 1);
	int fd;
	ck_assert_int_eq(stile_buffer_export_fd(stile_image_get_buffer(image, 0), BOTH, &fd), 0);
	struct stile_device *other = other_device("address_bits=32");
	CHECK_REFUSED(stile_swgpu_list_fill(list, image, 0, NULL, 2), -EBUSY);
	close_other(other);
	close(fd);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: a lost device that goes on recording work for memory. */
START_TEST(lost_device_is_eio) {
	make_objects();
	const struct stile_swgpu_composite composite = over(argb, red);
	const struct stile_swgpu_strided copy = rows_of(buffer, buffer);
	uint8_t pixels[64];
	ck_assert_int_eq(stile_swgpu_lose(device), 0);
	CHECK_REFUSED(stile_swgpu_list_fill(list, argb, 0, NULL, 1), -EIO);
	CHECK_REFUSED(stile_swgpu_list_copy(list, argb, argb), -EIO);
	CHECK_REFUSED(stile_swgpu_list_upload(list, argb, 0, pixels, 64), -EIO);
	CHECK_REFUSED(stile_swgpu_list_download(list, argb, 0, pixels, 64), -EIO);
	CHECK_REFUSED(stile_swgpu_list_composite(list, &composite), -EIO);
	CHECK_REFUSED(
		stile_swgpu_list_convert(list, yuv, argb, STILE_SWGPU_BT601, STILE_SWGPU_FULL),
		-EIO);
	CHECK_REFUSED(stile_swgpu_list_kernel(list, &argb, 1, do_nothing, NULL), -EIO);
	CHECK_REFUSED(stile_swgpu_list_fill_buffer(list, buffer, 0, 4, 1), -EIO);
	struct stile_swgpu_strided apart = copy;
	apart.to_offset = PAGE;
	CHECK_REFUSED(stile_swgpu_list_copy_buffer(list, &apart), -EIO);
	drop_objects();
}
END_TEST

/* ---- What a list keeps ----------------------------------------------------------------------- */

static uint32_t image_refs(const struct stile_image *image) {
	return __atomic_load_n(&image->refs, __ATOMIC_RELAXED);
}

/* Wrong code: an image that goes before the list is executed; one that is kept for ever. */
START_TEST(list_keeps_images_and_buffers_until_it_is_done) {
	make_objects();
	const struct stile_swgpu_composite composite = over(argb, red);
	ck_assert_int_eq(stile_swgpu_list_composite(list, &composite), 0);
	ck_assert_int_eq(stile_swgpu_list_fill_buffer(list, buffer, 0, 4, 1), 0);
	ck_assert_uint_gt(image_refs(argb), 1);
	ck_assert_uint_gt(image_refs(red), 1);
	ck_assert_uint_gt(__atomic_load_n(&buffer->refs, __ATOMIC_RELAXED), 1);
	if (_i == 0) {
		stile_swgpu_list_destroy(list);
		list = NULL;
	} else {
		/* Nobody but the list has them while it is executed. */
		struct stile_image *gone = create(DRM_FORMAT_ARGB8888, 600, 600);
		ck_assert_int_eq(stile_swgpu_list_fill(list, gone, 0, NULL, 0x01020304), 0);
		stile_image_unref(gone);
		ck_assert_int_eq(execute(), 1);
	}
	ck_assert_uint_eq(image_refs(argb), 1);
	ck_assert_uint_eq(image_refs(red), 1);
	ck_assert_uint_eq(__atomic_load_n(&buffer->refs, __ATOMIC_RELAXED), 1);
	drop_objects();
}
END_TEST

/* Wrong code: a buffer per command; a writer that counts as a reader. */
START_TEST(each_buffer_is_there_once_with_all_that_is_done_to_it) {
	make_objects();
	uint8_t pixels[64];
	stile_swgpu_list_destroy(list);
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	ck_assert_int_eq(stile_swgpu_list_download(list, yuv, 0, pixels, 64), 0);
	ck_assert_int_eq(stile_swgpu_list_download(list, yuv, 1, pixels, 64), 0);
	ck_assert_uint_eq(list->use_count, 1);
	ck_assert_ptr_eq(list->uses[0].buffer, stile_image_get_buffer(yuv, 0));
	ck_assert_uint_eq(list->uses[0].usage, STILE_USAGE_READ);
	ck_assert_int_eq(stile_swgpu_list_fill(list, yuv, 1, NULL, 1), 0);
	ck_assert_uint_eq(list->use_count, 1);
	ck_assert_uint_eq(list->uses[0].usage, BOTH);
	ck_assert_int_eq(stile_swgpu_list_fill(list, red, 0, NULL, 1), 0);
	ck_assert_uint_eq(list->use_count, 2);
	ck_assert_uint_eq(list->uses[1].usage, STILE_USAGE_WRITE);
	ck_assert_uint_eq(list->count, 4);
	drop_objects();
}
END_TEST

/* ---- Stopping, and running out of memory ------------------------------------------------------ */

enum { COMMANDS = 12 };

/* One of each sort, on these pictures; the n-th. */
static int record_one(int n, struct picture *pictures, struct stile_buffer *bytes, uint8_t *pixels,
	uint32_t *user, stile_swgpu_kernel_fn fn) {
	struct stile_image *tiled = pictures[0].image, *columns = pictures[1].image;
	struct stile_image *nv12 = pictures[2].image, *images[2] = { tiled, columns };
	struct stile_swgpu_composite composite = over(tiled, columns);
	struct stile_swgpu_strided copy = rows_of(bytes, bytes);
	switch (n) {
	case 0:
		return stile_swgpu_list_fill(list, tiled, 0, NULL, 0x11223344);
	case 1:
		return stile_swgpu_list_copy(list, tiled, columns);
	case 2:
		return stile_swgpu_list_upload(list, tiled, 0, pixels, 4 * 64);
	case 3:
		return stile_swgpu_list_download(list, columns, 0, pixels, 4 * 64);
	case 4:
		return stile_swgpu_list_composite(list, &composite);
	case 5:
		composite.source = (struct stile_swgpu_rect){ 0, 0, 7, 7 };
		return stile_swgpu_list_composite(list, &composite);
	case 6:
		return stile_swgpu_list_convert(
			list, nv12, columns, STILE_SWGPU_BT2020, STILE_SWGPU_LIMITED);
	case 7:
		return stile_swgpu_list_kernel(list, images, 2, fn, user);
	case 8:
		return stile_swgpu_list_fill_buffer(list, bytes, 0, PAGE, 0x11223344);
	case 9:
		copy.to_offset = PAGE;
		return stile_swgpu_list_copy_buffer(list, &copy);
	case 10:
		return stile_swgpu_list_fill_address(list, 0x1000, 1, 1);
	default:
		return stile_swgpu_list_copy_address(list, 0x1000, 0x2000, 1);
	}
}

static void create_pictures(struct picture pictures[3], uint64_t *seed) {
	static const struct picture_info infos[] = {
		{ DRM_FORMAT_ARGB8888, 64, 64, STILE_SWGPU_MOD_TILED_ROWS, false },
		{ DRM_FORMAT_ARGB8888, 64, 64, STILE_SWGPU_MOD_TILED_COLUMNS, false },
		{ DRM_FORMAT_NV12, 64, 64, STILE_SWGPU_MOD_TILED_ROWS, false },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(infos); i++) {
		pictures[i] = picture_make(device, &infos[i], seed);
	}
}

static void destroy_pictures(struct picture pictures[3]) {
	for (size_t i = 0; i < 3; i++) {
		picture_destroy(&pictures[i]);
	}
}

/* As a submission does: the list may be executed. */
static void hold_uses(void) {
	for (size_t i = 0; i < list->use_count; i++) {
		struct list_use *use = &list->uses[i];
		struct stile_resv *resv = stile_buffer_get_resv(use->buffer);
		ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
		ck_assert_int_eq(bo_map(use->bo), 0);
		bo_hold(use->bo, &use->hold);
		stile_resv_unlock(resv);
	}
}

/* Wrong code: a long command that cannot be stopped; one that begins all the same. */
START_TEST(command_that_is_stopped_does_nothing) {
	uint64_t seed = runner_seed();
	static uint8_t pixels[64 * 64 * 4];
	const uint32_t stop = 1;
	struct picture pictures[3];
	create_pictures(pictures, &seed);
	buffer = create_buffer(2 * PAGE);
	ck_assert_int_eq(record_one(_i, pictures, buffer, pixels, NULL, do_nothing), 0);
	hold_uses();
	struct bus_fault fault;
	ck_assert_int_eq(list_execute(list, list->first, &stop, &fault), -ECANCELED);
	ck_assert_int_eq(fault.reason, STILE_SWGPU_FAULT_NONE);
	stile_swgpu_list_destroy(list);
	list = NULL;
	for (size_t i = 0; i < ARRAY_LENGTH(pictures); i++) {
		picture_check(&pictures[i], "after a command that was stopped");
	}
	stile_buffer_unref(buffer);
	destroy_pictures(pictures);
}
END_TEST

static int stop_at_row_three(void *user, const struct stile_swgpu_row *rows, uint32_t y) {
	(void)rows;
	__atomic_store_n((uint32_t *)user, y == 3, __ATOMIC_RELAXED);
	return y > 3 ? -EIO : 0;
}

/* Wrong code: a kernel whose time is over is called for the rest of the rows. */
START_TEST(kernel_is_stopped_between_rows) {
	struct stile_image *image = create(DRM_FORMAT_R8, 4, 100);
	uint32_t stop = 0;
	ck_assert_int_eq(stile_swgpu_list_kernel(list, &image, 1, stop_at_row_three, &stop), 0);
	hold_uses();
	struct bus_fault fault;
	ck_assert_int_eq(list_execute(list, list->first, &stop, &fault), -ECANCELED);
	stile_swgpu_list_destroy(list);
	list = NULL;
	stile_image_unref(image);
}
END_TEST

struct attempt {
	int command;
	struct picture pictures[3];
	struct stile_buffer *buffer;
	uint8_t *pixels;
	struct state before;
	const uint32_t *stop;
};

static int attempt_record(void *user) {
	struct attempt *attempt = user;
	attempt->before = state_of_list();
	return record_one(attempt->command, attempt->pictures, attempt->buffer, attempt->pixels,
		NULL, do_nothing);
}

/* New objects each time: those that the device knows cost nothing any more. */
static void after_record(void *user, int ret) {
	struct attempt *attempt = user;
	uint64_t seed = 1;
	if (ret < 0) {
		check_unchanged(&attempt->before);
	}
	stile_swgpu_list_destroy(list);
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	destroy_pictures(attempt->pictures);
	stile_buffer_unref(attempt->buffer);
	create_pictures(attempt->pictures, &seed);
	attempt->buffer = create_buffer(2 * PAGE);
}

static const int only_enomem[] = { -ENOMEM, 0 };

static struct attempt attempt_begin(int command) {
	static uint8_t pixels[64 * 64 * 4];
	uint64_t seed = runner_seed();
	struct attempt attempt = { .command = command, .pixels = pixels };
	create_pictures(attempt.pictures, &seed);
	attempt.buffer = create_buffer(2 * PAGE);
	return attempt;
}

static void attempt_end(struct attempt *attempt) {
	destroy_pictures(attempt->pictures);
	stile_buffer_unref(attempt->buffer);
}

/* Wrong code: a list with half a command; an image that is kept by nobody. */
START_TEST(recording_without_memory_changes_nothing) {
	struct attempt attempt = attempt_begin(_i);
	ck_assert_uint_gt(failing_sweep(attempt_record, after_record, &attempt, only_enomem), 0);
	attempt_end(&attempt);
}
END_TEST

static int attempt_create(void *user) {
	return stile_swgpu_list_create(device, user);
}

static void after_create(void *user, int ret) {
	struct stile_swgpu_list **out = user;
	ck_assert_int_eq(*out == NULL, ret < 0);
	stile_swgpu_list_destroy(*out);
}

START_TEST(list_without_memory_is_enomem) {
	struct stile_swgpu_list *out;
	ck_assert_uint_eq(failing_sweep(attempt_create, after_create, &out, only_enomem), 1);
}
END_TEST

static int attempt_execute(void *user) {
	const struct attempt *attempt = user;
	struct bus_fault fault;
	return list_execute(list, list->first, attempt->stop, &fault);
}

static void after_execute(void *user, int ret) {
	(void)user;
	(void)ret;
}

/* Wrong code: a command without its scratch memory goes on, or leaves memory behind. */
START_TEST(executing_without_memory_is_enomem) {
	static const struct {
		int command;
		unsigned calls;
	} cases[] = { { 0, 0 }, { 1, 1 }, { 2, 0 }, { 3, 0 }, { 4, 2 }, { 5, 2 }, { 6, 3 },
		{ 7, 2 } };
	const uint32_t stop = 0;
	struct attempt attempt = attempt_begin(cases[_i].command);
	attempt.stop = &stop;
	ck_assert_int_eq(attempt_record(&attempt), 0);
	hold_uses();
	ck_assert_uint_eq(failing_sweep(attempt_execute, after_execute, &attempt, only_enomem),
		cases[_i].calls);
	stile_swgpu_list_destroy(list);
	list = NULL;
	attempt_end(&attempt);
}
END_TEST

static Suite *make(void) {
	Suite *suite = suite_create("list");

	TCase *refused = ledger_tcase_create("refused");
	tcase_add_checked_fixture(refused, setup, teardown);
	tcase_add_test(refused, lists_are_of_swgpu_devices);
	tcase_add_test(refused, fill_refuses_what_is_not_within_the_plane);
	tcase_add_test(refused, copies_refuse_what_does_not_fit);
	tcase_add_test(refused, composite_refuses_what_makes_no_sense);
	tcase_add_test(refused, composite_refuses_images_that_overlap_in_one_memory);
	tcase_add_test(refused, convert_refuses_what_it_cannot_convert);
	tcase_add_test(refused, kernel_refuses_images_of_different_extents);
	tcase_add_test(refused, fill_buffer_refuses_what_is_not_within);
	tcase_add_test(refused, copy_buffer_refuses_what_is_not_within);
	tcase_add_test(refused, copy_within_a_buffer_is_refused_exactly_if_bytes_overlap);
	tcase_add_test(refused, addresses_must_not_wrap);
	suite_add_tcase(suite, refused);

	TCase *others = ledger_tcase_create("others");
	tcase_add_checked_fixture(others, setup, teardown);
	tcase_add_loop_test(others, image_of_another_device_must_meet_the_limits, 0, 5);
	tcase_add_test(others, image_of_another_device_may_be_read_only);
	tcase_add_test(others, rights_are_those_of_the_image);
	tcase_add_test(others, memory_that_stays_where_the_device_cannot_reach_is_ebusy);
	tcase_add_test(others, lost_device_is_eio);
	suite_add_tcase(suite, others);

	TCase *keeps = ledger_tcase_create("keeps");
	tcase_add_checked_fixture(keeps, setup, teardown);
	tcase_add_loop_test(keeps, list_keeps_images_and_buffers_until_it_is_done, 0, 2);
	tcase_add_test(keeps, each_buffer_is_there_once_with_all_that_is_done_to_it);
	suite_add_tcase(suite, keeps);

	TCase *ends = ledger_tcase_create("ends");
	tcase_add_checked_fixture(ends, setup, teardown);
	tcase_add_loop_test(ends, command_that_is_stopped_does_nothing, 0, COMMANDS);
	tcase_add_test(ends, kernel_is_stopped_between_rows);
	tcase_add_loop_test(ends, recording_without_memory_changes_nothing, 0, COMMANDS);
	tcase_add_test(ends, list_without_memory_is_enomem);
	tcase_add_loop_test(ends, executing_without_memory_is_enomem, 0, 8);
	suite_add_tcase(suite, ends);

	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make, NULL);
}
