/* SPDX-License-Identifier: MIT */
/*
 * A fence becomes a value of a timeline semaphore, which a thread signals when the fence is
 * signalled. Semaphores are kept as lanes. Values on a lane rise with the order in which they
 * were handed out, so a lane's fences have to end in that order too: only fences of one context,
 * with rising seqno, share a lane; another context takes a lane over once nothing is pending on
 * it. So there are as many semaphores as there were contexts pending at once, ever. A semaphore of the
 * application's is a lane, too, whose values it chooses, and which no other fences enter.
 */
#include <errno.h>
#include <stdlib.h>

#include <stile/access.h>
#include <stile/vulkan_sync.h>
#include <stile/wait.h>

#include "src/abi.h"
#include "src/macros.h"
#include "src/path.h"
#include "src/vulkan/vulkan.h"

/* One fence on its way across. */
struct crossing {
	struct stile_callback callback;
	struct stile_vulkan *vulkan;
	struct stile_fence *fence; /* a reference */
	uint64_t value;
	bool arrived;          /* the fence is signalled */
	struct crossing *next; /* on its lane, or spare */
};

struct lane {
	VkSemaphore semaphore;
	bool theirs;    /* the application's semaphore, which others may signal */
	bool closed;    /* theirs, and no fence will enter it any more */
	uint64_t value; /* the last one handed out */
	uint64_t context;
	uint64_t seqno; /* of the last fence */
	struct crossing *first;
	struct crossing *last;
	struct lane *next;
};

/* Under the fence's lock. */
static void crossing_arrived(struct stile_fence *fence, struct stile_callback *callback) {
	(void)fence;
	struct crossing *crossing = CONTAINER_OF(callback, struct crossing, callback);
	struct stile_vulkan *vulkan = crossing->vulkan;
	pthread_mutex_lock(&vulkan->lock);
	crossing->arrived = true;
	pthread_cond_signal(&vulkan->bridge_changed);
	pthread_mutex_unlock(&vulkan->lock);
}

/* ---- The thread --------------------------------------------------------------------------- */

/* Not told, the device would wait for ever. */
static VkResult host_signal(struct stile_vulkan *vulkan, VkSemaphore semaphore, uint64_t value) {
	VkSemaphoreSignalInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
		.semaphore = semaphore,
		.value = value,
	};
	VkResult result;
	do {
		result = vulkan->vk.SignalSemaphore(vulkan->info.device, &info);
	} while (vulkan_passes(result));
	if (result != VK_SUCCESS) {
		vulkan_log(vulkan, STILE_LOG_ERROR, "vkSignalSemaphore: %s",
			vulkan_result_name(result));
	}
	return result;
}

int vulkan_host_signal(struct stile_vulkan *vulkan, VkSemaphore semaphore, uint64_t value) {
	uint64_t reached = 0;
	VkResult result;
	pthread_mutex_lock(&vulkan->host_lock);
	do {
		result = vulkan->vk.GetSemaphoreCounterValue(
			vulkan->info.device, semaphore, &reached);
	} while (vulkan_passes(result));
	if (result == VK_SUCCESS && reached < value) {
		result = host_signal(vulkan, semaphore, value);
	}
	pthread_mutex_unlock(&vulkan->host_lock);
	return vulkan_errno(result);
}

static void lane_signal(struct stile_vulkan *vulkan, const struct lane *lane, uint64_t value) {
	if (lane->theirs) {
		vulkan_host_signal(vulkan, lane->semaphore, value);
	} else {
		host_signal(vulkan, lane->semaphore, value);
	}
}

/* The lock is held. Take the crossings off a lane's head that have arrived. */
static struct crossing *lane_take_arrived(struct lane *lane) {
	struct crossing *arrived = NULL, **end = &arrived;
	while (lane->first != NULL && lane->first->arrived) {
		*end = lane->first;
		lane->first = lane->first->next;
		end = &(*end)->next;
		*end = NULL;
	}
	if (lane->first == NULL) {
		lane->last = NULL;
	}
	return arrived;
}

