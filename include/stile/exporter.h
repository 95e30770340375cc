/* SPDX-License-Identifier: MIT */
#ifndef STILE_EXPORTER_H
#define STILE_EXPORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/attachment.h>
#include <stile/buffer.h>
#include <stile/constraints.h>
#include <stile/macros.h>
#include <stile/report.h>
#include <stile/sg.h>

STILE_BEGIN_DECLS

/*
 * The exporter's side of a buffer: whoever has memory gives an ops table, and
 * everybody else uses the memory through <stile/buffer.h> and
 * <stile/attachment.h>. KERNEL_CONTRACT B-1 and section 9.1; an exporter in a
 * hundred lines: demos/own_exporter.c.
 */

/**
 * What an exporter provides. "Locked" means that the buffer's reservation is
 * locked by the caller, "unlocked" that this thread does not have it locked:
 * checked in debug builds. Each op may be called from any thread.
 */
struct stile_exporter_ops {
	size_t size; /**< sizeof(struct stile_exporter_ops) */

	/**
	 * Optional, unlocked: a device would like to use the memory; its
	 * constraints are stile_attachment_get_constraints(). May veto: -EBUSY
	 * if the storage is fixed where the device cannot reach it, any -errno.
	 * `why`, which is complete, may be filled in; else the core does.
	 */
	int (*attach)(struct stile_buffer *buffer,
		struct stile_attachment *attachment, struct stile_report *why);

	/** Optional, unlocked: it no longer does. Also where attach is NULL. */
	void (*detach)(struct stile_buffer *buffer,
		struct stile_attachment *attachment);

	/**
	 * Both or none, locked. From pin to unpin the storage is there and
	 * stays where it is. 0 or -errno.
	 */
	int (*pin)(struct stile_attachment *attachment);
	void (*unpin)(struct stile_attachment *attachment);

	/**
	 * Mandatory, locked: give the pieces, of all of the buffer, mapped for
	 * the attachment's device (stile_sg_map()). Up to the first map the storage may be
	 * chosen freely, for stile_buffer_get_constraints(). 0 or -errno. The
	 * table is the importer's until `unmap`.
	 */
	int (*map)(struct stile_attachment *attachment,
		enum stile_direction direction, struct stile_sg **out);

	/** Mandatory, locked: undo one map. */
	void (*unmap)(struct stile_attachment *attachment, struct stile_sg *sg,
		enum stile_direction direction);

	/**
	 * Optional, unlocked: the CPU will touch, has touched these bytes,
	 * which are within the buffer; the exporter may do more. Called before
	 * the core waits for fences and has devices write back what they hold:
	 * if that wait fails, what began is ended at once. 0 or -errno.
	 */
	int (*begin_cpu_access)(struct stile_buffer *buffer,
		enum stile_direction direction, uint64_t offset,
		uint64_t bytes);
	int (*end_cpu_access)(struct stile_buffer *buffer,
		enum stile_direction direction, uint64_t offset,
		uint64_t bytes);

	/**
	 * Optional, unlocked: map whole pages for the CPU, the last of which
	 * the buffer may not fill. 0 or -errno. Where munmap is NULL, nothing
	 * is to be undone.
	 */
	int (*mmap)(struct stile_buffer *buffer, uint32_t usage,
		uint64_t offset, uint64_t bytes, void **address);
	void (*munmap)(
		struct stile_buffer *buffer, void *address, uint64_t bytes);

	/**
	 * Optional, locked: the whole memory at one address, until vunmap,
	 * which may be NULL. Counted by the core: called for the first only.
	 */
	int (*vmap)(struct stile_buffer *buffer, struct stile_map *map);
	void (*vunmap)(struct stile_buffer *buffer, struct stile_map *map);

	/**
	 * Optional, unlocked: a new descriptor of the memory, CLOEXEC, that
	 * allows the usage. Byte 0 of the file is byte 0 of the buffer; one
	 * file is one buffer. The storage stays where it is from now on.
	 */
	int (*export_fd)(struct stile_buffer *buffer, uint32_t usage, int *fd);

