/* SPDX-License-Identifier: MIT */
#ifndef SRC_DRM_COMMIT_H
#define SRC_DRM_COMMIT_H

#include <pthread.h>

#include <stile/fence.h>
#include <stile/report.h>
#include <stile/wait.h>

#include "src/drm/kms.h"

/* A plane, or a connector for writeback, with its framebuffer. */
struct commit_target {
	uint32_t object_id;
	uint32_t fb_property;
	uint32_t in_fence_property; /* 0: it cannot be told of fences */
	uint32_t fb_id;
	struct stile_fence **fences; /* of all that the commit has references on */
	size_t fence_count;
	bool exported; /* what it waits for is in in_fence, which is -1 if that is nothing */
	int in_fence;
};

/* As a fence that depends on a program, and says nothing else. */
#define COMMIT_LIMIT_NS INT64_C(10000000000)

/* A fence that the kernel makes: of a CRTC, or of a connector for writeback. */
struct commit_result {
	uint32_t object_id;
	uint32_t property;
	int32_t fd;                     /* the kernel's answer, -1 before */
	struct stile_fence *promise;    /* referenced */
	struct stile_fence *fence;      /* the kernel's, once it is imported; referenced */
	struct stile_callback callback; /* on that, which ends the promise */
};

struct stile_drm_held_commit {
	struct stile_drm_kms *kms; /* outlives it */
	drmModeAtomicReq *request; /* a copy */
	uint32_t flags;
	void *event_data;
	int64_t expiry_ns;
	struct commit_target *targets;
	size_t target_count;
	struct commit_result *results;
	size_t result_count;
	struct stile_fence **fences; /* referenced */
	size_t fence_count;
	struct stile_fence **waits; /* some of them: what somebody here waits for */
	size_t wait_count;

	/* Of those that are held: */
	pthread_t thread;
	struct stile_cancel cancel;
	int status;                         /* as stile_drm_held_commit_get_status(); atomic */
	struct stile_drm_held_commit *next; /* in kms->held, under its lock */
};

/* ---- commit.c ---- */

void commit_free(struct stile_drm_held_commit *commit);

/** Ask the driver whether it could. 0 or -errno and why. */
int commit_test(struct stile_drm_held_commit *commit, struct stile_report *why);

/** Submit it, with what is still pending of its fences. 0 or -errno and why. */
int commit_submit(struct stile_drm_held_commit *commit, struct stile_report *why);

/* ---- result.c ---- */

/** 0 or -ENOMEM. */
int result_init(
	struct commit_result *result, uint32_t object_id, uint32_t property, int64_t expiry_ns);
void result_finish(struct commit_result *result);

/**
 * The fence of a commit that is on its way, a new reference. Cannot fail: where the kernel's cannot be had,
 * waits for it, for ten seconds at most.
 */
struct stile_fence *result_take(const struct stile_drm *drm, struct commit_result *result);

/** Instead: have the promise end as the kernel's fence, until result_wait(), which is due. */
void result_follow(const struct stile_drm *drm, struct commit_result *result);
/** Until it has ended. */
void result_wait(struct commit_result *result);

/* ---- held.c ---- */

/** 0, or -EBUSY and why: an object of the commit is one of a commit that is held. */
int held_check(const struct stile_drm_held_commit *commit, struct stile_report *why);

/** Have a thread submit it. 0, with promises as results, or -errno and why. */
int held_start(struct stile_drm_held_commit *commit, struct stile_report *why);

#endif
