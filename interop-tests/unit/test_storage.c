/* SPDX-License-Identifier: MIT */
/*
 * Where the software GPU has the bytes of its buffers, and how they move: DESIGN section 6, KERNEL_CONTRACT
 * T-7, T-8, T-10. The devices are deterministic: nothing happens but when the test steps or waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stile/attachment.h>
#include <stile/buffer.h>
#include <stile/exporter.h>
#include <stile/resv.h>
#include <stile/swgpu_list.h>
#include <stile/swgpu_test.h>

#include "backends/swgpu/bus.h"
#include "backends/swgpu/frames.h"
#include "backends/swgpu/storage.h"
#include "backends/swgpu/swgpu.h"
#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum { READ = STILE_USAGE_READ, BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE, PAGE = 4096 };

#define HANG_NS INT64_C(60000000000)

/* One with memory of its own, and one that cannot reach it. */
static struct stile_device *gpu, *other;

static void setup(void) {
	gpu = gpu_open("local_memory=32K seed=1");
	other = gpu_open("seed=1");
}

static void teardown(void) {
	stile_device_destroy(gpu);
	stile_device_destroy(other);
}

/* ---- Buffers and who uses them ------------------------------------------------------------- */

static struct stile_buffer *create(struct stile_device *device, uint64_t bytes) {
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = bytes };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	return buffer;
}

/* Have a device set all bytes, behind a fence that may be NULL. */
static int submit_fill(struct stile_device *device, struct stile_buffer *buffer,
	unsigned char value, struct stile_fence *behind, struct stile_fence **out) {
	struct stile_swgpu_list *list;
	const struct stile_swgpu_submit_info info = {
		.size = sizeof(info),
		.waits = &behind,
		.wait_count = behind != NULL,
	};
	*out = NULL;
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	int ret = stile_swgpu_list_fill_buffer(
		list, buffer, 0, stile_buffer_get_bytes(buffer), value * 0x01010101u);
	if (ret == 0) {
		ret = stile_swgpu_submit(stile_swgpu_get_queue(device), list, &info, out);
	}
	if (ret < 0) {
		stile_swgpu_list_destroy(list);
	}
	return ret;
}

static void fill(struct stile_device *device, struct stile_buffer *buffer, unsigned char value) {
	struct stile_fence *fence;
	ck_assert_int_eq(submit_fill(device, buffer, value, NULL, &fence), 0);
	ck_assert_int_eq(gpu_finish(fence), 1);
}

static bool is_filled(const unsigned char *memory, uint64_t bytes, unsigned char value) {
	uint64_t i = 0;
	while (i < bytes && memory[i] == value) {
		i++;
	}
	return i == bytes;
}

/* All bytes, as the CPU sees them when those before have ended, are the same. */
static void check_filled(struct stile_buffer *buffer, unsigned char value) {
	struct stile_map map;
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, READ, INT64_MAX, NULL), 0);
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	ck_assert(is_filled(map.address, stile_buffer_get_bytes(buffer), value));
	stile_buffer_vunmap_unlocked(buffer, &map);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, READ), 0);
}

static struct stile_attachment *attach(struct stile_device *device, struct stile_buffer *buffer,
	const struct stile_importer_ops *importer, void *priv) {
	const struct stile_attach_info info = {
		.size = sizeof(info),
		.device = device,
		.usage = BOTH,
		.importer = importer,
		.priv = priv,
	};
	struct stile_report report = { .size = sizeof(report) };
	struct stile_attachment *attachment;
	int ret = stile_buffer_attach(buffer, &info, &report, &attachment);
	ck_assert_msg(ret == 0, "%s", report.text);
	return attachment;
}

static const struct stile_importer_ops deaf = { .size = sizeof(deaf) };

/* How often does another device's first mapping make it move? Whoever cannot wait maps only. */
static int map_elsewhere(struct stile_buffer *buffer) {
	struct stile_attachment *attachment = attach(other, buffer, &deaf, NULL);
	const struct stile_sg *sg;
	int ret = stile_attachment_map_unlocked(attachment, STILE_BIDIRECTIONAL, 0, NULL, &sg);
	if (ret == 0) {
		stile_attachment_unmap_unlocked(attachment, sg, STILE_BIDIRECTIONAL);
	}
	stile_buffer_detach(buffer, attachment);
	return ret;
}

static struct stile_swgpu_memory memory_of(struct stile_device *device) {
	struct stile_swgpu_memory memory = { .size = sizeof(memory) };
	ck_assert_int_eq(stile_swgpu_get_memory(device, &memory), 0);
	return memory;
}

/* Do all that can be done. */
static void finish_all(struct stile_device *device) {
	while (stile_swgpu_step(device) == 1) {
	}
}

static void add_fence(
	struct stile_buffer *buffer, struct stile_fence *fence, enum stile_resv_usage usage) {
	struct stile_resv *resv = stile_buffer_get_resv(buffer);
	ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
	ck_assert_int_eq(stile_resv_reserve_fences(resv, 1), 0);
	ck_assert_int_eq(stile_resv_add_fence(resv, fence, usage), 0);
	stile_resv_unlock(resv);
}

static bool is_moving(struct stile_buffer *buffer) {
	return !stile_resv_test_signaled(stile_buffer_get_resv(buffer), STILE_RESV_KERNEL);
}

