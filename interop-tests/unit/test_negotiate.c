/* SPDX-License-Identifier: MIT */
/* Negotiation, by hand: what a few parties agree on, and what is said where they do not. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <drm_fourcc.h>

#include <stile/buffer.h>
#include <stile/format.h>
#include <stile/negotiate.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/modifiers.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"
#include "src/os.h"

#define XRGB DRM_FORMAT_XRGB8888
#define ARGB DRM_FORMAT_ARGB8888
#define LINEAR DRM_FORMAT_MOD_LINEAR
#define INVALID DRM_FORMAT_MOD_INVALID
#define X_TILED I915_FORMAT_MOD_X_TILED
#define Y_TILED I915_FORMAT_MOD_Y_TILED
#define Y_CCS I915_FORMAT_MOD_Y_TILED_CCS

enum { RENDER_NODE = 0xe280, CARD = 0xe200, OTHER_NODE = 0xe281 };

/* ---- Parties ------------------------------------------------------------------------------- */

/* Layouts without conditions. */
#define TAKES(name, ...) static const struct stile_party_modifier name[] = { __VA_ARGS__ }
#define MOD(value) \
	{ .modifier = (value) }
#define FORMAT(code, list) \
	{ .fourcc = (code), .modifiers = (list), .modifier_count = ARRAY_LENGTH(list) }

TAKES(tiled_first, MOD(Y_TILED), MOD(X_TILED), MOD(LINEAR));
TAKES(linear_first, MOD(LINEAR), MOD(X_TILED), MOD(Y_TILED));
TAKES(linear_only, MOD(LINEAR));
TAKES(x_only, MOD(X_TILED));
TAKES(y_only, MOD(Y_TILED));
TAKES(x_and_y, MOD(X_TILED), MOD(Y_TILED));
TAKES(implicit, MOD(INVALID));

static const struct stile_party_format xrgb_tiled[] = { FORMAT(XRGB, tiled_first) };
static const struct stile_party_format xrgb_linear_first[] = { FORMAT(XRGB, linear_first) };
static const struct stile_party_format xrgb_linear[] = { FORMAT(XRGB, linear_only) };
static const struct stile_party_format xrgb_x[] = { FORMAT(XRGB, x_only) };
static const struct stile_party_format xrgb_y[] = { FORMAT(XRGB, y_only) };
static const struct stile_party_format xrgb_x_and_y[] = { FORMAT(XRGB, x_and_y) };
static const struct stile_party_format xrgb_implicit[] = { FORMAT(XRGB, implicit) };
static const struct stile_party_format xrgb_unsaid[] = { { .fourcc = XRGB } };
static const struct stile_party_format argb_linear[] = { FORMAT(ARGB, linear_only) };
static const struct stile_party_format nv12_linear[] = { FORMAT(DRM_FORMAT_NV12, linear_only) };

static const struct stile_constraints draws = {
	.size = sizeof(draws),
	.usage = STILE_USAGE_READ | STILE_USAGE_WRITE,
};
static const struct stile_constraints reads = {
	.size = sizeof(reads),
	.usage = STILE_USAGE_READ,
};

/* One who has no wishes but for its formats; 0 is what is usual. */
struct sketch {
	const char *name;
	const struct stile_party_format *formats;
	size_t format_count;
	const struct stile_constraints *needs, *gives;
	uint64_t device;
	uint32_t memory, allocates, sync, flags;
	bool imports_only;
};

static struct stile_party draw_up(struct sketch sketch) {
	const uint32_t memory = sketch.memory == 0 ? STILE_MEMORY_DMA_BUF : sketch.memory;
	const uint32_t allocates = sketch.allocates == 0 ? memory : sketch.allocates;
	return (struct stile_party){
		.size = sizeof(struct stile_party),
		.name = sketch.name,
		.formats = sketch.formats,
		.format_count = sketch.format_count,
		.needs = sketch.needs,
		.gives = sketch.gives,
		.device = sketch.device,
		.memory = memory,
		.allocates = sketch.imports_only ? 0 : allocates,
		.sync = sketch.sync == 0 ? STILE_SYNC_FILE | STILE_SYNC_CPU : sketch.sync,
		.flags = sketch.flags,
	};
}

#define PARTY(name_, list) \
	draw_up((struct sketch){ \
		.name = (name_), .formats = (list), .format_count = ARRAY_LENGTH(list) })
#define PARTY_WITH(name_, list, ...) \
	draw_up((struct sketch){ .name = (name_), \
		.formats = (list), \
		.format_count = ARRAY_LENGTH(list), \
		__VA_ARGS__ })

static struct stile_layout layout;
static struct stile_report report;
static struct stile_want want;

static void setup(void) {
	want = (struct stile_want){
		.size = sizeof(want),
		.width = 1920,
		.height = 1080,
		.ladder = STILE_STEP_LINEAR,
	};
	layout = (struct stile_layout){ .size = sizeof(layout) };
	report = (struct stile_report){ .size = sizeof(report) };
}

static void teardown(void) {
	stile_layout_fini(&layout);
}

static int negotiate(const struct stile_party *parties, size_t count) {
	stile_layout_fini(&layout);
	return stile_negotiate(parties, count, &want, &layout, &report);
}

#define NEGOTIATE(...) \
	negotiate((const struct stile_party[]){ __VA_ARGS__ }, \
		ARRAY_LENGTH(((const struct stile_party[]){ __VA_ARGS__ })))

static const struct stile_choice *choice(size_t tranche, size_t index) {
	ck_assert_uint_lt(tranche, layout.tranche_count);
	const struct stile_tranche *at = stile_layout_get_tranche(&layout, tranche);
	ck_assert_uint_lt(index, at->choice_count);
	return &at->choices[index];
}

static void expect_choice(size_t tranche, size_t index, uint32_t fourcc, uint64_t modifier) {
	const struct stile_choice *at = choice(tranche, index);
	ck_assert_msg(at->fourcc == fourcc && at->modifier == modifier,
		"tranche %zu, choice %zu: format 0x%x, modifier 0x%llx", tranche, index, at->fourcc,
		(unsigned long long)at->modifier);
}

static void expect_tranche(
	size_t index, uint64_t parties, uint64_t device, uint32_t flags, size_t choices) {
	const struct stile_tranche *tranche = stile_layout_get_tranche(&layout, index);
	ck_assert_uint_eq(tranche->parties, parties);
	ck_assert_uint_eq(tranche->device, device);
	ck_assert_uint_eq(tranche->flags, flags);
	ck_assert_uint_eq(tranche->choice_count, choices);
}

/* It is refused, and the report, the first and only rejection of this layout, says why. */
static void expect_refusal(
	int ret, enum stile_reason reason, uint64_t needed, uint64_t actual, const char *text) {
	ck_assert_int_eq(ret, -EOPNOTSUPP);
	ck_assert_uint_eq(layout.tranche_count, 0);
	ck_assert_msg(report.reason == reason, "reason %d: %s", report.reason, report.text);
	ck_assert_int_eq(report.error, -EOPNOTSUPP);
	ck_assert_uint_eq(report.needed, needed);
	ck_assert_uint_eq(report.actual, actual);
	ck_assert_msg(strncmp(report.text, text, strlen(text)) == 0, "%s", report.text);
}

/* ---- The same memory ----------------------------------------------------------------------- */

/* Wrong code: the order of the last party, or of numbers; LINEAR where it was named. */
START_TEST(order_is_that_of_the_first_and_linear_comes_late) {
	ck_assert_int_eq(NEGOTIATE(PARTY("a", xrgb_tiled), PARTY("b", xrgb_linear_first)), 0);
	ck_assert_uint_eq(layout.tranche_count, 1);
	ck_assert_uint_eq(layout.rejection_count, 0);
	expect_tranche(0, 3, 0, 0, 3);
	expect_choice(0, 0, XRGB, Y_TILED);
	expect_choice(0, 1, XRGB, X_TILED);
	expect_choice(0, 2, XRGB, LINEAR);
	ck_assert_int_eq(layout.step, STILE_STEP_DIRECT);
	ck_assert_uint_eq(layout.cost, 0);
	ck_assert_uint_eq(layout.copier, STILE_NO_PARTY);
	ck_assert_ptr_null(stile_layout_get_source(&layout));
	ck_assert_int_eq(NEGOTIATE(PARTY("b", xrgb_linear_first), PARTY("a", xrgb_tiled)), 0);
	expect_choice(0, 0, XRGB, X_TILED);
	expect_choice(0, 1, XRGB, Y_TILED);
	expect_choice(0, 2, XRGB, LINEAR);
	ck_assert_int_eq(report.reason, STILE_REASON_NONE);
	ck_assert_str_eq(report.text, "");
}
END_TEST

