/* SPDX-License-Identifier: MIT */
/* Images whose layout is not just linear: tiles, metadata, and what devices need in addition. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <stile/device.h>
#include <stile/image.h>
#include <stile/swgpu_modifier.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"
#include "src/image.h"
#include "src/macros.h"

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
};

#define XRGB DRM_FORMAT_XRGB8888
#define NV12 DRM_FORMAT_NV12
#define LINEAR DRM_FORMAT_MOD_LINEAR
#define TILED_ROWS STILE_SWGPU_MOD_TILED_ROWS
#define TILED_COLUMNS STILE_SWGPU_MOD_TILED_COLUMNS

static struct stile_device *device;
static int messages;

static void count_message(void *user, enum stile_log_level level, const char *text) {
	(void)level;
	(void)text;
	++*(int *)user;
}

/* Each test opens its own. */
static void open_device(const char *options) {
	messages = 0;
	struct stile_device_info info = {
		.size = sizeof(info),
		.log = count_message,
		.log_user = &messages,
		.options = options,
	};
	ck_assert_int_eq(stile_device_open("swgpu", &info, &device), 0);
}

static void teardown(void) {
	stile_device_destroy(device);
	device = NULL;
}

static int open_memory(uint64_t bytes) {
	return memory_create(bytes, F_SEAL_SHRINK);
}

static struct stile_image_info picture(
	uint32_t fourcc, uint32_t width, uint32_t height, uint64_t modifier) {
	return (struct stile_image_info){
		.size = sizeof(struct stile_image_info),
		.width = width,
		.height = height,
		.fourcc = fourcc,
		.usage = BOTH,
		.modifier = modifier,
	};
}

static struct stile_image *create(
	uint32_t fourcc, uint32_t width, uint32_t height, uint64_t modifier) {
	struct stile_image_info info = picture(fourcc, width, height, modifier);
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	return image;
}

/* ---- What is made -------------------------------------------------------------------------- */

struct created_case {
	const char *options; /* of the device */
	uint32_t fourcc, width, height;
	uint64_t modifier;
	uint32_t plane_count;
	uint32_t pitches[STILE_MAX_PLANES];
	uint64_t offsets[STILE_MAX_PLANES];
	uint64_t bytes;
};

/* By hand. Wrong code: what the device needs of images not kept by those that it makes. */
static const struct created_case created[] = {
	{ NULL, XRGB, 100, 50, TILED_ROWS, 1, { 512 }, { 0 }, 28672 },
	{ NULL, NV12, 302, 102, TILED_ROWS, 2, { 512, 512 }, { 0, 53248 }, 81920 },
	{ NULL, XRGB, 100, 50, TILED_COLUMNS, 2, { 512, 64 }, { 0, 32768 }, 36864 },
	{ NULL, NV12, 302, 102, TILED_COLUMNS, 4, { 384, 384, 64, 64 }, { 0, 49152, 73728, 73984 },
		77824 },
	{ "pitch_align=1K", XRGB, 100, 50, LINEAR, 1, { 1024 }, { 0 }, 53248 },
	{ "pitch_align=1K", XRGB, 100, 50, TILED_COLUMNS, 2, { 1024, 64 }, { 0, 65536 }, 69632 },
	{ "height_align=32", NV12, 100, 50, LINEAR, 2, { 128, 128 }, { 0, 8192 }, 12288 },
	{ "height_align=32", XRGB, 100, 50, TILED_ROWS, 1, { 512 }, { 0 }, 32768 },
	{ "linear_import=no", XRGB, 100, 50, LINEAR, 1, { 448 }, { 0 }, 24576 },
};

