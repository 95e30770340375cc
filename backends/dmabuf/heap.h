/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_DMABUF_HEAP_H
#define BACKENDS_DMABUF_HEAP_H

/* A dma-heap as an allocator: KERNEL_CONTRACT section 14. */

#include <stile/dmabuf.h>

struct stile_report;

/**
 * Open one.
 *
 * @param device  whose log hears of failures; borrowed until `release`
 * @param name    as in /dev/dma_heap
 * @param[out] out  `priv` is the heap until `release`
 * @return 0, or what report_refuse() gave: -EINVAL, -ENODEV (there are no heaps), -ENOENT (there is none of
 *         that name), -EACCES, -EMFILE, -ENFILE, -ENOMEM
 */
int heap_open(struct stile_device *device, const char *name, struct stile_report *why,
	struct stile_dmabuf_allocator *out);

#endif
