/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_LIST_H
#define BACKENDS_SWGPU_LIST_H

#include <stddef.h>
#include <stdint.h>

#include <stile/swgpu_list.h>

#include "backends/swgpu/bo.h"

struct bus_fault;
struct command;
struct swgpu;

/** A buffer that a list uses; each is there once. */
struct list_use {
	struct stile_buffer *buffer; /* a reference, which keeps bo */
	struct bo *bo;
	uint32_t usage; /* STILE_USAGE_* of all commands together */
	/* Made by queue.c at submission; given up by it, if that fails, or with the list. */
	struct bo_hold hold;
};

struct stile_swgpu_list {
	struct swgpu *gpu;
	struct command *first, *last;
	size_t count; /* of commands */
	struct list_use *uses;
	size_t use_count, use_capacity;
};

/**
 * Execute one command: the n-th, in order, by one thread at a time. Long ones look at `*stop` (by
 * atomic access) from time to time and give up with -ECANCELED if it is not 0.
 *
 * 0; -EFAULT with `fault`, whose reason is STILE_SWGPU_FAULT_NONE in all other cases; -ENOMEM; what a
 * kernel gave.
 */
int list_execute(const struct stile_swgpu_list *list, const struct command *command,
	const uint32_t *stop, struct bus_fault *fault);

/** For traces: "fill", "copy", ... Static. */
const char *command_get_name(const struct command *command);
/** The one after; NULL: it was the last. */
const struct command *command_get_next(const struct command *command);

#endif
