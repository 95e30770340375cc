/* SPDX-License-Identifier: MIT */
/*
 * Wait/wound mutexes: KERNEL_CONTRACT section 7.
 *
 * `owner` says all: 0 is free, else it is the acquire context that has the mutex, or the thread that has
 * it without one, PLAIN; WAITERS: somebody is in the queue. Without WAITERS a mutex is taken and given
 * up by one compare-and-swap; with it, both happen under the mutex's own small lock, so whoever has that
 * lock and sees a context there may look at it: the context cannot end as long as it has the mutex. For
 * that, the swaps release what the context is, and acquire that others have looked.
 *
 * A mutex that is given up is free for anybody, first for the thread that runs; only if the first in the
 * queue was woken in vain before is it handed over. All wake-ups are made under the mutex's lock, without
 * which nobody leaves the queue.
 */
#include "src/ww_mutex.h"

#include <errno.h>

#include <stile/wait.h>

#include "src/check.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/wait.h"

enum { WAITERS = 1u << 0, PLAIN = 1u << 1 };

#define HOLDER (~(uintptr_t)WAITERS)

/* What makes a context one to look at twice. */
enum {
	DONE = 1u << 0,      /* nothing more may be locked */
	ENDED = 1u << 1,     /* stile_ww_acquire_fini() was called */
	WOUNDED = 1u << 2,   /* has to give up what it has: set by others */
	CONTENDED = 1u << 3, /* got -EDEADLK, and has not dealt with it */
	INJECTED = 1u << 4,  /* gets -EDEADLK now and then */
};

struct stile_ww_waiter {
	struct stile_ww_waiter *next;
	struct stile_ww_waiter *prev;
	struct stile_ww_acquire *acquire; /* NULL: none */
	uintptr_t identity;               /* what `owner` will be */
	uint32_t *word;                   /* what it sleeps on */
	bool impatient;                   /* it was woken in vain */
	bool granted;                     /* it is the owner, and out of the queue */
};

static bool injecting;

void stile_ww_inject_deadlocks(bool on) {
	__atomic_store_n(&injecting, on, __ATOMIC_RELAXED);
}

/* Its address is the thread. */
static _Thread_local uint64_t this_thread __attribute__((tls_model("initial-exec")));

static uintptr_t plain_identity(void) {
	return (uintptr_t)&this_thread | PLAIN;
}

static uintptr_t owner_load(const struct stile_ww_mutex *mutex) {
	return __atomic_load_n(&mutex->owner, __ATOMIC_RELAXED);
}

/* The context of an owner, or NULL. */
static struct stile_ww_acquire *owner_acquire(uintptr_t owner) {
	return (owner & PLAIN) != 0 ? NULL : (struct stile_ww_acquire *)(owner & HOLDER);
}

static bool is_older(const struct stile_ww_acquire *a, const struct stile_ww_acquire *b) {
	return (int64_t)(a->stamp - b->stamp) < 0;
}

static uint32_t acquire_flags(const struct stile_ww_acquire *acquire) {
	return __atomic_load_n(&acquire->flags, __ATOMIC_ACQUIRE);
}

static void acquire_set(struct stile_ww_acquire *acquire, uint32_t flag) {
	__atomic_fetch_or(&acquire->flags, flag, __ATOMIC_RELEASE);
}

static void acquire_clear(struct stile_ww_acquire *acquire, uint32_t flag) {
	__atomic_fetch_and(&acquire->flags, ~flag, __ATOMIC_RELAXED);
}

/* ---- What the checker hears ---------------------------------------------------------------- */

static void check_ticket_begin(struct stile_ww_class *ww_class, const void *place) {
	struct check_object ticket = {
		.key = &ww_class->ticket,
		.name = "acquire context",
		.object = &ww_class->ticket,
	};
	check_assume_order(ticket.key, ticket.name, ww_class, ww_class->name);
	check_object_acquire(&ticket, true, place);
}

static void check_mutex_taken(struct stile_ww_mutex *mutex, const struct stile_ww_acquire *acquire,
	bool may_block, const void *place) {
	struct check_object object = {
		.key = mutex->ww_class,
		.name = mutex->ww_class->name,
		.object = mutex,
		.nest = acquire,
	};
	check_object_acquire(&object, may_block, place);
}

