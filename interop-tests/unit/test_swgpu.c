/* SPDX-License-Identifier: MIT */
/* The software GPU: what it does to bytes, against the plainest loops, and in which order. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/swgpu.h>
#include <stile/swgpu_list.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/backend.h"
#include "src/device.h"
#include "src/format.h"
#include "src/macros.h"

enum { BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE };

static struct stile_device *device;

static int fences_before;

static void setup(void) {
	fences_before = plain_fence_count();
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
}

static void teardown(void) {
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(plain_fence_count(), fences_before);
}

static struct stile_image *create(uint32_t fourcc, uint32_t width, uint32_t height) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = width,
		.height = height,
		.fourcc = fourcc,
		.usage = BOTH,
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	return image;
}

/* An image that its owner may only read. */
static struct stile_image *create_read_only(void) {
	int fd = memory_create(4096, F_SEAL_SHRINK), reader = memory_reopen(fd, O_RDONLY);
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

/* Wait for a command and give its fence up; its status. */
static int finish(struct stile_fence *fence) {
	int status = plain_fence_finish(fence);
	stile_fence_unref(fence);
	return status;
}

/* ---- Bytes --------------------------------------------------------------------------------- */

static const uint32_t formats[] = { DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888, DRM_FORMAT_XBGR8888,
	DRM_FORMAT_ABGR8888, DRM_FORMAT_R8, DRM_FORMAT_NV12 };

/* Even, since NV12 takes nothing else; halved for it, they are odd. */
static const struct {
	uint32_t width, height;
} extents[] = { { 2, 2 }, { 6, 2 }, { 2, 6 }, { 10, 14 }, { 30, 34 }, { 62, 66 }, { 66, 2 },
	{ 98, 38 }, { 130, 10 }, { 1366, 6 } };

/* The same for those without subsampling. */
static const struct {
	uint32_t width, height;
} odd_extents[] = { { 1, 1 }, { 3, 1 }, { 1, 3 }, { 5, 7 }, { 15, 17 }, { 31, 33 }, { 63, 65 },
	{ 99, 37 }, { 129, 11 }, { 1367, 5 } };

static struct stile_image *create_case(int i, uint32_t *fourcc) {
	*fourcc = formats[(size_t)i / ARRAY_LENGTH(extents)];
	size_t extent = (size_t)i % ARRAY_LENGTH(extents);
	bool even = *fourcc == DRM_FORMAT_NV12;
	return create(*fourcc, even ? extents[extent].width : odd_extents[extent].width,
		even ? extents[extent].height : odd_extents[extent].height);
}

enum { BYTE_CASES = 6 * 10 };

/* The whole memory, so that what lies between and behind the rows is looked at too. */
struct memory {
	struct stile_buffer *buffer;
	uint8_t *bytes;
	uint64_t count;
};

static struct memory map(struct stile_image *image) {
	struct memory memory = { .buffer = stile_image_get_buffer(image, 0) };
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(memory.buffer, BOTH, &address), 0);
	memory.bytes = address;
	memory.count = stile_buffer_get_bytes(memory.buffer);
	return memory;
}

static void unmap(struct memory *memory) {
	stile_buffer_munmap(memory->buffer, memory->bytes);
}

static uint8_t *expected_bytes(uint64_t count, uint8_t with) {
	uint8_t *bytes = malloc(count);
	ck_assert_ptr_nonnull(bytes);
	memset(bytes, with, count);
	return bytes;
}

static void check_bytes(const struct memory *memory, const uint8_t *expected) {
	if (memcmp(memory->bytes, expected, memory->count) == 0) {
		return;
	}
	uint64_t i = 0;
	while (memory->bytes[i] == expected[i]) {
		i++;
	}
	ck_abort_msg("byte %llu is 0x%02x instead of 0x%02x", (unsigned long long)i,
		memory->bytes[i], expected[i]);
}

