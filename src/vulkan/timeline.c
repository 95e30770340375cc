/* SPDX-License-Identifier: MIT */
/*
 * A timeline semaphore of the application as a stile_timeline. Vulkan tells how far it is, and not
 * what is submitted: a value is unsubmitted until it is done. Its values are signalled on a lane of the
 * bridge, and waited for by the waiter.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <stile/access.h>
#include <stile/timeline.h>
#include <stile/vulkan_sync.h>

#include "src/os.h"
#include "src/vulkan/vulkan.h"

struct vulkan_timeline {
	struct stile_vulkan *vulkan; /* a reference */
	VkSemaphore semaphore;
	struct lane *lane;
	uint64_t context;
	char name[32];
};

static struct vulkan_timeline *timeline_of(const struct stile_timeline *timeline) {
	return stile_timeline_get_priv(timeline);
}

/* ---- The ops ------------------------------------------------------------------------------ */

static VkResult get_counter(const struct vulkan_timeline *self, uint64_t *value) {
	const struct stile_vulkan *vulkan = self->vulkan;
	*value = 0;
	return vulkan->vk.GetSemaphoreCounterValue(vulkan->info.device, self->semaphore, value);
}

static uint64_t timeline_get_value(const struct stile_timeline *timeline) {
	uint64_t value;
	return get_counter(timeline_of(timeline), &value) == VK_SUCCESS ? value : 0;
}

static enum stile_point_state timeline_get_state(struct stile_timeline *timeline, uint64_t value) {
	uint64_t reached;
	return get_counter(timeline_of(timeline), &reached) == VK_SUCCESS && reached >= value
		? STILE_POINT_DONE
		: STILE_POINT_UNSUBMITTED;
}

static uint64_t timeout_until(int64_t deadline_ns) {
	int64_t left_ns = deadline_ns - os_clock_ns();
	return deadline_ns == INT64_MAX ? UINT64_MAX : left_ns > 0 ? (uint64_t)left_ns : 0;
}

static int timeline_wait(struct stile_timeline *timeline, uint64_t value,
	enum stile_point_event event, int64_t deadline_ns) {
	(void)event;
	const struct vulkan_timeline *self = timeline_of(timeline);
	const struct stile_vulkan *vulkan = self->vulkan;
	VkSemaphoreWaitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
		.semaphoreCount = 1,
		.pSemaphores = &self->semaphore,
		.pValues = &value,
	};
	VkResult result;
	do {
		result = vulkan->vk.WaitSemaphores(
			vulkan->info.device, &info, timeout_until(deadline_ns));
		/* A driver may be early. */
	} while ((result == VK_TIMEOUT || vulkan_passes(result)) && os_clock_ns() < deadline_ns);
	return vulkan_errno(result) == -ENOMEM ? -ETIME : vulkan_errno(result);
}

static int timeline_signal(struct stile_timeline *timeline, uint64_t value) {
	const struct vulkan_timeline *self = timeline_of(timeline);
	return vulkan_host_signal(self->vulkan, self->semaphore, value);
}

static int timeline_submit(
	struct stile_timeline *timeline, uint64_t value, struct stile_fence *fence) {
	const struct vulkan_timeline *self = timeline_of(timeline);
	int ret = vulkan_lane_submit(self->vulkan, self->lane, value, fence);
	if (ret == 0) {
		stile_access_note_wait(fence);
	}
	return ret;
}

static int timeline_create_fence(
	struct stile_timeline *timeline, uint64_t value, struct stile_fence **out) {
	const struct vulkan_timeline *self = timeline_of(timeline);
	const struct vulkan_watched what = {
		.owner = self,
		.semaphore = self->semaphore,
		.value = value,
		.context = self->context,
		.name = self->name,
	};
	return vulkan_watch_fence(self->vulkan, &what, out);
}

static int timeline_notify_fd(struct stile_timeline *timeline, uint64_t value,
	enum stile_point_event event, int eventfd) {
	(void)event;
	if (timeline_get_state(timeline, value) == STILE_POINT_DONE) {
		os_eventfd_add(eventfd);
		return 0;
	}
	const struct vulkan_timeline *self = timeline_of(timeline);
	const struct vulkan_watched what = {
		.owner = self,
		.semaphore = self->semaphore,
		.value = value,
	};
	return vulkan_watch_eventfd(self->vulkan, &what, eventfd);
}

static void timeline_release(struct stile_timeline *timeline) {
	struct vulkan_timeline *self = timeline_of(timeline);
	struct stile_vulkan *vulkan = self->vulkan;
	vulkan_watches_drop(vulkan, self, -ENOENT);
	vulkan_lane_close(vulkan, self->lane);
	free(self);
	vulkan_unref(vulkan);
}

static const struct stile_timeline_ops timeline_ops = {
	.size = sizeof(struct stile_timeline_ops),
	.kind = "vulkan_semaphore",
	.get_value = timeline_get_value,
	.get_state = timeline_get_state,
	.wait = timeline_wait,
	.signal = timeline_signal,
	.submit = timeline_submit,
	.notify_fd = timeline_notify_fd,
	.release = timeline_release,
	.create_fence = timeline_create_fence,
};

int stile_vulkan_timeline_create(struct stile_vulkan *vulkan, const char *name,
	VkSemaphore semaphore, struct stile_timeline **out) {
	*out = NULL;
	if (name == NULL || semaphore == VK_NULL_HANDLE) {
		return -EINVAL;
	}
	struct vulkan_timeline *self = malloc(sizeof(*self));
	if (self == NULL) {
		return -ENOMEM;
	}
	*self = (struct vulkan_timeline){
		.vulkan = vulkan,
		.semaphore = semaphore,
		.context = stile_fence_context_alloc(1),
	};
	snprintf(self->name, sizeof(self->name), "%s", name);
	struct stile_timeline_info info = {
		.size = sizeof(info),
		.name = name,
		.ops = &timeline_ops,
		.priv = self,
	};
	int ret = vulkan_lane_create(vulkan, semaphore, &self->lane);
	if (ret < 0) {
		goto err;
	}
	ret = stile_timeline_create_from(&info, out);
	if (ret < 0) {
		goto err_lane;
	}
	__atomic_fetch_add(&vulkan->refs, 1, __ATOMIC_RELAXED);
	return 0;

err_lane:
	vulkan_lane_close(vulkan, self->lane);
err:
	free(self);
	return ret;
}
