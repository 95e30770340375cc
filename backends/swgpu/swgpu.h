/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_SWGPU_H
#define BACKENDS_SWGPU_SWGPU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <stile/swgpu.h>
#include <stile/swgpu_test.h>

#include "backends/swgpu/profile.h"
#include "src/tree.h"

struct arena;
struct bus;
struct faults;
struct scheduler;
struct trace;

/** The ops table that the core finds this backend by. */
extern const struct stile_backend_ops stile_backend_swgpu;

/**
 * The device's own state. There as long as the device's last reference, for buffers use bus and arena;
 * scheduler and queues as long as the device is open.
 */
struct swgpu {
	struct stile_device *device; /* borrowed: it owns this */
	struct profile profile;
	struct bus *bus;
	struct arena *arena; /* local memory; NULL: none */
	struct faults *faults;
	struct trace *trace;
	struct scheduler *scheduler;
	struct stile_swgpu_queue *queue; /* the first one, for everybody */
	struct stile_swgpu_queue *moves; /* for moves of storage, before all others */
	pthread_mutex_t stop_lock;       /* to submit to it, and to stop; outside the scheduler's */
	uint64_t move_count;             /* by atomic access */
	uint32_t lost;                   /* by atomic access */
	bool stopped;                    /* the device was destroyed; under stop_lock */

	pthread_mutex_t bo_lock;
	struct tree bos; /* under bo_lock: bo.c */
};

/** NULL: a device of another backend. */
struct swgpu *swgpu_get(struct stile_device *device);

static inline bool swgpu_is_lost(const struct swgpu *gpu) {
	return __atomic_load_n(&gpu->lost, __ATOMIC_ACQUIRE) != 0;
}

#endif
