/* SPDX-License-Identifier: MIT */
#ifndef MODEL_BLOCKS_H
#define MODEL_BLOCKS_H

#include <stdbool.h>

/*
 * Blocks of memory that this program and the library's objects in it have: their allocations go through
 * here (the linker's --wrap).
 */

/** How many there are now. */
long blocks_count(void);

/** From now on there is no memory, if `on`. */
void blocks_refuse(bool on);

/** There is again. Was any refused meanwhile? */
bool blocks_allow(void);

#endif
