/* SPDX-License-Identifier: MIT */
/*
 * VkImages of a mapping, on drivers that import dma-bufs and on those that do not: what either side writes, the other
 * one reads, once what was there before has been given up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stile/wait.h>

#include "demos/job.h"
#include "interop-tests/interop/gate.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/interop/own_vulkan.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define COPIES \
	((VkImageUsageFlags)(VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT))

enum { WIDTH = 80, HEIGHT = 46, MOST_BYTES = WIDTH * HEIGHT * 8 };

static struct own_vulkan own;
static struct stile_vulkan *vulkan;
static struct stile_device *device;
static struct own_buffer staging;
static uint32_t extensions; /* how many the driver has */

static void start(void) {
	own_vulkan_init(&own, VK_API_VERSION_1_2, extensions, true);
	const struct stile_vulkan_info info = own_vulkan_describe(&own);
	vulkan = own_vulkan_create_adapter(&info);
	device = images_open_device();
	staging = own_vulkan_create_buffer(&own, MOST_BYTES);
}

static void stop(void) {
	own_vulkan_destroy_buffer(&own, &staging);
	stile_device_destroy(device);
	stile_vulkan_destroy(vulkan);
	own_vulkan_finish(&own);
}

/* For what drivers keep. */
static void warm_up(void) {
	start();
	stop();
}

static struct stile_vulkan_image *import(struct stile_image *image) {
	struct stile_vulkan_image *imported;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_vulkan_import_host_image(vulkan, image, COPIES, &why, &imported);
	ck_assert_msg(ret == 0, "%s", why.text);
	return imported;
}

/* ---- Bytes that are known again -------------------------------------------------------------- */

static uint8_t byte_at(size_t i, unsigned seed) {
	return (uint8_t)(i * 7 + i / 251 + seed);
}

/* All planes, without gaps. */
static size_t count_bytes(const struct stile_image *image) {
	const struct stile_format *format = stile_format_get(stile_image_get_info(image)->fourcc);
	size_t bytes = 0;
	for (uint32_t i = 0; i < format->plane_count; i++) {
		bytes += (size_t)WIDTH / format->planes[i].hsub * HEIGHT / format->planes[i].vsub *
			format->planes[i].bytes;
	}
	return bytes;
}

static void fill(unsigned seed) {
	for (size_t i = 0; i < MOST_BYTES; i++) {
		((uint8_t *)staging.address)[i] = byte_at(i, seed);
	}
}

/* By the CPU, plane after plane: `visit` each byte of the picture in the image's memory. */
static void visit_memory(
	struct stile_image *image, unsigned seed, void (*visit)(uint8_t *byte, uint8_t value)) {
	const struct stile_image_info *info = stile_image_get_info(image);
	const struct stile_format *format = stile_format_get(info->fourcc);
	size_t n = 0;
	for (uint32_t i = 0; i < info->plane_count; i++) {
		struct stile_buffer *buffer = stile_image_get_buffer(image, i);
		size_t row = (size_t)WIDTH / format->planes[i].hsub * format->planes[i].bytes;
		void *memory;
		ck_assert_int_eq(
			stile_buffer_mmap(buffer, STILE_USAGE_READ | STILE_USAGE_WRITE, &memory),
			0);
		for (uint32_t y = 0; y < HEIGHT / format->planes[i].vsub; y++) {
			uint8_t *at = (uint8_t *)memory + info->planes[i].offset +
				(size_t)y * info->planes[i].pitch;
			for (size_t x = 0; x < row; x++) {
				visit(&at[x], byte_at(n++, seed));
			}
		}
		stile_buffer_munmap(buffer, memory);
	}
}

static void write_byte(uint8_t *byte, uint8_t value) {
	*byte = value;
}

static void check_byte(uint8_t *byte, uint8_t value) {
	ck_assert_uint_eq(*byte, value);
}

static void check_staging(size_t bytes, unsigned seed) {
	for (size_t i = 0; i < bytes; i++) {
		ck_assert_uint_eq(((uint8_t *)staging.address)[i], byte_at(i, seed));
	}
}

