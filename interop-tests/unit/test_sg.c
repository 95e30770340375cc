/* SPDX-License-Identifier: MIT */
/* Scatter lists: KERNEL_CONTRACT T-4 to T-6. What engines reach through them: test_bus.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <stile/device.h>
#include <stile/sg.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"
#include "src/os.h"

#define UNKNOWN STILE_ADDRESS_UNKNOWN
#define LONGEST_SEGMENT (UINT64_C(0x100000000) - page)

enum { PAGES = 64, MANY = 1000 };

static struct stile_device *device;
static struct stile_sg *sg;
static char *memory; /* PAGES pages */
static uint64_t page;

static struct stile_device *open_with(const char *options) {
	struct stile_device_info info = { .size = sizeof(info), .options = options };
	struct stile_device *opened;
	ck_assert_int_eq(stile_device_open("swgpu", &info, &opened), 0);
	return opened;
}

static void *reserve(uint64_t bytes) {
	void *address = mmap(
		NULL, (size_t)bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert_ptr_ne(address, MAP_FAILED);
	return address;
}

static void setup(void) {
	page = os_page_size();
	memory = reserve(PAGES * page);
	device = open_with(NULL);
	ck_assert_int_eq(stile_sg_create(&sg), 0);
}

static void teardown(void) {
	stile_sg_destroy(sg);
	stile_device_destroy(device);
	munmap(memory, PAGES * page);
	device = NULL;
	sg = NULL;
}

static int append(void *at, uint64_t address, uint64_t bytes) {
	struct stile_sg_range range = { .memory = at, .address = address, .bytes = bytes };
	return stile_sg_append(sg, &range);
}

/* Pages of the arena, on no bus that anybody knows. */
static void add_pages(unsigned first, unsigned count) {
	ck_assert_int_eq(append(memory + first * page, UNKNOWN, count * page), 0);
}

/* Three pieces that are no neighbours, of 1, 2 and 3 pages. */
static void add_some(void) {
	add_pages(8, 1);
	add_pages(4, 2);
	add_pages(16, 3);
}

static void map(enum stile_direction direction) {
	ck_assert_int_eq(stile_sg_map(sg, device, direction), 0);
}

static void assert_looks(uint64_t bytes, size_t ranges, size_t segments) {
	ck_assert_uint_eq(stile_sg_get_bytes(sg), bytes);
	ck_assert_uint_eq(stile_sg_get_range_count(sg), ranges);
	ck_assert_uint_eq(stile_sg_get_segment_count(sg), segments);
}

/* ---- The CPU's view ------------------------------------------------------------------------ */

/* T-6. Wrong code: something in it from the start, an iterator that looks before it asks. */
START_TEST(new_table_is_empty) {
	struct stile_sg_iter iter;
	struct stile_sg_range range;
	struct stile_sg_segment segment;
	uint64_t address, bytes;
	assert_looks(0, 0, 0);
	stile_sg_iter_begin(&iter, sg);
	ck_assert(!stile_sg_iter_next_range(&iter, &range));
	ck_assert(!stile_sg_iter_next_segment(&iter, &segment));
	ck_assert_int_eq(stile_sg_find(sg, 0, &address, &bytes), -ERANGE);
	ck_assert_int_eq(stile_sg_map(sg, device, STILE_TO_DEVICE), -EINVAL);
	stile_sg_destroy(NULL);
}
END_TEST

struct piece {
	int at;           /* page of the arena; -1: the CPU cannot reach it */
	uint64_t address; /* page on the bus; UNKNOWN */
	unsigned pages;
};

static const struct joint {
	const char *what;
	struct piece one, other;
	size_t ranges;
} joints[] = {
	{ "neighbours in memory", { 0, UNKNOWN, 2 }, { 2, UNKNOWN, 1 }, 1 },
	{ "neighbours in both", { 0, 7, 2 }, { 2, 9, 1 }, 1 },
	{ "neighbours on the bus, not for the CPU", { -1, 7, 2 }, { -1, 9, 1 }, 1 },
	{ "a gap in memory", { 0, UNKNOWN, 2 }, { 3, UNKNOWN, 1 }, 2 },
	{ "the same memory again", { 0, UNKNOWN, 2 }, { 0, UNKNOWN, 2 }, 2 },
	{ "the other order", { 2, UNKNOWN, 1 }, { 0, UNKNOWN, 2 }, 2 },
	{ "memory alone goes on", { 0, 7, 2 }, { 2, 10, 1 }, 2 },
	{ "the bus alone goes on", { 0, 7, 2 }, { 3, 9, 1 }, 2 },
	{ "known, then unknown", { 0, 7, 2 }, { 2, UNKNOWN, 1 }, 2 },
	{ "unknown, then known", { 0, UNKNOWN, 2 }, { 2, 9, 1 }, 2 },
	{ "reached, then not", { 0, 7, 2 }, { -1, 9, 1 }, 2 },
	{ "not reached, then reached", { -1, 7, 2 }, { 2, 9, 1 }, 2 },
};

static void add_piece(const struct piece *piece) {
	ck_assert_int_eq(append(piece->at < 0 ? NULL : memory + (unsigned)piece->at * page,
				 piece->address == UNKNOWN ? UNKNOWN : piece->address * page,
				 piece->pages * page),
		0);
}

/*
 * T-6. Wrong code: joined by one of the views alone, which gives a device somebody else's memory; never
 * joined.
 */
START_TEST(piece_that_goes_on_in_all_respects_is_joined) {
	const struct joint *c = &joints[_i];
	add_piece(&c->one);
	add_piece(&c->other);
	ck_assert_msg(stile_sg_get_range_count(sg) == c->ranges, "%s: %zu ranges", c->what,
		stile_sg_get_range_count(sg));
	uint64_t bytes = (c->one.pages + c->other.pages) * page;
	ck_assert_uint_eq(stile_sg_get_bytes(sg), bytes);
	struct stile_sg_iter iter;
	struct stile_sg_range range;
	stile_sg_iter_begin(&iter, sg);
	ck_assert(stile_sg_iter_next_range(&iter, &range));
	ck_assert_ptr_eq(range.memory, c->one.at < 0 ? NULL : memory + (unsigned)c->one.at * page);
	ck_assert_uint_eq(range.bytes, c->ranges == 1 ? bytes : c->one.pages * page);
	ck_assert_int_eq(stile_sg_iter_next_range(&iter, &range), c->ranges == 2);
}
END_TEST

static const struct wrong {
	const char *what;
	uint64_t at, address, bytes; /* in bytes; `at` in the arena */
} wrongs[] = {
	{ "nothing", 0, UNKNOWN, 0 },
	{ "less than a page", 0, UNKNOWN, 1 },
	{ "not whole pages", 0, UNKNOWN, 4096 * 3 + 2048 },
	{ "memory within a page", 16, UNKNOWN, 4096 * 16 },
	{ "an address within a page", 0, 2048, 4096 * 16 },
};

/* T-6. Wrong code: lengths rounded, which maps a neighbour's bytes; a refused piece half added. */
START_TEST(what_is_not_whole_pages_is_refused) {
	const struct wrong *c = &wrongs[_i];
	add_some();
	int ret = append(memory + c->at, c->address, c->bytes);
	ck_assert_msg(ret == -EINVAL, "%s: %d", c->what, ret);
	assert_looks(6 * page, 3, 0);
}
END_TEST

/* T-6. Wrong code: sums that wrap, after which the table seems small. */
START_TEST(what_does_not_fit_in_64_bits_is_refused) {
	uint64_t half = UINT64_C(1) << 63;
	ck_assert_int_eq(append(NULL, 0, half), 0);
	ck_assert_int_eq(append(NULL, 0, half), -EOVERFLOW);
	ck_assert_int_eq(append(NULL, UINT64_MAX - page + 1, 2 * page), -EOVERFLOW);
	ck_assert_int_eq(append(NULL, half, half - page), 0);
	assert_looks(UINT64_MAX - page + 1, 1, 0);
	/* The last page there is does fit. */
	stile_sg_destroy(sg);
	ck_assert_int_eq(stile_sg_create(&sg), 0);
	ck_assert_int_eq(append(NULL, UINT64_MAX - page + 1, page), 0);
	assert_looks(page, 1, 0);
}
END_TEST

/* Wrong code: an array that does not grow, or loses what it had; order by address. */
START_TEST(many_pieces_come_out_in_the_order_they_went_in) {
	static unsigned starts[MANY];
	uint64_t state = runner_seed(), bytes = 0;
	for (unsigned i = 0; i < MANY; i++) {
		/* Of one page each, never right behind the last one. */
		do {
			starts[i] = (unsigned)(runner_random(&state) % PAGES);
		} while (i > 0 && starts[i] == starts[i - 1] + 1);
		add_pages(starts[i], 1);
		bytes += page;
	}
	assert_looks(bytes, MANY, 0);
	struct stile_sg_iter iter;
	struct stile_sg_range range;
	stile_sg_iter_begin(&iter, sg);
	for (unsigned i = 0; i < MANY; i++) {
		ck_assert(stile_sg_iter_next_range(&iter, &range));
		ck_assert_ptr_eq(range.memory, memory + starts[i] * page);
		ck_assert_uint_eq(range.address, UNKNOWN);
		ck_assert_uint_eq(range.bytes, page);
	}
	ck_assert(!stile_sg_iter_next_range(&iter, &range));
}
END_TEST

/* Wrong code: an iterator that runs past the end when it is asked again, or begins anew. */
START_TEST(iterator_cannot_run_past_the_end) {
	struct stile_sg_iter iter;
	struct stile_sg_range range;
	struct stile_sg_segment segment;
	add_some();
	map(STILE_BIDIRECTIONAL);
	size_t segments = 0;
	stile_sg_iter_begin(&iter, sg);
	while (stile_sg_iter_next_segment(&iter, &segment)) {
		segments++;
	}
	ck_assert_uint_eq(segments, stile_sg_get_segment_count(sg));
	for (int i = 0; i < 5; i++) {
		ck_assert(!stile_sg_iter_next_segment(&iter, &segment));
	}
	/* From the beginning, if one says so. */
	stile_sg_iter_begin(&iter, sg);
	ck_assert(stile_sg_iter_next_range(&iter, &range));
	ck_assert_ptr_eq(range.memory, memory + 8 * page);
	ck_assert(stile_sg_iter_next_range(&iter, &range));
	ck_assert(stile_sg_iter_next_range(&iter, &range));
	for (int i = 0; i < 5; i++) {
		ck_assert(!stile_sg_iter_next_range(&iter, &range));
	}
	stile_sg_unmap(sg, STILE_BIDIRECTIONAL);
}
END_TEST

/* ---- The device's view --------------------------------------------------------------------- */

/* The segments are whole, aligned, of legal length, and all of it. Gives how many there are. */
static size_t check_segments(uint64_t align, uint64_t longest) {
	struct stile_sg_iter iter;
	struct stile_sg_segment segment;
	uint64_t sum = 0;
	size_t count = 0;
	stile_sg_iter_begin(&iter, sg);
	while (stile_sg_iter_next_segment(&iter, &segment)) {
		ck_assert_uint_gt(segment.bytes, 0);
		ck_assert_uint_le(segment.bytes, longest);
		ck_assert_uint_eq(segment.bytes % page, 0);
		ck_assert_uint_eq(segment.address % align, 0);
		sum += segment.bytes;
		count++;
	}
	ck_assert_uint_eq(sum, stile_sg_get_bytes(sg));
	ck_assert_uint_eq(count, stile_sg_get_segment_count(sg));
	return count;
}

/* T-6: nents <= orig_nents. Wrong code: bytes that the device does not see; pieces cut up. */
START_TEST(mapped_table_shows_all_bytes_as_whole_pages) {
	add_some();
	map(STILE_BIDIRECTIONAL);
	ck_assert_uint_le(check_segments(page, LONGEST_SEGMENT), 3);
	stile_sg_unmap(sg, STILE_BIDIRECTIONAL);
}
END_TEST

/* T-6. Wrong code: each page of the CPU's a piece of the device's. */
START_TEST(neighbours_are_one_segment) {
	for (unsigned i = 0; i < PAGES; i++) {
		add_pages(i, 1);
	}
	map(STILE_TO_DEVICE);
	ck_assert_uint_eq(check_segments(page, LONGEST_SEGMENT), 1);
	stile_sg_unmap(sg, STILE_TO_DEVICE);
}
END_TEST

/* T-6: an IOMMU may coalesce. Wrong code: a segment a piece, behind an IOMMU too. */
START_TEST(iommu_makes_one_segment_of_scattered_pieces) {
	struct stile_device *behind = open_with("iommu=yes");
	add_some();
	ck_assert_int_eq(stile_sg_map(sg, behind, STILE_TO_DEVICE), 0);
	ck_assert_uint_eq(check_segments(page, LONGEST_SEGMENT), 1);
	stile_sg_unmap(sg, STILE_TO_DEVICE);
	stile_device_destroy(behind);
}
END_TEST

/*
 * T-6: a length fits 32 bits and is page-aligned. Wrong code: 5 GiB that become 1; a last page lost where
 * it is split.
 */
START_TEST(long_piece_is_split_below_4_gib) {
	uint64_t bytes = UINT64_C(0x140000000);
	void *much = reserve(bytes);
	ck_assert_int_eq(append(much, UNKNOWN, bytes), 0);
	assert_looks(bytes, 1, 0);
	map(STILE_TO_DEVICE);
	ck_assert_uint_eq(check_segments(page, LONGEST_SEGMENT), 2);
	uint64_t address, left;
	ck_assert_int_eq(stile_sg_find(sg, bytes - 1, &address, &left), 0);
	ck_assert_uint_eq(left, 1);
	stile_sg_unmap(sg, STILE_TO_DEVICE);
	stile_sg_destroy(sg);
	sg = NULL;
	munmap(much, (size_t)bytes);
}
END_TEST

/* T-6. Wrong code: the device's longest segment is not asked for, or its last piece is lost. */
START_TEST(long_piece_is_split_at_the_longest_that_the_device_takes) {
	struct stile_device *picky = open_with("max_segment=16384");
	add_pages(0, 11);
	ck_assert_int_eq(stile_sg_map(sg, picky, STILE_TO_DEVICE), 0);
	ck_assert_uint_eq(check_segments(page, 16384), (11 * page + 16383) / 16384);
	stile_sg_unmap(sg, STILE_TO_DEVICE);
	stile_device_destroy(picky);
}
END_TEST

static const struct unreachable {
	const char *options;
	struct piece one, other;
} unreachables[] = {
	/* Its last byte is beyond what 32 bits can say. */
	{ "address_bits=32", { 0, 0xfffff, 2 }, { 8, 3, 1 } },
	{ "address_bits=32", { 0, 0x100000, 1 }, { 8, 3, 1 } },
	{ "max_segments=1", { 0, 16, 1 }, { 8, 32, 1 } },
	{ "segment_align=65536", { 0, 16, 16 }, { 32, 33, 16 } },
};

/*
 * T-6. Wrong code: a device that is given what it cannot say; an address checked at its start alone; what
 * was refused half mapped.
 */
START_TEST(what_the_device_cannot_reach_is_erange) {
	const struct unreachable *c = &unreachables[_i];
	struct stile_device *narrow = open_with(c->options);
	add_piece(&c->one);
	add_piece(&c->other);
	ck_assert_msg(
		stile_sg_map(sg, narrow, STILE_TO_DEVICE) == -ERANGE, "%s, %d", c->options, _i);
	assert_looks((c->one.pages + c->other.pages) * page, 2, 0);
	/* Nothing of it stayed: another device may have it. */
	map(STILE_TO_DEVICE);
	ck_assert_uint_eq(check_segments(page, LONGEST_SEGMENT), 2);
	stile_sg_unmap(sg, STILE_TO_DEVICE);
	stile_device_destroy(narrow);
}
END_TEST

/* T-4, T-5. Wrong code: direction as a number into a table; NONE taken for BIDIRECTIONAL. */
START_TEST(map_takes_three_directions) {
	add_some();
	for (int direction = 0; direction < 3; direction++) {
		map((enum stile_direction)direction);
		stile_sg_unmap(sg, (enum stile_direction)direction);
	}
	static const int wrong[] = { STILE_NO_DIRECTION, 4, 255, -1 };
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		ck_assert_int_eq(stile_sg_map(sg, device, (enum stile_direction)wrong[i]), -EINVAL);
	}
}
END_TEST

