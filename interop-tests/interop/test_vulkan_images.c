/* SPDX-License-Identifier: MIT */
/*
 * Images and memory on a Vulkan device that is not there, with explicit modifiers, metadata planes, disjoint images
 * and every way of sharing: support/fake_vulkan_memory.h, which complains of what the specification forbids.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <stile/colour.h>
#include <stile/party.h>
#include <stile/swgpu_modifier.h>

#include <stile/vulkan_yuv.h>

#include "interop-tests/interop/tries.h"
#include "interop-tests/interop/vulkan_fixture.h"
#include "interop-tests/support/fake_gpu.h"
#include "interop-tests/support/fake_vulkan_memory.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/modifiers.h"
#include "interop-tests/support/runner.h"
#include "src/image.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define RGBA VK_FORMAT_R8G8B8A8_UNORM
#define NV12 VK_FORMAT_G8_B8R8_2PLANE_420_UNORM
#define EXPLICIT VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT
#define LINEAR DRM_FORMAT_MOD_LINEAR
#define ROWS STILE_SWGPU_MOD_TILED_ROWS
#define COLUMNS STILE_SWGPU_MOD_TILED_COLUMNS

#define SAMPLED VK_FORMAT_FEATURE_SAMPLED_IMAGE_BIT
#define COLOURS (SAMPLED | VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BIT)
#define YUV \
	(SAMPLED | VK_FORMAT_FEATURE_MIDPOINT_CHROMA_SAMPLES_BIT | VK_FORMAT_FEATURE_DISJOINT_BIT)
#define IMPORTS VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT
#define EXPORTS VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT
#define SHARES (IMPORTS | EXPORTS)
#define USAGE VK_IMAGE_USAGE_SAMPLED_BIT

/* Even: rows in groups of four, as images ask of what they are made of. */
enum { WIDTH = 66, HEIGHT = 46, EVEN_HEIGHT = 48, MOST = 8192 };

/* The device's layouts, by name. */
enum {
	RGBA_OWN,
	RGBA_OPTIMAL,
	RGBA_LINEAR,
	RGBA_ROWS,
	RGBA_COLUMNS,
	NV12_OWN,
	NV12_LINEAR,
	NV12_COLUMNS,
	LAYOUTS,
};

static const struct fake_vulkan_layout usual[LAYOUTS + 1] = {
	[RGBA_OWN] = { RGBA, VK_IMAGE_TILING_LINEAR, LINEAR, 1, COLOURS, SHARES, SHARES, MOST, MOST,
		64, 64, 0, 0, IMPORTS },
	[RGBA_OPTIMAL] = { RGBA, VK_IMAGE_TILING_OPTIMAL, 0, 1, COLOURS, 0, SHARES, MOST, MOST, 256,
		4096, 0, 0, 0 },
	[RGBA_LINEAR] = { RGBA, EXPLICIT, LINEAR, 1, COLOURS, SHARES, 0, MOST, MOST, 16, 16, 0, 0,
		0 },
	[RGBA_ROWS] = { RGBA, EXPLICIT, ROWS, 1, COLOURS, SHARES, 0, MOST, MOST, 512, 4096, 512, 8,
		0 },
	[RGBA_COLUMNS] = { RGBA, EXPLICIT, COLUMNS, 2, COLOURS, SHARES, 0, MOST, 4096, 64, 64, 128,
		32, 0 },
	[NV12_OWN] = { NV12, VK_IMAGE_TILING_LINEAR, LINEAR, 2, YUV, SHARES, 0, MOST, MOST, 64, 64,
		0, 0, IMPORTS },
	[NV12_LINEAR] = { NV12, EXPLICIT, LINEAR, 2, YUV, SHARES, 0, MOST, MOST, 16, 16, 0, 0, 0 },
	[NV12_COLUMNS] = { NV12, EXPLICIT, COLUMNS, 4, YUV, SHARES, 0, MOST, MOST, 64, 64, 128, 32,
		0 },
};

/* What a test may change before it starts the device again. */
static struct fake_vulkan_layout layouts[LAYOUTS + 1];
static struct fake_vulkan_memory_traits has;
static struct fake_vulkan_traits traits;

static void set_up(void) {
	memcpy(layouts, usual, sizeof(layouts));
	traits = (struct fake_vulkan_traits){ .sync_fd = true, .uuid = 5, .memory = &has };
	has = (struct fake_vulkan_memory_traits){
		.layouts = layouts,
		.modifiers = true,
		.fd_types = 4, /* 2 */
		.max_dimension = MOST,
		.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
		.buffers = SHARES,
		.host_types = 2, /* 1 */
	};
	start(&traits);
}

/* ---- Images ---------------------------------------------------------------------------------- */

static int open_memory(uint64_t bytes) {
	int fd = memfd_create("plane", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

static void close_planes(const struct stile_image_info *info) {
	for (uint32_t i = 0; i < info->plane_count; i++) {
		close(info->planes[i].fd);
	}
}

/* As the software GPU lays it out, all in one file, or each plane in a file of its own. */
static struct stile_image *make_image(uint32_t fourcc, uint64_t modifier, bool apart) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = WIDTH,
		.height = HEIGHT,
		.fourcc = fourcc,
		.modifier = modifier,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.name = "test",
	};
	struct stile_image *image, *separate;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	if (!apart) {
		return image;
	}
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	uint64_t bytes = stile_buffer_get_bytes(stile_image_get_buffer(image, 0));
	for (uint32_t i = 0; i < info.plane_count; i++) {
		/* Each further back in a larger one. */
		close(info.planes[i].fd);
		info.planes[i].fd = open_memory(bytes + (uint64_t)i * 65536);
		info.planes[i].offset += (uint64_t)i * 65536;
	}
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &separate), 0);
	close_planes(&info);
	stile_image_unref(image);
	return separate;
}

/* Is each plane where the image has it, for all that the driver knows? */
static void check_planes(struct stile_image *image, const struct fake_vulkan_seen *seen) {
	struct stile_image_info info = { .size = sizeof(info) };
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	ck_assert_uint_eq(seen->plane_count, info.plane_count);
	for (uint32_t i = 0; i < info.plane_count; i++) {
		struct stat file;
		ck_assert_int_eq(fstat(info.planes[i].fd, &file), 0);
		ck_assert_msg(seen->planes[i].pitch == info.planes[i].pitch &&
				seen->planes[i].offset == info.planes[i].offset &&
				seen->planes[i].file == file.st_ino,
			"plane %u: pitch %llu, offset %llu, not %u, %llu; or another file", i,
			(unsigned long long)seen->planes[i].pitch,
			(unsigned long long)seen->planes[i].offset, info.planes[i].pitch,
			(unsigned long long)info.planes[i].offset);
	}
	close_planes(&info);
}

/* An image, and what the driver has to make of it. */
static const struct path {
	uint32_t fourcc;
	uint64_t modifier;
	bool apart;
	bool modifiers; /* the application has enabled them */
	VkImageTiling tiling;
	bool is_disjoint;
} paths[] = {
	{ DRM_FORMAT_ABGR8888, LINEAR, false, true, EXPLICIT, false },
	{ DRM_FORMAT_ABGR8888, ROWS, false, true, EXPLICIT, false },
	{ DRM_FORMAT_ABGR8888, COLUMNS, false, true, EXPLICIT, false },
	{ DRM_FORMAT_ABGR8888, LINEAR, false, false, VK_IMAGE_TILING_LINEAR, false },
	{ DRM_FORMAT_NV12, LINEAR, false, true, EXPLICIT, false },
	{ DRM_FORMAT_NV12, LINEAR, true, true, VK_IMAGE_TILING_LINEAR, true },
	{ DRM_FORMAT_NV12, LINEAR, false, false, VK_IMAGE_TILING_LINEAR, true },
	{ DRM_FORMAT_NV12, COLUMNS, false, true, EXPLICIT, false },
	{ DRM_FORMAT_NV12, COLUMNS, true, true, EXPLICIT, true },
};
enum { PATHS = LENGTH(paths) };

static struct stile_image *make_path(const struct path *path) {
	return make_image(path->fourcc, path->modifier, path->apart);
}

/*
 * Wrong code: a plane at another's place or in its memory; metadata planes left out; a struct of the chain left out,
 * or one too many; memory for one image bound to a plane; a size, offset or type of memory that the driver does not
 * take (its complaints).
 */
