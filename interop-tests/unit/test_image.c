/* SPDX-License-Identifier: MIT */
/* Images: where their planes are, and everything that is refused before a driver sees it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
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
#include "src/os.h"

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
};

static struct stile_device *device;
static int messages;

static void count_message(void *user, enum stile_log_level level, const char *text) {
	(void)level;
	ck_assert_uint_gt(strlen(text), 0);
	ck_assert_ptr_null(strchr(text, '\n'));
	++*(int *)user;
}

static void setup(void) {
	messages = 0;
	struct stile_device_info info = {
		.size = sizeof(info),
		.log = count_message,
		.log_user = &messages,
	};
	ck_assert_int_eq(stile_device_open("swgpu", &info, &device), 0);
}

static void teardown(void) {
	stile_device_destroy(device);
	device = NULL;
}

static struct stile_image_info picture(uint32_t fourcc, uint32_t width, uint32_t height) {
	return (struct stile_image_info){
		.size = sizeof(struct stile_image_info),
		.width = width,
		.height = height,
		.fourcc = fourcc,
		.usage = BOTH,
		.modifier = DRM_FORMAT_MOD_LINEAR,
	};
}

static struct stile_image *create(uint32_t fourcc, uint32_t width, uint32_t height) {
	struct stile_image_info info = picture(fourcc, width, height);
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	return image;
}

static void close_planes(struct stile_image_info *info) {
	for (uint32_t i = 0; i < info->plane_count; i++) {
		ck_assert_int_eq(close(info->planes[i].fd), 0);
	}
}

/* ---- Layout -------------------------------------------------------------------------------- */

static uint64_t align(uint64_t value, uint64_t to) {
	return (value + to - 1) / to * to;
}

/* Samples of 4 bytes for RGB and 1 for R8; NV12 is looked at by itself. */
static const struct {
	uint32_t fourcc;
	uint32_t bytes;
} simple_formats[] = {
	{ DRM_FORMAT_XRGB8888, 4 },
	{ DRM_FORMAT_ARGB8888, 4 },
	{ DRM_FORMAT_XBGR8888, 4 },
	{ DRM_FORMAT_ABGR8888, 4 },
	{ DRM_FORMAT_R8, 1 },
};

static const uint32_t extents[] = { 1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 100, 255, 641, 1366,
	1920, 4095, 16383, 16384 };

static uint64_t file_bytes(struct stile_image *image) {
	struct stile_image_info info = { .size = sizeof(info) };
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	struct stat st;
	ck_assert_int_eq(fstat(info.planes[0].fd, &st), 0);
	close_planes(&info);
	ck_assert_uint_eq(
		(uint64_t)st.st_size, stile_buffer_get_bytes(stile_image_get_buffer(image, 0)));
	return (uint64_t)st.st_size;
}

/*
 * SOFTWARE_DRIVERS, "How a software buffer is laid out". Wrong code: rows not rounded up to four,
 * with which the drivers write behind the end; a pitch without whole blocks.
 */
START_TEST(layout_is_what_software_drivers_take) {
	uint32_t width = extents[_i];
	for (size_t f = 0; f < ARRAY_LENGTH(simple_formats); f++) {
		for (size_t h = 0; h < ARRAY_LENGTH(extents); h++) {
			uint32_t height = extents[h];
			struct stile_image *image = create(simple_formats[f].fourcc, width, height);
			const struct stile_image_info *info = stile_image_get_info(image);
			uint64_t pitch = align(align(width, 4) * simple_formats[f].bytes, 64);
			ck_assert_uint_eq(info->plane_count, 1);
			ck_assert_uint_eq(info->planes[0].offset, 0);
			ck_assert_uint_eq(info->planes[0].pitch, pitch);
			ck_assert_uint_eq(
				file_bytes(image), align(pitch * align(height, 4), os_page_size()));
			stile_image_unref(image);
		}
	}
}
END_TEST

START_TEST(nv12_layout_is_what_software_drivers_take) {
	uint32_t width = (uint32_t)align(extents[_i], 2);
	for (size_t h = 0; h < ARRAY_LENGTH(extents); h++) {
		uint32_t height = (uint32_t)align(extents[h], 2);
		struct stile_image *image = create(DRM_FORMAT_NV12, width, height);
		const struct stile_image_info *info = stile_image_get_info(image);
		uint64_t pitch0 = align(align(width, 4), 64);
		uint64_t pitch1 = align(align(width / 2, 4) * 2, 64);
		uint64_t offset1 = align(pitch0 * align(height, 4), 64);
		ck_assert_uint_eq(info->plane_count, 2);
		ck_assert_uint_eq(info->planes[0].offset, 0);
		ck_assert_uint_eq(info->planes[0].pitch, pitch0);
		ck_assert_uint_eq(info->planes[1].offset, offset1);
		ck_assert_uint_eq(info->planes[1].pitch, pitch1);
		ck_assert_uint_eq(file_bytes(image),
			align(offset1 + pitch1 * align(height / 2, 4), os_page_size()));
		ck_assert_ptr_eq(
			stile_image_get_buffer(image, 0), stile_image_get_buffer(image, 1));
		stile_image_unref(image);
	}
}
END_TEST

/* ---- Creating ------------------------------------------------------------------------------ */

START_TEST(image_says_what_it_is) {
	struct stile_image_info asked = picture(DRM_FORMAT_XRGB8888, 20, 10);
	char name[] = "a name of more than thirty-one characters, which is cut";
	asked.name = name;
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &asked, &image), 0);
	memset(name, 'x', sizeof(name) - 1);
	const struct stile_image_info *info = stile_image_get_info(image);
	ck_assert_uint_eq(info->size, sizeof(*info));
	ck_assert_uint_eq(info->width, 20);
	ck_assert_uint_eq(info->height, 10);
	ck_assert_uint_eq(info->fourcc, DRM_FORMAT_XRGB8888);
	ck_assert_uint_eq(info->usage, BOTH);
	ck_assert_uint_eq(info->modifier, DRM_FORMAT_MOD_LINEAR);
	ck_assert_int_eq(strncmp(info->name, "a name of more than", 19), 0);
	for (size_t i = 0; i < STILE_MAX_PLANES; i++) {
		ck_assert_int_eq(info->planes[i].fd, -1);
	}
	ck_assert_ptr_eq(stile_image_ref(image), image);
	stile_image_unref(image);
	stile_image_unref(image);
	stile_image_unref(NULL);
	ck_assert_int_eq(messages, 0);
}
END_TEST

