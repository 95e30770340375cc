/* SPDX-License-Identifier: MIT */
/*
 * One use of an image: the pattern of KERNEL_CONTRACT section 19, in two halves between which the
 * application submits its work and nothing is locked. Room for the fence is promised at the beginning,
 * so that the end, when the work is on its way, cannot fail.
 */
#include <stile/access.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <stile/array.h>
#include <stile/exec.h>
#include <stile/fence.h>
#include <stile/merge.h>
#include <stile/wait.h>

#include "src/abi.h"
#include "src/buffer.h"
#include "src/check.h"
#include "src/fence.h"
#include "src/graph.h"
#include "src/handoff.h"
#include "src/image.h"
#include "src/outside.h"
#include "src/path.h"
#include "src/resv.h"
#include "src/wait.h"

/* Neither of them is what memory holds by chance. */
enum { BEGUN = 0x62656775, ENDED = 0x656e6465 };

static enum stile_resv_usage usage_of(const struct stile_access *access) {
	return access->usage & STILE_USAGE_WRITE ? STILE_RESV_WRITE : STILE_RESV_READ;
}

static void note_resv(struct stile_access *access, struct stile_resv *resv) {
	for (uint32_t i = 0; i < access->resv_count; i++) {
		if (access->resvs[i] == resv) {
			return;
		}
	}
	access->resvs[access->resv_count++] = resv;
}

static void note_buffer(struct stile_access *access, struct stile_buffer *buffer) {
	for (uint32_t i = 0; i < access->buffer_count; i++) {
		if (access->buffers[i] == buffer) {
			return;
		}
	}
	access->buffers[access->buffer_count++] = buffer;
	note_resv(access, stile_buffer_get_resv(buffer));
}

/* Each buffer and each reservation once, though planes may share them. */
static void find_buffers(struct stile_access *access) {
	const struct stile_image *image = access->image;
	access->resv_count = 0;
	access->buffer_count = 0;
	for (uint32_t plane = 0; plane < image->info.plane_count; plane++) {
		note_buffer(access, image->buffers[plane]);
	}
}

/* There are never so many that this needs memory, and it cannot be cancelled: it succeeds. */
static int lock_all(struct stile_exec *exec, const struct stile_access *access) {
	int ret = 0;
	stile_exec_init(exec, 0, NULL);
	while (stile_exec_retry(exec)) {
		ret = stile_exec_prepare_all(exec, access->resvs, access->resv_count, 0);
		if (ret < 0 && ret != -EDEADLK) {
			break;
		}
	}
	return ret;
}

/* ---- What to wait for ------------------------------------------------------------------------ */

static void drop_fences(struct stile_access *access) {
	for (size_t i = 0; i < access->count; i++) {
		stile_fence_unref(access->fences[i]);
	}
	if (access->fences != access->few) {
		free(access->fences);
	}
	access->fences = access->few;
	access->count = 0;
}

/* Takes over the references, on success only. */
static int append(struct stile_access *access, struct stile_fence **fences, size_t count) {
	size_t all = access->count + count;
	if (all > STILE_ACCESS_FEW) {
		struct stile_fence **more = calloc(all, sizeof(struct stile_fence *));
		if (more == NULL) {
			return -ENOMEM;
		}
		for (size_t i = 0; i < access->count; i++) {
			more[i] = access->fences[i];
		}
		if (access->fences != access->few) {
			free(access->fences);
		}
		access->fences = more;
	}
	for (size_t i = 0; i < count; i++) {
		access->fences[access->count++] = fences[i];
	}
	return 0;
}

static int gather_from(struct stile_access *access, struct stile_resv *resv) {
	struct stile_fence *few[STILE_ACCESS_FEW], **fences;
	size_t count;
	bool write = (access->usage & STILE_USAGE_WRITE) != 0;
	int ret = resv_get_all(
		resv, stile_resv_usage_rw(write), few, STILE_ACCESS_FEW, &fences, &count);
	if (ret < 0) {
		return ret;
	}
	ret = append(access, fences, count);
	for (size_t i = 0; ret < 0 && i < count; i++) {
		stile_fence_unref(fences[i]);
	}
	if (fences != few) {
		free(fences);
	}
	return ret;
}

