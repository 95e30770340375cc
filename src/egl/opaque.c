/* SPDX-License-Identifier: MIT */
/* Memory of the same driver as a texture: GL_EXT_memory_object_fd. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <stile/egl_memory.h>

#include "src/driver_fd.h"
#include "src/egl/egl.h"
#include "src/os.h"
#include "src/report.h"

/* GL's numbers: the adapter needs no header of GL, of which there are many. */
enum {
	GL_TEXTURE_2D = 0x0de1,
	GL_VERSION = 0x1f02,
	GL_EXTENSIONS = 0x1f03,
	GL_BGRA_EXT = 0x80e1,
	GL_TEXTURE_BINDING_2D = 0x8069,
	GL_NUM_EXTENSIONS = 0x821d,
	GL_TEXTURE_SWIZZLE_A = 0x8e45,
	GL_TEXTURE_IMMUTABLE_FORMAT = 0x912f,
	GL_TEXTURE_TILING_EXT = 0x9580,
	GL_DEDICATED_MEMORY_OBJECT_EXT = 0x9581,
	GL_OPTIMAL_TILING_EXT = 0x9584,
	GL_LINEAR_TILING_EXT = 0x9585,
	GL_HANDLE_TYPE_OPAQUE_FD_EXT = 0x9586,
	GL_NUM_DEVICE_UUIDS_EXT = 0x9596,
	GL_DEVICE_UUID_EXT = 0x9597,
	GL_DRIVER_UUID_EXT = 0x9598,
};

/* What is needed of GL, by its names without "gl". It is found anew each time: contexts differ. */
#define GL_OPAQUE_PROCS(X) \
	X(BindTexture) \
	X(CreateMemoryObjectsEXT) \
	X(DeleteMemoryObjectsEXT) \
	X(DeleteTextures) \
	X(GenTextures) \
	X(GetError) \
	X(GetIntegerv) \
	X(GetString) \
	X(GetStringi) \
	X(GetTexParameteriv) \
	X(GetUnsignedBytei_vEXT) \
	X(GetUnsignedBytevEXT) \
	X(ImportMemoryFdEXT) \
	X(MemoryObjectParameterivEXT) \
	X(TexParameteri) \
	X(TexStorageMem2DEXT)

typedef void (*gl_BindTexture)(uint32_t target, uint32_t texture);
typedef void (*gl_CreateMemoryObjectsEXT)(int32_t n, uint32_t *memory);
typedef void (*gl_DeleteMemoryObjectsEXT)(int32_t n, const uint32_t *memory);
typedef void (*gl_DeleteTextures)(int32_t n, const uint32_t *textures);
typedef void (*gl_GenTextures)(int32_t n, uint32_t *textures);
typedef uint32_t (*gl_GetError)(void);
typedef void (*gl_GetIntegerv)(uint32_t name, int32_t *value);
typedef const char *(*gl_GetString)(uint32_t name);
typedef const char *(*gl_GetStringi)(uint32_t name, uint32_t index);
typedef void (*gl_GetTexParameteriv)(uint32_t target, uint32_t name, int32_t *value);
typedef void (*gl_GetUnsignedBytei_vEXT)(uint32_t name, uint32_t index, uint8_t *value);
typedef void (*gl_GetUnsignedBytevEXT)(uint32_t name, uint8_t *value);
typedef void (*gl_ImportMemoryFdEXT)(uint32_t memory, uint64_t size, uint32_t type, int32_t fd);
typedef void (*gl_MemoryObjectParameterivEXT)(uint32_t memory, uint32_t name, const int32_t *value);
typedef void (*gl_TexParameteri)(uint32_t target, uint32_t name, int32_t value);
typedef void (*gl_TexStorageMem2DEXT)(uint32_t target, int32_t levels, uint32_t format,
	int32_t width, int32_t height, uint32_t memory, uint64_t offset);

struct gl_procs {
#define X(name) gl_##name name;
	GL_OPAQUE_PROCS(X)
#undef X
};

/* ---- Would the context take it? ------------------------------------------------------------- */

static bool gl_has_extension(const struct gl_procs *gl, const char *wanted) {
	const char *version = gl->GetString(GL_VERSION);
	int major = 0;
	if (version == NULL ||
		(sscanf(version, "OpenGL ES %d", &major) != 1 &&
			sscanf(version, "%d", &major) != 1) ||
		major < 3) {
		/* Older ones have one long string, and none of them what is asked for here. */
		return false;
	}
	int32_t count = 0;
	gl->GetIntegerv(GL_NUM_EXTENSIONS, &count);
	for (int32_t i = 0; i < count; i++) {
		const char *name = gl->GetStringi(GL_EXTENSIONS, (uint32_t)i);
		if (name != NULL && strcmp(name, wanted) == 0) {
			return true;
		}
	}
	return false;
}

static int need_extension(
	const struct gl_procs *gl, const char *extension, struct stile_report *why) {
	if (extension == NULL || gl_has_extension(gl, extension)) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
		"the current context has no %s, or is older than version 3", extension);
}

