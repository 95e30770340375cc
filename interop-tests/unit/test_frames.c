/* SPDX-License-Identifier: MIT */
/* The simulated machine's memory: KERNEL_CONTRACT T-6, T-10; DESIGN section 7. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "backends/swgpu/frames.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"
#include "src/os.h"

static const uint64_t gib = UINT64_C(1) << 30;

static uint64_t page;

static void setup(void) {
	page = os_page_size();
}

struct taken {
	struct frames_run *runs;
	size_t count;
};

static int take(const struct frames_want *want, struct taken *taken) {
	return frames_take(want, &taken->runs, &taken->count);
}

static void give(struct taken *taken) {
	frames_give(taken->runs, taken->count);
	*taken = (struct taken){ 0 };
}

/* All that is below 4 GiB, in one piece: there only if nobody has any of it. */
static void check_that_low_ones_are_free(void) {
	const struct frames_want want = {
		.bytes = 4 * gib - page,
		.address_bits = 32,
		.max_segments = 1,
	};
	struct taken all;
	ck_assert_int_eq(take(&want, &all), 0);
	ck_assert_uint_eq(all.runs[0].address, page);
	give(&all);
}

/* ---- What is asked for --------------------------------------------------------------------- */

/* In pages; 0 as in struct frames_want. */
struct want_case {
	const char *what;
	uint64_t pages;
	uint32_t bits, max_segments, align;
	uint64_t max_segment, run;
	size_t count; /* 0: -ENOSPC */
};

static const struct want_case want_cases[] = {
	{ "one run if nothing is said", 100, 64, 0, 0, 0, 0, 1 },
	{ "runs", 100, 64, 0, 0, 0, 4, 25 },
	{ "the last run is shorter", 101, 64, 0, 0, 0, 4, 26 },
	{ "a run longer than all", 3, 64, 0, 0, 0, 4, 1 },
	{ "contiguous", 100, 64, 1, 0, 0, 4, 1 },
	{ "two pieces at most", 101, 64, 2, 0, 0, 4, 2 },
	{ "more pieces than there are", 100, 64, 50, 0, 0, 4, 25 },
	{ "runs as long as alignment", 64, 64, 0, 16, 0, 4, 4 },
	{ "last run shorter than alignment", 65, 64, 0, 16, 0, 4, 5 },
	{ "all shorter than alignment", 3, 64, 0, 16, 0, 4, 1 },
	{ "few pieces, each aligned", 65, 64, 4, 16, 0, 1, 3 },
	{ "largest segment below the run", 100, 64, 0, 0, 3, 4, 34 },
	{ "largest segment, contiguous otherwise", 100, 64, 0, 0, 50, 0, 2 },
	{ "largest segment cut to alignment", 64, 64, 0, 4, 7, 16, 16 },
	{ "largest segments, just enough", 100, 64, 2, 0, 50, 4, 2 },
	{ "largest segments, not enough", 101, 64, 2, 0, 50, 4, 0 },
	{ "largest segment below alignment", 1, 64, 0, 8, 4, 0, 0 },
	{ "narrow", 100, 32, 0, 0, 0, 4, 25 },
	{ "narrow, contiguous", 100, 32, 1, 0, 0, 4, 1 },
	{ "just wider than narrow", 100, 33, 0, 0, 0, 4, 25 },
	{ "all of 20 bits", 255, 20, 0, 0, 0, 0, 1 },
	{ "more than 20 bits have", 256, 20, 0, 0, 0, 0, 0 },
	{ "runs that 20 bits have no room for, with what is between", 200, 20, 0, 0, 0, 1, 0 },
	{ "the narrowest", 1, 12, 0, 0, 0, 0, 0 },
	{ "more than there is", (UINT64_C(1) << 40) + 4, 64, 0, 0, 0, 4, 0 },
	{ "far more than there is", UINT64_MAX >> 14, 64, 1, 0, 0, 0, 0 },
};