/* Wrong code: formats as parties name them though others are wanted; the second of two that are named. */
START_TEST(formats_are_in_the_order_wanted) {
	static const struct stile_party_format both[] = { FORMAT(XRGB, linear_only),
		FORMAT(ARGB, linear_only), FORMAT(XRGB, x_only) };
	static const uint32_t fourccs[] = { DRM_FORMAT_R8, ARGB, XRGB, ARGB };
	ck_assert_int_eq(NEGOTIATE(PARTY("a", both), PARTY("b", both)), 0);
	expect_tranche(0, 3, 0, 0, 2);
	expect_choice(0, 0, XRGB, LINEAR);
	expect_choice(0, 1, ARGB, LINEAR);
	want.fourccs = fourccs;
	want.fourcc_count = ARRAY_LENGTH(fourccs);
	ck_assert_int_eq(NEGOTIATE(PARTY("a", both), PARTY("b", both)), 0);
	expect_tranche(0, 3, 0, 0, 2);
	expect_choice(0, 0, ARGB, LINEAR);
	expect_choice(0, 1, XRGB, LINEAR);
	/* What nobody names is told, too. */
	ck_assert_uint_eq(layout.rejection_count, 1);
	const struct stile_rejection *rejection = stile_layout_get_rejection(&layout, 0);
	ck_assert_uint_eq(rejection->fourcc, DRM_FORMAT_R8);
	ck_assert_uint_eq(rejection->offered, STILE_NO_PARTY);
	ck_assert_uint_eq(rejection->party, 0);
	ck_assert_int_eq(rejection->reason, STILE_REASON_FORMAT);
}
END_TEST

/* Wrong code: a format that is not wanted; the union of formats without those of the second party. */
START_TEST(formats_that_are_not_wanted_are_not_spoken_of) {
	static const uint32_t xrgb = XRGB;
	const struct stile_party a = PARTY("a", xrgb_linear), b = PARTY("b", argb_linear);
	expect_refusal(NEGOTIATE(a, b), STILE_REASON_FORMAT, 0, XRGB,
		"b does not take XRGB8888; a offered it with 0x0 (LINEAR)");
	ck_assert_uint_eq(layout.rejection_count, 2);
	want.fourccs = &xrgb;
	want.fourcc_count = 1;
	ck_assert_int_eq(NEGOTIATE(a, b), -EOPNOTSUPP);
	ck_assert_uint_eq(layout.rejection_count, 1);
	ck_assert_uint_eq(stile_layout_get_rejection(&layout, 0)->fourcc, XRGB);
}
END_TEST

/* Wrong code: a choice in each tranche that could have it; the device of the first; the flag for ever. */
START_TEST(optional_parties_make_tranches) {
	const struct stile_party near = PARTY_WITH("near", xrgb_x_and_y, .device = CARD,
		.flags = STILE_PARTY_OPTIONAL | STILE_PARTY_SCANOUT);
	const struct stile_party far =
		PARTY_WITH("far", xrgb_y, .device = OTHER_NODE, .flags = STILE_PARTY_OPTIONAL);
	const struct stile_party draw = PARTY_WITH("draw", xrgb_tiled, .device = RENDER_NODE);
	ck_assert_int_eq(NEGOTIATE(near, draw, far), 0);
	ck_assert_uint_eq(layout.tranche_count, 3);
	expect_tranche(0, 7, CARD, STILE_TRANCHE_SCANOUT, 1);
	expect_choice(0, 0, XRGB, Y_TILED);
	expect_tranche(1, 3, CARD, STILE_TRANCHE_SCANOUT, 1);
	expect_choice(1, 0, XRGB, X_TILED);
	expect_tranche(2, 2, RENDER_NODE, 0, 1);
	expect_choice(2, 0, XRGB, LINEAR);
	/* Both are told why they are not higher up. */
	ck_assert_uint_eq(layout.rejection_count, 2);
	const struct stile_rejection *x = stile_layout_get_rejection(&layout, 0);
	ck_assert(x->modifier == X_TILED && x->tranche == 1 && x->party == 2 && x->offered == 1);
	const struct stile_rejection *linear = stile_layout_get_rejection(&layout, 1);
	ck_assert(linear->modifier == LINEAR && linear->tranche == 2 && linear->party == 0);
}
END_TEST

/* Wrong code: tranches without choices; optional parties that are asked though one before has refused. */
START_TEST(tranches_without_choices_are_left_out) {
	const struct stile_party none =
		PARTY_WITH("none", argb_linear, .flags = STILE_PARTY_OPTIONAL);
	const struct stile_party some = PARTY_WITH("some", xrgb_y, .flags = STILE_PARTY_OPTIONAL);
	const struct stile_party draw = PARTY("draw", xrgb_x_and_y);
	ck_assert_int_eq(NEGOTIATE(draw, none, some), 0);
	ck_assert_uint_eq(layout.tranche_count, 1);
	expect_tranche(0, 1, 0, 0, 2);
	ck_assert_int_eq(NEGOTIATE(draw, some, none), 0);
	ck_assert_uint_eq(layout.tranche_count, 2);
	expect_tranche(0, 3, 0, 0, 1);
	expect_tranche(1, 1, 0, 0, 1);
}
END_TEST

/* Wrong code: 1 << i of an int; a mask of 64 ones by a shift of 64. */
START_TEST(as_many_as_can_be) {
	struct stile_party parties[STILE_MAX_PARTIES];
	for (size_t i = 0; i < STILE_MAX_PARTIES; i++) {
		parties[i] = PARTY_WITH("p", xrgb_x, .flags = i == 40 ? 0 : STILE_PARTY_OPTIONAL);
	}
	parties[63].formats = xrgb_y;
	ck_assert_int_eq(negotiate(parties, STILE_MAX_PARTIES), 0);
	expect_tranche(0, UINT64_MAX >> 1, 0, 0, 1);
	parties[63].formats = xrgb_x;
	ck_assert_int_eq(negotiate(parties, STILE_MAX_PARTIES), 0);
	expect_tranche(0, UINT64_MAX, 0, 0, 1);
	for (size_t i = 0; i < STILE_MAX_PARTIES; i++) {
		parties[i].flags = 0;
	}
	ck_assert_int_eq(negotiate(parties, STILE_MAX_PARTIES), 0);
	expect_tranche(0, UINT64_MAX, 0, 0, 1);
}
END_TEST

/* ---- Three things that are not one --------------------------------------------------------- */

/* Wrong code: INVALID as one more number; a device that nobody knows as the same as another such. */
START_TEST(invalid_is_for_one_device) {
	struct stile_party a = PARTY_WITH("a", xrgb_implicit, .device = RENDER_NODE), b = a;
	b.name = "b";
	ck_assert_int_eq(NEGOTIATE(a, b), 0);
	expect_choice(0, 0, XRGB, INVALID);
	ck_assert_int_eq(choice(0, 0)->step, STILE_STEP_DIRECT);
	b.device = OTHER_NODE;
	expect_refusal(NEGOTIATE(a, b), STILE_REASON_DEVICE, RENDER_NODE, OTHER_NODE,
		"XRGB8888 with 0xffffffffffffff (INVALID) means something on one device only; b is of another, or does not say of which");
	a.device = b.device = 0;
	expect_refusal(NEGOTIATE(a, b), STILE_REASON_DEVICE, 0, 0,
		"XRGB8888 with 0xffffffffffffff (INVALID) means something on one device only; a is");
	ck_assert_int_eq(NEGOTIATE(a), 0);
}
END_TEST

/* Wrong code: INVALID taken for LINEAR, or for any. */
START_TEST(invalid_meets_nothing_else) {
	const struct stile_party a = PARTY_WITH("a", xrgb_implicit, .device = RENDER_NODE);
	const struct stile_party b = PARTY_WITH("b", xrgb_tiled, .device = RENDER_NODE);
	ck_assert_int_eq(NEGOTIATE(a, b), -EOPNOTSUPP);
	ck_assert_uint_eq(layout.rejection_count, 4);
	/* INVALID is last, whoever names it first. */
	ck_assert_uint_eq(stile_layout_get_rejection(&layout, 3)->modifier, INVALID);
	ck_assert_uint_eq(stile_layout_get_rejection(&layout, 2)->modifier, LINEAR);
}
END_TEST

