/* SPDX-License-Identifier: MIT */
/*
 * What a device sees of memory: KERNEL_CONTRACT T-4 to T-6, DESIGN section 7. The cache of a device that is
 * not coherent is test_cache.c's.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "backends/swgpu/bus.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/sg.h"

enum {
	READ = BUS_READ,
	WRITE = BUS_WRITE,
	BOTH = BUS_READ | BUS_WRITE,
	POOL_PAGES = 64,
};

static uint64_t page;
static uint8_t *pool; /* what tables are made of */
static struct bus *bus;
static unsigned tables; /* that were made and not freed */

static void setup(void) {
	page = os_page_size();
	pool = aligned_alloc((size_t)page, (size_t)(POOL_PAGES * page));
	ck_assert_ptr_nonnull(pool);
	memset(pool, 0, (size_t)(POOL_PAGES * page));
	tables = 0;
}

static void teardown(void) {
	/* A test that failed half-way has some left, of which the bus would complain. */
	if (tables == 0) {
		bus_destroy(bus);
	}
	bus = NULL;
	free(pool);
}

static const struct profile plain = { .address_bits = 64, .coherent = true };

static void open_bus(const struct profile *profile) {
	ck_assert_int_eq(bus_create(profile, &bus), 0);
}

static void setup_plain(void) {
	setup();
	open_bus(&plain);
}

static struct stile_sg *sg_create(void) {
	struct stile_sg *sg;
	ck_assert_int_eq(stile_sg_create(&sg), 0);
	tables++;
	return sg;
}

/* `address` in pages, 0: unknown. `at`: page of the pool, -1: the CPU cannot reach it. */
static void sg_add(struct stile_sg *sg, int at, uint64_t address, uint64_t pages) {
	const struct stile_sg_range range = {
		.memory = at < 0 ? NULL : pool + (uint64_t)at * page,
		.address = address == 0 ? STILE_ADDRESS_UNKNOWN : address * page,
		.bytes = pages * page,
	};
	ck_assert_int_eq(stile_sg_append(sg, &range), 0);
}

static int map(struct stile_sg *sg) {
	struct stile_report why = { .text = "nothing was said" };
	int ret = bus_map(bus, sg, &why);
	if (ret < 0) {
		ck_assert_int_eq(why.error, ret);
		ck_assert_ptr_null(sg->bus);
		ck_assert_ptr_null(sg->segments);
		ck_assert_uint_eq(sg->segment_count, 0);
	}
	return ret;
}

/* As the core does it when somebody maps. */
static void allow(struct stile_sg *sg, uint32_t access, int by) {
	if ((access & READ) != 0) {
		__atomic_fetch_add(&sg->readers, (uint32_t)by, __ATOMIC_RELEASE);
	}
	if ((access & WRITE) != 0) {
		__atomic_fetch_add(&sg->writers, (uint32_t)by, __ATOMIC_RELEASE);
	}
}

static struct stile_sg *sg_mapped(int at, uint64_t address, uint64_t pages, uint32_t access) {
	struct stile_sg *sg = sg_create();
	sg_add(sg, at, address, pages);
	ck_assert_int_eq(map(sg), 0);
	allow(sg, access, 1);
	return sg;
}

static void sg_free(struct stile_sg *sg) {
	bus_free(bus, sg);
	stile_sg_destroy(sg);
	tables--;
}

/* ---- Segments ------------------------------------------------------------------------------ */

struct extent {
	uint64_t address, pages; /* both in pages */
};

struct segments_case {
	const char *what;
	struct profile profile; /* alignment and largest segment in pages */
	struct extent ranges[5];
	int ret;
	struct extent segments[6];
};

#define BITS(bits) .address_bits = (bits), .coherent = true

static const struct segments_case segments_cases[] = {
	{ "one", { BITS(64) }, { { 100, 5 } }, 0, { { 100, 5 } } },
	{ "neighbours", { BITS(64) }, { { 100, 2 }, { 102, 3 } }, 0, { { 100, 5 } } },
	{ "a gap", { BITS(64) }, { { 100, 2 }, { 103, 3 } }, 0, { { 100, 2 }, { 103, 3 } } },
	{ "neighbours downwards", { BITS(64) }, { { 102, 1 }, { 101, 1 } }, 0,
		{ { 102, 1 }, { 101, 1 } } },
	{ "twice the same", { BITS(64) }, { { 100, 2 }, { 100, 2 } }, 0,
		{ { 100, 2 }, { 100, 2 } } },
	{ "only the last is a neighbour", { BITS(64) }, { { 100, 1 }, { 200, 1 }, { 101, 1 } }, 0,
		{ { 100, 1 }, { 200, 1 }, { 101, 1 } } },
	{ "cut at the largest", { BITS(64), .max_segment = 2 }, { { 100, 5 } }, 0,
		{ { 100, 2 }, { 102, 2 }, { 104, 1 } } },
	{ "cut over a border of ranges", { BITS(64), .max_segment = 4 }, { { 100, 3 }, { 103, 3 } },
		0, { { 100, 4 }, { 104, 2 } } },
	{ "cut where it is aligned", { BITS(64), .max_segment = 7, .segment_align = 4 },
		{ { 100, 9 } }, 0, { { 100, 4 }, { 104, 4 }, { 108, 1 } } },
	{ "cut in less than alignment", { BITS(64), .max_segment = 3, .segment_align = 4 },
		{ { 100, 1 } }, -ERANGE, { { 0 } } },
	{ "as many as may be", { BITS(64), .max_segments = 2 }, { { 100, 1 }, { 200, 1 } }, 0,
		{ { 100, 1 }, { 200, 1 } } },
	{ "one too many", { BITS(64), .max_segments = 1 }, { { 100, 1 }, { 200, 1 } }, -ERANGE,
		{ { 0 } } },
	{ "not too many once coalesced", { BITS(64), .max_segments = 1 },
		{ { 100, 1 }, { 101, 1 } }, 0, { { 100, 2 } } },
	{ "too many once cut", { BITS(64), .max_segments = 2, .max_segment = 2 }, { { 100, 5 } },
		-ERANGE, { { 0 } } },
	{ "aligned, a short last one", { BITS(64), .segment_align = 4 }, { { 100, 4 }, { 200, 3 } },
		0, { { 100, 4 }, { 200, 3 } } },
	{ "misaligned", { BITS(64), .segment_align = 4 }, { { 100, 4 }, { 202, 4 } }, -ERANGE,
		{ { 0 } } },
	{ "a short one in the middle", { BITS(64), .segment_align = 4 }, { { 100, 3 }, { 200, 4 } },
		-ERANGE, { { 0 } } },
	{ "short ones that are one", { BITS(64), .segment_align = 4 },
		{ { 100, 3 }, { 103, 1 }, { 200, 4 } }, 0, { { 100, 4 }, { 200, 4 } } },
	{ "up to the width", { BITS(32) }, { { 0xfffff, 1 } }, 0, { { 0xfffff, 1 } } },
	{ "over the width", { BITS(32) }, { { 0xfffff, 2 } }, -ERANGE, { { 0 } } },
	{ "the last one over the width", { BITS(32) }, { { 100, 1 }, { 0x100000, 1 } }, -ERANGE,
		{ { 0 } } },
	{ "up to the end of 64 bits", { BITS(64) }, { { (UINT64_C(1) << 52) - 1, 1 } }, 0,
		{ { (UINT64_C(1) << 52) - 1, 1 } } },
	{ "unknown, and narrow", { BITS(32) }, { { 0, 1 } }, -ERANGE, { { 0 } } },
	{ "IOMMU", { BITS(20), .iommu = true }, { { 0x100000, 2 }, { 0, 3 }, { 100, 1 } }, 0,
		{ { 1, 6 } } },
	{ "IOMMU, contiguous", { BITS(32), .iommu = true, .max_segments = 1 },
		{ { 100, 2 }, { 200, 2 } }, 0, { { 1, 4 } } },
	{ "IOMMU, aligned", { BITS(32), .iommu = true, .segment_align = 16 },
		{ { 100, 3 }, { 200, 2 } }, 0, { { 16, 5 } } },
	{ "IOMMU, cut at the largest", { BITS(32), .iommu = true, .max_segment = 4 },
		{ { 100, 3 }, { 200, 2 } }, 0, { { 1, 4 }, { 5, 1 } } },
	{ "IOMMU, too many once cut",
		{ BITS(32), .iommu = true, .max_segment = 4, .max_segments = 1 },
		{ { 100, 3 }, { 200, 2 } }, -ERANGE, { { 0 } } },
	{ "IOMMU, more than the width", { BITS(12), .iommu = true }, { { 100, 1 } }, -ENOSPC,
		{ { 0 } } },
};

