/* SPDX-License-Identifier: MIT */
/* Devices as parties: what they say of themselves is what they do. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <drm_fourcc.h>

#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/negotiate.h>
#include <stile/swgpu_modifier.h>
#include <stile/swgpu_test.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"
#include "src/modifier.h"
#include "src/party_data.h"

enum { READ = STILE_USAGE_READ, BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE };

static struct stile_report report;

static void setup(void) {
	report = (struct stile_report){ .size = sizeof(report) };
}

/* NULL: it does not open on this kernel. */
static struct stile_device *open_device(const char *backend, const char *options) {
	const struct stile_device_info info = { .size = sizeof(info), .options = options };
	struct stile_device *device;
	return stile_device_open(backend, &info, &device) == 0 ? device : NULL;
}

static struct stile_device *open_profile(const char *name) {
	char options[64];
	snprintf(options, sizeof(options), "profile=%s", name);
	struct stile_device *device = open_device("swgpu", options);
	ck_assert_msg(device != NULL, "%s", name);
	return device;
}

static struct stile_party get_party(const struct stile_device *device, uint32_t usage) {
	struct stile_party party = { .size = sizeof(party) };
	int ret = stile_device_get_party(device, usage, &report, &party);
	ck_assert_msg(ret == 0, "%s", report.text);
	return party;
}

static const struct stile_party_modifier *find(
	const struct stile_party *party, uint32_t fourcc, uint64_t modifier) {
	for (size_t i = 0; i < party->format_count; i++) {
		const struct stile_party_format *format = &party->formats[i];
		for (size_t j = 0; j < format->modifier_count && format->fourcc == fourcc; j++) {
			if (format->modifiers[j].modifier == modifier) {
				return &format->modifiers[j];
			}
		}
	}
	return NULL;
}

/* ---- What is said is true ------------------------------------------------------------------ */

static struct stile_image_info make_info(uint32_t fourcc, uint64_t modifier, uint32_t usage) {
	return (struct stile_image_info){
		.size = sizeof(struct stile_image_info),
		.width = 64,
		.height = 64,
		.fourcc = fourcc,
		.usage = usage == 0 ? BOTH : usage,
		.modifier = modifier,
	};
}

/* By its descriptors, as if it were somebody else's. */
static int import(struct stile_device *device, struct stile_image *image, uint32_t usage) {
	struct stile_image_info info = { .size = sizeof(info) };
	ck_assert_int_eq(stile_image_export(image, &info), 0);
	info.usage = usage;
	int ret = stile_image_check(device, &info, &report);
	for (uint32_t i = 0; i < info.plane_count; i++) {
		close(info.planes[i].fd);
	}
	return ret;
}

/* Does it make it, and, if it is to do something with it, take it from others? *planes: how many it has. */
static int try(struct stile_device *device, uint32_t fourcc, uint64_t modifier, uint32_t usage,
	bool imports, uint32_t *planes) {
	struct stile_image_info info = make_info(fourcc, modifier, usage);
	struct stile_image *image;
	int ret = stile_image_create(device, &info, &image);
	if (ret == 0) {
		*planes = stile_image_get_info(image)->plane_count;
		ret = imports ? import(device, image, usage) : 0;
		stile_image_unref(image);
	}
	return ret;
}

static void expect_truth(struct stile_device *device, uint32_t usage) {
	static const uint64_t modifiers[] = { DRM_FORMAT_MOD_LINEAR, STILE_SWGPU_MOD_TILED_ROWS,
		STILE_SWGPU_MOD_TILED_COLUMNS, DRM_FORMAT_MOD_INVALID };
	struct stile_party party = get_party(device, usage);
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		for (size_t j = 0; j < ARRAY_LENGTH(modifiers); j++) {
			uint32_t planes = 0;
			const struct stile_party_modifier *said =
				find(&party, format->fourcc, modifiers[j]);
			int ret = try(device, format->fourcc, modifiers[j], usage,
				usage != 0 && party.memory != 0, &planes);
			ck_assert_msg((said != NULL) == (ret == 0), "%s, usage %u: %s with %s: %d",
				party.name, usage, format->name,
				modifier_describe(modifiers[j]).text, ret);
			ck_assert_msg(said == NULL || said->plane_count == planes, "%s: %u planes",
				format->name, planes);
		}
	}
	stile_party_fini(&party);
}