/* T-4. Wrong code: appending to what a device uses; segments that no longer are all of it. */
START_TEST(mapped_table_is_fixed) {
	add_some();
	map(STILE_TO_DEVICE);
	ck_assert_int_eq(append(memory + 32 * page, UNKNOWN, page), -EBUSY);
	stile_sg_unmap(sg, STILE_TO_DEVICE);
	ck_assert_int_eq(append(memory + 32 * page, UNKNOWN, page), -EBUSY);
	ck_assert_uint_eq(stile_sg_get_bytes(sg), 6 * page);
	check_segments(page, LONGEST_SEGMENT);
}
END_TEST

/* T-4. Wrong code: two devices with one view. */
START_TEST(table_serves_one_device) {
	struct stile_device *other = open_with(NULL);
	add_some();
	map(STILE_TO_DEVICE);
	ck_assert_int_eq(stile_sg_map(sg, other, STILE_TO_DEVICE), -EBUSY);
	map(STILE_FROM_DEVICE);
	stile_sg_unmap(sg, STILE_TO_DEVICE);
	ck_assert_int_eq(stile_sg_map(sg, other, STILE_TO_DEVICE), -EBUSY);
	stile_sg_unmap(sg, STILE_FROM_DEVICE);
	stile_device_destroy(other);
}
END_TEST

