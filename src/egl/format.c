/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include <drm_fourcc.h>

#include "src/abi.h"
#include "src/egl/egl.h"
#include "src/egl/gl.h"
#include "src/macros.h"
#include "src/os.h"

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
	/* Packed types of GL are of words as the host has them, fourccs of little-endian ones. */
	if (i == ARRAY_LENGTH(entries) || entries[i].internal_format == GL_NONE ||
		os_is_big_endian()) {
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