/* PEERS 2 and 3: wrong code: no modifiers taken for LINEAR, or for all, or for INVALID. */
START_TEST(unsaid_is_refused_unless_its_meaning_is_said) {
	struct stile_party silent = PARTY("KMS plane 33", xrgb_unsaid);
	const struct stile_party draw = PARTY("Vulkan (llvmpipe)", xrgb_linear);
	expect_refusal(NEGOTIATE(draw, silent), STILE_REASON_MODIFIER_UNSAID, 0, LINEAR,
		"KMS plane 33 takes XRGB8888 but does not say in which layouts: ask its driver, or "
		"say STILE_PARTY_UNSAID_IS_LINEAR; Vulkan (llvmpipe) offered 0x0 (LINEAR)");
	/* Two who say nothing do not mean the same. */
	expect_refusal(NEGOTIATE(silent, silent), STILE_REASON_MODIFIER_UNSAID, 0, INVALID,
		"KMS plane 33 takes XRGB8888 but does not say in which layouts");
	silent.flags = STILE_PARTY_UNSAID_IS_LINEAR;
	ck_assert_int_eq(NEGOTIATE(draw, silent), 0);
	expect_choice(0, 0, XRGB, LINEAR);
	ck_assert_int_eq(choice(0, 0)->step, STILE_STEP_DIRECT);
	expect_refusal(NEGOTIATE(PARTY("a", xrgb_x), silent), STILE_REASON_MODIFIER, LINEAR,
		X_TILED,
		"KMS plane 33 takes XRGB8888 only with 0x0 (LINEAR); a offered 0x100000000000001 (INTEL X_TILED)");
}
END_TEST

/* ---- What a party says of a layout --------------------------------------------------------- */

TAKES(y_external, { .modifier = Y_TILED, .flags = STILE_PARTY_EXTERNAL_ONLY });
static const struct stile_party_format xrgb_y_external[] = { FORMAT(XRGB, y_external) };

/* Wrong code: drawn to what can be sampled only; the choice does not say so. */
START_TEST(external_only_is_told_or_refused) {
	struct stile_party egl = PARTY_WITH("EGL", xrgb_y_external, .needs = &reads);
	const struct stile_party draw = PARTY_WITH("draw", xrgb_y, .needs = &draws);
	static const char text[] =
		"EGL takes XRGB8888 with 0x100000000000002 (INTEL Y_TILED) as an external texture only, and needs more";
	ck_assert_int_eq(NEGOTIATE(draw, egl), 0);
	ck_assert_uint_eq(choice(0, 0)->external_only, 2);
	egl.flags = STILE_PARTY_NEEDS_TEXTURE_2D;
	expect_refusal(NEGOTIATE(draw, egl), STILE_REASON_EXTERNAL_ONLY, 0, 0, text);
	egl.flags = 0;
	egl.needs = &draws;
	expect_refusal(NEGOTIATE(draw, egl), STILE_REASON_EXTERNAL_ONLY, 0, 0, text);
	egl.flags = STILE_PARTY_OPTIONAL;
	ck_assert_int_eq(NEGOTIATE(draw, egl), 0);
	ck_assert_uint_eq(choice(0, 0)->external_only, 0);
}
END_TEST

TAKES(y_twice, { .modifier = Y_TILED },
	{ .modifier = Y_TILED, .flags = STILE_PARTY_EXTERNAL_ONLY });
TAKES(y_twice_external, { .modifier = Y_TILED, .flags = STILE_PARTY_EXTERNAL_ONLY },
	{ .modifier = Y_TILED });
static const struct stile_party_format xrgb_y_twice[] = { FORMAT(XRGB, y_twice) };
static const struct stile_party_format xrgb_y_twice_external[] = { FORMAT(XRGB, y_twice_external) };

/* Wrong code: the last one counts, or any; two choices of one layout. */
START_TEST(first_of_two_that_are_named_counts) {
	struct stile_party plain = PARTY("plain", xrgb_y_twice),
			   external = PARTY("external", xrgb_y_twice_external);
	ck_assert_int_eq(NEGOTIATE(plain, external), 0);
	expect_tranche(0, 3, 0, 0, 1);
	ck_assert_uint_eq(choice(0, 0)->external_only, 2);
	plain.needs = external.needs = &draws;
	ck_assert_int_eq(NEGOTIATE(plain), 0);
	ck_assert_int_eq(NEGOTIATE(external), -EOPNOTSUPP);
}
END_TEST

TAKES(ccs_two, { .modifier = Y_CCS, .plane_count = 2 });
TAKES(ccs_one, { .modifier = Y_CCS, .plane_count = 1 });
TAKES(ccs_unsaid, { .modifier = Y_CCS });
static const struct stile_party_format xrgb_ccs_two[] = { FORMAT(XRGB, ccs_two) };
static const struct stile_party_format xrgb_ccs_one[] = { FORMAT(XRGB, ccs_one) };
static const struct stile_party_format xrgb_ccs_unsaid[] = { FORMAT(XRGB, ccs_unsaid) };
static const struct stile_party_format unknown_linear[] = { FORMAT(0x31323334, linear_only) };

/* Wrong code: the format's planes where metadata has some; who does not say contradicts who does. */
START_TEST(plane_count_is_that_of_who_says) {
	const struct stile_party two = PARTY("two", xrgb_ccs_two), one = PARTY("one", xrgb_ccs_one);
	const struct stile_party unsaid = PARTY("unsaid", xrgb_ccs_unsaid);
	ck_assert_int_eq(NEGOTIATE(unsaid, two), 0);
	ck_assert_uint_eq(choice(0, 0)->plane_count, 2);
	ck_assert_int_eq(NEGOTIATE(unsaid), 0);
	ck_assert_uint_eq(choice(0, 0)->plane_count, 1);
	expect_refusal(NEGOTIATE(unsaid, two, one), STILE_REASON_PLANE_COUNT, 1, 2,
		"one has 1 plane for XRGB8888 with 0x100000000000004 (INTEL Y_TILED_CCS), others have 2");
	ck_assert_int_eq(NEGOTIATE(PARTY("a", nv12_linear)), 0);
	ck_assert_uint_eq(choice(0, 0)->plane_count, 2);
	ck_assert_int_eq(NEGOTIATE(PARTY("a", unknown_linear)), 0);
	ck_assert_uint_eq(choice(0, 0)->plane_count, 0);
}
END_TEST

TAKES(x_small, { .modifier = X_TILED, .max_width = 1920, .max_height = 1079 });
static const struct stile_party_format xrgb_x_small[] = { FORMAT(XRGB, x_small) };

/* Wrong code: off by one; width for height; a limit of 0; extents that are not known yet. */
START_TEST(extents_have_limits) {
	const struct stile_constraints small = { .size = sizeof(small), .max_width = 1919 };
	const struct stile_constraints enough = {
		.size = sizeof(enough), .max_width = 1920, .max_height = 1080
	};
	const struct stile_party draw = PARTY("draw", xrgb_x);
	expect_refusal(NEGOTIATE(draw, PARTY_WITH("small", xrgb_x, .needs = &small)),
		STILE_REASON_EXTENT, 1919, 1920,
		"small takes at most 1919 pixels across of XRGB8888 with 0x100000000000001 (INTEL X_TILED), and 1920 are wanted");
	expect_refusal(NEGOTIATE(draw, PARTY("low", xrgb_x_small)), STILE_REASON_EXTENT, 1079, 1080,
		"low takes at most 1079 pixels down of");
	ck_assert_int_eq(NEGOTIATE(draw, PARTY_WITH("enough", xrgb_x, .needs = &enough)), 0);
	ck_assert_uint_eq(stile_layout_get_tranche(&layout, 0)->needs.max_height, 1080);
	ck_assert_uint_eq(layout.width, 1920);
	ck_assert_uint_eq(layout.height, 1080);
	want.width = want.height = 0;
	ck_assert_int_eq(NEGOTIATE(PARTY_WITH("small", xrgb_x_small, .needs = &small)), 0);
}
END_TEST

/* Wrong code: half a sample of colour, which stile_image_create() refuses; somebody blamed for it. */
START_TEST(subsampled_formats_have_whole_samples) {
	const struct stile_party a = PARTY("a", nv12_linear);
	want.width = 1921;
	expect_refusal(NEGOTIATE(a), STILE_REASON_EXTENT, 2, 1921,
		"NV12 needs a multiple of 2 pixels across, and 1921 are wanted");
	ck_assert_uint_eq(stile_layout_get_rejection(&layout, 0)->party, STILE_NO_PARTY);
	want.width = 1920;
	want.height = 1081;
	expect_refusal(NEGOTIATE(a), STILE_REASON_EXTENT, 2, 1081,
		"NV12 needs a multiple of 2 pixels down, and 1081 are wanted");
	ck_assert_int_eq(NEGOTIATE(PARTY("a", xrgb_x)), 0);
}
END_TEST