/* Without those of the queue itself, and the last of each other one. */
static void reduce(struct stile_access *access, uint64_t context) {
	size_t kept = 0;
	for (size_t i = 0; i < access->count; i++) {
		struct stile_fence *fence = access->fences[i];
		if (context != 0 && fence->context == context) {
			stile_fence_unref(fence);
		} else {
			access->fences[kept++] = fence;
		}
	}
	access->count = kept > 1 ? stile_fence_dedup(access->fences, kept) : kept;
}

/* What the kernel knows. */
static int gather_outside(struct stile_access *access) {
	int ret = 0;
	for (uint32_t i = 0; i < access->buffer_count && ret == 0; i++) {
		struct stile_fence *fence;
		ret = outside_pull(access->buffers[i], access->usage, false, &fence);
		if (ret == 0 && fence != NULL) {
			access->from_kernel++;
			ret = append(access, &fence, 1);
		}
		if (ret < 0) {
			stile_fence_unref(fence);
		}
	}
	return ret;
}

/* With the locks. On failure nothing is left. */
static int gather(struct stile_access *access) {
	int ret = gather_outside(access);
	uint32_t promised = 0;
	for (uint32_t i = 0; i < access->resv_count && ret == 0; i++) {
		ret = resv_promise(access->resvs[i]);
		promised += ret == 0;
		if (ret == 0) {
			ret = gather_from(access, access->resvs[i]);
		}
		if (access->error == 0) {
			access->error = stile_resv_get_error(access->resvs[i]);
		}
	}
	while (ret < 0 && promised > 0) {
		resv_drop_promise(access->resvs[--promised]);
	}
	if (ret < 0) {
		drop_fences(access);
	}
	return ret;
}

/* ---- From begin to end ----------------------------------------------------------------------- */

static int check_info(const struct stile_image *image, const struct stile_access_info *info,
	struct stile_access_info *known) {
	int ret = abi_copy_in(known, sizeof(*known), info);
	if (ret == 0 &&
		(!buffer_usage_is_valid(known->usage) ||
			!path_policy_is_valid(known->user_fences))) {
		ret = -EINVAL;
	}
	if (ret == 0 && (known->usage & ~image->info.usage) != 0) {
		ret = -EACCES;
	}
	return ret;
}

int stile_access_begin(struct stile_image *image, const struct stile_access_info *info,
	struct stile_access *access) {
	const void *place = __builtin_return_address(0);
	struct stile_access_info known;
	access->count = 0;
	access->fences = access->few;
	access->state = 0;
	int ret = check_info(image, info, &known);
	if (ret < 0) {
		return ret;
	}
	access->image = image;
	access->usage = known.usage;
	access->user_fences = (uint32_t)known.user_fences;
	access->error = 0;
	access->from_kernel = 0;
	access->path = (struct stile_path){ .size = sizeof(access->path) };
	find_buffers(access);

	struct stile_exec exec;
	ret = lock_all(&exec, access);
	if (ret == 0) {
		ret = gather(access);
	}
	stile_exec_fini(&exec);
	if (ret < 0) {
		return ret;
	}
	reduce(access, known.context);
	access->state = BEGUN;
	stile_image_ref(image);
	access->noted = check_is_on() && handoff_begin(access, &known, place);
	return 0;
}

/* With the locks: there is room for all leaves of a container. One each was promised. */
static int make_room(const struct stile_access *access, struct stile_fence *fence) {
	uint32_t leaves = resv_count_leaves(fence);
	int ret = 0;
	for (uint32_t i = 0; i < access->resv_count && leaves > 1 && ret == 0; i++) {
		ret = stile_resv_reserve_fences(access->resvs[i], leaves - 1);
	}
	return ret;
}

/* With the locks. Nothing of it can fail. */
static void record(const struct stile_access *access, struct stile_fence *fence) {
	for (uint32_t i = 0; i < access->resv_count; i++) {
		resv_drop_promise(access->resvs[i]);
		if (fence != NULL) {
			resv_add_leaves(access->resvs[i], fence, usage_of(access));
		} else if (usage_of(access) == STILE_RESV_WRITE) {
			resv_note_write(access->resvs[i]);
		}
	}
}

/* Its work waits for what the beginning gave. */
static void note_graph(
	const struct stile_access *access, struct stile_fence *fence, const void *place) {
	char label[GRAPH_LABEL_BYTES];
	if (!check_is_on() || fence == NULL) {
		return;
	}
	const char *name = access->image->info.name;
	snprintf(label, sizeof(label), "access to image \"%s\"", name == NULL ? "" : name);
	for (size_t i = 0; i < access->count; i++) {
		graph_add_edge_at(fence, access->fences[i], label, place);
	}
}