/* ---- What is recorded ------------------------------------------------------------------------ */

static void record_barrier(
	const VkImageMemoryBarrier *barrier, VkPipelineStageFlags from, VkPipelineStageFlags to) {
	vkCmdPipelineBarrier(own.commands, from, to, 0, 0, NULL, 0, NULL, 1, barrier);
}

/* All planes, between the staging buffer and an image in this layout. */
static void record_copy(struct stile_image *image, VkImage handle, VkImageLayout layout) {
	const struct stile_format *format = stile_format_get(stile_image_get_info(image)->fourcc);
	VkDeviceSize offset = 0;
	for (uint32_t i = 0; i < format->plane_count; i++) {
		const uint32_t width = WIDTH / format->planes[i].hsub,
			       height = HEIGHT / format->planes[i].vsub;
		const VkImageAspectFlags aspect = format->plane_count == 1
			? VK_IMAGE_ASPECT_COLOR_BIT
			: (VkImageAspectFlags)VK_IMAGE_ASPECT_PLANE_0_BIT << i;
		const VkBufferImageCopy region = {
			.bufferOffset = offset,
			.imageSubresource = { .aspectMask = aspect, .layerCount = 1 },
			.imageExtent = { width, height, 1 },
		};
		if (layout == VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL) {
			vkCmdCopyBufferToImage(
				own.commands, staging.handle, handle, layout, 1, &region);
		} else {
			vkCmdCopyImageToBuffer(
				own.commands, handle, layout, staging.handle, 1, &region);
		}
		offset += (VkDeviceSize)width * height * format->planes[i].bytes;
	}
}

/* The staging buffer's bytes become the image's, whatever was there. */
static void record_write(struct stile_image *image, const struct stile_vulkan_image *imported) {
	const VkImageLayout layout = VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
	const VkImageMemoryBarrier first = stile_vulkan_discard(
					   imported, layout, VK_ACCESS_TRANSFER_WRITE_BIT),
				   last = stile_vulkan_release(
					   imported, layout, VK_ACCESS_TRANSFER_WRITE_BIT);
	record_barrier(&first, VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_HOST_BIT,
		VK_PIPELINE_STAGE_TRANSFER_BIT);
	record_copy(image, stile_vulkan_image_get_handle(imported), layout);
	record_barrier(&last, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT);
}

/* And the reverse, of what has been given up before. */
static void record_read(struct stile_image *image, const struct stile_vulkan_image *imported) {
	const VkImageLayout layout = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
	const VkImageMemoryBarrier first = stile_vulkan_acquire(
					   imported, layout, VK_ACCESS_TRANSFER_READ_BIT),
				   last = stile_vulkan_release(
					   imported, layout, VK_ACCESS_TRANSFER_READ_BIT);
	record_barrier(&first, VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_HOST_BIT,
		VK_PIPELINE_STAGE_TRANSFER_BIT);
	record_copy(image, stile_vulkan_image_get_handle(imported), layout);
	record_barrier(&last, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT);
}

/* Before anything is there that is to be kept. */
static void give_up_content(const struct stile_vulkan_image *imported) {
	const VkImageLayout layout = VK_IMAGE_LAYOUT_GENERAL;
	const VkImageMemoryBarrier first = stile_vulkan_discard(imported, layout, 0),
				   last = stile_vulkan_release(imported, layout, 0);
	own_vulkan_begin(&own);
	record_barrier(&first, VK_PIPELINE_STAGE_HOST_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT);
	record_barrier(&last, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT);
	own_vulkan_submit(&own);
}

/* Does not wait for the end. */
static void submit_behind(struct stile_fence *fence) {
	struct stile_vulkan_wait wait = { .size = sizeof(wait) };
	ck_assert_int_eq(stile_vulkan_wait_fence(vulkan, fence, NULL, &wait), 0);
	const VkTimelineSemaphoreSubmitInfo values = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = 1,
		.pWaitSemaphoreValues = &wait.value,
	};
	const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_TRANSFER_BIT;
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &values,
		.waitSemaphoreCount = 1,
		.pWaitSemaphores = &wait.semaphore,
		.pWaitDstStageMask = &stage,
		.commandBufferCount = 1,
		.pCommandBuffers = &own.commands,
	};
	ck_assert_int_eq(vkEndCommandBuffer(own.commands), VK_SUCCESS);
	ck_assert_int_eq(vkQueueSubmit(own.queue, 1, &info, VK_NULL_HANDLE), VK_SUCCESS);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

