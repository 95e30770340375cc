/* SPDX-License-Identifier: MIT */
/*
 * libstile-gbm on what Mesa makes of the drivers vgem, vkms and virtio-gpu: its software driver, on real
 * dma-bufs. Nothing is drawn. What other drivers do is lied: gbm_lies.h. Each test runs once for each driver
 * that is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gbm.h>

#include <stile/gbm.h>
#include <stile/stile.h>

#include "interop-tests/kernel/gbm_lies.h"
#include "interop-tests/support/drm_node.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
	WIDTH = 66,
	HEIGHT = 30,
};

/* A layout of somebody's hardware, which is nobody's here. */
#define TILED I915_FORMAT_MOD_X_TILED

/* ---- Fixture ------------------------------------------------------------------------------- */

static const char *const all_drivers[] = { "vgem", "virtio_gpu", "vkms" };

/* Of those that are there. Made once: where processors are emulated it takes a second. */
static const char *drivers[3];
static struct gbm_device *gbms[3];
static int driver_count;
static int most; /* without vkms: of it, Mesa makes the same as of vgem */

static struct gbm_device *gbm;      /* of the driver that the test runs for */
static struct stile_device *device; /* made of it */
static struct stile_report report;

static struct stile_device *open_gbm(uint32_t flags) {
	struct stile_device *opened;
	int ret = stile_gbm_open_device(gbm, flags, NULL, &report, &opened);
	ck_assert_msg(ret == 0, "%s: %s", strerror(-ret), report.text);
	return opened;
}

static void begin(int i) {
	gbm_lies = (struct gbm_lies){ 0 };
	report = (struct stile_report){ .size = sizeof(report) };
	gbm = gbms[i];
	device = open_gbm(0);
}

static void end(void) {
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(gbm_lies.alive, 0);
}

/* The kernel's part of virtio-gpu does not import; newer ones of Mesa do without. */
static bool may_refuse_foreign(int i) {
	return strcmp(drivers[i], "virtio_gpu") == 0;
}

static struct stile_image *create_on(struct stile_device *where, uint32_t fourcc) {
	struct stile_image_info info = {
		.size = sizeof(info),
		.width = WIDTH,
		.height = HEIGHT,
		.fourcc = fourcc,
		.usage = BOTH,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.name = "gbm",
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(where, &info, &image), 0);
	return image;
}

static struct gbm_bo *make_bo(void) {
	struct gbm_bo *bo =
		gbm_bo_create(gbm, WIDTH, HEIGHT, GBM_FORMAT_XRGB8888, GBM_BO_USE_LINEAR);
	ck_assert_ptr_nonnull(bo);
	return bo;
}

static struct stile_image *take_bo(struct gbm_bo *bo) {
	struct stile_image *image;
	int ret = stile_gbm_image_create(device, bo, BOTH, STILE_GBM_LINEAR, &report, &image);
	ck_assert_msg(ret == 0, "%s: %s", strerror(-ret), report.text);
	return image;
}

/* It is refused with this, and says so. */
static void check_refused(int ret, int error, enum stile_reason reason, const char *part) {
	ck_assert_msg(ret == error, "%d, not %d: %s", ret, error, report.text);
	ck_assert_int_eq(report.error, error);
	ck_assert_msg(report.reason == reason, "reason %d: %s", (int)report.reason, report.text);
	ck_assert_msg(strstr(report.text, part) != NULL, "no '%s' in '%s'", part, report.text);
}

static bool is_zero(struct stile_buffer *buffer) {
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, READ, &address), 0);
	size_t bytes = (size_t)stile_buffer_get_bytes(buffer), i = 0;
	while (i < bytes && ((const char *)address)[i] == 0) {
		i++;
	}
	stile_buffer_munmap(buffer, address);
	return i == bytes;
}

/* ---- A gbm_device allocates ---------------------------------------------------------------- */

/* Wrong code: memory that GBM would lay out in another way than the image says. */
START_TEST(image_of_a_gbm_device_is_as_gbm_makes_them) {
	begin(_i);
	ck_assert_str_eq(stile_device_get_backend(device), "dmabuf");
	struct stile_image *image = create_on(device, DRM_FORMAT_XRGB8888);
	const struct stile_image_info *info = stile_image_get_info(image);
	struct gbm_bo *bo = make_bo();
	ck_assert_uint_eq(info->modifier, DRM_FORMAT_MOD_LINEAR);
	ck_assert_uint_eq(info->plane_count, 1);
	ck_assert_uint_eq(info->planes[0].pitch, gbm_bo_get_stride(bo));
	ck_assert_uint_eq(info->planes[0].offset, gbm_bo_get_offset(bo, 0));
	gbm_bo_destroy(bo);
	stile_image_unref(image);
	end();
}
END_TEST

/*
 * Drivers have caches of used memory. Wrong code: what somebody drew there before is in the image, or in the
 * rest of its memory.
 */
START_TEST(memory_of_gbm_is_cleared) {
	static const uint32_t formats[] = { DRM_FORMAT_XRGB8888, DRM_FORMAT_NV12, DRM_FORMAT_R8 };
	begin(_i);
	struct stile_device *own = open_gbm(0);
	gbm_lies.dirty = true;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct stile_image *image = create_on(own, formats[i]);
		ck_assert(is_zero(stile_image_get_buffer(image, 0)));
		stile_image_unref(image);
	}
	struct stile_buffer_info info = { .size = sizeof(info), .bytes = 70001 };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(own, &info, &buffer), 0);
	ck_assert_uint_ge(stile_buffer_get_bytes(buffer), 70001);
	ck_assert(is_zero(buffer));
	ck_assert_uint_ge(gbm_lies.created, 4);
	stile_buffer_unref(buffer);
	stile_device_destroy(own);
	end();
}
END_TEST

static uint64_t syncs[8];
static unsigned sync_count;

static int note_sync(int fd, unsigned long request, void *arg) {
	if (request == DMA_BUF_IOCTL_SYNC && sync_count < sizeof(syncs) / sizeof(syncs[0])) {
		syncs[sync_count++] = ((struct dma_buf_sync *)arg)->flags;
	}
	return failing_real_ioctl(fd, request, arg);
}

/* D-4. Wrong code: zeroes that stay in the CPU's cache, and come out later over what a device drew. */
START_TEST(memory_is_cleared_in_a_bracket) {
	begin(_i);
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = 4096 };
	struct stile_buffer *buffer;
	sync_count = 0;
	failing_set_ioctl(note_sync);
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	failing_set_ioctl(NULL);
	ck_assert_uint_eq(sync_count, 2);
	ck_assert_uint_eq(syncs[0], DMA_BUF_SYNC_WRITE | DMA_BUF_SYNC_START);
	ck_assert_uint_eq(syncs[1], DMA_BUF_SYNC_WRITE | DMA_BUF_SYNC_END);
	stile_buffer_unref(buffer);
	end();
}
END_TEST

