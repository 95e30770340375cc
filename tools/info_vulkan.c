/* SPDX-License-Identifier: MIT */
/* Vulkan's physical devices. The loader is looked for at run time: without it, all the rest is told. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stile/vulkan.h>

#include "tools/guard.h"
#include "tools/info.h"

/* What is enabled where it is there; told in this order. */
static const char *const extensions[] = {
	VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
	VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
	VK_EXT_IMAGE_DRM_FORMAT_MODIFIER_EXTENSION_NAME,
	VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME,
	VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME,
	VK_KHR_EXTERNAL_FENCE_FD_EXTENSION_NAME,
	VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME,
	VK_EXT_PHYSICAL_DEVICE_DRM_EXTENSION_NAME,
};
enum { EXTENSIONS = sizeof(extensions) / sizeof(extensions[0]) };

static VkInstance instance;
static PFN_vkGetInstanceProcAddr get_proc;

#define FIND(name) PFN_vk##name name = (PFN_vk##name)get_proc(instance, "vk" #name)

/* What is kept of a device. */
struct kept {
	VkPhysicalDevice physical_device;
	VkDevice device;
	const char *enabled[EXTENSIONS];
	uint32_t enabled_count;
	uint32_t features; /* STILE_VULKAN_* */
	struct stile_vulkan *stile;
};

/* ---- One device ---------------------------------------------------------------------------- */

static void look_at_extensions(struct kept *kept, struct info_vulkan *vulkan) {
	FIND(EnumerateDeviceExtensionProperties);
	uint32_t count = 0;
	EnumerateDeviceExtensionProperties(kept->physical_device, NULL, &count, NULL);
	VkExtensionProperties *all = calloc((size_t)count + 1, sizeof(*all));
	if (all == NULL ||
		EnumerateDeviceExtensionProperties(kept->physical_device, NULL, &count, all) !=
			VK_SUCCESS) {
		count = 0;
	}
	for (size_t i = 0; i < EXTENSIONS; i++) {
		bool has = false;
		for (uint32_t k = 0; k < count; k++) {
			has = has || strcmp(all[k].extensionName, extensions[i]) == 0;
		}
		info_add_flag(&vulkan->has, extensions[i], has);
		if (has) {
			kept->enabled[kept->enabled_count++] = extensions[i];
		}
	}
	free(all);
}

static void look_at_driver(const struct kept *kept, struct info_vulkan *vulkan) {
	static const char *const types[] = { "other", "integrated GPU", "discrete GPU",
		"virtual GPU", "CPU" };
	FIND(GetPhysicalDeviceProperties2);
	VkPhysicalDeviceDriverProperties driver = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES,
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
		.pNext = &driver,
	};
	GetPhysicalDeviceProperties2(kept->physical_device, &properties);
	const VkPhysicalDeviceProperties *device = &properties.properties;
	/* Behind the name some tell what the driver's version tells, too. */
	size_t length = strcspn(device->deviceName, "(");
	while (length > 0 && device->deviceName[length - 1] == ' ') {
		length--;
	}
	snprintf(vulkan->name, sizeof(vulkan->name), "%.*s (%s)", (int)length, device->deviceName,
		(unsigned)device->deviceType < 5 ? types[device->deviceType] : "unknown");
	snprintf(vulkan->driver, sizeof(vulkan->driver), "%.80s, %.120s", driver.driverName,
		driver.driverInfo);
	snprintf(vulkan->version, sizeof(vulkan->version), "%u.%u.%u",
		VK_API_VERSION_MAJOR(device->apiVersion), VK_API_VERSION_MINOR(device->apiVersion),
		VK_API_VERSION_PATCH(device->apiVersion));
}

