/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "interop-tests/interop/images.h"
#include "interop-tests/interop/require.h"
#include "interop-tests/matrix/actor.h"

/* Have what is submitted next come after all that an access waits for; the path of the last one. */
static void wait_for(
	struct vulkan_drawer *drawer, const struct stile_access *access, struct stile_path *path) {
	for (size_t i = 0; i < access->count; i++) {
		require(vulkan_drawer_wait(drawer, access->fences[i], path) == 0);
	}
}

static struct stile_fence *make_fence(struct vulkan_drawer *drawer) {
	struct stile_fence *done;
	require(stile_vulkan_fence_create(drawer->stile, &done) == 0);
	return done;
}

static struct stile_vulkan_image *import(struct vulkan_drawer *drawer, struct stile_image *image,
	VkImageUsageFlags usage, char *why) {
	struct stile_report report = { .size = sizeof(report) };
	struct stile_vulkan_image *imported;
	if (stile_vulkan_import_image(drawer->stile, image, usage, &report, &imported) < 0) {
		snprintf(why, sizeof(report.text), "%s", report.text);
	}
	return imported;
}

/* ---- Painting ----------------------------------------------------------------------------- */

static void drop_parts(struct painting *painting) {
	for (uint32_t i = 0; i < painting->sheet->plane_count; i++) {
		stile_vulkan_image_destroy(painting->vulkan[i]);
	}
	actor_drop_parts(painting);
}

static bool import_parts(
	struct vulkan_drawer *drawer, struct painting *painting, VkImageUsageFlags usage) {
	if (!actor_take_apart(painting)) {
		return false;
	}
	for (uint32_t i = 0; i < painting->sheet->plane_count; i++) {
		painting->vulkan[i] = import(drawer, painting->parts[i], usage, painting->why);
		if (painting->vulkan[i] == NULL) {
			drop_parts(painting);
			return false;
		}
	}
	return true;
}

static void submit_painting(
	struct workshop *workshop, const struct painting *painting, VkImageUsageFlags usage) {
	struct vulkan_canvas canvases[VULKAN_PAINTER_IMAGES];
	const struct sheet *sheet = painting->sheet;
	for (uint32_t i = 0; i < sheet->plane_count; i++) {
		canvases[i] = (struct vulkan_canvas){
			.image = painting->vulkan[i],
			.extent = { sheet->planes[i].width, sheet->planes[i].rows },
			.colours = sheet->planes[i].colours,
		};
	}
	vulkan_painter_submit(&workshop->vulkan_painter, usage, canvases, sheet->plane_count);
}

/* Somebody still reads the picture that was there before: the gate. */
static bool begin(struct workshop *workshop, struct painting *painting, VkImageUsageFlags usage) {
	struct vulkan_drawer *drawer = &workshop->vulkan;
	if (!import_parts(drawer, painting, usage)) {
		return false;
	}
	struct stile_path path = { .size = sizeof(path) };
	struct stile_access access;
	images_add_work(painting->image, STILE_USAGE_READ, painting->gate.fence);
	actor_begin(painting->image, STILE_USAGE_WRITE, &access);
	wait_for(drawer, &access, &path);
	submit_painting(workshop, painting, usage);
	actor_end(&access, make_fence(drawer));
	return true;
}

static bool begin_draw(struct workshop *workshop, struct painting *painting) {
	return begin(workshop, painting, VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT);
}

static bool begin_compute(struct workshop *workshop, struct painting *painting) {
	return begin(workshop, painting, VK_IMAGE_USAGE_STORAGE_BIT);
}

static void end(struct workshop *workshop, struct painting *painting) {
	vulkan_painter_end(&workshop->vulkan_painter);
	drop_parts(painting);
}

const struct producer vulkan_draws = { "Vulkan draw", begin_draw, end };
const struct producer vulkan_computes = { "Vulkan compute", begin_compute, end };

/* ---- Looking ------------------------------------------------------------------------------ */

