/* SPDX-License-Identifier: MIT */
/*
 * What the profiles of the software GPU are for: each finds a mistake that goes unnoticed on `plain`, and
 * whoever does it right notices nothing. docs/profiles.md names these mistakes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <stile/attachment.h>
#include <stile/swgpu_list.h>
#include <stile/swgpu_modifier.h>
#include <stile/swgpu_test.h>
#include <stile/wait.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum { BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE, ORANGE = 0xff8000, STALE = 1 };

/* Whoever makes memory, and whoever uses it. */
static struct stile_device *maker, *user;

static struct stile_device *open_device(const char *options) {
	const struct stile_device_info info = { .size = sizeof(info), .options = options };
	struct stile_device *device;
	ck_assert_int_eq(stile_device_open("swgpu", &info, &device), 0);
	return device;
}

static struct stile_image *create(
	struct stile_device *device, uint32_t width, uint32_t height, uint64_t modifier) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = width,
		.height = height,
		.fourcc = DRM_FORMAT_XRGB8888,
		.usage = BOTH,
		.modifier = modifier,
	};
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	return image;
}

static struct stile_buffer *create_buffer(struct stile_device *device, uint64_t bytes) {
	const struct stile_buffer_info info = { .size = sizeof(info), .bytes = bytes };
	struct stile_buffer *buffer;
	ck_assert_int_eq(stile_buffer_create(device, &info, &buffer), 0);
	return buffer;
}

/* Wait for a command and give its fence up; 0 or how it failed. */
static int finish(struct stile_fence *fence) {
	ck_assert_int_eq(stile_fence_wait(fence, runner_clock_ns() + INT64_C(60000000000)), 0);
	int status = stile_fence_get_status(fence);
	stile_fence_unref(fence);
	return status == 1 ? 0 : status;
}

/* Have a device fill an image. 0 or why not. */
static int fill(struct stile_device *device, struct stile_image *image) {
	struct stile_fence *fence;
	int ret = stile_swgpu_fill(device, image, 0, ORANGE, &fence);
	return ret < 0 ? ret : finish(fence);
}

static int fill_address(struct stile_device *device, uint64_t address, uint64_t bytes) {
	struct stile_swgpu_list *list;
	struct stile_fence *fence;
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	ck_assert_int_eq(stile_swgpu_list_fill_address(list, address, bytes, 7), 0);
	ck_assert_int_eq(stile_swgpu_submit(stile_swgpu_get_queue(device), list, NULL, &fence), 0);
	return finish(fence);
}

/* Hand an image over by descriptor, for the other one to fill. 0 or what it says. */
static int hand_over(struct stile_image *image, uint32_t usage) {
	struct stile_image_info info = { .size = sizeof(info) };
	struct stile_image *same;
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	info.usage = usage;
	int ret = stile_image_import(user, &info, NULL, &same);
	for (uint32_t i = 0; i < info.plane_count; i++) {
		close(info.planes[i].fd);
	}
	if (ret < 0) {
		return ret;
	}
	if ((usage & STILE_USAGE_WRITE) != 0) {
		ret = fill(user, same);
	}
	stile_image_unref(same);
	return ret;
}

/* ---- Mistakes, and how to do it right ------------------------------------------------------ */

static int give(struct stile_device *device, uint32_t width, uint32_t height, uint64_t modifier,
	uint32_t usage) {
	struct stile_image *image = create(device, width, height, modifier);
	int ret = fill(device, image);
	if (ret == 0) {
		ret = hand_over(image, usage);
	}
	stile_image_unref(image);
	return ret;
}

static int made_without_asking(bool right) {
	return give(right ? user : maker, 100, 65, DRM_FORMAT_MOD_LINEAR, BOTH);
}

/* Its memory ends before the last group of 16 rows does. */
static int made_without_padding(bool right) {
	return give(right ? user : maker, 256, 65, DRM_FORMAT_MOD_LINEAR, BOTH);
}

static int linear_everywhere(bool right) {
	uint64_t modifier = right ? STILE_SWGPU_MOD_TILED_ROWS : DRM_FORMAT_MOD_LINEAR;
	return give(maker, 100, 65, modifier, BOTH);
}

static int draws_into_what_came(bool right) {
	return give(maker, 100, 65, DRM_FORMAT_MOD_LINEAR, right ? STILE_USAGE_READ : BOTH);
}

