/* SPDX-License-Identifier: MIT */
/*
 * An atomic commit with images and fences. What the kernel knows of the fences goes to the kernel, what
 * it cannot know is waited for here or by a thread (held.c), and its own fences come back.
 */
#include "src/drm/commit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xf86drm.h>

#include <stile/access.h>
#include <stile/fence.h>
#include <stile/graph.h>
#include <stile/merge.h>

#include "src/macros.h"
#include "src/os.h"
#include "src/path.h"
#include "src/report.h"

#define KNOWN_FLAGS \
	((uint32_t)(DRM_MODE_PAGE_FLIP_EVENT | DRM_MODE_PAGE_FLIP_ASYNC | \
		DRM_MODE_ATOMIC_TEST_ONLY | DRM_MODE_ATOMIC_NONBLOCK | \
		DRM_MODE_ATOMIC_ALLOW_MODESET))

static int refuse_caller(struct stile_report *why, const char *what) {
	return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0, 0, 0, "%s", what);
}

static int refuse_memory(struct stile_report *why) {
	return report_refuse(why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
}

/* ---- What is asked for ------------------------------------------------------------------------- */

static int check_info(const struct stile_drm_commit_info *info, struct stile_report *why) {
	if ((info->flags & ~KNOWN_FLAGS) != 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_CALLER, 0, KNOWN_FLAGS, info->flags,
			"flags 0x%x: only 0x%x are known", info->flags, KNOWN_FLAGS);
	}
	if (info->expiry_ns < 0) {
		return refuse_caller(why, "the expiry is negative");
	}
	if (!path_policy_is_valid(info->user_fences)) {
		return refuse_caller(why, "user_fences is none of the three choices");
	}
	return 0;
}

static int refuse_object(struct stile_report *why, uint32_t id, const char *kind) {
	return report_refuse(
		why, -ENOENT, STILE_REASON_CALLER, 0, 0, id, "the device has no %s %u", kind, id);
}

static int refuse_property(
	struct stile_report *why, uint32_t id, const char *kind, const char *name) {
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, id,
		"%s %u has no %s: the driver is not atomic, or the open file did not ask for "
		"DRM_CLIENT_CAP_ATOMIC before its planes were looked at",
		kind, id, name);
}

static int check_framebuffer(const struct stile_drm_kms *kms,
	const struct stile_drm_framebuffer *framebuffer, struct stile_report *why) {
	if (framebuffer == NULL || framebuffer->kms != kms) {
		return refuse_caller(why,
			framebuffer == NULL ? "there is no framebuffer"
					    : "the framebuffer is another device's");
	}
	return 0;
}

/* The kernel would say EINVAL, of a held commit perhaps much later. */
static int check_layout(const struct kms_plane *plane,
	const struct stile_drm_framebuffer *framebuffer, struct stile_report *why) {
	const struct stile_image_info *info = stile_image_get_info(framebuffer->image);
	const struct stile_drm_plane_format *format = kms_plane_find_format(plane, info->fourcc);
	if (format == NULL) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, info->fourcc,
			"plane %u does not take %s", plane->id,
			stile_format_get(info->fourcc)->name);
	}
	if (!kms_format_has_modifier(format, info->modifier)) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0, 0, info->modifier,
			"plane %u does not take modifier 0x%llx for %s", plane->id,
			(unsigned long long)info->modifier, stile_format_get(info->fourcc)->name);
	}
	return 0;
}

static void take_fences(struct stile_drm_held_commit *commit, struct commit_target *target,
	struct stile_fence *const *fences, size_t count) {
	target->fences = commit->fences + commit->fence_count;
	target->fence_count = count;
	for (size_t i = 0; i < count; i++) {
		commit->fences[commit->fence_count++] = stile_fence_ref(fences[i]);
	}
}

static int add_plane(struct stile_drm_held_commit *commit,
	const struct stile_drm_commit_plane *info, struct stile_report *why) {
	const struct kms_plane *plane = kms_find_plane(commit->kms, info->plane_id);
	if (plane == NULL) {
		return refuse_object(why, info->plane_id, "plane");
	}
	if (plane->fb_property == 0) {
		return refuse_property(why, info->plane_id, "plane", "FB_ID");
	}
	int ret = check_framebuffer(commit->kms, info->framebuffer, why);
	if (ret == 0) {
		ret = check_layout(plane, info->framebuffer, why);
	}
	if (ret < 0) {
		return ret;
	}
	for (size_t i = 0; i < commit->target_count; i++) {
		if (commit->targets[i].object_id == plane->id) {
			return refuse_caller(why, "a plane is named twice");
		}
	}
	struct commit_target *target = &commit->targets[commit->target_count++];
	*target = (struct commit_target){
		.object_id = plane->id,
		.fb_property = plane->fb_property,
		.in_fence_property = plane->in_fence_property,
		.fb_id = info->framebuffer->id,
		.in_fence = -1,
	};
	take_fences(commit, target, info->fences, info->fence_count);
	return 0;
}

