/* SPDX-License-Identifier: MIT */
/* Vulkan's semaphores in GL: GL_EXT_semaphore_fd. GL state is left as it is, but for a pending error. */
#include <errno.h>
#include <stdlib.h>

#include <stile/egl_sync.h>

#include "src/driver_fd.h"
#include "src/egl/egl.h"
#include "src/egl/gl.h"
#include "src/report.h"

struct stile_egl_semaphore {
	struct stile_egl *egl;
	uint32_t id;
	struct gl_procs gl;
};

static int gl_errno(uint32_t error) {
	return error == GL_OUT_OF_MEMORY ? -ENOMEM : error == GL_CONTEXT_LOST ? -EIO : -EOPNOTSUPP;
}

/* GL can tell errors only by the one that is pending: the application's has to go first. */
static void drop_error(const struct stile_egl_semaphore *self) {
	uint32_t error = self->gl.GetError();
	if (error != GL_NO_ERROR) {
		egl_log(self->egl, STILE_LOG_WARN,
			"GL had an error pending, 0x%x, which is not the semaphore's", error);
	}
}

static int import_fd(struct stile_egl_semaphore *self, int borrowed, struct stile_report *why) {
	struct driver_fd fd;
	int ret = driver_fd_dup(borrowed, &fd, why);
	if (ret < 0) {
		return ret;
	}
	drop_error(self);
	self->gl.GenSemaphoresEXT(1, &self->id);
	self->gl.ImportSemaphoreFdEXT(self->id, GL_HANDLE_TYPE_OPAQUE_FD_EXT, fd.fd);
	uint32_t error = self->gl.GetError();
	if (error == GL_NO_ERROR) {
		return 0;
	}
	driver_fd_close_after_failure(&fd);
	self->gl.DeleteSemaphoresEXT(1, &self->id);
	return report_refuse(why, gl_errno(error), STILE_REASON_DRIVER, 0, 0, error,
		"glImportSemaphoreFdEXT: GL error 0x%x", error);
}

static int import(struct stile_egl_semaphore *self, const struct stile_egl_semaphore_info *info,
	struct stile_report *why) {
	if (!egl_is_current(self->egl)) {
		return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0, 0, 0,
			"a GL semaphore needs a current context of this display");
	}
	int ret = gl_load(self->egl, GL_SEMAPHORES, &self->gl, why);
	if (ret == 0) {
		ret = gl_need_extension(&self->gl, "GL_EXT_semaphore_fd", why);
	}
	if (ret == 0) {
		ret = gl_check_uuids(
			&self->gl, "the semaphore", info->device_uuid, info->driver_uuid, why);
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
			semaphore->gl.DeleteSemaphoresEXT(1, &semaphore->id);
		}
		free(semaphore);
	}
}

int stile_egl_semaphore_wait(struct stile_egl_semaphore *semaphore, uint32_t count,
	const uint32_t *textures, const uint32_t *layouts) {
	if (!egl_check_current(semaphore->egl, "a wait of GL for a semaphore")) {
		return -EINVAL;
	}
	semaphore->gl.WaitSemaphoreEXT(semaphore->id, 0, NULL, count, textures, layouts);
	return 0;
}

int stile_egl_semaphore_signal(struct stile_egl_semaphore *semaphore, uint32_t count,
	const uint32_t *textures, const uint32_t *layouts) {
	if (!egl_check_current(semaphore->egl, "a signal of GL to a semaphore")) {
		return -EINVAL;
	}
	semaphore->gl.SignalSemaphoreEXT(semaphore->id, 0, NULL, count, textures, layouts);
	/* Whoever waits for it must not wait for ever. */
	semaphore->egl->egl.glFlush();
	return 0;
}
