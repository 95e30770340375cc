/* SPDX-License-Identifier: MIT */
/* GL of the fake EGL display. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interop-tests/support/fake_egl_display.h"

static struct fake_egl_textures last_textures;

enum { SEMAPHORES = 8 };

static struct fake_payload *semaphores[SEMAPHORES]; /* by name, from 1 */
static unsigned names;
static unsigned gl_error;
static unsigned bound; /* texture */

static unsigned tell_gl_error(void) {
	unsigned error = gl_error;
	gl_error = 0;
	return error;
}

enum {
	INVALID_VALUE = 0x0501,
	INVALID_OPERATION = 0x0502,
	RENDERER = 0x1F01,
	VERSION = 0x1F02,
	TEXTURE_BINDING_2D = 0x8069,
	NUM_EXTENSIONS = 0x821D,
	TEXTURE_SWIZZLE_A = 0x8E45,
	TEXTURE_IMMUTABLE_FORMAT = 0x912F,
	TEXTURE_TILING = 0x9580,
	DEDICATED_MEMORY_OBJECT = 0x9581,
	OPAQUE_FD = 0x9586,
	NUM_DEVICE_UUIDS = 0x9596,
};

/* Takes the lock. */
static void enter(const char *call) {
	fake_egl_check_current(call);
	fake_gpu_lock();
}

/* The first error stays until it is asked for. */
static void refuse(unsigned error) {
	gl_error = gl_error == 0 ? error : gl_error;
}

/* The same, of a call that may fail. Does it? */
static bool enter_or_fail(const char *call) {
	int code = 0;
	enter(call);
	bool fails = fake_gpu_fails(call, &code);
	if (fails) {
		refuse((unsigned)code);
	}
	return fails;
}

/* NULL: there are not so many. */
static const char *find_extension(unsigned at) {
	const char *const *more = fake_egl.traits.gl_extensions;
	unsigned i = fake_egl.traits.semaphores ? 2 : 1;
	if (at < i) {
		return at == 0 ? "GL_EXT_fake" : "GL_EXT_semaphore_fd";
	}
	while (more != NULL && *more != NULL && i < at) {
		more++;
		i++;
	}
	return more == NULL ? NULL : *more;
}

static int count_extensions(void) {
	int count = 0;
	while (find_extension((unsigned)count) != NULL) {
		count++;
	}
	return count;
}

static void get_integer(unsigned name, int *data) {
	*data = name == NUM_EXTENSIONS       ? count_extensions()
		: name == NUM_DEVICE_UUIDS   ? 1 + fake_egl.traits.others
		: name == TEXTURE_BINDING_2D ? (int)bound
					     : 0;
}

static const unsigned char *get_string(unsigned name) {
	const struct fake_egl_traits *traits = &fake_egl.traits;
	const char *version = traits->gl_version != NULL ? traits->gl_version
		: traits->is_old                         ? "OpenGL ES 2.0 fake"
							 : "OpenGL ES 3.0 fake";
	const char *text = name == VERSION ? version : name == RENDERER ? traits->renderer : "";
	return (const unsigned char *)text;
}

static const unsigned char *get_string_at(unsigned name, unsigned at) {
	(void)name;
	if (fake_egl.traits.is_old) {
		fake_gpu_complain("glGetStringi of GL ES 2");
	}
	return (const unsigned char *)find_extension(at);
}

static void get_bytes(unsigned name, unsigned char *data) {
	(void)name;
	memset(data, fake_egl.traits.uuid, 16);
}

static void get_bytes_at(unsigned name, unsigned at, unsigned char *data) {
	(void)name;
	memset(data, at < fake_egl.traits.others ? 0xee : fake_egl.traits.uuid, 16);
}

static void gen_semaphores(int count, unsigned *out) {
	fake_egl_check_current("glGenSemaphoresEXT");
	fake_gpu_lock();
	for (int i = 0; i < count; i++) {
		out[i] = ++names;
		fake_gpu_count(1);
	}
	fake_gpu_unlock();
}

