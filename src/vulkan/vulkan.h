/* SPDX-License-Identifier: MIT */
#ifndef SRC_VULKAN_VULKAN_H
#define SRC_VULKAN_VULKAN_H

#include <pthread.h>
#include <stdbool.h>

#include <stile/opaque.h>
#include <stile/vulkan.h>

#include "src/import_cache.h"

/* The device-level entry points, by their names without "vk". */
#define VULKAN_DEVICE_PROCS(X) \
	X(AllocateMemory) \
	X(BindBufferMemory) \
	X(BindImageMemory) \
	X(BindImageMemory2) \
	X(CreateBuffer) \
	X(CreateImage) \
	X(CreateSamplerYcbcrConversion) \
	X(CreateSemaphore) \
	X(DestroyBuffer) \
	X(DestroyImage) \
	X(DestroySamplerYcbcrConversion) \
	X(DestroySemaphore) \
	X(FreeMemory) \
	X(GetBufferMemoryRequirements2) \
	X(GetFenceStatus) \
	X(GetImageMemoryRequirements2) \
	X(GetImageSubresourceLayout) \
	X(QueueSubmit) \
	X(QueueWaitIdle) \
	X(SignalSemaphore) \
	X(WaitSemaphores) \
	X(GetSemaphoreCounterValue)

struct vulkan_procs {
	PFN_vkGetDeviceProcAddr GetDeviceProcAddr;
	PFN_vkGetPhysicalDeviceExternalBufferProperties GetPhysicalDeviceExternalBufferProperties;
	PFN_vkGetPhysicalDeviceFormatProperties2 GetPhysicalDeviceFormatProperties2;
	PFN_vkGetPhysicalDeviceImageFormatProperties2 GetPhysicalDeviceImageFormatProperties2;
	PFN_vkGetPhysicalDeviceMemoryProperties GetPhysicalDeviceMemoryProperties;
	PFN_vkGetPhysicalDeviceProperties GetPhysicalDeviceProperties;
	PFN_vkGetPhysicalDeviceProperties2 GetPhysicalDeviceProperties2;
#define X(name) PFN_vk##name name;
	VULKAN_DEVICE_PROCS(X)
#undef X
	/* NULL where the driver has no SYNC_FD in that direction, or its extension is not enabled. */
	PFN_vkImportSemaphoreFdKHR ImportSemaphoreFdKHR;
	PFN_vkGetSemaphoreFdKHR GetSemaphoreFdKHR;
	PFN_vkImportFenceFdKHR ImportFenceFdKHR;
	PFN_vkGetFenceFdKHR GetFenceFdKHR;
	/* NULL where their extension is not enabled. */
	PFN_vkGetMemoryFdKHR GetMemoryFdKHR;
	PFN_vkGetMemoryFdPropertiesKHR GetMemoryFdPropertiesKHR;
	PFN_vkGetMemoryHostPointerPropertiesEXT GetMemoryHostPointerPropertiesEXT;
	PFN_vkGetImageDrmFormatModifierPropertiesEXT GetImageDrmFormatModifierPropertiesEXT;
};

/* What to do with a driver's exports of what is not the adapter's own. */
enum vulkan_exports {
	VULKAN_EXPORTS_UNTRIED = 0,
	VULKAN_EXPORTS_TRUE,
	VULKAN_EXPORTS_LOSE, /* of what was imported, what is pending */
};

/* What the waiter looks at for somebody: a value of a semaphore, or a VkFence. */
struct vulkan_watched {
	const void *owner;     /* vulkan_watches_drop() takes all of an owner's */
	VkSemaphore semaphore; /* VK_NULL_HANDLE: it is `vk_fence` */
	uint64_t value;
	VkFence vk_fence;
	uint64_t context; /* of the fence */
	const char *name; /* of its timeline; copied */
};

/* On the waiter's list. */
struct vulkan_watch {
	struct vulkan_watch *next;
	struct vulkan_watched what;
	struct stile_fence *fence; /* a reference; to be signalled; NULL: `eventfd` is told */
	int eventfd;
};

struct stile_vulkan {
	struct stile_vulkan_info info;
	struct vulkan_procs vk;
	struct stile_constraints limits;
	bool has_modifiers; /* images with explicit ones: VK_EXT_image_drm_format_modifier */
	uint32_t foreign;   /* the queue family that stands for others */
	uint64_t context;   /* of the fences made of the queue's work */
	uint32_t refs;      /* the owner's, and one for each fence that is still out */
	struct import_cache imports;

