/* SPDX-License-Identifier: MIT */
#ifndef STILE_ATTACHMENT_H
#define STILE_ATTACHMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/constraints.h>
#include <stile/macros.h>
#include <stile/report.h>
#include <stile/sg.h>

STILE_BEGIN_DECLS

struct stile_buffer;
struct stile_cancel;
struct stile_device;

/*
 * The importer's side of a buffer (KERNEL_CONTRACT section 10). Typical life
 * (T-10):
 *
 *     stile_buffer_import_fd
 *       stile_buffer_attach
 *         lock, stile_attachment_map, unlock
 *           the device works, guarded by fences
 *         lock, stile_attachment_unmap, unlock
 *       stile_buffer_detach
 *     stile_buffer_unref
 */

/**
 * A device's use of a buffer: an import handle, with the rights that it was
 * made with. Holds no reference on the buffer: the importer has its own.
 *
 * One owner: stile_buffer_attach(), stile_buffer_detach().
 * Thread-safety: by the buffer's reservation.
 */
struct stile_attachment;

/** What a dynamic importer provides. */
struct stile_importer_ops {
	size_t size; /**< sizeof(struct stile_importer_ops) */
	/**
	 * Optional: the storage is about to move. The buffer's reservation is
	 * locked, by the exporter. Stop handing the mapping out, map again
	 * before new work; must not block. An importer that is pinned takes it
	 * as final, and unmaps soon.
	 */
	void (*move_notify)(struct stile_attachment *attachment);
};

/** How to attach. */
struct stile_attach_info {
	size_t size;                 /**< sizeof(struct stile_attach_info) */
	struct stile_device *device; /**< kept alive */
	uint32_t usage; /**< STILE_USAGE_*, no more than the importer may */
	/** What is needed beyond what the device needs; borrowed, copied but
	 * for the modifiers, which are left out; may be NULL. */
	const struct stile_constraints *constraints;
	/** NULL: a static importer. Borrowed, static. */
	const struct stile_importer_ops *importer;
	void *priv;       /**< the importer's */
	const char *name; /**< who, for people; borrowed, as long as it is
	                       attached; NULL: the device's backend */
};

/**
 * Say that a device would like to use the memory (T-1). Storage that exists
 * and that the device cannot reach is moved with the first map; where it
 * cannot be moved, this fails. May block for memory.
 *
 * @param buffer    borrowed; must outlive the attachment
 * @param info      borrowed
 * @param report    why not; may be NULL
 * @param[out] out  the attachment, the caller's; NULL on failure
 *
 * @retval 0        *out is valid
 * @retval -EINVAL  no buffer, no device, no or unknown usage, impossible
 *                  constraints, or a size field is impossible
 * @retval -E2BIG   a struct is newer than the library and uses fields it does
 *                  not know
 * @retval -EACCES  the memory does not allow the usage
 * @retval -EBUSY   the storage is where the device cannot reach it, and stays
 *                  there: the report says what holds it
 * @retval -EDEADLK misuse: the caller has the reservation locked
 * @retval -EOPNOTSUPP the device has no engines: it only allocates
 * @retval -EIO     the device is lost
 * @retval -ENOMEM  out of memory
 * @retval other    the exporter's
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_attach(struct stile_buffer *buffer,
	const struct stile_attach_info *info, struct stile_report *report,
	struct stile_attachment **out);

/**
 * Undo an attachment (T-3). What is still mapped by it, which is a mistake and
 * is told, is unmapped first. Blocks while others have the reservation locked.
 *
 * @param buffer      borrowed, *not* locked by the caller
 * @param attachment  to give up. NULL, or one of another buffer, is a mistake,
 *                    which is told: nothing happens
 * @since 0.1
 */
STILE_API void stile_buffer_detach(
	struct stile_buffer *buffer, struct stile_attachment *attachment);

