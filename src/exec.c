/* SPDX-License-Identifier: MIT */
/* Many reservations at once: KERNEL_CONTRACT 7.1. */
#include <stile/exec.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/check.h"

enum {
	STATE_BEGUN = 0,
	STATE_LOOP,      /* the body runs */
	STATE_CONTENDED, /* it runs to its end, and again */
	STATE_DONE,      /* all is locked that was asked for */
};

void stile_exec_init(struct stile_exec *exec, uint32_t flags, struct stile_cancel *cancel) {
	if (flags & ~(uint32_t)STILE_EXEC_IGNORE_DUPLICATES) {
		check_warn("flags 0x%x are given to stile_exec_init(), of which it knows 0x%x",
			flags, STILE_EXEC_IGNORE_DUPLICATES);
	}
	stile_resv_acquire_init(&exec->acquire);
	exec->cancel = cancel;
	exec->locked = exec->few;
	exec->contended = NULL;
	exec->prelocked = NULL;
	exec->count = 0;
	exec->capacity = STILE_EXEC_FEW;
	exec->flags = flags;
	exec->state = STATE_BEGUN;
}

static void unlock_all(struct stile_exec *exec) {
	while (exec->count > 0) {
		stile_resv_unlock(exec->locked[--exec->count]);
	}
	exec->prelocked = NULL;
}

/* It is locked; the order of the others does not matter. */
static void unlock_one(struct stile_exec *exec, struct stile_resv *resv) {
	uint32_t at = 0;
	while (exec->locked[at] != resv) {
		at++;
	}
	exec->locked[at] = exec->locked[--exec->count];
	stile_resv_unlock(resv);
}

bool stile_exec_retry(struct stile_exec *exec) {
	if (exec->state == STATE_BEGUN || exec->state == STATE_CONTENDED) {
		unlock_all(exec);
		exec->state = STATE_LOOP;
		return true;
	}
	if (exec->prelocked != NULL) {
		/* It was in the way the last time, and is not wanted any more. */
		unlock_one(exec, exec->prelocked);
		exec->prelocked = NULL;
	}
	if (exec->state == STATE_LOOP) {
		stile_ww_acquire_done(&exec->acquire);
		exec->state = STATE_DONE;
	}
	return false;
}

static int make_room(struct stile_exec *exec) {
	if (exec->count < exec->capacity) {
		return 0;
	}
	check_alloc();
	size_t bytes = (size_t)exec->capacity * 2 * sizeof(struct stile_resv *);
	bool few = exec->locked == exec->few;
	struct stile_resv **locked = realloc(few ? NULL : exec->locked, bytes);
	if (locked == NULL) {
		return -ENOMEM;
	}
	if (few) {
		memcpy(locked, exec->few, sizeof(exec->few));
	}
	exec->locked = locked;
	exec->capacity *= 2;
	return 0;
}

/* What was in the way the last time comes first, with nothing else locked. */
static int lock_contended(struct stile_exec *exec) {
	if (exec->state == STATE_CONTENDED) {
		check_warn("a reservation is locked after -EDEADLK without going back to "
			   "stile_exec_retry()");
		return -EDEADLK;
	}
	if (exec->state != STATE_LOOP) {
		check_warn("a reservation is locked outside of the loop of stile_exec_retry()");
		return -EINVAL;
	}
	if (exec->contended == NULL) {
		return 0;
	}
	int ret = stile_resv_lock_slow(exec->contended, &exec->acquire, exec->cancel);
	if (ret == 0) {
		exec->locked[exec->count++] = exec->contended;
		exec->prelocked = exec->contended;
		exec->contended = NULL;
	}
	return ret;
}

/* -EALREADY in any case if it is locked. */
static int lock_one(struct stile_exec *exec, struct stile_resv *resv) {
	int ret = lock_contended(exec);
	if (ret < 0) {
		return ret;
	}
	if (exec->prelocked == resv) {
		exec->prelocked = NULL;
		return 0;
	}
	if (stile_resv_get_acquire(resv) == &exec->acquire) {
		return -EALREADY;
	}
	ret = make_room(exec);
	if (ret == 0) {
		ret = stile_resv_lock(resv, &exec->acquire, exec->cancel);
	}
	if (ret == 0) {
		exec->locked[exec->count++] = resv;
	} else if (ret == -EDEADLK) {
		exec->contended = resv;
		exec->state = STATE_CONTENDED;
	}
	return ret;
}

static bool is_ignored(const struct stile_exec *exec, int ret) {
	return ret == -EALREADY && (exec->flags & STILE_EXEC_IGNORE_DUPLICATES) != 0;
}

int stile_exec_lock(struct stile_exec *exec, struct stile_resv *resv) {
	int ret = lock_one(exec, resv);
	return is_ignored(exec, ret) ? 0 : ret;
}

int stile_exec_prepare(struct stile_exec *exec, struct stile_resv *resv, uint32_t count) {
	int locked = lock_one(exec, resv);
	if (locked < 0 && !is_ignored(exec, locked)) {
		return locked;
	}
	int ret = count == 0 ? 0 : stile_resv_reserve_fences(resv, count);
	if (ret < 0 && locked == 0) {
		unlock_one(exec, resv);
	}
	return ret;
}

int stile_exec_prepare_all(
	struct stile_exec *exec, struct stile_resv *const *resvs, size_t n, uint32_t count) {
	int ret = lock_contended(exec);
	for (size_t i = 0; i < n && ret == 0; i++) {
		ret = stile_exec_prepare(exec, resvs[i], count);
	}
	return ret;
}

void stile_exec_fini(struct stile_exec *exec) {
	unlock_all(exec);
	stile_ww_acquire_fini(&exec->acquire);
	if (exec->locked != exec->few) {
		free(exec->locked);
	}
}
