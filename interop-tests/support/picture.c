/* SPDX-License-Identifier: MIT */
#include "interop-tests/support/picture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>
#include <fcntl.h>
#include <stile/swgpu_modifier.h>

#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"

enum { BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE };

struct raster raster_create(uint32_t width, uint32_t height, uint32_t sample_bytes) {
	struct raster raster = { width, height, sample_bytes, NULL };
	raster.bytes = calloc(height, raster_pitch(&raster));
	runner_require(raster.bytes != NULL, "no memory for a raster");
	return raster;
}

void raster_free(struct raster *raster) {
	free(raster->bytes);
	*raster = (struct raster){ 0 };
}

/* ---- docs/modifiers.md, literally ---------------------------------------------------------- */

static uint64_t up(uint64_t value, uint64_t to) {
	return (value + to - 1) / to * to;
}

static uint64_t address_by_hand(
	const struct stile_image_info *info, uint32_t plane, uint64_t x, uint64_t y) {
	uint64_t offset = info->planes[plane].offset, pitch = info->planes[plane].pitch;
	if (info->modifier == STILE_SWGPU_MOD_TILED_ROWS) {
		return offset + y / 8 * 8 * pitch + x / 512 * 4096 + y % 8 * 512 + x % 512;
	}
	if (info->modifier == STILE_SWGPU_MOD_TILED_COLUMNS) {
		return offset + y / 32 * 32 * pitch + x / 128 * 4096 + x % 128 / 16 * 512 +
			y % 32 * 16 + x % 16;
	}
	return offset + y * pitch + x;
}

/* The metadata of a byte's tile, in all of the memory; NULL: there is none. */
static uint8_t *meta_by_hand(const struct stile_image_info *info, uint8_t *memory, uint32_t plane,
	uint64_t x, uint64_t y) {
	const struct stile_image_plane *meta = &info->planes[info->plane_count / 2 + plane];
	return info->modifier == STILE_SWGPU_MOD_TILED_COLUMNS
		? memory + meta->offset + y / 32 * meta->pitch + x / 128 * 8
		: NULL;
}

/* In all layouts, 16 bytes of a row are one after another. */
enum { PIECE = 16 };

static size_t piece_at(size_t x, size_t row_bytes) {
	return row_bytes - x < PIECE ? row_bytes - x : PIECE;
}

/* Read a piece. */
static void read_by_hand(const struct stile_image_info *info, uint8_t *memory, uint32_t plane,
	const struct raster *raster, uint64_t x, uint64_t y, uint8_t piece[PIECE]) {
	const uint8_t *meta = meta_by_hand(info, memory, plane, x, y);
	const uint8_t *bytes = memory + address_by_hand(info, plane, x, y);
	if (meta == NULL || meta[0] != 1 || meta[1] != 0 || meta[2] != 0 || meta[3] != 0) {
		memcpy(piece, bytes, piece_at(x, raster_pitch(raster)));
		return;
	}
	for (size_t i = 0; i < PIECE; i++) {
		piece[i] = meta[4 + i % raster->sample_bytes];
	}
}

/* ---- Memory -------------------------------------------------------------------------------- */

/* All planes are in one buffer. */
static uint8_t *memory_begin(struct stile_image *image) {
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *address;
	ck_assert_int_eq(stile_buffer_begin_cpu_access(buffer, BOTH, INT64_MAX, NULL), 0);
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	return address;
}

static void memory_end(struct stile_image *image, uint8_t *memory) {
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	stile_buffer_munmap(buffer, memory);
	ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, BOTH), 0);
}

/* ---- Pictures ------------------------------------------------------------------------------ */

/* Blocks of a plane in a row: the last one may be a part. */
static uint32_t count_blocks(const struct stile_format_plane *plane, uint32_t width) {
	return (width / plane->hsub + plane->block - 1) / plane->block;
}

/* Planes with more than they need around them, in memory of their own. */
static void lay_out(const struct stile_format *format, struct stile_image_info *info,
	uint64_t *random, uint64_t *bytes) {
	bool columns = info->modifier == STILE_SWGPU_MOD_TILED_COLUMNS;
	bool rows = info->modifier == STILE_SWGPU_MOD_TILED_ROWS;
	uint64_t tile_bytes = columns ? 128 : rows ? 512 : 16, tile_rows = columns ? 32 : 8;
	uint64_t at = columns || rows ? 4096 : 48;
	info->plane_count = format->plane_count * (columns ? 2 : 1);
	for (uint32_t i = 0; i < info->plane_count; i++) {
		const struct stile_format_plane *plane = &format->planes[i % format->plane_count];
		uint64_t row = (uint64_t)count_blocks(plane, info->width) * plane->bytes;
		uint64_t height = up(info->height / plane->vsub, tile_rows);
		bool meta = i >= format->plane_count;
		uint64_t pitch = meta ? up(up(row, 128) / 128 * 8, 64) : up(row, tile_bytes);
		pitch += (meta ? 64 : tile_bytes) * (runner_random(random) % 3);
		info->planes[i].pitch = (uint32_t)pitch;
		info->planes[i].offset = at;
		at += pitch * (meta ? height / 32 : height) + 4096 * (runner_random(random) % 2);
		at = up(at, columns || rows ? 4096 : 16);
	}
	*bytes = up(at + 16 * 4096, 4096);
}

