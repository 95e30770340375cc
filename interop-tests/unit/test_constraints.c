/* SPDX-License-Identifier: MIT */
/* What several parties need of memory together. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <stile/constraints.h>
#include <stile/image.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/constraints.h"
#include "src/macros.h"
#include "src/os.h"

#define FIELD(field) \
#field, offsetof(struct stile_constraints, field), \
		sizeof(((struct stile_constraints *)NULL)->field)

enum stricter { LARGER, SMALLER, BOTH };

/* All that is combined: what each field means, and values that it may have, 0 aside. */
static const struct {
	const char *name;
	size_t offset, bytes;
	enum stricter stricter;
	uint64_t values[4];
} fields[] = {
	{ FIELD(usage), BOTH, { 1, 2, 3, 3 } },
	{ FIELD(max_width), SMALLER, { 1, 2, 16384, UINT32_MAX } },
	{ FIELD(max_height), SMALLER, { 1, 3, 1080, UINT32_MAX } },
	{ FIELD(pitch_align), LARGER, { 1, 16, 256, 1u << 31 } },
	{ FIELD(offset_align), LARGER, { 1, 16, 4096, 1u << 31 } },
	{ FIELD(height_align), LARGER, { 1, 2, 16, 1u << 31 } },
	{ FIELD(address_bits), SMALLER, { 12, 32, 40, 64 } },
	{ FIELD(max_segments), SMALLER, { 1, 2, 1000, UINT32_MAX } },
	{ FIELD(segment_align), LARGER, { 1, 4096, 65536, 1u << 31 } },
	{ FIELD(max_segment), SMALLER, { 65536, 1u << 20, UINT64_C(1) << 32, UINT64_MAX } },
};

static uint64_t get(const struct stile_constraints *constraints, size_t field) {
	const void *at = (const char *)constraints + fields[field].offset;
	uint32_t narrow;
	uint64_t wide;
	memcpy(&narrow, at, sizeof(narrow));
	if (fields[field].bytes == sizeof(narrow)) {
		return narrow;
	}
	memcpy(&wide, at, sizeof(wide));
	return wide;
}

static void set(struct stile_constraints *constraints, size_t field, uint64_t value) {
	void *at = (char *)constraints + fields[field].offset;
	uint32_t narrow = (uint32_t)value;
	if (fields[field].bytes == sizeof(narrow)) {
		memcpy(at, &narrow, sizeof(narrow));
	} else {
		memcpy(at, &value, sizeof(value));
	}
}

static struct stile_constraints nothing(void) {
	return (struct stile_constraints){ .size = sizeof(struct stile_constraints) };
}

/* By the meaning of the field. */
static uint64_t expect(size_t field, uint64_t a, uint64_t b) {
	if (fields[field].stricter == BOTH) {
		return a | b;
	}
	if (a == 0 || b == 0) {
		return a == 0 ? b : a;
	}
	bool a_wins = fields[field].stricter == LARGER ? a > b : a < b;
	return a_wins ? a : b;
}

static bool is_same(const struct stile_constraints *a, const struct stile_constraints *b) {
	bool same = a->size == b->size && a->modifiers == b->modifiers &&
		a->modifier_count == b->modifier_count;
	for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
		same = same && get(a, i) == get(b, i);
	}
	return same;
}

/* ---- Together ------------------------------------------------------------------------------ */

/* Wrong code: 0 taken for a limit; the looser of two; the neighbour of a field; 64 bits cut to 32. */
START_TEST(stricter_of_two_wins) {
	size_t field = (size_t)_i;
	for (size_t i = 0; i < 5; i++) {
		for (size_t k = 0; k < 5; k++) {
			uint64_t a = i == 4 ? 0 : fields[field].values[i];
			uint64_t b = k == 4 ? 0 : fields[field].values[k];
			struct stile_constraints into = nothing(), other = nothing();
			struct stile_constraints expected = nothing();
			set(&into, field, a);
			set(&other, field, b);
			set(&expected, field, expect(field, a, b));
			ck_assert_int_eq(stile_constraints_merge(&into, &other), 0);
			ck_assert_msg(is_same(&into, &expected), "%s: %llu and %llu: %llu",
				fields[field].name, (unsigned long long)a, (unsigned long long)b,
				(unsigned long long)get(&into, field));
		}
	}
}
END_TEST

