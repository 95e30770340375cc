/* SPDX-License-Identifier: MIT */
/*
 * Work of the queue becomes a fence. All such fences stand for values of one timeline semaphore,
 * handed out under the queue's lock, so they end in the order in which they were made: a thread waits for
 * the oldest. It waits for nothing else: drivers that make timeline semaphores of something simpler (lavapipe) do
 * not sleep for any of several, but keep asking.
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

/* ---- Ending them -------------------------------------------------------------------------- */

/* Take the fences off that are done: all up to `value`. */
static struct vulkan_fence *fences_take(struct stile_vulkan *vulkan, uint64_t value) {
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

/* All up to `value`; an error of 0: none. */
static void fences_finish(struct stile_vulkan *vulkan, uint64_t value, int error) {
	struct vulkan_fence *fence = fences_take(vulkan, value);
	while (fence != NULL) {
		struct vulkan_fence *next = fence->next;
		if (error < 0) {
			stile_fence_set_error(&fence->base, error);
		}
		stile_fence_signal(&fence->base);
		vulkan->vk.DestroySemaphore(vulkan->info.device, fence->binary, NULL);
		stile_fence_unref(&fence->base);
		fence = next;
	}
}

/* Nothing more will be done: end all, and let no more be made. */
static void fences_give_up(struct stile_vulkan *vulkan, int error) {
	pthread_mutex_lock(&vulkan->lock);
	vulkan->given_up = true;
	pthread_mutex_unlock(&vulkan->lock);
	fences_finish(vulkan, UINT64_MAX, error);
}

static bool fences_are_given_up(struct stile_vulkan *vulkan) {
	pthread_mutex_lock(&vulkan->lock);
	bool given_up = vulkan->given_up;
	pthread_mutex_unlock(&vulkan->lock);
	return given_up;
}

static VkResult work_wait(struct stile_vulkan *vulkan, uint64_t value) {
	const VkSemaphoreWaitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
		.semaphoreCount = 1,
		.pSemaphores = &vulkan->work,
		.pValues = &value,
	};
	VkResult result;
	/* "For ever" is a number as well, and drivers may have less of it. */
	do {
		result = vulkan->vk.WaitSemaphores(vulkan->info.device, &info, UINT64_MAX);
	} while (result == VK_TIMEOUT);
	return result;
}

/* Of what is over, too, it is told one by one: the driver has nothing else to be asked. */
void *vulkan_ender_run(void *arg) {
	struct stile_vulkan *vulkan = arg;
	uint64_t value = 1;
	do {
		VkResult result = work_wait(vulkan, value);
		if (result == VK_SUCCESS) {
			fences_finish(vulkan, value++, 0);
		} else if (vulkan_wait_fails(vulkan, result)) {
			fences_give_up(vulkan, -EIO);
		}
	} while (!fences_are_given_up(vulkan));
	return NULL;
}

void vulkan_ender_stop(struct stile_vulkan *vulkan) {
	uint64_t reached = 0;
	/* What was reached in the meantime is done, not cancelled. */
	if (vulkan->vk.GetSemaphoreCounterValue(vulkan->info.device, vulkan->work, &reached) ==
		VK_SUCCESS) {
		fences_finish(vulkan, reached, 0);
	}
	fences_give_up(vulkan, -ECANCELED);
	/* It sleeps for what the queue would have been given next. */
	vulkan_host_signal(vulkan, vulkan->work, vulkan->work_value + 1);
	pthread_join(vulkan->ender, NULL);
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

VkResult vulkan_batch_submit(struct stile_vulkan *vulkan, const struct vulkan_batch *batch) {
	const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	uint32_t waits = batch->wait == VK_NULL_HANDLE ? 0 : 1;
	VkTimelineSemaphoreSubmitInfo timeline = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = waits,
		.pWaitSemaphoreValues = &batch->wait_value,
		.signalSemaphoreValueCount = batch->signal_count,
		.pSignalSemaphoreValues = batch->values,
	};
	VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &timeline,
		.waitSemaphoreCount = waits,
		.pWaitSemaphores = &batch->wait,
		.pWaitDstStageMask = &stage,
		.signalSemaphoreCount = batch->signal_count,
		.pSignalSemaphores = batch->signals,
	};
	return vulkan->vk.QueueSubmit(vulkan->info.queue, 1, &submit, batch->fence);
}

void vulkan_queue_lock(struct stile_vulkan *vulkan) {
	if (vulkan->info.lock_queue != NULL) {
		vulkan->info.lock_queue(vulkan->info.queue_user);
	}
}