START_TEST(protected_content_needs_all) {
	const struct stile_party safe = PARTY_WITH("safe", xrgb_x, .flags = STILE_PARTY_PROTECTED);
	const struct stile_party open = PARTY("open", xrgb_x);
	ck_assert_int_eq(NEGOTIATE(safe, open), 0);
	want.is_protected = true;
	ck_assert_int_eq(NEGOTIATE(safe, safe), 0);
	expect_refusal(NEGOTIATE(safe, open), STILE_REASON_PROTECTED, 0, 0,
		"open takes no protected content");
}
END_TEST

/* ---- Together ------------------------------------------------------------------------------ */

/* Wrong code: the first allocator, whatever it makes; one whose memory another cannot import. */
START_TEST(allocator_is_who_makes_the_best_memory_for_all) {
	struct stile_party a = PARTY("a", xrgb_x), b = PARTY("b", xrgb_x), c = PARTY("c", xrgb_x);
	a.allocates = STILE_MEMORY_MEMFD;
	a.memory = b.memory = c.memory = STILE_MEMORY_DMA_BUF | STILE_MEMORY_MEMFD;
	b.allocates = STILE_MEMORY_HOST_POINTER | STILE_MEMORY_DMA_BUF;
	ck_assert_int_eq(NEGOTIATE(a, b, c), 0);
	const struct stile_tranche *tranche = stile_layout_get_tranche(&layout, 0);
	ck_assert_uint_eq(tranche->allocator, 1);
	ck_assert_uint_eq(tranche->memory, STILE_MEMORY_DMA_BUF);
	c.memory = STILE_MEMORY_MEMFD;
	c.allocates = 0;
	ck_assert_int_eq(NEGOTIATE(a, b, c), 0);
	tranche = stile_layout_get_tranche(&layout, 0);
	ck_assert_uint_eq(tranche->allocator, 0);
	ck_assert_uint_eq(tranche->memory, STILE_MEMORY_MEMFD);
	/* Its own memory it need not import. */
	a.memory = 0;
	ck_assert_int_eq(NEGOTIATE(a, b, c), 0);
	c.memory = STILE_MEMORY_OPAQUE_FD;
	expect_refusal(NEGOTIATE(a, b, c), STILE_REASON_MEMORY_KIND, STILE_MEMORY_OPAQUE_FD,
		STILE_MEMORY_MEMFD, "c imports opaque fd; the others have memfd");
}
END_TEST

/* Wrong code: somebody has to allocate; an optional party that could, left out of it. */
START_TEST(memory_comes_from_elsewhere_if_nobody_allocates) {
	struct stile_party a = PARTY_WITH("a", xrgb_x, .imports_only = true),
			   b = PARTY_WITH("b", xrgb_x, .imports_only = true);
	ck_assert_int_eq(NEGOTIATE(a, b), 0);
	ck_assert_uint_eq(stile_layout_get_tranche(&layout, 0)->allocator, STILE_NO_PARTY);
	ck_assert_uint_eq(stile_layout_get_tranche(&layout, 0)->memory, STILE_MEMORY_DMA_BUF);
	b.memory = STILE_MEMORY_MEMFD;
	expect_refusal(NEGOTIATE(a, b), STILE_REASON_MEMORY_KIND, STILE_MEMORY_MEMFD,
		STILE_MEMORY_DMA_BUF, "b imports memfd; the others have dma-buf");
	/* One of all allocates, but takes no part. */
	b = PARTY_WITH("b", argb_linear, .flags = STILE_PARTY_OPTIONAL);
	expect_refusal(NEGOTIATE(a, b), STILE_REASON_MEMORY_KIND, 0, 0,
		"none of those who take XRGB8888 can allocate for the others");
}
END_TEST

/* Wrong code: OPAQUE_FD and semaphores of another driver, which crash or show garbage. */
START_TEST(opaque_handles_are_for_one_device) {
	struct stile_party a =
		PARTY_WITH("a", xrgb_x, .device = RENDER_NODE, .memory = STILE_MEMORY_OPAQUE_FD,
			.allocates = STILE_MEMORY_OPAQUE_FD, .sync = STILE_SYNC_SEMAPHORE);
	struct stile_party b = a;
	ck_assert_int_eq(NEGOTIATE(a, b), 0);
	ck_assert_uint_eq(stile_layout_get_tranche(&layout, 0)->memory, STILE_MEMORY_OPAQUE_FD);
	ck_assert_uint_eq(stile_layout_get_tranche(&layout, 0)->sync, STILE_SYNC_SEMAPHORE);
	b.device = OTHER_NODE;
	ck_assert_int_eq(NEGOTIATE(a, b), -EOPNOTSUPP);
	ck_assert_int_eq(report.reason, STILE_REASON_MEMORY_KIND);
	a.memory = b.memory = a.allocates = STILE_MEMORY_DMA_BUF;
	expect_refusal(NEGOTIATE(a, b), STILE_REASON_SYNC, STILE_SYNC_SEMAPHORE,
		STILE_SYNC_SYNCOBJ | STILE_SYNC_FILE | STILE_SYNC_IMPLICIT | STILE_SYNC_CPU,
		"a waits by semaphore; the others by syncobj, sync_file, implicit, CPU");
}
END_TEST

START_TEST(ways_of_waiting_are_those_of_all) {
	struct stile_party a = PARTY("a", xrgb_x), b = PARTY("b", xrgb_x);
	a.sync = STILE_SYNC_SYNCOBJ | STILE_SYNC_FILE | STILE_SYNC_CPU;
	b.sync = STILE_SYNC_IMPLICIT | STILE_SYNC_FILE | STILE_SYNC_CPU;
	ck_assert_int_eq(NEGOTIATE(a, b), 0);
	ck_assert_uint_eq(
		stile_layout_get_tranche(&layout, 0)->sync, STILE_SYNC_FILE | STILE_SYNC_CPU);
	b.sync = STILE_SYNC_IMPLICIT;
	expect_refusal(NEGOTIATE(a, b), STILE_REASON_SYNC, STILE_SYNC_IMPLICIT, a.sync,
		"b waits by implicit; the others by syncobj, sync_file, CPU");
}
END_TEST

static const struct {
	struct stile_constraints needs, gives;
	const char *text; /* NULL: it does */
	uint64_t needed, actual;
} promises[] = {
	{ { .max_segments = 1 }, { .max_segments = 0 },
		"show needs memory of 1 piece, of which who would allocate it promises nothing", 1,
		0 },
	{ { .max_segments = 4 }, { .max_segments = 5 },
		"show needs memory of 4 pieces, of which who would allocate it promises 5", 4, 5 },
	{ { .max_segments = 4 }, { .max_segments = 4 }, NULL, 0, 0 },
	{ { .address_bits = 32 }, { .address_bits = 33 },
		"show needs memory of 32 bits of an address", 32, 33 },
	{ { .address_bits = 32 }, { .address_bits = 0 },
		"show needs memory of 32 bits of an address", 32, 0 },
	{ { .address_bits = 32 }, { .address_bits = 32 }, NULL, 0, 0 },
	{ { .address_bits = 64 }, { .address_bits = 0 }, NULL, 0, 0 },
	{ { .segment_align = 1u << 20 }, { .segment_align = 1u << 19 },
		"show needs memory of 1048576 bytes of alignment of a piece", 1u << 20, 1u << 19 },
	{ { .segment_align = 1u << 20 }, { .segment_align = 1u << 20 }, NULL, 0, 0 },
	{ { .segment_align = 4096 }, { .segment_align = 0 }, NULL, 0, 0 },
};

