/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/modifiers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <drm_fourcc.h>
#include <xf86drm.h>

enum { AMD, NVIDIA, ARM };

/* Of AMD's there is none that libdrm has more to say about. */
const struct modifiers_case modifiers_cases[MODIFIERS] = {
	[AMD] = { AMD_FMT_MOD | AMD_FMT_MOD_SET(TILE_VERSION, AMD_FMT_MOD_TILE_VER_GFX9) |
			AMD_FMT_MOD_SET(TILE, AMD_FMT_MOD_TILE_GFX9_64K_D_X) |
			AMD_FMT_MOD_SET(PIPE_XOR_BITS, 2) | AMD_FMT_MOD_SET(BANK_XOR_BITS, 3) |
			AMD_FMT_MOD_SET(RB, 3) | AMD_FMT_MOD_SET(PIPE, 4) |
			AMD_FMT_MOD_SET(DCC, 1) | AMD_FMT_MOD_SET(DCC_PIPE_ALIGN, 1) |
			AMD_FMT_MOD_SET(DCC_INDEPENDENT_64B, 1) |
			AMD_FMT_MOD_SET(DCC_INDEPENDENT_128B, 1) |
			AMD_FMT_MOD_SET(DCC_MAX_COMPRESSED_BLOCK, AMD_FMT_MOD_DCC_BLOCK_256B) |
			AMD_FMT_MOD_SET(DCC_CONSTANT_ENCODE, 1),
		"DCC_CONSTANT_ENCODE" },
	[NVIDIA] = { DRM_FORMAT_MOD_NVIDIA_BLOCK_LINEAR_2D(5, 1, 2, 6, 4),
		"(NVIDIA BLOCK_LINEAR_2D,HEIGHT=4,KIND=6,GEN=2,SECTOR=1,COMPRESSION=5)" },
	[ARM] = { DRM_FORMAT_MOD_ARM_AFBC(AFBC_FORMAT_MOD_BLOCK_SIZE_16x16 | AFBC_FORMAT_MOD_YTR |
			  AFBC_FORMAT_MOD_SPARSE),
		"(ARM BLOCK_SIZE=16x16,MODE=YTR|SPARSE)" },
};

struct modifiers_text modifiers_expect(uint64_t modifier) {
	struct modifiers_text expected;
	/* Stile's own words, whatever libdrm's become. */
	if (modifier == modifiers_cases[NVIDIA].modifier) {
		snprintf(expected.text, sizeof(expected.text), "0x%" PRIx64 " %s", modifier,
			modifiers_cases[NVIDIA].part);
		return expected;
	}
	char *vendor = drmGetFormatModifierVendor(modifier);
	char *name = drmGetFormatModifierName(modifier);
	if (name == NULL) {
		snprintf(expected.text, sizeof(expected.text),
			vendor == NULL ? "0x%" PRIx64 : "0x%" PRIx64 " (%s)", modifier, vendor);
	} else {
		snprintf(expected.text, sizeof(expected.text), "0x%" PRIx64 " (%s %s)", modifier,
			vendor, name);
	}
	free(vendor);
	free(name);
	return expected;
}
