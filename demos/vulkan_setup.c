/* SPDX-License-Identifier: MIT */
/* Instance and device, as any Vulkan program has them, and the adapter for them. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "demos/vulkan_drawer.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define TRY(call) \
	do { \
		VkResult result_ = (call); \
		if (result_ != VK_SUCCESS) { \
			fprintf(stderr, "Vulkan: %s gave %d\n", #call, result_); \
			return -EIO; \
		} \
	} while (0)

/* Those needed come first. */
static const char *const extensions[] = {
	VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
	VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
	VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME,
	VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME,
	VK_EXT_IMAGE_DRM_FORMAT_MODIFIER_EXTENSION_NAME,
	VK_KHR_EXTERNAL_FENCE_FD_EXTENSION_NAME,
};
enum { NEEDED_EXTENSIONS = 3 };

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
	VkDebugUtilsMessageTypeFlagsEXT types, const VkDebugUtilsMessengerCallbackDataEXT *data,
	void *user) {
	(void)severity;
	(void)types;
	struct vulkan_drawer *drawer = user;
	drawer->messages++;
	fprintf(stderr, "validation: %s\n", data->pMessage);
	return VK_FALSE;
}

static int create_instance(struct vulkan_drawer *drawer, bool validate) {
	const char *layer = "VK_LAYER_KHRONOS_validation";
	const char *extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
	VkDebugUtilsMessengerCreateInfoEXT messenger = {
		.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
		.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
			VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
		.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT |
			VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
		.pfnUserCallback = on_message,
		.pUserData = drawer,
	};
	VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.pApplicationName = "stile-demo",
		.apiVersion = VK_API_VERSION_1_3,
	};
	VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
		.enabledLayerCount = validate,
		.ppEnabledLayerNames = &layer,
		.enabledExtensionCount = validate,
		.ppEnabledExtensionNames = &extension,
	};
	TRY(vkCreateInstance(&info, NULL, &drawer->instance));
	if (validate) {
		PFN_vkCreateDebugUtilsMessengerEXT create =
			(PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
				drawer->instance, "vkCreateDebugUtilsMessengerEXT");
		TRY(create(drawer->instance, &messenger, NULL, &drawer->messenger));
	}
	return 0;
}

/* How many of `extensions` a device has, up to the first that it lacks. */
static uint32_t count_extensions(VkPhysicalDevice device) {
	VkExtensionProperties properties[512];
	uint32_t n = LENGTH(properties), found = 0;
	vkEnumerateDeviceExtensionProperties(device, NULL, &n, properties);
	for (uint32_t i = 0; i < n && found < LENGTH(extensions);) {
		bool is_next = strcmp(properties[i].extensionName, extensions[found]) == 0;
		found += is_next;
		i = is_next ? 0 : i + 1;
	}
	return found;
}

/* The images are the software GPU's, in plain memory: a driver that draws on the CPU takes it. */
static int choose_device(struct vulkan_drawer *drawer) {
	VkPhysicalDevice devices[16];
	uint32_t n = LENGTH(devices);
	vkEnumeratePhysicalDevices(drawer->instance, &n, devices);
	for (uint32_t i = 0; i < n; i++) {
		VkPhysicalDeviceProperties properties;
		vkGetPhysicalDeviceProperties(devices[i], &properties);
		drawer->extension_count = count_extensions(devices[i]);
		if (properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU &&
			properties.apiVersion >= VK_API_VERSION_1_3 &&
			drawer->extension_count >= NEEDED_EXTENSIONS) {
			drawer->physical_device = devices[i];
			return 0;
		}
	}
	fprintf(stderr,
		"Vulkan: no device of %u draws on the CPU, has Vulkan 1.3 and imports "
		"dma-bufs; Mesa's lavapipe does from version 25 on\n",
		n);
	return -ENODEV;
}

static bool has_conversions(VkPhysicalDevice device) {
	VkPhysicalDeviceVulkan11Features features11 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
	};
	VkPhysicalDeviceFeatures2 features = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
		.pNext = &features11,
	};
	vkGetPhysicalDeviceFeatures2(device, &features);
	return features11.samplerYcbcrConversion;
}

