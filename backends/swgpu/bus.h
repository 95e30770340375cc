/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_BUS_H
#define BACKENDS_SWGPU_BUS_H

/*
 * What a device sees of memory: addresses, and behind them what scatter lists mapped. Engines reach
 * memory through bus_access() and bus_open() only. Lives as long as the device's last reference.
 * Thread-safe; the lock is a leaf, held while memory is touched by address.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/report.h>
#include <stile/sg.h>
#include <stile/swgpu_test.h>

#include "backends/swgpu/profile.h"

struct bus;

enum bus_access { BUS_READ = 1, BUS_WRITE = 2 };

/** Why an access was refused. */
struct bus_fault {
	enum stile_swgpu_fault_reason reason;
	bool write;
	uint64_t address;
};

int bus_create(const struct profile *profile, struct bus **out);
void bus_destroy(struct bus *bus);

/**
 * The backend's sg_map op, for a table without segments: make them. Ranges of unknown address get
 * addresses of their own: behind an IOMMU, where the profile says so, as all ranges do; else above
 * 4 GiB, one run a range, as if by chance. The same memory may be in several tables, as the same
 * segments; an access goes to one that allows it. What the CPU cannot reach can be mapped, but an
 * access to it is a fault (STILE_SWGPU_FAULT_UNKNOWN): there is nothing that an engine could touch.
 *
 * `why` is filled in whatever it is that fails.
 *
 * @retval -ERANGE  the segments are not what the profile says that the device takes
 * @retval -ENOSPC  no addresses left
 * @retval -EINVAL  a part of a segment is mapped already, as a part of another one
 * @retval -ENOMEM  out of memory
 */
int bus_map(struct bus *bus, struct stile_sg *sg, struct stile_report *why);
/**
 * The table goes: what the device has written is in memory, its addresses are free, and known as freed
 * to whoever still uses them, until they are mapped again. Nothing to do if it was never mapped.
 */
void bus_free(struct bus *bus, struct stile_sg *sg);

/**
 * Without a coherent cache: before the CPU touches memory, what the device has written goes there
 * (`for_cpu`); after it did, the device forgets what it has read. Nothing to do for a coherent one.
 * Bytes of the table's memory, within it; the lines that they are in, as a whole.
 *
 * What the device has written is never forgotten, but written back first in either case, and byte by
 * byte: nothing beside it is touched. Whoever takes a right to access away does so before this, so
 * that it sees all accesses by address.
 */
void bus_sync(struct bus *bus, struct stile_sg *sg, uint64_t offset, uint64_t bytes, bool for_cpu);

/**
 * Touch memory by address, any length, over segment borders: copy from `memory` to the bus
 * (BUS_WRITE) or from the bus to `memory` (BUS_READ). False: a fault; what was before it is done.
 */
bool bus_access(struct bus *bus, uint64_t address, void *memory, uint64_t bytes,
	enum bus_access access, struct bus_fault *fault);

/** Bytes of a mapped table, as one piece of memory for an engine. */
struct bus_window {
	uint8_t *memory;
	/* private */
	struct stile_sg *sg;
	uint64_t offset;
	uint64_t bytes;
	uint32_t access;
	bool bounced; /* `memory` is a copy that goes back when it is closed */
};

/**
 * Reach bytes of a table by one pointer: the memory itself where it is in one piece for the CPU and
 * the device has no cache of its own, else a copy. The caller sees to it that the table stays mapped
 * until it is closed.
 *
 * 0; -EFAULT: not mapped for that, `fault` says more; -ENOMEM.
 *
 * @param bytes   above 0, and within the table
 * @param access  BUS_READ, BUS_WRITE or both. Of a copy that is only written, all goes back, with what was
 *                there where nothing was written; with both, only what has changed does
 */
int bus_open(struct bus *bus, struct stile_sg *sg, uint64_t offset, uint64_t bytes, uint32_t access,
	struct bus_window *window, struct bus_fault *fault);
/** What was written is where it belongs afterwards: in memory, or in the device's cache. */
void bus_close(struct bus *bus, struct bus_window *window);

#endif
