/* SPDX-License-Identifier: MIT */
/* The table of formats against the colours that Vulkan samples and writes. */
#include <errno.h>
#include <string.h>

#include "demos/vulkan_drawer.h"
#include "interop-tests/interop/card.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/interop/vulkan_sampler.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

static struct vulkan_drawer drawer;
static struct vulkan_sampler sampler;
static struct stile_device *device;

static void start(void) {
	ck_assert_int_eq(vulkan_drawer_init(&drawer, false), 0);
	vulkan_sampler_init(&sampler, &drawer, CARD_PIXELS);
}

static void stop(void) {
	vulkan_sampler_finish(&sampler);
	vulkan_drawer_finish(&drawer);
}

static void open_device(void) {
	device = images_open_device();
}

static void destroy_device(void) {
	stile_device_destroy(device);
}

/* Does the driver take it from a dma-buf, by its own word? */
static bool is_importable(VkFormat format, VkImageUsageFlags usage) {
	VkPhysicalDeviceExternalImageFormatInfo external = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	VkPhysicalDeviceImageFormatInfo2 ask = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_FORMAT_INFO_2,
		.pNext = &external,
		.format = format,
		.type = VK_IMAGE_TYPE_2D,
		.tiling = VK_IMAGE_TILING_LINEAR,
		.usage = usage,
	};
	VkExternalImageFormatProperties properties = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES,
	};
	VkImageFormatProperties2 answer = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_FORMAT_PROPERTIES_2,
		.pNext = &properties,
	};
	return vkGetPhysicalDeviceImageFormatProperties2(drawer.physical_device, &ask, &answer) ==
		VK_SUCCESS &&
		(properties.externalMemoryProperties.externalMemoryFeatures &
			VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT) != 0;
}

/* NULL: it is refused, with a sentence that names the format. */
static struct stile_vulkan_image *import(struct stile_image *image, VkImageUsageFlags usage) {
	struct stile_vulkan_image *imported;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_vulkan_import_image(drawer.stile, image, usage, &why, &imported);
	if (ret < 0) {
		const char *name = stile_format_get(stile_image_get_info(image)->fourcc)->name;
		ck_assert_int_eq(ret, -EOPNOTSUPP);
		ck_assert_int_eq(why.reason, STILE_REASON_FORMAT);
		ck_assert_msg(strstr(why.text, name) != NULL, "%s: %s", name, why.text);
	}
	return imported;
}

/* ---- Colours ------------------------------------------------------------------------------ */

/* Wrong code: two components swapped; bits from the wrong end; X taken for alpha; luma taken for green. */
static unsigned check_sampling(const struct stile_format *format) {
	if (format->is_yuv) {
		/* test_colour_vulkan.c */
		return 0;
	}
	struct stile_vulkan_format vk = { .size = sizeof(vk) };
	struct stile_image *image = images_create(device, CARD_WIDTH, CARD_HEIGHT, format->fourcc);
	struct stile_vulkan_image *imported = import(image, VK_IMAGE_USAGE_SAMPLED_BIT);
	bool expected = stile_vulkan_format_get(format->fourcc, &vk) == 0 &&
		is_importable(vk.format, VK_IMAGE_USAGE_SAMPLED_BIT);
	ck_assert_msg((imported != NULL) == expected, "%s", format->name);
	if (imported != NULL) {
		struct card card;
		float rgba[CARD_PIXELS][4];
		ck_assert(card_make(format, &card));
		card_upload(device, image, 0, card.bytes);
		ck_assert_int_eq(stile_vulkan_image_get_format(imported), vk.format);
		vulkan_sampler_read(&sampler, imported, vk.components,
			(VkExtent2D){ CARD_WIDTH, CARD_HEIGHT }, rgba);
		card_check(&card, rgba, format->name);
	}
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
	return imported != NULL;
}

START_TEST(sampled_image_has_the_colours_that_the_name_says) {
	const struct stile_format *format;
	unsigned sampled = 0;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		sampled += check_sampling(format);
	}
	/* Lavapipe takes more. */
	ck_assert_uint_ge(sampled, 20);
}
END_TEST

/* Is the order of its components that of a VkFormat, by its name? By hand. */
static bool is_in_order(const char *name) {
	static const char *const others[] = { "RG88", "RG1616", "RGBX8888", "RGBA8888", "BGRX8888",
		"BGRA8888", "XRGB16161616", "ARGB16161616", "XRGB16161616F", "ARGB16161616F" };
	size_t i = 0;
	while (i < sizeof(others) / sizeof(others[0]) && strcmp(others[i], name) != 0) {
		i++;
	}
	return i == sizeof(others) / sizeof(others[0]);
}

