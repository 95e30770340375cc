/* SPDX-License-Identifier: MIT */
/* Structs that begin with their size: an older or newer caller of the same library. */
#include <errno.h>
#include <string.h>

#include <stile/stile.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/abi.h"
#include "src/macros.h"
#include "src/path.h"
#include "src/report.h"

/* What the library knows, and what a newer caller knows. */
struct known {
	size_t size;
	uint32_t a;
	uint32_t b;
};

struct newer {
	size_t size;
	uint32_t a;
	uint32_t b;
	uint32_t c;
	uint32_t d;
};

struct in_case {
	const char *what;
	struct newer from;
	int ret;
	uint32_t a, b;
};

/* Wrong code: too much read from a short struct; a field that nobody knows ignored. */
static const struct in_case in_cases[] = {
	{ "the same", { sizeof(struct known), 1, 2, 9, 9 }, 0, 1, 2 },
	{ "older by a field", { offsetof(struct known, b), 1, 9, 9, 9 }, 0, 1, 0 },
	{ "nothing but its size", { sizeof(size_t), 9, 9, 9, 9 }, 0, 0, 0 },
	{ "newer, not used", { sizeof(struct newer), 1, 2, 0, 0 }, 0, 1, 2 },
	{ "newer, first field used", { sizeof(struct newer), 1, 2, 1, 0 }, -E2BIG, 7, 7 },
	{ "newer, last byte used", { sizeof(struct newer), 1, 2, 0, 0x01000000 }, -E2BIG, 7, 7 },
	{ "no size", { 0, 1, 2, 0, 0 }, -EINVAL, 7, 7 },
	{ "smaller than its size", { sizeof(size_t) - 1, 1, 2, 0, 0 }, -EINVAL, 7, 7 },
	{ "rubbish", { SIZE_MAX, 1, 2, 0, 0 }, -EINVAL, 7, 7 },
	{ "uninitialised", { (size_t)0xa5a5a5a5, 1, 2, 0, 0 }, -EINVAL, 7, 7 },
};

START_TEST(struct_of_any_version_is_read) {
	const struct in_case *c = &in_cases[_i];
	struct known to = { .size = 7, .a = 7, .b = 7 };
	int ret = abi_copy_in(&to, sizeof(to), &c->from);
	ck_assert_msg(ret == c->ret, "%s: %d instead of %d", c->what, ret, c->ret);
	ck_assert_msg(to.a == c->a && to.b == c->b, "%s: %u, %u", c->what, to.a, to.b);
	ck_assert_uint_eq(to.size, ret == 0 ? sizeof(to) : 7);
}
END_TEST

struct out_case {
	const char *what;
	size_t size;
	uint32_t a, b, c, d; /* afterwards, 7 before */
};

/* Wrong code: written behind the end of an older caller's struct; its size changed. */
static const struct out_case out_cases[] = {
	{ "the same", sizeof(struct known), 1, 2, 7, 7 },
	{ "older by a field", offsetof(struct known, b), 1, 7, 7, 7 },
	{ "nothing but its size", sizeof(size_t), 7, 7, 7, 7 },
	{ "newer: zero", sizeof(struct newer), 1, 2, 0, 0 },
};

START_TEST(struct_of_any_version_is_written) {
	const struct out_case *c = &out_cases[_i];
	struct newer to = { c->size, 7, 7, 7, 7 };
	const struct known from = { .size = 99, .a = 1, .b = 2 };
	ck_assert_int_eq(abi_check_out(&to), 0);
	abi_copy_out(&to, &from, sizeof(from));
	ck_assert_msg(
		to.size == c->size && to.a == c->a && to.b == c->b && to.c == c->c && to.d == c->d,
		"%s: size %zu, %u, %u, %u, %u", c->what, to.size, to.a, to.b, to.c, to.d);
}
END_TEST

START_TEST(impossible_size_of_a_result_is_refused) {
	static const size_t sizes[] = { 0, 1, sizeof(size_t) - 1, 4097, SIZE_MAX };
	struct stile_report report = { .size = sizes[_i] };
	struct stile_path path = { .size = sizes[_i] };
	ck_assert_int_eq(abi_check_out(&report), -EINVAL);
	ck_assert_int_eq(report_begin(&report), -EINVAL);
	ck_assert_int_eq(path_check(&path), -EINVAL);
	ck_assert_uint_eq(report.size, sizes[_i]);
}
END_TEST

START_TEST(missing_result_is_fine) {
	ck_assert_int_eq(report_begin(NULL), 0);
	report_give(NULL, &(struct stile_report){ .reason = STILE_REASON_DRIVER });
	ck_assert_int_eq(path_check(NULL), 0);
	path_give(NULL, STILE_PATH_BRIDGE, 1);
}
END_TEST

/* Wrong code: the end of a long text without a NUL. */
START_TEST(long_reason_is_cut) {
	struct stile_report report;
	char text[1000];
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(
		report_refuse(&report, -EIO, STILE_REASON_DRIVER, 3, 4, 5, "%s", text), -EIO);
	ck_assert_uint_eq(strlen(report.text), sizeof(report.text) - 1);
	ck_assert_int_eq(report.error, -EIO);
	ck_assert_uint_eq(report.plane, 3);
	ck_assert_uint_eq(report.needed, 4);
	ck_assert_uint_eq(report.actual, 5);
}
END_TEST

