/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/vgem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/types.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <xf86drm.h>
#include <xf86drmMode.h>

/* Of a header that libdrm does not install, and of one that may be older. */
struct attach {
	uint32_t handle;
	uint32_t flags;
	uint32_t fence; /* out */
	uint32_t pad;
};

struct signal {
	uint32_t fence;
	uint32_t flags;
};

struct sync_file {
	__u32 flags;
	__s32 fd;
};

enum { ATTACH_WRITE = 1 };

#define IOC_ATTACH DRM_IOWR(DRM_COMMAND_BASE + 1, struct attach)
#define IOC_SIGNAL DRM_IOW(DRM_COMMAND_BASE + 2, struct signal)
#define IOC_EXPORT_SYNC_FILE _IOWR(DMA_BUF_BASE, 2, struct sync_file)

int vgem_open(void) {
	for (int i = 0; i < 16; i++) {
		char path[32];
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		int fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0) {
			continue;
		}
		drmVersionPtr version = drmGetVersion(fd);
		bool found = version != NULL && strcmp(version->name, "vgem") == 0;
		drmFreeVersion(version);
		if (found) {
			return fd;
		}
		close(fd);
	}
	return -ENOENT;
}

int vgem_attach(int vgem, int dma_buf, bool write) {
	struct attach attach = { .flags = write ? ATTACH_WRITE : 0 };
	if (drmPrimeFDToHandle(vgem, dma_buf, &attach.handle) < 0) {
		return -errno;
	}
	int ret = drmIoctl(vgem, IOC_ATTACH, &attach) < 0 ? -errno : (int)attach.fence;
	drmCloseBufferHandle(vgem, attach.handle);
	return ret;
}

int vgem_signal(int vgem, int fence) {
	struct signal signal = { .fence = (uint32_t)fence };
	return drmIoctl(vgem, IOC_SIGNAL, &signal) < 0 ? -errno : 0;
}

int vgem_dma_buf(int vgem, uint64_t bytes) {
	enum { ROW = 4096 };
	uint32_t handle, pitch;
	uint64_t size;
	int fd;
	if (drmModeCreateDumbBuffer(vgem, ROW / 4, (uint32_t)((bytes + ROW - 1) / ROW), 32, 0,
		    &handle, &pitch, &size) < 0) {
		return -errno;
	}
	int ret = drmPrimeHandleToFD(vgem, handle, DRM_CLOEXEC | DRM_RDWR, &fd) < 0 ? -errno : 0;
	drmCloseBufferHandle(vgem, handle);
	return ret < 0 ? ret : fd;
}

int vgem_sync_file(int vgem, int *fence) {
	int memory = vgem_dma_buf(vgem, 1);
	if (memory < 0) {
		return memory;
	}
	struct sync_file file = { .flags = DMA_BUF_SYNC_RW };
	int ret = vgem_attach(vgem, memory, true);
	if (ret >= 0) {
		*fence = ret;
		ret = ioctl(memory, IOC_EXPORT_SYNC_FILE, &file) < 0 ? -errno : file.fd;
	}
	close(memory);
	return ret;
}