/* T-4. Wrong code: segments made anew, at other addresses, by each map. */
START_TEST(next_map_shows_the_same_segments) {
	struct stile_sg_segment before[3];
	struct stile_sg_iter iter;
	add_some();
	map(STILE_TO_DEVICE);
	size_t count = stile_sg_get_segment_count(sg);
	ck_assert_uint_ge(count, 1);
	ck_assert_uint_le(count, 3);
	stile_sg_iter_begin(&iter, sg);
	for (size_t i = 0; i < count; i++) {
		ck_assert(stile_sg_iter_next_segment(&iter, &before[i]));
	}
	stile_sg_unmap(sg, STILE_TO_DEVICE);
	ck_assert_uint_eq(stile_sg_get_segment_count(sg), count);
	map(STILE_FROM_DEVICE);
	stile_sg_iter_begin(&iter, sg);
	for (size_t i = 0; i < count; i++) {
		struct stile_sg_segment now;
		ck_assert(stile_sg_iter_next_segment(&iter, &now));
		ck_assert_uint_eq(now.address, before[i].address);
		ck_assert_uint_eq(now.bytes, before[i].bytes);
	}
	stile_sg_unmap(sg, STILE_FROM_DEVICE);
}
END_TEST

/* T-6. Wrong code: an offset looked for by the CPU's pieces; off by one at a border. */
START_TEST(every_byte_is_found_where_its_segment_is) {
	add_some();
	map(STILE_BIDIRECTIONAL);
	struct stile_sg_iter iter;
	struct stile_sg_segment segment;
	uint64_t start = 0, address, bytes;
	stile_sg_iter_begin(&iter, sg);
	while (stile_sg_iter_next_segment(&iter, &segment)) {
		const uint64_t within[] = { 0, 1, page - 1, segment.bytes - 1 };
		for (size_t i = 0; i < ARRAY_LENGTH(within); i++) {
			ck_assert_int_eq(stile_sg_find(sg, start + within[i], &address, &bytes), 0);
			ck_assert_uint_eq(address, segment.address + within[i]);
			ck_assert_uint_eq(bytes, segment.bytes - within[i]);
		}
		start += segment.bytes;
	}
	static const uint64_t beyond[] = { 0, 1, 4096, UINT64_C(1) << 32, UINT64_MAX / 2 };
	for (size_t i = 0; i < ARRAY_LENGTH(beyond); i++) {
		ck_assert_int_eq(stile_sg_find(sg, start + beyond[i], &address, &bytes), -ERANGE);
	}
	ck_assert_int_eq(stile_sg_find(sg, UINT64_MAX, &address, &bytes), -ERANGE);
	stile_sg_unmap(sg, STILE_BIDIRECTIONAL);
}
END_TEST

