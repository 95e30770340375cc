/* SPDX-License-Identifier: MIT */
/*
 * Fences on a word, see src/seqno.c.
 *
 * Who waits for one fence sleeps on the word itself. For callbacks a thread does, one for all
 * fences of the object; it is started by the first and ends soon after the last. Nobody joins it,
 * since the last reference may go anywhere, under a fence's lock too: if it still runs then, it is
 * the one that frees the object. Nobody who sleeps on the word hears of anything else, so nobody
 * does for long.
 */
#include <stile/seqno.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <stile/fence.h>

#include "src/check.h"
#include "src/fence.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/seqno.h"

/* What may happen without the word: the producer's end, somebody else's signal. */
#define SLICE_NS INT64_C(50000000)
/* How long a thread without fences stays: frames come more often. */
#define LINGER_NS SLICE_NS

/* Looking at a word on which nobody can sleep. */
#define BACKOFF_MIN_NS INT64_C(1000)
#define BACKOFF_MAX_NS INT64_C(1000000)
enum { BACKOFF_SPINS = 64, BACKOFF_DOUBLINGS = 10 };

struct seqno_fence {
	struct stile_fence base;
	struct stile_seqno *seqno; /* referenced */
	uint32_t value;
	enum stile_seqno_condition condition;
	int32_t verdict; /* 0, 1 or an error; the first one stands */

	/* Under the object's lock. A fence that is about to be released may still be linked. */
	bool linked;
	struct seqno_fence *next;
	struct seqno_fence *prev;
};

struct backoff {
	uint32_t seen;
	int rounds;
};

/* How long to sleep before the next look; 0: not at all. A word that moves is looked at eagerly. */
static int64_t backoff_next(struct backoff *backoff, uint32_t seen) {
	if (backoff->seen != seen) {
		*backoff = (struct backoff){ .seen = seen };
	}
	if (backoff->rounds < BACKOFF_SPINS) {
		backoff->rounds++;
		return 0;
	}
	int doublings = backoff->rounds - BACKOFF_SPINS;
	if (doublings >= BACKOFF_DOUBLINGS) {
		return BACKOFF_MAX_NS;
	}
	backoff->rounds++;
	return BACKOFF_MIN_NS << doublings;
}

/* ---- The fence ---------------------------------------------------------------------------- */

static struct seqno_fence *seqno_fence_of(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct seqno_fence, base);
}

static const char *seqno_fence_get_driver_name(struct stile_fence *fence) {
	(void)fence;
	return "seqno";
}

static const char *seqno_fence_get_timeline_name(struct stile_fence *fence) {
	return seqno_fence_of(fence)->seqno->buffer != NULL ? "buffer" : "memfd";
}