/* The lock is held. Some lane's head that has arrived, and its lane. Those that are closed and empty go. */
static struct crossing *bridge_take_arrived(struct stile_vulkan *vulkan, struct lane **of) {
	struct lane **at = &vulkan->lanes;
	while (*at != NULL) {
		struct lane *lane = *at;
		struct crossing *arrived = lane_take_arrived(lane);
		if (arrived != NULL) {
			*of = lane;
			return arrived;
		}
		if (lane->closed && lane->first == NULL) {
			*at = lane->next;
			free(lane);
		} else {
			at = &lane->next;
		}
	}
	return NULL;
}

/* Tell the device of a list that came off one lane: its last value implies the others. */
static void crossings_finish(
	struct stile_vulkan *vulkan, struct crossing *list, const struct lane *lane) {
	struct crossing *last = list;
	while (last->next != NULL) {
		last = last->next;
	}
	lane_signal(vulkan, lane, last->value);
	/* Before fences go: what they run may wait for who waits for this. */
	pthread_mutex_lock(&vulkan->lock);
	vulkan->bridge_telling = false;
	pthread_cond_broadcast(&vulkan->bridge_told);
	pthread_mutex_unlock(&vulkan->lock);
	for (struct crossing *at = list; at != NULL; at = at->next) {
		stile_fence_unref(at->fence);
		at->fence = NULL;
	}
	pthread_mutex_lock(&vulkan->lock);
	last->next = vulkan->spare_crossings;
	vulkan->spare_crossings = list;
	pthread_mutex_unlock(&vulkan->lock);
}

void *vulkan_bridge_run(void *arg) {
	struct stile_vulkan *vulkan = arg;
	for (;;) {
		struct lane *lane = NULL;
		pthread_mutex_lock(&vulkan->lock);
		struct crossing *arrived;
		while ((arrived = bridge_take_arrived(vulkan, &lane)) == NULL &&
			!vulkan->stopping) {
			pthread_cond_wait(&vulkan->bridge_changed, &vulkan->lock);
		}
		vulkan->bridge_telling = arrived != NULL;
		pthread_mutex_unlock(&vulkan->lock);
		if (arrived == NULL) {
			return NULL;
		}
		crossings_finish(vulkan, arrived, lane);
	}
}

/* A fence that the device waits for, a reference; NULL: it has been told of all. */
static struct stile_fence *bridge_get_pending(struct stile_vulkan *vulkan) {
	struct stile_fence *pending = NULL;
	bool telling;
	pthread_mutex_lock(&vulkan->lock);
	do {
		telling = vulkan->bridge_telling;
		for (struct lane *lane = vulkan->lanes; lane != NULL; lane = lane->next) {
			if (lane->first != NULL && !lane->first->arrived) {
				pending = lane->first->fence;
			}
			telling = telling || lane->first != NULL;
		}
		if (telling && pending == NULL) {
			pthread_cond_wait(&vulkan->bridge_told, &vulkan->lock);
		}
	} while (telling && pending == NULL);
	if (pending != NULL) {
		stile_fence_ref(pending);
	}
	pthread_mutex_unlock(&vulkan->lock);
	return pending;
}

bool vulkan_bridge_is_pending(struct stile_vulkan *vulkan) {
	struct stile_fence *pending = bridge_get_pending(vulkan);
	stile_fence_unref(pending);
	return pending != NULL;
}

int vulkan_bridge_wait(struct stile_vulkan *vulkan, int64_t deadline_ns) {
	int ret = 0;
	struct stile_fence *pending;
	while (ret == 0 && (pending = bridge_get_pending(vulkan)) != NULL) {
		ret = stile_fence_wait(pending, deadline_ns);
		/* From here on its callbacks have run: it counts as arrived. */
		stile_fence_lock(pending);
		stile_fence_unlock(pending);
		stile_fence_unref(pending);
	}
	return ret;
}

/* No thread runs any more. Let go of what is pending, or the device would wait for ever. */
void vulkan_bridge_cancel(struct stile_vulkan *vulkan) {
	for (struct lane *lane = vulkan->lanes; lane != NULL; lane = lane->next) {
		for (struct crossing *at = lane->first; at != NULL; at = at->next) {
			stile_fence_remove_callback(at->fence, &at->callback);
		}
		struct crossing *list = lane->first;
		lane->first = NULL;
		lane->last = NULL;
		if (list != NULL) {
			crossings_finish(vulkan, list, lane);
		}
	}
}