/* Before modifiers there was GBM_BO_USE_LINEAR. Wrong code: no memory at all there. */
START_TEST(gbm_without_modifiers_allocates_linear_memory) {
	begin(_i);
	gbm_lies.no_modifiers = true;
	struct stile_device *own = open_gbm(0);
	struct stile_image *image = create_on(own, DRM_FORMAT_XRGB8888);
	struct gbm_bo *bo = make_bo();
	ck_assert_uint_eq(stile_image_get_info(image)->planes[0].pitch, gbm_bo_get_stride(bo));
	ck_assert_uint_eq(gbm_lies.any_layout, 0);
	gbm_bo_destroy(bo);
	stile_image_unref(image);
	stile_device_destroy(own);
	end();
}
END_TEST

/* Wrong code: less memory than was asked for. */
START_TEST(driver_that_makes_too_little_is_not_believed) {
	begin(_i);
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = 70001 };
	struct stile_buffer *buffer;
	gbm_lies.short_of_rows = true;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), -EOPNOTSUPP);
	ck_assert_ptr_null(buffer);
	end();
}
END_TEST

/* Wrong code: a tiled layout that is taken for a linear one, since that was asked for. */
START_TEST(driver_that_makes_another_layout_is_not_believed) {
	begin(_i);
	struct stile_device *own = (struct stile_device *)&own;
	gbm_lies.has_modifier = true;
	gbm_lies.modifier = TILED;
	int ret = stile_gbm_open_device(gbm, 0, NULL, &report, &own);
	check_refused(ret, -EOPNOTSUPP, STILE_REASON_DRIVER, "linear");
	ck_assert_ptr_null(own);
	gbm_lies.has_modifier = false;
	gbm_lies.plane_count = 2;
	ret = stile_gbm_open_device(gbm, 0, NULL, &report, &own);
	check_refused(ret, -EOPNOTSUPP, STILE_REASON_DRIVER, "2 planes");
	end();
}
END_TEST

/* Wrong code: a picture whose pitch other drivers crash on; one whose rows end behind the memory. */
START_TEST(layout_that_others_do_not_take_is_replaced) {
	static const uint32_t pitches[] = { 264, 1 << 20 };
	begin(_i);
	struct stile_device *own = open_gbm(0);
	for (size_t i = 0; i < sizeof(pitches) / sizeof(pitches[0]); i++) {
		gbm_lies.pitch = pitches[i];
		struct stile_image *image = create_on(own, DRM_FORMAT_XRGB8888);
		const struct stile_image_info *info = stile_image_get_info(image);
		ck_assert_uint_eq(info->planes[0].pitch % 64, 0);
		ck_assert_uint_le(info->planes[0].offset + (uint64_t)info->planes[0].pitch * HEIGHT,
			stile_buffer_get_bytes(stile_image_get_buffer(image, 0)));
		stile_image_unref(image);
	}
	stile_device_destroy(own);
	end();
}
END_TEST

START_TEST(device_takes_flags_of_gbm) {
	static const uint32_t flags[] = { GBM_BO_USE_RENDERING,
		GBM_BO_USE_RENDERING | GBM_BO_USE_SCANOUT };
	begin(_i);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct stile_device *own = open_gbm(flags[i]);
		struct stile_image *image = create_on(own, DRM_FORMAT_ARGB8888);
		stile_image_unref(image);
		stile_device_destroy(own);
	}
	end();
}
END_TEST

static void hear(void *user, enum stile_log_level level, const char *text) {
	if (level == STILE_LOG_ERROR) {
		snprintf(user, 600, "%s", text);
	}
}

/* Wrong code: a device that opens, and cannot allocate. */
START_TEST(node_that_does_not_allocate_gives_no_device) {
	begin(_i);
	int render = drm_node_open(DRM_NODE_RENDER, drivers[_i]);
	int nodes[] = { render, open("/dev/null", O_RDWR | O_CLOEXEC) };
	const int errors[] = { -EACCES, -EOPNOTSUPP };
	for (size_t i = 0; i < 2; i++) {
		if (nodes[i] < 0) {
			continue; /* vkms alone has none for rendering */
		}
		struct gbm_device *other = gbm_create_device(nodes[i]);
		ck_assert_ptr_nonnull(other);
		char heard[600] = "";
		struct stile_device_info info = {
			.size = sizeof(info), .log = hear, .log_user = heard
		};
		struct stile_device *own = (struct stile_device *)&own;
		int ret = stile_gbm_open_device(other, 0, &info, &report, &own);
		check_refused(ret, errors[i], STILE_REASON_DRIVER, "gbm_bo_create: ");
		ck_assert_ptr_null(own);
		ck_assert_ptr_nonnull(strstr(heard, report.text));
		gbm_device_destroy(other);
		close(nodes[i]);
	}
	end();
}
END_TEST

START_TEST(callers_mistakes_open_no_device) {
	begin(_i);
	struct stile_device *own = (struct stile_device *)&own;
	struct stile_device_info info = { .size = sizeof(info), .options = "heap=system" };
	ck_assert_int_eq(stile_gbm_open_device(gbm, 0, &info, &report, &own), -EINVAL);
	ck_assert_int_eq(report.reason, STILE_REASON_CALLER);
	ck_assert_ptr_null(own);
	info = (struct stile_device_info){ .size = 1 };
	ck_assert_int_eq(stile_gbm_open_device(gbm, 0, &info, &report, &own), -EINVAL);
	report.size = 1;
	ck_assert_int_eq(stile_gbm_open_device(gbm, 0, NULL, &report, &own), -EINVAL);
	struct {
		struct stile_device_info info;
		uint64_t more;
	} newer = { .info = { .size = sizeof(newer) }, .more = 1 };
	ck_assert_int_eq(stile_gbm_open_device(gbm, 0, &newer.info, NULL, &own), -E2BIG);
	ck_assert_ptr_null(own);
	end();
}
END_TEST

static void *allocate_some(void *arg) {
	for (int i = 0; i < 4; i++) {
		struct stile_image *image = create_on(arg, DRM_FORMAT_XRGB8888);
		stile_image_unref(image);
	}
	return NULL;
}

