/* SPDX-License-Identifier: MIT */
#ifndef SRC_RESV_H
#define SRC_RESV_H

#include <stile/resv.h>

struct stile_buffer;
struct stile_fence;

/*
 * A promise is room for one fence that stays over unlocking, for whoever has begun something that
 * cannot fail at its end any more. All of it with the lock held.
 */

/** Make one. 0, -EINVAL: too many, or -ENOMEM. */
int resv_promise(struct stile_resv *resv);
/** Give it up: until unlocking it is room for one more. */
void resv_drop_promise(struct stile_resv *resv);

/** With the lock: a write was made and is done. */
void resv_note_write(struct stile_resv *resv);

/** As stile_resv_wait(), by whoever is at that place. */
int resv_wait_at(struct stile_resv *resv, enum stile_resv_usage usage, int64_t deadline_ns,
	struct stile_cancel *cancel, const void *place);

/** As stile_resv_get_poll_fd(), of the reservation in this buffer; NULL: it is in none. */
int resv_get_poll_fd(struct stile_resv *resv, struct stile_buffer *buffer, int *fd);

/** As stile_resv_reserve_fences(), for who has locked it just before; also of none. */
int resv_make_room(struct stile_resv *resv, uint32_t count);

/** How many fences one consists of. */
uint32_t resv_count_leaves(struct stile_fence *fence);

/** With the lock, and room for that many: add them. */
void resv_add_leaves(
	struct stile_resv *resv, struct stile_fence *fence, enum stile_resv_usage usage);

/**
 * As stile_resv_get_fences(), into an array that grows.
 *
 * @param few         the caller's own, used as long as there is room
 * @param room        how many fit there
 * @param[out] fences few, or what is to be freed
 * @retval 0, -EINVAL or -ENOMEM
 */
int resv_get_all(struct stile_resv *resv, enum stile_resv_usage usage, struct stile_fence **few,
	size_t room, struct stile_fence ***fences, size_t *count);

#endif
