/* SPDX-License-Identifier: MIT */
/* GL of the fake EGL display. */
#include <string.h>
#include <unistd.h>

#include "interop-tests/support/fake_egl_display.h"

static struct fake_egl_textures last_textures;

enum { SEMAPHORES = 8 };

static struct fake_payload *semaphores[SEMAPHORES]; /* by name, from 1 */
static unsigned names;
static unsigned gl_error;

static unsigned tell_gl_error(void) {
	unsigned error = gl_error;
	gl_error = 0;
	return error;
}

enum { VERSION = 0x1F02, NUM_EXTENSIONS = 0x821D, OPAQUE_FD = 0x9586, NUM_DEVICE_UUIDS = 0x9596 };

static void get_integer(unsigned name, int *data) {
	*data = name == NUM_EXTENSIONS     ? 1 + fake_egl.traits.semaphores
		: name == NUM_DEVICE_UUIDS ? 1 + fake_egl.traits.others
					   : 0;
}

static const unsigned char *get_string(unsigned name) {
	const char *version = fake_egl.traits.is_old ? "OpenGL ES 2.0 fake" : "OpenGL ES 3.0 fake";
	return (const unsigned char *)(name == VERSION ? version : "");
}

static const unsigned char *get_string_at(unsigned name, unsigned at) {
	(void)name;
	if (fake_egl.traits.is_old) {
		fake_gpu_complain("glGetStringi of GL ES 2");
	}
	return (const unsigned char *)(at == 0 ? "GL_EXT_fake" : "GL_EXT_semaphore_fd");
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

stile_egl_proc fake_gl_find(const char *name) {
	static const struct {
		const char *name;
		stile_egl_proc proc;
	} known[] = {
		{ "glDeleteSemaphoresEXT", (stile_egl_proc)delete_semaphores },
		{ "glGenSemaphoresEXT", (stile_egl_proc)gen_semaphores },
		{ "glGetError", (stile_egl_proc)tell_gl_error },
		{ "glGetIntegerv", (stile_egl_proc)get_integer },
		{ "glGetString", (stile_egl_proc)get_string },
		{ "glGetStringi", (stile_egl_proc)get_string_at },
		{ "glGetUnsignedBytei_vEXT", (stile_egl_proc)get_bytes_at },
		{ "glGetUnsignedBytevEXT", (stile_egl_proc)get_bytes },
		{ "glImportSemaphoreFdEXT", (stile_egl_proc)import_semaphore },
		{ "glSignalSemaphoreEXT", (stile_egl_proc)signal_semaphore },
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
}

struct fake_egl_textures fake_egl_get_textures(void) {
	return last_textures;
}

void fake_egl_set_gl_error(uint32_t error) {
	gl_error = error;
}