static struct stile_image *import(
	struct stile_device *device, const struct stile_image_info *info, uint64_t *random) {
	struct stile_image_info laid_out = *info;
	uint64_t bytes;
	lay_out(stile_format_get(info->fourcc), &laid_out, random, &bytes);
	int fd = memory_create(bytes, F_SEAL_SHRINK);
	for (uint32_t i = 0; i < laid_out.plane_count; i++) {
		laid_out.planes[i].fd = fd;
	}
	struct stile_image *image;
	struct stile_report report = { .size = sizeof(report) };
	int ret = stile_image_import(device, &laid_out, &report, &image);
	ck_assert_msg(ret == 0, "%s", report.text);
	close(fd);
	return image;
}

/* What is in the memory becomes the picture: random numbers are no metadata, though. */
static void picture_fill(struct picture *picture, uint64_t *random) {
	const struct stile_image_info *info = stile_image_get_info(picture->image);
	uint64_t bytes = stile_buffer_get_bytes(stile_image_get_buffer(picture->image, 0));
	uint8_t *memory = memory_begin(picture->image);
	for (uint64_t i = 0; i + sizeof(uint64_t) <= bytes; i += sizeof(uint64_t)) {
		uint64_t word = runner_random(random);
		memcpy(memory + i, &word, sizeof(word));
	}
	for (uint32_t i = 0; i < picture->plane_count; i++) {
		struct raster *raster = &picture->planes[i];
		size_t row_bytes = raster_pitch(raster);
		for (uint32_t y = 0; y < raster->height; y++) {
			for (size_t x = 0; x < row_bytes; x += PIECE) {
				uint8_t *meta = meta_by_hand(info, memory, i, x, y);
				if (meta != NULL) {
					memset(meta, 0, 4);
				}
				memcpy(raster->bytes + y * row_bytes + x,
					memory + address_by_hand(info, i, x, y),
					piece_at(x, row_bytes));
			}
		}
	}
	picture->memory = malloc(bytes);
	runner_require(picture->memory != NULL, "no memory for a picture");
	memcpy(picture->memory, memory, bytes);
	memory_end(picture->image, memory);
}

struct picture picture_make(
	struct stile_device *device, const struct picture_info *info, uint64_t *random) {
	const struct stile_format *format = stile_format_get(info->fourcc);
	const struct stile_image_info image_info = {
		.size = sizeof(image_info),
		.width = info->width,
		.height = info->height,
		.fourcc = info->fourcc,
		.usage = BOTH,
		.modifier = info->modifier,
	};
	struct picture picture = { .plane_count = format->plane_count };
	if (info->imported) {
		picture.image = import(device, &image_info, random);
	} else {
		ck_assert_int_eq(stile_image_create(device, &image_info, &picture.image), 0);
	}
	for (uint32_t i = 0; i < picture.plane_count; i++) {
		const struct stile_format_plane *plane = &format->planes[i];
		picture.planes[i] = raster_create(
			count_blocks(plane, info->width), info->height / plane->vsub, plane->bytes);
	}
	picture_fill(&picture, random);
	return picture;
}

/* Of linear memory: what does not belong to samples, is as it was. */
static void check_around(const struct picture *picture, const uint8_t *memory, const char *what) {
	const struct stile_image_info *info = stile_image_get_info(picture->image);
	uint64_t bytes = stile_buffer_get_bytes(stile_image_get_buffer(picture->image, 0));
	uint8_t *expected = picture->memory;
	for (uint32_t i = 0; i < picture->plane_count; i++) {
		const struct raster *raster = &picture->planes[i];
		for (uint32_t y = 0; y < raster->height; y++) {
			memcpy(expected + address_by_hand(info, i, 0, y), raster_at(raster, 0, y),
				raster_pitch(raster));
		}
	}
	for (uint64_t i = 0; memcmp(memory, expected, bytes) != 0 && i < bytes; i++) {
		ck_assert_msg(memory[i] == expected[i],
			"%s: byte %llu of the memory is 0x%02x, not 0x%02x", what,
			(unsigned long long)i, memory[i], expected[i]);
	}
}

static void check_plane(
	const struct picture *picture, uint8_t *memory, uint32_t plane, const char *what) {
	const struct stile_image_info *info = stile_image_get_info(picture->image);
	const struct raster *raster = &picture->planes[plane];
	size_t row_bytes = raster_pitch(raster);
	for (uint32_t y = 0; y < raster->height; y++) {
		for (size_t x = 0; x < row_bytes; x += PIECE) {
			uint8_t piece[PIECE];
			const uint8_t *expected = raster->bytes + y * row_bytes + x;
			read_by_hand(info, memory, plane, raster, x, y, piece);
			size_t count = piece_at(x, row_bytes), i = 0;
			while (i < count && piece[i] == expected[i]) {
				i++;
			}
			if (i < count) {
				ck_abort_msg(
					"%s: plane %u, byte %zu of row %u is 0x%02x, not 0x%02x",
					what, plane, x + i, y, piece[i], expected[i]);
			}
		}
	}
}

void picture_check(const struct picture *picture, const char *what) {
	const struct stile_image_info *info = stile_image_get_info(picture->image);
	uint8_t *memory = memory_begin(picture->image);
	for (uint32_t i = 0; i < picture->plane_count; i++) {
		check_plane(picture, memory, i, what);
	}
	if (info->modifier == DRM_FORMAT_MOD_LINEAR) {
		check_around(picture, memory, what);
	}
	memory_end(picture->image, memory);
}

void picture_destroy(struct picture *picture) {
	for (uint32_t i = 0; i < picture->plane_count; i++) {
		raster_free(&picture->planes[i]);
	}
	free(picture->memory);
	stile_image_unref(picture->image);
}
