/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/buffer_model_state.h"

#include <errno.h>
#include <string.h>

/* Work of devices, at once and behind the gate; moves. */

bool model_work_is_pending(int resv, bool writes_only) {
	for (size_t i = 0; i < buffer_state.op_count; i++) {
		const struct buffer_model_op *op = &buffer_state.ops[i].op;
		bool reads = op->kind == BUFFER_MODEL_COPY && at(op->from)->resv == resv;
		if (buffer_state.ops[i].status == 0 &&
			(at(op->to)->resv == resv || (reads && !writes_only))) {
			return true;
		}
	}
	return false;
}

struct user model_user_device(int device) {
	return (struct user){ .device = device,
		.needs = buffer_state.devices[device].traits.needs };
}

/* ---- Work --------------------------------------------------------------------------------- */

static int check_device(struct buffer *b, int device, int got) {
	struct user user = model_user_device(device);
	if (b->has_device[device]) {
		return 0;
	}
	int ret = model_storage_check(b, &user, got);
	b->has_device[device] = ret == 0;
	return ret;
}

static int use_by_device(
	struct buffer *b, int device, const struct buffer_model_seen *seen, int got) {
	struct user user = model_user_device(device);
	return model_storage_use(b, &user, seen, got);
}

static int check_rights(const struct buffer_model_op *op) {
	bool may_write = allows(at(op->to)->usage, BUFFER_MODEL_WRITE);
	bool may_read =
		op->kind == BUFFER_MODEL_FILL || allows(at(op->from)->usage, BUFFER_MODEL_READ);
	return may_write && may_read ? 0 : -EACCES;
}

static void drop_list_refs(const struct buffer_model_op *op) {
	at(op->to)->list_refs--;
	model_buffer_drop(at(op->to));
	if (op->kind == BUFFER_MODEL_COPY) {
		at(op->from)->list_refs--;
		model_buffer_drop(at(op->from));
	}
}

static void enqueue(const struct buffer_model_op *op) {
	require(buffer_state.op_count < OPS);
	buffer_state.ops[buffer_state.op_count++] = (struct pending){ .op = *op };
	at(op->to)->list_refs++;
	if (op->kind == BUFFER_MODEL_COPY) {
		at(op->from)->list_refs++;
	}
}

/* Would it be refused? */
static bool is_refused(const struct buffer *b, int device) {
	struct user user = model_user_device(device);
	if (b->place == BUFFER_MODEL_NOWHERE) {
		return false;
	}
	return model_storage_reaches(&user, b) != YES &&
		(model_buffer_is_own(b) || !buffer_state.devices[b->device].is_open ||
			!buffer_model_is_movable(number_of(b)));
}

/* What is recorded attaches the device, what is submitted maps. */
int buffer_model_submit(
	const struct buffer_model_op *op, const struct buffer_model_seen seen[2], int got) {
	bool copies = op->kind == BUFFER_MODEL_COPY && op->from != op->to;
	int ret = check_rights(op);
	if (ret != 0) {
		/* Of two mistakes either may be found first. */
		bool refused = is_refused(at(op->to), op->device) ||
			(copies && is_refused(at(op->from), op->device));
		return refused && got == -EBUSY ? -EBUSY : ret;
	}
	ret = check_device(at(op->to), op->device, got);
	if (ret == 0 && copies) {
		ret = check_device(at(op->from), op->device, got);
	}
	if (ret == 0) {
		ret = use_by_device(at(op->to), op->device, &seen[0], got);
	}
	if (ret == 0 && copies) {
		ret = use_by_device(at(op->from), op->device, &seen[1], got);
	}
	if (ret == 0 && buffer_state.gate_closed) {
		enqueue(op);
	}
	return ret;
}

/* Would it be placed, or moved? */
static bool is_changed(const struct buffer *b, int device) {
	struct user user = model_user_device(device);
	return b->place == BUFFER_MODEL_NOWHERE ||
		(b->place != BUFFER_MODEL_FOREIGN && model_storage_reaches(&user, b) != YES) ||
		(b->place == BUFFER_MODEL_LOCAL && !model_storage_is_all_the_owners(b));
}

bool buffer_model_is_clear(const struct buffer_model_op *op) {
	if (op->kind == BUFFER_MODEL_FILL || op->from == op->to) {
		return true;
	}
	const struct buffer *to = at(op->to), *from = at(op->from);
	bool refused = is_refused(to, op->device) || is_refused(from, op->device);
	return !refused || (!is_changed(to, op->device) && !is_changed(from, op->device));
}

void buffer_model_apply(const struct buffer_model_op *op) {
	uint8_t *to = at(op->to)->contents + op->to_offset;
	if (op->kind == BUFFER_MODEL_COPY) {
		memmove(to, at(op->from)->contents + op->from_offset, op->bytes);
		return;
	}
	for (size_t i = 0; i < op->bytes; i++) {
		to[i] = (uint8_t)(op->value >> (8 * (i % 4)));
	}
}

