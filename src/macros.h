/* SPDX-License-Identifier: MIT */
#ifndef SRC_MACROS_H
#define SRC_MACROS_H

#include <stddef.h>

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/** The object around one of its members. */
#define CONTAINER_OF(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/** What a noun ends in behind this number. */
#define PLURAL(number) ((number) == 1 ? "" : "s")

#endif
