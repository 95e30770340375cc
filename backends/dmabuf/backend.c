/* SPDX-License-Identifier: MIT */
#include "src/backend.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/dmabuf.h>

#include "backends/dmabuf/dma_buf.h"
#include "backends/dmabuf/heap.h"
#include "backends/dmabuf/kind.h"
#include "src/abi.h"
#include "src/buffer.h"
#include "src/check.h"
#include "src/device.h"
#include "src/os.h"
#include "src/report.h"

#define USAGE_ALL ((uint32_t)(STILE_USAGE_READ | STILE_USAGE_WRITE))

enum { NAME_BYTES = 64 };

/* Where the memory of a device comes from. */
struct source {
	struct stile_dmabuf_allocator allocator;
	char name[NAME_BYTES];
};

const struct stile_backend_ops stile_backend_dmabuf;

/* ---- Opening ------------------------------------------------------------------------------- */

/* The name of the heap, in memory of the caller's, or what report_refuse() gave. */
static int parse_options(const char *options, char *heap, size_t bytes, struct stile_report *why) {
	static const char key[] = "heap=";
	size_t length = options == NULL ? 0 : strlen(options);
	while (length > 0 && isspace((unsigned char)options[length - 1])) {
		length--;
	}
	while (length > 0 && isspace((unsigned char)options[0])) {
		options++;
		length--;
	}
	if (length == 0) {
		snprintf(heap, bytes, "system");
		return 0;
	}
	size_t value = length - (sizeof(key) - 1);
	if (length < sizeof(key) || strncmp(options, key, sizeof(key) - 1) != 0 || value >= bytes) {
		return report_refuse(why, -EINVAL, STILE_REASON_OPTION, 0, 0, 0,
			"option '%.*s' is not understood; there is only heap=NAME",
			length < 64 ? (int)length : 64, options);
	}
	memcpy(heap, options + sizeof(key) - 1, value);
	heap[value] = '\0';
	return 0;
}

