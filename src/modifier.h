/* SPDX-License-Identifier: MIT */
#ifndef SRC_MODIFIER_H
#define SRC_MODIFIER_H

#include <stdint.h>

/** The longest that libdrm 2.4.123 has needs 196 bytes: AMD's, with all that it knows of compression. */
struct modifier_label {
	char text[256];
};

/**
 * A modifier for people: "0x0 (LINEAR)", "0x100000000000001 (INTEL X_TILED)". Vendors and layouts with their
 * parameters are those of the libdrm that is there; what it does not know, or has no memory for, is left out.
 */
struct modifier_label modifier_describe(uint64_t modifier);

#endif
