/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_COMPOSITOR_H
#define INTEROP_COMPOSITOR_H

#include <sys/types.h>

struct wl_display;

/**
 * A Wayland compositor of one's own: a headless weston, which needs neither a seat nor a GPU nor D-Bus. It has one
 * client, by a socket that has no name, and ends when that one is gone: also if the test crashes.
 */
struct compositor {
	pid_t pid;
	char folder[64];           /* its XDG_RUNTIME_DIR, and what it says */
	struct wl_display *client; /* the connection of its only client */
};

/**
 * Start it. NULL: it answers; else why it does not, and nothing is left.
 *
 * @param shell  one of weston's modules: without a seat, kiosk-shell.so shows no window
 */
const char *compositor_start(struct compositor *compositor, const char *shell);

/** Disconnect, end it, and see that it ended well and left nothing. */
void compositor_stop(struct compositor *compositor);

#endif
