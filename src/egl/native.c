/* SPDX-License-Identifier: MIT */
/* The kernel's sync_file as an EGLSync, and back: EGL_ANDROID_native_fence_sync. */
#include <errno.h>
#include <unistd.h>

#include <stile/egl_sync.h>

#include "src/egl/egl.h"
#include "src/os.h"
#include "src/path.h"

/* Only where the extension is advertised: entry points are found without. */
void egl_native_find(struct stile_egl *egl) {
	if (!egl_has_extension(egl, "EGL_ANDROID_native_fence_sync")) {
		return;
	}
	egl->egl.CreateSyncKHR =
		(PFNEGLCREATESYNCKHRPROC)egl->info.get_proc_address("eglCreateSyncKHR");
	egl->egl.DupNativeFenceFDANDROID =
		(PFNEGLDUPNATIVEFENCEFDANDROIDPROC)egl->info.get_proc_address(
			"eglDupNativeFenceFDANDROID");
	if (egl->egl.DupNativeFenceFDANDROID == NULL) {
		egl->egl.CreateSyncKHR = NULL;
	}
}

/*
 * Of a descriptor, which is taken over on success; -1: of the work up to here. 0 or -errno. The sync object owns the
 * descriptor (EGL_ANDROID_native_fence_sync, 3.8.1): without one it is still ours, and Mesa has it so.
 */
static int native_create(struct stile_egl *egl, int fd, EGLSync *sync) {
	const EGLint attributes[] = { EGL_SYNC_NATIVE_FENCE_FD_ANDROID, fd, EGL_NONE };
	*sync = egl->egl.CreateSyncKHR(
		egl->info.display, EGL_SYNC_NATIVE_FENCE_ANDROID, fd < 0 ? NULL : attributes);
	if (*sync != EGL_NO_SYNC) {
		return 0;
	}
	EGLint error = egl->egl.GetError();
	egl_log(egl, STILE_LOG_WARN, "eglCreateSyncKHR of a native fence: %s",
		egl_error_name(error));
	return error == EGL_BAD_ALLOC ? -ENOMEM : -EIO;
}

/* ---- In ----------------------------------------------------------------------------------- */

/* 0: *sync follows it, or is EGL_NO_SYNC: it has ended. Or -errno. */
static int native_import(struct stile_egl *egl, struct stile_fence *fence, EGLSync *sync) {
	*sync = EGL_NO_SYNC;
	int fd;
	int ret = egl->egl.CreateSyncKHR == NULL ? -EOPNOTSUPP
						 : stile_fence_export_fd(fence, STILE_FD_SYNC_FILE,
							   STILE_FD_ALLOW_SIGNALED, NULL, &fd);
	if (ret < 0 || fd < 0) {
		return ret;
	}
	ret = native_create(egl, fd, sync);
	if (ret < 0) {
		close(fd);
	}
	return ret;
}

bool egl_native_wait(struct stile_egl *egl, struct stile_fence *fence, enum stile_path_kind *kind,
	int64_t *blocked_ns) {
	EGLSync sync;
	*blocked_ns = 0;
	if (!egl_server_waits(egl) || native_import(egl, fence, &sync) < 0) {
		return false;
	}
	*kind = sync == EGL_NO_SYNC ? STILE_PATH_NONE : STILE_PATH_KERNEL;
	if (sync == EGL_NO_SYNC) {
		return true;
	}
	bool waits = egl_wait_sync(egl, sync, blocked_ns);
	egl->egl.DestroySync(egl->info.display, sync);
	return waits;
}

int stile_egl_export_fence(struct stile_egl *egl, struct stile_fence *fence, EGLSync *sync) {
	*sync = EGL_NO_SYNC;
	if (!egl_check_current(egl, "an EGLSync of a fence")) {
		return -EINVAL;
	}
	int ret = native_import(egl, fence, sync);
	if (ret == -EOPNOTSUPP) {
		egl_log(egl, STILE_LOG_WARN, "no EGLSync of a fence: %s",
			egl->egl.CreateSyncKHR == NULL
				? "the display has no EGL_ANDROID_native_fence_sync"
				: "the kernel does not have that fence");
	}
	return ret;
}

/* ---- Out ---------------------------------------------------------------------------------- */

/* A call that takes longer than this, and gives what is over, waited for it. */
enum { DUP_NS = 200000 };

/*
 * Its sync_file, unless that says that the work is over, and the sync itself does not: then it would be a
 * dependency lost. -1: there is none.
 */
static int native_dup(struct stile_egl *egl, EGLSync sync) {
	int fd = egl->egl.DupNativeFenceFDANDROID(egl->info.display, sync);
	if (fd < 0) {
		egl_log(egl, STILE_LOG_WARN, "eglDupNativeFenceFDANDROID: %s",
			egl_error_name(egl->egl.GetError()));
		return -1;
	}
	if (os_is_readable(fd) &&
		egl->egl.ClientWaitSync(egl->info.display, sync, 0, 0) == EGL_TIMEOUT_EXPIRED) {
		egl_log(egl, STILE_LOG_WARN,
			"the driver gives a native fence that is over before the work is: it is not "
			"used");
		close(fd);
		return -1;
	}
	return fd;
}

/* The kernel's fence of a native sync. 0; 1: it has none; or -errno. */
static int native_export(struct stile_egl *egl, EGLSync sync, struct stile_device *device,
	struct stile_path *path, struct stile_fence **out) {
	int64_t began = os_clock_ns();
	int fd = native_dup(egl, sync);
	if (fd < 0) {
		return 1;
	}
	int64_t took = os_clock_ns() - began;
	path_give(path, STILE_PATH_KERNEL, took > DUP_NS && os_is_readable(fd) ? took : 0);
	int ret = stile_fence_import_fd(device, STILE_FD_SYNC_FILE, 0, fd, out);
	close(fd);
	return ret;
}

/* As stile_egl_fence_create(), or better. */
static int native_fence_create(struct stile_egl *egl, struct stile_device *device,
	struct stile_path *path, struct stile_fence **out) {
	EGLSync sync;
	if (egl->egl.CreateSyncKHR == NULL || native_create(egl, -1, &sync) < 0) {
		return stile_egl_fence_create(egl, out);
	}
	/* Before that there is nothing to give a descriptor of. */
	egl->egl.glFlush();
	int ret = native_export(egl, sync, device, path, out);
	if (ret == 1) {
		ret = egl_fence_create(egl, sync, false, out);
		if (ret == 0) {
			return 0;
		}
	}
	egl->egl.DestroySync(egl->info.display, sync);
	return ret;
}

int stile_egl_fence_create_sync_file(struct stile_egl *egl, struct stile_device *device,
	enum stile_user_fences user_fences, struct stile_path *path, struct stile_fence **out) {
	*out = NULL;
	if (path_check(path) < 0 || !path_policy_is_valid(user_fences) ||
		!egl_check_current(egl, "a fence of GL work")) {
		return -EINVAL;
	}
	struct stile_path found = { .size = sizeof(found), .kind = STILE_PATH_HANDLE };
	int ret = native_fence_create(egl, device, &found, out);
	if (ret < 0) {
		return ret;
	}
	if (found.kind == STILE_PATH_HANDLE && user_fences == STILE_USER_FENCES_REFUSE) {
		egl_log(egl, STILE_LOG_WARN,
			"the kernel cannot have a fence of this driver's GL work");
		stile_fence_unref(*out);
		*out = NULL;
		return -EOPNOTSUPP;
	}
	path_give(path, found.kind, found.blocked_ns);
	return 0;
}
