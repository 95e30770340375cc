/* SPDX-License-Identifier: MIT */
/*
 * Commits that wait for fences which the kernel cannot have: each has a thread, since one that
 * waits, or of which the kernel waits, must not hold up another one's. The fences that it gives are
 * promises of ours, which end as the kernel's do, or with the reason why there are none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <stile/fence.h>

#include "src/drm/commit.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/report.h"

/* ---- Promises ---------------------------------------------------------------------------------- */

/* From now on it is the kernel that has to end them. -ETIMEDOUT: one has expired. */
static int renew_promises(struct stile_drm_held_commit *commit) {
	bool expired = false;
	for (size_t i = 0; i < commit->result_count; i++) {
		stile_fence_set_expiry(commit->results[i].promise, INT64_MAX);
		expired |= stile_fence_is_signaled(commit->results[i].promise);
	}
	return expired ? -ETIMEDOUT : 0;
}

static void break_promises(struct stile_drm_held_commit *commit, int error) {
	for (size_t i = 0; i < commit->result_count; i++) {
		stile_fence_set_error(commit->results[i].promise, error);
		stile_fence_signal(commit->results[i].promise);
	}
}

static void keep_promises(struct stile_drm_held_commit *commit) {
	for (size_t i = 0; i < commit->result_count; i++) {
		result_follow(commit->kms->drm, &commit->results[i]);
	}
	for (size_t i = 0; i < commit->result_count; i++) {
		result_wait(&commit->results[i]);
	}
}

/* ---- Which are held ---------------------------------------------------------------------------- */

static bool has_object(const struct stile_drm_held_commit *commit, uint32_t id) {
	bool found = false;
	for (size_t i = 0; i < commit->target_count; i++) {
		found |= commit->targets[i].object_id == id;
	}
	for (size_t i = 0; i < commit->result_count; i++) {
		found |= commit->results[i].object_id == id;
	}
	return found;
}

static bool overlaps(
	const struct stile_drm_held_commit *held, const struct stile_drm_held_commit *commit) {
	bool found = false;
	for (size_t i = 0; i < commit->target_count; i++) {
		found |= has_object(held, commit->targets[i].object_id);
	}
	for (size_t i = 0; i < commit->result_count; i++) {
		found |= has_object(held, commit->results[i].object_id);
	}
	return found;
}

/* The lock is held. An older picture must not be shown after a newer one. */
static int check_held(const struct stile_drm_held_commit *commit, struct stile_report *why) {
	const struct stile_drm_held_commit *held = commit->kms->held;
	while (held != NULL && !overlaps(held, commit)) {
		held = held->next;
	}
	return held == NULL
		? 0
		: report_refuse(why, -EBUSY, STILE_REASON_CALLER, 0, 0, 0,
			  "a commit for the same plane, CRTC or connector is held: commit "
			  "again when it is submitted");
}

int held_check(const struct stile_drm_held_commit *commit, struct stile_report *why) {
	pthread_mutex_lock(&commit->kms->lock);
	int ret = check_held(commit, why);
	pthread_mutex_unlock(&commit->kms->lock);
	return ret;
}

static void held_remove(struct stile_drm_held_commit *commit) {
	pthread_mutex_lock(&commit->kms->lock);
	struct stile_drm_held_commit **at = &commit->kms->held;
	while (*at != commit) {
		at = &(*at)->next;
	}
	*at = commit->next;
	pthread_mutex_unlock(&commit->kms->lock);
}

/* ---- The thread -------------------------------------------------------------------------------- */

static int held_wait(struct stile_drm_held_commit *commit, struct stile_report *why) {
	int ret = stile_fence_wait_all(
		commit->waits, commit->wait_count, commit->expiry_ns, &commit->cancel);
	if (ret == 0) {
		return 0;
	}
	ret = ret == -EINTR ? -ECANCELED : ret == -ETIME ? -ETIMEDOUT : ret;
	return report_refuse(why, ret, STILE_REASON_CALLER, 0, 0, commit->wait_count,
		"given up while it waited for fences that the kernel cannot have: %s",
		strerror(-ret));
}

static int held_submit(struct stile_drm_held_commit *commit, struct stile_report *why) {
	int ret = renew_promises(commit);
	if (ret < 0) {
		return report_refuse(
			why, ret, STILE_REASON_CALLER, 0, 0, 0, "it was submitted too late");
	}
	ret = commit_submit(commit, why);
	if (ret == -EBUSY && (commit->flags & DRM_MODE_ATOMIC_NONBLOCK) != 0) {
		/* A flip is pending, and nobody waits for this thread: the kernel may wait in it. */
		commit->flags &= ~(uint32_t)DRM_MODE_ATOMIC_NONBLOCK;
		ret = commit_submit(commit, why);
	}
	return ret;
}

static void *held_run(void *arg) {
	struct stile_drm_held_commit *commit = arg;
	struct stile_report why;
	int ret = held_wait(commit, &why);
	if (ret == 0) {
		ret = held_submit(commit, &why);
	}
	held_remove(commit);
	__atomic_store_n(&commit->status, ret < 0 ? ret : 1, __ATOMIC_RELEASE);
	if (ret == 0) {
		keep_promises(commit);
		return NULL;
	}
	if (ret != -ECANCELED || !stile_cancel_is_raised(&commit->cancel)) {
		drm_log(commit->kms->drm, STILE_LOG_ERROR, "held commit: %s", why.text);
	}
	break_promises(commit, ret);
	return NULL;
}

static int held_launch(struct stile_drm_held_commit *commit, struct stile_report *why) {
	struct stile_drm_kms *kms = commit->kms;
	pthread_mutex_lock(&kms->lock);
	int ret = check_held(commit, why);
	if (ret == 0) {
		commit->next = kms->held;
		kms->held = commit;
	}
	pthread_mutex_unlock(&kms->lock);
	if (ret < 0) {
		return ret;
	}
	ret = os_thread_start(&commit->thread, "stile-drm-hold", held_run, commit);
	if (ret < 0) {
		held_remove(commit);
		return report_refuse(
			why, ret, STILE_REASON_RESOURCES, 0, 0, 0, "no thread: %s", strerror(-ret));
	}
	return 0;
}

int held_start(struct stile_drm_held_commit *commit, struct stile_report *why) {
	/* What cannot be shown is refused now, while somebody listens. */
	int ret = commit_test(commit, why);
	return ret == 0 ? held_launch(commit, why) : ret;
}

/* ---- The owner's side -------------------------------------------------------------------------- */

int stile_drm_held_commit_get_status(const struct stile_drm_held_commit *held) {
	return __atomic_load_n(&held->status, __ATOMIC_ACQUIRE);
}

void stile_drm_held_commit_destroy(struct stile_drm_held_commit *held) {
	if (held == NULL) {
		return;
	}
	stile_cancel_raise(&held->cancel);
	pthread_join(held->thread, NULL);
	commit_free(held);
}