/* The first verdict stands; gives it. */
static int seqno_fence_settle(struct seqno_fence *self, int verdict) {
	int32_t before = 0;
	__atomic_compare_exchange_n(
		&self->verdict, &before, verdict, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	return before != 0 ? before : verdict;
}

static bool seqno_fence_is_met(const struct seqno_fence *self, uint32_t word) {
	if (self->condition == STILE_SEQNO_NONZERO) {
		return word != 0;
	}
	return (int32_t)(word - self->value) >= 0;
}

/* What the word alone says. */
static int seqno_fence_look(struct seqno_fence *self, uint32_t word) {
	int verdict = __atomic_load_n(&self->verdict, __ATOMIC_ACQUIRE);
	if (verdict == 0 && seqno_fence_is_met(self, word)) {
		verdict = seqno_fence_settle(self, 1);
	}
	return verdict;
}

static int seqno_fence_judge(struct seqno_fence *self) {
	struct stile_seqno *seqno = self->seqno;
	int verdict = seqno_fence_look(self, stile_seqno_get_value(seqno));
	if (verdict == 0 && seqno_is_orphan(seqno)) {
		/* The producer's last act may have been to raise it. */
		verdict = seqno_fence_look(self, stile_seqno_get_value(seqno));
		if (verdict == 0) {
			verdict = seqno_fence_settle(self, -EOWNERDEAD);
		}
	}
	return verdict;
}

static bool seqno_fence_signaled(struct stile_fence *fence) {
	int verdict = seqno_fence_judge(seqno_fence_of(fence));
	if (verdict < 0) {
		stile_fence_set_error(fence, verdict);
	}
	return verdict != 0;
}

static int64_t earlier(int64_t a, int64_t b) {
	return a < b ? a : b;
}

static int seqno_fence_wait(struct stile_fence *fence, int64_t deadline_ns) {
	struct stile_seqno *seqno = seqno_fence_of(fence)->seqno;
	struct backoff backoff = { 0 };
	for (;;) {
		uint32_t seen = stile_seqno_get_value(seqno);
		if (stile_fence_is_signaled(fence)) {
			return 0;
		}
		int64_t now = os_clock_ns();
		if (now >= deadline_ns) {
			return -ETIME;
		}
		int64_t until_ns = earlier(deadline_ns, stile_fence_get_expiry(fence));
		if (seqno->sleepers != NULL) {
			seqno_sleep(seqno, seen, earlier(until_ns, now + SLICE_NS));
			continue;
		}
		int64_t pause_ns = backoff_next(&backoff, seen);
		if (pause_ns > 0 && fence_sleep(fence, earlier(until_ns, now + pause_ns)) == 0) {
			return 0;
		}
	}
}

/* ---- The thread --------------------------------------------------------------------------- */

void seqno_kick(struct stile_seqno *seqno) {
	__atomic_fetch_add(&seqno->kicks, 1, __ATOMIC_RELAXED);
	if (seqno->listening) {
		os_futex_wake_all(&seqno->kicks);
	}
}

/* The lock is held. */
static void seqno_link(struct stile_seqno *seqno, struct seqno_fence *self) {
	self->linked = true;
	self->next = NULL;
	self->prev = seqno->last;
	if (seqno->last != NULL) {
		seqno->last->next = self;
	} else {
		seqno->first = self;
	}
	seqno->last = self;
}

/* The lock is held. */
static void seqno_unlink(struct stile_seqno *seqno, struct seqno_fence *self) {
	self->linked = false;
	if (self->prev != NULL) {
		self->prev->next = self->next;
	} else {
		seqno->first = self->next;
	}
	if (self->next != NULL) {
		self->next->prev = self->prev;
	} else {
		seqno->last = self->prev;
	}
}

/* May it have ended without the word? */
static bool seqno_fence_is_suspect(const struct seqno_fence *self, bool orphan, int64_t now) {
	return orphan || stile_fence_get_expiry(&self->base) <= now ||
		/* Somebody else signalled it: it got its time. */
		__atomic_load_n(&self->base.timestamp_ns, __ATOMIC_RELAXED) != 0;
}

/*
 * The lock is held. Those that are done: unlinked, referenced, in a list by `next`. They are all
 * measured by one look at the word, so that none overtakes another. `now` is 0 if there is no time
 * for more than the word.
 */
static struct seqno_fence *seqno_take(struct stile_seqno *seqno, uint32_t word, int64_t now) {
	bool orphan = now != 0 && seqno_is_orphan(seqno);
	struct seqno_fence *taken = NULL, **end = &taken, *next;
	for (struct seqno_fence *self = seqno->first; self != NULL; self = next) {
		next = self->next;
		bool done = seqno_fence_look(self, word) != 0 ||
			(now != 0 && seqno_fence_is_suspect(self, orphan, now));
		if (done && fence_ref_unless_zero(&self->base)) {
			seqno_unlink(seqno, self);
			self->next = NULL;
			*end = self;
			end = &self->next;
		}
	}
	return taken;
}

/* End them; a suspicion that was wrong is watched again. */
static void seqno_handle(struct stile_seqno *seqno, struct seqno_fence *taken) {
	while (taken != NULL) {
		struct seqno_fence *self = taken;
		taken = self->next;
		if (!stile_fence_is_signaled(&self->base)) {
			pthread_mutex_lock(&seqno->lock);
			seqno_link(seqno, self);
			pthread_mutex_unlock(&seqno->lock);
		}
		stile_fence_unref(&self->base);
	}
}

/* The lock is held, and is given up to sleep. True if there was nothing to do for long. */
static bool seqno_rest(
	struct stile_seqno *seqno, uint32_t seen, int64_t until_ns, struct backoff *backoff) {
	uint32_t kicks = __atomic_load_n(&seqno->kicks, __ATOMIC_RELAXED);
	bool idle = seqno->first == NULL;
	if (!idle && seqno->sleepers != NULL) {
		pthread_mutex_unlock(&seqno->lock);
		seqno_sleep(seqno, seen, until_ns);
		pthread_mutex_lock(&seqno->lock);
		return false;
	}
	int64_t pause_ns = idle ? LINGER_NS : backoff_next(backoff, seen);
	seqno->listening = true;
	pthread_mutex_unlock(&seqno->lock);
	int ret = pause_ns == 0 ? -ETIME
				: os_futex_wait(&seqno->kicks, kicks, os_clock_ns() + pause_ns);
	pthread_mutex_lock(&seqno->lock);
	seqno->listening = false;
	if (ret != -ETIME) {
		/* There is a new fence, for which the word may move soon. */
		*backoff = (struct backoff){ .seen = seen };
	}
	return idle && ret == -ETIME;
}

/* The lock is held. */
static void seqno_watch(struct stile_seqno *seqno) {
	struct backoff backoff = { 0 };
	int64_t suspect_ns = 0; /* when to look next for what the word does not tell */
	bool bored = false;
	while (!seqno->ending && !(bored && seqno->first == NULL)) {
		/* Before the fences: a change after this look lets nobody sleep. */
		uint32_t seen = stile_seqno_get_value(seqno);
		int64_t now = os_clock_ns();
		bool suspect = now >= suspect_ns;
		if (suspect) {
			suspect_ns = now + SLICE_NS;
		}
		struct seqno_fence *taken = seqno_take(seqno, seen, suspect ? now : 0);
		if (taken == NULL) {
			bored = seqno_rest(seqno, seen, suspect_ns, &backoff);
			continue;
		}
		bored = false;
		pthread_mutex_unlock(&seqno->lock);
		seqno_handle(seqno, taken);
		pthread_mutex_lock(&seqno->lock);
	}
}

static void *seqno_run(void *arg) {
	struct stile_seqno *seqno = arg;
	pthread_mutex_lock(&seqno->lock);
	seqno_watch(seqno);
	bool ending = seqno->ending;
	seqno->running = false;
	pthread_mutex_unlock(&seqno->lock);
	if (ending) {
		seqno_free(seqno);
	}
	return NULL;
}

/* The lock is held. 0 or -EAGAIN. */
static int seqno_need_thread(struct stile_seqno *seqno) {
	if (seqno->running) {
		return 0;
	}
	pthread_t thread;
	if (os_thread_start(&thread, "stile-seqno", seqno_run, seqno) < 0) {
		return -EAGAIN;
	}
	pthread_detach(thread);
	seqno->running = true;
	return 0;
}

/* Look under the lock, then link: the thread has not looked at the fences since, or sees both. */
static int seqno_fence_watch(struct seqno_fence *self) {
	struct stile_seqno *seqno = self->seqno;
	pthread_mutex_lock(&seqno->lock);
	int ret = seqno_fence_judge(self);
	if (ret == 0) {
		ret = seqno_need_thread(seqno);
	}
	if (ret == 0) {
		seqno_link(seqno, self);
		seqno_kick(seqno);
	}
	pthread_mutex_unlock(&seqno->lock);
	return ret;
}

static bool seqno_fence_enable_signaling(struct stile_fence *fence) {
	struct seqno_fence *self = seqno_fence_of(fence);
	int ret = seqno_fence_judge(self);
	if (ret == 0) {
		ret = seqno_is_inherited(self->seqno) ? -ECHILD : seqno_fence_watch(self);
	}
	if (ret < 0) {
		stile_fence_set_error(fence, ret);
	}
	return ret == 0;
}

static void seqno_fence_release(struct stile_fence *fence) {
	struct seqno_fence *self = seqno_fence_of(fence);
	struct stile_seqno *seqno = self->seqno;
	if (fence_is_enabled(fence) && !seqno_is_inherited(seqno)) {
		pthread_mutex_lock(&seqno->lock);
		if (self->linked) {
			seqno_unlink(seqno, self);
		}
		pthread_mutex_unlock(&seqno->lock);
	}
	free(self);
	stile_seqno_unref(seqno);
}

static const struct stile_fence_ops seqno_fence_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = seqno_fence_get_driver_name,
	.get_timeline_name = seqno_fence_get_timeline_name,
	.enable_signaling = seqno_fence_enable_signaling,
	.signaled = seqno_fence_signaled,
	.release = seqno_fence_release,
	.wait = seqno_fence_wait,
	.flags = STILE_FENCE_USER,
};

int stile_seqno_create_fence(struct stile_seqno *seqno, uint32_t value,
	enum stile_seqno_condition condition, struct stile_fence **out) {
	*out = NULL;
	if (condition != STILE_SEQNO_GEQUAL && condition != STILE_SEQNO_NONZERO) {
		return -EINVAL;
	}
	check_alloc();
	struct seqno_fence *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		return -ENOMEM;
	}
	/* What is ordered by something else than the value must not look as if it were by that. */
	bool ordered = condition == STILE_SEQNO_GEQUAL;
	int ret = stile_fence_init(&self->base, &seqno_fence_ops,
		ordered ? seqno->context : stile_fence_context_alloc(1), ordered ? value : 1);
	if (ret < 0) {
		free(self);
		return ret;
	}
	fence_make_user(&self->base, seqno->producer, stile_fence_get_expiry(&self->base));
	self->seqno = stile_seqno_ref(seqno);
	self->value = value;
	self->condition = condition;
	*out = &self->base;
	return 0;
}
