/* SPDX-License-Identifier: MIT */
/* Images of what a negotiation has found: made as all need them, and where that fails, as the next best. */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <stile/buffer.h>
#include <stile/create_for.h>
#include <stile/device.h>
#include <stile/dmabuf.h>
#include <stile/negotiate.h>
#include <stile/swgpu_modifier.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/modifiers.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum { READ = STILE_USAGE_READ, BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE };

#define TAKES(name, code, ...) \
	static const struct stile_party_modifier name##_modifiers[] = { __VA_ARGS__ }; \
	static const struct stile_party_format name[] = { { (code), name##_modifiers, \
		ARRAY_LENGTH(name##_modifiers) } }
#define MOD(value) \
	{ .modifier = (value) }

TAKES(nv12_linear, DRM_FORMAT_NV12, MOD(DRM_FORMAT_MOD_LINEAR));
TAKES(xrgb_linear, DRM_FORMAT_XRGB8888, MOD(DRM_FORMAT_MOD_LINEAR));
TAKES(xrgb_tiled, DRM_FORMAT_XRGB8888, MOD(I915_FORMAT_MOD_X_TILED));
TAKES(xrgb_both, DRM_FORMAT_XRGB8888, MOD(I915_FORMAT_MOD_X_TILED), MOD(DRM_FORMAT_MOD_LINEAR));
TAKES(xrgb_all, DRM_FORMAT_XRGB8888, MOD(DRM_FORMAT_MOD_INVALID), MOD(I915_FORMAT_MOD_X_TILED),
	MOD(I915_FORMAT_MOD_Y_TILED), MOD(DRM_FORMAT_MOD_LINEAR));

/* Without needs, and with the same kinds of memory and of waiting as all others. */
#define PARTY_WITH(name_, formats_, ...) \
	(struct stile_party) { \
		.size = sizeof(struct stile_party), .name = (name_), .formats = (formats_), \
		.format_count = ARRAY_LENGTH(formats_), .sync = STILE_SYNC_CPU, __VA_ARGS__ \
	}
#define PARTY(name, formats) PARTY_WITH(name, formats, .memory = STILE_MEMORY_MEMFD)
#define ALLOCATOR_WITH(name, formats, ...) \
	PARTY_WITH(name, formats, .allocates = STILE_MEMORY_MEMFD, __VA_ARGS__)
#define ALLOCATOR(name, formats) ALLOCATOR_WITH(name, formats, .memory = STILE_MEMORY_MEMFD)
#define NEGOTIATE(...) \
	negotiate((struct stile_party[]){ __VA_ARGS__ }, \
		sizeof((struct stile_party[]){ __VA_ARGS__ }) / sizeof(struct stile_party))

static struct stile_device *device;
static struct stile_device *devices[3]; /* the first allocates; no others */
static struct stile_want want;
static struct stile_layout layout;
static struct stile_report report;
static struct stile_pick pick;
static struct stile_image *image;
static char heard[2048];

static void hear(void *user, enum stile_log_level level, const char *text) {
	(void)user;
	size_t length = strlen(heard);
	snprintf(heard + length, sizeof(heard) - length, "%d %s\n", (int)level, text);
}

static void setup(void) {
	const struct stile_device_info info = { .size = sizeof(info), .log = hear };
	heard[0] = '\0';
	ck_assert_int_eq(stile_device_open("swgpu", &info, &device), 0);
	devices[0] = device;
	want = (struct stile_want){
		.size = sizeof(want), .width = 100, .height = 50, .ladder = STILE_STEP_CPU_COPY
	};
	layout = (struct stile_layout){ .size = sizeof(layout) };
	report = (struct stile_report){ .size = sizeof(report) };
	pick = (struct stile_pick){ .size = sizeof(pick) };
	image = NULL;
}

static void teardown(void) {
	stile_image_unref(image);
	stile_layout_fini(&layout);
	stile_device_destroy(device);
}

static void negotiate(const struct stile_party *parties, size_t count) {
	stile_layout_fini(&layout);
	int ret = stile_negotiate(parties, count, &want, &layout, &report);
	ck_assert_msg(ret == 0, "%s", report.text);
}

static int create(const struct stile_create_for_info *info) {
	stile_image_unref(image);
	return stile_image_create_for(&layout, devices, info, &pick, &report, &image);
}

static void expect_refusal(int ret, int error, enum stile_reason reason, const char *text) {
	ck_assert_int_eq(ret, error);
	ck_assert_int_eq(report.error, error);
	ck_assert_int_eq(report.reason, reason);
	ck_assert_msg(strstr(report.text, text) != NULL, "%s", report.text);
	ck_assert_ptr_null(image);
}

/* ---- As all need it ------------------------------------------------------------------------ */

/* Wrong code: laid out as the allocator does for itself. */
START_TEST(image_is_as_all_need_it) {
	static const struct stile_constraints display = {
		.size = sizeof(display), .usage = READ, .pitch_align = 512
	};
	static const struct stile_constraints decoder = {
		.size = sizeof(decoder),
		.usage = STILE_USAGE_WRITE,
		.offset_align = 4096,
		.height_align = 32,
	};
	NEGOTIATE(ALLOCATOR("memory", nv12_linear),
		PARTY_WITH("display", nv12_linear, .memory = STILE_MEMORY_MEMFD, .needs = &display),
		PARTY_WITH(
			"decoder", nv12_linear, .memory = STILE_MEMORY_MEMFD, .needs = &decoder));
	const struct stile_create_for_info info = { .size = sizeof(info), .name = "frame" };
	ck_assert_int_eq(create(&info), 0);
	const struct stile_image_info *made = stile_image_get_info(image);
	ck_assert_uint_eq(made->width, 100);
	ck_assert_uint_eq(made->height, 50);
	ck_assert_uint_eq(made->fourcc, DRM_FORMAT_NV12);
	ck_assert_uint_eq(made->modifier, DRM_FORMAT_MOD_LINEAR);
	ck_assert_uint_eq(made->usage, BOTH);
	ck_assert_str_eq(made->name, "frame");
	ck_assert_uint_eq(made->planes[0].pitch, 512);
	ck_assert_uint_eq(made->planes[1].offset, 512 * 64);
	const struct stile_constraints *needs = &stile_layout_get_tranche(&layout, 0)->needs;
	ck_assert_msg(stile_image_check_constraints(image, needs, &report) == 0, "%s", report.text);
}
END_TEST

/* Wrong code: the extent of the negotiation whatever is asked for; the usage of one of both. */
START_TEST(more_can_be_wanted) {
	static const struct stile_constraints reads = { .size = sizeof(reads), .usage = READ };
	NEGOTIATE(ALLOCATOR_WITH(
		"memory", xrgb_linear, .memory = STILE_MEMORY_MEMFD, .needs = &reads));
	const struct stile_create_for_info info = {
		.size = sizeof(info), .width = 3, .height = 2, .usage = STILE_USAGE_WRITE
	};
	ck_assert_int_eq(create(&info), 0);
	ck_assert_uint_eq(stile_image_get_info(image)->width, 3);
	ck_assert_uint_eq(stile_image_get_info(image)->height, 2);
	ck_assert_uint_eq(stile_image_get_info(image)->usage, BOTH);
	ck_assert_int_eq(create(NULL), 0);
	ck_assert_uint_eq(stile_image_get_info(image)->width, 100);
	ck_assert_uint_eq(stile_image_get_info(image)->usage, READ);
}
END_TEST

/* Wrong code: a size that nobody has said is 0 x 0. */
START_TEST(extent_may_come_late) {
	want.width = want.height = 0;
	NEGOTIATE(ALLOCATOR("memory", xrgb_linear));
	expect_refusal(create(NULL), -EINVAL, STILE_REASON_CALLER, "how large");
	const struct stile_create_for_info info = { .size = sizeof(info), .width = 3, .height = 2 };
	ck_assert_int_eq(create(&info), 0);
	const struct stile_create_for_info half = { .size = sizeof(half), .width = 3 };
	expect_refusal(create(&half), -EINVAL, STILE_REASON_CALLER, "how large");
}
END_TEST

/* Wrong code: one image for both sides of a copy. */
START_TEST(copy_has_an_image_on_each_side) {
	static const struct stile_constraints writes = {
		.size = sizeof(writes), .usage = STILE_USAGE_WRITE, .pitch_align = 1024
	};
	static const struct stile_constraints reads = { .size = sizeof(reads), .usage = READ };
	/* Neither takes memory of others. */
	NEGOTIATE(ALLOCATOR_WITH("camera", xrgb_linear, .needs = &writes, .flags = STILE_PARTY_CPU),
		ALLOCATOR_WITH("screen", xrgb_linear, .needs = &reads, .flags = STILE_PARTY_CPU));
	ck_assert_int_eq(layout.step, STILE_STEP_CPU_COPY);
	devices[1] = device;
	const struct stile_create_for_info source = { .size = sizeof(source),
		.flags = STILE_CREATE_FOR_SOURCE };
	ck_assert_int_eq(create(&source), 0);
	ck_assert_uint_eq(stile_image_get_info(image)->planes[0].pitch, 1024);
	ck_assert_int_eq(create(NULL), 0);
	ck_assert_uint_eq(stile_image_get_info(image)->planes[0].pitch, 448);
	devices[1] = NULL;
	expect_refusal(
		create(NULL), -EOPNOTSUPP, STILE_REASON_MEMORY_KIND, "screen is to allocate");
	NEGOTIATE(ALLOCATOR("memory", xrgb_linear));
	expect_refusal(create(&source), -EINVAL, STILE_REASON_CALLER, "there is no source");
}
END_TEST

/* ---- One after another --------------------------------------------------------------------- */

/* Wrong code: the first refusal is the end; refusals hidden; each image finds out anew. */
START_TEST(next_choice_is_taken) {
	NEGOTIATE(ALLOCATOR_WITH("memory", xrgb_all, .memory = STILE_MEMORY_MEMFD, .device = 7));
	ck_assert_uint_eq(stile_layout_get_tranche(&layout, 0)->choice_count, 4);
	ck_assert_int_eq(create(NULL), 0);
	ck_assert_uint_eq(stile_image_get_info(image)->modifier, DRM_FORMAT_MOD_LINEAR);
	ck_assert_uint_eq(pick.tranche, 0);
	ck_assert_uint_eq(pick.choice, 2);
	ck_assert_int_eq(report.reason, STILE_REASON_NONE);
	ck_assert_int_eq(report.error, 0);
	const char text[] =
		"XRGB8888 with 0x0 (LINEAR) of tranche 0; XRGB8888 with "
		"0x100000000000001 (INTEL X_TILED) of tranche 0: modifier 0x100000000000001 "
		"(INTEL X_TILED) is not taken here";
	ck_assert_msg(strncmp(report.text, text, strlen(text)) == 0, "%s", report.text);
	ck_assert_msg(
		strstr(heard,
			"3 image '' not as XRGB8888 with 0x100000000000002 (INTEL Y_TILED) of "
			"tranche 0: modifier 0x1") != NULL,
		"%s", heard);
	ck_assert_ptr_null(strstr(heard, "1 image"));

	heard[0] = '\0';
	ck_assert_int_eq(create(NULL), 0);
	ck_assert_str_eq(report.text, "XRGB8888 with 0x0 (LINEAR) of tranche 0");
	ck_assert_str_eq(heard, "");
	pick.choice = 3;
	expect_refusal(create(NULL), -EOPNOTSUPP, STILE_REASON_MODIFIER,
		"XRGB8888 with 0xffffffffffffff (INVALID) of tranche 0: the modifier is "
		"DRM_FORMAT_MOD_INVALID");
	ck_assert_uint_eq(pick.choice, 3);
}
END_TEST

/* Wrong code: parameters left out, or the end of what has them cut: in the report, in the log. */
START_TEST(parameters_of_a_refused_layout_are_told) {
	const struct stile_create_for_info info = { .size = sizeof(info),
		.name = "of thirty-one characters, named" };
	const uint64_t modifier = modifiers_cases[0].modifier;
	const struct stile_party_modifier modifiers[] = { MOD(modifier),
		MOD(DRM_FORMAT_MOD_LINEAR) };
	const struct stile_party_format formats[] = { { DRM_FORMAT_XRGB8888, modifiers, 2 } };
	const struct modifiers_text name = modifiers_expect(modifier);
	char text[768];
	NEGOTIATE(ALLOCATOR("memory", formats));
	ck_assert_int_eq(create(&info), 0);
	snprintf(text, sizeof(text),
		"XRGB8888 with 0x0 (LINEAR) of tranche 0; XRGB8888 with %s of tranche 0: "
		"modifier %s is not taken here; taken: 0x0 (LINEAR) and others",
		name.text, name.text);
	ck_assert_str_eq(report.text, text);
	snprintf(text, sizeof(text),
		"3 image '%s' not as XRGB8888 with %s of tranche 0: modifier %s is not taken "
		"here; taken: 0x0 (LINEAR) and others\n",
		info.name, name.text, name.text);
	ck_assert_str_eq(heard, text);
}
END_TEST

/* Wrong code: no tranche but the first; a choice that goes on counting in the next one. */
START_TEST(next_tranche_is_taken) {
	NEGOTIATE(ALLOCATOR("memory", xrgb_both),
		PARTY_WITH("plane", xrgb_tiled, .memory = STILE_MEMORY_MEMFD,
			.flags = STILE_PARTY_OPTIONAL));
	ck_assert_uint_eq(layout.tranche_count, 2);
	ck_assert_int_eq(create(NULL), 0);
	ck_assert_uint_eq(pick.tranche, 1);
	ck_assert_uint_eq(pick.choice, 0);
	ck_assert_ptr_nonnull(strstr(report.text, "(LINEAR) of tranche 1; XRGB8888 with 0x1"));
	stile_image_unref(image);
	ck_assert_int_eq(stile_image_create_for(&layout, devices, NULL, NULL, NULL, &image), 0);
}
END_TEST

/* Wrong code: the numbers of the last refusal; a report that is cut where it gets interesting. */
START_TEST(first_refusal_has_the_numbers) {
	want.width = want.height = 0;
	NEGOTIATE(ALLOCATOR("memory", xrgb_both));
	const struct stile_create_for_info info = {
		.size = sizeof(info), .width = 16385, .height = 2, .name = "wide"
	};
	expect_refusal(create(&info), -ERANGE, STILE_REASON_EXTENT, "at most 16384");
	ck_assert_uint_eq(report.needed, 16384);
	ck_assert_uint_eq(report.actual, 16385);
	ck_assert_ptr_nonnull(strstr(heard, "image 'wide' not as XRGB8888 with 0x0 (LINEAR)"));
}
END_TEST

/* Wrong code: larger than what all can take, since it was not known how large when they agreed. */
START_TEST(limits_are_those_of_all) {
	static const struct stile_constraints screen = { .size = sizeof(screen), .max_width = 64 };
	want.width = want.height = 0;
	NEGOTIATE(ALLOCATOR("memory", xrgb_linear),
		PARTY_WITH("screen", xrgb_linear, .memory = STILE_MEMORY_MEMFD, .needs = &screen));
	struct stile_create_for_info info = { .size = sizeof(info), .width = 65, .height = 2 };
	expect_refusal(create(&info), -ERANGE, STILE_REASON_EXTENT, "at most 64");
	ck_assert_uint_eq(report.needed, 64);
	info.width = 64;
	ck_assert_int_eq(create(&info), 0);
}
END_TEST

/* An application's allocator, that gives this. */
static struct {
	int error;
	unsigned calls;
} app;

static int refuse_memory(void *priv, uint64_t bytes, const char *name, int *fd) {
	(void)priv, (void)bytes, (void)name, (void)fd;
	app.calls++;
	return app.error;
}

static int refuse_image(void *priv, struct stile_image_info *info) {
	(void)priv, (void)info;
	app.calls++;
	return app.error;
}

static struct stile_device *open_allocator(int (*allocate)(void *, uint64_t, const char *, int *),
	int (*allocate_image)(void *, struct stile_image_info *)) {
	static const uint64_t modifiers[] = { I915_FORMAT_MOD_X_TILED, DRM_FORMAT_MOD_LINEAR };
	const struct stile_dmabuf_allocator table = {
		.size = sizeof(table),
		.name = "app",
		.allocate = allocate,
		.allocate_image = allocate_image,
		.modifiers = modifiers,
		.modifier_count = ARRAY_LENGTH(modifiers),
	};
	struct stile_device *opened;
	ck_assert_int_eq(stile_dmabuf_open(&table, NULL, &opened), 0);
	return opened;
}

/* Wrong code: without descriptors, all choices are tried, and the error is another one. */
START_TEST(shortage_is_no_fault_of_the_choice) {
	static const struct {
		int error;
		unsigned calls;
	} cases[] = { { -EMFILE, 1 }, { -ENFILE, 1 }, { -ENOSPC, 2 }, { -ENOMEM, 2 } };
	struct stile_device *opened = open_allocator(refuse_memory, refuse_image);
	NEGOTIATE(ALLOCATOR("memory", xrgb_both));
	stile_layout_fini(&layout);
	struct stile_party party = { .size = sizeof(party) };
	want.fourccs = &(uint32_t){ DRM_FORMAT_XRGB8888 };
	want.fourcc_count = 1;
	ck_assert_int_eq(stile_device_get_party(opened, READ, NULL, &party), 0);
	NEGOTIATE(party);
	stile_party_fini(&party);
	devices[0] = opened;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		app.error = cases[i].error;
		app.calls = 0;
		expect_refusal(create(NULL), cases[i].error, STILE_REASON_RESOURCES,
			"of tranche 0: dmabuf makes no such memory: ");
		ck_assert_uint_eq(app.calls, cases[i].calls);
	}
	stile_device_destroy(opened);
}
END_TEST

/* In memory of the kernel's, with pitches of its own. */
static int make_memory(void *priv, uint64_t bytes, const char *name, int *fd) {
	(void)name;
	struct dma_heap_allocation_data args = { .len = bytes, .fd_flags = O_RDWR | O_CLOEXEC };
	int ret = ioctl(*(const int *)priv, DMA_HEAP_IOCTL_ALLOC, &args);
	*fd = (int)args.fd;
	return ret < 0 ? -errno : 0;
}

static int make_image(void *priv, struct stile_image_info *info) {
	app.calls++;
	info->plane_count = 1;
	info->planes[0] = (struct stile_image_plane){ .pitch = 448 };
	return make_memory(priv, 65536, "", &info->planes[0].fd);
}

/* Wrong code: what an allocator lays out is taken as it is; or not at all. Where the kernel has heaps. */
START_TEST(layout_of_the_allocator_is_checked) {
	static const struct stile_constraints needs = { .size = sizeof(needs), .pitch_align = 256 };
	int heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);
	if (heap < 0) {
		return;
	}
	const struct stile_dmabuf_allocator table = {
		.size = sizeof(table),
		.priv = &heap,
		.allocate = make_memory,
		.allocate_image = make_image,
	};
	struct stile_device *opened;
	ck_assert_int_eq(stile_dmabuf_open(&table, NULL, &opened), 0);
	devices[0] = opened;
	app.calls = 0;
	const struct stile_party party = PARTY_WITH("heap", xrgb_linear,
		.memory = STILE_MEMORY_MEMFD, .allocates = STILE_MEMORY_DMA_BUF);
	NEGOTIATE(party);
	ck_assert_int_eq(create(NULL), 0);
	ck_assert_uint_eq(stile_image_get_info(image)->planes[0].pitch, 448);
	struct stile_party strict = party;
	strict.needs = &needs;
	NEGOTIATE(strict);
	ck_assert_int_eq(create(NULL), 0);
	ck_assert_uint_eq(stile_image_get_info(image)->planes[0].pitch, 512);
	ck_assert_uint_eq(app.calls, 2);
	stile_image_unref(image);
	image = NULL;
	stile_device_destroy(opened);
	close(heap);
}
END_TEST

/* ---- From elsewhere ------------------------------------------------------------------------ */

/* Wrong code: memory of another kind than was agreed on. */
START_TEST(memory_from_elsewhere_is_not_made) {
	NEGOTIATE(PARTY("EGL", xrgb_linear));
	expect_refusal(create(NULL), -EOPNOTSUPP, STILE_REASON_MEMORY_KIND,
		"tranche 0: no party allocates: the memory, memfd, has to come from elsewhere");
	NEGOTIATE(PARTY("EGL", xrgb_linear), ALLOCATOR("camera", xrgb_linear));
	expect_refusal(create(NULL), -EOPNOTSUPP, STILE_REASON_MEMORY_KIND,
		"camera is to allocate the memory, memfd, and no device was given for it");
	NEGOTIATE(PARTY_WITH("GPU", xrgb_linear, .memory = STILE_MEMORY_MEMFD,
		.allocates = STILE_MEMORY_DMA_BUF));
	expect_refusal(create(NULL), -EOPNOTSUPP, STILE_REASON_MEMORY_KIND,
		"the device swgpu (plain) makes memfd, and dma-buf was agreed on");
	ck_assert_uint_eq(report.needed, STILE_MEMORY_DMA_BUF);
	ck_assert_uint_eq(report.actual, STILE_MEMORY_MEMFD);
}
END_TEST

/* Wrong code: an index beyond the end read; unknown flags ignored. */
START_TEST(impossible_calls_are_refused) {
	struct stile_create_for_info info = { .size = sizeof(info), .flags = 2 };
	NEGOTIATE(ALLOCATOR("memory", xrgb_linear));
	expect_refusal(create(&info), -EINVAL, STILE_REASON_CALLER, "unknown flag");
	info = (struct stile_create_for_info){ .size = sizeof(info), .usage = 4 };
	expect_refusal(create(&info), -EINVAL, STILE_REASON_USAGE, "usage 0x4");
	pick.choice = 1;
	expect_refusal(create(NULL), -EINVAL, STILE_REASON_CALLER, "no such choice");
	pick = (struct stile_pick){ .size = sizeof(pick), .tranche = 1 };
	expect_refusal(create(NULL), -EINVAL, STILE_REASON_CALLER, "no such tranche");
	pick.size = 3;
	expect_refusal(create(NULL), -EINVAL, STILE_REASON_USAGE, "size field");
	pick = (struct stile_pick){ .size = sizeof(pick) };
	info = (struct stile_create_for_info){ .size = 3 };
	expect_refusal(create(&info), -EINVAL, STILE_REASON_USAGE, "size field");
	stile_layout_fini(&layout);
	ck_assert_int_lt(stile_negotiate((struct stile_party[]){ PARTY("a", xrgb_linear),
						 PARTY("b", xrgb_tiled) },
				 2, &want, &layout, NULL),
		0);
	expect_refusal(create(NULL), -EOPNOTSUPP, STILE_REASON_POLICY, "found nothing");
}
END_TEST

/* ---- Memory -------------------------------------------------------------------------------- */

static int attempt(void *user) {
	(void)user;
	return stile_image_create_for(&layout, devices, NULL, &pick, &report, &image);
}

static void after(void *user, int ret) {
	(void)user;
	ck_assert_int_eq(report.reason, ret < 0 ? STILE_REASON_RESOURCES : STILE_REASON_NONE);
	ck_assert((image == NULL) == (ret < 0));
	stile_image_unref(image);
	image = NULL;
}

/* Wrong code: what was made of an image before is lost. */
START_TEST(no_memory_is_survived) {
	static const int errors[] = { -ENOMEM, 0 };
	NEGOTIATE(ALLOCATOR("memory", xrgb_linear));
	ck_assert_uint_ge(failing_sweep(attempt, after, NULL, errors), 2);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("create_for");
	TCase *tc = ledger_tcase_create("create_for");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, image_is_as_all_need_it);
	tcase_add_test(tc, more_can_be_wanted);
	tcase_add_test(tc, extent_may_come_late);
	tcase_add_test(tc, copy_has_an_image_on_each_side);
	tcase_add_test(tc, next_choice_is_taken);
	tcase_add_test(tc, parameters_of_a_refused_layout_are_told);
	tcase_add_test(tc, next_tranche_is_taken);
	tcase_add_test(tc, first_refusal_has_the_numbers);
	tcase_add_test(tc, limits_are_those_of_all);
	tcase_add_test(tc, shortage_is_no_fault_of_the_choice);
	tcase_add_test(tc, layout_of_the_allocator_is_checked);
	tcase_add_test(tc, memory_from_elsewhere_is_not_made);
	tcase_add_test(tc, impossible_calls_are_refused);
	tcase_add_test(tc, no_memory_is_survived);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
