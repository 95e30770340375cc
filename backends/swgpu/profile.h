/* SPDX-License-Identifier: MIT */
#ifndef BACKENDS_SWGPU_PROFILE_H
#define BACKENDS_SWGPU_PROFILE_H

/* What a device can and cannot do, as data: docs/profiles.md. */

#include <stdbool.h>
#include <stdint.h>

#include <stile/report.h>

enum { PROFILE_MAX_FAULTS = 16 };

struct profile {
	char name[32];

	/* Images. */
	uint32_t pitch_align;  /* bytes, a power of two; at least 16 */
	uint32_t height_align; /* rows, a power of two; at least 1 */
	bool linear_import;    /* LINEAR images that came by descriptor are taken */
	bool write_import;     /* what came by descriptor may be written */

	/* The bus. */
	uint32_t address_bits;  /* 20 to 64 */
	uint32_t max_segments;  /* 0: any number */
	uint32_t segment_align; /* bytes, a power of two, at least a page */
	uint64_t max_segment;   /* bytes; 0: any */
	bool iommu;             /* makes one segment of scattered pages */
	bool coherent;          /* else: a cache that the CPU does not see */
	uint32_t frame_run;     /* pages that system memory comes in; 0: one piece */

	/* The device. */
	bool implicit_sync;   /* submissions wait for, and are found in, reservations */
	uint64_t local_bytes; /* its own memory; 0: none */
	uint32_t engines;     /* lists that are executed at the same time, 1 to 64 */
	int64_t timeout_ns;   /* of queues that say nothing */

	bool deterministic;
	uint64_t seed;
	char faults[256]; /* STILE_SWGPU_FAULT's language; parsed by fault.c */
};

/**
 * What the options of a device and then the environment say, over `plain`. 0, or what report_refuse()
 * gave: -EINVAL for what is not understood, or cannot be read; -ENOENT for a profile that is not there;
 * -ENOMEM, -EMFILE or -ENFILE. The text names the line and what could stand there.
 *
 * @param options  may be NULL
 * @param env      whether the environment is to be read
 */
int profile_parse(struct profile *profile, const char *options, bool env, struct stile_report *why);

#endif
