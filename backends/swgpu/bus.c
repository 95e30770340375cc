/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/bus.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backends/swgpu/space.h"
#include "backends/swgpu/table.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/report.h"
#include "src/sg.h"
#include "src/tree.h"

enum {
	CHUNK = 1 << 20, /* bytes that are touched under the lock at a time */
	/* How many of the tables freed last are remembered, and of segments about how many. */
	FREED_TABLES = 64,
	FREED_SEGMENTS = 1 << 14,
};

/* The segments of a table that was freed. */
struct freed {
	struct stile_sg_segment *segments;
	size_t count;
};

struct bus {
	struct profile profile;
	pthread_rwlock_t lock;
	/* Under the lock. */
	struct tree pieces;      /* by address; two are apart or equal */
	struct space *addresses; /* behind an IOMMU; else NULL */
	struct freed freed[FREED_TABLES];
	size_t freed_next;
	size_t freed_segments;
};

static uint64_t least(uint64_t a, uint64_t b) {
	return a < b ? a : b;
}

/* ---- The bus ------------------------------------------------------------------------------- */

/* The last address that the device has. */
static uint64_t last_address(const struct bus *bus) {
	return UINT64_MAX >> (64 - bus->profile.address_bits);
}

/* Each table has a page behind it that is nobody's: whoever runs past its end meets nothing. */
static uint64_t with_gap(uint64_t bytes) {
	return bytes + os_page_size();
}

static int addresses_create(const struct bus *bus, struct space **out) {
	uint64_t page = os_page_size(), bits = bus->profile.address_bits;
	/* Neither the first page nor, of 64 bits, the last ones: their end, and a gap, have to fit in 64. */
	uint64_t end = bits == 64 ? 0 - 2 * page : UINT64_C(1) << bits;
	return space_create(page, with_gap(end), out);
}

int bus_create(const struct profile *profile, struct bus **out) {
	*out = NULL;
	struct bus *bus = calloc(1, sizeof(*bus));
	if (bus == NULL) {
		return -ENOMEM;
	}
	bus->profile = *profile;
	if (profile->iommu && addresses_create(bus, &bus->addresses) < 0) {
		free(bus);
		return -ENOMEM;
	}
	/* Engines that touch memory all the time must not keep tables from coming and going. */
	pthread_rwlockattr_t attr;
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&bus->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	*out = bus;
	return 0;
}

void bus_destroy(struct bus *bus) {
	if (bus == NULL) {
		return;
	}
	assert(bus->pieces.root == NULL);
	for (size_t i = 0; i < FREED_TABLES; i++) {
		free(bus->freed[i].segments);
	}
	pthread_rwlock_destroy(&bus->lock);
	space_destroy(bus->addresses);
	free(bus);
}

/* ---- Which addresses there are ------------------------------------------------------------- */

static struct piece *piece_of(const struct tree_node *node) {
	return CONTAINER_OF(node, struct piece, node);
}

/* Equal: they have bytes in common. */
static int compare(const struct tree_node *left, const struct tree_node *right) {
	const struct piece *a = piece_of(left), *b = piece_of(right);
	if (a->address < b->address) {
		return b->address - a->address < a->bytes ? 0 : -1;
	}
	return a->address - b->address < b->bytes ? 0 : 1;
}

/* The lock is held. Memory may be in several tables, but then as the same segment. */
static bool may_be_linked(const struct bus *bus, const struct piece *piece) {
	const struct tree_node *node = tree_find(&bus->pieces, &piece->node, compare);
	return node == NULL ||
		(piece_of(node)->address == piece->address &&
			piece_of(node)->bytes == piece->bytes);
}

/* The lock is held. */
static void unlink_pieces(struct bus *bus, struct table *table, size_t count) {
	for (size_t i = 0; i < count; i++) {
		tree_remove(&bus->pieces, &table->pieces[i].node);
	}
}

static int link_pieces(struct bus *bus, struct table *table, struct stile_report *why) {
	size_t count = table->sg->segment_count, linked = 0;
	pthread_rwlock_wrlock(&bus->lock);
	while (linked < count && may_be_linked(bus, &table->pieces[linked])) {
		tree_insert(&bus->pieces, &table->pieces[linked++].node, compare);
	}
	if (linked < count) {
		unlink_pieces(bus, table, linked);
	}
	pthread_rwlock_unlock(&bus->lock);
	if (linked == count) {
		return 0;
	}
	const struct piece *piece = &table->pieces[linked];
	return report_refuse(why, -EINVAL, STILE_REASON_MEMORY, 0, 0, piece->address,
		"a part of the %" PRIu64 " bytes at 0x%" PRIx64
		" is mapped already, as a part of something else",
		piece->bytes, piece->address);
}