static void check_segments(const struct segments_case *c, const struct stile_sg *sg) {
	size_t count = 0;
	while (count < ARRAY_LENGTH(c->segments) && c->segments[count].pages > 0) {
		count++;
	}
	ck_assert_msg(sg->segment_count == count, "%s: %zu segments", c->what, sg->segment_count);
	for (size_t i = 0; i < count; i++) {
		ck_assert_msg(sg->segments[i].address == c->segments[i].address * page &&
				sg->segments[i].bytes == c->segments[i].pages * page,
			"%s: segment %zu: 0x%x bytes at 0x%llx", c->what, i, sg->segments[i].bytes,
			(unsigned long long)sg->segments[i].address);
	}
}

/*
 * T-6. Wrong code: each constraint has its own; mostly, one that is applied to ranges, before they are
 * coalesced and cut, or to the first segment alone.
 */
START_TEST(segments_are_what_the_device_takes) {
	const struct segments_case *c = &segments_cases[_i];
	if (page != 4096) {
		return; /* the widths above are in these */
	}
	struct profile profile = c->profile;
	profile.segment_align *= (uint32_t)page;
	profile.max_segment *= page;
	open_bus(&profile);
	struct stile_sg *sg = sg_create();
	int at = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(c->ranges) && c->ranges[i].pages > 0; i++) {
		sg_add(sg, at, c->ranges[i].address, c->ranges[i].pages);
		at += (int)c->ranges[i].pages + 1;
	}
	int ret = map(sg);
	ck_assert_msg(ret == c->ret, "%s: gives %d", c->what, ret);
	check_segments(c, sg);
	sg_free(sg);
}
END_TEST

/* T-6. Wrong code: a length that does not fit in 32 bits, or one that fits and is no page's multiple. */
START_TEST(segments_are_shorter_than_4_gib) {
	uint64_t most = (UINT64_C(1) << 32) - page, bytes = UINT64_C(9) << 30;
	struct stile_sg *sg = sg_create();
	sg_add(sg, -1, UINT64_C(1) << 30, bytes / page);
	ck_assert_int_eq(map(sg), 0);
	ck_assert_uint_eq(sg->segment_count, 3);
	ck_assert_uint_eq(sg->segments[0].bytes, most);
	ck_assert_uint_eq(sg->segments[1].bytes, most);
	ck_assert_uint_eq(sg->segments[2].bytes, bytes - 2 * most);
	ck_assert_uint_eq(
		sg->segments[2].address - sg->segments[0].address, sg->segments[1].bytes + most);
	sg_free(sg);
}
END_TEST

struct refusal_case {
	struct profile profile; /* in pages, as above */
	struct extent ranges[3];
	uint64_t needed, actual;
	const char *parts[2];
};

static const struct refusal_case refusal_cases[] = {
	{ { BITS(32) }, { { 0x100000, 2 } }, 32, 33, { "32 address bits", "0x100001fff" } },
	{ { BITS(64), .max_segments = 1 }, { { 1, 1 }, { 3, 1 } }, 1, 2,
		{ "2 pieces", "takes 1" } },
	{ { BITS(64), .segment_align = 4 }, { { 1, 4 } }, 16384, 4096, { "0x1000", "16384" } },
	{ { BITS(64), .segment_align = 4 }, { { 4, 1 }, { 8, 4 } }, 16384, 4096,
		{ "4096 bytes", "16384" } },
	{ { BITS(64), .segment_align = 4, .max_segment = 1 }, { { 4, 4 } }, 16384, 4096,
		{ "4096 bytes", "16384" } },
};

/* Wrong code: an error without a reason, which is the other constraint's, or has the numbers swapped. */
START_TEST(refusal_names_the_numbers) {
	const struct refusal_case *c = &refusal_cases[_i];
	if (page != 4096) {
		return;
	}
	struct profile profile = c->profile;
	profile.segment_align *= (uint32_t)page;
	profile.max_segment *= page;
	open_bus(&profile);
	struct stile_sg *sg = sg_create();
	for (size_t i = 0; i < ARRAY_LENGTH(c->ranges) && c->ranges[i].pages > 0; i++) {
		sg_add(sg, 10 * (int)i, c->ranges[i].address, c->ranges[i].pages);
	}
	struct stile_report why;
	ck_assert_int_eq(bus_map(bus, sg, &why), -ERANGE);
	ck_assert_int_eq(why.reason, STILE_REASON_MEMORY);
	ck_assert_int_eq(why.error, -ERANGE);
	ck_assert_uint_eq(why.needed, c->needed);
	ck_assert_uint_eq(why.actual, c->actual);
	for (size_t i = 0; i < ARRAY_LENGTH(c->parts); i++) {
		ck_assert_msg(strstr(why.text, c->parts[i]) != NULL, "no \"%s\" in \"%s\"",
			c->parts[i], why.text);
	}
	sg_free(sg);
}
END_TEST