/* Wrong code: the text of a caller that was built when it was shorter without a NUL, or one written behind it. */
START_TEST(an_older_callers_reason_is_cut) {
	enum { OLD = offsetof(struct stile_report, text) + 256 };
	struct stile_report from, to;
	memset(&to, 'o', sizeof(to));
	to.size = OLD;
	report_refuse(&from, -EIO, STILE_REASON_DRIVER, 0, 0, 0, "%0300d", 7);
	report_give(&to, &from);
	ck_assert_uint_eq(strnlen(to.text, sizeof(to.text)), 255);
	ck_assert_int_eq(to.text[256], 'o');
	ck_assert_uint_eq(to.size, OLD);
}
END_TEST

/* ---- Through the functions that take such structs ------------------------------------------ */

/* Room for any of them, and for what a newer caller has behind it. */
union any {
	size_t size;
	struct stile_device_info device;
	struct stile_buffer_info buffer;
	struct stile_image_info image;
	struct stile_constraints constraints;
	unsigned char bytes[512];
};

static struct stile_device *device;

static void setup(void) {
	ck_assert_int_eq(stile_device_open("swgpu", NULL, &device), 0);
}

static void teardown(void) {
	stile_device_destroy(device);
}

static int give_device(const union any *any) {
	struct stile_device *other = NULL;
	int ret = stile_device_open("swgpu", &any->device, &other);
	stile_device_destroy(other);
	return ret;
}

static int give_buffer(const union any *any) {
	struct stile_buffer *buffer = NULL;
	int ret = stile_buffer_create(device, &any->buffer, &buffer);
	stile_buffer_unref(buffer);
	return ret;
}

static int give_image(const union any *any) {
	struct stile_image *image = NULL;
	int ret = stile_image_create(device, &any->image, &image);
	stile_image_unref(image);
	return ret;
}

static struct stile_image_info small_picture(void) {
	return (struct stile_image_info){
		.size = sizeof(struct stile_image_info),
		.width = 1,
		.height = 1,
		.fourcc = DRM_FORMAT_R8,
		.usage = STILE_USAGE_WRITE,
	};
}

/* Only the struct's own errors: what it describes has no descriptor. */
static int give_import(const union any *any) {
	union any copy = *any;
	copy.image.plane_count = 1;
	copy.image.planes[0] = (struct stile_image_plane){ .fd = -1, .pitch = 16 };
	struct stile_image *image;
	int ret = stile_image_import(device, &copy.image, NULL, &image);
	ck_assert_int_eq(stile_image_check(device, &copy.image, NULL), ret);
	return ret == -EBADF ? 0 : ret;
}

static int give_constraints(const union any *any) {
	struct stile_image_info info = small_picture();
	struct stile_image *image;
	ck_assert_int_eq(stile_image_create(device, &info, &image), 0);
	int ret = stile_image_check_constraints(image, &any->constraints, NULL);
	stile_image_unref(image);
	return ret;
}

static const struct {
	const char *what;
	int (*give)(const union any *any);
	size_t size;
} functions[] = {
	{ "stile_device_open", give_device, sizeof(struct stile_device_info) },
	{ "stile_buffer_create", give_buffer, sizeof(struct stile_buffer_info) },
	{ "stile_image_create", give_image, sizeof(struct stile_image_info) },
	{ "stile_image_import", give_import, sizeof(struct stile_image_info) },
	{ "stile_image_check_constraints", give_constraints, sizeof(struct stile_constraints) },
};

static void fill(union any *any, size_t function) {
	memset(any, 0, sizeof(*any));
	if (functions[function].give == give_buffer) {
		any->buffer.bytes = 1;
	} else if (functions[function].size == sizeof(struct stile_image_info)) {
		any->image = small_picture();
	}
	any->size = functions[function].size;
}

/* Wrong code: a function that copies its struct by itself. */
START_TEST(every_function_checks_its_struct) {
	const char *what = functions[_i].what;
	union any any;
	fill(&any, (size_t)_i);
	ck_assert_msg(functions[_i].give(&any) == 0, "%s", what);
	any.size = functions[_i].size + 40;
	ck_assert_msg(functions[_i].give(&any) == 0, "%s: longer, not used", what);
	any.bytes[functions[_i].size + 39] = 1;
	ck_assert_msg(functions[_i].give(&any) == -E2BIG, "%s: longer, used", what);
	any.size = functions[_i].size;
	ck_assert_msg(functions[_i].give(&any) == 0, "%s: not looked at", what);
	static const size_t impossible[] = { 0, sizeof(size_t) - 1, 4097, SIZE_MAX };
	for (size_t i = 0; i < ARRAY_LENGTH(impossible); i++) {
		any.size = impossible[i];
		ck_assert_msg(functions[_i].give(&any) == -EINVAL, "%s: size %zu", what, any.size);
	}
}
END_TEST

START_TEST(library_has_the_version_of_its_headers) {
	ck_assert_str_eq(stile_version_get(), STILE_VERSION);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("abi");
	TCase *structs = ledger_tcase_create("structs");
	tcase_add_loop_test(structs, struct_of_any_version_is_read, 0, ARRAY_LENGTH(in_cases));
	tcase_add_loop_test(structs, struct_of_any_version_is_written, 0, ARRAY_LENGTH(out_cases));
	tcase_add_loop_test(structs, impossible_size_of_a_result_is_refused, 0, 5);
	tcase_add_test(structs, missing_result_is_fine);
	tcase_add_test(structs, long_reason_is_cut);
	tcase_add_test(structs, an_older_callers_reason_is_cut);
	tcase_add_test(structs, library_has_the_version_of_its_headers);
	suite_add_tcase(s, structs);

	TCase *calls = ledger_tcase_create("functions");
	tcase_add_checked_fixture(calls, setup, teardown);
	tcase_add_loop_test(calls, every_function_checks_its_struct, 0, ARRAY_LENGTH(functions));
	suite_add_tcase(s, calls);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
