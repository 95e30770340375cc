/* SPDX-License-Identifier: MIT */
/* In place of window.c, where GLFW is not there. */
#include "demos/window.h"

void window_show(const char *title, const struct picture *picture) {
	(void)title;
	(void)picture;
}
