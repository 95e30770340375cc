/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/storage.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stile/buffer.h>

#include "backends/swgpu/arena.h"
#include "backends/swgpu/bo.h"
#include "backends/swgpu/fault.h"
#include "backends/swgpu/frames.h"
#include "backends/swgpu/swgpu.h"
#include "src/os.h"
#include "src/sg.h"

/* ---- Making -------------------------------------------------------------------------------- */

static int storage_alloc(struct swgpu *gpu, uint64_t bytes, struct storage **out) {
	struct storage *storage = calloc(1, sizeof(*storage));
	*out = storage;
	if (storage == NULL) {
		return -ENOMEM;
	}
	storage->refs = 1;
	storage->gpu = gpu;
	storage->bytes = (bytes + os_page_size() - 1) & ~(os_page_size() - 1);
	storage->read_fd = -1;
	storage->write_fd = -1;
	return 0;
}

int storage_create_local(struct swgpu *gpu, uint64_t bytes, struct storage **out) {
	*out = NULL;
	struct storage *storage;
	int ret = gpu->arena == NULL ? -ENOSPC : storage_alloc(gpu, bytes, &storage);
	if (ret < 0) {
		return ret;
	}
	storage->placement = STILE_SWGPU_LOCAL;
	ret = arena_take(gpu->arena, bytes, UINT64_MAX, &storage->offset);
	if (ret == -ENOSPC) {
		bo_reap_all(gpu);
		ret = arena_take(gpu->arena, bytes, UINT64_MAX, &storage->offset);
	}
	if (ret < 0) {
		free(storage);
		return ret;
	}
	storage->memory = arena_get_memory(gpu->arena, storage->offset);
	*out = storage;
	return 0;
}

int storage_create_system(struct swgpu *gpu, const char *name, uint64_t bytes,
	const struct stile_constraints *constraints, struct storage **out) {
	*out = NULL;
	struct storage *storage;
	int ret = storage_alloc(gpu, bytes, &storage);
	if (ret < 0) {
		return ret;
	}
	storage->placement = STILE_SWGPU_SYSTEM;
	const struct frames_want want = {
		.bytes = bytes,
		.address_bits = constraints->address_bits == 0 ? 64 : constraints->address_bits,
		.max_segments = constraints->max_segments,
		.segment_align = constraints->segment_align,
		.max_segment = constraints->max_segment,
		.run = (uint64_t)gpu->profile.frame_run * os_page_size(),
	};
	ret = frames_take(&want, &storage->runs, &storage->run_count);
	if (ret == 0) {
		ret = storage->write_fd = os_memfd_create(name[0] == '\0' ? "stile" : name, bytes);
	}
	if (ret >= 0) {
		ret = storage_map(storage);
	}
	if (ret < 0) {
		storage_unref(storage);
		return ret;
	}
	*out = storage;
	return 0;
}

int storage_create_import(
	struct swgpu *gpu, int fd, uint64_t bytes, bool writable, struct storage **out) {
	struct storage *storage;
	int ret = storage_alloc(gpu, bytes, &storage);
	if (ret < 0) {
		close(fd);
		*out = NULL;
		return ret;
	}
	storage->placement = STILE_SWGPU_SYSTEM;
	*(writable ? &storage->write_fd : &storage->read_fd) = fd;
	*out = storage;
	return 0;
}

/* ---- Life ---------------------------------------------------------------------------------- */

struct storage *storage_ref(struct storage *storage) {
	__atomic_fetch_add(&storage->refs, 1, __ATOMIC_RELAXED);
	return storage;
}

void storage_unref(struct storage *storage) {
	if (storage == NULL || __atomic_fetch_sub(&storage->refs, 1, __ATOMIC_ACQ_REL) != 1) {
		return;
	}
	struct storage_table *table;
	while ((table = storage->tables) != NULL) {
		storage->tables = table->next;
		stile_sg_destroy(table->sg);
		free(table);
	}
	if (storage->placement == STILE_SWGPU_LOCAL) {
		arena_give(storage->gpu->arena, storage->offset, storage->bytes);
	} else if (storage->memory != NULL) {
		munmap(storage->memory, (size_t)storage->bytes);
	}
	if (storage->read_fd >= 0) {
		close(storage->read_fd);
	}
	if (storage->write_fd >= 0) {
		close(storage->write_fd);
	}
	frames_give(storage->runs, storage->run_count);
	free(storage);
}

/* ---- Where it is --------------------------------------------------------------------------- */

static bool run_fits(const struct frames_run *run, bool last, const struct stile_constraints *need,
	const char **why_not) {
	uint64_t align = need->segment_align == 0 ? 1 : need->segment_align;
	if (need->address_bits != 0 && need->address_bits < 64 &&
		(run->address + run->bytes - 1) >> need->address_bits != 0) {
		*why_not = "its addresses are too wide";
	} else if (run->address % align != 0 || (!last && run->bytes % align != 0)) {
		*why_not = "its pieces are not aligned enough";
	} else {
		return true;
	}
	return false;
}

/* One piece, of which the bus makes no smaller ones than the device needs. */
static bool local_fits(
	const struct storage *storage, const struct stile_constraints *need, const char **why_not) {
	const struct frames_run run = {
		.address = arena_get_address(storage->gpu->arena, storage->offset),
		.bytes = storage->bytes,
	};
	uint64_t own = storage->gpu->profile.max_segment;
	*why_not = "it is in one piece, which is too long";
	return (need->max_segment == 0 || need->max_segment == own ||
		       storage->bytes <= need->max_segment) &&
		run_fits(&run, true, need, why_not);
}

