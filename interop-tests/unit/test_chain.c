/* SPDX-License-Identifier: MIT */
/* Fence chains: KERNEL_CONTRACT section 3 (C-...), and what L-2 and A-12 mean for them. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/array.h>
#include <stile/chain.h>
#include <stile/fence.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "src/fence.h"
#include "src/macros.h"
#include "src/reclaim.h"

/* Sanitizers need more memory and stack for everything; what recursed would still not fit. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SMALL_STACK = 512 * 1024, MANY = 100000, QUITE_MANY = 50000 };
#else
enum { SMALL_STACK = 64 * 1024, MANY = 1000000, QUITE_MANY = 100000 };
#endif

/* A contained fence with notes on what was asked of it. */
struct leaf {
	struct stile_fence fence;
	int enabled;
	int deadlines;
	int64_t deadline_ns;
};

static atomic_int leaves_alive;

static struct leaf *leaf_of(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct leaf, fence);
}

static const char *leaf_name(struct stile_fence *fence) {
	(void)fence;
	return "leaf";
}

static bool leaf_enable(struct stile_fence *fence) {
	leaf_of(fence)->enabled++;
	return true;
}

static void leaf_release(struct stile_fence *fence) {
	leaves_alive--;
	free(leaf_of(fence));
}

static void leaf_set_deadline(struct stile_fence *fence, int64_t deadline_ns) {
	leaf_of(fence)->deadlines++;
	leaf_of(fence)->deadline_ns = deadline_ns;
}

static const struct stile_fence_ops leaf_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = leaf_name,
	.get_timeline_name = leaf_name,
	.enable_signaling = leaf_enable,
	.release = leaf_release,
	.set_deadline = leaf_set_deadline,
};

static const struct stile_fence_ops user_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = leaf_name,
	.get_timeline_name = leaf_name,
	.release = leaf_release,
	.flags = STILE_FENCE_USER,
};

static struct stile_fence *leaf_create_as(
	const struct stile_fence_ops *ops, struct stile_lock *lock) {
	struct leaf *leaf = calloc(1, sizeof(*leaf));
	runner_require(leaf != NULL, "no memory");
	int ret = stile_fence_init_shared(&leaf->fence, ops, lock, stile_fence_context_alloc(1), 1);
	runner_require(ret == 0, "no fence: %d", ret);
	leaves_alive++;
	return &leaf->fence;
}

static struct stile_fence *leaf_create(void) {
	return leaf_create_as(&leaf_ops, NULL);
}

/* Takes over both references, as stile_chain_init() does. */
static struct stile_fence *element_create(
	struct stile_fence *prev, struct stile_fence *contained, uint64_t seqno) {
	struct stile_chain *memory;
	int ret = stile_chain_alloc(&memory);
	runner_require(ret == 0, "no element: %d", ret);
	return stile_chain_init(memory, prev, contained, seqno);
}

/* What a listener saw. */
struct trace {
	struct stile_callback callback;
	atomic_int runs;
	int status;
};

static void trace_run(struct stile_fence *fence, struct stile_callback *callback) {
	struct trace *trace = CONTAINER_OF(callback, struct trace, callback);
	trace->status = stile_fence_get_status(fence);
	atomic_fetch_add(&trace->runs, 1);
}

static int listen(struct stile_fence *fence, struct trace *trace) {
	return stile_fence_add_callback(fence, &trace->callback, trace_run);
}

/* Elements 0 to count - 1, oldest first, seqnos 10, 20, ...; a reference on each and each leaf. */
struct line {
	size_t count;
	struct stile_fence **elements;
	struct stile_fence **leaves;
	struct trace *traces;
};

static void line_create_of(struct line *line, size_t count, struct stile_fence *(*create)(void)) {
	line->count = count;
	line->elements = calloc(count, sizeof(*line->elements));
	line->leaves = calloc(count, sizeof(*line->leaves));
	line->traces = calloc(count, sizeof(*line->traces));
	runner_require(line->elements && line->leaves && line->traces, "no memory");
	for (size_t i = 0; i < count; i++) {
		struct stile_fence *prev = i == 0 ? NULL : stile_fence_ref(line->elements[i - 1]);
		line->leaves[i] = create();
		line->elements[i] =
			element_create(prev, stile_fence_ref(line->leaves[i]), 10 * (i + 1));
	}
}

static void line_create(struct line *line, size_t count) {
	line_create_of(line, count, leaf_create);
}

static struct stile_fence *line_head(const struct line *line) {
	return line->elements[line->count - 1];
}

static void line_free(struct line *line) {
	for (size_t i = 0; i < line->count; i++) {
		stile_fence_unref(line->elements[i]);
		stile_fence_unref(line->leaves[i]);
	}
	free(line->elements);
	free(line->leaves);
	free(line->traces);
}

static void line_destroy(struct line *line) {
	line_free(line);
	ck_assert_int_eq(leaves_alive, 0);
}

/* ---- Making one ---------------------------------------------------------------------------- */