static int add_result(struct stile_drm_held_commit *commit, uint32_t object_id, uint32_t property,
	struct stile_fence *const *place, struct stile_report *why) {
	if (place == NULL) {
		return refuse_caller(why, "there is no place for a fence");
	}
	for (size_t i = 0; i < commit->result_count; i++) {
		/* The kernel would fill in one of the places only. */
		if (commit->results[i].object_id == object_id) {
			return refuse_caller(why, "a CRTC or connector is named twice");
		}
	}
	struct commit_result *result = &commit->results[commit->result_count++];
	int ret = result_init(result, object_id, property, commit->expiry_ns);
	return ret < 0 ? refuse_memory(why) : 0;
}

static int add_crtc(struct stile_drm_held_commit *commit, const struct stile_drm_commit_crtc *info,
	struct stile_report *why) {
	const struct kms_crtc *crtc = kms_find_crtc(commit->kms, info->crtc_id);
	if (crtc == NULL) {
		return refuse_object(why, info->crtc_id, "CRTC");
	}
	if (crtc->out_fence_property == 0) {
		return refuse_property(why, info->crtc_id, "CRTC", "OUT_FENCE_PTR");
	}
	return add_result(commit, crtc->id, crtc->out_fence_property, info->fence, why);
}

static int add_writeback(struct stile_drm_held_commit *commit,
	const struct stile_drm_commit_writeback *info, struct stile_report *why) {
	const struct kms_writeback *writeback = kms_find_writeback(commit->kms, info->connector_id);
	if (writeback == NULL) {
		return refuse_object(why, info->connector_id, "connector for writeback");
	}
	if (writeback->out_fence_property == 0) {
		return refuse_property(
			why, info->connector_id, "connector", "WRITEBACK_OUT_FENCE_PTR");
	}
	int ret = check_framebuffer(commit->kms, info->framebuffer, why);
	if (ret == 0) {
		ret = add_result(
			commit, writeback->id, writeback->out_fence_property, info->fence, why);
	}
	if (ret < 0) {
		return ret;
	}
	struct commit_target *target = &commit->targets[commit->target_count++];
	*target = (struct commit_target){
		.object_id = writeback->id,
		.fb_property = writeback->fb_property,
		.fb_id = info->framebuffer->id,
		.in_fence = -1,
	};
	take_fences(commit, target, info->fences, info->fence_count);
	return 0;
}

static int add_all(struct stile_drm_held_commit *commit, const struct stile_drm_commit_info *info,
	struct stile_report *why) {
	int ret = 0;
	for (size_t i = 0; i < info->plane_count && ret == 0; i++) {
		ret = add_plane(commit, &info->planes[i], why);
	}
	for (size_t i = 0; i < info->crtc_count && ret == 0; i++) {
		ret = add_crtc(commit, &info->crtcs[i], why);
	}
	if (info->writeback != NULL && ret == 0) {
		ret = add_writeback(commit, info->writeback, why);
	}
	for (size_t i = 0; i < commit->target_count && ret == 0; i++) {
		const struct commit_target *target = &commit->targets[i];
		ret = drmModeAtomicAddProperty(
			commit->request, target->object_id, target->fb_property, target->fb_id);
		ret = ret < 0 ? refuse_memory(why) : 0;
	}
	return ret;
}

/* ---- The object -------------------------------------------------------------------------------- */

static size_t count_fences(const struct stile_drm_commit_info *info) {
	size_t count = info->writeback == NULL ? 0 : info->writeback->fence_count;
	for (size_t i = 0; i < info->plane_count; i++) {
		count += info->planes[i].fence_count;
	}
	return count;
}

