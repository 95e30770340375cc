/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_EGL_CALLS_H
#define INTEROP_EGL_CALLS_H

#include <stile/egl.h>
#include <stile/egl_sync.h>
#include <stile/stile.h>

/** What calls of stile-egl are made on; a context of the display is current in the thread that has it. */
struct egl_world {
	struct stile_egl_info info;
	struct stile_egl *egl; /* its words go to egl_world_note(), with the world */
	struct stile_device *device;
	struct stile_image *image; /* RGB, of the device */
	struct stile_image *yuv;
	EGLSync sync; /* of GL work; flushed */
	struct stile_egl_semaphore_info semaphore_info;
	struct stile_egl_semaphore *semaphore; /* unsignalled; NULL: GL has none */
	void (*bind_other)(bool);  /* a context of another display is current, or none any more */
	struct stile_fence *fence; /* pending; made by egl_world_check() */
	EGLImage own;              /* an EGLImage, or none; made by it, too */
	struct stile_report report;
	char logged[1024];
};

void egl_world_note(void *world, enum stile_log_level level, const char *text);

/**
 * Make every call that the map of stile-egl lists: with the context, from a thread without one, and from a thread
 * with another display's. What needs one has to be refused there with a sentence, all else has to be as before.
 */
void egl_world_check(struct egl_world *world);

#endif