static uint64_t address_of(const struct stile_sg *sg) {
	uint64_t address, bytes;
	ck_assert_int_eq(stile_sg_find(sg, 0, &address, &bytes), 0);
	return address;
}

static bool device_may_at(struct stile_device *device, uint64_t address, enum bus_access access,
	unsigned char *byte) {
	struct bus_fault fault;
	return bus_access(swgpu_get(device)->bus, address, byte, 1, access, &fault);
}

/* Does the device reach the first byte so? */
static bool device_may(struct stile_device *device, const struct stile_sg *sg,
	enum bus_access access, unsigned char *byte) {
	return device_may_at(device, address_of(sg), access, byte);
}

/* Where the device has it. */
static uint64_t get_address(struct stile_device *device, struct stile_buffer *buffer) {
	struct stile_attachment *attachment = attach(device, buffer, &deaf, NULL);
	const struct stile_sg *sg;
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg), 0);
	uint64_t address = address_of(sg);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	stile_buffer_detach(buffer, attachment);
	return address;
}

/* ---- Choosing ------------------------------------------------------------------------------ */

/* DESIGN 6. Wrong code: local memory for nobody; what is used never counted back, or not in pages. */
START_TEST(what_only_the_device_uses_is_in_its_memory) {
	struct stile_buffer *buffer = create(gpu, PAGE + 1);
	ck_assert_uint_eq(memory_of(gpu).used, 0);
	fill(gpu, buffer, 1);
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_LOCAL);
	ck_assert_uint_eq(memory_of(gpu).bytes, 8 * PAGE);
	ck_assert_uint_eq(memory_of(gpu).used, 2 * PAGE);
	ck_assert_uint_eq(memory_of(gpu).largest, 6 * PAGE);
	ck_assert_uint_eq(memory_of(gpu).moves, 0);
	check_filled(buffer, 1);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(memory_of(gpu).used, 0);
	ck_assert_uint_eq(memory_of(gpu).largest, 8 * PAGE);
}
END_TEST

/* T-4, T-8. Wrong code: an unmap that lets go of what the buffer has; a device that goes on afterwards. */
START_TEST(device_reaches_it_while_it_is_mapped) {
	struct stile_buffer *buffer = create(gpu, PAGE);
	struct stile_attachment *attachment = attach(gpu, buffer, &deaf, NULL);
	const struct stile_sg *sg;
	unsigned char byte = 7;
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_FROM_DEVICE, 0, NULL, &sg), 0);
	ck_assert(device_may(gpu, sg, BUS_WRITE, &byte));
	ck_assert(!device_may(gpu, sg, BUS_READ, &byte));
	stile_attachment_unmap_unlocked(attachment, sg, STILE_FROM_DEVICE);
	ck_assert_uint_eq(memory_of(gpu).used, PAGE);
	/* The table is the storage's, and stays. */
	ck_assert(!device_may(gpu, sg, BUS_WRITE, &byte));
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg), 0);
	byte = 0;
	ck_assert(device_may(gpu, sg, BUS_READ, &byte));
	ck_assert_uint_eq(byte, 7);
	ck_assert(!device_may(gpu, sg, BUS_WRITE, &byte));
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	ck_assert(!device_may(gpu, sg, BUS_READ, &byte));
	stile_buffer_detach(buffer, attachment);
	stile_buffer_unref(buffer);
}
END_TEST

static const char *const in_pieces[] = { "frame_run=1 seed=1", "frame_run=1 iommu=yes seed=1",
	"frame_run=3 max_segment=4K coherent=no seed=1" };

/* T-6. Wrong code: all pieces are the first one, in memory or on the bus. */
START_TEST(device_writes_all_pieces) {
	struct stile_device *device = gpu_open(in_pieces[_i]);
	struct stile_buffer *buffer = create(device, 7 * PAGE);
	fill(device, buffer, 5);
	check_filled(buffer, 5);
	stile_buffer_unref(buffer);
	stile_device_destroy(device);
}
END_TEST

/* DESIGN 6. Wrong code: what is gone still has its place on the bus, until a narrow device finds none. */
START_TEST(system_memory_is_given_back) {
	struct stile_device *narrow = gpu_open("address_bits=22 seed=1");
	for (int i = 0; i < 20; i++) {
		struct stile_buffer *buffer = create(narrow, 256 * PAGE);
		fill(narrow, buffer, 1);
		stile_buffer_unref(buffer);
	}
	stile_device_destroy(narrow);
}
END_TEST

/* T-10. Wrong code: only the one who needs it is looked at, not all who are attached. */
START_TEST(what_others_use_too_is_where_they_reach_it) {
	struct stile_buffer *buffer = create(gpu, PAGE);
	struct stile_attachment *attachment = attach(other, buffer, &deaf, NULL);
	fill(gpu, buffer, 1);
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_SYSTEM);
	stile_buffer_detach(buffer, attachment);
	stile_buffer_unref(buffer);
}
END_TEST

/*
 * T-1, T-10. Wrong code: what an importer needs beyond its device forgotten where the device's own memory is
 * chosen; the piece that does not do taken for ever.
 */
