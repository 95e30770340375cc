/* SPDX-License-Identifier: MIT */
/* What an image costs each time it is used, when nobody else uses it. */
#include <stdlib.h>

#include <stile/access.h>
#include <stile/device.h>
#include <stile/image.h>

#include "interop-tests/bench/fence.h"

struct user {
	struct stile_image *image;
	struct stile_access_info info;
	struct stile_fence fence; /* of work that is done already */
};

static int64_t run_access(void *data, size_t n) {
	struct user *user = data;
	int64_t began = bench_now();
	for (size_t i = 0; i < n; i++) {
		struct stile_access access;
		if (stile_access_begin(user->image, &user->info, &access) < 0 ||
			access.count != 0 || stile_access_end(&access, &user->fence) < 0) {
			abort();
		}
	}
	return bench_now() - began;
}

static void user_init(struct user *user, struct stile_image *image, uint32_t usage) {
	uint64_t context = stile_fence_context_alloc(1);
	user->image = image;
	user->info = (struct stile_access_info){
		.size = sizeof(user->info),
		.usage = usage,
		.context = context,
	};
	fence_make(&user->fence, context, 1);
	stile_fence_signal(&user->fence);
}

static int create_image(struct stile_device *device, struct stile_image **out) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = 64,
		.height = 64,
		.fourcc = DRM_FORMAT_ARGB8888,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
	};
	return stile_image_create(device, &info, out);
}

static void measure(struct stile_image *image) {
	static struct user writer, reader;
	user_init(&writer, image, STILE_USAGE_WRITE);
	user_init(&reader, image, STILE_USAGE_READ);
	struct bench_way ways[] = {
		{ .run = run_access, .data = &writer },
		{ .run = run_access, .data = &reader },
	};
	bench_measure(ways, 2);
	resv_report_ns("begin and end of a write, idle image", ways[0].median, "value <= 250 ns",
		ways[0].median <= 250);
	resv_report_ns("begin and end of a read, idle image", ways[1].median, "value <= 250 ns",
		ways[1].median <= 250);
}

int resv_bench_access(void) {
	struct stile_device *device;
	struct stile_image *image;
	int ret = stile_device_open("swgpu", NULL, &device);
	if (ret < 0) {
		return ret;
	}
	ret = create_image(device, &image);
	if (ret == 0) {
		fence_pin(0);
		measure(image);
		fence_unpin();
		stile_image_unref(image);
	}
	stile_device_destroy(device);
	return ret;
}
