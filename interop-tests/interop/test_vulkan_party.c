/* SPDX-License-Identifier: MIT */
/*
 * A Vulkan device as a party of negotiations, fact by fact, on one that is not there and is what a test says
 * (support/fake_vulkan_memory.h). What it says of whole lists: test_vulkan_images.c; on drivers: test_parties.c.
 */
#include <string.h>
#include <sys/sysmacros.h>

#include <drm_fourcc.h>

#include <stile/party.h>

#include "interop-tests/interop/vulkan_fixture.h"
#include "interop-tests/support/fake_vulkan_memory.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define ABGR DRM_FORMAT_ABGR8888
#define NV12 VK_FORMAT_G8_B8R8_2PLANE_420_UNORM
#define RGBA VK_FORMAT_R8G8B8A8_UNORM
#define EXPLICIT VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT
#define OWN VK_IMAGE_TILING_LINEAR
#define LINEAR DRM_FORMAT_MOD_LINEAR
#define TILED fourcc_mod_code(VIVANTE, 1)

#define COLOURS \
	(VK_FORMAT_FEATURE_SAMPLED_IMAGE_BIT | VK_FORMAT_FEATURE_STORAGE_IMAGE_BIT | \
		VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BIT)
#define YUV (VK_FORMAT_FEATURE_SAMPLED_IMAGE_BIT | VK_FORMAT_FEATURE_DISJOINT_BIT)
#define IMPORTS VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT
#define SHARES (IMPORTS | VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT)
#define SAMPLED VK_IMAGE_USAGE_SAMPLED_BIT

enum { MOST = 8192, READ = STILE_USAGE_READ, WRITE = STILE_USAGE_WRITE };

/* The device's layouts, by name. */
enum { R8_OWN, RGBA_OWN, RGBA_LINEAR, RGBA_TILED, NV12_OWN, LAYOUTS };

static const struct fake_vulkan_layout usual[LAYOUTS + 1] = {
	[R8_OWN] = { VK_FORMAT_R8_UNORM, OWN, LINEAR, 1, COLOURS, SHARES, 0, MOST, MOST, 16, 16, 0,
		0, 0 },
	[RGBA_OWN] = { RGBA, OWN, LINEAR, 1, COLOURS, SHARES, 0, MOST, MOST, 64, 256, 0, 0, 0 },
	[RGBA_LINEAR] = { RGBA, EXPLICIT, LINEAR, 1, COLOURS, SHARES, 0, MOST, MOST, 16, 16, 0, 0,
		0 },
	[RGBA_TILED] = { RGBA, EXPLICIT, TILED, 1, COLOURS, SHARES, 0, MOST, MOST, 512, 4096, 512,
		8, 0 },
	[NV12_OWN] = { NV12, OWN, LINEAR, 2, YUV, SHARES, 0, MOST, MOST, 128, 128, 0, 0, 0 },
};

/* What a test changes before it describes the device. */
static struct fake_vulkan_layout layouts[LAYOUTS + 1];
static struct fake_vulkan_memory_traits memory;
static struct fake_vulkan_traits traits;

static struct stile_party party; /* of the device, as it was described last */

static void set_up(void) {
	memcpy(layouts, usual, sizeof(layouts));
	memory = (struct fake_vulkan_memory_traits){
		.layouts = layouts,
		.modifiers = true,
		.fd_types = 4,
		.max_dimension = MOST,
		.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
	};
	traits = (struct fake_vulkan_traits){ .sync_fd = true, .uuid = 5, .memory = &memory };
	party = (struct stile_party){ .size = sizeof(party) };
}

static void tear_down(void) {
	stile_party_fini(&party);
}

static void describe(VkImageUsageFlags usage) {
	struct stile_report why = { .size = sizeof(why) };
	stile_party_fini(&party);
	party = (struct stile_party){ .size = sizeof(party) };
	start(&traits);
	ck_assert_msg(stile_vulkan_get_party(vulkan, usage, &why, &party) == 0, "%s", why.text);
	stop();
}

/* How often it has a layout. */
static unsigned count(uint32_t fourcc, uint64_t modifier) {
	unsigned n = 0;
	for (size_t i = 0; i < party.format_count; i++) {
		const struct stile_party_format *format = &party.formats[i];
		for (size_t k = 0; k < format->modifier_count && format->fourcc == fourcc; k++) {
			n += format->modifiers[k].modifier == modifier;
		}
	}
	return n;
}

/* ---- Who it is ------------------------------------------------------------------------------- */

