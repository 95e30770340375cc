/* SPDX-License-Identifier: MIT */
#ifndef DEMOS_OPTIONS_H
#define DEMOS_OPTIONS_H

#include "demos/picture.h"

/** What the small demos tell whoever calls them. */
enum { EXIT_RIGHT = 0, EXIT_WRONG = 1, EXIT_INPUT = 2 };

/**
 * What the small demos understand: --output DIR, which is made, and --help. Gives -1: go on; or with which
 * status to exit. `about` is a sentence for --help.
 */
int options_parse(int argc, char **argv, const char *about, const char **output);

/** The PNG `name` in the directory `output`, said, and in a window, if there can be one; EXIT_RIGHT or, said on stderr,
 * EXIT_INPUT. */
int options_save(const char *output, const char *name, const struct picture *picture);

#endif