/* ---- Acquire contexts ---------------------------------------------------------------------- */

void stile_ww_acquire_init(struct stile_ww_acquire *acquire, struct stile_ww_class *ww_class) {
	acquire->ww_class = ww_class;
	acquire->stamp = __atomic_add_fetch(&ww_class->stamp, 1, __ATOMIC_RELAXED);
	acquire->thread = &this_thread;
	acquire->contended = NULL;
	acquire->sleeps_on = NULL;
	acquire->lock = 0;
	acquire->flags = 0;
	acquire->acquired = 0;
	if (__atomic_load_n(&injecting, __ATOMIC_RELAXED)) {
		acquire->flags = INJECTED;
		acquire->until_injection = acquire->stamp & 15;
		acquire->injection_interval = 1;
	}
	if (check_is_on()) {
		check_ticket_begin(ww_class, __builtin_return_address(0));
	}
}

void stile_ww_acquire_done(struct stile_ww_acquire *acquire) {
	if (acquire_flags(acquire) & (DONE | ENDED)) {
		check_warn("an acquire context of \"%s\" is done twice", acquire->ww_class->name);
	}
	acquire_set(acquire, DONE);
}

void stile_ww_acquire_fini(struct stile_ww_acquire *acquire) {
	struct stile_ww_class *ww_class = acquire->ww_class;
	if (acquire->acquired > 0) {
		check_warn("an acquire context of \"%s\" ends with %u of its mutexes locked",
			ww_class->name, acquire->acquired);
	}
	if (acquire_flags(acquire) & ENDED) {
		check_warn("an acquire context of \"%s\" ends twice", ww_class->name);
	}
	if (acquire->thread != &this_thread) {
		check_warn("an acquire context of \"%s\" ends on another thread than it began on",
			ww_class->name);
	}
	acquire->flags = ENDED;
	if (check_is_on()) {
		check_object_release(&ww_class->ticket, &ww_class->ticket);
	}
}

void stile_ww_acquire_skip(struct stile_ww_acquire *acquire) {
	acquire_clear(acquire, CONTENDED);
	acquire->contended = NULL;
}

/* It gives way: what that was for is locked first when it comes again. */
static int acquire_back_off(struct stile_ww_acquire *acquire, struct stile_ww_mutex *mutex) {
	acquire->contended = mutex;
	acquire_set(acquire, CONTENDED);
	return -EDEADLK;
}

/* Something is to be said before it may lock this mutex. 0 or -EINVAL. */
static int acquire_look(struct stile_ww_acquire *acquire, struct stile_ww_mutex *mutex) {
	uint32_t flags = acquire_flags(acquire);
	const char *name = mutex->ww_class->name;
	if (mutex->ww_class != acquire->ww_class) {
		check_warn("a mutex of \"%s\" is locked with an acquire context of \"%s\"", name,
			acquire->ww_class->name);
		return -EINVAL;
	}
	if (flags & (DONE | ENDED)) {
		check_warn("a mutex of \"%s\" is locked with an acquire context that %s", name,
			flags & ENDED ? "has ended" : "is done");
		return -EINVAL;
	}
	if (acquire->acquired == 0) {
		acquire_clear(acquire, WOUNDED);
	}
	if ((flags & CONTENDED) == 0) {
		return 0;
	}
	if (acquire->acquired > 0) {
		check_warn("a mutex of \"%s\" is locked after -EDEADLK, with %u other%s still "
			   "locked with the same acquire context",
			name, acquire->acquired, PLURAL(acquire->acquired));
	} else if (mutex != acquire->contended && check_is_on()) {
		check_warn(
			"after -EDEADLK, another mutex of \"%s\" is locked first than the one that "
			"gave it",
			name);
	}
	stile_ww_acquire_skip(acquire);
	return 0;
}

/* Quick if there is nothing to say. */
static int acquire_may_lock(struct stile_ww_acquire *acquire, struct stile_ww_mutex *mutex) {
	if (mutex->ww_class == acquire->ww_class &&
		(acquire_flags(acquire) & ~(uint32_t)INJECTED) == 0) {
		return 0;
	}
	return acquire_look(acquire, mutex);
}

