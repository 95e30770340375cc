/* SPDX-License-Identifier: MIT */
/*
 * What an application has made itself, in Vulkan or in GL, as the kernel's dma-bufs: Mesa's software drivers
 * export what they have allocated by udmabuf.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES3/gl3.h>

#include <stile/device.h>
#include <stile/egl_memory.h>

#include "demos/gles_drawer.h"

#include "interop-tests/interop/images.h"
#include "interop-tests/interop/own_vulkan.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

enum { WIDTH = 67, HEIGHT = 45, BYTES = 3 * 4096 };

#define DMA_BUF VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT

static struct own_vulkan own;
static struct stile_vulkan *vulkan;
static struct stile_device *device;

static bool has_modifiers;

static void start(void) {
	has_modifiers = own_vulkan_find_missing(OWN_VULKAN_WITH_MODIFIERS) == NULL;
	own_vulkan_init(&own, VK_API_VERSION_1_2,
		has_modifiers ? OWN_VULKAN_WITH_MODIFIERS : OWN_VULKAN_EXTENSIONS, true);
	const struct stile_vulkan_info info = own_vulkan_describe(&own);
	vulkan = own_vulkan_create_adapter(&info);
	device = images_open_device();
}

static void stop(void) {
	stile_device_destroy(device);
	stile_vulkan_destroy(vulkan);
	own_vulkan_finish(&own);
}

static void warm_up(void) {
	start();
	stop();
}

static void check_pixels(struct stile_image *image) {
	struct picture seen;
	ck_assert_int_eq(picture_create(WIDTH, HEIGHT, &seen), 0);
	images_read(image, &seen);
	for (uint32_t y = 0; y < HEIGHT; y++) {
		for (uint32_t x = 0; x < WIDTH; x++) {
			uint32_t pixel;
			memcpy(&pixel, picture_at(&seen, x, y), sizeof(pixel));
			ck_assert_uint_eq(pixel, own_pixel_at(x, y));
		}
	}
	picture_finish(&seen);
}

/* Draw, and give it to others. */
static void draw(const struct stile_vulkan_own_image *image) {
	struct own_buffer pixels = own_vulkan_create_buffer(&own, WIDTH * HEIGHT * 4);
	const VkBufferImageCopy region = {
		.imageSubresource = { .aspectMask = VK_IMAGE_ASPECT_COLOR_BIT, .layerCount = 1 },
		.imageExtent = { WIDTH, HEIGHT, 1 },
	};
	own_pixels_draw(pixels.address, WIDTH, HEIGHT);
	own_vulkan_begin(&own);
	own_vulkan_transfer(&own, image->image, VK_IMAGE_LAYOUT_UNDEFINED, VK_QUEUE_FAMILY_IGNORED,
		VK_IMAGE_LAYOUT_GENERAL, VK_QUEUE_FAMILY_IGNORED);
	vkCmdCopyBufferToImage(
		own.commands, pixels.handle, image->image, VK_IMAGE_LAYOUT_GENERAL, 1, &region);
	own_vulkan_transfer(&own, image->image, VK_IMAGE_LAYOUT_GENERAL, 0, VK_IMAGE_LAYOUT_GENERAL,
		stile_vulkan_get_peer_family(vulkan, STILE_MEMORY_DMA_BUF));
	own_vulkan_submit(&own);
	own_vulkan_destroy_buffer(&own, &pixels);
}

/* Wrong code: a layout other than the driver's, a copy, or memory that ends with the application's image. */
START_TEST(an_image_of_the_applications_own_is_a_dma_buf_for_all) {
	VkImageTiling tiling =
		_i == 0 ? VK_IMAGE_TILING_LINEAR : VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT;
	if (_i == 1 && !has_modifiers) {
		printf("left out: Vulkan on the CPU has no modifiers\n");
		return;
	}
	struct stile_vulkan_own_image made =
		own_vulkan_create_image(&own, DRM_FORMAT_ABGR8888, WIDTH, HEIGHT, tiling, DMA_BUF);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_image *image;
	int ret = stile_vulkan_export_image(vulkan, &made, device, &why, &image);
	ck_assert_msg(ret == 0, "%s", why.text);
	ck_assert_uint_eq(stile_image_get_info(image)->modifier, DRM_FORMAT_MOD_LINEAR);
	draw(&made);
	/* The same driver takes it back as anybody's. */
	struct stile_vulkan_image *imported;
	ret = stile_vulkan_import_image(vulkan, image, VK_IMAGE_USAGE_SAMPLED_BIT, &why, &imported);
	ck_assert_msg(ret == 0, "%s", why.text);
	stile_vulkan_image_destroy(imported);
	own_vulkan_destroy_image(&own, &made);

	check_pixels(image);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: other memory, or less of it. */
START_TEST(memory_of_the_applications_own_is_a_buffer_for_all) {
	VkExportMemoryAllocateInfo exported = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.handleTypes = DMA_BUF,
	};
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &exported,
		.allocationSize = BYTES,
	};
	struct stile_report why = { .size = sizeof(why) };
	struct stile_buffer *buffer;
	VkDeviceMemory memory;
	void *theirs, *ours;
	ck_assert_int_eq(vkAllocateMemory(own.device, &info, NULL, &memory), VK_SUCCESS);
	ck_assert_int_eq(vkMapMemory(own.device, memory, 0, VK_WHOLE_SIZE, 0, &theirs), VK_SUCCESS);
	int ret = stile_vulkan_export_memory(vulkan, memory, device, &why, &buffer);
	ck_assert_msg(ret == 0, "%s", why.text);
	ck_assert_uint_ge(stile_buffer_get_bytes(buffer), BYTES);
	ck_assert_int_eq(stile_buffer_mmap(buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, &ours), 0);
	memset(theirs, 0x5a, BYTES);
	ck_assert_int_eq(memcmp(theirs, ours, BYTES), 0);
	memset(ours, 0x33, BYTES);
	ck_assert_int_eq(memcmp(theirs, ours, BYTES), 0);
	stile_buffer_munmap(buffer, ours);
	stile_buffer_unref(buffer);
	vkFreeMemory(own.device, memory, NULL);
}
END_TEST

