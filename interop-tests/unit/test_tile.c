/* SPDX-License-Identifier: MIT */
/* Tiled layouts, against straightforward loops over what docs/modifiers.md says. */
#include <stdlib.h>
#include <string.h>

#include <stile/swgpu_modifier.h>

#include "backends/swgpu/tile.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum { ROWS, COLUMNS };

/* ---- docs/modifiers.md, literally ---------------------------------------------------------- */

static uint64_t address_by_hand(int layout, uint64_t pitch, uint64_t x, uint64_t y) {
	if (layout == ROWS) {
		return y / 8 * 8 * pitch + x / 512 * 4096 + y % 8 * 512 + x % 512;
	}
	return y / 32 * 32 * pitch + x / 128 * 4096 + x % 128 / 16 * 512 + y % 32 * 16 + x % 16;
}

static uint64_t up(uint64_t value, uint64_t to) {
	return (value + to - 1) / to * to;
}

static uint32_t number(const uint8_t *bytes) {
	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
		(uint32_t)bytes[3] << 24;
}

/* What is around the memory of a plane, and has to stay. */
enum { GUARD = 64, GUARD_BYTE = 0x5c };

struct guarded {
	uint8_t *all;
	uint8_t *memory;
	size_t bytes;
};

/* Assertions cost too much to have one for each byte. */
static void assert_all(const uint8_t *bytes, size_t count, uint8_t value) {
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] != value) {
			ck_abort_msg("byte %zu is 0x%02x, not 0x%02x", i, bytes[i], value);
		}
	}
}

static struct guarded guarded_create(size_t bytes, uint8_t fill) {
	struct guarded guarded = { .all = malloc(bytes + 2 * GUARD), .bytes = bytes };
	ck_assert_ptr_nonnull(guarded.all);
	memset(guarded.all, GUARD_BYTE, bytes + 2 * GUARD);
	guarded.memory = guarded.all + GUARD;
	memset(guarded.memory, fill, bytes);
	return guarded;
}

static void guarded_free(struct guarded *guarded) {
	assert_all(guarded->all, GUARD, GUARD_BYTE);
	assert_all(guarded->memory + guarded->bytes, GUARD, GUARD_BYTE);
	free(guarded->all);
}

/* A plane with memory of its own. */
struct picture {
	int layout;
	struct tiled_plane plane;
	struct guarded samples;
	struct guarded meta;
};

/* With more pitch than needed, in tiles. */
static struct picture picture_create_wide(int layout, uint32_t sample_bytes, uint32_t width,
	uint32_t height, uint8_t fill, uint32_t more) {
	uint64_t tile_bytes = layout == ROWS ? 512 : 128, tile_rows = layout == ROWS ? 8 : 32;
	uint64_t pitch = up((uint64_t)width * sample_bytes, tile_bytes) + more * tile_bytes;
	struct picture picture = {
		.layout = layout,
		.plane = {
			.tiling = &tile_tilings[layout],
			.pitch = pitch,
			.sample_bytes = sample_bytes,
			.width = width,
			.height = height,
		},
		.samples = guarded_create(pitch * up(height, tile_rows), fill),
	};
	picture.plane.memory = picture.samples.memory;
	if (layout == COLUMNS) {
		picture.plane.meta_pitch = up(pitch / 128 * 8, 64) + more * 64;
		picture.meta = guarded_create(picture.plane.meta_pitch * (up(height, 32) / 32), 0);
		picture.plane.meta = picture.meta.memory;
	}
	return picture;
}

static struct picture picture_create(
	int layout, uint32_t sample_bytes, uint32_t width, uint32_t height, uint8_t fill) {
	return picture_create_wide(layout, sample_bytes, width, height, fill, 0);
}

static void picture_free(struct picture *picture) {
	guarded_free(&picture->samples);
	if (picture->layout == COLUMNS) {
		guarded_free(&picture->meta);
	}
}

static uint8_t *meta_by_hand(const struct picture *picture, uint64_t x, uint64_t y) {
	return picture->meta.memory + y / 32 * picture->plane.meta_pitch + x / 128 * 8;
}

