/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_BO_H
#define BACKENDS_SWGPU_BO_H

/*
 * A buffer as the device knows it: attached once, as a dynamic importer, and mapped from the first
 * submission on. It goes with the buffer or with the device, whichever is first; whoever uses it has a
 * reference on the buffer.
 */

#include <stdint.h>

#include <stile/buffer.h>
#include <stile/report.h>
#include <stile/sg.h>

struct bo;
struct swgpu;

/** The device's one object for this buffer, attached if it was not. 0 or as stile_buffer_attach(). */
int bo_get(struct swgpu *gpu, struct stile_buffer *buffer, struct bo **out);

/**
 * Map it if it is not, or was moved since. The buffer's reservation is locked by the caller, who adds
 * a fence of all work that uses the mapping before unlocking. 0 or as stile_attachment_map().
 */
int bo_map(struct bo *bo);

/** A mapping in use by a list: it stays as it is, though the buffer may be moved for those who come after. */
struct bo_hold {
	struct stile_sg *sg; /* NULL: none */
	struct bo *bo;
	struct bo_mapping *mapping;
};

/** Hold what bo_map() mapped; with the reservation still locked. */
void bo_hold(struct bo *bo, struct bo_hold *hold);
/** Any thread, no lock needed; before the fence is signalled. None is ignored. */
void bo_unhold(struct bo_hold *hold);

/** Undo what was retired and is held no more, where nobody has the reservation locked. */
void bo_reap_all(struct swgpu *gpu);

/** The device goes: all that it knows is detached. Buffers stay. */
void bo_drop_all(struct swgpu *gpu);

#endif
