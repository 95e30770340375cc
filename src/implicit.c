/* SPDX-License-Identifier: MIT */
/* Implicit synchronisation of a buffer, to and from explicit: KERNEL_CONTRACT D-2, D-6, D-7. */
#include <errno.h>

#include <stile/buffer.h>
#include <stile/fence.h>
#include <stile/resv.h>

#include "src/buffer.h"
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
	int ret = stile_resv_get_singleton(buffer->resv, usage_before(usage), out);
	if (ret == 0 && *out == NULL) {
		*out = stile_fence_get_stub();
	}
	return ret;
}

int stile_buffer_import_fence(
	struct stile_buffer *buffer, uint32_t usage, struct stile_fence *fence) {
	if (!buffer_usage_is_valid(usage)) {
		return -EINVAL;
	}
	int ret = stile_resv_lock(buffer->resv, NULL, NULL);
	if (ret < 0) {
		return ret;
	}
	uint32_t leaves = resv_count_leaves(fence);
	ret = leaves == 0 ? 0 : stile_resv_reserve_fences(buffer->resv, leaves);
	if (ret == 0) {
		resv_add_leaves(buffer->resv, fence,
			usage & STILE_USAGE_WRITE ? STILE_RESV_WRITE : STILE_RESV_READ);
	}
	stile_resv_unlock(buffer->resv);
	return ret;
}

int stile_buffer_get_poll_fd(struct stile_buffer *buffer, int *fd) {
	bool own = buffer->resv == &buffer->own_resv;
	return resv_get_poll_fd(buffer->resv, own ? buffer : NULL, fd);
}
