/* SPDX-License-Identifier: MIT */
#include "backends/swgpu/tile.h"

#include <endian.h>
#include <string.h>

#include <stile/swgpu_modifier.h>

/* In both layouts a tile is 4096 bytes, in columns one after another; one layout has one column. */
enum {
	ROWS_TILE_BYTES = 512,
	ROWS_TILE_ROWS = 8,
	COLUMNS_TILE_BYTES = 128,
	COLUMNS_TILE_ROWS = 32,
	COLUMN_BYTES = 16,
	MAX_TILE_BYTES = 512,
};

/* What is known of a tile: a state and a value, of four bytes each, little endian. */
enum { META_BYTES = 8, META_SAMPLES = 0, META_CLEARED = 1 };

const struct format_tiling tile_tilings[TILE_TILING_COUNT] = {
	{ .modifier = STILE_SWGPU_MOD_TILED_ROWS,
		.name = "TILED_ROWS",
		.tile_bytes = ROWS_TILE_BYTES,
		.tile_rows = ROWS_TILE_ROWS },
	{ .modifier = STILE_SWGPU_MOD_TILED_COLUMNS,
		.name = "TILED_COLUMNS",
		.tile_bytes = COLUMNS_TILE_BYTES,
		.tile_rows = COLUMNS_TILE_ROWS,
		.meta_bytes = META_BYTES },
};

static uint32_t get_column_bytes(const struct format_tiling *tiling) {
	return tiling->modifier == STILE_SWGPU_MOD_TILED_COLUMNS ? COLUMN_BYTES : ROWS_TILE_BYTES;
}

/* Within a tile. */
static uint32_t address_in_tile(const struct format_tiling *tiling, uint32_t x, uint32_t y) {
	if (tiling->modifier != STILE_SWGPU_MOD_TILED_COLUMNS) {
		return y * tiling->tile_bytes + x;
	}
	uint32_t column = x / COLUMN_BYTES;
	return (column * tiling->tile_rows + y) * COLUMN_BYTES + x % COLUMN_BYTES;
}

uint64_t tile_address(const struct format_tiling *tiling, size_t pitch, uint64_t x, uint32_t y) {
	uint32_t bytes = tiling->tile_bytes, rows = tiling->tile_rows;
	return (uint64_t)pitch * (y - y % rows) + (x - x % bytes) * rows +
		address_in_tile(tiling, (uint32_t)(x % bytes), y % rows);
}

static uint32_t lesser(uint64_t a, uint32_t b) {
	return a < b ? (uint32_t)a : b;
}

/* ---- Columns ------------------------------------------------------------------------------ */

/* How far it is, in bytes, to what is below and to the same place in the next column. */
struct steps {
	size_t row;
	size_t column;
};

struct walk {
	uint32_t count;
	size_t to;
	size_t from;
};

static inline void copy_pieces(uint8_t *to, const uint8_t *from, struct walk outer,
	struct walk inner, size_t piece_bytes) {
	for (uint32_t i = 0; i < outer.count; i++) {
		for (uint32_t j = 0; j < inner.count; j++) {
			memcpy(to + i * outer.to + j * inner.to,
				from + i * outer.from + j * inner.from, piece_bytes);
		}
	}
}

/* In the order of the memory that is written: what is read can be fetched ahead. */
static inline void copy_columns(uint8_t *to, struct steps to_steps, const uint8_t *from,
	struct steps from_steps, uint32_t columns, uint32_t rows, size_t column_bytes) {
	const struct walk across = { columns, to_steps.column, from_steps.column };
	const struct walk down = { rows, to_steps.row, from_steps.row };
	if (to_steps.row < to_steps.column) {
		copy_pieces(to, from, across, down, column_bytes);
	} else {
		copy_pieces(to, from, down, across, column_bytes);
	}
}

