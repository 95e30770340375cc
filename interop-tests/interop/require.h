/* SPDX-License-Identifier: MIT */
#ifndef INTEROP_REQUIRE_H
#define INTEROP_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

/** For what runs in a second process too, where Check's assertions do not work. */
#define require(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

#endif