static void delete_semaphores(int count, const unsigned *given) {
	fake_egl_check_current("glDeleteSemaphoresEXT");
	fake_gpu_lock();
	for (int i = 0; i < count; i++) {
		if (semaphores[given[i]] != NULL) {
			fake_payload_unref(semaphores[given[i]]);
			semaphores[given[i]] = NULL;
		}
		fake_gpu_count(-1);
	}
	fake_gpu_unlock();
}

static void import_semaphore(unsigned name, unsigned type, int fd) {
	struct fake_payload *payload = NULL;
	fake_egl_check_current("glImportSemaphoreFdEXT");
	if (type != OPAQUE_FD) {
		fake_gpu_complain("glImportSemaphoreFdEXT of type 0x%x", type);
	}
	int code = 0x0502;
	fake_gpu_lock();
	if (!fake_gpu_fails("glImportSemaphoreFdEXT", &code)) {
		payload = fake_payload_import(fd);
	}
	if (payload != NULL) {
		close(fd);
		semaphores[name] = payload;
	} else {
		gl_error = (unsigned)code;
		fake_gpu_import_failed(fd);
	}
	fake_gpu_unlock();
}

static void wait_semaphore(unsigned name, unsigned buffer_count, const unsigned *buffers,
	unsigned texture_count, const unsigned *textures, const unsigned *layouts) {
	(void)buffer_count;
	(void)buffers;
	fake_egl_check_current("glWaitSemaphoreEXT");
	fake_gpu_lock();
	last_textures = (struct fake_egl_textures){ texture_count, textures, layouts };
	struct fake_payload *payload = semaphores[name];
	if (payload->signals <= payload->waits) {
		fake_gpu_complain("GL waits for a semaphore that nothing signals");
	}
	struct fake_batch batch = {
		.waits = { { .payload = payload, .value = ++payload->waits } },
		.wait_count = 1,
	};
	fake_queue_submit(fake_egl.queue, &batch);
	fake_gpu_unlock();
}

static void signal_semaphore(unsigned name, unsigned buffer_count, const unsigned *buffers,
	unsigned texture_count, const unsigned *textures, const unsigned *layouts) {
	(void)buffer_count;
	(void)buffers;
	fake_egl_check_current("glSignalSemaphoreEXT");
	fake_gpu_lock();
	last_textures = (struct fake_egl_textures){ texture_count, textures, layouts };
	fake_egl.is_signal_unflushed = true;
	struct fake_payload *payload = semaphores[name];
	if (payload->signals > payload->waits) {
		fake_gpu_complain("GL signals a semaphore twice");
	}
	payload->submitted = ++payload->signals;
	struct fake_batch batch = {
		.signals = { { .payload = payload, .value = payload->signals } },
		.signal_count = 1,
	};
	fake_queue_submit(fake_egl.queue, &batch);
	fake_gpu_unlock();
}

/* ---- Memory objects -------------------------------------------------------------------------- */

enum { OBJECTS = 8 };

static struct memory {
	bool exists, is_imported, has_texture;
	ino_t file;
	uint64_t bytes;
	int is_dedicated;
} memories[OBJECTS]; /* by name, from 1 */

static struct texture {
	bool exists;
	struct fake_egl_texture seen;
} textures[OBJECTS]; /* the same */

static struct memory *find_memory(const char *call, unsigned name) {
	if (name == 0 || name >= OBJECTS || !memories[name].exists) {
		fake_gpu_complain("%s of memory %u, which is none", call, name);
		return &memories[0];
	}
	return &memories[name];
}

static struct texture *find_texture(const char *call) {
	if (bound == 0) {
		fake_gpu_complain("%s of no texture", call);
	}
	return &textures[bound];
}

static void create_memories(int count, unsigned *out) {
	bool fails = enter_or_fail("glCreateMemoryObjectsEXT");
	unsigned name = 1;
	while (name < OBJECTS && memories[name].exists) {
		name++;
	}
	if (count != 1 || name == OBJECTS) {
		fake_gpu_complain(
			"glCreateMemoryObjectsEXT of %d: the fake has one at a time", count);
	} else if (!fails) {
		*out = name;
		memories[name] = (struct memory){ .exists = true };
		fake_gpu_count(1);
	}
	fake_gpu_unlock();
}

