/* SPDX-License-Identifier: MIT */
/*
 * An EGL display as a party of negotiations, fact by fact, on one that is not there and is what a test says
 * (support/fake_egl.h). What it says of whole lists: test_egl_images.c; on drivers: test_parties.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <drm_fourcc.h>

#include <stile/party.h>
#include <stile/swgpu_modifier.h>

#include "interop-tests/interop/egl_fixture.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define LINEAR DRM_FORMAT_MOD_LINEAR
#define ROWS STILE_SWGPU_MOD_TILED_ROWS
#define BASE "EGL_EXT_device_base"
#define QUERY "EGL_EXT_device_query"
#define RENDER "EGL_EXT_device_drm_render_node"
#define PRIMARY "EGL_EXT_device_drm"
#define SOFTWARE "EGL_MESA_device_software"
#define DMA_BUF "EGL_EXT_image_dma_buf_import EGL_EXT_image_dma_buf_import_modifiers"

/* Nodes that are everywhere. */
#define ONE "/dev/null"
#define OTHER "/dev/zero"

static const struct fake_egl_layout usual[] = {
	{ DRM_FORMAT_ABGR8888, LINEAR, false },
	{ 0, 0, false },
};

/* What a test changes before it describes the display. */
static struct fake_egl_device hardware;
static struct fake_egl_traits traits;

static struct stile_party party; /* of the display, as it was described last */

static void set_up(void) {
	hardware = (struct fake_egl_device){ .client = QUERY, .extensions = "" };
	traits =
		(struct fake_egl_traits){ .layouts = usual, .device = &hardware, .vendor = "fake" };
	party = (struct stile_party){ .size = sizeof(party) };
}

static void tear_down(void) {
	stile_party_fini(&party);
}

static int try_describe(uint32_t usage, struct stile_report *why) {
	stile_party_fini(&party);
	party = (struct stile_party){ .size = sizeof(party) };
	*why = (struct stile_report){ .size = sizeof(*why) };
	start(&traits);
	int ret = stile_egl_get_party(egl, usage, why, &party);
	stop();
	return ret;
}

static void describe(void) {
	struct stile_report why;
	int ret = try_describe(STILE_USAGE_READ, &why);
	ck_assert_msg(ret == 0, "%s", why.text);
}

/* ---- Who it is ------------------------------------------------------------------------------- */

static uint64_t node_of(const char *path) {
	struct stat st;
	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_rdev;
}

/*
 * Wrong code: the node that nobody may render with, though there is the other; a name taken for a longer one, and asked
 * for what the device has not got (the fake complains); a path believed that leads to no device.
 */
START_TEST(it_is_the_device_of_its_node) {
	static const struct {
		const char *client, *extensions, *render, *primary, *expected; /* NULL: of none */
	} cases[] = {
		{ QUERY, RENDER, ONE, NULL, ONE },
		{ BASE, RENDER, ONE, NULL, ONE },
		{ QUERY, PRIMARY " " RENDER, ONE, OTHER, ONE },
		{ QUERY, PRIMARY, ONE, OTHER, OTHER },
		{ QUERY, PRIMARY " " RENDER, NULL, OTHER, OTHER },
		{ QUERY, PRIMARY " " RENDER, "/dev/there-is-none", OTHER, OTHER },
		{ QUERY, RENDER, "/dev", OTHER, NULL },
		{ QUERY, RENDER, "/proc/self/cmdline", OTHER, NULL },
		{ QUERY, RENDER, NULL, OTHER, NULL },
		{ QUERY, "", ONE, OTHER, NULL },
		{ QUERY, NULL, ONE, OTHER, NULL },
		{ "EGL_EXT_device_query_name", RENDER, ONE, OTHER, NULL },
		{ NULL, RENDER, ONE, OTHER, NULL },
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		hardware.client = cases[i].client;
		hardware.extensions = cases[i].extensions;
		hardware.render = cases[i].render;
		hardware.primary = cases[i].primary;
		describe();
		ck_assert_msg(party.device ==
				(cases[i].expected == NULL ? 0 : node_of(cases[i].expected)),
			"case %zu", i);
	}
	hardware.client = QUERY;
	hardware.unknown = true;
	describe();
	ck_assert_uint_eq(party.device, 0);
	/* Names of the extensions, and no entry points. */
	hardware.unknown = false;
	traits.lacks = _i == 0 ? "eglQueryDisplayAttribEXT" : "eglQueryDeviceStringEXT";
	describe();
	ck_assert_uint_eq(party.device, 0);
}
END_TEST

/* Wrong code: files in memory given to drivers of hardware, or to software that draws in a node's; or to none. */
START_TEST(only_software_without_a_node_takes_files_in_memory) {
	static const struct {
		const char *extensions, *driver;
		bool takes;
	} cases[] = {
		{ SOFTWARE, "swrast", true },
		{ SOFTWARE, NULL, true },
		{ SOFTWARE " " RENDER, "swrast", false },
		{ SOFTWARE, "kms_swrast", false },
		{ "", "swrast", false },
		{ SOFTWARE "_too", "swrast", false },
		{ NULL, "swrast", false },
	};
	traits.extensions = DMA_BUF " EGL_MESA_query_driver";
	hardware.render = ONE;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		hardware.extensions = cases[i].extensions;
		traits.driver = cases[i].driver;
		describe();
		ck_assert_msg(party.memory ==
				(STILE_MEMORY_DMA_BUF | (cases[i].takes ? STILE_MEMORY_MEMFD : 0u)),
			"case %zu", i);
		ck_assert_uint_eq(party.allocates, 0);
	}
}
END_TEST

