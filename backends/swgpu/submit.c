/* SPDX-License-Identifier: MIT */
/*
 * Submitting: KERNEL_CONTRACT section 19. All reservations are locked, all buffers mapped, what has to be
 * waited for is gathered, room is made for the fence: up to here it may fail, and nothing has happened. Then
 * the job gets its number by being put into its queue, held there so that it does not end before its fence
 * is in all reservations. Who has no buffers needs none of that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <stile/exec.h>
#include <stile/fence.h>

#include "backends/swgpu/bo.h"
#include "backends/swgpu/scheduler.h"
#include "backends/swgpu/trace.h"
#include "src/abi.h"
#include "src/check.h"
#include "src/handoff.h"
#include "src/outside.h"
#include "src/resv.h"

enum { FEW = 16 };

/* Fences that are waited for because of buffers; a reference on each. */
struct deps {
	struct stile_fence *few[FEW];
	struct stile_fence **fences;
	size_t count;
	size_t capacity;
};

static void deps_init(struct deps *deps) {
	deps->fences = deps->few;
	deps->count = 0;
	deps->capacity = FEW;
}

static void deps_fini(struct deps *deps) {
	while (deps->count > 0) {
		stile_fence_unref(deps->fences[--deps->count]);
	}
	if (deps->fences != deps->few) {
		free(deps->fences);
	}
}

static int deps_make_room(struct deps *deps) {
	if (deps->count < deps->capacity) {
		return 0;
	}
	bool few = deps->fences == deps->few;
	size_t capacity = 2 * deps->capacity + FEW;
	check_alloc();
	struct stile_fence **fences =
		realloc(few ? NULL : deps->fences, capacity * sizeof(struct stile_fence *));
	if (fences == NULL) {
		return -ENOMEM;
	}
	if (few) {
		memcpy(fences, deps->few, sizeof(deps->few));
	}
	deps->fences = fences;
	deps->capacity = capacity;
	return 0;
}

/* Takes over the reference on success. Two buffers may be in use by the same work. */
static int deps_add(struct deps *deps, struct stile_fence *fence, bool *taken) {
	for (size_t i = 0; i < deps->count; i++) {
		if (deps->fences[i] == fence) {
			return 0;
		}
	}
	int ret = deps_make_room(deps);
	if (ret == 0) {
		deps->fences[deps->count++] = fence;
		*taken = true;
	}
	return ret;
}

/* Of one buffer. What is before in the same queue is done before anyway. */
static int deps_gather(struct deps *deps, const struct stile_swgpu_queue *queue,
	struct stile_resv *resv, enum stile_resv_usage usage) {
	struct stile_fence *few[FEW], **fences;
	size_t count;
	int ret = resv_get_all(resv, usage, few, FEW, &fences, &count);
	if (ret < 0) {
		return ret;
	}
	for (size_t i = 0; i < count; i++) {
		bool taken = false;
		if (ret == 0 && stile_fence_get_context(fences[i]) != queue->context) {
			ret = deps_add(deps, fences[i], &taken);
		}
		if (!taken) {
			stile_fence_unref(fences[i]);
		}
	}
	if (fences != few) {
		free(fences);
	}
	return ret;
}

/* ---- A list's buffers ---------------------------------------------------------------------- */

static struct stile_resv *use_get_resv(const struct list_use *use) {
	return stile_buffer_get_resv(use->buffer);
}

static bool use_writes(const struct list_use *use) {
	return (use->usage & STILE_USAGE_WRITE) != 0;
}

/* What the kernel knows of its users. */
static int deps_gather_outside(struct deps *deps, const struct list_use *use) {
	struct stile_fence *fence;
	bool taken = false;
	int ret = outside_pull(use->buffer, use->usage, false, &fence);
	if (ret == 0 && fence != NULL) {
		ret = deps_add(deps, fence, &taken);
	}
	if (!taken) {
		stile_fence_unref(fence);
	}
	return ret;
}

