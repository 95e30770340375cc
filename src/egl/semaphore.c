/* SPDX-License-Identifier: MIT */
/* Vulkan's semaphores in GL: GL_EXT_semaphore_fd. GL state is left as it is, but for a pending error. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/egl_sync.h>

#include "src/egl/egl.h"
#include "src/os.h"
#include "src/report.h"

/* GL's numbers; its headers differ between GL and GL ES. */
enum {
	NO_ERROR = 0,
	OUT_OF_MEMORY = 0x0505,
	CONTEXT_LOST = 0x0507,
	EXTENSIONS = 0x1F03,
	NUM_EXTENSIONS = 0x821D,
	HANDLE_TYPE_OPAQUE_FD = 0x9586,
	DEVICE_UUID = 0x9597,
	DRIVER_UUID = 0x9598,
	UUID_SIZE = 16,
};

/* By their names without "gl". */
#define SEMAPHORE_PROCS(X) \
	X(GetError) \
	X(GetIntegerv) \
	X(GetStringi) \
	X(GetUnsignedBytevEXT) \
	X(GetUnsignedBytei_vEXT) \
	X(GenSemaphoresEXT) \
	X(DeleteSemaphoresEXT) \
	X(ImportSemaphoreFdEXT) \
	X(WaitSemaphoreEXT) \
	X(SignalSemaphoreEXT)

typedef unsigned (*gl_GetError)(void);
typedef void (*gl_GetIntegerv)(unsigned name, int *data);
typedef const unsigned char *(*gl_GetStringi)(unsigned name, unsigned at);
typedef void (*gl_GetUnsignedBytevEXT)(unsigned name, unsigned char *data);
typedef void (*gl_GetUnsignedBytei_vEXT)(unsigned name, unsigned at, unsigned char *data);
typedef void (*gl_GenSemaphoresEXT)(int count, unsigned *names);
typedef void (*gl_DeleteSemaphoresEXT)(int count, const unsigned *names);
typedef void (*gl_ImportSemaphoreFdEXT)(unsigned name, unsigned type, int fd);
typedef void (*gl_WaitSemaphoreEXT)(unsigned name, unsigned buffer_count, const unsigned *buffers,
	unsigned texture_count, const unsigned *textures, const unsigned *layouts);
typedef gl_WaitSemaphoreEXT gl_SignalSemaphoreEXT;

struct stile_egl_semaphore {
	struct stile_egl *egl;
	unsigned id;
#define X(name) gl_##name name;
	SEMAPHORE_PROCS(X)
#undef X
};

static bool has_extension(const struct stile_egl_semaphore *self, const char *name) {
	int count = 0;
	bool has = false;
	self->GetIntegerv(NUM_EXTENSIONS, &count);
	for (unsigned i = 0; (int)i < count && !has; i++) {
		const char *extension = (const char *)self->GetStringi(EXTENSIONS, i);
		has = extension != NULL && strcmp(extension, name) == 0;
	}
	return has;
}

static int load(struct stile_egl_semaphore *self, struct stile_report *why) {
	const char *missing = NULL;
	stile_egl_proc proc;
#define X(name) \
	proc = self->egl->info.get_proc_address("gl" #name); \
	self->name = (gl_##name)proc; \
	missing = proc == NULL ? "gl" #name : missing;
	SEMAPHORE_PROCS(X)
#undef X
	if (missing != NULL) {
		return report_refuse(
			why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0, "GL has no %s", missing);
	}
	/* An entry point may be found without the extension being there. */
	if (!has_extension(self, "GL_EXT_semaphore_fd")) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
			"the current context has no GL_EXT_semaphore_fd");
	}
	return 0;
}

static int check_ids(const struct stile_egl_semaphore *self,
	const struct stile_egl_semaphore_info *info, struct stile_report *why) {
	unsigned char device[UUID_SIZE] = { 0 }, driver[UUID_SIZE] = { 0 };
	self->GetUnsignedBytei_vEXT(DEVICE_UUID, 0, device);
	self->GetUnsignedBytevEXT(DRIVER_UUID, driver);
	bool same_device = memcmp(device, info->device_uuid, UUID_SIZE) == 0;
	if (same_device && memcmp(driver, info->driver_uuid, UUID_SIZE) == 0) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DEVICE, 0, device[0],
		info->device_uuid[0],
		"the semaphore is of another %s than GL's, which alone understands its descriptor",
		same_device ? "driver, or another version of it" : "device");
}

