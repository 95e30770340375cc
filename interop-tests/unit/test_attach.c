/* SPDX-License-Identifier: MIT */
/* Importers of a buffer: KERNEL_CONTRACT T-1 to T-11, by the newer of its two kernels. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <stile/attachment.h>
#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/exporter.h>
#include <stile/resv.h>
#include <stile/swgpu_test.h>
#include <stile/wait.h>

#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/test_exporter.h"
#include "src/macros.h"
#include "src/os.h"

#define MS INT64_C(1000000)

enum {
	READ = STILE_USAGE_READ,
	WRITE = STILE_USAGE_WRITE,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
};

enum { PAGES = 3, THREADS = 4, DIRECTIONS = 3 };

static struct stile_device *device;
static struct test_exporter exporter;
static struct stile_buffer *buffer; /* the exporter's */
static struct stile_resv *resv;     /* the buffer's */
static int fences_before;

static struct stile_device *open_with(const char *options) {
	struct stile_device_info info = { .size = sizeof(info), .options = options };
	struct stile_device *opened;
	ck_assert_int_eq(stile_device_open("swgpu", &info, &opened), 0);
	return opened;
}

static void export(void) {
	buffer = test_exporter_export(&exporter);
	resv = stile_buffer_get_resv(buffer);
}

/* For tests that change the exporter first. */
static void setup_exporter(void) {
	fences_before = plain_fence_count();
	device = open_with(NULL);
	test_exporter_init(&exporter, PAGES * os_page_size());
}

static void setup(void) {
	setup_exporter();
	export();
}

static void teardown(void) {
	stile_buffer_unref(buffer);
	buffer = NULL;
	test_exporter_finish(&exporter);
	stile_device_destroy(device);
	device = NULL;
	ck_assert_int_eq(plain_fence_count(), fences_before);
}

static void lock(void) {
	int ret = stile_resv_lock(resv, NULL, NULL);
	runner_require(ret == 0, "lock: %d", ret);
}

static void unlock(void) {
	stile_resv_unlock(resv);
}

static const char *calls(void) {
	return test_exporter_calls(&exporter);
}

/* Usage BOTH, static, but for what the test changes. */
static struct stile_attach_info want(void) {
	return (struct stile_attach_info){
		.size = sizeof(struct stile_attach_info), .device = device, .usage = BOTH
	};
}

static struct stile_attachment *attach_with(const struct stile_attach_info *info) {
	struct stile_report report = { .size = sizeof(report), .reason = STILE_REASON_BOUNDS };
	struct stile_attachment *attachment;
	int ret = stile_buffer_attach(buffer, info, &report, &attachment);
	ck_assert_msg(ret == 0, "%d: %s", ret, report.text);
	ck_assert_int_eq(report.reason, STILE_REASON_NONE);
	return attachment;
}

static struct stile_attachment *attach(void) {
	struct stile_attach_info info = want();
	return attach_with(&info);
}

static size_t count_attachments(void) {
	size_t count = 0;
	lock();
	struct stile_attachment *at = NULL;
	while ((at = stile_buffer_next_attachment(buffer, at)) != NULL) {
		count++;
	}
	unlock();
	return count;
}

static const struct stile_sg *map(
	struct stile_attachment *attachment, enum stile_direction direction) {
	const struct stile_sg *sg;
	int ret = stile_attachment_map_unlocked(attachment, direction, INT64_MAX, NULL, &sg);
	ck_assert_msg(ret == 0, "map: %d", ret);
	ck_assert_ptr_nonnull(sg);
	ck_assert_uint_ge(stile_sg_get_bytes(sg), stile_buffer_get_bytes(buffer));
	return sg;
}

static void add_fence(struct stile_fence *fence, enum stile_resv_usage usage) {
	lock();
	ck_assert_int_eq(stile_resv_reserve_fences(resv, 1), 0);
	ck_assert_int_eq(stile_resv_add_fence(resv, fence, usage), 0);
	unlock();
}

static void finish_fence(struct stile_fence *fence) {
	stile_fence_signal(fence);
	stile_fence_unref(fence);
}

/* ---- An importer that hears of moves ------------------------------------------------------- */

struct importer {
	struct stile_attachment *attachment;
	unsigned told;
	unsigned unlocked; /* how often it was told without the lock */
};

static void importer_told(struct stile_attachment *attachment) {
	struct importer *importer = stile_attachment_get_priv(attachment);
	importer->told++;
	importer->unlocked += !stile_resv_is_locked(
		stile_buffer_get_resv(stile_attachment_get_buffer(attachment)));
}

static const struct stile_importer_ops hearing = {
	.size = sizeof(hearing),
	.move_notify = importer_told,
};

/* Dynamic, and yet it hears of nothing. */
static const struct stile_importer_ops deaf = { .size = sizeof(deaf) };

static struct stile_attachment *attach_dynamic(
	struct importer *importer, const struct stile_importer_ops *ops) {
	struct stile_attach_info info = want();
	*importer = (struct importer){ 0 };
	info.importer = ops;
	info.priv = importer;
	importer->attachment = attach_with(&info);
	return importer->attachment;
}

/* ---- Attaching ----------------------------------------------------------------------------- */

static void no_device(struct stile_attach_info *info, struct stile_constraints *constraints) {
	(void)constraints;
	info->device = NULL;
}

static void no_usage(struct stile_attach_info *info, struct stile_constraints *constraints) {
	(void)constraints;
	info->usage = 0;
}

static void unknown_usage(struct stile_attach_info *info, struct stile_constraints *constraints) {
	(void)constraints;
	info->usage = READ | 4;
}

static void size_0(struct stile_attach_info *info, struct stile_constraints *constraints) {
	(void)constraints;
	info->size = 0;
}

static void size_huge(struct stile_attach_info *info, struct stile_constraints *constraints) {
	(void)constraints;
	info->size = SIZE_MAX;
}

static void importer_size_0(struct stile_attach_info *info, struct stile_constraints *constraints) {
	(void)constraints;
	static const struct stile_importer_ops sizeless = { .move_notify = importer_told };
	info->importer = &sizeless;
}

static void constraints_size_0(
	struct stile_attach_info *info, struct stile_constraints *constraints) {
	(void)info;
	constraints->size = 0;
}

static void address_bits_11(struct stile_attach_info *info, struct stile_constraints *constraints) {
	(void)info;
	constraints->address_bits = 11;
}

static void address_bits_65(struct stile_attach_info *info, struct stile_constraints *constraints) {
	(void)info;
	constraints->address_bits = 65;
}

static void segment_align_odd(
	struct stile_attach_info *info, struct stile_constraints *constraints) {
	(void)info;
	constraints->segment_align = 12288;
}

static void max_segment_tiny(
	struct stile_attach_info *info, struct stile_constraints *constraints) {
	(void)info;
	constraints->max_segment = 4095;
}

static const struct mistake {
	const char *what;
	void (*make)(struct stile_attach_info *info, struct stile_constraints *constraints);
} mistakes[] = {
	{ "no device", no_device },
	{ "no usage", no_usage },
	{ "unknown usage", unknown_usage },
	{ "info of no size", size_0 },
	{ "info of a huge size", size_huge },
	{ "importer's ops of no size", importer_size_0 },
	{ "constraints of no size", constraints_size_0 },
	{ "11 address bits", address_bits_11 },
	{ "65 address bits", address_bits_65 },
	{ "an alignment that is no power of two", segment_align_odd },
	{ "segments of less than a page", max_segment_tiny },
};