	/* Under the queue's lock. */
	VkSemaphore work; /* rises with each fence made of the queue's work */
	uint64_t work_value;

	pthread_t ender;
	pthread_t waiter;
	pthread_t bridge;
	VkSemaphore kick; /* rises to make the waiter look up */
	/* The waiter's own. */
	bool any_spins;            /* the driver does not sleep for any of several semaphores */
	int64_t any_wait_ns;       /* for how long it waits at most, to find that out */
	pthread_mutex_t host_lock; /* held while a value is signalled that others may signal, too */

	pthread_mutex_t lock;
	pthread_cond_t waiter_changed;
	pthread_cond_t waiter_woke;
	pthread_cond_t bridge_changed;
	pthread_cond_t bridge_told; /* the device, of what had arrived */
	/* All below is under the lock. */
	bool stopping;
	bool given_up;                      /* no fence of the queue's work ends any more */
	struct vulkan_fence *pending_first; /* in the order of their values */
	struct vulkan_fence *pending_last;
	struct vulkan_fence *spare_fences;
	struct vulkan_watch *watches;
	uint64_t kicks; /* the value of `kick` that the waiter has seen */
	bool kicked;    /* the next one is signalled, or about to be */
	bool sleeping;  /* the waiter is with the driver, and with all semaphores */
	uint64_t sleeps;
	enum vulkan_exports exports;
	struct lane *lanes;
	bool bridge_telling; /* a list is off its lane, the device not yet told */
	struct crossing *spare_crossings;
	struct conversion *conversions;
};

/* error.c */
/** The one table: what a VkResult is as an errno. */
int vulkan_errno(VkResult result);
/** Is it want of memory, which passes? Then some time has gone by: try again. */
bool vulkan_passes(VkResult result);
const char *vulkan_result_name(VkResult result);
/** Say which call the driver refused, and how. The VkResult as an errno. */
int vulkan_refuse(struct stile_report *why, const char *call, VkResult result);

/* device.c */
void vulkan_log(const struct stile_vulkan *vulkan, enum stile_log_level level, const char *fmt, ...)
	STILE_PRINTF(3, 4);
bool vulkan_has_extension(const struct stile_vulkan *vulkan, const char *name);
int vulkan_create_semaphore(struct stile_vulkan *vulkan, VkSemaphore *semaphore);
void vulkan_unref(struct stile_vulkan *vulkan);
/**
 * A wait for semaphores failed. False: for want of memory, which passes, and says nothing of the work. Whoever took
 * it for the end would touch memory that is still being drawn into. Anything else is the end of the device.
 */
bool vulkan_wait_fails(struct stile_vulkan *vulkan, VkResult result);

/* format.c */
/** Are its components where those of its VkFormat are, but for X? */
bool vulkan_format_is_in_order(uint32_t fourcc);

/* support.c */
/** Images of which the driver is asked. */
struct vulkan_kind {
	VkFormat format;
	VkImageTiling tiling;
	uint64_t modifier; /* for VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT */
	VkImageUsageFlags usage;
	VkImageCreateFlags flags;
	VkExternalMemoryHandleTypeFlagBits handle_type; /* of their memory */
};

/** What it says. */
struct vulkan_support {
	VkResult result;
	VkExternalMemoryFeatureFlags features; /* none unless that is VK_SUCCESS */
	uint32_t max_width, max_height;
};

/** 0, be it yes or no, or what report_refuse() gave: it does not answer. */
int vulkan_get_support(const struct stile_vulkan *vulkan, const struct vulkan_kind *kind,
	struct vulkan_support *support, struct stile_report *why);
/** Is it small enough? 0, or what report_refuse() gave. */
int vulkan_check_extent(const struct vulkan_support *support, uint32_t fourcc, uint32_t width,
	uint32_t height, struct stile_report *why);
/** Of a VkBuffer's memory. */
VkExternalMemoryFeatureFlags vulkan_get_buffer_features(const struct stile_vulkan *vulkan,
	VkExternalMemoryHandleTypeFlagBits handle_type, VkBufferUsageFlags usage);

/** Of semaphores by descriptor; none if their extension is not enabled. */
VkExternalSemaphoreFeatureFlags vulkan_get_semaphore_features(const struct stile_vulkan *vulkan,
	VkSemaphoreType type, VkExternalSemaphoreHandleTypeFlagBits handle_type);

