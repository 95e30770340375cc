/* SPDX-License-Identifier: MIT */
/* Commands on bytes, of buffers and by address, against plain loops. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <stile/attachment.h>
#include <stile/exporter.h>
#include <stile/swgpu_test.h>

#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum { BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE, PAGE = 4096 };

static const char *const devices[] = { NULL, "coherent=no", "seed=7", "frame_run=1" };

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

static struct stile_buffer *create_buffer(uint64_t bytes) {
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = bytes };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	return buffer;
}

/* What is in a buffer, and what should be. */
struct bytes {
	struct stile_buffer *buffer;
	uint8_t *expected;
	uint64_t count;
};

static uint8_t *bytes_begin(const struct bytes *bytes) {
	void *address;
	ck_assert_int_eq(stile_buffer_begin_cpu_access(bytes->buffer, BOTH, INT64_MAX, NULL), 0);
	ck_assert_int_eq(stile_buffer_mmap(bytes->buffer, BOTH, &address), 0);
	return address;
}

static void bytes_end(const struct bytes *bytes, uint8_t *memory) {
	stile_buffer_munmap(bytes->buffer, memory);
	ck_assert_int_eq(stile_buffer_end_cpu_access(bytes->buffer, BOTH), 0);
}

static struct bytes bytes_create(uint64_t count, uint64_t *seed) {
	struct bytes bytes = { create_buffer(count), malloc(count), count };
	ck_assert_ptr_nonnull(bytes.expected);
	for (uint64_t i = 0; i < count; i++) {
		bytes.expected[i] = (uint8_t)runner_random(seed);
	}
	uint8_t *memory = bytes_begin(&bytes);
	memcpy(memory, bytes.expected, count);
	bytes_end(&bytes, memory);
	return bytes;
}

static void bytes_check(const struct bytes *bytes) {
	uint8_t *memory = bytes_begin(bytes);
	for (uint64_t i = 0; memcmp(memory, bytes->expected, bytes->count) != 0; i++) {
		ck_assert_msg(memory[i] == bytes->expected[i], "byte %llu is 0x%02x, not 0x%02x",
			(unsigned long long)i, memory[i], bytes->expected[i]);
	}
	bytes_end(bytes, memory);
}

static void bytes_free(struct bytes *bytes) {
	free(bytes->expected);
	stile_buffer_unref(bytes->buffer);
}

/* ---- Buffers --------------------------------------------------------------------------------- */

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

/* Wrong code: the pattern begins anew in each step; the last bytes forgotten. */
START_TEST(fill_buffer_repeats_the_pattern) {
	setup_with(devices[_i]);
	uint64_t seed = runner_seed();
	struct bytes bytes = bytes_create(3 << 20, &seed);
	for (int round = 0; round < 20; round++) {
		uint64_t offset = runner_random(&seed) % (bytes.count / 4) * 4;
		uint64_t limit = round % 2 == 0 ? 64 : (bytes.count - offset) / 4;
		uint64_t left = (bytes.count - offset) / 4;
		uint64_t words = 1 + runner_random(&seed) % (limit < left ? limit : left);
		uint32_t value = (uint32_t)runner_random(&seed);
		ck_assert_int_eq(
			stile_swgpu_list_fill_buffer(list, bytes.buffer, offset, 4 * words, value),
			0);
		for (uint64_t i = 0; i < 4 * words; i++) {
			bytes.expected[offset + i] = (uint8_t)(value >> (8 * (i % 4)));
		}
	}
	ck_assert_int_eq(execute(), 1);
	bytes_check(&bytes);
	bytes_free(&bytes);
	teardown();
}
END_TEST

