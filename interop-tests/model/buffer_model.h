/* SPDX-License-Identifier: MIT */
#ifndef MODEL_BUFFER_MODEL_H
#define MODEL_BUFFER_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What buffers have to do that move: the rules B-.., T-.., P-.. and D-.. of docs/kernel-contract.md and
 * what <stile/buffer.h>, <stile/attachment.h>, <stile/exporter.h> and <stile/swgpu_test.h> say, written
 * down once more, slowly and plainly. One thread, no Stile.
 *
 * Devices, buffers, attachments, mappings, views of the CPU and descriptors are small numbers, chosen
 * by the caller. A buffer's number is that of its memory: it stays as long as there is the object or a
 * descriptor. Where a rule leaves something open, the answer of the library is an argument, `got` or
 * `seen`; what comes back differs from it only if it is wrong all the same.
 *
 * Where the headers are silent, the model has what a user would expect:
 *
 * E-1  Storage suits the device that made the buffer, whether that is attached or not.
 * E-2  Storage in the device's own memory stays there for the CPU. There, it serves attachments of
 *      that device alone, and may go on doing so until another one maps.
 * E-3  Where that memory is full, storage is in system memory: no error.
 * E-4  To pin is to map, as for where the storage is.
 * E-5  What is left of pins goes with the attachment.
 * E-6  A destroyed device's attachments can be mapped, and its buffers be moved, but not while somebody
 *      uses them: they stay valid.
 * E-7  Bytes survive moves whatever becomes of the fences that the move waits for.
 * E-8  Work of devices sees what work that it waited for has written, whatever cache either has.
 * E-9  What came by descriptor is where it is: nobody can say which devices reach it before they try.
 */
enum {
	BUFFER_MODEL_DEVICES = 4,
	BUFFER_MODEL_BUFFERS = 6,
	BUFFER_MODEL_RESVS = 2, /* that buffers share; all others have their own */
	BUFFER_MODEL_ATTACHMENTS = 10,
	BUFFER_MODEL_MAPS = 10,
	BUFFER_MODEL_VIEWS = 6,
	BUFFER_MODEL_FDS = 5,
	BUFFER_MODEL_OPS = 12, /* work that waits for the gate */
	BUFFER_MODEL_PAGE = 4096,
	BUFFER_MODEL_PAGES = 4,
	BUFFER_MODEL_BYTES = BUFFER_MODEL_PAGE * BUFFER_MODEL_PAGES,
	BUFFER_MODEL_NONE = -1,
};

enum { BUFFER_MODEL_READ = 1, BUFFER_MODEL_WRITE = 2, BUFFER_MODEL_BOTH = 3 };

enum buffer_model_direction {
	BUFFER_MODEL_BIDIRECTIONAL,
	BUFFER_MODEL_TO_DEVICE,
	BUFFER_MODEL_FROM_DEVICE,
	BUFFER_MODEL_NO_DIRECTION,
};

enum buffer_model_place {
	BUFFER_MODEL_NOWHERE,
	BUFFER_MODEL_SYSTEM,
	BUFFER_MODEL_LOCAL,
	BUFFER_MODEL_FOREIGN,
};

enum buffer_model_origin {
	BUFFER_MODEL_CREATED,
	BUFFER_MODEL_IMPORTED, /* by descriptor, after the first object was gone */
	/* By an application's exporter. */
	BUFFER_MODEL_PLAIN, /* pins; no descriptors, no access by the CPU */
	BUFFER_MODEL_FILE,  /* no pins; all the rest, and it may refuse attachments */
};

enum buffer_model_manner {
	BUFFER_MODEL_STATIC,
	BUFFER_MODEL_DYNAMIC, /* hears of moves */
	BUFFER_MODEL_DEAF,    /* dynamic, without the callback */
};

/** What memory has to be like for a device. */
struct buffer_model_needs {
	bool low;    /* below 4 GiB */
	bool single; /* in one piece */
};

struct buffer_model_traits {
	struct buffer_model_needs needs;
	bool has_iommu;     /* whatever memory is like, the device sees it as it needs it */
	bool has_local;     /* memory of its own */
	unsigned frame_run; /* pages that its system memory comes in; 0: one piece */
};