START_TEST(own_memory_is_not_for_those_who_need_more) {
	static const struct stile_constraints needs[] = {
		{ .size = sizeof(needs[0]), .address_bits = 32 },
		{ .size = sizeof(needs[0]), .max_segment = PAGE },
		{ .size = sizeof(needs[0]), .max_segment = 2 * PAGE },
	};
	struct stile_buffer *buffer = create(gpu, 2 * PAGE);
	const struct stile_attach_info info = {
		.size = sizeof(info),
		.device = gpu,
		.usage = BOTH,
		.constraints = &needs[_i],
	};
	struct stile_attachment *attachment;
	const struct stile_sg *sg;
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, NULL, &attachment), 0);
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg), 0);
	bool local = _i == 2;
	ck_assert_int_eq(
		stile_swgpu_get_placement(buffer), local ? STILE_SWGPU_LOCAL : STILE_SWGPU_SYSTEM);
	ck_assert_uint_eq(memory_of(gpu).used, local ? 2 * PAGE : 0);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	stile_buffer_detach(buffer, attachment);
	stile_buffer_unref(buffer);
}
END_TEST

/* DESIGN 6. Wrong code: a full memory is an error. */
START_TEST(what_the_devices_memory_has_no_room_for_is_elsewhere) {
	struct stile_buffer *first = create(gpu, 7 * PAGE), *second = create(gpu, 2 * PAGE);
	fill(gpu, first, 1);
	fill(gpu, second, 2);
	ck_assert_int_eq(stile_swgpu_get_placement(first), STILE_SWGPU_LOCAL);
	ck_assert_int_eq(stile_swgpu_get_placement(second), STILE_SWGPU_SYSTEM);
	check_filled(second, 2);
	stile_buffer_unref(first);
	stile_buffer_unref(second);
}
END_TEST

/* T-7: cleared. Wrong code: the next one sees what the last one left. */
START_TEST(local_memory_is_cleared_for_the_next_one) {
	struct stile_buffer *buffer = create(gpu, 8 * PAGE);
	fill(gpu, buffer, 7);
	stile_buffer_unref(buffer);
	buffer = create(gpu, 8 * PAGE);
	struct stile_attachment *attachment = attach(gpu, buffer, &deaf, NULL);
	const struct stile_sg *sg;
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg), 0);
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_LOCAL);
	check_filled(buffer, 0);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	stile_buffer_detach(buffer, attachment);
	stile_buffer_unref(buffer);
}
END_TEST

/*
 * T-10. Wrong code: only those attached by now are asked, and the device that makes the memory, whose user
 * is going to be it, cannot reach what it made.
 */
START_TEST(what_the_cpu_needs_first_is_where_its_device_reaches_it) {
	struct stile_device *narrow = gpu_open("address_bits=32 max_segments=1 seed=1");
	struct stile_buffer *buffer = create(narrow, 64 * PAGE);
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	fill(narrow, buffer, 3);
	ck_assert(is_filled(address, 64 * PAGE, 3));
	stile_buffer_munmap(buffer, address);
	stile_buffer_unref(buffer);
	stile_device_destroy(narrow);
}
END_TEST

static const struct {
	struct frames_run runs[3];
	size_t count; /* 0: it came by descriptor */
	struct stile_constraints need;
	bool fits;
} places[] = {
	{ { { 0, PAGE } }, 1, { .address_bits = 64 }, true },
	{ { { 0xfffff000, PAGE } }, 1, { .address_bits = 32 }, true },
	{ { { 0xfffff000, 2 * PAGE } }, 1, { .address_bits = 32 }, false },
	{ { { 0x100000000, PAGE } }, 1, { .address_bits = 32 }, false },
	{ { { 0, PAGE }, { 0x100000000, PAGE } }, 2, { .address_bits = 32 }, false },
	{ { { 0x4000, 5 * PAGE } }, 1, { .segment_align = 0x4000 }, true },
	{ { { 0x1000, 4 * PAGE } }, 1, { .segment_align = 0x4000 }, false },
	{ { { 0x4000, 5 * PAGE }, { 0x10000, PAGE } }, 2, { .segment_align = 0x4000 }, false },
	{ { { 0x4000, 4 * PAGE }, { 0x10000, PAGE } }, 2, { .segment_align = 0x4000 }, true },
	{ { { 0, PAGE }, { 0x4000, PAGE } }, 2, { .max_segments = 1 }, false },
	{ { { 0, PAGE }, { 0x4000, PAGE } }, 2, { .max_segments = 2 }, true },
	{ { { 0, 4 * PAGE } }, 1, { .max_segments = 2, .max_segment = 2 * PAGE }, true },
	{ { { 0, 5 * PAGE } }, 1, { .max_segments = 2, .max_segment = 2 * PAGE }, false },
	{ { { 0 } }, 0, { .address_bits = 33 }, true },
	{ { { 0 } }, 0, { .address_bits = 32 }, false },
	{ { { 0 } }, 0, { .segment_align = PAGE }, true },
	{ { { 0 } }, 0, { .segment_align = 2 * PAGE }, false },
	{ { { 0 } }, 0, { .max_segments = 1 }, true },
};