/* Wrong code: a promise of more taken for one of less; nothing promised taken for all. */
START_TEST(memory_is_as_it_was_promised) {
	struct stile_constraints needs = promises[_i].needs, gives = promises[_i].gives;
	needs.size = gives.size = sizeof(needs);
	struct stile_party show = PARTY_WITH("show", xrgb_x, .needs = &needs, .imports_only = true);
	struct stile_party draw = PARTY_WITH("draw", xrgb_x, .gives = &gives);
	if (promises[_i].text == NULL) {
		ck_assert_int_eq(NEGOTIATE(show, draw), 0);
		ck_assert_uint_eq(stile_layout_get_tranche(&layout, 0)->allocator, 1);
		return;
	}
	expect_refusal(NEGOTIATE(show, draw), STILE_REASON_MEMORY, promises[_i].needed,
		promises[_i].actual, promises[_i].text);
	/* Another one who can is found, though it comes later and is optional. */
	struct stile_party heap =
		PARTY_WITH("heap", xrgb_x, .gives = &needs, .flags = STILE_PARTY_OPTIONAL);
	ck_assert_int_eq(NEGOTIATE(show, draw, heap), 0);
	ck_assert_uint_eq(stile_layout_get_tranche(&layout, 0)->allocator, 2);
}
END_TEST

/* PEERS 5 and 7. Wrong code: the first one's, or the last one's; the optional ones' for all tranches. */
START_TEST(needs_are_the_strictest_of_the_tranche) {
	const struct stile_constraints a = { .size = sizeof(a),
		.usage = STILE_USAGE_READ,
		.pitch_align = 64,
		.offset_align = 4096,
		.max_width = 4096 };
	const struct stile_constraints b = { .size = sizeof(b),
		.usage = STILE_USAGE_WRITE,
		.pitch_align = 256,
		.height_align = 16,
		.max_width = 8192 };
	const struct stile_constraints c = {
		.size = sizeof(c), .pitch_align = 512, .max_height = 2000
	};
	ck_assert_int_eq(
		NEGOTIATE(PARTY_WITH("a", xrgb_x_and_y, .needs = &a),
			PARTY_WITH("b", xrgb_x_and_y, .needs = &b),
			PARTY_WITH("c", xrgb_y, .needs = &c, .flags = STILE_PARTY_OPTIONAL)),
		0);
	const struct stile_constraints *all = &stile_layout_get_tranche(&layout, 0)->needs;
	const struct stile_constraints *required = &stile_layout_get_tranche(&layout, 1)->needs;
	ck_assert_uint_eq(all->size, sizeof(*all));
	ck_assert_uint_eq(all->pitch_align, 512);
	ck_assert_uint_eq(all->max_height, 2000);
	ck_assert_uint_eq(required->pitch_align, 256);
	ck_assert_uint_eq(required->offset_align, 4096);
	ck_assert_uint_eq(required->height_align, 16);
	ck_assert_uint_eq(required->max_width, 4096);
	ck_assert_uint_eq(required->max_height, 0);
	ck_assert_uint_eq(required->usage, STILE_USAGE_READ | STILE_USAGE_WRITE);
}
END_TEST

/* ---- The ladder ---------------------------------------------------------------------------- */

TAKES(x_and_linear, MOD(X_TILED), MOD(LINEAR));
TAKES(y_and_linear, MOD(Y_TILED), MOD(LINEAR));
static const struct stile_party_format xrgb_x_and_linear[] = { FORMAT(XRGB, x_and_linear) };
static const struct stile_party_format xrgb_y_and_linear[] = { FORMAT(XRGB, y_and_linear) };

/* Wrong code: linear memory between GPUs without a word; a word where one has nothing better. */
START_TEST(linear_is_a_step_if_all_have_better) {
	const struct stile_party x = PARTY("x", xrgb_x_and_linear),
				 y = PARTY("y", xrgb_y_and_linear);
	const struct stile_party cpu = PARTY("cpu", xrgb_linear);
	ck_assert_int_eq(NEGOTIATE(x, y), 0);
	ck_assert_int_eq(layout.step, STILE_STEP_LINEAR);
	ck_assert_int_eq(choice(0, 0)->step, STILE_STEP_LINEAR);
	ck_assert_uint_eq(layout.cost, 0);
	want.ladder = STILE_STEP_DIRECT;
	expect_refusal(NEGOTIATE(x, y), STILE_REASON_POLICY, STILE_STEP_LINEAR, STILE_STEP_DIRECT,
		"XRGB8888 with 0x0 (LINEAR) would do, though all have better: STILE_STEP_LINEAR has to be allowed; linear memory would do, nothing is copied");
	ck_assert_int_eq(layout.step, STILE_STEP_LINEAR);
	ck_assert_int_eq(NEGOTIATE(x, y, cpu), 0);
	ck_assert_int_eq(layout.step, STILE_STEP_DIRECT);
	ck_assert_int_eq(choice(0, 0)->step, STILE_STEP_DIRECT);
}
END_TEST

static struct stile_party camera(void) {
	return PARTY_WITH("camera", xrgb_x, .needs = &draws, .device = OTHER_NODE);
}

static struct stile_party screen(void) {
	return PARTY_WITH(
		"screen", xrgb_y, .needs = &reads, .device = CARD, .flags = STILE_PARTY_SCANOUT);
}

static struct stile_party gpu(void) {
	return PARTY_WITH("gpu", xrgb_x_and_y, .device = RENDER_NODE,
		.flags = STILE_PARTY_CAN_BLIT | STILE_PARTY_OPTIONAL);
}

/* Wrong code: sides exchanged; bytes of one side only; who copies not of both sides. */
START_TEST(blit_has_two_layouts) {
	want.ladder = STILE_STEP_BLIT;
	ck_assert_int_eq(NEGOTIATE(camera(), screen(), gpu()), 0);
	ck_assert_int_eq(layout.step, STILE_STEP_BLIT);
	ck_assert_uint_eq(layout.copier, 2);
	ck_assert_uint_eq(layout.cost, 2 * 4 * 1920 * 1080);
	ck_assert_uint_eq(layout.tranche_count, 1);
	expect_tranche(0, 6, CARD, STILE_TRANCHE_SCANOUT, 1);
	expect_choice(0, 0, XRGB, Y_TILED);
	const struct stile_tranche *source = stile_layout_get_source(&layout);
	ck_assert_ptr_nonnull(source);
	ck_assert_uint_eq(source->parties, 5);
	ck_assert_uint_eq(source->device, OTHER_NODE);
	ck_assert_uint_eq(source->flags, 0);
	ck_assert_uint_eq(source->choice_count, 1);
	ck_assert_uint_eq(source->choices[0].modifier, X_TILED);
	/* The one who copies reads there and writes here, whoever else does. */
	ck_assert_uint_eq(source->needs.usage, STILE_USAGE_READ | STILE_USAGE_WRITE);
	ck_assert_uint_eq(stile_layout_get_tranche(&layout, 0)->needs.usage,
		STILE_USAGE_READ | STILE_USAGE_WRITE);
	/* Why it is not direct is told all the same. */
	ck_assert_uint_eq(layout.rejection_count, 2);
	ck_assert_uint_eq(stile_layout_get_rejection(&layout, 0)->party, 1);
	ck_assert_uint_eq(stile_layout_get_rejection(&layout, 1)->party, 0);
	ck_assert_uint_eq(stile_layout_get_rejection(&layout, 1)->tranche, STILE_NO_TRANCHE);
}
END_TEST

/* Wrong code: done though it is not allowed; only the reason, or only the step. */
START_TEST(step_that_is_not_allowed_is_told) {
	expect_refusal(NEGOTIATE(camera(), screen(), gpu()), STILE_REASON_MODIFIER, Y_TILED,
		X_TILED,
		"screen takes XRGB8888 only with 0x100000000000002 (INTEL Y_TILED); camera offered 0x100000000000001 (INTEL X_TILED); "
		"a blit by gpu would do, 16588800 bytes a frame");
	ck_assert_int_eq(layout.step, STILE_STEP_BLIT);
	ck_assert_uint_eq(layout.copier, 2);
	ck_assert_uint_eq(layout.cost, 2 * 4 * 1920 * 1080);
	ck_assert_ptr_null(stile_layout_get_source(&layout));
}
END_TEST

/* Wrong code: formats that only one side has; a copier that has to write what it only reads. */
START_TEST(blit_keeps_the_format) {
	static const struct stile_party_format both[] = { FORMAT(XRGB, x_and_y),
		FORMAT(ARGB, linear_only) };
	const struct stile_party from = PARTY_WITH("from", xrgb_x, .needs = &draws);
	const struct stile_party to = PARTY_WITH("to", argb_linear, .needs = &reads);
	want.ladder = STILE_STEP_CPU_COPY;
	ck_assert_int_eq(NEGOTIATE(from, to,
				 PARTY_WITH("gpu", both,
					 .flags = STILE_PARTY_CAN_BLIT | STILE_PARTY_OPTIONAL)),
		-EOPNOTSUPP);
	ck_assert_int_eq(layout.step, STILE_STEP_NONE);
	ck_assert_ptr_nonnull(strstr(report.text, "; no copy would do"));
}
END_TEST

