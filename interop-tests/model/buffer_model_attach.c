/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/buffer_model_state.h"

#include <errno.h>

/* Attachments and their mappings. */

int model_map_count(int attachment) {
	int count = 0;
	for (int i = 0; i < MAPS; i++) {
		count += buffer_state.maps[i].attachment == attachment;
	}
	return count;
}

void model_attachment_drop(int attachment) {
	for (int i = 0; i < MAPS; i++) {
		if (buffer_state.maps[i].attachment == attachment) {
			buffer_state.maps[i].attachment = NONE;
		}
	}
	buffer_state.attachments[attachment].buffer = NONE;
}

static struct user user_of(const struct attachment *a) {
	return (struct user){ .device = a->device, .needs = a->needs };
}

int buffer_model_attach(int attachment, int buffer, int device, enum buffer_model_manner manner,
	uint32_t usage, struct buffer_model_needs needs, int veto, int got) {
	struct buffer_model_needs own = buffer_state.devices[device].traits.needs;
	struct buffer *b = at(buffer);
	struct attachment a = { buffer, device, manner, usage,
		{ needs.low || own.low, needs.single || own.single }, 0, 0 };
	struct user user = user_of(&a);
	require(buffer_state.attachments[attachment].buffer == NONE);
	if (!is_usage(usage)) {
		return refusal(-EINVAL);
	}
	if (!allows(b->usage, usage)) {
		return -EACCES;
	}
	int ret = model_storage_check(b, &user, got);
	if (ret == 0 && b->origin == BUFFER_MODEL_FILE) {
		b->calls.attach++;
		ret = veto;
	}
	if (ret == 0) {
		buffer_state.attachments[attachment] = a;
	}
	return ret;
}

/* 7.3: a static importer's mapping is a pin, where there are pins. */
static void note_unmap(struct buffer *b, const struct attachment *a) {
	b->calls.unmap++;
	b->calls.unpin += b->origin == BUFFER_MODEL_PLAIN && a->manner == BUFFER_MODEL_STATIC;
}

void buffer_model_detach(int attachment) {
	struct attachment *a = &buffer_state.attachments[attachment];
	struct buffer *b = at(a->buffer);
	int maps = model_map_count(attachment);
	if (maps > 0) {
		buffer_state.told++;
		buffer_state.perhaps_told += (unsigned)maps - 1;
	}
	for (int i = 0; i < maps; i++) {
		note_unmap(b, a);
	}
	if (a->pins > 0) {
		buffer_state.perhaps_told++;
		b->has_loose_pins = true;
	}
	b->calls.detach += b->origin == BUFFER_MODEL_FILE;
	model_attachment_drop(attachment);
}

bool buffer_model_is_attached(int attachment) {
	return buffer_state.attachments[attachment].buffer != NONE;
}

int buffer_model_attachment_buffer(int attachment) {
	return buffer_state.attachments[attachment].buffer;
}

int buffer_model_attachment_device(int attachment) {
	return buffer_state.attachments[attachment].device;
}

enum buffer_model_manner buffer_model_attachment_manner(int attachment) {
	return buffer_state.attachments[attachment].manner;
}

uint32_t buffer_model_attachment_usage(int attachment) {
	return buffer_state.attachments[attachment].usage;
}

int buffer_model_pins(int attachment) {
	return buffer_state.attachments[attachment].pins;
}

struct buffer_model_needs buffer_model_attachment_needs(int attachment) {
	return buffer_state.attachments[attachment].needs;
}

unsigned buffer_model_notified(int attachment) {
	return buffer_state.attachments[attachment].notified;
}

bool buffer_model_has_device(int buffer, int device) {
	return at(buffer)->has_device[device];
}

void buffer_model_see_device(int buffer, int device, bool has) {
	at(buffer)->has_device[device] = has;
}

static uint32_t usage_of(enum buffer_model_direction direction) {
	static const uint32_t usages[] = { BUFFER_MODEL_BOTH, BUFFER_MODEL_READ,
		BUFFER_MODEL_WRITE };
	return usages[direction];
}