void vulkan_queue_unlock(struct stile_vulkan *vulkan) {
	if (vulkan->info.unlock_queue != NULL) {
		vulkan->info.unlock_queue(vulkan->info.queue_user);
	}
}

/*
 * Under the queue's lock, so that the list has the order of the values, and before the submission, whose end may be
 * seen before that returns. Takes a reference for the thread. False: there will be no end.
 */
static bool fences_add(struct stile_vulkan *vulkan, struct vulkan_fence *fence) {
	pthread_mutex_lock(&vulkan->lock);
	bool goes_on = !vulkan->given_up;
	if (goes_on) {
		stile_fence_ref(&fence->base);
		*(vulkan->pending_last == NULL ? &vulkan->pending_first
					       : &vulkan->pending_last->next) = fence;
		vulkan->pending_last = fence;
	}
	pthread_mutex_unlock(&vulkan->lock);
	return goes_on;
}

/* Under the queue's lock: the submission of the last one failed. If it was given up with all others, that stands. */
static void fences_remove_last(struct stile_vulkan *vulkan, const struct vulkan_fence *last) {
	pthread_mutex_lock(&vulkan->lock);
	if (!last->over) {
		struct vulkan_fence **at = &vulkan->pending_first;
		vulkan->pending_last = NULL;
		while (*at != last) {
			vulkan->pending_last = *at;
			at = &(*at)->next;
		}
		*at = NULL;
	}
	pthread_mutex_unlock(&vulkan->lock);
}

/* Under the queue's lock. Takes the next value. */
static int fence_submit(
	struct vulkan_fence *fence, const struct vulkan_work *work, VkResult *result) {
	struct stile_vulkan *vulkan = fence->vulkan;
	uint64_t value = vulkan->work_value + 1;
	int ret = stile_fence_init(&fence->base, &vulkan_fence_ops, vulkan->context, value);
	if (ret < 0) {
		return ret;
	}
	if (!fences_add(vulkan, fence)) {
		return -EIO;
	}
	struct vulkan_batch batch = {
		.wait = work->wait,
		.signals = { vulkan->work, work->signal },
		.values = { value, 0 },
		.signal_count = work->signaled ? 2 : 1,
	};
	*result = vulkan_batch_submit(vulkan, &batch);
	if (*result != VK_SUCCESS) {
		fences_remove_last(vulkan, fence);
		return vulkan_errno(*result);
	}
	vulkan->work_value = value;
	return 0;
}

/* It was not submitted, and nobody knows it but perhaps the thread. */
static void fence_discard(struct vulkan_fence *fence) {
	if (fence->over) {
		stile_fence_unref(&fence->base);
	} else {
		vulkan_fence_release(&fence->base);
	}
}

int vulkan_fence_create(
	struct stile_vulkan *vulkan, struct vulkan_work *work, struct stile_fence **out) {
	*out = NULL;
	work->signaled = false;
	struct vulkan_fence *fence = fence_take_spare(vulkan);
	if (fence == NULL) {
		return -ENOMEM;
	}
	fence->vulkan = vulkan;
	fence->next = NULL;
	fence->over = false;
	fence->binary = VK_NULL_HANDLE;
	__atomic_fetch_add(&vulkan->refs, 1, __ATOMIC_RELAXED);

	VkResult result = VK_SUCCESS;
	vulkan_queue_lock(vulkan);
	/* Nobody can submit anything that waits for a bridge between this look and the submission. */
	bool any = work->wait != VK_NULL_HANDLE || work->signal != VK_NULL_HANDLE;
	bool held = any && vulkan_bridge_is_pending(vulkan);
	work->signaled = work->signal != VK_NULL_HANDLE && !held;
	int ret =
		held && work->wait != VK_NULL_HANDLE ? -EBUSY : fence_submit(fence, work, &result);
	vulkan_queue_unlock(vulkan);

	if (result != VK_SUCCESS) {
		vulkan_log(vulkan, STILE_LOG_ERROR, "vkQueueSubmit of a fence: %s",
			vulkan_result_name(result));
	}
	if (ret < 0) {
		work->signaled = false;
		fence_discard(fence);
		return ret;
	}
	*out = &fence->base;
	return 0;
}

int stile_vulkan_fence_create(struct stile_vulkan *vulkan, struct stile_fence **out) {
	struct vulkan_work work = { .wait = VK_NULL_HANDLE };
	return vulkan_fence_create(vulkan, &work, out);
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
