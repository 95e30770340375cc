/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pixman.h>

#include "backends/swgpu/command.h"
#include "src/abi.h"
#include "src/macros.h"

struct composite {
	struct command command;
	struct operand from, to;
	pixman_format_code_t from_format, to_format;
	struct area source, target;
	pixman_op_t op;
	pixman_filter_t filter;
	uint8_t alpha;
};

/* Pixman names them as DRM does, but for samples of 8 bits: those are alpha. */
static const struct {
	uint32_t fourcc;
	pixman_format_code_t pixman;
} formats[] = {
	{ DRM_FORMAT_XRGB8888, PIXMAN_x8r8g8b8 },
	{ DRM_FORMAT_ARGB8888, PIXMAN_a8r8g8b8 },
	{ DRM_FORMAT_XBGR8888, PIXMAN_x8b8g8r8 },
	{ DRM_FORMAT_ABGR8888, PIXMAN_a8b8g8r8 },
	{ DRM_FORMAT_RGBX8888, PIXMAN_r8g8b8x8 },
	{ DRM_FORMAT_RGBA8888, PIXMAN_r8g8b8a8 },
	{ DRM_FORMAT_BGRX8888, PIXMAN_b8g8r8x8 },
	{ DRM_FORMAT_BGRA8888, PIXMAN_b8g8r8a8 },
	{ DRM_FORMAT_XRGB2101010, PIXMAN_x2r10g10b10 },
	{ DRM_FORMAT_ARGB2101010, PIXMAN_a2r10g10b10 },
	{ DRM_FORMAT_XBGR2101010, PIXMAN_x2b10g10r10 },
	{ DRM_FORMAT_ABGR2101010, PIXMAN_a2b10g10r10 },
	{ DRM_FORMAT_RGB565, PIXMAN_r5g6b5 },
	{ DRM_FORMAT_BGR565, PIXMAN_b5g6r5 },
	{ DRM_FORMAT_XRGB1555, PIXMAN_x1r5g5b5 },
	{ DRM_FORMAT_ARGB1555, PIXMAN_a1r5g5b5 },
	{ DRM_FORMAT_XBGR1555, PIXMAN_x1b5g5r5 },
	{ DRM_FORMAT_ABGR1555, PIXMAN_a1b5g5r5 },
	{ DRM_FORMAT_XRGB4444, PIXMAN_x4r4g4b4 },
	{ DRM_FORMAT_ARGB4444, PIXMAN_a4r4g4b4 },
	{ DRM_FORMAT_XBGR4444, PIXMAN_x4b4g4r4 },
	{ DRM_FORMAT_ABGR4444, PIXMAN_a4b4g4r4 },
	{ DRM_FORMAT_R8, PIXMAN_a8 },
};

/* ---- Executing ------------------------------------------------------------------------------ */

static bool is_scaled(const struct composite *composite) {
	return composite->source.width != composite->target.width ||
		composite->source.height != composite->target.height;
}

/* Pixman wants pixels that begin at a whole word: take some more on the left. */
static struct area align_area(const struct area *area, uint32_t sample_bytes) {
	uint32_t more = area->x % ((uint32_t)sizeof(uint32_t) / sample_bytes);
	return (struct area){ area->x - more, area->y, area->width + more, area->height };
}

/* Some rows of one side. */
struct part {
	struct view *view;
	struct rows rows;
	uint32_t count;
};

static pixman_image_t *image_create(pixman_format_code_t format, const struct part *part) {
	return pixman_image_create_bits_no_clear(format, (int)part->view->area.width,
		(int)part->count, (uint32_t *)(void *)part->rows.memory, (int)part->rows.pitch);
}

/* What is beyond the edges is like the edges: nothing transparent is mixed in. */
static bool scale(const struct composite *composite, pixman_image_t *from) {
	const struct area *source = &composite->source, *target = &composite->target;
	pixman_transform_t transform;
	pixman_transform_init_scale(&transform,
		pixman_double_to_fixed((double)source->width / target->width),
		pixman_double_to_fixed((double)source->height / target->height));
	pixman_image_set_repeat(from, PIXMAN_REPEAT_PAD);
	return pixman_image_set_transform(from, &transform) &&
		pixman_image_set_filter(from, composite->filter, NULL, 0);
}

static void image_unref(pixman_image_t *image) {
	if (image != NULL) {
		pixman_image_unref(image);
	}
}

/* Parts that were got: the same rows of both sides, or all of the source if it is scaled. */
static int draw(const struct composite *composite, const struct part *from, const struct part *to) {
	int ret = -ENOMEM;
	pixman_image_t *mask = NULL, *target = NULL;
	pixman_image_t *source = image_create(composite->from_format, from);
	if (source == NULL || (is_scaled(composite) && !scale(composite, source))) {
		goto out;
	}
	target = image_create(composite->to_format, to);
	if (target == NULL) {
		goto out;
	}
	if (composite->alpha != UINT8_MAX) {
		const pixman_color_t alpha = { .alpha = (uint16_t)(composite->alpha * 0x101) };
		mask = pixman_image_create_solid_fill(&alpha);
		if (mask == NULL) {
			goto out;
		}
	}
	pixman_image_composite32(composite->op, source, mask, target,
		(int32_t)(composite->source.x - from->view->area.x), 0, 0, 0,
		(int32_t)(composite->target.x - to->view->area.x), 0,
		(int32_t)composite->target.width, (int32_t)to->count);
	ret = 0;
out:
	image_unref(mask);
	image_unref(target);
	image_unref(source);
	return ret;
}

