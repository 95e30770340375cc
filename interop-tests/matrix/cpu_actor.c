/* SPDX-License-Identifier: MIT */
/* The CPU, and the software GPU, whose memory the CPU reads. */
#include <stdlib.h>
#include <string.h>

#include <stile/swgpu.h>

#include "demos/job.h"
#include "interop-tests/interop/images.h"
#include "interop-tests/interop/require.h"
#include "interop-tests/matrix/actor.h"
#include "interop-tests/support/plain_fence.h"
#include "interop-tests/support/runner.h"

/* ---- The CPU ------------------------------------------------------------------------------ */

static void write_plane(struct stile_image *image, uint32_t nth, const struct sheet_plane *from) {
	const struct stile_image_plane *to = &stile_image_get_info(image)->planes[nth];
	struct stile_buffer *buffer = stile_image_get_buffer(image, nth);
	void *memory;
	require(stile_buffer_mmap(buffer, STILE_USAGE_WRITE, &memory) == 0);
	for (size_t y = 0; y < from->rows; y++) {
		memcpy((uint8_t *)memory + to->offset + y * to->pitch,
			from->bytes + y * from->row_bytes, from->row_bytes);
	}
	stile_buffer_munmap(buffer, memory);
}

/* Whoever opens the gate paints. */
static void write_sheet(void *user) {
	struct painting *painting = user;
	for (uint32_t i = 0; i < painting->sheet->plane_count; i++) {
		write_plane(painting->image, i, &painting->sheet->planes[i]);
	}
	stile_fence_signal(painting->gate.fence);
}

static bool begin_write(struct workshop *workshop, struct painting *painting) {
	(void)workshop;
	struct stile_access access;
	actor_begin(painting->image, STILE_USAGE_WRITE, &access);
	painting->way = TABLE_WHOLE;
	painting->gate.open = write_sheet;
	painting->gate.user = painting;
	actor_end(&access, stile_fence_ref(painting->gate.fence));
	return true;
}

const struct producer cpu_writes = { "CPU", begin_write, NULL };

static bool look_by_reading(struct workshop *workshop, struct look *look) {
	(void)workshop;
	look->sight.way = TABLE_WHOLE;
	if (!look->waits) {
		sheet_read(look->image, look->sight.rgba);
		look->submitted(look->user);
		return true;
	}
	struct stile_access access;
	actor_begin(look->image, STILE_USAGE_READ, &access);
	require(access.count > 0);
	look->submitted(look->user);
	require(stile_access_wait(&access, job_deadline(), NULL) == 0);
	look->sight.path.kind = STILE_PATH_CPU_WAIT;
	sheet_read(look->image, look->sight.rgba);
	actor_end(&access, NULL);
	return true;
}

const struct consumer cpu_reads = { "CPU", look_by_reading };

/* ---- The software GPU --------------------------------------------------------------------- */

static void wait_for(struct stile_device *device, const struct stile_access *access) {
	for (size_t i = 0; i < access->count; i++) {
		require(stile_swgpu_gate(device, access->fences[i], NULL) == 0);
	}
}

/* A whole plane is uploaded, of which the sheet is the first corner; the bytes of its rows. */
static size_t lay_out(struct painting *painting, uint32_t nth) {
	const struct stile_image_info *info = stile_image_get_info(painting->image);
	const struct sheet_plane *plane = &painting->sheet->planes[nth];
	size_t row_bytes = plane->row_bytes * info->width / CARD_WIDTH;
	uint8_t *pixels = calloc((size_t)info->height, row_bytes);
	require(pixels != NULL);
	for (size_t y = 0; y < plane->rows; y++) {
		memcpy(pixels + y * row_bytes, plane->bytes + y * plane->row_bytes,
			plane->row_bytes);
	}
	painting->pixels[nth] = pixels;
	return row_bytes;
}

/* Somebody still reads the picture that was there before: the gate. */
static bool begin_upload(struct workshop *workshop, struct painting *painting) {
	struct stile_access access;
	struct stile_fence *done = NULL;
	painting->way = TABLE_WHOLE;
	images_add_work(painting->image, STILE_USAGE_READ, painting->gate.fence);
	actor_begin(painting->image, STILE_USAGE_WRITE, &access);
	wait_for(workshop->device, &access);
	for (uint32_t i = 0; i < painting->sheet->plane_count; i++) {
		/* The queue keeps order: the last one is done when all are. */
		stile_fence_unref(done);
		size_t row_bytes = lay_out(painting, i);
		require(stile_swgpu_upload(workshop->device, painting->image, i,
				painting->pixels[i], row_bytes, &done) == 0);
	}
	actor_end(&access, done);
	return true;
}

static void end_upload(struct workshop *workshop, struct painting *painting) {
	(void)workshop;
	for (uint32_t i = 0; i < painting->sheet->plane_count; i++) {
		free(painting->pixels[i]);
	}
}

const struct producer swgpu_uploads = { "swgpu", begin_upload, end_upload };

/* Into an image of its own. */
static bool look_by_copying(struct workshop *workshop, struct look *look) {
	const struct stile_image_info *info = stile_image_get_info(look->image);
	struct stile_image *copy = images_create_coloured(
		workshop->device, CARD_WIDTH, CARD_HEIGHT, info->fourcc, info->colour);
	struct stile_access access;
	struct stile_fence *done;
	look->sight.way = TABLE_WHOLE;
	if (look->waits) {
		actor_begin(look->image, STILE_USAGE_READ, &access);
		wait_for(workshop->device, &access);
		/* The software GPU takes the fence itself. */
		look->sight.path.kind = STILE_PATH_HANDLE;
	}
	require(stile_swgpu_copy(workshop->device, look->image, copy, &done) == 0);
	if (look->waits) {
		require(!stile_fence_is_signaled(done));
		actor_end(&access, stile_fence_ref(done));
		look->submitted(look->user);
	}
	require(stile_fence_wait(done, job_deadline()) == 0);
	sheet_read(copy, look->sight.rgba);
	if (!look->waits) {
		look->submitted(look->user);
	}
	stile_fence_unref(done);
	stile_image_unref(copy);
	return true;
}

const struct consumer swgpu_copies = { "swgpu", look_by_copying };
