/* SPDX-License-Identifier: MIT */
/* Opening and closing; the backends' tables. */
#include <errno.h>
#include <string.h>

#include <stile/device.h>
#include <stile/image.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/backend.h"
#include "src/device.h"
#include "src/macros.h"

/* Wrong code: a list that is not ended; two of one name. */
START_TEST(backends_are_numbered_from_0) {
	size_t count = 0;
	bool swgpu = false;
	for (const char *name; (name = stile_backend_get_name(count)) != NULL; count++) {
		const struct stile_backend_ops *ops = backend_find(name);
		ck_assert_ptr_nonnull(ops);
		ck_assert_ptr_eq(ops->name, name);
		swgpu = swgpu || strcmp(name, "swgpu") == 0;
	}
	ck_assert(swgpu);
	ck_assert_ptr_null(stile_backend_get_name(count + 1));
	ck_assert_ptr_null(stile_backend_get_name(SIZE_MAX));
}
END_TEST

/* What the core relies on without looking. */
START_TEST(backends_tables_are_complete) {
	for (size_t i = 0; stile_backend_get_name(i) != NULL; i++) {
		const struct stile_backend_ops *ops = backend_find(stile_backend_get_name(i));
		ck_assert(ops->device_open != NULL);
		ck_assert(ops->device_stop != NULL);
		ck_assert(ops->device_free != NULL);
		ck_assert(ops->device_check != NULL);
		ck_assert(ops->buffer_create != NULL);
		ck_assert(ops->buffer_import != NULL);
		ck_assert(ops->memory_check != NULL);
		/* What can be attached can be detached; what the kernel knows, it can be told. */
		ck_assert_int_eq(ops->sg_map != NULL, ops->sg_free != NULL);
		ck_assert_int_eq(ops->fences_export != NULL, ops->fences_import != NULL);
		struct stile_device *device;
		int ret = stile_device_open(ops->name, NULL, &device);
		if (ret < 0) {
			/* Only those that need something of the kernel's. */
			ck_assert_str_ne(ops->name, "swgpu");
			ck_assert(ret == -ENODEV || ret == -EACCES);
			continue;
		}
		const struct device_limits *limits = &device->limits;
		ck_assert_uint_eq(limits->import.size, sizeof(limits->import));
		ck_assert(!limits->is_cached || ops->sg_sync != NULL);
		ck_assert_uint_gt(limits->create_modifier_count, 0);
		ck_assert_uint_ne(limits->import_usage & STILE_USAGE_READ, 0);
		const uint32_t powers[] = { limits->create_pitch_align, limits->create_offset_align,
			limits->row_group };
		for (size_t k = 0; k < ARRAY_LENGTH(powers); k++) {
			ck_assert_uint_gt(powers[k], 0);
			ck_assert_uint_eq(powers[k] & (powers[k] - 1), 0);
		}
		/* Else an image that was created could not be imported. */
		if (limits->import.pitch_align != 0) {
			ck_assert_uint_eq(
				limits->create_pitch_align % limits->import.pitch_align, 0);
		}
		if (limits->import.offset_align != 0) {
			ck_assert_uint_eq(
				limits->create_offset_align % limits->import.offset_align, 0);
		}
		stile_device_destroy(device);
	}
}
END_TEST

START_TEST(unknown_backend_is_enodev) {
	static const char *const names[] = { "", "SWGPU", "swgp", "swgpu ", "swgpux" };
	struct stile_device *device = (struct stile_device *)&device;
	ck_assert_int_eq(stile_device_open(names[_i], NULL, &device), -ENODEV);
	ck_assert_ptr_null(device);
}
END_TEST

START_TEST(device_opens_and_closes) {
	struct stile_device *device;
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
	ck_assert_str_eq(stile_device_get_backend(device), "swgpu");
	int fd = stile_device_get_fd(device);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(stile_device_get_fd(device), fd);
	ck_assert_int_eq(stile_device_dispatch(device), 0);
	stile_device_destroy(device);
	stile_device_destroy(NULL);
}
END_TEST

START_TEST(devices_are_independent) {
	struct stile_device *devices[8];
	for (size_t i = 0; i < ARRAY_LENGTH(devices); i++) {
		ck_assert_int_eq(stile_device_open("swgpu", NULL, &devices[i]), 0);
	}
	for (size_t i = 1; i < ARRAY_LENGTH(devices); i++) {
		ck_assert_int_ne(stile_device_get_fd(devices[i]), stile_device_get_fd(devices[0]));
	}
	for (size_t i = 0; i < ARRAY_LENGTH(devices); i++) {
		stile_device_destroy(devices[i]);
	}
}
END_TEST

struct heard {
	int count;
	enum stile_log_level level;
	char text[600];
};

static void hear(void *user, enum stile_log_level level, const char *text) {
	struct heard *heard = user;
	heard->count++;
	heard->level = level;
	strncpy(heard->text, text, sizeof(heard->text) - 1);
	errno = EXDEV;
}

/* Wrong code: errno of the caller changed by a handler; a text that is a format. */
START_TEST(log_goes_to_the_handler_and_keeps_errno) {
	struct heard heard = { 0 };
	struct stile_device_info info = { .size = sizeof(info), .log = hear, .log_user = &heard };
	struct stile_device *device;
	ck_assert_int_eq(stile_device_open("swgpu", &info, &device), 0);
	errno = ENOTTY;
	device_log(device, STILE_LOG_WARN, "%s and %d", "one", 2);
	ck_assert_int_eq(errno, ENOTTY);
	ck_assert_int_eq(heard.count, 1);
	ck_assert_int_eq(heard.level, STILE_LOG_WARN);
	ck_assert_str_eq(heard.text, "one and 2");

	char longest[2000];
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	device_log(device, STILE_LOG_ERROR, "%s", longest);
	ck_assert_uint_lt(strlen(heard.text), sizeof(heard.text));

	struct stile_image_info picture = { .size = sizeof(picture), .name = "%s%n" };
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &picture, &image), -EOPNOTSUPP);
	ck_assert_int_eq(heard.count, 3);
	ck_assert_int_eq(heard.level, STILE_LOG_ERROR);
	ck_assert_ptr_nonnull(strstr(heard.text, "%s%n"));
	stile_device_destroy(device);
}
END_TEST

static int attempt_open(void *user) {
	return stile_device_open("swgpu", NULL, user);
}

static void after_open(void *user, int ret) {
	struct stile_device **device = user;
	ck_assert_int_eq(*device == NULL, ret < 0);
	stile_device_destroy(*device);
}

START_TEST(open_survives_every_failure) {
	static const int errors[] = { -ENOMEM, -EMFILE, -EAGAIN, 0 };
	struct stile_device *device = NULL;
	ck_assert_uint_ge(failing_sweep(attempt_open, after_open, &device, errors), 4);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("device");
	TCase *device = ledger_tcase_create("device");
	tcase_add_test(device, backends_are_numbered_from_0);
	tcase_add_test(device, backends_tables_are_complete);
	tcase_add_loop_test(device, unknown_backend_is_enodev, 0, 5);
	tcase_add_test(device, device_opens_and_closes);
	tcase_add_test(device, devices_are_independent);
	tcase_add_test(device, log_goes_to_the_handler_and_keeps_errno);
	tcase_add_test(device, open_survives_every_failure);
	suite_add_tcase(s, device);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
