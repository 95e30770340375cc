/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/table.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backends/swgpu/cache.h"
#include "backends/swgpu/frames.h"
#include "src/os.h"
#include "src/report.h"
#include "src/sg.h"

/* Bytes that are touched under a lock at a time. */
enum { CHUNK = 1 << 20 };

static uint64_t least(uint64_t a, uint64_t b) {
	return a < b ? a : b;
}

/* ---- Bytes ---------------------------------------------------------------------------------- */

const struct stretch *table_get_stretch(const struct table *table, uint64_t offset) {
	const struct stretch *stretch = table->stretches;
	size_t count = table->stretch_count;
	while (count > 1) {
		size_t half = count / 2;
		if (stretch[half].offset <= offset) {
			stretch += half;
			count -= half;
		} else {
			count = half;
		}
	}
	return stretch;
}

/* How many of these bytes are in one piece, CHUNK at most, and where: NULL if the CPU cannot reach them. */
static uint64_t reach(
	const struct table *table, uint64_t offset, uint64_t bytes, uint8_t **memory) {
	const struct stretch *stretch = table_get_stretch(table, offset);
	uint64_t skip = offset - stretch->offset;
	*memory = stretch->memory == NULL ? NULL : stretch->memory + skip;
	return least(least(bytes, CHUNK), stretch->bytes - skip);
}

void table_read(const struct table *table, uint64_t offset, uint8_t *to, uint64_t bytes) {
	while (bytes > 0) {
		uint8_t *memory;
		uint64_t n = reach(table, offset, bytes, &memory);
		assert(memory != NULL);
		if (table->cache != NULL) {
			cache_read(table->cache, offset, memory, to, n);
		} else {
			memcpy(to, memory, (size_t)n);
		}
		offset += n;
		to += n;
		bytes -= n;
	}
}

static void write_changes(uint8_t *to, const uint8_t *from, const uint8_t *before, uint64_t bytes) {
	for (uint64_t i = 0; i < bytes; i++) {
		if (from[i] != before[i]) {
			to[i] = from[i];
		}
	}
}

void table_write(const struct table *table, uint64_t offset, const uint8_t *from,
	const uint8_t *before, uint64_t bytes) {
	while (bytes > 0) {
		uint8_t *memory;
		uint64_t n = reach(table, offset, bytes, &memory);
		assert(memory != NULL);
		if (table->cache != NULL) {
			cache_write(table->cache, offset, from, before, n);
		} else if (before != NULL) {
			write_changes(memory, from, before, n);
		} else {
			memcpy(memory, from, (size_t)n);
		}
		offset += n;
		from += n;
		before = before == NULL ? NULL : before + n;
		bytes -= n;
	}
}

void table_sync(const struct table *table, uint64_t offset, uint64_t bytes, bool for_cpu) {
	if (table->cache == NULL) {
		return;
	}
	while (bytes > 0) {
		uint8_t *memory;
		uint64_t n = reach(table, offset, bytes, &memory);
		/* What the CPU cannot reach, the engines cannot. */
		if (memory != NULL && for_cpu) {
			cache_write_back(table->cache, offset, memory, n);
		} else if (memory != NULL) {
			cache_drop(table->cache, offset, memory, n);
		}
		offset += n;
		bytes -= n;
	}
}

/* ---- Making one ------------------------------------------------------------------------------ */

uint64_t table_get_align(const struct profile *profile) {
	uint64_t align = profile->segment_align;
	return align > os_page_size() ? align : os_page_size();
}

/* Bytes of a segment at most, so that what follows is aligned again; 0: there are none that could be. */
static uint64_t segment_limit(const struct profile *profile) {
	uint64_t most = profile->max_segment;
	most = most == 0 ? UINT32_MAX : least(most, UINT32_MAX);
	return most & ~(table_get_align(profile) - 1);
}

/* For the CPU, wherever it is on the bus. */
static bool continues(const struct stretch *last, const struct stile_sg_range *range) {
	const uint8_t *end = last->memory == NULL ? NULL : last->memory + last->bytes;
	return range->memory == end;
}