static void delete_memories(int count, const unsigned *given) {
	enter("glDeleteMemoryObjectsEXT");
	/* 0 is silently ignored, as of all names. */
	for (int i = 0; i < count; i++) {
		if (given[i] != 0) {
			find_memory("glDeleteMemoryObjectsEXT", given[i])->exists = false;
			fake_gpu_count(-1);
		}
	}
	fake_gpu_unlock();
}

static void set_memory(unsigned name, unsigned parameter, const int *value) {
	enter("glMemoryObjectParameterivEXT");
	if (name == 0) {
		refuse(INVALID_VALUE);
	} else {
		struct memory *memory = find_memory("glMemoryObjectParameterivEXT", name);
		if (memory->is_imported || parameter != DEDICATED_MEMORY_OBJECT) {
			fake_gpu_complain(
				"glMemoryObjectParameterivEXT of 0x%x, or too late", parameter);
		}
		memory->is_dedicated = *value;
	}
	fake_gpu_unlock();
}

static void import_memory(unsigned name, uint64_t bytes, unsigned type, int fd) {
	struct stat at = { .st_ino = 0 };
	bool fails = enter_or_fail("glImportMemoryFdEXT");
	if (type != OPAQUE_FD || fstat(fd, &at) < 0) {
		fake_gpu_complain("glImportMemoryFdEXT of type 0x%x, or of no descriptor", type);
	}
	if (name == 0) {
		refuse(INVALID_VALUE);
		fails = true;
	}
	if (fails) {
		fake_gpu_import_failed(fd);
	} else {
		struct memory *memory = find_memory("glImportMemoryFdEXT", name);
		memory->is_imported = true;
		memory->bytes = bytes;
		memory->file = at.st_ino;
		close(fd);
	}
	fake_gpu_unlock();
}

static void gen_textures(int count, unsigned *out) {
	enter("glGenTextures");
	unsigned name = 1;
	while (name < OBJECTS && textures[name].exists) {
		name++;
	}
	if (count != 1 || name == OBJECTS) {
		fake_gpu_complain("glGenTextures of %d: the fake has one at a time", count);
	} else {
		*out = name;
		textures[name] = (struct texture){ .exists = true };
		fake_gpu_count(1);
	}
	fake_gpu_unlock();
}

static void delete_textures(int count, const unsigned *given) {
	enter("glDeleteTextures");
	for (int i = 0; i < count; i++) {
		bound = bound == given[i] ? 0 : bound;
		textures[given[i]].exists = false;
		fake_gpu_count(-1);
	}
	fake_gpu_unlock();
}

static void bind_texture(unsigned target, unsigned name) {
	(void)target;
	enter("glBindTexture");
	bound = name;
	fake_gpu_unlock();
}

static void set_texture(unsigned target, unsigned parameter, int value) {
	(void)target;
	enter("glTexParameteri");
	struct texture *texture = find_texture("glTexParameteri");
	if (parameter == TEXTURE_TILING && texture->seen.is_immutable) {
		fake_gpu_complain("glTexParameteri of tiling, too late");
	}
	if (parameter == TEXTURE_TILING) {
		texture->seen.tiling = value;
	} else if (parameter == TEXTURE_SWIZZLE_A) {
		texture->seen.alpha = value;
	}
	fake_gpu_unlock();
}

static void get_texture(unsigned target, unsigned parameter, int *value) {
	(void)target;
	enter("glGetTexParameteriv");
	const struct texture *texture = find_texture("glGetTexParameteriv");
	*value = parameter == TEXTURE_IMMUTABLE_FORMAT && texture->seen.is_immutable;
	fake_gpu_unlock();
}

