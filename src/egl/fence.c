/* SPDX-License-Identifier: MIT */
/*
 * GL work becomes a fence: an EGLSync, for whose end a thread waits, since nothing gives a
 * descriptor for it. And a fence becomes something that GL work comes after.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <stile/access.h>
#include <stile/egl_sync.h>
#include <stile/wait.h>

#include "src/egl/egl.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/path.h"

struct egl_fence {
	struct stile_fence base;
	struct stile_egl *egl; /* a reference */
	struct egl_fence *next;

	/* Under egl->lock; EGL_NO_SYNC once the work is done and nobody uses it any more. */
	EGLSync sync;
	bool theirs;    /* the application's, which destroys it */
	unsigned users; /* server waits being made, without the lock */
	bool done;
};

/*
 * How long the thread looks at the oldest sync before it asks the others: those of other contexts
 * may be done before it.
 */
enum { SLICE_NS = 2000000 };

static const char *egl_fence_get_driver_name(struct stile_fence *fence) {
	(void)fence;
	return "egl";
}

static const char *egl_fence_get_timeline_name(struct stile_fence *fence) {
	(void)fence;
	return "gl";
}

static void egl_fence_release(struct stile_fence *fence) {
	struct egl_fence *self = CONTAINER_OF(fence, struct egl_fence, base);
	egl_unref(self->egl);
	free(self);
}

static const struct stile_fence_ops egl_fence_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = egl_fence_get_driver_name,
	.get_timeline_name = egl_fence_get_timeline_name,
	.release = egl_fence_release,
};

/* ---- The waiter --------------------------------------------------------------------------- */

/*
 * A server wait that takes longer than this and returns with the work over was none: the driver
 * had the calling thread wait.
 */
enum { SERVER_WAIT_NS = 200000 };

/* The lock is held. */
static void egl_fence_drop_sync(struct egl_fence *fence) {
	struct stile_egl *egl = fence->egl;
	if (fence->done && fence->users == 0) {
		if (!fence->theirs) {
			egl->egl.DestroySync(egl->info.display, fence->sync);
		}
		fence->sync = EGL_NO_SYNC;
	}
}

/* Only the waiter takes fences off the list, so it may look at `fence` without the lock. */
static void waiter_remove(
	struct stile_egl *egl, struct egl_fence *before, struct egl_fence *fence) {
	pthread_mutex_lock(&egl->lock);
	if (before != NULL) {
		before->next = fence->next;
	} else {
		egl->first = fence->next;
	}
	if (egl->last == fence) {
		egl->last = before;
	}
	fence->done = true;
	egl_fence_drop_sync(fence);
	pthread_mutex_unlock(&egl->lock);
}

static struct egl_fence *waiter_next(struct stile_egl *egl, struct egl_fence *fence) {
	pthread_mutex_lock(&egl->lock);
	struct egl_fence *next = fence == NULL ? egl->first : fence->next;
	pthread_mutex_unlock(&egl->lock);
	return next;
}

/* Has it ended? Waits a slice for the oldest one only. */
static bool waiter_look(struct stile_egl *egl, struct egl_fence *fence, bool oldest) {
	EGLint result =
		egl->egl.ClientWaitSync(egl->info.display, fence->sync, 0, oldest ? SLICE_NS : 0);
	if (result == EGL_TIMEOUT_EXPIRED) {
		return false;
	}
	if (result != EGL_CONDITION_SATISFIED) {
		EGLint error = egl->egl.GetError();
		if (error == EGL_BAD_ALLOC) {
			/* Want of memory passes, and says nothing of the work. */
			const struct timespec pause = { .tv_nsec = SLICE_NS };
			nanosleep(&pause, NULL);
			return false;
		}
		if (error == EGL_CONTEXT_LOST) {
			import_cache_clear(&egl->imports);
		}
		egl_log(egl, STILE_LOG_ERROR, "eglClientWaitSync: %s", egl_error_name(error));
		stile_fence_set_error(&fence->base, -EIO);
	}
	return true;
}

