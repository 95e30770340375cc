/* SPDX-License-Identifier: MIT */
#include "src/modifier.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <drm_fourcc.h>

#include <stile/swgpu_modifier.h>

/* The topmost byte, as drm_fourcc.h gives it out. NULL: nobody we know. */
static const char *get_vendor(uint64_t modifier) {
	switch (modifier >> 56) {
	case DRM_FORMAT_MOD_VENDOR_INTEL:
		return "Intel";
	case DRM_FORMAT_MOD_VENDOR_AMD:
		return "AMD";
	case DRM_FORMAT_MOD_VENDOR_NVIDIA:
		return "NVIDIA";
	case DRM_FORMAT_MOD_VENDOR_SAMSUNG:
		return "Samsung";
	case DRM_FORMAT_MOD_VENDOR_QCOM:
		return "Qualcomm";
	case DRM_FORMAT_MOD_VENDOR_VIVANTE:
		return "Vivante";
	case DRM_FORMAT_MOD_VENDOR_BROADCOM:
		return "Broadcom";
	case DRM_FORMAT_MOD_VENDOR_ARM:
		return "Arm";
	case DRM_FORMAT_MOD_VENDOR_ALLWINNER:
		return "Allwinner";
	case DRM_FORMAT_MOD_VENDOR_AMLOGIC:
		return "Amlogic";
	case STILE_SWGPU_MOD_VENDOR:
		return "swgpu";
	default:
		return NULL;
	}
}

struct modifier_label modifier_describe(uint64_t modifier, char *(*get_name)(uint64_t modifier)) {
	struct modifier_label label;
	const char *vendor = get_vendor(modifier), *name = NULL;
	char *own = NULL;
	if (modifier == DRM_FORMAT_MOD_LINEAR) {
		name = "LINEAR";
	} else if (modifier == DRM_FORMAT_MOD_INVALID) {
		name = "INVALID";
	} else if (get_name != NULL) {
		name = own = get_name(modifier);
	}
	if (vendor == NULL && name == NULL) {
		snprintf(label.text, sizeof(label.text), "0x%" PRIx64, modifier);
	} else {
		snprintf(label.text, sizeof(label.text), "0x%" PRIx64 " (%s%s%s)", modifier,
			vendor == NULL ? "" : vendor, vendor == NULL || name == NULL ? "" : " ",
			name == NULL ? "" : name);
	}
	free(own);
	return label;
}
