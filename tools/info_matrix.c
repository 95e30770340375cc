/* SPDX-License-Identifier: MIT */
/* Who shares with whom, as a table, and by which path or why not. */
#include <stdio.h>
#include <string.h>

#include "tools/info.h"
#include "tools/rows.h"

enum { COLUMN = 10 };

static const char *name_memory(uint32_t kind) {
	switch (kind) {
	case STILE_MEMORY_DMA_BUF:
		return "dma-buf";
	case STILE_MEMORY_MEMFD:
		return "memfd";
	case STILE_MEMORY_OPAQUE_FD:
		return "opaque fd";
	default:
		return "pointer";
	}
}

static const char *name_sync(uint32_t kind) {
	switch (kind) {
	case STILE_SYNC_SYNCOBJ:
		return "by syncobjs";
	case STILE_SYNC_FILE:
		return "by sync_files";
	case STILE_SYNC_IMPLICIT:
		return "by fences in the memory";
	case STILE_SYNC_SEMAPHORE:
		return "by semaphores";
	default:
		return "by a thread";
	}
}

/* "dma-buf b": as they are explained below the table; of one alone there is nothing to tell apart. */
static void name_path(const struct info *info, size_t path, char *text, size_t size) {
	const char letter[] = { ' ', (char)('a' + path), '\0' };
	snprintf(text, size, "%s%s", name_memory(info->paths[path].memory),
		info->path_count > 1 ? letter : "");
}

static void write_head(const struct info *info, FILE *to) {
	struct rows_line line = { .to = to, .gap = ROWS_INDENT, .width = COLUMN };
	for (size_t j = 0; j < info->party_count; j++) {
		if (info->parties[j].reads.format_count > 0) {
			rows_put(&line, info->parties[j].label);
		}
	}
	rows_end(&line);
}

static void write_line(const struct info *info, size_t i, FILE *to) {
	struct rows_line line = { .to = to, .gap = 2, .width = COLUMN };
	rows_put(&line, info->parties[i].label);
	for (size_t j = 0; j < info->party_count; j++) {
		char text[INFO_NAME] = "-";
		if (info_is_possible(info, i, j)) {
			snprintf(text, sizeof(text), "no");
		}
		if (info->pairs[i][j].works) {
			name_path(info, info->pairs[i][j].path, text, sizeof(text));
		}
		if (info->parties[j].reads.format_count > 0) {
			rows_put(&line, text);
		}
	}
	rows_end(&line);
}

static void write_path(const struct info *info, size_t index, FILE *to) {
	const struct info_path *path = &info->paths[index];
	char label[INFO_NAME], text[INFO_WHY];
	name_path(info, index, label, sizeof(label));
	snprintf(text, sizeof(text), "made by %s; who looks waits %s%s", path->allocator,
		name_sync(path->sync),
		path->memory == STILE_MEMORY_MEMFD
			? "; a file in memory, which software drivers alone take"
			: "");
	rows_write(to, label, text);
}

static void write_refusal(const struct info *info, size_t i, size_t j, FILE *to) {
	char text[INFO_WHY + 3 * INFO_NAME];
	snprintf(text, sizeof(text), "%s to %s: %s", info->parties[i].label, info->parties[j].label,
		info->pairs[i][j].why);
	rows_write(to, "no", text);
}

void info_write_matrix(const struct info *info, FILE *to) {
	rows_write_title(to, "Shared without a copy: who draws (rows), and who looks (columns)");
	write_head(info, to);
	for (size_t i = 0; i < info->party_count; i++) {
		if (info->parties[i].writes.format_count > 0) {
			write_line(info, i, to);
		}
	}
	fputc('\n', to);
	for (size_t i = 0; i < info->path_count; i++) {
		write_path(info, i, to);
	}
	for (size_t i = 0; i < info->party_count; i++) {
		for (size_t j = 0; j < info->party_count; j++) {
			if (info_is_possible(info, i, j) && !info->pairs[i][j].works) {
				write_refusal(info, i, j, to);
			}
		}
	}
}
