/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "backends/swgpu/command.h"
#include "backends/swgpu/swgpu.h"

/* By address, all goes through a piece of memory of this size. */
enum { CHUNK_BYTES = 16384 };

struct address {
	struct command command;
	uint64_t from;
	uint64_t to;
	uint64_t bytes;
	uint8_t value;
};

static int access_address(const struct execution *execution, uint64_t address, void *memory,
	uint64_t bytes, enum bus_access access) {
	struct bus *bus = execution->list->gpu->bus;
	return bus_access(bus, address, memory, bytes, access, execution->fault) ? 0 : -EFAULT;
}

static int fill_execute(const struct execution *execution, const struct command *command) {
	const struct address *fill = (const struct address *)command;
	uint8_t chunk[CHUNK_BYTES];
	memset(chunk, fill->value, sizeof(chunk));
	int ret = 0;
	for (uint64_t done = 0, count; done < fill->bytes && ret == 0; done += count) {
		uint64_t left = fill->bytes - done;
		count = left < sizeof(chunk) ? left : sizeof(chunk);
		ret = execution_check(execution);
		if (ret == 0) {
			ret = access_address(execution, fill->to + done, chunk, count, BUS_WRITE);
		}
	}
	return ret;
}

static int copy_chunk(const struct execution *execution, const struct address *copy,
	uint64_t offset, uint64_t bytes) {
	uint8_t chunk[CHUNK_BYTES];
	int ret = execution_check(execution);
	if (ret == 0) {
		ret = access_address(execution, copy->from + offset, chunk, bytes, BUS_READ);
	}
	if (ret == 0) {
		ret = access_address(execution, copy->to + offset, chunk, bytes, BUS_WRITE);
	}
	return ret;
}

static int copy_execute(const struct execution *execution, const struct command *command) {
	const struct address *copy = (const struct address *)command;
	/* What would be written before it is read. */
	bool backwards = copy->to > copy->from && copy->to - copy->from < copy->bytes;
	int ret = 0;
	for (uint64_t done = 0, count; done < copy->bytes && ret == 0; done += count) {
		uint64_t left = copy->bytes - done;
		count = left < CHUNK_BYTES ? left : CHUNK_BYTES;
		ret = copy_chunk(execution, copy, backwards ? left - count : done, count);
	}
	return ret;
}

static const struct command_type fill_type = { .name = "fill address", .execute = fill_execute };
static const struct command_type copy_type = { .name = "copy address", .execute = copy_execute };

static bool range_is_valid(uint64_t address, uint64_t bytes) {
	return bytes > 0 && bytes - 1 <= UINT64_MAX - address;
}

int stile_swgpu_list_fill_address(
	struct stile_swgpu_list *list, uint64_t to, uint64_t bytes, uint8_t value) {
	if (!range_is_valid(to, bytes)) {
		return -EINVAL;
	}
	struct record record;
	struct address *fill = record_begin(&record, list, &fill_type, sizeof(*fill));
	if (fill == NULL) {
		return -ENOMEM;
	}
	fill->to = to;
	fill->bytes = bytes;
	fill->value = value;
	return record_end(&record, 0);
}

int stile_swgpu_list_copy_address(
	struct stile_swgpu_list *list, uint64_t from, uint64_t to, uint64_t bytes) {
	if (!range_is_valid(from, bytes) || !range_is_valid(to, bytes)) {
		return -EINVAL;
	}
	struct record record;
	struct address *copy = record_begin(&record, list, &copy_type, sizeof(*copy));
	if (copy == NULL) {
		return -ENOMEM;
	}
	copy->from = from;
	copy->to = to;
	copy->bytes = bytes;
	return record_end(&record, 0);
}
