/* SPDX-License-Identifier: MIT */
#include "src/image.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/abi.h"
#include "src/buffer.h"
#include "src/colour.h"
#include "src/constraints.h"
#include "src/device.h"
#include "src/format.h"
#include "src/macros.h"
#include "src/modifier.h"
#include "src/os.h"
#include "src/report.h"

#define USAGE_ALL ((uint32_t)(STILE_USAGE_READ | STILE_USAGE_WRITE))

/* ---- What is asked for -------------------------------------------------------------------- */

static int check_modifier(
	uint64_t modifier, const struct stile_constraints *limits, struct stile_report *why) {
	if (modifier == DRM_FORMAT_MOD_INVALID) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0, 0, modifier,
			"the modifier is DRM_FORMAT_MOD_INVALID: an image's layout has to be explicit, "
			"e.g. DRM_FORMAT_MOD_LINEAR");
	}
	for (size_t i = 0; i < limits->modifier_count; i++) {
		if (limits->modifiers[i] == modifier) {
			return 0;
		}
	}
	if (limits->modifier_count == 0) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0, limits->modifiers[0],
		modifier, "modifier %s is not taken here; taken: %s%s",
		modifier_describe(modifier).text, modifier_describe(limits->modifiers[0]).text,
		limits->modifier_count > 1 ? " and others" : "");
}

static int check_extent(const struct stile_image_info *info, const struct stile_constraints *limits,
	struct stile_report *why) {
	uint32_t max_width = limits->max_width == 0 ? UINT32_MAX : limits->max_width;
	uint32_t max_height = limits->max_height == 0 ? UINT32_MAX : limits->max_height;
	if (info->width > max_width || info->height > max_height) {
		bool wide = info->width > max_width;
		return report_refuse(why, -ERANGE, STILE_REASON_EXTENT, 0,
			wide ? max_width : max_height, wide ? info->width : info->height,
			"%u x %u pixels is too large: at most %u x %u are taken here", info->width,
			info->height, max_width, max_height);
	}
	return 0;
}

const struct format_tiling *image_find_tiling(
	const struct stile_device *device, uint64_t modifier) {
	for (size_t i = 0; i < device->ops->tiling_count; i++) {
		if (device->ops->tilings[i].modifier == modifier) {
			return &device->ops->tilings[i];
		}
	}
	return NULL;
}

static int check_metadata(const struct stile_format *format, const struct format_tiling *tiling,
	struct stile_report *why) {
	uint32_t count = format_plane_count(format, tiling);
	if (count <= STILE_MAX_PLANES) {
		return 0;
	}
	return report_refuse(why, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0, STILE_MAX_PLANES, count,
		"%s in %s has %u planes with those of metadata: an image has at most %u",
		format->name, tiling->name, count, STILE_MAX_PLANES);
}

/* What creating and importing have in common: everything but the planes. */
static int check_picture(const struct stile_device *device, const struct stile_image_info *info,
	const struct stile_format *format, const struct stile_constraints *limits,
	struct stile_report *why) {
	if (os_is_big_endian()) {
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, info->fourcc,
			"this host is big-endian: formats are named by little-endian words, and Stile "
			"knows none by other names yet: its colours would be wrong");
	}
	if (format == NULL) {
		char text[5];
		format_fourcc_text(info->fourcc, text);
		return report_refuse(why, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0, info->fourcc,
			"unknown format '%s' (0x%08x)", text, info->fourcc);
	}
	if (info->usage == 0 || (info->usage & ~USAGE_ALL) != 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0, USAGE_ALL, info->usage,
			"usage 0x%x: at least one of READ (1) and WRITE (2) is needed, and nothing else",
			info->usage);
	}
	if (info->width == 0 || info->height == 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_EXTENT, 0, 1, 0,
			"an image of %u x %u pixels has nothing in it", info->width, info->height);
	}
	if (info->width % format->hsub != 0 || info->height % format->vsub != 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_EXTENT, 0, format->hsub,
			info->width, "%u x %u pixels: %s needs a multiple of %u x %u", info->width,
			info->height, format->name, format->hsub, format->vsub);
	}
	int ret = colour_check(&info->colour, format, why);
	if (ret == 0) {
		ret = check_extent(info, limits, why);
	}
	if (ret == 0) {
		ret = check_modifier(info->modifier, limits, why);
	}
	return ret == 0 ? check_metadata(format, image_find_tiling(device, info->modifier), why)
			: ret;
}

