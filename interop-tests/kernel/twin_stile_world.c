/* SPDX-License-Identifier: MIT */
/*
 * The library's half: its own objects, for which no kernel is needed. Buffers of swgpu; fences of
 * an implementer's as it is given, those of a timeline's counter, and those that came from a
 * software sync file.
 */
#include "interop-tests/kernel/twin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/buffer.h>
#include <stile/carrier.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/merge.h>
#include <stile/timeline.h>
#include <stile/wait.h>

#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum fences { PLAIN_FENCES, COUNTER_FENCES, CARRIED_FENCES };

enum { FENCES = 256, BUFFERS = 16, TIMELINES = 8 };

/* A context. */
struct stream {
	uint64_t context;
	uint64_t last, now;
	struct stile_timeline *timeline; /* NULL: plain fences */
	bool failed;
	struct work *first; /* of plain ones: all of them, the newest first */
	unsigned users;
};

/* A plain fence. */
struct work {
	struct stile_fence base;
	int64_t deadline_ns;
	struct work *next; /* of its stream, which has a reference */
};

struct twin_fence {
	struct stile_fence *fence; /* NULL: closed */
	int poll_fd;               /* -1: not asked for yet */
	struct stream *stream;     /* NULL: it was not made here */
	uint64_t value;
	struct work *work;        /* the stream's */
	struct stile_fence *owed; /* what whoever does the work keeps; NULL: it was not made here */
};

struct twin_buffer {
	struct stile_buffer *buffer;
	int poll_fd;
};

struct twin_timeline {
	struct stile_timeline *timeline;
};

static enum fences fences_of;
static struct stile_device *device;
static struct stile_cancel cancel;

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

static void must(int ret, const char *what) {
	runner_require(ret == 0, "%s: %s", what, strerror(-ret));
}

/* ---- Work ---------------------------------------------------------------------------------- */

static const char *work_get_name(struct stile_fence *fence) {
	(void)fence;
	return "twin";
}

static void work_release(struct stile_fence *fence) {
	free(CONTAINER_OF(fence, struct work, base));
}

