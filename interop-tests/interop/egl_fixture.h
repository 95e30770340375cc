/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_EGL_FIXTURE_H
#define INTEROP_EGL_FIXTURE_H

#include <stile/egl.h>

#include "interop-tests/support/fake_egl.h"

/* What tests on an EGL display that is not there begin and end with. */

extern struct stile_device *device;
extern struct stile_egl *egl; /* of the fake; logs by note_log() */

void start(const struct fake_egl_traits *traits);
/** A new fake and adapter: what is left of those before shows. `device` stays. */
void restart(const struct fake_egl_traits *traits);
void stop(void);

#endif
