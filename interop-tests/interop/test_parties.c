/* SPDX-License-Identifier: MIT */
/*
 * APIs as parties of negotiations: what they say is what they import, what is negotiated can be imported, and
 * checks say what imports say.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demos/gles_drawer.h"
#include "demos/vulkan_drawer.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

enum { READ = STILE_USAGE_READ, BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE, EXTENT = 64 };

static struct vulkan_drawer vulkan;
static struct gles_drawer gles;
static struct stile_device *device;
static struct stile_report report, why;
static unsigned logged;

static void hear(void *user, enum stile_log_level level, const char *text) {
	(void)user, (void)level, (void)text;
	logged++;
}

/* Adapters that are heard, beside the drawers' own. */
static struct stile_vulkan *heard_vulkan;
static struct stile_egl *heard_egl;

static void start(void) {
	ck_assert_int_eq(vulkan_drawer_init(&vulkan, false), 0);
	ck_assert_int_eq(gles_drawer_init(&gles), 0);
	struct stile_vulkan_info info = vulkan_drawer_describe(&vulkan);
	info.log = hear;
	ck_assert_int_eq(stile_vulkan_create(&info, NULL, &heard_vulkan), 0);
	const struct stile_egl_info egl = {
		.size = sizeof(egl),
		.get_proc_address = eglGetProcAddress,
		.display = gles.display,
		.log = hear,
	};
	ck_assert_int_eq(stile_egl_create(&egl, NULL, &heard_egl), 0);
	device = images_open_device();
	report = (struct stile_report){ .size = sizeof(report) };
	why = (struct stile_report){ .size = sizeof(why) };
}

static void stop(void) {
	stile_device_destroy(device);
	stile_egl_destroy(heard_egl);
	stile_vulkan_destroy(heard_vulkan);
	gles_drawer_finish(&gles);
	vulkan_drawer_finish(&vulkan);
}

static void warm_up(void) {
	start();
	stop();
}

/* ---- Parties ------------------------------------------------------------------------------- */

static struct stile_party describe_vulkan(VkImageUsageFlags usage) {
	struct stile_party party = { .size = sizeof(party) };
	int ret = stile_vulkan_get_party(heard_vulkan, usage, &report, &party);
	ck_assert_msg(ret == 0, "%s", report.text);
	return party;
}

static struct stile_party describe_egl(uint32_t usage) {
	struct stile_party party = { .size = sizeof(party) };
	int ret = stile_egl_get_party(heard_egl, usage, &report, &party);
	ck_assert_msg(ret == 0, "%s", report.text);
	return party;
}

static struct stile_party describe_device(uint32_t usage) {
	struct stile_party party = { .size = sizeof(party) };
	ck_assert_int_eq(stile_device_get_party(device, usage, NULL, &party), 0);
	return party;
}

static const struct stile_party_modifier *find_linear(
	const struct stile_party *party, uint32_t fourcc) {
	static const struct stile_party_modifier unsaid = { .modifier = DRM_FORMAT_MOD_LINEAR };
	for (size_t i = 0; i < party->format_count; i++) {
		const struct stile_party_format *format = &party->formats[i];
		if (format->fourcc != fourcc) {
			continue;
		}
		if (format->modifier_count == 0 &&
			(party->flags & STILE_PARTY_UNSAID_IS_LINEAR) != 0) {
			return &unsaid;
		}
		for (size_t j = 0; j < format->modifier_count; j++) {
			if (format->modifiers[j].modifier == DRM_FORMAT_MOD_LINEAR) {
				return &format->modifiers[j];
			}
		}
	}
	return NULL;
}

static int import_vulkan(struct stile_image *image, VkImageUsageFlags usage) {
	struct stile_vulkan_image *imported;
	int ret = stile_vulkan_import_image(heard_vulkan, image, usage, &report, &imported);
	stile_vulkan_image_destroy(imported);
	return ret;
}

static int import_egl(struct stile_image *image) {
	struct stile_egl_image *imported;
	int ret = stile_egl_import_image(heard_egl, image, &report, &imported);
	stile_egl_image_destroy(imported);
	return ret;
}

/* ---- What is said is true ------------------------------------------------------------------ */

static const VkImageUsageFlags usages[] = {
	VK_IMAGE_USAGE_SAMPLED_BIT,
	VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT,
	VK_IMAGE_USAGE_STORAGE_BIT,
	VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT,
};

