/* SPDX-License-Identifier: MIT */
/* One command each, on the device's own queue: lists that are recorded and submitted at once. */
#include <errno.h>

#include <stile/swgpu_list.h>

#include "backends/swgpu/queue.h"
#include "backends/swgpu/swgpu.h"

static int shortcut_begin(
	struct stile_device *device, struct stile_swgpu_list **list, struct stile_fence **out) {
	if (out != NULL) {
		*out = NULL;
	}
	return stile_swgpu_list_create(device, list);
}

/* `ret` is what recording gave; `place` is who calls. The list is gone afterwards. */
static int shortcut_end(struct stile_device *device, struct stile_swgpu_list *list, int ret,
	const void *place, struct stile_fence **out) {
	struct swgpu *gpu = swgpu_get(device);
	const struct queue_entry entry = {
		.list = list, .label = "wait of a list", .place = place
	};
	if (ret == 0) {
		ret = swgpu_is_lost(gpu) ? -EIO : queue_submit(gpu->queue, &entry, out);
	}
	if (ret < 0) {
		stile_swgpu_list_destroy(list);
	}
	return ret;
}

int stile_swgpu_fill(struct stile_device *device, struct stile_image *image, uint32_t plane,
	uint32_t value, struct stile_fence **out) {
	struct stile_swgpu_list *list;
	int ret = shortcut_begin(device, &list, out);
	if (ret < 0) {
		return ret;
	}
	ret = stile_swgpu_list_fill(list, image, plane, NULL, value);
	return shortcut_end(device, list, ret, __builtin_return_address(0), out);
}

int stile_swgpu_copy(struct stile_device *device, struct stile_image *from, struct stile_image *to,
	struct stile_fence **out) {
	struct stile_swgpu_list *list;
	int ret = shortcut_begin(device, &list, out);
	if (ret < 0) {
		return ret;
	}
	ret = stile_swgpu_list_copy(list, from, to);
	return shortcut_end(device, list, ret, __builtin_return_address(0), out);
}

int stile_swgpu_upload(struct stile_device *device, struct stile_image *image, uint32_t plane,
	const void *pixels, size_t pitch, struct stile_fence **out) {
	struct stile_swgpu_list *list;
	int ret = shortcut_begin(device, &list, out);
	if (ret < 0) {
		return ret;
	}
	ret = stile_swgpu_list_upload(list, image, plane, pixels, pitch);
	return shortcut_end(device, list, ret, __builtin_return_address(0), out);
}

int stile_swgpu_gate(
	struct stile_device *device, struct stile_fence *fence, struct stile_fence **out) {
	if (out != NULL) {
		*out = NULL;
	}
	struct swgpu *gpu = swgpu_get(device);
	if (gpu == NULL) {
		return -EINVAL;
	}
	const struct queue_entry entry = {
		.waits = &fence,
		.wait_count = 1,
		.label = "gate of swgpu",
		.place = __builtin_return_address(0),
	};
	return swgpu_is_lost(gpu) ? -EIO : queue_submit(gpu->queue, &entry, out);
}
