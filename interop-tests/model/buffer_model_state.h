/* SPDX-License-Identifier: MIT */
#ifndef MODEL_BUFFER_MODEL_STATE_H
#define MODEL_BUFFER_MODEL_STATE_H

#include <stdlib.h>

#include "interop-tests/model/buffer_model.h"

/* What the model knows, for its own files alone. */

enum {
	DEVICES = BUFFER_MODEL_DEVICES,
	BUFFERS = BUFFER_MODEL_BUFFERS,
	RESVS = BUFFER_MODEL_RESVS,
	ATTACHMENTS = BUFFER_MODEL_ATTACHMENTS,
	MAPS = BUFFER_MODEL_MAPS,
	VIEWS = BUFFER_MODEL_VIEWS,
	FDS = BUFFER_MODEL_FDS,
	OPS = BUFFER_MODEL_OPS,
	PAGE = BUFFER_MODEL_PAGE,
	NONE = BUFFER_MODEL_NONE,
};

/* An answer that may not be known. */
enum known { NO, YES, UNKNOWN };

/* Is storage being moved that belongs to a reservation? */
enum moving {
	SETTLED,
	MOVING,       /* perhaps, for a moment */
	MAY_BE_STUCK, /* perhaps until the gate is open: moves may wait for each other */
	STUCK,
};

struct device {
	bool is_open;
	struct buffer_model_traits traits;
};

/* Who needs the storage: a device, a descriptor, or else the CPU. */
struct user {
	int device; /* NONE: no device */
	struct buffer_model_needs needs;
	bool by_fd;
};

struct buffer {
	bool is_known, is_alive;
	enum buffer_model_origin origin;
	int device; /* NONE: an application's */
	int resv;
	uint32_t usage;
	size_t bytes;
	uint8_t contents[BUFFER_MODEL_BYTES];
	int refs, list_refs;

	enum buffer_model_place place;
	enum known low, single; /* of storage in system memory, or an application's */
	unsigned generation;
	bool is_shown;

	bool has_device[DEVICES];
	bool has_loose_pins;
	struct buffer_model_calls calls;
};

struct attachment {
	int buffer; /* NONE: there is none */
	int device;
	enum buffer_model_manner manner;
	uint32_t usage;
	struct buffer_model_needs needs;
	int pins;
	unsigned notified;
};

struct map {
	int attachment; /* NONE: there is none */
	enum buffer_model_direction direction;
	unsigned generation;
};

struct view {
	int buffer; /* NONE: there is none */
	bool is_vmap;
	uint32_t usage;
	size_t offset, bytes;
};

struct fd {
	int buffer; /* NONE: there is none */
	bool is_writable;
};

struct pending {
	struct buffer_model_op op;
	int status; /* of what was given up; 0: it waits */
	bool is_dropped;
};

struct buffer_state {
	struct device devices[DEVICES];
	struct buffer buffers[BUFFERS];
	struct attachment attachments[ATTACHMENTS];
	struct map maps[MAPS];
	struct view views[VIEWS];
	struct fd fds[FDS];

	/* Those that are shared, then each buffer's own. */
	enum moving moving[RESVS + BUFFERS];

	bool gate_closed;
	size_t op_count;
	struct pending ops[OPS];
	unsigned told, perhaps_told;
};

extern struct buffer_state buffer_state;

static inline void require(bool ok) {
	if (!ok) {
		abort();
	}
}

static inline struct buffer *at(int buffer) {
	return &buffer_state.buffers[buffer];
}

static inline int number_of(const struct buffer *b) {
	return (int)(b - buffer_state.buffers);
}

static inline int misuse(int error) {
	buffer_state.told++;
	return error;
}

/* An error of which no header says whether it is a misuse. */
static inline int refusal(int error) {
	buffer_state.perhaps_told++;
	return error;
}

static inline bool is_usage(uint32_t usage) {
	return usage != 0 && (usage & ~(uint32_t)BUFFER_MODEL_BOTH) == 0;
}

static inline bool allows(uint32_t rights, uint32_t usage) {
	return (usage & ~rights) == 0;
}

static inline bool model_buffer_is_own(const struct buffer *b) {
	return b->origin == BUFFER_MODEL_PLAIN || b->origin == BUFFER_MODEL_FILE;
}

/* ---- buffer_model.c ----------------------------------------------------------------------- */

/** B-4: views are references, and so is work. It goes, if it was the last one. */
void model_buffer_drop(struct buffer *b);
int model_view_count(const struct buffer *b);

/* ---- buffer_model_storage.c --------------------------------------------------------------- */

/** Can the device use the storage where it is? */
enum known model_storage_reaches(const struct user *user, const struct buffer *b);
/** From now on the storage is where this user needs it. 0, -EBUSY, -ERANGE or -ETIME. */
int model_storage_use(
	struct buffer *b, const struct user *user, const struct buffer_model_seen *seen, int got);
/** T-1: may it attach? 0 or -EBUSY. */
int model_storage_check(struct buffer *b, const struct user *user, int got);
/** Is every attachment the device's? */
bool model_storage_is_all_the_owners(const struct buffer *b);
/** T-8: the move's fence is the reservation's, and all before it go first. */
void model_storage_begin_move(struct buffer *b);
void model_storage_note_moving(struct buffer *b, enum moving now);

/* ---- buffer_model_attach.c ---------------------------------------------------------------- */

int model_map_count(int attachment);
/** With its mappings. */
void model_attachment_drop(int attachment);

/* ---- buffer_model_work.c ------------------------------------------------------------------ */

/** A device that uses a buffer by itself. */
struct user model_user_device(int device);
/** Does work wait for the gate that uses the reservation? */
bool model_work_is_pending(int resv, bool writes_only);

#endif