static uint8_t *byte_by_hand(const struct picture *picture, uint64_t x, uint64_t y) {
	return picture->samples.memory +
		address_by_hand(picture->layout, picture->plane.pitch, x, y);
}

/* Byte x of row y, as a program would read it that knows nothing but the page. */
static uint8_t read_by_hand(const struct picture *picture, uint64_t x, uint64_t y) {
	if (picture->layout == COLUMNS) {
		const uint8_t *meta = meta_by_hand(picture, x, y);
		if (number(meta) == 1) {
			return meta[4 + x % picture->plane.sample_bytes];
		}
	}
	return *byte_by_hand(picture, x, y);
}

static uint64_t row_bytes(const struct picture *picture) {
	return (uint64_t)picture->plane.width * picture->plane.sample_bytes;
}

static void assert_samples(const struct picture *picture, const uint8_t *linear, const char *what) {
	uint64_t row = row_bytes(picture);
	for (uint32_t y = 0; y < picture->plane.height; y++) {
		for (uint64_t x = 0; x < row; x++) {
			uint8_t found = read_by_hand(picture, x, y), wanted = linear[y * row + x];
			if (found != wanted) {
				ck_abort_msg("%s: layout %d, %u x %u of %u: byte %u of row %u is "
					     "0x%02x, not 0x%02x",
					what, picture->layout, picture->plane.width,
					picture->plane.height, picture->plane.sample_bytes,
					(unsigned)x, y, found, wanted);
			}
		}
	}
}

/* ---- Where bytes are ----------------------------------------------------------------------- */

/* Computed by hand: the last table of docs/modifiers.md, 300 x 100 of four bytes, and its corners. */
static const struct {
	uint32_t x, y; /* pixels */
	uint64_t rows, columns;
} places[] = {
	{ 0, 0, 0, 0 },
	{ 1, 0, 4, 4 },
	{ 0, 1, 512, 16 },
	{ 3, 1, 524, 28 },
	{ 4, 0, 16, 512 },
	{ 31, 31, 40572, 4092 },
	{ 32, 0, 128, 4096 },
	{ 127, 7, 4092, 15996 },
	{ 128, 0, 4096, 16384 },
	{ 0, 8, 12288, 128 },
	{ 0, 32, 49152, 40960 },
	{ 37, 33, 49812, 45588 },
	{ 299, 99, 157356, 160828 },
};

/* Wrong code: columns from right to left, tiles from above to below, a tile of another size. */
START_TEST(byte_is_where_the_page_says) {
	uint64_t x = 4 * places[_i].x;
	uint32_t y = places[_i].y;
	ck_assert_uint_eq(tile_address(&tile_tilings[ROWS], 1536, x, y), places[_i].rows);
	ck_assert_uint_eq(tile_address(&tile_tilings[COLUMNS], 1280, x, y), places[_i].columns);
	ck_assert_uint_eq(address_by_hand(ROWS, 1536, x, y), places[_i].rows);
	ck_assert_uint_eq(address_by_hand(COLUMNS, 1280, x, y), places[_i].columns);
}
END_TEST

/* Wrong code: a modifier's code, or what another program has to know, that changes by accident. */
START_TEST(tilings_are_those_of_the_page) {
	ck_assert_uint_eq(ARRAY_LENGTH(tile_tilings), 2);
	const struct format_tiling *rows = &tile_tilings[ROWS], *columns = &tile_tilings[COLUMNS];
	ck_assert_uint_eq(rows->modifier, STILE_SWGPU_MOD_TILED_ROWS);
	ck_assert_uint_eq(rows->modifier, UINT64_C(0x5f00000000000001));
	ck_assert_uint_eq(rows->tile_bytes, 512);
	ck_assert_uint_eq(rows->tile_rows, 8);
	ck_assert_uint_eq(rows->meta_bytes, 0);
	ck_assert_uint_eq(columns->modifier, STILE_SWGPU_MOD_TILED_COLUMNS);
	ck_assert_uint_eq(columns->modifier, UINT64_C(0x5f00000000000002));
	ck_assert_uint_eq(columns->tile_bytes, 128);
	ck_assert_uint_eq(columns->tile_rows, 32);
	ck_assert_uint_eq(columns->meta_bytes, 8);
}
END_TEST