static int load(struct stile_egl *egl, struct gl_procs *gl, struct stile_report *why) {
	const char *missing = NULL;
#define X(name) \
	gl->name = (gl_##name)egl->info.get_proc_address("gl" #name); \
	missing = gl->name == NULL ? "gl" #name : missing;
	GL_OPAQUE_PROCS(X)
#undef X
	if (missing != NULL) {
		return report_refuse(
			why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0, "GL has no %s", missing);
	}
	int ret = need_extension(gl, "GL_EXT_memory_object", why);
	return ret < 0 ? ret : need_extension(gl, "GL_EXT_memory_object_fd", why);
}

static void uuid_text(const uint8_t uuid[STILE_UUID_BYTES], char text[2 * STILE_UUID_BYTES + 1]) {
	for (size_t i = 0; i < STILE_UUID_BYTES; i++) {
		snprintf(text + 2 * i, 3, "%02x", uuid[i]);
	}
}

static int refuse_uuid(const char *what, const uint8_t theirs[STILE_UUID_BYTES],
	const uint8_t ours[STILE_UUID_BYTES], struct stile_report *why) {
	char a[2 * STILE_UUID_BYTES + 1], b[2 * STILE_UUID_BYTES + 1];
	uuid_text(theirs, a);
	uuid_text(ours, b);
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DEVICE, 0, 0, 0,
		"the memory is of another %s (%s) than the current context (%s), which cannot "
		"understand it; a dma-buf may do",
		what, a, b);
}

/* Of another driver, or another version of it, the bytes could mean anything. */
static int check_uuids(const struct gl_procs *gl, const struct stile_opaque_image *image,
	struct stile_report *why) {
	uint8_t uuid[STILE_UUID_BYTES] = { 0 };
	gl->GetUnsignedBytevEXT(GL_DRIVER_UUID_EXT, uuid);
	if (memcmp(uuid, image->driver_uuid, sizeof(uuid)) != 0) {
		return refuse_uuid("driver", image->driver_uuid, uuid, why);
	}
	int32_t count = 0;
	gl->GetIntegerv(GL_NUM_DEVICE_UUIDS_EXT, &count);
	for (int32_t i = 0; i < count; i++) {
		gl->GetUnsignedBytei_vEXT(GL_DEVICE_UUID_EXT, (uint32_t)i, uuid);
		if (memcmp(uuid, image->device_uuid, sizeof(uuid)) == 0) {
			return 0;
		}
	}
	return refuse_uuid("device", image->device_uuid, uuid, why);
}

/* ---- Making one ----------------------------------------------------------------------------- */

static int open_fd(const struct stile_opaque_image *image, int *fd, struct stile_report *why) {
	*fd = os_dup(image->fd);
	if (*fd == -EBADF) {
		return report_refuse(why, -EBADF, STILE_REASON_FD_CLOSED, 0, 0, 0,
			"descriptor %d is not open", image->fd);
	}
	if (*fd < 0) {
		return report_refuse(why, *fd, STILE_REASON_RESOURCES, 0, 0, 0,
			"no descriptor for the driver: %s", strerror(-*fd));
	}
	*fd = driver_fd_move(*fd);
	return 0;
}

/* The texture is bound. The descriptor is GL's from here on; that it failed shows later. */
static void give_storage(const struct gl_procs *gl, const struct stile_opaque_image *image,
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
	/* The texture keeps what it needs. */
	gl->DeleteMemoryObjectsEXT(1, &memory);
}

static int make_texture(const struct gl_procs *gl, const struct stile_opaque_image *image,
	const struct stile_egl_gl_format *format, uint32_t *texture, struct stile_report *why) {
	int fd;
	int ret = open_fd(image, &fd, why);
	if (ret < 0) {
		return ret;
	}
	struct stat identity;
	fstat(fd, &identity);
	int32_t before = 0, immutable = 0;
	gl->GetIntegerv(GL_TEXTURE_BINDING_2D, &before);
	gl->GenTextures(1, texture);
	gl->BindTexture(GL_TEXTURE_2D, *texture);
	give_storage(gl, image, format, fd);
	/* Not by GL's error flag: it may be of what the application did before. */
	gl->GetTexParameteriv(GL_TEXTURE_2D, GL_TEXTURE_IMMUTABLE_FORMAT, &immutable);
	gl->BindTexture(GL_TEXTURE_2D, (uint32_t)before);
	if (immutable != 0) {
		return 0;
	}
	uint32_t first = gl->GetError();
	for (int i = 0; i < 16 && gl->GetError() != 0; i++) {
		/* There may be one of each kind. */
	}
	gl->DeleteTextures(1, texture);
	*texture = 0;
	driver_fd_close_after_failure(fd, &identity);
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, first,
		"GL makes no texture of the memory: error 0x%x", first);
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
	int ret = load(egl, &gl, why);
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
		ret = need_extension(&gl, format.extension, why);
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