static int forgets_to_wait(struct stile_device *device, bool right) {
	struct stile_image *image = create(device, 1, 1, DRM_FORMAT_MOD_LINEAR);
	struct stile_swgpu_queue *other;
	struct stile_swgpu_list *list;
	struct stile_fence *drawn, *shown;
	uint32_t screen = 0;
	ck_assert_int_eq(stile_swgpu_queue_create(device, NULL, &other), 0);
	ck_assert_int_eq(stile_swgpu_fill(device, image, 0, ORANGE, &drawn), 0);
	const struct stile_swgpu_submit_info info = {
		.size = sizeof(info),
		.waits = &drawn,
		.wait_count = right ? 1 : 0,
	};
	ck_assert_int_eq(stile_swgpu_list_create(device, &list), 0);
	ck_assert_int_eq(stile_swgpu_list_download(list, image, 0, &screen, sizeof(screen)), 0);
	ck_assert_int_eq(stile_swgpu_submit(other, list, &info, &shown), 0);
	int ret = finish(shown);
	stile_fence_unref(drawn);
	stile_image_unref(image);
	stile_swgpu_queue_destroy(other);
	return ret == 0 && screen != ORANGE ? STALE : ret;
}

static const char *profile_now;

static int no_wait_between_queues(bool right) {
	int ret = 0;
	for (unsigned seed = 1; seed <= 32 && ret == 0; seed++) {
		char options[64];
		snprintf(options, sizeof(options), "profile=%s seed=%u", profile_now, seed);
		struct stile_device *device = open_device(options);
		ret = forgets_to_wait(device, right);
		stile_device_destroy(device);
	}
	return ret;
}

static int no_bracket_around_the_cpu(bool right) {
	struct stile_image *image = create(user, 1, 1, DRM_FORMAT_MOD_LINEAR);
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	void *address;
	uint32_t seen;
	ck_assert_int_eq(stile_buffer_mmap(buffer, STILE_USAGE_READ, &address), 0);
	int ret = fill(user, image);
	if (right) {
		ck_assert_int_eq(
			stile_buffer_begin_cpu_access(buffer, STILE_USAGE_READ, INT64_MAX, NULL),
			0);
	}
	memcpy(&seen, address, sizeof(seen));
	if (right) {
		ck_assert_int_eq(stile_buffer_end_cpu_access(buffer, STILE_USAGE_READ), 0);
	}
	stile_buffer_munmap(buffer, address);
	stile_image_unref(image);
	return ret == 0 && seen != ORANGE ? STALE : ret;
}

static void note_move(struct stile_attachment *attachment) {
	*(bool *)stile_attachment_get_priv(attachment) = true;
}

/* A buffer that a device has mapped. */
struct use {
	struct stile_buffer *buffer;
	struct stile_attachment *attachment;
	const struct stile_sg *sg;
};

static void use_map(struct use *use) {
	ck_assert_int_eq(stile_attachment_map_unlocked(
				 use->attachment, STILE_BIDIRECTIONAL, INT64_MAX, NULL, &use->sg),
		0);
}

static void use_unmap(struct use *use) {
	stile_attachment_unmap_unlocked(use->attachment, use->sg, STILE_BIDIRECTIONAL);
}

/* `moved` is set when the memory moves; NULL: it must not. */
static struct use use_begin(struct stile_device *device, struct stile_buffer *buffer, bool *moved) {
	static const struct stile_importer_ops importer = {
		.size = sizeof(importer),
		.move_notify = note_move,
	};
	const struct stile_attach_info info = {
		.size = sizeof(info),
		.device = device,
		.usage = BOTH,
		.importer = moved == NULL ? NULL : &importer,
		.priv = moved,
	};
	struct use use = { .buffer = buffer };
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, NULL, &use.attachment), 0);
	use_map(&use);
	return use;
}

static void use_end(struct use *use) {
	use_unmap(use);
	stile_buffer_detach(use->buffer, use->attachment);
}

static uint64_t first_address(const struct use *use) {
	uint64_t address, bytes;
	ck_assert_int_eq(stile_sg_find(use->sg, 0, &address, &bytes), 0);
	return address;
}

static int fill_each_piece(const struct use *use) {
	struct stile_sg_iter iter;
	struct stile_sg_segment segment;
	int ret = 0;
	stile_sg_iter_begin(&iter, use->sg);
	while (ret == 0 && stile_sg_iter_next_segment(&iter, &segment)) {
		ret = fill_address(user, segment.address, segment.bytes);
	}
	return ret;
}