/* ---- Where the planes are ----------------------------------------------------------------- */

/* What somebody says of an image. */
struct layout {
	const struct stile_image_info *info;
	const struct stile_format *format;
	const struct format_tiling *tiling; /* NULL: linear, or opaque */
};

/* A layout that is the affair of drivers: where its bytes are, nobody can say here. */
static bool is_opaque(const struct layout *layout) {
	return layout->tiling == NULL && layout->info->modifier != DRM_FORMAT_MOD_LINEAR;
}

static bool is_meta(const struct layout *layout, uint32_t plane) {
	return plane >= layout->format->plane_count;
}

/* Constraints are about samples: metadata has an alignment of its own. */
static struct format_shape get_shape(
	const struct layout *layout, uint32_t plane, const struct stile_constraints *limits) {
	struct format_shape shape;
	format_get_shape(layout->format, layout->tiling, plane, layout->info->width,
		layout->info->height, &shape);
	if (!is_meta(layout, plane)) {
		shape.pitch_align = limits->pitch_align > shape.pitch_align ? limits->pitch_align
									    : shape.pitch_align;
		shape.offset_align = limits->offset_align > shape.offset_align
			? limits->offset_align
			: shape.offset_align;
	}
	return shape;
}

/* Rows that a plane's memory goes on to a multiple of. */
static uint32_t get_row_align(
	const struct layout *layout, uint32_t plane, const struct stile_constraints *limits) {
	return is_meta(layout, plane) || limits->height_align == 0 ? 1 : limits->height_align;
}

static int check_alignment(const struct layout *layout, const struct stile_constraints *limits,
	struct stile_report *why) {
	for (uint32_t i = 0; i < layout->info->plane_count && !is_opaque(layout); i++) {
		const struct stile_image_plane *plane = &layout->info->planes[i];
		struct format_shape shape = get_shape(layout, i, limits);
		if (plane->pitch % shape.pitch_align != 0) {
			return report_refuse(why, -EINVAL, STILE_REASON_PITCH, i, shape.pitch_align,
				plane->pitch, "plane %u: pitch %u is not a multiple of %u bytes", i,
				plane->pitch, shape.pitch_align);
		}
		if (plane->offset % shape.offset_align != 0) {
			return report_refuse(why, -EINVAL, STILE_REASON_OFFSET, i,
				shape.offset_align, plane->offset,
				"plane %u: offset %" PRIu64 " is not a multiple of %u bytes", i,
				plane->offset, shape.offset_align);
		}
	}
	return 0;
}

/* For texts: why numbers of plane i are not those of the picture. */
struct note {
	char text[64];
};

static struct note make_note(const struct layout *layout, uint32_t i, uint32_t row_align) {
	struct note note = { "" };
	if (layout->tiling != NULL && is_meta(layout, i)) {
		snprintf(note.text, sizeof(note.text), " (metadata of %s)", layout->tiling->name);
	} else if (row_align > 1) {
		snprintf(note.text, sizeof(note.text), " (they go on to a multiple of %u)",
			row_align);
	} else if (layout->tiling != NULL) {
		snprintf(
			note.text, sizeof(note.text), " (whole tiles of %s)", layout->tiling->name);
	}
	return note;
}

/* Is plane i, down to the last of its rows, in memory of this size? */
static int check_rows(const struct layout *layout, uint32_t i, uint64_t rows, uint64_t bytes,
	const struct stile_constraints *limits, struct stile_report *why) {
	const struct stile_image_plane *plane = &layout->info->planes[i];
	uint32_t row_align = get_row_align(layout, i, limits);
	uint64_t end;
	if (!format_align(rows, row_align, &rows) ||
		!format_rows_end(plane->offset, plane->pitch, rows, 1, &end)) {
		return report_refuse(why, -ERANGE, STILE_REASON_BOUNDS, i, UINT64_MAX, bytes,
			"plane %u: offset %" PRIu64 " + pitch %u x %" PRIu64
			" row%s%s does not fit in 64 bits",
			i, plane->offset, plane->pitch, rows, PLURAL(rows),
			make_note(layout, i, row_align).text);
	}
	if (end > bytes) {
		return report_refuse(why, -ERANGE, STILE_REASON_BOUNDS, i, end, bytes,
			"plane %u: offset %" PRIu64 " + pitch %u x %" PRIu64
			" row%s%s needs %" PRIu64 " byte%s, the memory has %" PRIu64,
			i, plane->offset, plane->pitch, rows, PLURAL(rows),
			make_note(layout, i, row_align).text, end, PLURAL(end), bytes);
	}
	return 0;
}

