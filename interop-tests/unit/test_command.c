/* SPDX-License-Identifier: MIT */
/* What commands do to bytes, on every layout: fill, copy, upload, download and kernels. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stile/swgpu_modifier.h>

#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/picture.h"
#include "interop-tests/support/reference.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

static const char *const devices[] = { NULL, "coherent=no", "seed=7" };

static const uint64_t layouts[] = { DRM_FORMAT_MOD_LINEAR, STILE_SWGPU_MOD_TILED_ROWS,
	STILE_SWGPU_MOD_TILED_COLUMNS };

static const uint32_t formats[] = { DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888, DRM_FORMAT_XBGR8888,
	DRM_FORMAT_ABGR8888, DRM_FORMAT_R8, DRM_FORMAT_NV12 };

/* One tile or less, tiles that are cut off, and several. Subsampled ones get what is next to them. */
static const struct {
	uint32_t width, height;
} extents[] = { { 1, 1 }, { 5, 7 }, { 33, 63 }, { 127, 9 }, { 300, 100 } };

enum { LAYOUTS = 3, FORMATS = 6 };

static struct stile_device *device;
static struct stile_swgpu_list *list;
static uint64_t seed;

static void begin(const char *options) {
	device = gpu_open(options);
	seed = runner_seed();
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
}

/* Execute what was recorded, and begin anew. */
static void execute(void) {
	ck_assert_int_eq(gpu_finish(gpu_submit(stile_swgpu_get_queue(device), list)), 1);
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
}

static void end(void) {
	stile_swgpu_list_destroy(list);
	stile_device_destroy(device);
}

static uint32_t below(uint32_t limit) {
	return (uint32_t)(runner_random(&seed) % limit);
}

static uint32_t round_up(uint32_t value, uint32_t to) {
	return (value + to - 1) / to * to;
}

static struct picture create(uint32_t fourcc, uint64_t layout, size_t extent) {
	const struct stile_format *format = stile_format_get(fourcc);
	const struct picture_info info = {
		.fourcc = fourcc,
		.width = round_up(extents[extent].width, format->hsub),
		.height = round_up(extents[extent].height, format->vsub),
		.modifier = layout,
		.imported = below(2) == 0,
	};
	return picture_make(device, &info, &seed);
}

/* Of this many bytes; often one that is the same byte again and again. */
static uint32_t random_value(uint32_t bytes) {
	uint32_t value = (uint32_t)runner_random(&seed);
	value = below(3) == 0 ? (value & 0xff) * 0x01010101u : value;
	return value & UINT32_MAX >> (32 - 8 * bytes);
}

/* ---- Fill ----------------------------------------------------------------------------------- */

static void fill_part(struct picture *picture, uint32_t plane) {
	const struct stile_image_info *info = stile_image_get_info(picture->image);
	const struct stile_format_plane *format = &stile_format_get(info->fourcc)->planes[plane];
	struct raster *raster = &picture->planes[plane];
	uint32_t x = below(raster->width), y = below(raster->height);
	uint32_t width = 1 + below(raster->width - x), height = 1 + below(raster->height - y);
	const struct stile_swgpu_rect rect = { (int32_t)(x * format->hsub),
		(int32_t)(y * format->vsub), width * format->hsub, height * format->vsub };
	uint32_t value = random_value(format->bytes);
	ck_assert_int_eq(stile_swgpu_list_fill(list, picture->image, plane, &rect, value), 0);
	reference_fill(raster, x, y, width, height, value);
}

static void fill_all(struct picture *picture, uint32_t plane) {
	struct raster *raster = &picture->planes[plane];
	uint32_t value = random_value(raster->sample_bytes);
	ck_assert_int_eq(stile_swgpu_list_fill(list, picture->image, plane, NULL, value), 0);
	reference_fill(raster, 0, 0, raster->width, raster->height, value);
}

/*
 * Wrong code: padding overwritten, the last sample forgotten, the bytes of a sample turned round,
 * pixels taken for samples of a subsampled plane, a row's odd first sample forgotten.
 */
START_TEST(fill_sets_the_samples_of_the_part_and_nothing_else) {
	begin(devices[_i / (LAYOUTS * FORMATS)]);
	uint64_t layout = layouts[_i / FORMATS % LAYOUTS];
	for (size_t extent = 0; extent < ARRAY_LENGTH(extents); extent++) {
		struct picture picture = create(formats[_i % FORMATS], layout, extent);
		for (int part = 0; part < 8; part++) {
			uint32_t plane = below(picture.plane_count);
			if (part % 4 == 2) {
				fill_all(&picture, plane);
			} else {
				fill_part(&picture, plane);
			}
			execute();
			picture_check(&picture, "after a fill");
		}
		picture_destroy(&picture);
	}
	end();
}
END_TEST

