/* SPDX-License-Identifier: MIT */
/* Scatter lists: KERNEL_CONTRACT T-6. */
#include "src/sg.h"

#include <errno.h>
#include <stdlib.h>

#include "src/device.h"
#include "src/os.h"
#include "src/report.h"

int stile_sg_create(struct stile_sg **out) {
	*out = calloc(1, sizeof(**out));
	return *out == NULL ? -ENOMEM : 0;
}

void stile_sg_destroy(struct stile_sg *sg) {
	if (sg == NULL) {
		return;
	}
	if (sg->bus != NULL) {
		sg->device->ops->sg_free(sg->device, sg);
	}
	if (sg->device != NULL) {
		device_unref(sg->device);
	}
	free(sg->ranges);
	free(sg);
}

static bool is_whole_pages(const struct stile_sg_range *range) {
	uint64_t page = os_page_size();
	return range->bytes != 0 && range->bytes % page == 0 &&
		(uintptr_t)range->memory % page == 0 &&
		(range->address == STILE_ADDRESS_UNKNOWN || range->address % page == 0);
}

/* Does `range` go on where `last` ends, in all respects? */
static bool continues(const struct stile_sg_range *last, const struct stile_sg_range *range) {
	bool unknown = last->address == STILE_ADDRESS_UNKNOWN;
	bool memory = last->memory == NULL ? range->memory == NULL
					   : range->memory == (uint8_t *)last->memory + last->bytes;
	return memory && unknown == (range->address == STILE_ADDRESS_UNKNOWN) &&
		(unknown || (range->address != 0 && range->address == last->address + last->bytes));
}

static bool make_room(struct stile_sg *sg) {
	if (sg->ranges != NULL && sg->range_count < sg->range_capacity) {
		return true;
	}
	size_t capacity = sg->range_capacity == 0 ? 4 : 2 * sg->range_capacity;
	struct stile_sg_range *grown = realloc(sg->ranges, capacity * sizeof(*sg->ranges));
	if (grown == NULL) {
		return false;
	}
	sg->ranges = grown;
	sg->range_capacity = capacity;
	return true;
}

int stile_sg_append(struct stile_sg *sg, const struct stile_sg_range *range) {
	if (sg->bus != NULL) {
		return -EBUSY;
	}
	if (!is_whole_pages(range)) {
		return -EINVAL;
	}
	if (range->bytes > UINT64_MAX - sg->bytes ||
		(range->address != STILE_ADDRESS_UNKNOWN &&
			range->bytes - 1 > UINT64_MAX - range->address) ||
		range->bytes > UINTPTR_MAX - (uintptr_t)range->memory) {
		return -EOVERFLOW;
	}
	struct stile_sg_range *last =
		sg->range_count == 0 ? NULL : &sg->ranges[sg->range_count - 1];
	if (last != NULL && continues(last, range)) {
		last->bytes += range->bytes;
	} else if (!make_room(sg)) {
		return -ENOMEM;
	} else {
		sg->ranges[sg->range_count++] = *range;
	}
	sg->bytes += range->bytes;
	return 0;
}

/* ---- The device's view --------------------------------------------------------------------- */

/* For the first time: the device's bus makes the segments. */
static int sg_begin(struct stile_sg *sg, struct stile_device *device) {
	struct stile_report why;
	if (device->ops->sg_map == NULL) {
		return -EOPNOTSUPP;
	}
	int ret = device->ops->sg_map(device, sg, &why);
	if (ret < 0) {
		device_log(device, STILE_LOG_ERROR, "mapping of %llu bytes: %s",
			(unsigned long long)sg->bytes, why.text);
		return ret;
	}
	sg->device = device_ref(device);
	return 0;
}

int stile_sg_map(struct stile_sg *sg, struct stile_device *device, enum stile_direction direction) {
	if ((unsigned)direction >= STILE_NO_DIRECTION || sg->range_count == 0) {
		return -EINVAL;
	}
	if (sg->device != NULL && sg->device != device) {
		return -EBUSY;
	}
	int ret = device->ops->device_check(device);
	if (ret == 0 && sg->device == NULL) {
		ret = sg_begin(sg, device);
	}
	if (ret < 0) {
		return ret;
	}
	if (device->limits.is_cached && sg->readers + sg->writers == 0) {
		/* What it has read when it was mapped before. */
		device->ops->sg_sync(device, sg, 0, sg->bytes, false);
	}
	if (direction != STILE_FROM_DEVICE) {
		__atomic_fetch_add(&sg->readers, 1, __ATOMIC_RELEASE);
	}
	if (direction != STILE_TO_DEVICE) {
		__atomic_fetch_add(&sg->writers, 1, __ATOMIC_RELEASE);
	}
	return 0;
}

void stile_sg_unmap(struct stile_sg *sg, enum stile_direction direction) {
	if (direction != STILE_FROM_DEVICE) {
		__atomic_fetch_sub(&sg->readers, 1, __ATOMIC_SEQ_CST);
	}
	if (direction != STILE_TO_DEVICE) {
		struct stile_device *device = sg->device;
		__atomic_fetch_sub(&sg->writers, 1, __ATOMIC_SEQ_CST);
		/* Afterwards: what is written meanwhile is either there, or a fault. */
		if (device->limits.is_cached) {
			device->ops->sg_sync(device, sg, 0, sg->bytes, true);
		}
	}
}

/* ---- Looking ------------------------------------------------------------------------------- */

uint64_t stile_sg_get_bytes(const struct stile_sg *sg) {
	return sg->bytes;
}

size_t stile_sg_get_range_count(const struct stile_sg *sg) {
	return sg->range_count;
}

size_t stile_sg_get_segment_count(const struct stile_sg *sg) {
	return sg->segment_count;
}

void stile_sg_iter_begin(struct stile_sg_iter *iter, const struct stile_sg *sg) {
	*iter = (struct stile_sg_iter){ .sg = sg };
}

bool stile_sg_iter_next_segment(struct stile_sg_iter *iter, struct stile_sg_segment *segment) {
	if (iter->next >= iter->sg->segment_count) {
		return false;
	}
	*segment = iter->sg->segments[iter->next++];
	return true;
}

bool stile_sg_iter_next_range(struct stile_sg_iter *iter, struct stile_sg_range *range) {
	if (iter->next >= iter->sg->range_count) {
		return false;
	}
	*range = iter->sg->ranges[iter->next++];
	return true;
}

int stile_sg_find(const struct stile_sg *sg, uint64_t offset, uint64_t *address, uint64_t *bytes) {
	for (size_t i = 0; i < sg->segment_count; i++) {
		const struct stile_sg_segment *segment = &sg->segments[i];
		if (offset < segment->bytes) {
			*address = segment->address + offset;
			*bytes = segment->bytes - offset;
			return 0;
		}
		offset -= segment->bytes;
	}
	return -ERANGE;
}
