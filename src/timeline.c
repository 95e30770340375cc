/* SPDX-License-Identifier: MIT */
/*
 * Software timelines, the counter: contract section 6, with 64 bits for its 32, which are enough not
 * to wrap around. Points are in point.c, timelines that somebody else keeps in owned_timeline.c.
 *
 * All fences of a timeline share one lock, under which the counter moves, fences are made, found
 * again and signalled: so nobody sees the counter, or one of its fences, ahead of a fence that
 * comes before.
 *
 * The tree of pending fences holds no references, so a fence that nobody wants goes at once; its
 * release op takes it out. That op may run anywhere, also under the fences' lock when a callback
 * drops the last reference on something. Hence the tree has a lock of its own, a leaf. Who finds a
 * fence in the tree under that lock may look at it, dead or not: its release op cannot get past.
 */
#include "src/timeline.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/abi.h"
#include "src/check.h"
#include "src/fence.h"
#include "src/macros.h"
#include "src/os.h"

struct timeline_fence {
	struct stile_fence base;
	struct stile_timeline *timeline; /* its memory */
	struct tree_node node;           /* in `pending` or unlinked */
	struct timeline_fence *next;     /* of those taken from the tree together */
};

struct stile_timeline *timeline_hold(struct stile_timeline *timeline) {
	__atomic_fetch_add(&timeline->refs, 1, __ATOMIC_RELAXED);
	return timeline;
}

void timeline_put(struct stile_timeline *timeline) {
	if (__atomic_fetch_sub(&timeline->refs, 1, __ATOMIC_ACQ_REL) == 1) {
		if (timeline->ops != NULL) {
			timeline->ops->release(timeline);
		}
		free(timeline);
	}
}

bool timeline_has_reached(const struct stile_timeline *timeline, uint64_t value) {
	return stile_timeline_get_value(timeline) >= value;
}

uint64_t stile_timeline_get_value(const struct stile_timeline *timeline) {
	if (timeline->ops != NULL) {
		return timeline->ops->get_value(timeline);
	}
	return __atomic_load_n(&timeline->value, __ATOMIC_ACQUIRE);
}

/* ---- Fences ------------------------------------------------------------------------------- */

static struct timeline_fence *fence_of(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct timeline_fence, base);
}

static struct timeline_fence *fence_of_node(const struct tree_node *node) {
	return CONTAINER_OF(node, struct timeline_fence, node);
}

static int compare(const struct tree_node *left, const struct tree_node *right) {
	uint64_t a = fence_of_node(left)->base.seqno, b = fence_of_node(right)->base.seqno;
	return (a > b) - (a < b);
}

static const char *timeline_get_driver_name(struct stile_fence *fence) {
	(void)fence;
	return "stile";
}

static const char *timeline_get_timeline_name(struct stile_fence *fence) {
	return fence_of(fence)->timeline->name;
}

static bool timeline_signaled(struct stile_fence *fence) {
	return timeline_has_reached(fence_of(fence)->timeline, fence->seqno);
}

static void timeline_release(struct stile_fence *base) {
	struct timeline_fence *fence = fence_of(base);
	struct stile_timeline *timeline = fence->timeline;
	os_lock(&timeline->lock);
	if (tree_holds(&timeline->pending, &fence->node)) {
		tree_remove(&timeline->pending, &fence->node);
	}
	os_unlock(&timeline->lock);
	free(fence);
	timeline_put(timeline);
}

static const struct stile_fence_ops timeline_fence_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = timeline_get_driver_name,
	.get_timeline_name = timeline_get_timeline_name,
	.signaled = timeline_signaled,
	.release = timeline_release,
	.flags = STILE_FENCE_SEQNO64 | STILE_FENCE_USER,
};

/* The lock is held. The first one of the probe's value that is alive, referenced; or NULL. */
static struct timeline_fence *find_alive(
	struct stile_timeline *timeline, const struct tree_node *probe) {
	const struct tree_node *node = tree_find(&timeline->pending, probe, compare);
	while (node != NULL && compare(probe, node) == 0) {
		if (fence_ref_unless_zero(&fence_of_node(node)->base)) {
			return fence_of_node(node);
		}
		node = tree_next(node);
	}
	return NULL;
}