static void check_run(const struct want_case *c, const struct taken *taken, size_t i) {
	const struct frames_run *run = &taken->runs[i];
	uint64_t align = page * (c->align == 0 ? 1 : c->align), end = run->address + run->bytes;
	bool last = i + 1 == taken->count;
	ck_assert_msg(run->bytes > 0 && run->bytes % page == 0 && run->address >= page,
		"%s: run %zu has 0x%llx bytes", c->what, i, (unsigned long long)run->bytes);
	ck_assert_msg(run->address % align == 0 && (last || run->bytes % align == 0),
		"%s: run %zu is misaligned", c->what, i);
	ck_assert_msg(c->bits == 64 || end <= UINT64_C(1) << c->bits, "%s: run %zu is too high",
		c->what, i);
	ck_assert_msg((run->address >= 4 * gib) == (c->bits > 32),
		"%s: run %zu is in the wrong half", c->what, i);
	ck_assert_msg(c->max_segment == 0 || run->bytes <= c->max_segment * page,
		"%s: run %zu is too long", c->what, i);
}

/*
 * T-6, T-10. Wrong code: a constraint that is looked at only if no other is; the first run checked, not
 * each; low ones spent on those who can do without.
 */
START_TEST(runs_meet_what_is_asked_for) {
	const struct want_case *c = &want_cases[_i];
	if (page != 4096) {
		return; /* the widths above are in these */
	}
	const struct frames_want want = {
		.bytes = c->pages * page,
		.address_bits = c->bits,
		.max_segments = c->max_segments,
		.segment_align = (uint32_t)(c->align * page),
		.max_segment = c->max_segment * page,
		.run = c->run * page,
	};
	struct taken taken;
	int ret = take(&want, &taken);
	ck_assert_msg(ret == (c->count == 0 ? -ENOSPC : 0), "%s: gives %d", c->what, ret);
	ck_assert_msg(taken.count == c->count, "%s: %zu runs", c->what, taken.count);
	ck_assert((taken.runs == NULL) == (ret < 0));
	uint64_t bytes = 0;
	for (size_t i = 0; i < taken.count; i++) {
		check_run(c, &taken, i);
		bytes += taken.runs[i].bytes;
	}
	ck_assert_uint_eq(bytes, ret < 0 ? 0 : want.bytes);
	give(&taken);
	check_that_low_ones_are_free();
}
END_TEST

/* T-6. Wrong code: runs that an IOMMU is not needed for, for they are neighbours, or only ever go up. */
START_TEST(runs_are_scattered) {
	const struct frames_want want = { .bytes = 40 * page, .address_bits = 64, .run = 4 * page };
	struct taken taken;
	ck_assert_int_eq(take(&want, &taken), 0);
	size_t up = 0, down = 0;
	for (size_t i = 1; i < taken.count; i++) {
		uint64_t before = taken.runs[i - 1].address, at = taken.runs[i].address;
		ck_assert_uint_ne(before + taken.runs[i - 1].bytes, at);
		ck_assert_uint_ne(at + taken.runs[i].bytes, before);
		*(at > before ? &up : &down) += 1;
	}
	ck_assert_uint_gt(up, 0);
	ck_assert_uint_gt(down, 0);
	give(&taken);
	frames_give(NULL, 0);
}
END_TEST

/* Wrong code: two buffers side by side, so that a device that runs past the end of one does not fault. */
START_TEST(single_runs_are_no_neighbours_either) {
	const struct frames_want want = { .bytes = page, .address_bits = 64 };
	struct taken taken[3];
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(take(&want, &taken[i]), 0);
	}
	for (size_t i = 0; i < 9; i++) {
		uint64_t end = taken[i / 3].runs[0].address + page;
		ck_assert_uint_ne(end, taken[i % 3].runs[0].address);
	}
	for (size_t i = 0; i < 3; i++) {
		give(&taken[i]);
	}
}
END_TEST

/* ---- Exhaustion ---------------------------------------------------------------------------- */