/* Wrong code: formats of which the adapter refuses every image; usage that is not asked for. */
START_TEST(vulkan_imports_what_it_says_and_nothing_else) {
	struct stile_party party = describe_vulkan(usages[_i]);
	ck_assert_uint_gt(party.format_count, 0);
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		struct stile_image *image = images_create(device, EXTENT, EXTENT, format->fourcc);
		const struct stile_party_modifier *said = find_linear(&party, format->fourcc);
		int ret = import_vulkan(image, usages[_i]);
		ck_assert_msg((said != NULL) == (ret == 0), "%s, usage 0x%x: %s", format->name,
			usages[_i], report.text);
		ck_assert(said == NULL || said->plane_count == format->plane_count);
		ck_assert(said == NULL || said->max_width >= 4096);
		stile_image_unref(image);
	}
	stile_party_fini(&party);
}
END_TEST

/* Wrong code: what is sampled counts as written; a device that is nobody's; alignments left out. */
START_TEST(vulkan_says_who_it_is_and_what_it_needs) {
	struct stile_party reader = describe_vulkan(VK_IMAGE_USAGE_SAMPLED_BIT);
	struct stile_party both = describe_vulkan(VK_IMAGE_USAGE_STORAGE_BIT);
	struct stile_party writer = describe_vulkan(VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT);
	ck_assert_str_eq(reader.name, "Vulkan (llvmpipe)");
	ck_assert_uint_eq(reader.needs->usage, READ);
	ck_assert_uint_eq(both.needs->usage, BOTH);
	ck_assert_uint_eq(writer.needs->usage, STILE_USAGE_WRITE);
	ck_assert_uint_eq(reader.needs->pitch_align, 64);
	ck_assert_uint_ge(reader.needs->offset_align, 16);
	ck_assert_uint_ge(reader.needs->max_width, 4096);
	ck_assert_uint_ne(reader.device, 0);
	ck_assert_uint_eq(reader.device, writer.device);
	ck_assert_uint_eq(reader.memory, STILE_MEMORY_DMA_BUF | STILE_MEMORY_MEMFD);
	ck_assert_uint_ne(reader.sync & STILE_SYNC_CPU, 0);
	stile_party_fini(&reader);
	stile_party_fini(&both);
	stile_party_fini(&writer);
}
END_TEST

/* What it lists it may refuse all the same, but then it is the driver who does. */
static void expect_listed(const struct stile_party *party, const struct stile_format *format) {
	struct stile_image *image = images_create(device, EXTENT, EXTENT, format->fourcc);
	const struct stile_party_modifier *said = find_linear(party, format->fourcc);
	int ret = import_egl(image);
	ck_assert_msg(ret < 0 || said != NULL, "%s", format->name);
	ck_assert_msg(ret == 0 || said == NULL || report.reason == STILE_REASON_DRIVER, "%s: %s",
		format->name, report.text);
	ck_assert_msg(
		format->is_yuv || said == NULL || (said->flags & STILE_PARTY_EXTERNAL_ONLY) == 0,
		"%s", format->name);
	stile_image_unref(image);
}

/* Wrong code: formats left out; RGB that is said to be external. */
START_TEST(egl_imports_nothing_that_it_does_not_say) {
	struct stile_party party = describe_egl(READ);
	unsigned external = 0;
	for (size_t i = 0; i < party.format_count; i++) {
		for (size_t j = 0; j < party.formats[i].modifier_count; j++) {
			external += party.formats[i].modifiers[j].flags != 0;
		}
	}
	ck_assert_uint_gt(external, 0);
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		expect_listed(&party, format);
	}
	stile_party_fini(&party);
}
END_TEST

START_TEST(egl_says_who_it_is_and_what_it_needs) {
	struct stile_party party = describe_egl(READ);
	ck_assert_msg(strncmp(party.name, "EGL (", 5) == 0, "%s", party.name);
	ck_assert_uint_eq(party.needs->usage, READ);
	ck_assert_uint_eq(party.needs->pitch_align, 16);
	ck_assert_uint_eq(party.needs->offset_align, 16);
	ck_assert_uint_eq(party.device, 0);
	ck_assert_uint_eq(party.memory, STILE_MEMORY_DMA_BUF | STILE_MEMORY_MEMFD);
	ck_assert_uint_eq(party.allocates, 0);
	ck_assert_uint_ne(party.sync & STILE_SYNC_CPU, 0);
	stile_party_fini(&party);
}
END_TEST