/* Wrong code: arithmetic in 32 bits. */
START_TEST(address_of_a_large_image_is_exact) {
	const uint64_t pitch = UINT64_C(1) << 17;
	for (int layout = ROWS; layout <= COLUMNS; layout++) {
		ck_assert_uint_eq(tile_address(&tile_tilings[layout], pitch, 131071, 65535),
			(pitch << 16) - 1);
		ck_assert_uint_eq(
			tile_address(&tile_tilings[layout], pitch, 0, 65504), pitch * 65504);
	}
}
END_TEST

/* Wrong code: two bytes in one place, or places that no byte has. */
START_TEST(every_byte_has_a_place_of_its_own) {
	static const struct {
		uint32_t pitch, rows;
	} extents[] = { { 512, 32 }, { 1536, 64 }, { 2560, 96 } };
	for (int layout = ROWS; layout <= COLUMNS; layout++) {
		uint32_t pitch = extents[_i].pitch, rows = extents[_i].rows;
		uint8_t *seen = calloc(pitch, rows);
		ck_assert_ptr_nonnull(seen);
		for (uint32_t y = 0; y < rows; y++) {
			for (uint32_t x = 0; x < pitch; x++) {
				uint64_t at = tile_address(&tile_tilings[layout], pitch, x, y);
				if (at >= (uint64_t)pitch * rows || seen[at] != 0 ||
					at != address_by_hand(layout, pitch, x, y)) {
					ck_abort_msg("layout %d: byte %u of row %u is at %u",
						layout, x, y, (unsigned)at);
				}
				seen[at] = 1;
			}
		}
		free(seen);
	}
}
END_TEST

/* ---- Copies -------------------------------------------------------------------------------- */

enum { LARGEST = 70 };

static void randomize(uint8_t *bytes, size_t count, uint64_t *random) {
	for (size_t i = 0; i < count; i++) {
		bytes[i] = (uint8_t)runner_random(random);
	}
}

/* Read with a pitch of its own, odd, and look at what is between the rows. */
static void assert_read(
	const struct picture *picture, uint64_t x, uint32_t y, uint64_t bytes, uint32_t rows) {
	size_t pitch = bytes + 3;
	struct guarded linear = guarded_create(pitch * rows, 0xee);
	tile_read(&picture->plane, x, y, bytes, rows, linear.memory, pitch);
	for (uint32_t i = 0; i < rows; i++) {
		const uint8_t *row = linear.memory + i * pitch;
		for (uint64_t j = 0; j < bytes; j++) {
			if (row[j] != read_by_hand(picture, x + j, y + i)) {
				ck_abort_msg(
					"layout %d: %u x %u bytes at %u, %u: byte %u of row %u",
					picture->layout, (unsigned)bytes, rows, (unsigned)x, y,
					(unsigned)j, i);
			}
		}
		ck_assert_mem_eq(row + bytes, "\xee\xee\xee", 3);
	}
	guarded_free(&linear);
}

/* Wrong code: a last tile that is taken for a whole one, with what is to the right of it and below. */
START_TEST(image_of_every_small_size_survives) {
	uint32_t width = (uint32_t)_i;
	uint64_t random = runner_seed();
	static uint8_t linear[4 * LARGEST * LARGEST];
	randomize(linear, sizeof(linear), &random);
	for (uint32_t height = 1; height <= LARGEST; height++) {
		for (int layout = ROWS; layout <= COLUMNS; layout++) {
			uint32_t sample_bytes = 1u << (width + height) % 3;
			struct picture picture =
				picture_create(layout, sample_bytes, width, height, 0xa5);
			uint64_t row = row_bytes(&picture);
			tile_write(&picture.plane, 0, 0, row, height, linear, row);
			assert_samples(&picture, linear, "written");
			assert_read(&picture, 0, 0, row, height);
			picture_free(&picture);
		}
	}
}
END_TEST