static void work_set_deadline(struct stile_fence *fence, int64_t deadline_ns) {
	int64_t *at = &CONTAINER_OF(fence, struct work, base)->deadline_ns;
	int64_t before = __atomic_load_n(at, __ATOMIC_RELAXED);
	while (deadline_ns < before &&
		!__atomic_compare_exchange_n(
			at, &before, deadline_ns, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
	}
}

static const struct stile_fence_ops work_ops = {
	.size = sizeof(struct stile_fence_ops),
	.get_driver_name = work_get_name,
	.get_timeline_name = work_get_name,
	.release = work_release,
	.set_deadline = work_set_deadline,
};

static struct stream *stream_create(void) {
	struct stream *stream = calloc(1, sizeof(*stream));
	runner_require(stream != NULL, "out of memory");
	stream->context = stile_fence_context_alloc(1);
	if (fences_of == COUNTER_FENCES) {
		must(stile_timeline_create("twin", &stream->timeline), "no timeline");
	}
	return stream;
}

static struct stile_fence *work_create(struct stream *stream) {
	struct work *work = calloc(1, sizeof(*work));
	runner_require(work != NULL, "out of memory");
	must(stile_fence_init(&work->base, &work_ops, stream->context, stream->last), "no fence");
	work->deadline_ns = INT64_MAX;
	work->next = stream->first;
	stream->first = work;
	return stile_fence_ref(&work->base);
}

/* In order, from the oldest. */
static void work_end(struct work *work, uint64_t value, int error) {
	if (work == NULL) {
		return;
	}
	work_end(work->next, value, error);
	if (stile_fence_get_seqno(&work->base) <= value &&
		stile_fence_get_status(&work->base) == 0) {
		if (error != 0) {
			must(stile_fence_set_error(&work->base, error), "no error");
		}
		stile_fence_signal(&work->base);
	}
}

static void stream_end(struct stream *stream, uint64_t value, int error) {
	if (stream->timeline == NULL) {
		work_end(stream->first, value, error);
	} else if (error != 0) {
		stile_timeline_unref(stream->timeline);
		stream->timeline = NULL;
	} else if (value > stream->now) {
		must(stile_timeline_advance(stream->timeline, value - stream->now), "no advance");
		stream->now = value;
	}
}

static void stream_unref(struct stream *stream) {
	if (stream == NULL || --stream->users > 0) {
		return;
	}
	stile_timeline_unref(stream->timeline);
	while (stream->first != NULL) {
		struct work *work = stream->first;
		stream->first = work->next;
		stile_fence_unref(&work->base);
	}
	free(stream);
}

/* ---- The world ----------------------------------------------------------------------------- */

static uint32_t own_probe(int of_fences, int of_memory, const char **why) {
	(void)of_memory;
	(void)why;
	uint32_t can = TWIN_BUFFERS | TWIN_PARTS | TWIN_MEMFDS | TWIN_TIMELINES | TWIN_FAILS |
		TWIN_DEADLINES;
	return can | (of_fences != CARRIED_FENCES ? TWIN_ORDERED : 0) |
		(of_fences == PLAIN_FENCES ? TWIN_TELLS : 0);
}

static void own_begin(int of_fences, int of_memory) {
	(void)of_memory;
	fences_of = (enum fences)of_fences;
	must(stile_device_open("swgpu", NULL, &device), "no device");
	stile_cancel_init(&cancel);
}

static void own_end(void) {
	for (size_t i = 0; i < fence_count; i++) {
		if (fences[i].stream != NULL) {
			stream_end(fences[i].stream, fences[i].value, 0);
		}
	}
	for (size_t i = 0; i < timeline_count; i++) {
		stile_timeline_unref(timelines[i].timeline);
	}
	for (size_t i = 0; i < fence_count; i++) {
		stile_fence_unref(fences[i].fence);
		stile_fence_unref(fences[i].owed);
		give_up(&fences[i].poll_fd);
		stream_unref(fences[i].stream);
	}
	for (size_t i = 0; i < buffer_count; i++) {
		stile_buffer_unref(buffers[i].buffer);
		give_up(&buffers[i].poll_fd);
	}
	fence_count = buffer_count = timeline_count = 0;
	stile_device_destroy(device);
}

static void own_interrupt(pthread_t thread) {
	(void)thread;
	stile_cancel_raise(&cancel);
}

/* ---- Fences -------------------------------------------------------------------------------- */

static struct twin_fence *fence_of(struct stile_fence *fence) {
	runner_require(fence_count < FENCES, "no room for a fence");
	fences[fence_count] = (struct twin_fence){ .fence = fence, .poll_fd = -1 };
	return &fences[fence_count++];
}

/* There and back. */
static struct stile_fence *carry(struct stile_fence *fence) {
	int fd;
	struct stile_fence *carried;
	must(stile_fence_export_fd(fence, STILE_FD_SOFTWARE_SYNC_FILE, 0, NULL, &fd), "no file");
	must(stile_fence_import_fd(device, STILE_FD_SOFTWARE_SYNC_FILE, 0, fd, &carried),
		"no fence of the file");
	close(fd);
	stile_fence_unref(fence);
	return carried;
}

static struct twin_fence *stream_next(struct stream *stream) {
	struct stile_fence *fence;
	stream->last++;
	if (stream->timeline != NULL) {
		must(stile_timeline_create_fence(stream->timeline, stream->last, &fence),
			"no fence");
	} else {
		fence = work_create(stream);
	}
	struct stile_fence *owed = stile_fence_ref(fence);
	struct twin_fence *twin = fence_of(fences_of == CARRIED_FENCES ? carry(fence) : fence);
	twin->owed = owed;
	twin->stream = stream;
	twin->value = stream->last;
	twin->work = stream->first;
	stream->users++;
	return twin;
}

static struct twin_fence *own_fence_create(void) {
	return stream_next(stream_create());
}

static struct twin_fence *own_fence_create_after(struct twin_fence *fence) {
	return stream_next(fence->stream);
}

static void own_fence_signal(struct twin_fence *fence) {
	stream_end(fence->stream, fence->value, 0);
}

static void own_fence_fail(struct twin_fence *fence) {
	stream_end(fence->stream, fence->stream->last, -ENOENT);
}

static void own_fence_close(struct twin_fence *fence) {
	stile_fence_unref(fence->fence);
	fence->fence = NULL;
	give_up(&fence->poll_fd);
}

static struct twin_fence *own_fence_merge(struct twin_fence *a, struct twin_fence *b) {
	struct stile_fence *both[] = { a->fence, b->fence }, *merged;
	must(stile_fence_merge(both, 2, &merged), "no merged fence");
	return fence_of(merged);
}

static int own_fence_get_status(struct twin_fence *fence) {
	return stile_fence_get_status(fence->fence);
}

static void own_fence_get_info(struct twin_fence *fence, struct twin_info *info) {
	struct stile_unwrap cursor;
	struct stile_fence *leaf = stile_unwrap_first(fence->fence, &cursor);
	info->count = 0;
	for (; leaf != NULL && info->count < TWIN_LEAVES; leaf = stile_unwrap_next(&cursor)) {
		info->leaves[info->count].status = stile_fence_get_status(leaf);
		info->leaves[info->count++].timestamp_ns = stile_fence_get_timestamp(leaf);
	}
	stile_unwrap_end(&cursor);
}

static int own_fence_get_fd(struct twin_fence *fence, int *fd) {
	return stile_fence_export_fd(fence->fence, STILE_FD_SOFTWARE_SYNC_FILE, 0, NULL, fd);
}

static int own_fence_poll(struct twin_fence *fence, int events, int timeout_ms) {
	if (fence->poll_fd < 0) {
		must(own_fence_get_fd(fence, &fence->poll_fd), "no descriptor");
	}
	return twin_poll(fence->poll_fd, events, timeout_ms);
}

static int own_fence_adopt(int fd) {
	struct stile_fence *fence;
	int ret = stile_fence_import_fd(device, STILE_FD_SOFTWARE_SYNC_FILE, 0, fd, &fence);
	stile_fence_unref(fence);
	return ret;
}

static int own_fence_set_deadline(struct twin_fence *fence, int64_t deadline_ns) {
	stile_fence_set_deadline(fence->fence, deadline_ns);
	return 0;
}

static int64_t own_fence_get_deadline(struct twin_fence *fence) {
	return __atomic_load_n(&fence->work->deadline_ns, __ATOMIC_RELAXED);
}

/* ---- Buffers ------------------------------------------------------------------------------- */

static int buffer_of(int ret, struct stile_buffer *buffer, struct twin_buffer **out) {
	if (ret < 0) {
		return ret;
	}
	runner_require(buffer_count < BUFFERS, "no room for a buffer");
	buffers[buffer_count] = (struct twin_buffer){ .buffer = buffer, .poll_fd = -1 };
	*out = &buffers[buffer_count++];
	return 0;
}

static int own_buffer_create(uint64_t bytes, struct twin_buffer **out) {
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = bytes };
	struct stile_buffer *buffer;
	int ret = stile_buffer_create(device, &info, &buffer);
	return buffer_of(ret, buffer, out);
}

