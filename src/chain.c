/* SPDX-License-Identifier: MIT */
/*
 * Fence chains: contract section 3.
 *
 * An element that somebody listens to waits for one fence at a time: its own contained one, then
 * going back for whatever is pending. Where it meets an element that is itself listening, it waits
 * for that element and is done with everything before: so each fence that is signalled wakes one
 * element, whatever the order, and the end runs up the chain as deferred work, not by recursion.
 * Looking for the fence to wait for again from each element, as is obvious, costs n wake-ups a
 * fence when a chain is signalled from its newest fence to its oldest.
 */
#include <stile/chain.h>

#include <errno.h>
#include <stdlib.h>

#include "src/check.h"
#include "src/defer.h"
#include "src/fence.h"
#include "src/macros.h"

struct stile_chain {
	struct stile_fence base;
	struct stile_fence *prev; /* a slot: walks replace it at any time */
	uint64_t prev_seqno;      /* of the one that was first before it; 0: a context begins */
	struct stile_fence *fence;
	struct stile_fence *awaited; /* what the callback is on, referenced */
	union {                      /* never both at a time; the element is referenced meanwhile */
		struct stile_callback callback;
		struct defer_work search;
	};
};

static const char *chain_get_driver_name(struct stile_fence *fence) {
	(void)fence;
	return "dma_fence_chain";
}

static const char *chain_get_timeline_name(struct stile_fence *fence) {
	(void)fence;
	return "unbound";
}

/* NULL: it is no element. */
static struct stile_chain *chain_of(struct stile_fence *fence) {
	return stile_fence_is_chain(fence) ? CONTAINER_OF(fence, struct stile_chain, base) : NULL;
}

struct stile_fence *stile_chain_get_contained(struct stile_fence *fence) {
	struct stile_chain *chain = chain_of(fence);
	return chain == NULL ? fence : chain->fence;
}

/* Take one element that is done out, which the caller has a reference on. */
static void chain_splice(struct stile_chain *chain, struct stile_fence *done) {
	struct stile_chain *done_chain = chain_of(done);
	struct stile_fence *next =
		done_chain == NULL ? NULL : stile_fence_ref_slot(&done_chain->prev);
	struct stile_fence *expected = done;
	if (__atomic_compare_exchange_n(
		    &chain->prev, &expected, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		stile_fence_unref(done);
	} else {
		stile_fence_unref(next);
	}
}

struct stile_fence *stile_chain_walk(struct stile_fence *fence) {
	struct stile_chain *chain = chain_of(fence);
	struct stile_fence *prev = NULL;
	while (chain != NULL && (prev = stile_fence_ref_slot(&chain->prev)) != NULL &&
		stile_fence_is_signaled(stile_chain_get_contained(prev))) {
		chain_splice(chain, prev);
		stile_fence_unref(prev);
	}
	stile_fence_unref(fence);
	return prev;
}

int stile_chain_find_seqno(struct stile_fence **fence, uint64_t seqno) {
	if (seqno == 0) {
		return 0;
	}
	if (!stile_fence_is_chain(*fence) || stile_fence_get_seqno(*fence) < seqno) {
		return -EINVAL;
	}
	uint64_t context = stile_fence_get_context(*fence);
	struct stile_fence *at = *fence;
	const struct stile_chain *chain;
	while ((chain = chain_of(at)) != NULL && stile_fence_get_context(at) == context &&
		chain->prev_seqno >= seqno) {
		at = stile_chain_walk(at);
	}
	*fence = at;
	return 0;
}

static void chain_search(struct defer_work *work);

/* Under the lock of the one that ended. */
static void chain_awaited_ended(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct stile_chain *chain = CONTAINER_OF(callback, struct stile_chain, callback);
	defer_add(&chain->search, chain_search);
}

/* From here on the callback runs the search again, perhaps already does: the element is not ours. */
static bool chain_await(struct stile_chain *chain, struct stile_fence *target) {
	chain->awaited = stile_fence_ref(target);
	if (stile_fence_add_callback(target, &chain->callback, chain_awaited_ended) == 0) {
		return true;
	}
	chain->awaited = NULL;
	stile_fence_unref(target);
	return false;
}

/* An element that listens itself stands for all before it; unless it has ended by its own expiry. */
static bool chain_await_at(struct stile_chain *chain, struct stile_fence *at) {
	bool listens = at != &chain->base && stile_fence_is_chain(at) && fence_is_enabled(at);
	return (listens && chain_await(chain, at)) ||
		chain_await(chain, stile_chain_get_contained(at));
}

static void chain_search(struct defer_work *work) {
	struct stile_chain *chain = CONTAINER_OF(work, struct stile_chain, search);
	stile_fence_unref(chain->awaited);
	chain->awaited = NULL;

	struct stile_fence *at = stile_fence_ref(&chain->base);
	while (at != NULL) {
		if (chain_await_at(chain, at)) {
			stile_fence_unref(at);
			return;
		}
		at = stile_chain_walk(at);
	}
	stile_fence_signal(&chain->base);
	stile_fence_unref(&chain->base);
}

static bool chain_signaled(struct stile_fence *fence) {
	struct stile_fence *at = stile_fence_ref(fence);
	while (at != NULL) {
		if (!stile_fence_is_signaled(stile_chain_get_contained(at))) {
			stile_fence_unref(at);
			return false;
		}
		at = stile_chain_walk(at);
	}
	return true;
}

static bool chain_enable_signaling(struct stile_fence *fence) {
	if (chain_signaled(fence)) {
		return false;
	}
	stile_fence_ref(fence);
	defer_add(&chain_of(fence)->search, chain_search);
	return true;
}

/* Those before that only we have are released one after the other, not one within the other. */
static void chain_release(struct stile_fence *fence) {
	struct stile_chain *chain = chain_of(fence);
	struct stile_fence *prev = stile_fence_exchange_slot(&chain->prev, NULL);
	struct stile_chain *link;
	while ((link = chain_of(prev)) != NULL && fence_is_last_ref(prev)) {
		struct stile_fence *next = stile_fence_exchange_slot(&link->prev, NULL);
		stile_fence_unref(prev);
		prev = next;
	}
	stile_fence_unref(prev);
	stile_fence_unref(chain->fence);
	free(chain);
}

static void chain_set_deadline(struct stile_fence *fence, int64_t deadline_ns) {
	struct stile_fence *at = stile_fence_ref(fence);
	while (at != NULL) {
		stile_fence_set_deadline(stile_chain_get_contained(at), deadline_ns);
		at = stile_chain_walk(at);
	}
}

const struct stile_fence_ops chain_fence_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = chain_get_driver_name,
	.get_timeline_name = chain_get_timeline_name,
	.enable_signaling = chain_enable_signaling,
	.signaled = chain_signaled,
	.release = chain_release,
	.set_deadline = chain_set_deadline,
	.flags = STILE_FENCE_SEQNO64,
};

