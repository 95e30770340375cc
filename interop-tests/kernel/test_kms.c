/* SPDX-License-Identifier: MIT */
/* What can be shown: planes and their formats, framebuffers; on vkms, and on virtio-gpu, which lacks much. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <xf86drm.h>

#include <stile/create_for.h>
#include <stile/negotiate.h>

#include "interop-tests/kernel/ioctl_sweep.h"
#include "interop-tests/kernel/kms_stage.h"
#include "interop-tests/support/failing.h"
#include "interop-tests/support/ledger.h"
#include "interop-tests/support/runner.h"
#include "src/macros.h"

enum { WIDTH = KMS_OUTPUT_WIDTH, HEIGHT = KMS_OUTPUT_HEIGHT };

/* ---- What planes take ---------------------------------------------------------------------- */

/* IN_FORMATS. Wrong code: modifiers of one format given to the next; formats left out. */
START_TEST(plane_lists_what_the_driver_lists) {
	stage_begin(STAGE_FOREIGN);
	drmModePlanePtr plane = drmModeGetPlane(stage.output.fd, stage.output.plane);
	size_t count;
	const struct stile_drm_plane_format *formats =
		stile_drm_plane_get_formats(stage.kms, stage.output.plane, &count);
	ck_assert_uint_eq(count, plane->count_formats);
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_eq(formats[i].fourcc, plane->formats[i]);
		/* vkms has but one layout, and says so. */
		ck_assert_uint_eq(formats[i].modifier_count, 1);
		ck_assert_uint_eq(formats[i].modifiers[0], DRM_FORMAT_MOD_LINEAR);
	}
	drmModeFreePlane(plane);
	ck_assert_ptr_null(stile_drm_plane_get_formats(stage.kms, stage.output.crtc, &count));
	ck_assert_uint_eq(count, 0);
	stage_end();
}
END_TEST

/* Wrong code: INVALID taken for anything, or a plane that is none for one that takes all. */
START_TEST(plane_has_exactly_the_formats_of_its_list) {
	stage_begin(STAGE_FOREIGN);
	static const struct {
		uint32_t fourcc;
		uint64_t modifier;
		bool has;
	} cases[] = {
		{ DRM_FORMAT_XRGB8888, DRM_FORMAT_MOD_LINEAR, true },
		{ DRM_FORMAT_XRGB8888, DRM_FORMAT_MOD_INVALID, false },
		{ DRM_FORMAT_XRGB8888, I915_FORMAT_MOD_X_TILED, false },
		{ DRM_FORMAT_R8, DRM_FORMAT_MOD_LINEAR, false },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		ck_assert_int_eq(stile_drm_plane_has_format(stage.kms, stage.output.plane,
					 cases[i].fourcc, cases[i].modifier),
			cases[i].has);
	}
	ck_assert(!stile_drm_plane_has_format(
		stage.kms, stage.output.crtc, DRM_FORMAT_XRGB8888, DRM_FORMAT_MOD_LINEAR));
	stage_end();
}
END_TEST

/* What is told of the primary plane's formats: XRGB8888 in two layouts, ARGB8888 in one. */
static struct {
	struct drm_format_modifier_blob head;
	uint32_t formats[2];
	struct drm_format_modifier modifiers[3];
} told = {
	.head = {
		.version = 1,
		.count_formats = 2,
		.formats_offset = sizeof(told.head),
		.count_modifiers = 3,
		.modifiers_offset = sizeof(told.head) + sizeof(told.formats),
	},
	.formats = { DRM_FORMAT_XRGB8888, DRM_FORMAT_ARGB8888 },
	.modifiers = {
		{ .formats = 3, .modifier = DRM_FORMAT_MOD_LINEAR },
		{ .formats = 1, .modifier = I915_FORMAT_MOD_X_TILED },
		{ .formats = 2, .modifier = DRM_FORMAT_MOD_INVALID },
	},
};
static uint32_t told_id;

static int tell_formats(int fd, unsigned long request, void *arg) {
	struct drm_mode_get_blob *blob = arg;
	if (request != DRM_IOCTL_MODE_GETPROPBLOB || blob->blob_id != told_id) {
		return any_ioctl_real(fd, request, arg);
	}
	if (blob->data != 0) {
		memcpy((void *)(uintptr_t)blob->data, &told, sizeof(told));
	}
	blob->length = sizeof(told);
	return 0;
}

