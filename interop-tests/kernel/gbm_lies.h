/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_GBM_LIES_H
#define KERNEL_GBM_LIES_H

#include <stdbool.h>
#include <stdint.h>

struct gbm_bo;

/*
 * GBM as other drivers have it: what this program's own calls of GBM are told beside the truth. The
 * functions are found by the linker's --wrap. All zero: the truth.
 */
struct gbm_lies {
	bool no_modifiers; /* there are no modifiers in this GBM, for formats and for gbm_bos */
	bool has_modifier; /* every gbm_bo has this one, it is taken for every format, and made */
	uint64_t modifier;
	bool has_format; /* every gbm_bo has this format */
	uint32_t format;
	int plane_count;       /* not 0: so many planes, all where the first is */
	uint32_t pitch;        /* not 0: of every gbm_bo */
	bool dirty;            /* new gbm_bos are full of 0x5a */
	bool short_of_rows;    /* new gbm_bos have half of those that were asked for */
	struct gbm_bo *handle; /* all handles are this one's */
	unsigned asked;   /* how often a layout was asked for by its modifier: counted, not told */
	unsigned created; /* how many were made, likewise */
	unsigned any_layout; /* how many of them without a word on their layout */
	int alive;           /* how many there are */
	unsigned inside;     /* threads that are just making one */
	bool crowded;        /* there were two at a time */
};

extern struct gbm_lies gbm_lies;

#endif