static void waiter_round(struct stile_egl *egl) {
	struct egl_fence *before = NULL;
	struct egl_fence *fence = waiter_next(egl, NULL);
	while (fence != NULL) {
		struct egl_fence *next = waiter_next(egl, fence);
		if (waiter_look(egl, fence, before == NULL)) {
			next = waiter_next(egl, fence);
			waiter_remove(egl, before, fence);
			stile_fence_signal(&fence->base);
			stile_fence_unref(&fence->base);
		} else {
			before = fence;
		}
		fence = next;
	}
}

void *egl_waiter_run(void *arg) {
	struct stile_egl *egl = arg;
	for (;;) {
		pthread_mutex_lock(&egl->lock);
		while (egl->first == NULL && !egl->stopping) {
			pthread_cond_wait(&egl->changed, &egl->lock);
		}
		bool stopping = egl->stopping;
		pthread_mutex_unlock(&egl->lock);
		if (stopping) {
			return NULL;
		}
		waiter_round(egl);
	}
}

void egl_fences_cancel(struct stile_egl *egl) {
	struct egl_fence *fence;
	while ((fence = waiter_next(egl, NULL)) != NULL) {
		waiter_remove(egl, NULL, fence);
		stile_fence_set_error(&fence->base, -ECANCELED);
		stile_fence_signal(&fence->base);
		stile_fence_unref(&fence->base);
	}
}

/* ---- Making one --------------------------------------------------------------------------- */

int egl_fence_create(struct stile_egl *egl, EGLSync sync, bool theirs, struct stile_fence **out) {
	struct egl_fence *fence = malloc(sizeof(*fence));
	if (fence == NULL) {
		return -ENOMEM;
	}
	*fence = (struct egl_fence){ .egl = egl, .sync = sync, .theirs = theirs };
	pthread_mutex_lock(&egl->lock);
	int ret = stile_fence_init(&fence->base, &egl_fence_ops, egl->context, egl->seqno + 1);
	if (ret < 0) {
		pthread_mutex_unlock(&egl->lock);
		free(fence);
		return ret;
	}
	egl->seqno++;
	__atomic_fetch_add(&egl->refs, 1, __ATOMIC_RELAXED);
	stile_fence_ref(&fence->base);
	if (egl->last != NULL) {
		egl->last->next = fence;
	} else {
		egl->first = fence;
	}
	egl->last = fence;
	pthread_cond_signal(&egl->changed);
	pthread_mutex_unlock(&egl->lock);
	*out = &fence->base;
	return 0;
}

int stile_egl_fence_create(struct stile_egl *egl, struct stile_fence **out) {
	*out = NULL;
	if (!egl_check_current(egl, "a fence of GL work")) {
		return -EINVAL;
	}
	EGLSync sync = egl->egl.CreateSync(egl->info.display, EGL_SYNC_FENCE, NULL);
	if (sync == EGL_NO_SYNC) {
		EGLint error = egl->egl.GetError();
		egl_log(egl, STILE_LOG_ERROR, "eglCreateSync: %s", egl_error_name(error));
		return error == EGL_BAD_ALLOC ? -ENOMEM : -EIO;
	}
	/* The waiter has no context to flush; without it the sync might never be reached. */
	egl->egl.glFlush();
	int ret = egl_fence_create(egl, sync, false, out);
	if (ret < 0) {
		egl->egl.DestroySync(egl->info.display, sync);
	}
	return ret;
}

/* ---- Waiting for one ---------------------------------------------------------------------- */

static struct egl_fence *egl_fence_begin_use(struct stile_egl *egl, struct stile_fence *fence) {
	if (fence->ops != &egl_fence_ops) {
		return NULL;
	}
	struct egl_fence *self = CONTAINER_OF(fence, struct egl_fence, base);
	pthread_mutex_lock(&egl->lock);
	bool usable = self->egl == egl && !self->done && !egl->server_waits_block;
	if (usable) {
		self->users++;
	}
	pthread_mutex_unlock(&egl->lock);
	return usable ? self : NULL;
}

static void egl_fence_end_use(struct egl_fence *fence) {
	struct stile_egl *egl = fence->egl;
	pthread_mutex_lock(&egl->lock);
	fence->users--;
	egl_fence_drop_sync(fence);
	pthread_mutex_unlock(&egl->lock);
}

