/* SPDX-License-Identifier: MIT */
/* The device as a party of negotiations: in the driver's words, where it has some. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "src/party_data.h"
#include "src/report.h"
#include "src/vulkan/vulkan.h"

static const VkImageUsageFlags writing_usage = VK_IMAGE_USAGE_TRANSFER_DST_BIT |
	VK_IMAGE_USAGE_STORAGE_BIT | VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT;

static const VkImageUsageFlags reading_usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT |
	VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_STORAGE_BIT |
	VK_IMAGE_USAGE_INPUT_ATTACHMENT_BIT;

struct description {
	struct stile_vulkan *vulkan;
	VkImageUsageFlags usage;
	struct party_layouts layouts;
	int error; /* the first that no party comes of; `why` says it */
	struct stile_report why;
	bool exports;  /* all layouts so far */
	VkFormat wide; /* the first one that is linear and of four bytes; or UNDEFINED */
};

/*
 * Is a failure one that says something of the device? Else the party would lack what there is: it fails. True: it
 * does.
 */
static bool fails(struct description *self, int ret, const struct stile_report *why) {
	if (ret != -ENOMEM && ret != -EIO) {
		return false;
	}
	/* A device that is lost fails all that comes after. */
	if (self->error == 0) {
		self->error = ret;
		self->why = *why;
	}
	return true;
}

static void fail_for_memory(struct description *self) {
	struct stile_report why;
	fails(self, report_refuse(&why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory"),
		&why);
}

/* ---- Who it is ----------------------------------------------------------------------------- */

static PFN_vkVoidFunction find(const struct stile_vulkan *vulkan, const char *name) {
	return vulkan->info.get_instance_proc_addr(vulkan->info.instance, name);
}

/* The driver's call failed, or did not. Does the party fail for it? */
static bool fails_by(struct description *self, const char *call, VkResult result) {
	struct stile_report why;
	return result < VK_SUCCESS && fails(self, vulkan_refuse(&why, call, result), &why);
}

/* Does the driver have an extension, enabled or not? What it says of itself needs no enabling. */
static bool driver_has_extension(struct description *self, const char *name) {
	static const char call[] = "vkEnumerateDeviceExtensionProperties";
	const struct stile_vulkan *vulkan = self->vulkan;
	PFN_vkEnumerateDeviceExtensionProperties enumerate =
		(PFN_vkEnumerateDeviceExtensionProperties)find(vulkan, call);
	VkPhysicalDevice device = vulkan->info.physical_device;
	uint32_t count = 0;
	VkResult result = enumerate == NULL ? VK_SUCCESS : enumerate(device, NULL, &count, NULL);
	if (fails_by(self, call, result) || result != VK_SUCCESS || count == 0) {
		return false;
	}
	VkExtensionProperties *all = calloc(count, sizeof(*all));
	if (all == NULL) {
		fail_for_memory(self);
		return false;
	}
	bool found = false;
	result = enumerate(device, NULL, &count, all);
	count = fails_by(self, call, result) ? 0 : count;
	for (uint32_t i = 0; i < count; i++) {
		found = found || strcmp(all[i].extensionName, name) == 0;
	}
	free(all);
	return found;
}

/* Its node for rendering if it has one. */
static uint64_t get_node(const VkPhysicalDeviceDrmPropertiesEXT *drm) {
	if (drm->hasRender) {
		return makedev((unsigned)drm->renderMajor, (unsigned)drm->renderMinor);
	}
	return drm->hasPrimary ? makedev((unsigned)drm->primaryMajor, (unsigned)drm->primaryMinor)
			       : 0;
}

static void identify(struct description *self, char *name, size_t size, struct stile_party *said) {
	const struct stile_vulkan *vulkan = self->vulkan;
	VkPhysicalDeviceDrmPropertiesEXT drm = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRM_PROPERTIES_EXT,
	};
	VkPhysicalDeviceIDProperties id = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES,
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
		.pNext = &id,
	};
	if (driver_has_extension(self, VK_EXT_PHYSICAL_DEVICE_DRM_EXTENSION_NAME)) {
		id.pNext = &drm;
	}
	PFN_vkGetPhysicalDeviceProperties2 get_properties =
		(PFN_vkGetPhysicalDeviceProperties2)find(vulkan, "vkGetPhysicalDeviceProperties2");
	get_properties(vulkan->info.physical_device, &properties);

	/* Behind the name drivers tell their own, and more. */
	const char *device = properties.properties.deviceName;
	size_t length = strcspn(device, "(");
	while (length > 0 && device[length - 1] == ' ') {
		length--;
	}
	snprintf(name, size, "Vulkan (%.*s)", (int)length, device);
	said->name = name;
	said->device = get_node(&drm);
	if (said->device == 0) {
		said->device = party_get_device(id.driverUUID, id.deviceUUID);
	}
	/* Software drivers take files in memory for dma-bufs, drivers of hardware do not. */
	said->memory = STILE_MEMORY_DMA_BUF;
	if (properties.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU) {
		said->memory |= STILE_MEMORY_MEMFD;
	}
}

