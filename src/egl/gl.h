/* SPDX-License-Identifier: MIT */
#ifndef SRC_EGL_GL_H
#define SRC_EGL_GL_H

#include <stdint.h>

#include <stile/opaque.h>
#include <stile/report.h>

struct stile_egl;

/* GL's numbers: the adapter needs no header of GL, of which there are many. */
enum {
	GL_NO_ERROR = 0,
	GL_NONE = 0,
	GL_ONE = 1,
	GL_OUT_OF_MEMORY = 0x0505,
	GL_CONTEXT_LOST = 0x0507,
	GL_TEXTURE_2D = 0x0de1,
	GL_UNSIGNED_BYTE = 0x1401,
	GL_UNSIGNED_SHORT = 0x1403,
	GL_HALF_FLOAT = 0x140b,
	GL_RED = 0x1903,
	GL_ALPHA = 0x1906,
	GL_RGB = 0x1907,
	GL_RGBA = 0x1908,
	GL_RENDERER = 0x1f01,
	GL_VERSION = 0x1f02,
	GL_EXTENSIONS = 0x1f03,
	GL_UNSIGNED_SHORT_4_4_4_4 = 0x8033,
	GL_UNSIGNED_SHORT_5_5_5_1 = 0x8034,
	GL_RGB8 = 0x8051,
	GL_RGBA4 = 0x8056,
	GL_RGB5_A1 = 0x8057,
	GL_RGBA8 = 0x8058,
	GL_RGB10_A2 = 0x8059,
	GL_RGBA16_EXT = 0x805b,
	GL_TEXTURE_BINDING_2D = 0x8069,
	GL_BGRA_EXT = 0x80e1,
	GL_NUM_EXTENSIONS = 0x821d,
	GL_RG = 0x8227,
	GL_R8 = 0x8229,
	GL_R16_EXT = 0x822a,
	GL_RG8 = 0x822b,
	GL_RG16_EXT = 0x822c,
	GL_UNSIGNED_SHORT_5_6_5 = 0x8363,
	GL_UNSIGNED_INT_2_10_10_10_REV = 0x8368,
	GL_RGBA16F = 0x881a,
	GL_RGB565 = 0x8d62,
	GL_TEXTURE_SWIZZLE_A = 0x8e45,
	GL_TEXTURE_IMMUTABLE_FORMAT = 0x912f,
	GL_BGRA8_EXT = 0x93a1,
	GL_TEXTURE_TILING_EXT = 0x9580,
	GL_DEDICATED_MEMORY_OBJECT_EXT = 0x9581,
	GL_OPTIMAL_TILING_EXT = 0x9584,
	GL_LINEAR_TILING_EXT = 0x9585,
	GL_HANDLE_TYPE_OPAQUE_FD_EXT = 0x9586,
	GL_NUM_DEVICE_UUIDS_EXT = 0x9596,
	GL_DEVICE_UUID_EXT = 0x9597,
	GL_DRIVER_UUID_EXT = 0x9598,
};

/** What entry points are for. */
enum gl_use {
	GL_MEMORY = 1 << 0,     /* GL_EXT_memory_object_fd */
	GL_SEMAPHORES = 1 << 1, /* GL_EXT_semaphore_fd */
	GL_BOTH = GL_MEMORY | GL_SEMAPHORES,
};

