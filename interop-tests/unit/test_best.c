/* SPDX-License-Identifier: MIT */
/*
 * The choice of a device. Which backends open is the machine's affair: what is expected here is found out
 * by opening them one by one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stile/device.h>
#include <stile/image.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/device.h"
#include "src/macros.h"

/* Wrong code: another order than the header promises. */
static const char *const order[] = { "dmabuf", "udmabuf", "swgpu" };

struct heard {
	int errors;
	int others; /* warnings, and what is said every frame */
	int infos;
	char text[8][600];
};

static void hear(void *user, enum stile_log_level level, const char *text) {
	struct heard *heard = user;
	if (level == STILE_LOG_ERROR) {
		heard->errors++;
	} else if (level != STILE_LOG_INFO) {
		heard->others++;
	} else if (heard->infos < (int)ARRAY_LENGTH(heard->text)) {
		strncpy(heard->text[heard->infos++], text, sizeof(heard->text[0]) - 1);
	}
}

static bool opens(const char *name) {
	struct stile_device *device;
	int ret = stile_device_open(name, NULL, &device);
	stile_device_destroy(device);
	return ret == 0;
}

/* The number in `order` of the one that has to be taken here. */
static size_t find_best(void) {
	size_t i = 0;
	while (i < ARRAY_LENGTH(order) && !opens(order[i])) {
		i++;
	}
	ck_assert_uint_lt(i, ARRAY_LENGTH(order));
	return i;
}

static struct heard heard;

static void begin(void) {
	memset(&heard, 0, sizeof(heard));
	ck_assert_int_eq(unsetenv("STILE_BACKEND"), 0);
}

static int open_best(struct stile_report *report, struct stile_device **out) {
	struct stile_device_info info = { .size = sizeof(info), .log = hear, .log_user = &heard };
	*report = (struct stile_report){ .size = sizeof(*report) };
	return stile_device_open_best(&info, report, out);
}

static int open_as(const char *value, struct stile_report *report, struct stile_device **out) {
	ck_assert_int_eq(setenv("STILE_BACKEND", value, 1), 0);
	int ret = open_best(report, out);
	ck_assert_int_eq(unsetenv("STILE_BACKEND"), 0);
	return ret;
}

static bool says(const struct stile_report *report, const char *part) {
	return strstr(report->text, part) != NULL;
}

/* Wrong code: one that is not the first to open; a reason that is lost, or told as a failure. */
START_TEST(first_that_opens_is_taken_and_the_others_reasons_are_told) {
	begin();
	size_t best = find_best();
	struct stile_report report;
	struct stile_device *device;
	ck_assert_int_eq(open_best(&report, &device), 0);
	ck_assert_str_eq(stile_device_get_backend(device), order[best]);
	stile_device_destroy(device);

	ck_assert_int_eq(report.reason, STILE_REASON_NONE);
	ck_assert_int_eq(report.error, 0);
	ck_assert_int_eq(strncmp(report.text, order[best], strlen(order[best])), 0);
	ck_assert_int_eq(heard.errors, 0);
	ck_assert_int_eq(heard.infos, (int)best + 1);
	for (size_t i = 0; i < best; i++) {
		/* "; dmabuf: why", of which the log has the whole. */
		char part[64];
		snprintf(part, sizeof(part), "; %s: ", order[i]);
		ck_assert_msg(says(&report, part), "no '%s' in '%s'", part, report.text);
		snprintf(part, sizeof(part), "%s not taken: ", order[i]);
		ck_assert_int_eq(strncmp(heard.text[i], part, strlen(part)), 0);
		ck_assert_uint_gt(strlen(heard.text[i]), strlen(part));
		ck_assert_ptr_null(strstr(heard.text[i] + strlen(part), ": : "));
	}
	ck_assert_ptr_nonnull(strstr(heard.text[best], order[best]));
}
END_TEST