/* Not every GBM has locks. Wrong code: two threads that allocate are in it at a time. */
START_TEST(threads_allocate_from_one_gbm_device) {
	begin(_i);
	struct stile_device *own = open_gbm(0);
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, allocate_some, own), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
	}
	ck_assert(!gbm_lies.crowded);
	stile_device_destroy(own);
	end();
}
END_TEST

/* ---- A gbm_bo becomes an image ------------------------------------------------------------- */

/* Wrong code: a copy; a pitch or an offset of another plane; a descriptor without the right to write. */
START_TEST(bo_and_its_image_are_one_memory) {
	begin(_i);
	struct gbm_bo *bo = make_bo();
	struct stile_image *image = take_bo(bo);
	const struct stile_image_info *info = stile_image_get_info(image);
	ck_assert_uint_eq(info->width, WIDTH);
	ck_assert_uint_eq(info->height, HEIGHT);
	ck_assert_uint_eq(info->fourcc, DRM_FORMAT_XRGB8888);
	ck_assert_uint_eq(info->modifier, DRM_FORMAT_MOD_LINEAR);
	ck_assert_uint_eq(info->planes[0].pitch, gbm_bo_get_stride(bo));

	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *address, *handle = NULL;
	uint32_t pitch;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	uint32_t *ours = address;
	ours[1] = 0x11223344;
	uint32_t *theirs =
		gbm_bo_map(bo, 0, 0, WIDTH, HEIGHT, GBM_BO_TRANSFER_READ_WRITE, &pitch, &handle);
	ck_assert_ptr_nonnull(theirs);
	ck_assert_uint_eq(theirs[1], 0x11223344);
	size_t last = (size_t)pitch / 4 * (HEIGHT - 1) + WIDTH - 1;
	theirs[last] = 0x55667788;
	gbm_bo_unmap(bo, handle);
	last = (size_t)info->planes[0].pitch / 4 * (HEIGHT - 1) + WIDTH - 1;
	ck_assert_uint_eq(ours[last], 0x55667788);
	stile_buffer_munmap(buffer, address);
	stile_image_unref(image);
	gbm_bo_destroy(bo);
	end();
}
END_TEST

START_TEST(image_keeps_the_memory_of_a_bo_that_is_gone) {
	begin(_i);
	struct gbm_bo *bo = make_bo();
	struct stile_image *image = take_bo(bo);
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *address;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &address), 0);
	strcpy(address, "over the stile");
	gbm_bo_destroy(bo);
	bo = make_bo();
	ck_assert_str_eq(address, "over the stile");
	gbm_bo_destroy(bo);
	stile_buffer_munmap(buffer, address);
	stile_image_unref(image);
	end();
}
END_TEST

/* Identity (B-5). Wrong code: a second object for memory that is known. */
START_TEST(round_trip_keeps_the_buffer) {
	begin(_i);
	struct stile_image *image = create_on(device, DRM_FORMAT_XRGB8888);
	struct gbm_bo *bo;
	int ret = stile_gbm_bo_create(gbm, image, 0, &report, &bo);
	ck_assert_msg(ret == 0, "%s: %s", strerror(-ret), report.text);
	struct stile_image *again = take_bo(bo);
	ck_assert_ptr_eq(stile_image_get_buffer(again, 0), stile_image_get_buffer(image, 0));
	ck_assert_int_eq(
		memcmp(&stile_image_get_info(again)->planes, &stile_image_get_info(image)->planes,
			sizeof(stile_image_get_info(image)->planes)),
		0);
	stile_image_unref(image);
	stile_image_unref(again);
	gbm_bo_destroy(bo);
	end();
}
END_TEST

/* Wrong code: LINEAR is guessed. */
START_TEST(modifier_that_is_not_named_is_never_guessed) {
	begin(_i);
	gbm_lies.no_modifiers = true;
	struct gbm_bo *bo = make_bo();
	struct stile_image *image = (struct stile_image *)&image;
	int ret = stile_gbm_image_create(device, bo, BOTH, 0, &report, &image);
	check_refused(ret, -EOPNOTSUPP, STILE_REASON_MODIFIER, "STILE_GBM_LINEAR");
	ck_assert_ptr_null(image);
	image = take_bo(bo);
	ck_assert_uint_eq(stile_image_get_info(image)->modifier, DRM_FORMAT_MOD_LINEAR);
	stile_image_unref(image);
	gbm_bo_destroy(bo);
	end();
}
END_TEST

/* Wrong code: the caller's word against the driver's. */
START_TEST(modifier_that_is_named_is_kept) {
	begin(_i);
	struct gbm_bo *bo = make_bo();
	struct stile_image *image;
	gbm_lies.has_modifier = true;
	gbm_lies.modifier = TILED;
	int ret = stile_gbm_image_create(device, bo, BOTH, STILE_GBM_LINEAR, &report, &image);
	check_refused(ret, -EINVAL, STILE_REASON_MODIFIER, "linear");
	gbm_lies.modifier = DRM_FORMAT_MOD_LINEAR;
	ck_assert_int_eq(stile_gbm_image_create(device, bo, BOTH, 0, &report, &image), 0);
	stile_image_unref(image);

	/* Which devices take layouts of drivers is for the backend to say: one of dma-bufs does. */
	gbm_lies.modifier = TILED;
	ret = stile_gbm_image_create(device, bo, BOTH, 0, &report, &image);
	ck_assert_msg(ret == 0, "%s", report.text);
	ck_assert_uint_eq(stile_image_get_info(image)->modifier, TILED);
	/* GBM is said to take it, and the driver does not: the refusal is passed on. */
	struct gbm_bo *again = (struct gbm_bo *)&again;
	ret = stile_gbm_bo_create(gbm, image, 0, &report, &again);
	check_refused(ret, -EOPNOTSUPP, STILE_REASON_DRIVER, "gbm_bo_import: ");
	ck_assert_ptr_null(again);
	stile_image_unref(image);
	gbm_bo_destroy(bo);
	end();
}
END_TEST

/* GBM_BO_FORMAT_XRGB8888 is 0, GBM_BO_FORMAT_ARGB8888 1. Wrong code: an unknown format. */
START_TEST(numbers_from_before_fourccs_are_understood) {
	static const uint32_t formats[][2] = {
		{ GBM_BO_FORMAT_XRGB8888, DRM_FORMAT_XRGB8888 },
		{ GBM_BO_FORMAT_ARGB8888, DRM_FORMAT_ARGB8888 },
	};
	begin(_i);
	struct gbm_bo *bo = make_bo();
	for (size_t i = 0; i < 2; i++) {
		gbm_lies.has_format = true;
		gbm_lies.format = formats[i][0];
		struct stile_image *image = take_bo(bo);
		ck_assert_uint_eq(stile_image_get_info(image)->fourcc, formats[i][1]);
		stile_image_unref(image);
	}
	gbm_lies.format = GBM_FORMAT_C8;
	struct stile_image *image;
	int ret = stile_gbm_image_create(device, bo, BOTH, STILE_GBM_LINEAR, &report, &image);
	check_refused(ret, -EOPNOTSUPP, STILE_REASON_FORMAT, "unknown format");
	gbm_bo_destroy(bo);
	end();
}
END_TEST