START_TEST(image_outlives_its_device) {
	struct stile_image *image = create(DRM_FORMAT_NV12, 2, 2);
	stile_device_destroy(device);
	device = NULL;
	struct stile_image_info info = { .size = sizeof(info) };
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	close_planes(&info);
	stile_image_unref(image);
}
END_TEST

/* ---- One thing wrong ----------------------------------------------------------------------- */

typedef void (*set_fn)(struct stile_image_info *info, uint64_t value);

static void set_nothing(struct stile_image_info *info, uint64_t value) {
	(void)info;
	(void)value;
}

static void set_width(struct stile_image_info *info, uint64_t value) {
	info->width = (uint32_t)value;
}

static void set_height(struct stile_image_info *info, uint64_t value) {
	info->height = (uint32_t)value;
}

static void set_extent(struct stile_image_info *info, uint64_t value) {
	info->width = (uint32_t)value;
	info->height = (uint32_t)value;
}

static void set_fourcc(struct stile_image_info *info, uint64_t value) {
	info->fourcc = (uint32_t)value;
}

static void set_usage(struct stile_image_info *info, uint64_t value) {
	info->usage = (uint32_t)value;
}

static void set_modifier(struct stile_image_info *info, uint64_t value) {
	info->modifier = value;
}

static void set_plane_count(struct stile_image_info *info, uint64_t value) {
	info->plane_count = (uint32_t)value;
}

static void set_pitch(struct stile_image_info *info, uint64_t value) {
	info->planes[0].pitch = (uint32_t)value;
}

static void set_offset(struct stile_image_info *info, uint64_t value) {
	info->planes[0].offset = value;
}

static void set_pitch1(struct stile_image_info *info, uint64_t value) {
	info->planes[1].pitch = (uint32_t)value;
}

static void set_offset1(struct stile_image_info *info, uint64_t value) {
	info->planes[1].offset = value;
}

static void set_fd1(struct stile_image_info *info, uint64_t value) {
	(void)value;
	info->planes[1].fd = -1;
}

/* A row is a page: five rows fit in the memory, but drivers touch eight. */
static void set_rows_of_a_page(struct stile_image_info *info, uint64_t value) {
	info->width = 1024;
	info->height = (uint32_t)value;
	info->planes[0].pitch = 4096;
}

/* Four rows, as many as drivers touch, that are this far apart. */
static void set_pitch_of_4_rows(struct stile_image_info *info, uint64_t value) {
	info->height = 4;
	info->planes[0].pitch = (uint32_t)value;
}

struct create_case {
	const char *what;
	uint32_t fourcc;
	set_fn set;
	uint64_t value;
	int ret;
};

#define XRGB DRM_FORMAT_XRGB8888
#define NV12 DRM_FORMAT_NV12

static const struct create_case bad_creates[] = {
	{ "width 0", XRGB, set_width, 0, -EINVAL },
	{ "height 0", XRGB, set_height, 0, -EINVAL },
	{ "too wide", XRGB, set_width, 16385, -ERANGE },
	{ "too high", XRGB, set_height, 16385, -ERANGE },
	{ "huge", XRGB, set_extent, UINT32_MAX, -ERANGE },
	{ "odd width", NV12, set_width, 63, -EINVAL },
	{ "odd height", NV12, set_height, 63, -EINVAL },
	{ "no usage", XRGB, set_usage, 0, -EINVAL },
	{ "unknown usage", XRGB, set_usage, 4, -EINVAL },
	{ "no format", XRGB, set_fourcc, 0, -EOPNOTSUPP },
	{ "unknown format", XRGB, set_fourcc, DRM_FORMAT_C8, -EOPNOTSUPP },
	{ "chroma that is not there for all", DRM_FORMAT_YUV411, set_width, 62, -EINVAL },
	{ "modifier INVALID", XRGB, set_modifier, DRM_FORMAT_MOD_INVALID, -EOPNOTSUPP },
	{ "a tiled modifier", XRGB, set_modifier, I915_FORMAT_MOD_X_TILED, -EOPNOTSUPP },
	{ "a modifier of nobody", XRGB, set_modifier, STILE_SWGPU_MOD_TILED_COLUMNS + 1,
		-EOPNOTSUPP },
	{ "no room for metadata", DRM_FORMAT_YUV420, set_modifier, STILE_SWGPU_MOD_TILED_COLUMNS,
		-EOPNOTSUPP },
	{ "a plane count", XRGB, set_plane_count, 1, -EINVAL },
	{ "a pitch", XRGB, set_pitch, 256, -EINVAL },
	{ "an offset in another plane", XRGB, set_offset1, 64, -EINVAL },
	{ "a descriptor in another plane", XRGB, set_fd1, 0, -EINVAL },
};

START_TEST(impossible_image_is_not_created) {
	const struct create_case *c = &bad_creates[_i];
	struct stile_image_info info = picture(c->fourcc, 64, 64);
	c->set(&info, c->value);
	struct stile_image *image = (struct stile_image *)&info;
	int ret = stile_image_create(device, &info, &image);
	ck_assert_msg(ret == c->ret, "%s: %d instead of %d", c->what, ret, c->ret);
	ck_assert_ptr_null(image);
	ck_assert_int_eq(messages, 1);
}
END_TEST

/* ---- Importing ----------------------------------------------------------------------------- */

typedef int (*open_fn)(uint64_t bytes);

static int open_sealed(uint64_t bytes) {
	return memory_create(bytes, F_SEAL_SHRINK);
}

