/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include <stile/party.h>
#include <stile/vulkan_memory.h>

#include "src/driver_fd.h"
#include "src/os.h"
#include "src/report.h"
#include "src/vulkan/vulkan.h"

void vulkan_memory_find(struct stile_vulkan *vulkan) {
	struct vulkan_procs *vk = &vulkan->vk;
#define FIND(extension, name) \
	if (vulkan_has_extension(vulkan, extension)) { \
		vk->name = (PFN_vk##name)vk->GetDeviceProcAddr(vulkan->info.device, "vk" #name); \
	}
	FIND(VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME, GetMemoryFdKHR)
	FIND(VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME, GetMemoryFdPropertiesKHR)
	FIND(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME, GetMemoryHostPointerPropertiesEXT)
	FIND(VK_EXT_IMAGE_DRM_FORMAT_MODIFIER_EXTENSION_NAME,
		GetImageDrmFormatModifierPropertiesEXT)
#undef FIND
}

int vulkan_memory_need(
	const struct stile_vulkan *vulkan, const char *extension, struct stile_report *why) {
	if (vulkan_has_extension(vulkan, extension)) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
		"the device was created without %s", extension);
}

int vulkan_memory_need_dma_buf(const struct stile_vulkan *vulkan, struct stile_report *why) {
	int ret = vulkan_memory_need(vulkan, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME, why);
	return ret < 0
		? ret
		: vulkan_memory_need(vulkan, VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME, why);
}

const char *vulkan_memory_name(VkExternalMemoryHandleTypeFlagBits handle_type) {
	return handle_type == VULKAN_DMA_BUF ? "dma-buf" : "host pointer";
}

uint32_t stile_vulkan_get_peer_family(const struct stile_vulkan *vulkan, uint32_t memory) {
	switch (memory) {
	case STILE_MEMORY_HOST_POINTER:
		return VK_QUEUE_FAMILY_IGNORED;
	case STILE_MEMORY_OPAQUE_FD:
		return VK_QUEUE_FAMILY_EXTERNAL;
	default:
		return vulkan->foreign;
	}
}

/* The lowest memory type that both the object and the memory allow. */
static int choose_type(
	uint32_t object_types, uint32_t memory_types, uint32_t *type, struct stile_report *why) {
	uint32_t types = object_types & memory_types;
	if (types == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, object_types,
			memory_types,
			"no memory type fits both what is made of the memory (0x%x) and the memory "
			"(0x%x)",
			object_types, memory_types);
	}
	*type = (uint32_t)__builtin_ctz(types);
	return 0;
}

static int choose_memory_type(struct stile_vulkan *vulkan, int fd, uint32_t object_types,
	uint32_t *type, struct stile_report *why) {
	VkMemoryFdPropertiesKHR properties = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR,
	};
	VkResult result = vulkan->vk.GetMemoryFdPropertiesKHR(
		vulkan->info.device, VULKAN_DMA_BUF, fd, &properties);
	if (result != VK_SUCCESS) {
		return vulkan_refuse(why, "vkGetMemoryFdPropertiesKHR", result);
	}
	return choose_type(object_types, properties.memoryTypeBits, type, why);
}

/* Takes the descriptor over. */
static int memory_allocate(struct stile_vulkan *vulkan, struct driver_fd fd,
	const VkMemoryRequirements *needs, const VkMemoryDedicatedAllocateInfo *dedicated,
	struct vulkan_memory *memory, struct stile_report *why) {
	uint32_t type = 0;
	int ret = choose_memory_type(vulkan, fd.fd, needs->memoryTypeBits, &type, why);
	if (ret < 0) {
		close(fd.fd);
		return ret;
	}
	VkImportMemoryFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.pNext = dedicated,
		.handleType = VULKAN_DMA_BUF,
		.fd = fd.fd,
	};
	/* As large as the driver needs: what it maps is then what was checked. */
	VkMemoryAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &import,
		.allocationSize = needs->size,
		.memoryTypeIndex = type,
	};
	VkResult result =
		vulkan->vk.AllocateMemory(vulkan->info.device, &allocate, NULL, &memory->handle);
	if (result != VK_SUCCESS) {
		driver_fd_close_after_failure(&fd);
		return vulkan_refuse(why, "vkAllocateMemory", result);
	}
	return 0;
}

int vulkan_memory_check(const struct stile_buffer *buffer, const VkMemoryRequirements *needs,
	struct stile_report *why) {
	uint64_t bytes = stile_buffer_get_bytes(buffer);
	if (needs->size <= bytes) {
		return 0;
	}
	return report_refuse(why, -ERANGE, STILE_REASON_BOUNDS, 0, needs->size, bytes,
		"the driver needs %" PRIu64 " bytes, the memory has %" PRIu64,
		(uint64_t)needs->size, bytes);
}

int vulkan_memory_import(struct stile_vulkan *vulkan, struct stile_buffer *buffer,
	const VkMemoryRequirements *needs, const VkMemoryDedicatedAllocateInfo *dedicated,
	struct vulkan_memory *memory, struct stile_report *why) {
	int ret = vulkan_memory_check(buffer, needs, why);
	if (ret < 0) {
		return ret;
	}
	int fd;
	ret = stile_buffer_export_fd(buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, &fd);
	if (ret < 0) {
		return report_refuse(why, ret,
			ret == -EACCES ? STILE_REASON_FD_ACCESS : STILE_REASON_RESOURCES, 0, 0, 0,
			"no descriptor for the driver: %s", strerror(-ret));
	}
	return memory_allocate(vulkan, driver_fd_take(fd), needs, dedicated, memory, why);
}