START_TEST(layout_is_what_modifier_and_device_say) {
	const struct created_case *c = &created[_i];
	open_device(c->options);
	struct stile_image *image = create(c->fourcc, c->width, c->height, c->modifier);
	const struct stile_image_info *info = stile_image_get_info(image);
	ck_assert_uint_eq(info->modifier, c->modifier);
	ck_assert_uint_eq(info->plane_count, c->plane_count);
	for (uint32_t i = 0; i < c->plane_count; i++) {
		ck_assert_uint_eq(info->planes[i].pitch, c->pitches[i]);
		ck_assert_uint_eq(info->planes[i].offset, c->offsets[i]);
		ck_assert_int_eq(info->planes[i].fd, -1);
		ck_assert_ptr_eq(
			stile_image_get_buffer(image, i), stile_image_get_buffer(image, 0));
	}
	ck_assert_uint_eq(stile_buffer_get_bytes(stile_image_get_buffer(image, 0)), c->bytes);
	/* What a device makes, it takes, but where it takes none of that layout. */
	struct stile_image_info out = { .size = sizeof(out) };
	ck_assert_int_eq(stile_image_export(image, &out), 0);
	bool taken = c->modifier != LINEAR || c->options == NULL ||
		strcmp(c->options, "linear_import=no") != 0;
	ck_assert_int_eq(stile_image_check(device, &out, NULL), taken ? 0 : -EOPNOTSUPP);
	for (uint32_t i = 0; i < out.plane_count; i++) {
		close(out.planes[i].fd);
	}
	stile_image_unref(image);
}
END_TEST

static void check_plane(const struct stile_image *image, uint32_t number,
	const struct image_plane *wanted, const struct image_meta *meta) {
	struct image_plane plane;
	ck_assert_int_eq(image_get_plane(image, number, &plane), 0);
	ck_assert_uint_eq(plane.sample_bytes, wanted->sample_bytes);
	ck_assert_uint_eq(plane.width, wanted->width);
	ck_assert_uint_eq(plane.height, wanted->height);
	ck_assert_uint_eq(plane.offset, wanted->offset);
	ck_assert_uint_eq(plane.pitch, wanted->pitch);
	ck_assert_uint_eq(plane.bytes, wanted->bytes);
	ck_assert_int_eq(plane.tiling == NULL, stile_image_get_info(image)->modifier == LINEAR);
	ck_assert_int_eq(plane.has_meta, meta != NULL);
	if (meta != NULL) {
		ck_assert_uint_eq(plane.tiling->modifier, TILED_COLUMNS);
		ck_assert_uint_eq(plane.meta.plane, meta->plane);
		ck_assert_uint_eq(plane.meta.offset, meta->offset);
		ck_assert_uint_eq(plane.meta.pitch, meta->pitch);
		ck_assert_uint_eq(plane.meta.bytes, meta->bytes);
	}
}

/* Wrong code: metadata of the other plane, or an end that leaves a row of tiles out. */
START_TEST(plane_is_where_commands_find_it) {
	open_device(NULL);
	struct image_plane plane;
	struct stile_image *linear = create(NV12, 302, 102, LINEAR);
	check_plane(linear, 0, &(struct image_plane){ 1, 302, 102, 0, 320, 32640, .meta = { 0 } },
		NULL);
	check_plane(linear, 1,
		&(struct image_plane){ 2, 151, 51, 33280, 320, 16320, .meta = { 0 } }, NULL);
	ck_assert_int_eq(image_get_plane(linear, 2, &plane), -EINVAL);

	struct stile_image *tiled = create(NV12, 302, 102, TILED_COLUMNS);
	check_plane(tiled, 0, &(struct image_plane){ 1, 302, 102, 0, 384, 49152, .meta = { 0 } },
		&(struct image_meta){ 2, 73728, 64, 256 });
	check_plane(tiled, 1, &(struct image_plane){ 2, 151, 51, 49152, 384, 24576, .meta = { 0 } },
		&(struct image_meta){ 3, 73984, 64, 128 });
	/* It has four, but metadata is not for commands. */
	ck_assert_int_eq(image_get_plane(tiled, 2, &plane), -EINVAL);
	ck_assert_int_eq(image_get_plane(tiled, UINT32_MAX, &plane), -EINVAL);
	stile_image_unref(linear);
	stile_image_unref(tiled);
}
END_TEST

/* ---- What is taken ------------------------------------------------------------------------- */

