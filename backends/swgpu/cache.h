/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_CACHE_H
#define BACKENDS_SWGPU_CACHE_H

/*
 * What a device without a coherent cache knows of one table's memory. What it has read once it does not
 * look at again, and what it writes does not reach memory, until somebody says so.
 *
 * Memory is read by lines, but which bytes the device has written is known for each: those alone are
 * written back, so what the CPU has written beside them, in the same line, is never lost.
 *
 * `memory` is where the bytes from `offset` on are; whole lines around them are there too.
 * Thread-safe; the lock is a leaf.
 */

#include <stdint.h>

struct cache;

enum { CACHE_LINE = 64 };

/** For this many bytes, a multiple of CACHE_LINE; it knows none of them. 0 or -ENOMEM. */
int cache_create(uint64_t bytes, struct cache **out);
/** What is not written back is lost. NULL is ignored. */
void cache_destroy(struct cache *cache);

/** The device reads: lines that it does not know yet come from memory. */
void cache_read(
	struct cache *cache, uint64_t offset, const uint8_t *memory, uint8_t *to, uint64_t bytes);

/**
 * The device writes: memory stays as it is.
 *
 * @param before  NULL; or what is not written: a byte that is equal there is left alone
 */
void cache_write(struct cache *cache, uint64_t offset, const uint8_t *from, const uint8_t *before,
	uint64_t bytes);

/** Lines with any of these bytes: what the device has written goes to memory. */
void cache_write_back(struct cache *cache, uint64_t offset, uint8_t *memory, uint64_t bytes);
/** The same, and then it forgets them. */
void cache_drop(struct cache *cache, uint64_t offset, uint8_t *memory, uint64_t bytes);

#endif
