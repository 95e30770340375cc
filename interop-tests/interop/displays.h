/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_DISPLAYS_H
#define INTEROP_DISPLAYS_H

#include <EGL/egl.h>

#include "interop-tests/interop/compositor.h"

struct gbm_device;

/** An EGLDisplay as applications get theirs, and what it stands on. */
struct display {
	EGLDisplay egl; /* not initialised */
	int node;       /* of GBM's; -1: it is not GBM's */
	struct gbm_device *gbm;
	struct compositor compositor; /* client NULL: it is not Wayland's */
};

/**
 * Its kind, as STILE_TEST_DISPLAY names it: "surfaceless", "device", "wayland" or "wayland:SHELL", which is
 * weston's, "gbm:DRIVER", which is that of a DRM node, or "gbm" on no DRM node at all: Mesa's software driver does
 * without.
 */
const char *display_get_kind(void);

/** NULL: it is open; else why it cannot be on this machine. */
const char *display_open(struct display *display);

/** After eglTerminate(). */
void display_close(struct display *display);

#endif
