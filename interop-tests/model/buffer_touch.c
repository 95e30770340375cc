/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/buffer_steps.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <stile/buffer.h>
#include <stile/buffer_old.h>
#include <stile/exporter.h>
#include <stile/swgpu_list.h>
#include <stile/swgpu_test.h>

#include "interop-tests/model/buffer_twin.h"
#include "interop-tests/model/history.h"
#include "interop-tests/model/own_buffer.h"
#include "interop-tests/support/plain_fence.h"

bool lies;

/* ---- Steps: the CPU ----------------------------------------------------------------------- */

static void mmap_it(int view, int buffer, uint32_t usage, size_t first, size_t pages) {
	bool had_room = has_room(buffer, 0);
	void **address = &views[view].address;
	int ret = pages == 0 ? stile_buffer_mmap(buffers[buffer], usage, address)
			     : stile_buffer_mmap_range(
				       buffers[buffer], usage, first * PAGE, pages * PAGE, address);
	same(ret, buffer_model_mmap(view, buffer, usage, first, pages, see(buffer, had_room)),
		"mmap", buffer);
	same(*address == NULL, ret != 0, "no address", buffer);
}

/* P-4: all see it at the same place. */
static void compare_vmaps(int number) {
	for (int i = 0; i < VIEWS + 1; i++) {
		if (buffer_model_is_view(i) && buffer_model_is_vmap(i) &&
			buffer_model_view_buffer(i) == buffer_model_view_buffer(number) &&
			views[i].address != views[number].address) {
			history_differ("vmap %d is at another address than %d", number, i);
		}
	}
}

static void vmap_it(int view, int buffer, bool locks) {
	bool had_room = has_room(buffer, 0);
	struct stile_map *map = &views[view];
	if (locks) {
		lock(buffer);
	}
	int ret = locks ? stile_buffer_vmap(buffers[buffer], map)
			: stile_buffer_vmap_unlocked(buffers[buffer], map);
	if (locks) {
		unlock(buffer);
	}
	same(ret, buffer_model_vmap(view, buffer, see(buffer, had_room), ret), "vmap", buffer);
	same(map->address == NULL, ret != 0, "no address", buffer);
	if (ret == 0) {
		compare_vmaps(view);
	}
}

static void unview(int view, bool locks) {
	int buffer = buffer_model_view_buffer(view);
	struct stile_buffer *of = buffers[buffer];
	struct stile_map *map = &views[view];
	if (!buffer_model_is_vmap(view)) {
		stile_buffer_munmap(of, map->address);
	} else if (locks && buffer_model_refs(buffer) > 0) {
		lock(buffer);
		stile_buffer_vunmap(of, map);
		unlock(buffer);
	} else {
		stile_buffer_vunmap_unlocked(of, map);
	}
	buffer_model_unview(view);
}

void do_mmap(const struct history_step *step) {
	mmap_it(step->a, step->b, (uint32_t)step->c, (size_t)step->list[0], (size_t)step->list[1]);
}

void do_vmap(const struct history_step *step) {
	vmap_it(step->a, step->b, (step->how & HOW_LOCKED) != 0);
}

void do_unview(const struct history_step *step) {
	unview(step->a, (step->how & HOW_LOCKED) != 0);
}

/* A part of a buffer's bytes, and whether the calls for all of it are meant. */
struct part {
	int buffer;
	uint32_t usage;
	bool is_range;
	size_t offset, bytes;
};

/* P-1, P-2, D-4: what the CPU reads, a device has written. */
static void compare_access(const struct part *part) {
	static const int directions[] = { 0, STILE_FROM_DEVICE, STILE_TO_DEVICE,
		STILE_BIDIRECTIONAL };
	const struct own_buffer *seen = &own_buffers[part->buffer];
	if (buffer_model_origin(part->buffer) == BUFFER_MODEL_FILE) {
		same(seen->direction, directions[part->usage], "the direction", part->buffer);
		same((int64_t)seen->offset, (int64_t)(part->is_range ? part->offset : 0),
			"the offset", part->buffer);
		same((int64_t)seen->bytes,
			(int64_t)(part->is_range ? part->bytes : bytes_of(part->buffer)),
			"the bytes", part->buffer);
	}
}

