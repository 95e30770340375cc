/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <stile/party.h>
#include <stile/vulkan_memory.h>

#include "src/report.h"
#include "src/vulkan/vulkan.h"

struct stile_vulkan_buffer {
	struct import_entry entry;   /* the first member */
	struct stile_vulkan *vulkan; /* outlives it */
	struct stile_buffer *buffer; /* borrowed while it is being made */
	uint32_t kind;               /* STILE_MEMORY_* */
	VkBuffer handle;
	struct vulkan_memory memory;
};

static_assert(offsetof(struct stile_vulkan_buffer, entry) == 0, "as the cache has it");

static struct stile_vulkan_buffer *buffer_of_entry(struct import_entry *entry) {
	return (struct stile_vulkan_buffer *)(void *)entry;
}

static int check_importable(struct stile_vulkan *vulkan,
	VkExternalMemoryHandleTypeFlagBits handle_type, VkBufferUsageFlags usage,
	struct stile_report *why) {
	VkExternalMemoryFeatureFlags features =
		vulkan_get_buffer_features(vulkan, handle_type, usage);
	if ((features & VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT) != 0) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, features,
		"the device imports no %s for a VkBuffer of usage 0x%x (features 0x%x)",
		vulkan_memory_name(handle_type), usage, features);
}

static int create_handle(struct stile_vulkan_buffer *self,
	VkExternalMemoryHandleTypeFlagBits handle_type, VkBufferUsageFlags usage,
	VkMemoryRequirements *needs, struct stile_report *why) {
	struct stile_vulkan *vulkan = self->vulkan;
	VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = handle_type,
	};
	VkBufferCreateInfo create = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = &external,
		.size = stile_buffer_get_bytes(self->buffer),
		.usage = usage,
		.sharingMode = VK_SHARING_MODE_EXCLUSIVE,
	};
	int ret = check_importable(vulkan, handle_type, usage, why);
	if (ret < 0) {
		return ret;
	}
	VkResult result =
		vulkan->vk.CreateBuffer(vulkan->info.device, &create, NULL, &self->handle);
	if (result != VK_SUCCESS) {
		return vulkan_refuse(why, "vkCreateBuffer", result);
	}
	VkBufferMemoryRequirementsInfo2 ask = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2,
		.buffer = self->handle,
	};
	VkMemoryRequirements2 answer = { .sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2 };
	vulkan->vk.GetBufferMemoryRequirements2(vulkan->info.device, &ask, &answer);
	*needs = answer.memoryRequirements;
	return 0;
}

static int import_dma_buf(
	struct stile_vulkan_buffer *self, VkBufferUsageFlags usage, struct stile_report *why) {
	VkMemoryRequirements needs;
	int ret = vulkan_memory_need_dma_buf(self->vulkan, why);
	if (ret == 0) {
		ret = create_handle(self, VULKAN_DMA_BUF, usage, &needs, why);
	}
	if (ret < 0) {
		return ret;
	}
	VkMemoryDedicatedAllocateInfo dedicated = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
		.buffer = self->handle,
	};
	return vulkan_memory_import(
		self->vulkan, self->buffer, &needs, &dedicated, &self->memory, why);
}

static int import_host_pointer(
	struct stile_vulkan_buffer *self, VkBufferUsageFlags usage, struct stile_report *why) {
	VkMemoryRequirements needs;
	int ret = vulkan_memory_need(self->vulkan, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME, why);
	if (ret == 0) {
		ret = create_handle(self, VULKAN_HOST_POINTER, usage, &needs, why);
	}
	if (ret < 0) {
		return ret;
	}
	return vulkan_memory_import_host(self->vulkan, self->buffer, &needs, &self->memory, why);
}

static int bind(struct stile_vulkan_buffer *self, struct stile_report *why) {
	struct stile_vulkan *vulkan = self->vulkan;
	VkResult result = vulkan->vk.BindBufferMemory(
		vulkan->info.device, self->handle, self->memory.handle, 0);
	return result == VK_SUCCESS ? 0 : vulkan_refuse(why, "vkBindBufferMemory", result);
}

/* All but the struct, which may be filled again. */
static void give_up(struct stile_vulkan_buffer *self) {
	struct stile_vulkan *vulkan = self->vulkan;
	vulkan->vk.DestroyBuffer(vulkan->info.device, self->handle, NULL);
	self->handle = VK_NULL_HANDLE;
	vulkan_memory_free(vulkan, &self->memory);
}

static const struct way {
	uint32_t kind;
	int (*import)(struct stile_vulkan_buffer *self, VkBufferUsageFlags usage,
		struct stile_report *why);
} ways[] = {
	{ STILE_MEMORY_DMA_BUF, import_dma_buf },
	{ STILE_MEMORY_HOST_POINTER, import_host_pointer },
};

