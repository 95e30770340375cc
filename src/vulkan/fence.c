/* SPDX-License-Identifier: MIT */
/*
 * Work of the queue becomes a fence. All such fences stand for values of one timeline semaphore,
 * handed out under the queue's lock, so they end in the order in which they were made, and one
 * thread that waits for the oldest serves all.
 */
#include <errno.h>
#include <stdlib.h>

#include "src/macros.h"
#include "src/vulkan/vulkan.h"

struct vulkan_fence {
	struct stile_fence base;
	struct stile_vulkan *vulkan; /* a reference while it is out */
	struct vulkan_fence *next;   /* pending, or spare */

	/* Under vulkan->lock. */
	bool over;          /* no longer pending: the device has done with it */
	VkSemaphore binary; /* signalled too; destroyed when it is over */
};

static const char *vulkan_fence_get_driver_name(struct stile_fence *fence) {
	(void)fence;
	return "vulkan";
}

static const char *vulkan_fence_get_timeline_name(struct stile_fence *fence) {
	(void)fence;
	return "queue";
}

static void vulkan_fence_release(struct stile_fence *fence) {
	struct vulkan_fence *self = CONTAINER_OF(fence, struct vulkan_fence, base);
	struct stile_vulkan *vulkan = self->vulkan;
	pthread_mutex_lock(&vulkan->lock);
	self->next = vulkan->spare_fences;
	vulkan->spare_fences = self;
	pthread_mutex_unlock(&vulkan->lock);
	vulkan_unref(vulkan);
}

static const struct stile_fence_ops vulkan_fence_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = vulkan_fence_get_driver_name,
	.get_timeline_name = vulkan_fence_get_timeline_name,
	.release = vulkan_fence_release,
};

bool vulkan_fence_get_value(
	const struct stile_vulkan *vulkan, struct stile_fence *fence, uint64_t *value) {
	if (fence->ops != &vulkan_fence_ops ||
		CONTAINER_OF(fence, struct vulkan_fence, base)->vulkan != vulkan) {
		return false;
	}
	*value = stile_fence_get_seqno(fence);
	return true;
}

/* ---- The waiter --------------------------------------------------------------------------- */

/* Sleep until the oldest fence's value is reached, or somebody kicks. */
static VkResult waiter_sleep(struct stile_vulkan *vulkan, uint64_t value) {
	VkSemaphore semaphores[] = { vulkan->work, vulkan->kick };
	uint64_t values[] = { value, 1 };
	VkSemaphoreWaitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
		.flags = VK_SEMAPHORE_WAIT_ANY_BIT,
		.semaphoreCount = ARRAY_LENGTH(semaphores),
		.pSemaphores = semaphores,
		.pValues = values,
	};
	return vulkan->vk.WaitSemaphores(vulkan->info.device, &info, UINT64_MAX);
}

/* Take the fences off that are done: all up to `value`. */
static struct vulkan_fence *waiter_take(struct stile_vulkan *vulkan, uint64_t value) {
	struct vulkan_fence *done = NULL, **end = &done;
	pthread_mutex_lock(&vulkan->lock);
	while (vulkan->pending_first != NULL && vulkan->pending_first->base.seqno <= value) {
		*end = vulkan->pending_first;
		vulkan->pending_first = vulkan->pending_first->next;
		(*end)->over = true;
		end = &(*end)->next;
		*end = NULL;
	}
	if (vulkan->pending_first == NULL) {
		vulkan->pending_last = NULL;
	}
	pthread_mutex_unlock(&vulkan->lock);
	return done;
}

static void fences_finish(struct vulkan_fence *fence, int error) {
	while (fence != NULL) {
		struct vulkan_fence *next = fence->next;
		struct stile_vulkan *vulkan = fence->vulkan;
		vulkan->vk.DestroySemaphore(vulkan->info.device, fence->binary, NULL);
		if (error < 0) {
			stile_fence_set_error(&fence->base, error);
		}
		stile_fence_signal(&fence->base);
		stile_fence_unref(&fence->base);
		fence = next;
	}
}

/* The value of the oldest pending fence; 0: it is time to stop. */
static uint64_t waiter_next(struct stile_vulkan *vulkan) {
	pthread_mutex_lock(&vulkan->lock);
	while (vulkan->pending_first == NULL && !vulkan->stopping) {
		pthread_cond_wait(&vulkan->waiter_changed, &vulkan->lock);
	}
	uint64_t value = vulkan->stopping ? 0 : vulkan->pending_first->base.seqno;
	pthread_mutex_unlock(&vulkan->lock);
	return value;
}

/*
 * Want of memory passes, and says nothing of the work: whoever took it for the end would touch
 * memory that is still being drawn into. Anything else is the end of the device.
 */
static void waiter_fail(struct stile_vulkan *vulkan, VkResult result) {
	if (vulkan_passes(result)) {
		return;
	}
	vulkan_log(vulkan, STILE_LOG_ERROR, "wait for the queue: %s", vulkan_result_name(result));
	import_cache_clear(&vulkan->imports);
	fences_finish(waiter_take(vulkan, UINT64_MAX), -EIO);
}

void *vulkan_waiter_run(void *arg) {
	struct stile_vulkan *vulkan = arg;
	uint64_t value;
	while ((value = waiter_next(vulkan)) != 0) {
		VkResult result = waiter_sleep(vulkan, value);
		uint64_t reached = 0;
		if (result == VK_SUCCESS) {
			result = vulkan->vk.GetSemaphoreCounterValue(
				vulkan->info.device, vulkan->work, &reached);
		}
		if (result == VK_SUCCESS) {
			fences_finish(waiter_take(vulkan, reached), 0);
		} else {
			waiter_fail(vulkan, result);
		}
	}
	return NULL;
}