TAKES(x_and_y_external, MOD(X_TILED), { .modifier = Y_TILED, .flags = STILE_PARTY_EXTERNAL_ONLY });
static const struct stile_party_format xrgb_x_and_y_external[] = { FORMAT(XRGB, x_and_y_external) };

/* Wrong code: a copy to what the one who copies can only sample. */
START_TEST(blit_draws_to_the_consumers_side) {
	struct stile_party samples = gpu();
	samples.formats = xrgb_x_and_y_external;
	want.ladder = STILE_STEP_BLIT;
	ck_assert_int_eq(NEGOTIATE(camera(), screen(), samples), -EOPNOTSUPP);
	/* The other way round it does. */
	struct stile_party from = screen(), to = camera();
	from.needs = &draws;
	to.needs = &reads;
	ck_assert_int_eq(NEGOTIATE(from, to, samples), 0);
	ck_assert_uint_eq(stile_layout_get_source(&layout)->choices[0].external_only, 4);
}
END_TEST

/* Wrong code: any who can blit, though it reaches one side only; an unknown extent's cost. */
START_TEST(copier_is_the_first_who_reaches_both_sides) {
	struct stile_party half = gpu(), other = gpu();
	half.formats = xrgb_x;
	other.name = "other";
	want.ladder = STILE_STEP_BLIT;
	want.width = want.height = 0;
	ck_assert_int_eq(NEGOTIATE(half, camera(), screen(), other, gpu()), 0);
	ck_assert_uint_eq(layout.copier, 3);
	ck_assert_uint_eq(layout.cost, 0);
	/* A producer can be the one: nothing else is to write its layout for the screen. */
	struct stile_party draw = gpu();
	draw.needs = &draws;
	draw.flags = STILE_PARTY_CAN_BLIT;
	ck_assert_int_eq(NEGOTIATE(camera(), draw, screen()), 0);
	ck_assert_uint_eq(layout.copier, 1);
}
END_TEST

static struct stile_party linear_in(
	const char *name, const struct stile_constraints *needs, uint32_t memory, uint32_t flags) {
	return PARTY_WITH(name, xrgb_linear, .needs = needs, .memory = memory, .allocates = memory,
		.flags = flags);
}