/* ---- Copy ----------------------------------------------------------------------------------- */

/*
 * Wrong code: the pitches taken for equal; only the first plane copied; padding copied along; tiles
 * copied without what is known of them; the source written.
 */
START_TEST(copy_gives_all_planes_whatever_the_layouts) {
	begin(devices[_i / (LAYOUTS * LAYOUTS * FORMATS)]);
	uint64_t from_layout = layouts[_i / (LAYOUTS * FORMATS) % LAYOUTS];
	uint64_t to_layout = layouts[_i / FORMATS % LAYOUTS];
	for (size_t extent = 0; extent < ARRAY_LENGTH(extents); extent++) {
		struct picture from = create(formats[_i % FORMATS], from_layout, extent);
		struct picture to = create(formats[_i % FORMATS], to_layout, extent);
		/* Some tiles are said to be of one value. */
		fill_part(&from, 0);
		fill_part(&to, 0);
		ck_assert_int_eq(stile_swgpu_list_copy(list, from.image, to.image), 0);
		execute();
		reference_copy(&to, &from);
		picture_check(&to, "the target of a copy");
		picture_check(&from, "the source of a copy");
		picture_destroy(&from);
		picture_destroy(&to);
	}
	end();
}
END_TEST

/* Wrong code: memory that is copied onto itself gets lost, or a sanitizer complains. */
START_TEST(copy_onto_itself_changes_nothing) {
	begin(NULL);
	struct picture picture = create(formats[_i % FORMATS], layouts[_i / FORMATS], 4);
	fill_part(&picture, 0);
	ck_assert_int_eq(stile_swgpu_list_copy(list, picture.image, picture.image), 0);
	execute();
	picture_check(&picture, "copied onto itself");
	picture_destroy(&picture);
	end();
}
END_TEST

/* Wrong code: the offset or the buffer of one plane taken for all; metadata looked for with the samples. */
START_TEST(planes_may_be_in_memory_of_their_own) {
	begin(devices[_i]);
	struct picture from = create(DRM_FORMAT_NV12, DRM_FORMAT_MOD_LINEAR, 4);
	struct picture to = create(DRM_FORMAT_NV12, DRM_FORMAT_MOD_LINEAR, 4);
	struct stile_image_info info = *stile_image_get_info(from.image);
	info.modifier = STILE_SWGPU_MOD_TILED_COLUMNS;
	info.plane_count = 4;
	for (uint32_t i = 0; i < info.plane_count; i++) {
		info.planes[i].fd = memory_create(256 << 10, F_SEAL_SHRINK);
		info.planes[i].pitch = i < 2 ? 384 : 64;
		info.planes[i].offset = i * 4096;
	}
	struct stile_image *between;
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &between), 0);
	for (uint32_t i = 0; i < info.plane_count; i++) {
		close(info.planes[i].fd);
	}
	ck_assert_int_eq(stile_swgpu_list_copy(list, from.image, between), 0);
	/* Whole tiles of one value, which the metadata alone says. */
	const struct stile_swgpu_rect rect = { 128, 32, 128, 64 };
	ck_assert_int_eq(stile_swgpu_list_fill(list, between, 0, &rect, 0x44), 0);
	ck_assert_int_eq(stile_swgpu_list_fill(list, between, 1, &rect, 0x2211), 0);
	ck_assert_int_eq(stile_swgpu_list_copy(list, between, to.image), 0);
	execute();
	reference_copy(&to, &from);
	reference_fill(&to.planes[0], 128, 32, 128, 64, 0x44);
	reference_fill(&to.planes[1], 64, 16, 64, 32, 0x2211);
	picture_check(&to, "after two copies");
	stile_image_unref(between);
	picture_destroy(&from);
	picture_destroy(&to);
	end();
}
END_TEST

/* ---- Upload and download -------------------------------------------------------------------- */

/* Memory of the caller's, with a pitch of its own; of the last row, only what there is. */
struct pixels {
	uint8_t *bytes;
	size_t pitch, count;
};

static struct pixels pixels_create(const struct raster *raster) {
	size_t pitch = raster_pitch(raster) + below(4);
	struct pixels pixels = { .pitch = pitch };
	pixels.count = pitch * (raster->height - 1) + raster_pitch(raster);
	pixels.bytes = malloc(pixels.count);
	ck_assert_ptr_nonnull(pixels.bytes);
	for (size_t i = 0; i < pixels.count; i++) {
		pixels.bytes[i] = (uint8_t)runner_random(&seed);
	}
	return pixels;
}

