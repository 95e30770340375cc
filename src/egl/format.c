/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include <drm_fourcc.h>

#include "src/abi.h"
#include "src/egl/egl.h"
#include "src/macros.h"

/* GL's numbers: the adapter needs no header of GL, of which there are many. */
enum {
	GL_NONE = 0,
	GL_ONE = 1,
	GL_UNSIGNED_BYTE = 0x1401,
	GL_UNSIGNED_SHORT = 0x1403,
	GL_HALF_FLOAT = 0x140b,
	GL_UNSIGNED_SHORT_4_4_4_4 = 0x8033,
	GL_UNSIGNED_SHORT_5_5_5_1 = 0x8034,
	GL_UNSIGNED_SHORT_5_6_5 = 0x8363,
	GL_UNSIGNED_INT_2_10_10_10_REV = 0x8368,
	GL_RED = 0x1903,
	GL_ALPHA = 0x1906,
	GL_RGB = 0x1907,
	GL_RGBA = 0x1908,
	GL_BGRA_EXT = 0x80e1,
	GL_RG = 0x8227,
	GL_RGB8 = 0x8051,
	GL_RGBA4 = 0x8056,
	GL_RGB5_A1 = 0x8057,
	GL_RGBA8 = 0x8058,
	GL_RGB10_A2 = 0x8059,
	GL_RGBA16_EXT = 0x805b,
	GL_R8 = 0x8229,
	GL_R16_EXT = 0x822a,
	GL_RG8 = 0x822b,
	GL_RG16_EXT = 0x822c,
	GL_RGBA16F = 0x881a,
	GL_RGB565 = 0x8d62,
	GL_BGRA8_EXT = 0x93a1,
};

struct entry {
	uint32_t fourcc;
	uint32_t opaque;
	uint32_t internal_format, format, type;
};

#define RGB(name, opaque_, alpha, bytes, bits, is_float, vk, order, internal, format, type) \
	{ DRM_FORMAT_##name, DRM_FORMAT_##opaque_, GL_##internal, GL_##format, GL_##type },
#define YUV(...)

static const struct entry entries[] = {
#include "src/format_table.inc"
};

static const char *get_extension(uint32_t internal_format) {
	switch (internal_format) {
	case GL_BGRA8_EXT:
		return "GL_EXT_texture_format_BGRA8888";
	case GL_R16_EXT:
	case GL_RG16_EXT:
	case GL_RGBA16_EXT:
		return "GL_EXT_texture_norm16";
	default:
		return NULL;
	}
}

int stile_egl_get_gl_format(uint32_t fourcc, struct stile_egl_gl_format *out) {
	if (abi_check_out(out) < 0) {
		return -EINVAL;
	}
	size_t i = 0;
	while (i < ARRAY_LENGTH(entries) && entries[i].fourcc != fourcc) {
		i++;
	}
	if (i == ARRAY_LENGTH(entries) || entries[i].internal_format == GL_NONE) {
		return -EOPNOTSUPP;
	}
	const struct stile_egl_gl_format all = {
		.internal_format = entries[i].internal_format,
		.format = entries[i].format,
		.type = entries[i].type,
		.swizzle_alpha = entries[i].opaque == fourcc ? GL_ONE : GL_ALPHA,
		.extension = get_extension(entries[i].internal_format),
	};
	abi_copy_out(out, &all, sizeof(all));
	return 0;
}