static int own_buffer_adopt(int memfd, uint64_t bytes, struct twin_buffer **out) {
	(void)bytes;
	struct stile_buffer *buffer;
	int ret = stile_buffer_import_fd(
		device, memfd, STILE_USAGE_READ | STILE_USAGE_WRITE, NULL, &buffer);
	return buffer_of(ret, buffer, out);
}

static void own_buffer_close(struct twin_buffer *buffer) {
	stile_buffer_unref(buffer->buffer);
	buffer->buffer = NULL;
	give_up(&buffer->poll_fd);
}

static int own_buffer_get_fd(struct twin_buffer *buffer, int *fd) {
	return stile_buffer_export_fd(buffer->buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, fd);
}

static int own_buffer_export(struct twin_buffer *buffer, uint32_t usage, struct twin_fence **out) {
	struct stile_fence *fence;
	int ret = stile_buffer_export_fence(buffer->buffer, usage, &fence);
	if (ret == 0) {
		*out = fence_of(fence);
	}
	return ret;
}

static int own_buffer_import(struct twin_buffer *buffer, uint32_t usage, struct twin_fence *fence) {
	return stile_buffer_import_fence(buffer->buffer, usage, fence->fence);
}

static int own_buffer_poll(struct twin_buffer *buffer, int events, int timeout_ms) {
	if (buffer->poll_fd < 0) {
		must(stile_buffer_get_poll_fd(buffer->buffer, &buffer->poll_fd), "no descriptor");
	}
	return twin_poll(buffer->poll_fd, events, timeout_ms);
}

static int own_buffer_begin(struct twin_buffer *buffer, uint32_t usage) {
	return stile_buffer_begin_cpu_access(buffer->buffer, usage, INT64_MAX, &cancel);
}

static int own_buffer_end(struct twin_buffer *buffer, uint32_t usage) {
	return stile_buffer_end_cpu_access(buffer->buffer, usage);
}

static int own_buffer_set_name(struct twin_buffer *buffer, const char *name) {
	return stile_buffer_set_name(buffer->buffer, name);
}

static void own_buffer_get_name(struct twin_buffer *buffer, char name[TWIN_NAME_BYTES]) {
	stile_buffer_get_name(buffer->buffer, name);
}

static int own_buffer_map(struct twin_buffer *buffer, uint32_t usage, uint64_t offset,
	uint64_t bytes, void **address) {
	return stile_buffer_mmap_range(buffer->buffer, usage, offset, bytes, address);
}

static void own_buffer_unmap(struct twin_buffer *buffer, void *address, uint64_t bytes) {
	(void)bytes;
	stile_buffer_munmap(buffer->buffer, address);
}