/**
 * Have the device reach the memory (T-4). Storage is allocated, or moved, now.
 * For a static importer this waits until moves are done; a dynamic one has to
 * obey STILE_RESV_KERNEL fences itself. May block for memory.
 *
 * @param attachment   borrowed; its buffer's reservation is locked by the
 *                     caller
 * @param direction    not STILE_NO_DIRECTION; FROM_DEVICE and BIDIRECTIONAL
 *                     need STILE_USAGE_WRITE, TO_DEVICE and BIDIRECTIONAL
 *                     STILE_USAGE_READ
 * @param deadline_ns  absolute CLOCK_MONOTONIC time for that wait; 0 polls,
 *                     INT64_MAX waits for ever
 * @param cancel       may end the wait; borrowed; may be NULL
 * @param[out] out     the pieces, the device's view; borrowed until unmap;
 *                     NULL on failure
 *
 * @retval 0        *out is valid; stile_attachment_unmap() undoes it
 * @retval -EINVAL  no such direction, or the deadline is negative; or the
 *                  exporter gave less than the buffer, or not for this device,
 *                  which is told
 * @retval -EACCES  the attachment has not the right, or the memory was sealed
 *                  against writing since it came
 * @retval -EDEADLK misuse: the reservation is not locked
 * @retval -ETIME   the storage is still being moved, or would have to be, and is in
 *                  use, and its device was destroyed
 * @retval -EINTR   cancelled before
 * @retval -EBUSY   the storage is where the device cannot reach it, and stays
 *                  there
 * @retval -ERANGE  the device's bus cannot reach it, or not so that the
 *                  importer's constraints are met
 * @retval -ENOSPC  no memory of the kind that is needed, or no addresses
 * @retval -EMFILE  the process has no descriptor left
 * @retval -ENFILE  the system has no descriptor left
 * @retval -EIO     the device is lost
 * @retval -ENOMEM  out of memory
 * @retval other    the exporter's
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_attachment_map(
	struct stile_attachment *attachment, enum stile_direction direction,
	int64_t deadline_ns, struct stile_cancel *cancel,
	const struct stile_sg **out);

/**
 * Undo one stile_attachment_map(). Never blocks for long.
 *
 * @param attachment  borrowed; its buffer's reservation is locked by the caller
 * @param sg          what map gave
 * @param direction   the same
 * @since 0.1
 */
STILE_API void stile_attachment_unmap(struct stile_attachment *attachment,
	const struct stile_sg *sg, enum stile_direction direction);

/**
 * As stile_attachment_map(), with the reservation locked inside.
 *
 * @param attachment   borrowed; its buffer's reservation is *not* locked by
 *                     the caller
 * @param direction    as there
 * @param deadline_ns  as there
 * @param cancel       as there
 * @param[out] out     as there
 *
 * @retval 0        *out is valid; stile_attachment_unmap_unlocked() undoes it
 * @retval -EDEADLK misuse: the caller has the reservation locked
 * @retval other    as there
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_attachment_map_unlocked(
	struct stile_attachment *attachment, enum stile_direction direction,
	int64_t deadline_ns, struct stile_cancel *cancel,
	const struct stile_sg **out);

/** As stile_attachment_unmap(), with the same difference. @since 0.1 */
STILE_API void stile_attachment_unmap_unlocked(
	struct stile_attachment *attachment, const struct stile_sg *sg,
	enum stile_direction direction);

/**
 * Keep the storage where it is, for what lasts long, as scan-out (T-7).
 * Counted.
 *
 * @param attachment  of a dynamic importer; borrowed; its buffer's reservation
 *                    is locked by the caller
 *
 * @retval 0        stile_attachment_unpin() undoes it
 * @retval -EINVAL  misuse: not a dynamic importer
 * @retval -EDEADLK misuse: the reservation is not locked
 * @retval other    the exporter's
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_attachment_pin(
	struct stile_attachment *attachment);

/** Undo one stile_attachment_pin(), in the same way. @since 0.1 */
STILE_API void stile_attachment_unpin(struct stile_attachment *attachment);

/** Does the importer hear of moves (T-9)? @since 0.1 */
STILE_API bool stile_attachment_is_revocable(
	const struct stile_attachment *attachment);

/** Whose use it is. Borrowed. @since 0.1 */
STILE_API struct stile_device *stile_attachment_get_device(
	const struct stile_attachment *attachment);

/** Of what. Borrowed. @since 0.1 */
STILE_API struct stile_buffer *stile_attachment_get_buffer(
	const struct stile_attachment *attachment);

/** What the device and the importer need together. Borrowed. @since 0.1 */
STILE_API const struct stile_constraints *stile_attachment_get_constraints(
	const struct stile_attachment *attachment);

/** The importer's `priv`. @since 0.1 */
STILE_API void *stile_attachment_get_priv(
	const struct stile_attachment *attachment);

STILE_END_DECLS

#endif
