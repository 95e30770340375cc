/* SPDX-License-Identifier: MIT */
/* Memory of the same driver as a texture: GL_EXT_memory_object_fd. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <stile/egl_memory.h>

#include "src/driver_fd.h"
#include "src/egl/egl.h"
#include "src/egl/gl.h"
#include "src/macros.h"
#include "src/report.h"

/* Of another driver, or another version of it, the bytes could mean anything. */
static int check_uuids(const struct gl_procs *gl, const struct stile_opaque_image *image,
	struct stile_report *why) {
	int ret = gl_check_uuids(gl, "the memory", image->device_uuid, image->driver_uuid, why);
	if (ret < 0) {
		report_append(why, "; a dma-buf may do");
	}
	return ret;
}

/* Of what a driver needs at least. Who describes an image may be another process, and GL does not look. */
static int check_bounds(const struct stile_opaque_image *image, struct stile_report *why) {
	const uint64_t pixel = stile_format_get(image->fourcc)->planes[0].bytes;
	const uint64_t left = image->offset > image->bytes ? 0 : image->bytes - image->offset;
	if (image->width == 0 || image->height == 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_EXTENT, 0, 1, 0,
			"%u x %u pixels is no picture", image->width, image->height);
	}
	if (left / pixel / image->width >= image->height) {
		return 0;
	}
	return report_refuse(why, -ERANGE, STILE_REASON_BOUNDS, 0, image->height,
		left / pixel / image->width,
		"%u x %u pixels of %" PRIu64
		" byte%s are more than what is left of the memory from "
		"offset %" PRIu64 " on: %" PRIu64 " byte%s",
		image->width, image->height, pixel, PLURAL(pixel), image->offset, left,
		PLURAL(left));
}

/*
 * Mesa's llvmpipe unmaps the memory together with the memory object, under the texture (22.3: a crash when it is looked
 * at; 25 does not).
 */
static bool texture_keeps_memory(const struct gl_procs *gl) {
	const char *renderer = gl->GetString(GL_RENDERER), *version = gl->GetString(GL_VERSION);
	const char *mesa = version == NULL ? NULL : strstr(version, "Mesa ");
	int major = 0;
	return renderer == NULL || strstr(renderer, "llvmpipe") == NULL || mesa == NULL ||
		sscanf(mesa, "Mesa %d", &major) != 1 || major >= 25;
}

/* The texture is bound. The descriptor is GL's from here on; that it failed shows later. The memory object. */
static uint32_t give_storage(const struct gl_procs *gl, const struct stile_opaque_image *image,
	const struct stile_egl_gl_format *format, int fd) {
	uint32_t memory = 0;
	const int32_t dedicated = (image->flags & STILE_OPAQUE_DEDICATED) != 0;
	gl->CreateMemoryObjectsEXT(1, &memory);
	gl->MemoryObjectParameterivEXT(memory, GL_DEDICATED_MEMORY_OBJECT_EXT, &dedicated);
	gl->ImportMemoryFdEXT(memory, image->bytes, GL_HANDLE_TYPE_OPAQUE_FD_EXT, fd);
	gl->TexParameteri(GL_TEXTURE_2D, GL_TEXTURE_TILING_EXT,
		(image->flags & STILE_OPAQUE_OPTIMAL) != 0 ? GL_OPTIMAL_TILING_EXT
							   : GL_LINEAR_TILING_EXT);
	gl->TexParameteri(GL_TEXTURE_2D, GL_TEXTURE_SWIZZLE_A, (int32_t)format->swizzle_alpha);
	gl->TexStorageMem2DEXT(GL_TEXTURE_2D, 1, format->internal_format, (int32_t)image->width,
		(int32_t)image->height, memory, image->offset);
	return memory;
}

static int make_texture(const struct gl_procs *gl, const struct stile_opaque_image *image,
	const struct stile_egl_gl_format *format, uint32_t *texture, struct stile_report *why) {
	struct driver_fd fd;
	int ret = driver_fd_dup(image->fd, &fd, why);
	if (ret < 0) {
		return ret;
	}
	int32_t before = 0, immutable = 0;
	gl->GetIntegerv(GL_TEXTURE_BINDING_2D, &before);
	gl->GenTextures(1, texture);
	gl->BindTexture(GL_TEXTURE_2D, *texture);
	const uint32_t memory = give_storage(gl, image, format, fd.fd);
	/* Not by GL's error flag: it may be of what the application did before. */
	gl->GetTexParameteriv(GL_TEXTURE_2D, GL_TEXTURE_IMMUTABLE_FORMAT, &immutable);
	gl->BindTexture(GL_TEXTURE_2D, (uint32_t)before);
	if (immutable == 0 || texture_keeps_memory(gl)) {
		gl->DeleteMemoryObjectsEXT(1, &memory);
	}
	if (immutable != 0) {
		return 0;
	}
	uint32_t first = gl->GetError();
	for (int i = 0; i < 16 && gl->GetError() != 0; i++) {
		/* There may be one of each kind. */
	}
	gl->DeleteTextures(1, texture);
	*texture = 0;
	driver_fd_close_after_failure(&fd);
	/* Drivers say OUT_OF_MEMORY of whatever they cannot take, e.g. llvmpipe of Mesa 26. */
	return report_refuse(why, first == GL_CONTEXT_LOST ? -EIO : -EOPNOTSUPP,
		STILE_REASON_DRIVER, 0, 0, first, "GL makes no texture of the memory: error 0x%x",
		first);
}

static int import_opaque(struct stile_egl *egl, const struct stile_opaque_image *image,
	uint32_t *texture, struct stile_report *why) {
	struct gl_procs gl;
	struct stile_egl_gl_format format = { .size = sizeof(format) };
	if (!egl_is_current(egl)) {
		return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0, 0, 0,
			"a texture is made in a context: one of this display has to be current in "
			"the calling thread");
	}
	int ret = gl_load(egl, GL_MEMORY, &gl, why);
	if (ret == 0) {
		ret = gl_need_extension(&gl, "GL_EXT_memory_object", why);
	}
	if (ret == 0) {
		ret = gl_need_extension(&gl, "GL_EXT_memory_object_fd", why);
	}
	if (ret == 0) {
		ret = check_uuids(&gl, image, why);
	}
	if (ret == 0 && stile_egl_get_gl_format(image->fourcc, &format) < 0) {
		ret = report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, image->fourcc,
			"GL ES has no format for 0x%08x", image->fourcc);
	}
	/* GL's internal formats say nothing of the order in memory: Mesa has this one as the others. */
	if (ret == 0 && format.format == GL_BGRA_EXT) {
		ret = report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, image->fourcc,
			"GL does not promise where %s has red and blue in memory: take one that "
			"begins with red, such as ABGR8888",
			stile_format_get(image->fourcc)->name);
	}
	if (ret == 0) {
		ret = check_bounds(image, why);
	}
	if (ret == 0) {
		ret = gl_need_extension(&gl, format.extension, why);
	}
	return ret == 0 ? make_texture(&gl, image, &format, texture, why) : ret;
}

int stile_egl_import_opaque(struct stile_egl *egl, const struct stile_opaque_image *image,
	struct stile_report *report, uint32_t *texture) {
	*texture = 0;
	struct stile_opaque_image known;
	int ret = report_copy_in(report, &known, sizeof(known), image);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	ret = import_opaque(egl, &known, texture, &why);
	if (ret < 0) {
		report_give(report, &why);
		egl_log(egl, STILE_LOG_ERROR, "EGL import of OPAQUE_FD: %s", why.text);
	}
	return ret;
}