static int commit_alloc(struct stile_drm_kms *kms, const struct stile_drm_commit_info *info,
	struct stile_drm_held_commit **out) {
	struct stile_drm_held_commit *commit = calloc(1, sizeof(*commit));
	*out = commit;
	if (commit == NULL) {
		return -ENOMEM;
	}
	size_t fences = count_fences(info);
	commit->kms = kms;
	commit->flags = info->flags;
	commit->event_data = info->event_data;
	commit->expiry_ns =
		info->expiry_ns != 0 ? info->expiry_ns : os_clock_ns() + COMMIT_LIMIT_NS;
	stile_cancel_init(&commit->cancel);
	/* One more of each than is needed at most: none of them is empty. */
	commit->targets = calloc(info->plane_count + 1, sizeof(*commit->targets));
	commit->results = calloc(info->crtc_count + 1, sizeof(*commit->results));
	commit->fences = calloc(fences + 1, sizeof(struct stile_fence *));
	commit->waits = calloc(fences + 1, sizeof(struct stile_fence *));
	commit->request = info->request == NULL ? drmModeAtomicAlloc()
						: drmModeAtomicDuplicate(info->request);
	return commit->targets == NULL || commit->results == NULL || commit->fences == NULL ||
			commit->waits == NULL || commit->request == NULL
		? -ENOMEM
		: 0;
}

void commit_free(struct stile_drm_held_commit *commit) {
	if (commit == NULL) {
		return;
	}
	for (size_t i = 0; i < commit->target_count; i++) {
		if (commit->targets[i].in_fence >= 0) {
			close(commit->targets[i].in_fence);
		}
	}
	for (size_t i = 0; i < commit->result_count; i++) {
		result_finish(&commit->results[i]);
	}
	for (size_t i = 0; i < commit->fence_count; i++) {
		stile_fence_unref(commit->fences[i]);
	}
	drmModeAtomicFree(commit->request);
	free(commit->targets);
	free(commit->results);
	free(commit->fences);
	free(commit->waits);
	free(commit);
}

/* ---- What to wait for -------------------------------------------------------------------------- */

static int check_fences(const struct stile_drm_held_commit *commit, struct stile_report *why) {
	for (size_t i = 0; i < commit->fence_count; i++) {
		int status = stile_fence_get_status(commit->fences[i]);
		char text[128];
		if (status < 0) {
			stile_fence_describe(commit->fences[i], text, sizeof(text));
			return report_refuse(why, -ECANCELED, STILE_REASON_CALLER, 0, 0,
				(uint64_t)-status,
				"a fence to be waited for has failed, the picture is not whole: %s",
				text);
		}
	}
	return 0;
}

/*
 * What came of an export, or why not. Failed fences come first, and are looked for afterwards: what had failed
 * by then is not in the sync_file, or was refused as what the kernel does not know.
 */
static int check_export(
	const struct stile_drm_held_commit *commit, int error, struct stile_report *why) {
	int ret = check_fences(commit, why);
	if (ret == 0 && error < 0) {
		ret = report_refuse(why, error, STILE_REASON_RESOURCES, 0, 0, 0,
			"the fences cannot be handed to the kernel: %s", strerror(-error));
	}
	return ret;
}

/* -1 for what is over. -EOPNOTSUPP: the kernel does not know it. */
static int export_fence(struct stile_fence *fence, int *fd) {
	return stile_fence_export_fd(fence, STILE_FD_SYNC_FILE, STILE_FD_ALLOW_SIGNALED, NULL, fd);
}

static int export_target(struct commit_target *target) {
	struct stile_fence *all;
	if (target->exported || target->in_fence_property == 0) {
		return 0;
	}
	int ret = stile_fence_merge(target->fences, target->fence_count, &all);
	if (ret < 0) {
		return ret;
	}
	ret = export_fence(all, &target->in_fence);
	target->exported = ret == 0;
	stile_fence_unref(all);
	return ret;
}

/* 1: somebody here has to wait for it; 0; or -errno. */
static int must_wait(const struct commit_target *target, struct stile_fence *fence) {
	int fd = -1, ret = -EOPNOTSUPP;
	if (stile_fence_is_signaled(fence)) {
		return 0;
	}
	if (target->in_fence_property != 0) {
		ret = export_fence(fence, &fd);
	}
	if (fd >= 0) {
		close(fd);
	}
	return ret == -EOPNOTSUPP ? 1 : ret;
}

