/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/displays.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <EGL/eglext.h>
#include <gbm.h>

#include "demos/gles_drawer.h"
#include "interop-tests/support/drm_node.h"

const char *display_get_kind(void) {
	const char *kind = getenv("STILE_TEST_DISPLAY");
	return kind == NULL ? "surfaceless" : kind;
}

static const char *open_surfaceless(struct display *display) {
	display->egl =
		eglGetPlatformDisplay(EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY, NULL);
	return NULL;
}

static const char *open_device(struct display *display) {
	display->egl = gles_display_find_software();
	return NULL;
}

static const char *open_wayland(struct display *display, const char *shell) {
	const char *why =
		compositor_start(&display->compositor, shell == NULL ? "desktop-shell.so" : shell);
	if (why == NULL) {
		display->egl = eglGetPlatformDisplay(
			EGL_PLATFORM_WAYLAND_KHR, display->compositor.client, NULL);
	}
	return why;
}

static const char *open_gbm(struct display *display, const char *driver) {
	display->node = driver == NULL ? open("/dev/null", O_RDWR | O_CLOEXEC)
				       : drm_node_open(DRM_NODE_CARD, driver);
	if (display->node < 0) {
		return "there is no node of that driver that may be opened";
	}
	display->gbm = gbm_create_device(display->node);
	if (display->gbm == NULL) {
		return "GBM does not take the node";
	}
	display->egl = eglGetPlatformDisplay(EGL_PLATFORM_GBM_KHR, display->gbm, NULL);
	return NULL;
}

static const char *open_kind(struct display *display, const char *kind) {
	char name[16];
	const char *colon = strchr(kind, ':');
	const char *rest = colon == NULL ? NULL : colon + 1;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(kind, ":"), kind);
	if (strcmp(name, "surfaceless") == 0) {
		return open_surfaceless(display);
	}
	if (strcmp(name, "device") == 0) {
		return open_device(display);
	}
	if (strcmp(name, "wayland") == 0) {
		return open_wayland(display, rest);
	}
	if (strcmp(name, "gbm") == 0) {
		return open_gbm(display, rest);
	}
	return "STILE_TEST_DISPLAY names no kind of display";
}

const char *display_open(struct display *display) {
	*display = (struct display){ .egl = EGL_NO_DISPLAY, .node = -1 };
	const char *why = open_kind(display, display_get_kind());
	if (why == NULL && display->egl == EGL_NO_DISPLAY) {
		why = "EGL has no display of that kind";
	}
	if (why != NULL) {
		display_close(display);
	}
	return why;
}

void display_close(struct display *display) {
	if (display->compositor.client != NULL) {
		compositor_stop(&display->compositor);
	}
	if (display->gbm != NULL) {
		gbm_device_destroy(display->gbm);
	}
	if (display->node >= 0) {
		close(display->node);
	}
}
