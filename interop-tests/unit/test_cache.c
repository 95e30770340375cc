/* SPDX-License-Identifier: MIT */
/*
 * A device without a coherent cache, so that a missing begin or end of CPU access shows: KERNEL_CONTRACT
 * P-1 to P-3, DESIGN section 7.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backends/swgpu/bus.h"
#include "backends/swgpu/cache.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/sg.h"

enum {
	LINE = CACHE_LINE,
	POOL_PAGES = 6,
	FIRST = 100, /* where a table's addresses begin, in pages */
};

static uint64_t page;
static uint8_t *pool;
static struct bus *bus;
static unsigned tables; /* that were made and not freed */

static void setup(void) {
	page = os_page_size();
	pool = aligned_alloc((size_t)page, (size_t)(POOL_PAGES * page));
	ck_assert_ptr_nonnull(pool);
	memset(pool, 0, (size_t)(POOL_PAGES * page));
	tables = 0;
	ck_assert_int_eq(bus_create(&(struct profile){ .address_bits = 64 }, &bus), 0);
}

static void teardown(void) {
	/* A test that failed half-way has some left, of which the bus would complain. */
	if (tables == 0) {
		bus_destroy(bus);
	}
	bus = NULL;
	free(pool);
}

static struct stile_sg *sg_create(void) {
	struct stile_sg *sg;
	ck_assert_int_eq(stile_sg_create(&sg), 0);
	tables++;
	return sg;
}

static void add(struct stile_sg *sg, void *memory, uint64_t address, uint64_t pages) {
	const struct stile_sg_range range = {
		.memory = memory,
		.address = address * page,
		.bytes = pages * page,
	};
	ck_assert_int_eq(stile_sg_append(sg, &range), 0);
}

static void map(struct stile_sg *sg) {
	struct stile_report why;
	ck_assert_int_eq(bus_map(bus, sg, &why), 0);
	__atomic_store_n(&sg->readers, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&sg->writers, 1, __ATOMIC_RELEASE);
}

/* Pages of the pool 0 and 1, then 3 to 6: with addresses that follow each other, from FIRST on. */
static struct stile_sg *sg_mapped(void) {
	struct stile_sg *sg = sg_create();
	add(sg, pool, FIRST, 2);
	add(sg, pool + 3 * page, FIRST + 2, 3);
	map(sg);
	return sg;
}

static void sg_free(struct stile_sg *sg) {
	bus_free(bus, sg);
	stile_sg_destroy(sg);
	tables--;
}

static void device_write(uint64_t offset, uint8_t value) {
	struct bus_fault fault;
	ck_assert(bus_access(bus, FIRST * page + offset, &value, 1, BUS_WRITE, &fault));
}

static uint8_t device_read(uint64_t offset) {
	uint8_t value;
	struct bus_fault fault;
	ck_assert(bus_access(bus, FIRST * page + offset, &value, 1, BUS_READ, &fault));
	return value;
}

static void before_cpu(struct stile_sg *sg, uint64_t offset, uint64_t bytes) {
	bus_sync(bus, sg, offset, bytes, true);
}

static void after_cpu(struct stile_sg *sg, uint64_t offset, uint64_t bytes) {
	bus_sync(bus, sg, offset, bytes, false);
}

/* ---- What is seen, and when ---------------------------------------------------------------- */

/* P-3. Wrong code: a cache that looks at memory; one of bytes; an end that does nothing, or too much. */
START_TEST(device_sees_what_it_knows_until_the_end) {
	struct stile_sg *sg = sg_mapped();
	ck_assert_uint_eq(device_read(LINE + 5), 0);
	memset(pool, 1, 3 * LINE);
	ck_assert_uint_eq(device_read(LINE + 5), 0);
	ck_assert_uint_eq(device_read(LINE), 0);
	ck_assert_uint_eq(device_read(2 * LINE - 1), 0);
	ck_assert_uint_eq(device_read(LINE - 1), 1);
	ck_assert_uint_eq(device_read(2 * LINE), 1);
	memset(pool, 2, 3 * LINE);
	before_cpu(sg, 0, sg->bytes);
	ck_assert_uint_eq(device_read(LINE + 5), 0);
	after_cpu(sg, LINE, 0);
	ck_assert_uint_eq(device_read(LINE + 5), 0);
	after_cpu(sg, 2 * LINE - 1, 1);
	ck_assert_uint_eq(device_read(LINE + 5), 2);
	ck_assert_uint_eq(device_read(2 * LINE), 1);
	after_cpu(sg, 0, sg->bytes);
	ck_assert_uint_eq(device_read(2 * LINE), 2);
	sg_free(sg);
}
END_TEST

