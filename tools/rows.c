/* SPDX-License-Identifier: MIT */
#include "tools/rows.h"

#include <string.h>

enum { WIDTH = 96 };

void rows_write_title(FILE *to, const char *title) {
	fprintf(to, "\n%s\n", title);
}

void rows_write(FILE *to, const char *label, const char *text) {
	int column = fprintf(to, "  %-*s", ROWS_INDENT - 3, label);
	for (const char *next; *text != '\0'; text = next + (*next == ' ')) {
		next = text + strcspn(text, " ");
		int length = (int)(next - text);
		if (column >= ROWS_INDENT && column + 1 + length > WIDTH) {
			column = fprintf(to, "\n%*s", ROWS_INDENT - 1, "") - 1;
		}
		column += fprintf(to, " %.*s", length, text);
	}
	fputc('\n', to);
}

void rows_put(struct rows_line *line, const char *text) {
	fprintf(line->to, "%*s%.*s", line->gap, "", line->width - 1, text);
	int length = (int)strlen(text);
	line->gap = length < line->width - 1 ? line->width - length : 1;
}

void rows_end(struct rows_line *line) {
	fputc('\n', line->to);
	line->gap = 0;
}