void vulkan_bridge_free(struct stile_vulkan *vulkan) {
	while (vulkan->lanes != NULL) {
		struct lane *lane = vulkan->lanes;
		vulkan->lanes = lane->next;
		if (!lane->theirs) {
			vulkan->vk.DestroySemaphore(vulkan->info.device, lane->semaphore, NULL);
		}
		free(lane);
	}
	while (vulkan->spare_crossings != NULL) {
		struct crossing *crossing = vulkan->spare_crossings;
		vulkan->spare_crossings = crossing->next;
		free(crossing);
	}
}

/* ---- Crossing ----------------------------------------------------------------------------- */

/* The lock is held. A lane that this fence may use, or NULL. */
static struct lane *lane_find(struct stile_vulkan *vulkan, uint64_t context, uint64_t seqno) {
	struct lane *idle = NULL;
	for (struct lane *lane = vulkan->lanes; lane != NULL; lane = lane->next) {
		if (lane->theirs) {
			continue;
		}
		if (lane->first == NULL) {
			idle = lane;
		} else if (lane->context == context && seqno > lane->seqno) {
			return lane;
		}
	}
	return idle;
}

static int lane_create(struct stile_vulkan *vulkan, struct lane **out) {
	struct lane *lane = calloc(1, sizeof(*lane));
	if (lane == NULL) {
		return -ENOMEM;
	}
	int ret = vulkan_create_semaphore(vulkan, &lane->semaphore);
	if (ret < 0) {
		free(lane);
		return ret;
	}
	*out = lane;
	return 0;
}

/* The lock is held. The value is above all before. */
static void lane_push(struct lane *lane, struct crossing *crossing, uint64_t value) {
	struct stile_fence *fence = crossing->fence;
	lane->context = stile_fence_get_context(fence);
	lane->seqno = stile_fence_get_seqno(fence);
	crossing->value = lane->value = value;
	crossing->next = NULL;
	if (lane->last != NULL) {
		lane->last->next = crossing;
	} else {
		lane->first = crossing;
	}
	lane->last = crossing;
}

static struct crossing *crossing_create(struct stile_vulkan *vulkan, struct stile_fence *fence) {
	pthread_mutex_lock(&vulkan->lock);
	struct crossing *crossing = vulkan->spare_crossings;
	if (crossing != NULL) {
		vulkan->spare_crossings = crossing->next;
	}
	pthread_mutex_unlock(&vulkan->lock);
	if (crossing == NULL) {
		crossing = malloc(sizeof(*crossing));
	}
	if (crossing != NULL) {
		*crossing = (struct crossing){ .vulkan = vulkan, .fence = stile_fence_ref(fence) };
	}
	return crossing;
}

/* Put a crossing on a lane, on a new one if need be. */
static int bridge_enter(
	struct stile_vulkan *vulkan, struct crossing *crossing, struct stile_vulkan_wait *wait) {
	struct stile_fence *fence = crossing->fence;
	struct lane *fresh = NULL;
	pthread_mutex_lock(&vulkan->lock);
	struct lane *lane =
		lane_find(vulkan, stile_fence_get_context(fence), stile_fence_get_seqno(fence));
	if (lane == NULL) {
		/* A Vulkan call is not made under the lock. */
		pthread_mutex_unlock(&vulkan->lock);
		int ret = lane_create(vulkan, &fresh);
		if (ret < 0) {
			return ret;
		}
		pthread_mutex_lock(&vulkan->lock);
		fresh->next = vulkan->lanes;
		vulkan->lanes = fresh;
		lane = fresh;
	}
	lane_push(lane, crossing, lane->value + 1);
	wait->semaphore = lane->semaphore;
	wait->value = crossing->value;
	pthread_mutex_unlock(&vulkan->lock);
	return 0;
}

static void crossing_free(struct crossing *crossing) {
	stile_fence_unref(crossing->fence);
	free(crossing);
}

/* It is on its lane. */
static void crossing_set_off(struct crossing *crossing) {
	struct stile_fence *fence = crossing->fence;
	if (stile_fence_add_callback(fence, &crossing->callback, crossing_arrived) < 0) {
		crossing_arrived(fence, &crossing->callback);
	}
}