/** What the library did where that is left open. */
struct buffer_model_seen {
	enum buffer_model_place place; /* where the storage is afterwards */
	bool has_room;                 /* the device's own memory had room before */
};

/** How often an application's exporter is called, for what others than the devices do. */
struct buffer_model_calls {
	unsigned attach, detach, pin, unpin, map, unmap, begin, end;
	unsigned mmap, munmap, vmap, vunmap, export_fd;
};

enum buffer_model_op_kind { BUFFER_MODEL_FILL, BUFFER_MODEL_COPY };

/** What a device does to buffers. */
struct buffer_model_op {
	enum buffer_model_op_kind kind;
	int device;
	int to, from; /* from: of a copy only */
	size_t to_offset, from_offset, bytes;
	uint32_t value; /* of a fill: four bytes, the lowest first */
};

/** Begin a new world: there is nothing. */
void buffer_model_reset(void);

/* ---- Devices ------------------------------------------------------------------------------ */

void buffer_model_open(int device, const struct buffer_model_traits *traits);
/** What waits for the gate in its queues is given up. */
void buffer_model_destroy(int device);
bool buffer_model_is_open(int device);
/** Nothing knows it any more: the number may be used again. */
bool buffer_model_is_device_free(int device);
const struct buffer_model_traits *buffer_model_get_traits(int device);

/* ---- Buffers ------------------------------------------------------------------------------ */

/** `resv` may be BUFFER_MODEL_NONE: its own. */
void buffer_model_create(int buffer, int device, size_t bytes, int resv);
/** An application's; `pieces` is what its memory is in. All bytes are 0. */
void buffer_model_export(int buffer, enum buffer_model_origin origin, size_t bytes, uint32_t usage,
	unsigned pieces, int resv);
void buffer_model_ref(int buffer);
void buffer_model_unref(int buffer);
/** There is memory of this number. */
bool buffer_model_is_known(int buffer);
/** There is the object. */
bool buffer_model_is_alive(int buffer);
/** How many references are the user's. */
int buffer_model_refs(int buffer);
int buffer_model_alive_count(void);
size_t buffer_model_bytes(int buffer);
uint32_t buffer_model_usage(int buffer);
enum buffer_model_origin buffer_model_origin(int buffer);
int buffer_model_device(int buffer);
int buffer_model_resv(int buffer);
enum buffer_model_place buffer_model_place(int buffer);
bool buffer_model_is_movable(int buffer);
const uint8_t *buffer_model_contents(int buffer);
const struct buffer_model_calls *buffer_model_calls(int buffer);
/** Pins were called for somebody of whom no rule says whether they are. */
bool buffer_model_has_loose_pins(int buffer);
/** What all attachments need together. */
struct buffer_model_needs buffer_model_get_needs(int buffer);

/* ---- Attachments -------------------------------------------------------------------------- */

/** 0, -EINVAL, -EACCES, -EBUSY or `veto`, the exporter's answer. */
int buffer_model_attach(int attachment, int buffer, int device, enum buffer_model_manner manner,
	uint32_t usage, struct buffer_model_needs needs, int veto, int got);
void buffer_model_detach(int attachment);
bool buffer_model_is_attached(int attachment);
int buffer_model_attachment_buffer(int attachment);
int buffer_model_attachment_device(int attachment);
enum buffer_model_manner buffer_model_attachment_manner(int attachment);
uint32_t buffer_model_attachment_usage(int attachment);
int buffer_model_pins(int attachment);
/** What it and its device need together. */
struct buffer_model_needs buffer_model_attachment_needs(int attachment);
/** How often move_notify was called. */
unsigned buffer_model_notified(int attachment);
/** Does the device use the buffer by itself, as it does from the first work on? */
bool buffer_model_has_device(int buffer, int device);
/** Work was refused: one of its buffers may have got to know the device. */
void buffer_model_see_device(int buffer, int device, bool has);

/**
 * `polls`: nothing is waited for. 0, -EINVAL, -EACCES, -EBUSY, -ERANGE or -ETIME.
 */
int buffer_model_map(int map, int attachment, enum buffer_model_direction direction, bool polls,
	struct buffer_model_seen seen, int got);
