/* SPDX-License-Identifier: MIT */
/*
 * Vulkan calls nobody back: one thread waits for all that is watched. It sleeps for any of the semaphores;
 * VkFences, and semaphores that are too many, it looks at from time to time; and all but one semaphore where the
 * driver does not sleep for several.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "src/os.h"
#include "src/vulkan/vulkan.h"

enum { SLEEP_SEMAPHORES = 64, SLICE_NS = 1000000 };

/*
 * A wait for several that takes so much of a processor, and of its time more than so small a share, was no sleep:
 * lavapipe asks for one after the other. So that it is found out, such a wait ends after a while, each time a longer
 * one.
 */
enum { SPIN_NS = 1000000, SPIN_SHARE = 16, FIRST_WAIT_NS = 10000000, LAST_WAIT_NS = 1000000000 };

struct sleep {
	VkSemaphore semaphores[SLEEP_SEMAPHORES];
	uint64_t values[SLEEP_SEMAPHORES];
	uint32_t count;
	int64_t timeout_ns; /* INT64_MAX: none */
};

/* ---- Waking it ---------------------------------------------------------------------------- */

void vulkan_waiter_kick(struct stile_vulkan *vulkan) {
	pthread_mutex_lock(&vulkan->lock);
	VkSemaphoreSignalInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
		.semaphore = vulkan->kick,
		.value = vulkan->kicks + 1,
	};
	bool needed = vulkan->sleeping && !vulkan->kicked;
	vulkan->kicked = vulkan->kicked || needed;
	pthread_cond_signal(&vulkan->waiter_changed);
	pthread_mutex_unlock(&vulkan->lock);
	while (needed && vulkan_passes(vulkan->vk.SignalSemaphore(vulkan->info.device, &info))) {
	}
}

void vulkan_watch_add(struct stile_vulkan *vulkan, struct vulkan_watch *watch) {
	pthread_mutex_lock(&vulkan->lock);
	watch->next = vulkan->watches;
	vulkan->watches = watch;
	pthread_mutex_unlock(&vulkan->lock);
	vulkan_waiter_kick(vulkan);
}

/* ---- What is watched ---------------------------------------------------------------------- */

/* It is off the list; `status` is 1 or a negative errno. */
static void watch_finish(struct vulkan_watch *watch, int status) {
	if (watch->fence != NULL) {
		if (status < 0) {
			stile_fence_set_error(watch->fence, status);
		}
		stile_fence_signal(watch->fence);
		stile_fence_unref(watch->fence);
	} else {
		if (status == 1) {
			os_eventfd_add(watch->eventfd);
		}
		close(watch->eventfd);
	}
	free(watch);
}

static void watches_finish(struct vulkan_watch *watch, int status) {
	while (watch != NULL) {
		struct vulkan_watch *next = watch->next;
		watch_finish(watch, status);
		watch = next;
	}
}

/* When it ends by itself; INT64_MAX: never. */
static int64_t watch_expiry(const struct vulkan_watch *watch) {
	return watch->fence != NULL && stile_fence_is_user(watch->fence)
		? stile_fence_get_expiry(watch->fence)
		: INT64_MAX;
}

/* VK_SUCCESS: it is reached; VK_NOT_READY; or an error. Does not block. */
static VkResult watch_look(struct stile_vulkan *vulkan, const struct vulkan_watch *watch) {
	if (watch->what.semaphore == VK_NULL_HANDLE) {
		return vulkan->vk.GetFenceStatus(vulkan->info.device, watch->what.vk_fence);
	}
	uint64_t reached = 0;
	VkResult result = vulkan->vk.GetSemaphoreCounterValue(
		vulkan->info.device, watch->what.semaphore, &reached);
	return result == VK_SUCCESS && reached < watch->what.value ? VK_NOT_READY : result;
}

/*
 * The lock is held. Off the list, onto `done`, with those for which it is time: reached, or with an error that
 * does not pass, or expired.
 */
