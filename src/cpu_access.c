/* SPDX-License-Identifier: MIT */
/* How the CPU gets at a buffer: KERNEL_CONTRACT section 11, and of section 21 ranges and kmap. */
#include <errno.h>
#include <stdlib.h>

#include <stile/buffer_old.h>
#include <stile/fence.h>

#include "src/attachment.h"
#include "src/buffer.h"
#include "src/check.h"
#include "src/device.h"
#include "src/format.h"
#include "src/handoff.h"
#include "src/os.h"
#include "src/outside.h"
#include "src/resv.h"
#include "src/wait.h"

/* ---- Brackets ------------------------------------------------------------------------------ */

void buffer_sync(struct stile_buffer *buffer, const struct stile_device *but, uint64_t offset,
	uint64_t bytes, bool for_cpu) {
	if (__atomic_load_n(&buffer->cached_count, __ATOMIC_SEQ_CST) == 0 || bytes == 0) {
		return;
	}
	pthread_mutex_lock(&buffer->lock);
	for (struct attachment_map *map = buffer->cached; map != NULL; map = map->next_cached) {
		struct stile_device *device = map->cached_by;
		/* A table may be longer, never shorter: it is whole pages. */
		if (device != but && (!for_cpu || map->direction != STILE_TO_DEVICE)) {
			device->ops->sg_sync(device, map->sg, offset, bytes, for_cpu);
		}
	}
	pthread_mutex_unlock(&buffer->lock);
}

static enum stile_direction direction_of(uint32_t usage) {
	switch (usage) {
	case STILE_USAGE_READ:
		return STILE_FROM_DEVICE;
	case STILE_USAGE_WRITE:
		return STILE_TO_DEVICE;
	default:
		return STILE_BIDIRECTIONAL;
	}
}

static int check_bracket(
	const struct stile_buffer *buffer, uint32_t usage, uint64_t offset, uint64_t bytes) {
	if (!buffer_usage_is_valid(usage)) {
		return -EINVAL;
	}
	return offset > buffer->bytes || bytes > buffer->bytes - offset ? -ERANGE : 0;
}

/*
 * What the kernel has the CPU wait for in a bracket cannot time out nor be cancelled: of memory that others
 * use, all is waited for before.
 */
static int wait_for_outside(struct stile_buffer *buffer, uint32_t usage, int64_t deadline_ns,
	struct stile_cancel *cancel, const void *place) {
	struct stile_fence *fence;
	int ret = outside_pull(buffer, usage, false, &fence);
	if (ret == 0 && fence != NULL) {
		check_wait();
		ret = fence_wait_all_at(&fence, 1, deadline_ns, cancel, place);
		stile_fence_unref(fence);
	}
	return ret;
}

static int end_in_exporter(
	struct stile_buffer *buffer, uint32_t usage, uint64_t offset, uint64_t bytes) {
	return buffer->ops->end_cpu_access == NULL
		? 0
		: buffer->ops->end_cpu_access(buffer, direction_of(usage), offset, bytes);
}

/* P-1: the exporter first, then the fences; only then is there something for devices to write back. */
static int begin_at(struct stile_buffer *buffer, uint32_t usage, uint64_t offset, uint64_t bytes,
	int64_t deadline_ns, struct stile_cancel *cancel, const void *place) {
	int ret = check_bracket(buffer, usage, offset, bytes);
	if (ret == 0 && deadline_ns < 0) {
		ret = -EINVAL;
	}
	if (ret < 0) {
		return ret;
	}
	buffer_is_locked_by_caller(buffer, "CPU access is begun");
	ret = wait_for_outside(buffer, usage, deadline_ns, cancel, place);
	if (ret == 0 && buffer->ops->begin_cpu_access != NULL) {
		ret = buffer->ops->begin_cpu_access(buffer, direction_of(usage), offset, bytes);
	}
	bool begun = ret == 0;
	if (ret == 0) {
		ret = resv_wait_at(buffer->resv,
			stile_resv_usage_rw((usage & STILE_USAGE_WRITE) != 0), deadline_ns, cancel,
			place);
	}
	if (ret == 0) {
		/* What shares a cache line with what is written must be there, too. */
		buffer_sync(buffer, NULL, offset, bytes, true);
		handoff_cpu_begin(buffer, usage, place);
	} else if (begun) {
		/* The caller ends only what he was told to go on with. */
		(void)end_in_exporter(buffer, usage, offset, bytes);
	}
	return ret;
}

