/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_FAKE_VULKAN_DEVICE_H
#define SUPPORT_FAKE_VULKAN_DEVICE_H

#include "interop-tests/support/fake_vulkan.h"

/* What the parts of the fake Vulkan device share. */

/** All Vulkan handles of one device are this, but for those of objects. */
struct fake_vulkan {
	struct fake_vulkan_traits traits;
	struct fake_queue *queue;
	bool lost;
	uint32_t any_count;
	int reused_fd; /* that the driver has closed, and somebody else has now; 0: none */
};

/** Takes the fakes' lock. What the call fails with, or VK_SUCCESS. */
VkResult fake_vulkan_enter(struct fake_vulkan *fake, const char *call);
/** Gives it back. The result. */
VkResult fake_vulkan_leave(VkResult result);

/** fake_vulkan_memory.c: the entry point of this name; NULL: it is none of images and memory. */
PFN_vkVoidFunction fake_vulkan_memory_find(const char *name);
/** Complain if a descriptor that the driver has closed was closed again. */
void fake_vulkan_settle_fd(struct fake_vulkan *fake);

#endif
