/* SPDX-License-Identifier: MIT */
/* Random command lists, against their commands one after another by plain loops. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <stile/swgpu_modifier.h>

#include "interop-tests/support/gpu_work.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/picture.h"
#include "interop-tests/support/reference.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

static const char *const devices[] = { NULL, "coherent=no", "seed=7", "frame_run=1" };

static struct stile_device *device;
static struct stile_swgpu_list *list;

static void setup_with(const char *options) {
	device = gpu_open(options);
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
}

static void teardown(void) {
	stile_swgpu_list_destroy(list);
	stile_device_destroy(device);
	list = NULL;
	device = NULL;
}

/* Execute what was recorded, and begin anew; what the list ended with. */
static int execute(void) {
	int status = gpu_finish(gpu_submit(stile_swgpu_get_queue(device), list));
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	return status;
}

enum { PICTURES = 4, ROUNDS = 40, ROUND_COMMANDS = 15 };

struct chance {
	uint64_t seed;
	struct picture pictures[PICTURES]; /* of one extent; the last one is NV12 */
	uint8_t *pixels[ROUND_COMMANDS];
	size_t pixel_count;
};

static uint32_t below(struct chance *chance, uint32_t limit) {
	return (uint32_t)(runner_random(&chance->seed) % limit);
}

static struct stile_swgpu_rect random_rect(struct chance *chance, const struct raster *raster) {
	uint32_t x = below(chance, raster->width), y = below(chance, raster->height);
	return (struct stile_swgpu_rect){ (int32_t)x, (int32_t)y,
		1 + below(chance, raster->width - x), 1 + below(chance, raster->height - y) };
}

static void random_fill(struct chance *chance) {
	struct picture *to = &chance->pictures[below(chance, PICTURES)];
	struct raster *raster = &to->planes[0];
	struct stile_swgpu_rect rect = random_rect(chance, raster);
	uint32_t value = (uint32_t)runner_random(&chance->seed);
	value &= UINT32_MAX >> (32 - 8 * raster->sample_bytes);
	ck_assert_int_eq(stile_swgpu_list_fill(list, to->image, 0, &rect, value), 0);
	reference_fill(raster, (uint32_t)rect.x, (uint32_t)rect.y, rect.width, rect.height, value);
}

static void random_copy(struct chance *chance) {
	struct picture *from = &chance->pictures[below(chance, PICTURES)];
	struct picture *to = &chance->pictures[below(chance, PICTURES)];
	bool same = stile_image_get_info(from->image)->fourcc ==
		stile_image_get_info(to->image)->fourcc;
	ck_assert_int_eq(stile_swgpu_list_copy(list, from->image, to->image), same ? 0 : -EINVAL);
	if (same && from != to) {
		reference_copy(to, from);
	}
}

static void random_composite(struct chance *chance) {
	uint32_t to = below(chance, PICTURES - 1);
	uint32_t from = (to + 1 + below(chance, PICTURES - 2)) % (PICTURES - 1);
	struct stile_swgpu_composite composite = {
		.size = sizeof(composite),
		.from = chance->pictures[from].image,
		.to = chance->pictures[to].image,
		.op = 1 + below(chance, 2),
		.filter = 1 + below(chance, 2),
		.alpha = below(chance, 2) == 0 ? 255 : (uint8_t)below(chance, 256),
	};
	composite.source = random_rect(chance, &chance->pictures[from].planes[0]);
	composite.target = random_rect(chance, &chance->pictures[to].planes[0]);
	ck_assert_int_eq(stile_swgpu_list_composite(list, &composite), 0);
	reference_composite(&chance->pictures[to], &chance->pictures[from], &composite);
}

static void random_convert(struct chance *chance) {
	static const enum stile_swgpu_matrix matrices[] = { STILE_SWGPU_BT601, STILE_SWGPU_BT709,
		STILE_SWGPU_BT2020 };
	struct picture *to = &chance->pictures[below(chance, PICTURES - 1)];
	struct picture *from = &chance->pictures[PICTURES - 1];
	enum stile_swgpu_matrix matrix = matrices[below(chance, 3)];
	enum stile_swgpu_range range = 1 + below(chance, 2);
	bool fits = to->planes[0].sample_bytes == 4;
	ck_assert_int_eq(stile_swgpu_list_convert(list, from->image, to->image, matrix, range),
		fits ? 0 : -EINVAL);
	if (fits) {
		reference_convert(to, from, matrix, range);
	}
}

static void random_upload(struct chance *chance) {
	struct picture *to = &chance->pictures[below(chance, PICTURES)];
	uint32_t plane = below(chance, to->plane_count);
	struct raster *raster = &to->planes[plane];
	uint8_t *pixels = malloc(raster_pitch(raster) * raster->height);
	ck_assert_ptr_nonnull(pixels);
	for (size_t i = 0; i < raster_pitch(raster) * raster->height; i++) {
		pixels[i] = (uint8_t)runner_random(&chance->seed);
	}
	memcpy(raster->bytes, pixels, raster_pitch(raster) * raster->height);
	ck_assert_int_eq(
		stile_swgpu_list_upload(list, to->image, plane, pixels, raster_pitch(raster)), 0);
	chance->pixels[chance->pixel_count++] = pixels;
}

static int invert(void *user, const struct stile_swgpu_row *rows, uint32_t y) {
	(void)user;
	for (uint32_t x = 0; x < rows[0].width; x++) {
		rows[0].samples[x] = (uint8_t)(255u - rows[0].samples[x] + rows[1].samples[x] + y);
	}
	return 0;
}