/* ---- Timelines ----------------------------------------------------------------------------- */

static struct stile_point point_at(const struct twin_timeline *timeline, uint64_t value) {
	return (struct stile_point){ .timeline = timeline->timeline, .value = value };
}

static struct twin_timeline *own_timeline_create(void) {
	runner_require(timeline_count < TIMELINES, "no room for a timeline");
	must(stile_timeline_create("twin", &timelines[timeline_count].timeline), "no timeline");
	return &timelines[timeline_count++];
}

static void own_timeline_close(struct twin_timeline *timeline) {
	stile_timeline_unref(timeline->timeline);
	timeline->timeline = NULL;
}

static int own_timeline_submit(
	struct twin_timeline *timeline, uint64_t value, struct twin_fence *fence) {
	return stile_timeline_submit(timeline->timeline, value, fence->fence);
}

static int own_timeline_transfer(struct twin_timeline *to, uint64_t to_value,
	struct twin_timeline *from, uint64_t from_value) {
	struct stile_point point = point_at(from, from_value);
	struct stile_fence *fence;
	int ret = stile_point_get_fence(&point, &fence);
	if (ret == 0) {
		ret = stile_timeline_submit(to->timeline, to_value, fence);
	}
	stile_fence_unref(fence);
	return ret;
}

static enum twin_state own_timeline_get_state(struct twin_timeline *timeline, uint64_t value) {
	struct stile_point point = point_at(timeline, value);
	return (enum twin_state)stile_point_get_state(&point);
}

static int own_timeline_get_fence(
	struct twin_timeline *timeline, uint64_t value, struct twin_fence **out) {
	struct stile_point point = point_at(timeline, value);
	struct stile_fence *fence;
	int ret = stile_point_get_fence(&point, &fence);
	if (ret == 0) {
		*out = fence_of(fence);
	}
	return ret;
}

static int own_timeline_wait(struct twin_timeline *timeline, uint64_t value, enum twin_event event,
	int64_t deadline_ns) {
	struct stile_point point = point_at(timeline, value);
	return stile_point_wait(&point, (enum stile_point_event)event, deadline_ns, NULL);
}

static int own_timeline_notify(
	struct twin_timeline *timeline, uint64_t value, enum twin_event event, int eventfd) {
	struct stile_point point = point_at(timeline, value);
	return stile_point_notify_fd(&point, (enum stile_point_event)event, eventfd);
}

static const struct twin_ops own_ops = {
	.begin = own_begin,
	.end = own_end,
	.interrupt = own_interrupt,
	.fence_create = own_fence_create,
	.fence_create_after = own_fence_create_after,
	.fence_signal = own_fence_signal,
	.fence_fail = own_fence_fail,
	.fence_close = own_fence_close,
	.fence_merge = own_fence_merge,
	.fence_get_status = own_fence_get_status,
	.fence_get_info = own_fence_get_info,
	.fence_poll = own_fence_poll,
	.fence_get_fd = own_fence_get_fd,
	.fence_adopt = own_fence_adopt,
	.fence_set_deadline = own_fence_set_deadline,
	.fence_get_deadline = own_fence_get_deadline,
	.buffer_create = own_buffer_create,
	.buffer_adopt = own_buffer_adopt,
	.buffer_close = own_buffer_close,
	.buffer_get_fd = own_buffer_get_fd,
	.buffer_export = own_buffer_export,
	.buffer_import = own_buffer_import,
	.buffer_poll = own_buffer_poll,
	.buffer_begin = own_buffer_begin,
	.buffer_end = own_buffer_end,
	.buffer_set_name = own_buffer_set_name,
	.buffer_get_name = own_buffer_get_name,
	.buffer_map = own_buffer_map,
	.buffer_unmap = own_buffer_unmap,
	.timeline_create = own_timeline_create,
	.timeline_close = own_timeline_close,
	.timeline_submit = own_timeline_submit,
	.timeline_transfer = own_timeline_transfer,
	.timeline_get_state = own_timeline_get_state,
	.timeline_get_fence = own_timeline_get_fence,
	.timeline_wait = own_timeline_wait,
	.timeline_notify = own_timeline_notify,
};

#define WORLD(is, of_fences) \
	{ .name = (is), .ops = &own_ops, .fences = (of_fences), .probe = own_probe }

const struct twin_world twin_stile_worlds[] = {
	WORLD("Stile: an implementer's fences", PLAIN_FENCES),
	WORLD("Stile: fences of a counter", COUNTER_FENCES),
	WORLD("Stile: fences of software sync files", CARRIED_FENCES),
};
const size_t twin_stile_world_count = sizeof(twin_stile_worlds) / sizeof(twin_stile_worlds[0]);