static void assert_refused(const struct stile_attach_info *info, int expected, const char *what) {
	struct stile_report report = { .size = sizeof(report) };
	struct stile_attachment *attachment = (struct stile_attachment *)&report;
	int ret = stile_buffer_attach(buffer, info, &report, &attachment);
	ck_assert_msg(ret == expected, "%s: %d", what, ret);
	ck_assert_ptr_null(attachment);
	ck_assert_int_eq(report.error, expected);
	ck_assert_msg(report.reason != STILE_REASON_NONE, "%s: no reason", what);
	ck_assert_msg(report.text[0] != '\0', "%s: no text", what);
	ck_assert_int_eq(stile_buffer_attach(buffer, info, NULL, &attachment), expected);
	ck_assert_uint_eq(count_attachments(), 0);
}

/* T-1. Wrong code: checks after the exporter was asked; a refusal without a reason. */
START_TEST(impossible_attachment_is_einval_and_nobody_is_asked) {
	struct stile_constraints constraints = { .size = sizeof(constraints) };
	struct stile_attach_info info = want();
	info.constraints = &constraints;
	mistakes[_i].make(&info, &constraints);
	assert_refused(&info, -EINVAL, mistakes[_i].what);
	ck_assert_str_eq(calls(), "");
}
END_TEST

/* T-1. Wrong code: a buffer that is looked at before it is there. */
START_TEST(no_buffer_is_einval) {
	struct stile_attach_info info = want();
	struct stile_attachment *attachment = (struct stile_attachment *)&info;
	struct stile_report report = { .size = sizeof(report) };
	ck_assert_int_eq(stile_buffer_attach(NULL, &info, &report, &attachment), -EINVAL);
	ck_assert_ptr_null(attachment);
	ck_assert_int_eq(report.error, -EINVAL);
	ck_assert_int_ne(report.reason, STILE_REASON_NONE);
	report.size = 7;
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, &report, &attachment), -EINVAL);
	ck_assert_ptr_null(attachment);
	ck_assert_str_eq(calls(), "");
}
END_TEST

/* Wrong code: fields that nobody knows, dropped; a newer program that asks for nothing new, refused. */
START_TEST(newer_structs_are_taken_if_they_want_nothing_new) {
	struct {
		struct stile_attach_info known;
		uint64_t more;
	} info = { .known = want(), .more = 0 };
	struct {
		struct stile_constraints known;
		uint64_t more;
	} constraints = { .known = { .size = sizeof(constraints) }, .more = 0 };
	struct {
		struct stile_importer_ops known;
		void *more;
	} ops = { .known = { .size = sizeof(ops) }, .more = NULL };
	info.known.size = sizeof(info);
	info.known.constraints = &constraints.known;
	info.known.importer = &ops.known;
	info.more = 1;
	assert_refused(&info.known, -E2BIG, "info");
	info.more = 0;
	constraints.more = 1;
	assert_refused(&info.known, -E2BIG, "constraints");
	constraints.more = 0;
	ops.more = &ops;
	assert_refused(&info.known, -E2BIG, "importer");
	ops.more = NULL;
	ck_assert_str_eq(calls(), "");
	stile_buffer_detach(buffer, attach_with(&info.known));
}
END_TEST

static const int vetoes[] = { -EBUSY, -EPERM, -ERANGE, -EINTR };

/* T-1: nothing stays. Wrong code: a detach for what never was; a place in the list; a device kept. */
START_TEST(veto_leaves_nothing) {
	struct stile_attach_info info = want();
	struct stile_attachment *attachment;
	struct stile_report report = { .size = sizeof(report) };
	exporter.fail[OP_ATTACH] = vetoes[_i];
	assert_refused(&info, vetoes[_i], "veto");
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, &report, &attachment), vetoes[_i]);
	ck_assert_int_eq(report.reason, STILE_REASON_EXPORTER);
	ck_assert_ptr_nonnull(strstr(report.text, "test exporter"));
	exporter.veto = "it is in the vault";
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, &report, &attachment), vetoes[_i]);
	ck_assert_int_eq(report.reason, STILE_REASON_PINNED);
	ck_assert_int_eq(report.error, vetoes[_i]);
	ck_assert_str_eq(report.text, "it is in the vault");
	ck_assert_str_eq(calls(), "attach! attach! attach! attach!");
	exporter.fail[OP_ATTACH] = 0;
	stile_buffer_detach(buffer, attach());
	ck_assert_str_eq(calls(), "attach detach");
}
END_TEST

/* T-1. Wrong code: what belongs to the importer in the exporter's place. */
START_TEST(attachment_knows_whose_it_is) {
	int mine, theirs;
	struct stile_attach_info info = want();
	info.priv = &mine;
	struct stile_attachment *attachment = attach_with(&info);
	ck_assert_ptr_eq(exporter.last[OP_ATTACH].attachment, attachment);
	ck_assert_ptr_eq(stile_attachment_get_device(attachment), device);
	ck_assert_ptr_eq(stile_attachment_get_buffer(attachment), buffer);
	ck_assert_ptr_eq(stile_attachment_get_priv(attachment), &mine);
	ck_assert_ptr_null(stile_attachment_get_exporter_priv(attachment));
	stile_attachment_set_exporter_priv(attachment, &theirs);
	ck_assert_ptr_eq(stile_attachment_get_exporter_priv(attachment), &theirs);
	ck_assert_ptr_eq(stile_attachment_get_priv(attachment), &mine);
	stile_buffer_detach(buffer, attachment);
	ck_assert_ptr_eq(exporter.last[OP_DETACH].attachment, attachment);
}
END_TEST

/* T-1. Wrong code: one attachment a device; a list that loses its neighbours. */
START_TEST(exporter_sees_all_attachments_in_order) {
	struct stile_attachment *all[4];
	for (size_t i = 0; i < ARRAY_LENGTH(all); i++) {
		all[i] = attach();
	}
	/* Which is taken out: the first, the last, one between. */
	size_t out = (size_t[]){ 0, 3, 1 }[_i];
	stile_buffer_detach(buffer, all[out]);
	lock();
	struct stile_attachment *at = NULL;
	for (size_t i = 0; i < ARRAY_LENGTH(all); i++) {
		if (i != out) {
			at = stile_buffer_next_attachment(buffer, at);
			ck_assert_ptr_eq(at, all[i]);
		}
	}
	ck_assert_ptr_null(stile_buffer_next_attachment(buffer, at));
	unlock();
	for (size_t i = 0; i < ARRAY_LENGTH(all); i++) {
		if (i != out) {
			stile_buffer_detach(buffer, all[i]);
		}
	}
	ck_assert_uint_eq(count_attachments(), 0);
}
END_TEST

/* Wrong code: a device that goes under its attachment. */
START_TEST(attachment_keeps_its_device) {
	struct stile_attachment *attachment = attach();
	stile_device_destroy(device);
	device = NULL;
	ck_assert_str_eq(
		stile_device_get_backend(stile_attachment_get_device(attachment)), "swgpu");
	stile_buffer_detach(buffer, attachment);
}
END_TEST

/* Wrong code: -EIO as if the exporter had said it; an end that is refused, too. */
START_TEST(lost_device_gets_nothing_new) {
	struct stile_attach_info info = want();
	struct stile_attachment *attachment = attach();
	const struct stile_sg *other, *sg = map(attachment, STILE_TO_DEVICE);
	ck_assert_int_eq(stile_swgpu_lose(device), 0);
	struct stile_attachment *more;
	struct stile_report report = { .size = sizeof(report) };
	ck_assert_int_eq(stile_buffer_attach(buffer, &info, &report, &more), -EIO);
	ck_assert_int_eq(report.reason, STILE_REASON_DRIVER);
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &other), -EIO);
	ck_assert_ptr_null(other);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	stile_buffer_detach(buffer, attachment);
	ck_assert_str_eq(calls(), "attach pin map unmap unpin detach");
}
END_TEST