static struct stile_constraints random_constraints(uint64_t *state) {
	struct stile_constraints constraints = nothing();
	for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
		uint64_t choice = runner_random(state) % 5;
		set(&constraints, i, choice == 4 ? 0 : fields[i].values[choice]);
	}
	return constraints;
}

/* Wrong code: whoever asks last wins. */
START_TEST(order_of_parties_does_not_matter) {
	uint64_t state = runner_seed();
	for (unsigned round = 0; round < 2000; round++) {
		struct stile_constraints a = random_constraints(&state);
		struct stile_constraints b = random_constraints(&state);
		struct stile_constraints c = random_constraints(&state);
		struct stile_constraints left = a, right = c, twice;
		constraints_combine(&left, &b);
		constraints_combine(&left, &c);
		constraints_combine(&right, &b);
		constraints_combine(&right, &a);
		ck_assert_msg(is_same(&left, &right), "round %u", round);
		ck_assert_int_eq(constraints_check(&left), 0);
		twice = left;
		constraints_combine(&twice, &left);
		constraints_combine(&twice, &b);
		ck_assert_msg(is_same(&twice, &left), "round %u, again", round);
	}
}
END_TEST

/* Wrong code: modifiers of the other, which it may free. */
START_TEST(modifiers_stay) {
	static const uint64_t ours[] = { DRM_FORMAT_MOD_LINEAR }, theirs[] = { 1, 2 };
	struct stile_constraints into = nothing(), other = nothing();
	into.modifiers = ours;
	into.modifier_count = 1;
	other.modifiers = theirs;
	other.modifier_count = 2;
	ck_assert_int_eq(stile_constraints_merge(&into, &other), 0);
	ck_assert_ptr_eq(into.modifiers, ours);
	ck_assert_uint_eq(into.modifier_count, 1);
}
END_TEST

/* ---- What cannot be ------------------------------------------------------------------------ */

static const struct {
	size_t field;
	uint64_t value;
} impossible[] = {
	{ 3, 3 },
	{ 3, (1u << 31) + 1 },
	{ 4, 48 },
	{ 5, 15 },
	{ 6, 11 },
	{ 6, 65 },
	{ 6, UINT32_MAX },
	{ 8, 4097 },
	{ 8, UINT32_MAX },
	{ 9, 1 },
	{ 9, 4095 },
};

/* Wrong code: only one of the two looked at; `into` half changed. */
START_TEST(impossible_one_changes_nothing) {
	struct stile_constraints bad = nothing(), good = nothing();
	set(&bad, impossible[_i].field, impossible[_i].value);
	good.usage = STILE_USAGE_WRITE;
	good.max_segments = 1;
	const struct stile_constraints bad_before = bad, good_before = good;
	const char *name = fields[impossible[_i].field].name;
	ck_assert_msg(constraints_check(&bad) == -EINVAL, "%s", name);
	ck_assert_int_eq(stile_constraints_merge(&good, &bad), -EINVAL);
	ck_assert_msg(is_same(&good, &good_before), "%s", name);
	ck_assert_int_eq(stile_constraints_merge(&bad, &good), -EINVAL);
	ck_assert_msg(is_same(&bad, &bad_before), "%s", name);
}
END_TEST

/* Wrong code: a limit that is off by one. */
START_TEST(whatever_may_be_is_taken) {
	for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
		for (size_t k = 0; k < ARRAY_LENGTH(fields[i].values); k++) {
			struct stile_constraints constraints = nothing();
			set(&constraints, i, fields[i].values[k]);
			ck_assert_msg(
				constraints_check(&constraints) == 0, "%s, %zu", fields[i].name, k);
		}
	}
	struct stile_constraints page = nothing();
	page.max_segment = os_page_size();
	ck_assert_int_eq(constraints_check(&page), 0);
	page.max_segment--;
	ck_assert_int_eq(constraints_check(&page), -EINVAL);
}
END_TEST

