/* SPDX-License-Identifier: MIT */
/*
 * Waits for several fences, and waits that can be cancelled. Each wait sleeps on one word: its own,
 * or that of the cancel token, which then is the word that fences wake as well: so raising it takes
 * no lock and no list, and is safe in a signal handler.
 */
#include <stile/wait.h>

#include <errno.h>
#include <stdlib.h>

#include "src/check.h"
#include "src/drive.h"
#include "src/fence.h"
#include "src/graph.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/wait.h"

/* As many as fit the stack without a thought. */
enum { FEW = 64 };

void stile_cancel_init(struct stile_cancel *cancel) {
	*cancel = (struct stile_cancel){ 0 };
}

void stile_cancel_raise(struct stile_cancel *cancel) {
	int before = errno;
	__atomic_fetch_or(&cancel->word, WAIT_RAISED, __ATOMIC_RELEASE);
	os_futex_wake_all(&cancel->word);
	errno = before;
}

bool stile_cancel_is_raised(const struct stile_cancel *cancel) {
	return (__atomic_load_n(&cancel->word, __ATOMIC_ACQUIRE) & WAIT_RAISED) != 0;
}

struct waiter {
	struct stile_callback callback;
	uint32_t *word;
};

/* Under the fence's lock: the waiting thread cannot leave before it has that lock. */
static void waiter_wake(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	wait_wake(CONTAINER_OF(callback, struct waiter, callback)->word);
}

static bool find_signaled(struct stile_fence *const *fences, size_t count, size_t *index) {
	for (size_t i = 0; i < count; i++) {
		if (stile_fence_is_signaled(fences[i])) {
			*index = i;
			return true;
		}
	}
	return false;
}

/* Before the deadline, a user fence may end by its expiry: seen here if nobody else can say so. */
static int64_t first_expiry(struct stile_fence *const *fences, size_t count, int64_t deadline_ns) {
	int64_t first_ns = deadline_ns;
	for (size_t i = 0; i < count; i++) {
		int64_t expiry_ns = stile_fence_get_expiry(fences[i]);
		first_ns = expiry_ns < first_ns ? expiry_ns : first_ns;
	}
	return first_ns;
}

/* Sleep on the word of the waiters until a fence is found signalled. */
static int sleep_any(struct stile_fence *const *fences, size_t count, uint32_t *word,
	int64_t deadline_ns, size_t *index) {
	for (;;) {
		uint32_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		if (find_signaled(fences, count, index)) {
			return 0;
		}
		if (seen & WAIT_RAISED) {
			return -EINTR;
		}
		if (drive_some()) {
			continue;
		}
		int64_t until_ns = drive_until(first_expiry(fences, count, deadline_ns));
		if (os_futex_wait(word, seen, until_ns) == -ETIME && until_ns == deadline_ns) {
			return find_signaled(fences, count, index) ? 0 : -ETIME;
		}
	}
}

static int wait_any(struct stile_fence *const *fences, size_t count, int64_t deadline_ns,
	struct stile_cancel *cancel, size_t *index, struct waiter *waiters) {
	uint32_t own = 0;
	uint32_t *word = cancel == NULL ? &own : &cancel->word;
	int ret = -ETIME;
	size_t added = 0;
	while (added < count) {
		waiters[added].word = word;
		if (stile_fence_add_callback(fences[added], &waiters[added].callback, waiter_wake) <
			0) {
			/* None before it was signalled when it was asked. */
			*index = added;
			ret = 0;
			break;
		}
		added++;
	}
	if (ret != 0) {
		ret = sleep_any(fences, count, word, deadline_ns, index);
	}
	while (added > 0) {
		added--;
		stile_fence_remove_callback(fences[added], &waiters[added].callback);
	}
	return ret;
}

static int wait_any_seen(struct stile_fence *const *fences, size_t count, int64_t deadline_ns,
	struct stile_cancel *cancel, size_t *index, struct waiter *waiters, const void *place) {
	struct graph_wait seen = {
		.who = { .place = place, .any = true },
		.fences = fences,
		.count = count,
	};
	int ret;
	graph_wait_begin(&seen, deadline_ns);
	do {
		ret = wait_any(fences, count, seen.until_ns, cancel, index, waiters);
	} while (graph_wait_goes_on(&seen, ret));
	if (ret == 0) {
		graph_wait_succeeded(&seen, *index);
	}
	return ret;
}

int fence_wait_any_at(struct stile_fence *const *fences, size_t count, int64_t deadline_ns,
	struct stile_cancel *cancel, size_t *index, const void *place) {
	if (count == 0 || deadline_ns < 0) {
		return -EINVAL;
	}
	check_wait();
	size_t found = 0;
	int ret = -ETIME;
	if (deadline_ns == 0) {
		if (find_signaled(fences, count, &found)) {
			ret = 0;
		} else if (cancel != NULL && stile_cancel_is_raised(cancel)) {
			ret = -EINTR;
		}
	} else if (count <= FEW) {
		struct waiter waiters[FEW];
		ret = wait_any_seen(fences, count, deadline_ns, cancel, &found, waiters, place);
	} else {
		check_alloc();
		struct waiter *waiters = calloc(count, sizeof(*waiters));
		if (waiters == NULL) {
			return -ENOMEM;
		}
		ret = wait_any_seen(fences, count, deadline_ns, cancel, &found, waiters, place);
		free(waiters);
	}
	if (ret == 0 && index != NULL) {
		*index = found;
	}
	return ret;
}

int stile_fence_wait_any(struct stile_fence *const *fences, size_t count, int64_t deadline_ns,
	struct stile_cancel *cancel, size_t *index) {
	return fence_wait_any_at(
		fences, count, deadline_ns, cancel, index, __builtin_return_address(0));
}

/* One after the other. Without a token, each as its implementer knows best. */
static int wait_each(struct stile_fence *const *fences, size_t count, int64_t deadline_ns,
	struct stile_cancel *cancel) {
	int ret = 0;
	for (size_t i = 0; i < count && ret == 0; i++) {
		struct waiter waiter;
		size_t index;
		ret = cancel == NULL
			? fence_wait(fences[i], deadline_ns)
			: wait_any(&fences[i], 1, deadline_ns, cancel, &index, &waiter);
	}
	return ret;
}

int fence_wait_all_at(struct stile_fence *const *fences, size_t count, int64_t deadline_ns,
	struct stile_cancel *cancel, const void *place) {
	if (count == 0 || deadline_ns < 0) {
		return -EINVAL;
	}
	/* They go on at the same time. The first is waited for now: its implementer may know how without a thread. */
	for (size_t i = 1; i < count; i++) {
		stile_fence_enable_signaling(fences[i]);
	}
	struct graph_wait seen = {
		.who.place = place,
		.fences = fences,
		.count = count,
	};
	int ret;
	if (deadline_ns == 0) {
		ret = wait_each(fences, count, 0, NULL);
	} else {
		graph_wait_begin(&seen, deadline_ns);
		do {
			ret = wait_each(fences, count, seen.until_ns, cancel);
		} while (graph_wait_goes_on(&seen, ret));
	}
	if (ret == 0) {
		graph_wait_succeeded(&seen, 0);
	}
	return ret == -ETIME && cancel != NULL && stile_cancel_is_raised(cancel) ? -EINTR : ret;
}

int stile_fence_wait_all(struct stile_fence *const *fences, size_t count, int64_t deadline_ns,
	struct stile_cancel *cancel) {
	return fence_wait_all_at(fences, count, deadline_ns, cancel, __builtin_return_address(0));
}