/* ---- What is needed ------------------------------------------------------------------------ */

/* What `attach` found the attachment to need. */
static struct stile_constraints seen;

static void look_at_constraints(struct test_exporter *of, enum test_exporter_op op) {
	if (op == OP_ATTACH) {
		seen = *stile_attachment_get_constraints(of->last[op].attachment);
	}
}

static struct stile_constraints combined(void) {
	struct stile_constraints all = { .size = sizeof(all) };
	lock();
	ck_assert_int_eq(stile_buffer_get_constraints(buffer, &all), 0);
	unlock();
	ck_assert_uint_eq(all.size, sizeof(all));
	ck_assert_ptr_null(all.modifiers);
	ck_assert_uint_eq(all.modifier_count, 0);
	return all;
}

/*
 * T-10. Wrong code: the exporter hears of the device's needs or of the importer's alone; those of the
 * caller's struct as it is later.
 */
START_TEST(exporter_sees_what_device_and_importer_need) {
	static const uint64_t modifiers[] = { 0 };
	struct stile_device *narrow = open_with("address_bits=40 max_segments=16");
	struct stile_constraints constraints = {
		.size = sizeof(constraints),
		.address_bits = 36,
		.max_segments = 64,
		.segment_align = 8192,
		.modifiers = modifiers,
		.modifier_count = 1,
	};
	struct stile_attach_info info = want();
	info.device = narrow;
	info.constraints = &constraints;
	exporter.hook = look_at_constraints;
	struct stile_attachment *attachment = attach_with(&info);
	constraints.address_bits = 12;
	ck_assert_uint_eq(seen.address_bits, 36);
	ck_assert_uint_eq(seen.max_segments, 16);
	ck_assert_uint_eq(seen.segment_align, 8192);
	/* The device's, perhaps; not those of a struct that may be gone tomorrow. */
	ck_assert_ptr_ne(seen.modifiers, modifiers);
	const struct stile_constraints *now = stile_attachment_get_constraints(attachment);
	ck_assert_uint_eq(now->address_bits, 36);
	ck_assert_ptr_ne(now->modifiers, modifiers);
	stile_buffer_detach(buffer, attachment);
	stile_device_destroy(narrow);
}
END_TEST

/* T-10. Wrong code: those of the first, of the last one; those of an importer that has gone. */
START_TEST(exporter_sees_what_all_need_together) {
	struct stile_constraints one = { .size = sizeof(one),
		.address_bits = 32,
		.segment_align = 4096,
		.max_segment = 1 << 20 };
	struct stile_constraints other = {
		.size = sizeof(other), .address_bits = 40, .max_segments = 1, .pitch_align = 256
	};
	struct stile_attach_info info = want();
	uint32_t before = combined().address_bits;
	ck_assert(before == 0 || before == 64);
	info.constraints = &one;
	struct stile_attachment *first = attach_with(&info);
	info.constraints = &other;
	struct stile_attachment *second = attach_with(&info);
	struct stile_constraints all = combined();
	ck_assert_uint_eq(all.address_bits, 32);
	ck_assert_uint_eq(all.max_segments, 1);
	ck_assert_uint_ge(all.segment_align, 4096);
	ck_assert_uint_eq(all.max_segment, 1 << 20);
	ck_assert_uint_eq(all.pitch_align, 256);
	stile_buffer_detach(buffer, first);
	all = combined();
	ck_assert_uint_eq(all.address_bits, 40);
	ck_assert_uint_eq(all.max_segments, 1);
	ck_assert_uint_eq(all.max_segment, 0);
	stile_buffer_detach(buffer, second);
	ck_assert_uint_eq(combined().address_bits, before);
}
END_TEST

/* Wrong code: a list that is walked while others change it; a struct written over its end. */
START_TEST(constraints_are_asked_for_with_the_lock) {
	struct stile_constraints all = { .size = sizeof(all) };
	ledger_expect_complaint("lock");
	ck_assert_int_eq(stile_buffer_get_constraints(buffer, &all), -EDEADLK);
	lock();
	all.size = 0;
	ck_assert_int_eq(stile_buffer_get_constraints(buffer, &all), -EINVAL);
	all.size = SIZE_MAX;
	ck_assert_int_eq(stile_buffer_get_constraints(buffer, &all), -EINVAL);
	unlock();
}
END_TEST

/* ---- Mapping ------------------------------------------------------------------------------- */

static const struct right {
	uint32_t usage;
	int ret[DIRECTIONS]; /* BIDIRECTIONAL, TO_DEVICE, FROM_DEVICE */
} rights[] = {
	{ READ, { -EACCES, 0, -EACCES } },
	{ WRITE, { -EACCES, -EACCES, 0 } },
	{ BOTH, { 0, 0, 0 } },
};

/* T-5. Wrong code: rights of the buffer instead of the attachment; directions the other way round. */
START_TEST(attachment_maps_what_it_has_the_right_to) {
	const struct right *right = &rights[_i];
	struct stile_attach_info info = want();
	info.usage = right->usage;
	struct stile_attachment *attachment = attach_with(&info);
	struct stile_attachment *other = attach();
	(void)calls();
	for (int i = 0; i < DIRECTIONS; i++) {
		enum stile_direction direction = (enum stile_direction)i;
		const struct stile_sg *sg = (const struct stile_sg *)&info;
		ck_assert_int_eq(stile_attachment_map_unlocked(attachment, direction, 0, NULL, &sg),
			right->ret[i]);
		if (right->ret[i] < 0) {
			ck_assert_ptr_null(sg);
			ck_assert_str_eq(calls(), "");
			continue;
		}
		ck_assert_int_eq(exporter.last[OP_MAP].direction, direction);
		ck_assert_ptr_eq(exporter.last[OP_MAP].attachment, attachment);
		stile_attachment_unmap_unlocked(attachment, sg, direction);
		ck_assert_int_eq(exporter.last[OP_UNMAP].direction, direction);
		(void)calls();
	}
	stile_buffer_detach(buffer, attachment);
	stile_buffer_detach(buffer, other);
}
END_TEST

static const struct {
	int direction;
	int64_t deadline_ns;
} wrong_maps[] = {
	{ STILE_NO_DIRECTION, 0 },
	{ 4, 0 },
	{ -1, 0 },
	{ STILE_TO_DEVICE, -1 },
	{ STILE_TO_DEVICE, INT64_MIN },
};

/* T-4, T-5. Wrong code: NONE taken for a direction; a wait that never ends. */
START_TEST(impossible_map_is_einval) {
	struct stile_attachment *attachment = attach();
	const struct stile_sg *sg = (const struct stile_sg *)&attachment;
	(void)calls();
	ck_assert_int_eq(stile_attachment_map_unlocked(attachment,
				 (enum stile_direction)wrong_maps[_i].direction,
				 wrong_maps[_i].deadline_ns, NULL, &sg),
		-EINVAL);
	ck_assert_ptr_null(sg);
	ck_assert_str_eq(calls(), "");
	stile_buffer_detach(buffer, attachment);
}
END_TEST

/* T-4, 9.1. Wrong code: the exporter called without the lock that it relies on. */
START_TEST(map_needs_the_lock) {
	struct stile_attachment *attachment = attach();
	const struct stile_sg *sg = (const struct stile_sg *)&attachment;
	(void)calls();
	ledger_expect_complaint("lock");
	ck_assert_int_eq(stile_attachment_map(attachment, STILE_TO_DEVICE, 0, NULL, &sg), -EDEADLK);
	ck_assert_ptr_null(sg);
	ck_assert_str_eq(calls(), "");
	stile_buffer_detach(buffer, attachment);
}
END_TEST

