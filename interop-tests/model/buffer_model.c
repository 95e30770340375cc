/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/buffer_model_state.h"

#include <errno.h>
#include <string.h>

struct buffer_state buffer_state;

void buffer_model_reset(void) {
	memset(&buffer_state, 0, sizeof(buffer_state));
	for (int i = 0; i < ATTACHMENTS; i++) {
		buffer_state.attachments[i].buffer = NONE;
	}
	for (int i = 0; i < MAPS; i++) {
		buffer_state.maps[i].attachment = NONE;
	}
	for (int i = 0; i < VIEWS; i++) {
		buffer_state.views[i].buffer = NONE;
	}
	for (int i = 0; i < FDS; i++) {
		buffer_state.fds[i].buffer = NONE;
	}
}

/* ---- Mistakes ----------------------------------------------------------------------------- */

unsigned buffer_model_told(void) {
	return buffer_state.told;
}

unsigned buffer_model_perhaps_told(void) {
	return buffer_state.perhaps_told;
}

void buffer_model_tell(void) {
	buffer_state.told++;
	buffer_state.perhaps_told++;
}

/* ---- Devices ------------------------------------------------------------------------------ */

void buffer_model_open(int device, const struct buffer_model_traits *traits) {
	buffer_state.devices[device] = (struct device){ true, *traits };
}

bool buffer_model_is_open(int device) {
	return buffer_state.devices[device].is_open;
}

bool buffer_model_is_device_free(int device) {
	bool is_free = !buffer_model_is_open(device);
	for (int i = 0; i < ATTACHMENTS; i++) {
		const struct attachment *a = &buffer_state.attachments[i];
		is_free = is_free && (a->buffer == NONE || a->device != device);
	}
	for (int i = 0; i < BUFFERS; i++) {
		is_free = is_free && (!at(i)->is_alive || at(i)->device != device);
	}
	for (size_t i = 0; i < buffer_state.op_count; i++) {
		is_free = is_free && buffer_state.ops[i].op.device != device;
	}
	return is_free;
}

const struct buffer_model_traits *buffer_model_get_traits(int device) {
	return &buffer_state.devices[device].traits;
}

/* ---- Buffers ------------------------------------------------------------------------------ */

static struct buffer *begin_buffer(int buffer, size_t bytes, int resv) {
	struct buffer *b = at(buffer);
	require(!b->is_known && bytes > 0);
	*b = (struct buffer){
		.is_known = true,
		.is_alive = true,
		.device = NONE,
		.resv = resv == NONE ? RESVS + buffer : resv,
		.usage = BUFFER_MODEL_BOTH,
		.bytes = bytes,
		.refs = 1,
	};
	buffer_state.moving[RESVS + buffer] = SETTLED;
	return b;
}

void buffer_model_create(int buffer, int device, size_t bytes, int resv) {
	size_t whole = (bytes + PAGE - 1) / PAGE * PAGE;
	struct buffer *b = begin_buffer(buffer, whole, resv);
	b->origin = BUFFER_MODEL_CREATED;
	b->device = device;
}

/* Nobody knows where an application's memory is on the bus, which is above 4 GiB. */
void buffer_model_export(int buffer, enum buffer_model_origin origin, size_t bytes, uint32_t usage,
	unsigned pieces, int resv) {
	struct buffer *b = begin_buffer(buffer, bytes, resv);
	b->origin = origin;
	b->usage = usage;
	b->place = BUFFER_MODEL_FOREIGN;
	b->low = NO;
	b->single = pieces == 1 ? YES : NO;
}

int model_view_count(const struct buffer *b) {
	int count = 0;
	for (int i = 0; i < VIEWS; i++) {
		count += buffer_state.views[i].buffer == number_of(b);
	}
	return count;
}

static int count_vmaps(const struct buffer *b) {
	int count = 0;
	for (int i = 0; i < VIEWS; i++) {
		count += buffer_state.views[i].buffer == number_of(b) &&
			buffer_state.views[i].is_vmap;
	}
	return count;
}

static bool has_fd(const struct buffer *b) {
	for (int i = 0; i < FDS; i++) {
		if (buffer_state.fds[i].buffer == number_of(b)) {
			return true;
		}
	}
	return false;
}

static void forget_if_gone(struct buffer *b) {
	b->is_known = b->is_alive || has_fd(b);
}

/* B-4: attachments that remain are a mistake each; what is still mapped by them may be one more. */
static void die(struct buffer *b) {
	for (int i = 0; i < ATTACHMENTS; i++) {
		struct attachment *a = &buffer_state.attachments[i];
		if (a->buffer == number_of(b)) {
			buffer_state.told++;
			buffer_state.perhaps_told +=
				(unsigned)model_map_count(i) + (a->pins > 0 ? 1 : 0);
			model_attachment_drop(i);
		}
	}
	b->is_alive = false;
	forget_if_gone(b);
}