static int create_device(struct vulkan_drawer *drawer) {
	drawer->has_conversions = has_conversions(drawer->physical_device);
	float priority = 1;
	VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	VkPhysicalDeviceVulkan11Features features11 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
		.samplerYcbcrConversion = drawer->has_conversions,
	};
	VkPhysicalDeviceVulkan12Features features12 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
		.pNext = &features11,
		.timelineSemaphore = VK_TRUE,
	};
	VkPhysicalDeviceVulkan13Features features13 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
		.pNext = &features12,
		.dynamicRendering = VK_TRUE,
	};
	VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.pNext = &features13,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = drawer->extension_count,
		.ppEnabledExtensionNames = extensions,
	};
	TRY(vkCreateDevice(drawer->physical_device, &info, NULL, &drawer->device));
	vkGetDeviceQueue(drawer->device, drawer->queue_family, 0, &drawer->queue);
	return 0;
}

static int create_waits(struct vulkan_drawer *drawer) {
	if (drawer->extension_count == NEEDED_EXTENSIONS) {
		return 0;
	}
	VkSemaphoreCreateInfo info = { .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO };
	for (int i = 0; i < VULKAN_DRAWER_WAITS; i++) {
		TRY(vkCreateSemaphore(drawer->device, &info, NULL, &drawer->waits[i]));
	}
	return 0;
}

struct stile_vulkan_info vulkan_drawer_describe(const struct vulkan_drawer *drawer) {
	return (struct stile_vulkan_info){
		.size = sizeof(struct stile_vulkan_info),
		.get_instance_proc_addr = vkGetInstanceProcAddr,
		.instance = drawer->instance,
		.physical_device = drawer->physical_device,
		.device = drawer->device,
		.extensions = extensions,
		.extension_count = drawer->extension_count,
		.queue = drawer->queue,
		.queue_family = drawer->queue_family,
		.features = drawer->has_conversions ? STILE_VULKAN_YCBCR_CONVERSION : 0,
	};
}

int vulkan_setup_device(struct vulkan_drawer *drawer, bool validate) {
	int ret = create_instance(drawer, validate);
	if (ret == 0) {
		ret = choose_device(drawer);
	}
	if (ret == 0) {
		ret = create_device(drawer);
	}
	if (ret == 0) {
		ret = create_waits(drawer);
	}
	if (ret < 0) {
		return ret;
	}
	struct stile_report why = { .size = sizeof(why) };
	struct stile_vulkan_info info = vulkan_drawer_describe(drawer);
	ret = stile_vulkan_create(&info, &why, &drawer->stile);
	if (ret < 0) {
		fprintf(stderr, "Stile for Vulkan: %s\n", why.text);
	}
	return ret;
}

void vulkan_setup_finish(struct vulkan_drawer *drawer) {
	if (drawer->device != VK_NULL_HANDLE) {
		stile_vulkan_destroy(drawer->stile);
		for (int i = 0; i < VULKAN_DRAWER_WAITS; i++) {
			vkDestroySemaphore(drawer->device, drawer->waits[i], NULL);
		}
		vkDestroyCommandPool(drawer->device, drawer->command_pool, NULL);
		vkDestroyPipeline(drawer->device, drawer->pipeline, NULL);
		vkDestroyPipelineLayout(drawer->device, drawer->layout, NULL);
		vkDestroyDescriptorPool(drawer->device, drawer->set_pool, NULL);
		vkDestroyDescriptorSetLayout(drawer->device, drawer->set_layout, NULL);
		vkDestroySampler(drawer->device, drawer->sampler, NULL);
		vkDestroyDevice(drawer->device, NULL);
	}
	if (drawer->messenger != VK_NULL_HANDLE) {
		PFN_vkDestroyDebugUtilsMessengerEXT destroy =
			(PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
				drawer->instance, "vkDestroyDebugUtilsMessengerEXT");
		destroy(drawer->instance, drawer->messenger, NULL);
	}
	if (drawer->instance != VK_NULL_HANDLE) {
		vkDestroyInstance(drawer->instance, NULL);
	}
}