/* Wrong code: the log of the choice stays with the device, and is gone when that has something to say. */
START_TEST(device_has_the_callers_log_and_flags) {
	begin();
	struct stile_device_info info = { .size = sizeof(info),
		.log = hear,
		.log_user = &heard,
		.flags = STILE_DEVICE_CALLER_LOOP };
	struct stile_device *device;
	ck_assert_int_eq(stile_device_open_best(&info, NULL, &device), 0);
	ck_assert(device->caller_loop);
	ck_assert(device->log == hear);
	ck_assert_ptr_eq(device->log_user, &heard);
	struct stile_image_info picture = { .size = sizeof(picture) };
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &picture, &image), -EOPNOTSUPP);
	ck_assert_int_eq(heard.errors, 1);
	stile_device_destroy(device);
}
END_TEST

START_TEST(defaults_do_without_info_and_report) {
	begin();
	struct stile_device *device;
	ck_assert_int_eq(stile_device_open_best(NULL, NULL, &device), 0);
	ck_assert_str_eq(stile_device_get_backend(device), order[find_best()]);
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: options that whichever backend comes first is given; sizes that are taken on trust. */
START_TEST(callers_mistakes_are_refused) {
	begin();
	struct stile_report report = { .size = sizeof(report) }, none = { .size = 1 };
	struct stile_device *device = (struct stile_device *)&device;
	struct stile_device_info info = { .size = sizeof(info), .options = "" };
	ck_assert_int_eq(stile_device_open_best(&info, &report, &device), -EINVAL);
	ck_assert_int_eq(report.reason, STILE_REASON_OPTION);
	ck_assert_ptr_null(device);
	info = (struct stile_device_info){ .size = sizeof(info), .flags = 1u << 31 };
	ck_assert_int_eq(stile_device_open_best(&info, &report, &device), -EINVAL);
	ck_assert_int_eq(report.error, -EINVAL);
	ck_assert_int_eq(report.reason, STILE_REASON_CALLER);
	/* What is wrong for each is tried with one. */
	ck_assert_msg(strstr(report.text, "udmabuf") == NULL, "%s", report.text);
	info = (struct stile_device_info){ .size = 1 };
	ck_assert_int_eq(stile_device_open_best(&info, &report, &device), -EINVAL);
	ck_assert_int_eq(stile_device_open_best(NULL, &none, &device), -EINVAL);
	ck_assert_ptr_null(device);

	struct {
		struct stile_device_info info;
		uint64_t more;
	} newer = { .info = { .size = sizeof(newer) }, .more = 1 };
	ck_assert_int_eq(stile_device_open_best(&newer.info, &report, &device), -E2BIG);
	ck_assert_ptr_null(device);
}
END_TEST

/* ---- STILE_BACKEND ------------------------------------------------------------------------- */

START_TEST(variable_overrides_the_order) {
	begin();
	struct stile_report report;
	struct stile_device *device;
	ck_assert_int_eq(open_as("swgpu", &report, &device), 0);
	ck_assert_str_eq(stile_device_get_backend(device), "swgpu");
	ck_assert(says(&report, "swgpu") && says(&report, "STILE_BACKEND"));
	ck_assert_int_eq(heard.errors, 0);
	stile_device_destroy(device);
}
END_TEST

START_TEST(empty_variable_is_as_if_not_set) {
	begin();
	struct stile_report report;
	struct stile_device *device;
	ck_assert_int_eq(open_as("", &report, &device), 0);
	ck_assert_str_eq(stile_device_get_backend(device), order[find_best()]);
	ck_assert(!says(&report, "STILE_BACKEND"));
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: what is behind the colon is dropped, or split at the next one. */
START_TEST(variables_options_go_to_the_backend) {
	begin();
	struct stile_report report;
	struct stile_device *device;
	ck_assert_int_eq(open_as("swgpu:pitch_align=4K", &report, &device), 0);
	ck_assert_uint_eq(device->limits.create_pitch_align, 4096);
	stile_device_destroy(device);
	ck_assert_int_eq(open_as("swgpu:", &report, &device), 0);
	stile_device_destroy(device);
	ck_assert_int_eq(heard.errors, 0);

	ck_assert_int_eq(open_as("swgpu:a:b=c:d", &report, &device), -EINVAL);
	ck_assert_ptr_null(device);
	ck_assert_int_eq(report.reason, STILE_REASON_OPTION);
	ck_assert_int_eq(report.error, -EINVAL);
	ck_assert(says(&report, "STILE_BACKEND=swgpu:a:b=c:d: "));
	ck_assert_int_eq(heard.errors, 1);
}
END_TEST

/* Wrong code: one that is wanted does not open, and another one is taken. */
START_TEST(variable_that_cannot_be_met_is_an_error) {
	static const char *const values[] = { "no-such", "swgp", "swgpu2", "SWGPU", ":", ":swgpu",
		" swgpu" };
	begin();
	for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
		struct stile_report report;
		struct stile_device *device = (struct stile_device *)&device;
		ck_assert_int_eq(open_as(values[i], &report, &device), -ENODEV);
		ck_assert_ptr_null(device);
		ck_assert_int_eq(report.reason, STILE_REASON_OPTION);
		char part[64];
		snprintf(part, sizeof(part), "STILE_BACKEND=%s: ", values[i]);
		ck_assert_int_eq(strncmp(report.text, part, strlen(part)), 0);
		const char *name;
		for (size_t k = 0; (name = stile_backend_get_name(k)) != NULL; k++) {
			ck_assert_msg(says(&report, name), "no %s in '%s'", name, report.text);
		}
	}
	ck_assert_int_eq(heard.errors, (int)ARRAY_LENGTH(values));
	ck_assert_int_eq(heard.infos, 0);
}
END_TEST

/* Wrong code: the next in order instead of one that is not there. */
START_TEST(variables_backend_that_does_not_open_gives_its_own_error) {
	begin();
	struct stile_report report;
	struct stile_device *device, *direct;
	struct stile_device_info info = { .size = sizeof(info), .options = "heap=no-such-heap" };
	int expected = stile_device_open("dmabuf", &info, &direct);
	ck_assert_int_lt(expected, 0);
	ck_assert_int_eq(open_as("dmabuf:heap=no-such-heap", &report, &device), expected);
	ck_assert_ptr_null(device);
	ck_assert(says(&report, "STILE_BACKEND=dmabuf:heap=no-such-heap: "));
	ck_assert_int_eq(heard.errors, 1);
}
END_TEST

/* ---- Shortage ------------------------------------------------------------------------------ */

static struct stile_device *swept;
static char swept_backend[32];

static int attempt_open(void *user) {
	return stile_device_open_best(NULL, user, &swept);
}

static void after_open(void *user, int ret) {
	const struct stile_report *report = user;
	ck_assert_int_eq(swept == NULL, ret < 0);
	if (ret == 0) {
		ck_assert_str_eq(stile_device_get_backend(swept), swept_backend);
	} else {
		ck_assert_int_eq(report->error, ret);
		ck_assert_int_eq(report->reason, STILE_REASON_RESOURCES);
	}
	stile_device_destroy(swept);
}

/*
 * Wrong code: a moment's want of memory or descriptors makes another backend be taken, for the life of the
 * program.
 */
START_TEST(shortage_is_told_and_never_another_backend) {
	static const int errors[] = { -ENOMEM, -EMFILE, -EAGAIN, 0 };
	begin();
	snprintf(swept_backend, sizeof(swept_backend), "%s", order[find_best()]);
	struct stile_report report = { .size = sizeof(report) };
	ck_assert_uint_ge(failing_sweep(attempt_open, after_open, &report, errors), 2);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("best");
	TCase *best = ledger_tcase_create("best");
	tcase_add_test(best, first_that_opens_is_taken_and_the_others_reasons_are_told);
	tcase_add_test(best, device_has_the_callers_log_and_flags);
	tcase_add_test(best, defaults_do_without_info_and_report);
	tcase_add_test(best, callers_mistakes_are_refused);
	tcase_add_test(best, variable_overrides_the_order);
	tcase_add_test(best, empty_variable_is_as_if_not_set);
	tcase_add_test(best, variables_options_go_to_the_backend);
	tcase_add_test(best, variable_that_cannot_be_met_is_an_error);
	tcase_add_test(best, variables_backend_that_does_not_open_gives_its_own_error);
	tcase_add_test(best, shortage_is_told_and_never_another_backend);
	suite_add_tcase(s, best);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
