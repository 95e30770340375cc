/* SPDX-License-Identifier: MIT */
/*
 * The kernel's half: dma-bufs of whoever makes some, fences of vgem (which need a kernel with vgem
 * only, and end by themselves after 10 s) or of sw_sync (which can fail, and have contexts),
 * syncobjs of virtio-gpu.
 */
#include "interop-tests/kernel/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xf86drm.h>

#include "interop-tests/kernel/twin_kernel.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/vgem.h"

enum fences { VGEM_FENCES, SW_SYNC_FENCES };
enum memory { UDMABUF_MEMORY, HEAP_MEMORY, VGEM_MEMORY, VIRTIO_MEMORY };

enum { FENCES = 256, BUFFERS = 16, TIMELINES = 8 };

/* A timeline of sw_sync. */
struct stream {
	int fd;
	uint32_t last, now;
	unsigned users;
};

struct twin_fence {
	int fd; /* -1: closed */
	struct stream *stream;
	uint32_t value;
	int vgem; /* 0: none of vgem's, or signalled */
};

struct twin_buffer {
	int fd;
};

struct twin_timeline {
	uint32_t handle;
};

static enum fences fences_of;
static enum memory memory_of;
static int vgem = -1, virtio = -1, maker = -1;

static struct twin_fence fences[FENCES];
static size_t fence_count;
static struct twin_buffer buffers[BUFFERS];
static size_t buffer_count;
static struct twin_timeline timelines[TIMELINES];
static size_t timeline_count;

static void give_up(int *fd) {
	if (*fd >= 0) {
		close(*fd);
	}
	*fd = -1;
}

/* ---- What is here -------------------------------------------------------------------------- */

static int open_maker(enum memory memory) {
	switch (memory) {
	case UDMABUF_MEMORY:
		return kernel_open_udmabuf();
	case HEAP_MEMORY:
		return kernel_open_heap();
	case VGEM_MEMORY:
		return vgem_open();
	case VIRTIO_MEMORY:
		return kernel_open_card("virtio_gpu");
	}
	return -ENODEV;
}

static bool is_here(int fd, const char *what, const char **why) {
	static char text[128];
	if (fd >= 0) {
		close(fd);
		return true;
	}
	snprintf(text, sizeof(text), "%s: %s", what, strerror(-fd));
	*why = text;
	return false;
}

static bool has_timelines(void) {
	int fd = kernel_open_card("virtio_gpu");
	uint64_t value = 0;
	bool has = fd >= 0 && drmGetCap(fd, DRM_CAP_SYNCOBJ_TIMELINE, &value) == 0 && value != 0;
	give_up(&fd);
	return has;
}

static bool has_deadlines(void) {
	int fd = vgem_open(), memory = vgem_dma_buf(fd, 1);
	int file = kernel_export(memory, DMA_BUF_SYNC_RW);
	struct kernel_deadline deadline = { .deadline_ns = 1 };
	bool has = kernel_ioctl(file, KERNEL_SYNC_SET_DEADLINE, &deadline) == 0;
	give_up(&file);
	give_up(&memory);
	give_up(&fd);
	return has;
}

static uint32_t kernel_probe(int of_fences, int of_memory, const char **why) {
	bool by_sw_sync = of_fences == SW_SYNC_FENCES;
	if (!is_here(vgem_open(), "vgem", why) ||
		(by_sw_sync && !is_here(kernel_open_sw_sync(), "sw_sync", why)) ||
		!is_here(open_maker((enum memory)of_memory), "the memory's maker", why)) {
		return 0;
	}
	/*
	 * What drivers map by DRM's helpers for shmem begins at the first page, wherever it should.
	 */
	bool by_helper = of_memory == VGEM_MEMORY || of_memory == VIRTIO_MEMORY;
	return TWIN_BUFFERS | (by_helper ? 0 : TWIN_PARTS) |
		(of_memory == UDMABUF_MEMORY ? TWIN_MEMFDS : 0) |
		(has_timelines() ? TWIN_TIMELINES : 0) | (has_deadlines() ? TWIN_DEADLINES : 0) |
		(by_sw_sync ? TWIN_FAILS | TWIN_ORDERED | TWIN_TELLS : 0);
}