/* Wrong code: what cannot be given back; a party that is left half full. */
START_TEST(impossible_calls_are_refused) {
	struct stile_party party = { .size = sizeof(party), .flags = 7 };
	ck_assert_int_eq(stile_vulkan_get_party(heard_vulkan, 0, &report, &party), -EINVAL);
	ck_assert_int_eq(report.reason, STILE_REASON_USAGE);
	ck_assert_uint_eq(party.flags, 0);
	ck_assert_int_eq(stile_egl_get_party(heard_egl, 0, &report, &party), -EINVAL);
	ck_assert_int_eq(report.reason, STILE_REASON_USAGE);
	ck_assert_int_eq(stile_egl_get_party(heard_egl, 4, &report, &party), -EINVAL);
	party.size--;
	ck_assert_int_eq(stile_egl_get_party(heard_egl, READ, &report, &party), -EINVAL);
	ck_assert_int_eq(
		stile_vulkan_get_party(heard_vulkan, VK_IMAGE_USAGE_SAMPLED_BIT, &report, &party),
		-EINVAL);
	ck_assert_ptr_null(party.data);
}
END_TEST

/* ---- What is negotiated can be imported ---------------------------------------------------- */

static void expect_shared(const struct stile_layout *layout, const struct stile_choice *choice,
	struct stile_device *const *devices) {
	const char *name = stile_format_get(choice->fourcc)->name;
	struct stile_image *image;
	int ret = stile_image_create_for(layout, devices, NULL, NULL, &report, &image);
	ck_assert_msg(ret == 0, "%s: %s", name, report.text);
	ck_assert_uint_eq(stile_image_get_info(image)->fourcc, choice->fourcc);
	ret = import_vulkan(image, VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT);
	ck_assert_msg(ret == 0, "%s: %s", name, report.text);
	ret = import_egl(image);
	ck_assert_msg(ret == 0, "%s: %s", name, report.text);
	stile_image_unref(image);
}

/* Wrong code: images that one of those refuses who agreed to them. Extents that are no multiples of anything. */
START_TEST(what_is_agreed_on_is_imported_by_all) {
	static const uint32_t extents[][2] = { { 64, 64 }, { 1, 1 }, { 333, 77 }, { 1920, 1080 } };
	struct stile_party parties[] = { describe_device(0),
		describe_vulkan(VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT), describe_egl(READ) };
	struct stile_device *const devices[] = { device, NULL, NULL };
	struct stile_want want = {
		.size = sizeof(want),
		.width = extents[_i][0],
		.height = extents[_i][1],
		.ladder = STILE_STEP_LINEAR,
		.fourcc_count = 1,
	};
	unsigned shared = 0;
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		struct stile_layout layout = { .size = sizeof(layout) };
		want.fourccs = &format->fourcc;
		if (stile_negotiate(parties, 3, &want, &layout, &report) == 0) {
			const struct stile_tranche *tranche = stile_layout_get_tranche(&layout, 0);
			ck_assert_uint_eq(tranche->allocator, 0);
			ck_assert_uint_eq(tranche->memory, STILE_MEMORY_MEMFD);
			expect_shared(&layout, &tranche->choices[0], devices);
			shared++;
		}
		stile_layout_fini(&layout);
	}
	ck_assert_uint_ge(shared, 8);
	for (size_t i = 0; i < 3; i++) {
		stile_party_fini(&parties[i]);
	}
}
END_TEST

/* ---- Checks -------------------------------------------------------------------------------- */

static void expect_same(int checked, int imported, const char *what) {
	ck_assert_msg(checked == imported, "%s: %d and %d, %s", what, checked, imported, why.text);
	ck_assert_int_eq(why.reason, imported == 0 ? STILE_REASON_NONE : report.reason);
	ck_assert_str_eq(why.text, imported == 0 ? "" : report.text);
	ck_assert_uint_eq(why.needed, imported == 0 ? 0 : report.needed);
	ck_assert_uint_eq(why.actual, imported == 0 ? 0 : report.actual);
}

static void check_vulkan(struct stile_image *image, VkImageUsageFlags usage, const char *what) {
	unsigned before = logged;
	int ret = stile_vulkan_check_image(heard_vulkan, image, usage, &why);
	ck_assert_uint_eq(logged, before);
	expect_same(ret, import_vulkan(image, usage), what);
}

static void check_egl(struct stile_image *image, const char *what) {
	unsigned before = logged;
	int ret = stile_egl_check_image(heard_egl, image, &why);
	ck_assert_uint_eq(logged, before);
	int imported = import_egl(image);
	if (imported == 0 || report.reason != STILE_REASON_DRIVER) {
		expect_same(ret, imported, what);
	} else {
		ck_assert_msg(ret == 0, "%s: %s", what, why.text);
	}
}

