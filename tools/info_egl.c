/* SPDX-License-Identifier: MIT */
/* EGL's displays that need no window. The library is looked for at run time: without it, all the rest is told. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <EGL/egl.h>
#include <EGL/eglext.h>

#include <stile/egl.h>

#include "tools/guard.h"
#include "tools/info_drm.h"

/* Told in this order. */
static const char *const extensions[] = {
	"EGL_EXT_image_dma_buf_import",
	"EGL_EXT_image_dma_buf_import_modifiers",
	"EGL_MESA_image_dma_buf_export",
	"EGL_ANDROID_native_fence_sync",
	"EGL_KHR_fence_sync",
	"EGL_KHR_wait_sync",
	"EGL_KHR_surfaceless_context",
};

static struct {
	stile_egl_proc (*GetProcAddress)(const char *name);
	PFNEGLGETERRORPROC GetError;
	PFNEGLGETPLATFORMDISPLAYPROC GetPlatformDisplay;
	PFNEGLINITIALIZEPROC Initialize;
	PFNEGLQUERYSTRINGPROC QueryString;
	PFNEGLTERMINATEPROC Terminate;
	/* NULL where the client lacks EGL_EXT_device_enumeration. */
	PFNEGLQUERYDEVICESEXTPROC QueryDevices;
} egl;

/* What is kept of a display. */
struct kept {
	EGLDisplay display; /* initialised */
	struct stile_egl *stile;
};

static bool has_name(const char *list, const char *name) {
	size_t length = strlen(name);
	const char *at = list;
	while (at != NULL && (at = strstr(at, name)) != NULL) {
		if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) {
			return true;
		}
		at += length;
	}
	return false;
}

/* ---- One display --------------------------------------------------------------------------- */

static int import(void *handle, struct stile_image *image, bool writes, struct stile_report *why) {
	(void)writes;
	struct kept *kept = handle;
	struct stile_egl_image *imported;
	int ret = stile_egl_import_image(kept->stile, image, why, &imported);
	stile_egl_image_destroy(imported);
	return ret;
}

/* The same driver on the same device is one party, by whichever platform. */
static bool is_known(const struct info *info, const struct stile_party *reads) {
	for (size_t i = 0; i < info->party_count; i++) {
		const struct stile_party *known = &info->parties[i].reads;
		if (known->name != NULL && strcmp(known->name, reads->name) == 0 &&
			known->device == reads->device && known->memory == reads->memory) {
			return true;
		}
	}
	return false;
}

static void add_party(struct info *info, struct info_display *display, struct kept *kept) {
	struct stile_party reads = { .size = sizeof(reads) };
	struct stile_report why = { .size = sizeof(why) };
	if (stile_egl_get_party(kept->stile, STILE_USAGE_READ, &why, &reads) < 0) {
		display->works = false;
		snprintf(display->why, sizeof(display->why), "%s", why.text);
		return;
	}
	if (is_known(info, &reads)) {
		stile_party_fini(&reads);
		return;
	}
	char label[INFO_NAME];
	snprintf(label, sizeof(label), "EGL %zu", info->display_count - 1);
	struct info_party *party = info_add_party(info, label, import, kept);
	if (party == NULL) {
		stile_party_fini(&reads);
		return;
	}
	party->reads = reads;
	(void)!stile_egl_get_party(kept->stile, STILE_USAGE_WRITE, NULL, &party->writes);
}

static void look_at_strings(const struct kept *kept, struct info_display *display) {
	const char *list = egl.QueryString(kept->display, EGL_EXTENSIONS);
	const char *version = egl.QueryString(kept->display, EGL_VERSION);
	const char *driver = egl.QueryString(kept->display, EGL_VENDOR);
	if (has_name(list, "EGL_MESA_query_driver")) {
		PFNEGLGETDISPLAYDRIVERNAMEPROC get_name =
			(PFNEGLGETDISPLAYDRIVERNAMEPROC)egl.GetProcAddress(
				"eglGetDisplayDriverName");
		driver = get_name(kept->display);
	}
	snprintf(display->driver, sizeof(display->driver), "%s", driver == NULL ? "?" : driver);
	snprintf(display->version, sizeof(display->version), "%s", version == NULL ? "?" : version);
	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
		info_add_flag(&display->has, extensions[i], has_name(list, extensions[i]));
	}
}

/* By which users choose a driver of Mesa's, or one too many. */
static const char *const driver_variables[] = { "LIBGL_ALWAYS_SOFTWARE", "LIBGL_DRIVERS_PATH",
	"GALLIUM_DRIVER", "MESA_LOADER_DRIVER_OVERRIDE", NULL };

static void tell_of_no_display(struct info_display *display, bool exists) {
	snprintf(display->why, sizeof(display->why), "%s (EGL error 0x%x)",
		exists ? "its driver does not start; with EGL_LOG_LEVEL=debug Mesa says why"
		       : "there is no such display",
		(unsigned)egl.GetError());
	info_append_variables(display->why, driver_variables);
}

static void open_display(struct kept *kept, EGLDisplay handle, struct info_display *display) {
	if (handle == EGL_NO_DISPLAY || !egl.Initialize(handle, NULL, NULL)) {
		tell_of_no_display(display, handle != EGL_NO_DISPLAY);
		return;
	}
	kept->display = handle;
	look_at_strings(kept, display);
	const struct stile_egl_info create = {
		.size = sizeof(create),
		.get_proc_address = egl.GetProcAddress,
		.display = handle,
	};
	struct stile_report why = { .size = sizeof(why) };
	display->works = stile_egl_create(&create, &why, &kept->stile) == 0;
	snprintf(display->why, sizeof(display->why), "%s", why.text);
}

