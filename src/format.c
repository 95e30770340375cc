/* SPDX-License-Identifier: MIT */
#include "src/format.h"

#include "src/macros.h"

/* Metadata begins, and its rows begin, at whole cache lines. */
enum { META_ALIGN = 64 };

#define LIST(...) \
	{ __VA_ARGS__ }
/* How many planes there are, those initialisers say. */
#define COUNT(...) \
	(sizeof((struct stile_format_plane[])LIST(__VA_ARGS__)) / sizeof(struct stile_format_plane))

#define RGB( \
	name_, opaque_, alpha_, bytes_, bits_, float_, vk, order, gl_internal, gl_format, gl_type) \
	{ \
		.fourcc = DRM_FORMAT_##name_, \
		.name = #name_, \
		.opaque = DRM_FORMAT_##opaque_, \
		.alpha = DRM_FORMAT_##alpha_, \
		.plane_count = 1, \
		.planes = { { (bytes_), 1, 1, 1 } }, \
		.bits = (bits_), \
		.hsub = 1, \
		.vsub = 1, \
		.is_float = (float_), \
	},
#define YUV(name_, opaque_, alpha_, planes_, bits_, hsub_, vsub_, vk, order) \
	{ \
		.fourcc = DRM_FORMAT_##name_, \
		.name = #name_, \
		.opaque = DRM_FORMAT_##opaque_, \
		.alpha = DRM_FORMAT_##alpha_, \
		.plane_count = COUNT planes_, \
		.planes = LIST planes_, \
		.bits = (bits_), \
		.hsub = (hsub_), \
		.vsub = (vsub_), \
		.is_yuv = true, \
	},

static const struct stile_format formats[] = {
#include "src/format_table.inc"
};

const struct stile_format *stile_format_get(uint32_t fourcc) {
	for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
		if (formats[i].fourcc == fourcc) {
			return &formats[i];
		}
	}
	return NULL;
}

const struct stile_format *stile_format_get_nth(size_t index) {
	return index < ARRAY_LENGTH(formats) ? &formats[index] : NULL;
}

bool format_align(uint64_t value, uint64_t align, uint64_t *out) {
	if (value > UINT64_MAX - (align - 1)) {
		return false;
	}
	*out = (value + align - 1) & ~(align - 1);
	return true;
}

/* Most often by one: that is not worth a division, of which a layout would have a dozen. */
static uint64_t divide_up(uint64_t value, uint32_t by) {
	return by == 1 ? value : value / by + (value % by != 0);
}

uint32_t format_plane_width(const struct stile_format *format, uint32_t plane, uint32_t width) {
	const struct stile_format_plane *at = &format->planes[plane];
	return (uint32_t)divide_up(width, (uint32_t)at->hsub * at->block);
}

uint32_t format_plane_height(const struct stile_format *format, uint32_t plane, uint32_t height) {
	return (uint32_t)divide_up(height, format->planes[plane].vsub);
}

uint64_t format_row_bytes(const struct stile_format *format, uint32_t plane, uint32_t width) {
	return (uint64_t)format_plane_width(format, plane, width) * format->planes[plane].bytes;
}

uint32_t format_plane_count(const struct stile_format *format, const struct format_tiling *tiling) {
	return tiling != NULL && tiling->meta_bytes != 0 ? 2 * format->plane_count
							 : format->plane_count;
}

/* None of it can overflow: extents have 32 bits, a sample and a tile have few bytes. */
void format_get_shape(const struct stile_format *format, const struct format_tiling *tiling,
	uint32_t plane, uint32_t width, uint32_t height, struct format_shape *out) {
	uint32_t samples = plane < format->plane_count ? plane : plane - format->plane_count;
	*out = (struct format_shape){
		.row_bytes = format_row_bytes(format, samples, width),
		.rows = format_plane_height(format, samples, height),
		.pitch_align = 1,
		.offset_align = 1,
	};
	if (tiling == NULL) {
		return;
	}
	uint64_t across = divide_up(out->row_bytes, tiling->tile_bytes);
	uint64_t down = divide_up(out->rows, tiling->tile_rows);
	if (plane < format->plane_count) {
		out->row_bytes = across * tiling->tile_bytes;
		out->rows = down * tiling->tile_rows;
		out->pitch_align = tiling->tile_bytes;
		out->offset_align = tiling->tile_bytes * tiling->tile_rows;
	} else {
		out->row_bytes = across * tiling->meta_bytes;
		out->rows = down;
		out->pitch_align = META_ALIGN;
		out->offset_align = META_ALIGN;
	}
}

bool format_rows_end(
	uint64_t offset, uint64_t pitch, uint64_t rows, uint32_t row_align, uint64_t *out) {
	uint64_t padded, bytes;
	return format_align(rows, row_align, &padded) &&
		!__builtin_mul_overflow(pitch, padded, &bytes) &&
		!__builtin_add_overflow(offset, bytes, out);
}

static uint32_t greater(uint32_t a, uint32_t b) {
	return a > b ? a : b;
}

/* What the rules ask of a plane in addition; of metadata they do not speak. */
static uint32_t apply_rules(const struct stile_format *format, const struct format_tiling *tiling,
	const struct format_rules *rules, uint32_t plane, struct format_shape *shape) {
	if (plane >= format->plane_count) {
		return 1;
	}
	shape->offset_align = greater(shape->offset_align, rules->offset_align);
	shape->pitch_align = greater(shape->pitch_align, rules->pitch_align);
	if (tiling != NULL) {
		return rules->height_align;
	}
	/* Software drivers draw in squares of row_group x row_group samples. */
	uint64_t square = (uint64_t)rules->row_group * format->planes[plane].bytes;
	shape->row_bytes = (shape->row_bytes + square - 1) / square * square;
	return greater(rules->row_group, rules->height_align);
}

bool format_layout(const struct stile_format *format, const struct format_tiling *tiling,
	const struct format_rules *rules, struct stile_image_info *info, uint64_t *bytes) {
	uint64_t end = 0;
	info->plane_count = format_plane_count(format, tiling);
	for (uint32_t i = 0; i < info->plane_count; i++) {
		struct format_shape shape;
		format_get_shape(format, tiling, i, info->width, info->height, &shape);
		uint32_t row_align = apply_rules(format, tiling, rules, i, &shape);
		uint64_t pitch, offset;
		if (!format_align(shape.row_bytes, shape.pitch_align, &pitch) ||
			pitch > UINT32_MAX || !format_align(end, shape.offset_align, &offset) ||
			!format_rows_end(offset, pitch, shape.rows, row_align, &end)) {
			return false;
		}
		info->planes[i] = (struct stile_image_plane){
			.fd = -1,
			.pitch = (uint32_t)pitch,
			.offset = offset,
		};
	}
	*bytes = end;
	return true;
}

void format_fourcc_text(uint32_t fourcc, char text[5]) {
	for (int i = 0; i < 4; i++) {
		uint32_t c = fourcc >> (8 * i) & 0x7f;
		text[i] = '?';
		if (c >= ' ' && c <= '~') {
			text[i] = (char)c;
		}
	}
	text[4] = '\0';
}