static void random_kernel(struct chance *chance) {
	struct picture *to = &chance->pictures[below(chance, PICTURES)];
	struct picture *from = &chance->pictures[below(chance, PICTURES)];
	struct stile_image *images[] = { to->image, from->image };
	ck_assert_int_eq(stile_swgpu_list_kernel(list, images, 2, invert, NULL), 0);
	for (uint32_t y = 0; y < to->planes[0].height; y++) {
		const struct stile_swgpu_row rows[] = {
			{ raster_at(&to->planes[0], 0, y), to->planes[0].width },
			{ raster_at(&from->planes[0], 0, y), to->planes[0].width },
		};
		invert(NULL, rows, y);
	}
}

static void chance_begin(struct chance *chance) {
	static const uint64_t layouts[] = { DRM_FORMAT_MOD_LINEAR, STILE_SWGPU_MOD_TILED_ROWS,
		STILE_SWGPU_MOD_TILED_COLUMNS };
	static const uint32_t formats[] = { DRM_FORMAT_ARGB8888, DRM_FORMAT_XBGR8888,
		DRM_FORMAT_R8 };
	uint32_t width = 2 * (1 + below(chance, 100)), height = 2 * (1 + below(chance, 50));
	/* One format is there twice, in two layouts as a rule. */
	uint32_t twice = formats[below(chance, 3)];
	for (size_t i = 0; i < PICTURES; i++) {
		const struct picture_info info = {
			.fourcc = i == PICTURES - 1 ? DRM_FORMAT_NV12
				: i < 2             ? twice
						    : formats[below(chance, 3)],
			.width = width,
			.height = height,
			.modifier = layouts[below(chance, 3)],
			.imported = below(chance, 3) == 0,
		};
		chance->pictures[i] = picture_make(device, &info, &chance->seed);
	}
}

static void chance_end(struct chance *chance) {
	for (size_t i = 0; i < PICTURES; i++) {
		picture_check(&chance->pictures[i], "after a random list");
		picture_destroy(&chance->pictures[i]);
	}
	while (chance->pixel_count > 0) {
		free(chance->pixels[--chance->pixel_count]);
	}
}

static void (*const random_commands[])(struct chance *chance) = { random_fill, random_copy,
	random_composite, random_convert, random_upload, random_kernel };

static void random_command(struct chance *chance) {
	random_commands[below(chance, ARRAY_LENGTH(random_commands))](chance);
}

/* Wrong code: commands of a list that do not see what those before have written. */
START_TEST(random_lists_do_what_their_commands_do_one_after_another) {
	setup_with(devices[_i]);
	struct chance chance = { .seed = runner_seed() };
	for (int round = 0; round < ROUNDS; round++) {
		chance_begin(&chance);
		for (int i = 0; i < ROUND_COMMANDS; i++) {
			random_command(&chance);
		}
		ck_assert_int_eq(execute(), 1);
		chance_end(&chance);
	}
	teardown();
}
END_TEST

enum { QUEUES = 4, MAX_LISTS = ROUND_COMMANDS };

static const struct {
	const char *options;
	int queues;
	bool waits; /* for each list before; else the reservations see to the order */
} orders[] = {
	{ NULL, 1, false },
	{ NULL, QUEUES, false },
	{ "engines=4", QUEUES, false },
	{ "coherent=no", QUEUES, false },
	{ "profile=no-implicit-sync", QUEUES, true },
	{ "seed=11", QUEUES, false },
	{ "seed=12 implicit_sync=no", QUEUES, true },
};

/* What was recorded goes to a queue, behind what is before it. */
static struct stile_fence *submit_to(
	struct stile_swgpu_queue *queue, struct stile_fence *const *before, size_t count) {
	struct stile_fence *fence = gpu_submit_after(queue, list, before, count);
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	return fence;
}

static void run_on_queues(struct chance *chance, struct stile_swgpu_queue **queues, int order) {
	struct stile_fence *fences[MAX_LISTS];
	size_t count = 0;
	for (int i = 0; i < ROUND_COMMANDS; i++) {
		random_command(chance);
		if (below(chance, 2) == 0 || i == ROUND_COMMANDS - 1) {
			fences[count] =
				submit_to(queues[below(chance, (uint32_t)orders[order].queues)],
					fences, orders[order].waits ? count : 0);
			count++;
		}
	}
	while (count > 0) {
		ck_assert_int_eq(gpu_finish(fences[--count]), 1);
	}
}

/*
 * DESIGN 7, section 19. Wrong code: a list that begins before one that writes what it reads, or reads what it
 * writes; two that are at the same bytes of a tile or a cache line at once.
 */
START_TEST(random_lists_on_queues_do_what_they_do_one_after_another) {
	struct stile_swgpu_queue *queues[QUEUES];
	setup_with(orders[_i].options);
	for (int i = 0; i < orders[_i].queues; i++) {
		queues[i] = gpu_queue(device, NULL, i, 0);
	}
	struct chance chance = { .seed = runner_seed() };
	for (int round = 0; round < ROUNDS; round++) {
		chance_begin(&chance);
		run_on_queues(&chance, queues, _i);
		chance_end(&chance);
	}
	for (int i = 0; i < orders[_i].queues; i++) {
		stile_swgpu_queue_destroy(queues[i]);
	}
	teardown();
}
END_TEST

static Suite *make(void) {
	Suite *suite = suite_create("random_list");
	TCase *chance = ledger_tcase_create("chance");
	tcase_add_loop_test(chance, random_lists_do_what_their_commands_do_one_after_another, 0,
		ARRAY_LENGTH(devices));
	tcase_add_loop_test(chance, random_lists_on_queues_do_what_they_do_one_after_another, 0,
		ARRAY_LENGTH(orders));
	suite_add_tcase(suite, chance);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make, NULL);
}