static void on_signal(int number) {
	(void)number;
}

static void kernel_begin(int of_fences, int of_memory) {
	fences_of = (enum fences)of_fences;
	memory_of = (enum memory)of_memory;
	vgem = vgem_open();
	virtio = kernel_open_card("virtio_gpu");
	maker = open_maker(memory_of);
	/* Not restarted: an ioctl() that it interrupts says so. */
	struct sigaction action = { .sa_handler = on_signal };
	runner_require(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
}

static void kernel_interrupt(pthread_t thread) {
	pthread_kill(thread, SIGUSR1);
}

static void stream_unref(struct stream *stream) {
	if (stream != NULL && --stream->users == 0) {
		give_up(&stream->fd);
		free(stream);
	}
}

/* Closing the nodes ends all fences that are still pending. */
static void kernel_end(void) {
	for (size_t i = 0; i < fence_count; i++) {
		give_up(&fences[i].fd);
		stream_unref(fences[i].stream);
	}
	for (size_t i = 0; i < buffer_count; i++) {
		give_up(&buffers[i].fd);
	}
	fence_count = buffer_count = timeline_count = 0;
	give_up(&vgem);
	give_up(&virtio);
	give_up(&maker);
}

/* ---- Fences -------------------------------------------------------------------------------- */

static struct twin_fence *fence_of_fd(int fd) {
	runner_require(fd >= 0, "no fence: %s", strerror(-fd));
	runner_require(fence_count < FENCES, "no room for a fence");
	fences[fence_count] = (struct twin_fence){ .fd = fd };
	return &fences[fence_count++];
}

static struct twin_fence *stream_next(struct stream *stream) {
	struct twin_fence *fence = fence_of_fd(kernel_sw_fence(stream->fd, stream->last + 1));
	fence->stream = stream;
	fence->value = ++stream->last;
	stream->users++;
	return fence;
}

static struct twin_fence *kernel_fence_create(void) {
	if (fences_of == VGEM_FENCES) {
		int number = 0;
		struct twin_fence *fence = fence_of_fd(vgem_sync_file(vgem, &number));
		fence->vgem = number;
		return fence;
	}
	struct stream *stream = calloc(1, sizeof(*stream));
	runner_require(stream != NULL, "out of memory");
	stream->fd = kernel_open_sw_sync();
	runner_require(stream->fd >= 0, "sw_sync: %s", strerror(-stream->fd));
	return stream_next(stream);
}

static struct twin_fence *kernel_fence_create_after(struct twin_fence *fence) {
	return stream_next(fence->stream);
}

static void kernel_fence_signal(struct twin_fence *fence) {
	if (fence->vgem != 0) {
		int ret = vgem_signal(vgem, fence->vgem);
		runner_require(ret == 0, "vgem's fence %d: %s", fence->vgem, strerror(-ret));
		fence->vgem = 0;
	} else if (fence->stream == NULL || fence->stream->fd < 0) {
		return;
	} else if (fence->value > fence->stream->now) {
		int ret = kernel_sw_advance(fence->stream->fd, fence->value - fence->stream->now);
		runner_require(ret == 0, "sw_sync: %s", strerror(-ret));
		fence->stream->now = fence->value;
	}
}

static void kernel_fence_fail(struct twin_fence *fence) {
	give_up(&fence->stream->fd);
}

static void kernel_fence_close(struct twin_fence *fence) {
	give_up(&fence->fd);
}

static struct twin_fence *kernel_fence_merge(struct twin_fence *a, struct twin_fence *b) {
	return fence_of_fd(kernel_merge(a->fd, b->fd));
}

static int kernel_fence_get_status(struct twin_fence *fence) {
	return kernel_get_status(fence->fd);
}

static void kernel_fence_get_info(struct twin_fence *fence, struct twin_info *out) {
	struct sync_fence_info leaves[TWIN_LEAVES] = { 0 };
	struct sync_file_info info = {
		.num_fences = TWIN_LEAVES,
		.sync_fence_info = (uintptr_t)leaves,
	};
	int ret = kernel_ioctl(fence->fd, SYNC_IOC_FILE_INFO, &info);
	runner_require(ret == 0, "FILE_INFO: %s", strerror(-ret));
	out->count = info.num_fences;
	for (size_t i = 0; i < out->count; i++) {
		out->leaves[i].status = leaves[i].status;
		out->leaves[i].timestamp_ns = (int64_t)leaves[i].timestamp_ns;
	}
}

static int kernel_fence_poll(struct twin_fence *fence, int events, int timeout_ms) {
	return twin_poll(fence->fd, events, timeout_ms);
}

static int kernel_fence_get_fd(struct twin_fence *fence, int *fd) {
	*fd = fcntl(fence->fd, F_DUPFD_CLOEXEC, 0);
	return *fd < 0 ? -errno : 0;
}

/* To a buffer, as nothing else takes one. */
static int kernel_fence_adopt(int fd) {
	int dma_buf = kernel_dumb_create(vgem, 1);
	runner_require(dma_buf >= 0, "%s", strerror(-dma_buf));
	int ret = kernel_import(dma_buf, DMA_BUF_SYNC_READ, fd);
	close(dma_buf);
	return ret;
}

static int kernel_fence_set_deadline(struct twin_fence *fence, int64_t deadline_ns) {
	struct kernel_deadline deadline = { .deadline_ns = (uint64_t)deadline_ns };
	return kernel_ioctl(fence->fd, KERNEL_SYNC_SET_DEADLINE, &deadline);
}

static int64_t kernel_fence_get_deadline(struct twin_fence *fence) {
	struct kernel_sw_deadline deadline = { .fence = fence->fd };
	int ret = kernel_ioctl(fence->stream->fd, KERNEL_SW_GET_DEADLINE, &deadline);
	runner_require(ret == 0 || ret == -ENOENT, "GET_DEADLINE: %s", strerror(-ret));
	return ret < 0 ? INT64_MAX : (int64_t)deadline.deadline_ns;
}

/* ---- Buffers ------------------------------------------------------------------------------- */

static int buffer_of_fd(int fd, struct twin_buffer **out) {
	if (fd < 0) {
		return fd;
	}
	runner_require(buffer_count < BUFFERS, "no room for a buffer");
	buffers[buffer_count].fd = fd;
	*out = &buffers[buffer_count++];
	return 0;
}

static int kernel_buffer_create(uint64_t bytes, struct twin_buffer **out) {
	switch (memory_of) {
	case UDMABUF_MEMORY:
		return buffer_of_fd(kernel_udmabuf_alloc(maker, bytes), out);
	case HEAP_MEMORY:
		return buffer_of_fd(kernel_heap_alloc(maker, bytes, O_RDWR | O_CLOEXEC), out);
	case VGEM_MEMORY:
	case VIRTIO_MEMORY:
		return buffer_of_fd(kernel_dumb_create(maker, bytes), out);
	}
	return -ENODEV;
}

static int kernel_buffer_adopt(int memfd, uint64_t bytes, struct twin_buffer **out) {
	return buffer_of_fd(kernel_udmabuf_create(maker, memfd, bytes), out);
}

static void kernel_buffer_close(struct twin_buffer *buffer) {
	give_up(&buffer->fd);
}

static int kernel_buffer_get_fd(struct twin_buffer *buffer, int *fd) {
	*fd = fcntl(buffer->fd, F_DUPFD_CLOEXEC, 0);
	return *fd < 0 ? -errno : 0;
}

static int kernel_buffer_export(
	struct twin_buffer *buffer, uint32_t usage, struct twin_fence **out) {
	int fd = kernel_export(buffer->fd, usage);
	if (fd < 0) {
		return fd;
	}
	*out = fence_of_fd(fd);
	return 0;
}

static int kernel_buffer_import(
	struct twin_buffer *buffer, uint32_t usage, struct twin_fence *fence) {
	return kernel_import(buffer->fd, usage, fence->fd);
}

static int kernel_buffer_poll(struct twin_buffer *buffer, int events, int timeout_ms) {
	return twin_poll(buffer->fd, events, timeout_ms);
}

static int buffer_sync(const struct twin_buffer *buffer, uint64_t flags) {
	struct dma_buf_sync sync = { .flags = flags };
	return kernel_ioctl(buffer->fd, DMA_BUF_IOCTL_SYNC, &sync);
}

static int kernel_buffer_begin(struct twin_buffer *buffer, uint32_t usage) {
	return buffer_sync(buffer, DMA_BUF_SYNC_START | usage);
}

static int kernel_buffer_end(struct twin_buffer *buffer, uint32_t usage) {
	return buffer_sync(buffer, DMA_BUF_SYNC_END | usage);
}

static int kernel_buffer_set_name(struct twin_buffer *buffer, const char *name) {
	return kernel_ioctl(buffer->fd, DMA_BUF_SET_NAME_B, (void *)(uintptr_t)name);
}

/* There is no call to ask for it. */
static void kernel_buffer_get_name(struct twin_buffer *buffer, char name[TWIN_NAME_BYTES]) {
	char path[64], line[256];
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", buffer->fd);
	FILE *file = fopen(path, "re");
	runner_require(file != NULL, "%s: %s", path, strerror(errno));
	name[0] = '\0';
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "name:\t", 6) == 0) {
			snprintf(name, TWIN_NAME_BYTES, "%.*s", (int)strcspn(line + 6, "\n"),
				line + 6);
		}
	}
	fclose(file);
}

