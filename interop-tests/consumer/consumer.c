/* SPDX-License-Identifier: MIT */
/* An application that knows nothing but what is installed. consumer.cpp is the same in C++. */
#include <stdint.h>
#include <stdio.h>

#include <stile/drm.h>
#include <stile/egl.h>
#include <stile/stile.h>
#include <stile/swgpu.h>
#include <stile/vulkan.h>

static int draw(struct stile_device *device, struct stile_image *image) {
	struct stile_fence *fence;
	int ret = stile_swgpu_fill(device, image, 0, 0x00336699, &fence);
	if (ret < 0) {
		return ret;
	}
	ret = stile_fence_wait(fence, INT64_MAX);
	if (ret == 0) {
		ret = stile_fence_get_status(fence) == 1 ? 0 : -1;
	}
	stile_fence_unref(fence);
	return ret;
}

/* The pixel in the last row and column, or 0. */
static uint32_t last_pixel(struct stile_image *image) {
	const struct stile_image_info *info = stile_image_get_info(image);
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *address;
	if (stile_buffer_mmap(buffer, STILE_USAGE_READ, &address) < 0) {
		return 0;
	}
	const uint8_t *row = (const uint8_t *)address + info->planes[0].offset +
		(size_t)info->planes[0].pitch * (info->height - 1);
	uint32_t pixel = ((const uint32_t *)(const void *)row)[info->width - 1];
	stile_buffer_munmap(buffer, address);
	return pixel;
}

int main(void) {
	/* One function of each adapter: linking them is the test. */
	int (*vulkan)(struct stile_vulkan *, struct stile_fence **) = stile_vulkan_fence_create;
	int (*egl)(struct stile_egl *, struct stile_fence **) = stile_egl_fence_create;
	int (*drm)(const struct stile_drm *) = stile_drm_get_fd;
	if (vulkan == NULL || egl == NULL || drm == NULL) {
		return 1;
	}

	struct stile_device *device;
	int ret = stile_device_open("swgpu", NULL, &device);
	if (ret < 0) {
		fprintf(stderr, "no device: %d\n", ret);
		return 1;
	}
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = 67,
		.height = 13,
		.fourcc = DRM_FORMAT_XRGB8888,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.name = "consumer",
	};
	struct stile_image *image;
	ret = stile_image_create(device, &info, &image);
	uint32_t pixel = 0;
	if (ret == 0) {
		ret = draw(device, image);
		pixel = last_pixel(image);
		stile_image_unref(image);
	}
	stile_device_destroy(device);

	printf("Stile %s, a C consumer: status %d, pixel %08x\n", stile_version_get(), ret,
		(unsigned)pixel);
	return ret == 0 && (pixel & 0x00ffffff) == 0x00336699 ? 0 : 1;
}