/* Wrong code: low ones that never end; that are not given back; that end for wide devices too. */
START_TEST(low_ones_are_exhausted_and_come_back) {
	const struct frames_want all = { .bytes = 4 * gib - page, .address_bits = 32 };
	const struct frames_want narrow = { .bytes = page, .address_bits = 32 };
	const struct frames_want wide = { .bytes = page, .address_bits = 33 };
	struct taken low, none, high;
	ck_assert_int_eq(take(&all, &low), 0);
	ck_assert_int_eq(take(&narrow, &none), -ENOSPC);
	ck_assert_ptr_null(none.runs);
	ck_assert_int_eq(take(&wide, &high), 0);
	give(&low);
	ck_assert_int_eq(take(&narrow, &low), 0);
	give(&low);
	give(&high);
	check_that_low_ones_are_free();
}
END_TEST

/* Wrong code: -ENOSPC for a wide device while there are low ones. */
START_TEST(low_ones_serve_where_there_are_no_others) {
	struct frames_want want = { .bytes = (UINT64_C(1) << 52) - 4 * gib - page,
		.address_bits = 64 };
	struct taken high, low, none;
	ck_assert_int_eq(take(&want, &high), 0);
	want.bytes = page;
	ck_assert_int_eq(take(&want, &low), 0);
	ck_assert_uint_lt(low.runs[0].address, 4 * gib);
	want.bytes = 4 * gib;
	ck_assert_int_eq(take(&want, &none), -ENOSPC);
	give(&high);
	give(&low);
}
END_TEST

/* Wrong code: the runs that were found before one was not are kept. */
START_TEST(too_much_leaves_nothing_taken) {
	const struct frames_want most = { .bytes = 4 * gib - 200 * page, .address_bits = 32 };
	const struct frames_want runs = { .bytes = 150 * page, .address_bits = 32, .run = page };
	struct taken taken, none;
	ck_assert_int_eq(take(&most, &taken), 0);
	ck_assert_int_eq(take(&runs, &none), -ENOSPC);
	ck_assert_ptr_null(none.runs);
	give(&taken);
	check_that_low_ones_are_free();
}
END_TEST

/* ---- Many at once -------------------------------------------------------------------------- */

enum { BUFFERS = 40 };

/* Pages of the lowest MiB, and one more: who has them. */
struct model {
	struct taken taken[BUFFERS];
	unsigned owner[257];
};

static void model_mark(struct model *model, unsigned buffer, bool taken) {
	const struct taken *t = &model->taken[buffer];
	for (size_t i = 0; i < t->count; i++) {
		uint64_t first = t->runs[i].address / page, count = t->runs[i].bytes / page;
		for (uint64_t at = first; at < first + count; at++) {
			unsigned expected = taken ? 0 : buffer + 1;
			ck_assert_msg(model->owner[at] == expected, "page %d is %u's", (int)at,
				model->owner[at]);
			model->owner[at] = taken ? buffer + 1 : 0;
		}
	}
}

/* Is there room for a run of this length, and a page behind it? In the model a page more is free. */
static bool model_has_room(const struct model *model, uint64_t pages, uint64_t align) {
	uint64_t gap = 0; /* what the run before has behind it */
	for (uint64_t at = 1; at + pages <= 256; at++) {
		gap = model->owner[at - 1] != 0 ? at + 1 : gap;
		uint64_t i = at;
		while (i < at + pages && model->owner[i] == 0) {
			i++;
		}
		if (i == at + pages && at >= gap && at % align == 0 && model->owner[i] == 0) {
			return true;
		}
	}
	return false;
}

static void model_take(struct model *model, unsigned buffer, uint64_t *random) {
	uint64_t pages = runner_random(random) % 24 + 1;
	uint64_t align = UINT64_C(1) << runner_random(random) % 4;
	const struct frames_want want = {
		.bytes = pages * page,
		.address_bits = 20,
		.segment_align = (uint32_t)(align * page),
		.run = runner_random(random) % 3 == 0 ? 2 * page : 0,
	};
	int ret = take(&want, &model->taken[buffer]);
	if (want.run == 0) {
		ck_assert_int_eq(ret, model_has_room(model, pages, align) ? 0 : -ENOSPC);
	} else {
		ck_assert_msg(ret == 0 || ret == -ENOSPC, "gives %d", ret);
	}
	model_mark(model, buffer, true);
}

