/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_HIDE_H
#define INTEROP_HIDE_H

#include <stdbool.h>

/* Files that are not there: for this process, and those that it becomes or starts, by mounts of its own. */

/** Call this first. False: it may have no mounts of its own. */
bool hide_begin(void);

/** `what`: a path, or the name of a shared library, which is looked for. What is not there stays so. */
void hide(const char *what);

#endif