/* Those of several planes Mesa 22.3's lavapipe has not. */
static const uint32_t formats[] = { DRM_FORMAT_ABGR8888, DRM_FORMAT_XRGB8888, DRM_FORMAT_R8,
	DRM_FORMAT_ABGR16161616F, DRM_FORMAT_NV12, DRM_FORMAT_YUV420 };
enum { FORMATS = LENGTH(formats), OF_ONE_PLANE = FORMATS - 2 };

/* Wrong code: a copy; another pitch, plane or mapping; what was written not given to the CPU. */
START_TEST(what_vulkan_writes_the_cpu_reads) {
	struct stile_image *image = images_create(device, WIDTH, HEIGHT, formats[_i]);
	struct stile_vulkan_image *imported = import(image);
	for (unsigned seed = 0; seed < 2; seed++) {
		fill(seed);
		own_vulkan_begin(&own);
		record_write(image, imported);
		own_vulkan_submit(&own);
		visit_memory(image, seed, check_byte);
	}
	stile_vulkan_image_destroy(imported);
	visit_memory(image, 1, check_byte);
	stile_image_unref(image);
}
END_TEST

/*
 * The CPU writes when the submission is in the queue already, and waits. Wrong code: a wait that is none; a barrier that
 * drops the content each time; memory that is not the image's.
 */
