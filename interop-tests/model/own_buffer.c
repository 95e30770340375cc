/* SPDX-License-Identifier: MIT */
#include "interop-tests/model/own_buffer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stile/exporter.h>

#include "interop-tests/model/history.h"

enum {
	PAGE = BUFFER_MODEL_PAGE,
	MAX_PIECES = 2,
	MAX_TABLES = 64, /* mapped at the same time, by whomever */
	MAX_PATH = 64,
};

/* Where the bytes are: there as long as it is the buffer's memory, or a table is of it. */
struct memory {
	int refs;
	uint8_t *area;
	size_t area_bytes, count;
	struct piece {
		uint8_t *at;
		size_t bytes;
	} pieces[MAX_PIECES];
};

struct own {
	int number;
	size_t bytes; /* whole pages */
	unsigned pieces;
	bool shares_resv;
	struct memory *memory;
	int fd;        /* of a FILE */
	uint8_t *view; /* of all of it */

	/* By whomever; with the reservation locked, or by atomic access. */
	struct table {
		struct stile_sg *sg; /* NULL: free */
		struct memory *memory;
	} tables[MAX_TABLES];
	int pins, attachments, mmaps, vmaps;
};

struct own_buffer own_buffers[BUFFER_MODEL_BUFFERS];
int own_buffer_veto;
bool own_buffer_has_threads;
bool (*own_buffer_is_counted)(const void *priv);

static struct own *owns[BUFFER_MODEL_BUFFERS];

static void require(bool ok, const char *what) {
	if (!ok) {
		history_differ("an application's exporter: %s", what);
	}
}

static struct own *own_of(const struct stile_buffer *buffer) {
	return stile_buffer_get_priv(buffer);
}

static struct own *own_at(const struct stile_attachment *attachment) {
	return own_of(stile_attachment_get_buffer(attachment));
}

static struct buffer_model_calls *calls_of(const struct stile_attachment *attachment) {
	static _Thread_local struct buffer_model_calls of_devices;
	return own_buffer_is_counted(stile_attachment_get_priv(attachment))
		? &own_buffers[own_at(attachment)->number].calls
		: &of_devices;
}

static void require_locked(const struct stile_buffer *buffer) {
	require(stile_resv_is_locked(stile_buffer_get_resv(buffer)), "called without the lock");
}

/* Where nobody else can have locked it. */
static void require_unlocked(const struct stile_buffer *buffer) {
	require(own_buffer_has_threads || own_of(buffer)->shares_resv ||
			!stile_resv_is_locked(stile_buffer_get_resv(buffer)),
		"called with the lock");
}

/* ---- Memory ------------------------------------------------------------------------------- */

