/* SPDX-License-Identifier: MIT */
/* What containers are made of, and one fence of many: KERNEL_CONTRACT section 4 (U-...). */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/array.h>
#include <stile/chain.h>
#include <stile/fence.h>
#include <stile/merge.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

static atomic_int leaves_alive;

static const char *leaf_name(struct stile_fence *fence) {
	(void)fence;
	return "leaf";
}

static void leaf_release(struct stile_fence *fence) {
	atomic_fetch_sub(&leaves_alive, 1);
	free(fence);
}

#define LEAF_OPS \
	.size = sizeof(struct stile_fence_ops), .get_driver_name = leaf_name, \
	.get_timeline_name = leaf_name, .release = leaf_release

static const struct stile_fence_ops leaf_ops = { LEAF_OPS };
static const struct stile_fence_ops wide_ops = { LEAF_OPS, .flags = STILE_FENCE_SEQNO64 };
static const struct stile_fence_ops user_ops = { LEAF_OPS, .flags = STILE_FENCE_USER };

static struct stile_fence *leaf_create_as(
	const struct stile_fence_ops *ops, uint64_t context, uint64_t seqno) {
	struct stile_fence *fence = malloc(sizeof(*fence));
	runner_require(fence != NULL, "no memory");
	int ret = stile_fence_init(fence, ops, context, seqno);
	runner_require(ret == 0, "no fence: %d", ret);
	atomic_fetch_add(&leaves_alive, 1);
	return fence;
}

static struct stile_fence *leaf_create(void) {
	return leaf_create_as(&leaf_ops, stile_fence_context_alloc(1), 1);
}

static void unref_all(struct stile_fence **fences, size_t count) {
	for (size_t i = 0; i < count; i++) {
		stile_fence_unref(fences[i]);
	}
}

static struct stile_fence *array_create(struct stile_fence *const *members, size_t count) {
	struct stile_fence *array;
	ck_assert_int_eq(stile_array_create(members, count, stile_fence_context_alloc(1), 1,
				 STILE_ARRAY_ALL, &array),
		0);
	return array;
}

/* Takes over what is before, not what it contains. */
static struct stile_fence *element_create(
	struct stile_fence *prev, struct stile_fence *contained, uint64_t seqno) {
	struct stile_chain *memory;
	ck_assert_int_eq(stile_chain_alloc(&memory), 0);
	return stile_chain_init(memory, prev, stile_fence_ref(contained), seqno);
}

/* Five leaves: an element with 0, before it one with an array of 1, 2, 3, before it the fence 4. */
enum { LEAVES = 5 };

struct nest {
	struct stile_fence *leaves[LEAVES];
	struct stile_fence *head;
};

static void nest_create(struct nest *nest) {
	/* Contexts that fall, so that order by context is another one than that of the visit. */
	uint64_t context = stile_fence_context_alloc(LEAVES);
	for (size_t i = 0; i < LEAVES; i++) {
		nest->leaves[i] = leaf_create_as(&leaf_ops, context + LEAVES - 1 - i, 1);
	}
	struct stile_fence *array = array_create(&nest->leaves[1], 3);
	struct stile_fence *old = element_create(stile_fence_ref(nest->leaves[4]), array, 1);
	stile_fence_unref(array);
	nest->head = element_create(old, nest->leaves[0], 2);
}

static void nest_destroy(struct nest *nest) {
	stile_fence_unref(nest->head);
	unref_all(nest->leaves, LEAVES);
	ck_assert_int_eq(leaves_alive, 0);
}

/* ---- Visiting the leaves -------------------------------------------------------------------- */

/* The visit has to give these leaves of the nest, ended by -1. */
static void assert_visit(const struct nest *nest, struct stile_fence *head, const int *expected) {
	struct stile_unwrap cursor;
	struct stile_fence *leaf = stile_unwrap_first(head, &cursor);
	for (; leaf != NULL; leaf = stile_unwrap_next(&cursor), expected++) {
		ck_assert_int_ge(*expected, 0);
		ck_assert_ptr_eq(leaf, nest->leaves[*expected]);
	}
	ck_assert_int_eq(*expected, -1);
}

