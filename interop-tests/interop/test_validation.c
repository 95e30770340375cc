/* SPDX-License-Identifier: MIT */
/*
 * Under the Vulkan validation layer, a picture that crosses leaves no message: barriers, layouts,
 * queue family transfers, timeline values and imports are as the specification wants them.
 */
#include <stdio.h>

#include "demos/job.h"
#include "demos/vulkan_drawer.h"
#include "interop-tests/interop/gate.h"
#include "interop-tests/interop/own_vulkan.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

/* Several frames, behind a pending fence and behind one of Vulkan's own. */
static void draw_frames(struct vulkan_drawer *drawer) {
	struct stile_fence *before = NULL;
	uint8_t pixel[4];
	for (int frame = 0; frame < 3; frame++) {
		struct gate gate;
		struct stile_fence *drawn;
		gate_init(&gate);
		ck_assert_int_eq(vulkan_drawer_wait(drawer, gate.fence, NULL), 0);
		if (before != NULL) {
			ck_assert_int_eq(vulkan_drawer_wait(drawer, before, NULL), 0);
		}
		ck_assert_int_eq(vulkan_drawer_draw(drawer, &transform_vulkan, &drawn), 0);
		gate_open(&gate);
		ck_assert_int_eq(stile_fence_wait(drawn, job_deadline()), 0);
		ck_assert_int_eq(vulkan_drawer_read_pixel(drawer, &drawer->to, pixel), 0);
		stile_fence_unref(before);
		stile_fence_unref(gate.fence);
		before = drawn;
	}
	stile_fence_unref(before);
}

START_TEST(a_picture_that_crosses_leaves_no_validation_message) {
	struct picture picture;
	struct job job;
	struct vulkan_drawer drawer;
	ck_assert_int_eq(picture_draw_test_card(200, 100, &picture), 0);
	ck_assert_int_eq(job_init(&job, &picture, NULL), 0);
	ck_assert_int_eq(vulkan_drawer_init(&drawer, true), 0);
	ck_assert_int_eq(vulkan_drawer_set_images(&drawer, job.a, job.b), 0);
	draw_frames(&drawer);
	/* Imported again, the VkImages are those of before. */
	vulkan_drawer_drop_images(&drawer);
	ck_assert_int_eq(vulkan_drawer_set_images(&drawer, job.a, job.b), 0);
	draw_frames(&drawer);
	/* Destroying what is in use is reported while it is being destroyed. */
	vulkan_drawer_finish(&drawer);
	ck_assert_uint_eq(drawer.messages, 0);
	job_finish(&job);
	picture_finish(&picture);
}
END_TEST

/* So that silence means something. */
START_TEST(the_layer_does_report_a_mistake) {
	struct vulkan_drawer drawer;
	ck_assert_int_eq(vulkan_drawer_init(&drawer, true), 0);
	VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = 0, /* forbidden */
		.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
	};
	VkBuffer buffer = VK_NULL_HANDLE;
	if (vkCreateBuffer(drawer.device, &info, NULL, &buffer) == VK_SUCCESS) {
		vkDestroyBuffer(drawer.device, buffer, NULL);
	}
	ck_assert_uint_gt(drawer.messages, 0);
	vulkan_drawer_finish(&drawer);
}
END_TEST

/* What the loader, the layer and the driver open once and keep is not a leak. */
static void warm_up(void) {
	struct vulkan_drawer drawer;
	ck_assert_int_eq(vulkan_drawer_init(&drawer, true), 0);
	vulkan_drawer_finish(&drawer);
}

static Suite *make_suite(void) {
	Suite *suite = suite_create("validation");
	TCase *tcase = tcase_create("validation layer");
	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, warm_up, NULL);
	tcase_add_checked_fixture(tcase, ledger_open, ledger_close);
	tcase_add_test(tcase, a_picture_that_crosses_leaves_no_validation_message);
	tcase_add_test(tcase, the_layer_does_report_a_mistake);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	if (!own_vulkan_has_layer()) {
		printf("skipped: the Vulkan validation layer is not installed\n");
		return RUNNER_SKIP;
	}
	return runner_main(argc, argv, make_suite, NULL);
}
