/* SPDX-License-Identifier: MIT */
/* Who has which part of a range of numbers: what buses, frames and arenas are made of. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/swgpu/space.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

static struct space *make(uint64_t start, uint64_t end) {
	struct space *space;
	ck_assert_int_eq(space_create(start, end, &space), 0);
	return space;
}

static int take(
	struct space *space, uint64_t bytes, uint64_t align, uint64_t limit, uint64_t *start) {
	const struct space_want want = { .bytes = bytes, .align = align, .limit = limit };
	return space_take(space, &want, start);
}

static uint64_t take_one(struct space *space, uint64_t bytes) {
	uint64_t start;
	ck_assert_int_eq(take(space, bytes, 1, 0, &start), 0);
	return start;
}

/* ---- One at a time ------------------------------------------------------------------------- */

/* Wrong code: a space that is one too small or too large; a full one that gives something. */
START_TEST(all_of_it_can_be_taken_but_no_more) {
	struct space *space = make(100, 164);
	ck_assert_uint_eq(space_get_free(space), 64);
	ck_assert_uint_eq(space_get_largest(space), 64);
	uint64_t start;
	ck_assert_int_eq(take(space, 65, 1, 0, &start), -ENOSPC);
	ck_assert_uint_eq(take_one(space, 64), 100);
	ck_assert_uint_eq(space_get_free(space), 0);
	ck_assert_uint_eq(space_get_largest(space), 0);
	ck_assert_int_eq(take(space, 1, 1, 0, &start), -ENOSPC);
	space_give(space, 100, 64);
	ck_assert_uint_eq(take_one(space, 64), 100);
	space_destroy(space);
	space_destroy(NULL);
}
END_TEST

struct place_case {
	const char *what;
	uint64_t bytes, align, limit;
	int ret;
	uint64_t start;
};

/* Of 16 to 100, 16 to 20 and 24 to 90 are taken. */
static const struct place_case place_cases[] = {
	{ "the first gap", 4, 1, 0, 0, 20 },
	{ "too large for the first gap", 5, 1, 0, 0, 90 },
	{ "aligned in no place of the first gap", 1, 8, 0, 0, 96 },
	{ "aligned in the first gap", 2, 2, 0, 0, 20 },
	{ "aligned by address, not from the start", 1, 16, 0, 0, 96 },
	{ "aligned in the second gap", 4, 32, 0, 0, 96 },
	{ "too large once it is aligned", 5, 32, 0, -ENOSPC, 0 },
	{ "up to the limit", 4, 1, 24, 0, 20 },
	{ "beyond the limit by one", 4, 1, 23, -ENOSPC, 0 },
	{ "a limit between the gaps", 5, 1, 90, -ENOSPC, 0 },
	{ "a limit in the second gap", 5, 1, 95, 0, 90 },
	{ "a limit behind the end", 10, 1, 1000, 0, 90 },
	{ "larger than all that is free", 15, 1, 0, -ENOSPC, 0 },
	{ "as large as all that is free", 14, 1, 0, -ENOSPC, 0 },
	{ "an alignment beyond the end", 1, 128, 0, -ENOSPC, 0 },
	{ "the largest alignment", 1, UINT64_C(1) << 63, 0, -ENOSPC, 0 },
	{ "more than there are numbers", UINT64_MAX, 1, 0, -ENOSPC, 0 },
};

/*
 * Wrong code: best fit for first fit; alignment that is relative; a limit of the start; a limit that is
 * applied to the gap rather than to what is taken of it; sums that wrap around.
 */
START_TEST(lowest_place_that_fits_is_taken) {
	const struct place_case *c = &place_cases[_i];
	struct space *space = make(16, 100);
	ck_assert_uint_eq(take_one(space, 4), 16);
	ck_assert_uint_eq(take_one(space, 4), 20);
	ck_assert_uint_eq(take_one(space, 66), 24);
	space_give(space, 20, 4);
	uint64_t start = 0;
	int ret = take(space, c->bytes, c->align, c->limit, &start);
	ck_assert_msg(ret == c->ret, "%s: gives %d", c->what, ret);
	ck_assert_msg(ret < 0 || start == c->start, "%s: at %d", c->what, (int)start);
	ck_assert_uint_eq(space_get_free(space), 14 - (ret < 0 ? 0 : c->bytes));
	space_destroy(space);
}
END_TEST