static void look_at_platform(struct info *info, const char *name, EGLenum platform, void *native) {
	struct kept *kept = calloc(1, sizeof(*kept));
	if (kept == NULL || info->display_count == INFO_DISPLAYS) {
		free(kept);
		return;
	}
	struct info_display *display = &info->displays[info->display_count++];
	display->handle = kept;
	snprintf(display->name, sizeof(display->name), "%s", name);
	char what[INFO_NAME * 2];
	snprintf(what, sizeof(what), "EGL's display %s", name);
	if (!guard_begin(what, display->why)) {
		info_append_variables(display->why, driver_variables);
		return;
	}
	open_display(kept, egl.GetPlatformDisplay(platform, native, NULL), display);
	if (display->works) {
		add_party(info, display, kept);
	}
	guard_end();
}

/* ---- All of it ----------------------------------------------------------------------------- */

static bool open_library(struct info *info) {
	const char *missing = NULL;
	/* It stays: drivers do not like to be unloaded. */
	void *library = dlopen("libEGL.so.1", RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		snprintf(info->egl_why, sizeof(info->egl_why),
			"no EGL: %s. Debian has it in libegl1", dlerror());
		return false;
	}
	*(void **)&egl.GetProcAddress = dlsym(library, "eglGetProcAddress");
	if (egl.GetProcAddress == NULL) {
		missing = "eglGetProcAddress";
	}
#define FIND(name, type) \
	egl.name = missing != NULL ? NULL : (type)egl.GetProcAddress("egl" #name); \
	missing = missing == NULL && egl.name == NULL ? "egl" #name : missing
	FIND(GetError, PFNEGLGETERRORPROC);
	FIND(GetPlatformDisplay, PFNEGLGETPLATFORMDISPLAYPROC);
	FIND(Initialize, PFNEGLINITIALIZEPROC);
	FIND(QueryString, PFNEGLQUERYSTRINGPROC);
	FIND(Terminate, PFNEGLTERMINATEPROC);
#undef FIND
	if (missing != NULL) {
		snprintf(info->egl_why, sizeof(info->egl_why),
			"libEGL.so.1 has no %s: EGL 1.5 is needed", missing);
	}
	return missing == NULL;
}

static void look_at_devices(struct info *info) {
	EGLDeviceEXT devices[INFO_DISPLAYS];
	EGLint count = 0;
	egl.QueryDevices = (PFNEGLQUERYDEVICESEXTPROC)egl.GetProcAddress("eglQueryDevicesEXT");
	if (egl.QueryDevices == NULL || !egl.QueryDevices(INFO_DISPLAYS, devices, &count)) {
		return;
	}
	for (EGLint i = 0; i < count; i++) {
		char name[INFO_NAME];
		snprintf(name, sizeof(name), "device %d", i);
		look_at_platform(info, name, EGL_PLATFORM_DEVICE_EXT, devices[i]);
	}
}

static void look_at_gbm(struct info *info) {
	for (size_t i = 0; i < info->node_count; i++) {
		const struct info_drm *kept = info->nodes[i].handle;
		if (kept->gbm != NULL) {
			char name[INFO_NAME];
			const char *path = info->nodes[i].render[0] != '\0'
				? info->nodes[i].render
				: info->nodes[i].primary;
			snprintf(name, sizeof(name), "gbm %.32s", strrchr(path, '/') + 1);
			look_at_platform(info, name, EGL_PLATFORM_GBM_MESA, kept->gbm);
		}
	}
}

/* Without a driver EGL itself has no platform, nor any other extension. */
static void tell_of_none(struct info *info, const char *client) {
	static const char *const variables[] = { "__EGL_VENDOR_LIBRARY_FILENAMES",
		"__EGL_VENDOR_LIBRARY_DIRS", NULL };
	if (client != NULL && strstr(client, "_platform_") != NULL) {
		snprintf(info->egl_why, sizeof(info->egl_why),
			"it has none of the platforms that need no window: surfaceless, device, gbm");
		return;
	}
	snprintf(info->egl_why, sizeof(info->egl_why),
		"EGL finds no driver that can be loaded, as files in /usr/share/glvnd/egl_vendor.d "
		"describe them. Debian has Mesa's, of which one needs no GPU, in libegl-mesa0");
	info_append_variables(info->egl_why, variables);
}

void info_look_at_egl(struct info *info) {
	/* What drivers try in vain is told here, not by them. */
	setenv("EGL_LOG_LEVEL", "fatal", 0);
	if (!open_library(info)) {
		return;
	}
	const char *client = egl.QueryString(EGL_NO_DISPLAY, EGL_EXTENSIONS);
	if (has_name(client, "EGL_MESA_platform_surfaceless")) {
		look_at_platform(
			info, "surfaceless", EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY);
	}
	if (has_name(client, "EGL_EXT_device_enumeration") &&
		has_name(client, "EGL_EXT_platform_device")) {
		look_at_devices(info);
	}
	if (has_name(client, "EGL_MESA_platform_gbm") || has_name(client, "EGL_KHR_platform_gbm")) {
		look_at_gbm(info);
	}
	if (info->display_count == 0) {
		tell_of_none(info, client);
	}
}

void info_finish_egl(struct info *info) {
	for (size_t i = 0; i < info->display_count; i++) {
		struct kept *kept = info->displays[i].handle;
		stile_egl_destroy(kept->stile);
		if (kept->display != EGL_NO_DISPLAY) {
			egl.Terminate(kept->display);
		}
		free(kept);
	}
}