/* Wrong code: descriptors of the planes before the one that fails are left open; numbers taken on trust. */
START_TEST(bo_that_makes_no_sense_is_refused) {
	begin(_i);
	struct gbm_bo *bo = make_bo();
	struct stile_image *image;
	int ret = stile_gbm_image_create(device, bo, BOTH, 2, &report, &image);
	check_refused(ret, -EINVAL, STILE_REASON_CALLER, "flags");
	ret = stile_gbm_image_create(device, bo, 0, STILE_GBM_LINEAR, &report, &image);
	check_refused(ret, -EINVAL, STILE_REASON_USAGE, "usage");
	gbm_lies.plane_count = 3;
	ret = stile_gbm_image_create(device, bo, BOTH, STILE_GBM_LINEAR, &report, &image);
	check_refused(ret, -EINVAL, STILE_REASON_PLANE_COUNT, "1 plane, not ");
	gbm_lies.plane_count = 5;
	ret = stile_gbm_image_create(device, bo, BOTH, STILE_GBM_LINEAR, &report, &image);
	check_refused(ret, -EOPNOTSUPP, STILE_REASON_PLANE_COUNT, "5 planes");
	gbm_lies.plane_count = 0;
	gbm_lies.pitch = 1 << 20;
	ret = stile_gbm_image_create(device, bo, BOTH, STILE_GBM_LINEAR, &report, &image);
	check_refused(ret, -ERANGE, STILE_REASON_BOUNDS, "plane 0");
	ck_assert_ptr_null(image);
	report.size = 1;
	ret = stile_gbm_image_create(device, bo, BOTH, STILE_GBM_LINEAR, &report, &image);
	ck_assert_int_eq(ret, -EINVAL);
	gbm_bo_destroy(bo);
	end();
}
END_TEST

/* Mesa's cursors are in memory of the CPU's. */
START_TEST(bo_without_a_descriptor_is_refused) {
	begin(_i);
	struct gbm_bo *bo = gbm_bo_create(
		gbm, 64, 64, GBM_FORMAT_XRGB8888, GBM_BO_USE_SCANOUT | GBM_BO_USE_WRITE);
	if (bo != NULL && gbm_bo_get_fd_for_plane(bo, 0) < 0) {
		gbm_lies.handle = NULL;
		struct stile_image *image;
		int ret =
			stile_gbm_image_create(device, bo, BOTH, STILE_GBM_LINEAR, &report, &image);
		check_refused(ret, -EOPNOTSUPP, STILE_REASON_DRIVER, "no descriptor");
	}
	if (bo != NULL) {
		gbm_bo_destroy(bo);
	}
	end();
}
END_TEST

/* A handle may be of another open file. Wrong code: the memory of whoever has that number here. */
START_TEST(handle_is_not_believed_where_gbm_gives_other_memory) {
	begin(_i);
	struct gbm_bo *bo = make_bo(), *other = make_bo();
	struct stile_image *wrong = take_bo(other);
	gbm_lies.handle = other;
	struct stile_image *image;
	int ret = stile_gbm_image_create(device, bo, READ, STILE_GBM_LINEAR, &report, &image);
	ck_assert_msg(ret == 0, "%s", report.text);
	ck_assert_ptr_ne(stile_image_get_buffer(image, 0), stile_image_get_buffer(wrong, 0));
	stile_image_unref(image);
	stile_image_unref(wrong);
	gbm_bo_destroy(bo);
	gbm_bo_destroy(other);
	end();
}
END_TEST

/* The kernel keeps to the first export. Wrong code: an image that promises what mmap() then refuses. */
START_TEST(memory_that_was_exported_read_only_stays_so) {
	begin(_i);
	struct gbm_bo *bo = make_bo();
	int first = gbm_bo_get_fd(bo);
	ck_assert_int_ge(first, 0);
	bool read_only = (fcntl(first, F_GETFL) & O_ACCMODE) == O_RDONLY;
	struct stile_image *image;
	int ret = stile_gbm_image_create(device, bo, BOTH, STILE_GBM_LINEAR, &report, &image);
	if (read_only) {
		check_refused(ret, -EACCES, STILE_REASON_FD_ACCESS, "read-only");
		ret = stile_gbm_image_create(device, bo, READ, STILE_GBM_LINEAR, &report, &image);
	}
	ck_assert_msg(ret == 0, "%s", report.text);

	/* Drivers write to it all the same, with a crash of whoever maps it. */
	struct gbm_bo *again = (struct gbm_bo *)&again;
	ret = stile_gbm_bo_create(gbm, image, GBM_BO_USE_RENDERING, &report, &again);
	if (read_only) {
		check_refused(ret, -EACCES, STILE_REASON_FD_ACCESS, "writable");
		ck_assert_ptr_null(again);
		ret = stile_gbm_bo_create(gbm, image, 0, &report, &again);
	}
	ck_assert_msg(ret == 0, "%s", report.text);
	gbm_bo_destroy(again);
	stile_image_unref(image);
	close(first);
	gbm_bo_destroy(bo);
	end();
}
END_TEST

/* ---- An image becomes a gbm_bo ------------------------------------------------------------- */

static bool is_same_file(int fd, struct stile_image *image) {
	struct stat left, right;
	int other;
	ck_assert_int_eq(stile_buffer_export_fd(stile_image_get_buffer(image, 0), READ, &other), 0);
	ck_assert_int_eq(fstat(fd, &left), 0);
	ck_assert_int_eq(fstat(other, &right), 0);
	close(other);
	return left.st_dev == right.st_dev && left.st_ino == right.st_ino;
}

/* For drivers that have taken memory in without the kernel, and have no descriptor of it. */
static bool shows_pixel(struct gbm_bo *bo, struct stile_image *image) {
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *ours, *handle = NULL;
	uint32_t pitch;
	ck_assert_int_eq(stile_buffer_mmap(buffer, BOTH, &ours), 0);
	*(uint32_t *)ours = 0x11223344;
	uint32_t *theirs =
		gbm_bo_map(bo, 0, 0, WIDTH, HEIGHT, GBM_BO_TRANSFER_READ, &pitch, &handle);
	bool same = theirs != NULL && *theirs == 0x11223344;
	if (theirs != NULL) {
		gbm_bo_unmap(bo, handle);
	}
	stile_buffer_munmap(buffer, ours);
	return same;
}