/* The same for what drivers touch below the last row. */
static int check_touched(const struct layout *layout, uint32_t i, uint64_t rows, uint64_t bytes,
	const struct device_limits *limits, struct stile_report *why) {
	const struct stile_image_plane *plane = &layout->info->planes[i];
	uint32_t row_group = layout->tiling == NULL ? limits->row_group : 1;
	/* What is in the last page behind the end can be touched without harm. */
	uint64_t mapped, touched = UINT64_MAX;
	if (!format_align(bytes, os_page_size(), &mapped) ||
		!format_rows_end(plane->offset, plane->pitch, rows, row_group, &touched) ||
		touched > mapped) {
		return report_refuse(why, -ERANGE, STILE_REASON_BOUNDS, i, touched, bytes,
			"plane %u: drivers touch rows in groups of %u, which reaches beyond the %" PRIu64
			" byte%s of the memory",
			i, row_group, bytes, PLURAL(bytes));
	}
	if (touched > limits->max_end) {
		return report_refuse(why, -ERANGE, STILE_REASON_BOUNDS, i, limits->max_end, touched,
			"plane %u ends at byte %" PRIu64
			": drivers of this memory count to %" PRIu64,
			i, touched, limits->max_end);
	}
	return 0;
}

static int check_opaque(
	const struct layout *layout, uint32_t i, uint64_t bytes, struct stile_report *why) {
	const struct stile_image_plane *plane = &layout->info->planes[i];
	if (plane->pitch == 0) {
		return report_refuse(
			why, -EINVAL, STILE_REASON_PITCH, i, 1, 0, "plane %u: the pitch is 0", i);
	}
	if (plane->offset >= bytes) {
		return report_refuse(why, -ERANGE, STILE_REASON_BOUNDS, i, plane->offset, bytes,
			"plane %u: offset %" PRIu64 " is not in the memory, which has %" PRIu64
			" byte%s",
			i, plane->offset, bytes, PLURAL(bytes));
	}
	return 0;
}

/* Does plane i fit in memory of this size? */
static int check_bounds(const struct layout *layout, uint32_t i, uint64_t bytes,
	const struct device_limits *limits, struct stile_report *why) {
	if (is_opaque(layout)) {
		return check_opaque(layout, i, bytes, why);
	}
	uint32_t pitch = layout->info->planes[i].pitch;
	struct format_shape shape = get_shape(layout, i, &limits->import);
	if (pitch < shape.row_bytes) {
		return report_refuse(why, -EINVAL, STILE_REASON_PITCH, i, shape.row_bytes, pitch,
			"plane %u: pitch %u is too small for a row of %u pixel%s of %s, which needs %" PRIu64
			" byte%s%s",
			i, pitch, layout->info->width, PLURAL(layout->info->width),
			layout->format->name, shape.row_bytes, PLURAL(shape.row_bytes),
			make_note(layout, i, 1).text);
	}
	int ret = check_rows(layout, i, shape.rows, bytes, &limits->import, why);
	return ret < 0 ? ret : check_touched(layout, i, shape.rows, bytes, limits, why);
}

static int refuse_closed(int fd, uint32_t plane, struct stile_report *why) {
	return report_refuse(why, -EBADF, STILE_REASON_FD_CLOSED, plane, 0, 0,
		"plane %u: descriptor %d is not open", plane, fd);
}

/*
 * That reference, if it is of memory that this backend knows and that allows everything for good: there is
 * nothing to be checked that was not when it became known. Or NULL.
 */
static struct stile_buffer *keep_trusted(struct stile_device *device, struct stile_buffer *buffer) {
	if (buffer != NULL && buffer->backend == device->ops && buffer->seals_are_final &&
		buffer_get_usage(buffer) == USAGE_ALL &&
		(__atomic_load_n(&buffer->lacks_fds, __ATOMIC_RELAXED) & STILE_USAGE_WRITE) == 0 &&
		device->ops->device_check(device) == 0) {
		return buffer;
	}
	stile_buffer_unref(buffer);
	return NULL;
}

