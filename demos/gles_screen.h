/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_GLES_SCREEN_H
#define DEMOS_GLES_SCREEN_H

#include <EGL/egl.h>
#include <GLES3/gl3.h>

#include "demos/frames.h"

/**
 * In place of a window, where frames are drawn side by side: a sheet of them. Nothing here knows of Stile. All calls
 * with the same context current.
 */
struct gles_screen {
	GLuint color;
	GLuint framebuffer;
	GLuint program;
	GLint corner;
};

/** The fragment shader has a `uniform ivec2 corner`, where the frame begins. 0 or -EIO, said on stderr. */
int gles_screen_init(struct gles_screen *screen, const char *fragment_source);
void gles_screen_finish(struct gles_screen *screen);

/** Draw a frame into its place, from the textures that are bound. */
void gles_screen_draw(const struct gles_screen *screen, unsigned frame);

/** Wait, and read the sheet. 0 or -EIO: something went wrong since the beginning. */
int gles_screen_read(const struct gles_screen *screen, struct picture *sheet);

/** Bind a texture that has an EGLImage's memory. */
void gles_screen_bind(GLenum unit, GLenum target, GLuint texture, EGLImage image);

#endif
