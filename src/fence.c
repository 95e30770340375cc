/* SPDX-License-Identifier: MIT */
#include "src/fence.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <stile/array.h>
#include <stile/chain.h>

#include "src/abi.h"
#include "src/check.h"
#include "src/defer.h"
#include "src/drive.h"
#include "src/expiry.h"
#include "src/graph.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/reclaim.h"

/*
 * The public struct has plain integers, so that C99 and C++ can embed it; atomics are in here.
 *
 * `state` is written with read-modify-write operations only. SIGNALED is set with release order, after
 * `timestamp_ns`: whoever reads it with acquire order sees that too (contract F-23, F-24). WAITER says
 * that somebody sleeps on `state` as a futex; ARMED that the expiry's thread knows the fence; GRAPH
 * that it is in the table of src/graph.c.
 *
 * The number of the error is in the same word: it is there when SIGNALED is, or never comes, however
 * many threads end the fence at once. Above it is a count of how often the expiry was moved: whoever
 * is about to sleep until an old one sees that the word has changed.
 */
/* With none of these nobody listens, sleeps, or has ended it. */
enum { HEARD = STATE_SIGNALED | STATE_ENABLED | STATE_WAITER };

enum { MAX_ERRNO = 4095 };

#define DEFAULT_EXPIRY_NS INT64_C(10000000000)

static uint64_t next_context = 1;

uint64_t stile_fence_context_alloc(uint32_t count) {
	if (count == 0) {
		check_warn("a block of 0 fence contexts was asked for");
	}
	return __atomic_fetch_add(&next_context, count, __ATOMIC_RELAXED);
}

/* ---- Locks -------------------------------------------------------------------------------- */

void stile_lock_init(struct stile_lock *lock, const char *name) {
	*lock = (struct stile_lock){ .name = name };
}

/* One without a name is of no kind that could have a place in an order. */
void stile_lock_acquire(struct stile_lock *lock) {
	if (lock->name != NULL) {
		check_lock(lock->name, lock->name);
	}
	defer_hold();
	os_lock(&lock->word);
}

void stile_lock_release(struct stile_lock *lock) {
	if (lock->name != NULL) {
		check_unlock(lock->name);
	}
	os_unlock(&lock->word);
	defer_release();
}

/* For reports of the lock-order checker; the leaves' driver names may ask the fence itself. */
static const char *lock_name(const struct stile_fence *fence) {
	if (stile_fence_is_array(fence)) {
		return "fence array";
	}
	return stile_fence_is_chain(fence) ? "fence chain" : "fence";
}

/* Locks of one kind of fence are one class: the table of its ops stands for the kind. */
static void lock_word(struct stile_fence *fence) {
	if (fence->shared_lock != NULL) {
		stile_lock_acquire(fence->shared_lock);
		return;
	}
	check_lock(fence->ops, lock_name(fence));
	defer_hold();
	os_lock(&fence->lock);
}

/*
 * Wakes before the deferred work: that is for others. The address is all that is used of a fence
 * that may have gone by now.
 */
static void unlock_word(struct stile_fence *fence, bool wake) {
	uint32_t *state = &fence->state;
	if (fence->shared_lock != NULL) {
		if (fence->shared_lock->name != NULL) {
			check_unlock(fence->shared_lock->name);
		}
		os_unlock(&fence->shared_lock->word);
	} else {
		check_unlock(fence->ops);
		os_unlock(&fence->lock);
	}
	if (wake) {
		os_futex_wake_all(state);
	}
	defer_release();
}

void stile_fence_lock(struct stile_fence *fence) {
	lock_word(fence);
}

void stile_fence_unlock(struct stile_fence *fence) {
	unlock_word(fence, false);
}

/* ---- Making and dropping one -------------------------------------------------------------- */

void fence_make_user(struct stile_fence *fence, int32_t owner, int64_t expiry_ns) {
	__atomic_fetch_or(&fence->state, STATE_USER, __ATOMIC_RELAXED);
	fence->owner = owner;
	fence->expiry_ns = expiry_ns;
}

