/* SPDX-License-Identifier: MIT */
#ifndef CONFORMANCE_OPENER_H
#define CONFORMANCE_OPENER_H

struct stile_device;

/*
 * The devices that the suite is about, as STILE_TEST_BACKEND says:
 *   NAME or NAME:OPTIONS   a backend of the library; not set: the first one
 *   drm:DRIVER             dumb buffers of a DRM driver, by libstile-drm
 *   gbm:DRIVER             what GBM allocates on it, by libstile-gbm
 */

enum {
	OPENER_TEXT = 768,
	OPENER_MAX = 2, /* devices at a time */
};

/** Is it anything that this build has? Else `why` is a sentence. */
int opener_check(char why[OPENER_TEXT]);

/** Open one more. 0, or -errno and `why` is a sentence. */
int opener_open(struct stile_device **out, char why[OPENER_TEXT]);

/** What stile_device_get_backend() has to say of it. */
const char *opener_get_backend(void);

/** The last error that a device logged since opener_forget_errors(); "" if there was none. */
const char *opener_get_error(void);
void opener_forget_errors(void);

/** The devices and all that was made with them are gone: others may have what they had borrowed. */
void opener_finish(void);

/** Give that up. It is there from the first OPENER_MAX devices on. */
void opener_close(void);

#endif
