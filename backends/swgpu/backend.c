/* SPDX-License-Identifier: MIT */
#include "src/backend.h"

#include "backends/swgpu/swgpu.h"
#include "src/device.h"
#include "src/macros.h"

static const uint64_t modifiers[] = { DRM_FORMAT_MOD_LINEAR };

static int swgpu_device_open(struct stile_device *device) {
	struct queue *queue;
	int ret = queue_create(&queue);
	device->backend = queue;
	return ret;
}

static void swgpu_device_stop(struct stile_device *device) {
	queue_destroy(device->backend);
	device->backend = NULL;
}

/*
 * The numbers are those that Mesa's software drivers need of a memfd: they draw in blocks of 4 × 4
 * pixels with vectors of 16 bytes, count bytes in an int, and crash on memory that does not fit
 * this; Vulkan's linear images have pitches of whole cache lines.
 */
const struct stile_backend_ops stile_backend_swgpu = {
	.name = "swgpu",
	.limits = {
		.size = sizeof(struct stile_constraints),
		.max_width = 16384,
		.max_height = 16384,
		.pitch_align = 16,
		.offset_align = 16,
		.modifiers = modifiers,
		.modifier_count = ARRAY_LENGTH(modifiers),
	},
	.create_pitch_align = 64,
	.create_offset_align = 64,
	.row_group = 4,
	.max_end = INT32_MAX,
	.device_open = swgpu_device_open,
	.device_stop = swgpu_device_stop,
	.memory_create = swgpu_memory_create,
	.memory_check = swgpu_memory_check,
};