void vulkan_get_uuids(const struct stile_vulkan *vulkan, uint8_t device[STILE_UUID_BYTES],
	uint8_t driver[STILE_UUID_BYTES]);
/** Is what ("the memory") is of these the adapter's own? Only then the device understands its descriptor. */
int vulkan_check_uuids(const struct stile_vulkan *vulkan, const char *what,
	const uint8_t device[STILE_UUID_BYTES], const uint8_t driver[STILE_UUID_BYTES],
	struct stile_report *why);

struct stile_vulkan_own_image;
struct stile_vulkan_buffer;

/* image.c */
/** Would an image of this format mean the same to Vulkan? 0, or what report_refuse() gave. */
int vulkan_check_meaning(const struct stile_vulkan *vulkan, const struct stile_image_info *info,
	VkFormat format, VkImageUsageFlags usage, struct stile_report *why);
struct vulkan_way;
/** Does the device import images like this one in this way? Then the way says more of it. */
int vulkan_check_format(struct stile_vulkan *vulkan, const struct stile_image_info *info,
	VkFormat format, VkImageUsageFlags usage, struct vulkan_way *way, struct stile_report *why);
/** stile_vulkan_import_image(), which tells nobody but `why`; what it says to the log of a refusal. */
int vulkan_image_get(struct stile_vulkan *vulkan, struct stile_image *image,
	VkImageUsageFlags usage, struct stile_vulkan_image **out, struct stile_report *why);
void vulkan_image_log(struct stile_vulkan *vulkan, const struct stile_image *image,
	const struct stile_report *why);
/** Take image and memory over, of OPAQUE_FD: it is found by nobody else. 0 or -ENOMEM. */
int vulkan_image_adopt(struct stile_vulkan *vulkan, const struct stile_vulkan_own_image *own,
	VkFormat format, struct stile_vulkan_image **out, struct stile_report *why);

/* buffer.c */
/** The same of a buffer. */
int vulkan_buffer_adopt(struct stile_vulkan *vulkan, VkBuffer handle, VkDeviceMemory memory,
	struct stile_vulkan_buffer **out, struct stile_report *why);

/* export.c */
int vulkan_check_fourcc(uint32_t fourcc, VkFormat *format, struct stile_report *why);
/** Is it complete? Then its format. */
int vulkan_check_own(
	const struct stile_vulkan_own_image *own, VkFormat *format, struct stile_report *why);
/** Does the driver export, or import, such an image as this kind of memory? */
int vulkan_check_external(struct stile_vulkan *vulkan, const struct stile_vulkan_own_image *own,
	VkFormat format, uint64_t modifier, VkExternalMemoryHandleTypeFlagBits handle_type,
	VkExternalMemoryFeatureFlagBits wanted, struct stile_report *why);
/** A new descriptor of the memory, CLOEXEC. */
int vulkan_memory_get_fd(struct stile_vulkan *vulkan, VkDeviceMemory memory,
	VkExternalMemoryHandleTypeFlagBits handle_type, int *fd, struct stile_report *why);
/** Tell the caller and the log. The errno. */
int vulkan_refuse_export(struct stile_vulkan *vulkan, const char *what,
	const struct stile_report *why, struct stile_report *report);

/* memory.c */
#define VULKAN_DMA_BUF VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT
#define VULKAN_OPAQUE_FD VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT
#define VULKAN_HOST_POINTER VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT
/** Find the entry points of the extensions that are enabled. */
void vulkan_memory_find(struct stile_vulkan *vulkan);
/** Is the extension enabled, those for importing dma-bufs? 0, or why not. */
int vulkan_memory_need(
	const struct stile_vulkan *vulkan, const char *extension, struct stile_report *why);
int vulkan_memory_need_dma_buf(const struct stile_vulkan *vulkan, struct stile_report *why);
/** Is there as much as is needed? 0, or what report_refuse() gave. */
int vulkan_memory_check(const struct stile_buffer *buffer, const VkMemoryRequirements *needs,
	struct stile_report *why);
/** A dma-buf's, or else a host pointer's, for messages. */
const char *vulkan_memory_name(VkExternalMemoryHandleTypeFlagBits handle_type);

/** What an object of the driver is bound to; all zero: nothing. */
struct vulkan_memory {
	VkDeviceMemory handle;
	/* Of a host pointer: the mapping, and the buffer that it is of, and keeps. */
	void *address;
	struct stile_buffer *buffer;
};