/* Wrong code: padding overwritten, the last pixel forgotten, the bytes of a sample turned round. */
START_TEST(fill_sets_every_sample_and_nothing_else) {
	uint32_t fourcc;
	struct stile_image *image = create_case(_i, &fourcc);
	const struct stile_image_info *info = stile_image_get_info(image);
	const struct stile_format *format = stile_format_get(fourcc);
	struct memory memory = map(image);
	memset(memory.bytes, 0xa5, memory.count);
	uint8_t *expected = expected_bytes(memory.count, 0xa5);

	for (uint32_t plane = 0; plane < info->plane_count; plane++) {
		uint32_t sample = format->planes[plane].bytes;
		uint32_t value = 0x44332211 + plane * 0x05050505;
		value &= UINT32_MAX >> (32 - 8 * sample);
		struct stile_fence *fence;
		ck_assert_int_eq(stile_swgpu_fill(device, image, plane, value, &fence), 0);
		ck_assert_int_eq(finish(fence), 1);
		uint64_t row = format_row_bytes(format, plane, info->width);
		for (uint32_t y = 0; y < info->height / format->planes[plane].vsub; y++) {
			for (uint64_t x = 0; x < row; x++) {
				expected[info->planes[plane].offset +
					y * info->planes[plane].pitch + x] =
					(uint8_t)(value >> (8 * (x % sample)));
			}
		}
		check_bytes(&memory, expected);
	}
	free(expected);
	unmap(&memory);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: the source's pitch used for the target; rows copied with their padding. */
START_TEST(upload_writes_rows_and_nothing_else) {
	uint32_t fourcc;
	struct stile_image *image = create_case(_i, &fourcc);
	const struct stile_image_info *info = stile_image_get_info(image);
	const struct stile_format *format = stile_format_get(fourcc);
	struct memory memory = map(image);
	memset(memory.bytes, 0x5a, memory.count);
	uint8_t *expected = expected_bytes(memory.count, 0x5a);

	for (uint32_t plane = 0; plane < info->plane_count; plane++) {
		size_t row = (size_t)format_row_bytes(format, plane, info->width), pitch = row + 3;
		uint32_t rows = info->height / format->planes[plane].vsub;
		uint8_t *pixels = malloc(pitch * rows);
		ck_assert_ptr_nonnull(pixels);
		for (size_t i = 0; i < pitch * rows; i++) {
			pixels[i] = (uint8_t)(i * 7 + plane);
		}
		/* Of the last row, only what is there may be read: the sanitizer sees the rest. */
		uint8_t *exact = malloc(pitch * (rows - 1) + row);
		ck_assert_ptr_nonnull(exact);
		memcpy(exact, pixels, pitch * (rows - 1) + row);
		struct stile_fence *fence;
		ck_assert_int_eq(stile_swgpu_upload(device, image, plane, exact, pitch, &fence), 0);
		ck_assert_int_eq(finish(fence), 1);
		for (uint32_t y = 0; y < rows; y++) {
			memcpy(expected + info->planes[plane].offset +
					(size_t)y * info->planes[plane].pitch,
				pixels + y * pitch, row);
		}
		check_bytes(&memory, expected);
		free(exact);
		free(pixels);
	}
	free(expected);
	unmap(&memory);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: only the first plane copied; the pitches taken for equal. */
START_TEST(copy_takes_all_planes_whatever_the_pitch) {
	uint32_t fourcc;
	struct stile_image *from = create_case(_i, &fourcc);
	const struct stile_image_info *info = stile_image_get_info(from);
	const struct stile_format *format = stile_format_get(fourcc);

	/* The target has wider rows, and begins further down. */
	int fd = memory_create(4 << 20, F_SEAL_SHRINK);
	struct stile_image_info wide = *info;
	for (uint32_t i = 0; i < wide.plane_count; i++) {
		wide.planes[i].fd = fd;
		wide.planes[i].pitch = info->planes[i].pitch + 48;
		wide.planes[i].offset = 4096 + i * UINT64_C(0x100000);
	}
	struct stile_image *to;
	ck_assert_int_eq(stile_image_import(device, &wide, NULL, &to), 0);
	close(fd);

	struct memory source = map(from), target = map(to);
	for (uint64_t i = 0; i < source.count; i++) {
		source.bytes[i] = (uint8_t)(i * 13 + i / 251);
	}
	struct stile_fence *fence;
	ck_assert_int_eq(stile_swgpu_copy(device, from, to, &fence), 0);
	ck_assert_int_eq(finish(fence), 1);

	uint8_t *expected = expected_bytes(target.count, 0);
	for (uint32_t plane = 0; plane < info->plane_count; plane++) {
		size_t row = (size_t)format_row_bytes(format, plane, info->width);
		for (uint32_t y = 0; y < info->height / format->planes[plane].vsub; y++) {
			memcpy(expected + wide.planes[plane].offset +
					(size_t)y * wide.planes[plane].pitch,
				source.bytes + info->planes[plane].offset +
					(size_t)y * info->planes[plane].pitch,
				row);
		}
	}
	check_bytes(&target, expected);
	free(expected);
	unmap(&source);
	unmap(&target);
	stile_image_unref(from);
	stile_image_unref(to);
}
END_TEST

/* The first sample, as a device sees it. */
static unsigned seen_by(struct stile_device *seer, struct stile_image *image) {
	uint8_t sample;
	struct stile_swgpu_list *list;
	struct stile_fence *fence;
	ck_assert_int_eq(stile_swgpu_list_create(seer, &list), 0);
	ck_assert_int_eq(stile_swgpu_list_download(list, image, 0, &sample, sizeof(sample)), 0);
	ck_assert_int_eq(stile_swgpu_submit(stile_swgpu_get_queue(seer), list, NULL, &fence), 0);
	ck_assert_int_eq(finish(fence), 1);
	return sample;
}

/* Wrong code: what one wrote stays in its cache; the other one has what was there before in its own. */
START_TEST(device_sees_what_another_one_wrote_whatever_their_caches) {
	const struct stile_device_info info = { .size = sizeof(info), .options = "coherent=no" };
	struct stile_device *devices[2];
	ck_assert_int_eq(stile_device_open("swgpu", &info, &devices[0]), 0);
	ck_assert_int_eq(stile_device_open("swgpu", &info, &devices[1]), 0);
	struct stile_image *image = create(DRM_FORMAT_R8, 1, 1);
	for (unsigned value = 1; value < 6; value++) {
		struct stile_fence *fence;
		ck_assert_int_eq(stile_swgpu_fill(devices[value % 2], image, 0, value, &fence), 0);
		ck_assert_int_eq(finish(fence), 1);
		ck_assert_uint_eq(seen_by(devices[0], image), value);
		ck_assert_uint_eq(seen_by(devices[1], image), value);
		ck_assert_uint_eq(seen_by(device, image), value);
	}
	stile_image_unref(image);
	stile_device_destroy(devices[0]);
	stile_device_destroy(devices[1]);
}
END_TEST

/* The first four bytes of two rows, 64 bytes apart, by either command. */
static void record_rows(struct stile_swgpu_list *list, struct stile_image *image, bool by_copy) {
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	const struct stile_swgpu_rect part = { 0, 0, 4, 2 };
	const struct stile_swgpu_strided rows = { .size = sizeof(rows),
		.from = buffer,
		.to = buffer,
		.from_offset = 128,
		.from_pitch = 4,
		.to_pitch = 64,
		.row_bytes = 4,
		.rows = 2 };
	if (by_copy) {
		ck_assert_int_eq(stile_swgpu_list_fill_buffer(list, buffer, 128, 8, 0x01010101), 0);
		ck_assert_int_eq(stile_swgpu_list_copy_buffer(list, &rows), 0);
	} else {
		ck_assert_int_eq(stile_swgpu_list_fill(list, image, 0, &part, 1), 0);
	}
}

/*
 * Wrong code: what is between the rows that one writes is written back, too, over what the other one wrote
 * there.
 */
START_TEST(devices_may_write_beside_each_other) {
	struct stile_device *cached = gpu_open("coherent=no implicit_sync=no");
	struct stile_device *other = gpu_open("implicit_sync=no");
	struct stile_image *image = create(DRM_FORMAT_R8, 64, 2);
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	struct gpu_blocker blocker = { 0 };
	struct stile_swgpu_list *between = gpu_block(other, &blocker), *list;
	ck_assert_int_eq(stile_swgpu_list_fill_buffer(between, buffer, 4, 4, 0x02020202), 0);
	struct stile_fence *fence = gpu_submit(stile_swgpu_get_queue(other), between);
	gpu_blocker_await(&blocker, 1);
	ck_assert_int_eq(stile_swgpu_list_create(cached, &list), 0);
	record_rows(list, image, _i == 0);
	ck_assert_int_eq(gpu_finish(gpu_submit(stile_swgpu_get_queue(cached), list)), 1);
	gpu_blocker_open(&blocker);
	ck_assert_int_eq(gpu_finish(fence), 1);
	struct memory memory = map(image);
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, STILE_USAGE_READ, 0, NULL), 0);
	ck_assert_mem_eq(memory.bytes, "\1\1\1\1\2\2\2\2", 8);
	ck_assert_mem_eq(memory.bytes + 64, "\1\1\1\1", 4);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, STILE_USAGE_READ), 0);
	unmap(&memory);
	stile_image_unref(image);
	stile_device_destroy(cached);
	stile_device_destroy(other);
}
END_TEST

