/* SPDX-License-Identifier: MIT */
#ifndef MATRIX_TABLE_H
#define MATRIX_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <stile/carrier.h>

/* What came out, for people: docs/matrix.md. */

enum { TABLE_MAX_ACTORS = 8, TABLE_MAX_FORMATS = 128 };

/** How a picture was taken, by who paints it or by who looks at it. */
enum table_way {
	TABLE_NO,
	TABLE_WHOLE,      /* as it is */
	TABLE_PLANES,     /* an image of each plane */
	TABLE_SHADER,     /* so, too, and a shader makes colours of them */
	TABLE_CONVERSION, /* VkSamplerYcbcrConversion */
	TABLE_EXTERNAL,   /* an external texture */
};

/** A producer and a consumer, in one process or in two. */
struct table_cell {
	unsigned right[2]; /* formats, of RGB and of YUV */
	uint32_t paths;    /* by bit: enum stile_path_kind */
};

/** A producer or a consumer by itself. */
struct table_actor {
	const char *name;
	enum table_way takes[TABLE_MAX_FORMATS]; /* by number */
	bool refuses[TABLE_MAX_FORMATS];
	char why[2][768]; /* of the first refusal, of RGB and of YUV */
};

struct table {
	struct table_actor producers[TABLE_MAX_ACTORS], consumers[TABLE_MAX_ACTORS];
	unsigned producer_count, consumer_count;
	struct table_cell cells[TABLE_MAX_ACTORS][TABLE_MAX_ACTORS][2];
	char machine[1024]; /* which drivers */
	bool is_in_guest;   /* the page has a part of its own for that */
};

/** As Markdown. */
void table_print(const struct table *table, FILE *to);

#endif