/* Wrong code: who made it, though the driver has a name; a name asked for that there is no extension for; none, or more. */
START_TEST(its_name_is_that_of_its_driver) {
	static const struct {
		const char *extensions, *lacks, *driver, *vendor, *name;
	} cases[] = {
		{ DMA_BUF " EGL_MESA_query_driver", NULL, "iris", "Mesa", "EGL (iris)" },
		{ DMA_BUF " EGL_MESA_query_driver", NULL, NULL, "Mesa", "EGL (Mesa)" },
		{ DMA_BUF " EGL_MESA_query_driver", "eglGetDisplayDriverName", "iris", "Mesa",
			"EGL (Mesa)" },
		{ DMA_BUF, NULL, "iris", "Mesa", "EGL (Mesa)" },
		{ DMA_BUF, NULL, NULL, NULL, "EGL (unknown)" },
		{ DMA_BUF, NULL, NULL, "somebody whose name is longer than anybody would have it",
			"EGL (somebody whose name is longer than anybody would)" },
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		traits.extensions = cases[i].extensions;
		traits.lacks = cases[i].lacks;
		traits.driver = cases[i].driver;
		traits.vendor = cases[i].vendor;
		describe();
		ck_assert_str_eq(party.name, cases[i].name);
	}
}
END_TEST

/* ---- What it takes --------------------------------------------------------------------------- */

/* Wrong code: fences of the kernel's promised without the extension, or not with it. */
START_TEST(it_has_fences_of_the_kernels_if_it_has_native_ones) {
	describe();
	ck_assert_uint_eq(party.sync, STILE_SYNC_CPU);
	traits.native_fences = true;
	describe();
	ck_assert_uint_eq(party.sync, STILE_SYNC_CPU | STILE_SYNC_FILE);
}
END_TEST

/*
 * Wrong code: INVALID taken for a layout; a format of which only that is listed, for one that is LINEAR; a format that
 * nobody here makes an image of.
 */
START_TEST(it_takes_layouts_that_have_names_of_formats_that_are_known) {
	static const struct fake_egl_layout listed[] = {
		{ DRM_FORMAT_ABGR8888, ROWS, false },
		{ DRM_FORMAT_R8, DRM_FORMAT_MOD_INVALID, false },
		{ DRM_FORMAT_C8, LINEAR, false },
		{ 0, 0, false },
	};
	traits.layouts = listed;
	describe();
	ck_assert_uint_ne(party.flags & STILE_PARTY_UNSAID_IS_LINEAR, 0);
	ck_assert_uint_eq(party.format_count, 2);
	ck_assert_uint_eq(party.formats[0].fourcc, DRM_FORMAT_ABGR8888);
	ck_assert_uint_eq(party.formats[0].modifier_count, 1);
	ck_assert_uint_eq(party.formats[1].fourcc, DRM_FORMAT_R8);
	ck_assert_uint_eq(party.formats[1].modifier_count, 0);
	traits.lists_invalid = true;
	describe();
	ck_assert_uint_eq(party.format_count, 1);
	ck_assert_uint_eq(party.formats[0].modifier_count, 1);
	ck_assert_uint_eq(party.formats[0].modifiers[0].modifier, ROWS);
}
END_TEST

/* Wrong code: a party of nothing, instead of the reason; an entry point called that is not there. */
START_TEST(without_dma_bufs_or_a_usage_there_is_no_party) {
	static const struct {
		const char *lacks, *extensions;
		uint32_t usage;
		int expected;
		enum stile_reason reason;
	} cases[] = {
		{ NULL, NULL, 0, -EINVAL, STILE_REASON_USAGE },
		{ NULL, NULL, STILE_USAGE_READ | 4, -EINVAL, STILE_REASON_USAGE },
		{ NULL, "EGL_EXT_image_dma_buf_import", STILE_USAGE_READ, -EOPNOTSUPP,
			STILE_REASON_DRIVER },
		{ "eglQueryDmaBufFormatsEXT", NULL, STILE_USAGE_READ, -EOPNOTSUPP,
			STILE_REASON_DRIVER },
	};
	struct stile_report why;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		traits.lacks = cases[i].lacks;
		traits.extensions = cases[i].extensions;
		ck_assert_int_eq(try_describe(cases[i].usage, &why), cases[i].expected);
		ck_assert_int_eq(why.reason, cases[i].reason);
		ck_assert_uint_gt(strlen(why.text), 0);
		ck_assert_uint_eq(party.format_count, 0);
	}
}
END_TEST

static Suite *make_suite(void) {
	Suite *suite = suite_create("egl_party");
	TCase *tcase = ledger_tcase_create("facts");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, it_is_the_device_of_its_node, 0, 2);
	tcase_add_test(tcase, only_software_without_a_node_takes_files_in_memory);
	tcase_add_test(tcase, its_name_is_that_of_its_driver);
	tcase_add_test(tcase, it_has_fences_of_the_kernels_if_it_has_native_ones);
	tcase_add_test(tcase, it_takes_layouts_that_have_names_of_formats_that_are_known);
	tcase_add_test(tcase, without_dma_bufs_or_a_usage_there_is_no_party);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, make_suite, NULL);
}
