/* SPDX-License-Identifier: MIT */
/*
 * Devices over memory of an application's, stile_dmabuf_open(): who is called, who owns what, and what is not
 * believed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/dmabuf.h>
#include <stile/image.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/memory.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"
#include "src/os.h"
#include "src/outside.h"

enum { READ = STILE_USAGE_READ, BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE };

/* What an application has, and what it does: as it is told. */
static struct {
	int heap;
	struct stile_dmabuf_allocator table;
	int error;             /* to be given; 0: it works */
	uint64_t less, access; /* bytes that are missing; what open() is told */
	bool memfd;            /* memory of another kind */
	uint32_t plane_count;
	uint64_t modifier; /* of images */
	uint32_t shared;   /* the plane that has the first one's descriptor, too; 0: none has */
	bool other;        /* a picture that was not asked for */
	int again;         /* what was given before; 0: nothing was */
	unsigned allocated, images, released;
	uint64_t bytes;
	char name[64];
} app;

static uint64_t page;
static unsigned closed_in_vain; /* by atomic access */

/* The library's, too: a number that is closed twice may be another file's by then. */
int close(int fd) {
	int ret = (int)syscall(SYS_close, fd);
	if (ret < 0 && fd >= 0) {
		__atomic_fetch_add(&closed_in_vain, 1, __ATOMIC_RELAXED);
	}
	return ret;
}

static int heap_alloc(uint64_t bytes) {
	struct dma_heap_allocation_data args = {
		.len = bytes,
		.fd_flags = (uint32_t)app.access | O_CLOEXEC,
	};
	return ioctl(app.heap, DMA_HEAP_IOCTL_ALLOC, &args) < 0 ? -errno : (int)args.fd;
}

static int allocate(void *priv, uint64_t bytes, const char *name, int *fd) {
	ck_assert_ptr_eq(priv, &app);
	app.allocated++;
	app.bytes = bytes;
	snprintf(app.name, sizeof(app.name), "%s", name);
	if (app.error != 0) {
		return app.error;
	}
	*fd = app.memfd ? memory_create(bytes, F_SEAL_SHRINK) : heap_alloc(bytes - app.less);
	return *fd < 0 ? *fd : 0;
}

/* A picture in one piece each plane. */
static int allocate_image(void *priv, struct stile_image_info *info) {
	ck_assert_ptr_eq(priv, &app);
	ck_assert_uint_eq(info->plane_count, 0);
	app.images++;
	if (app.error != 0) {
		return app.error;
	}
	info->modifier = app.modifier;
	info->plane_count = app.plane_count;
	for (uint32_t i = 0; i < app.plane_count && i < STILE_MAX_PLANES; i++) {
		if (app.shared != 0 && i == app.shared) {
			info->planes[i].fd = info->planes[0].fd;
		} else {
			info->planes[i].fd =
				app.again > 0 ? os_dup(app.again) : heap_alloc(16 * page);
		}
		info->planes[i].pitch = 256;
		info->planes[i].offset = 0;
	}
	if (app.other) {
		info->width = info->height = 1;
		info->fourcc = DRM_FORMAT_R8;
		info->usage = READ;
		info->name = "another";
	}
	return 0;
}

static void release(void *priv) {
	ck_assert_ptr_eq(priv, &app);
	app.released++;
}

static void setup(void) {
	page = os_page_size();
	memset(&app, 0, sizeof(app));
	closed_in_vain = 0;
	app.heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);
	app.access = O_RDWR;
	app.plane_count = 1;
	app.table = (struct stile_dmabuf_allocator){
		.size = sizeof(app.table),
		.name = "application",
		.priv = &app,
		.allocate = allocate,
		.release = release,
	};
}

static void teardown(void) {
	close(app.heap);
	ck_assert_uint_eq(__atomic_load_n(&closed_in_vain, __ATOMIC_RELAXED), 0);
}

static struct stile_device *open_device(void) {
	struct stile_device *device;
	ck_assert_int_eq(stile_dmabuf_open(&app.table, NULL, &device), 0);
	return device;
}

static const struct stile_image_info picture = {
	.size = sizeof(picture),
	.width = 64,
	.height = 64,
	.fourcc = DRM_FORMAT_XRGB8888,
	.usage = BOTH,
	.modifier = DRM_FORMAT_MOD_LINEAR,
	.name = "picture",
};

/* ---- The table ----------------------------------------------------------------------------- */