/* One picture for each layout, as it is described before one thing goes wrong. */
static struct stile_image_info describe(uint64_t modifier, uint32_t fourcc, int fd) {
	static const struct {
		uint64_t modifier;
		uint32_t fourcc, width, height, plane_count;
		uint32_t pitches[STILE_MAX_PLANES];
		uint64_t offsets[STILE_MAX_PLANES];
	} pictures[] = {
		{ LINEAR, XRGB, 100, 100, 1, { 448 }, { 0 } },
		{ LINEAR, NV12, 64, 64, 2, { 64, 64 }, { 0, 4096 } },
		{ TILED_ROWS, XRGB, 100, 50, 1, { 512 }, { 0 } },
		{ TILED_COLUMNS, XRGB, 100, 50, 2, { 512, 64 }, { 0, 32768 } },
		{ TILED_COLUMNS, NV12, 302, 102, 4, { 384, 384, 64, 64 },
			{ 0, 49152, 73728, 73984 } },
	};
	size_t n = 0;
	while (pictures[n].modifier != modifier || pictures[n].fourcc != fourcc) {
		n++;
		ck_assert_uint_lt(n, ARRAY_LENGTH(pictures));
	}
	struct stile_image_info info =
		picture(fourcc, pictures[n].width, pictures[n].height, modifier);
	info.plane_count = pictures[n].plane_count;
	for (uint32_t i = 0; i < info.plane_count; i++) {
		info.planes[i] = (struct stile_image_plane){ fd, pictures[n].pitches[i],
			pictures[n].offsets[i] };
	}
	return info;
}

/* What those take. */
enum {
	XRGB_BYTES = 44800,
	NV12_BYTES = 6144,
	ROWS_BYTES = 28672,
	COLUMNS_BYTES = 32896,
	NV12_COLUMNS_BYTES = 74112,
};

/* One more than an int can say. */
#define INT_BYTES (UINT64_C(1) << 31)

/* The thing. */
enum field { NOTHING, USAGE, MODIFIER, PLANE_COUNT, PITCH, OFFSET, PITCH1, OFFSET1, SWAPPED };

static void set(struct stile_image_info *info, enum field field, uint64_t value) {
	switch (field) {
	case NOTHING:
		break;
	case USAGE:
		info->usage = (uint32_t)value;
		break;
	case MODIFIER:
		info->modifier = value;
		break;
	case PLANE_COUNT:
		info->plane_count = (uint32_t)value;
		break;
	case PITCH:
	case PITCH1:
		info->planes[field == PITCH1].pitch = (uint32_t)value;
		break;
	case OFFSET:
	case OFFSET1:
		info->planes[field == OFFSET1].offset = value;
		break;
	case SWAPPED: /* metadata first, samples behind it */
		info->planes[0].offset = value;
		info->planes[1].offset = 0;
		break;
	}
}

struct layout_case {
	const char *what;
	const char *options; /* of the device */
	uint64_t modifier;
	uint32_t fourcc;
	uint64_t bytes;
	enum field set;
	uint64_t value;
	int ret;
	enum stile_reason reason;
	uint32_t plane;
	uint64_t needed, actual;
	const char *says[2];
};

#define TOP (UINT64_MAX - 4095)