/* Wrong code: one side's pitch used for both; what is between the rows copied along. */
START_TEST(copy_buffer_copies_the_rows_and_nothing_else) {
	setup_with(devices[_i]);
	uint64_t seed = runner_seed();
	struct bytes from = bytes_create(1 << 20, &seed), to = bytes_create(1 << 20, &seed);
	for (int round = 0; round < 60; round++) {
		bool within = round % 3 == 0;
		struct stile_swgpu_strided copy =
			rows_of(within ? to.buffer : from.buffer, to.buffer);
		copy.rows = 1 + (uint32_t)(runner_random(&seed) % 100);
		copy.row_bytes = 1 + runner_random(&seed) % 2000;
		copy.to_pitch = copy.row_bytes + runner_random(&seed) % 3 * 100;
		copy.from_pitch = runner_random(&seed) % 2 == 0 ? copy.row_bytes
								: runner_random(&seed) % 2500;
		copy.from_offset = runner_random(&seed) % (1 << 18);
		copy.to_offset = (1 << 19) + runner_random(&seed) % (1 << 18);
		ck_assert_int_eq(stile_swgpu_list_copy_buffer(list, &copy), 0);
		const uint8_t *source = within ? to.expected : from.expected;
		for (uint32_t y = 0; y < copy.rows; y++) {
			memcpy(to.expected + copy.to_offset + y * copy.to_pitch,
				source + copy.from_offset + y * copy.from_pitch, copy.row_bytes);
		}
	}
	ck_assert_int_eq(execute(), 1);
	bytes_check(&to);
	bytes_check(&from);
	bytes_free(&from);
	bytes_free(&to);
	teardown();
}
END_TEST

/* Wrong code: a copy of more than is done in one step leaves rows out where two steps meet. */
START_TEST(copy_of_several_steps_reaches_every_row) {
	enum { ROW = 1 << 20, ROWS = 129 };
	setup();
	uint64_t seed = runner_seed();
	struct bytes from = bytes_create(ROW, &seed);
	struct bytes to = { .buffer = create_buffer((uint64_t)ROWS * ROW) };
	struct stile_swgpu_strided copy = rows_of(from.buffer, to.buffer);
	copy.from_pitch = 0;
	copy.to_pitch = copy.row_bytes = ROW;
	copy.rows = ROWS;
	ck_assert_int_eq(stile_swgpu_list_copy_buffer(list, &copy), 0);
	ck_assert_int_eq(execute(), 1);
	uint8_t *memory = bytes_begin(&to);
	for (size_t y = 0; y < ROWS; y++) {
		ck_assert_msg(memcmp(memory + y * ROW, from.expected, ROW) == 0, "row %zu", y);
	}
	bytes_end(&to, memory);
	bytes_free(&from);
	bytes_free(&to);
	teardown();
}
END_TEST

/* Memory in two pieces, for the CPU too, that may only be written. */
struct pieces {
	uint8_t *memory[2];
	uint32_t released;
};

static int pieces_map(struct stile_attachment *attachment, enum stile_direction direction,
	struct stile_sg **out) {
	const struct pieces *pieces =
		stile_buffer_get_priv(stile_attachment_get_buffer(attachment));
	int ret = stile_sg_create(out);
	for (size_t i = 0; i < ARRAY_LENGTH(pieces->memory) && ret == 0; i++) {
		const struct stile_sg_range range = { pieces->memory[i], STILE_ADDRESS_UNKNOWN,
			PAGE };
		ret = stile_sg_append(*out, &range);
	}
	return ret < 0 ? ret
		       : stile_sg_map(*out, stile_attachment_get_device(attachment), direction);
}

static void pieces_unmap(
	struct stile_attachment *attachment, struct stile_sg *sg, enum stile_direction direction) {
	(void)attachment;
	stile_sg_unmap(sg, direction);
	stile_sg_destroy(sg);
}

static void pieces_release(struct stile_buffer *gone) {
	struct pieces *pieces = stile_buffer_get_priv(gone);
	pieces->released++;
}

static const struct stile_exporter_ops pieces_ops = {
	.size = sizeof(pieces_ops),
	.map = pieces_map,
	.unmap = pieces_unmap,
	.release = pieces_release,
};

/*
 * Wrong code: memory in pieces taken for one; what is between rows read where that is not allowed, or
 * overwritten with what was never read.
 */
