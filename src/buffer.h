/* SPDX-License-Identifier: MIT */
#ifndef SRC_BUFFER_H
#define SRC_BUFFER_H

#include <pthread.h>
#include <sys/stat.h>

#include <stile/buffer.h>
#include <stile/resv.h>

struct stile_buffer {
	struct stile_device *device; /* a reference */
	uint32_t refs;               /* becomes 0 under the device's lock only */
	uint64_t bytes;
	dev_t dev;
	ino_t ino;
	/*
	 * One descriptor that may only be read and one that may also be written, as they came; -1 if
	 * none did. Each is set once, under the device's lock.
	 */
	int read_fd;
	int write_fd;
	/* For the library's own use, once somebody asked: to read, to write. Under the device's lock. */
	void *mappings[2];
	uint32_t cpu_uses; /* that have begun and not ended; for src/handoff.c, by atomic access */
	struct stile_resv *resv; /* the next one, or the caller's */
	struct stile_resv own_resv;
};

/** Is it one of the usages, or both, and nothing else? */
bool buffer_usage_is_valid(uint32_t usage);

/** The usages that a descriptor allows, or -EBADF. */
int buffer_fd_usage(int fd);

/**
 * How much of the memory of this file the device uses: what it had when it became known, for it may
 * have grown since.
 */
uint64_t buffer_find_bytes(struct stile_device *device, const struct stat *st);

/**
 * A mapping that stays for the life of the buffer, so that commands need not map each time.
 * 0, -EACCES or -ENOMEM.
 */
int buffer_get_mapping(struct stile_buffer *buffer, uint32_t usage, void **address);

#endif