static int open_heap(struct stile_device *device, const char *options, struct stile_report *why) {
	char name[NAME_MAX + 2];
	int ret = parse_options(options, name, sizeof(name), why);
	if (ret < 0) {
		return ret;
	}
	struct source *source = calloc(1, sizeof(*source));
	if (source == NULL) {
		return report_refuse(
			why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	ret = heap_open(device, name, why, &source->allocator);
	if (ret < 0) {
		free(source);
		return ret;
	}
	snprintf(source->name, sizeof(source->name), "%s", source->allocator.name);
	device->backend = source;
	return 0;
}

static void fill_limits(struct device_limits *limits, const struct stile_dmabuf_allocator *from) {
	*limits = dma_buf_limits;
	if (from->modifiers != NULL) {
		limits->create_modifiers = from->modifiers;
		limits->create_modifier_count = from->modifier_count;
	}
	if (from->max_width != 0) {
		limits->import.max_width = from->max_width;
	}
	if (from->max_height != 0) {
		limits->import.max_height = from->max_height;
	}
}

static int dmabuf_device_open(struct stile_device *device, const char *options) {
	struct stile_report why;
	int ret = 0;
	if (device->backend == NULL) {
		ret = open_heap(device, options, &why);
	} else if (options != NULL) {
		ret = report_refuse(&why, -EINVAL, STILE_REASON_OPTION, 0, 0, 0,
			"options are given for memory of an allocator of the application's");
	}
	const struct source *source = device->backend;
	if (ret < 0 || source == NULL) {
		device_log(device, STILE_LOG_ERROR, "dmabuf: %s", why.text);
		return ret;
	}
	fill_limits(&device->limits, &source->allocator);
	return 0;
}

static int check_allocator(const struct stile_dmabuf_allocator *allocator) {
	if (allocator->allocate == NULL ||
		(allocator->modifiers == NULL) != (allocator->modifier_count == 0) ||
		(allocator->takes_layout != NULL && allocator->allocate_image == NULL)) {
		return -EINVAL;
	}
	for (size_t i = 0; i < allocator->modifier_count; i++) {
		if (allocator->modifiers[i] == DRM_FORMAT_MOD_INVALID ||
			(allocator->modifiers[i] != DRM_FORMAT_MOD_LINEAR &&
				allocator->allocate_image == NULL)) {
			return -EINVAL;
		}
	}
	return 0;
}

int stile_dmabuf_open(const struct stile_dmabuf_allocator *allocator,
	const struct stile_device_info *info, struct stile_device **out) {
	*out = NULL;
	struct source *source = calloc(1, sizeof(*source));
	if (source == NULL) {
		return -ENOMEM;
	}
	int ret = abi_copy_in(&source->allocator, sizeof(source->allocator), allocator);
	if (ret == 0) {
		ret = check_allocator(&source->allocator);
	}
	if (ret == 0) {
		const char *name = source->allocator.name;
		snprintf(source->name, sizeof(source->name), "%s", name == NULL ? "dmabuf" : name);
		ret = device_open(&stile_backend_dmabuf, info, source, out);
	}
	if (ret < 0) {
		free(source);
	}
	return ret;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void dmabuf_device_stop(struct stile_device *device) {
	(void)device;
}

static void dmabuf_device_free(struct stile_device *device) {
	struct source *source = device->backend;
	if (source->allocator.release != NULL) {
		source->allocator.release(source->allocator.priv);
	}
	free(source);
}

static int dmabuf_device_check(struct stile_device *device) {
	(void)device;
	return 0;
}

static void dmabuf_device_describe(
	const struct stile_device *device, struct device_description *description) {
	const struct source *source = device->backend;
	dma_buf_describe(description);
	snprintf(description->name, sizeof(description->name), "dmabuf (%.48s)", source->name);
}

/* ---- Allocating ---------------------------------------------------------------------------- */

/* Drivers are not believed. The size, or -EINVAL, which is told. */
static int64_t check_memory(const struct source *source, int fd, uint64_t bytes) {
	int64_t size = os_is_dma_buf(fd) ? os_seek_bytes(fd) : -EINVAL;
	if (size >= 0 && (uint64_t)size >= bytes && buffer_fd_access(fd) == (int)USAGE_ALL) {
		return size;
	}
	check_warn("the allocator \"%s\" gave %s of %" PRId64 " bytes, %" PRIu64
		   " that can be read and written were asked for",
		source->name, os_is_dma_buf(fd) ? "a dma-buf" : kind_get_name(fd),
		size < 0 ? 0 : size, bytes);
	return -EINVAL;
}

static int dmabuf_buffer_create(struct stile_device *device, const struct stile_buffer_info *info,
	struct stile_buffer **out) {
	*out = NULL;
	const struct source *source = device->backend;
	const struct stile_dmabuf_allocator *allocator = &source->allocator;
	int fd = -1;
	int ret = allocator->allocate(
		allocator->priv, info->bytes, info->name == NULL ? "" : info->name, &fd);
	if (ret < 0) {
		return ret;
	}
	int64_t size = check_memory(source, fd, info->bytes);
	if (size < 0) {
		close(fd);
		return (int)size;
	}
	const struct dma_buf_info memory = {
		.fd = fd,
		.bytes = (uint64_t)size,
		.usage = USAGE_ALL,
		.exporter = source->name,
		.name = info->name,
		.resv = info->resv,
		.made_here = true,
		.seals_are_final = true,
	};
	return dma_buf_create(device, &memory, out);
}

/* The first plane that has this one's descriptor. */
static uint32_t find_first(const struct stile_image_info *made, uint32_t plane) {
	uint32_t first = 0;
	while (made->planes[first].fd != made->planes[plane].fd) {
		first++;
	}
	return first;
}

/* 0, or -EINVAL, which is told: then each descriptor is closed, once. */
static int take_planes(const struct source *source, const struct stile_image_info *made) {
	uint32_t count =
		made->plane_count < STILE_MAX_PLANES ? made->plane_count : STILE_MAX_PLANES;
	uint32_t twice = 0;
	while (twice < count && find_first(made, twice) == twice) {
		twice++;
	}
	if (made->plane_count > STILE_MAX_PLANES) {
		check_warn("the allocator \"%s\" made an image of %u planes", source->name,
			made->plane_count);
	} else if (twice < count) {
		check_warn("the allocator \"%s\" gave descriptor %d for plane %u and for plane %u: "
			   "each has to have its own",
			source->name, made->planes[twice].fd, find_first(made, twice), twice);
	} else {
		return 0;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (find_first(made, i) == i) {
			close(made->planes[i].fd);
		}
	}
	return -EINVAL;
}

static int dmabuf_image_allocate(struct stile_device *device, struct stile_image_info *info) {
	const struct source *source = device->backend;
	const struct stile_dmabuf_allocator *allocator = &source->allocator;
	if (allocator->allocate_image == NULL) {
		return 1;
	}
	struct stile_image_info made = *info;
	int ret = allocator->allocate_image(allocator->priv, &made);
	if (ret == 0) {
		ret = take_planes(source, &made);
	}
	if (ret < 0) {
		return ret;
	}
	/* The picture is what was asked for, whatever the allocator made of it. */
	info->modifier = made.modifier;
	info->plane_count = made.plane_count;
	memcpy(info->planes, made.planes, sizeof(info->planes));
	return 0;
}

static bool dmabuf_image_takes(struct stile_device *device, uint32_t fourcc, uint64_t modifier) {
	const struct stile_dmabuf_allocator *allocator =
		&((const struct source *)device->backend)->allocator;
	return allocator->takes_layout != NULL &&
		allocator->takes_layout(allocator->priv, fourcc, modifier);
}

/* ---- What came by descriptor: the device may be of any backend ----------------------------- */

static int dmabuf_buffer_import(struct stile_device *device, int fd, uint64_t bytes, uint32_t usage,
	struct stile_buffer **out) {
	const struct dma_buf_info memory = {
		.fd = fd,
		.bytes = bytes,
		.usage = usage,
		.exporter = "dmabuf",
		.seals_are_final = true,
	};
	return dma_buf_create(device, &memory, out);
}

static int dmabuf_memory_check(
	struct stile_device *device, int fd, uint32_t plane, struct stile_report *report) {
	(void)device;
	if (!os_is_dma_buf(fd)) {
		bool is_memfd = os_memfd_is_unshrinkable(fd) >= 0;
		return report_refuse(report, -EINVAL, STILE_REASON_FD_TYPE, plane, 0, 0,
			"plane %u: descriptor %d is %s, not a dma-buf%s", plane, fd,
			kind_get_name(fd), is_memfd ? ": the backend udmabuf makes one of it" : "");
	}
	int64_t bytes = os_seek_bytes(fd);
	if (bytes <= 0) {
		return report_refuse(report, -EINVAL, STILE_REASON_BOUNDS, plane, 1, 0,
			"plane %u: descriptor %d is a dma-buf without a size: %s", plane, fd,
			bytes < 0 ? strerror((int)-bytes) : "it has no bytes");
	}
	return 0;
}

const struct stile_backend_ops stile_backend_dmabuf = {
	.name = "dmabuf",
	.device_open = dmabuf_device_open,
	.device_stop = dmabuf_device_stop,
	.device_free = dmabuf_device_free,
	.device_check = dmabuf_device_check,
	.device_describe = dmabuf_device_describe,
	.buffer_create = dmabuf_buffer_create,
	.buffer_import = dmabuf_buffer_import,
	.buffer_fd = dma_buf_get_fd,
	.buffer_renamed = dma_buf_renamed,
	.image_allocate = dmabuf_image_allocate,
	.image_takes = dmabuf_image_takes,
	.fences_export = dma_buf_fences_export,
	.fences_import = dma_buf_fences_import,
	.memory_check = dmabuf_memory_check,
};