static uint32_t find_in_formats(void) {
	drmModeObjectPropertiesPtr all = drmModeObjectGetProperties(
		stage.output.fd, stage.output.plane, DRM_MODE_OBJECT_PLANE);
	uint32_t found = 0;
	for (uint32_t i = 0; i < all->count_props; i++) {
		drmModePropertyPtr property = drmModeGetProperty(stage.output.fd, all->props[i]);
		if (strcmp(property->name, "IN_FORMATS") == 0) {
			found = (uint32_t)all->prop_values[i];
		}
		drmModeFreeProperty(property);
	}
	drmModeFreeObjectProperties(all);
	return found;
}

/* Wrong code: all modifiers of the blob for each of its formats; INVALID as a layout. */
START_TEST(modifiers_are_those_of_each_format) {
	stage_begin(STAGE_FOREIGN);
	told_id = find_in_formats();
	ck_assert_uint_ne(told_id, 0);
	stage_look_again(tell_formats);
	static const struct {
		uint32_t fourcc;
		bool linear, tiled;
	} cases[] = {
		{ DRM_FORMAT_XRGB8888, true, true },
		{ DRM_FORMAT_ARGB8888, true, false },
		/* In the plane's list, but with no layout that has a name. */
		{ DRM_FORMAT_RGB565, true, false },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint32_t plane = stage.output.plane, fourcc = cases[i].fourcc;
		ck_assert_int_eq(
			stile_drm_plane_has_format(stage.kms, plane, fourcc, DRM_FORMAT_MOD_LINEAR),
			cases[i].linear);
		ck_assert_int_eq(stile_drm_plane_has_format(
					 stage.kms, plane, fourcc, I915_FORMAT_MOD_X_TILED),
			cases[i].tiled);
		ck_assert(!stile_drm_plane_has_format(
			stage.kms, plane, fourcc, DRM_FORMAT_MOD_INVALID));
	}
	struct stile_constraints limits = { .size = sizeof(limits) };
	ck_assert_int_eq(stile_drm_plane_get_constraints(
				 stage.kms, stage.output.plane, DRM_FORMAT_XRGB8888, &limits),
		0);
	ck_assert_uint_eq(limits.modifier_count, 2);
	ck_assert_uint_eq(limits.modifiers[1], I915_FORMAT_MOD_X_TILED);
	stage_end();
}
END_TEST

static int64_t get_limit(bool width) {
	drmModeResPtr found = drmModeGetResources(stage.output.fd);
	int64_t limit = width ? found->max_width : found->max_height;
	drmModeFreeResources(found);
	return limit;
}

/* Wrong code: extents swapped or forgotten; a cursor as large as a screen. */
START_TEST(constraints_are_those_of_the_plane) {
	stage_begin(STAGE_FOREIGN);
	struct stile_constraints limits = { .size = sizeof(limits) };
	ck_assert_int_eq(stile_drm_plane_get_constraints(
				 stage.kms, stage.output.plane, DRM_FORMAT_XRGB8888, &limits),
		0);
	ck_assert_int_eq(limits.max_width, get_limit(true));
	ck_assert_int_eq(limits.max_height, get_limit(false));
	ck_assert_uint_eq(limits.usage, STILE_USAGE_READ);
	ck_assert_uint_eq(limits.modifier_count, 1);
	ck_assert_int_eq(stile_image_check_constraints(stage.next.image, &limits, NULL), 0);
	ck_assert_int_eq(stile_drm_plane_get_constraints(
				 stage.kms, stage.output.plane, DRM_FORMAT_R8, &limits),
		-EOPNOTSUPP);
	ck_assert_int_eq(stile_drm_plane_get_constraints(
				 stage.kms, stage.output.crtc, DRM_FORMAT_XRGB8888, &limits),
		-ENOENT);
	uint64_t cursor;
	ck_assert_int_eq(drmGetCap(stage.output.fd, DRM_CAP_CURSOR_WIDTH, &cursor), 0);
	ck_assert_int_eq(stile_drm_plane_get_constraints(
				 stage.kms, stage.output.cursor, DRM_FORMAT_ARGB8888, &limits),
		0);
	ck_assert_uint_eq(limits.max_width, cursor);
	limits.size = 3;
	ck_assert_int_eq(stile_drm_plane_get_constraints(
				 stage.kms, stage.output.plane, DRM_FORMAT_XRGB8888, &limits),
		-EINVAL);
	stage_end();
}
END_TEST