/* ---- Order --------------------------------------------------------------------------------- */

struct order {
	struct stile_callback callback;
	int *clock;
	int at;
};

static void order_run(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct order *order = CONTAINER_OF(callback, struct order, callback);
	order->at = ++*order->clock;
}

/* F-25. Wrong code: commands that overtake each other; seqnos that fall; a context each. */
START_TEST(commands_end_in_the_order_of_submission) {
	enum { COUNT = 20 };
	struct stile_fence *hold = plain_fence_create(), *gate, *fences[COUNT];
	struct stile_image *image = create(DRM_FORMAT_R8, 16, 16);
	struct order orders[COUNT];
	int clock = 0;
	ck_assert_int_eq(stile_swgpu_gate(device, hold, &gate), 0);
	for (uint32_t i = 0; i < COUNT; i++) {
		ck_assert_int_eq(stile_swgpu_fill(device, image, 0, i, &fences[i]), 0);
		orders[i] = (struct order){ .clock = &clock };
		ck_assert_int_eq(
			stile_fence_add_callback(fences[i], &orders[i].callback, order_run), 0);
	}
	stile_fence_signal(hold);
	ck_assert_int_eq(plain_fence_finish(fences[COUNT - 1]), 1);
	struct memory memory = map(image);
	ck_assert_uint_eq(memory.bytes[0], COUNT - 1);
	unmap(&memory);
	for (int i = 0; i < COUNT; i++) {
		/* Its callback has run as soon as this returns: taken back is too late. */
		ck_assert(!stile_fence_remove_callback(fences[i], &orders[i].callback));
		ck_assert_int_eq(orders[i].at, i + 1);
		ck_assert_int_eq(stile_fence_get_status(fences[i]), 1);
		ck_assert_uint_eq(
			stile_fence_get_context(fences[i]), stile_fence_get_context(gate));
		ck_assert_uint_eq(stile_fence_get_seqno(fences[i]),
			stile_fence_get_seqno(gate) + (uint64_t)i + 1);
		stile_fence_unref(fences[i]);
	}
	stile_fence_unref(gate);
	stile_fence_unref(hold);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: a gate that only delays; one that lets what comes after it through. */
START_TEST(gate_holds_the_queue_until_its_fence_is_signalled) {
	struct stile_fence *hold = plain_fence_create(), *gate, *fill;
	struct stile_image *image = create(DRM_FORMAT_R8, 1, 1);
	ck_assert_int_eq(stile_swgpu_gate(device, hold, &gate), 0);
	ck_assert_int_eq(stile_swgpu_fill(device, image, 0, 0x77, &fill), 0);
	runner_sleep_ms(20);
	struct memory memory = map(image);
	ck_assert_uint_eq(memory.bytes[0], 0);
	ck_assert_int_eq(stile_fence_get_status(gate), 0);
	ck_assert_int_eq(stile_fence_get_status(fill), 0);
	stile_fence_signal(hold);
	ck_assert_int_eq(finish(fill), 1);
	ck_assert_int_eq(finish(gate), 1);
	ck_assert_uint_eq(memory.bytes[0], 0x77);
	unmap(&memory);
	stile_fence_unref(hold);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: the error lost, or spread to commands that do not depend on it. */
START_TEST(gate_with_an_error_opens_and_carries_it) {
	struct stile_fence *hold = plain_fence_create(), *gate, *fill;
	struct stile_image *image = create(DRM_FORMAT_R8, 1, 1);
	stile_fence_set_error(hold, -EIO);
	if (_i == 0) {
		stile_fence_signal(hold);
	}
	ck_assert_int_eq(stile_swgpu_gate(device, hold, &gate), 0);
	ck_assert_int_eq(stile_swgpu_fill(device, image, 0, 1, &fill), 0);
	stile_fence_signal(hold);
	ck_assert_int_eq(finish(gate), -EIO);
	ck_assert_int_eq(finish(fill), 1);
	stile_fence_unref(hold);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: no reference, so that the status is read from a fence that has gone. */
START_TEST(gate_keeps_what_it_waits_for) {
	struct stile_fence *hold = plain_fence_create(), *gate;
	ck_assert_int_eq(stile_swgpu_gate(device, hold, &gate), 0);
	stile_fence_set_error(hold, -EIO);
	stile_fence_signal(hold);
	stile_fence_unref(hold);
	ck_assert_int_eq(finish(gate), -EIO);
}
END_TEST

/* By another queue. Wrong code: a deadlock between the two queues' locks. */
START_TEST(queues_can_wait_for_each_other) {
	struct stile_device *other;
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &other), 0);
	struct stile_fence *last = plain_fence_create(), *hold = last;
	for (int i = 0; i < 100; i++) {
		struct stile_fence *next;
		ck_assert_int_eq(stile_swgpu_gate(i % 2 == 0 ? device : other, last, &next), 0);
		if (last != hold) {
			stile_fence_unref(last);
		}
		last = next;
	}
	stile_fence_signal(hold);
	ck_assert_int_eq(finish(last), 1);
	stile_fence_unref(hold);
	stile_device_destroy(other);
}
END_TEST

/* Wrong code: a fence made although nobody wants it; the image gone before the command ran. */
START_TEST(fence_need_not_be_taken_nor_the_image_kept) {
	struct stile_fence *hold = plain_fence_create(), *last;
	struct stile_image *image = create(DRM_FORMAT_XRGB8888, 64, 64);
	struct stile_image *copy = create(DRM_FORMAT_XRGB8888, 64, 64);
	ck_assert_int_eq(stile_swgpu_gate(device, hold, NULL), 0);
	ck_assert_int_eq(stile_swgpu_fill(device, image, 0, 0x01020304, NULL), 0);
	ck_assert_int_eq(stile_swgpu_copy(device, image, copy, &last), 0);
	stile_image_unref(image);
	stile_fence_signal(hold);
	stile_fence_unref(hold);
	ck_assert_int_eq(finish(last), 1);
	struct memory memory = map(copy);
	ck_assert_uint_eq(memory.bytes[0], 4);
	unmap(&memory);
	stile_image_unref(copy);
}
END_TEST

/* ---- The end ------------------------------------------------------------------------------- */

/* Wrong code: waits for ever; leaves fences pending; runs what was cancelled. */
START_TEST(destroy_cancels_what_has_not_begun) {
	struct stile_fence *hold = plain_fence_create(), *gate, *fills[10];
	struct stile_image *image = create(DRM_FORMAT_R8, 1, 1);
	ck_assert_int_eq(stile_swgpu_gate(device, hold, &gate), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(fills); i++) {
		ck_assert_int_eq(stile_swgpu_fill(device, image, 0, 0x77, &fills[i]), 0);
	}
	if (_i == 0) {
		/* So that the gate is being executed. */
		runner_sleep_ms(10);
	}
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(stile_fence_get_status(gate), -ECANCELED);
	for (size_t i = 0; i < ARRAY_LENGTH(fills); i++) {
		ck_assert_int_eq(stile_fence_get_status(fills[i]), -ECANCELED);
		stile_fence_unref(fills[i]);
	}
	struct memory memory = map(image);
	ck_assert_uint_eq(memory.bytes[0], 0);
	unmap(&memory);
	/* Nobody waits for it any more. */
	stile_fence_signal(hold);
	stile_fence_unref(hold);
	stile_fence_unref(gate);
	stile_image_unref(image);
}
END_TEST

static void *signal_run(void *arg) {
	failing_linger(1);
	stile_fence_signal(arg);
	return NULL;
}

/* Wrong code: a gate's callback that runs into a queue that has gone; the sanitizers see it. */
START_TEST(destroy_against_the_opening_of_a_gate) {
	for (int round = 0; round < 30; round++) {
		struct stile_device *other;
		ck_assert_int_eq(stile_device_open("swgpu", NULL, &other), 0);
		struct stile_fence *hold = plain_fence_create(), *gate;
		ck_assert_int_eq(stile_swgpu_gate(other, hold, &gate), 0);
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, signal_run, hold), 0);
		stile_device_destroy(other);
		int status = stile_fence_get_status(gate);
		ck_assert_msg(status == 1 || status == -ECANCELED, "%d", status);
		pthread_join(thread, NULL);
		stile_fence_unref(gate);
		stile_fence_unref(hold);
	}
}
END_TEST