/* T-4, 9.1. Wrong code: a list of mappings that is changed while others look at it. */
START_TEST(unmap_needs_the_lock) {
	struct stile_attachment *attachment = attach();
	const struct stile_sg *sg = map(attachment, STILE_TO_DEVICE);
	(void)calls();
	ledger_expect_complaint("lock");
	stile_attachment_unmap(attachment, sg, STILE_TO_DEVICE);
	ck_assert_str_eq(calls(), "");
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	stile_buffer_detach(buffer, attachment);
}
END_TEST

/* T-4, 9.1. Wrong code: the one that takes it inside keeps it. */
START_TEST(map_gives_the_lock_back) {
	struct stile_attachment *attachment = attach();
	const struct stile_sg *sg = map(attachment, STILE_TO_DEVICE);
	ck_assert(!stile_resv_is_locked(resv));
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	ck_assert(!stile_resv_is_locked(resv));
	exporter.fail[OP_MAP] = -EIO;
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg), -EIO);
	ck_assert(!stile_resv_is_locked(resv));
	stile_buffer_detach(buffer, attachment);
}
END_TEST

/* T-4. Wrong code: an error that is made another one; pinned though nothing is mapped. */
START_TEST(exporters_error_is_passed_on) {
	struct stile_attachment *attachment = attach();
	const struct stile_sg *sg = (const struct stile_sg *)&attachment;
	(void)calls();
	exporter.fail[OP_MAP] = -EINTR;
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg), -EINTR);
	ck_assert_ptr_null(sg);
	ck_assert_str_eq(calls(), "pin map! unpin");
	exporter.fail[OP_MAP] = 0;
	exporter.fail[OP_PIN] = -ENOSPC;
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg), -ENOSPC);
	ck_assert_ptr_null(sg);
	ck_assert_str_eq(calls(), "pin!");
	stile_buffer_detach(buffer, attachment);
}
END_TEST

static int map_nothing(struct stile_attachment *attachment, enum stile_direction direction,
	struct stile_sg **out) {
	(void)attachment;
	(void)direction;
	*out = NULL;
	return 0;
}

/* T-4. Wrong code: success with nothing. */
START_TEST(exporter_that_gives_nothing_is_enomem) {
	exporter.ops.map = map_nothing;
	export();
	struct stile_attachment *attachment = attach();
	const struct stile_sg *sg;
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg), -ENOMEM);
	ck_assert_ptr_null(sg);
	ck_assert_str_eq(calls(), "attach pin unpin");
	stile_buffer_detach(buffer, attachment);
}
END_TEST

static struct stile_sg *given;

static int map_given(struct stile_attachment *attachment, enum stile_direction direction,
	struct stile_sg **out) {
	(void)attachment;
	(void)direction;
	*out = given;
	return 0;
}

static int given_back;

static void unmap_given(
	struct stile_attachment *attachment, struct stile_sg *sg, enum stile_direction direction) {
	(void)attachment;
	(void)direction;
	ck_assert_ptr_eq(sg, given);
	given_back++;
}

/* Less than the buffer; all of it, but for another device. */
static void give(int what) {
	const struct stile_sg_range range = {
		.address = STILE_ADDRESS_UNKNOWN,
		.bytes = what == 0 ? stile_buffer_get_bytes(buffer) - os_page_size()
				   : stile_buffer_get_bytes(buffer),
	};
	ck_assert_int_eq(stile_sg_create(&given), 0);
	ck_assert_int_eq(stile_sg_append(given, &range), 0);
}

/* T-4, T-6. Wrong code: a device that goes on behind the end of what it was given. */
START_TEST(exporter_that_gives_the_wrong_table_is_told) {
	struct stile_device *other = open_with(NULL);
	const struct stile_sg *sg;
	given_back = 0;
	exporter.ops.map = map_given;
	exporter.ops.unmap = unmap_given;
	export();
	struct stile_attachment *attachment = attach();
	give(_i);
	ck_assert_int_eq(stile_sg_map(given, _i == 0 ? device : other, STILE_TO_DEVICE), 0);
	ledger_expect_complaint(_i == 0 ? "bytes" : "not for the device");
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg), -EINVAL);
	ck_assert_ptr_null(sg);
	ck_assert_int_eq(given_back, 1);
	stile_buffer_detach(buffer, attachment);
	stile_sg_unmap(given, STILE_TO_DEVICE);
	stile_sg_destroy(given);
	stile_device_destroy(other);
}
END_TEST

/* T-4. Wrong code: one that is counted and not given to the exporter; undone in one direction only. */
START_TEST(each_map_is_undone_by_one_unmap) {
	struct stile_attachment *attachment = attach(), *other = attach();
	(void)calls();
	const struct stile_sg *one = map(attachment, STILE_TO_DEVICE);
	const struct stile_sg *two = map(attachment, STILE_FROM_DEVICE);
	const struct stile_sg *three = map(other, STILE_TO_DEVICE);
	const struct stile_sg *four = map(attachment, STILE_TO_DEVICE);
	ck_assert_str_eq(calls(), "pin map pin map pin map pin map");
	stile_attachment_unmap_unlocked(attachment, two, STILE_FROM_DEVICE);
	ck_assert_int_eq(exporter.last[OP_UNMAP].direction, STILE_FROM_DEVICE);
	stile_attachment_unmap_unlocked(attachment, one, STILE_TO_DEVICE);
	stile_attachment_unmap_unlocked(other, three, STILE_TO_DEVICE);
	ck_assert_ptr_eq(exporter.last[OP_UNMAP].attachment, other);
	stile_attachment_unmap_unlocked(attachment, four, STILE_TO_DEVICE);
	ck_assert_str_eq(calls(), "unmap unpin unmap unpin unmap unpin unmap unpin");
	stile_buffer_detach(buffer, attachment);
	stile_buffer_detach(buffer, other);
}
END_TEST

/* An exporter that has one table for all. */
static struct stile_sg *cached;
static unsigned cached_users;

static int map_cached(struct stile_attachment *attachment, enum stile_direction direction,
	struct stile_sg **out) {
	int ret = stile_sg_map(cached, stile_attachment_get_device(attachment), direction);
	*out = ret < 0 ? NULL : cached;
	cached_users += ret == 0;
	return ret;
}

static void unmap_cached(
	struct stile_attachment *attachment, struct stile_sg *sg, enum stile_direction direction) {
	(void)attachment;
	ck_assert_ptr_eq(sg, cached);
	stile_sg_unmap(sg, direction);
	cached_users--;
}

/* T-4. Wrong code: a table that is known already is not counted: its second unmap is one too many. */
START_TEST(same_table_may_be_mapped_more_than_once) {
	exporter.ops.map = map_cached;
	exporter.ops.unmap = unmap_cached;
	export();
	ck_assert_int_eq(stile_sg_create(&cached), 0);
	ck_assert_int_eq(stile_sg_append(cached,
				 &(struct stile_sg_range){ .memory = exporter.memory,
					 .address = STILE_ADDRESS_UNKNOWN,
					 .bytes = stile_buffer_get_bytes(buffer) }),
		0);
	cached_users = 0;
	struct stile_attachment *attachment = attach(), *other = attach();
	struct stile_attachment *of[] = { attachment, attachment, other, attachment };
	static const enum stile_direction directions[] = { STILE_TO_DEVICE, STILE_FROM_DEVICE,
		STILE_TO_DEVICE, STILE_TO_DEVICE };
	for (size_t i = 0; i < ARRAY_LENGTH(of); i++) {
		ck_assert_ptr_eq(map(of[i], directions[i]), cached);
	}
	for (unsigned left = ARRAY_LENGTH(of); left > 0; left--) {
		ck_assert_uint_eq(cached_users, left);
		stile_attachment_unmap_unlocked(of[left - 1], cached, directions[left - 1]);
	}
	ck_assert_uint_eq(cached_users, 0);
	stile_buffer_detach(buffer, attachment);
	stile_buffer_detach(buffer, other);
	stile_sg_destroy(cached);
}
END_TEST