/* Wrong code: memory of a process that happens to be contiguous; one address for two; a low one. */
START_TEST(unknown_memory_gets_addresses_of_its_own) {
	struct stile_sg *a = sg_create(), *b = sg_mapped(20, 0, 2, READ);
	sg_add(a, 0, 0, 2);
	sg_add(a, 4, 0, 2);
	sg_add(a, 8, 0, 2);
	ck_assert_int_eq(map(a), 0);
	ck_assert_uint_eq(a->segment_count, 3);
	ck_assert_uint_eq(b->segment_count, 1);
	for (size_t i = 0; i < 3; i++) {
		uint64_t address = a->segments[i].address;
		ck_assert_uint_ge(address, UINT64_C(1) << 32);
		ck_assert_uint_eq(a->segments[i].bytes, 2 * page);
		ck_assert(address + 2 * page < b->segments[0].address ||
			address > b->segments[0].address + 2 * page);
	}
	sg_free(a);
	sg_free(b);
}
END_TEST

/* T-6. Wrong code: memory of unknown address that is refused, or not, as chance has it. */
START_TEST(unknown_memory_is_where_the_device_needs_it) {
	open_bus(&(struct profile){
		.address_bits = 64,
		.coherent = true,
		.segment_align = (uint32_t)(8 * page),
	});
	struct stile_sg *sg = sg_create();
	for (int i = 0; i < 3; i++) {
		sg_add(sg, 10 * i, 0, i == 2 ? 3 : 8);
	}
	ck_assert_int_eq(map(sg), 0);
	ck_assert_uint_eq(sg->segment_count, 3);
	sg_free(sg);
}
END_TEST

/* Wrong code: addresses that are not given back, by bus_free() or by a map that failed after it took them. */
START_TEST(iommu_runs_out_of_addresses_and_has_them_again) {
	const struct profile profile = {
		.address_bits = 20,
		.coherent = true,
		.iommu = true,
		.max_segments = 1,
		.max_segment = UINT64_C(1) << 18,
	};
	open_bus(&profile);
	struct stile_sg *most = sg_create(), *rest = sg_create(), *long_one = sg_create();
	for (int i = 0; i < 30; i++) {
		sg_add(most, 2 * i, 0, 1);
		sg_add(rest, 2 * i, 0, 2);
	}
	sg_add(long_one, -1, 0, (UINT64_C(1) << 19) / page);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(map(long_one), -ERANGE);
	}
	struct stile_sg *many[300];
	size_t count = 0;
	do {
		ck_assert_uint_lt(count, ARRAY_LENGTH(many));
		many[count] = sg_create();
		sg_add(many[count], 0, 0, 3);
	} while (map(many[count++]) == 0);
	ck_assert_uint_ge(count, (UINT64_C(1) << 20) / page / 5);
	ck_assert_int_eq(map(most), -ENOSPC);
	while (count > 0) {
		sg_free(many[--count]);
	}
	ck_assert_int_eq(map(most), 0);
	ck_assert_int_eq(map(rest), 0);
	ck_assert_uint_eq(rest->segment_count, 1);
	sg_free(most);
	sg_free(rest);
	sg_free(long_one);
}
END_TEST

/* ---- The same memory twice ----------------------------------------------------------------- */

static bool reads(uint64_t address, uint8_t expected) {
	uint8_t byte = (uint8_t)~expected;
	struct bus_fault fault;
	return bus_access(bus, address, &byte, 1, BUS_READ, &fault) && byte == expected;
}

/*
 * Wrong code: the second one refused; one that is freed takes the address of the other with it; rights
 * of one, and memory of the other. The CPU sees the same memory in two places, as by two mmap(); here
 * they differ, to be told apart.
 */
START_TEST(memory_may_be_in_two_tables) {
	pool[7] = 42;
	pool[10 * page + 7] = 44;
	struct stile_sg *a = sg_mapped(0, 100, 2, WRITE), *b = sg_mapped(10, 100, 2, READ);
	struct stile_sg *c = sg_mapped(20, 100, 2, 0);
	uint64_t address = 100 * page + 7;
	ck_assert(reads(address, 44));
	uint8_t byte = 43;
	struct bus_fault fault;
	ck_assert(bus_access(bus, address, &byte, 1, BUS_WRITE, &fault));
	ck_assert_uint_eq(pool[7], 43);
	sg_free(a);
	ck_assert(reads(address, 44));
	ck_assert(!bus_access(bus, address, &byte, 1, BUS_WRITE, &fault));
	ck_assert_int_eq(fault.reason, STILE_SWGPU_FAULT_DIRECTION);
	sg_free(b);
	ck_assert(!bus_access(bus, address, &byte, 1, BUS_READ, &fault));
	ck_assert_int_eq(fault.reason, STILE_SWGPU_FAULT_UNMAPPED);
	sg_free(c);
	ck_assert(!bus_access(bus, address, &byte, 1, BUS_READ, &fault));
	ck_assert_int_eq(fault.reason, STILE_SWGPU_FAULT_FREED);
}
END_TEST

/* In pages; 100 to 104 are mapped. */
static const struct extent overlaps[] = { { 98, 3 }, { 103, 2 }, { 101, 2 }, { 99, 6 }, { 100, 3 },
	{ 101, 3 }, { 99, 5 }, { 100, 5 } };

/* Wrong code: an overlap at one end that is overlooked; segments before it that stay. */
START_TEST(a_part_of_what_is_mapped_is_refused) {
	struct stile_sg *a = sg_mapped(0, 100, 4, READ), *b = sg_create();
	sg_add(b, 30, 200, 2);
	sg_add(b, 10, overlaps[_i].address, overlaps[_i].pages);
	sg_add(b, 20, 300, 2);
	ck_assert_int_eq(map(b), -EINVAL);
	struct bus_fault fault;
	uint8_t byte;
	ck_assert(!bus_access(bus, 200 * page, &byte, 1, BUS_READ, &fault));
	ck_assert_int_eq(fault.reason, STILE_SWGPU_FAULT_UNKNOWN);
	ck_assert(reads(100 * page, 0));
	sg_free(a);
	ck_assert_int_eq(map(b), 0);
	sg_free(b);
}
END_TEST

/* ---- Faults -------------------------------------------------------------------------------- */

struct fault_case {
	const char *what;
	uint32_t allowed;
	enum bus_access access;
	uint64_t at; /* pages; 100 to 104 are mapped, the last one without memory; 200 was freed */
	enum stile_swgpu_fault_reason reason;
};