/* Wrong code: any of these checks left out, or done as for LINEAR; metadata taken for samples. */
static const struct layout_case bad_layouts[] = {
	{ "rows: short", NULL, TILED_ROWS, XRGB, ROWS_BYTES - 1, NOTHING, 0, -ERANGE,
		STILE_REASON_BOUNDS, 0, ROWS_BYTES, ROWS_BYTES - 1, { "512 x 56", "TILED_ROWS" } },
	{ "rows: pitch too small", NULL, TILED_ROWS, XRGB, ROWS_BYTES, PITCH, 256, -EINVAL,
		STILE_REASON_PITCH, 0, 512, 256, { "100 pixels", "tiles of TILED_ROWS" } },
	{ "rows: large enough for the pixels", NULL, TILED_ROWS, XRGB, ROWS_BYTES, PITCH, 448,
		-EINVAL, STILE_REASON_PITCH, 0, 512, 448, { "448" } },
	{ "rows: half a tile", NULL, TILED_ROWS, XRGB, 2 * ROWS_BYTES, PITCH, 768, -EINVAL,
		STILE_REASON_PITCH, 0, 512, 768, { "768", "multiple of 512" } },
	{ "rows: offset", NULL, TILED_ROWS, XRGB, 2 * ROWS_BYTES, OFFSET, 64, -EINVAL,
		STILE_REASON_OFFSET, 0, 4096, 64, { "offset 64", "4096" } },
	{ "rows: offset at the end", NULL, TILED_ROWS, XRGB, ROWS_BYTES, OFFSET, 4096, -ERANGE,
		STILE_REASON_BOUNDS, 0, ROWS_BYTES + 4096, ROWS_BYTES, { "32768", "28672" } },
	{ "rows: overflow", NULL, TILED_ROWS, XRGB, ROWS_BYTES, OFFSET, TOP, -ERANGE,
		STILE_REASON_BOUNDS, 0, UINT64_MAX, ROWS_BYTES, { "64 bits" } },
	{ "rows: behind an int", NULL, TILED_ROWS, XRGB, INT_BYTES + ROWS_BYTES, OFFSET, INT_BYTES,
		-ERANGE, STILE_REASON_BOUNDS, 0, INT32_MAX, INT_BYTES + ROWS_BYTES,
		{ "2147512320", "2147483647" } },
	{ "rows: metadata", NULL, TILED_ROWS, XRGB, ROWS_BYTES, PLANE_COUNT, 2, -EINVAL,
		STILE_REASON_PLANE_COUNT, 0, 1, 2, { "XRGB8888 in TILED_ROWS" } },
	{ "columns: no metadata", NULL, TILED_COLUMNS, XRGB, COLUMNS_BYTES, PLANE_COUNT, 1, -EINVAL,
		STILE_REASON_PLANE_COUNT, 0, 2, 1, { "XRGB8888 in TILED_COLUMNS" } },
	{ "columns: samples reach beyond", NULL, TILED_COLUMNS, XRGB, COLUMNS_BYTES, PITCH, 640,
		-ERANGE, STILE_REASON_BOUNDS, 0, 40960, COLUMNS_BYTES, { "640 x 64", "40960" } },
	{ "columns: metadata short", NULL, TILED_COLUMNS, XRGB, COLUMNS_BYTES - 1, NOTHING, 0,
		-ERANGE, STILE_REASON_BOUNDS, 1, COLUMNS_BYTES, COLUMNS_BYTES - 1,
		{ "64 x 2", "metadata of TILED_COLUMNS" } },
	{ "columns: metadata without pitch", NULL, TILED_COLUMNS, XRGB, COLUMNS_BYTES, PITCH1, 0,
		-EINVAL, STILE_REASON_PITCH, 1, 32, 0, { "metadata of TILED_COLUMNS" } },
	{ "columns: metadata's pitch", NULL, TILED_COLUMNS, XRGB, 2 * COLUMNS_BYTES, PITCH1, 96,
		-EINVAL, STILE_REASON_PITCH, 1, 64, 96, { "plane 1: pitch 96" } },
	{ "columns: metadata's offset", NULL, TILED_COLUMNS, XRGB, 2 * COLUMNS_BYTES, OFFSET1,
		32800, -EINVAL, STILE_REASON_OFFSET, 1, 64, 32800, { "plane 1: offset 32800" } },
	{ "columns: metadata past the end", NULL, TILED_COLUMNS, XRGB, COLUMNS_BYTES, OFFSET1,
		65536, -ERANGE, STILE_REASON_BOUNDS, 1, 65664, COLUMNS_BYTES, { "65664" } },
	{ "columns: metadata's overflow", NULL, TILED_COLUMNS, XRGB, COLUMNS_BYTES, OFFSET1,
		UINT64_MAX - 63, -ERANGE, STILE_REASON_BOUNDS, 1, UINT64_MAX, COLUMNS_BYTES,
		{ "plane 1", "64 bits" } },
	{ "columns: half of the metadata", NULL, TILED_COLUMNS, NV12, NV12_COLUMNS_BYTES,
		PLANE_COUNT, 3, -EINVAL, STILE_REASON_PLANE_COUNT, 0, 4, 3,
		{ "NV12 in TILED_COLUMNS" } },
	{ "columns: chroma's metadata short", NULL, TILED_COLUMNS, NV12, NV12_COLUMNS_BYTES - 1,
		NOTHING, 0, -ERANGE, STILE_REASON_BOUNDS, 3, NV12_COLUMNS_BYTES,
		NV12_COLUMNS_BYTES - 1, { "plane 3", "74112" } },
	{ "a modifier of nobody", NULL, LINEAR, XRGB, XRGB_BYTES, MODIFIER, TILED_COLUMNS + 1,
		-EOPNOTSUPP, STILE_REASON_MODIFIER, 0, LINEAR, TILED_COLUMNS + 1,
		{ "0x5f00000000000003" } },

	{ "pitch", "pitch_align=256", LINEAR, XRGB, XRGB_BYTES, NOTHING, 0, -EINVAL,
		STILE_REASON_PITCH, 0, 256, 448, { "448", "256" } },
	{ "pitch of tiles", "pitch_align=1K", TILED_ROWS, XRGB, ROWS_BYTES, NOTHING, 0, -EINVAL,
		STILE_REASON_PITCH, 0, 1024, 512, { "512", "1024" } },
	{ "height", "height_align=16", LINEAR, XRGB, 50175, NOTHING, 0, -ERANGE,
		STILE_REASON_BOUNDS, 0, 50176, 50175, { "448 x 112", "multiple of 16" } },
	{ "height of tiles", "height_align=16", TILED_ROWS, XRGB, ROWS_BYTES, NOTHING, 0, -ERANGE,
		STILE_REASON_BOUNDS, 0, 32768, ROWS_BYTES, { "512 x 64", "multiple of 16" } },
	{ "height of the second plane", "height_align=64", LINEAR, NV12, NV12_BYTES, NOTHING, 0,
		-ERANGE, STILE_REASON_BOUNDS, 1, 8192, NV12_BYTES, { "64 x 64", "6144" } },
	{ "no linear", "linear_import=no", LINEAR, XRGB, XRGB_BYTES, NOTHING, 0, -EOPNOTSUPP,
		STILE_REASON_MODIFIER, 0, TILED_ROWS, LINEAR,
		{ "modifier 0x0", "0x5f00000000000001" } },
	{ "to be written", "write_import=no", LINEAR, XRGB, XRGB_BYTES, USAGE, WRITE, -EACCES,
		STILE_REASON_FD_ACCESS, 0, WRITE, READ, { "0x2", "does not write" } },
	{ "for both", "write_import=no", TILED_ROWS, XRGB, ROWS_BYTES, USAGE, BOTH, -EACCES,
		STILE_REASON_FD_ACCESS, 0, BOTH, READ, { "0x3", "does not write" } },
};