static const uint64_t linear = DRM_FORMAT_MOD_LINEAR, tiled = I915_FORMAT_MOD_X_TILED,
		      invalid = DRM_FORMAT_MOD_INVALID;

enum spoil {
	NO_ALLOCATE,
	NO_SIZE,
	NEWER,
	MODIFIERS_WITHOUT_COUNT,
	COUNT_WITHOUT_MODIFIERS,
	TILED_WITHOUT_IMAGES,
	LAYOUTS_WITHOUT_IMAGES,
	INVALID_MODIFIER,
	SPOILS,
};

static bool take_layout(void *priv, uint32_t fourcc, uint64_t modifier) {
	(void)priv, (void)fourcc, (void)modifier;
	return true;
}

static int open_spoilt(enum spoil spoil) {
	struct {
		struct stile_dmabuf_allocator known;
		uint64_t more;
	} table = { .known = app.table, .more = 1 };
	switch (spoil) {
	case NO_ALLOCATE:
		table.known.allocate = NULL;
		break;
	case NO_SIZE:
		table.known.size = 0;
		break;
	case NEWER:
		table.known.size = sizeof(table);
		break;
	case MODIFIERS_WITHOUT_COUNT:
		table.known.modifiers = &linear;
		break;
	case COUNT_WITHOUT_MODIFIERS:
		table.known.modifier_count = 1;
		break;
	case TILED_WITHOUT_IMAGES:
		table.known.modifiers = &tiled;
		table.known.modifier_count = 1;
		break;
	case LAYOUTS_WITHOUT_IMAGES:
		table.known.takes_layout = take_layout;
		break;
	case INVALID_MODIFIER:
		table.known.allocate_image = allocate_image;
		table.known.modifiers = &invalid;
		table.known.modifier_count = 1;
		break;
	case SPOILS:
		break;
	}
	struct stile_device *device = (void *)&table;
	int ret = stile_dmabuf_open(&table.known, NULL, &device);
	ck_assert_ptr_null(device);
	return ret;
}

/* Wrong code: a table that is half believed; memory of the application's that is released on failure. */
START_TEST(impossible_table_is_refused_and_not_released) {
	for (enum spoil i = NO_ALLOCATE; i < SPOILS; i++) {
		int ret = open_spoilt(i);
		ck_assert_msg(ret == (i == NEWER ? -E2BIG : -EINVAL), "%d: %d", (int)i, ret);
	}
	const struct stile_device_info info = { .size = sizeof(info), .options = "heap=system" };
	struct stile_device *device;
	ck_assert_int_eq(stile_dmabuf_open(&app.table, &info, &device), -EINVAL);
	ck_assert_uint_eq(app.released, 0);
	ck_assert_uint_eq(app.allocated, 0);
}
END_TEST

/* Wrong code: memory that is released with the device, when a buffer still has some of it; never, or twice. */
START_TEST(release_comes_after_the_last_buffer) {
	struct stile_device *device = open_device();
	const struct stile_buffer_info info = {
		.size = sizeof(info),
		.bytes = page + 1,
		.name = "mine",
	};
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	ck_assert_uint_eq(app.allocated, 1);
	ck_assert_uint_eq(app.bytes, 2 * page);
	ck_assert_str_eq(app.name, "mine");
	ck_assert_uint_eq(stile_buffer_get_bytes(buffer), 2 * page);
	stile_device_destroy(device);
	ck_assert_uint_eq(app.released, 0);
	stile_buffer_unref(buffer);
	ck_assert_uint_eq(app.released, 1);
}
END_TEST

/* Wrong code: a name that has to live as long as the device. */
START_TEST(name_is_copied) {
	char name[] = "application", *text;
	app.table.name = name;
	struct stile_device *device = open_device();
	memset(name, 'x', sizeof(name) - 1);
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = 1 };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	ck_assert_str_eq(app.name, "");
	ck_assert_int_eq(stile_buffer_describe_all(&text), 0);
	ck_assert_msg(strstr(text, "application") != NULL, "%s", text);
	free(text);
	stile_buffer_unref(buffer);
	stile_device_destroy(device);
}
END_TEST

/* ---- What it gives ------------------------------------------------------------------------- */

/* Wrong code: an error of the application's that becomes another, or that leaves a buffer. */
START_TEST(error_of_the_allocator_is_passed_on) {
	struct stile_device *device = open_device();
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = page };
	struct stile_buffer *buffer;
	app.error = -ENOSPC;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), -ENOSPC);
	ck_assert_ptr_null(buffer);
	stile_device_destroy(device);
}
END_TEST