/* T-7, T-10. Wrong code: off by one in what a device reaches, aligned, in how many pieces. */
START_TEST(device_reaches_what_meets_its_needs) {
	struct frames_run runs[3];
	memcpy(runs, places[_i].runs, sizeof(runs));
	const struct storage storage = {
		.placement = STILE_SWGPU_SYSTEM,
		.runs = places[_i].count == 0 ? NULL : runs,
		.run_count = places[_i].count,
	};
	const char *why_not = NULL;
	ck_assert_int_eq(
		storage_fits(&storage, &places[_i].need, false, &why_not), places[_i].fits);
	ck_assert(places[_i].fits || why_not != NULL);
}
END_TEST

/* swgpu_test.h: STILE_SWGPU_NO_MEMORY. Wrong code: taken for a full local memory; the next one fails, too. */
START_TEST(storage_that_fails_can_be_had_later) {
	struct stile_buffer *buffer = create(gpu, PAGE);
	const struct stile_swgpu_injection injection = {
		.size = sizeof(injection),
		.kind = STILE_SWGPU_NO_MEMORY,
		.at = 1,
	};
	struct stile_fence *fence;
	ck_assert_int_eq(stile_swgpu_inject(gpu, &injection), 0);
	ck_assert_int_eq(submit_fill(gpu, buffer, 1, NULL, &fence), -ENOMEM);
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_NOWHERE);
	fill(gpu, buffer, 1);
	check_filled(buffer, 1);
	stile_buffer_unref(buffer);
}
END_TEST

/* P-5. Wrong code: the offset is that of the arena, or none. */
START_TEST(local_memory_is_mapped_from_the_offset_on) {
	struct stile_buffer *first = create(gpu, PAGE), *buffer = create(gpu, 2 * PAGE);
	unsigned char *all, *second;
	fill(gpu, first, 1);
	fill(gpu, buffer, 2);
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, (void **)&all), 0);
	ck_assert_int_eq(stile_buffer_mmap_range(buffer, BOTH, PAGE, PAGE, (void **)&second), 0);
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_LOCAL);
	ck_assert(is_filled(all, 2 * PAGE, 2));
	second[0] = 9;
	ck_assert_int_eq(all[PAGE], 9);
	stile_buffer_munmap(buffer, second);
	/* The memory is the device's, and stays. */
	ck_assert_int_eq(all[PAGE], 9);
	stile_buffer_munmap(buffer, all);
	stile_buffer_unref(first);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Moving -------------------------------------------------------------------------------- */

/* T-8, T-10. Wrong code: the bytes stay behind, the old place is never given back, the next use goes there. */
START_TEST(buffer_moves_to_where_all_reach_it) {
	struct stile_buffer *buffer = create(gpu, PAGE + 4);
	fill(gpu, buffer, 5);
	ck_assert_int_eq(map_elsewhere(buffer), 0);
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_SYSTEM);
	ck_assert_uint_eq(memory_of(gpu).moves, 1);
	ck_assert(is_moving(buffer));
	ck_assert_uint_eq(memory_of(gpu).used, 2 * PAGE);
	finish_all(gpu);
	ck_assert(!is_moving(buffer));
	ck_assert_uint_eq(memory_of(gpu).used, 0);
	check_filled(buffer, 5);
	ck_assert_int_eq(map_elsewhere(buffer), 0);
	ck_assert_uint_eq(memory_of(gpu).moves, 1);
	fill(gpu, buffer, 6);
	check_filled(buffer, 6);
	stile_buffer_unref(buffer);
}
END_TEST

/* T-8. Wrong code: copied at once, or behind readers and writers only. */
START_TEST(move_waits_for_all_who_use_it) {
	static const enum stile_resv_usage usages[] = {
		STILE_RESV_KERNEL,
		STILE_RESV_WRITE,
		STILE_RESV_READ,
		STILE_RESV_BOOKKEEP,
	};
	struct stile_buffer *buffer = create(gpu, PAGE);
	struct stile_fence *fence = plain_fence_create();
	fill(gpu, buffer, 5);
	add_fence(buffer, fence, usages[_i]);
	ck_assert_int_eq(map_elsewhere(buffer), 0);
	finish_all(gpu);
	ck_assert(is_moving(buffer));
	ck_assert_uint_eq(memory_of(gpu).used, PAGE);
	stile_fence_signal(fence);
	finish_all(gpu);
	ck_assert(!is_moving(buffer));
	ck_assert_uint_eq(memory_of(gpu).used, 0);
	check_filled(buffer, 5);
	stile_fence_unref(fence);
	stile_buffer_unref(buffer);
}
END_TEST

/*
 * T-8. Wrong code: what is under way when the storage moves writes where nobody looks any more, or into
 * memory that is another's by then; the old place kept, because somebody was in the way when it ended.
 */