/* P-3. Wrong code: writes that go through; a begin that does nothing, or for all, or for what it begins with. */
START_TEST(memory_has_what_is_written_from_the_begin_on) {
	struct stile_sg *sg = sg_mapped();
	device_write(5, 1);
	device_write(LINE + 5, 2);
	device_write(2 * page + 5, 3);
	ck_assert_uint_eq(pool[5], 0);
	ck_assert_uint_eq(device_read(5), 1);
	before_cpu(sg, 6, LINE - 6);
	ck_assert_uint_eq(pool[5], 1);
	ck_assert_uint_eq(pool[LINE + 5], 0);
	before_cpu(sg, LINE + 5, 1);
	ck_assert_uint_eq(pool[LINE + 5], 2);
	before_cpu(sg, 2 * LINE, 2 * page);
	ck_assert_uint_eq(pool[3 * page + 5], 3);
	/* It is the device's no more: what the CPU writes now stays. */
	pool[5] = 9;
	before_cpu(sg, 0, sg->bytes);
	ck_assert_uint_eq(pool[5], 9);
	ck_assert_uint_eq(device_read(5), 1);
	sg_free(sg);
}
END_TEST

/* P-3. Wrong code: lines that go back as a whole, with what else was in them when they were read. */
START_TEST(nothing_beside_what_is_written_is_touched) {
	struct stile_sg *sg = sg_mapped();
	ck_assert_uint_eq(device_read(0), 0);
	device_write(3, 1);
	pool[2] = 7;
	pool[4] = 7;
	before_cpu(sg, 0, LINE);
	ck_assert_uint_eq(pool[2], 7);
	ck_assert_uint_eq(pool[3], 1);
	ck_assert_uint_eq(pool[4], 7);
	device_write(5, 2);
	pool[6] = 8;
	after_cpu(sg, 6, 1);
	ck_assert_uint_eq(pool[5], 2);
	ck_assert_uint_eq(pool[6], 8);
	ck_assert_uint_eq(device_read(5), 2);
	ck_assert_uint_eq(device_read(6), 8);
	sg_free(sg);
}
END_TEST

/* T-4. Wrong code: what is written is lost with the table, of which nobody had said anything. */
START_TEST(memory_has_what_is_written_when_the_table_goes) {
	struct stile_sg *sg = sg_mapped();
	device_write(5, 1);
	device_write(5 * page - 1, 2);
	sg_free(sg);
	ck_assert_uint_eq(pool[5], 1);
	ck_assert_uint_eq(pool[6 * page - 1], 2);
}
END_TEST

/* Wrong code: one cache for all, by memory or by address. */
START_TEST(each_table_has_a_cache_of_its_own) {
	struct stile_sg *sg = sg_mapped(), *other = sg_create();
	add(other, pool, 2 * FIRST, 1);
	map(other);
	uint8_t value;
	struct bus_fault fault;
	device_write(5, 1);
	ck_assert(bus_access(bus, 2 * FIRST * page + 5, &value, 1, BUS_READ, &fault));
	ck_assert_uint_eq(value, 0);
	before_cpu(sg, 0, LINE);
	ck_assert(bus_access(bus, 2 * FIRST * page + 5, &value, 1, BUS_READ, &fault));
	ck_assert_uint_eq(value, 0);
	after_cpu(other, 0, LINE);
	ck_assert(bus_access(bus, 2 * FIRST * page + 5, &value, 1, BUS_READ, &fault));
	ck_assert_uint_eq(value, 1);
	sg_free(sg);
	sg_free(other);
}
END_TEST

/* Wrong code: a window on memory itself; one that is written to memory; whose copy goes back as a whole. */
START_TEST(window_is_of_the_cache) {
	struct stile_sg *sg = sg_mapped();
	struct bus_window window;
	struct bus_fault fault;
	device_write(5, 1);
	ck_assert_int_eq(bus_open(bus, sg, 5, 10, BUS_READ | BUS_WRITE, &window, &fault), 0);
	ck_assert_uint_eq(window.memory[0], 1);
	window.memory[1] = 2;
	device_write(7, 3);
	bus_close(bus, &window);
	ck_assert_uint_eq(device_read(6), 2);
	ck_assert_uint_eq(device_read(7), 3);
	ck_assert_uint_eq(pool[6], 0);
	pool[8] = 4;
	before_cpu(sg, 0, LINE);
	ck_assert_uint_eq(pool[5], 1);
	ck_assert_uint_eq(pool[6], 2);
	ck_assert_uint_eq(pool[7], 3);
	ck_assert_uint_eq(pool[8], 4);
	sg_free(sg);
}
END_TEST

