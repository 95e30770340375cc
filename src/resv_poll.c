/* SPDX-License-Identifier: MIT */
/*
 * A descriptor that says what poll() of a kernel dma-buf says: KERNEL_CONTRACT D-2 and D-3.
 *
 * It is one end of a pair of sockets: there is something to read in it as long as the memory may be
 * read, and its way out is full as long as the memory may not be written. For each of the two there is
 * one callback, on a fence that is pending; when that one ends, the next is looked for, as deferred
 * work, since that takes locks of other fences.
 */
#include "src/resv_poll.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stile/fence.h>
#include <stile/resv.h>

#include "src/buffer.h"
#include "src/defer.h"
#include "src/macros.h"
#include "src/os.h"

enum { TO_READ, TO_WRITE, DIRECTIONS };

/* All under the lock, but what a callback does before its work runs. */
struct direction {
	struct stile_resv_poll *poll;
	enum stile_resv_usage usage; /* what has to be done */
	bool ready;                  /* what the descriptor says */
	struct stile_fence *armed;   /* a reference, and one on the poll: it will tell */
	struct stile_callback callback;
	struct defer_work work;
};

struct stile_resv_poll {
	uint32_t refs;
	uint32_t lock;
	struct stile_resv *resv; /* NULL: it has ended */
	struct stile_buffer
		*buffer; /* whose it is: each that is armed has a reference; may be NULL */
	int own;
	int given;
	struct direction directions[DIRECTIONS];
};

static void poll_unref(struct stile_resv_poll *poll) {
	if (__atomic_sub_fetch(&poll->refs, 1, __ATOMIC_ACQ_REL) == 0) {
		close(poll->own);
		close(poll->given);
		free(poll);
	}
}

/* The caller has another one. */
static void poll_drop(struct stile_resv_poll *poll) {
	__atomic_fetch_sub(&poll->refs, 1, __ATOMIC_RELEASE);
}

static void keep_buffer(struct stile_resv_poll *poll) {
	if (poll->buffer != NULL) {
		stile_buffer_ref(poll->buffer);
	}
}

/* Nothing under the lock runs deferred work, which takes it. */
static void poll_lock(struct stile_resv_poll *poll) {
	defer_hold();
	os_lock(&poll->lock);
}

static void poll_unlock(struct stile_resv_poll *poll) {
	os_unlock(&poll->lock);
	defer_release();
}

/* ---- What the descriptor says ---------------------------------------------------------------- */