/* Wrong code: layouts that are only imported, or of five planes; LINEAR where others' is not taken. */
START_TEST(swgpu_takes_what_it_says_and_nothing_else) {
	struct stile_device *device = open_profile(stile_swgpu_profile_get_name((size_t)_i));
	expect_truth(device, 0);
	expect_truth(device, READ);
	expect_truth(device, BOTH);
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: memory that a backend does not make. Those that this kernel has. */
START_TEST(every_backend_takes_what_it_says) {
	static const struct {
		const char *backend;
		uint32_t imports, allocates;
	} cases[] = {
		{ "swgpu", STILE_MEMORY_DMA_BUF | STILE_MEMORY_MEMFD, STILE_MEMORY_MEMFD },
		{ "udmabuf", STILE_MEMORY_DMA_BUF | STILE_MEMORY_MEMFD, STILE_MEMORY_DMA_BUF },
		{ "dmabuf", STILE_MEMORY_DMA_BUF, STILE_MEMORY_DMA_BUF },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct stile_device *device = open_device(cases[i].backend, NULL);
		if (device == NULL) {
			continue;
		}
		expect_truth(device, BOTH);
		struct stile_party party = get_party(device, READ);
		ck_assert_uint_eq(party.memory, cases[i].imports);
		ck_assert_uint_eq(party.allocates, cases[i].allocates);
		ck_assert_uint_ne(party.sync & STILE_SYNC_CPU, 0);
		ck_assert_uint_ne(party.flags & STILE_PARTY_CPU, 0);
		ck_assert_uint_eq(party.needs->usage, READ);
		ck_assert_ptr_eq(strstr(party.name, stile_device_get_backend(device)), party.name);
		stile_party_fini(&party);
		stile_device_destroy(device);
	}
}
END_TEST

/* Wrong code: who only allocates waits for others, needs what it can make, or copies. */
START_TEST(who_only_allocates_needs_nothing) {
	struct stile_device *device = open_profile("contiguous");
	struct stile_party party = get_party(device, 0);
	ck_assert_str_eq(party.name, "swgpu (contiguous)");
	ck_assert_uint_eq(party.needs->usage, 0);
	ck_assert_uint_eq(party.needs->max_segments, 0);
	ck_assert_uint_eq(party.needs->pitch_align, 0);
	ck_assert_uint_eq(party.needs->max_width, 16384);
	ck_assert_uint_eq(party.gives->max_segments, 1);
	ck_assert_uint_ne(party.sync & STILE_SYNC_SYNCOBJ, 0);
	ck_assert_uint_eq(party.flags, 0);
	stile_party_fini(&party);
	stile_device_destroy(device);
}
END_TEST

/* Wrong code: a device that does not write to memory of others is said to import it for that. */
START_TEST(imports_are_those_of_the_usage) {
	struct stile_device *device = open_profile("read-only-import");
	struct stile_party reader = get_party(device, READ), writer = get_party(device, BOTH);
	ck_assert_uint_ne(reader.memory, 0);
	ck_assert_uint_eq(writer.memory, 0);
	ck_assert_uint_eq(writer.allocates, STILE_MEMORY_MEMFD);
	stile_party_fini(&reader);
	stile_party_fini(&writer);
	stile_device_destroy(device);
}
END_TEST

/* ---- They find each other ------------------------------------------------------------------ */

/* Wrong code: pitches of the one who is easy to please; an allocator that promises nothing. */
START_TEST(devices_agree) {
	struct stile_device *plain = open_profile("plain"), *wide = open_profile("pitch-256"),
			    *strict = open_profile("contiguous");
	struct stile_party parties[] = { get_party(plain, BOTH), get_party(wide, READ),
		get_party(strict, READ) };
	static const uint32_t xrgb = DRM_FORMAT_XRGB8888;
	const struct stile_want want = {
		.size = sizeof(want),
		.width = 100,
		.height = 100,
		.ladder = STILE_STEP_LINEAR,
		.fourccs = &xrgb,
		.fourcc_count = 1,
	};
	struct stile_layout layout = { .size = sizeof(layout) };
	int ret = stile_negotiate(parties, 3, &want, &layout, &report);
	ck_assert_msg(ret == 0, "%s", report.text);
	const struct stile_tranche *tranche = stile_layout_get_tranche(&layout, 0);
	ck_assert_uint_eq(tranche->allocator, 2);
	ck_assert_uint_eq(tranche->memory, STILE_MEMORY_MEMFD);
	ck_assert_uint_eq(tranche->needs.pitch_align, 256);
	ck_assert_uint_eq(tranche->needs.max_segments, 1);
	ck_assert_uint_eq(tranche->needs.usage, BOTH);
	ck_assert_uint_eq(tranche->choices[0].modifier, STILE_SWGPU_MOD_TILED_ROWS);
	stile_layout_fini(&layout);
	for (size_t i = 0; i < ARRAY_LENGTH(parties); i++) {
		stile_party_fini(&parties[i]);
	}
	stile_device_destroy(plain);
	stile_device_destroy(wide);
	stile_device_destroy(strict);
}
END_TEST

/* ---- Its life ------------------------------------------------------------------------------ */

/* Wrong code: a party that points into the device, or keeps it. */
START_TEST(party_outlives_its_device) {
	struct stile_device *device = open_device("swgpu", NULL);
	struct stile_party party = get_party(device, BOTH);
	stile_device_destroy(device);
	device = open_profile("pitch-256");
	struct stile_party other = get_party(device, BOTH);
	stile_party_fini(&other);
	stile_device_destroy(device);
	ck_assert_str_eq(party.name, "swgpu (plain)");
	ck_assert_ptr_nonnull(find(&party, DRM_FORMAT_NV12, DRM_FORMAT_MOD_LINEAR));
	ck_assert_uint_eq(party.needs->pitch_align, 16);
	stile_party_fini(&party);
	ck_assert_uint_eq(party.size, sizeof(party));
	ck_assert_uint_eq(party.format_count, 0);
	ck_assert_ptr_null(party.name);
	stile_party_fini(&party);
}
END_TEST

/* Wrong code: something freed that is the application's. */
START_TEST(party_by_hand_is_only_emptied) {
	static const struct stile_party_format format = { .fourcc = DRM_FORMAT_R8 };
	struct stile_party party = {
		.size = sizeof(party), .name = "p", .formats = &format, .format_count = 1
	};
	stile_party_fini(&party);
	ck_assert_uint_eq(party.size, sizeof(party));
	ck_assert_ptr_null(party.formats);
}
END_TEST

START_TEST(impossible_calls_are_refused) {
	struct stile_device *device = open_device("swgpu", NULL);
	struct stile_party party = { .size = sizeof(party), .flags = 7 };
	ck_assert_int_eq(stile_device_get_party(device, 4, &report, &party), -EINVAL);
	ck_assert_int_eq(report.reason, STILE_REASON_USAGE);
	ck_assert_uint_eq(report.actual, 4);
	ck_assert_uint_eq(party.flags, 0);
	party = (struct stile_party){ .size = sizeof(party) - 1, .flags = 7 };
	ck_assert_int_eq(stile_device_get_party(device, READ, &report, &party), -EINVAL);
	ck_assert_uint_eq(party.flags, 7);
	party.size = SIZE_MAX;
	ck_assert_int_eq(stile_device_get_party(device, READ, &report, &party), -EINVAL);
	party.size = sizeof(party);
	report.size = 3;
	ck_assert_int_eq(stile_device_get_party(device, READ, &report, &party), -EINVAL);
	ck_assert_int_eq(stile_device_get_party(device, READ, NULL, &party), 0);
	stile_party_fini(&party);
	stile_device_destroy(device);
}
END_TEST

struct sweep {
	struct stile_device *device;
	struct stile_party party;
};

static int attempt(void *user) {
	struct sweep *sweep = user;
	return stile_device_get_party(sweep->device, BOTH, &report, &sweep->party);
}

static void after(void *user, int ret) {
	struct sweep *sweep = user;
	ck_assert_int_eq(report.reason, ret < 0 ? STILE_REASON_RESOURCES : STILE_REASON_NONE);
	ck_assert((sweep->party.data == NULL) == (ret < 0));
	ck_assert((sweep->party.format_count == 0) == (ret < 0));
	stile_party_fini(&sweep->party);
}

/* Wrong code: layouts lost (ASan), or half of them given. */
START_TEST(no_memory_is_survived) {
	static const int errors[] = { -ENOMEM, 0 };
	struct sweep sweep = {
		.device = open_device("swgpu", NULL),
		.party = { .size = sizeof(sweep.party) },
	};
	ck_assert_uint_ge(failing_sweep(attempt, after, &sweep, errors), 5);
	stile_device_destroy(sweep.device);
}
END_TEST

/* ---- Without a device ---------------------------------------------------------------------- */

/* Wrong code: layouts of one format counted to its neighbour; a format without any given some. */
START_TEST(layouts_stay_with_their_formats) {
	struct party_layouts layouts = { .failed = false };
	for (uint32_t i = 0; i < 200; i++) {
		struct stile_party_modifier modifier = { .modifier = i };
		party_add(&layouts, 100 + i / 3, &modifier);
	}
	party_add(&layouts, 7, NULL);
	const struct stile_party said = { .size = sizeof(said), .name = "p", .device = 9 };
	struct stile_party party = { .size = sizeof(party) };
	ck_assert_int_eq(party_make(&layouts, &said, &report, &party), 0);
	ck_assert_uint_eq(party.format_count, 68);
	for (uint32_t i = 0; i < 200; i++) {
		ck_assert_uint_eq(party.formats[i / 3].fourcc, 100 + i / 3);
		ck_assert_uint_eq(party.formats[i / 3].modifiers[i % 3].modifier, i);
	}
	ck_assert_uint_eq(party.formats[66].modifier_count, 2);
	ck_assert_ptr_null(party.formats[67].modifiers);
	ck_assert_ptr_null(party.needs);
	ck_assert_uint_eq(party.device, 9);
	stile_party_fini(&party);
}
END_TEST

/* Wrong code: drivers mixed up with devices; a number that could be a node's. */
START_TEST(device_without_a_node_has_a_number_of_its_own) {
	const uint8_t a[16] = { 1 }, b[16] = { 2 };
	uint64_t number = party_get_device(a, b);
	ck_assert_uint_gt(number, UINT32_MAX);
	ck_assert_uint_eq(party_get_device(a, b), number);
	ck_assert_uint_ne(party_get_device(b, a), number);
	ck_assert_uint_ne(party_get_device(a, a), number);
}
END_TEST

static Suite *suite(void) {
	int profiles = 0;
	while (stile_swgpu_profile_get_name((size_t)profiles) != NULL) {
		profiles++;
	}
	Suite *s = suite_create("party");
	TCase *tc = ledger_tcase_create("party");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, swgpu_takes_what_it_says_and_nothing_else, 0, profiles);
	tcase_add_test(tc, every_backend_takes_what_it_says);
	tcase_add_test(tc, who_only_allocates_needs_nothing);
	tcase_add_test(tc, imports_are_those_of_the_usage);
	tcase_add_test(tc, devices_agree);
	tcase_add_test(tc, party_outlives_its_device);
	tcase_add_test(tc, party_by_hand_is_only_emptied);
	tcase_add_test(tc, impossible_calls_are_refused);
	tcase_add_test(tc, no_memory_is_survived);
	tcase_add_test(tc, layouts_stay_with_their_formats);
	tcase_add_test(tc, device_without_a_node_has_a_number_of_its_own);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
