/* SPDX-License-Identifier: MIT */
/*
 * A treap: ordered from left to right by the caller's comparison, and from the root down by rank.
 * Ranks that look random give the shape that random insertions would have given, so nothing has to
 * be balanced. They are made from the addresses, which are at hand and differ: a node needs no
 * field for it.
 */
#include "src/tree.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* Neighbours in memory, such as the elements of an array, must not be neighbours in rank. */
static uint64_t node_rank(const struct tree_node *node) {
	const uint64_t odd = 0x9e3779b97f4a7c15u; /* 2^64 / the golden ratio */
	uint64_t rank = (uint64_t)(uintptr_t)node * odd;
	rank = (rank ^ (rank >> 32)) * odd;
	rank = (rank ^ (rank >> 32)) * odd;
	return rank ^ (rank >> 32);
}

static void set_child(struct tree_node **link, struct tree_node *parent, struct tree_node *child) {
	*link = child;
	if (child != NULL) {
		child->parent = parent;
	}
}

/* What was below becomes two trees: what stays before the node, and what comes after it. */
static void split(struct tree_node *node, struct tree_node *below, tree_compare_fn compare) {
	struct tree_node **before = &node->left, *before_parent = node;
	struct tree_node **after = &node->right, *after_parent = node;
	while (below != NULL) {
		if (compare(node, below) < 0) {
			set_child(after, after_parent, below);
			after_parent = below;
			after = &below->left;
			below = below->left;
		} else {
			set_child(before, before_parent, below);
			before_parent = below;
			before = &below->right;
			below = below->right;
		}
	}
	*before = NULL;
	*after = NULL;
}

void tree_insert(struct tree *tree, struct tree_node *node, tree_compare_fn compare) {
	assert(!tree_holds(tree, node));
	uint64_t rank = node_rank(node);
	struct tree_node **link = &tree->root, *parent = NULL;
	while (*link != NULL && node_rank(*link) > rank) {
		parent = *link;
		link = compare(node, parent) < 0 ? &parent->left : &parent->right;
	}
	struct tree_node *below = *link;
	set_child(link, parent, node);
	split(node, below, compare);
}

void tree_remove(struct tree *tree, struct tree_node *node) {
	assert(tree_holds(tree, node));
	struct tree_node **link = &tree->root, *parent = node->parent;
	if (parent != NULL) {
		link = parent->left == node ? &parent->left : &parent->right;
	}
	/* The reverse of split(): all of the left one is before all of the right one. */
	struct tree_node *left = node->left, *right = node->right;
	while (left != NULL && right != NULL) {
		if (node_rank(left) > node_rank(right)) {
			set_child(link, parent, left);
			parent = left;
			link = &left->right;
			left = left->right;
		} else {
			set_child(link, parent, right);
			parent = right;
			link = &right->left;
			right = right->left;
		}
	}
	set_child(link, parent, left != NULL ? left : right);
	*node = (struct tree_node){ 0 };
}

static struct tree_node *leftmost(struct tree_node *node) {
	while (node != NULL && node->left != NULL) {
		node = node->left;
	}
	return node;
}

struct tree_node *tree_first(const struct tree *tree) {
	return leftmost(tree->root);
}

struct tree_node *tree_next(const struct tree_node *node) {
	if (node->right != NULL) {
		return leftmost(node->right);
	}
	while (node->parent != NULL && node->parent->right == node) {
		node = node->parent;
	}
	return node->parent;
}

bool tree_holds(const struct tree *tree, const struct tree_node *node) {
	return node->parent != NULL || tree->root == node;
}

struct tree_node *tree_find(
	const struct tree *tree, const struct tree_node *probe, tree_compare_fn compare) {
	struct tree_node *found = NULL, *at = tree->root;
	while (at != NULL) {
		int order = compare(probe, at);
		if (order == 0) {
			found = at;
		}
		at = order <= 0 ? at->left : at->right;
	}
	return found;
}
