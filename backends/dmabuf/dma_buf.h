/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_DMABUF_DMA_BUF_H
#define BACKENDS_DMABUF_DMA_BUF_H

/*
 * The exporter over a dma-buf of the kernel's, whoever allocated it: the buffers of all backends whose memory
 * the kernel knows, and those of dma-bufs that are imported, to whichever device.
 */

#include <stdbool.h>
#include <stdint.h>

#include "src/backend.h"

struct stile_buffer;
struct stile_device;
struct stile_fence;
struct watch;

struct dma_buf_info {
	int fd; /* consumed, on failure too */
	uint64_t bytes;
	uint32_t usage; /* what the descriptor allows; all others of the same dma-buf do, too */
	const char *exporter;    /* for people; as long as the device */
	const char *name;        /* may be NULL */
	struct stile_resv *resv; /* may be NULL */
	bool made_here;          /* by this device, and nobody else has a descriptor */
	bool from_memfd;         /* it came as a file in memory, which stays its file: */
	int memfd;               /* then consumed, too */
	bool seals_are_final;    /* of that file; else true */
};

/** What images need in memory that others, too, draw to: what is asked of swgpu's. */
extern const struct device_limits dma_buf_limits;

/** What a device is whose memory is the kernel's dma-bufs, and which the CPU alone touches. */
void dma_buf_describe(struct device_description *description);

/** 0, -EINVAL (the name is too long) or -ENOMEM. The device, of whichever backend, is kept. */
int dma_buf_create(
	struct stile_device *device, const struct dma_buf_info *info, struct stile_buffer **out);

/** The descriptor of such a buffer; borrowed. */
int dma_buf_get_fd(const struct stile_buffer *buffer);

/** What watches its fences; borrowed. 0, -EAGAIN (no thread), -EMFILE or -ENOMEM. */
int dma_buf_get_watch(const struct stile_buffer *buffer, struct watch **out);

/** Whose log is used for such a buffer; borrowed. */
struct stile_device *dma_buf_get_device(const struct stile_buffer *buffer);

/* As struct stile_backend_ops says. */
void dma_buf_renamed(struct stile_buffer *buffer, const char *name);
/* resv.c */
int dma_buf_fences_export(
	struct stile_buffer *buffer, uint32_t usage, bool likely, struct stile_fence **out);
int dma_buf_fences_import(struct stile_buffer *buffer, uint32_t usage, struct stile_fence *fence);

#endif