static void give_storage(unsigned target, int levels, unsigned format, int width, int height,
	unsigned name, uint64_t offset) {
	(void)target;
	bool fails = enter_or_fail("glTexStorageMem2DEXT");
	struct texture *texture = find_texture("glTexStorageMem2DEXT");
	struct memory *memory = name == 0 ? NULL : find_memory("glTexStorageMem2DEXT", name);
	if (memory == NULL || !memory->is_imported || levels != 1) {
		refuse(INVALID_OPERATION);
	} else if (!fails) {
		texture->seen.is_immutable = true;
		texture->seen.format = format;
		texture->seen.width = (uint32_t)width;
		texture->seen.height = (uint32_t)height;
		texture->seen.offset = offset;
		texture->seen.memory.file = memory->file;
		texture->seen.memory.bytes = memory->bytes;
		texture->seen.memory.is_dedicated = memory->is_dedicated;
		memory->has_texture = true;
	}
	fake_gpu_unlock();
}

/* ---------------------------------------------------------------------------------------------- */

stile_egl_proc fake_gl_find(const char *name) {
	static const struct {
		const char *name;
		stile_egl_proc proc;
	} known[] = {
		{ "glBindTexture", (stile_egl_proc)bind_texture },
		{ "glCreateMemoryObjectsEXT", (stile_egl_proc)create_memories },
		{ "glDeleteMemoryObjectsEXT", (stile_egl_proc)delete_memories },
		{ "glDeleteSemaphoresEXT", (stile_egl_proc)delete_semaphores },
		{ "glDeleteTextures", (stile_egl_proc)delete_textures },
		{ "glGenSemaphoresEXT", (stile_egl_proc)gen_semaphores },
		{ "glGenTextures", (stile_egl_proc)gen_textures },
		{ "glGetError", (stile_egl_proc)tell_gl_error },
		{ "glGetIntegerv", (stile_egl_proc)get_integer },
		{ "glGetString", (stile_egl_proc)get_string },
		{ "glGetStringi", (stile_egl_proc)get_string_at },
		{ "glGetTexParameteriv", (stile_egl_proc)get_texture },
		{ "glGetUnsignedBytei_vEXT", (stile_egl_proc)get_bytes_at },
		{ "glGetUnsignedBytevEXT", (stile_egl_proc)get_bytes },
		{ "glImportMemoryFdEXT", (stile_egl_proc)import_memory },
		{ "glImportSemaphoreFdEXT", (stile_egl_proc)import_semaphore },
		{ "glMemoryObjectParameterivEXT", (stile_egl_proc)set_memory },
		{ "glSignalSemaphoreEXT", (stile_egl_proc)signal_semaphore },
		{ "glTexParameteri", (stile_egl_proc)set_texture },
		{ "glTexStorageMem2DEXT", (stile_egl_proc)give_storage },
		{ "glWaitSemaphoreEXT", (stile_egl_proc)wait_semaphore },
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(name, known[i].name) == 0) {
			return known[i].proc;
		}
	}
	return NULL;
}

void fake_gl_begin(void) {
	names = 0;
	gl_error = 0;
	bound = 0;
	memset(memories, 0, sizeof(memories));
	memset(textures, 0, sizeof(textures));
}

/* What a texture is in, and was not given back, goes with the context: a memory object that has none is left. */
void fake_gl_end(void) {
	for (unsigned i = 0; i < OBJECTS; i++) {
		if (memories[i].exists && memories[i].has_texture) {
			fake_gpu_count(-1);
		}
	}
}

struct fake_egl_texture fake_egl_look_at_texture(uint32_t texture) {
	return textures[texture].seen;
}

void fake_egl_bind_texture(uint32_t texture) {
	bound = texture;
}

uint32_t fake_egl_get_bound(void) {
	return bound;
}

void fake_egl_delete_texture(uint32_t texture) {
	fake_gpu_exempt(true);
	delete_textures(1, &texture);
	fake_gpu_exempt(false);
}

uint32_t fake_egl_get_gl_error(void) {
	return tell_gl_error();
}

struct fake_egl_textures fake_egl_get_textures(void) {
	return last_textures;
}

void fake_egl_set_gl_error(uint32_t error) {
	gl_error = error;
}