/* Wrong code: rounding up to an alignment that wraps around to 0. */
START_TEST(end_of_the_numbers_is_no_start) {
	struct space *space = make(UINT64_MAX - 9, UINT64_MAX);
	uint64_t start;
	ck_assert_int_eq(take(space, 1, 16, 0, &start), -ENOSPC);
	ck_assert_int_eq(take(space, 1, UINT64_C(1) << 63, 0, &start), -ENOSPC);
	ck_assert_int_eq(take(space, 2, 8, 0, &start), 0);
	ck_assert_uint_eq(start, UINT64_MAX - 7);
	ck_assert_uint_eq(take_one(space, 5), UINT64_MAX - 5);
	ck_assert_uint_eq(space_get_free(space), 2);
	space_destroy(space);
}
END_TEST

/* Wrong code: a part that is joined with one side only, or with none, in some order of giving. */
START_TEST(what_is_given_back_is_one_again) {
	static const unsigned orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 },
		{ 2, 0, 1 }, { 2, 1, 0 } };
	struct space *space = make(0, 60);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(take_one(space, 20), 20 * i);
	}
	for (unsigned i = 0; i < 3; i++) {
		space_give(space, 20 * orders[_i][i], 20);
	}
	ck_assert_uint_eq(space_get_largest(space), 60);
	ck_assert_uint_eq(take_one(space, 60), 0);
	space_destroy(space);
}
END_TEST

/* ---- A model ------------------------------------------------------------------------------- */

enum { START = 5, UNITS = 300, PARTS = 200 };

struct part {
	uint64_t start, bytes; /* 0 bytes: not taken */
};

struct model {
	struct space *space;
	bool taken[START + UNITS];
	struct part parts[PARTS];
};

static bool model_is_free(const struct model *model, uint64_t start, uint64_t end) {
	while (start < end && !model->taken[start]) {
		start++;
	}
	return start == end;
}

/* The lowest place that fits, 0 if there is none. */
static uint64_t model_place(const struct model *model, const struct space_want *want) {
	uint64_t end = START + UNITS;
	if (want->limit != 0 && want->limit < end) {
		end = want->limit;
	}
	for (uint64_t at = START; at + want->bytes <= end; at++) {
		if (at % want->align == 0 && model_is_free(model, at, at + want->bytes)) {
			return at;
		}
	}
	return 0;
}

static void model_mark(struct model *model, const struct part *part, bool taken) {
	for (uint64_t i = part->start; i < part->start + part->bytes; i++) {
		ck_assert_msg(model->taken[i] != taken, "unit %d is in two parts", (int)i);
		model->taken[i] = taken;
	}
}

static void model_take(struct model *model, struct part *part, uint64_t *random, unsigned max) {
	const struct space_want want = {
		.bytes = runner_random(random) % max + 1,
		.align = UINT64_C(1) << runner_random(random) % 6,
		.limit = runner_random(random) % 4 == 0 ? runner_random(random) % 400 : 0,
	};
	uint64_t expected = model_place(model, &want), start = 0;
	int ret = space_take(model->space, &want, &start);
	ck_assert_msg(ret == (expected == 0 ? -ENOSPC : 0) && start == expected,
		"%d bytes, align %d, limit %d: gives %d at %d, expected %d", (int)want.bytes,
		(int)want.align, (int)want.limit, ret, (int)start, (int)expected);
	if (ret == 0) {
		*part = (struct part){ .start = start, .bytes = want.bytes };
		model_mark(model, part, true);
	}
}

static void model_give(struct model *model, struct part *part) {
	space_give(model->space, part->start, part->bytes);
	model_mark(model, part, false);
	part->bytes = 0;
}

static void model_check(const struct model *model) {
	uint64_t all = 0, largest = 0, run = 0;
	for (size_t i = START; i < START + UNITS; i++) {
		run = model->taken[i] ? 0 : run + 1;
		all += !model->taken[i];
		largest = run > largest ? run : largest;
	}
	ck_assert_uint_eq(space_get_free(model->space), all);
	ck_assert_uint_eq(space_get_largest(model->space), largest);
}

/*
 * Wrong code: a part that is given twice, a limit or an alignment that is not met, a place that is
 * overlooked (a largest one below that is not kept up), free ones that are not joined.
 */
START_TEST(random_histories_match_a_map_of_units) {
	uint64_t random = runner_seed() + (uint64_t)_i;
	static struct model model;
	memset(&model, 0, sizeof(model));
	model.space = make(START, START + UNITS);
	for (int step = 0; step < 6000; step++) {
		struct part *part = &model.parts[runner_random(&random) % PARTS];
		if (part->bytes == 0) {
			model_take(&model, part, &random, (unsigned)_i);
		} else {
			model_give(&model, part);
		}
		model_check(&model);
	}
	for (size_t i = 0; i < PARTS; i++) {
		if (model.parts[i].bytes > 0) {
			model_give(&model, &model.parts[i]);
		}
	}
	ck_assert_uint_eq(take_one(model.space, UNITS), START);
	space_destroy(model.space);
}
END_TEST

