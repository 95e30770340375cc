/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_JOB_H
#define DEMOS_JOB_H

#include <stile/stile.h>

#include "demos/picture.h"
#include "demos/proof.h"

/** One hand-over of the picture. */
struct hop {
	const char *from;
	const char *to;
	const char *memory;     /* how the picture crossed */
	const char *carrier;    /* what the fence was on the way */
	struct stile_path path; /* how it crossed */
	int64_t duration_ns;    /* until the work behind it was submitted */
};

enum { HOP_UPLOAD, HOP_VULKAN, HOP_GLES, HOP_CPU, HOP_COUNT };

enum { EVIDENCE_COUNT = 4 };

/** The main job: a picture goes CPU → swgpu → Vulkan → GLES → CPU. */
struct job {
	const struct picture *picture;
	struct stile_device *device;
	struct stile_image *a; /* swgpu uploads into it, Vulkan samples it */
	struct stile_image *b; /* Vulkan draws into it, GLES samples it */
	struct stile_image *c; /* GLES draws into it, the CPU reads it */
	struct hop hops[HOP_COUNT];
	struct evidence evidence[EVIDENCE_COUNT];
	struct picture result;
};

/** How long anything may take before it counts as hanging. */
int64_t job_deadline(void);
int64_t job_now(void);

/** The device and the images. 0 or -errno, said on stderr. job_finish() after a failure, too. */
int job_init(struct job *job, const struct picture *picture);
void job_finish(struct job *job);

/** Have swgpu copy the picture into A. `done` is a new reference. */
int job_upload(struct job *job, struct stile_fence **done);

/**
 * Wait for `done`, which is consumed and which `carrier` describes, and read C into job->result.
 * -EIO if the work failed.
 */
int job_read(struct job *job, const char *carrier, struct stile_fence *done);

/** The largest difference between the result and the same drawing on the CPU. */
int job_compare(struct job *job, unsigned *largest);

/* run.c */
/** Have drawn B from A by Vulkan and C from B by GLES, in this process or with a second one. */
int job_run_here(struct job *job);
int job_run_with_peer(struct job *job);

/** What the second process does: GLES, for whoever is at the other end of the socket. */
int job_run_peer(int socket);

#endif