/* T-6. Wrong code: a begin that follows a pointer that is not there, or stops before what is behind it. */
START_TEST(what_the_cpu_cannot_reach_is_passed_over) {
	struct stile_sg *sg = sg_create();
	add(sg, pool, FIRST, 1);
	add(sg, NULL, FIRST + 1, 1);
	add(sg, pool + page, FIRST + 2, 1);
	map(sg);
	device_write(2 * page, 1);
	before_cpu(sg, 0, sg->bytes);
	after_cpu(sg, 0, sg->bytes);
	ck_assert_uint_eq(pool[page], 1);
	sg_free(sg);
}
END_TEST

/* Wrong code: a begin or end of a table that has no cache, or was never mapped. */
START_TEST(coherent_device_sees_everything_at_once) {
	bus_destroy(bus);
	ck_assert_int_eq(
		bus_create(&(struct profile){ .address_bits = 64, .coherent = true }, &bus), 0);
	struct stile_sg *sg = sg_mapped(), *unmapped = sg_create();
	ck_assert_uint_eq(device_read(5), 0);
	pool[5] = 1;
	ck_assert_uint_eq(device_read(5), 1);
	device_write(5, 2);
	ck_assert_uint_eq(pool[5], 2);
	before_cpu(sg, 0, sg->bytes);
	after_cpu(sg, 0, sg->bytes);
	sg_free(sg);
	before_cpu(unmapped, 0, 0);
	sg_free(unmapped);
}
END_TEST

/* ---- A model ------------------------------------------------------------------------------- */

enum { MODEL_BYTES = 5 * 4096, NO_VALUE = -1 };

/* One table; each byte by itself. */
struct model {
	struct stile_sg *sg;
	uint8_t memory[MODEL_BYTES];
	int cached[MODEL_BYTES]; /* NO_VALUE: the device does not know it */
	bool dirty[MODEL_BYTES];
};

static struct model model;

static uint8_t *pool_at(uint64_t offset) {
	return pool + offset + (offset < 2 * page ? 0 : page);
}

static uint8_t model_read(uint64_t offset) {
	for (uint64_t i = offset / LINE * LINE; i < offset / LINE * LINE + LINE; i++) {
		if (model.cached[i] == NO_VALUE) {
			model.cached[i] = model.memory[i];
		}
	}
	return (uint8_t)model.cached[offset];
}

static void model_write(uint64_t offset, uint8_t value) {
	model.cached[offset] = value;
	model.dirty[offset] = true;
}

static void model_sync(uint64_t offset, uint64_t bytes, bool for_cpu) {
	uint64_t end = bytes == 0 ? offset : (offset + bytes + LINE - 1) / LINE * LINE;
	for (uint64_t i = bytes == 0 ? end : offset / LINE * LINE; i < end; i++) {
		if (model.dirty[i]) {
			model.memory[i] = (uint8_t)model.cached[i];
			model.dirty[i] = false;
		}
		model.cached[i] = for_cpu ? model.cached[i] : NO_VALUE;
	}
	bus_sync(bus, model.sg, offset, bytes, for_cpu);
}

/* Bytes that one step is about: as a rule few, so that lines are met again. */
struct section {
	uint64_t offset, bytes;
};

static struct section random_section(uint64_t *random) {
	uint64_t most = runner_random(random) % 8 == 0 ? MODEL_BYTES : 3 * LINE;
	uint64_t from = runner_random(random) % 2 == 0 ? 0 : 2 * page - 4 * LINE;
	struct section section;
	section.offset = from + runner_random(random) % (8 * LINE);
	section.bytes = runner_random(random) % most + 1;
	if (section.bytes > MODEL_BYTES - section.offset) {
		section.bytes = MODEL_BYTES - section.offset;
	}
	return section;
}

static void do_cpu_write(struct section section, uint8_t value) {
	for (uint64_t i = section.offset; i < section.offset + section.bytes; i++) {
		model.memory[i] = *pool_at(i) = value;
	}
}

static void do_access(struct section section, uint8_t value, bool write) {
	static uint8_t data[MODEL_BYTES];
	struct bus_fault fault;
	memset(data, value, sizeof(data));
	ck_assert(bus_access(bus, FIRST * page + section.offset, data, section.bytes,
		write ? BUS_WRITE : BUS_READ, &fault));
	uint64_t wrong = 0;
	for (uint64_t i = 0; i < section.bytes; i++) {
		if (write) {
			model_write(section.offset + i, value);
		} else {
			wrong += data[i] != model_read(section.offset + i);
		}
	}
	ck_assert_uint_eq(wrong, 0);
}

static void do_window(struct section section, uint8_t value, uint32_t access) {
	struct bus_window window;
	struct bus_fault fault;
	ck_assert_int_eq(
		bus_open(bus, model.sg, section.offset, section.bytes, access, &window, &fault), 0);
	uint64_t wrong = 0;
	for (uint64_t i = 0; i < section.bytes; i++) {
		bool writes = access == BUS_WRITE || (access != BUS_READ && i % 5 == 0);
		/* Also if it is only to be written: what is not stays as it was. */
		uint8_t before = model_read(section.offset + i);
		wrong += window.memory[i] != before;
		if (writes) {
			window.memory[i] = value;
		}
		if (writes && (access == BUS_WRITE || value != before)) {
			model_write(section.offset + i, value);
		}
	}
	ck_assert_uint_eq(wrong, 0);
	bus_close(bus, &window);
}

