/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_KMS_STAGE_H
#define KERNEL_KMS_STAGE_H

#include <stddef.h>
#include <stdint.h>

#include <stile/device.h>
#include <stile/drm.h>
#include <stile/drm_kms.h>
#include <stile/fence.h>
#include <stile/image.h>

#include "interop-tests/kernel/any_ioctl.h"
#include "interop-tests/kernel/kms_output.h"

/*
 * An output of vkms that shows pictures, and tells which by writing them back. What fails that should not
 * fails the test, or ends the role. A test begins with stage_begin() and ends with stage_end().
 */

/** Whose memory the pictures are in: somebody else's (udmabuf), or the driver's own. */
enum { STAGE_FOREIGN, STAGE_OWN, STAGE_SOURCES };

/** What a picture is of. */
enum { STAGE_NOTHING /* zeroed memory */, STAGE_BLANK, STAGE_DRAWN };

struct stage_frame {
	struct stile_image *image;
	struct stile_drm_framebuffer *framebuffer;
	int fd; /* of the memory, which is mapped past Stile: that would wait for fences */
	uint8_t *pixels;
	size_t bytes;
};

struct stage {
	struct kms_output output;
	struct stile_drm *drm;
	struct stile_drm_kms *kms;
	struct stile_device *memory;
	struct stage_frame blank; /* is shown at first */
	struct stage_frame next;  /* zeroed */
	struct stage_frame seen;  /* what is written back */
	int vgem;
};

extern struct stage stage;

/** Is all there that is needed? If not, which is printed. */
bool stage_is_there(void);

void stage_begin(int source);
/** All that a role does at its end. */
void stage_close(void);
/** In a test, no fence is left, either. */
void stage_end(void);

/** Have the KMS side made anew, and all frames, with this in the way of what is asked of the driver. */
void stage_look_again(any_ioctl_fn fn);

/** For that: no object has the property of this name. */
extern const char *stage_hidden_property;
int stage_hide_property(int fd, unsigned long request, void *arg);

/** An adapter of a node. */
struct stile_drm *stage_make_drm(int fd);

/** A fence that the kernel has, and its number for vgem_signal(). */
struct stile_fence *stage_kernel_fence(int *number);

/** Give others time to do what they should not do. */
void stage_let_others_be_wrong(void);

/* ---- Pictures ---- */

struct stile_image *stage_make_image(
	struct stile_device *device, uint32_t width, uint32_t height, uint32_t fourcc);
struct stage_frame stage_make_frame(void);
void stage_free_frame(struct stage_frame *frame);

uint32_t stage_colour_of(uint32_t picture, uint32_t x, uint32_t y);
/** By the CPU, at once. */
void stage_draw(const struct stage_frame *frame, uint32_t picture);
/** What was written back is exactly this picture; then it is wiped out. */
void stage_check_seen(uint32_t picture);

/* ---- Commits ---- */

/** One commit, and what came of it. */
struct stage_shot {
	struct stile_drm_commit_plane plane;
	struct stile_drm_commit_writeback writeback;
	struct stile_drm_commit_crtc crtc;
	struct stile_drm_commit_info info;
	struct stile_fence *shown;
	struct stile_fence *written;
	struct stile_path path;
	struct stile_report why;
	struct stile_drm_held_commit *held;
};

/** Shows a frame after these fences, which are borrowed, and writes back what is seen; non-blocking. */
void stage_prepare(struct stage_shot *shot, const struct stage_frame *frame,
	struct stile_fence *const *fences, size_t count);
int stage_commit(struct stage_shot *shot);
void stage_must_commit(struct stage_shot *shot);
/** It is refused with this error, for a reason that contains this, and gives nothing. */
void stage_must_refuse(struct stage_shot *shot, int error, const char *part);
void stage_end_shot(struct stage_shot *shot);
/** It was shown, and written back; ends it. */
void stage_finish_shot(struct stage_shot *shot);

/** What is on the screen right now is this picture. Shows nothing new. */
void stage_look(uint32_t picture);

#endif