static int begin(const struct part *part, bool polls) {
	struct stile_buffer *buffer = buffers[part->buffer];
	int64_t deadline_ns = polls ? 0 : INT64_MAX;
	int ret = part->is_range
		? stile_buffer_begin_cpu_access_range(
			  buffer, part->usage, part->offset, part->bytes, deadline_ns, NULL)
		: stile_buffer_begin_cpu_access(buffer, part->usage, deadline_ns, NULL);
	same(ret, buffer_model_begin(part->buffer, part->usage, polls, ret), "begin_cpu_access",
		part->buffer);
	if (ret == 0 || ret == -ETIME) {
		compare_access(part);
	}
	return ret;
}

static void end(const struct part *part) {
	struct stile_buffer *buffer = buffers[part->buffer];
	int ret = part->is_range
		? stile_buffer_end_cpu_access_range(buffer, part->usage, part->offset, part->bytes)
		: stile_buffer_end_cpu_access(buffer, part->usage);
	same(ret, 0, "end_cpu_access", part->buffer);
	buffer_model_end(part->buffer);
	compare_access(part);
}

/* Has somebody to wait? Nothing is touched. */
void do_poll(const struct history_step *step) {
	struct part part = { step->a, (uint32_t)step->c, false, 0, 0 };
	if (begin(&part, true) == 0) {
		end(&part);
	}
}

/* The CPU's look at bytes: where byte `offset` is; NULL: by calls. */
struct window {
	uint8_t *at;
	size_t offset, bytes;
};

static struct window window_of(int view) {
	return (struct window){ views[view].address, buffer_model_view_offset(view),
		buffer_model_view_bytes(view) };
}

static struct window kmap_it(int buffer, size_t page) {
	bool had_room = has_room(buffer, 0);
	void *address;
	same(stile_buffer_kmap(buffers[buffer], page, &address), 0, "kmap", buffer);
	same(buffer_model_vmap(PASSING, buffer, see(buffer, had_room), 0), 0, "kmap", buffer);
	return (struct window){ address, page * PAGE, PAGE };
}

static struct window open_window(const struct history_step *step, const struct part *part) {
	switch ((enum way)step->b) {
	case WAY_VIEW:
		return window_of(step->list[0]);
	case WAY_MMAP:
		mmap_it(PASSING, step->a, part->usage, 0, 0);
		return window_of(PASSING);
	case WAY_VMAP:
		vmap_it(PASSING, step->a, false);
		return buffer_model_is_view(PASSING) ? window_of(PASSING)
						     : (struct window){ NULL, 0, 0 };
	case WAY_KMAP:
		return kmap_it(step->a, part->offset / PAGE);
	case WAY_FD:
	case WAY_OWN:
	case WAYS:
		break;
	}
	return (struct window){ NULL, 0, bytes_of(step->a) };
}

static void close_window(const struct history_step *step, const struct window *window) {
	if (!buffer_model_is_view(PASSING)) {
		return;
	}
	if (step->b == WAY_KMAP) {
		stile_buffer_kunmap(buffers[step->a], window->offset / PAGE, window->at);
		buffer_model_unview(PASSING);
	} else {
		unview(PASSING, false);
	}
}

static void read_part(const struct history_step *step, const struct window *window,
	const struct part *part, uint8_t *to) {
	int fd = fds[step->list[0] % FDS];
	if (step->b == WAY_FD) {
		same(pread(fd, to, part->bytes, (off_t)part->offset), (ssize_t)part->bytes, "pread",
			part->buffer);
	} else if (step->b == WAY_OWN) {
		own_buffer_read(part->buffer, part->offset, part->bytes, to);
	} else {
		memcpy(to, window->at + (part->offset - window->offset), part->bytes);
	}
}

static void write_part(const struct history_step *step, const struct window *window,
	const struct part *part, const uint8_t *from) {
	int fd = fds[step->list[0] % FDS];
	if (step->b == WAY_FD) {
		same(pwrite(fd, from, part->bytes, (off_t)part->offset), (ssize_t)part->bytes,
			"pwrite", part->buffer);
	} else if (step->b == WAY_OWN) {
		own_buffer_write(part->buffer, part->offset, part->bytes, from);
	} else {
		memcpy(window->at + (part->offset - window->offset), from, part->bytes);
	}
}