static bool create_device(struct kept *kept, struct info_vulkan *vulkan) {
	const float priority = 1;
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	VkPhysicalDeviceSamplerYcbcrConversionFeatures conversions = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SAMPLER_YCBCR_CONVERSION_FEATURES,
	};
	VkPhysicalDeviceTimelineSemaphoreFeatures timelines = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES,
		.pNext = &conversions,
	};
	VkPhysicalDeviceFeatures2 features = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
		.pNext = &timelines,
	};
	FIND(GetPhysicalDeviceFeatures2);
	GetPhysicalDeviceFeatures2(kept->physical_device, &features);
	info_add_flag(&vulkan->has, "timeline semaphores", timelines.timelineSemaphore);
	info_add_flag(&vulkan->has, "YCbCr conversion", conversions.samplerYcbcrConversion);
	kept->features = conversions.samplerYcbcrConversion ? STILE_VULKAN_YCBCR_CONVERSION : 0;
	if (!timelines.timelineSemaphore) {
		snprintf(vulkan->why, sizeof(vulkan->why), "it has no timeline semaphores");
		return false;
	}
	const VkDeviceCreateInfo create = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.pNext = &timelines,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = kept->enabled_count,
		.ppEnabledExtensionNames = kept->enabled,
	};
	FIND(CreateDevice);
	VkResult result = CreateDevice(kept->physical_device, &create, NULL, &kept->device);
	if (result != VK_SUCCESS) {
		kept->device = VK_NULL_HANDLE;
		snprintf(vulkan->why, sizeof(vulkan->why), "vkCreateDevice gave %d", result);
	}
	return result == VK_SUCCESS;
}

static bool create_adapter(struct kept *kept, struct info_vulkan *vulkan) {
	FIND(GetDeviceQueue);
	struct stile_vulkan_info create = {
		.size = sizeof(create),
		.get_instance_proc_addr = get_proc,
		.instance = instance,
		.physical_device = kept->physical_device,
		.device = kept->device,
		.extensions = kept->enabled,
		.extension_count = kept->enabled_count,
		.features = kept->features,
	};
	GetDeviceQueue(kept->device, 0, 0, &create.queue);
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_vulkan_create(&create, &why, &kept->stile);
	snprintf(vulkan->why, sizeof(vulkan->why), "%s", why.text);
	return ret == 0;
}

/* ---- As a party ---------------------------------------------------------------------------- */

static const VkImageUsageFlags writing =
	VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
static const VkImageUsageFlags reading =
	VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT;

static int import(void *handle, struct stile_image *image, bool writes, struct stile_report *why) {
	struct kept *kept = handle;
	struct stile_vulkan_image *imported;
	int ret = stile_vulkan_import_image(
		kept->stile, image, writes ? writing : reading, why, &imported);
	stile_vulkan_image_destroy(imported);
	return ret;
}

/* False: it imports nothing, which is told. */
static bool add_party(struct info *info, struct kept *kept, struct info_vulkan *vulkan) {
	char label[INFO_NAME];
	struct stile_party reads = { .size = sizeof(reads) };
	struct stile_report why = { .size = sizeof(why) };
	if (stile_vulkan_get_party(kept->stile, reading, &why, &reads) < 0) {
		snprintf(vulkan->why, sizeof(vulkan->why), "%s", why.text);
		return false;
	}
	snprintf(label, sizeof(label), "Vulkan %zu", info->vulkan_count);
	struct info_party *party = info_add_party(info, label, import, kept);
	if (party == NULL) {
		stile_party_fini(&reads);
		return true;
	}
	party->reads = reads;
	(void)!stile_vulkan_get_party(kept->stile, writing, NULL, &party->writes);
	return true;
}

static void look_at_device(struct info *info, VkPhysicalDevice physical_device) {
	struct kept *kept = calloc(1, sizeof(*kept));
	if (kept == NULL || info->vulkan_count == INFO_VULKANS) {
		free(kept);
		return;
	}
	struct info_vulkan *vulkan = &info->vulkans[info->vulkan_count];
	vulkan->handle = kept;
	kept->physical_device = physical_device;
	look_at_driver(kept, vulkan);
	look_at_extensions(kept, vulkan);
	char what[INFO_NAME];
	snprintf(what, sizeof(what), "Vulkan %zu", info->vulkan_count);
	if (guard_begin(what, vulkan->why)) {
		vulkan->works = create_device(kept, vulkan) && create_adapter(kept, vulkan) &&
			add_party(info, kept, vulkan);
		guard_end();
	}
	info->vulkan_count++;
}