/* Ways to unmap what is not mapped so. */
static void unmap_twice(struct stile_attachment *attachment, struct stile_attachment *other) {
	(void)other;
	const struct stile_sg *sg = map(attachment, STILE_TO_DEVICE);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	(void)calls();
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
}

static void unmap_never(struct stile_attachment *attachment, struct stile_attachment *other) {
	(void)other;
	(void)calls();
	stile_attachment_unmap_unlocked(attachment, NULL, STILE_TO_DEVICE);
}

static void unmap_of_another(struct stile_attachment *attachment, struct stile_attachment *other) {
	const struct stile_sg *sg = map(attachment, STILE_TO_DEVICE);
	(void)calls();
	stile_attachment_unmap_unlocked(other, sg, STILE_TO_DEVICE);
	ck_assert_str_eq(calls(), "");
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	(void)calls();
}

static void unmap_in_another_direction(
	struct stile_attachment *attachment, struct stile_attachment *other) {
	(void)other;
	const struct stile_sg *sg = map(attachment, STILE_TO_DEVICE);
	(void)calls();
	stile_attachment_unmap_unlocked(attachment, sg, STILE_BIDIRECTIONAL);
	ck_assert_str_eq(calls(), "");
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	(void)calls();
}

static void (*const wrong_unmaps[])(
	struct stile_attachment *attachment, struct stile_attachment *other) = {
	unmap_twice,
	unmap_never,
	unmap_of_another,
	unmap_in_another_direction,
};

/* T-4. Wrong code: the exporter gets back what it has freed, or what is another's. */
START_TEST(unmap_of_what_is_not_mapped_is_told) {
	struct stile_attachment *attachment = attach(), *other = attach();
	ledger_expect_complaint("map");
	wrong_unmaps[_i](attachment, other);
	ck_assert_str_eq(calls(), "");
	stile_buffer_detach(buffer, attachment);
	stile_buffer_detach(buffer, other);
}
END_TEST

/* ---- Moves that are going on --------------------------------------------------------------- */

static const struct {
	enum stile_resv_usage usage;
	bool dynamic;
	int ret;
} waits[] = {
	{ STILE_RESV_KERNEL, false, -ETIME },
	{ STILE_RESV_WRITE, false, 0 },
	{ STILE_RESV_READ, false, 0 },
	{ STILE_RESV_BOOKKEEP, false, 0 },
	{ STILE_RESV_KERNEL, true, 0 },
	{ STILE_RESV_WRITE, true, 0 },
};

/*
 * T-4. Wrong code: a static importer that sees a move half done, one that waits for everybody; a dynamic
 * one, which obeys by itself, held up.
 */
START_TEST(static_importer_waits_for_moves_alone) {
	struct importer importer;
	struct stile_fence *fence = plain_fence_create();
	struct stile_attachment *attachment =
		waits[_i].dynamic ? attach_dynamic(&importer, &hearing) : attach();
	add_fence(fence, waits[_i].usage);
	(void)calls();
	const struct stile_sg *sg;
	int ret = stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, 0, NULL, &sg);
	ck_assert_int_eq(ret, waits[_i].ret);
	ck_assert_int_eq(sg == NULL, ret < 0);
	if (ret < 0) {
		/* Mapped first, then waited: undone, all of it. */
		ck_assert_str_eq(calls(), "pin map unmap unpin");
	} else {
		stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	}
	stile_buffer_detach(buffer, attachment);
	finish_fence(fence);
}
END_TEST

/* Wrong code: a deadline taken for a duration, or left out. */
START_TEST(wait_for_a_move_ends_at_the_deadline) {
	struct stile_fence *fence = plain_fence_create();
	struct stile_attachment *attachment = attach();
	add_fence(fence, STILE_RESV_KERNEL);
	(void)calls();
	const struct stile_sg *sg;
	int64_t deadline_ns = runner_clock_ns() + 30 * MS;
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, deadline_ns, NULL, &sg),
		-ETIME);
	ck_assert_int_ge(runner_clock_ns(), deadline_ns);
	ck_assert_ptr_null(sg);
	ck_assert_str_eq(calls(), "pin map unmap unpin");
	stile_buffer_detach(buffer, attachment);
	finish_fence(fence);
}
END_TEST

static void *signal_run(void *user) {
	runner_sleep_ms(30);
	stile_fence_signal(user);
	return NULL;
}

static void *cancel_run(void *user) {
	runner_sleep_ms(30);
	stile_cancel_raise(user);
	return NULL;
}

/* T-4. Wrong code: mapped before the move is done. */
START_TEST(map_goes_on_when_the_move_is_done) {
	struct stile_fence *fence = plain_fence_create();
	struct stile_attachment *attachment = attach();
	test_exporter_move(&exporter, fence);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_run, fence), 0);
	const struct stile_sg *sg = map(attachment, STILE_TO_DEVICE);
	ck_assert(stile_fence_is_signaled(fence));
	pthread_join(thread, NULL);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	stile_buffer_detach(buffer, attachment);
	stile_fence_unref(fence);
}
END_TEST

/* T-4: -EINTR. Wrong code: mapped all the same; a cancel that comes before is missed. */
START_TEST(wait_for_a_move_can_be_cancelled) {
	struct stile_fence *fence = plain_fence_create();
	struct stile_attachment *attachment = attach();
	struct stile_cancel cancel;
	stile_cancel_init(&cancel);
	add_fence(fence, STILE_RESV_KERNEL);
	(void)calls();
	pthread_t thread;
	if (_i == 0) {
		stile_cancel_raise(&cancel);
	} else {
		ck_assert_int_eq(pthread_create(&thread, NULL, cancel_run, &cancel), 0);
	}
	const struct stile_sg *sg;
	ck_assert_int_eq(
		stile_attachment_map_unlocked(attachment, STILE_TO_DEVICE, INT64_MAX, &cancel, &sg),
		-EINTR);
	ck_assert_ptr_null(sg);
	ck_assert_str_eq(calls(), "pin map unmap unpin");
	if (_i == 1) {
		pthread_join(thread, NULL);
	}
	stile_buffer_detach(buffer, attachment);
	finish_fence(fence);
}
END_TEST

/* T-4. Wrong code: how a move ended taken for how the map did. */
START_TEST(move_that_failed_is_over_too) {
	struct stile_fence *fence = plain_fence_create();
	struct stile_attachment *attachment = attach();
	add_fence(fence, STILE_RESV_KERNEL);
	ck_assert_int_eq(stile_fence_set_error(fence, -EIO), 0);
	stile_fence_signal(fence);
	const struct stile_sg *sg = map(attachment, STILE_TO_DEVICE);
	stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
	stile_buffer_detach(buffer, attachment);
	stile_fence_unref(fence);
}
END_TEST

/* ---- Pinning ------------------------------------------------------------------------------- */