/* ---- Host pointers ------------------------------------------------------------------------- */

static uint64_t host_pointer_alignment(const struct stile_vulkan *vulkan) {
	VkPhysicalDeviceExternalMemoryHostPropertiesEXT host = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT,
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
		.pNext = &host,
	};
	vulkan->vk.GetPhysicalDeviceProperties2(vulkan->info.physical_device, &properties);
	return host.minImportedHostPointerAlignment;
}

static int map_all(struct vulkan_memory *memory, struct stile_buffer *buffer, uint64_t *mapped,
	struct stile_report *why) {
	uint64_t page = os_page_size();
	*mapped = (stile_buffer_get_bytes(buffer) + page - 1) / page * page;
	int ret = stile_buffer_mmap(buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, &memory->address);
	if (ret == -EINVAL) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_EXPORTER, 0, 0, 0,
			"the buffer's exporter has no mappings");
	}
	if (ret < 0) {
		return report_refuse(why, ret,
			ret == -EACCES ? STILE_REASON_FD_ACCESS : STILE_REASON_RESOURCES, 0, 0, 0,
			"the buffer cannot be mapped: %s", strerror(-ret));
	}
	memory->buffer = buffer;
	return 0;
}

/*
 * Drivers may take a mapping as memory that the CPU must not touch any more (Intel's do), or that it would have to
 * flush: neither is shared with anybody.
 */
static uint32_t find_coherent_types(const struct stile_vulkan *vulkan) {
	static const VkMemoryPropertyFlags needed =
		VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
	VkPhysicalDeviceMemoryProperties all;
	uint32_t types = 0;
	vulkan->vk.GetPhysicalDeviceMemoryProperties(vulkan->info.physical_device, &all);
	for (uint32_t i = 0; i < all.memoryTypeCount; i++) {
		bool is_coherent = (all.memoryTypes[i].propertyFlags & needed) == needed;
		types |= is_coherent ? UINT32_C(1) << i : 0;
	}
	return types;
}

static int refuse_mapping(struct stile_report *why, const char *call, VkResult result) {
	int ret = vulkan_refuse(why, call, result);
	if (result == VK_ERROR_INVALID_EXTERNAL_HANDLE) {
		report_append(why,
			": of this mapping the driver cannot make memory. Drivers of hardware take "
			"a program's own pages and those of files in memory, not a dma-buf's, and "
			"may take the same pages once only");
	}
	return ret;
}

/* What is mapped becomes the driver's, too. */
static int allocate_host(struct stile_vulkan *vulkan, struct vulkan_memory *memory, uint64_t mapped,
	const VkMemoryRequirements *needs, struct stile_report *why) {
	uint64_t align = host_pointer_alignment(vulkan);
	uint64_t bytes = (needs->size + align - 1) & ~(align - 1);
	if ((uintptr_t)memory->address % align != 0 || bytes > mapped) {
		return report_refuse(why, -ERANGE, STILE_REASON_BOUNDS, 0, bytes, mapped,
			"the driver needs %" PRIu64 " bytes from a multiple of %" PRIu64
			" on, %" PRIu64 " are mapped at %p",
			bytes, align, mapped, memory->address);
	}
	VkMemoryHostPointerPropertiesEXT properties = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT,
	};
	VkResult result = vulkan->vk.GetMemoryHostPointerPropertiesEXT(
		vulkan->info.device, VULKAN_HOST_POINTER, memory->address, &properties);
	if (result != VK_SUCCESS) {
		return refuse_mapping(why, "vkGetMemoryHostPointerPropertiesEXT", result);
	}
	uint32_t types = properties.memoryTypeBits & find_coherent_types(vulkan);
	if (types == 0) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0,
			properties.memoryTypeBits,
			"of the memory types that the driver takes this mapping as (0x%x), none is "
			"visible to the CPU and coherent with it",
			properties.memoryTypeBits);
	}
	VkImportMemoryHostPointerInfoEXT import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
		.handleType = VULKAN_HOST_POINTER,
		.pHostPointer = memory->address,
	};
	VkMemoryAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &import,
		.allocationSize = bytes,
	};
	int ret = choose_type(needs->memoryTypeBits, types, &allocate.memoryTypeIndex, why);
	if (ret < 0) {
		return ret;
	}
	result = vulkan->vk.AllocateMemory(vulkan->info.device, &allocate, NULL, &memory->handle);
	return result == VK_SUCCESS ? 0 : refuse_mapping(why, "vkAllocateMemory", result);
}

int vulkan_memory_import_host(struct stile_vulkan *vulkan, struct stile_buffer *buffer,
	const VkMemoryRequirements *needs, struct vulkan_memory *memory, struct stile_report *why) {
	uint64_t mapped;
	int ret = map_all(memory, buffer, &mapped, why);
	return ret < 0 ? ret : allocate_host(vulkan, memory, mapped, needs, why);
}

void vulkan_memory_free(struct stile_vulkan *vulkan, struct vulkan_memory *memory) {
	vulkan->vk.FreeMemory(vulkan->info.device, memory->handle, NULL);
	if (memory->address != NULL) {
		stile_buffer_munmap(memory->buffer, memory->address);
	}
	*memory = (struct vulkan_memory){ .handle = VK_NULL_HANDLE };
}
