/* SPDX-License-Identifier: MIT */
/* Who is told by the waiter: a fence of a semaphore's value or of a VkFence, or an eventfd. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/macros.h"
#include "src/os.h"
#include "src/vulkan/vulkan.h"

struct watched_fence {
	struct stile_fence base;
	struct stile_vulkan *vulkan; /* a reference */
	VkSemaphore semaphore;       /* not to be touched once the fence has ended */
	char name[32];
};

static const char *watched_fence_get_driver_name(struct stile_fence *fence) {
	(void)fence;
	return "vulkan";
}

static const char *watched_fence_get_timeline_name(struct stile_fence *fence) {
	return CONTAINER_OF(fence, struct watched_fence, base)->name;
}

static void watched_fence_release(struct stile_fence *fence) {
	struct watched_fence *self = CONTAINER_OF(fence, struct watched_fence, base);
	vulkan_unref(self->vulkan);
	free(self);
}

/* Of a value nobody can tell whether it is submitted. */
static const struct stile_fence_ops value_fence_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = watched_fence_get_driver_name,
	.get_timeline_name = watched_fence_get_timeline_name,
	.release = watched_fence_release,
	.flags = STILE_FENCE_USER | STILE_FENCE_SEQNO64,
};

/* Of a VkFence the application says that it is. */
static const struct stile_fence_ops vk_fence_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = watched_fence_get_driver_name,
	.get_timeline_name = watched_fence_get_timeline_name,
	.release = watched_fence_release,
};

bool vulkan_watched_get_value(const struct stile_vulkan *vulkan, struct stile_fence *fence,
	VkSemaphore *semaphore, uint64_t *value) {
	if (fence->ops != &value_fence_ops) {
		return false;
	}
	const struct watched_fence *self = CONTAINER_OF(fence, struct watched_fence, base);
	if (self->vulkan != vulkan) {
		return false;
	}
	*semaphore = self->semaphore;
	*value = stile_fence_get_seqno(fence);
	return true;
}

static struct vulkan_watch *watch_create(const struct vulkan_watched *what) {
	struct vulkan_watch *watch = malloc(sizeof(*watch));
	if (watch != NULL) {
		*watch = (struct vulkan_watch){ .what = *what, .eventfd = -1 };
	}
	return watch;
}

static struct watched_fence *watched_fence_create(
	struct stile_vulkan *vulkan, const struct vulkan_watched *what) {
	struct watched_fence *fence = malloc(sizeof(*fence));
	if (fence == NULL) {
		return NULL;
	}
	fence->vulkan = vulkan;
	fence->semaphore = what->semaphore;
	snprintf(fence->name, sizeof(fence->name), "%s", what->name);
	/* Cannot fail: the tables are ours. */
	(void)!stile_fence_init(&fence->base,
		what->semaphore != VK_NULL_HANDLE ? &value_fence_ops : &vk_fence_ops, what->context,
		what->value);
	__atomic_fetch_add(&vulkan->refs, 1, __ATOMIC_RELAXED);
	return fence;
}

int vulkan_watch_fence(
	struct stile_vulkan *vulkan, const struct vulkan_watched *what, struct stile_fence **out) {
	struct vulkan_watch *watch = watch_create(what);
	if (watch == NULL) {
		return -ENOMEM;
	}
	struct watched_fence *fence = watched_fence_create(vulkan, what);
	if (fence == NULL) {
		free(watch);
		return -ENOMEM;
	}
	watch->fence = stile_fence_ref(&fence->base);
	vulkan_watch_add(vulkan, watch);
	*out = &fence->base;
	return 0;
}

int vulkan_watch_eventfd(
	struct stile_vulkan *vulkan, const struct vulkan_watched *what, int eventfd) {
	int fd = os_dup(eventfd);
	if (fd < 0) {
		return fd;
	}
	struct vulkan_watch *watch = watch_create(what);
	if (watch == NULL) {
		close(fd);
		return -ENOMEM;
	}
	watch->eventfd = fd;
	vulkan_watch_add(vulkan, watch);
	return 0;
}