/* Set bytes by hand, and by tile_write(): all of the memory has to be the same then. */
static void write_both(struct picture *picture, struct picture *by_hand, uint64_t x, uint32_t y,
	uint64_t bytes, uint32_t rows, const uint8_t *linear, size_t pitch) {
	tile_write(&picture->plane, x, y, bytes, rows, linear, pitch);
	for (uint32_t i = 0; i < rows; i++) {
		for (uint64_t j = 0; j < bytes; j++) {
			*byte_by_hand(by_hand, x + j, y + i) = linear[i * pitch + j];
		}
	}
	ck_assert_msg(memcmp(picture->samples.memory, by_hand->samples.memory,
			      picture->samples.bytes) == 0,
		"layout %d: %u x %u bytes at %u, %u", picture->layout, (unsigned)bytes, rows,
		(unsigned)x, y);
}

/* Wrong code: the part of a column before the first whole one, or after the last, at the wrong place. */
START_TEST(rectangle_of_every_small_size_survives) {
	static const struct {
		uint32_t x,
			y; /* bytes, rows: across the borders of tiles, of columns, of nothing */
	} at[] = { { 485, 3 }, { 113, 25 }, { 7, 0 }, { 531, 31 } };
	uint32_t bytes = (uint32_t)_i;
	uint64_t random = runner_seed();
	static uint8_t linear[(LARGEST + 5) * LARGEST];
	randomize(linear, sizeof(linear), &random);
	for (int layout = ROWS; layout <= COLUMNS; layout++) {
		struct picture picture = picture_create_wide(layout, 1, 601, 101, 0xa5, 1);
		struct picture by_hand = picture_create_wide(layout, 1, 601, 101, 0xa5, 1);
		for (uint32_t rows = 1; rows <= LARGEST; rows++) {
			uint32_t x = at[(bytes + rows) % ARRAY_LENGTH(at)].x;
			uint32_t y = at[(bytes + rows / 4) % ARRAY_LENGTH(at)].y;
			write_both(&picture, &by_hand, x, y, bytes, rows, linear, bytes + 5);
			assert_read(&picture, x, y, bytes, rows);
		}
		picture_free(&picture);
		picture_free(&by_hand);
	}
}
END_TEST

/* Wrong code: a tile looked at, or resolved, that is right of the plane or that nothing is written to. */
START_TEST(nothing_of_a_plane_is_nothing) {
	static const uint8_t cleared[8] = { 1 };
	uint8_t linear[4] = { 1, 2, 3, 4 };
	for (int layout = ROWS; layout <= COLUMNS; layout++) {
		struct picture picture = picture_create(layout, 1, 128, 40, 0xa5);
		for (size_t i = 0; i < picture.meta.bytes; i += 8) {
			memcpy(picture.meta.memory + i, cleared, 8);
		}
		static const uint32_t nothing[][4] = { { 3, 4, 0, 2 }, { 3, 4, 2, 0 },
			{ 128, 0, 0, 40 }, { 0, 40, 128, 0 }, { 128, 40, 0, 0 } };
		for (size_t i = 0; i < ARRAY_LENGTH(nothing); i++) {
			const uint32_t *at = nothing[i];
			tile_write(&picture.plane, at[0], at[1], at[2], at[3], linear, 2);
			tile_fill(&picture.plane, at[0], at[1], at[2], at[3], 7);
			tile_read(&picture.plane, at[0], at[1], at[2], at[3], linear, 2);
		}
		ck_assert_mem_eq(linear, "\1\2\3\4", 4);
		assert_all(picture.samples.memory, picture.samples.bytes, 0xa5);
		for (size_t i = 0; i < picture.meta.bytes; i += 8) {
			ck_assert_mem_eq(picture.meta.memory + i, cleared, 8);
		}
		picture_free(&picture);
	}
}
END_TEST

/* ---- Filling ------------------------------------------------------------------------------- */

/* A linear image that the same is done to. */
static void fill_by_hand(const struct picture *picture, uint8_t *linear, uint32_t x, uint32_t y,
	uint32_t width, uint32_t rows, uint32_t value) {
	uint32_t sample_bytes = picture->plane.sample_bytes;
	for (uint32_t i = y; i < y + rows; i++) {
		for (uint32_t j = x * sample_bytes; j < (x + width) * sample_bytes; j++) {
			linear[i * row_bytes(picture) + j] =
				(uint8_t)(value >> 8 * (j % sample_bytes));
		}
	}
}

