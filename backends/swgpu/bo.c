/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/bo.h"

#include <errno.h>
#include <stdlib.h>

#include <stile/attachment.h>

#include "backends/swgpu/swgpu.h"
#include "src/attachment.h"
#include "src/buffer.h"
#include "src/device.h"
#include "src/macros.h"

enum { REAP_AT_ONCE = 64 };

/* One mapping of the attachment. */
struct bo_mapping {
	struct bo_mapping *next;
	struct stile_sg *sg;
	enum stile_direction direction;
	/* By lists under way; by atomic access, from 0 only with the reservation locked. */
	uint32_t holds;
};

struct bo {
	struct tree_node node; /* in the device's table, under its lock */
	struct swgpu *gpu;     /* as long as the attachment, which keeps the device */
	struct stile_buffer *buffer;
	struct stile_attachment *attachment;

	/* With the buffer's reservation locked. */
	struct bo_mapping *current; /* NULL: not mapped */
	struct bo_mapping *old;     /* of storage that was moved, until nobody holds them */
	uint32_t old_count;         /* also read without the lock */
};

static int bo_compare(const struct tree_node *left, const struct tree_node *right) {
	uintptr_t a = (uintptr_t)CONTAINER_OF(left, const struct bo, node)->buffer;
	uintptr_t b = (uintptr_t)CONTAINER_OF(right, const struct bo, node)->buffer;
	return a < b ? -1 : a > b;
}

/* The buffer is going, and the attachment with it. */
static void bo_gone(void *priv) {
	struct bo *bo = priv;
	struct swgpu *gpu = bo->gpu;
	pthread_mutex_lock(&gpu->bo_lock);
	if (tree_holds(&gpu->bos, &bo->node)) {
		tree_remove(&gpu->bos, &bo->node);
	}
	pthread_mutex_unlock(&gpu->bo_lock);
	/* What they mapped is unmapped already. */
	free(bo->current);
	while (bo->old != NULL) {
		struct bo_mapping *mapping = bo->old;
		bo->old = mapping->next;
		free(mapping);
	}
	free(bo);
}

static void mapping_destroy(struct bo *bo, struct bo_mapping *mapping) {
	stile_attachment_unmap(bo->attachment, mapping->sg, mapping->direction);
	free(mapping);
}

/* Those that nobody holds any more. */
static void bo_reap(struct bo *bo) {
	struct bo_mapping **link = &bo->old, *mapping;
	while ((mapping = *link) != NULL) {
		if (__atomic_load_n(&mapping->holds, __ATOMIC_ACQUIRE) > 0) {
			link = &mapping->next;
			continue;
		}
		*link = mapping->next;
		__atomic_fetch_sub(&bo->old_count, 1, __ATOMIC_SEQ_CST);
		mapping_destroy(bo, mapping);
	}
}

/* T-8: not for new work. Lists under way still have it; what they use of is theirs until they end. */
static void bo_retire(struct bo *bo) {
	struct bo_mapping *mapping = bo->current;
	if (mapping != NULL) {
		bo->current = NULL;
		mapping->next = bo->old;
		bo->old = mapping;
		__atomic_fetch_add(&bo->old_count, 1, __ATOMIC_SEQ_CST);
	}
	bo_reap(bo);
}

static void bo_move_notify(struct stile_attachment *attachment) {
	bo_retire(stile_attachment_get_priv(attachment));
}

static const struct stile_importer_ops bo_importer = {
	.size = sizeof(bo_importer),
	.move_notify = bo_move_notify,
};

/* What the device may do with the buffer; more, once a descriptor with more rights has come. */
static uint32_t bo_usage(const struct bo *bo) {
	uint32_t usage = buffer_get_usage(bo->buffer);
	bool own = bo->buffer->device == bo->gpu->device;
	return own ? usage : usage & bo->gpu->device->limits.import_usage;
}

static int bo_create(struct swgpu *gpu, struct stile_buffer *buffer, struct bo **out) {
	struct bo *bo = malloc(sizeof(*bo));
	if (bo == NULL) {
		return -ENOMEM;
	}
	*bo = (struct bo){ .gpu = gpu, .buffer = buffer };
	const struct stile_attach_info info = {
		.size = sizeof(info),
		.device = gpu->device,
		.usage = bo_usage(bo),
		.importer = &bo_importer,
		.priv = bo,
		.name = "swgpu",
	};
	int ret = attachment_create(buffer, &info, bo_gone, NULL, &bo->attachment);
	if (ret < 0) {
		free(bo);
		return ret;
	}
	*out = bo;
	return 0;
}

/* Not in the table; a reference on the buffer is held. */
static void bo_destroy(struct bo *bo) {
	if (buffer_lock(bo->buffer) < 0) {
		/* The caller has it locked, which was told: it goes with the buffer. */
		return;
	}
	bo_retire(bo);
	stile_resv_unlock(bo->buffer->resv);
	stile_buffer_detach(bo->buffer, bo->attachment);
	free(bo);
}

/* With the table's lock. */
static struct bo *bo_find(struct swgpu *gpu, struct stile_buffer *buffer) {
	const struct bo probe = { .buffer = buffer };
	struct tree_node *node = tree_find(&gpu->bos, &probe.node, bo_compare);
	return node == NULL ? NULL : CONTAINER_OF(node, struct bo, node);
}