static int gl_errno(unsigned error) {
	return error == OUT_OF_MEMORY ? -ENOMEM : error == CONTEXT_LOST ? -EIO : -EOPNOTSUPP;
}

/* GL can tell errors only by the one that is pending: the application's has to go first. */
static void drop_error(const struct stile_egl_semaphore *self) {
	unsigned error = self->GetError();
	if (error != NO_ERROR) {
		egl_log(self->egl, STILE_LOG_WARN,
			"GL had an error pending, 0x%x, which is not the semaphore's", error);
	}
}

static int import_fd(struct stile_egl_semaphore *self, int borrowed, struct stile_report *why) {
	int fd = os_dup(borrowed);
	if (fd < 0) {
		return report_refuse(why, fd,
			fd == -EBADF ? STILE_REASON_FD_CLOSED : STILE_REASON_RESOURCES, 0, 0, 0,
			"descriptor %d: %s", borrowed, strerror(-fd));
	}
	drop_error(self);
	self->GenSemaphoresEXT(1, &self->id);
	self->ImportSemaphoreFdEXT(self->id, HANDLE_TYPE_OPAQUE_FD, fd);
	unsigned error = self->GetError();
	if (error == NO_ERROR) {
		return 0;
	}
	/* GL takes it over only if it succeeds. */
	close(fd);
	self->DeleteSemaphoresEXT(1, &self->id);
	return report_refuse(why, gl_errno(error), STILE_REASON_DRIVER, 0, 0, error,
		"glImportSemaphoreFdEXT: GL error 0x%x", error);
}

static int import(struct stile_egl_semaphore *self, const struct stile_egl_semaphore_info *info,
	struct stile_report *why) {
	if (!egl_is_current(self->egl)) {
		return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0, 0, 0,
			"a GL semaphore needs a current context of this display");
	}
	int ret = load(self, why);
	if (ret == 0) {
		ret = check_ids(self, info, why);
	}
	return ret < 0 ? ret : import_fd(self, info->fd, why);
}

int stile_egl_semaphore_import(struct stile_egl *egl, const struct stile_egl_semaphore_info *info,
	struct stile_report *report, struct stile_egl_semaphore **out) {
	struct stile_egl_semaphore_info known;
	struct stile_report why;
	*out = NULL;
	int ret = report_copy_in(report, &known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	struct stile_egl_semaphore *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		ret = report_refuse(
			&why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	} else {
		self->egl = egl;
		ret = import(self, &known, &why);
	}
	if (ret < 0) {
		report_give(report, &why);
		egl_log(egl, STILE_LOG_WARN, "import of a semaphore: %s", why.text);
		free(self);
		return ret;
	}
	*out = self;
	return 0;
}

void stile_egl_semaphore_destroy(struct stile_egl_semaphore *semaphore) {
	if (semaphore != NULL) {
		if (egl_check_current(semaphore->egl, "the end of a GL semaphore")) {
			semaphore->DeleteSemaphoresEXT(1, &semaphore->id);
		}
		free(semaphore);
	}
}

int stile_egl_semaphore_wait(struct stile_egl_semaphore *semaphore, uint32_t count,
	const uint32_t *textures, const uint32_t *layouts) {
	if (!egl_check_current(semaphore->egl, "a wait of GL for a semaphore")) {
		return -EINVAL;
	}
	semaphore->WaitSemaphoreEXT(semaphore->id, 0, NULL, count, textures, layouts);
	return 0;
}

int stile_egl_semaphore_signal(struct stile_egl_semaphore *semaphore, uint32_t count,
	const uint32_t *textures, const uint32_t *layouts) {
	if (!egl_check_current(semaphore->egl, "a signal of GL to a semaphore")) {
		return -EINVAL;
	}
	semaphore->SignalSemaphoreEXT(semaphore->id, 0, NULL, count, textures, layouts);
	/* Whoever waits for it must not wait for ever. */
	semaphore->egl->egl.glFlush();
	return 0;
}