/* M-15: it has got a mutex, and has to give it up again. */
static bool acquire_is_injected(struct stile_ww_acquire *acquire) {
	if ((acquire_flags(acquire) & INJECTED) == 0 || acquire->acquired < 2) {
		return false;
	}
	if (acquire->until_injection > 0) {
		acquire->until_injection--;
		return false;
	}
	uint32_t interval = acquire->injection_interval;
	interval = interval > UINT32_MAX / 4 ? UINT32_MAX : interval * 7 / 2;
	acquire->injection_interval = interval;
	acquire->until_injection = interval;
	return true;
}

/* ---- The queue: all of it with the mutex's lock held ---------------------------------------- */

/* Contexts by age, and a younger one never makes an older one later; the rest as they come (M-13). */
static void queue_insert(struct stile_ww_mutex *mutex, struct stile_ww_waiter *waiter) {
	struct stile_ww_waiter *before = NULL; /* the oldest of those that are younger */
	if (waiter->acquire != NULL) {
		before = mutex->first;
		while (before != NULL &&
			(before->acquire == NULL || !is_older(waiter->acquire, before->acquire))) {
			before = before->next;
		}
	}
	waiter->next = before;
	waiter->prev = before != NULL ? before->prev : mutex->last;
	*(waiter->prev != NULL ? &waiter->prev->next : &mutex->first) = waiter;
	*(before != NULL ? &before->prev : &mutex->last) = waiter;
}

static void clear_waiters_if_none(struct stile_ww_mutex *mutex) {
	if (mutex->first == NULL) {
		__atomic_fetch_and(&mutex->owner, HOLDER, __ATOMIC_RELEASE);
	}
}

static void queue_remove(struct stile_ww_mutex *mutex, struct stile_ww_waiter *waiter) {
	*(waiter->prev != NULL ? &waiter->prev->next : &mutex->first) = waiter->next;
	*(waiter->next != NULL ? &waiter->next->prev : &mutex->last) = waiter->prev;
	clear_waiters_if_none(mutex);
}