static int open_as_created(uint64_t bytes) {
	return memory_create(bytes, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

static int open_negative(uint64_t bytes) {
	(void)bytes;
	return -1;
}

static int open_closed(uint64_t bytes) {
	(void)bytes;
	return memory_closed_fd();
}

static int open_null(uint64_t bytes) {
	(void)bytes;
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int open_directory(uint64_t bytes) {
	(void)bytes;
	return open("/", O_RDONLY | O_CLOEXEC);
}

static int open_socket(uint64_t bytes) {
	(void)bytes;
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int open_how(uint64_t bytes, int flags) {
	int fd = open_sealed(bytes);
	int again = memory_reopen(fd, flags);
	close(fd);
	return again;
}

static int open_read_only(uint64_t bytes) {
	return open_how(bytes, O_RDONLY);
}

static int open_write_only(uint64_t bytes) {
	return open_how(bytes, O_WRONLY);
}

static int open_path(uint64_t bytes) {
	return open_how(bytes, O_PATH);
}

static int open_unsealed(uint64_t bytes) {
	return memory_create(bytes, 0);
}

static int open_write_sealed(uint64_t bytes) {
	return memory_create(bytes, F_SEAL_SHRINK | F_SEAL_WRITE);
}

static int open_future_write_sealed(uint64_t bytes) {
	return memory_create(bytes, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE);
}

static int open_other_seals(uint64_t bytes) {
	return memory_create(bytes, F_SEAL_GROW | F_SEAL_SEAL);
}

/*
 * What is described before one thing goes wrong: 100 × 100 pixels of XRGB8888 with a pitch of 448,
 * 44800 bytes; or 64 × 64 of NV12, both planes with a pitch of 64, the second from 4096 to 6144.
 */
enum { XRGB_PITCH = 448, XRGB_BYTES = 44800, NV12_BYTES = 6144 };

/* One more than an int can say. */
#define INT_BYTES (UINT64_C(1) << 31)

static struct stile_image_info describe(uint32_t fourcc, int fd) {
	struct stile_image_info info;
	if (fourcc == NV12) {
		info = picture(fourcc, 64, 64);
		info.plane_count = 2;
		info.planes[0] = (struct stile_image_plane){ .fd = fd, .pitch = 64 };
		info.planes[1] =
			(struct stile_image_plane){ .fd = fd, .pitch = 64, .offset = 4096 };
	} else {
		info = picture(fourcc, 100, 100);
		info.plane_count = 1;
		info.planes[0] = (struct stile_image_plane){ .fd = fd, .pitch = XRGB_PITCH };
	}
	return info;
}

struct import_case {
	const char *what;
	uint32_t fourcc;
	open_fn open;
	uint64_t bytes;
	set_fn set;
	uint64_t value;
	int ret;
	enum stile_reason reason;
	uint32_t plane;
	const char *says[3]; /* what the text has to contain */
};

/* Wrong code: any of these checks left out, or done in 32 bits. */
static const struct import_case bad_imports[] = {
	/* The descriptor; its number has to be in the text. */
	{ "fd -1", XRGB, open_negative, 0, set_nothing, 0, -EBADF, STILE_REASON_FD_CLOSED, 0,
		{ "-1" } },
	{ "closed fd", XRGB, open_closed, 0, set_nothing, 0, -EBADF, STILE_REASON_FD_CLOSED, 0,
		{ NULL } },
	{ "O_PATH", XRGB, open_path, XRGB_BYTES, set_nothing, 0, -EBADF, STILE_REASON_FD_CLOSED, 0,
		{ NULL } },
	{ "/dev/null", XRGB, open_null, 0, set_nothing, 0, -EINVAL, STILE_REASON_FD_TYPE, 0,
		{ "device" } },
	{ "directory", XRGB, open_directory, 0, set_nothing, 0, -EINVAL, STILE_REASON_FD_TYPE, 0,
		{ "directory" } },
	{ "socket", XRGB, open_socket, 0, set_nothing, 0, -EINVAL, STILE_REASON_FD_TYPE, 0,
		{ "socket" } },
	{ "read-only, to be written", XRGB, open_read_only, XRGB_BYTES, set_usage, WRITE, -EACCES,
		STILE_REASON_FD_ACCESS, 0, { "read-only" } },
	{ "read-only, for both", XRGB, open_read_only, XRGB_BYTES, set_usage, BOTH, -EACCES,
		STILE_REASON_FD_ACCESS, 0, { "read-only" } },
	{ "write-only, to be read", XRGB, open_write_only, XRGB_BYTES, set_usage, READ, -EACCES,
		STILE_REASON_FD_ACCESS, 0, { "write-only" } },
	{ "write-only, to be written", XRGB, open_write_only, XRGB_BYTES, set_usage, WRITE, -EACCES,
		STILE_REASON_FD_ACCESS, 0, { "write-only" } },
	{ "no seals", XRGB, open_unsealed, XRGB_BYTES, set_nothing, 0, -EPERM,
		STILE_REASON_FD_SEALS, 0, { "F_SEAL_SHRINK" } },
	{ "no shrink seal", XRGB, open_other_seals, XRGB_BYTES, set_nothing, 0, -EPERM,
		STILE_REASON_FD_SEALS, 0, { "F_SEAL_SHRINK" } },
	{ "write seal, to be written", XRGB, open_write_sealed, XRGB_BYTES, set_usage, WRITE,
		-EACCES, STILE_REASON_FD_ACCESS, 0, { "sealed against writing" } },
	{ "future write seal, for both", XRGB, open_future_write_sealed, XRGB_BYTES, set_usage,
		BOTH, -EACCES, STILE_REASON_FD_ACCESS, 0, { "sealed against writing" } },
	{ "second fd -1", NV12, open_sealed, NV12_BYTES, set_fd1, 0, -EBADF, STILE_REASON_FD_CLOSED,
		1, { "-1" } },
	/* The memory. */
	{ "one byte short", XRGB, open_sealed, XRGB_BYTES - 1, set_nothing, 0, -ERANGE,
		STILE_REASON_BOUNDS, 0, { "44800", "44799", "448 x 100" } },
	{ "empty file", XRGB, open_sealed, 0, set_nothing, 0, -ERANGE, STILE_REASON_BOUNDS, 0,
		{ "44800", " 0" } },
	{ "second plane one byte short", NV12, open_sealed, NV12_BYTES - 1, set_nothing, 0, -ERANGE,
		STILE_REASON_BOUNDS, 1, { "6144", "6143" } },
	{ "rows up to the last page", XRGB, open_sealed, 5 * 4096, set_rows_of_a_page, 5, -ERANGE,
		STILE_REASON_BOUNDS, 0, { "4", "20480" } },
	{ "offset past the end", XRGB, open_sealed, XRGB_BYTES, set_offset, 45056, -ERANGE,
		STILE_REASON_BOUNDS, 0, { "45056", "89856" } },
	{ "offset of 4 GiB", XRGB, open_sealed, XRGB_BYTES, set_offset, UINT64_C(1) << 32, -ERANGE,
		STILE_REASON_BOUNDS, 0, { "4294967296", "44800" } },
	{ "overflow of 64 bits", XRGB, open_sealed, XRGB_BYTES, set_offset, UINT64_MAX - 15,
		-ERANGE, STILE_REASON_BOUNDS, 0, { "18446744073709551600", "64 bits" } },
	{ "overflow to exactly 0", XRGB, open_sealed, XRGB_BYTES, set_offset,
		UINT64_MAX - XRGB_BYTES + 1, -ERANGE, STILE_REASON_BOUNDS, 0, { "64 bits" } },
	{ "second offset past the end", NV12, open_sealed, NV12_BYTES, set_offset1, 8192, -ERANGE,
		STILE_REASON_BOUNDS, 1, { "8192", "10240" } },
	{ "pitch as large as can be", XRGB, open_sealed, XRGB_BYTES, set_pitch, UINT32_MAX - 15,
		-ERANGE, STILE_REASON_BOUNDS, 0, { "4294967280" } },
	/* It is there, without any page of it: but drivers count in an int. */
	{ "rows that end at 4 GiB", XRGB, open_sealed, UINT64_C(4) << 30, set_pitch_of_4_rows,
		0x40000000, -ERANGE, STILE_REASON_BOUNDS, 0, { "4294967296", "2147483647" } },
	{ "a pitch that is negative in an int", XRGB, open_sealed, UINT64_C(8) << 30,
		set_pitch_of_4_rows, 0x80000000, -ERANGE, STILE_REASON_BOUNDS, 0,
		{ "8589934592", "2147483647" } },
	{ "an offset that is 0 in an int", XRGB, open_sealed, (UINT64_C(4) << 30) + XRGB_BYTES,
		set_offset, UINT64_C(4) << 30, -ERANGE, STILE_REASON_BOUNDS, 0,
		{ "4295012096", "2147483647" } },
	{ "one byte more than an int", XRGB, open_sealed, INT_BYTES, set_offset,
		INT_BYTES - XRGB_BYTES, -ERANGE, STILE_REASON_BOUNDS, 0,
		{ "2147483648", "2147483647" } },
	{ "second plane behind an int", NV12, open_sealed, INT_BYTES + NV12_BYTES, set_offset1,
		INT_BYTES, -ERANGE, STILE_REASON_BOUNDS, 1, { "2147485696", "2147483647" } },
	/* Pitch and offset. */
	{ "pitch too small", XRGB, open_sealed, XRGB_BYTES, set_pitch, 384, -EINVAL,
		STILE_REASON_PITCH, 0, { "384", "400" } },
	{ "pitch 0", XRGB, open_sealed, XRGB_BYTES, set_pitch, 0, -EINVAL, STILE_REASON_PITCH, 0,
		{ "pitch 0", "400" } },
	{ "second pitch too small", NV12, open_sealed, NV12_BYTES, set_pitch1, 48, -EINVAL,
		STILE_REASON_PITCH, 1, { "48", "64" } },
	{ "pitch misaligned", XRGB, open_sealed, XRGB_BYTES, set_pitch, 440, -EINVAL,
		STILE_REASON_PITCH, 0, { "440", "16" } },
	{ "pitch odd", XRGB, open_sealed, XRGB_BYTES, set_pitch, 401, -EINVAL, STILE_REASON_PITCH,
		0, { "401", "16" } },
	{ "offset misaligned", XRGB, open_sealed, 2 * XRGB_BYTES, set_offset, 8, -EINVAL,
		STILE_REASON_OFFSET, 0, { "8", "16" } },
	{ "second offset misaligned", NV12, open_sealed, 2 * NV12_BYTES, set_offset1, 4097, -EINVAL,
		STILE_REASON_OFFSET, 1, { "4097", "16" } },
	/* What it is said to be. */
	{ "no format", XRGB, open_sealed, XRGB_BYTES, set_fourcc, 0, -EOPNOTSUPP,
		STILE_REASON_FORMAT, 0, { "0x00000000" } },
	{ "unknown format", XRGB, open_sealed, XRGB_BYTES, set_fourcc, DRM_FORMAT_C8, -EOPNOTSUPP,
		STILE_REASON_FORMAT, 0, { "C8  ", "0x20203843" } },
	{ "no plane", XRGB, open_sealed, XRGB_BYTES, set_plane_count, 0, -EINVAL,
		STILE_REASON_PLANE_COUNT, 0, { "1", "0" } },
	{ "a plane too many", XRGB, open_sealed, XRGB_BYTES, set_plane_count, 2, -EINVAL,
		STILE_REASON_PLANE_COUNT, 0, { "1", "2" } },
	{ "a plane too few", NV12, open_sealed, NV12_BYTES, set_plane_count, 1, -EINVAL,
		STILE_REASON_PLANE_COUNT, 0, { "2", "1" } },
	{ "planes without end", XRGB, open_sealed, XRGB_BYTES, set_plane_count, UINT32_MAX, -EINVAL,
		STILE_REASON_PLANE_COUNT, 0, { "4294967295" } },
	{ "modifier INVALID", XRGB, open_sealed, XRGB_BYTES, set_modifier, DRM_FORMAT_MOD_INVALID,
		-EOPNOTSUPP, STILE_REASON_MODIFIER, 0, { "DRM_FORMAT_MOD_INVALID" } },
	{ "unknown modifier", XRGB, open_sealed, XRGB_BYTES, set_modifier, I915_FORMAT_MOD_X_TILED,
		-EOPNOTSUPP, STILE_REASON_MODIFIER, 0, { "0x100000000000001", "0x0" } },
	{ "no room for metadata", DRM_FORMAT_YUV420, open_sealed, XRGB_BYTES, set_modifier,
		STILE_SWGPU_MOD_TILED_COLUMNS, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0,
		{ "YUV420", "6 planes", "at most 4" } },
	{ "width 0", XRGB, open_sealed, XRGB_BYTES, set_width, 0, -EINVAL, STILE_REASON_EXTENT, 0,
		{ "0 x 100" } },
	{ "height 0", XRGB, open_sealed, XRGB_BYTES, set_height, 0, -EINVAL, STILE_REASON_EXTENT, 0,
		{ "100 x 0" } },
	{ "too wide", XRGB, open_sealed, XRGB_BYTES, set_width, 16385, -ERANGE, STILE_REASON_EXTENT,
		0, { "16385 x 100", "16384" } },
	{ "too high", XRGB, open_sealed, XRGB_BYTES, set_height, 16385, -ERANGE,
		STILE_REASON_EXTENT, 0, { "100 x 16385", "16384" } },
	{ "huge", XRGB, open_sealed, XRGB_BYTES, set_extent, UINT32_MAX, -ERANGE,
		STILE_REASON_EXTENT, 0, { "4294967295" } },
	{ "width whose row is 0 in 32 bits", XRGB, open_sealed, XRGB_BYTES, set_width,
		UINT64_C(1) << 30, -ERANGE, STILE_REASON_EXTENT, 0, { "1073741824" } },
	{ "odd width", NV12, open_sealed, NV12_BYTES, set_width, 63, -EINVAL, STILE_REASON_EXTENT,
		0, { "63 x 64", "2 x 2" } },
	{ "odd height", NV12, open_sealed, NV12_BYTES, set_height, 63, -EINVAL, STILE_REASON_EXTENT,
		0, { "64 x 63", "2 x 2" } },
	{ "no usage", XRGB, open_sealed, XRGB_BYTES, set_usage, 0, -EINVAL, STILE_REASON_USAGE, 0,
		{ "0x0" } },
	{ "unknown usage", XRGB, open_sealed, XRGB_BYTES, set_usage, 0x80000001, -EINVAL,
		STILE_REASON_USAGE, 0, { "0x80000001" } },
};

static bool is_about_the_fd(enum stile_reason reason) {
	return reason == STILE_REASON_FD_CLOSED || reason == STILE_REASON_FD_TYPE ||
		reason == STILE_REASON_FD_ACCESS || reason == STILE_REASON_FD_SEALS;
}

static void check_report(
	const struct import_case *c, const struct stile_report *report, const int fds[2]) {
	ck_assert_msg(report->reason == c->reason, "%s: reason %d", c->what, (int)report->reason);
	ck_assert_msg(report->error == c->ret, "%s: error %d", c->what, report->error);
	ck_assert_msg(report->plane == c->plane, "%s: plane %u", c->what, report->plane);
	ck_assert_uint_eq(report->size, sizeof(*report));
	for (size_t i = 0; i < ARRAY_LENGTH(c->says) && c->says[i] != NULL; i++) {
		ck_assert_msg(strstr(report->text, c->says[i]) != NULL, "%s: '%s' without '%s'",
			c->what, report->text, c->says[i]);
	}
	if (is_about_the_fd(c->reason)) {
		char number[16];
		snprintf(number, sizeof(number), "%d", fds[c->plane]);
		ck_assert_msg(strstr(report->text, number) != NULL, "%s: '%s' without '%s'",
			c->what, report->text, number);
	}
}

START_TEST(bad_import_is_refused_with_the_reason) {
	const struct import_case *c = &bad_imports[_i];
	int fd = c->open(c->bytes);
	struct stile_image_info info = describe(c->fourcc, fd);
	c->set(&info, c->value);
	const int fds[2] = { info.planes[0].fd, info.planes[1].fd };

	/* What was in a report before is no excuse. */
	struct stile_report checked, imported;
	memset(&checked, 0xa5, sizeof(checked));
	memset(&imported, 0x5a, sizeof(imported));
	checked.size = imported.size = sizeof(checked);

	int ret = stile_image_check(device, &info, &checked);
	ck_assert_msg(ret == c->ret, "%s: check gives %d instead of %d", c->what, ret, c->ret);
	check_report(c, &checked, fds);
	ck_assert_int_eq(stile_image_check(device, &info, NULL), c->ret);
	ck_assert_int_eq(messages, 0);

	struct stile_image *image = (struct stile_image *)&info;
	ret = stile_image_import(device, &info, &imported, &image);
	ck_assert_msg(ret == c->ret, "%s: import gives %d instead of %d", c->what, ret, c->ret);
	ck_assert_ptr_null(image);
	check_report(c, &imported, fds);
	ck_assert_str_eq(imported.text, checked.text);
	ck_assert_uint_eq(imported.needed, checked.needed);
	ck_assert_uint_eq(imported.actual, checked.actual);
	ck_assert_int_eq(messages, 1);

	if (fd >= 0 && c->open != open_closed) {
		ck_assert_int_eq(close(fd), 0);
	}
}
END_TEST

/* The numbers, for programs. */
START_TEST(report_has_what_was_needed_and_found) {
	static const struct {
		set_fn set;
		uint64_t value, needed, actual;
	} cases[] = {
		{ set_nothing, 0, XRGB_BYTES, XRGB_BYTES - 1 },
		{ set_pitch, 384, 400, 384 },
		{ set_width, 16385, 16384, 16385 },
		{ set_plane_count, 3, 1, 3 },
		{ set_modifier, 7, DRM_FORMAT_MOD_LINEAR, 7 },
		{ set_fourcc, 7, 0, 7 },
	};
	int fd = open_sealed(XRGB_BYTES - 1);
	struct stile_image_info info = describe(XRGB, fd);
	cases[_i].set(&info, cases[_i].value);
	struct stile_report report = { .size = sizeof(report) };
	ck_assert_int_lt(stile_image_check(device, &info, &report), 0);
	ck_assert_uint_eq(report.needed, cases[_i].needed);
	ck_assert_uint_eq(report.actual, cases[_i].actual);
	close(fd);
}
END_TEST

/* Wrong code: checks that refuse what drivers take; a bound that is one too strict. */
static const struct import_case good_imports[] = {
	{ .what = "just enough",
		.fourcc = XRGB,
		.open = open_sealed,
		.bytes = XRGB_BYTES,
		.set = set_nothing },
	{ .what = "just enough, two planes",
		.fourcc = NV12,
		.open = open_sealed,
		.bytes = NV12_BYTES,
		.set = set_nothing },
	{ .what = "sealed as we do",
		.fourcc = XRGB,
		.open = open_as_created,
		.bytes = 45056,
		.set = set_nothing },
	{ .what = "read-only, to be read",
		.fourcc = XRGB,
		.open = open_read_only,
		.bytes = XRGB_BYTES,
		.set = set_usage,
		.value = READ },
	{ .what = "write seal, to be read",
		.fourcc = XRGB,
		.open = open_write_sealed,
		.bytes = XRGB_BYTES,
		.set = set_usage,
		.value = READ },
	{ .what = "future write seal, to be read",
		.fourcc = XRGB,
		.open = open_future_write_sealed,
		.bytes = XRGB_BYTES,
		.set = set_usage,
		.value = READ },
	{ .what = "as far as an int goes",
		.fourcc = XRGB,
		.open = open_sealed,
		.bytes = INT_BYTES + 4096,
		.set = set_offset,
		.value = INT_BYTES - XRGB_BYTES - 16 },
	{ .what = "the largest pitch that fits",
		.fourcc = XRGB,
		.open = open_sealed,
		.bytes = INT_BYTES + 4096,
		.set = set_pitch_of_4_rows,
		.value = INT_BYTES / 4 - 16 },
	{ .what = "writable, to be read",
		.fourcc = XRGB,
		.open = open_sealed,
		.bytes = XRGB_BYTES,
		.set = set_usage,
		.value = READ },
	{ .what = "writable, to be written",
		.fourcc = XRGB,
		.open = open_sealed,
		.bytes = XRGB_BYTES,
		.set = set_usage,
		.value = WRITE },
	{ .what = "smallest pitch",
		.fourcc = XRGB,
		.open = open_sealed,
		.bytes = 40000,
		.set = set_pitch,
		.value = 400 },
	{ .what = "offset",
		.fourcc = XRGB,
		.open = open_sealed,
		.bytes = XRGB_BYTES + 16,
		.set = set_offset,
		.value = 16 },
	{ .what = "whole groups of rows",
		.fourcc = XRGB,
		.open = open_sealed,
		.bytes = 8 * 4096,
		.set = set_rows_of_a_page,
		.value = 5 },
	{ .what = "one pixel",
		.fourcc = XRGB,
		.open = open_sealed,
		.bytes = XRGB_BYTES,
		.set = set_extent,
		.value = 1 },
	{ .what = "another format of the same size",
		.fourcc = XRGB,
		.open = open_sealed,
		.bytes = XRGB_BYTES,
		.set = set_fourcc,
		.value = DRM_FORMAT_ABGR8888 },
};

START_TEST(good_import_is_taken) {
	const struct import_case *c = &good_imports[_i];
	int fd = c->open(c->bytes);
	struct stile_image_info info = describe(c->fourcc, fd);
	c->set(&info, c->value);
	struct stile_report report = { .size = sizeof(report), .reason = STILE_REASON_DRIVER };
	int ret = stile_image_check(device, &info, &report);
	ck_assert_msg(ret == 0, "%s: %d, %s", c->what, ret, report.text);
	struct stile_image *image;
	ret = stile_image_import(device, &info, &report, &image);
	ck_assert_msg(ret == 0, "%s: %d, %s", c->what, ret, report.text);
	ck_assert_int_eq(report.reason, STILE_REASON_NONE);
	ck_assert_str_eq(report.text, "");
	ck_assert_int_eq(close(fd), 0);
	ck_assert_uint_eq(stile_buffer_get_bytes(stile_image_get_buffer(image, 0)), c->bytes);
	ck_assert_int_eq(messages, 0);
	stile_image_unref(image);
}
END_TEST

/* Planes in memory of their own. Wrong code: bounds of the first file used for the second. */
START_TEST(planes_may_be_in_different_memory) {
	int first = open_sealed(4096), second = open_sealed(2048);
	struct stile_image_info info = describe(NV12, first);
	info.planes[1] = (struct stile_image_plane){ .fd = second, .pitch = 64 };
	struct stile_image *image;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &image), 0);
	ck_assert_ptr_ne(stile_image_get_buffer(image, 0), stile_image_get_buffer(image, 1));
	stile_image_unref(image);
	info.planes[1].offset = 16;
	ck_assert_int_eq(stile_image_check(device, &info, NULL), -ERANGE);
	close(first);
	close(second);
}
END_TEST

/*
 * Memory that has grown since it became known is known by its old size. Wrong code: refused without
 * a reason, or taken, with rows outside of what is mapped.
 */
START_TEST(memory_that_has_grown_is_refused_with_the_reason) {
	int fd = open_sealed(4096);
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_import_fd(device, fd, BOTH, NULL, &buffer), 0);
	ck_assert_int_eq(ftruncate(fd, XRGB_BYTES), 0);
	struct stile_image_info info = describe(XRGB, fd);
	struct stile_report report = { .size = sizeof(report) };
	struct stile_report checked = { .size = sizeof(checked) };
	struct stile_image *image;
	ck_assert_int_eq(stile_image_import(device, &info, &report, &image), -ERANGE);
	ck_assert_ptr_null(image);
	ck_assert_int_eq(report.reason, STILE_REASON_BOUNDS);
	ck_assert_ptr_nonnull(strstr(report.text, "4096"));
	/* Wrong code: a check that asks the file, and promises what the import does not keep. */
	ck_assert_int_eq(stile_image_check(device, &info, &checked), -ERANGE);
	ck_assert_int_eq(checked.reason, STILE_REASON_BOUNDS);
	ck_assert_str_eq(checked.text, report.text);
	stile_buffer_unref(buffer);
	ck_assert_int_eq(stile_image_check(device, &info, &checked), 0);
	ck_assert_int_eq(stile_image_import(device, &info, &report, &image), 0);
	stile_image_unref(image);
	close(fd);
}
END_TEST

/* ---- What the struct itself gets wrong ----------------------------------------------------- */

/* A report of an earlier call, of which nothing may be left. */
static struct stile_report stale_report(void) {
	struct stile_report report;
	memset(&report, 0xa5, sizeof(report));
	report.size = sizeof(report);
	snprintf(report.text, sizeof(report.text), "stale");
	return report;
}

static void check_usage_report(const struct stile_report *report, int ret) {
	ck_assert_int_eq(report->error, ret);
	ck_assert_int_eq(report->reason, STILE_REASON_USAGE);
	ck_assert_uint_eq(report->plane, 0);
	ck_assert_uint_gt(strlen(report->text), 0);
	ck_assert_str_ne(report->text, "stale");
}

/* Wrong code: the report emptied only once the struct was understood. */
START_TEST(impossible_size_is_in_the_report) {
	static const size_t sizes[] = { 0, 4, SIZE_MAX };
	struct stile_report report = stale_report();
	struct stile_image_info info = { .size = sizes[_i] };
	struct stile_image *image = (struct stile_image *)&info;
	ck_assert_int_eq(stile_image_import(device, &info, &report, &image), -EINVAL);
	ck_assert_ptr_null(image);
	check_usage_report(&report, -EINVAL);

	report = stale_report();
	ck_assert_int_eq(stile_image_check(device, &info, &report), -EINVAL);
	check_usage_report(&report, -EINVAL);

	report = stale_report();
	image = create(NV12, 2, 2);
	struct stile_constraints wanted = { .size = sizes[_i] };
	ck_assert_int_eq(stile_image_check_constraints(image, &wanted, &report), -EINVAL);
	check_usage_report(&report, -EINVAL);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: as above, for a struct that is newer than the library. */
START_TEST(unknown_fields_are_in_the_report) {
	struct {
		struct stile_image_info info;
		uint64_t unknown;
	} newer = { .info = { .size = sizeof(newer) }, .unknown = 1 };
	struct stile_report report = stale_report();
	struct stile_image *image;
	ck_assert_int_eq(stile_image_import(device, &newer.info, &report, &image), -E2BIG);
	check_usage_report(&report, -E2BIG);
}
END_TEST

/* ---- There and back ------------------------------------------------------------------------ */

static const uint32_t all_formats[] = { DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888,
	DRM_FORMAT_XBGR8888, DRM_FORMAT_ABGR8888, DRM_FORMAT_R8, DRM_FORMAT_NV12 };

static const uint64_t all_modifiers[] = { DRM_FORMAT_MOD_LINEAR, STILE_SWGPU_MOD_TILED_ROWS,
	STILE_SWGPU_MOD_TILED_COLUMNS };

/* Wrong code: a field lost; descriptors shared between two exports; another object for the memory. */
START_TEST(export_and_import_give_the_same_picture) {
	struct stile_image_info asked =
		picture(all_formats[_i / (int)ARRAY_LENGTH(all_modifiers)], 98, 46);
	asked.modifier = all_modifiers[_i % (int)ARRAY_LENGTH(all_modifiers)];
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &asked, &image), 0);
	struct stile_image_info first = { .size = sizeof(first) },
				second = { .size = sizeof(second) };
	ck_assert_int_eq(stile_image_export(image, &first), 0);
	ck_assert_int_eq(stile_image_export(image, &second), 0);
	struct stile_report report = { .size = sizeof(report) };
	struct stile_image *again;
	ck_assert_int_eq(stile_image_import(device, &first, &report, &again), 0);
	const struct stile_image_info *a = stile_image_get_info(image);
	const struct stile_image_info *b = stile_image_get_info(again);
	ck_assert_uint_eq(a->width, b->width);
	ck_assert_uint_eq(a->height, b->height);
	ck_assert_uint_eq(a->fourcc, b->fourcc);
	ck_assert_uint_eq(a->modifier, b->modifier);
	ck_assert_uint_eq(a->usage, b->usage);
	ck_assert_uint_eq(a->plane_count, b->plane_count);
	for (uint32_t i = 0; i < a->plane_count; i++) {
		ck_assert_uint_eq(a->planes[i].pitch, b->planes[i].pitch);
		ck_assert_uint_eq(a->planes[i].offset, b->planes[i].offset);
		ck_assert_int_ne(first.planes[i].fd, second.planes[i].fd);
		ck_assert_int_eq(fcntl(first.planes[i].fd, F_GETFD), FD_CLOEXEC);
		ck_assert_ptr_eq(
			stile_image_get_buffer(image, i), stile_image_get_buffer(again, i));
	}
	for (uint32_t i = a->plane_count; i < STILE_MAX_PLANES; i++) {
		ck_assert_int_eq(first.planes[i].fd, -1);
	}
	close_planes(&first);
	close_planes(&second);
	stile_image_unref(image);
	stile_image_unref(again);
}
END_TEST

