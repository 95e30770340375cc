/* SPDX-License-Identifier: MIT */
#include "interop-tests/kernel/kms_stage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <check.h>
#include <xf86drm.h>

#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"
#include "interop-tests/support/vgem.h"

enum {
	WIDTH = KMS_OUTPUT_WIDTH,
	HEIGHT = KMS_OUTPUT_HEIGHT,
	BOTH = STILE_USAGE_READ | STILE_USAGE_WRITE,
};

struct stage stage;

/* ---- Pictures ------------------------------------------------------------------------------ */

struct stile_image *stage_make_image(
	struct stile_device *device, uint32_t width, uint32_t height, uint32_t fourcc) {
	const struct stile_image_info info = {
		.size = sizeof(info),
		.width = width,
		.height = height,
		.fourcc = fourcc,
		.usage = BOTH,
		.modifier = DRM_FORMAT_MOD_LINEAR,
		.name = "picture",
	};
	struct stile_image *image;
	int ret = stile_image_create(device, &info, &image);
	runner_require(ret == 0, "no memory for a picture: %s", strerror(-ret));
	return image;
}

struct stage_frame stage_make_frame(void) {
	struct stage_frame frame = { .image = stage_make_image(
					     stage.memory, WIDTH, HEIGHT, DRM_FORMAT_XRGB8888) };
	struct stile_buffer *buffer = stile_image_get_buffer(frame.image, 0);
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_drm_framebuffer_create(stage.kms, frame.image, &why, &frame.framebuffer);
	runner_require(ret == 0, "no framebuffer: %d: %s", ret, why.text);
	ret = stile_buffer_export_fd(buffer, BOTH, &frame.fd);
	runner_require(ret == 0, "a picture gives no descriptor: %s", strerror(-ret));
	frame.bytes = stile_buffer_get_bytes(buffer);
	frame.pixels = mmap(NULL, frame.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, frame.fd, 0);
	runner_require(frame.pixels != MAP_FAILED, "mmap: %s", strerror(errno));
	return frame;
}

void stage_free_frame(struct stage_frame *frame) {
	stile_drm_framebuffer_destroy(frame->framebuffer);
	munmap(frame->pixels, frame->bytes);
	close(frame->fd);
	stile_image_unref(frame->image);
}

static uint32_t *pixel_at(const struct stage_frame *frame, uint32_t x, uint32_t y) {
	const struct stile_image_info *info = stile_image_get_info(frame->image);
	return (uint32_t *)(void *)(frame->pixels + info->planes[0].offset +
		(size_t)y * info->planes[0].pitch + 4 * (size_t)x);
}

uint32_t stage_colour_of(uint32_t picture, uint32_t x, uint32_t y) {
	return picture == STAGE_NOTHING
		? 0
		: (picture * 0x123457 + y * 0x010309 + x * 0x0305) & 0xffffff;
}

void stage_draw(const struct stage_frame *frame, uint32_t picture) {
	for (uint32_t y = 0; y < HEIGHT; y++) {
		for (uint32_t x = 0; x < WIDTH; x++) {
			*pixel_at(frame, x, y) = stage_colour_of(picture, x, y);
		}
	}
}

void stage_check_seen(uint32_t picture) {
	for (uint32_t y = 0; y < HEIGHT; y++) {
		for (uint32_t x = 0; x < WIDTH; x++) {
			uint32_t colour = *pixel_at(&stage.seen, x, y) & 0xffffff;
			runner_require(colour == stage_colour_of(picture, x, y),
				"at %u, %u is 0x%06x: not picture %u, which has 0x%06x", x, y,
				colour, picture, stage_colour_of(picture, x, y));
		}
	}
	stage_draw(&stage.seen, STAGE_NOTHING);
}

/* ---- Commits ------------------------------------------------------------------------------- */

void stage_prepare(struct stage_shot *shot, const struct stage_frame *frame,
	struct stile_fence *const *fences, size_t count) {
	*shot = (struct stage_shot){
		.plane = { stage.output.plane, frame->framebuffer, fences, count },
		.writeback = { stage.output.writeback, stage.seen.framebuffer, NULL, 0, &shot->written },
		.crtc = { stage.output.crtc, &shot->shown },
		.info = {
			.size = sizeof(shot->info),
			.flags = DRM_MODE_ATOMIC_NONBLOCK,
			.planes = &shot->plane,
			.plane_count = 1,
			.crtcs = &shot->crtc,
			.crtc_count = 1,
			.writeback = &shot->writeback,
		},
		.path.size = sizeof(shot->path),
		.why.size = sizeof(shot->why),
	};
}

int stage_commit(struct stage_shot *shot) {
	return stile_drm_commit(stage.kms, &shot->info, &shot->path, &shot->why, &shot->held);
}

void stage_must_commit(struct stage_shot *shot) {
	int ret = stage_commit(shot);
	runner_require(ret == 0, "the commit fails: %d: %s", ret, shot->why.text);
}

void stage_must_refuse(struct stage_shot *shot, int error, const char *part) {
	shot->shown = shot->written = (struct stile_fence *)shot;
	shot->held = (struct stile_drm_held_commit *)shot;
	int ret = stage_commit(shot);
	ck_assert_msg(ret == error, "%d instead of %d: %s", ret, error, shot->why.text);
	ck_assert_int_eq(shot->why.error, error);
	ck_assert_msg(
		strstr(shot->why.text, part) != NULL, "no \"%s\" in \"%s\"", part, shot->why.text);
	ck_assert_ptr_null(shot->held);
	ck_assert(shot->info.crtc_count == 0 || shot->shown == NULL);
	ck_assert(shot->info.writeback == NULL || shot->written == NULL);
}