enum { WAYS = 2, KINDS = STILE_MEMORY_DMA_BUF | STILE_MEMORY_HOST_POINTER };

/* The ways in turn; if all that may be taken fail, the error is the first one's. */
static int buffer_import(struct stile_vulkan_buffer *self, VkBufferUsageFlags usage, uint32_t kinds,
	struct stile_report *why) {
	if (usage == 0 || (kinds & ~(uint32_t)KINDS) != 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0, KINDS, kinds,
			"usage 0x%x, memory 0x%x: a usage is needed, and memory of kinds 0x%x",
			usage, kinds, KINDS);
	}
	struct stile_report next = { .error = 0 };
	int ret = 1;
	for (size_t i = 0; i < WAYS && ret != 0; i++) {
		if ((kinds & ways[i].kind) == 0) {
			continue;
		}
		self->kind = ways[i].kind;
		int failed = ways[i].import(self, usage, ret < 0 ? &next : why);
		failed = failed == 0 ? bind(self, ret < 0 ? &next : why) : failed;
		if (failed < 0) {
			give_up(self);
		}
		ret = failed == 0 || ret == 1 ? failed : ret;
	}
	if (ret < 0 && next.error < 0) {
		report_append(why, "; nor by its mapping: %s", next.text);
	}
	return ret;
}

static void destroy(struct import_entry *entry) {
	give_up(buffer_of_entry(entry));
}

/* A mapping keeps the buffer: such a VkBuffer cannot wait for its end, and goes with its user. */
static struct stile_vulkan_buffer *add(
	struct stile_vulkan_buffer *self, const struct import_key *key) {
	struct import_cache *cache = &self->vulkan->imports;
	self->buffer = NULL;
	if (self->kind == STILE_MEMORY_HOST_POINTER) {
		import_cache_hold(cache, &self->entry);
		return self;
	}
	return buffer_of_entry(import_cache_add(cache, key, &self->entry));
}

int vulkan_buffer_adopt(struct stile_vulkan *vulkan, VkBuffer handle, VkDeviceMemory memory,
	struct stile_vulkan_buffer **out, struct stile_report *why) {
	struct stile_vulkan_buffer *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		return report_refuse(
			why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	self->entry.destroy = destroy;
	self->vulkan = vulkan;
	self->kind = STILE_MEMORY_OPAQUE_FD;
	self->handle = handle;
	self->memory.handle = memory;
	import_cache_hold(&vulkan->imports, &self->entry);
	*out = self;
	return 0;
}

/* Make one that nobody knows yet. */
static int buffer_make(struct stile_vulkan *vulkan, const struct import_key *key,
	VkBufferUsageFlags usage, uint32_t kinds, struct stile_report *why,
	struct stile_vulkan_buffer **out) {
	struct stile_vulkan_buffer *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		return report_refuse(
			why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	self->entry.destroy = destroy;
	self->vulkan = vulkan;
	self->buffer = key->planes[0].buffer;
	int ret = buffer_import(self, usage, kinds, why);
	if (ret < 0) {
		free(self);
		return ret;
	}
	*out = add(self, key);
	return 0;
}

int stile_vulkan_import_buffer(struct stile_vulkan *vulkan, struct stile_buffer *buffer,
	VkBufferUsageFlags usage, uint32_t memory, struct stile_report *report,
	struct stile_vulkan_buffer **out) {
	*out = NULL;
	if (report_begin(report) < 0) {
		return -EINVAL;
	}
	uint32_t kinds = memory == 0 ? KINDS : memory;
	struct import_key key;
	import_key_of_buffer(&key, buffer, (uint64_t)kinds << 32 | usage);
	*out = buffer_of_entry(import_cache_get(&vulkan->imports, &key));
	if (*out != NULL) {
		return 0;
	}
	struct stile_report why;
	int ret = buffer_make(vulkan, &key, usage, kinds, &why, out);
	if (ret < 0) {
		report_give(report, &why);
		vulkan_log(vulkan, STILE_LOG_ERROR, "Vulkan import of a buffer: %s", why.text);
	}
	if (ret == -EIO) {
		import_cache_clear(&vulkan->imports);
	}
	return ret;
}

void stile_vulkan_buffer_destroy(struct stile_vulkan_buffer *buffer) {
	if (buffer != NULL) {
		import_cache_put(&buffer->entry);
	}
}

VkBuffer stile_vulkan_buffer_get_handle(const struct stile_vulkan_buffer *buffer) {
	return buffer->handle;
}

uint32_t stile_vulkan_buffer_get_memory(const struct stile_vulkan_buffer *buffer) {
	return buffer->kind;
}