/* What can be given to the kernel is exported, the rest put among those to wait for. */
static int sort_target(struct stile_drm_held_commit *commit, struct commit_target *target) {
	int ret = export_target(target);
	if (target->exported || (ret < 0 && ret != -EOPNOTSUPP)) {
		return ret;
	}
	ret = 0;
	for (size_t i = 0; i < target->fence_count && ret >= 0; i++) {
		ret = must_wait(target, target->fences[i]);
		if (ret > 0) {
			commit->waits[commit->wait_count++] = target->fences[i];
		}
	}
	return ret < 0 ? ret : 0;
}

static int sort_fences(struct stile_drm_held_commit *commit, struct stile_report *why) {
	int ret = 0;
	for (size_t i = 0; i < commit->target_count && ret == 0; i++) {
		ret = sort_target(commit, &commit->targets[i]);
	}
	return check_export(commit, ret, why);
}

/* ---- To the kernel ----------------------------------------------------------------------------- */

static const char *explain(int error) {
	switch (error) {
	case -EACCES:
		return "the open file is not the DRM master";
	case -EBUSY:
		return "a flip is pending: commit again after its event or fence";
	case -EINVAL:
		return "the driver cannot show this";
	case -ENOENT:
		return "an id in the request is none of the device's";
	default:
		return "the kernel refuses";
	}
}

static int refuse_commit(int error, struct stile_report *why) {
	bool resources = error == -ENOMEM || error == -EMFILE || error == -ENFILE;
	return report_refuse(why, error, resources ? STILE_REASON_RESOURCES : STILE_REASON_DRIVER,
		0, 0, 0, "atomic commit: %s (%s)", explain(error), strerror(-error));
}

int commit_test(struct stile_drm_held_commit *commit, struct stile_report *why) {
	uint32_t flags = commit->flags &
		(uint32_t)(DRM_MODE_ATOMIC_ALLOW_MODESET | DRM_MODE_PAGE_FLIP_ASYNC);
	int ret = drmModeAtomicCommit(
		commit->kms->drm->fd, commit->request, flags | DRM_MODE_ATOMIC_TEST_ONLY, NULL);
	return ret < 0 ? refuse_commit(ret, why) : 0;
}

static int add_fences(struct stile_drm_held_commit *commit) {
	int ret = 0;
	for (size_t i = 0; i < commit->target_count && ret >= 0; i++) {
		struct commit_target *target = &commit->targets[i];
		ret = export_target(target);
		if (ret == 0 && target->in_fence >= 0) {
			ret = drmModeAtomicAddProperty(commit->request, target->object_id,
				target->in_fence_property, (uint64_t)target->in_fence);
		}
	}
	for (size_t i = 0; i < commit->result_count && ret >= 0; i++) {
		struct commit_result *result = &commit->results[i];
		ret = drmModeAtomicAddProperty(commit->request, result->object_id, result->property,
			(uintptr_t)&result->fd);
	}
	return ret < 0 ? ret : 0;
}

int commit_submit(struct stile_drm_held_commit *commit, struct stile_report *why) {
	int ret = check_export(commit, add_fences(commit), why);
	if (ret < 0) {
		return ret;
	}
	ret = drmModeAtomicCommit(
		commit->kms->drm->fd, commit->request, commit->flags, commit->event_data);
	return ret < 0 ? refuse_commit(ret, why) : 0;
}

/* ---- Committing -------------------------------------------------------------------------------- */

/* By the calling thread. */
static int wait_for_fences(
	struct stile_drm_held_commit *commit, int64_t *blocked_ns, struct stile_report *why) {
	int64_t began = os_clock_ns();
	int ret = stile_fence_wait_all(commit->waits, commit->wait_count, commit->expiry_ns, NULL);
	*blocked_ns = os_clock_ns() - began;
	return ret == 0 ? 0
			: report_refuse(why, ret, STILE_REASON_DRIVER, 0, 0, commit->wait_count,
				  "waiting for %zu fence%s that the kernel cannot have: %s",
				  commit->wait_count, PLURAL(commit->wait_count), strerror(-ret));
}

static int refuse_to_wait(const struct stile_drm_held_commit *commit, struct stile_report *why) {
	char text[128];
	stile_fence_describe(commit->waits[0], text, sizeof(text));
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0, commit->wait_count,
		"the kernel cannot be given %zu of the fences to be waited for: %s",
		commit->wait_count, text);
}