int stile_fence_init_shared(struct stile_fence *fence, const struct stile_fence_ops *ops,
	struct stile_lock *lock, uint64_t context, uint64_t seqno) {
	int ret = ops->size == sizeof(*ops) ? 0 : abi_check_table(ops, sizeof(*ops));
	if (ret < 0) {
		return ret;
	}
	if (ops->get_driver_name == NULL || ops->get_timeline_name == NULL ||
		(ops->flags & ~(uint32_t)(STILE_FENCE_SEQNO64 | STILE_FENCE_USER)) != 0) {
		return -EINVAL;
	}
	/* Field by field: clearing the whole with one string instruction takes longer. */
	fence->ops = ops;
	fence->shared_lock = lock;
	fence->state = 0;
	fence->refs = 1;
	fence->lock = 0;
	fence->owner = 0;
	fence->timestamp_ns = 0;
	fence->first = NULL;
	fence->last = NULL;
	fence->context = context;
	fence->seqno = seqno;
	fence->expiry_ns = INT64_MAX;
	fence->expiry_node[0] = NULL;
	fence->expiry_node[1] = NULL;
	fence->expiry_node[2] = NULL;
	if (ops->flags & STILE_FENCE_USER) {
		fence_make_user(fence, getpid(), os_clock_ns() + DEFAULT_EXPIRY_NS);
	}
	return 0;
}

int stile_fence_init(struct stile_fence *fence, const struct stile_fence_ops *ops, uint64_t context,
	uint64_t seqno) {
	return stile_fence_init_shared(fence, ops, NULL, context, seqno);
}

struct stile_fence *stile_fence_ref(struct stile_fence *fence) {
	uint32_t before = __atomic_fetch_add(&fence->refs, 1, __ATOMIC_RELAXED);
	assert(before > 0);
	(void)before;
	return fence;
}

