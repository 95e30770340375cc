/* SPDX-License-Identifier: MIT */
/*
 * The reservation that the kernel has of a dma-buf: KERNEL_CONTRACT D-2, D-6, D-7. What a kernel lacks is
 * found out by asking it once.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

#include <stile/fence.h>
#include <stile/merge.h>

#include "backends/dmabuf/dma_buf.h"
#include "backends/dmabuf/ioctl.h"
#include "src/buffer.h"
#include "src/device.h"
#include "src/fd_fence.h"
#include "src/fence.h"
#include "src/kernel_sync_file.h"

/* By atomic access. There is one kernel. */
static uint32_t lacks_export, lacks_import;

static bool is_set(const uint32_t *flag) {
	return __atomic_load_n(flag, __ATOMIC_RELAXED) != 0;
}

static bool is_idle(int fd, short events) {
	struct pollfd at = { .fd = fd, .events = events };
	return poll(&at, 1, 0) == 1 && (at.revents & events) != 0;
}

/* ---- Out of the kernel --------------------------------------------------------------------- */

/* Those two follow the dma-buf itself: done when there is nothing more to wait for (D-2). */
static int look_for_reader(int fd, void *data, struct fd_fence_end *end) {
	(void)data;
	(void)end;
	return is_idle(fd, POLLIN);
}

static int look_for_writer(int fd, void *data, struct fd_fence_end *end) {
	(void)data;
	(void)end;
	return is_idle(fd, POLLOUT);
}

static const struct fd_fence_kind reader_kind = { .look = look_for_reader, .events = POLLIN };
static const struct fd_fence_kind writer_kind = { .look = look_for_writer, .events = POLLOUT };

/* A buffer may outlive its device, not what the application hears the device with. */
static bool is_open(struct stile_device *device) {
	pthread_mutex_lock(&device->lock);
	bool open = !device->closed;
	pthread_mutex_unlock(&device->lock);
	return open;
}

static void tell_of_poll(struct stile_device *device) {
	if (is_open(device) &&
		__atomic_exchange_n(&device->told_of_poll, 1, __ATOMIC_RELAXED) == 0) {
		device_log(device, STILE_LOG_WARN,
			"this kernel lacks DMA_BUF_IOCTL_EXPORT_SYNC_FILE (Linux 6.0): waits for other "
			"users of a dma-buf end when it is idle, later users' work included, and "
			"without their errors");
	}
}

static int export_poll(const struct stile_buffer *buffer, struct watch *watch, uint32_t usage,
	struct stile_fence **out) {
	static const struct fd_fence_names names = { "dma-buf", "poll" };
	const struct fd_fence_info info = {
		.kind = usage & STILE_USAGE_WRITE ? &writer_kind : &reader_kind,
		.fd = dma_buf_get_fd(buffer),
		.names = &names,
	};
	tell_of_poll(dma_buf_get_device(buffer));
	return fd_fence_create(watch, &info, out);
}

static int export_sync_file(const struct stile_buffer *buffer, struct watch *watch, uint32_t usage,
	bool is_pending, struct stile_fence **out) {
	int fd;
	int ret = ioctl_export_sync_file(dma_buf_get_fd(buffer), usage, &fd);
	if (ret < 0) {
		return ret;
	}
	ret = kernel_sync_file_take(watch, fd, is_pending, out);
	if (ret < 0) {
		close(fd);
	}
	return ret;
}

int dma_buf_fences_export(
	struct stile_buffer *buffer, uint32_t usage, bool likely, struct stile_fence **out) {
	*out = NULL;
	if (!likely &&
		is_idle(dma_buf_get_fd(buffer), usage & STILE_USAGE_WRITE ? POLLOUT : POLLIN)) {
		return 0;
	}
	struct watch *watch;
	int ret = dma_buf_get_watch(buffer, &watch);
	if (ret < 0) {
		return ret;
	}
	ret = is_set(&lacks_export) ? -ENOTTY
				    : export_sync_file(buffer, watch, usage, !likely, out);
	if (ret == -ENOTTY) {
		__atomic_store_n(&lacks_export, 1, __ATOMIC_RELAXED);
		ret = export_poll(buffer, watch, usage, out);
	}
	return ret;
}

/* ---- Into the kernel ----------------------------------------------------------------------- */

/* All or nothing is put in, as far as it can be known before. */
static int check_leaves(struct stile_fence *fence) {
	struct stile_unwrap cursor;
	struct stile_fence *leaf = stile_unwrap_first(fence, &cursor);
	while (leaf != NULL &&
		(kernel_sync_file_get_fd(leaf) >= 0 || stile_fence_is_signaled(leaf))) {
		leaf = stile_unwrap_next(&cursor);
	}
	stile_unwrap_end(&cursor);
	return leaf == NULL ? 0 : -EOPNOTSUPP;
}

static int import_leaves(int fd, uint32_t usage, struct stile_fence *fence) {
	struct stile_unwrap cursor;
	int ret = 0;
	struct stile_fence *leaf = stile_unwrap_first(fence, &cursor);
	while (leaf != NULL && ret == 0) {
		int file = kernel_sync_file_get_fd(leaf);
		if (file >= 0 && !fence_has_ended(leaf)) {
			ret = ioctl_import_sync_file(fd, usage, file);
		}
		leaf = ret == 0 ? stile_unwrap_next(&cursor) : leaf;
	}
	stile_unwrap_end(&cursor);
	return ret;
}

int dma_buf_fences_import(struct stile_buffer *buffer, uint32_t usage, struct stile_fence *fence) {
	int ret = is_set(&lacks_import) ? -EOPNOTSUPP : 0, file = kernel_sync_file_get_fd(fence);
	if (ret == 0 && file >= 0) {
		ret = ioctl_import_sync_file(dma_buf_get_fd(buffer), usage, file);
	} else if (ret == 0) {
		ret = check_leaves(fence);
	}
	if (ret == 0 && file < 0) {
		ret = import_leaves(dma_buf_get_fd(buffer), usage, fence);
	}
	if (ret == -ENOTTY) {
		__atomic_store_n(&lacks_import, 1, __ATOMIC_RELAXED);
		ret = -EOPNOTSUPP;
	}
	return ret;
}