static const struct {
	bool exporter_pins, dynamic;
	const char *mapped, *unmapped;
} pinnings[] = {
	{ true, false, "pin map", "unmap unpin" },
	{ true, true, "map", "unmap" },
	{ false, false, "map", "unmap" },
	{ false, true, "map", "unmap" },
};

/* T-2. Wrong code: who hears of nothing is not pinned; pinned once, at attach, as an older kernel did. */
START_TEST(static_importer_is_pinned_from_map_to_unmap) {
	if (!pinnings[_i].exporter_pins) {
		exporter.ops.pin = NULL;
		exporter.ops.unpin = NULL;
	}
	export();
	struct importer importer;
	struct stile_attachment *attachment =
		pinnings[_i].dynamic ? attach_dynamic(&importer, &hearing) : attach();
	ck_assert_str_eq(calls(), "attach");
	for (int i = 0; i < 2; i++) {
		const struct stile_sg *sg = map(attachment, STILE_BIDIRECTIONAL);
		ck_assert_str_eq(calls(), pinnings[_i].mapped);
		stile_attachment_unmap_unlocked(attachment, sg, STILE_BIDIRECTIONAL);
		ck_assert_str_eq(calls(), pinnings[_i].unmapped);
	}
	stile_buffer_detach(buffer, attachment);
}
END_TEST

/* T-7. Wrong code: an op that is not there; an error that is dropped, after which unpin is one too many. */
START_TEST(dynamic_importer_may_pin) {
	if (_i == 1) {
		exporter.ops.pin = NULL;
		exporter.ops.unpin = NULL;
	}
	export();
	struct importer importer;
	struct stile_attachment *attachment = attach_dynamic(&importer, &hearing);
	lock();
	ck_assert_int_eq(stile_attachment_pin(attachment), 0);
	ck_assert_int_eq(stile_attachment_pin(attachment), 0);
	ck_assert_int_eq(stile_buffer_check_movable(buffer, NULL), -EBUSY);
	stile_attachment_unpin(attachment);
	ck_assert_int_eq(stile_buffer_check_movable(buffer, NULL), -EBUSY);
	stile_attachment_unpin(attachment);
	ck_assert_int_eq(stile_buffer_check_movable(buffer, NULL), 0);
	if (_i == 0) {
		exporter.fail[OP_PIN] = -ENOMEM;
		ck_assert_int_eq(stile_attachment_pin(attachment), -ENOMEM);
		ck_assert_int_eq(stile_buffer_check_movable(buffer, NULL), 0);
	}
	unlock();
	stile_buffer_detach(buffer, attachment);
}
END_TEST

static void pin_static(struct stile_attachment *attachment) {
	lock();
	ck_assert_int_eq(stile_attachment_pin(attachment), -EINVAL);
	unlock();
}

static void unpin_static(struct stile_attachment *attachment) {
	lock();
	stile_attachment_unpin(attachment);
	unlock();
}

static const struct {
	const char *complaint;
	void (*make)(struct stile_attachment *attachment);
} wrong_static_pins[] = {
	{ "pin", pin_static },
	{ "pin", unpin_static },
};

/* T-7. Wrong code: a hold by one who could never be asked to give it up. */
START_TEST(static_importer_may_not_pin) {
	struct stile_attachment *attachment = attach();
	ledger_expect_complaint(wrong_static_pins[_i].complaint);
	(void)calls();
	wrong_static_pins[_i].make(attachment);
	ck_assert_str_eq(calls(), "");
	stile_buffer_detach(buffer, attachment);
}
END_TEST

static void pin_unlocked(struct stile_attachment *attachment) {
	ck_assert_int_eq(stile_attachment_pin(attachment), -EDEADLK);
}

static void unpin_unlocked(struct stile_attachment *attachment) {
	lock();
	ck_assert_int_eq(stile_attachment_pin(attachment), 0);
	unlock();
	(void)calls();
	stile_attachment_unpin(attachment);
	ck_assert_str_eq(calls(), "");
	lock();
	stile_attachment_unpin(attachment);
	unlock();
	(void)calls();
}

static void unpin_too_often(struct stile_attachment *attachment) {
	lock();
	ck_assert_int_eq(stile_attachment_pin(attachment), 0);
	stile_attachment_unpin(attachment);
	(void)calls();
	stile_attachment_unpin(attachment);
	unlock();
}

static const struct {
	const char *complaint;
	void (*make)(struct stile_attachment *attachment);
} wrong_pins[] = {
	{ "lock", pin_unlocked },
	{ "lock", unpin_unlocked },
	{ "pin", unpin_too_often },
};

/* T-7. Wrong code: somebody else's hold given up; a count below zero. */
START_TEST(wrong_pin_is_told) {
	struct importer importer;
	struct stile_attachment *attachment = attach_dynamic(&importer, &hearing);
	ledger_expect_complaint(wrong_pins[_i].complaint);
	(void)calls();
	wrong_pins[_i].make(attachment);
	ck_assert_str_eq(calls(), "");
	stile_buffer_detach(buffer, attachment);
}
END_TEST

/* ---- Hearing of moves ---------------------------------------------------------------------- */

/*
 * T-8. Wrong code: the first one alone; those that are mapped alone; a call of what is not there; a notice
 * without the lock.
 */
START_TEST(move_is_told_to_all_who_hear_of_it) {
	struct importer one, two, three, silent;
	struct stile_attachment *unmoved = attach();
	attach_dynamic(&one, &hearing);
	attach_dynamic(&silent, &deaf);
	attach_dynamic(&two, &hearing);
	attach_dynamic(&three, &hearing);
	const struct stile_sg *sg = map(two.attachment, STILE_TO_DEVICE);
	test_exporter_move(&exporter, NULL);
	ck_assert_uint_eq(one.told, 1);
	ck_assert_uint_eq(two.told, 1);
	ck_assert_uint_eq(three.told, 1);
	ck_assert_uint_eq(silent.told, 0);
	stile_buffer_detach(buffer, one.attachment);
	test_exporter_move(&exporter, NULL);
	ck_assert_uint_eq(one.told, 1);
	ck_assert_uint_eq(two.told, 2);
	ck_assert_uint_eq(three.told, 2);
	ck_assert_uint_eq(one.unlocked + two.unlocked + three.unlocked, 0);
	stile_attachment_unmap_unlocked(two.attachment, sg, STILE_TO_DEVICE);
	stile_buffer_detach(buffer, two.attachment);
	stile_buffer_detach(buffer, three.attachment);
	stile_buffer_detach(buffer, silent.attachment);
	stile_buffer_detach(buffer, unmoved);
}
END_TEST

/* T-8, 9.1. Wrong code: importers told while others change the list. */
START_TEST(move_without_the_lock_is_told_of_and_nobody_hears) {
	struct importer importer;
	attach_dynamic(&importer, &hearing);
	ledger_expect_complaint("lock");
	stile_buffer_move_notify(buffer);
	ck_assert_uint_eq(importer.told, 0);
	stile_buffer_detach(buffer, importer.attachment);
}
END_TEST

/* T-9. Wrong code: what is dynamic taken for what hears. */
START_TEST(revocable_is_who_hears_of_moves) {
	struct importer one, silent;
	struct stile_attachment *unmoved = attach();
	attach_dynamic(&one, &hearing);
	attach_dynamic(&silent, &deaf);
	ck_assert(stile_attachment_is_revocable(one.attachment));
	ck_assert(!stile_attachment_is_revocable(silent.attachment));
	ck_assert(!stile_attachment_is_revocable(unmoved));
	stile_buffer_detach(buffer, one.attachment);
	stile_buffer_detach(buffer, silent.attachment);
	stile_buffer_detach(buffer, unmoved);
}
END_TEST