/*
 * The fences' lock is held. A pending fence of this one's value, referenced; else NULL, and this
 * one is in the tree. Those that ended by themselves, as their time was up, go to the list.
 */
static struct timeline_fence *share_or_insert(
	struct timeline_fence *fence, struct timeline_fence **ended) {
	struct stile_timeline *timeline = fence->timeline;
	for (;;) {
		os_lock(&timeline->lock);
		struct timeline_fence *found = find_alive(timeline, &fence->node);
		if (found == NULL) {
			tree_insert(&timeline->pending, &fence->node, compare);
		}
		os_unlock(&timeline->lock);
		if (found == NULL || !stile_fence_is_signaled_locked(&found->base)) {
			return found;
		}
		os_lock(&timeline->lock);
		tree_remove(&timeline->pending, &found->node);
		os_unlock(&timeline->lock);
		found->next = *ended;
		*ended = found;
	}
}

/* No lock is held. */
static void drop_fences(struct timeline_fence *first) {
	while (first != NULL) {
		struct timeline_fence *next = first->next;
		stile_fence_unref(&first->base);
		first = next;
	}
}

int stile_timeline_create_fence(
	struct stile_timeline *timeline, uint64_t value, struct stile_fence **out) {
	*out = NULL;
	check_alloc();
	if (timeline->ops != NULL) {
		return owned_create_fence(timeline, value, out);
	}
	struct timeline_fence *fence = calloc(1, sizeof(*fence));
	if (fence == NULL) {
		return -ENOMEM;
	}
	/* Cannot fail: the table is ours. */
	(void)!stile_fence_init_shared(
		&fence->base, &timeline_fence_ops, &timeline->fence_lock, timeline->context, value);
	fence->timeline = timeline_hold(timeline);

	struct timeline_fence *found = NULL, *ended = NULL;
	stile_lock_acquire(&timeline->fence_lock);
	if (timeline_has_reached(timeline, value)) {
		stile_fence_signal_locked(&fence->base);
	} else {
		found = share_or_insert(fence, &ended);
	}
	stile_lock_release(&timeline->fence_lock);
	drop_fences(ended);
	if (found != NULL) {
		stile_fence_unref(&fence->base);
		fence = found;
	}
	*out = &fence->base;
	return 0;
}

/* ---- The counter -------------------------------------------------------------------------- */

/* The lock is held. List those reached, or all, in order, referenced. */
static void take_pending(struct stile_timeline *timeline, bool all, struct timeline_fence **end) {
	struct tree_node *node;
	while ((node = tree_first(&timeline->pending)) != NULL) {
		struct timeline_fence *fence = fence_of_node(node);
		if (!all && !timeline_has_reached(timeline, fence->base.seqno)) {
			break;
		}
		tree_remove(&timeline->pending, node);
		if (fence_ref_unless_zero(&fence->base)) {
			fence->next = NULL;
			*end = fence;
			end = &fence->next;
		}
	}
}

/* The fences' lock is held. An error of 0: none. */
static void end_fences(struct timeline_fence *first, int error) {
	for (; first != NULL; first = first->next) {
		if (error != 0) {
			stile_fence_set_error(&first->base, error);
		}
		stile_fence_signal_locked(&first->base);
	}
}

/* Move it by `count`, or up to `value` if that is ahead. */
static void counter_move(struct stile_timeline *timeline, uint64_t count, uint64_t value) {
	struct timeline_fence *first = NULL;
	struct point_watch *due = NULL;
	stile_lock_acquire(&timeline->fence_lock);
	os_lock(&timeline->lock);
	if (timeline->value < value) {
		count = value - timeline->value;
	}
	uint64_t left = UINT64_MAX - timeline->value;
	__atomic_store_n(&timeline->value, timeline->value + (count < left ? count : left),
		__ATOMIC_RELEASE);
	take_pending(timeline, false, &first);
	points_take_reached(timeline, &due);
	os_unlock(&timeline->lock);
	end_fences(first, 0);
	stile_lock_release(&timeline->fence_lock);
	drop_fences(first);
	points_tell(due);
}

