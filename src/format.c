/* SPDX-License-Identifier: MIT */
#include "src/format.h"

#include "src/macros.h"

#define RGB(name_, opaque_) \
	{ \
		.fourcc = DRM_FORMAT_##name_, .name = #name_, .opaque = DRM_FORMAT_##opaque_, \
		.plane_count = 1, .planes = { \
			{ .bytes = 4, .hsub = 1, .vsub = 1 } \
		} \
	}

static const struct stile_format formats[] = {
	RGB(XRGB8888, XRGB8888),
	RGB(ARGB8888, XRGB8888),
	RGB(XBGR8888, XBGR8888),
	RGB(ABGR8888, XBGR8888),
	{ .fourcc = DRM_FORMAT_R8,
		.name = "R8",
		.opaque = DRM_FORMAT_R8,
		.plane_count = 1,
		.planes = { { .bytes = 1, .hsub = 1, .vsub = 1 } } },
	{ .fourcc = DRM_FORMAT_NV12,
		.name = "NV12",
		.opaque = DRM_FORMAT_NV12,
		.plane_count = 2,
		.planes = { { .bytes = 1, .hsub = 1, .vsub = 1 },
			{ .bytes = 2, .hsub = 2, .vsub = 2 } } },
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

static uint32_t divide_up(uint32_t value, uint32_t by) {
	return value / by + (value % by != 0);
}

uint32_t format_plane_width(const struct stile_format *format, uint32_t plane, uint32_t width) {
	return divide_up(width, format->planes[plane].hsub);
}

uint32_t format_plane_height(const struct stile_format *format, uint32_t plane, uint32_t height) {
	return divide_up(height, format->planes[plane].vsub);
}

uint64_t format_row_bytes(const struct stile_format *format, uint32_t plane, uint32_t width) {
	return (uint64_t)format_plane_width(format, plane, width) * format->planes[plane].bytes;
}

bool format_plane_end(const struct stile_format *format, uint32_t plane, uint32_t height,
	uint64_t offset, uint64_t pitch, uint32_t row_group, uint64_t *out) {
	uint64_t rows;
	if (!format_align(format_plane_height(format, plane, height), row_group, &rows) ||
		pitch > UINT64_MAX / rows || offset > UINT64_MAX - pitch * rows) {
		return false;
	}
	*out = offset + pitch * rows;
	return true;
}

bool format_layout(const struct stile_format *format, struct stile_image_info *info,
	uint32_t pitch_align, uint32_t offset_align, uint32_t row_group, uint64_t *bytes) {
	uint64_t end = 0;
	info->plane_count = format->plane_count;
	for (uint32_t i = 0; i < format->plane_count; i++) {
		/* Software drivers draw in blocks of row_group × row_group samples. */
		uint64_t width, pitch, offset;
		if (!format_align(format_plane_width(format, i, info->width), row_group, &width) ||
			!format_align(width * format->planes[i].bytes, pitch_align, &pitch) ||
			pitch > UINT32_MAX || !format_align(end, offset_align, &offset) ||
			!format_plane_end(
				format, i, info->height, offset, pitch, row_group, &end)) {
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