START_TEST(the_driver_is_told_where_each_plane_is) {
	const struct path *path = &paths[_i];
	has.modifiers = path->modifiers;
	restart(&traits);
	struct stile_image *image = make_path(path);
	struct stile_vulkan_image *imported;
	ck_assert_msg(stile_vulkan_check_image(vulkan, image, USAGE, &why) == 0, "%s", why.text);
	ck_assert_int_eq(fake_gpu_objects(), 2);
	int ret = stile_vulkan_import_image(vulkan, image, USAGE, &why, &imported);
	ck_assert_msg(ret == 0, "%s", why.text);
	struct fake_vulkan_seen seen = fake_vulkan_look(stile_vulkan_image_get_handle(imported));
	check_planes(image, &seen);
	ck_assert_int_eq(seen.tiling, path->tiling);
	ck_assert_uint_eq(seen.modifier, path->modifier);
	ck_assert_int_eq(seen.is_disjoint, path->is_disjoint);
	ck_assert_int_eq(seen.is_dedicated, !path->is_disjoint);
	ck_assert_uint_eq(
		stile_vulkan_acquire(imported, VK_IMAGE_LAYOUT_GENERAL, 0).srcQueueFamilyIndex,
		VK_QUEUE_FAMILY_FOREIGN_EXT);
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: a refusal of what goes in the driver's own layout; what is left of the first attempt. */
START_TEST(linear_that_is_not_taken_as_it_is_told_may_be_the_drivers_own) {
	layouts[RGBA_LINEAR].pitch_align = 4096;
	restart(&traits);
	struct stile_image *image = make_image(DRM_FORMAT_ABGR8888, LINEAR, false);
	struct stile_vulkan_image *imported;
	ck_assert_int_eq(stile_vulkan_import_image(vulkan, image, USAGE, &why, &imported), 0);
	struct fake_vulkan_seen seen = fake_vulkan_look(stile_vulkan_image_get_handle(imported));
	check_planes(image, &seen);
	ck_assert_int_eq(seen.tiling, VK_IMAGE_TILING_LINEAR);
	/* The adapter's two semaphores, the image and its memory. */
	ck_assert_int_eq(fake_gpu_objects(), 4);
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: a plane that the driver says too much of refused; or another one believed to be smaller than it is. */
START_TEST(planes_of_which_the_driver_says_too_much_are_imported) {
	has.modifiers = false;
	has.says_all = true;
	restart(&traits);
	struct stile_image *image = make_image(DRM_FORMAT_NV12, LINEAR, _i == 1);
	struct stile_vulkan_image *imported;
	int ret = stile_vulkan_import_image(vulkan, image, USAGE, &why, &imported);
	ck_assert_msg(ret == 0, "%s", why.text);
	struct fake_vulkan_seen seen = fake_vulkan_look(stile_vulkan_image_get_handle(imported));
	check_planes(image, &seen);
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

/* One plane at an offset of memory of so many bytes. */
static struct stile_image *make_at(uint64_t offset, uint64_t bytes) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = WIDTH,
		.height = HEIGHT,
		.fourcc = DRM_FORMAT_ABGR8888,
		.modifier = LINEAR,
		.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
		.plane_count = 1,
	};
	struct stile_image *image;
	info.planes[0] = (struct stile_image_plane){ .pitch = 320, .offset = offset };
	info.planes[0].fd = open_memory(bytes);
	ck_assert_int_eq(stile_image_import(device, &info, NULL, &image), 0);
	close(info.planes[0].fd);
	return image;
}

/*
 * A driver that has its first plane `lead` bytes behind where it is bound. Wrong code: a plane elsewhere than the image
 * has it; an offset that the driver does not take (its complaints), or refused though it takes it; memory that is the
 * image's alone bound at an offset, or memory of which the driver needs more than there is.
 */
START_TEST(an_image_begins_where_the_driver_can_have_it) {
	enum { ROWS_BYTES = 320 * 48 };
	static const struct {
		uint32_t lead;
		uint64_t offset, bytes;
		bool alone;               /* it takes dedicated memory only */
		enum stile_reason reason; /* NONE: it is imported */
	} cases[] = {
		{ 0, 0, ROWS_BYTES, true, STILE_REASON_NONE },
		{ 0, 128, 128 + ROWS_BYTES, false, STILE_REASON_NONE },
		{ 64, 64, 64 + ROWS_BYTES, true, STILE_REASON_NONE },
		{ 64, 192, 192 + ROWS_BYTES, false, STILE_REASON_NONE },
		{ 64, 0, 64 + ROWS_BYTES, false, STILE_REASON_OFFSET },
		{ 0, 128, 128 + ROWS_BYTES, true, STILE_REASON_OFFSET },
		{ 0, 32, 128 + ROWS_BYTES, false, STILE_REASON_OFFSET },
	};
	has.modifiers = false;
	has.lead = cases[_i].lead;
	layouts[RGBA_OWN].dma_buf |=
		cases[_i].alone ? VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT : 0u;
	restart(&traits);
	struct stile_image *image = make_at(cases[_i].offset, cases[_i].bytes);
	struct stile_vulkan_image *imported;
	int ret = stile_vulkan_import_image(vulkan, image, USAGE, &why, &imported);
	ck_assert_msg(why.reason == cases[_i].reason, "%d, %s", ret, why.text);
	ck_assert_int_eq(stile_vulkan_check_image(vulkan, image, USAGE, &why), ret);
	if (ret == 0) {
		struct fake_vulkan_seen seen =
			fake_vulkan_look(stile_vulkan_image_get_handle(imported));
		check_planes(image, &seen);
		ck_assert(seen.is_dedicated == (cases[_i].offset == cases[_i].lead));
		stile_vulkan_image_destroy(imported);
	}
	stile_image_unref(image);
}
END_TEST

/*
 * Wrong code: a layout of UNDEFINED, at which a driver may drop what others have drawn; memory taken from, or given to,
 * another family; access of the wrong side.
 */
START_TEST(barriers_take_an_image_and_give_it_back) {
	const VkImageLayout layout = VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL;
	const VkAccessFlags access = VK_ACCESS_SHADER_READ_BIT;
	/* FOREIGN is the sixth. */
	traits.extension_count = _i == 1 ? 5 : 0;
	has.modifiers = false;
	restart(&traits);
	const uint32_t peer = _i == 1 ? VK_QUEUE_FAMILY_EXTERNAL : VK_QUEUE_FAMILY_FOREIGN_EXT;
	struct stile_image *image = make_image(DRM_FORMAT_ABGR8888, LINEAR, false);
	struct stile_vulkan_image *imported;
	ck_assert_int_eq(stile_vulkan_import_image(vulkan, image, USAGE, &why, &imported), 0);
	const VkImageMemoryBarrier taken = stile_vulkan_acquire(imported, layout, access),
				   given = stile_vulkan_release(imported, layout, access);
	ck_assert(taken.image == stile_vulkan_image_get_handle(imported));
	ck_assert(taken.oldLayout == VK_IMAGE_LAYOUT_GENERAL && taken.newLayout == layout);
	ck_assert(taken.srcAccessMask == 0 && taken.dstAccessMask == access);
	ck_assert(taken.srcQueueFamilyIndex == peer &&
		taken.dstQueueFamilyIndex == FAKE_VULKAN_FAMILY);
	ck_assert(given.image == taken.image);
	ck_assert(given.oldLayout == layout && given.newLayout == VK_IMAGE_LAYOUT_GENERAL);
	ck_assert(given.srcAccessMask == access && given.dstAccessMask == 0);
	ck_assert(given.srcQueueFamilyIndex == FAKE_VULKAN_FAMILY &&
		given.dstQueueFamilyIndex == peer);
	/* What nobody needs is taken over from nobody. */
	const VkImageMemoryBarrier dropped = stile_vulkan_discard(imported, layout, access);
	ck_assert(dropped.oldLayout == VK_IMAGE_LAYOUT_UNDEFINED && dropped.newLayout == layout);
	ck_assert(dropped.srcAccessMask == 0 && dropped.dstAccessMask == access);
	ck_assert_uint_eq(dropped.srcQueueFamilyIndex, VK_QUEUE_FAMILY_IGNORED);
	ck_assert_uint_eq(dropped.dstQueueFamilyIndex, VK_QUEUE_FAMILY_IGNORED);
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: a failure of one plane said of another. */
START_TEST(the_plane_that_fails_is_named) {
	struct stile_image *image = make_path(&paths[5]);
	struct stile_vulkan_image *imported;
	for (uint32_t i = 0; i < 2; i++) {
		fake_gpu_fail("vkAllocateMemory", i + 1, VK_ERROR_OUT_OF_DEVICE_MEMORY);
		ck_assert_int_eq(
			stile_vulkan_import_image(vulkan, image, USAGE, &why, &imported), -ENOMEM);
		ck_assert_uint_eq(why.plane, i);
	}
	stile_image_unref(image);
}
END_TEST

/* Wrong code: an image for another use given for one; what was made of a device that is lost given again, or kept. */
START_TEST(an_image_is_kept_for_its_use_until_the_device_is_lost) {
	struct stile_image *image = make_image(DRM_FORMAT_ABGR8888, ROWS, false);
	struct stile_vulkan_image *first, *again, *other;
	ck_assert_int_eq(stile_vulkan_import_image(vulkan, image, USAGE, &why, &first), 0);
	ck_assert_int_eq(stile_vulkan_import_image(vulkan, image, USAGE, &why, &again), 0);
	ck_assert_int_eq(stile_vulkan_import_image(
				 vulkan, image, VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT, &why, &other),
		0);
	ck_assert_ptr_eq(first, again);
	ck_assert_ptr_ne(first, other);
	stile_vulkan_image_destroy(other);
	stile_vulkan_image_destroy(again);
	stile_vulkan_image_destroy(first);
	ck_assert_int_eq(fake_gpu_objects(), 6);
	fake_gpu_fail("vkCreateImage", 1, VK_ERROR_DEVICE_LOST);
	ck_assert_int_eq(stile_vulkan_import_image(
				 vulkan, image, VK_IMAGE_USAGE_TRANSFER_SRC_BIT, &why, &other),
		-EIO);
	/* Who waits for the device finds it out, too, and may be quicker. */
	ck_assert(fake_gpu_gets_to_objects(2));
	stile_image_unref(image);
}
END_TEST

/* ---- Refusals -------------------------------------------------------------------------------- */

enum {
	NOT_LISTED,
	OTHER_PLANES,
	NOT_IMPORTED,
	NOT_SAMPLED,
	TOO_WIDE,
	TOO_HIGH,
	NOT_APART,
	ONE_PLANE_APART,
	WHOLE_ONLY,
	OTHER_PITCH,
	NO_ROOM,
	NO_TYPE,
	REFUSALS,
};

static const struct refusal {
	uint32_t fourcc;
	uint64_t modifier;
	bool apart;
	int error;
	enum stile_reason reason;
	uint64_t needed, actual; /* 0: whatever it is */
	const char *text;
} refusals[REFUSALS] = {
	[NOT_LISTED] = { DRM_FORMAT_ABGR8888, COLUMNS, false, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0,
		COLUMNS, "does not list modifier" },
	[OTHER_PLANES] = { DRM_FORMAT_ABGR8888, COLUMNS, false, -EOPNOTSUPP,
		STILE_REASON_PLANE_COUNT, 3, 2, "in 3 planes, the image has 2" },
	[NOT_IMPORTED] = { DRM_FORMAT_ABGR8888, ROWS, false, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0,
		"imports no explicit ABGR8888" },
	[NOT_SAMPLED] = { DRM_FORMAT_ABGR8888, ROWS, false, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0,
		"FORMAT_NOT_SUPPORTED" },
	[TOO_WIDE] = { DRM_FORMAT_ABGR8888, ROWS, false, -ERANGE, STILE_REASON_EXTENT, WIDTH - 1,
		WIDTH, "66 x 46 pixels is too large" },
	[TOO_HIGH] = { DRM_FORMAT_ABGR8888, ROWS, false, -ERANGE, STILE_REASON_EXTENT, HEIGHT - 1,
		HEIGHT, "66 x 46 pixels is too large" },
	[NOT_APART] = { DRM_FORMAT_NV12, COLUMNS, true, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0,
		"memory of their own" },
	/* Only images of several planes are disjoint: no driver may say otherwise. */
	[ONE_PLANE_APART] = { DRM_FORMAT_ABGR8888, COLUMNS, true, -EOPNOTSUPP, STILE_REASON_FORMAT,
		0, 0, "memory of their own" },
	[WHOLE_ONLY] = { DRM_FORMAT_NV12, COLUMNS, true, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0,
		"whole images only" },
	[OTHER_PITCH] = { DRM_FORMAT_ABGR8888, ROWS, false, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0,
		"PLANE_LAYOUT" },
	[NO_ROOM] = { DRM_FORMAT_ABGR8888, ROWS, false, -ERANGE, STILE_REASON_BOUNDS, 512 * 256, 0,
		"needs 131072 bytes" },
	[NO_TYPE] = { DRM_FORMAT_ABGR8888, ROWS, false, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0,
		"no memory type" },
};

static void announce(int refusal) {
	struct fake_vulkan_layout *rows = &layouts[RGBA_ROWS], *columns = &layouts[RGBA_COLUMNS],
				  *nv12 = &layouts[NV12_COLUMNS];
	columns->modifier = refusal == NOT_LISTED ? COLUMNS + 1 : columns->modifier;
	columns->plane_count = refusal == OTHER_PLANES ? 3 : columns->plane_count;
	rows->dma_buf = refusal == NOT_IMPORTED ? EXPORTS : rows->dma_buf;
	rows->features =
		refusal == NOT_SAMPLED ? VK_FORMAT_FEATURE_TRANSFER_SRC_BIT : rows->features;
	rows->max_width = refusal == TOO_WIDE ? WIDTH - 1 : rows->max_width;
	rows->max_height = refusal == TOO_HIGH ? HEIGHT - 1 : rows->max_height;
	nv12->features &= refusal == NOT_APART ? ~(VkFlags)VK_FORMAT_FEATURE_DISJOINT_BIT : ~0u;
	nv12->dma_buf |= refusal == WHOLE_ONLY ? VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT : 0u;
	rows->pitch_align = refusal == OTHER_PITCH ? 8192 : rows->pitch_align;
	rows->tile_rows = refusal == NO_ROOM ? 256 : rows->tile_rows;
	has.fd_types = refusal == NO_TYPE ? 8 : has.fd_types;
}

/* Wrong code: an image that the driver must not be asked for; a sentence or numbers that are not the reason's. */
START_TEST(what_the_device_does_not_announce_is_refused_with_the_reason) {
	const struct refusal *refusal = &refusals[_i];
	announce(_i);
	restart(&traits);
	struct stile_image *image = make_image(refusal->fourcc, refusal->modifier, refusal->apart);
	struct stile_vulkan_image *imported;
	ck_assert_int_eq(
		stile_vulkan_import_image(vulkan, image, USAGE, &why, &imported), refusal->error);
	ck_assert_ptr_null(imported);
	ck_assert_int_eq(why.error, refusal->error);
	ck_assert_msg(strstr(why.text, refusal->text) != NULL, "%s", why.text);
	ck_assert_int_eq(why.reason, refusal->reason);
	ck_assert(refusal->needed == 0 || why.needed == refusal->needed);
	ck_assert(refusal->actual == 0 || why.actual == refusal->actual);
	struct stile_report checked = { .size = sizeof(checked) };
	int ret = stile_vulkan_check_image(vulkan, image, USAGE, &checked);
	/* What the memory is, nobody knows before. */
	ck_assert_int_eq(ret, _i == NO_TYPE ? 0 : refusal->error);
	ck_assert_str_eq(checked.text, _i == NO_TYPE ? "" : why.text);
	ck_assert_int_eq(fake_gpu_objects(), 2);
	stile_image_unref(image);
}
END_TEST

/* ---- Mappings -------------------------------------------------------------------------------- */

static const struct mapped {
	uint32_t fourcc;
	bool apart;
} mapped[] = {
	{ DRM_FORMAT_ABGR8888, false },
	{ DRM_FORMAT_NV12, false },
	{ DRM_FORMAT_NV12, true },
};
enum { MAPPED = LENGTH(mapped) };

static struct stile_vulkan_image *import_mapped(struct stile_image *image) {
	struct stile_vulkan_image *imported;
	int ret = stile_vulkan_import_host_image(vulkan, image, USAGE, &why, &imported);
	ck_assert_msg(ret == 0, "%s", why.text);
	return imported;
}

static struct fake_vulkan_seen look(const struct stile_vulkan_image *imported) {
	return fake_vulkan_look(stile_vulkan_image_get_handle(imported));
}

/* Is what the CPU writes to plane i what the driver has there? */
static void check_mapped_plane(
	struct stile_image *image, uint32_t i, const struct fake_vulkan_seen *seen) {
	const struct stile_image_plane *plane = &stile_image_get_info(image)->planes[i];
	struct stile_buffer *buffer = stile_image_get_buffer(image, i);
	void *memory;
	ck_assert_int_eq(stile_buffer_mmap(buffer, STILE_USAGE_WRITE, &memory), 0);
	((char *)memory)[plane->offset] = (char)('x' + i);
	stile_buffer_munmap(buffer, memory);
	ck_assert_int_eq(*seen->planes[i].address, 'x' + i);
	ck_assert_uint_eq(seen->planes[i].pitch, plane->pitch);
	ck_assert_uint_eq(seen->planes[i].file, 0);
}

/*
 * Wrong code: a plane at another's place, or in its mapping; pages that planes share imported twice, which a driver may
 * refuse; a layout told to a driver that maps, or memory of it called the image's alone; one VkImage for all, which
 * would keep the mapping.
 */
START_TEST(the_driver_has_each_plane_where_it_is_mapped) {
	struct stile_image *image = make_image(mapped[_i].fourcc, LINEAR, mapped[_i].apart);
	struct stile_vulkan_image *imported = import_mapped(image);
	/* The adapter's two semaphores, the image, and its memory. */
	ck_assert_int_eq(fake_gpu_objects(), mapped[_i].apart ? 5 : 4);
	struct stile_vulkan_image *again = import_mapped(image);
	const struct fake_vulkan_seen seen = look(imported);
	const uint32_t plane_count = stile_image_get_info(image)->plane_count;
	ck_assert_ptr_ne(imported, again);
	ck_assert_uint_eq(seen.plane_count, plane_count);
	for (uint32_t i = 0; i < plane_count; i++) {
		check_mapped_plane(image, i, &seen);
	}
	ck_assert_int_eq(seen.tiling, VK_IMAGE_TILING_LINEAR);
	ck_assert_int_eq(seen.is_disjoint, plane_count > 1);
	ck_assert(!seen.is_dedicated);
	stile_vulkan_image_destroy(again);
	stile_vulkan_image_destroy(imported);
	ck_assert_int_eq(fake_gpu_objects(), 2);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: memory that goes with the image; a mapping that is left, or a reference on a buffer. */
START_TEST(a_vkimage_of_a_mapping_keeps_it) {
	struct stile_image *image = make_image(mapped[_i].fourcc, LINEAR, mapped[_i].apart);
	struct stile_vulkan_image *imported = import_mapped(image);
	const struct fake_vulkan_seen seen = look(imported);
	const uintptr_t page = (uintptr_t)seen.planes[0].address & ~(uintptr_t)4095;
	stile_image_unref(image);
	ck_assert_int_eq(*seen.planes[seen.plane_count - 1].address, 0);
	stile_vulkan_image_destroy(imported);
	ck_assert_int_eq(fake_gpu_objects(), 2);
	ck_assert_int_lt(msync((void *)page, 4096, MS_ASYNC), 0);
}
END_TEST

/*
 * Wrong code: content of which the CPU is not told, or that it has not given yet, for a driver with a cache; a transfer
 * from nobody; content dropped by a barrier that keeps it, or kept by a driver that may compress what is dropped.
 */
START_TEST(barriers_of_a_mapping_are_for_the_cpu) {
	const VkImageLayout layout = VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
	const VkAccessFlags access = VK_ACCESS_TRANSFER_WRITE_BIT;
	const VkAccessFlags cpu = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT;
	struct stile_image *image = make_image(DRM_FORMAT_ABGR8888, LINEAR, false);
	struct stile_vulkan_image *imported = import_mapped(image);
	const VkImageMemoryBarrier all[] = {
		stile_vulkan_discard(imported, layout, access),
		stile_vulkan_acquire(imported, layout, access),
		stile_vulkan_release(imported, layout, access),
	};
	for (size_t i = 0; i < LENGTH(all); i++) {
		ck_assert(all[i].image == stile_vulkan_image_get_handle(imported));
		ck_assert_uint_eq(all[i].srcQueueFamilyIndex, VK_QUEUE_FAMILY_IGNORED);
		ck_assert_uint_eq(all[i].dstQueueFamilyIndex, VK_QUEUE_FAMILY_IGNORED);
		ck_assert_uint_eq(all[i].subresourceRange.aspectMask, VK_IMAGE_ASPECT_COLOR_BIT);
	}
	ck_assert(all[0].oldLayout == VK_IMAGE_LAYOUT_UNDEFINED && all[0].newLayout == layout);
	ck_assert(all[0].srcAccessMask == VK_ACCESS_HOST_WRITE_BIT);
	ck_assert(all[0].dstAccessMask == access);
	ck_assert(all[1].oldLayout == VK_IMAGE_LAYOUT_GENERAL && all[1].newLayout == layout);
	ck_assert(all[1].srcAccessMask == VK_ACCESS_HOST_WRITE_BIT);
	ck_assert(all[1].dstAccessMask == access);
	ck_assert(all[2].oldLayout == layout && all[2].newLayout == VK_IMAGE_LAYOUT_GENERAL);
	ck_assert(all[2].srcAccessMask == access && all[2].dstAccessMask == cpu);
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

/*
 * Intel's drivers list all types for any mapping. Wrong code: the first of them, though it takes the memory from the CPU,
 * or would have to be flushed.
 */
START_TEST(a_mapping_is_memory_that_the_cpu_sees) {
	has.host_types = 6;
	has.hidden_types = _i == 0 ? 2 : 0;
	has.stale_types = _i == 0 ? 0 : 2;
	restart(&traits);
	struct stile_image *image = make_image(DRM_FORMAT_ABGR8888, LINEAR, false);
	struct stile_vulkan_image *imported = import_mapped(image);
	ck_assert_uint_eq(look(imported).memory_type, 2);
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
}
END_TEST

enum {
	MAPPED_TILED,
	NO_USAGE,
	NO_MAPPINGS,
	MAPPED_PITCH,
	MAPPED_OFFSET,
	MAPPED_ROOM,
	MAPPED_TYPE,
	MAPPED_HIDDEN,
	MAPPED_PAGES,
	MAPPED_REFUSALS,
};

static const struct mapped_refusal {
	uint64_t modifier;
	VkImageUsageFlags usage;
	int error;
	enum stile_reason reason;
	uint64_t needed, actual; /* 0: whatever it is */
	const char *text;
} mapped_refusals[MAPPED_REFUSALS] = {
	[MAPPED_TILED] = { ROWS, USAGE, -EOPNOTSUPP, STILE_REASON_MODIFIER, 0, ROWS, "modifier" },
	[NO_USAGE] = { LINEAR, 0, -EINVAL, STILE_REASON_USAGE, 1, 0, "no usage" },
	[NO_MAPPINGS] = { LINEAR, USAGE, -EOPNOTSUPP, STILE_REASON_FORMAT, 0, 0,
		"imports no linear ABGR8888 image for usage 0x4 from a host pointer" },
	[MAPPED_PITCH] = { LINEAR, USAGE, -EOPNOTSUPP, STILE_REASON_PITCH, 512, 320,
		"pitch for 66 pixels is 512 bytes, the image has 320" },
	[MAPPED_OFFSET] = { LINEAR, USAGE, -EOPNOTSUPP, STILE_REASON_OFFSET, 64, 0,
		"at offset 64, the image at 0" },
	[MAPPED_ROOM] = { LINEAR, USAGE, -ERANGE, STILE_REASON_BOUNDS, 320 * 256, 0,
		"needs 81920 bytes" },
	[MAPPED_TYPE] = { LINEAR, USAGE, -EOPNOTSUPP, STILE_REASON_DRIVER, 6, 8,
		"no memory type fits both" },
	[MAPPED_HIDDEN] = { LINEAR, USAGE, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 6,
		"(0x6), none is visible to the CPU and coherent with it" },
	[MAPPED_PAGES] = { LINEAR, USAGE, -EOPNOTSUPP, STILE_REASON_DRIVER, 0, 0,
		"VK_ERROR_INVALID_EXTERNAL_HANDLE (-1000072003): of this mapping" },
};

static void announce_mapped(int refusal) {
	struct fake_vulkan_layout *rgba = &layouts[RGBA_OWN];
	rgba->host_pointer = refusal == NO_MAPPINGS ? EXPORTS : rgba->host_pointer;
	rgba->pitch_align = refusal == MAPPED_PITCH ? 512 : rgba->pitch_align;
	has.lead = refusal == MAPPED_OFFSET ? 64 : 0;
	rgba->tile_rows = refusal == MAPPED_ROOM ? 256 : rgba->tile_rows;
	has.host_types = refusal == MAPPED_TYPE ? 8 : refusal == MAPPED_HIDDEN ? 6 : has.host_types;
	has.hidden_types = refusal == MAPPED_HIDDEN ? 2 : 0;
	has.stale_types = refusal == MAPPED_HIDDEN ? 4 : 0;
	has.refuses_mappings = refusal == MAPPED_PAGES;
}

/* Wrong code: a driver asked for what it does not announce; a sentence or numbers that are not the reason's. */
START_TEST(what_cannot_be_a_mapping_is_refused_with_the_reason) {
	const struct mapped_refusal *refusal = &mapped_refusals[_i];
	announce_mapped(_i);
	restart(&traits);
	struct stile_image *image = make_image(DRM_FORMAT_ABGR8888, refusal->modifier, false);
	struct stile_vulkan_image *imported;
	ck_assert_int_eq(
		stile_vulkan_import_host_image(vulkan, image, refusal->usage, &why, &imported),
		refusal->error);
	ck_assert_ptr_null(imported);
	ck_assert_int_eq(why.error, refusal->error);
	ck_assert_msg(strstr(why.text, refusal->text) != NULL, "%s", why.text);
	ck_assert_int_eq(why.reason, refusal->reason);
	ck_assert(refusal->needed == 0 || why.needed == refusal->needed);
	ck_assert(refusal->actual == 0 || why.actual == refusal->actual);
	ck_assert_int_eq(fake_gpu_objects(), 2);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: what was made of a lost device given on. */
START_TEST(a_device_lost_over_a_mapping_drops_what_is_kept) {
	struct stile_image *image = make_image(DRM_FORMAT_ABGR8888, LINEAR, false);
	struct stile_vulkan_image *imported;
	ck_assert_int_eq(stile_vulkan_import_image(vulkan, image, USAGE, &why, &imported), 0);
	stile_vulkan_image_destroy(imported);
	ck_assert_int_eq(fake_gpu_objects(), 4);
	fake_gpu_fail("vkCreateImage", 1, VK_ERROR_DEVICE_LOST);
	ck_assert_int_eq(
		stile_vulkan_import_host_image(vulkan, image, USAGE, &why, &imported), -EIO);
	ck_assert(fake_gpu_gets_to_objects(2));
	stile_image_unref(image);
}
END_TEST

/* Wrong code: only a vendor, or a number; parameters that are cut. */
START_TEST(parameters_of_a_modifier_that_is_not_listed_are_told) {
	const struct modifiers_case *one = &modifiers_cases[_i];
	struct stile_image *image = make_image(DRM_FORMAT_ABGR8888, ROWS, false);
	char text[512];
	image->info.modifier = one->modifier; /* as a kernel's driver makes them */
	ck_assert_int_eq(stile_vulkan_check_image(vulkan, image, USAGE, &why), -EOPNOTSUPP);
	snprintf(text, sizeof(text), "the device does not list modifier %s for ABGR8888",
		modifiers_expect(one->modifier).text);
	ck_assert_str_eq(why.text, text);
	ck_assert_msg(strstr(why.text, one->part) != NULL, "%s", why.text);
	ck_assert_int_eq(why.reason, STILE_REASON_MODIFIER);
	stile_image_unref(image);
}
END_TEST

/* ---- The application's own ------------------------------------------------------------------- */

/* Wrong code: planes of the format where the memory has more; another aspect, modifier or file. */
START_TEST(an_exported_image_is_as_the_driver_has_it) {
	static const struct {
		int layout;
		uint32_t fourcc;
		uint64_t offset;
	} cases[] = {
		{ RGBA_OWN, DRM_FORMAT_ABGR8888, 0 },
		{ RGBA_LINEAR, DRM_FORMAT_ABGR8888, 64 },
		{ RGBA_ROWS, DRM_FORMAT_ABGR8888, 0 },
		{ RGBA_COLUMNS, DRM_FORMAT_ABGR8888, 8192 },
		{ NV12_OWN, DRM_FORMAT_NV12, 4096 },
		{ NV12_COLUMNS, DRM_FORMAT_NV12, 0 },
	};
	const struct fake_vulkan_layout *layout = &layouts[cases[_i].layout];
	struct stile_vulkan_own_image own =
		fake_vulkan_create_image(fake, layout, cases[_i].fourcc, WIDTH, EVEN_HEIGHT,
			cases[_i].offset, VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT);
	struct stile_image *image;
	int ret = stile_vulkan_export_image(vulkan, &own, device, &why, &image);
	ck_assert_msg(ret == 0, "%s", why.text);
	struct fake_vulkan_seen seen = fake_vulkan_look(own.image);
	check_planes(image, &seen);
	ck_assert_uint_eq(stile_image_get_info(image)->modifier, layout->modifier);
	stile_image_unref(image);
	fake_vulkan_destroy_image(fake, &own);
}
END_TEST

/* Wrong code: a driver asked for what it is not there, or does not announce; a layout without a name given one. */
START_TEST(what_cannot_be_exported_is_refused_with_the_reason) {
	static const struct {
		int error;
		enum stile_reason reason;
		const char *text;
	} expected[] = {
		{ -EINVAL, STILE_REASON_USAGE, "both needed" },
		{ -EINVAL, STILE_REASON_USAGE, "both needed" },
		{ -EOPNOTSUPP, STILE_REASON_FORMAT, "no VkFormat" },
		{ -EOPNOTSUPP, STILE_REASON_MODIFIER, "optimal tiling has no name" },
		{ -EINVAL, STILE_REASON_PLANE_COUNT, "at most 4 planes" },
		{ -EOPNOTSUPP, STILE_REASON_DRIVER, "exports no ABGR8888" },
		{ -EOPNOTSUPP, STILE_REASON_DRIVER, "VK_EXT_image_drm_format_modifier" },
	};
	const int layout = _i == 6 ? RGBA_OWN : RGBA_ROWS;
	layouts[RGBA_ROWS].dma_buf = _i == 5 ? IMPORTS : SHARES;
	has.modifiers = _i != 6;
	restart(&traits);
	struct stile_vulkan_own_image made =
		fake_vulkan_create_image(fake, &layouts[layout], DRM_FORMAT_ABGR8888, WIDTH, HEIGHT,
			0, VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT);
	struct stile_vulkan_own_image own = made;
	struct stile_image *image;
	own.image = _i == 0 ? VK_NULL_HANDLE : own.image;
	own.memory = _i == 1 ? VK_NULL_HANDLE : own.memory;
	own.fourcc = _i == 2 ? DRM_FORMAT_NV15 : own.fourcc;
	own.tiling = _i == 3 ? VK_IMAGE_TILING_OPTIMAL : _i == 6 ? EXPLICIT : own.tiling;
	own.plane_count = _i == 4 ? 5 : own.plane_count;
	ck_assert_int_eq(
		stile_vulkan_export_image(vulkan, &own, device, &why, &image), expected[_i].error);
	ck_assert_ptr_null(image);
	ck_assert_int_eq(why.reason, expected[_i].reason);
	ck_assert_msg(strstr(why.text, expected[_i].text) != NULL, "%s", why.text);
	fake_vulkan_destroy_image(fake, &made);
}
END_TEST

/* ---- Every format ---------------------------------------------------------------------------- */

enum { MANY = 256 };
static struct fake_vulkan_layout every[MANY];

/* A device that has every VkFormat that Stile knows, with the planes that the specification gives it. */
static void announce_all(void) {
	const struct stile_format *format;
	size_t n = 0;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		struct stile_vulkan_format vk = { .size = sizeof(vk) };
		if (stile_vulkan_format_get(format->fourcc, &vk) < 0) {
			continue;
		}
		uint32_t planes = fake_vulkan_plane_count(vk.format);
		VkFormatFeatureFlags apart = planes > 1 ? VK_FORMAT_FEATURE_DISJOINT_BIT : 0u,
				     chroma = VK_FORMAT_FEATURE_MIDPOINT_CHROMA_SAMPLES_BIT;
		ck_assert_uint_lt(n + 2, MANY);
		every[n] = (struct fake_vulkan_layout){ vk.format, VK_IMAGE_TILING_LINEAR, LINEAR,
			planes, COLOURS | apart | chroma, SHARES, 0, MOST, MOST, 64, 64, 0, 0, 0 };
		every[n + 1] = every[n];
		every[n + 1].tiling = EXPLICIT;
		n += 2;
	}
	has.layouts = every;
	restart(&traits);
}

static void check_import(uint32_t fourcc, bool apart) {
	struct stile_image *image = make_image(fourcc, LINEAR, apart);
	struct stile_vulkan_image *imported;
	int ret = stile_vulkan_import_image(vulkan, image, USAGE, &why, &imported);
	ck_assert_msg(ret == 0, "%s: %s", stile_format_get(fourcc)->name, why.text);
	struct fake_vulkan_seen seen = fake_vulkan_look(stile_vulkan_image_get_handle(imported));
	ck_assert_int_eq(seen.is_disjoint, apart);
	check_planes(image, &seen);
	for (uint32_t i = 0; i < seen.plane_count; i++) {
		uint64_t rows = (uint64_t)HEIGHT / stile_format_get(fourcc)->planes[i].vsub;
		ck_assert_uint_eq(seen.planes[i].bytes, rows * seen.planes[i].pitch);
	}
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
}

static void check_export(uint32_t fourcc, const struct fake_vulkan_layout *layout) {
	struct stile_vulkan_own_image own = fake_vulkan_create_image(fake, layout, fourcc, WIDTH,
		EVEN_HEIGHT, 0, VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT);
	struct stile_image *image;
	int ret = stile_vulkan_export_image(vulkan, &own, device, &why, &image);
	ck_assert_msg(ret == 0, "%s: %s", stile_format_get(fourcc)->name, why.text);
	struct fake_vulkan_seen seen = fake_vulkan_look(own.image);
	check_planes(image, &seen);
	stile_image_unref(image);
	fake_vulkan_destroy_image(fake, &own);
}

/*
 * Wrong code: a VkFormat of another size, or with other planes; a third plane named or placed as the second; an order
 * of components that Vulkan's conversions cannot have (the device's complaints).
 */
START_TEST(every_format_has_the_planes_of_its_vkformat) {
	const struct stile_colour colour = { .matrix = STILE_MATRIX_BT709 };
	const struct stile_format *format;
	size_t n = 0;
	announce_all();
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		struct stile_vulkan_format vk = { .size = sizeof(vk) };
		VkSamplerYcbcrConversion conversion;
		if (stile_vulkan_format_get(format->fourcc, &vk) < 0) {
			continue;
		}
		check_import(format->fourcc, false);
		if (format->plane_count > 1) {
			check_import(format->fourcc, true);
		}
		check_export(format->fourcc, &every[n++]);
		check_export(format->fourcc, &every[n++]);
		ck_assert_int_eq(stile_vulkan_get_ycbcr_conversion(vulkan, format->fourcc, &colour,
					 VK_FILTER_NEAREST, &why, &conversion),
			format->is_yuv ? 0 : -EOPNOTSUPP);
	}
	ck_assert_uint_gt(n, 0);
}
END_TEST

/* ---- OPAQUE_FD ------------------------------------------------------------------------------- */

static struct stile_opaque_image export_opaque(const struct stile_vulkan_own_image *own) {
	struct stile_opaque_image opaque = { .size = sizeof(opaque) };
	int ret = stile_vulkan_export_opaque(vulkan, own, &why, &opaque);
	ck_assert_msg(ret == 0, "%s", why.text);
	ck_assert_int_eq(fcntl(opaque.fd, F_GETFD), FD_CLOEXEC);
	return opaque;
}

static struct stile_vulkan_own_image create_opaque_at(int layout, uint64_t offset) {
	return fake_vulkan_create_image(fake, &layouts[layout], DRM_FORMAT_ABGR8888, WIDTH, HEIGHT,
		offset, VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT);
}

static struct stile_vulkan_own_image create_opaque(int layout) {
	return create_opaque_at(layout, 0);
}

/* Wrong code: another size, type or tiling than it was made with, or the wrong owner. */
START_TEST(opaque_memory_is_the_same_image_again) {
	static const uint64_t offsets[] = { 0, 0, 8192 };
	struct stile_vulkan_own_image own =
		create_opaque_at(_i == 0 ? RGBA_OWN : RGBA_OPTIMAL, offsets[_i]);
	struct stile_opaque_image opaque = export_opaque(&own);
	struct stile_vulkan_image *imported;
	int ret = stile_vulkan_import_opaque(vulkan, &opaque, &why, &imported);
	ck_assert_msg(ret == 0, "%s", why.text);
	close(opaque.fd);
	struct fake_vulkan_seen there = fake_vulkan_look(own.image),
				here = fake_vulkan_look(stile_vulkan_image_get_handle(imported));
	ck_assert_int_eq(here.tiling, there.tiling);
	ck_assert_uint_eq(here.planes[0].file, there.planes[0].file);
	ck_assert_uint_eq(here.planes[0].offset, there.planes[0].offset);
	ck_assert(here.is_dedicated == (offsets[_i] == 0));
	ck_assert_uint_eq(
		stile_vulkan_acquire(imported, VK_IMAGE_LAYOUT_GENERAL, 0).srcQueueFamilyIndex,
		VK_QUEUE_FAMILY_EXTERNAL);
	ck_assert_uint_eq(
		stile_vulkan_release(imported, VK_IMAGE_LAYOUT_GENERAL, 0).dstQueueFamilyIndex,
		VK_QUEUE_FAMILY_EXTERNAL);
	stile_vulkan_image_destroy(imported);
	fake_vulkan_destroy_image(fake, &own);
}
END_TEST

/* It may come from another process. Wrong code: the driver believes it (its complaints), and draws out of bounds. */
START_TEST(a_description_that_does_not_fit_the_memory_is_refused) {
	struct stile_vulkan_own_image own = create_opaque(RGBA_OPTIMAL);
	const struct stile_opaque_image opaque = export_opaque(&own);
	struct stile_opaque_image lies[] = { opaque, opaque, opaque, opaque, opaque, opaque, opaque,
		opaque, opaque, opaque, opaque, opaque, opaque };
	lies[0].width = MOST + 1;
	lies[1].height = MOST;
	lies[2].bytes = 4096;
	lies[3].offset = 4096;
	lies[4].offset = UINT64_MAX;
	lies[5].memory_type = 3;
	lies[6].usage = 0;
	lies[7].height = 0;
	lies[8].fourcc = DRM_FORMAT_NV12;
	lies[8].width--;
	lies[9].width = 0;
	lies[10].memory_type = 32;
	lies[11].bytes += 8192;
	lies[11].offset = 64;
	lies[12].device_uuid[0]++;
	static const struct {
		int error;
		enum stile_reason reason;
	} expected[] = {
		{ -ERANGE, STILE_REASON_EXTENT },
		{ -ERANGE, STILE_REASON_BOUNDS },
		{ -ERANGE, STILE_REASON_BOUNDS },
		{ -ERANGE, STILE_REASON_BOUNDS },
		{ -ERANGE, STILE_REASON_BOUNDS },
		{ -EOPNOTSUPP, STILE_REASON_DRIVER },
		{ -EINVAL, STILE_REASON_USAGE },
		{ -EINVAL, STILE_REASON_EXTENT },
		{ -EINVAL, STILE_REASON_EXTENT },
		{ -EINVAL, STILE_REASON_EXTENT },
		{ -EOPNOTSUPP, STILE_REASON_DRIVER },
		{ -EOPNOTSUPP, STILE_REASON_OFFSET },
		{ -EOPNOTSUPP, STILE_REASON_DEVICE },
	};
	for (size_t i = 0; i < LENGTH(lies); i++) {
		struct stile_vulkan_image *imported;
		ck_assert_int_eq(stile_vulkan_import_opaque(vulkan, &lies[i], &why, &imported),
			expected[i].error);
		ck_assert_ptr_null(imported);
		ck_assert_int_eq(why.reason, expected[i].reason);
		ck_assert_msg(expected[i].reason != STILE_REASON_DEVICE ||
				strstr(why.text, "a dma-buf may do") != NULL,
			"%s", why.text);
	}
	close(opaque.fd);
	fake_vulkan_destroy_image(fake, &own);
}
END_TEST

/* Wrong code: a place of chroma, or a filter, that the device has not (its complaints); a place that was said, moved. */
START_TEST(a_conversion_is_one_that_the_device_has) {
	static const VkFormatFeatureFlags places[] = {
		VK_FORMAT_FEATURE_MIDPOINT_CHROMA_SAMPLES_BIT,
		VK_FORMAT_FEATURE_COSITED_CHROMA_SAMPLES_BIT,
	};
	const struct stile_colour unsaid = { .matrix = STILE_MATRIX_BT709 },
				  midpoint = { .matrix = STILE_MATRIX_BT709,
					  .horizontal = STILE_SITING_MIDPOINT };
	VkSamplerYcbcrConversion conversion, again;
	layouts[NV12_OWN].features = SAMPLED | places[_i];
	restart(&traits);
	ck_assert_int_eq(stile_vulkan_get_ycbcr_conversion(vulkan, DRM_FORMAT_NV12, &unsaid,
				 VK_FILTER_NEAREST, &why, &conversion),
		0);
	ck_assert_int_eq(stile_vulkan_get_ycbcr_conversion(
				 vulkan, DRM_FORMAT_NV12, &unsaid, VK_FILTER_NEAREST, &why, &again),
		0);
	ck_assert(conversion == again);
	ck_assert_int_eq(stile_vulkan_get_ycbcr_conversion(vulkan, DRM_FORMAT_NV12, &unsaid,
				 VK_FILTER_LINEAR, &why, &conversion),
		-EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(why.text, "VK_FILTER_NEAREST"));
	int ret = stile_vulkan_get_ycbcr_conversion(
		vulkan, DRM_FORMAT_NV12, &midpoint, VK_FILTER_NEAREST, &why, &conversion);
	ck_assert_int_eq(ret, _i == 0 ? 0 : -EOPNOTSUPP);
	ck_assert(_i == 0 || why.reason == STILE_REASON_COLOUR);
}
END_TEST

/* Wrong code: other colours, or a conversion of others' taken for the same. */
START_TEST(each_colour_has_a_conversion_of_its_own) {
	static const struct {
		uint32_t fourcc;
		struct stile_colour colour;
		VkFilter filter;
		VkSamplerYcbcrModelConversion model;
		VkSamplerYcbcrRange range;
		VkChromaLocation x;
	} cases[] = {
#define NARROW VK_SAMPLER_YCBCR_RANGE_ITU_NARROW
#define EVEN VK_CHROMA_LOCATION_COSITED_EVEN
		{ DRM_FORMAT_NV12, { .matrix = STILE_MATRIX_BT709 }, VK_FILTER_NEAREST,
			VK_SAMPLER_YCBCR_MODEL_CONVERSION_YCBCR_709, NARROW, EVEN },
		{ DRM_FORMAT_NV12, { .matrix = STILE_MATRIX_BT601 }, VK_FILTER_NEAREST,
			VK_SAMPLER_YCBCR_MODEL_CONVERSION_YCBCR_601, NARROW, EVEN },
		{ DRM_FORMAT_NV12, { .matrix = STILE_MATRIX_BT2020 }, VK_FILTER_NEAREST,
			VK_SAMPLER_YCBCR_MODEL_CONVERSION_YCBCR_2020, NARROW, EVEN },
		{ DRM_FORMAT_NV12, { .matrix = STILE_MATRIX_BT709, .range = STILE_RANGE_FULL },
			VK_FILTER_NEAREST, VK_SAMPLER_YCBCR_MODEL_CONVERSION_YCBCR_709,
			VK_SAMPLER_YCBCR_RANGE_ITU_FULL, EVEN },
		{ DRM_FORMAT_NV12,
			{ .matrix = STILE_MATRIX_BT709, .horizontal = STILE_SITING_MIDPOINT },
			VK_FILTER_NEAREST, VK_SAMPLER_YCBCR_MODEL_CONVERSION_YCBCR_709, NARROW,
			VK_CHROMA_LOCATION_MIDPOINT },
		{ DRM_FORMAT_NV12, { .matrix = STILE_MATRIX_BT709 }, VK_FILTER_LINEAR,
			VK_SAMPLER_YCBCR_MODEL_CONVERSION_YCBCR_709, NARROW, EVEN },
		{ DRM_FORMAT_NV21, { .matrix = STILE_MATRIX_BT709 }, VK_FILTER_NEAREST,
			VK_SAMPLER_YCBCR_MODEL_CONVERSION_YCBCR_709, NARROW, EVEN },
	};
	VkSamplerYcbcrConversion made[LENGTH(cases)];
	layouts[NV12_OWN].features |= VK_FORMAT_FEATURE_COSITED_CHROMA_SAMPLES_BIT |
		VK_FORMAT_FEATURE_SAMPLED_IMAGE_YCBCR_CONVERSION_LINEAR_FILTER_BIT;
	restart(&traits);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		ck_assert_int_eq(stile_vulkan_get_ycbcr_conversion(vulkan, cases[i].fourcc,
					 &cases[i].colour, cases[i].filter, &why, &made[i]),
			0);
		const VkSamplerYcbcrConversionCreateInfo info =
			fake_vulkan_look_at_conversion(made[i]);
		ck_assert_int_eq(info.format, NV12);
		ck_assert_int_eq(info.ycbcrModel, cases[i].model);
		ck_assert_int_eq(info.ycbcrRange, cases[i].range);
		ck_assert_int_eq(info.xChromaOffset, cases[i].x);
		ck_assert_int_eq(info.chromaFilter, cases[i].filter);
		ck_assert((info.components.r == VK_COMPONENT_SWIZZLE_IDENTITY) ==
			(cases[i].fourcc == DRM_FORMAT_NV12));
		for (size_t k = 0; k < i; k++) {
			ck_assert(made[k] != made[i]);
		}
	}
}
END_TEST

/* ---- The device as a party ------------------------------------------------------------------- */

static struct stile_party describe(VkImageUsageFlags usage) {
	struct stile_party party = { .size = sizeof(party) };
	int ret = stile_vulkan_get_party(vulkan, usage, &why, &party);
	ck_assert_msg(ret == 0, "%s", why.text);
	return party;
}

static const struct stile_party_modifier *find_modifier(
	const struct stile_party *party, uint32_t fourcc, uint64_t modifier) {
	for (size_t i = 0; i < party->format_count; i++) {
		const struct stile_party_format *format = &party->formats[i];
		for (size_t k = 0; k < format->modifier_count && format->fourcc == fourcc; k++) {
			if (format->modifiers[k].modifier == modifier) {
				return &format->modifiers[k];
			}
		}
	}
	return NULL;
}

/* Wrong code: a limit, a plane or an alignment lost; memory that it does not make. */
START_TEST(a_party_says_what_the_device_announces) {
	has.node = makedev(226, 129);
	restart(&traits);
	struct stile_party party = describe(USAGE);
	const struct stile_party_modifier *columns =
		find_modifier(&party, DRM_FORMAT_ABGR8888, COLUMNS);
	ck_assert_str_eq(party.name, "Vulkan (fake)");
	ck_assert_ptr_nonnull(columns);
	ck_assert_uint_eq(columns->plane_count, 2);
	ck_assert_uint_eq(columns->max_width, MOST);
	ck_assert_uint_eq(columns->max_height, 4096);
	ck_assert_uint_eq(find_modifier(&party, DRM_FORMAT_NV12, COLUMNS)->plane_count, 4);
	ck_assert_uint_eq(find_modifier(&party, DRM_FORMAT_NV12, LINEAR)->plane_count, 2);
	ck_assert_ptr_null(find_modifier(&party, DRM_FORMAT_NV12, ROWS));
	ck_assert_ptr_null(find_modifier(&party, DRM_FORMAT_R8, LINEAR));
	ck_assert_uint_eq(party.needs->pitch_align, 64);
	ck_assert_uint_eq(party.needs->offset_align, 64);
	ck_assert_uint_eq(party.needs->max_width, MOST);
	ck_assert_uint_eq(party.needs->usage, STILE_USAGE_READ);
	ck_assert_uint_eq(party.allocates, STILE_MEMORY_DMA_BUF);
	ck_assert_uint_eq(party.memory, STILE_MEMORY_DMA_BUF);
	ck_assert_uint_eq(party.sync, STILE_SYNC_FILE | STILE_SYNC_CPU);
	ck_assert_uint_eq(party.device, makedev(226, 129));
	stile_party_fini(&party);

	/* What draws takes no YUV; a layout that is not exported makes that none is relied on. */
	layouts[RGBA_ROWS].dma_buf = IMPORTS;
	layouts[RGBA_COLUMNS].dma_buf = EXPORTS;
	has.type = VK_PHYSICAL_DEVICE_TYPE_CPU;
	has.node = 0;
	restart(&traits);
	party = describe(VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT);
	ck_assert_ptr_null(find_modifier(&party, DRM_FORMAT_NV12, LINEAR));
	ck_assert_ptr_null(find_modifier(&party, DRM_FORMAT_ABGR8888, COLUMNS));
	ck_assert_ptr_nonnull(find_modifier(&party, DRM_FORMAT_ABGR8888, ROWS));
	ck_assert_uint_eq(party.allocates, 0);
	ck_assert_uint_eq(party.memory, STILE_MEMORY_DMA_BUF | STILE_MEMORY_MEMFD);
	ck_assert_uint_eq(party.needs->usage, STILE_USAGE_WRITE);
	ck_assert_uint_gt(party.device, UINT32_MAX);
	stile_party_fini(&party);
}
END_TEST

/* Wrong code: a layout of the driver's own left out, or promised though planes cannot be bound to it one by one. */
START_TEST(a_party_has_linear_in_one_way_or_the_other) {
	layouts[RGBA_LINEAR].dma_buf = EXPORTS;
	restart(&traits);
	struct stile_party party = describe(USAGE);
	ck_assert_ptr_nonnull(find_modifier(&party, DRM_FORMAT_ABGR8888, LINEAR));
	stile_party_fini(&party);
	has.modifiers = false;
	restart(&traits);
	party = describe(USAGE);
	ck_assert_uint_eq(find_modifier(&party, DRM_FORMAT_NV12, LINEAR)->plane_count, 2);
	ck_assert_ptr_null(find_modifier(&party, DRM_FORMAT_ABGR8888, ROWS));
	stile_party_fini(&party);
	layouts[NV12_OWN].features &= ~(VkFlags)VK_FORMAT_FEATURE_DISJOINT_BIT;
	restart(&traits);
	party = describe(USAGE);
	ck_assert_ptr_null(find_modifier(&party, DRM_FORMAT_NV12, LINEAR));
	stile_party_fini(&party);
}
END_TEST

/* Wrong code: a party that promises what the import refuses, or leaves out what it takes. */
START_TEST(a_party_says_what_is_imported) {
	static const uint64_t modifiers[] = { LINEAR, ROWS, COLUMNS };
	static const uint32_t fourccs[] = { DRM_FORMAT_ABGR8888, DRM_FORMAT_XBGR8888,
		DRM_FORMAT_NV12, DRM_FORMAT_ARGB8888, DRM_FORMAT_R8 };
	struct stile_party party = describe(USAGE);
	for (size_t i = 0; i < LENGTH(modifiers) * LENGTH(fourccs); i++) {
		uint64_t modifier = modifiers[i % LENGTH(modifiers)];
		uint32_t fourcc = fourccs[i / LENGTH(modifiers)];
		const struct stile_party_modifier *said = find_modifier(&party, fourcc, modifier);
		struct stile_image *image = make_image(fourcc, modifier, false);
		int ret = stile_vulkan_check_image(vulkan, image, USAGE, &why);
		ck_assert_msg((said != NULL) == (ret == 0), "%s, 0x%llx: %s",
			stile_format_get(fourcc)->name, (unsigned long long)modifier, why.text);
		ck_assert(said == NULL ||
			said->plane_count == stile_image_get_info(image)->plane_count);
		stile_image_unref(image);
	}
	stile_party_fini(&party);
}
END_TEST

/* ---- Everything fails once ------------------------------------------------------------------- */

static int tried; /* which path, or layout */

/* What is tried; it undoes what it did. 0, or what the library gave. */
static int try_import(void) {
	struct stile_image *image = make_path(&paths[tried]);
	struct stile_vulkan_image *imported;
	int ret = TRY(stile_vulkan_import_image(vulkan, image, USAGE, &why, &imported));
	ck_assert((imported != NULL) == (ret == 0));
	if (ret == 0) {
		struct fake_vulkan_seen seen =
			fake_vulkan_look(stile_vulkan_image_get_handle(imported));
		check_planes(image, &seen);
		stile_vulkan_image_destroy(imported);
	}
	stile_image_unref(image);
	return ret;
}

static int try_mapped(void) {
	struct stile_image *image = make_image(DRM_FORMAT_NV12, LINEAR, true);
	struct stile_vulkan_image *imported;
	int ret = TRY(stile_vulkan_import_host_image(vulkan, image, USAGE, &why, &imported));
	ck_assert((imported != NULL) == (ret == 0));
	stile_vulkan_image_destroy(imported);
	stile_image_unref(image);
	return ret;
}

static int try_check(void) {
	struct stile_image *image = make_path(&paths[tried]);
	int ret = TRY(stile_vulkan_check_image(vulkan, image, USAGE, &why));
	stile_image_unref(image);
	return ret;
}

static int try_export(void) {
	struct stile_vulkan_own_image own =
		fake_vulkan_create_image(fake, &layouts[RGBA_COLUMNS], DRM_FORMAT_ABGR8888, WIDTH,
			HEIGHT, 0, VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT);
	struct stile_image *image;
	int ret = TRY(stile_vulkan_export_image(vulkan, &own, device, &why, &image));
	stile_image_unref(image);
	fake_vulkan_destroy_image(fake, &own);
	return ret;
}

static int try_opaque(void) {
	struct stile_vulkan_own_image own = create_opaque(RGBA_OPTIMAL);
	struct stile_opaque_image opaque = { .size = sizeof(opaque) };
	struct stile_vulkan_image *imported = NULL;
	int ret = TRY(stile_vulkan_export_opaque(vulkan, &own, &why, &opaque));
	if (ret == 0) {
		ret = TRY(stile_vulkan_import_opaque(vulkan, &opaque, &why, &imported));
		close(opaque.fd);
	}
	ck_assert((opaque.fd >= 0) || ret < 0);
	stile_vulkan_image_destroy(imported);
	fake_vulkan_destroy_image(fake, &own);
	return ret;
}

/* The fake does not look what is in the memory: an image's will do. */
static int try_opaque_buffer(void) {
	struct stile_vulkan_own_image of = create_opaque(RGBA_OWN);
	const struct stile_vulkan_own_buffer own = {
		.size = sizeof(own),
		.length = of.bytes,
		.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
		.memory = of.memory,
		.bytes = of.bytes,
		.memory_type = of.memory_type,
		.dedicated = VK_TRUE,
	};
	struct stile_opaque_buffer opaque = { .size = sizeof(opaque) };
	struct stile_vulkan_buffer *imported = NULL;
	int ret = TRY(stile_vulkan_export_opaque_buffer(vulkan, &own, &why, &opaque));
	if (ret == 0) {
		ret = TRY(stile_vulkan_import_opaque_buffer(vulkan, &opaque, &why, &imported));
		close(opaque.fd);
	}
	ck_assert((opaque.fd >= 0) || ret < 0);
	ck_assert((imported != NULL) == (ret == 0));
	stile_vulkan_buffer_destroy(imported);
	fake_vulkan_destroy_image(fake, &of);
	return ret;
}

static int try_conversion(void) {
	const struct stile_colour colour = { .matrix = STILE_MATRIX_BT709 };
	VkSamplerYcbcrConversion conversion;
	return TRY(stile_vulkan_get_ycbcr_conversion(
		vulkan, DRM_FORMAT_NV12, &colour, VK_FILTER_NEAREST, &why, &conversion));
}

static int try_yuv(void) {
	struct stile_image *image = make_image(DRM_FORMAT_NV12, LINEAR, false);
	struct stile_vulkan_yuv yuv = { .size = sizeof(yuv) };
	int ret = TRY(stile_vulkan_import_yuv(vulkan, image, VK_FILTER_NEAREST, &why, &yuv));
	ck_assert_int_eq(yuv.path, ret == 0 ? STILE_VULKAN_YUV_CONVERSION : STILE_VULKAN_YUV_NONE);
	stile_vulkan_yuv_finish(&yuv);
	stile_image_unref(image);
	return ret;
}

/* All that there is to say, or nothing. */
static int try_party(void) {
	fake_gpu_exempt(true);
	struct stile_party all = describe(USAGE), party = { .size = sizeof(party) };
	fake_gpu_exempt(false);
	int ret = TRY(stile_vulkan_get_party(vulkan, USAGE, &why, &party));
	if (ret == 0) {
		ck_assert_uint_eq(party.format_count, all.format_count);
		for (size_t i = 0; i < all.format_count; i++) {
			ck_assert_uint_eq(
				party.formats[i].modifier_count, all.formats[i].modifier_count);
		}
		ck_assert_uint_eq(party.device, all.device);
		ck_assert_uint_eq(party.needs->pitch_align, all.needs->pitch_align);
	} else {
		ck_assert_ptr_null(party.data);
		ck_assert_uint_eq(party.format_count, 0);
	}
	stile_party_fini(&party);
	stile_party_fini(&all);
	return ret;
}

/* The first two for each path. */
static int (*const tries[])(void) = { try_import, try_check, try_mapped, try_export, try_opaque,
	try_opaque_buffer, try_conversion, try_yuv, try_party };
enum { TRIES = 2 * PATHS + LENGTH(tries) - 2 };

/* LINEAR that is not taken as it is told is tried in another way. */
static bool has_another_way(int n) {
	return n < 2 * PATHS ? paths[n / 2].modifier == LINEAR && paths[n / 2].modifiers
			     : tries[2 + n - 2 * PATHS] == try_yuv;
}

/* A new device for each: what one attempt has left shows at its end. */
static int try_nth(int n) {
	tried = n / 2;
	return n < 2 * PATHS ? tries[n % 2]() : tries[2 + n - 2 * PATHS]();
}

static void begin_nth(int n) {
	has.modifiers = n >= 2 * PATHS || paths[n / 2].modifiers;
	has.node = makedev(226, 129);
	restart(&traits);
}

/*
 * Each call of the driver's in turn gives each of these, and a driver that closes descriptors that it does not take is
 * like one that does not. Wrong code: an object or a descriptor left, or closed twice; a failure that nobody hears of,
 * another
 * call's name, a wrong errno; an adapter that is of no use afterwards.
 */
START_TEST(any_call_of_the_driver_may_fail) {
	static const VkResult results[] = { VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_TOO_MANY_OBJECTS,
		VK_ERROR_DEVICE_LOST };
	static const int errors[] = { -ENOMEM, -ENOMEM, -EIO };
	const char *failed;
	unsigned n = 1;
	do {
		begin_nth(_i / 6);
		if (_i % 2 == 1) {
			fake_gpu_close_failed_imports();
		}
		/* What a test needs of it itself, does not count. */
		fake_gpu_fail(NULL, n, results[_i / 2 % 3]);
		int ret = try_nth(_i / 6);
		failed = fake_gpu_failed();
		int others = fake_gpu_take_reused_fd();
		ck_assert_msg(
			others < 0 || close(others) == 0, "%s: somebody else's is closed", failed);
		ck_assert_msg(ret == 0 ||
				(failed != NULL && ret == errors[_i / 2 % 3] &&
					(has_another_way(_i / 6) ||
						strstr(why.text, failed) != NULL)),
			"call %u, %s, failed: gave %d, %s", n, failed == NULL ? "none" : failed,
			ret, why.text);
		ck_assert_msg(ret < 0 || failed == NULL || has_another_way(_i / 6),
			"call %u, %s, failed, and nobody noticed", n, failed);
		if (failed != NULL && results[_i / 2 % 3] != VK_ERROR_DEVICE_LOST) {
			ck_assert_int_eq(try_nth(_i / 6), 0);
		}
		n++;
	} while (failed != NULL);
	ck_assert_uint_ge(n, 3);
}
END_TEST

/* The same of the system's calls. Wrong code: as above; and a party that lacks what there was no memory for. */
START_TEST(any_call_of_the_system_may_fail) {
	for (unsigned n = 1;; n++) {
		begin_nth(_i);
		failing_call = n;
		failed_call = NULL;
		int ret = try_nth(_i);
		failing_call = 0;
		/* A descriptor that cannot be made CLOEXEC is none. */
		bool no_fd = failed_call != NULL && strcmp(failed_call, "fcntl(F_SETFD)") == 0;
		ck_assert_msg(ret == 0 || ret == (no_fd ? -EOPNOTSUPP : -ENOMEM) || ret == -EMFILE,
			"call %u, %s, failed: gave %d, %s", n, failed_call, ret, why.text);
		ck_assert_msg(
			ret == 0 || failed_call != NULL, "nothing failed, and yet: %s", why.text);
		ck_assert_int_eq(try_nth(_i), 0);
		if (failed_call == NULL) {
			ck_assert_uint_gt(n, 1);
			break;
		}
	}
}
END_TEST

/* ---------------------------------------------------------------------------------------------- */

static TCase *add_case(Suite *suite, const char *name) {
	TCase *tcase = ledger_tcase_create(name);
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, set_up, stop);
	suite_add_tcase(suite, tcase);
	return tcase;
}

static Suite *make_suite(void) {
	Suite *suite = suite_create("vulkan_images");
	TCase *tcase = add_case(suite, "images");
	tcase_add_loop_test(tcase, the_driver_is_told_where_each_plane_is, 0, PATHS);
	tcase_add_test(tcase, linear_that_is_not_taken_as_it_is_told_may_be_the_drivers_own);
	tcase_add_loop_test(tcase, planes_of_which_the_driver_says_too_much_are_imported, 0, 2);
	tcase_add_loop_test(tcase, an_image_begins_where_the_driver_can_have_it, 0, 7);
	tcase_add_loop_test(tcase, barriers_take_an_image_and_give_it_back, 0, 2);
	tcase_add_test(tcase, the_plane_that_fails_is_named);
	tcase_add_test(tcase, an_image_is_kept_for_its_use_until_the_device_is_lost);
	tcase_add_loop_test(tcase, what_cannot_be_exported_is_refused_with_the_reason, 0, 7);
	tcase_add_test(tcase, each_colour_has_a_conversion_of_its_own);
	tcase_add_test(tcase, a_party_has_linear_in_one_way_or_the_other);
	tcase_add_loop_test(
		tcase, parameters_of_a_modifier_that_is_not_listed_are_told, 0, MODIFIERS);
	tcase_add_loop_test(
		tcase, what_the_device_does_not_announce_is_refused_with_the_reason, 0, REFUSALS);
	tcase_add_loop_test(tcase, an_exported_image_is_as_the_driver_has_it, 0, 6);
	tcase_add_test(tcase, every_format_has_the_planes_of_its_vkformat);
	tcase_add_loop_test(tcase, opaque_memory_is_the_same_image_again, 0, 3);
	tcase_add_test(tcase, a_description_that_does_not_fit_the_memory_is_refused);
	tcase_add_loop_test(tcase, a_conversion_is_one_that_the_device_has, 0, 2);
	tcase_add_test(tcase, a_party_says_what_the_device_announces);
	tcase_add_test(tcase, a_party_says_what_is_imported);
	tcase = add_case(suite, "mappings");
	tcase_add_loop_test(tcase, the_driver_has_each_plane_where_it_is_mapped, 0, MAPPED);
	tcase_add_loop_test(tcase, a_vkimage_of_a_mapping_keeps_it, 0, MAPPED);
	tcase_add_test(tcase, barriers_of_a_mapping_are_for_the_cpu);
	tcase_add_loop_test(tcase, a_mapping_is_memory_that_the_cpu_sees, 0, 2);
	tcase_add_loop_test(
		tcase, what_cannot_be_a_mapping_is_refused_with_the_reason, 0, MAPPED_REFUSALS);
	tcase_add_test(tcase, a_device_lost_over_a_mapping_drops_what_is_kept);
	tcase = add_case(suite, "failures");
	tcase_add_loop_test(tcase, any_call_of_the_driver_may_fail, 0, 6 * TRIES);
	tcase_add_loop_test(tcase, any_call_of_the_system_may_fail, 0, TRIES);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
