/* SPDX-License-Identifier: MIT */
/* What a display shows, of pictures in memory that the kernel knows: matrix.h. In a guest. */
#include "interop-tests/kernel/kms_stage.h"
#include "interop-tests/matrix/matrix.h"
#include "interop-tests/support/runner.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Of what vkms takes, those without alpha, and of no more bits than it writes back; and one that it does not take: it
 * refuses that the same way, whoever paints. Drivers take seconds here to prepare for another format.
 */
static bool is_tried(
	const struct stile_format *format, const struct producer *producer, bool is_apart) {
	return !is_apart &&
		(format->fourcc == DRM_FORMAT_XRGB8888 || format->fourcc == DRM_FORMAT_RGB565 ||
			(format->fourcc == DRM_FORMAT_R8 && producer == &cpu_writes));
}

static const struct producer *const producers[] = {
	&vulkan_draws,
	&vulkan_computes,
	&gles_draws,
	&swgpu_uploads,
	&cpu_writes,
};

static const struct consumer *const consumers[] = { &kms_shows };

int main(int argc, char **argv) {
	const struct matrix matrix = {
		.producers = producers,
		.producer_count = LENGTH(producers),
		.consumers = consumers,
		.consumer_count = LENGTH(consumers),
		.is_tried = is_tried,
		.memory = "udmabuf",
		.width = KMS_OUTPUT_WIDTH,
		.height = KMS_OUTPUT_HEIGHT,
		.is_in_guest = true,
	};
	return stage_is_there() ? matrix_main(argc, argv, &matrix) : RUNNER_SKIP;
}