static const struct fault_case fault_cases[] = {
	{ "read", READ, BUS_READ, 100, STILE_SWGPU_FAULT_NONE },
	{ "write", WRITE, BUS_WRITE, 102, STILE_SWGPU_FAULT_NONE },
	{ "read where both", BOTH, BUS_READ, 100, STILE_SWGPU_FAULT_NONE },
	{ "write where both", BOTH, BUS_WRITE, 100, STILE_SWGPU_FAULT_NONE },
	{ "write where read", READ, BUS_WRITE, 100, STILE_SWGPU_FAULT_DIRECTION },
	{ "read where write", WRITE, BUS_READ, 100, STILE_SWGPU_FAULT_DIRECTION },
	{ "read where none", 0, BUS_READ, 100, STILE_SWGPU_FAULT_UNMAPPED },
	{ "write where none", 0, BUS_WRITE, 103, STILE_SWGPU_FAULT_UNMAPPED },
	{ "before it", BOTH, BUS_READ, 99, STILE_SWGPU_FAULT_UNKNOWN },
	{ "behind it", BOTH, BUS_WRITE, 104, STILE_SWGPU_FAULT_UNKNOWN },
	{ "at zero", BOTH, BUS_READ, 0, STILE_SWGPU_FAULT_UNKNOWN },
	{ "no memory", BOTH, BUS_READ, 103, STILE_SWGPU_FAULT_UNKNOWN },
	{ "freed", BOTH, BUS_READ, 200, STILE_SWGPU_FAULT_FREED },
	{ "behind what was freed", BOTH, BUS_READ, 201, STILE_SWGPU_FAULT_UNKNOWN },
	{ "the last there is", BOTH, BUS_READ, 0xfffff, STILE_SWGPU_FAULT_UNKNOWN },
	{ "too wide", BOTH, BUS_WRITE, 0x100000, STILE_SWGPU_FAULT_WIDTH },
	{ "far too wide", BOTH, BUS_READ, UINT64_MAX >> 12, STILE_SWGPU_FAULT_WIDTH },
};

/* T-5. Wrong code: an access that goes through, or is refused for the wrong reason, or by the wrong name. */
START_TEST(access_by_address_is_checked) {
	const struct fault_case *c = &fault_cases[_i];
	if (page != 4096) {
		return;
	}
	open_bus(&(struct profile){ BITS(32) });
	struct stile_sg *sg = sg_create();
	sg_add(sg, 0, 100, 3);
	sg_add(sg, -1, 103, 1);
	ck_assert_int_eq(map(sg), 0);
	allow(sg, c->allowed, 1);
	sg_free(sg_mapped(30, 200, 1, BOTH));
	memset(pool, 5, (size_t)(3 * page));
	uint8_t bytes[2] = { 7, 7 };
	struct bus_fault fault = { .reason = STILE_SWGPU_FAULT_NONE };
	bool done = bus_access(bus, c->at * page + 10, bytes, 2, c->access, &fault);
	ck_assert_msg(done == (c->reason == STILE_SWGPU_FAULT_NONE), "%s", c->what);
	ck_assert_msg(fault.reason == c->reason, "%s: reason %d", c->what, fault.reason);
	if (!done) {
		ck_assert_msg(fault.write == (c->access == BUS_WRITE), "%s", c->what);
		ck_assert_uint_eq(fault.address, c->at * page + 10);
	}
	bool has_written = done && c->access == BUS_WRITE;
	ck_assert_int_eq(pool[(c->at - 100) % 3 * page + 10], has_written ? 7 : 5);
	ck_assert_int_eq(bytes[1], done && c->access == BUS_READ ? 5 : 7);
	sg_free(sg);
}
END_TEST

/* Wrong code: all or nothing; the fault at where the access began, or at its end. */
START_TEST(fault_is_where_the_access_cannot_go_on) {
	struct stile_sg *a = sg_mapped(0, 100, 1, WRITE), *b = sg_mapped(10, 101, 1, WRITE);
	struct stile_sg *c = sg_mapped(20, 102, 1, READ);
	size_t bytes = (size_t)(3 * page);
	uint8_t *data = malloc(bytes);
	ck_assert_ptr_nonnull(data);
	memset(data, 9, bytes);
	struct bus_fault fault;
	ck_assert(!bus_access(bus, 100 * page + 1, data, bytes - 1, BUS_WRITE, &fault));
	ck_assert_int_eq(fault.reason, STILE_SWGPU_FAULT_DIRECTION);
	ck_assert_uint_eq(fault.address, 102 * page);
	ck_assert_int_eq(pool[0], 0);
	ck_assert_int_eq(pool[1], 9);
	ck_assert_int_eq(pool[11 * page - 1], 9);
	ck_assert_int_eq(pool[11 * page], 0);
	ck_assert_int_eq(pool[20 * page], 0);
	ck_assert(bus_access(bus, 0, data, 0, BUS_WRITE, &fault));
	free(data);
	sg_free(a);
	sg_free(b);
	sg_free(c);
}
END_TEST

/* T-6. Wrong code: memory that is missing looked for where the access, or the segment, begins. */
START_TEST(fault_is_where_there_is_no_memory) {
	struct stile_sg *sg = sg_create();
	sg_add(sg, 0, 100, 1);
	sg_add(sg, -1, 101, 1);
	ck_assert_int_eq(map(sg), 0);
	ck_assert_uint_eq(sg->segment_count, 1);
	allow(sg, READ, 1);
	uint8_t bytes[8];
	struct bus_fault fault;
	ck_assert(!bus_access(bus, 101 * page - 4, bytes, 8, BUS_READ, &fault));
	ck_assert_int_eq(fault.reason, STILE_SWGPU_FAULT_UNKNOWN);
	ck_assert_uint_eq(fault.address, 101 * page);
	sg_free(sg);
}
END_TEST

/* Wrong code: an end of 64 bits that is taken for a start; a sum that wraps around. */
START_TEST(access_over_the_last_address_is_a_fault) {
	uint64_t last = (UINT64_MAX / page) * page;
	struct stile_sg *sg = sg_mapped(0, last / page, 1, BOTH);
	uint8_t bytes[4] = { 1, 2, 3, 4 };
	struct bus_fault fault;
	ck_assert(!bus_access(bus, UINT64_MAX - 1, bytes, 4, BUS_WRITE, &fault));
	ck_assert_int_eq(fault.reason, STILE_SWGPU_FAULT_UNKNOWN);
	ck_assert_uint_eq(fault.address, 0);
	ck_assert_int_eq(pool[page - 1], 2);
	ck_assert(reads(UINT64_MAX, 2));
	sg_free(sg);
}
END_TEST

static enum stile_swgpu_fault_reason reason_at(uint64_t address) {
	uint8_t byte;
	struct bus_fault fault = { .reason = STILE_SWGPU_FAULT_NONE };
	ck_assert(bus_access(bus, address, &byte, 1, BUS_READ, &fault) ==
		(fault.reason == STILE_SWGPU_FAULT_NONE));
	return fault.reason;
}

/* Wrong code: an end that is known of the last table only, or of its first or last segments. */
START_TEST(freed_addresses_are_known_until_they_are_mapped) {
	struct stile_sg *sg = sg_create();
	for (int i = 0; i < 30; i++) {
		sg_add(sg, 2 * i, 1000 + 2 * (uint64_t)i, 1);
	}
	ck_assert_int_eq(map(sg), 0);
	sg_free(sg);
	for (uint64_t i = 0; i < 60; i++) {
		sg_free(sg_mapped(0, 100 + 2 * i, 1, READ));
	}
	for (uint64_t i = 0; i < 30; i++) {
		ck_assert_int_eq(reason_at((1000 + 2 * i) * page), STILE_SWGPU_FAULT_FREED);
		ck_assert_int_eq(reason_at((1001 + 2 * i) * page), STILE_SWGPU_FAULT_UNKNOWN);
		ck_assert_int_eq(reason_at((100 + 2 * i) * page), STILE_SWGPU_FAULT_FREED);
	}
	sg = sg_mapped(0, 1000, 1, READ);
	ck_assert_int_eq(reason_at(1000 * page), STILE_SWGPU_FAULT_NONE);
	allow(sg, READ, -1);
	ck_assert_int_eq(reason_at(1000 * page), STILE_SWGPU_FAULT_UNMAPPED);
	sg_free(sg);
}
END_TEST

