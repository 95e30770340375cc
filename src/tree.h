/* SPDX-License-Identifier: MIT */
#ifndef SRC_TREE_H
#define SRC_TREE_H

#include <stdbool.h>

/**
 * A place in a tree, embedded in the thing that is sorted. Starts zeroed, and does not move while
 * it is linked.
 */
struct tree_node {
	struct tree_node *parent, *left, *right;
};

/**
 * Things in order. Never allocates and cannot fail; each step takes O(log n) in expectation,
 * whatever the order of insertion. Zeroed = empty. Thread-safety: external.
 */
struct tree {
	struct tree_node *root;
};

/** Less than 0: `a` comes before `b`; 0: they are equal; more: it comes after. */
typedef int (*tree_compare_fn)(const struct tree_node *a, const struct tree_node *b);

/** Link a node that is in no tree. It comes after those that are equal. */
void tree_insert(struct tree *tree, struct tree_node *node, tree_compare_fn compare);

/** Unlink a node of this tree, and zero it. */
void tree_remove(struct tree *tree, struct tree_node *node);

/** The first in order, NULL: there is none. */
struct tree_node *tree_first(const struct tree *tree);

/** The one after a node that is linked, NULL: it is the last. */
struct tree_node *tree_next(const struct tree_node *node);

/** Is the node linked? In O(1), for a node that is in this tree or in none. */
bool tree_holds(const struct tree *tree, const struct tree_node *node);

/**
 * The first of those that are equal to `probe`, NULL: there is none. The probe need not be linked;
 * it is always `a` of the comparison.
 */
struct tree_node *tree_find(
	const struct tree *tree, const struct tree_node *probe, tree_compare_fn compare);

#endif