/* The buffer of such memory, by a descriptor that allows everything, too. A reference, or NULL. */
static struct stile_buffer *find_trusted(
	struct stile_device *device, int fd, const struct stat *st) {
	struct stile_buffer *buffer = keep_trusted(device, buffer_table_find(fd, st));
	if (buffer != NULL && buffer_fd_access(fd) != (int)USAGE_ALL) {
		stile_buffer_unref(buffer);
		buffer = NULL;
	}
	return buffer;
}

/* The usages that the descriptor of memory allows that is not known so well, or why it cannot be used. */
static int check_plane_fd(struct stile_device *device, const struct layout *layout, uint32_t i,
	struct stile_report *why) {
	int fd = layout->info->planes[i].fd;
	int usage = buffer_fd_usage(fd);
	if (usage < 0) {
		return refuse_closed(fd, i, why);
	}
	int ret = buffer_get_backend(device, fd)->memory_check(device, fd, i, why);
	if (ret < 0) {
		return ret;
	}
	if ((layout->info->usage & ~(uint32_t)usage) != 0 || (usage & STILE_USAGE_READ) == 0) {
		return report_refuse(why, -EACCES, STILE_REASON_FD_ACCESS, i, layout->info->usage,
			(uint64_t)usage, "plane %u: descriptor %d is %s, the usage needs more", i,
			fd,
			usage & STILE_USAGE_READ ? "read-only or sealed against writing"
						 : "write-only");
	}
	return usage;
}

/*
 * The usages that the plane's descriptor allows, or why it cannot be used. *buffer: a reference, if that
 * is known already.
 */
static int check_plane(struct stile_device *device, const struct layout *layout, uint32_t i,
	struct stile_buffer **buffer, struct stile_report *why) {
	int fd = layout->info->planes[i].fd;
	struct stat st;
	*buffer = keep_trusted(device, buffer_table_find_duplicate(fd));
	if (*buffer == NULL) {
		if (os_fstat(fd, &st) < 0) {
			return refuse_closed(fd, i, why);
		}
		*buffer = find_trusted(device, fd, &st);
	}
	int usage = *buffer != NULL ? (int)USAGE_ALL : check_plane_fd(device, layout, i, why);
	if (usage < 0) {
		return usage;
	}
	uint64_t bytes = *buffer != NULL ? (*buffer)->bytes : buffer_find_bytes(fd, &st);
	int ret = check_bounds(layout, i, bytes, &device->limits, why);
	return ret < 0 ? ret : usage;
}

/* Does the device do that with memory of others at all? */
static int check_import_usage(
	const struct stile_device *device, uint32_t usage, struct stile_report *why) {
	uint32_t taken = device->limits.import_usage;
	if ((usage & ~taken) == 0) {
		return 0;
	}
	return report_refuse(why, -EACCES, STILE_REASON_FD_ACCESS, 0, usage, taken,
		"usage 0x%x: the device does not write to memory that came by descriptor, an "
		"import for READ (1) is taken",
		usage);
}

static int check_plane_count(const struct layout *layout, struct stile_report *why) {
	const struct stile_image_info *info = layout->info;
	uint32_t count = format_plane_count(layout->format, layout->tiling);
	/* Metadata has planes of its own behind those of the format. */
	uint32_t most = is_opaque(layout) ? STILE_MAX_PLANES : count;
	if (info->plane_count >= count && info->plane_count <= most) {
		return 0;
	}
	return report_refuse(why, -EINVAL, STILE_REASON_PLANE_COUNT, 0, count, info->plane_count,
		"%s%s%s has %u plane%s%s, not %u", layout->format->name,
		layout->tiling == NULL ? "" : " in ",
		layout->tiling == NULL ? "" : layout->tiling->name, count, PLURAL(count),
		most > count ? " or more" : "", info->plane_count);
}

/*
 * Everything about an import. The usages that all descriptors allow, or why not. `buffers`: also on failure,
 * a reference on each that is known already.
 */
