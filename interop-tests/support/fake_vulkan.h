/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_FAKE_VULKAN_H
#define SUPPORT_FAKE_VULKAN_H

#include <stile/vulkan.h>

/*
 * A Vulkan device of one queue that knows semaphores and fences in all their forms, whatever the machine has, and
 * images and memory (fake_vulkan_memory.h). It does what the specification says, and complains of what that forbids
 * (fake_gpu.h). Entry points that it has not got fail.
 */

/** What it can. */
struct fake_vulkan_traits {
	bool sync_fd;        /* semaphores */
	bool fence_sync_fd;  /* VkFences */
	bool opaque_fd;      /* semaphores */
	bool export_blocks;  /* until the work is done, as lavapipe's */
	bool loses_exported; /* of what was imported, what is pending, as Mesa 26.1's lavapipe */
	bool spins;          /* in a wait for several, as lavapipe */
	uint8_t uuid;        /* of device and driver */
	uint8_t driver;      /* what the driver's differs by */
	bool shares_no_timelines;
	VkExternalSemaphoreFeatureFlags lacks; /* IMPORTABLE or EXPORTABLE, of semaphores */
	const struct fake_vulkan_memory_traits *memory; /* NULL: it has no images */
	uint32_t extension_count; /* how many of its extensions are enabled; 0: all */
};

/** The family of its queue. */
enum { FAKE_VULKAN_FAMILY = 3 };

struct fake_vulkan;

struct fake_vulkan *fake_vulkan_create(const struct fake_vulkan_traits *traits);
void fake_vulkan_destroy(struct fake_vulkan *fake);

/** What Stile is told of it. */
struct stile_vulkan_info fake_vulkan_describe(struct fake_vulkan *fake);

/* ---- What an application does ---------------------------------------------------------------- */

VkSemaphore fake_vulkan_timeline(struct fake_vulkan *fake);
/** One that can be exported as OPAQUE_FD. */
VkSemaphore fake_vulkan_opaque_timeline(struct fake_vulkan *fake);
VkSemaphore fake_vulkan_binary(
	struct fake_vulkan *fake, VkExternalSemaphoreHandleTypeFlags exportable);
void fake_vulkan_destroy_semaphore(struct fake_vulkan *fake, VkSemaphore semaphore);
VkFence fake_vulkan_fence(struct fake_vulkan *fake, bool exportable);
void fake_vulkan_destroy_fence(struct fake_vulkan *fake, VkFence fence);

/** One empty submission. VK_NULL_HANDLE: none of this. */
struct fake_vulkan_submit {
	VkSemaphore wait;
	uint64_t wait_value;
	VkSemaphore signal;
	uint64_t signal_value;
	VkFence fence;
};

void fake_vulkan_submit(struct fake_vulkan *fake, const struct fake_vulkan_submit *submit);
/** Say that somebody has submitted a value: what waits for it will end. */
void fake_vulkan_promise(VkSemaphore semaphore, uint64_t value);
void fake_vulkan_signal(struct fake_vulkan *fake, VkSemaphore semaphore, uint64_t value);
uint64_t fake_vulkan_get_value(struct fake_vulkan *fake, VkSemaphore semaphore);
/** Wait a minute at most. */
bool fake_vulkan_becomes(struct fake_vulkan *fake, VkSemaphore semaphore, uint64_t value);
bool fake_vulkan_is_signaled(struct fake_vulkan *fake, VkFence fence);
bool fake_vulkan_becomes_signaled(struct fake_vulkan *fake, VkFence fence);
void fake_vulkan_wait_idle(struct fake_vulkan *fake);
/** Of how many semaphores it was asked to wait for any, the last time; 0: never. */
uint32_t fake_vulkan_any_count(struct fake_vulkan *fake);
/** Import into a semaphore, for once; the descriptor is taken over. */
void fake_vulkan_import(struct fake_vulkan *fake, VkSemaphore semaphore, int sync_file);

#endif
