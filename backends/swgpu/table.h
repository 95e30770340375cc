/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_TABLE_H
#define BACKENDS_SWGPU_TABLE_H

/*
 * A scatter list that a bus has mapped: stile_sg.bus. What the device sees of it is made here, and its
 * bytes are read and written here; who may do so, and by which address, is bus.c's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/report.h>
#include <stile/sg.h>

#include "backends/swgpu/profile.h"
#include "src/tree.h"

struct cache;
struct frames_run;

/** A segment, where it is found by address. */
struct piece {
	struct tree_node node; /* zeroed: it is for whoever looks pieces up */
	const struct table *table;
	uint64_t address;
	uint64_t bytes;
	uint64_t offset; /* of the table's bytes */
};

/** Bytes that are in one piece for the CPU. */
struct stretch {
	uint8_t *memory; /* NULL: it cannot reach them */
	uint64_t offset; /* of the table's bytes */
	uint64_t bytes;
};

/** Does not change but for the cache, which has a lock. */
struct table {
	struct stile_sg *sg;
	struct piece *pieces; /* as many as sg has segments, in their order */
	struct stretch *stretches;
	size_t stretch_count;
	struct cache *cache;      /* NULL: the device's is coherent */
	struct frames_run **made; /* one a range: an address for one that had none, else NULL */
};

/** How segments have to be aligned. */
uint64_t table_get_align(const struct profile *profile);

/**
 * Make a table, and the segments of `sg`.
 *
 * @param base  where an IOMMU shows all of it; 0: it is where its ranges are
 * @retval -ERANGE  the device does not take such segments: `why` says it
 * @retval -ENOSPC  no addresses for what has none
 * @retval -ENOMEM  out of memory
 */
int table_create(const struct profile *profile, struct stile_sg *sg, uint64_t base,
	struct stile_report *why, struct table **out);
/** The segments go too. */
void table_destroy(struct table *table);

/** The part of the bytes in one piece that this one is in. */
const struct stretch *table_get_stretch(const struct table *table, uint64_t offset);

/*
 * Bytes as the device sees them: of memory that the CPU can reach. Locks are held for a MiB at a time.
 */
void table_read(const struct table *table, uint64_t offset, uint8_t *to, uint64_t bytes);
/** @param before  NULL; or what the bytes were: those that are the same now are not written */
void table_write(const struct table *table, uint64_t offset, const uint8_t *from,
	const uint8_t *before, uint64_t bytes);
/** What is in the cache goes to memory; and the cache forgets it, unless that is `for_cpu`. */
void table_sync(const struct table *table, uint64_t offset, uint64_t bytes, bool for_cpu);

#endif
