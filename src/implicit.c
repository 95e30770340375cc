/* SPDX-License-Identifier: MIT */
/* Implicit synchronisation of a buffer, to and from explicit: KERNEL_CONTRACT D-2, D-6, D-7. */
#include <errno.h>

#include <stile/buffer.h>
#include <stile/fence.h>
#include <stile/merge.h>
#include <stile/resv.h>

#include "src/buffer.h"
#include "src/outside.h"
#include "src/path.h"
#include "src/resv.h"

/* What an access by this usage has to wait for. */
static enum stile_resv_usage usage_before(uint32_t usage) {
	return stile_resv_usage_rw((usage & STILE_USAGE_WRITE) != 0);
}

int stile_buffer_export_fence(
	struct stile_buffer *buffer, uint32_t usage, struct stile_fence **out) {
	*out = NULL;
	if (!buffer_usage_is_valid(usage)) {
		return -EINVAL;
	}
	struct stile_fence *both[2];
	int ret = outside_pull(buffer, usage, true, &both[0]);
	if (ret < 0) {
		return ret;
	}
	ret = stile_resv_get_singleton(buffer->resv, usage_before(usage), &both[1]);
	if (ret == 0 && both[0] != NULL && both[1] != NULL) {
		ret = stile_fence_merge(both, 2, out);
	} else if (ret == 0) {
		struct stile_fence *one = both[0] != NULL ? both[0] : both[1];
		*out = one != NULL ? stile_fence_ref(one) : stile_fence_get_stub();
	}
	stile_fence_unref(both[0]);
	stile_fence_unref(both[1]);
	return ret;
}

/* With the lock. 0: the fence is in; else nothing has happened. */
static int import_locked(struct stile_buffer *buffer, uint32_t usage, struct stile_fence *fence,
	enum stile_user_fences user_fences, enum stile_path_kind *path) {
	int ret = resv_make_room(buffer->resv, resv_count_leaves(fence));
	if (ret == 0) {
		ret = outside_push(buffer, usage, fence);
	}
	*path = ret > 0 ? STILE_PATH_KERNEL : STILE_PATH_NONE;
	if (ret == -EOPNOTSUPP && user_fences == STILE_USER_FENCES_HOLD) {
		*path = STILE_PATH_HELD;
		ret = 0;
	}
	if (ret >= 0) {
		resv_add_leaves(buffer->resv, fence,
			usage & STILE_USAGE_WRITE ? STILE_RESV_WRITE : STILE_RESV_READ);
	}
	return ret > 0 ? 0 : ret;
}

static int import(struct stile_buffer *buffer, uint32_t usage, struct stile_fence *fence,
	enum stile_user_fences user_fences, enum stile_path_kind *path) {
	int ret = buffer_lock(buffer);
	if (ret == 0) {
		ret = import_locked(buffer, usage, fence, user_fences, path);
		stile_resv_unlock(buffer->resv);
	}
	return ret;
}

int stile_buffer_import_fence(
	struct stile_buffer *buffer, uint32_t usage, struct stile_fence *fence) {
	return stile_buffer_import_fence_as(buffer, usage, fence, STILE_USER_FENCES_HOLD, NULL);
}

int stile_buffer_import_fence_as(struct stile_buffer *buffer, uint32_t usage,
	struct stile_fence *fence, enum stile_user_fences user_fences, struct stile_path *path) {
	if (!buffer_usage_is_valid(usage) || !path_policy_is_valid(user_fences) ||
		path_check(path) < 0) {
		return -EINVAL;
	}
	enum stile_path_kind kind;
	int64_t blocked_ns = 0;
	int ret = import(buffer, usage, fence, user_fences, &kind);
	if (ret == -EOPNOTSUPP && user_fences == STILE_USER_FENCES_WAIT) {
		ret = outside_wait(fence, &blocked_ns, __builtin_return_address(0));
		if (ret == 0) {
			ret = import(buffer, usage, fence, user_fences, &kind);
			kind = STILE_PATH_CPU_WAIT;
		}
	}
	if (ret == 0) {
		path_give(path, kind, blocked_ns);
	}
	return ret;
}

int stile_buffer_get_poll_fd(struct stile_buffer *buffer, int *fd) {
	*fd = -1;
	bool own = buffer->resv == &buffer->own_resv;
	int ret = outside_pull_into_resv(buffer, STILE_USAGE_READ);
	if (ret == 0) {
		ret = outside_pull_into_resv(buffer, STILE_USAGE_WRITE);
	}
	return ret < 0 ? ret : resv_get_poll_fd(buffer->resv, own ? buffer : NULL, fd);
}