START_TEST(work_under_way_is_moved_too) {
	struct stile_buffer *buffer = create(gpu, PAGE);
	struct stile_fence *gate = plain_fence_create(), *work;
	fill(gpu, buffer, 5);
	uint64_t address = get_address(gpu, buffer);
	unsigned char byte;
	ck_assert_int_eq(submit_fill(gpu, buffer, 6, gate, &work), 0);
	ck_assert_int_eq(map_elsewhere(buffer), 0);
	finish_all(gpu);
	ck_assert(is_moving(buffer));
	ck_assert_uint_eq(memory_of(gpu).used, PAGE);
	stile_fence_signal(gate);
	if (_i >= 1) {
		/* Whoever has it locked is in the way. */
		ck_assert_int_eq(stile_resv_lock(stile_buffer_get_resv(buffer), NULL, NULL), 0);
	}
	ck_assert_int_eq(gpu_finish(work), 1);
	finish_all(gpu);
	if (_i >= 1) {
		stile_resv_unlock(stile_buffer_get_resv(buffer));
	} else {
		ck_assert(!device_may_at(gpu, address, BUS_READ, &byte));
	}
	if (_i == 2) {
		struct stile_buffer *next = create(gpu, 8 * PAGE);
		get_address(gpu, next);
		ck_assert_int_eq(stile_swgpu_get_placement(next), STILE_SWGPU_LOCAL);
		stile_buffer_unref(next);
	}
	ck_assert_uint_eq(memory_of(gpu).used, 0);
	ck_assert(!device_may_at(gpu, address, BUS_READ, &byte));
	check_filled(buffer, 6);
	stile_fence_unref(gate);
	stile_buffer_unref(buffer);
}
END_TEST

/* An importer that cannot stop at once. */
struct listener {
	struct stile_fence *fence;
	unsigned told;
	bool locked;
};

static void listen(struct stile_attachment *attachment) {
	struct listener *listener = stile_attachment_get_priv(attachment);
	struct stile_resv *resv = stile_buffer_get_resv(stile_attachment_get_buffer(attachment));
	listener->told++;
	listener->locked = stile_resv_is_locked(resv);
	if (listener->fence != NULL) {
		runner_require(stile_resv_reserve_fences(resv, 1) == 0 &&
				stile_resv_add_fence(resv, listener->fence, STILE_RESV_BOOKKEEP) ==
					0,
			"cannot add a fence");
	}
}

static const struct stile_importer_ops listening = {
	.size = sizeof(listening),
	.move_notify = listen,
};

/*
 * T-8. Wrong code: importers are told of nothing, or when it is too late to say what they cannot stop; what
 * they add takes the room of the move's own fence.
 */
START_TEST(importers_are_told_before_the_move) {
	struct stile_buffer *buffer = create(gpu, PAGE);
	struct listener listener = { .fence = plain_fence_create() };
	struct stile_attachment *attachment = attach(gpu, buffer, &listening, &listener);
	struct stile_fence *before[8];
	fill(gpu, buffer, 5);
	for (int i = 0; i < _i; i++) {
		before[i] = plain_fence_create();
		add_fence(buffer, before[i], STILE_RESV_BOOKKEEP);
	}
	ck_assert_uint_eq(listener.told, 0);
	ck_assert_int_eq(map_elsewhere(buffer), 0);
	ck_assert_uint_eq(listener.told, 1);
	ck_assert(listener.locked);
	finish_all(gpu);
	ck_assert(is_moving(buffer));
	for (int i = 0; i < _i; i++) {
		stile_fence_signal(before[i]);
		stile_fence_unref(before[i]);
	}
	finish_all(gpu);
	ck_assert(is_moving(buffer));
	stile_fence_signal(listener.fence);
	finish_all(gpu);
	ck_assert(!is_moving(buffer));
	stile_buffer_detach(buffer, attachment);
	stile_fence_unref(listener.fence);
	stile_buffer_unref(buffer);
}
END_TEST

/* T-8: between its fence and its unmap are stray reads. Wrong code: another's bytes there by then. */
START_TEST(old_place_is_there_until_it_is_unmapped) {
	struct stile_buffer *buffer = create(gpu, PAGE);
	struct listener listener = { .fence = NULL };
	struct stile_attachment *attachment = attach(gpu, buffer, &listening, &listener);
	const struct stile_sg *before, *after;
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &before), 0);
	ck_assert_int_eq(map_elsewhere(buffer), 0);
	finish_all(gpu);
	ck_assert_uint_eq(memory_of(gpu).used, PAGE);
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &after), 0);
	ck_assert_ptr_ne(before, after);
	stile_attachment_unmap_unlocked(attachment, before, STILE_TO_DEVICE);
	ck_assert_uint_eq(memory_of(gpu).used, 0);
	stile_attachment_unmap_unlocked(attachment, after, STILE_TO_DEVICE);
	stile_buffer_detach(buffer, attachment);
	stile_buffer_unref(buffer);
}
END_TEST

static void hold_by_vmap(struct stile_buffer *buffer, struct stile_map *map) {
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, map), 0);
}

static void hold_by_mmap(struct stile_buffer *buffer, struct stile_map *map) {
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &map->address), 0);
}

static const struct {
	void (*hold)(struct stile_buffer *buffer, struct stile_map *map);
	const char *why;
} holders[] = { { hold_by_vmap, "vmap" }, { hold_by_mmap, "mmap" } };