static int kernel_buffer_map(struct twin_buffer *buffer, uint32_t usage, uint64_t offset,
	uint64_t bytes, void **address) {
	int prot = ((usage & TWIN_READ) != 0 ? PROT_READ : 0) |
		((usage & TWIN_WRITE) != 0 ? PROT_WRITE : 0);
	*address = mmap(NULL, bytes, prot, MAP_SHARED, buffer->fd, (off_t)offset);
	return *address == MAP_FAILED ? -errno : 0;
}

static void kernel_buffer_unmap(struct twin_buffer *buffer, void *address, uint64_t bytes) {
	(void)buffer;
	munmap(address, bytes);
}

/* ---- Timelines ----------------------------------------------------------------------------- */

/* libdrm gives -1 or -errno. */
static int code(int ret) {
	return ret < 0 ? -errno : 0;
}

static uint32_t syncobj_create(void) {
	uint32_t handle = 0;
	runner_require(
		drmSyncobjCreate(virtio, 0, &handle) == 0, "no syncobj: %s", strerror(errno));
	return handle;
}

static struct twin_timeline *kernel_timeline_create(void) {
	runner_require(timeline_count < TIMELINES, "no room for a timeline");
	timelines[timeline_count].handle = syncobj_create();
	return &timelines[timeline_count++];
}