/* T-4: a static importer waits until moves are done. */
static int wait_for_moves(const struct buffer *b, bool polls, int got) {
	enum moving moving = buffer_state.moving[b->resv];
	require(polls || moving < MAY_BE_STUCK);
	if (!polls || moving == SETTLED) {
		return 0;
	}
	return moving == STUCK ? -ETIME : got == -ETIME ? -ETIME : 0;
}

int buffer_model_map(int map, int attachment, enum buffer_model_direction direction, bool polls,
	struct buffer_model_seen seen, int got) {
	const struct attachment *a = &buffer_state.attachments[attachment];
	struct buffer *b = at(a->buffer);
	struct user user = user_of(a);
	require(buffer_state.maps[map].attachment == NONE);
	if (direction == BUFFER_MODEL_NO_DIRECTION) {
		return refusal(-EINVAL);
	}
	if (!allows(a->usage, usage_of(direction))) {
		return -EACCES;
	}
	int ret = model_storage_use(b, &user, &seen, got);
	b->calls.pin += b->origin == BUFFER_MODEL_PLAIN && a->manner == BUFFER_MODEL_STATIC;
	b->calls.map++;
	b->has_loose_pins = b->has_loose_pins || a->manner == BUFFER_MODEL_DEAF;
	if (ret != 0) {
		/* What the importer alone needs its exporter may not look at: that is found out later. */
		struct user device = model_user_device(a->device);
		note_unmap(b, a);
		b->calls.unmap -= model_storage_reaches(&device, b) != YES;
		return ret;
	}
	ret = a->manner == BUFFER_MODEL_STATIC ? wait_for_moves(b, polls, got) : 0;
	if (ret != 0) {
		note_unmap(b, a);
		return ret;
	}
	buffer_state.maps[map] = (struct map){ attachment, direction, b->generation };
	return 0;
}

static struct attachment *attachment_of(int map) {
	return &buffer_state.attachments[buffer_state.maps[map].attachment];
}

void buffer_model_unmap(int map) {
	struct attachment *a = attachment_of(map);
	note_unmap(at(a->buffer), a);
	buffer_state.maps[map].attachment = NONE;
}

bool buffer_model_is_mapped(int map) {
	return buffer_state.maps[map].attachment != NONE;
}

int buffer_model_map_attachment(int map) {
	return buffer_state.maps[map].attachment;
}

enum buffer_model_direction buffer_model_map_direction(int map) {
	return buffer_state.maps[map].direction;
}

bool buffer_model_is_stale(int map) {
	return buffer_state.maps[map].generation != at(attachment_of(map)->buffer)->generation;
}

int buffer_model_access(int map, uint32_t usage) {
	return allows(usage_of(buffer_state.maps[map].direction), usage) ? 0 : -EFAULT;
}

bool buffer_model_is_shared_map(int map) {
	const struct attachment *a = attachment_of(map);
	bool shared = at(a->buffer)->has_device[a->device];
	for (int i = 0; i < MAPS; i++) {
		if (i != map && buffer_model_is_mapped(i)) {
			const struct attachment *other = attachment_of(i);
			shared = shared ||
				(other->buffer == a->buffer && other->device == a->device);
		}
	}
	return shared;
}

/* T-7, E-4. */
int buffer_model_pin(int attachment, struct buffer_model_seen seen, int got) {
	struct attachment *a = &buffer_state.attachments[attachment];
	struct buffer *b = at(a->buffer);
	struct user user = user_of(a);
	if (a->manner == BUFFER_MODEL_STATIC) {
		return misuse(-EINVAL);
	}
	int ret = model_buffer_is_own(b) ? 0 : model_storage_use(b, &user, &seen, got);
	if (ret == 0) {
		b->calls.pin += b->origin == BUFFER_MODEL_PLAIN;
		a->pins++;
	}
	return ret;
}

void buffer_model_unpin(int attachment) {
	struct attachment *a = &buffer_state.attachments[attachment];
	require(a->pins > 0);
	a->pins--;
	at(a->buffer)->calls.unpin += at(a->buffer)->origin == BUFFER_MODEL_PLAIN;
}