/* U-1. Wrong code: arrays not opened; another order; the fence before the chain forgotten. */
START_TEST(visit_goes_from_new_to_old_and_into_arrays) {
	struct nest nest;
	nest_create(&nest);
	assert_visit(&nest, nest.head, (const int[]){ 0, 1, 2, 3, 4, -1 });
	for (size_t i = 0; i < LEAVES; i++) {
		ck_assert_uint_eq(plain_refs(nest.leaves[i]), 2);
	}
	ck_assert_uint_eq(plain_refs(nest.head), 1);
	nest_destroy(&nest);
}
END_TEST

/* U-1. Wrong code: NULL followed; a plain fence visited twice, or not at all. */
START_TEST(visit_of_a_plain_fence_or_none) {
	struct nest nest;
	nest_create(&nest);
	assert_visit(&nest, NULL, (const int[]){ -1 });
	assert_visit(&nest, nest.leaves[2], (const int[]){ 2, -1 });
	struct stile_fence *array = array_create(&nest.leaves[2], 2);
	assert_visit(&nest, array, (const int[]){ 2, 3, -1 });
	/* A plain fence is visited whether it is done or not. */
	stile_fence_signal(nest.leaves[2]);
	assert_visit(&nest, nest.leaves[2], (const int[]){ 2, -1 });
	assert_visit(&nest, array, (const int[]){ 2, 3, -1 });
	stile_fence_unref(array);
	nest_destroy(&nest);
}
END_TEST

/* U-1, C-4, C-5. Wrong code: elements that are done visited for ever, or the head left out. */
START_TEST(visit_takes_out_elements_that_are_done) {
	struct nest nest;
	nest_create(&nest);
	stile_fence_signal(nest.leaves[0]);
	stile_fence_signal(nest.leaves[2]);
	assert_visit(&nest, nest.head, (const int[]){ 0, 1, 2, 3, 4, -1 });
	stile_fence_signal(nest.leaves[1]);
	stile_fence_signal(nest.leaves[3]);
	assert_visit(&nest, nest.head, (const int[]){ 0, 4, -1 });
	ck_assert_uint_eq(plain_refs(nest.leaves[2]), 1);
	stile_fence_signal(nest.leaves[4]);
	assert_visit(&nest, nest.head, (const int[]){ 0, -1 });
	nest_destroy(&nest);
}
END_TEST

/* U-1. Wrong code: the element where the visit has got to is kept; a second end drops it again. */
START_TEST(visit_that_ends_early_leaves_nothing_behind) {
	struct nest nest;
	nest_create(&nest);
	struct stile_unwrap cursor;
	ck_assert_ptr_eq(stile_unwrap_first(nest.head, &cursor), nest.leaves[0]);
	for (int i = 1; i <= _i; i++) {
		ck_assert_ptr_eq(stile_unwrap_next(&cursor), nest.leaves[i]);
	}
	stile_unwrap_end(&cursor);
	stile_unwrap_end(&cursor);
	ck_assert_ptr_null(stile_unwrap_next(&cursor));
	ck_assert_uint_eq(plain_refs(nest.head), 1);
	nest_destroy(&nest);
}
END_TEST

/* Wrong code: a visit that came to its end cannot be ended, or begins anew. */
START_TEST(visit_that_is_over_stays_over) {
	struct nest nest;
	nest_create(&nest);
	struct stile_unwrap cursor;
	ck_assert_ptr_eq(stile_unwrap_first(nest.leaves[0], &cursor), nest.leaves[0]);
	ck_assert_ptr_null(stile_unwrap_next(&cursor));
	ck_assert_ptr_null(stile_unwrap_next(&cursor));
	stile_unwrap_end(&cursor);
	ck_assert_ptr_null(stile_unwrap_first(NULL, &cursor));
	stile_unwrap_end(&cursor);
	nest_destroy(&nest);
}
END_TEST

/* U-1: the cursor holds a reference. Wrong code: the head borrowed, which its owner then drops. */
START_TEST(visit_goes_on_although_the_head_is_dropped) {
	struct nest nest;
	nest_create(&nest);
	struct stile_unwrap cursor;
	struct stile_fence *leaf = stile_unwrap_first(nest.head, &cursor);
	stile_fence_unref(nest.head);
	nest.head = NULL;
	int count = 0;
	for (; leaf != NULL; leaf = stile_unwrap_next(&cursor)) {
		ck_assert_ptr_eq(leaf, nest.leaves[count]);
		count++;
	}
	ck_assert_int_eq(count, LEAVES);
	nest_destroy(&nest);
}
END_TEST