/* Wrong code: a table that outlives its bus. */
START_TEST(mapped_table_keeps_its_device) {
	add_some();
	map(STILE_TO_DEVICE);
	stile_device_destroy(device);
	device = NULL;
	check_segments(page, LONGEST_SEGMENT);
	stile_sg_unmap(sg, STILE_TO_DEVICE);
}
END_TEST

/* Wrong code: a table that cannot go while it is mapped, or whose addresses stay taken. */
START_TEST(table_may_go_while_it_is_mapped) {
	for (int i = 0; i < MANY; i++) {
		add_some();
		map(STILE_BIDIRECTIONAL);
		stile_sg_destroy(sg);
		ck_assert_int_eq(stile_sg_create(&sg), 0);
	}
}
END_TEST

/* ---- Failures ------------------------------------------------------------------------------ */

static int attempt_create(void *user) {
	return stile_sg_create(user);
}

static void after_create(void *user, int ret) {
	struct stile_sg **made = user;
	ck_assert_int_eq(*made == NULL, ret < 0);
	stile_sg_destroy(*made);
}

static int attempt_append(void *user) {
	unsigned *next = user;
	return append(memory + *next * page, UNKNOWN, page);
}

/* Every second page: none is the last one's neighbour. */
static void after_append(void *user, int ret) {
	unsigned *next = user;
	*next += ret == 0 ? 2 : 0;
	ck_assert_uint_eq(stile_sg_get_range_count(sg), *next / 2);
	ck_assert_uint_eq(stile_sg_get_bytes(sg), *next / 2 * page);
}

