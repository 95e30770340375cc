/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "src/egl/egl.h"
#include "src/macros.h"

static const struct {
	EGLint code;
	int error;
	const char *name;
} errors[] = {
	{ EGL_SUCCESS, 0, "EGL_SUCCESS" },
	{ EGL_NOT_INITIALIZED, -EINVAL, "EGL_NOT_INITIALIZED" },
	{ EGL_BAD_DISPLAY, -EINVAL, "EGL_BAD_DISPLAY" },
	{ EGL_BAD_CONTEXT, -EINVAL, "EGL_BAD_CONTEXT" },
	{ EGL_BAD_PARAMETER, -EINVAL, "EGL_BAD_PARAMETER" },
	{ EGL_BAD_ALLOC, -ENOMEM, "EGL_BAD_ALLOC" },
	{ EGL_BAD_ACCESS, -EOPNOTSUPP, "EGL_BAD_ACCESS" },
	{ EGL_BAD_ATTRIBUTE, -EOPNOTSUPP, "EGL_BAD_ATTRIBUTE" },
	{ EGL_BAD_MATCH, -EOPNOTSUPP, "EGL_BAD_MATCH" },
	{ EGL_CONTEXT_LOST, -EIO, "EGL_CONTEXT_LOST" },
};

int egl_errno(EGLint error) {
	for (size_t i = 0; i < ARRAY_LENGTH(errors); i++) {
		if (errors[i].code == error) {
			return errors[i].error;
		}
	}
	return -EIO;
}

const char *egl_error_name(EGLint error) {
	for (size_t i = 0; i < ARRAY_LENGTH(errors); i++) {
		if (errors[i].code == error) {
			return errors[i].name;
		}
	}
	return "an unexpected EGL error";
}