static int make_stretches(struct table *table) {
	const struct stile_sg *sg = table->sg;
	table->stretches = calloc(sg->range_count, sizeof(*table->stretches));
	if (table->stretches == NULL) {
		return -ENOMEM;
	}
	uint64_t offset = 0;
	for (size_t i = 0; i < sg->range_count; i++) {
		const struct stile_sg_range *range = &sg->ranges[i];
		struct stretch *last = &table->stretches[table->stretch_count];
		if (i == 0 || !continues(last - 1, range)) {
			last->memory = range->memory;
			last->offset = offset;
			table->stretch_count++;
		} else {
			last--;
		}
		last->bytes += range->bytes;
		offset += range->bytes;
	}
	return 0;
}

/*
 * Memory of unknown address has some, all the same. They are frames of the machine's, so that nothing
 * else is there; aligned as the device needs it, so that chance does not decide whether it is taken.
 */
static int make_addresses(const struct profile *profile, struct table *table) {
	const struct stile_sg *sg = table->sg;
	table->made = calloc(sg->range_count, sizeof(struct frames_run *));
	if (table->made == NULL) {
		return -ENOMEM;
	}
	int ret = 0;
	for (size_t i = 0; i < sg->range_count && ret == 0; i++) {
		const struct frames_want want = {
			.bytes = sg->ranges[i].bytes,
			.address_bits = 64,
			.max_segments = 1,
			.segment_align = (uint32_t)table_get_align(profile),
		};
		size_t count;
		if (sg->ranges[i].address == STILE_ADDRESS_UNKNOWN) {
			ret = frames_take(&want, &table->made[i], &count);
		}
	}
	return ret;
}

static uint64_t range_address(const struct table *table, size_t i) {
	return table->made[i] != NULL ? table->made[i]->address : table->sg->ranges[i].address;
}

/* It goes on in the last segment, if it is a neighbour of that. */
static void add_segments(struct stile_sg *sg, uint64_t address, uint64_t bytes, uint64_t limit) {
	while (bytes > 0) {
		struct stile_sg_segment *segment = &sg->segments[sg->segment_count];
		const struct stile_sg_segment *last = sg->segment_count == 0 ? NULL : segment - 1;
		if (last != NULL && address != 0 && last->address + last->bytes == address &&
			last->bytes < limit) {
			segment--;
		} else {
			segment->address = address;
			sg->segment_count++;
		}
		uint64_t n = least(bytes, limit - segment->bytes);
		segment->bytes += (uint32_t)n;
		address += n;
		bytes -= n;
	}
}

/* How many segments there are at most, if nothing can be coalesced. */
static size_t count_segments(const struct stile_sg *sg, uint64_t base, uint64_t limit) {
	if (base != 0) {
		return (size_t)((sg->bytes - 1) / limit + 1);
	}
	size_t count = 0;
	for (size_t i = 0; i < sg->range_count; i++) {
		count += (size_t)((sg->ranges[i].bytes - 1) / limit + 1);
	}
	return count;
}

static int make_segments(const struct profile *profile, struct table *table, uint64_t base,
	struct stile_report *why) {
	struct stile_sg *sg = table->sg;
	uint64_t limit = segment_limit(profile);
	if (limit == 0) {
		return report_refuse(why, -ERANGE, STILE_REASON_MEMORY, 0, table_get_align(profile),
			profile->max_segment,
			"pieces of at most %" PRIu64 " bytes cannot be multiples of %" PRIu64,
			profile->max_segment, table_get_align(profile));
	}
	sg->segments = calloc(count_segments(sg, base, limit), sizeof(*sg->segments));
	if (sg->segments == NULL) {
		return -ENOMEM;
	}
	if (base != 0) {
		add_segments(sg, base, sg->bytes, limit);
		return 0;
	}
	for (size_t i = 0; i < sg->range_count; i++) {
		add_segments(sg, range_address(table, i), sg->ranges[i].bytes, limit);
	}
	return 0;
}