static int check_import(struct stile_device *device, const struct stile_image_info *info,
	const struct stile_format *format, struct stile_buffer *buffers[STILE_MAX_PLANES],
	struct stile_report *why) {
	const struct device_limits *limits = &device->limits;
	int ret = check_picture(device, info, format, &limits->import, why);
	if (ret < 0) {
		return ret;
	}
	assert(format != NULL); /* as was just checked */
	const struct layout layout = { info, format, image_find_tiling(device, info->modifier) };
	ret = check_plane_count(&layout, why);
	if (ret < 0) {
		return ret;
	}
	uint32_t allowed = limits->import_usage;
	for (uint32_t i = 0; i < info->plane_count; i++) {
		ret = check_plane(device, &layout, i, &buffers[i], why);
		if (ret < 0) {
			return ret;
		}
		allowed &= (uint32_t)ret;
	}
	ret = check_alignment(&layout, &limits->import, why);
	if (ret == 0) {
		ret = check_import_usage(device, info->usage, why);
	}
	return ret < 0 ? ret : (int)allowed;
}

/* ---- Making one --------------------------------------------------------------------------- */

struct stile_image *image_alloc(struct stile_device *device, const struct stile_image_info *info,
	const struct stile_format *format, uint32_t allowed) {
	/* Not calloc(), which does without malloc()'s quick lists in the C library of many systems. */
	struct stile_image *image = malloc(sizeof(*image));
	if (image == NULL) {
		return NULL;
	}
	*image = (struct stile_image){
		.device = device_ref(device),
		.refs = 1,
		.format = format,
		.tiling = image_find_tiling(device, info->modifier),
		.allowed = allowed,
		.info = *info,
	};
	for (size_t i = 0; i < ARRAY_LENGTH(image->info.planes); i++) {
		image->info.planes[i].fd = -1;
	}
	strncpy(image->name, info->name == NULL ? "" : info->name, sizeof(image->name) - 1);
	image->info.name = image->name;
	return image;
}

static void unref_buffers(struct stile_buffer *buffers[STILE_MAX_PLANES]) {
	for (size_t i = 0; i < STILE_MAX_PLANES; i++) {
		stile_buffer_unref(buffers[i]);
	}
}

static void image_free(struct stile_image *image) {
	unref_buffers(image->buffers);
	device_unref(image->device);
	free(image);
}

/* Of images that are for nobody in particular. */
static const struct stile_constraints no_needs = { .size = sizeof(no_needs) };

static int check_create(struct stile_device *device, const struct stile_image_info *info,
	const struct stile_constraints *needs, struct stile_report *why) {
	const struct stile_image_plane none = { 0 };
	bool planes = info->plane_count != 0;
	for (size_t i = 0; i < ARRAY_LENGTH(info->planes); i++) {
		planes = planes || memcmp(&info->planes[i], &none, sizeof(none)) != 0;
	}
	if (planes) {
		return report_refuse(why, -EINVAL, STILE_REASON_PLANE_COUNT, 0, 0,
			info->plane_count,
			"planes were given for an image that is to be allocated");
	}
	struct stile_constraints limits = device->limits.import;
	constraints_combine(&limits, needs);
	limits.modifiers = device->limits.create_modifiers;
	limits.modifier_count = device->limits.create_modifier_count;
	if (device->ops->image_takes != NULL &&
		device->ops->image_takes(device, info->fourcc, info->modifier)) {
		limits.modifiers = &info->modifier;
		limits.modifier_count = 1;
	}
	return check_picture(device, info, stile_format_get(info->fourcc), &limits, why);
}

/* Where the planes go, and how many bytes they take. */
static bool lay_out(const struct stile_device *device, const struct stile_constraints *needs,
	struct stile_image_info *info, uint64_t *bytes) {
	struct stile_constraints all = {
		.pitch_align = device->limits.create_pitch_align,
		.offset_align = device->limits.create_offset_align,
		.height_align = device->limits.import.height_align,
	};
	constraints_combine(&all, needs);
	const struct format_rules rules = {
		.pitch_align = all.pitch_align,
		.offset_align = all.offset_align,
		.row_group = device->limits.row_group,
		.height_align = all.height_align == 0 ? 1 : all.height_align,
	};
	return format_layout(stile_format_get(info->fourcc),
		image_find_tiling(device, info->modifier), &rules, info, bytes);
}

