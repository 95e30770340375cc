/* SPDX-License-Identifier: MIT */
#ifndef SRC_MODIFIER_H
#define SRC_MODIFIER_H

#include <stdint.h>

/** A modifier for people: "0x0 (LINEAR)", "0x100000000000001 (Intel X_TILED)". What is too long is cut. */
struct modifier_label {
	char text[96];
};

/**
 * Whose it is, is known here, and how they call those without parameters; of the others `get_name` says it: a new
 * string that is given to free(), or NULL. As drmGetFormatModifierName(), which adapters have that link libdrm. NULL:
 * nobody says.
 */
struct modifier_label modifier_describe(uint64_t modifier, char *(*get_name)(uint64_t modifier));

#endif