static int lock_many(struct stile_exec *exec, const struct stile_swgpu_list *list) {
	int ret = 0;
	stile_exec_init(exec, STILE_EXEC_IGNORE_DUPLICATES, NULL);
	while (stile_exec_retry(exec)) {
		ret = 0;
		for (size_t i = 0; i < list->use_count && ret == 0; i++) {
			ret = stile_exec_lock(exec, use_get_resv(&list->uses[i]));
		}
		if (ret < 0 && ret != -EDEADLK) {
			break;
		}
	}
	if (ret < 0) {
		stile_exec_fini(exec);
	}
	/* What it calls a misuse is that the caller has one of them locked. */
	return ret == -EINVAL ? -EDEADLK : ret;
}

static int list_lock(struct stile_exec *exec, const struct stile_swgpu_list *list) {
	return list->use_count == 1 ? stile_resv_lock(use_get_resv(&list->uses[0]), NULL, NULL)
				    : lock_many(exec, list);
}

static void list_unlock(struct stile_exec *exec, const struct stile_swgpu_list *list) {
	if (list->use_count == 1) {
		stile_resv_unlock(use_get_resv(&list->uses[0]));
	} else {
		stile_exec_fini(exec);
	}
}

/*
 * First all are mapped, which may begin moves, whose fences take room and are to be waited for. Of buffers
 * that share a reservation, the fence takes one place: see list_add_fence().
 */
static int list_prepare(const struct stile_swgpu_list *list, const struct stile_swgpu_queue *queue,
	struct deps *deps) {
	bool is_implicit = list->gpu->profile.implicit_sync;
	int ret = 0;
	for (size_t i = 0; i < list->use_count && ret == 0; i++) {
		ret = bo_map(list->uses[i].bo);
	}
	for (size_t i = 0; i < list->use_count && ret == 0 && is_implicit; i++) {
		ret = deps_gather_outside(deps, &list->uses[i]);
	}
	for (size_t i = 0; i < list->use_count && ret == 0; i++) {
		ret = stile_resv_reserve_fences(use_get_resv(&list->uses[i]), 1);
	}
	for (size_t i = 0; i < list->use_count && ret == 0; i++) {
		const struct list_use *use = &list->uses[i];
		ret = deps_gather(deps, queue, use_get_resv(use),
			is_implicit ? stile_resv_usage_rw(use_writes(use)) : STILE_RESV_KERNEL);
	}
	return ret;
}

/* Readers first: a writer takes the reader's place where they share a reservation. */
static void list_add_fence(const struct stile_swgpu_list *list, struct stile_fence *fence) {
	bool is_implicit = list->gpu->profile.implicit_sync;
	for (int writes = 0; writes < 2; writes++) {
		for (size_t i = 0; i < list->use_count; i++) {
			const struct list_use *use = &list->uses[i];
			enum stile_resv_usage usage = writes ? STILE_RESV_WRITE : STILE_RESV_READ;
			if (use_writes(use) == (writes != 0)) {
				/* Cannot fail: it is locked, and there is room. */
				(void)!stile_resv_add_fence(use_get_resv(use), fence,
					is_implicit ? usage : STILE_RESV_BOOKKEEP);
			}
		}
	}
}

/* ---- The job ------------------------------------------------------------------------------- */

/* Whoever validates who hands over what hears of waits, while they are there. */
static void tell_of_waits(const struct job *job, const struct queue_entry *entry) {
	for (size_t i = 0; check_is_on() && i < job->wait_count; i++) {
		handoff_wait(job->waits[i].fence, entry->place);
	}
}

/* The point of no return. With a hold, queue_let_go() follows. */
static void job_submit(struct job *job, const struct queue_entry *entry, bool held) {
	struct stile_swgpu_queue *queue = job->queue;
	tell_of_waits(job, entry);
	size_t ended = job_arm(job);
	scheduler_lock(queue->scheduler);
	queue_push(queue, job, ended, held);
	if (check_is_on()) {
		job_record_waits(job, entry->label, entry->place);
	}
	scheduler_unlock(queue->scheduler);
}

/* Consumes the job, and its list. What is said of its submission is said before all else of it. */
static void job_let_go(struct job *job) {
	struct scheduler *scheduler = job->queue->scheduler;
	trace_print(scheduler->gpu->trace, "submit %s:%llu commands=%zu waits=%zu", job->name,
		(unsigned long long)job->fence.seqno, job->list == NULL ? 0 : job->list->count,
		job->wait_count);
	scheduler_lock(scheduler);
	queue_let_go(job->queue, job);
	scheduler_unlock(scheduler);
}

