/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_ROWS_H
#define TOOLS_ROWS_H

#include <stdio.h>

/** Where the texts begin. */
enum { ROWS_INDENT = 12 };

/** A word on the left, and a text as long as it likes beside it, broken at blanks. */
void rows_write(FILE *to, const char *label, const char *text);
void rows_write_title(FILE *to, const char *title);

/** A line of a table, without blanks at its end. */
struct rows_line {
	FILE *to;
	int gap;   /* blanks before what comes next; at first, where the first column is */
	int width; /* of a column, with a blank */
};

/** The next column; what is too long is cut. */
void rows_put(struct rows_line *line, const char *text);
void rows_end(struct rows_line *line);

#endif