/* Of memory that came by descriptor it is known that it is above 4 GiB, in pages. */
static bool is_picky(const struct stile_constraints *need) {
	return (need->address_bits != 0 && need->address_bits <= 32) ||
		need->segment_align > os_page_size();
}

bool storage_fits(const struct storage *storage, const struct stile_constraints *need, bool owner,
	const char **why_not) {
	*why_not = "it is in another device's own memory";
	if (storage->placement == STILE_SWGPU_LOCAL) {
		return owner ? local_fits(storage, need, why_not) : false;
	}
	if (storage->runs == NULL) {
		*why_not = "it came by descriptor, so nobody knows its addresses";
		return !is_picky(need);
	}
	uint64_t segments = 0;
	for (size_t i = 0; i < storage->run_count; i++) {
		if (!run_fits(&storage->runs[i], i + 1 == storage->run_count, need, why_not)) {
			return false;
		}
		uint64_t most = need->max_segment == 0 ? UINT64_MAX : need->max_segment;
		segments += (storage->runs[i].bytes - 1) / most + 1;
	}
	*why_not = "it is in too many pieces";
	return need->max_segments == 0 || segments <= need->max_segments;
}

int storage_get_fd(const struct storage *storage, uint32_t usage) {
	int read_fd = __atomic_load_n(&storage->read_fd, __ATOMIC_ACQUIRE);
	int write_fd = __atomic_load_n(&storage->write_fd, __ATOMIC_ACQUIRE);
	/* Whoever only reads gets no right to write, where there is a way. */
	return (usage & STILE_USAGE_WRITE) != 0 || read_fd < 0 ? write_fd : read_fd;
}

/* With the lock: all of the file, at a place or anywhere. */
static int map_file(struct storage *storage, void *place, int fd, bool writable) {
	if (storage->bytes > SIZE_MAX) {
		return -ENOMEM;
	}
	void *memory = mmap(place, (size_t)storage->bytes, PROT_READ | (writable ? PROT_WRITE : 0),
		MAP_SHARED | (place != NULL ? MAP_FIXED : 0), fd, 0);
	if (memory == MAP_FAILED) {
		return errno == EPERM ? -EACCES : -ENOMEM;
	}
	if (place == NULL) {
		storage->memory = memory;
	}
	return 0;
}

int storage_map(struct storage *storage) {
	int ret = 0;
	os_lock(&storage->lock);
	if (storage->memory == NULL && storage->write_fd >= 0) {
		ret = map_file(storage, NULL, storage->write_fd, true);
		if (ret == -EACCES) {
			/* It was sealed against writing since it came. */
			ret = map_file(storage, NULL, storage->write_fd, false);
			storage->is_sealed = true;
		}
	} else if (storage->memory == NULL) {
		ret = map_file(storage, NULL, storage->read_fd, false);
	}
	os_unlock(&storage->lock);
	return ret;
}

int storage_adopt_fd(struct storage *storage, int fd, bool writable) {
	int ret = 0, *slot = writable ? &storage->write_fd : &storage->read_fd;
	os_lock(&storage->lock);
	/* Another thread may have been quicker. */
	if (*slot < 0) {
		int copy = os_dup(fd);
		ret = copy < 0 ? copy : 0;
		/* In the place of what could only be read: devices have that address. */
		if (ret == 0 && writable && storage->memory != NULL) {
			ret = map_file(storage, storage->memory, copy, true);
		}
		if (ret == 0) {
			__atomic_store_n(slot, copy, __ATOMIC_RELEASE);
		} else if (copy >= 0) {
			close(copy);
		}
	}
	os_unlock(&storage->lock);
	return ret;
}

/* ---- Scatter lists ------------------------------------------------------------------------- */

static int fill_table(struct storage *storage, struct stile_sg *sg) {
	struct stile_sg_range range = {
		.memory = storage->memory,
		.address = STILE_ADDRESS_UNKNOWN,
		.bytes = storage->bytes,
	};
	if (storage->placement == STILE_SWGPU_LOCAL) {
		range.address = arena_get_address(storage->gpu->arena, storage->offset);
	}
	if (storage->runs == NULL) {
		return stile_sg_append(sg, &range);
	}
	int ret = 0;
	for (size_t i = 0; i < storage->run_count && ret == 0; i++) {
		range.address = storage->runs[i].address;
		range.bytes = storage->runs[i].bytes;
		ret = stile_sg_append(sg, &range);
		range.memory = (uint8_t *)range.memory + range.bytes;
	}
	return ret;
}

int storage_get_table(struct storage *storage, struct stile_device *device, struct stile_sg **out) {
	*out = NULL;
	for (struct storage_table *i = storage->tables; i != NULL; i = i->next) {
		if (i->device == device) {
			*out = i->sg;
			return 0;
		}
	}
	int ret = storage_map(storage);
	if (ret < 0) {
		return ret;
	}
	struct storage_table *table = malloc(sizeof(*table));
	if (table == NULL) {
		return -ENOMEM;
	}
	ret = stile_sg_create(&table->sg);
	if (ret == 0) {
		ret = fill_table(storage, table->sg);
	}
	if (ret < 0) {
		stile_sg_destroy(table->sg);
		free(table);
		return ret;
	}
	table->sg->owner = storage;
	table->device = device;
	table->next = storage->tables;
	storage->tables = table;
	*out = table->sg;
	return 0;
}