static VkResult watches_take(struct stile_vulkan *vulkan, struct vulkan_watch **done,
	struct vulkan_watch **failed, struct vulkan_watch **expired) {
	VkResult worst = VK_SUCCESS;
	struct vulkan_watch **at = &vulkan->watches;
	while (*at != NULL) {
		struct vulkan_watch *watch = *at, **to = NULL;
		/* First the clock: whoever moves an expiry after this look is late. */
		int64_t now_ns = os_clock_ns();
		VkResult result = watch_look(vulkan, watch);
		if (result == VK_SUCCESS) {
			to = done;
		} else if (now_ns >= watch_expiry(watch)) {
			to = expired;
		} else if (result != VK_NOT_READY) {
			worst = result;
			to = vulkan_errno(result) == -ENOMEM ? NULL : failed;
		}
		if (to != NULL) {
			*at = watch->next;
			watch->next = *to;
			*to = watch;
		} else {
			at = &watch->next;
		}
	}
	return worst;
}

/* ---- Sleeping ----------------------------------------------------------------------------- */

static void sleep_add(struct sleep *sleep, VkSemaphore semaphore, uint64_t value) {
	sleep->semaphores[sleep->count] = semaphore;
	sleep->values[sleep->count++] = value;
}

static void sleep_shorten(struct sleep *sleep, int64_t timeout_ns) {
	if (timeout_ns < sleep->timeout_ns) {
		sleep->timeout_ns = timeout_ns < 0 ? 0 : timeout_ns;
	}
}

static void sleep_add_watch(struct sleep *sleep, const struct vulkan_watch *watch) {
	if (watch->what.semaphore != VK_NULL_HANDLE && sleep->count < SLEEP_SEMAPHORES) {
		sleep_add(sleep, watch->what.semaphore, watch->what.value);
	} else {
		sleep_shorten(sleep, SLICE_NS);
	}
	int64_t expiry_ns = watch_expiry(watch);
	if (expiry_ns != INT64_MAX) {
		sleep_shorten(sleep, expiry_ns - os_clock_ns());
	}
}

/* For several, as the driver bears it: else for one that is watched. */
static void sleep_spare(struct sleep *sleep, const struct stile_vulkan *vulkan) {
	if (sleep->count == 1) {
		return;
	}
	if (vulkan->any_spins) {
		sleep->semaphores[0] = sleep->semaphores[1];
		sleep->values[0] = sleep->values[1];
		sleep->count = 1;
		sleep_shorten(sleep, SLICE_NS);
	} else {
		sleep_shorten(sleep, vulkan->any_wait_ns);
	}
}

static int64_t thread_cpu_ns(void) {
	struct timespec spent;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
	return (int64_t)spent.tv_sec * 1000000000 + spent.tv_nsec;
}

/* Until there is something to wait for. False: it is time to stop. */
static bool waiter_prepare(struct stile_vulkan *vulkan, struct sleep *sleep) {
	*sleep = (struct sleep){ .timeout_ns = INT64_MAX };
	pthread_mutex_lock(&vulkan->lock);
	while (vulkan->watches == NULL && !vulkan->stopping) {
		pthread_cond_wait(&vulkan->waiter_changed, &vulkan->lock);
	}
	sleep_add(sleep, vulkan->kick, vulkan->kicks + 1);
	for (const struct vulkan_watch *at = vulkan->watches; at != NULL; at = at->next) {
		sleep_add_watch(sleep, at);
	}
	sleep_spare(sleep, vulkan);
	bool goes_on = !vulkan->stopping;
	vulkan->sleeping = goes_on;
	pthread_mutex_unlock(&vulkan->lock);
	return goes_on;
}

static VkResult sleep_in_driver(struct stile_vulkan *vulkan, const struct sleep *sleep) {
	VkSemaphoreWaitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
		.flags = VK_SEMAPHORE_WAIT_ANY_BIT,
		.semaphoreCount = sleep->count,
		.pSemaphores = sleep->semaphores,
		.pValues = sleep->values,
	};
	VkResult result = vulkan->vk.WaitSemaphores(vulkan->info.device, &info,
		sleep->timeout_ns == INT64_MAX ? UINT64_MAX : (uint64_t)sleep->timeout_ns);
	return result == VK_TIMEOUT ? VK_SUCCESS : result;
}

