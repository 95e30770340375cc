/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_VGEM_H
#define SUPPORT_VGEM_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Fences of the kernel's that a test ends when it likes: KERNEL_CONTRACT section 16. Nothing of Stile is in
 * here. They end by themselves after 10 s, and when the node is closed.
 */

/** Open the node of the driver vgem, CLOEXEC. The descriptor, or -errno: -ENOENT, there is none. */
int vgem_open(void);

/**
 * Add a pending fence to the kernel's reservation of a dma-buf.
 *
 * @param dma_buf  borrowed
 * @param write    as one who writes, else as a reader
 * @return its number, for vgem_signal(), or -errno: -EBUSY, something that conflicts is pending
 */
int vgem_attach(int vgem, int dma_buf, bool write);

/** End one. 0 or -errno: -ETIMEDOUT, it has ended by itself. */
int vgem_signal(int vgem, int fence);

/** A pending sync_file of one fence, CLOEXEC, the caller's; or -errno. */
int vgem_sync_file(int vgem, int *fence);

/** A dma-buf of this driver's memory, CLOEXEC, the caller's; or -errno. */
int vgem_dma_buf(int vgem, uint64_t bytes);

#endif
