/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_ARENA_H
#define BACKENDS_SWGPU_ARENA_H

/* The device's own memory, which no descriptor shows. Thread-safe; the lock is a leaf. */

#include <stdint.h>

#include <stile/swgpu_test.h>

struct arena;

/** Of whole pages. 0 or -ENOMEM. */
int arena_create(uint64_t bytes, uint32_t address_bits, struct arena **out);
void arena_destroy(struct arena *arena);

/** The lowest place that ends at `limit` or before. 0, -ENOSPC or -ENOMEM. Zeroed. */
int arena_take(struct arena *arena, uint64_t bytes, uint64_t limit, uint64_t *offset);
void arena_give(struct arena *arena, uint64_t offset, uint64_t bytes);

uint8_t *arena_get_memory(struct arena *arena, uint64_t offset);
/** On the device's bus. */
uint64_t arena_get_address(const struct arena *arena, uint64_t offset);

/** All but `moves`. */
void arena_get(struct arena *arena, struct stile_swgpu_memory *memory);

#endif