bool fence_ref_unless_zero(struct stile_fence *fence) {
	uint32_t refs = __atomic_load_n(&fence->refs, __ATOMIC_RELAXED);
	while ((refs & ~FENCE_SLOT) != 0 && (refs & FENCE_DEAD) == 0) {
		if (__atomic_compare_exchange_n(&fence->refs, &refs, refs + 1, true,
			    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			return true;
		}
	}
	return false;
}

bool fence_is_last_ref(const struct stile_fence *fence) {
	return (__atomic_load_n(&fence->refs, __ATOMIC_ACQUIRE) & ~FENCE_SLOT) == 1;
}

struct stile_fence *stile_fence_ref_slot(struct stile_fence **slot) {
	unsigned section = reclaim_begin();
	struct stile_fence *fence;
	while ((fence = __atomic_load_n(slot, __ATOMIC_SEQ_CST)) != NULL) {
		if (fence_ref_seen(fence)) {
			/* Its memory may have died and been made another fence before we got it. */
			if (__atomic_load_n(slot, __ATOMIC_SEQ_CST) == fence) {
				break;
			}
			stile_fence_unref(fence);
		}
	}
	reclaim_end(section);
	return fence;
}

void fence_enter_slot(struct stile_fence *fence) {
	if (fence != NULL && (__atomic_load_n(&fence->refs, __ATOMIC_RELAXED) & FENCE_SLOT) == 0) {
		__atomic_fetch_or(&fence->refs, FENCE_SLOT, __ATOMIC_RELAXED);
	}
}

struct stile_fence *stile_fence_exchange_slot(
	struct stile_fence **slot, struct stile_fence *fence) {
	fence_enter_slot(fence);
	return __atomic_exchange_n(slot, fence, __ATOMIC_SEQ_CST);
}

/* Nobody can signal a fence without a reference: its callbacks hear of it (F-20). */
static bool fence_is_abandoned(struct stile_fence *fence) {
	return (fence_state(fence) & STATE_SIGNALED) == 0 && fence->first != NULL;
}

_Static_assert(offsetof(struct stile_fence, last) ==
			offsetof(struct stile_fence, first) +
				offsetof(struct reclaim_node, release) &&
		sizeof(struct reclaim_node) == 2 * sizeof(void *),
	"the list of callbacks has room for what waits for readers");

static void fence_reclaimed(struct reclaim_node *node) {
	struct stile_fence *fence = CONTAINER_OF(node, struct stile_fence, first);
	fence->first = NULL;
	fence->last = NULL;
	if (fence->ops->release != NULL) {
		fence->ops->release(fence);
	}
}

/* What was never in a slot cannot be seen by somebody who has no reference: no need to wait. */
static void fence_release(struct stile_fence *fence) {
	if (fence_state(fence) & STATE_GRAPH) {
		graph_forget(fence);
	}
	if (__atomic_load_n(&fence->refs, __ATOMIC_RELAXED) & FENCE_SLOT) {
		/* There are no callbacks now. */
		reclaim((struct reclaim_node *)(void *)&fence->first, fence_reclaimed);
	} else if (fence->ops->release != NULL) {
		fence->ops->release(fence);
	}
}

_Static_assert(sizeof(struct defer_work) <= sizeof(((struct stile_fence *)0)->expiry_node),
	"the node of the expiry has room for deferred work");

static void abandoned_end(struct defer_work *work) {
	struct stile_fence *fence = CONTAINER_OF(work, struct stile_fence, expiry_node);
	fence->expiry_node[0] = NULL;
	fence->expiry_node[1] = NULL;
	stile_fence_set_error(fence, -EDEADLK);
	stile_fence_signal(fence);
	stile_fence_unref(fence);
}

/*
 * Drop a reference: was it the last? Of a fence that was in a slot it becomes DEAD in the same step: were
 * there a moment between, somebody who saw it there could take it, drop it and free it meanwhile.
 */
static bool fence_drop(struct stile_fence *fence) {
	uint32_t refs = __atomic_load_n(&fence->refs, __ATOMIC_RELAXED), after;
	do {
		after = refs == (FENCE_SLOT | 1) ? FENCE_SLOT | FENCE_DEAD : refs - 1;
	} while (!__atomic_compare_exchange_n(
		&fence->refs, &refs, after, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	return (refs & ~FENCE_SLOT) == 1;
}

/* Callbacks may take references, so there has to be one again. Others may try for one just now. */
static void fence_revive(struct stile_fence *fence) {
	bool dead = (__atomic_load_n(&fence->refs, __ATOMIC_RELAXED) & FENCE_DEAD) != 0;
	__atomic_fetch_add(&fence->refs, dead ? 1 - FENCE_DEAD : 1, __ATOMIC_RELAXED);
}

void stile_fence_unref(struct stile_fence *fence) {
	if (fence == NULL) {
		return;
	}
	/* Release our writes to whoever frees; acquire theirs if that is us. */
	while (fence_drop(fence)) {
		if (!fence_is_abandoned(fence)) {
			if (fence_state(fence) & STATE_ARMED) {
				expiry_disarm(fence);
			}
			fence_release(fence);
			return;
		}
		check_warn("the last reference of pending fence %llu:%llu (%s) went while somebody "
			   "listened: it ends with -EDEADLK",
			(unsigned long long)fence->context, (unsigned long long)fence->seqno,
			fence->ops->get_timeline_name(fence));
		fence_revive(fence);
		if (fence->shared_lock != NULL && defer_is_held()) {
			/* This thread may have the lock: later, then. Nobody arms the expiry now. */
			expiry_disarm(fence);
			defer_add((struct defer_work *)(void *)fence->expiry_node, abandoned_end);
			return;
		}
		stile_fence_set_error(fence, -EDEADLK);
		stile_fence_signal(fence);
	}
}

/* ---- Signalling --------------------------------------------------------------------------- */

static uint32_t state_with_error(uint32_t state, int error) {
	return (state & ~(uint32_t)STATE_ERROR) | (uint32_t)-error << STATE_ERROR_SHIFT;
}

int stile_fence_set_error(struct stile_fence *fence, int error) {
	if (error < -MAX_ERRNO || error >= 0) {
		return -EINVAL;
	}
	uint32_t before = fence_state(fence);
	do {
		if (before & STATE_SIGNALED) {
			return -EALREADY;
		}
	} while (!__atomic_compare_exchange_n(&fence->state, &before,
		state_with_error(before, error), true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return 0;
}

/* Several may end a fence at once: the first one's time stands, and does not change when it is seen. */
void fence_set_timestamp(struct stile_fence *fence, int64_t timestamp_ns) {
	int64_t none = 0;
	__atomic_compare_exchange_n(&fence->timestamp_ns, &none, timestamp_ns, false,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED);
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

/*
 * The lock is held, which keeps out all but fence_end_unheard(). The state as it was: with SIGNALED,
 * the fence had ended and nothing has changed; with WAITER, somebody sleeps.
 */
static uint32_t fence_end_locked(struct stile_fence *fence, int error, int64_t timestamp_ns) {
	uint32_t before = fence_state(fence), after;
	if ((before & STATE_SIGNALED) == 0) {
		fence_set_timestamp(fence, timestamp_ns > 0 ? timestamp_ns : os_clock_ns());
	}
	do {
		if (before & STATE_SIGNALED) {
			return before;
		}
		after = (error != 0 ? state_with_error(before, error) : before) | STATE_SIGNALED;
	} while (!__atomic_compare_exchange_n(
		&fence->state, &before, after, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	if (before & STATE_ARMED) {
		expiry_disarm(fence);
	}
	struct stile_callback *callback;
	while ((callback = fence_pop_callback(fence)) != NULL) {
		callback->fn(fence, callback);
	}
	return before;
}

/* Those who sleep have to be told of an end that was found to be in this state. */
static bool state_wakes(uint32_t before) {
	return (before & (STATE_SIGNALED | STATE_WAITER)) == STATE_WAITER;
}

/*
 * Nobody was asked to signal, so nobody listens or sleeps, and there is nothing to do under the lock:
 * whoever comes to listen sees that the fence has ended when setting ENABLED. False: somebody may.
 */
static bool fence_end_unheard(struct stile_fence *fence, int64_t timestamp_ns) {
	uint32_t state = fence_state(fence);
	if (fence->shared_lock != NULL || (state & HEARD) != 0) {
		return false;
	}
	fence_set_timestamp(fence, timestamp_ns > 0 ? timestamp_ns : os_clock_ns());
	do {
		if (__atomic_compare_exchange_n(&fence->state, &state, state | STATE_SIGNALED, true,
			    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			return true;
		}
	} while ((state & HEARD) == 0);
	return false;
}

/* The one way to end a fence. A time of 0 leaves what is there. True: it had ended. */
static bool fence_end(struct stile_fence *fence, int64_t timestamp_ns) {
	/* The checker wants to hear of locks and sections. */
	if (!check_is_on() && fence_end_unheard(fence, timestamp_ns)) {
		return false;
	}
	uint32_t section = check_signalling_begin();
	lock_word(fence);
	/* A callback may drop the reference that the caller relies on. */
	bool guarded = fence->first != NULL;
	if (guarded) {
		stile_fence_ref(fence);
	}
	uint32_t before = fence_end_locked(fence, 0, timestamp_ns);
	unlock_word(fence, state_wakes(before));
	check_signalling_end(section);
	if (guarded) {
		stile_fence_unref(fence);
	}
	return (before & STATE_SIGNALED) != 0;
}

void stile_fence_signal(struct stile_fence *fence) {
	fence_end(fence, 0);
}

void stile_fence_signal_timestamp(struct stile_fence *fence, int64_t timestamp_ns) {
	fence_end(fence, timestamp_ns);
}

bool stile_fence_check_and_signal(struct stile_fence *fence) {
	return fence_end(fence, 0);
}

/* As fence_end(), with the lock held. */
static void fence_end_under_lock(struct stile_fence *fence, int error, int64_t timestamp_ns) {
	uint32_t section = check_signalling_begin();
	uint32_t *state = &fence->state;
	/* With a shared lock, the caller too may rely on a reference that a callback drops. */
	bool guarded = fence->first != NULL;
	if (guarded) {
		stile_fence_ref(fence);
	}
	if (state_wakes(fence_end_locked(fence, error, timestamp_ns))) {
		os_futex_wake_all(state);
	}
	check_signalling_end(section);
	if (guarded) {
		stile_fence_unref(fence);
	}
}

void stile_fence_signal_timestamp_locked(struct stile_fence *fence, int64_t timestamp_ns) {
	fence_end_under_lock(fence, 0, timestamp_ns);
}

void stile_fence_signal_locked(struct stile_fence *fence) {
	stile_fence_signal_timestamp_locked(fence, 0);
}

/* ---- How it stands ------------------------------------------------------------------------ */

int64_t stile_fence_get_expiry(const struct stile_fence *fence) {
	return __atomic_load_n(&fence->expiry_ns, __ATOMIC_RELAXED);
}

static bool fence_is_overdue(struct stile_fence *fence) {
	/* Not what only user fences have, which may be in another cache line. */
	if (!stile_fence_is_user(fence)) {
		return false;
	}
	int64_t expiry_ns = stile_fence_get_expiry(fence);
	return expiry_ns != INT64_MAX && os_clock_ns() >= expiry_ns;
}

/*
 * A user fence that nobody ended in time ends now. The clock is looked at again under the lock, with which
 * expiries are moved: whoever has moved one relies on that.
 */
static bool fence_expire_if_overdue(struct stile_fence *fence) {
	if (!fence_is_overdue(fence)) {
		return false;
	}
	/* A callback may drop the reference that the caller relies on. */
	stile_fence_ref(fence);
	lock_word(fence);
	bool ended = stile_fence_is_signaled_locked(fence);
	unlock_word(fence, false);
	stile_fence_unref(fence);
	return ended;
}

static bool fence_ask(struct stile_fence *fence) {
	return fence->ops->signaled != NULL && fence->ops->signaled(fence);
}

/* For those who have no compiler: the function itself, under its name. */
#undef stile_fence_is_signaled
bool stile_fence_is_signaled(struct stile_fence *fence) {
	if (fence_state(fence) & STATE_SIGNALED) {
		return true;
	}
	if (fence_ask(fence)) {
		stile_fence_signal(fence);
		return true;
	}
	return fence_expire_if_overdue(fence);
}

bool stile_fence_is_signaled_locked(struct stile_fence *fence) {
	if (fence_state(fence) & STATE_SIGNALED) {
		return true;
	}
	if (fence_ask(fence)) {
		stile_fence_signal_locked(fence);
		return true;
	}
	if (!fence_is_overdue(fence)) {
		return false;
	}
	fence_end_under_lock(fence, -ETIMEDOUT, 0);
	return true;
}

int stile_fence_get_status(struct stile_fence *fence) {
	if (!stile_fence_is_signaled(fence)) {
		return 0;
	}
	int error = (int)((fence_state(fence) & STATE_ERROR) >> STATE_ERROR_SHIFT);
	return error == 0 ? 1 : -error;
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

bool stile_fence_is_user(const struct stile_fence *fence) {
	return (fence_state(fence) & STATE_USER) != 0;
}

int32_t stile_fence_get_owner(const struct stile_fence *fence) {
	return fence->owner;
}

int stile_fence_set_expiry(struct stile_fence *fence, int64_t expiry_ns) {
	if (expiry_ns <= 0 || !stile_fence_is_user(fence)) {
		return -EINVAL;
	}
	lock_word(fence);
	uint32_t before = __atomic_load_n(&fence->state, __ATOMIC_RELAXED);
	/* The thread may not know it: nobody listened, it never expired, or is taken out as due. */
	bool listened = (before & STATE_SIGNALED) == 0 &&
		((before & STATE_ARMED) != 0 || fence->first != NULL);
	if (listened) {
		__atomic_fetch_or(&fence->state, STATE_ARMED, __ATOMIC_RELAXED);
	}
	expiry_move(fence, expiry_ns, listened);
	/* Who sleeps has to look at the clock again. */
	before = __atomic_fetch_add(&fence->state, STATE_MOVED, __ATOMIC_ACQ_REL);
	unlock_word(fence, (before & STATE_WAITER) != 0);
	return 0;
}

bool stile_fence_is_later(const struct stile_fence *fence, const struct stile_fence *other) {
	if (fence->context != other->context) {
		check_warn("fences of contexts %llu and %llu have no order",
			(unsigned long long)fence->context, (unsigned long long)other->context);
		return false;
	}
	if (fence->ops->flags & STILE_FENCE_SEQNO64) {
		return fence->seqno > other->seqno;
	}
	return (int32_t)((uint32_t)fence->seqno - (uint32_t)other->seqno) > 0;
}

bool stile_fence_is_later_or_same(
	const struct stile_fence *fence, const struct stile_fence *other) {
	return fence == other || stile_fence_is_later(fence, other);
}

struct stile_fence *stile_fence_get_later(struct stile_fence *fence, struct stile_fence *other) {
	if (fence->context != other->context) {
		check_warn("fences of contexts %llu and %llu have no order",
			(unsigned long long)fence->context, (unsigned long long)other->context);
		return NULL;
	}
	struct stile_fence *later = stile_fence_is_later(fence, other) ? fence : other;
	return stile_fence_is_signaled(later) ? NULL : later;
}

static void describe_debt(const struct stile_fence *fence, char *text, size_t size) {
	int64_t expiry_ns = stile_fence_get_expiry(fence);
	int used = snprintf(text, size, "pending, owed by process %d", (int)fence->owner);
	if (expiry_ns != INT64_MAX) {
		snprintf(text + used, size - (size_t)used, " within %lld ms",
			(long long)((expiry_ns - os_clock_ns()) / 1000000));
	}
}

int stile_fence_describe(struct stile_fence *fence, char *text, size_t size) {
	int status = stile_fence_get_status(fence);
	char standing[160] = "pending";
	if (status < 0) {
		snprintf(standing, sizeof(standing), "failed: %s (%d)", strerror(-status), status);
	} else if (status > 0) {
		snprintf(standing, sizeof(standing), "signalled");
	} else if (stile_fence_is_user(fence)) {
		describe_debt(fence, standing, sizeof(standing));
	}
	return snprintf(text, size, "%llu:%llu %s (%s) %s", (unsigned long long)fence->context,
		(unsigned long long)fence->seqno, stile_fence_get_timeline_name(fence),
		stile_fence_get_driver_name(fence), standing);
}

void stile_fence_set_deadline(struct stile_fence *fence, int64_t deadline_ns) {
	if (fence->ops->set_deadline != NULL && !stile_fence_is_signaled(fence)) {
		fence->ops->set_deadline(fence, deadline_ns);
	}
}

/* ---- Listening ---------------------------------------------------------------------------- */

/* The lock is held. Ask the implementer, once. True if that ended it and somebody sleeps. */
static bool fence_enable_locked(struct stile_fence *fence) {
	if (fence_state(fence) & STATE_ENABLED) {
		return false;
	}
	uint32_t before = __atomic_fetch_or(&fence->state, STATE_ENABLED, __ATOMIC_ACQ_REL);
	if ((before & STATE_SIGNALED) != 0 || fence->ops->enable_signaling == NULL) {
		return false;
	}
	return !fence->ops->enable_signaling(fence) && state_wakes(fence_end_locked(fence, 0, 0));
}

void stile_fence_enable_signaling(struct stile_fence *fence) {
	if (fence_state(fence) & (STATE_ENABLED | STATE_SIGNALED)) {
		return;
	}
	lock_word(fence);
	unlock_word(fence, fence_enable_locked(fence));
}

bool fence_is_enabled(const struct stile_fence *fence) {
	return (fence_state(fence) & STATE_ENABLED) != 0;
}

/* The lock is held. */
static void fence_queue_callback(struct stile_fence *fence, struct stile_callback *callback) {
	callback->prev = fence->last;
	if (fence->last != NULL) {
		fence->last->next = callback;
	} else {
		fence->first = callback;
	}
	fence->last = callback;
	if (stile_fence_get_expiry(fence) != INT64_MAX) {
		/* Again each time: the system may have refused the thread, or this be a child. */
		__atomic_fetch_or(&fence->state, STATE_ARMED, __ATOMIC_RELAXED);
		expiry_arm(fence);
	}
}

int stile_fence_add_callback(
	struct stile_fence *fence, struct stile_callback *callback, stile_callback_fn fn) {
	*callback = (struct stile_callback){ .fn = fn };
	if (fence_state(fence) & STATE_SIGNALED) {
		return -ENOENT;
	}
	lock_word(fence);
	bool wake = fence_enable_locked(fence);
	bool pending = (fence_state(fence) & STATE_SIGNALED) == 0;
	if (pending) {
		fence_queue_callback(fence, callback);
	}
	unlock_word(fence, wake);
	return pending ? 0 : -ENOENT;
}

bool stile_fence_remove_callback(struct stile_fence *fence, struct stile_callback *callback) {
	lock_word(fence);
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
	unlock_word(fence, false);
	return queued;
}

/* ---- Sleeping ----------------------------------------------------------------------------- */

int fence_sleep(struct stile_fence *fence, int64_t deadline_ns) {
	uint32_t state = fence_state(fence);
	while ((state & STATE_SIGNALED) == 0) {
		if (drive_some()) {
			state = fence_state(fence);
			continue;
		}
		if ((state & STATE_WAITER) == 0) {
			state = __atomic_fetch_or(&fence->state, STATE_WAITER, __ATOMIC_ACQ_REL);
			state |= STATE_WAITER;
			continue;
		}
		int64_t expiry_ns = stile_fence_get_expiry(fence);
		int64_t until_ns = drive_until(deadline_ns < expiry_ns ? deadline_ns : expiry_ns);
		int ret = os_futex_wait(&fence->state, state, until_ns);
		state = fence_state(fence);
		if (ret == -ETIME && (state & STATE_SIGNALED) == 0) {
			if (fence_is_overdue(fence) && stile_fence_is_signaled(fence)) {
				return 0;
			}
			if (until_ns == deadline_ns) {
				return -ETIME;
			}
		}
	}
	return 0;
}

/*
 * Where the implementer knows better how to wait, nobody else is asked to signal: who watches for it
 * in the background would only be woken as well. The op knows nothing of the expiry.
 */
static int fence_wait_by_op(struct stile_fence *fence, int64_t deadline_ns) {
	while (!stile_fence_is_signaled(fence)) {
		if (deadline_ns != 0 && drive_some()) {
			continue;
		}
		int64_t expiry_ns = stile_fence_get_expiry(fence);
		int64_t until_ns = drive_until(deadline_ns < expiry_ns ? deadline_ns : expiry_ns);
		if (deadline_ns == 0 ||
			(fence->ops->wait(fence, until_ns) != 0 && until_ns == deadline_ns)) {
			return stile_fence_is_signaled(fence) ? 0 : -ETIME;
		}
	}
	return 0;
}

int fence_wait(struct stile_fence *fence, int64_t deadline_ns) {
	if (deadline_ns < 0) {
		return -EINVAL;
	}
	check_wait();
	if (fence->ops->wait != NULL) {
		return fence_wait_by_op(fence, deadline_ns);
	}
	stile_fence_enable_signaling(fence);
	if (fence_state(fence) & STATE_SIGNALED) {
		return 0;
	}
	if (deadline_ns == 0) {
		return fence_is_overdue(fence) && stile_fence_is_signaled(fence) ? 0 : -ETIME;
	}
	return fence_sleep(fence, deadline_ns);
}

static int fence_wait_seen(struct stile_fence *fence, int64_t deadline_ns, const void *place) {
	struct graph_wait seen = { .who.place = place, .fences = &fence, .count = 1 };
	int ret;
	graph_wait_begin(&seen, deadline_ns);
	do {
		ret = fence_wait(fence, seen.until_ns);
	} while (graph_wait_goes_on(&seen, ret));
	if (ret == 0) {
		graph_wait_succeeded(&seen, 0);
	}
	return ret;
}

int fence_wait_at(struct stile_fence *fence, int64_t deadline_ns, const void *place) {
	if (check_is_on() && deadline_ns > 0 && !fence_has_ended(fence)) {
		return fence_wait_seen(fence, deadline_ns, place);
	}
	return fence_wait(fence, deadline_ns);
}

int stile_fence_wait(struct stile_fence *fence, int64_t deadline_ns) {
	return fence_wait_at(fence, deadline_ns, __builtin_return_address(0));
}