int bo_get(struct swgpu *gpu, struct stile_buffer *buffer, struct bo **out) {
	pthread_mutex_lock(&gpu->bo_lock);
	*out = bo_find(gpu, buffer);
	pthread_mutex_unlock(&gpu->bo_lock);
	if (*out != NULL) {
		return 0;
	}
	struct bo *fresh;
	int ret = bo_create(gpu, buffer, &fresh);
	if (ret < 0) {
		return ret;
	}
	pthread_mutex_lock(&gpu->bo_lock);
	*out = bo_find(gpu, buffer);
	if (*out == NULL) {
		*out = fresh;
		tree_insert(&gpu->bos, &fresh->node, bo_compare);
	}
	pthread_mutex_unlock(&gpu->bo_lock);
	if (*out != fresh) {
		bo_destroy(fresh);
	}
	return 0;
}

/* ---- Mapping: the reservation is locked ---------------------------------------------------- */

/* With the reservation locked, what the buffer's rights allow by now. */
static enum stile_direction bo_direction(const struct bo *bo) {
	bo->attachment->usage = bo_usage(bo);
	switch (bo->attachment->usage) {
	case STILE_USAGE_READ:
		return STILE_TO_DEVICE;
	case STILE_USAGE_WRITE:
		return STILE_FROM_DEVICE;
	default:
		return STILE_BIDIRECTIONAL;
	}
}

int bo_map(struct bo *bo) {
	enum stile_direction direction = bo_direction(bo);
	bo_reap(bo);
	if (bo->current != NULL && bo->current->direction == direction) {
		return 0;
	}
	struct bo_mapping *mapping = malloc(sizeof(*mapping));
	if (mapping == NULL) {
		return -ENOMEM;
	}
	const struct stile_sg *sg;
	int ret = stile_attachment_map(bo->attachment, direction, INT64_MAX, NULL, &sg);
	if (ret == -EACCES && bo_direction(bo) != direction) {
		/* It was sealed against writing, as is known by now: reading may be all that is wanted. */
		direction = bo_direction(bo);
		ret = stile_attachment_map(bo->attachment, direction, INT64_MAX, NULL, &sg);
	}
	if (ret < 0) {
		free(mapping);
		return ret;
	}
	bo_retire(bo);
	/* The engines are the device, and may look behind the device's view. */
	*mapping = (struct bo_mapping){
		.sg = (struct stile_sg *)(uintptr_t)sg,
		.direction = direction,
	};
	bo->current = mapping;
	return 0;
}

void bo_hold(struct bo *bo, struct bo_hold *hold) {
	struct bo_mapping *mapping = bo->current;
	__atomic_fetch_add(&mapping->holds, 1, __ATOMIC_RELAXED);
	*hold = (struct bo_hold){
		.sg = mapping->sg,
		.bo = bo,
		.mapping = mapping,
	};
}

void bo_unhold(struct bo_hold *hold) {
	if (hold->sg == NULL) {
		return;
	}
	struct bo *bo = hold->bo;
	__atomic_fetch_sub(&hold->mapping->holds, 1, __ATOMIC_SEQ_CST);
	hold->sg = NULL;
	/* Else the next one who has the lock does it. */
	if (__atomic_load_n(&bo->old_count, __ATOMIC_SEQ_CST) > 0 &&
		stile_resv_trylock(bo->buffer->resv) == 0) {
		bo_reap(bo);
		stile_resv_unlock(bo->buffer->resv);
	}
}

/* With the table's lock, and a reference on the buffer. */
static void bo_try_reap(struct bo *bo) {
	if (stile_resv_trylock(bo->buffer->resv) == 0) {
		bo_reap(bo);
		stile_resv_unlock(bo->buffer->resv);
	}
}

void bo_reap_all(struct swgpu *gpu) {
	struct stile_buffer *used[REAP_AT_ONCE];
	size_t count = 0;
	pthread_mutex_lock(&gpu->bo_lock);
	for (struct tree_node *node = tree_first(&gpu->bos); node != NULL && count < REAP_AT_ONCE;
		node = tree_next(node)) {
		struct bo *bo = CONTAINER_OF(node, struct bo, node);
		if (__atomic_load_n(&bo->old_count, __ATOMIC_SEQ_CST) > 0 &&
			buffer_try_ref(bo->buffer)) {
			used[count++] = bo->buffer;
			bo_try_reap(bo);
		}
	}
	pthread_mutex_unlock(&gpu->bo_lock);
	while (count > 0) {
		stile_buffer_unref(used[--count]);
	}
}

/* ---- The end ------------------------------------------------------------------------------- */

void bo_drop_all(struct swgpu *gpu) {
	struct tree_node *node;
	pthread_mutex_lock(&gpu->bo_lock);
	while ((node = tree_first(&gpu->bos)) != NULL) {
		struct bo *bo = CONTAINER_OF(node, struct bo, node);
		struct stile_buffer *buffer = bo->buffer;
		tree_remove(&gpu->bos, node);
		/* One whose last reference is just going is undone by whoever drops that. */
		if (buffer_try_ref(buffer)) {
			pthread_mutex_unlock(&gpu->bo_lock);
			bo_destroy(bo);
			stile_buffer_unref(buffer);
			pthread_mutex_lock(&gpu->bo_lock);
		}
	}
	pthread_mutex_unlock(&gpu->bo_lock);
}