static bool is_same_memory(struct gbm_bo *bo, struct stile_image *image) {
	int fd = gbm_bo_get_fd(bo);
	bool same = fd >= 0 ? is_same_file(fd, image) : shows_pixel(bo, image);
	if (fd >= 0) {
		close(fd);
	}
	return same;
}

/* Memory that another driver made: the CPU's, or where there is no /dev/udmabuf, the next one's. */
static struct stile_device *open_foreign(int i) {
	struct stile_device *foreign;
	if (stile_device_open("udmabuf", NULL, &foreign) < 0) {
		struct gbm_device *other = gbms[(i + 1) % driver_count];
		ck_assert_int_eq(stile_gbm_open_device(other, 0, NULL, &report, &foreign), 0);
	}
	return foreign;
}

/* Wrong code: descriptors that are left open; a driver's refusal that is no reason. */
START_TEST(image_of_another_device_becomes_a_bo) {
	begin(_i);
	struct stile_device *foreign = open_foreign(_i);
	struct stile_image *image = create_on(foreign, DRM_FORMAT_XRGB8888);
	struct gbm_bo *bo = (struct gbm_bo *)&bo;
	int ret = stile_gbm_bo_create(gbm, image, 0, &report, &bo);
	if (ret == 0 || !may_refuse_foreign(_i)) {
		ck_assert_msg(ret == 0, "%s: %s", strerror(-ret), report.text);
		ck_assert_uint_eq(gbm_bo_get_width(bo), WIDTH);
		ck_assert_uint_eq(
			gbm_bo_get_stride(bo), stile_image_get_info(image)->planes[0].pitch);
		ck_assert(is_same_memory(bo, image));
		stile_image_unref(image);
		gbm_bo_destroy(bo);
	} else {
		check_refused(ret, -EOPNOTSUPP, STILE_REASON_DRIVER, "gbm_bo_import: ");
		ck_assert_ptr_null(bo);
		stile_image_unref(image);
	}
	stile_device_destroy(foreign);
	end();
}
END_TEST

/* Before the driver sees it. Wrong code: one that crashes, or a handle that stays. */
START_TEST(image_that_gbm_does_not_take_is_refused_first) {
	begin(_i);
	struct gbm_bo *bo = (struct gbm_bo *)&bo;
	struct stile_image *image = create_on(device, DRM_FORMAT_NV12);
	if (!gbm_device_is_format_supported(gbm, GBM_FORMAT_NV12, 0)) {
		int ret = stile_gbm_bo_create(gbm, image, 0, &report, &bo);
		check_refused(ret, -EOPNOTSUPP, STILE_REASON_FORMAT, "NV12");
		ck_assert_ptr_null(bo);
	}
	stile_image_unref(image);

	struct stile_image *linear = create_on(device, DRM_FORMAT_XRGB8888);
	struct stile_image_info info = { .size = sizeof(info) };
	ck_assert_int_eq(stile_image_export(linear, &info), 0);
	info.modifier = TILED;
	ck_assert_int_eq(stile_image_import(device, &info, &report, &image), 0);
	close(info.planes[0].fd);
	int ret = stile_gbm_bo_create(gbm, image, 0, &report, &bo);
	check_refused(ret, -EOPNOTSUPP, STILE_REASON_MODIFIER, "0x100000000000001");
	ck_assert_ptr_null(bo);
	stile_image_unref(image);
	stile_image_unref(linear);
	end();
}
END_TEST

START_TEST(memory_that_is_no_dma_buf_is_refused) {
	begin(_i);
	struct stile_device *software;
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &software), 0);
	struct stile_image *image = create_on(software, DRM_FORMAT_XRGB8888);
	struct gbm_bo *bo = (struct gbm_bo *)&bo;
	int ret = stile_gbm_bo_create(gbm, image, 0, &report, &bo);
	check_refused(ret, -EINVAL, STILE_REASON_FD_TYPE, "dma-buf");
	ck_assert_ptr_null(bo);
	stile_image_unref(image);
	stile_device_destroy(software);
	end();
}
END_TEST

/*
 * Mesa's software driver keeps what it was told of a handle first. Wrong code: a gbm_bo whose rows are where
 * the image's are not.
 */
START_TEST(bo_with_other_rows_than_the_image_is_refused) {
	begin(_i);
	struct stile_image *image = create_on(device, DRM_FORMAT_XRGB8888), *narrow;
	struct stile_image_info info = { .size = sizeof(info) };
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	info.width = 32;
	info.planes[0].pitch = 128;
	ck_assert_int_eq(stile_image_import(device, &info, &report, &narrow), 0);
	close(info.planes[0].fd);

	struct gbm_bo *wide_bo, *narrow_bo;
	ck_assert_int_eq(stile_gbm_bo_create(gbm, image, 0, &report, &wide_bo), 0);
	int ret = stile_gbm_bo_create(gbm, narrow, 0, &report, &narrow_bo);
	if (ret == 0) {
		ck_assert_uint_eq(gbm_bo_get_stride(narrow_bo), 128);
		gbm_bo_destroy(narrow_bo);
	} else {
		check_refused(ret, -EOPNOTSUPP, STILE_REASON_DRIVER, "pitch");
	}
	gbm_lies.pitch = 4096;
	ret = stile_gbm_bo_create(gbm, image, 0, &report, &narrow_bo);
	check_refused(ret, -EOPNOTSUPP, STILE_REASON_DRIVER, "pitch 4096");
	gbm_lies.pitch = 0;
	gbm_lies.has_format = true;
	gbm_lies.format = GBM_FORMAT_RGB565;
	ret = stile_gbm_bo_create(gbm, image, 0, &report, &narrow_bo);
	check_refused(ret, -EOPNOTSUPP, STILE_REASON_DRIVER, "GBM made");
	ck_assert_ptr_null(narrow_bo);
	gbm_bo_destroy(wide_bo);
	stile_image_unref(image);
	stile_image_unref(narrow);
	end();
}
END_TEST

/* ---- Constraints --------------------------------------------------------------------------- */

