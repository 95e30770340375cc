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

/* ---- What all have in common -------------------------------------------------------------- */

void actor_begin(struct stile_image *image, uint32_t usage, struct stile_access *access) {
	const struct stile_access_info info = { .size = sizeof(info), .usage = usage };
	require(stile_access_begin(image, &info, access) == 0);
}

void actor_end(struct stile_access *access, struct stile_fence *done) {
	require(stile_access_end(access, done) == 0);
	stile_fence_unref(done);
}

void actor_decode(struct stile_image *image, float (*rgba)[4]) {
	const struct stile_image_info *info = stile_image_get_info(image);
	const struct stile_image_plane *plane = &info->planes[0];
	struct stile_buffer *buffer = stile_image_get_buffer(image, 0);
	struct pixel pixel;
	void *memory;
	require(pixel_parse(stile_format_get(info->fourcc)->name, &pixel));
	require(stile_buffer_mmap(buffer, STILE_USAGE_READ, &memory) == 0);
	for (size_t i = 0; i < CARD_PIXELS; i++) {
		double colour[4];
		pixel_decode(&pixel,
			(uint8_t *)memory + plane->offset + i / CARD_WIDTH * plane->pitch +
				i % CARD_WIDTH * pixel.bytes,
			colour);
		for (int k = 0; k < 4; k++) {
			rgba[i][k] = (float)colour[k];
		}
	}
	stile_buffer_munmap(buffer, memory);
}

/* ---- The CPU ------------------------------------------------------------------------------ */

/* Whoever opens the gate paints. */
static void write_card(void *user) {
	struct painting *painting = user;
	const struct stile_image_plane *plane = &stile_image_get_info(painting->image)->planes[0];
	struct stile_buffer *buffer = stile_image_get_buffer(painting->image, 0);
	size_t bytes = (size_t)CARD_WIDTH * painting->card->pixel.bytes;
	void *memory;
	require(stile_buffer_mmap(buffer, STILE_USAGE_WRITE, &memory) == 0);
	for (size_t y = 0; y < CARD_HEIGHT; y++) {
		memcpy((uint8_t *)memory + plane->offset + y * plane->pitch,
			painting->card->bytes + y * bytes, bytes);
	}
	stile_buffer_munmap(buffer, memory);
	stile_fence_signal(painting->gate.fence);
}

static bool begin_write(struct workshop *workshop, struct painting *painting) {
	(void)workshop;
	struct stile_access access;
	actor_begin(painting->image, STILE_USAGE_WRITE, &access);
	painting->gate.open = write_card;
	painting->gate.user = painting;
	actor_end(&access, stile_fence_ref(painting->gate.fence));
	return true;
}

const struct producer cpu_writes = { "CPU", begin_write, NULL };

static bool look_by_reading(struct workshop *workshop, struct look *look) {
	(void)workshop;
	if (!look->waits) {
		actor_decode(look->image, look->rgba);
		look->submitted(look->user);
		return true;
	}
	struct stile_access access;
	actor_begin(look->image, STILE_USAGE_READ, &access);
	require(access.count > 0);
	look->submitted(look->user);
	require(stile_access_wait(&access, job_deadline(), NULL) == 0);
	look->path.kind = STILE_PATH_CPU_WAIT;
	actor_decode(look->image, look->rgba);
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

/* A whole image is uploaded. */
static void lay_out(struct painting *painting) {
	const struct stile_image_info *info = stile_image_get_info(painting->image);
	size_t bytes = painting->card->pixel.bytes;
	painting->pixels = calloc((size_t)info->width * info->height, bytes);
	require(painting->pixels != NULL);
	for (size_t y = 0; y < CARD_HEIGHT; y++) {
		memcpy(painting->pixels + y * info->width * bytes,
			painting->card->bytes + y * CARD_WIDTH * bytes, CARD_WIDTH * bytes);
	}
}

/* Somebody still reads the picture that was there before: the gate. */
static bool begin_upload(struct workshop *workshop, struct painting *painting) {
	struct stile_access access;
	struct stile_fence *done;
	images_add_work(painting->image, STILE_USAGE_READ, painting->gate.fence);
	lay_out(painting);
	actor_begin(painting->image, STILE_USAGE_WRITE, &access);
	wait_for(workshop->device, &access);
	require(stile_swgpu_upload(workshop->device, painting->image, 0, painting->pixels,
			(size_t)stile_image_get_info(painting->image)->width *
				painting->card->pixel.bytes,
			&done) == 0);
	actor_end(&access, done);
	return true;
}

static void end_upload(struct workshop *workshop, struct painting *painting) {
	(void)workshop;
	free(painting->pixels);
}

const struct producer swgpu_uploads = { "swgpu", begin_upload, end_upload };

/* Into an image of its own. */
static bool look_by_copying(struct workshop *workshop, struct look *look) {
	struct stile_image *copy = images_create(workshop->device, CARD_WIDTH, CARD_HEIGHT,
		stile_image_get_info(look->image)->fourcc);
	struct stile_access access;
	struct stile_fence *done;
	if (look->waits) {
		actor_begin(look->image, STILE_USAGE_READ, &access);
		wait_for(workshop->device, &access);
		/* The software GPU takes the fence itself. */
		look->path.kind = STILE_PATH_HANDLE;
	}
	require(stile_swgpu_copy(workshop->device, look->image, copy, &done) == 0);
	if (look->waits) {
		require(!stile_fence_is_signaled(done));
		actor_end(&access, stile_fence_ref(done));
		look->submitted(look->user);
	}
	require(stile_fence_wait(done, job_deadline()) == 0);
	actor_decode(copy, look->rgba);
	if (!look->waits) {
		look->submitted(look->user);
	}
	stile_fence_unref(done);
	stile_image_unref(copy);
	return true;
}

const struct consumer swgpu_copies = { "swgpu", look_by_copying };
