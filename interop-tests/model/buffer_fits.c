/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/buffer_steps.h"
#include "interop-tests/model/buffer_twin.h"

/* When a step makes sense. */

bool is_gate_closed(void) {
	return buffer_model_is_gate_closed();
}

/* A move of its storage waits for the gate, or may do so. */
static bool is_stuck(int buffer) {
	return is_gate_closed() && buffer_model_is_moving(buffer);
}

bool is_mistaken(const struct history_step *step) {
	return (step->how & HOW_MISTAKEN) != 0;
}

bool open_fits(const struct history_step *step) {
	return buffer_model_is_device_free(step->a);
}

bool device_fits(const struct history_step *step) {
	return buffer_model_is_open(step->a);
}

/* It waits for its moves (E-6), and keeps the buffers of others' until they are done. */
bool destroy_fits(const struct history_step *step) {
	bool fits = device_fits(step);
	for (int i = 0; i < BUFFERS; i++) {
		bool may_go = buffer_model_is_alive(i) && buffer_model_refs(i) == 0;
		bool is_the_devices = buffer_model_is_alive(i) && buffer_model_device(i) == step->a;
		fits = fits && !(is_stuck(i) && (may_go || is_the_devices));
	}
	return fits;
}

bool create_fits(const struct history_step *step) {
	return !buffer_model_is_known(step->a) && buffer_model_is_open(step->b);
}

bool export_fits(const struct history_step *step) {
	return !buffer_model_is_known(step->a);
}

bool buffer_fits(const struct history_step *step) {
	return is_usable(step->a);
}

/* A move keeps the buffer, and nobody knows how long, while the gate is closed. */
bool unref_fits(const struct history_step *step) {
	return is_usable(step->a) && !(is_stuck(step->a) && buffer_model_refs(step->a) == 1);
}

bool attach_fits(const struct history_step *step) {
	const struct buffer_model_traits *traits = buffer_model_get_traits(step->c);
	bool has_needs = (step->how & (HOW_LOW | HOW_SINGLE)) != 0;
	return !buffer_model_is_attached(step->a) && is_usable(step->b) &&
		buffer_model_is_open(step->c) &&
		(!has_needs || (!traits->has_iommu && !traits->has_local));
}

bool attached_fits(const struct history_step *step) {
	return buffer_model_is_attached(step->a);
}

bool map_fits(const struct history_step *step) {
	return !buffer_model_is_mapped(step->a) && buffer_model_is_attached(step->b);
}

bool mapped_fits(const struct history_step *step) {
	return buffer_model_is_mapped(step->a);
}

/* It may wait for moves. */
bool pin_fits(const struct history_step *step) {
	return attached_fits(step) && !is_gate_closed();
}

bool unpin_fits(const struct history_step *step) {
	return attached_fits(step) && buffer_model_pins(step->a) > 0;
}

bool export_fd_fits(const struct history_step *step) {
	return !buffer_model_is_fd(step->a) && is_usable(step->b) &&
		!(is_mistaken(step) && buffer_model_origin(step->b) == BUFFER_MODEL_PLAIN) &&
		!(is_gate_closed() &&
			(buffer_model_place(step->b) == BUFFER_MODEL_LOCAL ||
				buffer_model_is_moving(step->b)));
}

/* Whether a right that nobody asked for is one is left open: a descriptor's are asked for. */
bool import_fd_fits(const struct history_step *step) {
	if (!buffer_model_is_fd(step->a) || !buffer_model_is_open(step->b)) {
		return false;
	}
	int buffer = buffer_model_fd_buffer(step->a);
	bool has_all =
		buffer_model_is_alive(buffer) && buffer_model_usage(buffer) == BUFFER_MODEL_BOTH;
	bool asks_all = step->c == BUFFER_MODEL_BOTH;
	return has_all || !buffer_model_fd_is_writable(step->a) || asks_all;
}

bool import_fits(const struct history_step *step) {
	return is_usable(step->a) && step->b != NONE && buffer_model_is_open(step->b);
}

bool fd_fits(const struct history_step *step) {
	return buffer_model_is_fd(step->a);
}

bool view_fits(const struct history_step *step) {
	return !buffer_model_is_view(step->a) && is_usable(step->b) && !is_stuck(step->b);
}

bool unview_fits(const struct history_step *step) {
	int buffer = buffer_model_view_buffer(step->a);
	return buffer_model_is_view(step->a) && (is_usable(buffer) || !is_stuck(buffer));
}

static bool is_view_of(const struct history_step *step) {
	int view = step->list[0];
	return buffer_model_is_view(view) && buffer_model_view_buffer(view) == step->a &&
		((uint32_t)step->c & ~buffer_model_view_usage(view)) == 0;
}

static bool is_fd_of(const struct history_step *step) {
	int fd = step->list[0] % FDS;
	return buffer_model_is_fd(fd) && buffer_model_fd_buffer(fd) == step->a &&
		(buffer_model_fd_is_writable(fd) || step->c == BUFFER_MODEL_READ);
}