/* ---- Only the newest of each context -------------------------------------------------------- */

enum { DEDUP_MOST = 6 };

struct dedup_case {
	const char *what;
	bool wide;
	size_t count, left;
	uint64_t in[DEDUP_MOST][2];  /* context, seqno */
	uint64_t out[DEDUP_MOST][2]; /* by context */
};

/* U-2. Wrong code: named in each line. */
static const struct dedup_case dedup_cases[] = {
	{ "none: an index of -1", false, 0, 0, { { 0 } }, { { 0 } } },
	{ "one: dropped", false, 1, 1, { { 5, 1 } }, { { 5, 1 } } },
	{ "different contexts: one dropped; not sorted", false, 3, 3,
		{ { 7, 1 }, { 3, 9 }, { 5, 4 } }, { { 3, 9 }, { 5, 4 }, { 7, 1 } } },
	{ "the oldest kept, or the last", false, 3, 1, { { 3, 1 }, { 3, 9 }, { 3, 4 } },
		{ { 3, 9 } } },
	{ "only neighbours compared", false, 5, 2,
		{ { 3, 1 }, { 9, 2 }, { 3, 5 }, { 9, 1 }, { 3, 4 } }, { { 3, 5 }, { 9, 2 } } },
	{ "equal seqnos: both kept, or none", false, 3, 1, { { 3, 4 }, { 3, 4 }, { 3, 4 } },
		{ { 3, 4 } } },
	{ "compared without wrap-around", false, 3, 1,
		{ { 3, UINT32_MAX }, { 3, 2 }, { 3, UINT32_MAX - 5 } }, { { 3, 2 } } },
	{ "the upper half of 32-bit seqnos looked at", false, 2, 1,
		{ { 3, UINT64_C(1) << 32 }, { 3, 2 } }, { { 3, 2 } } },
	{ "64-bit seqnos cut", true, 2, 1, { { 3, UINT64_C(1) << 32 }, { 3, 2 } },
		{ { 3, UINT64_C(1) << 32 } } },
	{ "64-bit seqnos that wrap around", true, 2, 1, { { 3, UINT64_MAX }, { 3, 1 } },
		{ { 3, UINT64_MAX } } },
	{ "contexts cut to 32 bits, or their difference to an int", false, 3, 3,
		{ { UINT64_C(1) << 63, 1 }, { UINT64_C(1) << 32, 1 }, { 1, 1 } },
		{ { 1, 1 }, { UINT64_C(1) << 32, 1 }, { UINT64_C(1) << 63, 1 } } },
	{ "the first context, or the last one, forgotten", false, 6, 3,
		{ { 2, 2 }, { 1, 1 }, { 3, 1 }, { 1, 2 }, { 3, 2 }, { 2, 1 } },
		{ { 1, 2 }, { 2, 2 }, { 3, 2 } } },
};