/* In memory of one buffer, which is laid out here. */
static int create_in_buffer(struct stile_device *device, struct stile_image_info *info,
	const struct stile_constraints *needs, struct stile_image **out) {
	uint64_t bytes;
	if (!lay_out(device, needs, info, &bytes)) {
		return -ERANGE;
	}
	struct stile_image *image =
		image_alloc(device, info, stile_format_get(info->fourcc), USAGE_ALL);
	if (image == NULL) {
		return -ENOMEM;
	}
	struct stile_buffer_info memory = {
		.size = sizeof(memory),
		.bytes = bytes,
		.name = image->name, /* cut to what a buffer takes */
	};
	int ret = stile_buffer_create(device, &memory, &image->buffers[0]);
	if (ret < 0) {
		image_free(image);
		return ret;
	}
	for (uint32_t i = 1; i < info->plane_count; i++) {
		image->buffers[i] = stile_buffer_ref(image->buffers[0]);
	}
	*out = image;
	return 0;
}

static void close_planes(const struct stile_image_info *info) {
	for (uint32_t i = 0; i < info->plane_count; i++) {
		close(info->planes[i].fd);
	}
}

/* Has somebody else the buffer, too? The image has one reference for each plane that is in it. */
static bool is_shared(const struct stile_image *image, const struct stile_buffer *buffer) {
	uint32_t own = 0;
	for (uint32_t i = 0; i < image->info.plane_count; i++) {
		own += image->buffers[i] == buffer;
	}
	return __atomic_load_n(&buffer->refs, __ATOMIC_ACQUIRE) != own;
}

/*
 * It was made just now, and the descriptors that it came by are closed: nobody else knows it. But for memory that
 * was known before, which an allocator gave again against its promise: who else uses that has to be asked.
 */
static void note_alone(const struct stile_image *image) {
	for (uint32_t i = 0; i < image->info.plane_count; i++) {
		if (!is_shared(image, image->buffers[i])) {
			__atomic_store_n(&image->buffers[i]->shown, 0, __ATOMIC_SEQ_CST);
		}
	}
}

/* As the device likes it. 1: it does not care. */
static int create_by_device(struct stile_device *device, const struct stile_image_info *info,
	struct stile_image **out) {
	struct stile_image_info made = *info;
	int ret = device->ops->image_allocate == NULL ? 1
						      : device->ops->image_allocate(device, &made);
	if (ret != 0) {
		return ret;
	}
	/* Drivers are not believed either. */
	struct stile_report why = { .size = sizeof(why) };
	ret = stile_image_import(device, &made, &why, out);
	close_planes(&made);
	assert(ret < 0 || *out != NULL);
	if (ret == 0) {
		note_alone(*out);
	}
	for (uint32_t i = 0; ret == 0 && i < made.plane_count; i++) {
		ret = stile_buffer_set_name((*out)->buffers[i], (*out)->name);
	}
	return ret;
}

/* Is what the device made what was asked for? If not, *out is given up. */
static int check_made(const struct stile_image_info *info, const struct stile_constraints *needs,
	struct stile_report *why, struct stile_image **out) {
	struct stile_constraints wanted = *needs;
	wanted.modifiers = &info->modifier;
	wanted.modifier_count = 1;
	why->size = sizeof(*why);
	int ret = stile_image_check_constraints(*out, &wanted, why);
	if (ret < 0) {
		stile_image_unref(*out);
		*out = NULL;
	}
	return ret;
}

/* Everything was checked but what the device makes of it. Why not is in `why` if that is it. */
static int create_checked(struct stile_device *device, struct stile_image_info *info,
	const struct stile_constraints *needs, struct stile_report *why, struct stile_image **out) {
	int ret = device->ops->device_check(device);
	if (ret == 0) {
		ret = create_by_device(device, info, out);
	}
	if (ret == 0 && needs != &no_needs) {
		ret = check_made(info, needs, why, out);
		/* In the same memory it can be laid out here, where that is known. */
		ret = ret < 0 && info->modifier == DRM_FORMAT_MOD_LINEAR ? 1 : ret;
	}
	return ret == 1 ? create_in_buffer(device, info, needs, out) : ret;
}

