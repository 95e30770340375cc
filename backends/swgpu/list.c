/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/list.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <stile/swgpu_test.h>

#include "backends/swgpu/bus.h"
#include "backends/swgpu/command.h"
#include "backends/swgpu/swgpu.h"
#include "src/device.h"
#include "src/macros.h"

int stile_swgpu_list_create(struct stile_device *device, struct stile_swgpu_list **out) {
	*out = NULL;
	struct swgpu *gpu = swgpu_get(device);
	if (gpu == NULL) {
		return -EINVAL;
	}
	struct stile_swgpu_list *list = calloc(1, sizeof(*list));
	if (list == NULL) {
		return -ENOMEM;
	}
	list->gpu = gpu;
	*out = list;
	return 0;
}

static void command_free(struct command *command) {
	for (size_t i = 0; i < command->image_count; i++) {
		stile_image_unref(command->images[i]);
	}
	free(command);
}

/* Forget the buffers behind the first `count`. */
static void list_drop_uses(struct stile_swgpu_list *list, size_t count) {
	while (list->use_count > count) {
		struct list_use *use = &list->uses[--list->use_count];
		bo_unhold(&use->hold);
		stile_buffer_unref(use->buffer);
	}
}

void stile_swgpu_list_destroy(struct stile_swgpu_list *list) {
	if (list == NULL) {
		return;
	}
	struct command *command = list->first;
	while (command != NULL) {
		struct command *next = command->next;
		command_free(command);
		command = next;
	}
	list_drop_uses(list, 0);
	free(list->uses);
	free(list);
}

/* ---- Recording ------------------------------------------------------------------------------ */

void *record_begin(struct record *record, struct stile_swgpu_list *list,
	const struct command_type *type, size_t bytes) {
	struct command *command = calloc(1, bytes);
	if (command == NULL) {
		return NULL;
	}
	command->type = type;
	record->list = list;
	record->command = command;
	record->use_count = list->use_count;
	record->count = 0;
	return command;
}

int record_image(struct record *record, struct stile_image *image, uint32_t usage) {
	struct stile_device *device = record->list->gpu->device;
	struct command *command = record->command;
	if ((usage & ~image->allowed) != 0) {
		return -EACCES;
	}
	/* What the device made or imported itself is fit for it. */
	if (image->device != device &&
		stile_image_check_constraints(image, &device->limits.import, NULL) < 0) {
		return -EOPNOTSUPP;
	}
	assert(command->image_count < ARRAY_LENGTH(command->images));
	command->images[command->image_count++] = stile_image_ref(image);
	return 0;
}

int record_plane(struct record *record, struct stile_image *image, uint32_t plane, uint32_t usage,
	struct operand *out) {
	int ret = image_get_plane(image, plane, &out->plane);
	if (ret == 0) {
		ret = record_buffer(record, image->buffers[plane], usage, &out->use);
	}
	if (ret == 0 && out->plane.has_meta) {
		ret = record_buffer(
			record, image->buffers[out->plane.meta.plane], usage, &out->meta_use);
	}
	return ret;
}

/* The use of a buffer, a new one if there is none; a new one has the caller's reference. */
static int list_get_use(struct stile_swgpu_list *list, struct stile_buffer *buffer, size_t *use) {
	/* What was used last is likely to be used again. */
	for (size_t i = list->use_count; i-- > 0;) {
		if (list->uses[i].buffer == buffer) {
			stile_buffer_unref(buffer);
			*use = i;
			return 0;
		}
	}
	if (list->use_count == list->use_capacity) {
		size_t capacity = list->use_capacity == 0 ? 4 : 2 * list->use_capacity;
		struct list_use *uses = realloc(list->uses, capacity * sizeof(*uses));
		if (uses == NULL) {
			return -ENOMEM;
		}
		list->uses = uses;
		list->use_capacity = capacity;
	}
	struct bo *bo;
	int ret = bo_get(list->gpu, buffer, &bo);
	if (ret < 0) {
		return ret;
	}
	*use = list->use_count++;
	list->uses[*use] = (struct list_use){ .buffer = buffer, .bo = bo };
	return 0;
}

int record_buffer(struct record *record, struct stile_buffer *buffer, uint32_t usage, size_t *use) {
	struct stile_buffer *kept;
	int ret = stile_buffer_import(record->list->gpu->device, buffer, usage, NULL, &kept);
	if (ret < 0) {
		return ret;
	}
	ret = list_get_use(record->list, kept, use);
	if (ret < 0) {
		stile_buffer_unref(kept);
		return ret;
	}
	assert(record->count < ARRAY_LENGTH(record->uses));
	record->uses[record->count].use = *use;
	record->uses[record->count].usage = usage;
	record->count++;
	return 0;
}

int record_end(struct record *record, int ret) {
	struct stile_swgpu_list *list = record->list;
	if (ret < 0) {
		list_drop_uses(list, record->use_count);
		command_free(record->command);
		return ret;
	}
	for (size_t i = 0; i < record->count; i++) {
		list->uses[record->uses[i].use].usage |= record->uses[i].usage;
	}
	if (list->last == NULL) {
		list->first = record->command;
	} else {
		list->last->next = record->command;
	}
	list->last = record->command;
	list->count++;
	return 0;
}

/* ---- Executing ------------------------------------------------------------------------------ */

int list_execute(const struct stile_swgpu_list *list, const struct command *command,
	const uint32_t *stop, struct bus_fault *fault) {
	struct execution execution = { .list = list, .stop = stop, .fault = fault };
	*fault = (struct bus_fault){ .reason = STILE_SWGPU_FAULT_NONE };
	return command->type->execute(&execution, command);
}

const char *command_get_name(const struct command *command) {
	return command->type->name;
}

const struct command *command_get_next(const struct command *command) {
	return command->next;
}