/**
 * The beginning of a buffer as memory for an object of the driver, as large as the object needs. The
 * driver has a descriptor of its own; `dedicated` says for which object, or is NULL. Whatever comes of it is for
 * vulkan_memory_free().
 */
int vulkan_memory_import(struct stile_vulkan *vulkan, struct stile_buffer *buffer,
	const VkMemoryRequirements *needs, const VkMemoryDedicatedAllocateInfo *dedicated,
	struct vulkan_memory *memory, struct stile_report *why);
/** The same of a mapping. */
int vulkan_memory_import_host(struct stile_vulkan *vulkan, struct stile_buffer *buffer,
	const VkMemoryRequirements *needs, struct vulkan_memory *memory, struct stile_report *why);
void vulkan_memory_free(struct stile_vulkan *vulkan, struct vulkan_memory *memory);

/* modifier.c */
/** How an image becomes one of Vulkan's. */
struct vulkan_way {
	VkImageTiling tiling; /* LINEAR, or explicit: DRM_FORMAT_MODIFIER_EXT */
	bool is_disjoint;     /* memory is bound to each plane by itself */
	VkExternalMemoryHandleTypeFlagBits handle_type; /* what memory */
	/* Found by vulkan_check_format(): */
	bool is_dedicated_only; /* the driver takes memory only that is the image's alone */
	bool exports;           /* it gives such memory out, too */
	uint32_t max_width, max_height;
};
/** Does the device take this format and modifier in this way at all? 0 or -EOPNOTSUPP. */
int vulkan_way_check(struct stile_vulkan *vulkan, const struct stile_image_info *info,
	VkFormat format, const struct vulkan_way *way, struct stile_report *why);

/* conversion.c */
/** stile_vulkan_get_ycbcr_conversion(), which tells nobody but `why`. */
int vulkan_conversion_get(struct stile_vulkan *vulkan, uint32_t fourcc,
	const struct stile_colour *colour, VkFilter filter, VkSamplerYcbcrConversion *out,
	struct stile_report *why);
void vulkan_conversions_free(struct stile_vulkan *vulkan);

/* waiter.c: one thread waits for all that is watched. */
void *vulkan_waiter_run(void *arg);
/** It does not run any more: what is not done by now is cancelled. */
void vulkan_waiter_cancel(struct stile_vulkan *vulkan);
/** Have it look up from its sleep. */
void vulkan_waiter_kick(struct stile_vulkan *vulkan);
/** Have it look at something; fence and eventfd are taken over. */
void vulkan_watch_add(struct stile_vulkan *vulkan, struct vulkan_watch *watch);
/**
 * End all of an owner's, or of all owners (NULL), with an error; eventfds are closed untold. Afterwards the
 * waiter has let go of them.
 */
void vulkan_watches_drop(struct stile_vulkan *vulkan, const void *owner, int error);

/* fence.c: work of the queue becomes a fence. */
/** An empty submission, under the queue's lock. Of binary semaphores the value is not looked at. */
struct vulkan_batch {
	VkSemaphore wait; /* VK_NULL_HANDLE: for nothing */
	uint64_t wait_value;
	VkSemaphore signals[2];
	uint64_t values[2];
	uint32_t signal_count;
	VkFence fence;
};

VkResult vulkan_batch_submit(struct stile_vulkan *vulkan, const struct vulkan_batch *batch);
void vulkan_queue_lock(struct stile_vulkan *vulkan);
void vulkan_queue_unlock(struct stile_vulkan *vulkan);

/** What the submission behind a fence of the queue's work does besides. */
struct vulkan_work {
	VkSemaphore wait;   /* a binary one, that it comes after; VK_NULL_HANDLE: none */
	VkSemaphore signal; /* a binary one, that it signals; VK_NULL_HANDLE: none */
	bool signaled;      /* out: it does; not if the queue may be waiting for a bridge */
};

/**
 * As stile_vulkan_fence_create(). Also -EBUSY: the queue may be waiting for a bridge, behind which no binary
 * semaphore may be waited for.
 */
int vulkan_fence_create(
	struct stile_vulkan *vulkan, struct vulkan_work *work, struct stile_fence **out);