static void fill(int fd) {
	static const char nothing[512];
	while (send(fd, nothing, sizeof(nothing), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
	}
}

static void drain(int fd) {
	char nothing[4096];
	while (recv(fd, nothing, sizeof(nothing), MSG_DONTWAIT) > 0) {
	}
}

static void say(struct direction *direction, bool ready) {
	struct stile_resv_poll *poll = direction->poll;
	if (direction->ready == ready) {
		return;
	}
	direction->ready = ready;
	if (direction == &poll->directions[TO_WRITE]) {
		if (ready) {
			drain(poll->own);
		} else {
			fill(poll->given);
		}
	} else if (ready) {
		send(poll->own, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		drain(poll->given);
	}
}

/* ---- Who tells ------------------------------------------------------------------------------- */

static void look(struct direction *direction);

static void fence_ended(struct defer_work *work) {
	struct direction *direction = CONTAINER_OF(work, struct direction, work);
	struct stile_resv_poll *poll = direction->poll;
	poll_lock(poll);
	struct stile_fence *fence = direction->armed;
	struct stile_buffer *buffer = poll->buffer;
	direction->armed = NULL;
	look(direction);
	poll_unlock(poll);
	stile_fence_unref(fence);
	/* D-3: perhaps the last one. */
	buffer_unref_elsewhere(buffer);
	poll_unref(poll);
}

static void on_signaled(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct direction *direction = CONTAINER_OF(callback, struct direction, callback);
	defer_add(&direction->work, fence_ended);
}

static bool is_pending_there(const struct direction *direction, const struct stile_fence *fence) {
	struct stile_resv_iter iter;
	const struct stile_fence *at;
	stile_resv_iter_begin(&iter, direction->poll->resv, direction->usage);
	do {
		at = stile_resv_iter_next_unlocked(&iter);
	} while (at != NULL && at != fence);
	stile_resv_iter_end(&iter);
	return at != NULL;
}

/* False: its end is on the way here already. */
static bool disarm(struct direction *direction) {
	struct stile_fence *fence = direction->armed;
	if (fence == NULL) {
		return true;
	}
	if (!stile_fence_remove_callback(fence, &direction->callback)) {
		return false;
	}
	direction->armed = NULL;
	stile_fence_unref(fence);
	/* Whoever changes or ends the reservation has another one, or it has none. */
	stile_buffer_unref(direction->poll->buffer);
	poll_drop(direction->poll);
	return true;
}

/* The first one that is pending will tell. */
static void arm(struct direction *direction) {
	struct stile_resv_iter iter;
	struct stile_fence *fence;
	stile_resv_iter_begin(&iter, direction->poll->resv, direction->usage);
	while (direction->armed == NULL && (fence = stile_resv_iter_next_unlocked(&iter)) != NULL) {
		/* Before it can tell. */
		direction->armed = stile_fence_ref(fence);
		__atomic_fetch_add(&direction->poll->refs, 1, __ATOMIC_RELAXED);
		keep_buffer(direction->poll);
		if (stile_fence_add_callback(fence, &direction->callback, on_signaled) < 0) {
			direction->armed = NULL;
			stile_fence_unref(fence);
			stile_buffer_unref(direction->poll->buffer);
			poll_drop(direction->poll);
		}
	}
	stile_resv_iter_end(&iter);
}

/* The lock is held. */
static void look(struct direction *direction) {
	if (direction->poll->resv == NULL) {
		return;
	}
	if (direction->armed != NULL &&
		(is_pending_there(direction, direction->armed) || !disarm(direction))) {
		return;
	}
	arm(direction);
	say(direction, direction->armed == NULL);
}

void resv_poll_update(struct stile_resv_poll *poll) {
	poll_lock(poll);
	for (size_t i = 0; i < DIRECTIONS; i++) {
		look(&poll->directions[i]);
	}
	poll_unlock(poll);
}

/* ---- Life ------------------------------------------------------------------------------------ */

int resv_poll_create(struct stile_resv *resv, struct stile_resv_poll **out) {
	int ends[2];
	struct stile_resv_poll *poll = calloc(1, sizeof(*poll));
	if (poll == NULL) {
		return -ENOMEM;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		int ret = errno == EMFILE || errno == ENFILE ? -errno : -ENOMEM;
		free(poll);
		return ret;
	}
	/* The least there is: it is filled and drained often. */
	int bytes = 1;
	(void)setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	poll->refs = 1;
	poll->resv = resv;
	poll->own = ends[0];
	poll->given = ends[1];
	poll->directions[TO_READ] = (struct direction){
		.poll = poll,
		.usage = stile_resv_usage_rw(false),
	};
	poll->directions[TO_WRITE] = (struct direction){
		.poll = poll,
		.usage = stile_resv_usage_rw(true),
		.ready = true, /* as a new pair of sockets has it */
	};
	resv_poll_update(poll);
	*out = poll;
	return 0;
}

void resv_poll_destroy(struct stile_resv_poll *poll) {
	poll_lock(poll);
	poll->resv = NULL;
	for (size_t i = 0; i < DIRECTIONS; i++) {
		disarm(&poll->directions[i]);
	}
	poll_unlock(poll);
	poll_unref(poll);
}

void resv_poll_set_buffer(struct stile_resv_poll *poll, struct stile_buffer *buffer) {
	poll_lock(poll);
	if (poll->buffer == NULL) {
		poll->buffer = buffer;
		for (size_t i = 0; i < DIRECTIONS; i++) {
			if (poll->directions[i].armed != NULL) {
				keep_buffer(poll);
			}
		}
	}
	poll_unlock(poll);
}

int resv_poll_get_fd(const struct stile_resv_poll *poll) {
	return os_dup(poll->given);
}