/* Wrong code: no list is an empty list; or one that has all modifiers. */
START_TEST(plane_that_names_no_modifiers_takes_linear) {
	stage_begin(STAGE_FOREIGN);
	stage_hidden_property = "IN_FORMATS";
	stage_look_again(stage_hide_property);
	size_t count;
	const struct stile_drm_plane_format *formats =
		stile_drm_plane_get_formats(stage.kms, stage.output.plane, &count);
	ck_assert_uint_gt(count, 0);
	ck_assert_uint_eq(formats[0].modifier_count, 0);
	ck_assert(stile_drm_plane_has_format(
		stage.kms, stage.output.plane, DRM_FORMAT_XRGB8888, DRM_FORMAT_MOD_LINEAR));
	ck_assert(!stile_drm_plane_has_format(
		stage.kms, stage.output.plane, DRM_FORMAT_XRGB8888, I915_FORMAT_MOD_X_TILED));
	struct stile_constraints limits = { .size = sizeof(limits) };
	ck_assert_int_eq(stile_drm_plane_get_constraints(
				 stage.kms, stage.output.plane, DRM_FORMAT_XRGB8888, &limits),
		0);
	ck_assert_uint_eq(limits.modifier_count, 1);
	ck_assert_uint_eq(limits.modifiers[0], DRM_FORMAT_MOD_LINEAR);
	stage_end();
}
END_TEST

static struct stile_party describe_plane(uint32_t plane) {
	struct stile_party party = { .size = sizeof(party) };
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_drm_plane_get_party(stage.kms, plane, &why, &party);
	ck_assert_msg(ret == 0, "%s", why.text);
	return party;
}

/* Wrong code: another plane's formats or extents; a node that other parties do not go by. */
START_TEST(party_is_the_plane) {
	stage_begin(STAGE_FOREIGN);
	struct stile_party party = describe_plane(stage.output.plane);
	char name[32];
	snprintf(name, sizeof(name), "KMS plane %u", stage.output.plane);
	ck_assert_str_eq(party.name, name);
	size_t count;
	const struct stile_drm_plane_format *formats =
		stile_drm_plane_get_formats(stage.kms, stage.output.plane, &count);
	ck_assert_uint_eq(party.format_count, count);
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_eq(party.formats[i].fourcc, formats[i].fourcc);
		ck_assert_uint_eq(party.formats[i].modifier_count, 1);
		ck_assert_uint_eq(party.formats[i].modifiers[0].modifier, DRM_FORMAT_MOD_LINEAR);
	}
	struct stile_drm_identity who = { .size = sizeof(who) };
	ck_assert_int_eq(stile_drm_identify(stage.output.fd, &who), 0);
	ck_assert_uint_eq(party.device, who.render_rdev != 0 ? who.render_rdev : who.primary_rdev);
	ck_assert_uint_eq(party.flags, STILE_PARTY_SCANOUT | STILE_PARTY_UNSAID_IS_LINEAR);
	ck_assert_uint_eq(party.memory, STILE_MEMORY_DMA_BUF);
	ck_assert_uint_eq(party.allocates, 0);
	ck_assert_uint_eq(party.sync, STILE_SYNC_FILE | STILE_SYNC_CPU);
	ck_assert_int_eq(party.needs->max_width, get_limit(true));
	ck_assert_uint_eq(party.needs->usage, STILE_USAGE_READ);
	stile_party_fini(&party);

	party = describe_plane(stage.output.cursor);
	uint64_t cursor;
	ck_assert_int_eq(drmGetCap(stage.output.fd, DRM_CAP_CURSOR_WIDTH, &cursor), 0);
	ck_assert_uint_eq(party.needs->max_width, cursor);
	stile_party_fini(&party);

	struct stile_report why = { .size = sizeof(why) };
	ck_assert_int_eq(
		stile_drm_plane_get_party(stage.kms, stage.output.crtc, &why, &party), -ENOENT);
	ck_assert_uint_eq(why.actual, stage.output.crtc);
	ck_assert_ptr_null(party.data);
	party.size = 3;
	ck_assert_int_eq(
		stile_drm_plane_get_party(stage.kms, stage.output.plane, &why, &party), -EINVAL);
	stage_end();
}
END_TEST