/** The binary semaphore that was signalled: it is destroyed as soon as the fence is over. */
void vulkan_fence_keep(struct stile_fence *fence, VkSemaphore binary);
/** The value of `work` that a fence stands for, if it is one of this adapter. */
bool vulkan_fence_get_value(
	const struct stile_vulkan *vulkan, struct stile_fence *fence, uint64_t *value);
/** The thread that ends them. */
void *vulkan_ender_run(void *arg);
/** The queue is idle, and stays so: end that thread. What is not done by now is cancelled. */
void vulkan_ender_stop(struct stile_vulkan *vulkan);
void vulkan_fences_free(struct stile_vulkan *vulkan);

/* watched.c: who is told. */
/** A new fence of what is watched. 0 or -ENOMEM. */
int vulkan_watch_fence(
	struct stile_vulkan *vulkan, const struct vulkan_watched *what, struct stile_fence **out);
/** Tell an eventfd, borrowed. 0, -EMFILE or -ENOMEM. */
int vulkan_watch_eventfd(
	struct stile_vulkan *vulkan, const struct vulkan_watched *what, int eventfd);
/** The semaphore and the value that a fence follows, if it is one of this adapter's. */
bool vulkan_watched_get_value(const struct stile_vulkan *vulkan, struct stile_fence *fence,
	VkSemaphore *semaphore, uint64_t *value);

/* bridge.c: a fence becomes a value of a semaphore. */
void *vulkan_bridge_run(void *arg);
/** What stile_vulkan_wait_fence() gives; `found` has the caller's binary semaphore, or none. 0 or -errno. */
int vulkan_find_wait(struct stile_vulkan *vulkan, struct stile_fence *fence,
	enum stile_path_kind *kind, struct stile_vulkan_wait *found);
/** Signal a value of a timeline semaphore that others may signal, too, unless it is reached. 0 or -errno. */
int vulkan_host_signal(struct stile_vulkan *vulkan, VkSemaphore semaphore, uint64_t value);
/** A lane of a semaphore of the application's. */
int vulkan_lane_create(struct stile_vulkan *vulkan, VkSemaphore semaphore, struct lane **out);
/** Have a value of it signalled behind a fence, and all before. 0, -EINVAL or -ENOMEM. */
int vulkan_lane_submit(
	struct stile_vulkan *vulkan, struct lane *lane, uint64_t value, struct stile_fence *fence);
/** Nothing more is submitted to it: it goes once all is signalled. */
void vulkan_lane_close(struct stile_vulkan *vulkan, struct lane *lane);
/** Does the device wait for a fence? Those that are signalled do not count: it is told of them first. */
bool vulkan_bridge_is_pending(struct stile_vulkan *vulkan);
/** Have the calling thread wait for those fences. 0 or -ETIME. */
int vulkan_bridge_wait(struct stile_vulkan *vulkan, int64_t deadline_ns);
void vulkan_bridge_cancel(struct stile_vulkan *vulkan);
void vulkan_bridge_free(struct stile_vulkan *vulkan);

/* sync_fd.c: the kernel's sync_file in a binary semaphore or a VkFence. */
void vulkan_sync_fd_find(struct stile_vulkan *vulkan);
/** Is the fence in `wait->binary` now? Then `wait` says so, or that there is nothing to wait for. */
bool vulkan_sync_fd_import(
	struct stile_vulkan *vulkan, struct stile_fence *fence, struct stile_vulkan_wait *wait);
/** Is it in a VkFence now? */
bool vulkan_sync_fd_import_fence(
	struct stile_vulkan *vulkan, struct stile_fence *fence, VkFence vk_fence);
/** May semaphores and VkFences of others be exported, without losing what is in them? */
bool vulkan_sync_fd_exports_others(struct stile_vulkan *vulkan);
/**
 * The kernel's fence of a semaphore, or if that is VK_NULL_HANDLE of a VkFence. 0 or -errno; *exported: its
 * signal is used up.
 */
int vulkan_sync_fd_export(struct stile_vulkan *vulkan, VkSemaphore semaphore, VkFence vk_fence,
	struct stile_device *device, struct stile_path *path, bool *exported,
	struct stile_fence **out);
/** How long a program's fences are waited for. */
enum { VULKAN_WAIT_S = 10 };
/** Whoever may not wait behind a program's fence: waits for it first. 0, -EOPNOTSUPP or -ETIME. */
int vulkan_wait_unheld(
	struct stile_vulkan *vulkan, enum stile_user_fences user_fences, int64_t *blocked_ns);

#endif