static void finish(struct stile_access *access) {
	access->state = ENDED;
	drop_fences(access);
	stile_image_unref(access->image);
}

static int check_begun(const struct stile_access *access, const char *what, const void *place) {
	if (access->state == BEGUN) {
		return 0;
	}
	handoff_complain_of_end(access, access->state == ENDED, what, place);
	return -EINVAL;
}

/* With the locks: let the kernel know. 0, or why it cannot, if that matters. */
static int push(struct stile_access *access, struct stile_fence *fence) {
	for (uint32_t i = 0; i < access->buffer_count; i++) {
		int ret = outside_push(access->buffers[i], access->usage, fence);
		if (ret == -EOPNOTSUPP && access->user_fences == STILE_USER_FENCES_HOLD) {
			access->path.kind = STILE_PATH_HELD;
		} else if (ret < 0) {
			return ret;
		} else if (ret > 0) {
			access->path.kind = STILE_PATH_KERNEL;
		}
	}
	return 0;
}

/* 0: it is in all reservations; else in none of ours. */
static int add(struct stile_access *access, struct stile_fence *fence) {
	struct stile_exec exec;
	int ret = lock_all(&exec, access);
	if (ret == 0 && fence != NULL && fence_is_container(fence)) {
		ret = make_room(access, fence);
	}
	if (ret == 0 && fence != NULL) {
		ret = push(access, fence);
	}
	if (ret == 0) {
		record(access, fence);
	}
	stile_exec_fini(&exec);
	return ret;
}

int stile_access_end(struct stile_access *access, struct stile_fence *fence) {
	const void *place = __builtin_return_address(0);
	int ret = check_begun(access, "ended", place);
	if (ret < 0) {
		return ret;
	}
	ret = add(access, fence);
	if (ret == -EOPNOTSUPP && access->user_fences == STILE_USER_FENCES_WAIT) {
		access->path.kind = STILE_PATH_CPU_WAIT;
		ret = outside_wait(fence, &access->path.blocked_ns, place);
		if (ret == 0) {
			ret = add(access, fence);
		}
	}
	if (ret < 0) {
		return ret;
	}
	if (access->noted) {
		handoff_end(access, place);
	}
	note_graph(access, fence, place);
	finish(access);
	return 0;
}

void stile_access_cancel(struct stile_access *access) {
	const void *place = __builtin_return_address(0);
	struct stile_exec exec;
	if (check_begun(access, "cancelled", place) < 0) {
		return;
	}
	int ret = lock_all(&exec, access);
	for (uint32_t i = 0; ret == 0 && i < access->resv_count; i++) {
		resv_drop_promise(access->resvs[i]);
	}
	stile_exec_fini(&exec);
	if (ret < 0) {
		return; /* misuse, which was told: it can be cancelled once more */
	}
	if (access->noted) {
		handoff_cancel(access, place);
	}
	finish(access);
}

int stile_access_wait(
	struct stile_access *access, int64_t deadline_ns, struct stile_cancel *cancel) {
	if (deadline_ns < 0) {
		return -EINVAL;
	}
	check_wait();
	return access->count == 0 ? 0
				  : fence_wait_all_at(access->fences, access->count, deadline_ns,
					    cancel, __builtin_return_address(0));
}

/* A later fence may have been enough to wait for: the write itself is asked. */
static int last_write_error(struct stile_resv *resv) {
	int ret = stile_resv_lock(resv, NULL, NULL);
	if (ret == 0) {
		ret = stile_resv_get_error(resv);
		stile_resv_unlock(resv);
	}
	return ret;
}

int stile_access_get_error(const struct stile_access *access) {
	int error = access->error;
	/* Who reads waits for writes only, but another write may have begun meanwhile. */
	bool reads = (access->usage & STILE_USAGE_WRITE) == 0;
	for (size_t i = 0; reads && i < access->count && error == 0; i++) {
		int status = stile_fence_get_status(access->fences[i]);
		error = status < 0 ? status : 0;
	}
	for (uint32_t i = 0; i < access->resv_count && error == 0; i++) {
		error = last_write_error(access->resvs[i]);
	}
	return error;
}

void stile_access_note_wait(struct stile_fence *fence) {
	if (check_is_on()) {
		handoff_wait(fence, __builtin_return_address(0));
	}
}