bool stile_fence_is_chain(const struct stile_fence *fence) {
	return fence != NULL && fence->ops == &chain_fence_ops;
}

int stile_chain_alloc(struct stile_chain **out) {
	check_alloc();
	*out = malloc(sizeof(**out));
	return *out == NULL ? -ENOMEM : 0;
}

void stile_chain_free(struct stile_chain *chain) {
	free(chain);
}

/* What has ended depends on nobody any more. Nobody is asked: locks may be held. */
static void chain_inherit(struct stile_chain *chain, const struct stile_fence *from) {
	if (from != NULL && stile_fence_is_user(from) && !fence_has_ended(from)) {
		fence_make_user(&chain->base, stile_fence_get_owner(from), INT64_MAX);
	}
}

struct stile_fence *stile_chain_init(struct stile_chain *chain, struct stile_fence *prev,
	struct stile_fence *fence, uint64_t seqno) {
	uint64_t context, prev_seqno = 0;
	if (stile_fence_is_chain(fence)) {
		check_warn("point %llu of a chain contains an element of a chain",
			(unsigned long long)seqno);
	}
	if (stile_fence_is_chain(prev) && seqno > stile_fence_get_seqno(prev)) {
		context = stile_fence_get_context(prev);
		prev_seqno = stile_fence_get_seqno(prev);
	} else {
		context = stile_fence_context_alloc(1);
		/* Seqnos never go backwards along a chain, not even into another context. */
		if (stile_fence_is_chain(prev)) {
			seqno = stile_fence_get_seqno(prev);
		}
	}
	fence_enter_slot(prev);
	*chain = (struct stile_chain){ .prev = prev, .prev_seqno = prev_seqno, .fence = fence };
	/* Cannot fail: the table is ours. */
	(void)!stile_fence_init(&chain->base, &chain_fence_ops, context, seqno);
	chain_inherit(chain, prev);
	chain_inherit(chain, fence);
	return &chain->base;
}