/* Wrong code: the image's pitch used for the caller's memory; padding read, and written. */
START_TEST(upload_writes_the_rows_and_nothing_else) {
	begin(devices[_i / (LAYOUTS * FORMATS)]);
	for (size_t extent = 0; extent < ARRAY_LENGTH(extents); extent++) {
		struct picture to =
			create(formats[_i % FORMATS], layouts[_i / FORMATS % LAYOUTS], extent);
		uint32_t plane = below(to.plane_count);
		struct raster *raster = &to.planes[plane];
		struct pixels pixels = pixels_create(raster);
		fill_part(&to, plane);
		ck_assert_int_eq(
			stile_swgpu_list_upload(list, to.image, plane, pixels.bytes, pixels.pitch),
			0);
		execute();
		for (uint32_t y = 0; y < raster->height; y++) {
			memcpy(raster_at(raster, 0, y), pixels.bytes + y * pixels.pitch,
				raster_pitch(raster));
		}
		picture_check(&to, "after an upload");
		free(pixels.bytes);
		picture_destroy(&to);
	}
	end();
}
END_TEST

/* Wrong code: padding of the caller's memory written; rows of another plane. */
START_TEST(download_reads_the_rows_and_writes_no_padding) {
	begin(devices[_i / (LAYOUTS * FORMATS)]);
	for (size_t extent = 0; extent < ARRAY_LENGTH(extents); extent++) {
		struct picture from =
			create(formats[_i % FORMATS], layouts[_i / FORMATS % LAYOUTS], extent);
		uint32_t plane = below(from.plane_count);
		const struct raster *raster = &from.planes[plane];
		struct pixels pixels = pixels_create(raster);
		uint8_t *expected = malloc(pixels.count);
		ck_assert_ptr_nonnull(expected);
		memcpy(expected, pixels.bytes, pixels.count);
		fill_part(&from, plane);
		ck_assert_int_eq(stile_swgpu_list_download(
					 list, from.image, plane, pixels.bytes, pixels.pitch),
			0);
		execute();
		for (uint32_t y = 0; y < raster->height; y++) {
			memcpy(expected + y * pixels.pitch, raster_at(raster, 0, y),
				raster_pitch(raster));
		}
		ck_assert_mem_eq(pixels.bytes, expected, pixels.count);
		picture_check(&from, "the source of a download");
		free(expected);
		free(pixels.bytes);
		picture_destroy(&from);
	}
	end();
}
END_TEST

/* ---- Every format --------------------------------------------------------------------------- */

static void upload(struct picture *to, uint32_t plane) {
	struct raster *raster = &to->planes[plane];
	for (size_t i = 0; i < raster_pitch(raster) * raster->height; i++) {
		raster->bytes[i] = (uint8_t)runner_random(&seed);
	}
	ck_assert_int_eq(stile_swgpu_list_upload(
				 list, to->image, plane, raster->bytes, raster_pitch(raster)),
		0);
	execute();
}

/* Only those whose blocks fit in a value. */
static void fill_if_possible(struct picture *to, uint32_t plane) {
	uint32_t bytes = to->planes[plane].sample_bytes;
	if (bytes == 1 || bytes == 2 || bytes == 4) {
		fill_all(to, plane);
	} else {
		ck_assert_int_eq(
			stile_swgpu_list_fill(list, to->image, plane, NULL, 0), -EOPNOTSUPP);
	}
}

/*
 * Wrong code: blocks of 3, 5 or 8 bytes cut off at the edge of a tile, or at the right; a third plane
 * forgotten; a block counted for each of its samples.
 */
START_TEST(every_format_goes_through_every_layout) {
	begin(NULL);
	uint64_t from_layout = layouts[_i / LAYOUTS], to_layout = layouts[_i % LAYOUTS];
	bool meta = from_layout == STILE_SWGPU_MOD_TILED_COLUMNS ||
		to_layout == STILE_SWGPU_MOD_TILED_COLUMNS;
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		if (meta && format->plane_count > 2) {
			continue;
		}
		size_t extent = below(ARRAY_LENGTH(extents));
		struct picture from = create(format->fourcc, from_layout, extent);
		struct picture to = create(format->fourcc, to_layout, extent);
		for (uint32_t plane = 0; plane < format->plane_count; plane++) {
			upload(&from, plane);
			fill_if_possible(&to, plane);
		}
		execute();
		picture_check(&from, format->name);
		picture_check(&to, format->name);
		ck_assert_int_eq(stile_swgpu_list_copy(list, from.image, to.image), 0);
		execute();
		reference_copy(&to, &from);
		picture_check(&to, format->name);
		picture_destroy(&from);
		picture_destroy(&to);
	}
	end();
}
END_TEST