static void do_remap(void) {
	bus_free(bus, model.sg);
	for (uint64_t i = 0; i < MODEL_BYTES; i++) {
		if (model.dirty[i]) {
			model.memory[i] = (uint8_t)model.cached[i];
		}
		model.dirty[i] = false;
		model.cached[i] = NO_VALUE;
	}
	map(model.sg);
}

static void do_something(uint64_t *random) {
	struct section section = random_section(random);
	uint8_t value = (uint8_t)(runner_random(random) % 4);
	uint64_t what = runner_random(random) % 64;
	if (what == 0) {
		do_remap();
	} else if (what < 16) {
		do_cpu_write(section, value);
	} else if (what < 24) {
		model_sync(section.offset, section.bytes % 3 == 0 ? 0 : section.bytes, what < 20);
	} else if (what < 48) {
		do_access(section, value, what < 36);
	} else {
		do_window(section, value, (uint32_t)(what % 3) + 1);
	}
}

/* Wrong code: a byte of a line that is taken for known, unknown, written or not, when it is not. */
START_TEST(random_histories_match_a_model_of_bytes) {
	uint64_t random = runner_seed();
	if (page != 4096) {
		return; /* the model is as large as a table of these */
	}
	memset(&model, 0, sizeof(model));
	for (size_t i = 0; i < MODEL_BYTES; i++) {
		model.cached[i] = NO_VALUE;
	}
	model.sg = sg_mapped();
	for (int step = 0; step < 6000; step++) {
		do_something(&random);
		if (step % 16 == 0) {
			ck_assert_mem_eq(pool, model.memory, 2 * page);
			ck_assert_mem_eq(pool + 3 * page, model.memory + 2 * page, 3 * page);
		}
	}
	sg_free(model.sg);
}
END_TEST

/* ---- Threads ------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 2000 };

/* Each has every THREADS-th byte of the same lines: for itself, so it sees what it has written. */
static void *write_and_read(void *arg) {
	uintptr_t n = (uintptr_t)arg;
	uintptr_t wrong = 0;
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t address = FIRST * page + n + THREADS * (i % LINE);
		uint8_t value = (uint8_t)(i * 3 + n), seen;
		struct bus_fault fault;
		wrong += !bus_access(bus, address, &value, 1, BUS_WRITE, &fault);
		wrong += !bus_access(bus, address, &seen, 1, BUS_READ, &fault);
		wrong += seen != value;
	}
	return (void *)wrong;
}

/* Wrong code: two that change what is known of a line at the same time; a begin that does so as well. */
START_TEST(threads_do_not_lose_each_others_bytes) {
	struct stile_sg *sg = sg_mapped();
	pthread_t threads[THREADS];
	for (uintptr_t i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_and_read, (void *)i), 0);
	}
	for (int i = 0; i < 200; i++) {
		bus_sync(bus, sg, 0, page, i % 2 == 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		void *wrong;
		pthread_join(threads[i], &wrong);
		ck_assert_ptr_null(wrong);
	}
	sg_free(sg);
	/* What each has written there last. */
	for (unsigned i = ROUNDS - LINE; i < ROUNDS; i++) {
		for (unsigned n = 0; n < THREADS; n++) {
			ck_assert_uint_eq(pool[n + THREADS * (i % LINE)], (uint8_t)(i * 3 + n));
		}
	}
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("cache");
	TCase *seen = ledger_tcase_create("what is seen");
	tcase_add_checked_fixture(seen, setup, teardown);
	tcase_add_test(seen, device_sees_what_it_knows_until_the_end);
	tcase_add_test(seen, memory_has_what_is_written_from_the_begin_on);
	tcase_add_test(seen, nothing_beside_what_is_written_is_touched);
	tcase_add_test(seen, memory_has_what_is_written_when_the_table_goes);
	tcase_add_test(seen, each_table_has_a_cache_of_its_own);
	tcase_add_test(seen, window_is_of_the_cache);
	tcase_add_test(seen, what_the_cpu_cannot_reach_is_passed_over);
	tcase_add_test(seen, coherent_device_sees_everything_at_once);
	suite_add_tcase(s, seen);

	TCase *many = ledger_tcase_create("many");
	tcase_add_checked_fixture(many, setup, teardown);
	tcase_add_test(many, random_histories_match_a_model_of_bytes);
	tcase_add_test(many, threads_do_not_lose_each_others_bytes);
	suite_add_tcase(s, many);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