/* Rows of `bytes` bytes, the first of which is byte x of a tile. */
static void copy_block(const struct format_tiling *tiling, uint8_t *to, struct steps to_steps,
	const uint8_t *from, struct steps from_steps, uint32_t x, uint32_t bytes, uint32_t rows) {
	const uint32_t column_bytes = get_column_bytes(tiling), skip = x % column_bytes;
	if (skip != 0) {
		uint32_t part = lesser(bytes, column_bytes - skip);
		copy_columns(to, to_steps, from, from_steps, 1, rows, part);
		if (part == bytes) {
			return;
		}
		to += to_steps.column - skip;
		from += from_steps.column - skip;
		bytes -= part;
	}
	/* Of constant size: that is what makes it fast. */
	const uint32_t columns = bytes / column_bytes, rest = bytes % column_bytes;
	if (column_bytes == COLUMN_BYTES) {
		copy_columns(to, to_steps, from, from_steps, columns, rows, COLUMN_BYTES);
	} else {
		copy_columns(to, to_steps, from, from_steps, columns, rows, ROWS_TILE_BYTES);
	}
	if (rest != 0) {
		copy_columns(to + columns * to_steps.column, to_steps,
			from + columns * from_steps.column, from_steps, 1, rows, rest);
	}
}

static struct steps steps_in_tile(const struct format_tiling *tiling) {
	uint32_t column_bytes = get_column_bytes(tiling);
	return (struct steps){ column_bytes, (size_t)column_bytes * tiling->tile_rows };
}

static struct steps steps_in_rows(const struct format_tiling *tiling, size_t pitch) {
	return (struct steps){ pitch, get_column_bytes(tiling) };
}

/* ---- Tiles -------------------------------------------------------------------------------- */

struct rect {
	uint64_t x, bytes;
	uint32_t y, rows;
};

/* What of a rectangle is in one tile. */
struct part {
	uint64_t from_left; /* where it begins in the rectangle */
	uint32_t from_top;
	uint32_t x, bytes; /* within the tile */
	uint32_t y, rows;
	bool whole;    /* all samples that the plane has in this tile */
	uint8_t *tile; /* where the tile begins */
	uint8_t *meta; /* NULL: there is none */
};

/* Where it is in the rectangle is known. */
static void find_part(const struct tiled_plane *plane, const struct rect *rect, struct part *part) {
	uint32_t tile_bytes = plane->tiling->tile_bytes, tile_rows = plane->tiling->tile_rows;
	uint64_t row_bytes = (uint64_t)plane->width * plane->sample_bytes;
	uint64_t x = rect->x + part->from_left;
	uint32_t y = rect->y + part->from_top;
	part->x = (uint32_t)(x & (tile_bytes - 1));
	part->y = y & (tile_rows - 1);
	part->bytes = lesser(rect->bytes - part->from_left, tile_bytes - part->x);
	part->rows = lesser(rect->rows - part->from_top, tile_rows - part->y);
	part->whole = part->x == 0 && part->y == 0 &&
		(part->bytes == tile_bytes || x + part->bytes == row_bytes) &&
		(part->rows == tile_rows || y + part->rows == plane->height);
	x -= part->x;
	y -= part->y;
	part->tile = plane->memory + plane->pitch * y + x * tile_rows;
	part->meta = NULL;
	if (plane->tiling->meta_bytes != 0) {
		part->meta = plane->meta + plane->meta_pitch * (y / tile_rows) +
			x / tile_bytes * META_BYTES;
	}
}

/* From left to right, then down; begins with a part that is zeroed. */
static bool next_part(const struct tiled_plane *plane, const struct rect *rect, struct part *part) {
	part->from_left += part->bytes;
	if (part->from_left >= rect->bytes) {
		part->from_left = 0;
		part->from_top += part->rows;
	}
	if (rect->bytes == 0 || part->from_top >= rect->rows) {
		return false;
	}
	find_part(plane, rect, part);
	return true;
}

static uint8_t *part_address(const struct tiled_plane *plane, const struct part *part) {
	return part->tile + address_in_tile(plane->tiling, part->x, part->y);
}

/* ---- Metadata ----------------------------------------------------------------------------- */

static void set_meta(uint8_t *meta, uint32_t state, uint32_t value) {
	const uint32_t words[2] = { htole32(state), htole32(value) };
	memcpy(meta, words, sizeof(words));
}

/* Is the tile said to be of one value? */
static bool part_is_cleared(const struct part *part, uint32_t *value) {
	if (part->meta == NULL) {
		return false;
	}
	uint32_t words[2];
	memcpy(words, part->meta, sizeof(words));
	*value = le32toh(words[1]);
	return le32toh(words[0]) == META_CLEARED;
}

