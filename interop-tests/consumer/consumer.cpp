/* SPDX-License-Identifier: MIT */
/* What consumer.c does, in C++11. */
#include <cstdint>
#include <cstdio>
#include <memory>

#include <stile/drm.h>
#include <stile/egl.h>
#include <stile/stile.h>
#include <stile/swgpu.h>
#include <stile/vulkan.h>

namespace {

using device_ptr = std::unique_ptr<stile_device, decltype(&stile_device_destroy)>;
using image_ptr = std::unique_ptr<stile_image, decltype(&stile_image_unref)>;
using fence_ptr = std::unique_ptr<stile_fence, decltype(&stile_fence_unref)>;

bool draw(stile_device *device, stile_image *image) {
	stile_fence *out = nullptr;
	if (stile_swgpu_fill(device, image, 0, 0x00336699, &out) < 0) {
		return false;
	}
	fence_ptr fence(out, stile_fence_unref);
	return stile_fence_wait(fence.get(), INT64_MAX) == 0 &&
		stile_fence_get_status(fence.get()) == 1;
}

std::uint32_t last_pixel(stile_image *image) {
	const stile_image_info *info = stile_image_get_info(image);
	stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *address = nullptr;
	if (stile_buffer_mmap(buffer, STILE_USAGE_READ, &address) < 0) {
		return 0;
	}
	const std::uint8_t *row = static_cast<const std::uint8_t *>(address) +
		info->planes[0].offset + std::size_t{ info->planes[0].pitch } * (info->height - 1);
	std::uint32_t pixel = reinterpret_cast<const std::uint32_t *>(row)[info->width - 1];
	stile_buffer_munmap(buffer, address);
	return pixel;
}

} // namespace

int main() {
	/* One function of each adapter: linking them is the test. */
	int (*vulkan)(stile_vulkan *, stile_fence **) = stile_vulkan_fence_create;
	int (*egl)(stile_egl *, stile_fence **) = stile_egl_fence_create;
	int (*drm)(const stile_drm *) = stile_drm_get_fd;
	if (vulkan == nullptr || egl == nullptr || drm == nullptr) {
		return 1;
	}

	stile_device *opened = nullptr;
	if (stile_device_open("swgpu", nullptr, &opened) < 0) {
		return 1;
	}
	device_ptr device(opened, stile_device_destroy);

	stile_image_info info = {};
	info.size = sizeof(info);
	info.width = 67;
	info.height = 13;
	info.fourcc = DRM_FORMAT_XRGB8888;
	info.usage = STILE_USAGE_READ | STILE_USAGE_WRITE;
	info.modifier = DRM_FORMAT_MOD_LINEAR;
	stile_image *made = nullptr;
	if (stile_image_create(device.get(), &info, &made) < 0) {
		return 1;
	}
	image_ptr image(made, stile_image_unref);

	bool drawn = draw(device.get(), image.get());
	std::uint32_t pixel = last_pixel(image.get());
	std::printf("Stile %s, a C++ consumer: pixel %08x\n", stile_version_get(),
		static_cast<unsigned>(pixel));
	return drawn && (pixel & 0x00ffffff) == 0x00336699 ? 0 : 1;
}