/* Wrong code: tiled memory copied by the CPU; memory that it cannot reach; protected content. */
START_TEST(cpu_copies_what_it_can_map) {
	const struct stile_party from = linear_in(
		"from", &draws, STILE_MEMORY_MEMFD, STILE_PARTY_CPU | STILE_PARTY_PROTECTED);
	const struct stile_party to = linear_in(
		"to", &reads, STILE_MEMORY_DMA_BUF, STILE_PARTY_CPU | STILE_PARTY_PROTECTED);
	want.ladder = STILE_STEP_CPU_COPY;
	ck_assert_int_eq(NEGOTIATE(from, to), 0);
	ck_assert_int_eq(layout.step, STILE_STEP_CPU_COPY);
	ck_assert_uint_eq(layout.copier, STILE_NO_PARTY);
	ck_assert_uint_eq(layout.cost, 2 * 4 * 1920 * 1080);
	ck_assert_uint_eq(stile_layout_get_source(&layout)->memory, STILE_MEMORY_MEMFD);
	ck_assert_uint_eq(stile_layout_get_tranche(&layout, 0)->memory, STILE_MEMORY_DMA_BUF);
	want.ladder = STILE_STEP_BLIT;
	ck_assert_int_eq(NEGOTIATE(from, to), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(
		strstr(report.text, "; a copy by the CPU would do, 16588800 bytes a frame"));
	want.ladder = STILE_STEP_CPU_COPY;
	want.is_protected = true;
	ck_assert_int_eq(NEGOTIATE(from, to), -EOPNOTSUPP);
	want.is_protected = false;
	ck_assert_int_eq(
		NEGOTIATE(from, linear_in("to", &reads, STILE_MEMORY_DMA_BUF, 0)), -EOPNOTSUPP);
	ck_assert_int_eq(layout.step, STILE_STEP_NONE);
	struct stile_party tiled = PARTY_WITH("to", xrgb_y, .flags = STILE_PARTY_CPU);
	ck_assert_int_eq(NEGOTIATE(from, tiled), -EOPNOTSUPP);
}
END_TEST

/* ---- Words --------------------------------------------------------------------------------- */

/* The sentence that everybody wants instead of EGL_BAD_MATCH. Wrong code: names of others' memory. */
START_TEST(rejection_is_a_sentence) {
	char name[] = "Vulkan (llvmpipe)";
	expect_refusal(NEGOTIATE(PARTY(name, xrgb_y), PARTY("KMS plane 33", xrgb_linear)),
		STILE_REASON_MODIFIER, LINEAR, Y_TILED, "");
	memset(name, 'x', sizeof(name) - 1);
	static const char text[] =
		"KMS plane 33 takes XRGB8888 only with 0x0 (LINEAR); Vulkan (llvmpipe) offered 0x100000000000002 (INTEL Y_TILED)";
	char found[sizeof(text)], cut[8];
	ck_assert_int_eq(stile_layout_describe_rejection(&layout, 0, found, sizeof(found)),
		(int)strlen(text));
	ck_assert_str_eq(found, text);
	ck_assert_int_eq(
		stile_layout_describe_rejection(&layout, 0, cut, sizeof(cut)), (int)strlen(text));
	ck_assert_str_eq(cut, "KMS pla");
	ck_assert_int_eq(stile_layout_describe_rejection(&layout, 0, NULL, 0), (int)strlen(text));
}
END_TEST

/* Of AMD's, two names as long as they get. Wrong code: parameters left out; a sentence, or a line of the answer, cut. */
START_TEST(parameters_of_modifiers_are_told) {
	static const char draws_it[] =
		"Vulkan (a graphics card's name, its driver's, and a number)",
			  shows_it[] = "EGL (a graphics card's name, its driver's, and a number)";
	const uint64_t one = modifiers_cases[_i].modifier;
	const uint64_t two = modifiers_cases[0].modifier ^ AMD_FMT_MOD_SET(PIPE, 1);
	const struct stile_party_modifier takes_one[] = { MOD(one) }, takes_two[] = { MOD(two) };
	const struct stile_party_format ones[] = { FORMAT(XRGB, takes_one) },
					twos[] = { FORMAT(XRGB, takes_two) };
	const struct modifiers_text first = modifiers_expect(one);
	char sentence[736], text[768], *whole;
	snprintf(sentence, sizeof(sentence), "%s takes XRGB8888 only with %s; %s offered %s",
		shows_it, modifiers_expect(two).text, draws_it, first.text);
	snprintf(text, sizeof(text), "%s; no copy would do", sentence);
	expect_refusal(NEGOTIATE(PARTY(draws_it, ones), PARTY(shows_it, twos)),
		STILE_REASON_MODIFIER, two, one, text);

	ck_assert_int_eq(stile_layout_describe(&layout, &whole), 0);
	snprintf(text, sizeof(text), "\n  %s\n", sentence);
	ck_assert_msg(strstr(whole, text) != NULL, "%s", whole);
	free(whole);
	ck_assert_int_eq(NEGOTIATE(PARTY("a", ones), PARTY("b", ones)), 0);
	ck_assert_int_eq(stile_layout_describe(&layout, &whole), 0);
	snprintf(text, sizeof(text), "\n  XRGB8888 with %s, 1 plane\n", first.text);
	ck_assert_msg(strstr(whole, text) != NULL, "%s", whole);
	free(whole);
}
END_TEST

/* Wrong code: a NULL printed; a number without a name left out. */
START_TEST(names_may_be_missing) {
	expect_refusal(NEGOTIATE(PARTY(NULL, xrgb_y), PARTY(NULL, xrgb_tiled),
			       PARTY(NULL, xrgb_x_and_linear)),
		STILE_REASON_MODIFIER, X_TILED, Y_TILED,
		"party 2 takes XRGB8888 only with 0x100000000000001 (INTEL X_TILED) and 1 other; party 0 offered 0x100000000000002 (INTEL Y_TILED)");
	ck_assert_int_eq(NEGOTIATE(PARTY("a", unknown_linear), PARTY("b", xrgb_x)), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(report.text, "b does not take 4321;"));
	expect_refusal(NEGOTIATE(((struct stile_party){ .size = sizeof(struct stile_party) })),
		STILE_REASON_FORMAT, 0, 0, "no party names a format; no copy would do");
}
END_TEST

static const char compositor[] =
	"1920 x 1080: direct, nothing is copied\n"
	"tranche 0: EGL, KMS plane 33 (optional)\n"
	"  device 226:0, scan-out; dma-buf of EGL; waiting: sync_file, CPU\n"
	"  needs: pitch a multiple of 256\n"
	"  XRGB8888 with 0x100000000000001 (INTEL X_TILED), 1 plane\n"
	"tranche 1: EGL\n"
	"  device 226:128; dma-buf of EGL; waiting: sync_file, CPU\n"
	"  XRGB8888 with 0x100000000000002 (INTEL Y_TILED), 1 plane\n"
	"  XRGB8888 with 0x0 (LINEAR), 1 plane; all have better\n"
	"left out:\n"
	"  KMS plane 33 takes XRGB8888 only with 0x100000000000001 (INTEL X_TILED); EGL offered 0x100000000000002 (INTEL Y_TILED); the same for 1 more of its layouts (in tranche 1)\n"
	"  EGL does not take ARGB8888; KMS plane 33 offered it with 0x0 (LINEAR)\n";

/* Wrong code: lines of another tranche; needs of nothing; a multiple of 1 called one. */
START_TEST(whole_answer_can_be_read) {
	static const struct stile_party_format shows[] = { FORMAT(XRGB, x_only),
		FORMAT(ARGB, linear_only) };
	const struct stile_constraints pitch = {
		.size = sizeof(pitch),
		.pitch_align = 256,
		.offset_align = 1,
		.height_align = 1,
		.segment_align = 1,
	};
	char *text;
	ck_assert_int_eq(NEGOTIATE(PARTY_WITH("EGL", xrgb_tiled, .device = RENDER_NODE),
				 PARTY_WITH("KMS plane 33", shows, .needs = &pitch, .device = CARD,
					 .flags = STILE_PARTY_OPTIONAL | STILE_PARTY_SCANOUT)),
		0);
	ck_assert_int_eq(stile_layout_describe(&layout, &text), 0);
	ck_assert_str_eq(text, compositor);
	free(text);
}
END_TEST

static const char copied[] =
	"1920 x 1080: a blit by gpu, 16588800 bytes a frame\n"
	"from: camera, gpu (optional)\n"
	"  device 226:129; dma-buf of camera; waiting: sync_file, CPU\n"
	"  XRGB8888 with 0x100000000000001 (INTEL X_TILED), 1 plane\n"
	"to: screen, gpu (optional)\n"
	"  device 226:0, scan-out; dma-buf of screen; waiting: sync_file, CPU\n"
	"  XRGB8888 with 0x100000000000002 (INTEL Y_TILED), 1 plane\n"
	"left out:\n"
	"  screen takes XRGB8888 only with 0x100000000000002 (INTEL Y_TILED); camera offered 0x100000000000001 (INTEL X_TILED)\n"
	"  camera takes XRGB8888 only with 0x100000000000001 (INTEL X_TILED); screen offered 0x100000000000002 (INTEL Y_TILED)\n";

START_TEST(copy_can_be_read) {
	char *text;
	want.ladder = STILE_STEP_BLIT;
	ck_assert_int_eq(NEGOTIATE(camera(), screen(), gpu()), 0);
	ck_assert_int_eq(stile_layout_describe(&layout, &text), 0);
	ck_assert_str_eq(text, copied);
	free(text);
	want.ladder = STILE_STEP_LINEAR;
	ck_assert_int_eq(NEGOTIATE(camera(), screen(), gpu()), -EOPNOTSUPP);
	ck_assert_int_eq(stile_layout_describe(&layout, &text), 0);
	ck_assert_ptr_eq(
		strstr(text,
			"1920 x 1080: nothing fits; a blit by gpu would do, 16588800 bytes a frame\nleft out:\n"),
		text);
	free(text);
}
END_TEST

/* ---- What cannot be ------------------------------------------------------------------------ */

static void expect_invalid(int ret, const char *text) {
	ck_assert_int_eq(ret, -EINVAL);
	ck_assert_int_eq(report.reason, STILE_REASON_CALLER);
	ck_assert_msg(strstr(report.text, text) != NULL, "%s", report.text);
	ck_assert_uint_eq(layout.tranche_count, 0);
	ck_assert_uint_eq(layout.rejection_count, 0);
	ck_assert_int_eq(layout.step, STILE_STEP_NONE);
	ck_assert_ptr_null(stile_layout_get_source(&layout));
	char *words;
	ck_assert_int_eq(stile_layout_describe(&layout, &words), 0);
	ck_assert_str_eq(words, "nothing fits; no copy would do\n");
	free(words);
}

/* Wrong code: an array of 64 bits overrun; nobody who needs the image. */
START_TEST(number_of_parties_is_checked) {
	static struct stile_party parties[STILE_MAX_PARTIES + 1];
	for (size_t i = 0; i < ARRAY_LENGTH(parties); i++) {
		parties[i] = PARTY("p", xrgb_x);
	}
	expect_invalid(negotiate(parties, ARRAY_LENGTH(parties)), "no parties, or too many");
	expect_invalid(negotiate(parties, 0), "no parties, or too many");
	parties[0].flags = parties[1].flags = STILE_PARTY_OPTIONAL;
	expect_invalid(negotiate(parties, 2), "each of 2 parties is optional");
}
END_TEST

START_TEST(unknown_bits_are_refused) {
	struct stile_party party = PARTY("p", xrgb_x);
	const struct stile_party good = party;
	party.flags = 1u << 7;
	expect_invalid(NEGOTIATE(good, party), "party 1, p: unknown flag");
	party = good;
	party.memory = 1u << 4;
	expect_invalid(NEGOTIATE(party), "party 0, p: unknown kind of memory");
	party = good;
	party.allocates = 1u << 4;
	expect_invalid(NEGOTIATE(party), "unknown kind of memory");
	party = good;
	party.sync = 1u << 5;
	expect_invalid(NEGOTIATE(party), "unknown way of waiting");
	const struct stile_party_modifier odd = { .modifier = X_TILED, .flags = 2 };
	const struct stile_party_format format = {
		.fourcc = XRGB, .modifiers = &odd, .modifier_count = 1
	};
	party = good;
	party.formats = &format;
	expect_invalid(NEGOTIATE(party), "unknown flag of a modifier");
}
END_TEST

START_TEST(impossible_needs_are_refused) {
	static const uint64_t modifier = X_TILED;
	struct stile_constraints needs = { .size = sizeof(needs), .pitch_align = 48 };
	struct stile_party party = PARTY_WITH("p", xrgb_x, .needs = &needs);
	expect_invalid(NEGOTIATE(party), "nobody can need that");
	needs = (struct stile_constraints){ .size = sizeof(needs), .usage = 4 };
	expect_invalid(NEGOTIATE(party), "nobody can need that");
	needs = (struct stile_constraints){ .size = 4 };
	expect_invalid(NEGOTIATE(party), "nobody can need that");
	needs = (struct stile_constraints){
		.size = sizeof(needs), .modifiers = &modifier, .modifier_count = 1
	};
	expect_invalid(NEGOTIATE(party), "modifiers belong to its formats");
	needs = (struct stile_constraints){ .size = sizeof(needs), .address_bits = 11 };
	party = PARTY_WITH("p", xrgb_x, .gives = &needs);
	expect_invalid(NEGOTIATE(party), "nobody can need that");
	const struct stile_party_modifier five = { .modifier = X_TILED,
		.plane_count = STILE_MAX_PLANES + 1 };
	const struct stile_party_format format = {
		.fourcc = XRGB, .modifiers = &five, .modifier_count = 1
	};
	party = PARTY("p", xrgb_x);
	party.formats = &format;
	expect_invalid(NEGOTIATE(party), "too many planes");
}
END_TEST

START_TEST(impossible_wants_are_refused) {
	const struct stile_party party = PARTY("p", xrgb_x);
	want.height = 0;
	expect_invalid(NEGOTIATE(party), "only one of width and height");
	want.height = 1080;
	want.usage = 4;
	expect_invalid(NEGOTIATE(party), "unknown usage");
	want.usage = STILE_USAGE_READ;
	want.ladder = STILE_STEP_NONE;
	expect_invalid(NEGOTIATE(party), "no such step");
	want.ladder = STILE_STEP_CPU_COPY;
	ck_assert_int_eq(NEGOTIATE(party), 0);
	ck_assert_uint_eq(stile_layout_get_tranche(&layout, 0)->needs.usage, STILE_USAGE_READ);
}
END_TEST

/* ---- Sizes --------------------------------------------------------------------------------- */

/* As a caller knows them who is newer than the library. */
struct newer_party {
	struct stile_party known;
	uint64_t unknown;
};

struct newer_layout {
	struct stile_layout known;
	uint64_t unknown;
};

/* Wrong code: an array stepped through by the library's own size. */
START_TEST(newer_parties_are_understood) {
	struct newer_party parties[2] = { { PARTY("a", xrgb_tiled), 0 },
		{ PARTY("b", xrgb_x), 0 } };
	parties[0].known.size = parties[1].known.size = sizeof(parties[0]);
	ck_assert_int_eq(negotiate(&parties[0].known, 2), 0);
	expect_choice(0, 0, XRGB, X_TILED);
	parties[1].unknown = 1;
	ck_assert_int_eq(negotiate(&parties[0].known, 2), -E2BIG);
	ck_assert_ptr_nonnull(strstr(report.text, "party 1 uses fields"));
	parties[1].unknown = 0;
	parties[1].known.size = sizeof(struct stile_party);
	expect_invalid(negotiate(&parties[0].known, 2),
		"party 1, b: it is of another size than the first");
	parties[0].known.size = 7;
	ck_assert_int_eq(negotiate(&parties[0].known, 2), -EINVAL);
}
END_TEST

/* Wrong code: fields read that an older caller does not have. */
START_TEST(older_parties_are_understood) {
	enum { OLD = offsetof(struct stile_party, flags) };
	struct stile_party party = PARTY_WITH("old", xrgb_y_external, .needs = &reads);
	party.size = OLD;
	party.flags = UINT32_MAX; /* somebody else's memory */
	ck_assert_int_eq(negotiate(&party, 1), 0);
	expect_choice(0, 0, XRGB, Y_TILED);
}
END_TEST

START_TEST(size_of_want_and_report_is_checked) {
	const struct stile_party party = PARTY("p", xrgb_x);
	want.size = 3;
	ck_assert_int_eq(NEGOTIATE(party), -EINVAL);
	want.size = sizeof(want);
	report.size = 3;
	ck_assert_int_eq(NEGOTIATE(party), -EINVAL);
	ck_assert_uint_eq(layout.tranche_count, 0);
	struct stile_constraints newer[2] = { { .size = sizeof(newer) }, { .size = 1 } };
	report.size = sizeof(report);
	ck_assert_int_eq(NEGOTIATE(PARTY_WITH("p", xrgb_x, .needs = newer)), -E2BIG);
	ck_assert_ptr_nonnull(strstr(report.text, "does not know"));
}
END_TEST

/* Wrong code: written behind an older layout; what it has lost; a newer one's fields left as they were. */
START_TEST(size_of_the_layout_is_kept) {
	const struct stile_party party = PARTY("p", xrgb_x);
	struct newer_layout newer = { .known.size = sizeof(newer), .unknown = 7 };
	ck_assert_int_eq(stile_negotiate(&party, 1, &want, &newer.known, NULL), 0);
	ck_assert_uint_eq(newer.known.size, sizeof(newer));
	ck_assert_uint_eq(newer.unknown, 0);
	stile_layout_fini(&newer.known);
	ck_assert_uint_eq(newer.known.size, sizeof(newer));
	ck_assert_ptr_null(newer.known.data);
	stile_layout_fini(&newer.known);
	struct stile_layout older = { .size = sizeof(older) - 1, .width = 7 };
	ck_assert_int_eq(stile_negotiate(&party, 1, &want, &older, NULL), -EINVAL);
	ck_assert_uint_eq(older.width, 7);
	older.size = SIZE_MAX;
	ck_assert_int_eq(stile_negotiate(&party, 1, &want, &older, NULL), -EINVAL);
}
END_TEST

/* ---- Memory -------------------------------------------------------------------------------- */

static int attempt(void *user) {
	return negotiate(user, 2);
}

static void after(void *user, int ret) {
	(void)user;
	if (ret < 0) {
		ck_assert_int_eq(report.reason, STILE_REASON_RESOURCES);
		ck_assert_uint_eq(layout.rejection_count, 0);
		ck_assert_ptr_null(layout.data);
	} else {
		ck_assert_uint_eq(layout.tranche_count, 1);
	}
}

/* Wrong code: what was allocated before is lost (ASan); half an answer. */
START_TEST(no_memory_is_survived) {
	static const int errors[] = { -ENOMEM, 0 };
	/* Together they name more than each of them. */
	struct stile_party parties[] = { PARTY("a", xrgb_x_and_y), PARTY("b", xrgb_y_and_linear) };
	ck_assert_uint_eq(failing_sweep(attempt, after, parties, errors), 6);
}
END_TEST

static Suite *suite(void) {
	Suite *s = suite_create("negotiate");
	TCase *tc = ledger_tcase_create("negotiate");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, order_is_that_of_the_first_and_linear_comes_late);
	tcase_add_test(tc, formats_are_in_the_order_wanted);
	tcase_add_test(tc, formats_that_are_not_wanted_are_not_spoken_of);
	tcase_add_test(tc, optional_parties_make_tranches);
	tcase_add_test(tc, tranches_without_choices_are_left_out);
	tcase_add_test(tc, as_many_as_can_be);
	tcase_add_test(tc, invalid_is_for_one_device);
	tcase_add_test(tc, invalid_meets_nothing_else);
	tcase_add_test(tc, unsaid_is_refused_unless_its_meaning_is_said);
	tcase_add_test(tc, external_only_is_told_or_refused);
	tcase_add_test(tc, first_of_two_that_are_named_counts);
	tcase_add_test(tc, plane_count_is_that_of_who_says);
	tcase_add_test(tc, extents_have_limits);
	tcase_add_test(tc, subsampled_formats_have_whole_samples);
	tcase_add_test(tc, protected_content_needs_all);
	suite_add_tcase(s, tc);

	TCase *together = ledger_tcase_create("together");
	tcase_add_checked_fixture(together, setup, teardown);
	tcase_add_test(together, allocator_is_who_makes_the_best_memory_for_all);
	tcase_add_test(together, memory_comes_from_elsewhere_if_nobody_allocates);
	tcase_add_test(together, opaque_handles_are_for_one_device);
	tcase_add_test(together, ways_of_waiting_are_those_of_all);
	tcase_add_loop_test(together, memory_is_as_it_was_promised, 0, ARRAY_LENGTH(promises));
	tcase_add_test(together, needs_are_the_strictest_of_the_tranche);
	suite_add_tcase(s, together);

	TCase *ladder = ledger_tcase_create("ladder");
	tcase_add_checked_fixture(ladder, setup, teardown);
	tcase_add_test(ladder, linear_is_a_step_if_all_have_better);
	tcase_add_test(ladder, blit_has_two_layouts);
	tcase_add_test(ladder, step_that_is_not_allowed_is_told);
	tcase_add_test(ladder, blit_keeps_the_format);
	tcase_add_test(ladder, blit_draws_to_the_consumers_side);
	tcase_add_test(ladder, copier_is_the_first_who_reaches_both_sides);
	tcase_add_test(ladder, cpu_copies_what_it_can_map);
	suite_add_tcase(s, ladder);

	TCase *words = ledger_tcase_create("words");
	tcase_add_checked_fixture(words, setup, teardown);
	tcase_add_test(words, rejection_is_a_sentence);
	tcase_add_loop_test(words, parameters_of_modifiers_are_told, 0, MODIFIERS);
	tcase_add_test(words, names_may_be_missing);
	tcase_add_test(words, whole_answer_can_be_read);
	tcase_add_test(words, copy_can_be_read);
	suite_add_tcase(s, words);

	TCase *refused = ledger_tcase_create("refused");
	tcase_add_checked_fixture(refused, setup, teardown);
	tcase_add_test(refused, number_of_parties_is_checked);
	tcase_add_test(refused, unknown_bits_are_refused);
	tcase_add_test(refused, impossible_needs_are_refused);
	tcase_add_test(refused, impossible_wants_are_refused);
	tcase_add_test(refused, newer_parties_are_understood);
	tcase_add_test(refused, older_parties_are_understood);
	tcase_add_test(refused, size_of_want_and_report_is_checked);
	tcase_add_test(refused, size_of_the_layout_is_kept);
	tcase_add_test(refused, no_memory_is_survived);
	suite_add_tcase(s, refused);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
