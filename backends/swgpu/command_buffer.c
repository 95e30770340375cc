/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "backends/swgpu/command.h"
#include "backends/swgpu/swgpu.h"
#include "src/abi.h"
#include "src/buffer.h"

enum { FILL_STEP_BYTES = 1 << 20 };

struct fill {
	struct command command;
	size_t use;
	uint64_t offset;
	uint64_t bytes;
	uint32_t value;
};

/* Rows of bytes in a buffer. */
struct strided {
	size_t use;
	uint64_t offset;
	uint64_t pitch;
};

struct copy {
	struct command command;
	struct strided from, to;
	uint64_t row_bytes;
	uint32_t rows;
};

/* ---- Executing ------------------------------------------------------------------------------ */

static int open_bytes(const struct execution *execution, size_t use, uint64_t offset,
	uint64_t bytes, uint32_t access, struct bus_window *window) {
	const struct stile_swgpu_list *list = execution->list;
	return bus_open(list->gpu->bus, list->uses[use].hold.sg, offset, bytes, access, window,
		execution->fault);
}

static int fill_execute(const struct execution *execution, const struct command *command) {
	const struct fill *fill = (const struct fill *)command;
	struct bus_window window;
	int ret = open_bytes(execution, fill->use, fill->offset, fill->bytes, BUS_WRITE, &window);
	if (ret < 0) {
		return ret;
	}
	for (uint64_t done = 0, count; done < fill->bytes; done += count) {
		uint64_t left = fill->bytes - done;
		count = left < FILL_STEP_BYTES ? left : FILL_STEP_BYTES;
		ret = execution_check(execution);
		if (ret < 0) {
			break;
		}
		const struct rows rows = { window.memory + done, (size_t)count };
		span_fill_rows(&rows, (size_t)count, 1, fill->value, sizeof(fill->value));
	}
	bus_close(execution->list->gpu->bus, &window);
	return ret;
}

/* From the first row's first byte to the last row's last one. */
static uint64_t get_extent(const struct strided *strided, uint64_t row_bytes, uint32_t rows) {
	return (rows - 1) * strided->pitch + row_bytes;
}

/* What is between the rows of the target stays as it is: it is read, if it is there and may be. */
static bool is_written_at_once(const struct execution *execution, const struct copy *copy) {
	const struct stile_buffer *to = execution->list->uses[copy->to.use].buffer;
	return copy->rows == 1 || copy->to.pitch == copy->row_bytes ||
		(buffer_get_usage(to) & STILE_USAGE_READ) != 0;
}

static int copy_rows(
	const struct execution *execution, const struct copy *copy, uint32_t first, uint32_t rows) {
	struct bus *bus = execution->list->gpu->bus;
	struct bus_window from, to;
	bool is_dense = rows == 1 || copy->to.pitch == copy->row_bytes;
	int ret =
		open_bytes(execution, copy->from.use, copy->from.offset + first * copy->from.pitch,
			get_extent(&copy->from, copy->row_bytes, rows), BUS_READ, &from);
	if (ret < 0) {
		return ret;
	}
	ret = open_bytes(execution, copy->to.use, copy->to.offset + first * copy->to.pitch,
		get_extent(&copy->to, copy->row_bytes, rows),
		is_dense ? BUS_WRITE : BUS_READ | BUS_WRITE, &to);
	if (ret == 0) {
		const struct rows from_rows = { from.memory, (size_t)copy->from.pitch };
		const struct rows to_rows = { to.memory, (size_t)copy->to.pitch };
		ret = span_copy_all(execution, &to_rows, &from_rows, (size_t)copy->row_bytes, rows);
		bus_close(bus, &to);
	}
	bus_close(bus, &from);
	return ret;
}