/* The device's own attachments go with it; others keep it. Their work does not begin any more. */
void buffer_model_destroy(int device) {
	require(buffer_model_is_open(device));
	buffer_state.devices[device].is_open = false;
	for (int i = 0; i < BUFFERS; i++) {
		at(i)->has_device[device] = false;
	}
	for (size_t i = 0; i < buffer_state.op_count; i++) {
		if (buffer_state.ops[i].op.device == device && buffer_state.ops[i].status == 0) {
			buffer_state.ops[i].status = -ECANCELED;
			buffer_state.ops[i].is_dropped = true;
			drop_list_refs(&buffer_state.ops[i].op);
		}
	}
	/* What a move waited for may have been that. */
	for (int i = 0; i < RESVS + BUFFERS; i++) {
		buffer_state.moving[i] =
			buffer_state.moving[i] == STUCK ? MAY_BE_STUCK : buffer_state.moving[i];
	}
}

void buffer_model_close_gate(void) {
	buffer_state.gate_closed = true;
}

bool buffer_model_is_gate_closed(void) {
	return buffer_state.gate_closed;
}

size_t buffer_model_op_count(void) {
	return buffer_state.op_count;
}

int buffer_model_op_status(size_t op) {
	return buffer_state.ops[op].status;
}

static bool touches(const struct buffer_model_op *op, int resv) {
	return at(op->to)->resv == resv ||
		(op->kind == BUFFER_MODEL_COPY && at(op->from)->resv == resv);
}

static bool follows(const struct buffer_model_op *op, const struct buffer_model_op *other) {
	return touches(op, at(other->to)->resv) ||
		(other->kind == BUFFER_MODEL_COPY && touches(op, at(other->from)->resv));
}

/* Whether an error of those before is passed on by implicit synchronisation is left open. */
static int status_after_others(size_t number, int got) {
	for (size_t i = 0; i < number; i++) {
		if (buffer_state.ops[i].status == got && got != 0 &&
			follows(&buffer_state.ops[number].op, &buffer_state.ops[i].op)) {
			return got;
		}
	}
	return 0;
}

int buffer_model_finish(size_t op, int gate_error, int got) {
	struct pending *pending = &buffer_state.ops[op];
	if (pending->status == 0) {
		pending->status = gate_error != 0 ? gate_error : status_after_others(op, got);
		if (pending->status == 0) {
			buffer_model_apply(&pending->op);
		}
	}
	return pending->status;
}

/* All have ended; moves go on. */
void buffer_model_open_gate(void) {
	size_t count = buffer_state.op_count;
	buffer_state.gate_closed = false;
	buffer_state.op_count = 0;
	for (int i = 0; i < RESVS + BUFFERS; i++) {
		buffer_state.moving[i] = buffer_state.moving[i] == SETTLED ? SETTLED : MOVING;
	}
	for (size_t i = 0; i < count; i++) {
		if (!buffer_state.ops[i].is_dropped) {
			drop_list_refs(&buffer_state.ops[i].op);
		}
	}
}

bool buffer_model_is_busy(int buffer, uint32_t usage) {
	int resv = at(buffer)->resv;
	return buffer_state.moving[resv] >= MAY_BE_STUCK ||
		model_work_is_pending(resv, (usage & BUFFER_MODEL_WRITE) == 0);
}

bool buffer_model_is_moving(int buffer) {
	return buffer_state.moving[at(buffer)->resv] != SETTLED;
}

void buffer_model_settle(int buffer) {
	enum moving *moving = &buffer_state.moving[at(buffer)->resv];
	*moving = *moving == MOVING ? SETTLED : *moving;
}

int buffer_model_move(int buffer) {
	if (!buffer_model_is_movable(buffer)) {
		return -EBUSY;
	}
	enum moving before = buffer_state.moving[at(buffer)->resv];
	model_storage_begin_move(at(buffer));
	buffer_state.moving[at(buffer)->resv] = before;
	return 0;
}

static bool is_anybody_told(const struct buffer *b) {
	for (int i = 0; i < ATTACHMENTS; i++) {
		const struct attachment *a = &buffer_state.attachments[i];
		if (a->buffer == number_of(b) && a->manner == BUFFER_MODEL_DYNAMIC) {
			return true;
		}
	}
	return false;
}

/* Those of which nobody is told may have been moved as well: `count` in all. */
bool buffer_model_defragment(int device, int count, const bool *moved) {
	int least = 0, most = 0;
	for (int i = 0; i < BUFFERS; i++) {
		struct buffer *b = at(i);
		bool may = b->is_alive && b->place == BUFFER_MODEL_LOCAL && b->device == device &&
			buffer_model_is_movable(i);
		bool may_in_silence = may && !is_anybody_told(b);
		if (moved[i] && !may) {
			return false;
		}
		if (moved[i]) {
			model_storage_begin_move(b);
		} else if (may_in_silence && count > 0) {
			model_storage_note_moving(
				b, buffer_state.gate_closed ? MAY_BE_STUCK : MOVING);
		}
		least += moved[i];
		most += moved[i] || may_in_silence;
	}
	return count >= least && count <= most;
}
