/* SPDX-License-Identifier: MIT */
/* Pictures onto pictures: against pixman called directly, and against plain loops where those are short. */
#include <stdlib.h>
#include <string.h>

#include <stile/swgpu_modifier.h>

#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/picture.h"
#include "interop-tests/support/pixel.h"
#include "interop-tests/support/reference.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

static const char *const devices[] = { NULL, "coherent=no", "seed=7" };

static const uint64_t layouts[] = { DRM_FORMAT_MOD_LINEAR, STILE_SWGPU_MOD_TILED_ROWS,
	STILE_SWGPU_MOD_TILED_COLUMNS };

static const uint32_t formats[] = { DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888, DRM_FORMAT_XBGR8888,
	DRM_FORMAT_ABGR8888, DRM_FORMAT_R8 };

/* All the others that pixman has. */
static const uint32_t others[] = { DRM_FORMAT_RGBX8888, DRM_FORMAT_RGBA8888, DRM_FORMAT_BGRX8888,
	DRM_FORMAT_BGRA8888, DRM_FORMAT_XRGB2101010, DRM_FORMAT_ARGB2101010, DRM_FORMAT_XBGR2101010,
	DRM_FORMAT_ABGR2101010, DRM_FORMAT_RGB565, DRM_FORMAT_BGR565, DRM_FORMAT_XRGB1555,
	DRM_FORMAT_ARGB1555, DRM_FORMAT_XBGR1555, DRM_FORMAT_ABGR1555, DRM_FORMAT_XRGB4444,
	DRM_FORMAT_ARGB4444, DRM_FORMAT_XBGR4444, DRM_FORMAT_ABGR4444 };

enum { LAYOUTS = 3, FORMATS = 5, COLOURS = 4 };

static struct stile_device *device;
static uint64_t seed;

static void begin(const char *options) {
	device = gpu_open(options);
	seed = runner_seed();
}

static uint32_t below(uint32_t limit) {
	return (uint32_t)(runner_random(&seed) % limit);
}

static struct picture create(uint32_t fourcc, uint64_t layout, uint32_t width, uint32_t height) {
	const struct picture_info info = {
		.fourcc = fourcc,
		.width = width,
		.height = height,
		.modifier = layout,
		.imported = below(2) == 0,
	};
	return picture_make(device, &info, &seed);
}

static struct stile_swgpu_rect random_rect(const struct raster *raster) {
	uint32_t x = below(raster->width), y = below(raster->height);
	return (struct stile_swgpu_rect){ (int32_t)x, (int32_t)y, 1 + below(raster->width - x),
		1 + below(raster->height - y) };
}

static void execute(const struct stile_swgpu_composite *composite) {
	struct stile_swgpu_list *list;
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	ck_assert_int_eq(stile_swgpu_list_composite(list, composite), 0);
	ck_assert_int_eq(gpu_finish(gpu_submit(stile_swgpu_get_queue(device), list)), 1);
}

static struct stile_swgpu_composite composite_of(
	const struct picture *from, const struct picture *to) {
	return (struct stile_swgpu_composite){
		.size = sizeof(struct stile_swgpu_composite),
		.from = from->image,
		.to = to->image,
		.op = STILE_SWGPU_SRC,
		.filter = STILE_SWGPU_NEAREST,
		.alpha = 255,
	};
}

/* ---- Against pixman ------------------------------------------------------------------------- */

/* Both of the same extent, or scaled. */
static void random_rects(const struct picture *from, const struct picture *to, bool scaled,
	struct stile_swgpu_composite *composite) {
	composite->source = random_rect(&from->planes[0]);
	composite->target = random_rect(&to->planes[0]);
	if (!scaled) {
		struct stile_swgpu_rect *source = &composite->source, *target = &composite->target;
		uint32_t width = source->width < target->width ? source->width : target->width;
		uint32_t height = source->height < target->height ? source->height : target->height;
		source->width = target->width = width;
		source->height = target->height = height;
	}
}