/* ---- Large ---------------------------------------------------------------------------------- */

/* Wrong code: what is done in steps forgets the rows where two steps meet, or the last step. */
START_TEST(commands_of_several_steps_reach_every_row) {
	begin(devices[_i / LAYOUTS]);
	const struct picture_info info = {
		.fourcc = DRM_FORMAT_ARGB8888,
		.width = 613,
		.height = 700,
		.modifier = layouts[_i % LAYOUTS],
	};
	struct picture picture = picture_make(device, &info, &seed);
	struct raster *raster = &picture.planes[0];
	const struct stile_swgpu_rect rect = { 3, 5, 600, 691 };
	ck_assert_int_eq(stile_swgpu_list_fill(list, picture.image, 0, &rect, 0x12345678), 0);
	reference_fill(raster, 3, 5, 600, 691, 0x12345678);
	execute();
	picture_check(&picture, "after a long fill");

	struct pixels pixels = pixels_create(raster);
	ck_assert_int_eq(
		stile_swgpu_list_upload(list, picture.image, 0, pixels.bytes, pixels.pitch), 0);
	execute();
	for (uint32_t y = 0; y < raster->height; y++) {
		memcpy(raster_at(raster, 0, y), pixels.bytes + y * pixels.pitch,
			raster_pitch(raster));
	}
	picture_check(&picture, "after a long upload");
	free(pixels.bytes);

	struct picture_info other = info;
	other.modifier = layouts[(_i + 1) % LAYOUTS];
	struct picture copy = picture_make(device, &other, &seed);
	ck_assert_int_eq(stile_swgpu_list_copy(list, picture.image, copy.image), 0);
	execute();
	reference_copy(&copy, &picture);
	picture_check(&copy, "after a long copy");
	picture_destroy(&copy);
	picture_destroy(&picture);
	end();
}
END_TEST

/* ---- Kernels -------------------------------------------------------------------------------- */

struct mix {
	struct picture *pictures;
	size_t count;
	uint32_t rows;
	int wrong;
};

/* The first one's samples become sums of all. No assertions: it is another thread's. */
static int mix_run(void *user, const struct stile_swgpu_row *rows, uint32_t y) {
	struct mix *mix = user;
	const struct raster *to = &mix->pictures[0].planes[0];
	mix->wrong += y != mix->rows++;
	for (size_t i = 0; i < mix->count; i++) {
		mix->wrong += rows[i].width != to->width;
	}
	for (size_t x = 0; x < raster_pitch(to); x++) {
		unsigned sum = y + rows[0].samples[x];
		for (size_t i = 1; i < mix->count; i++) {
			size_t bytes = raster_pitch(&mix->pictures[i].planes[0]);
			sum += rows[i].samples[x % bytes];
		}
		rows[0].samples[x] = (uint8_t)sum;
	}
	return 0;
}

static void mix_by_hand(struct picture *pictures, size_t count) {
	const struct raster *to = &pictures[0].planes[0];
	for (uint32_t y = 0; y < to->height; y++) {
		for (size_t x = 0; x < raster_pitch(to); x++) {
			unsigned sum = y + raster_at(to, 0, y)[x];
			for (size_t i = 1; i < count; i++) {
				const struct raster *from = &pictures[i].planes[0];
				sum += raster_at(from, 0, y)[x % raster_pitch(from)];
			}
			raster_at(to, 0, y)[x] = (uint8_t)sum;
		}
	}
}

/*
 * Wrong code: rows out of order or twice; samples of tiles as they are in memory; what a kernel leaves
 * there lost; an image that is only read written back.
 */
