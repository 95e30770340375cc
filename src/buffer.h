/* SPDX-License-Identifier: MIT */
#ifndef SRC_BUFFER_H
#define SRC_BUFFER_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>

#include <stile/buffer.h>
#include <stile/buffer_listener.h>
#include <stile/exporter.h>
#include <stile/resv.h>

/* A stile_buffer_mmap() that was not undone. */
struct buffer_mapping {
	struct buffer_mapping *next;
	void *address;
	uint64_t bytes;
};

/* Of most buffers one; of a file in memory that became a dma-buf both: what came, and what goes out. */
enum { BUFFER_FILES = 2 };

struct buffer_file {
	dev_t dev;
	ino_t ino;
	struct stile_buffer *buffer;
};

struct stile_buffer {
	const struct stile_exporter_ops *ops;
	void *priv;
	const char *exporter;
	const struct stile_backend_ops *backend; /* that made it; NULL: the application did */
	const struct stile_device *device;       /* of that backend; compared only */
	uint64_t bytes;
	struct stile_resv *resv; /* the next one, or the caller's */
	struct stile_resv own_resv;

	uint32_t refs;     /* becomes 0 under the table's lock only: buffer_table.c */
	uint32_t cpu_uses; /* that have begun and not ended; for src/handoff.c, by atomic access */
	uint32_t usage;    /* what the memory allows; by atomic access */
	/*
	 * STILE_USAGE_READ: the backend would like a descriptor that can only be read, STILE_USAGE_WRITE: one
	 * that can be written; by atomic access.
	 */
	uint32_t lacks_fds;
	/*
	 * By atomic access, counted up *before* the exporter is asked, so that storage which is moved with the
	 * reservation locked either has moved before the exporter answers, or does not.
	 */
	uint32_t shown;       /* descriptors that were made, or that it came by */
	uint32_t mapped;      /* stile_buffer_mmap() */
	bool seals_are_final; /* its file is not sealed against writing, and never will be */
	uint32_t max_files;   /* how many may be its own */
	uint64_t
		outside_context; /* the first of two, one for readers, one for writers: src/outside.c */
	uint64_t outside_seqno; /* with the reservation locked */

	struct stile_buffer_listener *listeners; /* src/buffer_listener.c */

	/* With the reservation locked. */
	struct stile_attachment *first_attachment;
	struct stile_attachment *last_attachment;
	uint32_t vmaps;
	struct stile_map vmap;

	/* Under this lock, a leaf but for what a device does to write back its cache. */
	pthread_mutex_t lock;
	struct buffer_mapping *mappings;
	struct attachment_map *cached; /* mappings by devices with a cache of their own */
	uint32_t cached_count;         /* also read without the lock */
	char name[STILE_BUFFER_NAME_BYTES];

	/* In the table, under its lock. */
	struct stile_buffer *next;
	struct stile_buffer **link;
	struct buffer_file files[BUFFER_FILES]; /* its own; it is found by them */
	uint32_t file_count;
};

/**
 * For whoever is about to signal a fence, or is just doing so: an exporter may do anything when the last
 * reference goes, so a thread of its own does it then.
 */
void buffer_unref_elsewhere(struct stile_buffer *buffer);

/** The same for all that this thread drops from now on, of applications' exporters. As it was before. */
bool buffer_set_releases_elsewhere(bool elsewhere);

/** Is it one of the usages, or both, and nothing else? */
bool buffer_usage_is_valid(uint32_t usage);

/** The usages that a descriptor allows, or -EBADF. */
int buffer_fd_usage(int fd);
/** The same, seals apart: they are known. */
int buffer_fd_access(int fd);

static inline uint32_t buffer_get_usage(const struct stile_buffer *buffer) {
	return __atomic_load_n(&buffer->usage, __ATOMIC_RELAXED);
}

/** Is this thread, as far as can be told at no cost, in the way of itself? Tells, if it is. */
bool buffer_is_locked_by_caller(const struct stile_buffer *buffer, const char *what);

/** As stile_buffer_check_movable(); whatever descriptors are counted, if `shown` is not to matter. */
int buffer_check_movable(
	struct stile_buffer *buffer, bool whatever_is_shown, struct stile_report *why);

/** Where a buffer comes from; fields of struct stile_buffer. */
struct buffer_origin {
	const struct stile_backend_ops *backend;
	const struct stile_device *device;
	uint32_t lacks_fds;
	uint32_t shown;
	bool seals_are_final;
	bool changes_files; /* it came as a file in memory, and goes out as a dma-buf */
};

/** As stile_buffer_export(), for a backend. */
int buffer_export(const struct stile_exporter_info *info, const struct buffer_origin *origin,
	struct stile_buffer **out);

/** Lock the reservation for a moment. 0 or -EDEADLK, which was told. */
int buffer_lock(struct stile_buffer *buffer);

/** Is the reservation locked, as it has to be? 0 or -EDEADLK, which is told. */
int buffer_check_locked(const struct stile_buffer *buffer, const char *what);

/** Who is to say whether such memory is safe, and to make the buffer, on behalf of this device. */
const struct stile_backend_ops *buffer_get_backend(const struct stile_device *device, int fd);

/* ---- buffer_table.c ------------------------------------------------------------------------ */

/** Put a new buffer among all the others. */
void buffer_table_add(struct stile_buffer *buffer);

/** A reference on the buffer of this file, of which fd is, or NULL. */
struct stile_buffer *buffer_table_find(int fd, const struct stat *st);

/**
 * The same in one system call, or in none, of memory that allows everything for good, by a descriptor that
 * does, too. NULL: that is not known so quickly, or not so.
 */
struct stile_buffer *buffer_table_find_duplicate(int fd);

/** Say whose file that is. 0; -EEXIST: it is another buffer's; -ENOMEM. */
int buffer_table_set_file(struct stile_buffer *buffer, const struct stat *st);

/** Has it a file, and which? */
bool buffer_table_get_inode(struct stile_buffer *buffer, ino_t *inode);

/**
 * Drop what may be the last reference: true, if it was; then nobody gets another one. Who asks for its file
 * waits until buffer_table_forget_file().
 */
bool buffer_table_drop(struct stile_buffer *buffer);
void buffer_table_forget_file(struct stile_buffer *buffer);

/** One more reference, unless there is none. Somebody keeps the memory of the struct meanwhile. */
bool buffer_try_ref(struct stile_buffer *buffer);

/**
 * How much memory this file has: what it had when it became known, for it may have grown since. 0: not even
 * that can be found out.
 */
uint64_t buffer_find_bytes(int fd, const struct stat *st);

/* ---- buffer_listener.c --------------------------------------------------------------------- */

/** Will somebody hear of its end? */
bool buffer_has_listeners(const struct stile_buffer *buffer);

/** May the last reference go? For the table, under its lock. */
enum stile_buffer_keep buffer_ask_listeners(struct stile_buffer *buffer);

/** The last reference is gone: tell them, with no lock held. */
void buffer_tell_listeners(struct stile_buffer *buffer);

/* ---- cpu_access.c -------------------------------------------------------------------------- */

/**
 * Devices with a cache of their own write back what they hold of these bytes (`for_cpu`), or forget
 * it; but for one device, which may be NULL.
 */
void buffer_sync(struct stile_buffer *buffer, const struct stile_device *but, uint64_t offset,
	uint64_t bytes, bool for_cpu);

#endif