static uint32_t value_of(uint32_t sample_bytes, uint32_t value) {
	return sample_bytes == 4 ? value : value & ((1u << 8 * sample_bytes) - 1);
}

/* Wrong code: a sample's bytes in another order, or a pattern that begins anew in a wrong place. */
START_TEST(fill_sets_each_sample) {
	uint32_t sample_bytes = 1u << _i;
	static uint8_t linear[4 * 301 * 67];
	for (int layout = ROWS; layout <= COLUMNS; layout++) {
		struct picture picture = picture_create(layout, sample_bytes, 301, 67, 0);
		memset(linear, 0, sizeof(linear));
		for (uint32_t i = 0; i < 40; i++) {
			uint32_t x = i * 7, y = i, width = 301 - x - i / 2, rows = 67 - y - i / 2;
			uint32_t value = value_of(sample_bytes, 0x04030201 + 0x11111111 * i);
			tile_fill(&picture.plane, x, y, width, rows, value);
			fill_by_hand(&picture, linear, x, y, width, rows, value);
			assert_samples(&picture, linear, "filled");
		}
		assert_read(&picture, 0, 0, row_bytes(&picture), 67);
		picture_free(&picture);
	}
}
END_TEST

/* ---- Metadata ------------------------------------------------------------------------------ */

/* Three tiles across, two down, the last ones of each not whole: 80 x 40 of four bytes. */
static struct picture create_with_garbage(void) {
	return picture_create(COLUMNS, 4, 80, 40, 0xa5);
}

/* The point of it. Wrong code: samples written too; a last tile that is not taken for a whole one. */
START_TEST(fill_of_whole_tiles_writes_metadata_alone) {
	struct picture picture = create_with_garbage();
	tile_fill(&picture.plane, 0, 0, 80, 40, 0x12345678);
	assert_all(picture.samples.memory, picture.samples.bytes, 0xa5);
	for (uint32_t y = 0; y < 2; y++) {
		const uint8_t *row = picture.meta.memory + y * picture.plane.meta_pitch;
		for (uint32_t x = 0; x < 3; x++) {
			/* Little endian, whatever the machine. */
			ck_assert_mem_eq(row + 8 * x, "\1\0\0\0\x78\x56\x34\x12", 8);
		}
		assert_all(row + 3 * 8, picture.plane.meta_pitch - 3 * 8, 0);
	}
	assert_read(&picture, 0, 0, 320, 40);
	picture_free(&picture);
}
END_TEST

/* Wrong code: metadata that is not needed, because samples are written as well. */
START_TEST(who_ignores_metadata_sees_garbage) {
	struct picture picture = create_with_garbage();
	uint8_t linear[320 * 40];
	tile_fill(&picture.plane, 0, 0, 80, 40, 0x12345678);
	tile_read(&picture.plane, 0, 0, 320, 40, linear, 320);
	for (uint32_t i = 0; i < sizeof(linear); i += 4) {
		ck_assert_mem_eq(linear + i, "\x78\x56\x34\x12", 4);
		ck_assert_mem_eq(byte_by_hand(&picture, i % 320, i / 320), "\xa5\xa5\xa5\xa5", 4);
	}
	picture_free(&picture);
}
END_TEST

/* Wrong code: a fill of a part that clears the tile, or one that is one sample short of it. */
START_TEST(fill_of_a_part_of_a_tile_writes_samples) {
	static const struct {
		uint32_t x, y, width, rows;
	} parts[] = { { 0, 0, 31, 32 }, { 1, 0, 31, 32 }, { 0, 0, 32, 31 }, { 0, 1, 32, 31 },
		{ 64, 32, 15, 8 }, { 64, 32, 16, 7 }, { 65, 32, 15, 8 }, { 64, 33, 16, 7 } };
	struct picture picture = create_with_garbage();
	static uint8_t linear[320 * 40];
	memset(linear, 0xa5, sizeof(linear));
	tile_fill(&picture.plane, parts[_i].x, parts[_i].y, parts[_i].width, parts[_i].rows,
		0x12345678);
	fill_by_hand(&picture, linear, parts[_i].x, parts[_i].y, parts[_i].width, parts[_i].rows,
		0x12345678);
	assert_all(picture.meta.memory, picture.meta.bytes, 0);
	assert_samples(&picture, linear, "a part");
	picture_free(&picture);
}
END_TEST

