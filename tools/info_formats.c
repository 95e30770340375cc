/* SPDX-License-Identifier: MIT */
/* Each format, and who takes it in how many layouts. */
#include <stdio.h>

#include "tools/info.h"
#include "tools/rows.h"

static const struct stile_party_format *find(const struct stile_party *party, uint32_t fourcc) {
	for (size_t i = 0; i < party->format_count; i++) {
		if (party->formats[i].fourcc == fourcc) {
			return &party->formats[i];
		}
	}
	return NULL;
}

static bool is_external(const struct stile_party_format *format) {
	for (size_t i = 0; i < format->modifier_count; i++) {
		if (format->modifiers[i].flags == 0) {
			return false;
		}
	}
	return format->modifier_count > 0;
}

/* "both 3": looks at it and draws to it, in three layouts. */
static void name_use(const struct info_party *party, uint32_t fourcc, char *text, size_t size) {
	const struct stile_party_format *reads = find(&party->reads, fourcc);
	if (reads == NULL) {
		snprintf(text, size, "-");
		return;
	}
	const char *what = is_external(reads) ? "external" : "look";
	if (find(&party->writes, fourcc) != NULL && !is_external(reads)) {
		what = "both";
	}
	if (reads->modifier_count > 1) {
		snprintf(text, size, "%s %zu", what, reads->modifier_count);
	} else {
		snprintf(text, size, "%s", what);
	}
}

void info_write_formats(const struct info *info, FILE *to) {
	enum { FIRST = 16, COLUMN = 10 };
	rows_write_title(to,
		"Formats: who looks at them, or draws to them too, and in how many layouts if in "
		"several");
	struct rows_line line = { .to = to, .gap = FIRST, .width = COLUMN };
	for (size_t i = 0; i < info->party_count; i++) {
		rows_put(&line, info->parties[i].label);
	}
	rows_end(&line);
	const struct stile_format *format;
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		line.gap = FIRST - fprintf(to, "  %.*s", FIRST - 3, format->name);
		for (size_t j = 0; j < info->party_count; j++) {
			char text[32];
			name_use(&info->parties[j], format->fourcc, text, sizeof(text));
			rows_put(&line, text);
		}
		rows_end(&line);
	}
}
