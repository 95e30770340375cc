/* SPDX-License-Identifier: MIT */
/*
 * What is free is in a treap: by address from left to right, by a random rank from the root down, so
 * that nothing has to be balanced. Each node knows the largest extent below it, which leads to the first
 * one that is large enough.
 */
#include "backends/swgpu/space.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

struct extent {
	uint64_t start, end;
	uint64_t largest; /* bytes, of this one and all below */
	uint64_t rank;
	struct extent *left, *right; /* `left` alone links what is spare */
};

struct space {
	struct extent *free;
	/*
	 * Between and around n parts that are taken there are at most n + 1 that are free: there is
	 * one node more than parts that are taken, so that giving one back needs no memory.
	 */
	struct extent *spare;
	uint64_t free_bytes;
	uint64_t chance;
};

/* ---- The tree ------------------------------------------------------------------------------ */

static uint64_t largest_of(const struct extent *extent) {
	return extent == NULL ? 0 : extent->largest;
}

static void update(struct extent *extent) {
	uint64_t left = largest_of(extent->left), right = largest_of(extent->right);
	uint64_t below = left > right ? left : right;
	uint64_t own = extent->end - extent->start;
	extent->largest = own > below ? own : below;
}

/* Those that start below `at`, and the others. */
static void split(
	struct extent *tree, uint64_t at, struct extent **before, struct extent **others) {
	if (tree == NULL) {
		*before = NULL;
		*others = NULL;
		return;
	}
	if (tree->start < at) {
		split(tree->right, at, &tree->right, others);
		*before = tree;
	} else {
		split(tree->left, at, before, &tree->left);
		*others = tree;
	}
	update(tree);
}

/* The reverse: all of `before` is before all of `others`. */
static struct extent *join(struct extent *before, struct extent *others) {
	if (before == NULL || others == NULL) {
		return before == NULL ? others : before;
	}
	struct extent *root = before->rank > others->rank ? before : others;
	if (root == before) {
		root->right = join(root->right, others);
	} else {
		root->left = join(before, root->left);
	}
	update(root);
	return root;
}

static struct extent *first_of(struct extent *tree) {
	while (tree != NULL && tree->left != NULL) {
		tree = tree->left;
	}
	return tree;
}

static struct extent *last_of(struct extent *tree) {
	while (tree != NULL && tree->right != NULL) {
		tree = tree->right;
	}
	return tree;
}

static void free_tree(struct extent *tree) {
	if (tree != NULL) {
		free_tree(tree->left);
		free_tree(tree->right);
		free(tree);
	}
}

/* ---- Nodes --------------------------------------------------------------------------------- */

static int spare_add(struct space *space) {
	struct extent *extent = malloc(sizeof(*extent));
	if (extent == NULL) {
		return -ENOMEM;
	}
	extent->left = space->spare;
	space->spare = extent;
	return 0;
}

static struct extent *spare_take(struct space *space) {
	struct extent *extent = space->spare;
	assert(extent != NULL);
	space->spare = extent->left;
	return extent;
}

static void spare_put(struct space *space, struct extent *extent) {
	extent->left = space->spare;
	space->spare = extent;
}

/* Any sequence will do that does not follow the addresses: this is a linear congruential one. */
static uint64_t next_rank(struct space *space) {
	space->chance = space->chance * 6364136223846793005u + 1442695040888963407u;
	return space->chance ^ (space->chance >> 32);
}

static void insert(struct space *space, uint64_t start, uint64_t end) {
	if (start == end) {
		return;
	}
	struct extent *extent = spare_take(space), *before, *others;
	*extent = (struct extent){ .start = start, .end = end, .rank = next_rank(space) };
	update(extent);
	split(space->free, start, &before, &others);
	space->free = join(join(before, extent), others);
}

static void take_out(struct space *space, struct extent *extent) {
	struct extent *before, *self, *others;
	split(space->free, extent->start, &before, &others);
	split(others, extent->start + 1, &self, &others);
	space->free = join(before, others);
	spare_put(space, extent);
}

/* ---- Taking and giving --------------------------------------------------------------------- */

int space_create(uint64_t start, uint64_t end, struct space **out) {
	assert(start < end);
	*out = NULL;
	struct space *space = calloc(1, sizeof(*space));
	if (space == NULL || spare_add(space) < 0) {
		free(space);
		return -ENOMEM;
	}
	insert(space, start, end);
	space->free_bytes = end - start;
	*out = space;
	return 0;
}

void space_destroy(struct space *space) {
	if (space == NULL) {
		return;
	}
	free_tree(space->free);
	while (space->spare != NULL) {
		free(spare_take(space));
	}
	free(space);
}

static bool fits(const struct extent *extent, const struct space_want *want, uint64_t *start) {
	uint64_t skip = (0 - extent->start) & (want->align - 1);
	uint64_t bytes = extent->end - extent->start;
	*start = extent->start + skip;
	return skip <= bytes && bytes - skip >= want->bytes;
}

/* Logarithmic but for those that are large enough and in vain, for their alignment. */
static struct extent *find(struct extent *tree, const struct space_want *want, uint64_t *start) {
	if (largest_of(tree) < want->bytes) {
		return NULL;
	}
	struct extent *found = find(tree->left, want, start);
	if (found != NULL) {
		return found;
	}
	return fits(tree, want, start) ? tree : find(tree->right, want, start);
}

int space_take(struct space *space, const struct space_want *want, uint64_t *start) {
	assert(want->bytes > 0 && want->align > 0 && (want->align & (want->align - 1)) == 0);
	uint64_t at;
	struct extent *extent = find(space->free, want, &at);
	/* It is the lowest: if it ends too late, all do. */
	if (extent == NULL || (want->limit != 0 && at + want->bytes > want->limit)) {
		return -ENOSPC;
	}
	int ret = spare_add(space);
	if (ret < 0) {
		return ret;
	}
	uint64_t free_start = extent->start, free_end = extent->end;
	take_out(space, extent);
	insert(space, free_start, at);
	insert(space, at + want->bytes, free_end);
	space->free_bytes -= want->bytes;
	*start = at;
	return 0;
}

void space_give(struct space *space, uint64_t start, uint64_t bytes) {
	assert(bytes > 0);
	uint64_t end = start + bytes;
	struct extent *below, *above;
	split(space->free, start, &below, &above);
	struct extent *before = last_of(below), *after = first_of(above);
	space->free = join(below, above);
	assert(before == NULL || before->end <= start);
	assert(after == NULL || after->start >= end);
	if (before != NULL && before->end == start) {
		start = before->start;
		take_out(space, before);
	}
	if (after != NULL && after->start == end) {
		end = after->end;
		take_out(space, after);
	}
	insert(space, start, end);
	space->free_bytes += bytes;
	free(spare_take(space));
}

uint64_t space_get_free(const struct space *space) {
	return space->free_bytes;
}

uint64_t space_get_largest(const struct space *space) {
	return largest_of(space->free);
}
