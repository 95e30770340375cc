/* SPDX-License-Identifier: MIT */
#include "backends/dmabuf/ioctl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <sys/ioctl.h>

#include <stile/buffer.h>

/* 0 or -errno. */
static int repeated_ioctl(int fd, unsigned long request, void *arg) {
	int ret;
	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

static uint32_t flags_of(uint32_t usage) {
	return (usage & STILE_USAGE_READ ? (uint32_t)DMA_BUF_SYNC_READ : 0) |
		(usage & STILE_USAGE_WRITE ? (uint32_t)DMA_BUF_SYNC_WRITE : 0);
}

int ioctl_sync(int fd, uint32_t usage, bool end) {
	struct dma_buf_sync sync = {
		.flags = flags_of(usage) |
			(end ? (uint32_t)DMA_BUF_SYNC_END : (uint32_t)DMA_BUF_SYNC_START),
	};
	int ret;
	do {
		ret = repeated_ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync);
	} while (ret == -EAGAIN);
	return ret;
}

int ioctl_set_name(int fd, const char *name) {
	char shown[DMA_BUF_NAME_LEN] = "";
	for (size_t i = 0; i + 1 < sizeof(shown) && name[i] != '\0'; i++) {
		shown[i] = name[i];
	}
	return repeated_ioctl(fd, DMA_BUF_SET_NAME, shown);
}

int ioctl_export_sync_file(int fd, uint32_t usage, int *out) {
	struct dma_buf_export_sync_file args = { .flags = flags_of(usage), .fd = -1 };
	int ret = repeated_ioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &args);
	*out = ret < 0 ? -1 : args.fd;
	return ret;
}

int ioctl_import_sync_file(int fd, uint32_t usage, int sync_file) {
	struct dma_buf_import_sync_file args = { .flags = flags_of(usage), .fd = sync_file };
	return repeated_ioctl(fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &args);
}

int ioctl_heap_alloc(int heap, uint64_t bytes, int *out) {
	struct dma_heap_allocation_data args = { .len = bytes, .fd_flags = O_RDWR | O_CLOEXEC };
	int ret = repeated_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &args);
	*out = ret < 0 ? -1 : (int)args.fd;
	return ret;
}