static void touch(
	const struct history_step *step, const struct window *window, const struct part *part) {
	uint8_t bytes[BUFFER_MODEL_BYTES];
	if ((part->usage & BUFFER_MODEL_READ) != 0) {
		read_part(step, window, part, bytes);
		compare_bytes(part->buffer, part->offset, part->bytes, bytes);
	}
	if ((part->usage & BUFFER_MODEL_WRITE) != 0) {
		for (size_t i = 0; i < part->bytes; i++) {
			bytes[i] = buffer_model_pattern(i, (uint32_t)step->number);
		}
		write_part(step, window, part, bytes);
		buffer_model_write(part->buffer, part->offset, part->bytes, (uint32_t)step->number);
	}
}

/* Of the part, what the window shows. */
static bool clip(struct part *part, const struct window *window) {
	size_t first = part->offset, last = part->offset + part->bytes;
	first = first > window->offset ? first : window->offset;
	if (last > window->offset + window->bytes) {
		last = window->offset + window->bytes;
	}
	part->offset = first;
	part->bytes = last > first ? last - first : 0;
	return part->bytes > 0;
}

void do_access(const struct history_step *step) {
	struct part part = { step->a, (uint32_t)step->c, (step->how & HOW_RANGE) != 0, 0, 0 };
	bool is_alive = buffer_model_is_alive(step->a);
	cut(step, bytes_of(step->a), &part.offset, &part.bytes);
	struct window window = open_window(step, &part);
	if (clip(&part, &window)) {
		if (is_alive) {
			begin(&part, false);
		}
		touch(step, &window, &part);
		if (is_alive) {
			end(&part);
		}
	}
	close_window(step, &window);
}

/* ---- Steps: work of devices --------------------------------------------------------------- */

static int record(struct stile_swgpu_list *list, const struct buffer_model_op *op) {
	if (op->kind == BUFFER_MODEL_FILL) {
		return stile_swgpu_list_fill_buffer(
			list, buffers[op->to], op->to_offset, op->bytes, op->value);
	}
	struct stile_swgpu_strided copy = {
		.size = sizeof(copy),
		.from = buffers[op->from],
		.to = buffers[op->to],
		.from_offset = op->from_offset,
		.to_offset = op->to_offset,
		.from_pitch = op->bytes,
		.to_pitch = op->bytes,
		.row_bytes = op->bytes,
		.rows = 1,
	};
	return stile_swgpu_list_copy_buffer(list, &copy);
}

static int submit_list(int device, struct stile_swgpu_list *list, struct stile_fence **fence) {
	struct stile_swgpu_submit_info info = {
		.size = sizeof(info),
		.waits = &gate,
		.wait_count = is_gate_closed() ? 1 : 0,
	};
	return stile_swgpu_submit(stile_swgpu_get_queue(devices[device]), list, &info, fence);
}

static int submit(const struct buffer_model_op *op, struct stile_fence **fence) {
	struct stile_swgpu_list *list;
	must(stile_swgpu_list_create(devices[op->device], &list), "list_create");
	int ret = record(list, op);
	if (ret == 0) {
		ret = submit_list(op->device, list, fence);
	}
	if (ret != 0) {
		stile_swgpu_list_destroy(list);
	}
	return ret;
}

/* Who got to know whom before it was refused? */
static void see_device(int number, int device) {
	bool ours[ATTACHMENTS] = { false }, of_devices[DEVICES] = { false };
	lock(number);
	list_attached(number, ours, of_devices);
	unlock(number);
	if (!buffer_model_has_device(number, device)) {
		buffer_model_see_device(number, device, of_devices[device]);
	}
}

static void finish_work(const struct buffer_model_op *op, struct stile_fence *fence) {
	same(status_of(fence), 0, "the status of work on", op->to);
	stile_fence_unref(fence);
	if (!lies) {
		buffer_model_apply(op);
	}
	/* It waited for moves. */
	buffer_model_settle(op->to);
	if (op->kind == BUFFER_MODEL_COPY) {
		buffer_model_settle(op->from);
	}
}