/* Wrong code: memory that grows with each table that was ever freed; the one just freed forgotten for it. */
START_TEST(only_the_last_freed_are_remembered) {
	for (uint64_t i = 0; i < 200; i++) {
		sg_free(sg_mapped(0, 100 + 2 * i, 1, READ));
	}
	ck_assert_int_eq(reason_at(100 * page), STILE_SWGPU_FAULT_UNKNOWN);
	ck_assert_int_eq(reason_at(498 * page), STILE_SWGPU_FAULT_FREED);
	/* One of very many pieces: the others go, not that. */
	struct stile_sg *sg = sg_create();
	for (uint64_t i = 0; i < 40000; i++) {
		sg_add(sg, 0, 1000 + 2 * i, 1);
	}
	ck_assert_int_eq(map(sg), 0);
	sg_free(sg);
	ck_assert_int_eq(reason_at(498 * page), STILE_SWGPU_FAULT_UNKNOWN);
	ck_assert_int_eq(reason_at(1000 * page), STILE_SWGPU_FAULT_FREED);
	sg_free(sg_mapped(0, 100, 1, READ));
	ck_assert_int_eq(reason_at(100 * page), STILE_SWGPU_FAULT_FREED);
	ck_assert_int_eq(reason_at(1000 * page), STILE_SWGPU_FAULT_UNKNOWN);
}
END_TEST

/* ---- Windows ------------------------------------------------------------------------------- */

/* Pages of the pool 0 to 3, 4 and 5, which the CPU has in one piece, and 10: three pieces for the device. */
static struct stile_sg *sg_in_pieces(void) {
	struct stile_sg *sg = sg_create();
	sg_add(sg, 0, 100, 4);
	sg_add(sg, 4, 200, 2);
	sg_add(sg, 10, 206, 1);
	ck_assert_int_eq(map(sg), 0);
	ck_assert_uint_eq(sg->segment_count, 3);
	allow(sg, BOTH, 1);
	return sg;
}

struct window_case {
	const char *what;
	uint64_t offset, bytes; /* in pages, and one byte off at both ends */
	bool direct;
};

static const struct window_case window_cases[] = {
	{ "in a range", 1, 2, true },
	{ "over ranges that are one for the CPU", 1, 5, true },
	{ "up to the end of what is one", 0, 6, true },
	{ "over a border", 5, 2, false },
	{ "all of it", 0, 7, false },
	{ "the last range", 6, 1, true },
};

/* Wrong code: a pointer to memory that ends before the window does; a copy where none is needed, or lost. */
START_TEST(window_is_memory_itself_where_that_is_possible) {
	const struct window_case *c = &window_cases[_i];
	struct stile_sg *sg = sg_in_pieces();
	for (uint64_t i = 0; i < 7 * page; i++) {
		pool[i < 6 * page ? i : i + 4 * page] = (uint8_t)(i / page * 16 + i % 13);
	}
	uint64_t offset = c->offset * page + 1, bytes = c->bytes * page - 2;
	struct bus_window window;
	struct bus_fault fault;
	ck_assert_int_eq(bus_open(bus, sg, offset, bytes, BOTH, &window, &fault), 0);
	bool direct = window.memory >= pool && window.memory < pool + POOL_PAGES * page;
	ck_assert_msg(direct == c->direct, "%s", c->what);
	uint64_t right = 0;
	for (uint64_t i = offset; i < offset + bytes; i++) {
		right += window.memory[i - offset] == (uint8_t)(i / page * 16 + i % 13);
		window.memory[i - offset] = (uint8_t)(i % 251);
	}
	ck_assert_msg(right == bytes, "%s: %d bytes are right", c->what, (int)right);
	bus_close(bus, &window);
	right = 0;
	for (uint64_t i = 0; i < 7 * page; i++) {
		bool in = i >= offset && i < offset + bytes;
		uint8_t now = pool[i < 6 * page ? i : i + 4 * page];
		right += now == (uint8_t)(in ? i % 251 : i / page * 16 + i % 13);
	}
	ck_assert_msg(right == 7 * page, "%s: %d bytes are right", c->what, (int)right);
	sg_free(sg);
}
END_TEST

/*
 * Wrong code: a copy that goes back as a whole, over what others have written meanwhile; one that goes
 * back though it was only read; one that is read though it is only written.
 */
START_TEST(copy_gives_back_what_has_changed) {
	struct stile_sg *sg = sg_in_pieces();
	struct bus_window window;
	struct bus_fault fault;
	uint8_t *other = pool + 5 * page + 8;
	ck_assert_int_eq(bus_open(bus, sg, 5 * page, 2 * page, BOTH, &window, &fault), 0);
	window.memory[0] = 1;
	window.memory[page] = 2;
	*other = 3;
	bus_close(bus, &window);
	ck_assert_int_eq(pool[5 * page], 1);
	ck_assert_int_eq(pool[10 * page], 2);
	ck_assert_int_eq(*other, 3);

	ck_assert_int_eq(bus_open(bus, sg, 5 * page, 2 * page, READ, &window, &fault), 0);
	window.memory[0] = 4;
	bus_close(bus, &window);
	ck_assert_int_eq(pool[5 * page], 1);

	ck_assert_int_eq(bus_open(bus, sg, 5 * page, 2 * page, WRITE, &window, &fault), 0);
	memset(window.memory, 6, (size_t)(2 * page));
	bus_close(bus, &window);
	ck_assert_int_eq(pool[6 * page - 1], 6);
	ck_assert_int_eq(pool[10 * page], 6);
	sg_free(sg);
}
END_TEST