/* ---- All of it ----------------------------------------------------------------------------- */

/* Loaders differ in where they notice it. */
static void tell_of_no_driver(struct info *info, const char *what) {
	static const char *const variables[] = { "VK_DRIVER_FILES", "VK_ICD_FILENAMES",
		"VK_LOADER_DRIVERS_SELECT", "VK_LOADER_DRIVERS_DISABLE", NULL };
	snprintf(info->vulkan_why, sizeof(info->vulkan_why),
		"%s; VK_LOADER_DEBUG=all says what the loader tries. Debian has Mesa's drivers, of "
		"which one needs no GPU, in mesa-vulkan-drivers",
		what);
	info_append_variables(info->vulkan_why, variables);
}

static void tell_of_no_instance(struct info *info, VkResult result) {
	if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
		tell_of_no_driver(info,
			"the loader finds no driver, as files in /usr/share/vulkan/icd.d and the "
			"like describe them");
	} else {
		snprintf(info->vulkan_why, sizeof(info->vulkan_why), "vkCreateInstance gave %d",
			result);
	}
}

static bool open_instance(struct info *info) {
	/* It stays: drivers do not like to be unloaded. */
	void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
	if (library != NULL) {
		*(void **)&get_proc = dlsym(library, "vkGetInstanceProcAddr");
	}
	if (get_proc == NULL) {
		snprintf(info->vulkan_why, sizeof(info->vulkan_why),
			"no Vulkan loader: %s. Debian has it in libvulkan1", dlerror());
		return false;
	}
	FIND(EnumerateInstanceVersion);
	uint32_t version = VK_API_VERSION_1_0;
	if (EnumerateInstanceVersion == NULL || EnumerateInstanceVersion(&version) != VK_SUCCESS ||
		version < VK_API_VERSION_1_1) {
		snprintf(info->vulkan_why, sizeof(info->vulkan_why),
			"the loader is of Vulkan 1.0; 1.1 is needed");
		return false;
	}
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.pApplicationName = "stile info",
		.apiVersion = version < VK_API_VERSION_1_3 ? version : VK_API_VERSION_1_3,
	};
	const VkInstanceCreateInfo create = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
	};
	FIND(CreateInstance);
	VkResult result = CreateInstance(&create, NULL, &instance);
	if (result != VK_SUCCESS) {
		instance = VK_NULL_HANDLE;
		tell_of_no_instance(info, result);
	}
	return result == VK_SUCCESS;
}

static uint32_t find_devices(struct info *info, VkPhysicalDevice devices[INFO_VULKANS]) {
	if (!open_instance(info)) {
		return 0;
	}
	FIND(EnumeratePhysicalDevices);
	uint32_t count = INFO_VULKANS;
	VkResult result = EnumeratePhysicalDevices(instance, &count, devices);
	if ((result != VK_SUCCESS && result != VK_INCOMPLETE) || count == 0) {
		tell_of_no_driver(info,
			"drivers are described, and none of them can be loaded and has a device");
		return 0;
	}
	return count;
}

void info_look_at_vulkan(struct info *info) {
	VkPhysicalDevice devices[INFO_VULKANS];
	if (!guard_begin("Vulkan's drivers", info->vulkan_why)) {
		info_append(info->vulkan_why, "VK_LOADER_DEBUG=all says which");
		return;
	}
	uint32_t count = find_devices(info, devices);
	guard_end();
	for (uint32_t i = 0; i < count; i++) {
		look_at_device(info, devices[i]);
	}
}

void info_finish_vulkan(struct info *info) {
	for (size_t i = 0; i < info->vulkan_count; i++) {
		struct kept *kept = info->vulkans[i].handle;
		stile_vulkan_destroy(kept->stile);
		if (kept->device != VK_NULL_HANDLE) {
			FIND(DestroyDevice);
			DestroyDevice(kept->device, NULL);
		}
		free(kept);
	}
	if (instance != VK_NULL_HANDLE) {
		FIND(DestroyInstance);
		DestroyInstance(instance, NULL);
	}
}
