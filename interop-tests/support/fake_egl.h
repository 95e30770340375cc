/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_FAKE_EGL_H
#define SUPPORT_FAKE_EGL_H

#include <stdint.h>
#include <sys/types.h>

#include <EGL/egl.h>
#include <EGL/eglext.h>

#include <stile/egl.h>

#include "interop-tests/support/fake_gpu.h"

/*
 * An EGL display, and GL that does nothing but wait, signal and take memory: whatever the machine has.
 * Complaints, failing calls (codes are those of eglGetError()) and the ledger are fake_gpu.h's. One at a time.
 */

/** A layout of dma-bufs that it lists. */
struct fake_egl_layout {
	uint32_t fourcc;   /* 0: the end of the list; those of one format follow each other */
	uint64_t modifier; /* INVALID: none of this format, which may be LINEAR only */
	bool external_only;
};

/** What it says of the device behind it. */
struct fake_egl_device {
	const char *client; /* extensions without a display; NULL: not even that there are none */
	const char *extensions;       /* the device's own */
	const char *render, *primary; /* paths of its nodes; NULL: it has none */
	bool unknown;                 /* the display does not say which one it is */
};

struct fake_egl_traits {
	bool native_fences;
	bool native_lies;   /* they are over before the work is */
	bool waits_block;   /* eglWaitSync() holds up the calling thread, as llvmpipe's */
	bool dups_block;    /* eglDupNativeFenceFDANDROID() does */
	bool overcounts;    /* it counts more layouts of a format than it tells, as Mesa's */
	bool semaphores;    /* GL_EXT_semaphore_fd */
	bool is_old;        /* GL ES 2 */
	uint8_t uuid;       /* of device and driver, as fake_vulkan.h has it */
	uint8_t others;     /* devices that come before that one */
	bool lists_invalid; /* with each layout of a format, one that has no name */
	const struct fake_egl_layout *layouts; /* NULL: none */
	const struct fake_egl_device *device;  /* NULL: there is nothing to ask for it */
	const char *driver, *vendor;           /* NULL: it does not say */
	const char *version, *extensions;      /* NULL: as the others say */
	const char *const
		*gl_extensions; /* beside what the others say, up to a NULL; may be NULL */
	const char *renderer, *gl_version; /* GL's words; NULL: a fake of GL ES 3 */
	const char *lacks;                 /* an entry point; NULL: none */
};

/** With a context that is current for the calling thread. */
void fake_egl_create(const struct fake_egl_traits *traits);
void fake_egl_destroy(void);
/** Is there a current context, for this thread? */
void fake_egl_set_current(bool current);
/** The same of a context of another display: for a thread that has none of this one's. */
void fake_egl_set_others_current(bool current);

/** What Stile is told of it. */
struct stile_egl_info fake_egl_describe(void);

/** Have GL do nothing more until it is let go. */
void fake_egl_hold(void);
void fake_egl_let_go(void);
/** Is everything done that GL was given? Waits a minute at most. */
bool fake_egl_is_idle(void);
bool fake_egl_becomes_idle(void);

/** What an image is, by all that the display was told. */
struct fake_egl_seen {
	uint32_t width, height, fourcc;
	uint64_t modifier;
	EGLAttrib space, range, horizontal, vertical; /* hints; 0: none */
	uint32_t plane_count;
	struct {
		ino_t file;
		uint64_t offset, pitch;
	} planes[4];
};

struct fake_egl_seen fake_egl_look(EGLImage image);

/** An EGLImage of the application's own is the address of what the display says of it. */
struct fake_egl_own_image {
	EGLint fourcc, plane_count;
	EGLuint64KHR modifiers[4];
	int fds[4]; /* borrowed; -1: it gives none of this plane */
	EGLint pitches[4], offsets[4];
};

/** What the last wait or signal of a GL semaphore was for. */
struct fake_egl_textures {
	uint32_t count;
	const uint32_t *textures, *layouts;
};

struct fake_egl_textures fake_egl_get_textures(void);

/** What a texture in imported memory is, by all that GL was told. */
struct fake_egl_texture {
	bool is_immutable; /* it has got storage */
	int tiling, alpha; /* GL's numbers */
	uint32_t format, width, height;
	uint64_t offset;
	struct {
		ino_t file;
		uint64_t bytes;
		int is_dedicated;
	} memory;
};

struct fake_egl_texture fake_egl_look_at_texture(uint32_t texture);
/** As the application binds and deletes it. */
void fake_egl_bind_texture(uint32_t texture);
uint32_t fake_egl_get_bound(void);
void fake_egl_delete_texture(uint32_t texture);
/** The application's question: what GL tells once. */
uint32_t fake_egl_get_gl_error(void);
/** An error of the application's is pending in GL. */
void fake_egl_set_gl_error(uint32_t error);

/** An EGLSync of the application's: of what GL was given up to here. */
EGLSync fake_egl_sync(bool reusable);
void fake_egl_destroy_sync(EGLSync sync);

#endif
