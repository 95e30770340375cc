/* SPDX-License-Identifier: MIT */
/* The ordered tree under the lists that are sorted. */
#include <stdlib.h>
#include <string.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"
#include "src/tree.h"

struct item {
	int before; /* so that the node is not at the start */
	struct tree_node node;
	int key;
};

/* It is embedded in public structs. */
_Static_assert(sizeof(struct tree_node) == 3 * sizeof(void *), "a node is three pointers");

static struct item *item_of(const struct tree_node *node) {
	return CONTAINER_OF(node, struct item, node);
}

static int item_compare(const struct tree_node *a, const struct tree_node *b) {
	int left = item_of(a)->key, right = item_of(b)->key;
	return (left > right) - (left < right);
}

static struct tree_node *find_key(const struct tree *tree, int key) {
	struct item probe = { .key = key };
	return tree_find(tree, &probe.node, item_compare);
}

/* What has to be in the tree, in order; kept in the dullest way. */
enum { MODEL_ITEMS = 200 };

struct model {
	struct tree tree;
	struct item items[MODEL_ITEMS];
	struct item *sorted[MODEL_ITEMS];
	size_t count;
};

static void model_insert(struct model *model, struct item *item) {
	size_t at = model->count++;
	for (; at > 0 && model->sorted[at - 1]->key > item->key; at--) {
		model->sorted[at] = model->sorted[at - 1];
	}
	model->sorted[at] = item;
	tree_insert(&model->tree, &item->node, item_compare);
}

static void model_remove(struct model *model, struct item *item) {
	size_t at = 0;
	while (model->sorted[at] != item) {
		at++;
	}
	memmove(&model->sorted[at], &model->sorted[at + 1],
		(model->count - at - 1) * sizeof(model->sorted[0]));
	model->count--;
	tree_remove(&model->tree, &item->node);
	ck_assert(item->node.parent == NULL && item->node.left == NULL && item->node.right == NULL);
	ck_assert(!tree_holds(&model->tree, &item->node));
}

/* Check's assertions are slow, even when they hold: one for all of a place. */
static bool model_place_is_right(const struct model *model, size_t i, const struct tree_node *at) {
	const struct item *item = model->sorted[i];
	if (at != &item->node || !tree_holds(&model->tree, at) ||
		(at->left != NULL && at->left->parent != at) ||
		(at->right != NULL && at->right->parent != at)) {
		return false;
	}
	bool first = i == 0 || model->sorted[i - 1]->key != item->key;
	return !first || find_key(&model->tree, item->key) == at;
}

static void model_check(const struct model *model) {
	const struct tree_node *at = tree_first(&model->tree);
	size_t i = 0;
	while (i < model->count && model_place_is_right(model, i, at)) {
		at = tree_next(at);
		i++;
	}
	ck_assert_msg(i == model->count, "wrong at place %zu of %zu", i, model->count);
	ck_assert_ptr_null(at);
	ck_assert(model->tree.root == NULL || model->tree.root->parent == NULL);
}

/* Wrong code: a zeroed tree that is not ready; first or find that look at a root of NULL. */
START_TEST(zeroed_tree_is_empty) {
	struct model model = { 0 };
	model_check(&model);
	ck_assert_ptr_null(find_key(&model.tree, 0));
	ck_assert(!tree_holds(&model.tree, &model.items[0].node));
}
END_TEST

/* Wrong code: a node is linked if it has a parent (the root has none); a root left behind. */
START_TEST(only_node_is_first_and_last) {
	struct model model = { 0 };
	model_insert(&model, &model.items[0]);
	model_check(&model);
	ck_assert(tree_holds(&model.tree, &model.items[0].node));
	ck_assert(!tree_holds(&model.tree, &model.items[1].node));
	model_remove(&model, &model.items[0]);
	ck_assert_ptr_null(model.tree.root);
	model_check(&model);
}
END_TEST

/* Wrong code: any link, most often a parent, forgotten when a tree is split or joined. */
START_TEST(random_changes_match_a_sorted_array) {
	uint64_t random = runner_seed();
	struct model model = { 0 };
	int keys = _i;
	for (int change = 0; change < 3000; change++) {
		struct item *item = &model.items[runner_random(&random) % MODEL_ITEMS];
		if (tree_holds(&model.tree, &item->node)) {
			model_remove(&model, item);
		} else {
			item->key = (int)(runner_random(&random) % (uint64_t)keys);
			model_insert(&model, item);
		}
		model_check(&model);
	}
	while (model.count > 0) {
		model_remove(&model, model.sorted[runner_random(&random) % model.count]);
		model_check(&model);
	}
}
END_TEST

