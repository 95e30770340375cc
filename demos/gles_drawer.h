/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_GLES_DRAWER_H
#define DEMOS_GLES_DRAWER_H

#include <GLES3/gl3.h>

#include <stile/egl.h>

#include "demos/transform.h"

/** One of the two images that a drawer works with. */
struct gles_target {
	struct stile_egl_image *image;
	GLuint texture;
	GLuint framebuffer;
};

/**
 * An EGL and GLES application in small, without a window: draws one image into another. All calls
 * come from one thread, whose context is the drawer's.
 */
struct gles_drawer {
	EGLDisplay display;
	EGLContext context;
	struct stile_egl *stile;
	GLuint program;
	GLint rows;
	GLint flip;
	struct gles_target from;
	struct gles_target to;
	GLsizei width;
	GLsizei height;

	struct stile_report refusal; /* why EGL did not take what it was given; error 0: it did */
};

/**
 * Everything but the images. Functions return 0 or -errno and say on stderr what went wrong, but for
 * what Stile reports, which is in `refusal`; after a failure, too, gles_drawer_finish() cleans up.
 */
int gles_drawer_init(struct gles_drawer *drawer);
/** The same on Mesa's surfaceless platform, which chooses a device by itself. */
int gles_drawer_init_surfaceless(struct gles_drawer *drawer);
/** The same on any display, which may not be initialised yet; it is terminated at the end. */
int gles_drawer_init_on(struct gles_drawer *drawer, EGLDisplay display);
void gles_drawer_finish(struct gles_drawer *drawer);

/** That of the EGL device that draws on the CPU; EGL_NO_DISPLAY: there is none. */
EGLDisplay gles_display_find_software(void);

/** The vertex shader for one triangle that covers everything: three vertices, no buffer. */
extern const char gles_fullscreen_vertex[];

/** A program of these two; 0 if they do not fit, said on stderr. */
GLuint gles_program_create(const char *vertex_text, const char *fragment_text);

/** Import the two images; of the same extent, ABGR8888. */
int gles_drawer_set_images(
	struct gles_drawer *drawer, struct stile_image *from, struct stile_image *to);

/** Draw `from` into `to`. Does not wait: see stile_egl_wait_fence(). `done` is a new reference. */
int gles_drawer_draw(
	struct gles_drawer *drawer, const struct transform *transform, struct stile_fence **done);

/** Read the first pixel of a target as GL sees it. Waits. */
int gles_drawer_read_pixel(
	struct gles_drawer *drawer, const struct gles_target *target, uint8_t rgba[4]);

#endif