static int copy_execute(const struct execution *execution, const struct command *command) {
	const struct copy *copy = (const struct copy *)command;
	if (is_written_at_once(execution, copy)) {
		return copy_rows(execution, copy, 0, copy->rows);
	}
	int ret = 0;
	for (uint32_t y = 0; y < copy->rows && ret == 0; y++) {
		ret = copy_rows(execution, copy, y, 1);
	}
	return ret;
}

static const struct command_type fill_type = { .name = "fill buffer", .execute = fill_execute };
static const struct command_type copy_type = { .name = "copy buffer", .execute = copy_execute };

/* ---- Recording ------------------------------------------------------------------------------ */

int stile_swgpu_list_fill_buffer(struct stile_swgpu_list *list, struct stile_buffer *buffer,
	uint64_t offset, uint64_t bytes, uint32_t value) {
	if (bytes == 0 || bytes % sizeof(value) != 0 || offset % sizeof(value) != 0) {
		return -EINVAL;
	}
	uint64_t all = stile_buffer_get_bytes(buffer);
	if (offset > all || bytes > all - offset) {
		return -ERANGE;
	}
	struct record record;
	struct fill *fill = record_begin(&record, list, &fill_type, sizeof(*fill));
	if (fill == NULL) {
		return -ENOMEM;
	}
	fill->offset = offset;
	fill->bytes = bytes;
	fill->value = value;
	return record_end(&record, record_buffer(&record, buffer, STILE_USAGE_WRITE, &fill->use));
}

static bool is_within(const struct stile_buffer *buffer, const struct strided *strided,
	uint64_t row_bytes, uint32_t rows) {
	uint64_t all = stile_buffer_get_bytes(buffer);
	if (strided->offset > all || row_bytes > all - strided->offset) {
		return false;
	}
	uint64_t room = all - strided->offset - row_bytes;
	return rows == 1 || strided->pitch <= room / (rows - 1);
}

/* In one buffer: has a row of one in common with a row of the other? Both are in ascending order. */
static bool overlaps(const struct copy *copy) {
	uint64_t from = copy->from.offset, to = copy->to.offset;
	uint32_t from_row = 0, to_row = 0;
	while (from_row < copy->rows && to_row < copy->rows) {
		if (from + copy->row_bytes <= to) {
			from_row++;
			from += copy->from.pitch;
		} else if (to + copy->row_bytes <= from) {
			to_row++;
			to += copy->to.pitch;
		} else {
			return true;
		}
	}
	return false;
}

static int check_copy(const struct stile_swgpu_strided *info, const struct copy *copy) {
	bool piles_up = copy->rows > 1 && copy->to.pitch < copy->row_bytes;
	if (copy->row_bytes == 0 || copy->rows == 0 || piles_up) {
		return -EINVAL;
	}
	if (!is_within(info->from, &copy->from, copy->row_bytes, copy->rows) ||
		!is_within(info->to, &copy->to, copy->row_bytes, copy->rows)) {
		return -ERANGE;
	}
	return info->from == info->to && overlaps(copy) ? -EINVAL : 0;
}

int stile_swgpu_list_copy_buffer(
	struct stile_swgpu_list *list, const struct stile_swgpu_strided *copy) {
	struct stile_swgpu_strided known;
	int ret = abi_copy_in(&known, sizeof(known), copy);
	if (ret < 0) {
		return ret;
	}
	struct record record;
	struct copy *command = record_begin(&record, list, &copy_type, sizeof(*command));
	if (command == NULL) {
		return -ENOMEM;
	}
	command->from.offset = known.from_offset;
	command->from.pitch = known.from_pitch;
	command->to.offset = known.to_offset;
	command->to.pitch = known.to_pitch;
	command->row_bytes = known.row_bytes;
	command->rows = known.rows;
	ret = check_copy(&known, command);
	if (ret == 0) {
		ret = record_buffer(&record, known.from, STILE_USAGE_READ, &command->from.use);
	}
	if (ret == 0) {
		ret = record_buffer(&record, known.to, STILE_USAGE_WRITE, &command->to.use);
	}
	return record_end(&record, ret);
}