/* ---- Sizes --------------------------------------------------------------------------------- */

/* As a caller knows it who is newer than the library. */
struct newer {
	struct stile_constraints known;
	uint64_t unknown;
};

START_TEST(impossible_size_is_refused) {
	static const size_t sizes[] = { 0, sizeof(size_t) - 1, 4097, SIZE_MAX };
	struct stile_constraints good = nothing(), bad = nothing();
	bad.size = sizes[_i];
	bad.max_segments = 1;
	ck_assert_int_eq(stile_constraints_merge(&good, &bad), -EINVAL);
	ck_assert_int_eq(stile_constraints_merge(&bad, &good), -EINVAL);
	ck_assert_uint_eq(good.max_segments, 0);
	ck_assert_uint_eq(bad.size, sizes[_i]);
}
END_TEST

/* Wrong code: what the library does not know left out without a word. */
START_TEST(need_that_is_not_known_is_refused) {
	struct newer newer = { .known.size = sizeof(newer), .known.max_segments = 1 };
	struct stile_constraints into = nothing();
	ck_assert_int_eq(stile_constraints_merge(&into, &newer.known), 0);
	ck_assert_uint_eq(into.max_segments, 1);
	newer.unknown = 1;
	newer.known.max_segments = 0;
	newer.known.address_bits = 32;
	ck_assert_int_eq(stile_constraints_merge(&into, &newer.known), -E2BIG);
	ck_assert_uint_eq(into.address_bits, 0);
	ck_assert_int_eq(stile_constraints_merge(&newer.known, &into), -E2BIG);
	ck_assert_uint_eq(newer.known.max_segments, 0);
}
END_TEST

/* Wrong code: written behind the end of an older struct; a need that has no room there lost. */
START_TEST(older_struct_keeps_its_size) {
	const size_t old = offsetof(struct stile_constraints, height_align);
	struct stile_constraints into = nothing(), other = nothing();
	into.size = old;
	into.pitch_align = 16;
	into.height_align = 3; /* somebody else's memory */
	other.pitch_align = 64;
	ck_assert_int_eq(stile_constraints_merge(&into, &other), 0);
	ck_assert_uint_eq(into.size, old);
	ck_assert_uint_eq(into.pitch_align, 64);
	ck_assert_uint_eq(into.height_align, 3);

	other.pitch_align = 256;
	other.max_segments = 1;
	ck_assert_int_eq(stile_constraints_merge(&into, &other), -E2BIG);
	ck_assert_uint_eq(into.pitch_align, 64);

	other.size = old;
	into.size = sizeof(into);
	into.height_align = 0;
	ck_assert_int_eq(stile_constraints_merge(&into, &other), 0);
	ck_assert_uint_eq(into.pitch_align, 256);
	ck_assert_uint_eq(into.max_segments, 0);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("constraints");
	TCase *together = ledger_tcase_create("together");
	tcase_add_loop_test(together, stricter_of_two_wins, 0, ARRAY_LENGTH(fields));
	tcase_add_test(together, order_of_parties_does_not_matter);
	tcase_add_test(together, modifiers_stay);
	suite_add_tcase(s, together);

	TCase *refused = ledger_tcase_create("refused");
	tcase_add_loop_test(refused, impossible_one_changes_nothing, 0, ARRAY_LENGTH(impossible));
	tcase_add_test(refused, whatever_may_be_is_taken);
	suite_add_tcase(s, refused);

	TCase *sizes = ledger_tcase_create("sizes");
	tcase_add_loop_test(sizes, impossible_size_is_refused, 0, 4);
	tcase_add_test(sizes, need_that_is_not_known_is_refused);
	tcase_add_test(sizes, older_struct_keeps_its_size);
	suite_add_tcase(s, sizes);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
