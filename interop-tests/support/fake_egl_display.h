/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_FAKE_EGL_DISPLAY_H
#define SUPPORT_FAKE_EGL_DISPLAY_H

#include "interop-tests/support/fake_egl.h"

/* What the parts of the fake EGL share. All of it under the fakes' lock. */

extern struct fake_egl_state {
	struct fake_egl_traits traits;
	struct fake_queue *queue;
	bool is_signal_unflushed;
} fake_egl;

void fake_egl_check_current(const char *call);

void fake_gl_begin(void);
void fake_gl_end(void);
/** An entry point of GL's; NULL: it is none of those. */
stile_egl_proc fake_gl_find(const char *name);

#endif