void stage_end_shot(struct stage_shot *shot) {
	stile_drm_held_commit_destroy(shot->held);
	stile_fence_unref(shot->shown);
	stile_fence_unref(shot->written);
}

static void finish_writing(struct stage_shot *shot) {
	int status = plain_fence_finish(shot->written);
	runner_require(status == 1, "nothing was written back: %d", status);
	kms_output_await_idle(&stage.output, stile_drm_framebuffer_get_id(stage.seen.framebuffer));
}

void stage_finish_shot(struct stage_shot *shot) {
	int status = plain_fence_finish(shot->shown);
	runner_require(status == 1, "nothing was shown: %d", status);
	finish_writing(shot);
	stage_end_shot(shot);
}

void stage_look(uint32_t picture) {
	struct stage_shot shot;
	stage_prepare(&shot, &stage.blank, NULL, 0);
	shot.info.plane_count = 0;
	shot.info.crtc_count = 0;
	stage_must_commit(&shot);
	finish_writing(&shot);
	stage_end_shot(&shot);
	stage_check_seen(picture);
}

static void switch_on(void) {
	struct stage_shot shot;
	stage_prepare(&shot, &stage.blank, NULL, 0);
	shot.info.request = kms_output_request(&stage.output, stage.output.plane);
	shot.info.flags = DRM_MODE_ATOMIC_ALLOW_MODESET;
	stage_must_commit(&shot);
	drmModeAtomicFree(shot.info.request);
	stage_finish_shot(&shot);
	stage_check_seen(STAGE_BLANK);
}

/* ---- Fixture ------------------------------------------------------------------------------- */

struct stile_drm *stage_make_drm(int fd) {
	const struct stile_drm_info info = { .size = sizeof(info), .fd = fd };
	struct stile_drm *made;
	struct stile_report why = { .size = sizeof(why) };
	int ret = stile_drm_create(&info, &why, &made);
	runner_require(ret == 0, "no adapter: %d: %s", ret, why.text);
	return made;
}

const char *stage_hidden_property;

/* It is called otherwise. */
int stage_hide_property(int fd, unsigned long request, void *arg) {
	int ret = any_ioctl_real(fd, request, arg);
	if (ret == 0 && request == DRM_IOCTL_MODE_GETPROPERTY) {
		struct drm_mode_get_property *property = arg;
		bool hidden = strcmp(property->name, stage_hidden_property) == 0;
		property->name[0] = hidden ? '-' : property->name[0];
	}
	return ret;
}

static struct stile_device *open_memory(int source) {
	struct stile_device *device;
	int ret = source == STAGE_FOREIGN ? stile_device_open("udmabuf", NULL, &device)
					  : stile_drm_open_device(stage.drm, NULL, NULL, &device);
	runner_require(ret == 0, "no memory for pictures: %s", strerror(-ret));
	return device;
}

static void make_frames(void) {
	stage.blank = stage_make_frame();
	stage.next = stage_make_frame();
	stage.seen = stage_make_frame();
	stage_draw(&stage.blank, STAGE_BLANK);
	switch_on();
}

static void free_frames(void) {
	stage_free_frame(&stage.blank);
	stage_free_frame(&stage.next);
	stage_free_frame(&stage.seen);
}

void stage_look_again(any_ioctl_fn fn) {
	struct stile_drm_kms *made;
	any_ioctl_set(fn);
	int ret = stile_drm_kms_create(stage.drm, NULL, &made);
	any_ioctl_set(NULL);
	ck_assert_int_eq(ret, 0);
	free_frames();
	stile_drm_kms_destroy(stage.kms);
	stage.kms = made;
	make_frames();
}

void stage_begin(int source) {
	runner_require(kms_output_open(&stage.output) == 0, "there is no vkms any more");
	stage.drm = stage_make_drm(stage.output.fd);
	int ret = stile_drm_kms_create(stage.drm, NULL, &stage.kms);
	runner_require(ret == 0, "no KMS side: %s", strerror(-ret));
	stage.memory = open_memory(source);
	stage.vgem = vgem_open();
	runner_require(stage.vgem >= 0, "there is no vgem any more");
	make_frames();
}

void stage_close(void) {
	any_ioctl_set(NULL);
	free_frames();
	close(stage.vgem);
	stile_drm_kms_destroy(stage.kms);
	stile_device_destroy(stage.memory);
	stile_drm_destroy(stage.drm);
	kms_output_close(&stage.output);
}

void stage_end(void) {
	stage_close();
	ck_assert_int_eq(plain_fence_count(), 0);
}

struct stile_fence *stage_kernel_fence(int *number) {
	int file = vgem_sync_file(stage.vgem, number);
	ck_assert_int_ge(file, 0);
	struct stile_fence *fence;
	ck_assert_int_eq(
		stile_fence_import_fd(stage.memory, STILE_FD_SYNC_FILE, 0, file, &fence), 0);
	close(file);
	return fence;
}

void stage_let_others_be_wrong(void) {
	runner_sleep_ms(100);
}

/* ---- Is it there? --------------------------------------------------------------------------- */

static bool is_there(const char *what, int fd) {
	if (fd < 0) {
		printf("skipped: there is no %s here\n", what);
		return false;
	}
	close(fd);
	return true;
}

static bool has_memory(void) {
	struct stile_device *device;
	int ret = stile_device_open("udmabuf", NULL, &device);
	if (ret < 0) {
		printf("skipped: there is no udmabuf here: %s\n", strerror(-ret));
		return false;
	}
	stile_device_destroy(device);
	return true;
}

bool stage_is_there(void) {
	return is_there("vkms", kms_output_open_node("vkms")) &&
		is_there("virtio-gpu", kms_output_open_node("virtio_gpu")) &&
		is_there("vgem", vgem_open()) && has_memory();
}