/* Wrong code: a writable descriptor made of a read-only one, or -EACCES. */
START_TEST(read_only_image_is_exported_read_only) {
	int fd = open_read_only(XRGB_BYTES);
	struct stile_image_info info = describe(XRGB, fd), out = { .size = sizeof(out) };
	info.usage = READ;
	struct stile_image *image;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &image), 0);
	ck_assert_int_eq(stile_image_export(image, &out), 0);
	ck_assert_int_eq(fcntl(out.planes[0].fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close_planes(&out);
	stile_image_unref(image);
	close(fd);
}
END_TEST

/* Wrong code: descriptors made that the caller's struct has no room for. */
START_TEST(export_into_too_small_a_struct_is_einval) {
	static const size_t sizes[] = { 0, 7, sizeof(size_t), 64,
		offsetof(struct stile_image_info, colour) - 1, SIZE_MAX };
	struct stile_image *image = create(NV12, 2, 2);
	struct stile_image_info info = { .size = sizes[_i] };
	ck_assert_int_eq(stile_image_export(image, &info), -EINVAL);
	stile_image_unref(image);
}
END_TEST

/* ---- Constraints --------------------------------------------------------------------------- */

static const uint64_t linear[] = { DRM_FORMAT_MOD_LINEAR };
static const uint64_t tiled[] = { I915_FORMAT_MOD_X_TILED, I915_FORMAT_MOD_Y_TILED };
static const uint64_t any[] = { I915_FORMAT_MOD_X_TILED, DRM_FORMAT_MOD_LINEAR };

struct constraint_case {
	const char *what;
	struct stile_constraints wanted;
	int ret;
	enum stile_reason reason;
	uint32_t plane;
};

#define WANT(...) \
	{ .size = sizeof(struct stile_constraints), __VA_ARGS__ }

/*
 * The image: NV12, 68 × 36, pitches 128 and 128, the second plane at 4608, in memory of 8192 bytes;
 * allows both.
 */
static const struct constraint_case constraint_cases[] = {
	{ "nothing", WANT(.usage = 0), 0, STILE_REASON_NONE, 0 },
	{ "all that it has",
		WANT(.usage = BOTH, .max_width = 68, .max_height = 36, .pitch_align = 128,
			.offset_align = 512, .modifiers = any, .modifier_count = 2),
		0, STILE_REASON_NONE, 0 },
	{ "narrower", WANT(.max_width = 67), -ERANGE, STILE_REASON_EXTENT, 0 },
	{ "lower", WANT(.max_height = 35), -ERANGE, STILE_REASON_EXTENT, 0 },
	{ "pitch", WANT(.pitch_align = 256), -EINVAL, STILE_REASON_PITCH, 0 },
	{ "offset", WANT(.offset_align = 4096), -EINVAL, STILE_REASON_OFFSET, 1 },
	{ "linear only", WANT(.modifiers = linear, .modifier_count = 1), 0, STILE_REASON_NONE, 0 },
	{ "tiled only", WANT(.modifiers = tiled, .modifier_count = 2), -EOPNOTSUPP,
		STILE_REASON_MODIFIER, 0 },
	{ "rows that are there", WANT(.height_align = 8), 0, STILE_REASON_NONE, 0 },
	{ "chroma ends before", WANT(.height_align = 16), -ERANGE, STILE_REASON_BOUNDS, 1 },
	{ "luma ends before", WANT(.height_align = 128), -ERANGE, STILE_REASON_BOUNDS, 0 },
	{ "not a power of two", WANT(.height_align = 12), -EINVAL, STILE_REASON_USAGE, 0 },
	/* It may move there yet. */
	{ "where memory is",
		WANT(.address_bits = 12, .max_segments = 1, .segment_align = 1 << 20,
			.max_segment = 4096),
		0, STILE_REASON_NONE, 0 },
	{ "no size", { .size = 0 }, -EINVAL, STILE_REASON_USAGE, 0 },
};

START_TEST(constraint_that_is_not_met_is_named) {
	const struct constraint_case *c = &constraint_cases[_i];
	struct stile_image *image = create(NV12, 68, 36);
	ck_assert_uint_eq(stile_image_get_info(image)->planes[1].offset, 4608);
	struct stile_report report = { .size = sizeof(report) };
	int ret = stile_image_check_constraints(image, &c->wanted, &report);
	ck_assert_msg(ret == c->ret, "%s: %d instead of %d", c->what, ret, c->ret);
	ck_assert_msg(report.reason == c->reason, "%s: reason %d", c->what, (int)report.reason);
	ck_assert_uint_eq(report.plane, c->plane);
	ck_assert_int_eq(stile_image_check_constraints(image, &c->wanted, NULL), c->ret);
	stile_image_unref(image);
}
END_TEST

START_TEST(writing_constraint_needs_a_writable_descriptor) {
	int fd = open_read_only(XRGB_BYTES);
	struct stile_image_info info = describe(XRGB, fd);
	info.usage = READ;
	struct stile_image *image;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &image), 0);
	struct stile_constraints wanted = { .size = sizeof(wanted), .usage = READ };
	struct stile_report report = { .size = sizeof(report) };
	ck_assert_int_eq(stile_image_check_constraints(image, &wanted, &report), 0);
	wanted.usage = BOTH;
	ck_assert_int_eq(stile_image_check_constraints(image, &wanted, &report), -EACCES);
	ck_assert_int_eq(report.reason, STILE_REASON_FD_ACCESS);
	stile_image_unref(image);
	close(fd);
}
END_TEST

