/* SPDX-License-Identifier: MIT */
#include "interop-tests/matrix/table.h"

#include <stile/format.h>

/* In the order of enum stile_path_kind. */
static const char *const path_names[] = { "none", "handle", "kernel", "bridge", "held",
	"CPU wait" };

static void print_paths(uint32_t paths, FILE *to) {
	for (unsigned i = 0; i < sizeof(path_names) / sizeof(path_names[0]); i++) {
		if ((paths >> i & 1) != 0) {
			fprintf(to, ", %s", path_names[i]);
		}
	}
}

static void print_rule(unsigned columns, FILE *to) {
	fputc('|', to);
	for (unsigned i = 0; i < columns; i++) {
		fputs("---|", to);
	}
	fputc('\n', to);
}

static void print_heading(const struct table *table, const char *text, FILE *to) {
	fprintf(to, "\n%s %s\n\n", table->is_in_guest ? "###" : "##", text);
}

static void print_pairs(const struct table *table, unsigned processes, FILE *to) {
	print_heading(table, processes == 1 ? "In one process" : "In two processes", to);
	fputs("|  |", to);
	for (unsigned c = 0; c < table->consumer_count; c++) {
		fprintf(to, " %s |", table->consumers[c].name);
	}
	fputc('\n', to);
	print_rule(table->consumer_count + 1, to);
	for (unsigned p = 0; p < table->producer_count; p++) {
		fprintf(to, "| **%s** |", table->producers[p].name);
		for (unsigned c = 0; c < table->consumer_count; c++) {
			const struct table_cell *cell = &table->cells[p][c][processes - 1];
			fprintf(to, " %u", cell->right);
			print_paths(cell->paths, to);
			fputs(" |", to);
		}
		fputc('\n', to);
	}
}

static void print_marks(const struct table_actor *actors, unsigned count, size_t format, FILE *to) {
	for (unsigned i = 0; i < count; i++) {
		fputs(actors[i].takes[format] ? " yes |" : "  |", to);
	}
}

static bool is_tried(const struct table *table, size_t format) {
	bool tried = false;
	for (unsigned c = 0; c < table->consumer_count; c++) {
		const struct table_actor *actor = &table->consumers[c];
		tried = tried || actor->takes[format] || actor->refuses[format];
	}
	return tried;
}

static void print_formats(const struct table *table, FILE *to) {
	const struct stile_format *format;
	print_heading(table, "Formats", to);
	fputs("| format |", to);
	for (unsigned p = 0; p < table->producer_count; p++) {
		fprintf(to, " by %s |", table->producers[p].name);
	}
	for (unsigned c = 0; c < table->consumer_count; c++) {
		fprintf(to, " for %s |", table->consumers[c].name);
	}
	fputc('\n', to);
	print_rule(table->producer_count + table->consumer_count + 1, to);
	for (size_t i = 0; (format = stile_format_get_nth(i)) != NULL; i++) {
		if (!is_tried(table, i)) {
			continue;
		}
		fprintf(to, "| %s |", format->name);
		print_marks(table->producers, table->producer_count, i, to);
		print_marks(table->consumers, table->consumer_count, i, to);
		fputc('\n', to);
	}
}

static void print_refusals(const struct table_actor *actors, unsigned count, FILE *to) {
	for (unsigned i = 0; i < count; i++) {
		unsigned refused = 0;
		for (size_t k = 0; k < TABLE_MAX_FORMATS; k++) {
			refused += actors[i].refuses[k];
		}
		if (refused > 0) {
			fprintf(to, "* %s, %u formats, the first because: %s\n", actors[i].name,
				refused, actors[i].why);
		}
	}
}

static const char head[] =
	"# Who can paint for whom\n\n"
	"Written by `./run matrix`, from what the test `matrix` has seen. Each number is of formats in which a picture that\n"
	"was painted by the one on the left was seen, to the pixel, by the one at the top, in the same memory. The painter was\n"
	"held until the other one had submitted its work; with the wait left out, each of these pictures was wrong. After the\n"
	"numbers: how the wait crossed (`enum stile_path_kind` in [carrier.h](../include/stile/carrier.h)).\n\n";

/* `./run matrix` finds this part by its first line. */
static const char guest_head[] =
	"## In a guest: scan-out\n\n"
	"Written by `./run matrix --guest`, likewise, from what the test `matrix_kms` has seen on a real kernel, in udmabufs:\n"
	"the display is vkms, which writes back what it shows.\n\n";

void table_print(const struct table *table, FILE *to) {
	fprintf(to, "%s%s\n", table->is_in_guest ? guest_head : head, table->machine);
	print_pairs(table, 1, to);
	print_pairs(table, 2, to);
	print_formats(table, to);
	print_heading(table, "What is refused", to);
	print_refusals(table->producers, table->producer_count, to);
	print_refusals(table->consumers, table->consumer_count, to);
}