void buffer_model_unmap(int map);
bool buffer_model_is_mapped(int map);
int buffer_model_map_attachment(int map);
enum buffer_model_direction buffer_model_map_direction(int map);
/** The storage has moved since. */
bool buffer_model_is_stale(int map);
/** A device's access by the mapping's addresses: 0 or -EFAULT. */
int buffer_model_access(int map, uint32_t usage);
/** Does something else give the device the same memory? */
bool buffer_model_is_shared_map(int map);

/** 0, -EINVAL, -EBUSY, -ERANGE or -ETIME. */
int buffer_model_pin(int attachment, struct buffer_model_seen seen, int got);
void buffer_model_unpin(int attachment);

/* ---- Descriptors -------------------------------------------------------------------------- */

/** 0, -EINVAL, -EACCES, -EOPNOTSUPP or -EBUSY. `writable`: what came is. */
int buffer_model_export_fd(
	int fd, int buffer, uint32_t usage, bool writable, struct buffer_model_seen seen, int got);
/** 0, -EINVAL or -EACCES. */
int buffer_model_import_fd(int fd, int device, uint32_t usage);
int buffer_model_import(int buffer, uint32_t usage);
void buffer_model_close(int fd);
bool buffer_model_is_fd(int fd);
int buffer_model_fd_buffer(int fd);
bool buffer_model_fd_is_writable(int fd);

/* ---- The CPU ------------------------------------------------------------------------------ */

/** Pages; 0 pages: all. 0, -EINVAL or -EACCES. */
int buffer_model_mmap(int view, int buffer, uint32_t usage, size_t first, size_t pages,
	struct buffer_model_seen seen);
int buffer_model_vmap(int view, int buffer, struct buffer_model_seen seen, int got);
/** munmap or vunmap. */
void buffer_model_unview(int view);
bool buffer_model_is_view(int view);
bool buffer_model_is_vmap(int view);
int buffer_model_view_buffer(int view);
uint32_t buffer_model_view_usage(int view);
/** Which bytes of the buffer it shows. */
size_t buffer_model_view_offset(int view);
size_t buffer_model_view_bytes(int view);

/** 0, -EINVAL or -ETIME: there is work, and nobody waits. */
int buffer_model_begin(int buffer, uint32_t usage, bool polls, int got);
void buffer_model_end(int buffer);
/** What was written: bytes that follow from `value`. */
void buffer_model_write(int buffer, size_t offset, size_t bytes, uint32_t value);
uint8_t buffer_model_pattern(size_t place, uint32_t value);

/* ---- Work --------------------------------------------------------------------------------- */

/** 0: it will be executed; -EACCES, -EBUSY, -ERANGE, -ETIME. `seen` of op->to and op->from. */
int buffer_model_submit(
	const struct buffer_model_op *op, const struct buffer_model_seen seen[2], int got);
/** False: if it is refused, nobody can say what has happened to the other buffer. */
bool buffer_model_is_clear(const struct buffer_model_op *op);
/** It was, at once. */
void buffer_model_apply(const struct buffer_model_op *op);

/** From now on all work waits. */
void buffer_model_close_gate(void);
bool buffer_model_is_gate_closed(void);
size_t buffer_model_op_count(void);
/** Work was given up: its status. 0: it was not. */
int buffer_model_op_status(size_t op);
/** It is open, or ended with an error: what has become of this work? In their order. */
int buffer_model_finish(size_t op, int gate_error, int got);
void buffer_model_open_gate(void);

/** Something waits for the gate that uses the memory, in this way; a move of the storage does. */
bool buffer_model_is_busy(int buffer, uint32_t usage);
bool buffer_model_is_moving(int buffer);
/** All moves were waited for. */
void buffer_model_settle(int buffer);

/** An application moves its memory: 0 or -EBUSY. */
int buffer_model_move(int buffer);
/** These were moved within the device's own memory: false, if not all of that can be. */
bool buffer_model_defragment(int device, int count, const bool *moved);

/** Mistakes of the user's that have to be told, and those that may be. */
unsigned buffer_model_told(void);
unsigned buffer_model_perhaps_told(void);
/** One that changes nothing else; the checker may say more. */
void buffer_model_tell(void);

#endif