/* ---- Errors -------------------------------------------------------------------------------- */

START_TEST(value_that_does_not_fit_is_einval) {
	static const struct {
		uint32_t fourcc, plane, value;
		int ret;
	} cases[] = {
		{ DRM_FORMAT_R8, 0, 0xff, 0 },
		{ DRM_FORMAT_R8, 0, 0x100, -EINVAL },
		{ DRM_FORMAT_NV12, 1, 0xffff, 0 },
		{ DRM_FORMAT_NV12, 1, 0x10000, -EINVAL },
		{ DRM_FORMAT_NV12, 0, 0x100, -EINVAL },
		{ DRM_FORMAT_XRGB8888, 0, UINT32_MAX, 0 },
		{ DRM_FORMAT_XRGB8888, 1, 0, -EINVAL },
		{ DRM_FORMAT_NV12, 2, 0, -EINVAL },
		{ DRM_FORMAT_NV12, UINT32_MAX, 0, -EINVAL },
	};
	struct stile_image *image = create(cases[_i].fourcc, 2, 2);
	struct stile_fence *fence = (struct stile_fence *)image;
	ck_assert_int_eq(stile_swgpu_fill(device, image, cases[_i].plane, cases[_i].value, &fence),
		cases[_i].ret);
	ck_assert_int_eq(fence == NULL, cases[_i].ret < 0);
	stile_fence_unref(fence);
	stile_image_unref(image);
}
END_TEST