/* 9.1: -EBUSY. Wrong code: storage moves away under whoever relies on it; attaching works, mapping does not. */
START_TEST(storage_that_is_held_stays) {
	struct stile_buffer *below = create(gpu, PAGE), *buffer = create(gpu, PAGE);
	fill(gpu, below, 4);
	fill(gpu, buffer, 5);
	/* There is room to move to. */
	stile_buffer_unref(below);
	/* Who was there before finds it out when it maps. */
	struct stile_attachment *attachment = attach(other, buffer, &deaf, NULL);
	const struct stile_sg *sg;
	struct stile_map map = { 0 };
	holders[_i].hold(buffer, &map);
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg), -EBUSY);
	const struct stile_attach_info info = {
		.size = sizeof(info), .device = other, .usage = READ
	};
	struct stile_report report = { .size = sizeof(report) };
	struct stile_attachment *late;
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, &report, &late), -EBUSY);
	ck_assert_int_eq(report.reason, STILE_REASON_PINNED);
	ck_assert_ptr_nonnull(strstr(report.text, "own memory"));
	ck_assert_ptr_nonnull(strstr(report.text, holders[_i].why));
	ck_assert_int_eq(stile_swgpu_defragment(gpu), 0);
	ck_assert_uint_eq(memory_of(gpu).moves, 0);
	if (_i == 0) {
		stile_buffer_vunmap_unlocked(buffer, &map);
	} else {
		stile_buffer_munmap(buffer, map.address);
	}
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg), 0);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	stile_buffer_detach(buffer, attachment);
	stile_buffer_unref(buffer);
}
END_TEST

/* T-10. Wrong code: whoever has a place to move to, but not now, loses what it has. */
START_TEST(move_that_fails_changes_nothing) {
	struct stile_buffer *buffer = create(gpu, PAGE);
	const struct stile_swgpu_injection injection = {
		.size = sizeof(injection),
		.kind = STILE_SWGPU_NO_MEMORY,
		.at = 1,
	};
	fill(gpu, buffer, 5);
	ck_assert_int_eq(stile_swgpu_inject(gpu, &injection), 0);
	ck_assert_int_eq(map_elsewhere(buffer), -ENOMEM);
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_LOCAL);
	ck_assert(!is_moving(buffer));
	ck_assert_uint_eq(memory_of(gpu).moves, 0);
	check_filled(buffer, 5);
	ck_assert_int_eq(map_elsewhere(buffer), 0);
	check_filled(buffer, 5);
	stile_buffer_unref(buffer);
}
END_TEST

/* DESIGN 6. Wrong code: a descriptor of local memory, or one given out before the bytes are there. */
START_TEST(descriptor_shows_what_was_in_the_devices_memory) {
	struct stile_buffer *buffer = create(gpu, PAGE);
	int fd;
	fill(gpu, buffer, 5);
	ck_assert_int_eq(stile_buffer_export_fd(buffer, READ, &fd), 0);
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_SYSTEM);
	void *memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert(is_filled(memory, PAGE, 5));
	fill(gpu, buffer, 6);
	ck_assert(is_filled(memory, PAGE, 6));
	munmap(memory, PAGE);
	close(fd);
	stile_buffer_unref(buffer);
}
END_TEST

/* P-3, T-8. Wrong code: what a device without coherence still has in its cache stays behind. */
START_TEST(move_takes_what_is_in_the_cache) {
	struct stile_device *cached = gpu_open("local_memory=32K coherent=no seed=1");
	struct stile_buffer *buffer = create(cached, PAGE);
	struct listener listener = { .fence = NULL };
	struct stile_attachment *attachment = attach(cached, buffer, &listening, &listener);
	const struct stile_sg *sg;
	unsigned char byte = 6;
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_FROM_DEVICE, 0, NULL, &sg), 0);
	ck_assert(device_may(cached, sg, BUS_WRITE, &byte));
	ck_assert_int_eq(map_elsewhere(buffer), 0);
	finish_all(cached);
	struct stile_map map;
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	ck_assert_uint_eq(*(unsigned char *)map.address, 6);
	stile_buffer_vunmap_unlocked(buffer, &map);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_FROM_DEVICE);
	stile_buffer_detach(buffer, attachment);
	stile_buffer_unref(buffer);
	stile_device_destroy(cached);
}
END_TEST

/* DESIGN 6. Wrong code: who is there to move, once the device is gone? A copy that nobody waited for. */
START_TEST(buffer_moves_without_its_device) {
	struct stile_buffer *buffer = create(gpu, PAGE);
	struct stile_fence *fence = plain_fence_create();
	fill(gpu, buffer, 5);
	stile_device_destroy(gpu);
	gpu = NULL;
	struct stile_resv *resv = stile_buffer_get_resv(buffer);
	ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
	ck_assert_ptr_null(stile_buffer_next_attachment(buffer, NULL));
	stile_resv_unlock(resv);
	add_fence(buffer, fence, STILE_RESV_BOOKKEEP);
	ck_assert_int_eq(map_elsewhere(buffer), -ETIME);
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_LOCAL);
	stile_fence_signal(fence);
	struct listener listener = { .fence = plain_fence_create() };
	struct stile_attachment *attachment = attach(other, buffer, &listening, &listener);
	ck_assert_int_eq(map_elsewhere(buffer), -ETIME);
	ck_assert_uint_eq(listener.told, 1);
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_LOCAL);
	stile_buffer_detach(buffer, attachment);
	stile_fence_signal(listener.fence);
	stile_fence_unref(listener.fence);
	ck_assert_int_eq(map_elsewhere(buffer), 0);
	ck_assert(!is_moving(buffer));
	ck_assert_int_eq(stile_swgpu_get_placement(buffer), STILE_SWGPU_SYSTEM);
	check_filled(buffer, 5);
	stile_fence_unref(fence);
	stile_buffer_unref(buffer);
}
END_TEST

/* ---- Moving together ----------------------------------------------------------------------- */

