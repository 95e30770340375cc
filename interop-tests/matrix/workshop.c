/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/require.h"
#include "interop-tests/matrix/actor.h"

void workshop_open(struct workshop *workshop, bool has_vulkan, bool is_surfaceless) {
	/* By its own rules it would wait for those who use an image, told to or not. */
	const struct stile_device_info info = {
		.size = sizeof(info),
		.options = "profile=no-implicit-sync",
	};
	*workshop = (struct workshop){ .is_surfaceless = is_surfaceless };
	require(stile_device_open("swgpu", &info, &workshop->device) == 0);
	if (!has_vulkan) {
		return;
	}
	require(vulkan_drawer_init(&workshop->vulkan, false) == 0);
	vulkan_painter_init(&workshop->vulkan_painter, &workshop->vulkan);
	vulkan_sampler_init(&workshop->vulkan_sampler, &workshop->vulkan, CARD_PIXELS);
}

void workshop_close(struct workshop *workshop) {
	if (workshop->vulkan.device != VK_NULL_HANDLE) {
		vulkan_sampler_finish(&workshop->vulkan_sampler);
		vulkan_painter_finish(&workshop->vulkan_painter);
		vulkan_drawer_finish(&workshop->vulkan);
	}
	stile_device_destroy(workshop->device);
}
