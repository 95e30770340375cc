/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/window.h"

#include <string.h>

#include <wayland-client.h>
#include <wayland-egl.h>

#include "xdg-shell.h"

static void answer_ping(void *user, struct xdg_wm_base *shell, uint32_t serial) {
	(void)user;
	xdg_wm_base_pong(shell, serial);
}

static const struct xdg_wm_base_listener shell_listener = { .ping = answer_ping };

static void bind_global(void *user, struct wl_registry *registry, uint32_t name,
	const char *interface, uint32_t version) {
	struct window *window = user;
	(void)version;
	if (strcmp(interface, wl_compositor_interface.name) == 0) {
		window->compositor = wl_registry_bind(registry, name, &wl_compositor_interface, 1);
	} else if (strcmp(interface, xdg_wm_base_interface.name) == 0) {
		window->shell = wl_registry_bind(registry, name, &xdg_wm_base_interface, 1);
		xdg_wm_base_add_listener(window->shell, &shell_listener, NULL);
	}
}

static void forget_global(void *user, struct wl_registry *registry, uint32_t name) {
	(void)user, (void)registry, (void)name;
}

static const struct wl_registry_listener registry_listener = { bind_global, forget_global };

static void acknowledge(void *user, struct xdg_surface *role, uint32_t serial) {
	struct window *window = user;
	xdg_surface_ack_configure(role, serial);
	window->is_configured = true;
}

static const struct xdg_surface_listener role_listener = { acknowledge };

/* Its size is its own affair. */
static void hear_size(void *user, struct xdg_toplevel *toplevel, int32_t width, int32_t height,
	struct wl_array *states) {
	(void)user, (void)toplevel, (void)width, (void)height, (void)states;
}

static void hear_close(void *user, struct xdg_toplevel *toplevel) {
	(void)user, (void)toplevel;
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure = hear_size,
	.close = hear_close,
};

static bool wait_for(struct window *window, const bool *flag) {
	while (!*flag) {
		if (wl_display_dispatch(window->display) < 0) {
			return false;
		}
	}
	return true;
}

bool window_init(
	struct window *window, struct wl_display *display, uint32_t width, uint32_t height) {
	*window = (struct window){ .display = display };
	window->registry = wl_display_get_registry(display);
	wl_registry_add_listener(window->registry, &registry_listener, window);
	if (wl_display_roundtrip(display) < 0 || window->compositor == NULL ||
		window->shell == NULL) {
		return false;
	}
	window->surface = wl_compositor_create_surface(window->compositor);
	window->role = xdg_wm_base_get_xdg_surface(window->shell, window->surface);
	xdg_surface_add_listener(window->role, &role_listener, window);
	window->toplevel = xdg_surface_get_toplevel(window->role);
	xdg_toplevel_add_listener(window->toplevel, &toplevel_listener, window);
	wl_surface_commit(window->surface);
	window->egl = wl_egl_window_create(window->surface, (int)width, (int)height);
	return window->egl != NULL && wait_for(window, &window->is_configured);
}

static void note_frame(void *user, struct wl_callback *callback, uint32_t time_ms) {
	struct window *window = user;
	(void)time_ms;
	wl_callback_destroy(callback);
	window->is_shown = true;
}

static const struct wl_callback_listener frame_listener = { note_frame };

void window_ask(struct window *window) {
	window->is_shown = false;
	wl_callback_add_listener(wl_surface_frame(window->surface), &frame_listener, window);
}

bool window_wait(struct window *window) {
	return wait_for(window, &window->is_shown);
}

void window_finish(struct window *window) {
	wl_egl_window_destroy(window->egl);
	xdg_toplevel_destroy(window->toplevel);
	xdg_surface_destroy(window->role);
	wl_surface_destroy(window->surface);
	xdg_wm_base_destroy(window->shell);
	wl_compositor_destroy(window->compositor);
	wl_registry_destroy(window->registry);
}
