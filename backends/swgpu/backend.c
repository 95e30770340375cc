/* SPDX-License-Identifier: MIT */
#include "src/backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <stile/swgpu_modifier.h>

#include "backends/swgpu/arena.h"
#include "backends/swgpu/bo.h"
#include "backends/swgpu/bus.h"
#include "backends/swgpu/fault.h"
#include "backends/swgpu/memory.h"
#include "backends/swgpu/queue.h"
#include "backends/swgpu/swgpu.h"
#include "backends/swgpu/tile.h"
#include "backends/swgpu/trace.h"
#include "src/device.h"
#include "src/macros.h"
#include "src/report.h"

/* LINEAR comes first: a device that does not take it begins with the second. */
static const uint64_t modifiers[] = {
	DRM_FORMAT_MOD_LINEAR,
	STILE_SWGPU_MOD_TILED_ROWS,
	STILE_SWGPU_MOD_TILED_COLUMNS,
};

struct swgpu *swgpu_get(struct stile_device *device) {
	return device->ops == &stile_backend_swgpu ? device->backend : NULL;
}

/* ---- What images have to meet -------------------------------------------------------------- */

/*
 * The numbers are those that Mesa's software drivers need of a memfd: they draw in blocks of 4 × 4
 * pixels with vectors of 16 bytes, count bytes in an int, and crash on memory that does not fit
 * this; Vulkan's linear images have pitches of whole cache lines.
 */
static const struct device_limits plain_limits = {
	.import = {
		.size = sizeof(struct stile_constraints),
		.max_width = 16384,
		.max_height = 16384,
		.pitch_align = 16,
		.offset_align = 16,
		.modifiers = modifiers,
		.modifier_count = ARRAY_LENGTH(modifiers),
	},
	.create_modifiers = modifiers,
	.create_modifier_count = ARRAY_LENGTH(modifiers),
	.create_pitch_align = 64,
	.create_offset_align = 64,
	.row_group = 4,
	.max_end = INT32_MAX,
	.import_usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
};

static uint32_t larger(uint32_t a, uint32_t b) {
	return a > b ? a : b;
}

static void limits_fill(struct device_limits *limits, const struct profile *profile) {
	*limits = plain_limits;
	limits->import.pitch_align = larger(limits->import.pitch_align, profile->pitch_align);
	limits->import.height_align = profile->height_align;
	limits->create_pitch_align = larger(limits->create_pitch_align, profile->pitch_align);
	if (!profile->linear_import) {
		limits->import.modifiers++;
		limits->import.modifier_count--;
	}
	if (!profile->write_import) {
		limits->import_usage = STILE_USAGE_READ;
	}
	limits->is_cached = !profile->coherent;
	/* Behind an IOMMU, memory is wherever the device wants it. */
	if (!profile->iommu) {
		limits->import.address_bits = profile->address_bits;
		limits->import.max_segments = profile->max_segments;
		limits->import.segment_align = profile->segment_align;
		limits->import.max_segment = profile->max_segment;
	}
}

/* ---- Life ---------------------------------------------------------------------------------- */

/* Those parts that stay as long as buffers do. */
static void swgpu_free(struct swgpu *gpu) {
	trace_destroy(gpu->trace);
	faults_destroy(gpu->faults);
	arena_destroy(gpu->arena);
	bus_destroy(gpu->bus);
	pthread_mutex_destroy(&gpu->stop_lock);
	pthread_mutex_destroy(&gpu->bo_lock);
	free(gpu);
}

