/* SPDX-License-Identifier: MIT */
#include "src/fence.h"

#include <assert.h>
#include <errno.h>

#include "src/abi.h"
#include "src/os.h"

/*
 * The public struct has plain integers, so that C99 and C++ can embed it; atomics are in here.
 *
 * `state` is written with read-modify-write operations only. SIGNALED is set under the lock, with
 * release order, after `error` and `timestamp_ns`: whoever reads it with acquire order sees both
 * (contract F-23, F-24). WAITER says that somebody sleeps on `state` as a futex.
 *
 * Lock order: a fence's lock, then whatever its ops and callbacks take: the watcher's, the
 * notification list's, the sender list's, a queue's. No fence's lock is taken under any of these.
 */
enum {
	STATE_SIGNALED = 1u << 0,
	STATE_ENABLED = 1u << 1,
	STATE_WAITER = 1u << 2,
};

enum { MAX_ERRNO = 4095 };

static uint64_t next_context = 1;

uint64_t stile_fence_context_alloc(uint32_t count) {
	assert(count > 0);
	return __atomic_fetch_add(&next_context, count, __ATOMIC_RELAXED);
}

static uint32_t fence_state(const struct stile_fence *fence) {
	return __atomic_load_n(&fence->state, __ATOMIC_ACQUIRE);
}

int stile_fence_init(struct stile_fence *fence, const struct stile_fence_ops *ops, uint64_t context,
	uint64_t seqno) {
	int ret = abi_check_table(ops, sizeof(*ops));
	if (ret < 0) {
		return ret;
	}
	if (ops->get_driver_name == NULL || ops->get_timeline_name == NULL) {
		return -EINVAL;
	}
	*fence = (struct stile_fence){
		.ops = ops,
		.context = context,
		.seqno = seqno,
		.refs = 1,
	};
	return 0;
}

struct stile_fence *stile_fence_ref(struct stile_fence *fence) {
	uint32_t before = __atomic_fetch_add(&fence->refs, 1, __ATOMIC_RELAXED);
	assert(before > 0);
	(void)before;
	return fence;
}

