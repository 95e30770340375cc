/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_DMABUF_IOCTL_H
#define BACKENDS_DMABUF_IOCTL_H

/* What the kernel does with a dma-buf and with a dma-heap when it is asked: KERNEL_CONTRACT 12 and 14. */

#include <stdbool.h>
#include <stdint.h>

/**
 * D-4: the CPU will touch the memory so (`end`: has touched it). Beginning blocks until the fences that the
 * kernel knows are done. 0 or -errno, never -EINTR or -EAGAIN.
 */
int ioctl_sync(int fd, uint32_t usage, bool end);

/** D-5. At most 31 bytes. */
int ioctl_set_name(int fd, const char *name);

/** D-6: a new sync_file, CLOEXEC, of what a use has to wait for. 0; -ENOTTY: Linux before 6.0; or -errno. */
int ioctl_export_sync_file(int fd, uint32_t usage, int *out);

/** D-7: a use goes on until the sync_file, which is borrowed, is done. The same errors. */
int ioctl_import_sync_file(int fd, uint32_t usage, int sync_file);

/** H-1: zeroed memory as a new dma-buf, CLOEXEC, that may be read and written. 0 or -errno. */
int ioctl_heap_alloc(int heap, uint64_t bytes, int *out);

#endif
