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

/* A sampler that makes colours of luma and chroma. False: the device has none. */
static bool create_converter(
	struct vulkan_drawer *drawer, struct look *look, struct vulkan_sampler *sampler) {
	const struct stile_image_info *info = stile_image_get_info(look->image);
	struct stile_report report = { .size = sizeof(report) };
	VkSamplerYcbcrConversion conversion;
	if (stile_vulkan_get_ycbcr_conversion(drawer->stile, info->fourcc, &info->colour,
		    VK_FILTER_NEAREST, &report, &conversion) < 0) {
		snprintf(look->sight.why, sizeof(look->sight.why), "%s", report.text);
		return false;
	}
	vulkan_sampler_init_converted(sampler, drawer, CARD_PIXELS, conversion, VK_FILTER_NEAREST);
	return true;
}

static void submit(struct workshop *workshop, struct vulkan_sampler *sampler, struct look *look,
	const struct stile_vulkan_image *image, VkComponentMapping components) {
	struct stile_access access;
	actor_begin(look->image, STILE_USAGE_READ, &access);
	wait_for(&workshop->vulkan, &access, &look->sight.path);
	vulkan_sampler_submit(sampler, image, components, extent);
	struct stile_fence *done = make_fence(&workshop->vulkan);
	/* What it looks at is not painted yet. */
	require(!stile_fence_is_signaled(done));
	actor_end(&access, done);
}

static void sample(struct workshop *workshop, struct vulkan_sampler *sampler, struct look *look,
	const struct stile_vulkan_image *image, VkComponentMapping components) {
	if (look->waits) {
		submit(workshop, sampler, look, image, components);
		look->submitted(look->user);
		vulkan_sampler_take(sampler, extent, look->sight.rgba);
	} else {
		vulkan_sampler_read(sampler, image, components, extent, look->sight.rgba);
		look->submitted(look->user);
	}
}

static bool look_by_converting(
	struct workshop *workshop, struct look *look, const struct stile_vulkan_image *image) {
	struct vulkan_sampler sampler;
	if (!create_converter(&workshop->vulkan, look, &sampler)) {
		return false;
	}
	look->sight.way = TABLE_CONVERSION;
	look->sight.siting =
		vulkan_sampler_find_siting(&workshop->vulkan, stile_vulkan_image_get_format(image));
	/* The conversion puts components in order. */
	sample(workshop, &sampler, look, image, (VkComponentMapping){ 0 });
	vulkan_sampler_finish(&sampler);
	return true;
}

static bool look_by_sampling(struct workshop *workshop, struct look *look) {
	uint32_t fourcc = stile_image_get_info(look->image)->fourcc;
	struct stile_vulkan_format format = { .size = sizeof(format) };
	struct stile_vulkan_image *image =
		import(&workshop->vulkan, look->image, VK_IMAGE_USAGE_SAMPLED_BIT, look->sight.why);
	if (image == NULL) {
		return false;
	}
	bool taken = true;
	require(stile_vulkan_format_get(fourcc, &format) == 0);
	if (stile_format_get(fourcc)->is_yuv) {
		taken = look_by_converting(workshop, look, image);
	} else {
		look->sight.way = TABLE_WHOLE;
		sample(workshop, &workshop->vulkan_sampler, look, image, format.components);
	}
	stile_vulkan_image_destroy(image);
	return taken;
}

const struct consumer vulkan_samples = { "Vulkan sample", look_by_sampling };
