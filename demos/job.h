/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_JOB_H
#define DEMOS_JOB_H

#include <stile/stile.h>

#include "demos/hop.h"
#include "demos/picture.h"
#include "demos/proof.h"

enum { HOP_UPLOAD, HOP_VULKAN, HOP_GLES, HOP_CPU, HOP_COUNT };

enum { EVIDENCE_COUNT = 4 };

enum { REFUSAL = 768 }; /* bytes, as a report has for its text */

/**
 * The main job: a picture goes CPU → swgpu → Vulkan → GLES → CPU. Where GLES cannot have the memory,
 * `refusal` says why, and the CPU reads what Vulkan drew.
 */
struct job {
	const struct picture *picture;
	struct stile_device *device; /* swgpu, whose queue uploads */
	struct stile_device *memory; /* has the images; may be the same */
	bool is_kernel;              /* they are dma-bufs of the kernel */
	struct stile_image *a;       /* swgpu uploads into it, Vulkan samples it */
	struct stile_image *b;       /* Vulkan draws into it, GLES samples it */
	struct stile_image *c;       /* GLES draws into it, the CPU reads it */
	struct hop hops[HOP_COUNT];
	struct evidence evidence[EVIDENCE_COUNT];
	bool surfaceless;      /* GLES on that platform; set before the job is run */
	char refusal[REFUSAL]; /* "": none */
	struct picture result;
};

/** How long anything may take before it counts as hanging. */
int64_t job_deadline(void);
int64_t job_now(void);

/**
 * The devices and the images: in memory of BACKEND or BACKEND:OPTIONS, or of "best", what
 * stile_device_open_best() takes; NULL: of swgpu. 0 or -errno, said on stderr. job_finish() after a
 * failure, too.
 */
int job_init(struct job *job, const struct picture *picture, const char *memory);
void job_finish(struct job *job);

/*
 * The hops. Each comes after all that uses its images already, and whoever uses them next comes
 * after it: who that is no hop knows of another.
 */

/** Have swgpu copy the picture into A. Does not wait. */
int job_upload(struct job *job);

/** Have Vulkan or GLES, the one that is not NULL, draw an image into another one. */
int job_draw(struct hop *hop, struct vulkan_drawer *vulkan, struct gles_drawer *gles,
	struct stile_image *from, struct stile_image *to);

/** Wait until the last image is drawn, and read it into job->result. -EIO if that drawing failed. */
int job_read(struct job *job);

/** The largest difference between the result and the same drawing on the CPU. */
int job_compare(struct job *job, unsigned *largest);

/* run.c */
/** Have drawn B from A by Vulkan and C from B by GLES, in this process or with a second one. */
int job_run_here(struct job *job);
int job_run_with_peer(struct job *job);

/** What the second process does: GLES, for whoever is at the other end of the socket. */
int job_run_peer(int socket, bool surfaceless);

#endif
