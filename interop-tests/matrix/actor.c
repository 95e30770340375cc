/* SPDX-License-Identifier: MIT */
/* What all who paint or look have in common. */
#include "interop-tests/matrix/actor.h"

#include <stdio.h>

#include "interop-tests/interop/require.h"

void actor_begin(struct stile_image *image, uint32_t usage, struct stile_access *access) {
	const struct stile_access_info info = { .size = sizeof(info), .usage = usage };
	require(stile_access_begin(image, &info, access) == 0);
}

void actor_end(struct stile_access *access, struct stile_fence *done) {
	require(stile_access_end(access, done) == 0);
	stile_fence_unref(done);
}

bool actor_take_apart(struct painting *painting) {
	const struct sheet *sheet = painting->sheet;
	struct stile_report report = { .size = sizeof(report) };
	int ret = 0;
	painting->way = sheet->format->is_yuv ? TABLE_PLANES : TABLE_WHOLE;
	if (!sheet->format->is_yuv) {
		painting->parts[0] = stile_image_ref(painting->image);
	}
	for (uint32_t i = 0; i < sheet->plane_count && sheet->format->is_yuv && ret == 0; i++) {
		ret = stile_image_create_plane_view(
			painting->image, i, &report, &painting->parts[i]);
	}
	if (ret < 0) {
		snprintf(painting->why, sizeof(painting->why), "%s", report.text);
		actor_drop_parts(painting);
	}
	return ret == 0;
}

void actor_drop_parts(struct painting *painting) {
	for (uint32_t i = 0; i < painting->sheet->plane_count; i++) {
		stile_image_unref(painting->parts[i]);
		painting->parts[i] = NULL;
	}
}
