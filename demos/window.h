/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_WINDOW_H
#define DEMOS_WINDOW_H

#include "demos/picture.h"

/**
 * Where there is a display, and the demos were built with GLFW: show a picture in a window, until that is closed, a key
 * is pressed or SIGINT or SIGTERM comes. Else return at once. A display that cannot be used is said on stderr, and no
 * failure: the picture is in its file.
 */
void window_show(const char *title, const struct picture *picture);

#endif