/* Of a list without buffers, or none at all. */
static void job_submit_alone(struct job *job, const struct queue_entry *entry) {
	bool held = trace_is_on(job->queue->gpu->trace);
	job_submit(job, entry, held);
	if (held) {
		job_let_go(job);
	}
}

/* With the reservations locked, which are given up: the buffers may go with the job. */
static void job_submit_guarded(
	struct job *job, const struct queue_entry *entry, struct stile_exec *exec) {
	for (size_t i = 0; i < job->list->use_count; i++) {
		bo_hold(job->list->uses[i].bo, &job->list->uses[i].hold);
	}
	uint32_t section = check_signalling_begin();
	job_submit(job, entry, true);
	list_add_fence(job->list, &job->fence);
	list_unlock(exec, job->list);
	job_let_go(job);
	check_signalling_end(section);
}

static int job_create_for(struct stile_swgpu_queue *queue, const struct queue_entry *entry,
	const struct deps *deps, struct job **job, struct stile_fence **out) {
	int ret =
		job_create(queue, entry->waits, entry->wait_count, deps->fences, deps->count, job);
	if (ret < 0) {
		return ret;
	}
	(*job)->list = entry->list;
	(*job)->command = entry->list == NULL ? NULL : entry->list->first;
	if (out != NULL) {
		*out = stile_fence_ref(&(*job)->fence);
	}
	return 0;
}

static int submit_guarded(struct stile_swgpu_queue *queue, const struct queue_entry *entry,
	struct deps *deps, struct stile_fence **out) {
	struct stile_exec exec;
	struct job *job;
	int ret = list_lock(&exec, entry->list);
	if (ret < 0) {
		return ret;
	}
	ret = list_prepare(entry->list, queue, deps);
	if (ret == 0) {
		ret = job_create_for(queue, entry, deps, &job, out);
	}
	if (ret != 0) {
		list_unlock(&exec, entry->list);
		return ret;
	}
	job_submit_guarded(job, entry, &exec);
	return 0;
}

int queue_submit(struct stile_swgpu_queue *queue, const struct queue_entry *entry,
	struct stile_fence **out) {
	struct deps deps;
	deps_init(&deps);
	int ret;
	if (entry->list != NULL && entry->list->use_count > 0) {
		ret = submit_guarded(queue, entry, &deps, out);
	} else {
		struct job *job;
		ret = job_create_for(queue, entry, &deps, &job, out);
		if (ret == 0) {
			job_submit_alone(job, entry);
		}
	}
	deps_fini(&deps);
	return ret;
}

/* ---- In public ----------------------------------------------------------------------------- */

static int check_submission(const struct stile_swgpu_queue *queue,
	const struct stile_swgpu_list *list, const struct stile_swgpu_submit_info *info) {
	if (list != NULL && list->gpu != queue->gpu) {
		return -EINVAL;
	}
	for (size_t i = 0; i < info->wait_count; i++) {
		if (info->waits == NULL || info->waits[i] == NULL) {
			return -EINVAL;
		}
	}
	return swgpu_is_lost(queue->gpu) ? -EIO : 0;
}

int stile_swgpu_submit(struct stile_swgpu_queue *queue, struct stile_swgpu_list *list,
	const struct stile_swgpu_submit_info *info, struct stile_fence **out) {
	if (out != NULL) {
		*out = NULL;
	}
	struct stile_swgpu_submit_info known = { .size = sizeof(known) };
	int ret = info == NULL ? 0 : abi_copy_in(&known, sizeof(known), info);
	if (ret == 0) {
		ret = check_submission(queue, list, &known);
	}
	if (ret < 0) {
		return ret;
	}
	const struct queue_entry entry = {
		.list = list,
		.waits = known.waits,
		.wait_count = known.wait_count,
		.label = "wait of a list",
		.place = __builtin_return_address(0),
	};
	return queue_submit(queue, &entry, out);
}