/* The lock is held. */
static void forget(struct bus *bus, struct freed *freed) {
	bus->freed_segments -= freed->count;
	free(freed->segments);
	*freed = (struct freed){ 0 };
}

/* The lock is held. The segments are the bus's from now on. */
static void remember(struct bus *bus, struct stile_sg_segment *segments, size_t count) {
	struct freed *freed = &bus->freed[bus->freed_next++ % FREED_TABLES];
	forget(bus, freed);
	*freed = (struct freed){ .segments = segments, .count = count };
	bus->freed_segments += count;
	/* The oldest are next. This one stays, however many it has. */
	for (size_t i = 0; i < FREED_TABLES - 1 && bus->freed_segments > FREED_SEGMENTS; i++) {
		forget(bus, &bus->freed[(bus->freed_next + i) % FREED_TABLES]);
	}
}

/* The lock is held. */
static bool was_freed(const struct bus *bus, uint64_t address) {
	for (size_t i = 0; i < FREED_TABLES; i++) {
		const struct freed *freed = &bus->freed[i];
		for (size_t j = 0; j < freed->count; j++) {
			if (address - freed->segments[j].address < freed->segments[j].bytes) {
				return true;
			}
		}
	}
	return false;
}

/* ---- Mapping ------------------------------------------------------------------------------- */