/* Wrong code: pieces of a long access, which is done by pieces, that are left out or done twice. */
START_TEST(long_access_is_complete) {
	open_bus(&(struct profile){ .address_bits = 64, .coherent = _i == 0 });
	size_t half = (size_t)3 << 19, bytes = 2 * half;
	uint8_t *memory = aligned_alloc((size_t)page, bytes), *data = malloc(bytes);
	ck_assert(memory != NULL && data != NULL);
	struct stile_sg *sg = sg_create();
	/* The second half first. */
	for (size_t i = 0; i < 2; i++) {
		const struct stile_sg_range range = {
			.memory = memory + (1 - i) * half,
			.address = 100 * page + i * half,
			.bytes = half,
		};
		ck_assert_int_eq(stile_sg_append(sg, &range), 0);
	}
	ck_assert_int_eq(map(sg), 0);
	allow(sg, BOTH, 1);
	for (size_t i = 0; i < bytes; i++) {
		memory[i] = (uint8_t)(i % 253);
	}
	struct bus_fault fault;
	struct bus_window window;
	ck_assert(bus_access(bus, 100 * page + 1, data, bytes - 1, BUS_READ, &fault));
	ck_assert(memcmp(data, memory + half + 1, half - 1) == 0);
	ck_assert(memcmp(data + half - 1, memory, half) == 0);
	for (size_t i = 0; i < bytes; i++) {
		data[i] = (uint8_t)(i % 241);
	}
	ck_assert(bus_access(bus, 100 * page, data, bytes, BUS_WRITE, &fault));
	ck_assert_int_eq(bus_open(bus, sg, 0, bytes, BOTH, &window, &fault), 0);
	ck_assert(memcmp(window.memory, data, bytes) == 0);
	for (size_t i = 0; i < bytes; i++) {
		window.memory[i] = data[i] = (uint8_t)(i % 239);
	}
	bus_close(bus, &window);
	bus_sync(bus, sg, 0, bytes, true);
	ck_assert(memcmp(memory + half, data, half) == 0);
	ck_assert(memcmp(memory, data + half, half) == 0);
	sg_free(sg);
	free(memory);
	free(data);
}
END_TEST

struct window_fault_case {
	uint32_t allowed, access;
	enum stile_swgpu_fault_reason reason;
	bool write;
};

static const struct window_fault_case window_fault_cases[] = {
	{ 0, READ, STILE_SWGPU_FAULT_UNMAPPED, false },
	{ 0, WRITE, STILE_SWGPU_FAULT_UNMAPPED, true },
	{ 0, BOTH, STILE_SWGPU_FAULT_UNMAPPED, true },
	{ READ, WRITE, STILE_SWGPU_FAULT_DIRECTION, true },
	{ READ, BOTH, STILE_SWGPU_FAULT_DIRECTION, true },
	{ WRITE, READ, STILE_SWGPU_FAULT_DIRECTION, false },
	{ WRITE, BOTH, STILE_SWGPU_FAULT_DIRECTION, false },
};

/* T-5. Wrong code: one right that is enough for both; a window that comes with a fault. */
START_TEST(window_needs_all_rights) {
	const struct window_fault_case *c = &window_fault_cases[_i];
	struct stile_sg *sg = sg_in_pieces();
	allow(sg, BOTH, -1);
	allow(sg, c->allowed, 1);
	struct bus_window window;
	struct bus_fault fault;
	ck_assert_int_eq(bus_open(bus, sg, 4 * page + 5, 10, c->access, &window, &fault), -EFAULT);
	ck_assert_int_eq(fault.reason, c->reason);
	ck_assert_int_eq(fault.write, c->write);
	ck_assert_uint_eq(fault.address, 200 * page + 5);
	ck_assert_ptr_null(window.memory);
	sg_free(sg);
}
END_TEST

/* Wrong code: a pointer that begins with NULL; memory that is missing found out while it is copied. */
START_TEST(window_needs_memory_and_segments) {
	struct stile_sg *sg = sg_create();
	sg_add(sg, 0, 100, 2);
	sg_add(sg, -1, 200, 1);
	sg_add(sg, 2, 300, 1);
	struct bus_window window;
	struct bus_fault fault;
	ck_assert_int_eq(bus_open(bus, sg, 0, page, READ, &window, &fault), -EFAULT);
	ck_assert_int_eq(fault.reason, STILE_SWGPU_FAULT_UNKNOWN);
	ck_assert_int_eq(map(sg), 0);
	allow(sg, BOTH, 1);
	static const uint64_t begins[] = { 1, 2 };
	for (size_t i = 0; i < ARRAY_LENGTH(begins); i++) {
		uint64_t at = begins[i] * page + 7;
		ck_assert_int_eq(
			bus_open(bus, sg, at, 4 * page - at, WRITE, &window, &fault), -EFAULT);
		ck_assert_int_eq(fault.reason, STILE_SWGPU_FAULT_UNKNOWN);
		ck_assert(fault.write);
		ck_assert_uint_eq(fault.address, 200 * page + (i == 0 ? 0 : 7));
	}
	static const uint64_t ends[] = { 0, 3 };
	for (size_t i = 0; i < ARRAY_LENGTH(ends); i++) {
		ck_assert_int_eq(bus_open(bus, sg, ends[i] * page, page, READ, &window, &fault), 0);
		bus_close(bus, &window);
	}
	sg_free(sg);
}
END_TEST

/* ---- Random histories ---------------------------------------------------------------------- */

enum { TABLES = 12, ADDRESSES = 96, FIRST = 50 };

/* Pages, and bytes, in the dullest way. */
struct model {
	struct stile_sg *tables[TABLES]; /* NULL: none */
	struct {
		int owner;      /* the table's number, -1: none */
		int page;       /* of the pool */
		unsigned freed; /* the number of that, 0: it never was */
	} at[ADDRESSES];
	unsigned frees;
	bool pool_used[POOL_PAGES];
	uint8_t bytes[POOL_PAGES * 4096];
};

static struct model model;

/* A run of addresses that nobody has. */
static uint64_t model_addresses(uint64_t *random, uint64_t pages) {
	uint64_t first = runner_random(random) % (ADDRESSES - pages);
	for (uint64_t i = first; i < first + pages; i++) {
		if (model.at[i].owner >= 0) {
			return ADDRESSES;
		}
	}
	return first;
}

/* One range, if chance finds a place for it. */
static void model_add(int table, uint64_t *random) {
	uint64_t pages = runner_random(random) % 3 + 1;
	uint64_t first = model_addresses(random, pages);
	size_t at = (size_t)(runner_random(random) % (POOL_PAGES - pages));
	for (uint64_t i = 0; i < pages; i++) {
		if (first == ADDRESSES || model.pool_used[at + i]) {
			return;
		}
	}
	sg_add(model.tables[table], (int)at, FIRST + first, pages);
	for (uint64_t i = 0; i < pages; i++) {
		model.pool_used[at + i] = true;
		model.at[first + i].owner = table;
		model.at[first + i].page = (int)(at + i);
	}
}

static void model_free(int table) {
	sg_free(model.tables[table]);
	model.tables[table] = NULL;
	model.frees++;
	for (size_t i = 0; i < ADDRESSES; i++) {
		if (model.at[i].owner == table) {
			model.at[i].owner = -1;
			model.at[i].freed = model.frees;
			model.pool_used[model.at[i].page] = false;
		}
	}
}

static void model_map(int table, uint64_t *random) {
	model.tables[table] = sg_create();
	for (uint64_t tries = runner_random(random) % 6 + 1; tries > 0; tries--) {
		model_add(table, random);
	}
	struct stile_sg *sg = model.tables[table];
	if (sg->range_count == 0) {
		sg_free(sg);
		model.tables[table] = NULL;
		return;
	}
	ck_assert_int_eq(map(sg), 0);
	ck_assert_uint_le(sg->segment_count, sg->range_count);
	allow(sg, (uint32_t)runner_random(random) % 8, 1);
}