bool fence_ref_unless_zero(struct stile_fence *fence) {
	uint32_t refs = __atomic_load_n(&fence->refs, __ATOMIC_RELAXED);
	while (refs != 0) {
		if (__atomic_compare_exchange_n(&fence->refs, &refs, refs + 1, true,
			    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			return true;
		}
	}
	return false;
}

/* Nobody can signal a fence without a reference: its callbacks hear of it (F-20). */
static bool fence_is_abandoned(struct stile_fence *fence) {
	return (fence_state(fence) & STATE_SIGNALED) == 0 && fence->first != NULL;
}

void stile_fence_unref(struct stile_fence *fence) {
	if (fence == NULL) {
		return;
	}
	/* Release our writes to whoever frees; acquire theirs if that is us. */
	while (__atomic_fetch_sub(&fence->refs, 1, __ATOMIC_ACQ_REL) == 1) {
		if (!fence_is_abandoned(fence)) {
			if (fence->ops->release != NULL) {
				fence->ops->release(fence);
			}
			return;
		}
		/* Callbacks may take references, so there has to be one again. */
		__atomic_store_n(&fence->refs, 1, __ATOMIC_RELAXED);
		stile_fence_set_error(fence, -EDEADLK);
		stile_fence_signal(fence);
	}
}

int stile_fence_set_error(struct stile_fence *fence, int error) {
	if (error < -MAX_ERRNO || error >= 0) {
		return -EINVAL;
	}
	if (fence_state(fence) & STATE_SIGNALED) {
		return -EALREADY;
	}
	__atomic_store_n(&fence->error, error, __ATOMIC_RELAXED);
	return 0;
}

void fence_set_timestamp(struct stile_fence *fence, int64_t timestamp_ns) {
	__atomic_store_n(&fence->timestamp_ns, timestamp_ns, __ATOMIC_RELAXED);
}

/* Take the first callback off the list and mark its node as unlinked. */
static struct stile_callback *fence_pop_callback(struct stile_fence *fence) {
	struct stile_callback *callback = fence->first;
	if (callback != NULL) {
		fence->first = callback->next;
		if (fence->first != NULL) {
			fence->first->prev = NULL;
		} else {
			fence->last = NULL;
		}
		callback->next = NULL;
		callback->prev = NULL;
	}
	return callback;
}

/* The lock is held. True if this call did it and somebody sleeps. */
static bool fence_signal_locked(struct stile_fence *fence) {
	if (fence_state(fence) & STATE_SIGNALED) {
		return false;
	}
	if (__atomic_load_n(&fence->timestamp_ns, __ATOMIC_RELAXED) == 0) {
		fence_set_timestamp(fence, os_clock_ns());
	}
	uint32_t before = __atomic_fetch_or(&fence->state, STATE_SIGNALED, __ATOMIC_ACQ_REL);

	struct stile_callback *callback;
	while ((callback = fence_pop_callback(fence)) != NULL) {
		callback->fn(fence, callback);
	}
	return (before & STATE_WAITER) != 0;
}

void stile_fence_signal(struct stile_fence *fence) {
	os_lock(&fence->lock);
	/* A callback may drop the reference that the caller relies on. */
	bool guarded = fence->first != NULL;
	if (guarded) {
		stile_fence_ref(fence);
	}
	bool wake = fence_signal_locked(fence);
	os_unlock(&fence->lock);
	if (wake) {
		os_futex_wake_all(&fence->state);
	}
	if (guarded) {
		stile_fence_unref(fence);
	}
}

bool stile_fence_is_signaled(struct stile_fence *fence) {
	if (fence_state(fence) & STATE_SIGNALED) {
		return true;
	}
	if (fence->ops->signaled == NULL || !fence->ops->signaled(fence)) {
		return false;
	}
	stile_fence_signal(fence);
	return true;
}

int stile_fence_get_status(struct stile_fence *fence) {
	if (!stile_fence_is_signaled(fence)) {
		return 0;
	}
	int error = __atomic_load_n(&fence->error, __ATOMIC_RELAXED);
	return error == 0 ? 1 : error;
}

int64_t stile_fence_get_timestamp(struct stile_fence *fence) {
	if (!stile_fence_is_signaled(fence)) {
		return 0;
	}
	return __atomic_load_n(&fence->timestamp_ns, __ATOMIC_RELAXED);
}

const char *stile_fence_get_driver_name(struct stile_fence *fence) {
	return fence->ops->get_driver_name(fence);
}

const char *stile_fence_get_timeline_name(struct stile_fence *fence) {
	return fence->ops->get_timeline_name(fence);
}

uint64_t stile_fence_get_context(const struct stile_fence *fence) {
	return fence->context;
}

uint64_t stile_fence_get_seqno(const struct stile_fence *fence) {
	return fence->seqno;
}

/* The lock is held. Ask the implementer, once. True if that signalled it and somebody sleeps. */
static bool fence_enable_locked(struct stile_fence *fence) {
	uint32_t before = __atomic_fetch_or(&fence->state, STATE_ENABLED, __ATOMIC_ACQ_REL);
	if ((before & (STATE_ENABLED | STATE_SIGNALED)) != 0 ||
		fence->ops->enable_signaling == NULL) {
		return false;
	}
	return !fence->ops->enable_signaling(fence) && fence_signal_locked(fence);
}

void stile_fence_enable_signaling(struct stile_fence *fence) {
	if (fence_state(fence) & (STATE_ENABLED | STATE_SIGNALED)) {
		return;
	}
	os_lock(&fence->lock);
	bool wake = fence_enable_locked(fence);
	os_unlock(&fence->lock);
	if (wake) {
		os_futex_wake_all(&fence->state);
	}
}

int stile_fence_add_callback(
	struct stile_fence *fence, struct stile_callback *callback, stile_callback_fn fn) {
	os_lock(&fence->lock);
	*callback = (struct stile_callback){ .fn = fn };
	bool wake = fence_enable_locked(fence);
	bool pending = (fence_state(fence) & STATE_SIGNALED) == 0;
	if (pending) {
		callback->prev = fence->last;
		if (fence->last != NULL) {
			fence->last->next = callback;
		} else {
			fence->first = callback;
		}
		fence->last = callback;
	}
	os_unlock(&fence->lock);

	if (wake) {
		os_futex_wake_all(&fence->state);
	}
	return pending ? 0 : -ENOENT;
}

bool stile_fence_remove_callback(struct stile_fence *fence, struct stile_callback *callback) {
	os_lock(&fence->lock);
	bool queued = callback->prev != NULL || fence->first == callback;
	if (queued) {
		if (callback->prev != NULL) {
			callback->prev->next = callback->next;
		} else {
			fence->first = callback->next;
		}
		if (callback->next != NULL) {
			callback->next->prev = callback->prev;
		} else {
			fence->last = callback->prev;
		}
		callback->next = NULL;
		callback->prev = NULL;
	}
	os_unlock(&fence->lock);
	return queued;
}

int stile_fence_wait(struct stile_fence *fence, int64_t deadline_ns) {
	if (deadline_ns < 0) {
		return -EINVAL;
	}
	stile_fence_enable_signaling(fence);

	uint32_t state = fence_state(fence);
	while ((state & STATE_SIGNALED) == 0) {
		if (deadline_ns == 0) {
			return -ETIME;
		}
		if ((state & STATE_WAITER) == 0) {
			state = __atomic_fetch_or(&fence->state, STATE_WAITER, __ATOMIC_ACQ_REL);
			state |= STATE_WAITER;
			continue;
		}
		int ret = os_futex_wait(&fence->state, state, deadline_ns);
		state = fence_state(fence);
		if (ret == -ETIME && (state & STATE_SIGNALED) == 0) {
			return -ETIME;
		}
	}
	return 0;
}
