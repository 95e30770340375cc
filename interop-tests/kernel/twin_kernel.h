/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_TWIN_KERNEL_H
#define KERNEL_TWIN_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/sync_file.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>

#include <drm.h>

/*
 * What the kernel has and headers may lack; and to get at its objects, by nothing but its system
 * calls. Nothing of Stile's is used here. Functions that give an int: 0 or -errno, or a descriptor,
 * which is the caller's, CLOEXEC.
 */

/* Headers older than Linux 6.6. */
struct kernel_deadline {
	uint64_t deadline_ns;
	uint64_t pad;
};
#define KERNEL_SYNC_SET_DEADLINE _IOW(SYNC_IOC_MAGIC, 5, struct kernel_deadline)

/* libdrm has no vgem_drm.h. */
struct kernel_vgem_attach {
	uint32_t handle;
	uint32_t flags; /* 1: the fence is that of a write */
	uint32_t fence; /* out */
	uint32_t pad;
};
struct kernel_vgem_signal {
	uint32_t fence;
	uint32_t flags;
};
#define KERNEL_VGEM_ATTACH DRM_IOWR(DRM_COMMAND_BASE + 1, struct kernel_vgem_attach)
#define KERNEL_VGEM_SIGNAL DRM_IOW(DRM_COMMAND_BASE + 2, struct kernel_vgem_signal)

/* sw_sync has no header at all. */
struct kernel_sw_fence {
	uint32_t value;
	char name[32];
	int32_t fence; /* out */
};
struct kernel_sw_deadline {
	uint64_t deadline_ns; /* out */
	uint32_t pad;
	int32_t fence;
};
#define KERNEL_SW_CREATE _IOWR('W', 0, struct kernel_sw_fence)
#define KERNEL_SW_INC _IOW('W', 1, uint32_t)
#define KERNEL_SW_GET_DEADLINE _IOWR('W', 2, struct kernel_sw_deadline)

/* Newer than 6.12: with a point, 8 bytes longer. Theirs is the same request number. */
enum { KERNEL_SYNCOBJ_FLAG_TIMELINE = 2 };

/** Once: ioctl() as it is. */
int kernel_ioctl(int fd, unsigned long request, void *arg);

/** The card of the first device of this driver. -ENODEV: there is none. */
int kernel_open_card(const char *driver);
int kernel_open_heap(void);
int kernel_open_udmabuf(void);
int kernel_open_sw_sync(void);

/** A dumb buffer of at least so many bytes, as a dma-buf. */
int kernel_dumb_create(int drm, uint64_t bytes);
int kernel_heap_alloc(int heap, uint64_t bytes, uint32_t fd_flags);
/** One of all of a memfd. */
int kernel_udmabuf_create(int udmabuf, int memfd, uint64_t bytes);
/** With a memfd of its own. */
int kernel_udmabuf_alloc(int udmabuf, uint64_t bytes);

int kernel_export(int dma_buf, uint32_t usage);
int kernel_import(int dma_buf, uint32_t usage, int sync_file);
int kernel_merge(int sync_file, int other);
/** Status of the whole. */
int kernel_get_status(int sync_file);

/** A fence for a value of a timeline, as a sync_file. */
int kernel_sw_fence(int sw_sync, uint32_t value);
int kernel_sw_advance(int sw_sync, uint32_t count);

#endif
