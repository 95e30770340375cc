/* SPDX-License-Identifier: MIT */
#include "interop-tests/interop/images.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "interop-tests/interop/require.h"

struct stile_device *images_open_device(void) {
	struct stile_device *device;
	require(stile_device_open("swgpu", NULL, &device) == 0);
	return device;
}

static struct stile_image_info describe(uint32_t width, uint32_t height, uint32_t fourcc) {
	return (struct stile_image_info){
		.size = sizeof(struct stile_image_info),
		.width = width,
		.height = height,
		.fourcc = fourcc,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.name = "test",
	};
}

struct stile_image *images_create(
	struct stile_device *device, uint32_t width, uint32_t height, uint32_t fourcc) {
	return images_create_coloured(device, width, height, fourcc, (struct stile_colour){ 0 });
}

struct stile_image *images_create_coloured(struct stile_device *device, uint32_t width,
	uint32_t height, uint32_t fourcc, struct stile_colour colour) {
	struct stile_image_info info = describe(width, height, fourcc);
	struct stile_image *image;
	info.colour = colour;
	require(stile_image_create(device, &info, &image) == 0);
	return image;
}

/* Plane i of a picture that has so many rows more above. */
static struct stile_image_plane take_plane(
	struct stile_device *device, const struct stile_image_info *info, uint32_t i) {
	enum { ABOVE = 64 };
	struct stile_image *taller = images_create_coloured(
		device, info->width, info->height + ABOVE, info->fourcc, info->colour);
	struct stile_image_info made = { .size = sizeof(made) };
	require(stile_image_export(taller, &made) == 0);
	stile_image_unref(taller);
	for (uint32_t k = 0; k < made.plane_count; k++) {
		if (k != i) {
			close(made.planes[k].fd);
		}
	}
	uint32_t rows = (uint32_t)ABOVE / stile_format_get(info->fourcc)->planes[i].vsub;
	made.planes[i].offset += (uint64_t)rows * made.planes[i].pitch;
	return made.planes[i];
}

struct stile_image *images_create_apart(struct stile_device *device, uint32_t width,
	uint32_t height, uint32_t fourcc, struct stile_colour colour) {
	struct stile_image_info info = describe(width, height, fourcc);
	info.colour = colour;
	info.plane_count = stile_format_get(fourcc)->plane_count;
	for (uint32_t i = 0; i < info.plane_count; i++) {
		info.planes[i] = take_plane(device, &info, i);
	}
	struct stile_image *image;
	require(stile_image_import(device, &info, NULL, &image) == 0);
	for (uint32_t i = 0; i < info.plane_count; i++) {
		close(info.planes[i].fd);
	}
	return image;
}

struct stile_image *images_import_odd(struct stile_device *device, uint32_t width, uint32_t height,
	uint32_t pitch, uint64_t offset, uint64_t bytes) {
	int fd = memfd_create("odd", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	require(fd >= 0);
	require(ftruncate(fd, (off_t)bytes) == 0);
	require(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
	struct stile_image_info info = describe(width, height, DRM_FORMAT_ABGR8888);
	info.plane_count = 1;
	info.planes[0] = (struct stile_image_plane){ .fd = fd, .pitch = pitch, .offset = offset };
	struct stile_image *image;
	require(stile_image_import(device, &info, NULL, &image) == 0);
	close(fd);
	return image;
}

struct stile_image *images_reopen_read_only(struct stile_image *image) {
	struct stile_image_info info = { .size = sizeof(info) };
	require(stile_image_export(image, &info) == 0);
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", info.planes[0].fd);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	require(fd >= 0);
	close(info.planes[0].fd);
	info.planes[0].fd = fd;
	info.usage = STILE_USAGE_READ;
	/* A device of its own: the first one knows the memory, and how to write to it. */
	struct stile_device *device = images_open_device();
	struct stile_image *reopened;
	require(stile_image_import(device, &info, NULL, &reopened) == 0);
	close(fd);
	stile_device_destroy(device);
	return reopened;
}

struct stile_image *images_seal_and_reopen(
	struct stile_device *device, struct stile_image *image, int seal) {
	struct stile_image_info info = { .size = sizeof(info) };
	require(stile_image_export(image, &info) == 0);
	require(fcntl(info.planes[0].fd, F_ADD_SEALS, seal) == 0);
	info.usage = STILE_USAGE_READ;
	struct stile_image *reopened;
	require(stile_image_import(device, &info, NULL, &reopened) == 0);
	close(info.planes[0].fd);
	return reopened;
}

void images_read(struct stile_image *image, struct picture *picture) {
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	const struct stile_image_plane *plane = &stile_image_get_info(image)->planes[0];
	void *memory;
	require(stile_buffer_mmap(buffer, STILE_USAGE_READ, &memory) == 0);
	for (uint32_t y = 0; y < picture->height; y++) {
		memcpy(picture_at(picture, 0, y),
			(uint8_t *)memory + plane->offset + (size_t)y * plane->pitch,
			(size_t)picture->width * 4);
	}
	stile_buffer_munmap(buffer, memory);
}

/* Who uses an image minds all of its buffers. If one is forgotten, it shows here. */
static struct stile_buffer *get_last_buffer(struct stile_image *image) {
	return stile_image_get_buffer(image, stile_image_get_info(image)->plane_count - 1);
}

struct stile_fence *images_get_work(struct stile_image *image) {
	struct stile_fence *work;
	require(stile_buffer_export_fence(get_last_buffer(image), STILE_USAGE_READ, &work) == 0);
	return work;
}

void images_add_work(struct stile_image *image, uint32_t usage, struct stile_fence *fence) {
	require(stile_buffer_import_fence(get_last_buffer(image), usage, fence) == 0);
}