/* ---- EGL ------------------------------------------------------------------------------------ */

static struct gles_drawer gles;

static void start_gles(void) {
	ck_assert_int_eq(gles_drawer_init(&gles), 0);
	device = images_open_device();
}

static void stop_gles(void) {
	stile_device_destroy(device);
	gles_drawer_finish(&gles);
}

static void warm_gles_up(void) {
	start_gles();
	stop_gles();
}

/* Wrong code: a layout other than the driver's, a copy, or memory that ends with the application's texture. */
START_TEST(a_texture_of_the_applications_own_is_a_dma_buf_for_all) {
	static uint32_t pixels[WIDTH * HEIGHT];
	GLuint texture;
	glGenTextures(1, &texture);
	glBindTexture(GL_TEXTURE_2D, texture);
	glTexStorage2D(GL_TEXTURE_2D, 1, GL_RGBA8, WIDTH, HEIGHT);
	struct stile_egl_own_image made = {
		.size = sizeof(made),
		.image = eglCreateImage(gles.display, gles.context, EGL_GL_TEXTURE_2D,
			(EGLClientBuffer)(uintptr_t)texture, NULL),
		.width = WIDTH,
		.height = HEIGHT,
	};
	ck_assert_ptr_nonnull(made.image);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_image *image;
	int ret = stile_egl_export_image(gles.stile, &made, device, &why, &image);
	ck_assert_msg(ret == 0, "%s", why.text);
	own_pixels_draw(pixels, WIDTH, HEIGHT);
	glTexSubImage2D(GL_TEXTURE_2D, 0, 0, 0, WIDTH, HEIGHT, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
	glFinish();
	eglDestroyImage(gles.display, made.image);
	glDeleteTextures(1, &texture);
	check_pixels(image);
	stile_image_unref(image);
}
END_TEST

static bool display_exports(void) {
	bool there = false;
	if (gles_drawer_init(&gles) == 0) {
		const char *list = eglQueryString(gles.display, EGL_EXTENSIONS);
		there = strstr(list, "EGL_MESA_image_dma_buf_export") != NULL;
	}
	gles_drawer_finish(&gles);
	return there;
}

static Suite *make_suite(void) {
	Suite *suite = suite_create("driver_export");
	TCase *tcase = tcase_create("dma-buf");
	tcase_set_timeout(tcase, 120);
	tcase_add_unchecked_fixture(tcase, warm_up, NULL);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_loop_test(tcase, an_image_of_the_applications_own_is_a_dma_buf_for_all, 0, 2);
	tcase_add_test(tcase, memory_of_the_applications_own_is_a_buffer_for_all);
	suite_add_tcase(suite, tcase);
	if (display_exports()) {
		tcase = tcase_create("EGL");
		tcase_set_timeout(tcase, 120);
		tcase_add_unchecked_fixture(tcase, warm_gles_up, NULL);
		tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
		tcase_add_checked_fixture(tcase, start_gles, stop_gles);
		tcase_add_test(tcase, a_texture_of_the_applications_own_is_a_dma_buf_for_all);
		suite_add_tcase(suite, tcase);
	} else {
		printf("left out: EGL on the CPU has no EGL_MESA_image_dma_buf_export\n");
	}
	return suite;
}

static bool driver_exports(void) {
	VkPhysicalDeviceExternalBufferInfo ask = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
		.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
		.handleType = DMA_BUF,
	};
	VkExternalBufferProperties answer = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES,
	};
	own_vulkan_init(&own, VK_API_VERSION_1_2, OWN_VULKAN_EXTENSIONS, true);
	vkGetPhysicalDeviceExternalBufferProperties(own.physical_device, &ask, &answer);
	own_vulkan_finish(&own);
	return (answer.externalMemoryProperties.externalMemoryFeatures &
		       VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT) != 0;
}

int main(int argc, char **argv) {
	const char *missing = own_vulkan_find_missing(OWN_VULKAN_EXTENSIONS);
	if (missing != NULL || !driver_exports()) {
		printf("skipped: Vulkan on the CPU has no %s\n",
			missing != NULL ? missing : "dma-bufs to give: is there a /dev/udmabuf?");
		return RUNNER_SKIP;
	}
	return runner_main(argc, argv, make_suite, NULL);
}