/* Wrong code: garbage that comes back around what is written; a state that stays. */
START_TEST(partial_write_resolves_a_cleared_tile_first) {
	for (uint32_t x = 0; x < 320; x += 13) {
		struct picture picture = create_with_garbage();
		static uint8_t linear[320 * 40];
		uint8_t pixel = 0x3c;
		tile_fill(&picture.plane, 0, 0, 80, 40, 0x12345678);
		fill_by_hand(&picture, linear, 0, 0, 80, 40, 0x12345678);
		uint32_t y = x * 39 / 319;
		tile_write(&picture.plane, x, y, 1, 1, &pixel, 1);
		linear[y * 320 + x] = pixel;
		assert_samples(&picture, linear, "one byte");
		for (uint32_t tile = 0; tile < 6; tile++) {
			uint32_t left = tile % 3 * 128, top = tile / 3 * 32;
			bool hit = x / 128 * 128 == left && y / 32 * 32 == top;
			ck_assert_uint_eq(number(meta_by_hand(&picture, left, top)), hit ? 0 : 1);
		}
		picture_free(&picture);
	}
}
END_TEST

START_TEST(partial_fill_resolves_a_cleared_tile_first) {
	struct picture picture = create_with_garbage();
	static uint8_t linear[320 * 40];
	tile_fill(&picture.plane, 0, 0, 80, 40, 0x12345678);
	tile_fill(&picture.plane, 5, 0, 59, 33, 0x9abcdef0);
	fill_by_hand(&picture, linear, 0, 0, 80, 40, 0x12345678);
	fill_by_hand(&picture, linear, 5, 0, 59, 33, 0x9abcdef0);
	assert_samples(&picture, linear, "filled twice");
	/* Of the first row of tiles, the second one is wholly of the new value, the third untouched. */
	static const uint32_t states[6] = { 0, 1, 1, 0, 0, 1 };
	for (uint32_t i = 0; i < 6; i++) {
		ck_assert_uint_eq(
			number(meta_by_hand(&picture, i % 3 * 128, i / 3 * 32)), states[i]);
	}
	picture_free(&picture);
}
END_TEST

/* Wrong code: the state left as it was, so that what was written is not to be seen. */
START_TEST(whole_write_makes_samples_count_again) {
	struct picture picture = create_with_garbage();
	static uint8_t linear[320 * 40];
	uint64_t random = runner_seed();
	randomize(linear, sizeof(linear), &random);
	tile_fill(&picture.plane, 0, 0, 80, 40, 0x12345678);
	tile_write(&picture.plane, 0, 0, 320, 40, linear, 320);
	assert_samples(&picture, linear, "written");
	for (uint32_t i = 0; i < 6; i++) {
		ck_assert_uint_eq(number(meta_by_hand(&picture, i % 3 * 128, i / 3 * 32)), 0);
	}
	picture_free(&picture);
}
END_TEST

/* Wrong code: a state that says that there is something to be read first. */
START_TEST(zeroed_memory_is_a_picture_of_zeros) {
	for (int layout = ROWS; layout <= COLUMNS; layout++) {
		struct picture picture = picture_create(layout, 2, 333, 45, 0);
		static const uint8_t linear[2 * 333 * 45];
		assert_samples(&picture, linear, "zeros");
		assert_read(&picture, 0, 0, 666, 45);
		picture_free(&picture);
	}
}
END_TEST

/* The metadata may be another program's. Wrong code: any state but 0 taken for 1. */
START_TEST(unknown_state_counts_as_samples) {
	static const uint8_t states[][4] = { { 2 }, { 0, 1 }, { 0, 0, 0, 1 },
		{ 0xff, 0xff, 0xff, 0xff }, { 1, 0, 0, 0x80 } };
	struct picture picture = create_with_garbage();
	memcpy(meta_by_hand(&picture, 0, 0), states[_i], 4);
	uint8_t linear[128 * 32], pixel = 0x3c;
	tile_read(&picture.plane, 0, 0, 128, 32, linear, 128);
	assert_all(linear, sizeof(linear), 0xa5);
	tile_write(&picture.plane, 0, 0, 1, 1, &pixel, 1);
	ck_assert_uint_eq(*byte_by_hand(&picture, 0, 0), 0x3c);
	ck_assert_uint_eq(*byte_by_hand(&picture, 1, 0), 0xa5);
	picture_free(&picture);
}
END_TEST

