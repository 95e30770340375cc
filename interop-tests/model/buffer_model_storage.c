/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/buffer_model_state.h"

#include <errno.h>

/* Where the storage is. */

/* Does it rely on the storage where it is? T-8: who is not told of moves. */
static bool holds(const struct attachment *a, int number) {
	return a->pins > 0 || (a->manner != BUFFER_MODEL_DYNAMIC && model_map_count(number) > 0);
}

bool buffer_model_is_movable(int buffer) {
	const struct buffer *b = at(buffer);
	bool movable = !b->is_shown && model_view_count(b) == 0;
	for (int i = 0; i < ATTACHMENTS; i++) {
		const struct attachment *a = &buffer_state.attachments[i];
		movable = movable && (a->buffer != buffer || !holds(a, i));
	}
	return movable;
}

static enum known both(enum known one, enum known other) {
	if (one == NO || other == NO) {
		return NO;
	}
	return one == YES && other == YES ? YES : UNKNOWN;
}

/* Can the device use the storage where it is? */
enum known model_storage_reaches(const struct user *user, const struct buffer *b) {
	if (b->place == BUFFER_MODEL_LOCAL) {
		return user->device == b->device ? YES : NO;
	}
	if (buffer_state.devices[user->device].traits.has_iommu) {
		return YES;
	}
	return both(user->needs.low ? b->low : YES, user->needs.single ? b->single : YES);
}

/* It was found out by trying. */
static void learn(struct buffer *b, const struct user *user, bool reached) {
	if (b->place == BUFFER_MODEL_LOCAL || buffer_state.devices[user->device].traits.has_iommu) {
		return;
	}
	bool asked_low = user->needs.low && b->low == UNKNOWN;
	bool asked_single = user->needs.single && b->single == UNKNOWN;
	if (reached || asked_low != asked_single) {
		enum known answer = reached ? YES : NO;
		b->low = asked_low ? answer : b->low;
		b->single = asked_single ? answer : b->single;
	}
}

/* Behind an IOMMU, memory is wherever it likes to be. */
static void add_needs(int device, struct buffer_model_needs needs, struct buffer_model_needs *all) {
	if (!buffer_state.devices[device].traits.has_iommu) {
		all->low = all->low || needs.low;
		all->single = all->single || needs.single;
	}
}

struct buffer_model_needs buffer_model_get_needs(int buffer) {
	struct buffer_model_needs all = { false, false };
	for (int i = 0; i < ATTACHMENTS; i++) {
		const struct attachment *a = &buffer_state.attachments[i];
		if (a->buffer == buffer) {
			add_needs(a->device, a->needs, &all);
		}
	}
	for (int i = 0; i < DEVICES; i++) {
		if (at(buffer)->has_device[i]) {
			add_needs(i, buffer_state.devices[i].traits.needs, &all);
		}
	}
	return all;
}

/* System memory for all who are attached, and the device itself (E-1). */
static void place_in_system(struct buffer *b) {
	struct buffer_model_needs all = buffer_model_get_needs(number_of(b));
	unsigned run = buffer_state.devices[b->device].traits.frame_run;
	add_needs(b->device, buffer_state.devices[b->device].traits.needs, &all);
	b->place = BUFFER_MODEL_SYSTEM;
	b->low = all.low ? YES : NO;
	b->single = all.single || run == 0 || b->bytes <= (size_t)run * PAGE ? YES : NO;
}

/* Is every attachment the device's? */
bool model_storage_is_all_the_owners(const struct buffer *b) {
	for (int i = 0; i < ATTACHMENTS; i++) {
		const struct attachment *a = &buffer_state.attachments[i];
		if (a->buffer == number_of(b) && a->device != b->device) {
			return false;
		}
	}
	for (int i = 0; i < DEVICES; i++) {
		if (b->has_device[i] && i != b->device) {
			return false;
		}
	}
	return true;
}

/* May it be in the device's own memory? */
static bool may_be_local(const struct buffer *b, const struct user *user) {
	return buffer_state.devices[b->device].traits.has_local && !user->by_fd &&
		model_storage_is_all_the_owners(b);
}

static void place_as_seen(
	struct buffer *b, const struct user *user, const struct buffer_model_seen *seen) {
	if (may_be_local(b, user) && seen->place == BUFFER_MODEL_LOCAL) {
		b->place = BUFFER_MODEL_LOCAL;
	} else {
		place_in_system(b);
	}
}