/* Wrong code: a page that two have; one that is lost; -ENOSPC while there is room. */
START_TEST(random_histories_match_a_map_of_pages) {
	uint64_t random = runner_seed();
	static struct model model;
	memset(&model, 0, sizeof(model));
	if (page != 4096) {
		return; /* 20 bits are 256 of them */
	}
	for (int step = 0; step < 4000; step++) {
		unsigned buffer = (unsigned)(runner_random(&random) % BUFFERS);
		if (model.taken[buffer].runs == NULL) {
			model_take(&model, buffer, &random);
		} else {
			model_mark(&model, buffer, false);
			give(&model.taken[buffer]);
		}
	}
	for (unsigned i = 0; i < BUFFERS; i++) {
		give(&model.taken[i]);
	}
	check_that_low_ones_are_free();
}
END_TEST

static atomic_bool is_taken[257];
static atomic_uint clashes;

static void mark_shared(const struct taken *taken, bool mark) {
	for (size_t i = 0; i < taken->count; i++) {
		uint64_t first = taken->runs[i].address / page;
		for (uint64_t at = first; at < first + taken->runs[i].bytes / page; at++) {
			if (at > 256 || atomic_exchange(&is_taken[at], mark) == mark) {
				atomic_fetch_add(&clashes, 1);
			}
		}
	}
}

static void *take_and_give(void *arg) {
	const struct frames_want want = { .bytes = 9 * page, .address_bits = 20, .run = 2 * page };
	for (int i = 0; i < 500; i++) {
		struct taken taken;
		if (take(&want, &taken) == 0) {
			mark_shared(&taken, true);
			mark_shared(&taken, false);
			give(&taken);
		}
	}
	return arg;
}

/* Wrong code: no lock, or one that is let go between the runs of a buffer and kept over none. */
START_TEST(threads_never_get_the_same) {
	if (page != 4096) {
		return;
	}
	pthread_t threads[4];
	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_give, NULL), 0);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
		pthread_join(threads[i], NULL);
	}
	ck_assert_uint_eq(atomic_load(&clashes), 0);
	check_that_low_ones_are_free();
}
END_TEST

/* ---- Out of memory ------------------------------------------------------------------------- */

static int attempt_take(void *user) {
	const struct frames_want want = { .bytes = 9 * page, .address_bits = 32, .run = 2 * page };
	return take(&want, user);
}

static void after_take(void *user, int ret) {
	const struct taken *taken = user;
	ck_assert_msg(ret == 0 || taken->runs == NULL, "failed, and gave something");
	give(user);
}

/* Wrong code: half a machine, or runs of a buffer that was never made. The first test: it has no machine yet. */
START_TEST(no_memory_leaves_nothing_taken) {
	static const int errors[] = { -ENOMEM, 0 };
	struct taken taken;
	ck_assert_uint_ge(failing_sweep(attempt_take, after_take, &taken, errors), 6);
	check_that_low_ones_are_free();
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("frames");
	TCase *memory = ledger_tcase_create("memory");
	tcase_add_checked_fixture(memory, setup, NULL);
	tcase_add_test(memory, no_memory_leaves_nothing_taken);
	suite_add_tcase(s, memory);

	TCase *wants = ledger_tcase_create("wants");
	tcase_add_checked_fixture(wants, setup, NULL);
	tcase_add_loop_test(wants, runs_meet_what_is_asked_for, 0, ARRAY_LENGTH(want_cases));
	tcase_add_test(wants, runs_are_scattered);
	tcase_add_test(wants, single_runs_are_no_neighbours_either);
	suite_add_tcase(s, wants);

	TCase *exhaustion = ledger_tcase_create("exhaustion");
	tcase_add_checked_fixture(exhaustion, setup, NULL);
	tcase_add_test(exhaustion, low_ones_are_exhausted_and_come_back);
	tcase_add_test(exhaustion, low_ones_serve_where_there_are_no_others);
	tcase_add_test(exhaustion, too_much_leaves_nothing_taken);
	suite_add_tcase(s, exhaustion);

	TCase *many = ledger_tcase_create("many");
	tcase_add_checked_fixture(many, setup, NULL);
	tcase_add_test(many, random_histories_match_a_map_of_pages);
	tcase_add_test(many, threads_never_get_the_same);
	suite_add_tcase(s, many);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