static int end_at(struct stile_buffer *buffer, uint32_t usage, uint64_t offset, uint64_t bytes,
	const void *place) {
	int ret = check_bracket(buffer, usage, offset, bytes);
	if (ret < 0) {
		return ret;
	}
	buffer_is_locked_by_caller(buffer, "CPU access is ended");
	handoff_cpu_end(buffer, usage, place);
	if ((usage & STILE_USAGE_WRITE) != 0) {
		buffer_sync(buffer, NULL, offset, bytes, false);
	}
	return end_in_exporter(buffer, usage, offset, bytes);
}

int stile_buffer_begin_cpu_access(struct stile_buffer *buffer, uint32_t usage, int64_t deadline_ns,
	struct stile_cancel *cancel) {
	return begin_at(
		buffer, usage, 0, buffer->bytes, deadline_ns, cancel, __builtin_return_address(0));
}

int stile_buffer_end_cpu_access(struct stile_buffer *buffer, uint32_t usage) {
	return end_at(buffer, usage, 0, buffer->bytes, __builtin_return_address(0));
}

int stile_buffer_begin_cpu_access_range(struct stile_buffer *buffer, uint32_t usage,
	uint64_t offset, uint64_t bytes, int64_t deadline_ns, struct stile_cancel *cancel) {
	return begin_at(
		buffer, usage, offset, bytes, deadline_ns, cancel, __builtin_return_address(0));
}

int stile_buffer_end_cpu_access_range(
	struct stile_buffer *buffer, uint32_t usage, uint64_t offset, uint64_t bytes) {
	return end_at(buffer, usage, offset, bytes, __builtin_return_address(0));
}

/* ---- Mappings ------------------------------------------------------------------------------ */

/* P-5: whole pages that the buffer fills. */
static int check_pages(const struct stile_buffer *buffer, uint64_t offset, uint64_t bytes) {
	uint64_t page = os_page_size();
	if (offset % page != 0 || bytes % page != 0 || bytes == 0) {
		return -EINVAL;
	}
	if (bytes > UINT64_MAX - offset) {
		return -EOVERFLOW;
	}
	return offset + bytes > buffer->bytes / page * page ? -EINVAL : 0;
}

static int map_pages(struct stile_buffer *buffer, uint32_t usage, uint64_t offset, uint64_t bytes,
	void **address) {
	if ((usage & ~buffer_get_usage(buffer)) != 0) {
		return -EACCES;
	}
	if (buffer_is_locked_by_caller(buffer, "a buffer is mapped for the CPU (mmap)")) {
		return -EDEADLK;
	}
	struct buffer_mapping *mapping = malloc(sizeof(*mapping));
	if (mapping == NULL) {
		return -ENOMEM;
	}
	__atomic_fetch_add(&buffer->mapped, 1, __ATOMIC_SEQ_CST);
	int ret = buffer->ops->mmap(buffer, usage, offset, bytes, &mapping->address);
	if (ret < 0) {
		__atomic_fetch_sub(&buffer->mapped, 1, __ATOMIC_SEQ_CST);
		free(mapping);
		return ret;
	}
	mapping->bytes = bytes;
	stile_buffer_ref(buffer);
	*address = mapping->address;
	/* From here on it may be anybody's who has the same address. */
	pthread_mutex_lock(&buffer->lock);
	mapping->next = buffer->mappings;
	buffer->mappings = mapping;
	pthread_mutex_unlock(&buffer->lock);
	return 0;
}

int stile_buffer_mmap_range(struct stile_buffer *buffer, uint32_t usage, uint64_t offset,
	uint64_t bytes, void **address) {
	*address = NULL;
	if (!buffer_usage_is_valid(usage) || buffer->ops->mmap == NULL) {
		return -EINVAL;
	}
	int ret = check_pages(buffer, offset, bytes);
	return ret < 0 ? ret : map_pages(buffer, usage, offset, bytes, address);
}

int stile_buffer_mmap(struct stile_buffer *buffer, uint32_t usage, void **address) {
	*address = NULL;
	uint64_t bytes;
	if (!buffer_usage_is_valid(usage) || buffer->ops->mmap == NULL) {
		return -EINVAL;
	}
	if (!format_align(buffer->bytes, os_page_size(), &bytes)) {
		return -ENOMEM;
	}
	return map_pages(buffer, usage, 0, bytes, address);
}

/* Take one out of the list. */
static struct buffer_mapping *mapping_take(struct stile_buffer *buffer, const void *address) {
	pthread_mutex_lock(&buffer->lock);
	struct buffer_mapping **link = &buffer->mappings, *mapping;
	while ((mapping = *link) != NULL && mapping->address != address) {
		link = &mapping->next;
	}
	if (mapping != NULL) {
		*link = mapping->next;
	}
	pthread_mutex_unlock(&buffer->lock);
	return mapping;
}