/* Wrong code: INVALID is taken; none is left, which would mean any. */
START_TEST(constraints_are_the_modifiers_that_gbm_takes) {
	begin(_i);
	uint64_t modifiers[] = { DRM_FORMAT_MOD_INVALID, TILED, DRM_FORMAT_MOD_LINEAR };
	size_t count = 3;
	struct stile_constraints limits = { .size = sizeof(limits) };
	ck_assert_int_eq(stile_gbm_get_constraints(gbm, DRM_FORMAT_XRGB8888, GBM_BO_USE_RENDERING,
				 modifiers, &count, &report, &limits),
		0);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(modifiers[0], DRM_FORMAT_MOD_LINEAR);
	ck_assert_ptr_eq(limits.modifiers, modifiers);
	ck_assert_uint_eq(limits.modifier_count, 1);
	ck_assert_uint_eq(limits.usage, BOTH);
	ck_assert_uint_eq(limits.size, sizeof(limits));

	gbm_lies.has_modifier = true;
	gbm_lies.modifier = TILED;
	uint64_t both[] = { DRM_FORMAT_MOD_LINEAR, TILED };
	count = 2;
	ck_assert_int_eq(stile_gbm_get_constraints(gbm, DRM_FORMAT_XRGB8888, GBM_BO_USE_SCANOUT,
				 both, &count, &report, &limits),
		0);
	ck_assert_uint_eq(count, 2);
	ck_assert_uint_eq(both[0], DRM_FORMAT_MOD_LINEAR);
	ck_assert_uint_eq(both[1], TILED);
	ck_assert_uint_eq(limits.usage, READ);

	gbm_lies.has_modifier = false;
	gbm_lies.no_modifiers = true;
	ck_assert_int_eq(stile_gbm_get_constraints(
				 gbm, DRM_FORMAT_XRGB8888, 0, both, &count, &report, &limits),
		0);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(both[0], DRM_FORMAT_MOD_LINEAR);
	end();
}
END_TEST

START_TEST(constraints_that_nothing_can_meet_are_refused) {
	begin(_i);
	uint64_t modifiers[] = { TILED };
	size_t count = 1, none = 0;
	struct stile_constraints limits = { .size = sizeof(limits) };
	int ret = stile_gbm_get_constraints(
		gbm, DRM_FORMAT_XRGB8888, 0, modifiers, &count, &report, &limits);
	check_refused(ret, -EOPNOTSUPP, STILE_REASON_MODIFIER, "XRGB8888");
	ck_assert_uint_eq(count, 1);
	ret = stile_gbm_get_constraints(
		gbm, DRM_FORMAT_XRGB8888, 0, modifiers, &none, &report, &limits);
	check_refused(ret, -EOPNOTSUPP, STILE_REASON_MODIFIER, "none of 0");
	ret = stile_gbm_get_constraints(gbm, 0, 0, modifiers, &count, &report, &limits);
	check_refused(ret, -EOPNOTSUPP, STILE_REASON_FORMAT, "unknown format");
	limits.size = 1;
	ret = stile_gbm_get_constraints(
		gbm, DRM_FORMAT_XRGB8888, 0, modifiers, &count, &report, &limits);
	ck_assert_int_eq(ret, -EINVAL);
	end();
}
END_TEST

/* ---- As a party ----------------------------------------------------------------------------- */

static const struct stile_party_modifier named_modifiers[] = { { .modifier = TILED },
	{ .modifier = DRM_FORMAT_MOD_LINEAR }, { .modifier = DRM_FORMAT_MOD_INVALID } };
static const struct stile_party_format named_formats[] = {
	{ DRM_FORMAT_XRGB8888, named_modifiers, 3 },
};
static const struct stile_party others[] = {
	{ .size = sizeof(others[0]), .name = "nobody" },
	{ .size = sizeof(others[0]), .formats = named_formats, .format_count = 1 },
};

static const struct stile_party_format *find_format(
	const struct stile_party *party, uint32_t fourcc) {
	for (size_t i = 0; i < party->format_count; i++) {
		if (party->formats[i].fourcc == fourcc) {
			return &party->formats[i];
		}
	}
	return NULL;
}

static struct stile_party describe(void) {
	struct stile_party party = { .size = sizeof(party) };
	int ret = stile_gbm_get_party(gbm, GBM_BO_USE_RENDERING, others, 2, &report, &party);
	ck_assert_msg(ret == 0, "%s", report.text);
	return party;
}

/* Wrong code: layouts that nobody takes; LINEAR left out, or before what is better; INVALID. */
START_TEST(party_is_what_gbm_takes) {
	begin(_i);
	struct stile_party party = describe();
	const struct stile_party_format *xrgb = find_format(&party, DRM_FORMAT_XRGB8888);
	ck_assert_ptr_nonnull(xrgb);
	ck_assert_uint_eq(xrgb->modifier_count, 1);
	ck_assert_uint_eq(xrgb->modifiers[0].modifier, DRM_FORMAT_MOD_LINEAR);
	ck_assert_uint_eq(xrgb->modifiers[0].plane_count, 1);
	ck_assert_ptr_nonnull(find_format(&party, DRM_FORMAT_ARGB8888));
	ck_assert_uint_eq(party.needs->usage, BOTH);
	ck_assert_uint_eq(party.memory, STILE_MEMORY_DMA_BUF);
	ck_assert_uint_eq(party.allocates, STILE_MEMORY_DMA_BUF);
	struct stat st;
	ck_assert_int_eq(fstat(gbm_device_get_fd(gbm), &st), 0);
	ck_assert_uint_ne(party.device, 0);
	ck_assert_uint_ge(party.device, st.st_rdev); /* the node for rendering comes behind */
	stile_party_fini(&party);

	gbm_lies.has_modifier = true;
	gbm_lies.modifier = TILED;
	party = describe();
	xrgb = find_format(&party, DRM_FORMAT_XRGB8888);
	ck_assert_uint_eq(xrgb->modifier_count, 2);
	ck_assert_uint_eq(xrgb->modifiers[0].modifier, TILED);
	ck_assert_uint_eq(xrgb->modifiers[1].modifier, DRM_FORMAT_MOD_LINEAR);
	/* Nobody named it of this one. */
	ck_assert_uint_eq(find_format(&party, DRM_FORMAT_ARGB8888)->modifier_count, 1);
	stile_party_fini(&party);
	party.size--;
	ck_assert_int_eq(stile_gbm_get_party(gbm, 0, NULL, 0, &report, &party), -EINVAL);
	party.size++;
	ck_assert_int_eq(stile_gbm_get_party(gbm, 0, NULL, 0, NULL, &party), 0);
	ck_assert_uint_eq(party.needs->usage, READ);
	stile_party_fini(&party);
	end();
}
END_TEST

