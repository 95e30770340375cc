/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_MODIFIERS_H
#define SUPPORT_MODIFIERS_H

#include <stdint.h>

/* Layouts that have parameters, and how messages call them. */

enum { MODIFIERS = 3 };

extern const struct modifiers_case {
	uint64_t modifier;
	const char *part; /* of its name, whatever libdrm it is */
} modifiers_cases[MODIFIERS];

struct modifiers_text {
	char text[288];
};

/**
 * "0x800000000000051 (ARM BLOCK_SIZE=16x16,MODE=YTR|SPARSE)": what the libdrm that is there makes of one, nothing
 * cut; of NVIDIA's case, what Stile does.
 */
struct modifiers_text modifiers_expect(uint64_t modifier);

#endif
