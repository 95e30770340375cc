/* SPDX-License-Identifier: MIT */
#include "interop-tests/kernel/twin_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xf86drm.h>
#include <xf86drmMode.h>

#include "interop-tests/support/runner.h"

enum { PAGE = 4096 };

int kernel_ioctl(int fd, unsigned long request, void *arg) {
	int ret = ioctl(fd, request, arg);
	return ret < 0 ? -errno : ret;
}

static int open_node(const char *path) {
	int fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* ---- Nodes --------------------------------------------------------------------------------- */

static bool is_driver(int fd, const char *name) {
	drmVersionPtr version = drmGetVersion(fd);
	bool is = version != NULL && strcmp(version->name, name) == 0;
	drmFreeVersion(version);
	return is;
}

int kernel_open_card(const char *driver) {
	enum { CARDS = 16 };
	for (int i = 0; i < CARDS; i++) {
		char path[32];
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		int fd = open_node(path);
		if (fd >= 0 && is_driver(fd, driver)) {
			return fd;
		}
		if (fd >= 0) {
			close(fd);
		}
	}
	return -ENODEV;
}

int kernel_open_heap(void) {
	return open_node("/dev/dma_heap/system");
}

int kernel_open_udmabuf(void) {
	return open_node("/dev/udmabuf");
}

int kernel_open_sw_sync(void) {
	return open_node("/sys/kernel/debug/sync/sw_sync");
}

/* ---- Memory -------------------------------------------------------------------------------- */

int kernel_dumb_create(int drm, uint64_t bytes) {
	uint32_t handle, pitch;
	uint64_t size;
	int fd = -1;
	/* Rows of a page. */
	if (drmModeCreateDumbBuffer(drm, PAGE / 4, (uint32_t)((bytes + PAGE - 1) / PAGE), 32, 0,
		    &handle, &pitch, &size) < 0) {
		return -errno;
	}
	int ret = drmPrimeHandleToFD(drm, handle, DRM_CLOEXEC | DRM_RDWR, &fd) < 0 ? -errno : fd;
	drmCloseBufferHandle(drm, handle);
	return ret;
}

int kernel_heap_alloc(int heap, uint64_t bytes, uint32_t fd_flags) {
	struct dma_heap_allocation_data alloc = { .len = bytes, .fd_flags = fd_flags };
	int ret = kernel_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &alloc);
	return ret < 0 ? ret : (int)alloc.fd;
}

int kernel_udmabuf_create(int udmabuf, int memfd, uint64_t bytes) {
	struct udmabuf_create create = {
		.memfd = (uint32_t)memfd, .flags = UDMABUF_FLAGS_CLOEXEC, .size = bytes
	};
	return kernel_ioctl(udmabuf, UDMABUF_CREATE, &create);
}

int kernel_udmabuf_alloc(int udmabuf, uint64_t bytes) {
	int memfd = memfd_create("twin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memfd < 0) {
		return -errno;
	}
	uint64_t whole = (bytes + PAGE - 1) / PAGE * PAGE;
	int ret = ftruncate(memfd, (off_t)whole) < 0 || fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK) < 0
		? -errno
		: kernel_udmabuf_create(udmabuf, memfd, whole);
	close(memfd);
	return ret;
}

/* ---- Fences -------------------------------------------------------------------------------- */

int kernel_export(int dma_buf, uint32_t usage) {
	struct dma_buf_export_sync_file export = { .flags = usage, .fd = -1 };
	int ret = kernel_ioctl(dma_buf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export);
	return ret < 0 ? ret : export.fd;
}

int kernel_import(int dma_buf, uint32_t usage, int sync_file) {
	struct dma_buf_import_sync_file import = { .flags = usage, .fd = sync_file };
	return kernel_ioctl(dma_buf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import);
}

int kernel_merge(int sync_file, int other) {
	struct sync_merge_data merge = { .name = "twin", .fd2 = other };
	int ret = kernel_ioctl(sync_file, SYNC_IOC_MERGE, &merge);
	return ret < 0 ? ret : merge.fence;
}

int kernel_get_status(int sync_file) {
	struct sync_file_info info = { .num_fences = 0 };
	int ret = kernel_ioctl(sync_file, SYNC_IOC_FILE_INFO, &info);
	runner_require(ret == 0, "FILE_INFO: %s", strerror(-ret));
	return info.status;
}

int kernel_sw_fence(int sw_sync, uint32_t value) {
	struct kernel_sw_fence create = { .value = value, .name = "twin" };
	int ret = kernel_ioctl(sw_sync, KERNEL_SW_CREATE, &create);
	return ret < 0 ? ret : create.fence;
}

int kernel_sw_advance(int sw_sync, uint32_t count) {
	return kernel_ioctl(sw_sync, KERNEL_SW_INC, &count);
}