START_TEST(rows_reach_memory_in_pieces_that_is_write_only) {
	setup_with(devices[_i]);
	struct pieces pieces = { .memory = {
					 aligned_alloc(PAGE, PAGE), aligned_alloc(PAGE, PAGE) } };
	memset(pieces.memory[0], 0x11, PAGE);
	memset(pieces.memory[1], 0x22, PAGE);
	const struct stile_exporter_info info = {
		.size = sizeof(info),
		.ops = &pieces_ops,
		.priv = &pieces,
		.bytes = 2 * PAGE,
		.usage = STILE_USAGE_WRITE,
	};
	struct stile_buffer *target;
	ck_assert_int_eq(stile_buffer_export(&info, &target), 0);
	uint64_t seed = runner_seed();
	struct bytes from = bytes_create(2 * PAGE, &seed);
	struct stile_swgpu_strided copy = rows_of(from.buffer, target);
	copy.to_offset = PAGE - 175;
	const struct stile_swgpu_strided back = {
		.size = sizeof(back),
		.from = target,
		.to = from.buffer,
		.row_bytes = 1,
		.rows = 1,
	};
	ck_assert_int_eq(stile_swgpu_list_copy_buffer(list, &back), -EACCES);
	ck_assert_int_eq(stile_swgpu_list_copy_buffer(list, &copy), 0);
	ck_assert_int_eq(stile_swgpu_list_fill_buffer(list, target, 8, 12, 0x04030201), 0);
	ck_assert_int_eq(execute(), 1);
	stile_buffer_unref(target);
	ck_assert_uint_eq(pieces.released, 1);

	uint8_t expected[2 * PAGE];
	memset(expected, 0x11, PAGE);
	memset(expected + PAGE, 0x22, PAGE);
	for (uint32_t i = 0; i < 12; i++) {
		expected[8 + i] = (uint8_t)(1 + i % 4);
	}
	for (uint32_t y = 0; y < copy.rows; y++) {
		memcpy(expected + copy.to_offset + y * copy.to_pitch,
			from.expected + y * copy.from_pitch, copy.row_bytes);
	}
	ck_assert_mem_eq(pieces.memory[0], expected, PAGE);
	ck_assert_mem_eq(pieces.memory[1], expected + PAGE, PAGE);
	bytes_free(&from);
	teardown();
	free(pieces.memory[0]);
	free(pieces.memory[1]);
}
END_TEST

/* ---- Addresses ------------------------------------------------------------------------------- */

/* A buffer that the test itself attached and mapped. */
struct mapped {
	struct bytes bytes;
	struct stile_attachment *attachment;
	const struct stile_sg *sg;
	enum stile_direction direction;
	uint64_t address;
};

static struct mapped mapped_create(uint64_t count, enum stile_direction direction, uint64_t *seed) {
	struct mapped mapped = { .bytes = bytes_create(count, seed), .direction = direction };
	const struct stile_attach_info info = {
		.size = sizeof(info),
		.device = device,
		.usage = BOTH,
	};
	uint64_t run;
	ck_assert_int_eq(
		stile_buffer_attach(mapped.bytes.buffer, &info, NULL, &mapped.attachment), 0);
	ck_assert_int_eq(stile_attachment_map_unlocked(
				 mapped.attachment, direction, INT64_MAX, NULL, &mapped.sg),
		0);
	ck_assert_int_eq(stile_sg_find(mapped.sg, 0, &mapped.address, &run), 0);
	ck_assert_uint_eq(run, count);
	return mapped;
}

static void mapped_unmap(struct mapped *mapped) {
	stile_attachment_unmap_unlocked(mapped->attachment, mapped->sg, mapped->direction);
	stile_buffer_detach(mapped->bytes.buffer, mapped->attachment);
}

/* Wrong code: what overlaps is copied in the wrong direction, in one step or between two. */
START_TEST(addresses_are_filled_and_copied_as_by_memmove) {
	setup_with(_i == 0 ? NULL : "coherent=no");
	uint64_t seed = runner_seed();
	struct mapped mapped = mapped_create(256 << 10, STILE_BIDIRECTIONAL, &seed);
	static const uint64_t distances[] = { 0, 1, 100, 16383, 16384, 16385, 50000 };
	uint8_t *expected = mapped.bytes.expected;
	for (size_t i = 0; i < 2 * ARRAY_LENGTH(distances); i++) {
		uint64_t low = runner_random(&seed) % 1000, bytes = 60000 + low;
		uint64_t high = low + distances[i / 2];
		uint64_t from = i % 2 == 0 ? low : high, to = i % 2 == 0 ? high : low;
		ck_assert_int_eq(stile_swgpu_list_copy_address(
					 list, mapped.address + from, mapped.address + to, bytes),
			0);
		memmove(expected + to, expected + from, bytes);
		uint64_t at = runner_random(&seed) % 100000, count = 1 + at / 2;
		ck_assert_int_eq(
			stile_swgpu_list_fill_address(list, mapped.address + at, count, (uint8_t)i),
			0);
		memset(expected + at, (int)i, count);
	}
	ck_assert_int_eq(execute(), 1);
	mapped_unmap(&mapped);
	bytes_check(&mapped.bytes);
	bytes_free(&mapped.bytes);
	teardown();
}
END_TEST