/*
 * Wrong code: equal ones before those that are there, on the way down or, which shows only for
 * some addresses, when the tree below is split.
 */
START_TEST(equal_ones_keep_the_order_of_insertion) {
	struct model model = { 0 };
	for (int i = 0; i < MODEL_ITEMS; i++) {
		model.items[i].key = i % 3;
		model_insert(&model, &model.items[i]);
	}
	const struct tree_node *at = tree_first(&model.tree);
	for (int key = 0; key < 3; key++) {
		for (int i = key; i < MODEL_ITEMS; i += 3) {
			ck_assert_ptr_eq(at, &model.items[i].node);
			at = tree_next(at);
		}
	}
	/* Once more: now it is the last of its equals. */
	model_remove(&model, &model.items[0]);
	model_insert(&model, &model.items[0]);
	ck_assert_ptr_eq(find_key(&model.tree, 0), &model.items[3].node);
	ck_assert_ptr_eq(tree_next(&model.items[0].node), &model.items[1].node);
	model_check(&model);
}
END_TEST

struct shape {
	const char *what;
	bool root, left, right; /* is it the root, and which children has it? */
};

static const struct shape shapes[] = {
	{ "leaf", false, false, false },
	{ "left child only", false, true, false },
	{ "right child only", false, false, true },
	{ "two children", false, true, true },
	{ "root with two children", true, true, true },
	{ "root with a left child", true, true, false },
	{ "root with a right child", true, false, true },
};

static struct item *model_find_shape(const struct model *model, const struct shape *shape) {
	for (size_t i = 0; i < model->count; i++) {
		const struct tree_node *node = &model->sorted[i]->node;
		if ((node->parent == NULL) == shape->root && (node->left != NULL) == shape->left &&
			(node->right != NULL) == shape->right) {
			return model->sorted[i];
		}
	}
	return NULL;
}

/* The shapes follow from the addresses: make a root with two children, then take one away. */
static void model_trim(struct model *model, const struct shape *shape) {
	while (model->tree.root->left == NULL || model->tree.root->right == NULL) {
		model_remove(model, item_of(model->tree.root));
	}
	while (shape->root && !shape->left && model->tree.root->left != NULL) {
		model_remove(model, item_of(model->tree.root->left));
	}
	while (shape->root && !shape->right && model->tree.root->right != NULL) {
		model_remove(model, item_of(model->tree.root->right));
	}
}

/*
 * Wrong code: the parent, or the tree, goes on pointing to what was removed; a lone child lost; the
 * node's own pointers left, so that it seems to be linked still.
 */
START_TEST(node_of_any_shape_can_be_removed_and_come_back) {
	const struct shape *shape = &shapes[_i];
	struct model model = { 0 };
	for (int i = 0; i < MODEL_ITEMS; i++) {
		model.items[i].key = i;
		model_insert(&model, &model.items[i]);
	}
	model_trim(&model, shape);
	struct item *item = model_find_shape(&model, shape);
	ck_assert_msg(item != NULL, "%s: there is none", shape->what);
	model_remove(&model, item);
	model_check(&model);
	ck_assert_ptr_null(find_key(&model.tree, item->key));
	model_insert(&model, item);
	model_check(&model);
}
END_TEST

/* Wrong code: any of the equal ones; the nearest one in place of none. */
START_TEST(find_gives_the_first_equal_or_none) {
	struct model model = { 0 };
	for (int i = 0; i < MODEL_ITEMS; i++) {
		model.items[i].key = 2 * (i / 10);
		model_insert(&model, &model.items[i]);
	}
	int last = 2 * ((MODEL_ITEMS - 1) / 10);
	for (int key = -1; key <= last + 1; key++) {
		struct tree_node *expected = NULL;
		if (key % 2 == 0) {
			expected = &model.items[10 * (key / 2)].node;
		}
		ck_assert_msg(find_key(&model.tree, key) == expected, "key %d", key);
	}
}
END_TEST

/* A probe of another type than what is in the tree: what it wants is not where a key is. */
struct key_probe {
	int wanted;
	struct tree_node node;
};

static int probe_compare(const struct tree_node *a, const struct tree_node *b) {
	int wanted = CONTAINER_OF(a, struct key_probe, node)->wanted;
	return (wanted > item_of(b)->key) - (wanted < item_of(b)->key);
}