static enum stile_path_kind find_path(const struct stile_drm_held_commit *commit) {
	for (size_t i = 0; i < commit->target_count; i++) {
		if (commit->targets[i].in_fence >= 0) {
			return STILE_PATH_HANDLE;
		}
	}
	return STILE_PATH_NONE;
}

static int commit_now(struct stile_drm_held_commit *commit,
	const struct stile_drm_commit_info *info, struct stile_path *path,
	struct stile_report *why) {
	int64_t blocked_ns = 0;
	int ret = held_check(commit, why);
	if (ret == 0 && commit->wait_count > 0) {
		ret = info->user_fences == STILE_USER_FENCES_WAIT
			? wait_for_fences(commit, &blocked_ns, why)
			: refuse_to_wait(commit, why);
	}
	if (ret == 0) {
		ret = commit_submit(commit, why);
	}
	if (ret == 0) {
		path_give(path, commit->wait_count > 0 ? STILE_PATH_CPU_WAIT : find_path(commit),
			blocked_ns);
	}
	return ret;
}

/* Each result goes where its place is: those of CRTCs come first. */
static struct stile_fence **place_of(const struct stile_drm_commit_info *info, size_t index) {
	return index < info->crtc_count ? info->crtcs[index].fence : info->writeback->fence;
}

/* The thread submits it, and so ends the promises, when all are done. */
static void note_graph(const struct stile_drm_held_commit *commit) {
	for (size_t i = 0; i < commit->result_count; i++) {
		for (size_t j = 0; j < commit->fence_count; j++) {
			stile_graph_add_wait(
				commit->results[i].promise, commit->fences[j], "held commit");
		}
	}
}

static void give_results(
	struct stile_drm_held_commit *commit, const struct stile_drm_commit_info *info, bool held) {
	for (size_t i = 0; i < commit->result_count; i++) {
		struct commit_result *result = &commit->results[i];
		*place_of(info, i) = held ? stile_fence_ref(result->promise)
					  : result_take(commit->kms->drm, result);
	}
	for (size_t i = 0; i < commit->fence_count; i++) {
		stile_access_note_wait(commit->fences[i]);
	}
}

/* 1: it is held. */
static int commit_run(struct stile_drm_held_commit *commit,
	const struct stile_drm_commit_info *info, struct stile_path *path,
	struct stile_report *why) {
	int ret = add_all(commit, info, why);
	if (ret == 0 && (info->flags & DRM_MODE_ATOMIC_TEST_ONLY) != 0) {
		path_give(path, STILE_PATH_NONE, 0);
		return commit_test(commit, why);
	}
	if (ret == 0) {
		ret = sort_fences(commit, why);
	}
	if (ret < 0) {
		return ret;
	}
	bool held = commit->wait_count > 0 && info->user_fences == STILE_USER_FENCES_HOLD;
	ret = held ? held_start(commit, why) : commit_now(commit, info, path, why);
	if (ret < 0) {
		return ret;
	}
	if (held) {
		path_give(path, STILE_PATH_HELD, 0);
		note_graph(commit);
	}
	give_results(commit, info, held);
	return held;
}

static void clear_places(const struct stile_drm_commit_info *info) {
	for (size_t i = 0; i < info->crtc_count; i++) {
		if (info->crtcs[i].fence != NULL) {
			*info->crtcs[i].fence = NULL;
		}
	}
	if (info->writeback != NULL && info->writeback->fence != NULL) {
		*info->writeback->fence = NULL;
	}
}

int stile_drm_commit(struct stile_drm_kms *kms, const struct stile_drm_commit_info *info,
	struct stile_path *path, struct stile_report *report, struct stile_drm_held_commit **out) {
	*out = NULL;
	struct stile_drm_commit_info known;
	int ret = report_copy_in(report, &known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	clear_places(&known);
	struct stile_report why;
	struct stile_drm_held_commit *commit = NULL;
	ret = path_check(path) < 0 ? refuse_caller(&why, "the size of the path is impossible")
				   : check_info(&known, &why);
	if (ret == 0 && commit_alloc(kms, &known, &commit) < 0) {
		ret = refuse_memory(&why);
	}
	if (ret == 0) {
		ret = commit_run(commit, &known, path, &why);
	}
	if (ret == 1) {
		*out = commit;
		return 0;
	}
	commit_free(commit);
	if (ret < 0) {
		report_give(report, &why);
		drm_log(kms->drm, STILE_LOG_ERROR, "commit: %s", why.text);
	}
	return ret;
}