static int hide_modifier_capability(int fd, unsigned long request, void *arg) {
	const struct drm_get_cap *cap = arg;
	if (request == DRM_IOCTL_GET_CAP && cap->capability == DRM_CAP_ADDFB2_MODIFIERS) {
		errno = EINVAL;
		return -1;
	}
	return tell_formats(fd, request, arg);
}

/* So many layouts, of which the first is linear. */
static void check_xrgb(size_t count) {
	struct stile_party party = describe_plane(stage.output.plane);
	size_t i = 0;
	while (i < party.format_count && party.formats[i].fourcc != DRM_FORMAT_XRGB8888) {
		i++;
	}
	ck_assert_uint_lt(i, party.format_count);
	ck_assert_uint_eq(party.formats[i].modifier_count, count);
	ck_assert(count < 1 || party.formats[i].modifiers[0].modifier == DRM_FORMAT_MOD_LINEAR);
	ck_assert(count < 2 || party.formats[i].modifiers[1].modifier == I915_FORMAT_MOD_X_TILED);
	stile_party_fini(&party);
}

/* Wrong code: a layout that the driver cannot be told; a list of none where it says nothing. */
START_TEST(party_takes_what_the_driver_can_be_told) {
	stage_begin(STAGE_FOREIGN);
	told_id = find_in_formats();
	stage_look_again(tell_formats);
	check_xrgb(2);
	stage_look_again(hide_modifier_capability);
	check_xrgb(1);
	stage_hidden_property = "IN_FORMATS";
	stage_look_again(stage_hide_property);
	check_xrgb(0);
	stage_end();
}
END_TEST

static void must_show(const struct stile_layout *layout, struct stile_device *const *devices) {
	struct stile_report why = { .size = sizeof(why) };
	struct stile_image *image;
	struct stile_drm_framebuffer *framebuffer;
	int ret = stile_image_create_for(layout, devices, NULL, NULL, &why, &image);
	ck_assert_msg(ret == 0, "%s", why.text);
	ret = stile_drm_framebuffer_create(stage.kms, image, &why, &framebuffer);
	ck_assert_msg(ret == 0, "%s", why.text);
	stile_drm_framebuffer_destroy(framebuffer);
	stile_image_unref(image);
}

/* Wrong code: what plane and memory agree on cannot be shown. */
START_TEST(what_is_agreed_on_can_be_shown) {
	stage_begin(_i);
	struct stile_party parties[2] = { { .size = sizeof(parties[0]) } };
	ck_assert_int_eq(stile_device_get_party(stage.memory, 0, NULL, &parties[0]), 0);
	parties[1] = describe_plane(stage.output.plane);
	struct stile_device *const devices[] = { stage.memory, NULL };
	struct stile_want want = {
		.size = sizeof(want), .width = WIDTH, .height = HEIGHT, .fourcc_count = 1
	};
	struct stile_report why = { .size = sizeof(why) };
	for (size_t i = 0; i < parties[1].format_count; i++) {
		struct stile_layout layout = { .size = sizeof(layout) };
		want.fourccs = &parties[1].formats[i].fourcc;
		int ret = stile_negotiate(parties, 2, &want, &layout, &why);
		if (stile_format_get(*want.fourccs) != NULL) {
			ck_assert_msg(ret == 0, "%s", why.text);
			const struct stile_tranche *tranche = stile_layout_get_tranche(&layout, 0);
			ck_assert_uint_ne(tranche->flags & STILE_TRANCHE_SCANOUT, 0);
			ck_assert_uint_eq(tranche->device, parties[1].device);
			must_show(&layout, devices);
		}
		stile_layout_fini(&layout);
	}
	stile_party_fini(&parties[0]);
	stile_party_fini(&parties[1]);
	stage_end();
}
END_TEST

static void must_have_no_kms(int fd, int error, const char *part) {
	struct stile_drm *other = stage_make_drm(fd);
	struct stile_drm_kms *made = (struct stile_drm_kms *)other;
	struct stile_report why = { .size = sizeof(why) };
	ck_assert_int_eq(stile_drm_kms_create(other, &why, &made), error);
	ck_assert_ptr_null(made);
	ck_assert_msg(strstr(why.text, part) != NULL, "%s", why.text);
	stile_drm_destroy(other);
}