static void check_pair(
	uint32_t from_fourcc, uint64_t from_layout, uint32_t to_fourcc, uint64_t to_layout) {
	struct picture from = create(from_fourcc, from_layout, 1 + below(150), 1 + below(80));
	struct picture to = create(to_fourcc, to_layout, 1 + below(150), 1 + below(80));
	for (int i = 0; i < 8; i++) {
		struct stile_swgpu_composite composite = composite_of(&from, &to);
		random_rects(&from, &to, i % 4 >= 2, &composite);
		composite.op = i % 2 == 0 ? STILE_SWGPU_SRC : STILE_SWGPU_OVER;
		composite.filter = 1 + below(2);
		composite.alpha = i < 4 ? 255 : (uint8_t)below(256);
		execute(&composite);
		reference_composite(&to, &from, &composite);
		picture_check(&to, "the target");
	}
	picture_check(&from, "the source");
	picture_destroy(&from);
	picture_destroy(&to);
}

/*
 * Wrong code: a rectangle's corner forgotten on one side; what is beyond the source's edge mixed in; the
 * alpha of X channels looked at; tiles handed to pixman as they are; more than the target written back.
 */
START_TEST(composite_gives_what_pixman_gives) {
	begin(devices[_i / (LAYOUTS * LAYOUTS)]);
	uint64_t from_layout = layouts[_i / LAYOUTS % LAYOUTS], to_layout = layouts[_i % LAYOUTS];
	for (size_t pair = 0; pair < FORMATS * FORMATS; pair++) {
		check_pair(
			formats[pair / FORMATS], from_layout, formats[pair % FORMATS], to_layout);
	}
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: pixels of 16 bits that begin in the middle of a word. */
START_TEST(other_formats_are_pixmans_too) {
	begin(NULL);
	uint64_t from_layout = layouts[_i / LAYOUTS], to_layout = layouts[_i % LAYOUTS];
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
		check_pair(others[i], from_layout, formats[below(FORMATS)], to_layout);
		check_pair(formats[below(FORMATS)], from_layout, others[i], to_layout);
	}
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: no rectangle taken for an empty one; strips that do not meet. */
START_TEST(rectangles_of_no_width_are_all_of_it) {
	begin(devices[_i / LAYOUTS]);
	struct picture from = create(DRM_FORMAT_ARGB8888, layouts[_i % LAYOUTS], 701, 613);
	struct picture to = create(DRM_FORMAT_XBGR8888, layouts[(_i + 1) % LAYOUTS], 701, 613);
	struct stile_swgpu_composite composite = composite_of(&from, &to);
	composite.op = STILE_SWGPU_OVER;
	execute(&composite);
	reference_composite(&to, &from, &composite);
	picture_check(&to, "the target");
	composite.source = (struct stile_swgpu_rect){ 3, 5, 200, 100 };
	composite.filter = STILE_SWGPU_BILINEAR;
	execute(&composite);
	reference_composite(&to, &from, &composite);
	picture_check(&to, "the target, scaled");
	picture_destroy(&from);
	picture_destroy(&to);
	stile_device_destroy(device);
}
END_TEST

/* ---- Against loops -------------------------------------------------------------------------- */

/* A pixel of 32 bits as alpha, red, green, blue. */
static void get_colour(uint32_t fourcc, const uint8_t *pixel, uint8_t colour[4]) {
	bool red_first = fourcc == DRM_FORMAT_XBGR8888 || fourcc == DRM_FORMAT_ABGR8888;
	bool opaque = fourcc == DRM_FORMAT_XRGB8888 || fourcc == DRM_FORMAT_XBGR8888;
	colour[0] = opaque ? 255 : pixel[3];
	colour[1] = pixel[red_first ? 0 : 2];
	colour[2] = pixel[1];
	colour[3] = pixel[red_first ? 2 : 0];
}

/* A product of parts of 255, to the nearest. */
static uint8_t times(unsigned a, unsigned b) {
	return (uint8_t)((a * b + 127) / 255);
}

/* Premultiplied; more than there is stays the most there is. */
static void blend(uint8_t to[4], const uint8_t from[4], uint8_t alpha, bool is_over) {
	uint8_t left = is_over ? (uint8_t)(255 - times(from[0], alpha)) : 0;
	for (int i = 0; i < 4; i++) {
		unsigned sum = times(from[i], alpha) + times(to[i], left);
		to[i] = sum > 255 ? 255 : (uint8_t)sum;
	}
}

/* Does a pixel have these colours? Of X channels, the fourth byte is nobody's. */
static void check_pixel(const struct picture *picture, const uint8_t *pixels, uint32_t x,
	uint32_t y, const uint8_t expected[4]) {
	uint32_t fourcc = stile_image_get_info(picture->image)->fourcc;
	uint8_t colour[4];
	get_colour(fourcc, pixels + 4 * (y * picture->planes[0].width + x), colour);
	for (int i = 0; i < 4; i++) {
		if (colour[i] != expected[i]) {
			ck_abort_msg("channel %d of pixel %u, %u is %u, not %u", i, x, y, colour[i],
				expected[i]);
		}
	}
}

static uint8_t *download(const struct picture *picture) {
	const struct raster *raster = &picture->planes[0];
	uint8_t *pixels = malloc(raster_pitch(raster) * raster->height);
	ck_assert_ptr_nonnull(pixels);
	struct stile_swgpu_list *list;
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	ck_assert_int_eq(
		stile_swgpu_list_download(list, picture->image, 0, pixels, raster_pitch(raster)),
		0);
	ck_assert_int_eq(gpu_finish(gpu_submit(stile_swgpu_get_queue(device), list)), 1);
	return pixels;
}

/* Wrong code: channels swapped between formats; alpha that is not premultiplied; rounding downwards. */
START_TEST(operators_are_what_they_are_called) {
	begin(NULL);
	struct picture from =
		create(formats[_i / COLOURS % COLOURS], layouts[_i % LAYOUTS], 90, 70);
	struct picture to = create(formats[_i % COLOURS], layouts[_i % 2], 90, 70);
	uint32_t from_fourcc = stile_image_get_info(from.image)->fourcc;
	uint32_t to_fourcc = stile_image_get_info(to.image)->fourcc;
	struct stile_swgpu_composite composite = composite_of(&from, &to);
	bool is_over = _i / (COLOURS * COLOURS) % 2 != 0;
	composite.op = is_over ? STILE_SWGPU_OVER : STILE_SWGPU_SRC;
	composite.alpha = _i / (COLOURS * COLOURS * 2) != 0 ? 0x9c : 255;
	execute(&composite);
	uint8_t *pixels = download(&to);
	for (uint32_t y = 0; y < 70; y++) {
		for (uint32_t x = 0; x < 90; x++) {
			uint8_t expected[4], colour[4];
			get_colour(to_fourcc, raster_at(&to.planes[0], x, y), expected);
			get_colour(from_fourcc, raster_at(&from.planes[0], x, y), colour);
			blend(expected, colour, composite.alpha, is_over);
			if (to_fourcc == DRM_FORMAT_XRGB8888 || to_fourcc == DRM_FORMAT_XBGR8888) {
				expected[0] = 255;
			}
			check_pixel(&to, pixels, x, y, expected);
		}
	}
	free(pixels);
	picture_destroy(&from);
	picture_destroy(&to);
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: a format of pixman's that has the components in another order than the name says. */
START_TEST(other_formats_keep_the_colours) {
	begin(NULL);
	const struct stile_format *format = stile_format_get(others[_i]);
	struct pixel of_from, of_to;
	ck_assert(pixel_parse("ARGB8888", &of_from) && pixel_parse(format->name, &of_to));
	struct picture from = create(DRM_FORMAT_ARGB8888, DRM_FORMAT_MOD_LINEAR, 33, 9);
	struct picture to = create(others[_i], DRM_FORMAT_MOD_LINEAR, 33, 9);
	struct stile_swgpu_composite composite = composite_of(&from, &to);
	execute(&composite);
	uint8_t *pixels = download(&to);
	for (uint32_t i = 0; i < 33 * 9; i++) {
		double expected[4], colour[4];
		pixel_decode(&of_from, from.planes[0].bytes + 4 * (size_t)i, expected);
		pixel_decode(&of_to, pixels + of_to.bytes * (size_t)i, colour);
		for (int k = 0; k < 4; k++) {
			/* Pixman cuts bits off. */
			double step = pixel_step(&of_to, k);
			ck_assert_msg(step == 0 ||
					(colour[k] > expected[k] - 1.01 * step &&
						colour[k] < expected[k] + 1.01 * step),
				"%s: %c is %f, not %f", format->name, "RGBA"[k], colour[k],
				expected[k]);
		}
	}
	free(pixels);
	picture_destroy(&from);
	picture_destroy(&to);
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: scaling by the reciprocal; half a pixel off; the whole source instead of its part. */
START_TEST(nearest_repeats_and_drops_pixels) {
	begin(NULL);
	struct picture from = create(DRM_FORMAT_ARGB8888, layouts[_i], 60, 40);
	struct picture to = create(DRM_FORMAT_ARGB8888, layouts[(_i + 1) % LAYOUTS], 100, 100);
	struct stile_swgpu_composite composite = composite_of(&from, &to);
	composite.source = (struct stile_swgpu_rect){ 7, 9, 24, 30 };
	composite.target = (struct stile_swgpu_rect){ 11, 2, 72, 10 };
	execute(&composite);
	uint8_t *pixels = download(&to);
	for (uint32_t y = 0; y < 10; y++) {
		for (uint32_t x = 0; x < 72; x++) {
			ck_assert_mem_eq(pixels + 4 * ((2 + y) * 100 + 11 + x),
				raster_at(&from.planes[0], 7 + x / 3, 9 + 3 * y + 1), 4);
		}
	}
	free(pixels);
	picture_destroy(&from);
	picture_destroy(&to);
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: transparent black mixed in at the edges of a picture that is made larger. */
START_TEST(scaled_picture_of_one_colour_is_of_that_colour_up_to_its_edges) {
	begin(NULL);
	struct picture from = create(DRM_FORMAT_ARGB8888, layouts[_i], 20, 20);
	struct picture to = create(DRM_FORMAT_ARGB8888, DRM_FORMAT_MOD_LINEAR, 90, 90);
	struct stile_swgpu_list *list;
	const struct stile_swgpu_rect part = { 5, 6, 9, 8 };
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	ck_assert_int_eq(stile_swgpu_list_fill(list, from.image, 0, &part, 0xc0402010), 0);
	ck_assert_int_eq(gpu_finish(gpu_submit(stile_swgpu_get_queue(device), list)), 1);
	struct stile_swgpu_composite composite = composite_of(&from, &to);
	composite.source = part;
	composite.target = (struct stile_swgpu_rect){ 10, 20, 61, 53 };
	composite.filter = STILE_SWGPU_BILINEAR;
	execute(&composite);
	reference_fill(&to.planes[0], 10, 20, 61, 53, 0xc0402010);
	picture_check(&to, "the target");
	picture_destroy(&from);
	picture_destroy(&to);
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: samples of 8 bits taken for red, or refused. */
START_TEST(samples_of_8_bits_are_alpha) {
	begin(NULL);
	struct picture red = create(DRM_FORMAT_R8, layouts[_i], 33, 9);
	struct picture to = create(DRM_FORMAT_ARGB8888, DRM_FORMAT_MOD_LINEAR, 33, 9);
	struct picture back = create(DRM_FORMAT_R8, DRM_FORMAT_MOD_LINEAR, 33, 9);
	struct stile_swgpu_composite composite = composite_of(&red, &to);
	execute(&composite);
	composite = composite_of(&to, &back);
	execute(&composite);
	for (uint32_t y = 0; y < 9; y++) {
		for (uint32_t x = 0; x < 33; x++) {
			uint32_t alpha = *raster_at(&red.planes[0], x, y);
			reference_fill(&to.planes[0], x, y, 1, 1, alpha << 24);
		}
	}
	picture_check(&to, "colours");
	reference_copy(&back, &red);
	picture_check(&back, "alpha again");
	picture_destroy(&red);
	picture_destroy(&to);
	picture_destroy(&back);
	stile_device_destroy(device);
}
END_TEST

static Suite *make(void) {
	Suite *suite = suite_create("composite");
	const int all = ARRAY_LENGTH(devices);

	TCase *pixman = ledger_tcase_create("pixman");
	tcase_add_loop_test(pixman, composite_gives_what_pixman_gives, 0, all * LAYOUTS * LAYOUTS);
	tcase_add_loop_test(pixman, other_formats_are_pixmans_too, 0, LAYOUTS * LAYOUTS);
	tcase_add_loop_test(pixman, rectangles_of_no_width_are_all_of_it, 0, all * LAYOUTS);
	suite_add_tcase(suite, pixman);

	TCase *loops = ledger_tcase_create("loops");
	tcase_add_loop_test(loops, operators_are_what_they_are_called, 0, COLOURS * COLOURS * 4);
	tcase_add_loop_test(loops, other_formats_keep_the_colours, 0, ARRAY_LENGTH(others));
	tcase_add_loop_test(loops, nearest_repeats_and_drops_pixels, 0, LAYOUTS);
	tcase_add_loop_test(
		loops, scaled_picture_of_one_colour_is_of_that_colour_up_to_its_edges, 0, LAYOUTS);
	tcase_add_loop_test(loops, samples_of_8_bits_are_alpha, 0, LAYOUTS);
	suite_add_tcase(suite, loops);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make, NULL);
}