static void kernel_timeline_close(struct twin_timeline *timeline) {
	runner_require(drmSyncobjDestroy(virtio, timeline->handle) == 0, "%s", strerror(errno));
}

/* There is no call for a sync_file and a point before 6.13 or so: by way of a binary one. */
static int kernel_timeline_submit(
	struct twin_timeline *timeline, uint64_t value, struct twin_fence *fence) {
	uint32_t binary = syncobj_create();
	int ret = code(drmSyncobjImportSyncFile(virtio, binary, fence->fd));
	if (ret == 0) {
		ret = code(drmSyncobjTransfer(virtio, timeline->handle, value, binary, 0, 0));
	}
	drmSyncobjDestroy(virtio, binary);
	return ret;
}

static int kernel_timeline_transfer(struct twin_timeline *to, uint64_t to_value,
	struct twin_timeline *from, uint64_t from_value) {
	return code(drmSyncobjTransfer(virtio, to->handle, to_value, from->handle, from_value, 0));
}

static int timeline_look(
	struct twin_timeline *timeline, uint64_t value, unsigned flags, int64_t deadline_ns) {
	return code(drmSyncobjTimelineWait(
		virtio, &timeline->handle, &value, 1, deadline_ns, flags, NULL));
}

static enum twin_state kernel_timeline_get_state(struct twin_timeline *timeline, uint64_t value) {
	int ret = timeline_look(timeline, value, 0, 0);
	runner_require(
		ret == 0 || ret == -ETIME || ret == -EINVAL, "TIMELINE_WAIT: %s", strerror(-ret));
	return ret == 0 ? TWIN_DONE : ret == -ETIME ? TWIN_PENDING : TWIN_UNSUBMITTED;
}