START_TEST(upload_with_a_short_pitch_is_einval) {
	struct stile_image *image = create(DRM_FORMAT_XRGB8888, 3, 1);
	struct stile_fence *fence = (struct stile_fence *)image;
	const uint32_t pixels[3] = { 1, 2, 3 };
	ck_assert_int_eq(stile_swgpu_upload(device, image, 0, pixels, 11, &fence), -EINVAL);
	ck_assert_ptr_null(fence);
	ck_assert_int_eq(stile_swgpu_upload(device, image, 1, pixels, 12, &fence), -EINVAL);
	ck_assert_int_eq(stile_swgpu_upload(device, image, 0, pixels, 12, &fence), 0);
	ck_assert_int_eq(finish(fence), 1);
	stile_image_unref(image);
}
END_TEST

START_TEST(copy_between_different_pictures_is_einval) {
	struct stile_image *from = create(DRM_FORMAT_XRGB8888, 8, 8);
	struct stile_image *others[] = { create(DRM_FORMAT_ARGB8888, 8, 8),
		create(DRM_FORMAT_XRGB8888, 9, 8), create(DRM_FORMAT_XRGB8888, 8, 7),
		create(DRM_FORMAT_NV12, 8, 8) };
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
		struct stile_fence *fence = (struct stile_fence *)from;
		ck_assert_int_eq(stile_swgpu_copy(device, from, others[i], &fence), -EINVAL);
		ck_assert_ptr_null(fence);
		ck_assert_int_eq(stile_swgpu_copy(device, others[i], from, &fence), -EINVAL);
		stile_image_unref(others[i]);
	}
	stile_image_unref(from);
}
END_TEST