START_TEST(kernel_sees_and_writes_row_after_row) {
	begin(devices[_i / (LAYOUTS * FORMATS)]);
	for (size_t extent = 0; extent < ARRAY_LENGTH(extents); extent++) {
		struct picture pictures[STILE_SWGPU_MAX_IMAGES];
		struct stile_image *images[STILE_SWGPU_MAX_IMAGES];
		/* All of the same extent, whatever the format. */
		bool even = extents[extent].width % 2 == 0 && extents[extent].height % 2 == 0;
		for (size_t i = 0; i < ARRAY_LENGTH(pictures); i++) {
			uint32_t fourcc = formats[((size_t)_i + i) % (even ? FORMATS : 5)];
			pictures[i] = create(fourcc,
				i == 0 ? layouts[_i / FORMATS % LAYOUTS] : layouts[below(LAYOUTS)],
				extent);
			images[i] = pictures[i].image;
		}
		struct mix mix = { .pictures = pictures, .count = 1 + extent % 4 };
		ck_assert_int_eq(
			stile_swgpu_list_kernel(list, images, mix.count, mix_run, &mix), 0);
		execute();
		ck_assert_uint_eq(mix.rows, extents[extent].height);
		ck_assert_int_eq(mix.wrong, 0);
		mix_by_hand(pictures, mix.count);
		for (size_t i = 0; i < ARRAY_LENGTH(pictures); i++) {
			picture_check(&pictures[i], "after a kernel");
			picture_destroy(&pictures[i]);
		}
	}
	end();
}
END_TEST

static int count_and_fail(void *user, const struct stile_swgpu_row *rows, uint32_t y) {
	int *calls = user;
	++*calls;
	rows[0].samples[0] = 0x77;
	return y == 2 ? -ENOTTY : 0;
}

/* Wrong code: rows after the error; the error lost; what was written before, in a tile, lost. */
START_TEST(kernel_that_fails_ends_the_list_with_its_error) {
	begin(devices[_i / LAYOUTS]);
	const struct picture_info info = {
		.fourcc = DRM_FORMAT_R8,
		.width = 40,
		.height = 40,
		.modifier = layouts[_i % LAYOUTS],
	};
	struct picture picture = picture_make(device, &info, &seed);
	int calls = 0;
	ck_assert_int_eq(
		stile_swgpu_list_kernel(list, &picture.image, 1, count_and_fail, &calls), 0);
	/* Not executed any more. */
	ck_assert_int_eq(stile_swgpu_list_fill(list, picture.image, 0, NULL, 1), 0);
	ck_assert_int_eq(gpu_finish(gpu_submit(stile_swgpu_get_queue(device), list)), -ENOTTY);
	list = NULL;
	ck_assert_int_eq(calls, 3);
	reference_fill(&picture.planes[0], 0, 0, 1, 3, 0x77);
	picture_check(&picture, "after a kernel that failed");
	picture_destroy(&picture);
	end();
}
END_TEST

static Suite *make(void) {
	Suite *suite = suite_create("command");
	const int all = ARRAY_LENGTH(devices);

	TCase *fill = ledger_tcase_create("fill");
	tcase_add_loop_test(fill, fill_sets_the_samples_of_the_part_and_nothing_else, 0,
		all * LAYOUTS * FORMATS);
	suite_add_tcase(suite, fill);

	TCase *copy = ledger_tcase_create("copy");
	tcase_add_loop_test(copy, copy_gives_all_planes_whatever_the_layouts, 0,
		all * LAYOUTS * LAYOUTS * FORMATS);
	tcase_add_loop_test(copy, planes_may_be_in_memory_of_their_own, 0, all);
	tcase_add_loop_test(copy, copy_onto_itself_changes_nothing, 0, LAYOUTS * FORMATS);
	suite_add_tcase(suite, copy);

	TCase *transfer = ledger_tcase_create("transfer");
	tcase_add_loop_test(
		transfer, upload_writes_the_rows_and_nothing_else, 0, all * LAYOUTS * FORMATS);
	tcase_add_loop_test(transfer, download_reads_the_rows_and_writes_no_padding, 0,
		all * LAYOUTS * FORMATS);
	suite_add_tcase(suite, transfer);

	TCase *every = ledger_tcase_create("every format");
	tcase_add_loop_test(every, every_format_goes_through_every_layout, 0, LAYOUTS * LAYOUTS);
	suite_add_tcase(suite, every);

	TCase *large = ledger_tcase_create("large");
	tcase_add_loop_test(large, commands_of_several_steps_reach_every_row, 0, all * LAYOUTS);
	suite_add_tcase(suite, large);

	TCase *kernel = ledger_tcase_create("kernel");
	tcase_add_loop_test(
		kernel, kernel_sees_and_writes_row_after_row, 0, all * LAYOUTS * FORMATS);
	tcase_add_loop_test(
		kernel, kernel_that_fails_ends_the_list_with_its_error, 0, all * LAYOUTS);
	suite_add_tcase(suite, kernel);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make, NULL);
}