/* By their names without "gl", with who needs them. */
#define GL_PROCS(X) \
	X(BindTexture, GL_MEMORY) \
	X(CreateMemoryObjectsEXT, GL_MEMORY) \
	X(DeleteMemoryObjectsEXT, GL_MEMORY) \
	X(DeleteSemaphoresEXT, GL_SEMAPHORES) \
	X(DeleteTextures, GL_MEMORY) \
	X(GenSemaphoresEXT, GL_SEMAPHORES) \
	X(GenTextures, GL_MEMORY) \
	X(GetError, GL_BOTH) \
	X(GetIntegerv, GL_BOTH) \
	X(GetString, GL_BOTH) \
	X(GetStringi, GL_BOTH) \
	X(GetTexParameteriv, GL_MEMORY) \
	X(GetUnsignedBytei_vEXT, GL_BOTH) \
	X(GetUnsignedBytevEXT, GL_BOTH) \
	X(ImportMemoryFdEXT, GL_MEMORY) \
	X(ImportSemaphoreFdEXT, GL_SEMAPHORES) \
	X(MemoryObjectParameterivEXT, GL_MEMORY) \
	X(SignalSemaphoreEXT, GL_SEMAPHORES) \
	X(TexParameteri, GL_MEMORY) \
	X(TexStorageMem2DEXT, GL_MEMORY) \
	X(WaitSemaphoreEXT, GL_SEMAPHORES)

typedef void (*gl_BindTexture)(uint32_t target, uint32_t texture);
typedef void (*gl_CreateMemoryObjectsEXT)(int32_t n, uint32_t *memory);
typedef void (*gl_DeleteMemoryObjectsEXT)(int32_t n, const uint32_t *memory);
typedef void (*gl_DeleteSemaphoresEXT)(int32_t n, const uint32_t *semaphores);
typedef void (*gl_DeleteTextures)(int32_t n, const uint32_t *textures);
typedef void (*gl_GenSemaphoresEXT)(int32_t n, uint32_t *semaphores);
typedef void (*gl_GenTextures)(int32_t n, uint32_t *textures);
typedef uint32_t (*gl_GetError)(void);
typedef void (*gl_GetIntegerv)(uint32_t name, int32_t *value);
typedef const char *(*gl_GetString)(uint32_t name);
typedef const char *(*gl_GetStringi)(uint32_t name, uint32_t index);
typedef void (*gl_GetTexParameteriv)(uint32_t target, uint32_t name, int32_t *value);
typedef void (*gl_GetUnsignedBytei_vEXT)(uint32_t name, uint32_t index, uint8_t *value);
typedef void (*gl_GetUnsignedBytevEXT)(uint32_t name, uint8_t *value);
typedef void (*gl_ImportMemoryFdEXT)(uint32_t memory, uint64_t size, uint32_t type, int32_t fd);
typedef void (*gl_ImportSemaphoreFdEXT)(uint32_t semaphore, uint32_t type, int32_t fd);
typedef void (*gl_MemoryObjectParameterivEXT)(uint32_t memory, uint32_t name, const int32_t *value);
typedef void (*gl_TexParameteri)(uint32_t target, uint32_t name, int32_t value);
typedef void (*gl_TexStorageMem2DEXT)(uint32_t target, int32_t levels, uint32_t format,
	int32_t width, int32_t height, uint32_t memory, uint64_t offset);
typedef void (*gl_WaitSemaphoreEXT)(uint32_t semaphore, uint32_t buffer_count,
	const uint32_t *buffers, uint32_t texture_count, const uint32_t *textures,
	const uint32_t *layouts);
typedef gl_WaitSemaphoreEXT gl_SignalSemaphoreEXT;

/** NULL: of no use to who has asked for them, and not there. */
struct gl_procs {
#define X(name, use) gl_##name name;
	GL_PROCS(X)
#undef X
};

/** Those of the current context: contexts differ. 0, or what report_refuse() gave. */
int gl_load(const struct stile_egl *egl, enum gl_use use, struct gl_procs *gl,
	struct stile_report *why);

/** Has the context the extension? An entry point may be found without. NULL: it needs none. */
int gl_need_extension(const struct gl_procs *gl, const char *extension, struct stile_report *why);

/** Is what ("the memory") is of these the context's own? Only then it understands the descriptor. */
int gl_check_uuids(const struct gl_procs *gl, const char *what,
	const uint8_t device[STILE_UUID_BYTES], const uint8_t driver[STILE_UUID_BYTES],
	struct stile_report *why);

#endif