void do_work(const struct history_step *step) {
	struct buffer_model_op op = op_of(step);
	int from = op.kind == BUFFER_MODEL_COPY ? op.from : op.to;
	bool has_both = op.to == from || has_room(op.to, bytes_of(from));
	bool had_room[2] = { has_room(op.to, 0) && has_both, has_room(from, 0) && has_both };
	struct stile_fence *fence = NULL;
	int ret = submit(&op, &fence);
	struct buffer_model_seen seen[2] = { see(op.to, had_room[0]), see(from, had_room[1]) };
	same(ret, buffer_model_submit(&op, seen, ret), "submit", step->a);
	if (ret != 0) {
		see_device(op.to, op.device);
		see_device(from, op.device);
	} else if (is_gate_closed()) {
		op_fences[buffer_model_op_count() - 1] = fence;
	} else {
		finish_work(&op, fence);
	}
}

/* Does a device with a cache know the memory, but for this one? */
static bool is_cached(int number, int but) {
	bool found = false;
	for (int i = 0; i < DEVICES; i++) {
		found = found || (i != but && are_cached[i] && buffer_model_has_device(number, i));
	}
	for (int i = 0; i < ATTACHMENTS; i++) {
		if (buffer_model_attachment_buffer(i) == number) {
			int device = buffer_model_attachment_device(i);
			found = found || (device != but && are_cached[device]);
		}
	}
	return found;
}

/* What is done by address nobody is told of: caches are written back, and forget. */
static void clean_caches(int number) {
	struct part part = { number, buffer_model_usage(number), false, 0, 0 };
	if (is_cached(number, NONE)) {
		begin(&part, false);
		end(&part);
	}
}

/* Of an application's memory, one device may have several tables, each with a cache. */
static void clean_other_caches(int number, int device) {
	if (is_own(number) || is_cached(number, device)) {
		clean_caches(number);
	}
}

/* T-4: a dynamic importer obeys the fences of moves. */
static void wait_for_moves(int number) {
	struct stile_resv *resv = stile_buffer_get_resv(buffers[number]);
	must(stile_resv_wait(resv, STILE_RESV_KERNEL, INT64_MAX, NULL), "stile_resv_wait");
	buffer_model_settle(number);
}

static void record_fill_at(
	struct stile_swgpu_list *list, int map, size_t offset, size_t bytes, uint8_t value) {
	while (bytes > 0) {
		uint64_t address, there;
		must(stile_sg_find(mappings[map].sg, offset, &address, &there), "stile_sg_find");
		there = there < bytes ? there : bytes;
		must(stile_swgpu_list_fill_address(list, address, there, value), "fill_address");
		offset += there;
		bytes -= there;
	}
}

static void record_copy_at(struct stile_swgpu_list *list, const struct history_step *step,
	size_t from_offset, size_t offset, size_t bytes) {
	while (bytes > 0) {
		uint64_t from, to, there, there_to;
		must(stile_sg_find(mappings[step->b].sg, from_offset, &from, &there),
			"stile_sg_find");
		must(stile_sg_find(mappings[step->a].sg, offset, &to, &there_to), "stile_sg_find");
		there = there < there_to ? there : there_to;
		there = there < bytes ? there : bytes;
		must(stile_swgpu_list_copy_address(list, from, to, there), "copy_address");
		from_offset += there;
		offset += there;
		bytes -= there;
	}
}

static void compare_fault(int device, int ret, bool write) {
	struct stile_swgpu_fault fault = { .size = sizeof(fault) };
	if (ret == -EFAULT) {
		must(stile_swgpu_get_fault(devices[device], &fault), "get_fault");
		same((int)fault.reason, STILE_SWGPU_FAULT_DIRECTION, "the fault's reason", device);
		same(fault.write, write, "the fault's write", device);
	}
}

/* By address; nobody has to be told. */
static int execute(int device, struct stile_swgpu_list *list) {
	struct stile_fence *fence;
	must(submit_list(device, list, &fence), "submit");
	int status = status_of(fence);
	stile_fence_unref(fence);
	return status;
}