/* ---- What it takes ------------------------------------------------------------------------- */

/* As the import looks at it. */
static bool add_layout(struct description *self, const struct stile_format *format,
	VkFormat vk_format, VkImageTiling tiling, const struct stile_party_modifier *layout) {
	const struct stile_image_info info = {
		.width = 1,
		.height = 1,
		.fourcc = format->fourcc,
		.modifier = layout->modifier,
		.plane_count = layout->plane_count,
	};
	struct vulkan_way way = {
		.tiling = tiling,
		.is_disjoint = tiling == VK_IMAGE_TILING_LINEAR && layout->plane_count > 1,
		.handle_type = VULKAN_DMA_BUF,
	};
	struct stile_report why;
	int ret = vulkan_check_format(self->vulkan, &info, vk_format, self->usage, &way, &why);
	if (ret < 0) {
		fails(self, ret, &why);
		return false;
	}
	struct stile_party_modifier limited = *layout;
	limited.max_width = way.max_width;
	limited.max_height = way.max_height;
	party_add(&self->layouts, format->fourcc, &limited);
	self->exports = self->exports && way.exports;
	return true;
}

/* What the driver lists. Is LINEAR among it? */
static bool add_listed(
	struct description *self, const struct stile_format *format, VkFormat vk_format) {
	PFN_vkGetPhysicalDeviceFormatProperties2 get_properties =
		self->vulkan->vk.GetPhysicalDeviceFormatProperties2;
	VkDrmFormatModifierPropertiesListEXT list = {
		.sType = VK_STRUCTURE_TYPE_DRM_FORMAT_MODIFIER_PROPERTIES_LIST_EXT,
	};
	VkFormatProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_2,
		.pNext = &list,
	};
	VkPhysicalDevice device = self->vulkan->info.physical_device;
	get_properties(device, vk_format, &properties);
	list.pDrmFormatModifierProperties =
		calloc(list.drmFormatModifierCount + 1, sizeof(*list.pDrmFormatModifierProperties));
	if (list.pDrmFormatModifierProperties == NULL) {
		fail_for_memory(self);
		return false;
	}
	get_properties(device, vk_format, &properties);
	bool has_linear = false;
	for (uint32_t i = 0; i < list.drmFormatModifierCount; i++) {
		const VkDrmFormatModifierPropertiesEXT *listed =
			&list.pDrmFormatModifierProperties[i];
		const struct stile_party_modifier layout = {
			.modifier = listed->drmFormatModifier,
			.plane_count = listed->drmFormatModifierPlaneCount,
		};
		has_linear |= layout.plane_count <= STILE_MAX_PLANES &&
			add_layout(self, format, vk_format, VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT,
				&layout) &&
			layout.modifier == DRM_FORMAT_MOD_LINEAR;
	}
	free(list.pDrmFormatModifierProperties);
	return has_linear;
}

static void add_format(struct description *self, const struct stile_format *format) {
	struct stile_vulkan_format vk = { .size = sizeof(vk) };
	const struct stile_image_info info = { .fourcc = format->fourcc };
	struct stile_report why;
	if (stile_vulkan_format_get(format->fourcc, &vk) < 0 ||
		vulkan_check_meaning(self->vulkan, &info, vk.format, self->usage, &why) < 0) {
		return;
	}
	const struct stile_party_modifier linear = {
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.plane_count = format->plane_count,
	};
	/* What is not taken with its layout told may be taken in the driver's own. */
	bool has_linear = self->vulkan->has_modifiers && add_listed(self, format, vk.format);
	if (!has_linear) {
		has_linear = add_layout(self, format, vk.format, VK_IMAGE_TILING_LINEAR, &linear);
	}
	if (has_linear && self->wide == VK_FORMAT_UNDEFINED && format->plane_count == 1 &&
		format->planes[0].bytes == 4) {
		self->wide = vk.format;
	}
}

