/* SPDX-License-Identifier: MIT */
/* A display, which shows what is seen by writing it back. */
#include <stdio.h>

#include "interop-tests/interop/require.h"
#include "interop-tests/kernel/kms_stage.h"
#include "interop-tests/matrix/actor.h"

/* In the first corner of what was written back, 8 bits a colour and no alpha. */
static void take(float (*rgba)[4]) {
	const struct stile_image_plane *plane = &stile_image_get_info(stage.seen.image)->planes[0];
	for (size_t i = 0; i < CARD_PIXELS; i++) {
		const uint8_t *bgrx = stage.seen.pixels + plane->offset +
			i / CARD_WIDTH * plane->pitch + i % CARD_WIDTH * 4;
		for (int k = 0; k < 3; k++) {
			rgba[i][k] = (float)bgrx[2 - k] / 255;
		}
		rgba[i][3] = 1;
	}
}

/* A commit holds up nobody: what shows is submitted when it returns. */
static void show(struct look *look, const struct stage_frame *frame) {
	struct stile_access access = { 0 };
	struct stage_shot shot;
	if (look->waits) {
		actor_begin(look->image, STILE_USAGE_READ, &access);
	}
	stage_prepare(&shot, frame, access.fences, access.count);
	stage_must_commit(&shot);
	look->sight.path.kind = shot.path.kind;
	if (look->waits) {
		require(!stile_fence_is_signaled(shot.shown));
		look->submitted(look->user);
		actor_end(&access, stile_fence_ref(shot.shown));
	}
	stage_finish_shot(&shot);
	take(look->sight.rgba);
	if (!look->waits) {
		look->submitted(look->user);
	}
}

static bool look_by_showing(struct workshop *workshop, struct look *look) {
	(void)workshop;
	struct stile_report report = { .size = sizeof(report) };
	struct stage_frame frame = { .image = look->image };
	look->sight.way = TABLE_WHOLE;
	stage_begin(STAGE_FOREIGN);
	bool taken = stile_drm_framebuffer_create(
			     stage.kms, look->image, &report, &frame.framebuffer) == 0;
	if (taken) {
		show(look, &frame);
		/* Something else first: a plane that shows nothing would be switched off. */
		struct stage_shot shot;
		stage_prepare(&shot, &stage.blank, NULL, 0);
		stage_must_commit(&shot);
		stage_finish_shot(&shot);
	} else {
		snprintf(look->sight.why, sizeof(look->sight.why), "%s", report.text);
	}
	stile_drm_framebuffer_destroy(frame.framebuffer);
	stage_close();
	return taken;
}

const struct consumer kms_shows = { "KMS scan-out", look_by_showing };