/* ---- The end ------------------------------------------------------------------------------- */

/* T-10. Wrong code: anything but this. */
START_TEST(typical_life_calls_the_exporter_in_order) {
	struct stile_attachment *attachment = attach();
	lock();
	const struct stile_sg *sg;
	ck_assert_int_eq(
		stile_attachment_map(attachment, STILE_FROM_DEVICE, INT64_MAX, NULL, &sg), 0);
	unlock();
	lock();
	stile_attachment_unmap(attachment, sg, STILE_FROM_DEVICE);
	unlock();
	stile_buffer_detach(buffer, attachment);
	stile_buffer_unref(buffer);
	buffer = NULL;
	ck_assert_str_eq(calls(), "attach pin map unmap unpin detach release");
}
END_TEST

/* 9.1. Wrong code: the two taken for a pair, of which one is missing. */
START_TEST(detach_is_called_where_attach_is_not_there) {
	exporter.ops.attach = NULL;
	export();
	stile_buffer_detach(buffer, attach());
	ck_assert_str_eq(calls(), "detach");
}
END_TEST

static void detach_nothing(struct stile_attachment *attachment, struct stile_buffer *other) {
	(void)attachment;
	(void)other;
	stile_buffer_detach(buffer, NULL);
}

static void detach_from_nothing(struct stile_attachment *attachment, struct stile_buffer *other) {
	(void)other;
	stile_buffer_detach(NULL, attachment);
}

static void detach_from_another(struct stile_attachment *attachment, struct stile_buffer *other) {
	stile_buffer_detach(other, attachment);
}

static void detach_locked(struct stile_attachment *attachment, struct stile_buffer *other) {
	(void)other;
	lock();
	stile_buffer_detach(buffer, attachment);
	unlock();
}

static const struct {
	const char *complaint;
	void (*make)(struct stile_attachment *attachment, struct stile_buffer *other);
} wrong_detaches[] = {
	{ "attach", detach_nothing },
	{ "attach", detach_from_nothing },
	{ "attach", detach_from_another },
	{ "lock", detach_locked },
};

/* T-3. Wrong code: a list of one buffer mended for another; a thread that waits for itself. */
START_TEST(wrong_detach_is_told_and_nothing_happens) {
	struct test_exporter own;
	test_exporter_init(&own, os_page_size());
	struct stile_buffer *other = test_exporter_export(&own);
	struct stile_attachment *attachment = attach();
	(void)calls();
	ledger_expect_complaint(wrong_detaches[_i].complaint);
	wrong_detaches[_i].make(attachment, other);
	ck_assert_str_eq(calls(), "");
	ck_assert_str_eq(test_exporter_calls(&own), "");
	ck_assert_uint_eq(count_attachments(), 1);
	stile_buffer_detach(buffer, attachment);
	stile_buffer_unref(other);
	test_exporter_finish(&own);
}
END_TEST

/* T-3. Wrong code: the device writes on, into what is freed; undone in another direction. */
START_TEST(what_is_mapped_at_detach_is_told_and_unmapped) {
	struct stile_attachment *attachment = attach();
	(void)map(attachment, STILE_FROM_DEVICE);
	(void)calls();
	ledger_expect_complaint("mapped");
	stile_buffer_detach(buffer, attachment);
	ck_assert_str_eq(calls(), "unmap unpin detach");
	ck_assert_int_eq(exporter.last[OP_UNMAP].direction, STILE_FROM_DEVICE);
	ck_assert_uint_eq(count_attachments(), 0);
}
END_TEST

/* T-3. Wrong code: the last of several alone. */
START_TEST(all_that_is_mapped_or_pinned_at_detach_is_undone) {
	struct importer importer;
	struct stile_attachment *attachment = attach_dynamic(&importer, &hearing);
	(void)map(attachment, STILE_FROM_DEVICE);
	(void)map(attachment, STILE_TO_DEVICE);
	(void)map(attachment, STILE_TO_DEVICE);
	lock();
	ck_assert_int_eq(stile_attachment_pin(attachment), 0);
	ck_assert_int_eq(stile_attachment_pin(attachment), 0);
	unlock();
	ledger_expect_complaint("mapped");
	stile_buffer_detach(buffer, attachment);
	ck_assert_uint_eq(exporter.count[OP_UNMAP], 3);
	ck_assert_uint_eq(exporter.count[OP_UNPIN], 2);
	ck_assert_uint_eq(exporter.count[OP_DETACH], 1);
}
END_TEST

/* T-7. Wrong code: a hold that nobody is left to give up. */
START_TEST(what_is_pinned_at_detach_is_told_and_unpinned) {
	struct importer importer;
	struct stile_attachment *attachment = attach_dynamic(&importer, &hearing);
	lock();
	ck_assert_int_eq(stile_attachment_pin(attachment), 0);
	unlock();
	(void)calls();
	ledger_expect_complaint("pin");
	stile_buffer_detach(buffer, attachment);
	ck_assert_str_eq(calls(), "unpin detach");
}
END_TEST

/*
 * B-4, T-1: an attachment has no reference. Wrong code: one that has, so that the buffer never goes;
 * released under its mapping; the last one told of, the others forgotten.
 */
START_TEST(what_is_attached_when_the_buffer_goes_is_told_and_undone) {
	struct importer importer;
	struct stile_attachment *attachment = attach();
	attach_dynamic(&importer, &hearing);
	(void)map(attachment, STILE_TO_DEVICE);
	(void)calls();
	ledger_expect_complaint("attach");
	stile_buffer_unref(buffer);
	buffer = NULL;
	ck_assert_str_eq(calls(), "unmap unpin detach detach release");
}
END_TEST

/* ---- Threads and failures ------------------------------------------------------------------ */

static atomic_bool over;

static void *import_run(void *user) {
	struct stile_attach_info info = want();
	uint64_t state = runner_seed() + (uintptr_t)user;
	while (!over) {
		struct importer importer = { 0 };
		bool dynamic = (runner_random(&state) & 1) != 0;
		info.importer = dynamic ? &hearing : NULL;
		info.priv = &importer;
		struct stile_attachment *attachment;
		int ret = stile_buffer_attach(buffer, &info, NULL, &attachment);
		runner_require(ret == 0, "attach: %d", ret);
		for (unsigned i = 0; i < runner_random(&state) % 4; i++) {
			const struct stile_sg *sg;
			ret = stile_attachment_map_unlocked(
				attachment, STILE_TO_DEVICE, INT64_MAX, NULL, &sg);
			runner_require(ret == 0, "map: %d", ret);
			stile_attachment_unmap_unlocked(attachment, sg, STILE_TO_DEVICE);
		}
		stile_buffer_detach(buffer, attachment);
		runner_require(importer.unlocked == 0, "told without the lock");
	}
	return NULL;
}

/*
 * Wrong code: a list or a count that is changed without the lock: the sanitizers see it, or
 * test_exporter_finish() does.
 */
START_TEST(importers_come_and_go_while_the_storage_moves) {
	pthread_t threads[THREADS];
	over = false;
	for (uintptr_t i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, import_run, (void *)i), 0);
	}
	int64_t end = runner_clock_ns() + 300 * MS;
	while (runner_clock_ns() < end) {
		struct stile_fence *fence = plain_fence_create();
		test_exporter_move(&exporter, fence);
		finish_fence(fence);
		(void)combined();
	}
	over = true;
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	ck_assert_uint_eq(count_attachments(), 0);
}
END_TEST

static int attempt_attach(void *user) {
	struct stile_attach_info info = want();
	return stile_buffer_attach(buffer, &info, NULL, user);
}

