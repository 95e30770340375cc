/* SPDX-License-Identifier: MIT */
#ifndef STILE_SWGPU_MODIFIER_H
#define STILE_SWGPU_MODIFIER_H

#include <stdint.h>

/*
 * Layouts of the software GPU, for stile_image_info.modifier. docs/modifiers.md
 * says where each byte is. The topmost byte, which says whose a modifier is, is
 * one that drm_fourcc.h gives to nobody.
 */

/** Bits 56 to 63 of the software GPU's modifiers. */
#define STILE_SWGPU_MOD_VENDOR 0x5f

/** Tiles of 512 bytes x 8 rows, row after row in each. */
#define STILE_SWGPU_MOD_TILED_ROWS \
	(((uint64_t)STILE_SWGPU_MOD_VENDOR << 56) | 1)

/**
 * Tiles of 128 bytes x 32 rows, in columns of 16 bytes, one after another. With
 * metadata: as many planes again as the format has, behind them. They say which
 * tiles are of one value; who does not look at them sees garbage there.
 */
#define STILE_SWGPU_MOD_TILED_COLUMNS \
	(((uint64_t)STILE_SWGPU_MOD_VENDOR << 56) | 2)

#endif