static const struct stile_want want = {
	.size = sizeof(want),
	.width = WIDTH,
	.height = HEIGHT,
	.fourccs = (const uint32_t[]){ DRM_FORMAT_XRGB8888 },
	.fourcc_count = 1,
};

/* Wrong code: what the device allocates, GBM does not take. */
START_TEST(what_is_agreed_on_becomes_a_gbm_bo) {
	begin(_i);
	struct stile_party parties[2] = { { .size = sizeof(parties[0]) } };
	ck_assert_int_eq(stile_device_get_party(device, 0, NULL, &parties[0]), 0);
	parties[1] = describe();
	struct stile_device *const devices[] = { device, NULL };
	struct stile_layout layout = { .size = sizeof(layout) };
	struct stile_image *image;
	struct gbm_bo *bo;
	int ret = stile_negotiate(parties, 2, &want, &layout, &report);
	ck_assert_msg(ret == 0, "%s", report.text);
	ck_assert_uint_eq(stile_layout_get_tranche(&layout, 0)->allocator, 0);
	ret = stile_image_create_for(&layout, devices, NULL, NULL, &report, &image);
	ck_assert_msg(ret == 0, "%s", report.text);
	ret = stile_gbm_bo_create(gbm, image, GBM_BO_USE_RENDERING, &report, &bo);
	ck_assert_msg(ret == 0 || may_refuse_foreign(_i), "%s", report.text);
	if (ret == 0) {
		gbm_bo_destroy(bo);
	}
	stile_image_unref(image);
	stile_layout_fini(&layout);
	stile_party_fini(&parties[0]);
	stile_party_fini(&parties[1]);
	end();
}
END_TEST

/* Agreed on by the second of the others and GBM, and made by the device. The caller's. */
static struct stile_image *make_agreed(const struct stile_party *gbm_party) {
	struct stile_party parties[] = { others[1], *gbm_party };
	parties[0].memory = STILE_MEMORY_DMA_BUF;
	parties[0].sync = STILE_SYNC_IMPLICIT;
	struct stile_device *const devices[] = { NULL, device };
	struct stile_layout layout = { .size = sizeof(layout) };
	struct stile_image *image;
	int ret = stile_negotiate(parties, 2, &want, &layout, &report);
	ck_assert_msg(ret == 0, "%s", report.text);
	ret = stile_image_create_for(&layout, devices, NULL, NULL, &report, &image);
	ck_assert_msg(ret == 0, "%s", report.text);
	stile_layout_fini(&layout);
	return image;
}

/* Wrong code: a device that makes LINEAR where better was agreed on; metadata's plane that is lost; no clearing. */
START_TEST(layout_that_others_name_is_allocated) {
	begin(_i);
	gbm_lies.has_modifier = true;
	gbm_lies.modifier = TILED;
	gbm_lies.plane_count = 2;
	gbm_lies.dirty = true;
	struct stile_party party = describe();
	struct stile_image *image = make_agreed(&party);
	const struct stile_image_info *info = stile_image_get_info(image);
	ck_assert_uint_eq(info->modifier, TILED);
	ck_assert_uint_eq(info->plane_count, 2);
	ck_assert(is_zero(stile_image_get_buffer(image, 0)));
	stile_image_unref(image);
	stile_party_fini(&party);
	/* In one that GBM does not take, nothing is tried. */
	struct stile_image_info other = { .size = sizeof(other),
		.width = WIDTH,
		.height = HEIGHT,
		.fourcc = DRM_FORMAT_XRGB8888,
		.usage = BOTH,
		.modifier = I915_FORMAT_MOD_Y_TILED };
	unsigned asked = gbm_lies.asked;
	ck_assert_int_eq(stile_image_create(device, &other, &image), -EOPNOTSUPP);
	ck_assert_uint_eq(gbm_lies.asked, asked);
	/* A driver that makes another one than was asked for. */
	gbm_lies.modifier = I915_FORMAT_MOD_Y_TILED;
	other.modifier = DRM_FORMAT_MOD_LINEAR;
	ck_assert_int_eq(stile_image_create(device, &other, &image), -EOPNOTSUPP);
	end();
}
END_TEST

static int attempt_party(void *user) {
	return stile_gbm_get_party(gbm, 0, others, 2, &report, user);
}

static void after_party(void *user, int ret) {
	ck_assert_int_eq(report.reason, ret < 0 ? STILE_REASON_RESOURCES : STILE_REASON_NONE);
	stile_party_fini(user);
}

/* Wrong code: layouts lost, or half of them given. */
START_TEST(party_needs_memory) {
	static const int errors[] = { -ENOMEM, 0 };
	begin(_i);
	struct stile_party party = { .size = sizeof(party) };
	ck_assert_uint_gt(failing_sweep(attempt_party, after_party, &party, errors), 2);
	end();
}
END_TEST

/* ---- Want of memory and descriptors -------------------------------------------------------- */

/* What an attempt makes, to be given up after it. */
struct made {
	struct gbm_bo *from; /* what it begins with */
	struct stile_device *device;
	struct stile_image *image;
	struct gbm_bo *bo;
};

static int attempt_device(void *user) {
	struct made *made = user;
	return stile_gbm_open_device(gbm, 0, NULL, NULL, &made->device);
}

static int attempt_round_trip(void *user) {
	struct made *made = user;
	int ret = stile_gbm_image_create(
		device, made->from, BOTH, STILE_GBM_LINEAR, NULL, &made->image);
	return ret < 0 ? ret : stile_gbm_bo_create(gbm, made->image, 0, NULL, &made->bo);
}

static void after(void *user, int ret) {
	struct made *made = user;
	ck_assert_int_eq(made->bo != NULL || made->device != NULL, ret == 0);
	if (made->bo != NULL) {
		gbm_bo_destroy(made->bo);
	}
	stile_image_unref(made->image);
	stile_device_destroy(made->device);
	*made = (struct made){ .from = made->from };
}

START_TEST(want_of_memory_and_descriptors_is_told) {
	static const int errors[] = { -ENOMEM, -EMFILE, -EAGAIN, -EOPNOTSUPP, 0 };
	begin(_i);
	struct made made = { .from = make_bo() };
	ck_assert_uint_ge(failing_sweep(attempt_device, after, &made, errors), 4);
	ck_assert_uint_ge(failing_sweep(attempt_round_trip, after, &made, errors), 4);
	gbm_bo_destroy(made.from);
	end();
}
END_TEST