int stile_timeline_advance(struct stile_timeline *timeline, uint64_t count) {
	if (timeline->ops != NULL) {
		return -EOPNOTSUPP;
	}
	counter_move(timeline, count, 0);
	return 0;
}

int stile_timeline_signal(struct stile_timeline *timeline, uint64_t value) {
	if (timeline->ops != NULL) {
		return owned_signal(timeline, value);
	}
	counter_move(timeline, 0, value);
	return 0;
}

/* ---- Its life ----------------------------------------------------------------------------- */

static int timeline_alloc(const char *name, struct stile_timeline **out) {
	check_alloc();
	struct stile_timeline *timeline = calloc(1, sizeof(*timeline));
	if (timeline == NULL) {
		return -ENOMEM;
	}
	snprintf(timeline->name, sizeof(timeline->name), "%s", name);
	timeline->context = stile_fence_context_alloc(1);
	timeline->handles = 1;
	timeline->refs = 1;
	stile_lock_init(&timeline->fence_lock, "timeline");
	*out = timeline;
	return 0;
}

int stile_timeline_create(const char *name, struct stile_timeline **out) {
	*out = NULL;
	return timeline_alloc(name, out);
}

static int ops_check(const struct stile_timeline_ops *ops) {
	if (ops == NULL) {
		return -EINVAL;
	}
	int ret = abi_check_table(ops, sizeof(*ops));
	if (ret < 0) {
		return ret;
	}
	bool complete = ops->kind != NULL && ops->get_value != NULL && ops->get_state != NULL &&
		ops->wait != NULL && ops->release != NULL;
	return complete ? 0 : -EINVAL;
}

int stile_timeline_create_from(
	const struct stile_timeline_info *info, struct stile_timeline **out) {
	*out = NULL;
	struct stile_timeline_info known;
	int ret = abi_copy_in(&known, sizeof(known), info);
	if (ret == 0) {
		ret = known.name == NULL ? -EINVAL : ops_check(known.ops);
	}
	if (ret < 0) {
		return ret;
	}
	struct stile_timeline *timeline;
	ret = timeline_alloc(known.name, &timeline);
	if (ret < 0) {
		return ret;
	}
	timeline->ops = known.ops;
	timeline->priv = known.priv;
	timeline->device = known.device;
	*out = timeline;
	return 0;
}

void *stile_timeline_get_priv(const struct stile_timeline *timeline) {
	return timeline->priv;
}

const struct stile_timeline_ops *stile_timeline_get_ops(const struct stile_timeline *timeline) {
	return timeline->ops;
}

struct stile_timeline *stile_timeline_ref(struct stile_timeline *timeline) {
	uint32_t before = __atomic_fetch_add(&timeline->handles, 1, __ATOMIC_RELAXED);
	assert(before > 0);
	(void)before;
	return timeline;
}

static void timeline_close(struct stile_timeline *timeline) {
	struct timeline_fence *first = NULL;
	struct point_watch *forgotten = NULL;
	stile_lock_acquire(&timeline->fence_lock);
	os_lock(&timeline->lock);
	take_pending(timeline, true, &first);
	points_take_all(timeline, &forgotten);
	/* Or its fences would keep the timeline, and it them. */
	struct stile_fence *head = timeline->head;
	timeline->head = NULL;
	os_unlock(&timeline->lock);
	end_fences(first, -ENOENT);
	stile_lock_release(&timeline->fence_lock);
	drop_fences(first);
	points_forget(forgotten);
	stile_fence_unref(head);
}

void stile_timeline_unref(struct stile_timeline *timeline) {
	if (timeline != NULL && __atomic_fetch_sub(&timeline->handles, 1, __ATOMIC_ACQ_REL) == 1) {
		timeline_close(timeline);
		timeline_put(timeline);
	}
}