static bool way_fits(const struct history_step *step) {
	enum buffer_model_origin origin = buffer_model_origin(step->a);
	switch ((enum way)step->b) {
	case WAY_VIEW:
		return is_view_of(step);
	case WAY_FD:
		return is_fd_of(step);
	case WAY_OWN:
		return is_own(step->a);
	case WAY_VMAP:
		return origin != BUFFER_MODEL_PLAIN;
	case WAY_MMAP:
	case WAY_KMAP:
	case WAYS:
		break;
	}
	return origin != BUFFER_MODEL_PLAIN && buffer_model_bytes(step->a) >= PAGE &&
		buffer_model_usage(step->a) == BUFFER_MODEL_BOTH;
}

/* What there is only a descriptor of is nobody's. */
bool access_fits(const struct history_step *step) {
	bool writes = (step->c & BUFFER_MODEL_WRITE) != 0;
	if (!buffer_model_is_known(step->a) || !way_fits(step)) {
		return false;
	}
	if (!buffer_model_is_alive(step->a)) {
		return step->b == WAY_FD;
	}
	return (!writes || buffer_model_usage(step->a) == BUFFER_MODEL_BOTH) &&
		!buffer_model_is_busy(step->a, (uint32_t)step->c) &&
		(is_usable(step->a) || step->b == WAY_VIEW);
}

size_t bytes_of(int buffer) {
	return buffer_model_bytes(buffer);
}

/* The part that a step is about, cut to what there is. */
void cut(const struct history_step *step, size_t limit, size_t *offset, size_t *bytes) {
	*offset = (size_t)step->list[1] % limit;
	*bytes = 1 + (size_t)step->list[2] % (limit - *offset);
}

struct buffer_model_op op_of(const struct history_step *step) {
	struct buffer_model_op op = { .device = step->a, .to = step->b, .from = step->c };
	op.value = (uint32_t)step->number;
	if (step->kind == STEP_FILL) {
		op.kind = BUFFER_MODEL_FILL;
		op.from = NONE;
		cut(step, bytes_of(op.to) / 4, &op.to_offset, &op.bytes);
		op.to_offset *= 4;
		op.bytes *= 4;
		return op;
	}
	op.kind = BUFFER_MODEL_COPY;
	size_t limit = bytes_of(op.to) < bytes_of(op.from) ? bytes_of(op.to) : bytes_of(op.from);
	cut(step, limit, &op.to_offset, &op.bytes);
	op.from_offset = (size_t)step->list[3] % (limit - op.bytes + 1);
	return op;
}

static bool overlaps(const struct buffer_model_op *op) {
	return op->from == op->to && op->from_offset < op->to_offset + op->bytes &&
		op->to_offset < op->from_offset + op->bytes;
}

bool work_fits(const struct history_step *step) {
	if (!buffer_model_is_open(step->a) || !is_usable(step->b) ||
		(step->kind == STEP_COPY && !is_usable(step->c)) ||
		buffer_model_op_count() == OPS) {
		return false;
	}
	struct buffer_model_op op = op_of(step);
	return !overlaps(&op) && buffer_model_is_clear(&op);
}

int map_device(int map) {
	return buffer_model_attachment_device(buffer_model_map_attachment(map));
}

int map_buffer(int map) {
	return buffer_model_attachment_buffer(buffer_model_map_attachment(map));
}

/* A device that may not use these addresses may have others for the same memory. */
static bool may_be_tried(int map, uint32_t usage) {
	return buffer_model_access(map, usage) == 0 || !buffer_model_is_shared_map(map);
}

bool fill_at_fits(const struct history_step *step) {
	return buffer_model_is_mapped(step->a) && !buffer_model_is_stale(step->a) &&
		buffer_model_is_open(map_device(step->a)) && !is_gate_closed() &&
		may_be_tried(step->a, BUFFER_MODEL_WRITE);
}

/* T-8: what was moved may still be read, stray. */
bool copy_at_fits(const struct history_step *step) {
	if (!fill_at_fits(step) || !buffer_model_is_mapped(step->b)) {
		return false;
	}
	return map_device(step->b) == map_device(step->a) &&
		map_buffer(step->b) != map_buffer(step->a) &&
		buffer_model_access(step->a, BUFFER_MODEL_WRITE) == 0 &&
		may_be_tried(step->b, BUFFER_MODEL_READ);
}

/* It copies at once: nobody may be at work. */
bool move_fits(const struct history_step *step) {
	return is_usable(step->a) && buffer_model_origin(step->a) == BUFFER_MODEL_PLAIN &&
		!is_gate_closed();
}

bool mistake_fits(const struct history_step *step) {
	return is_usable(step->a) &&
		(step->c != MISTAKE_DETACH ||
			(buffer_model_is_attached(step->b) &&
				buffer_model_attachment_buffer(step->b) != step->a));
}

bool close_gate_fits(const struct history_step *step) {
	(void)step;
	return !is_gate_closed();
}

bool open_gate_fits(const struct history_step *step) {
	(void)step;
	return is_gate_closed();
}