int image_create_as(struct stile_device *device, const struct stile_image_info *info,
	const struct stile_constraints *needs, struct stile_report *why, struct stile_image **out) {
	struct stile_image_info known = *info;
	*out = NULL;
	*why = (struct stile_report){ .size = sizeof(*why) };
	int ret = check_create(device, &known, needs, why);
	if (ret < 0) {
		return ret;
	}
	ret = create_checked(device, &known, needs, why, out);
	if (ret < 0 && why->error != ret) {
		report_refuse(why, ret, STILE_REASON_RESOURCES, 0, 0, 0,
			"%s makes no such memory: %s", device->ops->name, strerror(-ret));
	}
	return ret;
}

int stile_image_create(struct stile_device *device, const struct stile_image_info *info,
	struct stile_image **out) {
	*out = NULL;
	struct stile_image_info known;
	int ret = abi_copy_in(&known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	ret = check_create(device, &known, &no_needs, &why);
	if (ret < 0) {
		device_log(device, STILE_LOG_ERROR, "image '%s': %s",
			known.name == NULL ? "" : known.name, why.text);
		return ret;
	}
	return create_checked(device, &known, &no_needs, &why, out);
}

/*
 * Fill in the buffers that were not known. All is checked again on purpose: a number may mean another file
 * by now.
 */
static int image_take_buffers(
	struct stile_image *image, const struct stile_image_info *info, struct stile_report *why) {
	struct stile_device *device = image->device;
	const struct layout layout = { info, image->format, image->tiling };
	int ret = 0;
	for (uint32_t i = 0; i < info->plane_count && ret == 0; i++) {
		if (image->buffers[i] != NULL) {
			continue;
		}
		why->size = sizeof(*why);
		ret = stile_buffer_import_fd(
			device, info->planes[i].fd, info->usage, why, &image->buffers[i]);
		if (ret == 0) {
			ret = check_bounds(&layout, i, stile_buffer_get_bytes(image->buffers[i]),
				&device->limits, why);
		}
		why->plane = i;
	}
	return ret;
}

int stile_image_import(struct stile_device *device, const struct stile_image_info *info,
	struct stile_report *report, struct stile_image **out) {
	*out = NULL;
	struct stile_image_info known;
	int ret = report_copy_in(report, &known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	struct stile_buffer *buffers[STILE_MAX_PLANES] = { 0 };
	struct stile_image *image = NULL;
	const struct stile_format *format = stile_format_get(known.fourcc);
	ret = check_import(device, &known, format, buffers, &why);
	if (ret >= 0) {
		image = image_alloc(device, &known, format, (uint32_t)ret);
		ret = image == NULL ? report_refuse(&why, -ENOMEM, STILE_REASON_RESOURCES, 0, 0, 0,
					      "out of memory")
				    : 0;
	}
	if (image == NULL) {
		unref_buffers(buffers);
		goto err_why;
	}
	memcpy(image->buffers, buffers, sizeof(buffers));
	ret = image_take_buffers(image, &known, &why);
	if (ret < 0) {
		image_free(image);
		goto err_why;
	}
	*out = image;
	return 0;

err_why:
	report_give(report, &why);
	device_log(device, STILE_LOG_ERROR, "import of image '%s': %s",
		known.name == NULL ? "" : known.name, why.text);
	return ret;
}

int stile_image_check(struct stile_device *device, const struct stile_image_info *info,
	struct stile_report *report) {
	struct stile_image_info known;
	int ret = report_copy_in(report, &known, sizeof(known), info);
	if (ret < 0) {
		return ret;
	}
	struct stile_report why;
	struct stile_buffer *buffers[STILE_MAX_PLANES] = { 0 };
	ret = check_import(device, &known, stile_format_get(known.fourcc), buffers, &why);
	unref_buffers(buffers);
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret < 0 ? ret : 0;
}

/* Does the memory of each plane go on as far as is wanted? */
static int check_height(const struct stile_image *image, const struct layout *layout,
	const struct stile_constraints *wanted, struct stile_report *why) {
	uint32_t height_align = wanted->height_align;
	if ((height_align & (height_align - 1)) != 0) {
		return report_refuse(why, -EINVAL, STILE_REASON_USAGE, 0, 0, height_align,
			"height_align is %u, which is not a power of two", height_align);
	}
	int ret = 0;
	for (uint32_t i = 0; i < image->info.plane_count && ret == 0 && !is_opaque(layout); i++) {
		ret = check_rows(layout, i, get_shape(layout, i, wanted).rows,
			stile_buffer_get_bytes(image->buffers[i]), wanted, why);
	}
	return ret;
}

/*
 * Where the memory is (address_bits, max_segments, segment_align, max_segment) is looked at when a
 * device maps it: until then it may move.
 */
int stile_image_check_constraints(const struct stile_image *image,
	const struct stile_constraints *constraints, struct stile_report *report) {
	struct stile_constraints known;
	int ret = report_copy_in(report, &known, sizeof(known), constraints);
	if (ret < 0) {
		return ret;
	}
	const struct layout layout = { &image->info, image->format, image->tiling };
	struct stile_report why;
	if ((known.usage & ~image->allowed) != 0) {
		ret = report_refuse(&why, -EACCES, STILE_REASON_FD_ACCESS, 0, known.usage,
			image->allowed,
			"the image came from a descriptor that is read-only or sealed against "
			"writing, or to a device that does not write to such memory; a writable "
			"one is needed here");
	}
	if (ret == 0) {
		ret = check_extent(&image->info, &known, &why);
	}
	if (ret == 0) {
		ret = check_modifier(image->info.modifier, &known, &why);
	}
	if (ret == 0) {
		ret = check_alignment(&layout, &known, &why);
	}
	if (ret == 0) {
		ret = check_height(image, &layout, &known, &why);
	}
	if (ret < 0) {
		report_give(report, &why);
	}
	return ret;
}

int stile_image_export(struct stile_image *image, struct stile_image_info *info) {
	/* Descriptors that the caller has no room for would be lost. */
	if (abi_check_out(info) < 0 || info->size < offsetof(struct stile_image_info, colour)) {
		return -EINVAL;
	}
	struct stile_image_info filled = image->info;
	int ret = 0;
	for (uint32_t i = 0; i < filled.plane_count && ret == 0; i++) {
		ret = stile_buffer_export_fd(
			image->buffers[i], image->allowed, &filled.planes[i].fd);
	}
	for (uint32_t i = 0; i < filled.plane_count && ret < 0; i++) {
		if (filled.planes[i].fd >= 0) {
			close(filled.planes[i].fd);
			filled.planes[i].fd = -1;
		}
	}
	abi_copy_out(info, &filled, sizeof(filled));
	return ret;
}

struct stile_image *stile_image_ref(struct stile_image *image) {
	__atomic_fetch_add(&image->refs, 1, __ATOMIC_RELAXED);
	return image;
}

void stile_image_unref(struct stile_image *image) {
	if (image != NULL && __atomic_fetch_sub(&image->refs, 1, __ATOMIC_ACQ_REL) == 1) {
		image_free(image);
	}
}

const struct stile_image_info *stile_image_get_info(const struct stile_image *image) {
	return &image->info;
}

uint32_t stile_image_get_usage(const struct stile_image *image) {
	return image->allowed;
}

struct stile_buffer *stile_image_get_buffer(const struct stile_image *image, uint32_t plane) {
	return image->buffers[plane];
}

static uint64_t plane_bytes(const struct stile_image *image, uint32_t plane) {
	struct format_shape shape;
	format_get_shape(
		image->format, image->tiling, plane, image->info.width, image->info.height, &shape);
	return image->info.planes[plane].pitch * shape.rows;
}

int image_get_plane(const struct stile_image *image, uint32_t plane, struct image_plane *out) {
	const struct stile_format *format = image->format;
	if (plane >= format->plane_count) {
		return -EINVAL;
	}
	*out = (struct image_plane){
		.sample_bytes = format->planes[plane].bytes,
		.width = format_plane_width(format, plane, image->info.width),
		.height = format_plane_height(format, plane, image->info.height),
		.offset = image->info.planes[plane].offset,
		.pitch = image->info.planes[plane].pitch,
		.bytes = plane_bytes(image, plane),
		.tiling = image->tiling,
		.has_meta = image->info.plane_count > format->plane_count,
	};
	if (out->has_meta) {
		uint32_t meta = format->plane_count + plane;
		out->meta = (struct image_meta){
			.plane = meta,
			.offset = image->info.planes[meta].offset,
			.pitch = image->info.planes[meta].pitch,
			.bytes = plane_bytes(image, meta),
		};
	}
	return 0;
}