enum { LESS, MEMFD, READ_ONLY, BAD_GIFTS };

/* Wrong code: a driver that is believed; memory that ends before its image does. */
START_TEST(memory_that_is_not_as_asked_for_is_refused) {
	ledger_expect_complaint("the allocator \"application\" gave");
	struct stile_device *device = open_device();
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = 2 * page };
	struct stile_buffer *buffer;
	app.less = _i == LESS ? page : 0;
	app.memfd = _i == MEMFD;
	app.access = _i == READ_ONLY ? O_RDONLY : O_RDWR;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), -EINVAL);
	ck_assert_ptr_null(buffer);
	stile_device_destroy(device);
}
END_TEST

/* ---- Images -------------------------------------------------------------------------------- */

/* Wrong code: an image that is laid out without asking; planes whose descriptors stay. */
START_TEST(image_is_made_as_the_allocator_likes) {
	static const uint64_t modifiers[] = { I915_FORMAT_MOD_X_TILED, DRM_FORMAT_MOD_LINEAR };
	app.table.allocate_image = allocate_image;
	app.table.modifiers = modifiers;
	app.table.modifier_count = ARRAY_LENGTH(modifiers);
	struct stile_device *device = open_device();
	for (size_t i = 0; i < ARRAY_LENGTH(modifiers); i++) {
		struct stile_image_info info = picture;
		struct stile_image *image;
		info.modifier = app.modifier = modifiers[i];
		ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
		ck_assert_uint_eq(app.images, i + 1);
		ck_assert_uint_eq(stile_image_get_info(image)->modifier, modifiers[i]);
		ck_assert_uint_eq(stile_image_get_info(image)->planes[0].pitch, 256);
		stile_image_unref(image);
	}
	/* Whatever was asked for. */
	struct stile_image_info info = picture;
	struct stile_image *image;
	info.modifier = I915_FORMAT_MOD_X_TILED;
	app.modifier = DRM_FORMAT_MOD_LINEAR;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	ck_assert_uint_eq(stile_image_get_info(image)->modifier, DRM_FORMAT_MOD_LINEAR);
	stile_image_unref(image);
	info.modifier = I915_FORMAT_MOD_Y_TILED;
	ck_assert_int_eq(stile_image_create(device, &info, &image), -EOPNOTSUPP);
	ck_assert_uint_eq(app.allocated, 0);
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: a layout that is not looked at because a driver made it. */
START_TEST(image_that_does_not_fit_is_refused) {
	app.table.allocate_image = allocate_image;
	struct stile_device *device = open_device();
	struct stile_image_info info = picture;
	struct stile_image *image;
	info.width = 65; /* of 260 bytes */
	ck_assert_int_eq(stile_image_create(device, &info, &image), -EINVAL);
	info = picture;
	info.height = 257;
	ck_assert_int_eq(stile_image_create(device, &info, &image), -ERANGE);
	info = picture;
	app.plane_count = 2;
	ck_assert_int_eq(stile_image_create(device, &info, &image), -EINVAL);
	app.error = -ENOMEM;
	ck_assert_int_eq(stile_image_create(device, &info, &image), -ENOMEM);
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: descriptors that are closed beyond the end of the array. */
START_TEST(image_of_too_many_planes_is_told) {
	ledger_expect_complaint("made an image of 5 planes");
	app.table.allocate_image = allocate_image;
	struct stile_device *device = open_device();
	struct stile_image *image;
	app.plane_count = 5;
	ck_assert_int_eq(stile_image_create(device, &picture, &image), -EINVAL);
	ck_assert_ptr_null(image);
	stile_device_destroy(device);
}
END_TEST

static const struct {
	uint32_t planes, shared;
	const char *says;
} shared_planes[] = {
	{ 2, 1, "for plane 0 and for plane 1" },
	{ 3, 2, "for plane 0 and for plane 2" },
	{ 5, 3, "made an image of 5 planes" },
};

/* Wrong code: a descriptor that is closed once for each plane; the second time it is somebody else's. */
START_TEST(descriptor_given_for_two_planes_is_told_and_closed_once) {
	ledger_expect_complaint(shared_planes[_i].says);
	app.plane_count = shared_planes[_i].planes;
	app.shared = shared_planes[_i].shared;
	app.table.allocate_image = allocate_image;
	struct stile_device *device = open_device();
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &picture, &image), -EINVAL);
	ck_assert_ptr_null(image);
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: an image of another size or format than the one that was asked for. */
START_TEST(allocator_changes_the_layout_alone) {
	app.table.allocate_image = allocate_image;
	app.other = true;
	struct stile_device *device = open_device();
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &picture, &image), 0);
	const struct stile_image_info *info = stile_image_get_info(image);
	ck_assert_uint_eq(info->width, picture.width);
	ck_assert_uint_eq(info->height, picture.height);
	ck_assert_uint_eq(info->fourcc, picture.fourcc);
	ck_assert_uint_eq(info->usage, picture.usage);
	ck_assert_str_eq(info->name, "picture");
	stile_image_unref(image);
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: nobody is asked any more who else uses memory that was known before: a dependency is lost. */
START_TEST(memory_that_is_given_again_stays_known_to_others) {
	app.table.allocate_image = allocate_image;
	struct stile_device *device = open_device();
	app.again = heap_alloc(16 * page);
	struct stile_buffer *known;
	ck_assert_int_eq(stile_buffer_import_fd(device, app.again, BOTH, NULL, &known), 0);
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &picture, &image), 0);
	ck_assert_ptr_eq(stile_image_get_buffer(image, 0), known);
	ck_assert(outside_is_known(known));
	stile_image_unref(image);
	stile_buffer_unref(known);
	close(app.again);
	app.again = 0;
	/* What is new is nobody else's. */
	ck_assert_int_eq(stile_image_create(device, &picture, &image), 0);
	ck_assert(!outside_is_known(stile_image_get_buffer(image, 0)));
	stile_image_unref(image);
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: limits that are those of another kind of memory. */
START_TEST(extent_is_the_allocators) {
	app.table.max_width = 64;
	app.table.max_height = 32;
	struct stile_device *device = open_device();
	struct stile_image_info info = picture;
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), -ERANGE);
	info.height = 32;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	stile_image_unref(image);
	info.width = 65;
	ck_assert_int_eq(stile_image_create(device, &info, &image), -ERANGE);
	stile_device_destroy(device);
}
END_TEST