/* Is a pixel in memory of this colour, whatever is X? */
static void check_memory(
	struct stile_image *image, const struct pixel *pixel, const float rgba[4]) {
	const struct stile_image_info *info = stile_image_get_info(image);
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *memory;
	double is[4];
	ck_assert_int_eq(stile_buffer_mmap(buffer, STILE_USAGE_READ, &memory), 0);
	pixel_decode(pixel,
		(uint8_t *)memory + info->planes[0].offset + 3 * (size_t)info->planes[0].pitch +
			5 * (size_t)pixel->bytes,
		is);
	for (int k = 0; k < 4; k++) {
		double step = pixel_step(pixel, k), wanted = (double)rgba[k];
		ck_assert_msg(step == 0 || (is[k] > wanted - step && is[k] < wanted + step),
			"%s: %c is %f, not %f", stile_format_get(info->fourcc)->name, "RGBA"[k],
			is[k], wanted);
	}
	stile_buffer_munmap(buffer, memory);
}

/*
 * Attachments and storage have no mapping. Wrong code: an image that is drawn to with its red where blue is;
 * one refused that needs no mapping.
 */
static void check_drawing(const struct stile_format *format) {
	static const float rgba[] = { 0.125f, 0.375f, 0.625f, 0.875f };
	VkImageUsageFlags usage =
		VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
	struct stile_vulkan_format vk = { .size = sizeof(vk) };
	struct pixel pixel;
	struct stile_image *image = images_create(device, CARD_WIDTH, CARD_HEIGHT, format->fourcc);
	struct stile_vulkan_image *imported = import(image, usage);
	bool expected = pixel_parse(format->name, &pixel) && is_in_order(format->name) &&
		stile_vulkan_format_get(format->fourcc, &vk) == 0 &&
		is_importable(vk.format, usage);
	ck_assert_msg((imported != NULL) == expected, "%s", format->name);
	if (imported != NULL) {
		vulkan_sampler_clear(&sampler, imported, rgba);
		check_memory(image, &pixel, rgba);
	}
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
}

START_TEST(drawn_image_has_the_bytes_that_the_name_says_or_is_refused) {
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		check_drawing(format);
	}
}
END_TEST

/* Wrong code: one of the usages that views cannot put in order forgotten; copies refused with them. */
START_TEST(only_what_has_no_mapping_is_refused_for_its_order) {
	static const struct {
		VkImageUsageFlags usage;
		bool refused;
	} cases[] = {
		{ VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT, true },
		{ VK_IMAGE_USAGE_STORAGE_BIT, true },
		{ VK_IMAGE_USAGE_INPUT_ATTACHMENT_BIT | VK_IMAGE_USAGE_SAMPLED_BIT, true },
		{ VK_IMAGE_USAGE_SAMPLED_BIT, false },
		{ VK_IMAGE_USAGE_TRANSFER_SRC_BIT, false },
		{ VK_IMAGE_USAGE_TRANSFER_DST_BIT, false },
	};
	struct stile_image *image =
		images_create(device, CARD_WIDTH, CARD_HEIGHT, DRM_FORMAT_RGBA8888);
	struct stile_vulkan_image *imported = import(image, cases[_i].usage);
	ck_assert((imported == NULL) == cases[_i].refused);
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

/* ---- Names -------------------------------------------------------------------------------- */

static bool is_identity(VkComponentSwizzle swizzle) {
	return swizzle == VK_COMPONENT_SWIZZLE_IDENTITY;
}

/* Wrong code: the first one with the VkFormat, whatever its order; X preferred; luma for colours. */
START_TEST(way_back_gives_what_needs_no_mapping) {
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		struct stile_vulkan_format vk = { .size = sizeof(vk) };
		if (stile_vulkan_format_get(format->fourcc, &vk) < 0) {
			continue;
		}
		uint32_t fourcc = stile_vulkan_format_get_fourcc(vk.format);
		const struct stile_format *back = stile_format_get(fourcc);
		if (back == NULL) {
			ck_assert_uint_eq(fourcc, DRM_FORMAT_INVALID);
			ck_assert_msg(format->is_yuv, "%s has no way back", format->name);
			continue;
		}
		struct stile_vulkan_format again = { .size = sizeof(again) };
		ck_assert_int_eq(stile_vulkan_format_get(fourcc, &again), 0);
		ck_assert_int_eq(again.format, vk.format);
		ck_assert(is_identity(again.components.r) && is_identity(again.components.g) &&
			is_identity(again.components.b) && is_identity(again.components.a));
		ck_assert(format->is_yuv || !back->is_yuv);
		ck_assert(back->alpha == fourcc || back->alpha == DRM_FORMAT_INVALID);
	}
}
END_TEST