/* Wrong code: a node that it has not got; the one that nobody may render with, though there is the other. */
START_TEST(it_is_the_device_of_its_node) {
	static const struct {
		unsigned render, primary, expected; /* minors of 226 */
	} cases[] = { { 129, 0, 129 }, { 129, 1, 129 }, { 0, 1, 1 } };
	memory.node = cases[_i].render == 0 ? 0 : makedev(226, cases[_i].render);
	memory.primary = cases[_i].primary == 0 ? 0 : makedev(226, cases[_i].primary);
	describe(SAMPLED);
	ck_assert_uint_eq(party.device, makedev(226, cases[_i].expected));
}
END_TEST

/*
 * Wrong code: the number of a node, of which the device says that it has none; two devices of one driver taken for one,
 * or those of two drivers.
 */
START_TEST(without_a_node_it_is_the_device_of_its_uuids) {
	static const struct { uint8_t device, driver; } uuids[] = { { 5, 5 }, { 6, 5 }, { 5, 6 } };
	uint64_t devices[LENGTH(uuids)];
	memory.drm = _i == 1;
	for (size_t i = 0; i < LENGTH(uuids); i++) {
		traits.uuid = uuids[i].device;
		traits.driver = uuids[i].device ^ uuids[i].driver;
		describe(SAMPLED);
		devices[i] = party.device;
		describe(SAMPLED);
		ck_assert_uint_eq(party.device, devices[i]);
		ck_assert_uint_gt(devices[i], UINT32_MAX);
	}
	ck_assert(devices[0] != devices[1] && devices[0] != devices[2] && devices[1] != devices[2]);
}
END_TEST

/* Wrong code: files in memory given to drivers of hardware, which refuse them; or not to Mesa's software ones. */
START_TEST(only_software_takes_files_in_memory) {
	static const VkPhysicalDeviceType types[] = { VK_PHYSICAL_DEVICE_TYPE_CPU,
		VK_PHYSICAL_DEVICE_TYPE_OTHER, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU,
		VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU };
	for (size_t i = 0; i < LENGTH(types); i++) {
		memory.type = types[i];
		describe(SAMPLED);
		ck_assert_uint_eq(
			party.memory, STILE_MEMORY_DMA_BUF | (i == 0 ? STILE_MEMORY_MEMFD : 0u));
	}
}
END_TEST

/* ---- What it can ----------------------------------------------------------------------------- */

/* Wrong code: who can only be given fences of the kernel's, or only give them, is relied on for both. */
START_TEST(it_has_fences_of_the_kernels_that_come_and_go) {
	static const struct {
		bool sync_fd;
		VkExternalSemaphoreFeatureFlags lacks;
		uint32_t sync;
	} cases[] = {
		{ true, 0, STILE_SYNC_FILE | STILE_SYNC_CPU },
		{ true, VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT, STILE_SYNC_CPU },
		{ true, VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT, STILE_SYNC_CPU },
		{ false, 0, STILE_SYNC_CPU },
	};
	traits.sync_fd = cases[_i].sync_fd;
	traits.lacks = cases[_i].lacks;
	describe(SAMPLED);
	ck_assert_uint_eq(party.sync, cases[_i].sync);
}
END_TEST

/*
 * An image may get any layout that it takes. Wrong code: it is asked to allocate what it cannot export, because some
 * other layout could be, or the last one; or, of no layout at all, anything.
 */
START_TEST(it_allocates_if_it_exports_every_layout) {
	describe(SAMPLED);
	ck_assert_uint_gt(party.format_count, 0);
	ck_assert_uint_eq(party.allocates, STILE_MEMORY_DMA_BUF);
	for (int i = 0; i < LAYOUTS; i++) {
		/* Of what is listed with its layout, the driver's own is not looked at. */
		bool matters = i != RGBA_OWN;
		layouts[i].dma_buf = IMPORTS;
		describe(SAMPLED);
		ck_assert_msg(
			party.allocates == (matters ? 0 : STILE_MEMORY_DMA_BUF), "layout %d", i);
		layouts[i].dma_buf = SHARES;
	}
	for (int i = 0; i < LAYOUTS; i++) {
		layouts[i].dma_buf = 0;
	}
	describe(SAMPLED);
	ck_assert_uint_eq(party.format_count, 0);
	ck_assert_uint_eq(party.allocates, 0);
}
END_TEST