	/** Mandatory, unlocked: the last reference is gone; free the memory. */
	void (*release)(struct stile_buffer *buffer);
};

/** How to make a buffer of one's own memory. */
struct stile_exporter_info {
	size_t size;          /**< sizeof(struct stile_exporter_info) */
	const char *exporter; /**< who exports it, for people; borrowed, static
	                       */
	const struct stile_exporter_ops *ops; /**< borrowed, static */
	void *priv;                           /**< the exporter's; not NULL */
	uint64_t bytes;   /**< at least 1; need not be whole pages */
	uint32_t usage;   /**< STILE_USAGE_* that the memory allows */
	const char *name; /**< as stile_buffer_set_name(); may be NULL */
	/** As in struct stile_buffer_info. */
	struct stile_resv *resv;
};

/**
 * Make a buffer of one's own memory (B-1). May block for memory.
 *
 * @param info      borrowed
 * @param[out] out  new reference, the caller's; NULL on failure: then `priv`
 *                  is untouched, and no op is called
 *
 * @retval 0        *out is valid; ops->release will be called once
 * @retval -EINVAL  priv, ops or a mandatory op is missing; pin without unpin
 *                  or the reverse, munmap without mmap, vunmap without vmap;
 *                  no bytes; no or unknown usage; a name that is too long; a
 *                  size field is impossible
 * @retval -E2BIG   info or ops is newer than the library and uses fields it
 *                  does not know
 * @retval -ENOMEM  out of memory
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_export(
	const struct stile_exporter_info *info, struct stile_buffer **out);

/** The exporter's `priv`. @since 0.1 */
STILE_API void *stile_buffer_get_priv(const struct stile_buffer *buffer);

/** The exporter's ops: is the buffer one's own (T-11)? @since 0.1 */
STILE_API const struct stile_exporter_ops *stile_buffer_get_ops(
	const struct stile_buffer *buffer);

/**
 * What all attachments together need. Never blocks.
 *
 * @param buffer            borrowed, locked by the caller
 * @param[out] constraints  the caller having set its size; modifiers are left
 *                          out
 *
 * @retval 0        *constraints is valid
 * @retval -EINVAL  constraints->size is impossible
 * @retval -EDEADLK misuse: the reservation is not locked
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_get_constraints(
	struct stile_buffer *buffer, struct stile_constraints *constraints);

/**
 * Walk over the attachments, with the reservation locked.
 *
 * @param buffer  borrowed, locked by the caller
 * @param after   NULL: the first one; else the one after this
 * @return borrowed; NULL behind the last one
 * @since 0.1
 */
STILE_API struct stile_attachment *stile_buffer_next_attachment(
	struct stile_buffer *buffer, struct stile_attachment *after);

/**
 * Does somebody rely on the storage where it is? A descriptor was given out
 * or it came by one, it is mapped for the CPU, pinned, or mapped by an
 * importer that hears of no moves. Never blocks.
 *
 * @param buffer  borrowed, locked by the caller
 * @param why     the first reason found; may be NULL
 *
 * @retval 0        it may be moved
 * @retval -EBUSY   it may not
 * @retval -EINVAL  why->size is impossible
 * @since 0.1
 */
STILE_API STILE_MUST_CHECK int stile_buffer_check_movable(
	struct stile_buffer *buffer, struct stile_report *why);

/**
 * Tell all dynamic importers that the storage is about to move (T-8). The
 * order: lock, this, the move's fence as STILE_RESV_KERNEL, unlock. The old
 * storage may go when the fences of before have ended and nothing is mapped
 * from it.
 *
 * @param buffer  borrowed, locked by the caller
 * @since 0.1
 */
STILE_API void stile_buffer_move_notify(struct stile_buffer *buffer);

/** The exporter's own pointer in an attachment; NULL at first. @since 0.1 */
STILE_API void stile_attachment_set_exporter_priv(
	struct stile_attachment *attachment, void *priv);

/** What was set. @since 0.1 */
STILE_API void *stile_attachment_get_exporter_priv(
	const struct stile_attachment *attachment);

STILE_END_DECLS

#endif
