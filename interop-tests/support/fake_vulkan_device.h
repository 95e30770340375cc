/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_FAKE_VULKAN_DEVICE_H
#define SUPPORT_FAKE_VULKAN_DEVICE_H

#include "interop-tests/support/fake_vulkan.h"
#include "interop-tests/support/fake_vulkan_memory.h"

/* What the parts of the fake Vulkan device share. */

/** All Vulkan handles of one device are this, but for those of objects. */
struct fake_vulkan {
	struct fake_vulkan_traits traits;
	struct fake_queue *queue;
	bool lost;
	uint32_t any_count; /* semaphores of the last wait for any */
};

/** Takes the fakes' lock. What the call fails with, or VK_SUCCESS. */
VkResult fake_vulkan_enter(struct fake_vulkan *fake, const char *call);
/** Gives it back. The result. */
VkResult fake_vulkan_leave(VkResult result);

/** An entry point, by its name. */
struct fake_proc {
	const char *name;
	PFN_vkVoidFunction proc;
};

/** NULL: it is none of these. */
PFN_vkVoidFunction fake_proc_find(const struct fake_proc *known, size_t count, const char *name);
/** Those of images and conversions, and of memory and buffers. NULL: it is none of them. */
PFN_vkVoidFunction fake_vulkan_image_find(const char *name);
PFN_vkVoidFunction fake_vulkan_memory_find(const char *name);

/* ---- Structs of callers ---------------------------------------------------------------------- */

/** The struct of this type; NULL: there is none. */
void *fake_chain_find(const void *chain, VkStructureType type);
/** A struct, and those of these types behind it (ended by 0), each once (pNext-pNext, sType-unique). */
void fake_chain_check(const char *call, const void *first, const VkStructureType *types);
#define FAKE_CHAIN_CHECK(call, first, ...) \
	fake_chain_check(call, first, (const VkStructureType[]){ __VA_ARGS__, 0 })
/** A rule, by its VUID: complain if it is not kept. */
void fake_require_rule(bool kept, const char *call, const char *rule);

/* ---- Images ---------------------------------------------------------------------------------- */

#define FAKE_DMA_BUF VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT
#define FAKE_OPAQUE_FD VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT
#define FAKE_HOST_POINTER VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT

enum {
	FAKE_PLANES = 4,
	FAKE_OBJECT_TYPES = 6, /* memory types for images and buffers: 1 and 2 */
};

struct fake_memory;

struct fake_image {
	const struct fake_vulkan_layout *layout;
	VkExtent3D extent;
	bool is_disjoint;
	VkExternalMemoryHandleTypeFlags handle_types;
	VkSubresourceLayout planes[FAKE_PLANES];
	struct fake_binding {
		const struct fake_memory *memory; /* NULL: not bound yet */
		VkDeviceSize offset;
		ino_t file;
		bool is_dedicated;
	} bindings[FAKE_PLANES]; /* of one that is not disjoint, the first */
};
/** The plane of memory that an aspect names; FAKE_PLANES: none of the image's. */
uint32_t fake_image_find_plane(const struct fake_image *image, VkImageAspectFlags aspect);
/** Of one plane, or of all of them (FAKE_PLANES). */
VkMemoryRequirements fake_image_get_needs(const struct fake_image *image, uint32_t plane);
VkExternalMemoryFeatureFlags fake_layout_get_external(
	const struct fake_vulkan_layout *layout, VkExternalMemoryHandleTypeFlags type);
/** Images, buffers, memory: no longer counted, and freed; NULL is ignored. */
void fake_object_destroy(void *object);
uint64_t fake_align_up(uint64_t a, uint64_t b);

#endif