/* What was freed long ago may be forgotten, or not. */
static bool model_may_forget(uint64_t address) {
	return model.frees - model.at[address / page - FIRST].freed > 40;
}

static enum stile_swgpu_fault_reason model_reason(uint64_t address, enum bus_access access) {
	uint64_t i = address / page - FIRST;
	if (i >= ADDRESSES || (model.at[i].owner < 0 && model.at[i].freed == 0)) {
		return STILE_SWGPU_FAULT_UNKNOWN;
	}
	if (model.at[i].owner < 0) {
		return STILE_SWGPU_FAULT_FREED;
	}
	const struct stile_sg *sg = model.tables[model.at[i].owner];
	if ((access == BUS_READ ? sg->readers : sg->writers) > 0) {
		return STILE_SWGPU_FAULT_NONE;
	}
	return sg->readers + sg->writers > 0 ? STILE_SWGPU_FAULT_DIRECTION
					     : STILE_SWGPU_FAULT_UNMAPPED;
}

static uint8_t *model_byte(uint64_t address) {
	return &model.bytes[(uint64_t)model.at[address / page - FIRST].page * page +
		address % page];
}

static void model_access(uint64_t *random) {
	static uint8_t data[5 * 4096];
	enum bus_access access = runner_random(random) % 2 == 0 ? BUS_READ : BUS_WRITE;
	uint64_t bytes = runner_random(random) % sizeof(data) + 1;
	uint64_t address = (FIRST - 2) * page + runner_random(random) % ((ADDRESSES + 4) * page);
	uint8_t fill = (uint8_t)runner_random(random);
	memset(data, fill, (size_t)bytes);
	struct bus_fault fault = { .reason = STILE_SWGPU_FAULT_NONE };
	bool done = bus_access(bus, address, data, bytes, access, &fault);
	uint64_t i = 0, wrong = 0;
	enum stile_swgpu_fault_reason reason = STILE_SWGPU_FAULT_NONE;
	while (i < bytes && (reason = model_reason(address + i, access)) == 0) {
		if (access == BUS_WRITE) {
			*model_byte(address + i) = fill;
		} else {
			wrong += data[i] != *model_byte(address + i);
		}
		i++;
	}
	ck_assert_uint_eq(wrong, 0);
	ck_assert(done == (i == bytes));
	if (reason == STILE_SWGPU_FAULT_FREED && model_may_forget(address + i) &&
		fault.reason == STILE_SWGPU_FAULT_UNKNOWN) {
		reason = fault.reason;
	}
	ck_assert_int_eq(fault.reason, reason);
	ck_assert(done || (fault.address == address + i && fault.write == (access == BUS_WRITE)));
}

/* A table's bytes by number: its ranges one after another. */
static uint8_t *model_byte_of(const struct stile_sg *sg, uint64_t offset) {
	const struct stile_sg_range *range = sg->ranges;
	for (; offset >= range->bytes; range++) {
		offset -= range->bytes;
	}
	return &model.bytes[(uint64_t)((uint8_t *)range->memory - pool) + offset];
}

static void model_window(const struct stile_sg *sg, uint64_t *random) {
	uint64_t offset = runner_random(random) % sg->bytes;
	uint64_t bytes = runner_random(random) % (sg->bytes - offset) + 1;
	uint32_t access = (uint32_t)(runner_random(random) % 3) + 1;
	bool allowed = ((access & READ) == 0 || sg->readers > 0) &&
		((access & WRITE) == 0 || sg->writers > 0);
	struct bus_window window;
	struct bus_fault fault;
	int ret = bus_open(bus, (struct stile_sg *)sg, offset, bytes, access, &window, &fault);
	ck_assert_int_eq(ret, allowed ? 0 : -EFAULT);
	uint64_t wrong = 0;
	for (uint64_t i = 0; i < bytes && allowed; i++) {
		uint8_t *byte = model_byte_of(sg, offset + i);
		wrong += (access & READ) != 0 && window.memory[i] != *byte;
		if (access == WRITE || (access == BOTH && i % 3 == 0)) {
			*byte = window.memory[i] = (uint8_t)(i * 7);
		}
	}
	ck_assert_uint_eq(wrong, 0);
	if (allowed) {
		bus_close(bus, &window);
	}
}

/* Wrong code: any address that leads to another byte than it should, or to none, or to one that was freed. */
START_TEST(random_histories_match_a_map_of_bytes) {
	uint64_t random = runner_seed();
	if (page != 4096) {
		return;
	}
	memset(&model, 0, sizeof(model));
	for (size_t i = 0; i < ADDRESSES; i++) {
		model.at[i].owner = -1;
	}
	for (int step = 0; step < 1500; step++) {
		int table = (int)(runner_random(&random) % TABLES);
		struct stile_sg *sg = model.tables[table];
		uint64_t what = runner_random(&random) % 8;
		if (sg == NULL) {
			model_map(table, &random);
		} else if (what == 0) {
			model_free(table);
		} else if (what < 3) {
			model_window(sg, &random);
		} else {
			model_access(&random);
		}
	}
	ck_assert_mem_eq(pool, model.bytes, POOL_PAGES * page);
	for (int i = 0; i < TABLES; i++) {
		if (model.tables[i] != NULL) {
			model_free(i);
		}
	}
}
END_TEST

/* ---- Threads ------------------------------------------------------------------------------- */

enum { THREADS = 3, ROUNDS = 400 };

static atomic_bool stop;
static atomic_uint surprises, touched;

/* Thread n has page n of each table: nobody writes what another touches. */
static void *touch(void *arg) {
	uint64_t n = (uint64_t)(uintptr_t)arg, address = (100 + n) * page;
	uint8_t data[64] = { 0 };
	for (unsigned i = 0; !atomic_load(&stop); i++) {
		struct bus_fault fault;
		bool write = i % 2 == 0;
		if (bus_access(bus, address + i % 1000, data, sizeof(data),
			    write ? BUS_WRITE : BUS_READ, &fault)) {
			atomic_fetch_add(&touched, 1);
		} else if (fault.reason == STILE_SWGPU_FAULT_NONE ||
			fault.reason == STILE_SWGPU_FAULT_WIDTH) {
			atomic_fetch_add(&surprises, 1);
		}
	}
	return NULL;
}

/* The memory goes when the table has gone: who still touches it is seen by the sanitizers. */
static void map_and_free(void) {
	uint8_t *memory = aligned_alloc((size_t)page, (size_t)(THREADS * page));
	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, (size_t)(THREADS * page));
	struct stile_sg *sg = sg_create();
	const struct stile_sg_range range = {
		.memory = memory,
		.address = 100 * page,
		.bytes = THREADS * page,
	};
	ck_assert_int_eq(stile_sg_append(sg, &range), 0);
	ck_assert_int_eq(map(sg), 0);
	allow(sg, BOTH, 1);
	sched_yield();
	allow(sg, BOTH, -1);
	bus_sync(bus, sg, 0, sg->bytes, true);
	sg_free(sg);
	free(memory);
}

