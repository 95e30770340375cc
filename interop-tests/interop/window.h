/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_WINDOW_H
#define INTEROP_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include <EGL/egl.h>

struct wl_display;

/** A window on a Wayland display, for EGL to draw into. What it is made of is the display's. */
struct window {
	struct wl_display *display;
	struct wl_registry *registry;
	struct wl_compositor *compositor;
	struct xdg_wm_base *shell;
	struct wl_surface *surface;
	struct xdg_surface *role;
	struct xdg_toplevel *toplevel;
	struct wl_egl_window *egl;
	bool is_configured; /* the compositor has said how it is to be shown */
	bool is_shown;      /* a frame that was asked about is on the screen */
};

/** As large as that, whatever the compositor would like. Ready to be drawn into; false: it has no such windows. */
bool window_init(
	struct window *window, struct wl_display *display, uint32_t width, uint32_t height);

/** Ask about the next frame, which eglSwapBuffers() gives the compositor. */
void window_ask(struct window *window);

/** Wait until what was asked about is on the screen. False: the connection is over. */
bool window_wait(struct window *window);

/** After the EGLSurface. */
void window_finish(struct window *window);

#endif
