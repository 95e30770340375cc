/* SPDX-License-Identifier: MIT */
/* Modifiers in messages. */
#include <stdlib.h>
#include <string.h>

#include <drm_fourcc.h>
#include <xf86drm.h>

#include <stile/swgpu_modifier.h>

#include "interop-tests/support/ledger.h"
#include "interop-tests/support/modifiers.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"
#include "src/modifier.h"

/* ---- A libdrm that knows, or has, too little ----------------------------------------------- */

static enum libdrm { REAL, NO_NAMES, EMPTY_NAMES, NO_MEMORY } libdrm;

char *__real_drmGetFormatModifierName(uint64_t modifier);
char *__real_drmGetFormatModifierVendor(uint64_t modifier);
char *__wrap_drmGetFormatModifierName(uint64_t modifier);
char *__wrap_drmGetFormatModifierVendor(uint64_t modifier);

char *__wrap_drmGetFormatModifierName(uint64_t modifier) {
	return libdrm == REAL           ? __real_drmGetFormatModifierName(modifier)
		: libdrm == EMPTY_NAMES ? strdup("")
					: NULL;
}

char *__wrap_drmGetFormatModifierVendor(uint64_t modifier) {
	return libdrm == NO_MEMORY ? NULL : __real_drmGetFormatModifierVendor(modifier);
}

static void setup(void) {
	libdrm = REAL;
}

/* ---- Texts --------------------------------------------------------------------------------- */

/* Wrong code: LINEAR and INVALID mixed up; a blank or brackets for what is not known. */
START_TEST(modifiers_are_named) {
	static const struct {
		uint64_t modifier;
		const char *text;
	} cases[] = {
		{ DRM_FORMAT_MOD_LINEAR, "0x0 (LINEAR)" },
		{ DRM_FORMAT_MOD_INVALID, "0xffffffffffffff (INVALID)" },
		{ I915_FORMAT_MOD_X_TILED, "0x100000000000001 (INTEL X_TILED)" },
		{ I915_FORMAT_MOD_Y_TILED, "0x100000000000002 (INTEL Y_TILED)" },
		{ DRM_FORMAT_MOD_BROADCOM_UIF, "0x700000000000006 (BROADCOM UIF)" },
		{ fourcc_mod_code(INTEL, 0x7fff), "0x100000000007fff (INTEL)" },
		{ fourcc_mod_code(NVIDIA, 1), "0x300000000000001 (NVIDIA TEGRA_TILED)" },
		{ fourcc_mod_code(NVIDIA, 0xf), "0x30000000000000f (NVIDIA)" },
		{ fourcc_mod_code(NONE, 5), "0x5" },
		{ STILE_SWGPU_MOD_TILED_ROWS, "0x5f00000000000001 (swgpu TILED_ROWS)" },
		{ STILE_SWGPU_MOD_TILED_COLUMNS, "0x5f00000000000002 (swgpu TILED_COLUMNS)" },
		{ STILE_SWGPU_MOD_TILED_COLUMNS + 1, "0x5f00000000000003 (swgpu)" },
		{ UINT64_C(0x7000000000000003), "0x7000000000000003" },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		ck_assert_str_eq(modifier_describe(cases[i].modifier).text, cases[i].text);
	}
}
END_TEST

/* Wrong code: parameters left out, or cut. */
START_TEST(parameters_are_named) {
	const struct modifiers_case *one = &modifiers_cases[_i];
	const struct modifier_label label = modifier_describe(one->modifier);
	ck_assert_str_eq(label.text, modifiers_expect(one->modifier).text);
	ck_assert_msg(strstr(label.text, one->part) != NULL, "%s", label.text);
}
END_TEST

/*
 * Wrong code: anything cut. NVIDIA's are named here, so that libdrm may change its words. Nobody's have other names:
 * libdrm calls them NONE, and has none for nearly all of AMD's that have no known version.
 */
START_TEST(any_number_has_the_name_that_libdrm_has) {
	uint64_t state = runner_seed() + (uint64_t)_i;
	if (_i == DRM_FORMAT_MOD_VENDOR_NVIDIA) {
		return;
	}
	for (int i = 0; i < 4096; i++) {
		uint64_t modifier = (uint64_t)_i << 56 | runner_random(&state) >> 8;
		if (_i == DRM_FORMAT_MOD_VENDOR_AMD) {
			modifier = (modifier & ~UINT64_C(0xff)) | (uint64_t)(1 + i % 4);
		}
		ck_assert_str_eq(modifier_describe(modifier).text, modifiers_expect(modifier).text);
	}
}
END_TEST

/* Wrong code: NULL printed; NVIDIA's name asked of libdrm, which without memory gives a pointer to anywhere. */
START_TEST(what_libdrm_does_not_say_is_left_out) {
	static const struct {
		enum libdrm libdrm;
		const char *amd;
		const char *nvidia;
	} cases[] = {
		{ NO_NAMES, " (AMD)", " (NVIDIA BLOCK_LINEAR_2D," },
		{ EMPTY_NAMES, " (AMD)", " (NVIDIA BLOCK_LINEAR_2D," },
		{ NO_MEMORY, "", " (BLOCK_LINEAR_2D," },
	};
	libdrm = cases[_i].libdrm;
	const struct modifier_label amd = modifier_describe(modifiers_cases[0].modifier),
				    nvidia = modifier_describe(modifiers_cases[1].modifier);
	ck_assert_str_eq(amd.text + strcspn(amd.text, " "), cases[_i].amd);
	ck_assert_msg(strstr(nvidia.text, cases[_i].nvidia) != NULL, "%s", nvidia.text);
	ck_assert_str_eq(modifier_describe(DRM_FORMAT_MOD_LINEAR).text, "0x0 (LINEAR)");
	ck_assert_str_eq(modifier_describe(STILE_SWGPU_MOD_TILED_ROWS).text,
		"0x5f00000000000001 (swgpu TILED_ROWS)");
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("modifier");
	TCase *tc = ledger_tcase_create("modifier");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, modifiers_are_named);
	tcase_add_loop_test(tc, parameters_are_named, 0, MODIFIERS);
	tcase_add_loop_test(tc, any_number_has_the_name_that_libdrm_has,
		DRM_FORMAT_MOD_VENDOR_INTEL, DRM_FORMAT_MOD_VENDOR_AMLOGIC + 1);
	tcase_add_loop_test(tc, what_libdrm_does_not_say_is_left_out, 0, 3);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
