/* SPDX-License-Identifier: MIT */
#include "src/outside.h"

#include <errno.h>

#include <stile/fence.h>
#include <stile/resv.h>

#include "src/backend.h"
#include "src/buffer.h"
#include "src/check.h"
#include "src/fence.h"
#include "src/os.h"
#include "src/wait.h"

static const int64_t patience_ns = INT64_C(10000000000);

bool outside_is_known(const struct stile_buffer *buffer) {
	return buffer->backend != NULL && buffer->backend->fences_export != NULL &&
		__atomic_load_n(&buffer->shown, __ATOMIC_SEQ_CST) > 0;
}

/*
 * What the kernel says later contains what it said before, as far as that is pending: one context for what
 * readers wait for, one for what writers do, and a later fence takes the place of the one before.
 * What a writer waits for is there as a reader: readers do not wait for it. What a reader waits for is not
 * there as a write: how our last one went would be forgotten.
 */
static int add(struct stile_buffer *buffer, uint32_t usage, struct stile_fence *fence) {
	bool writes = (usage & STILE_USAGE_WRITE) != 0;
	int ret = stile_resv_reserve_fences(buffer->resv, 1);
	if (ret < 0) {
		return ret;
	}
	if (buffer->outside_context == 0) {
		buffer->outside_context = stile_fence_context_alloc(2);
	}
	/* Nobody else has seen it yet. */
	fence->context = buffer->outside_context + writes;
	fence->seqno = ++buffer->outside_seqno;
	return stile_resv_add_fence(
		buffer->resv, fence, writes ? STILE_RESV_READ : STILE_RESV_KERNEL);
}

int outside_pull(
	struct stile_buffer *buffer, uint32_t usage, bool likely, struct stile_fence **out) {
	*out = NULL;
	return outside_is_known(buffer) ? buffer->backend->fences_export(buffer, usage, likely, out)
					: 0;
}

int outside_pull_into_resv(struct stile_buffer *buffer, uint32_t usage) {
	struct stile_fence *fence;
	if (!outside_is_known(buffer)) {
		return 0;
	}
	/* First of all, so that of two threads the one that asks later adds later. */
	int ret = buffer_lock(buffer);
	if (ret < 0) {
		return ret;
	}
	ret = outside_pull(buffer, usage, false, &fence);
	if (ret == 0 && fence != NULL) {
		ret = add(buffer, usage, fence);
	}
	stile_resv_unlock(buffer->resv);
	stile_fence_unref(fence);
	return ret;
}

int outside_push(struct stile_buffer *buffer, uint32_t usage, struct stile_fence *fence) {
	if (!outside_is_known(buffer) || fence_is_done_at_hand(fence)) {
		return 0;
	}
	int ret = buffer->backend->fences_import(buffer, usage, fence);
	if (ret == -EOPNOTSUPP && fence_is_done(fence)) {
		return 0;
	}
	return ret < 0 ? ret : 1;
}

int outside_push_all(struct stile_buffer *buffer) {
	if (!outside_is_known(buffer)) {
		return 0;
	}
	int ret = buffer_lock(buffer);
	if (ret < 0) {
		return ret;
	}
	struct stile_resv_iter iter;
	struct stile_fence *fence;
	stile_resv_iter_begin(&iter, buffer->resv, STILE_RESV_READ);
	while (ret >= 0 && (fence = stile_resv_iter_next(&iter)) != NULL) {
		bool reads = iter.fence_usage == STILE_RESV_READ;
		ret = outside_push(buffer, reads ? STILE_USAGE_READ : STILE_USAGE_WRITE, fence);
		ret = ret == -EOPNOTSUPP ? 0 : ret;
	}
	stile_resv_iter_end(&iter);
	stile_resv_unlock(buffer->resv);
	return ret < 0 ? ret : 0;
}

int outside_wait(struct stile_fence *fence, int64_t *blocked_ns, const void *place) {
	int64_t began_ns = os_clock_ns();
	check_wait();
	int ret = fence_wait_all_at(&fence, 1, began_ns + patience_ns, NULL, place);
	*blocked_ns = os_clock_ns() - began_ns;
	return ret;
}