/* Wrong code: a check that forgets what the import looks at, or tells another reason; that logs. */
START_TEST(checks_say_what_imports_say_of_formats) {
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		struct stile_image *image = images_create(device, EXTENT, EXTENT, format->fourcc);
		for (size_t j = 0; j < sizeof(usages) / sizeof(usages[0]); j++) {
			check_vulkan(image, usages[j], format->name);
		}
		check_vulkan(image, 0, format->name);
		check_egl(image, format->name);
		stile_image_unref(image);
	}
}
END_TEST

/* Pitch, offset and size that drivers do not take. */
static const struct {
	uint32_t width, height, pitch;
	uint64_t offset, bytes;
} odd[] = {
	{ 64, 64, 256, 0, 65536 },      /* as drivers have it */
	{ 64, 64, 512, 0, 65536 },      /* twice as wide */
	{ 64, 64, 256, 4096, 65536 },   /* behind something */
	{ 64, 64, 256, 64, 65536 },     /* behind a little */
	{ 60, 61, 256, 0, 61 * 256 },   /* no row more than there is */
	{ 16384, 1, 65536, 0, 262144 }, /* wide */
	{ 1, 1, 16, 0, 64 },            /* small */
};

START_TEST(checks_say_what_imports_say_of_layouts) {
	struct stile_image *image = images_import_odd(device, odd[_i].width, odd[_i].height,
		odd[_i].pitch, odd[_i].offset, odd[_i].bytes);
	char what[64];
	snprintf(what, sizeof(what), "case %d", _i);
	check_vulkan(image, VK_IMAGE_USAGE_SAMPLED_BIT, what);
	check_egl(image, what);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: a writable descriptor is not asked for. */
START_TEST(checks_say_what_imports_say_of_rights) {
	struct stile_image *image = images_create(device, EXTENT, EXTENT, DRM_FORMAT_ABGR8888);
	struct stile_image *reopened = images_reopen_read_only(image);
	check_vulkan(reopened, VK_IMAGE_USAGE_SAMPLED_BIT, "read-only");
	ck_assert_int_eq(why.error, -EACCES);
	check_egl(reopened, "read-only");
	ck_assert_int_eq(why.error, -EACCES);
	stile_image_unref(reopened);
	stile_image_unref(image);
}
END_TEST

/* Wrong code: storage made, and held where it is, for a descriptor that is only asked about. */
START_TEST(check_does_not_hold_the_memory) {
	struct stile_image *image = images_create(device, EXTENT, EXTENT, DRM_FORMAT_ABGR8888);
	ck_assert_int_eq(stile_vulkan_check_image(heard_vulkan, image, usages[0], NULL), 0);
	ck_assert_int_eq(stile_egl_check_image(heard_egl, image, NULL), 0);
	char *text;
	ck_assert_int_eq(stile_buffer_describe_all(&text), 0);
	ck_assert_msg(strstr(text, "inode") == NULL, "%s", text);
	free(text);
	stile_image_unref(image);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name) {
	TCase *tc = tcase_create(name);
	tcase_set_timeout(tc, 60);
	/* Once before all, for what the drivers keep. */
	tcase_add_unchecked_fixture(tc, warm_up, NULL);
	tcase_add_checked_fixture(tc, ledger_open, ledger_close);
	tcase_add_checked_fixture(tc, start, stop);
	suite_add_tcase(suite, tc);
	return tc;
}

static Suite *suite(void) {
	Suite *s = suite_create("parties");
	TCase *tc = add_case(s, "parties");
	tcase_add_loop_test(tc, vulkan_imports_what_it_says_and_nothing_else, 0, 4);
	tcase_add_test(tc, vulkan_says_who_it_is_and_what_it_needs);
	tcase_add_test(tc, egl_imports_nothing_that_it_does_not_say);
	tcase_add_test(tc, egl_says_who_it_is_and_what_it_needs);
	tcase_add_test(tc, impossible_calls_are_refused);
	tcase_add_loop_test(tc, what_is_agreed_on_is_imported_by_all, 0, 4);

	TCase *checks = add_case(s, "checks");
	tcase_add_test(checks, checks_say_what_imports_say_of_formats);
	tcase_add_loop_test(checks, checks_say_what_imports_say_of_layouts, 0,
		(int)(sizeof(odd) / sizeof(odd[0])));
	tcase_add_test(checks, checks_say_what_imports_say_of_rights);
	tcase_add_test(checks, check_does_not_hold_the_memory);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