/* Some rows of the target. */
static int draw_step(const struct composite *composite, struct view *from, struct view *to,
	uint32_t first, uint32_t count) {
	struct part source = { .view = from };
	struct part target = { .view = to, .count = count };
	source.count = is_scaled(composite) ? from->area.height : count;
	int ret = view_get(from, first, source.count, &source.rows);
	if (ret == 0) {
		ret = view_get(to, first, count, &target.rows);
	}
	if (ret == 0) {
		ret = draw(composite, &source, &target);
	}
	if (ret == 0) {
		view_put(to, first, count, &target.rows);
	}
	return ret;
}

static int draw_views(const struct execution *execution, const struct composite *composite,
	struct view *from, struct view *to) {
	int ret = 0;
	for (uint32_t y = 0, count; y < to->area.height && ret == 0; y += count) {
		/* Scaling in parts might go other ways in pixman than scaling at once. */
		count = is_scaled(composite) ? to->area.height : view_get_step(to, y);
		ret = execution_check(execution);
		if (ret == 0) {
			ret = draw_step(composite, from, to, y, count);
		}
	}
	return ret;
}

/* The source is a picture of its own if it is scaled: its edges are the area's. */
static int open_source(
	const struct execution *execution, const struct composite *composite, struct view *from) {
	uint32_t sample_bytes = composite->from.plane.sample_bytes;
	struct area aligned = align_area(&composite->source, sample_bytes);
	const struct area *area = is_scaled(composite) ? &composite->source : &aligned;
	int ret = view_open(from, execution, &composite->from, area, BUS_READ);
	if (area->x != aligned.x) {
		from->in_place = false;
	}
	return ret;
}

static int composite_execute(const struct execution *execution, const struct command *command) {
	const struct composite *composite = (const struct composite *)command;
	struct area target = align_area(&composite->target, composite->to.plane.sample_bytes);
	struct view from, to = { 0 };
	int ret = open_source(execution, composite, &from);
	if (ret == 0) {
		ret = view_open(&to, execution, &composite->to, &target, BUS_READ | BUS_WRITE);
	}
	if (ret == 0) {
		ret = draw_views(execution, composite, &from, &to);
	}
	view_close(&to);
	view_close(&from);
	return ret;
}

static const struct command_type composite_type = {
	.name = "composite",
	.execute = composite_execute,
};

/* ---- Recording ------------------------------------------------------------------------------ */

static bool find_format(const struct stile_image *image, pixman_format_code_t *out) {
	for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
		if (formats[i].fourcc == image->format->fourcc) {
			*out = formats[i].pixman;
			return true;
		}
	}
	return false;
}

static bool find_operator(enum stile_swgpu_operator op, pixman_op_t *out) {
	*out = op == STILE_SWGPU_OVER ? PIXMAN_OP_OVER : PIXMAN_OP_SRC;
	return op == STILE_SWGPU_OVER || op == STILE_SWGPU_SRC;
}

static bool find_filter(enum stile_swgpu_filter filter, pixman_filter_t *out) {
	*out = filter == STILE_SWGPU_BILINEAR ? PIXMAN_FILTER_BILINEAR : PIXMAN_FILTER_NEAREST;
	return filter == STILE_SWGPU_BILINEAR || filter == STILE_SWGPU_NEAREST;
}

static bool find_area(
	const struct stile_image *image, const struct stile_swgpu_rect *rect, struct area *out) {
	const struct stile_swgpu_rect all = { 0, 0, image->info.width, image->info.height };
	return area_of_rect(rect->width == 0 ? &all : rect, &image->info, out);
}

static bool composite_is_valid(
	const struct stile_swgpu_composite *info, struct composite *composite) {
	return find_format(info->from, &composite->from_format) &&
		find_format(info->to, &composite->to_format) &&
		find_area(info->from, &info->source, &composite->source) &&
		find_area(info->to, &info->target, &composite->target) &&
		find_operator(info->op, &composite->op) &&
		find_filter(info->filter, &composite->filter);
}

/* Do two planes have memory in common? */
static bool is_same_memory(const struct operand *a, const struct operand *b) {
	return a->use == b->use && a->plane.offset < b->plane.offset + b->plane.bytes &&
		b->plane.offset < a->plane.offset + a->plane.bytes;
}

int stile_swgpu_list_composite(
	struct stile_swgpu_list *list, const struct stile_swgpu_composite *composite) {
	struct stile_swgpu_composite known;
	int ret = abi_copy_in(&known, sizeof(known), composite);
	if (ret < 0) {
		return ret;
	}
	struct record record;
	struct composite *command = record_begin(&record, list, &composite_type, sizeof(*command));
	if (command == NULL) {
		return -ENOMEM;
	}
	command->alpha = known.alpha;
	ret = composite_is_valid(&known, command) ? 0 : -EINVAL;
	if (ret == 0) {
		ret = record_image(&record, known.from, STILE_USAGE_READ);
	}
	if (ret == 0) {
		ret = record_image(&record, known.to, STILE_USAGE_WRITE);
	}
	if (ret == 0) {
		ret = record_plane(&record, known.from, 0, STILE_USAGE_READ, &command->from);
	}
	if (ret == 0) {
		ret = record_plane(&record, known.to, 0, STILE_USAGE_WRITE, &command->to);
	}
	if (ret == 0 && is_same_memory(&command->from, &command->to)) {
		ret = -EINVAL;
	}
	return record_end(&record, ret);
}
