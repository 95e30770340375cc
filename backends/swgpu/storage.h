/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_STORAGE_H
#define BACKENDS_SWGPU_STORAGE_H

/*
 * One place where the bytes of a buffer are or were: a file in memory, or a piece of the arena. Counted:
 * the buffer has a reference on the one that it is in, each mapping by a device has one, and so has
 * a move under way, so that what was moved from goes when nobody can reach it any more.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/constraints.h>
#include <stile/sg.h>
#include <stile/swgpu_test.h>

struct frames_run;
struct swgpu;

/* The scatter list for one device; there as long as the storage. */
struct storage_table {
	struct storage_table *next;
	struct stile_device *device; /* compared only: the table has a reference */
	struct stile_sg *sg;
};

struct storage {
	uint32_t refs; /* by atomic access */
	enum stile_swgpu_placement placement;
	struct swgpu *gpu;
	uint64_t bytes;  /* whole pages */
	uint8_t *memory; /* NULL: not mapped yet */
	bool is_sealed;  /* and only to read, though it came by a descriptor that may be written */

	/* In a file; changed under the lock. */
	uint32_t lock;
	int read_fd; /* -1: none */
	int write_fd;
	struct frames_run *runs; /* NULL: nobody knows where */
	size_t run_count;

	/* In the arena. */
	uint64_t offset;

	/* While a move to it is under way, a reference each: what is moved, and from where. */
	struct stile_buffer *moved_buffer;
	struct storage *moved_from;

	struct storage_table *tables; /* with the buffer's reservation locked */
};

/** 0, -ENOSPC (also where there is no local memory) or -ENOMEM. */
int storage_create_local(struct swgpu *gpu, uint64_t bytes, struct storage **out);

/** In a file of this name, at frames that meet the constraints. 0, -EMFILE, -ENFILE, -ENOSPC or -ENOMEM. */
int storage_create_system(struct swgpu *gpu, const char *name, uint64_t bytes,
	const struct stile_constraints *constraints, struct storage **out);

/** Of a file that came by descriptor, which this consumes, on failure too. 0 or -ENOMEM. */
int storage_create_import(
	struct swgpu *gpu, int fd, uint64_t bytes, bool writable, struct storage **out);

struct storage *storage_ref(struct storage *storage);
void storage_unref(struct storage *storage);

/** Can a device reach it that needs this? `owner`: it is the device whose memory it is. */
bool storage_fits(const struct storage *storage, const struct stile_constraints *constraints,
	bool owner, const char **why_not);

/** Have the CPU reach all of it, as the file allows. 0, -EACCES or -ENOMEM. */
int storage_map(struct storage *storage);

/** A descriptor came, borrowed; kept, if there is none of that kind. 0, -EMFILE or -ENOMEM. */
int storage_adopt_fd(struct storage *storage, int fd, bool writable);

/** The scatter list for a device, not mapped yet if it is new. 0 or as stile_sg_append(). */
int storage_get_table(struct storage *storage, struct stile_device *device, struct stile_sg **out);

/** The descriptor to use for that, -1 if there is none. */
int storage_get_fd(const struct storage *storage, uint32_t usage);

#endif