/* Have a thread tell the device. */
static int bridge_cross(
	struct stile_vulkan *vulkan, struct stile_fence *fence, struct stile_vulkan_wait *wait) {
	struct crossing *crossing = crossing_create(vulkan, fence);
	if (crossing == NULL) {
		return -ENOMEM;
	}
	int ret = bridge_enter(vulkan, crossing, wait);
	if (ret < 0) {
		crossing_free(crossing);
		return ret;
	}
	crossing_set_off(crossing);
	return 0;
}

int vulkan_find_wait(struct stile_vulkan *vulkan, struct stile_fence *fence,
	enum stile_path_kind *kind, struct stile_vulkan_wait *found) {
	*kind = STILE_PATH_NONE;
	if (stile_fence_is_signaled(fence)) {
		return 0;
	}
	if (vulkan_watched_get_value(vulkan, fence, &found->semaphore, &found->value)) {
		*kind = STILE_PATH_HANDLE;
		return 0;
	}
	if (vulkan_fence_get_value(vulkan, fence, &found->value)) {
		*kind = STILE_PATH_HANDLE;
		found->semaphore = vulkan->work;
		return 0;
	}
	if (vulkan_sync_fd_import(vulkan, fence, found)) {
		*kind = found->semaphore == VK_NULL_HANDLE ? STILE_PATH_NONE : STILE_PATH_KERNEL;
		return 0;
	}
	*kind = STILE_PATH_BRIDGE;
	return bridge_cross(vulkan, fence, found);
}

int stile_vulkan_wait_fence(struct stile_vulkan *vulkan, struct stile_fence *fence,
	struct stile_path *path, struct stile_vulkan_wait *wait) {
	/* A wait that the caller has no room for would be a dependency lost. */
	if (abi_check_out(wait) < 0 || wait->size < sizeof(*wait) || path_check(path) < 0) {
		return -EINVAL;
	}
	struct stile_vulkan_wait found = { .binary = wait->binary };
	enum stile_path_kind kind;
	int ret = vulkan_find_wait(vulkan, fence, &kind, &found);
	if (ret < 0) {
		return ret;
	}
	abi_copy_out(wait, &found, sizeof(found));
	path_give(path, kind, 0);
	stile_access_note_wait(fence);
	return 0;
}

/* ---- Semaphores of the application's ------------------------------------------------------ */

int vulkan_lane_create(struct stile_vulkan *vulkan, VkSemaphore semaphore, struct lane **out) {
	struct lane *lane = calloc(1, sizeof(*lane));
	if (lane == NULL) {
		return -ENOMEM;
	}
	lane->semaphore = semaphore;
	lane->theirs = true;
	pthread_mutex_lock(&vulkan->lock);
	lane->next = vulkan->lanes;
	vulkan->lanes = lane;
	pthread_mutex_unlock(&vulkan->lock);
	*out = lane;
	return 0;
}

int vulkan_lane_submit(
	struct stile_vulkan *vulkan, struct lane *lane, uint64_t value, struct stile_fence *fence) {
	struct crossing *crossing = crossing_create(vulkan, fence);
	if (crossing == NULL) {
		return -ENOMEM;
	}
	pthread_mutex_lock(&vulkan->lock);
	bool rises = value > lane->value;
	if (rises) {
		lane_push(lane, crossing, value);
	}
	pthread_mutex_unlock(&vulkan->lock);
	if (!rises) {
		crossing_free(crossing);
		return -EINVAL;
	}
	crossing_set_off(crossing);
	return 0;
}

void vulkan_lane_close(struct stile_vulkan *vulkan, struct lane *lane) {
	pthread_mutex_lock(&vulkan->lock);
	lane->closed = true;
	pthread_cond_signal(&vulkan->bridge_changed);
	/* Who closes it may destroy the semaphore: it is not being signalled any more. */
	while (vulkan->bridge_telling) {
		pthread_cond_wait(&vulkan->bridge_told, &vulkan->lock);
	}
	pthread_mutex_unlock(&vulkan->lock);
}

bool stile_vulkan_is_held(struct stile_vulkan *vulkan) {
	return vulkan_bridge_is_pending(vulkan);
}
