/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_FRAMES_H
#define DEMOS_FRAMES_H

#include <stile/carrier.h>
#include <stile/image.h>

#include "demos/picture.h"
#include "demos/transform.h"

/**
 * Some demos show frames, each different from the others, and end with a sheet of what was seen of them: one that
 * came too early, too late or torn is seen there.
 */

enum { FRAME_COUNT = 12, FRAME_WIDTH = 160, FRAME_HEIGHT = 120, FRAME_ACROSS = 4 };

/** Of nothing; FRAME_ACROSS frames across. */
int frames_create_sheet(struct picture *sheet);

/** Where a frame is in it. */
uint32_t frames_x(unsigned frame);
uint32_t frames_y(unsigned frame);

/** Put a frame, of FRAME_WIDTH and FRAME_HEIGHT, into its place. */
void frames_put(struct picture *sheet, unsigned frame, const struct picture *picture);

/** A frame, by the CPU: the card, further to the right in each. `to` has its extent. */
void frames_draw(unsigned frame, const struct picture *card, struct picture *to);

/** All of them, the caller's; frames_finish() after a failure, too. */
int frames_create(struct picture frames[FRAME_COUNT]);
void frames_finish(struct picture frames[FRAME_COUNT]);

/** What a frame makes of the picture that is behind all of them: brighter in each, and mirrored or not. */
struct transform frames_transform(unsigned frame);

/** A linear image of that extent, ABGR8888 as a picture is, in a device's memory. */
int frames_create_image(
	struct stile_device *device, const char *name, uint32_t usage, struct stile_image **out);

/** By which paths how many frames crossed, and for how long the calling thread was held up by all of them. */
struct frames_paths {
	unsigned counts[STILE_PATH_CPU_WAIT + 1];
	int64_t blocked_ns;
};
void frames_count_path(struct frames_paths *paths, const struct stile_path *path);
void frames_print_paths(const char *what, const struct frames_paths *paths);

#endif
