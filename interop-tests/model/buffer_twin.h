/* SPDX-License-Identifier: MIT */
#ifndef MODEL_BUFFER_TWIN_H
#define MODEL_BUFFER_TWIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stile/attachment.h>
#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/resv.h>
#include <stile/sg.h>

#include "interop-tests/model/buffer_model.h"

/*
 * The library's side of a world of buffers: what it made for each number of buffer_model.h, and comparing
 * the two.
 */
enum {
	DEVICES = BUFFER_MODEL_DEVICES,
	BUFFERS = BUFFER_MODEL_BUFFERS,
	RESVS = BUFFER_MODEL_RESVS,
	ATTACHMENTS = BUFFER_MODEL_ATTACHMENTS,
	MAPS = BUFFER_MODEL_MAPS,
	VIEWS = BUFFER_MODEL_VIEWS - 1,
	PASSING = BUFFER_MODEL_VIEWS - 1, /* the view of one step */
	FDS = BUFFER_MODEL_FDS,
	OPS = BUFFER_MODEL_OPS,
	PAGE = BUFFER_MODEL_PAGE,
	NONE = BUFFER_MODEL_NONE,
};

/** An attachment of ours: its `priv`. */
struct importer {
	struct stile_attachment *attachment;
	struct stile_device *device;
	unsigned notified;
};

/** What a mapping's addresses were at first. */
struct mapping {
	const struct stile_sg *sg;
	size_t count;
	struct stile_sg_segment segments[BUFFER_MODEL_PAGES];
};

extern struct stile_device *devices[DEVICES];
extern struct stile_buffer *buffers[BUFFERS];
extern struct stile_resv resvs[RESVS];
extern struct importer importers[ATTACHMENTS];
extern struct mapping mappings[MAPS];
extern struct stile_map views[VIEWS + 1]; /* of an mmap: the address only */
extern int fds[FDS];
extern struct stile_fence *gate;
extern struct stile_fence *op_fences[OPS];

/** For those that hear of moves: counts them. */
extern const struct stile_importer_ops hearing;

/** Begin: complaints are counted from now on. */
void twin_begin(void);

void same(int64_t got, int64_t wanted, const char *what, int number);
/** It has to be 0. */
void must(int ret, const char *what);
/** When it has ended: 0 or its error. */
int status_of(struct stile_fence *fence);
/** Will it be so, when all have done what they can? */
bool until(bool (*done)(void));

void lock(int buffer);
void unlock(int buffer);
/** We have a reference. */
bool is_usable(int buffer);
/** It is an application's. */
bool is_own(int buffer);

/** Has its device's own memory room for it, and for so many bytes more? */
bool has_room(int buffer, size_t more);
/** What was left open; `had_room`: before the call. */
struct buffer_model_seen see(int buffer, bool had_room);
/** How often its importers were told of moves. */
unsigned count_notified(int buffer);
/** Who is attached, by number, and which devices by themselves. Locked. */
void list_attached(int buffer, bool ours[ATTACHMENTS], bool of_devices[DEVICES]);

void compare_bytes(int buffer, size_t offset, size_t bytes, const uint8_t *got);
/** All that can be seen without changing anything. */
void compare_world(void);

#endif