/* swgpu_test.h. Wrong code: moved up, or not at all; moved for nothing; the bytes of another. */
START_TEST(defragmenting_makes_room) {
	struct stile_buffer *buffers[4];
	for (size_t i = 0; i < ARRAY_LENGTH(buffers); i++) {
		buffers[i] = create(gpu, 2 * PAGE);
		fill(gpu, buffers[i], (unsigned char)(i + 1));
	}
	ck_assert_int_eq(stile_swgpu_defragment(gpu), 0);
	stile_buffer_unref(buffers[0]);
	stile_buffer_unref(buffers[2]);
	ck_assert_uint_eq(memory_of(gpu).largest, 2 * PAGE);
	int moved = 0, count = 1;
	for (int i = 0; i < 4 && count > 0; i++) {
		count = stile_swgpu_defragment(gpu);
		moved += count;
		finish_all(gpu);
	}
	ck_assert_int_eq(count, 0);
	ck_assert_int_ge(moved, 1);
	ck_assert_uint_eq(memory_of(gpu).moves, (uint64_t)moved);
	ck_assert_uint_eq(memory_of(gpu).used, 4 * PAGE);
	ck_assert_uint_eq(memory_of(gpu).largest, 4 * PAGE);
	check_filled(buffers[1], 2);
	check_filled(buffers[3], 4);
	fill(gpu, buffers[3], 9);
	check_filled(buffers[1], 2);
	check_filled(buffers[3], 9);
	stile_buffer_unref(buffers[1]);
	stile_buffer_unref(buffers[3]);
}
END_TEST

/* swgpu_test.h. Wrong code: what is another device's, or locked, is moved, or waited for. */
START_TEST(defragmenting_leaves_alone_what_is_not_its_own) {
	struct stile_device *second = gpu_open("local_memory=32K seed=1");
	struct stile_buffer *below = create(gpu, PAGE), *buffer = create(gpu, PAGE);
	fill(gpu, below, 1);
	fill(gpu, buffer, 2);
	stile_buffer_unref(below);
	ck_assert_int_eq(stile_swgpu_defragment(second), 0);
	ck_assert_uint_eq(memory_of(gpu).moves, 0);
	struct stile_resv *resv = stile_buffer_get_resv(buffer);
	ck_assert_int_eq(stile_resv_lock(resv, NULL, NULL), 0);
	ck_assert_int_eq(stile_swgpu_defragment(gpu), 0);
	stile_resv_unlock(resv);
	ck_assert_int_eq(stile_swgpu_defragment(gpu), 1);
	check_filled(buffer, 2);
	stile_buffer_unref(buffer);
	stile_device_destroy(second);
}
END_TEST

/* ---- Memory that came by descriptor -------------------------------------------------------- */

/* Can the CPU write there? Asked of the system: no signal if not. */
static bool is_writable(void *address) {
	int ends[2];
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(write(ends[1], "", 1), 1);
	bool can = read(ends[0], address, 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return can;
}

static void copy(struct stile_buffer *from, struct stile_buffer *to) {
	const struct stile_swgpu_strided bytes = {
		.size = sizeof(bytes),
		.from = from,
		.to = to,
		.from_pitch = PAGE,
		.to_pitch = PAGE,
		.row_bytes = PAGE,
		.rows = 1,
	};
	struct stile_swgpu_list *list;
	struct stile_fence *fence;
	ck_assert_int_eq(stile_swgpu_list_create(gpu, &list), 0);
	ck_assert_int_eq(stile_swgpu_list_copy_buffer(list, &bytes), 0);
	ck_assert_int_eq(stile_swgpu_submit(stile_swgpu_get_queue(gpu), list, NULL, &fence), 0);
	ck_assert_int_eq(gpu_finish(fence), 1);
}

/*
 * DESIGN 6, device.h: import. Wrong code: it moves away from its file, where others are; the device that
 * imported it first has made it.
 */
START_TEST(memory_that_came_by_descriptor_is_nobodys_and_stays) {
	struct stile_device *narrow = gpu_open("address_bits=32 seed=1");
	struct stile_device *reader = gpu_open("write_import=no seed=1");
	int fd = memory_create(PAGE, F_SEAL_SHRINK);
	struct stile_buffer *buffer, *again;
	struct stile_fence *fence;
	ck_assert_int_eq(stile_buffer_import_fd(reader, fd, BOTH, NULL, &buffer), -EACCES);
	ck_assert_int_eq(stile_buffer_import_fd(reader, fd, READ, NULL, &buffer), 0);
	ck_assert_int_eq(stile_buffer_check_movable(buffer, NULL), -EBUSY);
	ck_assert_int_eq(stile_buffer_import_fd(reader, fd, BOTH, NULL, &again), -EACCES);
	ck_assert_int_eq(stile_buffer_import(reader, buffer, BOTH, NULL, &again), -EACCES);
	ck_assert_int_eq(submit_fill(reader, buffer, 1, NULL, &fence), -EACCES);
	const struct stile_attach_info info = {
		.size = sizeof(info), .device = narrow, .usage = READ
	};
	struct stile_attachment *attachment;
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, NULL, &attachment), -EBUSY);
	stile_buffer_unref(buffer);
	close(fd);
	stile_device_destroy(reader);
	stile_device_destroy(narrow);
}
END_TEST

