/* SPDX-License-Identifier: MIT */
#ifndef MODEL_BUFFER_STEPS_H
#define MODEL_BUFFER_STEPS_H

#include <stdbool.h>
#include <stddef.h>

#include "interop-tests/model/buffer_model.h"
#include "interop-tests/model/history.h"

/* The steps that histories of buffers are made of, what they need, and doing them to both sides. */

enum step_kind {
	STEP_OPEN,
	STEP_DESTROY,
	STEP_CREATE,
	STEP_EXPORT,
	STEP_REF,
	STEP_UNREF,
	STEP_ATTACH,
	STEP_DETACH,
	STEP_MAP,
	STEP_UNMAP,
	STEP_PIN,
	STEP_UNPIN,
	STEP_EXPORT_FD,
	STEP_IMPORT_FD,
	STEP_IMPORT,
	STEP_CLOSE,
	STEP_MMAP,
	STEP_VMAP,
	STEP_UNVIEW,
	STEP_POLL,
	STEP_ACCESS,
	STEP_FILL,
	STEP_COPY,
	STEP_FILL_AT,
	STEP_COPY_AT,
	STEP_MOVE,
	STEP_DEFRAGMENT,
	STEP_MISTAKE,
	STEP_CLOSE_GATE,
	STEP_OPEN_GATE,
	STEP_KINDS,
};

/* `how`. */
enum {
	HOW_LOCKED = 1u << 0, /* as is right; or, where that is wrong, as a mistake */
	HOW_MISTAKEN = 1u << 1,
	HOW_POLLS = 1u << 2,
	HOW_RANGE = 1u << 3,
	HOW_LOW = 1u << 4,
	HOW_SINGLE = 1u << 5,
	HOW_VETO = 1u << 6,
	HOW_READ_ONLY = 1u << 7,
	HOW_TWO_PIECES = 1u << 8,
	HOW_DETERMINISTIC = 1u << 9,
	HOW_FAILS = 1u << 10,
};

/* What is wrong. */
enum mistake {
	MISTAKE_MUNMAP, /* of what was never mapped */
	MISTAKE_VUNMAP, /* the same */
	MISTAKE_DETACH, /* of another buffer's attachment */
	MISTAKES,
};

/* How the CPU gets to the bytes. */
enum way {
	WAY_VIEW, /* that there is */
	WAY_MMAP,
	WAY_VMAP,
	WAY_KMAP,
	WAY_FD,
	WAY_OWN, /* the exporter's own */
	WAYS,
};

/** A sort of device. */
struct profile {
	const char *options;
	struct buffer_model_traits traits;
	bool is_cached;
};

enum { PROFILES = 7 };
extern const struct profile profiles[PROFILES];

/** Which devices have, or had, a cache that the CPU does not see. */
extern bool are_cached[BUFFER_MODEL_DEVICES];

/** A wrong answer of the test's own, to see that it is found. */
extern bool lies;

bool is_gate_closed(void);
/** It is made as a mistake. */
bool is_mistaken(const struct history_step *step);
/** The part that a step is about, cut to what there is. */
void cut(const struct history_step *step, size_t limit, size_t *offset, size_t *bytes);
struct buffer_model_op op_of(const struct history_step *step);
size_t bytes_of(int buffer);
/** Of a mapping. */
int map_device(int map);
int map_buffer(int map);

/* ---- When a step makes sense -------------------------------------------------------------- */

bool open_fits(const struct history_step *step);
bool device_fits(const struct history_step *step);
bool destroy_fits(const struct history_step *step);
bool create_fits(const struct history_step *step);
bool export_fits(const struct history_step *step);
bool buffer_fits(const struct history_step *step);
bool unref_fits(const struct history_step *step);
bool attach_fits(const struct history_step *step);
bool attached_fits(const struct history_step *step);
bool map_fits(const struct history_step *step);
bool mapped_fits(const struct history_step *step);
bool pin_fits(const struct history_step *step);
bool unpin_fits(const struct history_step *step);
bool export_fd_fits(const struct history_step *step);
bool import_fd_fits(const struct history_step *step);
bool import_fits(const struct history_step *step);
bool fd_fits(const struct history_step *step);
bool view_fits(const struct history_step *step);
bool unview_fits(const struct history_step *step);
bool access_fits(const struct history_step *step);
bool work_fits(const struct history_step *step);
bool fill_at_fits(const struct history_step *step);
bool copy_at_fits(const struct history_step *step);
bool move_fits(const struct history_step *step);
bool mistake_fits(const struct history_step *step);
bool close_gate_fits(const struct history_step *step);
bool open_gate_fits(const struct history_step *step);

/* ---- Doing it ----------------------------------------------------------------------------- */

void do_open(const struct history_step *step);
void do_destroy(const struct history_step *step);
void do_create(const struct history_step *step);
void do_export(const struct history_step *step);
void do_ref(const struct history_step *step);
void do_unref(const struct history_step *step);
void do_attach(const struct history_step *step);
void do_detach(const struct history_step *step);
void do_map(const struct history_step *step);
void do_unmap(const struct history_step *step);
void do_pin(const struct history_step *step);
void do_unpin(const struct history_step *step);
void do_export_fd(const struct history_step *step);
void do_import_fd(const struct history_step *step);
void do_import(const struct history_step *step);
void do_close(const struct history_step *step);
void do_mmap(const struct history_step *step);
void do_vmap(const struct history_step *step);
void do_unview(const struct history_step *step);
void do_poll(const struct history_step *step);
void do_access(const struct history_step *step);
void do_work(const struct history_step *step);
void do_fill_at(const struct history_step *step);
void do_copy_at(const struct history_step *step);
void do_mistake(const struct history_step *step);
void do_move(const struct history_step *step);
void do_defragment(const struct history_step *step);
void do_close_gate(const struct history_step *step);
void do_open_gate(const struct history_step *step);

#endif