static void check_layout_report(const struct layout_case *c, const struct stile_report *report) {
	ck_assert_msg(report->reason == c->reason, "%s: reason %d, %s", c->what,
		(int)report->reason, report->text);
	ck_assert_msg(report->error == c->ret, "%s: error %d", c->what, report->error);
	ck_assert_msg(report->plane == c->plane, "%s: plane %u", c->what, report->plane);
	ck_assert_msg(report->needed == c->needed && report->actual == c->actual,
		"%s: needed %ju, found %ju", c->what, (uintmax_t)report->needed,
		(uintmax_t)report->actual);
	for (size_t i = 0; i < ARRAY_LENGTH(c->says) && c->says[i] != NULL; i++) {
		ck_assert_msg(strstr(report->text, c->says[i]) != NULL, "%s: '%s' without '%s'",
			c->what, report->text, c->says[i]);
	}
}

START_TEST(bad_layout_is_refused_with_the_numbers) {
	const struct layout_case *c = &bad_layouts[_i];
	open_device(c->options);
	int fd = open_memory(c->bytes);
	struct stile_image_info info = describe(c->modifier, c->fourcc, fd);
	set(&info, c->set, c->value);
	struct stile_report report = { .size = sizeof(report) };
	int ret = stile_image_check(device, &info, &report);
	ck_assert_msg(ret == c->ret, "%s: %d instead of %d", c->what, ret, c->ret);
	check_layout_report(c, &report);
	report = (struct stile_report){ .size = sizeof(report) };
	struct stile_image *image = (struct stile_image *)&info;
	ck_assert_int_eq(stile_image_import(device, &info, &report, &image), c->ret);
	ck_assert_ptr_null(image);
	check_layout_report(c, &report);
	ck_assert_int_eq(messages, 1);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

/*
 * LINEAR and XRGB8888, where nothing is said. Wrong code: a bound that is one too strict; what is for
 * samples asked of metadata.
 */
static const struct layout_case good_layouts[] = {
	{ .what = "rows: just enough", .modifier = TILED_ROWS, .bytes = ROWS_BYTES },
	{ .what = "rows: more tiles across",
		.modifier = TILED_ROWS,
		.bytes = 2 * ROWS_BYTES,
		.set = PITCH,
		.value = 1024 },
	{ .what = "rows: behind others",
		.modifier = TILED_ROWS,
		.bytes = 2 * ROWS_BYTES,
		.set = OFFSET,
		.value = ROWS_BYTES },
	{ .what = "columns: just enough", .modifier = TILED_COLUMNS, .bytes = COLUMNS_BYTES },
	{ .what = "columns: metadata first",
		.modifier = TILED_COLUMNS,
		.bytes = 4096 + 32768,
		.set = SWAPPED,
		.value = 4096 },
	{ .what = "columns: more metadata",
		.modifier = TILED_COLUMNS,
		.bytes = COLUMNS_BYTES + 128,
		.set = PITCH1,
		.value = 128 },
	/* Nobody touches more rows of it. */
	{ .what = "columns: metadata up to the end of a page",
		.modifier = TILED_COLUMNS,
		.bytes = 36864,
		.set = OFFSET1,
		.value = 36864 - 128 },
	{ .what = "columns: two planes",
		.modifier = TILED_COLUMNS,
		.fourcc = NV12,
		.bytes = NV12_COLUMNS_BYTES },
	{ .what = "pitch",
		.options = "pitch_align=256",
		.bytes = 512 * 100,
		.set = PITCH,
		.value = 512 },
	{ .what = "pitch of tiles, not of metadata",
		.options = "pitch_align=512",
		.modifier = TILED_COLUMNS,
		.bytes = COLUMNS_BYTES },
	{ .what = "height", .options = "height_align=16", .bytes = 50176 },
	{ .what = "height of tiles, not of metadata",
		.options = "height_align=64",
		.modifier = TILED_COLUMNS,
		.bytes = COLUMNS_BYTES },
	{ .what = "no linear",
		.options = "linear_import=no",
		.modifier = TILED_COLUMNS,
		.bytes = COLUMNS_BYTES },
	{ .what = "to be read",
		.options = "write_import=no",
		.bytes = XRGB_BYTES,
		.set = USAGE,
		.value = READ },
};

START_TEST(good_layout_is_taken) {
	const struct layout_case *c = &good_layouts[_i];
	open_device(c->options);
	int fd = open_memory(c->bytes);
	struct stile_image_info info = describe(c->modifier, c->fourcc == 0 ? XRGB : c->fourcc, fd);
	set(&info, c->set, c->value);
	struct stile_report report = { .size = sizeof(report) };
	int ret = stile_image_check(device, &info, &report);
	ck_assert_msg(ret == 0, "%s: %d, %s", c->what, ret, report.text);
	struct stile_image *image;
	ret = stile_image_import(device, &info, &report, &image);
	ck_assert_msg(ret == 0, "%s: %d, %s", c->what, ret, report.text);
	struct image_plane plane;
	ck_assert_int_eq(image_get_plane(image, 0, &plane), 0);
	ck_assert_uint_eq(plane.offset, info.planes[0].offset);
	ck_assert_uint_eq(plane.pitch, info.planes[0].pitch);
	if (plane.has_meta) {
		const struct stile_image_plane *meta = &info.planes[plane.meta.plane];
		ck_assert_uint_eq(plane.meta.plane, info.plane_count / 2);
		ck_assert_uint_eq(plane.meta.offset, meta->offset);
		ck_assert_uint_eq(plane.meta.pitch, meta->pitch);
	}
	ck_assert_int_eq(messages, 0);
	ck_assert_int_eq(close(fd), 0);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: bounds of the samples' memory used for the metadata's. */
START_TEST(metadata_may_be_in_other_memory) {
	open_device(NULL);
	int samples = open_memory(32768), meta = open_memory(128);
	struct stile_image_info info = describe(TILED_COLUMNS, XRGB, samples);
	info.planes[1] = (struct stile_image_plane){ .fd = meta, .pitch = 64 };
	struct stile_image *image;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &image), 0);
	ck_assert_ptr_ne(stile_image_get_buffer(image, 0), stile_image_get_buffer(image, 1));
	stile_image_unref(image);
	info.planes[1].offset = 64;
	struct stile_report report = { .size = sizeof(report) };
	ck_assert_int_eq(stile_image_check(device, &info, &report), -ERANGE);
	ck_assert_uint_eq(report.plane, 1);
	ck_assert_uint_eq(report.needed, 192);
	ck_assert_uint_eq(report.actual, 128);
	close(samples);
	close(meta);
}
END_TEST

