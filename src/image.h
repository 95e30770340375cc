/* SPDX-License-Identifier: MIT */
#ifndef SRC_IMAGE_H
#define SRC_IMAGE_H

#include <stdbool.h>

#include <stile/image.h>

struct stile_image {
	struct stile_device *device; /* a reference */
	uint32_t refs;
	const struct stile_format *format;
	uint32_t allowed; /* STILE_USAGE_* that all its descriptors allow */
	struct stile_image_info info;
	struct stile_buffer *buffers[STILE_MAX_PLANES]; /* a reference each */
	char name[32];
};

#endif