/* Wrong code: planes that were made before the one that fails; a clearing that is not looked at. */
START_TEST(want_of_memory_leaves_nothing_of_an_image) {
	static const struct {
		uint32_t fourcc;
		uint64_t modifier;
		uint32_t
			unnoticed; /* calls whose failure changes nothing: planes' names, and the clearing below */
	} wanted[] = {
		{ DRM_FORMAT_XRGB8888, DRM_FORMAT_MOD_LINEAR, 1 },
		{ DRM_FORMAT_NV12, DRM_FORMAT_MOD_LINEAR, 2 },
		{ DRM_FORMAT_XRGB8888, TILED, 5 },
	};
	begin(_i);
	struct stile_device *own = open_gbm(0);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		gbm_lies.has_modifier = wanted[i].modifier == TILED;
		gbm_lies.modifier = TILED;
		gbm_lies.plane_count = wanted[i].modifier == TILED ? 2 : 0;
		const struct stile_image_info info = {
			.size = sizeof(info),
			.width = WIDTH,
			.height = HEIGHT,
			.fourcc = wanted[i].fourcc,
			.usage = BOTH,
			.modifier = wanted[i].modifier,
		};
		uint32_t unnoticed = 0;
		const char *call = "";
		for (unsigned n = 1; call != NULL; n++) {
			struct stile_image *image;
			failing_begin(n);
			int ret = stile_image_create(own, &info, &image);
			call = failing_end();
			ck_assert_int_eq(image == NULL, ret < 0);
			ck_assert(ret == 0 || ret == -ENOMEM || ret == -EMFILE);
			/* The kernel is told each plane's name, which may fail. */
			unnoticed += call != NULL && ret == 0;
			stile_image_unref(image);
		}
		ck_assert_uint_le(unnoticed, wanted[i].unnoticed);
	}
	stile_device_destroy(own);
	end();
}
END_TEST

static void add_devices(TCase *tcase) {
	tcase_add_loop_test(tcase, image_of_a_gbm_device_is_as_gbm_makes_them, 0, driver_count);
	tcase_add_loop_test(tcase, memory_of_gbm_is_cleared, 0, most);
	tcase_add_loop_test(tcase, memory_is_cleared_in_a_bracket, 0, most);
	tcase_add_loop_test(tcase, gbm_without_modifiers_allocates_linear_memory, 0, most);
	tcase_add_loop_test(tcase, driver_that_makes_too_little_is_not_believed, 0, most);
	tcase_add_loop_test(tcase, driver_that_makes_another_layout_is_not_believed, 0, most);
	tcase_add_loop_test(tcase, layout_that_others_do_not_take_is_replaced, 0, most);
	tcase_add_loop_test(tcase, device_takes_flags_of_gbm, 0, most);
	tcase_add_loop_test(tcase, node_that_does_not_allocate_gives_no_device, 0, 1);
	tcase_add_loop_test(tcase, callers_mistakes_open_no_device, 0, most);
	tcase_add_loop_test(tcase, threads_allocate_from_one_gbm_device, 0, most);
}

static void add_images(TCase *tcase) {
	tcase_add_loop_test(tcase, bo_and_its_image_are_one_memory, 0, most);
	tcase_add_loop_test(tcase, image_keeps_the_memory_of_a_bo_that_is_gone, 0, driver_count);
	tcase_add_loop_test(tcase, round_trip_keeps_the_buffer, 0, driver_count);
	tcase_add_loop_test(tcase, modifier_that_is_not_named_is_never_guessed, 0, most);
	tcase_add_loop_test(tcase, modifier_that_is_named_is_kept, 0, most);
	tcase_add_loop_test(tcase, numbers_from_before_fourccs_are_understood, 0, most);
	tcase_add_loop_test(tcase, bo_that_makes_no_sense_is_refused, 0, most);
	tcase_add_loop_test(tcase, bo_without_a_descriptor_is_refused, 0, most);
	tcase_add_loop_test(tcase, handle_is_not_believed_where_gbm_gives_other_memory, 0, most);
	tcase_add_loop_test(tcase, memory_that_was_exported_read_only_stays_so, 0, driver_count);
	tcase_add_loop_test(tcase, image_of_another_device_becomes_a_bo, 0, driver_count);
	tcase_add_loop_test(tcase, image_that_gbm_does_not_take_is_refused_first, 0, most);
	tcase_add_loop_test(tcase, memory_that_is_no_dma_buf_is_refused, 0, most);
	tcase_add_loop_test(tcase, bo_with_other_rows_than_the_image_is_refused, 0, most);
	tcase_add_loop_test(tcase, constraints_are_the_modifiers_that_gbm_takes, 0, most);
	tcase_add_loop_test(tcase, constraints_that_nothing_can_meet_are_refused, 0, most);
	tcase_add_loop_test(tcase, party_is_what_gbm_takes, 0, most);
	tcase_add_loop_test(tcase, what_is_agreed_on_becomes_a_gbm_bo, 0, most);
	tcase_add_loop_test(tcase, layout_that_others_name_is_allocated, 0, most);
	tcase_add_loop_test(tcase, party_needs_memory, 0, most);
	tcase_add_loop_test(tcase, want_of_memory_and_descriptors_is_told, 0, most);
	tcase_add_loop_test(tcase, want_of_memory_leaves_nothing_of_an_image, 0, most);
}

static Suite *suite(void) {
	Suite *s = suite_create("gbm");
	TCase *devices = ledger_tcase_create("devices"), *images = ledger_tcase_create("images");
	add_devices(devices);
	add_images(images);
	suite_add_tcase(s, devices);
	suite_add_tcase(s, images);
	return s;
}

static void find_drivers(void) {
	for (size_t i = 0; i < sizeof(all_drivers) / sizeof(all_drivers[0]); i++) {
		int node = drm_node_open(DRM_NODE_CARD, all_drivers[i]);
		gbms[driver_count] = node < 0 ? NULL : gbm_create_device(node);
		if (gbms[driver_count] != NULL) {
			drivers[driver_count++] = all_drivers[i];
			most += strcmp(all_drivers[i], "vkms") != 0;
		} else if (node >= 0) {
			close(node);
		}
	}
}

static void lose_drivers(void) {
	while (driver_count > 0) {
		int node = gbm_device_get_fd(gbms[--driver_count]);
		gbm_device_destroy(gbms[driver_count]);
		close(node);
	}
}

int main(int argc, char **argv) {
	find_drivers();
	if (most == 0) {
		lose_drivers();
		printf("skipped: GBM opens no node of vgem or virtio_gpu\n");
		return RUNNER_SKIP;
	}
	int ret = runner_main(argc, argv, suite, NULL);
	lose_drivers();
	return ret;
}