/* Behind an IOMMU: one run of addresses for all of a table. */
static int take_addresses(struct bus *bus, uint64_t bytes, uint64_t *base) {
	if (bytes > last_address(bus) - os_page_size()) {
		return -ENOSPC;
	}
	const struct space_want want = {
		.bytes = with_gap(bytes),
		.align = table_get_align(&bus->profile),
	};
	pthread_rwlock_wrlock(&bus->lock);
	int ret = space_take(bus->addresses, &want, base);
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

/* `base` is 0 if there is no IOMMU. */
static void give_addresses(struct bus *bus, uint64_t base, uint64_t bytes) {
	if (base != 0) {
		pthread_rwlock_wrlock(&bus->lock);
		space_give(bus->addresses, base, with_gap(bytes));
		pthread_rwlock_unlock(&bus->lock);
	}
}

static int make_table(struct bus *bus, struct stile_sg *sg, struct stile_report *why) {
	uint64_t base = 0;
	int ret = bus->profile.iommu ? take_addresses(bus, sg->bytes, &base) : 0;
	if (ret < 0) {
		return ret;
	}
	struct table *table;
	ret = table_create(&bus->profile, sg, base, why, &table);
	if (ret < 0) {
		goto err_addresses;
	}
	ret = link_pieces(bus, table, why);
	if (ret < 0) {
		goto err_table;
	}
	sg->bus = table;
	return 0;

err_table:
	table_destroy(table);
err_addresses:
	give_addresses(bus, base, sg->bytes);
	return ret;
}

int bus_map(struct bus *bus, struct stile_sg *sg, struct stile_report *why) {
	assert(sg->bus == NULL && sg->segments == NULL && sg->range_count > 0);
	int ret = make_table(bus, sg, why);
	if (ret == -ENOMEM) {
		return report_refuse(why, ret, STILE_REASON_RESOURCES, 0, 0, 0, "out of memory");
	}
	if (ret == -ENOSPC) {
		return report_refuse(why, ret, STILE_REASON_RESOURCES, 0, sg->bytes, 0,
			"there are no bus addresses left for %" PRIu64 " bytes in one piece",
			sg->bytes);
	}
	return ret;
}

void bus_free(struct bus *bus, struct stile_sg *sg) {
	struct table *table = sg->bus;
	if (table == NULL) {
		return;
	}
	uint64_t base = bus->profile.iommu ? sg->segments[0].address : 0;
	pthread_rwlock_wrlock(&bus->lock);
	table_sync(table, 0, sg->bytes, true);
	unlink_pieces(bus, table, sg->segment_count);
	remember(bus, sg->segments, sg->segment_count);
	pthread_rwlock_unlock(&bus->lock);
	sg->bus = NULL;
	sg->segments = NULL;
	table_destroy(table);
	give_addresses(bus, base, sg->bytes);
}

void bus_sync(struct bus *bus, struct stile_sg *sg, uint64_t offset, uint64_t bytes, bool for_cpu) {
	const struct table *table = sg->bus;
	if (table == NULL || table->cache == NULL) {
		return;
	}
	assert(offset <= sg->bytes && bytes <= sg->bytes - offset);
	/* Whoever touches it by address has done so, or begins afterwards. */
	pthread_rwlock_wrlock(&bus->lock);
	table_sync(table, offset, bytes, for_cpu);
	pthread_rwlock_unlock(&bus->lock);
}

/* ---- Access -------------------------------------------------------------------------------- */

static bool is_set(const uint32_t *count) {
	return __atomic_load_n(count, __ATOMIC_ACQUIRE) > 0;
}

static enum stile_swgpu_fault_reason table_refuses(const struct table *table, uint32_t access) {
	bool readable = is_set(&table->sg->readers), writable = is_set(&table->sg->writers);
	if ((readable || (access & BUS_READ) == 0) && (writable || (access & BUS_WRITE) == 0)) {
		return STILE_SWGPU_FAULT_NONE;
	}
	return readable || writable ? STILE_SWGPU_FAULT_DIRECTION : STILE_SWGPU_FAULT_UNMAPPED;
}

/* Bytes that an address leads to, as many as are in one piece for the device and for the CPU. */
struct target {
	const struct table *table;
	uint64_t offset;
	uint64_t bytes;
};

static enum stile_swgpu_fault_reason aim(
	const struct piece *piece, uint64_t address, struct target *target) {
	uint64_t skip = address - piece->address, offset = piece->offset + skip;
	const struct stretch *stretch = table_get_stretch(piece->table, offset);
	target->table = piece->table;
	target->offset = offset;
	target->bytes = least(piece->bytes - skip, stretch->offset + stretch->bytes - offset);
	return stretch->memory == NULL ? STILE_SWGPU_FAULT_UNKNOWN : STILE_SWGPU_FAULT_NONE;
}

/* The lock is held. Of several tables over the same memory, one that allows it will do. */
static enum stile_swgpu_fault_reason resolve(
	const struct bus *bus, uint64_t address, uint32_t access, struct target *target) {
	if (address > last_address(bus)) {
		return STILE_SWGPU_FAULT_WIDTH;
	}
	const struct piece probe = { .address = address, .bytes = 1 };
	const struct tree_node *node = tree_find(&bus->pieces, &probe.node, compare);
	if (node == NULL) {
		return was_freed(bus, address) ? STILE_SWGPU_FAULT_FREED
					       : STILE_SWGPU_FAULT_UNKNOWN;
	}
	enum stile_swgpu_fault_reason reason = STILE_SWGPU_FAULT_UNMAPPED;
	for (; node != NULL && compare(&probe.node, node) == 0; node = tree_next(node)) {
		enum stile_swgpu_fault_reason refused =
			table_refuses(piece_of(node)->table, access);
		if (refused == STILE_SWGPU_FAULT_NONE) {
			return aim(piece_of(node), address, target);
		}
		if (refused == STILE_SWGPU_FAULT_DIRECTION) {
			reason = refused;
		}
	}
	return reason;
}

/* The lock is held. A part of what is asked for; how much it was. */
static enum stile_swgpu_fault_reason access_some(const struct bus *bus, uint64_t address,
	uint8_t *memory, uint64_t *bytes, enum bus_access access) {
	struct target target = { 0 };
	enum stile_swgpu_fault_reason reason = resolve(bus, address, access, &target);
	if (reason != STILE_SWGPU_FAULT_NONE) {
		return reason;
	}
	*bytes = least(least(*bytes, CHUNK), target.bytes);
	if (access == BUS_WRITE) {
		table_write(target.table, target.offset, memory, NULL, *bytes);
	} else {
		table_read(target.table, target.offset, memory, *bytes);
	}
	return reason;
}

bool bus_access(struct bus *bus, uint64_t address, void *memory, uint64_t bytes,
	enum bus_access access, struct bus_fault *fault) {
	uint8_t *at = memory;
	while (bytes > 0) {
		uint64_t done = bytes;
		pthread_rwlock_rdlock(&bus->lock);
		enum stile_swgpu_fault_reason reason = access_some(bus, address, at, &done, access);
		pthread_rwlock_unlock(&bus->lock);
		if (reason != STILE_SWGPU_FAULT_NONE) {
			*fault = (struct bus_fault){
				.reason = reason, .write = access == BUS_WRITE, .address = address
			};
			return false;
		}
		address += done;
		at += done;
		bytes -= done;
	}
	return true;
}

/* ---- Windows ------------------------------------------------------------------------------- */

static uint64_t address_of(const struct table *table, uint64_t offset) {
	const struct piece *piece = table->pieces;
	while (offset - piece->offset >= piece->bytes) {
		piece++;
	}
	return piece->address + (offset - piece->offset);
}

/* Up to which byte, from `offset` on, the CPU can reach all; `end` at most. */
static uint64_t reachable_end(const struct table *table, uint64_t offset, uint64_t end) {
	const struct stretch *stretch = table_get_stretch(table, offset);
	const struct stretch *end_of_all = table->stretches + table->stretch_count;
	while (stretch < end_of_all && stretch->offset < end && stretch->memory != NULL) {
		offset = stretch->offset + stretch->bytes;
		stretch++;
	}
	return least(offset, end);
}

/* The first byte that may not be accessed, if there is one, is in the fault. */
static bool may_open(const struct bus_window *window, struct bus_fault *fault) {
	const struct table *table = window->sg->bus;
	if (table == NULL) {
		*fault = (struct bus_fault){ .reason = STILE_SWGPU_FAULT_UNKNOWN };
		return false;
	}
	uint64_t at = window->offset, end = window->offset + window->bytes;
	enum stile_swgpu_fault_reason reason = table_refuses(table, window->access);
	if (reason == STILE_SWGPU_FAULT_NONE) {
		at = reachable_end(table, at, end);
		reason = at == end ? reason : STILE_SWGPU_FAULT_UNKNOWN;
	}
	if (reason == STILE_SWGPU_FAULT_NONE) {
		return true;
	}
	bool writable = reason == STILE_SWGPU_FAULT_DIRECTION && is_set(&window->sg->writers);
	*fault = (struct bus_fault){
		.reason = reason,
		.write = (window->access & BUS_WRITE) != 0 && !writable,
		.address = address_of(table, at),
	};
	return false;
}

/* A copy; where some bytes of it may be written and others not, two, to tell which were. */
static int bounce(const struct table *table, struct bus_window *window) {
	bool keeps = window->access == (BUS_READ | BUS_WRITE);
	window->memory = malloc((size_t)window->bytes * (keeps ? 2 : 1));
	if (window->memory == NULL) {
		return -ENOMEM;
	}
	window->bounced = true;
	/* Also if it is only written: a command that is stopped leaves the rest as it was. */
	table_read(table, window->offset, window->memory, window->bytes);
	if (keeps) {
		memcpy(window->memory + window->bytes, window->memory, (size_t)window->bytes);
	}
	return 0;
}

int bus_open(struct bus *bus, struct stile_sg *sg, uint64_t offset, uint64_t bytes, uint32_t access,
	struct bus_window *window, struct bus_fault *fault) {
	assert(bytes > 0 && offset <= sg->bytes && bytes <= sg->bytes - offset);
	*window = (struct bus_window){
		.sg = sg,
		.offset = offset,
		.bytes = bytes,
		.access = access,
	};
	if (!may_open(window, fault)) {
		return -EFAULT;
	}
	const struct table *table = sg->bus;
	const struct stretch *stretch = table_get_stretch(table, offset);
	uint64_t skip = offset - stretch->offset;
	if (bus->profile.coherent && bytes <= stretch->bytes - skip) {
		window->memory = stretch->memory + skip;
		return 0;
	}
	return bounce(table, window);
}

void bus_close(struct bus *bus, struct bus_window *window) {
	(void)bus;
	if (!window->bounced) {
		return;
	}
	const struct table *table = window->sg->bus;
	bool kept = window->access == (BUS_READ | BUS_WRITE);
	if ((window->access & BUS_WRITE) != 0) {
		table_write(table, window->offset, window->memory,
			kept ? window->memory + window->bytes : NULL, window->bytes);
	}
	free(window->memory);
	*window = (struct bus_window){ 0 };
}
