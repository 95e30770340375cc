/* SPDX-License-Identifier: MIT */
#include "src/modifier.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <drm_fourcc.h>
#include <xf86drm.h>

#include <stile/swgpu_modifier.h>

enum { VENDOR_SHIFT = 56 };

/* "" says nothing; NULL: libdrm may know it. */
static const char *find_vendor(uint64_t modifier) {
	switch (modifier >> VENDOR_SHIFT) {
	case DRM_FORMAT_MOD_VENDOR_NONE:
		return "";
	case STILE_SWGPU_MOD_VENDOR:
		return "swgpu";
	default:
		return NULL;
	}
}

struct nvidia_name {
	char text[80];
};

/*
 * In libdrm's words and its order. libdrm 2.4.123 leaves its result uninitialised if there is no memory for this name,
 * and for no other one, so it is not asked.
 */
static const char *write_block_linear(uint64_t modifier, struct nvidia_name *name) {
	snprintf(name->text, sizeof(name->text),
		"BLOCK_LINEAR_2D,HEIGHT=%u,KIND=%u,GEN=%u,SECTOR=%u,COMPRESSION=%u",
		(unsigned)(modifier & 0xf), (unsigned)(modifier >> 12 & 0xff),
		(unsigned)(modifier >> 20 & 0x3), (unsigned)(modifier >> 22 & 0x1),
		(unsigned)(modifier >> 23 & 0x7));
	return name->text;
}

/* NULL: libdrm may know it. */
static const char *find_name(uint64_t modifier, struct nvidia_name *name) {
	switch (modifier) {
	case DRM_FORMAT_MOD_LINEAR:
		return "LINEAR";
	case DRM_FORMAT_MOD_INVALID:
		return "INVALID";
	case STILE_SWGPU_MOD_TILED_ROWS:
		return "TILED_ROWS";
	case STILE_SWGPU_MOD_TILED_COLUMNS:
		return "TILED_COLUMNS";
	default:
		break;
	}
	const bool nvidia = modifier >> VENDOR_SHIFT == DRM_FORMAT_MOD_VENDOR_NVIDIA;
	return nvidia && (modifier & 0x10) != 0 ? write_block_linear(modifier, name) : NULL;
}

static const char *or_nothing(const char *text) {
	return text == NULL ? "" : text;
}

struct modifier_label modifier_describe(uint64_t modifier) {
	struct modifier_label label;
	struct nvidia_name nvidia;
	const char *vendor = find_vendor(modifier), *name = find_name(modifier, &nvidia);
	char *their_vendor = vendor == NULL ? drmGetFormatModifierVendor(modifier) : NULL;
	char *their_name = name == NULL ? drmGetFormatModifierName(modifier) : NULL;
	vendor = vendor == NULL ? or_nothing(their_vendor) : vendor;
	name = name == NULL ? or_nothing(their_name) : name;
	const bool named = vendor[0] != '\0' || name[0] != '\0';
	snprintf(label.text, sizeof(label.text), "0x%" PRIx64 "%s%s%s%s%s", modifier,
		named ? " (" : "", vendor, vendor[0] != '\0' && name[0] != '\0' ? " " : "", name,
		named ? ")" : "");
	free(their_vendor);
	free(their_name);
	return label;
}