/* C-1, F-19. Wrong code: a reference taken besides those given; names of what is contained. */
START_TEST(element_takes_over_references_and_has_its_own_names) {
	struct stile_fence *leaf = leaf_create(), *prev = leaf_create();
	struct stile_fence *element = element_create(prev, leaf, 7);
	ck_assert_uint_eq(plain_refs(leaf), 1);
	ck_assert_uint_eq(plain_refs(prev), 1);
	ck_assert_str_eq(stile_fence_get_driver_name(element), "dma_fence_chain");
	ck_assert_str_eq(stile_fence_get_timeline_name(element), "unbound");
	ck_assert(stile_fence_is_chain(element));
	ck_assert(!stile_fence_is_array(element));
	ck_assert(!stile_fence_is_user(element));
	ck_assert(!stile_fence_is_chain(leaf));
	ck_assert(!stile_fence_is_chain(NULL));
	ck_assert_ptr_eq(stile_chain_get_contained(element), leaf);
	ck_assert_ptr_eq(stile_chain_get_contained(leaf), leaf);
	stile_fence_unref(element);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

static int try_alloc(void *user) {
	return stile_chain_alloc(user);
}

static void after_alloc(void *user, int ret) {
	struct stile_chain **memory = user;
	ck_assert((ret == 0) == (*memory != NULL));
	stile_chain_free(*memory);
}

/* C-1. Wrong code: *out left as it was. */
START_TEST(alloc_fails_with_enomem_only) {
	static const int errors[] = { -ENOMEM, 0 };
	struct stile_chain *memory = (struct stile_chain *)16;
	ck_assert_uint_eq(failing_sweep(try_alloc, after_alloc, &memory, errors), 1);
	stile_chain_free(NULL);
}
END_TEST

enum prev_kind { PREV_NONE, PREV_PLAIN, PREV_ARRAY, PREV_ELEMENT };

struct join_case {
	enum prev_kind kind;
	uint64_t prev_seqno, seqno;
	bool joins;
	uint64_t stored;
};

/* C-2, C-11. Wrong code: 32 bits compared; equal seqnos joined; a seqno that goes backwards. */
static const struct join_case join_cases[] = {
	{ PREV_NONE, 0, 5, false, 5 },
	{ PREV_NONE, 0, 0, false, 0 },
	{ PREV_PLAIN, 9, 5, false, 5 },
	{ PREV_ARRAY, 9, 5, false, 5 },
	{ PREV_ELEMENT, 5, 6, true, 6 },
	{ PREV_ELEMENT, 5, UINT64_MAX, true, UINT64_MAX },
	{ PREV_ELEMENT, 5, UINT64_C(1) << 40, true, UINT64_C(1) << 40 },
	{ PREV_ELEMENT, UINT32_MAX, UINT64_C(1) << 32, true, UINT64_C(1) << 32 },
	{ PREV_ELEMENT, 0, UINT64_C(1) << 63, true, UINT64_C(1) << 63 },
	{ PREV_ELEMENT, 5, 5, false, 5 },
	{ PREV_ELEMENT, 5, 4, false, 5 },
	{ PREV_ELEMENT, 5, 0, false, 5 },
	{ PREV_ELEMENT, 0, 0, false, 0 },
	{ PREV_ELEMENT, UINT64_C(1) << 32, 7, false, UINT64_C(1) << 32 },
	{ PREV_ELEMENT, UINT64_MAX, 1, false, UINT64_MAX },
};

static struct stile_fence *prev_create(const struct join_case *c) {
	struct stile_fence *leaf = c->kind == PREV_NONE ? NULL : leaf_create(), *array;
	switch (c->kind) {
	case PREV_ARRAY:
		ck_assert_int_eq(
			stile_array_create(&leaf, 1, 3, c->prev_seqno, STILE_ARRAY_ALL, &array), 0);
		stile_fence_unref(leaf);
		return array;
	case PREV_ELEMENT:
		return element_create(NULL, leaf, c->prev_seqno);
	default:
		return leaf;
	}
}

START_TEST(element_joins_a_context_or_begins_one) {
	const struct join_case *c = &join_cases[_i];
	struct stile_fence *prev = prev_create(c);
	uint64_t before = prev == NULL ? 0 : stile_fence_get_context(prev);
	uint64_t unused = stile_fence_context_alloc(1);
	struct stile_fence *element = element_create(prev, leaf_create(), c->seqno);
	uint64_t context = stile_fence_get_context(element);
	ck_assert_msg((context == before) == c->joins, "case %d", _i);
	ck_assert_msg(c->joins || context > unused, "case %d: the context was used before", _i);
	ck_assert_uint_eq(stile_fence_get_seqno(element), c->stored);

	/* C-11: what comes next goes on from there. */
	if (c->stored < UINT64_MAX) {
		element = element_create(element, leaf_create(), c->stored + 1);
		ck_assert_uint_eq(stile_fence_get_context(element), context);
	}
	stile_fence_unref(element);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* 64 bits. Wrong code: the flag missing, so that order wraps around. */
START_TEST(seqno_of_elements_has_64_bits) {
	struct stile_fence *old = element_create(NULL, leaf_create(), 1);
	struct stile_fence *young =
		element_create(stile_fence_ref(old), leaf_create(), (UINT64_C(1) << 32) + 1);
	ck_assert(stile_fence_is_later(young, old));
	ck_assert(!stile_fence_is_later(old, young));
	stile_fence_unref(young);
	stile_fence_unref(old);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* C-3. Wrong code: silence. */
START_TEST(element_within_an_element_is_told) {
	ledger_expect_complaint("point 2 of a chain contains an element of a chain");
	struct stile_fence *leaf = leaf_create();
	struct stile_fence *inner = element_create(NULL, stile_fence_ref(leaf), 1);
	struct stile_fence *outer = element_create(NULL, inner, 2);
	struct trace trace = { 0 };
	ck_assert_int_eq(listen(outer, &trace), 0);
	stile_fence_signal(leaf);
	ck_assert_int_eq(trace.runs, 1);
	stile_fence_unref(outer);
	stile_fence_unref(leaf);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* C-3: an array may be contained. Wrong code: told; or ended by its first member. */
START_TEST(array_within_an_element_works) {
	struct stile_fence *members[] = { leaf_create(), leaf_create() }, *array;
	ck_assert_int_eq(stile_array_create(members, 2, 1, 1, STILE_ARRAY_ALL, &array), 0);
	struct stile_fence *element = element_create(NULL, array, 1);
	struct trace trace = { 0 };
	ck_assert_int_eq(listen(element, &trace), 0);
	stile_fence_signal(members[0]);
	ck_assert_int_eq(trace.runs, 0);
	stile_fence_signal(members[1]);
	ck_assert_int_eq(trace.runs, 1);
	stile_fence_unref(element);
	stile_fence_unref(members[0]);
	stile_fence_unref(members[1]);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* ---- Walking ------------------------------------------------------------------------------- */

/* The elements that a walk from one visits have to be these, ended by -1. */
static void assert_walk(const struct line *line, size_t from, const int *expected) {
	struct stile_fence *at = stile_fence_ref(line->elements[from]);
	for (; at != NULL; at = stile_chain_walk(at), expected++) {
		ck_assert_int_ge(*expected, 0);
		ck_assert_ptr_eq(at, line->elements[*expected]);
	}
	ck_assert_int_eq(*expected, -1);
}

/* C-4, C-5. Wrong code: the first or the last one left out. */
START_TEST(walk_visits_all_that_are_pending) {
	struct line line;
	line_create(&line, 4);
	assert_walk(&line, 3, (const int[]){ 3, 2, 1, 0, -1 });
	assert_walk(&line, 0, (const int[]){ 0, -1 });
	line_destroy(&line);
}
END_TEST

/* C-4. Wrong code: skipped but kept; kept if the element itself is not signalled yet. */
START_TEST(walk_takes_out_what_is_done) {
	struct line line;
	line_create(&line, 5);
	stile_fence_signal(line.leaves[1]);
	stile_fence_signal(line.leaves[2]);
	ck_assert_uint_eq(plain_refs(line.elements[1]), 2);
	assert_walk(&line, 4, (const int[]){ 4, 3, 0, -1 });
	/* Element 3 has let go of 2, which still has 1: its own walk is another one. */
	ck_assert_uint_eq(plain_refs(line.elements[2]), 1);
	ck_assert_uint_eq(plain_refs(line.elements[1]), 2);
	ck_assert_uint_eq(plain_refs(line.elements[0]), 3);
	assert_walk(&line, 2, (const int[]){ 2, 0, -1 });
	ck_assert_uint_eq(plain_refs(line.elements[1]), 1);
	line_destroy(&line);
}
END_TEST

/* C-4: everything that looks at a chain collects. Wrong code: memory piles up behind the head. */
START_TEST(every_look_takes_out_what_is_done) {
	struct line line;
	line_create(&line, 3);
	struct stile_fence *head = line_head(&line), *found = stile_fence_ref(head);
	stile_fence_signal(line.leaves[0]);
	stile_fence_signal(line.leaves[1]);
	struct trace trace = { 0 };
	switch (_i) {
	case 0:
		ck_assert_int_eq(stile_chain_find_seqno(&found, 5), 0);
		ck_assert_ptr_null(found);
		break;
	case 1:
		stile_fence_set_deadline(head, 1);
		break;
	case 2:
		stile_fence_signal(line.leaves[2]);
		ck_assert(stile_fence_is_signaled(head));
		break;
	default:
		ck_assert_int_eq(listen(head, &trace), 0);
		stile_fence_signal(line.leaves[2]);
		ck_assert_int_eq(trace.runs, 1);
		break;
	}
	stile_fence_unref(found);
	ck_assert_uint_eq(plain_refs(line.elements[1]), 1);
	line_destroy(&line);
}
END_TEST

/* C-4: a plain fence at the end. Wrong code: the walk goes on from it; it stays when it is done. */
START_TEST(walk_ends_at_a_plain_fence) {
	struct stile_fence *plain = leaf_create();
	struct stile_fence *element = element_create(stile_fence_ref(plain), leaf_create(), 1);
	struct stile_fence *at = stile_chain_walk(stile_fence_ref(element));
	ck_assert_ptr_eq(at, plain);
	ck_assert_ptr_null(stile_chain_walk(at));
	ck_assert_uint_eq(plain_refs(plain), 2);
	stile_fence_signal(plain);
	ck_assert_ptr_null(stile_chain_walk(stile_fence_ref(element)));
	ck_assert_uint_eq(plain_refs(plain), 1);
	stile_fence_unref(element);
	stile_fence_unref(plain);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* C-4, C-5: the walk has the only reference. Wrong code: what is before released with the head. */
START_TEST(walk_consumes_a_chain_that_nobody_else_has) {
	struct stile_fence *at = NULL;
	for (uint64_t i = 1; i <= 3; i++) {
		at = element_create(at, leaf_create(), i);
	}
	for (int left = 3; left > 0; left--) {
		ck_assert_ptr_nonnull(at);
		ck_assert_int_eq(leaves_alive, left);
		at = stile_chain_walk(at);
	}
	ck_assert_ptr_null(at);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* C-5. Wrong code: a head that is done left out, so that nobody learns of its time. */
START_TEST(head_is_visited_even_if_it_is_done) {
	struct line line;
	line_create(&line, 2);
	stile_fence_signal(line.leaves[0]);
	stile_fence_signal(line.leaves[1]);
	ck_assert(stile_fence_is_signaled(line_head(&line)));
	assert_walk(&line, 1, (const int[]){ 1, -1 });
	line_destroy(&line);
}
END_TEST

/* ---- Finding a point ------------------------------------------------------------------------ */

enum { FOUND_NONE = -1, ALL_DONE = 7 };

struct find_case {
	unsigned done; /* bit i: what element i contains is */
	uint64_t seqno;
	int ret;
	int found; /* element, or FOUND_NONE */
};

/*
 * C-6, points 10, 20, 30. Wrong code: the newest at or below the point; prev_seqno taken from what
 * is before now, though that was another one once; NULL for a head that is done; 0 looked for.
 */
static const struct find_case find_cases[] = {
	{ 0, 0, 0, 2 },
	{ 0, 1, 0, 0 },
	{ 0, 10, 0, 0 },
	{ 0, 11, 0, 1 },
	{ 0, 20, 0, 1 },
	{ 0, 21, 0, 2 },
	{ 0, 30, 0, 2 },
	{ 0, 31, -EINVAL, 2 },
	{ 0, UINT64_MAX, -EINVAL, 2 },
	/* the one in the middle is collected: what is before it implies less, so it is not enough */
	{ 2, 10, 0, 0 },
	{ 2, 11, 0, 0 },
	{ 2, 20, 0, 0 },
	{ 2, 21, 0, 2 },
	{ 1, 5, 0, FOUND_NONE },
	{ 1, 10, 0, FOUND_NONE },
	{ 1, 11, 0, 1 },
	{ 3, 20, 0, FOUND_NONE },
	{ 3, 21, 0, 2 },
	{ 4, 20, 0, 1 },
	{ 4, 25, 0, 2 },
	{ ALL_DONE, 0, 0, 2 },
	{ ALL_DONE, 15, 0, FOUND_NONE },
	{ ALL_DONE, 30, 0, 2 },
	{ ALL_DONE, 31, -EINVAL, 2 },
};

START_TEST(find_gives_what_a_point_waits_for) {
	const struct find_case *c = &find_cases[_i];
	struct line line;
	line_create(&line, 3);
	for (size_t i = 0; i < 3; i++) {
		if (c->done >> i & 1) {
			stile_fence_signal(line.leaves[i]);
		}
	}
	struct stile_fence *found = stile_fence_ref(line_head(&line));
	ck_assert_msg(stile_chain_find_seqno(&found, c->seqno) == c->ret, "case %d", _i);
	struct stile_fence *expected = c->found == FOUND_NONE ? NULL : line.elements[c->found];
	ck_assert_msg(found == expected, "case %d", _i);
	stile_fence_unref(found);
	/* Nobody but us and the next one has the head. */
	ck_assert_uint_eq(plain_refs(line_head(&line)), 1);
	line_destroy(&line);
}
END_TEST

/* C-6. Wrong code: a plain fence, or none, taken for a point that was reached. */
START_TEST(find_in_what_is_no_chain_is_einval) {
	struct stile_fence *leaf = leaf_create(), *at = leaf, *none = NULL;
	ck_assert_int_eq(stile_chain_find_seqno(&at, 1), -EINVAL);
	ck_assert_ptr_eq(at, leaf);
	ck_assert_int_eq(stile_chain_find_seqno(&none, 1), -EINVAL);
	ck_assert_ptr_null(none);
	ck_assert_int_eq(stile_chain_find_seqno(&at, 0), 0);
	ck_assert_ptr_eq(at, leaf);
	stile_fence_unref(leaf);
}
END_TEST

/* C-6, C-11. Wrong code: seqnos of another context compared with the point. */
START_TEST(find_stops_at_another_context) {
	struct line line;
	line_create(&line, 2);
	struct stile_fence *odd_leaf = leaf_create();
	struct stile_fence *odd =
		element_create(stile_fence_ref(line_head(&line)), stile_fence_ref(odd_leaf), 5);
	struct stile_fence *head = element_create(stile_fence_ref(odd), leaf_create(), 30);
	ck_assert_uint_eq(stile_fence_get_seqno(odd), 20);

	struct stile_fence *found = stile_fence_ref(head);
	ck_assert_int_eq(stile_chain_find_seqno(&found, 5), 0);
	ck_assert_ptr_eq(found, odd);
	stile_fence_unref(found);

	stile_fence_signal(odd_leaf);
	found = stile_fence_ref(head);
	ck_assert_int_eq(stile_chain_find_seqno(&found, 5), 0);
	ck_assert_ptr_eq(found, line.elements[1]);
	stile_fence_unref(found);
	stile_fence_unref(head);
	stile_fence_unref(odd);
	stile_fence_unref(odd_leaf);
	line_destroy(&line);
}
END_TEST

/* C-6: a plain fence before the chain. Wrong code: an element's fields read from it. */
START_TEST(find_stops_at_a_plain_fence) {
	struct stile_fence *plain = leaf_create(), *leaf = leaf_create();
	struct stile_fence *first = element_create(plain, stile_fence_ref(leaf), 10);
	struct stile_fence *head = element_create(first, leaf_create(), 20);
	stile_fence_signal(leaf);
	struct stile_fence *found = stile_fence_ref(head);
	ck_assert_int_eq(stile_chain_find_seqno(&found, 5), 0);
	ck_assert_ptr_eq(found, plain);
	stile_fence_unref(found);
	stile_fence_unref(head);
	stile_fence_unref(leaf);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* ---- How it ends --------------------------------------------------------------------------- */

/* C-7, F-12. Wrong code: the head's fence alone looked at; asking that enables. */
START_TEST(asking_looks_at_everything_and_enables_nothing) {
	struct line line;
	line_create(&line, 3);
	stile_fence_signal(line.leaves[2]);
	ck_assert(!stile_fence_is_signaled(line.elements[2]));
	stile_fence_signal(line.leaves[0]);
	ck_assert(stile_fence_is_signaled(line.elements[0]));
	ck_assert(!stile_fence_is_signaled(line.elements[1]));
	ck_assert(!stile_fence_is_signaled(line.elements[2]));
	ck_assert_int_eq(leaf_of(line.leaves[1])->enabled, 0);
	stile_fence_signal(line.leaves[1]);
	ck_assert(stile_fence_is_signaled(line.elements[2]));
	line_destroy(&line);
}
END_TEST

/* C-8. Wrong code: every fence of the chain enabled; none; one of those that are done. */
START_TEST(listening_enables_one_fence_at_a_time) {
	struct line line;
	line_create(&line, 3);
	struct trace trace = { 0 };
	stile_fence_signal(line.leaves[2]);
	ck_assert_int_eq(listen(line_head(&line), &trace), 0);
	ck_assert_int_eq(leaf_of(line.leaves[2])->enabled, 0);
	ck_assert_int_eq(leaf_of(line.leaves[1])->enabled, 1);
	ck_assert_int_eq(leaf_of(line.leaves[0])->enabled, 0);
	/* Nobody listens to the element, so it does not keep itself. */
	ck_assert_uint_eq(plain_refs(line.elements[1]), 2);
	stile_fence_signal(line.leaves[1]);
	ck_assert_int_eq(leaf_of(line.leaves[0])->enabled, 1);
	ck_assert_int_eq(trace.runs, 0);
	stile_fence_signal(line.leaves[0]);
	ck_assert_int_eq(trace.runs, 1);
	line_destroy(&line);
}
END_TEST

/* C-8. Wrong code: a callback queued on a chain that is done, for ever. */
START_TEST(listening_to_a_chain_that_is_done_is_enoent) {
	struct line line;
	line_create(&line, 3);
	for (size_t i = 0; i < 3; i++) {
		stile_fence_signal(line.leaves[i]);
	}
	struct trace trace = { 0 };
	ck_assert_int_eq(listen(line_head(&line), &trace), -ENOENT);
	ck_assert_int_eq(trace.runs, 0);
	line_destroy(&line);
}
END_TEST

/* C-10. Wrong code: an element that fails with what it contains, as an array does. */
START_TEST(element_does_not_take_over_errors) {
	struct line line;
	line_create(&line, 2);
	struct trace trace = { 0 };
	ck_assert_int_eq(listen(line_head(&line), &trace), 0);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(stile_fence_set_error(line.leaves[i], -EIO), 0);
		stile_fence_signal(line.leaves[i]);
	}
	ck_assert_int_eq(trace.runs, 1);
	ck_assert_int_eq(trace.status, 1);
	ck_assert_int_eq(stile_fence_get_status(line.elements[0]), 1);
	line_destroy(&line);
}
END_TEST

/* What a plain fence does before the chain. Wrong code: elements only waited for. */
START_TEST(chain_waits_for_the_plain_fence_before_it) {
	struct stile_fence *plain = leaf_create(), *leaf = leaf_create();
	struct stile_fence *element =
		element_create(stile_fence_ref(plain), stile_fence_ref(leaf), 1);
	struct trace trace = { 0 };
	if (_i == 0) {
		ck_assert_int_eq(listen(element, &trace), 0);
	}
	stile_fence_signal(leaf);
	ck_assert(!stile_fence_is_signaled(element));
	ck_assert_int_eq(trace.runs, 0);
	stile_fence_signal(plain);
	ck_assert_int_eq(trace.runs, _i == 0);
	ck_assert(stile_fence_is_signaled(element));
	stile_fence_unref(element);
	stile_fence_unref(plain);
	stile_fence_unref(leaf);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

enum order { ORDER_FORWARD, ORDER_REVERSE, ORDER_RANDOM, ORDERS };
enum listeners { LISTEN_ALL, LISTEN_HEAD, LISTEN_SECOND, LISTEN_KINDS };

static size_t *order_create(enum order order, size_t count, uint64_t *random) {
	size_t *numbers = calloc(count, sizeof(*numbers));
	runner_require(numbers != NULL, "no memory");
	for (size_t i = 0; i < count; i++) {
		numbers[i] = order == ORDER_REVERSE ? count - 1 - i : i;
	}
	for (size_t i = count; order == ORDER_RANDOM && i > 1; i--) {
		size_t other = runner_random(random) % i, kept = numbers[i - 1];
		numbers[i - 1] = numbers[other];
		numbers[other] = kept;
	}
	return numbers;
}

static bool listens(enum listeners listeners, size_t i, size_t count) {
	return listeners == LISTEN_ALL || i == count - 1 ||
		(listeners == LISTEN_SECOND && i % 2 == 0);
}

/* How many from the oldest on are done without a gap: that many elements are, no more. */
static size_t line_reached(const struct line *line) {
	size_t reached = 0;
	while (reached < line->count && stile_fence_is_signaled(line->leaves[reached])) {
		reached++;
	}
	return reached;
}

/*
 * C-8: an element ends exactly when all up to it have, at once, whatever the order and whoever
 * listens. Wrong code: an end passed on to the next element only; a search that begins after the
 * one that woke it, and misses one; elements that wait for each other.
 */
START_TEST(every_element_ends_with_the_last_fence_up_to_it) {
	enum { COUNT = 33 };
	enum order order = (enum order)(_i % ORDERS);
	enum listeners listeners = (enum listeners)(_i / ORDERS);
	uint64_t random = runner_seed();
	size_t *numbers = order_create(order, COUNT, &random);
	struct line line;
	line_create(&line, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		if (listens(listeners, i, COUNT)) {
			ck_assert_int_eq(listen(line.elements[i], &line.traces[i]), 0);
		}
	}
	for (size_t step = 0; step < COUNT; step++) {
		stile_fence_signal(line.leaves[numbers[step]]);
		size_t reached = line_reached(&line);
		for (size_t i = 0; i < COUNT; i++) {
			bool runs = listens(listeners, i, COUNT) && i < reached;
			ck_assert_msg(line.traces[i].runs == runs,
				"after %zu of %d, element %zu of %zu that are done: %d runs",
				step + 1, COUNT, i, reached, line.traces[i].runs);
		}
	}
	free(numbers);
	line_destroy(&line);
}
END_TEST

static size_t count_callbacks(const struct stile_fence *fence) {
	size_t count = 0;
	for (const struct stile_callback *at = fence->first; at != NULL; at = at->next) {
		count++;
	}
	return count;
}

/*
 * C-8: the work for each fence does not grow with the chain. Counts who listens to a fence when it
 * ends. Wrong code: the search from every element for the next pending fence, whichever that is:
 * then in reverse order each fence wakes all elements after it.
 */
START_TEST(no_fence_wakes_many_elements) {
	static const size_t counts[] = { 10, 100, 1000 };
	enum order order = (enum order)(_i % ORDERS);
	size_t count = counts[_i / ORDERS], callbacks = 0, most = 0;
	uint64_t random = runner_seed();
	size_t *numbers = order_create(order, count, &random);
	struct line line;
	line_create(&line, count);
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(listen(line.elements[i], &line.traces[i]), 0);
	}
	for (size_t step = 0; step < count; step++) {
		struct stile_fence *leaf = line.leaves[numbers[step]];
		size_t here = count_callbacks(leaf);
		callbacks += here;
		most = here > most ? here : most;
		stile_fence_signal(leaf);
	}
	ck_assert_uint_le(most, 3);
	ck_assert_uint_le(callbacks, 3 * count);
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(line.traces[i].runs, 1);
	}
	free(numbers);
	line_destroy(&line);
}
END_TEST

/* A-12, C-8. Wrong code: the search, which takes locks, run within the callback of a leaf. */
START_TEST(chain_ends_when_the_leaves_lock_is_given_up) {
	struct stile_lock lock;
	stile_lock_init(&lock, "leaves");
	struct stile_fence *leaves[2], *elements[2], *prev = NULL;
	struct trace traces[2] = { 0 };
	for (size_t i = 0; i < 2; i++) {
		leaves[i] = leaf_create_as(&leaf_ops, &lock);
		struct stile_fence *array;
		ck_assert_int_eq(
			stile_array_create(&leaves[i], 1, 1, 1, STILE_ARRAY_ALL, &array), 0);
		elements[i] = element_create(prev, array, i + 1);
		prev = stile_fence_ref(elements[i]);
		ck_assert_int_eq(listen(elements[i], &traces[i]), 0);
	}
	stile_lock_acquire(&lock);
	for (size_t i = 0; i < 2; i++) {
		stile_fence_signal_locked(leaves[1 - i]);
	}
	ck_assert_int_eq(traces[0].runs + traces[1].runs, 0);
	stile_lock_release(&lock);
	ck_assert_int_eq(traces[0].runs, 1);
	ck_assert_int_eq(traces[1].runs, 1);
	stile_fence_unref(prev);
	for (size_t i = 0; i < 2; i++) {
		stile_fence_unref(elements[i]);
		stile_fence_unref(leaves[i]);
	}
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* The same for enabling. Wrong code: a search that is never run if it begins under a lock. */
START_TEST(chain_that_is_enabled_under_a_lock_ends) {
	struct stile_lock lock;
	stile_lock_init(&lock, "outer");
	struct line line;
	line_create(&line, 2);
	struct trace trace = { 0 };
	stile_lock_acquire(&lock);
	ck_assert_int_eq(listen(line_head(&line), &trace), 0);
	stile_fence_signal(line.leaves[1]);
	stile_fence_signal(line.leaves[0]);
	stile_lock_release(&lock);
	ck_assert_int_eq(trace.runs, 1);
	line_destroy(&line);
}
END_TEST

/* ---- Against a model ------------------------------------------------------------------------ */

enum { MODEL_MOST = 12, MODEL_STEPS = 60, MODEL_ROUNDS = 400 };

/* A chain of which some elements contain an array of two; what has ended, and who listens. */
struct model {
	size_t count;
	struct stile_fence *leaves[MODEL_MOST][2];
	struct stile_fence *elements[MODEL_MOST]; /* NULL: the reference was dropped */
	const struct stile_fence *names[MODEL_MOST];
	struct trace traces[MODEL_MOST];
	bool listening[MODEL_MOST];
};

static void model_begin(struct model *model, uint64_t *random) {
	*model = (struct model){ .count = 1 + runner_random(random) % MODEL_MOST };
	struct stile_fence *prev = NULL;
	for (size_t i = 0; i < model->count; i++) {
		struct stile_fence *contained = leaf_create();
		model->leaves[i][0] = stile_fence_ref(contained);
		if (runner_random(random) % 3 == 0) {
			model->leaves[i][1] = leaf_create();
			stile_fence_unref(contained);
			ck_assert_int_eq(stile_array_create(model->leaves[i], 2, 1, 1,
						 STILE_ARRAY_ALL, &contained),
				0);
		}
		model->elements[i] = element_create(prev, contained, 10 * (i + 1));
		model->names[i] = model->elements[i];
		prev = stile_fence_ref(model->elements[i]);
	}
	stile_fence_unref(prev);
}

static bool model_contained_done(const struct model *model, size_t i) {
	return stile_fence_is_signaled(model->leaves[i][0]) &&
		(model->leaves[i][1] == NULL || stile_fence_is_signaled(model->leaves[i][1]));
}

static bool model_done(const struct model *model, size_t i) {
	for (size_t j = 0; j <= i; j++) {
		if (!model_contained_done(model, j)) {
			return false;
		}
	}
	return true;
}

/* The next that a walk visits after element i; count: none. */
static size_t model_before(const struct model *model, size_t i) {
	while (i-- > 0) {
		if (!model_contained_done(model, i)) {
			return i;
		}
	}
	return model->count;
}

static void model_walk(const struct model *model, size_t i) {
	struct stile_fence *at = stile_fence_ref(model->elements[i]);
	for (; at != NULL; at = stile_chain_walk(at)) {
		ck_assert_uint_lt(i, model->count);
		ck_assert_ptr_eq(at, model->names[i]);
		i = model_before(model, i);
	}
	ck_assert_uint_eq(i, model->count);
}

static void model_find(const struct model *model, size_t i, uint64_t seqno) {
	struct stile_fence *found = stile_fence_ref(model->elements[i]);
	int ret = stile_chain_find_seqno(&found, seqno);
	if (seqno == 0 || seqno > 10 * (i + 1)) {
		ck_assert_int_eq(ret, seqno == 0 ? 0 : -EINVAL);
		ck_assert_ptr_eq(found, model->names[i]);
	} else {
		while (i < model->count && 10 * i >= seqno) {
			i = model_before(model, i);
		}
		ck_assert_int_eq(ret, 0);
		ck_assert_ptr_eq(found, i < model->count ? model->names[i] : NULL);
	}
	stile_fence_unref(found);
}

static void model_step(struct model *model, uint64_t *random) {
	size_t i = runner_random(random) % model->count;
	unsigned what = (unsigned)(runner_random(random) % 8);
	size_t leaf = runner_random(random) % 2;
	if (what < 2) {
		stile_fence_signal(model->leaves[i][model->leaves[i][1] == NULL ? 0 : leaf]);
	} else if (model->elements[i] == NULL) {
		return;
	} else if (what < 4 && !model->listening[i]) {
		int ret = listen(model->elements[i], &model->traces[i]);
		ck_assert_int_eq(ret, model_done(model, i) ? -ENOENT : 0);
		model->listening[i] = ret == 0;
	} else if (what == 4) {
		ck_assert_int_eq(stile_fence_is_signaled(model->elements[i]), model_done(model, i));
	} else if (what == 5) {
		model_walk(model, i);
	} else if (what == 6) {
		model_find(model, i, runner_random(random) % (10 * model->count + 5));
	} else if (what == 7 && i + 1 < model->count && leaf == 0) {
		stile_fence_unref(model->elements[i]);
		model->elements[i] = NULL;
	}
}

static void model_check(const struct model *model) {
	for (size_t i = 0; i < model->count; i++) {
		bool runs = model->listening[i] && model_done(model, i);
		ck_assert_msg(model->traces[i].runs == runs, "element %zu of %zu: %d runs", i,
			model->count, model->traces[i].runs);
	}
}

static void model_end(struct model *model) {
	for (size_t i = 0; i < model->count; i++) {
		stile_fence_unref(model->elements[i]);
		for (size_t j = 0; j < 2 && model->leaves[i][j] != NULL; j++) {
			stile_fence_signal(model->leaves[i][j]);
		}
	}
	model_check(model);
	for (size_t i = 0; i < model->count; i++) {
		stile_fence_unref(model->leaves[i][0]);
		stile_fence_unref(model->leaves[i][1]);
	}
	ck_assert_int_eq(leaves_alive, 0);
}

/*
 * C-4 to C-9 by chance, compared after every step with what the rules say: who is told, who is
 * done, what walks visit, where points are found; references on elements dropped at any time.
 * Wrong code: whatever depends on what was collected, or who began to listen, before.
 */
START_TEST(chains_do_what_the_model_does) {
	uint64_t random = runner_seed();
	for (int round = 0; round < MODEL_ROUNDS; round++) {
		struct model model;
		model_begin(&model, &random);
		for (int step = 0; step < MODEL_STEPS; step++) {
			model_step(&model, &random);
			model_check(&model);
		}
		model_end(&model);
	}
}
END_TEST

/* ---- Life ---------------------------------------------------------------------------------- */

/* C-8. Wrong code: what is waited for freed while the callback is on it; or kept for ever. */
START_TEST(chain_that_nobody_has_lives_until_it_ends) {
	struct line line;
	line_create(&line, 4);
	ck_assert_int_eq(listen(line.elements[3], &line.traces[3]), 0);
	ck_assert_int_eq(listen(line.elements[1], &line.traces[1]), 0);
	for (size_t i = 0; i < 4; i++) {
		stile_fence_unref(line.elements[i]);
		line.elements[i] = NULL;
	}
	for (size_t i = 4; i-- > 0;) {
		stile_fence_signal(line.leaves[i]);
	}
	ck_assert_int_eq(line.traces[3].runs, 1);
	ck_assert_int_eq(line.traces[1].runs, 1);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(plain_refs(line.leaves[i]), 1);
	}
	line_destroy(&line);
}
END_TEST

/* C-9. Wrong code: elements that others have released as well. */
START_TEST(release_stops_where_somebody_else_has_a_reference) {
	struct line line;
	line_create(&line, 6);
	struct stile_fence *branch =
		element_create(stile_fence_ref(line.elements[2]), leaf_create(), 35);
	for (size_t i = 0; i < 6; i++) {
		stile_fence_unref(line.elements[i]);
		line.elements[i] = NULL;
	}
	for (size_t i = 0; i < 6; i++) {
		ck_assert_uint_eq(plain_refs(line.leaves[i]), i <= 2 ? 2 : 1);
	}
	stile_fence_unref(branch);
	for (size_t i = 0; i < 6; i++) {
		ck_assert_uint_eq(plain_refs(line.leaves[i]), 1);
	}
	line_destroy(&line);
}
END_TEST

/* On a stack that recursion over the chain would not fit; `run` gives what is wrong, or NULL. */
static void run_on_small_stack(void *(*run)(void *arg)) {
	pthread_attr_t attr;
	pthread_t thread;
	ck_assert_int_eq(pthread_attr_init(&attr), 0);
	ck_assert_int_eq(pthread_attr_setstacksize(&attr, SMALL_STACK), 0);
	ck_assert_int_eq(pthread_create(&thread, &attr, run, NULL), 0);
	pthread_attr_destroy(&attr);
	void *wrong;
	pthread_join(thread, &wrong);
	ck_assert_msg(wrong == NULL, "%s", (const char *)wrong);
}

static struct stile_fence *long_chain(uint64_t count, struct stile_fence *contained) {
	struct stile_fence *head = NULL;
	for (uint64_t i = 1; i <= count; i++) {
		head = element_create(head, stile_fence_ref(contained), i);
	}
	return head;
}

/* The leaf is all that should be left. */
static void *end_long_chain(struct stile_fence *leaf) {
	bool alone = plain_refs(leaf) == 1;
	stile_fence_unref(leaf);
	return alone ? NULL : "elements were left";
}

static void *release_many(void *unused) {
	(void)unused;
	struct stile_fence *leaf = leaf_create();
	stile_fence_unref(long_chain(MANY, leaf));
	return end_long_chain(leaf);
}

/* The head goes while somebody looks at slots: then all of it goes later, by another way. */
static void *release_many_late(void *unused) {
	(void)unused;
	struct stile_fence *leaf = leaf_create();
	struct stile_fence *head = long_chain(QUITE_MANY, leaf);
	fence_enter_slot(head);
	unsigned section = reclaim_begin();
	stile_fence_unref(head);
	bool kept = plain_refs(leaf) == QUITE_MANY + 1;
	reclaim_end(section);
	void *wrong = end_long_chain(leaf);
	return kept ? wrong : "released in spite of a reader";
}

/* One walk collects all of it. */
static void *collect_many(void *unused) {
	(void)unused;
	struct stile_fence *leaf = leaf_create(), *pending = leaf_create();
	struct stile_fence *head =
		element_create(long_chain(QUITE_MANY, leaf), pending, QUITE_MANY + 1);
	stile_fence_signal(leaf);
	struct stile_fence *found = stile_chain_walk(stile_fence_ref(head));
	stile_fence_unref(found);
	void *wrong = end_long_chain(leaf);
	stile_fence_unref(head);
	return found == NULL ? wrong : "elements were found";
}

static void *end_in_reverse(struct line *line) {
	for (size_t i = line->count; i-- > 0;) {
		/* Not to be waited for: it would be a matter of hours. */
		if (line->leaves[i]->first != line->leaves[i]->last) {
			return "a fence wakes more than one element";
		}
		stile_fence_signal(line->leaves[i]);
	}
	for (size_t i = 0; i < line->count; i++) {
		if (line->traces[i].runs != 1 || plain_refs(line->leaves[i]) != 1) {
			return "an element is not done, or was left";
		}
	}
	return NULL;
}

/* Every element waits for the one before it; then the oldest ends. */
static void *end_many(void *unused) {
	(void)unused;
	struct line line;
	line_create(&line, QUITE_MANY);
	for (size_t i = 0; i < line.count; i++) {
		if (listen(line.elements[i], &line.traces[i]) != 0) {
			return "done too early";
		}
		stile_fence_unref(line.elements[i]);
		line.elements[i] = NULL;
	}
	void *wrong = end_in_reverse(&line);
	if (wrong == NULL) {
		line_free(&line);
	}
	return wrong;
}

/* C-8, C-9. Wrong code: release, collection or the end of an element by recursion. */
START_TEST(long_chains_need_no_stack) {
	static void *(*const runs[])(
		void *) = { release_many, release_many_late, collect_many, end_many };
	run_on_small_stack(runs[_i]);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* ---- Deadlines and user fences -------------------------------------------------------------- */

/* C-10, L-1, L-2. Wrong code: only the head's fence told; what is done told as well. */
START_TEST(deadline_goes_to_every_pending_fence) {
	struct stile_fence *plain = leaf_create(), *leaves[3], *head = stile_fence_ref(plain);
	for (size_t i = 0; i < 3; i++) {
		leaves[i] = leaf_create();
		head = element_create(head, stile_fence_ref(leaves[i]), i + 1);
	}
	stile_fence_signal(leaves[1]);
	stile_fence_set_deadline(head, 1234);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(leaf_of(leaves[i])->deadlines, i != 1);
		ck_assert_int_eq(leaf_of(leaves[i])->deadline_ns, i != 1 ? 1234 : 0);
	}
	ck_assert_int_eq(leaf_of(plain)->deadline_ns, 1234);
	stile_fence_unref(head);
	for (size_t i = 0; i < 3; i++) {
		stile_fence_unref(leaves[i]);
	}
	stile_fence_unref(plain);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

static struct stile_fence *user_create(unsigned expires_in_ms) {
	struct stile_fence *fence = leaf_create_as(&user_ops, NULL);
	ck_assert_int_eq(
		stile_fence_set_expiry(fence, runner_clock_ns() + expires_in_ms * INT64_C(1000000)),
		0);
	return fence;
}

/* Wrong code: only the fence, or only what is before it, looked at. */
START_TEST(element_of_or_after_a_user_fence_is_one) {
	struct stile_fence *before = element_create(NULL, leaf_create(), 1);
	struct stile_fence *of = element_create(stile_fence_ref(before), user_create(60000), 2);
	struct stile_fence *after = element_create(stile_fence_ref(of), leaf_create(), 3);
	struct stile_fence *plain = element_create(user_create(60000), leaf_create(), 1);
	struct stile_fence *are[] = { of, after, plain };
	ck_assert(!stile_fence_is_user(before));
	for (size_t i = 0; i < ARRAY_LENGTH(are); i++) {
		ck_assert_msg(stile_fence_is_user(are[i]), "%zu", i);
		ck_assert_int_eq(stile_fence_get_owner(are[i]), getpid());
		ck_assert_int_eq(stile_fence_get_expiry(are[i]), INT64_MAX);
		stile_fence_unref(are[i]);
	}
	stile_fence_unref(before);
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* Wrong code: an element that was waiting for something else when the user fence expired. */
START_TEST(chain_ends_when_its_user_fence_expires) {
	struct stile_fence *leaf = leaf_create();
	struct stile_fence *old = element_create(NULL, user_create(_i == 0 ? 20 : 1), 1);
	struct stile_fence *head = element_create(stile_fence_ref(old), stile_fence_ref(leaf), 2);
	stile_fence_enable_signaling(head);
	if (_i != 0) {
		runner_sleep_ms(20);
	}
	stile_fence_signal(leaf);
	ck_assert_int_eq(plain_fence_finish(head), 1);
	ck_assert_int_eq(stile_fence_get_status(stile_chain_get_contained(old)), -ETIMEDOUT);
	stile_fence_unref(head);
	stile_fence_unref(old);
	stile_fence_unref(leaf);
	/* The thread that ended it has a reference for a moment. */
	for (int i = 0; i < 10000 && leaves_alive != 0; i++) {
		runner_sleep_ms(1);
	}
	ck_assert_int_eq(leaves_alive, 0);
}
END_TEST

/* ---- Many threads -------------------------------------------------------------------------- */

/*
 * Rounds of: threads signal what a chain contains, in orders of their own, while others walk it,
 * listen, ask and look for points, and all drop their references on the elements.
 * Wrong code: an element taken out twice, or one of its neighbours lost, by two walks at once
 * (C-4); an end lost between the look at a fence and the callback on it; an element released while
 * somebody reaches for it.
 */
enum { LENGTH = 24, ROUNDS = 1500, MOST_THREADS = 16, STRESS_MS = 3000 };

struct stress {
	pthread_barrier_t start, end;
	struct line line;
	int alive_before;
	bool stop;
	atomic_int bad;
};

struct stress_thread {
	struct stress *stress;
	size_t number;
	uint64_t random;
	struct trace trace;
	pthread_t thread;
};

/* Were all up to this one signalled? Only ever becomes true. */
static bool stress_reached(struct stress *stress, uint64_t seqno) {
	return line_reached(&stress->line) * 10 >= seqno;
}

/* What a walk visits: seqnos that fall, and no element missing that is pending afterwards. */
static void stress_walk(struct stress *stress, struct stile_fence *from) {
	uint64_t last = stile_fence_get_seqno(from);
	struct stile_fence *at = stile_chain_walk(stile_fence_ref(from));
	while (last > 0) {
		uint64_t seqno = at == NULL ? 0 : stile_fence_get_seqno(at);
		atomic_fetch_add(&stress->bad, seqno >= last);
		for (uint64_t missing = seqno + 10; missing < last; missing += 10) {
			struct stile_fence *leaf = stress->line.leaves[missing / 10 - 1];
			atomic_fetch_add(&stress->bad, !stile_fence_is_signaled(leaf));
		}
		last = seqno;
		at = at == NULL ? NULL : stile_chain_walk(at);
	}
}

static void stress_find(struct stress *stress, struct stile_fence *head, uint64_t seqno) {
	struct stile_fence *found = stile_fence_ref(head);
	int ret = stile_chain_find_seqno(&found, seqno);
	atomic_fetch_add(&stress->bad, ret != 0);
	if (ret == 0 && found == NULL) {
		atomic_fetch_add(&stress->bad, !stress_reached(stress, seqno));
	}
	stile_fence_unref(found);
}

static void stress_look(struct stress_thread *self) {
	struct stress *stress = self->stress;
	struct line *line = &stress->line;
	for (int i = 0; i < 10; i++) {
		uint64_t chance = runner_random(&self->random);
		struct stile_fence *at = line->elements[chance % LENGTH];
		uint64_t seqno = stile_fence_get_seqno(at);
		switch (chance / LENGTH % 4) {
		case 0:
			stress_walk(stress, at);
			break;
		case 1:
			if (stile_fence_is_signaled(at)) {
				atomic_fetch_add(&stress->bad, !stress_reached(stress, seqno));
			}
			break;
		case 2:
			stress_find(stress, at, 1 + chance / LENGTH / 4 % seqno);
			break;
		default:
			stile_fence_enable_signaling(at);
			break;
		}
	}
}

static void *stress_run(void *arg) {
	struct stress_thread *self = arg;
	struct stress *stress = self->stress;
	struct line *line = &stress->line;
	for (;;) {
		pthread_barrier_wait(&stress->start);
		if (stress->stop) {
			return NULL;
		}
		size_t listened = runner_random(&self->random) % LENGTH;
		self->trace = (struct trace){ 0 };
		bool listening = listen(line->elements[listened], &self->trace) == 0;
		if (self->number % 2 == 0) {
			enum order order = (enum order)(runner_random(&self->random) % ORDERS);
			size_t *numbers = order_create(order, LENGTH, &self->random);
			for (size_t i = 0; i < LENGTH; i++) {
				stile_fence_signal(line->leaves[numbers[i]]);
			}
			free(numbers);
		} else {
			stress_look(self);
		}
		for (size_t i = 0; i < LENGTH; i++) {
			stile_fence_unref(line->elements[(i + listened) % LENGTH]);
		}
		pthread_barrier_wait(&stress->end);
		atomic_fetch_add(&stress->bad, self->trace.runs != (int)listening);
	}
}

static void stress_round(struct stress *stress, size_t threads) {
	struct line *line = &stress->line;
	line_create_of(line, LENGTH, plain_fence_create);
	for (size_t i = 0; i < LENGTH; i++) {
		/* Ours is for the threads as well. */
		for (size_t j = 1; j < threads; j++) {
			stile_fence_ref(line->elements[i]);
		}
	}
	pthread_barrier_wait(&stress->start);
	pthread_barrier_wait(&stress->end);
	memset(line->elements, 0, LENGTH * sizeof(*line->elements));
	for (size_t i = 0; i < LENGTH; i++) {
		atomic_fetch_add(&stress->bad, plain_refs(line->leaves[i]) != 1);
	}
	line_free(line);
	atomic_fetch_add(&stress->bad, plain_fence_count() != stress->alive_before);
}

START_TEST(many_threads_on_one_chain_lose_nothing) {
	static const size_t counts[] = { 2, MOST_THREADS };
	size_t count = counts[_i];
	struct stress stress = { .alive_before = plain_fence_count() };
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
		stress_round(&stress, count);
	}
	stress.stop = true;
	pthread_barrier_wait(&stress.start);
	for (size_t i = 0; i < count; i++) {
		pthread_join(threads[i].thread, NULL);
	}
	ck_assert_int_eq(stress.bad, 0);
	pthread_barrier_destroy(&stress.start);
	pthread_barrier_destroy(&stress.end);
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

static TCase *looking(void) {
	TCase *looking = tcase_begin("looking");
	tcase_add_test(looking, walk_visits_all_that_are_pending);
	tcase_add_test(looking, walk_takes_out_what_is_done);
	tcase_add_loop_test(looking, every_look_takes_out_what_is_done, 0, 4);
	tcase_add_test(looking, walk_ends_at_a_plain_fence);
	tcase_add_test(looking, walk_consumes_a_chain_that_nobody_else_has);
	tcase_add_test(looking, head_is_visited_even_if_it_is_done);
	tcase_add_loop_test(
		looking, find_gives_what_a_point_waits_for, 0, ARRAY_LENGTH(find_cases));
	tcase_add_test(looking, find_in_what_is_no_chain_is_einval);
	tcase_add_test(looking, find_stops_at_another_context);
	tcase_add_test(looking, find_stops_at_a_plain_fence);
	return looking;
}

static TCase *ending(void) {
	TCase *ending = tcase_begin("ending");
	tcase_add_test(ending, asking_looks_at_everything_and_enables_nothing);
	tcase_add_test(ending, listening_enables_one_fence_at_a_time);
	tcase_add_test(ending, listening_to_a_chain_that_is_done_is_enoent);
	tcase_add_test(ending, element_does_not_take_over_errors);
	tcase_add_loop_test(ending, chain_waits_for_the_plain_fence_before_it, 0, 2);
	tcase_add_loop_test(
		ending, every_element_ends_with_the_last_fence_up_to_it, 0, ORDERS * LISTEN_KINDS);
	tcase_add_loop_test(ending, no_fence_wakes_many_elements, 0, ORDERS * 3);
	tcase_add_test(ending, chain_ends_when_the_leaves_lock_is_given_up);
	tcase_add_test(ending, chain_that_is_enabled_under_a_lock_ends);
	tcase_add_test(ending, chains_do_what_the_model_does);
	return ending;
}

static Suite *suite(void) {
	Suite *s = suite_create("chain");
	TCase *making = tcase_begin("making");
	tcase_add_test(making, element_takes_over_references_and_has_its_own_names);
	tcase_add_test(making, alloc_fails_with_enomem_only);
	tcase_add_loop_test(
		making, element_joins_a_context_or_begins_one, 0, ARRAY_LENGTH(join_cases));
	tcase_add_test(making, seqno_of_elements_has_64_bits);
	tcase_add_test(making, element_within_an_element_is_told);
	tcase_add_test(making, array_within_an_element_works);
	suite_add_tcase(s, making);
	suite_add_tcase(s, looking());
	suite_add_tcase(s, ending());

	TCase *life = tcase_begin("life");
	tcase_add_test(life, chain_that_nobody_has_lives_until_it_ends);
	tcase_add_test(life, release_stops_where_somebody_else_has_a_reference);
	tcase_add_loop_test(life, long_chains_need_no_stack, 0, 4);
	suite_add_tcase(s, life);

	TCase *bounds = tcase_begin("bounds");
	tcase_add_test(bounds, deadline_goes_to_every_pending_fence);
	tcase_add_test(bounds, element_of_or_after_a_user_fence_is_one);
	tcase_add_loop_test(bounds, chain_ends_when_its_user_fence_expires, 0, 2);
	suite_add_tcase(s, bounds);

	TCase *threads = tcase_begin("threads");
	tcase_add_loop_test(threads, many_threads_on_one_chain_lose_nothing, 0, 2);
	suite_add_tcase(s, threads);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