static VkResult waiter_sleep(struct stile_vulkan *vulkan, const struct sleep *sleep) {
	if (sleep->count == 1) {
		return sleep_in_driver(vulkan, sleep);
	}
	int64_t began_ns = os_clock_ns(), spent_ns = thread_cpu_ns();
	VkResult result = sleep_in_driver(vulkan, sleep);
	spent_ns = thread_cpu_ns() - spent_ns;
	int64_t took_ns = os_clock_ns() - began_ns;
	vulkan->any_spins = spent_ns >= SPIN_NS && spent_ns >= took_ns / SPIN_SHARE;
	if (took_ns >= vulkan->any_wait_ns && vulkan->any_wait_ns < LAST_WAIT_NS) {
		vulkan->any_wait_ns *= 2;
	}
	return result;
}

/* The lock is held. It has seen the kick, if there was one. */
static void waiter_note_kick(struct stile_vulkan *vulkan) {
	uint64_t value = 0;
	if (vulkan->kicked &&
		vulkan->vk.GetSemaphoreCounterValue(vulkan->info.device, vulkan->kick, &value) ==
			VK_SUCCESS &&
		value > vulkan->kicks) {
		vulkan->kicks = value;
		vulkan->kicked = false;
	}
}

/* ---- The thread --------------------------------------------------------------------------- */

static VkResult waiter_look(struct stile_vulkan *vulkan) {
	struct vulkan_watch *done = NULL, *failed = NULL, *expired = NULL;
	pthread_mutex_lock(&vulkan->lock);
	waiter_note_kick(vulkan);
	VkResult result = watches_take(vulkan, &done, &failed, &expired);
	pthread_mutex_unlock(&vulkan->lock);
	watches_finish(done, 1);
	watches_finish(failed, -EIO);
	watches_finish(expired, -ETIMEDOUT);
	return result;
}

static void waiter_woke(struct stile_vulkan *vulkan) {
	pthread_mutex_lock(&vulkan->lock);
	vulkan->sleeping = false;
	vulkan->sleeps++;
	pthread_cond_broadcast(&vulkan->waiter_woke);
	pthread_mutex_unlock(&vulkan->lock);
}

void *vulkan_waiter_run(void *arg) {
	struct stile_vulkan *vulkan = arg;
	struct sleep sleep;
	vulkan->any_wait_ns = FIRST_WAIT_NS;
	while (waiter_prepare(vulkan, &sleep)) {
		VkResult result = waiter_sleep(vulkan, &sleep);
		waiter_woke(vulkan);
		if (result == VK_SUCCESS) {
			result = waiter_look(vulkan);
		}
		if (result != VK_SUCCESS && vulkan_wait_fails(vulkan, result)) {
			vulkan_watches_drop(vulkan, NULL, -EIO);
		}
	}
	return NULL;
}

/* The lock is held. All of an owner's, or of all owners. */
static struct vulkan_watch *watches_take_owned(struct stile_vulkan *vulkan, const void *owner) {
	struct vulkan_watch *taken = NULL, **at = &vulkan->watches;
	while (*at != NULL) {
		struct vulkan_watch *watch = *at;
		if (owner == NULL || watch->what.owner == owner) {
			*at = watch->next;
			watch->next = taken;
			taken = watch;
		} else {
			at = &watch->next;
		}
	}
	return taken;
}

void vulkan_watches_drop(struct stile_vulkan *vulkan, const void *owner, int error) {
	pthread_mutex_lock(&vulkan->lock);
	struct vulkan_watch *taken = watches_take_owned(vulkan, owner);
	uint64_t sleeps = vulkan->sleeps;
	bool sleeping = vulkan->sleeping && taken != NULL;
	pthread_mutex_unlock(&vulkan->lock);
	if (sleeping) {
		vulkan_waiter_kick(vulkan);
		pthread_mutex_lock(&vulkan->lock);
		while (vulkan->sleeping && vulkan->sleeps == sleeps) {
			pthread_cond_wait(&vulkan->waiter_woke, &vulkan->lock);
		}
		pthread_mutex_unlock(&vulkan->lock);
	}
	watches_finish(taken, error);
}

void vulkan_waiter_cancel(struct stile_vulkan *vulkan) {
	/* What was reached in the meantime is done, not cancelled. */
	(void)waiter_look(vulkan);
	vulkan_watches_drop(vulkan, NULL, -ECANCELED);
}