static unsigned bits_of(uint64_t address) {
	unsigned bits = 0;
	for (; address != 0; address >>= 1) {
		bits++;
	}
	return bits;
}

static int check_segment(const struct profile *profile, const struct stile_sg_segment *segment,
	bool is_last, struct stile_report *why) {
	uint64_t end = segment->address + segment->bytes - 1, align = table_get_align(profile);
	if (end > UINT64_MAX >> (64 - profile->address_bits)) {
		return report_refuse(why, -ERANGE, STILE_REASON_MEMORY, 0, profile->address_bits,
			bits_of(end),
			"the device has %" PRIu32 " address bits, memory up to 0x%" PRIx64
			" needs %u",
			profile->address_bits, end, bits_of(end));
	}
	if (segment->address % align != 0) {
		return report_refuse(why, -ERANGE, STILE_REASON_MEMORY, 0, align, segment->address,
			"a piece of the memory is at 0x%" PRIx64
			", the device needs multiples of %" PRIu64,
			segment->address, align);
	}
	if (!is_last && segment->bytes % align != 0) {
		return report_refuse(why, -ERANGE, STILE_REASON_MEMORY, 0, align, segment->bytes,
			"a piece of the memory has %" PRIu32
			" bytes, the device needs multiples of %" PRIu64 " but for the last",
			segment->bytes, align);
	}
	return 0;
}

static int check_segments(
	const struct profile *profile, const struct stile_sg *sg, struct stile_report *why) {
	uint32_t most = profile->max_segments;
	if (most != 0 && sg->segment_count > most) {
		return report_refuse(why, -ERANGE, STILE_REASON_MEMORY, 0, most, sg->segment_count,
			"the memory is in %zu pieces, the device takes %" PRIu32, sg->segment_count,
			most);
	}
	int ret = 0;
	for (size_t i = 0; i < sg->segment_count && ret == 0; i++) {
		ret = check_segment(profile, &sg->segments[i], i + 1 == sg->segment_count, why);
	}
	return ret;
}

static int make_pieces(struct table *table) {
	const struct stile_sg *sg = table->sg;
	table->pieces = calloc(sg->segment_count, sizeof(*table->pieces));
	if (table->pieces == NULL) {
		return -ENOMEM;
	}
	uint64_t offset = 0;
	for (size_t i = 0; i < sg->segment_count; i++) {
		struct piece *piece = &table->pieces[i];
		piece->table = table;
		piece->address = sg->segments[i].address;
		piece->bytes = sg->segments[i].bytes;
		piece->offset = offset;
		offset += piece->bytes;
	}
	return 0;
}

static int table_fill(const struct profile *profile, struct table *table, uint64_t base,
	struct stile_report *why) {
	int ret = make_stretches(table);
	if (ret == 0 && !profile->coherent) {
		ret = cache_create(table->sg->bytes, &table->cache);
	}
	if (ret == 0 && base == 0) {
		ret = make_addresses(profile, table);
	}
	if (ret == 0) {
		ret = make_segments(profile, table, base, why);
	}
	if (ret == 0) {
		ret = check_segments(profile, table->sg, why);
	}
	return ret == 0 ? make_pieces(table) : ret;
}

int table_create(const struct profile *profile, struct stile_sg *sg, uint64_t base,
	struct stile_report *why, struct table **out) {
	*out = NULL;
	struct table *table = calloc(1, sizeof(*table));
	if (table == NULL) {
		return -ENOMEM;
	}
	table->sg = sg;
	int ret = table_fill(profile, table, base, why);
	if (ret < 0) {
		table_destroy(table);
		return ret;
	}
	*out = table;
	return 0;
}

void table_destroy(struct table *table) {
	struct stile_sg *sg = table->sg;
	for (size_t i = 0; table->made != NULL && i < sg->range_count; i++) {
		frames_give(table->made[i], 1);
	}
	free(table->made);
	free(table->pieces);
	free(table->stretches);
	cache_destroy(table->cache);
	free(table);
	free(sg->segments);
	sg->segments = NULL;
	sg->segment_count = 0;
}