static void note_block(struct stile_egl *egl) {
	pthread_mutex_lock(&egl->lock);
	bool first = !egl->server_waits_block;
	egl->server_waits_block = true;
	pthread_mutex_unlock(&egl->lock);
	if (first) {
		egl_log(egl, STILE_LOG_INFO,
			"eglWaitSync blocks with this driver: from here on the calling thread waits, "
			"with its deadline");
	}
}

bool egl_server_waits(struct stile_egl *egl) {
	pthread_mutex_lock(&egl->lock);
	bool waits = !egl->server_waits_block;
	pthread_mutex_unlock(&egl->lock);
	return waits;
}

static bool egl_is_over(struct stile_egl *egl, EGLSync sync) {
	return egl->egl.ClientWaitSync(egl->info.display, sync, 0, 0) == EGL_CONDITION_SATISFIED;
}

bool egl_wait_sync(struct stile_egl *egl, EGLSync sync, int64_t *blocked_ns) {
	*blocked_ns = 0;
	if (egl_is_over(egl, sync)) {
		return true;
	}
	int64_t began = os_clock_ns();
	if (egl->egl.WaitSync(egl->info.display, sync, 0) != EGL_TRUE) {
		return false;
	}
	int64_t took = os_clock_ns() - began;
	*blocked_ns = egl_is_over(egl, sync) ? took : 0;
	if (*blocked_ns > SERVER_WAIT_NS) {
		note_block(egl);
	}
	return true;
}

/*
 * Have the server wait, if the fence is GL work of this display that is still going on. The call
 * should return at once; llvmpipe's does not. So it is measured, and such a driver is not asked
 * again: a wait by the calling thread at least keeps the deadline.
 */
static bool egl_server_wait(struct stile_egl *egl, struct stile_fence *fence, int64_t *blocked_ns) {
	struct egl_fence *self = egl_fence_begin_use(egl, fence);
	if (self == NULL) {
		return false;
	}
	bool waits = egl_wait_sync(egl, self->sync, blocked_ns);
	egl_fence_end_use(self);
	return waits;
}

int stile_egl_import_fence(struct stile_egl *egl, EGLSync sync, struct stile_fence **out) {
	EGLAttrib type = EGL_NONE;
	*out = NULL;
	if (sync == EGL_NO_SYNC ||
		!egl->egl.GetSyncAttrib(egl->info.display, sync, EGL_SYNC_TYPE, &type)) {
		egl_log(egl, STILE_LOG_ERROR, "eglGetSyncAttrib: %s",
			sync == EGL_NO_SYNC ? "EGL_NO_SYNC" : egl_error_name(egl->egl.GetError()));
		return -EINVAL;
	}
	if (type == EGL_SYNC_REUSABLE_KHR) {
		egl_log(egl, STILE_LOG_ERROR,
			"a reusable EGLSync is signalled by a program, and may be unsignalled again: "
			"it is no fence");
		return -EINVAL;
	}
	return egl_fence_create(egl, sync, true, out);
}

int stile_egl_wait_fence(struct stile_egl *egl, struct stile_fence *fence, int64_t deadline_ns,
	struct stile_path *path) {
	if (deadline_ns < 0 || path_check(path) < 0) {
		return -EINVAL;
	}
	if (!egl_check_current(egl, "a wait of GL for a fence")) {
		return -EINVAL;
	}
	if (stile_fence_is_signaled(fence)) {
		path_give(path, STILE_PATH_NONE, 0);
		return 0;
	}
	int64_t blocked_ns;
	enum stile_path_kind kind = STILE_PATH_HANDLE;
	if (egl_server_wait(egl, fence, &blocked_ns) ||
		egl_native_wait(egl, fence, &kind, &blocked_ns)) {
		stile_access_note_wait(fence);
		path_give(path, kind, blocked_ns);
		return 0;
	}
	int64_t began = os_clock_ns();
	int ret = stile_fence_wait(fence, deadline_ns);
	path_give(path, STILE_PATH_CPU_WAIT, os_clock_ns() - began);
	return ret;
}
