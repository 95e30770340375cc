/* SPDX-License-Identifier: MIT */
/* The display as a party of negotiations, in its own words. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <drm_fourcc.h>

#include "src/egl/egl.h"
#include "src/party_data.h"
#include "src/report.h"

/* ---- Who it is ----------------------------------------------------------------------------- */

/* What EGL says of the device behind the display. NULL: nothing. */
struct device {
	EGLDeviceEXT handle;
	PFNEGLQUERYDEVICESTRINGEXTPROC query;
	const char *extensions;
};

static stile_egl_proc find(const struct stile_egl *egl, const char *name) {
	return egl->info.get_proc_address(name);
}

static struct device find_device(const struct stile_egl *egl) {
	struct device device = { .extensions = NULL };
	const char *client = egl->egl.QueryString(EGL_NO_DISPLAY, EGL_EXTENSIONS);
	PFNEGLQUERYDISPLAYATTRIBEXTPROC query_display =
		(PFNEGLQUERYDISPLAYATTRIBEXTPROC)find(egl, "eglQueryDisplayAttribEXT");
	device.query = (PFNEGLQUERYDEVICESTRINGEXTPROC)find(egl, "eglQueryDeviceStringEXT");
	EGLAttrib handle = 0;
	if (client == NULL ||
		(!egl_list_has(client, "EGL_EXT_device_query") &&
			!egl_list_has(client, "EGL_EXT_device_base")) ||
		query_display == NULL || device.query == NULL ||
		!query_display(egl->info.display, EGL_DEVICE_EXT, &handle) || handle == 0) {
		return device;
	}
	device.handle = (EGLDeviceEXT)handle;
	device.extensions = device.query(device.handle, EGL_EXTENSIONS);
	return device;
}

/* NULL: it does not say. */
static const char *ask(const struct device *device, const char *extension, EGLint what) {
	return device->extensions != NULL && egl_list_has(device->extensions, extension)
		? device->query(device->handle, what)
		: NULL;
}

static uint64_t get_rdev(const char *path) {
	struct stat st;
	return path != NULL && stat(path, &st) == 0 && S_ISCHR(st.st_mode) ? st.st_rdev : 0;
}

/* The driver, as Mesa calls it, or at least who made it. */
static const char *get_driver(const struct stile_egl *egl) {
	PFNEGLGETDISPLAYDRIVERNAMEPROC get_name =
		(PFNEGLGETDISPLAYDRIVERNAMEPROC)find(egl, "eglGetDisplayDriverName");
	const char *name = NULL;
	if (egl_has_extension(egl, "EGL_MESA_query_driver") && get_name != NULL) {
		name = get_name(egl->info.display);
	}
	if (name == NULL) {
		name = egl->egl.QueryString(egl->info.display, EGL_VENDOR);
	}
	return name == NULL ? "unknown" : name;
}

static void identify(
	const struct stile_egl *egl, char *name, size_t size, struct stile_party *said) {
	const struct device device = find_device(egl);
	snprintf(name, size, "EGL (%.48s)", get_driver(egl));
	said->name = name;
	said->device = get_rdev(
		ask(&device, "EGL_EXT_device_drm_render_node", EGL_DRM_RENDER_NODE_FILE_EXT));
	if (said->device == 0) {
		said->device =
			get_rdev(ask(&device, "EGL_EXT_device_drm", EGL_DRM_DEVICE_FILE_EXT));
	}
	/*
	 * Software drivers take files in memory for dma-bufs, drivers of hardware do not; nor does Mesa 25 where it
	 * draws in the memory of a DRM node, which it need not name: GBM's.
	 */
	said->memory = STILE_MEMORY_DMA_BUF;
	if (device.extensions != NULL && said->device == 0 &&
		strcmp(get_driver(egl), "kms_swrast") != 0 &&
		egl_list_has(device.extensions, "EGL_MESA_device_software")) {
		said->memory |= STILE_MEMORY_MEMFD;
	}
}

/* ---- What it takes ------------------------------------------------------------------------- */

static int add_format(struct stile_egl *egl, uint32_t fourcc, struct party_layouts *layouts) {
	struct egl_layouts listed;
	int ret = egl_list_layouts(egl, fourcc, &listed);
	if (ret < 0) {
		return ret;
	}
	if (listed.count == 0) {
		party_add(layouts, fourcc, NULL);
	}
	for (uint32_t i = 0; i < listed.count; i++) {
		/* INVALID names no layout. */
		if (listed.modifiers[i] != DRM_FORMAT_MOD_INVALID) {
			party_add(layouts, fourcc,
				&(struct stile_party_modifier){
					.modifier = listed.modifiers[i],
					.flags = listed.external_only[i] ? STILE_PARTY_EXTERNAL_ONLY
									 : 0,
				});
		}
	}
	egl_layouts_finish(&listed);
	return 0;
}

static int add_formats(struct stile_egl *egl, struct party_layouts *layouts) {
	uint32_t *fourccs, count;
	int ret = egl_list_formats(egl, &fourccs, &count);
	for (uint32_t i = 0; i < count && ret == 0; i++) {
		/* Of what is not known here nobody makes an image. */
		if (stile_format_get(fourccs[i]) != NULL) {
			ret = add_format(egl, fourccs[i], layouts);
		}
	}
	free(fourccs);
	return ret;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static int describe(struct stile_egl *egl, uint32_t usage, struct stile_report *why,
	struct stile_party *party) {
	const uint32_t all = STILE_USAGE_READ | STILE_USAGE_WRITE;
	struct stile_constraints needs = egl_limits;
	char name[64];
	struct stile_party said = {
		.size = sizeof(said),
		.needs = &needs,
		.sync = STILE_SYNC_CPU,
		.flags = STILE_PARTY_UNSAID_IS_LINEAR,
	};
	struct party_layouts layouts = { .failed = false };
	if (usage == 0 || (usage & ~all) != 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0, all, usage,
			"usage 0x%x: at least one of READ (1) and WRITE (2) is needed, and nothing "
			"else",
			usage);
	}
	int ret = egl_need_dma_buf(egl, why);
	if (ret < 0) {
		return ret;
	}
	needs.usage = usage;
	identify(egl, name, sizeof(name), &said);
	if (egl_has_extension(egl, "EGL_ANDROID_native_fence_sync")) {
		said.sync |= STILE_SYNC_FILE;
	}
	if (add_formats(egl, &layouts) < 0) {
		layouts.failed = true;
	}
	return party_make(&layouts, &said, why, party);
}

int stile_egl_get_party(struct stile_egl *egl, uint32_t usage, struct stile_report *report,
	struct stile_party *party) {
	if (party_begin(report, party) < 0) {
		return -EINVAL;
	}
	struct stile_report why;
	int ret = describe(egl, usage, &why, party);
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}