void do_fill_at(const struct history_step *step) {
	int device = map_device(step->a), buffer = map_buffer(step->a);
	int wanted = buffer_model_access(step->a, BUFFER_MODEL_WRITE);
	uint32_t byte = (uint32_t)step->number & 0xff;
	struct buffer_model_op op = { BUFFER_MODEL_FILL, device, buffer, NONE, 0, 0, 0,
		byte * 0x01010101 };
	struct stile_swgpu_list *list;
	cut(step, bytes_of(buffer), &op.to_offset, &op.bytes);
	wait_for_moves(buffer);
	clean_caches(buffer);
	must(stile_swgpu_list_create(devices[device], &list), "list_create");
	record_fill_at(list, step->a, op.to_offset, op.bytes, (uint8_t)byte);
	int got = execute(device, list);
	same(got, wanted, "the status of a fill by address on", buffer);
	compare_fault(device, got, true);
	if (got == 0) {
		buffer_model_apply(&op);
	}
	clean_other_caches(buffer, device);
}

/* What is read of a place that was left is something; so the same list writes over it. */
void do_copy_at(const struct history_step *step) {
	int device = map_device(step->a), to = map_buffer(step->a), from = map_buffer(step->b);
	int wanted = buffer_model_access(step->b, BUFFER_MODEL_READ);
	bool stale = buffer_model_is_stale(step->b);
	struct buffer_model_op op = { BUFFER_MODEL_COPY, device, to, from, 0, 0, 0, 0 };
	struct stile_swgpu_list *list;
	size_t limit = bytes_of(to) < bytes_of(from) ? bytes_of(to) : bytes_of(from);
	cut(step, limit, &op.to_offset, &op.bytes);
	op.from_offset = (size_t)step->list[3] % (limit - op.bytes + 1);
	wait_for_moves(to);
	wait_for_moves(from);
	clean_caches(to);
	clean_caches(from);
	must(stile_swgpu_list_create(devices[device], &list), "list_create");
	record_copy_at(list, step, op.from_offset, op.to_offset, op.bytes);
	if (stale) {
		record_fill_at(list, step->a, op.to_offset, op.bytes, 0);
		op.kind = BUFFER_MODEL_FILL;
	}
	int got = execute(device, list);
	same(got, wanted, "the status of a copy by address to", to);
	compare_fault(device, got, false);
	if (got == 0) {
		buffer_model_apply(&op);
	}
	clean_other_caches(to, device);
}

/* ---- Steps: moves and the gate ------------------------------------------------------------ */

void do_move(const struct history_step *step) {
	wait_for_moves(step->a);
	clean_caches(step->a);
	lock(step->a);
	int ret = stile_buffer_check_movable(buffers[step->a], NULL);
	if (ret == 0) {
		own_buffer_move(step->a, buffers[step->a]);
	}
	unlock(step->a);
	same(ret, buffer_model_move(step->a), "check_movable", step->a);
}

void do_defragment(const struct history_step *step) {
	unsigned before[BUFFERS];
	bool moved[BUFFERS];
	for (int i = 0; i < BUFFERS; i++) {
		before[i] = count_notified(i);
	}
	int count = stile_swgpu_defragment(devices[step->a]);
	for (int i = 0; i < BUFFERS; i++) {
		moved[i] = count_notified(i) != before[i];
	}
	if (!buffer_model_defragment(step->a, count, moved)) {
		history_differ("defragmenting moves %d, or others than it may", count);
	}
}

void do_close_gate(const struct history_step *step) {
	(void)step;
	gate = plain_fence_create();
	buffer_model_close_gate();
}

void do_open_gate(const struct history_step *step) {
	int error = step->how & HOW_FAILS ? -EIO : 0;
	if (error != 0) {
		stile_fence_set_error(gate, error);
	}
	stile_fence_signal(gate);
	stile_fence_unref(gate);
	gate = NULL;
	for (size_t i = 0; i < buffer_model_op_count(); i++) {
		int got = status_of(op_fences[i]);
		same(got, buffer_model_finish(i, error, got), "the status of work", (int)i);
		stile_fence_unref(op_fences[i]);
	}
	buffer_model_open_gate();
}
