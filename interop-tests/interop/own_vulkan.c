/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/own_vulkan.h"

#include <string.h>

#include "interop-tests/interop/require.h"
#include "interop-tests/support/runner.h"

static const char *const extensions[] = {
	VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
	VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME,
	VK_KHR_TIMELINE_SEMAPHORE_EXTENSION_NAME,
	VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
	VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME,
	VK_EXT_IMAGE_DRM_FORMAT_MODIFIER_EXTENSION_NAME,
};

static VkInstance create_instance(uint32_t version) {
	VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = version,
	};
	VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
	};
	VkInstance instance;
	require(vkCreateInstance(&info, NULL, &instance) == VK_SUCCESS);
	return instance;
}

static VkPhysicalDevice find_device(VkInstance instance) {
	VkPhysicalDevice devices[16];
	uint32_t n = 16;
	vkEnumeratePhysicalDevices(instance, &n, devices);
	for (uint32_t i = 0; i < n; i++) {
		VkPhysicalDeviceProperties properties;
		vkGetPhysicalDeviceProperties(devices[i], &properties);
		if (properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU) {
			return devices[i];
		}
	}
	return VK_NULL_HANDLE;
}

const char *own_vulkan_find_missing(uint32_t count) {
	VkInstance instance = create_instance(VK_API_VERSION_1_1);
	VkPhysicalDevice device = find_device(instance);
	VkExtensionProperties properties[512];
	uint32_t n = device == VK_NULL_HANDLE ? 0 : 512;
	const char *missing = NULL;
	if (n > 0) {
		vkEnumerateDeviceExtensionProperties(device, NULL, &n, properties);
	}
	for (uint32_t i = 0; i < count && missing == NULL; i++) {
		missing = extensions[i];
		for (uint32_t k = 0; k < n; k++) {
			missing = strcmp(properties[k].extensionName, extensions[i]) == 0 ? NULL
											  : missing;
		}
	}
	vkDestroyInstance(instance, NULL);
	return missing;
}

bool own_vulkan_has_layer(void) {
	VkLayerProperties layers[64];
	uint32_t n = 64;
	vkEnumerateInstanceLayerProperties(&n, layers);
	bool found = false;
	for (uint32_t i = 0; i < n; i++) {
		found = found || strcmp(layers[i].layerName, "VK_LAYER_KHRONOS_validation") == 0;
	}
	return found;
}

void own_vulkan_init(
	struct own_vulkan *own, uint32_t version, uint32_t extension_count, bool timeline) {
	*own = (struct own_vulkan){ .extensions = extensions, .extension_count = extension_count };
	own->instance = create_instance(version);
	own->physical_device = find_device(own->instance);
	require(own->physical_device != VK_NULL_HANDLE);
	float priority = 1;
	VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	VkPhysicalDeviceTimelineSemaphoreFeatures feature = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES,
		.timelineSemaphore = VK_TRUE,
	};
	VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.pNext = timeline ? &feature : NULL,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = extension_count,
		.ppEnabledExtensionNames = extensions,
	};
	require(vkCreateDevice(own->physical_device, &info, NULL, &own->device) == VK_SUCCESS);
	vkGetDeviceQueue(own->device, 0, 0, &own->queue);
	VkCommandPoolCreateInfo pool = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
		.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
	};
	require(vkCreateCommandPool(own->device, &pool, NULL, &own->pool) == VK_SUCCESS);
	VkCommandBufferAllocateInfo commands = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandPool = own->pool,
		.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
		.commandBufferCount = 1,
	};
	require(vkAllocateCommandBuffers(own->device, &commands, &own->commands) == VK_SUCCESS);
}

void own_vulkan_finish(struct own_vulkan *own) {
	vkDestroyCommandPool(own->device, own->pool, NULL);
	vkDestroyDevice(own->device, NULL);
	vkDestroyInstance(own->instance, NULL);
}

struct stile_vulkan_info own_vulkan_describe(const struct own_vulkan *own) {
	return (struct stile_vulkan_info){
		.size = sizeof(struct stile_vulkan_info),
		.get_instance_proc_addr = vkGetInstanceProcAddr,
		.instance = own->instance,
		.physical_device = own->physical_device,
		.device = own->device,
		.extensions = own->extensions,
		.extension_count = own->extension_count,
		.queue = own->queue,
	};
}

struct stile_vulkan *own_vulkan_create_adapter(const struct stile_vulkan_info *info) {
	struct stile_vulkan *made;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_vulkan_create(info, &why, &made);
	runner_require(ret == 0, "%s", why.text);
	return made;
}

void own_vulkan_begin(struct own_vulkan *own) {
	VkCommandBufferBeginInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
		.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
	};
	require(vkBeginCommandBuffer(own->commands, &info) == VK_SUCCESS);
}

void own_vulkan_submit(struct own_vulkan *own) {
	VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &own->commands,
	};
	require(vkEndCommandBuffer(own->commands) == VK_SUCCESS);
	require(vkQueueSubmit(own->queue, 1, &info, VK_NULL_HANDLE) == VK_SUCCESS);
	require(vkQueueWaitIdle(own->queue) == VK_SUCCESS);
}

static uint32_t choose_type(const VkMemoryRequirements *needs) {
	return (uint32_t)__builtin_ctz(needs->memoryTypeBits);
}