/* Wrong code: memory that is not mapped is touched; the list goes on; what was before is lost. */
START_TEST(address_that_is_not_mapped_is_a_fault) {
	uint64_t seed = runner_seed();
	struct mapped mapped = mapped_create(64 << 10, STILE_BIDIRECTIONAL, &seed);
	uint64_t end = mapped.address + mapped.bytes.count;
	ck_assert_int_eq(stile_swgpu_list_fill_address(list, mapped.address, 8, 0x44), 0);
	if (_i == 0) {
		ck_assert_int_eq(stile_swgpu_list_fill_address(list, end - 40000, 40001, 0x55), 0);
		memset(mapped.bytes.expected + mapped.bytes.count - 40000, 0x55, 40000);
	} else {
		ck_assert_int_eq(
			stile_swgpu_list_copy_address(list, end - 4, mapped.address + 100, 8), 0);
	}
	ck_assert_int_eq(stile_swgpu_list_fill_address(list, mapped.address + 8, 8, 0x66), 0);
	memset(mapped.bytes.expected, 0x44, 8);
	ck_assert_int_eq(execute(), -EFAULT);
	struct stile_swgpu_fault fault = { .size = sizeof(fault) };
	ck_assert_int_eq(stile_swgpu_get_fault(device, &fault), 0);
	ck_assert_uint_eq(fault.count, 1);
	ck_assert_uint_eq(fault.address, end);
	ck_assert_int_eq(fault.write, _i == 0);
	ck_assert_uint_eq(fault.command, 2);
	mapped_unmap(&mapped);
	bytes_check(&mapped.bytes);
	bytes_free(&mapped.bytes);
}
END_TEST

/* Wrong code: a fault of one command is told again by the next. */
START_TEST(mapping_that_is_gone_is_a_fault) {
	uint64_t seed = runner_seed();
	struct mapped mapped = mapped_create(PAGE, STILE_TO_DEVICE, &seed);
	ck_assert_int_eq(stile_swgpu_list_fill_address(list, mapped.address, 1, 1), 0);
	ck_assert_int_eq(execute(), -EFAULT);
	struct stile_swgpu_fault fault = { .size = sizeof(fault) };
	ck_assert_int_eq(stile_swgpu_get_fault(device, &fault), 0);
	ck_assert_int_eq(fault.reason, STILE_SWGPU_FAULT_DIRECTION);
	mapped_unmap(&mapped);
	ck_assert_int_eq(stile_swgpu_list_copy_address(list, mapped.address, mapped.address, 1), 0);
	ck_assert_int_eq(execute(), -EFAULT);
	ck_assert_int_eq(stile_swgpu_get_fault(device, &fault), 0);
	ck_assert_int_ne(fault.reason, STILE_SWGPU_FAULT_DIRECTION);
	ck_assert_uint_eq(fault.count, 2);
	bytes_free(&mapped.bytes);
}
END_TEST

static Suite *make(void) {
	Suite *suite = suite_create("command_buffer");
	const int all = ARRAY_LENGTH(devices);

	TCase *buffers = ledger_tcase_create("buffers");
	tcase_add_loop_test(buffers, fill_buffer_repeats_the_pattern, 0, all);
	tcase_add_loop_test(buffers, copy_buffer_copies_the_rows_and_nothing_else, 0, all);
	tcase_add_test(buffers, copy_of_several_steps_reaches_every_row);
	tcase_add_loop_test(buffers, rows_reach_memory_in_pieces_that_is_write_only, 0, all);
	suite_add_tcase(suite, buffers);

	TCase *addresses = ledger_tcase_create("addresses");
	tcase_add_loop_test(addresses, addresses_are_filled_and_copied_as_by_memmove, 0, 2);
	suite_add_tcase(suite, addresses);

	TCase *faults = ledger_tcase_create("faults");
	tcase_add_checked_fixture(faults, setup, teardown);
	tcase_add_loop_test(faults, address_that_is_not_mapped_is_a_fault, 0, 2);
	tcase_add_test(faults, mapping_that_is_gone_is_a_fault);
	suite_add_tcase(suite, faults);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make, NULL);
}