static int swgpu_create(
	const struct profile *profile, struct swgpu **out, struct stile_report *why) {
	struct swgpu *gpu = calloc(1, sizeof(*gpu));
	if (gpu == NULL) {
		return report_refuse(
			why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	gpu->profile = *profile;
	pthread_mutex_init(&gpu->bo_lock, NULL);
	pthread_mutex_init(&gpu->stop_lock, NULL);
	int ret = faults_create(profile->faults, &gpu->faults, why);
	if (ret < 0) {
		swgpu_free(gpu);
		return ret;
	}
	ret = bus_create(profile, &gpu->bus);
	if (ret == 0 && profile->local_bytes > 0) {
		ret = arena_create(profile->local_bytes, profile->address_bits, &gpu->arena);
	}
	if (ret == 0) {
		ret = trace_create(profile, &gpu->trace);
	}
	if (ret < 0) {
		swgpu_free(gpu);
		return report_refuse(why, ret, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	*out = gpu;
	return 0;
}

static void swgpu_stop_queues(struct swgpu *gpu) {
	/* Who submits a move does so before, or not at all. */
	pthread_mutex_lock(&gpu->stop_lock);
	gpu->stopped = true;
	pthread_mutex_unlock(&gpu->stop_lock);
	scheduler_stop(gpu->scheduler);
	stile_swgpu_queue_destroy(gpu->queue);
	stile_swgpu_queue_destroy(gpu->moves);
	scheduler_destroy(gpu->scheduler);
	gpu->scheduler = NULL;
	gpu->queue = NULL;
	gpu->moves = NULL;
}

static int swgpu_start(struct swgpu *gpu) {
	const struct stile_swgpu_queue_info first = { .size = sizeof(first) };
	const struct stile_swgpu_queue_info moves = {
		.size = sizeof(moves),
		.name = "moves",
		.priority = INT32_MAX,
		/* Whoever writes late writes to what is being left: that would be lost. */
		.timeout_ns = INT64_MAX,
	};
	int ret = scheduler_create(gpu, &gpu->scheduler);
	if (ret < 0) {
		return ret;
	}
	ret = queue_create(gpu, &first, &gpu->queue);
	if (ret == 0) {
		ret = queue_create(gpu, &moves, &gpu->moves);
	}
	if (ret < 0) {
		swgpu_stop_queues(gpu);
	}
	return ret;
}

static int swgpu_device_open(struct stile_device *device, const char *options) {
	struct profile profile;
	struct stile_report why;
	struct swgpu *gpu = NULL;
	int ret = profile_parse(&profile, options, true, &why);
	if (ret == 0) {
		ret = swgpu_create(&profile, &gpu, &why);
	}
	if (ret < 0 || gpu == NULL) {
		device_log(device, STILE_LOG_ERROR, "swgpu: %s", why.text);
		return ret;
	}
	gpu->device = device;
	device->backend = gpu;
	limits_fill(&device->limits, &profile);
	ret = swgpu_start(gpu);
	if (ret < 0) {
		device->backend = NULL;
		swgpu_free(gpu);
	}
	return ret;
}

static void swgpu_device_stop(struct stile_device *device) {
	struct swgpu *gpu = device->backend;
	swgpu_stop_queues(gpu);
	bo_drop_all(gpu);
}

static void swgpu_device_free(struct stile_device *device) {
	swgpu_free(device->backend);
}

static int swgpu_device_check(struct stile_device *device) {
	return swgpu_is_lost(device->backend) ? -EIO : 0;
}

static void swgpu_device_describe(
	const struct stile_device *device, struct device_description *description) {
	const struct swgpu *gpu = device->backend;
	const struct stile_constraints *own = &device->limits.import;
	snprintf(description->name, sizeof(description->name), "swgpu (%s)", gpu->profile.name);
	description->imports = STILE_MEMORY_DMA_BUF | STILE_MEMORY_MEMFD;
	description->allocates = STILE_MEMORY_MEMFD;
	/* Its lists end when a program lets them, which the kernel cannot wait for. */
	description->sync = STILE_SYNC_CPU;
	description->flags = STILE_PARTY_CAN_BLIT | STILE_PARTY_CPU;
	description->gives.address_bits = own->address_bits;
	description->gives.max_segments = own->max_segments;
	description->gives.segment_align = own->segment_align;
}

static void swgpu_device_dispatch(struct stile_device *device) {
	while (stile_swgpu_step(device) == 1) {
		/* Deterministic mode: there is nobody else to do it. */
	}
}

/* ---- The bus ------------------------------------------------------------------------------- */

static int swgpu_sg_map(
	struct stile_device *device, struct stile_sg *sg, struct stile_report *why) {
	struct swgpu *gpu = device->backend;
	return bus_map(gpu->bus, sg, why);
}

static void swgpu_sg_free(struct stile_device *device, struct stile_sg *sg) {
	struct swgpu *gpu = device->backend;
	bus_free(gpu->bus, sg);
}

static void swgpu_sg_sync(struct stile_device *device, struct stile_sg *sg, uint64_t offset,
	uint64_t bytes, bool for_cpu) {
	struct swgpu *gpu = device->backend;
	bus_sync(gpu->bus, sg, offset, bytes, for_cpu);
}

const struct stile_backend_ops stile_backend_swgpu = {
	.name = "swgpu",
	.tilings = tile_tilings,
	.tiling_count = TILE_TILING_COUNT,
	.device_open = swgpu_device_open,
	.device_stop = swgpu_device_stop,
	.device_free = swgpu_device_free,
	.device_check = swgpu_device_check,
	.device_describe = swgpu_device_describe,
	.device_dispatch = swgpu_device_dispatch,
	.buffer_create = memory_create_buffer,
	.buffer_import = memory_import_buffer,
	.buffer_adopt = memory_adopt,
	.buffer_fd = memory_get_fd,
	.memory_check = memory_check,
	.sg_map = swgpu_sg_map,
	.sg_free = swgpu_sg_free,
	.sg_sync = swgpu_sg_sync,
};