/* Room for twice as much, so that the first piece can be behind the second one. */
static struct memory *memory_create(const struct own *own) {
	struct memory *memory = calloc(1, sizeof(*memory));
	require(memory != NULL, "no memory");
	size_t first = own->pieces == 1 ? own->bytes : PAGE;
	memory->refs = 1;
	memory->area_bytes = 2 * own->bytes;
	memory->area = mmap(NULL, memory->area_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(memory->area != MAP_FAILED, "no memory");
	memory->count = own->pieces;
	memory->pieces[0] = (struct piece){ memory->area + own->bytes, first };
	memory->pieces[1] = (struct piece){ memory->area, own->bytes - first };
	return memory;
}

static void memory_unref(struct memory *memory) {
	if (--memory->refs == 0) {
		munmap(memory->area, memory->area_bytes);
		free(memory);
	}
}

/* The same bytes, one piece after the other. */
static void memory_show_file(struct memory *memory, int fd) {
	off_t offset = 0;
	for (size_t i = 0; i < memory->count; i++) {
		void *at = mmap(memory->pieces[i].at, memory->pieces[i].bytes,
			PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset);
		require(at == memory->pieces[i].at, "no memory");
		offset += (off_t)memory->pieces[i].bytes;
	}
}

static uint8_t *memory_byte(const struct memory *memory, size_t offset) {
	size_t first = memory->pieces[0].bytes;
	return offset < first ? memory->pieces[0].at + offset
			      : memory->pieces[1].at + (offset - first);
}

void own_buffer_read(int number, size_t offset, size_t bytes, uint8_t *to) {
	for (size_t i = 0; i < bytes; i++) {
		to[i] = *memory_byte(owns[number]->memory, offset + i);
	}
}

void own_buffer_write(int number, size_t offset, size_t bytes, const uint8_t *from) {
	for (size_t i = 0; i < bytes; i++) {
		*memory_byte(owns[number]->memory, offset + i) = from[i];
	}
}

void own_buffer_move(int number, struct stile_buffer *buffer) {
	struct own *own = owns[number];
	struct memory *memory = memory_create(own);
	stile_buffer_move_notify(buffer);
	for (size_t i = 0; i < own->bytes; i++) {
		*memory_byte(memory, i) = *memory_byte(own->memory, i);
	}
	memory_unref(own->memory);
	own->memory = memory;
}

/* ---- Ops of both -------------------------------------------------------------------------- */

static struct table *find_table(struct own *own, const struct stile_sg *sg) {
	struct table *table = own->tables;
	while (table < own->tables + MAX_TABLES && table->sg != sg) {
		table++;
	}
	require(table < own->tables + MAX_TABLES, "no such table");
	return table;
}

static struct stile_sg *make_table(const struct memory *memory) {
	struct stile_sg *sg;
	require(stile_sg_create(&sg) == 0, "stile_sg_create");
	for (size_t i = 0; i < memory->count; i++) {
		const struct piece *piece = &memory->pieces[i];
		struct stile_sg_range range = { piece->at, STILE_ADDRESS_UNKNOWN, piece->bytes };
		require(stile_sg_append(sg, &range) == 0, "stile_sg_append");
	}
	return sg;
}

static int own_map(struct stile_attachment *attachment, enum stile_direction direction,
	struct stile_sg **out) {
	struct own *own = own_at(attachment);
	struct stile_sg *sg = make_table(own->memory);
	require_locked(stile_attachment_get_buffer(attachment));
	calls_of(attachment)->map++;
	int ret = stile_sg_map(sg, stile_attachment_get_device(attachment), direction);
	if (ret != 0) {
		stile_sg_destroy(sg);
		return ret;
	}
	*find_table(own, NULL) = (struct table){ sg, own->memory };
	own->memory->refs++;
	*out = sg;
	return 0;
}

static void own_unmap(
	struct stile_attachment *attachment, struct stile_sg *sg, enum stile_direction direction) {
	struct table *table = find_table(own_at(attachment), sg);
	require_locked(stile_attachment_get_buffer(attachment));
	calls_of(attachment)->unmap++;
	stile_sg_unmap(sg, direction);
	stile_sg_destroy(sg);
	memory_unref(table->memory);
	table->sg = NULL;
}

/* B-4: nothing is left of all that began. */
static void own_release(struct stile_buffer *buffer) {
	struct own *own = own_of(buffer);
	bool has_tables = false;
	require_unlocked(buffer);
	for (size_t i = 0; i < MAX_TABLES; i++) {
		has_tables = has_tables || own->tables[i].sg != NULL;
	}
	require(!has_tables, "released while it is mapped");
	require(own->pins == 0, "released while it is pinned");
	require(own->attachments == 0, "released while somebody is attached");
	require(own->mmaps == 0 && own->vmaps == 0, "released while the CPU has it mapped");
	memory_unref(own->memory);
	if (own->fd >= 0) {
		munmap(own->view, own->bytes);
		close(own->fd);
	}
	__atomic_store_n(&own_buffers[own->number].is_released, true, __ATOMIC_RELEASE);
	free(own);
}

/* ---- Ops of the one that pins ------------------------------------------------------------- */

static int own_pin(struct stile_attachment *attachment) {
	require_locked(stile_attachment_get_buffer(attachment));
	calls_of(attachment)->pin++;
	own_at(attachment)->pins++;
	return 0;
}

static void own_unpin(struct stile_attachment *attachment) {
	require_locked(stile_attachment_get_buffer(attachment));
	calls_of(attachment)->unpin++;
	own_at(attachment)->pins--;
}

/* ---- Ops of the one with a file ----------------------------------------------------------- */

static int own_attach(struct stile_buffer *buffer, struct stile_attachment *attachment,
	struct stile_report *why) {
	(void)why;
	require_unlocked(buffer);
	bool counted = own_buffer_is_counted(stile_attachment_get_priv(attachment));
	calls_of(attachment)->attach++;
	if (counted && own_buffer_veto != 0) {
		return own_buffer_veto;
	}
	__atomic_add_fetch(&own_of(buffer)->attachments, 1, __ATOMIC_RELAXED);
	return 0;
}

static void own_detach(struct stile_buffer *buffer, struct stile_attachment *attachment) {
	require_unlocked(buffer);
	calls_of(attachment)->detach++;
	__atomic_sub_fetch(&own_of(buffer)->attachments, 1, __ATOMIC_RELAXED);
}

static void note_access(const struct stile_buffer *buffer, enum stile_direction direction,
	uint64_t offset, uint64_t bytes) {
	struct own_buffer *seen = &own_buffers[own_of(buffer)->number];
	require_unlocked(buffer);
	seen->direction = (int)direction;
	seen->offset = offset;
	seen->bytes = bytes;
}

static int own_begin(struct stile_buffer *buffer, enum stile_direction direction, uint64_t offset,
	uint64_t bytes) {
	note_access(buffer, direction, offset, bytes);
	own_buffers[own_of(buffer)->number].calls.begin++;
	return 0;
}

static int own_end(struct stile_buffer *buffer, enum stile_direction direction, uint64_t offset,
	uint64_t bytes) {
	note_access(buffer, direction, offset, bytes);
	own_buffers[own_of(buffer)->number].calls.end++;
	return 0;
}

static int own_mmap(struct stile_buffer *buffer, uint32_t usage, uint64_t offset, uint64_t bytes,
	void **address) {
	struct own *own = own_of(buffer);
	int protection = (usage & STILE_USAGE_READ ? PROT_READ : 0) |
		(usage & STILE_USAGE_WRITE ? PROT_WRITE : 0);
	require_unlocked(buffer);
	own_buffers[own->number].calls.mmap++;
	own->mmaps++;
	*address = mmap(NULL, bytes, protection, MAP_SHARED, own->fd, (off_t)offset);
	require(*address != MAP_FAILED, "mmap");
	return 0;
}

static void own_munmap(struct stile_buffer *buffer, void *address, uint64_t bytes) {
	struct own *own = own_of(buffer);
	require_unlocked(buffer);
	own_buffers[own->number].calls.munmap++;
	own->mmaps--;
	munmap(address, bytes);
}

static int own_vmap(struct stile_buffer *buffer, struct stile_map *map) {
	struct own *own = own_of(buffer);
	require_locked(buffer);
	own_buffers[own->number].calls.vmap++;
	own->vmaps++;
	*map = (struct stile_map){ .address = own->view };
	return 0;
}

static void own_vunmap(struct stile_buffer *buffer, struct stile_map *map) {
	struct own *own = own_of(buffer);
	require_locked(buffer);
	require(map->address == own->view, "vunmap of something else");
	own_buffers[own->number].calls.vunmap++;
	own->vmaps--;
}

static int own_export_fd(struct stile_buffer *buffer, uint32_t usage, int *fd) {
	struct own *own = own_of(buffer);
	char path[MAX_PATH];
	require_unlocked(buffer);
	own_buffers[own->number].calls.export_fd++;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", own->fd);
	*fd = open(path, (usage & STILE_USAGE_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	require(*fd >= 0, "open");
	return 0;
}

/* ---- Making one --------------------------------------------------------------------------- */

static const struct stile_exporter_ops plain_ops = {
	.size = sizeof(struct stile_exporter_ops),
	.pin = own_pin,
	.unpin = own_unpin,
	.map = own_map,
	.unmap = own_unmap,
	.release = own_release,
};

static const struct stile_exporter_ops file_ops = {
	.size = sizeof(struct stile_exporter_ops),
	.attach = own_attach,
	.detach = own_detach,
	.map = own_map,
	.unmap = own_unmap,
	.begin_cpu_access = own_begin,
	.end_cpu_access = own_end,
	.mmap = own_mmap,
	.munmap = own_munmap,
	.vmap = own_vmap,
	.vunmap = own_vunmap,
	.export_fd = own_export_fd,
	.release = own_release,
};

static void open_file(struct own *own) {
	own->fd = memfd_create("own", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	require(own->fd >= 0, "memfd_create");
	require(ftruncate(own->fd, (off_t)own->bytes) == 0, "ftruncate");
	require(fcntl(own->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0,
		"F_ADD_SEALS");
	own->view = mmap(NULL, own->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, own->fd, 0);
	require(own->view != MAP_FAILED, "mmap");
	memory_show_file(own->memory, own->fd);
}

static struct own *own_create(int number, const struct own_buffer_info *info) {
	struct own *own = calloc(1, sizeof(*own));
	require(own != NULL, "no memory");
	own->number = number;
	own->bytes = (info->bytes + PAGE - 1) / PAGE * PAGE;
	own->pieces = own->bytes == PAGE ? 1 : info->pieces;
	own->shares_resv = info->resv != NULL;
	own->memory = memory_create(own);
	own->fd = -1;
	if (info->origin == BUFFER_MODEL_FILE) {
		open_file(own);
	}
	for (size_t i = 0; i < info->bytes; i++) {
		*memory_byte(own->memory, i) = buffer_model_pattern(i, info->value);
	}
	return own;
}

struct stile_buffer *own_buffer_create(int number, const struct own_buffer_info *info) {
	bool is_file = info->origin == BUFFER_MODEL_FILE;
	struct stile_buffer *buffer;
	owns[number] = own_create(number, info);
	own_buffers[number] = (struct own_buffer){ .is_released = false };
	int ret = stile_buffer_export(
		&(struct stile_exporter_info){
			.size = sizeof(struct stile_exporter_info),
			.exporter = is_file ? "file" : "plain",
			.ops = is_file ? &file_ops : &plain_ops,
			.priv = owns[number],
			.bytes = info->bytes,
			.usage = info->usage,
			.resv = info->resv,
		},
		&buffer);
	require(ret == 0, "stile_buffer_export");
	return buffer;
}