/* With or without a queue: it may be given up or taken at this moment if there is none. */
static bool try_take(struct stile_ww_mutex *mutex, uintptr_t identity) {
	uintptr_t owner = owner_load(mutex);
	while ((owner & HOLDER) == 0) {
		if (__atomic_compare_exchange_n(&mutex->owner, &owner, identity | owner, true,
			    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			return true;
		}
	}
	return false;
}

/*
 * From now on it is given up under the lock only, and its holder may be looked at. False: it was free,
 * and is taken now.
 */
static bool set_waiters(struct stile_ww_mutex *mutex, uintptr_t identity) {
	uintptr_t owner = owner_load(mutex);
	for (;;) {
		bool is_free = (owner & HOLDER) == 0;
		uintptr_t after = is_free ? identity | owner : owner | WAITERS;
		if (__atomic_compare_exchange_n(&mutex->owner, &owner, after, true,
			    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			return !is_free;
		}
	}
}

/* ---- Who gives way: with the mutex's lock held ----------------------------------------------- */

static bool uses_wounds(const struct stile_ww_mutex *mutex) {
	return mutex->ww_class->algorithm == STILE_WW_WOUND_WAIT;
}

/* M-9. The victim has a mutex whose lock is held, so it is there; but it may sleep for another one. */
static void wound(struct stile_ww_acquire *victim) {
	acquire_set(victim, WOUNDED);
	os_lock(&victim->lock);
	if (victim->sleeps_on != NULL) {
		wait_wake(victim->sleeps_on);
	}
	os_unlock(&victim->lock);
}

/* `older` waits for `victim`, or would if that one had a mutex that is free for now. */
static void wound_if_younger(
	const struct stile_ww_acquire *older, struct stile_ww_acquire *victim) {
	if (victim != NULL && older->acquired > 0 && is_older(older, victim)) {
		wound(victim);
	}
}

/* M-8: younger ones that have something do not wait behind an older one. */
static void wake_those_who_die(
	const struct stile_ww_mutex *mutex, const struct stile_ww_acquire *older) {
	for (struct stile_ww_waiter *at = mutex->first; at != NULL; at = at->next) {
		if (at->acquire != NULL && at->acquire->acquired > 0 &&
			is_older(older, at->acquire)) {
			wait_wake(at->word);
		}
	}
}

/* Has a context to back off instead of waiting? `ahead`: those before its place in the queue. */
static bool must_back_off(const struct stile_ww_mutex *mutex,
	const struct stile_ww_acquire *acquire, const struct stile_ww_waiter *ahead) {
	if (acquire == NULL || acquire->acquired == 0) {
		return false;
	}
	if (uses_wounds(mutex)) {
		return (acquire_flags(acquire) & WOUNDED) != 0;
	}
	const struct stile_ww_acquire *holder = owner_acquire(owner_load(mutex));
	if (holder != NULL && is_older(holder, acquire)) {
		return true;
	}
	while (ahead != NULL && ahead->acquire == NULL) {
		ahead = ahead->prev;
	}
	return ahead != NULL;
}

/* It has come to the queue: others wait for an older one now, or an older one for the holder. */
static void tell_of_arrival(struct stile_ww_mutex *mutex, struct stile_ww_acquire *acquire) {
	if (acquire == NULL) {
		return;
	}
	if (uses_wounds(mutex)) {
		wound_if_younger(acquire, owner_acquire(owner_load(mutex)));
	} else {
		wake_those_who_die(mutex, acquire);
	}
}

/* It has got the mutex past others, who wait for it now. */
static void tell_of_passing(struct stile_ww_mutex *mutex, struct stile_ww_acquire *acquire) {
	if (acquire == NULL) {
		return;
	}
	if (!uses_wounds(mutex)) {
		wake_those_who_die(mutex, acquire);
		return;
	}
	for (struct stile_ww_waiter *at = mutex->first; at != NULL; at = at->next) {
		if (at->acquire != NULL) {
			wound_if_younger(at->acquire, acquire);
		}
	}
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static void sleep_on(struct stile_ww_acquire *acquire, uint32_t *word) {
	if (acquire != NULL) {
		os_lock(&acquire->lock);
		acquire->sleeps_on = word;
		os_unlock(&acquire->lock);
	}
}

/*
 * In the queue, with the mutex's lock held, which is given up while asleep. 0, -EDEADLK or -EINTR; out
 * of the queue then. The first one never leaves a free mutex behind: nobody else has to be woken.
 */
static int wait_in_queue(struct stile_ww_mutex *mutex, struct stile_ww_waiter *self) {
	for (;;) {
		/* Before all that is looked at: whatever changes after it is seen here wakes. */
		uint32_t seen = __atomic_load_n(self->word, __ATOMIC_ACQUIRE);
		if (self->granted) {
			return 0;
		}
		if (mutex->first == self && try_take(mutex, self->identity)) {
			queue_remove(mutex, self);
			return 0;
		}
		if (must_back_off(mutex, self->acquire, self->prev)) {
			queue_remove(mutex, self);
			return -EDEADLK;
		}
		if (seen & WAIT_RAISED) {
			queue_remove(mutex, self);
			return -EINTR;
		}
		os_unlock(&mutex->lock);
		os_futex_wait(self->word, seen, INT64_MAX);
		os_lock(&mutex->lock);
		self->impatient |= mutex->first == self;
	}
}

/* The last of the queue that a newcomer would come after. */
static const struct stile_ww_waiter *last_ahead(
	const struct stile_ww_mutex *mutex, const struct stile_ww_acquire *acquire) {
	const struct stile_ww_waiter *at = mutex->last;
	while (at != NULL && (at->acquire == NULL || is_older(acquire, at->acquire))) {
		at = at->prev;
	}
	return at;
}

/* With the mutex's lock and WAITERS. The calling thread would wait for itself. */
static bool is_own(const struct stile_ww_mutex *mutex) {
	uintptr_t owner = owner_load(mutex) & HOLDER;
	const struct stile_ww_acquire *holder = owner_acquire(owner);
	return owner == plain_identity() || (holder != NULL && holder->thread == &this_thread);
}

/* M-14: nothing that this thread could do would end the wait. */
static int refuse_own(const struct stile_ww_mutex *mutex, const struct stile_ww_acquire *acquire) {
	check_warn("a mutex of \"%s\" is locked by the thread that has it locked%s",
		mutex->ww_class->name,
		acquire == NULL ? "" : ", with another acquire context or none");
	return acquire == NULL ? -EDEADLK : -EINVAL;
}

/* Somebody had it. 0, -EDEADLK, -EINTR or -EINVAL. */
static int lock_contended(struct stile_ww_mutex *mutex, struct stile_ww_acquire *acquire,
	uintptr_t identity, struct stile_cancel *cancel) {
	uint32_t own = 0;
	struct stile_ww_waiter self = {
		.acquire = acquire,
		.identity = identity,
		.word = cancel == NULL ? &own : &cancel->word,
	};
	int ret = 0;
	bool own_mutex = false;
	/* A wound is either seen below, or finds the word. */
	sleep_on(acquire, self.word);
	os_lock(&mutex->lock);
	if (!set_waiters(mutex, identity)) {
		tell_of_passing(mutex, acquire);
	} else if (is_own(mutex)) {
		clear_waiters_if_none(mutex);
		own_mutex = true;
	} else if (acquire != NULL && must_back_off(mutex, acquire, last_ahead(mutex, acquire))) {
		clear_waiters_if_none(mutex);
		ret = -EDEADLK;
	} else {
		queue_insert(mutex, &self);
		tell_of_arrival(mutex, acquire);
		ret = wait_in_queue(mutex, &self);
	}
	os_unlock(&mutex->lock);
	sleep_on(acquire, NULL);
	return own_mutex ? refuse_own(mutex, acquire) : ret;
}

/* ---- Locking --------------------------------------------------------------------------------- */

static int lock_plain(struct stile_ww_mutex *mutex, struct stile_cancel *cancel) {
	uintptr_t seen = 0, identity = plain_identity();
	if (__atomic_compare_exchange_n(
		    &mutex->owner, &seen, identity, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		return 0;
	}
	return lock_contended(mutex, NULL, identity, cancel);
}

static int lock_with(struct stile_ww_mutex *mutex, struct stile_ww_acquire *acquire,
	struct stile_cancel *cancel) {
	uintptr_t seen = 0, identity = (uintptr_t)acquire;
	if (!__atomic_compare_exchange_n(
		    &mutex->owner, &seen, identity, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
		int ret = lock_contended(mutex, acquire, identity, cancel);
		if (ret < 0) {
			return ret == -EDEADLK ? acquire_back_off(acquire, mutex) : ret;
		}
	}
	acquire->acquired++;
	return 0;
}

static int lock_any(struct stile_ww_mutex *mutex, struct stile_ww_acquire *acquire,
	struct stile_cancel *cancel, const void *place) {
	if (check_is_on()) {
		check_mutex_taken(mutex, acquire, true, place);
	}
	int ret = acquire == NULL ? lock_plain(mutex, cancel) : lock_with(mutex, acquire, cancel);
	if (ret < 0 && check_is_on()) {
		check_object_release(mutex->ww_class, mutex);
	}
	return ret;
}

int stile_ww_mutex_lock(struct stile_ww_mutex *mutex, struct stile_ww_acquire *acquire,
	struct stile_cancel *cancel) {
	const void *place = __builtin_return_address(0);
	if (acquire == NULL) {
		return lock_any(mutex, NULL, cancel, place);
	}
	if ((owner_load(mutex) & HOLDER) == (uintptr_t)acquire) {
		return -EALREADY;
	}
	int ret = acquire_may_lock(acquire, mutex);
	if (ret == 0) {
		ret = lock_any(mutex, acquire, cancel, place);
	}
	if (ret == 0 && acquire_is_injected(acquire)) {
		stile_ww_mutex_unlock(mutex);
		ret = acquire_back_off(acquire, mutex);
	}
	return ret;
}

int stile_ww_mutex_lock_slow(struct stile_ww_mutex *mutex, struct stile_ww_acquire *acquire,
	struct stile_cancel *cancel) {
	const void *place = __builtin_return_address(0);
	if (acquire->acquired > 0 || acquire->contended != mutex) {
		check_warn("a mutex of \"%s\" is locked the slow way %s", mutex->ww_class->name,
			acquire->acquired > 0 ? "while others are locked with the same context"
					      : "though it was not the one that gave -EDEADLK");
		return -EINVAL;
	}
	int ret = acquire_may_lock(acquire, mutex);
	if (ret == 0) {
		ret = lock_any(mutex, acquire, cancel, place);
	}
	if (ret < 0) {
		/* Interrupted, or a misuse: it may come again. */
		acquire_back_off(acquire, mutex);
	}
	return ret;
}

int stile_ww_mutex_trylock(struct stile_ww_mutex *mutex, struct stile_ww_acquire *acquire) {
	uintptr_t identity = acquire == NULL ? plain_identity() : (uintptr_t)acquire;
	if ((owner_load(mutex) & HOLDER) != 0) {
		return -EBUSY;
	}
	int ret = acquire == NULL ? 0 : acquire_may_lock(acquire, mutex);
	if (ret < 0) {
		return ret;
	}
	os_lock(&mutex->lock);
	bool taken = try_take(mutex, identity);
	if (taken) {
		tell_of_passing(mutex, acquire);
	}
	os_unlock(&mutex->lock);
	if (!taken) {
		return -EBUSY;
	}
	if (acquire != NULL) {
		acquire->acquired++;
	}
	if (check_is_on()) {
		check_mutex_taken(mutex, acquire, false, __builtin_return_address(0));
	}
	return 0;
}

/* ---- Unlocking ------------------------------------------------------------------------------- */

/* There are waiters: the first may have it if nobody is quicker, but not in vain twice. */
static void unlock_contended(struct stile_ww_mutex *mutex) {
	os_lock(&mutex->lock);
	struct stile_ww_waiter *first = mutex->first;
	if (first == NULL) {
		/* Somebody came, and backed off at once. */
		__atomic_store_n(&mutex->owner, 0, __ATOMIC_RELEASE);
	} else if (first->impatient) {
		__atomic_store_n(&mutex->owner, first->identity | WAITERS, __ATOMIC_RELEASE);
		queue_remove(mutex, first);
		first->granted = true;
		wait_wake(first->word);
	} else {
		__atomic_store_n(&mutex->owner, WAITERS, __ATOMIC_RELEASE);
		wait_wake(first->word);
	}
	os_unlock(&mutex->lock);
}

void stile_ww_mutex_unlock(struct stile_ww_mutex *mutex) {
	uintptr_t owner = owner_load(mutex) & HOLDER;
	struct stile_ww_acquire *acquire = owner_acquire(owner);
	if (acquire != NULL && acquire->thread == &this_thread) {
		acquire->acquired--;
	} else if (owner != plain_identity()) {
		check_warn("a mutex of \"%s\" is unlocked %s", mutex->ww_class->name,
			owner == 0 ? "that is not locked" : "by a thread that has not locked it");
		return;
	}
	uintptr_t seen = owner;
	if (!__atomic_compare_exchange_n(
		    &mutex->owner, &seen, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
		unlock_contended(mutex);
	}
	if (check_is_on()) {
		check_object_release(mutex->ww_class, mutex);
	}
}

/* ---- What it is ------------------------------------------------------------------------------ */

void stile_ww_mutex_init(struct stile_ww_mutex *mutex, struct stile_ww_class *ww_class) {
	*mutex = (struct stile_ww_mutex){ .ww_class = ww_class };
}

bool ww_mutex_may_be_held(const struct stile_ww_mutex *mutex) {
	uintptr_t owner = owner_load(mutex) & HOLDER;
	return owner == plain_identity() || owner_acquire(owner) != NULL;
}

bool ww_mutex_is_held_plainly(const struct stile_ww_mutex *mutex) {
	return (owner_load(mutex) & HOLDER) == plain_identity();
}

bool stile_ww_mutex_is_locked(const struct stile_ww_mutex *mutex) {
	return (owner_load(mutex) & HOLDER) != 0;
}

struct stile_ww_acquire *stile_ww_mutex_get_acquire(const struct stile_ww_mutex *mutex) {
	return owner_acquire(owner_load(mutex));
}