/* ---- Failures ------------------------------------------------------------------------------ */

struct attempt {
	struct stile_image_info info;
	struct stile_image *image;
	struct stile_report report;
};

static int attempt_create(void *user) {
	struct attempt *attempt = user;
	return stile_image_create(device, &attempt->info, &attempt->image);
}

static int attempt_import(void *user) {
	struct attempt *attempt = user;
	attempt->report = (struct stile_report){ .size = sizeof(attempt->report) };
	return stile_image_import(device, &attempt->info, &attempt->report, &attempt->image);
}

static int attempt_export(void *user) {
	struct attempt *attempt = user;
	attempt->info = (struct stile_image_info){ .size = sizeof(attempt->info) };
	return stile_image_export(attempt->image, &attempt->info);
}

static void after_create(void *user, int ret) {
	struct attempt *attempt = user;
	ck_assert_int_eq(attempt->image == NULL, ret < 0);
	stile_image_unref(attempt->image);
}

static void after_import(void *user, int ret) {
	struct attempt *attempt = user;
	ck_assert_int_eq(attempt->report.error, ret);
	ck_assert_int_eq(
		attempt->report.reason, ret < 0 ? STILE_REASON_RESOURCES : STILE_REASON_NONE);
	after_create(user, ret);
}

static void after_export(void *user, int ret) {
	struct attempt *attempt = user;
	if (ret == 0) {
		close_planes(&attempt->info);
	} else {
		for (size_t i = 0; i < STILE_MAX_PLANES; i++) {
			ck_assert_int_eq(attempt->info.planes[i].fd, -1);
		}
	}
}

