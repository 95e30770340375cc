/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_COMMAND_H
#define BACKENDS_SWGPU_COMMAND_H

/*
 * What the commands have in common: being recorded (list.c), and reaching the planes of images
 * (plane.c). Each sort of command is in a file of its own, with a struct that begins with a struct
 * command.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/swgpu_list.h>

#include "backends/swgpu/bus.h"
#include "backends/swgpu/list.h"
#include "backends/swgpu/tile.h"
#include "src/image.h"

/** What a command is executed with; see list_execute(). */
struct execution {
	const struct stile_swgpu_list *list;
	const uint32_t *stop;
	struct bus_fault *fault;
};

/** 0; -ECANCELED: stop. */
static inline int execution_check(const struct execution *execution) {
	return __atomic_load_n(execution->stop, __ATOMIC_RELAXED) != 0 ? -ECANCELED : 0;
}

/** A sort of command. */
struct command_type {
	const char *name;
	/** As list_execute(). */
	int (*execute)(const struct execution *execution, const struct command *command);
};

struct command {
	const struct command_type *type;
	struct command *next;
	struct stile_image *images[STILE_SWGPU_MAX_IMAGES]; /* references */
	size_t image_count;
};

/* ---- Recording: list.c ---------------------------------------------------------------------- */

/** A plane that a command uses. Its buffers are kept by the list. */
struct operand {
	struct image_plane plane;
	size_t use;      /* of the list */
	size_t meta_use; /* if plane.has_meta */
};

/** A command that is being recorded: the list knows nothing of it before record_end(). */
struct record {
	struct stile_swgpu_list *list;
	struct command *command;
	size_t use_count; /* of the list, before */
	size_t count;
	struct {
		size_t use;
		uint32_t usage;
	} uses[STILE_SWGPU_MAX_IMAGES * STILE_MAX_PLANES];
};

/** Begin: gives zeroed memory that begins with a struct command, or NULL. */
void *record_begin(struct record *record, struct stile_swgpu_list *list,
	const struct command_type *type, size_t bytes);
/** May the device use the image so, and does it take it? Kept alive. 0, -EACCES, -EOPNOTSUPP. */
int record_image(struct record *record, struct stile_image *image, uint32_t usage);
/** A plane of one of them. 0, -EINVAL: there is no such plane, or as record_buffer(). */
int record_plane(struct record *record, struct stile_image *image, uint32_t plane, uint32_t usage,
	struct operand *out);
/** A buffer, kept alive. 0, -EACCES, or as stile_buffer_attach(). */
int record_buffer(struct record *record, struct stile_buffer *buffer, uint32_t usage, size_t *use);
/** The command is in the list if `ret` is 0, else it is gone, and all is as before. Gives `ret`. */
int record_end(struct record *record, int ret);

/* ---- Reaching planes: plane.c --------------------------------------------------------------- */

/** A part of a plane: samples and rows. */
struct area {
	uint32_t x, y;
	uint32_t width, height;
};

/** False: the rectangle is empty, or not within the image. */
bool area_of_rect(
	const struct stile_swgpu_rect *rect, const struct stile_image_info *info, struct area *out);
/** All of it. */
struct area area_of_plane(const struct image_plane *plane);

/** How many tiles of a tiled plane are side by side. */
uint32_t plane_get_tiles(const struct image_plane *plane);

/** A part of a plane that is being touched. */
struct view {
	const struct execution *execution;
	const struct operand *operand;
	struct area area;
	uint32_t access; /* BUS_READ, BUS_WRITE */
	struct bus_window window;
	struct bus_window meta;
	struct tiled_plane tiled; /* if it is; its rows begin at: */
	uint32_t first_row;
	bool in_place;    /* view_get() gives the memory itself; else a copy, */
	uint8_t *scratch; /* here */
	size_t scratch_bytes;
};

/** Rows of an area, as linear memory: the first byte is of the area's first sample. */
struct rows {
	uint8_t *memory;
	size_t pitch;
};

/**
 * Begin to touch an area. With BUS_WRITE alone, every sample of it has to be written. 0, -EFAULT,
 * -ENOMEM.
 */
int view_open(struct view *view, const struct execution *execution, const struct operand *operand,
	const struct area *area, uint32_t access);
/** What was written is where it belongs. A view that is all zero is ignored. */
void view_close(struct view *view);

/** All rows of a linear plane's area, where they are. */
struct rows view_get_all(const struct view *view);

/** Rows [first, first + count) of the area, to or from other memory, which does not overlap. */
void view_read(const struct view *view, uint32_t first, uint32_t count, const struct rows *to);
void view_write(const struct view *view, uint32_t first, uint32_t count, const struct rows *from);
void view_fill(const struct view *view, uint32_t first, uint32_t count, uint32_t value);

/**
 * Rows as linear memory, until the next call: with what is there, if the access has BUS_READ. 0 or
 * -ENOMEM.
 */
int view_get(struct view *view, uint32_t first, uint32_t count, struct rows *rows);
/** The rows that were got last have been written. */
void view_put(const struct view *view, uint32_t first, uint32_t count, const struct rows *rows);

/**
 * How many rows, from `first` on, to touch before looking whether to stop: about a MiB, up to where a
 * row of tiles ends, or the area.
 */
uint32_t view_get_step(const struct view *view, uint32_t first);

static inline bool view_is_tiled(const struct view *view) {
	return view->operand->plane.tiling != NULL;
}

/** Bytes of one row of the area. */
static inline size_t view_row_bytes(const struct view *view) {
	return (size_t)view->area.width * view->operand->plane.sample_bytes;
}

/* ---- Bytes: span.c -------------------------------------------------------------------------- */

/** Set rows of samples of 1, 2 or 4 bytes, which are aligned to them. */
void span_fill_rows(const struct rows *to, size_t row_bytes, uint32_t rows, uint32_t value,
	uint32_t sample_bytes);

/** Copy rows of bytes. Each may overlap itself, as with memmove(). */
void span_copy_rows(
	const struct rows *to, const struct rows *from, size_t row_bytes, uint32_t rows);
/** The same for as much as there may be. 0 or -ECANCELED. */
int span_copy_all(const struct execution *execution, const struct rows *to, const struct rows *from,
	size_t row_bytes, uint32_t rows);

#endif