static int attempt_map(void *user) {
	(void)user;
	return stile_sg_map(sg, device, STILE_TO_DEVICE);
}

static void after_map(void *user, int ret) {
	(void)user;
	if (ret < 0) {
		ck_assert_uint_eq(stile_sg_get_segment_count(sg), 0);
	} else {
		stile_sg_unmap(sg, STILE_TO_DEVICE);
	}
}

/* Wrong code: a table that is damaged where memory ran out; addresses that are lost with it. */
START_TEST(every_failing_allocation_leaves_the_table_as_it_was) {
	static const int errors[] = { -ENOMEM, 0 };
	struct stile_sg *made;
	ck_assert_uint_eq(failing_sweep(attempt_create, after_create, &made, errors), 1);
	unsigned next = 0, failed = 0;
	for (int i = 0; i < 20; i++) {
		failed += failing_sweep(attempt_append, after_append, &next, errors);
	}
	ck_assert_uint_ge(failed, 2);
	ck_assert_uint_eq(next, 40);
	ck_assert_uint_ge(failing_sweep(attempt_map, after_map, NULL, errors), 1);
	check_segments(page, LONGEST_SEGMENT);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("sg");
	TCase *cpu = ledger_tcase_create("the CPU's view");
	tcase_add_checked_fixture(cpu, setup, teardown);
	tcase_add_test(cpu, new_table_is_empty);
	tcase_add_loop_test(
		cpu, piece_that_goes_on_in_all_respects_is_joined, 0, ARRAY_LENGTH(joints));
	tcase_add_loop_test(cpu, what_is_not_whole_pages_is_refused, 0, ARRAY_LENGTH(wrongs));
	tcase_add_test(cpu, what_does_not_fit_in_64_bits_is_refused);
	tcase_add_test(cpu, many_pieces_come_out_in_the_order_they_went_in);
	tcase_add_test(cpu, iterator_cannot_run_past_the_end);
	suite_add_tcase(s, cpu);

	TCase *seen = ledger_tcase_create("the device's view");
	tcase_add_checked_fixture(seen, setup, teardown);
	tcase_add_test(seen, mapped_table_shows_all_bytes_as_whole_pages);
	tcase_add_test(seen, neighbours_are_one_segment);
	tcase_add_test(seen, iommu_makes_one_segment_of_scattered_pieces);
	tcase_add_test(seen, long_piece_is_split_below_4_gib);
	tcase_add_test(seen, long_piece_is_split_at_the_longest_that_the_device_takes);
	tcase_add_loop_test(
		seen, what_the_device_cannot_reach_is_erange, 0, ARRAY_LENGTH(unreachables));
	tcase_add_test(seen, map_takes_three_directions);
	tcase_add_test(seen, mapped_table_is_fixed);
	tcase_add_test(seen, table_serves_one_device);
	tcase_add_test(seen, next_map_shows_the_same_segments);
	tcase_add_test(seen, every_byte_is_found_where_its_segment_is);
	tcase_add_test(seen, mapped_table_keeps_its_device);
	tcase_add_test(seen, table_may_go_while_it_is_mapped);
	suite_add_tcase(s, seen);

	TCase *failures = ledger_tcase_create("failures");
	tcase_add_checked_fixture(failures, setup, teardown);
	tcase_add_test(failures, every_failing_allocation_leaves_the_table_as_it_was);
	suite_add_tcase(s, failures);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