/* ---- What it needs ------------------------------------------------------------------------- */

/* Alignments that the driver does not give as powers of two are for nobody to meet but itself. */
static uint32_t get_align(VkDeviceSize bytes) {
	return bytes <= UINT32_MAX && (bytes & (bytes - 1)) == 0 ? (uint32_t)bytes : 0;
}

/* Where rows and planes begin, by an image of one pixel. */
static void measure(struct description *self, struct stile_constraints *needs) {
	const struct stile_vulkan *vulkan = self->vulkan;
	const VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		.handleTypes = VULKAN_DMA_BUF,
	};
	const VkImageCreateInfo create = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.pNext = &external,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = self->wide,
		.extent = { 1, 1, 1 },
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = VK_IMAGE_TILING_LINEAR,
		.usage = self->usage,
	};
	VkImage image;
	if (self->wide == VK_FORMAT_UNDEFINED) {
		return;
	}
	VkResult result = vulkan->vk.CreateImage(vulkan->info.device, &create, NULL, &image);
	if (fails_by(self, "vkCreateImage", result) || result != VK_SUCCESS) {
		return;
	}
	const VkImageSubresource plane = { .aspectMask = VK_IMAGE_ASPECT_COLOR_BIT };
	VkSubresourceLayout layout;
	vulkan->vk.GetImageSubresourceLayout(vulkan->info.device, image, &plane, &layout);
	const VkImageMemoryRequirementsInfo2 ask = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2,
		.image = image,
	};
	VkMemoryRequirements2 memory = { .sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2 };
	vulkan->vk.GetImageMemoryRequirements2(vulkan->info.device, &ask, &memory);
	vulkan->vk.DestroyImage(vulkan->info.device, image, NULL);
	needs->pitch_align = get_align(layout.rowPitch);
	needs->offset_align = get_align(memory.memoryRequirements.alignment);
}

static struct stile_constraints get_needs(struct description *self) {
	struct stile_constraints needs = {
		.size = sizeof(needs),
		.max_width = self->vulkan->limits.max_width,
		.max_height = self->vulkan->limits.max_height,
	};
	needs.usage |= (self->usage & writing_usage) != 0 ? STILE_USAGE_WRITE : 0;
	needs.usage |= (self->usage & reading_usage) != 0 ? STILE_USAGE_READ : 0;
	measure(self, &needs);
	return needs;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static int describe(struct description *self, struct stile_report *why, struct stile_party *party) {
	char name[64];
	struct stile_party said = { .size = sizeof(said), .sync = STILE_SYNC_CPU };
	if (self->usage == 0) {
		return report_refuse(
			why, -EINVAL, STILE_REASON_USAGE, 0, 1, 0, "no usage was given");
	}
	int ret = vulkan_memory_need_dma_buf(self->vulkan, why);
	if (ret < 0) {
		return ret;
	}
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		add_format(self, format);
	}
	identify(self, name, sizeof(name), &said);
	const struct stile_constraints needs = get_needs(self);
	said.needs = &needs;
	if (self->exports && self->layouts.format_count > 0) {
		said.allocates = STILE_MEMORY_DMA_BUF;
	}
	const struct vulkan_procs *vk = &self->vulkan->vk;
	if (vk->ImportSemaphoreFdKHR != NULL && vk->GetSemaphoreFdKHR != NULL) {
		said.sync |= STILE_SYNC_FILE;
	}
	self->layouts.failed = self->layouts.failed || self->error < 0;
	ret = party_make(&self->layouts, &said, why, party);
	*why = self->error < 0 ? self->why : *why;
	return ret < 0 ? why->error : 0;
}

int stile_vulkan_get_party(struct stile_vulkan *vulkan, VkImageUsageFlags usage,
	struct stile_report *report, struct stile_party *party) {
	if (party_begin(report, party) < 0) {
		return -EINVAL;
	}
	struct description self = { .vulkan = vulkan, .usage = usage, .exports = true };
	struct stile_report why;
	int ret = describe(&self, &why, party);
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}