START_TEST(some_are_known_by_hand) {
	static const struct {
		uint32_t fourcc;
		VkFormat format;
		VkComponentMapping components;
		uint32_t back;
	} cases[] = {
#define SWIZZLE(name) VK_COMPONENT_SWIZZLE_##name
		{ DRM_FORMAT_XRGB8888, VK_FORMAT_B8G8R8A8_UNORM, { .a = SWIZZLE(ONE) },
			DRM_FORMAT_ARGB8888 },
		{ DRM_FORMAT_ABGR8888, VK_FORMAT_R8G8B8A8_UNORM, { 0 }, DRM_FORMAT_ABGR8888 },
		{ DRM_FORMAT_RGBX8888, VK_FORMAT_R8G8B8A8_UNORM,
			{ SWIZZLE(A), SWIZZLE(B), SWIZZLE(G), SWIZZLE(ONE) }, DRM_FORMAT_ABGR8888 },
		{ DRM_FORMAT_RG88, VK_FORMAT_R8G8_UNORM, { SWIZZLE(G), SWIZZLE(R), 0, 0 },
			DRM_FORMAT_GR88 },
		{ DRM_FORMAT_NV21, VK_FORMAT_G8_B8R8_2PLANE_420_UNORM,
			{ SWIZZLE(B), 0, SWIZZLE(R), 0 }, DRM_FORMAT_NV12 },
		{ DRM_FORMAT_Y410, VK_FORMAT_A2R10G10B10_UNORM_PACK32, { 0 },
			DRM_FORMAT_ARGB2101010 },
#undef SWIZZLE
	};
	struct stile_vulkan_format vk = { .size = sizeof(vk) };
	ck_assert_int_eq(stile_vulkan_format_get(cases[_i].fourcc, &vk), 0);
	ck_assert_int_eq(vk.format, cases[_i].format);
	ck_assert_mem_eq(&vk.components, &cases[_i].components, sizeof(vk.components));
	ck_assert_uint_eq(stile_vulkan_format_get_fourcc(vk.format), cases[_i].back);
}
END_TEST

/* Wrong code: VK_FORMAT_UNDEFINED given as if it were one; it found as one; the result cut off. */
START_TEST(format_that_vulkan_has_not_is_refused) {
	struct stile_vulkan_format vk = { .size = sizeof(vk), .format = VK_FORMAT_R8_UNORM };
	ck_assert_int_eq(stile_vulkan_format_get(DRM_FORMAT_YUV410, &vk), -EOPNOTSUPP);
	ck_assert_int_eq(stile_vulkan_format_get(DRM_FORMAT_C8, &vk), -EOPNOTSUPP);
	ck_assert_int_eq(vk.format, VK_FORMAT_R8_UNORM);
	vk.size = 3;
	ck_assert_int_eq(stile_vulkan_format_get(DRM_FORMAT_R8, &vk), -EINVAL);
	ck_assert_uint_eq(stile_vulkan_format_get_fourcc(VK_FORMAT_UNDEFINED), DRM_FORMAT_INVALID);
	ck_assert_uint_eq(stile_vulkan_format_get_fourcc(VK_FORMAT_D16_UNORM), DRM_FORMAT_INVALID);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */

static Suite *make_suite(void) {
	Suite *suite = suite_create("formats in Vulkan");
	TCase *tcase = tcase_create("formats");
	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, start, stop);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_checked_fixture(tcase, open_device, destroy_device);
	tcase_add_test(tcase, sampled_image_has_the_colours_that_the_name_says);
	tcase_add_test(tcase, drawn_image_has_the_bytes_that_the_name_says_or_is_refused);
	tcase_add_loop_test(tcase, only_what_has_no_mapping_is_refused_for_its_order, 0, 6);
	tcase_add_test(tcase, way_back_gives_what_needs_no_mapping);
	tcase_add_loop_test(tcase, some_are_known_by_hand, 0, 6);
	tcase_add_test(tcase, format_that_vulkan_has_not_is_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
