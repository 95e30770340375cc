/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "src/abi.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/vulkan/vulkan.h"

/* What DRM names from the highest bit, Vulkan names from the lowest byte, but for what it packs. */
struct entry {
	uint32_t fourcc;
	VkFormat format;
	char order[5];
};

#define RGB( \
	name, opaque, alpha, bytes, bits, is_float, vk, order_, gl_internal, gl_format, gl_type) \
	{ DRM_FORMAT_##name, VK_FORMAT_##vk, #order_ },
#define YUV(name, opaque, alpha, planes, bits, hsub, vsub, vk, order_) \
	{ DRM_FORMAT_##name, VK_FORMAT_##vk, #order_ },

static const struct entry entries[] = {
#include "src/format_table.inc"
};

static const char identity[] = "RGBA";

static const struct entry *find(uint32_t fourcc) {
	for (size_t i = 0; i < ARRAY_LENGTH(entries); i++) {
		if (entries[i].fourcc == fourcc) {
			return &entries[i];
		}
	}
	return NULL;
}

/* Views that are drawn to have to have IDENTITY, not its letter. */
static VkComponentSwizzle get_swizzle(const char *order, int component) {
	if (order[component] == identity[component]) {
		return VK_COMPONENT_SWIZZLE_IDENTITY;
	}
	switch (order[component]) {
	case 'R':
		return VK_COMPONENT_SWIZZLE_R;
	case 'G':
		return VK_COMPONENT_SWIZZLE_G;
	case 'B':
		return VK_COMPONENT_SWIZZLE_B;
	case 'A':
		return VK_COMPONENT_SWIZZLE_A;
	default:
		return VK_COMPONENT_SWIZZLE_ONE;
	}
}

bool vulkan_format_is_in_order(uint32_t fourcc) {
	const struct entry *entry = find(fourcc);
	return entry != NULL && memcmp(entry->order, identity, 3) == 0;
}

int stile_vulkan_format_get(uint32_t fourcc, struct stile_vulkan_format *out) {
	if (abi_check_out(out) < 0) {
		return -EINVAL;
	}
	const struct entry *entry = find(fourcc);
	/* Packed VkFormats are of words as the host has them, fourccs of little-endian ones. */
	if (entry == NULL || entry->format == VK_FORMAT_UNDEFINED || os_is_big_endian()) {
		return -EOPNOTSUPP;
	}
	const struct stile_vulkan_format all = {
		.format = entry->format,
		.components = {
			.r = get_swizzle(entry->order, 0),
			.g = get_swizzle(entry->order, 1),
			.b = get_swizzle(entry->order, 2),
			.a = get_swizzle(entry->order, 3),
		},
	};
	abi_copy_out(out, &all, sizeof(all));
	return 0;
}

/* RGB comes first in the table. */
uint32_t stile_vulkan_format_get_fourcc(VkFormat format) {
	bool is_known = format != VK_FORMAT_UNDEFINED && !os_is_big_endian();
	for (size_t i = 0; i < ARRAY_LENGTH(entries) && is_known; i++) {
		if (entries[i].format == format && strcmp(entries[i].order, identity) == 0) {
			return entries[i].fourcc;
		}
	}
	return DRM_FORMAT_INVALID;
}
