/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/fake_vulkan_memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interop-tests/support/fake_gpu.h"
#include "interop-tests/support/fake_vulkan_device.h"

enum {
	OPAQUE_MAGIC = 0x0fa3e000,
};

struct buffer {
	VkDeviceSize size;
	VkDeviceSize needed; /* of memory */
	VkBufferUsageFlags usage;
	VkExternalMemoryHandleTypeFlags handle_types;
	const struct fake_memory *memory;
	VkDeviceSize offset;
};

struct fake_memory {
	VkDeviceSize size;
	uint32_t type;
	VkExternalMemoryHandleTypeFlags imported, exportable;
	int fd; /* -1: a host pointer */
	const void *address;
	const struct fake_image *image;
	const struct buffer *buffer;
};

/* What the driver has to know of FAKE_OPAQUE_FD memory; at the beginning of its file. */
struct opaque_head {
	uint32_t magic;
	uint32_t type;
	uint64_t size;
	bool is_dedicated;
};
static struct fake_vulkan *fake_of(VkDevice device) {
	return (struct fake_vulkan *)device;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static uint64_t get_file_size(int fd, ino_t *file) {
	struct stat at = { .st_size = 0 };
	*file = fstat(fd, &at) == 0 ? at.st_ino : 0;
	return (uint64_t)at.st_size;
}

static void check_fd(const struct fake_vulkan_memory_traits *traits,
	const VkMemoryAllocateInfo *info, int fd, const VkMemoryDedicatedAllocateInfo *dedicated,
	bool is_opaque) {
	static const char call[] = "vkAllocateMemory";
	struct opaque_head head = { 0 };
	ino_t file;
	uint64_t size = get_file_size(fd, &file);
	fake_require_rule(file != 0, call, "VUID-VkImportMemoryFdInfoKHR-handleType-00670");
	if (!is_opaque) {
		fake_require_rule((traits->fd_types >> info->memoryTypeIndex & 1) != 0, call,
			"VUID-VkMemoryAllocateInfo-memoryTypeIndex-00648");
		fake_require_rule(info->allocationSize <= size, call, "what the file has");
		return;
	}
	fake_require_rule(pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
			head.magic == OPAQUE_MAGIC,
		call, "VUID-VkImportMemoryFdInfoKHR-fd-01746");
	fake_require_rule(head.size == info->allocationSize && head.type == info->memoryTypeIndex,
		call, "VUID-VkMemoryAllocateInfo-allocationSize-01742");
	fake_require_rule(head.is_dedicated == (dedicated != NULL), call,
		"VUID-VkMemoryDedicatedAllocateInfo-image-01878");
}

static void check_host(const struct fake_vulkan_memory_traits *traits,
	const VkMemoryAllocateInfo *info, const VkImportMemoryHostPointerInfoEXT *host) {
	static const char call[] = "vkAllocateMemory";
	fake_require_rule(host->handleType == FAKE_HOST_POINTER, call,
		"VUID-VkImportMemoryHostPointerInfoEXT-handleType-01748");
	fake_require_rule((uintptr_t)host->pHostPointer % FAKE_VULKAN_HOST_ALIGN == 0, call,
		"VUID-VkImportMemoryHostPointerInfoEXT-pHostPointer-01749");
	fake_require_rule(info->allocationSize % FAKE_VULKAN_HOST_ALIGN == 0, call,
		"VUID-VkMemoryAllocateInfo-allocationSize-01745");
	fake_require_rule((traits->host_types >> info->memoryTypeIndex & 1) != 0, call,
		"VUID-VkMemoryAllocateInfo-memoryTypeIndex-01744");
	/* msync() says whether all of it is mapped: VUID-VkImportMemoryHostPointerInfoEXT-handleType-01750. */
	fake_require_rule(msync(host->pHostPointer, info->allocationSize, MS_ASYNC) == 0, call,
		"VUID-VkImportMemoryHostPointerInfoEXT-handleType-01750");
}

static void check_dedicated(
	const VkMemoryAllocateInfo *info, const VkMemoryDedicatedAllocateInfo *dedicated) {
	static const char call[] = "vkAllocateMemory";
	const struct fake_image *image = (const struct fake_image *)dedicated->image;
	const struct buffer *buffer = (const struct buffer *)dedicated->buffer;
	fake_require_rule((image == NULL) != (buffer == NULL), call,
		"VUID-VkMemoryDedicatedAllocateInfo-image-01432");
	if (image != NULL) {
		fake_require_rule(!image->is_disjoint, call,
			"VUID-VkMemoryDedicatedAllocateInfo-image-01797");
		fake_require_rule(
			info->allocationSize == fake_image_get_needs(image, FAKE_PLANES).size, call,
			"VUID-VkMemoryDedicatedAllocateInfo-image-02964");
	} else if (buffer != NULL) {
		fake_require_rule(info->allocationSize == buffer->needed, call,
			"VUID-VkMemoryDedicatedAllocateInfo-buffer-02965");
	}
}

static void check_allocation(const struct fake_vulkan_memory_traits *traits,
	const VkMemoryAllocateInfo *info, const VkImportMemoryFdInfoKHR *import,
	const VkImportMemoryHostPointerInfoEXT *host,
	const VkMemoryDedicatedAllocateInfo *dedicated) {
	fake_require_rule(info->allocationSize > 0, "vkAllocateMemory",
		"VUID-VkMemoryAllocateInfo-allocationSize-00638");
	if (dedicated != NULL) {
		check_dedicated(info, dedicated);
	}
	if (import != NULL) {
		check_fd(traits, info, import->fd, dedicated, import->handleType == FAKE_OPAQUE_FD);
	} else if (host != NULL) {
		check_host(traits, info, host);
	}
}

/* A file in memory, sealed as who imports it wants it, which says what it is. */
static int create_file(const struct fake_memory *memory) {
	const struct opaque_head head = { OPAQUE_MAGIC, memory->type, memory->size,
		memory->image != NULL };
	int fd = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0 &&
		(ftruncate(fd, (off_t)memory->size) < 0 ||
			pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
			fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate_memory(VkDevice device,
	const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *allocator,
	VkDeviceMemory *out) {
	static const char call[] = "vkAllocateMemory";
	FAKE_CHAIN_CHECK(call, info, VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
		VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO);
	const VkImportMemoryFdInfoKHR *import =
		fake_chain_find(info->pNext, VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR);
	const VkImportMemoryHostPointerInfoEXT *host =
		fake_chain_find(info->pNext, VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT);
	const VkExportMemoryAllocateInfo *exported =
		fake_chain_find(info->pNext, VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO);
	const VkMemoryDedicatedAllocateInfo *dedicated =
		fake_chain_find(info->pNext, VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO);
	const struct fake_vulkan_memory_traits *traits = fake_of(device)->traits.memory;
	(void)allocator;
	*out = VK_NULL_HANDLE;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	check_allocation(traits, info, import, host, dedicated);
	if (host != NULL && traits->refuses_mappings) {
		result = VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
	struct fake_memory *memory = result == VK_SUCCESS ? malloc(sizeof(*memory)) : NULL;
	if (memory == NULL) {
		if (import != NULL) {
			fake_gpu_import_failed(import->fd);
		}
		return fake_vulkan_leave(
			result == VK_SUCCESS ? VK_ERROR_OUT_OF_HOST_MEMORY : result);
	}
	*memory = (struct fake_memory){
		.size = info->allocationSize,
		.type = info->memoryTypeIndex,
		.imported = import != NULL ? import->handleType
			: host != NULL     ? FAKE_HOST_POINTER
					   : 0,
		.exportable = exported == NULL ? 0 : exported->handleTypes,
		.image = dedicated == NULL ? NULL : (const struct fake_image *)dedicated->image,
		.buffer = dedicated == NULL ? NULL : (const struct buffer *)dedicated->buffer,
		.address = host == NULL ? NULL : host->pHostPointer,
	};
	memory->fd = import != NULL ? import->fd : host != NULL ? -1 : create_file(memory);
	fake_gpu_count(1);
	*out = (VkDeviceMemory)memory;
	return fake_vulkan_leave(VK_SUCCESS);
}

static VKAPI_ATTR void VKAPI_CALL free_memory(
	VkDevice device, VkDeviceMemory handle, const VkAllocationCallbacks *allocator) {
	struct fake_memory *memory = (struct fake_memory *)handle;
	(void)device;
	(void)allocator;
	if (memory != NULL && memory->fd >= 0) {
		close(memory->fd);
	}
	/* What was imported is given up before it is unmapped. */
	fake_require_rule(memory == NULL || memory->address == NULL ||
			msync((void *)(uintptr_t)memory->address, memory->size, MS_ASYNC) == 0,
		"vkFreeMemory", "VUID-VkImportMemoryHostPointerInfoEXT-handleType-01750");
	fake_object_destroy(memory);
}

static VKAPI_ATTR VkResult VKAPI_CALL get_memory_fd(
	VkDevice device, const VkMemoryGetFdInfoKHR *info, int *fd) {
	static const char call[] = "vkGetMemoryFdKHR";
	const struct fake_memory *memory = (const struct fake_memory *)info->memory;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	fake_require_rule((memory->exportable & info->handleType) != 0, call,
		"VUID-VkMemoryGetFdInfoKHR-handleType-00671");
	if (result == VK_SUCCESS) {
		/* As lavapipe 25: not CLOEXEC. */
		*fd = dup(memory->fd);
	}
	return fake_vulkan_leave(result);
}

static VKAPI_ATTR VkResult VKAPI_CALL get_fd_properties(VkDevice device,
	VkExternalMemoryHandleTypeFlagBits type, int fd, VkMemoryFdPropertiesKHR *properties) {
	static const char call[] = "vkGetMemoryFdPropertiesKHR";
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	fake_require_rule(
		type == FAKE_DMA_BUF, call, "VUID-vkGetMemoryFdPropertiesKHR-handleType-00674");
	ino_t file;
	get_file_size(fd, &file);
	fake_require_rule(file != 0, call, "VUID-vkGetMemoryFdPropertiesKHR-fd-00673");
	properties->memoryTypeBits = fake_of(device)->traits.memory->fd_types;
	return fake_vulkan_leave(result);
}

static VKAPI_ATTR VkResult VKAPI_CALL get_host_properties(VkDevice device,
	VkExternalMemoryHandleTypeFlagBits type, const void *address,
	VkMemoryHostPointerPropertiesEXT *properties) {
	static const char call[] = "vkGetMemoryHostPointerPropertiesEXT";
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	fake_require_rule(type == FAKE_HOST_POINTER, call,
		"VUID-vkGetMemoryHostPointerPropertiesEXT-handleType-01752");
	fake_require_rule((uintptr_t)address % FAKE_VULKAN_HOST_ALIGN == 0, call,
		"VUID-vkGetMemoryHostPointerPropertiesEXT-pHostPointer-01753");
	properties->memoryTypeBits = fake_of(device)->traits.memory->host_types;
	return fake_vulkan_leave(result);
}

static VKAPI_ATTR void VKAPI_CALL get_memory_properties(
	VkPhysicalDevice physical_device, VkPhysicalDeviceMemoryProperties *answer) {
	const struct fake_vulkan *fake = (const struct fake_vulkan *)physical_device;
	const struct fake_vulkan_memory_traits *traits = fake->traits.memory;
	*answer = (VkPhysicalDeviceMemoryProperties){ .memoryTypeCount = 4, .memoryHeapCount = 1 };
	for (uint32_t i = 0; i < answer->memoryTypeCount; i++) {
		bool is_hidden = (traits->hidden_types >> i & 1) != 0,
		     is_stale = (traits->stale_types >> i & 1) != 0;
		answer->memoryTypes[i].propertyFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT |
			(is_hidden ? 0u : (VkFlags)VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) |
			(is_hidden || is_stale ? 0u
					       : (VkFlags)VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
	}
}

/* ---- Binding --------------------------------------------------------------------------------- */

/* What is the same of images and buffers. */
static void check_binding(const char *call, const struct fake_memory *memory, VkDeviceSize offset,
	const VkMemoryRequirements *needs, VkExternalMemoryHandleTypeFlags handle_types) {
	fake_require_rule((needs->memoryTypeBits >> memory->type & 1) != 0, call,
		"VUID-VkBindImageMemoryInfo-pNext-01615, or vkBindBufferMemory-memory-01035");
	fake_require_rule(fake_align_up(offset, needs->alignment) == offset, call,
		"VUID-VkBindImageMemoryInfo-pNext-01616, or vkBindBufferMemory-memoryOffset-01036");
	fake_require_rule(offset <= memory->size && memory->size - offset >= needs->size, call,
		"VUID-VkBindImageMemoryInfo-pNext-01617, or vkBindBufferMemory-size-01037");
	fake_require_rule((memory->imported & ~handle_types) == 0, call,
		"VUID-VkBindImageMemoryInfo-memory-02989, or vkBindBufferMemory-memory-02985");
	fake_require_rule(memory->exportable == 0 || (memory->exportable & handle_types) != 0, call,
		"VUID-VkBindImageMemoryInfo-memory-02728, or vkBindBufferMemory-memory-02726");
}

static void bind(const char *call, struct fake_image *image, uint32_t plane,
	const struct fake_memory *memory, VkDeviceSize offset) {
	const VkMemoryRequirements needs = fake_image_get_needs(image, plane);
	struct fake_binding *binding = &image->bindings[plane % FAKE_PLANES];
	bool is_alone = (fake_layout_get_external(image->layout, image->handle_types) &
				VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT) != 0;
	check_binding(call, memory, offset, &needs, image->handle_types);
	fake_require_rule(
		binding->memory == NULL, call, "VUID-VkBindImageMemoryInfo-image-07460 or 01619");
	fake_require_rule(memory->image == NULL || (memory->image == image && offset == 0), call,
		"VUID-VkBindImageMemoryInfo-memory-02628");
	fake_require_rule(!is_alone || memory->image == image, call,
		"VUID-VkBindImageMemoryInfo-image-01445");
	*binding = (struct fake_binding){
		.memory = memory,
		.offset = offset,
		.is_dedicated = memory->image == image,
	};
	get_file_size(memory->fd, &binding->file);
}

static bool is_bound(const struct fake_image *image) {
	bool all = true;
	for (uint32_t i = 0; i < (image->is_disjoint ? image->layout->plane_count : 1); i++) {
		all = all && image->bindings[i].memory != NULL;
	}
	return all;
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_images(
	VkDevice device, uint32_t count, const VkBindImageMemoryInfo *infos) {
	static const char call[] = "vkBindImageMemory2";
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	for (uint32_t i = 0; i < count && result == VK_SUCCESS; i++) {
		struct fake_image *image = (struct fake_image *)infos[i].image;
		FAKE_CHAIN_CHECK(call, &infos[i], VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_INFO,
			VK_STRUCTURE_TYPE_BIND_IMAGE_PLANE_MEMORY_INFO);
		const VkBindImagePlaneMemoryInfo *plane = fake_chain_find(
			infos[i].pNext, VK_STRUCTURE_TYPE_BIND_IMAGE_PLANE_MEMORY_INFO);
		uint32_t k = plane == NULL ? FAKE_PLANES
					   : fake_image_find_plane(image, plane->planeAspect);
		fake_require_rule(image->is_disjoint == (k < FAKE_PLANES), call,
			"VUID-VkBindImageMemoryInfo-image-07736, or -pNext-01618");
		bind(call, image, k, (const struct fake_memory *)infos[i].memory,
			infos[i].memoryOffset);
	}
	for (uint32_t i = 0; i < count && result == VK_SUCCESS; i++) {
		fake_require_rule(is_bound((const struct fake_image *)infos[i].image), call,
			"VUID-vkBindImageMemory2-pBindInfos-02858");
	}
	return fake_vulkan_leave(result);
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_image(
	VkDevice device, VkImage handle, VkDeviceMemory memory, VkDeviceSize offset) {
	static const char call[] = "vkBindImageMemory";
	struct fake_image *image = (struct fake_image *)handle;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	fake_require_rule(!image->is_disjoint, call, "VUID-vkBindImageMemory-image-01608");
	if (result == VK_SUCCESS) {
		bind(call, image, FAKE_PLANES, (const struct fake_memory *)memory, offset);
	}
	return fake_vulkan_leave(result);
}

/* ---- Buffers --------------------------------------------------------------------------------- */

static VKAPI_ATTR void VKAPI_CALL get_buffer_properties(VkPhysicalDevice physical_device,
	const VkPhysicalDeviceExternalBufferInfo *info, VkExternalBufferProperties *answer) {
	const struct fake_vulkan *fake = (const struct fake_vulkan *)physical_device;
	const struct fake_vulkan_memory_traits *traits = fake->traits.memory;
	answer->externalMemoryProperties = (VkExternalMemoryProperties){
		.externalMemoryFeatures =
			info->handleType == FAKE_DMA_BUF || info->handleType == FAKE_OPAQUE_FD
			? traits->buffers
			: info->handleType == FAKE_HOST_POINTER ? traits->host
								: 0,
	};
}

static VKAPI_ATTR VkResult VKAPI_CALL create_buffer(VkDevice device, const VkBufferCreateInfo *info,
	const VkAllocationCallbacks *allocator, VkBuffer *out) {
	static const char call[] = "vkCreateBuffer";
	FAKE_CHAIN_CHECK(call, info, VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO);
	const VkExternalMemoryBufferCreateInfo *external =
		fake_chain_find(info->pNext, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO);
	(void)allocator;
	*out = VK_NULL_HANDLE;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	fake_require_rule(info->size > 0, call, "VUID-VkBufferCreateInfo-size-00912");
	fake_require_rule(info->usage != 0, call, "VUID-VkBufferCreateInfo-usage-requiredbitmask");
	struct buffer *buffer = result == VK_SUCCESS ? malloc(sizeof(*buffer)) : NULL;
	if (buffer == NULL) {
		return fake_vulkan_leave(
			result == VK_SUCCESS ? VK_ERROR_OUT_OF_HOST_MEMORY : result);
	}
	uint32_t align = fake_of(device)->traits.memory->buffer_align;
	*buffer = (struct buffer){
		.size = info->size,
		.needed = fake_align_up(info->size, align),
		.usage = info->usage,
		.handle_types = external == NULL ? 0 : external->handleTypes,
	};
	fake_gpu_count(1);
	*out = (VkBuffer)buffer;
	return fake_vulkan_leave(VK_SUCCESS);
}

static VKAPI_ATTR void VKAPI_CALL destroy_buffer(
	VkDevice device, VkBuffer buffer, const VkAllocationCallbacks *allocator) {
	(void)device;
	(void)allocator;
	fake_object_destroy((void *)buffer);
}

static VkMemoryRequirements get_buffer_size(const struct buffer *buffer) {
	return (VkMemoryRequirements){
		.size = buffer->needed,
		.alignment = 64,
		.memoryTypeBits = FAKE_OBJECT_TYPES,
	};
}

static VKAPI_ATTR void VKAPI_CALL get_buffer_needs(VkDevice device,
	const VkBufferMemoryRequirementsInfo2 *info, VkMemoryRequirements2 *answer) {
	(void)device;
	FAKE_CHAIN_CHECK("vkGetBufferMemoryRequirements2", info,
		VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2);
	answer->memoryRequirements = get_buffer_size((const struct buffer *)info->buffer);
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_buffer(
	VkDevice device, VkBuffer handle, VkDeviceMemory memory_handle, VkDeviceSize offset) {
	static const char call[] = "vkBindBufferMemory";
	struct buffer *buffer = (struct buffer *)handle;
	const struct fake_memory *memory = (const struct fake_memory *)memory_handle;
	const VkMemoryRequirements needs = get_buffer_size(buffer);
	bool is_alone = (fake_of(device)->traits.memory->buffers &
				VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT) != 0;
	VkResult result = fake_vulkan_enter(fake_of(device), call);
	if (result == VK_SUCCESS) {
		check_binding(call, memory, offset, &needs, buffer->handle_types);
		fake_require_rule(
			buffer->memory == NULL, call, "VUID-vkBindBufferMemory-buffer-07459");
		fake_require_rule(
			memory->buffer == NULL || (memory->buffer == buffer && offset == 0), call,
			"VUID-vkBindBufferMemory-memory-01508");
		fake_require_rule(buffer->handle_types != FAKE_DMA_BUF || !is_alone ||
				memory->buffer == buffer,
			call, "VUID-vkBindBufferMemory-buffer-01444");
		buffer->memory = memory;
		buffer->offset = offset;
	}
	return fake_vulkan_leave(result);
}

PFN_vkVoidFunction fake_vulkan_memory_find(const char *name) {
	static const struct fake_proc known[] = {
#define KNOWN(name, proc) { "vk" #name, (PFN_vkVoidFunction)(proc) }
		KNOWN(AllocateMemory, allocate_memory),
		KNOWN(BindBufferMemory, bind_buffer),
		KNOWN(BindImageMemory, bind_image),
		KNOWN(BindImageMemory2, bind_images),
		KNOWN(CreateBuffer, create_buffer),
		KNOWN(DestroyBuffer, destroy_buffer),
		KNOWN(FreeMemory, free_memory),
		KNOWN(GetBufferMemoryRequirements2, get_buffer_needs),
		KNOWN(GetMemoryFdKHR, get_memory_fd),
		KNOWN(GetMemoryFdPropertiesKHR, get_fd_properties),
		KNOWN(GetMemoryHostPointerPropertiesEXT, get_host_properties),
		KNOWN(GetPhysicalDeviceExternalBufferProperties, get_buffer_properties),
		KNOWN(GetPhysicalDeviceMemoryProperties, get_memory_properties),
#undef KNOWN
	};
	return fake_proc_find(known, sizeof(known) / sizeof(known[0]), name);
}

/* ---- What a test does ------------------------------------------------------------------------ */

struct fake_vulkan_seen fake_vulkan_look(VkImage handle) {
	const struct fake_image *image = (const struct fake_image *)handle;
	struct fake_vulkan_seen seen = {
		.tiling = image->layout->tiling,
		.modifier = image->layout->modifier,
		.is_disjoint = image->is_disjoint,
		.is_dedicated = image->bindings[0].is_dedicated,
		.memory_type = image->bindings[0].memory->type,
		.plane_count = image->layout->plane_count,
	};
	for (uint32_t i = 0; i < seen.plane_count; i++) {
		const struct fake_binding *binding = &image->bindings[image->is_disjoint ? i : 0];
		seen.planes[i].pitch = image->planes[i].rowPitch;
		seen.planes[i].bytes = image->planes[i].size;
		seen.planes[i].offset = binding->offset + image->planes[i].offset;
		seen.planes[i].file = binding->file;
		if (binding->memory->address != NULL) {
			seen.planes[i].address =
				(const char *)binding->memory->address + seen.planes[i].offset;
		}
	}
	return seen;
}

struct fake_vulkan_seen_buffer fake_vulkan_look_at_buffer(VkBuffer handle) {
	const struct buffer *buffer = (const struct buffer *)handle;
	struct fake_vulkan_seen_buffer seen = {
		.bytes = buffer->size,
		.usage = buffer->usage,
		.address = buffer->memory->address,
		.offset = buffer->offset,
	};
	get_file_size(buffer->memory->fd, &seen.file);
	return seen;
}

struct stile_vulkan_own_image fake_vulkan_create_image(struct fake_vulkan *fake,
	const struct fake_vulkan_layout *layout, uint32_t fourcc, uint32_t width, uint32_t height,
	uint64_t offset, VkExternalMemoryHandleTypeFlags handle_type) {
	struct stile_vulkan_own_image own = {
		.size = sizeof(own),
		.fourcc = fourcc,
		.width = width,
		.height = height,
		.tiling = layout->tiling,
		.usage = VK_IMAGE_USAGE_SAMPLED_BIT,
		.plane_count = layout->plane_count,
		.memory_type = 1,
		.offset = offset,
		.dedicated = offset == 0,
		.name = "own",
	};
	const VkImageDrmFormatModifierListCreateInfoEXT list = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_LIST_CREATE_INFO_EXT,
		.drmFormatModifierCount = 1,
		.pDrmFormatModifiers = &layout->modifier,
	};
	const VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		.pNext = layout->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT ? &list : NULL,
		.handleTypes = handle_type,
	};
	const VkImageCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.pNext = &external,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = layout->format,
		.extent = { width, height, 1 },
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = layout->tiling,
		.usage = own.usage,
	};
	fake_gpu_exempt(true);
	((PFN_vkCreateImage)fake_vulkan_image_find("vkCreateImage"))(
		(VkDevice)fake, &info, NULL, &own.image);
	own.bytes = offset +
		fake_image_get_needs((const struct fake_image *)own.image, FAKE_PLANES).size;
	const VkMemoryDedicatedAllocateInfo dedicated = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
		.image = own.image,
	};
	const VkExportMemoryAllocateInfo exported = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.pNext = own.dedicated ? &dedicated : NULL,
		.handleTypes = handle_type,
	};
	const VkMemoryAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &exported,
		.allocationSize = own.bytes,
		.memoryTypeIndex = own.memory_type,
	};
	allocate_memory((VkDevice)fake, &allocate, NULL, &own.memory);
	bind_image((VkDevice)fake, own.image, own.memory, offset);
	fake_gpu_exempt(false);
	return own;
}

void fake_vulkan_destroy_image(
	struct fake_vulkan *fake, const struct stile_vulkan_own_image *image) {
	fake_object_destroy((void *)image->image);
	free_memory((VkDevice)fake, image->memory, NULL);
}
