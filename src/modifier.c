/* SPDX-License-Identifier: MIT */
#include "src/modifier.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <drm_fourcc.h>

#include <stile/swgpu_modifier.h>

#include "src/macros.h"

/* What a vendor calls its layouts of these numbers; those with parameters are left to who decodes them (libdrm). */
enum { NAMES = 16 };

static const struct vendor {
	uint8_t code; /* the topmost byte, as drm_fourcc.h gives it out */
	const char *name;
	const char *layouts[NAMES];
} vendors[] = {
	{ DRM_FORMAT_MOD_VENDOR_INTEL, "Intel",
		{ NULL, "X_TILED", "Y_TILED", "Yf_TILED", "Y_TILED_CCS", "Yf_TILED_CCS",
			"Y_TILED_GEN12_RC_CCS", "Y_TILED_GEN12_MC_CCS", "Y_TILED_GEN12_RC_CCS_CC",
			"4_TILED", "4_TILED_DG2_RC_CCS", "4_TILED_DG2_MC_CCS",
			"4_TILED_DG2_RC_CCS_CC", "4_TILED_MTL_RC_CCS", "4_TILED_MTL_MC_CCS",
			"4_TILED_MTL_RC_CCS_CC" } },
	{ DRM_FORMAT_MOD_VENDOR_AMD, "AMD", { NULL } },
	{ DRM_FORMAT_MOD_VENDOR_NVIDIA, "NVIDIA", { NULL, "TEGRA_TILED" } },
	{ DRM_FORMAT_MOD_VENDOR_SAMSUNG, "Samsung", { NULL, "64_32_TILE", "16_16_TILE" } },
	{ DRM_FORMAT_MOD_VENDOR_QCOM, "Qualcomm", { NULL, "COMPRESSED", "TILED2", "TILED3" } },
	{ DRM_FORMAT_MOD_VENDOR_VIVANTE, "Vivante",
		{ NULL, "TILED", "SUPER_TILED", "SPLIT_TILED", "SPLIT_SUPER_TILED" } },
	{ DRM_FORMAT_MOD_VENDOR_BROADCOM, "Broadcom",
		{ NULL, "VC4_T_TILED", "SAND32", "SAND64", "SAND128", "SAND256", "UIF" } },
	{ DRM_FORMAT_MOD_VENDOR_ARM, "Arm", { NULL } },
	{ DRM_FORMAT_MOD_VENDOR_ALLWINNER, "Allwinner", { NULL, "TILED" } },
	{ DRM_FORMAT_MOD_VENDOR_AMLOGIC, "Amlogic", { NULL } },
	{ STILE_SWGPU_MOD_VENDOR, "swgpu", { NULL } },
};

/* NULL: nobody we know. */
static const struct vendor *find_vendor(uint64_t modifier) {
	for (size_t i = 0; i < ARRAY_LENGTH(vendors); i++) {
		if (vendors[i].code == modifier >> 56) {
			return &vendors[i];
		}
	}
	return NULL;
}

struct modifier_label modifier_describe(uint64_t modifier, char *(*get_name)(uint64_t modifier)) {
	struct modifier_label label;
	const struct vendor *by = find_vendor(modifier);
	const char *vendor = by == NULL ? NULL : by->name, *name = NULL;
	char *own = NULL;
	if (modifier == DRM_FORMAT_MOD_LINEAR) {
		name = "LINEAR";
	} else if (modifier == DRM_FORMAT_MOD_INVALID) {
		name = "INVALID";
	} else if (get_name != NULL) {
		name = own = get_name(modifier);
	}
	uint64_t number = modifier & (UINT64_MAX >> 8);
	if (name == NULL && by != NULL && number < NAMES) {
		name = by->layouts[number];
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
