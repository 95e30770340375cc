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

/* Somebody still reads the picture that was there before: the gate. */
static bool begin(struct workshop *workshop, struct painting *painting, VkImageUsageFlags usage) {
	struct vulkan_drawer *drawer = &workshop->vulkan;
	painting->vulkan = import(drawer, painting->image, usage, painting->why);
	if (painting->vulkan == NULL) {
		return false;
	}
	float rgba[CARD_PIXELS][4];
	for (size_t i = 0; i < CARD_PIXELS; i++) {
		for (int k = 0; k < 4; k++) {
			rgba[i][k] = (float)painting->card->colours[i][k];
		}
	}
	struct stile_path path = { .size = sizeof(path) };
	struct stile_access access;
	images_add_work(painting->image, STILE_USAGE_READ, painting->gate.fence);
	actor_begin(painting->image, STILE_USAGE_WRITE, &access);
	wait_for(drawer, &access, &path);
	vulkan_painter_submit(&workshop->vulkan_painter, painting->vulkan, usage, rgba);
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
	stile_vulkan_image_destroy(painting->vulkan);
}

const struct producer vulkan_draws = { "Vulkan draw", begin_draw, end };
const struct producer vulkan_computes = { "Vulkan compute", begin_compute, end };

/* ---- Looking ------------------------------------------------------------------------------ */

static const VkExtent2D extent = { CARD_WIDTH, CARD_HEIGHT };

static void submit(struct workshop *workshop, struct look *look,
	const struct stile_vulkan_image *image, VkComponentMapping components) {
	struct stile_access access;
	actor_begin(look->image, STILE_USAGE_READ, &access);
	wait_for(&workshop->vulkan, &access, &look->path);
	vulkan_sampler_submit(&workshop->vulkan_sampler, image, components, extent);
	struct stile_fence *done = make_fence(&workshop->vulkan);
	/* What it looks at is not painted yet. */
	require(!stile_fence_is_signaled(done));
	actor_end(&access, done);
}

static bool look_by_sampling(struct workshop *workshop, struct look *look) {
	struct stile_vulkan_format format = { .size = sizeof(format) };
	struct stile_vulkan_image *image =
		import(&workshop->vulkan, look->image, VK_IMAGE_USAGE_SAMPLED_BIT, look->why);
	if (image == NULL) {
		return false;
	}
	require(stile_vulkan_format_get(stile_image_get_info(look->image)->fourcc, &format) == 0);
	if (look->waits) {
		submit(workshop, look, image, format.components);
		look->submitted(look->user);
		vulkan_sampler_take(&workshop->vulkan_sampler, extent, look->rgba);
	} else {
		vulkan_sampler_read(
			&workshop->vulkan_sampler, image, format.components, extent, look->rgba);
		look->submitted(look->user);
	}
	stile_vulkan_image_destroy(image);
	return true;
}

const struct consumer vulkan_samples = { "Vulkan sample", look_by_sampling };