/* The same. Wrong code: the upper bytes of another program's value in samples of one or two bytes. */
START_TEST(bytes_that_a_sample_does_not_have_are_not_looked_at) {
	uint32_t sample_bytes = 1u << _i;
	struct picture picture = picture_create(COLUMNS, sample_bytes, 50, 50, 0xa5);
	for (uint32_t y = 0; y < 50; y += 32) {
		memcpy(meta_by_hand(&picture, 0, y), "\1\0\0\0\x11\x22\x33\x44", 8);
	}
	uint8_t pixel = 0x3c;
	assert_read(&picture, 1, 0, 49 * sample_bytes, 50);
	tile_write(&picture.plane, 0, 0, 1, 1, &pixel, 1);
	for (uint32_t x = 1; x < 50; x++) {
		ck_assert_uint_eq(*byte_by_hand(&picture, x, 0), 0x11 * (1 + x % sample_bytes));
	}
	picture_free(&picture);
}
END_TEST

/* Whatever is done, in any order, against a linear image. */
START_TEST(random_history_is_that_of_a_linear_image) {
	enum { STEPS = 400, WIDTH = 150, HEIGHT = 100 };
	uint64_t random = runner_seed() + (uint64_t)_i;
	uint32_t sample_bytes = 1u << _i % 3;
	int layout = _i % 2 == 0 ? COLUMNS : ROWS;
	struct picture picture = picture_create(layout, sample_bytes, WIDTH, HEIGHT, 0);
	static uint8_t linear[4 * WIDTH * HEIGHT], source[4 * WIDTH * HEIGHT];
	memset(linear, 0, sizeof(linear));
	for (int step = 0; step < STEPS; step++) {
		/* Often at the border of a tile. */
		uint32_t x = (uint32_t)(runner_random(&random) % WIDTH);
		uint32_t y = (uint32_t)(runner_random(&random) % HEIGHT);
		x = runner_random(&random) % 2 == 0 ? x & ~31u : x;
		y = runner_random(&random) % 2 == 0 ? y & ~31u : y;
		uint32_t width = 1 + (uint32_t)(runner_random(&random) % (WIDTH - x));
		uint32_t rows = 1 + (uint32_t)(runner_random(&random) % (HEIGHT - y));
		uint64_t row = row_bytes(&picture), left = x * sample_bytes;
		uint64_t bytes = width * sample_bytes;
		uint32_t value = value_of(sample_bytes, (uint32_t)runner_random(&random));
		switch (runner_random(&random) % 3) {
		case 0:
			tile_fill(&picture.plane, x, y, width, rows, value);
			fill_by_hand(&picture, linear, x, y, width, rows, value);
			break;
		case 1:
			randomize(source, bytes * rows, &random);
			tile_write(&picture.plane, left, y, bytes, rows, source, bytes);
			for (uint32_t i = 0; i < rows; i++) {
				memcpy(linear + (y + i) * row + left, source + i * bytes, bytes);
			}
			break;
		default:
			assert_read(&picture, left, y, bytes, rows);
			break;
		}
		if (step % 10 == 0) {
			assert_samples(&picture, linear, "after a step");
		}
	}
	assert_samples(&picture, linear, "at the end");
	picture_free(&picture);
}
END_TEST

/* ---- NV12 ---------------------------------------------------------------------------------- */

