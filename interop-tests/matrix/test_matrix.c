/* SPDX-License-Identifier: MIT */
/* All that a machine without a GPU has: matrix.h. */
#include <stdlib.h>

#include "interop-tests/matrix/matrix.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* For the page, all there are. Else, formats that most take, of each size and shape; apart, of each number of planes. */
static bool is_tried(
	const struct stile_format *format, const struct producer *producer, bool is_apart) {
	(void)producer;
	static const uint32_t few[] = { DRM_FORMAT_XRGB8888, DRM_FORMAT_NV12, DRM_FORMAT_YVU420,
		DRM_FORMAT_R8, DRM_FORMAT_RGB565, DRM_FORMAT_ABGR8888, DRM_FORMAT_ABGR16161616F,
		DRM_FORMAT_YUYV, DRM_FORMAT_P010 };
	size_t count = is_apart ? 3 : LENGTH(few), i = 0;
	while (i < count && few[i] != format->fourcc) {
		i++;
	}
	return i < count || getenv("STILE_MATRIX") != NULL;
}

static const struct producer *const producers[] = {
	&vulkan_draws,
	&vulkan_computes,
	&gles_draws,
	&swgpu_uploads,
	&cpu_writes,
};

static const struct consumer *const consumers[] = {
	&vulkan_samples,
	&gles_samples,
	&gles_samples_external,
	&swgpu_copies,
	&cpu_reads,
};

int main(int argc, char **argv) {
	const struct matrix matrix = {
		.producers = producers,
		.producer_count = LENGTH(producers),
		.consumers = consumers,
		.consumer_count = LENGTH(consumers),
		.is_tried = is_tried,
		.memory = "swgpu",
		.width = CARD_WIDTH,
		.height = CARD_HEIGHT,
	};
	return matrix_main(argc, argv, &matrix);
}