static VkDeviceMemory allocate(struct own_vulkan *own, const VkMemoryRequirements *needs,
	VkExternalMemoryHandleTypeFlags handle_type) {
	VkExportMemoryAllocateInfo exported = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.handleTypes = handle_type,
	};
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = handle_type != 0 ? &exported : NULL,
		.allocationSize = needs->size,
		.memoryTypeIndex = choose_type(needs),
	};
	VkDeviceMemory memory;
	require(vkAllocateMemory(own->device, &info, NULL, &memory) == VK_SUCCESS);
	return memory;
}

struct stile_vulkan_own_image own_vulkan_create_image(struct own_vulkan *own, uint32_t fourcc,
	uint32_t width, uint32_t height, VkImageTiling tiling,
	VkExternalMemoryHandleTypeFlags handle_type) {
	struct stile_vulkan_format format = { .size = sizeof(format) };
	require(stile_vulkan_format_get(fourcc, &format) == 0);
	struct stile_vulkan_own_image image = {
		.size = sizeof(image),
		.fourcc = fourcc,
		.width = width,
		.height = height,
		.tiling = tiling,
		.usage = VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT |
			VK_IMAGE_USAGE_TRANSFER_DST_BIT | VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT,
		.name = "own",
	};
	const uint64_t linear = DRM_FORMAT_MOD_LINEAR;
	VkImageDrmFormatModifierListCreateInfoEXT modifiers = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_LIST_CREATE_INFO_EXT,
		.drmFormatModifierCount = 1,
		.pDrmFormatModifiers = &linear,
	};
	VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		.pNext = tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT ? &modifiers : NULL,
		.handleTypes = handle_type,
	};
	VkImageCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.pNext = handle_type != 0 ? &external : NULL,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = format.format,
		.extent = { width, height, 1 },
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = tiling,
		.usage = image.usage,
	};
	VkMemoryRequirements needs;
	require(vkCreateImage(own->device, &info, NULL, &image.image) == VK_SUCCESS);
	vkGetImageMemoryRequirements(own->device, image.image, &needs);
	image.bytes = needs.size;
	image.memory_type = choose_type(&needs);
	image.memory = allocate(own, &needs, handle_type);
	require(vkBindImageMemory(own->device, image.image, image.memory, 0) == VK_SUCCESS);
	return image;
}

void own_vulkan_destroy_image(struct own_vulkan *own, const struct stile_vulkan_own_image *image) {
	vkDestroyImage(own->device, image->image, NULL);
	vkFreeMemory(own->device, image->memory, NULL);
}

static struct own_buffer create_buffer(
	struct own_vulkan *own, VkDeviceSize bytes, VkExternalMemoryHandleTypeFlags handle_type) {
	struct own_buffer buffer = {
		.shared = {
			.size = sizeof(buffer.shared),
			.length = bytes,
			.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
		},
	};
	VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = handle_type,
	};
	VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = handle_type != 0 ? &external : NULL,
		.size = bytes,
		.usage = buffer.shared.usage,
	};
	VkMemoryRequirements needs;
	require(vkCreateBuffer(own->device, &info, NULL, &buffer.handle) == VK_SUCCESS);
	vkGetBufferMemoryRequirements(own->device, buffer.handle, &needs);
	buffer.shared.offset = handle_type != 0 ? needs.alignment : 0;
	needs.size += buffer.shared.offset;
	buffer.shared.bytes = needs.size;
	buffer.shared.memory_type = choose_type(&needs);
	/* Of a driver that draws on the CPU, the CPU sees all memory. */
	buffer.shared.memory = buffer.memory = allocate(own, &needs, handle_type);
	require(vkBindBufferMemory(own->device, buffer.handle, buffer.memory,
			buffer.shared.offset) == VK_SUCCESS);
	require(vkMapMemory(own->device, buffer.memory, buffer.shared.offset, VK_WHOLE_SIZE, 0,
			&buffer.address) == VK_SUCCESS);
	return buffer;
}

struct own_buffer own_vulkan_create_buffer(struct own_vulkan *own, VkDeviceSize bytes) {
	return create_buffer(own, bytes, 0);
}

struct own_buffer own_vulkan_create_shared_buffer(struct own_vulkan *own, VkDeviceSize bytes) {
	return create_buffer(own, bytes, OWN_OPAQUE_FD);
}

void own_vulkan_destroy_buffer(struct own_vulkan *own, const struct own_buffer *buffer) {
	vkDestroyBuffer(own->device, buffer->handle, NULL);
	vkFreeMemory(own->device, buffer->memory, NULL);
}

uint32_t own_pixel_at(uint32_t x, uint32_t y) {
	return 0xff000000u | (x * 3) << 16 | (y * 5) << 8 | (x ^ y);
}

void own_pixels_draw(uint32_t *pixels, uint32_t width, uint32_t height) {
	for (uint32_t i = 0; i < width * height; i++) {
		pixels[i] = own_pixel_at(i % width, i / width);
	}
}

void own_vulkan_transfer(struct own_vulkan *own, VkImage image, VkImageLayout from,
	uint32_t from_family, VkImageLayout to, uint32_t to_family) {
	VkImageMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT,
		.oldLayout = from,
		.newLayout = to,
		.srcQueueFamilyIndex = from_family,
		.dstQueueFamilyIndex = to_family,
		.image = image,
		.subresourceRange = {
			.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT,
			.levelCount = 1,
			.layerCount = 1,
		},
	};
	vkCmdPipelineBarrier(own->commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
		VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
}