/* ---- Many ---------------------------------------------------------------------------------- */

enum { MANY = 200000 };

/*
 * Nothing is timed. Wrong code: a walk over all that is free for each that is taken, which does not come
 * to its end before the test program's time is up; a tree as deep as a list, which has no stack.
 */
START_TEST(many_small_gaps_are_passed_over) {
	struct space *space = make(0, UINT64_C(3) * MANY);
	for (uint64_t i = 0; i < MANY; i++) {
		ck_assert(take_one(space, 1) == i);
	}
	for (uint64_t i = 0; i < MANY; i += 2) {
		space_give(space, i, 1);
	}
	ck_assert_uint_eq(space_get_largest(space), 2 * MANY);
	for (uint64_t i = 0; i < MANY; i++) {
		ck_assert(take_one(space, 2) == MANY + 2 * i);
	}
	ck_assert_uint_eq(space_get_largest(space), 1);
	for (uint64_t i = 0; i < MANY; i++) {
		space_give(space, MANY + 2 * i, 2);
	}
	for (uint64_t i = 1; i < MANY; i += 2) {
		space_give(space, i, 1);
	}
	ck_assert_uint_eq(space_get_largest(space), UINT64_C(3) * MANY);
	space_destroy(space);
}
END_TEST

/* ---- Out of memory ------------------------------------------------------------------------- */

static struct space *swept;
static uint64_t swept_start;

static int attempt_create(void *user) {
	(void)user;
	return space_create(0, 10, &swept);
}

static void after_create(void *user, int ret) {
	(void)user;
	ck_assert_msg(ret == 0 || swept == NULL, "failed, and gave something");
	space_destroy(swept);
}

static int attempt_take(void *user) {
	return take(user, 4, 1, 0, &swept_start);
}

static void after_take(void *user, int ret) {
	ck_assert_uint_eq(space_get_free(user), ret == 0 ? 26 : 30);
	ck_assert_uint_eq(space_get_largest(user), 15);
	if (ret == 0) {
		ck_assert_uint_eq(swept_start, 0);
		space_give(user, swept_start, 4);
	}
}

static const int no_memory[] = { -ENOMEM, 0 };

/* Wrong code: a space that is taken from, or lost, where there is no memory for a node. */
START_TEST(no_memory_changes_nothing) {
	ck_assert_uint_eq(failing_sweep(attempt_create, after_create, NULL, no_memory), 2);
	struct space *space = make(0, 32);
	ck_assert_uint_eq(take_one(space, 15), 0);
	ck_assert_uint_eq(take_one(space, 2), 15);
	space_give(space, 0, 15);
	ck_assert_uint_ge(failing_sweep(attempt_take, after_take, space, no_memory), 1);
	space_destroy(space);
}
END_TEST

/* Wrong code: giving back that splits nothing, and yet needs a node that nobody has set aside. */
START_TEST(giving_back_needs_no_memory) {
	struct space *space = make(0, 64);
	for (uint64_t i = 0; i < 64; i++) {
		ck_assert_uint_eq(take_one(space, 1), i);
	}
	failing_begin(1);
	for (uint64_t i = 0; i < 64; i += 2) {
		space_give(space, i, 1);
	}
	for (uint64_t i = 1; i < 64; i += 2) {
		space_give(space, i, 1);
	}
	ck_assert_ptr_null(failing_end());
	ck_assert_uint_eq(space_get_largest(space), 64);
	space_destroy(space);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("space");
	TCase *one = ledger_tcase_create("one at a time");
	tcase_add_test(one, all_of_it_can_be_taken_but_no_more);
	tcase_add_loop_test(one, lowest_place_that_fits_is_taken, 0, ARRAY_LENGTH(place_cases));
	tcase_add_test(one, end_of_the_numbers_is_no_start);
	tcase_add_loop_test(one, what_is_given_back_is_one_again, 0, 6);
	suite_add_tcase(s, one);

	TCase *model = ledger_tcase_create("model");
	tcase_add_loop_test(model, random_histories_match_a_map_of_units, 1, 2);
	tcase_add_loop_test(model, random_histories_match_a_map_of_units, 8, 9);
	tcase_add_loop_test(model, random_histories_match_a_map_of_units, 90, 91);
	suite_add_tcase(s, model);

	TCase *many = ledger_tcase_create("many");
	tcase_add_test(many, many_small_gaps_are_passed_over);
	suite_add_tcase(s, many);

	TCase *memory = ledger_tcase_create("memory");
	tcase_add_test(memory, no_memory_changes_nothing);
	tcase_add_test(memory, giving_back_needs_no_memory);
	suite_add_tcase(s, memory);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