/* B-4: views are references, and so is work. */
void model_buffer_drop(struct buffer *b) {
	if (b->is_alive && b->refs == 0 && b->list_refs == 0 && model_view_count(b) == 0) {
		die(b);
	}
}

void buffer_model_ref(int buffer) {
	require(at(buffer)->is_alive);
	at(buffer)->refs++;
}

void buffer_model_unref(int buffer) {
	require(at(buffer)->refs > 0);
	at(buffer)->refs--;
	model_buffer_drop(at(buffer));
}

bool buffer_model_is_known(int buffer) {
	return at(buffer)->is_known;
}

bool buffer_model_is_alive(int buffer) {
	return at(buffer)->is_alive;
}

int buffer_model_refs(int buffer) {
	return at(buffer)->is_alive ? at(buffer)->refs : 0;
}

int buffer_model_alive_count(void) {
	int count = 0;
	for (int i = 0; i < BUFFERS; i++) {
		count += at(i)->is_alive;
	}
	return count;
}

size_t buffer_model_bytes(int buffer) {
	return at(buffer)->bytes;
}

uint32_t buffer_model_usage(int buffer) {
	return at(buffer)->usage;
}

enum buffer_model_origin buffer_model_origin(int buffer) {
	return at(buffer)->origin;
}

int buffer_model_device(int buffer) {
	return at(buffer)->device;
}

int buffer_model_resv(int buffer) {
	return at(buffer)->resv;
}

enum buffer_model_place buffer_model_place(int buffer) {
	return at(buffer)->place;
}

const uint8_t *buffer_model_contents(int buffer) {
	return at(buffer)->contents;
}

const struct buffer_model_calls *buffer_model_calls(int buffer) {
	return &at(buffer)->calls;
}

bool buffer_model_has_loose_pins(int buffer) {
	return at(buffer)->has_loose_pins;
}

/* ---- Descriptors -------------------------------------------------------------------------- */

int buffer_model_export_fd(
	int fd, int buffer, uint32_t usage, bool writable, struct buffer_model_seen seen, int got) {
	struct buffer *b = at(buffer);
	struct user user = { .device = NONE, .by_fd = true };
	bool has_rights = allows(b->usage, usage);
	require(buffer_state.fds[fd].buffer == NONE);
	if (!is_usage(usage)) {
		return refusal(-EINVAL);
	}
	if (b->origin == BUFFER_MODEL_PLAIN) {
		return !has_rights && got == -EACCES ? -EACCES : -EOPNOTSUPP;
	}
	if (!has_rights) {
		return -EACCES;
	}
	int ret = model_storage_use(b, &user, &seen, got);
	if (ret == 0) {
		b->is_shown = true;
		b->calls.export_fd++;
		buffer_state.fds[fd] = (struct fd){ buffer, writable };
		/* It waits until moves are done. */
		buffer_model_settle(buffer);
	}
	return ret;
}

/* The object had gone; its memory is another device's now (E-9). */
static void revive(struct buffer *b, int device, uint32_t usage) {
	int buffer = number_of(b);
	b->is_alive = true;
	b->origin = BUFFER_MODEL_IMPORTED;
	b->device = device;
	b->resv = RESVS + buffer;
	b->usage = usage;
	b->refs = 1;
	b->place = BUFFER_MODEL_SYSTEM;
	b->low = UNKNOWN;
	b->single = b->bytes <= PAGE ? YES : UNKNOWN;
	b->is_shown = true;
	b->has_loose_pins = false;
	memset(b->has_device, 0, sizeof(b->has_device));
	memset(&b->calls, 0, sizeof(b->calls));
	buffer_state.moving[b->resv] = SETTLED;
}

/* B-3, B-5. */
int buffer_model_import_fd(int fd, int device, uint32_t usage) {
	const struct fd *from = &buffer_state.fds[fd];
	struct buffer *b = at(from->buffer);
	uint32_t rights = from->is_writable ? BUFFER_MODEL_BOTH : BUFFER_MODEL_READ;
	if (!is_usage(usage)) {
		return refusal(-EINVAL);
	}
	if (!allows(rights, usage)) {
		return -EACCES;
	}
	if (b->is_alive) {
		b->refs++;
		b->usage |= usage;
	} else {
		revive(b, device, rights);
	}
	return 0;
}

int buffer_model_import(int buffer, uint32_t usage) {
	if (!is_usage(usage)) {
		return refusal(-EINVAL);
	}
	if (!allows(at(buffer)->usage, usage)) {
		return -EACCES;
	}
	buffer_model_ref(buffer);
	return 0;
}