void stile_buffer_munmap(struct stile_buffer *buffer, void *address) {
	struct buffer_mapping *mapping = mapping_take(buffer, address);
	if (mapping == NULL) {
		check_warn("%p is unmapped, which is no mapping of that buffer", address);
		return;
	}
	if (buffer->ops->munmap != NULL) {
		buffer->ops->munmap(buffer, mapping->address, mapping->bytes);
	}
	free(mapping);
	__atomic_fetch_sub(&buffer->mapped, 1, __ATOMIC_SEQ_CST);
	stile_buffer_unref(buffer);
}

/* ---- All of it at one address -------------------------------------------------------------- */

int stile_buffer_vmap(struct stile_buffer *buffer, struct stile_map *map) {
	*map = (struct stile_map){ 0 };
	int ret = buffer_check_locked(buffer, "a buffer is mapped for the CPU (vmap)");
	if (ret < 0) {
		return ret;
	}
	if (buffer->ops->vmap == NULL) {
		return -EINVAL;
	}
	if (buffer->vmaps == 0) {
		ret = buffer->ops->vmap(buffer, &buffer->vmap);
		if (ret < 0) {
			buffer->vmap = (struct stile_map){ 0 };
			return ret;
		}
	}
	buffer->vmaps++;
	stile_buffer_ref(buffer);
	*map = buffer->vmap;
	return 0;
}

/* With the reservation locked. Whether there was one, whose reference is now the caller's. */
static bool vunmap_one(struct stile_buffer *buffer, const struct stile_map *map) {
	if (buffer->vmaps == 0 || map->address != buffer->vmap.address ||
		map->is_io != buffer->vmap.is_io) {
		check_warn("vunmap of %p, %s", map->address,
			buffer->vmaps == 0 ? "of a buffer that has no vmap"
					   : "which is not where the buffer is");
		return false;
	}
	if (--buffer->vmaps == 0) {
		if (buffer->ops->vunmap != NULL) {
			buffer->ops->vunmap(buffer, &buffer->vmap);
		}
		buffer->vmap = (struct stile_map){ 0 };
	}
	return true;
}

void stile_buffer_vunmap(struct stile_buffer *buffer, const struct stile_map *map) {
	/* The caller, who unlocks it, has a reference: this cannot be the last one. */
	if (buffer_check_locked(buffer, "a buffer is unmapped from the CPU (vunmap)") == 0 &&
		vunmap_one(buffer, map)) {
		stile_buffer_unref(buffer);
	}
}

int stile_buffer_vmap_unlocked(struct stile_buffer *buffer, struct stile_map *map) {
	*map = (struct stile_map){ 0 };
	int ret = buffer_lock(buffer);
	if (ret == 0) {
		ret = stile_buffer_vmap(buffer, map);
		stile_resv_unlock(buffer->resv);
	}
	return ret;
}

void stile_buffer_vunmap_unlocked(struct stile_buffer *buffer, const struct stile_map *map) {
	if (buffer_lock(buffer) < 0) {
		return;
	}
	bool taken = vunmap_one(buffer, map);
	stile_resv_unlock(buffer->resv);
	if (taken) {
		stile_buffer_unref(buffer);
	}
}

/* ---- One page ------------------------------------------------------------------------------ */

int stile_buffer_kmap(struct stile_buffer *buffer, uint64_t page, void **address) {
	*address = NULL;
	uint64_t bytes = os_page_size();
	if (page >= buffer->bytes / bytes) {
		return -ERANGE;
	}
	struct stile_map map;
	int ret = stile_buffer_vmap_unlocked(buffer, &map);
	if (ret == 0) {
		*address = (uint8_t *)map.address + page * bytes;
	}
	return ret;
}

void stile_buffer_kunmap(struct stile_buffer *buffer, uint64_t page, void *address) {
	uint64_t bytes = os_page_size();
	if (page >= buffer->bytes / bytes) {
		check_warn(
			"kunmap of page %llu, which the buffer has not", (unsigned long long)page);
		return;
	}
	if (buffer_lock(buffer) < 0) {
		return;
	}
	const struct stile_map map = {
		.address = (uint8_t *)address - page * bytes,
		.is_io = buffer->vmap.is_io,
	};
	bool taken = vunmap_one(buffer, &map);
	stile_resv_unlock(buffer->resv);
	if (taken) {
		stile_buffer_unref(buffer);
	}
}