void vulkan_fences_cancel(struct stile_vulkan *vulkan) {
	/* The queue is idle by now: what was reached in the meantime is done, not cancelled. */
	uint64_t reached = 0;
	if (vulkan->vk.GetSemaphoreCounterValue(vulkan->info.device, vulkan->work, &reached) ==
		VK_SUCCESS) {
		fences_finish(waiter_take(vulkan, reached), 0);
	}
	fences_finish(waiter_take(vulkan, UINT64_MAX), -ECANCELED);
}

void vulkan_fences_free(struct stile_vulkan *vulkan) {
	while (vulkan->spare_fences != NULL) {
		struct vulkan_fence *fence = vulkan->spare_fences;
		vulkan->spare_fences = fence->next;
		free(fence);
	}
}

/* ---- Making one --------------------------------------------------------------------------- */

static struct vulkan_fence *fence_take_spare(struct stile_vulkan *vulkan) {
	pthread_mutex_lock(&vulkan->lock);
	struct vulkan_fence *fence = vulkan->spare_fences;
	if (fence != NULL) {
		vulkan->spare_fences = fence->next;
	}
	pthread_mutex_unlock(&vulkan->lock);
	return fence != NULL ? fence : malloc(sizeof(*fence));
}

static VkResult queue_signal_work(struct stile_vulkan *vulkan, uint64_t value, VkSemaphore binary) {
	VkSemaphore semaphores[] = { vulkan->work, binary };
	uint64_t values[] = { value, 0 };
	uint32_t count = binary == VK_NULL_HANDLE ? 1 : 2;
	VkTimelineSemaphoreSubmitInfo timeline = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.signalSemaphoreValueCount = count,
		.pSignalSemaphoreValues = values,
	};
	VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &timeline,
		.signalSemaphoreCount = count,
		.pSignalSemaphores = semaphores,
	};
	return vulkan->vk.QueueSubmit(vulkan->info.queue, 1, &submit, VK_NULL_HANDLE);
}

/* Under the queue's lock, so that the list has the order of the values. Consumes the reference. */
static void waiter_add(struct stile_vulkan *vulkan, struct vulkan_fence *fence) {
	pthread_mutex_lock(&vulkan->lock);
	fence->next = NULL;
	if (vulkan->pending_last != NULL) {
		vulkan->pending_last->next = fence;
	} else {
		vulkan->pending_first = fence;
	}
	vulkan->pending_last = fence;
	pthread_cond_signal(&vulkan->waiter_changed);
	pthread_mutex_unlock(&vulkan->lock);
}

/* Under the queue's lock. Takes the next value, and on success a reference for the waiter. */
static int fence_submit(struct vulkan_fence *fence, VkSemaphore binary, VkResult *result) {
	struct stile_vulkan *vulkan = fence->vulkan;
	uint64_t value = vulkan->work_value + 1;
	int ret = stile_fence_init(&fence->base, &vulkan_fence_ops, vulkan->context, value);
	if (ret < 0) {
		return ret;
	}
	*result = queue_signal_work(vulkan, value, binary);
	if (*result != VK_SUCCESS) {
		return vulkan_errno(*result);
	}
	vulkan->work_value = value;
	stile_fence_ref(&fence->base);
	waiter_add(vulkan, fence);
	return 0;
}

int vulkan_fence_create(
	struct stile_vulkan *vulkan, VkSemaphore binary, bool *signaled, struct stile_fence **out) {
	*out = NULL;
	*signaled = false;
	struct vulkan_fence *fence = fence_take_spare(vulkan);
	if (fence == NULL) {
		return -ENOMEM;
	}
	fence->vulkan = vulkan;
	fence->over = false;
	fence->binary = VK_NULL_HANDLE;
	__atomic_fetch_add(&vulkan->refs, 1, __ATOMIC_RELAXED);

	if (vulkan->info.lock_queue != NULL) {
		vulkan->info.lock_queue(vulkan->info.queue_user);
	}
	/* Nobody can submit anything that waits for a bridge between this look and the submission. */
	bool also = binary != VK_NULL_HANDLE && !vulkan_bridge_is_pending(vulkan);
	VkResult result = VK_SUCCESS;
	int ret = fence_submit(fence, also ? binary : VK_NULL_HANDLE, &result);
	if (vulkan->info.unlock_queue != NULL) {
		vulkan->info.unlock_queue(vulkan->info.queue_user);
	}

	if (result != VK_SUCCESS) {
		vulkan_log(vulkan, STILE_LOG_ERROR, "vkQueueSubmit of a fence: %s",
			vulkan_result_name(result));
	}
	if (ret < 0) {
		vulkan_fence_release(&fence->base);
		return ret;
	}
	*signaled = also;
	*out = &fence->base;
	return 0;
}

int stile_vulkan_fence_create(struct stile_vulkan *vulkan, struct stile_fence **out) {
	bool signaled;
	return vulkan_fence_create(vulkan, VK_NULL_HANDLE, &signaled, out);
}

void vulkan_fence_keep(struct stile_fence *fence, VkSemaphore binary) {
	struct vulkan_fence *self = CONTAINER_OF(fence, struct vulkan_fence, base);
	struct stile_vulkan *vulkan = self->vulkan;
	pthread_mutex_lock(&vulkan->lock);
	bool over = self->over;
	if (!over) {
		self->binary = binary;
	}
	pthread_mutex_unlock(&vulkan->lock);
	if (over) {
		vulkan->vk.DestroySemaphore(vulkan->info.device, binary, NULL);
	}
}