static int kernel_timeline_get_fence(
	struct twin_timeline *timeline, uint64_t value, struct twin_fence **out) {
	uint32_t binary = syncobj_create();
	int fd = -1;
	int ret = code(drmSyncobjTransfer(virtio, binary, 0, timeline->handle, value, 0));
	if (ret == 0) {
		ret = code(drmSyncobjExportSyncFile(virtio, binary, &fd));
	}
	drmSyncobjDestroy(virtio, binary);
	if (ret == 0) {
		*out = fence_of_fd(fd);
	}
	return ret;
}

static int kernel_timeline_wait(struct twin_timeline *timeline, uint64_t value,
	enum twin_event event, int64_t deadline_ns) {
	return timeline_look(timeline, value,
		event == TWIN_AVAILABLE ? DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE
					: DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
		deadline_ns);
}

static int kernel_timeline_notify(
	struct twin_timeline *timeline, uint64_t value, enum twin_event event, int eventfd) {
	return code(drmSyncobjEventfd(virtio, timeline->handle, value, eventfd,
		event == TWIN_AVAILABLE ? DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE : 0));
}

static const struct twin_ops kernel_ops = {
	.begin = kernel_begin,
	.end = kernel_end,
	.interrupt = kernel_interrupt,
	.fence_create = kernel_fence_create,
	.fence_create_after = kernel_fence_create_after,
	.fence_signal = kernel_fence_signal,
	.fence_fail = kernel_fence_fail,
	.fence_close = kernel_fence_close,
	.fence_merge = kernel_fence_merge,
	.fence_get_status = kernel_fence_get_status,
	.fence_get_info = kernel_fence_get_info,
	.fence_poll = kernel_fence_poll,
	.fence_get_fd = kernel_fence_get_fd,
	.fence_adopt = kernel_fence_adopt,
	.fence_set_deadline = kernel_fence_set_deadline,
	.fence_get_deadline = kernel_fence_get_deadline,
	.buffer_create = kernel_buffer_create,
	.buffer_adopt = kernel_buffer_adopt,
	.buffer_close = kernel_buffer_close,
	.buffer_get_fd = kernel_buffer_get_fd,
	.buffer_export = kernel_buffer_export,
	.buffer_import = kernel_buffer_import,
	.buffer_poll = kernel_buffer_poll,
	.buffer_begin = kernel_buffer_begin,
	.buffer_end = kernel_buffer_end,
	.buffer_set_name = kernel_buffer_set_name,
	.buffer_get_name = kernel_buffer_get_name,
	.buffer_map = kernel_buffer_map,
	.buffer_unmap = kernel_buffer_unmap,
	.timeline_create = kernel_timeline_create,
	.timeline_close = kernel_timeline_close,
	.timeline_submit = kernel_timeline_submit,
	.timeline_transfer = kernel_timeline_transfer,
	.timeline_get_state = kernel_timeline_get_state,
	.timeline_get_fence = kernel_timeline_get_fence,
	.timeline_wait = kernel_timeline_wait,
	.timeline_notify = kernel_timeline_notify,
};

#define WORLD(is, of_fences, of_memory) \
	{ \
		.name = (is), .ops = &kernel_ops, .is_kernel = true, .fences = (of_fences), \
		.memory = (of_memory), .probe = kernel_probe \
	}

const struct twin_world twin_kernel_worlds[] = {
	WORLD("kernel: vgem's fences, udmabuf", VGEM_FENCES, UDMABUF_MEMORY),
	WORLD("kernel: vgem's fences, system heap", VGEM_FENCES, HEAP_MEMORY),
	WORLD("kernel: vgem's fences and dumb buffers", VGEM_FENCES, VGEM_MEMORY),
	WORLD("kernel: vgem's fences, virtio-gpu's dumb buffers", VGEM_FENCES, VIRTIO_MEMORY),
	WORLD("kernel: sw_sync's fences, udmabuf", SW_SYNC_FENCES, UDMABUF_MEMORY),
};
const size_t twin_kernel_world_count = sizeof(twin_kernel_worlds) / sizeof(twin_kernel_worlds[0]);