/* ---- Failing ------------------------------------------------------------------------------- */

static int sweep_open(void *user) {
	return stile_dmabuf_open(&app.table, NULL, user);
}

static void after_open(void *user, int ret) {
	struct stile_device **device = user;
	(void)ret;
	stile_device_destroy(*device);
	*device = NULL;
}

/* Wrong code: memory of the application's that is released though the device never opened. */
START_TEST(nothing_stays_of_what_failed) {
	static const int errors[] = { -ENOMEM, -EMFILE, 0 };
	struct stile_device *device = NULL;
	ck_assert_uint_ge(failing_sweep(sweep_open, after_open, &device, errors), 2);
	ck_assert_uint_eq(app.released, 1);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("dmabuf_allocator");
	TCase *tcase = ledger_tcase_create("allocator");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, impossible_table_is_refused_and_not_released);
	tcase_add_test(tcase, release_comes_after_the_last_buffer);
	tcase_add_test(tcase, name_is_copied);
	tcase_add_test(tcase, error_of_the_allocator_is_passed_on);
	tcase_add_loop_test(tcase, memory_that_is_not_as_asked_for_is_refused, 0, BAD_GIFTS);
	tcase_add_test(tcase, image_is_made_as_the_allocator_likes);
	tcase_add_test(tcase, image_that_does_not_fit_is_refused);
	tcase_add_test(tcase, image_of_too_many_planes_is_told);
	tcase_add_loop_test(tcase, descriptor_given_for_two_planes_is_told_and_closed_once, 0,
		(int)ARRAY_LENGTH(shared_planes));
	tcase_add_test(tcase, allocator_changes_the_layout_alone);
	tcase_add_test(tcase, memory_that_is_given_again_stays_known_to_others);
	tcase_add_test(tcase, extent_is_the_allocators);
	tcase_add_test(tcase, nothing_stays_of_what_failed);
	suite_add_tcase(s, tcase);
	return s;
}

int main(int argc, char **argv) {
	if (access("/dev/dma_heap/system", R_OK) < 0) {
		printf("skipped: /dev/dma_heap/system: %s\n", strerror(errno));
		return RUNNER_SKIP;
	}
	return runner_main(argc, argv, suite, NULL);
}