static const VkExtent2D extent = { CARD_WIDTH, CARD_HEIGHT };

/* What is sampled, and by what. */
struct source {
	struct stile_vulkan_yuv images; /* of RGB, one, and no path */
	VkComponentMapping components;
	struct vulkan_sampler *sampler;
};

static void submit_sampling(const struct source *source) {
	if (source->images.path == STILE_VULKAN_YUV_PLANES) {
		vulkan_sampler_submit_planes(source->sampler, &source->images, extent);
	} else {
		vulkan_sampler_submit(
			source->sampler, source->images.images[0], source->components, extent);
	}
}

static void wait_and_submit(
	struct workshop *workshop, struct look *look, const struct source *source) {
	struct stile_access access;
	actor_begin(look->image, STILE_USAGE_READ, &access);
	wait_for(&workshop->vulkan, &access, &look->sight.path);
	submit_sampling(source);
	struct stile_fence *done = make_fence(&workshop->vulkan);
	/* What it looks at is not painted yet. */
	require(!stile_fence_is_signaled(done));
	actor_end(&access, done);
}

static void look_at(struct workshop *workshop, struct look *look, struct source *source) {
	if (look->waits) {
		wait_and_submit(workshop, look, source);
		look->submitted(look->user);
		vulkan_sampler_take(source->sampler, extent, look->sight.rgba);
	} else {
		submit_sampling(source);
		vulkan_sampler_take(source->sampler, extent, look->sight.rgba);
		look->submitted(look->user);
	}
	stile_vulkan_yuv_finish(&source->images);
}

/* However the device takes it. */
static bool look_at_yuv(struct workshop *workshop, struct look *look) {
	struct vulkan_drawer *drawer = &workshop->vulkan;
	struct stile_report report = { .size = sizeof(report) };
	struct vulkan_sampler sampler;
	/* The conversion puts components in order. */
	struct source source = {
		.images = { .size = sizeof(source.images) },
		.sampler = &sampler,
	};
	if (stile_vulkan_import_yuv(
		    drawer->stile, look->image, VK_FILTER_NEAREST, &report, &source.images) < 0) {
		snprintf(look->sight.why, sizeof(look->sight.why), "%s", report.text);
		return false;
	}
	if (source.images.path == STILE_VULKAN_YUV_PLANES) {
		look->sight.way = TABLE_SHADER;
		vulkan_sampler_init_planes(&sampler, drawer, CARD_PIXELS);
	} else {
		look->sight.way = TABLE_CONVERSION;
		look->sight.siting = vulkan_sampler_find_siting(
			drawer, stile_vulkan_image_get_format(source.images.images[0]));
		vulkan_sampler_init_converted(
			&sampler, drawer, CARD_PIXELS, source.images.conversion, VK_FILTER_NEAREST);
	}
	look_at(workshop, look, &source);
	vulkan_sampler_finish(&sampler);
	return true;
}

static bool look_at_rgb(struct workshop *workshop, struct look *look) {
	struct stile_vulkan_format format = { .size = sizeof(format) };
	struct stile_vulkan_image *image =
		import(&workshop->vulkan, look->image, VK_IMAGE_USAGE_SAMPLED_BIT, look->sight.why);
	if (image == NULL) {
		return false;
	}
	require(stile_vulkan_format_get(stile_image_get_info(look->image)->fourcc, &format) == 0);
	struct source source = {
		.images = { .image_count = 1, .images = { image } },
		.components = format.components,
		.sampler = &workshop->vulkan_sampler,
	};
	look->sight.way = TABLE_WHOLE;
	look_at(workshop, look, &source);
	return true;
}

static bool look_by_sampling(struct workshop *workshop, struct look *look) {
	const struct stile_image_info *info = stile_image_get_info(look->image);
	return stile_format_get(info->fourcc)->is_yuv ? look_at_yuv(workshop, look)
						      : look_at_rgb(workshop, look);
}

const struct consumer vulkan_samples = { "Vulkan sample", look_by_sampling };
