/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BUFFER_H
#define BENCH_BUFFER_H

/* What the parts of the group "buffer" share. */

#include <stdint.h>

#include <stile/buffer.h>
#include <stile/fence.h>
#include <stile/image.h>
#include <stile/swgpu.h>

#include "interop-tests/bench/bench.h"

/** Print a row of the group; strings that are left out are empty. */
void buffer_report(struct bench_row row);

/** What a way is compared with. Strings are kept. */
struct buffer_goal {
	const char *baseline; /* its name */
	const char *goal;
	double least; /* of the ratio of rates */
};

/** How fast `bytes` were dealt with, against another way: GB/s. */
void buffer_report_rate(const char *name, uint64_t bytes, const struct bench_way *way,
	const struct bench_way *baseline, const struct buffer_goal *goal);

/** Allocated, to be read and written. */
struct stile_buffer *buffer_create(struct stile_device *device, uint64_t bytes);
struct stile_image *buffer_create_image(
	struct stile_device *device, uint32_t width, uint32_t height, uint64_t modifier);

/** A plane of a linear image, for the CPU; to be given back with its buffer. */
void *buffer_map_image(struct stile_image *image);
void buffer_unmap_image(struct stile_image *image, void *pixels);

/** Pixels of which no two are alike, premultiplied: some opaque, some transparent, most between. */
void buffer_draw(void *pixels, uint64_t bytes);

/** Submit, and drop the fence; wait for it. What does not succeed ends the program. */
struct stile_fence *buffer_submit(struct stile_swgpu_queue *queue, struct stile_swgpu_list *list);
void buffer_finish(struct stile_fence *fence);

/* The parts. 0, or -errno if it cannot run here. */
int buffer_bench_engine(void);
int buffer_bench_picture(void);
int buffer_bench_submit(void);
int buffer_bench_import(void);

#endif
