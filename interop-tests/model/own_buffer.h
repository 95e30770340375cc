/* SPDX-License-Identifier: MIT */
#ifndef MODEL_OWN_BUFFER_H
#define MODEL_OWN_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/buffer.h>
#include <stile/resv.h>

#include "interop-tests/model/buffer_model.h"

/*
 * An application's exporters, the two sorts that buffer_model.h knows. Each op sees to it that it is
 * called as <stile/exporter.h> says, and counts who calls.
 */

/** What there is to know of one buffer. Those of the devices themselves are not in `calls`. */
struct own_buffer {
	struct buffer_model_calls calls;
	/* Of the last begin_cpu_access or end_cpu_access. */
	int direction;
	uint64_t offset, bytes;
	bool is_released; /* by atomic access: it may happen on any thread */
};

/** One for each number of the model's. */
extern struct own_buffer own_buffers[BUFFER_MODEL_BUFFERS];

/** What stile_buffer_attach() is to be refused with; 0: nothing. */
extern int own_buffer_veto;

/** Are there threads that may lock a reservation at any moment? */
extern bool own_buffer_has_threads;

/** Whose attachments are counted: those with a `priv` for which this says yes. */
extern bool (*own_buffer_is_counted)(const void *priv);

/** How to make one. */
struct own_buffer_info {
	enum buffer_model_origin origin;
	size_t bytes;
	uint32_t usage;
	unsigned pieces; /* 1 or 2 */
	uint32_t value;  /* what it is filled with, as by buffer_model_write() */
	struct stile_resv *resv;
};

/** It must not fail. */
struct stile_buffer *own_buffer_create(int number, const struct own_buffer_info *info);

/** The memory itself, as the CPU sees it: piece after piece. */
void own_buffer_read(int number, size_t offset, size_t bytes, uint8_t *to);
void own_buffer_write(int number, size_t offset, size_t bytes, const uint8_t *from);

/** Other memory with the same bytes; the old one stays while it is mapped. All are told. Locked. */
void own_buffer_move(int number, struct stile_buffer *buffer);

#endif