/* Wrong code: who writes only is taken for one who reads, or is promised nothing to wait for. */
START_TEST(its_usage_is_what_the_image_is_for) {
	static const struct {
		VkImageUsageFlags usage;
		uint32_t expected;
	} cases[] = {
		{ VK_IMAGE_USAGE_TRANSFER_SRC_BIT, READ },
		{ VK_IMAGE_USAGE_TRANSFER_DST_BIT, WRITE },
		{ VK_IMAGE_USAGE_SAMPLED_BIT, READ },
		{ VK_IMAGE_USAGE_STORAGE_BIT, READ | WRITE },
		{ VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT, WRITE },
		{ VK_IMAGE_USAGE_INPUT_ATTACHMENT_BIT, READ },
		{ VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT, READ | WRITE },
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		describe(cases[i].usage);
		ck_assert_msg(party.needs->usage == cases[i].expected, "usage 0x%x is 0x%x",
			cases[i].usage, party.needs->usage);
	}
}
END_TEST

/* ---- What it needs --------------------------------------------------------------------------- */

/*
 * By an image of four bytes a pixel, of the driver's own layout. Wrong code: one taken for the other; what a format of
 * fewer bytes needs; an alignment promised to be met that nobody else can compute, or none asked for that there is.
 */
START_TEST(it_needs_the_alignments_of_its_own_layout) {
	static const struct {
		uint32_t pitch, offset;
		uint32_t said_pitch, said_offset;
	} cases[] = {
		{ 64, 256, 64, 256 },
		{ 256, 64, 256, 64 },
		{ 4096, 1, 4096, 1 },
		{ 48, 64, 0, 64 },
		{ 64, 96, 64, 0 },
	};
	layouts[RGBA_OWN].pitch_align = cases[_i].pitch;
	layouts[RGBA_OWN].offset_align = cases[_i].offset;
	describe(SAMPLED);
	ck_assert_uint_eq(party.needs->pitch_align, cases[_i].said_pitch);
	ck_assert_uint_eq(party.needs->offset_align, cases[_i].said_offset);
}
END_TEST

/* Wrong code: an image made of what the device has not got in that usage, or cannot share: the fake complains. */
START_TEST(alignments_are_asked_of_what_can_be_imported_only) {
	layouts[RGBA_OWN].features = VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BIT;
	describe(VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT);
	ck_assert_uint_eq(party.needs->pitch_align, 64);
	layouts[RGBA_OWN] = usual[RGBA_OWN];
	layouts[RGBA_OWN].dma_buf = layouts[RGBA_LINEAR].dma_buf = 0;
	describe(SAMPLED);
	ck_assert_uint_eq(count(ABGR, TILED), 1);
	ck_assert_uint_eq(count(DRM_FORMAT_R8, LINEAR), 1);
	ck_assert_uint_eq(party.needs->pitch_align, 0);
	ck_assert_uint_eq(party.needs->offset_align, 0);
}
END_TEST

/* ---- What it takes --------------------------------------------------------------------------- */

/* Wrong code: LINEAR twice, in both ways in which the device has it; a layout of more planes than images have. */
START_TEST(each_layout_is_named_once_if_images_can_have_it) {
	describe(SAMPLED);
	ck_assert_uint_eq(count(ABGR, LINEAR), 1);
	ck_assert_uint_eq(count(ABGR, TILED), 1);
	layouts[RGBA_TILED].plane_count = STILE_MAX_PLANES + 1;
	describe(SAMPLED);
	ck_assert_uint_eq(count(ABGR, LINEAR), 1);
	ck_assert_uint_eq(count(ABGR, TILED), 0);
}
END_TEST

static Suite *make_suite(void) {
	Suite *suite = suite_create("vulkan_party");
	TCase *tcase = ledger_tcase_create("facts");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, it_is_the_device_of_its_node, 0, 3);
	tcase_add_loop_test(tcase, without_a_node_it_is_the_device_of_its_uuids, 0, 2);
	tcase_add_test(tcase, only_software_takes_files_in_memory);
	tcase_add_loop_test(tcase, it_has_fences_of_the_kernels_that_come_and_go, 0, 4);
	tcase_add_test(tcase, it_allocates_if_it_exports_every_layout);
	tcase_add_test(tcase, its_usage_is_what_the_image_is_for);
	tcase_add_loop_test(tcase, it_needs_the_alignments_of_its_own_layout, 0, 5);
	tcase_add_test(tcase, alignments_are_asked_of_what_can_be_imported_only);
	tcase_add_test(tcase, each_layout_is_named_once_if_images_can_have_it);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