START_TEST(every_failure_is_survived) {
	static const int errors[] = { -ENOMEM, -EMFILE, 0 };
	static const int no_memory[] = { -ENOMEM, 0 };
	struct attempt attempt = { .info = picture(NV12, 64, 64) };
	/* Storage comes later: no descriptor is needed. */
	ck_assert_uint_ge(failing_sweep(attempt_create, after_create, &attempt, no_memory), 2);

	int fd = open_sealed(NV12_BYTES);
	attempt.info = describe(NV12, fd);
	ck_assert_uint_ge(failing_sweep(attempt_import, after_import, &attempt, errors), 5);
	close(fd);

	/* The first time there is storage to allocate, then only a descriptor for each plane. */
	attempt.image = create(NV12, 64, 64);
	ck_assert_uint_gt(failing_sweep(attempt_export, after_export, &attempt, errors), 2);
	ck_assert_uint_eq(failing_sweep(attempt_export, after_export, &attempt, errors), 2);
	stile_image_unref(attempt.image);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("image");
	TCase *created = ledger_tcase_create("created");
	tcase_add_checked_fixture(created, setup, teardown);
	tcase_add_loop_test(
		created, layout_is_what_software_drivers_take, 0, ARRAY_LENGTH(extents));
	tcase_add_loop_test(
		created, nv12_layout_is_what_software_drivers_take, 0, ARRAY_LENGTH(extents));
	tcase_add_test(created, image_says_what_it_is);
	tcase_add_test(created, image_outlives_its_device);
	tcase_add_loop_test(created, impossible_image_is_not_created, 0, ARRAY_LENGTH(bad_creates));
	suite_add_tcase(s, created);

	TCase *imported = ledger_tcase_create("imported");
	tcase_add_checked_fixture(imported, setup, teardown);
	tcase_add_loop_test(
		imported, bad_import_is_refused_with_the_reason, 0, ARRAY_LENGTH(bad_imports));
	tcase_add_loop_test(imported, report_has_what_was_needed_and_found, 0, 6);
	tcase_add_loop_test(imported, good_import_is_taken, 0, ARRAY_LENGTH(good_imports));
	tcase_add_test(imported, planes_may_be_in_different_memory);
	tcase_add_test(imported, memory_that_has_grown_is_refused_with_the_reason);
	tcase_add_loop_test(imported, impossible_size_is_in_the_report, 0, 3);
	tcase_add_test(imported, unknown_fields_are_in_the_report);
	suite_add_tcase(s, imported);

	TCase *exported = ledger_tcase_create("exported");
	tcase_add_checked_fixture(exported, setup, teardown);
	tcase_add_loop_test(exported, export_and_import_give_the_same_picture, 0,
		ARRAY_LENGTH(all_formats) * ARRAY_LENGTH(all_modifiers));
	tcase_add_test(exported, read_only_image_is_exported_read_only);
	tcase_add_loop_test(exported, export_into_too_small_a_struct_is_einval, 0, 6);
	suite_add_tcase(s, exported);

	TCase *constraints = ledger_tcase_create("constraints");
	tcase_add_checked_fixture(constraints, setup, teardown);
	tcase_add_loop_test(constraints, constraint_that_is_not_met_is_named, 0,
		ARRAY_LENGTH(constraint_cases));
	tcase_add_test(constraints, writing_constraint_needs_a_writable_descriptor);
	suite_add_tcase(s, constraints);

	TCase *failures = ledger_tcase_create("failures");
	tcase_add_checked_fixture(failures, setup, teardown);
	tcase_add_test(failures, every_failure_is_survived);
	suite_add_tcase(s, failures);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
