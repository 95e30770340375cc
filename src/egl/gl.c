/* SPDX-License-Identifier: MIT */
#include "src/egl/gl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "src/egl/egl.h"
#include "src/report.h"
#include "src/uuid.h"

int gl_load(const struct stile_egl *egl, enum gl_use use, struct gl_procs *gl,
	struct stile_report *why) {
	const char *missing = NULL;
#define X(name, users) \
	gl->name = (gl_##name)egl->info.get_proc_address("gl" #name); \
	missing = gl->name == NULL && ((users)&use) != 0 ? "gl" #name : missing;
	GL_PROCS(X)
#undef X
	if (missing != NULL) {
		return report_refuse(
			why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0, "GL has no %s", missing);
	}
	return 0;
}

/* Older ones than 3 have one long string, no glGetStringi, and none of the extensions asked for here. */
static bool is_older_than_3(const struct gl_procs *gl) {
	const char *version = gl->GetString(GL_VERSION);
	int major = 0;
	return version == NULL ||
		(sscanf(version, "OpenGL ES %d", &major) != 1 &&
			sscanf(version, "%d", &major) != 1) ||
		major < 3;
}

static bool has_extension(const struct gl_procs *gl, const char *wanted) {
	int32_t count = 0;
	if (is_older_than_3(gl)) {
		return false;
	}
	gl->GetIntegerv(GL_NUM_EXTENSIONS, &count);
	for (int32_t i = 0; i < count; i++) {
		const char *name = gl->GetStringi(GL_EXTENSIONS, (uint32_t)i);
		if (name != NULL && strcmp(name, wanted) == 0) {
			return true;
		}
	}
	return false;
}

int gl_need_extension(const struct gl_procs *gl, const char *extension, struct stile_report *why) {
	if (extension == NULL || has_extension(gl, extension)) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, 0,
		"the current context has no %s, or is older than version 3", extension);
}

int gl_check_uuids(const struct gl_procs *gl, const char *what,
	const uint8_t device[STILE_UUID_BYTES], const uint8_t driver[STILE_UUID_BYTES],
	struct stile_report *why) {
	static const char context[] = "the current context";
	uint8_t uuid[STILE_UUID_BYTES] = { 0 };
	gl->GetUnsignedBytevEXT(GL_DRIVER_UUID_EXT, uuid);
	if (memcmp(uuid, driver, sizeof(uuid)) != 0) {
		return uuid_refuse(why, "driver or version", what, driver, context, uuid);
	}
	int32_t count = 0;
	gl->GetIntegerv(GL_NUM_DEVICE_UUIDS_EXT, &count);
	for (int32_t i = 0; i < count; i++) {
		gl->GetUnsignedBytei_vEXT(GL_DEVICE_UUID_EXT, (uint32_t)i, uuid);
		if (memcmp(uuid, device, sizeof(uuid)) == 0) {
			return 0;
		}
	}
	return uuid_refuse(why, "device", what, device, context, uuid);
}