static int first_piece_for_all(bool right) {
	struct stile_buffer *buffer = create_buffer(user, 1 << 20);
	struct use use = use_begin(user, buffer, NULL);
	int ret = right ? fill_each_piece(&use) : fill_address(user, first_address(&use), 1 << 20);
	use_end(&use);
	stile_buffer_unref(buffer);
	return ret;
}

static int address_of_another_bus(bool right) {
	struct stile_buffer *buffer = create_buffer(user, 4096);
	struct use use = use_begin(user, buffer, NULL), own = use_begin(maker, buffer, NULL);
	int ret = fill_address(maker, first_address(right ? &own : &use), 4096);
	use_end(&own);
	use_end(&use);
	stile_buffer_unref(buffer);
	return ret;
}

/* It moves because a descriptor is made. */
static int address_from_before_a_move(bool right) {
	bool moved = false;
	int fd;
	struct stile_buffer *buffer = create_buffer(user, 4096);
	struct use use = use_begin(user, buffer, &moved);
	uint64_t address = first_address(&use);
	ck_assert_int_eq(stile_buffer_export_fd(buffer, BOTH, &fd), 0);
	close(fd);
	use_unmap(&use);
	use_map(&use);
	if (right && moved) {
		address = first_address(&use);
	}
	int ret = fill_address(user, address, 4096);
	use_end(&use);
	stile_buffer_unref(buffer);
	return ret;
}

/* ---- All ----------------------------------------------------------------------------------- */

static const struct {
	const char *profile;
	const char *maker; /* of the other device */
	int (*run)(bool right);
	int noticed;
} pitfalls[] = {
	{ "pitch-256", "plain", made_without_asking, -EINVAL },
	{ "height-16", "plain", made_without_padding, -ERANGE },
	{ "no-linear-import", "plain", linear_everywhere, -EOPNOTSUPP },
	{ "no-implicit-sync", "plain", no_wait_between_queues, STALE },
	{ "address-32", "plain", made_without_asking, -EBUSY },
	{ "contiguous", "scattered", made_without_asking, -EBUSY },
	{ "scattered", "plain", first_piece_for_all, -EFAULT },
	{ "read-only-import", "plain", draws_into_what_came, -EACCES },
	{ "non-coherent", "plain", no_bracket_around_the_cpu, STALE },
	{ "local-memory", "plain", address_from_before_a_move, -EFAULT },
	{ "iommu", "plain", address_of_another_bus, -EFAULT },
};

/* How it ends if the device that uses the memory has this profile. */
static int run(int i, const char *profile, bool right) {
	char options[64];
	snprintf(options, sizeof(options), "profile=%s", pitfalls[i].maker);
	maker = open_device(options);
	snprintf(options, sizeof(options), "profile=%s", profile);
	user = open_device(options);
	profile_now = profile;
	int ret = pitfalls[i].run(right);
	stile_device_destroy(user);
	stile_device_destroy(maker);
	return ret;
}

/* Wrong code: a profile that only says it, or one that refuses everything. */
START_TEST(mistake_is_found_by_its_profile_alone) {
	const char *profile = pitfalls[_i].profile;
	int ret = run(_i, "plain", false);
	ck_assert_msg(ret == 0, "%s: the mistake ends with %d on plain", profile, ret);
	ret = run(_i, profile, false);
	ck_assert_msg(ret == pitfalls[_i].noticed, "%s: the mistake ends with %d instead of %d",
		profile, ret, pitfalls[_i].noticed);
	ret = run(_i, profile, true);
	ck_assert_msg(ret == 0, "%s: done right, it ends with %d", profile, ret);
}
END_TEST

/* Wrong code: a profile that nobody knows what it is for. */
START_TEST(every_profile_finds_one) {
	const char *name;
	for (size_t i = 1; (name = stile_swgpu_profile_get_name(i)) != NULL; i++) {
		size_t k = 0;
		while (k < ARRAY_LENGTH(pitfalls) && strcmp(pitfalls[k].profile, name) != 0) {
			k++;
		}
		ck_assert_msg(k < ARRAY_LENGTH(pitfalls), "%s", name);
	}
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("pitfalls");
	TCase *all = ledger_tcase_create("all");
	tcase_add_loop_test(all, mistake_is_found_by_its_profile_alone, 0, ARRAY_LENGTH(pitfalls));
	tcase_add_test(all, every_profile_finds_one);
	suite_add_tcase(s, all);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