START_TEST(dedup_keeps_the_newest_of_each_context) {
	const struct dedup_case *c = &dedup_cases[_i];
	struct stile_fence *fences[DEDUP_MOST];
	for (size_t i = 0; i < c->count; i++) {
		fences[i] =
			leaf_create_as(c->wide ? &wide_ops : &leaf_ops, c->in[i][0], c->in[i][1]);
	}
	ck_assert_msg(stile_fence_dedup(fences, c->count) == c->left, "%s", c->what);
	ck_assert_msg(leaves_alive == (int)c->left, "%s: %d alive", c->what, leaves_alive);
	for (size_t i = 0; i < c->left; i++) {
		ck_assert_msg(stile_fence_get_context(fences[i]) == c->out[i][0] &&
				stile_fence_get_seqno(fences[i]) == c->out[i][1],
			"%s: %zu", c->what, i);
	}
	unref_all(fences, c->left);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* U-2. Wrong code: the one that stays is dropped since it is the same as one that goes. */
START_TEST(dedup_of_the_same_fence_keeps_one_reference) {
	struct stile_fence *leaf = leaf_create();
	struct stile_fence *fences[] = { leaf, stile_fence_ref(leaf), stile_fence_ref(leaf) };
	ck_assert_uint_eq(stile_fence_dedup(fences, 3), 1);
	ck_assert_ptr_eq(fences[0], leaf);
	ck_assert_uint_eq(plain_refs(leaf), 1);
	stile_fence_unref(leaf);
}
END_TEST

/*
 * U-2 by chance, with seqnos around where they wrap.
 * Wrong code: what only fails for many; sorting by seqnos, which are no order where they wrap.
 */
START_TEST(dedup_does_what_the_model_does) {
	enum { CONTEXTS = 8, MOST = 200, ROUNDS = 50 };
	uint64_t random = runner_seed();
	for (int round = 0; round < ROUNDS; round++) {
		size_t count = runner_random(&random) % MOST, contexts = 0;
		struct stile_fence *fences[MOST];
		int32_t newest[CONTEXTS];
		bool seen[CONTEXTS] = { false };
		for (size_t i = 0; i < count; i++) {
			size_t context = runner_random(&random) % CONTEXTS;
			int32_t offset = (int32_t)(runner_random(&random) % 2001) - 1000;
			fences[i] = leaf_create_as(&leaf_ops, 1 + context, (uint32_t)offset);
			contexts += !seen[context];
			newest[context] = !seen[context] || offset > newest[context]
				? offset
				: newest[context];
			seen[context] = true;
		}
		ck_assert_uint_eq(stile_fence_dedup(fences, count), contexts);
		ck_assert_int_eq(leaves_alive, (int)contexts);
		for (size_t i = 0; i < contexts; i++) {
			uint64_t context = stile_fence_get_context(fences[i]);
			ck_assert(i == 0 || context > stile_fence_get_context(fences[i - 1]));
			ck_assert_uint_eq(
				stile_fence_get_seqno(fences[i]), (uint32_t)newest[context - 1]);
		}
		unref_all(fences, contexts);
	}
}
END_TEST

/* ---- Merging ------------------------------------------------------------------------------- */

static struct stile_fence *merge(struct stile_fence *const *fences, size_t count) {
	struct stile_fence *merged;
	ck_assert_int_eq(stile_fence_merge(fences, count, &merged), 0);
	ck_assert_ptr_nonnull(merged);
	return merged;
}

static void assert_stub(struct stile_fence *fence, int64_t timestamp_ns) {
	struct stile_fence *stub = stile_fence_get_stub();
	ck_assert_ptr_ne(fence, stub);
	stile_fence_unref(stub);
	ck_assert_int_eq(stile_fence_get_status(fence), 1);
	ck_assert_int_eq(stile_fence_get_timestamp(fence), timestamp_ns);
	ck_assert_uint_eq(stile_fence_get_context(fence), 0);
	ck_assert_str_eq(stile_fence_get_timeline_name(fence), "stub");
}

/* U-3. Wrong code: an error for nothing; the time of the call; the one stub of all. */
START_TEST(merge_of_nothing_is_a_stub_without_a_time) {
	struct stile_fence *const nulls[3] = { NULL, NULL, NULL };
	struct stile_fence *merged = merge(nulls, _i == 0 ? 0 : 3);
	assert_stub(merged, 0);
	stile_fence_unref(merged);
	if (_i == 0) {
		merged = merge(NULL, 0);
		assert_stub(merged, 0);
		stile_fence_unref(merged);
	}
}
END_TEST

/* U-3. Wrong code: the first time or the last in the list; an error taken along. */
START_TEST(merge_of_what_is_done_is_a_stub_of_the_last_time) {
	struct stile_fence *leaves[4];
	for (size_t i = 0; i < 4; i++) {
		leaves[i] = leaf_create();
	}
	ck_assert_int_eq(stile_fence_set_error(leaves[1], -EIO), 0);
	static const int64_t times[] = { 100, 4000, 300, 200 };
	for (size_t i = 0; i < 4; i++) {
		stile_fence_signal_timestamp(leaves[i], times[i]);
	}
	struct stile_fence *array = array_create(&leaves[1], 2);
	struct stile_fence *arguments[] = { leaves[0], array, NULL, leaves[3] };
	struct stile_fence *merged = merge(arguments, 4);
	assert_stub(merged, 4000);
	stile_fence_unref(merged);
	stile_fence_unref(array);
	unref_all(leaves, 4);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* U-3. Wrong code: an array of one; a reference of the caller's given out again. */
START_TEST(merge_that_leaves_one_is_that_fence) {
	struct stile_fence *leaves[] = { leaf_create(), leaf_create(), leaf_create() };
	ck_assert_int_eq(stile_fence_set_error(leaves[0], -EIO), 0);
	stile_fence_signal(leaves[0]);
	stile_fence_signal(leaves[2]);
	struct stile_fence *inner = array_create(leaves, 3);
	struct stile_fence *chain = element_create(NULL, inner, 1);
	struct stile_fence *arguments[] = { chain, leaves[1], NULL, leaves[1], inner };
	struct stile_fence *merged = merge(arguments, 5);
	ck_assert_ptr_eq(merged, leaves[1]);
	/* ours, that of the array, and this one */
	ck_assert_uint_eq(plain_refs(leaves[1]), 3);
	stile_fence_unref(merged);
	stile_fence_unref(chain);
	stile_fence_unref(inner);
	unref_all(leaves, 3);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* U-3, A-2. Wrong code: containers as members; members in the order of the arguments. */
START_TEST(merge_of_many_is_a_flat_array_in_order_of_contexts) {
	struct nest nest;
	nest_create(&nest);
	struct stile_fence *extra = leaf_create();
	struct stile_fence *first = array_create(&nest.leaves[2], 2);
	struct stile_fence *arguments[] = { extra, nest.head, NULL, first };
	uint64_t unused = stile_fence_context_alloc(1);
	struct stile_fence *merged = merge(arguments, 4);

	ck_assert(stile_fence_is_array(merged));
	ck_assert_uint_gt(stile_fence_get_context(merged), unused);
	ck_assert_uint_eq(stile_fence_get_seqno(merged), 1);
	ck_assert_uint_eq(stile_array_get_count(merged), LEAVES + 1);
	/* The contexts of the nest fall. */
	for (size_t i = 0; i < LEAVES; i++) {
		ck_assert_ptr_eq(stile_array_get_nth(merged, i), nest.leaves[LEAVES - 1 - i]);
	}
	ck_assert_ptr_eq(stile_array_get_nth(merged, LEAVES), extra);
	ck_assert(!stile_fence_is_user(merged));
	/* Arguments are not consumed. */
	ck_assert_uint_eq(plain_refs(extra), 2);
	ck_assert_uint_eq(plain_refs(nest.head), 1);
	ck_assert_uint_eq(plain_refs(first), 1);

	/* All of them: any would end with the first. */
	ck_assert_int_eq(stile_fence_set_error(extra, -EIO), 0);
	stile_fence_enable_signaling(merged);
	stile_fence_signal(extra);
	for (size_t i = 0; i < LEAVES; i++) {
		ck_assert(!stile_fence_is_signaled(merged));
		stile_fence_signal(nest.leaves[i]);
	}
	ck_assert_int_eq(stile_fence_get_status(merged), -EIO);
	stile_fence_unref(merged);
	stile_fence_unref(first);
	stile_fence_unref(extra);
	nest_destroy(&nest);
}
END_TEST

/* U-2, U-3. Wrong code: the older one of a context waited for as well. */
START_TEST(merge_keeps_the_newest_of_each_context) {
	struct stile_fence *leaves[] = { leaf_create_as(&leaf_ops, 4, 8),
		leaf_create_as(&leaf_ops, 4, 9), leaf_create_as(&leaf_ops, 3, 1) };
	struct stile_fence *merged = merge(leaves, 3);
	ck_assert_uint_eq(stile_array_get_count(merged), 2);
	ck_assert_ptr_eq(stile_array_get_nth(merged, 0), leaves[2]);
	ck_assert_ptr_eq(stile_array_get_nth(merged, 1), leaves[1]);
	ck_assert_uint_eq(plain_refs(leaves[0]), 1);
	stile_fence_unref(merged);
	/* The newest is done: what is older counts again, as the issuer does not promise anything. */
	stile_fence_signal(leaves[1]);
	merged = merge(leaves, 2);
	ck_assert_ptr_eq(merged, leaves[0]);
	stile_fence_unref(merged);
	unref_all(leaves, 3);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* U-3. Wrong code: the error of a member that had failed before waited for. */
START_TEST(errors_of_what_was_done_are_lost) {
	struct stile_fence *leaves[] = { leaf_create(), leaf_create(), leaf_create() };
	ck_assert_int_eq(stile_fence_set_error(leaves[1], -EIO), 0);
	stile_fence_signal(leaves[1]);
	struct stile_fence *merged = merge(leaves, 3);
	ck_assert_uint_eq(stile_array_get_count(merged), 2);
	stile_fence_enable_signaling(merged);
	stile_fence_signal(leaves[0]);
	stile_fence_signal(leaves[2]);
	ck_assert_int_eq(stile_fence_get_status(merged), 1);
	stile_fence_unref(merged);
	unref_all(leaves, 3);
}
END_TEST

/* U-3. Wrong code: merging a merge nests arrays. */
START_TEST(merge_of_merges_is_flat) {
	struct stile_fence *leaves[4];
	for (size_t i = 0; i < 4; i++) {
		leaves[i] = leaf_create();
	}
	struct stile_fence *halves[] = { merge(&leaves[1], 3), merge(&leaves[0], 2) };
	struct stile_fence *merged = merge(halves, 2);
	ck_assert_uint_eq(stile_array_get_count(merged), 4);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_ptr_eq(stile_array_get_nth(merged, i), leaves[i]);
	}
	stile_fence_unref(merged);
	unref_all(halves, 2);
	unref_all(leaves, 4);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* A leaf that is found done only when it is asked for the second time. */
struct late {
	struct stile_fence fence;
	int asked;
};

static bool late_signaled(struct stile_fence *fence) {
	return ++CONTAINER_OF(fence, struct late, fence)->asked > 1;
}

static const struct stile_fence_ops late_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = leaf_name,
	.get_timeline_name = leaf_name,
	.signaled = late_signaled,
};

/*
 * U-3: leaves end between the counting and the gathering; so many stay pending.
 * Wrong code: as many expected as were counted; an array of none, or of one.
 */
START_TEST(leaves_may_end_between_counting_and_gathering) {
	struct late lates[3] = { 0 };
	struct stile_fence *arguments[5], *leaves[2] = { leaf_create(), leaf_create() };
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(stile_fence_init(&lates[i].fence, &late_ops, 10 + i, 1), 0);
		arguments[i] = &lates[i].fence;
	}
	memcpy(&arguments[3], leaves, sizeof(leaves));
	struct stile_fence *merged = merge(arguments, 3 + (size_t)_i);
	if (_i == 0) {
		assert_stub(merged, stile_fence_get_timestamp(&lates[2].fence));
	} else if (_i == 1) {
		ck_assert_ptr_eq(merged, leaves[0]);
	} else {
		ck_assert_uint_eq(stile_array_get_count(merged), 2);
		ck_assert_ptr_eq(stile_array_get_nth(merged, 1), leaves[1]);
	}
	stile_fence_unref(merged);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(plain_refs(&lates[i].fence), 1);
	}
	unref_all(leaves, 2);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* Wrong code: a user fence hidden by merging it. */
START_TEST(merge_with_a_user_fence_is_one) {
	struct stile_fence *leaves[] = { leaf_create(), leaf_create_as(&user_ops, 1, 1) };
	struct stile_fence *merged = merge(leaves, 2);
	ck_assert(stile_fence_is_user(merged));
	ck_assert_int_eq(stile_fence_get_owner(merged), getpid());
	stile_fence_unref(merged);
	stile_fence_signal(leaves[1]);
	merged = merge(leaves, 2);
	ck_assert(!stile_fence_is_user(merged));
	stile_fence_unref(merged);
	unref_all(leaves, 2);
}
END_TEST

struct merge_try {
	struct nest nest;
	struct stile_fence *arguments[3];
	struct stile_fence *merged;
};

static int try_merge(void *user) {
	struct merge_try *try = user;
	return stile_fence_merge(try->arguments, 3, &try->merged);
}

static void after_merge(void *user, int ret) {
	struct merge_try *try = user;
	ck_assert((ret == 0) == (try->merged != NULL));
	stile_fence_unref(try->merged);
	for (size_t i = 0; i < LEAVES; i++) {
		ck_assert_uint_le(plain_refs(try->nest.leaves[i]), 2);
	}
}

/* U-3. Wrong code: leaves that were gathered kept; the stub if there is no memory for more. */
START_TEST(merge_that_fails_leaves_nothing_behind) {
	static const int errors[] = { -ENOMEM, 0 };
	static const unsigned calls[LEAVES + 1] = { 2, 2, 2, 2, 1, 1 };
	struct merge_try try = { 0 };
	nest_create(&try.nest);
	try.arguments[0] = try.nest.head;
	try.arguments[2] = try.nest.leaves[LEAVES - 1];
	for (size_t done = 0; done <= LEAVES; done++) {
		if (done > 0) {
			stile_fence_signal(try.nest.leaves[done - 1]);
		}
		ck_assert_uint_eq(failing_sweep(try_merge, after_merge, &try, errors), calls[done]);
	}
	nest_destroy(&try.nest);
}
END_TEST

/* ---- Many threads -------------------------------------------------------------------------- */

/*
 * U-3: leaves complete, and elements are collected, between the counting and the gathering. What
 * comes out never ends before all leaves, and does then.
 * Wrong code: room for what was counted that is too little, or has holes; leaves taken twice.
 */
enum { FENCES = 24, ROUNDS = 1500, MOST_THREADS = 16, STRESS_MS = 3000 };

struct stress {
	pthread_barrier_t start, end;
	struct stile_fence *leaves[FENCES];
	struct stile_fence *arguments[3]; /* a chain of leaves and arrays, an array, a leaf */
	bool stop;
	atomic_int bad;
};

struct stress_thread {
	struct stress *stress;
	size_t number;
	uint64_t random;
	pthread_t thread;
};

static bool all_done(const struct stress *stress) {
	for (size_t i = 0; i < FENCES; i++) {
		if (!stile_fence_is_signaled(stress->leaves[i])) {
			return false;
		}
	}
	return true;
}

static void stress_merge(struct stress_thread *self) {
	struct stress *stress = self->stress;
	struct stile_fence *merged;
	int ret = stile_fence_merge(stress->arguments, 3, &merged);
	if (ret == 0 && runner_random(&self->random) % 2 == 0) {
		stile_fence_enable_signaling(merged);
	}
	if (ret == 0 && stile_fence_is_signaled(merged)) {
		atomic_fetch_add(&stress->bad, !all_done(stress));
	}
	pthread_barrier_wait(&stress->end);
	atomic_fetch_add(&stress->bad, ret != 0 || !stile_fence_is_signaled(merged));
	stile_fence_unref(merged);
}

static void *stress_run(void *arg) {
	struct stress_thread *self = arg;
	struct stress *stress = self->stress;
	for (;;) {
		pthread_barrier_wait(&stress->start);
		if (stress->stop) {
			return NULL;
		}
		if (self->number % 2 == 0) {
			stress_merge(self);
		} else {
			size_t first = runner_random(&self->random) % FENCES;
			for (size_t i = 0; i < FENCES; i++) {
				stile_fence_signal(stress->leaves[(first + i) % FENCES]);
			}
			pthread_barrier_wait(&stress->end);
		}
		pthread_barrier_wait(&stress->end);
	}
}

static void stress_round(struct stress *stress) {
	for (size_t i = 0; i < FENCES; i++) {
		stress->leaves[i] = leaf_create();
	}
	struct stile_fence *head = NULL;
	for (size_t i = 0; i + 3 <= 18; i += 3) {
		struct stile_fence *array = array_create(&stress->leaves[i], 2);
		head = element_create(head, array, i + 1);
		stile_fence_unref(array);
		head = element_create(head, stress->leaves[i + 2], i + 2);
	}
	stress->arguments[0] = head;
	stress->arguments[1] = array_create(&stress->leaves[16], 7);
	stress->arguments[2] = stress->leaves[23];
	pthread_barrier_wait(&stress->start);
	pthread_barrier_wait(&stress->end);
	pthread_barrier_wait(&stress->end);
	unref_all(stress->arguments, 2);
	unref_all(stress->leaves, FENCES);
	atomic_fetch_add(&stress->bad, leaves_alive != 0);
}

START_TEST(leaves_may_end_while_they_are_merged) {
	static const size_t counts[] = { 2, MOST_THREADS };
	size_t count = counts[_i];
	struct stress stress = { 0 };
	pthread_barrier_init(&stress.start, NULL, (unsigned)count + 1);
	pthread_barrier_init(&stress.end, NULL, (unsigned)count + 1);
	uint64_t random = runner_seed();
	struct stress_thread threads[MOST_THREADS];
	for (size_t i = 0; i < count; i++) {
		threads[i] = (struct stress_thread){
			.stress = &stress, .number = i, .random = runner_random(&random)
		};
		ck_assert_int_eq(
			pthread_create(&threads[i].thread, NULL, stress_run, &threads[i]), 0);
	}
	int64_t until = runner_clock_ns() + STRESS_MS * INT64_C(1000000);
	/* No assertion while threads run: they use what is on our stack. */
	for (int round = 0; round < ROUNDS && stress.bad == 0 && runner_clock_ns() < until;
		round++) {
		stress_round(&stress);
	}
	stress.stop = true;
	pthread_barrier_wait(&stress.start);
	for (size_t i = 0; i < count; i++) {
		pthread_join(threads[i].thread, NULL);
	}
	pthread_barrier_destroy(&stress.start);
	pthread_barrier_destroy(&stress.end);
	ck_assert_int_eq(stress.bad, 0);
}
END_TEST

/* A test that failed may have left some; that is no fault of the next one. */
static void forget_leaves(void) {
	leaves_alive = 0;
}

static TCase *tcase_begin(const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_add_checked_fixture(tcase, forget_leaves, NULL);
	return tcase;
}

static Suite *suite(void) {
	Suite *s = suite_create("merge");
	TCase *visiting = tcase_begin("visiting");
	tcase_add_test(visiting, visit_goes_from_new_to_old_and_into_arrays);
	tcase_add_test(visiting, visit_of_a_plain_fence_or_none);
	tcase_add_test(visiting, visit_takes_out_elements_that_are_done);
	tcase_add_loop_test(visiting, visit_that_ends_early_leaves_nothing_behind, 0, LEAVES);
	tcase_add_test(visiting, visit_that_is_over_stays_over);
	tcase_add_test(visiting, visit_goes_on_although_the_head_is_dropped);
	suite_add_tcase(s, visiting);

	TCase *dedup = tcase_begin("dedup");
	tcase_add_loop_test(
		dedup, dedup_keeps_the_newest_of_each_context, 0, ARRAY_LENGTH(dedup_cases));
	tcase_add_test(dedup, dedup_of_the_same_fence_keeps_one_reference);
	tcase_add_test(dedup, dedup_does_what_the_model_does);
	suite_add_tcase(s, dedup);

	TCase *merging = tcase_begin("merging");
	tcase_add_loop_test(merging, merge_of_nothing_is_a_stub_without_a_time, 0, 2);
	tcase_add_test(merging, merge_of_what_is_done_is_a_stub_of_the_last_time);
	tcase_add_test(merging, merge_that_leaves_one_is_that_fence);
	tcase_add_test(merging, merge_of_many_is_a_flat_array_in_order_of_contexts);
	tcase_add_test(merging, merge_keeps_the_newest_of_each_context);
	tcase_add_test(merging, errors_of_what_was_done_are_lost);
	tcase_add_loop_test(merging, leaves_may_end_between_counting_and_gathering, 0, 3);
	tcase_add_test(merging, merge_of_merges_is_flat);
	tcase_add_test(merging, merge_with_a_user_fence_is_one);
	tcase_add_test(merging, merge_that_fails_leaves_nothing_behind);
	suite_add_tcase(s, merging);

	TCase *threads = tcase_begin("threads");
	tcase_add_loop_test(threads, leaves_may_end_while_they_are_merged, 0, 2);
	suite_add_tcase(s, threads);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