START_TEST(what_the_cpu_writes_vulkan_reads) {
	struct stile_image *image = images_create(device, WIDTH, HEIGHT, formats[_i]);
	struct stile_vulkan_image *imported = import(image);
	give_up_content(imported);
	for (unsigned seed = 0; seed < 2; seed++) {
		struct gate gate;
		gate_init(&gate);
		fill(99);
		visit_memory(image, 98, write_byte);
		own_vulkan_begin(&own);
		record_read(image, imported);
		submit_behind(gate.fence);
		visit_memory(image, seed, write_byte);
		gate_open(&gate);
		ck_assert_int_eq(vkQueueWaitIdle(own.queue), VK_SUCCESS);
		check_staging(count_bytes(image), seed);
		stile_fence_unref(gate.fence);
	}
	visit_memory(image, 1, check_byte);
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

/* The same memory as a mapping and as a dma-buf. Wrong code: a copy behind either. */
START_TEST(a_mapping_and_a_dma_buf_are_the_same_memory) {
	struct stile_image *image = images_create(device, WIDTH, HEIGHT, formats[_i]);
	struct stile_vulkan_image *imported = import(image), *shared;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_vulkan_import_image(vulkan, image, COPIES, &why, &shared);
	ck_assert_msg(ret == 0, "%s", why.text);
	fill(5);
	own_vulkan_begin(&own);
	record_write(image, imported);
	own_vulkan_submit(&own);
	fill(6);
	own_vulkan_begin(&own);
	record_read(image, shared);
	own_vulkan_submit(&own);
	check_staging(count_bytes(image), 5);
	stile_vulkan_image_destroy(shared);
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: a driver asked for what it has not announced, or given memory that it lays out otherwise; a mapping left. */
START_TEST(what_the_driver_would_have_otherwise_is_refused) {
	enum { ODD_PITCH = 384 };
	struct stile_vulkan_info info = own_vulkan_describe(&own);
	info.extension_count = 1;
	struct stile_vulkan *without = own_vulkan_create_adapter(&info);
	struct stile_image *image = images_create(device, WIDTH, HEIGHT, DRM_FORMAT_ABGR8888),
			   *odd = images_import_odd(device, WIDTH, HEIGHT, ODD_PITCH, 0,
				   (uint64_t)ODD_PITCH * (HEIGHT + 2)),
			   *read_only = images_reopen_read_only(image);
	const struct {
		struct stile_vulkan *by;
		struct stile_image *image;
		int error;
		enum stile_reason reason;
		const char *text;
	} cases[] = {
		{ without, image, -EOPNOTSUPP, STILE_REASON_DRIVER,
			VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME },
		{ vulkan, odd, -EOPNOTSUPP, STILE_REASON_PITCH,
			"for 80 pixels is 320 bytes, the image has 384" },
		{ vulkan, read_only, -EACCES, STILE_REASON_FD_ACCESS, "" },
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct stile_report why = { .size = sizeof(why) };
		struct stile_vulkan_image *imported;
		ck_assert_int_eq(stile_vulkan_import_host_image(
					 cases[i].by, cases[i].image, COPIES, &why, &imported),
			cases[i].error);
		ck_assert_ptr_null(imported);
		ck_assert_int_eq(why.error, cases[i].error);
		ck_assert_int_eq(why.reason, cases[i].reason);
		ck_assert_msg(strstr(why.text, cases[i].text) != NULL, "%s", why.text);
	}
	stile_image_unref(read_only);
	stile_image_unref(odd);
	stile_image_unref(image);
	stile_vulkan_destroy(without);
}
END_TEST

/* Mesa 22.3's lavapipe has no NV12. Wrong code: it is asked to make one. */
START_TEST(formats_that_the_driver_has_not_are_refused) {
	struct stile_image *image = images_create(device, WIDTH, HEIGHT, DRM_FORMAT_NV12);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_vulkan_image *imported;
	ck_assert_int_eq(stile_vulkan_import_host_image(vulkan, image, COPIES, &why, &imported),
		-EOPNOTSUPP);
	ck_assert_int_eq(why.reason, STILE_REASON_FORMAT);
	ck_assert_msg(strstr(why.text, "NV12") != NULL, "%s", why.text);
	stile_image_unref(image);
}
END_TEST

/* ---------------------------------------------------------------------------------------------- */

static TCase *add_case(Suite *suite, const char *name) {
	TCase *tcase = tcase_create(name);
	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, warm_up, NULL);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_checked_fixture(tcase, start, stop);
	suite_add_tcase(suite, tcase);
	return tcase;
}

static void add_formats(TCase *tcase, int from, int to) {
	tcase_add_loop_test(tcase, what_vulkan_writes_the_cpu_reads, from, to);
	tcase_add_loop_test(tcase, what_the_cpu_writes_vulkan_reads, from, to);
	if (extensions != OWN_VULKAN_OLD) {
		tcase_add_loop_test(tcase, a_mapping_and_a_dma_buf_are_the_same_memory, from, to);
	}
}

static Suite *make_suite(void) {
	Suite *suite = suite_create("host_images");
	TCase *tcase = add_case(suite, "one plane");
	add_formats(tcase, 0, OF_ONE_PLANE);
	tcase_add_test(tcase, what_the_driver_would_have_otherwise_is_refused);
	tcase = add_case(suite, "planes");
	if (extensions == OWN_VULKAN_OLD) {
		tcase_add_test(tcase, formats_that_the_driver_has_not_are_refused);
	} else {
		add_formats(tcase, OF_ONE_PLANE, FORMATS);
	}
	return suite;
}

int main(int argc, char **argv) {
	const char *missing = own_vulkan_find_missing(OWN_VULKAN_OLD);
	if (missing != NULL) {
		printf("skipped: Vulkan on the CPU has no %s\n", missing);
		return RUNNER_SKIP;
	}
	/* The loader leaves out what it does not find, and nobody would complain of anything. */
	if (getenv("VK_INSTANCE_LAYERS") != NULL && !own_vulkan_has_layer()) {
		printf("skipped: the Vulkan validation layer is not installed\n");
		return RUNNER_SKIP;
	}
	bool is_old = own_vulkan_find_missing(OWN_VULKAN_EXTENSIONS) != NULL;
	extensions = is_old ? OWN_VULKAN_OLD : OWN_VULKAN_EXTENSIONS;
	return runner_main(argc, argv, make_suite, NULL);
}