void buffer_model_close(int fd) {
	struct buffer *b = at(buffer_state.fds[fd].buffer);
	buffer_state.fds[fd].buffer = NONE;
	forget_if_gone(b);
}

bool buffer_model_is_fd(int fd) {
	return buffer_state.fds[fd].buffer != NONE;
}

int buffer_model_fd_buffer(int fd) {
	return buffer_state.fds[fd].buffer;
}

bool buffer_model_fd_is_writable(int fd) {
	return buffer_state.fds[fd].is_writable;
}

/* ---- The CPU ------------------------------------------------------------------------------ */

/* P-5: a last page that is not whole cannot be mapped. */
int buffer_model_mmap(int view, int buffer, uint32_t usage, size_t first, size_t pages,
	struct buffer_model_seen seen) {
	struct buffer *b = at(buffer);
	struct user user = { .device = NONE };
	size_t there = b->bytes / PAGE, wanted = pages == 0 ? there : pages;
	first = pages == 0 ? 0 : first;
	require(buffer_state.views[view].buffer == NONE);
	if (!is_usage(usage) || b->origin == BUFFER_MODEL_PLAIN || wanted == 0 ||
		first + wanted > there) {
		return refusal(-EINVAL);
	}
	if (!allows(b->usage, usage)) {
		return -EACCES;
	}
	int ret = model_storage_use(b, &user, &seen, 0);
	if (ret == 0) {
		b->calls.mmap++;
		buffer_state.views[view] =
			(struct view){ buffer, false, usage, first * PAGE, wanted * PAGE };
	}
	return ret;
}

/* P-4. Of memory that is only read it may be refused, for it says nothing of how it will be used. */
int buffer_model_vmap(int view, int buffer, struct buffer_model_seen seen, int got) {
	struct buffer *b = at(buffer);
	struct user user = { .device = NONE };
	require(buffer_state.views[view].buffer == NONE);
	if (b->origin == BUFFER_MODEL_PLAIN) {
		return refusal(-EINVAL);
	}
	if (b->usage != BUFFER_MODEL_BOTH && got == -EACCES) {
		return -EACCES;
	}
	int ret = model_storage_use(b, &user, &seen, 0);
	if (ret == 0) {
		b->calls.vmap += count_vmaps(b) == 0;
		buffer_state.views[view] = (struct view){ buffer, true, b->usage, 0, b->bytes };
	}
	return ret;
}

void buffer_model_unview(int view) {
	struct view *v = &buffer_state.views[view];
	struct buffer *b = at(v->buffer);
	v->buffer = NONE;
	b->calls.munmap += !v->is_vmap;
	b->calls.vunmap += v->is_vmap && count_vmaps(b) == 0;
	model_buffer_drop(b);
}

bool buffer_model_is_view(int view) {
	return buffer_state.views[view].buffer != NONE;
}

bool buffer_model_is_vmap(int view) {
	return buffer_state.views[view].is_vmap;
}

int buffer_model_view_buffer(int view) {
	return buffer_state.views[view].buffer;
}

uint32_t buffer_model_view_usage(int view) {
	return buffer_state.views[view].usage;
}

size_t buffer_model_view_offset(int view) {
	return buffer_state.views[view].offset;
}

size_t buffer_model_view_bytes(int view) {
	return buffer_state.views[view].bytes;
}

/*
 * P-1: the exporter first, then who reads waits for those who write, who writes for all. Who is not let in does
 * not end what was begun: the exporter hears of the end at once.
 */
int buffer_model_begin(int buffer, uint32_t usage, bool polls, int got) {
	struct buffer *b = at(buffer);
	if (!is_usage(usage)) {
		return refusal(-EINVAL);
	}
	enum moving moving = buffer_state.moving[b->resv];
	bool busy = model_work_is_pending(b->resv, (usage & BUFFER_MODEL_WRITE) == 0);
	require(polls || (!busy && moving < MAY_BE_STUCK));
	b->calls.begin++;
	bool is_late = busy || moving == STUCK || (polls && moving != SETTLED && got == -ETIME);
	if (is_late) {
		b->calls.end++;
		return -ETIME;
	}
	if (!polls || moving == SETTLED) {
		buffer_model_settle(buffer);
	}
	return 0;
}

void buffer_model_end(int buffer) {
	at(buffer)->calls.end++;
}

uint8_t buffer_model_pattern(size_t place, uint32_t value) {
	return (uint8_t)(value + place * 7 + place / 251);
}

void buffer_model_write(int buffer, size_t offset, size_t bytes, uint32_t value) {
	require(offset + bytes <= at(buffer)->bytes);
	for (size_t i = 0; i < bytes; i++) {
		at(buffer)->contents[offset + i] = buffer_model_pattern(i, value);
	}
}