/* Wrong code: a driver without KMS taken for one with no planes; a code without a reason. */
START_TEST(node_without_kms_is_refused_with_the_reason) {
	stage_begin(STAGE_FOREIGN);
	must_have_no_kms(stage.vgem, -EOPNOTSUPP, "no KMS");
	struct stile_drm_identity who = { .size = sizeof(who) };
	ck_assert_int_eq(stile_drm_find_driver("virtio_gpu", &who), 0);
	int render = open(who.render, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(render, 0);
	must_have_no_kms(render, -EACCES, "render node");
	close(render);
	stage_end();
}
END_TEST

/* ---- Framebuffers -------------------------------------------------------------------------- */

static void must_not_frame(
	struct stile_drm_kms *at, struct stile_image *image, int error, const char *part) {
	struct stile_report why = { .size = sizeof(why) };
	struct stile_drm_framebuffer *made = (struct stile_drm_framebuffer *)&why;
	int ret = stile_drm_framebuffer_create(at, image, &why, &made);
	ck_assert_msg(ret == error, "%d: %s", ret, why.text);
	ck_assert_ptr_null(made);
	ck_assert_int_eq(why.error, error);
	ck_assert_msg(strstr(why.text, part) != NULL, "no \"%s\" in \"%s\"", part, why.text);
}

/* Wrong code: the driver's EINVAL, without a word. */
START_TEST(image_that_nothing_shows_is_refused_with_the_reason) {
	stage_begin(STAGE_FOREIGN);
	static const struct {
		uint32_t width, height, fourcc;
		int error;
		const char *part;
	} cases[] = {
		{ WIDTH, HEIGHT, DRM_FORMAT_R8, -EOPNOTSUPP, "R8" },
		{ 4, HEIGHT, DRM_FORMAT_XRGB8888, -ERANGE, "4 x 48" },
		{ 8200, 16, DRM_FORMAT_XRGB8888, -ERANGE, "8200 x 16" },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct stile_image *image = stage_make_image(
			stage.memory, cases[i].width, cases[i].height, cases[i].fourcc);
		must_not_frame(stage.kms, image, cases[i].error, cases[i].part);
		stile_image_unref(image);
	}
	/* The largest that is shown. */
	struct stile_image *image = stage_make_image(stage.memory, 8192, 16, DRM_FORMAT_XRGB8888);
	struct stile_drm_framebuffer *made;
	ck_assert_int_eq(stile_drm_framebuffer_create(stage.kms, image, NULL, &made), 0);
	stile_drm_framebuffer_destroy(made);
	stile_image_unref(image);
	stage_end();
}
END_TEST

/* The same memory, said to be in another layout. */
static struct stile_image *import_tiled(struct stage_frame *frame) {
	struct stile_image_info info = *stile_image_get_info(frame->image);
	info.modifier = I915_FORMAT_MOD_X_TILED;
	info.planes[0].fd = frame->fd;
	struct stile_image *image;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_image_import(stage.memory, &info, &why, &image);
	ck_assert_msg(ret == 0, "%d: %s", ret, why.text);
	return image;
}

static int lack_modifiers(int fd, unsigned long request, void *arg) {
	int ret = any_ioctl_real(fd, request, arg);
	if (ret == 0 && request == DRM_IOCTL_GET_CAP) {
		struct drm_get_cap *cap = arg;
		cap->value = cap->capability == DRM_CAP_ADDFB2_MODIFIERS ? 0 : cap->value;
	}
	return ret;
}

/* Wrong code: the modifier left out where it cannot be told, so that tiles are shown as rows. */
START_TEST(modifier_is_told_or_refused) {
	stage_begin(STAGE_FOREIGN);
	struct stile_image *tiled = import_tiled(&stage.next);
	must_not_frame(stage.kms, tiled, -EOPNOTSUPP, "0x100000000000001");
	stage_look_again(lack_modifiers);
	must_not_frame(stage.kms, tiled, -EOPNOTSUPP, "DRM_CAP_ADDFB2_MODIFIERS");
	stile_image_unref(tiled);
	stage_end();
}
END_TEST

static unsigned imports, closes;
static uint32_t fb_flags;

static int count_handles(int fd, unsigned long request, void *arg) {
	imports += request == DRM_IOCTL_PRIME_FD_TO_HANDLE;
	closes += request == DRM_IOCTL_GEM_CLOSE;
	if (request == DRM_IOCTL_MODE_ADDFB2) {
		fb_flags = ((const struct drm_mode_fb_cmd2 *)arg)->flags;
	}
	return any_ioctl_real(fd, request, arg);
}

/* Wrong code: the handle kept, and with it the memory, for as long as the file is open. */
START_TEST(framebuffer_keeps_no_handle) {
	stage_begin(_i);
	imports = closes = 0;
	any_ioctl_set(count_handles);
	struct stage_frame frame = stage_make_frame();
	any_ioctl_set(NULL);
	ck_assert_uint_eq(imports, 1);
	ck_assert_uint_ge(closes, 1);
	ck_assert_uint_eq(fb_flags, DRM_MODE_FB_MODIFIERS);
	ck_assert_uint_ne(stile_drm_framebuffer_get_id(frame.framebuffer), 0);
	drmModeFB2Ptr found =
		drmModeGetFB2(stage.output.fd, stile_drm_framebuffer_get_id(frame.framebuffer));
	ck_assert_ptr_nonnull(found);
	ck_assert_uint_eq(found->width, WIDTH);
	ck_assert_uint_eq(found->modifier, DRM_FORMAT_MOD_LINEAR);
	/* It gave a handle, which is the caller's. */
	drmCloseBufferHandle(stage.output.fd, found->handles[0]);
	drmModeFreeFB2(found);
	stage_free_frame(&frame);
	stage_end();
}
END_TEST

static int refuse_framebuffers(int fd, unsigned long request, void *arg) {
	if (request == DRM_IOCTL_MODE_ADDFB2) {
		errno = EINVAL;
		return -1;
	}
	return any_ioctl_real(fd, request, arg);
}

/* Wrong code: a pitch that the driver does not like refused without the number. */
START_TEST(refusal_of_the_driver_names_the_numbers) {
	stage_begin(STAGE_FOREIGN);
	char pitch[32];
	snprintf(pitch, sizeof(pitch), "pitch %u",
		stile_image_get_info(stage.next.image)->planes[0].pitch);
	any_ioctl_set(refuse_framebuffers);
	must_not_frame(stage.kms, stage.next.image, -EINVAL, pitch);
	stage_end();
}
END_TEST

/* REAL_KERNEL: virtio-gpu. Wrong code: a driver that cannot import taken for one that lacks memory. */
START_TEST(driver_that_takes_no_foreign_memory_says_so) {
	stage_begin(STAGE_FOREIGN);
	int fd = kms_output_open_node("virtio_gpu");
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(drmSetClientCap(fd, DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1), 0);
	struct stile_drm *other = stage_make_drm(fd);
	struct stile_drm_kms *at;
	ck_assert_int_eq(stile_drm_kms_create(other, NULL, &at), 0);
	must_not_frame(at, stage.next.image, -ENODEV, "memory");
	struct stile_image *tiled = import_tiled(&stage.next);
	must_not_frame(at, tiled, -EOPNOTSUPP, "DRM_CAP_ADDFB2_MODIFIERS");
	stile_image_unref(tiled);

	/* But of its own. */
	struct stile_device *own;
	ck_assert_int_eq(stile_drm_open_device(other, NULL, NULL, &own), 0);
	struct stile_image *image = stage_make_image(own, WIDTH, HEIGHT, DRM_FORMAT_XRGB8888);
	struct stile_report why = { .size = sizeof(why) };
	struct stile_drm_framebuffer *made;
	int ret = stile_drm_framebuffer_create(at, image, &why, &made);
	ck_assert_msg(ret == 0, "%d: %s", ret, why.text);
	stile_drm_framebuffer_destroy(made);
	stile_image_unref(image);
	stile_device_destroy(own);
	stile_drm_kms_destroy(at);
	stile_drm_destroy(other);
	close(fd);
	stage_end();
}
END_TEST

/* ---- Calls that fail ----------------------------------------------------------------------- */

static int try_kms(void *user) {
	struct stile_drm_kms **made = user;
	return stile_drm_kms_create(stage.drm, NULL, made);
}

static void after_kms(void *user, int ret) {
	struct stile_drm_kms **made = user;
	ck_assert_int_eq(*made == NULL, ret < 0);
	stile_drm_kms_destroy(*made);
}

static int try_framebuffer(void *user) {
	struct stile_drm_framebuffer **made = user;
	return stile_drm_framebuffer_create(stage.kms, stage.next.image, NULL, made);
}

static void after_framebuffer(void *user, int ret) {
	struct stile_drm_framebuffer **made = user;
	ck_assert_int_eq(*made == NULL, ret < 0);
	stile_drm_framebuffer_destroy(*made);
}

/* Wrong code: no memory, and a crash; or a leak, which the ledger sees. */
START_TEST(want_of_memory_is_told) {
	static const int errors[] = { -ENOMEM, -EMFILE, 0 };
	stage_begin(STAGE_FOREIGN);
	struct stile_drm_kms *kms;
	struct stile_drm_framebuffer *framebuffer;
	ck_assert_uint_gt(failing_sweep(try_kms, after_kms, &kms, errors), 0);
	ck_assert_uint_gt(
		failing_sweep(try_framebuffer, after_framebuffer, &framebuffer, errors), 0);
	stage_end();
}
END_TEST

/* Wrong code: a call of the driver's whose failure nobody looks at; the handle left behind. */
START_TEST(framebuffer_that_the_driver_fails_leaves_nothing) {
	stage_begin(_i);
	struct stile_drm_framebuffer *framebuffer;
	ck_assert_uint_ge(ioctl_sweep(try_framebuffer, after_framebuffer, &framebuffer), 2);
	stage_end();
}
END_TEST

static unsigned calls_left;

static int lack_memory(int fd, unsigned long request, void *arg) {
	/* A capability that cannot be asked for is not there, and that is no failure. */
	if (request != DRM_IOCTL_GET_CAP && calls_left > 0 && --calls_left == 0) {
		errno = ENOMEM;
		return -1;
	}
	return any_ioctl_real(fd, request, arg);
}

/* Wrong code: planes left out that could not be looked at just then. */
START_TEST(looking_at_planes_fails_as_a_whole) {
	stage_begin(STAGE_FOREIGN);
	struct stile_drm_kms *kms;
	/* It takes hundreds of calls, which are all alike: not each of them. */
	for (unsigned n = 1, done = 0; done == 0; n += 1 + n / 8) {
		calls_left = n;
		any_ioctl_set(lack_memory);
		int ret = try_kms(&kms);
		any_ioctl_set(NULL);
		done = calls_left > 0;
		ck_assert_msg(ret == (done ? 0 : -ENOMEM), "call %u: %d", n, ret);
		after_kms(&kms, ret);
	}
	stage_end();
}
END_TEST

/* ---- The suite ----------------------------------------------------------------------------- */

static Suite *suite(void) {
	const struct {
		const TTest *test;
		int times;
	} tests[] = {
		{ plane_lists_what_the_driver_lists, 1 },
		{ plane_has_exactly_the_formats_of_its_list, 1 },
		{ modifiers_are_those_of_each_format, 1 },
		{ constraints_are_those_of_the_plane, 1 },
		{ plane_that_names_no_modifiers_takes_linear, 1 },
		{ party_is_the_plane, 1 },
		{ party_takes_what_the_driver_can_be_told, 1 },
		{ what_is_agreed_on_can_be_shown, STAGE_SOURCES },
		{ node_without_kms_is_refused_with_the_reason, 1 },
		{ image_that_nothing_shows_is_refused_with_the_reason, 1 },
		{ modifier_is_told_or_refused, 1 },
		{ framebuffer_keeps_no_handle, STAGE_SOURCES },
		{ refusal_of_the_driver_names_the_numbers, 1 },
		{ driver_that_takes_no_foreign_memory_says_so, 1 },
		{ want_of_memory_is_told, 1 },
		{ framebuffer_that_the_driver_fails_leaves_nothing, STAGE_SOURCES },
		{ looking_at_planes_fails_as_a_whole, 1 },
	};
	Suite *s = suite_create("kms");
	TCase *tcase = ledger_tcase_create("kms");
	tcase_set_timeout(tcase, 120);
	for (size_t i = 0; i < ARRAY_LENGTH(tests); i++) {
		tcase_add_loop_test(tcase, tests[i].test, 0, tests[i].times);
	}
	suite_add_tcase(s, tcase);
	return s;
}

int main(int argc, char **argv) {
	return stage_is_there() ? runner_main(argc, argv, suite, NULL) : RUNNER_SKIP;
}
