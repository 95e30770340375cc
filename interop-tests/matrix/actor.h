/* SPDX-License-Identifier: MIT */
#ifndef MATRIX_ACTOR_H
#define MATRIX_ACTOR_H

#include <stile/access.h>

#include "demos/gles_drawer.h"
#include "demos/vulkan_drawer.h"
#include "interop-tests/interop/gate.h"
#include "interop-tests/interop/gl_hold.h"
#include "interop-tests/interop/gles_sampler.h"
#include "interop-tests/interop/vulkan_sampler.h"
#include "interop-tests/matrix/sheet.h"
#include "interop-tests/matrix/vulkan_painter.h"

/*
 * Who paints a picture, and who looks at it. What fails that should not ends the program; what is refused has a
 * reason.
 */

/** Where one side works: what it has of each API, opened once. Nothing in it is shared with the other side's. */
struct workshop {
	struct stile_device *device; /* the software GPU */
	struct vulkan_drawer vulkan;
	struct vulkan_painter vulkan_painter;
	struct vulkan_sampler vulkan_sampler;
	struct gles_drawer gles; /* and what follows: opened when first used */
	GLuint gles_painter;     /* a program */
	struct gles_sampler gles_sampler;
	/* Two in one process have displays of different platforms: what one draws would hold up the other. */
	bool is_surfaceless;
};

/** A sheet that is being painted. */
struct painting {
	const struct sheet *sheet;
	struct stile_image *image; /* the sheet is for its first corner; zeroed; borrowed */
	/** Nothing is painted before it is opened. */
	struct gate gate;
	enum table_way way;
	char why[768];

	/* What the producer needs until the end. */
	struct stile_image *parts[SHEET_PLANES]; /* as actor_take_apart() makes them */
	struct stile_vulkan_image *vulkan[SHEET_PLANES];
	struct gles_target gles[SHEET_PLANES];
	struct stile_image *hold_image;
	struct gl_hold hold;
	uint8_t *pixels[SHEET_PLANES];
};

struct producer {
	const char *name;
	/**
	 * Submit what paints the sheet once the gate is open, in an access of the image. False: it does not take the
	 * image, and `why` says so.
	 */
	bool (*begin)(struct workshop *workshop, struct painting *painting);
	/** Give up what is left; the painting is done. NULL: nothing. */
	void (*end)(struct workshop *workshop, struct painting *painting);
};

/** A look at a picture. */
struct look {
	struct stile_image *image; /* borrowed */
	bool waits;                /* for those who painted it */
	/** Called once the consumer has submitted what looks; without waiting, once it has looked. */
	void (*submitted)(void *user);
	void *user;
	struct sight sight;
};

struct consumer {
	const char *name;
	/** False: it does not take the image, `why` says so, and `submitted` was not called. */
	bool (*look)(struct workshop *workshop, struct look *look);
};

extern const struct producer vulkan_draws, vulkan_computes, gles_draws, swgpu_uploads, cpu_writes;
extern const struct consumer vulkan_samples, gles_samples, gles_samples_external, swgpu_copies,
	cpu_reads, kms_shows;

/** The software GPU, and Vulkan if it is wanted; not GLES. */
void workshop_open(struct workshop *workshop, bool has_vulkan, bool is_surfaceless);
/** GLES was closed before. */
void workshop_close(struct workshop *workshop);

/** The context of GLES, made current; opened if it is not open yet. */
void gles_enter(struct workshop *workshop);
/** A context keeps some images until it is destroyed. */
void gles_close(struct workshop *workshop);

/**
 * What an API that draws has to draw to, a part for each plane of the sheet: the image, or, of luma and chroma, images of its
 * planes. False: those there are not.
 */
bool actor_take_apart(struct painting *painting);
void actor_drop_parts(struct painting *painting);

/** Begin to use an image; in `access`. */
void actor_begin(struct stile_image *image, uint32_t usage, struct stile_access *access);
/** End it with the fence of the work, which is consumed. */
void actor_end(struct stile_access *access, struct stile_fence *done);

#endif
