/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_VULKAN_FIXTURE_H
#define INTEROP_VULKAN_FIXTURE_H

#include <stile/vulkan.h>

#include "interop-tests/support/fake_vulkan.h"

/* What tests on a Vulkan device that is not there begin and end with, and hold it up by. */

extern struct stile_device *device;
extern struct fake_vulkan *fake;
extern struct stile_vulkan *vulkan; /* of the fake; logs by note_log() */

/** Every form of semaphores and fences. */
extern const struct fake_vulkan_traits has_all;

void start(const struct fake_vulkan_traits *traits);
/** A new fake and adapter: what is left of those before shows. `device` stays. */
void restart(const struct fake_vulkan_traits *traits);
void stop(void);

/** Work of the queue that does not end before this semaphore is let go. */
VkSemaphore hold_queue(void);
void let_go(VkSemaphore hold);
/** What a thread runs: the same, once a call of the driver's holds up who made it. */
void *let_go_late(void *hold);

/** The device waits for a program's fence. */
struct stile_fence *hold_device(void);
/** Signal a program's fence, and give it up. */
void open_gate(struct stile_fence *gate);

/** Work behind a binary semaphore, as a present is. */
struct stile_fence *work_behind(VkSemaphore semaphore);

#endif
