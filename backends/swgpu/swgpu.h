/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_SWGPU_H
#define BACKENDS_SWGPU_SWGPU_H

#include <stdint.h>

#include <stile/swgpu.h>

/** The ops table that the core finds this backend by. */
extern const struct stile_backend_ops stile_backend_swgpu;

/* buffer.c: memory is a memfd. */
int swgpu_memory_create(struct stile_device *device, const char *name, uint64_t bytes);
int swgpu_memory_check(
	struct stile_device *device, int fd, uint32_t plane, struct stile_report *report);

/* queue.c: commands in order, on one thread. */
struct queue;

int queue_create(struct queue **out);
/** Pending commands end with -ECANCELED. */
void queue_destroy(struct queue *queue);

#endif