/* Wrong code: rights that the descriptor has and the device does not, and somebody writes after all. */
START_TEST(image_of_a_device_that_does_not_write_is_read_only) {
	open_device("write_import=no");
	int fd = open_memory(XRGB_BYTES);
	struct stile_image_info info = describe(LINEAR, XRGB, fd);
	info.usage = READ;
	struct stile_image *image;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &image), 0);
	struct stile_constraints wanted = { .size = sizeof(wanted), .usage = WRITE };
	struct stile_report report = { .size = sizeof(report) };
	ck_assert_int_eq(stile_image_check_constraints(image, &wanted, &report), -EACCES);
	ck_assert_int_eq(report.reason, STILE_REASON_FD_ACCESS);
	ck_assert_uint_eq(report.actual, READ);
	stile_image_unref(image);
	/* What it makes itself it writes. */
	image = create(XRGB, 4, 4, LINEAR);
	ck_assert_int_eq(stile_image_check_constraints(image, &wanted, NULL), 0);
	stile_image_unref(image);
	close(fd);
}
END_TEST

/* Wrong code: metadata that is asked for what samples need, or tiles that are not. */
START_TEST(constraints_are_about_samples) {
	static const uint64_t modifiers[] = { LINEAR, TILED_COLUMNS };
	open_device(NULL);
	struct stile_image *image = create(XRGB, 100, 50, TILED_COLUMNS);
	struct stile_constraints wanted = {
		.size = sizeof(wanted),
		.pitch_align = 512,
		.offset_align = 4096,
		.height_align = 64,
		.modifiers = modifiers,
		.modifier_count = 2,
	};
	ck_assert_int_eq(stile_image_check_constraints(image, &wanted, NULL), 0);
	struct stile_report report = { .size = sizeof(report) };
	wanted.pitch_align = 1024;
	ck_assert_int_eq(stile_image_check_constraints(image, &wanted, &report), -EINVAL);
	ck_assert_uint_eq(report.plane, 0);
	ck_assert_uint_eq(report.needed, 1024);
	ck_assert_uint_eq(report.actual, 512);
	wanted.pitch_align = 0;
	wanted.height_align = 128;
	ck_assert_int_eq(stile_image_check_constraints(image, &wanted, &report), -ERANGE);
	ck_assert_int_eq(report.reason, STILE_REASON_BOUNDS);
	ck_assert_uint_eq(report.needed, 65536);
	ck_assert_uint_eq(report.actual, 36864);
	wanted.height_align = 0;
	wanted.modifier_count = 1;
	ck_assert_int_eq(stile_image_check_constraints(image, &wanted, &report), -EOPNOTSUPP);
	ck_assert_uint_eq(report.actual, TILED_COLUMNS);
	stile_image_unref(image);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("layout");
	TCase *made = ledger_tcase_create("made");
	tcase_add_checked_fixture(made, NULL, teardown);
	tcase_add_loop_test(made, layout_is_what_modifier_and_device_say, 0, ARRAY_LENGTH(created));
	tcase_add_test(made, plane_is_where_commands_find_it);
	suite_add_tcase(s, made);

	TCase *taken = ledger_tcase_create("taken");
	tcase_add_checked_fixture(taken, NULL, teardown);
	tcase_add_loop_test(
		taken, bad_layout_is_refused_with_the_numbers, 0, ARRAY_LENGTH(bad_layouts));
	tcase_add_loop_test(taken, good_layout_is_taken, 0, ARRAY_LENGTH(good_layouts));
	tcase_add_test(taken, metadata_may_be_in_other_memory);
	tcase_add_test(taken, image_of_a_device_that_does_not_write_is_read_only);
	tcase_add_test(taken, constraints_are_about_samples);
	suite_add_tcase(s, taken);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