static void after_attach(void *user, int ret) {
	struct stile_attachment **attachment = user;
	ck_assert_int_eq(*attachment == NULL, ret < 0);
	if (ret == 0) {
		stile_buffer_detach(buffer, *attachment);
	}
	ck_assert_uint_eq(count_attachments(), 0);
	ck_assert_uint_eq(exporter.worked[OP_ATTACH], exporter.worked[OP_DETACH]);
}

struct attempt {
	struct stile_attachment *attachment;
	const struct stile_sg *first; /* more than one: what is kept of each is allocated */
	const struct stile_sg *sg;
};

static int attempt_map(void *user) {
	struct attempt *attempt = user;
	return stile_attachment_map_unlocked(
		attempt->attachment, STILE_TO_DEVICE, INT64_MAX, NULL, &attempt->sg);
}

static void after_map(void *user, int ret) {
	struct attempt *attempt = user;
	ck_assert_int_eq(attempt->sg == NULL, ret < 0);
	if (ret == 0) {
		stile_attachment_unmap_unlocked(attempt->attachment, attempt->sg, STILE_TO_DEVICE);
	}
	ck_assert(!stile_resv_is_locked(resv));
	ck_assert_uint_eq(exporter.worked[OP_MAP], exporter.worked[OP_UNMAP] + 1);
	ck_assert_uint_eq(exporter.worked[OP_PIN], exporter.worked[OP_UNPIN] + 1);
}

/* T-1, T-4. Wrong code: pinned or mapped for nobody where memory runs out. */
START_TEST(attach_and_map_survive_every_failure) {
	static const int errors[] = { -ENOMEM, 0 };
	struct stile_attachment *attachment;
	ck_assert_uint_ge(failing_sweep(attempt_attach, after_attach, &attachment, errors), 1);
	struct attempt attempt = { .attachment = attach() };
	attempt.first = map(attempt.attachment, STILE_TO_DEVICE);
	ck_assert_uint_ge(failing_sweep(attempt_map, after_map, &attempt, errors), 2);
	stile_attachment_unmap_unlocked(attempt.attachment, attempt.first, STILE_TO_DEVICE);
	stile_buffer_detach(buffer, attempt.attachment);
}
END_TEST

static void add_attaching(Suite *s) {
	TCase *made = ledger_tcase_create("attaching");
	tcase_add_checked_fixture(made, setup, teardown);
	tcase_add_loop_test(made, impossible_attachment_is_einval_and_nobody_is_asked, 0,
		ARRAY_LENGTH(mistakes));
	tcase_add_test(made, no_buffer_is_einval);
	tcase_add_test(made, newer_structs_are_taken_if_they_want_nothing_new);
	tcase_add_loop_test(made, veto_leaves_nothing, 0, ARRAY_LENGTH(vetoes));
	tcase_add_test(made, attachment_knows_whose_it_is);
	tcase_add_loop_test(made, exporter_sees_all_attachments_in_order, 0, 3);
	tcase_add_test(made, attachment_keeps_its_device);
	tcase_add_test(made, lost_device_gets_nothing_new);
	tcase_add_test(made, exporter_sees_what_device_and_importer_need);
	tcase_add_test(made, exporter_sees_what_all_need_together);
	tcase_add_test(made, constraints_are_asked_for_with_the_lock);
	suite_add_tcase(s, made);
}

static void add_mapping(Suite *s) {
	TCase *mapped = ledger_tcase_create("mapping");
	tcase_add_checked_fixture(mapped, setup, teardown);
	tcase_add_loop_test(
		mapped, attachment_maps_what_it_has_the_right_to, 0, ARRAY_LENGTH(rights));
	tcase_add_loop_test(mapped, impossible_map_is_einval, 0, ARRAY_LENGTH(wrong_maps));
	tcase_add_test(mapped, map_needs_the_lock);
	tcase_add_test(mapped, unmap_needs_the_lock);
	tcase_add_test(mapped, map_gives_the_lock_back);
	tcase_add_test(mapped, exporters_error_is_passed_on);
	tcase_add_test(mapped, each_map_is_undone_by_one_unmap);
	tcase_add_loop_test(
		mapped, unmap_of_what_is_not_mapped_is_told, 0, ARRAY_LENGTH(wrong_unmaps));
	suite_add_tcase(s, mapped);

	TCase *moving = ledger_tcase_create("moves");
	tcase_add_checked_fixture(moving, setup, teardown);
	tcase_add_loop_test(moving, static_importer_waits_for_moves_alone, 0, ARRAY_LENGTH(waits));
	tcase_add_test(moving, wait_for_a_move_ends_at_the_deadline);
	tcase_add_test(moving, map_goes_on_when_the_move_is_done);
	tcase_add_loop_test(moving, wait_for_a_move_can_be_cancelled, 0, 2);
	tcase_add_test(moving, move_that_failed_is_over_too);
	tcase_add_test(moving, move_is_told_to_all_who_hear_of_it);
	tcase_add_test(moving, move_without_the_lock_is_told_of_and_nobody_hears);
	tcase_add_test(moving, revocable_is_who_hears_of_moves);
	suite_add_tcase(s, moving);
}

static void add_exporters(Suite *s) {
	TCase *own = ledger_tcase_create("exporters of other kinds");
	tcase_add_checked_fixture(own, setup_exporter, teardown);
	tcase_add_test(own, exporter_that_gives_nothing_is_enomem);
	tcase_add_loop_test(own, exporter_that_gives_the_wrong_table_is_told, 0, 2);
	tcase_add_test(own, same_table_may_be_mapped_more_than_once);
	tcase_add_loop_test(
		own, static_importer_is_pinned_from_map_to_unmap, 0, ARRAY_LENGTH(pinnings));
	tcase_add_loop_test(own, dynamic_importer_may_pin, 0, 2);
	tcase_add_test(own, detach_is_called_where_attach_is_not_there);
	suite_add_tcase(s, own);
}

static void add_ends(Suite *s) {
	TCase *pins = ledger_tcase_create("wrong pins");
	tcase_add_checked_fixture(pins, setup, teardown);
	tcase_add_loop_test(pins, static_importer_may_not_pin, 0, ARRAY_LENGTH(wrong_static_pins));
	tcase_add_loop_test(pins, wrong_pin_is_told, 0, ARRAY_LENGTH(wrong_pins));
	suite_add_tcase(s, pins);

	TCase *end = ledger_tcase_create("the end");
	tcase_add_checked_fixture(end, setup, teardown);
	tcase_add_test(end, typical_life_calls_the_exporter_in_order);
	tcase_add_loop_test(
		end, wrong_detach_is_told_and_nothing_happens, 0, ARRAY_LENGTH(wrong_detaches));
	tcase_add_test(end, what_is_mapped_at_detach_is_told_and_unmapped);
	tcase_add_test(end, all_that_is_mapped_or_pinned_at_detach_is_undone);
	tcase_add_test(end, what_is_pinned_at_detach_is_told_and_unpinned);
	tcase_add_test(end, what_is_attached_when_the_buffer_goes_is_told_and_undone);
	tcase_add_test(end, importers_come_and_go_while_the_storage_moves);
	tcase_add_test(end, attach_and_map_survive_every_failure);
	suite_add_tcase(s, end);
}

static Suite *suite(void) {
	Suite *s = suite_create("attach");
	add_attaching(s);
	add_mapping(s);
	add_exporters(s);
	add_ends(s);
	return s;
}

int main(int argc, char **argv) {
	return runner_main(argc, argv, suite, NULL);
}