/* Wrong code: a write through a read-only mapping, which is a SIGSEGV on the queue's thread. */
START_TEST(read_only_image_is_not_written) {
	struct stile_image *image = create_read_only();
	struct stile_image *to = create(DRM_FORMAT_R8, 8, 8);
	struct stile_fence *fence = (struct stile_fence *)image;
	ck_assert_int_eq(stile_swgpu_fill(device, image, 0, 1, &fence), -EACCES);
	ck_assert_ptr_null(fence);
	ck_assert_int_eq(stile_swgpu_upload(device, image, 0, "12345678", 8, &fence), -EACCES);
	ck_assert_int_eq(stile_swgpu_copy(device, to, image, &fence), -EACCES);
	ck_assert_int_eq(stile_swgpu_copy(device, image, to, &fence), 0);
	ck_assert_int_eq(finish(fence), 1);
	stile_image_unref(to);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: another backend's state taken for a queue. */
START_TEST(device_of_another_backend_is_einval) {
	static const struct stile_backend_ops other_ops = { .name = "other" };
	struct stile_device other = { .ops = &other_ops, .refs = 1 };
	struct stile_image *image = create(DRM_FORMAT_R8, 1, 1);
	struct stile_fence *hold = plain_fence_create(), *fence = hold;
	ck_assert_int_eq(stile_swgpu_fill(&other, image, 0, 1, &fence), -EINVAL);
	ck_assert_ptr_null(fence);
	ck_assert_int_eq(stile_swgpu_copy(&other, image, image, &fence), -EINVAL);
	ck_assert_int_eq(stile_swgpu_upload(&other, image, 0, "x", 1, &fence), -EINVAL);
	ck_assert_int_eq(stile_swgpu_gate(&other, hold, &fence), -EINVAL);
	stile_fence_unref(hold);
	stile_image_unref(image);
}
END_TEST

struct attempt {
	struct stile_image *from, *to;
	struct stile_fence *hold, *fence;
};

static int attempt_fill(void *user) {
	struct attempt *attempt = user;
	return stile_swgpu_fill(device, attempt->to, 0, 1, &attempt->fence);
}

static int attempt_copy(void *user) {
	struct attempt *attempt = user;
	return stile_swgpu_copy(device, attempt->from, attempt->to, &attempt->fence);
}

static int attempt_upload(void *user) {
	struct attempt *attempt = user;
	return stile_swgpu_upload(device, attempt->to, 0, "xx", 2, &attempt->fence);
}

static int attempt_gate(void *user) {
	struct attempt *attempt = user;
	return stile_swgpu_gate(device, attempt->hold, &attempt->fence);
}

static void after_command(void *user, int ret) {
	struct attempt *attempt = user;
	ck_assert_int_eq(attempt->fence == NULL, ret < 0);
	if (ret == 0) {
		ck_assert_int_eq(finish(attempt->fence), 1);
	}
}

START_TEST(every_failure_is_survived) {
	static const struct {
		int (*attempt)(void *user);
		unsigned calls; /* at least: the first use of an image attaches and maps it */
	} commands[] = {
		{ attempt_fill, 4 },
		{ attempt_copy, 5 },
		{ attempt_upload, 4 },
		{ attempt_gate, 1 },
	};
	static const int errors[] = { -ENOMEM, -EMFILE, 0 };
	struct attempt attempt = {
		.from = create(DRM_FORMAT_R8, 2, 1),
		.to = create(DRM_FORMAT_R8, 2, 1),
		.hold = plain_fence_create(),
	};
	stile_fence_signal(attempt.hold);
	ck_assert_uint_ge(failing_sweep(commands[_i].attempt, after_command, &attempt, errors),
		commands[_i].calls);
	stile_fence_unref(attempt.hold);
	stile_image_unref(attempt.from);
	stile_image_unref(attempt.to);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("swgpu");
	TCase *bytes = ledger_tcase_create("bytes");
	tcase_add_checked_fixture(bytes, setup, teardown);
	tcase_add_loop_test(bytes, fill_sets_every_sample_and_nothing_else, 0, BYTE_CASES);
	tcase_add_loop_test(bytes, upload_writes_rows_and_nothing_else, 0, BYTE_CASES);
	tcase_add_loop_test(bytes, copy_takes_all_planes_whatever_the_pitch, 0, BYTE_CASES);
	tcase_add_test(bytes, device_sees_what_another_one_wrote_whatever_their_caches);
	tcase_add_loop_test(bytes, devices_may_write_beside_each_other, 0, 2);
	suite_add_tcase(s, bytes);

	TCase *order = ledger_tcase_create("order");
	tcase_add_checked_fixture(order, setup, teardown);
	tcase_add_test(order, commands_end_in_the_order_of_submission);
	tcase_add_test(order, gate_holds_the_queue_until_its_fence_is_signalled);
	tcase_add_loop_test(order, gate_with_an_error_opens_and_carries_it, 0, 2);
	tcase_add_test(order, gate_keeps_what_it_waits_for);
	tcase_add_test(order, queues_can_wait_for_each_other);
	tcase_add_test(order, fence_need_not_be_taken_nor_the_image_kept);
	suite_add_tcase(s, order);

	TCase *end = ledger_tcase_create("end");
	tcase_add_checked_fixture(end, setup, teardown);
	tcase_add_loop_test(end, destroy_cancels_what_has_not_begun, 0, 2);
	tcase_add_test(end, destroy_against_the_opening_of_a_gate);
	suite_add_tcase(s, end);

	TCase *errors = ledger_tcase_create("errors");
	tcase_add_checked_fixture(errors, setup, teardown);
	tcase_add_loop_test(errors, value_that_does_not_fit_is_einval, 0, 9);
	tcase_add_test(errors, upload_with_a_short_pitch_is_einval);
	tcase_add_test(errors, copy_between_different_pictures_is_einval);
	tcase_add_test(errors, read_only_image_is_not_written);
	tcase_add_test(errors, device_of_another_backend_is_einval);
	tcase_add_loop_test(errors, every_failure_is_survived, 0, 4);
	suite_add_tcase(s, errors);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
