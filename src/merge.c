/* SPDX-License-Identifier: MIT */
/* What containers are made of, and making one of many: contract section 4. */
#include <stile/merge.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include <stile/array.h>
#include <stile/chain.h>
#include <stile/fence.h>

#include "src/check.h"

static struct stile_fence *unwrap_leaf(struct stile_unwrap *cursor) {
	while (cursor->chain != NULL) {
		cursor->array = stile_chain_get_contained(cursor->chain);
		if (cursor->index < stile_array_get_count(cursor->array)) {
			return stile_array_get_nth(cursor->array, cursor->index);
		}
		cursor->chain = stile_chain_walk(cursor->chain);
		cursor->index = 0;
	}
	return NULL;
}

struct stile_fence *stile_unwrap_first(struct stile_fence *head, struct stile_unwrap *cursor) {
	*cursor = (struct stile_unwrap){ 0 };
	if (head != NULL) {
		cursor->chain = stile_fence_ref(head);
	}
	return unwrap_leaf(cursor);
}

struct stile_fence *stile_unwrap_next(struct stile_unwrap *cursor) {
	cursor->index++;
	return unwrap_leaf(cursor);
}

void stile_unwrap_end(struct stile_unwrap *cursor) {
	stile_fence_unref(cursor->chain);
	cursor->chain = NULL;
}

static int compare_contexts(const void *left, const void *right) {
	uint64_t a = stile_fence_get_context(*(struct stile_fence *const *)left);
	uint64_t b = stile_fence_get_context(*(struct stile_fence *const *)right);
	return (a > b) - (a < b);
}

/*
 * Sorted by context only: seqnos that wrap around are no order that sorting can rely on. The newest
 * of a context is found by looking at all of them.
 */
size_t stile_fence_dedup(struct stile_fence **fences, size_t count) {
	if (count == 0) {
		return 0;
	}
	qsort(fences, count, sizeof(struct stile_fence *), compare_contexts);
	size_t kept = 0;
	for (size_t i = 1; i < count; i++) {
		if (compare_contexts(&fences[i], &fences[kept]) != 0) {
			fences[++kept] = fences[i];
		} else if (stile_fence_is_later(fences[i], fences[kept])) {
			stile_fence_unref(fences[kept]);
			fences[kept] = fences[i];
		} else {
			stile_fence_unref(fences[i]);
		}
	}
	return kept + 1;
}

struct gathered {
	struct stile_fence **leaves; /* NULL: they are only counted */
	size_t count;
	int64_t last_ns; /* when the last one of those that are done was */
};

static void gather_leaf(struct gathered *gathered, struct stile_fence *leaf) {
	if (stile_fence_is_signaled(leaf)) {
		int64_t at = stile_fence_get_timestamp(leaf);
		gathered->last_ns = at > gathered->last_ns ? at : gathered->last_ns;
		return;
	}
	if (gathered->leaves != NULL) {
		gathered->leaves[gathered->count] = stile_fence_ref(leaf);
	}
	gathered->count++;
}

/* Chains only ever lose elements, and leaves only end: the second time there are not more. */
static void gather(struct gathered *gathered, struct stile_fence *const *fences, size_t count) {
	struct stile_unwrap cursor;
	gathered->count = 0;
	for (size_t i = 0; i < count; i++) {
		struct stile_fence *leaf = stile_unwrap_first(fences[i], &cursor);
		while (leaf != NULL) {
			gather_leaf(gathered, leaf);
			leaf = stile_unwrap_next(&cursor);
		}
	}
}

/* Takes over the references. */
static int merge_leaves(struct gathered *gathered, struct stile_fence **out) {
	size_t count = stile_fence_dedup(gathered->leaves, gathered->count);
	if (count == 0) {
		return stile_fence_create_stub(gathered->last_ns, out);
	}
	if (count == 1) {
		*out = gathered->leaves[0];
		return 0;
	}
	struct stile_array *array;
	int ret = stile_array_alloc(count, &array);
	if (ret < 0) {
		while (count > 0) {
			stile_fence_unref(gathered->leaves[--count]);
		}
		return ret;
	}
	*out = stile_array_init(
		array, gathered->leaves, count, stile_fence_context_alloc(1), 1, STILE_ARRAY_ALL);
	return 0;
}

int stile_fence_merge(struct stile_fence *const *fences, size_t count, struct stile_fence **out) {
	*out = NULL;
	check_alloc();
	struct gathered gathered = { 0 };
	gather(&gathered, fences, count);
	if (gathered.count == 0) {
		return stile_fence_create_stub(gathered.last_ns, out);
	}
	gathered.leaves = calloc(gathered.count, sizeof(struct stile_fence *));
	if (gathered.leaves == NULL) {
		return -ENOMEM;
	}
	gather(&gathered, fences, count);
	int ret = merge_leaves(&gathered, out);
	free(gathered.leaves);
	return ret;
}
