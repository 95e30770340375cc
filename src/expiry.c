/* SPDX-License-Identifier: MIT */
#include "src/expiry.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "src/fence.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/tree.h"

_Static_assert(sizeof(struct tree_node) == sizeof(((struct stile_fence *)0)->expiry_node),
	"the public struct has room for a node");

/* Below every fence's lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* All below is under the lock. */
static struct tree armed; /* by time; not referenced: a fence leaves before it goes */
static bool running;      /* there is a thread */
static int64_t wake_ns;   /* when the thread looks next */
static uint32_t kicks;    /* what the thread sleeps on */

static struct tree_node *node_of(struct stile_fence *fence) {
	return (struct tree_node *)(void *)fence->expiry_node;
}

static struct stile_fence *fence_of(const struct tree_node *node) {
	return CONTAINER_OF(node, struct stile_fence, expiry_node);
}

static int compare(const struct tree_node *left, const struct tree_node *right) {
	int64_t a = fence_of(left)->expiry_ns, b = fence_of(right)->expiry_ns;
	return (a > b) - (a < b);
}

/* The lock is held. The next fence whose time has come, referenced; NULL: none has. */
static struct stile_fence *take_due(int64_t now) {
	struct tree_node *node;
	while ((node = tree_first(&armed)) != NULL && fence_of(node)->expiry_ns <= now) {
		tree_remove(&armed, node);
		if (fence_ref_unless_zero(fence_of(node))) {
			return fence_of(node);
		}
	}
	return NULL;
}

static void expire_due(void) {
	struct stile_fence *fence;
	while ((fence = take_due(os_clock_ns())) != NULL) {
		pthread_mutex_unlock(&lock);
		/* It may have ended in time, and nobody looked. */
		(void)stile_fence_is_signaled(fence);
		stile_fence_unref(fence);
		pthread_mutex_lock(&lock);
	}
}

/* Ends when nothing is armed by the time that it had set out to wake at: fences come and go often. */
static void *run(void *unused) {
	pthread_mutex_lock(&lock);
	for (;;) {
		expire_due();
		const struct tree_node *first = tree_first(&armed);
		if (first == NULL) {
			break;
		}
		wake_ns = fence_of(first)->expiry_ns;
		uint32_t seen = __atomic_load_n(&kicks, __ATOMIC_RELAXED);
		int64_t until = wake_ns;
		pthread_mutex_unlock(&lock);
		os_futex_wait(&kicks, seen, until);
		pthread_mutex_lock(&lock);
	}
	running = false;
	pthread_mutex_unlock(&lock);
	return unused;
}

/* The lock is held. */
static void kick(void) {
	__atomic_fetch_add(&kicks, 1, __ATOMIC_RELAXED);
	os_futex_wake_all(&kicks);
}

/* The lock is held. */
static void see_to_it(int64_t expiry_ns) {
	if (!running) {
		pthread_t thread;
		wake_ns = expiry_ns;
		running = os_thread_start(&thread, "stile-expiry", run, NULL) == 0;
		if (running) {
			pthread_detach(thread);
		}
	} else if (expiry_ns < wake_ns) {
		wake_ns = expiry_ns;
		kick();
	}
}

void expiry_arm(struct stile_fence *fence) {
	pthread_mutex_lock(&lock);
	if (!tree_holds(&armed, node_of(fence))) {
		tree_insert(&armed, node_of(fence), compare);
	}
	see_to_it(fence->expiry_ns);
	pthread_mutex_unlock(&lock);
}

void expiry_disarm(struct stile_fence *fence) {
	pthread_mutex_lock(&lock);
	if (tree_holds(&armed, node_of(fence))) {
		tree_remove(&armed, node_of(fence));
	}
	pthread_mutex_unlock(&lock);
}

void expiry_move(struct stile_fence *fence, int64_t expiry_ns, bool arm) {
	pthread_mutex_lock(&lock);
	if (tree_holds(&armed, node_of(fence))) {
		tree_remove(&armed, node_of(fence));
	}
	__atomic_store_n(&fence->expiry_ns, expiry_ns, __ATOMIC_RELAXED);
	/* What never comes is nothing to stay for. */
	if (arm && expiry_ns != INT64_MAX) {
		tree_insert(&armed, node_of(fence), compare);
		see_to_it(expiry_ns);
	}
	pthread_mutex_unlock(&lock);
}

static void before_fork(void) {
	pthread_mutex_lock(&lock);
}

static void after_fork(void) {
	pthread_mutex_unlock(&lock);
}

/* The thread is the parent's. A child's first armed fence starts another one. */
static void in_child(void) {
	running = false;
	pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void guard(void) {
	/* If there is no memory for this, a child made by fork may hang: it should exec anyway. */
	(void)os_atfork(before_fork, after_fork, in_child);
}