/* What all rows of a tile of one value are like. */
struct row {
	uint8_t bytes[MAX_TILE_BYTES];
};

/* Bytes of the value that a sample does not have are not looked at. */
static void make_row(const struct tiled_plane *plane, uint32_t value, struct row *row) {
	if (plane->sample_bytes == 1) {
		value = (value & 0xff) * 0x01010101;
	} else if (plane->sample_bytes == 2) {
		value = (value & 0xffff) * 0x00010001;
	}
	const uint32_t word = htole32(value);
	for (uint32_t i = 0; i < plane->tiling->tile_bytes; i += sizeof(word)) {
		memcpy(row->bytes + i, &word, sizeof(word));
	}
}

/* Before the part is written: the tile's bytes become its samples. */
static void part_resolve(const struct tiled_plane *plane, const struct part *part) {
	const struct format_tiling *tiling = plane->tiling;
	uint32_t value;
	if (!part_is_cleared(part, &value)) {
		return;
	}
	if (!part->whole) {
		struct row row;
		make_row(plane, value, &row);
		copy_block(tiling, part->tile, steps_in_tile(tiling), row.bytes,
			steps_in_rows(tiling, 0), 0, tiling->tile_bytes, tiling->tile_rows);
	}
	set_meta(part->meta, META_SAMPLES, 0);
}

/* ---- What is done ------------------------------------------------------------------------- */

void tile_read(const struct tiled_plane *plane, uint64_t x, uint32_t y, uint64_t bytes,
	uint32_t rows, uint8_t *linear, size_t linear_pitch) {
	const struct format_tiling *tiling = plane->tiling;
	const struct steps linear_steps = steps_in_rows(tiling, linear_pitch);
	const struct rect rect = { .x = x, .bytes = bytes, .y = y, .rows = rows };
	struct part part = { 0 };
	while (next_part(plane, &rect, &part)) {
		uint8_t *to = linear + part.from_top * linear_pitch + part.from_left;
		uint32_t value;
		if (part_is_cleared(&part, &value)) {
			struct row row;
			make_row(plane, value, &row);
			copy_block(tiling, to, linear_steps, row.bytes + part.x,
				steps_in_rows(tiling, 0), part.x, part.bytes, part.rows);
		} else {
			copy_block(tiling, to, linear_steps, part_address(plane, &part),
				steps_in_tile(tiling), part.x, part.bytes, part.rows);
		}
	}
}

void tile_write(const struct tiled_plane *plane, uint64_t x, uint32_t y, uint64_t bytes,
	uint32_t rows, const uint8_t *linear, size_t linear_pitch) {
	const struct format_tiling *tiling = plane->tiling;
	const struct steps linear_steps = steps_in_rows(tiling, linear_pitch);
	const struct rect rect = { .x = x, .bytes = bytes, .y = y, .rows = rows };
	struct part part = { 0 };
	while (next_part(plane, &rect, &part)) {
		part_resolve(plane, &part);
		copy_block(tiling, part_address(plane, &part), steps_in_tile(tiling),
			linear + part.from_top * linear_pitch + part.from_left, linear_steps,
			part.x, part.bytes, part.rows);
	}
}

void tile_fill(const struct tiled_plane *plane, uint32_t x_sample, uint32_t y, uint32_t width,
	uint32_t rows, uint32_t value) {
	const struct format_tiling *tiling = plane->tiling;
	const struct rect rect = {
		.x = (uint64_t)x_sample * plane->sample_bytes,
		.bytes = (uint64_t)width * plane->sample_bytes,
		.y = y,
		.rows = rows,
	};
	struct row row;
	make_row(plane, value, &row);
	struct part part = { 0 };
	while (next_part(plane, &rect, &part)) {
		if (part.meta != NULL && part.whole) {
			set_meta(part.meta, META_CLEARED, value);
		} else {
			part_resolve(plane, &part);
			copy_block(tiling, part_address(plane, &part), steps_in_tile(tiling),
				row.bytes + part.x, steps_in_rows(tiling, 0), part.x, part.bytes,
				part.rows);
		}
	}
}