/* Wrong code: the comparison called the other way round, its result negated. */
START_TEST(probe_is_always_the_first_argument) {
	struct model model = { 0 };
	for (int i = 0; i < MODEL_ITEMS; i++) {
		model.items[i].key = i;
		model_insert(&model, &model.items[i]);
	}
	for (int i = 0; i < MODEL_ITEMS; i++) {
		const struct key_probe probe = { .wanted = i };
		ck_assert_ptr_eq(
			tree_find(&model.tree, &probe.node, probe_compare), &model.items[i].node);
	}
}
END_TEST

/* ---- Depth --------------------------------------------------------------------------------- */

/* About 40 is usual; above 80 once in more runs than there will be. A list has 100,000. */
enum {
	DEPTH_ITEMS = 100000,
	MAX_DEPTH = 80,
};

/* Counts no further than one too many, so that wrong code fails soon. */
static int depth_of(const struct tree_node *node) {
	int depth = 0;
	while (node != NULL && depth <= MAX_DEPTH) {
		node = node->parent;
		depth++;
	}
	return depth;
}

struct depth_case {
	const char *what;
	size_t stride;     /* in items */
	int key_step;      /* between one insertion and the next */
	bool from_the_end; /* addresses that go down */
};

static const struct depth_case depth_cases[] = {
	{ "ascending", 1, 1, false },
	{ "descending", 1, -1, false },
	{ "ascending, addresses descend", 1, 1, true },
	{ "all equal", 1, 0, false },
	{ "ascending, far apart", 8, 1, false },
};

static void check_depth(const struct tree *tree, size_t count, const char *what) {
	size_t seen = 0;
	const struct tree_node *at = tree_first(tree);
	while (at != NULL && depth_of(at) <= MAX_DEPTH) {
		at = tree_next(at);
		seen++;
	}
	ck_assert_msg(seen == count, "%s: too deep at %zu of %zu", what, seen, count);
}

/*
 * Wrong code: a plain search tree, a list if it is filled in order; ranks that follow the addresses,
 * which follow the order; a removal that hangs one side below the other.
 */
START_TEST(depth_is_logarithmic_in_any_order) {
	const struct depth_case *c = &depth_cases[_i];
	struct item *items = calloc(DEPTH_ITEMS * c->stride, sizeof(*items));
	ck_assert_ptr_nonnull(items);
	struct tree tree = { 0 };
	bool shallow = true;
	for (int i = 0; i < DEPTH_ITEMS && shallow; i++) {
		size_t at = (size_t)(c->from_the_end ? DEPTH_ITEMS - 1 - i : i) * c->stride;
		items[at].key = i * c->key_step;
		tree_insert(&tree, &items[at].node, item_compare);
		shallow = depth_of(&items[at].node) <= MAX_DEPTH;
	}
	ck_assert_msg(shallow, "%s: too deep on the way", c->what);
	check_depth(&tree, DEPTH_ITEMS, c->what);
	/* The root is where a removal has the most to join. */
	for (size_t left = DEPTH_ITEMS; left > 0; left--) {
		if (left % (DEPTH_ITEMS / 10) == 0) {
			check_depth(&tree, left, c->what);
		}
		tree_remove(&tree, tree.root);
	}
	ck_assert_ptr_null(tree.root);
	free(items);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("tree");
	TCase *order = ledger_tcase_create("order");
	tcase_add_test(order, zeroed_tree_is_empty);
	tcase_add_test(order, only_node_is_first_and_last);
	tcase_add_loop_test(order, random_changes_match_a_sorted_array, 1, 2);
	tcase_add_loop_test(order, random_changes_match_a_sorted_array, 20, 21);
	tcase_add_loop_test(order, random_changes_match_a_sorted_array, 1000, 1001);
	tcase_add_test(order, equal_ones_keep_the_order_of_insertion);
	tcase_add_loop_test(
		order, node_of_any_shape_can_be_removed_and_come_back, 0, ARRAY_LENGTH(shapes));
	tcase_add_test(order, find_gives_the_first_equal_or_none);
	tcase_add_test(order, probe_is_always_the_first_argument);
	suite_add_tcase(s, order);

	TCase *depth = ledger_tcase_create("depth");
	tcase_add_loop_test(depth, depth_is_logarithmic_in_any_order, 0, ARRAY_LENGTH(depth_cases));
	suite_add_tcase(s, depth);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