/* The plane of an image in one piece of memory. */
static struct picture plane_of(const struct stile_format *format, int layout,
	const struct stile_image_info *info, uint32_t plane, uint8_t *memory) {
	struct picture picture = {
		.layout = layout,
		.plane = {
			.tiling = &tile_tilings[layout],
			.memory = memory + info->planes[plane].offset,
			.pitch = info->planes[plane].pitch,
			.sample_bytes = format->planes[plane].bytes,
			.width = format_plane_width(format, plane, info->width),
			.height = format_plane_height(format, plane, info->height),
		},
	};
	picture.samples.memory = picture.plane.memory;
	if (layout == COLUMNS) {
		const struct stile_image_plane *meta = &info->planes[format->plane_count + plane];
		picture.plane.meta = memory + meta->offset;
		picture.plane.meta_pitch = meta->pitch;
		picture.meta.memory = picture.plane.meta;
	}
	return picture;
}

/* Wrong code: planes or metadata that overlap, or metadata of the other plane. */
START_TEST(planes_of_nv12_do_not_touch_each_other) {
	const struct stile_format *format = stile_format_get(DRM_FORMAT_NV12);
	const struct format_rules rules = { 64, 64, 4, 1 };
	static uint8_t linear[2][302 * 102];
	uint64_t random = runner_seed();
	for (int layout = ROWS; layout <= COLUMNS; layout++) {
		struct stile_image_info info = { .width = 302, .height = 102 };
		uint64_t bytes;
		ck_assert(format_layout(format, &tile_tilings[layout], &rules, &info, &bytes));
		struct guarded all = guarded_create(bytes, 0);
		struct picture planes[2];
		for (uint32_t i = 0; i < 2; i++) {
			planes[i] = plane_of(format, layout, &info, i, all.memory);
			randomize(
				linear[i], row_bytes(&planes[i]) * planes[i].plane.height, &random);
			tile_write(&planes[i].plane, 0, 0, row_bytes(&planes[i]),
				planes[i].plane.height, linear[i], row_bytes(&planes[i]));
		}
		assert_samples(&planes[0], linear[0], "luma");
		assert_samples(&planes[1], linear[1], "chroma");
		tile_fill(&planes[1].plane, 0, 0, 151, 51, 0x8040);
		fill_by_hand(&planes[1], linear[1], 0, 0, 151, 51, 0x8040);
		assert_samples(&planes[0], linear[0], "luma, chroma being filled");
		assert_samples(&planes[1], linear[1], "chroma, filled");
		guarded_free(&all);
	}
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("tile");
	TCase *addresses = ledger_tcase_create("addresses");
	tcase_add_loop_test(addresses, byte_is_where_the_page_says, 0, ARRAY_LENGTH(places));
	tcase_add_test(addresses, tilings_are_those_of_the_page);
	tcase_add_test(addresses, address_of_a_large_image_is_exact);
	tcase_add_loop_test(addresses, every_byte_has_a_place_of_its_own, 0, 3);
	suite_add_tcase(s, addresses);

	TCase *copies = ledger_tcase_create("copies");
	tcase_add_loop_test(copies, image_of_every_small_size_survives, 1, LARGEST + 1);
	tcase_add_loop_test(copies, rectangle_of_every_small_size_survives, 1, LARGEST + 1);
	tcase_add_test(copies, nothing_of_a_plane_is_nothing);
	tcase_add_loop_test(copies, fill_sets_each_sample, 0, 3);
	tcase_add_test(copies, planes_of_nv12_do_not_touch_each_other);
	suite_add_tcase(s, copies);

	TCase *metadata = ledger_tcase_create("metadata");
	tcase_add_test(metadata, fill_of_whole_tiles_writes_metadata_alone);
	tcase_add_test(metadata, who_ignores_metadata_sees_garbage);
	tcase_add_loop_test(metadata, fill_of_a_part_of_a_tile_writes_samples, 0, 8);
	tcase_add_test(metadata, partial_write_resolves_a_cleared_tile_first);
	tcase_add_test(metadata, partial_fill_resolves_a_cleared_tile_first);
	tcase_add_test(metadata, whole_write_makes_samples_count_again);
	tcase_add_test(metadata, zeroed_memory_is_a_picture_of_zeros);
	tcase_add_loop_test(metadata, unknown_state_counts_as_samples, 0, 5);
	tcase_add_loop_test(metadata, bytes_that_a_sample_does_not_have_are_not_looked_at, 0, 2);
	tcase_add_loop_test(metadata, random_history_is_that_of_a_linear_image, 0, 12);
	suite_add_tcase(s, metadata);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