/* The first need. E-3; for the CPU either will do. */
static void place(struct buffer *b, const struct user *user, const struct buffer_model_seen *seen) {
	bool is_local = buffer_state.devices[b->device].is_open && seen->has_room &&
		user->device == b->device && may_be_local(b, user);
	if (is_local) {
		b->place = BUFFER_MODEL_LOCAL;
	} else {
		place_as_seen(b, user, seen);
	}
}

void model_storage_note_moving(struct buffer *b, enum moving now) {
	enum moving *moving = &buffer_state.moving[b->resv];
	*moving = now > *moving ? now : *moving;
}

/* T-8: the move's fence is the reservation's, and all before it go first. */
void model_storage_begin_move(struct buffer *b) {
	enum moving now = MOVING;
	b->generation++;
	if (buffer_state.gate_closed) {
		now = model_work_is_pending(b->resv, false) ? STUCK : MAY_BE_STUCK;
	}
	model_storage_note_moving(b, now);
	for (int i = 0; i < ATTACHMENTS; i++) {
		struct attachment *a = &buffer_state.attachments[i];
		a->notified += a->buffer == number_of(b) && a->manner == BUFFER_MODEL_DYNAMIC;
	}
}

/* E-6: of a destroyed device's only what nobody uses can be moved. */
static bool is_in_use(const struct buffer *b, int got) {
	if (buffer_state.devices[b->device].is_open) {
		return false;
	}
	return model_work_is_pending(b->resv, false) || buffer_state.moving[b->resv] == STUCK ||
		(buffer_state.moving[b->resv] != SETTLED && got == -ETIME);
}

static int move_for(
	struct buffer *b, const struct user *user, const struct buffer_model_seen *seen, int got) {
	if (!buffer_model_is_movable(number_of(b))) {
		return -EBUSY;
	}
	if (is_in_use(b, got)) {
		return -ETIME;
	}
	model_storage_begin_move(b);
	place_as_seen(b, user, seen);
	return 0;
}

/* E-9: whichever error it is. */
static int use_imported(struct buffer *b, const struct user *user, int got) {
	enum known reached = model_storage_reaches(user, b);
	bool refused = got == -EBUSY || got == -ERANGE;
	if (reached == UNKNOWN) {
		learn(b, user, !refused);
		return refused ? got : 0;
	}
	return reached == YES ? 0 : refused ? got : -EBUSY;
}

/* A device uses storage in system memory. */
static int use_system(
	struct buffer *b, const struct user *user, const struct buffer_model_seen *seen, int got) {
	if (b->origin == BUFFER_MODEL_IMPORTED) {
		return use_imported(b, user, got);
	}
	return model_storage_reaches(user, b) == YES ? 0 : move_for(b, user, seen, got);
}

/* E-2. It may be moved for others who are attached, too. */
static int use_local(
	struct buffer *b, const struct user *user, const struct buffer_model_seen *seen, int got) {
	if (user->by_fd || (user->device != NONE && user->device != b->device)) {
		return move_for(b, user, seen, got);
	}
	if (seen->place == BUFFER_MODEL_SYSTEM && !model_storage_is_all_the_owners(b) &&
		buffer_model_is_movable(number_of(b))) {
		return move_for(b, user, seen, got);
	}
	return 0;
}

/* From now on the storage is where this user needs it. 0, -EBUSY, -ERANGE or -ETIME. */
int model_storage_use(
	struct buffer *b, const struct user *user, const struct buffer_model_seen *seen, int got) {
	switch (b->place) {
	case BUFFER_MODEL_NOWHERE:
		place(b, user, seen);
		return 0;
	case BUFFER_MODEL_LOCAL:
		return use_local(b, user, seen, got);
	case BUFFER_MODEL_SYSTEM:
		return user->device == NONE ? 0 : use_system(b, user, seen, got);
	case BUFFER_MODEL_FOREIGN:
		break;
	}
	return user->device == NONE || model_storage_reaches(user, b) == YES ? 0 : -ERANGE;
}

/* T-1: may it attach? */
int model_storage_check(struct buffer *b, const struct user *user, int got) {
	if (b->place == BUFFER_MODEL_NOWHERE || b->place == BUFFER_MODEL_FOREIGN ||
		buffer_model_is_movable(number_of(b))) {
		return 0;
	}
	if (b->origin == BUFFER_MODEL_IMPORTED && model_storage_reaches(user, b) != YES) {
		return got == -EBUSY ? -EBUSY : 0;
	}
	return model_storage_reaches(user, b) == YES ? 0 : -EBUSY;
}