/* buffer.h: -EACCES. Wrong code: a buffer at hand is any device's own. */
START_TEST(device_that_only_reads_others_memory_writes_its_own) {
	struct stile_device *reader = gpu_open("write_import=no seed=1");
	struct stile_buffer *own = create(reader, PAGE), *others = create(gpu, PAGE), *again;
	fill(reader, own, 1);
	ck_assert_int_eq(stile_buffer_import(reader, own, BOTH, NULL, &again), 0);
	stile_buffer_unref(again);
	ck_assert_int_eq(stile_buffer_import(reader, others, BOTH, NULL, &again), -EACCES);
	ck_assert_int_eq(stile_buffer_import(reader, others, READ, NULL, &again), 0);
	stile_buffer_unref(again);
	stile_buffer_unref(own);
	stile_buffer_unref(others);
	stile_device_destroy(reader);
}
END_TEST

/* DESIGN 6. Wrong code: who got the right to write later writes elsewhere, or not at all. */
START_TEST(device_writes_once_a_descriptor_allows_it) {
	int fd = memory_create(PAGE, F_SEAL_SHRINK), reader = memory_reopen(fd, O_RDONLY);
	unsigned char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	struct stile_buffer *buffer, *same, *copied = create(gpu, PAGE);
	struct stile_fence *fence;
	ck_assert_int_eq(stile_buffer_import_fd(gpu, reader, READ, NULL, &buffer), 0);
	/* The device has it mapped, as far as it may. */
	copy(buffer, copied);
	ck_assert_int_eq(submit_fill(gpu, buffer, 1, NULL, &fence), -EACCES);
	memory[0] = 3;
	struct stile_map map;
	ck_assert_int_eq(stile_buffer_vmap_unlocked(buffer, &map), 0);
	ck_assert_int_eq(*(unsigned char *)map.address, 3);
	ck_assert(!is_writable(map.address));
	ck_assert_int_eq(stile_buffer_import_fd(gpu, fd, BOTH, NULL, &same), 0);
	ck_assert_ptr_eq(same, buffer);
	ck_assert(is_writable(map.address));
	fill(gpu, buffer, 7);
	ck_assert(is_filled(memory, PAGE, 7));
	ck_assert(is_filled(map.address, PAGE, 7));
	stile_buffer_vunmap_unlocked(buffer, &map);
	stile_buffer_unref(same);
	stile_buffer_unref(copied);
	stile_buffer_unref(buffer);
	munmap(memory, PAGE);
	close(reader);
	close(fd);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("storage");
	TCase *choosing = ledger_tcase_create("choosing");
	tcase_add_checked_fixture(choosing, setup, teardown);
	tcase_add_test(choosing, device_reaches_it_while_it_is_mapped);
	tcase_add_test(choosing, what_only_the_device_uses_is_in_its_memory);
	tcase_add_loop_test(choosing, device_writes_all_pieces, 0, ARRAY_LENGTH(in_pieces));
	tcase_add_test(choosing, system_memory_is_given_back);
	tcase_add_test(choosing, what_others_use_too_is_where_they_reach_it);
	tcase_add_loop_test(choosing, own_memory_is_not_for_those_who_need_more, 0, 3);
	tcase_add_test(choosing, what_the_devices_memory_has_no_room_for_is_elsewhere);
	tcase_add_test(choosing, local_memory_is_cleared_for_the_next_one);
	tcase_add_test(choosing, what_the_cpu_needs_first_is_where_its_device_reaches_it);
	tcase_add_loop_test(choosing, device_reaches_what_meets_its_needs, 0, ARRAY_LENGTH(places));
	tcase_add_test(choosing, storage_that_fails_can_be_had_later);
	tcase_add_test(choosing, local_memory_is_mapped_from_the_offset_on);
	suite_add_tcase(s, choosing);
	TCase *moving = ledger_tcase_create("moving");
	tcase_add_checked_fixture(moving, setup, teardown);
	tcase_add_test(moving, buffer_moves_to_where_all_reach_it);
	tcase_add_loop_test(moving, move_waits_for_all_who_use_it, 0, 4);
	tcase_add_test(moving, old_place_is_there_until_it_is_unmapped);
	tcase_add_loop_test(moving, work_under_way_is_moved_too, 0, 3);
	tcase_add_loop_test(moving, importers_are_told_before_the_move, 0, 8);
	tcase_add_loop_test(moving, storage_that_is_held_stays, 0, ARRAY_LENGTH(holders));
	tcase_add_test(moving, move_that_fails_changes_nothing);
	tcase_add_test(moving, descriptor_shows_what_was_in_the_devices_memory);
	tcase_add_test(moving, move_takes_what_is_in_the_cache);
	tcase_add_test(moving, buffer_moves_without_its_device);
	tcase_add_test(moving, defragmenting_makes_room);
	tcase_add_test(moving, defragmenting_leaves_alone_what_is_not_its_own);
	suite_add_tcase(s, moving);
	TCase *imported = ledger_tcase_create("imported");
	tcase_add_checked_fixture(imported, setup, teardown);
	tcase_add_test(imported, memory_that_came_by_descriptor_is_nobodys_and_stays);
	tcase_add_test(imported, device_that_only_reads_others_memory_writes_its_own);
	tcase_add_test(imported, device_writes_once_a_descriptor_allows_it);
	suite_add_tcase(s, imported);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