/*
 * Wrong code: an address that is looked up under the lock, and touched without it; a table that never
 * goes, because somebody always touches something.
 */
START_TEST(table_may_go_while_it_is_touched) {
	open_bus(&(struct profile){ .address_bits = 64, .coherent = _i == 0 });
	atomic_store(&stop, false);
	atomic_store(&touched, 0);
	pthread_t threads[THREADS];
	for (uintptr_t i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, touch, (void *)i), 0);
	}
	/* So that it was not in vain: the threads may be slow to begin. */
	for (int i = 0; i < ROUNDS || (atomic_load(&touched) < 100 && i < 1000 * ROUNDS); i++) {
		map_and_free();
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	ck_assert_uint_eq(atomic_load(&surprises), 0);
	ck_assert_uint_gt(atomic_load(&touched), 0);
}
END_TEST

/* ---- Out of memory ------------------------------------------------------------------------- */

static const int no_memory[] = { -ENOMEM, 0 };

static int attempt_create(void *user) {
	return bus_create(user, &bus);
}

static void after_create(void *user, int ret) {
	(void)user;
	ck_assert_msg(ret == 0 || bus == NULL, "failed, and gave something");
	bus_destroy(bus);
	bus = NULL;
}

static struct stile_report swept_why;

static int attempt_map(void *user) {
	return bus_map(bus, user, &swept_why);
}

static void after_map(void *user, int ret) {
	struct stile_sg *sg = user;
	if (ret == 0) {
		bus_free(bus, sg);
	} else {
		ck_assert_int_eq(swept_why.error, -ENOMEM);
		ck_assert_int_eq(swept_why.reason, STILE_REASON_RESOURCES);
	}
	ck_assert_ptr_null(sg->bus);
	ck_assert_ptr_null(sg->segments);
	ck_assert_uint_eq(sg->segment_count, 0);
}

static const struct profile sweep_profiles[] = {
	{ .address_bits = 64, .coherent = true },
	{ .address_bits = 64, .coherent = false },
	{ .address_bits = 32, .coherent = false, .iommu = true },
};

/* Wrong code: a step whose failure is not seen, or after which something stays. */
START_TEST(no_memory_leaves_nothing_mapped) {
	struct profile profile = sweep_profiles[_i];
	failing_sweep(attempt_create, after_create, &profile, no_memory);
	open_bus(&profile);
	struct stile_sg *sg = sg_create();
	sg_add(sg, 0, 100, 2);
	sg_add(sg, 10, 0, 2);
	sg_add(sg, 20, 0, 2);
	/* The machine is there from now on. */
	ck_assert_int_eq(map(sg), 0);
	bus_free(bus, sg);
	ck_assert_uint_ge(failing_sweep(attempt_map, after_map, sg, no_memory), 4);
	ck_assert_int_eq(map(sg), 0);
	sg_free(sg);
}
END_TEST

static struct stile_sg *swept_sg;

static int attempt_open(void *user) {
	struct bus_fault fault;
	return bus_open(bus, swept_sg, 5 * page, 2 * page, BOTH, user, &fault);
}

static void after_open(void *user, int ret) {
	const struct bus_window *window = user;
	ck_assert((ret == 0) == (window->memory != NULL));
	if (ret == 0) {
		bus_close(bus, user);
	}
}

/* Wrong code: a copy that is used though there is none; a direct window that needs memory. */
START_TEST(no_memory_for_a_copy_opens_nothing) {
	swept_sg = sg_in_pieces();
	struct bus_window window;
	struct bus_fault fault;
	ck_assert_uint_eq(failing_sweep(attempt_open, after_open, &window, no_memory), 1);
	failing_begin(1);
	int ret = bus_open(bus, swept_sg, 0, page, BOTH, &window, &fault);
	ck_assert_ptr_null(failing_end());
	ck_assert_int_eq(ret, 0);
	bus_close(bus, &window);
	sg_free(swept_sg);
}
END_TEST

/* ---- The suite ----------------------------------------------------------------------------- */

static TCase *add_tcase(Suite *s, const char *name, void (*begin)(void)) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, begin, teardown);
	suite_add_tcase(s, tcase);
	return tcase;
}

static Suite *suite(void) {
	Suite *s = suite_create("bus");
	TCase *own = add_tcase(s, "buses of their own", setup);
	tcase_add_loop_test(
		own, segments_are_what_the_device_takes, 0, ARRAY_LENGTH(segments_cases));
	tcase_add_loop_test(own, refusal_names_the_numbers, 0, ARRAY_LENGTH(refusal_cases));
	tcase_add_test(own, unknown_memory_is_where_the_device_needs_it);
	tcase_add_test(own, iommu_runs_out_of_addresses_and_has_them_again);
	tcase_add_loop_test(own, access_by_address_is_checked, 0, ARRAY_LENGTH(fault_cases));
	tcase_add_loop_test(own, long_access_is_complete, 0, 2);
	tcase_add_loop_test(own, table_may_go_while_it_is_touched, 0, 2);
	tcase_add_loop_test(own, no_memory_leaves_nothing_mapped, 0, ARRAY_LENGTH(sweep_profiles));

	TCase *mapping = add_tcase(s, "mapping", setup_plain);
	tcase_add_test(mapping, segments_are_shorter_than_4_gib);
	tcase_add_test(mapping, unknown_memory_gets_addresses_of_its_own);
	tcase_add_test(mapping, memory_may_be_in_two_tables);
	tcase_add_loop_test(
		mapping, a_part_of_what_is_mapped_is_refused, 0, ARRAY_LENGTH(overlaps));

	TCase *faults = add_tcase(s, "faults", setup_plain);
	tcase_add_test(faults, fault_is_where_the_access_cannot_go_on);
	tcase_add_test(faults, fault_is_where_there_is_no_memory);
	tcase_add_test(faults, access_over_the_last_address_is_a_fault);
	tcase_add_test(faults, freed_addresses_are_known_until_they_are_mapped);
	tcase_add_test(faults, only_the_last_freed_are_remembered);

	TCase *windows = add_tcase(s, "windows", setup_plain);
	tcase_add_loop_test(windows, window_is_memory_itself_where_that_is_possible, 0,
		ARRAY_LENGTH(window_cases));
	tcase_add_test(windows, copy_gives_back_what_has_changed);
	tcase_add_loop_test(windows, window_needs_all_rights, 0, ARRAY_LENGTH(window_fault_cases));
	tcase_add_test(windows, window_needs_memory_and_segments);
	tcase_add_test(windows, no_memory_for_a_copy_opens_nothing);

	TCase *histories = add_tcase(s, "histories", setup_plain);
	tcase_add_test(histories, random_histories_match_a_map_of_bytes);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
