/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/cache.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "src/os.h"

/* One bit a byte, the lowest for the first. */
struct line {
	uint64_t valid;
	uint64_t dirty; /* of those */
};

_Static_assert(CACHE_LINE == 64, "one bit a byte");

struct cache {
	uint32_t lock;
	/* Under the lock. */
	uint8_t *bytes;
	struct line *lines;
};

int cache_create(uint64_t bytes, struct cache **out) {
	assert(bytes % CACHE_LINE == 0);
	*out = NULL;
	struct cache *cache = calloc(1, sizeof(*cache));
	if (cache == NULL) {
		return -ENOMEM;
	}
	cache->bytes = malloc((size_t)bytes);
	cache->lines = calloc((size_t)(bytes / CACHE_LINE), sizeof(*cache->lines));
	if (cache->bytes == NULL || cache->lines == NULL) {
		cache_destroy(cache);
		return -ENOMEM;
	}
	*out = cache;
	return 0;
}

void cache_destroy(struct cache *cache) {
	if (cache == NULL) {
		return;
	}
	free(cache->bytes);
	free(cache->lines);
	free(cache);
}

/* Copy those bytes, of a line at most, that have their bit set. */
static void copy_masked(uint8_t *to, const uint8_t *from, uint64_t mask) {
	if (mask == UINT64_MAX) {
		memcpy(to, from, CACHE_LINE);
		return;
	}
	for (unsigned i = 0; mask != 0; i++, mask >>= 1) {
		if ((mask & 1) != 0) {
			to[i] = from[i];
		}
	}
}

/* The line of the next bytes, and which of its bytes they are. */
struct part {
	uint64_t line;
	unsigned first, count;
	uint64_t mask;
};

static struct part part_of(uint64_t offset, uint64_t bytes) {
	unsigned first = (unsigned)(offset % CACHE_LINE);
	unsigned rest = CACHE_LINE - first;
	unsigned count = bytes < rest ? (unsigned)bytes : rest;
	assert(count > 0);
	return (struct part){
		.line = offset / CACHE_LINE,
		.first = first,
		.count = count,
		.mask = (UINT64_MAX >> (CACHE_LINE - count)) << first,
	};
}

void cache_read(
	struct cache *cache, uint64_t offset, const uint8_t *memory, uint8_t *to, uint64_t bytes) {
	os_lock(&cache->lock);
	while (bytes > 0) {
		struct part part = part_of(offset, bytes);
		struct line *line = &cache->lines[part.line];
		uint8_t *known = cache->bytes + part.line * CACHE_LINE;
		if (line->valid != UINT64_MAX) {
			copy_masked(known, memory - part.first, ~line->valid);
			line->valid = UINT64_MAX;
		}
		memcpy(to, known + part.first, part.count);
		offset += part.count;
		memory += part.count;
		to += part.count;
		bytes -= part.count;
	}
	os_unlock(&cache->lock);
}

static uint64_t changes(const uint8_t *now, const uint8_t *before, const struct part *part) {
	uint64_t mask = 0;
	for (unsigned i = 0; i < part->count; i++) {
		mask |= (uint64_t)(now[i] != before[i]) << (part->first + i);
	}
	return mask;
}

void cache_write(struct cache *cache, uint64_t offset, const uint8_t *from, const uint8_t *before,
	uint64_t bytes) {
	os_lock(&cache->lock);
	while (bytes > 0) {
		struct part part = part_of(offset, bytes);
		struct line *line = &cache->lines[part.line];
		uint64_t mask = part.mask;
		if (before != NULL) {
			mask = changes(from, before, &part);
			before += part.count;
		}
		uint8_t *known = cache->bytes + part.line * CACHE_LINE + part.first;
		copy_masked(known, from, mask >> part.first);
		line->valid |= mask;
		line->dirty |= mask;
		offset += part.count;
		from += part.count;
		bytes -= part.count;
	}
	os_unlock(&cache->lock);
}

/* A clean line costs a look at two words. */
static void sync_lines(
	struct cache *cache, uint64_t offset, uint8_t *memory, uint64_t bytes, bool drop) {
	os_lock(&cache->lock);
	while (bytes > 0) {
		struct part part = part_of(offset, bytes);
		struct line *line = &cache->lines[part.line];
		if (line->dirty != 0) {
			copy_masked(memory - part.first, cache->bytes + part.line * CACHE_LINE,
				line->dirty);
			line->dirty = 0;
		}
		if (drop) {
			line->valid = 0;
		}
		offset += part.count;
		memory += part.count;
		bytes -= part.count;
	}
	os_unlock(&cache->lock);
}

void cache_write_back(struct cache *cache, uint64_t offset, uint8_t *memory, uint64_t bytes) {
	sync_lines(cache, offset, memory, bytes, false);
}

void cache_drop(struct cache *cache, uint64_t offset, uint8_t *memory, uint64_t bytes) {
	sync_lines(cache, offset, memory, bytes, true);
}
