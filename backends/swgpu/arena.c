/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "backends/swgpu/space.h"
#include "src/os.h"

enum { SYSTEM_BITS = 52 }; /* as frames.c has it */

struct arena {
	uint8_t *memory;
	uint64_t bytes;
	uint64_t
		base; /* of its addresses: above all of system memory, or at the end of what there is */
	pthread_mutex_t lock;
	struct space *space;
};

int arena_create(uint64_t bytes, uint32_t address_bits, struct arena **out) {
	*out = NULL;
	struct arena *arena = calloc(1, sizeof(*arena));
	if (arena == NULL) {
		return -ENOMEM;
	}
	arena->bytes = bytes;
	arena->base = address_bits > SYSTEM_BITS ? (uint64_t)1 << SYSTEM_BITS
						 : ((uint64_t)1 << address_bits) - bytes;
	int ret = space_create(0, bytes, &arena->space);
	if (ret < 0) {
		free(arena);
		return ret;
	}
	/* Pages come when they are touched. */
	arena->memory = bytes > SIZE_MAX
		? MAP_FAILED
		: mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena->memory == MAP_FAILED) {
		space_destroy(arena->space);
		free(arena);
		return -ENOMEM;
	}
	pthread_mutex_init(&arena->lock, NULL);
	*out = arena;
	return 0;
}

void arena_destroy(struct arena *arena) {
	if (arena == NULL) {
		return;
	}
	pthread_mutex_destroy(&arena->lock);
	space_destroy(arena->space);
	munmap(arena->memory, (size_t)arena->bytes);
	free(arena);
}

int arena_take(struct arena *arena, uint64_t bytes, uint64_t limit, uint64_t *offset) {
	const struct space_want want = {
		.bytes = bytes,
		.align = os_page_size(),
		.limit = limit < arena->bytes ? limit : arena->bytes,
	};
	pthread_mutex_lock(&arena->lock);
	int ret = space_take(arena->space, &want, offset);
	pthread_mutex_unlock(&arena->lock);
	if (ret == 0) {
		/* What was there before is nobody's business, and its pages are given back. */
		madvise(arena->memory + *offset, (size_t)bytes, MADV_DONTNEED);
	}
	return ret;
}

void arena_give(struct arena *arena, uint64_t offset, uint64_t bytes) {
	pthread_mutex_lock(&arena->lock);
	space_give(arena->space, offset, bytes);
	pthread_mutex_unlock(&arena->lock);
}

uint8_t *arena_get_memory(struct arena *arena, uint64_t offset) {
	return arena->memory + offset;
}

uint64_t arena_get_address(const struct arena *arena, uint64_t offset) {
	return arena->base + offset;
}

void arena_get(struct arena *arena, struct stile_swgpu_memory *memory) {
	pthread_mutex_lock(&arena->lock);
	memory->bytes = arena->bytes;
	memory->used = arena->bytes - space_get_free(arena->space);
	memory->largest = space_get_largest(arena->space);
	pthread_mutex_unlock(&arena->lock);
}
