/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_GL_HOLD_H
#define INTEROP_GL_HOLD_H

#include "demos/gles_drawer.h"

/**
 * A gate inside GL: a draw that spins on memory until somebody writes to it, as a real GPU waits on
 * a semaphore in memory. What the context is given after it cannot be executed before.
 */
struct gl_hold {
	struct gles_target target;
	GLuint scratch;
	GLuint framebuffer;
	GLuint program;
};

/** The memory: an image that is not open. */
struct stile_image *gl_hold_create_image(struct stile_device *device);

/** From anywhere, also from another process. */
void gl_hold_open(void *image);

/** Submit the spinning draw; does not wait. */
void gl_hold_begin(struct gl_hold *hold, struct gles_drawer *drawer, struct stile_image *image);
void gl_hold_finish(struct gl_hold *hold);

#endif
